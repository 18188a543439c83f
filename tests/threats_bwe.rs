//! THREATS.md, surface S-BWE: feedback about what was sent that is wrong, false or missing, one test for each; and
//! what is sent by the pace that follows from it.

mod support;

use estafette::allocation::Reason;
use estafette::negotiation::FeedbackKind;
use estafette::rtp::{Ssrc, WireSeq};
use estafette::{Bitrate, DropReason, EngineConfig, Instant, TransportStats, bwe, limits};
use std::time::Duration;
use support::client::arrivals::Format;
use support::client::publish::Plan;
use support::harness::{Options, live, millis, seconds};
use support::{Client, Conference};

/// The bounds that hold where nothing is said.
fn bounds() -> bwe::Config {
    EngineConfig::default().estimate.expect("paths are estimated")
}

/// An engine that believes in one rate and no other.
fn fixed(kbps: u64) -> Options {
    let rate = Bitrate::from_kbps(kbps);
    let estimate = Some(bwe::Config { initial: rate, min: rate, max: rate });
    let options = Options::default();
    Options { engine: EngineConfig { estimate, ..options.engine.clone() }, ..options }
}

/// Three in a call that has run for a while, under the usual bounds.
fn call() -> Conference {
    let options = Options::default();
    // Wide from the start: all is sent to everybody.
    let estimate = Some(bwe::Config { initial: Bitrate::from_kbps(5_000), ..bounds() });
    let engine = EngineConfig { estimate, ..options.engine.clone() };
    live(3, Options { engine, ..options })
}

fn transport(conference: &mut Conference, seat: usize) -> TransportStats {
    let id = conference.participant(seat);
    conference.engine.participant(id).expect("it is there").transport_stats().expect("it is there")
}

/// What is believed of the path to a seat.
fn believed(conference: &mut Conference, seat: usize) -> Bitrate {
    transport(conference, seat).available_outgoing_bitrate.expect("media is sent to it")
}

/// What happened to the others while seat 0 told what it liked for a while.
struct Others {
    requests: u32,
    believed: Bitrate,
    video: usize,
}

fn others(conference: &mut Conference) -> Others {
    Others {
        requests: conference.endpoint(1).publisher.video.requests,
        believed: believed(conference, 2),
        video: conference.seen(2, 1).video,
    }
}

/// Asserts that who receives beside seat 0 noticed nothing.
fn assert_unharmed(conference: &mut Conference, before: &Others, passed: Duration) {
    let after = others(conference);
    assert_eq!(after.requests, before.requests, "publishers are not asked for anything");
    assert!(after.believed >= before.believed, "{:?} after {:?}", after.believed, before.believed);
    // A frame each 40 ms.
    let expected = passed.as_millis() as usize / 40;
    assert!(
        after.video + 3 >= before.video + expected,
        "{} frames in {passed:?}",
        after.video - before.video
    );
    assert!(conference.seen(2, 1).broken.is_empty());
}

/// A body of transport-wide feedback behind its header: base, count, reference time, number, chunks and deltas.
fn feedback(base: u16, count: u16, reference: u32, rest: &[u8]) -> Vec<u8> {
    let mut plain = vec![0x8f, 205, 0, 0];
    plain.extend([0, 0, 0, 7, 0, 0, 0, 8]);
    plain.extend(base.to_be_bytes());
    plain.extend(count.to_be_bytes());
    plain.extend((reference << 8).to_be_bytes());
    plain.extend(rest);
    plain.resize(plain.len().next_multiple_of(4), 0);
    let words = (plain.len() / 4 - 1) as u16;
    plain[2..4].copy_from_slice(&words.to_be_bytes());
    plain
}

/// The last transport-wide number that a seat got, as it stands on the wire.
fn latest(conference: &Conference, seat: usize) -> u16 {
    let arrivals = &conference.seats[seat].endpoint.arrivals;
    *arrivals.numbers.keys().next_back().expect("numbers came") as u16
}

/// Sends plain RTCP from a seat and lets it arrive.
fn send(conference: &mut Conference, seat: usize, plain: &[u8]) {
    conference.endpoint(seat).send_plain_rtcp(plain);
    conference.drain();
    conference.drive(millis(30));
}

