//! RTCP packets: reports, descriptions and feedback (RFC 3550, 4585, 5104; REMB and transport-wide
//! feedback as browsers speak them).
//!
//! [`Compound::parse`] checks a whole datagram once: framing, counts, and what is inside the packets
//! that are understood. Iterating it yields [`Packet`]s, views that cannot fail; types and formats
//! that are not known come as [`Packet::Other`]. [`Writer`] appends packets to the caller's buffer.
//!
//! Left out: extended reports (RFC 3611), application packets, TMMBR and feedback of RFC 8888, which
//! are skipped by length; SDES items other than CNAME are read but not written.

mod chunks;
mod compound;
mod feedback;
mod remb;
mod reports;
mod source;
mod transport_feedback;
mod writer;

#[cfg(test)]
mod tests;

pub use compound::{Compound, Other, Packet, Packets, ParseError};
pub use feedback::{Fir, FirEntry, Nack, Pli};
pub use remb::Remb;
pub use reports::{NtpTime, ReceiverReport, ReportBlock, SenderInfo, SenderReport};
pub use source::{Bye, SourceDescription, SourceItem};
pub use transport_feedback::{Received, Statuses, TransportFeedback};
pub use writer::Writer;

/// The first `N` big-endian words of `bytes`, and the rest.
#[inline]
fn split_words<const N: usize>(bytes: &[u8]) -> Option<([u32; N], &[u8])> {
    let words = bytes.as_chunks::<4>().0.first_chunk::<N>()?;
    Some((words.map(u32::from_be_bytes), bytes.get(N * 4..)?))
}

/// Packet types (RFC 3550, section 12.1; RFC 4585, section 6.1).
mod packet_type {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const SOURCE_DESCRIPTION: u8 = 202;
    pub(super) const BYE: u8 = 203;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Formats of feedback: of the transport layer `NACK` and `TRANSPORT_WIDE`, of the payload the others
/// (RFC 4585, section 6; RFC 5104, section 4.3).
mod format {
    pub(super) const NACK: u8 = 1;
    pub(super) const TRANSPORT_WIDE: u8 = 15;
    pub(super) const PLI: u8 = 1;
    pub(super) const FIR: u8 = 4;
    pub(super) const APPLICATION: u8 = 15;
}
