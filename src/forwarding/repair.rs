//! The missing packets of one stream: when each is asked for again (generic NACK, RFC 4585, section
//! 6.2.1).

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::wire::rtp::SeqNo;

#[derive(Debug, Clone, Copy, Hash)]
struct Gap {
    seq: u64,
    due: Instant,
    tries: u8,
}

/// What a packet's arrival means for the stream's continuity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// In order, reordered or repaired.
    Continuous,
    /// More is missing than can be asked for: only a key frame mends the stream (S-RTP-07).
    Broken,
}

/// The packets that a stream lacks, in the order of their numbers.
#[derive(Debug, Default, Hash)]
pub(crate) struct Missing {
    gaps: Vec<Gap>,
}

impl Missing {
    /// Notes that `seq` came while `highest` was the highest so far.
    pub(crate) fn on_packet(&mut self, now: Instant, seq: SeqNo, highest: SeqNo) -> Arrival {
        if seq.0 <= highest.0 {
            if let Ok(at) = self.gaps.binary_search_by_key(&seq.0, |gap| gap.seq) {
                self.gaps.remove(at);
            }
            return Arrival::Continuous;
        }
        let missing = (seq.0 - highest.0 - 1) as usize;
        if missing == 0 {
            return Arrival::Continuous;
        }
        if self.gaps.len().saturating_add(missing) > limits::MISSING_PACKETS {
            self.gaps.clear();
            return Arrival::Broken;
        }
        let due = now + limits::NACK_REORDERING;
        self.gaps.extend((highest.0 + 1..seq.0).map(|seq| Gap { seq, due, tries: 0 }));
        Arrival::Continuous
    }

    /// When the next request is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.gaps.iter().map(|gap| gap.due).min()
    }

    /// Calls `ask` for each number that is due, and forgets those that were asked for too often. Stops early
    /// when `ask` refuses (no room).
    pub(crate) fn take_due(&mut self, now: Instant, rtt: Duration, mut ask: impl FnMut(SeqNo) -> bool) {
        for gap in self.gaps.iter_mut().filter(|gap| gap.due <= now) {
            if gap.tries < limits::NACK_TRIES && !ask(SeqNo(gap.seq)) {
                break;
            }
            gap.due = now + wait(rtt, gap.tries);
            gap.tries += 1;
        }
        self.gaps.retain(|gap| gap.tries <= limits::NACK_TRIES);
    }

    /// Numbers currently missed.
    pub(crate) fn len(&self) -> usize {
        self.gaps.len()
    }
}

/// From a request to the next one for the same packet: the answer's way, and a quarter longer each time, for who does
/// not answer is busy or behind a full queue.
fn wait(rtt: Duration, tries: u8) -> Duration {
    (0..tries).fold(rtt.max(limits::NACK_SPACING), |wait, _| wait + wait / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    fn asked(missing: &mut Missing, at: u64) -> Vec<u64> {
        let mut seqs = Vec::new();
        missing.take_due(Instant::from_millis(at), RTT, |seq| {
            seqs.push(seq.0);
            true
        });
        seqs
    }

    #[test]
    fn a_gap_is_asked_for_after_the_reordering_time_and_again_when_the_answer_is_late() {
        let mut missing = Missing::default();
        missing.on_packet(Instant::from_millis(0), SeqNo(13), SeqNo(10));
        assert_eq!(missing.deadline(), Some(Instant::from_millis(10)));
        assert!(asked(&mut missing, 9).is_empty());
        assert_eq!(asked(&mut missing, 10), [11, 12]);
        assert!(asked(&mut missing, 59).is_empty());
        missing.on_packet(Instant::from_millis(59), SeqNo(11), SeqNo(13));
        assert_eq!(asked(&mut missing, 60), [12]);
    }

    /// Milliseconds from one request to the next, of a packet that never comes.
    fn waits(rtt: Duration) -> Vec<u64> {
        let mut missing = Missing::default();
        missing.on_packet(Instant::ZERO, SeqNo(2), SeqNo(0));
        let mut at = Vec::new();
        while let Some(due) = missing.deadline() {
            missing.take_due(due, rtt, |_| {
                at.push(due);
                true
            });
        }
        at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() as u64).collect()
    }

    #[test]
    fn requests_keep_their_distance_and_it_grows() {
        let least = limits::NACK_SPACING.as_millis() as u64;
        for (rtt, first) in [(0, least), (5, least), (100, 100)] {
            let waits = waits(Duration::from_millis(rtt));
            assert_eq!((waits.len() + 1, waits[0]), (usize::from(limits::NACK_TRIES), first));
            assert!(waits.windows(2).all(|pair| pair[1] * 5 >= pair[0] * 6), "{waits:?}");
        }
        let whole = waits(limits::MIN_RTT).into_iter().sum::<u64>();
        assert!((400..=limits::HISTORY_AGE.as_millis() as u64).contains(&whole), "{whole} ms");
    }

    #[test]
    fn s_rtp_07_tries_and_list_are_bounded() {
        let mut missing = Missing::default();
        missing.on_packet(Instant::ZERO, SeqNo(2), SeqNo(0));
        let tries: usize = (0..100).map(|n| asked(&mut missing, 1_000 * n).len()).sum();
        assert_eq!((tries, missing.len()), (usize::from(limits::NACK_TRIES), 0));
        let limit = limits::MISSING_PACKETS as u64;
        assert_eq!(missing.on_packet(Instant::ZERO, SeqNo(limit + 3), SeqNo(2)), Arrival::Continuous);
        assert_eq!(missing.len(), limits::MISSING_PACKETS);
        assert_eq!(missing.on_packet(Instant::ZERO, SeqNo(limit + 5), SeqNo(limit + 3)), Arrival::Broken);
        assert_eq!(missing.len(), 0);
    }
}
