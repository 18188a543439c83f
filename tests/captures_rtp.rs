//! What browsers and others really sent: of each call the first 150 plain packets and the clear header of
//! every protected one. Header, extensions by their negotiated meaning, repair and redundancy, all
//! written again as they were. How the excerpts were cut is told in `data/README.md`.

#[path = "support/captures.rs"]
mod captures;

use estafette::rtp::{self, ExtensionKind, HeaderWriter, Packet, red, rtx};
use estafette::sdp::Description;
use std::collections::BTreeMap;

/// What was negotiated in a call: extensions by identifier, codecs by payload type.
struct Negotiated {
    extensions: BTreeMap<u8, ExtensionKind>,
    codecs: BTreeMap<u8, String>,
}

impl Negotiated {
    fn of(call: &str) -> Self {
        let mut negotiated = Negotiated { extensions: BTreeMap::new(), codecs: BTreeMap::new() };
        for side in ["offer", "answer"] {
            let files = captures::files("sdp", &format!("{call}.{side}.sdp"));
            let text = std::str::from_utf8(&files[0].1).expect("text");
            let description = Description::parse(text).expect("a browser's");
            for media in &description.media {
                for extmap in &media.extmaps {
                    let kind = ExtensionKind::from_uri(&extmap.uri);
                    negotiated.extensions.extend(kind.map(|kind| (extmap.id, kind)));
                }
                let codecs = media.codecs.iter();
                let named = codecs.map(|codec| (codec.payload_type, codec.name.to_ascii_lowercase()));
                negotiated.codecs.extend(named);
            }
        }
        negotiated
    }
}

/// A value read in its own type and written again; `None` if its type is not this room's.
fn again(kind: ExtensionKind, value: &[u8]) -> Option<Vec<u8>> {
    let mut buf = [0; 32];
    let written = |len: Result<usize, rtp::NoSpace>, buf: &[u8]| buf[..len.expect("room")].to_vec();
    let value = match kind {
        ExtensionKind::AudioLevel => vec![rtp::AudioLevel::parse(value).expect("a level").to_byte()],
        ExtensionKind::AbsSendTime => rtp::AbsSendTime::parse(value).expect("a time").to_bytes().to_vec(),
        ExtensionKind::TransportSequenceNumber => {
            let number = rtp::transport_sequence_number(value).expect("a number");
            assert!(rtp::TransportSequence::parse(value).is_some_and(|other| other.number == number));
            number.0.to_be_bytes().to_vec()
        }
        ExtensionKind::Mid => rtp::mid(value).expect("a token").as_bytes().to_vec(),
        ExtensionKind::Rid | ExtensionKind::RepairedRid => {
            rtp::rid(value).expect("letters and digits").as_bytes().to_vec()
        }
        ExtensionKind::VideoOrientation => {
            vec![rtp::VideoOrientation::parse(value).expect("an orientation").to_byte()]
        }
        ExtensionKind::PlayoutDelay => rtp::PlayoutDelay::parse(value).expect("a delay").to_bytes().to_vec(),
        ExtensionKind::VideoContentType => {
            vec![rtp::VideoContentType::parse(value).expect("a type").to_byte()]
        }
        ExtensionKind::TransmissionOffset => {
            rtp::TransmissionOffset::parse(value).expect("an offset").to_bytes().to_vec()
        }
        ExtensionKind::VideoTiming => {
            written(rtp::VideoTiming::parse(value).expect("a timing").write(&mut buf), &buf)
        }
        ExtensionKind::ColorSpace => {
            written(rtp::ColorSpace::parse(value).expect("a colour space").write(&mut buf), &buf)
        }
        ExtensionKind::AbsCaptureTime => {
            written(rtp::AbsCaptureTime::parse(value).expect("a time").write(&mut buf), &buf)
        }
        // Payload descriptions of video: another room's.
        ExtensionKind::DependencyDescriptor | ExtensionKind::VideoLayersAllocation => return None,
        other => panic!("{other:?} was not seen before"),
    };
    Some(value)
}

/// The header of a packet again, from what was read of it.
fn rewrite(packet: &Packet<'_>) -> Vec<u8> {
    let mut buf = [0xee; 512];
    let (marker, payload_type) = (packet.marker(), packet.payload_type());
    let (seq, timestamp) = (packet.sequence_number(), packet.timestamp());
    // Where forms mix, browsers take the longer one only for elements that need it.
    let writer = HeaderWriter::mixed(&mut buf, marker, payload_type, seq, timestamp, packet.ssrc());
    let mut writer = writer.expect("room");
    packet.csrcs().for_each(|source| writer.csrc(source).expect("room"));
    for (id, value) in packet.extensions() {
        writer.extension(id, value).expect("room");
    }
    if packet.has_padding() {
        writer.padding();
    }
    let len = writer.finish().expect("room");
    buf[..len].to_vec()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    packets: usize,
    two_byte: usize,
    padded: usize,
    values: [usize; ExtensionKind::COUNT],
    /// Values of another room.
    opaque: usize,
    repeated: usize,
    probes: usize,
    redundant: usize,
    /// Older blocks in them.
    blocks: usize,
}

