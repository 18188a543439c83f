//! What is measured: in one second of one thread, and put together.

use crate::camera::ENCODINGS;
use crate::receiver::Heard;
use estafette::Instant;
use hdrhistogram::Histogram;
use std::ops::AddAssign;
use std::time::Duration;

/// Delays in microseconds, to two digits, up to a minute.
#[derive(Debug, Clone)]
pub struct Delays(Histogram<u64>);

impl Delays {
    const LONGEST: u64 = 60_000_000;

    pub fn record(&mut self, delay: Duration) {
        self.0.saturating_record(delay.as_micros() as u64);
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The delay that so many of a hundred do not exceed, in milliseconds; 100 is the longest.
    pub fn percentile(&self, percent: f64) -> f64 {
        self.0.value_at_quantile(percent / 100.0) as f64 / 1_000.0
    }
}

impl Default for Delays {
    fn default() -> Self {
        // The bounds are constants that the crate takes.
        Delays(Histogram::new_with_bounds(1, Self::LONGEST, 2).expect("1 <= 60 s / 2, two digits"))
    }
}

impl AddAssign<&Delays> for Delays {
    fn add_assign(&mut self, other: &Delays) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }
}

/// What participants did and saw for a while.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// From the moment a packet was sent until the other participant has it.
    pub audio: Delays,
    pub video: Delays,
    /// By how much packets left later than they were due.
    pub late: Delays,
    /// Datagrams, and their bytes.
    pub sent: u64,
    pub sent_bytes: u64,
    pub received: u64,
    pub received_bytes: u64,
    /// Datagrams that the system did not take.
    pub unsent: u64,
    /// Datagrams that could not be opened or read.
    pub unread: u64,
    /// Datagrams of media that had come before.
    pub replayed: u64,
    /// Packets of video, by the encoding that they are of.
    pub encodings: [u64; ENCODINGS.len()],
    /// How often the server asked for a packet again, and how often it got it.
    pub asked: u64,
    pub repeated: u64,
    /// Key frames that were asked for.
    pub key_frames: u64,
}

impl Traffic {
    pub fn hear(&mut self, now: Instant, heard: &Heard) {
        let delays = if heard.video { &mut self.video } else { &mut self.audio };
        delays.record(now - heard.stamp.sent);
        if let Some(count) = self.encodings.get_mut(heard.stamp.encoding).filter(|_| heard.video) {
            *count += 1;
        }
    }
}

impl AddAssign<&Traffic> for Traffic {
    fn add_assign(&mut self, other: &Traffic) {
        self.audio += &other.audio;
        self.video += &other.video;
        self.late += &other.late;
        self.sent += other.sent;
        self.sent_bytes += other.sent_bytes;
        self.received += other.received;
        self.received_bytes += other.received_bytes;
        self.unsent += other.unsent;
        self.unread += other.unread;
        self.replayed += other.replayed;
        self.encodings.iter_mut().zip(other.encodings).for_each(|(sum, count)| *sum += count);
        self.asked += other.asked;
        self.repeated += other.repeated;
        self.key_frames += other.key_frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    #[test]
    fn percentiles_are_of_all_that_was_recorded() {
        let (mut odd, mut even) = (Delays::default(), Delays::default());
        for millis in 1..=1_000 {
            let delays = if millis % 2 == 1 { &mut odd } else { &mut even };
            delays.record(Duration::from_millis(millis));
        }
        odd += &even;
        assert_eq!(odd.count(), 1_000);
        for (percent, expected) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1_000.0)] {
            let found = odd.percentile(percent);
            assert!((expected..=expected * 1.01).contains(&found), "{percent} %: {found}");
        }
        assert_eq!(Delays::default().percentile(99.0), 0.0);
    }

    #[test]
    fn what_is_longer_than_a_minute_counts_as_one() {
        let mut delays = Delays::default();
        delays.record(Duration::from_secs(3_600));
        assert!(delays.percentile(100.0) >= 60_000.0);
    }

    #[test]
    fn sound_and_pictures_are_told_apart() {
        let mut traffic = Traffic::default();
        let stamp = Stamp { sent: Instant::from_millis(5), encoding: 2 };
        traffic.hear(Instant::from_millis(8), &Heard { video: true, stamp });
        traffic.hear(Instant::from_millis(9), &Heard { video: false, stamp: Stamp { encoding: 0, ..stamp } });
        assert_eq!((traffic.audio.count(), traffic.video.count(), traffic.encodings), (1, 1, [0, 0, 1]));
        let mut sum = traffic.clone();
        sum += &traffic;
        assert_eq!((sum.video.count(), sum.encodings), (2, [0, 0, 2]));
    }
}
