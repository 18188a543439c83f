//! What leaves for proof, what feedback is made of, and when things are said to have left.

use super::super::effort::support::World;
use super::super::effort::support::handshake::Ours;
use super::super::effort::support::peer::Media;
use super::*;
use crate::base::time::Duration;
use crate::conference::engine::{Datagram, Transmit};
use crate::conference::ids::ParticipantId;
use crate::conference::subscription::Subscription;
use crate::congestion::bwe::Arrival;
use crate::wire::mux::Ecn;
use crate::wire::rtcp::{self, Metric, StreamReport, Writer};
use crate::wire::rtp::{Packet, Ssrc, WireSeq};

/// A publisher and one listener, whose feedback is of this kind.
fn world(kind: FeedbackKind) -> World {
    let mut world = World::fitted(Box::new(Ours::new()), 1);
    world.engine.config.ecn = true;
    let egress = &mut world.engine.participants.get_mut(world.participants[1]).expect("it is there").egress;
    (egress.feedback, egress.fitted, egress.congestion) = (kind, true, None);
    forward(&mut world, 30);
    world
}

fn forward(world: &mut World, count: usize) {
    let packets = world.packets(Media::Video, 1_000, count);
    assert_eq!(world.forward(&packets), count);
    world.settle();
}

fn congestion(world: &mut World) -> &mut Congestion {
    let listener = world.participants[1];
    let participant = world.engine.participants.get_mut(listener).expect("it is there");
    participant.egress.congestion.as_mut().expect("media was sent")
}

fn subscription(world: &World) -> &Subscription {
    let newest =
        world.engine.participants.get(world.participants[1]).and_then(|listener| {
            listener.egress.congestion.as_ref().and_then(|congestion| congestion.newest)
        });
    world.engine.subscriptions.get(newest.expect("video was sent")).expect("it is there")
}

/// Asks for packets of a probe, and fetches what leaves while the pace allows.
fn probe(world: &mut World, wanted: &[usize]) -> Vec<(Transmit, Vec<u8>)> {
    congestion(world).wanted = wanted.to_vec();
    let (now, listener): (_, ParticipantId) = (world.now, world.participants[1]);
    world.engine.schedule(now, listener, false);
    let (mut left, mut buf) = (Vec::new(), vec![0; 1_500]);
    while let Some(transmit) = world.engine.poll_transmit(world.now, &mut buf) {
        left.push((transmit, buf[..transmit.len].to_vec()));
    }
    assert!(world.engine.poll_timeout().is_none_or(|at| at > world.now), "after a drain");
    left
}

