//! Recorded descriptors, and what all formats have in common.

use super::dependency::{self, Descriptor, Structure};
use super::*;
use crate::captures::{hex, vectors};
use proptest::prelude::*;
use serde_json::Value;

fn packets(name: &str) -> Vec<Value> {
    vectors(name)["packets"].as_array().expect("a list").clone()
}

#[test]
fn rfc_7741_4_2_and_4_3_captured_descriptors() {
    let packets = packets("rfc7741-captured");
    assert_eq!(packets.len(), 80);
    let mut key_frames = 0;
    for packet in packets {
        let payload = hex(&packet["payload_prefix"]);
        let number = |field: &str| packet[field].as_str().map(|text| text.parse::<u16>().expect("a number"));
        let (descriptor, rest) = vp8::Descriptor::parse(&payload).expect("whole");
        let flags = (u16::from(descriptor.begins_partition), u16::from(descriptor.non_reference));
        assert_eq!((Some(flags.0), Some(flags.1)), (number("pld.s"), number("pld.n")));
        assert_eq!(descriptor.picture_id.map(|id| id.value()), number("pld.pictureid"), "{packet}");
        assert_eq!(descriptor.tl0_pic_idx.map(u16::from), number("pld.tl0picidx"));
        assert_eq!(descriptor.layer.map(|layer| u16::from(layer.temporal_id)), number("pld.tid"));
        let facts = Facts::read(Format::Vp8, &payload, None).expect("whole");
        let key = number("hdr.frametype") == Some(0);
        assert_eq!(
            (facts.begins_key_frame, facts.begins_frame),
            (Some(key), Some(descriptor.begins_frame()))
        );
        if key {
            let header = vp8::FrameHeader::parse(rest).expect("whole");
            let size = header.key_frame.expect("a key frame").resolution;
            assert_eq!(
                (Some(size.width), Some(size.height)),
                (number("keyframe.width"), number("keyframe.height"))
            );
            key_frames += 1;
        }
        // Sixteen bytes are not the end of the descriptor: written again they are the same.
        let mut buf = [0; 6];
        let len = descriptor.write(&mut buf).expect("room");
        assert_eq!(buf[..len], payload[..payload.len() - rest.len()]);
    }
    assert!(key_frames >= 3, "one of each simulcast layer");
}

#[test]
fn what_packets_begin_that_are_not_opened_is_not_known() {
    // STAP-B, MTAP16, MTAP24 and FU-B of RFC 6184, section 5.7 and 5.8; PACI of RFC 7798, section 4.4.4.
    for kind in [25, 26, 27, 29] {
        let facts = Facts::read(Format::H264, &[0x60 | kind, 0, 0, 0, 5, 0x65, 0x88], None).expect("whole");
        assert_eq!((facts.begins_key_frame, facts.layer_access), (None, false), "{kind}");
    }
    let facts = Facts::read(Format::H265, &[50 << 1, 1, 0x26, 0, 0, 0], None).expect("whole");
    assert_eq!((facts.begins_key_frame, facts.layer_access), (None, false));
    // Those that are opened tell.
    let facts = Facts::read(Format::H264, &[0x65, 0x88, 0x80], None).expect("whole");
    assert_eq!(facts.begins_key_frame, Some(true));
    let facts = Facts::read(Format::H265, &[0x02, 1, 0x80], None).expect("whole");
    assert_eq!(facts.begins_key_frame, Some(false));
}

#[test]
fn rfc_9628_4_2_captured_descriptors() {
    let packets = packets("rfc9628-captured");
    assert_eq!(packets.len(), 80);
    for packet in packets {
        let payload = hex(&packet["payload_prefix"]);
        let (descriptor, rest) = vp9::Descriptor::parse(&payload).expect("whole");
        let flag = |field: &str| packet[field].as_u64() == Some(1);
        assert_eq!(descriptor.picture_id.is_some(), flag("I"));
        assert_eq!((descriptor.inter_predicted, descriptor.layers.is_some()), (flag("P"), flag("L")));
        assert_eq!((descriptor.flexible, descriptor.begins_frame), (flag("F"), flag("B")));
        assert_eq!((descriptor.ends_frame, descriptor.not_for_upper_layers), (flag("E"), flag("Z")));
        let number = |field: &str| packet[field].as_u64();
        assert_eq!(descriptor.picture_id.map(|id| u64::from(id.value())), number("picture_id"));
        let layers = descriptor.layers.expect("L is set in all of them");
        assert_eq!((Some(u64::from(layers.temporal_id)), layers.switching_up), (number("TID"), flag("U")));
        assert_eq!((Some(u64::from(layers.spatial_id)), layers.inter_layer), (number("SID"), flag("D")));
        let distances = packet["P_DIFF"].as_array().cloned().unwrap_or_default();
        assert!(
            descriptor
                .references
                .as_slice()
                .iter()
                .map(|d| u64::from(*d))
                .eq(distances.iter().filter_map(Value::as_u64))
        );
        assert_eq!(descriptor.structure.is_some(), flag("V"));
        if let Some(structure) = descriptor.structure {
            let told = &packet["SS"];
            assert_eq!(u64::from(structure.spatial_layers()) - 1, told["N_S"].as_u64().expect("a count"));
            let sizes = told["sizes"].as_array().cloned().unwrap_or_default();
            let sizes =
                sizes.iter().map(|size| [&size[0], &size[1]].map(|side| side.as_u64().expect("pixels")));
            assert!(structure.resolutions().map(|r| [r.width, r.height].map(u64::from)).eq(sizes));
            assert_eq!(structure.pictures().count(), 0);
        }
        let len = (payload.len() - rest.len()) as u64;
        assert_eq!(Some(len), packet["descriptor_octets"].as_u64());
        let mut buf = [0; 64];
        let written = descriptor.write(&mut buf).expect("room");
        assert_eq!(buf[..written], payload[..payload.len() - rest.len()]);
    }
}

