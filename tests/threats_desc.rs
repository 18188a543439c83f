//! Threats to what describes media in a live conference, each named by its identifier.

mod support;

use estafette::payload::{Facts, Format, vp8, vp9};
use estafette::random::Random;
use estafette::rtp::{ExtensionKind, Packet, SeqNo};
use estafette::{Bitrate, DropReason, Event, RoomConfig, Wish, negotiation::MediaKind};
use support::client::describe::VideoCodec;
use support::client::publish::{AUDIO_LEVEL, MID, OPUS, Plan, VP8};
use support::harness::{Options, home, millis, seconds};
use support::media::Content;
use support::provocation::{dropped, header, others_are_undisturbed};
use support::recording::{self, Recording};
use support::replay::Choice;
use support::{Client, Conference, Link, Stage};

/// Payloads of a recording: the first packets of its first stream, whole.
fn recorded(name: &str) -> Vec<Vec<u8>> {
    let packets = &Recording::load(name).encodings[0].packets;
    packets.iter().take(6).map(|packet| packet.payload.clone()).collect()
}

/// Payloads cut after each byte, and with every first byte in front of many kinds of rest.
fn provocations(samples: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for sample in samples {
        all.extend((1..sample.len().min(60)).map(|len| sample[..len].to_vec()));
    }
    let rests: [&[u8]; 7] = [&[], &[0], &[0xff; 3], &[0x80; 12], &[0; 12], &[0xff; 40], &samples[0][1..60]];
    for first in 0..=255u8 {
        all.extend(rests.iter().map(|rest| [&[first][..], rest].concat()));
    }
    // Every second byte, too, where the first one announces it.
    for first in [0x80, 0x90, 0xa0, 0xff, 0x78, 0x7c, 0x10, 0x30, 0x18] {
        all.extend((0..=255u8).map(|second| [first, second, 0x80, 1, 0, 4, 1]).map(Vec::from));
    }
    all
}

#[test]
fn s_desc_01_descriptors_cut_and_combined_are_dropped_and_nobody_else_is_disturbed() {
    let codecs = [
        (recording::Format::Vp8, Format::Vp8, "vp8-l1t3"),
        (recording::Format::Vp9, Format::Vp9, "vp9-l3t3"),
        (recording::Format::H264, Format::H264, "h264-simulcast"),
        (recording::Format::Av1, Format::Av1, "av1-l3t3"),
    ];
    for (codec, format, name) in codecs {
        let mut conference = Conference::<Client>::new(Options::default());
        let room = conference.room();
        // The first one provokes and the last one listens to it, both in this codec.
        for index in 0..4 {
            let talks = index < 3;
            let plan = Plan { audio: talks, video: talks, ..Plan::default() };
            let mut client = conference.client(index, plan, 0);
            if index == 0 || index == 3 {
                let fmtp = Recording::load(name).fmtp.clone();
                client.describe.codec = VideoCodec { name: codec.name(), fmtp };
                client.lawless = true;
                client.publisher.paused = true;
            }
            client.receiver.distrusted = if index == 3 { vec![] } else { vec!["0".into()] };
            conference.join(room, client);
        }
        conference.connect();
        conference.endpoint(3).receiver.raw = Some(Vec::new());
        conference.drive(seconds(1));
        let ssrc = conference.seats[0].endpoint.publisher.video.ssrc;
        let mut payloads = recorded(name);
        payloads.extend(provocations(&recorded(name)));
        let expected = payloads.iter().filter(|payload| Facts::read(format, payload, None).is_err()).count();
        assert!(expected > 100 && payloads.len() - expected > 100, "{name}: {expected} are refused");
        let mut refused = 0;
        let seqs = 1_000..;
        let mut packets = seqs
            .zip(payloads.iter().cloned())
            .map(|(seq, payload)| (ssrc, seq, header(VP8, seq, ssrc, &[(MID, b"1")]), payload));
        loop {
            let some: Vec<_> = packets.by_ref().take(100).collect();
            if some.is_empty() {
                break;
            }
            refused += dropped(&mut conference, DropReason::Payload, &some);
        }
        assert_eq!(refused, expected as u64, "{name}");
        let listened = conference.endpoint(3).receiver.raw.as_ref().map_or(0, |raw| {
            let of_video = raw.iter().filter(|raw| raw.payload_type == VP8);
            of_video.count()
        });
        assert!(listened > 100, "{name}: what can be read is passed on: {listened}");
        others_are_undisturbed(&mut conference);
    }
}

