//! What a room tells the people in it and at its door.

use super::{Member, Room};
use crate::message::{Entry, Reply, Waiter, stream_id, text};
use std::time::Instant;

impl Room {
    pub(super) fn is_moderated(&self) -> bool {
        self.members.iter().any(|member| member.place.moderator)
    }

    pub(super) fn tell(&self, say: impl Fn(&Member)) {
        self.members.iter().for_each(say);
    }

    /// Tells everybody who is here.
    pub(super) fn announce(&self) {
        let mut hands: Vec<u64> = self.members.iter().filter_map(|member| member.hand).collect();
        hands.sort_unstable();
        let place = |hand| hands.binary_search(&hand).map_or(0, |before| before + 1);
        let list = self.members.iter().map(|member| Entry {
            id: stream_id(member.visitor.label),
            name: &member.visitor.name,
            shown: member.shown,
            moderator: member.place.moderator,
            hand: member.hand.map(place),
        });
        let message = text(&Reply::Participants { list: list.collect() });
        self.tell(|member| member.visitor.outbox.push_text(message.clone()));
    }

    pub(super) fn tell_moderators(&self, reply: &Reply<'_>) {
        let message = text(reply);
        for member in self.members.iter().filter(|member| member.place.moderator) {
            member.visitor.outbox.push_text(message.clone());
        }
    }

    /// Tells moderators who waits.
    pub(super) fn tell_waiting(&self) {
        let list = self
            .waiting
            .iter()
            .map(|waiting| Waiter { id: stream_id(waiting.visitor.label), name: &waiting.visitor.name });
        self.tell_moderators(&Reply::Waiting { list: list.collect() });
    }

    /// Tells moderators which invitations there are.
    pub(super) fn tell_invitations(&self, now: Instant) {
        self.tell_moderators(&Reply::Invitations { list: self.invitations.tickets(now) });
    }

    /// Tells those who wait whether a moderator is there.
    pub(super) fn tell_the_lobby(&self) {
        let message = text(&Reply::Waits { moderator: self.is_moderated() });
        for waiting in &self.waiting {
            waiting.visitor.outbox.push_text(message.clone());
        }
    }
}
