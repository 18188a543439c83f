//! RTP packets (RFC 3550) and their header extensions (RFC 8285).
//!
//! [`Packet`] is a view: the header is checked once and every getter is then a plain read. The header
//! of an SRTP datagram is in clear, so a view of it is whole but for the payload, which is still
//! ciphertext and tag; so padding, which hides in the payload, has a function of its own,
//! [`padding_len`]. [`HeaderWriter`] writes a header into the caller's buffer, its extensions in the
//! one-byte, the two-byte or the shortest possible form.
//!
//! [`ExtensionKind`] names the extensions that mean something to an SFU; most have a type that reads
//! and writes their values, from [`AudioLevel`] to [`VideoTiming`]. Dependency descriptor and video
//! layers allocation are described by [`payload`](crate::payload), generic frame descriptor and
//! corruption detection stay opaque.
//!
//! What may stand in a payload's place has a module of its own: [`rtx`] (RFC 4588), [`red`] (RFC 2198)
//! and the headers of [`fec`] (RFC 5109, RFC 8627 and the draft of it that browsers send).
//!
//! Left out: extensions in a form other than those of RFC 8285 are skipped;
//! [`Packet::extension_profile`] tells which, so that Cryptex (RFC 9335) can be refused where it was
//! not negotiated. FEC neither recovers nor protects packets here.

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
