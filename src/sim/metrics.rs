//! The metrics by which a sender is judged, as functions over a recorded flow. Times are in seconds, infinite where
//! what is waited for never comes.

use std::time::Duration;

use super::record::{FlowRecord, Run};
use super::share::Span;
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// Longer gaps between frames shown count as frozen.
const GAP: Duration = Duration::from_millis(183);
/// A frame is shown at most this long after its capture.
const FRAME_LIFE: Duration = Duration::from_secs(1);
/// A queue longer than this is not drained.
const LONG_WAIT: Duration = Duration::from_millis(60);
const SECOND: Duration = Duration::from_secs(1);
/// Draining is counted up to here.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// Wire bytes of unique media that arrived, divided by what a perfect and fair sender could deliver.
pub fn utilisation(flow: &FlowRecord) -> f64 {
    let possible: f64 = flow.spans.iter().map(|span| span.possible.as_bps() as f64 * length(span)).sum();
    let delivered: usize = media(flow).map(|(_, size)| size).sum();
    ratio(delivered as f64 * 8.0, possible)
}

/// How long each packet waited for its own transmission, ascending.
pub fn waits(flow: &FlowRecord) -> Vec<Duration> {
    let mut waits: Vec<_> = flow.packets.iter().filter_map(|packet| packet.waited).collect();
    waits.sort_unstable();
    waits
}

