//! One engine, a network and clients on one virtual clock.

use super::client::publish::Plan;
use super::client::{Client, Setup};
use super::invariants::Watch;
use super::net::{Link, Network, Packet};
use super::seeded_dtls;
use super::stream::{Stream, whole_frames};
use estafette::{
    Bitrate, Datagram, Ecn, Engine, EngineConfig, EngineStats, Event, HostCandidate, Instant, LeaveReason,
    ParticipantConfig, ParticipantId, Path, Protocol, RoomConfig, RoomId, StreamEnd, bwe, dtls, limits,
    speakers,
};
use sha1::{Digest as _, Sha1};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A client on the virtual clock, sans-IO like the engine.
pub trait Endpoint {
    fn address(&self) -> SocketAddr;
    /// The label it joins with.
    fn label(&self) -> String;
    fn offer(&mut self, now: Instant) -> String;
    fn accept_answer(&mut self, now: Instant, sdp: &str);
    fn accept_offer(&mut self, now: Instant, sdp: &str) -> String;
    fn handle_datagram(&mut self, now: Instant, packet: &Packet);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_transmit(&mut self, now: Instant) -> Option<Packet>;
    fn poll_timeout(&self) -> Option<Instant>;
    /// What the server did to it that it must not do.
    fn violations(&self) -> &[String];
}

/// How a conference runs.
pub struct Options {
    pub seed: u64,
    pub link: Link,
    pub engine: EngineConfig,
    /// Everybody is heard, unless a test says otherwise.
    pub room: RoomConfig,
    /// The DTLS versions of both sides.
    pub versions: dtls::Versions,
    /// Between the wish for an offer and its answer.
    pub signalling: Duration,
    /// Bytes of the buffer that transmits are written to.
    pub arena: usize,
    pub record: bool,
    /// Where clients see the server, if a NAT stands before it.
    pub public: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            link: Link::delay(Duration::from_millis(20)),
            room: RoomConfig {
                speakers: speakers::Config { top_n: 0, ..speakers::Config::default() },
                ..RoomConfig::default()
            },
            engine: EngineConfig {
                candidates: vec![HostCandidate::udp(server()), HostCandidate::tcp(server())],
                // Wide from the start: most tests are of other things.
                estimate: Some(bwe::Config {
                    initial: Bitrate::from_kbps(50_000),
                    min: limits::MIN_BITRATE,
                    max: limits::MAX_BITRATE,
                }),
                ..EngineConfig::default()
            },
            versions: dtls::Versions::V12,
            signalling: Duration::from_millis(30),
            arena: 64 * 1_024,
            record: false,
            public: None,
        }
    }
}

/// Where the engine is.
pub fn server() -> SocketAddr {
    (Ipv4Addr::new(203, 0, 113, 1), 3_478).into()
}

/// The address of client `index`.
pub fn home(index: u32) -> SocketAddr {
    (Ipv4Addr::from(0x0a00_0001 + (index << 8)), 50_000).into()
}

/// The way from the engine to `remote`.
pub fn path_to(remote: SocketAddr) -> Path {
    Path { protocol: Protocol::Udp, local: server(), remote }
}

/// The same of a stream.
pub fn stream_to(remote: SocketAddr) -> Path {
    Path { protocol: Protocol::Tcp, ..path_to(remote) }
}

pub fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What an engine holds: nothing must remain of who left.
pub fn held(stats: &EngineStats) -> [usize; 5] {
    [stats.rooms, stats.participants, stats.sources, stats.subscriptions, stats.history_pages]
}

/// A conference of `count` in which media has flowed for a second.
pub fn live(count: u32, options: Options) -> Conference {
    let mut conference = Conference::of(count, options);
    conference.connect();
    conference.drive(seconds(1));
    conference
}

