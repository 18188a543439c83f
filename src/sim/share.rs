//! What a perfect and fair sender could deliver, by time.

use super::scenario::{Scenario, TransferConfig};
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// A time in which nothing changes for one flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from: Instant,
    /// Its end, exclusive.
    pub to: Instant,
    /// What constant cross traffic and policer leave of the flow's direction.
    pub left: Bitrate,
    /// The flow's part of it: equal parts for the media flows that are on and endless TCP transfers.
    pub share: Bitrate,
    /// What the flow can deliver within its part: for layers the highest set that fits, in a pause sound.
    pub possible: Bitrate,
    /// Whether the flow pauses.
    pub paused: bool,
}

/// What nothing limits.
const UNLIMITED: u64 = 1 << 50;

/// The spans of flow `index`, from its start to the end of the run. A flow that pauses leaves its part to the others.
pub fn spans(scenario: &Scenario, index: usize) -> Vec<Span> {
    let Some(flow) = scenario.flows.get(index) else {
        return Vec::new();
    };
    let moments = moments(scenario, flow.start, flow.backward);
    let ends = moments.iter().skip(1);
    let span = |(&from, &to): (&Instant, &Instant)| {
        let left = left(scenario, flow.backward, from);
        let paused = flow.is_paused(from);
        let share = Bitrate::from_bps(left.as_bps() / parts(scenario, index, from).max(1));
        let possible = if paused { flow.audio.min(share) } else { flow.possible(share) };
        Span { from, to, left, share, possible, paused }
    };
    moments.iter().zip(ends).map(span).collect()
}

/// Every moment from `start` to the end at which something may change, both included.
fn moments(scenario: &Scenario, start: Instant, backward: bool) -> Vec<Instant> {
    let mut found = vec![start, scenario.end];
    found.extend(scenario.direction(backward).capacity.iter().flat_map(|capacity| capacity.moments()));
    for flow in &scenario.flows {
        found.push(flow.start);
        found.extend(flow.pauses.iter().flat_map(|pause| [pause.0, pause.1]));
    }
    found.extend(
        scenario.constants.iter().flat_map(|constant| [Some(constant.start), constant.stop]).flatten(),
    );
    found.extend(
        scenario.transfers.iter().flat_map(|transfer| [Some(transfer.start), transfer.stop]).flatten(),
    );
    found.retain(|&at| start <= at && at <= scenario.end);
    found.sort_unstable();
    found.dedup();
    found
}

fn left(scenario: &Scenario, backward: bool, at: Instant) -> Bitrate {
    let direction = scenario.direction(backward);
    let capacity = direction.served(at).map_or(UNLIMITED, Bitrate::as_bps);
    let policed = direction.policer.map_or(UNLIMITED, |policer| policer.rate.as_bps());
    let constants = scenario.constants.iter().filter(|constant| constant.backward == backward);
    let taken = constants.filter(|constant| is_on(constant.start, constant.stop, at));
    let taken: u64 = taken.map(|constant| constant.rate.as_bps()).sum();
    Bitrate::from_bps(capacity.min(policed).saturating_sub(taken))
}

/// Among how many a direction is divided; flow `index` counts in any case.
fn parts(scenario: &Scenario, index: usize, at: Instant) -> u64 {
    let backward = scenario.flows[index].backward;
    let flows = scenario.flows.iter().enumerate().filter(|(other, flow)| {
        let counts = flow.start <= at && !flow.is_paused(at);
        flow.backward == backward && (*other == index || counts)
    });
    let endless = |transfer: &&TransferConfig| {
        transfer.backward == backward && transfer.size.is_none() && is_on(transfer.start, transfer.stop, at)
    };
    let transfers: usize = scenario.transfers.iter().filter(endless).map(|transfer| transfer.count).sum();
    (flows.count() + transfers) as u64
}

fn is_on(start: Instant, stop: Option<Instant>, at: Instant) -> bool {
    start <= at && stop.is_none_or(|stop| at < stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODER: &str = "source = { kind = 'encoder', min_kbps = 150, max_kbps = 1500 }";

    /// Seconds, left, share and possible in kbit/s of each span.
    fn table(rest: &str, index: usize) -> Vec<(u64, u64, u64, u64)> {
        let text = format!("name = 'a'\nabout = 'b'\nduration_s = 100\n{rest}");
        let scenario = Scenario::parse(&text).expect("a scenario");
        let kbps = |rate: Bitrate| rate.as_bps() / 1_000;
        let row = |span: &Span| {
            (span.from.as_micros() / 1_000_000, kbps(span.left), kbps(span.share), kbps(span.possible))
        };
        spans(&scenario, index).iter().map(row).collect()
    }

    #[test]
    fn capacity_is_shared_among_those_who_are_on() {
        let rest = format!(
            "[reverse]\n[forward]\ncapacity = [[0, 3600], [50, 1200]]\n[[flow]]\n{ENCODER}\n\
             [[flow]]\nstart_s = 20\naudio_kbps = 24\npauses = [[60, 70]]\n{ENCODER}\n[[flow]]\nbackward = true\n{ENCODER}\n\
             [[tcp]]\nstart_s = 30\nstop_s = 40\n[[tcp]]\nsize_kb = [1, 2]\npause_s = 1"
        );
        let first = [
            (0, 3_600, 3_600, 1_500),
            (20, 3_600, 1_800, 1_500),
            (30, 3_600, 1_200, 1_200),
            (40, 3_600, 1_800, 1_500),
            (50, 1_200, 600, 600),
            (60, 1_200, 1_200, 1_200),
            (70, 1_200, 600, 600),
        ];
        assert_eq!(table(&rest, 0), first);
        let second = table(&rest, 1);
        assert_eq!((second[0], second[4]), ((20, 3_600, 1_800, 1_524), (60, 1_200, 600, 24)));
        // Nothing limits the way back.
        assert!(table(&rest, 2).iter().all(|row| row.3 == 1_500));
    }

    #[test]
    fn constant_traffic_and_policer_are_taken_off_first() {
        let rest = format!(
            "[reverse]\n[forward]\ncapacity = [[0, 4000]]\npolicer = {{ kbps = 3000, burst_kb = 10 }}\n[[flow]]\n{ENCODER}\n\
             [[cbr]]\nstart_s = 20\nstop_s = 40\nkbps = 2500\n[[cbr]]\nstart_s = 60\nkbps = 3500"
        );
        let expected =
            [(0, 3_000, 3_000, 1_500), (20, 500, 500, 500), (40, 3_000, 3_000, 1_500), (60, 0, 0, 0)];
        assert_eq!(table(&rest, 0), expected);
    }

    #[test]
    fn gaps_take_their_part_and_what_goes_the_other_way_none() {
        let rest = format!(
            "[reverse]\ncapacity = [[0, 900]]\n[forward]\ncapacity = [[0, 4000]]\n\
             gaps = {{ every_ms = [20, 60], lasts_ms = [5, 15] }}\n[[flow]]\n{ENCODER}\n\
             [[flow]]\nbackward = true\n{ENCODER}\n[[cbr]]\nbackward = true\nstart_s = 20\nkbps = 300\n\
             [[tcp]]\nbackward = true\nstart_s = 40"
        );
        let expected = [(0, 3_000, 3_000, 1_500), (20, 3_000, 3_000, 1_500), (40, 3_000, 3_000, 1_500)];
        assert_eq!(table(&rest, 0), expected);
        assert_eq!(table(&rest, 1), [(0, 900, 900, 900), (20, 600, 600, 600), (40, 600, 300, 300)]);
    }
}
