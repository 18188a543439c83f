//! What was decided of one participant, told in short sentences: when, what, why.
//!
//! The estimate's way is cut into legs, in each of which it goes one way; what happens meanwhile or right after is told
//! with it, the same of several cameras together. If that is more than can be read, smaller changes are left out.

use super::log::{Basis, Estimate, Granted, Line, Log, Place, Probed, What};
use super::words::{count, id, kbps, layer, list, rate, sentence, span, thousands, way};
use std::collections::BTreeMap;

/// A minute fits a screen.
const LINES_A_MINUTE: f64 = 30.0;
/// A short story may have so many in any case.
const LINES: f64 = 12.0;

/// How much is one thing.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// By which share the estimate has to change to be told of.
    change: f64,
    /// Seconds without which it is another leg, or another chapter.
    pause: f64,
}

const SCALES: [Scale; 5] = [
    Scale { change: 0.1, pause: 2.0 },
    Scale { change: 0.15, pause: 3.0 },
    Scale { change: 0.25, pause: 6.0 },
    Scale { change: 0.4, pause: 12.0 },
    Scale { change: 0.6, pause: 30.0 },
];

/// The story of a participant, a line for each thing that happened; empty if nothing was decided of it.
pub(crate) fn story(log: &Log, who: &str) -> Vec<String> {
    let lines: Vec<&Line> = log.of(who).collect();
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Vec::new() };
    let most = (LINES_A_MINUTE * (last.at - first.at) / 60.0).max(LINES);
    let told = SCALES.map(|scale| chapters(&lines, scale));
    let fitting = told.iter().find(|chapters| chapters.len() as f64 <= most).or(told.last());
    let chapters = fitting.into_iter().flatten().map(Chapter::tell);
    std::iter::once(summary(who, &lines)).chain(chapters).collect()
}

/// All of it in a sentence.
fn summary(who: &str, lines: &[&Line]) -> String {
    let (mut cameras, mut moves, mut probes, mut asked) = (BTreeMap::new(), 0, 0, 0);
    let mut targets = Vec::new();
    for line in lines {
        match &line.what {
            What::Estimate(estimate) => targets.push(estimate.target),
            What::Granted(granted) => {
                cameras.insert(&granted.source, ());
                moves += 1;
            }
            What::Probed(_) => probes += 1,
            What::KeyFrame { .. } => asked += 1,
            What::Sent { .. } | What::LeftOut(_) => {}
        }
    }
    let from = lines.first().map_or(0.0, |line| line.at);
    let to = lines.last().map_or(0.0, |line| line.at);
    let mut parts = Vec::new();
    if !targets.is_empty() {
        let least = targets.iter().copied().fold(f64::INFINITY, f64::min);
        let most = targets.iter().copied().fold(0.0, f64::max);
        parts.push(format!("estimates from {} to {}", kbps(least), rate(most)));
        parts.push(count(probes, "probe"));
    }
    if moves > 0 {
        parts.push(format!("{} of layers of {}", count(moves, "change"), count(cameras.len(), "video")));
    }
    if asked > 0 {
        parts.push(format!("asked for {}", count(asked, "key frame")));
    }
    format!("Participant {}, {}: {}.", who, span(from, to), list(&parts))
}

/// What happened together.
#[derive(Debug, Default)]
struct Chapter {
    from: f64,
    to: f64,
    leg: Option<Leg>,
    moves: Vec<Move>,
    probes: Vec<Probed>,
    /// The estimate meanwhile.
    target: f64,
    key_frames: Vec<(String, String)>,
    left_out: u64,
}

/// A layer that was granted, and when it was sent.
#[derive(Debug, Clone)]
struct Move {
    at: f64,
    granted: Granted,
    sent: Option<f64>,
}

/// The estimate goes one way.
#[derive(Debug, Clone, Default)]
struct Leg {
    from: f64,
    to: f64,
    before: f64,
    after: f64,
    /// The estimate at `to`: after that it may move on by little.
    mark: f64,
    /// By cause, how much of the way it made.
    causes: BTreeMap<String, f64>,
    delivered: f64,
    queue: f64,
    loss: f64,
    ceiling: f64,
}

