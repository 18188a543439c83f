//! Renewed keys of 1.3 and acknowledgements over paths that lose, at bad moments, and forged (RFC 9147, sections 7 and 8).

use super::*;
use crate::base::limits;
use crate::session::dtls::flight::{Flight, RecordNumber};
use crate::session::dtls::message::{KEY_UPDATE, Message, NEW_SESSION_TICKET};
use crate::session::dtls::outgoing::Outgoing;
use crate::session::dtls::record::{ACK, HANDSHAKE};

const BOTH: [Role; 2] = [Role::Client, Role::Server];

fn other(role: Role) -> Role {
    if role == Role::Client { Role::Server } else { Role::Client }
}

/// As if half of what a key is good for were used: it is renewed with the next record.
fn wear_out(pair: &mut Pair, role: Role) {
    let number = limits::DTLS_RECORDS / 2;
    pair.end(role).talk.outgoing.skip_to(number);
    pair.end(other(role)).talk.expect_from(number);
}

/// The same, and says it.
fn renew(pair: &mut Pair, role: Role) {
    wear_out(pair, role);
    let now = pair.now;
    pair.end(role).send(b"renews").unwrap();
    pair.end(role).handle_timeout(now);
}

fn epoch(pair: &mut Pair, role: Role) -> u16 {
    pair.end(role).talk.outgoing.epoch()
}

/// Data passes both ways.
fn talks(pair: &mut Pair, what: &str) {
    pair.client_events.clear();
    pair.server_events.clear();
    for role in BOTH {
        pair.end(role).send(b"still here").unwrap();
    }
    pair.run_for(Duration::from_millis(100));
    let heard = [Event::Data(b"still here"[..].into())];
    assert_eq!((&pair.client_events[..], &pair.server_events[..]), (&heard[..], &heard[..]), "{what}");
}

#[test]
fn s_dtls_16_keys_renewed_by_both_at_once_cross() {
    // What of the acknowledgements, and of the updates, is lost at first.
    for lost in 0..16_u8 {
        let mut pair = Pair::connected(Versions::V13);
        pair.run_for(Duration::from_secs(1));
        let before = epoch(&mut pair, Role::Client);
        for role in BOTH {
            renew(&mut pair, role);
        }
        let updates = BOTH.map(|role| transmits(pair.end(role)));
        for (at, role) in BOTH.into_iter().enumerate() {
            for datagram in updates[at].iter().filter(|_| lost >> at & 1 == 0) {
                let now = pair.now;
                let _ = pair.end(other(role)).handle_datagram(now, datagram);
            }
        }
        for (at, role) in BOTH.into_iter().enumerate() {
            if lost >> (2 + at) & 1 == 1 {
                transmits(pair.end(role));
            }
        }
        pair.run_for(Duration::from_secs(20));
        for role in BOTH {
            assert_eq!(epoch(&mut pair, role), before + 1, "{role:?}, lost {lost:04b}");
            assert!(pair.end(role).talk.flight.is_empty());
        }
        talks(&mut pair, "after both were renewed");
    }
}

#[test]
fn s_dtls_16_keys_are_renewed_over_a_path_that_loses_three_of_ten() {
    for seed in 0..30 {
        let mut pair = Pair::connected(Versions::V13);
        pair.random = Random::new([seed; 32]);
        pair.network = Network { loss: 300, double: 200, jitter: Duration::from_millis(90) };
        let before = epoch(&mut pair, Role::Client);
        for round in 1..4 {
            for role in BOTH {
                renew(&mut pair, role);
            }
            pair.run_for(Duration::from_secs(120));
            assert_eq!(BOTH.map(|role| epoch(&mut pair, role)), [before + round; 2], "seed {seed}");
        }
        pair.network = Network::default();
        pair.run_for(Duration::from_secs(1));
        talks(&mut pair, "after many renewals");
    }
}

#[test]
fn s_dtls_16_a_key_update_or_its_acknowledgement_lost_for_long_comes_again() {
    for role in BOTH {
        for ack_only in [false, true] {
            let mut pair = Pair::connected(Versions::V13);
            pair.run_for(Duration::from_secs(1));
            let before = epoch(&mut pair, role);
            renew(&mut pair, role);
            if ack_only {
                for datagram in transmits(pair.end(role)) {
                    let now = pair.now;
                    pair.end(other(role)).handle_datagram(now, &datagram).unwrap();
                }
            }
            pair.network.loss = 1_000;
            pair.run_for(Duration::from_secs(60));
            assert_eq!(epoch(&mut pair, role), before, "not before it is acknowledged");
            pair.network.loss = 0;
            pair.run_for(Duration::from_secs(20));
            assert_eq!(epoch(&mut pair, role), before + 1);
            talks(&mut pair, "after a renewal that took long");
        }
    }
}

