//! Who is heard in a room: of audio only what the speakers' slots let through is forwarded, so silence and
//! mutes cost nothing.

use crate::base::time::Instant;
use crate::conference::engine::Engine;
use crate::conference::event::Event;
use crate::conference::ids::{ParticipantId, RoomId};
use crate::conference::negotiation::MediaKind;
use crate::forwarding::speakers::SpeakerEvent;
use crate::wire::rtp::AudioLevel;

impl Engine {
    /// Whether an audio packet is forwarded now, by the level that it claims.
    pub(super) fn is_heard(&mut self, now: Instant, id: ParticipantId, level: Option<AudioLevel>) -> bool {
        let Some(room_id) = self.participants.get(id).map(|participant| participant.room) else {
            return false;
        };
        let Some(room) = self.rooms.get_mut(room_id) else { return false };
        // One slot for all of a participant's microphones (S-RTP-12).
        let heard = match level {
            Some(level) => room.speakers.handle_level(now, id, level),
            None => room.speakers.handle_packet_without_level(now, id),
        };
        self.settle_speakers(room_id);
        heard
    }

    /// Silences a participant's audio, whatever it claims, or lets it be heard again.
    pub(super) fn set_muted(&mut self, id: ParticipantId, muted: bool) {
        let Some(room_id) = self.participants.get(id).map(|participant| participant.room) else { return };
        if let Some(room) = self.rooms.get_mut(room_id) {
            room.speakers.set_muted(id, muted);
        }
        self.settle_speakers(room_id);
    }

    /// Does what is due to rooms.
    pub(super) fn run_room_timers(&mut self, now: Instant) {
        while let Some((at, id)) = self.room_deadlines.pop_due(now) {
            let Some(room) = self.rooms.get_mut(id).filter(|room| room.queued == Some(at)) else { continue };
            room.queued = None;
            room.speakers.handle_timeout(now);
            if room.review_at.is_some_and(|at| at <= now) {
                self.review_room_now(id);
            }
            self.settle_speakers(id);
        }
    }

    /// Deadlines of rooms that are closed, or that moved, wake nobody.
    pub(super) fn skip_stale_room_deadlines(&mut self) {
        while let Some((at, id)) = self.room_deadlines.peek() {
            if self.rooms.get(id).is_some_and(|room| room.queued == Some(at)) {
                return;
            }
            self.room_deadlines.pop_due(at);
        }
    }

    /// Takes the facts of a room's speakers and keeps its deadline in step.
    pub(super) fn settle_speakers(&mut self, id: RoomId) {
        let mut changed = false;
        while let Some(event) = self.rooms.get_mut(id).and_then(|room| room.speakers.poll_event()) {
            changed = true;
            match event {
                SpeakerEvent::Heard(participant) => {
                    self.emit(Event::HeardChanged { room: id, participant, heard: true });
                }
                SpeakerEvent::Unheard(participant) => {
                    self.pause_audio(participant);
                    self.emit(Event::HeardChanged { room: id, participant, heard: false });
                }
                SpeakerEvent::Dominant(participant) => {
                    self.emit(Event::DominantSpeakerChanged { room: id, participant });
                }
            }
        }
        if changed {
            self.touch_room(self.now, id);
            self.review_room(id);
        }
        self.settle_room_deadline(id);
    }

    /// Makes the engine's queue agree with a room's earliest deadline.
    pub(super) fn settle_room_deadline(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let at = [room.speakers.poll_timeout(), room.review_at].into_iter().flatten().min();
        if let Some(at) = at
            && room.queued.is_none_or(|queued| at < queued)
        {
            room.queued = Some(at);
            self.room_deadlines.push(at, id);
        }
    }

    /// What is not forwarded for a while leaves no gap.
    fn pause_audio(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(id) else { return };
        for key in &participant.sources {
            let Some(source) = self.sources.get_mut(*key) else { continue };
            if source.info.kind == MediaKind::Audio {
                source.audience.iter_mut().for_each(|listener| listener.rewriter.pause());
            }
        }
    }
}
