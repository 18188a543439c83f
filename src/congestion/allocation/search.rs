//! What lies between a choice at one price and the bound on all choices: each other level costs a regret, so only
//! choices that together regret no more than the gap to that bound can be better, and there are few. A greedy one
//! makes the gap small ([`fill`]), and the others are gone through as a list of sums of which none is both dearer and
//! worth less than another ([`Search`]).

use super::choice::STREAMS;
use super::menu::{Menu, Step};
use smallvec::SmallVec;

/// Other levels that may be part of a better choice.
const CHOICES: usize = 256;
/// Sums that are kept side by side, and the steps that led to all that were ever kept.
const SUMS: usize = 512;
const TRAIL: usize = 4_096;
/// Levels that the greedy choice fills in.
const PICKS: usize = 16;

/// The bound on all choices: from what is the best at a price on, with that price.
pub(super) struct Line {
    pub(super) price: Step,
    /// What of the budget is left.
    pub(super) slack: i64,
    /// Values are multiples of it.
    pub(super) grain: i64,
    /// What is not worth more than this is of no interest.
    pub(super) least: i64,
}

impl Line {
    /// The regret that a choice worth so much more can have at most.
    fn regret_of(&self, value: i64) -> i64 {
        self.price.value * self.slack - self.price.rate * value
    }
}

/// Another level of a menu, by its way from the one that is the best at the price.
#[derive(Debug, Clone, Copy)]
struct Choice {
    regret: i64,
    rate: i32,
    value: i32,
    menu: u16,
    level: u8,
}

type Choices = SmallVec<[Choice; CHOICES]>;

/// Chooses other levels where that is worth more; true if nothing better can have been missed. Takes what it looks at
/// from the effort that is left.
pub(super) fn refine(menus: &mut [Menu], line: &Line, effort: &mut u32) -> bool {
    let (mut choices, gap) = (Choices::new(), line.regret_of(line.least + line.grain));
    let mut within = collect(menus, line.price, gap, &mut choices);
    let picks = match within < gap {
        false => fill(|| choices.iter().copied(), line.slack),
        true => fill(|| others(menus, line.price), line.slack),
    };
    let filled: i64 = picks.iter().map(|pick| i64::from(pick.value)).sum();
    let gap = gap.min(line.regret_of(filled + line.grain));
    if within < gap {
        // There were too many for the list; fewer matter now.
        within = collect(menus, line.price, gap, &mut choices);
    }
    choices.retain(|choice| choice.regret <= gap.min(within));
    let (value, trail, cut) = (filled.max(line.least), SmallVec::new(), within < gap);
    let mut search = Search { line, gap: gap.min(within), value, end: None, trail, effort: *effort, cut };
    search.run(&choices);
    *effort = search.effort;
    match search.end {
        None => picks.iter().for_each(|pick| take(menus, pick)),
        Some(end) => search.path(end, &choices).for_each(|choice| take(menus, choice)),
    }
    !search.cut
}

fn take(menus: &mut [Menu], choice: &Choice) {
    if let Some(menu) = menus.get_mut(usize::from(choice.menu)) {
        menu.chosen = choice.level;
    }
}

/// Lists the levels whose regret is within a gap, in the order of the menus. Where they are too many the gap is
/// narrowed; it is given back. Of those that have no regret at all the first ones stay.
fn collect(menus: &[Menu], price: Step, mut gap: i64, choices: &mut Choices) -> i64 {
    while !list(menus, price, gap, choices) && gap > 0 {
        gap /= 2;
    }
    gap
}

/// False if they are too many.
fn list(menus: &[Menu], price: Step, gap: i64, choices: &mut Choices) -> bool {
    choices.clear();
    for choice in others(menus, price).filter(|choice| choice.regret <= gap) {
        if choices.len() == CHOICES {
            return false;
        }
        choices.push(choice);
    }
    true
}

