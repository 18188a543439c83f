//! One queue of deadlines for many owners, with lazy deletion.

use crate::base::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The owners' next deadlines. An owner keeps its current deadline itself; an entry that no longer
/// matches is stale and skipped when it surfaces.
pub(crate) struct Deadlines<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord + Copy> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Deadlines { heap: BinaryHeap::new() }
    }

    pub(crate) fn push(&mut self, at: Instant, owner: K) {
        self.heap.push(Reverse((at, owner)));
    }

    /// The earliest entry, stale or not.
    pub(crate) fn peek(&self) -> Option<(Instant, K)> {
        self.heap.peek().map(|Reverse(entry)| *entry)
    }

    /// Takes the earliest entry if it is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        let entry = self.peek().filter(|(at, _)| *at <= now)?;
        self.heap.pop();
        Some(entry)
    }
}
