//! Which numbers of a stream have come, be it as themselves or as a retransmission.
//!
//! SRTP's replay window guards each SSRC; a packet may still come twice, once as itself and once in a
//! retransmission stream. What passed here is forwarded once, so no number of ours is used for two
//! datagrams (I-10).

use crate::base::limits;
use crate::wire::rtp::SeqNo;

const WORDS: usize = limits::HISTORY_PACKETS / 64;

/// A window of numbers behind the highest one.
#[derive(Debug, Hash)]
pub(crate) struct Seen {
    words: Box<[u64; WORDS]>,
    highest: u64,
}

impl Seen {
    /// The window after the stream's first packet.
    pub(crate) fn new(first: SeqNo) -> Self {
        Seen { words: Box::new([0; WORDS]), highest: first.0 }
    }

    /// True once for each number within the window; a number behind it is as good as seen.
    pub(crate) fn insert(&mut self, seq: SeqNo) -> bool {
        let span = limits::HISTORY_PACKETS as u64;
        if seq.0 > self.highest {
            if seq.0 - self.highest >= span {
                self.words.fill(0);
            } else {
                (self.highest + 1..=seq.0).for_each(|seq| {
                    let (word, bit) = place(seq);
                    if let Some(word) = self.words.get_mut(word) {
                        *word &= !bit;
                    }
                });
            }
            self.highest = seq.0;
        } else if self.highest - seq.0 >= span {
            return false;
        }
        let (word, bit) = place(seq.0);
        let Some(word) = self.words.get_mut(word) else {
            return false;
        };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// Where a number's bit stands: the window is a ring.
fn place(seq: u64) -> (usize, u64) {
    ((seq / 64) as usize % WORDS, 1 << (seq % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn each_number_passes_once_and_only_within_the_window(
            steps in proptest::collection::vec(0u64..5_000, 1..400),
        ) {
            let base = 10_000;
            let (mut seen, mut model, mut highest) = (Seen::new(SeqNo(base)), HashSet::new(), base);
            for step in steps {
                let seq = base + step;
                highest = highest.max(seq);
                let expected = highest - seq < limits::HISTORY_PACKETS as u64 && model.insert(seq);
                prop_assert_eq!(seen.insert(SeqNo(seq)), expected);
            }
        }
    }
}
