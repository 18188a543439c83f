//! A run as a picture: packets, processor time, memory and delays over its seconds, as SVG.

use crate::report::{Report, Second};
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const PANEL: f64 = 110.0;
const GAP: f64 = 40.0;

/// A curve: its name, its colour, and its value in a second.
type Curve = (&'static str, &'static str, fn(&Second) -> Option<f64>);

/// One panel: what it shows, and its curves.
struct Panel {
    title: &'static str,
    curves: &'static [Curve],
}

const PANELS: [Panel; 4] = [
    Panel {
        title: "packets a second",
        curves: &[
            ("from the server", "#06c", |second| Some(second.from_server as f64)),
            ("to the server", "#c60", |second| Some(second.to_server as f64)),
        ],
    },
    Panel {
        title: "cores",
        curves: &[
            ("server", "#06c", |second| second.server_cores),
            ("generator", "#999", |second| second.own_cores),
        ],
    },
    Panel {
        title: "server's memory, MiB",
        curves: &[("resident", "#06c", |second| second.server_memory_mib)],
    },
    Panel {
        title: "delay, ms",
        curves: &[
            ("sound p50", "#3a3", |second| heard(second.audio.count, second.audio.p50)),
            ("sound p99", "#060", |second| heard(second.audio.count, second.audio.p99)),
            ("video p50", "#e66", |second| heard(second.video.count, second.video.p50)),
            ("video p99", "#a00", |second| heard(second.video.count, second.video.p99)),
        ],
    },
];

fn heard(count: u64, value: f64) -> Option<f64> {
    (count > 0).then_some(value)
}

/// The whole run; what was measured is shaded.
pub fn svg(report: &Report) -> String {
    let height = PANELS.len() as f64 * (PANEL + GAP) + GAP;
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}' \
         font-family='sans-serif' font-size='11'>\n<rect width='100%' height='100%' fill='#fff'/>\n"
    );
    let end = report.seconds.last().map_or(1, |second| second.second + 1) as f64;
    let x = |second: f64| LEFT + second / end * (WIDTH - LEFT - RIGHT);
    for (at, panel) in PANELS.iter().enumerate() {
        let bottom = (at + 1) as f64 * (PANEL + GAP);
        let (from, to) = (x(report.measured.start as f64), x(report.measured.end as f64));
        let _ = writeln!(
            out,
            "<rect x='{from:.1}' y='{}' width='{:.1}' height='{PANEL}' fill='#f3f6fa'/>",
            bottom - PANEL,
            to - from
        );
        draw(&mut out, panel, &report.seconds, bottom, &x);
    }
    let bottom = height - GAP + 14.0;
    for step in 0..=5 {
        let second = (end * f64::from(step) / 5.0).floor();
        let _ =
            writeln!(out, "<text x='{:.1}' y='{bottom}' text-anchor='middle'>{second} s</text>", x(second));
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, panel: &Panel, seconds: &[Second], bottom: f64, x: &impl Fn(f64) -> f64) {
    let values = panel.curves.iter().flat_map(|(_, _, value)| seconds.iter().filter_map(value));
    let top = ceiling(values.fold(0.0, f64::max));
    let y = |value: f64| bottom - value / top * PANEL;
    let _ = writeln!(
        out,
        "<text x='{LEFT}' y='{}' font-weight='bold'>{}</text>",
        bottom - PANEL - 6.0,
        panel.title
    );
    for mark in [0.0, top / 2.0, top] {
        let (end, label, height) = (WIDTH - RIGHT, LEFT - 6.0, y(mark));
        let _ = writeln!(out, "<path stroke='#ddd' d='M{LEFT},{height:.1}H{end}'/>");
        let _ = writeln!(out, "<text x='{label}' y='{:.1}' text-anchor='end'>{mark}</text>", height + 4.0);
    }
    let mut legend = LEFT + 170.0;
    for (name, colour, value) in panel.curves {
        let height = bottom - PANEL - 10.0;
        let _ = writeln!(out, "<path stroke='{colour}' stroke-width='3' d='M{legend},{height}h14'/>");
        let _ = writeln!(out, "<text x='{}' y='{}'>{name}</text>", legend + 18.0, height + 4.0);
        legend += 120.0;
        let known = seconds.iter().filter_map(|second| Some((second.second as f64 + 0.5, value(second)?)));
        let points: Vec<String> = known.map(|(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
        let _ = writeln!(
            out,
            "<polyline fill='none' stroke='{colour}' stroke-width='1.5' points='{}'/>",
            points.join(" ")
        );
    }
}

/// The next of 1, 2 and 5 with zeros behind or before: a scale that reads well.
fn ceiling(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| value <= *step).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Percentiles;

    #[test]
    fn scales_read_well() {
        for (value, expected) in [(0.0, 1.0), (0.03, 0.05), (1.0, 1.0), (1.1, 2.0), (730.0, 1_000.0)] {
            assert!((ceiling(value) - expected).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn curves_stay_within_their_panel_and_leave_out_what_is_not_known() {
        let delays = Percentiles { count: 0, p50: 0.0, p99: 0.0, max: 0.0 };
        let second = |second| Second {
            second,
            to_server: 100,
            from_server: 300 + second,
            audio: delays,
            video: delays,
            server_cores: None,
            own_cores: Some(0.5),
            server_memory_mib: None,
        };
        let seconds: Vec<Second> = (0..10).map(second).collect();
        let mut out = String::new();
        PANELS.iter().for_each(|panel| draw(&mut out, panel, &seconds, 150.0, &|at| at));
        let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("<polyline")).collect();
        assert_eq!(lines.len(), 9);
        assert_eq!(lines.iter().filter(|line| line.ends_with("points=''/>")).count(), 6);
        for point in
            lines.iter().flat_map(|line| line.split('\'').rev().nth(1).unwrap_or("").split_whitespace())
        {
            let (_, y) = point.split_once(',').expect("a point");
            assert!((40.0..=150.0).contains(&y.parse::<f64>().expect("a number")), "{point}");
        }
    }
}
