//! The log on stderr, as text or as JSON: one line for one event, a bounded number of them in a second, and no control
//! character but the line's end, whatever peers wrote (I-12). Rooms and participants are told by their numbers; names,
//! codes and tokens are not told at all, and others' addresses only at the level `debug`.

use crate::config::LogFormat;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Lines in a second.
const LINES: u32 = 200;

/// Logs from now on. What is logged is said in RUST_LOG.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // There is no other, at the start of the program.
    let _ = tracing::subscriber::set_global_default(subscriber(format, filter, io::stderr()));
}

/// What writes to `out`.
pub fn subscriber(
    format: LogFormat,
    filter: EnvFilter,
    out: impl Write + Send + 'static,
) -> Box<dyn Subscriber + Send + Sync> {
    let lines = Lines::new(format, out);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines);
    match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).with_span_list(false).finish()),
    }
}

/// The way of all lines.
struct Lines<W>(Arc<Mutex<Limited<W>>>);

impl<W: Write> Lines<W> {
    fn new(format: LogFormat, out: W) -> Lines<W> {
        Lines(Arc::new(Mutex::new(Limited { out, format, second: Instant::now(), spent: 0, left_out: 0 })))
    }
}

impl<W: Write> MakeWriter<'_> for Lines<W> {
    type Writer = Lines<W>;

    fn make_writer(&self) -> Lines<W> {
        Lines(self.0.clone())
    }
}

impl<W: Write> Write for Lines<W> {
    /// Takes one event, which the formatter hands over as a whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limited.line(&String::from_utf8_lossy(event), Instant::now())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).out.flush()
    }
}

struct Limited<W> {
    out: W,
    format: LogFormat,
    /// When the second began that is counted.
    second: Instant,
    spent: u32,
    left_out: u64,
}

impl<W: Write> Limited<W> {
    fn line(&mut self, event: &str, now: Instant) -> io::Result<()> {
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.spent) = (now, 0);
            let left_out = std::mem::take(&mut self.left_out);
            if left_out > 0 {
                self.out.write_all(self.gap(left_out).as_bytes())?;
            }
        }
        if self.spent >= LINES {
            self.left_out += 1;
            return Ok(());
        }
        self.spent += 1;
        self.out.write_all(escaped(event).as_bytes())
    }

    /// A line in place of those that are missing.
    fn gap(&self, count: u64) -> String {
        let mut time = String::new();
        // A clock that cannot be told leaves the line without one.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        match self.format {
            LogFormat::Text => format!("{time}  WARN conference::log: lines left out count={count}\n"),
            LogFormat::Json => format!(
                "{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"lines left out\",\
                 \"count\":{count},\"target\":\"conference::log\"}}\n"
            ),
        }
    }
}

/// The event in one line, with nothing that a terminal obeys or that changes the direction of text. The form is that
/// of JSON, so that JSON stays JSON.
fn escaped(event: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let body = event.strip_suffix('\n').unwrap_or(event);
    let mut line = String::with_capacity(event.len());
    for c in body.chars() {
        if c.is_control() || turns(c) {
            // Writing to a string does not fail.
            let _ = write!(line, "\\u{:04x}", u32::from(c));
        } else {
            line.push(c);
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::Value;

    /// What was logged, for tests to look at.
    #[derive(Debug, Clone, Default)]
    pub struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn limited(format: LogFormat) -> Limited<Vec<u8>> {
        Limited { out: Vec::new(), format, second: Instant::now(), spent: 0, left_out: 0 }
    }

    #[test]
    fn i_12_a_flood_of_lines_is_cut_and_what_is_missing_is_counted() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let mut limited = limited(format);
            let start = limited.second;
            for _ in 0..LINES + 7 {
                limited.line("{\"a\":1}\n", start).expect("written");
            }
            limited.line("{\"a\":2}\n", start + Duration::from_secs(1)).expect("written");
            let text = String::from_utf8(limited.out).expect("text");
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), LINES as usize + 2);
            let [.., gap, last] = &lines[..] else { panic!("two at least") };
            assert_eq!(*last, "{\"a\":2}");
            match format {
                LogFormat::Text => assert!(gap.ends_with("lines left out count=7"), "{gap}"),
                LogFormat::Json => {
                    let gap: Value = serde_json::from_str(gap).expect("an object");
                    assert_eq!((&gap["count"], &gap["level"]), (&Value::from(7), &Value::from("WARN")));
                }
            }
        }
    }

    #[test]
    fn i_12_what_peers_wrote_neither_ends_a_line_nor_commands_a_terminal() {
        let evil = "a\nINFO forged\r\u{1b}[2J\u{9b}2J\u{202e}\u{2028}";
        for format in [LogFormat::Text, LogFormat::Json] {
            let kept = Kept::default();
            let subscriber = subscriber(format, EnvFilter::new("info"), kept.clone());
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(said = %evil, also = ?evil, "heard");
            });
            let text = kept.text();
            assert_eq!(text.matches('\n').count(), 1, "{text:?}");
            let body = text.trim_end_matches('\n');
            assert!(!body.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
            if format == LogFormat::Json {
                let line: Value = serde_json::from_str(body).expect("an object");
                assert!(
                    line["said"].as_str().is_some_and(|said| said.starts_with("a\nINFO forged")),
                    "{line}"
                );
            }
        }
    }
}
