//! What a participant's path carries, shared among the videos that it receives: which layer of each, or none.
//!
//! Sound is not in it: what sound, repair and headers take is kept back first. The rest follows from one estimate
//! ([`Engine::refit`]): each change of it, of what there is, of what is wished and of who matters ends in one call
//! of the allocator, and what comes of that in targets of selectors. What the allocator would turn on next is what
//! the estimator proves.

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::conference::decisions::{Choice, KeyFrameReason};
use crate::conference::engine::Engine;
use crate::conference::event::Event;
use crate::conference::handles::SubscribeError;
use crate::conference::ids::{ParticipantId, RoomId, SourceId, SubscriptionId};
use crate::conference::negotiation::MediaKind;
use crate::conference::participant::Timer;
use crate::congestion::allocation::{self, Allocator, Change, Picture, Reason, Stream, utility};
use crate::congestion::bwe::{self, Demand};
use crate::forwarding::ladder::{Ladder, Wish};
use crate::forwarding::layers::Layer;
use smallvec::SmallVec;

/// Why a video matters to who receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// It shows who leads the talk.
    Speaker,
    /// It shows a screen ([`crate::SourceInfo::screen`]).
    Screen,
    /// Its publisher is on stage or pinned in the view.
    Pinned,
    /// None of that.
    Other,
}

impl Class {
    /// The order in which classes count, unless the embedder says another one.
    pub const ORDER: [Class; 4] = [Class::Speaker, Class::Screen, Class::Pinned, Class::Other];
}

/// A subscription's share.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Allocation {
    /// Of which source.
    pub source: SourceId,
    /// What its subscriber wants at most.
    pub wish: Wish,
    /// The layer that is to be sent; `None` for nothing.
    pub granted: Option<Layer>,
    /// The layer that is sent: another one while a key frame is waited for.
    pub layer: Option<Layer>,
    /// Why it is not more.
    pub reason: Reason,
    /// In numbers, if the path is estimated.
    pub basis: Option<allocation::Basis>,
}

/// One participant's shares.
#[derive(Debug)]
pub(super) struct Sharing {
    allocator: Allocator<SubscriptionId>,
    /// The allocator does not know all streams as they are.
    stale: bool,
    /// The budget that it was given last, and when it is to decide again though nothing is different.
    budget: Option<Bitrate>,
    due: Option<Instant>,
    /// What all streams take at most.
    tops: u64,
    caution: Caution,
    /// Sound, what was sent again, and data channels.
    pub(super) audio: Spent,
    pub(super) repair: Spent,
    pub(super) data: Spent,
    measured: Option<Instant>,
    /// Since when more is sent than was guessed of a path that has not shown anything yet.
    trusted: Option<Instant>,
    /// The participant's own ceiling, and its parts of those of its room and of the engine.
    ceilings: [Option<Bitrate>; 3],
}

/// Whose ceiling it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ceiling {
    Own,
    Room,
    Engine,
}

/// Bytes on the wire.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Spent {
    bytes: u64,
    /// Bits in a second, as it was measured last.
    rate: u64,
}

impl Spent {
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Ends an interval; its rate.
    fn take(&mut self, interval: Duration) -> u64 {
        let micros = interval.as_micros().max(1);
        let bytes = std::mem::take(&mut self.bytes);
        u64::try_from(u128::from(bytes) * 8_000_000 / micros).unwrap_or(u64::MAX)
    }
}

/// What was taken up and lost again is not believed in at once: else estimator and allocator would swing together,
/// one up to where packets wait, the other down.
#[derive(Debug, Default, Clone, Copy)]
struct Caution {
    /// The total that did not last.
    level: u64,
    /// Until when it is not believed in, and how long that was.
    until: Option<Instant>,
    wait: Duration,
    raised: Option<Instant>,
}

impl Caution {
    /// What is believed in of an estimate: all of it, if it leaves behind what was lost.
    fn bound(&self, now: Instant, target: Bitrate) -> Bitrate {
        let most = self.level - self.level / 32;
        let cautious = self.until.is_some_and(|until| now < until) && target < self.leap();
        if cautious { target.min(Bitrate::from_bps(most)) } else { target }
    }

