//! Why a packet was dropped, as data: one reason each, counted per participant and for the engine.

use crate::base::counters::{Counters, Tally};
use crate::session::{dtls, ice, sctp, srtp};
use crate::transport::framing;
use crate::transport::network::Refusal;
use crate::wire::{dcep, rtcp, rtp, sctp as sctp_packet, stun};

/// Writes [`DropReason`], its counters' order and its names from one list: the reasons of the conference,
/// then those of the floors below, each a list of its own.
macro_rules! drop_reasons {
    (
        plain { $($(#[$plain_doc:meta])* $plain:ident = $name:literal,)* }
        nested { $($(#[$nested_doc:meta])* $nested:ident($reasons:ty),)* }
    ) => {
        /// Why something was dropped. What is not authenticated changes nothing but a counter under one of
        /// these.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum DropReason {
            $($(#[$plain_doc])* $plain,)*
            $($(#[$nested_doc])* $nested($reasons),)*
        }

        enum Plain { $($plain,)* }
        enum Nested { $($nested,)* }
        const PLAIN: &[DropReason] = &[$(DropReason::$plain,)*];
        const NESTED: &[usize] = &[$(<$reasons>::ALL.len(),)*];

        impl DropReason {
            /// Its place among the counters, the same for every participant and engine.
            pub(super) fn index(self) -> usize {
                match self {
                    $(DropReason::$plain => Plain::$plain as usize,)*
                    $(DropReason::$nested(reason) => start_of(Nested::$nested as usize) + reason as usize,)*
                }
            }

            /// The reason as a metric's label: `srtp.replay`.
            pub fn name(self) -> &'static str {
                match self {
                    $(DropReason::$plain => $name,)*
                    $(DropReason::$nested(reason) => reason.name(),)*
                }
            }

            /// Every reason there is, in the order of the counters.
            pub fn all() -> impl Iterator<Item = DropReason> {
                let all = PLAIN.iter().copied();
                $(let all = all.chain(<$reasons>::ALL.into_iter().map(DropReason::$nested));)*
                all
            }
        }
    };
}

drop_reasons! {
    plain {
        /// Longer than [`crate::limits::DATAGRAM`].
        TooLong = "too_long",
        /// Not STUN, DTLS, RTP or RTCP (RFC 7983).
        UnknownProtocol = "unknown_protocol",
        /// Not STUN, from an address that proved nothing (S-MUX-04).
        UnknownAddress = "unknown_address",
        /// A STUN request for no one here.
        UnknownUsername = "unknown_username",
        /// A STUN request from an address that is in use by another participant.
        AddressTaken = "address_taken",
        /// Before any offer was accepted.
        NotNegotiated = "not_negotiated",
        /// Media before the handshake was done.
        NoKeys = "no_keys",
        /// A payload type, mid or stream that was not negotiated (S-RTP-04).
        Unnegotiated = "unnegotiated",
        /// The participant may not publish.
        NotPublishing = "not_publishing",
        /// Padding that does not fit its packet (S-RTP-02).
        Padding = "padding",
        /// A payload, or the descriptor in front of it, that is not of its format (S-DESC-01).
        Payload = "payload",
        /// A retransmission too short, of nothing known or of what is here already (S-RTP-08).
        Retransmission = "retransmission",
        /// It came before, as itself or as a retransmission, or is too old to tell.
        Duplicate = "duplicate",
        /// No page of history was free.
        HistoryFull = "history_full",
        /// RTCP above [`crate::limits::RTCP_PER_SECOND`].
        RtcpRate = "rtcp.rate",
        /// A forwarded packet found the receiver's queue full.
        QueueFull = "queue_full",
        /// Nothing was heard by RTCP of the receiver of a queued packet for [`crate::limits::MEDIA_TIMEOUT`]
        /// (RFC 8083, section 4.3).
        Unheard = "unheard",
        /// A queued packet was no longer in the history.
        Expired = "expired",
        /// A queued packet's subscription had ended.
        Unsubscribed = "unsubscribed",
        /// A forwarded packet would have been longer than the MTU (S-RTP-10).
        AboveMtu = "above_mtu",
        /// An event was lost because the embedder did not fetch events.
        EventLost = "event_lost",
        /// A decision was lost because the embedder did not fetch decisions.
        DecisionLost = "decision_lost",
        /// A TCP stream was refused: too many unauthenticated ones ([`crate::limits::STREAMS_UNPROVEN`]).
        StreamRefused = "stream_refused",
        /// A TCP stream was closed because nobody authenticated on it in time.
        StreamUnproven = "stream_unproven",
        /// RTP above what its publisher may send (S-RTP-11).
        PublishRate = "publish_rate",
        /// An SSRC that changes its m-line too soon after another (S-RTP-06).
        Rebinding = "rebinding",
        /// A message for who has no open channel of that name, or has left.
        ChannelMissing = "channel.missing",
        /// A message that is longer than its receiver takes, or too long with the label of who sent it.
        ChannelTooLong = "channel.too_long",
        /// A message for who is too slow ([`crate::limits::CHANNEL_BUFFER`]).
        ChannelFull = "channel.full",
        /// A message that its place in the protocol of data channels forbids (RFC 8832, section 6).
        ChannelProtocol = "channel.protocol",
        /// A channel above [`crate::limits::CHANNELS`].
        ChannelLimit = "channel.limit",
    }
    nested {
        /// Malformed STUN.
        Stun(stun::Fault),
        /// Refused by ICE.
        Ice(ice::Drop),
        /// Refused by DTLS.
        Dtls(dtls::Drop),
        /// Not opened by SRTP.
        Srtp(srtp::OpenError),
        /// Malformed RTP.
        Rtp(rtp::Fault),
        /// Malformed RTCP.
        Rtcp(rtcp::Fault),
        /// A TCP stream was closed because its bytes are not frames.
        Framing(framing::Fault),
        /// A malformed packet of SCTP, or a part of one.
        SctpPacket(sctp_packet::Fault),
        /// Not taken by SCTP, in whole or in part.
        Sctp(sctp::Drop),
        /// A malformed message of the protocol of data channels.
        Dcep(dcep::Fault),
    }
}

/// Where the counters of a nested list begin: behind the plain ones and the lists before it.
const fn start_of(nested: usize) -> usize {
    let (mut start, mut at) = (PLAIN.len(), 0);
    while at < nested {
        start += NESTED[at];
        at += 1;
    }
    start
}

pub(super) const COUNT: usize = start_of(NESTED.len());

/// Drops of an engine, and of one participant.
pub(super) type DropCounters = Counters<COUNT>;
pub(super) type DropTally = Tally<COUNT>;

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
