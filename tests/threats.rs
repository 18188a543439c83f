//! Threats to a live conference, each named by its identifier: what attackers, participants and the
//! embedder do, while the others notice nothing.

mod support;

use estafette::negotiation::NegotiationError;
use estafette::rtcp;
use estafette::rtp::{SeqNo, Ssrc, WireSeq};
use estafette::{DropReason, Event, Instant, LeaveReason, LimitReached, ice, limits, sdp};
use std::net::SocketAddr;
use std::time::Duration;
use support::client::ice::Credentials;
use support::client::publish::Plan;
use support::harness::{Options, held, home, live, millis, seconds, server};
use support::{Client, Conference, Link};

#[test]
fn s_stun_16_an_ice_restart_changes_all_credentials_and_interrupts_nothing() {
    let mut conference = live(3, Options::default());
    let before = (conference.endpoint(0).ice.local.clone(), conference.endpoint(0).ice.remote.clone());
    let old_check = conference.endpoint(0).ice.check(true);
    conference.endpoint(0).ice.restart();
    conference.renegotiate(0);
    conference.drive(seconds(2));
    let after = (conference.endpoint(0).ice.local.clone(), conference.endpoint(0).ice.remote.clone());
    let (old, new) = (before.1.unwrap(), after.1.unwrap());
    assert!(old.ufrag != new.ufrag && old.pwd != new.pwd && before.0 != after.0);
    conference.assert_all_seen(60);
    let silence = conference.seats[1].endpoint.receiver.track("0", false).unwrap().longest_silence;
    assert!(silence <= millis(60), "{silence:?}");
    let dropped = conference.engine.stats().datagrams_dropped;
    conference.inject(home(0), &old_check);
    assert_eq!(conference.engine.stats().datagrams_dropped, dropped + 1, "old ones are dead");
}

#[test]
fn s_stun_16_a_restart_by_credentials_alone_does_the_same() {
    let mut conference = live(3, Options::default());
    let old_check = conference.endpoint(0).ice.check(true);
    let kept = conference.endpoint(0).ice.local.clone();
    conference.endpoint(0).ice.restart();
    let theirs = conference.endpoint(0).ice.local.clone();
    let remote = ice::Credentials::new(&theirs.ufrag, &theirs.pwd).unwrap();
    let half = ice::Credentials::new(&theirs.ufrag, &kept.pwd).unwrap();
    let id = conference.participant(0);
    let mut participant = conference.engine.participant(id).unwrap();
    let refused = |result| matches!(result, Err(NegotiationError::State { .. }));
    assert!(refused(participant.restart_ice(&half)), "both change or none");
    let ours = participant.restart_ice(&remote).unwrap();
    assert!(refused(participant.restart_ice(&remote)), "the same again is no restart");
    let ours = Credentials { ufrag: ours.ufrag().to_owned(), pwd: ours.pwd().to_owned() };
    assert_ne!(conference.endpoint(0).ice.remote.as_ref(), Some(&ours));
    let now = conference.now;
    conference.endpoint(0).ice.set_remote(now, ours);
    conference.drive(seconds(2));
    conference.assert_all_seen(60);
    let silence = conference.seats[1].endpoint.receiver.track("0", false).unwrap().longest_silence;
    assert!(silence <= millis(60), "{silence:?}");
    let dropped = conference.engine.stats().datagrams_dropped;
    conference.inject(home(0), &old_check);
    assert_eq!(conference.engine.stats().datagrams_dropped, dropped + 1, "old ones are dead");
    // What is negotiated by descriptions later goes on from there.
    conference.renegotiate(0);
    conference.drive(seconds(2));
    conference.assert_all_seen(120);
}

