//! Departures by transport-wide number, until feedback has told what became of them.

use super::Sent;
use crate::base::time::Instant;

/// Departures that there is room for at first: a quarter of a second at 10 Mbit/s.
const LEAST: usize = 256;
/// And at most: what is under way at 50 Mbit/s in the three seconds of [`PATIENCE`].
const MOST: usize = 16_384;
/// Room is not made for the sake of what left longer ago than this, in microseconds: its report will not come. Less
/// long if something that left later was reported.
const PATIENCE: u64 = 3_000_000;
const PATIENCE_PASSED: u64 = 1_000_000;

/// What is known of a number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No packet had it.
    #[default]
    Skipped,
    UnderWay,
    Lost,
    Arrived,
}

/// Eight bytes, as a thousand of them are kept.
#[derive(Debug, Default, Clone, Copy)]
struct Departure {
    /// The lower bits of its microseconds: the ring never spans the 71 minutes after which they repeat.
    at: u32,
    size: u16,
    state: State,
}

/// What is known of a packet when it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Departed {
    /// When it left.
    pub(super) at: Instant,
    /// Its bytes on the wire.
    pub(super) size: u32,
    /// Whether it had been reported as lost before.
    pub(super) was_lost: bool,
}

/// Bytes of a ring at its largest, once more while it grows.
pub(crate) const BOUND: usize = MOST * size_of::<Departure>() * 3 / 2;

/// A ring of departures that grows with how many are under way.
#[derive(Debug, Default, Clone)]
pub(super) struct History {
    ring: Vec<Departure>,
    /// One past the highest number.
    end: u64,
    /// Numbers below are forgotten.
    first: u64,
    /// One past the highest number that was reported.
    reported: u64,
    /// When the last packet left.
    last: Instant,
}

impl History {
    /// Notes a departure. Numbers that do not ascend are not believed, and time does not go back.
    pub(super) fn push(&mut self, sent: Sent) {
        if self.ring.is_empty() {
            self.ring.resize(LEAST, Departure::default());
            (self.first, self.end) = (sent.number, sent.number);
        }
        if sent.number < self.end || sent.number == u64::MAX {
            return;
        }
        let at = sent.at.max(self.last);
        let skipped = (sent.number - self.end).min(self.ring.len() as u64);
        for number in sent.number - skipped..sent.number {
            self.make_room(number, at);
            self.set(number, Departure::default());
        }
        self.make_room(sent.number, at);
        self.last = at;
        let size = u16::try_from(sent.size).unwrap_or(u16::MAX);
        self.set(sent.number, Departure { at: at.as_micros() as u32, size, state: State::UnderWay });
        self.end = sent.number + 1;
    }

    /// Takes the report on a packet; `None` if it was never sent, is forgotten, or nothing new is said of it.
    pub(super) fn take(&mut self, number: u64, arrived: bool) -> Option<Departed> {
        if number < self.first || number >= self.end {
            return None;
        }
        let last = self.last.as_micros();
        let departure = *self.ring.get(self.place(number))?;
        let was_lost = departure.state == State::Lost;
        if departure.state != State::UnderWay && !(was_lost && arrived) {
            return None;
        }
        self.reported = self.reported.max(number + 1);
        let state = if arrived { State::Arrived } else { State::Lost };
        self.set(number, Departure { state, ..departure });
        let age = (last as u32).wrapping_sub(departure.at);
        let at = Instant::from_micros(last.saturating_sub(u64::from(age)));
        Some(Departed { at, size: u32::from(departure.size), was_lost })
    }

    /// One past the highest number that left.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// One past the highest number that was reported.
    pub(super) fn reported(&self) -> u64 {
        self.reported
    }

    /// The ring grows while what would be overwritten may still be reported; then the oldest are forgotten.
    fn make_room(&mut self, number: u64, now: Instant) {
        while number - self.first >= self.ring.len() as u64 {
            if self.ring.len() < MOST && self.is_first_awaited(now) {
                self.grow();
            } else {
                self.first = number + 1 - self.ring.len() as u64;
            }
        }
    }

