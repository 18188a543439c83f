//! Drain: a queue is let run empty, and found out whether it is ours.
//!
//! What comes through while packets wait is all that the path carries (the *reference*). Less than that is sent until
//! nothing waits: the longer the queue, the less. Then the estimate returns to just below the reference.
//!
//! Meanwhile it is reckoned by how much the queue should have become shorter. If more still leaves than comes through,
//! the reference was too high and is taken anew. If the queue does not move at all whatever is sent, it is no queue:
//! the route has changed, and the delay is measured anew. If it moves but does not become shorter, somebody else fills
//! it: then it is no use to give way (*contest*). A rival known from before is looked for again in the same way from
//! time to time (*check*), at a rate that costs little.

use std::time::Duration;

use super::measured::Situation;
use super::rounds::Window;
use crate::base::time::Instant;

/// The share of the reference that an emptied queue leaves to the estimate: more if it was short.
const AFTER: (f64, f64) = (0.95, 0.96);
/// The same after a check: the share of the estimate before.
const AFTER_CHECK: f64 = 0.9;
/// The share of the reference that is sent during a check.
pub(super) const CHECK: f64 = 0.7;
/// A reference below this share of what was sent before is a fade, which may end as suddenly.
const FADE: f64 = 0.7;
/// The estimate falls less at first: what waits already left before the cut, and media cannot follow at once.
const YOUNG: Duration = Duration::from_millis(600);
/// After the cut is answered it is too early to say for so long whether it was enough.
const SETTLE: Duration = Duration::from_millis(80);
/// What was sent and delivered since is measured over so long at most.
const SINCE: Duration = Duration::from_millis(200);
/// More than this times what is delivered is too much, if so many packets say it.
const OVERLOAD: f64 = 1.05;
const OVERLOAD_PACKETS: f64 = 6.0;
/// And if the queue is not below this share of what it was.
const STILL: f64 = 0.8;
/// A reference below this share of what the path has carried cannot be what fills it; so much of that is held then.
const TINY: f64 = 0.08;
const TINY_HELD: f64 = 0.15;
/// The route has changed if the delay stood still for so long, while so many thresholds should have run out.
const ROUTE: Duration = Duration::from_millis(600);
const ROUTE_DRAINED: f64 = 3.0;
/// A check is judged not before this, and is over by then.
const CHECK_JUDGED: Duration = Duration::from_millis(500);
const CHECK_OVER: Duration = Duration::from_millis(2_500);
/// The queue is another's if it became shorter by less than this share of what it should have.
const CHECK_SHARE: f64 = 0.4;
/// Without a rival known before: after so long and twice the response, if so many microseconds and this share of the
/// queue should have run out, and less than the last share of it did.
const RIVAL: Duration = Duration::from_millis(1_500);
const RIVAL_DRAINED: (f64, f64) = (60_000.0, 0.5);
const RIVAL_SHARE: f64 = 0.3;
/// The share of the reference that is held against a rival.
const RIVAL_HELD: f64 = 0.9;

/// A queue that is let run empty. Rates in bits a second, queues in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Drain {
    /// What comes through while it is full.
    reference: f64,
    /// How long it was at the cut.
    queue: f64,
    /// By how much it should have become shorter since the cut was answered.
    drained: f64,
    /// Since when is reported what left after the cut.
    answered: Option<Instant>,
    /// One past the last number that left before it.
    covered: u64,
    /// Whether the queue was short.
    mild: bool,
    /// Whether it is looked for a rival known before.
    check: bool,
    /// The estimate before.
    before: f64,
    /// The bounds of the queue since the cut was answered.
    least: f64,
    most: f64,
    since: Instant,
}

/// What follows from a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// It goes on: the estimate, and how fast packets leave.
    Stay { target: f64, pace: f64 },
    /// Nothing waits any more.
    Emptied(Emptied),
    /// The queue is another's; so much is held against it.
    Contest(f64),
    /// The delay is what it is: the route has changed, and the estimate is what it was before.
    OtherRoute { before: f64 },
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Emptied {
    pub(super) target: f64,
    /// What came through while the queue was full.
    pub(super) reference: f64,
    /// Whether the rival that was looked for has gone.
    pub(super) rival_gone: bool,
    /// What was sent before, if the capacity fell far.
    pub(super) fade: Option<f64>,
}

