//! Whom each participant sees and hears of those in its room: by rule, by who speaks, by who is on stage or
//! pinned, within the places that there are.
//!
//! A source out of view costs its receiver nothing. Where each source has a line of its own, it is subscribed to
//! all the same and comes back with the next key frame; where lines are shared, another source has its line.

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
}

/// What a participant's view is where it is not the room's.
#[derive(Debug, Default)]
pub(super) struct Viewing {
    own: Option<View>,
    /// Sources that were unsubscribed from by hand.
    declined: Vec<SourceId>,
}

/// A source of a room that may be in view.
pub(super) struct Candidate {
    source: SourceId,
    publisher: ParticipantId,
    kind: MediaKind,
    /// Video that comes, or audio that is heard.
    live: bool,
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
    /// On a line that its participant does not take.
    stranded: bool,
}

/// What makes subscriptions agree with a view.
struct Changes {
    gone: Vec<Held>,
    /// Out of view from now on, or back in it.
    turned: Vec<(Held, bool)>,
    /// To be subscribed to, out of view or in it.
    missing: Vec<(SourceId, bool)>,
    /// Whether the embedder is told of what is seen.
    told: bool,
}

impl ParticipantState {
    fn view<'v>(&'v self, room: &'v View) -> &'v View {
        self.viewing.as_deref().and_then(|viewing| viewing.own.as_ref()).unwrap_or(room)
    }

    fn has_declined(&self, source: SourceId) -> bool {
        self.viewing.as_deref().is_some_and(|viewing| viewing.declined.contains(&source))
    }

    /// Notes that a source was unsubscribed from by hand, or asked for again.
    pub(super) fn decline(&mut self, source: SourceId, declined: bool) {
        if declined {
            let sources = &mut self.viewing.get_or_insert_default().declined;
            if sources.len() >= limits::SUBSCRIPTIONS_PER_PARTICIPANT {
                sources.remove(0);
            }
            sources.push(source);
        } else if let Some(viewing) = &mut self.viewing {
            viewing.declined.retain(|other| *other != source);
        }
    }
}

impl Engine {
    /// Gives a participant a view of its own.
    pub(super) fn set_view(&mut self, id: ParticipantId, mut view: View) {
        for list in [&mut view.on_stage, &mut view.pinned] {
            list.truncate(limits::PARTICIPANTS_PER_ROOM);
        }
        let Some(participant) = self.participants.get_mut(id) else { return };
        participant.viewing.get_or_insert_default().own = Some(view);
        self.review(id);
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
        let order = self.candidates(room);
        for id in members {
            if self.is_bounded(id) {
                self.review_among(id, &order);
            } else if id != publisher && self.view_of(id).is_some_and(|view| view.includes(publisher)) {
                // At the limit of subscriptions the rest stays unseen.
                let _ = self.subscribe(id, source, false);
            }
        }
    }

    /// Who speaks changed, or what is live: views with a bound may change.
    pub(super) fn review_room(&mut self, room: RoomId) {
        let Some(members) = self.rooms.get(room).map(|room| &room.participants) else { return };
        let bounded: Vec<ParticipantId> = members.iter().copied().filter(|id| self.is_bounded(*id)).collect();
        if bounded.is_empty() {
            return;
        }
        let order = self.candidates(room);
        for id in bounded {
            self.review_among(id, &order);
        }
    }

    /// Makes what a participant receives agree with its view.
    pub(super) fn review(&mut self, id: ParticipantId) {
        if let Some(room) = self.participants.get(id).map(|participant| participant.room) {
            let order = self.candidates(room);
            self.review_among(id, &order);
        }
    }

    /// The sources of a room, those first who led the talk last, then in the order of joining.
    fn candidates(&self, room: RoomId) -> Vec<Candidate> {
        let Some(room) = self.rooms.get(room) else { return Vec::new() };
        let speakers = room.speakers.speakers();
        let silent = room.participants.iter().filter(|id| !speakers.contains(id));
        let heard: Vec<ParticipantId> = room.speakers.heard().collect();
        let mut candidates = Vec::new();
        for publisher in speakers.iter().chain(silent).copied() {
            let Some(participant) = self.participants.get(publisher) else { continue };
            for source in participant.sources.iter().copied() {
                let Some(of) = self.sources.get(source) else { continue };
                let kind = of.info.kind;
                let live = if kind == MediaKind::Audio { heard.contains(&publisher) } else { of.live };
                candidates.push(Candidate { source, publisher, kind, live });
            }
        }
        candidates
    }

    fn review_among(&mut self, id: ParticipantId, order: &[Candidate]) {
        let Some(Changes { gone, turned, missing, told }) = self.changes(id, order) else { return };
        for one in gone {
            self.remove_subscription(one.key);
            self.tell_seen(id, one.source, told && !one.hidden, false);
        }
        for (one, hidden) in turned {
            self.hide(one.key, hidden);
            self.tell_seen(id, one.source, told, !hidden);
        }
        for (source, hidden) in missing {
            // At the limit of subscriptions the rest stays unseen.
            if self.subscribe(id, source, false).is_ok() {
                let key = self.subscription_to(id, source).filter(|_| hidden);
                key.into_iter().for_each(|key| self.hide(key, true));
                self.tell_seen(id, source, told && !hidden, true);
            }
        }
        self.tell_lines(id);
    }

