//! What the engines decide of what each participant is sent, as lines of JSON in a file. Engines do not wait for it:
//! a thread of its own writes, and what is too much is left out and counted.

use estafette::Decision;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Lines that wait to be written.
const WAITING: usize = 4_096;

/// Lines of one engine in a second.
const LINES: u32 = 1_000;

/// Decisions that an engine keeps until they are fetched.
pub const KEPT: usize = 4_096;

/// The file, for all engines.
#[derive(Debug, Clone)]
pub struct DecisionLog(SyncSender<String>);

impl DecisionLog {
    /// Begins a file; the thread ends when all that write to it are gone.
    pub fn create(path: &Path) -> io::Result<(DecisionLog, JoinHandle<()>)> {
        let file = File::create(path)?;
        let (sender, lines) = sync_channel(WAITING);
        let thread = std::thread::Builder::new().name("decisions".into()).spawn(move || {
            if let Err(error) = write(&lines, file) {
                tracing::error!(%error, "decisions are not written any more");
            }
        })?;
        Ok((DecisionLog(sender), thread))
    }

    /// What one engine writes with.
    pub fn of(&self, engine: u16) -> Lines {
        Lines { log: self.0.clone(), engine, second: 0, spent: 0, left_out: 0 }
    }
}

/// Writes what there is, and flushes before it waits.
fn write(lines: &Receiver<String>, file: File) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    while let Ok(first) = lines.recv() {
        for line in std::iter::once(first).chain(lines.try_iter().take(WAITING)) {
            out.write_all(line.as_bytes())?;
        }
        out.flush()?;
    }
    Ok(())
}

/// The lines of one engine.
#[derive(Debug)]
pub struct Lines {
    log: SyncSender<String>,
    engine: u16,
    /// The second of the engine's clock, and how many lines it has had.
    second: u64,
    spent: u32,
    left_out: u64,
}

impl Lines {
    /// Writes a decision, with the number of its engine: ids are an engine's own.
    pub fn write(&mut self, decision: &Decision) {
        let at = decision.at.as_micros();
        if self.second != at / 1_000_000 {
            (self.second, self.spent) = (at / 1_000_000, 0);
        }
        if self.spent >= LINES {
            self.left_out += 1;
            return;
        }
        let mut line = String::new();
        if self.left_out > 0 {
            line = self.line(&format!("{{\"at\":{at},\"choice\":\"left_out\",\"count\":{}}}", self.left_out));
        }
        line += &self.line(&decision.json().to_string());
        self.spent += 1;
        self.left_out = if self.log.try_send(line).is_ok() { 0 } else { self.left_out + 1 };
    }

    fn line(&self, object: &str) -> String {
        format!("{{\"engine\":{},{}\n", self.engine, &object[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use estafette::{Choice, Engine, EngineConfig, Instant, ParticipantConfig, Probe, RoomConfig};
    use serde_json::Value;

    fn decision(at: u64) -> Decision {
        let config = EngineConfig { candidates: Vec::new(), ..EngineConfig::default() };
        let mut engine = Engine::new(config, [1; 32], Instant::ZERO).expect("a sound configuration");
        let room = engine.create_room(RoomConfig::default()).expect("a room");
        let participant = engine.room(room).expect("it is there").join(ParticipantConfig::default());
        let rate = estafette::Bitrate::from_kbps(700);
        let probe = Probe { rate, target: rate, demand: estafette::bwe::Demand::default() };
        let participant = participant.expect("room for one");
        Decision { at: Instant::from_millis(at), participant, choice: Choice::Probe(probe) }
    }

    #[test]
    fn a_flood_is_cut_and_what_is_missing_is_counted() {
        let path = std::env::temp_dir().join(format!("estafette-decisions-{}.jsonl", std::process::id()));
        let (log, thread) = DecisionLog::create(&path).expect("a file");
        let mut lines = log.of(3);
        let flood = decision(1_500);
        (0..LINES + 7).for_each(|_| lines.write(&flood));
        lines.write(&decision(2_000));
        drop((log, lines));
        thread.join().expect("it ends");
        let text = std::fs::read_to_string(&path).expect("written");
        std::fs::remove_file(&path).expect("removed");
        let values: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        let choices = |name: &str| values.iter().filter(|value| value["choice"] == name).count();
        assert_eq!((choices("probe"), choices("left_out")), (LINES as usize + 1, 1));
        assert!(values.iter().all(|value| value["engine"] == 3 && value["at"].is_u64()));
        let [.., left_out, last] = &values[..] else { panic!("two at least") };
        assert_eq!((&left_out["count"], &left_out["at"]), (&Value::from(7), &Value::from(2_000_000)));
        assert_eq!(last["rate"], 700_000);
    }

    #[test]
    fn an_engine_does_not_wait_for_a_file_that_cannot_be_written() {
        let (sender, _lines) = sync_channel(2);
        let mut lines = DecisionLog(sender).of(0);
        let decision = decision(1_500);
        (0..5).for_each(|_| lines.write(&decision));
        assert_eq!(lines.left_out, 3);
    }
}
