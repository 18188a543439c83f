//! Calls over TCP (RFC 6544, RFC 4571), and what can be done to an engine by its streams.

mod support;

use estafette::framing::Fault;
use estafette::mux::Protocol;
use estafette::{
    Datagram, DropReason, Ecn, EngineConfig, Event, HostCandidate, LeaveReason, ParticipantConfig, StreamEnd,
    limits, sdp,
};
use std::net::SocketAddr;
use std::time::Duration;
use support::client::publish::Plan;
use support::harness::{Options, home, live, millis, path_to, seconds, server, stream_to};
use support::stream::framed;
use support::{Client, Conference, Endpoint as _};

/// A call in which the first `framed` of `count` talk over TCP.
fn call(framed: u32, count: u32) -> Conference {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..count {
        if index < framed {
            conference.add_over_tcp(room, index);
        } else {
            conference.add(room, index);
        }
    }
    conference.connect();
    conference.drive(seconds(1));
    conference
}

fn stranger(number: u16) -> SocketAddr {
    let [high, low] = number.to_be_bytes();
    ([198, 51, high, low], 40_000).into()
}

fn closed(conference: &Conference) -> Vec<(SocketAddr, StreamEnd)> {
    let of = |event: &Event| match event {
        Event::StreamClosed { path, reason } => Some((path.remote, *reason)),
        _ => None,
    };
    conference.events.iter().filter_map(|(_, event)| of(event)).collect()
}

#[test]
fn a_whole_call_over_tcp() {
    let mut conference = call(3, 3);
    conference.drive(seconds(2));
    conference.assert_all_seen(60);
    let connected = conference.events.iter().filter_map(|(_, event)| match event {
        Event::Connected { path, .. } => Some(path.protocol),
        _ => None,
    });
    assert_eq!(connected.collect::<Vec<_>>(), [Protocol::Tcp; 3]);
    let stats = conference.engine.stats();
    assert_eq!((stats.streams, stats.streams_unproven), (3, 0));
    assert_eq!(stats.dropped_in_all(), 0, "nothing is lost: {stats:?}");
}

#[test]
fn tcp_and_udp_meet_in_one_room() {
    let mut conference = call(2, 4);
    conference.drive(seconds(2));
    conference.assert_all_seen(60);
    assert_eq!(conference.engine.stats().streams, 2);
}

#[test]
fn a_call_over_tcp_is_the_same_for_the_same_seed_with_a_buffer_of_either_size() {
    let digest = |arena| {
        let options = Options { arena, record: true, ..Options::default() };
        let mut conference = Conference::<Client>::new(options);
        let room = conference.room();
        for index in 0..2 {
            conference.add_over_tcp(room, index);
        }
        conference.connect();
        conference.drive(seconds(1));
        conference.assert_all_seen(20);
        conference.transcript.as_ref().unwrap().digest()
    };
    // A buffer of one datagram has them leave in another order than a burst's, but the same each time.
    for arena in [64 * 1_024, EngineConfig::default().mtu + estafette::framing::PREFIX] {
        assert_eq!(digest(arena), digest(arena), "{arena} bytes");
    }
}

#[test]
fn a_connection_that_ends_is_replaced_by_the_next() {
    let mut conference = call(1, 3);
    conference.hang_up(home(0));
    assert_eq!(conference.engine.stats().streams, 0);
    conference.tap = true;
    conference.drive(seconds(5));
    assert!(conference.outgoing.iter().all(|packet| packet.to != home(0)), "nothing goes nowhere");
    assert!(conference.seats[0].participant.is_some(), "it may come back");

    let next = SocketAddr::new(home(0).ip(), 51_000);
    conference.connect_stream(next);
    let now = conference.now;
    conference.endpoint(0).move_to(now, next, true);
    conference.readdress(0);
    conference.drive(seconds(3));
    let moved = |event: &Event| matches!(event, Event::PathChanged { path, .. } if *path == stream_to(next));
    assert_eq!(conference.events.iter().filter(|(_, event)| moved(event)).count(), 1);
    let again = |event: &Event| matches!(event, Event::Connected { .. });
    assert_eq!(conference.events.iter().filter(|(_, event)| again(event)).count(), 3, "once each");
    assert!(conference.seen(1, 0).video > 60 && conference.seen(0, 1).video > 60);
    conference.drive(seconds(40));
    assert!(conference.seats[0].participant.is_some(), "the time to come back is over, and it is back");
}