impl Leg {
    fn begin(at: f64, before: f64, after: &Estimate) -> Leg {
        let mut leg = Leg { from: at, before, after: before, mark: before, ..Leg::default() };
        leg.go_on(at, after);
        leg
    }

    fn go_on(&mut self, at: f64, to: &Estimate) {
        let way = (to.target / self.after.max(1.0)).max(1e-9).ln().abs();
        *self.causes.entry(to.cause.clone()).or_default() += way;
        if (to.target / self.mark.max(1.0) - 1.0).abs() > 0.02 {
            (self.to, self.mark, self.delivered) = (at, to.target, to.delivered);
        }
        self.after = to.target;
        (self.queue, self.loss) = (self.queue.max(to.queue), self.loss.max(to.loss));
        self.ceiling = to.ceiling;
    }

    fn rises(&self) -> bool {
        self.after > self.before
    }

    /// Whether an estimate is further on.
    fn is_onward(&self, target: f64) -> bool {
        if self.rises() { target > self.after } else { target < self.after }
    }

    /// What moved it most.
    fn cause(&self) -> &str {
        self.causes.iter().max_by(|a, b| a.1.total_cmp(b.1)).map_or("", |(cause, _)| cause)
    }
}

/// The legs of an estimate; the first is its beginning.
fn legs(lines: &[&Line], scale: Scale) -> Vec<Leg> {
    let (mut legs, mut open): (Vec<Leg>, Option<Leg>) = (Vec::new(), None);
    let mut told = 0.0;
    let estimates = lines.iter().filter_map(|line| match &line.what {
        What::Estimate(estimate) => Some((line.at, estimate)),
        _ => None,
    });
    for (at, estimate) in estimates {
        if legs.is_empty() {
            told = estimate.target;
            legs.push(Leg { before: 0.0, ..Leg::begin(at, told, estimate) });
            continue;
        }
        if let Some(leg) = &mut open {
            let goes_on = leg.is_onward(estimate.target);
            let turned = (estimate.target / leg.after - 1.0).abs() > scale.change && !goes_on;
            if goes_on && at - leg.to <= scale.pause {
                leg.go_on(at, estimate);
            }
            if turned || at - leg.to > scale.pause {
                told = leg.after;
                legs.extend(open.take());
            }
        }
        if open.is_none() && (estimate.target / told - 1.0).abs() > scale.change {
            open = Some(Leg::begin(at, told, estimate));
        }
    }
    legs.extend(open);
    legs
}

/// Cuts what happened into chapters.
fn chapters(lines: &[&Line], scale: Scale) -> Vec<Chapter> {
    let mut legs = legs(lines, scale).into_iter().peekable();
    let mut chapters: Vec<Chapter> = Vec::new();
    let (mut target, mut moves) = (0.0, Vec::new());
    for line in lines {
        if let Some(leg) = legs.next_if(|leg| leg.from <= line.at) {
            begin(&mut chapters, leg);
        }
        match &line.what {
            What::Estimate(estimate) => target = estimate.target,
            What::Granted(granted) => {
                let moved = Move { at: line.at, granted: granted.clone(), sent: None };
                let chapter = at(&mut chapters, line.at, scale, Chapter::takes_moves);
                chapter.moves.push(moved);
                moves.push((chapters.len() - 1, granted));
            }
            What::Sent { source, layer } => shown(&mut chapters, line.at, source, layer.as_ref()),
            What::Probed(probed) => {
                let chapter = at(&mut chapters, line.at, scale, Chapter::takes_probes);
                chapter.probes.push(probed.clone());
            }
            What::KeyFrame { source, reason, .. } => {
                let chapter = at(&mut chapters, line.at, scale, Chapter::takes_key_frames);
                chapter.key_frames.push((source.clone(), reason.clone()));
            }
            What::LeftOut(lines) => at(&mut chapters, line.at, scale, |_, _| true).left_out += lines,
        }
        if let Some(chapter) = chapters.last_mut() {
            chapter.target = target;
        }
    }
    chapters
}

/// A leg begins a chapter, with the probes right before it that led to it.
fn begin(chapters: &mut Vec<Chapter>, leg: Leg) {
    let mut chapter = Chapter { from: leg.from, to: leg.to, ..Chapter::default() };
    let led = chapters.last().is_some_and(|last| last.is_of_probes() && leg.from - last.to < 0.5);
    if led && let Some(last) = chapters.last_mut() {
        chapter.probes.extend(last.probes.pop());
        if last.probes.is_empty() {
            chapters.pop();
        }
    }
    chapter.leg = Some(leg);
    chapters.push(chapter);
}

