//! What feedback told lately, summed up round by round, and what happened between two rounds.
//!
//! A round is the packets of one feedback or several, at least [`SHORTEST`] of the receiver's time. Rates are judged
//! over windows of rounds: at which rate packets left, and at which the same packets came.

use std::time::Duration;

/// Rounds that are remembered: a second of the shortest, the longest window that is asked for.
const ROUNDS: usize = 40;
/// A round has so much of the receiver's time in it, in microseconds: shorter ones hold a burst or none.
const SHORTEST: i64 = 30_000;
/// A rate over less, in microseconds, is one over this: two packets that come at once are no gigabit.
const INSTANT: i64 = 1_000;

/// Sums since the beginning up to the end of a round. They wrap; only differences are looked at.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    /// When the last packet left, in microseconds.
    sent: i64,
    /// When the last packet arrived, by the receiver's clock.
    arrived: i64,
    bytes: u64,
    lost_bytes: u64,
    /// Packets of both kinds.
    packets: u32,
    lost: u32,
    /// How often losses began.
    runs: u32,
    marks: u32,
}

/// What a finished round says of delay. Times in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Round {
    /// When the last of its packets arrived, by the receiver's clock.
    pub(super) arrived: i64,
    /// The least delay in it, against an arbitrary constant.
    pub(super) delay: i64,
    /// By how much its packets came later than the least delayed, on average.
    pub(super) above: f64,
    /// Packets that arrived in it.
    pub(super) packets: u32,
}

/// What happened between two rounds.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Bits a second at which packets arrived.
    pub(super) delivered: f64,
    /// At which those and the lost ones had left.
    pub(super) sent: f64,
    /// The share of packets that was lost.
    pub(super) loss: f64,
    /// Of so many.
    pub(super) packets: f64,
    /// How many are lost in a row, on average; at least 1.
    pub(super) run: f64,
    /// The share of those that arrived which were marked (CE).
    pub(super) marked: f64,
    /// The receiver's time, in seconds.
    pub(super) span: f64,
}

/// The rounds of a transport.
#[derive(Debug, Clone)]
pub(super) struct Rounds {
    ring: [Sums; ROUNDS],
    count: usize,
    /// Sums up to now.
    open: Sums,
    /// The least delay in the open round.
    least: i64,
    /// What its packets came later, all together.
    above: f64,
    /// Packets that arrived in it.
    arrivals: u32,
}

impl Default for Rounds {
    fn default() -> Self {
        Rounds {
            ring: [Sums::default(); ROUNDS],
            count: 0,
            open: Sums::default(),
            least: 0,
            above: 0.0,
            arrivals: 0,
        }
    }
}

impl Rounds {
    /// A packet arrived; `was_lost` if it had been reported as lost before.
    pub(super) fn on_arrival(&mut self, sent: i64, arrived: i64, size: u32, marked: bool, was_lost: bool) {
        let delay = arrived - sent;
        let open = &mut self.open;
        if self.arrivals == 0 {
            (self.least, self.above) = (delay, 0.0);
            if self.count == 0 && open.arrived == 0 {
                // The first packet begins the first round: only what comes behind it counts.
                (open.sent, open.arrived) = (sent, arrived);
            }
        }
        self.arrivals += 1;
        self.above += (delay - self.least) as f64;
        if delay < self.least {
            // All came later than this one.
            self.above += (self.least - delay) as f64 * f64::from(self.arrivals);
            self.least = delay;
        }
        open.sent = open.sent.max(sent);
        open.arrived = open.arrived.max(arrived);
        open.bytes = open.bytes.wrapping_add(u64::from(size));
        open.marks = open.marks.wrapping_add(u32::from(marked));
        if was_lost {
            open.lost = open.lost.wrapping_sub(1);
            open.lost_bytes = open.lost_bytes.wrapping_sub(u64::from(size));
        } else {
            open.packets = open.packets.wrapping_add(1);
        }
    }

    /// A packet was lost; `begins` if the one before was not.
    pub(super) fn on_loss(&mut self, sent: i64, size: u32, begins: bool) {
        let open = &mut self.open;
        open.runs = open.runs.wrapping_add(u32::from(begins));
        open.packets = open.packets.wrapping_add(1);
        open.lost = open.lost.wrapping_add(1);
        open.lost_bytes = open.lost_bytes.wrapping_add(u64::from(size));
        open.sent = open.sent.max(sent);
    }

    /// Ends the open round if there is enough in it.
    pub(super) fn close(&mut self) -> Option<Round> {
        let long = self.back(0).is_none_or(|last| self.open.arrived - last.arrived >= SHORTEST);
        if self.arrivals == 0 || !long {
            return None;
        }
        let (arrived, packets) = (self.open.arrived, std::mem::take(&mut self.arrivals));
        let above = self.above / f64::from(packets);
        if let Some(place) = self.ring.get_mut(self.count % ROUNDS) {
            *place = self.open;
        }
        self.count += 1;
        Some(Round { arrived, delay: self.least, above, packets })
    }

    /// What the last rounds tell of at least `span` of the receiver's time, or of as much as is remembered; `None`
    /// before there are two.
    pub(super) fn window(&self, span: Duration) -> Option<Window> {
        let last = self.back(0)?;
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

    fn back(&self, rounds: usize) -> Option<&Sums> {
        let at = self.count.checked_sub(rounds + 1)?;
        self.ring.get(at % ROUNDS).filter(|_| rounds < ROUNDS)
    }
}

fn between(first: &Sums, last: &Sums) -> Window {
    let bits = |bytes: u64, micros: i64| bytes as f64 * 8e6 / micros.max(INSTANT) as f64;
    // More may have come late than was lost.
    let gained = |now: u32, before: u32| f64::from(now.wrapping_sub(before).cast_signed().max(0));
    let bytes = last.bytes.wrapping_sub(first.bytes);
    let lost_bytes = last.lost_bytes.wrapping_sub(first.lost_bytes).cast_signed().max(0).cast_unsigned();
    let packets = gained(last.packets, first.packets);
    let lost = gained(last.lost, first.lost);
    let arrived = last.arrived - first.arrived;
    Window {
        delivered: bits(bytes, arrived),
        sent: bits(bytes + lost_bytes, last.sent - first.sent),
        loss: if packets > 0.0 { (lost / packets).min(1.0) } else { 0.0 },
        packets,
        run: (lost / gained(last.runs, first.runs).max(1.0)).max(1.0),
        marked: gained(last.marks, first.marks) / (packets - lost).max(1.0),
        span: arrived as f64 / 1e6,
    }
}
