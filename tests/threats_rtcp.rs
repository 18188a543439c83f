//! Floods of requests (S-RTCP-03, S-RTCP-04); how much RTCP an engine sends, and that malformed RTCP causes none
//! (S-RTCP-09).

mod support;

use estafette::mux::{Kind, kind_of};
use estafette::negotiation::MediaKind;
use estafette::rtcp::FirEntry;
use estafette::rtp::{Ssrc, WireSeq};
use estafette::{DropReason, OutboundStreamStats, Wish, limits, rtcp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use support::client::publish::Plan;
use support::client::receive::Arrived;
use support::harness::{Options, home, live, millis, seconds};
use support::recording::Recording;
use support::replay::Choice;
use support::{Client, Conference};

/// Bytes of headers in front of a datagram: bandwidth counts from IP upwards (RFC 3550, section 6.2).
const UDP_IP: usize = 28;

/// The bandwidth that a silent participant's session is taken to have, in bytes a second: one voice of
/// 64 kbit/s (RFC 3551, section 4.5.14).
const NOMINAL: usize = 8_000;

/// Bytes from and to one participant in a while.
#[derive(Debug, Default, Clone, Copy)]
struct Bandwidth {
    rtcp: usize,
    media: usize,
}

/// A conference of audio and perhaps video, connected.
fn call(count: u32, audio: bool, video: bool) -> Conference {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..count {
        conference.add_with(room, index, Plan { audio, video, ..Plan::default() });
    }
    conference.connect();
    conference
}

/// What each participant gets and gives while `time` passes.
fn measure(conference: &mut Conference, time: Duration) -> Vec<Bandwidth> {
    let received = |conference: &mut Conference, seat: usize| {
        let id = conference.participant(seat);
        let stats = conference.engine.participant(id).expect("it is there").stats();
        stats.bytes_received as usize + UDP_IP * stats.datagrams_received as usize
    };
    let seats = 0..conference.seats.len();
    let before: Vec<_> = seats.clone().map(|seat| received(conference, seat)).collect();
    conference.tap = true;
    conference.drive(time);
    conference.tap = false;
    let sent = std::mem::take(&mut conference.outgoing);
    seats
        .map(|seat| {
            let to = sent.iter().filter(|packet| packet.to == home(seat as u32));
            let of = |kind| {
                let of = to.clone().filter(move |packet| kind_of(&packet.data) == Some(kind));
                of.map(|packet| packet.data.len() + UDP_IP).sum::<usize>()
            };
            let media = of(Kind::Rtp) + received(conference, seat) - before[seat];
            Bandwidth { rtcp: of(Kind::Rtcp), media }
        })
        .collect()
}

#[test]
fn s_rtcp_09_reports_and_feedback_stay_within_a_twentieth_of_the_bandwidth() {
    let rooms = [(3, true, true), (2, true, false), (12, true, false), (5, false, true), (8, false, false)];
    for (count, audio, video) in rooms {
        let mut conference = call(count, audio, video);
        conference.drive(seconds(1));
        let time = seconds(6);
        for (seat, used) in measure(&mut conference, time).into_iter().enumerate() {
            let nominal = NOMINAL * time.as_secs() as usize;
            let bound = used.media.max(nominal) / 20;
            println!("{count} {audio} {video} {seat}: {used:?} of {bound}");
            assert!(used.rtcp <= bound, "{count} {audio} {video}, {seat}: {used:?} of {bound}");
            assert_eq!(used.rtcp > 0, audio || video);
        }
    }
}

#[test]
fn s_rtcp_09_four_compounds_at_start_and_in_a_round() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..12 {
        conference.add(room, index);
    }
    conference.tap = true;
    let (mut compounds, mut since) = (vec![0; 12], vec![None; 12]);
    for _ in 0..400 {
        conference.drive(millis(10));
        let now = conference.now;
        let mut round = vec![0; 12];
        for packet in std::mem::take(&mut conference.outgoing) {
            let seat = (0..12).find(|seat| packet.to == home(*seat)).expect("somebody's") as usize;
            // A sealed compound shows its first packet's type; what is in haste has another.
            if kind_of(&packet.data) == Some(Kind::Rtcp) && matches!(packet.data[1], 200 | 201) {
                round[seat] += 1;
            }
        }
        for seat in 0..12 {
            assert!(round[seat] <= usize::from(limits::REPORT_DATAGRAMS), "{round:?}");
            if conference.endpoint(seat).connected() && since[seat].is_none() {
                since[seat] = Some(now);
            }
            compounds[seat] += round[seat];
            let age = since[seat].map_or(Duration::ZERO, |since| now - since);
            // Those of the start, then no more than one round in the shortest interval.
            let rounds = 1 + age.as_millis() as usize / 800;
            assert!(compounds[seat] <= 4 * rounds, "{seat} after {age:?}: {compounds:?}");
        }
    }
    assert!(compounds.iter().all(|compounds| *compounds > 0), "{compounds:?}");
}

