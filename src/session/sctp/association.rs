//! One association: the handshake, then the library's, behind the guard.

use super::backlog::Backlogs;
use super::guard::{Guard, House, Shown};
use super::handshake::{self, Handshake, Step, cookie_ack};
use super::outcome::{Drop, EndReason, Refusal, SendError};
use super::outgoing::{fitted, note};
use crate::base::digest::debug;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{Instant, clock};
use crate::wire::dcep::{Delivery, Reliability, ppid};
use crate::wire::sctp::{Init, Packet, PacketWriter, Ports, kind};
use bytes::Bytes;
use sctp_proto::{
    Chunks, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload, PayloadProtocolIdentifier,
    ReliabilityType, StreamEvent, TransportConfig,
};
use std::collections::VecDeque;
use std::hash::{Hash as _, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// This end, at once.
    Active,
    /// The peer; this end too, if nothing came for [`limits::SCTP_PATIENCE`].
    Passive,
}

/// What an association keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Bytes of a packet at most: what fits into a record of DTLS. At least 500.
    pub packet: usize,
    /// Bytes of a message that the peer takes at most (`a=max-message-size`, RFC 8841, section 6).
    pub peer_message: usize,
    /// The port of both ends (`a=sctp-port`).
    pub port: u16,
    /// The peer's port.
    pub peer_port: u16,
}

impl Default for Config {
    fn default() -> Self {
        Config { packet: 1_100, peer_message: limits::CHANNEL_MESSAGE, port: 5_000, peer_port: 5_000 }
    }
}

/// A fact for the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Messages can be sent from now on.
    Connected,
    /// A message, whole.
    Message {
        /// The stream that it came on.
        stream: u16,
        /// What it is: one of [`ppid`], never another.
        ppid: u32,
        /// Its bytes.
        data: Bytes,
    },
    /// The peer closed a stream, or agreed to its end: what was on its way has come, nothing more does. This end's
    /// half closes by itself.
    Closed {
        /// Which.
        stream: u16,
    },
    /// A closed stream's number may be used again.
    Released {
        /// Which.
        stream: u16,
    },
    /// A stream had no room for a message, and has it for the largest: no more than [`limits::SCTP_LOW`] waits on it.
    Drained {
        /// Which.
        stream: u16,
    },
    /// A message was dropped.
    Dropped(Drop),
    /// It is over. Nothing follows.
    Ended(EndReason),
}

/// One association. What waits in it is bounded; its calls may come in any order.
pub struct Association {
    config: Config,
    phase: Phase,
    outgoing: VecDeque<Bytes>,
    events: VecDeque<Event>,
    /// Streams with messages to fetch, in the order in which they had them.
    readable: VecDeque<u16>,
    /// The latest moment seen.
    now: Instant,
}

enum Phase {
    Handshake(Handshake),
    Established(Box<Established>),
    Ended,
}

/// Behind the handshake.
struct Established {
    ours: Init,
    peer: Init,
    /// Of packets of the peer's.
    ports: Ports,
    endpoint: Endpoint,
    inner: sctp_proto::Association,
    guard: Guard,
    backlogs: Backlogs,
    /// Streams that are closed once nothing waits on them: until then they are read, and what comes is of no use.
    closing: Vec<u16>,
    /// Streams that are closed, and whose peer has not agreed yet.
    closed: Vec<u16>,
    /// Streams that had no room for a message, and whose owner was not told yet that there is some again.
    full: Vec<u16>,
}

/// The library wants to know where its packets go; here they go into DTLS.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

impl Association {
    /// An association that begins, once [`Self::handle_timeout`] is called or the peer's first packet comes. Tags and
    /// numbers follow from `random`.
    pub fn new(config: Config, role: Role, mut random: Random, now: Instant) -> Association {
        let handshake = Handshake::new(role == Role::Active, &mut random, now);
        Association::in_phase(config, Phase::Handshake(handshake), now)
    }

