//! What one direction of a path is like, as scenario files say it.

use std::time::Duration;

use serde::Deserialize;

use super::capacity::Capacity;
use super::gaps::Gaps;
use super::loss::BurstLoss;
use super::queue::Aqm;
use super::reading;
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// One direction of a path. What is not said does nothing: no limit, no delay, no loss.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Direction {
    /// What the bottleneck serves; none, and there is no queue.
    pub capacity: Option<Capacity>,
    /// Times in which the bottleneck serves nothing.
    pub gaps: Option<Gaps>,
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
    /// From each moment on in place of `delay`: the route changed.
    #[serde(rename = "delay_steps_ms", deserialize_with = "reading::delay_steps")]
    pub delay_steps: Vec<(Instant, Duration)>,
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
    /// The delay of what leaves the bottleneck at a moment.
    pub fn delay_at(&self, at: Instant) -> Duration {
        let begun = self.delay_steps.partition_point(|step| step.0 <= at);
        begun.checked_sub(1).map_or(self.delay, |index| self.delay_steps[index].1)
    }

    /// What the bottleneck serves at a moment, its gaps spread over the time; `None` where nothing limits.
    pub fn served(&self, at: Instant) -> Option<Bitrate> {
        let rate = self.capacity.as_ref()?.at(at);
        let open = self.gaps.map_or(1.0, |gaps| gaps.open());
        Some(Bitrate::from_bps((rate.as_bps() as f64 * open) as u64))
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        let ascends = self.delay_steps.windows(2).all(|pair| pair[0].0 < pair[1].0);
        match self.gaps {
            _ if !ascends => Some("delay_steps_ms ascends"),
            Some(_) if self.capacity.is_none() => Some("gaps without capacity"),
            Some(gaps) => gaps.fault(),
            None => None,
        }
    }

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
