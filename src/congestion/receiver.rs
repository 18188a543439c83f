//! What a publisher's path to us carries, told from how its packets arrive: the fall-back for those that know
//! no feedback on packets (draft-alvestrand-rmcat-remb-03).
//!
//! A packet's delay is its arrival less its departure, up to the constant between two clocks; its sender tells
//! the departure (abs-send-time), or else the timestamps of one of its streams do. What the least of a tenth
//! of a second stands above the least of the last ten to twenty seconds is time spent in a queue: jitter,
//! bursts and the gaps of radio links do not move that least. While there is no queue the estimate is free to
//! be half as high again as what comes; where one stays the estimate falls below what comes, and rises by 8 %
//! a second from then on. Who sends less than the estimate says nothing against it. Losses are not looked at:
//! such senders act on receiver reports themselves.

use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;

/// How often the queue is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// Intervals that the incoming rate is a mean of.
const RATED: usize = 5;

/// How long the least delay is remembered, and up to as much longer: clocks that part by 200 millionths do so
/// by 4 ms, and a path that grew longer is no queue for ever.
const REMEMBERED: Duration = Duration::from_secs(10);

/// A delay above the least, in microseconds, that is a queue if it stays for two intervals.
const QUEUE: i128 = 40_000;

/// A change of delay, in microseconds, that is none of the path: the sender's clock began anew.
const LEAP: i128 = 5_000_000;

/// What a fall of the estimate needs to show: a round trip, and the sender's time to follow.
const HELD: Duration = Duration::from_millis(500);

/// How long a sender's clock may be silent before another one takes its place.
const SILENT: Duration = Duration::from_secs(1);

/// Said again after so long, and when it changed by 3 %.
const SAID: Duration = Duration::from_secs(1);

/// The least that is said: a voice and a very small picture.
const LEAST: u64 = 64_000;

/// When a packet left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    /// On which of its sender's clocks: the times of several do not compare.
    pub(crate) clock: u32,
    /// What the clock said; wraps.
    pub(crate) ticks: u32,
    /// Its ticks in a second.
    pub(crate) rate: u32,
}

/// The estimate of one publisher.
#[derive(Debug, Hash)]
pub(crate) struct ReceiverEstimate {
    most: u64,
    /// In bits a second, once something came for long enough.
    estimate: Option<u64>,
    /// A queue was seen: the rate that the path carries is not far.
    limited: bool,
    /// Intervals in a row with a queue.
    queued: u8,
    /// No further fall before.
    held: Instant,
    clock: Option<Clock>,
    /// Where the present interval began, what came in it, and the least delay of that.
    began: Option<Instant>,
    bytes: u64,
    least: Option<i128>,
    /// Bytes of the intervals before, the latest last, and how many of them there were.
    before: [u64; RATED],
    intervals: u8,
    said: Option<(Instant, u64)>,
}

impl ReceiverEstimate {
    /// Nothing known; never above `most`.
    pub(crate) fn new(most: Bitrate) -> ReceiverEstimate {
        ReceiverEstimate {
            most: most.as_bps().max(LEAST),
            estimate: None,
            limited: false,
            queued: 0,
            held: Instant::ZERO,
            clock: None,
            began: None,
            bytes: 0,
            least: None,
            before: [0; RATED],
            intervals: 0,
            said: None,
        }
    }

    /// A packet of `len` bytes came; without a departure it counts for the rate alone.
    pub(crate) fn on_packet(&mut self, now: Instant, len: usize, departure: Option<Departure>) {
        self.close(now);
        self.bytes += len as u64;
        let Some(departure) = departure else { return };
        if self.clock.as_ref().is_none_or(|clock| clock.ends(now, &departure)) {
            self.clock = Some(Clock::new(now, &departure));
            self.least = None;
        }
        let delay = self.clock.as_mut().and_then(|clock| clock.delay(now, &departure));
        self.least = match (self.least, delay) {
            (Some(least), Some(delay)) => Some(least.min(delay)),
            (least, delay) => least.or(delay),
        };
    }