#[test]
fn a_connection_that_ends_leaves_the_proven_address_that_there_is() {
    let mut conference = call(1, 2);
    // A second connection, checked and answered but not nominated.
    let second = SocketAddr::new(home(0).ip(), 51_000);
    conference.connect_stream(second);
    let check = conference.endpoint(0).ice.check(false);
    conference.inject_stream(second, &framed(&check));
    let now = conference.now;
    conference.endpoint(0).move_to(now, second, false);
    conference.readdress(0);
    conference.drive(millis(500));
    conference.hang_up(home(0));
    conference.drive(seconds(2));
    let moved =
        |event: &Event| matches!(event, Event::PathChanged { path, .. } if *path == stream_to(second));
    assert!(conference.events.iter().any(|(_, event)| moved(event)));
    assert!(conference.seen(1, 0).video > 50 && conference.seen(0, 1).video > 50);
}

#[test]
fn who_does_not_come_back_after_its_connection_ended_has_left() {
    let mut conference = call(1, 2);
    let ended = conference.now;
    conference.hang_up(home(0));
    assert!(conference.drive_until(seconds(40), |conference| conference.seats[0].participant.is_none()));
    assert_eq!(conference.seats[0].left, Some(LeaveReason::ConsentExpired));
    let after = conference.now - ended;
    // Consent lasts from the last proof, which is one interval old at most (RFC 7675, section 5.1).
    let soonest = limits::CONSENT_TIMEOUT - limits::CONSENT_INTERVAL * 6 / 5;
    assert!((soonest..limits::CONSENT_TIMEOUT + seconds(1)).contains(&after), "{after:?}");
}

#[test]
fn new_connections_do_not_put_off_the_end_of_who_never_shakes_hands() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    conference.add_over_tcp(room, 0);
    conference.endpoint(0).never_secures = true;
    let (begun, mut address) = (conference.now, home(0));
    for port in [51_001, 51_002] {
        conference.drive(seconds(9));
        assert!(conference.seats[0].participant.is_some());
        conference.hang_up(address);
        address = SocketAddr::new(home(0).ip(), port);
        conference.connect_stream(address);
        let now = conference.now;
        conference.endpoint(0).move_to(now, address, true);
        conference.readdress(0);
    }
    assert!(conference.drive_until(seconds(40), |conference| conference.seats[0].participant.is_none()));
    assert_eq!(conference.seats[0].left, Some(LeaveReason::ConnectTimeout));
    let after = conference.now - begun;
    assert!(after < limits::CONNECT_TIMEOUT + seconds(1), "{after:?}");
}

#[test]
fn who_leaves_takes_its_streams_along() {
    let mut conference = call(2, 3);
    conference.leave(0);
    conference.step();
    assert_eq!(closed(&conference), [(home(0), StreamEnd::Left)]);
    assert_eq!(conference.engine.stats().streams, 1);
    // By its own goodbye: the answer to its last bytes is the end of its stream.
    conference.endpoint(1).publisher.paused = true;
    conference.drive(millis(100));
    let now = conference.now;
    conference.endpoint(1).close(now);
    conference.drive(seconds(1));
    assert_eq!(conference.seats[1].left, Some(LeaveReason::Closed));
    assert_eq!(conference.ends, [(home(1), StreamEnd::Left)]);
    assert_eq!(closed(&conference).len(), 1, "told once");
    assert_eq!(conference.engine.stats().streams, 0);
}