/// Values of a kind that are passed on as they are, and such that are not.
struct Values {
    kind: ExtensionKind,
    good: Vec<Vec<u8>>,
    bad: Vec<Vec<u8>>,
}

fn values() -> Vec<Values> {
    let of = |kind, good: &[&[u8]], bad: &[&[u8]]| {
        let mut bad: Vec<Vec<u8>> = bad.iter().map(|value| value.to_vec()).collect();
        // The good ones cut after each byte and with one more, as far as that is not another good one.
        let lens = |value: &[u8]| (0..value.len()).chain([value.len() + 1]).collect::<Vec<_>>();
        for value in good {
            let cut = lens(value).into_iter().map(|len| [value, &[0][..]].concat()[..len].to_vec());
            bad.extend(cut.filter(|cut| !kind_has(kind, cut.len())));
        }
        Values { kind, good: good.iter().map(|value| value.to_vec()).collect(), bad }
    };
    let hdr: Vec<u8> = [9, 16, 9, 0].into_iter().chain((0..24).map(|at| at * 3)).collect();
    let mut dazzling = hdr.clone();
    dazzling[8..10].copy_from_slice(&[0xff, 0xff]);
    // The mandatory fields alone, and a structure of which nothing is there.
    let cut_structure: &[u8] = &[0xc0, 0, 7, 0x80];
    vec![
        of(ExtensionKind::VideoOrientation, &[&[0x0b]], &[]),
        of(
            ExtensionKind::PlayoutDelay,
            &[&[0x01, 0x2f, 0xff], &[0; 3]],
            &[&[0, 0x20, 0x01], &[0xff, 0xf0, 0]],
        ),
        of(ExtensionKind::VideoContentType, &[&[1]], &[]),
        of(ExtensionKind::VideoTiming, &[&[2, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 1, 6]], &[]),
        of(
            ExtensionKind::ColorSpace,
            &[&[1, 1, 1, 0x16], &hdr],
            &[&[0, 1, 1, 0], &[1, 19, 1, 0], &[1, 1, 3, 0], &[1, 1, 1, 0x0c], &dazzling],
        ),
        of(ExtensionKind::AbsCaptureTime, &[&[1; 8], &[2; 16]], &[]),
        of(ExtensionKind::DependencyDescriptor, &[&[0xc0, 0, 7]], &[cut_structure]),
        of(ExtensionKind::FrameMarking, &[&[0xa0], &[0x5b, 5], &[0x5b, 5, 200]], &[]),
    ]
}

fn kind_has(kind: ExtensionKind, len: usize) -> bool {
    match kind {
        ExtensionKind::VideoTiming => len == 12,
        ExtensionKind::ColorSpace => len == 4,
        ExtensionKind::AbsCaptureTime => len == 8,
        ExtensionKind::FrameMarking => (1..=3).contains(&len),
        ExtensionKind::DependencyDescriptor => len >= 3,
        _ => false,
    }
}

