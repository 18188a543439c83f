//! Short-lived handles on a room or a participant, through which the embedder commands.

use crate::base::units::Bitrate;
use crate::conference::bounds::VideoLimits;
use crate::conference::config::{ParticipantConfig, RoomConfig};
use crate::conference::data::{Message, Route, UnknownChannel};
use crate::conference::engine::Engine;
use crate::conference::event::LeaveReason;
use crate::conference::ids::{ParticipantId, RoomId, SourceId};
use crate::conference::negotiation::NegotiationError;
use crate::conference::sharing::Allocation;
use crate::conference::source::SourceInfo;
use crate::conference::stats::ParticipantStats;
use crate::conference::view::View;
use crate::congestion::bwe;
use crate::forwarding::ladder::{Rung, Wish};
use crate::forwarding::layers::Layer;
use crate::session::ice;
use crate::transport::channels::{ChannelConfig, ChannelId, OpenError, SendError};
use crate::wire::sdp;

/// A limit of the configuration stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a limit of the configuration is reached")]
pub struct LimitReached;

/// Why somebody cannot join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The room or the engine is full.
    #[error("the room or the engine is full")]
    Full,
    /// The label is too long or not made of letters, digits, `-` and `_`.
    #[error("the label is not a short token of letters, digits, - and _")]
    Label,
    /// Somebody in the room has this label: receivers could not tell the two apart.
    #[error("the label is taken in this room")]
    LabelTaken,
    /// There is no such room.
    #[error("there is no such room")]
    UnknownRoom,
}

/// Why a subscription is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// No such source in the participant's room, or it is its own.
    #[error("the room has no such source of another participant")]
    UnknownSource,
    /// The participant was configured not to receive.
    #[error("the participant does not receive")]
    NotReceiving,
    /// It has [`crate::limits::SUBSCRIPTIONS_PER_PARTICIPANT`], or all its shared lines, by hand.
    #[error("the participant has as many subscriptions as it may have")]
    LimitReached,
}

impl Engine {
    /// The layers of a video source as they come in, from the least to the best; measured several times a
    /// second. None before that, of audio, and of a source that is gone.
    pub fn layers(&self, source: SourceId) -> &[Rung] {
        self.sources.get(source).map_or(&[], |source| source.ladder.rungs())
    }

    /// Opens a room.
    ///
    /// # Errors
    /// [`LimitReached`] at [`EngineConfig::max_rooms`](crate::EngineConfig::max_rooms), or if the room is
    /// configured with no participants or more than [`crate::limits::PARTICIPANTS_PER_ROOM`].
    pub fn create_room(&mut self, config: RoomConfig) -> Result<RoomId, LimitReached> {
        self.open_room(config)
    }

    /// A room by its id; `None` once it is closed.
    pub fn room(&mut self, id: RoomId) -> Option<Room<'_>> {
        self.rooms.contains(id).then_some(Room { engine: self, id })
    }

    /// Bounds what all participants are sent together, sound apart; `None`: nothing does. Takes effect at once.
    pub fn set_ceiling(&mut self, ceiling: Option<Bitrate>) {
        self.set_engine_ceiling(ceiling);
    }

    /// Limits video in each room, whatever else its own limits are. Takes effect at once.
    pub fn set_video_limits(&mut self, limits: VideoLimits) {
        self.set_engine_video_limits(limits);
    }

    /// Whether a source is a camera that is not forwarded for now, because there are as many senders as there may be
    /// ([`VideoLimits::max_senders`]).
    pub fn is_held_back(&self, source: SourceId) -> bool {
        self.sources.get(source).is_some_and(|source| source.held_back)
    }

    /// A participant by its id; `None` once it left.
    pub fn participant(&mut self, id: ParticipantId) -> Option<Participant<'_>> {
        self.participants.contains(id).then_some(Participant { engine: self, id })
    }
}

/// A room of an engine.
pub struct Room<'e> {
    engine: &'e mut Engine,
    id: RoomId,
}

