//! The headers of forward error correction: which packets a repair packet protects, and what it knows
//! of their headers.
//!
//! [`Ulp`] is RFC 5109, which travels inside redundant payloads ([`red`](super::red)); [`Flex`] is
//! FlexFEC on a stream of its own, as browsers send it (draft-ietf-payload-flexible-fec-scheme-03) and
//! as RFC 8627 has it. [`Ulp::write`], [`FlexRepair::write_03`] and [`FlexRepair::write`] are their
//! opposites. Packets are neither recovered nor protected here: what the exclusive or of some is, the
//! caller knows. Whoever recovers one parses it like any other.

mod flex;
mod ulp;

pub use flex::{Coverage, Flex, FlexRepair, FlexStream};
pub use ulp::{Ulp, UlpLevel};

use super::{NoSpace, PayloadType, WireSeq};
use crate::wire::malformed::Malformed;

/// The field of a FEC payload that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The payload ends inside the header that all kinds begin with.
    #[error("the payload ends inside the FEC header")]
    Header,
    /// The payload ends inside the header of a protection level.
    #[error("the payload ends inside the header of a FEC level")]
    Level,
    /// A level protects more bytes than the payload has.
    #[error("a FEC level ends after the payload")]
    Protection,
    /// The payload ends inside the part of the header that is about one stream.
    #[error("the payload ends inside the FEC header of a stream")]
    Stream,
    /// No stream, or more levels or streams than [`FEC_LEVELS`](crate::limits::FEC_LEVELS) and
    /// [`FEC_STREAMS`](crate::limits::FEC_STREAMS).
    #[error("the FEC header is about no stream or too many")]
    Count,
    /// No packet is protected, or the mask does not end.
    #[error("the FEC mask protects nothing or does not end")]
    Mask,
    /// The kind of FlexFEC packet that is reserved.
    #[error("the FEC packet is of a kind that is reserved")]
    Reserved,
    /// What is sent again as FlexFEC is not a packet.
    #[error("the packet that is sent again as FEC is malformed")]
    Packet,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 8] = [
        Self::Header,
        Self::Level,
        Self::Protection,
        Self::Stream,
        Self::Count,
        Self::Mask,
        Self::Reserved,
        Self::Packet,
    ];

    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "fec.header",
            Self::Level => "fec.level",
            Self::Protection => "fec.protection",
            Self::Stream => "fec.stream",
            Self::Count => "fec.count",
            Self::Mask => "fec.mask",
            Self::Reserved => "fec.reserved",
            Self::Packet => "fec.packet",
        }
    }
}

/// Why bytes are not a FEC payload.
pub type ParseError = Malformed<Fault>;

/// The exclusive or of the protected packets' header fields: the missing packet's, once those of the
/// others were taken out again (RFC 5109, section 7.3; RFC 8627, section 4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Of the padding bits.
    pub padding: bool,
    /// Of the extension bits.
    pub extension: bool,
    /// Of the counts of contributing sources, 0 to 15.
    pub csrc_count: u8,
    /// Of the markers.
    pub marker: bool,
    /// Of the payload types.
    pub payload_type: PayloadType,
    /// Of the lengths behind the fixed header, in bytes.
    pub len: u16,
    /// Of the timestamps.
    pub timestamp: u32,
}

impl Recovery {
    fn read(first: u8, second: u8, len: [u8; 2], timestamp: [u8; 4]) -> Recovery {
        Recovery {
            padding: first & 0x20 != 0,
            extension: first & 0x10 != 0,
            csrc_count: first & 0x0f,
            marker: second & 0x80 != 0,
            payload_type: PayloadType::from_header(second),
            len: u16::from_be_bytes(len),
            timestamp: u32::from_be_bytes(timestamp),
        }
    }

    /// The first two bytes of a header, behind the two bits that tell its kind.
    fn to_head(self, kind: u8) -> Result<[u8; 2], NoSpace> {
        if self.csrc_count > 0x0f {
            return Err(NoSpace);
        }
        let flags = u8::from(self.padding) << 5 | u8::from(self.extension) << 4 | self.csrc_count;
        Ok([kind | flags, u8::from(self.marker) << 7 | self.payload_type.get()])
    }
}

