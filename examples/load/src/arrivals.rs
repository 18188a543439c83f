//! What a participant tells of arrivals, so that the server learns what the path to it carries: transport-wide
//! feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01), as browsers send it.

use estafette::Instant;
use estafette::rtcp::Writer;
use estafette::rtp::{Ssrc, WireSeq};
use std::collections::VecDeque;
use std::time::Duration;

/// Between two of them; browsers take 50 to 250 ms.
const INTERVAL: Duration = Duration::from_millis(100);
/// A step in the numbers that no loss explains.
const STEP: usize = 4_096;

/// What came and was not told of yet.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// The number of the first of `came`, from the first packet on.
    base: Option<u16>,
    came: VecDeque<Option<Instant>>,
    count: u8,
    at: Option<Instant>,
}

impl Arrivals {
    /// A packet with this number came.
    pub fn on_packet(&mut self, now: Instant, number: u16) {
        self.at = self.at.or(Some(now + INTERVAL));
        let ahead = number.wrapping_sub(*self.base.get_or_insert(number));
        if ahead >= 0x8000 {
            return; // Told of as missing.
        }
        let place = usize::from(ahead);
        if place > STEP {
            self.came.clear();
            self.base = Some(number);
            self.came.push_back(Some(now));
            return;
        }
        if self.came.len() <= place {
            self.came.resize(place + 1, None);
        }
        self.came[place] = Some(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.at
    }

    /// Writes what is due to be told.
    pub fn write(&mut self, now: Instant, sender: Ssrc, media: Ssrc, writer: &mut Writer<'_>) {
        let due = self.at.is_some_and(|at| at <= now);
        let Some(base) = self.base.filter(|_| due) else { return };
        self.at = None;
        let came = self.came.iter().copied();
        let told = writer.transport_feedback(sender, media, self.count, WireSeq(base), came);
        // What does not fit one datagram has waited too long.
        let told = told.ok().filter(|told| *told > 0).unwrap_or(self.came.len());
        self.came.drain(..told);
        self.base = Some(base.wrapping_add(told as u16));
        self.count = self.count.wrapping_add(1);
        if !self.came.is_empty() {
            self.at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use estafette::rtcp::{Compound, Packet};

    fn told(arrivals: &mut Arrivals, now: Instant) -> Vec<(u16, bool)> {
        let mut buf = [0; 1_200];
        let mut writer = Writer::new(&mut buf);
        arrivals.write(now, Ssrc(1), Ssrc(2), &mut writer);
        let len = writer.len();
        if len == 0 {
            return Vec::new();
        }
        let compound = Compound::parse(&buf[..len]).expect("feedback");
        let Some(Packet::TransportFeedback(feedback)) = compound.packets().next() else { panic!("none") };
        feedback.statuses().map(|(number, delta)| (number.0, delta.is_some())).collect()
    }

    #[test]
    fn each_number_is_told_of_once_across_the_wrap() {
        let mut arrivals = Arrivals::default();
        let now = Instant::from_millis(10);
        for number in [65_534, 65_535, 1] {
            arrivals.on_packet(now, number);
        }
        assert!(told(&mut arrivals, now).is_empty());
        let expected = [(65_534, true), (65_535, true), (0, false), (1, true)];
        assert_eq!(told(&mut arrivals, now + INTERVAL), expected);
        assert_eq!(arrivals.poll_timeout(), None);
        arrivals.on_packet(now + INTERVAL, 2);
        assert_eq!(told(&mut arrivals, now + INTERVAL * 2), [(2, true)]);
    }

    #[test]
    fn what_was_told_of_as_missing_is_not_told_again() {
        let mut arrivals = Arrivals::default();
        let now = Instant::from_millis(10);
        arrivals.on_packet(now, 0);
        arrivals.on_packet(now, 2);
        told(&mut arrivals, now + INTERVAL);
        arrivals.on_packet(now + INTERVAL, 1);
        arrivals.on_packet(now + INTERVAL, 3);
        assert_eq!(told(&mut arrivals, now + INTERVAL * 2), [(3, true)]);
    }
}
