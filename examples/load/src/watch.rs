//! Watches a run second by second: what the workers tell, and what processes take.

use crate::clock::Clock;
use crate::figures::Traffic;
use crate::process::Usage;
use crate::worker::{Note, Outcome};
use estafette::Instant;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// What processes had taken at the end of a second.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    pub server: Option<Usage>,
    pub own: Option<Usage>,
}

pub struct Watch {
    clock: Clock,
    notes: Receiver<Note>,
    pid: Option<u32>,
    /// Workers that have not told of their end.
    workers: usize,
    pub connected: usize,
    pub failed: usize,
    pub outcomes: Vec<Outcome>,
    pub traffic: BTreeMap<u64, Traffic>,
    pub taken: BTreeMap<u64, Taken>,
}

impl Watch {
    pub fn new(clock: Clock, notes: Receiver<Note>, pid: Option<u32>, workers: usize) -> Watch {
        Watch {
            clock,
            notes,
            pid,
            workers,
            connected: 0,
            failed: 0,
            outcomes: Vec::new(),
            traffic: BTreeMap::new(),
            taken: BTreeMap::new(),
        }
    }

    /// The second that has begun.
    pub fn second(&self) -> u64 {
        self.clock.now().as_micros() / 1_000_000
    }

    /// Watches until `done`, which is asked after each event and at each second, or until a moment.
    pub fn until(&mut self, end: Instant, mut done: impl FnMut(&Watch) -> bool) {
        while !done(self) {
            let now = self.clock.now();
            if now >= end {
                return;
            }
            let boundary = Instant::from_millis((self.second() + 1) * 1_000);
            match self.notes.recv_timeout(boundary.min(end) - now) {
                Ok(note) => self.take(note),
                Err(RecvTimeoutError::Timeout) => {}
                // All workers have told of their end.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.sample();
        }
    }

    /// Waits for the end of all workers.
    pub fn finish(&mut self, end: Instant) {
        self.until(end, |watch| watch.workers == 0);
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Settled { connected: true } => self.connected += 1,
            Note::Settled { connected: false } => self.failed += 1,
            Note::Second { second, traffic } => *self.traffic.entry(second).or_default() += &traffic,
            Note::Finished(outcomes) => {
                self.outcomes.extend(outcomes);
                self.workers -= 1;
            }
        }
    }

    fn sample(&mut self) {
        if let Some(ended) = self.second().checked_sub(1) {
            let pid = self.pid;
            self.taken.entry(ended).or_insert_with(|| Taken {
                server: pid.and_then(Usage::of),
                own: Usage::of(std::process::id()),
            });
        }
    }

    /// What went on in some seconds, together.
    pub fn traffic_of(&self, seconds: Range<u64>) -> Traffic {
        let mut sum = Traffic::default();
        self.traffic.range(seconds).for_each(|(_, traffic)| sum += traffic);
        sum
    }

    /// What a process took in some seconds, and how long it waited for it: 1 is one core all the time.
    pub fn cores(&self, seconds: Range<u64>, of: impl Fn(&Taken) -> Option<Usage>) -> Option<Cores> {
        let at = |second: u64| self.taken.get(&second).and_then(&of);
        let (before, after) = (at(seconds.start.checked_sub(1)?)?, at(seconds.end.checked_sub(1)?)?);
        let span = Duration::from_secs(seconds.end - seconds.start).as_secs_f64();
        Some(Cores {
            used: after.cpu.saturating_sub(before.cpu).as_secs_f64() / span,
            waited: after.waited.saturating_sub(before.waited).as_secs_f64() / span,
        })
    }
}

/// Processor time over time.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    pub used: f64,
    pub waited: f64,
}
