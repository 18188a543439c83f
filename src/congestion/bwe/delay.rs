//! How long packets wait on their way, told from the least one-way delay of late.
//!
//! The two clocks have nothing in common, so only differences mean something: what waits is a round's least delay
//! above the *base*, the lowest of late. The level is judged, not the slope: a full queue has none. The least of a
//! round is taken, as radio links and Wi-Fi hold packets back and let them go in bursts, of which only the first to
//! come tells the queue; and the base is a mean of half a second, as the least of all of many noisy values lies far
//! below what is usual. What counts as waiting grows with how unevenly packets come (*jitter*).

use super::rounds::Round;

/// Half seconds over which the base is taken: 16 s, in which clocks that drift by 200 ppm part by 3 ms.
const SLOTS: usize = 32;
/// Of so many microseconds each.
const SLOT: i64 = 500_000;
/// What is never taken for waiting, in microseconds: three packets of 1,200 bytes at 8 Mbit/s.
const THRESHOLD: f64 = 3_500.0;
/// What each microsecond of jitter adds to it.
const NOISE: f64 = 1.3;
/// A full packet in bytes, and the longest that one may take over a bottleneck, in microseconds.
const PACKET: f64 = 1_200.0;
const TRANSMISSION_MOST: f64 = 100_000.0;
/// Jitter before any was seen, in microseconds: as on most paths of the internet.
const JITTER: f64 = 4_000.0;
/// More jitter than this, in microseconds, is a queue.
const JITTER_MOST: f64 = 30_000.0;
/// How fast jitter is learned: a round's weight is one in so many.
const JITTER_ROUNDS: f64 = 16.0;
/// The least of so many packets is judged, over several rounds if need be: with sound alone a round has two.
const ENOUGH: u32 = 6;
/// Rounds over which they are sought.
const RECENT: usize = 8;
/// So many times the threshold and so much more, in microseconds, is a queue at once, not in the second round.
const AT_ONCE: (f64, f64) = (2.0, 5_000.0);

/// Least delays in one half second.
#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    sum: f64,
    count: f64,
}

/// The one-way delay of a transport. Microseconds throughout, against an arbitrary constant.
#[derive(Debug, Default, Clone)]
pub(super) struct Delay {
    slots: [Slot; SLOTS],
    /// The half second of the receiver's time that is filled.
    slot: i64,
    base: Option<f64>,
    /// The last rounds' least delays, and of how many packets.
    recent: [(i64, u32); RECENT],
    jitter: Option<f64>,
    /// How long a full packet takes over the bottleneck.
    transmission: f64,
    /// Waiting in the last round and in the one before.
    queue: f64,
    before: f64,
}

impl Delay {
    /// A path that carries so many bits a second: waiting for one full packet is no queue.
    pub(super) fn set_rate(&mut self, rate: f64) {
        self.transmission = (PACKET * 8e6 / rate.max(1.0)).min(TRANSMISSION_MOST);
    }

    /// Takes what a round says. `hold` keeps the base, however long ago it was: somebody else fills the queue.
    pub(super) fn on_round(&mut self, round: &Round, hold: bool) {
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = (round.delay, round.packets);
        }
        let least = self.least(round.delay) as f64;
        self.learn_base(round.arrived, least, hold);
        self.before = self.queue;
        self.queue = least - self.base.unwrap_or(least);
        if round.packets >= 3 && self.queue < self.threshold() {
            let jitter = self.jitter();
            self.jitter = Some(jitter + (round.above.min(JITTER_MOST) - jitter) / JITTER_ROUNDS);
        }
    }

    /// The least of the last packets, so many that one is likely not to have been held up.
    fn least(&self, newest: i64) -> i64 {
        let mut least = newest;
        let mut count = 0;
        for &(delay, packets) in &self.recent {
            if count >= ENOUGH || packets == 0 {
                break;
            }
            least = least.min(delay);
            count += packets;
        }
        least
    }

    fn learn_base(&mut self, arrived: i64, least: f64, hold: bool) {
        let slot = arrived / SLOT;
        if self.base.is_none() {
            self.slot = slot;
        }
        if !hold {
            self.turn_to(slot);
        }
        let is_lower = self.base.is_some_and(|base| least < base);
        if let Some(place) = self.slots.get_mut(index(self.slot)) {
            if !hold {
                *place = Slot { sum: place.sum + least, count: place.count + 1.0 };
            } else if is_lower {
                *place = Slot { sum: least, count: 1.0 };
            }
        }
        let means = self.slots.iter().filter(|slot| slot.count > 0.0).map(|slot| slot.sum / slot.count);
        self.base = means.reduce(f64::min);
    }

    /// Forgets the slots that have come round again.
    fn turn_to(&mut self, slot: i64) {
        for gone in self.slot.max(slot - SLOTS as i64) + 1..=slot {
            if let Some(place) = self.slots.get_mut(index(gone)) {
                *place = Slot::default();
            }
        }
        self.slot = self.slot.max(slot);
    }

    /// Forgets the base: the path is another one.
    pub(super) fn rebase(&mut self) {
        self.slots = [Slot::default(); SLOTS];
        self.base = None;
        self.queue = 0.0;
    }

    /// Forgets all but the jitter: the receiver's clock was set.
    pub(super) fn restart(&mut self) {
        *self = Delay { jitter: self.jitter, ..Delay::default() };
    }

    /// How long packets wait; slightly below zero where nothing does.
    pub(super) fn queue(&self) -> f64 {
        self.queue
    }

    /// By how much packets come later than the least delayed of their round, while nothing waits.
    pub(super) fn jitter(&self) -> f64 {
        self.jitter.unwrap_or(JITTER)
    }

    /// What tells waiting from noise.
    pub(super) fn threshold(&self) -> f64 {
        THRESHOLD + NOISE * self.jitter()
    }

    /// Whether packets wait: long at once, or for two rounds unless little is sent (`limited`).
    pub(super) fn is_long(&self, limited: bool) -> bool {
        let threshold = self.threshold().max(self.transmission);
        let at_once = self.queue > AT_ONCE.0 * threshold + AT_ONCE.1;
        at_once || (!limited && self.queue.min(self.before) > threshold)
    }

    /// Whether the queue is as good as empty.
    pub(super) fn is_short(&self) -> bool {
        self.queue < 0.5 * self.threshold()
    }
}

