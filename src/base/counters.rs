//! Counters by reason: arrays under an enumeration's index.

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

/// The same in half the memory, for owners of whom there are many; stops at 2^32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally<const N: usize>([u32; N]);

impl<const N: usize> Tally<N> {
    pub(crate) const fn new() -> Self {
        Tally([0; N])
    }

    /// See [`Counters::add`].
    pub(crate) fn add(&mut self, index: usize) {
        if let Some(count) = self.0.get_mut(index) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or(0).into()
    }
}
