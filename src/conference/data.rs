//! Data channels in a conference: whose messages go where.
//!
//! What a participant sends on a channel goes by a [`Route`], the channel's, its name's or its room's: to the embedder, to the room, to one. A relayed
//! message is one buffer, shared by all who get it; nothing of it is read. It goes to the receivers' channels of the same
//! name, and who has none does not get it. A sender above its rate is not read from, so that its own window holds it
//! back; a receiver below it loses its channel, and nobody waits for it.

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::conference::budget::Bucket;
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::event::Event;
use crate::conference::ids::{ParticipantId, RoomId};
use crate::conference::participant::{ParticipantState, Timer};
use crate::transport::channels::{self, ChannelConfig, ChannelId, CloseReason, OpenError, SendError};
use crate::transport::network::Agreed;
use crate::wire::dcep::Reliability;
use bytes::Bytes;

/// A message on a data channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whether it was sent as text; that it is UTF-8 is its sender's word.
    pub text: bool,
    /// Its bytes, at most [`limits::CHANNEL_MESSAGE`].
    pub data: Bytes,
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message { text: true, data: text.into() }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        text.to_owned().into()
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Message {
        Message { text: false, data }
    }
}

/// Where the messages of a participant's channel go.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Route {
    /// To the embedder: [`Event::Message`].
    #[default]
    Server,
    /// To all others of the room who have a channel of that name.
    Room {
        /// Whether the embedder gets them too.
        copied: bool,
    },
    /// To one other of the room, on its channel of that name.
    One(ParticipantId),
}

/// There is no such channel, or nobody there whom its messages could go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such channel, or no such participant in the room")]
pub struct UnknownChannel;

/// What a participant is owed and allowed of messages.
#[derive(Debug)]
pub(super) struct Messages {
    count: Bucket,
    bytes: Bucket,
    at: Instant,
    /// Of channels that do not go the room's way.
    routes: Vec<(ChannelId, Route)>,
}

impl Messages {
    pub(super) fn new(now: Instant) -> Messages {
        let count = Bucket::full(limits::CHANNEL_MESSAGES_PER_SECOND);
        Messages { count, bytes: Bucket::full(limits::CHANNEL_BYTES_PER_SECOND), at: now, routes: Vec::new() }
    }

    /// Whether another one may be read; if not, when to ask again.
    fn allows(&mut self, now: Instant) -> Result<(), Instant> {
        let micros = u64::try_from((now - self.at).as_micros()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        (self.count, self.bytes) = (self.count.refilled(micros), self.bytes.refilled(micros));
        // How long the next one is shows when it is read: there is room for the longest.
        let wait = self.count.wait(1).max(self.bytes.wait(limits::CHANNEL_MESSAGE as u64));
        if wait == 0 { Ok(()) } else { Err(self.at + Duration::from_micros(wait)) }
    }

    fn take(&mut self, bytes: usize) {
        self.count.take(1);
        self.bytes.take(bytes as u64);
    }

    fn route(&self, channel: ChannelId) -> Option<Route> {
        self.routes.iter().find(|(id, _)| *id == channel).map(|(_, route)| *route)
    }
}

impl From<channels::Refusal> for DropReason {
    fn from(refusal: channels::Refusal) -> Self {
        use crate::session::sctp;
        match refusal {
            channels::Refusal::Sctp(sctp::Refusal::Malformed(fault)) => DropReason::SctpPacket(fault),
            channels::Refusal::Sctp(sctp::Refusal::Dropped(reason)) => DropReason::Sctp(reason),
            channels::Refusal::Dcep(fault) => DropReason::Dcep(fault),
            channels::Refusal::Misplaced => DropReason::ChannelProtocol,
            channels::Refusal::TooMany => DropReason::ChannelLimit,
        }
    }
}

impl Engine {
    /// Reads what a participant's channels have to say, as far as it may now.
    pub(super) fn drain_channels(&mut self, now: Instant, id: ParticipantId) {
        loop {
            let Some(participant) = self.participants.get_mut(id) else { return };
            if !participant.network.has_channels() {
                return;
            }
            if let Err(at) = participant.messages.allows(now) {
                participant.timers.arm(Timer::Messages, at);
                break;
            }
            let Some(event) = participant.network.poll_channels() else { break };
            match event {
                channels::Event::Message { channel, text, data } => {
                    participant.messages.take(data.len());
                    self.traffic.messages_received += 1;
                    self.relay(id, channel, Message { text, data });
                }
                channels::Event::Opened { channel, ours } => {
                    participant.messages.take(0);
                    let Some(config) = participant.network.channel(channel).cloned() else { continue };
                    self.emit(Event::ChannelOpened { participant: id, channel, config, ours });
                }
                channels::Event::Closed { channel, reason } => {
                    participant.messages.routes.retain(|(routed, _)| *routed != channel);
                    self.emit(Event::ChannelClosed { participant: id, channel, reason });
                }
                channels::Event::Drained { channel } => {
                    self.emit(Event::ChannelDrained { participant: id, channel });
                }
                channels::Event::Refused(refusal) => self.drop_message(id, refusal.into()),
            }
        }
        // There may be acknowledgements to send.
        self.make_data_ready(id);
        self.requeue(id);
    }

