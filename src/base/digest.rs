//! What goes into a digest of state that has no `Hash` of its own.

use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, Hash, Hasher};

use foldhash::quality::FixedState;

/// An empty digest: equal states of one engine make it equal.
pub(crate) fn digest() -> impl Hasher {
    FixedState::with_seed(0).build_hasher()
}

/// A table's entries, whose order means nothing.
pub(crate) fn unordered(entries: impl Iterator<Item = impl Hash>) -> u64 {
    entries.fold(0, |sum, entry| sum.wrapping_add(FixedState::with_seed(1).hash_one(entry)))
}

/// What `Debug` shows of something that is no secret: whatever is added to it is in here, too.
pub(crate) fn debug(what: &impl fmt::Debug, state: &mut impl Hasher) {
    let _ = write!(Text(state), "{what:?}");
}

/// Text that goes nowhere but into a hash.
struct Text<'a, H>(&'a mut H);

impl<H: Hasher> fmt::Write for Text<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}
