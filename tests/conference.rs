//! Whole conferences in virtual time: who hears and sees whom, across loss, moves and departures.

mod support;

use estafette::rtcp;
use estafette::rtp::{Ssrc, WireSeq};
use estafette::{DropReason, EngineStats, Event, Instant, LeaveReason, limits};
use std::net::SocketAddr;
use std::time::Duration;
use support::client::publish::Plan;
use support::harness::{Options, home, server};
use support::{Client, Conference, Endpoint, Link, Stage};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn lossy(seed: u64, share: f64) -> Options {
    Options { seed, link: Link::lossy(share), ..Options::default() }
}

/// What an engine holds: nothing must remain of who left.
fn held(stats: &EngineStats) -> [usize; 5] {
    [stats.rooms, stats.participants, stats.sources, stats.subscriptions, stats.history_pages]
}

/// A conference of `count` in which media has flowed for a second.
fn live(count: u32, options: Options) -> Conference {
    let mut conference = Conference::of(count, options);
    conference.connect();
    conference.drive(seconds(1));
    conference
}

#[test]
fn five_participants_hear_and_see_each_other() {
    let mut conference = live(5, Options::default());
    conference.drive(seconds(2));
    conference.assert_all_seen(60);
    let stats = conference.engine.stats();
    assert_eq!((stats.participants, stats.sources, stats.subscriptions), (5, 10, 40));
    assert_eq!(stats.dropped_in_all(), 0, "{stats:?}");
    for seat in 0..5 {
        let client = conference.endpoint(seat);
        assert!(client.feedbacks > 10 && client.report_blocks >= 2, "publishers get their feedback");
        assert_eq!((client.receiver.unannounced, client.unopened), (0, 0));
        assert_eq!(client.receiver.tracks.len(), 8);
    }
    let added = conference.events.iter().filter(|(_, event)| matches!(event, Event::SourceAdded(_))).count();
    let connected =
        conference.events.iter().filter(|(_, event)| matches!(event, Event::Connected { .. })).count();
    assert_eq!((added, connected), (10, 5));
}

#[test]
fn a_small_buffer_gives_the_same_media_one_datagram_at_a_time() {
    let mut conference = live(3, Options { arena: 1_300, ..Options::default() });
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
}

#[test]
fn who_joins_late_sees_from_a_key_frame_on() {
    let mut conference = live(2, Options::default());
    let room = conference.seats[0].room;
    let late = conference.add(room, 2);
    conference.connect();
    conference.drive(seconds(2));
    conference.assert_all_seen(30);
    for publisher in ["0", "1"] {
        let track = conference.seats[late].endpoint.receiver.track(publisher, true).unwrap();
        let waited = track.first_keyframe().unwrap() - track.first_frame().unwrap();
        assert!(waited <= 5, "the key frame came after {waited} frames");
    }
}

#[test]
fn i_02_leaving_gives_everything_back_and_rejoining_works() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let empty = held(&conference.engine.stats());
    (0..3).for_each(|index| _ = conference.add(room, index));
    conference.connect();
    conference.drive(seconds(1));
    let three = held(&conference.engine.stats());
    conference.add(room, 3);
    conference.connect();
    conference.drive(seconds(1));

    conference.leave(3);
    assert_eq!(held(&conference.engine.stats())[..4], three[..4], "at once, not in time");
    conference.drive(seconds(1));
    let removed =
        conference.events.iter().filter(|(_, event)| matches!(event, Event::SourceRemoved { .. })).count();
    assert_eq!(removed, 2);
    for seat in 0..3 {
        assert_eq!(conference.seats[seat].endpoint.receiver.tracks.len(), 4, "its sections were taken back");
    }
    let again = conference.add(room, 3);
    conference.connect();
    conference.drive(seconds(2));
    conference.assert_all_seen(40);
    assert_ne!(conference.seats[3].endpoint.ice.remote, conference.seats[again].endpoint.ice.remote);

    for seat in [0, 1, 2, again] {
        conference.leave(seat);
    }
    assert_eq!(held(&conference.engine.stats()), empty);
    conference.drive(seconds(2));
    assert_eq!(held(&conference.engine.stats()), empty, "no late datagram brings anybody back");
    assert_eq!(conference.engine.poll_timeout(), None, "nothing is pending");
}

