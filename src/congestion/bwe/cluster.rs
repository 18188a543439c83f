//! A cluster of packets sent above the estimate, and what their delays say of it.
//!
//! While a probe is faster than the path, each packet waits longer than the one before. So the line through the
//! delays over the times of departure has the slope `rate / carried - 1`, which tells what the path carries without
//! a wait for a queue to be seen. How far the slope may be off follows from jitter and from how long the cluster was.

use std::time::Duration;

use crate::base::time::Instant;

/// What padding is cut into, in bytes on the wire: the largest packet that media has.
pub(super) const PACKET: usize = 1_200;
/// Fewer packets prove nothing.
const FEWEST: f64 = 5.0;
/// Nor do fewer that arrived.
const FEWEST_ARRIVED: f64 = 4.0;

/// Packets sent at one rate above the estimate. Times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    /// Bits a second.
    rate: f64,
    start: Instant,
    end: Instant,
    /// Its first number, and one past its last once it is over.
    first: u64,
    last: Option<u64>,
    /// Of the delays `y` over the times of departure `x` of what arrived: how many, and sums.
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    /// The first one's delay, against which the others' are taken.
    origin: i64,
    lost: f64,
    marks: f64,
}

/// What a cluster showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Proof {
    /// Bits a second at which it was sent.
    pub(super) rate: f64,
    /// By how much the delay grew in each microsecond of it, in microseconds.
    pub(super) slope: f64,
    /// How far the slope may be off.
    pub(super) error: f64,
    /// The share of its packets that was lost.
    pub(super) loss: f64,
    /// The share of those that arrived which was marked.
    pub(super) marked: f64,
}

impl Cluster {
    /// At `rate` bits a second from `now` on, for `length` or for as long as it takes to prove anything.
    pub(super) fn new(now: Instant, rate: f64, length: Duration, first: u64) -> Self {
        let least = Duration::from_micros((FEWEST * PACKET as f64 * 8e6 / rate) as u64);
        Cluster {
            rate,
            start: now,
            end: now + length.max(least),
            first,
            last: None,
            count: 0.0,
            x: 0.0,
            y: 0.0,
            xx: 0.0,
            xy: 0.0,
            origin: 0,
            lost: 0.0,
            marks: 0.0,
        }
    }

    /// Its rate while it is being sent.
    pub(super) fn rate(&self) -> Option<f64> {
        self.last.is_none().then_some(self.rate)
    }

    /// It is over when its time is; `next` is the first number that no longer belongs to it.
    pub(super) fn finish(&mut self, now: Instant, next: u64) {
        if now >= self.end {
            self.stop(next);
        }
    }

    /// No more of it is sent.
    pub(super) fn stop(&mut self, next: u64) {
        self.last.get_or_insert(next);
    }

    /// Takes the report on a packet, if it is one of its own.
    pub(super) fn on_report(&mut self, number: u64, sent: i64, arrived: Option<i64>, marked: bool) {
        if number < self.first || self.last.is_some_and(|last| number >= last) {
            return;
        }
        let Some(arrived) = arrived else {
            self.lost += 1.0;
            return;
        };
        if self.count == 0.0 {
            self.origin = arrived - sent;
        }
        let x = (sent - self.start.as_micros() as i64) as f64;
        let y = (arrived - sent - self.origin) as f64;
        self.count += 1.0;
        self.marks += f64::from(u8::from(marked));
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
    }

    /// Whether all of it was reported, up to the number `reported`, or `patience` is over.
    pub(super) fn is_known(&self, now: Instant, reported: u64, patience: Duration) -> bool {
        self.last.is_some_and(|last| reported >= last || now >= self.end + patience)
    }

    /// What it showed where single delays are off by `jitter`; `None` if too little of it arrived.
    pub(super) fn proof(&self, jitter: f64) -> Option<Proof> {
        let spread = self.xx - self.x * self.x / self.count;
        if self.count < FEWEST_ARRIVED || spread <= 0.0 {
            return None;
        }
        let slope = (self.xy - self.x * self.y / self.count) / spread;
        Some(Proof {
            rate: self.rate,
            slope,
            error: jitter / spread.sqrt(),
            marked: self.marks / self.count,
            loss: self.lost / (self.lost + self.count),
        })
    }
}
