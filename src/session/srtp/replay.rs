//! Which indices of one source were opened already (RFC 3711, section 3.3.2).

/// The newest index and, behind it, a bit for each of at least `(WORDS - 1) * 64`.
///
/// A ring of words: each belongs to the 64 indices around the newest that its place fits. The word
/// of the newest index has no bit beyond it; stepping into the next word forgets the oldest.
#[derive(Debug, Clone, Hash)]
pub(super) struct Window<const WORDS: usize> {
    newest: u64,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    /// Indices, the newest included, within which a replay is told from a late packet.
    const SPAN: u64 = (WORDS as u64 - 1) * 64;

    /// A window in which only `index` was seen.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Window { newest: index, seen: [0; WORDS] };
        window.mark(index);
        window
    }

    /// A window in which everything up to `index` counts as seen.
    pub(super) fn closed_at(index: u64) -> Self {
        let mut window = Window { newest: index, seen: [u64::MAX; WORDS] };
        // But no bit beyond the newest: once stepped over it would be taken for seen.
        window.change(index, |_| bit(index) | (bit(index) - 1));
        window
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether `index` was not yet seen, as far as is remembered.
    #[inline]
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        match self.newest.checked_sub(index) {
            None => true,
            Some(age) => {
                let word = self.seen.get(place::<WORDS>(index)).copied();
                age < Self::SPAN && word.is_some_and(|word| word & bit(index) == 0)
            }
        }
    }

    /// Remembers `index`, of which [`Window::is_fresh`] was true.
    #[inline]
    pub(super) fn mark(&mut self, index: u64) {
        if index > self.newest {
            let first = self.newest / 64 + 1;
            let last = index / 64;
            // A jump beyond the ring clears each word once.
            for number in first.max(last.saturating_sub(WORDS as u64 - 1))..=last {
                self.change(number * 64, |_| 0);
            }
            self.newest = index;
        }
        self.change(index, |word| word | bit(index));
    }

    #[inline]
    fn change(&mut self, index: u64, change: impl FnOnce(u64) -> u64) {
        if let Some(word) = self.seen.get_mut(place::<WORDS>(index)) {
            *word = change(*word);
        }
    }
}

#[inline]
fn place<const WORDS: usize>(index: u64) -> usize {
    (index / 64 % WORDS as u64) as usize
}

#[inline]
fn bit(index: u64) -> u64 {
    1 << (index % 64)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_closed_window_refuses_all_behind_and_nothing_beyond() {
        for newest in [0, 63, 64, 5_000, 65_535] {
            let mut window = Window::<17>::closed_at(newest);
            assert!((0..=newest).all(|index| !window.is_fresh(index)));
            assert!((newest + 1..newest + 3_000).all(|index| window.is_fresh(index)));
            window.mark(newest + 70);
            assert!((newest + 1..newest + 70).all(|index| window.is_fresh(index)));
        }
    }

    proptest! {
        /// Against a set that forgets nothing: inside the span the window knows exactly, behind it
        /// it refuses.
        #[test]
        fn is_a_set_within_its_span(
            start in 0..200_000u64,
            steps in proptest::collection::vec(
                prop_oneof![8 => -80..80i64, 3 => -1_200..1_200i64, 1 => -9_000..9_000i64], 1..600),
        ) {
            let mut window = Window::<17>::starting_at(start);
            let mut set = HashSet::from([start]);
            for step in steps {
                let newest = *set.iter().max().unwrap();
                let Some(index) = newest.checked_add_signed(step) else { continue };
                let fresh = index + 1_024 > newest && !set.contains(&index);
                prop_assert_eq!(window.is_fresh(index), fresh, "{} behind {}", index, newest);
                if fresh {
                    window.mark(index);
                    set.insert(index);
                    prop_assert_eq!(window.newest(), newest.max(index));
                }
            }
        }
    }
}
