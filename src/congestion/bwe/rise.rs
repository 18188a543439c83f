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

#[cfg(test)]
mod tests {
    use super::super::feed::Feed;
    use super::*;
    use crate::base::time::Instant;

    /// What follows in each round of a second, after one at 1 Mbit/s without a queue, of packets that take `delay`.
    fn steps(target: f64, capacity: Option<f64>, rival: bool, delay: f64) -> Vec<Step> {
        let mut feed = Feed { rival, ..Feed::default() };
        let mut steps = Vec::new();
        feed.run(2_000, 1_000.0, |_, _| Some(20.0), |_| {});
        let capacity = capacity.map(|rate| Capacity { rate, at: Instant::ZERO });
        feed.run(
            1_000,
            1_000.0,
            |_, _| Some(delay),
            |situation| steps.push(on_round(situation, target, capacity, None, false)),
        );
        steps
    }

    fn last(steps: &[Step]) -> Step {
        *steps.last().expect("rounds")
    }

    #[test]
    fn it_grows_slowly_and_fast_back_to_a_known_capacity() {
        let Step::Raise(slow) = last(&steps(1e6, None, false, 20.0)) else { panic!("no growth") };
        let Step::Raise(fast) = last(&steps(1e6, Some(2e6), false, 20.0)) else { panic!("no growth") };
        // In 50 ms, 58 kbit/s a second and 300.
        assert!(
            (slow - 1e6 - 2_900.0).abs() < 100.0 && (fast - 1e6 - 15_000.0).abs() < 100.0,
            "{slow} {fast}"
        );
    }

    #[test]
    fn who_does_not_fill_an_estimate_learns_nothing_above_it() {
        assert_eq!(last(&steps(1.5e6, None, false, 20.0)), Step::Stay);
    }

    #[test]
    fn a_queue_is_answered_and_left_alone_if_it_is_anothers() {
        assert_eq!(last(&steps(1e6, None, false, 80.0)), Step::Cut);
        assert_eq!(last(&steps(1e6, None, true, 80.0)), Step::Contest);
    }
}
