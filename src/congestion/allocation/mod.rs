//! One budget over all video of a subscriber: which layer of each stream it gets, or none, and why.
//!
//! **Sound first.** Sound, repair and headers are the reserve; they take part in nothing here. Video gets what they
//! leave of the budget, or of the ceiling if that is lower: at no budget is sound starved.
//!
//! **The objective.** A layer is worth `weight * class * (PRESENCE + utility)`: utility is the layer's own, in points
//! ([`utility()`]), and [`CLASSES`] says what a point counts as in each class. Of all choices of a layer or nothing for
//! each stream that fit, the one with the greatest sum is taken. From that one sum follows what is promised: more
//! budget never lowers it (what fitted still fits); a higher class or weight never means a lower layer (it raises the
//! worth of the stream's higher layers more than that of its lower ones); the order of calls does not matter. A stream
//! of a high class is not starved by many of a low one, and by presence everybody is seen before anybody is sharp.
//! Worths are small whole numbers, which makes the exact choice cheap: it takes a time proportional to the number of
//! layers, and a search among the few choices that the bound by linear relaxation leaves open. The search is bounded:
//! with dozens of streams whose weights and rates differ wildly, or a hundred that are much the same, it may end before
//! all is proven; then the sum is within a percent of the greatest.
//!
//! **Staying.** What does not fit is left at once. What is more is taken when it fits with a margin: at once if the
//! budget has leapt, which is a probe's doing, else when the room has lasted; the longer, the more often what was taken
//! was lost again. The layer that a stream has is worth a few points more than it would be, less than the next layer
//! adds, so that streams of equal worth do not trade places; unless streams, classes or ladders changed, none gives way
//! to another before all have stayed for 10 s, except that a sharper picture does to who gets nothing. A stream that once
//! gave way waits after three moves within a minute. It goes up before that is over where room for its next layer and a
//! quarter more lasted for 20 s, or where the path is another one, that carried a quarter more than all that did not
//! last: for 5 s, or for 20 s after four moves. One that gets nothing has its first layer after 0.4 to 0.8 s of room in
//! any case.
//!
//! **What to prove.** [`Allocator::demand`] is the total with which the next layer is turned on, reserve and margin
//! included. Once so much is proven something is turned on: estimator and allocator cannot wait for each other.
//!
//! Nothing is allocated once as many streams were there as are there now. Left out: which layers there are, what
//! they are measured to take and what a subscriber wishes of them is the caller's; a shorter ladder is a wish.

mod choice;
mod menu;
mod patience;
mod search;
mod share;
mod stream;
#[cfg(test)]
mod tests;
mod utility;

pub use share::{Claim, share};
pub use stream::{CLASSES, Layer, PRESENCE, Stream};
pub use utility::{Picture, utility};

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::congestion::bwe::Demand;
use menu::{Menu, Step};
use patience::Patience;
use stream::{Entry, Keeps};

/// How an allocator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What the budget must have beyond what is taken, in percent of that, before more is taken.
    pub margin: u8,
    /// With less than this for video there is none at all: what could be sent would not be worth looking at.
    pub least_video: Bitrate,
}

impl Default for Config {
    fn default() -> Self {
        Config { margin: 5, least_video: Bitrate::from_kbps(30) }
    }
}

/// Why a stream gets what it gets and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// It is all that there is.
    All,
    /// It is all that its subscriber wishes.
    Wish,
    /// It is all that its room or the engine allows.
    Limit,
    /// It is a camera, and others have the places of those who may send video at once.
    Senders,
    /// The budget has no room for more.
    Budget,
    /// The ceiling has no room for more; the budget might.
    Ceiling,
    /// What is left for video is below [`Config::least_video`].
    Threshold,
    /// There would be room for more, but it has no margin, has not lasted, or the stream has moved often of late.
    Waiting,
}

impl Reason {
    /// The reason as a metric's label: `budget`.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::All => "all",
            Reason::Wish => "wish",
            Reason::Limit => "limit",
            Reason::Senders => "senders",
            Reason::Budget => "budget",
            Reason::Ceiling => "ceiling",
            Reason::Threshold => "threshold",
            Reason::Waiting => "waiting",
        }
    }
}

/// What a decision was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// For everything: the budget, or the ceiling if that is lower.
    pub budget: Bitrate,
    /// What of it goes first.
    pub reserve: Bitrate,
    /// What all video takes by this decision.
    pub video: Bitrate,
    /// What the stream takes of that.
    pub rate: Bitrate,
    /// What the budget lacks, margin included, for the stream's next layer if nothing else changed; zero if
    /// there is none.
    pub missing: Bitrate,
}

