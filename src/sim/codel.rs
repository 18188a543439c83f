//! Controlled delay (RFC 8289), with its target of 5 ms and its interval of 100 ms.

use super::queue::{Fifo, Waiting};

const TARGET: u64 = 5_000_000;
const INTERVAL: u64 = 100_000_000;
/// A queue of no more than this is none.
const LARGEST_PACKET: usize = 1_500;

/// The state of RFC 8289, section 5; moments in nanoseconds.
#[derive(Debug, Default, Clone)]
pub(super) struct Codel {
    /// When the delay has been above target for an interval; `None` while it is below.
    above_until: Option<u64>,
    next_drop: u64,
    count: u64,
    count_before: u64,
    dropping: bool,
}

impl Codel {
    /// The next packet to be served; those that are dropped on the way go to `dropped`.
    pub(super) fn dequeue(
        &mut self,
        now: u64,
        fifo: &mut Fifo,
        mut dropped: impl FnMut(Waiting),
    ) -> Option<Waiting> {
        let (mut next, mut may_drop) = self.head(now, fifo);
        if self.dropping {
            self.dropping = may_drop;
            while self.dropping && now >= self.next_drop {
                next.into_iter().for_each(&mut dropped);
                self.count += 1;
                (next, may_drop) = self.head(now, fifo);
                self.dropping = may_drop;
                if may_drop {
                    self.next_drop = control_law(self.next_drop, self.count);
                }
            }
        } else if may_drop {
            next.into_iter().for_each(&mut dropped);
            (next, _) = self.head(now, fifo);
            self.start_dropping(now);
        }
        next
    }

    /// Begins near the rate that held the queue the last time, if that is not long ago.
    fn start_dropping(&mut self, now: u64) {
        self.dropping = true;
        let delta = self.count - self.count_before;
        let recent = now.saturating_sub(self.next_drop) < 16 * INTERVAL;
        self.count = if delta > 1 && recent { delta } else { 1 };
        self.next_drop = control_law(now, self.count);
        self.count_before = self.count;
    }

    /// The head of the queue, and whether the delay has been above target for a whole interval.
    fn head(&mut self, now: u64, fifo: &mut Fifo) -> (Option<Waiting>, bool) {
        let Some(next) = fifo.pop() else {
            self.above_until = None;
            return (None, false);
        };
        if now - next.since < TARGET || fifo.bytes() <= LARGEST_PACKET {
            self.above_until = None;
            return (Some(next), false);
        }
        let until = *self.above_until.get_or_insert(now + INTERVAL);
        (Some(next), now >= until)
    }
}

fn control_law(from: u64, count: u64) -> u64 {
    // Division and root are exact to the last bit everywhere.
    from + (INTERVAL as f64 / (count as f64).sqrt()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Packet;

    const MILLI: u64 = 1_000_000;

    /// Serves a packet of 1,000 bytes each millisecond from a queue that is `delay` ms long until `end` ms, and
    /// answers at which milliseconds packets were dropped.
    fn drops(codel: &mut Codel, delay: u64, from: u64, end: u64) -> Vec<u64> {
        let mut found = Vec::new();
        for now in from..end {
            // A queue in which every packet has waited as long.
            let mut fifo = Fifo::default();
            for id in 0..50 {
                fifo.push(Waiting {
                    packet: Packet { id, lane: 0, size: 1_000, ect: false },
                    since: (now - delay) * MILLI,
                });
            }
            codel.dequeue(now * MILLI, &mut fifo, |_| found.push(now));
        }
        found
    }

    #[test]
    fn drops_begin_after_an_interval_above_target_and_come_faster() {
        // 100 ms above target, then 100/sqrt(n) ms between drops: 100, 70.7, 57.7, 50, ...
        let found = drops(&mut Codel::default(), 6, 1_000, 1_500);
        assert_eq!(found, [1_100, 1_200, 1_271, 1_329, 1_379, 1_424, 1_464]);
    }

    #[test]
    fn nothing_is_dropped_below_target() {
        assert!(drops(&mut Codel::default(), 4, 1_000, 3_000).is_empty());
    }

    #[test]
    fn a_soon_return_goes_on_near_the_last_rate() {
        let mut codel = Codel::default();
        assert_eq!(drops(&mut codel, 6, 1_000, 1_500).len(), 7);
        assert!(drops(&mut codel, 4, 1_500, 1_600).is_empty());
        // Seven drops less the one at which the last cycle began: spaced by 100/sqrt(6) = 40.8 ms.
        assert_eq!(drops(&mut codel, 6, 1_600, 1_750), [1_700, 1_741]);
    }

    #[test]
    fn a_queue_of_one_packet_is_never_dropped() {
        let mut codel = Codel::default();
        for now in 100..400 {
            let mut fifo = Fifo::default();
            fifo.push(Waiting { packet: Packet { id: 0, lane: 0, size: 1_500, ect: false }, since: 0 });
            let next = codel.dequeue(now * MILLI, &mut fifo, |_| panic!("dropped at {now}"));
            assert!(next.is_some());
        }
    }
}
