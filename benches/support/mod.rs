//! An engine and its clients in memory: joined, negotiated and connected through the public API, under
//! a virtual clock. Shared by benches, the tests of memory and allocations, and the fuzz target of the
//! engine.
#![allow(dead_code)]

pub(crate) mod handshake;
pub(crate) mod offer;
pub(crate) mod peer;

use estafette::mux::{self, Ecn, Path, Protocol};
use estafette::negotiation::{FeedbackKind, MediaKind};
use estafette::rtp::{Ssrc, WireSeq};
use estafette::{
    Bitrate, Datagram, Engine, EngineConfig, Event, HostCandidate, Instant, ParticipantConfig, ParticipantId,
    RoomConfig, RoomId, SourceId, SubscribeRule, Wish, bwe, dtls, framing, limits, rtcp, srtp,
};
use handshake::Dialect;
use offer::{Direction, TRANSPORT_SEQUENCE_NUMBER};
use peer::{Media, Peer};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Packets that come together, and the peer that sends them.
pub(crate) type Sent = (usize, Vec<Vec<u8>>);

/// Where the engine is reached.
pub(crate) const ENGINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 3478);

/// A transmit buffer in which a whole burst fits.
pub(crate) const BURST: usize = 65_536;

/// An engine with one room and everybody in it.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) room: RoomId,
    pub(crate) now: Instant,
    pub(crate) peers: Vec<Peer>,
    pub(crate) participants: Vec<ParticipantId>,
    pub(crate) events: Vec<Event>,
    /// What carries the datagrams of everybody.
    over: Protocol,
    /// Whether the publisher and every other listener take redundant audio, under numbers of their own.
    red: bool,
    /// The best kind of congestion control feedback that everybody knows.
    feedback: FeedbackKind,
    kept: Kept,
    by_address: HashMap<SocketAddr, usize>,
    dialect: Box<dyn Dialect>,
    buf: Vec<u8>,
}

impl World {
    pub(crate) fn new(dialect: Box<dyn Dialect>) -> World {
        World::with_room(dialect, RoomConfig::default())
    }

    pub(crate) fn with_room(dialect: Box<dyn Dialect>, room: RoomConfig) -> World {
        World::with_estimate(dialect, room, None, 0)
    }

    /// The same with what is believed of paths; without it nothing is paced. So many decisions are kept.
    fn with_estimate(
        dialect: Box<dyn Dialect>,
        room: RoomConfig,
        estimate: Option<bwe::Config>,
        decisions: usize,
    ) -> World {
        let now = Instant::from_millis(1_000);
        let candidates = vec![HostCandidate::udp(ENGINE)];
        // What the tables are made of: AEAD_AES_256_GCM with who offers all.
        let dtls = dtls::Config { profiles: vec![8, 7, 1], ..dtls::Config::default() };
        let config = EngineConfig { candidates, estimate, decisions, dtls, ..EngineConfig::default() };
        let mut engine = Engine::new(config, [7; 32], now).expect("a sound configuration");
        let room = engine.create_room(room).expect("room for a room");
        World {
            engine,
            room,
            now,
            peers: Vec::new(),
            participants: Vec::new(),
            events: Vec::new(),
            over: Protocol::Udp,
            red: false,
            feedback: FeedbackKind::TransportWide,
            kept: Kept::default(),
            by_address: HashMap::new(),
            dialect,
            buf: vec![0; BURST],
        }
    }

    /// A room with one publisher and `listeners` who receive its audio and video.
    pub(crate) fn connected(dialect: Box<dyn Dialect>, listeners: usize) -> World {
        World::connected_over(Protocol::Udp, dialect, listeners)
    }

    /// The same with video in three temporal layers, of which every other listener gets two: half of the
    /// pictures, their numbers rewritten.
    pub(crate) fn layered(dialect: Box<dyn Dialect>, listeners: usize) -> World {
        let mut world = World::connected(dialect, listeners);
        world.peers[0].layered = true;
        // A picture a millisecond, until the layers are measured; then until those who want less get less.
        world.pass_video(1_000);
        let source = world.video();
        let wish = Wish { max_frame_rate: Some(500), ..Wish::default() };
        for listener in world.participants[1..].iter().skip(1).step_by(2) {
            let mut listener = world.engine.participant(*listener).expect("it is there");
            listener.set_wish(source, wish).expect("it is subscribed");
        }
        world.pass_video(400);
        world
    }