/// A length past the end.
const TOO_LONG: &[u8] = &[0x80, 201, 0, 9, 0, 0, 0, 1];
/// A request without a number behind a good report.
const REPORT_AND_CUT: &[u8] = &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];

/// Authentic bytes that are no RTCP, or not to their end.
const MALFORMED: [&[u8]; 8] = [
    TOO_LONG,
    REPORT_AND_CUT,
    // A count that does not fit, padding of nothing.
    &[0x85, 201, 0, 1, 0, 0, 0, 1],
    &[0xa0, 201, 0, 1, 0, 0, 0, 0],
    // Behind a good report: half a header, and another version.
    &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 206],
    &[0x80, 201, 0, 1, 0, 0, 0, 1, 0x41, 206, 0, 0],
    // A description without end, a request that is cut.
    &[0x81, 202, 0, 2, 0, 0, 0, 7, 1, 2, b'a', b'b'],
    &[0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9],
];

#[test]
fn s_rtcp_09_malformed_rtcp_causes_no_rtcp() {
    let run = |hostile: bool| {
        let mut conference = live(3, Options::default());
        conference.tap = true;
        let before = conference.engine.stats().datagrams_dropped;
        for round in 0..40 {
            if hostile {
                let plain = MALFORMED[round % MALFORMED.len()];
                conference.endpoint(0).send_plain_rtcp(plain);
            }
            conference.drive(millis(25));
        }
        let rtcp = conference.outgoing.iter().filter(|packet| kind_of(&packet.data) == Some(Kind::Rtcp));
        // To whom, of what type, how long: the same as if nothing had been said.
        let rtcp: Vec<_> = rtcp.map(|packet| (packet.to, packet.data[1], packet.data.len())).collect();
        (rtcp, conference.engine.stats().datagrams_dropped - before)
    };
    let (quiet, none) = run(false);
    let (provoked, dropped) = run(true);
    assert_eq!(quiet, provoked);
    assert_eq!((none, dropped), (0, 40));
}

#[test]
fn s_rtcp_09_forged_media_does_not_quicken_feedback() {
    let run = |hostile: bool| {
        let mut conference = call(2, true, false);
        conference.drive(Duration::from_secs(1));
        let ssrc = conference.seats[0].endpoint.publisher.audio.ssrc;
        let forged = [&[0x80, 111, 0, 1, 0, 0, 0, 0][..], &ssrc.0.to_be_bytes(), &[7; 1_200]].concat();
        let before = conference.seats[0].endpoint.feedbacks;
        for _ in 0..2_000 {
            if hostile {
                conference.inject(home(0), &forged);
            }
            conference.drive(millis(1));
        }
        conference.seats[0].endpoint.feedbacks - before
    };
    let quiet = run(false);
    assert!(quiet > 0 && quiet < 15, "{quiet}: seldom, as little is sent");
    assert_eq!(run(true), quiet);
}

#[test]
fn s_rtcp_01_what_follows_a_malformed_packet_is_dropped_and_counted() {
    let mut conference = live(2, Options::default());
    let id = conference.participant(0);
    let fault = |conference: &mut Conference, fault| {
        let participant = conference.engine.participant(id).expect("it is there");
        participant.stats().dropped(DropReason::Rtcp(fault))
    };
    conference.endpoint(0).send_plain_rtcp(REPORT_AND_CUT);
    conference.drive(millis(100));
    assert_eq!(fault(&mut conference, rtcp::Fault::Nack), 1);
    conference.endpoint(0).send_plain_rtcp(TOO_LONG);
    conference.drive(millis(100));
    assert_eq!(fault(&mut conference, rtcp::Fault::Length), 1);
    conference.assert_all_seen(20);
}

