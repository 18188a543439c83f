//! The ladder of a source's layers as it is measured: what each one costs, how large and how fast its
//! pictures are, whether it is there at all; and which one a [`Wish`] gets.
//!
//! What publishers announce of their layers is not believed (S-SIM-05): bytes and frames are counted.

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::forwarding::layers::Layer;
use crate::wire::payload::Resolution;
use smallvec::SmallVec;

/// Spatial layers that are told apart; temporal layers likewise, the last one with all above it.
const STEPS: usize = 4;

/// A layer as it comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Which.
    pub layer: Layer,
    /// What a subscription to it takes, the layers below it included: RTP payloads alone.
    pub bitrate: Bitrate,
    /// Frames in a second.
    pub frame_rate: u16,
    /// The size of its pictures, if that is known.
    pub resolution: Option<Resolution>,
}

/// What a subscriber wants of a source at most. The best layer within all of it is sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wish {
    /// The height of the pictures, in pixels. The smallest layer is sent even if it is higher.
    pub max_height: Option<u16>,
    /// Frames in a second; the slowest layer is sent even if it is faster.
    pub max_frame_rate: Option<u16>,
    /// The bits of RTP payload in a second. If no layer has so few, nothing is sent.
    pub max_bitrate: Option<Bitrate>,
    /// Nothing is sent for the time being.
    pub paused: bool,
}

impl Wish {
    /// What is within both.
    pub(crate) fn and(self, other: Wish) -> Wish {
        let least = |one: Option<u16>, other: Option<u16>| one.into_iter().chain(other).min();
        Wish {
            max_height: least(self.max_height, other.max_height),
            max_frame_rate: least(self.max_frame_rate, other.max_frame_rate),
            max_bitrate: self.max_bitrate.into_iter().chain(other.max_bitrate).min(),
            paused: self.paused || other.paused,
        }
    }
}

/// Intervals over which rates are averaged: two seconds.
const AVERAGED: u8 = 8;

/// Bytes and frames of one video stream, by layer.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Meter {
    since: Instant,
    counts: [Count; STEPS * STEPS],
    resolutions: [Option<Resolution>; STEPS],
}

#[derive(Debug, Default, Clone, Copy, Hash)]
struct Count {
    bytes: u32,
    frames: u16,
    /// Frames in a second, in the intervals before.
    frame_rate: u16,
    /// Bits in a second, on average, and of how many intervals; whether the last one was far above.
    bitrate: u32,
    intervals: u8,
    above: bool,
    /// The end of the last interval in which anything of it came.
    closed: Instant,
    heard: Option<Instant>,
    /// Milliseconds between two of its frames, while it comes; 0 before there were two.
    pace: u32,
    /// Since when it is heard without a silence.
    since: Instant,
    /// How often it fell silent lately.
    lapses: u8,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Meter { since: now, counts: Default::default(), resolutions: [None; STEPS] }
    }

    /// Counts a packet.
    #[inline]
    pub(crate) fn on_packet(&mut self, now: Instant, layer: Layer, bytes: u16, begins_frame: bool) {
        let at =
            usize::from(layer.spatial).min(STEPS - 1) * STEPS + usize::from(layer.temporal).min(STEPS - 1);
        if let Some(count) = self.counts.get_mut(at) {
            match count.heard.replace(now) {
                None => {
                    // Nobody measures what is silent for long.
                    count.since = now;
                    count.closed = self.since.max(now - limits::LADDER_INTERVAL);
                }
                Some(before) if now - before >= limits::STREAM_SILENCE => count.begin_anew(now),
                Some(before) if begins_frame => {
                    let gap = u32::try_from((now - before).as_millis()).unwrap_or(u32::MAX).max(1);
                    count.pace = if count.pace == 0 { gap } else { count.pace - count.pace / 4 + gap / 4 };
                }
                Some(_) => {}
            }
            count.bytes = count.bytes.saturating_add(u32::from(bytes));
            count.frames = count.frames.saturating_add(u16::from(begins_frame));
        }
    }

    /// Nothing of it is there any more.
    pub(crate) fn silence(&mut self) {
        for count in self.counts.iter_mut().filter(|count| count.heard.is_some()) {
            count.lapse();
        }
    }

    pub(crate) fn on_resolution(&mut self, spatial: u8, resolution: Resolution) {
        if let Some(slot) = self.resolutions.get_mut(usize::from(spatial)) {
            *slot = Some(resolution);
        }
    }

    /// Ends an interval; one that has hardly begun goes on.
    pub(crate) fn measure(&mut self, now: Instant) {
        let interval = now - self.since;
        if interval < limits::LADDER_INTERVAL / 2 {
            return;
        }
        self.since = now;
        for count in &mut self.counts {
            count.close(now);
            if count.heard.is_none() {
                continue;
            }
            if !count.alive(now) {
                count.lapse();
            } else if count.lapses > 0 && now - count.since >= limits::LAYER_FORGIVEN {
                count.lapses = 0;
            }
        }
    }

    /// The layers that are there, each with what comes with it, as the encoding of this number; if they are to be
    /// `steady`, only those that come for long enough by how often they fell silent before.
    pub(crate) fn rungs(&self, now: Instant, encoding: u8, steady: bool, rungs: &mut Rungs) {
        let mut below = [(0u32, 0u16); STEPS];
        for ((spatial, row), resolution) in (0u8..).zip(self.counts.chunks(STEPS)).zip(self.resolutions) {
            // Nothing of this spatial layer: those above may be there all the same.
            let (mut bitrate, mut frame_rate) = (0u32, 0u16);
            for ((temporal, count), below) in (0u8..).zip(row).zip(&mut below) {
                bitrate = bitrate.saturating_add(count.bitrate);
                frame_rate = frame_rate.saturating_add(count.frame_rate);
                below.0 = below.0.saturating_add(bitrate);
                let there = count.alive(now) && (!steady || count.steady(now));
                if !there || rungs.len() >= rungs.inline_size() {
                    continue;
                }
                // Whatever lies above the last that is told apart is of it.
                let temporal = if usize::from(temporal) == STEPS - 1 { 7 } else { temporal };
                let layer = Layer { encoding, spatial, temporal };
                let bitrate = Bitrate::from_bps(u64::from(below.0));
                rungs.push(Rung { layer, bitrate, frame_rate, resolution });
            }
        }
    }
}

