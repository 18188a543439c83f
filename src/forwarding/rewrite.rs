//! How the numbers of a source become those of one subscription: one SSRC whose sequence numbers
//! have gaps only where the source has gaps, whatever happens upstream.
//!
//! Every number that leaves is used for one packet only (I-10): the mapping is a translation that
//! changes at a boundary, and the side of the boundary is decided by the source's number.

use crate::wire::rtp::SeqNo;

/// The mapping of one subscription, small enough to stand in the fan-out list itself.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Rewriter {
    /// First number of the subscription that this mapping may give; below it nothing is sent.
    floor: u64,
    /// Source numbers from `boundary` on are moved by `delta`, those from `earliest` to there by
    /// `delta_before`; what is older still has lost its mapping.
    earliest: u64,
    boundary: u64,
    delta: u64,
    delta_before: u64,
    /// The highest number given out.
    highest: u64,
    timestamp_delta: u32,
    started: bool,
}

impl Rewriter {
    /// A mapping whose first packet gets the number `first` and whose timestamps are moved by
    /// `timestamp_delta`.
    pub(crate) fn new(first: SeqNo, timestamp_delta: u32) -> Self {
        Rewriter {
            floor: first.0,
            earliest: 0,
            boundary: 0,
            delta: 0,
            delta_before: 0,
            highest: first.0.wrapping_sub(1),
            timestamp_delta,
            started: false,
        }
    }

    /// The number of the packet that has `seq` at the source; `None` for a packet from before the
    /// subscription began (or before the last [`Self::restart`]).
    #[inline]
    pub(crate) fn map(&mut self, seq: SeqNo) -> Option<SeqNo> {
        if !self.started {
            self.start(seq);
        }
        let delta = if seq.0 >= self.boundary { self.delta } else { self.delta_before };
        let out = seq.0.wrapping_add(delta);
        // A source number below the first one wraps below the floor, or far above any sane number.
        if seq.0 < self.earliest || out < self.floor || out > self.highest.wrapping_add(1 << 32) {
            return None;
        }
        self.highest = self.highest.max(out);
        Some(SeqNo(out))
    }

    /// The source's number behind a number of this subscription, for its NACKs.
    pub(crate) fn unmap(&self, out: SeqNo) -> Option<SeqNo> {
        if !self.started || out.0 < self.floor || out.0 > self.highest {
            return None;
        }
        let seq = out.0.wrapping_sub(self.delta);
        if seq >= self.boundary {
            return Some(SeqNo(seq));
        }
        let seq = out.0.wrapping_sub(self.delta_before);
        (self.earliest..self.boundary).contains(&seq).then_some(SeqNo(seq))
    }

    /// Leaves out the packet `seq` without leaving a gap, if it is the next one. False when its
    /// number has to be filled because its successors were sent already.
    pub(crate) fn absorb(&mut self, seq: SeqNo) -> bool {
        if !self.started {
            return true;
        }
        if seq.0.wrapping_add(self.delta) != self.highest.wrapping_add(1) {
            return false;
        }
        if seq.0 != self.boundary {
            self.earliest = self.boundary;
            self.delta_before = self.delta;
        }
        self.boundary = seq.0.wrapping_add(1);
        self.delta = self.delta.wrapping_sub(1);
        true
    }

    /// Goes on without a gap at the next packet, whatever its number: the source has a new stream.
    /// `timestamp_shift` is added to all timestamps from here on.
    pub(crate) fn restart(&mut self, timestamp_shift: u32) {
        self.floor = self.highest.wrapping_add(1);
        self.started = false;
        self.timestamp_delta = self.timestamp_delta.wrapping_add(timestamp_shift);
    }

    /// The subscription's timestamp for one of the source.
    #[inline]
    pub(crate) fn timestamp(&self, timestamp: u32) -> u32 {
        timestamp.wrapping_add(self.timestamp_delta)
    }

    /// The highest number given out so far.
    pub(crate) fn highest(&self) -> SeqNo {
        SeqNo(self.highest)
    }

    fn start(&mut self, seq: SeqNo) {
        self.started = true;
        self.delta = self.floor.wrapping_sub(seq.0);
        self.delta_before = self.delta;
        self.earliest = seq.0;
        self.boundary = seq.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    #[test]
    fn gaps_and_reordering_of_the_source_show_unchanged() {
        let mut rewriter = Rewriter::new(SeqNo(100), 0);
        let out: Vec<_> = [50, 51, 54, 53].map(|seq| rewriter.map(SeqNo(seq)).map(|seq| seq.0)).into();
        assert_eq!(out, [Some(100), Some(101), Some(104), Some(103)]);
        assert_eq!(rewriter.map(SeqNo(49)), None, "before the subscription began");
        assert_eq!(rewriter.unmap(SeqNo(103)), Some(SeqNo(53)));
    }

    #[test]
    fn an_absorbed_packet_leaves_no_gap_and_late_ones_keep_their_place() {
        let mut rewriter = Rewriter::new(SeqNo(100), 0);
        rewriter.map(SeqNo(50));
        rewriter.map(SeqNo(52));
        rewriter.absorb(SeqNo(53));
        assert_eq!(rewriter.map(SeqNo(54)), Some(SeqNo(103)));
        assert_eq!(rewriter.map(SeqNo(51)), Some(SeqNo(101)));
        assert_eq!(rewriter.unmap(SeqNo(101)), Some(SeqNo(51)));
        assert_eq!(rewriter.unmap(SeqNo(103)), Some(SeqNo(54)));
    }

    #[test]
    fn a_new_stream_continues_where_the_old_one_ended() {
        let mut rewriter = Rewriter::new(SeqNo(100), 5);
        rewriter.map(SeqNo(7_000));
        rewriter.restart(1_000);
        assert_eq!(rewriter.map(SeqNo(3)), Some(SeqNo(101)));
        assert_eq!(rewriter.map(SeqNo(2)), None);
        assert_eq!(rewriter.timestamp(1), 1_006);
    }

    proptest! {
        /// I-10 and the inverse: over loss, reordering, absorbed packets and new streams no number
        /// is given twice, and what was given last names its source packet.
        #[test]
        fn i_10_no_number_is_given_to_two_packets(
            steps in proptest::collection::vec((0u64..40, 0u8..20), 1..300),
        ) {
            let mut rewriter = Rewriter::new(SeqNo(30_000), 0);
            let mut base = 1_000u64;
            let (mut seen, mut given) = (HashSet::new(), HashSet::new());
            let mut since_restart = HashMap::new();
            for (jump, action) in steps {
                let seq = base + jump;
                if action == 0 {
                    rewriter.restart(0);
                    base += 100_000;
                    since_restart.clear();
                } else if !seen.insert(seq) {
                    continue; // the replay window lets no number pass twice
                } else if action == 1 {
                    if !rewriter.absorb(SeqNo(seq)) && let Some(out) = rewriter.map(SeqNo(seq)) {
                        prop_assert!(given.insert(out), "{out:?} was given before");
                    }
                } else if let Some(out) = rewriter.map(SeqNo(seq)) {
                    prop_assert!(given.insert(out), "{out:?} was given before");
                    since_restart.insert(out, seq);
                    base += jump / 4;
                }
                prop_assert!(rewriter.highest().0 < 30_000 + 100_000);
            }
        }
    }
}
