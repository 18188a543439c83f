//! What an engine is to keep to: the server's limits and those of its rooms. They are a state rather than commands, so
//! that none comes too early for its room, and an engine that is started anew knows them.

use super::Thread;
use crate::limits::MediaLimits;
use crate::lobby::Label;
use crate::message::Choice;
use estafette::{Bitrate, Class, RoomConfig, Wish, allocation};
use serde::Serialize;
use std::collections::BTreeMap;

/// What counts on an engine.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Rules {
    /// In all rooms; the ceiling is this engine's part of the server's.
    pub server: MediaLimits,
    /// The rooms that have limits of their own, by number.
    pub rooms: BTreeMap<u64, MediaLimits>,
}

/// Who chooses a low bandwidth gets pictures of so many lines at most,
const LOW_HEIGHT: u16 = 180;
/// and so much in all.
const LOW_CEILING: Bitrate = Bitrate::from_kbps(400);

impl Thread {
    /// Makes the engine agree with the rules.
    pub(super) fn keep_rules(&mut self) {
        let rules = self.rules.borrow_and_update().clone();
        self.engine.set_video_limits(rules.server.video());
        self.engine.set_ceiling(rules.server.bitrate());
        for (number, id) in &self.rooms {
            let limits = rules.rooms.get(number).copied().unwrap_or_default();
            if let Some(mut room) = self.engine.room(*id) {
                room.set_video_limits(limits.video());
                room.set_ceiling(limits.bitrate());
            }
        }
    }

    /// What a participant has chosen to receive at most.
    pub(super) fn choose(&mut self, label: Label, choice: Choice) {
        let participant = self.ids.get(&label).and_then(|id| self.engine.participant(*id));
        let Some(mut participant) = participant else { return };
        let (wish, ceiling) = match choice {
            Choice::All => (Wish::default(), None),
            Choice::Low => (Wish { max_height: Some(LOW_HEIGHT), ..Wish::default() }, Some(LOW_CEILING)),
            Choice::Audio => (Wish { paused: true, ..Wish::default() }, None),
        };
        participant.set_video_wish(wish);
        participant.set_ceiling(ceiling);
    }
}

/// In which order a participant's path is given away, with the numbers: sound first, before any byte of video, probe or
/// retransmission; then the pictures, by class.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Participants who are heard at once; 0 is everybody.
    top_n: usize,
    /// With less than this left for video there is sound alone, in bit/s.
    least_video: u64,
    /// The classes of pictures, the most important first, and what a point of sharpness counts as in each.
    classes: Vec<(&'static str, u32)>,
    /// What being seen at all counts as, in points.
    presence: u32,
}

impl Policy {
    /// What counts in each room.
    pub fn of(room: &RoomConfig) -> Policy {
        let name = |class: &Class| match class {
            Class::Speaker => "speaker",
            Class::Screen => "screen",
            Class::Pinned => "pinned",
            _ => "other",
        };
        Policy {
            top_n: room.speakers.top_n,
            least_video: room.least_video.as_bps(),
            classes: room.classes.iter().map(name).zip(allocation::CLASSES).collect(),
            presence: allocation::PRESENCE,
        }
    }
}
