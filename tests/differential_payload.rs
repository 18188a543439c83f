//! Payloads as another implementation reads them, rtc-rtp: generated and recorded ones. Where the two
//! differ the RFC's sentence decides, and stands beside the exception.

#[path = "support/captures.rs"]
mod captures;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use estafette::payload::{Fault, av1, h264, h265, vp8, vp9};
use estafette::rtp::Packet;
use proptest::prelude::*;
use rtp::codec::av1::Av1Depacketizer;
use rtp::codec::h264::H264Packet;
use rtp::codec::h265::{H265Packet, H265Payload};
use rtp::codec::vp8::Vp8Packet;
use rtp::codec::vp9::Vp9Packet;
use rtp::packetizer::Depacketizer;

/// What the other reads: the depacketiser and what it took out, or `None` for a refusal. A panic is no
/// verdict at all.
fn theirs<D: Depacketizer + Default>(payload: &[u8]) -> Option<Option<(D, Bytes)>> {
    let payload = Bytes::copy_from_slice(payload);
    let verdict = catch_unwind(AssertUnwindSafe(|| {
        let mut depacketizer = D::default();
        let out = depacketizer.depacketize(&payload).ok()?;
        Some((depacketizer, out))
    }))
    .ok();
    let (asked, answered) = VERDICTS.get();
    VERDICTS.set((asked + 1, answered + usize::from(verdict.is_some())));
    verdict
}

thread_local! {
    /// How often the other was asked in the test of this thread, and how often it answered.
    static VERDICTS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// An oracle that is silent proves nothing: it was asked so often, and answered nine times of ten.
fn assert_verdicts(least: usize) {
    let (asked, answered) = VERDICTS.get();
    assert!(asked >= least && answered * 10 > asked * 9, "{answered} of {asked}, at least {least}");
}

/// Payloads of an excerpt.
fn recorded(text: &str) -> Vec<Vec<u8>> {
    let packets = captures::packets(text).into_iter();
    packets.map(|bytes| Packet::parse(&bytes).expect("RTP").payload().to_vec()).collect()
}

/// Any bytes, often short, with first bytes that differ much.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..4, Just(0x80), Just(0xff)], 0..40)
}

fn compare_vp8(payload: &[u8]) {
    let ours = vp8::Descriptor::parse(payload);
    let Some(theirs) = theirs::<Vp8Packet>(payload) else { return };
    match (ours, theirs) {
        (Ok((ours, rest)), Some((theirs, out))) => {
            assert_eq!(rest, &out[..]);
            assert_eq!((theirs.n == 1, theirs.s == 1), (ours.non_reference, ours.begins_partition));
            assert_eq!(theirs.pid, ours.partition);
            assert_eq!((theirs.i == 1).then_some(theirs.picture_id), ours.picture_id.map(|id| id.value()));
            assert_eq!((theirs.l == 1).then_some(theirs.tl0_pic_idx), ours.tl0_pic_idx);
            let layer = (theirs.t == 1).then_some((theirs.tid, theirs.y == 1));
            assert_eq!(layer, ours.layer.map(|layer| (layer.temporal_id, layer.sync)));
            assert_eq!((theirs.k == 1).then_some(theirs.key_idx), ours.key_index);
        }
        (Err(_), None) => {}
        // RFC 7741, section 4.2: "The first octets after the RTP header are the VP8 payload descriptor";
        // it has one to six bytes, and no least number of them is asked for behind it.
        (Ok((_, rest)), None) => assert!(payload.len() < 4 || rest.is_empty(), "{payload:02x?}"),
        (Err(error), Some(_)) => panic!("only we refuse {payload:02x?}: {error}"),
    }
}

