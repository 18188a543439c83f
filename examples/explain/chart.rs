//! What was decided of one participant as a picture: rates above, the layers of each video below, legible on light and on
//! dark.

use super::log::{Granted, Line, Log, Place, What};
use super::words::{id, kbps, rate, thousands};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Of the drawing, in pixels.
const WIDTH: f64 = 900.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const HEAD: f64 = 64.0;
const RATES: f64 = 190.0;
/// The moments below them.
const AXIS: f64 = 20.0;
/// One video, and the room above it.
const LANE: f64 = 46.0;
const GAP: f64 = 20.0;
/// More videos than these are not drawn.
const LANES: usize = 24;

const STYLE: &str = "\
text{fill:#3b4252;font:11px sans-serif}.t{font-size:14px;font-weight:bold}.m{fill:#6b7280}\
.p{fill:#fff}.g{stroke:#d8dee9}\
.e{fill:none;stroke:#0b62c4;stroke-width:2}.v{fill:#2a9d76;fill-opacity:.45}.r{fill:#e08a1e;fill-opacity:.7}\
.s{fill:#2a9d76;fill-opacity:.25;stroke:#1f7a5c;stroke-width:1.5}\
.w{fill:none;stroke:#8a94a6;stroke-dasharray:3 3}\
.y{fill:#8b3fc4;stroke:#8b3fc4}.n{fill:none;stroke:#8b3fc4}.k{fill:#d1345b}\
@media(prefers-color-scheme:dark){text{fill:#d8dee9}.m{fill:#9aa4b5}.p{fill:#14181f}.g{stroke:#2e3643}\
.e{stroke:#6cb2ff}.v{fill:#3fc297}.r{fill:#f0a848}.s{fill:#3fc297;stroke:#5fe0b4}.w{stroke:#737d8f}\
.y{fill:#c79af0;stroke:#c79af0}.n{stroke:#c79af0}.k{fill:#ff6b8f}}";

/// Where an axis may end, so that its quarters are round; or ten, a hundred, ... times that.
const TOPS: [f64; 10] = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0];

/// A span of time across, values of 0 to `top` upwards.
struct Panel {
    y: f64,
    height: f64,
    top: f64,
    from: f64,
    to: f64,
}

/// The chart as SVG; `None` if nothing was decided of the participant.
pub(crate) fn svg(log: &Log, who: &str) -> Option<String> {
    let lines: Vec<&Line> = log.of(who).collect();
    let (from, to) = (lines.first()?.at, lines.last()?.at);
    let lanes = Lane::all(log, &lines);
    let panel = Panel {
        y: HEAD,
        height: RATES,
        top: nice(1.02 * highest(&lines), &TOPS),
        from,
        to: to.max(from + 1.0),
    };
    let below = HEAD + RATES + AXIS;
    let height = below + lanes.len() as f64 * (LANE + GAP) + 12.0;
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}' \
         role='img'>\n<title>What was decided of participant {who}</title>\n<style>{STYLE}</style>\n\
         <rect class='p' width='100%' height='100%' rx='6'/>\n"
    );
    head(&mut out, who);
    panel.frame(&mut out);
    rates(&mut out, &panel, &lines);
    for (at, lane) in lanes.iter().enumerate() {
        let y = below + GAP + at as f64 * (LANE + GAP);
        lane.draw(&mut out, &Panel { y, height: LANE, top: lane.places.len().max(1) as f64, ..panel });
    }
    out.push_str("</svg>\n");
    Some(out)
}

/// The title, and what the colours mean.
fn head(out: &mut String, who: &str) {
    let _ = writeln!(out, "<text class='t' x='{LEFT}' y='22'>Participant {who}</text>");
    let mut x = LEFT;
    let rect = |x: f64, class: &str| format!("<rect class='{class}' x='{x}' y='36' width='14' height='9'/>");
    let line = |x: f64, class: &str| format!("<path class='{class}' d='M{x},41h14'/>");
    let legend = [
        (line(x, "e"), "estimate"),
        (rect(x + 80.0, "v"), "video"),
        (rect(x + 140.0, "r"), "sound and repair"),
        (probe(x + 270.0, 41.0, true), "probe carried"),
        (probe(x + 370.0, 41.0, false), "in part"),
        (rect(x + 433.0, "s"), "layer sent"),
        (line(x + 516.0, "w"), "granted"),
        (diamond(x + 597.0, 41.0), "key frame asked for"),
    ];
    let places = [0.0, 80.0, 140.0, 262.0, 362.0, 433.0, 516.0, 590.0];
    for ((shape, name), place) in legend.into_iter().zip(places) {
        x = LEFT + place + 19.0;
        let _ = writeln!(out, "{shape}<text x='{x}' y='45'>{name}</text>");
    }
}

