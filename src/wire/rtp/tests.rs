//! The room as a whole: packets of browsers, another implementation, arbitrary bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rtc_shared::marshal::{Marshal, Unmarshal};

use super::*;
use crate::captures::packets;
use crate::wire::mux::{Kind, kind_of};

/// The packets of a capture: (sent by the browser, bytes).
fn capture(text: &str) -> Vec<(bool, Vec<u8>)> {
    text.lines().map(|line| line.starts_with("O ")).zip(packets(text)).collect()
}

const SIMULCAST: &str = include_str!("../../../tests/data/captures/chromium-simulcast-vp8.plain.txt");
const GSTREAMER: &str = include_str!("../../../tests/data/captures/gstreamer-chromium-av.plain.txt");

/// The identifiers of the simulcast call's answer, and the lengths their values have.
fn negotiated(id: u8) -> Option<(ExtensionKind, std::ops::RangeInclusive<usize>)> {
    use ExtensionKind::*;
    Some(match id {
        1 => (TransmissionOffset, 3..=3),
        2 => (AbsSendTime, 3..=3),
        3 => (VideoOrientation, 1..=1),
        4 => (TransportSequenceNumber, 2..=2),
        5 => (PlayoutDelay, 3..=3),
        6 => (VideoContentType, 1..=1),
        7 => (VideoTiming, 13..=13),
        8 => (ColorSpace, 4..=28),
        9 => (Mid, 1..=1),
        10 => (Rid, 1..=1),
        11 => (RepairedRid, 1..=1),
        12 => (VideoLayersAllocation, 1..=255),
        13 => (AbsCaptureTime, 8..=16),
        14 => (DependencyDescriptor, 3..=255),
        _ => return None,
    })
}

/// The same header again, with the elements in the same order.
fn rewrite(packet: &Packet<'_>, buf: &mut [u8]) -> Result<usize, NoSpace> {
    let begin = match packet.extension_profile() {
        Some(0x1000) => HeaderWriter::two_byte,
        _ => HeaderWriter::new,
    };
    let (marker, payload_type) = (packet.marker(), packet.payload_type());
    let (seq, timestamp) = (packet.sequence_number(), packet.timestamp());
    let mut writer = begin(buf, marker, payload_type, seq, timestamp, packet.ssrc())?;
    for (id, value) in packet.extensions() {
        writer.extension(id, value)?;
    }
    if packet.has_padding() {
        writer.padding();
    }
    writer.finish()
}

#[test]
fn packets_of_a_browser_are_read_and_their_headers_written_again() {
    let (mut media, mut two_byte, mut padded) = (0, 0, 0);
    let mut seen = [0; ExtensionKind::COUNT];
    for (_, bytes) in capture(SIMULCAST) {
        if kind_of(&bytes) != Some(Kind::Rtp) {
            assert_eq!(kind_of(&bytes), Some(Kind::Rtcp));
            continue;
        }
        let packet = Packet::parse(&bytes).expect("a browser's packet");
        media += 1;
        two_byte += u32::from(packet.extension_profile() == Some(0x1000));
        assert!(matches!(packet.payload_type().get(), 96 | 97));
        for (id, value) in packet.extensions() {
            let (kind, lengths) = negotiated(id).expect("negotiated");
            assert!(lengths.contains(&value.len()), "{kind:?} of {} bytes", value.len());
            assert_eq!(packet.extension(id), Some(value));
            seen[kind.index()] += 1;
        }
        if packet.has_padding() {
            padded += 1;
            assert!(padding_len(packet.payload()).is_ok());
        }
        let mut buf = [0xee; 256];
        let len = rewrite(&packet, &mut buf).expect("room");
        assert_eq!(buf[..len], bytes[..packet.header_len()]);
    }
    assert_eq!((media, two_byte, padded), (119, 16, 5));
    let count = |kind: ExtensionKind| seen[kind.index()];
    assert_eq!(count(ExtensionKind::TransportSequenceNumber), media);
    assert_eq!(count(ExtensionKind::AbsSendTime), media);
    assert_eq!(count(ExtensionKind::Mid), 88);
    assert_eq!(count(ExtensionKind::Rid), 78);
    assert_eq!(count(ExtensionKind::DependencyDescriptor), 114);
}

