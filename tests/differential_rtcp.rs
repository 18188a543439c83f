//! RTCP beside two other implementations of different lineages: what each reads out of the same packet.
//! Where they differ from the crate the difference has a name, and an RFC's sentence decides.

#[path = "support/captures.rs"]
mod captures;
#[path = "differential/rtcp_readers.rs"]
mod readers;
#[path = "support/rewrite.rs"]
mod rewrite;

use estafette::random::Random;
use estafette::rtcp::{
    Application, Arrival, Compound, Fault, FirEntry, Metric, NtpTime, ReportBlock, ReportDelay, SenderInfo,
    SourceItem, StreamReport, Writer,
};
use estafette::rtp::{NoSpace, RtpTime, Ssrc, WireSeq};
use estafette::{Bitrate, Ecn, Instant};
use readers::{Reading, ours, pion, ystreet};
use std::collections::BTreeMap;

/// What comparisons came to.
#[derive(Debug, Default)]
struct Tally {
    packets: usize,
    /// How often a difference occurred, by its name.
    differences: BTreeMap<&'static str, usize>,
    /// How often each of the others said or refused.
    verdicts: BTreeMap<&'static str, usize>,
}

impl Tally {
    /// Which differences there were.
    fn names(&self) -> Vec<&'static str> {
        self.differences.keys().copied().collect()
    }

    /// An oracle that is silent proves nothing: at least so many of a hundred packets got a verdict.
    fn assert_verdicts(&self, pion: usize, ystreet: usize) {
        for (who, percent) in [("pion", pion), ("ystreet", ystreet)] {
            let given = self.verdicts.get(who).copied().unwrap_or_default();
            assert!(given * 100 >= self.packets * percent, "{who}: {given} of {}", self.packets);
        }
        assert!(self.packets > 0);
    }
}

/// Compares what the three read out of one packet.
fn compare(packet: &[u8], tally: &mut Tally) {
    let own = ours(packet);
    tally.packets += 1;
    for (who, read) in [("pion", pion as fn(&[u8]) -> _), ("ystreet", ystreet)] {
        let theirs = read(packet);
        // What the other does not know, or what it died of, says nothing.
        if matches!(theirs, Reading::Unread | Reading::Panicked) {
            continue;
        }
        *tally.verdicts.entry(who).or_default() += 1;
        if own == theirs {
            continue;
        }
        let name = name_of(who, read, packet, &own, &theirs)
            .unwrap_or_else(|| panic!("{who} {packet:02x?}\nours {own:?}\ntheirs {theirs:?}"));
        *tally.differences.entry(name).or_default() += 1;
    }
}

/// The packet without its padding, which between words is zeros; `None` if that does not fit.
fn unpadded(packet: &[u8]) -> Option<Vec<u8>> {
    let padding = usize::from(*packet.last()?);
    let body = packet.len().checked_sub(4)?;
    let keep = 4 + body.checked_sub(padding).filter(|_| padding > 0)?;
    let mut plain = packet[..keep].to_vec();
    plain.resize(keep.next_multiple_of(4), 0);
    plain[0] &= !0x20;
    let words = (plain.len() / 4 - 1) as u16;
    plain[2..4].copy_from_slice(&words.to_be_bytes());
    Some(plain)
}

/// The name of a difference, and the sentence that decides it.
fn name_of(
    who: &str,
    read: fn(&[u8]) -> Reading,
    packet: &[u8],
    ours: &Reading,
    theirs: &Reading,
) -> Option<&'static str> {
    if packet[0] >> 5 == 0b101 {
        // RFC 3550, section 6.4.1: the last octet is "a count of how many padding octets should be
        // ignored, including itself". The others do not look at it, or read them as content.
        let Some(plain) = unpadded(packet) else {
            return (*ours == Reading::Refused).then_some("padding that does not fit");
        };
        // Then it is the padding alone that made the difference, or what differs without it.
        let (own, theirs) = (self::ours(&plain), read(&plain));
        return if own == theirs || matches!(theirs, Reading::Unread | Reading::Panicked) {
            Some("padding is content")
        } else {
            name_of(who, read, &plain, &own, &theirs)
        };
    }
    match (ours, theirs) {
        (Reading::Refused, Reading::Said(_)) => refused_here(Compound::parse(packet).err()?.fault),
        (Reading::Said(said), Reading::Refused) => refused_there(who, said),
        (Reading::Said(said), Reading::Said(_)) => said_otherwise(who, said),
        _ => None,
    }
}