    fn pass_video(&mut self, count: usize) {
        for _ in 0..count / 8 {
            let packets = self.packets(Media::Video, 100, 8);
            self.forward(&packets);
            self.settle();
        }
    }

    /// How many packets leave for so many of video that come in, where there are layers; in fours.
    pub(crate) fn layered_count(&self, packets: usize) -> usize {
        let listeners = self.peers.len() - 1;
        packets * listeners.div_ceil(2) + packets / 2 * (listeners / 2)
    }

    /// A connected world with paths of which feedback tells: all can take more than there is.
    pub(crate) fn fitted(dialect: Box<dyn Dialect>, listeners: usize) -> World {
        let rate = Bitrate::from_kbps(100_000_000);
        let bounds = bwe::Config { initial: rate, min: rate, max: rate };
        let mut world = World::with_estimate(dialect, RoomConfig::default(), Some(bounds), 0);
        world.kept.numbers = Some(Vec::new());
        world.with_listeners(listeners)
    }

    /// The same with video in three temporal layers and estimates that move; what is decided by them is kept.
    pub(crate) fn deciding(dialect: Box<dyn Dialect>, listeners: usize) -> World {
        let [initial, min, max] = [400, 45, 100_000].map(Bitrate::from_kbps);
        let bounds = bwe::Config { initial, min, max };
        let mut world = World::with_estimate(dialect, RoomConfig::default(), Some(bounds), 256);
        world.kept.numbers = Some(Vec::new());
        let mut world = world.with_listeners(listeners);
        world.peers[0].layered = true;
        world
    }

    /// The source of the publisher's video.
    pub(crate) fn video(&self) -> SourceId {
        let source = self.events.iter().find_map(|event| match event {
            Event::SourceAdded(source) if source.kind == MediaKind::Video => Some(source.id),
            _ => None,
        });
        source.expect("video is published")
    }

    /// What the listeners tell of the packets that came since: a feedback of each.
    pub(crate) fn tell(&mut self) -> Vec<(Path, Vec<u8>)> {
        let Some(kept) = &mut self.kept.numbers else { return Vec::new() };
        let capacity = kept.capacity();
        let numbers = std::mem::replace(kept, Vec::with_capacity(capacity));
        let mut told = Vec::new();
        for (address, at) in &self.by_address {
            let own: Vec<u16> =
                numbers.iter().filter(|(to, _)| to == address).map(|(_, wire)| *wire).collect();
            let (Some(first), Some(last)) = (own.first(), own.last()) else { continue };
            let came = |number: u16| own.contains(&number).then_some(self.now);
            let span = last.wrapping_sub(*first);
            let arrivals: Vec<_> = (0..=span).map(|ahead| came(first.wrapping_add(ahead))).collect();
            let mut buf = vec![0; 1_400];
            let mut writer = rtcp::Writer::new(&mut buf);
            let told_of = writer.transport_feedback(Ssrc(7), Ssrc(8), 0, WireSeq(*first), arrivals);
            assert_eq!(told_of, Ok(usize::from(span) + 1));
            let len = writer.len();
            let keys = self.peers[*at].keys.as_mut().expect("connected");
            let len = keys.sealer.seal_rtcp(&mut buf, len).expect("sealed");
            buf.truncate(len);
            told.push((way(self.over, *address), buf));
        }
        told.sort();
        told
    }

    /// Opens another room, which those who join from now on are in.
    pub(crate) fn open_room(&mut self) {
        self.room = self.engine.create_room(RoomConfig::default()).expect("room for a room");
    }

    /// The same, with datagrams carried by what is said here.
    pub(crate) fn connected_over(over: Protocol, dialect: Box<dyn Dialect>, listeners: usize) -> World {
        World { over, ..World::new(dialect) }.with_listeners(listeners)
    }

    /// The same with redundant audio: every other listener takes it.
    pub(crate) fn connected_with_red(dialect: Box<dyn Dialect>, listeners: usize) -> World {
        World { red: true, ..World::new(dialect) }.with_listeners(listeners)
    }