    /// What an end may say of itself in its description (`a=sctp-init`, draft-hancke-tsvwg-snap-00), for
    /// [`with_inits`](Self::with_inits); tag and first number are random.
    pub fn init(tag: u32, tsn: u32) -> Init {
        handshake::init(tag, tsn)
    }

    /// An association of which both ends have told in their descriptions how it begins: it is established, without a
    /// handshake (draft-hancke-tsvwg-snap-00, section 5). It has ended if the library cannot begin so.
    pub fn with_inits(config: Config, ours: Init, peer: Init, now: Instant) -> Association {
        let mut association = Association::in_phase(config, Phase::Ended, now);
        // Who begins a handshake all the same is answered.
        let cookie = [ours.tag.to_be_bytes(), ours.tsn.to_be_bytes()].concat();
        association.establish(Init { cookie, ..ours }, peer);
        association
    }

    fn in_phase(config: Config, phase: Phase, now: Instant) -> Association {
        let (outgoing, events, readable) = Default::default();
        let config = Config { packet: config.packet.max(500), ..config };
        Association { config, phase, outgoing, events, readable, now }
    }

    /// Takes a packet: the contents of a record of DTLS.
    ///
    /// # Errors
    /// Why it, or the last chunk that was left out of it, was dropped; the rest of it is taken.
    pub fn handle_packet(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
        self.now = self.now.max(now);
        let packet = Packet::parse(data).map_err(|error| Refusal::Malformed(error.fault))?;
        let expected = Ports { source: self.config.peer_port, destination: self.config.port };
        if packet.ports() != expected {
            return Err(Refusal::Dropped(Drop::Ports));
        }
        let first = packet.chunks().next().map(|chunk| chunk.kind);
        let init = first == Some(kind::INIT);
        let tag = match &self.phase {
            Phase::Handshake(handshake) => handshake.tag(),
            Phase::Established(established) => established.ours.tag,
            Phase::Ended => return Err(Refusal::Dropped(Drop::Ended)),
        };
        // An INIT has none (RFC 9260, section 8.5.1). An ABORT of who knows no tag of ours has its own back: that
        // one is not believed, since DTLS tells the end of what it carries.
        if packet.verification_tag() != if init { 0 } else { tag } {
            return Err(Refusal::Dropped(Drop::Tag));
        }
        let shaken = self.shake(now, &packet)?;
        self.show(now, &packet, shaken)
    }

    /// What a packet does to a handshake, or what it still wants of one that is over: how many of its chunks were for
    /// that.
    fn shake(&mut self, now: Instant, packet: &Packet<'_>) -> Result<usize, Refusal> {
        let Some(chunk) = packet.chunks().next() else { return Ok(0) };
        let mut reply = None;
        let result = match &mut self.phase {
            Phase::Handshake(_) if chunk.kind == kind::ABORT => {
                self.end(EndReason::Aborted, None);
                Ok(1)
            }
            Phase::Handshake(handshake) => match handshake.handle(now, &chunk) {
                Step::Goes(answer) => {
                    reply = answer;
                    Ok(1)
                }
                Step::Done(answer) => {
                    reply = answer;
                    self.end_handshake();
                    Ok(1)
                }
                Step::Refused(refusal) => Err(refusal),
            },
            Phase::Established(established) => match chunk.kind {
                // The answer to it was late or lost.
                kind::INIT if Init::parse(chunk.value).is_ok_and(|init| init.tag == established.peer.tag) => {
                    reply = Some(Handshake::init_ack(&established.ours, &established.peer));
                    Err(Refusal::Dropped(Drop::Handshake))
                }
                kind::INIT => Err(Refusal::Dropped(Drop::Restart)),
                kind::COOKIE_ECHO if chunk.value == established.ours.cookie => {
                    reply = Some(cookie_ack(established.peer.tag));
                    Ok(1)
                }
                _ => Ok(0),
            },
            Phase::Ended => Ok(0),
        };
        if let Some(reply) = reply {
            self.push(reply.write(self.ports()));
        }
        result
    }

