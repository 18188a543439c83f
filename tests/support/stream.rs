//! A TCP connection in virtual time: bytes in order, in pieces that know nothing of frames.

use estafette::framing::{self, Deframer};
use estafette::random::Random;
use estafette::{Instant, framing::Fault};
use std::collections::VecDeque;
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
