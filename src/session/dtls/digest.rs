//! What an association is, as a number: for the proof that unauthenticated input changes nothing (I-03).

use super::Association;
use std::hash::{Hash as _, Hasher};

impl Association {
    /// Folds the state that can be seen from here into the digest of its owner's; the keys, and what the
    /// library keeps, are not in it.
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        (self.engine.is_some(), self.role, self.phase, self.expected.len()).hash(state);
        (&self.assembly, &self.outgoing, self.events.len()).hash(state);
        (self.engine_timeout, self.deadline, self.alert).hash(state);
    }
}