    fn ports(&self) -> Ports {
        Ports { source: self.config.port, destination: self.config.peer_port }
    }

    /// Queues an answer, if there is room; one that finds none is asked for again.
    fn push(&mut self, packet: Vec<u8>) -> bool {
        let fits = self.outgoing.len() < limits::SCTP_UNPOLLED;
        if fits {
            self.outgoing.push_back(packet.into());
        }
        fits
    }

    /// The library goes on from here.
    fn end_handshake(&mut self) {
        let Phase::Handshake(handshake) = std::mem::replace(&mut self.phase, Phase::Ended) else { return };
        if let Some((ours, peer)) = handshake.into_ends() {
            self.establish(ours, peer);
        }
    }

    fn establish(&mut self, ours: Init, peer: Init) {
        let tag = peer.tag;
        match Established::new(&self.config, ours, peer) {
            Some(established) => {
                self.phase = Phase::Established(Box::new(established));
                self.events.push_back(Event::Connected);
                self.pump();
            }
            // A number or tag that the library does not begin with.
            None => {
                self.abort(tag, cause::OUT_OF_RESOURCE);
                self.events.push_back(Event::Ended(EndReason::Protocol));
            }
        }
    }

    /// Shows the library what it may see of a packet, but for its first chunks.
    fn show(&mut self, now: Instant, packet: &Packet<'_>, shaken: usize) -> Result<(), Refusal> {
        let Phase::Established(established) = &mut self.phase else { return Ok(()) };
        let house = House {
            readable: self.readable.make_contiguous(),
            full: self.events.len() >= limits::SCTP_EVENTS,
            streams: &established.inner.stream_ids(),
            closed: &established.closed,
        };
        let Shown { packets, heartbeats, reset, mut refused, end } =
            established.guard.show(packet, shaken, &house);
        for stream in reset {
            let weight = established.weight_on(stream);
            established.backlogs.orphan(stream, weight);
        }
        packets.into_iter().for_each(|packet| established.feed(now, packet));
        let tag = established.peer.tag;
        for value in heartbeats {
            let mut writer = PacketWriter::new(self.ports(), tag);
            writer.chunk(kind::HEARTBEAT_ACK, 0, &value);
            if !self.push(writer.finish()) {
                refused = Some(Refusal::Dropped(Drop::Unpolled));
            }
        }
        self.pump();
        // An acknowledgement for every second packet (RFC 9260, section 6.2), also of those that came together: a
        // peer that sends a few for each would starve otherwise.
        if self.outgoing.len() < limits::SCTP_UNPOLLED {
            self.gather(now);
        }
        match end {
            Some(EndReason::Aborted) => self.end(EndReason::Aborted, None),
            Some(reason) => self.end(reason, Some(cause::OUT_OF_RESOURCE)),
            None => {}
        }
        refused.map_or(Ok(()), Err)
    }

