//! How much a path to a receiver carries, from what its feedback says of the packets sent over it.
//!
//! Plain numbers in, plain numbers out: the owner tells an [`Estimator`] what leaves ([`Sent`], bytes as on the wire),
//! what feedback says of it ([`Arrival`], of transport-wide feedback or RFC 8888), and what would be sent if it could
//! ([`Demand`]); it asks for a target, a pace and padding. Once a round (the packets of 30 ms or more) it decides:
//!
//! - **Delay** is a level: the least one-way delay of a round above the lowest of late. A full queue has no slope, and
//!   only the least delayed of a burst tells a queue from a gap in radio service. Above a threshold that grows with
//!   jitter, the estimate falls at once and unsmoothed below what comes through, and stays there until the queue is
//!   empty (*drain*); meanwhile packets are paced below it too, so that media already encoded does not keep it full.
//! - **Whose queue?** If it does not become shorter by what is sent less, somebody else fills it, as TCP does in a deep
//!   buffer: then loss alone is answered, as TCP answers it, and a fair part held (*contest*), with a look every few
//!   seconds whether the other has gone. If the delay does not move at all, it is no queue but another route.
//! - **Loss** is answered where it depends on the rate: a short trial tells. Random loss goes into a floor that is never
//!   answered; what vanishes below a rate is a policer's, and that rate a ceiling for a while.
//! - **Marks** (ECN) take off half of their smoothed share (RFC 9331).
//! - **More** is found by probes, not by patience: a cluster of 40 to 100 ms at the rate that is wanted, while nothing
//!   waits. The slope of its own delays tells what the path carries even if it was too fast, before a queue can grow.
//!   What was proven is not forgotten while little is sent: sound alone neither raises nor lowers the estimate, and when
//!   a camera follows, clusters of five times the estimate, then three, reach its top layer in about a second.
//! - **Silence** lowers the estimate until feedback is back.
//!
//! Rates count all bytes on the wire, so repair, padding and sound are in the target like the rest. Whatever feedback
//! says, the target stays within [`Config`]'s bounds, and does not rise beyond 1.5 times what was really sent and
//! acknowledged lately, by the sender's clock (S-BWE-03). Clients without such feedback are held by their receiver's
//! estimate (REMB) and by the loss in their reports. No clock is read and nothing random: the same inputs give the same
//! estimates, bit for bit. Apart from a ring of departures that grows with how many are under way, nothing is allocated.
//!
//! ```
//! use std::time::Duration;
//!
//! use estafette::bwe::{Arrival, Config, Demand, Estimator, Sent};
//! use estafette::{Bitrate, Instant};
//!
//! let kbps = Bitrate::from_kbps;
//! let mut estimator = Estimator::new(Config { initial: kbps(300), min: kbps(50), max: kbps(10_000) });
//! estimator.set_demand(Instant::ZERO, Demand { next: kbps(2_500), most: kbps(2_500) });
//! for number in 0..1_000 {
//!     // A packet of sound each 4 ms, or of padding while a probe wants it; each takes 20 ms, its report 20 more.
//!     let now = Instant::from_millis(4 * number);
//!     estimator.handle_timeout(now);
//!     let size = estimator.poll_probe(now).unwrap_or(150);
//!     estimator.on_sent(Sent { at: now, number, size });
//!     if let Some(number) = number.checked_sub(10) {
//!         let at = Instant::from_millis(4 * number + 20);
//!         estimator.on_feedback(now, &[Arrival { number, at: Some(at), ce: false }]);
//!     }
//! }
//! // 300 kbit/s of sound had shown nothing beyond them.
//! assert!(estimator.target() > kbps(1_000));
//! ```

mod cluster;
mod contest;
mod delay;
mod drain;
mod estimator;
#[cfg(test)]
mod feed;
mod history;
mod loss;
mod marks;
mod measured;
mod meter;
#[cfg(test)]
mod network;
mod probe;
mod receiver;
mod rise;
mod rounds;
mod silence;
#[cfg(test)]
mod tests;

pub use estimator::Estimator;
pub(crate) use history::BOUND;

use std::time::Duration;

use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// A packet that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// Its transport-wide number: each is one more than the one before, or a little more where numbers are left out.
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
    /// The most that is of use; at least `next`.
    pub most: Bitrate,
}

/// Bounds of an estimate. Where they contradict each other the higher one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Before anything is known.
    pub initial: Bitrate,
    /// Never below; at least 1 kbit/s.
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
    /// The receiver said so (REMB), or its reports of loss did.
    Receiver,
    /// Somebody else fills the queue: a fair part is held.
    Contest,
    /// The delay changed for good: another route.
    Route,
    /// A policer's rate, or the receiver's estimate beside feedback, is not to be passed.
    Ceiling,
}

/// What an estimator is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Nothing stands against more.
    Rise,
    /// A queue is let run empty.
    Drain,
    /// Less is sent for a moment, to see whether loss depends on the rate.
    Trial,
    /// A queue is somebody else's.
    Contest,
    /// Less is sent for a moment, to see whether that somebody is still there.
    Check,
}

/// What a probe showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probed {
    /// The rate at which it was sent.
    pub rate: Bitrate,
    /// By how much the delay grew in each second of it, in seconds: above about 0.1 the path carries less.
    pub slope: f32,
    /// The share of its packets that was lost.
    pub loss: f32,
}

/// What an estimate stands on: all that a decision log needs to tell why.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Basis {
    /// The estimate.
    pub target: Bitrate,
    /// Why it changed last.
    pub cause: Cause,
    /// What the estimator is at.
    pub mode: Mode,
    /// What arrived in the last half second.
    pub delivered: Bitrate,
    /// What packets wait above the least delay of late.
    pub queue: Duration,
    /// What tells that from noise.
    pub threshold: Duration,
    /// By how much packets come later than the least delayed of their round, while nothing waits.
    pub jitter: Duration,
    /// The share of packets lost in the last half second.
    pub loss: f32,
    /// The share that is taken to be lost at any rate.
    pub floor: f32,
    /// What the path was last seen to carry while it was full.
    pub capacity: Option<Bitrate>,
    /// What is not to be passed for now: a policer's rate, or the receiver's estimate (REMB).
    pub ceiling: Option<Bitrate>,
    /// What the last probe showed.
    pub probed: Option<Probed>,
}