impl Room<'_> {
    /// Adds a participant, which has to connect within [`crate::limits::CONNECT_TIMEOUT`].
    ///
    /// # Errors
    /// [`JoinError`]; nobody was added.
    pub fn join(&mut self, config: ParticipantConfig) -> Result<ParticipantId, JoinError> {
        self.engine.join(self.id, config)
    }

    /// The participants, in the order they joined.
    pub fn participants(&self) -> &[ParticipantId] {
        self.engine.rooms.get(self.id).map_or(&[], |room| &room.participants)
    }

    /// What is published in the room, in the order of the participants.
    pub fn sources(&self) -> impl Iterator<Item = &SourceInfo> {
        let participants = self.participants().iter().filter_map(|id| self.engine.participants.get(*id));
        let sources = participants.flat_map(|participant| participant.sources.iter());
        sources.filter_map(|key| Some(&self.engine.sources.get(*key)?.info))
    }

    /// Gives the room another view, which all have who have none of their own. Takes effect at once.
    pub fn set_view(&mut self, view: View) {
        self.engine.set_room_view(self.id, view);
    }

    /// Bounds what all of its participants are sent together; `None`: nothing does. Takes effect at once.
    pub fn set_ceiling(&mut self, ceiling: Option<Bitrate>) {
        self.engine.set_room_ceiling(self.id, ceiling);
    }

    /// Limits video in the room, whatever anybody wishes. Takes effect at once.
    pub fn set_video_limits(&mut self, limits: VideoLimits) {
        self.engine.set_room_video_limits(self.id, limits);
    }

    /// Says below which rate for video its participants get sound alone ([`RoomConfig::least_video`]). Takes effect at
    /// once.
    pub fn set_least_video(&mut self, least: Bitrate) {
        self.engine.set_least_video(self.id, least);
    }

    /// Sends a message to all participants who have an open data channel of this name; says to how many.
    pub fn send(&mut self, label: &str, message: &Message) -> usize {
        self.engine.send_to_room(self.id, None, label, message)
    }

    /// Those who led the talk, the latest first: the first one is the dominant speaker.
    pub fn speakers(&self) -> &[ParticipantId] {
        self.engine.rooms.get(self.id).map_or(&[], |room| room.speakers.speakers())
    }

    /// Those whose audio is forwarded now.
    pub fn heard(&self) -> impl Iterator<Item = ParticipantId> {
        self.engine.rooms.get(self.id).into_iter().flat_map(|room| room.speakers.heard())
    }

    /// Removes everybody and the room itself.
    pub fn close(self) {
        self.engine.close_room(self.id);
    }
}

/// A participant of an engine.
pub struct Participant<'e> {
    pub(super) engine: &'e mut Engine,
    pub(super) id: ParticipantId,
}

