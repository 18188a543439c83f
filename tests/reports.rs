//! Reports both ways: round trips of who gets no media, streams that end, and statistics that agree with what
//! the clients counted.

mod support;

use estafette::negotiation::{Codec, MediaKind};
use estafette::rtcp::{NtpTime, ReportBlock, ReportDelay};
use estafette::rtp::{Ssrc, WireSeq};
use estafette::{
    DtlsState, Event, InboundStreamStats, OutboundStreamStats, RoomConfig, SourceId, SubscribeRule,
    TransportStats, dtls,
};
use std::time::Duration;
use support::client::publish::Plan;
use support::harness::{Options, home, live, millis, path_to, seconds, server};
use support::judge::{arrived, frames};
use support::media::VIDEO;
use support::recording::Recording;
use support::replay::Choice;
use support::{Client, Conference, Link, Stage};

fn transport(conference: &mut Conference, seat: usize) -> TransportStats {
    let id = conference.participant(seat);
    conference.engine.participant(id).expect("it is there").transport_stats().expect("it is there")
}

/// The source of a kind that a seat publishes.
fn source(conference: &mut Conference, seat: usize, kind: MediaKind) -> SourceId {
    let id = conference.participant(seat);
    let participant = conference.engine.participant(id).expect("it is there");
    participant.sources().find(|source| source.kind == kind).expect("it publishes that").id
}