/// A client's place in the conference.
pub struct Seat<E> {
    pub endpoint: E,
    pub room: RoomId,
    pub participant: Option<ParticipantId>,
    pub left: Option<LeaveReason>,
    addresses: BTreeSet<SocketAddr>,
}

/// Everything that passed between the engine and the world.
#[derive(Default)]
pub struct Transcript {
    hash: Sha1,
    /// Time, addresses, length and checksum of each datagram, to find the first difference.
    pub entries: Vec<(u64, SocketAddr, SocketAddr, usize, u32)>,
}

impl Transcript {
    pub(super) fn add(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        self.hash.update(now.as_micros().to_be_bytes());
        self.hash.update(data);
        self.entries.push((now.as_micros(), from, to, data.len(), crc32fast::hash(data)));
    }

    pub fn digest(&self) -> [u8; 20] {
        self.hash.clone().finalize().into()
    }
}

pub struct Conference<E: Endpoint = Client> {
    pub now: Instant,
    pub engine: Engine,
    pub net: Network,
    pub seats: Vec<Seat<E>>,
    pub events: Vec<(Instant, Event)>,
    pub watch: Watch,
    pub transcript: Option<Transcript>,
    /// Datagrams of the engine's, by destination, since the last look.
    pub outgoing: Vec<Packet>,
    /// Whether `outgoing` is kept.
    pub tap: bool,
    /// Datagrams to the engine since the last look, and when they came, while `tap` is set.
    pub incoming: Vec<(Instant, Packet)>,
    /// The mark that datagrams come with.
    pub ecn: Ecn,
    /// The connections of those who talk over TCP, by their addresses.
    pub streams: BTreeMap<SocketAddr, Stream>,
    /// Who ever had one, and sends nothing without.
    pub(super) over_tcp: BTreeSet<SocketAddr>,
    /// Connections that the engine gave up in answer to their bytes.
    pub ends: Vec<(SocketAddr, StreamEnd)>,
    pub(super) options: Options,
    client_dtls: dtls::Context,
    buf: Vec<u8>,
    negotiations: BTreeSet<(Instant, ParticipantId)>,
    owners: usize,
}

impl<E: Endpoint> Conference<E> {
    pub fn new(mut options: Options) -> Self {
        let now = Instant::from_millis(10_000);
        // One seed decides every byte, so that a failure can be met again.
        options.engine.certificate.get_or_insert_with(seeded_dtls::certificate);
        options.engine.dtls = seeded_dtls::config(options.versions);
        let client_dtls = dtls::Context::new(options.engine.dtls.clone(), seeded_dtls::certificate());
        let client_dtls = client_dtls.expect("a good configuration");
        let mut seed = [0x5e; 32];
        seed[..8].copy_from_slice(&options.seed.to_be_bytes());
        let engine =
            Engine::new(options.engine.clone(), seed, now).expect("a configuration that fits together");
        Conference {
            now,
            engine,
            net: Network::new(options.seed, options.link.clone()),
            seats: Vec::new(),
            events: Vec::new(),
            watch: Watch::default(),
            transcript: options.record.then(Transcript::default),
            outgoing: Vec::new(),
            tap: false,
            incoming: Vec::new(),
            ecn: Ecn::NotEct,
            streams: BTreeMap::new(),
            over_tcp: BTreeSet::new(),
            ends: Vec::new(),
            buf: vec![0; options.arena],
            options,
            client_dtls,
            negotiations: BTreeSet::new(),
            owners: 0,
        }
    }

    pub fn room(&mut self) -> RoomId {
        self.engine.create_room(self.options.room.clone()).expect("there is room")
    }

    /// Seats a client and lets it join; its offer is answered at once.
    pub fn join(&mut self, room: RoomId, endpoint: E) -> usize {
        self.join_as(room, endpoint, ParticipantConfig::default())
    }