impl Participant<'_> {
    /// Its id.
    pub fn id(&self) -> ParticipantId {
        self.id
    }

    /// Takes an offer of the participant's and gives the answer (RFC 8829). An offer of ours that waits
    /// for its answer is rolled back: the engine is the polite side.
    ///
    /// # Errors
    /// [`NegotiationError`] names the line or section that cannot be; nothing has changed.
    pub fn accept_offer(&mut self, sdp: &str) -> Result<String, NegotiationError> {
        self.engine.accept_offer(self.id, sdp)
    }

    /// An offer of ours: what the participant is to receive now (RFC 8829, section 5.2).
    ///
    /// # Errors
    /// [`NegotiationError::State`] while another offer of ours waits for its answer.
    pub fn create_offer(&mut self) -> Result<String, NegotiationError> {
        self.engine.create_offer(self.id)
    }

    /// Takes the answer to the last offer of ours (RFC 8829, section 5.10).
    ///
    /// # Errors
    /// [`NegotiationError`] names the line or section that cannot be, or says that there is no offer;
    /// nothing has changed, and the offer still waits.
    pub fn accept_answer(&mut self, sdp: &str) -> Result<(), NegotiationError> {
        self.engine.accept_answer(self.id, sdp)
    }

    /// Gives up the last offer of ours, whose answer was lost or refused; true if there was one.
    /// [`Event::NegotiationNeeded`](crate::Event::NegotiationNeeded) asks for the next.
    pub fn rollback(&mut self) -> bool {
        self.engine.rollback(self.id)
    }

    /// Restarts ICE without a description, for signalling that exchanges credentials alone, such as
    /// WHIP (RFC 9725, section 4.3.3): takes the participant's new credentials and gives ours. Media
    /// goes on over the old path until one is selected under the new credentials. An offer of ours that
    /// waits for its answer is rolled back: it names credentials that are gone.
    ///
    /// # Errors
    /// [`NegotiationError::State`] before the first offer, or if user fragment or password is the one
    /// in use: a restart changes both (RFC 8839, section 4.4.1.1.1). Nothing has changed then.
    pub fn restart_ice(&mut self, remote: &ice::Credentials) -> Result<ice::Credentials, NegotiationError> {
        self.engine.restart_ice(self.id, remote)
    }

    /// Takes a candidate that came after the description (RFC 8838). With full ICE
    /// ([`EngineConfig::ice`](crate::EngineConfig::ice)), and with a participant that is lite itself, it
    /// is checked. Otherwise the engine is ICE-lite: it sends nothing to an address that it was not
    /// asked from, so candidates are only counted.
    ///
    /// # Errors
    /// [`LimitReached`] past [`crate::limits::CANDIDATES`] since the last restart; the candidate is
    /// ignored.
    pub fn add_remote_candidate(&mut self, candidate: &sdp::Candidate) -> Result<(), LimitReached> {
        self.engine.add_remote_candidate(self.id, candidate)
    }

    /// Whether what it is to receive waits for an offer of ours.
    pub fn needs_negotiation(&self) -> bool {
        self.engine.participants.get(self.id).is_some_and(|participant| participant.negotiation.needed())
    }

    /// Keeps its audio from being forwarded, whatever it sends, until it is set to false again.
    pub fn set_muted(&mut self, muted: bool) {
        self.engine.set_muted(self.id, muted);
    }

    /// Gives it a view of its own instead of its room's ([`RoomConfig::view`]), or with `None` its room's again:
    /// whom it sees and hears without asking for each source. Takes effect at once. Of lists longer than a room the
    /// rest is ignored.
    pub fn set_view(&mut self, view: Option<View>) {
        self.engine.set_view(self.id, view);
    }

    /// Its view: its own or its room's.
    pub fn view(&self) -> View {
        self.engine.view_of(self.id).cloned().unwrap_or_default()
    }

    /// The sources it receives: subscribed to by hand, or in view.
    pub fn seen(&self) -> impl Iterator<Item = SourceId> {
        let participant = self.engine.participants.get(self.id).into_iter();
        let keys = participant.flat_map(|participant| participant.subscriptions.iter());
        let subscriptions = keys.filter_map(|key| self.engine.subscriptions.get(*key));
        subscriptions.filter(|one| !one.hidden).map(|one| one.source)
    }

    /// The sources that were subscribed to by hand.
    pub fn by_hand(&self) -> impl Iterator<Item = SourceId> {
        let participant = self.engine.participants.get(self.id).into_iter();
        let keys = participant.flat_map(|participant| participant.subscriptions.iter());
        let subscriptions = keys.filter_map(|key| self.engine.subscriptions.get(*key));
        subscriptions.filter(|one| one.by_hand).map(|one| one.source)
    }

    /// The shared lines that are negotiated: the mid of each, and the source that it carries.
    pub fn lines(&self) -> impl Iterator<Item = (&str, Option<SourceId>)> {
        let participant = self.engine.participants.get(self.id).into_iter();
        participant.flat_map(|participant| {
            participant.lines.iter().filter_map(|line| {
                let negotiated = participant.negotiation.session().line_of_slot(line.slot)?;
                let subscription = line.carries.and_then(|key| self.engine.subscriptions.get(key));
                Some((negotiated.mid.as_str(), subscription.map(|one| one.source)))
            })
        })
    }

    /// Receives a source of the room by hand: whatever its view is. Doing so twice changes nothing. Where all places
    /// are taken, it takes that of one that is only in view.
    ///
    /// # Errors
    /// [`SubscribeError`]; nothing has changed.
    pub fn subscribe(&mut self, source: SourceId) -> Result<(), SubscribeError> {
        self.engine.subscribe_by_hand(self.id, source)
    }

    /// Says what it wants at most of a source that it is subscribed to, from now on: which of its layers it
    /// gets follows from that and from what there is. Asked for before, it is what holds when media begins. A shared
    /// line keeps it for the source that comes next.
    ///
    /// # Errors
    /// [`SubscribeError::UnknownSource`] if it is not subscribed to it.
    pub fn set_wish(&mut self, source: SourceId, wish: Wish) -> Result<(), SubscribeError> {
        self.engine.set_wish(self.id, source, wish)
    }

    /// Says what it wants at most of each video, besides what it wishes of that one: also of those that are still to
    /// come.
    pub fn set_video_wish(&mut self, wish: Wish) {
        self.engine.set_video_wish(self.id, wish);
    }

    /// The layer of a source that is sent to it now; `None` while nothing is.
    pub fn layer(&self, source: SourceId) -> Option<Layer> {
        self.engine.layer_of(self.id, source)
    }

    /// What its path is believed to carry, and on what that stands; `None` if its feedback tells nothing of it, or it
    /// was sent nothing so far.
    pub fn estimate(&self) -> Option<bwe::Basis> {
        self.engine.estimate_of(self.id)
    }

    /// What each video that it is subscribed to gets of that, and why not more.
    pub fn allocation(&self) -> impl Iterator<Item = Allocation> {
        self.engine.allocation_of(self.id)
    }

    /// Bounds what it is sent in all, by datagrams with their headers; sound is sent in any case. `None`: nothing does
    /// but its path and the ceilings of its room and of the engine. Without feedback of its path it has no effect.
    pub fn set_ceiling(&mut self, ceiling: Option<Bitrate>) {
        self.engine.set_participant_ceiling(self.id, ceiling);
    }

    /// Opens a data channel to it: at once, or as soon as data channels are agreed on, which an offer of ours asks for
    /// ([`Event::NegotiationNeeded`](crate::Event::NegotiationNeeded)).
    /// [`Event::ChannelOpened`](crate::Event::ChannelOpened) follows.
    ///
    /// # Errors
    /// [`OpenError`]; there is no channel.
    pub fn open_channel(&mut self, config: ChannelConfig) -> Result<ChannelId, OpenError> {
        self.engine.open_channel(self.id, config)
    }

    /// Its data channels that are not closed, in the order in which they came.
    pub fn channels(&self) -> impl Iterator<Item = (ChannelId, &ChannelConfig)> {
        let participant = self.engine.participants.get(self.id).into_iter();
        participant.flat_map(|participant| participant.network.list_channels())
    }

    /// Sends a message on a channel: queued and, unless the channel says otherwise, sent until it has arrived.
    ///
    /// # Errors
    /// [`SendError`]; nothing is queued.
    pub fn send(&mut self, channel: ChannelId, message: impl Into<Message>) -> Result<(), SendError> {
        self.engine.send(self.id, channel, &message.into())
    }

    /// Bytes of messages that wait on a channel: what it has not acknowledged yet.
    pub fn buffered(&mut self, channel: ChannelId) -> usize {
        self.engine
            .participants
            .get_mut(self.id)
            .map_or(0, |participant| participant.network.buffered(channel))
    }

    /// Says where the messages that it sends on a channel go from now on, instead of where the room's do
    /// ([`RoomConfig::routes`], [`RoomConfig::route`]).
    ///
    /// # Errors
    /// [`UnknownChannel`] also for one who is not in its room, or is itself.
    pub fn route(&mut self, channel: ChannelId, route: Route) -> Result<(), UnknownChannel> {
        self.engine.route_channel(self.id, channel, route)
    }

    /// Closes a channel: what waits is still sent, nothing more is read.
    pub fn close_channel(&mut self, channel: ChannelId) {
        self.engine.close_channel(self.id, channel);
    }

    /// Says whether a source that it publishes shows a screen ([`SourceInfo::screen`]).
    ///
    /// # Errors
    /// [`SubscribeError::UnknownSource`] if it publishes no such source.
    pub fn set_screen(&mut self, source: SourceId, screen: bool) -> Result<(), SubscribeError> {
        self.engine.set_screen(self.id, source, screen)
    }

    /// Receives a source no longer, whatever its view is, until it is subscribed to by hand.
    pub fn unsubscribe(&mut self, source: SourceId) {
        self.engine.unsubscribe(self.id, source);
    }

    /// What it publishes.
    pub fn sources(&self) -> impl Iterator<Item = &SourceInfo> {
        let keys = self
            .engine
            .participants
            .get(self.id)
            .into_iter()
            .flat_map(|participant| participant.sources.iter());
        keys.filter_map(|key| Some(&self.engine.sources.get(*key)?.info))
    }

    /// What it sent and received so far.
    pub fn stats(&self) -> ParticipantStats {
        self.engine.participant_stats(self.id)
    }

    /// Removes it at once: not one packet goes to it afterwards.
    pub fn leave(self) {
        self.engine.remove(self.id, LeaveReason::Removed);
    }
}

impl Engine {
    fn participant_stats(&self, id: ParticipantId) -> ParticipantStats {
        let Some(participant) = self.participants.get(id) else {
            return ParticipantStats::nobody();
        };
        let traffic = &participant.traffic;
        let streams = participant
            .sources
            .iter()
            .filter_map(|source| self.sources.get(*source))
            .flat_map(|source| source.streams())
            .filter_map(|key| self.streams.get(key));
        ParticipantStats {
            connected: participant.connected,
            round_trip_time: participant.round_trip(),
            datagrams_received: traffic.datagrams_received,
            bytes_received: traffic.bytes_received,
            datagrams_sent: traffic.datagrams_sent,
            bytes_sent: traffic.bytes_sent,
            packets_received: traffic.media_received,
            packets_forwarded: traffic.forwarded,
            retransmitted_packets_sent: traffic.retransmitted,
            feedback_received: traffic.feedback_received,
            requests_refused: traffic.requests_refused.into(),
            packets_missing: streams.map(|stream| stream.missing.len()).sum(),
            packets_queued: participant.egress.len(),
            drops: participant.drops.clone(),
        }
    }
}
