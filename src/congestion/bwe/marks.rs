//! Congestion marks: the scalable response of RFC 9331, section 4.3.
//!
//! The smoothed share of marked packets is taken off, half of it, at most once a response, as DCTCP does (RFC 8257,
//! section 3.3): so the answer is as large as what is marked, and the queue of a marking bottleneck stays at a
//! millisecond.

use std::time::Duration;

use super::measured::Measured;
use crate::base::time::Instant;

/// The weight of a round in the share, one part in so many (RFC 8257, section 3.3).
const ROUNDS: f64 = 16.0;
/// A path that marked so lately is paced without bursts.
const LATELY: Duration = Duration::from_secs(10);

/// What marks have told.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Marks {
    /// The share of marked packets, smoothed.
    alpha: f64,
    /// When they were answered last.
    answered: Option<Instant>,
}

impl Marks {
    /// By which factor the estimate falls after a round, if it does.
    pub(super) fn on_round(&mut self, now: Instant, measured: &Measured) -> Option<f64> {
        let marked = measured.rounds.window(Duration::ZERO)?.marked;
        self.alpha += (marked - self.alpha) / ROUNDS;
        let is_early = self.answered.is_some_and(|at| now - at <= measured.response);
        if marked == 0.0 || is_early {
            return None;
        }
        self.answered = Some(now);
        Some(1.0 - self.alpha / 2.0)
    }

    /// Whether the path marked lately.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.answered.is_some_and(|at| now - at < LATELY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of 50 ms in which one packet of `share` is marked; the factor that all of them together make.
    fn factor(rounds: u64, share: u64, marks: &mut Marks) -> f64 {
        let (mut measured, mut factor) = (Measured::default(), 1.0);
        for packet in 0..rounds * 10 {
            let sent = packet as i64 * 5_000;
            measured.rounds.on_arrival(sent, sent, 1_000, packet % share == 0, false);
            if packet % 10 == 9 {
                measured.rounds.close();
                let now = Instant::from_micros(sent.unsigned_abs());
                factor *= marks.on_round(now, &measured).unwrap_or(1.0);
            }
        }
        factor
    }

    #[test]
    fn the_answer_is_as_large_as_what_is_marked() {
        let all = factor(200, 1, &mut Marks::default());
        let tenth = factor(200, 10, &mut Marks::default());
        assert!(all < 1e-6 && tenth > 0.02 && tenth < 0.5, "{all} {tenth}");
    }

    #[test]
    fn once_a_response() {
        let mut marks = Marks::default();
        // 100 ms each, so every third of the rounds is answered; the first share is small.
        let factor = factor(5, 1, &mut marks);
        assert!(factor > 0.85 && factor < 0.95, "{factor}");
        assert!(marks.is_late(Instant::from_millis(5_000)) && !marks.is_late(Instant::from_millis(12_000)));
    }
}
