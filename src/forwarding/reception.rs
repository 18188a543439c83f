//! Reception statistics of one stream: RFC 3550, sections 6.4.1 and A.3, A.8.

use crate::base::time::{Duration, Instant};
use crate::wire::rtp::SeqNo;

/// What a receiver tells the sender of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) fraction_lost: u8,
    pub(crate) cumulative_lost: i32,
    pub(crate) highest: u32,
    pub(crate) jitter: u32,
}

/// Counters over the packets of one stream, repaired ones included when they come.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Reception {
    clock_rate: u32,
    base: u64,
    highest: u64,
    received: u64,
    /// Of payloads.
    bytes: u64,
    repaired: u64,
    expected_before: u64,
    received_before: u64,
    /// Interarrival jitter in 1/16 of a timestamp unit (A.8).
    jitter: u32,
    transit: Option<u32>,
}

impl Reception {
    /// The statistics after the first packet.
    pub(crate) fn new(clock_rate: u32, first: SeqNo) -> Self {
        Reception {
            clock_rate,
            base: first.0,
            highest: first.0,
            received: 0,
            bytes: 0,
            repaired: 0,
            expected_before: 0,
            received_before: 0,
            jitter: 0,
            transit: None,
        }
    }

    /// Counts a packet; `jitter` is not moved by repaired packets, whose delay is not the network's.
    pub(crate) fn on_packet(&mut self, now: Instant, seq: SeqNo, timestamp: u32, len: u16, repaired: bool) {
        self.received += 1;
        self.bytes += u64::from(len);
        self.repaired += u64::from(repaired);
        self.base = self.base.min(seq.0);
        self.highest = self.highest.max(seq.0);
        if repaired {
            return;
        }
        // Arrival in timestamp units, modulo 2^32: only differences matter.
        let arrival = (u128::from(now.as_micros()) * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let d = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            let step = self.jitter.saturating_add(8) >> 4;
            self.jitter = self.jitter.saturating_add(d.min(u32::MAX >> 5)).saturating_sub(step);
        }
    }

    pub(crate) fn highest(&self) -> SeqNo {
        SeqNo(self.highest)
    }

    /// Packets that came, and of those the repaired ones.
    pub(crate) fn received(&self) -> (u64, u64) {
        (self.received, self.repaired)
    }

    /// Payload bytes that came.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets that never came; below zero where more came than were numbered.
    pub(crate) fn lost(&self) -> i64 {
        self.expected().cast_signed() - self.received.cast_signed()
    }

    /// Interarrival jitter.
    pub(crate) fn jitter(&self) -> Duration {
        let micros = u64::from(self.jitter >> 4) * 1_000_000;
        Duration::from_micros(micros.checked_div(self.clock_rate.into()).unwrap_or(0))
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }

    /// The block for the next report; the fraction covers the time since the last call.
    pub(crate) fn report(&mut self) -> Reported {
        let expected = self.expected();
        let lost = self.lost();
        let expected_now = expected - self.expected_before;
        let received_now = self.received - self.received_before;
        (self.expected_before, self.received_before) = (expected, self.received);
        let lost_now = expected_now.saturating_sub(received_now);
        Reported {
            // Below 256: lost is at most expected, and expected is not zero.
            fraction_lost: (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: self.highest as u32,
            jitter: self.jitter >> 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_reported_for_the_interval_and_in_all() {
        let mut reception = Reception::new(90_000, SeqNo(10));
        for seq in (10..20).filter(|seq| seq % 5 != 0) {
            reception.on_packet(Instant::from_millis(seq), SeqNo(seq), 0, 100, false);
        }
        let report = reception.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest), (51, 2, 19));
        reception.on_packet(Instant::from_millis(30), SeqNo(20), 0, 100, false);
        assert_eq!(reception.report().fraction_lost, 0);
        reception.on_packet(Instant::from_millis(40), SeqNo(15), 0, 50, true);
        assert_eq!((reception.received(), reception.bytes(), reception.lost()), ((10, 1), 950, 1));
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_a_late_packet_some() {
        let mut reception = Reception::new(90_000, SeqNo(0));
        for n in 0..50u32 {
            let at = Instant::from_millis(20 * u64::from(n));
            reception.on_packet(at, SeqNo(u64::from(n)), n * 1_800, 100, false);
        }
        assert_eq!(reception.report().jitter, 0);
        reception.on_packet(Instant::from_millis(20 * 50 + 16), SeqNo(50), 50 * 1_800, 100, false);
        assert_eq!(reception.report().jitter, 16 * 90 / 16);
        assert_eq!(reception.jitter(), Duration::from_millis(1));
    }
}