/// The chapter to which something at this moment belongs: the last one if it `takes` it, or another.
fn at(chapters: &mut Vec<Chapter>, at: f64, scale: Scale, takes: fn(&Chapter, f64) -> bool) -> &mut Chapter {
    let fits = chapters.last().is_some_and(|last| takes(last, (at - last.to) / scale.pause));
    if !fits {
        chapters.push(Chapter { from: at, to: at, ..Chapter::default() });
    }
    let last = chapters.last_mut().expect("one at least");
    last.to = last.to.max(at);
    last
}

/// A layer is sent: whoever it was granted to last has it from now on.
fn shown(chapters: &mut [Chapter], at: f64, source: &str, place: Option<&Place>) {
    let moves = chapters.iter_mut().rev().flat_map(|chapter| chapter.moves.iter_mut().rev());
    let last = moves.into_iter().find(|moved| moved.granted.source == source);
    if let Some(moved) = last.filter(|moved| moved.granted.after.as_ref() == place && moved.sent.is_none()) {
        moved.sent = Some(at);
    }
}

impl Chapter {
    fn is_of_probes(&self) -> bool {
        self.leg.is_none() && self.moves.is_empty() && self.key_frames.is_empty()
    }

    /// Whether what comes so many pauses after its end belongs to it.
    fn takes_moves(&self, pauses: f64) -> bool {
        pauses <= 0.5 && !self.is_of_probes()
    }

    fn takes_probes(&self, pauses: f64) -> bool {
        if self.is_of_probes() { pauses <= 10.0 } else { pauses <= 0.1 }
    }

    fn takes_key_frames(&self, pauses: f64) -> bool {
        pauses <= if self.leg.is_none() && self.moves.is_empty() { 2.0 } else { 0.5 }
    }

    fn tell(&self) -> String {
        let mut sentences = Vec::new();
        sentences.extend(self.leg.as_ref().map(|leg| tell_leg(leg, &self.probes)));
        let told = self.leg.as_ref().is_some_and(|leg| leg.cause() == "probe");
        if !self.probes.is_empty() && !told {
            sentences.push(self.tell_probes());
        }
        sentences.extend(tell_moves(&self.moves));
        sentences.extend(self.tell_video());
        if !self.key_frames.is_empty() {
            sentences.push(tell_key_frames(&self.key_frames));
        }
        if self.left_out > 0 {
            sentences.push(format!("{} decisions are missing here", thousands(self.left_out as f64)));
        }
        let first = sentences.first().cloned().unwrap_or_default();
        let rest: String = sentences.iter().skip(1).map(|text| format!(" {}.", sentence(text))).collect();
        format!("{}: {first}.{rest}", span(self.from, self.to))
    }

    fn tell_probes(&self) -> String {
        let best = best(&self.probes);
        let Some(best) = best else { return String::new() };
        let stays = if self.leg.is_none() {
            format!("; the estimate stays at {}", rate(self.target))
        } else {
            String::new()
        };
        match self.probes.len() {
            1 => format!("a probe {}{stays}", showed(best)),
            several => format!("{several} probes: the best {}{stays}", showed(best)),
        }
    }

    /// What video takes after all that.
    fn tell_video(&self) -> Option<String> {
        let Basis { budget, reserve, video, .. } = self.moves.last()?.granted.basis?;
        let (video, budget, reserve) = (kbps(video), rate(budget), kbps(reserve));
        Some(format!("video takes {video} of {budget} then, {reserve} are for sound and repair"))
    }
}

/// The probe that showed most.
fn best(probes: &[Probed]) -> Option<&Probed> {
    probes.iter().max_by(|a, b| a.delivered.total_cmp(&b.delivered))
}

/// What a probe showed.
fn showed(probe: &Probed) -> String {
    let Probed { rate: left, packets, arrived, delivered, queue } = probe;
    if *arrived == 0 {
        return format!("at {} was never reported", rate(*left));
    }
    let lost = if arrived < packets {
        format!(", {} of {packets} packets lost", packets - arrived)
    } else {
        String::new()
    };
    let queue = if *queue >= 5.0 { format!(", with a queue of {queue:.0} ms") } else { String::new() };
    format!("at {} arrived at {}{lost}{queue}", rate(*left), kbps(*delivered))
}

