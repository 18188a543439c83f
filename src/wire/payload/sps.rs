//! Sequence parameter sets of H.264 and H.265, as far as the picture's size.
//!
//! Reading is bounded by the bits: no count makes it go on behind them.

use super::Resolution;

/// The size in the parameter set of H.264 whose header byte `nal` begins with (ITU-T H.264, section
/// 7.3.2.1.1); `None` if it is cut, or has no size that can be.
pub(super) fn h264(nal: &[u8]) -> Option<Resolution> {
    let mut bits = Bits::new(nal.get(1..)?);
    let profile = bits.read(8)?;
    // Constraints and the level.
    bits.skip(16)?;
    let _id = bits.golomb()?;
    let chroma = if has_chroma(profile) { h264_chroma(&mut bits)? } else { Chroma::C420 };
    let _frame_num_bits = bits.golomb()?;
    picture_order(&mut bits)?;
    let _references = bits.golomb()?;
    let _gaps = bits.flag()?;
    let (width, height) = (macroblocks(bits.golomb()?)?, macroblocks(bits.golomb()?)?);
    let frames_only = bits.flag()?;
    // Of interlaced pictures it is the height of a field.
    let fields = if frames_only { 1 } else { 2 };
    if !frames_only {
        let _adaptive = bits.flag()?;
    }
    let _direct_8x8 = bits.flag()?;
    let (across, down) = chroma.sampling();
    cropped(&mut bits, (width, height.checked_mul(fields)?), (across, down * fields))
}

/// The size in the parameter set of H.265 whose two header bytes `nal` begins with (ITU-T H.265, section
/// 7.3.2.2.1); `None` if it is cut, or has no size that can be.
pub(super) fn h265(nal: &[u8]) -> Option<Resolution> {
    let mut bits = Bits::new(nal.get(2..)?);
    let _video_parameters = bits.read(4)?;
    let layers_above = bits.read(3)?;
    let _nesting = bits.flag()?;
    profile_tier_level(&mut bits, layers_above)?;
    let _id = bits.golomb()?;
    let chroma = chroma(&mut bits)?;
    let (width, height) = (bits.golomb()?, bits.golomb()?);
    cropped(&mut bits, (width, height), chroma.sampling())
}

/// Where samples of colour lie among those of light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chroma {
    /// None of them, or a picture of its own for each colour.
    Apart,
    C420,
    C422,
    C444,
}

impl Chroma {
    /// Samples of light for one of colour, across and down.
    fn sampling(self) -> (u32, u32) {
        match self {
            Chroma::Apart | Chroma::C444 => (1, 1),
            Chroma::C422 => (2, 1),
            Chroma::C420 => (2, 2),
        }
    }
}

/// chroma_format_idc and, of 4:4:4, separate_colour_plane_flag.
fn chroma(bits: &mut Bits<'_>) -> Option<Chroma> {
    Some(match bits.golomb()? {
        0 => Chroma::Apart,
        1 => Chroma::C420,
        2 => Chroma::C422,
        3 if bits.flag()? => Chroma::Apart,
        3 => Chroma::C444,
        _ => return None,
    })
}

/// Profiles of H.264 that say how their colours are sampled; the others have 4:2:0.
fn has_chroma(profile: u32) -> bool {
    matches!(profile, 44 | 83 | 86 | 100 | 110 | 118 | 122 | 128 | 134 | 135 | 138 | 139 | 244)
}

