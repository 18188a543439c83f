//! What feedback told lately, summed up round by round.

use std::time::Duration;

/// Rounds that are remembered.
const ROUNDS: usize = 64;
/// A round has at least so much of the receiver's time in it, in microseconds.
const SHORTEST: i64 = 30_000;

/// Sums up to the end of a round, and what was special in it. Times in microseconds, `arrived` by the receiver's clock.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Round {
    /// When the last of its packets left and arrived.
    pub(super) sent: i64,
    pub(super) arrived: i64,
    /// Since the beginning: bytes that arrived, bytes that were lost, packets of both kinds, marks.
    pub(super) bytes: u64,
    pub(super) lost_bytes: u64,
    pub(super) packets: u64,
    pub(super) lost: u64,
    /// How often losses began.
    pub(super) runs: u64,
    pub(super) marks: u64,
    /// The least delay in it, against an arbitrary constant.
    pub(super) delay: i64,
    /// Their mean, and of how many.
    pub(super) mean: f64,
    pub(super) arrivals: u32,
}

/// What happened between two rounds.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Window {
    /// Bits a second at which packets arrived.
    pub(super) delivered: f64,
    /// At which the same ones and those that were lost had left.
    pub(super) sent: f64,
    /// The share of packets lost, of so many.
    pub(super) loss: f64,
    pub(super) packets: f64,
    /// How many are lost in a row.
    pub(super) run: f64,
    /// The share of those that arrived which were marked.
    pub(super) marked: f64,
    /// The receiver's time, in seconds.
    pub(super) span: f64,
}

#[derive(Debug, Clone)]
pub(super) struct Rounds {
    ring: [Round; ROUNDS],
    count: usize,
    /// The one that is not yet finished.
    open: Round,
    /// Packets that arrived in it.
    arrived: u32,
    sum: f64,
}

impl Default for Rounds {
    fn default() -> Self {
        Rounds { ring: [Round::default(); ROUNDS], count: 0, open: Round::default(), arrived: 0, sum: 0.0 }
    }
}

impl Rounds {
    pub(super) fn on_arrival(&mut self, sent: i64, arrived: i64, size: u32, marked: bool, was_lost: bool) {
        let open = &mut self.open;
        let delay = arrived - sent;
        if self.arrived == 0 {
            self.sum = 0.0;
            open.delay = delay;
            if self.count == 0 && open.arrived == 0 {
                // The first packet begins the first round: only what comes behind it counts.
                (open.sent, open.arrived) = (sent, arrived);
            }
        }
        self.arrived += 1;
        self.sum += (delay - open.delay) as f64;
        if delay < open.delay {
            // The sum is against the least.
            self.sum += (open.delay - delay) as f64 * f64::from(self.arrived);
        }
        open.delay = open.delay.min(delay);
        open.sent = open.sent.max(sent);
        open.arrived = open.arrived.max(arrived);
        open.bytes += u64::from(size);
        open.marks += u64::from(marked);
        if was_lost {
            open.lost = open.lost.saturating_sub(1);
            open.lost_bytes = open.lost_bytes.saturating_sub(u64::from(size));
        } else {
            open.packets += 1;
        }
    }

    pub(super) fn on_loss(&mut self, sent: i64, size: u32, begins: bool) {
        self.open.runs += u64::from(begins);
        self.open.packets += 1;
        self.open.lost += 1;
        self.open.lost_bytes += u64::from(size);
        self.open.sent = self.open.sent.max(sent);
    }

    /// Ends the open round if there is enough in it.
    pub(super) fn close(&mut self) -> Option<Round> {
        let long = self.last().is_none_or(|last| self.open.arrived - last.arrived >= SHORTEST);
        if self.arrived == 0 || !long {
            return None;
        }
        let mut round = self.open;
        round.mean = round.delay as f64 + self.sum / f64::from(self.arrived);
        round.arrivals = self.arrived;
        (self.arrived, self.sum) = (0, 0.0);
        if let Some(place) = self.ring.get_mut(self.count % ROUNDS) {
            *place = round;
        }
        self.count += 1;
        Some(round)
    }

    pub(super) fn last(&self) -> Option<&Round> {
        self.back(0)
    }

    /// The least delay of the open round.
    pub(super) fn least(&self) -> i64 {
        self.open.delay
    }

    fn back(&self, rounds: usize) -> Option<&Round> {
        let at = self.count.checked_sub(rounds + 1)?;
        self.ring.get(at % ROUNDS).filter(|_| rounds < ROUNDS)
    }

    /// What the last rounds tell of at least `span` of the receiver's time, or of as much as is remembered.
    pub(super) fn window(&self, span: Duration) -> Option<Window> {
        let last = self.last()?;
        let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        let mut first = self.back(1)?;
        for back in 2..ROUNDS {
            if last.arrived - first.arrived >= span {
                break;
            }
            let Some(before) = self.back(back) else { break };
            first = before;
        }
        Some(between(first, last))
    }
}

fn between(first: &Round, last: &Round) -> Window {
    let bits = |bytes: u64, micros: i64| bytes as f64 * 8e6 / micros.max(1_000) as f64;
    let (bytes, lost_bytes) = (last.bytes - first.bytes, last.lost_bytes.saturating_sub(first.lost_bytes));
    let packets = (last.packets - first.packets) as f64;
    let lost = last.lost.saturating_sub(first.lost) as f64;
    let arrived = last.arrived - first.arrived;
    Window {
        delivered: bits(bytes, arrived),
        sent: bits(bytes + lost_bytes, last.sent - first.sent),
        loss: if packets > 0.0 { (lost / packets).min(1.0) } else { 0.0 },
        packets,
        run: (lost / last.runs.saturating_sub(first.runs).max(1) as f64).max(1.0),
        marked: (last.marks - first.marks) as f64 / (packets - lost).max(1.0),
        span: arrived as f64 / 1e6,
    }
}