#[test]
fn s_dtls_19_keys_that_are_renewed_while_the_handshake_ends_to_linger_stay() {
    for role in BOTH {
        for ack_only in [false, true] {
            let mut pair = Pair::connected(Versions::V13);
            let connected = Instant::from_millis(1_000) + Duration::from_millis(100);
            pair.run_for(connected + limits::DTLS_LINGER - pair.now - Duration::from_millis(150));
            let before = epoch(&mut pair, role);
            assert!(pair.client.poll_timeout().is_some() && pair.server.poll_timeout().is_some());
            renew(&mut pair, role);
            if ack_only {
                for datagram in transmits(pair.end(role)) {
                    let now = pair.now;
                    pair.end(other(role)).handle_datagram(now, &datagram).unwrap();
                }
            }
            pair.network.loss = 1_000;
            pair.run_for(Duration::from_millis(250));
            pair.network.loss = 0;
            // With the old key still.
            talks(&mut pair, "in the middle of it");
            pair.run_for(Duration::from_secs(20));
            assert_eq!(epoch(&mut pair, role), before + 1, "{role:?} {ack_only}");
            talks(&mut pair, "afterwards");
        }
    }
}

#[test]
fn s_dtls_16_acknowledgements_that_are_forged_malformed_or_of_nothing_renew_no_key() {
    let mut pair = Pair::connected(Versions::V13);
    pair.run_for(Duration::from_secs(1));
    let before = epoch(&mut pair, Role::Client);
    renew(&mut pair, Role::Client);
    for datagram in transmits(&mut pair.client) {
        pair.server.handle_datagram(pair.now, &datagram).unwrap();
    }
    let genuine = transmits(&mut pair.server).concat();
    for at in 0..genuine.len() {
        let mut forged = genuine.clone();
        forged[at] ^= 1;
        assert!(pair.client.handle_datagram(pair.now, &forged).is_err(), "byte {at}");
        let _ = pair.client.handle_datagram(pair.now, &genuine[..at]);
    }
    // The peer's own, and yet of no use.
    let entry = |epoch: u64, number: u64| [epoch.to_be_bytes(), number.to_be_bytes()].concat();
    let list =
        |entries: &[Vec<u8>]| [&(16 * entries.len() as u16).to_be_bytes()[..], &entries.concat()].concat();
    let never = entry(before.into(), limits::DTLS_RECORDS);
    let useless: [(Vec<u8>, Drop); 8] = [
        (vec![], Drop::Truncated),
        (vec![0], Drop::Truncated),
        (list(&[]), Drop::Ignored),
        (list(&[never]), Drop::Ignored),
        (list(&[entry(0, 0), entry(u64::MAX, u64::MAX), entry(2, 1)]), Drop::Ignored),
        ([&[0, 15][..], &[0; 15]].concat(), Drop::Truncated),
        ([&[0, 16][..], &[0; 32]].concat(), Drop::Truncated),
        ([&[0xff, 0xf0][..], &[0; 16]].concat(), Drop::Truncated),
    ];
    for (body, expected) in useless {
        let epoch = pair.server.talk.outgoing.epoch();
        pair.server.talk.outgoing.record(epoch, ACK, &body).unwrap();
        pair.server.talk.outgoing.flush();
        let datagram = transmits(&mut pair.server).concat();
        assert_eq!(pair.client.handle_datagram(pair.now, &datagram), Err(expected), "{body:?}");
    }
    assert_eq!(epoch(&mut pair, Role::Client), before);
    assert_eq!(pair.client.handle_datagram(pair.now, &genuine), Ok(()));
    assert_eq!(epoch(&mut pair, Role::Client), before + 1);
    pair.run_for(Duration::from_millis(100));
    talks(&mut pair, "after forgeries");
}

