//! Silence: feedback stays away although packets leave (S-BWE-05; RFC 8083, section 4.2).
//!
//! Whether media or feedback is lost cannot be told, so the estimate falls by a fifth five times a second, to the least,
//! and nothing is probed. When feedback is back, a probe finds out at once whether the path still carries what it did.
//! Who sends nothing waits for nothing: the last packet before a pause may be lost without anybody being told. But where
//! nothing is left to be sent because of the silence, or of a queue that was told of last, a packet now and then asks
//! whether it is over.

use std::time::Duration;

use super::measured::Measured;
use crate::base::time::Instant;

/// How long feedback may stay away: so many responses, and at least so long; longer before any came.
const RESPONSES: u32 = 4;
const LEAST: Duration = Duration::from_millis(500);
const LEAST_AT_FIRST: Duration = Duration::from_millis(1_500);
/// The same where nothing comes but reports: three of the slowest, as libwebrtc sends them on sound.
const LEAST_BY_REPORTS: Duration = Duration::from_secs(15);
/// And at most: a clock that was set may have made any response of it.
const MOST: Duration = Duration::from_secs(5);
/// After that the estimate falls by this factor in each such time.
pub(super) const FACTOR: f64 = 0.8;
const EVERY: Duration = Duration::from_millis(200);
/// Where nothing else leaves in this time, a packet asks; of so many bytes.
const ASKING: Duration = Duration::from_secs(1);
pub(super) const ASKING_SIZE: usize = 200;

/// Whether feedback comes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Silence {
    /// When something was heard last, or the first packet left.
    since: Option<Instant>,
    /// When the last packet left.
    sent: Instant,
    /// When a packet was last wanted to ask.
    asked: Instant,
    /// Whether the estimate fell for it.
    fallen: bool,
    /// Nothing comes but reports.
    by_reports: bool,
}

impl Silence {
    /// Nothing will come but reports.
    pub(super) fn expect_reports(&mut self) {
        self.by_reports = true;
    }

    /// A packet leaves.
    pub(super) fn on_sent(&mut self, at: Instant) {
        self.since.get_or_insert(at);
        self.sent = self.sent.max(at);
    }

    /// Something was heard; whether that had stayed away.
    pub(super) fn on_heard(&mut self, now: Instant) -> bool {
        self.since = Some(now);
        std::mem::take(&mut self.fallen)
    }

    /// Whether nothing is heard any more.
    pub(super) fn is_silent(&self) -> bool {
        self.fallen
    }

    /// When a packet is to ask how the path is; `stuck` says that what was heard last holds the estimate down.
    pub(super) fn asks_at(&self, stuck: bool) -> Option<Instant> {
        (self.fallen || stuck).then(|| self.sent.max(self.asked) + ASKING)
    }

    /// Whether a packet is to ask now.
    pub(super) fn asks(&mut self, now: Instant, stuck: bool) -> bool {
        let asks = self.asks_at(stuck).is_some_and(|at| at <= now);
        self.asked = if asks { now } else { self.asked };
        asks
    }

    /// Whether the estimate falls now.
    pub(super) fn handle_timeout(&mut self, now: Instant, measured: &Measured) -> bool {
        let patience = self.patience(measured);
        let falls = self.awaited(measured).is_some_and(|since| now - since > patience);
        if falls {
            self.since = Some(now - patience + EVERY);
            self.fallen = true;
        }
        falls
    }

    /// When the estimate falls next if nothing comes.
    pub(super) fn poll_timeout(&self, measured: &Measured) -> Option<Instant> {
        Some(self.awaited(measured)? + self.patience(measured) + Duration::from_millis(1))
    }

    /// Since when feedback is awaited.
    fn awaited(&self, measured: &Measured) -> Option<Instant> {
        self.since.filter(|since| measured.awaits() && self.sent >= *since)
    }

    fn patience(&self, measured: &Measured) -> Duration {
        match (measured.is_fed(), self.by_reports) {
            (true, _) => (RESPONSES * measured.response).clamp(LEAST, MOST),
            (false, false) => LEAST_AT_FIRST,
            (false, true) => LEAST_BY_REPORTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sent;
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn sent() -> (Silence, Measured) {
        let (mut silence, mut measured) = (Silence::default(), Measured::default());
        measured.on_sent(Sent { at: at(1_000), number: 1, size: 100 });
        silence.on_sent(at(1_000));
        (silence, measured)
    }

    #[test]
    fn s_bwe_05_the_estimate_falls_five_times_a_second_while_packets_leave() {
        let (mut silence, measured) = sent();
        assert_eq!(silence.poll_timeout(&measured), Some(at(2_501)));
        assert!(!silence.handle_timeout(at(2_500), &measured));
        let falls = (0..100).filter(|tick| {
            silence.on_sent(at(2_500 + 10 * tick));
            silence.handle_timeout(at(2_501 + 10 * tick), &measured)
        });
        assert_eq!(falls.count(), 5);
        assert!(silence.is_silent() && silence.on_heard(at(3_600)) && !silence.is_silent());
    }

    #[test]
    fn where_nothing_is_left_to_be_sent_a_packet_asks_each_second() {
        let (mut silence, measured) = sent();
        assert_eq!(
            (silence.asks(at(9_000), false), silence.asks_at(false)),
            (false, None),
            "it has not fallen"
        );
        assert_eq!(silence.asks_at(true), Some(at(2_000)), "a queue may be over");
        assert!(silence.handle_timeout(at(2_501), &measured));
        silence.on_sent(at(2_600));
        assert_eq!(silence.asks_at(false), Some(at(3_600)));
        assert!(!silence.asks(at(3_599), false) && silence.asks(at(3_600), false));
        // Whether it could be sent or not.
        assert_eq!((silence.asks(at(3_601), false), silence.asks_at(false)), (false, Some(at(4_600))));
        silence.on_heard(at(4_000));
        assert_eq!(silence.asks_at(false), None);
    }

    #[test]
    fn who_pauses_waits_for_nothing() {
        let (mut silence, measured) = sent();
        silence.on_heard(at(1_001));
        assert!(measured.awaits());
        assert_eq!(silence.poll_timeout(&measured), None);
        assert!(!silence.handle_timeout(at(60_000), &measured));
    }
}
