//! The names of what an engine holds: generational keys, so that none ever names a successor.

use crate::base::slots::slot_key;

slot_key! {
    /// Names a room of one engine for as long as it exists.
    pub struct RoomId
}

slot_key! {
    /// Names a participant of one engine for as long as it is there.
    pub struct ParticipantId
}

slot_key! {
    /// Names a source of one engine for as long as it exists.
    pub struct SourceId
}

slot_key! {
    /// Names one RTP stream of a source.
    pub(crate) struct StreamId
}

slot_key! {
    /// Names a subscription of one engine for as long as it exists.
    pub(crate) struct SubscriptionId
}
