//! What the fuzz targets do with bytes. Each function takes any bytes and panics when something that
//! must hold does not; an ordinary test of the crate runs them over `corpus-kept/`.
#![forbid(unsafe_code)]
#![allow(dead_code, unreachable_pub)]

#[path = "data.rs"]
mod data_targets;
#[path = "dtls.rs"]
mod dtls_targets;
#[path = "engine.rs"]
mod engine_targets;
#[path = "ice.rs"]
mod ice_targets;
#[path = "negotiation.rs"]
mod negotiation_targets;
#[path = "parsers.rs"]
mod parsers_targets;
#[path = "payload.rs"]
mod payload_targets;
#[path = "rtcp.rs"]
mod rtcp_targets;
#[path = "rtp.rs"]
mod rtp_targets;
#[path = "srtp.rs"]
mod srtp_targets;
#[path = "streams.rs"]
mod streams_targets;
#[path = "../../benches/support/mod.rs"]
mod support;

pub use data_targets::{dcep, sctp};
pub use dtls_targets::{dtls, dtls_inner, dtls_messages};
pub use engine_targets::{engine_inner, engine_room, engine_wire};
pub use ice_targets::ice;
pub use negotiation_targets::negotiation;
pub use parsers_targets::{rtcp, rtp, sdp, stun};
pub use payload_targets::{av1, dependency_descriptor, h264, h265, layers_allocation, opus, vp8, vp9};
pub use rtcp_targets::{rtcp_ccfb, rtcp_feedback, rtcp_reports, rtcp_sdes, rtcp_twcc};
pub use rtp_targets::{extensions, fec, red, rtx};
pub use srtp_targets::srtp;
pub use streams_targets::{engine_streams, framing};

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
