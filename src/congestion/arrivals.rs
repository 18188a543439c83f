//! What arrived of a publisher's packets, for feedback on them: of one sequence of numbers
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01), or of each of its streams (RFC 8888).

use crate::base::limits;
use crate::base::time::Instant;

/// How a packet arrived: when, and its two ECN bits as in the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) at: Instant,
    pub(crate) ecn: u8,
}

/// The arrivals of the latest numbers of one sequence. Numbers are extended here from their 16 bits.
#[derive(Debug, Hash)]
pub(crate) struct Arrivals {
    /// `notes[n % len]` is how number `n` arrived, packed; zero is "not come".
    notes: Vec<u64>,
    /// How many are remembered.
    len: u64,
    /// The first number not yet reported.
    next: u64,
    /// One past the highest number that came; zero is "none yet".
    end: u64,
}

impl Arrivals {
    /// None yet; the latest `len` will be remembered.
    pub(crate) fn new(len: usize) -> Arrivals {
        Arrivals { notes: Vec::new(), len: len as u64, next: 0, end: 0 }
    }

    /// Notes the arrival of the packet with number `wire`. Of copies the first counts (RFC 8888, section 3.1).
    pub(crate) fn on_packet(&mut self, wire: u16, arrived: Arrived) {
        if self.end == 0 {
            // Started one wrap up, so that reordering before the first packet has numbers below.
            let first = (1 << 16) + u64::from(wire);
            self.notes.resize(self.len as usize, 0);
            (self.next, self.end) = (first, first);
        }
        let seq = self.extend(wire);
        if seq >= self.end {
            // Whoever skips more than there is room for starts anew.
            for missed in self.end.max(seq.saturating_sub(self.len - 1))..seq {
                self.set(missed, 0);
            }
            self.end = seq + 1;
            self.next = self.next.max(self.end.saturating_sub(self.len));
        } else if seq + self.len < self.end || self.get(seq) != 0 {
            return;
        } else if seq < self.next {
            // It was reported as missing: the next feedback begins with it.
            self.next = seq;
        }
        self.set(seq, pack(arrived));
    }

    fn extend(&self, wire: u16) -> u64 {
        let highest = self.end.saturating_sub(1);
        let ahead = wire.wrapping_sub(highest as u16).cast_signed();
        highest.saturating_add_signed(i64::from(ahead))
    }

    fn place(&self, seq: u64) -> usize {
        seq.checked_rem(self.len).unwrap_or(0) as usize
    }

    fn get(&self, seq: u64) -> u64 {
        self.notes.get(self.place(seq)).copied().unwrap_or(0)
    }

    fn set(&mut self, seq: u64, note: u64) {
        let place = self.place(seq);
        if let Some(slot) = self.notes.get_mut(place) {
            *slot = note;
        }
    }

    /// How many numbers are to be reported, missing ones included.
    pub(crate) fn pending(&self) -> usize {
        (self.end - self.next) as usize
    }

    /// The first number to report, and how each from there arrived.
    pub(crate) fn report(&self) -> (u16, impl Iterator<Item = Option<Arrived>> + Clone) {
        (self.next as u16, (self.next..self.end).map(|seq| unpack(self.get(seq))))
    }

    /// Notes that the first `count` numbers were reported.
    pub(crate) fn reported(&mut self, count: usize) {
        self.next = (self.next + count as u64).min(self.end);
    }

    #[cfg(test)]
    fn all(&self) -> (u16, Vec<Option<u64>>) {
        let (first, arrived) = self.report();
        (first, arrived.map(|arrived| arrived.map(|arrived| arrived.at.as_micros())).collect())
    }
}

/// One and the time, above the ECN bits: never zero. Times end after 73,000 years.
fn pack(arrived: Arrived) -> u64 {
    let micros = arrived.at.as_micros().min((1 << 61) - 1);
    (micros + 1) << 2 | u64::from(arrived.ecn & 3)
}

