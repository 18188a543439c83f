//! A run as a picture: what is left of the capacity and the flow's share of it, what was sent, the estimate, the wait
//! at the bottleneck with what was dropped, and the layer.

use std::fmt::Write as _;

use super::record::{FlowRecord, Run};
use super::share::Span;
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// Of the drawing, in pixels; the left and upper margins are within.
const WIDTH: f64 = 900.0;
const MARGIN: f64 = 50.0;
/// Heights of the legend and of the panels of rates, waits and layers.
const LEGEND: f64 = 20.0;
const RATES: f64 = 160.0;
const WAITS: f64 = 70.0;
const LAYERS: f64 = 40.0;
const GAP: f64 = 24.0;
/// Colours with what they stand for.
const LEFT: (&str, &str) = ("#aaa", "capacity left");
const SHARE: (&str, &str) = ("#3a3", "fair share");
const SENT: (&str, &str) = ("#222", "sent");
const ESTIMATE: (&str, &str) = ("#06c", "estimate");
const WAIT: (&str, &str) = ("#c20", "longest wait");
const DROP: (&str, &str) = ("#f80", "dropped");
const LAYER: (&str, &str) = ("#84c", "layer");
/// Rates are over this long, in microseconds; so is the longest wait.
const BIN: u64 = 200_000;

/// A panel: where values of 0 to `top` from the start to the end of the run are drawn.
struct Panel {
    y: f64,
    height: f64,
    top: f64,
    end: Instant,
}

/// The picture of all flows of a run as SVG: each has a panel of rates in kbit/s, one of waits in ms, and one of
/// layers, from 1 and 0 for none, if it has them.
pub fn svg(run: &Run) -> String {
    let whole = LEGEND + run.flows.iter().map(height).sum::<f64>();
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{whole}' viewBox='0 0 {WIDTH} {whole}' \
         font-family='sans-serif' font-size='11'>\n<rect width='100%' height='100%' fill='#fff'/>\n"
    );
    let mut x = MARGIN;
    for (colour, name) in [LEFT, SHARE, SENT, ESTIMATE, WAIT, DROP, LAYER] {
        let _ = writeln!(out, "<path stroke='{colour}' stroke-width='3' d='M{x},8h14'/>");
        let _ = writeln!(out, "<text x='{}' y='12'>{name}</text>", x + 18.0);
        x += 100.0;
    }
    let mut y = LEGEND;
    for flow in &run.flows {
        draw(&mut out, run, flow, y);
        y += height(flow);
    }
    out.push_str("</svg>\n");
    out
}

fn height(flow: &FlowRecord) -> f64 {
    let layers = if flow.layers.is_empty() { 0.0 } else { LAYERS + GAP };
    RATES + WAITS + 2.0 * GAP + layers
}

fn draw(out: &mut String, run: &Run, flow: &FlowRecord, y: f64) {
    let sent = rates(run, flow);
    let highest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let demand = flow.demand.as_bps() as f64 / 1e3;
    let left = flow.spans.iter().map(|span| kbps(span.left)).filter(|left| *left < 1e9).fold(0.0, f64::max);
    let top = highest(&sent).max(left.min(1.5 * demand));
    let panel = Panel { y, height: RATES, top: nice(top), end: run.end };
    panel.frame(out, "kbit/s");
    panel.spans(out, flow, LEFT.0, |span| span.left);
    panel.spans(out, flow, SHARE.0, |span| span.share);
    panel.line(out, SENT.0, &binned(&sent));
    panel.steps(out, ESTIMATE.0, flow.estimates.iter().map(|&(at, estimate)| (at, kbps(estimate))));
    let y = y + RATES + GAP;
    draw_waits(out, run, flow, y);
    if let Some(most) = flow.layers.iter().map(|layer| number(layer.1)).reduce(f64::max) {
        let panel = Panel { y: y + WAITS + GAP, height: LAYERS, top: most.max(1.0), end: run.end };
        panel.frame(out, "layer");
        panel.steps(out, LAYER.0, flow.layers.iter().map(|&(at, layer)| (at, number(layer))));
    }
}

