//! What left under which transport-wide number, so that feedback can be understood: by that number, or by a
//! stream's own (RFC 8888).
//!
//! A ring with one small entry for each packet. An entry knows how far back the one before of its stream is, so that
//! a stream's packets are found from its last one without a table of all. Now and then a number is left out on
//! purpose: who says that it arrived does not tell the truth (RFC 8888, section 10).

use crate::base::limits;

/// What is known of a number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    Sent,
    /// Said not to have arrived.
    Missing,
    Arrived,
    /// Left out on purpose.
    Skipped,
}

/// One number.
#[derive(Debug, Default, Clone, Copy)]
struct Entry {
    /// The number in its stream.
    seq: u16,
    /// Distance to the packet before of the same stream; zero if there is none.
    back: u16,
    /// The low bits of how many numbers were left out before it.
    skipped: u8,
    state: State,
}

/// A stream and the last number that it left under.
#[derive(Debug, Clone, Copy)]
struct Last {
    ssrc: u32,
    number: u64,
}

/// Bytes that departures hold at most.
pub(crate) const BOUND: usize =
    2 * (limits::DEPARTURES * size_of::<Entry>() + limits::STREAMS_NUMBERED * size_of::<Last>());

/// What feedback says of a number, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is news about the packet that left as the so many-th.
    News(u64),
    /// It is known already.
    Known,
    /// It is about nothing that left, or about what left too long ago.
    Strange,
    /// It is about a number that was left out.
    Lie,
}

/// The latest departures of one transport. Numbers count on by one; those that were left out do not count among what
/// the estimator is told of.
#[derive(Debug)]
pub(crate) struct Departures {
    entries: Vec<Entry>,
    /// The first number there ever was, and the next.
    first: u64,
    next: u64,
    /// How many were left out so far.
    skipped: u64,
    streams: Vec<Last>,
    /// Where in `streams` the last one stands.
    hint: usize,
}

impl Departures {
    /// None so far; the first number will be `next`.
    pub(crate) fn new(next: u64) -> Self {
        Departures { entries: Vec::new(), first: next, next, skipped: 0, streams: Vec::new(), hint: 0 }
    }

    /// The next number.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// A packet leaves under the next number, and as `seq` of a stream if it is to be found by that. Says as the
    /// how many-th it leaves.
    pub(crate) fn on_sent(&mut self, stream: Option<(u32, u16)>) -> u64 {
        let nth = self.next - self.skipped;
        self.add(stream, State::Sent);
        nth
    }

    /// The next number, and that of its stream, is left out.
    pub(crate) fn skip(&mut self, stream: Option<(u32, u16)>) {
        self.add(stream, State::Skipped);
        self.skipped += 1;
    }

    fn add(&mut self, stream: Option<(u32, u16)>, state: State) {
        self.make_room();
        let number = self.next;
        let back = stream.map_or(0, |(ssrc, _)| self.follow(ssrc, number));
        let seq = stream.map_or(0, |(_, seq)| seq);
        let entry = Entry { seq, back, skipped: self.skipped as u8, state };
        let at = self.place(number);
        if let Some(place) = self.entries.get_mut(at) {
            *place = entry;
        }
        self.next += 1;
    }

    /// Doubles the ring while what it would forget was not told of, up to a limit.
    fn make_room(&mut self) {
        let len = self.entries.len();
        let forgotten = self.entries.get(self.place(self.next)).map(|entry| entry.state);
        let keep = len == 0 || forgotten == Some(State::Sent) && len < limits::DEPARTURES;
        if !keep || self.next - self.first < len as u64 {
            return;
        }
        let mut entries = vec![Entry::default(); (2 * len).max(limits::DEPARTURES_AT_FIRST)];
        let mask = entries.len() as u64 - 1;
        for number in self.next - len as u64..self.next {
            let (from, to) = (self.place(number), (number & mask) as usize);
            if let (Some(from), Some(to)) = (self.entries.get(from), entries.get_mut(to)) {
                *to = *from;
            }
        }
        self.entries = entries;
    }

