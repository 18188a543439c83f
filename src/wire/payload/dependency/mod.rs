//! The dependency descriptor: layers and dependencies of any codec's frames, in a header extension
//! (AV1 RTP specification, appendix A).
//!
//! With a key frame comes a [`Structure`]: the decode targets a receiver can choose from and templates
//! of frames. Every packet then names a template, and tells what differs from it. So reading takes two
//! steps: [`Descriptor::parse`] needs nothing, and [`Descriptor::frame`] needs the structure in
//! effect, which is the caller's to keep: the one that came last, by frame number.
//!
//! ```
//! # use estafette::payload::{ParseError, dependency::{Descriptor, Frame, Structure}};
//! # fn on_packet<'s>(bytes: &[u8], kept: &'s mut Option<Box<Structure>>) -> Result<Option<Frame<'s>>, ParseError> {
//! let descriptor = Descriptor::parse(bytes)?;
//! if let Some(structure) = descriptor.structure()? {
//!     *kept = Some(Box::new(structure)); // 3 kB, whatever a sender writes
//! }
//! let Some(structure) = kept else { return Ok(None) }; // it joined later: ask for a key frame
//! Ok(Some(descriptor.frame(structure)?))
//! # }
//! ```

mod descriptor;
mod structure;
mod writer;

#[cfg(test)]
mod tests;

pub use descriptor::{ChainDifferences, Custom, Descriptor, Frame, FrameDifferences, Head};
pub use structure::{DecodeTarget, Indication, Indications, Structure, Template, TemplateDifferences};
pub use writer::{set_frame_number, write};
