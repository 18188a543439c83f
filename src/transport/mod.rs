//! Floor 4: one participant's path. Knows nothing of rooms, layers or rates.

pub(crate) mod channels;
pub mod framing;
pub(crate) mod network;
