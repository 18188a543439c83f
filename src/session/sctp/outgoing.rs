//! The library's packets as they leave: none longer than it may be, and the same for the same seed.

use super::guard::Guard;
use crate::wire::sctp::{Chunk, Chunks, Data, Packet, PacketWriter, Sack, kind};
use bytes::Bytes;

/// Bytes of a packet's header and of a chunk's.
const HEADERS: usize = 12 + 4;

/// Has the guard know what a packet acknowledges, and what it sends.
pub(super) fn note(packet: &[u8], guard: &mut Guard) {
    for chunk in Chunks::new(packet.get(12..).unwrap_or_default()) {
        match chunk.kind {
            kind::SACK => Sack::parse(chunk.value).iter().for_each(|sack| guard.on_acknowledged(sack)),
            kind::DATA => Data::parse(&chunk).iter().for_each(|data| guard.on_sent(data.tsn)),
            _ => {}
        }
    }
}

/// The chunks of a packet in as many as it takes: the library forgets what padding adds to small ones. Blocks of an
/// acknowledgement that find no room are left out, and streams that are skipped are put in order, as the library
/// has them in that of a table of its own.
pub(super) fn fitted(packet: Bytes, most: usize) -> Vec<Bytes> {
    let chunks = || Chunks::new(packet.get(12..).unwrap_or_default());
    if packet.len() <= most && chunks().all(|chunk| chunk.kind != kind::FORWARD_TSN) {
        return vec![packet];
    }
    let Ok(parsed) = Packet::parse(&packet) else { return Vec::new() };
    let new = || PacketWriter::new(parsed.ports(), parsed.verification_tag());
    let (mut packets, mut writer) = (Vec::new(), new());
    for chunk in parsed.chunks() {
        let value = match chunk.kind {
            kind::FORWARD_TSN => sorted(chunk.value),
            kind::SACK => shortened(chunk.value, most.saturating_sub(HEADERS)),
            _ => chunk.value.to_vec(),
        };
        let chunk = Chunk { value: &value, ..chunk };
        if !writer.is_empty() && writer.len_with(&chunk) > most {
            packets.push(std::mem::replace(&mut writer, new()).finish().into());
        }
        writer.copy(&chunk);
    }
    packets.push(writer.finish().into());
    packets
}

/// A FORWARD TSN's streams in order.
fn sorted(value: &[u8]) -> Vec<u8> {
    let (cumulative, streams) = value.split_at_checked(4).unwrap_or((value, &[]));
    let mut streams: Vec<&[u8]> = streams.chunks(4).collect();
    streams.sort_unstable();
    [cumulative, &streams.concat()].concat()
}

/// A SACK with as many of its blocks as fit, and no duplicates, if it is too long.
fn shortened(value: &[u8], most: usize) -> Vec<u8> {
    if value.len() <= most {
        return value.to_vec();
    }
    let (fixed, rest) = value.split_at_checked(12).unwrap_or((value, &[]));
    let blocks =
        fixed.get(8..10).and_then(|count| count.first_chunk()).copied().map_or(0, u16::from_be_bytes);
    // Fewer than there are.
    let kept = usize::from(blocks).min(most.saturating_sub(12) / 4) as u16;
    let mut short = fixed.get(..8).unwrap_or_default().to_vec();
    short.extend(kept.to_be_bytes());
    short.extend([0, 0]);
    short.extend(rest.get(..4 * usize::from(kept)).unwrap_or_default());
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sctp::Ports;

    fn packet(chunks: &[(u8, &[u8])]) -> Bytes {
        let mut writer = PacketWriter::new(Ports { source: 1, destination: 2 }, 3);
        chunks.iter().for_each(|(kind, value)| writer.chunk(*kind, 0, value));
        writer.finish().into()
    }

    #[test]
    fn an_acknowledgement_that_is_too_long_loses_its_last_blocks() {
        let mut value = [0, 0, 0, 9, 0, 4, 0, 0].to_vec();
        value.extend(400u16.to_be_bytes());
        value.extend(2u16.to_be_bytes());
        (0..400u16)
            .for_each(|at| value.extend([(2 * at + 2).to_be_bytes(), (2 * at + 2).to_be_bytes()].concat()));
        value.extend([0; 8]);
        let fitted = fitted(packet(&[(kind::SACK, &value)]), 1_100);
        assert!(fitted.len() == 1 && fitted[0].len() <= 1_100);
        let packet = Packet::parse(&fitted[0]).expect("well formed");
        let sack = Sack::parse(packet.chunks().next().expect("still one").value).expect("well formed");
        assert_eq!((sack.cumulative, sack.gaps), (9, 268));
    }

    #[test]
    fn skipped_streams_are_in_order_and_chunks_find_packets() {
        let skipped = [0, 0, 0, 1, 0, 7, 0, 1, 0, 3, 0, 2];
        let data = [0; 700];
        let fitted =
            fitted(packet(&[(kind::FORWARD_TSN, &skipped), (kind::DATA, &data), (kind::DATA, &data)]), 1_100);
        let kinds: Vec<Vec<_>> = fitted
            .iter()
            .map(|packet| {
                Packet::parse(packet).expect("well formed").chunks().map(|chunk| chunk.kind).collect()
            })
            .collect();
        assert_eq!(kinds, [vec![kind::FORWARD_TSN, kind::DATA], vec![kind::DATA]]);
        let first = Packet::parse(&fitted[0]).expect("well formed").chunks().next().expect("one");
        assert_eq!(first.value, [0, 0, 0, 1, 0, 3, 0, 2, 0, 7, 0, 1]);
    }
}