#[test]
fn a_path_of_udp_is_no_stream() {
    let mut conference = call(0, 1);
    assert_eq!(conference.engine.open_stream(path_to(home(5))), Err(StreamEnd::NotTcp));
    let taken = conference.engine.handle_stream(conference.now, path_to(home(0)), &[0, 1, 0]);
    assert_eq!(taken, Err(StreamEnd::NotTcp));
    assert_eq!(conference.engine.stats().streams, 0);
}

#[test]
fn a_datagram_of_a_tcp_path_is_one_frame() {
    let mut conference = call(1, 2);
    let check = conference.endpoint(0).ice.check(true);
    let before = conference.engine.stats();
    let datagram = Datagram { path: stream_to(home(0)), ecn: Ecn::NotEct, data: &check };
    conference.engine.handle_datagram(conference.now, datagram);
    let after = conference.engine.stats();
    assert_eq!(after.datagrams_consumed, before.datagrams_consumed + 1);
    conference.watch.received(home(0), &check);
    conference.drive(millis(100));
}

#[test]
fn s_mux_04_a_stream_carries_nothing_but_stun_until_it_is_proven() {
    let mut conference = call(1, 2);
    conference.tap = true;
    conference.drive(millis(100));
    let media = conference.outgoing.iter().find(|packet| packet.data[0] >= 128).unwrap().data.clone();
    // A Binding request of nobody, then media: dropped one by one, the stream is still young.
    let mut check = conference.endpoint(1).ice.check(false);
    let last = check.len() - 1;
    check[last] ^= 1;
    let before = conference.engine.stats();
    let bytes = [framed(&check), framed(&media), framed(&[0x16; 60])].concat();
    conference.inject_stream(stranger(1), &bytes);
    let after = conference.engine.stats();
    assert_eq!(after.datagrams_dropped, before.datagrams_dropped + 3);
    assert_eq!(
        after.dropped(DropReason::UnknownAddress),
        before.dropped(DropReason::UnknownAddress) + 2,
        "{after:?}"
    );
    assert_eq!((after.streams, after.streams_unproven), (2, 1));
    conference.drive(millis(200));
    assert!(conference.outgoing.iter().all(|packet| packet.to != stranger(1)), "no reply");
    conference.assert_all_seen(20);
}

#[test]
fn s_mux_05_streams_of_one_participant_are_bounded_with_its_addresses() {
    let mut conference = call(1, 2);
    let check = conference.endpoint(0).ice.check(false);
    for port in 1_000..1_100 {
        conference.inject_stream(SocketAddr::new(home(0).ip(), port), &framed(&check));
        conference.step();
        let stats = conference.engine.stats();
        assert!(stats.streams <= limits::ADDRESSES_PER_PARTICIPANT, "{}", stats.streams);
        assert_eq!(stats.streams_unproven, 0);
    }
    let closed = closed(&conference);
    assert_eq!(closed.len(), 101 - limits::ADDRESSES_PER_PARTICIPANT);
    assert!(closed.iter().all(|(address, end)| *address != home(0) && *end == StreamEnd::Forgotten));
    conference.drive(seconds(1));
    conference.assert_all_seen(30);
}

#[test]
fn s_mux_06_a_stream_that_is_no_stream_of_frames_is_closed() {
    let mut conference = call(1, 2);
    let stun = framed(&[0; 20]);
    let cases: [(&[u8], Fault); 5] = [
        (&[0, 0], Fault::Empty),
        (&[8, 1], Fault::TooLong),
        (&[0, 60, 0x16], Fault::NotStun),
        (b"GET / HTTP/1.1\r\n", Fault::TooLong),
        (&[&stun[..], &[0, 0]].concat(), Fault::Empty),
    ];
    for (at, (bytes, fault)) in (0..).zip(cases) {
        let before = conference.engine.stats().dropped(DropReason::Framing(fault));
        conference.inject_stream(stranger(at), bytes);
        assert_eq!(conference.ends.pop(), Some((stranger(at), StreamEnd::Framing(fault))));
        assert_eq!(conference.engine.stats().dropped(DropReason::Framing(fault)), before + 1);
    }
    assert_eq!(conference.engine.stats().streams, 1, "nothing is kept of them");

    // A participant's own stream, too, and then its address is nobody's.
    conference.inject_stream(home(0), &[0, 0]);
    // It is in the middle of nothing: the call's pieces all have arrived.
    assert_eq!(conference.ends.len(), 1);
    assert_eq!(conference.engine.stats().streams, 0);
    let before = conference.engine.stats().dropped(DropReason::UnknownAddress);
    let datagram = Datagram { path: stream_to(home(0)), ecn: Ecn::NotEct, data: &[0x80; 40] };
    conference.engine.handle_datagram(conference.now, datagram);
    assert_eq!(conference.engine.stats().dropped(DropReason::UnknownAddress), before + 1);
}

