//! The elements of a header extension (RFC 8285, section 4).

use std::iter::FusedIterator;

/// The profile of one-byte elements (RFC 8285, section 4.2).
pub(super) const ONE_BYTE: u16 = 0xbede;
/// The profile of two-byte elements; the lowest four bits are the application's (section 4.3).
pub(super) const TWO_BYTE: u16 = 0x1000;

/// Iterates over (local identifier, value) of a packet's header extension.
///
/// Padding is skipped. What follows the identifier 15 or an identifier 0 with a length in the
/// one-byte form is not read (RFC 8285, sections 4.1.2 and 4.2), nor is an element that runs past the
/// end; the elements in front of them count. Two-byte elements may be empty. A stream may mix both
/// forms from packet to packet: reading either needs no negotiation.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Extensions<'a> {
    #[inline]
    pub(super) fn new(profile: Option<u16>, elements: &'a [u8]) -> Self {
        match profile {
            Some(ONE_BYTE) => Extensions { rest: elements, two_byte: false },
            Some(profile) if profile & 0xfff0 == TWO_BYTE => Extensions { rest: elements, two_byte: true },
            _ => Extensions { rest: &[], two_byte: false },
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, rest) = self.rest.split_first()?;
            let (id, len, rest) = match (self.two_byte, first >> 4) {
                (false, id @ 1..=14) => (id, usize::from(first & 0x0f) + 1, rest),
                (true, _) if first != 0 => {
                    let Some((&len, rest)) = rest.split_first() else {
                        break;
                    };
                    (first, usize::from(len), rest)
                }
                _ if first == 0 => {
                    self.rest = rest;
                    continue;
                }
                _ => break,
            };
            let Some((value, rest)) = rest.split_at_checked(len) else {
                break;
            };
            self.rest = rest;
            return Some((id, value));
        }
        self.rest = &[];
        None
    }
}

impl FusedIterator for Extensions<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(profile: u16, elements: &[u8]) -> Vec<(u8, Vec<u8>)> {
        Extensions::new(Some(profile), elements).map(|(id, value)| (id, value.to_vec())).collect()
    }

    #[test]
    fn one_byte_elements_and_padding_between_them() {
        let elements = [0x10, 0xaa, 0, 0x21, 1, 2, 0, 0];
        assert_eq!(read(0xbede, &elements), [(1, vec![0xaa]), (2, vec![1, 2])]);
    }

    #[test]
    fn s_rtp_03_identifier_15_ends_the_one_byte_form() {
        assert_eq!(read(0xbede, &[0x10, 0xaa, 0xf0, 0xbb, 0x20, 0xcc]), [(1, vec![0xaa])]);
    }

    #[test]
    fn s_rtp_03_identifier_0_with_a_length_ends_the_one_byte_form() {
        assert_eq!(read(0xbede, &[0x10, 0xaa, 0x02, 1, 2, 3, 0x20, 0xcc]), [(1, vec![0xaa])]);
    }

    #[test]
    fn s_rtp_03_an_element_past_the_end_is_not_read() {
        assert_eq!(read(0xbede, &[0x10, 0xaa, 0x22, 1, 2]), [(1, vec![0xaa])]);
        assert_eq!(read(0x1000, &[1, 1, 0xaa, 2, 3, 1, 2]), [(1, vec![0xaa])]);
        assert_eq!(read(0x1000, &[0, 0, 0, 9]), [], "a length is missing");
    }

    #[test]
    fn s_rtp_03_two_byte_elements_have_any_length_and_any_appbits() {
        let long = [7; 255];
        let mut elements = vec![15, 0, 0, 200, 255];
        elements.extend_from_slice(&long);
        elements.extend_from_slice(&[14, 1, 3]);
        let expected = [(15, vec![]), (200, long.to_vec()), (14, vec![3])];
        for appbits in 0..16 {
            assert_eq!(read(0x1000 | appbits, &elements), expected);
        }
    }

    #[test]
    fn s_rtp_03_other_profiles_have_no_elements() {
        for profile in [0, 0x1010, 0x0fff, 0xbedf, 0xc0de, 0xc2de] {
            assert_eq!(read(profile, &[0x10, 0xaa, 0, 0]), []);
        }
    }
}
