//! RTP packets as read by three implementations of two other lineages: where they differ from ours, a
//! named policy says which sentence of which RFC decides.

#[path = "support/captures.rs"]
mod captures;

use bytes::Bytes;
use estafette::rtp::{self, HeaderWriter, Packet, PayloadType, RtpTime, Ssrc, WireSeq};
use proptest::collection::vec;
use proptest::prelude::*;
use rtc_shared::marshal::Unmarshal;
use rtp_types::RtpPacket;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where rtc-rtp decides otherwise than the RFCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// RFC 3550, section 5.1: "The version defined by this specification is two (2)." It reads any.
    Version,
    /// RFC 3550, section 5.1: the count of padding octets is "including itself". It takes a count of 0.
    PaddingOfNothing,
    /// RFC 8285, section 4.2: with identifier 15, "processing of the entire extension MUST terminate".
    /// It goes on with the rest as payload.
    Identifier15,
    /// RFC 8285, section 4.1.2: an identifier 0 with a length other than 0 terminates as well. It reads
    /// such an element.
    Identifier0WithLength,
    /// RFC 3550, section 5.3.1: the length "counts the number of 32-bit words in the extension". It
    /// lets the last element run on into the payload, or refuses the packet.
    ElementPastTheEnd,
    /// RFC 8285, section 4.3: the application bits "MUST be ignored" by those who do not define them.
    /// It takes only zeros for the two-byte form.
    ApplicationBits,
    /// RFC 3550, section 5.3.1: an extension of another profile is skipped. It calls it element 0.
    OtherProfile,
}

/// The policy that a packet of a sound header falls under.
fn policy(datagram: &[u8]) -> Option<Policy> {
    if datagram[0] >> 6 != 2 {
        return Some(Policy::Version);
    }
    if datagram[0] & 0x20 != 0 && datagram.last() == Some(&0) {
        return Some(Policy::PaddingOfNothing);
    }
    if datagram[0] & 0x10 == 0 {
        return None;
    }
    let at = 12 + usize::from(datagram[0] & 15) * 4;
    let head = datagram.get(at..at + 4)?;
    let profile = u16::from_be_bytes([head[0], head[1]]);
    let len = usize::from(u16::from_be_bytes([head[2], head[3]])) * 4;
    let mut elements = datagram.get(at + 4..at + 4 + len)?;
    match profile {
        0xbede | 0x1000 => {}
        0x1001..0x1010 => return Some(Policy::ApplicationBits),
        _ => return Some(Policy::OtherProfile),
    }
    while let [first, rest @ ..] = elements {
        let (value, rest) = match (profile, first) {
            (_, 0) => (0, rest),
            (0xbede, first) if first >> 4 == 15 => return Some(Policy::Identifier15),
            (0xbede, first) if first >> 4 == 0 => return Some(Policy::Identifier0WithLength),
            (0xbede, first) => (usize::from(first & 15) + 1, rest),
            (_, _) => match rest {
                [len, rest @ ..] => (usize::from(*len), rest),
                [] => return Some(Policy::ElementPastTheEnd),
            },
        };
        let Some(rest) = rest.get(value..) else { return Some(Policy::ElementPastTheEnd) };
        elements = rest;
    }
    None
}

/// What a packet says, in nobody's types.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    marker: bool,
    payload_type: u8,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
    csrcs: Vec<u32>,
    payload: Vec<u8>,
}

type Elements = Vec<(u8, Vec<u8>)>;

/// Ours: header and padding must both be sound.
fn ours(datagram: &[u8]) -> Option<(Read, Elements)> {
    let packet = Packet::parse(datagram).ok()?;
    let payload = packet.payload();
    let padding = if packet.has_padding() { rtp::padding_len(payload).ok()? } else { 0 };
    let read = Read {
        marker: packet.marker(),
        payload_type: packet.payload_type().get(),
        seq: packet.sequence_number().0,
        timestamp: packet.timestamp().0,
        ssrc: packet.ssrc().0,
        csrcs: packet.csrcs().map(|source| source.0).collect(),
        payload: payload[..payload.len() - padding].to_vec(),
    };
    Some((read, packet.extensions().map(|(id, value)| (id, value.to_vec())).collect()))
}