#[test]
fn av1_rtp_a_8_2_captured_descriptors_and_allocations() {
    let vectors = vectors("dependency-descriptor-captured");
    let (mut descriptors, mut structures, mut allocations) = (0, 0, 0);
    for stream in vectors["streams"].as_array().expect("a list") {
        // One structure for each SSRC: simulcast layers are streams of their own.
        let mut known: Vec<(u64, Structure)> = Vec::new();
        for packet in stream["packets"].as_array().expect("a list") {
            if let Some(value) = packet.get("video_layers_allocation").filter(|value| value.is_string()) {
                check_allocation(&hex(value));
                allocations += 1;
            }
            let Some(value) = packet.get("dependency_descriptor").filter(|value| value.is_string()) else {
                continue;
            };
            descriptors += 1;
            let ssrc = packet["ssrc"].as_u64().expect("a number");
            let value = hex(value);
            let descriptor = Descriptor::parse(&value).expect("whole");
            let head = descriptor.head();
            let told = |field: &str| packet[field].as_u64().expect("a number");
            assert_eq!(
                (u64::from(head.begins_frame), u64::from(head.ends_frame)),
                (told("dd_start"), told("dd_end"))
            );
            assert_eq!(u64::from(head.template_id), told("dd_template_id"));
            assert_eq!(u64::from(head.frame_number), told("dd_frame_number"));
            assert_eq!(u64::from(descriptor.has_structure()), told("dd_structure_present"));
            if let Some(structure) = descriptor.structure().expect("whole") {
                known.retain(|(of, _)| *of != ssrc);
                known.push((ssrc, structure));
                structures += 1;
            }
            let (_, structure) = known.iter().find(|(of, _)| *of == ssrc).expect("a key frame came first");
            let frame = descriptor.frame(structure).expect("of the structure in effect");
            assert!(!frame.has_structure() || frame.is_independent() || frame.spatial_id() > 0);
            let mut buf = [0; 256];
            let attach = descriptor.has_structure();
            let len = dependency::write(&mut buf, head, structure, attach, frame.custom()).expect("room");
            assert_eq!(buf[..len], value[..], "written bit by bit as it was sent");
        }
    }
    // Eight of the 400 packets are padding, which has none.
    assert_eq!(descriptors, 392);
    assert!(structures >= 6 && allocations > 20, "{structures} {allocations}");
}

fn check_allocation(value: &[u8]) {
    let allocation = allocation::Allocation::parse(value).expect("whole");
    let layers: Vec<_> = allocation.layers().collect();
    assert!(!layers.is_empty());
    let mut buf = [0; 256];
    let len = allocation::write(&mut buf, allocation.stream(), allocation.streams(), &layers).expect("room");
    assert_eq!(buf[..len], *value);
}

/// A payload of each format that begins with what the format needs, and how many bytes of it are clear.
fn samples() -> Vec<(Format, Vec<u8>, usize)> {
    vec![
        (
            Format::Vp8,
            vec![0x90, 0xe0, 0x92, 0x34, 0x56, 0x20, 0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0],
            6,
        ),
        (Format::Vp9, vec![0xae, 0x92, 0x34, 0x30, 7, 0x18, 1, 0x40, 0, 0xb4, 0, 0x55, 0x66], 11),
        (Format::Av1, vec![0x18, 0x0a, 0x0b, 0, 0], 0),
        (Format::H264, vec![0x65, 0x88, 0x80], 0),
        (Format::H265, vec![0x26, 0x01, 0x80], 0),
        (Format::Opus, vec![0xf8, 1, 2, 3], 0),
    ]
}

#[test]
fn each_format_tells_where_a_key_frame_begins() {
    for (format, payload, _) in samples() {
        let facts = Facts::read(format, &payload, None).expect("whole");
        assert_eq!(facts.begins_key_frame, Some(true), "{format:?}");
        assert!(Facts::read(format, &[], None).is_err());
        assert_eq!(Format::from_name(&format.name().to_lowercase()), Some(format));
    }
    assert_eq!(Format::from_name("rtx"), None);
}