/// What is told of the one stream of a kind that a seat publishes.
fn inbound<T>(
    conference: &mut Conference,
    seat: usize,
    kind: MediaKind,
    told: impl FnOnce(InboundStreamStats<'_>) -> T,
) -> T {
    let id = conference.participant(seat);
    let participant = conference.engine.participant(id).expect("it is there");
    let mut streams = participant.inbound_streams().filter(|stream| stream.kind == kind);
    let stream = streams.next().expect("it sends that");
    assert!(streams.next().is_none());
    told(stream)
}

/// What is told of a source's way to a seat.
fn outbound(conference: &mut Conference, seat: usize, source: SourceId) -> OutboundStreamStats {
    let id = conference.participant(seat);
    let participant = conference.engine.participant(id).expect("it is there");
    participant.outbound_streams().find(|stream| stream.source == source).expect("a subscription")
}

/// That a round trip was measured over links of so many milliseconds each way.
fn assert_measured(trip: Option<Duration>, delay: u64) {
    let trip = trip.expect("it was measured");
    assert!(trip >= millis(2 * delay) && trip <= millis(2 * delay + 1), "{trip:?}");
}

/// A room in which nobody receives anything.
fn deaf(count: u32) -> Conference {
    let room = RoomConfig { view: SubscribeRule::None.into(), ..Options::default().room };
    let mut conference = Conference::of(count, Options { room, ..Options::default() });
    conference.connect();
    conference
}

#[test]
fn who_publishes_and_receives_nothing_has_a_round_trip() {
    let mut conference = deaf(2);
    assert_eq!(transport(&mut conference, 0).round_trip_time, None);
    conference.drive(seconds(3));
    assert_measured(transport(&mut conference, 0).round_trip_time, 20);
    // The last one counts.
    conference.net.set_default(Link::delay(millis(75)));
    conference.drive(seconds(3));
    assert_measured(transport(&mut conference, 0).round_trip_time, 75);
    let id = conference.participant(0);
    let stats = conference.engine.participant(id).expect("it is there").stats();
    assert_measured(Some(stats.round_trip_time), 75);
}

#[test]
fn s_rtcp_07_absurd_answers_to_reference_times_change_nothing() {
    let mut conference = deaf(2);
    (0..2).for_each(|seat| conference.endpoint(seat).answers_times = false);
    conference.drive(seconds(3));
    let answer = |conference: &mut Conference, from: usize, answer: ReportDelay| {
        let ssrc = conference.endpoint(from).ssrc;
        conference.endpoint(from).send_rtcp(|writer| {
            writer.receiver_report(ssrc, &[]).unwrap();
            writer.extended_report(ssrc, None, &[answer]).unwrap();
        });
        conference.drain();
        conference.drive(millis(50));
        [0, 1].map(|seat| transport(conference, seat).round_trip_time)
    };
    let good = |conference: &mut Conference| {
        let now = conference.now;
        let (ssrc, last_rr, at) = conference.endpoint(0).reference_time.expect("it is asked");
        ReportDelay { ssrc, last_rr, delay_since_last_rr: ReportBlock::delay(now - at) }
    };
    let absurd: [&dyn Fn(ReportDelay) -> ReportDelay; 6] = [
        &|good| ReportDelay { ssrc: Ssrc(good.ssrc.0 ^ 1), ..good },
        &|good| ReportDelay { last_rr: good.last_rr ^ 1, ..good },
        &|good| ReportDelay { last_rr: 0, ..good },
        &|good| ReportDelay { last_rr: good.last_rr.wrapping_add(1 << 16), ..good },
        // A second longer than it was, and a day.
        &|good| ReportDelay { delay_since_last_rr: good.delay_since_last_rr + (1 << 16), ..good },
        &|good| ReportDelay { delay_since_last_rr: u32::MAX, ..good },
    ];
    for (at, absurd) in absurd.into_iter().enumerate() {
        let absurd = absurd(good(&mut conference));
        assert_eq!(answer(&mut conference, 0, absurd), [None; 2], "{at}");
    }
    // Somebody else's.
    let stolen = good(&mut conference);
    assert_eq!(answer(&mut conference, 1, stolen), [None; 2]);
    let good = good(&mut conference);
    let [trip, other] = answer(&mut conference, 0, good);
    assert_measured(trip, 20);
    assert_eq!(other, None);
}

#[test]
fn a_reference_time_is_answered_once_to_who_sent_it() {
    let mut conference = live(2, Options::default());
    let (time, sent) = (NtpTime(7 << 32 | 5 << 16), conference.now);
    conference.endpoint(0).send_rtcp(|writer| {
        writer.receiver_report(Ssrc(77), &[]).unwrap();
        writer.extended_report(Ssrc(77), Some(time), &[]).unwrap();
    });
    conference.drain();
    conference.drive(seconds(4));
    let [(at, delay)] = conference.endpoint(0).delays[..] else {
        panic!("{:?}", conference.endpoint(0).delays)
    };
    assert_eq!((delay.ssrc, delay.last_rr), (Ssrc(77), time.middle()));
    let held = Duration::from_micros(u64::from(delay.delay_since_last_rr) * 1_000_000 / 65_536);
    assert_measured((at - sent).checked_sub(held), 20);
    assert!(conference.endpoint(1).delays.is_empty());
}

/// A publisher of three encodings and a viewer who gets the best one.
struct Simulcast {
    conference: Conference,
    source: SourceId,
}

const NAME: &str = "vp8-simulcast";

impl Simulcast {
    /// Up to so long before the next key frames, which all encodings have at once.
    fn until(before: Duration) -> Simulcast {
        let recording = Recording::load(NAME);
        let mut conference = Conference::<Client>::new(Options::default());
        let room = conference.room();
        let mut publisher = conference.client(0, Plan { audio: false, ..Plan::default() }, 0);
        publisher.play(recording, Choice::All);
        let mut viewer = conference.client(1, Plan { audio: false, video: false, ..Plan::default() }, 0);
        viewer.tape(recording);
        conference.join(room, publisher);
        conference.join(room, viewer);
        conference.connect();
        conference.drive(millis(500));
        let start = conference.now;
        conference.endpoint(0).replay().start(start);
        let middle = &recording.encodings[1];
        let keys = frames(recording.format, &arrived(middle)).into_iter().filter(|frame| frame.key);
        let at = |number| middle.packets.iter().find(|packet| packet.seq.0 == number).expect("a packet").at;
        let mut keys = keys.map(|frame| at(*frame.numbers.start()));
        let key = keys.find(|at| *at > seconds(2)).expect("a key frame in the midst");
        conference.drive(key - before);
        let source = source(&mut conference, 0, MediaKind::Video);
        let mut simulcast = Simulcast { conference, source };
        assert_eq!(simulcast.encoding(), Some(2));
        simulcast
    }

    /// The encoding that the viewer gets.
    fn encoding(&mut self) -> Option<u8> {
        let id = self.conference.participant(1);
        let layer = self.conference.engine.participant(id).expect("it is there").layer(self.source);
        layer.map(|layer| layer.encoding)
    }

    /// The encodings that are there.
    fn there(&self) -> Vec<u8> {
        let mut there: Vec<_> =
            self.conference.engine.layers(self.source).iter().map(|rung| rung.layer.encoding).collect();
        there.dedup();
        there
    }

    /// A seat says that the publisher's best encoding has ended.
    fn say_bye(&mut self, seat: usize, reason: &str) {
        let ssrc = self.conference.endpoint(0).replay().streams[2].ssrc;
        self.conference.endpoint(seat).send_rtcp(|writer| {
            writer.receiver_report(ssrc, &[]).unwrap();
            writer.bye(&[ssrc], reason).unwrap();
        });
    }

    fn requests(&mut self, encoding: usize) -> u32 {
        self.conference.endpoint(0).replay().streams[encoding].requests
    }
}

#[test]
fn a_bye_of_an_encoding_has_its_viewers_fall_back_at_once() {
    let fall_back = |bye: bool| {
        let mut simulcast = Simulcast::until(millis(150));
        let (before, since) = (simulcast.requests(1), simulcast.conference.now);
        simulcast.conference.endpoint(0).replay().streams[2].ended = true;
        if bye {
            simulcast.say_bye(0, "");
        }
        // A round trip later, and what measurements are spaced by, the one below was asked for a key frame.
        simulcast.conference.drive(millis(100));
        let asked = simulcast.requests(1) > before;
        simulcast.conference.drive(millis(200));
        let changed = |(at, event): &(estafette::Instant, Event)| {
            *at >= since
                && matches!(event, Event::LayerChanged { layer: Some(layer), .. } if layer.encoding == 1)
        };
        let told = simulcast.conference.events.iter().any(changed);
        (asked, simulcast.there(), simulcast.encoding(), told)
    };
    assert_eq!(fall_back(true), (true, vec![0, 1], Some(1), true));
    // Without it, silence has to be waited for.
    assert_eq!(fall_back(false), (false, vec![0, 1, 2], Some(2), false));
}

#[test]
fn a_bye_that_comes_before_its_time_is_made_good_by_what_follows() {
    let mut simulcast = Simulcast::until(millis(500));
    let dropped = |simulcast: &Simulcast| simulcast.conference.engine.stats().dropped_in_all();
    let before = dropped(&simulcast);
    simulcast.say_bye(0, "");
    // It goes on all the same.
    simulcast.conference.drive(seconds(2));
    assert_eq!((simulcast.there(), simulcast.encoding()), (vec![0, 1, 2], Some(2)));
    assert_eq!(dropped(&simulcast), before);
}

#[test]
fn what_comes_late_of_an_ended_stream_is_taken_and_does_not_bring_it_back() {
    let mut simulcast = Simulcast::until(millis(400));
    let conference = &mut simulcast.conference;
    // A few packets are lost on their way, and then what asks for them.
    let now = conference.now;
    let lost = (now, now + millis(60));
    let delay = Link::delay(millis(20));
    conference.net.set_link(home(0), server(), delay.clone().with(Stage::Down(lost.0, lost.1)));
    conference.net.set_link(server(), home(0), delay.with(Stage::Down(now, now + seconds(9))));
    conference.drive(millis(160));
    let playing = &mut conference.endpoint(0).replay().streams[2];
    playing.ended = true;
    let ssrc = playing.ssrc;
    simulcast.say_bye(0, "");
    let conference = &mut simulcast.conference;
    conference.drive(millis(50));
    let received = |conference: &mut Conference| {
        let id = conference.participant(0);
        let participant = conference.engine.participant(id).expect("it is there");
        let mut streams = participant.inbound_streams();
        let stream = streams.find(|stream| stream.ssrc == ssrc).expect("it was there");
        (stream.retransmitted_packets_received, stream.nack_count)
    };
    let before = received(conference);
    let (now, newest) = (conference.now, conference.endpoint(0).publisher.newest(ssrc));
    let mut repeats = Vec::new();
    for back in 0..40 {
        let wire = WireSeq(newest.0.wrapping_sub(back));
        repeats.extend(conference.endpoint(0).publisher.repeat(now, ssrc, wire));
    }
    for plain in repeats {
        conference.endpoint(0).send_rtp(plain.ssrc, plain.seq, &plain.header, &plain.payload);
    }
    conference.drive(millis(50));
    let after = received(conference);
    assert!(after.0 > before.0, "they were taken: {before:?}, {after:?}");
    conference.drive(millis(500));
    assert_eq!(received(&mut simulcast.conference).1, after.1, "nothing of it is asked for any more");
    assert_eq!(simulcast.there(), [0, 1]);
}

#[test]
fn behind_a_bye_another_stream_takes_the_place_at_once() {
    let takes_it_back = |bye: bool| {
        let mut conference = live(2, Options::default());
        let client = conference.endpoint(0);
        // It calls its video by another name for a while, and is reported on under both.
        client.lawless = true;
        let (first, second) = (client.publisher.video.ssrc, Ssrc(client.publisher.video.ssrc.0 ^ 2));
        client.publisher.video.ssrc = second;
        conference.drive(millis(300));
        let ssrc =
            |conference: &mut Conference| inbound(conference, 0, MediaKind::Video, |stream| stream.ssrc);
        assert_eq!(ssrc(&mut conference), second);
        let client = conference.endpoint(0);
        client.publisher.video.ssrc = first;
        if bye {
            client.send_rtcp(|writer| writer.bye(&[second], "").unwrap());
        }
        conference.drive(millis(200));
        ssrc(&mut conference) == first
    };
    assert!(takes_it_back(true));
    assert!(!takes_it_back(false), "the one that replaced it may only be silent");
}

#[test]
fn s_rtcp_06_a_bye_for_anothers_stream_is_ignored() {
    let mut simulcast = Simulcast::until(millis(300));
    let long = "x".repeat(255);
    for _ in 0..20 {
        simulcast.say_bye(1, &long);
        simulcast.conference.drive(millis(25));
        assert_eq!((simulcast.there(), simulcast.encoding()), (vec![0, 1, 2], Some(2)));
    }
}

#[test]
fn a_stream_that_ends_is_ended_by_a_bye() {
    let mut conference = live(3, Options::default());
    let of = |conference: &Conference, seat: usize, publisher: &str| {
        let receiver = &conference.seats[seat].endpoint.receiver;
        let mut ssrcs = [true, false]
            .map(|video| receiver.track(publisher, video).expect("it is received").announced.ssrc);
        ssrcs.sort();
        ssrcs
    };
    let byes = |conference: &mut Conference, seat: usize| {
        let mut byes = std::mem::take(&mut conference.endpoint(seat).byes);
        byes.sort();
        byes
    };
    let video = source(&mut conference, 1, MediaKind::Video);
    let ssrc = outbound(&mut conference, 0, video).ssrc;
    let id = conference.participant(0);
    conference.engine.participant(id).expect("it is there").unsubscribe(video);
    conference.drive(millis(50));
    assert_eq!(byes(&mut conference, 0), [ssrc], "repetitions were never sent");
    assert!(byes(&mut conference, 1).is_empty());
    // Who leaves hears nothing any more; the others that its streams ended.
    let ended = [0, 1].map(|seat| of(&conference, seat, "2"));
    conference.leave(2);
    conference.drive(millis(50));
    for seat in [0, 1] {
        assert_eq!(byes(&mut conference, seat), ended[seat]);
    }
    assert!(byes(&mut conference, 2).is_empty());
}

#[test]
fn of_a_stream_that_never_was_no_end_is_told_and_of_repetitions_there_is() {
    let mut conference = Conference::of(2, Options::default());
    conference.endpoint(1).publisher.paused = true;
    conference.connect();
    conference.net.set_link(server(), home(1), Link::lossy(0.1));
    conference.drive(seconds(2));
    let [given, taken] = [0, 1].map(|seat| source(&mut conference, seat, MediaKind::Video));
    let repeated = outbound(&mut conference, 1, given);
    assert!(repeated.retransmitted_packets_sent > 0);
    for (seat, source) in [(0, taken), (1, given)] {
        let id = conference.participant(seat);
        conference.engine.participant(id).expect("it is there").unsubscribe(source);
    }
    conference.net.set_link(server(), home(1), Link::delay(millis(20)));
    conference.drive(millis(50));
    assert!(conference.endpoint(0).byes.is_empty());
    assert_eq!(conference.endpoint(1).byes, [repeated.ssrc, repeated.rtx_ssrc.expect("it was negotiated")]);
}

#[test]
fn statistics_are_what_the_clients_counted() {
    let mut conference = live(2, Options::default());
    conference.drive(seconds(2));
    (0..2).for_each(|_| conference.endpoint(1).request_keyframes());
    conference.drive(millis(900));
    (0..2).for_each(|seat| conference.endpoint(seat).publisher.paused = true);
    conference.drive(millis(1_500));
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let video = kind == MediaKind::Video;
        let source = source(&mut conference, 0, kind);
        let endpoint = &conference.seats[0].endpoint;
        let sent = if video { &endpoint.publisher.video } else { &endpoint.publisher.audio };
        let (numbers, octets, pictures) = (sent.sent, u64::from(sent.octets), u64::from(sent.frame));
        let (keys, requests, ssrc) = (u64::from(sent.keyframes), u64::from(sent.requests), sent.ssrc);
        let now = conference.now;
        inbound(&mut conference, 0, kind, |stream| {
            assert_eq!((stream.source, stream.ssrc, stream.rid), (source, ssrc, None));
            assert_eq!(stream.codec, Some(if video { Codec::Vp8 } else { Codec::Opus }));
            assert_eq!((stream.packets_received, stream.bytes_received), (numbers, octets));
            assert_eq!((stream.packets_lost, stream.packets_discarded), (0, 0));
            assert_eq!((stream.nack_count, stream.fir_count, stream.pli_count), (0, 0, requests));
            assert_eq!(stream.retransmitted_packets_received, 0);
            let pictures = if video { (pictures, keys) } else { (0, 0) };
            assert_eq!((stream.frames_received, stream.key_frames_received), pictures);
            let silent = now - stream.last_packet_received.expect("packets came");
            assert!(silent > millis(1_400) && silent < millis(1_600), "{silent:?}");
            // Pictures come in bursts of packets with one timestamp, sound every 20 ms.
            assert!(stream.jitter < millis(1), "{:?}", stream.jitter);
        });
        let track = conference.seats[1].endpoint.receiver.track("0", video).expect("it is received");
        let (packets, bytes, announced) = (track.packets, track.bytes, track.announced.clone());
        let stream = outbound(&mut conference, 1, source);
        assert_eq!((stream.kind, stream.ssrc, stream.rtx_ssrc), (kind, announced.ssrc, announced.rtx_ssrc));
        assert_eq!((stream.packets_sent, stream.bytes_sent), (packets, bytes));
        assert_eq!((stream.retransmitted_packets_sent, stream.retransmitted_bytes_sent), (0, 0));
        assert_eq!((stream.nack_count, stream.fir_count), (0, 0));
        assert_eq!(stream.pli_count, if video { 2 } else { 0 });
        assert_eq!((stream.retransmissions_refused, stream.key_frame_requests_refused), (0, 0));
        assert_eq!(stream.layer.map(|layer| layer.encoding), Some(0));
        let remote = stream.remote.expect("it was reported on");
        assert_eq!((remote.packets_lost, remote.fraction_lost, remote.jitter), (0, 0.0, Duration::ZERO));
        assert_measured(remote.round_trip_time, 20);
    }
}

