//! What is told of each stream and of the transport, in the terms of W3C's webrtc-stats: the names are those
//! of `getStats`, and so are their meanings. Read from what is counted anyway.

use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::conference::congestion::Congestion;
use crate::conference::handles::Participant;
use crate::conference::ids::{SourceId, StreamId, SubscriptionId};
use crate::conference::negotiation::{Codec, FeedbackKind, MediaKind};
use crate::conference::participant::ParticipantState;
use crate::conference::stats::RemoteInboundStats;
use crate::conference::subscription::{Subscription, UNNEGOTIATED};
use crate::forwarding::layers::Layer;
use crate::session::{dtls, srtp};
use crate::wire::mux::Path;
use crate::wire::rtp::Ssrc;

/// A stream that a participant sends: one SSRC, one encoding of a source (RTCInboundRtpStreamStats).
/// Retransmissions count with the stream that they repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboundStreamStats<'a> {
    /// The source that it is of.
    pub source: SourceId,
    /// Audio or video.
    pub kind: MediaKind,
    /// The name of its encoding (RFC 8851), if it has one.
    pub rid: Option<&'a str>,
    /// Its name on the wire.
    pub ssrc: Ssrc,
    /// The codec of its newest packet.
    pub codec: Option<Codec>,
    /// Packets that came, those that came as retransmissions included.
    pub packets_received: u64,
    /// Their payload bytes, without padding.
    pub bytes_received: u64,
    /// Packets that never came (RFC 3550, section 6.4.1); below zero where more came than were numbered.
    pub packets_lost: i64,
    /// Interarrival jitter (RFC 3550, section 6.4.1).
    pub jitter: Duration,
    /// NACKs to its sender, each for one number or more.
    pub nack_count: u64,
    /// PLIs to its sender.
    pub pli_count: u64,
    /// FIRs to its sender.
    pub fir_count: u64,
    /// Of the packets received: retransmissions.
    pub retransmitted_packets_received: u64,
    /// Pictures whose last packet came; 0 of audio and where payloads cannot be read.
    pub frames_received: u64,
    /// Key frames whose first packet came, where the format tells them.
    pub key_frames_received: u64,
    /// Packets that came again and were dropped; they are not among those received.
    pub packets_discarded: u64,
    /// When its newest packet came.
    pub last_packet_received: Option<Instant>,
}

/// A stream that is sent to a participant: one subscription (RTCOutboundRtpStreamStats).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct OutboundStreamStats {
    /// The source that it is of.
    pub source: SourceId,
    /// Audio or video.
    pub kind: MediaKind,
    /// Its name on the wire.
    pub ssrc: Ssrc,
    /// That of its retransmissions, if they were negotiated.
    pub rtx_ssrc: Option<Ssrc>,
    /// Packets sent, retransmissions included.
    pub packets_sent: u64,
    /// Their payload bytes.
    pub bytes_sent: u64,
    /// Of the packets sent: retransmissions.
    pub retransmitted_packets_sent: u64,
    /// Their payload bytes.
    pub retransmitted_bytes_sent: u64,
    /// NACKs from its receiver, each for one number or more.
    pub nack_count: u64,
    /// PLIs from its receiver.
    pub pli_count: u64,
    /// FIRs from its receiver; those that repeat one under its number are not counted.
    pub fir_count: u64,
    /// Numbers in those NACKs that were not sent again: out of the history, sent within this round trip, above
    /// the share that retransmissions may have ([`crate::limits::RETRANSMISSION_PERCENT`]), or too many
    /// ([`crate::limits::NACKED_PER_SECOND`]).
    pub retransmissions_refused: u64,
    /// Requests for key frames that nothing came of: repeated FIRs, and those about what is not sent.
    pub key_frame_requests_refused: u64,
    /// The layer that is sent now; `None` while nothing is.
    pub layer: Option<Layer>,
    /// What its receiver last said of it, if it said anything.
    pub remote: Option<RemoteInboundStats>,
}

/// How far the handshake is (RTCDtlsTransportState). An association that ends ends its participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DtlsState {
    /// It has not begun.
    New,
    /// It is under way.
    Connecting,
    /// There are keys.
    Connected,
}

