//! Floor 5: how much a path carries, when packets leave and what is sent of it: policy on plain numbers.

pub mod allocation;
pub(crate) mod arrivals;
pub mod bwe;
pub(crate) mod departures;
pub mod pacing;
pub(crate) mod receiver;
pub(crate) mod receiver_clock;