#[test]
fn s_mux_06_a_frame_that_is_not_ended_closes_its_stream_after_five_seconds() {
    let mut conference = call(1, 2);
    let begun = conference.now;
    conference.inject_stream(stranger(1), &[0, 40, 0, 1]);
    let slow = conference.endpoint(1).ice.check(false);
    conference.inject_stream(stranger(2), &framed(&slow)[..20]);
    conference.drive(limits::STREAM_FRAME_TIMEOUT - millis(1));
    assert_eq!(conference.engine.stats().streams, 3);
    conference.drive(millis(1));
    let end = StreamEnd::Framing(Fault::Unfinished);
    assert_eq!(closed(&conference), [(stranger(1), end), (stranger(2), end)]);
    assert_eq!(conference.now - begun, limits::STREAM_FRAME_TIMEOUT);
    assert_eq!(conference.engine.stats().dropped(DropReason::Framing(Fault::Unfinished)), 2);
    conference.assert_all_seen(60);
}

#[test]
fn s_mux_07_connections_that_never_authenticate_are_refused_above_the_limit() {
    let mut conference = call(2, 3);
    let room = conference.seats[0].room;
    let (mut opened, mut refused) = (0, 0);
    for number in 0..10_000 {
        // Half of them say something, as far as a frame.
        let taken = if number % 2 == 0 {
            conference.engine.open_stream(stream_to(stranger(number)))
        } else {
            conference.engine.handle_stream(conference.now, stream_to(stranger(number)), &[0])
        };
        match taken {
            Ok(()) => opened += 1,
            Err(end) => {
                assert_eq!(end, StreamEnd::Refused);
                refused += 1;
            }
        }
    }
    assert_eq!((opened, refused), (limits::STREAMS_UNPROVEN, 10_000 - limits::STREAMS_UNPROVEN));
    let stats = conference.engine.stats();
    assert_eq!(stats.dropped(DropReason::StreamRefused), refused as u64);
    assert_eq!((stats.streams, stats.streams_unproven), (2 + opened, opened));
    // Nobody new comes in over TCP now; who is in notices nothing, who comes over UDP neither.
    assert_eq!(conference.engine.open_stream(stream_to(home(7))), Err(StreamEnd::Refused));
    conference.add(room, 3);
    conference.connect();
    conference.drive(seconds(4));
    conference.assert_all_seen(60);
    // Those that said half a frame go first, the silent ones when their time is over.
    conference.drive(limits::STREAM_PROOF_TIMEOUT);
    let stats = conference.engine.stats();
    assert_eq!((stats.streams, stats.streams_unproven), (2, 0));
    let ends = closed(&conference);
    let unproven = ends.iter().filter(|(_, end)| *end == StreamEnd::Unproven).count();
    assert_eq!((ends.len(), unproven), (opened, opened / 2));
    assert_eq!(stats.dropped(DropReason::StreamUnproven), unproven as u64);
    conference.add_over_tcp(room, 4);
    conference.connect();
    conference.drive(seconds(1));
    conference.assert_all_seen(20);
}

