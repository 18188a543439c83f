//! Lines that are shared: each carries one source after the other under the same SSRCs and numbers, so that who
//! is seen and heard changes without a description, and a meeting of hundreds has as many m-lines as a screen
//! has places.
//!
//! To its receiver a shared line is one stream that goes on: with the next number, later in time, from a key
//! frame. Which source it carries is said by [`Event::LineChanged`], for the embedder to tell the page.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::engine::Engine;
use crate::conference::event::Event;
use crate::conference::ids::{ParticipantId, SourceId, SubscriptionId};
use crate::conference::negotiation::{CodecSet, MediaKind, Negotiation, SendSlot};
use crate::conference::participant::{Egress, ParticipantState};
use crate::conference::source::Moment;
use crate::conference::subscription::{Numbers, Subscription};
use crate::wire::rtp::Ssrc;
use crate::wire::sdp::{Mid, Msid};

/// One shared line.
#[derive(Debug)]
pub(super) struct SharedLine {
    /// Its name among the slots of the negotiation.
    pub(super) slot: u64,
    pub(super) kind: MediaKind,
    pub(super) ssrcs: (Ssrc, Ssrc),
    pub(super) carries: Option<SubscriptionId>,
    /// Where its numbers stand while it carries nothing.
    pub(super) numbers: Option<Numbers>,
    /// What the embedder was told that it carries, and under which mid.
    told: Option<(Mid, SourceId)>,
}

impl ParticipantState {
    /// Lines of audio and of video that it shares among sources; `None` if each source has its own.
    pub(super) fn shared_lines(&self) -> Option<[usize; 2]> {
        let all = limits::SPARE_LINES as u16;
        let shared = self.config.shared_lines.map(|lines| [lines.audio, lines.video]);
        // Who takes no offers of ours has what its offer asks for.
        let shared = shared.or((!self.config.renegotiates).then_some([all; 2]))?;
        Some(shared.map(|lines| usize::from(lines).min(limits::SHARED_LINES)))
    }

    /// Adds lines until there are as many as are to be shared.
    pub(super) fn reserve_lines(&mut self) {
        let Some(shared) = self.shared_lines().filter(|_| self.config.receive) else { return };
        for (kind, wanted) in [MediaKind::Audio, MediaKind::Video].into_iter().zip(shared) {
            let there = self.lines.iter().filter(|line| line.kind == kind).count();
            for _ in there..wanted {
                let (ssrc, rtx_ssrc) = (self.fresh_ssrc(), self.fresh_ssrc());
                // Subscriptions are named by index and generation, and no index is that large.
                let slot = u64::MAX - u64::from(ssrc.0);
                let track = format!("t{:08x}", ssrc.0);
                // Sources of several publishers have no clock in common, so the lines have no name in common.
                // Players that take no offers look for one stream, and mostly there is one publisher.
                let stream = if self.config.renegotiates { track.clone() } else { "room".to_owned() };
                let (msid, rtx, cname) = (Msid { stream, track }, Some(rtx_ssrc.0), self.line_cname(ssrc));
                let send = SendSlot { id: slot, kind, codecs: CodecSet::ALL, ssrc: ssrc.0, rtx, msid, cname };
                if self.negotiation.assign_send(send).is_ok() {
                    let (ssrcs, numbers) = ((ssrc, rtx_ssrc), Some(Numbers::new(&mut self.random)));
                    self.lines.push(SharedLine { slot, kind, ssrcs, carries: None, numbers, told: None });
                }
            }
        }
    }

    /// A line of a kind that carries nothing, those that are negotiated first.
    pub(super) fn free_line(&mut self, kind: MediaKind) -> Option<&mut SharedLine> {
        let (session, negotiation) = (self.negotiation.session(), &self.negotiation);
        let free = |line: &&mut SharedLine| line.is_usable(kind, negotiation) && line.numbers.is_some();
        self.lines.iter_mut().filter(free).min_by_key(|line| session.line_of_slot(line.slot).is_none())
    }

    pub(super) fn has_free_line(&self, kind: MediaKind) -> bool {
        self.lines.iter().any(|line| line.is_usable(kind, &self.negotiation) && line.numbers.is_some())
    }

    /// What the streams of a shared line are named by (RFC 3550, section 6.5.1): those of one name are taken to be
    /// of one clock.
    pub(super) fn line_cname(&self, ssrc: Ssrc) -> String {
        if self.config.renegotiates { format!("{}-{:08x}", self.cname, ssrc.0) } else { self.cname.clone() }
    }