/// From chroma_format_idc to the scaling matrices.
fn h264_chroma(bits: &mut Bits<'_>) -> Option<Chroma> {
    let format = bits.clone().golomb()?;
    let chroma = chroma(bits)?;
    let _depths = (bits.golomb()?, bits.golomb()?);
    let _bypass = bits.flag()?;
    if bits.flag()? {
        for list in 0..if format == 3 { 12 } else { 8 } {
            if bits.flag()? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Some(chroma)
}

/// scaling_list (section 7.3.2.1.1.1): differences, until one of them says that the rest is as the last.
fn scaling_list(bits: &mut Bits<'_>, size: u8) -> Option<()> {
    let (mut last, mut next) = (8, 8);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.signed_golomb()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// pic_order_cnt_type and what hangs on it.
fn picture_order(bits: &mut Bits<'_>) -> Option<()> {
    match bits.golomb()? {
        0 => bits.golomb().map(|_| ()),
        1 => {
            bits.skip(1)?;
            let _offsets = (bits.golomb()?, bits.golomb()?);
            let cycle = bits.golomb()?;
            (0..cycle).try_for_each(|_| bits.golomb().map(|_| ()))
        }
        2 => Some(()),
        _ => None,
    }
}

/// Samples of so many macroblocks and one more.
fn macroblocks(less_one: u32) -> Option<u32> {
    less_one.checked_add(1)?.checked_mul(16)
}

/// profile_tier_level (section 7.3.3), with what is told of the temporal layers above the lowest.
fn profile_tier_level(bits: &mut Bits<'_>, layers_above: u32) -> Option<()> {
    const PROFILE: u32 = 88;
    const LEVEL: u32 = 8;
    bits.skip(PROFILE + LEVEL)?;
    let mut told = 0;
    for _ in 0..layers_above {
        told += if bits.flag()? { PROFILE } else { 0 };
        told += if bits.flag()? { LEVEL } else { 0 };
    }
    if layers_above > 0 {
        // Filled up to eight layers of two bits.
        bits.skip(2 * 8u32.checked_sub(layers_above)?)?;
    }
    bits.skip(told)
}

/// The size less what is cut off at left, right, top and bottom, in steps of `unit`.
fn cropped(bits: &mut Bits<'_>, (width, height): (u32, u32), unit: (u32, u32)) -> Option<Resolution> {
    let [mut across, mut down] = [0, 0];
    if bits.flag()? {
        across = bits.golomb()?.checked_add(bits.golomb()?)?.checked_mul(unit.0)?;
        down = bits.golomb()?.checked_add(bits.golomb()?)?.checked_mul(unit.1)?;
    }
    let left = |whole: u32, cut| u16::try_from(whole.checked_sub(cut)?).ok().filter(|left| *left > 0);
    Some(Resolution { width: left(width, across)?, height: left(height, down)? })
}

/// The bits of a NAL unit without the bytes that keep start codes out of it (H.264, section 7.4.1).
#[derive(Debug, Clone)]
struct Bits<'a> {
    rest: &'a [u8],
    /// Zero bytes in a row up to here.
    zeros: u8,
    byte: u8,
    /// Bits of `byte` that were not read yet.
    left: u8,
}

impl<'a> Bits<'a> {
    fn new(rest: &'a [u8]) -> Bits<'a> {
        Bits { rest, zeros: 0, byte: 0, left: 0 }
    }

    fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.byte = self.next_byte()?;
            self.left = 8;
        }
        self.left -= 1;
        Some(self.byte >> self.left & 1 != 0)
    }

    fn next_byte(&mut self) -> Option<u8> {
        let (mut first, mut rest) = self.rest.split_first()?;
        if self.zeros >= 2 && *first == 3 {
            self.zeros = 0;
            (first, rest) = rest.split_first()?;
        }
        self.zeros = if *first == 0 { self.zeros.saturating_add(1) } else { 0 };
        self.rest = rest;
        Some(*first)
    }

    /// Up to 32 bits, the most significant first.
    fn read(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    fn skip(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.flag().map(|_| ()))
    }

    /// ue(v) (section 9.1): as many bits behind the first one as zeros in front of it. Numbers of more than 32
    /// bits are none.
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        let rest = self.read(zeros)?;
        Some((1u32 << zeros) - 1 + rest)
    }

    /// se(v) (section 9.1.1): 0, 1, -1, 2, -2 and so on; no more than a scaling list has.
    fn signed_golomb(&mut self) -> Option<i32> {
        let number = self.golomb()?;
        let size = i32::try_from(number.div_ceil(2)).ok().filter(|size| *size <= 128)?;
        Some(if number % 2 == 0 { -size } else { size })
    }
}

#[cfg(test)]
mod tests;
