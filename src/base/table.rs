//! Hash maps for keys that strangers choose: the hash is seeded, the iteration order never used.

use crate::base::random::Random;
use std::collections::HashMap;

/// A map whose hash is keyed by the engine's seed. Never iterate it towards an output.
pub(crate) type Table<K, V> = HashMap<K, V, foldhash::quality::SeedableRandomState>;

/// An empty table with a seed of its own.
pub(crate) fn table<K, V>(random: &mut Random) -> Table<K, V> {
    let shared = foldhash::SharedSeed::global_fixed();
    Table::with_hasher(foldhash::quality::SeedableRandomState::with_seed(random.next_u64(), shared))
}
