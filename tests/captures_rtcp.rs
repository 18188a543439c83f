//! RTCP and STUN of recorded sessions between browsers and others, the RTCP among the first 600 packets
//! of each log: all of it is read, and what is written again is the same, or the difference has a name.

#[path = "support/captures.rs"]
mod captures;
#[path = "support/rewrite.rs"]
mod rewrite;

use estafette::mux::{Kind, kind_of};
use estafette::rtcp::{Compound, Packet, Writer};
use estafette::rtp::Ssrc;
use estafette::stun;
use rewrite::{arrivals, rewrite};
use std::collections::BTreeMap;

/// What a packet is, and how it differs from its bytes when written again.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    /// Some fill transport-wide feedback up with zeros, as the draft has it; ours is padding by RFC
    /// 3550, section 6.4.1, where it is the last packet.
    ZerosForPadding,
    /// libwebrtc counts from the time before the earliest arrival, ours from that of the first number:
    /// where packets were reordered the deltas differ, the times do not.
    OtherReference,
}

fn compare(bytes: &[u8], packet: &Packet<'_>) -> Outcome {
    let mut buf = [0xee; 1_500];
    let mut writer = Writer::new(&mut buf);
    rewrite(packet, &mut writer).expect("all kinds in these sessions are written").expect("room");
    let len = writer.len();
    if buf[..len] == *bytes {
        return Outcome::Same;
    }
    assert!(matches!(packet, Packet::TransportFeedback(_)), "{packet:?} of {bytes:02x?}");
    let mut writer = Writer::new(&mut buf);
    rewrite(packet, &mut writer).expect("just written").expect("room");
    // In front of another packet there is no padding.
    writer.pli(Ssrc(0), Ssrc(0)).expect("room");
    if buf[..len] == *bytes {
        return Outcome::ZerosForPadding;
    }
    let again = Compound::parse(&buf[..len]).expect("just written").packets().next();
    let (Packet::TransportFeedback(theirs), Some(Packet::TransportFeedback(ours))) = (packet, again) else {
        panic!("{packet:?} of {bytes:02x?}");
    };
    assert_ne!(theirs.reference_time, ours.reference_time, "{bytes:02x?}");
    assert_eq!(theirs.base_seq, ours.base_seq);
    assert_eq!(arrivals(theirs), arrivals(&ours));
    Outcome::OtherReference
}

/// The bytes of each packet of a compound, by the lengths in the headers alone.
fn split(mut datagram: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while !datagram.is_empty() {
        let len = 4 + 4 * usize::from(u16::from_be_bytes([datagram[2], datagram[3]]));
        let (packet, rest) = datagram.split_at(len);
        packets.push(packet);
        datagram = rest;
    }
    packets
}