/// What a stream gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The place of the layer in the ladder last given for the stream; `None` for no video.
    pub layer: Option<usize>,
    /// Why it is not more.
    pub reason: Reason,
    /// In numbers.
    pub basis: Basis,
}

/// A stream gets another layer than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<K> {
    /// The stream.
    pub key: K,
    /// What it got before.
    pub before: Option<usize>,
    /// What it gets now.
    pub grant: Grant,
}

/// Decides for one subscriber. `K` names a stream: a small key of the caller.
#[derive(Debug, Clone)]
pub struct Allocator<K> {
    config: Config,
    budget: Bitrate,
    ceiling: Option<Bitrate>,
    reserve: Bitrate,
    patience: Patience,
    /// Streams by key, and what each can get, in the same order.
    entries: Vec<Entry<K>>,
    menus: Vec<Menu>,
    /// The greatest common divisor of all worths; zero if it is to be found anew.
    grain: u32,
    /// Where the last choice ended: the next one is near.
    price: f64,
    /// There is too little for any video.
    dark: bool,
    /// Streams were added, removed or changed, rates apart.
    declared: bool,
    /// The largest total that was lost since a minute passed without a loss.
    unrest: u64,
    /// Since when much more than that is carried.
    calm_since: Option<Instant>,
    /// When a stream that waits may be freed next.
    frees: Option<Instant>,
    /// When any stream last got another layer.
    changed: Instant,
    /// Since when the same is asked to be proven, and whether that is the smallest step.
    asked: Instant,
    modest: bool,
}

/// Bytes that an allocator with keys of this size holds at most beside itself.
pub(crate) const fn bound<K>() -> usize {
    limits::SUBSCRIPTIONS_PER_PARTICIPANT * 2 * (size_of::<Entry<K>>() + size_of::<Menu>())
}

/// How long one rate is asked to be proven before another one is.
pub const ASKING: Duration = Duration::from_secs(2);

/// How long much more than all that did not last is carried until the path counts as another one: to who moved
/// three times in a minute, and to who did more often.
const CALM: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));

/// How long there is much more than one stream's next layer takes until that may go up though it moved often.
const ROOMY: Duration = Duration::from_secs(20);

/// How long nothing has changed before one stream has to give way to another though nothing was declared.
const TRADING: Duration = Duration::from_secs(10);

/// Keeps sums of rates within what can be reckoned with: more than all streams together can take.
const MOST: Bitrate = Bitrate::from_bps(1 << 40);

impl<K: Copy + Ord> Allocator<K> {
    /// An allocator without streams and without a budget.
    pub fn new(config: Config) -> Self {
        let (budget, reserve, patience) = (Bitrate::ZERO, Bitrate::ZERO, Patience::default());
        let (entries, menus) = (Vec::new(), Vec::new());
        Allocator {
            config,
            budget,
            ceiling: None,
            reserve,
            patience,
            entries,
            menus,
            grain: 0,
            price: 0.0,
            dark: false,
            declared: false,
            unrest: 0,
            calm_since: None,
            frees: None,
            changed: Instant::ZERO,
            asked: Instant::ZERO,
            modest: false,
        }
    }

    /// What everything together may take: the estimate.
    pub fn set_budget(&mut self, now: Instant, budget: Bitrate) {
        self.budget = budget;
        self.patience.on_budget(now, budget.min(MOST));
    }

    /// What everything together may take whatever the budget is: this subscriber's [`share`] of a room's or a
    /// node's ceiling.
    /// What it takes away was not lost: lifted again, it is given back at once.
    pub fn set_ceiling(&mut self, ceiling: Option<Bitrate>) {
        self.ceiling = ceiling;
    }

    /// With less than this for video there is none from now on ([`Config::least_video`]).
    pub fn set_least_video(&mut self, least: Bitrate) {
        self.config.least_video = least;
    }

    /// What goes first: sound, repair, headers.
    pub fn set_reserve(&mut self, reserve: Bitrate) {
        self.reserve = reserve;
    }

