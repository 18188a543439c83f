//! A decoder as judge: recordings of real encoders go through the engine, and what arrives is decoded.
//! Needs ffmpeg; without it the tests say that they are skipped, except under `CI=true`.

mod support;

use estafette::negotiation::MediaKind;
use estafette::payload::vp8;
use estafette::rtp::SeqNo;
use estafette::{Bitrate, Event, ParticipantConfig, SharedLines, View, Wish};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::time::Duration;
use support::client::publish::Plan;
use support::client::receive::Arrived;
use support::harness::{Options, millis, seconds};
use support::judge::{Fault, Frame, Judge, Verdict, arrived, frames};
use support::recording::{Encoding, Format, Recording};
use support::replay::Choice;
use support::{Conference, Link, Stage};

const RECORDINGS: [&str; 8] = [
    "vp8-l1t3",
    "vp8-l1t3-descriptor",
    "vp8-simulcast",
    "h264-simulcast",
    "av1-simulcast",
    "vp9-l3t3",
    "vp9-l3t3-key",
    "av1-l3t3",
];

/// A recording with its judge, unless there is no decoder.
fn load(name: &str) -> Option<(&'static Recording, &'static Judge)> {
    Judge::of(name).map(|judge| (judge.recording, judge))
}

/// What happens in a call, and when since the recording began: a wish changes, a link turns bad.
type Step<'a> = (Duration, &'a dyn Fn(&mut Conference));

/// A call in which seat 0 plays a recording and seat 1 tapes it.
struct Call {
    conference: Conference,
    recording: &'static Recording,
}

impl Call {
    fn new(recording: &'static Recording, choice: Choice, options: Options) -> Call {
        let mut conference = Conference::new(options);
        let room = conference.room();
        let mut publisher = conference.client(0, Plan { audio: false, ..Plan::default() }, 0);
        publisher.play(recording, choice);
        let mut viewer = conference.client(1, Plan { audio: false, video: false, ..Plan::default() }, 0);
        viewer.tape(recording);
        conference.join(room, publisher);
        conference.join(room, viewer);
        conference.connect();
        conference.drive(millis(500));
        Call { conference, recording }
    }