fn rtc(datagram: &[u8]) -> Option<(Read, Elements)> {
    let packet = ::rtp::Packet::unmarshal(&mut Bytes::copy_from_slice(datagram)).ok()?;
    let header = packet.header;
    let read = Read {
        marker: header.marker,
        payload_type: header.payload_type,
        seq: header.sequence_number,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
        csrcs: header.csrc,
        payload: packet.payload.to_vec(),
    };
    Some((
        read,
        header.extensions.into_iter().map(|element| (element.id, element.payload.to_vec())).collect(),
    ))
}

/// rtp-types leaves elements to its callers: its profile and where its payload begins are compared.
fn types(datagram: &[u8]) -> Option<(Read, Option<u16>, usize)> {
    let packet = RtpPacket::parse(datagram).ok()?;
    let read = Read {
        marker: packet.marker_bit(),
        payload_type: packet.payload_type(),
        seq: packet.sequence_number(),
        timestamp: packet.timestamp(),
        ssrc: packet.ssrc(),
        csrcs: packet.csrc().collect(),
        payload: packet.payload().to_vec(),
    };
    Some((read, packet.extension().map(|(profile, _)| profile), packet.payload_offset()))
}

thread_local! {
    /// How often rtp-types and rtc-rtp were asked in the test of this thread, and how often they answered.
    static VERDICTS: Cell<[(usize, usize); 2]> = const { Cell::new([(0, 0); 2]) };
}
const TYPES: usize = 0;
const RTC: usize = 1;

/// An oracle's verdict; one that panics has none.
fn verdict<T>(who: usize, oracle: impl FnOnce() -> T) -> Option<T> {
    let verdict = catch_unwind(AssertUnwindSafe(oracle)).ok();
    let mut verdicts = VERDICTS.get();
    verdicts[who].0 += 1;
    verdicts[who].1 += usize::from(verdict.is_some());
    VERDICTS.set(verdicts);
    verdict
}

/// An oracle that is silent proves nothing: each was asked so often, and answered nine times of ten.
fn assert_verdicts(least: [usize; 2]) {
    for (least, (asked, answered)) in least.into_iter().zip(VERDICTS.get()) {
        assert!(asked >= least && answered * 10 > asked * 9, "{:?}, at least {least}", VERDICTS.get());
    }
}

/// Compares one datagram; the policy if rtc-rtp was left out.
fn compare(datagram: &[u8]) -> Option<Policy> {
    let mine = ours(datagram);
    if let Some(theirs) = verdict(TYPES, || types(datagram)) {
        let header = Packet::parse(datagram).ok();
        let place = header.map(|packet| (packet.extension_profile(), packet.header_len()));
        match (&mine, theirs) {
            (Some((read, _)), Some((theirs, profile, offset))) => {
                assert_eq!(*read, theirs, "rtp-types: {datagram:02x?}");
                assert_eq!(place, Some((profile, offset)), "rtp-types: {datagram:02x?}");
            }
            (None, None) => {}
            (mine, theirs) => panic!("rtp-types: {theirs:?}, ours: {mine:?} of {datagram:02x?}"),
        }
    }
    let policy = datagram.first().and_then(|_| policy(datagram));
    if policy.is_none()
        && let Some(theirs) = verdict(RTC, || rtc(datagram))
    {
        assert_eq!(mine, theirs, "rtc-rtp: {datagram:02x?}");
    }
    policy
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let numbers = (any::<bool>(), 0u8..128, any::<u16>(), any::<u32>(), any::<u32>());
    let elements = vec((0u8..18, vec(any::<u8>(), 0..20)), 0..6);
    let rest = (0usize..3, vec(any::<u32>(), 0..16), elements, vec(any::<u8>(), 0..40), 0u8..6);
    (numbers, rest).prop_map(|((marker, payload_type, seq, timestamp, ssrc), rest)| {
        let (form, csrcs, elements, payload, padding) = rest;
        let mut buf = vec![0; 600];
        let payload_type = PayloadType::new(payload_type).expect("below 128");
        let begin = [HeaderWriter::new, HeaderWriter::two_byte, HeaderWriter::mixed][form];
        let (seq, timestamp) = (WireSeq(seq), RtpTime(timestamp));
        let mut writer = begin(&mut buf, marker, payload_type, seq, timestamp, Ssrc(ssrc)).expect("room");
        for source in csrcs {
            writer.csrc(Ssrc(source)).expect("room");
        }
        for (id, value) in &elements {
            // What the form has no place for is left out.
            let _ = writer.extension(*id, value);
        }
        if padding > 0 {
            writer.padding();
        }
        let len = writer.finish().expect("room");
        buf.truncate(len);
        buf.extend(payload);
        if padding > 0 {
            let at = buf.len();
            buf.resize(at + usize::from(padding), 0);
            rtp::write_padding(&mut buf[at..], padding).expect("room");
        }
        buf
    })
}

