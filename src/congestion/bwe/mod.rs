//! How much a path to a receiver carries, from what its feedback says of the packets sent over it.

use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// A packet that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// Its transport-wide number: each is one more than the one before.
    pub number: u64,
    /// Bytes on the wire, IP and UDP included.
    pub size: usize,
}

/// What feedback says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its transport-wide number.
    pub number: u64,
    /// When it arrived, by the receiver's clock; `None` if it did not so far.
    pub at: Option<Instant>,
    /// Whether it was marked as having met congestion (RFC 3168); only RFC 8888 says it.
    pub ce: bool,
}

/// What would be sent if it could, sound, repair and headers included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The rate worth proving: with the next layer.
    pub next: Bitrate,
    /// The most that is of use.
    pub most: Bitrate,
}

/// Bounds of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Before anything is known.
    pub initial: Bitrate,
    /// Never below.
    pub min: Bitrate,
    /// Never above.
    pub max: Bitrate,
}

/// Why an estimate is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing is known yet.
    Start,
    /// A probe came through.
    Probe,
    /// Nothing stands against more.
    Rise,
    /// Packets waited.
    Delay,
    /// Packets were lost by the rate.
    Loss,
    /// Packets were marked.
    Marks,
    /// Feedback stayed away.
    Silence,
    /// The receiver said so (REMB).
    Receiver,
}

/// What an estimate stands on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Basis {
    /// The estimate.
    pub target: Bitrate,
    /// Why it changed last.
    pub cause: Cause,
    /// What arrived in the last moments.
    pub delivered: Bitrate,
    /// What packets wait above the least delay of late.
    pub queue: std::time::Duration,
    /// The share of packets lost of late.
    pub loss: f32,
}

/// The estimate of one transport.
#[derive(Debug, Clone)]
pub struct Estimator {
    config: Config,
}

impl Estimator {
    /// An estimate that begins at `config.initial`.
    pub fn new(config: Config) -> Self {
        Estimator { config }
    }

    /// A packet leaves.
    pub fn on_sent(&mut self, sent: Sent) {
        let _ = sent;
    }

    /// Feedback came, of packets in any order.
    pub fn on_feedback(&mut self, now: Instant, arrivals: &[Arrival]) {
        let _ = (now, arrivals);
    }

    /// The receiver's own estimate (REMB): the fall-back where there is no other feedback, a ceiling elsewhere.
    pub fn on_receiver_estimate(&mut self, now: Instant, rate: Bitrate) {
        let _ = (now, rate);
    }

    /// The share of packets lost by a receiver report, and a round trip: for receivers that have no other feedback.
    pub fn on_receiver_report(&mut self, now: Instant, lost: f32, round_trip: std::time::Duration) {
        let _ = (now, lost, round_trip);
    }

    /// What would be sent changed.
    pub fn set_demand(&mut self, now: Instant, demand: Demand) {
        let _ = (now, demand);
    }

    /// Everything together stays at or below this.
    pub fn target(&self) -> Bitrate {
        self.config.initial
    }

    /// How fast what is queued leaves, sound apart.
    pub fn pacing_rate(&self) -> Bitrate {
        self.config.initial
    }

    /// What the estimate stands on.
    pub fn basis(&self) -> Basis {
        Basis {
            target: self.config.initial,
            cause: Cause::Start,
            delivered: Bitrate::ZERO,
            queue: std::time::Duration::ZERO,
            loss: 0.0,
        }
    }

    /// The bytes of a packet that a probe wants now: asked when nothing else waits and the pace allows.
    pub fn poll_probe(&mut self, now: Instant) -> Option<usize> {
        let _ = now;
        None
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// When to call `handle_timeout` and `poll_probe` at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