fn draw_waits(out: &mut String, run: &Run, flow: &FlowRecord, y: f64) {
    let waits = waits(run, flow);
    let highest = waits.iter().copied().fold(50.0, f64::max);
    let panel = Panel { y, height: WAITS, top: nice(highest), end: run.end };
    panel.frame(out, "ms");
    let mut dropped = vec![0.0; bins(run)];
    for packet in flow.packets.iter().filter(|packet| packet.fate.is_some_and(|(_, fate)| fate.is_drop())) {
        bin(&mut dropped, packet.sent).into_iter().for_each(|bin| *bin += 1.0);
    }
    let _ = write!(out, "<path stroke='{}' stroke-width='2' d='", DROP.0);
    for (at, _) in binned(&dropped).into_iter().filter(|(_, count)| *count > 0.0) {
        let _ = write!(out, "M{:.1},{:.1}v-6", panel.x(at), panel.y(0.0));
    }
    out.push_str("'/>\n");
    panel.line(out, WAIT.0, &binned(&waits));
}

/// Layers count from 1.
fn number(layer: Option<usize>) -> f64 {
    layer.map_or(0.0, |layer| layer as f64 + 1.0)
}

impl Panel {
    fn x(&self, at: Instant) -> f64 {
        MARGIN + (WIDTH - MARGIN - 10.0) * at.as_micros() as f64 / self.end.as_micros().max(1) as f64
    }

    fn y(&self, value: f64) -> f64 {
        self.y + self.height * (1.0 - (value / self.top).clamp(0.0, 1.0))
    }

    fn line(&self, out: &mut String, colour: &str, points: &[(Instant, f64)]) {
        let _ = write!(out, "<polyline fill='none' stroke='{colour}' points='");
        for &(at, value) in points {
            let _ = write!(out, "{:.1},{:.1} ", self.x(at), self.y(value));
        }
        out.push_str("'/>\n");
    }

    /// A value that stays until the next, to the end of the run.
    fn steps(&self, out: &mut String, colour: &str, values: impl Iterator<Item = (Instant, f64)>) {
        let mut points: Vec<(Instant, f64)> = Vec::new();
        for (at, value) in values {
            points.extend(points.last().map(|last| (at, last.1)));
            points.push((at, value));
        }
        points.extend(points.last().map(|last| (self.end, last.1)));
        self.line(out, colour, &points);
    }

    /// A rate that the flow's spans have.
    fn spans(&self, out: &mut String, flow: &FlowRecord, colour: &str, rate: impl Fn(&Span) -> Bitrate) {
        let both = |span: &Span| [(span.from, kbps(rate(span))), (span.to, kbps(rate(span)))];
        self.line(out, colour, &flow.spans.iter().flat_map(both).collect::<Vec<_>>());
    }

    /// Axes with the unit, the half and the whole, and a mark each ten seconds.
    fn frame(&self, out: &mut String, unit: &str) {
        for value in [0.0, self.top / 2.0, self.top] {
            let (y, right) = (self.y(value), WIDTH - 10.0);
            let _ = writeln!(out, "<path stroke='#ddd' d='M{MARGIN},{y:.1}H{right}'/>");
            let right = MARGIN - 6.0;
            let _ = writeln!(out, "<text x='{right}' y='{:.1}' text-anchor='end'>{value}</text>", y + 4.0);
        }
        let _ =
            writeln!(out, "<text x='{:.1}' y='{:.1}' fill='#999'>{unit}</text>", MARGIN + 4.0, self.y + 12.0);
        for ten in 0..=self.end.as_micros() / 10_000_000 {
            let x = self.x(Instant::from_millis(ten * 10_000));
            let _ = writeln!(
                out,
                "<text x='{x:.1}' y='{:.1}' fill='#999' text-anchor='middle'>{}</text>",
                self.y(0.0) + 12.0,
                ten * 10
            );
        }
    }
}