fn tell_leg(leg: &Leg, probes: &[Probed]) -> String {
    let (before, after) = (kbps(leg.before), rate(leg.after));
    if leg.before == 0.0 {
        return format!("the path is taken to carry {after} for a start");
    }
    let why = why(leg, probes);
    match (leg.to - leg.from < 1.0, leg.rises()) {
        (true, _) => format!("the path carries {after} now (was {before}): {why}"),
        (false, true) => format!("the estimate rises from {before} to {after}: {why}"),
        (false, false) => format!("the estimate falls from {before} to {after}: {why}"),
    }
}

fn why(leg: &Leg, probes: &[Probed]) -> String {
    let arrived = rate(leg.delivered);
    match (leg.cause(), leg.rises()) {
        ("probe", true) => match (best(probes), probes.len()) {
            (Some(best), 1) => format!("a probe {}", showed(best)),
            (Some(best), several) => format!("of {several} probes the best {}", showed(best)),
            (None, _) => format!("probes got through while {arrived} arrived"),
        },
        ("rise", true) => format!("{arrived} arrived and nothing stood against more"),
        ("delay", false) => format!("packets waited {:.0} ms", leg.queue),
        // Less was sent for a while, so that it would.
        ("delay", true) => format!("the queue ran empty while {arrived} arrived"),
        ("loss", false) => format!("{:.0} % of the packets were lost", 100.0 * leg.loss),
        ("loss", true) => format!("losses do not follow the rate while {arrived} arrived"),
        ("marks", false) => format!("packets were marked as having met congestion while {arrived} arrived"),
        ("silence", false) => "no feedback came".into(),
        ("receiver", _) => "its receiver said so".into(),
        ("contest", _) => format!("somebody else fills the queue ({:.0} ms), a fair part is held", leg.queue),
        ("route", _) => format!("the delay changed for good, as of another route, while {arrived} arrived"),
        ("ceiling", _) => format!("{} are not to be passed for now", rate(leg.ceiling)),
        (other, _) => format!("{} while {arrived} arrived", other.replace('_', " ")),
    }
}

/// Layers that changed, the same of several sources in one sentence, in the order in which it began.
fn tell_moves(moves: &[Move]) -> Vec<String> {
    let mut sources: Vec<Vec<&Move>> = Vec::new();
    for moved in moves {
        match sources.iter_mut().find(|moves| moves[0].granted.source == moved.granted.source) {
            Some(moves) => moves.push(moved),
            None => sources.push(vec![moved]),
        }
    }
    let mut groups: Vec<Vec<Vec<&Move>>> = Vec::new();
    for source in sources {
        match groups.iter_mut().find(|group| kind(&group[0]) == kind(&source)) {
            Some(group) => group.push(source),
            None => groups.push(vec![source]),
        }
    }
    groups.iter().map(|group| tell_group(group)).collect()
}

/// What makes the moves of two sources the same to tell.
fn kind<'m>(moves: &[&'m Move]) -> (Option<&'m Place>, Option<&'m Place>, &'m str, bool) {
    let (first, last) = (&moves[0].granted, &moves[moves.len() - 1].granted);
    (first.before.as_ref(), last.after.as_ref(), &last.reason, first.class.as_deref() == Some("screen"))
}

fn tell_group(group: &[Vec<&Move>]) -> String {
    let (before, after, _, screen) = kind(&group[0]);
    let names: Vec<String> = group.iter().map(|moves| named(&moves[moves.len() - 1].granted)).collect();
    let (noun, many) = (if screen { "screen" } else { "camera" }, names.len() > 1);
    let (plural, s) = if many { ("s", "") } else { ("", "s") };
    let who = format!("{noun}{plural} {}", list(&names));
    let why = reason(group);
    let changes: usize = group.iter().map(Vec::len).sum();
    let way = match (before, after) {
        (Some(before), Some(after)) if before == after => {
            let between = group[0]
                .iter()
                .find_map(|moved| moved.granted.after.as_ref().filter(|after| *after != before));
            let between = between.map_or("nothing".into(), layer);
            format!(
                "go{es} to {between} and back to {} ({})",
                layer(after),
                count(changes, "change"),
                es = if many { "" } else { "es" }
            )
        }
        (Some(before), Some(after)) => format!("go{} {}", if many { "" } else { "es" }, way(before, after)),
        (None, Some(after)) => format!("begin{s} at {}", layer(after)),
        (Some(before), None) => return format!("{who} stop{s} (was {}): {}", layer(before), stopped(group)),
        (None, None) => format!("begin{s} and stop{s} again ({})", count(changes, "change")),
    };
    format!("{who} {way}{}{why}", late(group))
}

