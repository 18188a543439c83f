//! Networks drawn at random, of kinds that no kept scenario has to be like.

use std::time::Duration;

use super::capacity::Capacity;
use super::direction::{Direction, PolicerConfig, Reorder};
use super::draws::Draws;
use super::gaps::Gaps;
use super::loss::BurstLoss;
use super::queue::Aqm;
use super::scenario::{ConstantConfig, FlowConfig, Goals, Scenario, SourceConfig, TransferConfig};
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// How long each of them runs, in seconds.
const SECONDS: f64 = 40.0;

/// The network that belongs to a seed: 40 s of one to three media flows over a path from 80 kbit/s to 50 Mbit/s,
/// steady, in steps or walking like radio, with any of what else a path may do to packets, feedback and clocks.
pub fn random_scenario(seed: u64) -> Scenario {
    let mut bytes = *b"a network drawn from its seed...";
    bytes[24..].copy_from_slice(&seed.to_le_bytes());
    Drawing { draws: Draws::new(Random::new(bytes)), about: String::new() }.scenario(seed)
}

struct Drawing {
    draws: Draws,
    about: String,
}

impl Drawing {
    fn scenario(mut self, seed: u64) -> Scenario {
        let middle = self.draws.between_log(120.0, 25_000.0);
        let forward = self.forward(middle);
        let reverse = self.reverse(&forward);
        let count = 1 + (self.draws.uniform() * 3.0) as usize;
        let flows = (0..count).map(|_| self.flow(middle / count as f64)).collect();
        let transfers = self.transfers(middle);
        let constants = self.constants(middle);
        Scenario {
            name: format!("random-{seed}"),
            about: format!("About {middle:.0} kbit/s, {count} flows{}", self.about),
            end: seconds(SECONDS),
            forward,
            reverse,
            flows,
            transfers,
            constants,
            goals: Goals::default(),
        }
    }

    /// Whether the path has a trait, which then is named.
    fn has(&mut self, probability: f64, name: &str) -> bool {
        let has = self.draws.chance(probability);
        if has {
            self.about.push_str(", ");
            self.about.push_str(name);
        }
        has
    }

    fn forward(&mut self, middle: f64) -> Direction {
        let mut direction = Direction {
            capacity: Some(self.capacity(middle)),
            gaps: self.has(0.2, "gaps").then(|| self.gaps()),
            queue: Some(self.queue()),
            queue_reference: Some(rate(middle)),
            policer: self.has(0.12, "policer").then(|| PolicerConfig {
                rate: rate(middle * self.draws.between(0.5, 1.0)),
                burst: self.draws.between_log(4_000.0, 100_000.0) as u64,
            }),
            ..self.way()
        };
        if self.has(0.15, "CoDel") {
            direction.aqm = Aqm::Codel;
        }
        if self.has(0.2, "route changes") {
            direction.delay_steps = self.route(direction.delay);
        }
        direction
    }

    /// As long, but with capacity and losses of its own.
    fn reverse(&mut self, forward: &Direction) -> Direction {
        let narrow = self.has(0.2, "narrow way back");
        let capacity = narrow.then(|| Capacity::constant(rate(self.draws.between_log(80.0, 600.0))));
        let mut direction = Direction { capacity, queue: Some(self.queue()), ..self.way() };
        direction.delay = forward.delay;
        if self.has(0.2, "feedback lost") {
            direction.loss = self.draws.between(0.1, 0.3);
        }
        direction
    }

    /// What packets meet behind the bottleneck.
    fn way(&mut self) -> Direction {
        let delay = self.draws.between_log(3.0, 300.0);
        Direction {
            delay: millis(delay),
            jitter_sigma: millis(self.draws.between(0.0, (delay / 4.0).min(10.0))),
            loss: if self.has(0.15, "loss") { self.draws.between(0.002, 0.08) } else { 0.0 },
            burst_loss: self.has(0.12, "bursts of loss").then(|| BurstLoss {
                share: self.draws.between(0.002, 0.03),
                packets: self.draws.between(2.0, 15.0),
            }),
            reorder: self.has(0.12, "late packets").then(|| Reorder {
                share: self.draws.between(0.005, 0.08),
                by: millis(self.draws.between(3.0, 60.0)),
            }),
            ..Direction::default()
        }
    }

