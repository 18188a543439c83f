//! The engine's time: microseconds since an origin that the embedder chooses.
//!
//! Runs can be recorded and replayed because no clock is read here. Differences are
//! [`std::time::Duration`]; subtraction saturates at zero, addition at the end of time.

use std::ops::{Add, AddAssign, Sub};
use std::sync::OnceLock;
pub(crate) use std::time::Duration;

/// A moment, in microseconds since the embedder's origin. Wraps nowhere: 2^64 µs are 584,000 years.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ZERO: Instant = Instant(0);

    /// The moment `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// The moment `millis` milliseconds after the origin, saturating.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis.saturating_mul(1_000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`, zero if that lies ahead.
    pub const fn saturating_since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_sub(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;
    fn sub(self, rhs: Instant) -> Duration {
        self.saturating_since(rhs)
    }
}

/// Translates to the standard library's clock type for wrapped libraries that ask for it.
///
/// The base is arbitrary: those libraries look at differences only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StdBase(std::time::Instant);

impl StdBase {
    /// The one read of a clock in this crate; its value never reaches an output.
    pub(crate) fn new() -> Self {
        #[allow(clippy::disallowed_methods)]
        StdBase(std::time::Instant::now())
    }

    pub(crate) fn to_std(self, at: Instant) -> std::time::Instant {
        // A base read from a running machine has room for centuries; past that the time stands.
        self.0.checked_add(Duration::from_micros(at.0)).unwrap_or(self.0)
    }

    pub(crate) fn instant_of(self, at: std::time::Instant) -> Instant {
        let micros = at.saturating_duration_since(self.0).as_nanos().div_ceil(1_000);
        Instant(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// One base for the life of the process: a wrapped library may write the seconds of its clock, and two runs with the
/// same times must write the same.
pub(crate) fn clock() -> StdBase {
    static BASE: OnceLock<StdBase> = OnceLock::new();
    *BASE.get_or_init(StdBase::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let t = Instant::from_millis(5);
        assert_eq!(t - Instant::from_millis(9), Duration::ZERO);
        assert_eq!(t - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::from_micros(u64::MAX) + Duration::MAX, Instant::from_micros(u64::MAX));
    }

    #[test]
    fn a_translated_deadline_is_never_early() {
        let base = StdBase::new();
        let at = Instant::from_micros(1_234_567);
        assert_eq!(base.instant_of(base.to_std(at)), at);
        assert_eq!(base.instant_of(base.to_std(at) + Duration::from_nanos(1)), at + Duration::from_micros(1));
    }
}
