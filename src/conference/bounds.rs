//! Bounds that an embedder sets on what participants are sent, at any time: ceilings on their rate, of one participant,
//! a room or the engine; how high pictures are, how many send them, whether there are any; below which rate there is no
//! video.
//!
//! A ceiling of several is divided among them by what each could use, and anew as that changes. What a bound means for
//! the layers of one participant is decided where all of that is ([`Engine::share`]).

use crate::base::limits;
use crate::base::time::Instant;
use crate::base::units::Bitrate;
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, RoomId, SourceId};
use crate::conference::negotiation::MediaKind;
use crate::conference::sharing::Ceiling;
use crate::conference::source::Source;
use crate::conference::subscription::Subscription;
use crate::congestion::allocation::{Claim, Reason, share};
use crate::forwarding::ladder::{Ladder, Wish};

/// What is sent of video at most. Of several the strictest counts; by default nothing is limited.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VideoLimits {
    /// The height of pictures in pixels, as [`Wish::max_height`]; what there is more of is
    /// [`Reason::Limit`](crate::allocation::Reason::Limit)ed.
    pub max_height: Option<u16>,
    /// Of how many participants cameras are forwarded in a room at once: of those who led the talk last, then of who
    /// joined first; who sends no pictures takes nobody's place, as long as enough do. Others are held back, to
    /// everybody: [`Reason::Senders`](crate::allocation::Reason::Senders). Screens do not count, and with 0 there are
    /// only they.
    pub max_senders: Option<u16>,
    /// Sound alone: no camera and no screen.
    pub audio_only: bool,
}

impl VideoLimits {
    /// The stricter of both.
    fn and(self, other: VideoLimits) -> VideoLimits {
        let least = |one: Option<u16>, other: Option<u16>| one.into_iter().chain(other).min();
        VideoLimits {
            max_height: least(self.max_height, other.max_height),
            max_senders: least(self.max_senders, other.max_senders),
            audio_only: self.audio_only || other.audio_only,
        }
    }
}

/// What a subscription gets at most.
pub(super) struct Terms {
    /// By what its subscriber wants of it and of each video.
    pub(super) wished: Wish,
    /// By what is allowed besides.
    pub(super) allowed: Wish,
    /// Why what is allowed is less than what is wished, if it is.
    limit: Reason,
}

impl Terms {
    /// Why there is no more of a source than what is allowed.
    pub(super) fn reason(&self, ladder: &Ladder) -> Reason {
        let [allowed, wished] = [&self.allowed, &self.wished].map(|wish| ladder.options(wish).count());
        let held = self.allowed.paused && !self.wished.paused;
        if allowed < wished || held {
            self.limit
        } else if self.wished.paused || wished < ladder.rungs().len() {
            Reason::Wish
        } else {
            Reason::All
        }
    }
}

impl Engine {
    /// Bounds what a participant is sent in all.
    pub(super) fn set_participant_ceiling(&mut self, id: ParticipantId, ceiling: Option<Bitrate>) {
        if let Some(participant) = self.participants.get_mut(id) {
            participant.ceiling = ceiling;
            self.bound(self.now, id, Ceiling::Own, ceiling);
        }
    }

