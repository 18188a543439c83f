//! What an engine may hold at most: the sum of its limits, to size a machine by.

use crate::base::limits;
use crate::conference::config::EngineConfig;
use crate::conference::event::Event;
use crate::conference::negotiation;
use crate::conference::participant::{ParticipantId, ParticipantState, Role, SendEntry};
use crate::conference::room::RoomState;
use crate::conference::source::{Listener, Source, SourceId, Stream};
use crate::conference::subscription::{Subscription, SubscriptionId};
use crate::forwarding::{history, repair, seen};
use crate::session::{dtls, ice, srtp};
use crate::transport::network::Keys;
use crate::wire::mux::Path;
use crate::wire::rtp::SeqNo;

/// A list that doubles holds up to twice what is in it.
const GROWN: usize = 2;

impl EngineConfig {
    /// Bytes that one participant holds at most on the heap of the Rust side, whatever it and the others
    /// do; payloads apart, which lie in the engine's pages.
    ///
    /// Nearly all of it is reached only by who tries: an idle browser holds a hundredth. Every term is a
    /// size times a constant of [`limits`](crate::limits).
    pub const fn participant_memory_bound() -> usize {
        // Itself, in a table that grows by an eighth; its keys; the tables by address and user fragment,
        // where a slot counts twice; its place in the room, in the line and in the queue of deadlines.
        let state = size_of::<ParticipantState>() * 9 / 8 + size_of::<Keys>();
        let names = GROWN * GROWN * (limits::ADDRESSES_PER_PARTICIPANT * size_of::<(Path, ParticipantId)>())
            + GROWN * GROWN * 2 * (size_of::<(Box<str>, ParticipantId)>() + limits::SDP_TOKEN)
            + limits::LABEL
            + GROWN * 16 * size_of::<(u64, ParticipantId)>();
        // Its sessions: addresses and credentials, handshake, replay windows, descriptions.
        let sessions = ice::HEAP_BOUND + dtls::HEAP_BOUND + srtp::HEAP_BOUND + negotiation::HEAP_BOUND;
        // What is sent to it and what came from it: entries that wait, arrivals to report, roles of SSRCs.
        let queues = limits::SEND_QUEUE * size_of::<SendEntry>()
            + limits::ARRIVALS * size_of::<u64>()
            + GROWN * limits::SSRCS_PER_SESSION * size_of::<Role>();
        // What it publishes: the source with its names and payload types, its stream with an index of
        // packets, gaps and numbers seen.
        let source = size_of::<Source>() * 9 / 8 + 128 + limits::SDP_MID + limits::SDP_TOKEN;
        let stream =
            size_of::<Stream>() * 9 / 8 + history::HEAP_BOUND + repair::HEAP_BOUND + seen::HEAP_BOUND;
        let publishes = limits::SOURCES_PER_PARTICIPANT * (source + stream + GROWN * size_of::<SourceId>());
        // What it receives: the subscription, its seat in the source's audience, and its retransmissions.
        let subscription = size_of::<Subscription>() * 9 / 8
            + GROWN * size_of::<Listener>()
            + GROWN * 2 * size_of::<SubscriptionId>()
            + GROWN * limits::RETRANSMISSIONS_REMEMBERED * size_of::<(SeqNo, u64)>();
        let receives = limits::SUBSCRIPTIONS_PER_PARTICIPANT * subscription;
        state + names + sessions + queues + publishes + receives
    }

    /// Bytes that an engine of this configuration holds at most on the heap of the Rust side: all its
    /// participants at their bound, all pages of history, rooms and events.
    pub const fn memory_bound(&self) -> usize {
        let pages = self.max_history_pages * (limits::HISTORY_PAGE + GROWN * (size_of::<Box<[u8]>>() + 4));
        let rooms = self.max_rooms * size_of::<RoomState>() * 9 / 8;
        let events = GROWN * limits::EVENTS * (size_of::<Event>() + 2 * limits::SDP_TOKEN);
        let participants = self.max_participants * Self::participant_memory_bound();
        participants + pages + rooms + events + limits::DATAGRAM
    }
}
