//! A policer: what exceeds its rate and burst is dropped, never delayed.

use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// One bit, as the credit that a rate of bits per second times microseconds gives.
const BIT: u64 = 1_000_000;

/// A token bucket.
#[derive(Debug, Clone)]
pub(super) struct Policer {
    rate: Bitrate,
    full: u64,
    credit: u64,
    at: Instant,
}

impl Policer {
    /// Lets `rate` through, and `burst` bytes at once.
    pub(super) fn new(rate: Bitrate, burst: u64) -> Self {
        let full = burst.saturating_mul(8 * BIT);
        Policer { rate, full, credit: full, at: Instant::ZERO }
    }

    /// Whether a packet of `size` bytes passes.
    pub(super) fn passes(&mut self, now: Instant, size: usize) -> bool {
        let elapsed = now.as_micros().saturating_sub(self.at.as_micros());
        self.at = self.at.max(now);
        let earned = self.rate.as_bps().saturating_mul(elapsed);
        self.credit = self.credit.saturating_add(earned).min(self.full);
        let cost = size as u64 * 8 * BIT;
        let passes = cost <= self.credit;
        if passes {
            self.credit -= cost;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_passes_then_exactly_the_rate() {
        // 1 Mbit/s earns 125 bytes a millisecond.
        let mut policer = Policer::new(Bitrate::from_kbps(1_000), 2_500);
        let start = Instant::from_millis(100);
        assert!(policer.passes(start, 1_250) && policer.passes(start, 1_250));
        assert!(!policer.passes(start, 1));
        assert!(!policer.passes(Instant::from_millis(109), 1_250));
        assert!(policer.passes(Instant::from_millis(110), 1_250));
        assert!(!policer.passes(Instant::from_millis(110), 1));
    }

    #[test]
    fn excess_is_dropped_whatever_the_rate_above_is() {
        // 2 Mbit/s offered for 10 s to a policer of 1 Mbit/s: half passes, and one burst.
        let mut policer = Policer::new(Bitrate::from_kbps(1_000), 12_500);
        let passed = (0..2_000).filter(|i| policer.passes(Instant::from_millis(i * 5), 1_250)).count();
        assert_eq!(passed, 1_000 + 10 - 1);
    }
}
