//! Round trips: by reports that answer ours (RFC 3550, section 6.4.1), and by extended reports with whom gets
//! no sender reports of ours (RFC 3611, sections 4.4 and 4.5).
//!
//! A receiver reference time is sent and answered without having been negotiated: its blocks may be used
//! without prior signalling (RFC 3611, section 5), and who does not know them skips them (RFC 3550, section
//! 6.1). libwebrtc answers them always, and asks where `a=rtcp-fb:* rrtr` was agreed on.

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::wire::rtcp::{NtpTime, ReportBlock, ReportDelay};
use crate::wire::rtp::Ssrc;
use smallvec::SmallVec;

/// A moment on our clock as a reference time has it: which clock it is matters to nobody else.
pub(super) fn reference_time(now: Instant) -> NtpTime {
    NtpTime(((u128::from(now.as_micros()) << 32) / 1_000_000) as u64)
}

/// What is left of the time since `sent` when the other side's delay, in units of 1/65,536 s, is taken off;
/// `None` for a negative time.
pub(super) fn round_trip(now: Instant, sent: Instant, delay: u32) -> Option<Duration> {
    let held = Duration::from_micros(u64::from(delay) * 1_000_000 / 65_536);
    (now - sent).checked_sub(held)
}

/// Reference times that wait for their answers.
#[derive(Debug, Default, Hash)]
pub(super) struct ReferenceTimes {
    /// The middles of ours, and when each was sent; the oldest first.
    sent: SmallVec<[(u32, Instant); limits::REFERENCE_TIMES]>,
    /// The participant's: whose, the middle, and when it came.
    received: SmallVec<[(Ssrc, u32, Instant); limits::REFERENCE_TIMES]>,
}

impl ReferenceTimes {
    /// One of ours has left.
    pub(super) fn on_sent(&mut self, now: Instant) {
        if self.sent.len() >= limits::REFERENCE_TIMES {
            self.sent.remove(0);
        }
        self.sent.push((reference_time(now).middle(), now));
    }

    /// The round trip by an answer to one of ours; `None` if it answers none, or has waited for longer than
    /// since then (S-RTCP-07).
    pub(super) fn on_answer(&self, now: Instant, answer: &ReportDelay) -> Option<Duration> {
        // Zero stands for none.
        let mut sent = self.sent.iter().filter(|_| answer.last_rr != 0);
        let (_, sent) = sent.find(|(middle, _)| *middle == answer.last_rr)?;
        round_trip(now, *sent, answer.delay_since_last_rr)
    }

    /// One of the participant's came: it is the one to answer of its SSRC.
    pub(super) fn on_received(&mut self, now: Instant, ssrc: Ssrc, time: NtpTime) {
        self.received.retain(|(other, ..)| *other != ssrc);
        if self.received.len() >= limits::REFERENCE_TIMES {
            self.received.remove(0);
        }
        self.received.push((ssrc, time.middle(), now));
    }

    /// The answers that are due, once each.
    pub(super) fn take_answers(&mut self, now: Instant) -> SmallVec<[ReportDelay; limits::REFERENCE_TIMES]> {
        let answer = |(ssrc, last_rr, at): (Ssrc, u32, Instant)| ReportDelay {
            ssrc,
            last_rr,
            delay_since_last_rr: ReportBlock::delay(now - at),
        };
        self.received.drain(..).map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// An answer to the time of `sent`, held for so long.
    fn answer(sent: u64, held: u64) -> ReportDelay {
        let delay_since_last_rr = ReportBlock::delay(Duration::from_millis(held));
        ReportDelay { ssrc: Ssrc(1), last_rr: reference_time(at(sent)).middle(), delay_since_last_rr }
    }

    #[test]
    fn an_answer_gives_the_time_that_it_was_not_held() {
        let mut times = ReferenceTimes::default();
        times.on_sent(at(1_000));
        times.on_sent(at(2_000));
        let millis = |trip: Option<Duration>| trip.map(|trip| (trip.as_micros() + 500) / 1_000);
        assert_eq!(millis(times.on_answer(at(2_650), &answer(2_000, 600))), Some(50));
        assert_eq!(millis(times.on_answer(at(2_650), &answer(1_000, 1_600))), Some(50));
    }

    #[test]
    fn s_rtcp_07_answers_that_cannot_be_are_none() {
        let mut times = ReferenceTimes::default();
        assert_eq!(times.on_answer(at(1_500), &answer(1_000, 100)), None, "none was sent");
        times.on_sent(at(1_000));
        assert_eq!(times.on_answer(at(1_500), &answer(1_001, 100)), None, "not that one");
        assert_eq!(times.on_answer(at(1_500), &answer(1_000, 600)), None, "longer than it can be");
        assert_eq!(times.on_answer(at(1_500), &ReportDelay { last_rr: 0, ..answer(1_000, 0) }), None);
        for n in 0..limits::REFERENCE_TIMES as u64 {
            times.on_sent(at(2_000 + 1_000 * n));
        }
        assert_eq!(times.on_answer(at(9_000), &answer(1_000, 100)), None, "forgotten");
        // A clock that stands at zero sends what stands for none.
        times.on_sent(Instant::ZERO);
        assert_eq!(times.on_answer(at(10), &answer(0, 0)), None);
    }

    #[test]
    fn the_last_time_of_each_is_answered_once() {
        let mut times = ReferenceTimes::default();
        let ntp = |seconds: u64| NtpTime(seconds << 32);
        times.on_received(at(0), Ssrc(7), ntp(3));
        times.on_received(at(100), Ssrc(8), ntp(4));
        times.on_received(at(200), Ssrc(7), ntp(5));
        let delay = |ssrc, seconds: u32, sixteenths: u32| ReportDelay {
            ssrc: Ssrc(ssrc),
            last_rr: seconds << 16,
            delay_since_last_rr: sixteenths << 12,
        };
        let answers = times.take_answers(at(700));
        assert_eq!(answers[1], delay(7, 5, 8));
        assert_eq!((answers.len(), answers[0].ssrc, answers[0].last_rr), (2, Ssrc(8), 4 << 16));
        assert!(times.take_answers(at(800)).is_empty());
        for ssrc in 0..100 {
            times.on_received(at(900), Ssrc(ssrc), ntp(6));
        }
        assert_eq!(times.take_answers(at(900)).len(), limits::REFERENCE_TIMES);
    }
}
