//! How much a source speaks, on three scales of time (Volfin and Cohen, section 3).
//!
//! Time is cut into frames of 20 ms, five of which make a block and fifty the window. On each scale
//! something is counted: the steps by which a frame is louder than the source's own quietest, the active
//! frames of a block, the active blocks of the window. The score of a count is the logarithm of how much
//! more likely it is in speech than without; a frame or block is active if its score speaks for speech.
//!
//! As published, each unit counts with a probability of one half in speech. The paper counts sub-bands of
//! the signal above noise, which are not known here, so the other hypothesis is ours: binomial as well,
//! with the probabilities beside [`IMMEDIATE`], [`MEDIUM`] and [`LONG`], which put the least active count
//! at 12 dB, 3 frames of 5 and 4 blocks of 10. A cough makes at most three blocks.

use crate::base::time::{Duration, Instant};

/// The level of digital silence (RFC 6464, section 3).
pub(super) const SILENCE: u8 = 127;

/// Microseconds of a frame: the packet of most audio streams.
const FRAME: u64 = 20_000;

/// Frames that a packet can fill: the longest of Opus (RFC 6716, section 2.1.4). A gap up to that is
/// taken to sound as what came before it, a longer one is silence.
const PACKET_FRAMES: u64 = 6;

/// The same as a time.
pub(super) const PACKET_MAX: Duration = Duration::from_micros(PACKET_FRAMES * FRAME);

const BLOCK: u32 = 5;
const BLOCKS: u32 = 10;

/// dB of a step above the quietest.
const STEP: u8 = 3;

/// Noise rises above its quietest by a tenth of the steps.
const IMMEDIATE: Scale = Scale { units: 13, active: 1_609, idle: 588 };

/// Clatter fills a third of a block.
const MEDIUM: Scale = Scale { units: BLOCK, active: 405, idle: 288 };

/// And a fifth of a second.
const LONG: Scale = Scale { units: BLOCKS, active: 916, idle: 470 };

/// What a packet says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sound {
    /// In dB above digital silence.
    pub(super) loudness: u8,
    pub(super) voiced: bool,
}

impl Sound {
    /// The loudness in thousandths.
    pub(super) fn millis(self) -> u32 {
        u32::from(self.loudness) * 1_000
    }
}

/// The likelihood ratio of two binomial hypotheses, in thousandths of its logarithm: how much each
/// active unit adds, ln(p/q), and each idle one takes, ln((1-q)/(1-p)). What both count alike, the
/// coefficient, cancels.
#[derive(Debug)]
struct Scale {
    units: u32,
    active: u32,
    idle: u32,
}

impl Scale {
    /// At least [`Scores::LEAST`], so that ratios of scores mean something.
    fn score(&self, active: u32) -> u32 {
        let active = active.min(self.units);
        let idle = self.units - active;
        (active * self.active).saturating_sub(idle * self.idle).max(Scores::LEAST)
    }

    fn is_active(&self, active: u32) -> bool {
        self.score(active) > Scores::LEAST
    }
}

/// How much speaks for speech, in the present frame, the last block and the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scores {
    immediate: u32,
    medium: u32,
    long: u32,
}

impl Scores {
    const LEAST: u32 = 1;

    /// The scores of somebody who says nothing.
    pub(super) const SILENT: Scores =
        Scores { immediate: Scores::LEAST, medium: Scores::LEAST, long: Scores::LEAST };

    /// Whether these exceed so many times those of `leading` on every scale.
    pub(super) fn outdo(&self, leading: &Scores, times: [u16; 3]) -> bool {
        let [immediate, medium, long] = times.map(|times| u64::from(times.max(1)));
        u64::from(self.immediate) > immediate * u64::from(leading.immediate)
            && u64::from(self.medium) > medium * u64::from(leading.medium)
            && u64::from(self.long) > long * u64::from(leading.long)
    }

