//! What was decided of what each participant is sent, with the numbers that led to it: plain values in a ring that is
//! made once, so that keeping them costs no allocation.

use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::conference::drops::{DropCounters, DropReason};
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SourceId};
use crate::conference::sharing::Class;
use crate::congestion::allocation::{self, Reason};
use crate::congestion::bwe::{self, Demand};
use crate::forwarding::ladder::Rung;
use std::collections::VecDeque;

#[cfg(feature = "json")]
mod json;

#[cfg(feature = "json")]
pub use json::Json;

/// Something that was decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Instant,
    /// Of whom: who is sent it; of a key frame, who is asked for it.
    pub participant: ParticipantId,
    /// What.
    pub choice: Choice,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Choice {
    /// The path is believed to carry another rate by more than a hundredth, or the same for another cause.
    Estimate {
        /// What it stands on.
        basis: bwe::Basis,
        /// What sound and repair take of it.
        reserve: Bitrate,
        /// What video took of the estimate before.
        video: Bitrate,
    },
    /// A probe begins.
    Probe(Probe),
    /// A probe was reported.
    Probed(Proof),
    /// A video is to be sent in another layer, or not at all: a pause.
    Granted {
        /// Which.
        source: SourceId,
        /// What it counts as.
        class: Option<Class>,
        /// What it was to be before.
        before: Option<Rung>,
        /// What it is to be now.
        after: Option<Rung>,
        /// Why it is not more.
        reason: Reason,
        /// In numbers, if the path is estimated and the choice is not the wish's alone.
        basis: Option<allocation::Basis>,
    },
    /// A video is sent in another layer from now on, or not at all.
    Sent {
        /// Which.
        source: SourceId,
        /// In which layer.
        layer: Option<Rung>,
        /// Why it is not more.
        reason: Reason,
    },
    /// A key frame is wanted where none was since the last one came.
    KeyFrame {
        /// Of which source.
        source: SourceId,
        /// Of which of its encodings.
        encoding: u8,
        /// What for.
        reason: KeyFrameReason,
        /// How long ago that encoding was last asked for one; `None` if never.
        since: Option<Duration>,
    },
}

/// A probe as it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// At which rate it leaves, the media in it included.
    pub rate: Bitrate,
    /// The estimate.
    pub target: Bitrate,
    /// What it is for.
    pub demand: Demand,
}

/// What a probe showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// At which rate it left.
    pub rate: Bitrate,
    /// How many packets left while it did, media included.
    pub packets: u32,
    /// How many of them are said to have arrived.
    pub arrived: u32,
    /// At which rate they arrived; zero if that cannot be told.
    pub delivered: Bitrate,
    /// How much longer the last of them was on its way than the first: a queue that grew.
    pub queue: Duration,
    /// The estimate when it began.
    pub before: Bitrate,
    /// The estimate now. A series of probes may have to end before it follows.
    pub target: Bitrate,
}

/// What a key frame is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyFrameReason {
    /// Somebody is to get this encoding, and can begin only there.
    Switch,
    /// A receiver asked (PLI or FIR).
    Asked,
    /// So many packets are missing that the stream begins anew.
    Broken,
    /// A receiver's queue was full: a picture lacks a part.
    QueueFull,
}

/// The latest decisions, if they are wanted.
#[derive(Debug)]
pub(super) struct Decisions {
    ring: VecDeque<Decision>,
    most: usize,
}

impl Decisions {
    pub(super) fn new(most: usize) -> Self {
        Decisions { ring: VecDeque::with_capacity(most), most }
    }

    /// Whether anybody wants to know.
    pub(super) fn wanted(&self) -> bool {
        self.most > 0
    }

    /// Keeps a decision; the oldest one is lost if nobody fetches them.
    pub(super) fn push(&mut self, drops: &mut DropCounters, decision: Decision) {
        if !self.wanted() {
            return;
        }
        if self.ring.len() >= self.most {
            self.ring.pop_front();
            drops.add(DropReason::DecisionLost.index());
        }
        self.ring.push_back(decision);
    }
}

impl Engine {
    /// The next decision of those that were kept ([`crate::EngineConfig::decisions`]).
    pub fn poll_decision(&mut self) -> Option<Decision> {
        self.decisions.ring.pop_front()
    }

    /// Notes a decision.
    pub(super) fn decide(&mut self, at: Instant, participant: ParticipantId, choice: Choice) {
        self.decisions.push(&mut self.drops, Decision { at, participant, choice });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::slots::Key;

    fn decision(at: u64) -> Decision {
        let source = SourceId::from_parts(0, 0);
        let (reason, since) = (KeyFrameReason::Asked, None);
        let choice = Choice::KeyFrame { source, encoding: 0, reason, since };
        Decision { at: Instant::from_millis(at), participant: ParticipantId::from_parts(0, 0), choice }
    }

    #[test]
    fn of_more_than_are_kept_the_oldest_are_lost_and_counted() {
        let (mut decisions, mut drops) = (Decisions::new(2), DropCounters::new());
        (0..5).for_each(|at| decisions.push(&mut drops, decision(at)));
        assert!(decisions.ring.iter().eq(&[decision(3), decision(4)]));
        assert_eq!(drops.get(DropReason::DecisionLost.index()), 3);
    }

    #[test]
    fn who_wants_none_keeps_none_and_loses_none() {
        let (mut decisions, mut drops) = (Decisions::new(0), DropCounters::new());
        decisions.push(&mut drops, decision(0));
        assert!(decisions.ring.is_empty());
        assert_eq!(drops.get(DropReason::DecisionLost.index()), 0);
    }
}
