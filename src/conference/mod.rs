//! Floor 6: composition.

#[cfg(feature = "sdp")]
pub mod negotiation;