    /// What is to be said now, if anything: that nothing was said yet, that it changed, or that a second passed.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Bitrate> {
        self.close(now);
        let estimate = self.estimate?;
        let stale = |(at, said): (Instant, u64)| now - at >= SAID || estimate.abs_diff(said) > said * 3 / 100;
        if !self.said.is_none_or(stale) {
            return None;
        }
        self.said = Some((now, estimate));
        Some(Bitrate::from_bps(estimate))
    }

    /// Ends the intervals that have passed.
    fn close(&mut self, now: Instant) {
        let Some(mut began) = self.began else {
            self.began = Some(now);
            return;
        };
        // What is longer than the mean leaves nothing of it.
        if now - began >= INTERVAL * (RATED as u32 + 1) {
            (self.before, self.bytes, self.least, self.queued) = ([0; RATED], 0, None, 0);
            self.began = Some(now);
            return;
        }
        while now - began >= INTERVAL {
            began += INTERVAL;
            self.end_interval(began);
        }
        self.began = Some(began);
    }

    fn end_interval(&mut self, at: Instant) {
        self.before.rotate_left(1);
        if let Some(last) = self.before.last_mut() {
            *last = std::mem::take(&mut self.bytes);
        }
        self.intervals = self.intervals.saturating_add(1);
        // A moment without packets tells nothing of the path.
        let queue = self.least.take().and_then(|least| Some(self.clock.as_mut()?.queue(at, least)));
        if let Some(queue) = queue.filter(|_| usize::from(self.intervals) >= RATED) {
            self.judge(at, queue);
        }
    }

    fn judge(&mut self, at: Instant, queue: i128) {
        let came = self.before.iter().sum::<u64>() * 8 * 1_000 / (RATED as u64 * INTERVAL.as_millis() as u64);
        self.queued = if queue > QUEUE { self.queued.saturating_add(1) } else { 0 };
        let estimate = match self.queued {
            0 => {
                let room = came / 2 * 3 + 10_000;
                let before = self.estimate.unwrap_or(0);
                // 8 % in ten intervals.
                let risen = if self.limited { before + before / 125 } else { room };
                before.max(risen.min(room))
            }
            2.. if at >= self.held => {
                (self.limited, self.held) = (true, at + HELD);
                self.estimate.unwrap_or(u64::MAX).min(came / 100 * 85)
            }
            _ => return,
        };
        self.estimate = Some(estimate.clamp(LEAST, self.most));
    }
}

/// A clock of a sender's, and the delays by it.
#[derive(Debug, Hash)]
struct Clock {
    name: u32,
    rate: u32,
    ticks: u32,
    /// Ticks since the first, those that were turned back taken off.
    passed: i128,
    last: Instant,
    delay: i128,
    /// The least delays of the present time of remembrance and of the one before, and when it ends.
    least: i128,
    least_before: i128,
    until: Instant,
}

impl Clock {
    fn new(now: Instant, departure: &Departure) -> Clock {
        let delay = i128::from(now.as_micros());
        Clock {
            name: departure.clock,
            rate: departure.rate.max(1),
            ticks: departure.ticks,
            passed: 0,
            last: now,
            delay,
            least: delay,
            least_before: delay,
            until: now + REMEMBERED,
        }
    }

    /// Whether this clock's time is over: it fell silent and another one is heard, or it leaps.
    fn ends(&self, now: Instant, departure: &Departure) -> bool {
        if departure.clock != self.name {
            return now - self.last >= SILENT;
        }
        departure.rate.max(1) != self.rate || (self.delay_of(now, departure).0 - self.delay).abs() > LEAP
    }

    /// The delay of a packet in microseconds, and the ticks that had passed when it left.
    fn delay_of(&self, now: Instant, departure: &Departure) -> (i128, i128) {
        let ahead = departure.ticks.wrapping_sub(self.ticks).cast_signed();
        let passed = self.passed + i128::from(ahead);
        (i128::from(now.as_micros()) - passed * 1_000_000 / i128::from(self.rate), passed)
    }

    /// The same of a packet whose clock this is.
    fn delay(&mut self, now: Instant, departure: &Departure) -> Option<i128> {
        if departure.clock != self.name {
            return None;
        }
        let (delay, passed) = self.delay_of(now, departure);
        (self.ticks, self.passed, self.last, self.delay) = (departure.ticks, passed, now, delay);
        Some(delay)
    }

