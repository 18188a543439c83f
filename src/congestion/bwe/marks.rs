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
