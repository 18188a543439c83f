//! Counters by reason: arrays under an enumeration's index.

use smallvec::SmallVec;

/// Counts of `N` reasons; wraps after 2^64 of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counters<const N: usize>([u64; N]);

impl<const N: usize> Counters<N> {
    pub(crate) const fn new() -> Self {
        Counters([0; N])
    }

    /// Adds one under `index`; an index out of range (there is none, `N` is the number of reasons)
    /// is not counted.
    pub(crate) fn add(&mut self, index: usize) {
        if let Some(count) = self.0.get_mut(index) {
            *count = count.wrapping_add(1);
        }
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0)
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

/// The same for owners of whom there are many and for whom most reasons never come: only what was counted takes
/// memory, of the heap from the ninth reason on. Stops at 2^32.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally<const N: usize>(SmallVec<[(u16, u32); 8]>);

impl<const N: usize> Tally<N> {
    pub(crate) fn new() -> Self {
        Tally(SmallVec::new())
    }

    /// See [`Counters::add`].
    pub(crate) fn add(&mut self, index: usize) {
        let Ok(reason) = u16::try_from(index) else { return };
        match self.0.binary_search_by_key(&reason, |(reason, _)| *reason) {
            Ok(at) => {
                self.0.iter_mut().skip(at).take(1).for_each(|(_, count)| *count = count.saturating_add(1))
            }
            Err(at) if index < N => self.0.insert(at, (reason, 1)),
            Err(_) => {}
        }
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        let counted = self.0.iter().find(|(reason, _)| usize::from(*reason) == index);
        counted.map_or(0, |(_, count)| u64::from(*count))
    }
}
