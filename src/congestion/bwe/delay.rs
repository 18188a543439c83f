//! How long packets wait on their way, told from the least delay of late.

/// Seconds over which the least delay is taken.
const BASE: usize = 32;
const SPAN: i64 = 500_000;
/// What is never taken for waiting, in microseconds, and what it adds for each microsecond of noise.
const THRESHOLD: f64 = 3_500.0;
/// The least of so many packets is judged.
const ENOUGH: u32 = 6;
const NOISE: f64 = 1.3;

/// Delays in microseconds against an arbitrary constant.
#[derive(Debug, Default, Clone)]
pub(super) struct Delay {
    /// Sums of rounds' delays in half a second each, and of how many.
    slots: [(f64, f64); BASE],
    slot: i64,
    base: Option<f64>,
    /// The last round's.
    last: Option<i64>,
    /// By how much packets come later than the least delayed of their round.
    jitter: Option<f64>,
    recent: [(i64, u32); 8],
    /// Waiting in the last round and in the one before.
    queue: f64,
    before: f64,
}

impl Delay {
    /// Takes a round's least delay. `hold` keeps what was the least before, however long ago.
    pub(super) fn on_round(&mut self, arrived: i64, delay: i64, packets: u32, hold: bool) {
        self.recent.rotate_right(1);
        self.recent[0] = (delay, packets);
        let mut least = delay;
        let mut count = 0;
        for (delay, packets) in self.recent {
            if count >= ENOUGH || packets == 0 {
                break;
            }
            least = least.min(delay);
            count += packets;
        }
        let slot = arrived / SPAN;
        if self.base.is_none() {
            self.slot = slot;
        }
        if !hold && slot > self.slot {
            for gone in self.slot.max(slot - BASE as i64) + 1..=slot {
                self.slots[gone.rem_euclid(BASE as i64) as usize] = (0.0, 0.0);
            }
            self.slot = slot;
        }
        let place = &mut self.slots[self.slot.rem_euclid(BASE as i64) as usize];
        if hold {
            // Only what lies lower counts.
            if self.base.is_some_and(|base| (least as f64) < base) {
                *place = (least as f64, 1.0);
            }
        } else {
            *place = (place.0 + least as f64, place.1 + 1.0);
        }
        let means = self.slots.iter().filter(|slot| slot.1 > 0.0).map(|slot| slot.0 / slot.1);
        self.base =
            means.fold(None, |base: Option<f64>, mean| Some(base.map_or(mean, |base| base.min(mean))));
        self.before = self.queue;
        self.queue = least as f64 - self.base.unwrap_or(least as f64);
        self.last = Some(delay);
    }

    pub(super) fn on_jitter(&mut self, above: f64, packets: u32) {
        if packets >= 3 && self.queue < self.threshold() {
            let jitter = self.jitter();
            self.jitter = Some(jitter + (above.min(30_000.0) - jitter) / 16.0);
        }
    }

    /// Forgets the least delay: the path is another one.
    pub(super) fn rebase(&mut self) {
        self.slots = [(0.0, 0.0); BASE];
        self.base = None;
        self.queue = 0.0;
    }

    /// How long packets wait, in microseconds.
    pub(super) fn queue(&self) -> f64 {
        self.queue
    }

    pub(super) fn jitter(&self) -> f64 {
        self.jitter.unwrap_or(4_000.0)
    }

    /// What tells waiting from noise.
    pub(super) fn threshold(&self) -> f64 {
        THRESHOLD + NOISE * self.jitter()
    }

    /// Whether packets wait: much at once, or for two rounds.
    pub(super) fn is_long(&self, limited: bool) -> bool {
        let threshold = self.threshold();
        self.queue > 2.0 * threshold + 5_000.0 || (!limited && self.queue.min(self.before) > threshold)
    }

    pub(super) fn is_short(&self) -> bool {
        self.queue < 0.5 * self.threshold()
    }
}