#[test]
fn s_desc_04_values_that_cannot_be_are_not_passed_on() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let values = values();
    for index in 0..2 {
        let publishes = index == 0;
        let mut client =
            conference.client(index, Plan { audio: publishes, video: publishes, ..Plan::default() }, 0);
        client.describe.offer_extensions(values.iter().map(|values| values.kind.uri()));
        client.publisher.paused = true;
        conference.join(room, client);
    }
    conference.connect();
    conference.endpoint(0).lawless = true;
    conference.endpoint(1).receiver.raw = Some(Vec::new());
    conference.drive(seconds(1));
    conference.tap = true;
    let id_of = |extensions: &[(u8, String)], kind: ExtensionKind| -> u8 {
        extensions.iter().find(|(_, uri)| uri == kind.uri()).expect("it was agreed on").0
    };
    let sent_under = |conference: &Conference, kind| {
        let (_, extensions) = conference.seats[0].endpoint.describe.published_video().expect("a line");
        id_of(extensions, kind)
    };
    let received_under = |conference: &Conference, kind| {
        let track = conference.seats[1].endpoint.receiver.track("0", true).expect("it is announced");
        id_of(&track.announced.extensions, kind)
    };
    let video = conference.seats[0].endpoint.publisher.video.ssrc;
    let mut seq = 2_000;
    // One packet with these elements; what arrives of the last kind.
    let mut pass = |conference: &mut Conference, kind, elements: &[(u8, &[u8])]| -> Vec<Vec<u8>> {
        conference.outgoing.clear();
        seq += 1;
        let content = Content {
            room: 0,
            publisher: 0,
            video: true,
            frame: 1,
            part: 0,
            parts: 1,
            keyframe: true,
            height: 180,
        };
        let header = header(VP8, seq, video, elements);
        conference.endpoint(0).send_rtp(video, SeqNo(seq), &header, &content.payload());
        conference.drain();
        conference.drive(millis(30));
        let id = received_under(conference, kind);
        let to_viewer = conference.outgoing.iter().filter(|packet| packet.to == home(1));
        let media: Vec<_> = to_viewer
            .filter(|packet| packet.data.len() > 1_000)
            .map(|packet| Packet::parse(&packet.data).expect("ours"))
            .collect();
        assert_eq!(media.len(), 1, "the packet itself is passed on: {elements:?}");
        let found = media[0].extensions().filter(|(found, _)| *found == id);
        found.map(|(_, value)| value.to_vec()).collect()
    };
    for Values { kind, good, bad } in &values {
        let id = sent_under(&conference, *kind);
        for value in good {
            let passed = pass(&mut conference, *kind, &[(MID, b"1"), (id, value)]);
            assert_eq!(passed, std::slice::from_ref(value), "{kind:?}");
        }
        assert!(bad.len() >= 2 || *kind == ExtensionKind::DependencyDescriptor, "{kind:?}");
        for value in bad {
            let passed = pass(&mut conference, *kind, &[(MID, b"1"), (id, value)]);
            assert!(passed.is_empty(), "{kind:?}: {value:?}");
            // One that can be counts though it comes second.
            let passed = pass(&mut conference, *kind, &[(id, value), (id, &good[0])]);
            assert_eq!(passed, good[..1], "{kind:?} behind {value:?}");
        }
    }
    assert_eq!(conference.engine.stats().dropped(DropReason::Payload), 0);
}

#[test]
fn s_desc_04_audio_levels_of_another_form_are_neither_passed_on_nor_used() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    for index in 0..2 {
        let mut client = conference.client(index, Plan { video: false, ..Plan::default() }, 0);
        client.publisher.paused = true;
        conference.join(room, client);
    }
    conference.connect();
    conference.drive(seconds(1));
    conference.tap = true;
    let audio = conference.seats[0].endpoint.publisher.audio.ssrc;
    let levels: [&[u8]; 4] = [&[5], &[], &[5, 5], &[5; 20]];
    for (seq, level) in (60_500..).zip(levels) {
        conference.outgoing.clear();
        let header = header(OPUS, seq, audio, &[(MID, b"0"), (AUDIO_LEVEL, level)]);
        let payload = Content::audio(0, 0, seq as u32).payload();
        conference.endpoint(0).send_rtp(audio, SeqNo(seq), &header, &payload);
        conference.drive(millis(50));
        let sent = conference.outgoing.iter().filter(|packet| packet.to == home(1));
        let media = sent.filter(|packet| packet.data.len() > 150).map(|packet| {
            let packet = Packet::parse(&packet.data).expect("ours");
            packet.extension(AUDIO_LEVEL).map(<[u8]>::to_vec)
        });
        let expected = Some(level.to_vec()).filter(|level| level.len() == 1);
        assert_eq!(media.collect::<Vec<_>>(), [expected], "{level:?}");
    }
}

/// A recording with other bytes behind the clear descriptor of each packet.
fn sealed(recording: &Recording) -> &'static Recording {
    let mut random = Random::new([0xd5; 32]);
    let mut sealed = recording.clone();
    for packet in sealed.encodings.iter_mut().flat_map(|encoding| &mut encoding.packets) {
        let clear = match recording.format {
            recording::Format::Vp8 => {
                packet.payload.len() - vp8::Descriptor::parse(&packet.payload).expect("whole").1.len()
            }
            recording::Format::Vp9 => {
                packet.payload.len() - vp9::Descriptor::parse(&packet.payload).expect("whole").1.len()
            }
            recording::Format::H264 | recording::Format::Av1 => 0,
        };
        packet.payload[clear..].iter_mut().for_each(|byte| *byte = random.next_u32() as u8);
    }
    Box::leak(Box::new(sealed))
}

