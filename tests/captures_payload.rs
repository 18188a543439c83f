//! Video that browsers sent: every payload is of its format, and its frames begin and end where the RTP
//! header says so. How the excerpts were cut is told in `data/README.md`.

#[path = "support/captures.rs"]
mod captures;

use std::collections::BTreeMap;

use estafette::payload::dependency::{Descriptor, Structure};
use estafette::payload::{Facts, Format, allocation, av1, h264, opus};
use estafette::rtp::Packet;

const VP8: &str = include_str!("data/captures/chromium-simulcast-vp8-payload.txt");
const VP9: &str = include_str!("data/captures/chromium-svc-vp9-l3t3key-payload.txt");
const H264: &str = include_str!("data/captures/chromium-h264-payload.txt");
const AV1: &str = include_str!("data/captures/firefox-chromium-av1-payload.txt");
const OPUS: &str = include_str!("data/captures/chromium-opus-payload.txt");

/// What the RTP header says, and what the payload and its extensions say.
#[derive(Clone)]
struct Seen {
    seq: u16,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
    facts: Facts,
    /// Of the dependency descriptor, where there is one.
    described: Option<Facts>,
    /// Whether the layers' allocation came with it.
    allocated: bool,
}

/// Reads an excerpt and returns each stream's packets in the order of their numbers.
fn streams(text: &str, format: Format, dependency_id: u8, allocation_id: u8) -> Vec<Vec<Seen>> {
    let mut streams: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
    let mut structures: BTreeMap<u32, Structure> = BTreeMap::new();
    for bytes in captures::packets(text) {
        let packet = Packet::parse(&bytes).expect("RTP");
        let ssrc = packet.ssrc().0;
        let payload = packet.payload();
        let facts = Facts::read(format, payload, None).expect("of its format");
        let allocated = packet.extension(allocation_id);
        if let Some(value) = allocated {
            let allocation = allocation::Allocation::parse(value).expect("an allocation");
            assert!(allocation.layers().next().is_some());
        }
        let described = packet.extension(dependency_id).map(|value| {
            let descriptor = Descriptor::parse(value).expect("a descriptor");
            if let Some(structure) = descriptor.structure().expect("whole") {
                structures.insert(ssrc, structure);
            }
            let frame = descriptor.frame(&structures[&ssrc]).expect("of the structure in effect");
            Facts::read(format, payload, Some(&frame)).expect("of its format")
        });
        let seq = packet.sequence_number().0;
        let (timestamp, marker) = (packet.timestamp().0, packet.marker());
        let seen = Seen {
            seq,
            timestamp,
            marker,
            payload: payload.to_vec(),
            facts,
            described,
            allocated: allocated.is_some(),
        };
        streams.entry(ssrc).or_default().push(seen);
    }
    for packets in streams.values_mut() {
        // No stream of the excerpts is long enough to wrap in the middle of it.
        let first = packets[0].seq;
        packets.sort_by_key(|packet| packet.seq.wrapping_sub(first) as i16);
    }
    streams.into_values().collect()
}

/// Pairs of packets that follow one another without a loss.
fn neighbours(packets: &[Seen]) -> impl Iterator<Item = (&Seen, &Seen)> {
    let pairs = packets.windows(2).map(|pair| (&pair[0], &pair[1]));
    pairs.filter(|(before, after)| after.seq == before.seq.wrapping_add(1))
}

/// How many packets had a layers' allocation.
fn allocations(streams: &[Vec<Seen>]) -> usize {
    streams.iter().flatten().filter(|packet| packet.allocated).count()
}

/// What the dependency descriptor says beside what the payload says.
fn agree(packets: &[Seen]) -> usize {
    let both = packets.iter().filter_map(|packet| Some((packet, packet.described?)));
    both.map(|(packet, described)| {
        let facts = packet.facts;
        for (told, by_payload) in [
            (described.begins_frame, facts.begins_frame),
            (described.ends_frame, facts.ends_frame),
            (described.begins_key_frame, facts.begins_key_frame),
        ] {
            assert!(by_payload.is_none() || told == by_payload, "{}: {facts:?} {described:?}", packet.seq);
        }
        assert_eq!((described.spatial_id, described.picture_id), (facts.spatial_id, facts.picture_id));
    })
    .count()
}

#[test]
fn chromium_vp8_simulcast_frames_begin_with_timestamps_and_end_with_markers() {
    let streams = streams(VP8, Format::Vp8, 14, 12);
    assert_eq!(streams.len(), 3, "three encodings");
    for packets in &streams {
        assert_eq!(packets[0].facts.begins_key_frame, Some(true));
        let mut pairs = 0;
        for (before, after) in neighbours(packets) {
            let begins = after.timestamp != before.timestamp;
            assert_eq!(after.facts.begins_frame, Some(begins), "{}", after.seq);
            assert_eq!(before.marker, begins);
            pairs += 1;
        }
        assert!(pairs > 20);
        for packet in packets {
            assert_eq!(packet.facts.begins_key_frame.is_some_and(|key| key), {
                packet.facts.begins_frame == Some(true) && {
                    let (_, rest) =
                        estafette::payload::vp8::Descriptor::parse(&packet.payload).expect("whole");
                    estafette::payload::vp8::FrameHeader::parse(rest).expect("whole").key_frame.is_some()
                }
            });
        }
    }
    let described: usize = streams.iter().map(|packets| agree(packets)).sum();
    assert_eq!((described, allocations(&streams)), (300, 32), "with a descriptor, with an allocation");
}