    /// Takes over what the library has to say.
    fn pump(&mut self) {
        let Phase::Established(established) = &mut self.phase else { return };
        let mut lost = false;
        while let Some(event) = established.inner.poll() {
            match event {
                sctp_proto::Event::Stream(StreamEvent::Readable { id })
                    if !self.readable.contains(&id) && !established.closed.contains(&id) =>
                {
                    self.readable.push_back(id);
                }
                sctp_proto::Event::Stream(StreamEvent::Finished { id }) => {
                    self.readable.retain(|stream| *stream != id);
                    established.closed.retain(|stream| *stream != id);
                    established.guard.on_closed(id);
                    self.events.push_back(Event::Closed { stream: id });
                }
                sctp_proto::Event::Stream(StreamEvent::ResetComplete { id }) => {
                    established.guard.on_reset();
                    established.backlogs.release(id);
                    self.events.push_back(Event::Released { stream: id });
                }
                // Its number is of no use any more.
                sctp_proto::Event::Stream(StreamEvent::ResetFailed { .. }) => established.guard.on_reset(),
                sctp_proto::Event::AssociationLost { .. } | sctp_proto::Event::HandshakeFailed { .. } => {
                    lost = true;
                }
                _ => {}
            }
        }
        while established.inner.accept_stream().is_some() {}
        for stream in established.close_empty() {
            let unread = std::iter::from_fn(|| established.read(stream, self.now)).count();
            self.events.extend(std::iter::repeat_n(Event::Dropped(Drop::Closed), unread));
            self.readable.retain(|readable| *readable != stream);
            if established.inner.stream(stream).is_ok_and(|mut open| open.close().is_ok()) {
                established.closed.push(stream);
            }
        }
        self.events.extend(established.drained().into_iter().map(|stream| Event::Drained { stream }));
        if lost {
            let shutdown = established.guard.is_shutdown();
            let reason = if shutdown { EndReason::Shutdown } else { EndReason::Protocol };
            self.end(reason, (!shutdown).then_some(cause::PROTOCOL_VIOLATION));
        }
    }

    /// Ends, with an ABORT for a cause of ours.
    fn end(&mut self, reason: EndReason, cause: Option<u16>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        if matches!(phase, Phase::Ended) {
            return;
        }
        self.outgoing.clear();
        self.readable.clear();
        if let (Phase::Established(established), Some(cause)) = (&phase, cause) {
            self.abort(established.peer.tag, cause);
        }
        self.events.push_back(Event::Ended(reason));
    }

    fn abort(&mut self, tag: u32, cause: u16) {
        let mut writer = PacketWriter::new(self.ports(), tag);
        let [high, low] = cause.to_be_bytes();
        writer.chunk(kind::ABORT, 0, &[high, low, 0, 4]);
        self.outgoing.push_back(writer.finish().into());
    }

