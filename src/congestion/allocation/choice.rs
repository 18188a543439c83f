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

/// How many times a stream is decided one way or the other.
const BRANCHES: u8 = 8;
/// Sums that are looked at before that is done, and then.
const EFFORT: u32 = 16_384;
const EFFORT_OF_BRANCH: u32 = 4_096;
/// Streams for which there is room without the heap: more than a participant has.
pub(super) const STREAMS: usize = 128;

/// Sets what is chosen of each menu. The lowest levels together fit into the budget. Values are multiples of `grain`;
/// `price` is where to begin, and where it ended.
pub(super) fn choose(menus: &mut [Menu], budget: i64, grain: i64, price: &mut f64) {
    let Some(split) = solve(menus, budget, grain, price, 0, EFFORT) else { return };
    let value = sum(menus, |menu| menu.chosen).value;
    let chosen = menus.iter().map(|menu| menu.chosen).collect();
    let mut branches = Branches { budget, grain, price: *price, left: BRANCHES, value, chosen };
    branches.explore(menus, split);
    menus.iter_mut().zip(&branches.chosen).for_each(|(menu, chosen)| menu.chosen = *chosen);
}

/// A stream between two corners: up to the one, or from the other on.
#[derive(Debug, Clone, Copy)]
struct Split {
    menu: usize,
    low: u8,
    high: u8,
}

/// The best choice so far, and what else is looked at.
struct Branches {
    budget: i64,
    grain: i64,
    price: f64,
    left: u8,
    value: i64,
    chosen: SmallVec<[u8; STREAMS]>,
}

impl Branches {
    fn explore(&mut self, menus: &mut [Menu], split: Split) {
        let Some((bottom, cap)) = menus.get(split.menu).map(|menu| (menu.bottom, menu.cap)) else { return };
        for (bottom, cap) in [(bottom, split.low), (split.high, cap)] {
            self.left = self.left.saturating_sub(1);
            limit(menus, split.menu, bottom, cap);
            if self.left > 0 && sum(menus, |menu| menu.bottom).rate <= self.budget {
                let mut price = self.price;
                let open = solve(menus, self.budget, self.grain, &mut price, self.value, EFFORT_OF_BRANCH);
                let value = sum(menus, |menu| menu.chosen).value;
                if value > self.value {
                    self.value = value;
                    self.chosen = menus.iter().map(|menu| menu.chosen).collect();
                }
                open.into_iter().for_each(|split| self.explore(menus, split));
            }
        }
        limit(menus, split.menu, bottom, cap);
    }
}

fn limit(menus: &mut [Menu], at: usize, bottom: u8, cap: u8) {
    if let Some(menu) = menus.get_mut(at) {
        (menu.bottom, menu.cap) = (bottom, cap);
    }
}

fn sum(menus: &[Menu], level: impl Fn(&Menu) -> u8) -> Step {
    menus.iter().fold(Step::default(), |sum, menu| sum.plus(menu.level(level(menu))))
}

/// Chooses the best, if it is worth more than `floor`. If it may not be the best, the stream to decide both ways.
fn solve(
    menus: &mut [Menu],
    budget: i64,
    grain: i64,
    price: &mut f64,
    floor: i64,
    effort: u32,
) -> Option<Split> {
    let top = sum(menus, |menu| menu.cap);
    if top.rate <= budget {
        menus.iter_mut().for_each(|menu| menu.chosen = menu.cap);
        return None;
    }
    let (exact, spent) = relax(menus, budget, top, *price);
    *price = exact.slope();
    let mut slack = budget - spent;
    for menu in menus.iter_mut() {
        slack -= menu.rise(*price, slack);
        menu.chosen = menu.best();
    }
    if slack == 0 {
        return None;
    }
    let next = |menu: &Menu| menu.next().filter(|(_, slope)| slope >= price);
    let mut splits =
        menus.iter().enumerate().filter_map(|(at, menu)| next(menu).map(|next| (at, menu.chosen, next)));
    let split = splits.next().map(|(menu, low, (high, _))| Split { menu, low, high });
    let least = (floor - sum(menus, |menu| menu.chosen).value).max(0);
    let proven = refine(menus, &Line { price: exact, slack, grain, least, effort });
    split.filter(|_| !proven)
}

/// Finds the price at which the budget just holds what is the best for each stream, and what that takes.
///
/// Each round looks at the line through a point within the budget and one beyond it, and finds the choice farthest
/// above that line; when none is, both are on the outline, and the price is the slope between them. Lowest levels
/// may dent the outline: then what is taken is the point within the budget.
fn relax(menus: &mut [Menu], budget: i64, top: Step, guess: f64) -> (Step, i64) {
    let lowest = sum(menus, |menu| menu.bottom);
    let (mut low, mut high, mut low_price) = (lowest, top, f64::INFINITY);
    let mut guess = Some(guess).filter(|guess| *guess > 0.0);
    let mut seek = |price| menus.iter_mut().fold(Step::default(), |sum, menu| sum.plus(menu.seek(price)));
    loop {
        let line = high.minus(low);
        let price = guess.unwrap_or(line.slope());
        let point = seek(price);
        if guess.take().is_none() && point.minus(low).regret(line) >= 0 {
            let within = point.rate <= budget;
            return (line, if within { point } else { seek(low_price) }.rate);
        }
        if point.rate <= budget {
            (low, low_price) = (point, price);
        } else {
            high = point;
        }
    }
}
