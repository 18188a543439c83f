//! What was decided of what each participant is sent, with the numbers that led to it: plain values in a ring that is
//! made once, so that keeping them costs no allocation.

use crate::base::time::Instant;
use crate::conference::drops::{DropCounters, DropReason};
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SourceId};
use crate::congestion::allocation::{self, Reason};
use crate::congestion::bwe;
use crate::forwarding::layers::Layer;
use std::collections::VecDeque;

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
    /// The path is believed to carry another rate, or the same for another cause.
    Estimate(bwe::Basis),
    /// A video is to be sent in another layer, or not at all.
    Granted {
        /// Which.
        source: SourceId,
        /// What it was to be before.
        before: Option<Layer>,
        /// What it is to be now.
        after: Option<Layer>,
        /// Why it is not more.
        reason: Reason,
        /// In numbers.
        basis: allocation::Basis,
    },
    /// A video is sent in another layer from now on, or not at all.
    Sent {
        /// Which.
        source: SourceId,
        /// In which layer.
        layer: Option<Layer>,
        /// Why it is not more.
        reason: Reason,
    },
    /// A key frame is asked for.
    KeyFrame {
        /// Of which source.
        source: SourceId,
        /// Of which of its encodings.
        encoding: u8,
    },
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

#[cfg(feature = "json")]
mod json {
    //! One decision a line (<https://jsonlines.org>).

    use super::{Choice, Decision};
    use crate::base::units::Bitrate;
    use crate::forwarding::layers::Layer;
    use std::fmt::{Display, Formatter, Result};

    /// A decision as an object of JSON: rates in bits in a second, times in microseconds since the clock's origin,
    /// waiting in milliseconds; ids as text, layers as `encoding.spatial.temporal` or `null`.
    #[derive(Debug, Clone, Copy)]
    pub struct Json<'d>(&'d Decision);

    impl Decision {
        /// Displays it as an object of JSON, without a line's end.
        pub fn json(&self) -> Json<'_> {
            Json(self)
        }
    }

    impl Display for Json<'_> {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            let Decision { at, participant, choice } = self.0;
            write!(f, "{{\"at\":{},\"participant\":\"{participant}\",", at.as_micros())?;
            match choice {
                Choice::Estimate(basis) => {
                    write!(f, "\"choice\":\"estimate\",\"target\":{},", bps(basis.target))?;
                    write!(f, "\"cause\":\"{:?}\",\"delivered\":{},", basis.cause, bps(basis.delivered))?;
                    let queue = basis.queue.as_secs_f64() * 1e3;
                    write!(f, "\"queue_ms\":{queue:.1},\"loss\":{:.4}}}", basis.loss)
                }
                Choice::Granted { source, before, after, reason, basis } => {
                    write!(f, "\"choice\":\"granted\",\"source\":\"{source}\",")?;
                    write!(f, "\"before\":{},\"after\":{},", Place(*before), Place(*after))?;
                    write!(f, "\"reason\":\"{reason:?}\",\"budget\":{},", bps(basis.budget))?;
                    write!(f, "\"reserve\":{},\"video\":{},", bps(basis.reserve), bps(basis.video))?;
                    write!(f, "\"rate\":{},\"missing\":{}}}", bps(basis.rate), bps(basis.missing))
                }
                Choice::Sent { source, layer, reason } => {
                    write!(f, "\"choice\":\"sent\",\"source\":\"{source}\",")?;
                    write!(f, "\"layer\":{},\"reason\":\"{reason:?}\"}}", Place(*layer))
                }
                Choice::KeyFrame { source, encoding } => {
                    write!(f, "\"choice\":\"key_frame\",\"source\":\"{source}\",\"encoding\":{encoding}}}")
                }
            }
        }
    }

    fn bps(rate: Bitrate) -> u64 {
        rate.as_bps()
    }

    struct Place(Option<Layer>);

    impl Display for Place {
        fn fmt(&self, f: &mut Formatter<'_>) -> Result {
            match self.0 {
                Some(layer) => write!(f, "\"{}.{}.{}\"", layer.encoding, layer.spatial, layer.temporal),
                None => f.write_str("null"),
            }
        }
    }
}

#[cfg(feature = "json")]
pub use json::Json;
