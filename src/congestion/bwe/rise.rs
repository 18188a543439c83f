//! Rise: nothing stands against more.
//!
//! The estimate grows as long as it is really used, by a share of itself and slower when it is large; where the
//! capacity is known from the last queue it returns there in a second. How far above that it may go, probes find out:
//! this growth alone would take tens of seconds. When packets wait, the queue has to be let run empty, unless it is
//! known to be another's.

use super::measured::{Capacity, FAR, Situation};

/// What the estimate gains in a second: this share of it, up to so many bits a second, and this share besides.
const STEP: (f64, f64, f64) = (0.08, 50_000.0, 0.008);
/// The share of a known capacity that is regained in a second, below the share of it where that is no risk.
const RETURN: f64 = 0.15;
const RETURN_BELOW: f64 = 0.9;
/// What was seen over more than so many seconds is no measure of what is sent now.
const STALE: f64 = 3.0;

/// What follows from a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Nothing.
    Stay,
    /// The estimate may grow to so many bits a second.
    Raise(f64),
    /// Packets wait.
    Cut,
    /// Packets wait for somebody else's.
    Contest,
}

/// What follows from a round at an estimate of `target`. `excused` is the queue, in microseconds, that a probe made;
/// `trial` whether the estimate is held down to see what loss does.
pub(super) fn on_round(
    situation: &Situation<'_>,
    target: f64,
    capacity: Option<Capacity>,
    excused: Option<f64>,
    trial: bool,
) -> Step {
    let measured = situation.measured;
    let (queue, threshold) = (situation.queue(), situation.threshold());
    let is_excused = excused.is_some_and(|allowed| queue < threshold + 1.5 * allowed);
    let limited = measured.is_limited(target);
    if measured.delay.is_long(limited) && !is_excused {
        return if situation.rival && queue > FAR * threshold { Step::Contest } else { Step::Cut };
    }
    let is_stale = measured.half_second().is_none_or(|window| window.span > STALE);
    let unused = measured.half_second().is_none_or(|window| window.sent < 0.9 * target);
    if limited || unused || is_stale || queue > threshold || trial {
        return Step::Stay;
    }
    let below = capacity.filter(|capacity| target < RETURN_BELOW * capacity.rate);
    let usual = (STEP.0 * target).min(STEP.1) + STEP.2 * target;
    let step = below.map_or(usual, |capacity| RETURN * capacity.rate);
    Step::Raise(target + step * situation.elapsed)
}
