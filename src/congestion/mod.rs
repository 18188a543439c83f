//! Floor 5: congestion.