    /// Counts a message, or what was to be a part of one, of or for a participant.
    pub(super) fn drop_message(&mut self, id: ParticipantId, reason: DropReason) {
        self.traffic.messages_dropped += 1;
        self.count_drop(Some(id), reason);
    }

    /// Puts a participant whose channels may have something to send in the line.
    fn make_data_ready(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        participant.egress.data = true;
        if !participant.egress.ready {
            participant.egress.ready = true;
            self.ready.push_back(id);
        }
    }

    /// Sends a message on its way.
    fn relay(&mut self, from: ParticipantId, channel: ChannelId, message: Message) {
        let Some(sender) = self.participants.get(from) else { return };
        let Some(room) = self.rooms.get(sender.room) else { return };
        let Some(label) = sender.network.channel(channel).map(|config| config.label.clone()) else { return };
        let of_name = || room.config.routes.iter().find(|(name, _)| *name == label).map(|(_, route)| *route);
        let route = sender.messages.route(channel).or_else(of_name).unwrap_or(room.config.route);
        let (room, stamps) = (sender.room, room.config.stamps);
        if matches!(route, Route::Server | Route::Room { copied: true }) {
            self.emit(Event::Message { participant: from, channel, message: message.clone() });
        }
        if route == Route::Server {
            return;
        }
        let Some(sender) = self.participants.get(from) else { return };
        let message = if stamps { stamped(&sender.config.label, &message) } else { message };
        if message.data.len() > limits::CHANNEL_MESSAGE {
            return self.drop_message(from, DropReason::ChannelTooLong);
        }
        match route {
            Route::One(to) if !self.participants.contains(to) => {
                self.drop_message(from, DropReason::ChannelMissing);
            }
            Route::One(to) => self.hand_over(room, to, &label, &message),
            _ => drop(self.send_to_room(room, Some(from), &label, &message)),
        }
    }

    /// Sends a message to all of a room who have a channel of that name, but for its sender; says to how many.
    pub(super) fn send_to_room(
        &mut self,
        room: RoomId,
        from: Option<ParticipantId>,
        label: &str,
        message: &Message,
    ) -> usize {
        let before = self.traffic.messages_sent;
        let mut at = 0;
        while let Some(&to) = self.rooms.get(room).and_then(|room| room.participants.get(at)) {
            at += 1;
            if Some(to) != from {
                self.hand_over(room, to, label, message);
            }
        }
        usize::try_from(self.traffic.messages_sent - before).unwrap_or(usize::MAX)
    }

    /// Queues a message for one of a room, on its channel of that name.
    fn hand_over(&mut self, room: RoomId, to: ParticipantId, label: &str, message: &Message) {
        let Some(receiver) = self.participants.get_mut(to).filter(|receiver| receiver.room == room) else {
            return;
        };
        let Some(channel) = receiver.network.channel_named(label) else {
            return self.drop_message(to, DropReason::ChannelMissing);
        };
        match self.send(to, channel, message) {
            Ok(()) => {}
            Err(SendError::BufferFull) => self.on_slow(to, channel),
            Err(SendError::TooLong) => self.drop_message(to, DropReason::ChannelTooLong),
            Err(_) => self.drop_message(to, DropReason::ChannelMissing),
        }
    }