#[test]
fn transport_numbers_of_a_browser_follow_each_other() {
    let mut expected = None;
    for (_, bytes) in capture(SIMULCAST).iter().filter(|(sent, _)| *sent) {
        let Some(Kind::Rtp) = kind_of(bytes) else {
            continue;
        };
        let packet = Packet::parse(bytes).expect("a browser's packet");
        let seq = transport_sequence_number(packet.extension(4).expect("on each packet"));
        assert!(expected.is_none() || expected == seq);
        expected = seq.map(WireSeq::next);
    }
}

#[test]
fn packets_without_extension_are_read_and_written_again() {
    let mut plain = 0;
    for (_, bytes) in capture(GSTREAMER) {
        if kind_of(&bytes) != Some(Kind::Rtp) {
            continue;
        }
        let packet = Packet::parse(&bytes).expect("a peer's packet");
        let number = packet.extension(3).and_then(transport_sequence_number);
        plain += u32::from(packet.extension_profile().is_none());
        assert_eq!(number.is_none(), packet.extension_profile().is_none());
        let mut buf = [0xee; 64];
        let len = rewrite(&packet, &mut buf).expect("room");
        assert_eq!(buf[..len], bytes[..packet.header_len()]);
    }
    assert_eq!(plain, 89);
}

/// Fields and elements of a header that both forms can carry.
#[derive(Debug, Clone)]
struct Fields {
    marker: bool,
    payload_type: u8,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
    two_byte: bool,
    elements: Vec<(u8, Vec<u8>)>,
    payload: Vec<u8>,
}

prop_compose! {
    fn fields()(
        (marker, payload_type, seq, timestamp, ssrc) in (any::<bool>(), 0u8..128, any::<u16>(), any::<u32>(), any::<u32>()),
        two_byte: bool,
        // The other implementation finds an element by its identifier: the first of equal ones.
        elements in proptest::collection::btree_map(1u8..15, vec(any::<u8>(), 1..17), 0..8),
        payload in vec(any::<u8>(), 0..40),
    ) -> Fields {
        let elements = elements.into_iter().collect();
        Fields { marker, payload_type, seq, timestamp, ssrc, two_byte, elements, payload }
    }
}

impl Fields {
    fn write(&self) -> Vec<u8> {
        let mut buf = vec![0; 512];
        let begin = if self.two_byte { HeaderWriter::two_byte } else { HeaderWriter::new };
        let payload_type = PayloadType::new(self.payload_type).expect("below 128");
        let (seq, timestamp, ssrc) = (WireSeq(self.seq), RtpTime(self.timestamp), Ssrc(self.ssrc));
        let mut writer = begin(&mut buf, self.marker, payload_type, seq, timestamp, ssrc).expect("room");
        for (id, value) in &self.elements {
            writer.extension(*id, value).expect("room");
        }
        let len = writer.finish().expect("room");
        buf.truncate(len);
        buf.extend_from_slice(&self.payload);
        buf
    }

    fn theirs(&self) -> ::rtp::Packet {
        let extension = |(id, value): &(u8, Vec<u8>)| ::rtp::header::Extension {
            id: *id,
            payload: Bytes::copy_from_slice(value),
        };
        let header = ::rtp::Header {
            version: 2,
            extension: !self.elements.is_empty(),
            extension_profile: if self.two_byte { 0x1000 } else { 0xbede },
            extensions: self.elements.iter().map(extension).collect(),
            marker: self.marker,
            payload_type: self.payload_type,
            sequence_number: self.seq,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            ..Default::default()
        };
        ::rtp::Packet { header, payload: Bytes::copy_from_slice(&self.payload) }
    }
}

