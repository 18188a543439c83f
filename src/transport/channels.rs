//! A participant's data channels (RFC 8831): SCTP below, their names and states by DCEP (RFC 8832).
//!
//! A channel is both directions of one stream. Who opens it takes a number of its own parity, says what it is and may
//! send at once; the other agrees. It ends when either resets its direction. Channels that both ends know by another
//! way ([`ChannelConfig::negotiated`]) are there without a word.

use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::session::{dtls, sctp};
use crate::wire::dcep::{self, Delivery, Message, Open, ppid};
use crate::wire::sctp::Init;
use bytes::Bytes;
use std::collections::VecDeque;
use std::hash::{Hash as _, Hasher};

/// A channel of one participant, by a name that no other one of it ever has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(crate) u32);

/// What a channel is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChannelConfig {
    /// Its name, at most [`limits::CHANNEL_LABEL`] bytes. Names need not differ.
    pub label: String,
    /// What is spoken on it, likewise; empty for nothing in particular.
    pub protocol: String,
    /// How messages are carried.
    pub delivery: Delivery,
    /// Its stream, if both ends know it by another way than a message on the channel itself; below 65,535.
    pub negotiated: Option<u16>,
}

impl ChannelConfig {
    /// A channel of this name that carries all messages in order.
    pub fn new(label: impl Into<String>) -> ChannelConfig {
        let (protocol, delivery) = Default::default();
        ChannelConfig { label: label.into(), protocol, delivery, negotiated: None }
    }
}

/// Why a channel is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There are [`limits::CHANNELS`] already.
    #[error("the participant has as many channels as it may have")]
    LimitReached,
    /// Its label or protocol is longer than [`limits::CHANNEL_LABEL`].
    #[error("the label or protocol is too long")]
    TooLong,
    /// Its stream is another channel's, or none.
    #[error("the stream is in use")]
    StreamInUse,
    /// The participant has left, it may have no data channels, or what carries them has ended.
    #[error("there are no data channels")]
    Unavailable,
}

/// Why a message is not sent. Nothing is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such channel, or it is closed.
    #[error("there is no such channel")]
    UnknownChannel,
    /// It is not open yet.
    #[error("the channel is not open yet")]
    NotOpen,
    /// It is longer than the participant takes, or than [`limits::CHANNEL_MESSAGE`].
    #[error("the message is longer than the participant takes")]
    TooLong,
    /// As much waits on the channel as may ([`limits::CHANNEL_BUFFER`]), or on all of the participant's
    /// ([`limits::SCTP_SEND_BUFFER`]), or it has not acknowledged what was sent
    /// ([`limits::SCTP_UNDER_WAY`]). [`Event::ChannelDrained`](crate::Event::ChannelDrained) tells when it goes on.
    #[error("too much waits on the channel")]
    BufferFull,
}

/// Why a channel is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The participant closed it.
    Peer,
    /// The embedder did.
    Removed,
    /// The participant took too slowly what came for it ([`limits::CHANNEL_BUFFER`]).
    SlowReader,
    /// The participant broke the protocol of channels: another message than it may be, or a stream that is not its own.
    Protocol,
    /// The association below is over.
    Lost(sctp::EndReason),
    /// The DTLS association below began anew.
    Restarted,
}

impl CloseReason {
    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            CloseReason::Peer => "peer",
            CloseReason::Removed => "removed",
            CloseReason::SlowReader => "slow_reader",
            CloseReason::Protocol => "dcep",
            CloseReason::Lost(reason) => reason.name(),
            CloseReason::Restarted => "restarted",
        }
    }
}

/// Facts for the engine.
#[derive(Debug)]
pub(crate) enum Event {
    /// A channel can be used; `ours` if it was asked for here.
    Opened {
        channel: ChannelId,
        ours: bool,
    },
    Message {
        channel: ChannelId,
        text: bool,
        data: Bytes,
    },
    Closed {
        channel: ChannelId,
        reason: CloseReason,
    },
    Drained {
        channel: ChannelId,
    },
    /// Something was dropped.
    Refused(Refusal),
}

