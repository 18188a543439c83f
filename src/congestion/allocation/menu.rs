//! What one stream can get: nothing, or one of its layers, each with a rate and a value.

use crate::base::limits;

/// Nothing, and each layer.
pub(super) const LEVELS: usize = limits::RUNGS + 1;

/// What one stream can get, from nothing, level 0, on. Rates and values grow with the level.
#[derive(Debug, Clone)]
pub(super) struct Menu {
    /// The level that the last choice gave it.
    pub(super) chosen: u8,
    /// The lowest and the highest level that may be chosen.
    bottom: u8,
    cap: u8,
    /// The highest level that there is.
    top: u8,
    /// The corner that was last the best at some price.
    corner: u8,
    /// The outline is not that of these levels.
    stale: bool,
    levels: [Level; LEVELS],
    /// The corners of the concave outline of what may be chosen: nothing else is ever the best at any price.
    corners: [u8; LEVELS],
    /// Value for each bit on the way from a corner to the next one; zero behind the last.
    slopes: [f64; LEVELS],
}

/// One level of a stream.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    /// Bits in a second: at most [`MOST_RATE`].
    pub(super) rate: u32,
    /// At most 2^21.
    pub(super) value: u32,
}

/// What a layer's rate counts as at most, so that products of sums over all streams stay within 63 bits: 134 Mbit/s,
/// more than a participant may publish ([`limits::PUBLISH_BITRATE`]).
pub(super) const MOST_RATE: u32 = 1 << 27;

/// The way from one level to another, or the sum of all streams' levels.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) rate: i64,
    pub(super) value: i64,
}

impl Level {
    pub(super) fn above(self, other: Level) -> Step {
        let difference = |a: u32, b: u32| i64::from(a) - i64::from(b);
        Step { rate: difference(self.rate, other.rate), value: difference(self.value, other.value) }
    }
}

impl Step {
    pub(super) fn plus(self, level: Level) -> Step {
        Step { rate: self.rate + i64::from(level.rate), value: self.value + i64::from(level.value) }
    }

    pub(super) fn minus(self, other: Step) -> Step {
        Step { rate: self.rate - other.rate, value: self.value - other.value }
    }

    /// What this step costs more than it brings where rate has a price, `price.value` for `price.rate` bits; in
    /// the unit of their products.
    pub(super) fn regret(self, price: Step) -> i64 {
        price.value * self.rate - price.rate * self.value
    }

    /// Value for each bit.
    pub(super) fn slope(self) -> f64 {
        self.value as f64 / self.rate as f64
    }
}

impl Default for Menu {
    fn default() -> Self {
        let (levels, slopes) = ([Level::default(); LEVELS], [0.0; LEVELS]);
        Menu {
            chosen: 0,
            bottom: 0,
            cap: 0,
            top: 0,
            corner: 0,
            stale: true,
            levels,
            corners: [0; LEVELS],
            slopes,
        }
    }
}

impl Menu {
    /// Takes the levels above nothing; to be followed by [`limit`](Self::limit).
    pub(super) fn set(&mut self, levels: impl Iterator<Item = Level>) {
        (self.top, self.stale) = (0, true);
        for (slot, level) in self.levels.iter_mut().skip(1).zip(levels) {
            *slot = level;
            self.top += 1;
        }
    }

    /// Says which levels may be chosen, the lowest and the highest.
    pub(super) fn limit(&mut self, bottom: u8, cap: u8) {
        if self.stale || (self.bottom, self.cap) != (bottom, cap) {
            (self.bottom, self.cap, self.stale) = (bottom, cap, false);
            self.outline();
        }
    }

    pub(super) fn limits(&self) -> (u8, u8) {
        (self.bottom, self.cap)
    }

    /// The highest level that there is.
    pub(super) fn top(&self) -> u8 {
        self.top
    }

    /// The levels that may be chosen, with their numbers.
    pub(super) fn levels(&self) -> impl Iterator<Item = (u8, &Level)> {
        (0..=self.cap).zip(&self.levels).skip(self.bottom.into())
    }

    pub(super) fn level(&self, level: u8) -> Level {
        self.levels.get(usize::from(level)).copied().unwrap_or_default()
    }

    /// The level that was the best at the price last asked for.
    pub(super) fn best(&self) -> u8 {
        self.corner_at(self.corner.into())
    }

    /// The corner behind the best one, and the slope to it.
    pub(super) fn next(&self) -> Option<(u8, f64)> {
        let slope = self.slopes.get(usize::from(self.corner)).copied().filter(|slope| *slope > 0.0)?;
        Some((self.corner_at(usize::from(self.corner) + 1), slope))
    }

    fn corner_at(&self, corner: usize) -> u8 {
        self.corners.get(corner).copied().unwrap_or_default()
    }

    /// Finds the corners: what does not rise above the line between its neighbours is none.
    fn outline(&mut self) {
        self.corners = [self.bottom; LEVELS];
        let mut last = 0;
        for next in self.bottom + 1..=self.cap {
            while last > 0 {
                let before = self.level(self.corner_at(last - 1));
                let step = self.level(self.corner_at(last)).above(before);
                if step.regret(self.level(next).above(before)) < 0 {
                    break;
                }
                last -= 1;
            }
            let slope = self.level(next).above(self.level(self.corner_at(last))).slope();
            self.slopes.iter_mut().skip(last).take(1).for_each(|slot| *slot = slope);
            last += 1;
            self.corners.iter_mut().skip(last).take(1).for_each(|slot| *slot = next);
        }
        self.slopes.iter_mut().skip(last).for_each(|slot| *slot = 0.0);
        self.corner = self.corner.min(last as u8);
    }

    /// Goes to the corner that is the best at a price above zero for each bit, the cheapest of those as good.
    pub(super) fn seek(&mut self, price: f64) -> Level {
        let mut corner = usize::from(self.corner);
        while self.slopes.get(corner).is_some_and(|slope| *slope > price) {
            corner += 1;
        }
        while corner > 0 && self.slopes.get(corner - 1).is_some_and(|slope| *slope <= price) {
            corner -= 1;
        }
        self.corner = corner as u8;
        self.level(self.best())
    }

    /// Goes on over corners that are as good at the price as long as that takes no more than `slack`, and gives what
    /// it takes.
    pub(super) fn rise(&mut self, price: f64, slack: i64) -> i64 {
        let here = self.level(self.best());
        let mut taken = 0;
        while let Some((next, _)) = self.next().filter(|(_, slope)| *slope >= price) {
            let step = self.level(next).above(here);
            if step.rate > slack {
                break;
            }
            (self.corner, taken) = (self.corner + 1, step.rate);
        }
        taken
    }
}