proptest! {
    #[test]
    fn another_implementation_reads_what_we_write(fields in fields()) {
        let bytes = fields.write();
        let theirs = ::rtp::Packet::unmarshal(&mut &bytes[..]).expect("readable");
        let header = &theirs.header;
        prop_assert_eq!(header.marker, fields.marker);
        prop_assert_eq!(header.payload_type, fields.payload_type);
        prop_assert_eq!(header.sequence_number, fields.seq);
        prop_assert_eq!(header.timestamp, fields.timestamp);
        prop_assert_eq!(header.ssrc, fields.ssrc);
        prop_assert_eq!(header.extensions.len(), fields.elements.len());
        for (id, value) in &fields.elements {
            prop_assert_eq!(header.get_extension(*id), Some(Bytes::copy_from_slice(value)));
        }
        prop_assert_eq!(&theirs.payload[..], &fields.payload[..]);
    }

    #[test]
    fn we_read_what_another_implementation_writes(fields in fields(), csrcs in vec(any::<u32>(), 0..16)) {
        let mut theirs = fields.theirs();
        theirs.header.csrc = csrcs.clone();
        let bytes = theirs.marshal().expect("writable");
        let packet = Packet::parse(&bytes).expect("readable");
        prop_assert_eq!(packet.marker(), fields.marker);
        prop_assert_eq!(packet.payload_type().get(), fields.payload_type);
        prop_assert_eq!(packet.sequence_number(), WireSeq(fields.seq));
        prop_assert_eq!(packet.timestamp(), RtpTime(fields.timestamp));
        prop_assert_eq!(packet.ssrc(), Ssrc(fields.ssrc));
        prop_assert!(packet.csrcs().eq(csrcs.into_iter().map(Ssrc)));
        prop_assert!(packet.extensions().eq(fields.elements.iter().map(|(id, value)| (*id, &value[..]))));
        prop_assert_eq!(packet.payload(), &fields.payload[..]);
    }

    #[test]
    fn both_write_the_same_bytes(fields in fields()) {
        prop_assert_eq!(fields.write(), fields.theirs().marshal().expect("writable").to_vec());
    }

    /// Where the other implementation takes arbitrary bytes, so do we, and read the same fields. Its
    /// verdict on elements is left out: it lets them run past the extension into the payload.
    #[test]
    fn whatever_another_implementation_reads_we_read(mut bytes in vec(any::<u8>(), 12..80)) {
        bytes[0] = bytes[0] & 0x1f | 0x80;
        if bytes[0] & 0x10 != 0 {
            // A length that may fit.
            let at = 14 + usize::from(bytes[0] & 15) * 4;
            if let Some([high, low]) = bytes.get_mut(at..at + 2) {
                (*high, *low) = (0, *low & 15);
            }
        }
        if let Ok(theirs) = ::rtp::Header::unmarshal(&mut &bytes[..]) {
            let packet = Packet::parse(&bytes).expect("theirs does");
            prop_assert_eq!(packet.ssrc(), Ssrc(theirs.ssrc));
            prop_assert!(packet.csrcs().eq(theirs.csrc.into_iter().map(Ssrc)));
            prop_assert_eq!(packet.extension_profile().is_some(), theirs.extension);
        }
    }

    #[test]
    fn s_rtp_01_arbitrary_bytes_are_refused_or_add_up(first: u8, rest in vec(any::<u8>(), 0..120)) {
        let bytes = [&[first][..], &rest].concat();
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert_eq!(packet.header_len() + packet.payload().len(), bytes.len());
            let elements: usize = packet.extensions().map(|(_, value)| value.len() + 1).sum();
            prop_assert!(elements <= packet.header_len());
            prop_assert!(packet.csrcs().len() <= 15);
        }
        if let Ok(padding) = padding_len(&bytes) {
            prop_assert!((1..=bytes.len()).contains(&padding));
        }
    }
}
