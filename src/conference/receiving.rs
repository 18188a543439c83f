//! Feedback to a participant on what arrives of its packets, of the kind that was negotiated: it sets its rate by
//! that. What participants say of the packets that they get is read in `feedback`; neither knows of the
//! other, so that losses on the way in lower nobody's share of the way out.

use crate::base::limits;
use crate::base::time::Instant;
use crate::base::units::Bitrate;
use crate::conference::engine::Engine;
use crate::conference::ids::ParticipantId;
use crate::conference::negotiation::FeedbackKind;
use crate::conference::participant::{ParticipantState, Timer};
use crate::conference::reports::TRAILER;
use crate::conference::round_trip::reference_time;
use crate::congestion::arrivals::{Arrivals, Arrived, StreamArrivals};
use crate::congestion::receiver::{Departure, ReceiverEstimate};
use crate::wire::mux::Ecn;
use crate::wire::rtcp::{Arrival, Metric, StreamReport, Writer};
use crate::wire::rtp::{self, AbsSendTime, ExtensionKind, Ssrc, WireSeq};
use smallvec::SmallVec;

/// Metrics that a datagram has room for.
const METRICS: usize = limits::MTU / 2;

/// Media streams of one participant.
const STREAMS: usize = limits::SOURCES_PER_PARTICIPANT * limits::ENCODINGS;

/// An authentic packet of a participant's, as its way here shows in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArrivedPacket {
    pub(super) ssrc: Ssrc,
    pub(super) seq: WireSeq,
    pub(super) ecn: Ecn,
    pub(super) len: usize,
    /// Its transport-wide number.
    pub(super) number: Option<u16>,
    pub(super) departure: Option<Departure>,
}

/// What is noted of a participant's packets for feedback on them.
#[derive(Debug, Default, Hash)]
pub(super) struct Receiving {
    kind: Option<FeedbackKind>,
    /// Counts transport-wide feedback.
    count: u8,
    /// Packets since the last feedback.
    packets: u16,
    notes: Notes,
}

#[derive(Debug, Default, Hash)]
enum Notes {
    /// Before the first packet.
    #[default]
    Nothing,
    Numbers(Box<Arrivals>),
    Streams(Box<StreamArrivals>),
    Rate(Box<ReceiverEstimate>),
}

/// Bytes of it on top of what a participant has anyway.
pub(super) const BOUND: usize = {
    let numbers = size_of::<Arrivals>() + 8 * limits::ARRIVALS;
    let streams = size_of::<StreamArrivals>() + StreamArrivals::BOUND;
    if numbers > streams { numbers } else { streams }
};

impl Receiving {
    /// Feedback is of this kind from now on.
    pub(super) fn agree(&mut self, kind: Option<FeedbackKind>) {
        if self.kind != kind {
            *self = Receiving { kind, ..Receiving::default() };
        }
    }

    /// Notes a packet. Whether there is anything to tell now.
    fn on_packet(&mut self, now: Instant, packet: &ArrivedPacket, most: Bitrate) -> bool {
        let Some(kind) = self.kind else { return false };
        let arrived = Arrived { at: now, ecn: packet.ecn.bits() };
        if matches!(self.notes, Notes::Nothing) {
            self.notes = Notes::of(kind, most);
        }
        match (&mut self.notes, packet.number) {
            (Notes::Numbers(arrivals), Some(number)) => arrivals.on_packet(number, arrived),
            (Notes::Numbers(_), None) | (Notes::Nothing, _) => return false,
            (Notes::Streams(streams), _) => streams.on_packet(packet.ssrc.0, packet.seq.0, arrived),
            (Notes::Rate(estimate), _) => estimate.on_packet(now, packet.len, packet.departure),
        }
        self.packets = self.packets.saturating_add(1);
        true
    }

    fn pending(&self) -> bool {
        match &self.notes {
            Notes::Nothing => false,
            Notes::Numbers(arrivals) => arrivals.pending() > 0,
            Notes::Streams(streams) => streams.pending(),
            // That packets come may be all there is to tell of.
            Notes::Rate(_) => self.packets > 0,
        }
    }
}

impl Notes {
    fn of(kind: FeedbackKind, most: Bitrate) -> Notes {
        match kind {
            FeedbackKind::Ccfb => Notes::Streams(Box::default()),
            FeedbackKind::TransportWide => Notes::Numbers(Box::new(Arrivals::new(limits::ARRIVALS))),
            FeedbackKind::Remb => Notes::Rate(Box::new(ReceiverEstimate::new(most))),
        }
    }
}

