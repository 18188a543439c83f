//! Parsers: what they take can be read to the end, and written again says the same.

use estafette::{rtcp as wire, rtp as packets, sdp as descriptions, stun as messages};

/// STUN: the attributes lie inside the message, and a copy of them is the same message.
pub fn stun(data: &[u8]) {
    let Ok(message) = messages::Message::parse(data) else { return };
    let mut copy = vec![0; data.len() + 64];
    let writer =
        messages::Writer::new(&mut copy, message.class(), message.method(), message.transaction_id());
    let mut writer = writer.expect("room");
    for (kind, value) in message.attributes() {
        assert!(value.len() <= data.len());
        writer.attribute(kind, value).expect("room");
    }
    let len = writer.finish_with_integrity(bytes_in).expect("room");
    let again = messages::Message::parse(&copy[..len]).expect("what is written can be read");
    assert_eq!((again.class(), again.method()), (message.class(), message.method()));
    assert_eq!(again.transaction_id(), message.transaction_id());
    assert_eq!(again.username(), message.username());
    assert_eq!(again.xor_mapped_address(), message.xor_mapped_address());
    assert_eq!(again.error_code(), message.error_code());
    assert_eq!(again.priority(), message.priority());
    assert_eq!(again.mapped_address(), message.mapped_address());
    assert_eq!(again.alternate_server(), message.alternate_server());
    assert!(again.password_algorithms().eq(message.password_algorithms()));
    assert_eq!(again.password_algorithm(), message.password_algorithm());
    assert!(again.unknown_attributes().eq(message.unknown_attributes()));
    assert_eq!((again.userhash(), again.realm()), (message.userhash(), message.realm()));
    let _ = message.verify_integrity_sha256(|_| [0; 32]);
    assert!(again.has_integrity() && again.verify_integrity(bytes_in));
    assert!(message.unknown_required().count() <= message.attributes().count());
    let _ = message.verify_integrity(|_| [0; 20]);
}

/// A MAC that depends on how many bytes it covers, however they are cut.
fn bytes_in(pieces: &[&[u8]]) -> [u8; 20] {
    [pieces.iter().map(|piece| piece.len()).sum::<usize>() as u8; 20]
}

/// RTP: header and payload are the packet, and its fields written again are read the same.
pub fn rtp(data: &[u8]) {
    let Ok(packet) = packets::Packet::parse(data) else { return };
    assert_eq!(packet.header_len() + packet.payload().len(), data.len());
    assert!(packet.csrcs().len() <= 15);
    if packet.has_padding()
        && let Ok(padding) = packets::padding_len(packet.payload())
    {
        assert!((1..=packet.payload().len()).contains(&padding));
    }
    // An element's head grows from one byte to two.
    let mut copy = vec![0; data.len() * 2 + 64];
    let (seq, timestamp) = (packet.sequence_number(), packet.timestamp());
    let (payload_type, marker, ssrc) = (packet.payload_type(), packet.marker(), packet.ssrc());
    let writer = packets::HeaderWriter::two_byte(&mut copy, marker, payload_type, seq, timestamp, ssrc);
    let mut writer = writer.expect("room");
    packet.csrcs().for_each(|source| writer.csrc(source).expect("room"));
    for (id, value) in packet.extensions() {
        assert!(packet.extension(id).is_some());
        writer.extension(id, value).expect("room");
    }
    let len = writer.finish().expect("room");
    let again = packets::Packet::parse(&copy[..len]).expect("what is written can be read");
    assert_eq!((again.sequence_number(), again.timestamp(), again.ssrc()), (seq, timestamp, ssrc));
    assert!(again.csrcs().eq(packet.csrcs()) && again.extensions().eq(packet.extensions()));
}

/// RTCP: every packet of a compound can be read to its end, within bounds of its length.
pub fn rtcp(data: &[u8]) {
    let Ok(compound) = wire::Compound::parse(data) else { return };
    let packets = compound.packets().count();
    assert!((1..=data.len() / 4).contains(&packets));
    for packet in compound.packets() {
        read(&packet, data.len());
    }
}

fn read(packet: &wire::Packet<'_>, len: usize) {
    match packet {
        wire::Packet::SenderReport(report) => assert!(report.reports().count() <= 31),
        wire::Packet::ReceiverReport(report) => assert!(report.reports().count() <= 31),
        wire::Packet::SourceDescription(description) => assert!(description.items().count() <= len),
        wire::Packet::Bye(bye) => {
            assert!(bye.ssrcs().len() <= 31 && bye.reason().is_none_or(|text| text.len() < 256))
        }
        wire::Packet::Nack(nack) => assert!(nack.numbers().count() <= 17 * len),
        wire::Packet::Fir(fir) => assert!(fir.entries().count() <= len / 8),
        wire::Packet::TransportFeedback(feedback) => {
            assert!(feedback.statuses().count() <= usize::from(u16::MAX));
            assert!(feedback.received().count() <= len);
        }
        wire::Packet::Remb(remb) => assert!(remb.ssrcs().len() <= 255),
        _ => {}
    }
}

/// SDP: what is parsed is written as text that is parsed the same.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(description) = descriptions::Description::parse(text) else { return };
    let written = description.write();
    let again = descriptions::Description::parse(&written).expect("what is written can be read");
    assert_eq!(again.write(), written);
}
