//! What is promised of the allocator, by exhaustive search, by properties and in virtual time.

mod optimum;
mod properties;
mod rules;
mod stability;

use super::*;
use crate::base::random::Random;

/// A stream as a test describes it.
#[derive(Debug, Clone)]
struct Given {
    key: u64,
    class: u8,
    weight: u8,
    layers: Vec<Layer>,
}

impl Given {
    fn stream(&self) -> Stream<'_> {
        let (class, weight, layers) = (self.class, self.weight, &self.layers[..]);
        Stream { class, weight, layers, forwarded: None, most: Reason::All }
    }

    /// What it is worth with nothing or one of its layers, by the documented formula.
    fn worth(&self, layer: Option<usize>) -> u64 {
        let class = CLASSES[usize::from(self.class).min(CLASSES.len() - 1)];
        let points = layer.map_or(0, |at| class * (PRESENCE + u32::from(self.layers[at].utility)));
        u64::from(points) * u64::from(self.weight)
    }

    fn rate(&self, layer: Option<usize>) -> u64 {
        layer.map_or(0, |at| self.layers[at].rate.as_bps())
    }
}

/// Decides all by the budget alone.
const PLAIN: Config = Config { margin: 0, least_video: Bitrate::ZERO };

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn kbps(kbps: u64) -> Bitrate {
    Bitrate::from_kbps(kbps)
}

fn allocator(config: Config, given: &[Given]) -> Allocator<u64> {
    let mut allocator = Allocator::new(config);
    for one in given {
        assert!(allocator.set_stream(one.key, one.stream()));
    }
    allocator
}

/// What new streams get of a budget.
fn decided(given: &[Given], budget: Bitrate) -> Allocator<u64> {
    let mut allocator = allocator(PLAIN, given);
    allocator.set_budget(at(0), budget);
    allocator.allocate(at(0));
    allocator
}

fn layer_of(allocator: &Allocator<u64>, key: u64) -> Option<usize> {
    allocator.grant(key).expect("a stream").layer
}

/// The rate and the worth of all that is granted.
fn sums(allocator: &Allocator<u64>, given: &[Given]) -> (u64, u64) {
    let granted = given.iter().map(|one| (one, layer_of(allocator, one.key)));
    granted.fold((0, 0), |(rate, worth), (one, layer)| (rate + one.rate(layer), worth + one.worth(layer)))
}

/// What all layers together take.
fn top(given: &[Given]) -> u64 {
    given.iter().map(|one| one.layers.iter().map(|layer| layer.rate.as_bps()).max().unwrap_or(0)).sum()
}

/// Three sizes with three frame rates each, as a browser sends them, some so many percent larger or smaller.
fn simulcast(random: &mut Random, spread: u64) -> Vec<Layer> {
    let scale = 100 - spread + random.below(2 * spread + 1);
    let mut layers = Vec::new();
    for (kbps, pixels) in [(150, 320 * 180), (500, 640 * 360), (1_700, 1_280 * 720)] {
        for (frame_rate, percent) in [(7, 50), (15, 70), (30, 100)] {
            let jitter = 970 + random.below(61);
            let rate = Bitrate::from_bps(kbps * percent * scale * jitter / 10_000);
            layers.push(Layer { rate, utility: utility(rate, Some(Picture { pixels, frame_rate }), 30) });
        }
    }
    layers
}

/// A room as its embedder sees it: one speaks, one shares a screen, three are pinned.
fn room(random: &mut Random, streams: u64, spread: u64) -> Vec<Given> {
    let class = |key| [0, 1, 2, 2, 2].get(key as usize).copied().unwrap_or(3);
    let given = |key| Given { key, class: class(key), weight: 4, layers: simulcast(random, spread) };
    (0..streams).map(given).collect()
}

/// Anything at all.
fn wild(random: &mut Random, streams: u64, most_layers: u64) -> Vec<Given> {
    let mut number = |bound| random.below(bound);
    let mut given = Vec::new();
    for key in 0..streams {
        let layer = |number: &mut dyn FnMut(u64) -> u64| Layer {
            rate: Bitrate::from_bps(10_000 + number(2_000_000)),
            utility: 1 + number(120) as u8,
        };
        let layers = (0..number(most_layers + 1)).map(|_| layer(&mut number)).collect();
        given.push(Given { key, class: number(5) as u8, weight: 1 + number(16) as u8, layers });
    }
    given
}

/// A room in which who speaks, shares a screen or is pinned has a single large layer, as publishers without simulcast
/// have, and so has one in ten of the others: where that does not fit it leaves a large hole.
fn mixed(random: &mut Random, streams: u64) -> Vec<Given> {
    let mut given = room(random, streams, 15);
    for one in &mut given {
        if random.below(if one.class < 3 { 2 } else { 10 }) == 0 {
            let rate = Bitrate::from_bps(1_000_000 + random.below(2_000_000));
            one.layers = vec![Layer { rate, utility: utility(rate, None, 0) }];
        }
    }
    given
}