/// How many packets each of these tests makes up.
const CASES: usize = 2_000;

fn cases() -> ProptestConfig {
    ProptestConfig::with_cases(CASES as u32)
}

#[test]
fn what_is_written_is_read_the_same_by_all() {
    proptest!(cases(), |(datagram in datagram())| {
        prop_assert!(ours(&datagram).is_some());
        prop_assert_eq!(compare(&datagram), None);
    });
    assert_verdicts([CASES; 2]);
}

#[test]
fn what_was_changed_or_cut_is_read_the_same_by_all() {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let cut = prop::option::of(any::<prop::sample::Index>());
    proptest!(cases(), |(mut datagram in datagram(), changes in changes, cut in cut)| {
        for (at, byte) in changes {
            let at = at.index(datagram.len());
            datagram[at] ^= byte;
        }
        if let Some(cut) = cut {
            datagram.truncate(cut.index(datagram.len()));
        }
        compare(&datagram);
    });
    assert_verdicts([CASES, CASES / 2]);
}

#[test]
fn arbitrary_bytes_are_read_the_same_by_all() {
    proptest!(cases(), |(mut datagram in vec(any::<u8>(), 0..120), words in 0u8..12)| {
        if let Some(first) = datagram.first_mut() {
            *first = *first & 0x3f | 0x80;
            let at = 12 + usize::from(*first & 15) * 4;
            // A form that has elements, of a length that may fit.
            if let Some(head) = datagram.get_mut(at..at + 4) {
                let profile: u16 = if head[0] & 1 == 0 { 0xbede } else { 0x1000 };
                head[..2].copy_from_slice(&profile.to_be_bytes());
                head[2..].copy_from_slice(&[0, words]);
            }
        }
        compare(&datagram);
    });
    assert_verdicts([CASES, CASES / 4]);
}

/// Every packet of the captures kept here: plain ones whole, protected ones by their headers.
#[test]
fn what_browsers_sent_is_read_the_same_by_all() {
    let mut compared = 0;
    for (name, log) in captures::files("rtp", ".txt") {
        for mut datagram in captures::packets(&log) {
            if name.ends_with(".headers") {
                // Of a protected packet the padding is not to be seen.
                datagram[0] &= !0x20;
            }
            assert!(ours(&datagram).is_some());
            assert_eq!(compare(&datagram), None);
            compared += 1;
        }
    }
    assert_eq!(compared, 1_800 + 5_293);
    assert_verdicts([compared; 2]);
}

/// Each policy is still needed: rtc-rtp still reads otherwise.
#[test]
fn each_policy_is_a_difference_that_exists() {
    let fixed = |first: u8| vec![first, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let with = |first: u8, rest: &[u8]| [&fixed(first)[..], rest].concat();
    let cases = [
        (Policy::Version, with(0x40, &[1])),
        (Policy::PaddingOfNothing, with(0xa0, &[1, 0])),
        (Policy::Identifier15, with(0x90, &[0xbe, 0xde, 0, 1, 0xf0, 1, 2, 3, 9])),
        (Policy::Identifier0WithLength, with(0x90, &[0xbe, 0xde, 0, 1, 0x01, 1, 2, 0, 9])),
        (Policy::ElementPastTheEnd, with(0x90, &[0xbe, 0xde, 0, 1, 0x13, 1, 2, 3, 9, 9])),
        (Policy::ApplicationBits, with(0x90, &[0x10, 0x01, 0, 1, 1, 1, 7, 0, 9])),
        (Policy::OtherProfile, with(0x90, &[0x12, 0x34, 0, 1, 1, 1, 7, 0, 9])),
    ];
    for (expected, datagram) in cases {
        assert_eq!(policy(&datagram), Some(expected));
        let theirs = verdict(RTC, || rtc(&datagram));
        assert_ne!(theirs, Some(ours(&datagram)), "{expected:?} is not needed any more");
        // The other lineage sides with us.
        compare(&datagram);
    }
}
