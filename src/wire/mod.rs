//! Floor 1: bytes ↔ fields. Views over borrowed bytes, writers into borrowed bytes. No state, no
//! time, no keys.

pub mod dcep;
pub(crate) mod malformed;
pub mod mux;
pub mod payload;
pub mod rtcp;
pub mod rtp;
pub mod sctp;
pub mod sdp;
pub mod stun;
