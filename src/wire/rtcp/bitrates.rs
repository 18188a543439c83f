//! Limits of a stream's bit rate that receivers ask for: TMMBR and TMMBN (RFC 5104, section 4.2).

use super::{Fault, ParseError, Writer, format, packet_type, ssrcs};
use crate::base::units::Bitrate;
use crate::wire::rtp::{NoSpace, Ssrc};

/// Bits of the mantissa and of the overhead behind it.
const MANTISSA: u32 = 17;
const OVERHEAD: u32 = 9;

/// Requests to keep streams below a bit rate (RFC 5104, section 4.2.1). The media source in its header
/// means nothing.
#[derive(Debug, Clone, Copy)]
pub struct Tmmbr<'a> {
    /// Who asks.
    pub sender: Ssrc,
    entries: &'a [[u8; 8]],
}

/// The limits that a stream's sender obeys (RFC 5104, section 4.2.2).
#[derive(Debug, Clone, Copy)]
pub struct Tmmbn<'a> {
    /// Who sends the stream.
    pub sender: Ssrc,
    entries: &'a [[u8; 8]],
}

/// One limit of a [`Tmmbr`] or [`Tmmbn`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitrateLimit {
    /// In a request the stream, in a notification who asked.
    pub ssrc: Ssrc,
    /// The limit, headers of [`overhead`](Self::overhead) bytes a packet included; saturates, for the
    /// exponent reaches beyond 64 bits.
    pub bitrate: Bitrate,
    /// Bytes of headers that the limit's owner counts for each packet, from IP upwards: nine bits.
    pub overhead: u16,
}

impl<'a> Tmmbr<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        match entries(body)? {
            (_, []) => Err(ParseError::at(8, Fault::BitrateLimit)),
            (sender, entries) => Ok(Tmmbr { sender, entries }),
        }
    }

    /// The limits, one for each eight bytes.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = BitrateLimit> + use<'a> {
        self.entries.iter().map(BitrateLimit::parse)
    }
}

impl<'a> Tmmbn<'a> {
    /// A notification may be empty: there is no limit.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let (sender, entries) = entries(body)?;
        Ok(Tmmbn { sender, entries })
    }

    /// The limits, one for each eight bytes.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = BitrateLimit> + use<'a> {
        self.entries.iter().map(BitrateLimit::parse)
    }
}

impl BitrateLimit {
    fn parse(&[a, b, c, d, rate @ ..]: &[u8; 8]) -> BitrateLimit {
        let rate = u32::from_be_bytes(rate);
        let exponent = rate >> (MANTISSA + OVERHEAD);
        let mantissa = rate >> OVERHEAD & ((1 << MANTISSA) - 1);
        // At most 17 bits shifted by 63.
        let bps = u64::try_from(u128::from(mantissa) << exponent).unwrap_or(u64::MAX);
        BitrateLimit {
            ssrc: Ssrc(u32::from_be_bytes([a, b, c, d])),
            bitrate: Bitrate::from_bps(bps),
            // Nine bits.
            overhead: (rate & ((1 << OVERHEAD) - 1)) as u16,
        }
    }

    fn to_words(self) -> [u32; 2] {
        let bps = self.bitrate.as_bps();
        let exponent = (u64::BITS - bps.leading_zeros()).saturating_sub(MANTISSA);
        // Seventeen bits.
        let mantissa = (bps >> exponent) as u32;
        [self.ssrc.0, exponent << (MANTISSA + OVERHEAD) | mantissa << OVERHEAD | u32::from(self.overhead)]
    }
}

impl Writer<'_> {
    /// Asks that streams stay below bit rates (RFC 5104, section 4.2.1), each rounded down to 17
    /// significant bits. Nothing is written if there are none.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too short, or an overhead has more than nine bits.
    pub fn tmmbr(&mut self, sender: Ssrc, limits: &[BitrateLimit]) -> Result<(), NoSpace> {
        if limits.is_empty() {
            return Ok(());
        }
        self.limits(format::BITRATE_REQUEST, sender, limits)
    }

    /// Tells which limits a stream's sender obeys (RFC 5104, section 4.2.2), each rounded down to 17
    /// significant bits; without one it has no limit.
    ///
    /// # Errors
    /// The same as for [`tmmbr`](Self::tmmbr).
    pub fn tmmbn(&mut self, sender: Ssrc, limits: &[BitrateLimit]) -> Result<(), NoSpace> {
        self.limits(format::BITRATE_NOTIFICATION, sender, limits)
    }

    fn limits(&mut self, format: u8, sender: Ssrc, limits: &[BitrateLimit]) -> Result<(), NoSpace> {
        if limits.iter().any(|limit| limit.overhead >> OVERHEAD != 0) {
            return Err(NoSpace);
        }
        let words = [sender.0, 0].into_iter().chain(limits.iter().flat_map(|limit| limit.to_words()));
        self.words(format, packet_type::TRANSPORT_FEEDBACK, 2 + 2 * limits.len(), words)
    }
}

