//! estafette: a sans-IO selective forwarding unit.
//!
//! Datagrams, time and calls go in; datagrams, events and the next deadline come out.
#![forbid(unsafe_code)]

mod base;
mod conference;
mod congestion;
mod crypto;
mod forwarding;
mod session;
mod transport;
mod wire;

pub use base::{limits, random, time, units};
pub use session::{dtls, ice, srtp};
#[cfg(feature = "sdp")]
pub use wire::sdp;
pub use wire::{mux, rtcp, rtp, stun};
