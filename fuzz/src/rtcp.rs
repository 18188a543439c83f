//! RTCP by kinds of packets: each is read to its end, written again, and read as the same.

#[path = "../../tests/support/rewrite.rs"]
mod rewrite;

use estafette::rtcp::{BitrateLimit, Compound, Packet, Writer};
use rewrite::{arrivals, rewrite, said};

/// Sender, receiver and extended reports.
pub fn rtcp_reports(data: &[u8]) {
    check(data, &[(200, None), (201, None), (207, None)]);
}

/// Descriptions, goodbyes and packets of applications.
pub fn rtcp_sdes(data: &[u8]) {
    check(data, &[(202, None), (203, None), (204, None)]);
}

/// Requests and estimates: NACK, TMMBR, TMMBN, PLI, SLI, FIR, REMB.
pub fn rtcp_feedback(data: &[u8]) {
    let format = |packet_type, format| (packet_type, Some(format));
    let transport = [format(205, 1), format(205, 3), format(205, 4)];
    let payload = [format(206, 1), format(206, 2), format(206, 4), format(206, 15)];
    check(data, &[&transport[..], &payload].concat());
}

/// Transport-wide feedback.
pub fn rtcp_twcc(data: &[u8]) {
    check(data, &[(205, Some(15))]);
}

/// Congestion control feedback.
pub fn rtcp_ccfb(data: &[u8]) {
    check(data, &[(205, Some(11))]);
}

/// Takes the data for one packet of these types and formats, whatever its header says.
fn check(data: &[u8], kinds: &[(u8, Option<u8>)]) {
    let mut bytes = data[..data.len() / 4 * 4].to_vec();
    let words = bytes.len() / 4;
    let Some([first, packet_type, l0, l1]) = bytes.first_chunk_mut() else { return };
    let own = (*packet_type, *first & 0x1f);
    let is_own =
        |(kind, format): &&(u8, Option<u8>)| *kind == own.0 && format.is_none_or(|format| format == own.1);
    let (kind, format) = *kinds.iter().find(is_own).unwrap_or(&kinds[usize::from(own.0) % kinds.len()]);
    *first = 0x80 | *first & 0x20 | format.unwrap_or(own.1);
    *packet_type = kind;
    [*l0, *l1] = (words as u16 - 1).to_be_bytes();
    let Ok(compound) = Compound::parse(&bytes) else { return };
    assert_eq!((compound.dropped(), compound.packets().count()), (None, 1));
    let packet = compound.packets().next().expect("just counted");
    let words = said(&packet);
    assert!(words.len() <= 64 + 40 * 17 * bytes.len() + 20 * usize::from(u16::MAX));
    let mut buf = vec![0; 2 * bytes.len() + 300_000];
    if let Some(again) = written(&packet, &mut buf) {
        same(&packet, &Compound::parse(again).expect("what is written can be read"), again);
    }
}

/// The packet written again; `None` if that is not possible or nothing.
fn written<'b>(packet: &Packet<'_>, buf: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut writer = Writer::new(buf);
    // Descriptions may hold more sources than a packet takes, an item each.
    rewrite(packet, &mut writer)?.ok()?;
    let len = writer.len();
    Some(&buf[..len]).filter(|bytes| !bytes.is_empty())
}

fn same_limits(
    before: impl ExactSizeIterator<Item = BitrateLimit>,
    after: impl ExactSizeIterator<Item = BitrateLimit>,
) {
    assert_eq!(before.len(), after.len());
    for (before, after) in before.zip(after) {
        assert_eq!((before.ssrc, before.overhead), (after.ssrc, after.overhead));
        let [before, after] = [before.bitrate.as_bps(), after.bitrate.as_bps()];
        assert!(after <= before && before - after <= before >> 16);
    }
}

fn same(packet: &Packet<'_>, again: &Compound<'_>, bytes: &[u8]) {
    assert_eq!((again.dropped(), again.packets().count()), (None, 1));
    let again = again.packets().next().expect("just counted");
    match (packet, &again) {
        // Numbers may come twice and in any order; written they ascend where they share a mask.
        (Packet::Nack(before), Packet::Nack(after)) => {
            let numbers = |nack: &estafette::rtcp::Nack<'_>| {
                let mut numbers: Vec<_> = nack.numbers().map(|seq| seq.0).collect();
                numbers.sort_unstable();
                numbers.dedup();
                numbers
            };
            assert_eq!(numbers(before), numbers(after));
        }
        // Rates of more than 64 bits are cut, and then rounded down to 18.
        (Packet::Remb(before), Packet::Remb(after)) => {
            let [before, after] = [before.bitrate.as_bps(), after.bitrate.as_bps()];
            assert!(after <= before && before - after <= before >> 17);
        }
        // Likewise down to 17 bits.
        (Packet::Tmmbr(before), Packet::Tmmbr(after)) => {
            assert_eq!(before.sender, after.sender);
            same_limits(before.entries(), after.entries());
        }
        (Packet::Tmmbn(before), Packet::Tmmbn(after)) => {
            assert_eq!(before.sender, after.sender);
            same_limits(before.entries(), after.entries());
        }
        // The reference is another, the times are the same: modulo 24 bits of 64 ms.
        (Packet::TransportFeedback(before), Packet::TransportFeedback(after)) => {
            let wrap = (1 << 24) * 64_000;
            let times = |feedback| {
                let times = arrivals(feedback).into_iter();
                times.map(|at| at.map(|at| at.as_micros() % wrap)).collect::<Vec<_>>()
            };
            assert_eq!(times(before), times(after));
        }
        _ => assert_eq!(said(packet), said(&again)),
    }
    let mut buf = vec![0; bytes.len()];
    assert_eq!(written(&again, &mut buf), Some(bytes), "written twice is the same");
}