/// A participant's transport (RTCTransportStats): everything goes over one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStats {
    /// Datagrams sent, whatever is in them.
    pub packets_sent: u64,
    /// Datagrams received, whatever is in them.
    pub packets_received: u64,
    /// Bytes of the datagrams sent, without headers of UDP and IP.
    pub bytes_sent: u64,
    /// Bytes of the datagrams received, likewise.
    pub bytes_received: u64,
    /// How far the handshake is.
    pub dtls_state: DtlsState,
    /// Our side of it.
    pub dtls_role: Option<dtls::Role>,
    /// The version spoken, once settled.
    pub tls_version: Option<dtls::Version>,
    /// What media is encrypted with, once there are keys.
    pub srtp_cipher: Option<srtp::Profile>,
    /// The way that datagrams take.
    pub selected_path: Option<Path>,
    /// How often that changed, the first one and the loss of it included.
    pub selected_candidate_pair_changes: u32,
    /// The last round trip that was measured by RTCP.
    pub round_trip_time: Option<Duration>,
    /// What is believed that its path carries to it, all headers included; `None` before media is sent, and of whose
    /// feedback tells nothing.
    pub available_outgoing_bitrate: Option<Bitrate>,
    /// Packets of video that wait for their time now, those that are sent again included.
    pub packets_paced: usize,
    /// Packets that were sent to prove the path: others' repetitions, and padding.
    pub probe_packets_sent: u64,
    /// Their bytes with all headers.
    pub probe_bytes_sent: u64,
    /// Of those bytes: packets of padding alone.
    pub padding_bytes_sent: u64,
    /// Congestion feedback that was not read: of another kind than was agreed on, or more than
    /// [`crate::limits::TOLD_PER_SECOND`].
    pub feedback_refused: u64,
    /// Numbers in its congestion feedback that were never sent, were told of before or are forgotten.
    pub feedback_ignored: u64,
    /// Numbers that were left out on purpose and that its feedback says arrived: from the first one on it gets the
    /// least ([`bwe::Config::min`](crate::bwe::Config::min); RFC 8888, section 10).
    pub feedback_untrue: u64,
    /// Datagrams of media sent as ECN-capable (ECT(1)).
    pub packets_sent_with_ect1: u64,
    /// Packets that its feedback says came with a mark of congestion (CE).
    pub packets_reported_with_ce: u64,
    /// The kind of congestion control feedback that goes either way.
    pub feedback: Option<FeedbackKind>,
    /// Congestion control feedback packets to it (RFC 8888).
    pub ccfb_messages_sent: u64,
    /// RTP packets from it that came marked as ECT(1).
    pub packets_received_with_ect1: u64,
    /// RTP packets from it that came marked as having met congestion.
    pub packets_received_with_ce: u64,
}

