//! What left and was not reported yet, by transport-wide number.

use super::Sent;
use crate::base::time::Instant;

/// Departures that are remembered at first, and at most.
const LEAST: usize = 256;
const MOST: usize = 16_384;
/// What is older than this is no longer waited for, in microseconds.
const PATIENCE: u64 = 3_000_000;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No packet had this number.
    #[default]
    Skipped,
    UnderWay,
    Lost,
    Arrived,
}

/// Eight bytes, so that a thousand of them are little.
#[derive(Debug, Default, Clone, Copy)]
struct Departure {
    /// The lower bits of its microseconds.
    at: u32,
    size: u16,
    state: State,
}

/// What was known of a packet when it was reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departed {
    pub(super) at: Instant,
    pub(super) size: u32,
    /// It had been reported as lost.
    pub(super) lost: bool,
}

/// A ring of departures that grows with how many are under way.
#[derive(Debug, Default, Clone)]
pub(super) struct History {
    ring: Vec<Departure>,
    /// One past the highest number.
    end: u64,
    /// Numbers below are forgotten.
    first: u64,
    /// When the last one left.
    last: Instant,
}

impl History {
    pub(super) fn push(&mut self, sent: Sent) {
        if self.ring.is_empty() || sent.number < self.end {
            if sent.number < self.end {
                return;
            }
            (self.first, self.end) = (sent.number, sent.number);
            self.ring.resize(LEAST, Departure::default());
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

    /// Takes the report on a packet; `None` if it says nothing new (S-BWE-02).
    pub(super) fn take(&mut self, number: u64, arrived: bool) -> Option<Departed> {
        if number < self.first || number >= self.end {
            return None;
        }
        let last = self.last;
        let departure = self.get_mut(number)?;
        let lost = departure.state == State::Lost;
        let news = departure.state == State::UnderWay || (lost && arrived);
        if !news {
            return None;
        }
        departure.state = if arrived { State::Arrived } else { State::Lost };
        let age = (last.as_micros() as u32).wrapping_sub(departure.at);
        let at = Instant::from_micros(last.as_micros().saturating_sub(u64::from(age)));
        Some(Departed { at, size: u32::from(departure.size), lost })
    }

    /// One past the highest number that left.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether a number was never used although higher ones were.
    pub(super) fn is_skipped(&self, number: u64) -> bool {
        let inside = self.first <= number && number < self.end;
        inside && self.ring.get(self.at(number)).is_some_and(|one| one.state == State::Skipped)
    }

    /// What is overwritten was waited for long enough, or the ring grows.
    fn make_room(&mut self, number: u64, now: Instant) {
        let len = self.ring.len();
        if number - self.first < len as u64 {
            return;
        }
        let oldest = self.ring.get(self.at(self.first)).copied().unwrap_or_default();
        let age = u64::from((now.as_micros() as u32).wrapping_sub(oldest.at));
        if oldest.state == State::UnderWay && age < PATIENCE && len < MOST {
            let mut ring = vec![Departure::default(); 2 * len];
            for number in self.first..self.end {
                let to = (number % (2 * len as u64)) as usize;
                if let (Some(to), Some(from)) = (ring.get_mut(to), self.ring.get(self.at(number))) {
                    *to = *from;
                }
            }
            self.ring = ring;
        } else {
            self.first = number + 1 - len as u64;
        }
    }

    fn at(&self, number: u64) -> usize {
        (number % self.ring.len().max(1) as u64) as usize
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut Departure> {
        let at = self.at(number);
        self.ring.get_mut(at)
    }

    fn set(&mut self, number: u64, departure: Departure) {
        if let Some(place) = self.get_mut(number) {
            *place = departure;
        }
    }
}