#[test]
fn s_stun_10_trickled_candidates_are_counted_and_bounded() {
    let mut conference = live(2, Options::default());
    let id = conference.participant(0);
    let mut participant = conference.engine.participant(id).unwrap();
    let candidate = sdp::Candidate::parse("1 1 udp 2122260223 198.51.100.9 9999 typ host").unwrap();
    for _ in 0..limits::CANDIDATES {
        assert_eq!(participant.add_remote_candidate(&candidate), Ok(()));
    }
    assert_eq!(participant.add_remote_candidate(&candidate), Err(LimitReached));
    conference.tap = true;
    conference.drive(seconds(1));
    assert!(conference.outgoing.iter().all(|packet| packet.to.port() != 9999), "nothing is sent there");
}

#[test]
fn s_stun_14_media_moves_only_after_proof() {
    let mut conference = live(3, Options::default());
    let (old, new) = (home(0), SocketAddr::new(home(0).ip(), 61_000));
    conference.tap = true;

    // An attacker replays the participant's own check from elsewhere: an authentic request.
    let attacker: SocketAddr = ([198, 51, 100, 9], 9_999).into();
    let check = conference.endpoint(0).ice.check(true);
    conference.inject(attacker, &check);
    conference.drive(seconds(2));
    let to_attacker = conference.outgoing.iter().filter(|packet| packet.to == attacker);
    let bytes: usize = to_attacker.clone().map(|packet| packet.data.len()).sum();
    assert!(to_attacker.clone().all(|packet| packet.data[0] < 4), "nothing but STUN");
    assert!(bytes <= 3 * check.len(), "I-04: {bytes} bytes for {}", check.len());
    assert!(conference.outgoing.iter().any(|packet| packet.to == old && packet.data[0] >= 128));

    // The participant itself moves: media follows once it answered our check from there.
    conference.outgoing.clear();
    let now = conference.now;
    conference.endpoint(0).move_to(now, new, true);
    conference.readdress(0);
    conference.drive(seconds(1));
    let at = |to, kind: fn(u8) -> bool| {
        conference.outgoing.iter().position(|packet| packet.to == to && kind(packet.data[0]))
    };
    let (checked, media) = (at(new, |first| first < 4), at(new, |first| first >= 128));
    assert!(checked.is_some() && checked < media, "{checked:?} {media:?}");
    let last_old = conference.outgoing.iter().rposition(|packet| packet.to == old && packet.data[0] >= 128);
    assert!(last_old < media, "one path at a time");
    let moved = |(_, event): &(Instant, Event)| matches!(event, Event::PathChanged { path, .. } if path.remote == new);
    assert_eq!(conference.events.iter().filter(|event| moved(event)).count(), 1);
    conference.drive(seconds(1));
    for other in 1..3 {
        assert!(conference.seen(0, other).video > 60, "{:?}", conference.seen(0, other));
        assert!(conference.seen(other, 0).video > 60, "{:?}", conference.seen(other, 0));
    }
}

#[test]
fn s_stun_14_a_valid_path_serves_before_it_is_nominated_and_no_longer_than_consent() {
    let mut conference = Conference::of(3, Options::default());
    conference.endpoint(2).ice.nominates = false;
    conference.tap = true;
    conference.connect();
    conference.drive(seconds(2));
    // Everything goes both ways, and to no address that has not answered a check.
    conference.assert_all_seen(20);
    let to = |packet: &&support::Packet| packet.to == home(2);
    let first = conference.outgoing.iter().filter(to).position(|packet| packet.data[0] >= 128);
    assert!(first.is_some_and(|media| media > 0), "{first:?}");
    // A nomination that comes later changes nothing.
    conference.endpoint(2).ice.nominates = true;
    conference.drive(seconds(4));
    assert!(!conference.events.iter().any(|(_, event)| matches!(event, Event::PathChanged { .. })));
    conference.assert_all_seen(60);

    // A restart before that interrupts nothing.
    let mut conference = Conference::of(3, Options::default());
    conference.endpoint(2).ice.nominates = false;
    conference.connect();
    conference.drive(seconds(1));
    conference.endpoint(2).ice.restart();
    conference.renegotiate(2);
    conference.drive(seconds(2));
    conference.assert_all_seen(60);
    assert!(conference.seats[2].left.is_none());

    // Who never nominates is not asked for consent, so what it gave ends with the proof.
    let mut conference = Conference::of(3, Options::default());
    conference.endpoint(2).ice.nominates = false;
    conference.connect();
    let began = conference.now;
    assert!(conference.drive_until(seconds(60), |conference| conference.seats[2].participant.is_none()));
    assert_eq!(conference.seats[2].left, Some(LeaveReason::ConsentExpired));
    let after = conference.now - began;
    assert!(after <= limits::CONSENT_TIMEOUT + seconds(1), "{after:?}");
}

