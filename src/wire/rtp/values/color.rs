//! What the numbers of a picture's samples mean.

use super::super::NoSpace;
use super::put;

/// The colours of a picture (<http://www.webrtc.org/experiments/rtp-hdrext/color-space>): 4 bytes, or
/// 28 with HDR metadata, which only the two-byte form can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ColorSpace {
    /// Colour primaries (ITU-T H.273, table 2).
    pub primaries: u8,
    /// Transfer characteristic (table 3).
    pub transfer: u8,
    /// Matrix coefficients (table 4).
    pub matrix: u8,
    /// Range of the samples, 0 to 3: unspecified, limited, full, as matrix and transfer say (WebM's
    /// `Range`).
    pub range: u8,
    /// Where chroma samples lie, 0 to 3 (WebM's `ChromaSitingHorz`).
    pub horizontal_siting: u8,
    /// The same, vertically (WebM's `ChromaSitingVert`).
    pub vertical_siting: u8,
    /// What a display with a high dynamic range needs to know.
    pub hdr: Option<HdrMetadata>,
}

/// The display on which a picture was mastered, and how bright it gets (SMPTE ST 2086, CTA-861.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HdrMetadata {
    /// The display's greatest luminance, in cd/m².
    pub luminance_max: u16,
    /// The display's least luminance, in 1/10,000 cd/m².
    pub luminance_min: u16,
    /// The display's red, green and blue.
    pub primaries: [Chromaticity; 3],
    /// The display's white.
    pub white: Chromaticity,
    /// The brightest pixel of the content, in cd/m².
    pub max_content_light: u16,
    /// The brightest frame of the content on average, in cd/m².
    pub max_frame_average_light: u16,
}

/// A point of the CIE 1931 diagram.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chromaticity {
    /// The x coordinate in 1/50,000.
    pub x: u16,
    /// The y coordinate in 1/50,000.
    pub y: u16,
}

impl ColorSpace {
    /// Bytes of the longer form.
    pub const MAX_LEN: usize = 28;

    /// Reads the value; `None` if it is not 4 or 28 bytes.
    pub fn parse(value: &[u8]) -> Option<ColorSpace> {
        let (&[primaries, transfer, matrix, range], rest) = value.split_first_chunk()?;
        let hdr = match rest {
            [] => None,
            _ => Some(HdrMetadata::parse(rest.try_into().ok()?)),
        };
        Some(ColorSpace {
            primaries,
            transfer,
            matrix,
            range: range >> 4 & 3,
            horizontal_siting: range >> 2 & 3,
            vertical_siting: range & 3,
            hdr,
        })
    }

    /// Writes the value to the start of `buf` and returns its length, 4 or 28.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        let range = (self.range & 3) << 4 | (self.horizontal_siting & 3) << 2 | self.vertical_siting & 3;
        let len = if self.hdr.is_some() { Self::MAX_LEN } else { 4 };
        let value = buf.get_mut(..len).ok_or(NoSpace)?;
        let len = put(value, &[self.primaries, self.transfer, self.matrix, range])?;
        let Some(hdr) = &self.hdr else {
            return Ok(len);
        };
        let (_, rest) = value.split_at_mut_checked(len).ok_or(NoSpace)?;
        let (pairs, _) = rest.as_chunks_mut::<2>();
        pairs.iter_mut().zip(hdr.numbers()).for_each(|(pair, number)| *pair = number.to_be_bytes());
        Ok(Self::MAX_LEN)
    }
}

impl HdrMetadata {
    fn parse(value: &[u8; 24]) -> HdrMetadata {
        let mut numbers = [0; 12];
        let (pairs, _) = value.as_chunks::<2>();
        numbers.iter_mut().zip(pairs).for_each(|(number, pair)| *number = u16::from_be_bytes(*pair));
        let [luminance_max, luminance_min, rx, ry, gx, gy, bx, by, wx, wy, content, average] = numbers;
        let at = |x, y| Chromaticity { x, y };
        HdrMetadata {
            luminance_max,
            luminance_min,
            primaries: [at(rx, ry), at(gx, gy), at(bx, by)],
            white: at(wx, wy),
            max_content_light: content,
            max_frame_average_light: average,
        }
    }

    /// The numbers in their order on the wire.
    fn numbers(&self) -> [u16; 12] {
        let [red, green, blue] = self.primaries;
        let (light, average) = (self.max_content_light, self.max_frame_average_light);
        let luminance = [self.luminance_max, self.luminance_min];
        let [most, least] = luminance;
        [
            most,
            least,
            red.x,
            red.y,
            green.x,
            green.y,
            blue.x,
            blue.y,
            self.white.x,
            self.white.y,
            light,
            average,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_colour_space_is_four_bytes() {
        // BT.709 throughout, limited range, chroma to the left and in the middle.
        let space = ColorSpace::parse(&[1, 1, 1, 0x16]).expect("four bytes");
        assert_eq!((space.primaries, space.transfer, space.matrix), (1, 1, 1));
        assert_eq!((space.range, space.horizontal_siting, space.vertical_siting), (1, 1, 2));
        assert_eq!(space.hdr, None);
    }

    #[test]
    fn hdr_metadata_is_24_bytes_more() {
        let value: Vec<u8> = (0..28).collect();
        let hdr = ColorSpace::parse(&value).and_then(|space| space.hdr).expect("28 bytes");
        assert_eq!((hdr.luminance_max, hdr.luminance_min), (0x0405, 0x0607));
        let [red, _, blue] = hdr.primaries;
        assert_eq!(red, Chromaticity { x: 0x0809, y: 0x0a0b });
        assert_eq!(blue, Chromaticity { x: 0x1011, y: 0x1213 });
        assert_eq!(hdr.white, Chromaticity { x: 0x1415, y: 0x1617 });
        assert_eq!((hdr.max_content_light, hdr.max_frame_average_light), (0x1819, 0x1a1b));
        for len in (0..4).chain(5..28) {
            assert_eq!(ColorSpace::parse(&value[..len]), None);
        }
    }

    proptest! {
        #[test]
        fn colour_spaces_survive_the_wire(value in proptest::array::uniform28(any::<u8>()), hdr: bool) {
            let mut value = value[..if hdr { 28 } else { 4 }].to_vec();
            value[3] &= 0x3f;
            let (space, mut buf) = (ColorSpace::parse(&value).expect("a length of it"), [0; 28]);
            let len = space.write(&mut buf).expect("room");
            prop_assert_eq!(&buf[..len], &value[..]);
            prop_assert_eq!(space.write(&mut buf[..len - 1]), Err(NoSpace));
        }
    }
}