impl Seen {
    fn packet(&mut self, negotiated: &Negotiated, datagram: &[u8]) {
        let packet = Packet::parse(datagram).expect("a packet of a call");
        self.packets += 1;
        self.two_byte += usize::from(packet.extension_profile() == Some(0x1000));
        assert_eq!(rewrite(&packet), datagram[..packet.header_len()]);
        for (id, value) in packet.extensions() {
            let kind = *negotiated.extensions.get(&id).expect("every extension is known and negotiated");
            self.values[kind.index()] += 1;
            match again(kind, value) {
                Some(again) => assert_eq!(again, value, "{kind:?}"),
                None => self.opaque += 1,
            }
        }
    }

    /// The payload of a plain packet; all but redundant and padded ones are cut to 16 bytes.
    fn payload(&mut self, negotiated: &Negotiated, packet: &Packet<'_>) {
        let mut payload = packet.payload();
        if packet.has_padding() {
            let padding = rtp::padding_len(payload).expect("it fits");
            let mut again = payload[payload.len() - padding..].to_vec();
            again.fill(0xee);
            assert_eq!(rtp::write_padding(&mut again, padding as u8), Ok(padding));
            assert_eq!(again, payload[payload.len() - padding..]);
            payload = &payload[..payload.len() - padding];
            self.padded += 1;
        }
        let codec = &negotiated.codecs[&packet.payload_type().get()];
        let mut buf = [0; 2_048];
        match codec.as_str() {
            "rtx" if payload.is_empty() => self.probes += 1,
            "rtx" => {
                let read = rtx::Payload::parse(payload).expect("a retransmission");
                let len = rtx::write(read.original(), read.repeated(), &mut buf).expect("room");
                assert_eq!(buf[..len], *payload);
                self.repeated += 1;
            }
            "red" => {
                let read = red::Payload::parse(packet.payload_type(), payload).expect("redundant data");
                let blocks: Vec<_> = read.redundant().collect();
                let primary = negotiated.codecs[&read.primary_type().get()].as_str();
                let same = |block: &red::Block<'_>| negotiated.codecs[&block.payload_type.get()] == primary;
                assert!(matches!(primary, "opus" | "vp8") && blocks.iter().all(same));
                self.blocks += blocks.len();
                let len = red::write(&blocks, read.primary_type(), read.primary(), &mut buf).expect("room");
                assert_eq!(buf[..len], *payload);
                self.redundant += 1;
            }
            _ => {}
        }
    }
}

#[test]
fn the_first_plain_packets_of_each_call_are_read_by_their_negotiation_and_written_again() {
    let mut seen = Seen::default();
    let mut calls = 0;
    for side in [".offerer.plain.txt", ".answerer.plain.txt"] {
        for (call, log) in captures::files("rtp", side) {
            calls += 1;
            let negotiated = Negotiated::of(&call);
            for datagram in captures::packets(&log) {
                seen.packet(&negotiated, &datagram);
                seen.payload(&negotiated, &Packet::parse(&datagram).expect("read before"));
            }
        }
    }
    println!("{seen:?}");
    let count = |kind: ExtensionKind| seen.values[kind.index()];
    assert_eq!((calls, seen.packets), (12, 1_800));
    let opaque = [ExtensionKind::DependencyDescriptor, ExtensionKind::VideoLayersAllocation];
    assert_eq!(seen.opaque, opaque.into_iter().map(count).sum::<usize>());
    assert!(seen.two_byte > 0 && seen.padded > 0 && seen.repeated > 0 && seen.probes > 0);
    assert!(seen.redundant > 50 && seen.blocks > 50);
}

#[test]
fn the_clear_header_of_every_srtp_packet_is_read_and_written_again() {
    let mut seen = Seen::default();
    let mut calls = Vec::new();
    for (call, log) in captures::files("rtp", ".headers.txt") {
        let negotiated = Negotiated::of(&call);
        let headers = captures::packets(&log);
        headers.iter().for_each(|header| seen.packet(&negotiated, header));
        calls.push((call, headers.len()));
    }
    println!("{seen:?}");
    let count = |kind: ExtensionKind| seen.values[kind.index()];
    // As many as the table of the captures tells.
    let counts = [813, 888, 354, 439, 739, 798, 372, 890];
    assert!(calls.iter().map(|(_, count)| *count).eq(counts), "{calls:?}");
    assert_eq!(seen.packets, counts.iter().sum::<usize>());
    let opaque = [ExtensionKind::DependencyDescriptor, ExtensionKind::VideoLayersAllocation];
    assert_eq!(seen.opaque, opaque.into_iter().map(count).sum::<usize>());
}
