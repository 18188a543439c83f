//! The congestion window of CUBIC (RFC 9438), in segments.

use std::time::Duration;

use crate::base::time::Instant;

const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Growth per round trip that shares fairly with Reno at this beta.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// RFC 6928.
const INITIAL: f64 = 10.0;

/// A congestion window.
#[derive(Debug, Clone)]
pub(super) struct Cubic {
    window: f64,
    threshold: f64,
    /// Where the curve levels off, W_max.
    before: f64,
    /// The window before the last reduction, cwnd_prior.
    prior: f64,
    /// The stage of growth since it.
    epoch: Option<Epoch>,
}

#[derive(Debug, Clone, Copy)]
struct Epoch {
    start: Instant,
    /// Seconds until the window is back at W_max.
    k: f64,
    /// What Reno would have.
    reno: f64,
}

impl Cubic {
    pub(super) fn new() -> Self {
        Cubic { window: INITIAL, threshold: f64::INFINITY, before: 0.0, prior: 0.0, epoch: None }
    }

    /// Segments that may be in flight.
    pub(super) fn window(&self) -> f64 {
        self.window
    }

    /// A segment was acknowledged outside of recovery.
    pub(super) fn on_ack(&mut self, now: Instant, round_trip: Duration) {
        if self.window < self.threshold {
            self.window += 1.0;
            return;
        }
        let mut epoch = self.epoch.unwrap_or_else(|| self.begin(now));
        let elapsed = (now - epoch.start).as_secs_f64();
        epoch.reno += if epoch.reno < self.prior { ALPHA } else { 1.0 } / self.window;
        if self.curve(elapsed, epoch.k) < epoch.reno {
            self.window = self.window.max(epoch.reno);
        } else {
            let target = self.curve(elapsed + round_trip.as_secs_f64(), epoch.k);
            let target = target.clamp(self.window, 1.5 * self.window);
            self.window += (target - self.window) / self.window;
        }
        self.epoch = Some(epoch);
    }

    /// Segments were lost, for the first time in this window.
    pub(super) fn on_loss(&mut self) {
        // Fast convergence: who has to give way again makes more room.
        self.before = if self.window < self.before { self.window * (1.0 + BETA) / 2.0 } else { self.window };
        self.prior = self.window;
        self.threshold = (self.window * BETA).max(2.0);
        self.window = self.threshold;
        self.epoch = None;
    }

    /// Nothing came back in time.
    pub(super) fn on_timeout(&mut self) {
        self.on_loss();
        self.window = 1.0;
    }

    fn begin(&mut self, now: Instant) -> Epoch {
        self.before = self.before.max(self.window);
        Epoch { start: now, k: cube_root((self.before - self.window) / C), reno: self.window }
    }

    /// W_cubic(t).
    fn curve(&self, t: f64, k: f64) -> f64 {
        let x = t - k;
        C * x * x * x + self.before
    }
}

/// By Newton's method: the library's differs between platforms.
fn cube_root(value: f64) -> f64 {
    let mut x = value.max(1.0);
    for _ in 0..60 {
        x = (2.0 * x + value / (x * x)) / 3.0;
    }
    if value > 0.0 { x } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(100);

    /// Acknowledges each window within its round trip.
    fn rounds(cubic: &mut Cubic, from: u64, count: u64) -> Vec<f64> {
        let mut found = Vec::new();
        for round in from..from + count {
            let acks = cubic.window() as u64;
            (0..acks).for_each(|_| cubic.on_ack(Instant::from_millis(round * 100), ROUND));
            found.push(cubic.window());
        }
        found
    }

    #[test]
    fn slow_start_doubles_each_round() {
        assert_eq!(rounds(&mut Cubic::new(), 0, 4), [20.0, 40.0, 80.0, 160.0]);
    }

    #[test]
    fn window_returns_to_where_it_was_after_k() {
        let mut cubic = Cubic::new();
        rounds(&mut cubic, 0, 4);
        cubic.on_loss();
        assert_eq!(cubic.window(), 112.0);
        // K is the cube root of 48 / 0.4: 4.93 s.
        let windows = rounds(&mut cubic, 10, 70);
        assert!(windows[20] > 140.0 && windows[30] < 160.0, "{windows:?}");
        assert!((windows[49] - 160.0).abs() < 1.0, "{}", windows[49]);
        // Two seconds past it, 0.4 x 2^3 above.
        assert!((windows[69] - 163.2).abs() < 1.0, "{}", windows[69]);
    }

    #[test]
    fn small_windows_grow_like_reno() {
        let mut cubic = Cubic::new();
        cubic.on_loss();
        let windows = rounds(&mut cubic, 0, 5);
        // 7 segments, more by 0.53 a round: faster than the curve here.
        assert!((windows[4] - 9.4).abs() < 0.4, "{windows:?}");
    }

    #[test]
    fn who_gives_way_twice_makes_room_and_grows_by_one_from_where_it_was() {
        let mut cubic = Cubic::new();
        cubic.on_loss();
        cubic.on_loss();
        // 10, 7, 4.9: W_max is 85 % of 7, cwnd_prior 7.
        assert!((cubic.before - 5.95).abs() < 1e-9 && (cubic.prior - 7.0).abs() < 1e-9);
        let windows = rounds(&mut cubic, 0, 9);
        assert!((windows[8] - windows[7] - 1.0).abs() < 0.2, "{windows:?}");
    }

    #[test]
    fn a_timeout_starts_over_and_remembers_half() {
        let mut cubic = Cubic::new();
        rounds(&mut cubic, 0, 2);
        cubic.on_timeout();
        assert_eq!((cubic.window(), cubic.threshold), (1.0, 28.0));
    }

    #[test]
    fn cube_root_is_one() {
        for value in [0.0, 1e-3, 1.0, 120.0, 1e6] {
            assert!((cube_root(value) - value.cbrt()).abs() <= 1e-9 * value.cbrt(), "{value}");
        }
    }
}
