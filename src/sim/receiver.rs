//! The receiver of a flow: transport-wide feedback and requests for what is missing.

use std::collections::VecDeque;
use std::time::Duration;

use super::controller::Report;
use super::record::Content;
use super::scenario::FlowConfig;
use crate::base::time::Instant;

/// A part is asked for no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// IP, UDP and what SRTCP adds with an 80-bit tag.
const OVERHEAD: usize = 28 + 14;

/// The form of feedback.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackFormat {
    /// Transport-wide feedback: arrivals to 250 µs, no ECN.
    #[default]
    TransportWide,
    /// RFC 8888: arrivals to 1/1024 s, with ECN.
    Rfc8888,
}

/// One feedback datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Feedback {
    pub(super) reports: Vec<Report>,
    /// Parts asked for.
    pub(super) missing: Vec<u32>,
    /// Every number below has been reported.
    pub(super) end: u64,
    /// Bytes on the wire.
    pub(super) size: usize,
}

/// One flow's receiver.
#[derive(Debug)]
pub(super) struct Receiver {
    format: FeedbackFormat,
    interval: Duration,
    ahead: Duration,
    /// Seconds of its clock in one of the sender's.
    speed: f64,
    /// What arrived late, after it was reported as lost.
    late: Vec<Report>,
    /// What is not yet reported, from number `base` on.
    window: VecDeque<Report>,
    base: u64,
    /// Which parts have come.
    have: Vec<bool>,
    /// Those skipped, and since when.
    missing: Vec<(u32, Instant)>,
    due: Instant,
}

impl Receiver {
    /// Of a flow as `config` says.
    pub(super) fn new(format: FeedbackFormat, config: &FlowConfig) -> Self {
        Receiver {
            format,
            interval: config.feedback,
            ahead: config.clock_ahead,
            speed: 1.0 + config.clock_drift * 1e-6,
            late: Vec::new(),
            window: VecDeque::new(),
            base: 0,
            have: Vec::new(),
            missing: Vec::new(),
            due: config.start + config.feedback,
        }
    }

    /// A packet arrived; answers whether it brings media that had not come.
    pub(super) fn on_packet(&mut self, now: Instant, id: u64, ce: bool, content: Content) -> bool {
        let ce = ce && self.format == FeedbackFormat::Rfc8888;
        let report = Report { id, arrival: Some(self.format.rounded(self.clock(now))), ce };
        match id.checked_sub(self.base) {
            None => self.late.push(report),
            Some(index) => {
                while self.window.len() as u64 <= index {
                    let id = self.base + self.window.len() as u64;
                    self.window.push_back(Report { id, arrival: None, ce: false });
                }
                self.window[index as usize] = report;
            }
        }
        match content.part() {
            Some(part) => self.on_part(now, part),
            None => content == Content::Audio,
        }
    }

    /// What is to be sent back now.
    pub(super) fn poll_feedback(&mut self, now: Instant) -> Option<Feedback> {
        if now < self.due {
            return None;
        }
        self.due = now + self.interval;
        self.missing.retain(|(_, since)| now - *since < PATIENCE);
        if self.late.is_empty() && self.window.is_empty() && self.missing.is_empty() {
            return None;
        }
        self.base += self.window.len() as u64;
        let reports: Vec<_> = self.late.drain(..).chain(self.window.drain(..)).collect();
        let missing: Vec<_> = self.missing.iter().map(|(part, _)| *part).collect();
        let size = self.format.size(&reports, missing.len());
        Some(Feedback { reports, missing, end: self.base, size })
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// What its clock says.
    fn clock(&self, now: Instant) -> Instant {
        let micros = (now.as_micros() as f64 * self.speed) as u64;
        Instant::from_micros(micros) + self.ahead
    }

    fn on_part(&mut self, now: Instant, part: u32) -> bool {
        let index = part as usize;
        for skipped in self.have.len()..index {
            self.missing.push((skipped as u32, now));
        }
        if self.have.len() <= index {
            self.have.resize(index + 1, false);
        }
        let unique = !self.have[index];
        if unique {
            self.have[index] = true;
            self.missing.retain(|(missing, _)| *missing != part);
        }
        unique
    }
}

impl FeedbackFormat {
    /// A moment as the feedback says it.
    fn rounded(self, at: Instant) -> Instant {
        let micros = at.as_micros();
        Instant::from_micros(match self {
            FeedbackFormat::TransportWide => micros / 250 * 250,
            FeedbackFormat::Rfc8888 => micros * 1_024 / 1_000_000 * 1_000_000 / 1_024,
        })
    }

