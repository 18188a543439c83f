//! Contest: somebody else fills the queue, so a fair part is held.
//!
//! Beside TCP in a deep buffer, whoever gives way to delay starves. So here delay says nothing, and loss as little as
//! possible: it is answered as CUBIC and Reno answer it in the mean, by less the more often it comes, and between
//! losses the estimate grows as slowly as theirs does. Much loss is taken at its word. Every few seconds it is looked
//! whether the rival is still there (a *check*, see [`super::drain`]); when nothing waits any more, it is over.

use std::time::Duration;

use super::measured::{FAR, Situation};
use crate::base::time::Instant;

/// How long nothing must wait.
const EMPTY: Duration = Duration::from_secs(4);
/// So much loss leaves no more than is delivered, so often at most.
const MUCH: f64 = 0.2;
const MUCH_EVERY: Duration = Duration::from_millis(500);
/// More loss than this, or than is lost at any rate if that is less, is answered.
const SOME: f64 = 0.02;
/// Losses that are reported within so long of one another and the response are one.
const EVENT: Duration = Duration::from_millis(100);
/// A loss takes this share for each second since the last one, up to the second share.
const DECREASE: (f64, f64) = (0.03, 0.2);
/// What is gained in a second: so many bits a second, and this share of the widest.
const INCREASE: (f64, f64) = (60_000.0, 0.02);
/// Not before this: what was cut has to be answered first.
const INCREASE_AFTER: Duration = Duration::from_secs(2);
/// A queue that moved by less than three thresholds in so long is none.
const FLAT: Duration = Duration::from_secs(8);
/// After so long it is looked whether the rival is still there.
const CHECK_AFTER: Duration = Duration::from_secs(5);

/// A queue that is somebody else's. In microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Contest {
    entered: Instant,
    /// The bounds of the queue since then.
    since: Instant,
    least: f64,
    most: f64,
    /// The last loss that was answered.
    event: Instant,
    /// Since when nothing waits.
    empty: Option<Instant>,
}

/// What becomes of the estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Share {
    Keep,
    Less(f64),
    More(f64),
}

/// What speaks against a rival.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Doubt {
    None,
    /// The queue does not move: the route has changed.
    OtherRoute,
    /// It is time to look; the rate that comes through.
    Check(f64),
}

impl Contest {
    /// From now on.
    pub(super) fn new(now: Instant, queue: f64) -> Self {
        Contest { entered: now, since: now, least: queue, most: queue, event: now, empty: None }
    }

    /// Whether nothing has waited for long enough.
    pub(super) fn is_over(&mut self, situation: &Situation<'_>) -> bool {
        if situation.measured.delay.is_short() {
            return situation.now - *self.empty.get_or_insert(situation.now) > EMPTY;
        }
        if situation.queue() > situation.threshold() {
            self.empty = None;
        }
        false
    }

    /// What becomes of an estimate of `target`.
    pub(super) fn share(&mut self, situation: &Situation<'_>, target: f64) -> Share {
        let now = situation.now;
        let half = situation.measured.half_second().unwrap_or(situation.short);
        let age = now - self.event;
        if half.loss > MUCH && age > MUCH_EVERY {
            self.event = now;
            Share::Less(half.delivered)
        } else if situation.short.loss > situation.floor.min(SOME)
            && age > situation.measured.response + EVENT
        {
            self.event = now;
            Share::Less(target * (1.0 - (DECREASE.0 * age.as_secs_f64()).min(DECREASE.1)))
        } else if self.empty.is_none()
            && now - self.entered > INCREASE_AFTER
            && !situation.measured.is_limited(target)
        {
            Share::More(target + (INCREASE.0 + INCREASE.1 * situation.widest) * situation.elapsed)
        } else {
            Share::Keep
        }
    }

    /// What speaks against a rival, at an estimate of `target`.
    pub(super) fn doubt(&mut self, situation: &Situation<'_>, target: f64) -> Doubt {
        let (now, queue) = (situation.now, situation.queue());
        self.least = self.least.min(queue);
        self.most = self.most.max(queue);
        if now - self.since > FLAT {
            if self.most - self.least < FAR * situation.threshold() {
                return Doubt::OtherRoute;
            }
            (self.since, self.least, self.most) = (now, queue, queue);
        }
        if now - self.entered > CHECK_AFTER && self.empty.is_none() {
            let half = situation.measured.half_second().unwrap_or(situation.short);
            return Doubt::Check(half.delivered.min(target));
        }
        Doubt::None
    }
}