    /// What leaves behind what was lost.
    fn leap(&self) -> Bitrate {
        Bitrate::from_bps(self.level / 7 * 8 + 1)
    }

    /// What is to be proven for more: as much as is believed in.
    fn demand(&self, now: Instant, demand: Demand) -> Demand {
        let cautious = self.until.is_some_and(|until| now < until) && demand.next < demand.most;
        let next = if cautious { demand.next.max(self.leap()).min(demand.most) } else { demand.next };
        Demand { next, ..demand }
    }

    fn on_raise(&mut self, now: Instant) {
        self.raised = Some(now);
    }

    /// So much was granted, and the path carries less now: what is `left`.
    fn on_loss(&mut self, now: Instant, level: u64, left: u64) {
        let soon = self.raised.take().is_some_and(|raised| now - raised < limits::CAUTION_SOON);
        // Where half is gone the path is another one, and it was not too early.
        let soon = soon && left > level / 2;
        let longer = if soon { self.wait * 2 } else { self.wait / 2 };
        self.wait = longer.clamp(limits::CAUTION, limits::CAUTION_MAX);
        (self.level, self.until) = (level, Some(now + self.wait));
    }
}

impl Sharing {
    /// Shares what is still to be known; `own` is the participant's own ceiling, `least_video` what video is worth
    /// sending from.
    pub(super) fn new(own: Option<Bitrate>, least_video: Bitrate) -> Self {
        let mut sharing = Sharing {
            allocator: Allocator::new(allocation::Config { least_video, ..allocation::Config::default() }),
            stale: true,
            budget: None,
            due: None,
            tops: 0,
            caution: Caution::default(),
            audio: Spent::default(),
            repair: Spent::default(),
            data: Spent::default(),
            measured: None,
            trusted: None,
            ceilings: [None; 3],
        };
        sharing.set_ceiling(Ceiling::Own, own);
        sharing
    }

    /// Whether something is different of streams or of who matters.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// What a stream that it knows gets.
    pub(super) fn grant(&self, key: SubscriptionId) -> Option<allocation::Grant> {
        self.allocator.grant(key)
    }

    /// What is worth proving. Encoders follow what they may send: once there is a reason to prove something, room for
    /// what the layers will take soon is of use as well.
    pub(super) fn demand(&self, now: Instant) -> Demand {
        let Demand { next, most } = self.caution.demand(now, self.allocator.demand());
        let ceiling = self.ceilings.iter().flatten().min().copied();
        let grown = Bitrate::from_bps(most.as_bps().saturating_add(most.as_bps() / 2));
        Demand { next, most: ceiling.map_or(grown, |ceiling| grown.min(ceiling)).max(most) }
    }

    /// Says below which rate for video there is none.
    pub(super) fn set_least_video(&mut self, least: Bitrate) {
        self.allocator.set_least_video(least);
    }

