//! What a participant may publish: so many packets and bytes a second (S-RTP-11).

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::config::ParticipantConfig;

/// Room for a second at the participant's rates, filled up as time passes.
///
/// Only packets that are authentic take from it, so nobody else can use it up; one for which there is
/// no room is refused unopened, also one that is larger than a second's worth.
#[derive(Debug, Hash)]
pub(super) struct PublishBudget {
    packets: Bucket,
    bytes: Bucket,
    at: Instant,
    /// Bytes of all that was taken.
    authentic: u64,
}

/// In millionths, so that a microsecond adds a whole number.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Bucket {
    level: u64,
    rate: u64,
}

const MILLION: u64 = 1_000_000;

impl Bucket {
    /// Filled, at so many a second, fewer than 2^24.
    pub(super) fn full(rate: u64) -> Self {
        Bucket { level: rate * MILLION, rate }
    }

    /// The level after so many microseconds, at most a second's worth.
    fn after(self, micros: u64) -> u64 {
        // Rates are below 2^24, so this stays below 2^44.
        let added = self.rate * micros.min(MILLION);
        (self.level + added).min(self.rate * MILLION)
    }

    /// As it is after so many microseconds.
    pub(super) fn refilled(self, micros: u64) -> Self {
        Bucket { level: self.after(micros), ..self }
    }

    /// Microseconds until there are `need`, at most a second's worth.
    pub(super) fn wait(self, need: u64) -> u64 {
        (need * MILLION).saturating_sub(self.level).div_ceil(self.rate.max(1))
    }

    /// Takes so many, or what there is.
    pub(super) fn take(&mut self, many: u64) {
        self.level = self.level.saturating_sub(many * MILLION);
    }
}

impl PublishBudget {
    /// A full budget at the configured rates, or at the limits if those are lower.
    pub(super) fn new(config: &ParticipantConfig, now: Instant) -> Self {
        let packets = config.max_publish_packets.min(limits::PUBLISH_PACKETS);
        let bitrate = config.max_publish_bitrate.min(limits::PUBLISH_BITRATE);
        PublishBudget {
            packets: Bucket::full(packets.into()),
            bytes: Bucket::full(bitrate.as_bps() / 8),
            at: now,
            authentic: 0,
        }
    }

    /// Whether a packet of `len` bytes may come. Changes nothing: who asks is not authenticated yet.
    #[inline]
    pub(super) fn allows(&self, now: Instant, len: usize) -> bool {
        // The usual case needs no clock.
        let some = |bucket: Bucket, need| bucket.level >= need || bucket.after(self.elapsed(now)) >= need;
        some(self.packets, MILLION) && some(self.bytes, len as u64 * MILLION)
    }

    /// Takes an authentic packet of `len` bytes that was allowed.
    #[inline]
    pub(super) fn take(&mut self, now: Instant, len: usize) {
        let micros = self.elapsed(now);
        self.at = self.at.max(now);
        self.packets.level = self.packets.after(micros).saturating_sub(MILLION);
        self.bytes.level = self.bytes.after(micros).saturating_sub(len as u64 * MILLION);
        self.authentic = self.authentic.saturating_add(len as u64);
    }

    /// Bytes of authentic packets so far, which is what may steer anything.
    pub(super) fn authentic_bytes(&self) -> u64 {
        self.authentic
    }

    fn elapsed(&self, now: Instant) -> u64 {
        (now - self.at).as_micros().try_into().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::Bitrate;

    fn budget(packets: u32, bitrate: Bitrate) -> PublishBudget {
        let config = ParticipantConfig {
            max_publish_packets: packets,
            max_publish_bitrate: bitrate,
            ..ParticipantConfig::default()
        };
        PublishBudget::new(&config, Instant::ZERO)
    }

    /// Packets of `len` bytes taken of those that come each millisecond.
    fn taken(budget: &mut PublishBudget, from: u64, millis: u64, each: u32, len: usize) -> u32 {
        let mut taken = 0;
        for now in (from..from + millis).map(Instant::from_millis) {
            for _ in 0..each {
                if budget.allows(now, len) {
                    budget.take(now, len);
                    taken += 1;
                }
            }
        }
        taken
    }

    #[test]
    fn s_rtp_11_a_second_may_come_at_once_and_then_the_rate() {
        let mut budget = budget(100, Bitrate::from_kbps(100_000));
        assert_eq!(taken(&mut budget, 0, 1, 1_000, 10), 100);
        assert_eq!(taken(&mut budget, 1, 1_000, 10, 10), 100);
        assert_eq!(taken(&mut budget, 60_000, 1, 1_000, 10), 100, "no more than a second is saved up");
    }

    #[test]
    fn s_rtp_11_bytes_have_a_budget_of_their_own() {
        let mut budget = budget(10_000, Bitrate::from_kbps(800));
        assert_eq!(taken(&mut budget, 0, 1, 1_000, 1_000), 100);
        let more = taken(&mut budget, 1, 1_000, 5, 1_000);
        assert!((99..=100).contains(&more), "{more}");
    }

    #[test]
    fn asking_takes_nothing_and_the_limits_hold_whatever_is_configured() {
        let mut budget = budget(u32::MAX, Bitrate::from_bps(u64::MAX));
        assert!((0..100_000).all(|_| budget.allows(Instant::ZERO, 1_500)));
        assert_eq!(taken(&mut budget, 0, 1, 100_000, 1), limits::PUBLISH_PACKETS);
        assert!(budget.allows(Instant::from_micros(u64::MAX), 1_500));
    }

    #[test]
    fn a_budget_of_nothing_allows_nothing() {
        assert!(!budget(0, Bitrate::from_kbps(1)).allows(Instant::from_millis(5_000), 1));
        assert!(!budget(1, Bitrate::ZERO).allows(Instant::from_millis(5_000), 1));
    }
}
