//! What is judged: whoever sets a flow's rate.

use crate::base::time::Instant;
use crate::base::units::Bitrate;

use super::record::Content;

/// A packet that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// Its transport-wide number: from 0, without gaps.
    pub id: u64,
    /// Bytes on the wire.
    pub size: usize,
    /// What it carries.
    pub content: Content,
}

/// What feedback says about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Its transport-wide number.
    pub id: u64,
    /// When it arrived, as exactly as the feedback says it; `None` if it did not so far.
    pub arrival: Option<Instant>,
    /// Whether it met congestion; only feedback of RFC 8888 says it.
    pub ce: bool,
}

/// What the application would send if it could, sound and headers included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The rate worth sustaining: the next layer, or all that an encoder can use.
    pub next: Bitrate,
    /// The most it can use.
    pub most: Bitrate,
}

/// Sets the rate of one flow. The five verbs, less those that most have no use for.
pub trait Controller {
    /// A packet leaves.
    fn on_sent(&mut self, sent: Sent);

    /// Feedback came. Numbers ascend, but for late packets, which come first and were reported as lost before.
    fn on_feedback(&mut self, now: Instant, reports: &[Report]);

    /// The present estimate: sound, picture, repair and headers stay at or below it.
    fn target(&self) -> Bitrate;

    /// What the application would send changed.
    fn on_demand(&mut self, now: Instant, demand: Demand) {
        let _ = (now, demand);
    }

    /// How fast queued picture and repair leave; one and a half times the estimate unless it is said.
    fn pacing_rate(&self) -> Bitrate {
        Bitrate::from_bps(self.target().as_bps() / 2 * 3)
    }

    /// The bytes of a padding packet to be sent now; asked when nothing else waits and pacing allows.
    fn poll_padding(&mut self, now: Instant) -> Option<usize> {
        let _ = now;
        None
    }

    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When to call `handle_timeout` and `poll_padding` at the latest.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// A sender that heeds nothing.
#[derive(Debug, Clone, Copy)]
pub struct ConstantRate(pub Bitrate);

impl Controller for ConstantRate {
    fn on_sent(&mut self, _: Sent) {}
    fn on_feedback(&mut self, _: Instant, _: &[Report]) {}
    fn target(&self) -> Bitrate {
        self.0
    }
}

/// Additive increase, multiplicative decrease: a toy that fills queues, to have something to compare with.
#[derive(Debug, Clone)]
pub struct Aimd {
    rate: Bitrate,
    most: Bitrate,
    next: u64,
    /// Losses below belong to a decrease already made.
    recovery: u64,
}

impl Aimd {
    /// Added by each feedback without loss: 200 kbit/s a second.
    const STEP: u64 = 10_000;
    const LEAST: u64 = 50_000;

    /// Starts at `initial`.
    pub fn new(initial: Bitrate) -> Self {
        Aimd { rate: initial, most: initial, next: 0, recovery: 0 }
    }
}

impl Controller for Aimd {
    fn on_sent(&mut self, sent: Sent) {
        self.next = sent.id + 1;
    }

    fn on_feedback(&mut self, _: Instant, reports: &[Report]) {
        let congested = |report: &Report| report.arrival.is_none() || report.ce;
        let rate = self.rate.as_bps();
        if reports.iter().any(|report| report.id >= self.recovery && congested(report)) {
            self.recovery = self.next;
            self.rate = Bitrate::from_bps((rate / 10 * 7).max(Self::LEAST));
        } else if !reports.iter().any(congested) {
            // More than the application can use is of no use.
            let most = self.most.as_bps().max(rate);
            self.rate = Bitrate::from_bps((rate + Self::STEP).min(most));
        }
    }

    fn target(&self) -> Bitrate {
        self.rate
    }

    fn on_demand(&mut self, _: Instant, demand: Demand) {
        self.most = demand.most;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: u64, arrived: bool) -> Report {
        Report { id, arrival: arrived.then_some(Instant::ZERO), ce: false }
    }

    fn sent(id: u64) -> Sent {
        Sent { at: Instant::ZERO, id, size: 1_200, content: Content::Padding }
    }

    #[test]
    fn aimd_adds_and_gives_way_once_for_what_was_under_way() {
        let mut aimd = Aimd::new(Bitrate::from_kbps(1_000));
        aimd.on_demand(Instant::ZERO, Demand { next: Bitrate::ZERO, most: Bitrate::from_kbps(1_015) });
        (0..10).for_each(|id| aimd.on_sent(sent(id)));
        let mut after = |reports: &[Report]| {
            aimd.on_feedback(Instant::ZERO, reports);
            aimd.target().as_bps() / 1_000
        };
        assert_eq!(after(&[report(0, true)]), 1_010);
        assert_eq!(after(&[report(1, true)]), 1_015);
        assert_eq!(after(&[report(2, true), report(3, false)]), 710);
        assert_eq!(after(&[report(4, false)]), 710);
        assert_eq!(after(&[report(10, false)]), 497);
        assert_eq!(after(&[Report { ce: true, ..report(11, true) }]), 348);
    }
}