impl Drain {
    /// After a cut at an estimate of `before`; `check` to look for a rival known before.
    pub(super) fn new(situation: &Situation<'_>, reference: f64, before: f64, check: bool) -> Self {
        Drain {
            reference,
            queue: situation.queue(),
            drained: 0.0,
            answered: None,
            covered: situation.measured.history.end(),
            mild: !check && !situation.is_far_over(),
            check,
            before,
            least: f64::MAX,
            most: 0.0,
            since: situation.now,
        }
    }

    /// What follows from a round.
    pub(super) fn on_round(&mut self, situation: &Situation<'_>) -> Step {
        if situation.measured.delay.is_short() {
            return Step::Emptied(self.emptied());
        }
        if situation.rival && situation.is_far_over() && !self.check {
            return Step::Contest(self.before);
        }
        let end = if situation.measured.history.reported() < self.covered {
            self.on_growth(situation);
            None
        } else {
            self.on_answer(situation)
        };
        end.unwrap_or_else(|| self.stay(situation))
    }

    /// Whether it is looked for a rival known before.
    pub(super) fn is_check(&self) -> bool {
        self.check
    }

    fn emptied(&self) -> Emptied {
        let share = if self.mild { AFTER.1 } else { AFTER.0 };
        let fade = !self.check && self.reference < FADE * self.before;
        Emptied {
            target: if self.check { AFTER_CHECK * self.before } else { share * self.reference },
            reference: self.reference,
            rival_gone: self.check,
            fade: fade.then_some(self.before),
        }
    }

    /// Nothing that left after the cut is reported yet. While the queue grows, what comes through is all.
    fn on_growth(&mut self, situation: &Situation<'_>) {
        let queue = situation.queue();
        if queue > self.queue {
            self.reference = self.reference.min(situation.short.delivered);
            self.queue = queue;
        }
    }

    /// What left after the cut is reported.
    fn on_answer(&mut self, situation: &Situation<'_>) -> Option<Step> {
        let answered = *self.answered.get_or_insert(situation.now);
        let waited = situation.now - answered;
        let since = situation.measured.rounds.window(waited.min(SINCE)).unwrap_or(situation.short);
        let overload = since.sent * (1.0 - situation.floor) > OVERLOAD * since.delivered
            && since.packets >= OVERLOAD_PACKETS;
        if waited > SETTLE && overload && !self.check && situation.queue() > STILL * self.queue {
            return self.cut_again(situation, &since);
        }
        self.reckon(situation, &since);
        if self.is_other_route(situation, waited) {
            return Some(Step::OtherRoute { before: self.before });
        }
        self.rival(situation, waited)
    }

    /// More leaves than comes through, still.
    fn cut_again(&mut self, situation: &Situation<'_>, since: &Window) -> Option<Step> {
        self.reference = since.delivered.min(self.reference);
        if self.reference < TINY * situation.widest {
            return Some(Step::Contest(TINY_HELD * situation.widest));
        }
        (self.queue, self.drained) = (situation.queue(), 0.0);
        (self.covered, self.answered) = (situation.measured.history.end(), None);
        None
    }

    /// What is sent below the reference, the queue should become shorter by: by less, the more the path carries.
    fn reckon(&mut self, situation: &Situation<'_>, since: &Window) {
        let widest = situation.widest.max(self.reference);
        let share = ((self.reference - since.sent) / widest).clamp(0.0, 1.0);
        self.drained += situation.elapsed * share * 1e6;
        self.least = self.least.min(situation.queue());
        self.most = self.most.max(situation.queue());
    }

    /// Whatever is sent it takes as long.
    fn is_other_route(&self, situation: &Situation<'_>, waited: Duration) -> bool {
        let threshold = situation.threshold();
        let flat = self.most - self.least < threshold && situation.queue() > self.queue - threshold;
        flat && waited > ROUTE + situation.measured.response && self.drained > ROUTE_DRAINED * threshold
    }

    /// Whether the queue is another's.
    fn rival(&self, situation: &Situation<'_>, waited: Duration) -> Option<Step> {
        let fallen = self.queue - situation.queue();
        if self.check && waited > CHECK_JUDGED && (fallen < CHECK_SHARE * self.drained || waited > CHECK_OVER)
        {
            return Some(Step::Contest(self.before));
        }
        let patience = RIVAL + 2 * situation.measured.response;
        let expected = self.drained > RIVAL_DRAINED.0 + RIVAL_DRAINED.1 * self.queue;
        let is_rival = waited > patience && expected && fallen < RIVAL_SHARE * self.queue;
        is_rival.then_some(Step::Contest(RIVAL_HELD * self.reference))
    }