#[test]
fn chromium_vp9_layers_begin_and_end_where_marker_and_timestamp_say() {
    let streams = streams(VP9, Format::Vp9, 13, 14);
    let mut layers = std::collections::BTreeSet::new();
    let mut described = 0;
    for packets in &streams {
        for (before, after) in neighbours(packets) {
            // The next frame begins where one ended; the marker ends the picture.
            assert_eq!(before.facts.ends_frame, after.facts.begins_frame, "{}", after.seq);
            assert_eq!(before.marker, after.timestamp != before.timestamp, "{}", after.seq);
            assert!(!before.marker || before.facts.ends_frame == Some(true));
            // Within a picture the spatial layers climb, and the number stays.
            if !before.marker {
                let step = u8::from(before.facts.ends_frame == Some(true));
                assert_eq!(after.facts.spatial_id, before.facts.spatial_id + step, "{}", after.seq);
                assert_eq!(after.facts.picture_id, before.facts.picture_id);
                assert_eq!(after.facts.temporal_id, before.facts.temporal_id);
            }
        }
        layers.extend(packets.iter().map(|packet| (packet.facts.spatial_id, packet.facts.temporal_id)));
        described += agree(packets);
    }
    assert!(layers.len() >= 6, "{layers:?}");
    assert!(streams.iter().flatten().any(|packet| packet.facts.begins_key_frame == Some(true)));
    assert_eq!((described, allocations(&streams)), (191, 6), "with a descriptor, with an allocation");
}

#[test]
fn chromium_h264_fragments_are_whole_and_key_frames_come_with_parameters() {
    let streams = streams(H264, Format::H264, 12, 9);
    let (mut keys, mut described) = (0, 0);
    for packets in &streams {
        for (before, after) in neighbours(packets) {
            let same = after.timestamp == before.timestamp;
            assert_eq!(before.marker, !same, "{}", after.seq);
            assert!(after.facts.begins_frame != Some(false) || same);
            assert!(before.facts.ends_frame != Some(false) || same);
            // A fragment that is not the last is followed by one that is not the first.
            assert_eq!(before.facts.ends_frame, after.facts.begins_frame, "{}", after.seq);
        }
        let mut at: Vec<u32> = Vec::new();
        for packet in packets.iter().filter(|packet| packet.facts.begins_key_frame == Some(true)) {
            // Parameter sets and the picture behind them are one frame.
            at.push(packet.timestamp);
            let payload = h264::Payload::parse(&packet.payload).expect("whole");
            assert!(payload.begins_key_frame() && !payload.is_discardable());
        }
        at.dedup();
        keys += at.len();
        described += agree_on_frames(packets);
    }
    assert!(keys >= 1);
    assert_eq!((described, allocations(&streams)), (92, 2), "with a descriptor, with an allocation");
}

/// Where the payload tells no frame's beginning, the timestamp does.
fn agree_on_frames(packets: &[Seen]) -> usize {
    for (before, after) in neighbours(packets) {
        if let Some(described) = after.described {
            assert_eq!(described.begins_frame, Some(after.timestamp != before.timestamp), "{}", after.seq);
            assert_eq!(described.ends_frame, Some(after.marker), "{}", after.seq);
        }
    }
    packets.iter().filter(|packet| packet.described.is_some()).count()
}

#[test]
fn firefox_av1_units_continue_where_they_were_cut() {
    let mut keys = 0;
    for packets in streams(AV1, Format::Av1, 0, 0) {
        for (before, after) in neighbours(&packets) {
            let [cut, rest] = [before, after].map(|seen| av1::Payload::parse(&seen.payload).expect("whole"));
            assert_eq!(cut.aggregation().continued, rest.aggregation().continues, "{}", after.seq);
            assert_eq!(before.marker, after.timestamp != before.timestamp, "{}", after.seq);
            assert!(!before.marker || before.facts.ends_frame.is_none());
        }
        for packet in packets {
            let payload = av1::Payload::parse(&packet.payload).expect("whole");
            let header = |header: av1::ObuHeader| {
                use av1::{FRAME, FRAME_HEADER, METADATA, SEQUENCE_HEADER, TILE_GROUP};
                [SEQUENCE_HEADER, FRAME_HEADER, TILE_GROUP, METADATA, FRAME].contains(&header.kind)
            };
            assert!(payload.headers().all(header), "known types, and no temporal delimiter");
            if packet.facts.begins_key_frame == Some(true) {
                let size = payload.sequence_header().expect("with each sequence").max_resolution;
                assert_eq!((size.width, size.height), (320, 240));
                keys += 1;
            }
        }
    }
    assert!(keys >= 1);
}

#[test]
fn chromium_opus_packets_last_as_long_as_their_timestamps_say() {
    let mut pairs = 0;
    for packets in streams(OPUS, Format::Opus, 0, 0) {
        for (before, after) in neighbours(&packets) {
            let packet = opus::Packet::parse(&before.payload).expect("Opus");
            assert_eq!(
                (packet.ticks(), packet.is_silence()),
                (after.timestamp.wrapping_sub(before.timestamp), false)
            );
            pairs += 1;
        }
    }
    assert!(pairs > 50);
}