impl Count {
    /// Whether the layer is heard: it may miss some of its frames, and slow ones are waited for longer.
    fn alive(&self, now: Instant) -> bool {
        let interval = Some(Duration::from_millis(self.pace.into())).filter(|interval| !interval.is_zero());
        let silence = interval.map_or(limits::STREAM_SILENCE, |interval| {
            (8 * interval).clamp(limits::LAYER_SILENCE, limits::STREAM_SILENCE)
        });
        self.heard.is_some_and(|heard| now - heard < silence)
    }

    /// It was silent for so long that its rate before says nothing.
    fn begin_anew(&mut self, now: Instant) {
        (self.bytes, self.frames, self.closed) = (0, 0, now);
        (self.bitrate, self.frame_rate, self.intervals, self.above) = (0, 0, 0, false);
    }

    /// Ends an interval, if anything came in it: a slow layer has few of them, and longer ones.
    fn close(&mut self, now: Instant) {
        if self.bytes == 0 {
            return;
        }
        let micros = (now - self.closed).max(limits::LADDER_INTERVAL / 2).as_micros();
        let a_second = |count: u64| u32::try_from(u128::from(count) * 1_000_000 / micros).unwrap_or(u32::MAX);
        let (bitrate, frame_rate) = (a_second(u64::from(self.bytes) * 8), a_second(self.frames.into()));
        let before = u32::from(self.frame_rate);
        let smooth = if before == 0 { frame_rate } else { before / 2 + frame_rate.div_ceil(2) };
        self.frame_rate = u16::try_from(smooth).unwrap_or(u16::MAX);
        let quarters = micros / limits::LADDER_INTERVAL.as_micros();
        self.average(bitrate, u8::try_from(quarters).unwrap_or(AVERAGED).clamp(1, AVERAGED));
        (self.bytes, self.frames, self.closed) = (0, 0, now);
    }

    /// Takes the rate of so many intervals. A key frame is no change of rate: what is far above counts as half as much
    /// again, once something is known, unless the one before was as well.
    fn average(&mut self, bitrate: u32, intervals: u8) {
        let known = self.intervals > AVERAGED / 2;
        let most = self.bitrate.saturating_add(self.bitrate / 2);
        let above = known && bitrate > most;
        let believed = if above && !self.above { most } else { bitrate };
        self.above = above;
        self.intervals = self.intervals.saturating_add(intervals).min(AVERAGED);
        let (before, now) = (i64::from(self.bitrate), i64::from(believed));
        let step = (now - before) * i64::from(intervals) / i64::from(self.intervals);
        self.bitrate = u32::try_from(before + step).unwrap_or(u32::MAX);
    }

