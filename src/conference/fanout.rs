//! From one received packet to an entry in each receiver's queue. No bytes move here.

use crate::base::limits;
use crate::base::slots::Slots;
use crate::base::time::Instant;
use crate::conference::decisions::{Choice, Decision, Decisions, KeyFrameReason};
use crate::conference::drops::{DropCounters, DropReason};
use crate::conference::engine::Engine;
use crate::conference::event::{Event, Events};
use crate::conference::ids::{SourceId, StreamId, SubscriptionId};
use crate::conference::negotiation::MediaKind;
use crate::conference::participant::SendEntry;
use crate::conference::source::{Encoding, Listener, Moment, Source, Stream};
use crate::conference::subscription::Subscription;
use crate::congestion::allocation::Reason;
use crate::forwarding::ladder::Ladder;
use crate::forwarding::layers::Layer;
use crate::forwarding::reading::Reading;
use crate::forwarding::rewrite::{Mapped, Rewriter, Shift, Span};
use crate::wire::rtp::SeqNo;
use smallvec::SmallVec;

/// A packet that stands in its stream's history.
pub(super) struct Kept {
    pub(super) stream: StreamId,
    pub(super) seq: SeqNo,
    pub(super) timestamp: u32,
    pub(super) reading: Reading,
    /// Nothing but padding.
    pub(super) empty: bool,
}

impl Engine {
    /// Queues a packet of `source` for everybody in its audience who gets its layer.
    pub(super) fn fan_out(&mut self, now: Instant, id: SourceId, packet: &Kept) {
        let facts = &packet.reading.facts;
        if facts.begins_key_frame == Some(true)
            && let Some(source) = self.sources.get_mut(id)
            && let Some(encoding) = source.encoding_mut(facts.layer.encoding)
        {
            encoding.keyframes.arrived();
        }
        let Seats { begun, resumed } = self.walk(now, id, packet, None);
        if !begun.is_empty() {
            self.catch_up(now, id, packet, &begun);
        }
        for seat in resumed {
            self.resume(now, id, seat);
        }
    }

    /// A picture of another encoding is over: the key frame that waited for its end is begun with.
    #[cold]
    fn resume(&mut self, now: Instant, id: SourceId, seat: usize) {
        let Some(source) = self.sources.get_mut(id) else { return };
        let Some(listener) = source.audience.get_mut(seat) else { return };
        let Some((encoding, seq)) = listener.rewriter.take_put_off() else { return };
        let Some(key) = source.encoding(encoding).and_then(|encoding| encoding.stream) else { return };
        let Some(stream) = self.streams.get_mut(key) else { return };
        let Some(stored) = stream.history.get(seq).copied() else { return };
        let Some(reading) = stream.read_again(&self.pages, &stored, &self.config.codecs) else { return };
        let first = Kept { stream: key, seq, timestamp: stored.timestamp, reading, empty: false };
        let Seats { begun, .. } = self.walk(now, id, &first, Some(&[seat]));
        if !begun.is_empty() {
            self.catch_up(now, id, &first, &begun);
        }
    }

    /// What arrived before the packet that some listeners begin with, but comes after it, is theirs, too.
    #[cold]
    fn catch_up(&mut self, now: Instant, id: SourceId, first: &Kept, begun: &[usize]) {
        let newest = self.streams.get(first.stream).and_then(|stream| stream.newest);
        let newest = newest.map_or(first.seq, |newest| newest.seq);
        for number in first.seq.0 + 1..=newest.0.min(first.seq.0 + limits::OVERTAKEN) {
            let Some(stream) = self.streams.get_mut(first.stream) else { return };
            let Some(stored) = stream.history.get(SeqNo(number)).copied() else { continue };
            let Some(reading) = stream.read_again(&self.pages, &stored, &self.config.codecs) else {
                continue;
            };
            let (seq, timestamp) = (stored.seq, stored.timestamp);
            self.walk(
                now,
                id,
                &Kept { stream: first.stream, seq, timestamp, reading, empty: false },
                Some(begun),
            );
        }
    }

