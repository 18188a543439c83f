//! One association: the handshake, then the library's, behind the guard.

use super::guard::{Guard, House, Shown};
use super::handshake::{Handshake, Reply, Step, cookie_ack};
use super::outcome::{Drop, EndReason, Refusal, SendError};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{Instant, clock};
use crate::wire::dcep::{Delivery, Reliability, ppid};
use crate::wire::sctp::{Chunks, Init, Packet, PacketWriter, Ports, Sack, kind};
use bytes::Bytes;
use sctp_proto::{
    ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Payload, PayloadProtocolIdentifier,
    ReliabilityType, StreamEvent, TransportConfig,
};
use std::collections::VecDeque;
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
    /// Less waits to be sent on a stream than [`limits::SCTP_LOW`], after more did.
    Drained {
        /// Which.
        stream: u16,
    },
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
    endpoint: Endpoint,
    inner: sctp_proto::Association,
    guard: Guard,
}

/// The library wants to know where its packets go; here they go into DTLS.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

impl Association {
    /// An association that begins, once [`Self::handle_timeout`] is called or the peer's first packet comes. Tags and
    /// numbers follow from `random`.
    pub fn new(config: Config, role: Role, mut random: Random, now: Instant) -> Association {
        Association {
            config: Config { packet: config.packet.max(500), ..config },
            phase: Phase::Handshake(Handshake::new(role == Role::Active, &mut random, now)),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            readable: VecDeque::new(),
        }
    }

    /// Takes a packet: the contents of a record of DTLS.
    ///
    /// # Errors
    /// Why it, or the last chunk that was left out of it, was dropped; the rest of it is taken.
    pub fn handle_packet(&mut self, now: Instant, data: &[u8]) -> Result<(), Refusal> {
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
        match &mut self.phase {
            Phase::Established(_) => self.show(now, &packet, shaken),
            _ => Ok(()),
        }
    }

