//! When more may be taken: at once what a probe has found, other room after it has lasted, and the longer the more
//! often what was taken was lost again.

use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;

/// How long room lasts before it is taken; doubles each time that what was taken is lost [`SOON`].
pub(super) const LASTING: Duration = Duration::from_millis(400);
/// How often it doubles: up to 12.8 s.
const DOUBLINGS: u8 = 5;
/// What is lost within this time was taken too early; and so long nothing is taken at once.
const SOON: Duration = Duration::from_secs(10);
/// After so long without a loss all is forgiven; and for so long the moves of one stream are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// Steps the same way of which each comes within so long are one move.
const ONE_MOVE: Duration = Duration::from_secs(5);

/// How much of the budget has lasted.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Proof {
    /// What has lasted.
    proven: Bitrate,
    /// The least since the beginning of the present interval.
    since: Instant,
    least: Bitrate,
    /// The interval began with a leap.
    leapt: bool,
}

impl Proof {
    pub(super) fn proven(&self) -> Bitrate {
        self.proven
    }

    fn on_budget(&mut self, now: Instant, budget: Bitrate, calm: bool) {
        self.proven = self.proven.min(budget);
        self.least = self.least.min(budget);
        // A quarter more at once is what a probe has found, or another path.
        if budget.as_bps() / 5 >= self.least.as_bps() / 4 {
            (self.since, self.least, self.leapt) = (now, budget, true);
            if calm {
                self.proven = budget;
            }
        }
    }

    fn settle(&mut self, now: Instant, budget: Bitrate, lasting: Duration) {
        if now >= self.due(lasting) {
            self.proven = self.proven.max(self.least);
            (self.since, self.least, self.leapt) = (now, budget, false);
        }
    }

    /// The end of the present interval.
    fn due(&self, lasting: Duration) -> Instant {
        self.since + if self.leapt { LASTING } else { lasting }
    }
}

/// What may be taken of a budget, and when.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Patience {
    budget: Bitrate,
    /// For more of what is there already.
    pub(super) more: Proof,
    /// For what is not there at all: it does not wait longer.
    pub(super) least: Proof,
    raised: Option<Instant>,
    lost: Option<Instant>,
    doublings: u8,
}

impl Patience {
    pub(super) fn on_budget(&mut self, now: Instant, budget: Bitrate) {
        self.budget = budget;
        let calm = self.lost.is_none_or(|lost| now - lost >= SOON);
        self.more.on_budget(now, budget, calm);
        self.least.on_budget(now, budget, calm);
    }

    /// Ends intervals that are over.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.lost.is_some_and(|lost| now - lost >= MINUTE) {
            (self.lost, self.doublings) = (None, 0);
        }
        self.more.settle(now, self.budget, self.lasting());
        self.least.settle(now, self.budget, LASTING);
    }

    fn lasting(&self) -> Duration {
        LASTING * (1 << self.doublings)
    }

    /// Whether something was lost in the last minute.
    pub(super) fn is_restless(&self) -> bool {
        self.lost.is_some()
    }

    /// Whether what is lost now was taken not long ago.
    pub(super) fn is_soon(&self, now: Instant) -> bool {
        self.raised.is_some_and(|raised| now - raised < SOON)
    }

    /// A layer did not fit any more: all is to be proven anew, and for longer if it was taken too `early`.
    pub(super) fn on_loss(&mut self, now: Instant, early: bool) {
        if early {
            self.doublings = (self.doublings + 1).min(DOUBLINGS);
        }
        self.lost = Some(now);
        self.more = Proof { since: now, least: self.budget, ..Proof::default() };
        self.least = self.more;
    }

    pub(super) fn on_raise(&mut self, now: Instant) {
        self.raised = Some(now);
    }

    /// When more may be proven, for what is there already and for what is not.
    pub(super) fn due(&self) -> [Option<Instant>; 2] {
        let due = |proof: Proof, lasting| (proof.proven < self.budget).then(|| proof.due(lasting));
        [due(self.more, self.lasting()), due(self.least, LASTING)]
    }
}

/// The moves of one stream: steps the same way, one soon after the other, are one. A stream that has given way
/// does not go up after three moves within a minute, so that there are four if it falls once more. How it came to where
/// that first happened does not count.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Moves {
    /// When the last ones ended, the latest first.
    at: [Option<Instant>; 4],
    upwards: bool,
}

impl Moves {
    /// The first that counts is one that gives way.
    pub(super) fn on_step(&mut self, now: Instant, upwards: bool, gives_way: bool) {
        let [latest, ..] = self.at;
        if latest.is_none() && !gives_way {
            return;
        }
        let goes_on = latest.is_some_and(|latest| upwards == self.upwards && now - latest < ONE_MOVE);
        if !goes_on {
            self.at.rotate_right(1);
        }
        self.at[0] = Some(now);
        self.upwards = upwards;
    }

    /// Whether there were more than three within a minute at last.
    pub(super) fn are_many(&self) -> bool {
        let [latest, .., fourth] = self.at;
        latest.zip(fourth).is_some_and(|(latest, fourth)| latest - fourth < MINUTE)
    }

    /// Until when the stream does not go up, if that lies ahead.
    pub(super) fn waits(&self, now: Instant) -> Option<Instant> {
        let [.., third, _] = self.at;
        third.map(|third| third + MINUTE).filter(|until| *until > now)
    }
}
