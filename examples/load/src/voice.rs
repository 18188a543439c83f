//! A microphone: Opus at 32 kbit/s, a packet every 20 ms of speech and one every 400 ms of silence.

use estafette::Instant;
use estafette::random::Random;
use estafette::rtp::AudioLevel;
use std::time::Duration;

const FRAME: Duration = Duration::from_millis(20);
/// Frames that one packet of silence stands for (discontinuous transmission).
const SILENT_FRAMES: u32 = 20;
/// The clock of Opus counts so much in a frame.
const TICKS: u32 = 960;
/// A frame of 32 kbit/s; and one of silence: the first byte and the stamp.
const SPEECH_LEN: usize = 80;
const SILENCE_LEN: usize = 9;
/// The table of contents of Opus: a wide-band hybrid frame of 20 ms, one in the packet (RFC 6716, section 3.1).
pub const TOC: u8 = 13 << 3;

/// Somebody speaks for 2 to 6 seconds, then so long that on average one of the room does.
const SHORTEST: Duration = Duration::from_secs(2);
const SPREAD: Duration = Duration::from_secs(4);

/// One packet of sound.
#[derive(Debug, PartialEq, Eq)]
pub struct Sound {
    /// When it should have left.
    pub due: Instant,
    pub seq: u64,
    pub timestamp: u32,
    /// The first after silence (RFC 3551, section 4.1).
    pub marker: bool,
    pub level: AudioLevel,
    /// Bytes of the payload.
    pub len: usize,
}

pub struct Voice {
    next: Instant,
    room_size: u32,
    talks: bool,
    turns: Instant,
    seq: u64,
    timestamp: u32,
    starts: bool,
    random: Random,
}

impl Voice {
    /// A voice that begins with a greeting.
    pub fn new(now: Instant, room_size: usize, mut random: Random) -> Voice {
        let phase = Duration::from_micros(random.below(FRAME.as_micros() as u64));
        Voice {
            next: now + phase,
            room_size: room_size as u32,
            talks: true,
            turns: now + SHORTEST,
            seq: random.below(30_000),
            timestamp: random.next_u32(),
            starts: true,
            random,
        }
    }

    pub fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// The packet that is due.
    pub fn due(&mut self, now: Instant) -> Option<Sound> {
        let due = self.next;
        if due > now {
            return None;
        }
        self.turn(due);
        let frames = if self.talks { 1 } else { SILENT_FRAMES };
        let level = if self.talks { 20 + self.random.below(15) as u8 } else { 90 };
        let sound = Sound {
            due,
            seq: self.seq,
            timestamp: self.timestamp,
            marker: std::mem::take(&mut self.starts),
            level: AudioLevel { voice: self.talks, level },
            len: if self.talks { SPEECH_LEN } else { SILENCE_LEN },
        };
        self.seq += 1;
        self.timestamp = self.timestamp.wrapping_add(frames * TICKS);
        self.next = due + FRAME * frames;
        Some(sound)
    }

    /// Begins or ends to speak when it is time to.
    fn turn(&mut self, now: Instant) {
        if now < self.turns {
            return;
        }
        self.talks = !self.talks;
        self.starts = self.talks;
        let span = SHORTEST + Duration::from_micros(self.random.below(SPREAD.as_micros() as u64));
        let others = self.room_size.saturating_sub(1).max(1);
        self.turns = now + if self.talks { span } else { span * others };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_four_speaks_on_average_and_the_clock_goes_on() {
        let mut voice = Voice::new(Instant::ZERO, 4, Random::new([3; 32]));
        let end = Instant::from_millis(600_000);
        let sounds: Vec<Sound> = std::iter::from_fn(|| voice.due(end)).collect();
        let spoken = sounds.iter().filter(|sound| sound.level.voice).count();
        let share = spoken as f64 * 0.02 / 600.0;
        assert!((0.15..0.4).contains(&share), "{share}");
        assert!(sounds.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
        for pair in sounds.windows(2) {
            let ticks = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert_eq!((pair[1].due - pair[0].due).as_micros(), u128::from(ticks) * 1_000 / 48);
        }
    }
}
