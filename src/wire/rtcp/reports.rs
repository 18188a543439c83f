//! Sender and receiver reports (RFC 3550, section 6.4).

use super::{Fault, ParseError, split_words, ssrcs};
use crate::base::time::Duration;
use crate::wire::rtp::{RtpTime, Ssrc};

/// Seconds from NTP's epoch, 1900, to that of Unix, 1970.
const UNIX_EPOCH: u64 = 2_208_988_800;

/// Wall time as NTP writes it: seconds since 1900 in 32.32 fixed point (RFC 3550, section 4).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The time that long after Unix' epoch; the era of NTP wraps in 2036, as it does on the wire.
    pub const fn from_unix(since_epoch: Duration) -> NtpTime {
        let seconds = since_epoch.as_secs().wrapping_add(UNIX_EPOCH);
        // Nanoseconds are below 2^30, so the shifted value has 62 bits.
        let fraction = ((since_epoch.subsec_nanos() as u64) << 32) / 1_000_000_000;
        NtpTime(seconds << 32 | fraction)
    }

    /// The middle 32 bits, as the fields of reports have them: 16.16 fixed-point seconds.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A duration as a report's delay has it: units of 1/65,536 s, at most 18 hours.
pub(super) fn to_short(duration: Duration) -> u32 {
    u32::try_from((duration.as_micros() << 16) / 1_000_000).unwrap_or(u32::MAX)
}

/// What is left of the time since our report of the middle `last` when the other side's delay is taken
/// off; `None` for no report, a negative time and one above 60 s.
pub(super) fn round_trip(now: NtpTime, last: u32, delay: u32) -> Option<Duration> {
    if last == 0 {
        return None;
    }
    let since = now.middle().wrapping_sub(last);
    let units = u64::from(since.checked_sub(delay)?);
    (units <= 60 << 16).then(|| Duration::from_micros((units * 1_000_000) >> 16))
}

/// What a sender tells of its stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SenderInfo {
    /// The stream.
    pub ssrc: Ssrc,
    /// When the report was sent, on the sender's wall clock.
    pub ntp: NtpTime,
    /// The same moment on the stream's media clock.
    pub rtp_time: RtpTime,
    /// Packets sent so far; wraps.
    pub packet_count: u32,
    /// Payload bytes sent so far, without headers and padding; wraps.
    pub octet_count: u32,
}

/// How a stream arrives at somebody (RFC 3550, section 6.4.1).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: Ssrc,
    /// Packets lost since the last report, in 256ths of those expected.
    pub fraction_lost: u8,
    /// Packets lost in all, less duplicates: 24 bits with a sign, clamped when written.
    pub cumulative_lost: i32,
    /// The highest sequence number, extended to 32 bits.
    pub highest_seq: u32,
    /// Interarrival jitter in units of the media clock.
    pub jitter: u32,
    /// The [middle](NtpTime::middle) of the last sender report's time; zero if there was none.
    pub last_sr: u32,
    /// From that report's arrival to now, in units of 1/65,536 s; zero if there was none.
    pub delay_since_last_sr: u32,
}

impl ReportBlock {
    /// Bytes of a block.
    pub(super) const LEN: usize = 24;

    /// The delay field for a report that came that long ago.
    pub fn delay(since_last_sr: Duration) -> u32 {
        to_short(since_last_sr)
    }

    /// The time to the reporter and back, if it names one of our reports: `now` (our clock at the
    /// arrival of this block) less that report's time less the reporter's delay (RFC 3550,
    /// section 6.4.1). A negative time and one above 60 s are lies or faults: `None`.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        round_trip(now, self.last_sr, self.delay_since_last_sr)
    }

    fn parse(bytes: &[u8]) -> Option<ReportBlock> {
        let ([ssrc, lost, highest_seq, jitter, last_sr, delay_since_last_sr], _) = split_words(bytes)?;
        let [fraction_lost, ..] = lost.to_be_bytes();
        Some(ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost,
            // Shifted up and down to spread the sign of 24 bits.
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_seq,
            jitter,
            last_sr,
            delay_since_last_sr,
        })
    }

    pub(super) fn to_words(self) -> [u32; 6] {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
        [
            self.ssrc.0,
            u32::from(self.fraction_lost) << 24 | lost,
            self.highest_seq,
            self.jitter,
            self.last_sr,
            self.delay_since_last_sr,
        ]
    }
}