/// One second of a flood in steps of 10 ms: all that a subscriber can ask for of packets.
fn nack_flood(conference: &mut Conference, foreign: &[Ssrc]) -> u64 {
    let mut about_others = 0;
    for _ in 0..100 {
        let client = conference.endpoint(1);
        let track = client.receiver.track("0", true).expect("it is announced");
        let (sender, media) = (client.ssrc, track.announced.ssrc);
        if let Some(highest) = track.highest {
            let back =
                |most: u64| (0..most).rev().map(move |back| WireSeq(highest.wrapping_sub(back) as u16));
            client.send_rtcp(|writer| {
                // What is there, thrice; what was, over switches; what never was.
                (0..3).for_each(|_| writer.nack(sender, media, back(64)).unwrap());
                writer.nack(sender, media, back(1_000)).unwrap();
                let never = (0..200).map(|ahead| WireSeq(highest.wrapping_add(1_000 + ahead) as u16));
                writer.nack(sender, media, never).unwrap();
                foreign.iter().for_each(|other| writer.nack(sender, *other, back(32)).unwrap());
            });
            about_others += foreign.len() as u64;
        }
        conference.drive(millis(10));
    }
    about_others
}

/// That what was sent again was so once a round trip each and within its share, and is what was sent first.
/// Gives the bytes that were sent first and again.
fn assert_bounded(tape: &[Arrived], round_trip: Duration) -> [u64; 2] {
    let mut by_number = BTreeMap::<u64, Vec<&Arrived>>::new();
    tape.iter().for_each(|arrived| by_number.entry(arrived.seq.0).or_default().push(arrived));
    let mut bytes = [0, 0];
    for (number, arrived) in by_number {
        let (first, again) = arrived.split_first().expect("one at least");
        bytes[0] += first.payload.len() as u64;
        bytes[1] += again.iter().map(|again| again.payload.len() as u64).sum::<u64>();
        for again in again {
            assert_eq!((&again.payload, again.timestamp), (&first.payload, first.timestamp), "{number}");
        }
        for pair in again.windows(2) {
            assert!(pair[1].at - pair[0].at >= round_trip, "{number}: {:?}, {:?}", pair[0].at, pair[1].at);
        }
    }
    let share = bytes[0] / 100 * limits::RETRANSMISSION_PERCENT + limits::RETRANSMISSION_BURST;
    assert!(bytes[1] <= share, "{bytes:?} of {share}");
    bytes
}

fn outbound(conference: &mut Conference, seat: usize, video: bool) -> OutboundStreamStats {
    let id = conference.participant(seat);
    let participant = conference.engine.participant(id).expect("it is there");
    let mut streams = participant.outbound_streams();
    streams.find(|stream| (stream.kind == MediaKind::Video) == video).expect("a subscription")
}

fn requests_refused(conference: &mut Conference, seat: usize) -> u64 {
    let id = conference.participant(seat);
    conference.engine.participant(id).expect("it is there").stats().requests_refused
}

/// A publisher and two who receive, the first of whom has its video taped.
fn audience(publish: impl Fn(&mut Client)) -> Conference {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..3 {
        let video = index == 0;
        let mut client = conference.client(index, Plan { audio: false, video, ..Plan::default() }, 0);
        client.receiver.taped = index == 1;
        if index == 0 {
            publish(&mut client);
        }
        conference.join(room, client);
    }
    conference.connect();
    conference
}

#[test]
fn s_rtcp_03_a_flood_of_nacks_gets_each_number_once_a_round_trip_and_its_share() {
    let mut conference = audience(|_| ());
    // Until the round trip is known.
    conference.drive(seconds(3));
    let theirs =
        conference.seats[2].endpoint.receiver.track("0", true).expect("it is received").announced.ssrc;
    let foreign = [theirs, conference.endpoint(0).publisher.video.ssrc, Ssrc(1)];
    let (before, refused) = (outbound(&mut conference, 1, true), requests_refused(&mut conference, 1));
    assert_eq!((before.nack_count, before.retransmissions_refused), (0, 0));
    let about_others: u64 = (0..4).map(|_| nack_flood(&mut conference, &foreign)).sum();
    conference.drive(millis(100));
    let tape = &conference.seats[1].endpoint.receiver.track("0", true).expect("it is received").tape;
    let [_, again] = assert_bounded(tape, millis(40));
    assert!(again > limits::RETRANSMISSION_BURST, "the share is used up: {again}");
    // Each request was counted, and each number sent again or refused.
    let stream = outbound(&mut conference, 1, true);
    assert_eq!(stream.retransmitted_bytes_sent, again);
    assert_eq!(stream.nack_count, 400 * 5);
    let numbers = 400 * (3 * 64 + 1_000 + 200);
    assert_eq!(stream.retransmitted_packets_sent + stream.retransmissions_refused, numbers);
    assert_eq!(requests_refused(&mut conference, 1) - refused, about_others);
    // The others have nothing of it: every frame, no repetitions, and nobody asks the publisher.
    let seen = conference.seen(2, 0);
    assert!(seen.broken.is_empty() && seen.video > 150, "{seen:?}");
    let other = outbound(&mut conference, 2, true);
    assert_eq!((other.retransmitted_packets_sent, other.nack_count), (0, 0));
    assert_eq!(conference.endpoint(0).nacks, 0);
    let silence =
        conference.seats[2].endpoint.receiver.track("0", true).expect("it is received").longest_silence;
    assert!(silence <= millis(50), "{silence:?}");
}

