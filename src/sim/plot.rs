//! A run as a picture: what is left of the capacity, what was sent, the estimate, and the wait at the bottleneck.

use std::fmt::Write as _;

use super::record::{FlowRecord, Run};
use crate::base::time::Instant;

/// Of the drawing, in pixels; the left and upper margins are within.
const WIDTH: f64 = 900.0;
const MARGIN: f64 = 50.0;
/// Heights of the panels of rates and waits.
const RATES: f64 = 160.0;
const WAITS: f64 = 70.0;
const GAP: f64 = 24.0;
/// Rates are over this long, in microseconds; so is the longest wait.
const BIN: u64 = 200_000;

/// A panel: where values of 0 to `top` from the start to the end of the run are drawn.
struct Panel {
    y: f64,
    height: f64,
    top: f64,
    end: Instant,
}

/// The picture of all flows of a run, each with a panel of rates in kbit/s and one of waits in ms, as SVG.
pub fn svg(run: &Run) -> String {
    let each = RATES + WAITS + 2.0 * GAP;
    let height = each * run.flows.len() as f64;
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' \
         font-family='sans-serif' font-size='11'>\n"
    );
    for (index, flow) in run.flows.iter().enumerate() {
        draw(&mut out, run, flow, each * index as f64 + GAP / 2.0);
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, run: &Run, flow: &FlowRecord, y: f64) {
    let sent = rates(run, flow);
    let waits = waits(run, flow);
    let highest = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let demand = flow.demand.as_bps() as f64 / 1e3;
    let left = flow.spans.iter().map(|span| kbps(span.left)).filter(|left| *left < 1e9).fold(0.0, f64::max);
    let top = highest(&sent).max(left.min(1.5 * demand));
    let panel = Panel { y, height: RATES, top: nice(top), end: run.end };
    panel.frame(out, "kbit/s");
    let mut steps = Vec::new();
    for span in &flow.spans {
        steps.extend([(span.from, kbps(span.left)), (span.to, kbps(span.left))]);
    }
    panel.line(out, "#999", &steps);
    panel.line(out, "#222", &binned(&sent));
    let mut estimates: Vec<(Instant, f64)> = Vec::new();
    for &(at, estimate) in &flow.estimates {
        estimates.extend(estimates.last().map(|last| (at, last.1)));
        estimates.push((at, kbps(estimate)));
    }
    estimates.extend(estimates.last().map(|last| (run.end, last.1)));
    panel.line(out, "#06c", &estimates);
    let panel =
        Panel { y: y + RATES + GAP, height: WAITS, top: nice(highest(&waits).max(50.0)), end: run.end };
    panel.frame(out, "ms");
    panel.line(out, "#c20", &binned(&waits));
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

    /// Axes with the unit, the half and the whole, and a mark each ten seconds.
    fn frame(&self, out: &mut String, unit: &str) {
        for value in [0.0, self.top / 2.0, self.top] {
            let (y, right) = (self.y(value), WIDTH - 10.0);
            let _ = writeln!(out, "<path stroke='#ddd' d='M{MARGIN},{y:.1}H{right}'/>");
            let _ = writeln!(out, "<text x='2' y='{:.1}'>{value}</text>", y + 4.0);
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

fn kbps(rate: crate::base::units::Bitrate) -> f64 {
    rate.as_bps() as f64 / 1e3
}

/// The next of 1, 2, 5, 10, 20, ... that is no less.
fn nice(value: f64) -> f64 {
    let mut step = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
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
    use crate::base::units::Bitrate;
    use crate::sim::{Content, PacketRecord, Span};

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
        let flow = FlowRecord {
            spans: vec![span],
            demand: rate,
            packets: vec![packet],
            estimates: vec![(Instant::ZERO, rate)],
            ..FlowRecord::default()
        };
        let picture = svg(&Run { end, flows: vec![flow], transfers: Vec::new() });
        // The capacity at the top of the first panel, from side to side.
        assert!(picture.contains("stroke='#999' points='50.0,12.0 890.0,12.0 '"), "{picture}");
        // 12,500 bytes in 200 ms are 500 kbit/s: half way down at 1.1 s of 10.
        assert!(picture.contains(" 142.4,92.0 "), "{picture}");
        // 50 ms are the top of the second panel.
        assert!(picture.contains(" 142.4,196.0 "), "{picture}");
        assert!(picture.ends_with("</svg>\n"));
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.3, 1.0, 1.1, 4.9, 900.0].map(nice), [1.0, 1.0, 2.0, 5.0, 1_000.0]);
    }
}
