//! When a packet left, and when what it carries was captured.

use super::super::NoSpace;
use super::put;
use crate::base::time::Instant;

/// When a packet left: seconds in 6.18 fixed point that wrap every 64 s
/// (<http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time>). The origin means nothing,
/// differences do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AbsSendTime(u32);

impl AbsSendTime {
    /// The departure time `now`, rounded to the nearest.
    #[inline]
    pub const fn at(now: Instant) -> AbsSendTime {
        // Below 64 s in microseconds, so the product has 44 bits.
        let micros = now.as_micros() % 64_000_000;
        AbsSendTime((((micros << 18) + 500_000) / 1_000_000) as u32 & 0x00ff_ffff)
    }

    /// Reads the value; `None` if it is not three bytes.
    #[inline]
    pub const fn parse(value: &[u8]) -> Option<AbsSendTime> {
        match *value {
            [a, b, c] => Some(AbsSendTime(u32::from_be_bytes([0, a, b, c]))),
            _ => None,
        }
    }

    /// The value as it travels.
    #[inline]
    pub const fn to_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }

    /// Time from `other` to here by the shorter way, in steps of 2^-18 s: positive if this is later.
    #[inline]
    pub const fn offset_from(self, other: AbsSendTime) -> i32 {
        // Up into the highest bits and back: the sign is that of 24 bits.
        (self.0.wrapping_sub(other.0) << 8).cast_signed() >> 8
    }
}

/// Distance of a packet's departure from its timestamp, in units of the payload's clock (RFC 5450,
/// section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransmissionOffset(pub i32);

impl TransmissionOffset {
    /// Reads the value; `None` if it is not three bytes.
    pub const fn parse(value: &[u8]) -> Option<TransmissionOffset> {
        match *value {
            [a, b, c] => Some(TransmissionOffset(i32::from_be_bytes([a, b, c, 0]) >> 8)),
            _ => None,
        }
    }

    /// The value as it travels: what 24 bits do not hold is the nearest that they do.
    pub fn to_bytes(self) -> [u8; 3] {
        let [_, a, b, c] = self.0.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        [a, b, c]
    }
}

/// When a packet's first frame was captured, on the clock of who captured it
/// (<http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AbsCaptureTime {
    /// NTP time: seconds in 32.32 fixed point.
    pub captured: u64,
    /// What to add to get to the clock of who sends the packet, seconds in signed 32.32 fixed point;
    /// `None` if it does not say.
    pub clock_offset: Option<i64>,
}

impl AbsCaptureTime {
    /// Bytes of the longer form.
    pub const MAX_LEN: usize = 16;

    /// Reads the value; `None` if it is not 8 or 16 bytes.
    pub fn parse(value: &[u8]) -> Option<AbsCaptureTime> {
        let (captured, rest) = value.split_first_chunk()?;
        let captured = u64::from_be_bytes(*captured);
        let clock_offset = match rest {
            [] => None,
            _ => Some(i64::from_be_bytes(rest.try_into().ok()?)),
        };
        Some(AbsCaptureTime { captured, clock_offset })
    }

    /// Writes the value to the start of `buf` and returns its length, 8 or 16.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        match self.clock_offset {
            None => put(buf, &self.captured.to_be_bytes()),
            Some(offset) => {
                let bits = u128::from(self.captured) << 64 | u128::from(offset.cast_unsigned());
                put(buf, &bits.to_be_bytes())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn departure_times_are_18_bits_of_a_second_and_wrap_after_64_seconds() {
        let at = |micros| AbsSendTime::at(Instant::from_micros(micros)).to_bytes();
        assert_eq!(at(0), [0, 0, 0]);
        assert_eq!(at(1_500_000), [6, 0, 0]);
        assert_eq!(at(63_000_000), [0xfc, 0, 0]);
        assert_eq!(at(64_000_000), [0, 0, 0]);
        assert_eq!(at(63_999_999), [0, 0, 0], "rounded up and round");
        assert_eq!(at(u64::MAX), at(u64::MAX % 64_000_000));
    }

    #[test]
    fn differences_of_departure_times_take_the_shorter_way() {
        let at = |micros| AbsSendTime::at(Instant::from_micros(micros));
        assert_eq!(at(64_500_000).offset_from(at(63_500_000)), 1 << 18);
        assert_eq!(at(63_500_000).offset_from(at(64_500_000)), -(1 << 18));
        assert_eq!(at(32_000_000).offset_from(at(0)), -(32 << 18), "half the circle is behind");
    }

    #[test]
    fn rfc_5450_3_an_offset_is_signed_and_has_24_bits() {
        assert_eq!(TransmissionOffset::parse(&[0xff, 0xff, 0xfe]), Some(TransmissionOffset(-2)));
        assert_eq!(TransmissionOffset::parse(&[0x7f, 0xff, 0xff]), Some(TransmissionOffset(0x7f_ffff)));
        assert_eq!(TransmissionOffset(i32::MAX).to_bytes(), [0x7f, 0xff, 0xff]);
        assert_eq!(TransmissionOffset(i32::MIN).to_bytes(), [0x80, 0, 0]);
        assert_eq!(TransmissionOffset::parse(&[1, 2]), None);
    }

    #[test]
    fn a_capture_time_has_8_bytes_or_16() {
        let bytes = [0, 0, 0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0];
        let short = AbsCaptureTime { captured: 0x1_8000_0000, clock_offset: None };
        assert_eq!(AbsCaptureTime::parse(&bytes[..8]), Some(short));
        let long = AbsCaptureTime { clock_offset: Some(-0x8000_0000), ..short };
        assert_eq!(AbsCaptureTime::parse(&bytes), Some(long));
        for len in (0..8).chain(9..16) {
            assert_eq!(AbsCaptureTime::parse(&bytes[..len]), None);
        }
        assert_eq!(long.write(&mut [0; 15]), Err(NoSpace));
    }

    proptest! {
        #[test]
        fn times_survive_the_wire(bytes: [u8; 3], captured: u64, clock_offset: Option<i64>) {
            prop_assert_eq!(AbsSendTime::parse(&bytes).map(AbsSendTime::to_bytes), Some(bytes));
            prop_assert_eq!(TransmissionOffset::parse(&bytes).map(TransmissionOffset::to_bytes), Some(bytes));
            let (time, mut buf) = (AbsCaptureTime { captured, clock_offset }, [0; AbsCaptureTime::MAX_LEN]);
            let len = time.write(&mut buf).expect("room");
            prop_assert_eq!(AbsCaptureTime::parse(&buf[..len]), Some(time));
        }
    }
}
