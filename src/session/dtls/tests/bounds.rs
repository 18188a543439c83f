//! What goes on after the handshake has its bounds: renewed keys, records, nonces, forgeries.

use std::collections::HashSet;
use std::sync::Arc;

use dimpl::{Config as EngineConfig, Dtls, Output};

use super::*;
use crate::base::limits;
use crate::base::time::clock;

/// The library alone as a client, with settings that ours does not offer.
struct Bare {
    engine: Dtls,
    now: Instant,
    data: Vec<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

impl Bare {
    /// A client of 1.3 that renews its keys after so many records.
    fn renewing(certificate: dimpl::DtlsCertificate, records: u64, now: Instant) -> Self {
        let config = EngineConfig::builder()
            .with_crypto_provider(dimpl::crypto::aws_lc_rs::default_provider())
            .aead_encryption_limit(records)
            .build()
            .unwrap();
        let mut engine = Dtls::new_13(Arc::new(config), certificate, clock().to_std(now));
        engine.set_active(true);
        let mut bare = Bare { engine, now, data: Vec::new(), outgoing: Vec::new() };
        bare.pass(Duration::ZERO);
        bare
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        self.engine.handle_timeout(clock().to_std(self.now)).unwrap();
        self.drain();
    }

    fn handle(&mut self, datagram: &[u8]) {
        self.engine.handle_packet(datagram).unwrap();
        self.drain();
    }