/// The value that a share `quantile` of an ascending list does not exceed; zero of an empty one.
pub fn quantile(ascending: &[Duration], quantile: f64) -> Duration {
    let rank = (ascending.len() as f64 * quantile).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The share of packets sent that queue, queue management or policer dropped.
pub fn drops(flow: &FlowRecord) -> f64 {
    let dropped = flow.packets.iter().filter(|packet| packet.fate.is_some_and(|(_, fate)| fate.is_drop()));
    ratio(dropped.count() as f64, flow.packets.len() as f64)
}

/// From the start, or the end of the pause that covers it, until the media of the trailing second is 80 % of what
/// is possible.
pub fn ramp(flow: &FlowRecord) -> f64 {
    periods(flow).first().map_or(f64::INFINITY, |period| rise(flow, *period))
}

/// The same after later pauses, the longest; `None` if there are none.
pub fn resume(flow: &FlowRecord) -> Option<f64> {
    periods(flow).iter().skip(1).map(|period| rise(flow, *period)).reduce(f64::max)
}

/// The longest time after a fall of what is left until the estimate is no higher; `None` without a fall.
pub fn react(flow: &FlowRecord) -> Option<f64> {
    let reached = |estimate: Bitrate, span: &Span| estimate <= span.left;
    falls(flow).map(|change| until(flow, change, reached)).reduce(f64::max)
}

/// The longest time after a fall until no packet waits more than 60 ms for a second, up to 10 s.
pub fn drain(flow: &FlowRecord) -> Option<f64> {
    falls(flow).map(|change| drained(flow, change.from)).reduce(f64::max)
}

/// The longest time after a rise until the estimate is 90 % of the flow's share or demand.
pub fn recover(flow: &FlowRecord) -> Option<f64> {
    let reached =
        |estimate: Bitrate, span: &Span| estimate.as_bps() * 10 >= span.share.min(flow.demand).as_bps() * 9;
    changes(flow)
        .into_iter()
        .filter(|change| change.rises)
        .map(|change| until(flow, change, reached))
        .reduce(f64::max)
}

/// The share of time with an estimate above 1.2 times what is left.
pub fn over(flow: &FlowRecord) -> f64 {
    let total: f64 = flow.spans.iter().map(length).sum();
    let over = |from: Instant, span: &Span| estimate(flow, from).as_bps() * 5 > span.left.as_bps() * 6;
    let time: f64 = flow
        .spans
        .iter()
        .flat_map(|span| pieces(flow, span.from, span.to).into_iter().map(move |piece| (piece, span)))
        .filter(|((from, _), span)| over(*from, span))
        .map(|((from, to), _)| (to - from).as_secs_f64())
        .sum();
    ratio(time, total)
}

/// Retransmission, padding and probes, of all bytes that arrived.
pub fn filler(flow: &FlowRecord) -> f64 {
    let arrived = || flow.packets.iter().filter(|packet| packet.arrived().is_some());
    let filler: usize = arrived().filter(|packet| packet.content.is_filler()).map(|packet| packet.size).sum();
    ratio(filler as f64, arrived().map(|packet| packet.size).sum::<usize>() as f64)
}

/// The share of the time outside pauses that is in gaps of more than 183 ms between frames shown.
///
/// What comes before the first frame is the ramp's affair; at the end a gap counts from a second on, as what is
/// shown then may still be on its way.
pub fn frozen(flow: &FlowRecord) -> f64 {
    let shown = shown(flow);
    let periods = periods(flow);
    let mut frozen = 0.0;
    for &(from, to) in &periods {
        let times: Vec<_> =
            shown.iter().filter(|(captured, _)| from <= *captured && *captured < to).collect();
        let Some((_, last)) = times.last() else {
            frozen += (to - from).as_secs_f64();
            continue;
        };
        let gaps = times.windows(2).map(|pair| pair[1].1 - pair[0].1).filter(|gap| *gap > GAP);
        let tail = Some(to - *last).filter(|gap| *gap > FRAME_LIFE);
        frozen += gaps.chain(tail).map(|gap| gap.as_secs_f64()).sum::<f64>();
    }
    ratio(frozen, active(&periods))
}

/// Changes of the forwarded layer per minute outside pauses; the first choice is none.
pub fn switches(flow: &FlowRecord) -> f64 {
    let periods = periods(flow);
    let in_period = |period: &(Instant, Instant)| {
        let count = flow.layers.iter().filter(|layer| period.0 <= layer.0 && layer.0 < period.1).count();
        count.saturating_sub(1)
    };
    ratio(periods.iter().map(in_period).sum::<usize>() as f64, active(&periods) / 60.0)
}

/// Media that arrived from its start on, in kbit/s.
pub fn rate(flow: &FlowRecord) -> f64 {
    let bytes: usize = media(flow).map(|(_, size)| size).sum();
    ratio(bytes as f64 * 8.0 / 1e3, flow.spans.iter().map(length).sum())
}

/// Jain's index of the flows' media over the last third of the run; `None` with fewer than two flows.
pub fn jain(run: &Run) -> Option<f64> {
    let from = Instant::from_micros(run.end.as_micros() / 3 * 2);
    let bytes = |flow| media(flow).filter(|(at, _)| *at >= from).map(|(_, size)| size as f64).sum::<f64>();
    let media: Vec<f64> = run.flows.iter().map(bytes).collect();
    let squares: f64 = media.iter().map(|x| x * x).sum();
    let sum: f64 = media.iter().sum();
    (media.len() > 1).then(|| ratio(sum * sum, media.len() as f64 * squares))
}

/// What the slowest endless TCP transfer delivered, in kbit/s; `None` without one.
pub fn tcp_rate(run: &Run) -> Option<f64> {
    let endless = run.transfers.iter().filter(|transfer| transfer.endless);
    let rate = endless.map(|transfer| {
        ratio(transfer.delivered as f64 * 8.0 / 1e3, (transfer.stop - transfer.start).as_secs_f64())
    });
    rate.reduce(f64::min)
}

/// Zero over zero is nothing at all, so nothing. An empty sum is -0, which does not look well in a table.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole + 0.0 } else { 0.0 }
}

fn length(span: &Span) -> f64 {
    (span.to - span.from).as_secs_f64()
}

/// Arrivals of unique media: when, bytes.
fn media(flow: &FlowRecord) -> impl Iterator<Item = (Instant, usize)> {
    let unique = flow.packets.iter().filter(|packet| packet.unique);
    unique.filter_map(|packet| Some((packet.arrived()?, packet.size)))
}

/// The times outside pauses, from and to.
fn periods(flow: &FlowRecord) -> Vec<(Instant, Instant)> {
    let mut found: Vec<(Instant, Instant)> = Vec::new();
    for span in flow.spans.iter().filter(|span| !span.paused) {
        match found.last_mut() {
            Some(last) if last.1 == span.from => last.1 = span.to,
            _ => found.push((span.from, span.to)),
        }
    }
    found
}

fn active(periods: &[(Instant, Instant)]) -> f64 {
    periods.iter().map(|(from, to)| (*to - *from).as_secs_f64()).sum()
}