fn probe(x: f64, y: f64, carried: bool) -> String {
    let class = if carried { "y" } else { "n" };
    format!("<path class='{class}' d='M{:.1},{:.1}l4,7h-8z'>", x, y - 4.0) + "</path>"
}

fn diamond(x: f64, y: f64) -> String {
    format!("<path class='k' d='M{x:.1},{:.1}l4,4l-4,4l-4,-4z'></path>", y - 4.0)
}

/// The same with what it says when pointed at.
fn titled(shape: &str, title: &str) -> String {
    shape.replacen("</path>", &format!("<title>{title}</title></path>"), 1)
}

/// The highest of the estimate and of what it is spent on; probes may reach beyond it by less than a third.
fn highest(lines: &[&Line]) -> f64 {
    let rates = lines.iter().map(|line| match &line.what {
        What::Estimate(estimate) => estimate.target.max(estimate.reserve + estimate.video),
        What::Granted(Granted { basis: Some(basis), .. }) => basis.reserve + basis.video,
        _ => 0.0,
    });
    let rates = rates.fold(1_000.0, f64::max);
    let probes =
        lines.iter().map(|line| if let What::Probed(probed) = &line.what { probed.rate } else { 0.0 });
    probes.filter(|rate| *rate < 1.33 * rates).fold(rates, f64::max)
}

/// The estimate, what it is spent on, and probes.
fn rates(out: &mut String, panel: &Panel, lines: &[&Line]) {
    let (mut estimate, mut reserve, mut all) = (Vec::new(), Vec::new(), Vec::new());
    let mut probes = String::new();
    for line in lines {
        match &line.what {
            What::Estimate(now) => {
                estimate.push((line.at, now.target));
                reserve.push((line.at, now.reserve));
                all.push((line.at, now.reserve + now.video));
            }
            What::Granted(Granted { basis: Some(basis), .. }) => {
                reserve.push((line.at, basis.reserve));
                all.push((line.at, basis.reserve + basis.video));
            }
            What::Probed(probed) => {
                let carried = probed.delivered >= 0.9 * probed.rate;
                let shape = probe(panel.x(line.at), panel.y(probed.rate), carried);
                let title = format!(
                    "{:.1} s: {} sent, {} arrived",
                    line.at,
                    rate(probed.rate),
                    kbps(probed.delivered)
                );
                let _ = writeln!(probes, "{}", titled(&shape, &title));
            }
            _ => {}
        }
    }
    panel.area(out, "v", &all);
    panel.area(out, "r", &reserve);
    let _ = writeln!(out, "<path class='e' d='{}'/>", panel.steps(&estimate));
    out.push_str(&probes);
}

/// One video.
struct Lane {
    name: String,
    /// Its layers, from the least.
    places: Vec<Place>,
    /// Which was sent, and which was to be, from when on: none is 0.
    sent: Vec<(f64, f64)>,
    granted: Vec<(f64, f64)>,
    key_frames: Vec<(f64, u64)>,
}

impl Lane {
    fn all(log: &Log, lines: &[&Line]) -> Vec<Lane> {
        let mut places: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
        let mut screens = Vec::new();
        for line in lines {
            match &line.what {
                What::Granted(Granted { source, class, before, after, .. }) => {
                    places.entry(source).or_default().extend(before.iter().chain(after));
                    screens.extend((class.as_deref() == Some("screen")).then_some(source));
                }
                What::Sent { source, layer } => places.entry(source).or_default().extend(layer),
                _ => {}
            }
        }
        let lane = |(source, mut places): (&str, Vec<&Place>)| {
            places.sort_by_key(|place| (place.height, place.layer));
            places.dedup_by_key(|place| place.layer);
            let level = |place: &Option<Place>| {
                let at =
                    place.as_ref().and_then(|place| places.iter().position(|one| one.layer == place.layer));
                at.map_or(0.0, |at| at as f64 + 1.0)
            };
            let (mut sent, mut granted) = (Vec::new(), Vec::new());
            for line in lines {
                match &line.what {
                    What::Sent { source: of, layer } if of == source => sent.push((line.at, level(layer))),
                    What::Granted(one) if one.source == source => granted.push((line.at, level(&one.after))),
                    _ => {}
                }
            }
            let asked = log.lines.iter().filter_map(|line| match &line.what {
                What::KeyFrame { source: of, encoding, .. } if of == source => Some((line.at, *encoding)),
                _ => None,
            });
            let noun = if screens.iter().any(|screen| *screen == source) { "screen" } else { "camera" };
            let name = format!("{noun} {}", id(source));
            let key_frames = asked.collect();
            Lane { name, places: places.into_iter().cloned().collect(), sent, granted, key_frames }
        };
        places.into_iter().take(LANES).map(lane).collect()
    }

