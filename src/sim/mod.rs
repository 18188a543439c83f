//! Links and networks in virtual time, by which senders are judged.
//!
//! A [`Link`] is one direction of a path and stands alone: packets go in at a moment and come out with the moment at
//! which they arrive or are lost. A [`Scenario`] is read from a file; [`run`] puts its two links, its media flows,
//! their feedback, TCP and constant traffic together and leaves a [`Run`], of which [`metrics`] are functions and
//! [`Figures`] the sum. Whoever is judged is a [`Controller`].
//!
//! There is no clock and no thread; the same seed gives the same run, bit for bit.
//!
//! # What the scenario files leave open
//!
//! - All rates are wire rates, sound and layers too.
//! - The packet in service has left the queue, so its bytes do not count against the queue's.
//! - A lane's order is kept, not a link's: flows with delays of their own may overtake each other.
//! - What is lost is asked for with each feedback until it comes, and sent again when what was sent last is known
//!   not to have come.
//! - A flow that pauses leaves its share to the others.
//! - Transfers with pauses begin with one.

mod capacity;
mod codel;
mod constant;
mod controller;
mod cubic;
mod direction;
mod draws;
mod link;
mod loss;
pub mod metrics;
mod network;
mod plot;
mod policer;
mod queue;
mod reading;
mod receiver;
mod record;
mod scenario;
mod score;
mod sender;
mod share;
mod source;
mod transfer;

pub use capacity::Capacity;
pub use controller::{Aimd, ConstantRate, Controller, Demand, Report, Sent};
pub use direction::{Direction, PolicerConfig, Reorder};
pub use link::{Fate, Link, Outcome, Packet};
pub use loss::BurstLoss;
pub use network::{Settings, run};
pub use plot::svg;
pub use queue::Aqm;
pub use receiver::FeedbackFormat;
pub use record::{Content, FlowRecord, FrameRecord, PacketRecord, Run, TransferRecord};
pub use scenario::{
    ConstantConfig, FlowConfig, Goals, Scenario, ScenarioError, SourceConfig, TransferConfig,
};
pub use score::{Figures, Miss, median, overall};
pub use share::{Span, spans};