    fn send(&mut self, data: &[u8]) {
        self.engine.send_application_data(data).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        let mut buf = [0; 4_096];
        loop {
            match self.engine.poll_output(&mut buf) {
                Output::Packet(packet) => self.outgoing.push(packet.to_vec()),
                Output::ApplicationData(data) => self.data.push(data.to_vec()),
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

/// Carries datagrams between the two until both are silent; returns how many were ours, and theirs.
fn exchange(bare: &mut Bare, ours: &mut Association) -> (usize, usize) {
    let (mut from_us, mut from_them) = (0, 0);
    loop {
        let theirs = std::mem::take(&mut bare.outgoing);
        from_them += theirs.len();
        for datagram in &theirs {
            let _ = ours.handle_datagram(bare.now, datagram);
        }
        let answers = transmits(ours);
        from_us += answers.len();
        answers.iter().for_each(|datagram| bare.handle(datagram));
        if theirs.is_empty() && answers.is_empty() {
            return (from_us, from_them);
        }
    }
}

#[test]
fn s_dtls_16_keys_renewed_with_every_record_cost_the_peer_as_much_as_us() {
    let ((certificate, theirs), context) = (identity(), context(Versions::V13));
    let now = Instant::from_millis(1_000);
    let mut ours = Association::new(Role::Server, &context, &[certificate.fingerprint()], 0, now);
    let mut bare = Bare::renewing(theirs, 1, now);
    exchange(&mut bare, &mut ours);
    assert!(matches!(ours.poll_event(), Some(Event::Connected { .. })));
    let (mut from_us, mut from_them, mut delivered) = (0, 0, 0);
    for n in 0..2_000u32 {
        bare.send(&n.to_be_bytes());
        let (us, them) = exchange(&mut bare, &mut ours);
        (from_us, from_them) = (from_us + us, from_them + them);
        delivered += std::iter::from_fn(|| ours.poll_event()).filter(|e| matches!(e, Event::Data(_))).count();
        bare.pass(Duration::from_millis(1));
    }
    assert_eq!(delivered, 2_000, "every record was opened, whatever its key");
    assert!(from_them > 3_000, "keys were renewed: {from_them} datagrams for 2,000 records");
    assert!(from_us <= from_them + from_them / 2, "{from_us} datagrams for {from_them}");
    assert_eq!((ours.lost(), transmits(&mut ours).len()), (0, 0));
    ours.send(b"still here").unwrap();
    exchange(&mut bare, &mut ours);
    assert_eq!(bare.data.last().map(Vec::as_slice), Some(&b"still here"[..]));
}

#[test]
fn s_dtls_16_clear_acknowledgements_and_hellos_after_the_handshake_are_not_answered() {
    // An acknowledgement of one record (RFC 9147, section 7).
    let mut ack = vec![26, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18, 0, 16];
    ack.extend([0; 16]);
    for versions in [Versions::V12, Versions::V13] {
        let mut pair = Pair::connected(versions);
        for n in 0..5_000u16 {
            ack[9..11].copy_from_slice(&n.to_be_bytes());
            assert!(pair.server.handle_datagram(pair.now, &ack).is_err());
            assert!(transmits(&mut pair.server).is_empty(), "{versions:?}");
        }
        assert_eq!(pair.server.poll_event(), None);
    }
}

/// The record number and the explicit half of the nonce of a 1.2 record under AES-GCM (RFC 5288,
/// section 3).
fn record_of(datagram: &[u8]) -> (u64, [u8; 8]) {
    let number = u64::from_be_bytes(*datagram[3..].first_chunk().unwrap());
    (number & 0xffff_ffff_ffff, *datagram[13..].first_chunk().unwrap())
}

#[test]
fn s_dtls_20_record_numbers_grow_by_one_and_no_nonce_comes_twice() {
    let mut pair = Pair::connected(Versions::V12);
    let (mut numbers, mut nonces) = (Vec::new(), HashSet::new());
    for _ in 0..5_000 {
        pair.client.send(b"the same every time").unwrap();
        let datagram = transmits(&mut pair.client).remove(0);
        let (number, nonce) = record_of(&datagram);
        numbers.push(number);
        assert_eq!(u64::from_be_bytes(nonce), 1 << 48 | number, "epoch and number, never random");
        assert!(nonces.insert(nonce));
    }
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn s_dtls_20_an_association_of_1_2_ends_before_its_keys_wear_out() {
    let mut pair = Pair::connected(Versions::V12);
    pair.client.talk.outgoing.skip_to(limits::DTLS_RECORDS - 1);
    assert_eq!(pair.client.send(b"the last"), Ok(()));
    assert_eq!(pair.client.send(b"too many"), Err(SendError::NotConnected));
    pair.run();
    assert_eq!(pair.client_events.last(), Some(&Event::Failed(FailReason::KeyExhausted)));
    assert_eq!(pair.server_events[1..], [Event::Data(b"the last"[..].into()), Event::Closed]);
}

#[test]
fn s_dtls_20_under_1_3_keys_are_renewed_before_the_limit_of_the_cipher() {
    let mut pair = Pair::connected(Versions::V13);
    let epoch = pair.client.talk.outgoing.epoch();
    pair.client.talk.outgoing.skip_to(limits::DTLS_RECORDS / 2);
    pair.server.talk.expect_from(limits::DTLS_RECORDS / 2);
    for at in 0..100_u8 {
        assert_eq!(pair.client.send(&[at]), Ok(()));
        pair.run_for(Duration::from_millis(10));
    }
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.client.talk.outgoing.epoch(), epoch + 1, "once");
    let came = pair.server_events[1..].iter().map(|event| match event {
        Event::Data(data) => data[0],
        other => panic!("{other:?}"),
    });
    assert!(came.eq(0..100), "nothing is lost by it");
    // The other way goes on with its own.
    assert_eq!(pair.server.send(b"and back"), Ok(()));
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.client_events.last(), Some(&Event::Data(b"and back"[..].into())));
}

#[test]
fn s_dtls_07_a_key_that_is_guessed_at_too_often_is_given_up() {
    for versions in [Versions::V12, Versions::V13] {
        let mut pair = Pair::connected(versions);
        pair.client.send(b"genuine").unwrap();
        let mut forged = transmits(&mut pair.client).remove(0);
        *forged.last_mut().unwrap() ^= 1;
        pair.server.talk.forge(limits::DTLS_FORGERIES - 2);
        for last in [false, true] {
            assert!(pair.server.handle_datagram(pair.now, &forged).is_err());
            let ended = pair.server.poll_event() == Some(Event::Failed(FailReason::KeyExhausted));
            assert_eq!(ended, last, "{versions:?}");
        }
        pair.run();
        assert_eq!(pair.client_events.last(), Some(&Event::Closed), "the peer is told");
    }
}

#[test]
fn s_dtls_07_a_clear_record_in_front_hides_no_guess() {
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for versions in [Versions::V12, Versions::V13] {
        let mut pair = Pair::connected(versions);
        pair.client.send(b"genuine").unwrap();
        let mut forged = transmits(&mut pair.client).remove(0);
        *forged.last_mut().unwrap() ^= 1;
        let before = pair.server.talk.forged();
        let hidden = [&alert[..], &forged].concat();
        assert_eq!(pair.server.handle_datagram(pair.now, &hidden), Err(Drop::ClearAlert), "{versions:?}");
        assert_eq!(pair.server.talk.forged(), before + 1, "{versions:?}");
        assert_eq!(pair.server.handle_datagram(pair.now, &alert), Err(Drop::ClearAlert));
        assert_eq!(pair.server.talk.forged(), before + 1, "an alert alone is no guess");
    }
}

#[test]
fn flights_respect_the_mtu() {
    for versions in [Versions::V12, Versions::V13, Versions::Auto] {
        for mtu in [256, 400, 1_200] {
            let config = Config { versions, mtu, ..Config::default() };
            let context = Context::new(config, Certificate::generate().unwrap()).unwrap();
            let mut pair = Pair::new(&context, &context, 0, Network::default());
            let mut longest = 0;
            for _ in 0..200 {
                pair.collect();
                longest = pair.flying.iter().map(|flying| flying.bytes.len()).chain([longest]).max().unwrap();
                pair.run_for(Duration::from_millis(10));
            }
            pair.keys();
            assert!(longest <= mtu, "{versions:?}: {longest} bytes, MTU {mtu}");
        }
    }
}
