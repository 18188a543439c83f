//! Numbers and names as people write them.

use super::log::Place;

/// A rate in kbit/s to three places: `2,310`.
pub(crate) fn kbps(bps: f64) -> String {
    let kbps = bps / 1e3;
    let unit = 10f64.powf((kbps.max(1.0).log10().floor() - 2.0).max(0.0));
    thousands((kbps / unit).round() * unit)
}

/// A rate with its unit: `2,310 kbit/s`.
pub(crate) fn rate(bps: f64) -> String {
    format!("{} kbit/s", kbps(bps))
}

pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment: seconds, and from the first hour on hours and minutes as well.
pub(crate) fn moment(at: f64) -> String {
    let (hours, rest) = ((at / 3_600.0).floor(), at % 3_600.0);
    if hours < 1.0 {
        format!("{at:.1} s")
    } else {
        format!("{hours:.0} h {:02.0} min {:.1} s", (rest / 60.0).floor(), rest % 60.0)
    }
}

/// A span of time: one moment if it is short.
pub(crate) fn span(from: f64, to: f64) -> String {
    if to - from < 1.0 {
        moment(from)
    } else {
        format!("{} to {}", moment(from).trim_end_matches(" s"), moment(to))
    }
}

/// An id without its engine.
pub(crate) fn id(id: &str) -> &str {
    id.split_once('/').map_or(id, |(_, id)| id)
}

/// `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [items @ .., last] => format!("{} and {last}", items.join(", ")),
    }
}

/// `1 probe`, `3 probes`.
pub(crate) fn count(number: usize, what: &str) -> String {
    format!("{} {what}{}", thousands(number as f64), if number == 1 { "" } else { "s" })
}

/// A layer by the height of its pictures, or else by its number.
pub(crate) fn layer(place: &Place) -> String {
    match place.height {
        Some(height) => format!("{height} lines"),
        None => format!("layer {}.{}.{}", place.layer.0, place.layer.1, place.layer.2),
    }
}

/// From one layer to another.
pub(crate) fn way(before: &Place, after: &Place) -> String {
    match (before.height, after.height) {
        (Some(from), Some(to)) if from != to => format!("from {from} to {to} lines"),
        (Some(height), Some(_)) => match (before.fps, after.fps) {
            (Some(from), Some(to)) if from != to => {
                format!("from {from} to {to} frames a second at {height} lines")
            }
            _ => format!("from layer {} to {} at {height} lines", number(before), number(after)),
        },
        _ => format!("from {} to {}", layer(before), layer(after)),
    }
}

fn number(place: &Place) -> String {
    format!("{}.{}.{}", place.layer.0, place.layer.1, place.layer.2)
}

/// With a capital letter.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

/// Broken into lines of at most so many letters, all but the first moved in.
pub(crate) fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 2 && line + 1 + word.chars().count() > width {
            lines.push("   ".into());
        }
        let line = lines.last_mut().expect("one at least");
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.join("\n")
}
