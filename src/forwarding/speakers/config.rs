//! What the owner decides, with defaults and their reasons.

use crate::base::time::Duration;

/// How many are heard, and how firmly they and the dominant speaker keep their places. Every value is
/// valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Config {
    /// Sources heard at a time; 0 forwards everybody who is not muted, silence included. 3 by default:
    /// more voices at once nobody follows, and the third is room for a laugh or an objection.
    pub top_n: usize,
    /// The quietest level that is a voice, in dB below full scale (-dBov), as in the packets; digital
    /// silence, 127, never is one. 60 by default: speech has 15 to 45, a room 50 and less, what noise
    /// suppression leaves of it 80 and less.
    pub silence: u8,
    /// How long a slot is kept in silence that nobody else wants it for. 600 ms by default: pauses
    /// within a sentence are shorter, and an Opus encoder with DTX, which turns to it after 200 ms and
    /// sends every 400 ms then, has described the comfort noise that receivers go on with.
    pub hold: Duration,
    /// The same when another voice asks for the slot and all are taken. 200 ms by default: more than
    /// between two words, and about the time between two turns of a talk.
    pub contested_hold: Duration,
    /// How much louder than somebody who speaks a voice has to be to take the slot, in dB. 6 by default:
    /// the syllables of equal voices differ by less from the loudest of them.
    pub margin: u8,
    /// How long it has to be so. 60 ms by default: a click is shorter, and few listeners miss a word by
    /// it.
    pub challenge: Duration,
    /// How many times the score of the dominant speaker somebody else's must exceed, within the present
    /// 20 ms, the last 100 ms and the last second; 0 means 1. By default 20, 7 and 1, which are e to the
    /// power of 3, 2 and 0, the thresholds in use: who leads has to fall silent, and the other to have
    /// spoken more of the last second.
    pub lead: [u16; 3],
}

impl Config {
    /// Whether slots are not counted.
    pub(super) fn everybody(&self) -> bool {
        self.top_n == 0
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            top_n: 3,
            silence: 60,
            hold: Duration::from_millis(600),
            contested_hold: Duration::from_millis(200),
            margin: 6,
            challenge: Duration::from_millis(60),
            lead: [20, 7, 1],
        }
    }
}
