//! Packets and their feedback for the tests of single parts.

use std::time::Duration;

use super::measured::{Measured, Situation};
use super::{Arrival, Sent};
use crate::base::time::Instant;

/// What was sent so far, of packets of 1,000 bytes.
#[derive(Debug, Default)]
pub(super) struct Feed {
    pub(super) measured: Measured,
    pub(super) now: Instant,
    pub(super) floor: f64,
    pub(super) widest: f64,
    pub(super) rival: bool,
    pub(super) next: f64,
    pub(super) number: u64,
}

impl Feed {
    /// Sends at `kbps` for `ms` milliseconds. `fate` of a packet's number and of the milliseconds so far is how many
    /// milliseconds it takes, or `None` if it is lost. Each 50 ms there is feedback, and `on_round` hears of it.
    pub(super) fn run(
        &mut self,
        ms: u64,
        kbps: f64,
        mut fate: impl FnMut(u64, u64) -> Option<f64>,
        mut on_round: impl FnMut(&Situation<'_>),
    ) {
        let mut waiting = Vec::new();
        let start = self.now;
        for tick in 1..=ms {
            self.now = start + Duration::from_millis(tick);
            self.next += kbps / 8_000.0;
            while self.next >= 1.0 {
                self.next -= 1.0;
                let number = self.number;
                self.measured.on_sent(Sent { at: self.now, number, size: 1_000 });
                let delay = fate(number, tick).map(|ms| Duration::from_micros((ms * 1e3) as u64));
                waiting.push(Arrival { number, at: delay.map(|delay| self.now + delay), ce: false });
                self.number += 1;
            }
            if tick % 50 == 0 {
                self.feed_back(&mut waiting, &mut on_round);
            }
        }
    }

    fn feed_back(&mut self, waiting: &mut Vec<Arrival>, on_round: &mut impl FnMut(&Situation<'_>)) {
        for arrival in waiting.drain(..) {
            self.measured.on_arrival(&arrival);
        }
        let Some(elapsed) = self.measured.close_round(self.now, false) else { return };
        let Some(short) = self.measured.rounds.window(Duration::from_millis(150)) else { return };
        on_round(&Situation {
            now: self.now,
            elapsed,
            short,
            measured: &self.measured,
            floor: self.floor,
            widest: self.widest,
            rival: self.rival,
        });
    }
}
