//! A room: who is together.

use crate::base::random::Random;
use crate::base::time::Instant;
use crate::conference::config::RoomConfig;
use crate::conference::ids::ParticipantId;
use crate::forwarding::speakers::Speakers;

/// A room's members, in the order they joined.
pub(super) struct RoomState {
    pub(super) config: RoomConfig,
    pub(super) participants: Vec<ParticipantId>,
    /// Forked by the room's number, so that no other room moves its bytes (I-07).
    pub(super) random: Random,
    /// How many ever joined: the label of a participant's own fork.
    pub(super) joined: u64,
    /// Whose audio is forwarded.
    pub(super) speakers: Speakers<ParticipantId>,
    /// When its views were last reviewed, and when they have to be again.
    pub(super) reviewed: Option<Instant>,
    pub(super) review_at: Option<Instant>,
    /// When its ceiling was last divided.
    pub(super) divided: Option<Instant>,
    /// The deadline that stands in the engine's queue for it.
    pub(super) queued: Option<Instant>,
}
