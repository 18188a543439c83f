//! Departures by transport-wide number, until feedback has told what became of them.

use super::Sent;
use crate::base::time::Instant;

/// Departures that there is room for at first: a quarter of a second at 10 Mbit/s.
const LEAST: usize = 256;
/// And at most: more than is under way at 50 Mbit/s in the three seconds of [`PATIENCE`].
const MOST: usize = 16_384;
/// Room is not made for the sake of what left longer ago than this, in microseconds: its report will not come.
const PATIENCE: u64 = 3_000_000;

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

/// A ring of departures that grows with how many are under way.
#[derive(Debug, Default, Clone)]
pub(super) struct History {
    ring: Vec<Departure>,
    /// One past the highest number.
    end: u64,
    /// Numbers below are forgotten.
    first: u64,
    /// When the last packet left.
    last: Instant,
}

impl History {
    /// Notes a departure. Numbers that do not ascend are not believed.
    pub(super) fn push(&mut self, sent: Sent) {
        if self.ring.is_empty() {
            self.ring.resize(LEAST, Departure::default());
            (self.first, self.end) = (sent.number, sent.number);
        }
        if sent.number < self.end || sent.number == u64::MAX {
            return;
        }
        let skipped = (sent.number - self.end).min(self.ring.len() as u64);
        for number in sent.number - skipped..sent.number {
            self.make_room(number, sent.at);
            self.set(number, Departure::default());
        }
        self.make_room(sent.number, sent.at);
        self.last = sent.at;
        let size = u16::try_from(sent.size).unwrap_or(u16::MAX);
        self.set(sent.number, Departure { at: sent.at.as_micros() as u32, size, state: State::UnderWay });
        self.end = sent.number + 1;
    }

    /// Takes the report on a packet; `None` if it was never sent, is forgotten, or nothing new is said of it.
    pub(super) fn take(&mut self, number: u64, arrived: bool) -> Option<Departed> {
        if number < self.first || number >= self.end {
            return None;
        }
        let last = self.last.as_micros();
        let departure = self.get_mut(number)?;
        let was_lost = departure.state == State::Lost;
        if departure.state != State::UnderWay && !(was_lost && arrived) {
            return None;
        }
        departure.state = if arrived { State::Arrived } else { State::Lost };
        let age = (last as u32).wrapping_sub(departure.at);
        let at = Instant::from_micros(last.saturating_sub(u64::from(age)));
        Some(Departed { at, size: u32::from(departure.size), was_lost })
    }

    /// One past the highest number that left.
    pub(super) fn end(&self) -> u64 {
        self.end
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
        first.state == State::UnderWay && age < PATIENCE
    }

    fn grow(&mut self) {
        let mut ring = vec![Departure::default(); 2 * self.ring.len()];
        for number in self.first..self.end {
            let to = (number % ring.len() as u64) as usize;
            if let (Some(to), Some(from)) = (ring.get_mut(to), self.ring.get(self.place(number))) {
                *to = *from;
            }
        }
        self.ring = ring;
    }

    fn place(&self, number: u64) -> usize {
        (number % self.ring.len().max(1) as u64) as usize
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Departure> {
        let place = self.place(number);
        self.ring.get_mut(place)
    }

    fn set(&mut self, number: u64, departure: Departure) {
        if let Some(place) = self.get_mut(number) {
            *place = departure;
        }
    }
}