fn compare_vp9(payload: &[u8]) {
    let ours = vp9::Descriptor::parse(payload);
    let Some(theirs) = theirs::<Vp9Packet>(payload) else { return };
    // RFC 9628, section 4.2.1: G is one bit and the three behind it are reserved, to be ignored; the
    // other takes two of them for G.
    if ours.is_ok_and(|(ours, _)| ours.structure.is_some()) && reserved_structure_bits(payload) {
        return;
    }
    match (ours, theirs) {
        (Ok((ours, rest)), Some((theirs, out))) => {
            assert_eq!(rest, &out[..]);
            assert_eq!(theirs.i.then_some(theirs.picture_id), ours.picture_id.map(|id| id.value()));
            assert_eq!((theirs.p, theirs.f), (ours.inter_predicted, ours.flexible));
            assert_eq!(
                (theirs.b, theirs.e, theirs.z),
                (ours.begins_frame, ours.ends_frame, ours.not_for_upper_layers)
            );
            let layers = theirs.l.then_some((theirs.tid, theirs.u, theirs.sid, theirs.d));
            let own = ours.layers.map(|l| (l.temporal_id, l.switching_up, l.spatial_id, l.inter_layer));
            assert_eq!(layers, own);
            assert_eq!((theirs.l && !theirs.f).then_some(theirs.tl0picidx), ours.tl0_pic_idx);
            assert_eq!(theirs.pdiff, ours.references.as_slice());
            assert_eq!(theirs.v, ours.structure.is_some());
            if let Some(structure) = ours.structure {
                assert_eq!(theirs.ns + 1, structure.spatial_layers());
                assert!(structure.resolutions().map(|size| size.width).eq(theirs.width));
                assert!(structure.resolutions().map(|size| size.height).eq(theirs.height));
                let pictures: Vec<_> = structure.pictures().collect();
                assert!(pictures.iter().map(|picture| picture.temporal_id).eq(theirs.pgtid));
                assert!(pictures.iter().map(|picture| picture.switching_up).eq(theirs.pgu));
                let distances = pictures.iter().map(|picture| picture.references.as_slice());
                assert!(distances.eq(theirs.pgpdiff.iter().map(Vec::as_slice)));
            }
        }
        (Err(_), None) => {}
        (Ok((ours, _)), None) => {
            // RFC 9628, section 4.2, P_DIFF "up to 3 times": the other refuses the third.
            let three = ours.references.as_slice().len() == 3;
            // The same section, SID: three bits; the other stops at its own number of spatial layers.
            let high = ours.layers.is_some_and(|layers| layers.spatial_id >= 5);
            assert!(three || high, "{payload:02x?}");
        }
        (Err(error), Some(_)) => panic!("only we refuse {payload:02x?}: {error}"),
    }
}

/// Whether a reserved bit of the structure is set that the other takes for another.
fn reserved_structure_bits(payload: &[u8]) -> bool {
    let plain = vp9::Descriptor::parse(payload).expect("parsed before").0;
    let mut buf = [0; 1_500];
    let before = vp9::Descriptor { structure: None, ..plain }.write(&mut buf);
    // Without references although it should have some nothing can be written; then it is not compared.
    before.is_err() || before.is_ok_and(|before| payload[before] & 0x06 != 0)
}

/// Why we refuse what the other takes.
fn stricter_h264(fault: Fault) -> &'static str {
    match fault {
        Fault::H264Header => "RFC 6184, section 5.3: with F set the simplest reaction is to discard the unit",
        Fault::H264Length => {
            "section 5.7.1: an aggregation unit is a size and a NAL unit, which has a header"
        }
        Fault::H264Nested => "section 5.7: aggregation packets \"MUST NOT\" be nested; section 5.8: nor FUs",
        Fault::H264Fragment => "section 5.8: start and end bit \"MUST NOT both be set\"",
        other => panic!("{other:?} has no reason"),
    }
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

fn compare_h264(payload: &[u8]) {
    let ours = h264::Payload::parse(payload);
    let Some(theirs) = theirs::<H264Packet>(payload) else { return };
    let theirs = theirs.map(|(_, out)| out);
    match (ours, theirs) {
        (Ok(h264::Payload::Single(nal)), Some(out)) => assert_eq!(&out[..], [&START_CODE, nal.data].concat()),
        (Ok(h264::Payload::Aggregate(aggregate)), Some(out)) => {
            let units: Vec<u8> = aggregate.units().flat_map(|nal| [&START_CODE, nal.data].concat()).collect();
            assert_eq!(&out[..], units);
        }
        (Ok(h264::Payload::Fragment(fragment)), Some(out)) if fragment.ends => {
            let header = [fragment.header.ref_idc << 5 | fragment.header.kind];
            assert_eq!(&out[..], [&START_CODE, &header[..], fragment.data].concat());
        }
        (Ok(h264::Payload::Fragment(_)), Some(out)) => assert!(out.is_empty(), "it waits for the rest"),
        (Ok(h264::Payload::Interleaved(_)), None) | (Err(_), None) => {}
        // RFC 6184, section 5.6: a single NAL unit packet is a NAL unit, of which the header is one byte;
        // section 5.8: a fragment "MAY be empty".
        (Ok(_), None) => assert!(payload.len() <= 2, "{payload:02x?}"),
        (Ok(h264::Payload::Interleaved(_)), Some(_)) => panic!("the other reads {payload:02x?}"),
        (Err(error), Some(_)) => assert!(!stricter_h264(error.fault).is_empty()),
    }
}