    /// The layer fell silent: only that, and how often it did, is remembered.
    fn lapse(&mut self) {
        *self = Count { pace: self.pace, lapses: self.lapses.saturating_add(1), ..Count::default() };
    }

    /// Whether the layer can be relied on: one that comes and goes is waited for longer each time, so that its
    /// subscribers do not see it flap (S-SIM-03).
    fn steady(&self, now: Instant) -> bool {
        let doubled = u32::from(self.lapses.min(limits::LAYER_LAPSES));
        self.lapses == 0 || now - self.since >= limits::LAYER_SILENCE * (1 << doubled)
    }
}

/// Layers that are there.
pub(crate) type Rungs = SmallVec<[Rung; limits::RUNGS]>;

/// What is there of a source, from the least to the best.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ladder {
    rungs: Vec<Rung>,
}

impl Ladder {
    /// Takes what was measured of all encodings. True if other layers are there than before.
    pub(crate) fn set(&mut self, rungs: Rungs) -> bool {
        if rungs.is_empty() {
            // Everything is silent: what was there is still the best that there is.
            return false;
        }
        // Encodings by the size of their pictures, or else by what they take.
        let best = |encoding: u8| {
            let of_it = rungs.iter().filter(|rung| rung.layer.encoding == encoding);
            let pixels = of_it.clone().filter_map(|rung| rung.resolution).map(pixels).max();
            (pixels, of_it.map(|rung| rung.bitrate).max())
        };
        let ranks: SmallVec<[_; limits::RUNGS]> =
            rungs.iter().map(|rung| best(rung.layer.encoding)).collect();
        let mut ranked: SmallVec<[_; limits::RUNGS]> = ranks.into_iter().zip(rungs).collect();
        ranked.sort_by_key(|(rank, rung)| (*rank, rung.layer));
        // Frames are counted over short times: about as many as before are as many.
        let known = |rung: Rung| {
            let before = self.rungs.iter().find(|before| before.layer == rung.layer);
            let about = |before: &&Rung| rung.frame_rate.abs_diff(before.frame_rate) <= before.frame_rate / 4;
            Rung {
                frame_rate: before.filter(about).map_or(rung.frame_rate, |before| before.frame_rate),
                ..rung
            }
        };
        let rungs: SmallVec<[Rung; limits::RUNGS]> =
            ranked.into_iter().map(|(_, rung)| known(rung)).collect();
        let rungs = rungs.into_iter();
        let changed = !rungs.clone().map(|rung| rung.layer).eq(self.rungs.iter().map(|rung| rung.layer));
        self.rungs.clear();
        self.rungs.extend(rungs);
        changed
    }

    pub(crate) fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// The layer that a wish gets; `None` for nothing.
    pub(crate) fn choose(&self, wish: &Wish) -> Option<Layer> {
        if self.rungs.is_empty() && !wish.paused {
            // Nothing is known yet: whatever comes.
            return Some(Layer::whole(0));
        }
        // Smooth before sharp: a larger picture is not worth a few frames in a second.
        let smooth = |rung: &&Rung| rung.frame_rate >= limits::SMOOTH_FRAME_RATE || self.is_fastest(rung);
        let best = self.within(wish).rev().find(smooth).or_else(|| self.within(wish).next_back());
        let chosen = best.or_else(|| self.least(wish))?;
        Some(self.reach(chosen.layer))
    }

    /// The layers that a wish leaves to choose from, from the least to the best: none if nothing is known yet, or none
    /// is within it.
    pub(crate) fn options(&self, wish: &Wish) -> impl Iterator<Item = &Rung> {
        // If none is within all of it, the least is the only choice.
        let least = if self.within(wish).next().is_none() { self.least(wish) } else { None };
        self.within(wish).chain(least)
    }

