//! What the fuzz targets do with bytes. Each function takes any bytes and panics when something that
//! must hold does not; an ordinary test of the crate runs them over `corpus-kept/`.
#![forbid(unsafe_code)]
#![allow(dead_code, unreachable_pub)]

#[path = "machines.rs"]
mod machines;
#[path = "parsers.rs"]
mod parsers;
#[path = "streams.rs"]
mod streams;
#[path = "../../benches/support/mod.rs"]
mod support;

pub use machines::{engine, ice, srtp};
pub use parsers::{rtcp, rtp, sdp, stun};
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