/// Why we refuse what the other takes.
fn stricter_h265(fault: Fault) -> &'static str {
    match fault {
        Fault::H265Header => "RFC 7798, section 1.1.4: a TID value of 0 is illegal",
        Fault::H265Length => {
            "section 4.4.2: an AP is aggregation units to its end, each a size and a NAL unit"
        }
        Fault::H265Nested => "section 4.4.2: APs are not nested; section 4.4.3: nor FUs",
        Fault::H265Fragment => "section 4.4.3: S and E bit are not both set; no empty fragments",
        other => panic!("{other:?} has no reason"),
    }
}

fn compare_h265(payload: &[u8]) {
    let ours = h265::Payload::parse(payload);
    let Some(theirs) = theirs::<H265Packet>(payload) else { return };
    let theirs = theirs.map(|(packet, _)| packet);
    match (ours, theirs.as_ref().map(H265Packet::payload)) {
        (Ok(h265::Payload::Single(nal)), Some(H265Payload::H265SingleNALUnitPacket(single))) => {
            let header = single.payload_header();
            assert_eq!((header.nalu_type(), header.layer_id()), (nal.header.kind, nal.header.layer_id));
            assert_eq!((header.tid(), &single.payload()[..]), (nal.header.temporal_id + 1, &nal.data[2..]));
        }
        (Ok(h265::Payload::Aggregate(_, aggregate)), Some(H265Payload::H265AggregationPacket(units))) => {
            let first = units.first_unit().expect("one").nal_unit();
            let all: Vec<_> =
                std::iter::once(first).chain(units.other_units().iter().map(|u| u.nal_unit())).collect();
            assert!(aggregate.units().map(|nal| nal.data).eq(all.iter().map(|unit| &unit[..])));
        }
        (Ok(h265::Payload::Fragment(fragment)), Some(H265Payload::H265FragmentationUnitPacket(unit))) => {
            let header = unit.fu_header();
            assert_eq!(
                (header.s(), header.e(), header.fu_type()),
                (fragment.starts, fragment.ends, fragment.header.kind)
            );
            assert_eq!(unit.payload_header().tid(), fragment.header.temporal_id + 1);
            assert_eq!(&unit.payload()[..], fragment.data);
        }
        (Ok(h265::Payload::Paci(_)), _) | (Err(_), None) => {}
        // RFC 7798, section 4.4.1: a single NAL unit packet is a NAL unit, of which the header is two bytes.
        (Ok(_), None) => assert_eq!(payload.len(), 2, "{payload:02x?}"),
        (Err(error), Some(_)) => assert!(!stricter_h265(error.fault).is_empty()),
        (Ok(ours), Some(theirs)) => panic!("{ours:?} is not {theirs:?}"),
    }
}

/// The temporal unit in the low-overhead format, as the other writes it: sizes added, temporal
/// delimiters and tile lists left out. `None` where an OBU's own size would have to be believed.
fn low_overhead(elements: impl Iterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for element in elements {
        let (header, body) = av1::ObuHeader::parse(&element).ok()?;
        if header.has_size {
            return None;
        }
        if !matches!(header.kind, av1::TEMPORAL_DELIMITER | 8) {
            let mut size = body.len();
            out.push(element[0] | 0x02);
            out.extend(header.layer.map(|_| element[1]));
            while size > 0x7f {
                out.push(size as u8 | 0x80);
                size >>= 7;
            }
            out.push(size as u8);
            out.extend(body);
        }
    }
    Some(out)
}