    /// What goes first, and what video takes.
    pub(super) fn taken(&self) -> (Bitrate, Bitrate) {
        (Bitrate::from_bps(self.reserve()), self.allocator.video())
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// All that would be of use.
    pub(super) fn wanted(&self) -> Bitrate {
        let all = self.tops.saturating_add(self.audio.rate).saturating_add(self.repair.rate);
        let all = all.saturating_add(self.data.rate);
        Bitrate::from_bps(all.saturating_add(all / 8))
    }

    /// Sets a ceiling; true if it is another one than before.
    pub(super) fn set_ceiling(&mut self, whose: Ceiling, ceiling: Option<Bitrate>) -> bool {
        let Some(place) = self.ceilings.get_mut(whose as usize) else { return false };
        let changed = std::mem::replace(place, ceiling) != ceiling;
        if changed {
            let least = self.ceilings.iter().flatten().min().copied();
            self.allocator.set_ceiling(least);
        }
        changed
    }

    /// Brings what goes first up to date; true if it is another sum than before.
    fn measure(&mut self, now: Instant) -> bool {
        let since = *self.measured.get_or_insert(now);
        if now - since < limits::SPENT_INTERVAL {
            return false;
        }
        self.measured = Some(now);
        let before = self.reserve();
        // Talk has pauses, and goes on at any time: its room is kept for a while. Repair and messages come in bursts, and
        // count on average.
        let audio = self.audio.take(now - since);
        self.audio.rate = audio.max(self.audio.rate / 16 * 15);
        for bursts in [&mut self.repair, &mut self.data] {
            let rate = bursts.take(now - since);
            bursts.rate = bursts.rate.saturating_mul(3).saturating_add(rate) / 4;
        }
        self.allocator.set_reserve(Bitrate::from_bps(self.reserve()));
        self.reserve() != before
    }

    /// What all that was granted takes.
    fn total(&self) -> u64 {
        self.reserve().saturating_add(self.allocator.video().as_bps())
    }

    /// What goes first. Of messages and of what is sent again no more counts than a part of what the path carries: they
    /// come in bursts, and do not last.
    fn reserve(&self) -> u64 {
        let share = |percent| self.budget.map_or(u64::MAX, |budget| budget.as_bps() / 100 * percent);
        let data = self.data.rate.min(share(limits::DATA_SHARE));
        let repair = self.repair.rate.min(share(limits::REPAIR_SHARE));
        self.audio.rate.saturating_add(data).saturating_add(repair)
    }

    /// What began before its rate was known goes on for a moment though it is more than was guessed of the path: the
    /// first probe is on its way. It would not if the path had shown anything.
    fn trust(&mut self, now: Instant, guess: Bitrate) -> Bitrate {
        let total = Bitrate::from_bps(self.total());
        if total <= guess {
            return guess;
        }
        let since = *self.trusted.get_or_insert(now);
        if now - since < limits::TRUST { total } else { guess }
    }

    /// Decides if there is anything to be decided; true if it did. `guess` says that nothing is known of the path.
    fn allocate(&mut self, now: Instant, target: Bitrate, guess: bool, stale: bool) -> bool {
        let measured = self.measure(now);
        let budget = self.caution.bound(now, target);
        let budget = if guess { self.trust(now, budget) } else { budget };
        let moved = self.budget.replace(budget) != Some(budget);
        if moved {
            self.allocator.set_budget(now, budget);
            self.allocator.set_reserve(Bitrate::from_bps(self.reserve()));
        }
        let decides = stale || measured || moved || self.due.is_some_and(|due| due <= now);
        if decides {
            let before = self.total();
            self.allocator.allocate(now);
            let after = self.total();
            if after < before && !stale {
                self.caution.on_loss(now, before, budget.as_bps());
            } else if after > before {
                self.caution.on_raise(now);
            }
            let again = self.caution.until.filter(|until| *until > now);
            let trusted = self.trusted.map(|since| since + limits::TRUST).filter(|until| *until > now);
            self.due = [self.allocator.poll_timeout(), again, trusted].into_iter().flatten().min();
        }
        decides
    }
}

/// Layers as an allocator is given them, each with its place in the ladder.
type Options = SmallVec<[(Layer, allocation::Layer); limits::RUNGS]>;

/// What a ladder leaves to choose from; `mean` bytes on the wire is a datagram.
fn options(ladder: &Ladder, wish: &Wish, mean: usize) -> Options {
    let fastest = ladder.frame_rate();
    let on_wire = |payload: Bitrate| {
        let headers = limits::DATAGRAM_OVERHEAD;
        let payload_size = mean.saturating_sub(headers).max(headers) as u64;
        Bitrate::from_bps(payload.as_bps() / payload_size * (payload_size + headers as u64))
    };
    let rungs = ladder.options(wish).map(|rung| {
        let picture = rung.resolution.map(|size| Picture {
            pixels: u32::from(size.width) * u32::from(size.height),
            frame_rate: rung.frame_rate,
        });
        let rate = on_wire(rung.bitrate);
        (rung.layer, allocation::Layer { rate, utility: utility(rate, picture, fastest) })
    });
    rungs.collect()
}

impl Engine {
    /// Shares what a participant's path carries, as it is believed now, and asks for what is worth proving.
    pub(super) fn share(&mut self, now: Instant, id: ParticipantId) {
        let stale = self.sharing_mut(id).is_some_and(|sharing| std::mem::take(&mut sharing.stale));
        if stale {
            self.declare_streams(id);
        }
        let Some(participant) = self.participants.get_mut(id) else { return };
        let Some(congestion) = participant.egress.congestion.as_deref_mut() else { return };
        let (target, guess) = (congestion.target(), congestion.is_guess());
        let Some(sharing) = &mut congestion.sharing else { return };
        if !sharing.allocate(now, target, guess, stale) {
            return;
        }
        let changes: SmallVec<[_; 8]> = sharing.allocator.changes().collect();
        congestion.set_demand(now);
        for change in changes {
            self.grant(now, id, change);
        }
    }

