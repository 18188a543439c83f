//! What an engine is, as a number: for the proof that unauthenticated input changes nothing (I-03).

use crate::base::digest::{debug, digest, unordered};
use crate::conference::engine::Engine;
use crate::conference::participant::ParticipantState;
use crate::conference::source::{Source, Stream};
use crate::conference::subscription::Subscription;
use std::hash::{Hash as _, Hasher};

impl Engine {
    /// A digest of the state that datagrams may change: tables, addresses, phases, windows, numbers,
    /// budgets, queues, timers and generators. Not in it are counters that are only read, secrets, the
    /// present moment, streams that nobody authenticated on, and what commands alone change:
    /// configurations and descriptions. Equal states of one engine have equal digests. For tests alone.
    #[doc(hidden)]
    pub fn state_digest(&self) -> u64 {
        let mut state = digest();
        for (id, room) in self.rooms.iter() {
            (id, &room.participants, room.joined, room.random.clone().next_u64()).hash(&mut state);
            debug(&room.speakers, &mut state);
            (room.reviewed, room.review_at).hash(&mut state);
        }
        for (id, participant) in self.participants.iter() {
            id.hash(&mut state);
            participant.digest(&mut state);
        }
        for (id, source) in self.sources.iter() {
            id.hash(&mut state);
            source.digest(&mut state);
        }
        for (id, stream) in self.streams.iter() {
            id.hash(&mut state);
            stream.digest(&mut state);
        }
        for (id, subscription) in self.subscriptions.iter() {
            id.hash(&mut state);
            subscription.digest(&mut state);
        }
        self.directory.digest(&mut state);
        (&self.ready, self.deadlines.peek(), self.events.len(), self.pages.used()).hash(&mut state);
        unordered(self.connections.proven()).hash(&mut state);
        (self.rooms_created, self.random.clone().next_u64()).hash(&mut state);
        state.finish()
    }
}

impl ParticipantState {
    fn digest(&self, state: &mut impl Hasher) {
        self.egress.digest(state);
        (self.path, &self.contexts, &self.receiving, &self.timers, &self.rtcp).hash(state);
        self.network.digest(state);
        (self.room, self.negotiation_announced).hash(state);
        (self.connected, self.announced, &self.sources[..], self.sources_published).hash(state);
        (&self.subscriptions, self.ssrc, self.ssrcs, self.reduced_size_rtcp, self.rtt).hash(state);
        (&self.budget, &self.rtcp_budget, self.rebound, &self.cname).hash(state);
        debug(&self.messages, state);
        debug(&self.lines, state);
        debug(&self.viewing, state);
        self.random.clone().next_u64().hash(state);
    }
}

impl Source {
    fn digest(&self, state: &mut impl Hasher) {
        (self.info.participant, &self.encodings[..], &self.audience, &self.subscriptions).hash(state);
        (self.fir_seq, self.live, self.lapsed, self.held_back).hash(state);
    }
}

impl Stream {
    fn digest(&self, state: &mut impl Hasher) {
        (self.source, self.ssrc, &self.history, &self.reception, &self.missing).hash(state);
        (&self.seen, self.newest, self.sender_report, &self.meter).hash(state);
        debug(&self.reader, state);
    }
}

impl Subscription {
    fn digest(&self, state: &mut impl Hasher) {
        (self.subscriber, self.source, self.ssrc, self.rtx_ssrc, self.rtx_next).hash(state);
        (self.seat, self.negotiated, self.reported, self.rewriter, &self.spans, self.wish).hash(state);
        (self.sent.packets, self.sent.payload_bytes, self.requests).hash(state);
        (self.slot, self.by_hand, self.hidden, self.left).hash(state);
    }
}
