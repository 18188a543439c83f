//! The rate a receiver believes it can take (draft-alvestrand-rmcat-remb-03).

use super::{Fault, ParseError, split_words, ssrcs};
use crate::base::units::Bitrate;
use crate::wire::rtp::Ssrc;

const NAME: u32 = u32::from_be_bytes(*b"REMB");

/// Bits of the mantissa.
const MANTISSA: u32 = 18;

/// Receiver estimated maximum bitrate.
#[derive(Debug, Clone, Copy)]
pub struct Remb<'a> {
    /// Who receives.
    pub sender: Ssrc,
    /// The sum over [`Remb::ssrcs`]; saturates, for the exponent reaches beyond 64 bits.
    pub bitrate: Bitrate,
    ssrcs: &'a [u8],
}

impl<'a> Remb<'a> {
    /// Whether the application-layer feedback in `body` is of this kind.
    pub(super) fn is_one(body: &[u8]) -> bool {
        matches!(split_words(body), Some(([_, _, NAME], _)))
    }

    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ([sender, _], rest) = ssrcs(body)?;
        let ([_, rate], rest) = split_words(rest).ok_or(ParseError::at(12, Fault::EstimateRate))?;
        let [count, ..] = rate.to_be_bytes();
        let exponent = rate >> MANTISSA & 0x3f;
        let mantissa = rate & ((1 << MANTISSA) - 1);
        // At most 18 bits shifted by 63.
        let bps = u64::try_from(u128::from(mantissa) << exponent).unwrap_or(u64::MAX);
        let missing = ParseError::at(16 + rest.len() / 4 * 4, Fault::EstimateStream);
        let ssrcs = rest.get(..usize::from(count) * 4).ok_or(missing)?;
        Ok(Remb { sender, bitrate: Bitrate::from_bps(bps), ssrcs })
    }

    /// The streams that share the rate.
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + use<'a> {
        self.ssrcs.as_chunks::<4>().0.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }
}

/// The words between the two sources and the list of streams. The rate is rounded down: never more is
/// promised than was asked for.
pub(super) fn to_words(bitrate: Bitrate, count: u8) -> [u32; 2] {
    let bps = bitrate.as_bps();
    let exponent = (u64::BITS - bps.leading_zeros()).saturating_sub(MANTISSA);
    // Below 2^18 after the shift.
    let mantissa = (bps >> exponent) as u32;
    [NAME, u32::from(count) << 24 | exponent << MANTISSA | mantissa]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(rate: u32, rest: &[u8]) -> Vec<u8> {
        let words = [1, 0, NAME, rate];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        bytes.extend_from_slice(rest);
        bytes
    }

    fn rate_of(word: u32) -> u64 {
        let body = body(word, &[]);
        assert!(Remb::is_one(&body));
        Remb::parse(&body).expect("well formed").bitrate.as_bps()
    }

    #[test]
    fn s_rtcp_05_extreme_mantissas_and_exponents_saturate() {
        assert_eq!(rate_of(0x00ff_ffff), u64::MAX);
        assert_eq!(rate_of(63 << 18 | 1), 1 << 63);
        assert_eq!(rate_of(63 << 18), 0);
    }

    #[test]
    fn s_rtcp_01_more_streams_than_present_are_refused() {
        let two = [0, 0, 0, 8, 0, 0, 0, 9];
        let missing = ParseError::at(24, Fault::EstimateStream);
        assert_eq!(Remb::parse(&body(3 << 24, &two)).err(), Some(missing));
        assert_eq!(Remb::parse(&body(0, &[])[..14]).err(), Some(ParseError::at(12, Fault::EstimateRate)));
        let body = body(2 << 24, &two);
        assert!(Remb::parse(&body).expect("well formed").ssrcs().eq([Ssrc(8), Ssrc(9)]));
    }

    proptest! {
        #[test]
        fn rates_are_rounded_down_by_less_than_a_131_072th(bits in 0u32..=64, noise: u64) {
            let bps = noise.checked_shr(64 - bits).unwrap_or(0);
            let [_, word] = to_words(Bitrate::from_bps(bps), 0);
            let read = rate_of(word);
            prop_assert!(read <= bps && bps - read <= bps >> 17);
        }
    }
}