    /// A message found no room on a channel: a reliable one has lost its promise and is closed.
    fn on_slow(&mut self, id: ParticipantId, channel: ChannelId) {
        self.drop_message(id, DropReason::ChannelFull);
        let now = self.now;
        let Some(participant) = self.participants.get_mut(id) else { return };
        let reliable = participant
            .network
            .channel(channel)
            .is_some_and(|config| config.delivery.reliability == Reliability::Reliable);
        if reliable {
            participant.network.close_channel(channel, CloseReason::SlowReader);
            // Told at the next turn: this may be in the middle of somebody else's.
            self.arm(id, Timer::Messages, now);
        }
    }

    pub(super) fn send(
        &mut self,
        id: ParticipantId,
        channel: ChannelId,
        message: &Message,
    ) -> Result<(), SendError> {
        let participant = self.participants.get_mut(id).ok_or(SendError::UnknownChannel)?;
        participant.network.send(channel, message.text, &message.data)?;
        self.traffic.messages_sent += 1;
        self.make_data_ready(id);
        Ok(())
    }

    pub(super) fn open_channel(
        &mut self,
        id: ParticipantId,
        config: ChannelConfig,
    ) -> Result<ChannelId, OpenError> {
        let data = self.config.data;
        let participant = self.participants.get_mut(id).filter(|participant| data && participant.config.data);
        let participant = participant.ok_or(OpenError::Unavailable)?;
        let channel = participant.network.open_channel(config)?;
        participant.negotiation.want_data();
        self.announce_negotiation(id);
        self.arm(id, Timer::Messages, self.now);
        self.make_data_ready(id);
        Ok(channel)
    }

    pub(super) fn close_channel(&mut self, id: ParticipantId, channel: ChannelId) {
        if let Some(participant) = self.participants.get_mut(id) {
            participant.network.close_channel(channel, CloseReason::Removed);
            self.arm(id, Timer::Messages, self.now);
            self.make_data_ready(id);
        }
    }

    pub(super) fn route_channel(
        &mut self,
        id: ParticipantId,
        channel: ChannelId,
        route: Route,
    ) -> Result<(), UnknownChannel> {
        let room_of = |engine: &Engine, id| engine.participants.get(id).map(|participant| participant.room);
        let stranger = match route {
            Route::One(to) => to == id || room_of(self, to) != room_of(self, id),
            _ => false,
        };
        let participant = self.participants.get_mut(id).ok_or(UnknownChannel)?;
        if stranger || participant.network.channel(channel).is_none() {
            return Err(UnknownChannel);
        }
        let routes = &mut participant.messages.routes;
        routes.retain(|(routed, _)| *routed != channel);
        routes.push((channel, route));
        Ok(())
    }
}

/// The message behind the name of who sent it: one byte that is its length, then the name, and text stays text.
fn stamped(label: &str, message: &Message) -> Message {
    let name = label.as_bytes();
    let mut data = Vec::with_capacity(1 + name.len() + message.data.len());
    // Labels have 64 bytes at most.
    data.push(name.len() as u8);
    data.extend(name);
    data.extend(&message.data);
    Message { text: message.text, data: data.into() }
}

// The length is one byte of UTF-8.
const _: () = assert!(limits::LABEL < 128);

impl ParticipantState {
    /// Takes what a session says of data channels.
    pub(super) fn apply_data(&mut self, now: Instant) {
        let agreed = self.negotiation.session().data.as_ref();
        self.network.set_data(
            now,
            agreed.map(|data| Agreed {
                port: data.sctp_port,
                largest: data.max_message_size,
                init: data.init.clone(),
            }),
        );
        if agreed.is_none() && !self.negotiation.wants_data() {
            self.network.refuse_channels();
        }
    }
}
