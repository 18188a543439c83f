//! Links and networks in virtual time, by which senders are judged.
//!
//! A [`Link`] is one direction of a path and stands alone: packets go in at a moment and come out with the moment at
//! which they arrive or are lost. A [`Scenario`] is read from a file; [`run`] puts its two links, its media flows,
//! their feedback, TCP and constant traffic together and leaves a [`Run`], of which [`metrics`] are functions and
//! [`Figures`] the sum. Whoever is judged is a [`Controller`], or has [`Ends`] of its own for [`run_ends`].
//!
//! There is no clock and no thread; the same seed gives the same run, bit for bit.
//!
//! # What the scenario files leave open
//!
//! - All rates are wire rates, sound and layers too.
//! - To recover is to reach the flow's own part of what is left; alone on the path that is all of it.
//! - The packet in service is held until it is through, and an idle bottleneck takes any packet.
//! - A lane's order is kept, not a link's: flows with delays of their own may overtake each other.
//! - What is lost is asked for with each feedback until it comes, and sent again when what was sent last is known
//!   not to have come.
//! - A flow that pauses leaves its share to the others.
//! - Transfers with pauses begin with one.
//! - What can no longer be shown, as more than a second has passed, is not asked for nor sent again.
//!
//! # What they can say besides
//!
//! A bottleneck may have [`Gaps`], of which what is possible has its part; `delay_steps_ms` changes the route;
//! `feedback_ms`, `clock_ahead_ms` and `clock_drift_ppm` are of a flow's receiver; TCP and constant traffic may go
//! `backward`. [`random_scenario`] draws a network with any of them.

mod capacity;
mod codel;
mod constant;
mod controller;
mod cubic;
mod direction;
mod draws;
mod ends;
mod gaps;
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
pub mod table;
mod transfer;
mod wild;

pub use capacity::Capacity;
pub use controller::{Aimd, ConstantRate, Controller, Demand, Report, Sent};
pub use direction::{Direction, PolicerConfig, Reorder};
pub use ends::{Ends, Way};
pub use gaps::Gaps;
pub use link::{Fate, Link, Outcome, Packet};
pub use loss::BurstLoss;
pub use network::{Settings, run, run_ends};
pub use plot::svg;
pub use queue::Aqm;
pub use receiver::FeedbackFormat;
pub use record::{Content, FlowRecord, FrameRecord, PacketRecord, Run, TransferRecord};
pub use scenario::{
    ConstantConfig, FlowConfig, Goals, Scenario, ScenarioError, SourceConfig, TransferConfig,
};
pub use score::{Figures, Miss, median, overall};
pub use share::{Span, spans};
pub use source::{FRAME_RATE, Source};
pub use wild::random_scenario;