    /// Notes that a stream's last number is now `number`; says how far back the one before is.
    fn follow(&mut self, ssrc: u32, number: u64) -> u16 {
        let hinted = self.streams.get(self.hint).is_some_and(|last| last.ssrc == ssrc);
        let found =
            if hinted { Some(self.hint) } else { self.streams.iter().position(|last| last.ssrc == ssrc) };
        let last = Last { ssrc, number };
        let Some(at) = found else {
            // The place of a stream of which nothing is known any more, or the longest silent one's.
            let oldest = self.streams.iter().enumerate().min_by_key(|(_, last)| last.number);
            let oldest = oldest.map(|(at, last)| (at, last.number));
            let full = self.streams.len() >= limits::STREAMS_NUMBERED;
            let free = oldest.filter(|(_, number)| full || !self.holds(*number));
            match free.and_then(|(at, _)| Some((at, self.streams.get_mut(at)?))) {
                Some((at, place)) => (*place, self.hint) = (last, at),
                None => {
                    self.hint = self.streams.len();
                    self.streams.push(last);
                }
            }
            return 0;
        };
        self.hint = at;
        let before = self.streams.get_mut(at).map(|place| std::mem::replace(place, last).number);
        before.and_then(|before| u16::try_from(number - before).ok()).unwrap_or(0)
    }

    fn place(&self, number: u64) -> usize {
        (number as usize) & self.entries.len().wrapping_sub(1)
    }

    /// Whether a number is one of those remembered.
    fn holds(&self, number: u64) -> bool {
        self.window().contains(&number)
    }

    /// The numbers that are remembered.
    pub(crate) fn window(&self) -> std::ops::Range<u64> {
        self.first.max(self.next.saturating_sub(self.entries.len() as u64))..self.next
    }

    /// How many numbers are remembered at most at present.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The number that 16 bits of it stand for: the one nearest to the last.
    pub(crate) fn extend(&self, wire: u16) -> i64 {
        let last = self.next.cast_signed() - 1;
        last + i64::from(wire.wrapping_sub(last as u16).cast_signed())
    }

    /// A number is said to have arrived, or not to have so far.
    pub(crate) fn tell(&mut self, number: i64, arrived: bool) -> Told {
        let (next, skipped) = (self.next, self.skipped);
        let Some(number) = u64::try_from(number).ok().filter(|number| self.holds(*number)) else {
            return Told::Strange;
        };
        let at = self.place(number);
        let Some(entry) = self.entries.get_mut(at) else { return Told::Strange };
        match (entry.state, arrived) {
            (State::Skipped, true) => return Told::Lie,
            (State::Sent, _) | (State::Missing, true) => {}
            _ => return Told::Known,
        }
        entry.state = if arrived { State::Arrived } else { State::Missing };
        // Fewer than 256 numbers are left out among those remembered.
        let since = (skipped as u8).wrapping_sub(entry.skipped);
        debug_assert!(number < next);
        Told::News(number - (skipped - u64::from(since)))
    }

    /// The last number that a packet of a stream left under.
    pub(crate) fn last_of(&self, ssrc: u32) -> Option<u64> {
        let last = self.streams.iter().find(|last| last.ssrc == ssrc);
        last.map(|last| last.number).filter(|number| self.holds(*number))
    }