    /// One walk over the audience, or over some seats of it; says where more is to be done.
    fn walk(&mut self, now: Instant, id: SourceId, packet: &Kept, seats: Option<&[usize]>) -> Seats {
        let Some(source) = self.sources.get_mut(id) else { return Seats::default() };
        let Source { audience, encodings, ladder, info, .. } = source;
        let audio = info.kind == MediaKind::Audio;
        let facts = &packet.reading.facts;
        let numbers = (packet.timestamp, packet.reading.inner);
        let mut walk = Walk {
            now,
            id,
            packet,
            encodings,
            ladder,
            streams: &self.streams,
            subscriptions: &mut self.subscriptions,
            events: &mut self.events,
            drops: &mut self.drops,
            decisions: &mut self.decisions,
            video: !audio,
            told: Seats::default(),
            awaited: None,
        };
        let (mut queued, mut refused) = (0, 0);
        for at in 0..seats.map_or(audience.len(), <[usize]>::len) {
            let seat = seats.map_or(Some(at), |seats| seats.get(at).copied());
            let Some((seat, listener)) = seat.and_then(|at| Some((at, audience.get_mut(at)?))) else {
                continue;
            };
            if listener.rewriter.is_idle(packet.seq) {
                continue;
            }
            let usual = listener.rewriter.pass(packet.seq, facts, numbers, packet.empty);
            let usual = usual.map(|out| Sending::new(out, listener.rewriter.span(), false));
            let Some(sending) = usual.or_else(|| walk.take(seat, listener)) else { continue };
            let Some(subscriber) = self.participants.get_mut(listener.subscriber) else { continue };
            queued += 1;
            let egress = &mut subscriber.egress;
            let (queue, most, waits) = if audio {
                (&mut egress.audio, limits::AUDIO_QUEUE, false)
            } else {
                (&mut egress.video, limits::SEND_QUEUE, egress.held)
            };
            if queue.len() >= most {
                refused += 1;
                walk.drops.add(DropReason::QueueFull.index());
                subscriber.drops.add(DropReason::QueueFull.index());
                // A picture that lacks a part is mended by a key frame.
                walk.awaited = walk.awaited.or((!audio).then_some(KeyFrameReason::QueueFull));
                continue;
            }
            queue.push_back(SendEntry {
                subscription: listener.subscription,
                stream: packet.stream,
                seq: packet.seq,
                out: sending.out,
                timestamp: packet.timestamp.wrapping_add(sending.timestamp),
                shift: sending.shift,
                top: sending.top,
                emptied: sending.emptied,
                retransmission: false,
            });
            if !egress.ready && !waits {
                egress.ready = true;
                self.ready.push_back(listener.subscriber);
            }
        }
        let Walk { told, awaited, .. } = walk;
        self.traffic.queued += queued;
        self.traffic.queued_dropped += refused;
        if let Some(reason) = awaited {
            self.want_keyframe(now, id, facts.layer.encoding, reason);
        }
        told
    }
}

/// One packet on its way along an audience, and what is needed where it is not simply the next.
struct Walk<'w> {
    now: Instant,
    id: SourceId,
    packet: &'w Kept,
    encodings: &'w [Encoding],
    ladder: &'w Ladder,
    streams: &'w Slots<StreamId, Stream>,
    subscriptions: &'w mut Slots<SubscriptionId, Subscription>,
    events: &'w mut Events,
    drops: &'w mut DropCounters,
    decisions: &'w mut Decisions,
    video: bool,
    told: Seats,
    /// What a key frame of the packet's encoding is missing for.
    awaited: Option<KeyFrameReason>,
}

/// How a packet leaves for one listener.
struct Sending {
    out: SeqNo,
    timestamp: u32,
    shift: Shift,
    top: u8,
    emptied: bool,
}

impl Sending {
    #[inline]
    fn new(out: SeqNo, span: &Span, emptied: bool) -> Self {
        Sending { out, timestamp: span.timestamp, shift: span.shift, top: span.layer.spatial, emptied }
    }
}