/// All levels but the ones that are chosen.
fn others(menus: &[Menu], price: Step) -> impl Iterator<Item = Choice> {
    (0u16..).zip(menus).flat_map(move |(at, menu)| {
        let here = menu.level(menu.chosen);
        menu.levels().filter(|(level, _)| *level != menu.chosen).map(move |(level, there)| {
            let step = there.above(here);
            let (rate, value) = (step.rate as i32, step.value as i32);
            Choice { regret: step.regret(price), rate, value, menu: at, level }
        })
    })
}

/// Spends what is left on what is worth the most and fits, again and again.
fn fill<C: Iterator<Item = Choice>>(choices: impl Fn() -> C, mut slack: i64) -> SmallVec<[Choice; PICKS]> {
    let mut picks = SmallVec::<[Choice; PICKS]>::new();
    while picks.len() < PICKS {
        let fitting = choices().filter(|choice| choice.value > 0 && i64::from(choice.rate) <= slack);
        let others = fitting.filter(|choice| picks.iter().all(|pick| pick.menu != choice.menu));
        let Some(best) = others.min_by_key(|choice| (-choice.value, choice.rate)) else { break };
        slack -= i64::from(best.rate);
        picks.push(best);
    }
    picks
}

/// Some other levels together.
#[derive(Debug, Clone, Copy)]
struct Sum {
    rate: i32,
    value: i32,
    /// The last of the steps that led here; [`START`] for none.
    trail: u16,
}

const START: u16 = u16::MAX;

/// Sums by growing rate and growing value.
type Sums = SmallVec<[Sum; SUMS]>;

/// How far the rate of a sum can still fall and rise, and the least regret of that for each bit.
#[derive(Debug, Clone, Copy)]
struct Reach {
    down: i64,
    up: i64,
    down_regret: i64,
    up_regret: i64,
}

/// The choices of one menu.
#[derive(Debug, Clone, Copy)]
struct Group<'a> {
    /// The least regret among them.
    regret: i64,
    /// The number of the first.
    first: u16,
    choices: &'a [Choice],
}

struct Search<'a> {
    line: &'a Line,
    /// The regret that something better can have at most.
    gap: i64,
    /// What the best so far is worth, and the last step to it, if it was found here.
    value: i64,
    end: Option<u16>,
    /// Steps: the one before, and the number of the choice.
    trail: SmallVec<[(u16, u16); TRAIL]>,
    /// Sums that may still be looked at, and whether something was left out for want of them or of room.
    effort: u32,
    cut: bool,
}