#[test]
fn statistics_of_what_is_lost_and_repaired_are_what_the_clients_counted() {
    let mut conference = live(2, Options::default());
    // Lost on the way in and on the way out; what asks for it arrives.
    let lossy = Link::lossy(0.05).with(Stage::Duplicate(0.05));
    conference.net.set_link(home(0), server(), lossy.clone());
    conference.net.set_link(server(), home(1), lossy);
    conference.drive(seconds(4));
    for (from, to) in [(home(0), server()), (server(), home(1))] {
        conference.net.set_link(from, to, Link::delay(millis(20)));
    }
    conference.drive(seconds(1));
    (0..2).for_each(|seat| conference.endpoint(seat).publisher.paused = true);
    conference.drive(seconds(2));
    let source = source(&mut conference, 0, MediaKind::Video);
    let endpoint = conference.endpoint(0);
    let (nacks, sent) = (endpoint.nacks, &endpoint.publisher.video);
    let (numbers, repeated) = (sent.sent, sent.repeated);
    inbound(&mut conference, 0, MediaKind::Video, |stream| {
        assert!(nacks > 10 && stream.nack_count == nacks, "{nacks}, {stream:?}");
        assert_eq!(stream.packets_received.checked_add_signed(stream.packets_lost), Some(numbers));
        assert_eq!(stream.bytes_received, VIDEO as u64 * stream.packets_received);
        let repaired = stream.retransmitted_packets_received;
        assert!(repaired > 10 && repaired <= repeated, "{repeated}, {stream:?}");
    });
    let receiver = &conference.seats[1].endpoint.receiver;
    let track = receiver.track("0", true).expect("it is received");
    let (asked, nacks, repaired) = (track.asked, track.nacks, track.repaired);
    let blocks = receiver.blocks(conference.now);
    let stream = outbound(&mut conference, 1, source);
    assert!(nacks > 10 && stream.nack_count == nacks, "{nacks}, {stream:?}");
    assert_eq!(stream.retransmitted_packets_sent + stream.retransmissions_refused, asked);
    assert!(repaired > 10 && stream.retransmitted_packets_sent >= repaired, "{repaired}, {stream:?}");
    let first = stream.packets_sent - stream.retransmitted_packets_sent;
    assert_eq!(stream.bytes_sent, VIDEO as u64 * stream.packets_sent);
    let block = blocks.iter().find(|block| block.ssrc == stream.ssrc).expect("packets came");
    assert!(u64::from(block.highest_seq) >= first);
    assert_eq!(stream.remote.expect("it was reported on").packets_lost, block.cumulative_lost);
}

