//! The sequence header, as far as the picture's size (AV1 specification, section 5.5).

use super::super::bits::BitReader;
use super::super::cursor::Cursor;
use super::super::{Fault, ParseError, Resolution};
use super::{ObuHeader, SEQUENCE_HEADER};
use crate::wire::malformed::Malformed;

/// What a coded video sequence tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceHeader {
    /// seq_profile: 0 main, 1 high, 2 professional; others are reserved.
    pub profile: u8,
    /// Operating points, 1 to 32: sets of layers that can be decoded.
    pub operating_points: u8,
    /// No frame of the sequence is larger.
    pub max_resolution: Resolution,
}

impl SequenceHeader {
    /// Reads an OBU of type [`SEQUENCE_HEADER`], its header included, up to the largest frame size.
    ///
    /// # Errors
    /// [`Fault::Av1Header`] if it is another OBU or its header malformed, [`Fault::Av1Length`] if it has a
    /// size of its own that is cut, [`Fault::Av1Sequence`] if the rest is cut.
    pub fn parse(obu: &[u8]) -> Result<SequenceHeader, ParseError> {
        let (header, body) = ObuHeader::parse(obu)?;
        if header.kind != SEQUENCE_HEADER {
            return Err(Malformed::at(0, Fault::Av1Header));
        }
        let begin = obu.len() - body.len();
        let mut cursor = Cursor::new(body);
        if header.has_size {
            cursor.leb128(Fault::Av1Length).map_err(|error| error.within(begin))?;
        }
        let mut bits = BitReader::new(cursor.rest);
        let read = read(&mut bits);
        read.ok_or_else(|| Malformed::at(begin + cursor.at() + bits.byte(), Fault::Av1Sequence))
    }
}

/// sequence_header_obu, whose conditions nest; work is bounded by the bits.
fn read(bits: &mut BitReader<'_>) -> Option<SequenceHeader> {
    let profile = bits.read(3)? as u8;
    let _still_picture = bits.flag()?;
    let reduced = bits.flag()?;
    let operating_points = if reduced {
        // seq_level_idx alone.
        bits.skip(5)?;
        1
    } else {
        operating_points(bits)?
    };
    let [width_bits, height_bits] = [bits.read(4)? as u8 + 1, bits.read(4)? as u8 + 1];
    // 65,536 is one more than can be said here.
    let (width, height) =
        (bits.read(width_bits)?.saturating_add(1), bits.read(height_bits)?.saturating_add(1));
    Some(SequenceHeader { profile, operating_points, max_resolution: Resolution { width, height } })
}

/// Timing, decoder model and operating points; returns how many there are.
fn operating_points(bits: &mut BitReader<'_>) -> Option<u8> {
    // Bits of each delay, where there is a decoder model.
    let mut delay_bits = None;
    if bits.flag()? {
        timing(bits)?;
        if bits.flag()? {
            delay_bits = Some(u32::from(bits.read(5)?) + 1);
            // num_units_in_decoding_tick and two more lengths.
            bits.skip(32 + 5 + 5)?;
        }
    }
    let display_delays = bits.flag()?;
    let count = bits.read(5)? as u8 + 1;
    for _ in 0..count {
        // operating_point_idc, then the level, of which the higher ones have a tier.
        bits.skip(12)?;
        if bits.read(5)? > 7 {
            bits.skip(1)?;
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if display_delays && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Some(count)
}

/// timing_info (section 5.5.3).
fn timing(bits: &mut BitReader<'_>) -> Option<()> {
    bits.skip(32 + 32)?;
    if bits.flag()? {
        // A uvlc (section 4.10.3): as many bits as zeros in front of the one.
        let mut zeros = 0;
        while !bits.flag()? {
            zeros += 1;
        }
        if zeros < 32 {
            bits.skip(zeros)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::super::bits::BitWriter;
    use super::*;

    /// An OBU of fields, each with its width.
    fn obu(fields: &[(u8, u16)]) -> Vec<u8> {
        let mut buf = [0; 64];
        let mut bits = BitWriter::new(&mut buf);
        bits.write(8, 0x08).expect("room");
        for (width, value) in fields {
            bits.write(*width, *value).expect("room");
        }
        let len = bits.len();
        buf[..len].to_vec()
    }

    const SIZE: [(u8, u16); 4] = [(4, 9), (4, 8), (10, 639), (9, 359)];
    const EXPECTED: Resolution = Resolution { width: 640, height: 360 };

    #[test]
    fn av1_5_5_1_the_size_is_found_behind_whatever_precedes_it() {
        let reduced = obu(&[&[(3, 1), (1, 1), (1, 1), (5, 4)], &SIZE[..]].concat());
        let header = SequenceHeader::parse(&reduced).expect("whole");
        assert_eq!((header.profile, header.operating_points, header.max_resolution), (1, 1, EXPECTED));
        // Two operating points, the second of a high level, with nothing else.
        let plain =
            [(3, 0), (2, 0), (1, 0), (1, 0), (5, 1), (12, 0x103), (5, 7), (12, 0x101), (5, 8), (1, 1)];
        let header = SequenceHeader::parse(&obu(&[&plain, &SIZE[..]].concat())).expect("whole");
        assert_eq!((header.operating_points, header.max_resolution), (2, EXPECTED));
        // Timing with a tick count, a decoder model and display delays.
        let timing = [(16, 0), (16, 1), (16, 0), (16, 30), (1, 1), (2, 0), (1, 1), (2, 3)];
        let model = [(1, 1), (5, 9), (16, 0), (16, 1), (5, 3), (5, 3), (1, 1), (5, 0)];
        let point = [(12, 0), (5, 4), (1, 1), (10, 77), (10, 88), (1, 0), (1, 1), (4, 5)];
        let full = [&[(3, 0), (2, 0), (1, 1)], &timing[..], &model, &point, &SIZE].concat();
        let whole = obu(&full);
        assert_eq!(SequenceHeader::parse(&whole).expect("whole").max_resolution, EXPECTED);
        for len in 1..whole.len() {
            let error = SequenceHeader::parse(&whole[..len]).expect_err("cut");
            assert!(error.fault == Fault::Av1Sequence && usize::from(error.offset) <= len, "{len}: {error}");
        }
    }

    #[test]
    fn a_size_of_its_own_is_passed_over_and_another_obu_refused() {
        let plain = obu(&[&[(3, 0), (1, 1), (1, 1), (5, 4)], &SIZE[..]].concat());
        let sized = [&[0x0a, plain.len() as u8 - 1][..], &plain[1..]].concat();
        assert_eq!(SequenceHeader::parse(&sized), SequenceHeader::parse(&plain));
        assert_eq!(SequenceHeader::parse(&[0x30, 0]).err(), Some(Malformed::at(0, Fault::Av1Header)));
        assert_eq!(SequenceHeader::parse(&[0x0a, 0x80]).err(), Some(Malformed::at(1, Fault::Av1Length)));
    }
}