    /// What a packet does to a handshake, or what it still wants of one that is over: how many of its chunks were for
    /// that.
    fn shake(&mut self, now: Instant, packet: &Packet<'_>) -> Result<usize, Refusal> {
        let Some(chunk) = packet.chunks().next() else { return Ok(0) };
        let ports = self.ports();
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
                    self.establish();
                    Ok(1)
                }
                Step::Refused(reason) => Err(Refusal::Dropped(reason)),
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
            self.push(&reply, ports);
        }
        result
    }

    fn ports(&self) -> Ports {
        Ports { source: self.config.port, destination: self.config.peer_port }
    }

    fn push(&mut self, reply: &Reply, ports: Ports) {
        // A reply that finds no room is asked for again.
        if self.outgoing.len() < limits::SCTP_UNPOLLED {
            self.outgoing.push_back(reply.write(ports).into());
        }
    }

    /// The library goes on from here.
    fn establish(&mut self) {
        let ended = Phase::Ended;
        let Phase::Handshake(handshake) = std::mem::replace(&mut self.phase, ended) else { return };
        let established = handshake
            .into_ends()
            .and_then(|(ours, peer)| Established::new(&self.config, ours, peer).map(Box::new));
        match established {
            Some(established) => {
                self.phase = Phase::Established(established);
                self.events.push_back(Event::Connected);
                self.pump();
            }
            None => self.end(EndReason::Protocol, None),
        }
    }

    /// Shows the library what it may see of a packet, but for its first chunks.
    fn show(&mut self, now: Instant, packet: &Packet<'_>, shaken: usize) -> Result<(), Refusal> {
        let Phase::Established(established) = &mut self.phase else { return Ok(()) };
        let Established { guard, inner, endpoint, .. } = &mut **established;
        // A reference is all that looking for a stream takes, but the library wants more.
        let streams = inner.stream_ids();
        let has_stream = |id| streams.contains(&id);
        let house = House {
            behind: !self.readable.is_empty(),
            full: self.events.len() >= limits::SCTP_EVENTS,
            has_room: &|id| has_stream(id) || streams.len() < limits::SCTP_STREAMS,
            has_stream: &has_stream,
        };
        let Shown { packets, refused, end } = guard.show(packet, shaken, &house);
        let std_now = clock().to_std(now);
        for bytes in packets.into_iter().flatten() {
            let event = endpoint.handle(std_now, NOWHERE, None, None, bytes.into());
            if let Some((_, DatagramEvent::AssociationEvent(event))) = event {
                inner.handle_event(event);
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
        let Established { inner, guard, .. } = &mut **established;
        let mut lost = false;
        while let Some(event) = inner.poll() {
            match event {
                sctp_proto::Event::Stream(StreamEvent::Readable { id }) if !self.readable.contains(&id) => {
                    self.readable.push_back(id);
                }
                sctp_proto::Event::Stream(StreamEvent::Finished { id }) => {
                    self.readable.retain(|stream| *stream != id);
                    self.events.push_back(Event::Closed { stream: id });
                }
                sctp_proto::Event::Stream(
                    StreamEvent::ResetComplete { id } | StreamEvent::ResetFailed { id, .. },
                ) => {
                    guard.on_reset();
                    self.events.push_back(Event::Released { stream: id });
                }
                sctp_proto::Event::Stream(StreamEvent::BufferedAmountLow { id }) => {
                    self.events.push_back(Event::Drained { stream: id });
                }
                sctp_proto::Event::AssociationLost { .. } | sctp_proto::Event::HandshakeFailed { .. } => {
                    lost = true;
                }
                _ => {}
            }
        }
        while inner.accept_stream().is_some() {}
        if lost {
            let shutdown = guard.is_shutdown();
            let reason = if shutdown { EndReason::Shutdown } else { EndReason::Protocol };
            self.end(reason, (!shutdown).then_some(cause::PROTOCOL_VIOLATION));
        }
    }

    /// Ends, with an ABORT for a cause of ours.
    fn end(&mut self, reason: EndReason, cause: Option<u16>) {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        self.outgoing.clear();
        if let (Phase::Established(established), Some(cause)) = (&phase, cause) {
            let mut writer = PacketWriter::new(self.ports(), established.peer.tag);
            let [high, low] = cause.to_be_bytes();
            writer.chunk(kind::ABORT, 0, &[high, low, 0, 4]);
            self.outgoing.push_back(writer.finish().into());
        }
        if !matches!(phase, Phase::Ended) {
            self.readable.clear();
            self.events.push_back(Event::Ended(reason));
        }
    }

    /// Does what is due; early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let ports = self.ports();
        match &mut self.phase {
            Phase::Handshake(handshake) => match handshake.handle_timeout(now) {
                Ok(Some(reply)) => self.push(&reply, ports),
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
        if let Phase::Established(established) = &mut self.phase {
            established.guard.on_polled();
        }
        if self.outgoing.is_empty() {
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
        let Established { inner, guard, .. } = &mut **established;
        let Some(transmit) = inner.poll_transmit(clock().to_std(now)) else { return };
        let Payload::RawEncode(packets) = transmit.payload else { return };
        for packet in packets {
            let chunks = packet.get(12..).unwrap_or_default();

            let sacks = Chunks::new(chunks).map(|chunk| (chunk.kind, Sack::parse(chunk.value).ok()));
            guard.on_sent(sacks);
            if packet.len() <= self.config.packet {
                self.outgoing.push_back(packet);
            } else {
                self.outgoing.extend(split(&packet, self.config.packet));
            }
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
            let stream = *self.readable.front()?;
            match self.read(stream) {
                Some(message) => return Some(message),
                None => {
                    self.readable.pop_front();
                    // What was kept back until a stream had been read.
                    self.pump();
                }
            }
        }
    }

    /// The next message of a stream.
    fn read(&mut self, stream: u16) -> Option<Event> {
        loop {
            let Phase::Established(established) = &mut self.phase else { return None };
            let chunks = established.inner.stream(stream).ok()?.read_sctp().ok()??;
            established.guard.on_read(chunks.chunks.len());
            let mut data = vec![0; chunks.len()];
            let ppid = match chunks.ppi {
                PayloadProtocolIdentifier::Dcep => ppid::DCEP,
                PayloadProtocolIdentifier::String => ppid::STRING,
                PayloadProtocolIdentifier::Binary => ppid::BINARY,
                PayloadProtocolIdentifier::StringEmpty => ppid::STRING_EMPTY,
                PayloadProtocolIdentifier::BinaryEmpty => ppid::BINARY_EMPTY,
                // Nobody knows what it is.
                PayloadProtocolIdentifier::Unknown => continue,
            };
            chunks.read(&mut data).ok()?;
            return Some(Event::Message { stream, ppid, data: data.into() });
        }
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
        if self.buffered() + data.len() > limits::SCTP_SEND_BUFFER {
            return Err(SendError::BufferFull);
        }
        let Phase::Established(established) = &mut self.phase else { return Err(SendError::NotConnected) };
        let inner = &mut established.inner;
        let ppi = PayloadProtocolIdentifier::from(ppid);
        if inner.stream(stream).is_err() {
            let mut opened = inner.open_stream(stream, ppi).map_err(|_| SendError::StreamClosed)?;
            let _ = opened.set_buffered_amount_low_threshold(limits::SCTP_LOW);
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
        Ok(())
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

    /// Closes a stream: what waits is still sent, nothing more is taken or read. [`Event::Closed`] and
    /// [`Event::Released`] follow when the peer has agreed.
    pub fn close(&mut self, stream: u16) {
        if let Phase::Established(established) = &mut self.phase
            && let Ok(mut open) = established.inner.stream(stream)
        {
            // Before it is established there is no stream.
            let _ = open.close();
        }
        self.readable.retain(|readable| *readable != stream);
        self.pump();
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

/// The chunks of a packet in as many as it takes: the library forgets what padding adds to small ones.
fn split(packet: &[u8], most: usize) -> Vec<Bytes> {
    let Ok(packet) = Packet::parse(packet) else { return Vec::new() };
    let new = || PacketWriter::new(packet.ports(), packet.verification_tag());
    let (mut packets, mut writer) = (Vec::new(), new());
    for chunk in packet.chunks() {
        if !writer.is_empty() && writer.len_with(&chunk) > most {
            packets.push(std::mem::replace(&mut writer, new()).finish().into());
        }
        writer.copy(&chunk);
    }
    packets.push(writer.finish().into());
    packets
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
        let guard = Guard::new(peer.tsn);
        Some(Established { ours, peer, endpoint, inner, guard })
    }
}

/// An INIT chunk with its header.
fn chunk_of(init: &Init) -> Bytes {
    let mut writer = PacketWriter::new(Ports { source: 0, destination: 0 }, 0);
    writer.chunk(kind::INIT, 0, &init.to_value());
    Bytes::from(writer.finish()).slice(12..)
}
