//! Floor 0: time, units, keys, limits, counters, randomness and base64. Knows nothing of the network.

pub(crate) mod base64;
pub(crate) mod counters;
pub(crate) mod deadlines;
pub(crate) mod digest;
pub mod limits;
pub mod random;
pub(crate) mod slots;
pub(crate) mod table;
pub(crate) mod time;
pub(crate) mod units;
