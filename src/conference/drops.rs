//! Why a packet was dropped, as data: one reason each, counted per participant and for the engine.

use crate::base::counters::{Counters, Tally};
use crate::session::{dtls, ice, srtp};
use crate::transport::framing;
use crate::transport::network::Refusal;
use crate::wire::{rtcp, rtp, stun};

/// Why something was dropped. What is not authenticated changes nothing but a counter under one of
/// these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// Longer than [`crate::limits::DATAGRAM`].
    TooLong,
    /// Not STUN, DTLS, RTP or RTCP (RFC 7983).
    UnknownProtocol,
    /// Not STUN, from an address that proved nothing (S-MUX-04).
    UnknownAddress,
    /// A STUN request for no one here.
    UnknownUsername,
    /// A STUN request from an address that is in use by another participant.
    AddressTaken,
    /// Before any offer was accepted.
    NotNegotiated,
    /// Media before the handshake was done.
    NoKeys,
    /// A payload type, mid or stream that was not negotiated (S-RTP-04).
    Unnegotiated,
    /// The participant may not publish.
    NotPublishing,
    /// Padding that does not fit its packet (S-RTP-02).
    Padding,
    /// A retransmission too short, of nothing known or of what is here already (S-RTP-08).
    Retransmission,
    /// It came before, as itself or as a retransmission, or is too old to tell.
    Duplicate,
    /// No page of history was free.
    HistoryFull,
    /// RTCP above [`crate::limits::RTCP_PER_SECOND`].
    RtcpRate,
    /// A forwarded packet found the receiver's queue full.
    QueueFull,
    /// A queued packet was no longer in the history.
    Expired,
    /// A queued packet's subscription had ended.
    Unsubscribed,
    /// A forwarded packet would have been longer than the MTU (S-RTP-10).
    AboveMtu,
    /// An event was lost because the embedder did not fetch events.
    EventLost,
    /// A TCP stream was refused: too many unauthenticated ones ([`crate::limits::STREAMS_UNPROVEN`]).
    StreamRefused,
    /// A TCP stream was closed because nobody authenticated on it in time.
    StreamUnproven,
    /// Malformed STUN.
    Stun(stun::ParseError),
    /// Refused by ICE.
    Ice(ice::Drop),
    /// Refused by DTLS.
    Dtls(dtls::Drop),
    /// Not opened by SRTP.
    Srtp(srtp::OpenError),
    /// Malformed RTP.
    Rtp(rtp::ParseError),
    /// Malformed RTCP.
    Rtcp(rtcp::ParseError),
    /// A TCP stream was closed because its bytes are not frames.
    Framing(framing::Fault),
}

const PLAIN: [DropReason; 21] = [
    DropReason::TooLong,
    DropReason::UnknownProtocol,
    DropReason::UnknownAddress,
    DropReason::UnknownUsername,
    DropReason::AddressTaken,
    DropReason::NotNegotiated,
    DropReason::NoKeys,
    DropReason::Unnegotiated,
    DropReason::NotPublishing,
    DropReason::Padding,
    DropReason::Retransmission,
    DropReason::Duplicate,
    DropReason::HistoryFull,
    DropReason::RtcpRate,
    DropReason::QueueFull,
    DropReason::Expired,
    DropReason::Unsubscribed,
    DropReason::AboveMtu,
    DropReason::EventLost,
    DropReason::StreamRefused,
    DropReason::StreamUnproven,
];
const STUN: usize = PLAIN.len();
const ICE: usize = STUN + stun::ParseError::ALL.len();
const DTLS: usize = ICE + ice::Drop::ALL.len();
const SRTP: usize = DTLS + dtls::Drop::ALL.len();
const RTP: usize = SRTP + srtp::OpenError::ALL.len();
const RTCP: usize = RTP + rtp::ParseError::ALL.len();
const FRAMING: usize = RTCP + rtcp::ParseError::ALL.len();
const COUNT: usize = FRAMING + framing::Fault::ALL.len();

/// Drops of an engine, and of one participant.
pub(super) type DropCounters = Counters<COUNT>;
pub(super) type DropTally = Tally<COUNT>;