    fn is_first_awaited(&self, now: Instant) -> bool {
        let Some(first) = self.ring.get(self.place(self.first)) else { return false };
        let age = u64::from((now.as_micros() as u32).wrapping_sub(first.at));
        let patience = if self.first < self.reported { PATIENCE_PASSED } else { PATIENCE };
        first.state == State::UnderWay && age < patience
    }

    fn grow(&mut self) {
        let mut ring = vec![Departure::default(); 2 * self.ring.len()];
        for number in self.first..self.end {
            let to = number as usize & (ring.len() - 1);
            if let (Some(to), Some(from)) = (ring.get_mut(to), self.ring.get(self.place(number))) {
                *to = *from;
            }
        }
        self.ring = ring;
    }

    /// The ring's length is a power of two.
    fn place(&self, number: u64) -> usize {
        number as usize & self.ring.len().saturating_sub(1)
    }

    fn set(&mut self, number: u64, departure: Departure) {
        let place = self.place(number);
        if let Some(place) = self.ring.get_mut(place) {
            *place = departure;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(numbers: impl Iterator<Item = u64>) -> History {
        let mut history = History::default();
        numbers.for_each(|number| history.push(sent(number, 10 * number)));
        history
    }

    fn sent(number: u64, ms: u64) -> Sent {
        Sent { at: Instant::from_millis(ms), number, size: 100 + number as usize % 100 }
    }

    #[test]
    fn a_packet_is_reported_once_or_as_lost_before_it_arrives() {
        let mut history = history(5..10);
        let departed = |was_lost| Departed { at: Instant::from_millis(70), size: 107, was_lost };
        assert_eq!(history.take(7, false), Some(departed(false)));
        assert_eq!(history.take(7, false), None);
        assert_eq!(history.take(7, true), Some(departed(true)));
        assert_eq!((history.take(7, true), history.take(7, false)), (None, None));
        assert_eq!((history.reported(), history.end()), (8, 10));
    }

    #[test]
    fn s_bwe_02_numbers_never_sent_skipped_or_forgotten_are_ignored() {
        let mut history = history((0..200).chain(205..2_000));
        for number in [2_000, u64::MAX, 202, 0, 1_000] {
            assert_eq!(history.take(number, true), None, "{number}");
        }
        assert!(history.take(1_999, true).is_some());
    }

    #[test]
    fn numbers_that_do_not_ascend_are_not_believed_and_time_does_not_go_back() {
        let mut history = history(10..20);
        history.push(sent(15, 900));
        history.push(Sent { number: u64::MAX, ..sent(20, 1_000) });
        assert_eq!(history.end(), 20);
        history.push(sent(20, 1));
        assert_eq!(history.take(20, true).map(|departed| departed.at), Some(Instant::from_millis(190)));
    }

    #[test]
    fn the_ring_grows_for_what_is_under_way_and_no_further() {
        let mut history = History::default();
        // 100 ms of 100,000 packets a second, then 4 s.
        (0..10_000).for_each(|number| history.push(sent(number, number / 100)));
        assert!(history.take(0, true).is_some());
        assert_eq!(history.ring.len(), MOST);
        (10_000..400_000).for_each(|number| history.push(sent(number, number / 100)));
        assert_eq!(history.ring.len(), MOST);
        assert!(history.take(400_000 - MOST as u64, true).is_some());
        assert!(history.take(400_000 - MOST as u64 - 1, true).is_none());
    }

    #[test]
    fn what_was_passed_over_by_reports_is_soon_forgotten() {
        let mut history = History::default();
        for number in 0..6_000 {
            // 600 packets a second of which a third is never reported.
            history.push(sent(number, number * 10 / 6));
            if number % 3 > 0 {
                history.take(number, true);
            }
        }
        assert_eq!(history.ring.len(), 1_024);
    }

    #[test]
    fn a_gap_wider_than_the_ring_leaves_only_what_is_behind_it() {
        let mut history = history(0..200);
        history.push(sent(1 << 40, 10_000));
        assert!(history.take(199, true).is_none() && history.take((1 << 40) - 1, true).is_none());
        assert!(history.take(1 << 40, true).is_some());
    }
}
