//! When packets leave: at a rate, in bursts that are worth a system call, the urgent ones at once.
//!
//! A [`Pacer`] holds no packets. Its owner keeps a queue for each [`Class`], says what waits in them
//! ([`Pacer::set_waiting`]), asks whose turn it is ([`Pacer::poll`]) and tells what left ([`Pacer::on_sent`]).
//!
//! Sound and control leave at once and take nothing from the rate. What is sent again goes before new media, since
//! it is older, and padding last. A burst of some milliseconds of the rate leaves together, then nothing until the
//! rate has caught up with it; while the path marks packets (RFC 9331) they leave one at a time.
//!
//! Nothing is dropped here: where new media would wait for longer than [`Config::queue`], it leaves faster than at
//! the rate. Who cannot afford that has to choose less to be sent; a picture that lacks a part is worth nothing.

use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;

/// How a pacer paces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What leaves together, as time at the rate.
    pub burst: Duration,
    /// The same in bytes, at most.
    pub burst_bytes: usize,
    /// New media that waits leaves within this time, whatever the rate.
    pub queue: Duration,
    /// For so long after a mark packets leave one at a time.
    pub calm: Duration,
}

impl Default for Config {
    /// Bursts of 5 ms up to 32 full datagrams, a queue of 200 ms, a second's calm.
    fn default() -> Self {
        Config {
            burst: Duration::from_millis(5),
            burst_bytes: 32 * 1_200,
            queue: Duration::from_millis(200),
            calm: Duration::from_secs(1),
        }
    }
}

/// What a packet is to the pacer, the first to leave first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Sound and control: never waits.
    Urgent,
    /// What was lost, again.
    Repair,
    /// New media.
    Media,
    /// Whatever fills the rate while nothing waits.
    Padding,
}

/// Bytes that wait, by class.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Of [`Class::Urgent`].
    pub urgent: usize,
    /// Of [`Class::Repair`].
    pub repair: usize,
    /// Of [`Class::Media`].
    pub media: usize,
}

impl Waiting {
    fn paced(&self) -> usize {
        self.repair.saturating_add(self.media)
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The class that may leave.
    pub class: Class,
    /// One packet, and more while those before have fewer bytes than this.
    pub bytes: usize,
}

/// Nanoseconds for each bit of a rate of one bit per second.
const SECOND: u64 = 1_000_000_000;
/// A rate is taken as at least this: at less a packet takes longer than anybody waits.
const LEAST: u64 = 1_000;

/// Departure times for one path.
#[derive(Debug, Clone)]
pub struct Pacer {
    config: Config,
    rate: u64,
    /// The rate by which new media leaves in time: kept until none waits.
    needed: u64,
    waiting: Waiting,
    /// When the rate has caught up with what left, in nanoseconds.
    free: u64,
    /// A burst is over: nothing leaves until the rate has caught up.
    resting: bool,
    /// Something had to wait: a late poll gets back what it missed.
    kept: bool,
    calm_until: Instant,
}

impl Pacer {
    /// A pacer that has sent nothing.
    pub fn new(config: Config, rate: Bitrate) -> Self {
        let mut pacer = Pacer {
            config,
            rate: 0,
            needed: 0,
            waiting: Waiting::default(),
            free: 0,
            resting: false,
            kept: false,
            calm_until: Instant::ZERO,
        };
        pacer.set_rate(rate);
        pacer
    }

    /// Paces at `rate` from the next packet on.
    pub fn set_rate(&mut self, rate: Bitrate) {
        self.rate = rate.as_bps().max(LEAST);
    }

    /// What waits now.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.waiting = waiting;
        self.kept &= waiting.paced() > 0;
        if waiting.media == 0 {
            self.needed = 0;
            return;
        }
        let millis = (self.config.queue.as_millis() as u64).max(1);
        self.needed = self.needed.max((waiting.media as u64).saturating_mul(8_000) / millis);
    }

    /// Packets were marked as having met congestion.
    pub fn on_marks(&mut self, now: Instant) {
        self.calm_until = now + self.config.calm;
    }

    /// The rate at which things leave: the one that was set, or what empties the queue in time.
    pub fn rate(&self) -> Bitrate {
        Bitrate::from_bps(self.rate.max(self.needed))
    }

    /// Whose turn it is at `now`; `None` if nothing may leave before [`Self::poll_timeout`]. Padding has its turn
    /// where nothing waits and the rate allows.
    pub fn poll(&mut self, now: Instant) -> Option<Turn> {
        if self.waiting.urgent > 0 {
            return Some(Turn { class: Class::Urgent, bytes: usize::MAX });
        }
        let (at, paced) = (nanos(now), self.waiting.paced() > 0);
        let ahead = self.free.saturating_sub(at);
        self.resting &= ahead > 0;
        let burst = self.burst(now);
        if self.resting || (ahead > 0 && ahead >= burst) {
            self.kept |= paced;
            return None;
        }
        let class = match self.waiting {
            Waiting { repair: 1.., .. } => Class::Repair,
            Waiting { media: 1.., .. } => Class::Media,
            _ => Class::Padding,
        };
        let bits =
            u128::from(burst - ahead.min(burst)) * u128::from(self.rate().as_bps()) / u128::from(SECOND);
        let bytes = usize::try_from(bits / 8).unwrap_or(usize::MAX);
        Some(Turn { class, bytes: bytes.clamp(1, self.config.burst_bytes.max(1)) })
    }