#[test]
fn s_rtcp_03_a_flood_of_nacks_is_bounded_over_switches_of_layer() {
    let recording = Recording::load("vp8-simulcast");
    let mut conference = audience(|publisher| publisher.play(recording, Choice::All));
    for seat in 1..3 {
        conference.endpoint(seat).tape(recording);
    }
    conference.drive(millis(500));
    let start = conference.now;
    conference.endpoint(0).replay().start(start);
    conference.drive(seconds(1));
    let id = conference.participant(1);
    let source = conference.engine.participant(conference.participant(0)).expect("it is there");
    let source = source.sources().next().expect("it publishes video").id;
    let theirs =
        conference.seats[2].endpoint.receiver.track("0", true).expect("it is received").announced.ssrc;
    let mut layers = BTreeSet::new();
    let seconds_left = recording.duration().as_secs() - 1;
    assert!(seconds_left >= 3);
    for second in 0..seconds_left {
        let max_height = (second % 2 == 0).then_some(90);
        let mut viewer = conference.engine.participant(id).expect("it is there");
        viewer.set_wish(source, Wish { max_height, ..Wish::default() }).expect("it is subscribed");
        nack_flood(&mut conference, &[theirs]);
        layers.insert(outbound(&mut conference, 1, true).layer.map(|layer| layer.encoding));
    }
    conference.drive(seconds(2));
    assert!(conference.endpoint(0).replay().finished());
    assert!(layers.contains(&Some(0)) && layers.contains(&Some(2)), "{layers:?}");
    let tape = &conference.seats[1].endpoint.receiver.track("0", true).expect("it is received").tape;
    let [first, again] = assert_bounded(tape, millis(40));
    let stream = outbound(&mut conference, 1, true);
    assert_eq!((stream.retransmitted_bytes_sent, stream.bytes_sent), (again, first + again));
    assert!(again > limits::RETRANSMISSION_BURST, "{again}");
    let other = outbound(&mut conference, 2, true);
    assert_eq!((other.retransmitted_packets_sent, other.nack_count), (0, 0));
}

/// Floods of requests for key frames from some seats in steps of 10 ms; gives how often each of the
/// publisher's streams was asked, and asserts that it never was twice within the interval.
fn keyframe_flood(
    conference: &mut Conference,
    time: Duration,
    mut flood: impl FnMut(&mut Conference, u8),
    asked: impl Fn(&mut Conference) -> Vec<u32>,
) -> Vec<u32> {
    let start = asked(conference);
    let (mut before, mut last) = (start.clone(), vec![None; start.len()]);
    for step in 0..time.as_millis() / 10 {
        flood(conference, step as u8);
        conference.drive(millis(10));
        let now = conference.now;
        let counts = asked(conference);
        for (at, (count, before)) in counts.iter().zip(&before).enumerate().filter(|(_, (a, b))| a > b) {
            assert_eq!(*count, before + 1, "stream {at}");
            let since = last[at].replace(now).map(|last| now - last);
            // Seen in steps of 10 ms.
            assert!(
                since.is_none_or(|since| since + millis(10) >= limits::KEYFRAME_INTERVAL),
                "{at}: {since:?}"
            );
        }
        before = counts;
    }
    before.iter().zip(start).map(|(now, start)| now - start).collect()
}

/// What a seat calls the publisher's video.
fn video_ssrc(conference: &Conference, seat: usize) -> Ssrc {
    conference.seats[seat].endpoint.receiver.track("0", true).expect("it is received").announced.ssrc
}

