//! What RTP payloads tell an SFU: payload descriptors, key frames, layers.
//!
//! Each format has a room of its own with a view, that reads what is needed for forwarding and no
//! more, and a writer; nothing is decoded. [`vp8`] and [`vp9`] also change the numbers of a
//! descriptor in place, as a forwarder must that leaves out layers. [`dependency`] and [`allocation`]
//! are header extensions that say the same of any codec. [`Facts`] is the sum of them all: what one
//! packet means to a forwarder, whatever its format.
//!
//! Payloads that are encrypted end to end are [`Opaque`]: nothing but the clear descriptor and the header
//! extension is looked at.
//!
//! Left out: interleaved modes of H.264 and H.265 (recognised, not read into), decoding order numbers
//! (`sprop-max-don-diff` above 0 is not negotiated for WebRTC) and whatever only a decoder needs.

pub mod allocation;
pub mod av1;
mod bits;
mod body;
mod cursor;
pub mod dependency;
mod facts;
mod fault;
pub mod h264;
pub mod h265;
pub mod opus;
mod picture;
mod sps;
pub mod vp8;
pub mod vp9;

#[cfg(test)]
mod tests;

pub use body::{Body, Opaque};
pub use facts::{Facts, Format};
pub use fault::{Fault, ParseError};
pub use picture::{PictureId, Resolution};