    /// Adds a stream or says what is different of it: a layer it is measured to take, a wish, its class. False if
    /// there are [`limits::SUBSCRIPTIONS_PER_PARTICIPANT`] already: it is not added.
    pub fn set_stream(&mut self, key: K, stream: Stream<'_>) -> bool {
        match self.entries.binary_search_by_key(&key, |entry| entry.key) {
            Ok(at) => {
                let declared = self.entries.get_mut(at).is_some_and(|entry| entry.set(stream));
                self.declared |= declared;
            }
            Err(_) if self.entries.len() >= limits::SUBSCRIPTIONS_PER_PARTICIPANT => return false,
            Err(at) => {
                self.entries.insert(at, Entry::new(key, stream));
                self.menus.insert(at, Menu::default());
                self.declared = true;
            }
        }
        self.grain = 0;
        true
    }

    /// Forgets a stream; false if there was none.
    pub fn remove_stream(&mut self, key: K) -> bool {
        let Ok(at) = self.entries.binary_search_by_key(&key, |entry| entry.key) else { return false };
        self.entries.remove(at);
        self.menus.remove(at);
        self.declared = true;
        self.grain = 0;
        true
    }

    /// Decides. To be called when anything was set and at [`poll_timeout`](Self::poll_timeout); what is different
    /// then is in [`changes`](Self::changes).
    pub fn allocate(&mut self, now: Instant) {
        self.patience.settle(now);
        let (room, held) = (self.room(), self.held());
        let lost = held > room;
        // What a ceiling takes away is no sign of what the path carries.
        let carried = self.budget.as_bps().saturating_sub(self.reserve.as_bps());
        let failed = held > carried;
        if failed {
            self.unrest = self.unrest.max(self.reserve.as_bps().saturating_add(held));
        } else if !self.patience.is_restless() {
            self.unrest = 0;
        }
        // Where half of it is gone the path is another one: what it carried before was not taken too early.
        let early = failed && self.patience.is_soon(now) && carried > held / 2;
        self.free(now);
        let least = self.config.least_video.as_bps();
        self.dark = room < least || (self.dark && self.usable(self.patience.least.proven()) < least);
        let declared = std::mem::take(&mut self.declared);
        let anew = declared || self.dark || lost;
        let keeps = if anew {
            Keeps::Nothing
        } else if now - self.changed >= TRADING {
            Keeps::Unsettled
        } else if self.entries.iter().any(Entry::out) {
            // Who is not seen is before who is sharp, but not before who is seen.
            Keeps::Presence
        } else {
            Keeps::All
        };
        for (entry, menu) in self.entries.iter_mut().zip(&mut self.menus) {
            entry.refresh(menu, keeps);
        }
        if self.grain == 0 {
            self.grain = self.entries.iter().fold(0, |grain, entry| common(entry.step(), grain));
        }
        let spend = match (self.dark, lost) {
            (true, _) => 0,
            (false, true) => room,
            // What is held may stay or go to others; more needs proof.
            (false, false) => self.usable(self.patience.more.proven()).max(held),
        };
        choice::choose(&mut self.menus, spend as i64, self.grain.max(1).into(), &mut self.price);
        if !self.dark {
            self.readmit();
        }
        // Who gives way to who has joined, or to a ceiling, has not moved of its own.
        self.apply(now, failed || (!lost && !declared));
        if failed {
            self.patience.on_loss(now, early);
        }
    }

    /// Frees streams that wait where what they lost before says nothing any more: on another path all, else one that
    /// has had much more room than its next layer takes, so far as that reaches.
    fn free(&mut self, now: Instant) {
        let calm = self.calm().is_some_and(|calm| self.limit().as_bps() >= calm);
        self.calm_since = calm.then(|| self.calm_since.unwrap_or(now));
        let calm = self.calm_since.map(|since| now - since);
        let taken = self.reserve.as_bps().saturating_add(self.held());
        let spare = without_quarter(self.limit().as_bps()).saturating_sub(taken);
        // One after the other: what this one takes is not there for the next.
        let mut roomy = true;
        for entry in &mut self.entries {
            entry.watch(now, spare);
            if entry.is_another_path(calm) {
                entry.free(u64::MAX);
            } else if roomy && entry.has_lasting_room(now) {
                entry.free(spare);
                roomy = false;
            }
        }
        let calm = self.calm_since.into_iter().flat_map(|since| [since + CALM.0, since + CALM.1]);
        let roomy = self.entries.iter().filter_map(Entry::lasts_at);
        self.frees = calm.chain(roomy).filter(|at| *at > now).min();
    }