    /// Bytes on the wire: header, chunks of seven with a delta for each arrival, or two bytes for each number; and
    /// a NACK with an entry for each part.
    fn size(self, reports: &[Report], missing: usize) -> usize {
        let arrivals = reports.iter().filter(|report| report.arrival.is_some()).count();
        let body = match self {
            FeedbackFormat::TransportWide => 20 + 2 * reports.len().div_ceil(7) + arrivals,
            FeedbackFormat::Rfc8888 => 20 + 2 * reports.len(),
        };
        let nack = if missing > 0 { 12 + 4 * missing } else { 0 };
        OVERHEAD + body.next_multiple_of(4) + nack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Scenario;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn config() -> FlowConfig {
        let toml = "name = 'a'\nabout = 'b'\nduration_s = 1\n[forward]\n[reverse]\n[[flow]]\n\
                    source = { kind = 'encoder', min_kbps = 1, max_kbps = 2 }";
        Scenario::parse(toml).expect("a scenario").flows.remove(0)
    }

    fn receiver(format: FeedbackFormat) -> Receiver {
        Receiver::new(format, &config())
    }

    #[test]
    fn a_clock_that_is_ahead_and_fast_stamps_so() {
        let clock_ahead = Duration::from_millis(70_000);
        let config =
            FlowConfig { clock_ahead, clock_drift: 200.0, feedback: Duration::from_millis(250), ..config() };
        let mut receiver = Receiver::new(FeedbackFormat::TransportWide, &config);
        assert_eq!(receiver.poll_timeout(), at(250_000));
        receiver.on_packet(at(100_000_000), 0, false, Content::Padding);
        let feedback = receiver.poll_feedback(at(100_250_000)).expect("due");
        // 200 ppm of 100 s are 20 ms.
        assert_eq!(feedback.reports[0].arrival, Some(at(170_020_000)));
        assert_eq!(receiver.poll_timeout(), at(100_500_000));
    }

    #[test]
    fn feedback_reports_gaps_as_lost_at_once_and_late_packets_again() {
        let mut receiver = receiver(FeedbackFormat::TransportWide);
        assert!(receiver.on_packet(at(1_300), 0, true, Content::Video(0)));
        assert!(receiver.on_packet(at(2_000), 2, false, Content::Video(2)));
        assert_eq!(receiver.poll_feedback(at(49_999)), None);
        let first = receiver.poll_feedback(at(50_000)).expect("due");
        let arrivals: Vec<_> = first.reports.iter().map(|report| (report.id, report.arrival)).collect();
        assert_eq!(arrivals, [(0, Some(at(1_250))), (1, None), (2, Some(at(2_000)))]);
        assert!(first.reports.iter().all(|report| !report.ce));
        // 42 of overhead, 20 + 2 + 2 of feedback, 16 of NACK.
        assert_eq!((first.missing, first.end, first.size), (vec![1], 3, 82));
        assert!(receiver.on_packet(at(60_000), 1, false, Content::Video(1)));
        let second = receiver.poll_feedback(at(100_000)).expect("due");
        assert_eq!(second.reports, [Report { id: 1, arrival: Some(at(60_000)), ce: false }]);
        assert_eq!((second.missing, second.end), (vec![], 3));
        // With nothing new nothing is sent.
        assert_eq!(receiver.poll_feedback(at(150_000)), None);
        assert_eq!(receiver.poll_timeout(), at(200_000));
    }

    #[test]
    fn rfc_8888_tells_ecn_in_its_own_resolution() {
        let mut receiver = receiver(FeedbackFormat::Rfc8888);
        receiver.on_packet(at(1_953), 0, true, Content::Padding);
        receiver.on_packet(at(1_954), 1, false, Content::Padding);
        let feedback = receiver.poll_feedback(at(50_000)).expect("due");
        // 1/1024 s are 976.6 µs.
        let first = Report { id: 0, arrival: Some(at(976)), ce: true };
        assert_eq!(feedback.reports, [first, Report { id: 1, arrival: Some(at(1_953)), ce: false }]);
        assert_eq!(feedback.size, 42 + 24);
    }

    #[test]
    fn what_is_missing_is_asked_for_until_it_comes_or_a_second_has_passed() {
        let mut receiver = receiver(FeedbackFormat::TransportWide);
        receiver.on_packet(at(0), 0, false, Content::Video(2));
        let mut asked = Vec::new();
        for tick in 1..=25 {
            if tick == 10 {
                receiver.on_packet(at(tick * 50_000 - 1), tick, false, Content::Retransmission(0));
            }
            let feedback = receiver.poll_feedback(at(tick * 50_000));
            asked.push(feedback.map_or(0, |feedback| feedback.missing.len()));
        }
        assert_eq!(asked[..9], [2; 9]);
        assert_eq!(asked[9..19], [1; 10]);
        assert_eq!(asked[19..], [0; 6]);
    }

    #[test]
    fn media_is_unique_once() {
        let mut receiver = receiver(FeedbackFormat::TransportWide);
        let mut unique = |id, content| receiver.on_packet(at(id), id, false, content);
        assert!(unique(0, Content::Audio) && unique(1, Content::Retransmission(0)));
        assert!(!unique(2, Content::Video(0)) && !unique(3, Content::Padding));
    }
}