/// What only we refuse.
fn refused_here(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        // RFC 3550, section 6.5: SC is "the number of SSRC/CSRC chunks contained in this SDES packet".
        Fault::DescriptionSource => "fewer chunks than counted",
        // RFC 3550, section 6.5: "The list of items in each chunk MUST be terminated by one or more null
        // octets".
        Fault::DescriptionItem => "a chunk without end",
        // RFC 3550, section 6.5: "The text is encoded according to the UTF-8 encoding".
        Fault::DescriptionText => "text that is not UTF-8",
        // RFC 4585, section 6.2.1: the field "MUST contain at least one" NACK; also its section 6.3.2,
        // and section 4.3.1.1 of RFC 5104, whose lengths are those of whole entries.
        Fault::Nack => "a NACK of nothing",
        Fault::SliceLoss => "a cut slice loss",
        Fault::IntraRequest => "a cut full intra request",
        // RFC 4585, section 6.3.1.2: "the length field MUST be 2".
        Fault::PictureLoss => "a picture loss with content",
        // RFC 3611, section 4.4: the block length is "The constant 2"; section 4.5: three words each.
        Fault::ReferenceTime => "a reference time of another length",
        Fault::ReportDelay => "a cut report delay",
        // The counts of the draft are those of the packets; S-BWE-01 refuses contradictions whole.
        Fault::TransportCount | Fault::TransportChunk | Fault::TransportDelta => {
            "counts, runs and deltas that contradict each other"
        }
        // RFC 8888, section 3.1: a block "MUST NOT include more than 16384 packet metric blocks".
        Fault::CongestionCount => "more metrics than a quarter of the numbers",
        Fault::CongestionStream | Fault::CongestionMetric => "a stream cut off",
        _ => return None,
    })
}

/// What only the other refuses.
fn refused_there(who: &str, said: &str) -> Option<&'static str> {
    let kind = said.split(' ').next()?;
    Some(match (who, kind) {
        // RFC 4585, section 6.4: what an application's message is, its application says; section 6.1
        // lets formats be unknown.
        (_, "other") => "formats that are not known are not judged",
        // RFC 3550, section 6.5: an item is type, length and text, and "no length octet follows the
        // null item type" alone: a length of zero ends nothing.
        ("ystreet", "SDES") => "an empty item, or bytes behind the last chunk",
        // RFC 3550, section 6.5: unknown types are items like others; bytes behind the chunks that are
        // counted are nobody's.
        ("pion", "SDES") => "an unknown item, or bytes behind the last chunk",
        // RFC 3611, section 4.5: "one or more 3 word sub-blocks".
        ("ystreet", "XR") => "several report delays in a block",
        // RFC 3611, section 3: blocks are skipped by their length.
        ("pion", "XR") => "what is inside blocks of other types",
        // The draft gives the media source as zero, which means nothing to a receiver.
        ("pion", "REMB") => "a media source, or bytes behind the last stream",
        // RFC 4585, section 6.3.2: payload-specific feedback, where the other looks for transport's.
        ("pion", "SLI") => "slice losses are feedback on a payload",
        // The draft, section 3.1: the status count is the number of packets with a status, so symbols
        // behind the last one mean nothing and have no delta.
        ("pion", "TWCC") => "symbols behind the last status",
        _ => return None,
    })
}