    /// Lets streams that get nothing have their first layer where the room for it has lasted for the shortest time.
    fn readmit(&mut self) {
        let usable = self.usable(self.patience.least.proven()) as i64;
        let taken = |menus: &[Menu]| {
            menus.iter().fold(Step::default(), |sum, menu| sum.plus(menu.level(menu.chosen)))
        };
        let mut rest = usable - taken(&self.menus).rate;
        while rest > 0 {
            let out = self.menus.iter_mut().filter(|menu| menu.chosen == 0 && menu.top() > 0);
            let fitting = out.filter(|menu| i64::from(menu.level(1).rate) <= rest);
            let slope = |menu: &Menu| Step::default().plus(menu.level(1)).slope();
            // Of equals the first.
            let Some(best) = fitting.reduce(|best, menu| if slope(menu) > slope(best) { menu } else { best })
            else {
                return;
            };
            best.chosen = 1;
            rest -= i64::from(best.level(1).rate);
        }
    }

    /// Makes what was chosen what is held. Whoever gives way then has moved, if it `counts`.
    fn apply(&mut self, now: Instant, counts: bool) {
        let (mut raised, mut lowered) = (false, false);
        for (entry, menu) in self.entries.iter_mut().zip(&self.menus) {
            raised |= menu.chosen > entry.held;
            lowered |= menu.chosen < entry.held;
            entry.hold(now, menu.chosen, counts);
        }
        if raised || lowered {
            (self.changed, self.asked, self.modest) = (now, now, false);
        } else if now - self.asked >= ASKING {
            (self.asked, self.modest) = (now, !self.modest);
        }
        if raised {
            self.patience.on_raise(now);
        }
    }

    /// The streams that get another layer than when this was last called or than they were set with, by key. What is
    /// not taken from the iterator stays for the next call.
    pub fn changes(&mut self) -> impl Iterator<Item = Change<K>> {
        let view = self.view();
        self.entries.iter_mut().filter_map(move |entry| {
            let (before, after) = (entry.told, entry.layer());
            entry.told = after;
            (before != after).then(|| Change { key: entry.key, before, grant: view.grant(entry) })
        })
    }

    /// What a stream gets; `None` if there is no such stream.
    pub fn grant(&self, key: K) -> Option<Grant> {
        let at = self.entries.binary_search_by_key(&key, |entry| entry.key).ok()?;
        self.entries.get(at).map(|entry| self.view().grant(entry))
    }

    /// What all streams get, by key.
    pub fn grants(&self) -> impl Iterator<Item = (K, Grant)> {
        let view = self.view();
        self.entries.iter().map(move |entry| (entry.key, view.grant(entry)))
    }

    /// What is worth proving: with `next` something more is turned on, `most` is all that is of use.
    ///
    /// It asks for the step that gains the most for each bit, and for a quarter more if so much is of use. What was
    /// not proven in [`ASKING`] may be too much for the path: then the smallest step is asked for, and so on in turn,
    /// so that a large step in vain does not stand in the way of a small one. Streams that wait have no steps.
    pub fn demand(&self) -> Demand {
        let (reserve, held) = (self.reserve.as_bps(), self.held());
        let tops: u64 = self.entries.iter().map(|entry| u64::from(entry.top_rate())).sum();
        let steps = self.entries.iter().flat_map(Entry::steps_up);
        let next = if self.modest {
            held + steps.map(|step| step.rate as u64).min().unwrap_or_default()
        } else {
            let better = |best: Step, step: Step| if step.slope() > best.slope() { step } else { best };
            let quarter = reserve.saturating_add(held) / 4;
            steps
                .reduce(better)
                .map_or(held, |step| held + quarter.max(step.rate as u64).min(tops.saturating_sub(held)))
        };
        // Where all wait there are two ways to more: much room for the next layer of one, or another path.
        let next = if next > held {
            next
        } else {
            let waiting = self.entries.iter().filter(|entry| entry.waits.is_some());
            let step = waiting.filter_map(Entry::next_step).min().map(u64::from);
            let roomy = step.map(|step| with_quarter(reserve.saturating_add(held + step)));
            let goal = roomy.map(|roomy| if self.modest { roomy } else { self.calm().unwrap_or(roomy) });
            // What is wanted in all, whose margin comes below.
            let within = |goal| without_margin(goal, self.config.margin).saturating_sub(reserve).max(held);
            goal.map_or(held, within)
        };
        let next = if self.dark { next.max(self.config.least_video.as_bps()) } else { next };
        let ceiling = self.ceiling.map_or(u64::MAX, Bitrate::as_bps);
        let total = |video: u64| {
            let total = with_margin(reserve.saturating_add(video), self.config.margin);
            Bitrate::from_bps(total.min(ceiling))
        };
        Demand { next: total(next), most: total(tops.max(next)) }
    }

