//! What arrived of one publisher's transport-wide sequence, for its feedback
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use crate::base::limits;
use crate::base::time::Instant;

/// Arrival times of the latest transport-wide numbers. Numbers are extended here from their 16 bits.
#[derive(Debug, Default, Hash)]
pub(crate) struct Arrivals {
    /// `times[n % len]` is the arrival of number `n` in microseconds plus one; zero is "not come".
    times: Vec<u64>,
    /// The first number not yet reported.
    next: u64,
    /// One past the highest number that came; zero is "none yet".
    end: u64,
    count: u8,
}

const LEN: u64 = limits::ARRIVALS as u64;

impl Arrivals {
    /// Notes the arrival of the packet with transport-wide number `wire`.
    pub(crate) fn on_packet(&mut self, now: Instant, wire: u16) {
        if self.end == 0 {
            // Started one wrap up, so that reordering before the first packet has numbers below.
            let first = (1 << 16) + u64::from(wire);
            self.times.resize(limits::ARRIVALS, 0);
            (self.next, self.end) = (first, first);
        }
        let seq = self.extend(wire);
        if seq >= self.end {
            // Whoever skips more than there is room for starts anew.
            for missed in self.end.max(seq.saturating_sub(LEN - 1))..seq {
                self.set(missed, 0);
            }
            self.end = seq + 1;
            self.next = self.next.max(self.end.saturating_sub(LEN));
        } else if seq + LEN < self.end {
            return;
        } else if seq < self.next {
            // It was reported as missing: the next feedback begins with it.
            self.next = seq;
        }
        self.set(seq, now.as_micros().saturating_add(1));
    }

    fn extend(&self, wire: u16) -> u64 {
        let highest = self.end.saturating_sub(1);
        let ahead = wire.wrapping_sub(highest as u16).cast_signed();
        highest.saturating_add_signed(i64::from(ahead))
    }

    fn set(&mut self, seq: u64, value: u64) {
        if let Some(time) = self.times.get_mut((seq % LEN) as usize) {
            *time = value;
        }
    }

    /// Whether there is anything to report.
    pub(crate) fn pending(&self) -> bool {
        self.next < self.end
    }

    /// The first number to report, and for each from there its arrival.
    pub(crate) fn report(&self) -> (u16, impl Iterator<Item = Option<Instant>> + Clone) {
        let times = (self.next..self.end).map(|seq| {
            self.times
                .get((seq % LEN) as usize)
                .and_then(|time| time.checked_sub(1))
                .map(Instant::from_micros)
        });
        (self.next as u16, times)
    }

    /// The number of this feedback; counts up with each.
    pub(crate) fn take_count(&mut self) -> u8 {
        let count = self.count;
        self.count = count.wrapping_add(1);
        count
    }

    /// Notes that the first `statuses` numbers were reported.
    pub(crate) fn reported(&mut self, statuses: usize) {
        self.next = (self.next + statuses as u64).min(self.end);
    }

    #[cfg(test)]
    fn all(&self) -> (u16, Vec<Option<u64>>) {
        let (first, times) = self.report();
        (first, times.map(|time| time.map(Instant::as_micros)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn losses_show_as_gaps_and_each_number_is_reported_once() {
        let mut arrivals = Arrivals::default();
        for wire in [65_534, 65_535, 1] {
            arrivals.on_packet(at(u64::from(wire)), wire);
        }
        assert_eq!(arrivals.all(), (65_534, vec![Some(65_534), Some(65_535), None, Some(1)]));
        arrivals.reported(4);
        assert!(!arrivals.pending());
        arrivals.on_packet(at(9), 2);
        assert_eq!(arrivals.all(), (2, vec![Some(9)]));
    }

    #[test]
    fn a_late_packet_is_reported_after_all() {
        let mut arrivals = Arrivals::default();
        arrivals.on_packet(at(1), 10);
        arrivals.on_packet(at(2), 12);
        arrivals.reported(3);
        arrivals.on_packet(at(3), 11);
        assert_eq!(arrivals.all(), (11, vec![Some(3), Some(2)]));
    }

    #[test]
    fn a_leap_keeps_memory_and_report_bounded() {
        let mut arrivals = Arrivals::default();
        arrivals.on_packet(at(1), 0);
        arrivals.on_packet(at(2), 30_000);
        let (first, statuses) = arrivals.all();
        assert_eq!((statuses.len(), usize::from(first)), (limits::ARRIVALS, 30_001 - limits::ARRIVALS));
        assert_eq!(statuses.iter().flatten().count(), 1);
        arrivals.on_packet(at(3), 5);
        assert_eq!(arrivals.all().1.len(), limits::ARRIVALS, "too old to be reported");
    }
}