    /// By what the best of several is found.
    pub(super) fn order(&self) -> (u32, u32, u32) {
        (self.medium, self.long, self.immediate)
    }
}

/// The last second or so of one source.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// The frame of the last packet; `None` before the first.
    frame: Option<u64>,
    /// The loudest in that frame, in dB above silence.
    loudness: u8,
    voiced: bool,
    /// Which frames were active up to that one, which is the lowest bit.
    active: u64,
    floor: Floor,
}

impl Activity {
    /// Notes a packet; true for the first of its frame. Of several in one frame the loudest counts.
    pub(super) fn hear(&mut self, now: Instant, sound: Sound) -> bool {
        let frame = now.as_micros() / FRAME;
        let first = self.frame.is_none_or(|last| frame > last);
        if first {
            let passed = self.passed(now).min(PACKET_FRAMES);
            if self.frame.is_some() {
                self.floor.learn(self.loudness, passed);
            }
            self.active = self.active_until(now) & !1;
            (self.frame, self.loudness, self.voiced) = (Some(frame), 0, false);
        }
        self.loudness = self.loudness.max(sound.loudness);
        self.voiced |= sound.voiced;
        self.active |= u64::from(IMMEDIATE.is_active(self.steps()));
        first
    }

    /// The scores at this moment.
    pub(super) fn scores(&self, now: Instant) -> Scores {
        let active = self.active_until(now);
        let steps = if self.passed(now) <= PACKET_FRAMES { self.steps() } else { 0 };
        let frames = |block: u32| ((active >> (block * BLOCK)) & ((1 << BLOCK) - 1)).count_ones();
        let blocks = (0..BLOCKS).filter(|block| MEDIUM.is_active(frames(*block))).count();
        Scores {
            immediate: IMMEDIATE.score(steps),
            medium: MEDIUM.score(frames(0)),
            long: LONG.score(blocks as u32),
        }
    }

    /// Whether any frame of the window was active.
    pub(super) fn lately(&self, now: Instant) -> bool {
        self.active_until(now) & ((1 << (BLOCK * BLOCKS)) - 1) != 0
    }

    /// Forgets everything but how quiet the source can be.
    pub(super) fn forget(&mut self) {
        let floor = std::mem::take(&mut self.floor);
        *self = Activity { floor, ..Activity::default() };
    }

    /// Steps by which the last frame is louder than the source's quietest.
    fn steps(&self) -> u32 {
        let above = self.loudness.saturating_sub(self.floor.level(self.loudness));
        if self.voiced { u32::from(above / STEP) } else { 0 }
    }

    /// Frames since that of the last packet.
    fn passed(&self, now: Instant) -> u64 {
        (now.as_micros() / FRAME).saturating_sub(self.frame.unwrap_or(0))
    }

    /// The active frames up to the present one. Without packets the last goes on for as long as a packet
    /// can last.
    fn active_until(&self, now: Instant) -> u64 {
        let passed = self.passed(now);
        let Some(before) = u32::try_from(passed).ok().and_then(|passed| self.active.checked_shl(passed))
        else {
            return 0;
        };
        let goes_on = if self.active & 1 == 1 { passed.min(PACKET_FRAMES) } else { 0 };
        before | (((1 << goes_on) - 1) << (passed - goes_on))
    }
}

/// The quietest that a source was in the last two to four seconds of sending: its background. Speech
/// comes down to it between syllables, a constant sound is nothing else, and where nothing is sent
/// nothing is learnt.
#[derive(Debug)]
struct Floor {
    before: u8,
    current: u8,
    /// Frames of `current`.
    age: u64,
}

impl Default for Floor {
    fn default() -> Self {
        Floor { before: u8::MAX, current: u8::MAX, age: 0 }
    }
}

impl Floor {
    /// Frames after which what came before them is forgotten: nobody speaks longer without a pause.
    const SPAN: u64 = 100;