fn kbps(rate: Bitrate) -> f64 {
    rate.as_bps() as f64 / 1e3
}

/// The next of 1, 1.5, 2, 3, 5, 7, 10, 15, ... that is no less.
fn nice(value: f64) -> f64 {
    let mut step = 1.0;
    loop {
        for factor in [1.0, 1.5, 2.0, 3.0, 5.0, 7.0] {
            if factor * step >= value || step > 1e12 {
                return factor * step;
            }
        }
        step *= 10.0;
    }
}

fn bins(run: &Run) -> usize {
    run.end.as_micros().div_ceil(BIN).max(1) as usize
}

/// The bin of a moment of the run.
fn bin(bins: &mut [f64], at: Instant) -> Option<&mut f64> {
    bins.get_mut((at.as_micros() / BIN) as usize)
}

/// What was sent in each bin, in kbit/s.
fn rates(run: &Run, flow: &FlowRecord) -> Vec<f64> {
    let mut bins = vec![0.0; bins(run)];
    for packet in &flow.packets {
        bin(&mut bins, packet.sent).into_iter().for_each(|bin| *bin += packet.size as f64 * 8e3 / BIN as f64);
    }
    bins
}

/// The longest wait of what was sent in each bin, in milliseconds.
fn waits(run: &Run, flow: &FlowRecord) -> Vec<f64> {
    let mut bins = vec![0.0; bins(run)];
    for packet in &flow.packets {
        let waited = packet.waited.unwrap_or_default().as_secs_f64() * 1e3;
        bin(&mut bins, packet.sent).into_iter().for_each(|bin| *bin = f64::max(*bin, waited));
    }
    bins
}

/// Each bin's value in its middle.
fn binned(values: &[f64]) -> Vec<(Instant, f64)> {
    let middle = |index| Instant::from_micros(index as u64 * BIN + BIN / 2);
    values.iter().enumerate().map(|(index, value)| (middle(index), *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;
    use crate::sim::{Content, Fate, PacketRecord};

    #[test]
    fn values_stand_where_they_belong() {
        let end = Instant::from_millis(10_000);
        let rate = Bitrate::from_kbps(1_000);
        let span =
            Span { from: Instant::ZERO, to: end, left: rate, share: rate, possible: rate, paused: false };
        let packet = PacketRecord {
            sent: Instant::from_millis(1_000),
            size: 12_500,
            content: Content::Padding,
            waited: Some(Duration::from_millis(50)),
            fate: None,
            unique: false,
        };
        let dropped = PacketRecord { waited: None, fate: Some((end, Fate::QueueFull)), ..packet };
        let flow = FlowRecord {
            spans: vec![span],
            demand: rate,
            packets: vec![packet, dropped],
            estimates: vec![(Instant::ZERO, rate)],
            layers: vec![(Instant::ZERO, None), (Instant::from_millis(5_000), Some(1))],
            ..FlowRecord::default()
        };
        let picture = svg(&Run { end, flows: vec![flow], transfers: Vec::new() });
        // The capacity at the top of the first panel, from side to side.
        assert!(picture.contains("stroke='#aaa' points='50.0,20.0 890.0,20.0 '"), "{picture}");
        // 25,000 bytes in 200 ms are 1,000 kbit/s: at the top at 1.1 s of 10.
        assert!(picture.contains(" 142.4,20.0 "), "{picture}");
        // 50 ms are the top of the second panel, and a drop stands at its foot.
        assert!(picture.contains(" 142.4,204.0 ") && picture.contains("'M142.4,274.0v-6'"), "{picture}");
        // None, then the second layer from the middle on.
        assert!(picture.contains("points='50.0,338.0 470.0,338.0 470.0,298.0 890.0,298.0 '"), "{picture}");
        assert!(picture.contains("height='362'") && picture.ends_with("</svg>\n"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.3, 1.0, 1.1, 4.9, 650.0, 900.0].map(nice), [1.0, 1.0, 1.5, 5.0, 700.0, 1_000.0]);
    }
}