impl Search<'_> {
    /// Goes through the choices menu by menu, those with the least regret first.
    fn run(&mut self, choices: &Choices) {
        let mut groups = group(choices);
        groups.sort_unstable_by_key(|group| (group.regret, group.first));
        let reaches = reaches(&groups);
        // Lists are exchanged by reference: they are large.
        let (mut before, mut next, mut merged) = (Sums::new(), Sums::new(), Sums::new());
        let (mut before, mut next, mut merged) = (&mut before, &mut next, &mut merged);
        before.push(Sum { rate: 0, value: 0, trail: START });
        for (group, reach) in groups.iter().zip(reaches.into_iter().rev()) {
            if group.regret > self.gap {
                break;
            }
            if self.effort == 0 {
                self.cut = true;
                break;
            }
            next.clear();
            before.iter().for_each(|sum| self.keep(next, *sum, reach, None));
            for (number, choice) in (group.first..).zip(group.choices) {
                if choice.regret <= self.gap {
                    self.merge(next, before, (number, choice), reach, merged);
                    std::mem::swap(&mut next, &mut merged);
                }
            }
            std::mem::swap(&mut before, &mut next);
        }
    }

    /// Puts together what is there already and all sums with one choice more.
    fn merge(&mut self, there: &Sums, before: &Sums, more: (u16, &Choice), reach: Reach, merged: &mut Sums) {
        let (number, choice) = more;
        merged.clear();
        let mut there = there.iter().copied().peekable();
        for sum in before {
            // Beyond what 32 bits hold nothing fits.
            let (rate, value) =
                (sum.rate.saturating_add(choice.rate), sum.value.saturating_add(choice.value));
            while let Some(first) = there.next_if(|other| (other.rate, -other.value) <= (rate, -value)) {
                self.keep(merged, first, reach, None);
            }
            self.keep(merged, Sum { rate, value, trail: sum.trail }, reach, Some(number));
        }
        there.for_each(|sum| self.keep(merged, sum, reach, None));
    }

    /// Adds a sum to a list if it can still become something better; one that is new takes a step.
    fn keep(&mut self, sums: &mut Sums, mut sum: Sum, reach: Reach, step: Option<u16>) {
        self.effort = self.effort.saturating_sub(1);
        let (rate, value) = (i64::from(sum.rate), i64::from(sum.value));
        let dominated = sums.last().is_some_and(|last| last.value >= sum.value);
        if dominated || rate + reach.down > self.line.slack {
            return;
        }
        let price = self.line.price;
        let rest = reach.regret_of(self.line.slack - rate, price.value);
        if (Step { rate, value }).regret(price).saturating_add(rest) > self.gap {
            return;
        }
        if sums.len() == SUMS || self.effort == 0 || (step.is_some() && self.trail.len() == TRAIL) {
            self.cut = true;
            return;
        }
        if let Some(number) = step {
            let place = self.trail.len() as u16;
            self.trail.push((sum.trail, number));
            sum.trail = place;
            if rate <= self.line.slack && value > self.value {
                (self.value, self.end) = (value, Some(place));
                self.gap = self.gap.min(self.line.regret_of(value + self.line.grain));
            }
        }
        sums.push(sum);
    }

    /// The choices that led to a step.
    fn path<'c>(&self, end: u16, choices: &'c Choices) -> impl Iterator<Item = &'c Choice> {
        let step = |place: u16| self.trail.get(usize::from(place)).copied();
        std::iter::successors(step(end), move |(before, _)| step(*before))
            .filter_map(|(_, number)| choices.get(usize::from(number)))
    }
}

impl Reach {
    /// With what one more group can add.
    fn with(self, group: &Group<'_>) -> Reach {
        let Reach { mut down_regret, mut up_regret, .. } = self;
        let (mut down, mut up) = (0, 0);
        for choice in group.choices {
            let rate = i64::from(choice.rate);
            (down, up) = (rate.min(down), rate.max(up));
            let regret = choice.regret / rate.abs().max(1);
            let least = if rate > 0 { &mut up_regret } else { &mut down_regret };
            *least = regret.min(*least);
        }
        Reach { down: self.down + down, up: self.up + up, down_regret, up_regret }
    }

    /// The least regret of taking so much more, at what a bit costs that stays idle; or of taking so much less.
    fn regret_of(&self, slack: i64, idle: i64) -> i64 {
        let up = slack.clamp(0, self.up);
        let less = self.down_regret.saturating_mul((-slack).max(0));
        self.up_regret.min(idle) * up + idle * (slack.max(0) - up) + less
    }
}

/// What all groups behind each one can add, the last one first.
fn reaches(groups: &[Group<'_>]) -> SmallVec<[Reach; STREAMS]> {
    let none = Reach { down: 0, up: 0, down_regret: i64::MAX, up_regret: i64::MAX };
    let behind = groups.iter().rev().scan(none, |reach, group| {
        let behind = *reach;
        *reach = reach.with(group);
        Some(behind)
    });
    behind.collect()
}

fn group(choices: &Choices) -> SmallVec<[Group<'_>; STREAMS]> {
    let mut first = 0;
    choices
        .chunk_by(|a, b| a.menu == b.menu)
        .map(|choices| {
            let regret = choices.iter().map(|choice| choice.regret).min().unwrap_or_default();
            let group = Group { regret, first, choices };
            first += choices.len() as u16;
            group
        })
        .collect()
}
