//! The clock of who sends feedback, told in few bits: put on a line that does not wrap.

use crate::base::time::{Duration, Instant};

/// What the receiver's clock may part from ours between two readings, before it is taken to have leapt.
const LEAP: Duration = Duration::from_secs(10);

/// A clock read now and then, in `bits` bits of a tick of `num / den` microseconds.
#[derive(Debug)]
pub(crate) struct ReceiverClock {
    bits: u32,
    tick: (u64, u64),
    last: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    /// When it came, by our clock.
    now: Instant,
    ticks: u64,
    /// What is added to the ticks' microseconds: leaps that were taken back.
    shift: i64,
}

impl ReceiverClock {
    /// The reference time of transport-wide feedback: 24 bits of 64 ms.
    pub(crate) fn of_transport_feedback() -> Self {
        ReceiverClock { bits: 24, tick: (64_000, 1), last: None }
    }

    /// The timestamp of RFC 8888: the middle 32 bits of a time of NTP, in 1/65,536 s.
    pub(crate) fn of_congestion_feedback() -> Self {
        ReceiverClock { bits: 32, tick: (15_625, 1_024), last: None }
    }

    /// The moment that a reading stands for, on a line of the receiver's own. A reading nearest to the one before is
    /// meant. A clock that leaps is taken to have gone on as ours did (S-BWE-06): nothing but differences means
    /// anything, and such a one is no delay.
    pub(crate) fn read(&mut self, now: Instant, raw: u32) -> Instant {
        let wrap = 1u64 << self.bits;
        let Some(last) = self.last else {
            // One wrap up, so that there is room for earlier times.
            let reading = Reading { now, ticks: wrap + u64::from(raw) % wrap, shift: 0 };
            return self.keep(reading);
        };
        let forward = u64::from(raw).wrapping_sub(last.ticks) & (wrap - 1);
        let moved = forward.cast_signed() - if forward >= wrap / 2 { wrap.cast_signed() } else { 0 };
        let ticks = last.ticks.saturating_add_signed(moved);
        let mut reading = Reading { now: now.max(last.now), ticks, shift: last.shift };
        let expected = self.micros(&last).saturating_add((reading.now - last.now).as_micros() as i64);
        let off = self.micros(&reading).saturating_sub(expected);
        if off.unsigned_abs() > LEAP.as_micros() as u64 {
            reading.shift = reading.shift.saturating_sub(off);
        }
        self.keep(reading)
    }

    fn keep(&mut self, reading: Reading) -> Instant {
        self.last = Some(reading);
        Instant::from_micros(u64::try_from(self.micros(&reading)).unwrap_or(0))
    }

    fn micros(&self, reading: &Reading) -> i64 {
        let (num, den) = self.tick;
        let micros = u128::from(reading.ticks) * u128::from(num) / u128::from(den);
        i64::try_from(micros).unwrap_or(i64::MAX).saturating_add(reading.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_bwe_01_times_that_wrap_go_on() {
        let clocks = [
            (ReceiverClock::of_transport_feedback as fn() -> ReceiverClock, 64_000.0),
            (ReceiverClock::of_congestion_feedback, 1e6 / 65_536.0),
        ];
        for (make, tick) in clocks {
            let mut clock = make();
            let wrap = 1u64 << clock.bits;
            let mut now = Instant::from_millis(3);
            let start = clock.read(now, (wrap - 40) as u32);
            for step in 1..100u64 {
                now += Duration::from_micros(tick as u64);
                let raw = ((wrap - 40 + step) % wrap) as u32;
                let read = clock.read(now, raw);
                let passed = (read - start).as_micros() as f64;
                assert!((passed - step as f64 * tick).abs() <= 1.0, "{step}: {passed}");
            }
            // One that comes late is before the one before.
            let late = clock.read(now, ((wrap - 40 + 90) % wrap) as u32);
            assert!(((late - start).as_micros() as f64 - 90.0 * tick).abs() <= 1.0);
        }
    }

    #[test]
    fn s_bwe_06_leaps_of_the_clock_are_no_delay() {
        let mut clock = ReceiverClock::of_transport_feedback();
        let mut now = Instant::from_millis(100);
        let mut before = clock.read(now, 5);
        for raw in [0xff_ffff, 0, 0x80_0000, 1, 0x7f_ffff, 0x80_0001, 3] {
            now += Duration::from_millis(50);
            let read = clock.read(now, raw);
            let passed = read.as_micros().abs_diff(before.as_micros());
            assert!(passed <= LEAP.as_micros() as u64 + 50_000, "{raw:#x}: {passed}");
            before = read;
        }
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        let mut clock = ReceiverClock::of_congestion_feedback();
        let start = clock.read(Instant::ZERO, 0);
        // 200 ppm over two hours.
        let mut read = start;
        for second in 1..7_200u64 {
            let raw = (second * 65_536 * 10_002 / 10_000) as u32;
            read = clock.read(Instant::from_millis(1_000 * second), raw);
        }
        let passed = (read - start).as_micros();
        assert!(passed.abs_diff(7_199 * 1_000_200) < 100, "{passed}");
    }
}
