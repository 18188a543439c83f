//! A TCP connection in virtual time: bytes in order, in pieces that know nothing of frames.

use super::Client;
use super::harness::{Conference, Endpoint, home, server, stream_to};
use super::net::Packet;
use estafette::framing::{self, Deframer};
use estafette::random::Random;
use estafette::{Instant, RoomId, StreamEnd, framing::Fault};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Both directions of one connection.
pub struct Stream {
    delay: Duration,
    random: Random,
    up: VecDeque<(Instant, Vec<u8>)>,
    down: VecDeque<(Instant, Vec<u8>)>,
    /// Reads what the server reads, to know what it got.
    shadow: Deframer,
    client: Deframer,
}

impl Stream {
    pub fn new(seed: u64, delay: Duration) -> Self {
        let mut bytes = [0x7c; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Stream {
            delay,
            random: Random::new(bytes),
            up: VecDeque::new(),
            down: VecDeque::new(),
            shadow: Deframer::default(),
            client: Deframer::default(),
        }
    }

    /// A datagram to the server.
    pub fn send_up(&mut self, now: Instant, datagram: &[u8]) {
        let at = now + self.delay;
        cut(&mut self.random, &mut self.up, at, &framed(datagram));
    }

    /// Frames of the server's.
    pub fn send_down(&mut self, now: Instant, frames: &[u8]) {
        let at = now + self.delay;
        cut(&mut self.random, &mut self.down, at, frames);
    }

    pub fn next_arrival(&self) -> Option<Instant> {
        self.up.front().into_iter().chain(self.down.front()).map(|(at, _)| *at).min()
    }

    /// The next piece at the server.
    pub fn arrive_up(&mut self, now: Instant) -> Option<Vec<u8>> {
        pop_due(&mut self.up, now)
    }

    /// The next datagrams at the client.
    pub fn arrive_down(&mut self, now: Instant) -> Option<Vec<Vec<u8>>> {
        let piece = pop_due(&mut self.down, now)?;
        Some(frames(&mut self.client, now, &piece).expect("the server writes frames"))
    }

    /// What the server makes of a piece.
    pub fn read_along(&mut self, now: Instant, piece: &[u8]) -> Vec<Vec<u8>> {
        let (mut rest, mut read) = (piece, Vec::new());
        while let Ok(Some(frame)) = self.shadow.next(now, &mut rest) {
            read.push(frame.to_vec());
        }
        read
    }
}

impl<E: Endpoint> Conference<E> {
    /// Hands over what arrived on connections.
    pub(super) fn carry_streams(&mut self) {
        let now = self.now;
        for address in self.streams.keys().copied().collect::<Vec<_>>() {
            while let Some(piece) = self.streams.get_mut(&address).and_then(|s| s.arrive_up(now)) {
                self.inject_stream(address, &piece);
            }
            while let Some(datagrams) = self.streams.get_mut(&address).and_then(|s| s.arrive_down(now)) {
                for data in datagrams {
                    self.deliver(&Packet { from: server(), to: address, data });
                }
            }
        }
    }

    /// Hands bytes to the engine as if they came over a connection from `from`.
    pub fn inject_stream(&mut self, from: SocketAddr, piece: &[u8]) {
        let (now, seed) = (self.now, self.options.seed);
        let taken = self.engine.handle_stream(now, stream_to(from), piece);
        if taken == Err(StreamEnd::Refused) {
            self.ends.push((from, StreamEnd::Refused));
            return;
        }
        let stream = self.streams.entry(from).or_insert_with(|| Stream::new(seed, Duration::ZERO));
        for datagram in stream.read_along(now, piece) {
            self.watch.received(from, &datagram);
            if let Some(transcript) = &mut self.transcript {
                transcript.add(now, from, server(), &datagram);
            }
        }
        if let Err(end) = taken {
            self.streams.remove(&from);
            self.ends.push((from, end));
        }
    }

    /// A client's connection ends.
    pub fn hang_up(&mut self, address: SocketAddr) {
        self.streams.remove(&address);
        self.engine.close_stream(stream_to(address));
    }

    /// The client at `address` talks over a connection from now on.
    pub fn connect_stream(&mut self, address: SocketAddr) {
        let seed = self.options.seed ^ u64::from(address.port()) << 32 ^ self.streams.len() as u64;
        self.engine.open_stream(stream_to(address)).expect("there is room for a stream");
        self.streams.insert(address, Stream::new(seed, Duration::from_millis(20)));
        self.over_tcp.insert(address);
    }
}

impl Conference<Client> {
    /// Client `index` joins a room with the usual media, over TCP.
    pub fn add_over_tcp(&mut self, room: RoomId, index: u32) -> usize {
        self.connect_stream(home(index));
        self.add(room, index)
    }
}

/// The frames of a transmit, which holds whole ones.
pub fn whole_frames(mut written: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((prefix, rest)) = written.split_first_chunk() {
        let (frame, behind) = rest.split_at(usize::from(u16::from_be_bytes(*prefix)));
        frames.push(frame.to_vec());
        written = behind;
    }
    assert!(written.is_empty());
    frames
}

/// A datagram behind its length.
pub fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut out = vec![0; datagram.len() + framing::PREFIX];
    framing::write(datagram, &mut out).expect("a frame");
    out
}

/// The frames of a piece.
pub fn frames(deframer: &mut Deframer, now: Instant, mut piece: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut read = Vec::new();
    while let Some(frame) = deframer.next(now, &mut piece)? {
        read.push(frame.to_vec());
    }
    Ok(read)
}

/// Cuts bytes anywhere, and glues them to what arrives at the same moment.
fn cut(random: &mut Random, queue: &mut VecDeque<(Instant, Vec<u8>)>, at: Instant, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let most = if random.below(8) == 0 { 4 } else { 3_000 };
        let (piece, rest) = bytes.split_at(bytes.len().min(1 + random.below(most) as usize));
        bytes = rest;
        match queue.back_mut().filter(|(other, _)| *other == at && random.below(2) == 0) {
            Some((_, before)) => before.extend_from_slice(piece),
            None => queue.push_back((at, piece.to_vec())),
        }
    }
}

fn pop_due(queue: &mut VecDeque<(Instant, Vec<u8>)>, now: Instant) -> Option<Vec<u8>> {
    queue.front().filter(|(at, _)| *at <= now)?;
    queue.pop_front().map(|(_, piece)| piece)
}