/// Why something of a peer's was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Sctp(sctp::Refusal),
    Dcep(dcep::Fault),
    /// A message of the protocol of channels that has no place, or another message without a channel.
    Misplaced,
    /// One channel too many.
    TooMany,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    /// There is no association yet.
    Waiting,
    /// The peer was asked, and did not answer yet.
    Opening,
    Open,
    /// Its stream is being reset, and its number not free yet.
    Closing,
}

#[derive(Debug)]
struct Channel {
    id: ChannelId,
    /// Given out with the association.
    stream: Option<u16>,
    state: State,
    config: ChannelConfig,
}

/// All channels of a participant.
pub(crate) struct Channels {
    /// As agreed on.
    config: sctp::Config,
    association: Option<sctp::Association>,
    channels: Vec<Channel>,
    /// The last bit of the numbers that are ours: the DTLS client has the even ones (RFC 8832, section 6).
    parity: u16,
    created: u32,
    events: VecDeque<Event>,
}

impl Channels {
    pub(crate) fn new() -> Channels {
        Channels {
            config: sctp::Config::default(),
            association: None,
            channels: Vec::new(),
            parity: 0,
            created: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes what was agreed on; of effect on the next association.
    pub(crate) fn agree(&mut self, peer_port: u16, peer_message: u64) {
        // None is any (RFC 8841, section 6).
        let most = usize::try_from(peer_message).ok().filter(|most| *most > 0);
        self.config.peer_message = most.unwrap_or(usize::MAX);
        self.config.peer_port = peer_port;
    }

    /// A DTLS association carries packets of so many bytes from now on.
    ///
    /// `inits` are what both ends have said in their descriptions, if they did: then there is no handshake.
    pub(crate) fn connect(
        &mut self,
        role: dtls::Role,
        packet: usize,
        inits: Option<(Init, Init)>,
        random: Random,
        now: Instant,
    ) {
        self.end(CloseReason::Restarted);
        let (parity, active) = match role {
            dtls::Role::Client => (0, sctp::Role::Active),
            dtls::Role::Server => (1, sctp::Role::Passive),
        };
        self.parity = parity;
        let config = sctp::Config { packet, ..self.config };
        self.association = Some(match inits {
            Some((ours, peer)) => sctp::Association::with_inits(config, ours, peer, now),
            None => sctp::Association::new(config, active, random, now),
        });
    }

    /// Whether there is an association.
    pub(crate) fn is_begun(&self) -> bool {
        self.association.is_some()
    }

    /// The association is over, and no other one begins before DTLS or the description does: what it still has to say
    /// is said, and what was to come does not.
    fn lose(&mut self, reason: sctp::EndReason) {
        let live = self.channels.drain(..).filter(|channel| channel.state != State::Closing);
        let reason = CloseReason::Lost(reason);
        self.events.extend(live.map(|channel| Event::Closed { channel: channel.id, reason }));
    }

    /// Nothing carries packets any more: what had a stream is closed.
    pub(crate) fn end(&mut self, reason: CloseReason) {
        self.association = None;
        let events = &mut self.events;
        self.channels.retain(|channel| {
            if matches!(channel.state, State::Opening | State::Open) {
                events.push_back(Event::Closed { channel: channel.id, reason });
            }
            channel.state == State::Waiting
        });
    }

    /// No association comes: what waits for one is closed.
    pub(crate) fn refuse_waiting(&mut self) {
        let waiting: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|channel| channel.state == State::Waiting)
            .map(|one| one.id)
            .collect();
        waiting.into_iter().for_each(|id| self.close(id, CloseReason::Peer));
    }

    /// Takes a packet of the association's.
    ///
    /// # Errors
    /// Why it, or a part of it, was dropped.
    pub(crate) fn handle_packet(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
        let association = self.association.as_mut();
        let association = association.ok_or(Refusal::Sctp(sctp::Refusal::Dropped(sctp::Drop::Ended)))?;
        association.handle_packet(now, data).map_err(Refusal::Sctp)
    }

    /// Folds what packets may change into the digest of the engine's state (I-03).
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        (self.parity, self.created, self.events.len()).hash(state);
        for Channel { id, stream, state: phase, config } in &self.channels {
            (id, stream, phase, config).hash(state);
        }
        if let Some(association) = &self.association {
            association.digest(state);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(association) = &mut self.association {
            association.handle_timeout(now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.association.as_ref()?.poll_timeout()
    }

    pub(crate) fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<usize> {
        self.association.as_mut()?.poll_transmit(now, buf)
    }

    /// The next fact. Messages wait in their association until they are asked for.
    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            match self.association.as_mut()?.poll_event()? {
                sctp::Event::Connected => self.open_waiting(),
                sctp::Event::Message { stream, ppid: ppid::DCEP, data } => self.on_dcep(stream, &data),
                sctp::Event::Message { stream, ppid, data } => self.on_message(stream, ppid, data),
                sctp::Event::Closed { stream } => {
                    if let Some(channel) =
                        self.of_stream(stream).filter(|channel| channel.state != State::Closing)
                    {
                        channel.state = State::Closing;
                        let channel = channel.id;
                        self.events.push_back(Event::Closed { channel, reason: CloseReason::Peer });
                    }
                }
                sctp::Event::Released { stream } => {
                    self.channels
                        .retain(|channel| channel.stream != Some(stream) || channel.state != State::Closing);
                }
                sctp::Event::Drained { stream } => {
                    if let Some(channel) = self.of_stream(stream) {
                        let channel = channel.id;
                        self.events.push_back(Event::Drained { channel });
                    }
                }
                sctp::Event::Dropped(reason) => {
                    self.events.push_back(Event::Refused(Refusal::Sctp(sctp::Refusal::Dropped(reason))));
                }
                sctp::Event::Ended(reason) => self.lose(reason),
            }
        }
    }

    /// The association is there: channels that were asked for before begin.
    fn open_waiting(&mut self) {
        let waiting = self.channels.iter().filter(|channel| channel.state == State::Waiting);
        for id in waiting.map(|channel| channel.id).collect::<Vec<_>>() {
            self.begin(id);
        }
    }

    fn on_dcep(&mut self, stream: u16, data: &[u8]) {
        let asked = stream % 2 == self.parity;
        match Message::parse(data) {
            Ok(Message::Open(open)) => self.on_open(stream, &open),
            Ok(Message::Ack) => match self.of_stream(stream) {
                Some(channel) if channel.state == State::Opening => {
                    channel.state = State::Open;
                    let channel = channel.id;
                    self.events.push_back(Event::Opened { channel, ours: true });
                }
                // A message that overtook it has said as much.
                Some(channel) if channel.state == State::Open && asked => {}
                _ => self.refuse(stream, Refusal::Misplaced),
            },
            Err(error) => self.refuse(stream, Refusal::Dcep(error.fault)),
        }
    }

    fn on_open(&mut self, stream: u16, open: &Open<'_>) {
        // A number of ours, or in use (RFC 8832, section 6).
        if stream % 2 == self.parity || self.of_stream(stream).is_some() {
            return self.refuse(stream, Refusal::Misplaced);
        }
        if self.is_full() {
            return self.refuse(stream, Refusal::TooMany);
        }
        let config = ChannelConfig {
            label: open.label.to_owned(),
            protocol: open.protocol.to_owned(),
            delivery: open.delivery,
            negotiated: None,
        };
        let id = self.add(config, Some(stream), State::Open);
        // What finds no room is no loss: data that is sent tells as much (section 6).
        let _ = self.say(stream, &Message::Ack);
        self.events.push_back(Event::Opened { channel: id, ours: false });
    }

    fn on_message(&mut self, stream: u16, kind: u32, data: Bytes) {
        let Some(channel) = self.of_stream(stream).filter(|channel| channel.state != State::Closing) else {
            return self.refuse(stream, Refusal::Misplaced);
        };
        let id = channel.id;
        if channel.state == State::Opening {
            // The agreement is behind it, or lost.
            channel.state = State::Open;
            self.events.push_back(Event::Opened { channel: id, ours: true });
        }
        let (text, data) = match kind {
            ppid::STRING => (true, data),
            ppid::STRING_EMPTY => (true, Bytes::new()),
            ppid::BINARY => (false, data),
            _ => (false, Bytes::new()),
        };
        self.events.push_back(Event::Message { channel: id, text, data });
    }

    /// Closes what a peer used wrongly: its channel, if it is one, or the stream alone.
    fn refuse(&mut self, stream: u16, refusal: Refusal) {
        self.events.push_back(Event::Refused(refusal));
        match self.of_stream(stream).map(|channel| channel.id) {
            Some(id) => self.close(id, CloseReason::Protocol),
            None => self.reset(stream),
        }
    }

    fn reset(&mut self, stream: u16) {
        if let Some(association) = &mut self.association {
            association.close(stream);
        }
    }

    /// Opens a channel: at once, or when there is an association.
    pub(crate) fn open(&mut self, config: ChannelConfig) -> Result<ChannelId, OpenError> {
        if config.label.len().max(config.protocol.len()) > limits::CHANNEL_LABEL {
            return Err(OpenError::TooLong);
        }
        if self.association.as_ref().is_some_and(sctp::Association::is_ended) {
            return Err(OpenError::Unavailable);
        }
        if self.is_full() {
            return Err(OpenError::LimitReached);
        }
        if config.negotiated.is_some_and(|stream| stream == u16::MAX || self.of_stream(stream).is_some()) {
            return Err(OpenError::StreamInUse);
        }
        let stream = config.negotiated;
        let id = self.add(config, stream, State::Waiting);
        if self.association.as_ref().is_some_and(sctp::Association::is_connected) {
            self.begin(id);
        }
        Ok(id)
    }

    fn add(&mut self, config: ChannelConfig, stream: Option<u16>, state: State) -> ChannelId {
        self.created = self.created.wrapping_add(1);
        let id = ChannelId(self.created);
        self.channels.push(Channel { id, stream, state, config });
        id
    }

    /// Gives a channel its stream and tells the peer.
    fn begin(&mut self, id: ChannelId) {
        let parity = self.parity;
        let used = |stream: u16| self.channels.iter().any(|channel| channel.stream == Some(stream));
        let free = (0..u16::MAX).find(|stream| stream % 2 == parity && !used(*stream));
        let Some(channel) = self.get(id) else { return };
        if let Some(stream) = channel.config.negotiated {
            channel.state = State::Open;
            self.events.push_back(Event::Opened { channel: id, ours: true });
            if let Some(association) = &mut self.association {
                association.open(stream);
            }
            return;
        }
        // There are far fewer channels than streams.
        let Some(stream) = free else { return };
        (channel.stream, channel.state) = (Some(stream), State::Opening);
        let ChannelConfig { label, protocol, delivery, .. } = channel.config.clone();
        let open = Open { delivery, priority: 256, label: &label, protocol: &protocol };
        match self.say(stream, &Message::Open(open)) {
            Ok(()) => {}
            Err(sctp::SendError::BufferFull) => self.close(id, CloseReason::SlowReader),
            // The peer has used a number of ours.
            Err(_) => self.close(id, CloseReason::Protocol),
        }
    }

    fn say(&mut self, stream: u16, message: &Message<'_>) -> Result<(), sctp::SendError> {
        let mut out = Vec::new();
        // Lengths were checked.
        let _ = message.write(&mut out);
        let association = self.association.as_mut().ok_or(sctp::SendError::NotConnected)?;
        association.send(stream, ppid::DCEP, &out.into(), Delivery::default())
    }

    /// Queues a message on a channel, whose bytes are shared.
    pub(crate) fn send(&mut self, id: ChannelId, text: bool, data: &Bytes) -> Result<(), SendError> {
        let channel = self.get(id).ok_or(SendError::UnknownChannel)?;
        let (delivery, stream) = match (channel.state, channel.stream) {
            (State::Open, Some(stream)) => (channel.config.delivery, stream),
            // Behind the message that opens it, in order until the peer has agreed (RFC 8832, section 6).
            (State::Opening, Some(stream)) => (Delivery { ordered: true, ..channel.config.delivery }, stream),
            (State::Closing, _) => return Err(SendError::UnknownChannel),
            _ => return Err(SendError::NotOpen),
        };
        let association = self.association.as_mut().ok_or(SendError::NotOpen)?;
        let (kind, empty) =
            if text { (ppid::STRING, ppid::STRING_EMPTY) } else { (ppid::BINARY, ppid::BINARY_EMPTY) };
        let nothing = Bytes::from_static(&[0]);
        let (kind, data) = if data.is_empty() { (empty, &nothing) } else { (kind, data) };
        association.send(stream, kind, data, delivery).map_err(|error| match error {
            sctp::SendError::TooLong => SendError::TooLong,
            sctp::SendError::BufferFull => SendError::BufferFull,
            sctp::SendError::NotConnected => SendError::NotOpen,
            sctp::SendError::StreamClosed | sctp::SendError::UnknownProtocol => SendError::UnknownChannel,
        })
    }

    /// Closes a channel and says why.
    pub(crate) fn close(&mut self, id: ChannelId, reason: CloseReason) {
        let Some(channel) = self.get(id).filter(|channel| channel.state != State::Closing) else { return };
        let before = std::mem::replace(&mut channel.state, State::Closing);
        let stream = channel.stream;
        self.events.push_back(Event::Closed { channel: id, reason });
        match stream.filter(|_| before != State::Waiting) {
            Some(stream) => self.reset(stream),
            None => self.channels.retain(|channel| channel.id != id),
        }
    }

    /// Bytes that wait on a channel.
    pub(crate) fn buffered(&mut self, id: ChannelId) -> usize {
        let stream = self.get(id).and_then(|channel| channel.stream);
        let association = self.association.as_mut();
        association.zip(stream).map_or(0, |(association, stream)| association.buffered_on(stream))
    }

    /// What a channel is, while it is not closed.
    pub(crate) fn config(&self, id: ChannelId) -> Option<&ChannelConfig> {
        let live = self.channels.iter().filter(|channel| channel.state != State::Closing);
        live.into_iter().find(|channel| channel.id == id).map(|channel| &channel.config)
    }

    /// Those that are not closed, in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChannelId, &ChannelConfig)> {
        let live = self.channels.iter().filter(|channel| channel.state != State::Closing);
        live.map(|channel| (channel.id, &channel.config))
    }

    /// The first open channel of a name.
    pub(crate) fn by_label(&self, label: &str) -> Option<ChannelId> {
        let mut open =
            self.channels.iter().filter(|channel| matches!(channel.state, State::Open | State::Opening));
        open.find(|channel| channel.config.label == label).map(|channel| channel.id)
    }

    /// Whether there are as many channels as there may be, or as many streams with those that are being closed.
    fn is_full(&self) -> bool {
        let live = self.channels.iter().filter(|channel| channel.state != State::Closing).count();
        live >= limits::CHANNELS || self.channels.len() >= limits::SCTP_STREAMS
    }

    fn get(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.id == id)
    }

    fn of_stream(&mut self, stream: u16) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.stream == Some(stream))
    }
}