impl Engine {
    /// Notes an authentic packet, on which feedback is due an interval after the first one, or at once when
    /// many came.
    pub(super) fn note_arrival(&mut self, now: Instant, id: ParticipantId, packet: &ArrivedPacket) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        participant.traffic.on_mark(packet.ecn);
        let most = participant.config.max_publish_bitrate.min(limits::PUBLISH_BITRATE);
        let told = participant.receiving.on_packet(now, packet, most);
        if !told || participant.rtcp.feedback {
            return;
        }
        if participant.receiving.packets >= limits::FEEDBACK_PACKETS {
            participant.rtcp.feedback = true;
            self.make_ready(id);
        } else if !participant.timers.is_armed(Timer::Feedback) && participant.receiving.pending() {
            let interval = participant.rtcp.pace.interval();
            self.arm(id, Timer::Feedback, now + interval);
        }
    }

    /// The same of a packet that was opened aside, whose line is still to be found: its extensions have the same
    /// ids on all lines (RFC 9143, section 9). Who publishes nothing gets no feedback.
    pub(super) fn note_aside(
        &mut self,
        now: Instant,
        id: ParticipantId,
        packet: &rtp::Packet<'_>,
        (len, ecn): (usize, Ecn),
    ) {
        let Some(participant) = self.participants.get(id).filter(|one| !one.sources.is_empty()) else {
            return;
        };
        let ingresses =
            || participant.sources.iter().filter_map(|key| Some(&self.sources.get(*key)?.ingress));
        let value = |kind| packet.extension(ingresses().find_map(|ingress| ingress.id_of(kind))?);
        let number = value(ExtensionKind::TransportSequenceNumber);
        let sent = value(ExtensionKind::AbsSendTime).and_then(AbsSendTime::parse);
        let arrived = ArrivedPacket {
            ssrc: packet.ssrc(),
            seq: packet.sequence_number(),
            ecn,
            len,
            number: number.and_then(rtp::transport_sequence_number).map(|number| number.0),
            departure: sent.map(departure),
        };
        self.note_arrival(now, id, &arrived);
    }

    /// Feedback of the participant's kind, as much as has room. The rest follows in a few datagrams more, and then
    /// with the next feedback.
    pub(super) fn write_feedback(&mut self, now: Instant, id: ParticipantId, writer: &mut Writer<'_>) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        if !std::mem::take(&mut participant.rtcp.feedback) || !participant.receiving.pending() {
            return;
        }
        let sources = participant.sources.iter().filter_map(|source| self.sources.get(*source));
        let streams = sources.flat_map(|source| source.streams()).filter_map(|key| self.streams.get(key));
        let streams: SmallVec<[Ssrc; STREAMS]> = streams.map(|stream| stream.ssrc).take(STREAMS).collect();
        let before = writer.len();
        participant.write_arrivals(now, &streams, writer);
        let len = writer.len() - before;
        let ParticipantState { receiving, rtcp, budget, .. } = participant;
        if len == 0 {
            // The next packet asks again.
            return;
        }
        let (interval, pending) = (rtcp.pace.interval(), receiving.pending());
        // Datagrams of its own, mostly.
        rtcp.feedback = rtcp.pace.takes_another(len + TRAILER) && pending;
        if rtcp.feedback {
            return;
        }
        rtcp.pace.on_feedback(now, budget.authentic_bytes());
        if pending {
            self.arm(id, Timer::Feedback, now + interval);
        }
    }
}

impl ParticipantState {
    fn write_arrivals(&mut self, now: Instant, streams: &[Ssrc], writer: &mut Writer<'_>) {
        let Receiving { count, packets, notes, .. } = &mut self.receiving;
        *packets = 0;
        match notes {
            Notes::Nothing => {}
            Notes::Numbers(arrivals) => {
                // It is about the transport; its media SSRC is any of the participant's streams.
                let Some(media) = streams.first() else { return };
                let (base, arrived) = arrivals.report();
                let times = arrived.map(|arrived| arrived.map(|arrived| arrived.at));
                let written = writer.transport_feedback(self.ssrc, *media, *count, WireSeq(base), times);
                arrivals.reported(written.unwrap_or(0));
                *count = count.wrapping_add(1);
            }
            Notes::Streams(streams) => {
                let written = write_streams(streams, now, self.ssrc, writer);
                self.traffic.ccfb_sent += u64::from(written);
            }
            Notes::Rate(estimate) => {
                if let Some(rate) = estimate.poll(now) {
                    let _ = writer.remb(self.ssrc, rate, streams);
                }
            }
        }
    }
}

/// Tells of streams what has room (RFC 8888, section 3.1), the moment of now on the clock of our reference times.
/// Whether anything was written.
fn write_streams(streams: &mut StreamArrivals, now: Instant, from: Ssrc, writer: &mut Writer<'_>) -> bool {
    let (mut metrics, mut used) = ([None; METRICS], 0);
    let mut blocks: SmallVec<[(Ssrc, WireSeq, usize); limits::SSRCS_PER_SESSION]> = SmallVec::new();
    // Header, sender and time; then eight bytes of each stream and four of each two packets.
    let mut room = writer.room().saturating_sub(12);
    streams.take_reports(|ssrc, arrivals| {
        let most = (room.saturating_sub(8) / 4 * 2).min(METRICS - used);
        let count = arrivals.pending().min(most);
        if count > 0 {
            let (first, arrived) = arrivals.report();
            let places = metrics.iter_mut().skip(used).take(count);
            places.zip(arrived).for_each(|(place, arrived)| *place = arrived.map(|it| metric(now, it)));
            blocks.push((Ssrc(ssrc), WireSeq(first), count));
            room -= 8 + count.next_multiple_of(2) * 2;
            used += count;
        }
        count
    });
    let mut rest = metrics.as_slice();
    let reports = blocks.iter().map(|(ssrc, begin_seq, count)| {
        let (metrics, behind) = rest.split_at_checked(*count).unwrap_or_default();
        rest = behind;
        StreamReport { ssrc: *ssrc, begin_seq: *begin_seq, metrics }
    });
    let reports: SmallVec<[StreamReport<'_>; limits::SSRCS_PER_SESSION]> = reports.collect();
    let timestamp = reference_time(now).middle();
    !reports.is_empty() && writer.congestion_feedback(from, timestamp, &reports).is_ok()
}

fn metric(now: Instant, arrived: Arrived) -> Metric {
    Metric { ecn: Ecn::from_bits(arrived.ecn), arrival: Arrival::before(now - arrived.at) }
}

/// The departure by abs-send-time: one clock for all of a sender's streams.
pub(super) fn departure(sent: AbsSendTime) -> Departure {
    let [a, b, c] = sent.to_bytes();
    Departure { clock: 0, ticks: u32::from_be_bytes([a, b, c, 0]), rate: 1 << 26 }
}