#[test]
fn s_stun_14_a_moved_sender_without_a_check_is_not_heard() {
    let mut conference = live(2, Options::default());
    let new = SocketAddr::new(home(0).ip(), 61_000);
    let now = conference.now;
    conference.endpoint(0).ice.checks = false;
    conference.endpoint(0).move_to(now, new, false);
    conference.readdress(0);
    let before = conference.engine.stats();
    conference.drive(millis(500));
    let after = conference.engine.stats();
    let unknown = after.dropped(DropReason::UnknownAddress) - before.dropped(DropReason::UnknownAddress);
    assert!(unknown > 50, "{unknown}");
}

#[test]
fn s_stun_15_consent_that_expires_ends_the_participation() {
    let mut conference = live(3, Options::default());
    conference.endpoint(2).ice.answers = false;
    let stopped = conference.now;
    conference.tap = true;
    assert!(conference.drive_until(seconds(45), |conference| conference.seats[2].participant.is_none()));
    assert_eq!(conference.seats[2].left, Some(LeaveReason::ConsentExpired));
    let after = conference.now - stopped;
    // The last proof may be one period older than the last answer.
    assert!((seconds(24)..=seconds(32)).contains(&after), "{after:?}");
    conference.outgoing.clear();
    conference.drive(seconds(2));
    assert!(conference.outgoing.iter().all(|packet| packet.to != home(2)), "nothing follows it");
    conference.assert_all_seen(200);
}

#[test]
fn s_rtcp_04_key_frame_requests_of_all_subscribers_are_merged() {
    let mut conference = live(5, Options::default());
    conference.drive(seconds(1));
    let before = conference.seats[0].endpoint.publisher.video.requests;
    let mut flood = 0;
    for _ in 0..40 {
        for seat in 1..5 {
            conference.endpoint(seat).request_keyframes();
            flood += 1;
        }
        conference.drive(millis(50));
    }
    let requests = conference.seats[0].endpoint.publisher.video.requests - before;
    assert!((3..=5).contains(&requests), "{flood} requests of four subscribers in 2 s became {requests}");
}

#[test]
fn s_rtcp_04_requests_for_streams_of_others_are_ignored() {
    let mut conference = live(3, Options::default());
    conference.drive(seconds(1));
    let before = conference.seats[0].endpoint.publisher.video.requests;
    let published = conference.seats[0].endpoint.publisher.video.ssrc;
    let sent_to_1 = conference.seats[1].endpoint.receiver.track("0", true).unwrap().announced.ssrc;
    for media in [published, sent_to_1, Ssrc(0), Ssrc(u32::MAX)] {
        conference.endpoint(2).send_rtcp(|writer| {
            writer.receiver_report(Ssrc(7), &[]).unwrap();
            writer.pli(Ssrc(7), media).unwrap();
            writer.fir(Ssrc(7), &[rtcp::FirEntry { ssrc: media, sequence_number: 1 }]).unwrap();
        });
    }
    conference.drive(seconds(1));
    assert_eq!(conference.seats[0].endpoint.publisher.video.requests, before);
}