fn entries(body: &[u8]) -> Result<(Ssrc, &[[u8; 8]]), ParseError> {
    let ([sender, _], rest) = ssrcs(body)?;
    match rest.as_chunks() {
        (entries, []) => Ok((sender, entries)),
        (entries, _) => Err(ParseError::at(8 + 8 * entries.len(), Fault::BitrateLimit)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compound, Packet};
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn body(rates: &[u32]) -> Vec<u8> {
        let words = [1, 0].into_iter().chain(rates.iter().flat_map(|rate| [2, *rate]));
        words.flat_map(u32::to_be_bytes).collect()
    }

    fn limit(rate: u32) -> BitrateLimit {
        let body = body(&[rate]);
        let request = Tmmbr::parse(&body).expect("well formed");
        assert_eq!((request.sender, request.entries().len()), (Ssrc(1), 1));
        request.entries().next().expect("one")
    }

    #[test]
    fn rfc_5104_4_2_1_1_exponent_mantissa_and_overhead() {
        let read = limit(3 << 26 | 0x1_0001 << 9 | 0x1ff);
        let bitrate = Bitrate::from_bps(0x1_0001 << 3);
        assert_eq!(read, BitrateLimit { ssrc: Ssrc(2), bitrate, overhead: 511 });
    }

    #[test]
    fn s_rtcp_05_extreme_limits_saturate() {
        assert_eq!(limit(0xffff_fe00).bitrate.as_bps(), u64::MAX);
        assert_eq!(limit(63 << 26 | 1 << 9).bitrate.as_bps(), 1 << 63);
        assert_eq!(limit(63 << 26).bitrate.as_bps(), 0);
    }

    #[test]
    fn overheads_of_more_than_nine_bits_are_refused_and_empty_requests_not_written() {
        let limit = BitrateLimit { ssrc: Ssrc(2), bitrate: Bitrate::ZERO, overhead: 512 };
        let mut buf = [0; 64];
        let mut writer = Writer::new(&mut buf);
        assert_eq!(writer.tmmbr(Ssrc(1), &[limit]), Err(NoSpace));
        assert_eq!(writer.tmmbn(Ssrc(1), &[limit]), Err(NoSpace));
        assert_eq!(writer.tmmbr(Ssrc(1), &[]), Ok(()));
        assert!(writer.is_empty());
    }

    proptest! {
        #[test]
        fn limits_survive_the_wire(
            limits in vec((any::<u32>(), any::<u64>(), 0u32..64, 0u16..512), 0..20),
            sender: u32,
        ) {
            let limit = |&(ssrc, bps, shift, overhead): &(u32, u64, u32, u16)| {
                BitrateLimit { ssrc: Ssrc(ssrc), bitrate: Bitrate::from_bps(bps >> shift), overhead }
            };
            let limits: Vec<_> = limits.iter().map(limit).collect();
            let mut buf = [0; 400];
            for request in [true, false] {
                let mut writer = Writer::new(&mut buf);
                let write = if request { Writer::tmmbr } else { Writer::tmmbn };
                write(&mut writer, Ssrc(sender), &limits).expect("room");
                let len = writer.len();
                if request && limits.is_empty() {
                    prop_assert_eq!(len, 0);
                    continue;
                }
                let compound = Compound::parse(&buf[..len]).expect("what is written can be read");
                let (from, read): (_, Vec<_>) = match compound.packets().next() {
                    Some(Packet::Tmmbr(read)) if request => (read.sender, read.entries().collect()),
                    Some(Packet::Tmmbn(read)) if !request => (read.sender, read.entries().collect()),
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!((from, read.len()), (Ssrc(sender), limits.len()));
                for (read, limit) in read.iter().zip(&limits) {
                    prop_assert_eq!((read.ssrc, read.overhead), (limit.ssrc, limit.overhead));
                    let [read, limit] = [read.bitrate.as_bps(), limit.bitrate.as_bps()];
                    prop_assert!(read <= limit && limit - read <= limit >> 16, "{} for {}", read, limit);
                }
            }
        }
    }

    #[test]
    fn s_rtcp_01_limits_are_whole_and_a_request_has_one() {
        let at = |offset| Some(ParseError::at(offset, Fault::BitrateLimit));
        assert_eq!(Tmmbr::parse(&body(&[])).err(), at(8));
        assert_eq!(Tmmbn::parse(&body(&[])).expect("no limit").entries().len(), 0);
        for cut in 1..8 {
            let body = body(&[1, 2]);
            assert_eq!(Tmmbr::parse(&body[..24 - cut]).err(), at(16));
            assert_eq!(Tmmbn::parse(&body[..24 - cut]).err(), at(16));
        }
        assert_eq!(Tmmbn::parse(&[0; 7]).err(), Some(ParseError::at(4, Fault::Ssrc)));
    }
}
