//! A path with one bottleneck and a source, for tests, in steps of a millisecond.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Arrival, Config, Demand, Estimator, Sent};
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// What a path does to packets. Times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) kbps: f64,
    pub(super) delay: f64,
    pub(super) jitter: f64,
    /// Packets that would wait longer are dropped.
    pub(super) queue: f64,
    /// The share of packets that is lost behind the bottleneck, and of those that come late by 30 ms.
    pub(super) loss: f64,
    pub(super) late: f64,
    pub(super) feedback: u64,
    pub(super) feedback_loss: f64,
}

impl Default for Path {
    fn default() -> Self {
        Path {
            kbps: 3_000.0,
            delay: 30.0,
            jitter: 2.0,
            queue: 300.0,
            loss: 0.0,
            late: 0.0,
            feedback: 50,
            feedback_loss: 0.0,
        }
    }
}

/// An estimator, its source and its path.
pub(super) struct Network {
    pub(super) estimator: Estimator,
    pub(super) path: Path,
    /// The most that pictures take, in kbit/s; sound takes 32 besides.
    pub(super) most: f64,
    /// Whether pictures come in layers of 10, 30 and 100 % of that, or as an encoder makes them.
    pub(super) ladder: bool,
    /// Whether padding can be sent.
    pub(super) pads: bool,
    pub(super) now: Instant,
    /// How long the last packet waited, in milliseconds.
    pub(super) waits: f64,
    /// Bytes that left since the last look.
    pub(super) sent: usize,
    /// What was fed back since the last look; what it says may be changed by `told`.
    pub(super) told: fn(Arrival) -> Arrival,
    demand: Demand,
    number: u64,
    free: f64,
    budget: f64,
    pictures: usize,
    flying: Vec<(u64, Instant)>,
    reported: u64,
    back: VecDeque<(Instant, Vec<Arrival>)>,
    random: u64,
}

pub(super) const BOUNDS: Config =
    Config { initial: Bitrate::from_kbps(300), min: Bitrate::from_kbps(50), max: Bitrate::from_kbps(20_000) };

impl Network {
    pub(super) fn new(path: Path, most: f64, seed: u64) -> Self {
        Network {
            estimator: Estimator::new(BOUNDS),
            path,
            most,
            ladder: false,
            pads: true,
            now: Instant::from_millis(1_000),
            waits: 0.0,
            sent: 0,
            told: |arrival| arrival,
            demand: Demand::default(),
            number: 0,
            free: 0.0,
            budget: 0.0,
            pictures: 0,
            flying: Vec::new(),
            reported: 0,
            back: VecDeque::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// The estimate in kbit/s.
    pub(super) fn target(&self) -> f64 {
        self.estimator.target().as_bps() as f64 / 1e3
    }

    pub(super) fn run(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step());
    }

    /// Runs until `done`, or for so many milliseconds; how many it took.
    pub(super) fn run_until(&mut self, most: u64, done: impl Fn(&Self) -> bool) -> Option<u64> {
        (1..=most).find(|_| {
            self.step();
            done(self)
        })
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let tick = self.now.as_micros() / 1_000;
        self.estimator.handle_timeout(self.now);
        while self.back.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, arrivals) = self.back.pop_front().unwrap_or_default();
            self.estimator.on_feedback(self.now, &arrivals);
        }
        if tick % 20 == 0 {
            self.send(80);
        }
        if tick % 33 == 0 {
            self.pictures += self.frame();
        }
        self.pace();
        if tick % self.path.feedback == 0 {
            self.report();
        }
    }

    /// The bytes of a picture, and what would be sent if it could.
    fn frame(&mut self) -> usize {
        let room = (self.target() - 32.0).max(0.0);
        let layers = [0.1, 0.3, 1.0].map(|share| share * self.most);
        let kbps = match layers.iter().rev().find(|layer| **layer <= room) {
            _ if !self.ladder => room.min(self.most),
            layer => layer.copied().unwrap_or(0.0),
        };
        let next = layers.into_iter().find(|layer| self.ladder && *layer > kbps).unwrap_or(self.most);
        let with_sound = |kbps: f64| Bitrate::from_kbps(kbps.ceil() as u64 + 32);
        let demand = Demand { next: with_sound(next), most: with_sound(self.most) };
        if demand != self.demand {
            self.demand = demand;
            self.estimator.set_demand(self.now, demand);
        }
        (kbps * 33.0 / 8.0) as usize
    }

    fn pace(&mut self) {
        self.budget += self.estimator.pacing_rate().as_bps() as f64 / 8e3;
        while self.budget > 0.0 {
            let size = match self.pictures.min(1_200) {
                0 if !self.pads => break,
                0 => match self.estimator.poll_probe(self.now) {
                    Some(size) => size,
                    None => break,
                },
                size => size,
            };
            self.pictures = self.pictures.saturating_sub(size);
            self.budget -= size as f64;
            self.send(size);
        }
        self.budget = self.budget.min(0.0);
    }

    fn send(&mut self, size: usize) {
        let number = self.number;
        self.number += 1;
        self.sent += size;
        self.estimator.on_sent(Sent { at: self.now, number, size });
        let now = self.now.as_micros() as f64 / 1e3;
        self.waits = (self.free - now).max(0.0);
        let lost = self.draw() < self.path.loss;
        if self.waits > self.path.queue {
            return;
        }
        self.free = now + self.waits + size as f64 * 8.0 / self.path.kbps;
        let late = if self.draw() < self.path.late { 30.0 } else { 0.0 };
        let jitter = self.path.jitter * (self.draw() + self.draw());
        let arrival = self.free + self.path.delay + jitter + late;
        if !lost {
            self.flying.push((number, Instant::from_micros((arrival * 1e3) as u64)));
        }
    }

    /// All up to the highest number that has come, and what had been reported as lost and came.
    fn report(&mut self) {
        let now = self.now;
        let mut come: Vec<_> = self.flying.extract_if(.., |(_, at)| *at <= now).collect();
        come.sort_unstable();
        let Some(&(highest, _)) = come.last() else { return };
        let mut arrivals = Vec::new();
        let mut next = self.reported;
        for (number, at) in come {
            arrivals.extend((next..number).map(|number| Arrival { number, at: None, ce: false }));
            arrivals.push(Arrival { number, at: Some(at), ce: false });
            next = next.max(number + 1);
        }
        self.reported = self.reported.max(highest + 1);
        arrivals.iter_mut().for_each(|arrival| *arrival = (self.told)(*arrival));
        if self.draw() >= self.path.feedback_loss {
            let delay = Duration::from_micros((self.path.delay * 1e3) as u64);
            self.back.push_back((now + delay, arrivals));
        }
    }

    /// Evenly from 0 to 1 (xorshift).
    fn draw(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}
