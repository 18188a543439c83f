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

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// 100 packets of 1,000 bytes a second, and what becomes of each: its delay in milliseconds, or `None`.
    fn rounds(count: i64, fate: impl Fn(i64) -> Option<i64>) -> (Rounds, Vec<Round>) {
        let (mut rounds, mut closed, mut was_lost) = (Rounds::default(), Vec::new(), false);
        for packet in 0..count {
            let sent = packet * 10_000;
            match fate(packet) {
                Some(delay) => rounds.on_arrival(sent, sent + delay * 1_000, 1_000, packet % 4 == 0, false),
                None => rounds.on_loss(sent, 1_000, !was_lost),
            }
            was_lost = fate(packet).is_none();
            closed.extend(rounds.close());
        }
        (rounds, closed)
    }

    #[test]
    fn a_window_tells_rates_of_departure_and_arrival() {
        // Each waits 2 ms more than the one before: sent each 10 ms they come each 12.
        let (rounds, _) = rounds(200, |packet| Some(2 * packet));
        let window = rounds.window(SECOND).expect("rounds");
        assert_eq!((window.sent.round(), window.delivered.round()), (8e5, (8e5_f64 / 1.2).round()));
        assert_eq!((window.loss, window.run), (0.0, 1.0));
        assert!((1.0..1.04).contains(&window.span) && (window.marked - 0.25).abs() < 0.02, "{window:?}");
    }

    #[test]
    fn losses_are_shares_in_runs_and_are_taken_back_when_packets_come_late() {
        let (mut rounds, _) = rounds(400, |packet| (packet % 20 >= 4).then_some(30));
        let window = rounds.window(SECOND).expect("rounds");
        assert!((window.loss - 0.2).abs() < 0.02 && (window.run - 4.0).abs() < 0.5, "{window:?}");
        assert!((window.sent - 8e5).abs() < 1e4 && window.delivered < 6.6e5, "{window:?}");
        (0..16).for_each(|packet| rounds.on_arrival(packet, 4_000_000, 1_000, false, true));
        rounds.on_arrival(4_000_000, 4_050_000, 1_000, false, false);
        assert!(rounds.close().is_some());
        assert!(rounds.window(SECOND).expect("rounds").loss < 0.06);
    }

    #[test]
    fn a_round_has_30_ms_and_its_least_and_mean_delay() {
        let (_, closed) = rounds(8, |packet| Some(10 + packet % 2));
        let round = |arrived, above, packets| Round { arrived, delay: 10_000, above, packets };
        let expected = [round(10_000, 0.0, 1), round(41_000, 2_000.0 / 3.0, 3), round(81_000, 500.0, 4)];
        assert_eq!(closed, expected);
    }

    #[test]
    fn only_as_much_as_is_remembered_is_told() {
        assert_eq!(rounds(3, |_| Some(0)).0.window(SECOND), None);
        let (rounds, closed) = rounds(1_000, |_| Some(0));
        assert!(closed.len() > ROUNDS);
        assert!(rounds.window(Duration::MAX).is_some_and(|window| window.span > 1.0 && window.span < 2.0));
    }
}