    /// The number in its stream of what left under `number`, and the number of the packet before of the same stream.
    pub(crate) fn step_back(&self, number: u64) -> Option<(u16, Option<u64>)> {
        let entry = self.entries.get(self.place(number)).filter(|_| self.holds(number))?;
        let before = number.checked_sub(entry.back.into()).filter(|_| entry.back > 0);
        Some((entry.seq, before.filter(|before| self.holds(*before))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_news_once_when_lost_and_once_when_it_came_after_all() {
        let mut departures = Departures::new(1_000);
        for nth in 1_000..1_010 {
            assert_eq!(departures.on_sent(None), nth);
        }
        assert_eq!(departures.tell(1_003, false), Told::News(1_003));
        assert_eq!(departures.tell(1_003, false), Told::Known);
        assert_eq!(departures.tell(1_003, true), Told::News(1_003));
        assert_eq!([true, false].map(|arrived| departures.tell(1_003, arrived)), [Told::Known; 2]);
    }

    #[test]
    fn s_bwe_02_what_was_never_sent_or_is_forgotten_is_strange() {
        let mut departures = Departures::new(5);
        assert_eq!(departures.tell(5, true), Told::Strange, "nothing was sent");
        for _ in 0..3 * limits::DEPARTURES {
            departures.on_sent(None);
        }
        let last = departures.next().cast_signed() - 1;
        for number in [i64::MIN, -1, 0, 5, last - limits::DEPARTURES as i64, last + 1, i64::MAX] {
            assert_eq!(departures.tell(number, true), Told::Strange, "{number}");
        }
        assert_eq!(departures.tell(last, true), Told::News(last as u64));
        assert_eq!(departures.extend(last as u16), last);
        assert_eq!(departures.extend((last + 1) as u16), last + 1, "never sent");
        assert_eq!(departures.extend((last - 30_000) as u16), last - 30_000);
    }

    #[test]
    fn s_bwe_03_numbers_left_out_count_for_nothing_and_give_a_liar_away() {
        let mut departures = Departures::new(0);
        let mut nth = 0;
        for number in 0..limits::DEPARTURES as u64 {
            if number % 50 == 7 {
                departures.skip(None);
            } else {
                assert_eq!(departures.on_sent(None), nth);
                nth += 1;
            }
        }
        let mut nth = 0;
        for number in 0..limits::DEPARTURES as i64 {
            let told = departures.tell(number, number % 3 != 0);
            if number % 50 == 7 {
                assert_eq!(told, if number % 3 == 0 { Told::Known } else { Told::Lie });
            } else {
                assert_eq!(told, Told::News(nth));
                nth += 1;
            }
        }
    }

    #[test]
    fn packets_are_found_by_their_stream_and_its_numbers() {
        let mut departures = Departures::new(77);
        let mut sent = Vec::new();
        for n in 0..1_000u64 {
            let (ssrc, seq) = ([10, 20, 30][(n % 7 % 3) as usize], 65_300 + n);
            departures.on_sent(Some((ssrc, seq as u16)));
            sent.push((ssrc, 77 + n, seq as u16));
        }
        for ssrc in [10, 20, 30] {
            let own =
                sent.iter().rev().filter(|(of, ..)| *of == ssrc).map(|(_, number, seq)| (*number, *seq));
            let held = departures.window();
            let own: Vec<_> = own.take_while(|(number, _)| held.contains(number)).collect();
            assert!(own.len() > 100);
            let mut found = Vec::new();
            let mut next = departures.last_of(ssrc);
            while let Some((number, (seq, before))) =
                next.and_then(|at| Some((at, departures.step_back(at)?)))
            {
                found.push((number, seq));
                next = before;
            }
            assert_eq!(found, own);
        }
        assert_eq!(departures.last_of(40), None);
    }

    #[test]
    fn the_ring_is_as_long_as_answers_take_and_bounded() {
        let mut answered = Departures::new(0);
        for number in 0..20_000i64 {
            answered.on_sent(None);
            answered.tell(number - 100, true);
        }
        assert_eq!(answered.entries.len(), limits::DEPARTURES_AT_FIRST);
        let mut silent = Departures::new(0);
        for n in 0..20_000u32 {
            silent.on_sent(Some((n, 1)));
        }
        assert_eq!(silent.entries.len(), limits::DEPARTURES);
        assert!(silent.streams.len() <= limits::STREAMS_NUMBERED, "{}", silent.streams.len());
    }
}
