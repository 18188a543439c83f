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

mod cluster;
mod contest;
mod delay;
mod drain;
mod estimator;
mod history;
mod loss;
mod marks;
mod measured;
mod probe;
mod rise;
mod rounds;
mod silence;

pub use estimator::Estimator;