    /// The layers that are within all of a wish.
    fn within(&self, wish: &Wish) -> impl DoubleEndedIterator<Item = &Rung> {
        let least = self.rungs.first().map(|rung| (rung.layer.encoding, rung.layer.spatial));
        let Wish { max_height, max_frame_rate, max_bitrate, paused } = *wish;
        let fits = move |rung: &&Rung| {
            let small = max_height.is_none_or(|most| rung.resolution.is_none_or(|size| size.height <= most));
            // Of sizes above the wish the smallest is taken.
            let smallest = least == Some((rung.layer.encoding, rung.layer.spatial));
            // Frames are counted over a few hundred milliseconds.
            (small || smallest)
                && max_frame_rate.is_none_or(|most| rung.frame_rate <= most.saturating_add(most / 4 + 1))
                && max_bitrate.is_none_or(|most| rung.bitrate <= most)
        };
        self.rungs.iter().filter(move |rung| !paused && fits(rung))
    }

    /// The least layer, unless it takes more than is wished.
    fn least(&self, wish: &Wish) -> Option<&Rung> {
        let within = |rung: &&Rung| wish.max_bitrate.is_none_or(|most| rung.bitrate <= most);
        self.rungs.first().filter(|_| !wish.paused).filter(within)
    }

    /// The last of its encoding stands for what may yet come above it.
    pub(crate) fn reach(&self, layer: Layer) -> Layer {
        let last = self.rungs.iter().rfind(|rung| rung.layer.encoding == layer.encoding);
        let whole = last.is_some_and(|last| last.layer == layer);
        if whole { Layer::whole(layer.encoding) } else { layer }
    }

    /// The most frames in a second of any layer.
    pub(crate) fn frame_rate(&self) -> u16 {
        self.rungs.iter().map(|rung| rung.frame_rate).max().unwrap_or_default()
    }

    /// Whether no layer with pictures of its size has more frames.
    fn is_fastest(&self, rung: &Rung) -> bool {
        let same = |other: &&Rung| {
            other.layer.encoding == rung.layer.encoding && other.layer.spatial == rung.layer.spatial
        };
        self.rungs.iter().filter(same).all(|other| other.layer.temporal <= rung.layer.temporal)
    }

    /// The layer that is really there of one that reaches further.
    pub(crate) fn clip(&self, layer: Layer) -> Layer {
        let mut within = self.rungs.iter().filter(|rung| layer.includes(rung.layer));
        within.next_back().map_or(Layer { encoding: layer.encoding, ..Layer::default() }, |rung| rung.layer)
    }

    /// The same with what it is measured to be; nothing is known of a layer that is not there.
    pub(crate) fn measured(&self, layer: Layer) -> Rung {
        let layer = self.clip(layer);
        let unknown = Rung { layer, bitrate: Bitrate::ZERO, frame_rate: 0, resolution: None };
        self.rungs.iter().find(|rung| rung.layer == layer).copied().unwrap_or(unknown)
    }
}

