//! What a bottleneck can serve, in steps.

use serde::Deserialize;

use super::reading;
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// A rate in steps over time. A step of zero is a gap in the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<(f64, f64)>")]
pub struct Capacity {
    /// Each from its moment on; the first from the origin.
    steps: Vec<(Instant, Bitrate)>,
}

impl Capacity {
    /// One rate for ever.
    pub fn constant(rate: Bitrate) -> Self {
        Capacity { steps: vec![(Instant::ZERO, rate)] }
    }

    /// A rate from each moment on; `None` unless the first is the origin and each is later than the one before.
    pub fn steps(steps: Vec<(Instant, Bitrate)>) -> Option<Self> {
        let starts = steps.first()?.0 == Instant::ZERO;
        let ascends = steps.windows(2).all(|pair| pair[0].0 < pair[1].0);
        (starts && ascends).then_some(Capacity { steps })
    }

    /// The rate at a moment.
    pub fn at(&self, at: Instant) -> Bitrate {
        // There is always a first step.
        self.steps[self.index_at(at)].1
    }

    /// The largest rate of all steps.
    pub fn largest(&self) -> Bitrate {
        self.steps.iter().map(|step| step.1).max().unwrap_or_default()
    }

    /// The moments at which the rate changes, the origin included.
    pub fn moments(&self) -> impl Iterator<Item = Instant> {
        self.steps.iter().map(|step| step.0)
    }

    /// When `size` bytes are served that begin at `start`, both in nanoseconds; `None` if never.
    pub(super) fn served_at(&self, start: u64, size: usize) -> Option<u64> {
        // In bits times nanoseconds per second, so that a rate times nanoseconds is exact.
        let mut work = size as u128 * 8 * 1_000_000_000;
        let mut at = u128::from(start);
        let first = self.index_at(Instant::from_micros(start / 1_000));
        for (index, (_, rate)) in self.steps.iter().enumerate().skip(first) {
            let rate = u128::from(rate.as_bps());
            if let Some((end, _)) = self.steps.get(index + 1) {
                let end = u128::from(end.as_micros()) * 1_000;
                let possible = rate * end.saturating_sub(at);
                if possible < work {
                    work -= possible;
                    at = end;
                    continue;
                }
            }
            return if rate > 0 { u64::try_from(at + work.div_ceil(rate)).ok() } else { None };
        }
        None
    }

    fn index_at(&self, at: Instant) -> usize {
        self.steps.partition_point(|step| step.0 <= at).saturating_sub(1)
    }
}

impl TryFrom<Vec<(f64, f64)>> for Capacity {
    type Error = String;

    /// From pairs of seconds and kbit/s.
    fn try_from(pairs: Vec<(f64, f64)>) -> Result<Self, String> {
        let mut steps = Vec::with_capacity(pairs.len());
        for (seconds, kbps) in pairs {
            let moment = Instant::from_micros(reading::scaled(seconds, 1e6)?);
            steps.push((moment, Bitrate::from_bps(reading::scaled(kbps, 1e3)?)));
        }
        Capacity::steps(steps).ok_or_else(|| "capacity begins at 0 s and its steps ascend".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    fn steps(of: &[(f64, f64)]) -> Capacity {
        Capacity::try_from(of.to_vec()).expect("ascending steps")
    }

    #[test]
    fn service_takes_bits_over_rate() {
        // 1,200 bytes are 9,600 bits.
        let capacity = Capacity::constant(Bitrate::from_kbps(1_000));
        assert_eq!(capacity.served_at(5 * MILLI, 1_200), Some(14_600_000));
    }

    #[test]
    fn service_integrates_over_steps_and_gaps() {
        // 4 ms at 1 Mbit/s serve 4,000 bits, a gap of 10 ms nothing, 5,600 bits at 2 Mbit/s take 2.8 ms.
        let capacity = steps(&[(0.0, 1_000.0), (1.0, 0.0), (1.01, 2_000.0)]);
        assert_eq!(capacity.served_at(996 * MILLI, 1_200), Some(1_012_800_000));
    }

    #[test]
    fn a_last_step_of_zero_never_serves() {
        assert_eq!(steps(&[(0.0, 1_000.0), (1.0, 0.0)]).served_at(999 * MILLI, 1_200), None);
    }

    #[test]
    fn what_does_not_ascend_from_the_origin_is_refused() {
        for wrong in [&[][..], &[(1.0, 5.0)], &[(0.0, 5.0), (0.0, 6.0)], &[(0.0, -1.0)], &[(0.0, f64::NAN)]] {
            assert!(Capacity::try_from(wrong.to_vec()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rate_at_a_moment_is_the_step_begun() {
        let capacity = steps(&[(0.0, 1_000.0), (40.0, 2_500.0), (60.0, 600.0)]);
        let at = |millis| capacity.at(Instant::from_millis(millis)).as_bps() / 1_000;
        assert_eq!((at(0), at(39_999), at(40_000), at(99_000)), (1_000, 1_000, 2_500, 600));
        assert_eq!(capacity.largest(), Bitrate::from_kbps(2_500));
    }
}
