//! What receivers say who have no feedback for each packet: an estimate of their own (REMB), and reports of loss.
//!
//! Without other feedback the receiver's estimate is taken over (draft-alvestrand-rmcat-remb-03); beside it, it is a
//! ceiling. Loss in receiver reports (RFC 3550, section 6.4.1) moves the estimate as section 6 of
//! draft-ietf-rmcat-gcc-02 says: down by half of the loss above 10 %, up by 5 % below 2 %.

use std::time::Duration;

use crate::base::time::Instant;

/// A receiver's estimate holds for so long: they come each second.
const FRESH: Duration = Duration::from_secs(10);
/// Loss above which the estimate falls, below which it grows, and by how much it grows.
const LOSS: (f64, f64) = (0.10, 0.02);
const GROWTH: f64 = 1.05;
/// It grows so often at most, however many streams report.
const GROWTH_EVERY: Duration = Duration::from_secs(1);
/// It falls so often at most, and once a round trip, of which no more than a second is believed.
const FALL_EVERY: Duration = Duration::from_millis(300);
const ROUND_TRIP: Duration = Duration::from_secs(1);
/// After a fall no receiver's estimate raises it for so long.
const FALL_HOLDS: Duration = Duration::from_secs(3);

/// What a receiver has said.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Receiver {
    /// Its estimate in bits a second, and when it came.
    estimate: Option<(f64, Instant)>,
    grown: Option<Instant>,
    fallen: Option<Instant>,
}

impl Receiver {
    /// Its estimate; says whether it may raise ours.
    pub(super) fn on_estimate(&mut self, now: Instant, rate: f64) -> bool {
        self.estimate = Some((rate, now));
        self.fallen.is_none_or(|at| now - at > FALL_HOLDS)
    }

    /// What is not to be passed now, in bits a second.
    pub(super) fn ceiling(&self, now: Instant) -> Option<f64> {
        self.estimate.filter(|(_, at)| now - *at < FRESH).map(|(rate, _)| rate)
    }

    /// The factor by which an estimate changes on a report of this share of packets lost.
    pub(super) fn on_report(&mut self, now: Instant, lost: f64, round_trip: Duration) -> f64 {
        let is_over = |at: Option<Instant>, span: Duration| at.is_none_or(|at| now - at >= span);
        let span = FALL_EVERY + round_trip.min(ROUND_TRIP);
        if lost > LOSS.0 && is_over(self.fallen, span) {
            self.fallen = Some(now);
            1.0 - 0.5 * lost.min(1.0)
        } else if lost < LOSS.1 && is_over(self.grown, GROWTH_EVERY) {
            self.grown = Some(now);
            GROWTH
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_move_it_by_the_classic_rules_and_not_too_often() {
        let mut receiver = Receiver::default();
        let mut after =
            |ms, lost| receiver.on_report(Instant::from_millis(ms), lost, Duration::from_millis(100));
        assert_eq!(after(0, 0.2), 0.9);
        // A second stream's report at the same time.
        assert_eq!(after(10, 0.2), 1.0);
        assert_eq!(after(400, 1.0), 0.5);
        assert_eq!(after(1_000, 0.05), 1.0);
        assert_eq!(after(1_100, 0.0), 1.05);
        assert_eq!(after(2_099, 0.0), 1.0);
        assert_eq!(after(2_100, 0.0), 1.05);
    }

    #[test]
    fn an_estimate_is_a_ceiling_while_it_is_fresh_and_raises_nothing_after_loss() {
        let mut receiver = Receiver::default();
        assert!(receiver.on_estimate(Instant::ZERO, 1e6));
        assert_eq!(receiver.ceiling(Instant::from_millis(9_999)), Some(1e6));
        assert_eq!(receiver.ceiling(Instant::from_millis(10_000)), None);
        receiver.on_report(Instant::from_millis(10_000), 0.5, Duration::MAX);
        assert!(!receiver.on_estimate(Instant::from_millis(13_000), 1e6));
        assert!(receiver.on_estimate(Instant::from_millis(13_001), 1e6));
    }
}