    /// How far an interval's least delay stands above the least of late.
    fn queue(&mut self, at: Instant, least: i128) -> i128 {
        if at >= self.until {
            (self.least_before, self.least) = (self.least, least);
            self.until = at + REMEMBERED;
        }
        self.least = self.least.min(least);
        least - self.least.min(self.least_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path in virtual time: so many bits a second, a queue without end, a delay, and jitter by turns.
    struct Path {
        capacity: u64,
        jitter: [u64; 4],
        free: u64,
    }

    const DELAY: u64 = 30_000;
    const PACKET: u64 = 1_000;

    /// Sends at `rate` of what was said last, at most `most`, and returns what was said and the longest wait in
    /// each second.
    fn run(
        path: &mut Path,
        estimate: &mut ReceiverEstimate,
        from: u64,
        seconds: u64,
        most: u64,
        departure: impl Fn(u64) -> Option<Departure>,
    ) -> Vec<(u64, u64)> {
        let mut told = Vec::new();
        let (mut now, mut said) = (from, estimate.estimate.unwrap_or(300_000));
        let mut worst = 0;
        let mut second = from / 1_000_000 + 1;
        let mut arrived: Vec<(u64, u64)> = Vec::new();
        let mut count = 0;
        while now < from + seconds * 1_000_000 {
            path.free = path.free.max(now) + PACKET * 8 * 1_000_000 / path.capacity;
            worst = worst.max(path.free - now);
            count += 1;
            arrived.push((path.free + DELAY + path.jitter[count % 4], now));
            arrived.sort_unstable();
            while let Some(&(at, left)) = arrived.first().filter(|(at, _)| *at <= now) {
                arrived.remove(0);
                let at = Instant::from_micros(at);
                estimate.on_packet(at, PACKET as usize, departure(left));
                said = estimate.poll(at).map_or(said, Bitrate::as_bps);
            }
            now += PACKET * 8 * 1_000_000 / said.min(most);
            if now / 1_000_000 >= second {
                second += 1;
                told.push((said, std::mem::take(&mut worst)));
            }
        }
        told
    }

    fn path(capacity: u64) -> Path {
        Path { capacity, jitter: [0; 4], free: 0 }
    }

    /// The departure as abs-send-time has it, 24 bits of 2^-18 s above eight that say nothing.
    fn send_time(left: u64) -> Option<Departure> {
        let ticks = (u128::from(left) << 26) / 1_000_000;
        Some(Departure { clock: 0, ticks: ticks as u32 & !0xff, rate: 1 << 26 })
    }

    /// The same as a timestamp has it: of the picture, 30 times a second.
    fn timestamp(left: u64) -> Option<Departure> {
        Some(Departure { clock: 7, ticks: (left * 3 / 100_000 * 3_000) as u32, rate: 90_000 })
    }

    #[test]
    fn a_path_is_filled_and_its_queue_is_left() {
        for departure in [send_time, timestamp] {
            let mut path = path(1_000_000);
            let mut estimate = ReceiverEstimate::new(Bitrate::from_kbps(10_000));
            let told = run(&mut path, &mut estimate, 60_000_000, 60, u64::MAX, departure);
            assert!(told[5..].iter().all(|(said, _)| (700_000..1_300_000).contains(said)), "{told:?}");
            let mean = told[5..].iter().map(|(said, _)| *said).sum::<u64>() / told[5..].len() as u64;
            assert!((850_000..1_100_000).contains(&mean), "{mean}");
            assert!(told[5..].iter().all(|(_, waited)| *waited < 400_000), "{told:?}");
        }
    }

    #[test]
    fn a_fall_of_the_capacity_is_followed_and_its_rise_too() {
        let mut path = path(2_000_000);
        let mut estimate = ReceiverEstimate::new(Bitrate::from_kbps(10_000));
        run(&mut path, &mut estimate, 0, 20, u64::MAX, send_time);
        path.capacity = 500_000;
        let told = run(&mut path, &mut estimate, 20_000_000, 20, u64::MAX, send_time);
        assert!(told[3..].iter().all(|(said, _)| *said < 650_000), "{told:?}");
        assert!(told[8..].iter().all(|(_, waited)| *waited < 400_000), "{told:?}");
        path.capacity = 2_000_000;
        let told = run(&mut path, &mut estimate, 40_000_000, 30, u64::MAX, send_time);
        assert!(told[25].0 > 1_400_000, "{told:?}");
    }

    #[test]
    fn who_sends_little_is_not_held_down_and_jitter_is_no_queue() {
        let mut path = Path { jitter: [0, 35_000, 80_000, 12_000], ..path(10_000_000) };
        let mut estimate = ReceiverEstimate::new(Bitrate::from_kbps(10_000));
        let told = run(&mut path, &mut estimate, 0, 10, 2_000_000, send_time);
        assert!(told.last().is_some_and(|(said, _)| *said > 2_500_000), "{told:?}");
        let told = run(&mut path, &mut estimate, 10_000_000, 60, 100_000, send_time);
        assert!(told.iter().all(|(said, _)| *said > 2_500_000), "{told:?}");
        // A pause, and its end.
        let told = run(&mut path, &mut estimate, 100_000_000, 5, 2_000_000, send_time);
        assert!(told.iter().all(|(said, _)| *said > 2_500_000), "{told:?}");
    }

    #[test]
    fn clocks_that_part_longer_paths_and_new_clocks_are_no_queue_for_long() {
        let mut path = path(10_000_000);
        let mut estimate = ReceiverEstimate::new(Bitrate::from_kbps(3_000));
        let slow = |left: u64| send_time(left - left / 5_000);
        let told = run(&mut path, &mut estimate, 0, 60, 1_000_000, slow);
        assert!(told[5..].iter().all(|(said, _)| *said > 1_400_000), "{told:?}");
        let elsewhere = |left: u64| send_time(left + 77_000_000_000);
        let told = run(&mut path, &mut estimate, 60_000_000, 5, 1_000_000, elsewhere);
        assert!(told.iter().all(|(said, _)| *said > 1_400_000), "{told:?}");
        let longer = |left: u64| send_time(left + 77_000_000_000 - 150_000);
        let told = run(&mut path, &mut estimate, 65_000_000, 60, 1_000_000, longer);
        assert!(told.last().is_some_and(|(said, _)| *said > 1_400_000), "{told:?}");
    }

    #[test]
    fn it_is_said_once_a_second_and_when_it_changes() {
        let mut estimate = ReceiverEstimate::new(Bitrate::from_kbps(10_000));
        let mut said = Vec::new();
        for millis in 0..4_000 {
            let now = Instant::from_millis(millis);
            // A packet of 125 bytes each 10 ms, and of 1,250 from two seconds on.
            if millis % 10 == 0 {
                estimate.on_packet(now, if millis < 2_000 { 125 } else { 1_250 }, send_time(millis * 1_000));
            }
            said.extend(estimate.poll(now).map(|rate| (millis, rate.as_bps())));
        }
        let steady = [(500, 160_000), (1_500, 160_000)];
        let risen = [(2_100, 430_000), (2_200, 700_000), (2_300, 970_000), (2_400, 1_240_000)];
        let full = [(2_500, 1_510_000), (3_500, 1_510_000)];
        assert_eq!(said, [&steady[..], &risen, &full].concat());
    }

    #[test]
    fn s_bwe_06_absurd_times_and_rates_leave_it_within_its_bounds() {
        let mut estimate = ReceiverEstimate::new(Bitrate::from_kbps(1_000));
        let mut now = 0u64;
        for step in 0..10_000u64 {
            let word = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            now = now.saturating_add(if step % 97 == 0 { word } else { word % 50_000 });
            let departure =
                Departure { clock: (word % 3) as u32, ticks: word as u32, rate: (word >> 40) as u32 % 3 };
            let at = Instant::from_micros(now.min(u64::MAX >> 1));
            estimate.on_packet(at, 65_535, Some(departure));
            if let Some(rate) = estimate.poll(at) {
                assert!((LEAST..=1_000_000).contains(&rate.as_bps()), "{rate:?}");
            }
        }
        assert!(ReceiverEstimate::new(Bitrate::ZERO).most == LEAST);
    }
}
