//! RTCP packets: reports, descriptions and feedback (RFC 3550, 4585, 5104; REMB and transport-wide
//! feedback as browsers speak them).
//!
//! [`Compound::parse`] checks a whole datagram once: framing, counts, and what is inside the packets
//! that are understood. Iterating it yields [`Packet`]s, views that cannot fail; types and formats
//! that are not known come as [`Packet::Other`]. [`Writer`] appends packets to the caller's buffer.
//!
//! | Packet | Read as | Written by |
//! |---|---|---|
//! | SR, RR (RFC 3550, 6.4) | [`SenderReport`], [`ReceiverReport`] | [`Writer::sender_report`], [`Writer::receiver_report`] |
//! | SDES (RFC 3550, 6.5) | [`SourceDescription`] | [`Writer::source_description`], [`Writer::sdes_cname`], [`Writer::sdes_private`] |
//! | BYE, APP (RFC 3550, 6.6, 6.7) | [`Bye`], [`Application`] | [`Writer::bye`], [`Writer::application`] |
//! | XR: RRTR, DLRR (RFC 3611, 4.4, 4.5) | [`ExtendedReport`] | [`Writer::extended_report`] |
//! | NACK, PLI (RFC 4585, 6.2.1, 6.3.1) | [`Nack`], [`Pli`] | [`Writer::nack`], [`Writer::pli`] |
//! | FIR (RFC 5104, 4.3.1) | [`Fir`] | [`Writer::fir`] |
//! | SLI (RFC 4585, 6.3.2) | [`Sli`] | [`Writer::sli`] |
//! | TMMBR, TMMBN (RFC 5104, 4.2) | [`Tmmbr`], [`Tmmbn`] | [`Writer::tmmbr`], [`Writer::tmmbn`] |
//! | REMB (draft-alvestrand-rmcat-remb-03) | [`Remb`] | [`Writer::remb`] |
//! | transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01) | [`TransportFeedback`] | [`Writer::transport_feedback`] |
//! | congestion control feedback (RFC 8888) | [`CongestionFeedback`] | [`Writer::congestion_feedback`] |
//!
//! Left out: the other blocks of extended reports, which are skipped by length, and extensions of a
//! profile behind the blocks of reports, which are not read.

mod application;
mod bitrates;
mod chunks;
mod compound;
mod congestion;
mod extended;
mod fault;
mod feedback;
mod remb;
mod reports;
mod source;
mod transport_feedback;
mod writer;

#[cfg(test)]
mod tests;

pub use application::Application;
pub use bitrates::{BitrateLimit, Tmmbn, Tmmbr};
pub use compound::{Compound, Other, Packet, Packets};
pub use congestion::{Arrival, CongestionFeedback, Metric, StreamMetrics, StreamReport};
pub use extended::{ExtendedBlock, ExtendedReport, ReportDelay, ReportDelays};
pub use fault::{Fault, ParseError};
pub use feedback::{Fir, FirEntry, Nack, Pli, Sli, SliceLoss};
pub use remb::Remb;
pub use reports::{NtpTime, ReceiverReport, ReportBlock, SenderInfo, SenderReport};
pub use source::{Bye, SourceDescription, SourceItem, item};
pub use transport_feedback::{Received, Statuses, TransportFeedback};
pub use writer::Writer;

use crate::wire::rtp::Ssrc;

/// The first `N` big-endian words of `bytes`, and the rest.
#[inline]
fn split_words<const N: usize>(bytes: &[u8]) -> Option<([u32; N], &[u8])> {
    let words = bytes.as_chunks::<4>().0.first_chunk::<N>()?;
    Some((words.map(u32::from_be_bytes), bytes.get(N * 4..)?))
}

/// The `N` SSRCs that a body begins with, and the rest.
#[inline]
fn ssrcs<const N: usize>(body: &[u8]) -> Result<([Ssrc; N], &[u8]), ParseError> {
    match split_words(body) {
        Some((words, rest)) => Ok((words.map(Ssrc), rest)),
        None => Err(ParseError::at(body.len() / 4 * 4, Fault::Ssrc)),
    }
}

/// Packet types (RFC 3550, section 12.1; RFC 3611, section 2; RFC 4585, section 6.1).
mod packet_type {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const SOURCE_DESCRIPTION: u8 = 202;
    pub(super) const BYE: u8 = 203;
    pub(super) const APPLICATION: u8 = 204;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
    pub(super) const EXTENDED_REPORT: u8 = 207;
}

/// Formats of feedback (RFC 4585, section 6; RFC 5104, section 4; RFC 8888, section 3.1).
mod format {
    // Of the transport layer.
    pub(super) const NACK: u8 = 1;
    pub(super) const BITRATE_REQUEST: u8 = 3;
    pub(super) const BITRATE_NOTIFICATION: u8 = 4;
    pub(super) const CONGESTION: u8 = 11;
    pub(super) const TRANSPORT_WIDE: u8 = 15;
    // Of the payload.
    pub(super) const PLI: u8 = 1;
    pub(super) const SLI: u8 = 2;
    pub(super) const FIR: u8 = 4;
    pub(super) const APPLICATION: u8 = 15;
}
