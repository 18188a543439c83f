//! What the fuzz targets do with bytes. Each function takes any bytes and panics when something that
//! must hold does not; an ordinary test of the crate runs them over `corpus-kept/`.
#![forbid(unsafe_code)]
#![allow(dead_code, unreachable_pub)]

#[path = "dtls.rs"]
mod dtls;
#[path = "engine.rs"]
mod engine;
#[path = "machines.rs"]
mod machines;
#[path = "negotiation.rs"]
mod negotiation;
#[path = "parsers.rs"]
mod parsers;
#[path = "rtp.rs"]
mod rtp_parts;
#[path = "payload.rs"]
mod payload;
#[path = "rtcp.rs"]
mod rtcp_kinds;
#[path = "streams.rs"]
mod streams;
#[path = "../../benches/support/mod.rs"]
mod support;

pub use dtls::dtls;
pub use engine::{engine_inner, engine_room, engine_wire};
pub use machines::{ice, srtp};
pub use negotiation::negotiation;
pub use parsers::{rtcp, rtp, sdp, stun};
pub use rtp_parts::{extensions, fec, red, rtx};
pub use payload::{av1, dependency_descriptor, h264, h265, layers_allocation, opus, vp8, vp9};
#[path = "srtp.rs"]
mod srtp_sessions;
#[path = "../../benches/support/mod.rs"]
mod support;

pub use machines::{engine, ice};
pub use parsers::{rtcp, rtp, sdp, stun};
pub use srtp_sessions::srtp;
pub use rtcp_kinds::{rtcp_ccfb, rtcp_feedback, rtcp_reports, rtcp_sdes, rtcp_twcc};
pub use streams::{engine_streams, framing};

/// Takes a script apart: small numbers first, the rest as they come.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Up to `len` bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes of a length that the script tells first.
    pub(crate) fn chunk(&mut self) -> &'a [u8] {
        let len = self.byte().unwrap_or(0);
        self.bytes(usize::from(len) * 2)
    }
}