    /// The same with another kind of congestion control feedback.
    pub(crate) fn connected_telling(
        feedback: FeedbackKind,
        dialect: Box<dyn Dialect>,
        listeners: usize,
    ) -> World {
        World { feedback, ..World::new(dialect) }.with_listeners(listeners)
    }

    fn with_listeners(self, listeners: usize) -> World {
        let mut world = self;
        world.join(Direction::Send, 1);
        world.settle();
        for _ in 0..listeners {
            world.join(Direction::Receive, 1);
            world.settle();
        }
        assert!(world.peers.iter().all(Peer::connected), "everybody connects");
        // The first packets settle streams and mappings.
        for media in [Media::Audio, Media::Video, Media::Audio, Media::Video] {
            let packet = world.peers[0].packet(media, 100);
            assert_eq!(world.forward(&[packet]), listeners);
        }
        world.settle();
        world
    }

    /// Drops the clients and all that is not the engine's.
    pub(crate) fn forget_peers(&mut self) {
        self.peers = Vec::new();
        self.participants = Vec::new();
        self.by_address = HashMap::new();
        self.events = Vec::new();
        self.kept = Kept::default();
    }

    /// Closes the room and opens another like it.
    pub(crate) fn reopen(&mut self) {
        self.engine.room(self.room).expect("the room is there").close();
        while self.engine.poll_transmit(self.now, &mut self.buf).is_some() {}
        while self.engine.poll_event().is_some() {}
        let room = RoomConfig { view: SubscribeRule::None.into(), ..RoomConfig::default() };
        self.room = self.engine.create_room(room).expect("room for a room");
    }

    /// How many datagrams that are no media wait for their peers.
    pub(crate) fn kept(&self) -> usize {
        self.kept.ends.len()
    }

    /// Adds a participant and begins its handshake; `settle` ends it.
    pub(crate) fn join(&mut self, direction: Direction, pairs: usize) -> usize {
        let number = self.peers.len();
        // One address each: 10.x.y.1:5000.
        let [high, low] = u16::try_from(number).expect("few peers").to_be_bytes();
        let address = SocketAddr::from(([10, high, low, 1], 5_000));
        let mut peer = Peer::new(address, number);
        if self.red && number.is_multiple_of(2) {
            peer.audio = if number == 0 { (offer::OPUS, Some(offer::RED)) } else { (109, Some(121)) };
        }
        let config = ParticipantConfig { label: format!("p{number}"), ..ParticipantConfig::default() };
        let id =
            self.engine.room(self.room).expect("the room is there").join(config).expect("room for one more");
        let mut offer = peer.offer(&*self.dialect, direction, pairs);
        match self.feedback {
            FeedbackKind::Ccfb => {
                offer = offer.replace("a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-fb:* ack ccfb\r\n");
            }
            FeedbackKind::Remb => offer = offer.replace(" transport-cc\r\n", " ack\r\n"),
            _ => {}
        }
        let answer =
            self.engine.participant(id).expect("just joined").accept_offer(&offer).expect("a sound offer");
        peer.accept_answer(&*self.dialect, &answer, self.now);
        self.by_address.insert(address, number);
        self.peers.push(peer);
        self.participants.push(id);
        number
    }

    /// Carries datagrams both ways until nobody has anything to say at this moment.
    pub(crate) fn settle(&mut self) {
        loop {
            let kept = self.kept.take();
            let mut quiet = kept.is_empty();
            for (to, datagram) in kept.iter() {
                if let Some(&peer) = self.by_address.get(&to) {
                    self.peers[peer].handle_datagram(self.now, datagram);
                    quiet &= !self.answer(peer);
                }
            }
            if let Some(newest) = self.peers.len().checked_sub(1) {
                quiet &= !self.answer(newest);
            }
            quiet &=
                drain(&mut self.engine, self.now, &mut self.buf, &mut self.kept) == 0 && self.kept.is_empty();
            while let Some(event) = self.engine.poll_event() {
                self.events.push(event);
            }
            if quiet {
                return;
            }
        }
    }

    /// Hands over what a peer has to say.
    fn answer(&mut self, peer: usize) -> bool {
        let mut any = false;
        while let Some(datagram) = self.peers[peer].poll_transmit() {
            any = true;
            let path = self.path(self.peers[peer].address);
            hand(&mut self.engine, self.now, path, &datagram);
        }
        any
    }