impl Walk<'_> {
    /// Takes the packet for a listener to whom it is not simply the next one.
    #[inline(never)]
    fn take(&mut self, seat: usize, listener: &mut Listener) -> Option<Sending> {
        let packet = self.packet;
        let facts = &packet.reading.facts;
        let before = listener.rewriter.selector.layer();
        let mapped = listener.rewriter.take(
            || Some(&mut self.subscriptions.get_mut(listener.subscription)?.spans),
            packet.seq,
            facts,
            (packet.timestamp, packet.reading.inner),
            packet.empty,
        );
        let sent = match mapped {
            Mapped::Sent { out, span, emptied } => Some(Sending::new(out, &span, emptied)),
            Mapped::LeftOut => None,
            Mapped::Resumes => {
                self.told.resumed.push(seat);
                None
            }
            Mapped::Begins => self.begin(seat, listener, before),
        };
        if listener.rewriter.due() && sent.is_some() {
            self.told.resumed.push(seat);
        }
        let selector = &listener.rewriter.selector;
        let arrived = selector.layer() == selector.target() || listener.rewriter.has_put_off();
        if facts.begins_picture && !arrived {
            let awaited = selector.awaits(|target| self.ladder.clip(target));
            if awaited == Some(facts.layer.encoding) {
                self.awaited = Some(KeyFrameReason::Switch);
            }
        }
        // Fewer pictures in a second begin with one that is left out. The end was told when it was decided.
        let changed = selector.layer().filter(|layer| self.video && Some(*layer) != before);
        if let Some(rung) = changed.map(|layer| self.ladder.measured(layer)) {
            let subscription = self.subscriptions.get(listener.subscription);
            let reason = subscription.map_or(Reason::All, |subscription| subscription.reason);
            let (participant, source) = (listener.subscriber, self.id);
            let event = Event::LayerChanged { participant, source, layer: Some(rung.layer), reason };
            self.events.push(self.drops, event);
            let choice = Choice::Sent { source, layer: Some(rung), reason };
            let decision = Decision { at: self.now, participant, choice };
            self.decisions.push(self.drops, decision);
        }
        sent
    }

    /// The packet is the first of another encoding, or the first at all.
    fn begin(&mut self, seat: usize, listener: &mut Listener, before: Option<Layer>) -> Option<Sending> {
        let (packet, rewriter) = (self.packet, &mut listener.rewriter);
        let mut subscription = self.subscriptions.get_mut(listener.subscription);
        let left = subscription.as_deref_mut().and_then(|one| one.left.take());
        let at = continued((self.encodings, left), self.streams, self.now, rewriter, packet);
        if before.is_some() && rewriter.refuses(at) {
            // It came so late that something newer was shown: the next key frame is waited for.
            rewriter.selector.stay(before);
            self.awaited = Some(KeyFrameReason::Switch);
            return None;
        }
        self.told.begun.push(seat);
        let spans = subscription.map(|one| &mut one.spans);
        let (out, span) = rewriter.begin(spans, packet.seq, (packet.timestamp, at), packet.reading.inner);
        Some(Sending::new(out, &span, false))
    }
}

/// What a walk found beside what it queued.
#[derive(Default)]
struct Seats {
    /// Where the packet is the first.
    begun: SmallVec<[usize; 4]>,
    /// Where a key frame that was put off is to be taken.
    resumed: SmallVec<[usize; 4]>,
}

/// The timestamp that a packet gets as the first of its stream in a subscription, so that time goes on as
/// in what was sent before: of the source's `encodings`, or of another source that was `left`.
fn continued(
    (encodings, left): (&[Encoding], Option<Moment>),
    streams: &Slots<StreamId, Stream>,
    now: Instant,
    rewriter: &Rewriter,
    packet: &Kept,
) -> u32 {
    if let (Some(left), Some(next)) = (left, streams.get(packet.stream)) {
        return left.timestamp_at(now, next.clock_rate);
    }
    let Some((from, same)) = rewriter.encoding() else { return rewriter.latest_timestamp() };
    let (delta, to) = (rewriter.timestamp_delta(), packet.reading.facts.layer.encoding);
    if same && from == to {
        return packet.timestamp.wrapping_add(delta);
    }
    let Some(encoding) = encodings.get(usize::from(from)) else { return rewriter.latest_timestamp() };
    let stream = encoding.stream.filter(|_| same).and_then(|key| streams.get(key));
    let (Some(newest), Some(next)) =
        (stream.map_or(encoding.left, |stream| stream.newest), streams.get(packet.stream))
    else {
        return rewriter.latest_timestamp();
    };
    let by_arrival = newest.moment().timestamp_at(now, next.clock_rate);
    // Encodings of one camera share the wall clock of their sender reports (RFC 3550, section 6.4.1); one
    // that is far from what their arrival says is a lie (S-SIM-04).
    let reports = stream.and_then(|stream| Some((stream.sender_report?, next.sender_report?)));
    let by_reports = reports.map(|(before, after)| {
        before.timestamp_of(after.wall(packet.timestamp, next.clock_rate), next.clock_rate)
    });
    let most = next.clock_rate / 1_000 * limits::CLOCK_DISAGREEMENT;
    let credible = |at: &u32| at.wrapping_sub(by_arrival).cast_signed().unsigned_abs() <= most;
    by_reports.filter(credible).unwrap_or(by_arrival).wrapping_add(delta)
}
