//! Reads a payload from its start, and knows where it is when something is missing.

use super::{Fault, ParseError};
use crate::wire::malformed::Malformed;

/// Bytes of a leb128 at most (AV1 specification, section 4.10.5).
const LEB128: usize = 8;

/// What is left of the bytes, and how many were read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes, at: 0 }
    }

    /// Bytes read so far.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The fault, at the place that is read next.
    #[inline]
    pub(super) fn fault(&self, fault: Fault) -> ParseError {
        Malformed::at(self.at, fault)
    }

    #[inline]
    pub(super) fn byte(&mut self, fault: Fault) -> Result<u8, ParseError> {
        let (first, rest) = self.rest.split_first().ok_or(self.fault(fault))?;
        (self.rest, self.at) = (rest, self.at + 1);
        Ok(*first)
    }

    #[inline]
    pub(super) fn word(&mut self, fault: Fault) -> Result<u16, ParseError> {
        let (word, rest) = self.rest.split_first_chunk().ok_or(self.fault(fault))?;
        (self.rest, self.at) = (rest, self.at + 2);
        Ok(u16::from_be_bytes(*word))
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize, fault: Fault) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(self.fault(fault))?;
        (self.rest, self.at) = (rest, self.at + len);
        Ok(taken)
    }

    /// A little-endian base-128 number of at most 32 bits; longer forms of small numbers are allowed
    /// up to eight bytes, as the AV1 specification has them (section 4.10.5).
    pub(super) fn leb128(&mut self, fault: Fault) -> Result<u32, ParseError> {
        let refused = self.fault(fault);
        let mut value = 0u64;
        for index in 0..LEB128 {
            let byte = self.byte(fault).map_err(|_| refused)?;
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| refused);
            }
        }
        Err(refused)
    }
}

/// Writes a leb128 in its shortest form and returns its bytes; `None` if they do not fit.
pub(super) fn write_leb128(buf: &mut [u8], mut value: u32) -> Option<usize> {
    let mut len = 0;
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        *buf.get_mut(len)? = byte | u8::from(value != 0) << 7;
        len += 1;
        if value == 0 {
            return Some(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leb128(bytes: &[u8]) -> Result<u32, ParseError> {
        Cursor::new(bytes).leb128(Fault::Av1Length)
    }

    #[test]
    fn s_desc_01_over_long_leb128_is_refused_where_it_begins() {
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26]), Ok(624_485));
        assert_eq!(
            leb128(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
            Ok(0),
            "eight bytes are allowed"
        );
        let refused = Err(Malformed::at(0, Fault::Av1Length));
        assert_eq!(leb128(&[0x80; 9]), refused, "nine are not");
        assert_eq!(leb128(&[0x80, 0x80]), refused, "cut");
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x1f]), refused, "33 bits");
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(u32::MAX));
    }

    proptest! {
        #[test]
        fn leb128_is_read_as_written(value: u32) {
            let mut buf = [0; 5];
            let len = write_leb128(&mut buf, value).expect("five bytes hold 32 bits");
            prop_assert_eq!(leb128(&buf[..len]), Ok(value));
            prop_assert_eq!(write_leb128(&mut buf[..len - 1], value), None);
        }
    }
}