    /// Lets virtual time pass with everybody answering.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            self.settle();
            match self.engine.poll_timeout() {
                Some(at) if at <= end => {
                    // A step each, so that time moves whatever is due.
                    self.now = at.max(self.now + Duration::from_micros(1));
                    self.engine.handle_timeout(self.now);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// The publisher's next packets.
    pub(crate) fn packets(&mut self, media: Media, payload_len: usize, count: usize) -> Vec<Vec<u8>> {
        self.kept.reserve(count * self.peers.len());
        (0..count).map(|_| self.peers[0].packet(media, payload_len)).collect()
    }

    /// The next `frame` packets of video of each of these publishers, in turn.
    pub(crate) fn frames_of(&mut self, peers: &[usize], len: usize, frame: usize, count: usize) -> Vec<Sent> {
        self.kept.reserve(count * frame * self.peers.len());
        let turns = peers.iter().cycle().take(count);
        let packets = |peer: &mut Peer| (0..frame).map(|_| peer.packet(Media::Video, len)).collect();
        turns.map(|peer| (*peer, packets(&mut self.peers[*peer]))).collect()
    }

    /// Hands in frames of several publishers, and fetches all that leaves after each.
    pub(crate) fn forward_of(&mut self, frames: &[Sent]) -> usize {
        let mut sent = 0;
        for (peer, packets) in frames {
            let path = self.path(self.peers[*peer].address);
            sent += exchange(&mut self.engine, &mut self.now, path, packets, &mut self.buf, &mut self.kept);
        }
        sent
    }

    /// Hands in the publisher's packets, a millisecond apart, and fetches all that leaves after each.
    /// Returns how many packets of media left.
    pub(crate) fn forward(&mut self, packets: &[Vec<u8>]) -> usize {
        self.forward_bursts(packets, 1)
    }

    /// The same, fetching after every `burst` packets, as an embedder that receives in batches does.
    pub(crate) fn forward_bursts(&mut self, packets: &[Vec<u8>], burst: usize) -> usize {
        let path = self.path(self.peers[0].address);
        let bursts = packets.chunks(burst);
        bursts
            .map(|burst| {
                exchange(&mut self.engine, &mut self.now, path, burst, &mut self.buf, &mut self.kept)
            })
            .sum()
    }

    /// What the clients say to what the engine sent them.
    pub(crate) fn answers(&mut self) -> Vec<(Path, Vec<u8>)> {
        let kept = self.kept.take();
        let over = self.over;
        let mut answers = Vec::new();
        for (to, datagram) in kept.iter() {
            if let Some(&at) = self.by_address.get(&to) {
                let peer = &mut self.peers[at];
                peer.handle_datagram(self.now, datagram);
                answers.extend(std::iter::from_fn(|| peer.poll_transmit()).map(|data| (way(over, to), data)));
            }
        }
        answers
    }

    /// A check of every client's own.
    pub(crate) fn checks(&mut self) -> Vec<(Path, Vec<u8>)> {
        let (mut said, over) = (Vec::new(), self.over);
        for peer in &mut self.peers {
            peer.check();
            let path = way(over, peer.address);
            said.extend(std::iter::from_fn(|| peer.poll_transmit()).map(|data| (path, data)));
        }
        said
    }

    #[inline(never)]
    pub(crate) fn receive(&mut self, datagrams: &[(Path, Vec<u8>)]) {
        for (path, data) in datagrams {
            hand(&mut self.engine, self.now, *path, data);
        }
    }

    /// Lets the engine do what is due and fetches everything.
    #[inline(never)]
    pub(crate) fn tick(&mut self) -> usize {
        self.engine.handle_timeout(self.now);
        drain(&mut self.engine, self.now, &mut self.buf, &mut self.kept)
    }

    /// Hands in the publisher's packets and fetches nothing.
    pub(crate) fn hand_in(&mut self, packets: &[Vec<u8>]) {
        let path = self.path(self.peers[0].address);
        for data in packets {
            self.now += Duration::from_micros(100);
            hand(&mut self.engine, self.now, path, data);
        }
    }

    fn path(&self, remote: SocketAddr) -> Path {
        way(self.over, remote)
    }

    /// The SRTP profile that everybody has.
    pub(crate) fn profile(&self) -> srtp::Profile {
        self.peers[0].keys.as_ref().expect("connected").profile
    }
}

/// Datagrams of the engine's that are not media, kept for their peers without an allocation each.
#[derive(Default)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    ends: Vec<(SocketAddr, usize)>,
    /// Whose packets of media came under which transport-wide numbers, where that is told.
    pub(crate) numbers: Option<Vec<(SocketAddr, u16)>>,
}

impl Kept {
    fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push((to, self.bytes.len()));
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What is no media.
    fn take(&mut self) -> Kept {
        let (bytes, ends) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.ends));
        Kept { bytes, ends, numbers: None }
    }

    fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (to, end))| (*to, &self.bytes[start..*end]))
    }

    /// Makes room, so that keeping is not what allocates.
    pub(crate) fn reserve(&mut self, datagrams: usize) {
        self.bytes.reserve(datagrams * 256);
        self.ends.reserve(datagrams);
        if let Some(numbers) = &mut self.numbers {
            numbers.reserve(datagrams);
        }
    }

    /// Notes the numbers of a transmit of media: they stand first among the header extensions.
    fn note(&mut self, to: SocketAddr, bytes: &[u8], size: usize) {
        let Some(numbers) = &mut self.numbers else { return };
        for datagram in bytes.chunks(size) {
            assert_eq!(datagram[16] >> 4, TRANSPORT_SEQUENCE_NUMBER);
            numbers.push((to, u16::from_be_bytes([datagram[17], datagram[18]])));
        }
    }
}

