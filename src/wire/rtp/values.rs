//! Values of the header extensions that an SFU reads or writes itself.

use crate::base::time::Instant;

use super::WireSeq;

/// Loudness of an audio packet (RFC 6464, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioLevel {
    /// Whether the sender believes that this is speech.
    pub voice: bool,
    /// In dB below the loudest: 0 is full scale, 127 is silence (-dBov).
    pub level: u8,
}

impl AudioLevel {
    /// Reads the value; `None` if it is not one byte.
    #[inline]
    pub const fn parse(value: &[u8]) -> Option<AudioLevel> {
        match *value {
            [byte] => Some(AudioLevel { voice: byte & 0x80 != 0, level: byte & 0x7f }),
            _ => None,
        }
    }

    /// The value as it travels; a level above 127 is 127.
    #[inline]
    pub const fn to_byte(self) -> u8 {
        let level = if self.level > 127 { 127 } else { self.level };
        level | (self.voice as u8) << 7
    }
}

/// The departure time `now` as the abs-send-time extension has it: seconds in 6.18 fixed point,
/// rounded to the nearest; wraps every 64 s. Its origin means nothing, differences do.
#[inline]
pub const fn abs_send_time(now: Instant) -> [u8; 3] {
    // Below 64 s in microseconds, so the product has 44 bits.
    let micros = now.as_micros() % 64_000_000;
    let [.., a, b, c] = (((micros << 18) + 500_000) / 1_000_000).to_be_bytes();
    [a, b, c]
}

/// Reads a transport-wide sequence number; `None` if it is not two bytes.
#[inline]
pub const fn transport_sequence_number(value: &[u8]) -> Option<WireSeq> {
    match *value {
        [a, b] => Some(WireSeq(u16::from_be_bytes([a, b]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_levels_survive_the_wire() {
        for byte in 0..=255u8 {
            let level = AudioLevel::parse(&[byte]).expect("one byte");
            assert_eq!((level.voice, level.level), (byte >= 128, byte % 128));
            assert_eq!(level.to_byte(), byte);
        }
        assert_eq!(AudioLevel::parse(&[]), None);
        assert_eq!(AudioLevel::parse(&[1, 2]), None);
    }

    #[test]
    fn departure_times_are_18_bits_of_a_second_and_wrap_after_64_seconds() {
        let at = |micros| abs_send_time(Instant::from_micros(micros));
        assert_eq!(at(0), [0, 0, 0]);
        assert_eq!(at(1_500_000), [6, 0, 0]);
        assert_eq!(at(63_000_000), [0xfc, 0, 0]);
        assert_eq!(at(64_000_000), [0, 0, 0]);
        assert_eq!(at(63_999_999), [0, 0, 0], "rounded up and round");
        assert_eq!(at(u64::MAX), at(u64::MAX % 64_000_000));
    }

    #[test]
    fn transport_numbers_have_two_bytes() {
        assert_eq!(transport_sequence_number(&[1, 2]), Some(WireSeq(0x0102)));
        assert_eq!(transport_sequence_number(&[1, 2, 3, 4]), None);
    }
}
