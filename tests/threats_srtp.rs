//! Threats to SRTP in a live conference, each named by its identifier, and encrypted headers in one.

mod support;

use estafette::rtp::{HeaderWriter, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};
use estafette::srtp::{MasterKey, OpenError, Profile, Sealer};
use estafette::{DropReason, Engine, EngineConfig, HostCandidate, SourceId, rtcp};
use std::collections::BTreeSet;
use support::client::publish::Plan;
use support::harness::{Options, home, live, millis, seconds, server};
use support::invariants::digest;
use support::{Client, Conference, Link};

fn dropped(engine: &Engine, reason: DropReason) -> u64 {
    engine.stats().dropped(reason)
}

/// Two of three clients take encrypted headers.
fn mixed() -> Conference {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..3 {
        let plan = Plan { first_seq: 65_400, ..Plan::default() };
        let mut client = conference.client(index, plan, 0);
        client.describe.cryptex = index < 2;
        conference.join(room, client);
    }
    conference.connect();
    conference.drive(seconds(2));
    conference
}

#[test]
fn rfc_9335_4_headers_are_encrypted_for_those_who_ask_and_for_nobody_else() {
    let mut conference = mixed();
    conference.assert_all_seen(40);
    for seat in 0..3 {
        let client = &conference.seats[seat].endpoint;
        let asked = seat < 2;
        assert_eq!(client.describe.last.contains("a=cryptex"), asked);
        assert_eq!(client.describe.cryptex_agreed, asked);
        let (encrypted, plain) = (client.encrypted_headers, client.plain_extensions);
        assert!(if asked { plain == 0 && encrypted > 200 } else { encrypted == 0 && plain > 200 });
        assert_eq!(client.unopened, 0);
        // Transport-wide numbers are in the header: without them there is nothing to feed back.
        assert!(client.feedbacks > 10);
    }
    assert_eq!(conference.engine.stats().dropped_in_all(), 0);

    // Off in the middle of a call, and on again.
    for cryptex in [false, true] {
        conference.endpoint(1).describe.cryptex = cryptex;
        let before = conference.seats[1].endpoint.encrypted_headers;
        conference.renegotiate(1);
        conference.drive(seconds(1));
        let after = conference.seats[1].endpoint.encrypted_headers;
        assert_eq!(after - before > 100, cryptex, "{before} {after}");
        conference.assert_all_seen(60);
    }
}

#[test]
fn rfc_9335_lost_packets_are_repaired_under_encrypted_headers() {
    let link = Link::lossy(0.05);
    let mut conference = Conference::<Client>::new(Options { link, ..Options::default() });
    let room = conference.room();
    for index in 0..2 {
        let mut client = conference.client(index, Plan::default(), 0);
        client.describe.cryptex = true;
        conference.join(room, client);
    }
    conference.connect();
    conference.drive(seconds(5));
    conference.assert_all_seen(60);
    for seat in 0..2 {
        let client = &conference.seats[seat].endpoint;
        assert!(client.publisher.video.repeated > 0, "towards the engine");
        let other = (1 - seat).to_string();
        assert!(client.receiver.track(&other, true).unwrap().repaired > 0, "and from it");
    }
}

#[test]
fn an_engine_told_not_to_encrypt_headers_does_not_say_it_would() {
    let engine = EngineConfig {
        cryptex: false,
        candidates: vec![HostCandidate::udp(server())],
        ..EngineConfig::default()
    };
    let mut conference = Conference::<Client>::new(Options { engine, ..Options::default() });
    let room = conference.room();
    for index in 0..2 {
        let mut client = conference.client(index, Plan::default(), 0);
        client.describe.cryptex = true;
        conference.join(room, client);
    }
    conference.connect();
    conference.drive(seconds(1));
    conference.assert_all_seen(20);
    for seat in &conference.seats {
        assert!(!seat.endpoint.describe.last.contains("cryptex"));
        assert_eq!(seat.endpoint.encrypted_headers, 0);
    }
}