#[test]
fn a_closed_room_is_empty_at_once() {
    let mut conference = live(3, Options::default());
    let room = conference.seats[0].room;
    conference.engine.room(room).unwrap().close();
    assert!(conference.engine.room(room).is_none());
    assert_eq!(held(&conference.engine.stats()), [0; 5]);
    conference.drive(millis(100));
    let left = |seat: &support::harness::Seat<Client>| seat.left == Some(LeaveReason::Removed);
    assert!(conference.seats.iter().all(left));
}

#[test]
fn a_closed_association_is_a_departure() {
    let mut conference = live(3, Options::default());
    let now = conference.now;
    conference.endpoint(2).close(now);
    conference.drive(millis(500));
    assert_eq!(conference.seats[2].left, Some(LeaveReason::Closed));
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
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
fn f_07_who_vanishes_in_the_handshake_is_gone_in_time() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    // One never sends a datagram, one stops after ICE, one stops within the handshake.
    for (index, lifetime) in [(0, 0), (1, 45), (2, 85)] {
        let seat = conference.add(room, index);
        conference.drive(millis(lifetime));
        assert!(!conference.endpoint(seat).connected());
        conference.endpoint(seat).stopped = true;
    }
    let began = conference.now;
    assert!(conference.drive_until(seconds(40), |conference| conference.participants().is_empty()));
    assert!(conference.now - began <= limits::CONNECT_TIMEOUT + seconds(1));
    for seat in &conference.seats {
        let reason = seat.left.expect("it is gone");
        let timely = matches!(reason, LeaveReason::ConnectTimeout | LeaveReason::Handshake(_));
        assert!(timely || reason == LeaveReason::ConsentExpired, "{reason:?}");
    }
    assert_eq!(held(&conference.engine.stats()), [1, 0, 0, 0, 0]);
}

