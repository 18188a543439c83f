//! One stream of an allocator: its layers, what each is worth, and which one it has.

use super::menu::{Level, MOST_RATE, Menu, Step};
use super::patience::Moves;
use super::{CALM, ROOMY, Reason};
use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use smallvec::SmallVec;

/// What a point counts as in each class, the most important first. Those of the first two outweigh a screenful of
/// others, even where all that there is of them is one large layer.
pub const CLASSES: [u32; 4] = [64, 48, 8, 1];

/// Points of being there at all, in any layer: more than all steps to a sharp picture count in any class, so that
/// everybody is seen before anybody is sharp.
pub const PRESENCE: u32 = 1_400;

/// The greatest weight.
const MOST_WEIGHT: u8 = 16;

/// What the layer that a stream has is worth beyond its utility, at most: less than a size of picture.
const INERTIA: u32 = 3;

/// A layer of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// What it takes on the wire, the layers below it included.
    pub rate: Bitrate,
    /// What it is worth, in points: see [`utility()`](super::utility()).
    pub utility: u8,
}

/// What an allocator is told of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream<'a> {
    /// Its class, a place in [`CLASSES`]; those behind the last count as the last.
    pub class: u8,
    /// Its weight among those of its class: 1 to 16, 4 is usual.
    pub weight: u8,
    /// What there is of it and may be sent, in any order: of more than [`limits::RUNGS`] the first ones count. One
    /// that takes more than another and is worth no more is never chosen. None at all pauses it.
    pub layers: &'a [Layer],
    /// The layer that it is to have now by the caller's knowledge, as a place in `layers`: the one last granted.
    pub forwarded: Option<usize>,
    /// Why there are no more layers: [`Reason::All`], [`Reason::Wish`], [`Reason::Limit`] or [`Reason::Senders`].
    pub most: Reason,
}

/// A layer that can be chosen.
#[derive(Debug, Default, Clone, Copy)]
struct Rung {
    rate: u32,
    utility: u8,
    /// Its place in the caller's ladder.
    place: u8,
}

/// What streams keep when it is decided anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    Nothing,
    /// All of it where one has moved often of late.
    Unsettled,
    /// To be there.
    Presence,
    All,
}

#[derive(Debug, Clone)]
pub(super) struct Entry<K> {
    pub(super) key: K,
    /// The level that it has: 0 is nothing, 1 its first layer.
    pub(super) held: u8,
    pub(super) most: Reason,
    /// The layer that was told last.
    pub(super) told: Option<usize>,
    /// Until when it does not go up beyond what is `freed`.
    pub(super) waits: Option<Instant>,
    freed: u8,
    /// Since when there is much more room than its next layer takes, while it waits.
    roomy: Option<Instant>,
    moves: Moves,
    class: u8,
    weight: u8,
    len: u8,
    /// The menu is not what this says any more.
    stale: bool,
    /// By growing rate and growing utility.
    rungs: [Rung; limits::RUNGS],
}

impl<K> Entry<K> {
    pub(super) fn new(key: K, stream: Stream<'_>) -> Self {
        let mut entry = Entry {
            key,
            held: 0,
            most: Reason::All,
            told: None,
            waits: None,
            freed: 0,
            roomy: None,
            moves: Moves::default(),
            class: 0,
            weight: 0,
            len: 0,
            stale: true,
            rungs: Default::default(),
        };
        entry.set(stream);
        entry
    }

    /// True if something was declared anew, and not only measured.
    pub(super) fn set(&mut self, stream: Stream<'_>) -> bool {
        let before = self.declared();
        let (class, weight) = (stream.class, stream.weight.clamp(1, MOST_WEIGHT));
        if (self.class, self.weight) != (class, weight) {
            // It is another matter now.
            (self.class, self.weight, self.moves) = (class, weight, Moves::default());
        }
        self.most = stream.most;
        self.climb(stream.layers);
        let forwarded = stream.forwarded.and_then(|place| stream.layers.get(place));
        let rate = forwarded.map(|layer| bounded(layer.rate));
        let within = |rung: &&Rung| rate.is_some_and(|rate| rung.rate <= rate);
        self.held = self.rungs.iter().take(self.len.into()).take_while(within).count() as u8;
        self.told = forwarded.and(stream.forwarded);
        self.stale = true;
        before != self.declared()
    }

    /// What the caller says of it, apart from what is measured: rates, and utilities by them.
    fn declared(&self) -> (u8, u8, u8, [u8; limits::RUNGS]) {
        (self.class, self.weight, self.len, self.rungs.map(|rung| rung.place))
    }

    /// Orders the layers and leaves out those that cost more and are worth no more.
    fn climb(&mut self, layers: &[Layer]) {
        let mut sorted: SmallVec<[Rung; limits::RUNGS]> = (0u8..)
            .zip(layers.iter().take(limits::RUNGS))
            .map(|(place, layer)| Rung { rate: bounded(layer.rate), utility: layer.utility, place })
            .collect();
        sorted.sort_unstable_by_key(|rung| (rung.rate, u8::MAX - rung.utility, rung.place));
        (self.len, self.rungs) = (0, Default::default());
        let mut best = 0;
        for rung in sorted {
            if rung.utility > best {
                best = rung.utility;
                self.rungs.iter_mut().skip(self.len.into()).take(1).for_each(|slot| *slot = rung);
                self.len += 1;
            }
        }
    }

