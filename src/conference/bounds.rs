//! Bounds that an embedder sets on what participants are sent, at any time: ceilings on their rate, of one participant,
//! a room or the engine; how high pictures are; below which rate there is no video.
//!
//! A ceiling of several is divided among them by what each could use, and anew as that changes. What a bound means for
//! the layers of one participant is decided where all of that is ([`Engine::share`]).

use crate::base::limits;
use crate::base::time::Instant;
use crate::base::units::Bitrate;
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, RoomId};
use crate::conference::sharing::Ceiling;
use crate::congestion::allocation::{Claim, share};

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

    /// The height that a participant is sent at most, by its room and by the engine.
    pub(super) fn max_height_for(&self, id: ParticipantId) -> Option<u16> {
        let room = self.participants.get(id).and_then(|participant| self.rooms.get(participant.room));
        let heights = [self.config.max_height, room.and_then(|room| room.config.max_height)];
        heights.into_iter().flatten().min()
    }

    /// Bounds the height of what the participants of a room are sent.
    pub(super) fn set_room_max_height(&mut self, id: RoomId, max_height: Option<u16>) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        room.config.max_height = max_height;
        let participants = room.participants.clone();
        self.retarget_all(&participants);
    }

    /// Bounds the height of what all participants are sent.
    pub(super) fn set_engine_max_height(&mut self, max_height: Option<u16>) {
        self.config.max_height = max_height;
        self.retarget_all(&self.everybody());
    }

    fn retarget_all(&mut self, participants: &[ParticipantId]) {
        for id in participants {
            let Some(participant) = self.participants.get(*id) else { continue };
            for key in participant.subscriptions.clone() {
                self.retarget(self.now, key);
            }
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