impl Participant<'_> {
    /// The streams that it sends, those of one source after those of the other. A stream is there from its
    /// first packet on, until another takes its place or its source ends.
    pub fn inbound_streams(&self) -> impl Iterator<Item = InboundStreamStats<'_>> {
        let sources = self.state().into_iter().flat_map(|participant| participant.sources.iter());
        let streams = sources.filter_map(|key| self.engine.sources.get(*key)).flat_map(|one| one.streams());
        streams.filter_map(|key| self.inbound(key))
    }

    /// The streams that are sent to it or wait for a line: what it is subscribed to.
    pub fn outbound_streams(&self) -> impl Iterator<Item = OutboundStreamStats> {
        let keys = self.state().into_iter().flat_map(|participant| participant.subscriptions.iter());
        keys.filter_map(|key| self.outbound(*key))
    }

    /// Its transport; `None` once it left.
    pub fn transport_stats(&self) -> Option<TransportStats> {
        let participant = self.state()?;
        let (traffic, association) = (&participant.traffic, participant.network.association());
        let profile = participant.network.profile();
        let congestion = participant.egress.congestion.as_deref();
        let counts = congestion.map(|congestion| congestion.counts).unwrap_or_default();
        Some(TransportStats {
            packets_sent: traffic.datagrams_sent,
            packets_received: traffic.datagrams_received,
            bytes_sent: traffic.bytes_sent,
            bytes_received: traffic.bytes_received,
            dtls_state: match (association, profile) {
                (_, Some(_)) => DtlsState::Connected,
                (Some(_), None) => DtlsState::Connecting,
                (None, None) => DtlsState::New,
            },
            dtls_role: association.map(dtls::Association::role),
            tls_version: association.and_then(dtls::Association::version),
            srtp_cipher: profile,
            selected_path: participant.path,
            selected_candidate_pair_changes: traffic.path_changes,
            round_trip_time: participant.rtt,
            available_outgoing_bitrate: congestion.and_then(Congestion::available),
            packets_paced: congestion.map_or(0, |_| participant.egress.video.len()),
            probe_packets_sent: counts.probes,
            probe_bytes_sent: counts.probe_bytes,
            padding_bytes_sent: counts.padding_bytes,
            feedback_refused: counts.refused,
            feedback_ignored: counts.ignored,
            feedback_untrue: counts.lies,
            packets_sent_with_ect1: counts.ect1,
            packets_reported_with_ce: counts.ce,
            feedback: participant.negotiation.session().feedback,
            ccfb_messages_sent: traffic.ccfb_sent,
            packets_received_with_ect1: traffic.with_ect1,
            packets_received_with_ce: traffic.with_ce,
        })
    }

    fn state(&self) -> Option<&ParticipantState> {
        self.engine.participants.get(self.id)
    }

    fn inbound(&self, key: StreamId) -> Option<InboundStreamStats<'_>> {
        let stream = self.engine.streams.get(key)?;
        let source = self.engine.sources.get(stream.source)?;
        let name = source.ingress.names.get(usize::from(stream.encoding));
        let codec = stream.newest.map(|newest| usize::from(newest.codec));
        let (packets_received, retransmitted_packets_received) = stream.reception.received();
        Some(InboundStreamStats {
            source: stream.source,
            kind: source.info.kind,
            rid: name.and_then(|name| name.rid.as_deref()),
            ssrc: stream.ssrc,
            codec: codec.and_then(|codec| self.engine.config.codecs.get(codec).copied()),
            packets_received,
            bytes_received: stream.reception.bytes(),
            packets_lost: stream.reception.lost(),
            jitter: stream.reception.jitter(),
            nack_count: stream.counts.nacks.into(),
            pli_count: stream.counts.plis.into(),
            fir_count: stream.counts.firs.into(),
            retransmitted_packets_received,
            frames_received: stream.counts.frames,
            key_frames_received: stream.counts.key_frames,
            packets_discarded: stream.counts.discarded,
            last_packet_received: stream.newest.map(|newest| newest.at),
        })
    }

    fn outbound(&self, key: SubscriptionId) -> Option<OutboundStreamStats> {
        let subscription = self.engine.subscriptions.get(key)?;
        let source = self.engine.sources.get(subscription.source)?;
        let Subscription { sent, resent, requests, .. } = subscription;
        let repairs = subscription.rtx_payload_types.iter().any(|negotiated| *negotiated != UNNEGOTIATED);
        Some(OutboundStreamStats {
            source: subscription.source,
            kind: source.info.kind,
            ssrc: subscription.ssrc,
            rtx_ssrc: repairs.then_some(subscription.rtx_ssrc),
            packets_sent: sent.packets + resent.packets,
            bytes_sent: sent.payload_bytes + resent.payload_bytes,
            retransmitted_packets_sent: resent.packets,
            retransmitted_bytes_sent: resent.payload_bytes,
            nack_count: requests.nacks.into(),
            pli_count: requests.plis.into(),
            fir_count: requests.firs.into(),
            retransmissions_refused: requests.retransmissions_refused,
            key_frame_requests_refused: requests.keyframes_refused.into(),
            layer: self.engine.layer_of(self.id, subscription.source),
            remote: subscription.arrives,
        })
    }
}

impl Subscription {
    /// The clock of its timestamps, in Hz: the same for all codecs of a line.
    pub(super) fn clock_rate(&self, codecs: &[Codec]) -> u32 {
        let negotiated = self.payload_types.iter().position(|negotiated| *negotiated != UNNEGOTIATED);
        negotiated.and_then(|at| codecs.get(at)).map_or(0, |codec| codec.clock_rate())
    }
}