    /// Does what is due; early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        match &mut self.phase {
            Phase::Handshake(handshake) => match handshake.handle_timeout(now) {
                Ok(Some(reply)) => drop(self.push(reply.write(self.ports()))),
                Ok(None) => {}
                Err(()) => self.end(EndReason::Timeout, None),
            },
            Phase::Established(established) => {
                established.inner.handle_timeout(clock().to_std(now));
                self.pump();
            }
            Phase::Ended => {}
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Handshake(handshake) => handshake.due(),
            Phase::Established(established) => {
                established.inner.poll_timeout().map(|at| clock().instant_of(at))
            }
            Phase::Ended => None,
        }
    }

    /// Writes the next packet at the start of `buf`, which must hold [`Config::packet`] bytes: a shorter one loses it.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<usize> {
        self.now = self.now.max(now);
        if self.outgoing.is_empty() {
            if let Phase::Established(established) = &mut self.phase {
                established.guard.on_polled();
            }
            self.gather(now);
        }
        loop {
            let packet = self.outgoing.pop_front()?;
            if self.outgoing.is_empty() {
                self.outgoing.shrink_to(4);
            }
            if let Some(to) = buf.get_mut(..packet.len()) {
                to.copy_from_slice(&packet);
                return Some(packet.len());
            }
        }
    }

    /// Fetches what the library has to send: at most what its congestion window lets go.
    fn gather(&mut self, now: Instant) {
        let Phase::Established(established) = &mut self.phase else { return };
        let Some(transmit) = established.inner.poll_transmit(clock().to_std(now)) else {
            if established.guard.under_way() == 0 {
                established.backlogs.release_all();
            }
            return;
        };
        let Payload::RawEncode(packets) = transmit.payload else { return };
        for packet in packets {
            note(&packet, &mut established.guard);
            self.outgoing.extend(fitted(packet, self.config.packet));
        }
        self.pump();
    }

    /// The next fact. Messages are fetched from the association by it: while it is not called, the peer is held back.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                if self.events.is_empty() {
                    self.events.shrink_to(4);
                }
                return Some(event);
            }
            // One of each in turn: who sends much on one stream does not keep the others waiting.
            let stream = self.readable.pop_front()?;
            match self.read(stream) {
                Some(message) => {
                    self.readable.push_back(stream);
                    return Some(message);
                }
                // What was kept back until a stream had been read.
                None => self.pump(),
            }
        }
    }

    /// The next message of a stream.
    fn read(&mut self, stream: u16) -> Option<Event> {
        let Phase::Established(established) = &mut self.phase else { return None };
        let chunks = established.read(stream, self.now)?;
        if established.closing.contains(&stream) {
            return Some(Event::Dropped(Drop::Closed));
        }
        let ppid = match chunks.ppi {
            PayloadProtocolIdentifier::Dcep => ppid::DCEP,
            PayloadProtocolIdentifier::String => ppid::STRING,
            PayloadProtocolIdentifier::Binary => ppid::BINARY,
            PayloadProtocolIdentifier::StringEmpty => ppid::STRING_EMPTY,
            PayloadProtocolIdentifier::BinaryEmpty => ppid::BINARY_EMPTY,
            PayloadProtocolIdentifier::Unknown => return Some(Event::Dropped(Drop::Protocol)),
        };
        let mut data = vec![0; chunks.len()];
        chunks.read(&mut data).ok()?;
        Some(Event::Message { stream, ppid, data: data.into() })
    }

    /// Queues a message, of at least one byte, on a stream, which begins with it if it is not there. `data` is shared,
    /// not copied.
    ///
    /// # Errors
    /// [`SendError`]; nothing is queued.
    pub fn send(
        &mut self,
        stream: u16,
        ppid: u32,
        data: &Bytes,
        delivery: Delivery,
    ) -> Result<(), SendError> {
        if data.len() > self.config.peer_message.min(limits::CHANNEL_MESSAGE) {
            return Err(SendError::TooLong);
        }
        let ppi = PayloadProtocolIdentifier::from(ppid);
        if matches!(ppi, PayloadProtocolIdentifier::Unknown) {
            return Err(SendError::UnknownProtocol);
        }
        let Phase::Established(established) = &mut self.phase else { return Err(SendError::NotConnected) };
        if established.closing.contains(&stream) || established.closed.contains(&stream) {
            return Err(SendError::StreamClosed);
        }
        if !established.has_room(stream, data.len()) {
            if !established.full.contains(&stream) {
                established.full.push(stream);
            }
            return Err(SendError::BufferFull);
        }
        let inner = &mut established.inner;
        if inner.stream(stream).is_err() {
            inner.open_stream(stream, ppi).map_err(|_| SendError::StreamClosed)?;
        }
        let mut opened = inner.stream(stream).map_err(|_| SendError::StreamClosed)?;
        let (kind, value) = match delivery.reliability {
            Reliability::Reliable => (ReliabilityType::Reliable, 0),
            Reliability::Retransmissions(most) => (ReliabilityType::Rexmit, most),
            Reliability::Lifetime(millis) => (ReliabilityType::Timed, millis),
        };
        opened
            .set_reliability_params(!delivery.ordered, kind, value)
            .and_then(|()| opened.set_default_payload_type(ppi))
            .and_then(|()| opened.write_chunks(&mut [data.clone()]))
            .map_err(|_| SendError::StreamClosed)?;
        established.backlogs.push(stream, data.len());
        Ok(())
    }

    /// Opens a stream without a word, as both ends know it by another way: what the peer skips on it before its first
    /// message is known to be skipped (RFC 3758).
    pub fn open(&mut self, stream: u16) {
        if let Phase::Established(established) = &mut self.phase {
            // One that is there already is left as it is.
            let _ = established.inner.open_stream(stream, PayloadProtocolIdentifier::Binary);
        }
    }

    /// Bytes that wait on all streams, until the peer has acknowledged them.
    pub fn buffered(&mut self) -> usize {
        let Phase::Established(established) = &mut self.phase else { return 0 };
        let inner = &mut established.inner;
        inner.stream_ids().into_iter().map(|id| buffered(inner, id)).sum()
    }

    /// Bytes that wait on one stream, likewise.
    pub fn buffered_on(&mut self, stream: u16) -> usize {
        let Phase::Established(established) = &mut self.phase else { return 0 };
        buffered(&mut established.inner, stream)
    }

    /// What waits on all streams, each message with [`limits::SCTP_MESSAGE_COST`] more, and what the peer has not
    /// acknowledged of streams that it reset: what [`limits::SCTP_SEND_BUFFER`] bounds.
    pub fn weight(&mut self) -> usize {
        let Phase::Established(established) = &mut self.phase else { return 0 };
        established.weight()
    }

    /// What waits on one stream, likewise.
    pub fn weight_on(&mut self, stream: u16) -> usize {
        let Phase::Established(established) = &mut self.phase else { return 0 };
        established.weight_on(stream)
    }

    /// Closes a stream: what waits is still sent, nothing more is taken, and what comes is of no use. [`Event::Closed`]
    /// and [`Event::Released`] follow when the peer has agreed.
    pub fn close(&mut self, stream: u16) {
        if let Phase::Established(established) = &mut self.phase
            && !established.closing.contains(&stream)
            && !established.closed.contains(&stream)
        {
            if established.inner.stream(stream).is_err() {
                // Nothing was said on it so far: there is something to close all the same.
                let _ = established.inner.open_stream(stream, PayloadProtocolIdentifier::Binary);
            }
            established.closing.push(stream);
        }
        self.pump();
    }

    /// Folds what packets may change into the digest of the engine's state (I-03).
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        (&self.outgoing, self.events.len(), &self.readable).hash(state);
        match &self.phase {
            Phase::Handshake(handshake) => debug(handshake, state),
            Phase::Established(established) => established.digest(state),
            Phase::Ended => {}
        }
    }

    /// Whether messages can be sent.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Established(_))
    }

    /// Whether it is over.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }
}