fn kind(packet: &Packet<'_>) -> &'static str {
    match packet {
        Packet::SenderReport(_) => "SR",
        Packet::ReceiverReport(_) => "RR",
        Packet::SourceDescription(_) => "SDES",
        Packet::Bye(_) => "BYE",
        Packet::ExtendedReport(_) => "XR",
        Packet::Pli(_) => "PLI",
        Packet::Remb(_) => "REMB",
        Packet::TransportFeedback(_) => "feedback",
        other => panic!("not in these sessions: {other:?}"),
    }
}

#[test]
fn rtcp_among_the_first_packets_of_each_log_is_read_and_written_again() {
    let mut seen: BTreeMap<(&str, Outcome), usize> = BTreeMap::new();
    let files = captures::files("captures/rtcp", ".txt");
    assert_eq!(files.len(), 12);
    for (name, log) in files {
        let datagrams = captures::packets(&log);
        assert!(datagrams.len() >= 25, "{name}");
        for datagram in datagrams {
            assert_eq!(kind_of(&datagram), Some(Kind::Rtcp), "{name}");
            let compound = Compound::parse(&datagram).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(compound.dropped(), None, "{name}");
            let packets: Vec<_> = compound.packets().collect();
            let bytes = split(&datagram);
            assert_eq!(packets.len(), bytes.len(), "{name}");
            for (packet, bytes) in packets.iter().zip(bytes) {
                *seen.entry((kind(packet), compare(bytes, packet))).or_default() += 1;
            }
        }
    }
    let expected = [
        (("BYE", Outcome::Same), 2),
        (("PLI", Outcome::Same), 22),
        (("REMB", Outcome::Same), 2),
        (("RR", Outcome::Same), 95),
        (("SDES", Outcome::Same), 116),
        (("SR", Outcome::Same), 115),
        (("XR", Outcome::Same), 119),
        (("feedback", Outcome::Same), 957),
        (("feedback", Outcome::ZerosForPadding), 22),
        (("feedback", Outcome::OtherReference), 2),
    ];
    let expected: BTreeMap<_, _> = expected.into_iter().collect();
    assert_eq!(seen, expected);
}

#[test]
fn every_recorded_stun_message_is_read_and_written_again() {
    let mut classes = [0; 4];
    let files = captures::files("captures/stun", ".pcap");
    assert_eq!(files.len(), 8);
    for (name, pcap) in files {
        for (_, datagram) in captures::datagrams(&pcap) {
            assert_eq!(kind_of(datagram), Some(Kind::Stun), "{name}");
            let message = stun::Message::parse(datagram).unwrap_or_else(|error| panic!("{name}: {error}"));
            classes[message.class() as usize] += 1;
            assert_eq!(message.method(), stun::BINDING, "{name}");
            assert!(message.has_fingerprint(), "{name}");
            assert_eq!(message.unknown_required().next(), None, "{name}");
            match message.class() {
                stun::Class::Request => {
                    assert!(message.has_integrity() && message.priority().is_some(), "{name}");
                    assert!(message.username().is_some_and(|name| name.contains(':')), "{name}");
                    let roles = [message.ice_controlling(), message.ice_controlled()];
                    assert_eq!(roles.iter().flatten().count(), 1, "{name}");
                }
                stun::Class::Success => {
                    assert!(message.has_integrity() && message.xor_mapped_address().is_some(), "{name}");
                }
                // libnice's keep-alive (RFC 8445, section 11).
                stun::Class::Indication => assert!(!message.has_integrity(), "{name}"),
                stun::Class::Error => panic!("{name}: {:?}", message.error_code()),
            }
            if rewritten(datagram, &message, 0) != datagram {
                // libnice fills attributes up with spaces, as did senders of RFC 5389's time.
                assert!(name.starts_with("gstreamer"), "{name}: {datagram:02x?}");
                assert_eq!(rewritten(datagram, &message, b' '), datagram, "{name}");
            }
        }
    }
    assert_eq!(classes, [98, 1, 98, 0]);
}

/// The message again, its typed attributes by their getters, its tag as it came.
fn rewritten(datagram: &[u8], message: &stun::Message<'_>, padding: u8) -> Vec<u8> {
    use stun::attribute::*;
    let mut buf = vec![0; 1_500];
    let id = message.transaction_id();
    let mut writer = stun::Writer::new(&mut buf, message.class(), message.method(), id).expect("room");
    writer.set_padding(padding);
    for (kind, value) in message.attributes() {
        let written = match kind {
            USERNAME => {
                let (receiver, sender) = message.username().expect("text").split_once(':').expect("two");
                writer.username(receiver, sender)
            }
            PRIORITY => writer.priority(message.priority().expect("a number")),
            USE_CANDIDATE => writer.use_candidate(),
            ICE_CONTROLLING => writer.ice_controlling(message.ice_controlling().expect("a number")),
            ICE_CONTROLLED => writer.ice_controlled(message.ice_controlled().expect("a number")),
            XOR_MAPPED_ADDRESS => {
                writer.xor_mapped_address(message.xor_mapped_address().expect("an address"))
            }
            _ => writer.attribute(kind, value),
        };
        written.expect("room");
    }
    let len = if message.has_integrity() {
        // The key is not known; the tag is what the message has at its place.
        let tag = datagram[datagram.len() - 28..].first_chunk().expect("a tag, then a fingerprint");
        writer.finish_with_integrity(|_| *tag)
    } else {
        writer.finish()
    };
    buf.truncate(len.expect("room"));
    buf
}
