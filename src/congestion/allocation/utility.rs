//! What a layer is worth to who looks at it, where the embedder does not say it otherwise.

use crate::base::limits;
use crate::base::units::Bitrate;

/// The pictures of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Picture {
    /// Width times height.
    pub pixels: u32,
    /// Frames in a second; 0 if that is not known.
    pub frame_rate: u16,
}

/// Points of 320 x 180 pixels with all their frames, and of each doubling of the pixels.
const SHARP: u64 = 20;
const SHARPER: u64 = 4;
/// Parts of a point, and of a doubling.
const PARTS: u64 = 16;
const SMALL: u32 = 320 * 180;
/// Of a thousand: what enough frames are worth, the rest is for twice as many.
const SMOOTH: u64 = 920;

/// The utility of a layer, in points: concave in pixels and in frames.
///
/// 320 x 180 has 20, each doubling of the pixels 4 more: 640 x 360 has 28, 1280 x 720 has 36, 1920 x 1080 has 41.
/// That is for 30 frames in a second; 15 are worth 92 % of it, fewer in proportion less, so that a larger picture is
/// not worth few frames but is worth the second fifteen. `fastest` is the most frames in a second that the source has
/// in any layer: with a screen of 5 frames, 5 are enough. Where the picture is not known it is taken for as large as
/// it usually is at the rate: a pixel for 3 bits in a second.
pub fn utility(rate: Bitrate, picture: Option<Picture>, fastest: u16) -> u8 {
    let usual = u32::try_from(rate.as_bps() / 3).unwrap_or(u32::MAX);
    let pixels = picture.map_or(usual, |picture| picture.pixels).max(1);
    let sharp = (SHARP * PARTS + SHARPER * doublings(pixels)).saturating_sub(SHARPER * doublings(SMALL));
    let frames = picture.map(|picture| picture.frame_rate).filter(|frames| *frames > 0);
    let thousandths = frames.map_or(1_000, |frames| smooth(frames.into(), fastest.into()));
    let points = (sharp.max(PARTS * SHARPER) * thousandths + PARTS * 500) / (PARTS * 1_000);
    u8::try_from(points.max(1)).unwrap_or(u8::MAX)
}

/// The logarithm to base 2 in sixteenths, straight between powers of two.
fn doublings(pixels: u32) -> u64 {
    let whole = u64::from(pixels.max(1).ilog2());
    whole * PARTS + ((u64::from(pixels) * PARTS) >> whole) - PARTS
}

/// What so many frames in a second are worth, of a thousand.
fn smooth(frames: u64, fastest: u64) -> u64 {
    let enough = u64::from(limits::SMOOTH_FRAME_RATE).min(fastest.max(1));
    let more = frames.saturating_sub(enough).min(enough);
    SMOOTH * frames.min(enough) / enough + (1_000 - SMOOTH) * more / enough
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(width: u32, height: u32, frame_rate: u16) -> u8 {
        utility(Bitrate::ZERO, Some(Picture { pixels: width * height, frame_rate }), 30)
    }

    #[test]
    fn sizes_and_frames_have_the_points_that_are_documented() {
        let sizes = [(320, 180), (640, 360), (1_280, 720), (1_920, 1_080)];
        assert_eq!(sizes.map(|(width, height)| of(width, height, 30)), [20, 28, 36, 41]);
        assert_eq!(sizes.map(|(width, height)| of(width, height, 15)), [18, 26, 33, 37]);
        assert_eq!([of(1, 1, 30), of(320, 180, 0), of(65_535, 65_535, 60)], [4, 20, 85]);
    }

    #[test]
    fn smooth_comes_before_sharp_and_enough_frames_before_more() {
        for (small, large) in
            [((320, 180), (640, 360)), ((640, 360), (1_280, 720)), ((320, 180), (1_280, 720))]
        {
            assert!(of(large.0, large.1, 7) < of(small.0, small.1, 30), "{large:?}");
            assert!(of(large.0, large.1, 15) > of(small.0, small.1, 30), "{large:?}");
        }
        assert!(of(1_920, 1_080, 15) > of(1_280, 720, 30));
    }

    #[test]
    fn a_screen_of_few_frames_is_judged_by_its_own() {
        let screen = Some(Picture { pixels: 1_920 * 1_080, frame_rate: 5 });
        assert_eq!(utility(Bitrate::ZERO, screen, 5), 37);
        assert!(utility(Bitrate::ZERO, screen, 30) < 15);
    }

    #[test]
    fn more_pixels_frames_or_bits_are_never_worth_less_and_gain_less_and_less() {
        let sizes: Vec<_> = (1..=64).map(|k| of(160 * k, 90, 30)).collect();
        assert!(sizes.is_sorted());
        assert!((sizes[63] - sizes[31]) <= (sizes[3] - sizes[1]) && sizes[63] > sizes[31]);
        assert!((1..=60).map(|frames| of(640, 360, frames)).is_sorted());
        let rates = (0..40).map(|power| utility(Bitrate::from_bps(1 << power), None, 0));
        assert!(rates.is_sorted());
    }
}
