//! TCP beside the media: CUBIC, selective acknowledgement of each segment, endless or in transfers with pauses.
//!
//! What is lost is sent again under a new number: only how much is on the way matters to the neighbours.

use std::collections::VecDeque;
use std::time::Duration;

use super::cubic::Cubic;
use super::draws::Draws;
use super::record::TransferRecord;
use super::scenario::TransferConfig;
use crate::base::time::Instant;

/// Bytes of a segment on the wire.
pub(super) const SEGMENT: usize = 1_500;
/// Bytes of an acknowledgement: IP, TCP and its timestamps.
pub(super) const ACK: usize = 52;
/// What a segment brings.
const PAYLOAD: u64 = 1_448;
/// A segment is lost when one this much later was acknowledged.
const REORDERING: u64 = 3;
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// A segment on its way.
#[derive(Debug, Clone, Copy)]
struct Segment {
    sent: Instant,
    acked: bool,
}

/// One connection after the other, from one sender.
#[derive(Debug)]
pub(super) struct Transfer {
    config: TransferConfig,
    stop: Instant,
    draws: Draws,
    cubic: Cubic,
    /// Segments still to be sent.
    remaining: u64,
    /// When the next transfer begins; `None` while one is on.
    begins: Option<Instant>,
    /// Those not yet acknowledged or lost, from number `first` on.
    outstanding: VecDeque<Segment>,
    first: u64,
    flight: usize,
    /// Losses of numbers below belong to a reduction already made.
    recovery: u64,
    smoothed: Option<Duration>,
    variation: Duration,
    timeout: Duration,
    /// When the timeout was last started.
    progress: Instant,
    delivered: u64,
}

impl Transfer {
    /// A sender as `config` says, in a run that ends at `end`.
    pub(super) fn new(config: &TransferConfig, end: Instant, draws: Draws) -> Self {
        let stop = config.stop.map_or(end, |stop| stop.min(end));
        let mut transfer = Transfer {
            config: config.clone(),
            stop,
            draws,
            cubic: Cubic::new(),
            remaining: 0,
            begins: None,
            outstanding: VecDeque::new(),
            first: 0,
            flight: 0,
            recovery: 0,
            smoothed: None,
            variation: Duration::ZERO,
            timeout: FIRST_TIMEOUT,
            progress: Instant::ZERO,
            delivered: 0,
        };
        transfer.pause(config.start);
        transfer
    }

    /// A segment arrived at the receiver.
    pub(super) fn on_arrival(&mut self, now: Instant) {
        if now < self.stop {
            self.delivered += SEGMENT as u64;
        }
    }

    /// The acknowledgement of a segment came back.
    pub(super) fn handle_ack(&mut self, now: Instant, id: u64) {
        let Some(index) = id.checked_sub(self.first).and_then(|index| usize::try_from(index).ok()) else {
            return;
        };
        let Some(segment) = self.outstanding.get_mut(index).filter(|segment| !segment.acked) else {
            return;
        };
        segment.acked = true;
        let round_trip = now - segment.sent;
        self.flight -= 1;
        self.progress = now;
        self.measure(round_trip);
        let lost = self.retire(id);
        if lost > 0 {
            self.remaining = self.remaining.saturating_add(lost);
        } else if id >= self.recovery {
            self.cubic.on_ack(now, round_trip);
        }
        if self.remaining == 0 && self.flight == 0 {
            self.pause(now);
        }
    }

