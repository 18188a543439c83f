//! Transport-wide feedback: when the packets of a transport arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1).

use super::chunks::{Chunk, Packer, Symbol};
use super::{Fault, ParseError, split_words, ssrcs};
use crate::base::time::Instant;
use crate::wire::rtp::{NoSpace, Ssrc, WireSeq};

/// Microseconds of a delta's unit.
const TICK: u64 = 250;
/// Units of a delta in one of the reference time: 64 ms.
const TICKS_PER_REFERENCE: i64 = 256;
/// Bytes of a body in front of the chunks.
const HEAD: usize = 16;

/// What arrived of the packets from [`TransportFeedback::base_seq`] on.
#[derive(Debug, Clone, Copy)]
pub struct TransportFeedback<'a> {
    /// Who received them.
    pub sender: Ssrc,
    /// Any stream of the transport; browsers name the one that came last.
    pub media: Ssrc,
    /// The first number that is told of.
    pub base_seq: WireSeq,
    /// How many are told of, lost ones included; at least one.
    pub status_count: u16,
    /// The time that the first delta counts from, in multiples of 64 ms on the receiver's clock: 24
    /// bits that wrap after 12 days.
    pub reference_time: u32,
    /// Counts feedback packets; wraps.
    pub feedback_count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    /// Accepts it as a whole or not at all: each status has its symbol, each received one its delta,
    /// and no run is longer than the statuses that remain. Work is bounded by the bytes, not by the
    /// count they announce. Bytes behind the last delta are the draft's zero padding.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ([sender, media], rest) = ssrcs(body)?;
        let ([numbers, times], rest) = split_words(rest).ok_or(ParseError::at(8, Fault::TransportHeader))?;
        let [b0, b1, c0, c1] = numbers.to_be_bytes();
        let status_count = u16::from_be_bytes([c0, c1]);
        let (chunks_len, deltas_len) = measure(rest, status_count)?;
        let missing = ParseError::at(HEAD + chunks_len, Fault::TransportDelta);
        let (chunks, rest) = rest.split_at_checked(chunks_len).ok_or(missing)?;
        Ok(TransportFeedback {
            sender,
            media,
            base_seq: WireSeq(u16::from_be_bytes([b0, b1])),
            status_count,
            reference_time: times >> 8,
            // The lowest byte.
            feedback_count: times as u8,
            chunks,
            deltas: rest.get(..deltas_len).ok_or(missing)?,
        })
    }

    /// Each number with its delta to the packet received before it, in units of 250 µs; `None` if it
    /// was not received. The first delta counts from the [reference time](Self::reference_time).
    ///
    /// A few bytes can announce 65,535 lost packets; [`TransportFeedback::received`] skips them.
    pub fn statuses(&self) -> Statuses<'a> {
        Statuses {
            chunks: self.chunks,
            deltas: self.deltas,
            chunk: Chunk::EMPTY,
            next: self.base_seq,
            left: self.status_count,
        }
    }

    /// The received numbers alone, each with its delta; work is bounded by the bytes.
    pub fn received(&self) -> Received<'a> {
        Received(self.statuses())
    }
}

/// Bytes of chunks and of deltas for `count` statuses; an error if a chunk is missing, a run too long
/// or a symbol reserved.
fn measure(chunks: &[u8], count: u16) -> Result<(usize, usize), ParseError> {
    if count == 0 {
        return Err(ParseError::at(10, Fault::TransportCount));
    }
    let (mut left, mut deltas, mut read) = (count, 0, 0);
    let mut words = chunks.as_chunks::<2>().0.iter();
    while left > 0 {
        let chunk = words.next().and_then(|word| Chunk::parse(*word)?.measure(left));
        let (told, deltas_len) = chunk.ok_or(ParseError::at(HEAD + read, Fault::TransportChunk))?;
        left -= told;
        deltas += deltas_len;
        read += 2;
    }
    Ok((read, deltas))
}

