//! Floor 5: what is known of an RTP stream, its packets, their repair, and how their numbers are
//! rewritten. Knows neither transports nor rooms.

pub(crate) mod history;
pub(crate) mod keyframes;
pub(crate) mod ladder;
pub mod layers;
pub(crate) mod reading;
pub(crate) mod reception;
pub(crate) mod repair;
pub(crate) mod rewrite;
pub(crate) mod seen;
pub mod speakers;