#[test]
fn s_mux_07_a_stream_without_a_check_is_closed_in_time_whatever_it_says() {
    let mut conference = call(1, 2);
    let mut wrong = conference.endpoint(1).ice.check(false);
    let last = wrong.len() - 1;
    wrong[last] ^= 1;
    let begun = conference.now;
    // Whole frames, one each second: none of them proves anything.
    let mut ended = None;
    for _ in 0..20 {
        if ended.is_none() {
            conference.inject_stream(stranger(1), &framed(&wrong));
        }
        conference.drive(seconds(1));
        if ended.is_none() && !closed(&conference).is_empty() {
            ended = Some(conference.now - begun);
        }
    }
    assert_eq!(closed(&conference), [(stranger(1), StreamEnd::Unproven)]);
    assert_eq!(ended, Some(limits::STREAM_PROOF_TIMEOUT));
    conference.assert_all_seen(100);
}

#[test]
fn a_new_connection_of_the_same_addresses_begins_anew() {
    let mut conference = call(1, 2);
    conference.inject_stream(stranger(1), &[0, 40, 0]);
    conference.engine.open_stream(stream_to(stranger(1))).unwrap();
    // The bytes of the frame before are forgotten with their connection.
    assert_eq!(
        conference.engine.handle_stream(conference.now, stream_to(stranger(1)), &[0, 0]),
        Err(StreamEnd::Framing(Fault::Empty))
    );
    assert_eq!(conference.engine.stats().streams, 1);
    conference.engine.close_stream(stream_to(stranger(1)));
    conference.engine.close_stream(stream_to(stranger(9)));
}

#[test]
fn candidates_of_tcp_are_passive_and_below_those_of_udp() {
    let v6: SocketAddr = "[2001:db8::1]:3478".parse().unwrap();
    let engine = EngineConfig {
        candidates: [HostCandidate::udp, HostCandidate::tcp].map(|of| [v6, server()].map(of)).concat(),
        ..EngineConfig::default()
    };
    let mut conference = Conference::<Client>::new(Options { engine, ..Options::default() });
    let room = conference.room();
    let mut client = conference.client(0, Plan::default(), 0);
    let id = conference.engine.room(room).unwrap().join(ParticipantConfig::default()).unwrap();
    let offer = client.offer(conference.now);
    let answer = conference.engine.participant(id).unwrap().accept_offer(&offer).unwrap();
    let description = sdp::Description::parse(&answer).unwrap();
    let candidates = &description.media[0].transport.candidates;
    let seen: Vec<_> = candidates.iter().map(|c| (c.protocol, c.address, c.tcp_type)).collect();
    let passive = Some(sdp::TcpType::Passive);
    let (udp, tcp) = (Protocol::Udp, Protocol::Tcp);
    assert_eq!(seen, [(udp, v6, None), (udp, server(), None), (tcp, v6, passive), (tcp, server(), passive)]);
    assert!(candidates.is_sorted_by(|a, b| a.priority > b.priority), "{candidates:?}");
}

#[test]
fn behind_a_nat_the_candidate_is_public_and_the_path_is_private() {
    let public: SocketAddr = ([192, 0, 2, 200], 8_000).into();
    let engine = EngineConfig {
        candidates: vec![HostCandidate::udp(public).bound_to(server())],
        ..EngineConfig::default()
    };
    let options = Options { engine, public: Some(public), ..Options::default() };
    let mut conference = live(3, options);
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
    let paths = conference.events.iter().filter_map(|(_, event)| match event {
        Event::Connected { path, .. } => Some(path.local),
        _ => None,
    });
    assert_eq!(paths.collect::<Vec<_>>(), [server(); 3], "as it is bound");
}

#[test]
fn a_silent_participant_with_a_silent_stream_ends_with_its_time() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let config = ParticipantConfig { label: "quiet".into(), ..ParticipantConfig::default() };
    conference.engine.room(room).unwrap().join(config).unwrap();
    conference.connect_stream(home(0));
    conference.drive(limits::CONNECT_TIMEOUT + Duration::from_secs(1));
    assert_eq!(closed(&conference), [(home(0), StreamEnd::Unproven)]);
    assert_eq!((conference.engine.stats().streams, conference.engine.stats().participants), (0, 0));
}