/// A sender report; extensions of a profile behind its blocks are not read.
#[derive(Debug, Clone, Copy)]
pub struct SenderReport<'a> {
    /// What the sender tells of its stream.
    pub info: SenderInfo,
    blocks: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let ([ssrc], rest) = ssrcs(body)?;
        let ([high, low, rtp_time, packet_count, octet_count], rest) =
            split_words(rest).ok_or(ParseError::at(4, Fault::SenderInfo))?;
        let info = SenderInfo {
            ssrc,
            ntp: NtpTime(u64::from(high) << 32 | u64::from(low)),
            rtp_time: RtpTime(rtp_time),
            packet_count,
            octet_count,
        };
        Ok(SenderReport { info, blocks: blocks(24, count, rest)? })
    }

    /// How other streams arrive at the sender, at most 31.
    pub fn reports(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.blocks.chunks_exact(ReportBlock::LEN).filter_map(ReportBlock::parse)
    }
}

/// A receiver report; extensions of a profile behind its blocks are not read.
#[derive(Debug, Clone, Copy)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let ([ssrc], rest) = ssrcs(body)?;
        Ok(ReceiverReport { ssrc, blocks: blocks(4, count, rest)? })
    }

    /// How streams arrive at the reporter, at most 31.
    pub fn reports(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        self.blocks.chunks_exact(ReportBlock::LEN).filter_map(ReportBlock::parse)
    }
}

/// As many blocks as are counted, `at` bytes into the body.
fn blocks(at: usize, count: u8, rest: &[u8]) -> Result<&[u8], ParseError> {
    let whole = rest.len() / ReportBlock::LEN * ReportBlock::LEN;
    let missing = ParseError::at(at + whole, Fault::ReportBlock);
    rest.get(..usize::from(count) * ReportBlock::LEN).ok_or(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_counts_from_1900_in_fractions_of_a_second() {
        let time = NtpTime::from_unix(Duration::from_millis(1_500));
        assert_eq!(time, NtpTime(2_208_988_801 << 32 | 1 << 31));
        assert_eq!(time.middle(), (2_208_988_801_u32 << 16) | 1 << 15);
    }

    #[test]
    fn a_round_trip_is_what_is_left_of_the_reporters_delay() {
        // The example of RFC 3550, section 6.4.1, figure 2.
        let now = NtpTime(0xb710_8000 << 16);
        let block =
            ReportBlock { last_sr: 0xb705_2000, delay_since_last_sr: 0x0005_4000, ..ReportBlock::default() };
        assert_eq!(block.round_trip(now), Some(Duration::from_millis(6_125)));
    }

    #[test]
    fn s_rtcp_07_no_report_makes_a_round_trip_negative_or_above_a_minute() {
        let now = NtpTime(1_000 << 32);
        let trip = |last_sr, delay_since_last_sr| {
            ReportBlock { last_sr, delay_since_last_sr, ..ReportBlock::default() }.round_trip(now)
        };
        assert_eq!(trip(0, 0), None, "no report yet");
        assert_eq!(trip(999 << 16, 2 << 16), None, "the delay is longer than the time");
        assert_eq!(trip(1_001 << 16, 0), None, "a report of the future");
        assert_eq!(trip(940 << 16, 0), Some(Duration::from_secs(60)));
        assert_eq!(trip((940 << 16) - 1, 0), None);
        assert_eq!(trip(998 << 16, 1 << 16), Some(Duration::from_secs(1)));
    }

    #[test]
    fn delays_are_65_536ths_of_a_second_and_saturate() {
        assert_eq!(ReportBlock::delay(Duration::from_millis(1_500)), 3 << 15);
        assert_eq!(ReportBlock::delay(Duration::MAX), u32::MAX);
    }

    #[test]
    fn cumulative_loss_has_24_bits_and_a_sign() {
        for (lost, read) in [(-1, -1), (0x7f_ffff, 0x7f_ffff), (i32::MAX, 0x7f_ffff), (i32::MIN, -0x80_0000)]
        {
            let block = ReportBlock { cumulative_lost: lost, fraction_lost: 9, ..ReportBlock::default() };
            let bytes: Vec<u8> = block.to_words().iter().flat_map(|word| word.to_be_bytes()).collect();
            let parsed = ReportBlock::parse(&bytes).expect("24 bytes");
            assert_eq!((parsed.cumulative_lost, parsed.fraction_lost), (read, 9));
        }
    }
}
