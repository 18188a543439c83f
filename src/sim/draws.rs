//! Draws from the distributions that a path is made of.
//!
//! They use the four operations and comparisons alone, no function of the platform's library, so that a seed means
//! the same run on every machine.

use crate::base::random::Random;

/// One purpose's draws.
#[derive(Debug, Clone)]
pub(super) struct Draws {
    random: Random,
    block: [u8; 256],
    used: usize,
}

impl Draws {
    pub(super) fn new(random: Random) -> Self {
        Draws { random, block: [0; 256], used: 256 }
    }

    /// From 0 inclusive to 1 exclusive.
    pub(super) fn uniform(&mut self) -> f64 {
        // 53 bits are what a float holds exactly.
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.uniform() < probability
    }

    /// Evenly between two.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Between two above zero, evenly in their logarithms.
    pub(super) fn between_log(&mut self, low: f64, high: f64) -> f64 {
        // Of the ratio's power, one binary digit after the other: roots are exact everywhere.
        let (mut value, mut factor, mut power) = (low, high / low, self.uniform());
        for _ in 0..24 {
            (factor, power) = (factor.sqrt(), power * 2.0);
            if power >= 1.0 {
                (value, power) = (value * factor, power - 1.0);
            }
        }
        value
    }

    /// From the normal distribution of standard deviation 1, redrawn beyond three.
    pub(super) fn gaussian(&mut self) -> f64 {
        // Rejection below the bell over [-3, 3]: cut off by construction.
        loop {
            let x = 6.0 * self.uniform() - 3.0;
            if self.uniform() < decay(x * x / 2.0) {
                return x;
            }
        }
    }

    /// From the exponential distribution of mean 1.
    pub(super) fn exponential(&mut self) -> f64 {
        // Von Neumann's method: the first number of a falling run is kept if the run's length is odd.
        let mut whole = 0.0;
        loop {
            let first = self.uniform();
            let (mut last, mut length) = (first, 1);
            loop {
                let next = self.uniform();
                if next >= last {
                    break;
                }
                (last, length) = (next, length + 1);
            }
            if length % 2 == 1 {
                return whole + first;
            }
            whole += 1.0;
        }
    }

    fn word(&mut self) -> u64 {
        if self.used == self.block.len() {
            self.random.fill(&mut self.block);
            self.used = 0;
        }
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.block[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(bytes)
    }
}

/// e^-y for y from 0 to 4.5, to nine digits.
fn decay(y: f64) -> f64 {
    let t = y / 32.0;
    let series =
        1.0 + t * (1.0 + t / 2.0 * (1.0 + t / 3.0 * (1.0 + t / 4.0 * (1.0 + t / 5.0 * (1.0 + t / 6.0)))));
    let mut power = series;
    for _ in 0..5 {
        power *= power;
    }
    1.0 / power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws() -> Draws {
        Draws::new(Random::new([5; 32]))
    }

    /// Mean and variance of 20,000 draws.
    fn moments(mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let all: Vec<f64> = (0..20_000).map(|_| draw()).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (mean, all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / all.len() as f64)
    }

    #[test]
    fn decay_is_the_exponential() {
        for i in 0..=45 {
            let y = f64::from(i) / 10.0;
            assert!((decay(y) / (-y).exp() - 1.0).abs() < 1e-8, "{y}");
        }
    }

    #[test]
    fn gaussian_has_its_moments_and_ends_at_three() {
        let mut source = draws();
        let (mean, variance) = moments(|| source.gaussian());
        // Cut at three, the variance is 0.9733.
        assert!(mean.abs() < 0.02 && (variance - 0.973).abs() < 0.03, "{mean} {variance}");
        assert!((0..20_000).all(|_| source.gaussian().abs() <= 3.0));
    }

    #[test]
    fn exponential_has_mean_and_variance_one() {
        let mut source = draws();
        let (mean, variance) = moments(|| source.exponential());
        assert!((mean - 1.0).abs() < 0.03 && (variance - 1.0).abs() < 0.08, "{mean} {variance}");
    }

    #[test]
    fn chance_hits_as_often_as_it_says() {
        let mut source = draws();
        let hits = (0..20_000).filter(|_| source.chance(0.1)).count();
        assert!((1_850..2_150).contains(&hits), "{hits}");
        assert!(!(0..1_000).any(|_| source.chance(0.0)));
    }

    #[test]
    fn what_is_even_in_logarithms_has_the_geometric_mean_in_its_middle() {
        let mut source = draws();
        let mut all: Vec<f64> = (0..20_000).map(|_| source.between_log(1.0, 100.0)).collect();
        all.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| all[(share * 20_000.0) as usize];
        assert!((at(0.5) - 10.0).abs() < 0.5 && (at(0.25) - 3.162).abs() < 0.15, "{} {}", at(0.5), at(0.25));
        assert!(at(0.0) >= 1.0 && at(0.99999) < 100.0);
        assert!((0..1_000).map(|_| source.between(-2.0, 3.0)).all(|x| (-2.0..3.0).contains(&x)));
    }
}