    fn draw(&self, out: &mut String, panel: &Panel) {
        let (right, below) = (WIDTH - RIGHT, panel.y(0.0));
        let _ = writeln!(out, "<path class='g' d='M{LEFT},{below:.1}H{right}'/>");
        let _ = writeln!(out, "<text x='{}' y='{:.1}'>{}</text>", LEFT + 5.0, panel.y - 3.0, self.name);
        let crowded = self.places.len() > 4;
        for (at, place) in self.places.iter().enumerate() {
            if crowded && at > 0 && at + 1 < self.places.len() {
                continue;
            }
            let several = self.places.iter().filter(|one| one.height == place.height).count() > 1;
            let step = if several { format!(" T{}", place.layer.2) } else { String::new() };
            let size = place.height.map_or(format!("layer {}", place.layer.0), |height| height.to_string());
            let name = format!("{size}{step}");
            let y = panel.y(at as f64 + 1.0);
            let _ = writeln!(out, "<path class='g' stroke-dasharray='2 4' d='M{LEFT},{y:.1}H{right}'/>");
            let _ = writeln!(
                out,
                "<text class='m' x='{}' y='{:.1}' text-anchor='end'>{name}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        panel.area(out, "s", &self.sent);
        let _ = writeln!(out, "<path class='w' d='{}'/>", panel.steps(&self.granted));
        for (at, encoding) in self.key_frames.iter().filter(|(at, _)| (panel.from..=panel.to).contains(at)) {
            let title = format!("{at:.1} s: a key frame of encoding {encoding} is asked for");
            let _ = writeln!(out, "{}", titled(&diamond(panel.x(*at), below), &title));
        }
    }
}

impl Panel {
    fn x(&self, at: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at - self.from) / (self.to - self.from)
    }

    fn y(&self, value: f64) -> f64 {
        self.y + self.height * (1.0 - (value / self.top).clamp(0.0, 1.0))
    }

    /// Each value from its moment to the next.
    fn steps(&self, values: &[(f64, f64)]) -> String {
        let Some((at, value)) = values.first() else { return String::new() };
        let mut path = format!("M{:.1},{:.1}", self.x(*at), self.y(*value));
        for (at, value) in &values[1..] {
            let _ = write!(path, "H{:.1}V{:.1}", self.x(*at), self.y(*value));
        }
        let _ = write!(path, "H{:.1}", self.x(self.to));
        path
    }

    /// The same filled down to nothing.
    fn area(&self, out: &mut String, class: &str, values: &[(f64, f64)]) {
        let Some((at, _)) = values.first() else { return };
        let (x, below) = (self.x(*at), self.y(0.0));
        let steps = self.steps(values).replacen('M', "L", 1);
        let _ = writeln!(out, "<path class='{class}' d='M{x:.1},{below:.1}{steps}V{below:.1}z'/>");
    }

    /// Lines at round rates, and at round moments down to the end of the picture.
    fn frame(&self, out: &mut String) {
        let right = WIDTH - RIGHT;
        for part in 0..=4 {
            let value = self.top / 4.0 * f64::from(part);
            let y = self.y(value);
            let _ = writeln!(out, "<path class='g' d='M{LEFT},{y:.1}H{right}'/>");
            let name = thousands(value / 1e3);
            let _ = writeln!(
                out,
                "<text class='m' x='{}' y='{:.1}' text-anchor='end'>{name}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        let _ = writeln!(out, "<text class='m' x='8' y='{:.1}'>kbit/s</text>", self.y - 12.0);
        let step = nice((self.to - self.from) / 12.0, &[1.0, 2.0, 5.0]);
        let mut at = (self.from / step).ceil() * step;
        while at <= self.to {
            let (x, y) = (self.x(at), self.y(0.0) + 14.0);
            let _ = writeln!(out, "<path class='g' d='M{x:.1},{:.1}v4'/>", self.y(0.0));
            let _ = writeln!(
                out,
                "<text class='m' x='{x:.1}' y='{y:.1}' text-anchor='middle'>{} s</text>",
                thousands(at)
            );
            at += step;
        }
    }
}

/// The next that is no less, of `steps` and ten, a hundred, ... times those.
fn nice(value: f64, steps: &[f64]) -> f64 {
    let mut unit = 1.0;
    loop {
        if let Some(step) = steps.iter().find(|step| **step * unit >= value || unit > 1e15) {
            return step * unit;
        }
        unit *= 10.0;
    }
}