    /// Notes the loudness of some frames.
    fn learn(&mut self, loudness: u8, frames: u64) {
        self.current = self.current.min(loudness);
        self.age += frames;
        if self.age >= Floor::SPAN {
            *self = Floor { before: self.current, current: u8::MAX, age: 0 };
        }
    }

    /// The quietest, the present frame included.
    fn level(&self, present: u8) -> u8 {
        self.before.min(self.current).min(present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scales_are_the_logarithms_of_their_hypotheses() {
        for (scale, noise) in [(IMMEDIATE, 0.1), (MEDIUM, 1.0 / 3.0), (LONG, 0.2)] {
            let (speech, thousandths) = (0.5_f64, |ratio: f64| (ratio.ln() * 1_000.0).round() as u32);
            assert_eq!(scale.active, thousandths(speech / noise), "{scale:?}");
            assert_eq!(scale.idle, thousandths((1.0 - noise) / (1.0 - speech)), "{scale:?}");
        }
    }

    #[test]
    fn the_least_active_counts_are_those_of_the_documentation() {
        for (scale, least) in [(IMMEDIATE, 4), (MEDIUM, 3), (LONG, 4)] {
            assert!(!scale.is_active(least - 1) && scale.is_active(least), "{scale:?}");
            assert!((0..scale.units).all(|n| scale.score(n) <= scale.score(n + 1)));
            assert_eq!(scale.score(scale.units + 9), scale.score(scale.units));
        }
    }

    #[test]
    fn a_challenger_exceeds_the_multiple_on_every_scale() {
        let [leading, more] = [10, 31].map(|score| Scores { immediate: score, medium: score, long: score });
        assert!(more.outdo(&leading, [3, 3, 3]) && more.outdo(&leading, [0, 1, 2]));
        for times in [[4, 1, 1], [1, 4, 1], [1, 1, 4]] {
            assert!(!more.outdo(&leading, times), "{times:?}");
        }
        assert!(!leading.outdo(&leading, [0, 0, 0]));
    }

    fn sound(loudness: u8) -> Sound {
        Sound { loudness, voiced: loudness > 60 }
    }

    #[test]
    fn a_gap_of_one_packet_goes_on_and_a_longer_one_is_silent() {
        let mut activity = Activity::default();
        activity.hear(Instant::ZERO, sound(30));
        activity.hear(Instant::from_millis(20), sound(100));
        assert_eq!(activity.active_until(Instant::from_millis(20)), 0b1);
        assert_eq!(activity.active_until(Instant::from_millis(40)), 0b11);
        assert_eq!(activity.active_until(Instant::from_millis(140)), 0b111_1111);
        assert_eq!(activity.active_until(Instant::from_millis(180)), 0b1_1111_1100);
        assert_eq!(activity.active_until(Instant::from_millis(20 * 64)), 0b111_1111 << 57);
        assert_eq!(activity.active_until(Instant::from_millis(20 * 90)), 0);
        assert!(
            activity.lately(Instant::from_millis(1_000)) && !activity.lately(Instant::from_millis(1_400))
        );
        // What comes in the end decides about its own frame alone.
        activity.hear(Instant::from_millis(100), sound(30));
        assert_eq!(activity.active_until(Instant::from_millis(100)), 0b1_1110);
    }

    #[test]
    fn a_constant_level_is_its_own_background() {
        let mut activity = Activity::default();
        let mut heard = |from: u64, to: u64, loudness: u8| {
            let mut frames = (from..to).step_by(20);
            frames.all(|ms| {
                activity.hear(Instant::from_millis(ms), sound(loudness));
                activity.scores(Instant::from_millis(ms)).immediate > Scores::LEAST
            })
        };
        assert!(!heard(0, 20, 127) && !heard(20, 40, 127));
        assert!(!heard(10_000, 10_020, 127), "a gap is not a background");
        assert!(!heard(10_020, 10_040, 40) && heard(10_040, 12_000, 100), "a background came to be known");
        assert!(!heard(12_000, 14_500, 100), "and was forgotten");
    }
}
