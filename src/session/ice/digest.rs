//! What an agent is, as a number: for the proof that unauthenticated input changes nothing (I-03).

use super::agent::Agent;
use crate::base::digest::debug;
use std::hash::{Hash as _, Hasher};

impl Agent {
    /// Folds tables, generations, answers and generator into the digest of its owner's state. What
    /// `Debug` shows of an agent is all but its secrets, so whatever comes to it is in here, too.
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        debug(self, state);
        (self.selected(), self.poll_timeout(), self.tie_breaker).hash(state);
        self.random.clone().next_u64().hash(state);
    }
}
