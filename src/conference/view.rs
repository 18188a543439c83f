//! Whom each participant sees and hears of those in its room: by rule, by who speaks, by who is on stage or
//! pinned, within the places that there are.
//!
//! A source out of view costs its receiver nothing. Where each source has a line of its own, it is subscribed to
//! all the same and comes back with the next key frame; where lines are shared, another source has its line.
//!
//! Views are reviewed when somebody comes or goes, speaks or falls silent: by commands and descriptions at once,
//! by packets for a room at most once in [`limits::REVIEW_INTERVAL`].

use crate::base::limits;
use crate::conference::engine::Engine;
use crate::conference::event::Event;
use crate::conference::ids::{ParticipantId, RoomId, SourceId, SubscriptionId};
use crate::conference::negotiation::MediaKind;
use crate::conference::participant::ParticipantState;

/// What a participant receives of the others in its room without asking for each source. What it asks for by
/// hand ([`crate::Participant::subscribe`]) it gets besides.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct View {
    /// Whose sources.
    pub subscribe: SubscribeRule,
    /// How many videos at a time: those that are live before those that are silent, of these those of
    /// `on_stage` and `pinned`, then of who led the talk last, then of who joined first. Without it there is no
    /// bound but that of the lines.
    pub last_n: Option<u16>,
    /// Whose videos come first, in this order.
    pub on_stage: Vec<ParticipantId>,
    /// Whose videos come next.
    pub pinned: Vec<ParticipantId>,
}

/// Whose sources a participant receives without asking.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeRule {
    /// Everybody's, up to [`crate::limits::SUBSCRIPTIONS_PER_PARTICIPANT`] if each has a line of its own; what
    /// came later has to be asked for ([`crate::Participant::subscribe`]) when there is room again.
    #[default]
    All,
    /// Nobody's.
    None,
    /// Those of these participants.
    Of(Vec<ParticipantId>),
}

impl From<SubscribeRule> for View {
    fn from(subscribe: SubscribeRule) -> Self {
        View { subscribe, ..View::default() }
    }
}

impl View {
    fn includes(&self, publisher: ParticipantId) -> bool {
        match &self.subscribe {
            SubscribeRule::All => true,
            SubscribeRule::None => false,
            SubscribeRule::Of(list) => list.contains(&publisher),
        }
    }

    /// Lists longer than a room say nothing.
    pub(super) fn bound(&mut self) {
        for list in [&mut self.on_stage, &mut self.pinned] {
            list.truncate(limits::PARTICIPANTS_PER_ROOM);
        }
        if let SubscribeRule::Of(list) = &mut self.subscribe {
            list.truncate(limits::PARTICIPANTS_PER_ROOM);
        }
    }
}

/// What a participant's view is where it is not the room's.
#[derive(Debug, Default)]
pub(super) struct Viewing {
    own: Option<View>,
    /// Sources that were unsubscribed from by hand.
    declined: Vec<SourceId>,
}

/// A source of a room that may be in view.
#[derive(Clone, Copy)]
struct Candidate {
    source: SourceId,
    publisher: ParticipantId,
    kind: MediaKind,
    /// Video that comes, or audio that is heard.
    live: bool,
}

/// What there is in a room, ranked for everybody.
struct Ranking {
    /// Those first who led the talk last, then in the order of joining.
    candidates: Vec<Candidate>,
    heard: Vec<ParticipantId>,
}

/// A subscription as a view looks at it.
#[derive(Clone, Copy)]
struct Held {
    key: SubscriptionId,
    source: SourceId,
    publisher: ParticipantId,
    kind: MediaKind,
    by_hand: bool,
    hidden: bool,
}

/// What makes subscriptions agree with a view.
struct Changes {
    gone: Vec<SubscriptionId>,
    /// Out of view from now on, or back in it.
    turned: Vec<(SubscriptionId, bool)>,
    /// To be subscribed to, out of view or in it.
    missing: Vec<(SourceId, bool)>,
}

const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

impl ParticipantState {
    fn view<'v>(&'v self, room: &'v View) -> &'v View {
        self.viewing.as_deref().and_then(|viewing| viewing.own.as_ref()).unwrap_or(room)
    }

    fn has_declined(&self, source: SourceId) -> bool {
        self.viewing.as_deref().is_some_and(|viewing| viewing.declined.contains(&source))
    }
}

