//! Opus: how many frames of which length a packet holds (RFC 7587; RFC 6716, section 3).
//!
//! The payload is one Opus packet. Whether it carries in-band FEC is told by bits of the range coder
//! behind the lengths, not by the first byte, so it is left out.

use super::cursor::Cursor;
use super::{Fault, ParseError};
use crate::wire::malformed::Malformed;

/// Bytes of one frame at most (RFC 6716, section 3.2.1).
const FRAME: usize = 1_275;
/// Duration of a packet at most, 120 ms in units of 1/48,000 s (section 3.2.5).
const PACKET_TICKS: u32 = 5_760;

/// The audio bandwidth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bandwidth {
    /// 4 kHz.
    Narrow,
    /// 6 kHz.
    Medium,
    /// 8 kHz.
    Wide,
    /// 12 kHz.
    SuperWide,
    /// 20 kHz.
    Full,
}

/// An Opus packet whose lengths were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    toc: u8,
    frames: u8,
    /// Bytes of the payload.
    len: usize,
}

impl Packet {
    /// Checks the packet by the rules R1 to R7 of RFC 6716, section 3.4.
    ///
    /// # Errors
    /// [`Fault::Empty`], [`Fault::OpusCount`], [`Fault::OpusDuration`] and [`Fault::OpusLength`].
    pub fn parse(payload: &[u8]) -> Result<Packet, ParseError> {
        let mut cursor = Cursor::new(payload);
        let toc = cursor.byte(Fault::Empty)?;
        let (frames, longest) = match toc & 3 {
            0 => (1, cursor.rest.len()),
            1 if !cursor.rest.len().is_multiple_of(2) => return Err(cursor.fault(Fault::OpusLength)),
            1 => (2, cursor.rest.len() / 2),
            2 => {
                let first = frame_length(&mut cursor)?;
                cursor.take(first, Fault::OpusLength)?;
                (2, cursor.rest.len().max(first))
            }
            _ => counted_frames(toc, &mut cursor)?,
        };
        if longest > FRAME {
            return Err(cursor.fault(Fault::OpusLength));
        }
        Ok(Packet { toc, frames, len: payload.len() })
    }

    /// The configuration number, 0 to 31: mode, bandwidth and frame duration in one (section 3.1).
    #[inline]
    pub fn configuration(&self) -> u8 {
        self.toc >> 3
    }

    /// The audio bandwidth.
    pub fn bandwidth(&self) -> Bandwidth {
        match self.configuration() {
            0..=3 | 16..=19 => Bandwidth::Narrow,
            4..=7 => Bandwidth::Medium,
            8..=11 | 20..=23 => Bandwidth::Wide,
            12..=13 | 24..=27 => Bandwidth::SuperWide,
            _ => Bandwidth::Full,
        }
    }

    /// Whether the packet is coded as two channels.
    #[inline]
    pub fn is_stereo(&self) -> bool {
        self.toc & 4 != 0
    }

    /// Frames, 1 to 48.
    #[inline]
    pub fn frames(&self) -> u8 {
        self.frames
    }

    /// The duration of each frame, in units of 1/48,000 s, which is the RTP clock (RFC 7587, section
    /// 4.1): 120 (2.5 ms) to 2,880 (60 ms).
    #[inline]
    pub fn frame_ticks(&self) -> u32 {
        frame_ticks(self.toc)
    }

    /// The duration of the packet in the same units: at most 5,760.
    #[inline]
    pub fn ticks(&self) -> u32 {
        self.frame_ticks() * u32::from(self.frames)
    }

    /// Whether the packet is what a sender in discontinuous transmission sends while nobody speaks:
    /// two bytes at most (RFC 7587, section 3.1.3).
    #[inline]
    pub fn is_silence(&self) -> bool {
        self.len <= 2
    }
}

/// Frame durations of the configurations (RFC 6716, section 3.1, table 2).
fn frame_ticks(toc: u8) -> u32 {
    let step = toc >> 3 & 3;
    match toc >> 3 {
        // SILK: 10, 20, 40, 60 ms.
        0..12 => match step {
            0 => 480,
            1 => 960,
            2 => 1_920,
            _ => 2_880,
        },
        // Hybrid: 10, 20 ms.
        12..16 => 480 << (step & 1),
        // CELT: 2.5, 5, 10, 20 ms.
        _ => 120 << step,
    }
}

/// One or two bytes of length (section 3.2.1).
fn frame_length(cursor: &mut Cursor<'_>) -> Result<usize, ParseError> {
    let first = usize::from(cursor.byte(Fault::OpusLength)?);
    if first < 252 { Ok(first) } else { Ok(usize::from(cursor.byte(Fault::OpusLength)?) * 4 + first) }
}

/// Code 3: a count, padding, and frames of equal or told lengths (section 3.2.5). Returns their number
/// and the bytes of the longest.
fn counted_frames(toc: u8, cursor: &mut Cursor<'_>) -> Result<(u8, usize), ParseError> {
    let at = cursor.at();
    let head = cursor.byte(Fault::OpusCount)?;
    let count = head & 0x3f;
    if count == 0 {
        return Err(Malformed::at(at, Fault::OpusCount));
    }
    if frame_ticks(toc) * u32::from(count) > PACKET_TICKS {
        return Err(Malformed::at(at, Fault::OpusDuration));
    }
    let padding = if head & 0x40 == 0 { 0 } else { padding(cursor)? };
    let (mut longest, mut told) = (0, 0);
    let variable = head & 0x80 != 0;
    if variable {
        for _ in 1..count {
            let len = frame_length(cursor)?;
            (longest, told) = (len.max(longest), told + len);
        }
    }
    // What is left belongs to the frames whose length was not told: the last one, or all alike.
    let left = cursor.rest.len().checked_sub(padding).and_then(|bytes| bytes.checked_sub(told));
    let left = left.ok_or(cursor.fault(Fault::OpusLength))?;
    let sharing = if variable { 1 } else { usize::from(count) };
    if !left.is_multiple_of(sharing) {
        return Err(cursor.fault(Fault::OpusLength));
    }
    Ok((count, longest.max(left / sharing)))
}

