//! RTCP of participants: it ends here (RFC 7667, section 3.7). Reports and feedback feed the sender's
//! own streams and subscriptions; nothing is passed through.

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::conference::congestion::Losses;
use crate::conference::decisions::KeyFrameReason;
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SubscriptionId};
use crate::conference::ingress::Taken;
use crate::conference::negotiation::MediaKind;
use crate::conference::participant::SendEntry;
use crate::conference::round_trip::round_trip;
use crate::conference::source::{SenderClock, Stream};
use crate::conference::stats::RemoteInboundStats;
use crate::conference::subscription::UNNEGOTIATED;
use crate::forwarding::layers::Layer;
use crate::wire::mux::Path;
use crate::wire::rtcp::{self, ExtendedBlock};
use crate::wire::rtp::{SeqNo, Ssrc, WireSeq};

impl Engine {
    /// Opens a compound and takes what it says about this participant's own streams and subscriptions.
    pub(super) fn receive_rtcp(
        &mut self,
        now: Instant,
        id: ParticipantId,
        path: Path,
        data: &[u8],
    ) -> Result<Taken, DropReason> {
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        if !participant.network.knows(&path) {
            return Err(DropReason::UnknownAddress);
        }
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        // Opened aside and read from there: the engine's other parts are free meanwhile.
        let mut plain = std::mem::take(&mut self.scratch);
        let opened = keys.opener.open_rtcp(data, &mut plain).map_err(DropReason::Srtp);
        let taken = opened.and_then(|len| {
            let rate =
                self.participants.get_mut(id).is_some_and(|participant| participant.rtcp_budget.take(now));
            if !rate {
                return Err(DropReason::RtcpRate);
            }
            let plain = plain.get(..len).unwrap_or_default();
            // Of reduced size or not, whatever was negotiated: it is authentic, and str0m repairs by NACKs
            // alone without having asked (RFC 5506, section 5, binds the sender).
            let compound = rtcp::Compound::parse(plain).map_err(|error| DropReason::Rtcp(error.fault))?;
            self.on_heard(id);
            let mut losses = Losses::default();
            for packet in compound.packets() {
                self.on_rtcp(now, id, &packet, &mut losses);
            }
            self.on_losses(now, id, losses);
            // What follows a malformed packet is lost, which counts for the whole datagram.
            compound.dropped().map_or(Ok(Taken::Consumed), |error| Err(DropReason::Rtcp(error.fault)))
        });
        self.scratch = plain;
        taken
    }

    fn on_rtcp(&mut self, now: Instant, id: ParticipantId, packet: &rtcp::Packet<'_>, losses: &mut Losses) {
        match packet {
            rtcp::Packet::SenderReport(report) => {
                if let Some(stream) = self.stream_of(id, report.info.ssrc) {
                    stream.sender_report = Some(SenderClock {
                        ntp: report.info.ntp.0,
                        rtp: report.info.rtp_time.0,
                        arrival: now,
                    });
                }
                report.reports().for_each(|block| self.on_report_block(now, id, &block, losses));
            }
            rtcp::Packet::ReceiverReport(report) => {
                report.reports().for_each(|block| self.on_report_block(now, id, &block, losses));
            }
            rtcp::Packet::ExtendedReport(report) => {
                report.blocks().for_each(|block| self.on_extended_block(now, id, report.ssrc, block));
            }
            rtcp::Packet::Bye(bye) => bye.ssrcs().for_each(|ssrc| self.on_bye(now, id, ssrc)),
            rtcp::Packet::Nack(nack) => self.on_nack(now, id, nack),
            rtcp::Packet::Pli(pli) => self.on_keyframe_request(now, id, pli.media, None),
            rtcp::Packet::Fir(fir) => fir.entries().for_each(|entry| {
                self.on_keyframe_request(now, id, entry.ssrc, Some((fir.sender, entry.sequence_number)));
            }),
            rtcp::Packet::TransportFeedback(feedback) => self.on_transport_feedback(now, id, feedback),
            rtcp::Packet::CongestionFeedback(feedback) => self.on_congestion_feedback(now, id, feedback),
            rtcp::Packet::Remb(remb) => self.on_receiver_estimate(now, id, remb.bitrate),
            // SDES of a publisher says nothing that its session does not.
            _ => {}
        }
    }