/// Iterates over (number, delta if received) of a [`TransportFeedback`].
#[derive(Debug, Clone)]
pub struct Statuses<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    chunk: Chunk,
    next: WireSeq,
    left: u16,
}

impl Statuses<'_> {
    /// Loads chunks until one has a symbol left.
    #[inline]
    fn load(&mut self) -> Option<()> {
        while self.chunk.is_empty() {
            let (word, rest) = self.chunks.split_first_chunk()?;
            self.chunks = rest;
            self.chunk = Chunk::parse(*word)?;
        }
        Some(())
    }

    fn delta(&mut self, symbol: Symbol) -> Option<Option<i16>> {
        Some(match symbol {
            Symbol::Lost => None,
            Symbol::Small => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                Some(i16::from(*delta))
            }
            Symbol::Large => {
                let (delta, rest) = self.deltas.split_first_chunk()?;
                self.deltas = rest;
                Some(i16::from_be_bytes(*delta))
            }
        })
    }
}

impl Iterator for Statuses<'_> {
    type Item = (WireSeq, Option<i16>);

    // Missing chunks, reserved symbols and missing deltas were refused by the parser: `?` on them only
    // spares a proof.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.load()?;
        let symbol = self.chunk.next_symbol()??;
        let seq = self.next;
        self.next = seq.next();
        Some((seq, self.delta(symbol)?))
    }
}

/// Iterates over (number, delta) of the received packets of a [`TransportFeedback`].
#[derive(Debug, Clone)]
pub struct Received<'a>(Statuses<'a>);

impl Iterator for Received<'_> {
    type Item = (WireSeq, i16);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.0.load()?;
            if let Some(len) = self.0.chunk.lost_run() {
                self.0.next = self.0.next.add(len);
                self.0.left = self.0.left.saturating_sub(len);
                self.0.chunk = Chunk::EMPTY;
            } else if let (seq, Some(delta)) = self.0.next()? {
                return Some((seq, delta));
            }
        }
    }
}

/// What was written of the arrivals that were handed in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// How many of them are told of.
    pub(super) statuses: u16,
    /// Bytes of the body without padding.
    pub(super) len: usize,
}

/// Writes a body, padding left to the caller: `room` has space for it as long as the returned length
/// rounded up to 32 bits.
///
/// Ends before the arrival whose delta to the last one has more than 16 bits, or that does not fit.
/// Nothing is written if nothing arrived. Times are cut to 250 µs on the receiver's clock, not deltas,
/// so that errors do not add up.
pub(super) fn write(
    room: &mut [u8],
    [sender, media]: [Ssrc; 2],
    feedback_count: u8,
    base_seq: WireSeq,
    arrivals: impl Iterator<Item = Option<Instant>> + Clone,
) -> Result<Written, NoSpace> {
    let Some(first) = arrivals.clone().flatten().next() else {
        return Ok(Written::default());
    };
    let reference = ticks(first).div_euclid(TICKS_PER_REFERENCE);
    let deltas = arrivals.scan(reference * TICKS_PER_REFERENCE, |last, arrival| {
        Some(arrival.map(|at| ticks(at) - std::mem::replace(last, ticks(at))))
    });
    let plan = write_chunks(room, deltas.clone());
    if plan.deltas == 0 {
        return Err(NoSpace);
    }
    let [b0, b1] = base_seq.0.to_be_bytes();
    let [c0, c1] = plan.statuses.to_be_bytes();
    // The lowest 24 bits count.
    let [.., r0, r1, r2] = reference.to_be_bytes();
    let head = [
        sender.0,
        media.0,
        u32::from_be_bytes([b0, b1, c0, c1]),
        u32::from_be_bytes([r0, r1, r2, feedback_count]),
    ];
    for (place, word) in room.as_chunks_mut::<4>().0.iter_mut().zip(head) {
        *place = word.to_be_bytes();
    }
    let len = plan.chunks_end + plan.deltas;
    let mut place = room.get_mut(plan.chunks_end..len).ok_or(NoSpace)?;
    for delta in deltas.take(usize::from(plan.statuses)).flatten() {
        // One byte for what is small, two for what was found to fit into them.
        let bytes = (delta as i16).to_be_bytes();
        let len = if u8::try_from(delta).is_ok() { 1 } else { 2 };
        let (delta, rest) = place.split_at_mut_checked(len).ok_or(NoSpace)?;
        delta.copy_from_slice(bytes.get(2 - len..).ok_or(NoSpace)?);
        place = rest;
    }
    Ok(Written { statuses: plan.statuses, len })
}

