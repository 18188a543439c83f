//! One direction of a path: policer, queue, bottleneck, loss, delay, jitter.
//!
//! Packets go in at a moment; each comes out once, as arrived or lost, with the moment of it. The order of a lane is
//! kept unless the direction reorders.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::capacity::Capacity;
use super::direction::{Direction, Reorder};
use super::draws::Draws;
use super::gaps::Turns;
use super::loss::Losses;
use super::policer::Policer;
use super::queue::{Queue, Served};
use crate::base::random::Random;
use crate::base::time::Instant;

/// A packet, as a path sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// The sender's own number for it.
    pub id: u64,
    /// Whose it is, from [`Link::add_lane`].
    pub lane: usize,
    /// Bytes on the wire, with IP and UDP.
    pub size: usize,
    /// Whether it is sent as ECN-capable.
    pub ect: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It arrived, marked as having met congestion or not.
    Arrived {
        /// Congestion experienced.
        ce: bool,
    },
    /// Lost behind the bottleneck, which no rate can change.
    Lost,
    /// Dropped: the queue was full.
    QueueFull,
    /// Dropped by the queue's management.
    Managed,
    /// Dropped by the policer.
    Policed,
}

impl Fate {
    /// Whether congestion took it: queue, management or policer.
    pub fn is_drop(self) -> bool {
        matches!(self, Fate::QueueFull | Fate::Managed | Fate::Policed)
    }
}

/// What became of a packet, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// When it arrived, or was lost on the way.
    pub at: Instant,
    /// The packet.
    pub packet: Packet,
    /// How long it waited for its own transmission; `None` if it was not transmitted.
    pub waited: Option<Duration>,
    /// Its fate.
    pub fate: Fate,
}

/// What the server does; moments in nanoseconds.
#[derive(Debug, Clone, Copy)]
enum Server {
    /// Nothing, for want of packets.
    Free,
    /// Packets wait for the end of a gap.
    Closed { until: u64 },
    /// A packet is in service; without an end if the capacity is zero for ever.
    Busy { served: Served, end: Option<u64> },
}

impl Server {
    /// When it turns to the next packet.
    fn turn(&self) -> Option<u64> {
        match *self {
            Server::Free => None,
            Server::Closed { until } => Some(until),
            Server::Busy { end, .. } => end,
        }
    }
}

/// What packets of one sender share.
#[derive(Debug, Clone)]
struct Lane {
    /// In place of the direction's.
    delay: Option<Duration>,
    losses: Losses,
    jitter: Draws,
    reorder: Draws,
    /// The latest arrival so far, in nanoseconds.
    last: u64,
}

/// One direction of a path, in virtual time.
#[derive(Debug)]
pub struct Link {
    direction: Direction,
    random: Random,
    policer: Option<Policer>,
    /// `None` where nothing limits.
    bottleneck: Option<(Capacity, Queue)>,
    turns: Option<Turns>,
    server: Server,
    lanes: Vec<Lane>,
    in_flight: BinaryHeap<Reverse<(Instant, u64, Outcome)>>,
    lost: VecDeque<Outcome>,
    /// Counts what took off: arrivals of one moment keep their order.
    taken_off: u64,
    now: Instant,
}

impl Link {
    /// A link like `direction`. Its draws follow from `random`, those of each lane and purpose on their own.
    pub fn new(direction: &Direction, random: Random) -> Self {
        let queue = |capacity: &Capacity| Queue::new(direction.queue_bytes(capacity), direction.aqm);
        Link {
            direction: direction.clone(),
            policer: direction.policer.map(|policer| Policer::new(policer.rate, policer.burst)),
            bottleneck: direction.capacity.as_ref().map(|capacity| (capacity.clone(), queue(capacity))),
            turns: direction.gaps.map(|gaps| Turns::new(gaps, Draws::new(random.fork(GAPS)))),
            server: Server::Free,
            random,
            lanes: Vec::new(),
            in_flight: BinaryHeap::new(),
            lost: VecDeque::new(),
            taken_off: 0,
            now: Instant::ZERO,
        }
    }

    /// One more sender, with its own delay in place of the direction's or with that.
    pub fn add_lane(&mut self, delay: Option<Duration>) -> usize {
        let random = self.random.fork(self.lanes.len() as u64);
        let draws = |purpose| Draws::new(random.fork(purpose));
        self.lanes.push(Lane {
            delay,
            losses: Losses::new(self.direction.loss, self.direction.burst_loss, draws(0)),
            jitter: draws(1),
            reorder: draws(2),
            last: 0,
        });
        self.lanes.len() - 1
    }