    /// The stream of this participant's own with an SSRC; others' are out of its reach (S-RTP-05).
    fn stream_of(&mut self, id: ParticipantId, ssrc: Ssrc) -> Option<&mut Stream> {
        let participant = self.participants.get(id)?;
        let sources = participant.sources.iter().filter_map(|source| self.sources.get(*source));
        let key = sources
            .flat_map(|source| source.streams())
            .find(|key| self.streams.get(*key).is_some_and(|stream| stream.ssrc == ssrc))?;
        self.streams.get_mut(key)
    }

    /// The subscription of this participant's own that is sent with an SSRC.
    fn subscription_of(&self, id: ParticipantId, ssrc: Ssrc) -> Option<SubscriptionId> {
        let mut subscriptions = self.participants.get(id)?.subscriptions.iter().copied();
        subscriptions
            .find(|key| self.subscriptions.get(*key).is_some_and(|subscription| subscription.ssrc == ssrc))
    }

    /// A stream of this participant's own ends (RFC 3550, section 6.3.4): who receives it gets another layer
    /// at once. A packet that follows shows that the BYE came early, or that the stream begins again.
    fn on_bye(&mut self, now: Instant, id: ParticipantId, ssrc: Ssrc) {
        if self.stream_of(id, ssrc).is_some_and(Stream::end) {
            self.hurry_ladder(now, id);
        }
    }

    /// How a subscription arrives, and the round trip by our sender report that the block answers (RFC 3550,
    /// section 6.4.1).
    fn on_report_block(
        &mut self,
        now: Instant,
        id: ParticipantId,
        block: &rtcp::ReportBlock,
        losses: &mut Losses,
    ) {
        let key = self.subscription_of(id, block.ssrc);
        let Some(subscription) = key.and_then(|key| self.subscriptions.get_mut(key)) else {
            return;
        };
        let answered = subscription.reported.filter(|(ntp, _)| *ntp == block.last_sr && *ntp != 0);
        let trip = answered.and_then(|(_, sent)| round_trip(now, sent, block.delay_since_last_sr));
        let clock_rate = subscription.clock_rate(&self.config.codecs);
        let before = subscription.arrives;
        let told =
            RemoteInboundStats::new(block, clock_rate, trip.or(before.and_then(|told| told.round_trip_time)));
        subscription.arrives = Some(told);
        if let Some(before) = before {
            let expected = u64::from(told.packets_since(&before));
            losses.expected += expected;
            losses.lost += expected * u64::from(block.fraction_lost);
        }
        losses.round_trip = trip.or(losses.round_trip);
        self.on_round_trip(id, trip);
    }

