//! What feedback has shown of the path so far: all that decisions are made by.

use std::time::Duration;

use super::delay::Delay;
use super::history::History;
use super::meter::Meter;
use super::rounds::{Rounds, Window};
use super::{Arrival, Sent};
use crate::base::time::Instant;

/// From a departure to its report before any came.
const RESPONSE: Duration = Duration::from_millis(100);
/// A slower response counts one part in so many, a faster one in whole: what waits is not the path.
const RESPONSE_PARTS: u32 = 8;
/// More time than this between two rounds is silence, in which nothing is earned.
const ELAPSED: Duration = Duration::from_millis(300);

/// A one-way delay that changes by so much from packet to packet, in microseconds, is no delay: the receiver's clock
/// was set.
const CLOCK_SET: i64 = 30_000_000;

/// What is told of a packet. Times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) size: u32,
    pub(super) sent: i64,
    /// By the receiver's clock; `None` if it was lost.
    pub(super) arrived: Option<i64>,
    /// Whether the receiver's clock was set, so that nothing measured by it before counts any more.
    pub(super) clock_set: bool,
}

/// What was sent and what came of it.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) history: History,
    pub(super) rounds: Rounds,
    pub(super) delay: Delay,
    /// From a departure to its report.
    pub(super) response: Duration,
    /// One past the last number that was lost.
    lost_end: u64,
    /// When the last round ended.
    rounded: Option<Instant>,
    /// The last packet's one-way delay, in microseconds.
    last_delay: Option<i64>,
    /// What was sent, and what of it was acknowledged.
    pub(super) sent: Meter,
    pub(super) acknowledged: Meter,
}

impl Default for Measured {
    fn default() -> Self {
        Measured {
            history: History::default(),
            rounds: Rounds::default(),
            delay: Delay::default(),
            response: RESPONSE,
            lost_end: 0,
            rounded: None,
            last_delay: None,
            sent: Meter::default(),
            acknowledged: Meter::default(),
        }
    }
}

impl Measured {
    /// A packet leaves.
    pub(super) fn on_sent(&mut self, sent: Sent) {
        self.history.push(sent);
        self.sent.on_packet(sent.at, u32::try_from(sent.size).unwrap_or(u32::MAX));
    }

    /// Takes what is said of a packet; `None` if it is nothing new or of none that was sent (S-BWE-02).
    pub(super) fn on_arrival(&mut self, arrival: &Arrival) -> Option<Report> {
        let number = arrival.number;
        let departed = self.history.take(number, arrival.at.is_some())?;
        let sent = micros(departed.at);
        let arrived = arrival.at.map(micros);
        let mut clock_set = false;
        match arrived {
            Some(arrived) => {
                clock_set = self.is_clock_set(arrived - sent);
                self.acknowledged.on_packet(departed.at, departed.size);
                self.rounds.on_arrival(sent, arrived, departed.size, arrival.ce, departed.was_lost);
            }
            None => {
                self.rounds.on_loss(sent, departed.size, number != self.lost_end);
                self.lost_end = number + 1;
            }
        }
        Some(Report { size: departed.size, sent, arrived, clock_set })
    }

    /// A receiver's clock that was set makes all that was measured by it void.
    fn is_clock_set(&mut self, delay: i64) -> bool {
        let last = self.last_delay.replace(delay);
        let is_set = last.is_some_and(|last| (delay - last).abs() > CLOCK_SET);
        if is_set {
            self.rounds = Rounds::default();
            self.delay.restart();
        }
        is_set
    }

    /// Feedback has been taken in, whose newest arrival left at `newest`.
    pub(super) fn on_response(&mut self, now: Instant, newest: Instant) {
        let response = now - newest;
        let slower = (self.response * (RESPONSE_PARTS - 1) + response) / RESPONSE_PARTS;
        self.response = if response < self.response { response } else { slower };
    }

    /// Ends a round if there is enough in it: the seconds since the one before. `hold` as in [`Delay::on_round`].
    pub(super) fn close_round(&mut self, now: Instant, hold: bool) -> Option<f64> {
        let round = self.rounds.close()?;
        self.delay.on_round(&round, hold);
        let elapsed = self.rounded.map_or(Duration::ZERO, |before| now - before).min(ELAPSED);
        self.rounded = Some(now);
        Some(elapsed.as_secs_f64())
    }

    /// Whether feedback ever came.
    pub(super) fn is_fed(&self) -> bool {
        self.rounded.is_some()
    }

    /// Whether feedback on something is awaited.
    pub(super) fn awaits(&self) -> bool {
        self.history.end() > self.history.reported()
    }

    /// What happened in the last half second.
    pub(super) fn half_second(&self) -> Option<Window> {
        self.rounds.window(Duration::from_millis(500))
    }

    /// What happened in the last second.
    pub(super) fn second(&self) -> Option<Window> {
        self.rounds.window(Duration::from_secs(1))
    }

    /// Whether clearly less than `share` of `target` is sent, or nothing is known of it.
    pub(super) fn is_limited(&self, target: f64) -> bool {
        self.half_second().is_none_or(|window| window.sent < FILLED * target)
    }
}

/// Who sends less than this share of an estimate does not fill it, so that nothing is learned of what lies above.
pub(super) const FILLED: f64 = 0.8;

/// What the path was seen to carry while it was full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Capacity {
    /// Bits a second.
    pub(super) rate: f64,
    /// When.
    pub(super) at: Instant,
}

/// What a state goes by at the end of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation<'a> {
    pub(super) now: Instant,
    /// Seconds since the last round.
    pub(super) elapsed: f64,
    /// What happened just now.
    pub(super) short: Window,
    pub(super) measured: &'a Measured,
    /// The share of packets that is lost at any rate.
    pub(super) floor: f64,
    /// The most that was delivered of late, in bits a second.
    pub(super) widest: f64,
    /// Whether somebody else was seen filling the queue lately.
    pub(super) rival: bool,
}

impl Situation<'_> {
    /// How long packets wait, in microseconds.
    pub(super) fn queue(&self) -> f64 {
        self.measured.delay.queue()
    }

    /// What tells that from noise.
    pub(super) fn threshold(&self) -> f64 {
        self.measured.delay.threshold()
    }

    /// Whether the queue is far too long for noise.
    pub(super) fn is_far_over(&self) -> bool {
        self.queue() > FAR * self.threshold()
    }
}

/// So many times the threshold is far above it.
pub(super) const FAR: f64 = 3.0;

/// Half of what fits, so that differences fit too, whatever is sent and told (S-BWE-06).
fn micros(at: Instant) -> i64 {
    i64::try_from(at.as_micros()).map_or(i64::MAX / 4, |micros| micros.min(i64::MAX / 4))
}