fn index(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds each 50 ms from `from` on, of delays in milliseconds.
    fn feed(delay: &mut Delay, from: i64, delays: impl IntoIterator<Item = f64>) -> i64 {
        let mut arrived = from;
        for ms in delays {
            arrived += 50_000;
            let round = Round { arrived, delay: (ms * 1e3) as i64, above: 500.0, packets: 6 };
            delay.on_round(&round, false);
        }
        arrived
    }

    #[test]
    fn the_level_above_the_base_is_the_queue() {
        let mut delay = Delay::default();
        let at = feed(&mut delay, 0, (0..100).map(|round| f64::from(round % 3)));
        assert!(delay.queue().abs() < 2_000.0 && !delay.is_long(false) && delay.is_short());
        // A full queue does not grow, and is there all the same.
        feed(&mut delay, at, [40.0; 20]);
        assert!((delay.queue() - 39_000.0).abs() < 1_000.0 && delay.is_long(true));
    }

    #[test]
    fn a_short_queue_is_believed_in_the_second_round_and_not_if_little_is_sent() {
        let mut delay = Delay::default();
        let at = feed(&mut delay, 0, [0.0; 100]);
        assert!(delay.threshold() < 4_500.0);
        let at = feed(&mut delay, at, [6.0]);
        assert!(!delay.is_long(false));
        feed(&mut delay, at, [6.0]);
        assert!(delay.is_long(false) && !delay.is_long(true));
    }

    #[test]
    fn one_packet_in_time_tells_that_the_others_were_held_up() {
        let mut delay = Delay::default();
        let at = feed(&mut delay, 0, [0.0; 100]);
        let round = |delay, packets| Round { arrived: at + 50_000, delay, above: 0.0, packets };
        delay.on_round(&round(0, 1), false);
        delay.on_round(&round(20_000, 2), false);
        assert!(delay.queue() <= 0.0);
        delay.on_round(&round(20_000, 6), false);
        assert!(delay.queue() > 19_000.0);
    }

    #[test]
    fn the_base_follows_a_clock_that_drifts_and_is_held_in_a_contest() {
        let mut delay = Delay::default();
        // 200 ppm for two minutes.
        let at = feed(&mut delay, 0, (0..2_400).map(|round| f64::from(round) * 0.01));
        assert!(delay.queue() < 3_500.0, "{}", delay.queue());
        let mut other = delay.clone();
        for ms in 0..30_000_i64 {
            let round = Round { arrived: at + ms * 1_000, delay: 90_000, above: 0.0, packets: 6 };
            delay.on_round(&round, true);
            other.on_round(&round, false);
        }
        assert!(delay.queue() > 60_000.0 && other.queue() < 1_000.0);
        delay.rebase();
        assert!(delay.is_short());
    }

    #[test]
    fn jitter_raises_the_threshold_but_not_while_packets_wait() {
        let mut delay = Delay::default();
        let round = |arrived, ms: i64| Round { arrived, delay: ms * 1_000, above: 20_000.0, packets: 6 };
        (0..100).for_each(|tick| delay.on_round(&round(tick * 50_000, 0), false));
        assert!((delay.jitter() - 20_000.0).abs() < 500.0 && delay.threshold() > 29_000.0);
        let before = delay.jitter();
        delay.on_round(&Round { above: 0.0, ..round(5_000_000, 200) }, false);
        assert_eq!(delay.jitter(), before);
    }
}