    /// The same with rights of its own; the label is the client's.
    pub fn join_as(&mut self, room: RoomId, mut endpoint: E, config: ParticipantConfig) -> usize {
        let config = ParticipantConfig { label: endpoint.label(), ..config };
        let id = self.engine.room(room).expect("the room is open").join(config).expect("there is room");
        let offer = endpoint.offer(self.now);
        let answer = self.engine.participant(id).expect("it just joined").accept_offer(&offer);
        let answer = answer.unwrap_or_else(|error| panic!("{error}\n{offer}"));
        endpoint.accept_answer(self.now, &answer);
        self.seat(room, endpoint, id)
    }

    /// Seats the client of a participant that joined already.
    pub fn seat(&mut self, room: RoomId, endpoint: E, id: ParticipantId) -> usize {
        self.owners += 1;
        let addresses = BTreeSet::from([endpoint.address()]);
        self.watch.own(endpoint.address(), self.owners);
        self.seats.push(Seat { endpoint, room, participant: Some(id), left: None, addresses });
        self.seats.len() - 1
    }

    /// Tells the network that a client is (also) at its present address.
    pub fn readdress(&mut self, seat: usize) {
        let address = self.seats[seat].endpoint.address();
        let before = self.seats[seat].addresses.first().copied();
        let owner = before.and_then(|before| self.watch.owner(before)).expect("it had an address");
        self.watch.own(address, owner);
        self.seats[seat].addresses.insert(address);
    }

    /// Removes a participant as the embedder does.
    pub fn leave(&mut self, seat: usize) {
        let id = self.seats[seat].participant.take().expect("it is there");
        self.engine.participant(id).expect("it is there").leave();
    }

    pub fn participant(&self, seat: usize) -> ParticipantId {
        self.seats[seat].participant.expect("it is there")
    }

    /// Lets `duration` pass.
    pub fn drive(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut spins = 0;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            spins = if at <= self.now { spins + 1 } else { 0 };
            assert!(spins < 10_000, "nothing moves at {at:?}: {:?} seats", self.seats.len());
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
        self.step();
    }