    /// So many bytes of a class left together.
    pub fn on_sent(&mut self, now: Instant, class: Class, bytes: usize) {
        if class == Class::Urgent {
            return;
        }
        let (at, burst) = (nanos(now), self.burst(now));
        // What was missed by polls that come late is made up for, up to a burst.
        let since = if self.kept { at.saturating_sub(nanos_of(self.config.burst)) } else { at };
        let bits = (bytes as u64).saturating_mul(8);
        let cost = u128::from(bits) * u128::from(SECOND) / u128::from(self.rate().as_bps());
        self.free = self.free.max(since).saturating_add(u64::try_from(cost).unwrap_or(u64::MAX));
        self.resting = self.free > at && self.free - at >= burst;
    }

    /// When something that waits may leave; `None` if nothing waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.waiting.urgent > 0 {
            return Some(Instant::ZERO);
        }
        (self.waiting.paced() > 0).then(|| self.free_at())
    }

    /// When the rate has caught up with what left: padding has its turn then at the latest.
    pub fn free_at(&self) -> Instant {
        Instant::from_micros(self.free.div_ceil(1_000))
    }

    /// What may be ahead of the rate, in nanoseconds.
    fn burst(&self, now: Instant) -> u64 {
        if now < self.calm_until { 0 } else { nanos_of(self.config.burst) }
    }
}

fn nanos(at: Instant) -> u64 {
    at.as_micros().saturating_mul(1_000)
}