/// Bytes of padding: each 255 adds 254 and another byte of length.
fn padding(cursor: &mut Cursor<'_>) -> Result<usize, ParseError> {
    let mut bytes = 0;
    loop {
        match cursor.byte(Fault::OpusLength)? {
            255 => bytes += 254,
            last => return Ok(bytes + usize::from(last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toc(configuration: u8, code: u8) -> u8 {
        configuration << 3 | code
    }

    #[test]
    fn rfc_6716_3_1_durations_and_bandwidths_follow_the_configuration() {
        use Bandwidth::*;
        let silk = [480, 960, 1_920, 2_880];
        let celt = [120, 240, 480, 960];
        let rows = [(Narrow, silk), (Medium, silk), (Wide, silk), (SuperWide, [480, 960, 480, 960])];
        let rows = rows.into_iter().chain([Narrow, Wide, SuperWide, Full].map(|band| (band, celt)));
        for (row, (bandwidth, ticks)) in rows.enumerate() {
            for (column, ticks) in ticks.into_iter().enumerate() {
                let packet = Packet::parse(&[toc((row * 4 + column) as u8, 0), 1, 2]).expect("one frame");
                // Configurations 14 and 15 are hybrid in full band.
                let expected = if row == 3 && column > 1 { Full } else { bandwidth };
                assert_eq!((packet.bandwidth(), packet.frame_ticks()), (expected, ticks), "{row} {column}");
                assert_eq!((packet.frames(), packet.ticks()), (1, ticks));
            }
        }
        assert!(Packet::parse(&[toc(31, 0) | 4]).expect("empty frame").is_stereo());
    }

    #[test]
    fn rfc_7587_3_1_3_two_bytes_are_silence() {
        for len in 1..5 {
            let packet = Packet::parse(&[toc(31, 0), 0xff, 0xfe, 0, 0][..len]).expect("one frame");
            assert_eq!(packet.is_silence(), len <= 2, "{len}");
        }
    }

    #[test]
    fn rfc_6716_3_4_lengths_are_checked() {
        let (length, count) = (Fault::OpusLength, Fault::OpusCount);
        let packet =
            |code: u8, rest: &[u8]| Packet::parse(&[&[toc(1, code)], rest].concat()).map(|p| p.frames());
        assert_eq!(Packet::parse(&[]).err(), Some(Malformed::at(0, Fault::Empty)));
        assert_eq!(packet(0, &[0; 1_275]), Ok(1));
        assert_eq!(packet(0, &[0; 1_276]), Err(Malformed::at(1, length)), "R2");
        assert_eq!(packet(1, &[0; 4]), Ok(2));
        assert_eq!(packet(1, &[0; 5]), Err(Malformed::at(1, length)), "R3");
        assert_eq!(packet(2, &[]), Err(Malformed::at(1, length)), "R4");
        assert_eq!(packet(2, &[2, 9, 9, 8]), Ok(2));
        assert_eq!(packet(2, &[4, 9, 9, 8]), Err(Malformed::at(2, length)), "R4");
        assert_eq!(packet(2, &[252]), Err(Malformed::at(2, length)));
        assert_eq!(packet(2, &[&[252, 1], &[0; 256][..]].concat()), Ok(2), "two bytes of length: 256");
        assert_eq!(packet(3, &[]), Err(Malformed::at(1, count)));
        assert_eq!(packet(3, &[0]), Err(Malformed::at(1, count)), "R5");
        assert_eq!(packet(3, &[6, 1, 2, 3, 4, 5, 6]), Ok(6));
        assert_eq!(
            packet(3, &[7, 1, 2, 3, 4, 5, 6, 7]),
            Err(Malformed::at(1, Fault::OpusDuration)),
            "140 ms"
        );
        assert_eq!(packet(3, &[3, 1, 2]), Err(Malformed::at(2, length)), "R6: equal shares");
        assert_eq!(packet(3, &[0x42, 1, 7, 7, 0]), Ok(2), "one byte of padding");
        assert_eq!(packet(3, &[0x42, 4, 7, 7, 0]), Err(Malformed::at(3, length)), "R6: padding");
        assert_eq!(packet(3, &[0x42, 255]), Err(Malformed::at(3, length)), "padding's length is cut");
        assert_eq!(packet(3, &[0x83, 1, 2, 5, 6, 6, 7]), Ok(3));
        assert_eq!(packet(3, &[0x83, 1, 5, 5, 6, 6, 7]), Err(Malformed::at(4, length)), "R7");
    }

    #[test]
    fn s_desc_01_opus_is_cut_anywhere_without_harm() {
        let bytes: Vec<u8> = (0..=255).collect();
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let whole = [&[first, second][..], &bytes[..40]].concat();
                for len in 0..whole.len() {
                    if let Ok(packet) = Packet::parse(&whole[..len]) {
                        assert!(packet.ticks() <= PACKET_TICKS && packet.frames() >= 1);
                    }
                }
            }
        }
    }
}
