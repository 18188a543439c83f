//! The choice of a level for each stream that is worth the most within a budget: a multiple-choice knapsack.
//!
//! First each stream takes what is the best for it at one price of rate, and the price is set so that the budget
//! just holds ([`relax`]). No choice whatever can be worth more than that and what the rest of the budget is worth at
//! that price; what can lie between is gone through ([`refine`]). Where that is too much, because much is left of
//! the budget, the one stream that did not find room for its next corner is the reason: it is decided without that
//! corner, and with it ([`Branches`]).
//!
//! Values are whole numbers: that is where the search ends. It is bounded; where it is cut short the best found so
//! far is taken.

use super::menu::{Menu, Step};
use super::search::{Line, refine};
use smallvec::SmallVec;

/// What is looked at in all, in sums of other levels: some nanoseconds each.
const EFFORT: u32 = 131_072;
/// What deciding a stream one way costs of that, for each stream.
const BRANCH: u32 = 8;
/// Streams for which there is room without the heap: more than a participant has.
pub(super) const STREAMS: usize = 128;

/// Sets what is chosen of each menu. The lowest levels together fit into the budget. Values are multiples of `grain`;
/// `price` is where to begin, and where it ended.
pub(super) fn choose(menus: &mut [Menu], budget: i64, grain: i64, price: &mut f64) {
    let mut task = Task { budget, grain, price: *price, floor: 0, effort: EFFORT };
    let split = task.solve(menus);
    *price = task.price;
    if let Some(split) = split {
        task.floor = sum(menus, |menu| menu.chosen).value;
        let chosen = menus.iter().map(|menu| menu.chosen).collect();
        let mut branches = Branches { task, chosen };
        branches.explore(menus, split);
        menus.iter_mut().zip(&branches.chosen).for_each(|(menu, chosen)| menu.chosen = *chosen);
    }
}

/// What is to be solved, and how far it got.
struct Task {
    budget: i64,
    grain: i64,
    price: f64,
    /// What is not worth more than this is of no interest.
    floor: i64,
    effort: u32,
}

/// A stream that found no room for its next corner: it is decided below it, and from it on.
#[derive(Debug, Clone, Copy)]
struct Split {
    menu: usize,
    corner: u8,
}

/// What is left to be solved, and the best choice so far, which is worth the task's floor.
struct Branches {
    task: Task,
    chosen: SmallVec<[u8; STREAMS]>,
}

impl Branches {
    fn explore(&mut self, menus: &mut [Menu], split: Split) {
        let Some((bottom, cap)) = menus.get(split.menu).map(Menu::limits) else { return };
        let limit = |menus: &mut [Menu], bottom, cap| {
            menus.iter_mut().skip(split.menu).take(1).for_each(|menu| menu.limit(bottom, cap));
        };
        for (bottom, cap) in [(bottom, split.corner - 1), (split.corner, cap)] {
            limit(menus, bottom, cap);
            self.try_out(menus);
        }
        limit(menus, bottom, cap);
    }

    fn try_out(&mut self, menus: &mut [Menu]) {
        if self.task.effort == 0 || sum(menus, |menu| menu.limits().0).rate > self.task.budget {
            return;
        }
        self.task.effort = self.task.effort.saturating_sub(BRANCH * menus.len() as u32);
        let open = self.task.solve(menus);
        let value = sum(menus, |menu| menu.chosen).value;
        if value > self.task.floor {
            self.task.floor = value;
            self.chosen = menus.iter().map(|menu| menu.chosen).collect();
        }
        open.into_iter().for_each(|split| self.explore(menus, split));
    }
}

fn sum(menus: &[Menu], level: impl Fn(&Menu) -> u8) -> Step {
    menus.iter().fold(Step::default(), |sum, menu| sum.plus(menu.level(level(menu))))
}

impl Task {
    /// Chooses the best, if it is worth more than the floor. If it may not be the best, the stream to decide one way
    /// and the other.
    fn solve(&mut self, menus: &mut [Menu]) -> Option<Split> {
        let top = sum(menus, |menu| menu.limits().1);
        if top.rate <= self.budget {
            menus.iter_mut().for_each(|menu| menu.chosen = menu.limits().1);
            return None;
        }
        let (price, spent) = relax(menus, self.budget, top, self.price);
        self.price = price.slope();
        let mut slack = self.budget - spent;
        for menu in menus.iter_mut() {
            slack -= menu.rise(self.price, slack);
            menu.chosen = menu.best();
        }
        if slack == 0 {
            return None;
        }
        let next = |menu: &Menu| menu.next().filter(|(_, slope)| *slope >= self.price);
        let mut splits = (0..)
            .zip(menus.iter())
            .filter_map(|(menu, of)| next(of).map(|(corner, _)| Split { menu, corner }));
        let split = splits.next();
        let least = (self.floor - sum(menus, |menu| menu.chosen).value).max(0);
        let line = Line { price, slack, grain: self.grain, least };
        let proven = refine(menus, &line, &mut self.effort);
        split.filter(|_| !proven)
    }
}

/// Finds the price at which the budget just holds what is the best for each stream, and what that takes.
///
/// Each round looks at the line through a point within the budget and one beyond it, and finds the choice farthest
/// above that line; when none is, both are on the outline, and the price is the slope between them.
fn relax(menus: &mut [Menu], budget: i64, top: Step, guess: f64) -> (Step, i64) {
    let (mut low, mut high) = (sum(menus, |menu| menu.limits().0), top);
    let mut guess = Some(guess).filter(|guess| *guess > 0.0);
    loop {
        let line = high.minus(low);
        let price = guess.unwrap_or(line.slope());
        let point = menus.iter_mut().fold(Step::default(), |sum, menu| sum.plus(menu.seek(price)));
        if guess.take().is_none() && point.minus(low).regret(line) >= 0 {
            return (line, point.rate);
        }
        *(if point.rate <= budget { &mut low } else { &mut high }) = point;
    }
}