#[test]
fn s_rtcp_03_a_flood_of_requests_for_packets_is_answered_once_a_round_trip() {
    let mut conference = live(2, Options::default());
    conference.drive(seconds(1));
    let track = conference.seats[1].endpoint.receiver.track("0", true).unwrap();
    let (media, highest) = (track.announced.ssrc, track.highest.unwrap());
    let before = conference.engine.stats();
    let participant = conference.participant(1);
    let sent = |conference: &mut Conference| {
        conference.engine.participant(participant).unwrap().stats().retransmitted_packets_sent
    };
    assert_eq!(sent(&mut conference), 0);
    conference.endpoint(0).publisher.paused = true;
    for _ in 0..20 {
        conference.endpoint(1).send_rtcp(|writer| {
            let wanted = (0..16).map(|back| WireSeq((highest - back) as u16));
            writer.nack(Ssrc(7), media, wanted).unwrap();
            // Numbers never sent, and streams of others.
            writer
                .nack(Ssrc(7), media, (1..17).map(|ahead| WireSeq((highest + 5_000 + ahead) as u16)))
                .unwrap();
            writer
                .nack(Ssrc(7), Ssrc(media.0 ^ 1), (0..16).map(|back| WireSeq((highest - back) as u16)))
                .unwrap();
        });
        conference.drive(millis(1));
    }
    conference.drive(millis(100));
    let answered = sent(&mut conference);
    assert!((16..=32).contains(&answered), "{answered} of 320");
    let doubled = conference.seats[1].endpoint.receiver.track("0", true).unwrap().doubled;
    assert_eq!(doubled, answered, "what was asked for came, whole");
    assert_eq!(conference.engine.stats().dropped_in_all(), before.dropped_in_all());
}

#[test]
fn s_rtp_05_the_ssrc_of_another_is_the_senders_own_stream() {
    // Both publish with the same SSRCs and numbers: the second is told so by its own seed.
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let mut first = conference.client(0, Plan::default(), 0);
    let mut second = conference.client(1, Plan::default(), 0);
    second.publisher.video.ssrc = first.publisher.video.ssrc;
    second.publisher.video.rtx_ssrc = first.publisher.video.rtx_ssrc;
    second.publisher.audio.ssrc = first.publisher.audio.ssrc;
    first.publisher.paused = false;
    conference.join(room, first);
    conference.join(room, second);
    conference.add(room, 2);
    conference.connect();
    conference.drive(seconds(2));
    conference.assert_all_seen(40);
    let requests = |conference: &Conference<Client>| {
        [0, 1].map(|seat| conference.seats[seat].endpoint.publisher.video.requests)
    };
    let before = requests(&conference);
    conference.endpoint(2).request_keyframes();
    conference.drive(millis(600));
    for (before, after) in before.into_iter().zip(requests(&conference)) {
        assert!(after > before, "each is asked for its own");
    }
}

#[test]
fn s_rtp_05_our_own_egress_ssrc_is_nothing_to_a_publisher() {
    let mut conference = live(3, Options::default());
    let ours = conference.seats[2].endpoint.receiver.track("0", true).unwrap().announced.ssrc;
    let before = conference.seen(2, 0);
    // What it makes of its own stream is its own affair.
    conference.endpoint(2).lawless = true;
    for seat in 0..2 {
        conference.endpoint(seat).receiver.distrusted.push("2".into());
    }
    // A packet under the SSRC that the engine uses towards this very participant, without a mid.
    let header = [0x80, 96, 0, 1, 0, 0, 0, 0];
    let header = [&header[..], &ours.0.to_be_bytes()].concat();
    conference.endpoint(2).send_rtp(ours, SeqNo(1), &header, &[0x10; 400]);
    conference.drive(seconds(1));
    assert!(conference.seen(2, 0).video > before.video + 15);
    assert!(conference.seen(1, 0).broken.is_empty());
}