    /// Tells a participant's allocator of its streams as they are now.
    fn declare_streams(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        let Some(congestion) = participant.egress.congestion.as_deref() else { return };
        let (mean, mut tops) = (congestion.mean(), 0);
        for at in 0..participant.subscriptions.len() {
            let key = self.participants.get(id).and_then(|one| one.subscriptions.get(at)).copied();
            let Some(key) = key else { break };
            let declared = self.subscriptions.get(key).and_then(|subscription| {
                let source = self.sources.get(subscription.source)?;
                let seated = subscription.seat.is_some() && !subscription.hidden;
                let shared = source.info.kind == MediaKind::Video && !source.ladder.rungs().is_empty();
                (seated && shared).then_some(())?;
                let terms = self.terms(subscription, source);
                let options = options(&source.ladder, &terms.allowed, mean);
                let forwarded = subscription.granted.map(|layer| source.ladder.clip(layer));
                let place = options.iter().position(|(layer, _)| Some(*layer) == forwarded);
                let most = terms.reason(&source.ladder);
                Some((options, place, most, self.class_of(id, subscription.source)))
            });
            let Some(sharing) = self.sharing_mut(id) else { return };
            match declared {
                Some((options, forwarded, most, class)) => {
                    tops += options.iter().map(|(_, layer)| layer.rate.as_bps()).max().unwrap_or_default();
                    let layers: SmallVec<[_; limits::RUNGS]> =
                        options.into_iter().map(|(_, layer)| layer).collect();
                    let stream = Stream { class, weight: USUAL_WEIGHT, layers: &layers, forwarded, most };
                    sharing.allocator.set_stream(key, stream);
                }
                None => {
                    sharing.allocator.remove_stream(key);
                }
            }
        }
        let Some(participant) = self.participants.get_mut(id) else { return };
        if let Some(sharing) = participant.egress.congestion.as_mut().and_then(|one| one.sharing.as_mut()) {
            sharing.tops = tops;
            let gone: SmallVec<[_; 4]> = sharing
                .allocator
                .grants()
                .map(|(key, _)| key)
                .filter(|key| !self.subscriptions.contains(*key))
                .collect();
            for key in gone {
                sharing.allocator.remove_stream(key);
            }
        }
    }

    /// A subscription gets another layer than before.
    fn grant(&mut self, now: Instant, id: ParticipantId, change: Change<SubscriptionId>) {
        let Some(mean) =
            self.participants.get(id).and_then(|one| Some(one.egress.congestion.as_deref()?.mean()))
        else {
            return;
        };
        let Some(subscription) = self.subscriptions.get(change.key) else { return };
        let Some(source) = self.sources.get(subscription.source) else { return };
        let options = options(&source.ladder, &self.terms(subscription, source).allowed, mean);
        let layer = change.grant.layer.and_then(|place| options.get(place)).map(|(layer, _)| *layer);
        let layer = layer.map(|layer| source.ladder.reach(layer));
        self.set_target(now, change.key, layer, change.grant.reason, Some(change.grant.basis));
    }

    /// Notes that a subscription to video got another layer than `before`.
    fn note_grant(
        &mut self,
        now: Instant,
        key: SubscriptionId,
        before: Option<Layer>,
        basis: Option<allocation::Basis>,
    ) {
        let Some(subscription) = self.subscriptions.get(key) else { return };
        let (id, subscriber) = (subscription.source, subscription.subscriber);
        let Some(source) = self.sources.get(id) else { return };
        let [before, after] =
            [before, subscription.granted].map(|layer| layer.map(|layer| source.ladder.measured(layer)));
        let changed = before.map(|rung| rung.layer) != after.map(|rung| rung.layer);
        if source.info.kind != MediaKind::Video || !changed {
            return;
        }
        let place = usize::from(self.class_of(subscriber, id));
        let room = self.rooms.get(source.info.room);
        let class = room.and_then(|room| room.config.classes.get(place)).copied();
        let reason = subscription.reason;
        self.decide(now, subscriber, Choice::Granted { source: id, class, before, after, reason, basis });
    }