impl Engine {
    /// Gives a participant a view of its own, or takes it back.
    pub(super) fn set_view(&mut self, id: ParticipantId, mut view: Option<View>) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        view.iter_mut().for_each(View::bound);
        participant.viewing.get_or_insert_default().own = view;
        self.review(id);
    }

    /// Gives a room another view, which all have who have none of their own.
    pub(super) fn set_room_view(&mut self, id: RoomId, mut view: View) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        view.bound();
        room.config.view = view;
        let (members, ranking) = (room.participants.clone(), self.ranking(id));
        for id in members {
            self.review_among(id, &ranking);
        }
    }

    /// The view of a participant: its own or its room's.
    pub(super) fn view_of(&self, id: ParticipantId) -> Option<&View> {
        let participant = self.participants.get(id)?;
        Some(participant.view(&self.rooms.get(participant.room)?.config.view))
    }

    /// Whether who is in a participant's view depends on who speaks, or on places.
    fn is_bounded(&self, id: ParticipantId) -> bool {
        let shares = |participant: &ParticipantState| participant.shared_lines().is_some();
        self.participants.get(id).is_some_and(shares)
            || self.view_of(id).is_some_and(|view| view.last_n.is_some())
    }

    /// A source is there: whoever is to see it does.
    pub(super) fn show(&mut self, room: RoomId, publisher: ParticipantId, source: SourceId) {
        let members = self.rooms.get(room).map_or_else(Vec::new, |room| room.participants.clone());
        let (bounded, free): (Vec<_>, Vec<_>) = members.into_iter().partition(|id| self.is_bounded(*id));
        for id in free.into_iter().filter(|id| *id != publisher) {
            if self.view_of(id).is_some_and(|view| view.includes(publisher)) {
                // At the limit of subscriptions the rest stays unseen.
                let _ = self.subscribe(id, source, false);
                self.tell_view(id);
            }
        }
        if !bounded.is_empty() {
            let ranking = self.ranking(room);
            bounded.into_iter().for_each(|id| self.review_among(id, &ranking));
        }
    }

    /// Who speaks changed, or what is live: views with a bound may change, now or when it is time.
    pub(super) fn review_room(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        match room.reviewed.map(|at| at + limits::REVIEW_INTERVAL).filter(|at| *at > self.now) {
            Some(at) => {
                room.review_at = Some(at);
                self.settle_room_deadline(id);
            }
            None => self.review_room_now(id),
        }
    }

    pub(super) fn review_room_now(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        (room.reviewed, room.review_at) = (Some(self.now), None);
        self.choose_senders(id);
        let Some(room) = self.rooms.get(id) else { return };
        let members = room.participants.clone();
        let bounded: Vec<_> = members.into_iter().filter(|id| self.is_bounded(*id)).collect();
        if !bounded.is_empty() {
            let ranking = self.ranking(id);
            bounded.into_iter().for_each(|id| self.review_among(id, &ranking));
        }
    }

    /// Makes what a participant receives agree with its view.
    pub(super) fn review(&mut self, id: ParticipantId) {
        if let Some(room) = self.participants.get(id).map(|participant| participant.room) {
            let ranking = self.ranking(room);
            self.review_among(id, &ranking);
        }
    }

    fn ranking(&self, room: RoomId) -> Ranking {
        let Some(room) = self.rooms.get(room) else {
            return Ranking { candidates: Vec::new(), heard: Vec::new() };
        };
        let speakers = room.speakers.speakers();
        let (mut led, mut heard) = (speakers.to_vec(), room.speakers.heard().collect::<Vec<_>>());
        led.sort_unstable();
        heard.sort_unstable();
        let silent = room.participants.iter().filter(|id| led.binary_search(id).is_err());
        let ranked = speakers.iter().chain(silent).filter_map(|id| self.participants.get(*id));
        let sources = ranked.flat_map(|participant| participant.sources.iter());
        let candidates = sources.filter_map(|source| self.candidate(*source, &heard)).collect();
        Ranking { candidates, heard }
    }

    fn candidate(&self, source: SourceId, heard: &[ParticipantId]) -> Option<Candidate> {
        let of = self.sources.get(source)?;
        let (publisher, kind) = (of.info.participant, of.info.kind);
        let live = if kind == MediaKind::Audio {
            heard.binary_search(&publisher).is_ok()
        } else {
            of.live && !of.held_back
        };
        Some(Candidate { source, publisher, kind, live })
    }

    fn review_among(&mut self, id: ParticipantId, ranking: &Ranking) {
        self.move_stranded(id);
        let Some(Changes { gone, turned, missing }) = self.changes(id, ranking) else { return };
        gone.into_iter().for_each(|key| self.remove_subscription(key));
        turned.into_iter().for_each(|(key, hidden)| self.hide(key, hidden));
        for (source, hidden) in missing {
            // At the limit of subscriptions the rest stays unseen.
            if self.subscribe(id, source, false).is_ok() && hidden {
                let key = self.subscription_to(id, source);
                key.into_iter().for_each(|key| self.hide(key, true));
            }
        }
        self.tell_view(id);
    }

    /// What is to change for a participant's view.
    fn changes(&self, id: ParticipantId, ranking: &Ranking) -> Option<Changes> {
        let participant = self.participants.get(id).filter(|participant| participant.config.receive)?;
        let view = participant.view(&self.rooms.get(participant.room)?.config.view);
        let shared = participant.shared_lines().is_some();
        let held: Vec<Held> = participant.subscriptions.iter().filter_map(|key| self.held(*key)).collect();
        let wanted = |publisher: ParticipantId, source: SourceId| {
            publisher != id && view.includes(publisher) && !participant.has_declined(source)
        };
        let by_hand = |source: SourceId| held.iter().any(|one| one.by_hand && one.source == source);
        // What has its place whatever there is of the kind: who is seen where there is a bound, or else who is
        // heard, so that no silent source takes its line.
        let due = KINDS.map(|kind| {
            let fits = |one: &Candidate| {
                one.kind == kind && wanted(one.publisher, one.source) && !by_hand(one.source)
            };
            let last_n = view.last_n.filter(|_| kind == MediaKind::Video).map(usize::from);
            if !shared && last_n.is_none() {
                let live = ranking.candidates.iter().filter(|one| one.live && fits(one));
                return live.map(|one| one.source).take(limits::SUBSCRIPTIONS_PER_PARTICIPANT).collect();
            }
            let of_kind = || held.iter().filter(move |one| one.kind == kind);
            let lines = participant.usable_lines(kind);
            let lines = lines.saturating_sub(of_kind().filter(|one| one.by_hand).count());
            let places = if shared { lines } else { limits::SUBSCRIPTIONS_PER_PARTICIPANT };
            let there: Vec<SourceId> = of_kind().filter(|one| !one.hidden).map(|one| one.source).collect();
            self.choose(view, ranking, places.min(last_n.unwrap_or(places)), &there, fits)
        });
        let due: Vec<SourceId> = due.concat();
        let is_due = |source: SourceId| due.contains(&source);
        let hides = |kind: MediaKind, source: SourceId| {
            kind == MediaKind::Video && view.last_n.is_some() && !is_due(source)
        };
        // Where each source has its own line, what is out of view keeps it.
        let keeps = |one: &&Held| {
            one.by_hand || if shared { is_due(one.source) } else { wanted(one.publisher, one.source) }
        };
        let is_held = |source: SourceId| held.iter().any(|one| one.source == source && keeps(&one));
        let mut gone: Vec<SubscriptionId> =
            held.iter().filter(|one| !keeps(one)).map(|one| one.key).collect();
        let new = due.iter().filter(|source| !is_held(**source)).count();
        let surplus = (held.len() + new).saturating_sub(gone.len() + limits::SUBSCRIPTIONS_PER_PARTICIPANT);
        let spared = |one: &&Held| keeps(one) && !one.by_hand && !is_due(one.source);
        gone.extend(held.iter().rev().filter(spared).take(surplus).map(|one| one.key));
        let turned = held.iter().filter(|one| !one.by_hand && !gone.contains(&one.key));
        let turned = turned.map(|one| (one, hides(one.kind, one.source)));
        let turned = turned.filter(|(one, hidden)| one.hidden != *hidden);
        let turned = turned.map(|(one, hidden)| (one.key, hidden)).collect();
        let room = limits::SUBSCRIPTIONS_PER_PARTICIPANT.saturating_sub(held.len() - gone.len());
        let others = ranking.candidates.iter().filter(|one| !shared && wanted(one.publisher, one.source));
        let others = others.filter(|one| !is_due(one.source) && !is_held(one.source));
        let others = others.map(|one| (one.source, hides(one.kind, one.source)));
        let first = due.iter().filter(|source| !is_held(**source)).map(|source| (*source, false));
        let mut missing: Vec<(SourceId, bool)> = first.chain(others).take(room).collect();
        // Sound and picture of one publisher side by side.
        let place = |source: SourceId| ranking.candidates.iter().position(|one| one.source == source);
        missing.sort_by_cached_key(|(source, _)| place(*source));
        Some(Changes { gone, turned, missing })
    }

    /// The sources in view of those that fit: at most `places`. Of what is silent, what is `there` stays.
    fn choose(
        &self,
        view: &View,
        ranking: &Ranking,
        places: usize,
        there: &[SourceId],
        fits: impl Fn(&Candidate) -> bool,
    ) -> Vec<SourceId> {
        let first = view.on_stage.iter().chain(&view.pinned);
        let first = first.filter_map(|id| self.participants.get(*id));
        let first = first.flat_map(|participant| participant.sources.iter());
        let first = first.filter_map(|source| self.candidate(*source, &ranking.heard));
        let ranked: Vec<Candidate> =
            first.chain(ranking.candidates.iter().copied()).filter(|one| fits(one)).collect();
        let live = ranked.iter().filter(|one| one.live);
        let stays = ranked.iter().filter(|one| !one.live && there.contains(&one.source));
        let mut chosen = Vec::new();
        for one in live.chain(stays).chain(&ranked) {
            if chosen.len() >= places {
                break;
            }
            if !chosen.contains(&one.source) {
                chosen.push(one.source);
            }
        }
        chosen
    }

    fn held(&self, key: SubscriptionId) -> Option<Held> {
        let one = self.subscriptions.get(key)?;
        let info = &self.sources.get(one.source)?.info;
        let (source, publisher, kind) = (one.source, info.participant, info.kind);
        Some(Held { key, source, publisher, kind, by_hand: one.by_hand, hidden: one.hidden })
    }

    /// What stands on a shared line that its participant does not take moves to another, if there is one.
    fn move_stranded(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        let refused = participant.lines.iter().filter(|line| participant.negotiation.is_refused(line.slot));
        let stranded: Vec<SubscriptionId> = refused.filter_map(|line| line.carries).collect();
        stranded.into_iter().for_each(|key| self.subscribe_again(key));
    }

    /// Takes a subscription out of its subscriber's view, or back into it.
    fn hide(&mut self, key: SubscriptionId, hidden: bool) {
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.hidden = hidden;
            self.retarget(self.now, key);
        }
    }

    /// The least that a participant receives without having asked for it, of this kind alone or rather than of the
    /// other: it makes room for what is asked for.
    pub(super) fn least_of_view(
        &self,
        id: ParticipantId,
        kind: MediaKind,
        alone: bool,
    ) -> Option<SubscriptionId> {
        let participant = self.participants.get(id)?;
        let held = participant.subscriptions.iter().rev().filter_map(|key| self.held(*key));
        let managed = held.filter(|one| !one.by_hand && (one.kind == kind || !alone));
        managed.min_by_key(|one| (one.kind != kind, !one.hidden)).map(|one| one.key)
    }

    /// Notes that a source was unsubscribed from by hand, or asked for again.
    pub(super) fn decline(&mut self, id: ParticipantId, source: SourceId, declined: bool) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let Some(of) = self.sources.get(source).filter(|of| of.info.room == participant.room) else { return };
        if let Some(viewing) = &mut participant.viewing {
            viewing.declined.retain(|other| *other != of.info.id && self.sources.contains(*other));
        }
        if declined {
            let sources = &mut participant.viewing.get_or_insert_default().declined;
            if sources.len() >= limits::SUBSCRIPTIONS_PER_PARTICIPANT {
                sources.remove(0);
            }
            sources.push(source);
        }
    }

    /// Tells the embedder what a participant sees, and what its shared lines carry, where that changed.
    pub(super) fn tell_view(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        let mut changes = Vec::new();
        for key in &participant.subscriptions {
            let Some(one) = self.subscriptions.get_mut(*key) else { continue };
            let kind = self.sources.get(one.source).map(|source| source.info.kind);
            if kind == Some(MediaKind::Video) && one.told == one.hidden {
                one.told = !one.hidden;
                changes.push((one.source, one.told));
            }
        }
        for (source, seen) in changes {
            self.emit(Event::SeenChanged { participant: id, source, seen });
        }
        self.tell_lines(id);
        self.touch(self.now, id);
    }
}