    /// The total that leaves behind what did not last, if something did not: not more than all there is takes.
    fn calm(&self) -> Option<u64> {
        let tops: u64 = self.entries.iter().map(|entry| u64::from(entry.top_rate())).sum();
        let all = with_margin(self.reserve.as_bps().saturating_add(tops), self.config.margin);
        (self.unrest > 0).then(|| with_quarter(self.unrest).min(all))
    }

    /// What all video takes by the last decision.
    pub fn video(&self) -> Bitrate {
        Bitrate::from_bps(self.held())
    }

    /// When to call [`allocate`](Self::allocate) again though nothing was set: room may have lasted for long enough.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let behind = |entry: &Entry<K>| u32::from(entry.held) < entry.layers();
        let out = self.entries.iter().any(Entry::out);
        let [more, least] = self.patience.due();
        let more = more.filter(|_| self.entries.iter().any(behind));
        let least = least.filter(|_| out || self.dark);
        let waits = self.entries.iter().filter(|entry| behind(entry)).filter_map(|entry| entry.waits);
        let asking = self.entries.iter().any(behind).then(|| self.asked + ASKING);
        more.into_iter().chain(least).chain(waits).chain(asking).chain(self.frees).min()
    }

    fn view(&self) -> View {
        View {
            budget: self.limit().as_bps(),
            reserve: self.reserve.as_bps(),
            video: self.held(),
            margin: self.config.margin,
            dark: self.dark,
            capped: self.ceiling.is_some_and(|ceiling| ceiling < self.budget),
        }
    }

    /// For everything.
    fn limit(&self) -> Bitrate {
        self.within_ceiling(self.budget)
    }

    /// For video.
    fn room(&self) -> u64 {
        self.limit().as_bps().saturating_sub(self.reserve.as_bps())
    }

    fn within_ceiling(&self, rate: Bitrate) -> Bitrate {
        rate.min(self.ceiling.unwrap_or(MOST)).min(MOST)
    }

    /// For video, with the margin kept.
    fn usable(&self, proven: Bitrate) -> u64 {
        let without = self.within_ceiling(proven).as_bps() * 100 / (100 + u64::from(self.config.margin));
        without.saturating_sub(self.reserve.as_bps())
    }

    /// What the layers that are held take.
    fn held(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.rate())).sum()
    }
}

/// The budget that leaves so much when the margin is kept.
fn with_margin(taken: u64, margin: u8) -> u64 {
    taken.saturating_mul(100 + u64::from(margin)).div_ceil(100)
}

/// What the margin makes so much.
fn without_margin(budget: u64, margin: u8) -> u64 {
    budget.saturating_mul(100).div_ceil(100 + u64::from(margin))
}

/// So much and a quarter more, and what a quarter more than it is so much.
fn with_quarter(rate: u64) -> u64 {
    rate.saturating_add(rate / 4)
}

fn without_quarter(rate: u64) -> u64 {
    rate / 5 * 4
}

/// The greatest common divisor.
fn common(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common(b, a % b) }
}

/// What is the same for all streams in one decision.
#[derive(Clone, Copy)]
struct View {
    budget: u64,
    reserve: u64,
    video: u64,
    margin: u8,
    dark: bool,
    /// The ceiling is what limits.
    capped: bool,
}

impl View {
    fn grant<K>(&self, entry: &Entry<K>) -> Grant {
        let with_next = entry.next_rate().map(|next| {
            let more = u64::from(next).saturating_sub(entry.rate().into());
            self.reserve.saturating_add(self.video).saturating_add(more)
        });
        let reason = match with_next {
            None => entry.most,
            Some(_) if self.dark => Reason::Threshold,
            Some(total) if total <= self.budget => Reason::Waiting,
            Some(_) if self.capped => Reason::Ceiling,
            Some(_) => Reason::Budget,
        };
        let missing =
            with_next.map_or(0, |total| with_margin(total, self.margin).saturating_sub(self.budget));
        let [budget, reserve, video, rate, missing] =
            [self.budget, self.reserve, self.video, entry.rate().into(), missing].map(Bitrate::from_bps);
        let basis = Basis { budget, reserve, video, rate, missing };
        Grant { layer: entry.layer(), reason, basis }
    }
}