/// What is read by both, but not as the same.
fn said_otherwise(who: &str, said: &str) -> Option<&'static str> {
    let kind = said.split(' ').next()?;
    Some(match (who, kind) {
        // RFC 3550, section 6.5: unknown types are items like others, an empty one ends nothing, and as
        // many chunks are there as are counted.
        ("pion", "SDES") => "an unknown item ends the chunk",
        ("ystreet", "SDES") => "an empty item ends the chunk, or more chunks than counted",
        // The draft's rate is mantissa times two to the exponent: nothing, if the mantissa is.
        ("pion", "REMB") if said.split(' ').nth(2) == Some("0") => "a rate of nothing",
        _ => return None,
    })
}

/// Takes compounds apart by the lengths in the headers.
fn split(mut datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let [_, _, l0, l1, ..] = *datagram {
        let len = 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let (packet, rest) = datagram.split_at(len);
        packets.push(packet.to_vec());
        datagram = rest;
    }
    packets
}

/// Each packet that browsers and others sent, once.
fn captured() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (_, log) in captures::files("captures/rtcp", ".txt") {
        packets.extend(captures::packets(&log).iter().flat_map(|datagram| split(datagram)));
    }
    for name in ["rfc8888-captured", "twcc-captured"] {
        for vector in captures::vectors(name)["packets"].as_array().expect("a list") {
            packets.extend(split(&captures::hex(&vector["rtcp"])));
        }
    }
    packets.sort();
    packets.dedup();
    assert!(packets.len() > 500);
    packets
}

/// A packet of each kind in turn, with whatever numbers.
fn generated(random: &mut Random, kind: usize) -> Vec<u8> {
    let mut buf = vec![0; 4_096];
    let mut writer = Writer::new(&mut buf);
    write(random, kind, &mut writer).expect("room");
    let len = writer.len();
    buf.truncate(len);
    buf
}

const KINDS: usize = 14;