    /// A packet enters. One of a lane that does not exist is nobody's and goes nowhere.
    pub fn handle_packet(&mut self, now: Instant, packet: Packet) {
        self.handle_timeout(now);
        if packet.lane >= self.lanes.len() {
            return;
        }
        let drop = |fate| Outcome { at: now, packet, waited: None, fate };
        if self.policer.as_mut().is_some_and(|policer| !policer.passes(now, packet.size)) {
            self.lost.push_back(drop(Fate::Policed));
            return;
        }
        let at = nanos(now);
        match &mut self.bottleneck {
            None => self.take_off(at, Served { packet, waited: 0, marked: false }),
            Some((_, queue)) => {
                if queue.push(at, packet) {
                    self.serve(at);
                } else {
                    self.lost.push_back(drop(Fate::QueueFull));
                }
            }
        }
    }

    /// Moves on to `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        while let Some(at) = self.server.turn().filter(|at| *at <= nanos(self.now)) {
            if let Server::Busy { served, .. } = std::mem::replace(&mut self.server, Server::Free) {
                self.take_off(at, served);
                if let Some((_, queue)) = &mut self.bottleneck {
                    queue.release();
                }
            }
            self.serve(at);
        }
    }

    /// What became of a packet up to the moment reached; losses first, arrivals in the order of time.
    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        if let Some(outcome) = self.lost.pop_front() {
            return Some(outcome);
        }
        self.in_flight.peek().filter(|next| next.0.0 <= self.now)?;
        self.in_flight.pop().map(|Reverse((_, _, outcome))| outcome)
    }

    /// When something happens next; `None` if the link is empty.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let lost = (!self.lost.is_empty()).then_some(self.now);
        let turn = self.server.turn().map(instant);
        let arrival = self.in_flight.peek().map(|next| next.0.0);
        [lost, turn, arrival].into_iter().flatten().min()
    }

    /// Begins with the next packet if the server is free, at a nanosecond.
    fn serve(&mut self, at: u64) {
        let free = matches!(self.server, Server::Free);
        let Some((capacity, queue)) = self.bottleneck.as_mut().filter(|(_, queue)| free && !queue.is_empty())
        else {
            return;
        };
        if let Some(until) = self.turns.as_mut().and_then(|turns| turns.closed_until(at)) {
            self.server = Server::Closed { until };
            return;
        }
        let lost = &mut self.lost;
        let managed = |packet| {
            lost.push_back(Outcome { at: instant(at), packet, waited: None, fate: Fate::Managed });
        };
        if let Some(served) = queue.pop(at, managed) {
            self.server = Server::Busy { served, end: capacity.served_at(at, served.packet.size) };
        }
    }

    /// Behind the bottleneck, at a nanosecond: loss, then the way.
    fn take_off(&mut self, at: u64, served: Served) {
        let lane = &mut self.lanes[served.packet.lane];
        let waited = Some(Duration::from_nanos(served.waited));
        let outcome = |at, fate| Outcome { at, packet: served.packet, waited, fate };
        if lane.losses.next() {
            self.lost.push_back(outcome(instant(at), Fate::Lost));
            return;
        }
        let delay = lane.delay.unwrap_or_else(|| self.direction.delay_at(instant(at)));
        let arrival = at + delay.as_nanos() as u64;
        let arrival = instant(lane.arrival(arrival, self.direction.jitter_sigma, self.direction.reorder));
        self.taken_off += 1;
        let arrived = outcome(arrival, Fate::Arrived { ce: served.marked });
        self.in_flight.push(Reverse((arrival, self.taken_off, arrived)));
    }
}

impl Lane {
    /// When what would arrive at a nanosecond does so.
    fn arrival(&mut self, mut arrival: u64, sigma: Duration, reorder: Option<Reorder>) -> u64 {
        if sigma > Duration::ZERO {
            // Shifted by three sigma, so that it is never early.
            arrival += ((self.jitter.gaussian() + 3.0) * sigma.as_nanos() as f64) as u64;
        }
        if let Some(late) = reorder.filter(|reorder| self.reorder.chance(reorder.share)) {
            return arrival + late.by.as_nanos() as u64;
        }
        self.last = self.last.max(arrival);
        self.last
    }
}

/// The draws of gaps, beside those of lanes, which count from zero.
const GAPS: u64 = u64::MAX;

fn nanos(at: Instant) -> u64 {
    at.as_micros().saturating_mul(1_000)
}

/// The first microsecond that is not before a nanosecond.
fn instant(nanos: u64) -> Instant {
    Instant::from_micros(nanos.div_ceil(1_000))
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
