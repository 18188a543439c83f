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
const EMPTY: Duration = Duration::from_millis(2_500);
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
        if half.loss > MUCH {
            if age <= MUCH_EVERY {
                return Share::Keep;
            }
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

#[cfg(test)]
mod tests {
    use super::super::feed::Feed;
    use super::*;

    /// What becomes of 1 Mbit/s in so many milliseconds of a contest, with a queue of `queue` and losses.
    fn run(ms: u64, queue: impl Fn(u64) -> f64, lost: impl Fn(u64) -> bool) -> (f64, Vec<Doubt>, bool) {
        let mut feed = Feed { widest: 2e6, ..Feed::default() };
        feed.run(2_000, 1_000.0, |_, _| Some(20.0), |_| {});
        let mut contest = Contest::new(feed.now, 100_000.0);
        let (mut target, mut doubts, mut over) = (1e6, Vec::new(), false);
        feed.run(
            ms,
            1_000.0,
            |number, ms| (!lost(number)).then(|| 20.0 + queue(ms)),
            |situation| {
                over |= contest.is_over(situation);
                match contest.share(situation, target) {
                    Share::Keep => {}
                    Share::Less(less) => target = less,
                    Share::More(more) => target = more,
                }
                doubts.push(contest.doubt(situation, target));
            },
        );
        doubts.retain(|doubt| *doubt != Doubt::None);
        (target, doubts, over)
    }

    fn sway(ms: u64) -> f64 {
        100.0 + 40.0 * (ms as f64 / 200.0).sin()
    }

    #[test]
    fn it_grows_between_losses_and_falls_by_little_for_each() {
        // 100 kbit/s a second from the third second on.
        let (grown, ..) = run(4_900, sway, |_| false);
        assert!((grown - 1.24e6).abs() < 0.06e6, "{grown}");
        let (fallen, ..) = run(1_500, sway, |number| number % 100 < 5);
        assert!(fallen < 1e6 && fallen > 0.85e6, "{fallen}");
    }

    #[test]
    fn much_loss_is_taken_at_its_word() {
        let (held, ..) = run(2_000, sway, |number| number % 2 == 0);
        assert!((0.3e6..0.65e6).contains(&held), "{held}");
    }

    #[test]
    fn after_five_seconds_it_is_looked_for_the_rival() {
        let (_, doubts, over) = run(5_200, sway, |_| false);
        assert!(matches!(doubts[0], Doubt::Check(rate) if (rate - 1e6).abs() < 0.2e6) && !over, "{doubts:?}");
    }

    #[test]
    fn nothing_that_waits_ends_it_and_a_flat_delay_is_another_route() {
        assert!(run(4_500, |_| 0.0, |_| false).2);
        let (_, doubts, _) = run(8_500, |_| 100.0, |_| false);
        assert!(doubts.contains(&Doubt::OtherRoute), "{doubts:?}");
    }
}