    /// What is to change for a participant's view.
    fn changes(&self, id: ParticipantId, order: &[Candidate]) -> Option<Changes> {
        let participant = self.participants.get(id).filter(|participant| participant.config.receive)?;
        let view = participant.view(&self.rooms.get(participant.room)?.config.view);
        let shared = participant.shared_lines().is_some();
        let held: Vec<Held> = participant.subscriptions.iter().filter_map(|key| self.held(*key)).collect();
        let wanted = |publisher: ParticipantId, source: SourceId| {
            publisher != id && view.includes(publisher) && !participant.has_declined(source)
        };
        let seen = [MediaKind::Audio, MediaKind::Video].map(|kind| {
            let of_kind = || held.iter().filter(move |one| one.kind == kind);
            let by_hand: Vec<SourceId> = of_kind().filter(|one| one.by_hand).map(|one| one.source).collect();
            let there: Vec<SourceId> = of_kind().filter(|one| !one.hidden).map(|one| one.source).collect();
            let lines = participant.usable_lines(kind).saturating_sub(by_hand.len());
            let places = if shared { lines } else { limits::SUBSCRIPTIONS_PER_PARTICIPANT };
            let last_n = view.last_n.filter(|_| kind == MediaKind::Video).map_or(places, usize::from);
            let fits = |one: &&Candidate| {
                one.kind == kind && wanted(one.publisher, one.source) && !by_hand.contains(&one.source)
            };
            choose(view, order, places.min(last_n), &there, fits)
        });
        let seen = seen.concat();
        let is_seen = |source: SourceId| seen.contains(&source);
        // Where each source has its own line, what is out of view keeps it.
        let keeps = |one: &&Held| {
            let kept = if shared { is_seen(one.source) } else { wanted(one.publisher, one.source) };
            one.by_hand || kept && !one.stranded
        };
        let mut gone: Vec<Held> = held.iter().filter(|one| !keeps(one)).copied().collect();
        let missing = |source: SourceId| !held.iter().any(|one| one.source == source && keeps(&one));
        let new = seen.iter().filter(|source| missing(**source)).count();
        // What is seen takes the place of what is not.
        let surplus = (held.len() + new).saturating_sub(gone.len() + limits::SUBSCRIPTIONS_PER_PARTICIPANT);
        let unseen = |one: &&Held| keeps(one) && !one.by_hand && !is_seen(one.source);
        gone.extend(held.iter().rev().filter(unseen).take(surplus).copied());
        let left = |one: &&Held| !one.by_hand && gone.iter().all(|gone| gone.key != one.key);
        let turned = held.iter().filter(left).map(|one| (*one, !is_seen(one.source)));
        let turned = turned.filter(|(one, hidden)| one.hidden != *hidden).collect();
        let room = limits::SUBSCRIPTIONS_PER_PARTICIPANT.saturating_sub(held.len() - gone.len());
        let others = order.iter().filter(|one| !shared && wanted(one.publisher, one.source));
        let others = others.map(|one| one.source).filter(|source| !is_seen(*source));
        let absent = seen.iter().copied().chain(others).filter(|source| missing(*source)).take(room);
        let missing = absent.map(|source| (source, !is_seen(source))).collect();
        Some(Changes { gone, turned, missing, told: shared || view.last_n.is_some() })
    }

    fn held(&self, key: SubscriptionId) -> Option<Held> {
        let one = self.subscriptions.get(key)?;
        let info = &self.sources.get(one.source)?.info;
        let negotiation = &self.participants.get(one.subscriber)?.negotiation;
        Some(Held {
            key,
            source: one.source,
            publisher: info.participant,
            kind: info.kind,
            by_hand: one.by_hand,
            hidden: one.hidden,
            stranded: one.slot != key.token() && negotiation.is_refused(one.slot),
        })
    }

    fn kind_of(&self, source: SourceId) -> Option<MediaKind> {
        self.sources.get(source).map(|source| source.info.kind)
    }

    /// Takes a subscription out of its subscriber's view, or back into it.
    fn hide(&mut self, key: SubscriptionId, hidden: bool) {
        if self.kind_of_subscription(key) == Some(MediaKind::Video)
            && let Some(subscription) = self.subscriptions.get_mut(key)
        {
            subscription.hidden = hidden;
            self.retarget(self.now, key);
        }
    }

    fn kind_of_subscription(&self, key: SubscriptionId) -> Option<MediaKind> {
        self.kind_of(self.subscriptions.get(key)?.source)
    }

    fn tell_seen(&mut self, participant: ParticipantId, source: SourceId, told: bool, seen: bool) {
        if told && self.kind_of(source) == Some(MediaKind::Video) {
            self.emit(Event::SeenChanged { participant, source, seen });
        }
    }
}

/// The sources that are in view of those that fit: at most `places`. Of what is silent, what is `there` stays.
fn choose(
    view: &View,
    order: &[Candidate],
    places: usize,
    there: &[SourceId],
    fits: impl Fn(&&Candidate) -> bool,
) -> Vec<SourceId> {
    let of = |publisher: ParticipantId| order.iter().filter(move |one| one.publisher == publisher);
    let first = view.on_stage.iter().chain(&view.pinned).flat_map(|publisher| of(*publisher));
    let ranked = || first.clone().chain(order).filter(&fits);
    let live = ranked().filter(|one| one.live);
    let stays = ranked().filter(|one| !one.live && there.contains(&one.source));
    let mut chosen = Vec::new();
    for one in live.chain(stays).chain(ranked()) {
        if chosen.len() >= places {
            break;
        }
        if !chosen.contains(&one.source) {
            chosen.push(one.source);
        }
    }
    chosen
}