#[test]
fn s_mux_01_empty_and_over_long_datagrams_are_dropped() {
    let mut conference = live(2, Options::default());
    let before = conference.engine.stats();
    for from in [home(0), ([198, 51, 100, 1], 1).into()] {
        conference.inject(from, &[]);
        conference.inject(from, &[0x80]);
        conference.inject(from, &[0]);
        conference.inject(from, &vec![0x80; limits::DATAGRAM + 1]);
        conference.inject(from, &vec![0x16; 65_507]);
    }
    let after = conference.engine.stats();
    assert_eq!(after.datagrams_dropped - before.datagrams_dropped, 10);
    assert_eq!(after.dropped(DropReason::TooLong) - before.dropped(DropReason::TooLong), 4);
    conference.step();
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
}

#[test]
fn s_mux_04_strangers_reach_nothing_but_stun() {
    let mut conference = live(2, Options::default());
    conference.tap = true;
    conference.drive(millis(200));
    let stranger: SocketAddr = ([198, 51, 100, 1], 4_000).into();
    // Real datagrams of the call, from elsewhere.
    let recorded: Vec<Vec<u8>> = conference.outgoing.iter().map(|packet| packet.data.clone()).collect();
    assert!(recorded.len() > 50);
    conference.outgoing.clear();
    let before = conference.engine.stats();
    let mut count = 0;
    for datagram in recorded.iter().filter(|datagram| datagram[0] >= 20) {
        conference.inject(stranger, datagram);
        count += 1;
    }
    let after = conference.engine.stats();
    assert_eq!(after.dropped(DropReason::UnknownAddress) - before.dropped(DropReason::UnknownAddress), count);
    conference.drive(seconds(1));
    assert!(conference.outgoing.iter().all(|packet| packet.to != stranger), "no reply");
    conference.assert_all_seen(40);
}

#[test]
fn s_mux_05_a_million_ports_of_one_participant_do_not_evict_its_path() {
    let mut conference = live(2, Options::default());
    let check = conference.endpoint(0).ice.check(false);
    for port in 1_000..3_000 {
        conference.inject(SocketAddr::new(home(0).ip(), port), &check);
        if port % 100 == 0 {
            conference.step();
        }
    }
    conference.drive(seconds(2));
    conference.assert_all_seen(60);
    let moved = conference.events.iter().any(|(_, event)| matches!(event, Event::PathChanged { .. }));
    assert!(!moved, "the selected path stays");
}

#[test]
fn s_dtls_01_a_client_hello_from_elsewhere_is_dropped() {
    let mut conference =
        Conference::<Client>::new(Options { link: Link::delay(millis(20)), ..Options::default() });
    let room = conference.room();
    conference.add(room, 0);
    // ClientHello of a handshake that never went through: taken from the network before it arrives.
    let hello = loop {
        let at = conference.net.next_arrival().unwrap_or(conference.now + millis(1));
        conference.now = conference.now.max(at);
        let packet = conference.net.receive(conference.now);
        if let Some(packet) = packet {
            if packet.to == server() && packet.data[0] == 22 {
                break packet;
            }
            conference.deliver(&packet);
        }
        conference.step();
    };
    conference.tap = true;
    // The pair is proven meanwhile.
    conference.drive(millis(50));
    let stranger: SocketAddr = ([198, 51, 100, 1], 4_000).into();
    let refused = |conference: &mut Conference<Client>, when: &str| {
        conference.step();
        let (before, digest) = (conference.engine.stats(), conference.engine.state_digest());
        conference.inject(stranger, &hello.data);
        let after = conference.engine.stats();
        assert_eq!(after.datagrams_dropped, before.datagrams_dropped + 1, "{when}");
        assert_eq!(conference.engine.state_digest(), digest, "{when}");
        conference.step();
        let to_stranger = conference.outgoing.iter().filter(|packet| packet.to == stranger);
        assert!(to_stranger.map(|packet| packet.data[0]).all(|first| first < 4), "{when}: nothing but STUN");
    };
    refused(&mut conference, "from nobody");
    // The participant's own check, replayed, makes the address a known one, and no more.
    let check = conference.endpoint(0).ice.check(false);
    conference.inject(stranger, &check);
    refused(&mut conference, "before the handshake");
    conference.deliver(&hello);
    conference.drive(millis(10));
    assert!(!conference.seats[0].endpoint.connected());
    refused(&mut conference, "during the handshake");
    conference.add(room, 1);
    conference.connect();
    let check = conference.endpoint(0).ice.check(false);
    conference.inject(stranger, &check);
    refused(&mut conference, "after the handshake");
    conference.drive(seconds(1));
    conference.assert_all_seen(15);
}