pub(crate) fn path(remote: SocketAddr) -> Path {
    way(Protocol::Udp, remote)
}

fn way(protocol: Protocol, remote: SocketAddr) -> Path {
    Path { protocol, local: ENGINE, remote }
}

/// Hands in a datagram as it arrives: by itself, or in a frame of a stream, every other one cut in two.
fn hand(engine: &mut Engine, now: Instant, path: Path, data: &[u8]) {
    if path.protocol != Protocol::Tcp {
        return engine.handle_datagram(now, Datagram { path, ecn: Ecn::NotEct, data });
    }
    let mut frame = [0; limits::DATAGRAM + framing::PREFIX];
    let len = framing::write(data, &mut frame).expect("a datagram fits");
    let cut = if data.last().is_some_and(|last| last & 1 == 0) { len / 2 } else { len };
    for piece in [&frame[..cut], &frame[cut..len]] {
        // Whether it still takes them shows itself in what it sends.
        let _ = engine.handle_stream(now, path, piece);
    }
}

/// The work that benches time and allocations are counted of: datagrams in, then datagrams out. Packets
/// are a millisecond apart, so that reports and feedback come as often as in a stream of 10 Mbit/s.
#[inline(never)]
pub(crate) fn exchange(
    engine: &mut Engine,
    now: &mut Instant,
    path: Path,
    burst: &[Vec<u8>],
    buf: &mut [u8],
    kept: &mut Kept,
) -> usize {
    for data in burst {
        *now += Duration::from_millis(1);
        hand(engine, *now, path, data);
    }
    drain(engine, *now, buf, kept)
}

/// Fetches everything; keeps what is not media.
fn drain(engine: &mut Engine, now: Instant, buf: &mut [u8], kept: &mut Kept) -> usize {
    let mut sent = 0;
    while let Some(transmit) = engine.poll_transmit(now, buf) {
        let bytes = &buf[..transmit.len];
        if transmit.path.protocol == Protocol::Tcp {
            let mut rest = bytes;
            while let Some((prefix, behind)) = rest.split_first_chunk() {
                let (frame, tail) = behind.split_at(u16::from_be_bytes(*prefix).into());
                rest = tail;
                match mux::kind_of(frame) {
                    Some(mux::Kind::Rtp) => sent += 1,
                    _ => kept.push(transmit.path.remote, frame),
                }
            }
        } else if mux::kind_of(bytes) == Some(mux::Kind::Rtp) {
            let size = transmit.segment_size.map_or(transmit.len, |size| size.get().into());
            sent += transmit.len.div_ceil(size);
            kept.note(transmit.path.remote, bytes, size);
        } else {
            kept.push(transmit.path.remote, bytes);
        }
    }
    sent
}
