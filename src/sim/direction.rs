//! What one direction of a path is like, as scenario files say it.

use std::time::Duration;

use serde::Deserialize;

use super::capacity::Capacity;
use super::loss::BurstLoss;
use super::queue::Aqm;
use super::reading;
use crate::base::units::Bitrate;

/// One direction of a path. What is not said does nothing: no limit, no delay, no loss.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Direction {
    /// What the bottleneck serves; none, and there is no queue.
    pub capacity: Option<Capacity>,
    /// How long the queue is at `queue_reference`; 300 ms unless it is said (RFC 8867, section 5).
    #[serde(rename = "queue_ms", deserialize_with = "reading::some_millis")]
    pub queue: Option<Duration>,
    /// The rate at which it is that long; the capacity's largest unless it is said.
    #[serde(rename = "queue_ref_kbps", deserialize_with = "reading::some_kbps")]
    pub queue_reference: Option<Bitrate>,
    /// What looks after the queue.
    pub aqm: Aqm,
    /// What drops before the queue.
    pub policer: Option<PolicerConfig>,
    /// From the bottleneck to the receiver.
    #[serde(rename = "delay_ms", deserialize_with = "reading::millis")]
    pub delay: Duration,
    /// The standard deviation of what is added to the delay.
    #[serde(rename = "jitter_sigma_ms", deserialize_with = "reading::millis")]
    pub jitter_sigma: Duration,
    /// The probability that a packet is lost behind the bottleneck.
    #[serde(deserialize_with = "reading::share")]
    pub loss: f64,
    /// Loss in bursts there, in addition.
    pub burst_loss: Option<BurstLoss>,
    /// Packets that come late and out of order.
    pub reorder: Option<Reorder>,
}

impl Direction {
    /// The bytes that the queue before `capacity` holds.
    pub fn queue_bytes(&self, capacity: &Capacity) -> usize {
        let length = self.queue.unwrap_or(Duration::from_millis(300));
        let rate = self.queue_reference.unwrap_or(capacity.largest());
        let bytes = u128::from(rate.as_bps()) * length.as_micros() / 8_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// A policer's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicerConfig {
    /// What passes in the long run.
    #[serde(rename = "kbps", deserialize_with = "reading::kbps")]
    pub rate: Bitrate,
    /// What passes at once, in bytes.
    #[serde(rename = "burst_kb", deserialize_with = "reading::kilobytes")]
    pub burst: u64,
}

/// Packets that take longer than those behind them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// The share of packets.
    #[serde(deserialize_with = "reading::share")]
    pub share: f64,
    /// How much longer.
    #[serde(rename = "by_ms", deserialize_with = "reading::millis")]
    pub by: Duration,
}
