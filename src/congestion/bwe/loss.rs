//! Loss: is it congestion, or lost at any rate?
//!
//! The share that is lost whatever is sent (the *floor*) is learned slowly and never answered: radio and long ways
//! lose so. When clearly more is lost, the estimate is cut for a moment to see what that changes (a *trial*): if as
//! large a share is lost of less, and less comes through, the loss belongs to the floor, and the cut is taken back.
//! If the loss goes away, it was ours; and if it comes back at the same rate, a policer stands there, above whose rate
//! all is lost without a queue to be seen: for a while nothing tries to pass it.

use std::time::Duration;

use super::measured::Situation;
use super::rounds::Window;
use crate::base::time::Instant;

/// The floor before anything is known: a start meets no one who says that loss is congestion.
const FLOOR: f64 = 0.1;
/// Fewer packets a second say nothing of loss.
const PACKETS: f64 = 10.0;
/// A queue just answered may have lost packets: loss is judged so long after, and a response.
const SETTLE: Duration = Duration::from_secs(1);
/// Loss above the floor by this and so many standard errors is no accident. The floor counts at least the last.
const CLEAR: f64 = 0.02;
const ERRORS: f64 = 2.5;
const ERROR_FLOOR: f64 = 0.01;
/// Who sends less than this share of the estimate loses nothing by it.
const FILLED: f64 = 0.6;
/// And of who sends more than this times the estimate it is not the estimate that loses.
const OVER: f64 = 1.5;
/// The floor follows in so many rounds, up and down: up slower, as the loss may be ours.
const FOLLOW: (f64, f64) = (64.0, 24.0);
/// A trial is judged so long after it began, and a response.
const JUDGED: Duration = Duration::from_millis(600);
/// Loss is of the floor if the delivered fell by more than this share of the cut, and the loss by less than the second;
/// but not more loss than the third: the path would be dead.
const SAME: (f64, f64, f64) = (0.5, 0.5, 0.25);
/// Still so much more than the floor: another trial.
const STILL: f64 = 0.1;
/// Less than this share of the loss before: it has gone away with the rate.
const GONE: f64 = 0.3;
/// The same rate, twice within so long, is a policer's.
const ALIKE: (f64, f64) = (0.88, 1.12);
const AGAIN: Duration = Duration::from_secs(40);
/// Nothing goes above this share of it for so long.
const BELOW: f64 = 0.98;
const POLICED: Duration = Duration::from_secs(20);
/// What a trial sends: this share of what would come if no more than this floor were lost; and at least the last share
/// of the estimate unless a quarter is lost.
const TRIAL: f64 = 0.97;
const TRIAL_FLOOR: f64 = 0.15;
const TRIAL_LEAST: (f64, f64) = (0.5, 0.25);

/// A rate in bits a second, and when it was seen or until when it holds.
type Dated = (f64, Instant);

/// What loss has told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Loss {
    floor: f64,
    trial: Option<Trial>,
    /// Where loss went away with the rate.
    policed: Option<Dated>,
    ceiling: Option<Dated>,
    /// When something else than Rise was last, or a trial ended.
    unsettled: Instant,
}

/// A cut that shows whether loss depends on the rate. Rates in bits a second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Trial {
    /// The estimate before, and what happened then.
    before: f64,
    loss: f64,
    sent: f64,
    delivered: f64,
    /// One past the last number that left before it.
    covered: u64,
    since: Instant,
}

/// What follows from a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Answer {
    /// Nothing.
    None,
    /// The estimate is cut to this, to see what that changes; so much comes through.
    Cut { target: f64, delivered: f64 },
    /// The cut was for nothing: back to this.
    Restore(f64),
}

impl Default for Loss {
    fn default() -> Self {
        Loss { floor: FLOOR, trial: None, policed: None, ceiling: None, unsettled: Instant::ZERO }
    }
}

impl Loss {
    /// The share of packets that is lost at any rate.
    pub(super) fn floor(&self) -> f64 {
        self.floor
    }

    /// Whether the estimate is held down to see what loss does.
    pub(super) fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// A policer's rate that nothing should try to pass now, in bits a second.
    pub(super) fn ceiling(&self, now: Instant) -> Option<f64> {
        self.ceiling.filter(|(_, until)| now < *until).map(|(rate, _)| rate)
    }

    /// What follows from a round at an estimate of `target`; `rising` unless a queue is being answered.
    pub(super) fn on_round(&mut self, situation: &Situation<'_>, target: f64, rising: bool) -> Answer {
        let Some(second) = situation.measured.second() else { return Answer::None };
        if !rising {
            self.unsettled = situation.now;
        }
        let settled = situation.now - self.unsettled > situation.measured.response + SETTLE;
        if second.packets < PACKETS || !rising || !settled {
            self.trial = None;
            return Answer::None;
        }
        match self.trial {
            Some(trial) => self.judge(situation, &trial, target),
            None => self.watch(situation, &second, target),
        }
    }