    /// Plays it to its end with these steps in between, and a second more for the last repairs.
    fn play(&mut self, steps: &[Step<'_>]) {
        let start = self.conference.now;
        self.conference.endpoint(0).replay().start(start);
        for (at, step) in steps {
            self.conference.drive((start + *at) - self.conference.now);
            step(&mut self.conference);
        }
        let end = start + self.recording.duration() + seconds(1);
        self.conference.drive(end - self.conference.now);
        assert!(self.conference.endpoint(0).replay().finished());
    }

    fn tape(&self) -> &[Arrived] {
        let receiver = &self.conference.seats[1].endpoint.receiver;
        &receiver.track("0", true).expect("video of the publisher").tape
    }

    /// The same over a link that is bad in between. What is lost before the first packet that came, or
    /// after the last, nobody knows to be missing; and a recording cannot be asked for a key frame.
    fn play_over(&mut self, link: &Link) {
        let good = self.conference.net.default_link().clone();
        let until = self.recording.duration() - millis(300);
        self.play(&[
            (millis(300), &|conference| conference.net.set_default(link.clone())),
            (until, &|conference| conference.net.set_default(good.clone())),
        ]);
    }

    /// Packets that the publisher was asked for again.
    fn asked(&mut self) -> u64 {
        self.conference.endpoint(0).replay().streams.iter().map(|playing| playing.asked).sum()
    }
}

/// How many cases are tried: `PROPTEST_CASES`, or a few.
fn campaign(usual: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

/// The same cases each time, unless a campaign asks for many.
fn runner(cases: u32) -> TestRunner {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    }
}

/// A bad link: loss, duplicates and packets that are held back.
fn bad_link(loss: f64, twice: f64, late: f64) -> Link {
    Link::lossy(loss).with(Stage::Duplicate(twice)).with(Stage::Reorder(late, millis(35)))
}

/// The highest spatial layer of an encoding.
fn top(recording: &Recording) -> u8 {
    if recording.encodings.len() == 1 && recording.name.contains("l3") { 2 } else { 0 }
}

/// Asserts that every frame was shown, at its time.
fn assert_whole(recording: &Recording, encoding: usize, verdict: &Verdict) {
    let sent = frames(recording.format, &arrived(&recording.encodings[encoding])).len();
    verdict.assert_good(sent);
    assert_eq!(verdict.layers(), [((encoding, top(recording)), sent)], "{}", recording.name);
    assert_eq!((verdict.before_key, verdict.drift()), (0, Duration::ZERO), "{}", recording.name);
}

#[test]
fn every_encoding_passes_through_loss_reordering_and_duplicates() {
    let mut asked = 0;
    for (name, seed) in RECORDINGS.into_iter().zip(7..) {
        let Some((recording, judge)) = load(name) else { return };
        for encoding in 0..recording.encodings.len() {
            let options = Options { seed, ..Options::default() };
            let mut call = Call::new(recording, Choice::One(encoding), options);
            call.play_over(&bad_link(0.05, 0.05, 0.05));
            let verdict = judge.judge(call.tape());
            assert_whole(recording, encoding, &verdict);
            assert!(verdict.longest_freeze() < millis(600), "{name} {encoding}: {verdict:?}");
            asked += call.asked();
        }
    }
    assert!(asked > 50, "the loss was real: {asked}");
}

#[test]
fn a_stream_survives_any_bad_link() {
    let Some((recording, judge)) = load("vp8-l1t3") else { return };
    let mut runner = runner(campaign(6));
    let links = (any::<u64>(), 0.0..0.12, 0.0..0.2, 0.0..0.2);
    let result = runner.run(&links, |(seed, loss, twice, late)| {
        let options = Options { seed, ..Options::default() };
        let mut call = Call::new(recording, Choice::One(0), options);
        call.play_over(&bad_link(loss, twice, late));
        assert_whole(recording, 0, &judge.judge(call.tape()));
        Ok(())
    });
    result.unwrap();
}

/// What the viewer wants from now on.
fn wish(conference: &mut Conference, wish: Wish) {
    let viewer = conference.participant(1);
    let added = |(_, event): &(_, Event)| match event {
        Event::SourceAdded(source) if source.kind == MediaKind::Video => Some(source.id),
        _ => None,
    };
    let source = conference.events.iter().find_map(added).expect("it is published");
    let layers = conference.engine.layers(source);
    assert!(layers.len() > 1 && layers.iter().all(|rung| rung.resolution.is_some()), "{layers:?}");
    conference.engine.participant(viewer).unwrap().set_wish(source, wish).unwrap();
}

fn height(height: u16) -> Wish {
    Wish { max_height: Some(height), ..Wish::default() }
}

fn rate(frames: u16) -> Wish {
    Wish { max_frame_rate: Some(frames), ..Wish::default() }
}

fn bits(kbps: u64) -> Wish {
    Wish { max_bitrate: Some(Bitrate::from_kbps(kbps)), ..Wish::default() }
}

/// The heights that were shown one after the other.
fn heights(verdict: &Verdict) -> Vec<(usize, u8)> {
    let mut shown: Vec<_> = verdict.layers().iter().map(|(layer, _)| *layer).collect();
    shown.dedup();
    shown
}

/// Recordings with more than one layer, and whether the lower ones are encodings of their own.
const LAYERED: [(&str, bool); 6] = [
    ("vp8-simulcast", true),
    ("h264-simulcast", true),
    ("av1-simulcast", true),
    ("vp9-l3t3", false),
    ("vp9-l3t3-key", false),
    ("av1-l3t3", false),
];

#[test]
fn layers_follow_a_wish_and_every_switch_is_hidden() {
    for (name, _) in LAYERED {
        let Some((recording, judge)) = load(name) else { return };
        let mut call = Call::new(recording, Choice::All, Options::default());
        call.play(&[
            (millis(1_700), &|conference| wish(conference, height(100))),
            (millis(3_300), &|conference| wish(conference, Wish::default())),
            (millis(4_700), &|conference| wish(conference, rate(8))),
        ]);
        let verdict = judge.judge(call.tape());
        verdict.assert_good(45);
        assert_eq!(verdict.before_key, 0, "{name}");
        assert!(verdict.drift() < millis(5), "{name}: {verdict:?}");
        // What is sent goes on until the next key frame of what is wanted.
        assert!(verdict.longest_freeze() < millis(400), "{name}: {:?}", verdict.longest_freeze());
        let shown = heights(&verdict);
        assert!(shown.len() >= 3, "down and up again, {name}: {:?}", verdict.layers());
    }
}

#[test]
fn any_wishes_over_any_bad_link_give_pictures_that_are_right() {
    let cases = (
        0..LAYERED.len(),
        any::<u64>(),
        (0.0..0.06, 0.0..0.1, 0.0..0.1),
        proptest::collection::vec((800u64..5_500, 0usize..8), 1..6),
    );
    let mut runner = runner(campaign(8));
    let result = runner.run(&cases, |(which, seed, (loss, twice, late), mut script)| {
        let (name, _) = LAYERED[which];
        let Some((recording, judge)) = load(name) else { return Ok(()) };
        let wishes = [
            Wish::default(),
            height(100),
            height(300),
            rate(4),
            rate(8),
            bits(60),
            bits(200),
            Wish { paused: true, ..Wish::default() },
        ];
        script.sort_unstable();
        let link = bad_link(loss, twice, late);
        let mut call = Call::new(recording, Choice::All, Options { seed, ..Options::default() });
        let good = call.conference.net.default_link().clone();
        let worse = |conference: &mut Conference| conference.net.set_default(link.clone());
        let better = |conference: &mut Conference| conference.net.set_default(good.clone());
        let wished: Vec<_> = script
            .iter()
            .map(|(at, wanted)| {
                let wanted = wishes[*wanted];
                (millis(*at), move |conference: &mut Conference| wish(conference, wanted))
            })
            .collect();
        let mut steps: Vec<Step<'_>> = vec![(millis(300), &worse)];
        steps.extend(wished.iter().map(|(at, step)| (*at, step as &dyn Fn(&mut Conference))));
        steps.push((recording.duration() - millis(300), &better));
        call.play(&steps);
        let verdict = judge.judge(call.tape());
        prop_assert!(verdict.faults.is_empty(), "{}: {:?}", name, verdict);
        // Before the first sender reports arrival alone tells how the clocks of two encodings lie.
        prop_assert!(verdict.drift() < millis(100), "{}: {:?}", name, verdict);
        Ok(())
    });
    result.unwrap();
}

/// Two publishers film the same, each in one encoding; the one line of the viewer shows one after the other.
#[test]
fn a_line_that_sources_share_is_one_stream_to_a_decoder() {
    for name in ["vp8-simulcast", "h264-simulcast", "av1-simulcast"] {
        let Some((recording, judge)) = load(name) else { return };
        let mut conference = Conference::new(Options::default());
        let room = conference.room();
        for index in 0..2 {
            let mut publisher = conference.client(index, Plan { audio: false, ..Plan::default() }, 0);
            publisher.play(recording, Choice::One(index as usize));
            conference.join(room, publisher);
        }
        let mut viewer = conference.client(2, Plan { audio: false, video: false, ..Plan::default() }, 0);
        viewer.tape(recording);
        let shared_lines = Some(SharedLines { audio: 0, video: 1 });
        let config = ParticipantConfig { shared_lines, ..ParticipantConfig::default() };
        conference.join_as(room, viewer, config);
        conference.connect();
        conference.drive(millis(500));
        let start = conference.now;
        (0..2).for_each(|seat| conference.endpoint(seat).replay().start(start));
        let [viewer, publishers @ ..] = [2, 0, 1].map(|seat| conference.participant(seat));
        for (at, shown) in [(0, 0), (1_500, 1), (3_000, 0), (4_200, 1)] {
            conference.drive((start + millis(at)) - conference.now);
            let view = View { on_stage: vec![publishers[shown]], ..View::default() };
            conference.engine.participant(viewer).unwrap().set_view(Some(view));
        }
        conference.drive((start + recording.duration() + seconds(1)) - conference.now);
        let receiver = &conference.seats[2].endpoint.receiver;
        assert_eq!((receiver.tracks.len(), receiver.ended.len()), (1, 0), "one line");
        let verdict = judge.judge(&receiver.tracks.values().next().unwrap().tape);
        assert!(verdict.faults.is_empty(), "{name}: {verdict:?}");
        assert!(heights(&verdict).len() >= 3, "{name}: {verdict:?}");
        // Two publishers have two clocks: arrival tells how they lie.
        assert!(verdict.drift() < millis(100), "{name}: {verdict:?}");
    }
}

/// What a forwarding unit with no flaw would make of frames from several encodings: numbers without a
/// gap, one clock.
#[derive(Default)]
struct Splice {
    tape: Vec<Arrived>,
    pictures: u16,
    tl0: u8,
}

impl Splice {
    fn push(&mut self, format: Format, encoding: &Encoding, frame: &Frame) {
        self.push_layers(format, encoding, frame, |_| true);
    }

