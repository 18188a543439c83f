//! A cluster of packets sent above the estimate, and what their delays say of it.
//!
//! While a probe is faster than the path, each packet waits longer than the one before. So the line through the
//! delays over the times of departure has the slope `rate / carried - 1`, which tells what the path carries without
//! a wait for a queue to be seen. How far the slope may be off follows from jitter and from how long the cluster was.

use std::time::Duration;

use super::measured::Report;
use crate::base::time::Instant;

/// What padding is cut into, in bytes on the wire: packets of 10 ms, so that one that is being sent is no queue, and no
/// larger than media has.
const PACKET_SECONDS: f64 = 0.01;
const PACKET: (f64, f64) = (200.0, 1_200.0);
/// Fewer packets prove nothing.
const FEWEST: f64 = 5.0;
/// Less than this share of its rate was really sent: there was not enough to send, so that is its rate.
const SENT: f64 = 0.9;
/// Nor do fewer that arrived.
const FEWEST_ARRIVED: f64 = 4.0;

/// Packets sent at one rate above the estimate. Times in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    /// Bits a second.
    rate: f64,
    /// Bytes of a packet of padding.
    packet: usize,
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
    /// Bytes that were sent, those of them that arrived, and those of the packet that left last.
    bytes: f64,
    arrived: f64,
    tail: f64,
    /// When its first packet and its last one left.
    span: (i64, i64),
}

/// What a cluster showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Proof {
    /// Bits a second at which it was sent.
    pub(super) rate: f64,
    /// And at which what was sent and acknowledged had left.
    pub(super) acknowledged: f64,
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
        let packet = (rate / 8.0 * PACKET_SECONDS).clamp(PACKET.0, PACKET.1);
        let least = Duration::from_micros((FEWEST * packet * 8e6 / rate) as u64);
        Cluster {
            rate,
            packet: packet as usize,
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
            bytes: 0.0,
            arrived: 0.0,
            tail: 0.0,
            span: (i64::MAX, i64::MIN),
        }
    }

    /// Its rate while it is being sent.
    pub(super) fn rate(&self) -> Option<f64> {
        self.last.is_none().then_some(self.rate)
    }

    /// The bytes of a packet of padding while it is being sent.
    pub(super) fn padding(&self) -> Option<usize> {
        self.last.is_none().then_some(self.packet)
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
    pub(super) fn on_report(&mut self, number: u64, report: &Report, marked: bool) {
        if number < self.first || self.last.is_some_and(|last| number >= last) {
            return;
        }
        let (sent, size) = (report.sent, f64::from(report.size));
        self.bytes += size;
        if sent >= self.span.1 {
            self.tail = size;
        }
        self.span = (self.span.0.min(sent), self.span.1.max(sent));
        let Some(arrived) = report.arrived else {
            self.lost += 1.0;
            return;
        };
        if self.count == 0.0 {
            self.origin = arrived - sent;
        }
        let x = (sent - self.start.as_micros() as i64) as f64;
        let y = (arrived - sent - self.origin) as f64;
        self.count += 1.0;
        self.arrived += size;
        self.marks += f64::from(u8::from(marked));
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
    }

    /// When the last of it leaves.
    pub(super) fn ends(&self) -> Instant {
        self.end
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
        // The packet that left last fills no time in it.
        let passed = self.span.1 - self.span.0;
        let sent = (self.bytes - self.tail) * 8e6 / passed.max(1_000) as f64;
        Some(Proof {
            rate: if sent < SENT * self.rate { sent } else { self.rate },
            acknowledged: sent * self.arrived / self.bytes,
            slope,
            error: jitter / spread.sqrt(),
            marked: self.marks / self.count,
            loss: self.lost / (self.lost + self.count),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster at 4 Mbit/s over a path of `kbps`, of which every packet is reported but one in `lost`.
    fn cluster(kbps: f64, lost: u64) -> Cluster {
        let start = Instant::from_millis(1_000);
        let mut cluster = Cluster::new(start, 4e6, Duration::from_millis(60), 100);
        let mut free = 0.0_f64;
        for packet in 0..25 {
            let sent = packet as f64 * 2_400.0;
            free = free.max(sent) + 1_200.0 * 8e3 / kbps;
            let sent = start.as_micros() as i64 + sent as i64;
            let arrived = start.as_micros() as i64 + 20_000 + free as i64;
            let arrived = (packet % lost < lost - 1).then_some(arrived);
            let report = Report { size: 1_200, sent, arrived, clock_set: false };
            cluster.on_report(100 + packet, &report, packet < 5);
        }
        cluster
    }

    #[test]
    fn the_slope_of_its_delays_tells_what_the_path_carries() {
        let proof = cluster(2_000.0, 100).proof(4_000.0).expect("enough");
        assert!((proof.rate / (1.0 + proof.slope) - 2e6).abs() < 5e4, "{proof:?}");
        assert!(proof.error > 0.0 && proof.error < 0.1 && proof.loss == 0.0 && proof.marked == 0.2);
        let proof = cluster(8_000.0, 100).proof(4_000.0).expect("enough");
        assert!(proof.slope.abs() < 0.01 && (proof.acknowledged - 4e6).abs() < 1e4, "{proof:?}");
        let proof = cluster(8_000.0, 2).proof(4_000.0).expect("enough");
        assert!((proof.loss - 0.5).abs() < 0.05 && proof.acknowledged < 2.2e6, "{proof:?}");
    }

    #[test]
    fn what_is_not_its_own_does_not_count_and_too_little_proves_nothing() {
        let mut cluster = cluster(8_000.0, 100);
        cluster.stop(104);
        assert!(cluster.rate().is_none());
        let at = Instant::from_millis(1_061);
        assert!(
            cluster.is_known(at, 104, Duration::ZERO) && !cluster.is_known(at, 103, Duration::from_secs(1))
        );
        let mut fresh = Cluster::new(Instant::ZERO, 1e6, Duration::from_millis(40), 100);
        for (packet, number) in [99, 100, 101, 102].into_iter().enumerate() {
            let sent = packet as i64 * 10_000;
            let report = Report { size: 1_200, sent, arrived: Some(sent), clock_set: false };
            fresh.on_report(number, &report, false);
        }
        assert_eq!(fresh.proof(4_000.0), None);
        // Five packets of 1,200 bytes take 48 ms.
        fresh.finish(Instant::from_millis(47), 103);
        assert!(fresh.rate().is_some());
        fresh.finish(Instant::from_millis(48), 103);
        assert!(fresh.rate().is_none());
    }

    #[test]
    fn a_cluster_that_could_not_be_filled_proves_what_was_sent() {
        let mut cluster = Cluster::new(Instant::ZERO, 4e6, Duration::from_millis(60), 0);
        for packet in 0..6 {
            let sent = packet * 10_000;
            let report = Report { size: 300, sent, arrived: Some(sent + 20_000), clock_set: false };
            cluster.on_report(packet as u64, &report, false);
        }
        assert_eq!(cluster.proof(4_000.0).map(|proof| proof.rate.round()), Some(240_000.0));
    }
}