#[test]
fn s_rtcp_04_floods_of_plis_and_firs_are_one_request_in_half_a_second() {
    let mut conference = audience(|_| ());
    conference.drive(seconds(1));
    let ssrcs = [1, 2].map(|seat| video_ssrc(&conference, seat));
    let publishers = conference.endpoint(0).publisher.video.ssrc;
    let asked = keyframe_flood(
        &mut conference,
        seconds(3),
        |conference, step| {
            for (seat, media) in [1, 2].into_iter().zip(ssrcs) {
                let client = conference.endpoint(seat);
                let sender = client.ssrc;
                client.send_rtcp(|writer| {
                    (0..5).for_each(|_| writer.pli(sender, media).unwrap());
                    let fir = |sequence_number| FirEntry { ssrc: media, sequence_number };
                    writer.fir(sender, &[fir(step), fir(step.wrapping_add(7))]).unwrap();
                });
            }
        },
        |conference| vec![conference.endpoint(0).publisher.video.requests],
    );
    assert!((5..=7).contains(&asked[0]), "{asked:?}");
    conference.drive(millis(50));
    let stream = outbound(&mut conference, 1, true);
    assert_eq!((stream.pli_count, stream.fir_count, stream.key_frame_requests_refused), (1_500, 600, 0));
    // Streams that are not theirs: another's, the publisher's, and one that it gave up.
    let source = stream.source;
    let id = conference.participant(1);
    conference.engine.participant(id).expect("it is there").unsubscribe(source);
    conference.drive(millis(600));
    let refused = requests_refused(&mut conference, 1);
    let asked = keyframe_flood(
        &mut conference,
        seconds(2),
        |conference, step| {
            let client = conference.endpoint(1);
            let sender = client.ssrc;
            client.send_rtcp(|writer| {
                for media in [ssrcs[0], ssrcs[1], publishers] {
                    writer.pli(sender, media).unwrap();
                    writer.fir(sender, &[FirEntry { ssrc: media, sequence_number: step }]).unwrap();
                }
            });
        },
        |conference| vec![conference.endpoint(0).publisher.video.requests],
    );
    assert_eq!(asked, [0]);
    conference.drive(millis(50));
    assert_eq!(requests_refused(&mut conference, 1) - refused, 200 * 6);
    // The other one saw all that there was.
    let seen = conference.seen(2, 0);
    assert!(seen.broken.is_empty() && seen.video > 150, "{seen:?}");
}

#[test]
fn s_rtcp_04_a_fir_that_is_repeated_is_one_request() {
    let mut conference = audience(|_| ());
    conference.drive(seconds(1));
    let media = video_ssrc(&conference, 1);
    let mut expected = conference.endpoint(0).publisher.video.requests;
    for sequence_number in [254, 255, 0] {
        for _ in 0..20 {
            let client = conference.endpoint(1);
            let sender = client.ssrc;
            client.send_rtcp(|writer| {
                writer.fir(sender, &[FirEntry { ssrc: media, sequence_number }]).unwrap();
            });
            conference.drive(millis(100));
        }
        expected += 1;
        assert_eq!(conference.endpoint(0).publisher.video.requests, expected, "{sequence_number}");
    }
    let stream = outbound(&mut conference, 1, true);
    assert_eq!((stream.fir_count, stream.key_frame_requests_refused, stream.pli_count), (3, 57, 0));
}

#[test]
fn s_rtcp_04_each_encoding_is_asked_once_in_half_a_second() {
    let recording = Recording::load("vp8-simulcast");
    let mut conference = audience(|publisher| publisher.play(recording, Choice::All));
    for seat in 1..3 {
        conference.endpoint(seat).tape(recording);
    }
    conference.drive(millis(500));
    let start = conference.now;
    conference.endpoint(0).replay().start(start);
    let source = conference.engine.participant(conference.participant(0)).expect("it is there");
    let source = source.sources().next().expect("it publishes video").id;
    let id = conference.participant(2);
    let mut viewer = conference.engine.participant(id).expect("it is there");
    viewer.set_wish(source, Wish { max_height: Some(90), ..Wish::default() }).expect("it is subscribed");
    conference.drive(millis(2_300));
    let ssrcs = [1, 2].map(|seat| video_ssrc(&conference, seat));
    let encodings =
        [1, 2].map(|seat| outbound(&mut conference, seat, true).layer.expect("it is sent").encoding);
    assert_eq!(encodings, [2, 0]);
    let asked = keyframe_flood(
        &mut conference,
        seconds(2),
        |conference, _| {
            for (seat, media) in [1, 2].into_iter().zip(ssrcs) {
                let client = conference.endpoint(seat);
                let sender = client.ssrc;
                client.send_rtcp(|writer| (0..5).for_each(|_| writer.pli(sender, media).unwrap()));
            }
        },
        |conference| conference.endpoint(0).replay().streams.iter().map(|stream| stream.requests).collect(),
    );
    assert!((3..=5).contains(&asked[0]) && (3..=5).contains(&asked[2]), "{asked:?}");
    assert_eq!(asked[1], 0, "nobody gets that one");
}
