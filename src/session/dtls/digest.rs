//! What an association is, as a number: for the proof that unauthenticated input changes nothing (I-03).

use super::{Association, Stage};
use std::hash::{Hash as _, Hasher};

impl Association {
    /// Folds the state into the digest of its owner's, keys apart.
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        let stage = match &self.stage {
            Stage::Handshake(pending) => (0, pending.alert, pending.expected.len()),
            Stage::Established(channel) => (1, None, usize::from(channel.updating)),
            Stage::Ended => (2, None, 0),
        };
        (self.role, stage, self.events.len(), &self.early, &self.timers).hash(state);
        let talk = &self.talk;
        (&talk.inbox, &talk.flight, talk.outgoing.datagrams(), &talk.received[..]).hash(state);
    }
}