#[test]
fn s_bwe_01_counts_and_chunks_that_do_not_fit_are_refused_whole() {
    let mut conference = call();
    conference.endpoint(0).arrivals.format = Format::Silent;
    conference.drive(millis(100));
    let before = others(&mut conference);
    let (from, believed_before) = (conference.now, believed(&mut conference, 0));
    let told = transport(&mut conference, 0);
    let base = latest(&conference, 0);
    let malformed = [
        // No statuses at all, more than the chunks have, a run past the count, symbols of which the delta is missing.
        feedback(base, 0, 1, &[]),
        feedback(base, 65_535, 1, &[0x20, 0x01, 4]),
        feedback(base, 8, 1, &[0x3f, 0xff, 4, 4, 4, 4]),
        feedback(base, 7, 1, &[0x20, 0x07, 4, 4]),
        feedback(base, 14, 1, &[0xbf, 0xff]),
        // A reserved symbol.
        feedback(base, 1, 1, &[0x60, 0x01]),
    ];
    let id = conference.participant(0);
    let received =
        |conference: &mut Conference| conference.engine.participant(id).unwrap().stats().feedback_received;
    let feedbacks = received(&mut conference);
    for (at, plain) in malformed.iter().enumerate() {
        send(&mut conference, 0, plain);
        assert_eq!(received(&mut conference), feedbacks, "{at} was read");
    }
    let after = transport(&mut conference, 0);
    assert_eq!(after.feedback_ignored, told.feedback_ignored);
    assert_eq!(believed(&mut conference, 0), believed_before);
    let passed = conference.now - from;
    assert_unharmed(&mut conference, &before, passed);
}

#[test]
fn s_bwe_01_what_is_looked_up_in_a_second_is_bounded() {
    let mut conference = call();
    let base = latest(&conference, 0).wrapping_sub(40_000);
    // Eight runs of 8,191 lost packets and the rest, in 40 bytes; sixty of them in a datagram.
    let mut chunks: Vec<u8> = [0x1f, 0xff].repeat(8);
    chunks.extend([0x00, 0x07]);
    let plain = feedback(base, 65_535, 1, &chunks).repeat(30);
    for _ in 0..10 {
        send(&mut conference, 0, &plain);
    }
    let told = transport(&mut conference, 0);
    assert!(told.feedback_refused >= 30, "{}", told.feedback_refused);
    conference.drive(seconds(2));
    let refused = transport(&mut conference, 0).feedback_refused;
    conference.drive(seconds(2));
    assert_eq!(transport(&mut conference, 0).feedback_refused, refused, "and then it is read again");
}

