//! Gaps in a bottleneck's service, as radio has them: packets wait for the next turn and come together.

use std::time::Duration;

use serde::Deserialize;

use super::draws::Draws;
use super::reading;

/// Gaps that begin and last as drawn. A packet in service goes through; the next waits for the gap's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaps {
    /// From the beginning of a gap to the next one's: least and greatest, drawn evenly.
    #[serde(rename = "every_ms", deserialize_with = "reading::millis_between")]
    pub every: (Duration, Duration),
    /// How long a gap lasts: least and greatest, drawn evenly.
    #[serde(rename = "lasts_ms", deserialize_with = "reading::millis_between")]
    pub lasts: (Duration, Duration),
}

impl Gaps {
    /// The share of time outside gaps.
    pub fn open(&self) -> f64 {
        let sum = |(low, high): (Duration, Duration)| (low + high).as_secs_f64();
        1.0 - sum(self.lasts) / sum(self.every)
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        let ascend = self.every.0 <= self.every.1 && self.lasts.0 <= self.lasts.1;
        (!ascend || self.lasts.1 >= self.every.0).then_some("gaps end before the next: least, greatest")
    }
}

/// When the gaps are.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    gaps: Gaps,
    draws: Draws,
    /// The end of the last gap begun, and the beginning of the next, in nanoseconds.
    end: u64,
    next: u64,
}

impl Turns {
    pub(super) fn new(gaps: Gaps, mut draws: Draws) -> Self {
        let next = draw(&mut draws, gaps.every);
        Turns { gaps, draws, end: 0, next }
    }

    /// The end of the gap that is on at a nanosecond; moments ascend.
    pub(super) fn closed_until(&mut self, at: u64) -> Option<u64> {
        while self.next <= at {
            self.end = self.next + draw(&mut self.draws, self.gaps.lasts);
            // Where every gap is at once, each still takes a nanosecond.
            self.next += draw(&mut self.draws, self.gaps.every).max(1);
        }
        (at < self.end).then_some(self.end)
    }
}

fn draw(draws: &mut Draws, (low, high): (Duration, Duration)) -> u64 {
    let span = high.saturating_sub(low).as_nanos() as f64;
    low.as_nanos() as u64 + (span * draws.uniform()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    const MILLI: u64 = 1_000_000;

    fn gaps(every: (u64, u64), lasts: (u64, u64)) -> Gaps {
        let millis = |(low, high)| (Duration::from_millis(low), Duration::from_millis(high));
        Gaps { every: millis(every), lasts: millis(lasts) }
    }

    #[test]
    fn gaps_come_and_last_as_they_say() {
        let mut turns = Turns::new(gaps((20, 20), (5, 5)), Draws::new(Random::new([2; 32])));
        let closed: Vec<_> = (0..60).filter(|at| turns.closed_until(at * MILLI).is_some()).collect();
        assert_eq!(closed, [20, 21, 22, 23, 24, 40, 41, 42, 43, 44]);
        assert_eq!(turns.closed_until(62 * MILLI), Some(65 * MILLI));
    }

    #[test]
    fn the_share_of_open_time_is_what_is_drawn() {
        let gaps = gaps((20, 60), (2, 18));
        assert!((gaps.open() - 0.75).abs() < 1e-9);
        let mut turns = Turns::new(gaps, Draws::new(Random::new([2; 32])));
        let open = (0..200_000).filter(|at| turns.closed_until(at * MILLI / 2).is_none()).count();
        assert!((open as f64 / 200_000.0 - 0.75).abs() < 0.01, "{open}");
    }

    #[test]
    fn gaps_that_meet_are_refused() {
        assert_eq!(gaps((20, 60), (2, 18)).fault(), None);
        for wrong in
            [gaps((20, 60), (2, 20)), gaps((60, 20), (2, 4)), gaps((20, 60), (4, 2)), gaps((0, 0), (0, 0))]
        {
            assert!(wrong.fault().is_some(), "{wrong:?}");
        }
    }
}