fn buffered(inner: &mut sctp_proto::Association, stream: u16) -> usize {
    inner.stream(stream).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
}

/// Why an ABORT is sent (RFC 9260, section 3.3.10).
mod cause {
    pub(super) const OUT_OF_RESOURCE: u16 = 4;
    pub(super) const PROTOCOL_VIOLATION: u16 = 13;
}

impl Established {
    /// Hands both INITs to the library as if they had been exchanged out of band, which begins an association without
    /// a handshake of its own.
    fn new(config: &Config, ours: Init, peer: Init) -> Option<Established> {
        // Common header and the header of a DATA chunk.
        let payload = u32::try_from(config.packet.saturating_sub(28)).unwrap_or(u32::MAX);
        let mut endpoint = EndpointConfig::new();
        endpoint.max_payload_size(payload & !3);
        let mut endpoint = Endpoint::new(Arc::new(endpoint), None);
        let size = u32::try_from(limits::CHANNEL_MESSAGE).unwrap_or(u32::MAX);
        let transport = TransportConfig::default()
            .with_max_receive_buffer_size(limits::SCTP_WINDOW)
            .with_max_receive_message_size(size)
            .with_max_send_message_size(size)
            .with_local_port(config.port)
            .with_remote_port(config.peer_port)
            .with_rto_initial_ms(1_000)
            .with_rto_min_ms(limits::SCTP_RTO_MIN_MS)
            .with_rto_max_ms(limits::SCTP_RTO_MAX_MS);
        let transport = Arc::new(transport);
        let chunk = |init: &Init| chunk_of(&Init { cookie: Vec::new(), ..init.clone() });
        let mut client = ClientConfig::new().with_snap(chunk(&ours), chunk(&peer));
        client.transport = transport;
        let (_, inner) = endpoint.connect(client, NOWHERE).ok()?;
        let guard = Guard::new(&ours, &peer);
        let (backlogs, closing, closed, full) = Default::default();
        let ports = Ports { source: config.peer_port, destination: config.port };
        Some(Established { ours, peer, ports, endpoint, inner, guard, backlogs, closing, closed, full })
    }

