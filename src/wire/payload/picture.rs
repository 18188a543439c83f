//! Values that several formats share.

/// A picture's number in a VP8 or VP9 descriptor, in the width that the sender chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureId {
    /// Seven bits, 0 to 127.
    Short(u8),
    /// Fifteen bits, 0 to 32,767.
    Long(u16),
}

impl PictureId {
    /// The number.
    #[inline]
    pub const fn value(self) -> u16 {
        match self {
            PictureId::Short(value) => value as u16,
            PictureId::Long(value) => value,
        }
    }

    /// Another number in the same width; what does not fit wraps.
    #[inline]
    #[must_use]
    pub const fn with_value(self, value: u16) -> PictureId {
        match self {
            PictureId::Short(_) => PictureId::Short((value & 0x7f) as u8),
            PictureId::Long(_) => PictureId::Long(value & 0x7fff),
        }
    }

    /// The bytes of the field: the first bit tells the width.
    pub(super) fn write(self, buf: &mut [u8]) -> Option<usize> {
        match self {
            PictureId::Short(value) => *buf.first_mut()? = value & 0x7f,
            PictureId::Long(value) => *buf.first_chunk_mut()? = (value | 0x8000).to_be_bytes(),
        }
        Some(if matches!(self, PictureId::Short(_)) { 1 } else { 2 })
    }
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Resolution {
    /// Pixels of a line.
    pub width: u16,
    /// Lines.
    pub height: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_the_width_it_replaces() {
        assert_eq!(PictureId::Short(3).with_value(128 + 5), PictureId::Short(5));
        assert_eq!(PictureId::Long(3).with_value(0x8000 + 5), PictureId::Long(5));
        assert_eq!(PictureId::Long(300).value(), 300);
    }
}
