//! Links and networks in virtual time, by which senders are judged.
//!
//! A [`Link`] is one direction of a path and stands alone: packets go in at a moment and come out with the moment at
//! which they arrive or are lost.
//!
//! There is no clock and no thread; the same seed gives the same run, bit for bit.

mod capacity;
mod codel;
mod direction;
mod draws;
mod link;
mod loss;
mod policer;
mod queue;
mod reading;

pub use capacity::Capacity;
pub use direction::{Direction, PolicerConfig, Reorder};
pub use link::{Fate, Link, Outcome, Packet};
pub use loss::BurstLoss;
pub use queue::Aqm;
