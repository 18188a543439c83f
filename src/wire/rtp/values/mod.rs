//! Values of header extensions: each reads what a packet carries and writes it again.
//!
//! A value that is not of its form is `None`, and the packet is as if it had none: an element means
//! nothing to those who do not understand it (RFC 8285, section 4). Bits that are reserved are not
//! looked at and written as zeros. Values of one length are written by `to_bytes`, those of several by
//! `write`.

mod audio;
mod color;
mod frame_marking;
mod names;
mod time;
mod transport;
mod video;

pub use audio::{AudioLevel, CsrcAudioLevels};
pub use color::{Chromaticity, ColorSpace, HdrMetadata};
pub use frame_marking::{FrameMarking, MarkedLayer};
pub use names::{mid, rid};
pub use time::{AbsCaptureTime, AbsSendTime, TransmissionOffset};
pub use transport::{FeedbackRequest, TransportSequence, transport_sequence_number};
pub use video::{PlayoutDelay, VideoContentType, VideoOrientation, VideoTiming};

use super::NoSpace;

/// Copies a value to the start of `buf` and returns its length.
fn put(buf: &mut [u8], value: &[u8]) -> Result<usize, NoSpace> {
    buf.get_mut(..value.len()).ok_or(NoSpace)?.copy_from_slice(value);
    Ok(value.len())
}
