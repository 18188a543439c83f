//! Floor 5: congestion feedback on plain numbers.

pub(crate) mod arrivals;