    fn watch(&mut self, situation: &Situation<'_>, second: &Window, target: f64) -> Answer {
        let error = ERRORS * (self.floor.max(ERROR_FLOOR) * second.run / second.packets).sqrt();
        if second.sent > OVER * target {
            // Much of it was a probe, whose loss is its own.
            return Answer::None;
        }
        if second.loss > self.floor + CLEAR + error && second.sent >= FILLED * target {
            let half = situation.measured.half_second();
            return half.map_or(Answer::None, |half| self.start_trial(situation, &half, target));
        }
        let rounds = if second.loss > self.floor { FOLLOW.0 } else { FOLLOW.1 };
        self.floor += (second.loss - self.floor) / rounds;
        Answer::None
    }

    fn start_trial(&mut self, situation: &Situation<'_>, window: &Window, target: f64) -> Answer {
        self.trial = Some(Trial {
            before: target,
            loss: window.loss,
            sent: window.sent,
            delivered: window.delivered,
            covered: situation.measured.history.end(),
            since: situation.now,
        });
        let least = if window.loss > TRIAL_LEAST.1 { 0.0 } else { TRIAL_LEAST.0 * target };
        let carried = window.delivered / (1.0 - self.floor.min(TRIAL_FLOOR));
        Answer::Cut { target: (carried * TRIAL).max(least), delivered: window.delivered }
    }

    fn judge(&mut self, situation: &Situation<'_>, trial: &Trial, target: f64) -> Answer {
        let measured = situation.measured;
        let answered = measured.history.reported() >= trial.covered;
        if !answered || situation.now - trial.since < measured.response + JUDGED {
            return Answer::None;
        }
        self.trial = None;
        // What was lost before is not to be judged twice.
        self.unsettled = situation.now;
        let Some(after) = measured.half_second() else { return Answer::None };
        let cut = 1.0 - after.sent / trial.sent;
        let fallen = 1.0 - after.delivered / trial.delivered;
        if after.loss < SAME.2 && fallen > SAME.0 * cut && after.loss > SAME.1 * trial.loss {
            self.floor = self.floor.max(after.loss);
            return Answer::Restore(target.max(trial.before));
        }
        if after.loss > self.floor + STILL {
            return self.start_trial(situation, &after, target);
        }
        if after.loss < GONE * trial.loss {
            self.on_policed(situation.now, trial.delivered);
        }
        Answer::None
    }

    /// Loss went away below this rate. Twice at the same rate is no accident.
    fn on_policed(&mut self, now: Instant, rate: f64) {
        let again = self
            .policed
            .is_some_and(|(before, at)| now - at < AGAIN && (ALIKE.0..ALIKE.1).contains(&(rate / before)));
        self.policed = Some((rate, now));
        if again {
            self.ceiling = Some((BELOW * rate, now + POLICED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::feed::Feed;
    use super::*;

    /// Sends at the target for so many seconds, which answers cut and restore. `lost` says of a packet's number and of
    /// the rate that is sent whether it is lost. The answers that were given.
    fn run(loss: &mut Loss, seconds: u64, target: &mut f64, lost: impl Fn(u64, f64) -> bool) -> Vec<Answer> {
        let mut feed = Feed::default();
        let mut answers = Vec::new();
        for _ in 0..seconds * 20 {
            let rate = *target;
            feed.floor = loss.floor();
            feed.run(
                50,
                rate / 1e3,
                |number, _| (!lost(number, rate)).then_some(20.0),
                |situation| {
                    let answer = loss.on_round(situation, *target, true);
                    match answer {
                        Answer::None => return,
                        Answer::Cut { target: cut, .. } => *target = cut.min(*target),
                        Answer::Restore(before) => *target = before,
                    }
                    answers.push(answer);
                },
            );
        }
        answers
    }

    #[test]
    fn random_loss_is_learned_and_costs_nothing() {
        let (mut loss, mut target) = (Loss::default(), 2e6);
        run(&mut loss, 30, &mut target, |_, _| false);
        assert!(loss.floor() < 0.01);
        let answers = run(&mut loss, 10, &mut target, |number, _| number * 7 % 20 < 3);
        assert!(matches!(answers[..], [Answer::Cut { .. }, Answer::Restore(_)]), "{answers:?}");
        assert!(target == 2e6 && (loss.floor() - 0.15).abs() < 0.04, "{target} {}", loss.floor());
        assert_eq!(loss.ceiling(Instant::from_millis(9_000)), None);
    }

    #[test]
    fn a_policers_rate_is_a_ceiling_the_second_time() {
        let (mut loss, mut target) = (Loss::default(), 2e6);
        run(&mut loss, 30, &mut target, |_, _| false);
        let policer = |number: u64, rate: f64| (number * 7 % 20) as f64 / 20.0 < 1.0 - 1.2e6 / rate;
        run(&mut loss, 4, &mut target, policer);
        assert!(target < 1.25e6 && loss.ceiling(Instant::from_millis(4_000)).is_none(), "{target}");
        target = 2e6;
        run(&mut loss, 4, &mut target, policer);
        let ceiling = loss.ceiling(Instant::from_millis(4_000)).expect("known");
        assert!((1.0e6..1.25e6).contains(&ceiling), "{ceiling}");
    }

    #[test]
    fn little_says_nothing_of_loss() {
        let (mut loss, mut target) = (Loss::default(), 60e3);
        assert_eq!(run(&mut loss, 20, &mut target, |number, _| number % 2 == 0), []);
    }
}