    /// Bounds what the participants of a room are sent together.
    pub(super) fn set_room_ceiling(&mut self, id: RoomId, ceiling: Option<Bitrate>) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        (room.config.ceiling, room.divided) = (ceiling, Some(self.now));
        let participants = room.participants.clone();
        self.divide(self.now, Ceiling::Room, ceiling, &participants);
    }

    /// Bounds what all participants are sent together.
    pub(super) fn set_engine_ceiling(&mut self, ceiling: Option<Bitrate>) {
        (self.config.ceiling, self.divided) = (ceiling, Some(self.now));
        self.divide(self.now, Ceiling::Engine, ceiling, &self.everybody());
    }

    /// What is allowed in a room, by its own limits and the engine's.
    fn video_limits(&self, id: RoomId) -> VideoLimits {
        self.rooms.get(id).map_or(self.config.video, |room| self.config.video.and(room.config.video))
    }

    /// What a subscription gets at most, and why.
    pub(super) fn terms(&self, subscription: &Subscription, source: &Source) -> Terms {
        let mut terms = Terms { wished: subscription.wish, allowed: subscription.wish, limit: Reason::Limit };
        if source.info.kind == MediaKind::Video {
            let overall = self.participants.get(subscription.subscriber).map(|one| one.video_wish);
            let limits = self.video_limits(source.info.room);
            let paused = limits.audio_only || source.held_back;
            terms.wished = terms.wished.and(overall.unwrap_or_default());
            terms.allowed =
                terms.wished.and(Wish { max_height: limits.max_height, paused, ..Wish::default() });
            if source.held_back && !limits.audio_only {
                terms.limit = Reason::Senders;
            }
        }
        terms
    }

    /// Limits video in a room.
    pub(super) fn set_room_video_limits(&mut self, id: RoomId, limits: VideoLimits) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        if std::mem::replace(&mut room.config.video, limits) != limits {
            self.apply_video_limits(id);
        }
    }

    /// Limits video in all rooms.
    pub(super) fn set_engine_video_limits(&mut self, limits: VideoLimits) {
        if std::mem::replace(&mut self.config.video, limits) != limits {
            let rooms: Vec<RoomId> = self.rooms.iter().map(|(id, _)| id).collect();
            rooms.into_iter().for_each(|id| self.apply_video_limits(id));
        }
    }

    fn apply_video_limits(&mut self, id: RoomId) {
        self.choose_senders(id);
        let participants = self.rooms.get(id).map_or_else(Vec::new, |room| room.participants.clone());
        participants.into_iter().for_each(|participant| self.retarget_all(participant));
        self.review_room(id);
    }

    /// Says what a participant wants at most of each video.
    pub(super) fn set_video_wish(&mut self, id: ParticipantId, wish: Wish) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        if std::mem::replace(&mut participant.video_wish, wish) != wish {
            self.retarget_all(id);
        }
    }

    fn retarget_all(&mut self, id: ParticipantId) {
        let subscriptions = self.participants.get(id).map(|participant| participant.subscriptions.clone());
        subscriptions.into_iter().flatten().for_each(|key| self.retarget(self.now, key));
    }

    /// Holds cameras back where there are more senders than may be: places have those first who lead the talk or led
    /// it last, then who came first, and of all only those whose pictures come, as long as there are enough.
    pub(super) fn choose_senders(&mut self, id: RoomId) {
        let most = self.video_limits(id).max_senders.map(usize::from);
        let Some(room) = self.rooms.get(id) else { return };
        let led = room.speakers.speakers();
        let ranked = led.iter().chain(room.participants.iter().filter(|id| !led.contains(id)));
        let sources = ranked.filter_map(|id| self.participants.get(*id)).flat_map(|one| one.sources.iter());
        let sources = sources.filter_map(|source| self.sources.get(*source));
        let videos: Vec<&Source> = sources.filter(|source| source.info.kind == MediaKind::Video).collect();
        let cameras = videos.iter().copied().filter(|source| !source.info.screen);
        let (live, idle): (Vec<&Source>, Vec<&Source>) = cameras.partition(|source| source.live);
        let mut senders: Vec<ParticipantId> = Vec::new();
        for publisher in live.iter().chain(&idle).map(|source| source.info.participant) {
            if most.is_some_and(|most| senders.len() < most) && !senders.contains(&publisher) {
                senders.push(publisher);
            }
        }
        let held = |source: &Source| {
            most.is_some() && !source.info.screen && !senders.contains(&source.info.participant)
        };
        let turned = videos.iter().filter(|source| held(source) != source.held_back);
        let turned: Vec<SourceId> = turned.map(|source| source.info.id).collect();
        turned.into_iter().for_each(|source| self.hold_back(source));
    }

    /// Holds a source back, or not any more.
    fn hold_back(&mut self, id: SourceId) {
        let Some(source) = self.sources.get_mut(id) else { return };
        source.held_back = !source.held_back;
        for key in source.subscriptions.clone() {
            self.retarget(self.now, key);
        }
    }

    /// Says below which rate for video the participants of a room get none.
    pub(super) fn set_least_video(&mut self, id: RoomId, least: Bitrate) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        room.config.least_video = least;
        for participant in room.participants.clone() {
            if let Some(sharing) = self.sharing_mut(participant) {
                sharing.set_least_video(least);
                self.touch(self.now, participant);
            }
        }
    }

    fn everybody(&self) -> Vec<ParticipantId> {
        self.participants.iter().map(|(id, _)| id).collect()
    }

    fn bound(&mut self, now: Instant, id: ParticipantId, whose: Ceiling, ceiling: Option<Bitrate>) {
        if self.sharing_mut(id).is_some_and(|sharing| sharing.set_ceiling(whose, ceiling)) {
            self.touch(now, id);
        }
    }

    /// Divides the ceilings of a room and of the engine among participants anew, if it is time.
    pub(super) fn divide_ceilings(&mut self, now: Instant, id: RoomId) {
        let due = |divided: Option<Instant>| divided.is_none_or(|at| now - at >= limits::CEILING_INTERVAL);
        if let Some(room) = self.rooms.get_mut(id)
            && room.config.ceiling.is_some()
            && due(room.divided)
        {
            room.divided = Some(now);
            let (ceiling, participants) = (room.config.ceiling, room.participants.clone());
            self.divide(now, Ceiling::Room, ceiling, &participants);
        }
        if self.config.ceiling.is_some() && due(self.divided) {
            self.divided = Some(now);
            self.divide(now, Ceiling::Engine, self.config.ceiling, &self.everybody());
        }
    }

    /// Divides a ceiling among participants; `None` is no ceiling.
    fn divide(
        &mut self,
        now: Instant,
        whose: Ceiling,
        ceiling: Option<Bitrate>,
        participants: &[ParticipantId],
    ) {
        let claim = |engine: &mut Self, id| {
            let most = engine.sharing_mut(id).map(|sharing| sharing.wanted());
            Claim { weight: 1, most: most.unwrap_or(Bitrate::ZERO), share: Bitrate::ZERO }
        };
        let mut claims: Vec<Claim> = participants.iter().map(|id| claim(self, *id)).collect();
        let mut rest = 0;
        if let Some(ceiling) = ceiling {
            share(ceiling, &mut claims);
            // What nobody claims now is there for what comes next.
            let shared: u64 = claims.iter().map(|claim| claim.share.as_bps()).sum();
            rest = ceiling.as_bps().saturating_sub(shared) / claims.len().max(1) as u64;
        }
        for (id, claim) in participants.iter().zip(claims) {
            let bound = Bitrate::from_bps(claim.share.as_bps().saturating_add(rest));
            self.bound(now, *id, whose, ceiling.map(|_| bound));
        }
    }
}