    /// Begins a transfer that is due, and gives up what was not acknowledged in time.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.begins.is_some_and(|begins| begins <= now) {
            self.begin();
        }
        if self.flight > 0 && self.progress + self.timeout <= now {
            self.remaining = self.remaining.saturating_add(self.flight as u64);
            self.first += self.outstanding.len() as u64;
            self.outstanding.clear();
            self.flight = 0;
            self.recovery = self.first;
            self.timeout = (self.timeout * 2).min(Duration::from_secs(60));
            self.cubic.on_timeout();
        }
    }

    /// The number of the next segment that may be sent.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<u64> {
        let room = (self.flight as f64) < self.cubic.window().floor();
        if self.remaining == 0 || !room || now >= self.stop {
            return None;
        }
        if self.flight == 0 {
            self.progress = now;
        }
        self.remaining -= 1;
        self.flight += 1;
        self.outstanding.push_back(Segment { sent: now, acked: false });
        Some(self.first + self.outstanding.len() as u64 - 1)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let begins = self.begins.filter(|begins| *begins < self.stop);
        let timeout = (self.flight > 0).then(|| self.progress + self.timeout);
        begins.into_iter().chain(timeout).min()
    }

    pub(super) fn record(&self) -> TransferRecord {
        TransferRecord {
            endless: self.config.size.is_none(),
            start: self.config.start,
            stop: self.stop,
            delivered: self.delivered,
        }
    }

    /// Waits for the next transfer, from `now` on.
    fn pause(&mut self, now: Instant) {
        let pause = self.config.pause.unwrap_or_default().as_secs_f64() * self.draws.exponential();
        self.begins = Some(now + Duration::from_micros((pause * 1e6) as u64));
    }

    /// A connection of its own, with nothing learnt.
    fn begin(&mut self) {
        self.begins = None;
        self.remaining = self.config.size.map_or(u64::MAX, |(low, high)| {
            let size = low + (self.draws.uniform() * (high - low + 1) as f64) as u64;
            size.div_ceil(PAYLOAD)
        });
        self.cubic = Cubic::new();
        self.first += self.outstanding.len() as u64;
        self.outstanding.clear();
        self.recovery = self.first;
        (self.smoothed, self.timeout) = (None, FIRST_TIMEOUT);
    }

    /// Forgets what is settled now that `acked` arrived; answers how many are lost.
    fn retire(&mut self, acked: u64) -> u64 {
        let mut lost = 0;
        while self.first + REORDERING <= acked {
            let Some(segment) = self.outstanding.pop_front() else {
                break;
            };
            if !segment.acked {
                lost += 1;
                self.flight -= 1;
                if self.first >= self.recovery {
                    self.recovery = self.first + self.outstanding.len() as u64 + 1;
                    self.cubic.on_loss();
                }
            }
            self.first += 1;
        }
        lost
    }

    /// RFC 6298.
    fn measure(&mut self, round_trip: Duration) {
        let smoothed = match self.smoothed {
            None => {
                self.variation = round_trip / 2;
                round_trip
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(round_trip)) / 4;
                (smoothed * 7 + round_trip) / 8
            }
        };
        self.smoothed = Some(smoothed);
        self.timeout = (smoothed + self.variation * 4).max(LEAST_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::Random;

    fn transfer(size: Option<(u64, u64)>, pause: Option<Duration>) -> Transfer {
        let config =
            TransferConfig { count: 1, backward: false, start: Instant::ZERO, stop: None, size, pause };
        Transfer::new(&config, Instant::from_millis(60_000), Draws::new(Random::new([1; 32])))
    }

    fn send(transfer: &mut Transfer, now: Instant) -> Vec<u64> {
        transfer.handle_timeout(now);
        std::iter::from_fn(|| transfer.poll_transmit(now)).collect()
    }

    #[test]
    fn a_window_goes_out_and_each_acknowledgement_brings_two() {
        let mut transfer = transfer(None, None);
        assert_eq!(send(&mut transfer, Instant::ZERO), (0..10).collect::<Vec<_>>());
        let now = Instant::from_millis(100);
        transfer.handle_ack(now, 0);
        assert_eq!(send(&mut transfer, now), [10, 11]);
        // A second time it says nothing.
        transfer.handle_ack(now, 0);
        assert!(send(&mut transfer, now).is_empty());
    }

    #[test]
    fn a_gap_of_three_is_a_loss_and_reduces_once_a_window() {
        let mut transfer = transfer(None, None);
        send(&mut transfer, Instant::ZERO);
        let now = Instant::from_millis(100);
        transfer.handle_ack(now, 2);
        assert_eq!(transfer.cubic.window(), 11.0);
        // 3 tells that 0 is lost, 4 that 1 is: of one window, so it is reduced once.
        for id in [3, 4, 5] {
            transfer.handle_ack(now, id);
        }
        assert!((transfer.cubic.window() - 7.7).abs() < 1e-9);
        assert_eq!((transfer.first, transfer.flight), (3, 4));
    }

    #[test]
    fn silence_ends_in_a_timeout_that_doubles() {
        let mut transfer = transfer(None, None);
        send(&mut transfer, Instant::ZERO);
        assert_eq!(transfer.poll_timeout(), Some(Instant::from_millis(1_000)));
        assert_eq!(send(&mut transfer, Instant::from_millis(1_000)), [10]);
        assert_eq!(transfer.poll_timeout(), Some(Instant::from_millis(3_000)));
    }

    #[test]
    fn a_transfer_ends_with_its_last_byte_and_the_next_comes_after_a_pause() {
        let size = 5 * PAYLOAD - 1;
        let mut transfer = transfer(Some((size, size)), Some(Duration::from_secs(2)));
        let first = transfer.poll_timeout().expect("a beginning");
        assert!(first > Instant::ZERO && transfer.poll_transmit(first).is_none());
        let sent = send(&mut transfer, first);
        assert_eq!(sent, [0, 1, 2, 3, 4]);
        let now = first + Duration::from_millis(100);
        sent.iter().for_each(|id| transfer.handle_ack(now, *id));
        assert!(send(&mut transfer, now).is_empty());
        assert_ne!(transfer.begins, Some(now));
        let next = transfer.poll_timeout().expect("another");
        assert_eq!(send(&mut transfer, next), [5, 6, 7, 8, 9]);
    }

    #[test]
    fn nothing_is_sent_after_its_stop() {
        let mut transfer = transfer(None, None);
        transfer.stop = Instant::from_millis(50);
        assert_eq!(send(&mut transfer, Instant::ZERO).len(), 10);
        transfer.on_arrival(Instant::from_millis(49));
        transfer.on_arrival(Instant::from_millis(50));
        assert!(send(&mut transfer, Instant::from_millis(50)).is_empty());
        assert_eq!(transfer.record().delivered, 1_500);
    }
}