    fn queue(&mut self) -> Duration {
        let (low, high) = match (self.draws.uniform() * 4.0) as u8 {
            0 => (10.0, 40.0),
            1 => (600.0, 2_000.0),
            _ => (100.0, 500.0),
        };
        millis(self.draws.between_log(low, high))
    }

    fn gaps(&mut self) -> Gaps {
        let every = self.draws.between_log(10.0, 100.0);
        let longest = every * self.draws.between(0.2, 0.8);
        Gaps { every: (millis(every), millis(every * 2.0)), lasts: (millis(longest / 3.0), millis(longest)) }
    }

    fn capacity(&mut self, middle: f64) -> Capacity {
        let steps = if self.has(0.3, "radio") {
            let fades = self.has(0.5, "fades");
            self.walk(middle, fades)
        } else if self.has(0.6, "steps") {
            self.steps(middle)
        } else {
            vec![(Instant::ZERO, rate(middle))]
        };
        Capacity::steps(steps).unwrap_or_else(|| Capacity::constant(rate(middle)))
    }

    fn steps(&mut self, middle: f64) -> Vec<(Instant, Bitrate)> {
        let mut steps = Vec::new();
        let mut at = 0.0;
        while at < SECONDS {
            steps.push((seconds(at), rate(middle * self.draws.between_log(0.3, 3.0))));
            at += self.draws.between(4.0, 20.0);
        }
        steps
    }

    /// A new rate each 50 to 500 ms, drawn back to the middle; in a fade hardly any.
    fn walk(&mut self, middle: f64, fades: bool) -> Vec<(Instant, Bitrate)> {
        let stride = self.draws.between(0.05, 0.35);
        let (mut at, mut factor) = (0.0, 1.0_f64);
        let (mut fade, mut faded) = (self.draws.exponential() * 10.0, 0.0);
        let mut steps = Vec::new();
        while at < SECONDS {
            let stretch = 1.0 + stride * self.draws.gaussian().abs();
            let up = self.draws.chance(if factor > 1.0 { 0.45 } else { 0.55 });
            factor = if up { factor * stretch } else { factor / stretch }.clamp(0.1, 8.0);
            if fades && fade <= at {
                faded = at + self.draws.between(0.3, 2.0);
                fade = faded + self.draws.exponential() * 10.0;
            }
            let now = if at < faded { self.draws.between(0.02, 0.1) } else { factor };
            steps.push((seconds(at), rate((middle * now).max(40.0))));
            at += self.draws.between(0.05, 0.5);
        }
        steps
    }

    fn route(&mut self, delay: Duration) -> Vec<(Instant, Duration)> {
        let mut steps = Vec::new();
        let mut at = self.draws.between(5.0, 15.0);
        while at < SECONDS {
            steps.push((seconds(at), delay + millis(self.draws.between(0.0, 200.0))));
            at += self.draws.between(5.0, 15.0);
        }
        steps
    }

