//! RTCP of participants: it ends here (RFC 7667, section 3.7). Reports and feedback feed the sender's
//! own streams and subscriptions; nothing is passed through.

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SubscriptionId};
use crate::conference::ingress::Taken;
use crate::conference::participant::SendEntry;
use crate::conference::source::{SenderClock, Stream};
use crate::conference::subscription::UNNEGOTIATED;
use crate::forwarding::layers::Layer;
use crate::wire::mux::Path;
use crate::wire::rtcp;
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
            for packet in compound.packets() {
                self.on_rtcp(now, id, &packet);
            }
            // What follows a malformed packet is lost, which counts for the whole datagram.
            compound.dropped().map_or(Ok(Taken::Consumed), |error| Err(DropReason::Rtcp(error.fault)))
        });
        self.scratch = plain;
        taken
    }

    fn on_rtcp(&mut self, now: Instant, id: ParticipantId, packet: &rtcp::Packet<'_>) {
        match packet {
            rtcp::Packet::SenderReport(report) => {
                if let Some(stream) = self.stream_of(id, report.info.ssrc) {
                    stream.sender_report = Some(SenderClock {
                        ntp: report.info.ntp.0,
                        rtp: report.info.rtp_time.0,
                        arrival: now,
                    });
                }
                report.reports().for_each(|block| self.on_report_block(now, id, &block));
            }
            rtcp::Packet::ReceiverReport(report) => {
                report.reports().for_each(|block| self.on_report_block(now, id, &block));
            }
            rtcp::Packet::Nack(nack) => {
                if let Some(subscription) = self.subscription_of(id, nack.media) {
                    nack.numbers().for_each(|wire| self.retransmit(now, id, subscription, wire));
                }
            }
            rtcp::Packet::Pli(pli) => self.on_keyframe_request(now, id, pli.media),
            rtcp::Packet::Fir(fir) => {
                fir.entries().for_each(|entry| self.on_keyframe_request(now, id, entry.ssrc));
            }
            rtcp::Packet::TransportFeedback(_) => {
                if let Some(participant) = self.participants.get_mut(id) {
                    participant.traffic.feedback_received += 1;
                }
            }
            // SDES and BYE of a publisher say nothing that its session does not; REMB and the rest wait
            // for an estimator.
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

    /// The round trip by our sender report that the block answers (RFC 3550, section 6.4.1).
    fn on_report_block(&mut self, now: Instant, id: ParticipantId, block: &rtcp::ReportBlock) {
        let Some(subscription) = self.subscription_of(id, block.ssrc) else {
            return;
        };
        let Some((ntp, sent)) =
            self.subscriptions.get(subscription).and_then(|subscription| subscription.reported)
        else {
            return;
        };
        if ntp != block.last_sr || ntp == 0 {
            return;
        }
        let held = Duration::from_micros(u64::from(block.delay_since_last_sr) * 1_000_000 / 65_536);
        let Some(rtt) = (now - sent).checked_sub(held) else {
            return;
        };
        if let Some(participant) = self.participants.get_mut(id) {
            participant.rtt = rtt.clamp(limits::MIN_RTT, limits::MAX_RTT);
        }
    }

    /// Queues a retransmission, if the packet is held and was not just sent (RFC 4588; S-RTCP-03).
    fn retransmit(&mut self, now: Instant, id: ParticipantId, key: SubscriptionId, wire: WireSeq) {
        let Some(subscription) = self.subscriptions.get_mut(key) else {
            return;
        };
        let Some(source) = self.sources.get(subscription.source) else {
            return;
        };
        let Some(listener) = subscription.seat.and_then(|seat| source.audience.get(seat)) else {
            return;
        };
        let out = SeqNo::extend(listener.rewriter.highest(), wire);
        let Some((seq, past)) = listener.rewriter.unmap(&subscription.spans, out) else {
            return;
        };
        let span = past.span;
        let Some(stream_id) = source.encoding(span.layer.encoding).and_then(|encoding| encoding.stream)
        else {
            return;
        };
        let Some(packet) = self.streams.get(stream_id).and_then(|stream| stream.history.get(seq)) else {
            return;
        };
        let (spatial, temporal) = (packet.place.spatial(), packet.place.temporal());
        let layer = Layer { encoding: span.layer.encoding, spatial, temporal };
        let codec = usize::from(packet.codec);
        if subscription.rtx_payload_types.get(codec).copied().unwrap_or(UNNEGOTIATED) == UNNEGOTIATED {
            return;
        }
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let len = u64::from(packet.payload_len);
        let full = participant.egress.queue.len() >= limits::SEND_QUEUE;
        if full || !subscription.retransmissions.allow(now, participant.rtt, out, len, &subscription.sent) {
            return;
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
        participant.egress.queue.push_back(entry);
        self.traffic.queued += 1;
        self.make_ready(id);
    }

    /// A receiver lost its picture: only what it is subscribed to counts (RFC 4585, section 6.3.1).
    fn on_keyframe_request(&mut self, now: Instant, id: ParticipantId, ssrc: Ssrc) {
        let subscription = self.subscription_of(id, ssrc).and_then(|key| self.subscriptions.get(key));
        let Some(subscription) = subscription.filter(|subscription| subscription.seat.is_some()) else {
            return;
        };
        let Some(source) = self.sources.get(subscription.source) else { return };
        let listener = subscription.seat.and_then(|seat| source.audience.get(seat));
        let selector = listener.map(|listener| listener.rewriter.selector).unwrap_or_default();
        // Of what it gets, or waits for.
        if let Some(layer) = selector.layer().or(selector.target()) {
            self.want_keyframe(now, subscription.source, layer.encoding);
        }
    }
}