    /// What a subscription is to get is not what it was: its target follows from its share, or where nothing
    /// is shared from what there is and what is wished.
    pub(super) fn retarget(&mut self, now: Instant, key: SubscriptionId) {
        let Some(subscription) = self.subscriptions.get(key) else { return };
        let subscriber = subscription.subscriber;
        let Some(source) = self.sources.get(subscription.source) else { return };
        let target = self.target(key);
        let shared = source.info.kind == MediaKind::Video && !source.ladder.rungs().is_empty();
        let reason = if subscription.hidden {
            Reason::Wish
        } else {
            self.terms(subscription, source).reason(&source.ladder)
        };
        if !(shared && self.touch(now, subscriber)) || target.is_none() {
            self.set_target(now, key, target, reason, None);
        }
    }

    /// The layer that a subscription is to get of what there is, whatever its path carries.
    pub(super) fn target(&self, key: SubscriptionId) -> Option<Layer> {
        let subscription = self.subscriptions.get(key).filter(|subscription| !subscription.hidden)?;
        let source = self.sources.get(subscription.source)?;
        source.ladder.choose(&self.terms(subscription, source).allowed)
    }

    /// A participant's shares are to be made again, soon; false if nothing is shared.
    pub(super) fn touch(&mut self, now: Instant, id: ParticipantId) -> bool {
        let Some(sharing) = self.sharing_mut(id) else { return false };
        if !std::mem::replace(&mut sharing.stale, true) {
            self.arm(id, Timer::Pace, now);
        }
        true
    }

    /// All shares in a room are to be made again: who matters there has changed.
    pub(super) fn touch_room(&mut self, now: Instant, id: RoomId) {
        let count = self.rooms.get(id).map_or(0, |room| room.participants.len());
        for at in 0..count {
            let participant = self.rooms.get(id).and_then(|room| room.participants.get(at)).copied();
            participant.map(|participant| self.touch(now, participant));
        }
    }

    /// Whether a participant's videos share what its path carries.
    pub(super) fn shares(&self, id: ParticipantId) -> bool {
        let congestion = self.participants.get(id).and_then(|one| one.egress.congestion.as_deref());
        congestion.is_some_and(|congestion| congestion.sharing.is_some())
    }

    pub(super) fn sharing_mut(&mut self, id: ParticipantId) -> Option<&mut Sharing> {
        self.participants.get_mut(id)?.egress.congestion.as_deref_mut()?.sharing.as_mut()
    }

    /// The class of a source for who receives it, by its place in the order of the room.
    fn class_of(&self, id: ParticipantId, source: SourceId) -> u8 {
        let place = || {
            let info = &self.sources.get(source)?.info;
            let room = self.rooms.get(info.room)?;
            let publisher = info.participant;
            // Whoever talks looks at who talked before.
            let leads = room.speakers.speakers().iter().find(|speaker| **speaker != id) == Some(&publisher);
            let view = self.view_of(id);
            let pinned = view
                .is_some_and(|view| view.on_stage.contains(&publisher) || view.pinned.contains(&publisher));
            room.config.classes.iter().position(|class| match class {
                Class::Speaker => leads,
                Class::Screen => info.screen,
                Class::Pinned => pinned,
                Class::Other => true,
            })
        };
        place().and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
    }