    /// The same of these spatial layers alone.
    fn push_layers(
        &mut self,
        format: Format,
        encoding: &Encoding,
        frame: &Frame,
        wanted: impl Fn(u8) -> bool,
    ) {
        let packets = arrived(encoding).into_iter().filter(|packet| frame.numbers.contains(&packet.seq.0));
        let packets = packets.zip(&frame.spatial).filter(|(_, spatial)| wanted(**spatial));
        for (at, (mut packet, _)) in packets.enumerate() {
            if format == Format::Vp8 {
                self.tl0 = self.tl0.wrapping_add(u8::from(at == 0 && frame.temporal == 0));
                vp8::patch(&mut packet.payload, Some(self.pictures), Some(self.tl0)).unwrap();
            }
            packet.timestamp = packet.timestamp.wrapping_sub(encoding.start);
            packet.seq = SeqNo(self.tape.last().map_or(70_000, |last| last.seq.0 + 1));
            self.tape.push(packet);
        }
        // A picture ends with the last layer that is passed on.
        self.tape.last_mut().expect("a packet").marker = true;
        self.pictures += 1;
    }

    /// The frames that `keep` keeps, of one encoding.
    fn of(recording: &Recording, encoding: usize, keep: impl Fn(usize, &Frame) -> bool) -> Splice {
        let (mut splice, encoding) = (Splice::default(), &recording.encodings[encoding]);
        for (at, frame) in frames(recording.format, &arrived(encoding)).iter().enumerate() {
            if keep(at, frame) {
                splice.push(recording.format, encoding, frame);
            }
        }
        splice
    }
}

#[test]
fn the_judge_accepts_the_recordings_their_lower_temporal_layers_and_switches_at_key_frames() {
    for name in RECORDINGS {
        let Some((recording, judge)) = load(name) else { return };
        for (place, encoding) in recording.encodings.iter().enumerate() {
            assert_whole(recording, place, &judge.judge(&arrived(encoding)));
            for temporal in 0..2 {
                let splice = Splice::of(recording, place, |_, frame| frame.temporal <= temporal);
                let verdict = judge.judge(&splice.tape);
                verdict.assert_good(12);
                assert_eq!((verdict.layers().len(), verdict.drift()), (1, Duration::ZERO), "{name}");
            }
        }
        // Around all encodings, each at its next key frame that is newer.
        let mut splice = Splice::default();
        let mut last = None;
        for round in 0..6 {
            let encoding = &recording.encodings[round % recording.encodings.len()];
            let frames = frames(recording.format, &arrived(encoding));
            let newest = last;
            let newer = |frame: &&Frame| newest < Some(encoding.captured(frame.timestamp));
            let next = frames.iter().filter(newer).skip_while(|frame| !frame.key);
            for frame in next.take(5) {
                splice.push(recording.format, encoding, frame);
                last = Some(encoding.captured(frame.timestamp));
            }
        }
        let verdict = judge.judge(&splice.tape);
        verdict.assert_good(15);
        assert!(verdict.drift() < millis(1), "{name}: {verdict:?}");
    }
}

/// One spatial layer for ten frames, all for ten, two for ten and so on, changing up at key frames alone.
#[test]
fn the_judge_accepts_spatial_layers_that_begin_at_key_frames_and_no_others() {
    for name in ["vp9-l3t3", "vp9-l3t3-key", "av1-l3t3"] {
        let Some((recording, judge)) = load(name) else { return };
        let encoding = &recording.encodings[0];
        let whole = frames(recording.format, &arrived(encoding));
        let shown = |layers: &dyn Fn(usize, &Frame, u8) -> bool| {
            let mut splice = Splice::default();
            for (at, frame) in whole.iter().enumerate() {
                splice.push_layers(recording.format, encoding, frame, |spatial| layers(at, frame, spatial));
            }
            judge.judge(&splice.tape)
        };
        // Down at any frame, up with the next key frame.
        let tops = RefCell::new(0);
        let verdict = shown(&|at, frame, spatial| {
            let mut top = tops.borrow_mut();
            let wanted = [0, 2, 1][at / 10 % 3];
            *top = if frame.key { wanted } else { wanted.min(*top) };
            spatial <= *top
        });
        verdict.assert_good(whole.len());
        assert!(verdict.layers().len() > 3 && verdict.drift() == Duration::ZERO, "{name}: {verdict:?}");
        // Up anywhere.
        let verdict = shown(&|at, _, spatial| at >= 5 || spatial == 0);
        assert!(verdict.faults.iter().any(wrong_reference), "{name}: {verdict:?}");
        // Without those below it from the second frame on, which only this structure allows.
        let verdict = shown(&|_, frame, spatial| frame.key || spatial == 2);
        let allowed = name == "vp9-l3t3-key";
        assert_eq!(verdict.faults.is_empty(), allowed, "{name}: {verdict:?}");
    }
}

fn wrong_reference(fault: &Fault) -> bool {
    matches!(fault, Fault::Corrupt(_) | Fault::Decoder(_))
}

#[test]
fn the_judge_sees_a_missing_reference() {
    for name in RECORDINGS {
        let Some((recording, judge)) = load(name) else { return };
        let encoding = recording.encodings.len() - 1;
        // A frame of the lowest temporal layer is left out without a gap in the numbers.
        let whole = frames(recording.format, &arrived(&recording.encodings[encoding]));
        let victim = (4..).find(|at| whole[*at].temporal == 0 && !whole[*at].key).unwrap();
        let verdict = judge.judge(&Splice::of(recording, encoding, |at, _| at != victim).tape);
        assert!(verdict.faults.iter().any(wrong_reference), "{name}: {verdict:?}");
    }
}

#[test]
fn the_judge_sees_a_switch_without_a_key_frame() {
    for name in ["vp8-simulcast", "h264-simulcast", "av1-simulcast"] {
        let Some((recording, judge)) = load(name) else { return };
        let mut splice = Splice::of(recording, 0, |at, _| at < 3);
        let target = &recording.encodings[1];
        for frame in &frames(recording.format, &arrived(target))[3..8] {
            assert!(!frame.key, "it would be a switch point");
            splice.push(recording.format, target, frame);
        }
        let verdict = judge.judge(&splice.tape);
        assert!(verdict.faults.iter().any(wrong_reference), "{name}: {verdict:?}");
    }
}

#[test]
fn the_judge_sees_what_came_before_gaps_and_freezes() {
    let Some((recording, judge)) = load("vp8-simulcast") else { return };
    let whole = arrived(&recording.encodings[0]);
    // Back to the first key frame, as if it were new.
    let mut splice = Splice::of(recording, 0, |at, _| at < 10);
    for frame in &frames(recording.format, &whole)[..5] {
        splice.push(recording.format, &recording.encodings[0], frame);
    }
    let verdict = judge.judge(&splice.tape);
    assert!(verdict.faults.iter().any(|fault| matches!(fault, Fault::Older(_))), "{verdict:?}");
    assert!(verdict.faults.iter().any(|fault| matches!(fault, Fault::TimestampOlder(_))), "{verdict:?}");

    let mut gap = whole.clone();
    let lost = gap.remove(whole.len() / 2);
    let verdict = judge.judge(&gap);
    assert!(verdict.faults.contains(&Fault::Missing(1, lost.seq.0 + 1)), "{verdict:?}");

    let mut twice = whole.clone();
    twice.push(Arrived { marker: !whole[5].marker, ..whole[5].clone() });
    let verdict = judge.judge(&twice);
    assert_eq!(verdict.faults, [Fault::Contradiction(whole[5].seq.0)]);

    let mut late = whole.clone();
    let half = whole.len() / 2;
    late[half..].iter_mut().for_each(|packet| packet.at += seconds(2));
    let verdict = judge.judge(&late);
    verdict.assert_good(50);
    assert!(verdict.longest_freeze() >= seconds(2));
}

#[test]
fn the_judge_sees_wrong_descriptors_and_marks() {
    let Some((recording, judge)) = load("vp8-l1t3") else { return };
    // Without the frame's number corrected.
    let mut tape = arrived(&recording.encodings[0]);
    let number = frames(recording.format, &tape)[9].numbers.clone();
    for packet in tape.iter_mut().filter(|packet| number.contains(&packet.seq.0)) {
        vp8::patch(&mut packet.payload, Some(77), None).unwrap();
    }
    let verdict = judge.judge(&tape);
    assert!(matches!(verdict.faults[..], [Fault::Descriptor(..), Fault::Descriptor(..)]), "{verdict:?}");

    let Some((recording, judge)) = load("vp9-l3t3-key") else { return };
    // The two upper layers are left out, and nothing says that the picture ends.
    let lowest = |packet: &Arrived| {
        let mut descriptor = rtp::codec::vp9::Vp9Packet::default();
        let payload = bytes::Bytes::copy_from_slice(&packet.payload);
        rtp::packetizer::Depacketizer::depacketize(&mut descriptor, &payload).unwrap();
        (descriptor.sid == 0).then_some(descriptor.e)
    };
    let tape = arrived(&recording.encodings[0]);
    let mut tape: Vec<Arrived> = tape.into_iter().filter(|packet| lowest(packet).is_some()).collect();
    (70_000..).zip(&mut tape).for_each(|(seq, packet)| packet.seq = SeqNo(seq));
    let verdict = judge.judge(&tape);
    assert!(verdict.faults.iter().any(|fault| matches!(fault, Fault::Marker(_))), "{verdict:?}");
    tape.iter_mut().for_each(|packet| packet.marker = lowest(packet) == Some(true));
    let verdict = judge.judge(&tape);
    verdict.assert_good(50);
    assert_eq!(verdict.layers().len(), 1);
    assert_eq!(verdict.layers()[0].0, (0, 0));
}