    /// Takes note of what there is to `spare` beyond all that is taken. Nothing is freed any more.
    pub(super) fn watch(&mut self, now: Instant, spare: u64) {
        (self.waits, self.freed) = (self.moves.waits(now), 0);
        let has_room = self.next_step().is_some_and(|step| u64::from(step) <= spare);
        self.roomy = (has_room && self.waits.is_some()).then(|| self.roomy.unwrap_or(now));
    }

    /// Whether it waits, and much more than all that did not last was carried for long enough.
    pub(super) fn is_another_path(&self, calm: Option<Duration>) -> bool {
        let least = if self.moves.are_many() { CALM.1 } else { CALM.0 };
        self.waits.is_some() && calm.is_some_and(|calm| calm >= least)
    }

    /// Whether it waits, and there was much more room than its next layer takes for long enough.
    pub(super) fn has_lasting_room(&self, now: Instant) -> bool {
        self.roomy.is_some_and(|since| now - since >= ROOMY)
    }

    /// May go up as far as `spare` suffices though it waits.
    pub(super) fn free(&mut self, spare: u64) {
        let fits = |level: &u8| u64::from(self.rung(*level).rate - self.rate()) <= spare;
        self.freed = (self.held + 1..=self.len).take_while(fits).last().unwrap_or(0);
    }

    /// When that is so, if it goes on.
    pub(super) fn lasts_at(&self) -> Option<Instant> {
        self.roomy.map(|since| since + ROOMY)
    }

    /// What the next layer takes more than the present one.
    pub(super) fn next_step(&self) -> Option<u32> {
        self.next_rate().map(|next| next - self.rate())
    }

    /// Brings the menu up to date. `keeps` says what it need not give up for others.
    pub(super) fn refresh(&mut self, menu: &mut Menu, keeps: Keeps) {
        if std::mem::take(&mut self.stale) {
            menu.set((1..=self.len).map(|level| self.level(level)));
        }
        let least = match keeps {
            Keeps::Nothing => 0,
            Keeps::Unsettled if self.waits.is_none() => 0,
            Keeps::Presence => self.held.min(1),
            Keeps::Unsettled | Keeps::All => self.held,
        };
        menu.limit(least, self.reachable());
    }

    /// The highest level that it may go to: one that waits may stay, come back from nothing, or go as far as is freed.
    fn reachable(&self) -> u8 {
        if self.waits.is_some() { self.held.max(1).max(self.freed).min(self.len) } else { self.len }
    }

    /// What a level takes and is worth. The one that is held is worth a bit more, but not as much as the next one.
    fn level(&self, level: u8) -> Level {
        let rung = self.rung(level);
        let next = if level < self.len { self.rung(level + 1).utility } else { u8::MAX };
        let room = u32::from(next.saturating_sub(rung.utility)).saturating_sub(1);
        let inertia = if level == self.held { room.min(INERTIA) } else { 0 };
        Level { rate: rung.rate, value: self.step() * (PRESENCE + u32::from(rung.utility) + inertia) }
    }

    /// The steps from the level that is held to each that it may go up to.
    pub(super) fn steps_up(&self) -> impl Iterator<Item = Step> {
        let here = if self.held == 0 { Level::default() } else { self.level(self.held) };
        (self.held + 1..=self.reachable()).map(move |level| self.level(level).above(here))
    }

    /// Takes a level. Giving way is a move if it `counts`.
    pub(super) fn hold(&mut self, now: Instant, level: u8, counts: bool) {
        if level == self.held {
            return;
        }
        let upwards = level > self.held;
        self.moves.on_step(now, upwards, counts && !upwards);
        (self.held, self.stale, self.waits, self.roomy) = (level, true, self.moves.waits(now), None);
    }

    /// What a point counts as: all its worths are multiples of this.
    pub(super) fn step(&self) -> u32 {
        let [.., last] = CLASSES;
        u32::from(self.weight) * CLASSES.get(usize::from(self.class)).copied().unwrap_or(last)
    }

    fn rung(&self, level: u8) -> Rung {
        let rung = level.checked_sub(1).and_then(|at| self.rungs.get(usize::from(at)));
        rung.copied().unwrap_or_default()
    }

    /// How many layers there are to choose from.
    pub(super) fn layers(&self) -> u32 {
        self.len.into()
    }

    /// It gets nothing though there is something.
    pub(super) fn out(&self) -> bool {
        self.held == 0 && self.len > 0
    }

    /// The layer that it has, as the caller knows it.
    pub(super) fn layer(&self) -> Option<usize> {
        (self.held > 0).then(|| self.rung(self.held).place.into())
    }

    pub(super) fn rate(&self) -> u32 {
        self.rung(self.held).rate
    }

    pub(super) fn next_rate(&self) -> Option<u32> {
        (self.held < self.len).then(|| self.rung(self.held + 1).rate)
    }

    pub(super) fn top_rate(&self) -> u32 {
        self.rung(self.len).rate
    }
}

fn bounded(rate: Bitrate) -> u32 {
    u32::try_from(rate.as_bps()).unwrap_or(u32::MAX).clamp(1, MOST_RATE)
}
