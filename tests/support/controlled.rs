//! The crate's own estimator as the arena judges it.

use estafette::sim::{Controller, Demand, FlowConfig, Report, Sent};
use estafette::{Bitrate, Instant, bwe};

/// An estimator for one flow.
pub(crate) struct Controlled {
    estimator: bwe::Estimator,
    arrivals: Vec<bwe::Arrival>,
}

impl Controlled {
    pub(crate) fn new(flow: &FlowConfig) -> Self {
        let (min, max) = (Bitrate::from_kbps(50), Bitrate::from_kbps(100_000));
        let estimator = bwe::Estimator::new(bwe::Config { initial: flow.initial, min, max });
        Controlled { estimator, arrivals: Vec::new() }
    }
}

impl Controller for Controlled {
    fn on_sent(&mut self, sent: Sent) {
        self.estimator.on_sent(bwe::Sent { at: sent.at, number: sent.id, size: sent.size });
    }

    fn on_feedback(&mut self, now: Instant, reports: &[Report]) {
        let arrival = |report: &Report| bwe::Arrival { number: report.id, at: report.arrival, ce: report.ce };
        self.arrivals.clear();
        self.arrivals.extend(reports.iter().map(arrival));
        self.estimator.on_feedback(now, &self.arrivals);
    }

    fn target(&self) -> Bitrate {
        self.estimator.target()
    }

    fn on_demand(&mut self, now: Instant, demand: Demand) {
        self.estimator.set_demand(now, bwe::Demand { next: demand.next, most: demand.most });
    }

    fn pacing_rate(&self) -> Bitrate {
        self.estimator.pacing_rate()
    }

    fn poll_padding(&mut self, now: Instant) -> Option<usize> {
        self.estimator.poll_probe(now)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.estimator.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.estimator.poll_timeout()
    }
}