impl DropReason {
    /// Its place among the counters, the same for every participant and engine.
    pub(super) fn index(self) -> usize {
        match self {
            DropReason::TooLong => 0,
            DropReason::UnknownProtocol => 1,
            DropReason::UnknownAddress => 2,
            DropReason::UnknownUsername => 3,
            DropReason::AddressTaken => 4,
            DropReason::NotNegotiated => 5,
            DropReason::NoKeys => 6,
            DropReason::Unnegotiated => 7,
            DropReason::NotPublishing => 8,
            DropReason::Padding => 9,
            DropReason::Retransmission => 10,
            DropReason::Duplicate => 11,
            DropReason::HistoryFull => 12,
            DropReason::RtcpRate => 13,
            DropReason::QueueFull => 14,
            DropReason::Expired => 15,
            DropReason::Unsubscribed => 16,
            DropReason::AboveMtu => 17,
            DropReason::EventLost => 18,
            DropReason::StreamRefused => 19,
            DropReason::StreamUnproven => 20,
            DropReason::Stun(reason) => STUN + reason as usize,
            DropReason::Ice(reason) => ICE + reason as usize,
            DropReason::Dtls(reason) => DTLS + reason as usize,
            DropReason::Srtp(reason) => SRTP + reason as usize,
            DropReason::Rtp(reason) => RTP + reason as usize,
            DropReason::Rtcp(reason) => RTCP + reason as usize,
            DropReason::Framing(fault) => FRAMING + fault as usize,
        }
    }

    /// The reason as a metric's label: `srtp.replayed`.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::TooLong => "too_long",
            DropReason::UnknownProtocol => "unknown_protocol",
            DropReason::UnknownAddress => "unknown_address",
            DropReason::UnknownUsername => "unknown_username",
            DropReason::AddressTaken => "address_taken",
            DropReason::NotNegotiated => "not_negotiated",
            DropReason::NoKeys => "no_keys",
            DropReason::Unnegotiated => "unnegotiated",
            DropReason::NotPublishing => "not_publishing",
            DropReason::Padding => "padding",
            DropReason::Retransmission => "retransmission",
            DropReason::Duplicate => "duplicate",
            DropReason::HistoryFull => "history_full",
            DropReason::RtcpRate => "rtcp.rate",
            DropReason::QueueFull => "queue_full",
            DropReason::Expired => "expired",
            DropReason::Unsubscribed => "unsubscribed",
            DropReason::AboveMtu => "above_mtu",
            DropReason::EventLost => "event_lost",
            DropReason::StreamRefused => "stream_refused",
            DropReason::StreamUnproven => "stream_unproven",
            DropReason::Stun(reason) => reason.name(),
            DropReason::Ice(reason) => reason.name(),
            DropReason::Dtls(reason) => reason.name(),
            DropReason::Srtp(reason) => reason.name(),
            DropReason::Rtp(reason) => reason.name(),
            DropReason::Rtcp(reason) => reason.name(),
            DropReason::Framing(fault) => fault.name(),
        }
    }

    /// Every reason there is, in the order of the counters.
    pub fn all() -> impl Iterator<Item = DropReason> {
        let stun = stun::ParseError::ALL.iter().copied().map(DropReason::Stun);
        let ice = ice::Drop::ALL.iter().copied().map(DropReason::Ice);
        let dtls = dtls::Drop::ALL.iter().copied().map(DropReason::Dtls);
        let srtp = srtp::OpenError::ALL.iter().copied().map(DropReason::Srtp);
        let rtp = rtp::ParseError::ALL.iter().copied().map(DropReason::Rtp);
        let rtcp = rtcp::ParseError::ALL.iter().copied().map(DropReason::Rtcp);
        let framing = framing::Fault::ALL.iter().copied().map(DropReason::Framing);
        let sessions = stun.chain(ice).chain(dtls).chain(srtp);
        PLAIN.into_iter().chain(sessions).chain(rtp).chain(rtcp).chain(framing)
    }
}

impl From<Refusal> for DropReason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Ice(reason) => DropReason::Ice(reason),
            Refusal::Dtls(reason) => DropReason::Dtls(reason),
            Refusal::AddressUnproven => DropReason::UnknownAddress,
            Refusal::NotNegotiated => DropReason::NotNegotiated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_its_own_counter_and_name() {
        let all: Vec<_> = DropReason::all().collect();
        assert_eq!(all.len(), COUNT);
        assert!(all.iter().enumerate().all(|(at, reason)| reason.index() == at));
        let names: HashSet<_> = all.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), COUNT);
    }
}