fn compare_av1(payload: &[u8]) {
    let ours = av1::Payload::parse(payload);
    let Some(theirs) = theirs::<Av1Depacketizer>(payload) else { return };
    match (ours, theirs) {
        (Ok(ours), Some((theirs, out))) => {
            let aggregation = ours.aggregation();
            assert_eq!(
                (theirs.z, theirs.y, theirs.n),
                (aggregation.continues, aggregation.continued, aggregation.begins_sequence)
            );
            let whole = ours.elements().filter(|element| !element.continues && !element.continued);
            if let Some(expected) = low_overhead(whole.map(|element| element.data.to_vec())) {
                assert_eq!(&out[..], expected, "{payload:02x?}");
            }
        }
        (Err(_), None) => {}
        (Ok(ours), None) => {
            // AV1 RTP specification, section 4.5: an OBU's own size "SHOULD" not be there; the length of its
            // element decides, and the other refuses a size that does not agree with it.
            assert!(ours.elements().any(|element| element.data[0] & 0x02 != 0), "{payload:02x?}");
        }
        (Err(error), Some(_)) => match error.fault {
            // Section 4.4: "If N equals 1, then Z must equal 0"; the other does not look.
            Fault::Av1Aggregation => {}
            // An OBU has a header of a byte at least (AV1, section 5.3); the other skips empty elements,
            // and what is announced but missing where Y is set.
            Fault::Av1Element => {}
            // AV1, section 4.10.5: at most eight bytes and 32 bits; the other goes on and wraps.
            Fault::Av1Length => {}
            other => panic!("only we refuse {payload:02x?}: {other:?}"),
        },
    }
}

#[test]
fn recorded_payloads_are_read_alike() {
    type Compare = fn(&[u8]);
    let excerpts: [(&str, Compare); 4] = [
        (include_str!("data/captures/chromium-simulcast-vp8-payload.txt"), compare_vp8),
        (include_str!("data/captures/chromium-svc-vp9-l3t3key-payload.txt"), compare_vp9),
        (include_str!("data/captures/chromium-h264-payload.txt"), compare_h264),
        (include_str!("data/captures/firefox-chromium-av1-payload.txt"), compare_av1),
    ];
    for (text, compare) in excerpts {
        let payloads = recorded(text);
        assert!(payloads.len() > 80);
        for payload in payloads {
            // The whole, and cut within the descriptor.
            (0..payload.len().min(24)).for_each(|len| compare(&payload[..len]));
            compare(&payload);
        }
    }
    assert_verdicts(4 * 80 * 20);
}

#[test]
fn what_only_one_side_takes_is_what_the_comments_say() {
    assert!(vp9::Descriptor::parse(&[0x50, 0x03, 0x05, 0x06, 0xee]).is_ok());
    assert!(
        theirs::<Vp9Packet>(&[0x50, 0x03, 0x05, 0x06, 0xee]).expect("no panic").is_none(),
        "three P_DIFF"
    );
    assert!(vp8::Descriptor::parse(&[0x00, 0x01]).is_ok());
    assert!(theirs::<Vp8Packet>(&[0x00, 0x01]).expect("no panic").is_none(), "less than four bytes");
    assert!(h264::Payload::parse(&[0xe5, 0x88, 0x80]).is_err());
    assert!(theirs::<H264Packet>(&[0xe5, 0x88, 0x80]).expect("no panic").is_some(), "forbidden bit");
    assert!(h265::Payload::parse(&[0x26, 0x00, 0x80]).is_err());
    assert!(theirs::<H265Packet>(&[0x26, 0x00, 0x80]).expect("no panic").is_some(), "temporal id 0");
    assert!(av1::Payload::parse(&[0x98, 0x30, 0x80]).is_err());
    assert!(theirs::<Av1Depacketizer>(&[0x98, 0x30, 0x80]).expect("no panic").is_some(), "N inside an OBU");
}

/// How many payloads each of these tests makes up.
const CASES: usize = 2_000;

fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(CASES as u32)
}

#[test]
fn vp8_is_read_alike() {
    proptest!(cases(), |(payload in payload())| compare_vp8(&payload));
    assert_verdicts(CASES);
}

#[test]
fn vp9_is_read_alike() {
    proptest!(cases(), |(payload in payload())| compare_vp9(&payload));
    assert_verdicts(CASES);
}

#[test]
fn h264_is_read_alike() {
    let kind = prop_oneof![Just(0x78), Just(0x7c), any::<u8>()];
    proptest!(cases(), |(payload in payload(), kind in kind)| compare_h264(&[&[kind][..], &payload].concat()));
    assert_verdicts(CASES);
}

#[test]
fn h265_is_read_alike() {
    let kind = prop_oneof![Just(0x60), Just(0x62), any::<u8>()];
    proptest!(cases(), |(payload in payload(), kind in kind)| compare_h265(&[&[kind][..], &payload].concat()));
    assert_verdicts(CASES);
}

#[test]
fn av1_is_read_alike() {
    proptest!(cases(), |(payload in payload())| compare_av1(&payload));
    assert_verdicts(CASES);
}