/// Writes bytes to the start of `buf` and returns what is behind them.
fn put<'b>(buf: &'b mut [u8], bytes: &[u8]) -> Result<&'b mut [u8], NoSpace> {
    let (place, rest) = buf.split_at_mut_checked(bytes.len()).ok_or(NoSpace)?;
    place.copy_from_slice(bytes);
    Ok(rest)
}

/// Which packets are protected, counted from a first number; up to 110 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask {
    /// The highest bit is the first number.
    bits: u128,
    len: u8,
}

impl Mask {
    const EMPTY: Mask = Mask { bits: 0, len: 0 };
    /// The widest there is.
    const WIDEST: u8 = 110;

    /// A mask of `width` numbers that protects those at `offsets` from the first. `None` if one lies
    /// outside or the mask is wider than 110; which widths a header has its writer knows.
    pub fn new(width: u8, offsets: impl IntoIterator<Item = u8>) -> Option<Mask> {
        let mut mask = Mask { bits: 0, len: width };
        for offset in offsets {
            if offset >= width || width > Mask::WIDEST {
                return None;
            }
            mask.bits |= 1 << (127 - offset);
        }
        (width <= Mask::WIDEST).then_some(mask)
    }

    /// The `len` bits from `from` on, 64 of them at most, as a number.
    fn part(self, from: u8, len: u8) -> u64 {
        // No more bits than asked for are left.
        (self.bits << from >> (128 - u32::from(len))) as u64
    }

    /// Appends the lowest `len` bits of `bits`, the highest of them first.
    fn push(self, bits: u64, len: u8) -> Mask {
        // Longest is 15, 31 and 64 bits, one behind the other: 110 of 128.
        let bits = u128::from(bits) << (128 - u32::from(len)) >> self.len;
        Mask { bits: self.bits | bits, len: self.len + len }
    }

    /// Whether none is protected.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// How many numbers the mask is about.
    pub fn width(self) -> u8 {
        self.len
    }

    /// How many packets are protected.
    pub fn count(self) -> u32 {
        self.bits.count_ones()
    }

    /// Distances of the protected packets from the first number, ascending.
    pub fn offsets(self) -> impl Iterator<Item = u8> {
        let protected = move |at: &u8| self.bits >> (127 - at) & 1 != 0;
        (0..self.len).filter(protected)
    }

    /// The numbers of the protected packets, if `base` is the first of the mask.
    pub fn numbers(self, base: WireSeq) -> impl Iterator<Item = WireSeq> {
        self.offsets().map(move |offset| base.add(u16::from(offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_own_name_and_place() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
            assert_eq!(Fault::ALL.iter().filter(|other| other.name() == fault.name()).count(), 1);
        }
    }

    #[test]
    fn masks_are_made_of_the_offsets_that_they_tell() {
        let mask = Mask::new(110, [109, 0, 46]).expect("within");
        assert!(mask.offsets().eq([0, 46, 109]));
        assert_eq!((mask.part(0, 15), mask.part(15, 31), mask.part(46, 64)), (1 << 14, 0, 1 << 63 | 1));
        assert_eq!(Mask::new(16, [16]), None);
        assert_eq!(Mask::new(111, []), None);
        assert_eq!(Mask::new(255, [200]), None);
        assert!(Mask::new(15, []).is_some_and(Mask::is_empty));
    }

    #[test]
    fn masks_are_read_from_their_highest_bit() {
        let mask = Mask::EMPTY.push(0b101, 3).push(1, 31).push(1 << 63 | 1, 64);
        assert!(mask.offsets().eq([0, 2, 33, 34, 97]));
        assert_eq!((mask.width(), mask.count(), mask.is_empty()), (98, 5, false));
        let numbers = Mask::EMPTY.push(0x8001, 16).numbers(WireSeq(65_530));
        assert!(numbers.eq([WireSeq(65_530), WireSeq(9)]), "around the wrap");
    }
}
