//! Where a flow's picture comes from: an encoder that follows, or simulcast of which a layer is forwarded.

use super::draws::Draws;
use super::scenario::SourceConfig;
use crate::base::random::Random;
use crate::base::units::Bitrate;

/// Frames a second.
pub const FRAME_RATE: u64 = 30;
/// The first frame, and each key frame, in means.
const KEY: f64 = 4.0;
/// The share of a frame by which it pays a key frame back.
const PAYMENT: f64 = 0.25;
const NOISE: f64 = 0.1;

/// A flow's source of pictures, asked for a frame [`FRAME_RATE`] times a second.
#[derive(Debug, Clone)]
pub struct Source {
    config: SourceConfig,
    draws: Draws,
    /// Whether the next frame is the first of its kind.
    fresh: bool,
    layer: Option<usize>,
    /// Bytes of a key frame not yet paid back.
    debt: f64,
}

impl Source {
    /// A source as `config` says; its noise follows from `random`.
    pub fn new(config: &SourceConfig, random: Random) -> Self {
        Source { config: config.clone(), draws: Draws::new(random), fresh: true, layer: None, debt: 0.0 }
    }

    /// The bytes of the next frame, with the headers of its packets, when `room` is left for it.
    pub fn frame(&mut self, room: Bitrate) -> Option<usize> {
        let rate = match &self.config {
            SourceConfig::Encoder { min, max } => room.clamp(*min, *max),
            SourceConfig::Ladder { layers } => {
                let layer = layers.iter().rposition(|layer| *layer <= room);
                self.fresh |= layer != self.layer;
                self.layer = layer;
                layers[layer?]
            }
        };
        Some(self.size(rate.as_bps() as f64 / 8.0 / FRAME_RATE as f64))
    }

    /// Nothing is sent until the next frame, which will be a first one.
    pub fn pause(&mut self) {
        self.fresh = true;
        self.layer = None;
    }

    /// The layer of the last frame; `None` if none was forwarded.
    pub fn layer(&self) -> Option<usize> {
        self.layer
    }

    /// Whether it has layers.
    pub fn is_ladder(&self) -> bool {
        matches!(self.config, SourceConfig::Ladder { .. })
    }

    /// What is worth sustaining, and the most, sound not included.
    pub fn demand(&self) -> (Bitrate, Bitrate) {
        match &self.config {
            SourceConfig::Encoder { max, .. } => (*max, *max),
            SourceConfig::Ladder { layers } => {
                let next = self.layer.map_or(0, |layer| layer + 1).min(layers.len() - 1);
                (layers[next], layers[layers.len() - 1])
            }
        }
    }

    fn size(&mut self, mean: f64) -> usize {
        let noisy = mean * (1.0 + NOISE * self.draws.gaussian());
        let size = if std::mem::take(&mut self.fresh) {
            self.debt = (KEY - 1.0) * mean;
            KEY * noisy
        } else {
            let payment = self.debt.min(PAYMENT * noisy);
            self.debt -= payment;
            noisy - payment
        };
        size as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kbps(kbps: u64) -> Bitrate {
        Bitrate::from_kbps(kbps)
    }

    fn source(config: SourceConfig) -> Source {
        Source::new(&config, Random::new([4; 32]))
    }

    fn ladder() -> Source {
        source(SourceConfig::Ladder { layers: [150, 500, 1_500].map(kbps).to_vec() })
    }

    #[test]
    fn a_first_frame_is_four_means_and_paid_back() {
        let mut source = source(SourceConfig::Encoder { min: kbps(150), max: kbps(1_500) });
        let mut frames = || source.frame(kbps(1_200)).expect("a frame") as f64;
        // 1.2 Mbit/s are 5,000 bytes a frame.
        assert!((14_000.0..26_000.0).contains(&frames()));
        let payback: f64 = (0..12).map(|_| frames()).sum();
        assert!((payback / 12.0 - 3_750.0).abs() < 300.0, "{payback}");
        let later: f64 = (0..300).map(|_| frames()).sum();
        assert!((later / 300.0 - 5_000.0).abs() < 100.0, "{later}");
    }

    #[test]
    fn an_encoder_keeps_its_bounds() {
        let mut source = source(SourceConfig::Encoder { min: kbps(240), max: kbps(480) });
        source.frame(kbps(300));
        let mut mean = |room| (0..400).filter_map(|_| source.frame(kbps(room))).sum::<usize>() as f64 / 400.0;
        assert!((mean(5_000) - 2_000.0).abs() < 50.0);
        assert!((mean(10) - 1_000.0).abs() < 30.0);
        assert_eq!(source.demand(), (kbps(480), kbps(480)));
    }

    #[test]
    fn a_ladder_takes_the_highest_layer_that_fits_with_a_key_frame_at_each_change() {
        let mut ladder = ladder();
        assert_eq!((ladder.frame(kbps(149)), ladder.layer(), ladder.demand().0), (None, None, kbps(150)));
        let key = |size: Option<usize>, mean: usize| size.expect("a frame") > 2 * mean;
        assert!(key(ladder.frame(kbps(500)), 2_083));
        assert_eq!((ladder.layer(), ladder.demand()), (Some(1), (kbps(1_500), kbps(1_500))));
        assert!(!key(ladder.frame(kbps(1_499)), 2_083));
        assert!(key(ladder.frame(kbps(1_500)), 6_250));
        assert!(key(ladder.frame(kbps(160)), 625));
        assert_eq!(ladder.layer(), Some(0));
    }

    #[test]
    fn after_a_pause_comes_a_key_frame() {
        let mut ladder = ladder();
        ladder.frame(kbps(150));
        assert!(ladder.frame(kbps(150)).expect("a frame") < 1_000);
        ladder.pause();
        assert_eq!(ladder.layer(), None);
        assert!(ladder.frame(kbps(150)).expect("a frame") > 1_500);
    }
}