#[test]
fn f_08_all_vanish_and_return_in_the_same_second() {
    let mut conference = live(4, Options::default());
    let room = conference.seats[0].room;
    (0..4).for_each(|seat| conference.endpoint(seat).stopped = true);
    for index in 0..4 {
        let address = SocketAddr::new(home(index).ip(), 55_000);
        let mut client = conference.client(10 + index, Plan::default(), 0);
        client.address = address;
        conference.join(room, client);
    }
    let back = |conference: &mut Conference| (4..8).all(|seat| conference.seats[seat].endpoint.connected());
    assert!(conference.drive_until(seconds(5), back));
    assert!(conference.drive_until(seconds(40), |conference| conference.participants().len() == 4));
    conference.drive(seconds(1));
    conference.assert_all_seen(100);
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
fn f_01_five_percent_loss_both_ways_breaks_no_frame() {
    let mut conference = live(4, lossy(7, 0.05));
    conference.drive(seconds(6));
    // The last repairs.
    (0..4).for_each(|seat| conference.endpoint(seat).publisher.paused = true);
    conference.drive(millis(800));
    conference.assert_all_seen(100);
    let stats = conference.engine.stats();
    assert!(stats.media_received > 1_000);
    for seat in 0..4 {
        let client = &conference.seats[seat].endpoint;
        let (up, down) =
            (client.publisher.video.repeated, client.receiver.tracks.values().map(|track| track.repaired));
        assert!(up > 5, "repaired towards the server: {up}");
        assert!(down.sum::<u64>() > 20, "repaired from the server");
        assert_eq!(client.receiver.unannounced, 0);
    }
}

#[test]
fn f_02_reordering_and_duplicates_break_no_frame_and_pass_nothing_twice() {
    let link = Link::delay(millis(15))
        .with(Stage::Jitter(millis(5)))
        .with(Stage::Reorder(0.05, millis(60)))
        .with(Stage::Duplicate(0.1));
    let mut conference = live(3, Options { seed: 3, link, ..Options::default() });
    conference.drive(seconds(3));
    conference.assert_all_seen(70);
    let stats = conference.engine.stats();
    assert!(stats.dropped_in_all() > 20, "doubles are dropped and counted");
}

#[test]
fn f_03_flipped_bits_hurt_nobody() {
    let link = Link::delay(millis(20)).with(Stage::Flip(0.01));
    let mut conference = live(3, Options { seed: 5, link, ..Options::default() });
    conference.drive(seconds(3));
    conference.assert_all_seen(60);
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
    for seat in 0..2 {
        assert!(conference.seats[seat].endpoint.publisher.video.requests > 0, "each is asked for its own");
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
    conference.endpoint(2).send_rtp(ours, estafette::rtp::SeqNo(1), &header, &[0x10; 400]);
    conference.drive(seconds(1));
    assert!(conference.seen(2, 0).video > before.video + 15);
    assert!(conference.seen(1, 0).broken.is_empty());
}

#[test]
fn s_room_02_rooms_with_equal_labels_and_ssrcs_share_nothing() {
    let mut conference = Conference::<Client>::new(Options::default());
    let rooms = [conference.room(), conference.room()];
    // The same seeds: equal user fragments, mids, SSRCs and labels in both rooms. The packets differ
    // by the room's number, and a packet of the other room is a violation that the harness finds.
    for (number, room) in rooms.into_iter().enumerate() {
        for index in 0..2 {
            let mut client = conference.client(index, Plan::default(), number as u32);
            client.address.set_port(50_000 + number as u16);
            conference.join(room, client);
        }
    }
    conference.connect();
    conference.drive(seconds(2));
    for pair in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        let seen = conference.seen(pair.0, pair.1);
        assert!(seen.video > 40 && seen.broken.is_empty(), "{pair:?} {seen:?}");
        assert_eq!(conference.seats[pair.0].endpoint.receiver.tracks.len(), 2);
    }
    let requests = |conference: &Conference| conference.seats[2].endpoint.publisher.video.requests;
    let before = requests(&conference);
    conference.endpoint(0).request_keyframes();
    conference.endpoint(1).request_keyframes();
    conference.drive(seconds(1));
    assert_eq!(requests(&conference), before, "what is asked in one room is not asked in the other");
}

#[test]
fn s_room_02_what_happens_in_one_room_does_not_move_a_byte_in_another() {
    let transcript = |busy: bool| {
        let options = Options { record: true, ..Options::default() };
        let mut conference = Conference::<Client>::new(options);
        let rooms = [conference.room(), conference.room()];
        conference.add(rooms[0], 0);
        if busy {
            conference.add(rooms[1], 8);
        }
        let id = conference.participant(0);
        conference.engine.participant(id).unwrap().stats();
        conference.seats[0].endpoint.describe.last.clone()
    };
    let text = |sdp: String| {
        sdp.lines().filter(|line| !line.starts_with("a=fingerprint")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(text(transcript(false)), text(transcript(true)));
}

#[test]
fn s_room_03_not_one_packet_to_or_from_who_was_removed() {
    let mut conference = live(3, Options::default());
    conference.leave(2);
    // No poll in between: what was queued before the call does not leave after it.
    conference.tap = true;
    let heard = conference.seen(0, 2);
    conference.drive(seconds(2));
    assert!(conference.outgoing.iter().all(|packet| packet.to != home(2)));
    assert_eq!(conference.seen(0, 2).video, 0, "its section is gone");
    let ended =
        conference.seats[0].endpoint.receiver.ended.iter().find(|track| track.publisher() == "2").unwrap();
    assert!(ended.packets as usize <= heard.audio + 9 * heard.video, "what was on the way at most");
    // Its datagrams are nobody's: media, and checks under credentials that are dead.
    let stats = conference.engine.stats();
    assert!(stats.dropped(DropReason::UnknownAddress) > 100);
    assert!(stats.dropped(DropReason::UnknownUsername) > 0 || conference.now < Instant::from_millis(1));
    let check = conference.endpoint(2).ice.check(true);
    let before = conference.engine.stats().dropped(DropReason::UnknownUsername);
    conference.inject(home(2), &check);
    assert_eq!(conference.engine.stats().dropped(DropReason::UnknownUsername), before + 1);
    conference.drive(seconds(1));
    conference.assert_all_seen(60);
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
        conference.inject((Ipv4::from(home(0).ip()), port).into(), &check);
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
    let stranger: SocketAddr = ([198, 51, 100, 1], 4_000).into();
    let before = conference.engine.stats().dropped(DropReason::UnknownAddress);
    conference.inject(stranger, &hello.data);
    conference.step();
    assert_eq!(conference.engine.stats().dropped(DropReason::UnknownAddress), before + 1);
    assert!(conference.outgoing.iter().all(|packet| packet.to != stranger));
    conference.deliver(&hello);
    conference.add(room, 1);
    conference.connect();
    // And after the handshake.
    conference.inject(stranger, &hello.data);
    conference.drive(seconds(1));
    assert!(conference.outgoing.iter().all(|packet| packet.to != stranger));
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

#[test]
fn s_api_03_outputs_that_are_not_drained_are_bounded_and_recovered_from() {
    let mut conference = live(3, Options::default());
    // Media comes in, nothing is polled; the clients go on.
    let from = conference.now;
    let mut longest = 0;
    while conference.now < from + seconds(20) {
        conference.now += millis(20);
        while let Some(packet) = conference.net.receive(conference.now) {
            conference.deliver(&packet);
        }
        for seat in 0..3 {
            let now = conference.now;
            conference.endpoint(seat).handle_timeout(now);
            while let Some(packet) = conference.endpoint(seat).poll_transmit(now) {
                if packet.data[0] >= 128 {
                    conference.net.send(now, packet);
                }
            }
        }
        let waiting = |id| conference.engine.participant(id).unwrap().stats().packets_queued;
        longest =
            longest.max([0, 1, 2].map(|seat| conference.seats[seat].participant.unwrap()).map(waiting)[0]);
    }
    assert!(longest <= limits::SEND_QUEUE);
    let participants = conference.participants();
    let waiting =
        participants.iter().map(|id| conference.engine.participant(*id).unwrap().stats().packets_queued);
    let waiting = waiting.collect::<Vec<_>>().iter().sum::<usize>();
    conference.watch.balanced(&conference.engine, waiting as u64);
    let stats = conference.engine.stats();
    assert!(stats.history_pages <= 6 * limits::HISTORY_PAGES_PER_STREAM, "{}", stats.history_pages);
    // And then everything at once.
    conference.step();
    let before: Vec<_> = (1..3).map(|seat| conference.seen(seat, 0)).collect();
    conference.drive(seconds(3));
    for (seat, before) in (1..3).zip(before) {
        let seen = conference.seen(seat, 0);
        assert!(
            seen.video > before.video + 50 && seen.audio > before.audio + 100,
            "{seen:?} after {before:?}"
        );
    }
}

#[test]
fn s_api_03_a_buffer_without_room_loses_no_balance() {
    let mut conference = live(2, Options::default());
    conference.drive(millis(5));
    let mut tiny = [0; 30];
    for _ in 0..100 {
        conference.now += millis(5);
        while let Some(packet) = conference.net.receive(conference.now) {
            conference.deliver(&packet);
        }
        for seat in 0..2 {
            let now = conference.now;
            conference.endpoint(seat).handle_timeout(now);
            while let Some(packet) = conference.endpoint(seat).poll_transmit(now) {
                conference.net.send(now, packet);
            }
        }
        for _ in 0..10 {
            if conference.engine.poll_transmit(conference.now, &mut tiny).is_none() {
                break;
            }
        }
    }
    conference.drive(seconds(2));
    conference.drive(seconds(1));
    assert!(conference.seen(0, 1).video > 50);
}

/// The address as a v4 one, which is what the harness uses.
struct Ipv4;

impl Ipv4 {
    fn from(ip: std::net::IpAddr) -> std::net::Ipv4Addr {
        match ip {
            std::net::IpAddr::V4(ip) => ip,
            std::net::IpAddr::V6(_) => unreachable!("the harness has v4 addresses only"),
        }
    }
}