    /// Drives in steps of 10 ms until `done`, at most `limit`.
    pub fn drive_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            if done(self) {
                return true;
            }
            self.drive(Duration::from_millis(10));
        }
        done(self)
    }

    fn next(&self) -> Option<Instant> {
        let seats = self.seats.iter().filter_map(|seat| seat.endpoint.poll_timeout()).min();
        let negotiation = self.negotiations.first().map(|(at, _)| *at);
        let streams = self.streams.values().filter_map(Stream::next_arrival).min();
        let wires = [self.net.next_arrival(), streams];
        [self.engine.poll_timeout(), seats, negotiation].into_iter().chain(wires).flatten().min()
    }

    /// Everything that is due now.
    pub fn step(&mut self) {
        let now = self.now;
        while let Some(packet) = self.net.receive(now) {
            self.deliver(&packet);
        }
        self.carry_streams();
        self.engine.handle_timeout(now);
        for seat in &mut self.seats {
            if seat.endpoint.poll_timeout().is_some_and(|at| at <= now) {
                seat.endpoint.handle_timeout(now);
            }
        }
        self.negotiate();
        self.drain();
        self.check();
    }

    /// Hands a datagram to whoever is at its destination.
    pub fn deliver(&mut self, packet: &Packet) {
        if packet.to == server() || Some(packet.to) == self.options.public {
            return self.inject(packet.from, &packet.data);
        }
        if let Some(seat) = self.seats.iter_mut().rfind(|seat| seat.addresses.contains(&packet.to)) {
            seat.endpoint.handle_datagram(self.now, packet);
        }
    }

    /// Hands a datagram to the engine as if it came from `from`.
    pub fn inject(&mut self, from: SocketAddr, data: &[u8]) {
        self.watch.received(from, data);
        if let Some(transcript) = &mut self.transcript {
            transcript.add(self.now, from, server(), data);
        }
        if self.tap {
            self.incoming.push((self.now, Packet { from, to: server(), data: data.to_vec() }));
        }
        self.engine.handle_datagram(self.now, Datagram { path: path_to(from), ecn: self.ecn, data });
    }

    /// Takes all that the engine and the clients have to say.
    pub fn drain(&mut self) {
        self.drain_with(usize::MAX);
    }

    /// The same into a buffer of at most `room` bytes.
    pub fn drain_with(&mut self, room: usize) {
        let now = self.now;
        let room = room.min(self.buf.len());
        while let Some(transmit) = self.engine.poll_transmit(now, &mut self.buf[..room]) {
            assert!(transmit.len <= room && transmit.len > 0);
            assert_eq!(transmit.path.local, server());
            let (to, written) = (transmit.path.remote, &self.buf[..transmit.len]);
            let framed = transmit.path.protocol == Protocol::Tcp;
            let datagrams = if framed {
                assert_eq!(transmit.segment_size, None);
                whole_frames(written)
            } else {
                let size = transmit.segment_size.map_or(transmit.len, |size| usize::from(size.get()));
                written.chunks(size).map(<[u8]>::to_vec).collect()
            };
            if framed {
                self.streams.get_mut(&to).expect("a connection").send_down(now, written);
            }
            for data in datagrams {
                assert!(data.len() <= self.options.engine.mtu, "S-RTP-10: {} bytes", data.len());
                self.watch.sent(to, &data);
                if let Some(transcript) = &mut self.transcript {
                    transcript.add(now, server(), to, &data);
                }
                let packet = Packet { from: self.options.public.unwrap_or(server()), to, data };
                if self.tap {
                    self.outgoing.push(packet.clone());
                }
                if !framed {
                    self.net.send(now, packet);
                }
            }
        }
        while let Some(event) = self.engine.poll_event() {
            self.on_event(event);
        }
        for seat in &mut self.seats {
            while let Some(packet) = seat.endpoint.poll_transmit(now) {
                match self.streams.get_mut(&packet.from) {
                    Some(stream) => stream.send_up(now, &packet.data),
                    // What has no connection any more has none.
                    None if self.over_tcp.contains(&packet.from) => {}
                    None => self.net.send(now, packet),
                }
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match &event {
            Event::NegotiationNeeded(id) => {
                self.negotiations.insert((self.now + self.options.signalling, *id));
            }
            Event::StreamClosed { path, .. } => {
                self.streams.remove(&path.remote);
            }
            Event::Left { participant, reason, .. } => {
                for seat in self.seats.iter_mut().filter(|seat| seat.participant == Some(*participant)) {
                    (seat.participant, seat.left) = (None, Some(*reason));
                }
            }
            _ => {}
        }
        self.events.push((self.now, event));
    }

    /// Offers of the engine's that are due, and their answers.
    fn negotiate(&mut self) {
        while let Some((at, id)) = self.negotiations.first().copied().filter(|(at, _)| *at <= self.now) {
            self.negotiations.remove(&(at, id));
            let Some(seat) = self.seats.iter_mut().find(|seat| seat.participant == Some(id)) else {
                continue;
            };
            let Some(mut participant) = self.engine.participant(id) else { continue };
            let offer = participant.create_offer().expect("an offer was asked for");
            let answer = seat.endpoint.accept_offer(self.now, &offer);
            let accepted = participant.accept_answer(&answer);
            accepted.unwrap_or_else(|error| panic!("{error}\n--- offer\n{offer}\n--- answer\n{answer}"));
        }
    }

    /// An offer of the client's, in the middle of a call.
    pub fn renegotiate(&mut self, seat: usize) {
        let id = self.participant(seat);
        let offer = self.seats[seat].endpoint.offer(self.now);
        let answer =
            self.engine.participant(id).expect("it is there").accept_offer(&offer).expect("a good offer");
        self.seats[seat].endpoint.accept_answer(self.now, &answer);
    }

    pub fn participants(&self) -> Vec<ParticipantId> {
        self.seats.iter().filter_map(|seat| seat.participant).collect()
    }

    /// The invariants, and what the clients found wrong.
    pub fn check(&mut self) {
        let participants = self.participants();
        self.watch.settled(self.now, &mut self.engine, &participants);
        for seat in &self.seats {
            let violations = seat.endpoint.violations();
            assert!(violations.is_empty(), "{} at {:?}: {violations:?}", seat.endpoint.label(), self.now);
        }
    }
}

impl Conference<Client> {
    /// A conference of `count` clients in one room, all of whom joined.
    pub fn of(count: u32, options: Options) -> Self {
        let mut conference = Conference::new(options);
        let room = conference.room();
        for index in 0..count {
            conference.add(room, index);
        }
        conference
    }

    /// Client `index` joins a room with the usual media.
    pub fn add(&mut self, room: RoomId, index: u32) -> usize {
        self.add_with(room, index, Plan { first_seq: 65_400 - 7 * u64::from(index), ..Plan::default() })
    }

    pub fn add_with(&mut self, room: RoomId, index: u32, plan: Plan) -> usize {
        let client = self.client(index, plan, 0);
        self.join(room, client)
    }

    /// A client that did not join yet; `room` is what its packets say.
    pub fn client(&self, index: u32, plan: Plan, room: u32) -> Client {
        let (seed, dtls) = (self.options.seed, self.client_dtls.clone());
        Client::new(Setup { index, room, address: home(index), seed, plan, dtls })
    }

    /// Drives until everybody is connected.
    pub fn connect(&mut self) {
        let connected = |conference: &mut Self| {
            conference.seats.iter().all(|seat| seat.participant.is_none() || seat.endpoint.connected())
        };
        assert!(self.drive_until(Duration::from_secs(25), connected), "not everybody connected");
    }

    /// A client's offer with another certificate: another association, and other keys.
    pub fn renew(&mut self, seat: usize) {
        let certificate = dtls::Certificate::generate().expect("a certificate can be made");
        let config = self.options.engine.dtls.clone();
        self.owners += 1;
        self.watch.own(home(self.seats[seat].endpoint.index), self.owners);
        self.endpoint(seat).renew(dtls::Context::new(config, certificate).expect("a good configuration"));
        self.renegotiate(seat);
    }

    pub fn endpoint(&mut self, seat: usize) -> &mut Client {
        &mut self.seats[seat].endpoint
    }

    /// How many frames of `publisher` came whole to `receiver`, and whether gaps remain until three
    /// frames before what was sent last.
    pub fn seen(&self, receiver: usize, publisher: usize) -> Seen {
        let from = &self.seats[publisher].endpoint;
        let label = from.index.to_string();
        let to = &self.seats[receiver].endpoint.receiver;
        let video = to.track(&label, true);
        Seen {
            audio: to.track(&label, false).map_or(0, |track| track.whole()),
            video: video.map_or(0, |track| track.whole()),
            broken: video.map_or_else(Vec::new, |track| {
                track.broken_until(from.publisher.video.frame.saturating_sub(10))
            }),
        }
    }

    /// Asserts that everybody present receives everybody else, whole.
    pub fn assert_all_seen(&self, at_least: usize) {
        let present: Vec<usize> =
            (0..self.seats.len()).filter(|seat| self.seats[*seat].participant.is_some()).collect();
        for &receiver in &present {
            for &publisher in present.iter().filter(|publisher| **publisher != receiver) {
                let seen = self.seen(receiver, publisher);
                let enough = seen.audio >= at_least && seen.video >= at_least;
                assert!(enough && seen.broken.is_empty(), "{publisher} to {receiver}: {seen:?}");
            }
        }
    }
}

/// What one client saw of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub audio: usize,
    pub video: usize,
    /// Frames that are not whole.
    pub broken: Vec<u32>,
}