/// All that an engine decided: its events, what was asked of the publisher, and of each datagram of its own when it
/// left, to whom, how long it was and what of it does not depend on the payload.
#[derive(Debug, PartialEq)]
struct Decisions {
    events: Vec<String>,
    requests: Vec<(u32, u64)>,
    datagrams: Vec<(u64, String, usize, Vec<u8>)>,
}

/// Plays a recording to two viewers in an opaque room over a bad link.
fn decisions(recording: &'static Recording) -> Decisions {
    let link = Link::lossy(0.03).with(Stage::Duplicate(0.03)).with(Stage::Reorder(0.05, millis(35)));
    let room = RoomConfig { opaque: true, ..Options::default().room };
    let options = Options { room, record: true, seed: 11, ..Options::default() };
    let mut conference = Conference::<Client>::new(options);
    let room = conference.room();
    for index in 0..3 {
        let mut client =
            conference.client(index, Plan { audio: false, video: index == 0, ..Plan::default() }, 0);
        if index == 0 {
            client.play(recording, Choice::All);
        } else {
            client.tape(recording);
            let extensions = recording.extensions.iter().map(|(_, uri)| uri.as_str());
            client.describe.offer_extensions(extensions);
        }
        conference.join(room, client);
    }
    conference.connect();
    conference.drive(millis(500));
    conference.net.set_default(link);
    conference.tap = true;
    let start = conference.now;
    conference.endpoint(0).replay().start(start);
    let added = |(_, event): &(_, Event)| match event {
        Event::SourceAdded(source) if source.kind == MediaKind::Video => Some(source.id),
        _ => None,
    };
    let source = conference.events.iter().find_map(added).expect("it is published");
    let wishes = [
        Wish { max_height: Some(100), ..Wish::default() },
        Wish::default(),
        Wish { max_frame_rate: Some(8), ..Wish::default() },
        Wish { max_bitrate: Some(Bitrate::from_kbps(120)), ..Wish::default() },
    ];
    let mut datagrams = Vec::new();
    for wish in wishes {
        conference.drive(recording.duration() / 4);
        let viewer = conference.participant(2);
        conference.engine.participant(viewer).unwrap().set_wish(source, wish).unwrap();
    }
    conference.drive(seconds(1));
    let moments = conference.transcript.as_ref().expect("it is recorded").entries.iter();
    let moments =
        moments.filter(|(at, from, ..)| *from == support::harness::server() && *at > start.as_micros());
    let moments: Vec<u64> = moments.map(|(at, ..)| *at).collect();
    let sent = std::mem::take(&mut conference.outgoing);
    for (at, packet) in moments.into_iter().rev().zip(sent.into_iter().rev()) {
        let media = estafette::mux::kind_of(&packet.data) == Some(estafette::mux::Kind::Rtp);
        let clear =
            if media { Packet::parse(&packet.data).expect("ours").header_len() } else { packet.data.len() };
        datagrams.push((at, packet.to.to_string(), packet.data.len(), packet.data[..clear].to_vec()));
    }
    Decisions {
        events: conference.events.iter().map(|event| format!("{event:?}")).collect(),
        requests: conference
            .endpoint(0)
            .replay()
            .streams
            .iter()
            .map(|playing| (playing.requests, playing.asked))
            .collect(),
        datagrams,
    }
}

#[test]
fn s_desc_05_no_byte_behind_the_clear_descriptor_decides_anything() {
    // By the payload's own descriptor, and by the dependency descriptor.
    for name in ["vp8-simulcast", "vp9-l3t3", "h264-simulcast", "av1-l3t3"] {
        let recording = Recording::load(name);
        let [open, closed] = [recording, sealed(recording)].map(decisions);
        assert_eq!(open.events, closed.events, "{name}");
        assert_eq!(open.requests, closed.requests, "{name}");
        assert_eq!(open.datagrams.len(), closed.datagrams.len(), "{name}");
        for (open, closed) in open.datagrams.iter().zip(&closed.datagrams) {
            assert_eq!(open, closed, "{name}");
        }
        let media = open.datagrams.iter().filter(|(_, _, len, clear)| clear.len() < *len).count();
        let changes = open.events.iter().filter(|event| event.contains("LayerChanged")).count();
        assert!(media > 200 && changes >= 2, "{name}: {media} packets, {changes} changes of layer");
    }
}