#[test]
fn s_dtls_16_a_key_update_that_asks_for_ours_waits_for_our_finished() {
    let mut pair = Pair::new(&context(Versions::V13), &context(Versions::V13), 0, Network::default());
    while pair.server_events.is_empty() {
        pair.run_for(Duration::from_millis(1));
    }
    // The acknowledgement of Finished is lost; the server asks for a new key.
    pair.flying.clear();
    pair.keys();
    let finished = pair.client.talk.flight.messages().count();
    assert!(finished > 0);
    let talk = &mut pair.server.talk;
    talk.begin_flight();
    talk.say_aside(KEY_UPDATE, vec![1]);
    talk.flight.say(&mut talk.outgoing);
    let before = epoch(&mut pair, Role::Client);
    for datagram in transmits(&mut pair.server) {
        pair.client.handle_datagram(pair.now, &datagram).unwrap();
    }
    assert_eq!(pair.client.talk.flight.messages().count(), finished, "it is said again still");
    pair.run_for(Duration::from_secs(10));
    assert_eq!(epoch(&mut pair, Role::Client), before + 1);
    assert!(pair.client.talk.flight.is_empty());
    talks(&mut pair, "after the key that was asked for");
}

#[test]
fn s_dtls_04_a_record_of_which_a_part_was_dropped_is_not_acknowledged() {
    let mut pair = Pair::connected(Versions::V13);
    pair.run_for(Duration::from_secs(1));
    let (_, next) = pair.client.talk.places();
    let ticket = |number| Message { kind: NEW_SESSION_TICKET, number, body: [7; 40][..].into() };
    for (first, second, acknowledged) in [(next + 1, next + 2, true), (next + 3, next + 60, false)] {
        let mut body = Vec::new();
        ticket(first).whole().write(&mut body);
        ticket(second).whole().write(&mut body);
        let epoch = pair.server.talk.outgoing.epoch();
        pair.server.talk.outgoing.record(epoch, HANDSHAKE, &body).unwrap();
        pair.server.talk.outgoing.flush();
        let datagram = transmits(&mut pair.server).concat();
        let taken = pair.client.handle_datagram(pair.now, &datagram);
        assert_eq!(taken.is_ok(), acknowledged, "{taken:?}");
        assert_eq!(std::mem::take(&mut pair.client.talk.received).len(), usize::from(acknowledged));
    }
}

#[test]
fn s_dtls_10_the_latest_of_many_repetitions_is_acknowledged() {
    let mut outgoing = Outgoing::new(256);
    let mut flight = Flight::default();
    flight.begin(Duration::from_millis(300));
    flight.add(0, Message { kind: 11, number: 0, body: vec![1; 12_000].into() });
    for _ in 0..20 {
        flight.say(&mut outgoing);
        outgoing.clear();
    }
    let last = outgoing.record(0, 22, b"next").unwrap();
    // The last repetition alone, of which every record is named.
    for number in last - 60..last {
        flight.on_acknowledged(RecordNumber { epoch: 0, number });
    }
    assert!(flight.is_empty());
}

#[test]
fn s_dtls_16_an_acknowledgement_of_many_records_fits_into_the_smallest_datagram() {
    let config = Config { versions: Versions::V13, mtu: 256, ..Config::default() };
    let context = Context::new(config, Certificate::generate().unwrap()).unwrap();
    let mut pair = Pair::new(&context, &context, 0, Network::default());
    pair.run_for(Duration::from_secs(1));
    pair.keys();
    let (_, next) = pair.client.talk.places();
    // Tickets from the second on: the last one is the missing one.
    for at in (0..4).rev() {
        for _ in 0..12 {
            let mut body = Vec::new();
            Message { kind: NEW_SESSION_TICKET, number: next + at, body: [7; 40][..].into() }
                .whole()
                .write(&mut body);
            let epoch = pair.server.talk.outgoing.epoch();
            pair.server.talk.outgoing.record(epoch, HANDSHAKE, &body).unwrap();
            pair.server.talk.outgoing.flush();
            let datagram = transmits(&mut pair.server).concat();
            let _ = pair.client.handle_datagram(pair.now, &datagram);
            for said in transmits(&mut pair.client) {
                assert!(said.len() <= 256, "{} bytes", said.len());
            }
            assert!(pair.client.talk.received.len() <= limits::DTLS_ACKNOWLEDGED);
        }
    }
    talks(&mut pair, "after tickets");
}