    /// Hands the library a packet.
    fn feed(&mut self, now: Instant, packet: Vec<u8>) {
        let event = self.endpoint.handle(clock().to_std(now), NOWHERE, None, None, packet.into());
        if let Some((_, DatagramEvent::AssociationEvent(event))) = event {
            self.inner.handle_event(event);
        }
    }

    /// Has the library tell the peer how much room there is, as it does for what comes a second time.
    fn tell_window(&mut self, now: Instant) {
        let mut writer = PacketWriter::new(self.ports, self.ours.tag);
        let mut known = self.guard.acknowledged().to_be_bytes().to_vec();
        known.extend([0; 9]);
        // Whole, in no order, and to be acknowledged at once (RFC 7053).
        writer.chunk(kind::DATA, 0b1111, &known);
        self.feed(now, writer.finish());
    }

    /// The next message of a stream.
    fn read(&mut self, stream: u16, now: Instant) -> Option<Chunks> {
        let chunks = self.inner.stream(stream).ok()?.read_sctp().ok()??;
        self.guard.on_read(chunks.chunks.len(), chunks.len());
        if self.guard.has_news() {
            self.tell_window(now);
        }
        Some(chunks)
    }

    /// Takes the streams on which nothing waits any more from those that are to be closed.
    fn close_empty(&mut self) -> Vec<u16> {
        let Established { inner, closing, .. } = self;
        closing.extract_if(.., |stream| buffered(inner, *stream) == 0).collect()
    }

    /// Takes the streams that have room again from those that had none.
    fn drained(&mut self) -> Vec<u16> {
        let mut full = std::mem::take(&mut self.full);
        full.retain(|stream| self.inner.stream(*stream).is_ok() && !self.closing.contains(stream));
        let has_room = |stream: &mut u16| {
            self.weight_on(*stream) <= limits::SCTP_LOW && self.has_room(*stream, limits::CHANNEL_MESSAGE)
        };
        let drained = full.extract_if(.., has_room).collect();
        self.full = full;
        drained
    }

    /// Whether a message of so many bytes may be queued on a stream.
    fn has_room(&mut self, stream: u16, len: usize) -> bool {
        let more = len + limits::SCTP_MESSAGE_COST;
        self.guard.under_way() < limits::SCTP_UNDER_WAY
            && self.weight_on(stream) + more <= limits::CHANNEL_BUFFER
            && self.weight() + more <= limits::SCTP_SEND_BUFFER
    }

    fn weight(&mut self) -> usize {
        let streams = self.inner.stream_ids();
        let waiting: usize = streams.into_iter().map(|id| self.weight_on(id)).sum();
        waiting + self.backlogs.orphaned()
    }

    fn weight_on(&mut self, stream: u16) -> usize {
        let buffered = buffered(&mut self.inner, stream);
        self.backlogs.weight(stream, buffered)
    }

    fn digest(&self, state: &mut impl Hasher) {
        debug(&self.guard, state);
        debug(&self.backlogs, state);
        (&self.closing, &self.closed, &self.full).hash(state);
    }
}

/// An INIT chunk with its header.
fn chunk_of(init: &Init) -> Bytes {
    let mut writer = PacketWriter::new(Ports { source: 0, destination: 0 }, 0);
    writer.chunk(kind::INIT, 0, &init.to_value());
    Bytes::from(writer.finish()).slice(12..)
}
