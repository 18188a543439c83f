//! Datagrams over a stream: each behind its length in 16 bits (RFC 4571, section 2), as ICE over TCP has
//! them (RFC 6544, section 3).
//!
//! [`Deframer`] takes a stream in whatever pieces it arrives. A frame that lies whole in its piece is
//! lent from there; only one that was cut waits in a buffer, of one frame at most. A stream that is not
//! what it should be is at its end ([`Fault`]): without its lengths nothing behind can be found again.
//! The other way, [`write()`] or [`prefix`] put the length in front.
//!
//! Left out: the connection itself, and RFC 4571's use without ICE, where the first frame need not be
//! STUN.

use crate::base::limits;
use crate::base::time::Instant;
use crate::wire::mux::{self, Kind};

/// Bytes in front of each frame.
pub const PREFIX: usize = 2;

/// Why a stream is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A frame of no bytes.
    #[error("a frame is empty")]
    Empty,
    /// A frame longer than [`limits::DATAGRAM`].
    #[error("a frame is too long")]
    TooLong,
    /// A frame was begun and not ended within [`limits::STREAM_FRAME_TIMEOUT`].
    #[error("a frame was begun and not ended in time")]
    Unfinished,
    /// The first frame is not STUN: nobody has proven anything yet.
    #[error("the first frame is not STUN")]
    NotStun,
}

impl Fault {
    /// All faults, for tables of counters.
    pub const ALL: [Fault; 4] = [Fault::Empty, Fault::TooLong, Fault::Unfinished, Fault::NotStun];

    /// A stable name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Empty => "framing.empty",
            Fault::TooLong => "framing.too_long",
            Fault::Unfinished => "framing.unfinished",
            Fault::NotStun => "framing.not_stun",
        }
    }
}

/// The frames of one stream.
///
/// ```
/// use estafette::{Instant, framing::Deframer};
///
/// let mut deframer = Deframer::default();
/// for mut piece in [&[0, 4, 0, 1][..], &[0, 0, 0, 2, 7, 7]] {
///     // Lent until the next call: from the piece, or from the deframer if the frame was cut.
///     while let Some(frame) = deframer.next(Instant::ZERO, &mut piece)? {
///         println!("{frame:?}");
///     }
/// }
/// # Ok::<(), estafette::framing::Fault>(())
/// ```
#[derive(Debug, Default)]
pub struct Deframer {
    /// A frame that was cut, its length in front; no longer than one frame.
    waiting: Vec<u8>,
    /// When its first byte came. While it is `None`, `waiting` is of no use any more.
    begun: Option<Instant>,
    /// There was a frame, and it was STUN.
    opened: bool,
    fault: Option<Fault>,
}

impl Deframer {
    /// Takes the next frame from the front of `piece`, without its length; `None` once all of the piece
    /// is taken.
    ///
    /// # Errors
    /// The stream's [`Fault`], the same for ever after.
    pub fn next<'a, 'p: 'a>(
        &'a mut self,
        now: Instant,
        piece: &mut &'p [u8],
    ) -> Result<Option<&'a [u8]>, Fault> {
        self.handle_timeout(now)?;
        if self.begun.is_none() {
            match self.take_whole(piece) {
                Ok(None) => {}
                Ok(frame) => return Ok(frame),
                Err(fault) => return Err(self.end(fault)),
            }
        }
        match self.collect(now, piece) {
            Ok(true) => Ok(self.waiting.get(PREFIX..)),
            Ok(false) => Ok(None),
            Err(fault) => Err(self.end(fault)),
        }
    }

    /// Ends a stream whose frame is too old.
    ///
    /// # Errors
    /// The stream's [`Fault`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Fault> {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.end(Fault::Unfinished);
        }
        self.fault.map_or(Ok(()), Err)
    }

    /// When the frame that waits is too old; `None` while none does.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.begun.map(|at| at + limits::STREAM_FRAME_TIMEOUT)
    }

    /// A frame that lies whole at the front of the piece; `None` leaves the piece as it is.
    fn take_whole<'p>(&mut self, piece: &mut &'p [u8]) -> Result<Option<&'p [u8]>, Fault> {
        let Some((prefix, behind)) = piece.split_first_chunk() else {
            return Ok(None);
        };
        let Some((frame, rest)) = behind.split_at_checked(length(*prefix)?) else {
            return Ok(None);
        };
        self.admit(frame)?;
        *piece = rest;
        Ok(Some(frame))
    }

    /// Takes of the piece what the frame that waits lacks; true once it is whole.
    fn collect(&mut self, now: Instant, piece: &mut &[u8]) -> Result<bool, Fault> {
        if piece.is_empty() {
            return Ok(false);
        }
        if self.begun.is_none() {
            self.begun = Some(now);
            self.waiting.clear();
            self.waiting.reserve_exact(PREFIX + limits::DATAGRAM);
        }
        // The length first, then as much as it says.
        self.fill(PREFIX, piece);
        let Some(prefix) = self.waiting.first_chunk() else {
            return Ok(false);
        };
        let whole = self.fill(PREFIX + length(*prefix)?, piece);
        if let Some(first) = self.waiting.get(PREFIX).copied() {
            self.admit(&[first])?;
        }
        if whole {
            self.begun = None;
        }
        Ok(whole)
    }

    /// Moves bytes from the piece until `len` of them wait; true if they do.
    fn fill(&mut self, len: usize, piece: &mut &[u8]) -> bool {
        let lacking = len.saturating_sub(self.waiting.len());
        let (taken, rest) = piece.split_at(lacking.min(piece.len()));
        self.waiting.extend_from_slice(taken);
        *piece = rest;
        taken.len() == lacking
    }

    /// Looks at a frame, or at its first byte: the stream's first one has to be STUN.
    fn admit(&mut self, frame: &[u8]) -> Result<(), Fault> {
        self.opened = self.opened || mux::kind_of(frame) == Some(Kind::Stun);
        if self.opened { Ok(()) } else { Err(Fault::NotStun) }
    }

    fn end(&mut self, fault: Fault) -> Fault {
        *self = Deframer { fault: Some(fault), ..Deframer::default() };
        fault
    }

    /// Whether the next frame in pieces needs a buffer.
    pub(crate) fn lacks_buffer(&self) -> bool {
        self.waiting.capacity() == 0
    }

    /// Gives it a buffer to use if it needs one.
    pub(crate) fn lend(&mut self, buffer: Vec<u8>) {
        if self.lacks_buffer() {
            self.waiting = buffer;
        }
    }

    /// Takes the buffer back, if there is one in which nothing waits.
    pub(crate) fn reclaim(&mut self) -> Option<Vec<u8>> {
        let idle = self.begun.is_none() && self.waiting.capacity() > 0;
        idle.then(|| std::mem::take(&mut self.waiting))
    }
}