/// Hands in RTCP of the listener's.
fn receive(world: &mut World, write: impl FnOnce(&mut Writer<'_>)) {
    let mut buf = vec![0; 1_400];
    let mut writer = Writer::new(&mut buf);
    write(&mut writer);
    let len = writer.len();
    let keys = world.peers[1].keys.as_mut().expect("connected");
    let len = keys.sealer.seal_rtcp(&mut buf, len).expect("room for the tag");
    let path = super::super::effort::support::path(world.peers[1].address);
    world.engine.handle_datagram(world.now, Datagram { path, ecn: Ecn::NotEct, data: &buf[..len] });
}

#[test]
fn a_probe_repeats_the_newest_video_on_the_stream_of_repetitions() {
    let mut world = world(FeedbackKind::Transport);
    let before = subscription(&world).rtx_next;
    let left = probe(&mut world, &[1_200; 6]);
    assert_eq!(left.len(), 6);
    let subscription = subscription(&world);
    let headers: Vec<_> = left.iter().map(|(_, data)| Packet::parse(data).expect("RTP")).collect();
    for (at, packet) in headers.iter().enumerate() {
        assert_eq!((packet.ssrc(), packet.payload_type().get()), (subscription.rtx_ssrc, 97));
        assert_eq!(packet.sequence_number(), SeqNo(before.0 + at as u64).wire(), "numbers of its own");
        assert!(packet.payload().len() > 1_000, "a packet of media");
    }
    // Backwards in time.
    assert!(headers.windows(2).all(|two| two[0].timestamp().0 > two[1].timestamp().0));
    let counts = congestion(&mut world).counts;
    assert_eq!((counts.probes, counts.padding_bytes), (6, 0));
    assert!(counts.probe_bytes > 6 * 1_028);
}

#[test]
fn where_nothing_is_held_a_probe_is_padding() {
    let mut world = world(FeedbackKind::Transport);
    world.run(Duration::from_secs(3));
    let before = congestion(&mut world).counts;
    let left = probe(&mut world, &[1_200, 100]);
    assert_eq!(left.len(), 2);
    // What is asked for last in the list is sent first.
    let sizes: Vec<_> = left.iter().map(|(_, data)| data.len() + 28).collect();
    assert!(sizes[0] <= 100 && (200..=1_200).contains(&sizes[1]), "{sizes:?}");
    let ssrc = subscription(&world).rtx_ssrc;
    let mut out = vec![0; 1_500];
    for (_, data) in &left {
        let opened = world.peers[1].keys.as_mut().expect("connected").opener.open_packet(data, &mut out);
        let packet = Packet::parse(&out[..opened.expect("authentic").len]).expect("RTP");
        let padding = crate::wire::rtp::padding_len(packet.payload());
        assert_eq!((packet.ssrc(), packet.has_padding(), padding), (ssrc, true, Ok(packet.payload().len())));
    }
    let counts = congestion(&mut world).counts;
    assert_eq!(counts.probes - before.probes, 2);
    assert_eq!(counts.padding_bytes, counts.probe_bytes - before.probe_bytes);
}

#[test]
fn nothing_is_probed_that_cannot_be_and_nobody_waits_for_it() {
    let mut world = world(FeedbackKind::Transport);
    let key = congestion(&mut world).newest.expect("video was sent");
    let types = &mut world.engine.subscriptions.get_mut(key).expect("it is there").rtx_payload_types;
    *types = [crate::conference::subscription::UNNEGOTIATED; limits::CODECS];
    assert!(probe(&mut world, &[1_200; 3]).is_empty());
    assert_eq!(congestion(&mut world).counts.probes, 0);
}

#[test]
fn media_goes_before_probes() {
    let mut world = world(FeedbackKind::Transport);
    congestion(&mut world).wanted = vec![1_200; 2];
    let packets = world.packets(Media::Video, 1_000, 1);
    world.hand_in(&packets);
    let mut buf = vec![0; 1_500];
    let ssrc = subscription(&world).ssrc;
    let transmit = world.engine.poll_transmit(world.now, &mut buf).expect("it is forwarded");
    assert_eq!(Packet::parse(&buf[..transmit.len]).expect("RTP").ssrc(), ssrc);
    let transmit = world.engine.poll_transmit(world.now, &mut buf).expect("and then the probe");
    assert_ne!(Packet::parse(&buf[..transmit.len]).expect("RTP").ssrc(), ssrc);
}

#[test]
fn messages_are_taken_from_the_pace_of_video() {
    let mut world = world(FeedbackKind::Transport);
    world.run(Duration::from_secs(1));
    let now = world.now;
    let congestion = congestion(&mut world);
    assert!(congestion.turn(now, 0, 1).is_some(), "nothing is in the way");
    congestion.on_data(now, 100_000_000);
    assert_eq!(congestion.turn(now, 0, 1), None);
}

#[test]
fn transport_wide_feedback_becomes_arrivals_to_the_tick() {
    let mut world = world(FeedbackKind::Transport);
    let window = congestion(&mut world).departures.window();
    let base = window.end - 5;
    let at = |micros: u64| Some(Instant::from_micros(1_000_000_000 + micros));
    let told = [at(0), None, at(2_500), at(1_250), at(70_000)];
    receive(&mut world, |writer| {
        writer.transport_feedback(Ssrc(7), Ssrc(8), 0, WireSeq(base as u16), told).expect("room");
    });
    let arrivals = world.engine.arrivals.clone();
    let numbers: Vec<_> = arrivals.iter().map(|arrival| arrival.number).collect();
    assert_eq!(numbers, (base..base + 5).collect::<Vec<_>>());
    let first = arrivals[0].at.expect("it came");
    let since: Vec<_> =
        arrivals.iter().map(|arrival| arrival.at.map(|at| at.as_micros() - first.as_micros())).collect();
    assert_eq!(since, [Some(0), None, Some(2_500), Some(1_250), Some(70_000)]);
    // Across the wrap of the reference time, by which the receiver's clock stays a line.
    let later = 64_000 << 24;
    world.now += Duration::from_millis(100);
    forward(&mut world, 1);
    let base = congestion(&mut world).departures.window().end - 1;
    receive(&mut world, |writer| {
        let told = [at(later + 100_000)];
        writer.transport_feedback(Ssrc(7), Ssrc(8), 1, WireSeq(base as u16), told).expect("room");
    });
    let [Arrival { at: Some(again), .. }] = world.engine.arrivals[..] else { panic!("one came") };
    assert_eq!(again - first, Duration::from_millis(100));
}

/// The numbers of the video that was sent last, `count` of them.
fn sent(world: &World, count: u16) -> (Ssrc, WireSeq) {
    let key = world.engine.participants.get(world.participants[1]).expect("it is there");
    let key =
        key.egress.congestion.as_ref().and_then(|congestion| congestion.newest).expect("video was sent");
    let highest = world.engine.highest_out(key).expect("it receives");
    (subscription(world).ssrc, SeqNo(highest.0 + 1 - u64::from(count)).wire())
}

#[test]
fn rfc_8888_metrics_become_arrivals_and_marks() {
    let mut world = world(FeedbackKind::Streams);
    let (ssrc, begin_seq) = sent(&world, 4);
    let end = congestion(&mut world).departures.window().end;
    let metric = |millis: u64, ecn| {
        Some(Metric {
            ecn,
            arrival: rtcp::Arrival::before(Duration::from_micros(millis * 1_000_000 / 1_024)),
        })
    };
    let metrics = [metric(40, Ecn::Ect1), None, metric(20, Ecn::Ce), metric(10, Ecn::Ect1)];
    let report = [StreamReport { ssrc, begin_seq, metrics: &metrics }];
    receive(&mut world, |writer| writer.congestion_feedback(Ssrc(7), 77 << 16, &report).expect("room"));
    let arrivals = world.engine.arrivals.clone();
    let told: Vec<_> = arrivals.iter().map(|one| (one.number, one.at.is_some(), one.ce)).collect();
    let expected = [(true, false), (false, false), (true, true), (true, false)];
    let expected: Vec<_> = (end - 4..).zip(expected).map(|(number, (came, ce))| (number, came, ce)).collect();
    assert_eq!(told, expected);
    let between = arrivals[3].at.unwrap() - arrivals[0].at.unwrap();
    assert!(between.as_micros().abs_diff(30 * 1_000_000 / 1_024) <= 2, "{between:?}");
    assert_eq!(congestion(&mut world).counts.ce, 1);
    // The same again is no news, but for what came late.
    let metrics = [metric(140, Ecn::Ce), metric(1, Ecn::Ect1), metric(120, Ecn::Ce), metric(110, Ecn::Ect1)];
    let report = [StreamReport { ssrc, begin_seq, metrics: &metrics }];
    receive(&mut world, |writer| writer.congestion_feedback(Ssrc(7), 78 << 16, &report).expect("room"));
    assert_eq!(world.engine.arrivals.iter().map(|one| one.number).collect::<Vec<_>>(), [end - 3]);
    assert_eq!(congestion(&mut world).counts.ce, 1);
}

#[test]
fn s_bwe_02_metrics_of_what_was_not_sent_are_ignored_and_cost_little() {
    let mut world = world(FeedbackKind::Streams);
    let (ssrc, begin_seq) = sent(&world, 2);
    let came = [Some(Metric { ecn: Ecn::Ce, arrival: rtcp::Arrival::Before(1) }); 3];
    // One number too far, a stream of nobody's, and the same stream many times.
    let ignored = congestion(&mut world).counts.ignored;
    let one = StreamReport { ssrc, begin_seq, metrics: &came };
    let reports = [vec![one, StreamReport { ssrc: Ssrc(1), ..one }], vec![one; 80]].concat();
    receive(&mut world, |writer| writer.congestion_feedback(Ssrc(7), 1, &reports).expect("room"));
    assert_eq!(world.engine.arrivals.len(), 2);
    let counts = congestion(&mut world).counts;
    assert!(counts.ignored >= ignored + 4 && counts.ce == 2, "{counts:?}");
    assert_eq!(counts.lies, 0);
}

#[test]
fn s_bwe_03_numbers_of_repetitions_are_left_out_where_streams_are_told_of() {
    let mut world = world(FeedbackKind::Streams);
    let before = subscription(&world).rtx_next;
    congestion(&mut world).skip_at = 0;
    assert_eq!(probe(&mut world, &[1_200]).len(), 1);
    assert_eq!(subscription(&world).rtx_next, SeqNo(before.0 + 2), "one is left out");
    assert_eq!(probe(&mut world, &[1_200]).len(), 1);
    let ssrc = subscription(&world).rtx_ssrc;
    let came = Some(Metric { ecn: Ecn::Ect1, arrival: rtcp::Arrival::Before(1) });
    let mut tell = |metrics: &[Option<Metric>]| {
        let report = [StreamReport { ssrc, begin_seq: before.wire(), metrics }];
        receive(&mut world, |writer| writer.congestion_feedback(Ssrc(7), 1, &report).expect("room"));
        let congestion = congestion(&mut world);
        (congestion.counts.lies, congestion.target() == congestion.bounds.min)
    };
    assert_eq!(tell(&[came, None, came]).0, 0, "the truth");
    assert_eq!(tell(&[came, came, came]), (1, true));
}

#[test]
fn media_is_ecn_capable_where_marks_are_reported() {
    for (kind, ecn) in [(FeedbackKind::Streams, Ecn::Ect1), (FeedbackKind::Transport, Ecn::NotEct)] {
        let mut world = world(kind);
        let packets = world.packets(Media::Video, 1_000, 1);
        world.hand_in(&packets);
        let mut buf = vec![0; 1_500];
        assert_eq!(world.engine.poll_transmit(world.now, &mut buf).expect("it is forwarded").ecn, ecn);
        assert_eq!(congestion(&mut world).counts.ect1 > 0, ecn == Ecn::Ect1);
        assert_eq!(probe(&mut world, &[1_000])[0].0.ecn, ecn);
    }
}

#[test]
fn a_truer_departure_counts_if_it_is_told_in_time() {
    let mut world = world(FeedbackKind::Transport);
    // From the first that is told on, those that follow wait for theirs.
    let now = world.now;
    world.engine.handle_departure(now, crate::TransmitId(1));
    let packets = world.packets(Media::Video, 1_000, 1);
    let mut buf = vec![0; 1_500];
    let mut next = |world: &mut World| {
        world.hand_in(&packets[..0]);
        let packets = world.packets(Media::Video, 1_000, 1);
        world.hand_in(&packets);
        world.engine.poll_transmit(world.now, &mut buf).expect("it is forwarded").id
    };
    let (one, two) = (next(&mut world), next(&mut world));
    assert_eq!(congestion(&mut world).untold.len(), 2);
    let at = world.now + Duration::from_micros(300);
    world.engine.handle_departure(at, two);
    assert_eq!((congestion(&mut world).untold.len(), congestion(&mut world).latest), (0, at));
    // Too late, of nobody, and at the end of time.
    for id in [one, crate::TransmitId(0), crate::TransmitId(u64::MAX)] {
        world.engine.handle_departure(at, id);
    }
    assert_eq!(congestion(&mut world).latest, at);
    world.now = at;
    let three = next(&mut world);
    world.engine.handle_departure(Instant::ZERO, three);
    assert!(congestion(&mut world).latest >= at, "nothing leaves before it is fetched");
}

#[test]
fn headers_count_by_the_way() {
    let path = |protocol, remote: &str| Path {
        protocol,
        local: ([192, 0, 2, 1], 1).into(),
        remote: remote.parse().expect("an address"),
    };
    assert_eq!(overhead(&path(Protocol::Udp, "192.0.2.2:9")), 28);
    assert_eq!(overhead(&path(Protocol::Udp, "[2001:db8::1]:9")), 48);
    assert_eq!(overhead(&path(Protocol::Udp, "[::ffff:192.0.2.2]:9")), 28);
    assert_eq!(overhead(&path(Protocol::Tcp, "192.0.2.2:9")), 42);
}

#[test]
fn a_transmit_is_known_until_its_place_is_needed() {
    let mut transmits = Transmits::new();
    transmits.add(7, 'a');
    assert_eq!((transmits.owner(7), transmits.owner(8)), (Some('a'), None));
    transmits.add(7 + limits::TRANSMITS as u64, 'b');
    assert_eq!(transmits.owner(7), None);
}
