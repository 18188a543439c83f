//! Extended reports (RFC 3611): the round trip of somebody who sends nothing.

use super::{Fault, NtpTime, ParseError, Writer, packet_type, split_words, ssrcs};
use crate::base::time::Duration;
use crate::wire::rtp::{NoSpace, Ssrc};

/// Types of blocks (RFC 3611, sections 4.4 and 4.5).
const REFERENCE_TIME: u8 = 4;
const REPORT_DELAY: u8 = 5;

/// Blocks of measurements by one receiver (RFC 3611, section 2).
#[derive(Debug, Clone, Copy)]
pub struct ExtendedReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    blocks: &'a [u8],
}

/// One block of an [`ExtendedReport`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ExtendedBlock<'a> {
    /// When the report was sent, on its sender's wall clock (RRTR; RFC 3611, section 4.4).
    ReferenceTime(NtpTime),
    /// The answers to such times (DLRR; RFC 3611, section 4.5).
    ReportDelays(ReportDelays<'a>),
    /// Any other: well framed, not looked into.
    Other {
        /// The block's type.
        kind: u8,
        /// Eight bits whose meaning the type defines.
        specific: u8,
        /// What follows the block's header of four bytes.
        body: &'a [u8],
    },
}

/// Delays since the last receiver reference times of several receivers.
#[derive(Debug, Clone, Copy)]
pub struct ReportDelays<'a> {
    entries: &'a [u8],
}

/// How long ago a receiver's reference time came.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ReportDelay {
    /// The receiver.
    pub ssrc: Ssrc,
    /// The [middle](NtpTime::middle) of the last time that it sent; zero if there was none.
    pub last_rr: u32,
    /// From its arrival to now, in units of 1/65,536 s; zero if there was none.
    pub delay_since_last_rr: u32,
}

impl<'a> ExtendedReport<'a> {
    /// Walks over all blocks once; those of other types are skipped by their length.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ([ssrc], blocks) = ssrcs(body)?;
        let mut rest = blocks;
        while !rest.is_empty() {
            // `rest` is a suffix of the body.
            let at = body.len() - rest.len();
            rest = ExtendedBlock::split_first(rest).map_err(|error| error.within(at))?.1;
        }
        Ok(ExtendedReport { ssrc, blocks })
    }

    /// The blocks in order.
    pub fn blocks(&self) -> impl Iterator<Item = ExtendedBlock<'a>> + use<'a> {
        let mut rest = self.blocks;
        std::iter::from_fn(move || {
            // Walked without an error when it was parsed; an error is the end.
            let (block, behind) = ExtendedBlock::split_first(rest).ok()?;
            rest = behind;
            Some(block)
        })
    }
}

impl<'a> ExtendedBlock<'a> {
    fn split_first(blocks: &'a [u8]) -> Result<(ExtendedBlock<'a>, &'a [u8]), ParseError> {
        let cut = ParseError::at(0, Fault::ExtendedBlock);
        let (&[kind, specific, l0, l1], rest) = blocks.split_first_chunk::<4>().ok_or(cut)?;
        let len = usize::from(u16::from_be_bytes([l0, l1])) * 4;
        let (body, rest) = rest.split_at_checked(len).ok_or(cut)?;
        let block = match kind {
            REFERENCE_TIME => {
                let time = body.try_into().map_err(|_| ParseError::at(0, Fault::ReferenceTime))?;
                ExtendedBlock::ReferenceTime(NtpTime(u64::from_be_bytes(time)))
            }
            REPORT_DELAY if len.is_multiple_of(ReportDelay::LEN) => {
                ExtendedBlock::ReportDelays(ReportDelays { entries: body })
            }
            REPORT_DELAY => return Err(ParseError::at(0, Fault::ReportDelay)),
            _ => ExtendedBlock::Other { kind, specific, body },
        };
        Ok((block, rest))
    }
}

impl<'a> ReportDelays<'a> {
    /// One entry for each receiver.
    pub fn entries(&self) -> impl Iterator<Item = ReportDelay> + use<'a> {
        self.entries.chunks_exact(ReportDelay::LEN).filter_map(|entry| {
            let ([ssrc, last_rr, delay_since_last_rr], _) = split_words(entry)?;
            Some(ReportDelay { ssrc: Ssrc(ssrc), last_rr, delay_since_last_rr })
        })
    }
}

impl ReportDelay {
    /// Bytes of an entry.
    const LEN: usize = 12;

    /// The time to the answering side and back, `now` being our clock at the arrival of this entry:
    /// as [`ReportBlock::round_trip`](super::ReportBlock::round_trip) has it.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        super::reports::round_trip(now, self.last_rr, self.delay_since_last_rr)
    }
}