/// What the first pass over the arrivals found out.
struct Plan {
    statuses: u16,
    /// Where the deltas begin.
    chunks_end: usize,
    /// Bytes of the deltas.
    deltas: usize,
}

/// Writes chunks while they and the deltas behind them fit.
fn write_chunks(room: &mut [u8], deltas: impl Iterator<Item = Option<i64>>) -> Plan {
    let mut plan = Plan { statuses: 0, chunks_end: HEAD, deltas: 0 };
    let mut packer = Packer::EMPTY;
    for delta in deltas.take(usize::from(u16::MAX)) {
        let Some(symbol) = symbol_of(delta) else {
            break;
        };
        let mut next = packer;
        let closed = next.push(symbol);
        // The chunk that is closed, the one that is still open, and the deltas.
        let chunks_end = plan.chunks_end + if closed.is_some() { 2 } else { 0 };
        let end = chunks_end + 2 + plan.deltas + symbol.delta_len();
        if end.next_multiple_of(4) > room.len() {
            break;
        }
        put(room, plan.chunks_end, closed);
        packer = next;
        plan = Plan { statuses: plan.statuses + 1, chunks_end, deltas: plan.deltas + symbol.delta_len() };
    }
    let last = packer.finish();
    put(room, plan.chunks_end, last);
    plan.chunks_end += if last.is_some() { 2 } else { 0 };
    plan
}

/// Writes a chunk where there is room, as was just checked.
fn put(room: &mut [u8], at: usize, chunk: Option<[u8; 2]>) {
    if let (Some(chunk), Some(place)) = (chunk, room.get_mut(at..at + 2)) {
        place.copy_from_slice(&chunk);
    }
}

/// The symbol of a delta; `None` if it is too long to be told.
fn symbol_of(delta: Option<i64>) -> Option<Symbol> {
    match delta {
        None => Some(Symbol::Lost),
        Some(0..=255) => Some(Symbol::Small),
        Some(-0x8000..=0x7fff) => Some(Symbol::Large),
        Some(_) => None,
    }
}