    /// A reference time of the participant's, which its next report answers, or its answer to ours (RFC 3611,
    /// sections 4.4 and 4.5).
    fn on_extended_block(&mut self, now: Instant, id: ParticipantId, from: Ssrc, block: ExtendedBlock<'_>) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        match block {
            ExtendedBlock::ReferenceTime(time) => {
                participant.rtcp.seldom().times.on_received(now, from, time);
            }
            ExtendedBlock::ReportDelays(delays) => {
                let Some(seldom) = &participant.rtcp.seldom else { return };
                let mut own = delays.entries().filter(|delay| delay.ssrc == participant.ssrc);
                let trip = own.find_map(|delay| seldom.times.on_answer(now, &delay));
                self.on_round_trip(id, trip);
            }
            ExtendedBlock::Other { .. } => {}
        }
    }

    fn on_round_trip(&mut self, id: ParticipantId, trip: Option<Duration>) {
        if let (Some(trip), Some(participant)) = (trip, self.participants.get_mut(id)) {
            participant.set_round_trip(trip);
        }
    }

    /// A request about a stream that the participant does not receive: others' are out of its reach.
    fn refuse_request(&mut self, id: ParticipantId) {
        if let Some(participant) = self.participants.get_mut(id) {
            let refused = &mut participant.traffic.requests_refused;
            *refused = refused.saturating_add(1);
        }
    }

    /// Answers a request for packets, each number for itself (RFC 4585, section 6.2.1).
    fn on_nack(&mut self, now: Instant, id: ParticipantId, nack: &rtcp::Nack<'_>) {
        let Some(key) = self.subscription_of(id, nack.media) else {
            return self.refuse_request(id);
        };
        let asked = nack.numbers().count();
        let participant = self.participants.get_mut(id);
        let looked_up = participant.map_or(0, |participant| participant.rtcp_budget.take_numbers(asked));
        let numbers = nack.numbers().take(looked_up);
        let answered = numbers.filter(|wire| self.retransmit(now, id, key, *wire).is_some()).count();
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            let requests = &mut subscription.requests;
            requests.nacks = requests.nacks.saturating_add(1);
            requests.retransmissions_refused += (asked - answered) as u64;
        }
    }

    /// Queues a retransmission, if the packet is held and was not just sent (RFC 4588; S-RTCP-03).
    fn retransmit(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: SubscriptionId,
        wire: WireSeq,
    ) -> Option<()> {
        let out = SeqNo::extend(self.highest_out(key)?, wire);
        let (entry, len) = self.repetition(key, out)?;
        let participant = self.participants.get_mut(id)?;
        let rtt = participant.round_trip();
        let (egress, repairs) = (&participant.egress, participant.egress.repairs.into());
        let enough = egress.congestion.as_ref().is_some_and(|congestion| congestion.repairs_enough(repairs));
        let full = enough || egress.video.len() >= limits::SEND_QUEUE;
        let subscription = self.subscriptions.get_mut(key)?;
        if full || !subscription.retransmissions.allow(now, rtt, out, len, &subscription.sent) {
            return None;
        }
        participant.egress.push_repair(entry);
        self.traffic.queued += 1;
        self.make_ready(id);
        Some(())
    }

    /// The highest number that a subscription was sent.
    pub(super) fn highest_out(&self, key: SubscriptionId) -> Option<SeqNo> {
        let subscription = self.subscriptions.get(key)?;
        let source = self.sources.get(subscription.source)?;
        Some(source.audience.get(subscription.seat?)?.rewriter.highest())
    }

    /// A packet of a subscription once more, by its number, and the bytes of its payload; `None` if it is not held or
    /// its codec has no retransmissions.
    pub(super) fn repetition(&self, key: SubscriptionId, out: SeqNo) -> Option<(SendEntry, u64)> {
        let subscription = self.subscriptions.get(key)?;
        let source = self.sources.get(subscription.source)?;
        let listener = source.audience.get(subscription.seat?)?;
        let (seq, past) = listener.rewriter.unmap(&subscription.spans, out)?;
        let span = past.span;
        let stream_id = source.encoding(span.layer.encoding)?.stream?;
        let packet = self.streams.get(stream_id)?.history.get(seq)?;
        let (spatial, temporal) = (packet.place.spatial(), packet.place.temporal());
        let layer = Layer { encoding: span.layer.encoding, spatial, temporal };
        let codec = usize::from(packet.codec);
        if subscription.rtx_payload_types.get(codec).copied().unwrap_or(UNNEGOTIATED) == UNNEGOTIATED {
            return None;
        }
        let entry = SendEntry {
            subscription: key,
            stream: stream_id,
            seq,
            out,
            timestamp: packet.timestamp.wrapping_add(span.timestamp),
            shift: span.shift,
            top: span.layer.spatial,
            // What was above the layers of then left without its payload.
            emptied: !past.includes(layer, packet.timestamp),
            retransmission: true,
        };
        Some((entry, packet.payload_len.into()))
    }

    /// A receiver lost its picture: only what it is subscribed to counts (RFC 4585, section 6.3.1). A FIR
    /// comes with its sender and number.
    fn on_keyframe_request(&mut self, now: Instant, id: ParticipantId, media: Ssrc, fir: Option<(Ssrc, u8)>) {
        let Some(key) = self.subscription_of(id, media) else {
            return self.refuse_request(id);
        };
        let encoding = self.shown_encoding(key);
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        let requests = &mut subscription.requests;
        match encoding.filter(|_| requests.take_keyframe(fir)) {
            Some(encoding) => {
                let source = subscription.source;
                self.want_keyframe(now, source, encoding, KeyFrameReason::Asked);
            }
            None => requests.keyframes_refused = requests.keyframes_refused.saturating_add(1),
        }
    }

    /// The encoding that a subscription to video gets, or waits for.
    fn shown_encoding(&self, key: SubscriptionId) -> Option<u8> {
        let subscription = self.subscriptions.get(key)?;
        let source = self.sources.get(subscription.source)?;
        let selector = source.audience.get(subscription.seat?)?.rewriter.selector;
        let layer = selector.layer().or(selector.target())?;
        Some(layer.encoding).filter(|_| source.info.kind == MediaKind::Video)
    }
}