fn pixels(size: Resolution) -> u32 {
    u32::from(size.width) * u32::from(size.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose layers have so many bytes in each of 30 frames a second, for a second.
    fn meter(layers: &[(u8, u8, u16, u64)], height: Option<u16>) -> Meter {
        let mut meter = Meter::new(Instant::ZERO);
        for millis in 0..1_000 {
            for (spatial, temporal, bytes, every) in layers {
                if millis % every == 0 {
                    let layer = Layer { encoding: 0, spatial: *spatial, temporal: *temporal };
                    meter.on_packet(Instant::from_millis(millis), layer, *bytes, true);
                }
            }
        }
        if let Some(height) = height {
            meter.on_resolution(0, Resolution { width: height * 16 / 9, height });
        }
        meter
    }

    fn ladder(mut meters: Vec<Meter>) -> Ladder {
        let (mut ladder, mut rungs, now) = (Ladder::default(), Rungs::new(), Instant::from_millis(1_000));
        for (encoding, meter) in (0u8..).zip(meters.iter_mut()) {
            meter.measure(now);
            meter.rungs(now, encoding, true, &mut rungs);
        }
        assert!(ladder.set(rungs));
        ladder
    }

    fn simulcast() -> Ladder {
        // The best comes first: its number says nothing.
        let of =
            |bytes, height| meter(&[(0, 0, bytes, 100), (0, 1, bytes, 100), (0, 2, bytes, 50)], Some(height));
        ladder(vec![of(2_500, 720), of(800, 360), of(200, 180)])
    }

    fn layer(encoding: u8, spatial: u8, temporal: u8) -> Layer {
        Layer { encoding, spatial, temporal }
    }

    #[test]
    fn layers_are_ranked_by_size_and_cost_what_they_need() {
        let ladder = simulcast();
        let rungs: Vec<_> = ladder.rungs().iter().map(|rung| (rung.layer, rung.frame_rate)).collect();
        let expected = [2, 1, 0].map(|encoding| {
            [0, 1, 2].map(|temporal| (layer(encoding, 0, temporal), [10, 20, 40][usize::from(temporal)]))
        });
        assert_eq!(rungs, expected.concat());
        let rates: Vec<_> = ladder.rungs().iter().map(|rung| rung.bitrate.as_bps() / 1_000).collect();
        assert_eq!(rates, [16, 32, 64, 64, 128, 256, 200, 400, 800]);
    }

    #[test]
    fn a_key_frame_is_no_change_of_rate_and_a_change_is_followed_in_seconds() {
        let mut meter = Meter::new(Instant::ZERO);
        // Ten frames in each quarter of a second.
        let mut quarter = |at: u64, bytes: u16, key: u16| {
            for frame in 0..10 {
                let now = Instant::from_millis(250 * at + 25 * frame);
                meter.on_packet(now, Layer::default(), if frame == 0 { key } else { bytes }, true);
            }
            meter.measure(Instant::from_millis(250 * (at + 1)));
            meter.counts[0].bitrate / 1_000
        };
        // A picture begins with a key frame.
        let start: Vec<_> = (0..8).map(|at| quarter(at, 500, if at == 0 { 5_000 } else { 500 })).collect();
        assert_eq!((start[0], start[7]), (304, 178));
        let flat = (8..24).map(|at| quarter(at, 500, 500)).last();
        assert_eq!(flat, Some(162));
        let key = quarter(24, 500, 8_000);
        assert!(key <= 162 * 17 / 16, "{key}");
        let doubled: Vec<_> = (25..41).map(|at| quarter(at, 1_000, 1_000)).collect();
        assert!(doubled[3] > 200 && doubled[11] > 280 && doubled[15] <= 320, "{doubled:?}");
        // A screen that was still is scrolled.
        let leapt: Vec<_> = (41..57).map(|at| quarter(at, 50_000, 50_000)).collect();
        assert!(leapt[1] > 2_000 && leapt[7] > 8_000 && leapt[15] > 13_000, "{leapt:?}");
    }

    #[test]
    fn slow_layers_have_their_rate() {
        for (millis, bytes) in [(1_000, 5_000), (700, 4_000), (400, 5_000)] {
            let mut meter = Meter::new(Instant::ZERO);
            for quarter in 1..240 {
                let (from, to) = (250 * (quarter - 1), 250 * quarter);
                for at in (from..to).filter(|at| at % millis == 0) {
                    meter.on_packet(Instant::from_millis(at), Layer::default(), bytes, true);
                }
                meter.measure(Instant::from_millis(to));
            }
            let (found, right) = (u64::from(meter.counts[0].bitrate), u64::from(bytes) * 8_000 / millis);
            assert!(found.abs_diff(right) < right / 5, "{found} of {right}");
        }
    }

    #[test]
    fn a_wish_gets_the_best_within_it() {
        let ladder = simulcast();
        let choose = |wish: Wish| ladder.choose(&wish);
        assert_eq!(choose(Wish::default()), Some(Layer::whole(0)));
        assert_eq!(choose(Wish { max_height: Some(400), ..Wish::default() }), Some(Layer::whole(1)));
        assert_eq!(choose(Wish { max_height: Some(90), ..Wish::default() }), Some(Layer::whole(2)));
        assert_eq!(choose(Wish { max_frame_rate: Some(20), ..Wish::default() }), Some(layer(0, 0, 1)));
        assert_eq!(
            choose(Wish { max_bitrate: Some(Bitrate::from_kbps(500)), ..Wish::default() }),
            Some(layer(0, 0, 1))
        );
        // Ten frames a second are not worth the larger picture.
        assert_eq!(
            choose(Wish { max_bitrate: Some(Bitrate::from_kbps(300)), ..Wish::default() }),
            Some(Layer::whole(1))
        );
        assert_eq!(
            choose(Wish { max_bitrate: Some(Bitrate::from_kbps(20)), ..Wish::default() }),
            Some(layer(2, 0, 0))
        );
        assert_eq!(choose(Wish { max_bitrate: Some(Bitrate::from_kbps(15)), ..Wish::default() }), None);
        assert_eq!(choose(Wish { paused: true, ..Wish::default() }), None);
    }
}