/// The time in units of a delta: 57 bits at most.
fn ticks(at: Instant) -> i64 {
    (at.as_micros() / TICK).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;

    /// A body with that count, chunks and deltas.
    fn body(count: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff];
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 5, 9]);
        bytes.extend(chunks.iter().flat_map(|word| word.to_be_bytes()));
        bytes.extend_from_slice(deltas);
        bytes
    }

    fn parse(count: u16, chunks: &[u16], deltas: &[u8]) -> Result<Vec<(u16, Option<i16>)>, ParseError> {
        let body = body(count, chunks, deltas);
        let feedback = TransportFeedback::parse(&body)?;
        assert_eq!((feedback.reference_time, feedback.feedback_count), (5, 9));
        let statuses: Vec<_> = feedback.statuses().collect();
        let received = statuses.iter().filter_map(|(seq, delta)| Some((*seq, (*delta)?)));
        assert!(feedback.received().eq(received));
        Ok(statuses.into_iter().map(|(seq, delta)| (seq.0, delta)).collect())
    }

    fn chunk<T>(offset: usize) -> Result<T, ParseError> {
        Err(ParseError::at(offset, Fault::TransportChunk))
    }

    fn write_all(room: &mut [u8], arrivals: &[Option<u64>]) -> Result<Written, NoSpace> {
        let arrivals = arrivals.iter().map(|at| at.map(Instant::from_micros));
        write(room, [Ssrc(1), Ssrc(2)], 9, WireSeq(0xffff), arrivals)
    }

    #[test]
    fn numbers_wrap_and_deltas_have_their_sizes() {
        let expected = [(0xffff, Some(200)), (0, None), (1, Some(-2)), (2, Some(0))];
        let two_bit = 0b11_01_00_10_01_00_00_00;
        assert_eq!(parse(4, &[two_bit], &[200, 0xff, 0xfe, 0]), Ok(expected.to_vec()));
        assert_eq!(parse(4, &[two_bit], &[200, 0xff, 0xfe, 0, 0, 0]), Ok(expected.to_vec()));
    }

    #[test]
    fn s_bwe_01_counts_beyond_the_chunks_are_refused() {
        assert_eq!(parse(65_535, &[0x2001], &[1]), chunk(18));
        assert_eq!(parse(15, &[0x8000], &[]), chunk(18));
        assert_eq!(parse(1, &[], &[]), chunk(16));
        assert_eq!(parse(0, &[], &[]), Err(ParseError::at(10, Fault::TransportCount)), "about nothing");
        let header = ParseError::at(8, Fault::TransportHeader);
        assert_eq!(TransportFeedback::parse(&[0; 15]).err(), Some(header));
    }

    #[test]
    fn s_bwe_01_a_run_past_the_count_is_refused() {
        assert_eq!(parse(3, &[0x2003], &[1, 1, 1]).map(|statuses| statuses.len()), Ok(3));
        assert_eq!(parse(3, &[0x2004], &[1, 1, 1, 1]), chunk(16));
        assert_eq!(parse(3, &[0x2001, 0x1fff], &[1]), chunk(18));
    }

    #[test]
    fn s_bwe_01_missing_deltas_and_reserved_symbols_are_refused() {
        assert_eq!(parse(2, &[0x2002], &[1]), Err(ParseError::at(18, Fault::TransportDelta)));
        assert_eq!(parse(1, &[0x4001], &[1]), Err(ParseError::at(18, Fault::TransportDelta)));
        assert_eq!(parse(1, &[0x6001], &[1; 8]), chunk(16));
        assert_eq!(parse(1, &[0xf000], &[1; 8]), chunk(16));
    }

    #[test]
    fn s_bwe_01_announced_losses_cost_no_more_than_their_bytes() {
        // Runs of 8 x 8,191 and 6 lost packets, one received; empty runs between them mean nothing.
        let chunks = [&[0x1fff; 8][..], &[0, 6, 0, 0x2001]].concat();
        let body = body(65_535, &chunks, &[7]);
        let feedback = TransportFeedback::parse(&body).expect("well formed");
        let mut received = feedback.received();
        assert_eq!(received.next(), Some((WireSeq(0xfffd), 7)));
        assert_eq!(received.next(), None);
        assert_eq!(feedback.statuses().count(), 65_535);
    }

    #[test]
    fn s_bwe_01_feedback_that_is_cut_anywhere_is_refused_whole() {
        let two_bit = 0b11_01_00_10_01_00_00_00;
        let body = body(9, &[two_bit, 0x2002], &[200, 0xff, 0xfe, 0, 1, 1]);
        assert_eq!(TransportFeedback::parse(&body).expect("whole").received().count(), 5);
        for len in 0..body.len() {
            assert!(TransportFeedback::parse(&body[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn s_bwe_01_wrapped_and_extreme_times_are_read_as_they_are() {
        // Runs of the longest deltas either way, behind the last reference before the wrap.
        let mut body = body(4, &[0x4004], &[0x80, 0, 0x80, 0, 0x7f, 0xff, 0x7f, 0xff]);
        body[12..15].fill(0xff);
        let feedback = TransportFeedback::parse(&body).expect("well formed");
        assert_eq!(feedback.reference_time, 0xff_ffff);
        let deltas = feedback.received().map(|(seq, delta)| (seq.0, delta));
        assert!(deltas.eq([(0xffff, i16::MIN), (0, i16::MIN), (1, i16::MAX), (2, i16::MAX)]));
    }

    #[test]
    fn the_reference_is_a_multiple_of_64_ms_that_wraps_after_24_bits() {
        let mut room = [0; 64];
        let at = (1 << 24) * 64_000 + 3 * 64_000 + 1_499;
        let written = write_all(&mut room, &[None, Some(at), Some(at - 1_000)]).expect("room");
        assert_eq!(written, Written { statuses: 3, len: 21 });
        let body = &room[..written.len];
        let feedback = TransportFeedback::parse(body).expect("ours");
        assert_eq!((feedback.sender, feedback.media), (Ssrc(1), Ssrc(2)));
        assert_eq!((feedback.reference_time, feedback.feedback_count), (3, 9));
        let expected = [(WireSeq(0xffff), None), (WireSeq(0), Some(5)), (WireSeq(1), Some(-4))];
        assert!(feedback.statuses().eq(expected));
    }

    #[test]
    fn it_ends_before_a_delta_of_more_than_16_bits() {
        let mut room = [0; 64];
        let step = 0x7fff * TICK;
        let written = write_all(&mut room, &[Some(0), Some(step), None, Some(2 * step + TICK)]);
        assert_eq!(written.map(|written| written.statuses), Ok(3));
        let written = write_all(&mut room, &[Some(0x8000 * TICK), Some(0), Some(0)]);
        assert_eq!(written.map(|written| written.statuses), Ok(3), "one more on this side");
        let written = write_all(&mut room, &[Some(0x8001 * TICK), Some(0)]);
        assert_eq!(written.map(|written| written.statuses), Ok(1));
    }

    #[test]
    fn nothing_is_told_when_nothing_arrived() {
        let mut room = [0xee; 64];
        assert_eq!(write_all(&mut room, &[None; 3]), Ok(Written::default()));
        assert_eq!(room, [0xee; 64]);
    }

    #[test]
    fn it_ends_where_the_space_does() {
        let arrivals: Vec<_> = (0..100).map(|at| Some(at * 1_000)).collect();
        for len in 0..200 {
            let mut room = vec![0; len];
            match write_all(&mut room, &arrivals) {
                Ok(written) => {
                    assert!(written.len.next_multiple_of(4) <= len);
                    let feedback = TransportFeedback::parse(&room[..written.len]).expect("ours");
                    assert_eq!(feedback.received().count(), usize::from(written.statuses));
                    // A run of small deltas: one chunk, a byte each.
                    let most = (len / 4 * 4 - HEAD - 2).min(100);
                    assert_eq!(usize::from(written.statuses), most);
                }
                Err(NoSpace) => assert!(len < HEAD + 4, "{len}"),
            }
        }
    }

    #[test]
    fn rounding_errors_do_not_add_up() {
        let mut room = [0; 400];
        let arrivals: Vec<_> = (0..200).map(|at| Some(64_000 + at * 333)).collect();
        let written = write_all(&mut room, &arrivals).expect("room");
        let feedback = TransportFeedback::parse(&room[..written.len]).expect("ours");
        let mut at = Duration::from_millis(64 * u64::from(feedback.reference_time));
        for ((_, delta), truth) in feedback.received().zip(&arrivals) {
            at += Duration::from_micros(TICK * u64::from(delta.unsigned_abs()));
            let truth = Duration::from_micros(truth.unwrap_or(0));
            assert!(truth - at < Duration::from_micros(TICK));
        }
    }
}
