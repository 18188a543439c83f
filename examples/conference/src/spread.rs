//! How values are spread: a histogram with bounds that are known before.

/// Counts of values by the first bound that they do not exceed.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them.
    counts: Vec<u64>,
    sum: f64,
}

impl Spread {
    /// An empty one; bounds grow.
    pub fn new(bounds: &'static [f64]) -> Spread {
        Spread { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    /// Counts a value.
    pub fn add(&mut self, value: f64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place] += 1;
        self.sum += value;
    }

    /// What all values come to.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The counts with their bounds; that of the last one is the largest number there is.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::MAX]);
        bounds.zip(self.counts.iter().copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_below_their_bound() {
        let mut spread = Spread::new(&[1.0, 10.0]);
        for value in [0.0, 1.0, 1.5, 10.0, 11.0, 1e9] {
            spread.add(value);
        }
        assert_eq!(spread.buckets(), [(1.0, 2), (10.0, 2), (f64::MAX, 2)]);
        assert_eq!((spread.count(), spread.sum()), (6, 1e9 + 23.5));
    }
}