    fn stay(&self, situation: &Situation<'_>) -> Step {
        let queue = situation.queue();
        let pace = if self.check { CHECK } else { pace_factor(queue) };
        let young = situation.now - self.since < YOUNG;
        let target = if young && !self.check { target_factor(queue) } else { pace };
        Step::Stay { target: self.reference * target, pace: self.reference * pace }
    }
}

/// The share of the reference that the estimate is set to while packets wait so many microseconds.
pub(super) fn target_factor(queue: f64) -> f64 {
    (1.0 - queue / 600_000.0).clamp(0.6, 0.96)
}

/// The share of the reference at which packets leave then.
pub(super) fn pace_factor(queue: f64) -> f64 {
    (1.0 - queue / 200_000.0).clamp(0.4, 0.92)
}

#[cfg(test)]
mod tests {
    use super::super::feed::Feed;
    use super::*;

    /// How it ends, and after how many milliseconds, when 2 Mbit/s is sent over 1 Mbit/s and 100 ms wait at once, and
    /// what `after` makes of that: of the milliseconds since, and of those by which the queue should be shorter.
    fn end(rival: bool, check: bool, after: impl Fn(f64, f64) -> f64) -> (Step, u64) {
        let mut feed = Feed { rival, widest: 1e6, ..Feed::default() };
        feed.run(2_000, 1_000.0, |_, _| Some(20.0), |_| {});
        let mut drain = None;
        feed.run(
            200,
            2_000.0,
            |_, _| Some(120.0),
            |situation| drain = Some(Drain::new(situation, 1e6, 2e6, check)),
        );
        let (mut drain, mut end, mut rate) = (drain.expect("rounds"), None, 600.0);
        let (mut ticks, mut gone) = (0, 0.0);
        while end.is_none() && ticks < 200 {
            let fate = |_, ms: u64| {
                let ms = (ticks * 50 + ms) as f64;
                Some(20.0 + after(ms, gone).max(0.0))
            };
            feed.run(50, rate, fate, |situation| match drain.on_round(situation) {
                Step::Stay { pace, .. } => rate = pace / 1e3,
                step => end = Some(step),
            });
            gone += 50.0 * (1.0 - rate / 1_000.0);
            ticks += 1;
        }
        (end.expect("an end"), ticks * 50)
    }

    #[test]
    fn a_queue_of_ours_runs_empty_and_leaves_what_came_through() {
        let (step, ms) = end(false, false, |_, gone| 100.0 - gone);
        let Step::Emptied(emptied) = step else { panic!("{step:?}") };
        assert!((emptied.target - 0.95e6).abs() < 1.0 && emptied.fade == Some(2e6) && !emptied.rival_gone);
        assert!(ms < 1_000, "{ms}");
    }

    #[test]
    fn a_queue_that_stays_in_motion_is_anothers() {
        let sway = |ms: f64, _| 100.0 + 12.0 * (ms / 300.0).sin();
        let (step, ms) = end(false, false, sway);
        assert!(matches!(step, Step::Contest(held) if (held - 0.9e6).abs() < 1.0), "{step:?}");
        assert!(ms < 3_000, "{ms}");
        // One known from before is not waited for.
        let (step, ms) = end(true, false, sway);
        assert!(step == Step::Contest(2e6) && ms == 50, "{step:?} {ms}");
    }

    #[test]
    fn a_delay_that_does_not_move_is_another_route() {
        assert_eq!(end(false, false, |_, _| 100.0).0, Step::OtherRoute { before: 2e6 });
    }

    #[test]
    fn a_check_tells_whether_the_rival_has_gone() {
        let (gone, _) = end(true, true, |_, gone| 100.0 - gone);
        assert!(matches!(gone, Step::Emptied(emptied) if emptied.rival_gone && emptied.target == 1.8e6));
        let (stays, ms) = end(true, true, |ms, _| 100.0 + 12.0 * (ms / 300.0).sin());
        assert!(stays == Step::Contest(2e6) && ms < 2_000, "{stays:?} {ms}");
    }
}
