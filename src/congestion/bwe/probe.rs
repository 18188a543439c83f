//! Bursts above the estimate that show whether the path carries more.

use crate::base::time::Instant;
use std::time::Duration;

/// What padding is cut into, in bytes on the wire.
const PACKET: usize = 1_200;
/// Fewer packets prove nothing.
const FEWEST: f64 = 5.0;

/// Packets sent at one rate above the estimate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    /// Bits a second.
    pub(super) rate: f64,
    start: Instant,
    length: Duration,
    /// Its first number, and one past its last once it is over.
    first: u64,
    last: Option<u64>,
    bytes: f64,
    /// Of the delays over the times of departure: how many, sums, squares.
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    origin: i64,
    lost: f64,
    marks: f64,
    size: f64,
    span: (i64, i64),
}

/// What a cluster showed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof {
    pub(super) rate: f64,
    /// Microseconds by which the delay grew in each microsecond of it.
    pub(super) slope: f64,
    /// How far the slope may be off.
    pub(super) error: f64,
    pub(super) loss: f64,
    pub(super) marked: f64,
    /// Bits a second at which it arrived.
    pub(super) delivered: f64,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Prober {
    cluster: Option<Cluster>,
    /// None before.
    next: Option<Instant>,
}

impl Prober {
    pub(super) fn start(&mut self, now: Instant, rate: f64, length: Duration, first: u64) {
        let least = Duration::from_micros((FEWEST * PACKET as f64 * 8e6 / rate) as u64);
        self.cluster = Some(Cluster {
            rate,
            start: now,
            length: length.max(least),
            first,
            last: None,
            bytes: 0.0,
            count: 0.0,
            x: 0.0,
            y: 0.0,
            xx: 0.0,
            xy: 0.0,
            origin: 0,
            lost: 0.0,
            marks: 0.0,
            size: 0.0,
            span: (0, 0),
        });
    }

    /// The rate of what is being sent as a probe.
    pub(super) fn rate(&self) -> Option<f64> {
        self.cluster.filter(|cluster| cluster.last.is_none()).map(|cluster| cluster.rate)
    }

    /// Whether a cluster is being sent or awaited.
    pub(super) fn is_busy(&self) -> bool {
        self.cluster.is_some()
    }

    pub(super) fn poll(&mut self, now: Instant, end: u64) -> Option<usize> {
        self.finish(now, end);
        self.rate().map(|_| PACKET)
    }

    /// The cluster is over when its time is.
    pub(super) fn finish(&mut self, now: Instant, end: u64) {
        if let Some(cluster) = &mut self.cluster
            && cluster.last.is_none()
            && now >= cluster.start + cluster.length
        {
            cluster.last = Some(end);
        }
    }

    /// No more of it is sent.
    pub(super) fn stop(&mut self, end: u64) {
        if let Some(cluster) = &mut self.cluster {
            cluster.last.get_or_insert(end);
        }
    }

    pub(super) fn cancel(&mut self) {
        self.cluster = None;
    }

    pub(super) fn on_report(
        &mut self,
        number: u64,
        sent: i64,
        arrived: Option<i64>,
        size: u32,
        marked: bool,
    ) {
        let Some(cluster) = &mut self.cluster else { return };
        if number < cluster.first || cluster.last.is_some_and(|last| number >= last) {
            return;
        }
        let Some(arrived) = arrived else {
            cluster.lost += 1.0;
            return;
        };
        if cluster.count == 0.0 {
            cluster.origin = arrived - sent;
            cluster.span = (arrived, arrived);
        } else {
            cluster.size += f64::from(size);
            cluster.span.1 = cluster.span.1.max(arrived);
        }
        let x = (sent - cluster.start.as_micros() as i64) as f64;
        let y = (arrived - sent - cluster.origin) as f64;
        cluster.count += 1.0;
        cluster.marks += f64::from(u8::from(marked));
        cluster.x += x;
        cluster.y += y;
        cluster.xx += x * x;
        cluster.xy += x * y;
    }

    /// What it showed, once it was reported up to `reported`.
    pub(super) fn take_proof(
        &mut self,
        now: Instant,
        reported: u64,
        jitter: f64,
        patience: Duration,
    ) -> Option<Result<Proof, ()>> {
        let cluster = self.cluster?;
        let last = cluster.last?;
        let late = now >= cluster.start + cluster.length + patience;
        if reported < last && !late {
            return None;
        }
        self.cluster = None;
        Some(cluster.proof(jitter).ok_or(()))
    }

    pub(super) fn length_end(&self) -> Option<Instant> {
        self.cluster.filter(|cluster| cluster.last.is_none()).map(|cluster| cluster.start + cluster.length)
    }

    pub(super) fn wait_until(&mut self, at: Instant) {
        self.next = Some(at);
    }

    pub(super) fn hurry(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }
}

impl Cluster {
    fn proof(&self, jitter: f64) -> Option<Proof> {
        let spread = self.xx - self.x * self.x / self.count;
        if self.count < 4.0 || spread <= 0.0 {
            return None;
        }
        let slope = (self.xy - self.x * self.y / self.count) / spread;
        Some(Proof {
            rate: self.rate,
            slope,
            error: jitter / spread.sqrt(),
            marked: self.marks / self.count,
            loss: self.lost / (self.lost + self.count),
            delivered: self.size * 8e6 / ((self.span.1 - self.span.0).max(1_000)) as f64,
        })
    }
}