#[test]
fn a_packet_that_comes_twice_is_discarded_and_counted() {
    let mut conference = live(2, Options::default());
    let ssrc = conference.endpoint(0).publisher.video.ssrc;
    let (now, newest) = (conference.now, conference.endpoint(0).publisher.newest(ssrc));
    for back in 10..15 {
        let wire = WireSeq(newest.0.wrapping_sub(back));
        let plain = conference.endpoint(0).publisher.repeat(now, ssrc, wire).expect("it was sent");
        conference.endpoint(0).send_rtp(plain.ssrc, plain.seq, &plain.header, &plain.payload);
    }
    conference.drive(millis(50));
    inbound(&mut conference, 0, MediaKind::Video, |stream| {
        assert_eq!((stream.packets_discarded, stream.retransmitted_packets_received), (5, 0));
    });
}

#[test]
fn the_transport_is_told() {
    let mut conference = Conference::of(1, Options::default());
    let before = transport(&mut conference, 0);
    assert_ne!(before.dtls_state, DtlsState::Connected);
    assert_eq!((before.selected_path, before.selected_candidate_pair_changes), (None, 0));
    assert_eq!((before.srtp_cipher, before.round_trip_time), (None, None));
    conference.connect();
    conference.drive(millis(500));
    let told = transport(&mut conference, 0);
    assert_eq!((told.dtls_state, told.tls_version), (DtlsState::Connected, Some(dtls::Version::V12)));
    assert_eq!(told.dtls_role, Some(dtls::Role::Server));
    assert_eq!(told.srtp_cipher, conference.endpoint(0).profile());
    assert_eq!((told.selected_path, told.selected_candidate_pair_changes), (Some(path_to(home(0))), 1));
    let stats = conference.engine.stats();
    assert_eq!((told.packets_sent, told.bytes_sent), (stats.datagrams_sent, stats.bytes_sent));
    let received = (stats.datagrams_received, stats.bytes_received);
    assert_eq!((told.packets_received, told.bytes_received), received);
    let (now, elsewhere) = (conference.now, ([10, 0, 0, 77], 50_077).into());
    conference.endpoint(0).move_to(now, elsewhere, true);
    conference.readdress(0);
    conference.drive(seconds(1));
    let told = transport(&mut conference, 0);
    assert_eq!((told.selected_path, told.selected_candidate_pair_changes), (Some(path_to(elsewhere)), 2));
}