#[test]
fn s_srtp_13_encrypted_headers_that_were_not_negotiated_are_dropped_and_counted() {
    let mut conference = mixed();
    let reason = DropReason::Srtp(OpenError::Cryptex);
    assert_eq!(dropped(&conference.engine, reason), 0);
    // Authentic, but nobody said that this would be understood: known streams and new ones alike.
    conference.endpoint(2).describe.cryptex_agreed = true;
    conference.endpoint(2).send_encrypted_headers();
    let (from, before) = (conference.seats[2].endpoint.publisher.audio.sent, conference.seen(0, 2));
    conference.drive(millis(500));
    let sent = conference.seats[2].endpoint.publisher.audio.sent - from;
    assert!(sent > 20 && dropped(&conference.engine, reason) >= sent);
    assert!(conference.seen(0, 2).audio <= before.audio + 2, "nothing passes");
    let stranger = [0x90, 111, 0, 1, 0, 0, 0, 0, 9, 9, 9, 9, 0xc0, 0xde, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let before = (digest(&conference.engine), dropped(&conference.engine, reason));
    conference.inject(home(2), &[&stranger[..], &[0; 30]].concat());
    assert_eq!((digest(&conference.engine), dropped(&conference.engine, reason)), (before.0, before.1 + 1));
}

#[test]
fn s_srtp_11_plain_rtp_and_rtcp_after_the_negotiation_are_dropped() {
    let mut conference = live(2, Options::default());
    let video = conference.seats[0].endpoint.publisher.video.ssrc;
    let mut rtp = vec![0; 12];
    let payload_type = PayloadType::new(96).unwrap();
    for ssrc in [video, Ssrc(0x1234_5678)] {
        let writer = HeaderWriter::new(&mut rtp, true, payload_type, WireSeq(9), RtpTime(7), ssrc).unwrap();
        writer.finish().unwrap();
        let mut control = vec![0; 200];
        let mut writer = rtcp::Writer::new(&mut control);
        writer.pli(ssrc, ssrc).unwrap();
        let len = writer.len();
        let datagrams = [
            rtp.clone(),
            [&rtp[..], &[0x5a; 3]].concat(),
            [&rtp[..], &[0x5a; 900]].concat(),
            control[..len].to_vec(),
        ];
        for datagram in datagrams {
            let (before, state) = (conference.engine.stats().datagrams_dropped, digest(&conference.engine));
            conference.inject(home(0), &datagram);
            assert_eq!(conference.engine.stats().datagrams_dropped, before + 1);
            assert_eq!(digest(&conference.engine), state);
        }
    }
    conference.step();
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
}

#[test]
fn s_srtp_14_old_keys_are_gone_with_a_new_handshake() {
    let mut conference = live(2, Options::default());
    let replaced = conference.seats[0].endpoint.publisher.audio.sent;
    conference.renew(0);
    let late = [true, false].map(|rtp| conference.endpoint(0).under_old_keys(rtp));
    // Before the new handshake and after it.
    let mut before = dropped(&conference.engine, DropReason::NoKeys);
    for datagram in &late {
        conference.inject(home(0), datagram);
    }
    assert_eq!(dropped(&conference.engine, DropReason::NoKeys) - before, 2);
    conference.tap = true;
    assert!(conference.drive_until(seconds(5), |conference| conference.seats[0].endpoint.connected()));
    conference.drive(seconds(1));
    before = dropped(&conference.engine, DropReason::Srtp(OpenError::Authentication));
    for datagram in &late {
        conference.inject(home(0), datagram);
    }
    let after = dropped(&conference.engine, DropReason::Srtp(OpenError::Authentication));
    assert_eq!(after - before, 2);
    assert!(conference.seats[0].endpoint.publisher.audio.sent > replaced + 20);
    // Media goes on under the new keys, both ways.
    let (to, from) = (conference.seen(0, 1), conference.seen(1, 0));
    conference.drive(seconds(1));
    assert!(conference.seen(0, 1).audio > to.audio + 40 && conference.seen(1, 0).audio > from.audio + 40);
}

/// The invariant itself, that no (SSRC, number) is sealed twice under a key (I-10), is watched at
/// every step of every conference.
#[test]
fn s_srtp_09_no_nonce_twice_over_pause_resubscription_repair_and_restart() {
    let link = Link::lossy(0.03);
    let mut conference = live(3, Options { link, ..Options::default() });
    let (room, receiver) = (conference.seats[0].room, conference.participant(1));
    let published: Vec<SourceId> = {
        let publisher = conference.participant(0);
        let room = conference.engine.room(room).unwrap();
        room.sources().filter(|source| source.participant == publisher).map(|source| source.id).collect()
    };
    assert_eq!(published.len(), 2);
    conference.tap = true;
    for round in 0..6 {
        for source in &published {
            let mut participant = conference.engine.participant(receiver).unwrap();
            participant.unsubscribe(*source);
            // At once, or after the subscriber was told.
            if round % 2 == 0 {
                participant.subscribe(*source).unwrap();
            }
        }
        conference.drive(millis(150));
        for source in &published {
            conference.engine.participant(receiver).unwrap().subscribe(*source).unwrap();
        }
        conference.endpoint(0).publisher.paused = round % 3 == 1;
        if round == 3 {
            conference.endpoint(1).ice.restart();
            conference.renegotiate(1);
        }
        conference.drive(millis(700));
    }
    conference.endpoint(0).publisher.paused = false;
    conference.drive(seconds(2));
    let stats = conference.engine.participant(receiver).unwrap().stats();
    assert!(stats.retransmitted_packets_sent > 0, "{stats:?}");
    // Repetitions have SSRCs of their own, announced as such.
    let tracks = conference.seats[1].endpoint.receiver.tracks.values();
    let (media, repair): (BTreeSet<u32>, BTreeSet<u32>) = tracks
        .map(|track| (track.announced.ssrc.0, track.announced.rtx_ssrc.map_or(0, |ssrc| ssrc.0)))
        .unzip();
    assert!(media.is_disjoint(&repair));
    let sent: BTreeSet<(u32, u16)> = conference
        .outgoing
        .iter()
        .filter(|packet| packet.to == home(1))
        .filter_map(|packet| estafette::rtp::Packet::parse(&packet.data).ok())
        .filter(|packet| packet.payload_type().get() < 64 || packet.payload_type().get() > 95)
        .map(|packet| (packet.ssrc().0, packet.sequence_number().0))
        .collect();
    assert!(sent.iter().any(|(ssrc, _)| repair.contains(ssrc)));
    assert!(sent.len() > 500, "{}", sent.len());
}

/// What a repetition carries is what was sent: the same bytes behind the number, under another nonce.
#[test]
fn s_srtp_09_a_repetition_is_the_same_bytes() {
    let mut conference = live(2, Options::default());
    let track = conference.seats[1].endpoint.receiver.track("0", true).unwrap();
    let (media, highest) = (track.announced.ssrc, track.highest.unwrap());
    conference.endpoint(0).publisher.paused = true;
    conference.drive(millis(100));
    for _ in 0..2 {
        conference.endpoint(1).send_rtcp(|writer| {
            writer.nack(Ssrc(7), media, (0..8).map(|back| WireSeq((highest - back) as u16))).unwrap();
        });
        conference.drive(millis(300));
    }
    // Its content proves itself, packet by packet.
    let track = conference.seats[1].endpoint.receiver.track("0", true).unwrap();
    assert_eq!((track.repaired, track.doubled), (16, 16));
}

#[test]
fn s_srtp_10_a_key_of_ones_own_making_opens_nothing() {
    let mut conference = live(2, Options::default());
    let ssrc = conference.seats[0].endpoint.publisher.video.ssrc;
    let key = MasterKey::new(Profile::AeadAes256Gcm, &[7; 32], &[9; 12]).unwrap();
    let mut sealer = Sealer::new(&key);
    let before = dropped(&conference.engine, DropReason::Srtp(OpenError::Authentication));
    for (cryptex, seq) in [(false, 65_500), (true, 65_501)] {
        sealer.use_cryptex(cryptex);
        let header = [&[0x80, 96, 0xff, seq as u8, 0, 0, 0, 0][..], &ssrc.0.to_be_bytes()].concat();
        let mut out = [0; 100];
        let len = sealer.seal_rtp(&header, &[], &[1; 20], SeqNo(seq), ssrc, &mut out).unwrap();
        conference.inject(home(0), &out[..len]);
    }
    let after = dropped(&conference.engine, DropReason::Srtp(OpenError::Authentication));
    assert_eq!(after - before, 2);
}