    /// Makes a subscription's selector agree with what it is to get.
    pub(super) fn set_target(
        &mut self,
        now: Instant,
        key: SubscriptionId,
        target: Option<Layer>,
        reason: Reason,
        basis: Option<allocation::Basis>,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let before = std::mem::replace(&mut subscription.granted, target);
        subscription.reason = reason;
        if before != target && self.decisions.wanted() {
            self.note_grant(now, key, before, basis);
        }
        let Some(subscription) = self.subscriptions.get_mut(key) else { return };
        let (id, subscriber) = (subscription.source, subscription.subscriber);
        let Some(source) = self.sources.get_mut(id) else { return };
        let Some(listener) = subscription.seat.and_then(|seat| source.audience.get_mut(seat)) else { return };
        let selector = listener.rewriter.selector;
        if selector.target() == target {
            return;
        }
        let before = selector.layer();
        listener.rewriter.set_target(target);
        let selector = listener.rewriter.selector;
        let awaited = selector.awaits(|target| source.ladder.clip(target));
        if before.is_some() && target.is_none() {
            let event = Event::LayerChanged { participant: subscriber, source: id, layer: None, reason };
            self.events.push(&mut self.drops, event);
            self.decide(now, subscriber, Choice::Sent { source: id, layer: None, reason });
        }
        if let Some(encoding) = awaited {
            self.want_keyframe(now, id, encoding, KeyFrameReason::Switch);
        }
    }

    /// What a participant's path is believed to carry.
    pub(super) fn estimate_of(&self, id: ParticipantId) -> Option<bwe::Basis> {
        let congestion = self.participants.get(id)?.egress.congestion.as_deref()?;
        congestion.sharing.as_ref().map(|_| congestion.estimator.basis())
    }

    /// Says whether a source shows a screen.
    pub(super) fn set_screen(
        &mut self,
        id: ParticipantId,
        source: SourceId,
        screen: bool,
    ) -> Result<(), SubscribeError> {
        let own = self.sources.get_mut(source).filter(|source| source.info.participant == id);
        let info = &mut own.ok_or(SubscribeError::UnknownSource)?.info;
        if std::mem::replace(&mut info.screen, screen) != screen {
            let room = info.room;
            self.choose_senders(room);
            self.touch_room(self.now, room);
        }
        Ok(())
    }

    /// What a participant's video subscriptions get.
    pub(super) fn allocation_of(&self, id: ParticipantId) -> impl Iterator<Item = Allocation> {
        let participant = self.participants.get(id).into_iter();
        participant.flat_map(move |participant| {
            let congestion = participant.egress.congestion.as_deref();
            let sharing = congestion.and_then(|congestion| congestion.sharing.as_ref());
            participant.subscriptions.iter().filter_map(move |key| {
                let subscription = self.subscriptions.get(*key)?;
                let source = self.sources.get(subscription.source)?;
                (source.info.kind == MediaKind::Video).then_some(())?;
                let listener = subscription.seat.and_then(|seat| source.audience.get(seat));
                let terms = self.terms(subscription, source);
                // What may not be sent at all is no affair of the path.
                let granting = !subscription.hidden && !terms.allowed.paused;
                let grant = sharing.and_then(|sharing| sharing.grant(*key)).filter(|_| granting);
                let otherwise =
                    || if subscription.hidden { Reason::Wish } else { terms.reason(&source.ladder) };
                let clip = |layer| source.ladder.clip(layer);
                Some(Allocation {
                    source: subscription.source,
                    wish: terms.wished,
                    granted: subscription.granted.map(clip),
                    layer: listener.and_then(|listener| listener.rewriter.selector.layer()).map(clip),
                    reason: grant.map_or_else(otherwise, |grant| grant.reason),
                    basis: grant.map(|grant| grant.basis),
                })
            })
        })
    }
}

/// Of streams of one class none counts for more.
const USUAL_WEIGHT: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_first_does_not_take_all_of_a_path_by_bursts() {
        let mut sharing = Sharing::new(None, Bitrate::from_kbps(30));
        sharing.budget = Some(Bitrate::from_kbps(1_000));
        let mut now = Instant::ZERO;
        for _ in 0..20 {
            sharing.measure(now);
            // 10 Mbit/s of each.
            sharing.data.add(625_000);
            sharing.repair.add(625_000);
            now += limits::SPENT_INTERVAL;
        }
        sharing.measure(now);
        assert!(sharing.data.rate > 5_000_000 && sharing.repair.rate > 5_000_000);
        assert_eq!(sharing.reserve(), 1_000_000 / 100 * (limits::DATA_SHARE + limits::REPAIR_SHARE));
    }
}