    /// How many lines of a kind can carry anything.
    pub(super) fn usable_lines(&self, kind: MediaKind) -> usize {
        self.lines.iter().filter(|line| line.is_usable(kind, &self.negotiation)).count()
    }
}

impl SharedLine {
    /// Whether it is of a kind and its participant has not refused it.
    fn is_usable(&self, kind: MediaKind, negotiation: &Negotiation) -> bool {
        self.kind == kind && !negotiation.is_refused(self.slot)
    }

    /// Takes the line back from what it carried; `left` is the last that was sent. What still waits to be sent
    /// never will be: its numbers are free.
    pub(super) fn release(&mut self, subscription: Subscription, left: Option<Moment>, egress: &Egress) {
        let unsent = self.carries.map_or(0, |key| egress.unsent(key, subscription.rewriter.highest()));
        (self.carries, self.numbers) = (None, Some(subscription.into_numbers(left, unsent)));
    }
}

impl Engine {
    /// A subscription on a free shared line, which goes on with the line's numbers.
    pub(super) fn take_line(
        &mut self,
        id: ParticipantId,
        source: SourceId,
        kind: MediaKind,
    ) -> Option<SubscriptionId> {
        let line = self.participants.get_mut(id)?.free_line(kind)?;
        let (ssrcs, slot, numbers) = (line.ssrcs, line.slot, line.numbers.take()?);
        let make = |_| Subscription::new(id, (source, id), ssrcs, slot, numbers);
        Some(*line.carries.insert(self.subscriptions.insert_with(make)))
    }

    /// Of one that takes no offers: takes back the lines that its own did not ask for. What was asked for on them
    /// moves to those that are there.
    pub(super) fn keep_asked_lines(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        if participant.config.renegotiates {
            return;
        }
        let negotiation = &mut participant.negotiation;
        let (mut surplus, mut told) = (Vec::new(), Vec::new());
        participant.lines.retain(|line| {
            let placed = negotiation.session().line_of_slot(line.slot).is_some();
            if !placed {
                negotiation.remove_send(line.slot);
                surplus.extend(line.carries);
                told.extend(line.told.clone());
            }
            placed
        });
        participant.lines.shrink_to_fit();
        surplus.into_iter().for_each(|key| self.subscribe_again(key));
        for (mid, _) in told {
            self.emit(Event::LineChanged { participant: id, mid: mid.as_str().to_owned(), source: None });
        }
    }

    /// The last of what a subscription sends, in the time of its own stream.
    pub(super) fn last_sent(&self, now: Instant, key: SubscriptionId) -> Option<Moment> {
        let subscription = self.subscriptions.get(key)?;
        let source = self.sources.get(subscription.source)?;
        let listener = subscription.seat.and_then(|seat| source.audience.get(seat));
        let rewriter = listener.map_or(&subscription.rewriter, |listener| &listener.rewriter);
        let Some((encoding, same)) = rewriter.encoding() else { return subscription.left };
        let encoding = source.encoding(encoding);
        let stream = encoding.and_then(|encoding| self.streams.get(encoding.stream?)).filter(|_| same);
        let newest = stream.map_or(encoding.and_then(|encoding| encoding.left), |stream| stream.newest);
        let Some(newest) = newest else {
            return Some(Moment { timestamp: rewriter.latest_timestamp(), at: now });
        };
        let timestamp = newest.timestamp.wrapping_add(rewriter.timestamp_delta());
        Some(Moment { timestamp, at: newest.at })
    }

    /// Tells the embedder which source each shared line carries, where that changed.
    pub(super) fn tell_lines(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let mut changes = Vec::new();
        let session = participant.negotiation.session();
        for line in &mut participant.lines {
            let mid = session.line_of_slot(line.slot).map(|negotiated| negotiated.mid.clone());
            let subscription = line.carries.and_then(|key| self.subscriptions.get(key));
            let now = mid.zip(subscription.map(|subscription| subscription.source));
            if line.told == now {
                continue;
            }
            let before = std::mem::replace(&mut line.told, now.clone());
            let moved = |(mid, _): &(Mid, SourceId)| now.as_ref().is_none_or(|(now, _)| now != mid);
            changes.extend(before.filter(moved).map(|(mid, _)| (mid, None)));
            changes.extend(now.map(|(mid, source)| (mid, Some(source))));
        }
        for (mid, source) in changes {
            self.emit(Event::LineChanged { participant: id, mid: mid.as_str().to_owned(), source });
        }
    }
}
