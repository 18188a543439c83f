//! Bits, the most significant first.

use crate::wire::rtp::NoSpace;

/// Reads bits of borrowed bytes.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        BitReader { bytes, at: 0 }
    }

    /// The byte that is read next.
    pub(super) fn byte(&self) -> usize {
        self.at / 8
    }

    /// Up to 16 bits; `None` if they are not there.
    #[inline]
    pub(super) fn read(&mut self, count: u8) -> Option<u16> {
        let end = self.at + usize::from(count);
        if end > self.bytes.len() * 8 {
            return None;
        }
        // Sixteen bits begin anywhere in the first of three bytes; behind the last byte are zeros.
        let (first, shift) = (self.at / 8, self.at % 8);
        let byte = |index: usize| self.bytes.get(first + index).copied().unwrap_or(0);
        let window = u32::from_be_bytes([byte(0), byte(1), byte(2), 0]) << shift;
        self.at = end;
        // Shifted by 16 first, because a shift by 32 is none.
        Some((window >> 16 >> (16 - u32::from(count.min(16)))) as u16)
    }

    /// Passes over bits; `None` if they are not there.
    pub(super) fn skip(&mut self, count: u32) -> Option<()> {
        let end = self.at + count as usize;
        (end <= self.bytes.len() * 8).then(|| self.at = end)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.read(1)? != 0)
    }

    /// A number below `count` that takes one bit less where it can: ns(n) of the AV1 specification
    /// (section 4.10.7).
    pub(super) fn read_below(&mut self, count: u16) -> Option<u16> {
        let (width, short) = below(count);
        let value = self.read(width - 1)?;
        if value < short { Some(value) } else { Some(value * 2 - short + self.read(1)?) }
    }
}

/// Bits of the longer form, and how many numbers have the shorter.
fn below(count: u16) -> (u8, u16) {
    let width = (count.max(1).ilog2() + 1) as u8;
    (width, (1u32 << width) as u16 - count.max(1))
}

/// Writes bits to the start of a buffer.
#[derive(Debug)]
pub(super) struct BitWriter<'b> {
    buf: &'b mut [u8],
    at: usize,
}

impl<'b> BitWriter<'b> {
    pub(super) fn new(buf: &'b mut [u8]) -> BitWriter<'b> {
        BitWriter { buf, at: 0 }
    }

    /// The lowest `count` bits of a value.
    pub(super) fn write(&mut self, count: u8, value: u16) -> Result<(), NoSpace> {
        for bit in (0..count).rev() {
            let byte = self.buf.get_mut(self.at / 8).ok_or(NoSpace)?;
            let shift = 7 - self.at % 8;
            if shift == 7 {
                *byte = 0;
            }
            *byte |= u8::from(value >> bit & 1 != 0) << shift;
            self.at += 1;
        }
        Ok(())
    }

    pub(super) fn flag(&mut self, flag: bool) -> Result<(), NoSpace> {
        self.write(1, u16::from(flag))
    }

    /// The counterpart of [`BitReader::read_below`].
    pub(super) fn write_below(&mut self, count: u16, value: u16) -> Result<(), NoSpace> {
        let (width, short) = below(count);
        if value >= count {
            Err(NoSpace)
        } else if value < short {
            self.write(width - 1, value)
        } else {
            self.write(width, value + short)
        }
    }

    /// Bytes written, the last one filled up with zeros.
    pub(super) fn len(&self) -> usize {
        self.at.div_ceil(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_read_past_the_end() {
        let mut reader = BitReader::new(&[0b1010_0000, 0xff]);
        assert_eq!((reader.read(3), reader.read(0)), (Some(5), Some(0)));
        assert_eq!(reader.read(14), None);
        assert_eq!((reader.byte(), reader.read(13), reader.read(1)), (0, Some(0xff), None));
    }

    proptest! {
        #[test]
        fn bits_are_read_as_written(fields in proptest::collection::vec((1u8..=16, any::<u16>()), 0..20)) {
            let mut buf = [0xff; 40];
            let mut writer = BitWriter::new(&mut buf);
            for (count, value) in &fields {
                writer.write(*count, *value).expect("40 bytes");
            }
            let len = writer.len();
            let mut reader = BitReader::new(&buf[..len]);
            for (count, value) in fields {
                let mask = ((1u32 << count) - 1) as u16;
                prop_assert_eq!(reader.read(count), Some(value & mask));
            }
        }

        #[test]
        fn numbers_below_a_bound_are_read_as_written(count in 1u16..300, value in 0u16..300) {
            let mut buf = [0; 2];
            let mut writer = BitWriter::new(&mut buf);
            if value >= count {
                prop_assert_eq!(writer.write_below(count, value), Err(NoSpace));
            } else {
                writer.write_below(count, value).expect("two bytes");
                prop_assert_eq!(BitReader::new(&buf).read_below(count), Some(value));
            }
        }
    }
}
