//! What an agent is, as a number: for the proof that unauthenticated input changes nothing (I-03).

use super::agent::Agent;
use std::fmt::{self, Write as _};
use std::hash::{Hash as _, Hasher};

impl Agent {
    /// Folds tables, generations, answers and generator into the digest of its owner's state. What
    /// `Debug` shows of an agent is all but its secrets, so whatever comes to it is in here, too.
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        let _ = write!(Text(&mut *state), "{self:?}");
        (self.selected(), self.poll_timeout(), self.tie_breaker).hash(state);
        self.random.clone().next_u64().hash(state);
    }
}

/// Text that goes nowhere but into a hash.
struct Text<'a, H>(&'a mut H);

impl<H: Hasher> fmt::Write for Text<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