fn nanos_of(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 1_200;

    fn pacer(kbps: u64) -> Pacer {
        Pacer::new(Config::default(), Bitrate::from_kbps(kbps))
    }

    fn media(bytes: usize) -> Waiting {
        Waiting { media: bytes, ..Waiting::default() }
    }

    /// Sends `count` packets as a caller does who polls in time and always has that many waiting; gives the bursts
    /// with their moments in microseconds.
    fn bursts(pacer: &mut Pacer, mut now: Instant, waiting: usize, count: usize) -> Vec<(u64, usize)> {
        let (mut found, mut left) = (Vec::new(), count);
        while left > 0 {
            pacer.set_waiting(media(waiting));
            let Some(turn) = pacer.poll(now) else {
                let at = pacer.poll_timeout().expect("something waits");
                assert!(at > now, "a pacer that is asked too early");
                now = at;
                continue;
            };
            let packets = turn.bytes.div_ceil(PACKET).clamp(1, left);
            pacer.on_sent(now, turn.class, packets * PACKET);
            found.push((now.as_micros(), packets));
            left -= packets;
        }
        found
    }

    #[test]
    fn what_leaves_keeps_to_the_rate_in_bursts_of_some_milliseconds() {
        // 12 Mbit/s are a packet in 800 us.
        let found = bursts(&mut pacer(12_000), Instant::from_millis(1), PACKET, 1_001);
        let (last, _) = found[found.len() - 1];
        assert!(last.abs_diff(1_000 + 800_000) < 10_000, "{last}");
        assert!(found.iter().all(|(_, packets)| *packets == 7), "{:?}", &found[..3]);
    }

    #[test]
    fn at_low_rates_a_packet_is_a_burst() {
        let found = bursts(&mut pacer(96), Instant::from_millis(1), PACKET, 10);
        assert!(found.iter().all(|(_, packets)| *packets == 1));
        assert_eq!(found[9].0, 1_000 + 9 * 100_000);
    }

    #[test]
    fn a_burst_is_bounded_at_any_rate() {
        let found = bursts(&mut pacer(10_000_000), Instant::from_millis(1), PACKET, 1_000);
        assert!(found.iter().all(|(_, packets)| *packets <= 32));
    }

    #[test]
    fn marked_packets_leave_one_by_one_for_a_while() {
        let mut pacer = pacer(12_000);
        let now = Instant::from_millis(5);
        pacer.on_marks(now);
        let found = bursts(&mut pacer, now, PACKET, 2_000);
        let calm = found.iter().take_while(|(at, _)| *at < 1_005_000).collect::<Vec<_>>();
        assert!(calm.iter().all(|(_, packets)| *packets == 1) && calm.len() == 1_250, "{}", calm.len());
        assert_eq!(found[1_251].1, 7, "and then in bursts again");
    }

    #[test]
    fn sound_never_waits_and_takes_nothing_from_the_rate() {
        let (mut pacer, now) = (pacer(96), Instant::from_millis(1));
        pacer.set_waiting(media(PACKET));
        pacer.on_sent(now, Class::Media, PACKET);
        assert_eq!(pacer.poll(now), None);
        let free = pacer.free_at();
        pacer.set_waiting(Waiting { urgent: 100, media: PACKET, ..Waiting::default() });
        assert_eq!(pacer.poll(now).map(|turn| turn.class), Some(Class::Urgent));
        assert_eq!(pacer.poll_timeout(), Some(Instant::ZERO));
        pacer.on_sent(now, Class::Urgent, 100);
        assert_eq!(pacer.free_at(), free);
    }

    #[test]
    fn repair_goes_before_media_and_padding_last() {
        let (mut pacer, now) = (pacer(10_000), Instant::from_millis(1));
        let mut class = |waiting| {
            pacer.set_waiting(waiting);
            pacer.poll(now).map(|turn| turn.class)
        };
        assert_eq!(class(Waiting { repair: 1, media: 1, urgent: 0 }), Some(Class::Repair));
        assert_eq!(class(media(1)), Some(Class::Media));
        assert_eq!(class(Waiting::default()), Some(Class::Padding));
    }

    #[test]
    fn what_is_sent_again_keeps_to_the_rate_however_much_it_is() {
        let mut pacer = pacer(960);
        let (mut now, mut sent, mut left) = (Instant::from_millis(1), 0, 200 * PACKET);
        while now < Instant::from_millis(1_001) {
            pacer.set_waiting(Waiting { repair: left, ..Waiting::default() });
            match pacer.poll(now) {
                Some(turn) => {
                    assert_eq!(turn.class, Class::Repair);
                    pacer.on_sent(now, turn.class, PACKET);
                    (sent, left) = (sent + PACKET, left - PACKET);
                }
                None => now = pacer.poll_timeout().expect("something waits"),
            }
        }
        // 120,000 bytes in a second.
        assert!((sent as i64 - 120_000).abs() <= 2 * PACKET as i64, "{sent}");
    }

    #[test]
    fn padding_waits_for_the_rate_as_well() {
        let (mut pacer, now) = (pacer(96), Instant::from_millis(1));
        pacer.on_sent(now, Class::Padding, PACKET);
        assert_eq!((pacer.poll(now), pacer.poll_timeout()), (None, None));
        assert_eq!(pacer.free_at(), now + Duration::from_millis(100));
        assert!(pacer.poll(pacer.free_at()).is_some());
    }

    #[test]
    fn a_long_queue_leaves_in_time_whatever_the_rate() {
        let mut pacer = pacer(100);
        // A key frame of 100 packets is 9.6 s at the rate.
        let (mut now, mut left) = (Instant::from_millis(1), 100 * PACKET);
        while left > 0 {
            pacer.set_waiting(media(left));
            match pacer.poll(now) {
                Some(turn) => {
                    let bytes = turn.bytes.div_ceil(PACKET) * PACKET;
                    pacer.on_sent(now, turn.class, bytes.min(left));
                    left = left.saturating_sub(bytes);
                }
                None => now = pacer.poll_timeout().expect("something waits"),
            }
        }
        let passed = (now - Instant::from_millis(1)).as_millis();
        assert!((180..=200).contains(&passed), "{passed} ms, evenly");
        pacer.set_waiting(Waiting::default());
        assert_eq!(pacer.rate(), Bitrate::from_kbps(100), "and then at its rate again");
    }

    #[test]
    fn polls_that_come_late_lose_nothing_and_idleness_earns_nothing() {
        let mut pacer = pacer(12_000);
        let (mut now, mut sent) = (Instant::from_millis(1), 0);
        // A timer of a millisecond that is a millisecond late.
        for _ in 0..1_000 {
            pacer.set_waiting(media(PACKET));
            while let Some(turn) = pacer.poll(now) {
                let packets = turn.bytes.div_ceil(PACKET);
                pacer.on_sent(now, turn.class, packets * PACKET);
                sent += packets;
            }
            now += Duration::from_millis(2);
        }
        assert!((2_450..=2_520).contains(&sent), "{sent} in two seconds of 1,250 each");
        pacer.set_waiting(Waiting::default());
        let later = now + Duration::from_secs(10);
        pacer.set_waiting(media(PACKET));
        let mut burst = 0;
        while let Some(turn) = pacer.poll(later) {
            pacer.on_sent(later, turn.class, PACKET);
            burst += 1;
        }
        assert!(burst <= 8, "{burst} after an idle time");
    }

    #[test]
    fn absurd_rates_and_times_stay_finite() {
        for rate in [0, 1, u64::MAX] {
            let mut pacer = Pacer::new(Config::default(), Bitrate::from_bps(rate));
            for now in [Instant::ZERO, Instant::from_micros(u64::MAX), Instant::from_millis(7)] {
                pacer.set_waiting(media(usize::MAX));
                let _ = pacer.poll(now);
                pacer.on_sent(now, Class::Media, usize::MAX);
                let _ = (pacer.rate(), pacer.poll_timeout(), pacer.free_at());
            }
        }
    }
}