#[test]
fn s_api_01_stale_handles_name_nothing() {
    let mut conference = live(2, Options::default());
    let (room, id) = (conference.seats[0].room, conference.participant(0));
    let source = conference.engine.room(room).unwrap().sources().next().unwrap().id;
    conference.leave(0);
    assert!(conference.engine.participant(id).is_none());
    let other = conference.participant(1);
    let subscribed = conference.engine.participant(other).unwrap().subscribe(source);
    assert!(subscribed.is_err());
    conference.engine.participant(other).unwrap().unsubscribe(source);
    let next = conference.add(room, 0);
    assert_ne!(conference.participant(next), id, "the slot is used again, the id is not");
    assert!(conference.engine.participant(id).is_none());

    // Another room's source, and one's own.
    let elsewhere = conference.room();
    let stranger = conference.add(elsewhere, 5);
    let (stranger, own) = (conference.participant(stranger), conference.participant(next));
    let sources: Vec<_> =
        conference.engine.room(room).unwrap().sources().map(|info| (info.id, info.participant)).collect();
    for (source, _) in &sources {
        assert!(conference.engine.participant(stranger).unwrap().subscribe(*source).is_err());
    }
    let (mine, _) = sources.iter().find(|(_, publisher)| *publisher == own).unwrap();
    assert!(conference.engine.participant(own).unwrap().subscribe(*mine).is_err());

    // Calls in the wrong state are typed errors that change nothing.
    let before = held(&conference.engine.stats());
    assert!(conference.engine.participant(own).unwrap().accept_answer("v=0\r\n").is_err());
    assert!(conference.engine.participant(own).unwrap().accept_offer("v=0\r\n").is_err());
    assert!(conference.engine.participant(own).unwrap().accept_offer("").is_err());
    assert_eq!(held(&conference.engine.stats()), before);
    conference.connect();
    conference.engine.room(elsewhere).unwrap().close();
    assert!(conference.engine.room(elsewhere).is_none());
    conference.drive(seconds(2));
    conference.assert_all_seen(30);
}

#[test]
fn s_api_02_time_that_stands_goes_back_or_leaps() {
    let mut conference = live(2, Options::default());
    let now = conference.now;
    // Backwards: taken as standing still.
    conference.engine.handle_timeout(Instant::ZERO);
    let mut buf = [0; 2_000];
    assert!(conference.engine.poll_transmit(Instant::ZERO, &mut buf).is_none());
    conference.engine.handle_departure(Instant::ZERO, estafette::TransmitId(3));
    assert!(conference.engine.poll_timeout().is_none_or(|at| at > now));
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
    // By a year: everybody's consent is long gone, and nothing else happens.
    conference.engine.handle_timeout(now + Duration::from_secs(365 * 86_400));
    conference.engine.handle_timeout(Instant::from_micros(u64::MAX));
    while conference.engine.poll_transmit(Instant::from_micros(u64::MAX), &mut buf).is_some() {}
    let mut left = 0;
    while let Some(event) = conference.engine.poll_event() {
        left += usize::from(matches!(event, Event::Left { .. }));
    }
    assert_eq!(left, 2);
    assert_eq!(held(&conference.engine.stats()), [1, 0, 0, 0, 0]);
}