#[test]
fn layers_and_switching_points_are_told_as_each_format_has_them() {
    let read = |format, payload: &[u8]| {
        let facts = Facts::read(format, payload, None).expect("whole");
        assert_eq!(facts.begins_key_frame, Some(false));
        (facts.spatial_id, facts.temporal_id, facts.layer_access, facts.switching_up, facts.discardable)
    };
    // VP8: TID 2, with Y and without; N.
    assert_eq!(read(Format::Vp8, &[0x90, 0x20, 0xa0, 1]), (0, 2, true, false, false));
    assert_eq!(read(Format::Vp8, &[0xb0, 0x20, 0x80, 1]), (0, 2, false, false, true));
    // VP9: TID 1 and SID 2 with U and D; the same of a key picture; without U.
    assert_eq!(read(Format::Vp9, &[0x68, 0x35, 7]), (2, 1, false, true, false));
    assert_eq!(read(Format::Vp9, &[0x28, 0x05, 7]), (2, 0, true, false, false));
    assert_eq!(read(Format::Vp9, &[0x68, 0x24, 7]), (2, 1, false, false, false));
    // AV1: an OBU of temporal layer 2 and spatial layer 1.
    assert_eq!(read(Format::Av1, &[0x10, 0x34, 0x48, 1]), (1, 2, false, false, false));
    // H.264: a slice that others depend on, and one that none does.
    assert_eq!(read(Format::H264, &[0x61, 0x9a]), (0, 0, false, false, false));
    assert_eq!(read(Format::H264, &[0x01, 0x9a]), (0, 0, false, false, true));
    // H.265: TSA and STSA of temporal layer 1, and a plain slice.
    assert_eq!(read(Format::H265, &[0x04, 2, 0x80]), (0, 1, true, true, false));
    assert_eq!(read(Format::H265, &[0x08, 2, 0x80]), (0, 1, true, false, false));
    assert_eq!(read(Format::H265, &[0x02, 2, 0x80]), (0, 1, false, false, false));
}

#[test]
fn s_desc_03_a_lying_key_frame_flag_is_no_key_frame_where_it_shows() {
    // The flag says key frame, the start code is another.
    let payload = [0x10, 0x10, 0, 0, 0x9d, 1, 0x2b, 0x40, 1, 0xb4, 0];
    assert_eq!(Facts::read(Format::Vp8, &payload, None).map(|facts| facts.begins_key_frame), Ok(Some(false)));
    let cut = Facts::read(Format::Vp8, &payload[..5], None).expect("the descriptor is whole");
    assert_eq!(cut.begins_key_frame, Some(false));
}

#[test]
fn s_desc_03_contradicting_descriptors_are_decided_by_the_extension() {
    let templates = [dependency::Template::default(); 1];
    let structure = Structure::new(0, &[0], 0, &templates, &[]).expect("consistent");
    // Neither start nor end of frame 7, which depends on frame 6; the payload claims a key frame.
    let mut value = [0; 16];
    let custom = dependency::Custom {
        differences: Some(dependency::FrameDifferences::new(&[1]).expect("one")),
        ..Default::default()
    };
    let head = dependency::Head { frame_number: 7, ..Default::default() };
    let len = dependency::write(&mut value, head, &structure, false, &custom).expect("room");
    let frame =
        Descriptor::parse(&value[..len]).and_then(|descriptor| descriptor.frame(&structure)).expect("ours");
    for (format, payload, _) in samples() {
        let facts = Facts::read(format, &payload, Some(&frame)).expect("whole");
        assert_eq!(
            (facts.begins_key_frame, facts.begins_frame, facts.ends_frame),
            (Some(false), Some(false), Some(false))
        );
        assert_eq!(facts.frame_number, Some(7));
        assert_eq!(facts.picture_id.is_some(), matches!(format, Format::Vp8 | Format::Vp9), "{format:?}");
    }
}

proptest! {
    #[test]
    fn s_desc_05_nothing_behind_the_clear_descriptor_is_read(noise in proptest::collection::vec(any::<u8>(), 0..60)) {
        let structure = Structure::new(0, &[0], 0, &[Default::default()], &[]).expect("consistent");
        let value = [0x80, 0, 9];
        let frame = Descriptor::parse(&value).and_then(|d| d.frame(&structure)).expect("ours");
        for (format, payload, clear) in samples() {
            let encrypted = [&payload[..clear], &noise].concat();
            let opaque = |payload: &[u8]| Facts::read_opaque(format, payload, None);
            prop_assert_eq!(opaque(&encrypted), opaque(&payload));
            let described = |payload: &[u8]| Facts::read(format, payload, Some(&frame));
            prop_assert_eq!(described(&encrypted), described(&payload));
        }
    }

    #[test]
    fn s_desc_01_any_bytes_are_facts_or_a_fault_within_them(payload in proptest::collection::vec(any::<u8>(), 0..60)) {
        for format in Format::ALL {
            for read in [Facts::read, Facts::read_opaque] {
                if let Err(error) = read(format, &payload, None) {
                    prop_assert!(usize::from(error.offset) <= payload.len());
                }
            }
        }
    }
}