fn unpack(note: u64) -> Option<Arrived> {
    let micros = (note >> 2).checked_sub(1)?;
    Some(Arrived { at: Instant::from_micros(micros), ecn: (note & 3) as u8 })
}

/// The arrivals of each stream.
#[derive(Debug, Default, Hash)]
pub(crate) struct StreamArrivals {
    streams: Vec<StreamArrival>,
    /// The stream that the next report begins with; counts on beyond their number.
    first: usize,
}

#[derive(Debug, Hash)]
struct StreamArrival {
    ssrc: u32,
    /// When anything of it came last.
    last: Instant,
    arrivals: Arrivals,
}

impl StreamArrivals {
    /// Bytes that they have at most.
    pub(crate) const BOUND: usize =
        limits::SSRCS_PER_SESSION * (2 * size_of::<StreamArrival>() + 8 * limits::STREAM_ARRIVALS);

    /// Notes the arrival of a stream's packet with number `wire`. Of too many streams the one that was silent
    /// for longest is forgotten.
    pub(crate) fn on_packet(&mut self, ssrc: u32, wire: u16, arrived: Arrived) {
        let known = self.streams.iter().position(|stream| stream.ssrc == ssrc);
        let at = known.unwrap_or_else(|| self.begin(ssrc));
        if let Some(stream) = self.streams.get_mut(at) {
            stream.last = arrived.at;
            stream.arrivals.on_packet(wire, arrived);
        }
    }

    /// The place of a new stream.
    fn begin(&mut self, ssrc: u32) -> usize {
        if self.streams.len() >= limits::SSRCS_PER_SESSION {
            let silent = (0..).zip(&self.streams).min_by_key(|(_, stream)| stream.last);
            let at = silent.map_or(0, |(at, _)| at);
            self.streams.swap_remove(at);
        }
        let arrivals = Arrivals::new(limits::STREAM_ARRIVALS);
        self.streams.push(StreamArrival { ssrc, last: Instant::ZERO, arrivals });
        self.streams.len() - 1
    }

    /// Whether there is anything to report.
    pub(crate) fn pending(&self) -> bool {
        self.streams.iter().any(|stream| stream.arrivals.pending() > 0)
    }

