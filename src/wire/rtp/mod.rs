//! RTP packets (RFC 3550) and their header extensions (RFC 8285).
//!
//! [`Packet`] is a view: the header is checked once and every getter is then a plain read. The header
//! of an SRTP datagram is in clear, so a view of it is whole but for the payload, which is still
//! ciphertext and tag; so padding, which hides in the payload, has a function of its own,
//! [`padding_len`]. [`HeaderWriter`] writes the header of a forwarded packet into the caller's
//! buffer, and [`ExtensionKind`] names the extensions that mean something to an SFU.
//!
//! Left out: contributing sources are read but not written (nothing is mixed here), and extensions in
//! a form other than those of RFC 8285 are skipped; [`Packet::extension_profile`] tells which, so that
//! Cryptex (RFC 9335) can be refused where it was not negotiated.

mod extensions;
pub mod fec;
mod header;
mod kinds;
mod numbers;
mod packet;
pub mod red;
pub mod rtx;
mod values;

#[cfg(test)]
mod tests;

pub use extensions::Extensions;
pub use header::{HeaderWriter, NoSpace, fits_one_byte, write_padding};
pub use kinds::ExtensionKind;
pub use numbers::{PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};
pub use packet::{Fault, Packet, ParseError, padding_len};
pub use values::{
    AbsCaptureTime, AbsSendTime, AudioLevel, Chromaticity, ColorSpace, CsrcAudioLevels, FeedbackRequest,
    FrameMarking, HdrMetadata, MarkedLayer, PlayoutDelay, TransmissionOffset, TransportSequence,
    VideoContentType, VideoOrientation, VideoTiming, mid, rid, transport_sequence_number,
};
