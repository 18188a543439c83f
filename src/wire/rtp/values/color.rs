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

impl Chromaticity {
    /// The greatest coordinate.
    const ONE: u16 = 50_000;
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

    /// Whether the code points are defined (ITU-T H.273, WebM's siting) and the display is one that can be.
    pub fn is_credible(&self) -> bool {
        matches!(self.primaries, 1..=2 | 4..=12 | 22)
            && matches!(self.transfer, 1..=2 | 4..=18)
            && matches!(self.matrix, 0..=2 | 4..=17)
            && self.horizontal_siting < 3
            && self.vertical_siting < 3
            && self.hdr.is_none_or(|hdr| hdr.is_credible())
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
    /// Whether the display's points lie in the diagram, and its dark is not above its light.
    fn is_credible(&self) -> bool {
        let inside = |point: &Chromaticity| point.x <= Chromaticity::ONE && point.y <= Chromaticity::ONE;
        let [red, green, blue] = &self.primaries;
        // In 1/10,000 cd/m²; 0 is not known.
        let most = u32::from(self.luminance_max) * 10_000;
        [red, green, blue, &self.white].into_iter().all(inside)
            && (most == 0 || u32::from(self.luminance_min) <= most)
    }

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
    fn s_desc_04_reserved_code_points_and_impossible_displays_are_not_credible() {
        let credible = |value: &[u8]| ColorSpace::parse(value).is_some_and(|space| space.is_credible());
        for value in [[1, 1, 1, 0x16], [9, 16, 9, 0x20], [2, 2, 2, 0], [22, 18, 0, 0x3a]] {
            assert!(credible(&value), "{value:?}");
        }
        for value in [[0, 1, 1, 0], [3, 1, 1, 0], [13, 1, 1, 0], [1, 0, 1, 0], [1, 19, 1, 0], [1, 1, 3, 0]] {
            assert!(!credible(&value), "{value:?}");
        }
        assert!(!credible(&[1, 1, 18, 0]) && !credible(&[1, 1, 1, 0x0c]) && !credible(&[1, 1, 1, 0x03]));
        let hdr = |numbers: [u16; 12]| {
            let numbers: Vec<u8> = numbers.into_iter().flat_map(u16::to_be_bytes).collect();
            credible(&[&[9, 16, 9, 0][..], &numbers].concat())
        };
        let [x, y] = [15_635, 16_450];
        assert!(hdr([1_000, 50, 34_000, 16_000, 13_250, 34_500, 7_500, 3_000, x, y, 1_000, 400]));
        assert!(hdr([0; 12]), "nothing is known");
        assert!(!hdr([1_000, 50, 50_001, 16_000, 13_250, 34_500, 7_500, 3_000, x, y, 1_000, 400]));
        assert!(!hdr([1_000, 50, 34_000, 16_000, 13_250, 34_500, 7_500, 3_000, x, u16::MAX, 1_000, 400]));
        assert!(!hdr([1, 10_001, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), "darker than dark");
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
