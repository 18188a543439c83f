//! A network in virtual time: links that lose, delay, double and reorder, seeded and replayable.

use estafette::Instant;
use estafette::random::Random;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// One thing that a link does to a datagram; stages apply one after another.
#[derive(Debug, Clone, Copy)]
pub enum Stage {
    /// Every datagram takes this long.
    Delay(Duration),
    /// Every datagram takes up to this much longer, so they overtake each other.
    Jitter(Duration),
    /// This share is lost, each on its own.
    Loss(f64),
    /// This share comes a second time, up to 20 ms later.
    Duplicate(f64),
    /// This share is held back by so much.
    Reorder(f64, Duration),
    /// This share arrives with one bit flipped.
    Flip(f64),
    /// Nothing passes between these moments.
    Down(Instant, Instant),
}

/// One direction between two addresses.
#[derive(Debug, Clone, Default)]
pub struct Link(Vec<Stage>);

impl Link {
    /// A link that does nothing but take `delay`.
    pub fn delay(delay: Duration) -> Self {
        Link(vec![Stage::Delay(delay)])
    }

    /// 20 ms that lose `share`.
    pub fn lossy(share: f64) -> Self {
        Link::delay(Duration::from_millis(20)).with(Stage::Loss(share))
    }

    /// The link with one more stage.
    pub fn with(mut self, stage: Stage) -> Self {
        self.0.push(stage);
        self
    }

    /// When the copies of a datagram sent now arrive; none when it is lost.
    fn carry(&self, now: Instant, random: &mut Random, data: &mut [u8]) -> Vec<Instant> {
        let mut arrivals = vec![now];
        for stage in &self.0 {
            match *stage {
                Stage::Delay(delay) => arrivals.iter_mut().for_each(|at| *at += delay),
                Stage::Jitter(most) => arrivals.iter_mut().for_each(|at| *at += up_to(random, most)),
                Stage::Loss(share) => arrivals.retain(|_| !happens(random, share)),
                Stage::Duplicate(share) => {
                    if let Some(&first) = arrivals.first().filter(|_| happens(random, share)) {
                        arrivals.push(first + up_to(random, Duration::from_millis(20)));
                    }
                }
                Stage::Reorder(share, by) => {
                    for at in &mut arrivals {
                        if happens(random, share) {
                            *at += by;
                        }
                    }
                }
                Stage::Flip(share) => {
                    if happens(random, share) && !data.is_empty() {
                        let bit = random.below(8 * data.len() as u64) as usize;
                        data[bit / 8] ^= 1 << (bit % 8);
                    }
                }
                Stage::Down(from, until) => arrivals.retain(|_| now < from || now >= until),
            }
        }
        arrivals
    }
}

/// A queue before a rate, in front of a link.
#[derive(Debug, Clone)]
pub struct Bottleneck {
    /// From when on how many kbit/s, ascending.
    pub steps: Vec<(Instant, u64)>,
    /// What would wait longer is dropped.
    pub queue: Duration,
    free: Instant,
    pub dropped: u64,
    pub passed: u64,
    /// The longest wait since it was last looked at.
    pub waited: Duration,
}

impl Bottleneck {
    pub fn new(kbps: u64, queue: Duration) -> Self {
        let steps = vec![(Instant::ZERO, kbps)];
        Bottleneck { steps, queue, free: Instant::ZERO, dropped: 0, passed: 0, waited: Duration::ZERO }
    }

    /// When a datagram is through; `None` if it is dropped.
    fn pass(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let start = self.free.max(now);
        let wait = start - now;
        if wait > self.queue {
            self.dropped += 1;
            return None;
        }
        let kbps = self.steps.iter().rev().find(|(from, _)| *from <= start).map_or(1, |(_, kbps)| *kbps);
        // IP and UDP.
        self.free = start + Duration::from_micros((bytes as u64 + 28) * 8_000 / kbps);
        self.passed += 1;
        self.waited = self.waited.max(wait);
        Some(self.free)
    }
}

/// A datagram under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub data: Vec<u8>,
}

/// All links and what is on them.
pub struct Network {
    random: Random,
    default: Link,
    links: BTreeMap<(SocketAddr, SocketAddr), Link>,
    pub bottlenecks: BTreeMap<(SocketAddr, SocketAddr), Bottleneck>,
    /// Each pair draws from a generator of its own: traffic elsewhere does not change its losses.
    randoms: BTreeMap<(SocketAddr, SocketAddr), Random>,
    flights: BTreeMap<(Instant, u64), Packet>,
    sent: u64,
}

impl Network {
    pub fn new(seed: u64, default: Link) -> Self {
        let mut bytes = [0x4e; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Network {
            random: Random::new(bytes),
            default,
            links: BTreeMap::new(),
            bottlenecks: BTreeMap::new(),
            randoms: BTreeMap::new(),
            flights: BTreeMap::new(),
            sent: 0,
        }
    }

    /// What every pair without a link of its own does from now on.
    pub fn set_default(&mut self, link: Link) {
        self.default = link;
    }

    /// What they do now.
    pub fn default_link(&self) -> &Link {
        &self.default
    }

    /// Gives one direction between two addresses a link of its own.
    pub fn set_link(&mut self, from: SocketAddr, to: SocketAddr, link: Link) {
        self.links.insert((from, to), link);
    }

    /// Puts a datagram on its link.
    pub fn send(&mut self, now: Instant, mut packet: Packet) {
        let pair = (packet.from, packet.to);
        let random = self.randoms.entry(pair).or_insert_with(|| self.random.fork(label(pair)));
        let link = self.links.get(&pair).unwrap_or(&self.default);
        let bottleneck = self.bottlenecks.get_mut(&pair);
        let Some(through) = bottleneck.map_or(Some(now), |one| one.pass(now, packet.data.len())) else {
            return;
        };
        for at in link.carry(through, random, &mut packet.data) {
            // The count makes the order of what arrives together the order in which it left.
            self.sent += 1;
            self.flights.insert((at, self.sent), packet.clone());
        }
    }

    /// When the next datagram arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.flights.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Packet> {
        let key = *self.flights.keys().next().filter(|(at, _)| *at <= now)?;
        self.flights.remove(&key)
    }
}

fn label((from, to): (SocketAddr, SocketAddr)) -> u64 {
    let half = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => u64::from(u32::from(ip)) << 16 | u64::from(address.port()),
        IpAddr::V6(ip) => u128::from(ip) as u64 ^ u64::from(address.port()),
    };
    half(from).rotate_left(32) ^ half(to)
}

fn happens(random: &mut Random, share: f64) -> bool {
    (random.below(1 << 32) as f64) < share * (1u64 << 32) as f64
}

fn up_to(random: &mut Random, most: Duration) -> Duration {
    Duration::from_micros(random.below(most.as_micros() as u64 + 1))
}