#[test]
fn s_bwe_02_numbers_never_sent_told_twice_or_forgotten_are_ignored_and_counted() {
    let mut conference = call();
    conference.endpoint(0).arrivals.format = Format::Silent;
    conference.drive(millis(100));
    let last = latest(&conference, 0);
    let ignored = |conference: &mut Conference| transport(conference, 0).feedback_ignored;
    let believed_before = believed(&mut conference, 0);
    // Ten received, from a base on.
    let ten = |base: u16| feedback(base, 10, 5, &[0x20, 0x0a, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
    let mut before = ignored(&mut conference);
    let mut strange = |conference: &mut Conference, base: u16| {
        send(conference, 0, &ten(base));
        let now = ignored(conference);
        now - std::mem::replace(&mut before, now)
    };
    assert_eq!(strange(&mut conference, last.wrapping_add(5_000)), 10, "never sent");
    assert_eq!(strange(&mut conference, last.wrapping_sub(20_000)), 10, "too long ago, if ever");
    assert!(strange(&mut conference, last.wrapping_sub(9)) <= 10);
    assert_eq!(strange(&mut conference, last.wrapping_sub(9)), 10, "twice");
    assert_eq!(believed(&mut conference, 0), believed_before);
    assert_eq!(transport(&mut conference, 0).feedback_untrue, 0);
}

#[test]
fn s_bwe_03_who_says_that_numbers_came_which_were_left_out_gets_the_least() {
    let mut conference = call();
    let before = others(&mut conference);
    let from = conference.now;
    // It says of every number that it came.
    let lie = |client: &mut Client| {
        let numbers = &mut client.arrivals.numbers;
        let (first, last) = (*numbers.keys().next().unwrap(), *numbers.keys().next_back().unwrap());
        for number in first..last {
            let at = *numbers.range(..=number).next_back().unwrap().1;
            numbers.entry(number).or_insert(at);
        }
    };
    for _ in 0..2_000 {
        conference.drive(millis(5));
        lie(conference.endpoint(0));
    }
    let told = transport(&mut conference, 0);
    assert!(told.feedback_untrue > 0, "{told:?}");
    assert_eq!(told.available_outgoing_bitrate, Some(bounds().min));
    let passed = conference.now - from;
    assert_unharmed(&mut conference, &before, passed);
    assert_eq!(transport(&mut conference, 2).feedback_untrue, 0);
}

#[test]
fn s_bwe_03_who_tells_the_truth_is_never_taken_for_a_liar() {
    let link = support::Link::lossy(0.05).with(support::Stage::Duplicate(0.02));
    let options = Options { link, ..Options::default() };
    let mut conference = live(3, options);
    conference.drive(seconds(30));
    for seat in 0..3 {
        let told = transport(&mut conference, seat);
        assert_eq!((told.feedback_untrue, told.feedback_refused), (0, 0), "{told:?}");
    }
    // And yet numbers are left out, without a loss.
    let mut calm = live(2, Options::default());
    calm.drive(seconds(30));
    let arrivals = &calm.seats[0].endpoint.arrivals;
    let (first, last) =
        (arrivals.numbers.keys().next().unwrap(), arrivals.numbers.keys().next_back().unwrap());
    let gaps = last - first + 1 - arrivals.numbers.len() as u64;
    let (sent, distance) = (arrivals.numbers.len() as u64, limits::SKIP_DISTANCE);
    assert!((sent / distance / 3..=sent / distance).contains(&gaps), "{gaps} of {sent}");
}

#[test]
fn s_bwe_04_who_says_that_nothing_comes_harms_itself_alone() {
    let mut conference = call();
    let before = others(&mut conference);
    let from = conference.now;
    conference.endpoint(0).arrivals.format = Format::Silent;
    let mut reference = 1;
    for _ in 0..200 {
        conference.drive(millis(25));
        let last = latest(&conference, 0);
        // Of fifty the last one came, later each time.
        reference += 1;
        let lost = feedback(last.wrapping_sub(49), 50, reference, &[0x00, 0x31, 0x20, 0x01, 4]);
        conference.endpoint(0).send_plain_rtcp(&lost);
    }
    let passed = conference.now - from;
    assert_unharmed(&mut conference, &before, passed);
    assert!(believed(&mut conference, 0) >= bounds().min);
}

#[test]
fn s_bwe_05_media_ends_when_nothing_is_heard_and_goes_on_with_the_first_report() {
    let mut conference = call();
    conference.endpoint(0).mute = true;
    conference.drive(limits::MEDIA_TIMEOUT - seconds(1));
    let packets = |conference: &mut Conference| conference.endpoint(0).arrivals.packets;
    let before = packets(&mut conference);
    conference.drive(millis(500));
    assert!(packets(&mut conference) > before, "not yet");
    conference.drive(seconds(1));
    let before = packets(&mut conference);
    let from = (conference.now, others(&mut conference));
    conference.drive(seconds(5));
    assert_eq!(packets(&mut conference), before, "nothing comes any more");
    let id = conference.participant(0);
    let stats = conference.engine.participant(id).expect("it is still there").stats();
    assert!(stats.dropped(DropReason::Unheard) > 100);
    assert_eq!(stats.packets_queued, 0, "and nothing is kept for it");
    let passed = conference.now - from.0;
    assert_unharmed(&mut conference, &from.1, passed);
    conference.endpoint(0).mute = false;
    conference.endpoint(0).request_keyframes();
    conference.drain();
    // Its path has to be proven anew.
    conference.drive(seconds(5));
    let seen = conference.seen(0, 1).video;
    conference.drive(seconds(3));
    assert!(conference.seen(0, 1).video > seen + 50, "it is back");
}

#[test]
fn s_bwe_05_nobody_is_probed_without_a_path() {
    let mut conference = call();
    conference.endpoint(0).stopped = true;
    // Of whom nothing is heard nothing more is asked.
    let probed = |conference: &mut Conference| {
        let id = conference.participant(0);
        let stats = conference.engine.participant(id).and_then(|one| one.transport_stats());
        stats.expect("it is there").probe_packets_sent
    };
    conference.drive(limits::PROBE_PATIENCE + seconds(1));
    let before = probed(&mut conference);
    conference.drive(limits::MEDIA_TIMEOUT);
    assert_eq!(probed(&mut conference), before);
    // Consent ends (RFC 7675), and with it everything.
    conference.drive(limits::CONSENT_TIMEOUT + seconds(8));
    assert!(conference.seats[0].left.is_some());
    conference.tap = true;
    conference.drive(seconds(5));
    let gone = conference.seats[0].endpoint.address;
    assert!(conference.outgoing.iter().all(|packet| packet.to != gone));
}

#[test]
fn s_bwe_06_zero_negative_and_huge_times_keep_the_estimate_within_its_bounds() {
    let mut conference = call();
    let before = others(&mut conference);
    let from = conference.now;
    conference.endpoint(0).arrivals.format = Format::Silent;
    let bounds = bounds();
    for (at, reference) in
        [0, 0xff_ffff, 1, 0x80_0000, 0x7f_ffff, 0, 0x12_3456].into_iter().cycle().take(200).enumerate()
    {
        conference.drive(millis(20));
        let base = latest(&conference, 0).wrapping_sub(2);
        // Three that came: as soon as can be, 8.2 s before and 8.2 s behind the one before.
        let deltas = [[0u8, 0, 0x80, 0, 0x7f, 0xff], [0x7f, 0xff, 0x80, 0, 0, 0]][at % 2];
        conference.endpoint(0).send_plain_rtcp(&feedback(
            base,
            3,
            reference,
            &[&[0x40, 0x03][..], &deltas].concat(),
        ));
        let now = believed(&mut conference, 0);
        assert!((bounds.min..=bounds.max).contains(&now), "{now:?}");
    }
    let passed = conference.now - from;
    assert_unharmed(&mut conference, &before, passed);
}

/// When the packets of seat 0 came, by their transport-wide numbers.
fn moments(conference: &Conference) -> Vec<Instant> {
    conference.seats[0].endpoint.arrivals.numbers.values().copied().collect()
}

#[test]
fn sound_does_not_wait_for_video_at_any_pace() {
    // Two publishers with about 800 kbit/s, and a path that is believed to carry a tenth: sound alone.
    let mut conference = live(3, fixed(80));
    let whole = |conference: &Conference| conference.seen(0, 1).video;
    let before = whole(&conference);
    conference.drive(seconds(10));
    for publisher in ["1", "2"] {
        let receiver = &conference.seats[0].endpoint.receiver;
        let audio = receiver.track(publisher, false).expect("sound comes");
        assert_eq!((audio.longest_silence, audio.lost()), (millis(20), 0), "{publisher}");
        assert!(audio.drift <= millis(1), "{:?}", audio.drift);
    }
    assert!(whole(&conference) <= before + 3, "no video at all");
    let id = conference.participant(0);
    let shares: Vec<_> = conference.engine.participant(id).expect("it is there").allocation().collect();
    assert!(
        shares.iter().all(|share| share.granted.is_none() && share.reason == Reason::Threshold),
        "{shares:?}"
    );
}

#[test]
fn what_is_paced_leaves_in_time_whatever_the_rate() {
    // Nothing is known of who gives no feedback, so all is sent to it, at a pace that is a tenth of it.
    let options = Options::default();
    let engine = EngineConfig { blind_rate: Some(Bitrate::from_kbps(80)), ..options.engine.clone() };
    let mut conference = Conference::new(Options { engine, ..options });
    let room = conference.room();
    let mut deaf = conference.client(0, Plan::default(), 0);
    deaf.describe.feedback = Vec::new();
    conference.join(room, deaf);
    conference.add(room, 1);
    conference.connect();
    conference.drive(seconds(10));
    let seen = conference.seen(0, 1);
    assert!(seen.broken.is_empty() && seen.video > 200, "{seen:?}");
    let receiver = &conference.seats[0].endpoint.receiver;
    let video = receiver.track("1", true).expect("video comes");
    assert!(video.drift <= millis(260) && video.drift > millis(20), "{:?}", video.drift);
    let audio = receiver.track("1", false).expect("sound comes");
    assert_eq!((audio.longest_silence, audio.lost()), (millis(20), 0));
    assert!(transport(&mut conference, 0).packets_paced > 0);
}

#[test]
fn video_leaves_at_the_pace_in_bursts() {
    // One publisher whose key frames have 60 packets; the rest is little.
    let mut conference = Conference::new(fixed(4_000));
    let room = conference.room();
    let plan = Plan { audio: false, key_parts: 60, parts: 1, ..Plan::default() };
    conference.add_with(room, 0, Plan { audio: false, video: false, ..Plan::default() });
    conference.add_with(room, 1, plan);
    conference.connect();
    conference.drive(seconds(2));
    let before = moments(&conference).len();
    conference.endpoint(0).request_keyframes();
    conference.drive(seconds(1));
    let moments = &moments(&conference)[before..];
    assert!(moments.len() >= 60 + 20, "a key frame and what follows: {}", moments.len());
    let id = conference.participant(0);
    let bytes = conference.engine.participant(id).unwrap().stats();
    let size = bytes.bytes_sent / bytes.datagrams_sent;
    // In 20 ms 10,000 bytes, and a burst of 5 ms.
    let most = 2 * (20 + 5) * 500 / size as usize;
    for (at, first) in moments.iter().enumerate() {
        let within = moments[at..].iter().take_while(|moment| **moment < *first + millis(20)).count();
        assert!(within <= most, "{within} packets of {size} bytes in 20 ms");
    }
    let together = moments.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(together >= 20, "bursts: {together} of {}", moments.len());
}

#[test]
fn who_tells_nothing_is_paced_where_a_rate_is_set_for_that() {
    for blind_rate in [None, Some(Bitrate::from_kbps(200))] {
        let options = Options::default();
        let engine = EngineConfig { blind_rate, ..options.engine.clone() };
        let mut conference = Conference::new(Options { engine, ..options });
        let room = conference.room();
        let mut deaf = conference.client(0, Plan::default(), 0);
        deaf.describe.feedback = Vec::new();
        conference.join(room, deaf);
        conference.add(room, 1);
        conference.connect();
        conference.drive(seconds(5));
        let told = transport(&mut conference, 0);
        assert_eq!(told.available_outgoing_bitrate, None);
        let video = conference.seats[0].endpoint.receiver.track("1", true).expect("video comes");
        assert_eq!(video.drift > millis(30), blind_rate.is_some(), "{:?}", video.drift);
        assert!(conference.seen(0, 1).broken.is_empty());
    }
}

#[test]
fn a_rate_of_the_receivers_own_is_taken_where_nothing_else_tells() {
    let options = Options::default();
    let engine = EngineConfig { estimate: Some(bounds()), ..options.engine.clone() };
    let mut conference = Conference::new(Options { engine, ..options });
    let room = conference.room();
    let mut old = conference.client(0, Plan::default(), 0);
    old.describe.feedback = vec![FeedbackKind::Remb];
    old.arrivals.format = Format::Silent;
    conference.join(room, old);
    conference.add(room, 1);
    conference.connect();
    for _ in 0..20 {
        conference.drive(millis(100));
        conference.endpoint(0).send_rtcp(|writer| {
            writer.receiver_report(Ssrc(7), &[]).unwrap();
            writer.remb(Ssrc(7), Bitrate::from_kbps(900), &[Ssrc(1)]).unwrap();
        });
    }
    let told = transport(&mut conference, 0);
    assert!(told.available_outgoing_bitrate.is_some_and(|rate| rate <= Bitrate::from_kbps(900)), "{told:?}");
    // Feedback that was not agreed on is not read.
    conference.endpoint(0).send_rtcp(|writer| {
        writer.transport_feedback(Ssrc(7), Ssrc(8), 0, WireSeq(1), [Some(Instant::ZERO)]).unwrap();
    });
    conference.drain();
    conference.drive(millis(100));
    assert_eq!(transport(&mut conference, 0).feedback_refused, told.feedback_refused + 1);
}