fn write(random: &mut Random, kind: usize, writer: &mut Writer<'_>) -> Result<(), NoSpace> {
    let ssrc = |random: &mut Random| Ssrc(random.next_u32());
    let some = |random: &mut Random, most: u64| 0..random.below(most) as usize;
    let (sender, media) = (ssrc(random), ssrc(random));
    match kind {
        0 | 1 => {
            let block = |random: &mut Random| ReportBlock {
                ssrc: ssrc(random),
                fraction_lost: random.next_u32() as u8,
                cumulative_lost: random.next_u32().cast_signed() >> 8,
                highest_seq: random.next_u32(),
                jitter: random.next_u32(),
                last_sr: random.next_u32(),
                delay_since_last_sr: random.next_u32(),
            };
            let blocks: Vec<_> = some(random, 32).map(|_| block(random)).collect();
            if kind == 1 {
                return writer.receiver_report(sender, &blocks);
            }
            let info = SenderInfo {
                ssrc: sender,
                ntp: NtpTime(random.next_u64()),
                rtp_time: RtpTime(random.next_u32()),
                packet_count: random.next_u32(),
                octet_count: random.next_u32(),
            };
            writer.sender_report(&info, &blocks)
        }
        2 => {
            let texts = ["", "a", "ab", "abc", "h\u{e9}llo", "0123456789abcdef"];
            let item = |random: &mut Random| SourceItem {
                ssrc: Ssrc(random.below(3) as u32),
                kind: 1 + random.below(7) as u8,
                value: texts[random.below(texts.len() as u64) as usize].as_bytes(),
            };
            let items: Vec<_> = some(random, 10).map(|_| item(random)).collect();
            writer.source_description(&items)
        }
        3 => writer.sdes_private(sender, "prefix", "value"),
        4 => {
            let ssrcs: Vec<_> = some(random, 32).map(|_| ssrc(random)).collect();
            writer.bye(&ssrcs, ["", "bye", "gone for good"][random.below(3) as usize])
        }
        5 => {
            let data: Vec<[u8; 4]> = some(random, 9).map(|_| random.next_u32().to_be_bytes()).collect();
            let subtype = random.below(32) as u8;
            writer.application(&Application { ssrc: sender, subtype, name: *b"test", data: &data })
        }
        6 => {
            let delay = |random: &mut Random| ReportDelay {
                ssrc: ssrc(random),
                last_rr: random.next_u32(),
                delay_since_last_rr: random.next_u32(),
            };
            let delays: Vec<_> = some(random, 5).map(|_| delay(random)).collect();
            let time = NtpTime(random.next_u64());
            writer.extended_report(
                sender,
                (random.below(2) == 0 || delays.is_empty()).then_some(time),
                &delays,
            )
        }
        7 => {
            let mut seq = WireSeq(random.next_u32() as u16);
            let numbers: Vec<_> = (0..=random.below(40))
                .map(|_| {
                    seq = seq.add(1 + random.below(30) as u16);
                    seq
                })
                .collect();
            writer.nack(sender, media, numbers)
        }
        8 => writer.pli(sender, media),
        9 => {
            let entry = |random: &mut Random| FirEntry {
                ssrc: ssrc(random),
                sequence_number: random.next_u32() as u8,
            };
            let entries: Vec<_> = (0..=random.below(5)).map(|_| entry(random)).collect();
            writer.fir(sender, &entries)
        }
        10 => {
            let ssrcs: Vec<_> = some(random, 9).map(|_| ssrc(random)).collect();
            writer.remb(sender, Bitrate::from_bps(random.next_u64() >> random.below(64)), &ssrcs)
        }
        11 | 12 => {
            let mut at = 1 << 34;
            let arrivals: Vec<_> = (0..=random.below(200))
                .map(|_| {
                    at += random.below(30_000);
                    (random.below(8) > 0).then_some(Instant::from_micros(at - random.below(9_000)))
                })
                .collect();
            let base = WireSeq(random.next_u32() as u16);
            writer.transport_feedback(sender, media, random.next_u32() as u8, base, arrivals)?;
            if writer.is_empty() { writer.pli(sender, media) } else { Ok(()) }
        }
        _ => {
            let metric = |random: &mut Random| {
                let ecn = [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce][random.below(4) as usize];
                let arrival = match random.below(10) {
                    0 => Arrival::OverRange,
                    1 => Arrival::Unavailable,
                    _ => Arrival::Before(random.below(8_190) as u16),
                };
                (random.below(5) > 0).then_some(Metric { ecn, arrival })
            };
            let metrics: Vec<Vec<_>> =
                (0..=random.below(4)).map(|_| some(random, 30).map(|_| metric(random)).collect()).collect();
            let streams: Vec<_> = metrics
                .iter()
                .map(|metrics| StreamReport {
                    ssrc: ssrc(random),
                    begin_seq: WireSeq(random.next_u32() as u16),
                    metrics,
                })
                .collect();
            writer.congestion_feedback(sender, random.next_u32(), &streams)
        }
    }
}

/// Changes a few bytes, mostly to values that mean something, and perhaps the length.
fn mutate(random: &mut Random, packet: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        let at = random.below(packet.len() as u64) as usize;
        packet[at] = match random.below(6) {
            0 => 0,
            1 => 0xff,
            2 => packet[at] ^ 1 << random.below(8),
            3 => packet[at].wrapping_add(1),
            4 => packet[at].wrapping_sub(1),
            _ => random.next_u32() as u8,
        };
    }
    // The version and the frame are right more often than not, else nothing else would be looked at.
    if random.below(10) > 0 {
        let words = random.below(packet.len() as u64 / 4 + 2) as usize;
        if random.below(3) == 0 {
            packet.resize(4 * words.max(1), random.next_u32() as u8);
        }
        packet[0] = packet[0] & 0x3f | 0x80;
        let words = (packet.len() / 4 - 1) as u16;
        packet[2..4].copy_from_slice(&words.to_be_bytes());
    }
}