/// A source's id, with what it counts as.
fn named(granted: &Granted) -> String {
    match granted.class.as_deref() {
        Some(class @ ("speaker" | "pinned")) => format!("{} ({class})", id(&granted.source)),
        _ => id(&granted.source).to_owned(),
    }
}

fn last_of(group: &[Vec<&Move>]) -> impl Iterator<Item = Granted> {
    group
        .iter()
        .filter_map(|moves| moves.last())
        .map(|moved| moved.granted.clone())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Why it is not more.
fn reason(group: &[Vec<&Move>]) -> String {
    let Some(last) = last_of(group).next() else { return String::new() };
    let missing =
        last_of(group).filter_map(|granted| Some(granted.basis?.missing)).fold(f64::INFINITY, f64::min);
    let least = if group.len() > 1 { "at least " } else { "" };
    match last.reason.as_str() {
        "all" => ", all that there is".into(),
        "wish" => ", all that is wished".into(),
        "limit" => ", all that is allowed".into(),
        "budget" if missing.is_finite() => {
            format!(", as {least}{} more would be needed for the next layer", rate(missing))
        }
        "ceiling" => {
            format!(", as there is a ceiling of {}", rate(last.basis.map_or(0.0, |basis| basis.budget)))
        }
        "waiting" => ", and more only once things have been calm".into(),
        _ => String::new(),
    }
}

/// Why there is nothing.
fn stopped(group: &[Vec<&Move>]) -> String {
    let Some(last) = last_of(group).next() else { return String::new() };
    let room = last.basis.map_or(0.0, |basis| (basis.budget - basis.reserve).max(0.0));
    match last.reason.as_str() {
        "wish" => "it is not wished for now".into(),
        "limit" => "it is not allowed for now".into(),
        "senders" => "others have the places of those who may send video".into(),
        "threshold" => format!("{} left for video are too few to be worth it", rate(room)),
        "budget" | "ceiling" => format!("of {} for video nothing is left for it", rate(room)),
        other => format!("reason: {}", other.replace('_', " ")),
    }
}

/// How long it took until what was granted was sent, where that can be noticed.
fn late(group: &[Vec<&Move>]) -> String {
    let waits =
        group.iter().filter_map(|moves| moves.last()).filter_map(|moved| Some(moved.sent? - moved.at));
    let longest = waits.fold(0.0, f64::max);
    if longest < 0.1 { String::new() } else { format!(" (sent {longest:.1} s later)") }
}

fn tell_key_frames(asked: &[(String, String)]) -> String {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sources: Vec<String> = Vec::new();
    for (source, reason) in asked {
        *reasons.entry(reason).or_default() += 1;
        if !sources.iter().any(|known| known == id(source)) {
            sources.push(id(source).to_owned());
        }
    }
    let s = if sources.len() == 1 { "" } else { "s" };
    let what = format!("asked for {} of camera{s} {}", count(asked.len(), "key frame"), list(&sources));
    let told: Vec<String> =
        reasons.iter().map(|(reason, number)| format!("{number} {}", needed(reason))).collect();
    match reasons.keys().next() {
        Some(reason) if reasons.len() == 1 => format!("{what}, {}", needed(reason)),
        _ => format!("{what}: {}", list(&told)),
    }
}

fn needed(reason: &str) -> String {
    match reason {
        "switch" => "to give somebody another layer".into(),
        "asked" => "as a receiver asked".into(),
        "broken" => "as packets are missing".into(),
        "queue_full" => "as a receiver's queue was full".into(),
        other => other.replace('_', " "),
    }
}