fn length(prefix: [u8; PREFIX]) -> Result<usize, Fault> {
    match usize::from(u16::from_be_bytes(prefix)) {
        0 => Err(Fault::Empty),
        len if len > limits::DATAGRAM => Err(Fault::TooLong),
        len => Ok(len),
    }
}

/// What stands in front of a frame of `len` bytes; `None` if there is no such frame, of no bytes or of
/// more than 65,535.
#[inline]
pub const fn prefix(len: usize) -> Option<[u8; PREFIX]> {
    match len {
        1..=0xffff => Some((len as u16).to_be_bytes()),
        _ => None,
    }
}

/// Writes a frame behind its length at the start of `out` and returns how many bytes that took; `None`
/// if it does not fit or [`prefix`] has no length for it.
pub fn write(frame: &[u8], out: &mut [u8]) -> Option<usize> {
    let prefix = prefix(frame.len())?;
    let (front, behind) = out.split_first_chunk_mut()?;
    behind.get_mut(..frame.len())?.copy_from_slice(frame);
    *front = prefix;
    Some(PREFIX + frame.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: Instant = Instant::from_millis(7);

    fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for frame in frames {
            let mut out = vec![0; frame.len() + PREFIX];
            assert_eq!(write(frame, &mut out), Some(out.len()));
            stream.extend(out);
        }
        stream
    }

    /// Hands over pieces and gathers the frames; the buffer never grows above one frame.
    fn read<'p>(
        deframer: &mut Deframer,
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        let mut frames = Vec::new();
        for mut piece in pieces {
            while let Some(frame) = deframer.next(NOW, &mut piece)? {
                frames.push(frame.to_vec());
            }
            assert!(piece.is_empty());
            assert!(deframer.waiting.capacity() <= limits::DATAGRAM + PREFIX);
        }
        Ok(frames)
    }

    #[test]
    fn a_whole_frame_is_lent_from_its_piece() {
        let stream = framed(&[vec![0; 20], vec![0x80; 1_200]]);
        let mut deframer = Deframer::default();
        let mut piece = &stream[..];
        for at in [2, 24] {
            let frame = deframer.next(NOW, &mut piece).unwrap().unwrap();
            assert!(std::ptr::eq(frame.as_ptr(), &raw const stream[at]), "no copy");
        }
        assert_eq!(deframer.next(NOW, &mut piece), Ok(None));
        assert_eq!((deframer.waiting.capacity(), deframer.poll_timeout()), (0, None), "and no buffer");
    }

    #[test]
    fn a_buffer_is_there_only_while_a_frame_waits() {
        let stream = framed(&[vec![1; 100]]);
        let mut deframer = Deframer::default();
        deframer.lend(Vec::with_capacity(limits::DATAGRAM + PREFIX));
        assert_eq!(read(&mut deframer, [&stream[..60]]), Ok(vec![]));
        assert!(deframer.reclaim().is_none(), "it is in use");
        assert_eq!(read(&mut deframer, [&stream[60..]]), Ok(vec![vec![1; 100]]));
        assert!(deframer.reclaim().is_some());
        assert_eq!(deframer.waiting.capacity(), 0);
    }

    #[test]
    fn s_mux_06_a_frame_of_no_bytes_ends_the_stream() {
        let stream = [&framed(&[vec![0; 20]])[..], &[0, 0]].concat();
        for cut in [stream.len(), stream.len() - 1] {
            let mut deframer = Deframer::default();
            let mut seen = 0;
            let mut ends = None;
            for mut piece in [&stream[..cut], &stream[cut..]] {
                while ends.is_none() {
                    match deframer.next(NOW, &mut piece) {
                        Ok(Some(_)) => seen += 1,
                        Ok(None) => break,
                        Err(fault) => ends = Some(fault),
                    }
                }
            }
            assert_eq!((seen, ends), (1, Some(Fault::Empty)), "what came before is good");
            assert_eq!(read(&mut deframer, [&framed(&[vec![0; 20]])[..]]), Err(Fault::Empty), "for ever");
        }
    }

    #[test]
    fn s_mux_06_the_longest_frame_is_taken_and_one_byte_more_is_not() {
        let longest = vec![0; limits::DATAGRAM];
        assert_eq!(
            read(&mut Deframer::default(), [&framed(std::slice::from_ref(&longest))[..]]),
            Ok(vec![longest])
        );
        let longer = framed(&[vec![0; limits::DATAGRAM + 1]]);
        // As soon as its length is there.
        assert_eq!(read(&mut Deframer::default(), [&longer[..2]]), Err(Fault::TooLong));
        assert_eq!(read(&mut Deframer::default(), longer.chunks(1)), Err(Fault::TooLong));
    }

    #[test]
    fn s_mux_06_the_first_frame_has_to_be_stun() {
        for first in [4, 19, 20, 0x16, 63, 64, 128, 0xff] {
            let stream = framed(&[vec![first; 30]]);
            for size in [1, 3, 32] {
                let result = read(&mut Deframer::default(), stream[..3.max(size)].chunks(size));
                assert_eq!(result, Err(Fault::NotStun), "{first}");
            }
            let behind = framed(&[vec![0; 20], vec![first; 30]]);
            assert_eq!(read(&mut Deframer::default(), behind.chunks(7)).map(|frames| frames.len()), Ok(2));
        }
        // Of another protocol altogether.
        assert!(read(&mut Deframer::default(), [&b"GET / HTTP/1.1\r\n"[..]]).is_err());
    }

    #[test]
    fn s_mux_06_one_byte_a_second_ends_the_stream() {
        let stream = framed(&[vec![0; 20]]);
        let mut deframer = Deframer::default();
        let mut ends = None;
        for (second, byte) in (0..).zip(stream.chunks(1)) {
            let mut piece = byte;
            if let Err(fault) = deframer.next(Instant::from_millis(1_000 * second), &mut piece) {
                ends = Some((second, fault));
                break;
            }
        }
        assert_eq!(ends, Some((5, Fault::Unfinished)));
    }

    #[test]
    fn s_mux_06_a_frame_that_is_never_ended_ends_the_stream() {
        let mut deframer = Deframer::default();
        assert_eq!(read(&mut deframer, [&[0][..]]), Ok(vec![]));
        let at = deframer.poll_timeout().unwrap();
        assert_eq!(at, NOW + limits::STREAM_FRAME_TIMEOUT);
        assert_eq!(deframer.handle_timeout(at - Duration::from_micros(1)), Ok(()));
        assert_eq!(deframer.handle_timeout(at), Err(Fault::Unfinished));
        assert_eq!((deframer.poll_timeout(), deframer.waiting.capacity()), (None, 0));
        // A silent stream is as good as a lively one.
        assert_eq!(Deframer::default().handle_timeout(Instant::from_micros(u64::MAX)), Ok(()));
    }

    #[test]
    fn only_frames_that_there_are_can_be_written() {
        let mut out = [0xee; 8];
        assert_eq!(write(&[], &mut out), None);
        assert_eq!(write(&[1; 7], &mut out), None);
        assert_eq!(write(&vec![1; 65_536], &mut vec![0; 70_000]), None);
        assert_eq!(prefix(65_535), Some([0xff, 0xff]));
        assert_eq!(out, [0xee; 8], "nothing is written");
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 1..12),
            cuts in prop::collection::vec(1usize..300, 1..200),
        ) {
            let mut bodies = bodies;
            bodies[0][0] &= 3;
            let stream = framed(&bodies);
            let mut deframer = Deframer::default();
            let (mut rest, mut cuts) = (&stream[..], cuts.into_iter().cycle());
            let mut pieces = Vec::new();
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            prop_assert_eq!(read(&mut deframer, pieces), Ok(bodies));
        }

        #[test]
        fn any_bytes_end_the_same_way_whatever_the_pieces(
            mut stream in prop::collection::vec(prop_oneof![0u8..3, any::<u8>()], 0..600),
            size in 1usize..40,
        ) {
            if let Some(high) = stream.first_mut() {
                *high &= 1;
            }
            let all = |size| {
                let mut deframer = Deframer::default();
                let mut frames = Vec::new();
                for mut piece in stream.chunks(size) {
                    loop {
                        match deframer.next(NOW, &mut piece) {
                            Ok(Some(frame)) => frames.push(frame.to_vec()),
                            Ok(None) => break,
                            Err(fault) => return (frames, Some(fault)),
                        }
                    }
                }
                (frames, None)
            };
            prop_assert_eq!(all(size), all(1_000));
        }
    }
}
