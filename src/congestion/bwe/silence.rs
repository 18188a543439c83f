//! Silence: feedback stays away although something is under way (S-BWE-05; RFC 8083, section 4.2).
//!
//! Whether media or feedback is lost cannot be told, so the estimate falls by a fifth five times a second, to the least.
//! When feedback is back, a probe finds out at once whether the path still carries what it did.

use std::time::Duration;

use super::measured::Measured;
use crate::base::time::Instant;

/// How long feedback may stay away: so many responses, and at least so long; longer before any came.
const RESPONSES: u32 = 4;
const LEAST: Duration = Duration::from_millis(500);
const LEAST_AT_FIRST: Duration = Duration::from_millis(1_500);
/// After that the estimate falls by this factor in each such time.
pub(super) const FACTOR: f64 = 0.8;
const EVERY: Duration = Duration::from_millis(200);

/// Whether feedback comes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Silence {
    /// When it came last, or the first packet left.
    since: Option<Instant>,
    /// Whether the estimate fell for it.
    fallen: bool,
}

impl Silence {
    /// A packet leaves.
    pub(super) fn on_sent(&mut self, at: Instant) {
        self.since.get_or_insert(at);
    }

    /// Feedback came; whether it had stayed away.
    pub(super) fn on_feedback(&mut self, now: Instant) -> bool {
        self.since = Some(now);
        std::mem::take(&mut self.fallen)
    }

    /// Whether the estimate falls now.
    pub(super) fn handle_timeout(&mut self, now: Instant, measured: &Measured) -> bool {
        let patience = patience(measured);
        let silent = measured.awaits() && self.since.is_some_and(|since| now - since > patience);
        if silent {
            self.since = Some(now - patience + EVERY);
            self.fallen = true;
        }
        silent
    }

    /// When the estimate falls next if nothing comes.
    pub(super) fn poll_timeout(&self, measured: &Measured) -> Option<Instant> {
        let since = self.since.filter(|_| measured.awaits())?;
        Some(since + patience(measured) + Duration::from_millis(1))
    }
}

fn patience(measured: &Measured) -> Duration {
    let least = if measured.is_fed() { LEAST } else { LEAST_AT_FIRST };
    (RESPONSES * measured.response).max(least)
}