    /// Takes reports as far as they go: `report` is asked about one stream after the other that has any,
    /// and returns how many numbers it told; who told less than all, or none, ends the round, and the next
    /// one begins with that stream.
    pub(crate) fn take_reports(&mut self, mut report: impl FnMut(u32, &Arrivals) -> usize) {
        let count = self.streams.len();
        for at in self.first..self.first + count {
            let Some(stream) = self.streams.get_mut(at.checked_rem(count).unwrap_or(0)) else { continue };
            let pending = stream.arrivals.pending();
            if pending == 0 {
                continue;
            }
            let told = report(stream.ssrc, &stream.arrivals);
            stream.arrivals.reported(told);
            if told < pending {
                self.first = at.checked_rem(count).unwrap_or(0);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Arrived {
        Arrived { at: Instant::from_micros(micros), ecn: 0 }
    }

    #[test]
    fn losses_show_as_gaps_and_each_number_is_reported_once() {
        let mut arrivals = Arrivals::new(limits::ARRIVALS);
        for wire in [65_534, 65_535, 1] {
            arrivals.on_packet(wire, at(u64::from(wire)));
        }
        assert_eq!(arrivals.all(), (65_534, vec![Some(65_534), Some(65_535), None, Some(1)]));
        arrivals.reported(4);
        assert_eq!(arrivals.pending(), 0);
        arrivals.on_packet(2, at(9));
        assert_eq!(arrivals.all(), (2, vec![Some(9)]));
    }

    #[test]
    fn a_late_packet_is_reported_after_all_and_those_behind_it_once_more() {
        let mut arrivals = Arrivals::new(limits::ARRIVALS);
        arrivals.on_packet(10, at(1));
        arrivals.on_packet(12, at(2));
        arrivals.reported(3);
        arrivals.on_packet(11, at(3));
        assert_eq!(arrivals.all(), (11, vec![Some(3), Some(2)]));
    }

    #[test]
    fn rfc_8888_3_1_of_copies_the_first_counts() {
        let mut arrivals = Arrivals::new(limits::ARRIVALS);
        arrivals.on_packet(7, Arrived { ecn: 3, ..at(1) });
        arrivals.on_packet(8, at(2));
        arrivals.reported(2);
        arrivals.on_packet(7, at(3));
        assert_eq!(arrivals.pending(), 0);
        arrivals.on_packet(8, at(4));
        assert_eq!(arrivals.pending(), 0);
    }

    #[test]
    fn marks_are_kept_and_the_end_of_time_is_a_time() {
        let mut arrivals = Arrivals::new(limits::ARRIVALS);
        let told = [0, 1, 2, 3].map(|ecn| Arrived { ecn, ..at(u64::from(ecn) * 1_000) });
        (0..).zip(told).for_each(|(wire, arrived)| arrivals.on_packet(wire, arrived));
        assert!(arrivals.report().1.eq(told.map(Some)));
        arrivals.on_packet(4, Arrived { ecn: 3, ..at(u64::MAX) });
        assert_eq!(arrivals.report().1.last().flatten().map(|arrived| arrived.ecn), Some(3));
    }

    #[test]
    fn a_leap_keeps_memory_and_report_bounded() {
        let mut arrivals = Arrivals::new(limits::ARRIVALS);
        arrivals.on_packet(0, at(1));
        arrivals.on_packet(30_000, at(2));
        let (first, statuses) = arrivals.all();
        assert_eq!((statuses.len(), usize::from(first)), (limits::ARRIVALS, 30_001 - limits::ARRIVALS));
        assert_eq!(statuses.iter().flatten().count(), 1);
        arrivals.on_packet(5, at(3));
        assert_eq!(arrivals.all().1.len(), limits::ARRIVALS, "too old to be reported");
    }

    /// One round of reports with room for so many numbers: whose they are, the first and how many.
    fn round(streams: &mut StreamArrivals, mut room: usize) -> Vec<(u32, u16, usize)> {
        let mut told = Vec::new();
        streams.take_reports(|ssrc, arrivals| {
            let count = arrivals.pending().min(room);
            room -= count;
            if count > 0 {
                told.push((ssrc, arrivals.report().0, count));
            }
            count
        });
        told
    }

    #[test]
    fn a_report_that_ends_early_goes_on_where_it_ended() {
        let mut streams = StreamArrivals::default();
        assert!(!streams.pending());
        for wire in 0..4 {
            [5, 6, 7].into_iter().for_each(|ssrc| streams.on_packet(ssrc, wire, at(1)));
        }
        assert_eq!(round(&mut streams, 6), [(5, 0, 4), (6, 0, 2)]);
        // What comes meanwhile waits for its turn.
        streams.on_packet(5, 4, at(2));
        assert_eq!(round(&mut streams, 4), [(6, 2, 2), (7, 0, 2)]);
        assert_eq!(round(&mut streams, 9), [(7, 2, 2), (5, 4, 1)]);
        assert!(!streams.pending() && round(&mut streams, 9).is_empty());
    }

    #[test]
    fn of_too_many_streams_the_longest_silent_one_is_forgotten() {
        let mut streams = StreamArrivals::default();
        for ssrc in 0..limits::SSRCS_PER_SESSION as u32 {
            streams.on_packet(ssrc, 1, at(if ssrc == 9 { 1 } else { 1_000 }));
        }
        streams.on_packet(1_000_000, 1, at(2_000));
        let told: Vec<_> = round(&mut streams, usize::MAX).into_iter().map(|(ssrc, ..)| ssrc).collect();
        assert_eq!(told.len(), limits::SSRCS_PER_SESSION);
        assert!(told.contains(&1_000_000) && !told.contains(&9));
    }
}
