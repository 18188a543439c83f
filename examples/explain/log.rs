//! Lines of JSON as [`estafette::Json`] writes them, read back as far as a story needs them.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// All that was decided, in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<Line>,
    /// Lines that could not be read: the last one of a server that was stopped is cut.
    pub(crate) unread: usize,
}

/// One decision.
#[derive(Debug)]
pub(crate) struct Line {
    /// Seconds.
    pub(crate) at: f64,
    /// Of whom; with the engine before it where a log is of several.
    pub(crate) who: String,
    pub(crate) what: What,
}

/// What was decided. Rates in bits a second, waiting in milliseconds.
#[derive(Debug)]
pub(crate) enum What {
    Estimate(Estimate),
    Probed(Probed),
    Granted(Granted),
    Sent {
        source: String,
        layer: Option<Place>,
    },
    KeyFrame {
        source: String,
        encoding: u64,
        reason: String,
    },
    /// So many lines are missing here: there were too many.
    LeftOut(u64),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Estimate {
    pub(crate) target: f64,
    pub(crate) cause: String,
    pub(crate) delivered: f64,
    pub(crate) queue: f64,
    pub(crate) loss: f64,
    /// A policer's, or the receiver's.
    pub(crate) ceiling: f64,
    pub(crate) reserve: f64,
    pub(crate) video: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct Probed {
    pub(crate) rate: f64,
    pub(crate) packets: u64,
    pub(crate) arrived: u64,
    pub(crate) delivered: f64,
    pub(crate) queue: f64,
}

#[derive(Debug, Clone)]
pub(crate) struct Granted {
    pub(crate) source: String,
    pub(crate) class: Option<String>,
    pub(crate) before: Option<Place>,
    pub(crate) after: Option<Place>,
    pub(crate) reason: String,
    pub(crate) basis: Option<Basis>,
}

/// What a grant was made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Basis {
    pub(crate) budget: f64,
    pub(crate) reserve: f64,
    pub(crate) video: f64,
    pub(crate) missing: f64,
}

/// A layer, with what is known of it. It is the same whatever its frames are measured to be.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Encoding, spatial, temporal.
    pub(crate) layer: (u64, u64, u64),
    pub(crate) height: Option<u64>,
    pub(crate) fps: Option<u64>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Place) -> bool {
        (self.layer, self.height) == (other.layer, other.height)
    }
}

impl Log {
    pub(crate) fn read(text: &str) -> Log {
        let mut log = Log::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(line) {
                Ok(value) => log.lines.extend(read(&value)),
                Err(_) => log.unread += 1,
            }
        }
        log.lines.sort_by(|a, b| a.at.total_cmp(&b.at));
        log.learn_heights();
        log
    }

    /// Who is in it, by id.
    pub(crate) fn everybody(&self) -> BTreeSet<&str> {
        self.lines.iter().filter(|line| !line.who.is_empty()).map(|line| line.who.as_str()).collect()
    }

    /// What was decided of one.
    pub(crate) fn of<'l>(&'l self, who: &'l str) -> impl Iterator<Item = &'l Line> {
        self.lines.iter().filter(move |line| line.who == who)
    }

    /// The first pictures of a source leave before they are measured: what is known of a layer later is true of them.
    fn learn_heights(&mut self) {
        let mut known = BTreeMap::new();
        for (source, place) in self.lines.iter_mut().flat_map(|line| line.what.places()) {
            known.extend(place.height.map(|height| (key(source, place), height)));
        }
        for (source, place) in self.lines.iter_mut().flat_map(|line| line.what.places()) {
            place.height = place.height.or_else(|| known.get(&key(source, place)).copied());
        }
    }
}

/// What has one size: a spatial layer of an encoding.
fn key(source: &str, place: &Place) -> (String, u64, u64) {
    (source.to_owned(), place.layer.0, place.layer.1)
}

impl What {
    /// The layers that it names, with their source.
    fn places(&mut self) -> Vec<(&String, &mut Place)> {
        match self {
            What::Granted(Granted { source, before, after, .. }) => {
                let source = &*source;
                before.iter_mut().chain(after).map(|place| (source, place)).collect()
            }
            What::Sent { source, layer } => layer.iter_mut().map(|place| (&*source, place)).collect(),
            _ => Vec::new(),
        }
    }
}

fn read(value: &Value) -> Option<Line> {
    let engine = value["engine"].as_u64().map(|engine| format!("{engine}/")).unwrap_or_default();
    let id = |name: &str| Some(format!("{engine}{}", value[name].as_str()?));
    let number = |name: &str| value[name].as_f64().unwrap_or_default();
    let count = |name: &str| value[name].as_u64().unwrap_or_default();
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let what = match value["choice"].as_str()? {
        "estimate" => What::Estimate(Estimate {
            target: number("target"),
            cause: text("cause"),
            delivered: number("delivered"),
            queue: number("queue_ms"),
            loss: number("loss"),
            ceiling: number("ceiling"),
            reserve: number("reserve"),
            video: number("video"),
        }),
        "probed" => What::Probed(Probed {
            rate: number("rate"),
            packets: count("packets"),
            arrived: count("arrived"),
            delivered: number("delivered"),
            queue: number("queue_ms"),
        }),
        "granted" => What::Granted(Granted {
            source: id("source")?,
            class: value["class"].as_str().map(str::to_owned),
            before: place(value, "before"),
            after: place(value, "after"),
            reason: text("reason"),
            basis: value["budget"].is_number().then(|| Basis {
                budget: number("budget"),
                reserve: number("reserve"),
                video: number("video"),
                missing: number("missing"),
            }),
        }),
        "sent" => What::Sent { source: id("source")?, layer: place(value, "layer") },
        "key_frame" => {
            What::KeyFrame { source: id("source")?, encoding: count("encoding"), reason: text("reason") }
        }
        "left_out" => What::LeftOut(count("count")),
        // Of a later version.
        _ => return None,
    };
    Some(Line { at: number("at") / 1e6, who: id("participant").unwrap_or_default(), what })
}

fn place(value: &Value, name: &str) -> Option<Place> {
    let mut parts = value[name].as_str()?.split('.').map(|part| part.parse().unwrap_or_default());
    let mut part = || parts.next().unwrap_or_default();
    let layer = (part(), part(), part());
    let number = |what: &str| value[format!("{name}_{what}")].as_u64();
    Some(Place { layer, height: number("height"), fps: number("fps") })
}