/// From the beginning of a period until media is 80 % of what is possible.
fn rise(flow: &FlowRecord, (from, to): (Instant, Instant)) -> f64 {
    let mut arrivals: Vec<_> = media(flow).collect();
    arrivals.sort_unstable();
    let (mut first, mut sum) = (0, 0);
    for &(at, size) in &arrivals {
        sum += size;
        while arrivals[first].0 + SECOND <= at {
            sum -= arrivals[first].1;
            first += 1;
        }
        let possible = span_at(flow, at).map_or(0, |span| span.possible.as_bps());
        if from <= at && at < to && sum as u64 * 8 * 10 >= possible * 8 {
            return (at - from).as_secs_f64();
        }
    }
    f64::INFINITY
}

/// A change of what is left, and how long it stays so.
#[derive(Debug, Clone, Copy)]
struct Change {
    from: Instant,
    to: Instant,
    rises: bool,
}

/// Changes of what is left outside pauses.
fn changes(flow: &FlowRecord) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    let mut last: Option<Change> = None;
    for pair in flow.spans.windows(2) {
        if pair[0].left != pair[1].left {
            found.extend(last.take());
            let change = Change { from: pair[1].from, to: pair[1].to, rises: pair[0].left < pair[1].left };
            last = (!pair[1].paused).then_some(change);
        } else if let Some(last) = &mut last {
            last.to = pair[1].to;
        }
    }
    found.extend(last);
    found
}

fn falls(flow: &FlowRecord) -> impl Iterator<Item = Change> {
    changes(flow).into_iter().filter(|change| !change.rises)
}

/// From a change until an estimate is `reached`; infinite if it is not before the next.
fn until(flow: &FlowRecord, change: Change, reached: impl Fn(Bitrate, &Span) -> bool) -> f64 {
    let spans = flow.spans.iter().filter(|span| change.from <= span.from && span.from < change.to);
    let mut pieces =
        spans.flat_map(|span| pieces(flow, span.from, span.to).into_iter().map(move |piece| (piece, span)));
    let found = pieces.find(|((from, _), span)| reached(estimate(flow, *from), span));
    found.map_or(f64::INFINITY, |((from, _), _)| (from - change.from).as_secs_f64())
}

fn drained(flow: &FlowRecord, fall: Instant) -> f64 {
    let late = flow.packets.iter().filter_map(|packet| {
        let waited = packet.waited.filter(|waited| *waited > LONG_WAIT)?;
        Some(packet.sent + waited)
    });
    let mut since = fall;
    for at in late.filter(|at| *at >= fall) {
        if at >= since + SECOND {
            break;
        }
        since = since.max(at);
    }
    (since - fall).min(DRAIN_LIMIT).as_secs_f64()
}

/// When frames were shown, in order and complete: captured, shown. One that does not come in time holds up those
/// behind it until it is given up.
fn shown(flow: &FlowRecord) -> Vec<(Instant, Instant)> {
    let mut found = Vec::new();
    let mut free = Instant::ZERO;
    for frame in &flow.frames {
        let last = frame.captured + FRAME_LIFE;
        let shown = frame.complete.map(|complete| complete.max(free)).filter(|shown| *shown <= last);
        found.extend(shown.map(|shown| (frame.captured, shown)));
        free = shown.unwrap_or(free.max(last));
    }
    found
}

fn span_at(flow: &FlowRecord, at: Instant) -> Option<&Span> {
    flow.spans.iter().find(|span| span.from <= at && at < span.to)
}

fn estimate(flow: &FlowRecord, at: Instant) -> Bitrate {
    let index = flow.estimates.partition_point(|estimate| estimate.0 <= at);
    index.checked_sub(1).map_or(Bitrate::ZERO, |index| flow.estimates[index].1)
}

/// A time cut where the estimate changes.
fn pieces(flow: &FlowRecord, from: Instant, to: Instant) -> Vec<(Instant, Instant)> {
    let first = flow.estimates.partition_point(|estimate| estimate.0 <= from);
    let inner = flow.estimates[first..].iter().map(|estimate| estimate.0).take_while(|at| *at < to);
    let mut cuts = vec![from];
    cuts.extend(inner);
    cuts.push(to);
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