    /// A flow whose part of the path is about `part` kbit/s.
    fn flow(&mut self, part: f64) -> FlowConfig {
        let most = part * self.draws.between_log(0.5, 4.0);
        let source = if self.draws.chance(0.5) {
            let layers = [0.06, 0.2, 0.5, 1.0].map(|share| rate((most * share).max(60.0)));
            SourceConfig::Ladder { layers: layers.to_vec() }
        } else {
            SourceConfig::Encoder { min: rate((most * 0.05).clamp(30.0, 300.0)), max: rate(most.max(60.0)) }
        };
        let pauses = if self.has(0.2, "pause") { vec![(seconds(12.0), seconds(22.0))] } else { Vec::new() };
        let drifts = self.has(0.3, "drift");
        FlowConfig {
            start: seconds(self.draws.between(0.0, 5.0)),
            backward: false,
            delay: None,
            initial: Bitrate::from_kbps(300),
            audio: rate(if part < 150.0 { 16.0 } else { 40.0 }),
            pauses,
            feedback: millis(if self.has(0.2, "rare feedback") {
                self.draws.between(100.0, 250.0)
            } else {
                50.0
            }),
            clock_ahead: millis(self.draws.between(0.0, 1e6)),
            clock_drift: if drifts { self.draws.between(-200.0, 200.0) } else { 0.0 },
            source,
        }
    }

    fn transfers(&mut self, middle: f64) -> Vec<TransferConfig> {
        if !self.has(0.2, "TCP") {
            return Vec::new();
        }
        let start = self.draws.between(3.0, 12.0);
        let short = self.draws.chance(0.5);
        // From half a second to five of the path.
        let size = ((middle * 60.0) as u64, (middle * 600.0) as u64);
        vec![TransferConfig {
            count: 1 + (self.draws.uniform() * 3.0) as usize,
            backward: self.draws.chance(0.25),
            start: seconds(start),
            stop: Some(seconds(start + self.draws.between(5.0, 20.0))),
            size: short.then_some(size),
            pause: short.then_some(Duration::from_secs(2)),
        }]
    }

    /// Traffic that comes and goes.
    fn constants(&mut self, middle: f64) -> Vec<ConstantConfig> {
        let mut found = Vec::new();
        if !self.has(0.2, "cross traffic") {
            return found;
        }
        let mut at = self.draws.between(1.0, 8.0);
        while at < SECONDS {
            let stop = at + self.draws.between(0.3, 6.0);
            found.push(ConstantConfig {
                backward: false,
                start: seconds(at),
                stop: Some(seconds(stop)),
                rate: rate(middle * self.draws.between(0.1, 0.7)),
            });
            at = stop + self.draws.between(0.5, 8.0);
        }
        found
    }
}

fn seconds(seconds: f64) -> Instant {
    Instant::from_micros((seconds * 1e6) as u64)
}

fn millis(millis: f64) -> Duration {
    Duration::from_micros((millis * 1e3) as u64)
}

fn rate(kbps: f64) -> Bitrate {
    Bitrate::from_bps((kbps * 1e3) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Aimd, Figures, Settings, run};

    #[test]
    fn a_seed_is_one_network_that_can_be_simulated() {
        assert_eq!(random_scenario(7), random_scenario(7));
        for seed in 0..300 {
            let scenario = random_scenario(seed);
            assert_eq!(scenario.fault(), None, "{seed}: {}", scenario.about);
            assert!((1..=3).contains(&scenario.flows.len()));
        }
    }

    #[test]
    fn every_trait_is_drawn_now_and_then() {
        let all: String = (0..300).map(|seed| random_scenario(seed).about).collect();
        for name in [
            "radio",
            "fades",
            "steps",
            "gaps",
            "policer",
            "CoDel",
            "route changes",
            "narrow way back",
            "lost",
            "loss",
            "bursts",
            "late",
            "pause",
            "drift",
            "rare feedback",
            "TCP",
            "cross traffic",
        ] {
            let count = all.matches(name).count();
            assert!(count >= 15, "{name}: {count}");
        }
    }

    #[test]
    fn a_toy_survives_some_of_them() {
        for seed in 0..6 {
            let scenario = random_scenario(seed);
            let settings = Settings { seed, ..Settings::default() };
            let run = run(&scenario, settings, |flow| Box::new(Aimd::new(flow.initial)));
            let figures = Figures::of(&run);
            assert!(
                figures.utilisation > 0.02 && figures.drops < 0.9,
                "{seed}: {}: {figures:?}",
                scenario.about
            );
        }
    }
}