impl Writer<'_> {
    /// Writes an extended report of up to two blocks: our time, if there is one, and answers to
    /// receivers' times (RFC 3611, sections 4.4 and 4.5). Nothing is written if there is neither.
    ///
    /// # Errors
    /// [`NoSpace`] also for more answers than 16 bits of length can say, 21,845.
    pub fn extended_report(
        &mut self,
        ssrc: Ssrc,
        reference_time: Option<NtpTime>,
        delays: &[ReportDelay],
    ) -> Result<(), NoSpace> {
        let header = |kind, words: u16| u32::from(kind) << 24 | u32::from(words);
        // The halves of 64 bits.
        let time = |NtpTime(ntp)| [header(REFERENCE_TIME, 2), (ntp >> 32) as u32, ntp as u32];
        let time = reference_time.map(time);
        let delay_words = u16::try_from(3 * delays.len()).map_err(|_| NoSpace)?;
        let delay_header = (!delays.is_empty()).then_some(header(REPORT_DELAY, delay_words));
        let len = 3 * time.iter().len() + delay_header.iter().len() + usize::from(delay_words);
        if len == 0 {
            return Ok(());
        }
        let entry = |delay: &ReportDelay| [delay.ssrc.0, delay.last_rr, delay.delay_since_last_rr];
        let words = std::iter::once(ssrc.0)
            .chain(time.into_iter().flatten())
            .chain(delay_header)
            .chain(delays.iter().flat_map(entry));
        self.words(0, packet_type::EXTENDED_REPORT, 1 + len, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(blocks: &[&[u8]]) -> Vec<u8> {
        [&[0, 0, 0, 7][..], &blocks.concat()].concat()
    }

    #[test]
    fn rfc_3611_4_4_and_4_5_times_and_their_answers() {
        let time = [4, 0, 0, 2, 0, 0, 0, 1, 0x80, 0, 0, 0];
        let voip = [7, 9, 0, 1, 1, 2, 3, 4];
        let delay = [5, 0, 0, 3, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0x80, 0];
        let body = body(&[&time, &voip, &delay]);
        let report = ExtendedReport::parse(&body).expect("well formed");
        assert_eq!(report.ssrc, Ssrc(7));
        let blocks: Vec<_> = report.blocks().collect();
        let [
            ExtendedBlock::ReferenceTime(ntp),
            ExtendedBlock::Other { kind: 7, specific: 9, body: [1, 2, 3, 4] },
            ExtendedBlock::ReportDelays(delays),
        ] = blocks[..]
        else {
            panic!("{blocks:?}");
        };
        assert_eq!(ntp, NtpTime(1 << 32 | 1 << 31));
        let entry = ReportDelay { ssrc: Ssrc(8), last_rr: 1 << 16, delay_since_last_rr: 1 << 15 };
        assert!(delays.entries().eq([entry]));
        assert_eq!(entry.round_trip(NtpTime(2 << 32)), Some(Duration::from_millis(500)));
    }

    #[test]
    fn s_rtcp_08_blocks_stay_inside_the_report() {
        let refused = |blocks: &[&[u8]]| ExtendedReport::parse(&body(blocks)).err();
        assert_eq!(refused(&[&[9, 0, 0, 1]]), Some(ParseError::at(4, Fault::ExtendedBlock)));
        assert_eq!(refused(&[&[9, 0, 0, 0], &[9, 0]]), Some(ParseError::at(8, Fault::ExtendedBlock)));
        assert_eq!(refused(&[&[4, 0, 0, 1, 0, 0, 0, 0]]), Some(ParseError::at(4, Fault::ReferenceTime)));
        assert_eq!(refused(&[&[5, 0, 0, 1, 0, 0, 0, 0]]), Some(ParseError::at(4, Fault::ReportDelay)));
        assert_eq!(ExtendedReport::parse(&[0; 3]).err(), Some(ParseError::at(0, Fault::Ssrc)));
        assert_eq!(ExtendedReport::parse(&[0; 4]).expect("about nothing").blocks().count(), 0);
    }

    #[test]
    fn s_rtcp_07_no_answer_makes_a_round_trip_negative_or_above_a_minute() {
        let trip = |last_rr, delay_since_last_rr| {
            ReportDelay { ssrc: Ssrc(1), last_rr, delay_since_last_rr }.round_trip(NtpTime(1_000 << 32))
        };
        assert_eq!(trip(0, 0), None, "no time yet");
        assert_eq!(trip(999 << 16, 2 << 16), None, "the delay is longer than the time");
        assert_eq!(trip(1_001 << 16, 0), None, "a time of the future");
        assert_eq!(trip((940 << 16) - 1, 0), None);
        assert_eq!(trip(940 << 16, 0), Some(Duration::from_secs(60)));
    }
}
