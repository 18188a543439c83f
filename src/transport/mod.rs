//! Floor 4: one participant’s path.