/// Panics of the others are caught and say nothing: neither do they print.
fn quiet() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|at| at.file().contains("rtcp-")) {
            hook(info);
        }
    }));
}

#[test]
fn others_read_what_was_recorded_as_we_do() {
    let mut tally = Tally::default();
    captured().iter().for_each(|packet| compare(packet, &mut tally));
    assert_eq!(tally.names(), ["several report delays in a block"]);
    tally.assert_verdicts(90, 80);
}

#[test]
fn others_read_what_is_written_here_as_we_do() {
    let mut random = Random::new([1; 32]);
    let mut tally = Tally::default();
    for round in 0..KINDS * 300 {
        let packet = generated(&mut random, round % KINDS);
        if !packet.is_empty() {
            assert!(matches!(ours(&packet), Reading::Said(_)), "{packet:02x?}");
            compare(&packet, &mut tally);
        }
    }
    let expected = [
        "a rate of nothing",
        "an empty item ends the chunk, or more chunks than counted",
        "an empty item, or bytes behind the last chunk",
        "several report delays in a block",
    ];
    assert_eq!(tally.names(), expected);
    tally.assert_verdicts(40, 40);
}

#[test]
fn others_take_and_refuse_what_was_changed_as_we_do() {
    quiet();
    let captured = captured();
    let mut random = Random::new([2; 32]);
    let mut tally = Tally::default();
    let mut taken = 0;
    let rounds = 8_000;
    for round in 0..rounds {
        let mut packet = if round % 3 == 0 {
            captured[random.below(captured.len() as u64) as usize].clone()
        } else {
            generated(&mut random, round % KINDS)
        };
        if packet.is_empty() {
            continue;
        }
        mutate(&mut random, &mut packet);
        taken += usize::from(matches!(ours(&packet), Reading::Said(_)));
        compare(&packet, &mut tally);
    }
    println!("{taken} of {rounds} taken; {tally:#?}");
    tally.assert_verdicts(40, 40);
    // The seed is fixed, and so are the names: another one would be ours to explain.
    let expected = [
        "a NACK of nothing",
        "a chunk without end",
        "a cut full intra request",
        "a media source, or bytes behind the last stream",
        "a picture loss with content",
        "a rate of nothing",
        "a reference time of another length",
        "an empty item ends the chunk, or more chunks than counted",
        "an empty item, or bytes behind the last chunk",
        "an unknown item ends the chunk",
        "an unknown item, or bytes behind the last chunk",
        "counts, runs and deltas that contradict each other",
        "fewer chunks than counted",
        "formats that are not known are not judged",
        "padding is content",
        "padding that does not fit",
        "several report delays in a block",
        "symbols behind the last status",
        "text that is not UTF-8",
    ];
    assert_eq!(tally.names(), expected);
    assert!(taken > rounds / 5 && taken < rounds * 4 / 5, "{taken}");
}

#[test]
fn compounds_are_taken_apart_alike() {
    let mut random = Random::new([3; 32]);
    for _ in 0..500 {
        let count = 1 + random.below(6) as usize;
        let kinds: Vec<_> = (0..count).map(|_| random.below(11) as usize).collect();
        let mut packets: Vec<_> = kinds.into_iter().map(|kind| generated(&mut random, kind)).collect();
        packets.retain(|packet| !packet.is_empty());
        let datagram = packets.concat();
        let Ok(compound) = Compound::parse(&datagram) else {
            assert!(datagram.is_empty());
            continue;
        };
        assert_eq!((compound.dropped(), compound.packets().count()), (None, packets.len()));
        // The other's iterator ends at the first packet whose content it does not like.
        let mut theirs = rtcp_types::Compound::parse(&datagram).expect("well formed");
        let liked = theirs.by_ref().take_while(Result::is_ok).count();
        let known = packets.iter().position(|packet| ystreet(packet) == Reading::Refused);
        assert!(liked >= known.unwrap_or(packets.len()), "{liked} of {}", packets.len());
    }
}
