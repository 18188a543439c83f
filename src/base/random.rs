//! Randomness from one 32-byte seed: ChaCha20, forked by label.
//!
//! The seed is a secret: ICE passwords, transaction ids and SSRCs follow from it. Two engines never
//! share one.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// A cryptographic generator (ChaCha20) whose output depends on its seed alone.
///
/// Holds a seed and a position instead of computed blocks, 40 bytes instead of 300: there are several
/// for each participant, and what they draw is rare.
#[derive(Clone)]
pub struct Random {
    seed: [u8; 32],
    /// In words of 32 bits; it never comes near the end.
    position: u64,
}

impl Random {
    /// The generator of a seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Random { seed, position: 0 }
    }

    /// A generator of its own for `label`: what one fork draws does not move another, and forking
    /// does not move this one.
    pub fn fork(&self, label: u64) -> Random {
        let mut child = ChaCha20Rng::from_seed(self.seed);
        // Streams of one ChaCha key are independent; stream 0 is this generator's own.
        child.set_stream(label.wrapping_add(1));
        let mut seed = [0; 32];
        child.fill_bytes(&mut seed);
        Random::new(seed)
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        let mut generator = ChaCha20Rng::from_seed(self.seed);
        generator.set_word_pos(self.position.into());
        generator.fill_bytes(out);
        self.position = self.position.wrapping_add(out.len().div_ceil(4) as u64);
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound` (0 if `bound` is 0); the bias is below `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 64 by 64 bit product is below `bound`, so it fits.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_are_independent_of_each_other_and_of_their_order() {
        let root = Random::new([7; 32]);
        let (mut a, mut b) = (root.fork(1), root.fork(2));
        let first = (a.next_u64(), b.next_u64());
        let (mut b, mut a) = (root.fork(2), root.fork(1));
        assert_eq!(first, (a.next_u64(), b.next_u64()));
        assert_ne!(first.0, first.1);
        assert_ne!(root.clone().next_u64(), first.0);
    }

    #[test]
    fn draws_continue_where_the_last_one_ended() {
        let mut reference = ChaCha20Rng::from_seed([3; 32]);
        let mut random = Random::new([3; 32]);
        for len in [4, 8, 12, 300, 4] {
            let (mut expected, mut drawn) = (vec![0; len], vec![0; len]);
            reference.fill_bytes(&mut expected);
            random.fill(&mut drawn);
            assert_eq!(drawn, expected);
        }
        assert_eq!((random.next_u32(), random.next_u64()), (reference.next_u32(), reference.next_u64()));
    }

    #[test]
    fn below_stays_below() {
        let mut random = Random::new([1; 32]);
        assert_eq!(random.below(0), 0);
        assert!((0..1_000).all(|_| random.below(3) < 3));
    }
}
