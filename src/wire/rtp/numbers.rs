//! The numbers of an RTP header, each a type of its own.

use std::fmt;

/// A synchronization source: names one RTP stream (RFC 3550, section 3).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sequence number as it travels: 16 bits that wrap.
///
/// There is no order on it, as there is none on a circle: compare [`SeqNo`]s, or ask
/// [`WireSeq::offset_from`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WireSeq(pub u16);

impl WireSeq {
    /// The number that follows.
    #[inline]
    pub const fn next(self) -> WireSeq {
        self.add(1)
    }

    /// The number `count` further on.
    #[inline]
    pub const fn add(self, count: u16) -> WireSeq {
        WireSeq(self.0.wrapping_add(count))
    }

    /// The shorter way from `other` to here: positive if this is ahead. Half the circle counts as
    /// behind.
    #[inline]
    pub const fn offset_from(self, other: WireSeq) -> i16 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// An extended sequence number: the wire's 16 bits below a count of their wraps (the roll-over
/// counter of RFC 3711, section 3.3.1). It never wraps itself.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// The number nearest to `reference` that travels as `wire`.
    ///
    /// What lies before the beginning is answered with zero, so it counts as old whatever its wire
    /// form; a stream that must tell such packets apart begins one cycle up. Exactly half a cycle
    /// away counts as behind.
    #[inline]
    pub const fn extend(reference: SeqNo, wire: WireSeq) -> SeqNo {
        let offset = wire.offset_from(reference.wire());
        SeqNo(reference.0.saturating_add_signed(offset as i64))
    }

    /// The form that travels.
    #[inline]
    pub const fn wire(self) -> WireSeq {
        WireSeq(self.0 as u16)
    }

    /// The number that follows.
    #[inline]
    pub const fn next(self) -> SeqNo {
        SeqNo(self.0.saturating_add(1))
    }
}

/// A media timestamp in units of the payload's clock: 32 bits that wrap (RFC 3550, section 5.1).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// The time `ticks` later.
    #[inline]
    pub const fn add(self, ticks: u32) -> RtpTime {
        RtpTime(self.0.wrapping_add(ticks))
    }

    /// Ticks from `other` to here by the shorter way: positive if this is later.
    #[inline]
    pub const fn offset_from(self, other: RtpTime) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// A payload type: 7 bits, always below 128.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The payload type of that number; `None` from 128 on.
    #[inline]
    pub const fn new(number: u8) -> Option<PayloadType> {
        if number < 128 { Some(PayloadType(number)) } else { None }
    }

    /// That of a header's second byte, whose highest bit is the marker.
    #[inline]
    pub(super) const fn from_header(byte: u8) -> PayloadType {
        PayloadType(byte & 0x7f)
    }

    /// Its number, 0 to 127.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn extension_takes_the_nearest_number_on_both_sides_of_a_wrap() {
        let near = SeqNo(0x1_0002);
        assert_eq!(SeqNo::extend(near, WireSeq(0xfffe)), SeqNo(0xfffe));
        assert_eq!(SeqNo::extend(near, WireSeq(5)), SeqNo(0x1_0005));
        assert_eq!(SeqNo::extend(SeqNo(0xfffe), WireSeq(1)), SeqNo(0x1_0001));
    }

    #[test]
    fn extension_never_goes_below_zero() {
        assert_eq!(SeqNo::extend(SeqNo(5), WireSeq(0xfff0)), SeqNo(0));
        assert_eq!(SeqNo::extend(SeqNo(u64::MAX), WireSeq(9)), SeqNo(u64::MAX));
    }

    #[test]
    fn payload_types_have_seven_bits() {
        assert_eq!(PayloadType::new(127).map(PayloadType::get), Some(127));
        assert_eq!(PayloadType::new(128), None);
    }

    proptest! {
        #[test]
        fn extension_inverts_the_wire_form(base in 0x1_0000u64..1 << 48, ahead in -32_768i64..32_768) {
            let truth = SeqNo(base.saturating_add_signed(ahead));
            prop_assert_eq!(SeqNo::extend(SeqNo(base), truth.wire()), truth);
        }

        #[test]
        fn offsets_invert_addition(time: u32, ticks in 0u32..1 << 31) {
            prop_assert_eq!(RtpTime(time).add(ticks).offset_from(RtpTime(time)), ticks.cast_signed());
        }
    }
}
