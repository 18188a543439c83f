//! The highest rate of late, by the sender's clock alone: no receiver can make it higher than what was really sent.

use crate::base::time::Instant;

/// A rate is one over so long, in microseconds: a few frames.
const INTERVAL: u64 = 100_000;
/// Lately is this span, in microseconds, and the one before.
const SPAN: u64 = 10_000_000;

/// Bytes by time of departure.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Meter {
    /// The interval that goes on, in microseconds, and its bytes.
    from: u64,
    bytes: u64,
    /// When the span that goes on began, and the highest rates of it and of the one before, in bits a second.
    turned: u64,
    highest: f64,
    before: f64,
}

impl Meter {
    /// A packet that left at `at` counts. What left before the interval does not, as its own is over.
    pub(super) fn on_packet(&mut self, at: Instant, size: u32) {
        let Some(passed) = at.as_micros().checked_sub(self.from) else { return };
        self.bytes += u64::from(size);
        if passed >= INTERVAL {
            self.on_rate(at, self.bytes as f64 * 8e6 / passed as f64);
            (self.from, self.bytes) = (at.as_micros(), 0);
        }
    }

    /// A rate that was measured by other means up to `at`.
    pub(super) fn on_rate(&mut self, at: Instant, rate: f64) {
        if at.as_micros().saturating_sub(self.turned) >= SPAN {
            self.turned = at.as_micros();
            (self.before, self.highest) = (self.highest, 0.0);
        }
        self.highest = self.highest.max(rate);
    }

    /// The highest rate, in bits a second.
    pub(super) fn highest(&self) -> f64 {
        self.highest.max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn the_highest_rate_is_remembered_for_ten_to_twenty_seconds() {
        let mut meter = Meter::default();
        let mut send = |from: u64, to: u64, size| {
            (from..to).step_by(10).for_each(|ms| meter.on_packet(at(ms), size));
            (meter.highest() / 1e3).round()
        };
        assert_eq!(send(0, 1_000, 1_000), 880.0);
        assert_eq!(send(1_000, 9_000, 100), 880.0);
        assert_eq!(send(9_000, 19_000, 100), 880.0);
        assert_eq!(send(19_000, 31_000, 100), 80.0);
    }

    #[test]
    fn s_bwe_03_what_is_told_backwards_or_at_once_counts_no_more() {
        let mut meter = Meter::default();
        for ms in (0..3_000).rev().step_by(10) {
            meter.on_packet(at(ms), 1_000);
        }
        for ms in (3_000..3_200).step_by(10) {
            meter.on_packet(at(ms), 1_000);
        }
        assert!(meter.highest() < 900e3, "{}", meter.highest());
    }
}
