//! TCP: the streams that carry datagrams in frames (RFC 6544, RFC 4571), and when they end.
//!
//! A stream is nobody's until an authenticated check came over it; how many there may be of those, and
//! for how long, is limited for the whole engine (S-MUX-07). From then on it is an address of its
//! participant's like any other, bounded with them (S-MUX-05), and ends with it.

use crate::base::limits;
use crate::base::random::Random;
use crate::base::table::{Table, table};
use crate::base::time::Instant;
use crate::conference::drops::DropReason;
use crate::conference::engine::{Datagram, Engine};
use crate::conference::event::Event;
use crate::conference::participant::Timer;
use crate::transport::framing::{self, Deframer, Fault};
use crate::wire::mux::{Ecn, Path, Protocol};
use std::collections::BTreeSet;

/// Why a stream is at its end: its connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StreamEnd {
    /// Its bytes are not frames.
    #[error("{0}")]
    Framing(Fault),
    /// Too many streams wait for an authenticated check already ([`limits::STREAMS_UNPROVEN`]).
    #[error("too many unauthenticated streams")]
    Refused,
    /// No authenticated check came within [`limits::STREAM_PROOF_TIMEOUT`].
    #[error("nobody authenticated in time")]
    Unproven,
    /// Its participant has other addresses that were heard later, or began anew without it.
    #[error("the stream's address gave way to others")]
    Forgotten,
    /// Its participant left.
    #[error("the participant left")]
    Left,
    /// The path is not one of TCP.
    #[error("the path is not one of TCP")]
    NotTcp,
}

impl StreamEnd {
    /// Under which reason it is counted; what ends in good order is not.
    fn drop_reason(self) -> Option<DropReason> {
        match self {
            StreamEnd::Framing(fault) => Some(DropReason::Framing(fault)),
            StreamEnd::Refused => Some(DropReason::StreamRefused),
            StreamEnd::Unproven => Some(DropReason::StreamUnproven),
            StreamEnd::Forgotten | StreamEnd::Left | StreamEnd::NotTcp => None,
        }
    }
}

/// Bytes that one stream holds at most: its entries in both tables, with room to grow, and a frame.
pub(super) const BOUND: usize = 3 * (size_of::<Path>() + size_of::<Connection>()) + FRAME;
const FRAME: usize = framing::PREFIX + limits::DATAGRAM;

/// One stream.
struct Connection {
    deframer: Deframer,
    /// By when somebody has to have authenticated; `None` once somebody has.
    prove_by: Option<Instant>,
    /// Its entry in the queue of deadlines: at its own deadline or before.
    queued: Option<Instant>,
}

impl Connection {
    fn deadline(&self) -> Option<Instant> {
        [self.prove_by, self.deframer.poll_timeout()].into_iter().flatten().min()
    }
}

/// All streams of an engine.
pub(super) struct Streams {
    by_path: Table<Path, Connection>,
    unproven: usize,
    /// One entry for each stream at most.
    deadlines: BTreeSet<(Instant, Path)>,
    /// Buffers that the next frame in pieces takes.
    spare: Vec<Vec<u8>>,
    /// The stream whose bytes are being handled: its end is the answer to the call, not an event.
    busy: Option<Path>,
    ended: Option<StreamEnd>,
}

impl Streams {
    pub(super) fn new(random: &mut Random) -> Self {
        Streams {
            by_path: table(random),
            unproven: 0,
            deadlines: BTreeSet::new(),
            spare: Vec::new(),
            busy: None,
            ended: None,
        }
    }

    /// Streams, and those among them that nobody authenticated on.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.by_path.len(), self.unproven)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Those that somebody authenticated on.
    pub(super) fn proven(&self) -> impl Iterator<Item = &Path> {
        self.by_path.iter().filter(|(_, connection)| connection.prove_by.is_none()).map(|(path, _)| path)
    }

    fn open(&mut self, now: Instant, path: Path) -> Result<(), StreamEnd> {
        if path.protocol != Protocol::Tcp {
            return Err(StreamEnd::NotTcp);
        }
        if self.unproven >= limits::STREAMS_UNPROVEN {
            return Err(StreamEnd::Refused);
        }
        let prove_by = Some(now + limits::STREAM_PROOF_TIMEOUT);
        self.by_path.insert(path, Connection { deframer: Deframer::default(), prove_by, queued: None });
        self.unproven += 1;
        self.queue(path);
        Ok(())
    }

    /// Lends out a stream's frames while its bytes are handled, and says whether it is proven.
    fn begin(&mut self, now: Instant, path: Path) -> Result<(Deframer, bool), StreamEnd> {
        if !self.by_path.contains_key(&path) {
            self.open(now, path)?;
        }
        let connection = self.by_path.get_mut(&path).ok_or(StreamEnd::Refused)?;
        (self.busy, self.ended) = (Some(path), None);
        if connection.deframer.lacks_buffer()
            && let Some(buffer) = self.spare.pop()
        {
            connection.deframer.lend(buffer);
        }
        Ok((std::mem::take(&mut connection.deframer), connection.prove_by.is_none()))
    }

    /// Takes them back.
    fn finish(&mut self, path: Path, mut deframer: Deframer, proven: bool) {
        self.busy = None;
        if let Some(buffer) = deframer.reclaim()
            && self.spare.len() < limits::STREAM_BUFFERS
        {
            self.spare.push(buffer);
        }
        let Some(connection) = self.by_path.get_mut(&path) else {
            return;
        };
        connection.deframer = deframer;
        if proven && connection.prove_by.take().is_some() {
            self.unproven = self.unproven.saturating_sub(1);
        }
        self.queue(path);
    }

    /// Makes the queue agree with a stream's deadline. An entry that comes too early stays: when it
    /// surfaces the stream is asked again.
    fn queue(&mut self, path: Path) {
        let Some(connection) = self.by_path.get_mut(&path) else {
            return;
        };
        let Some(at) = connection.deadline() else {
            return;
        };
        if connection.queued.is_some_and(|queued| queued <= at) {
            return;
        }
        if let Some(later) = connection.queued.replace(at) {
            self.deadlines.remove(&(later, path));
        }
        self.deadlines.insert((at, path));
    }

    /// Takes a stream that is overdue, and why.
    fn pop_due(&mut self, now: Instant) -> Option<(Path, StreamEnd)> {
        while let Some(&(at, path)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, path));
            let Some(connection) = self.by_path.get_mut(&path) else {
                continue;
            };
            connection.queued = None;
            if connection.prove_by.is_some_and(|at| at <= now) {
                return Some((path, StreamEnd::Unproven));
            }
            if let Err(fault) = connection.deframer.handle_timeout(now) {
                return Some((path, StreamEnd::Framing(fault)));
            }
            self.queue(path);
        }
        None
    }

    /// Forgets a stream; false if there was none.
    fn remove(&mut self, path: &Path) -> bool {
        let Some(connection) = self.by_path.remove(path) else {
            return false;
        };
        if let Some(at) = connection.queued {
            self.deadlines.remove(&(at, *path));
        }
        self.unproven -= usize::from(connection.prove_by.is_some());
        if self.by_path.is_empty() {
            // What grew with a crowd goes back (I-02).
            self.by_path.shrink_to_fit();
            self.spare = Vec::new();
        }
        true
    }
}

impl Engine {
    /// A connection to one of the [candidates of TCP](crate::HostCandidate::tcp) was accepted. Bytes of a
    /// path that is not known say the same; telling it at once makes a connection that stays silent
    /// count, too.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub fn open_stream(&mut self, path: Path) -> Result<(), StreamEnd> {
        self.close_stream(path);
        let opened = self.connections.open(self.now, path);
        self.count_end(path, opened.err());
        opened
    }

    /// Takes bytes of a stream, in any pieces: datagrams, each behind its length (RFC 4571). They are
    /// the caller's again on return. Each frame counts as a datagram received.
    ///
    /// # Errors
    /// Why the stream is at its end: the connection is to be closed, the engine has forgotten it. What
    /// ends it between two calls is told as [`Event::StreamClosed`].
    pub fn handle_stream(&mut self, now: Instant, path: Path, bytes: &[u8]) -> Result<(), StreamEnd> {
        let now = self.advance(now);
        let (mut deframer, mut proven) =
            self.connections.begin(now, path).inspect_err(|end| self.count_end(path, Some(*end)))?;
        let mut rest = bytes;
        let fault = loop {
            match deframer.next(now, &mut rest) {
                Ok(Some(data)) => self.handle_datagram(now, Datagram { path, ecn: Ecn::NotEct, data }),
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
            // A frame may have been the participant's last.
            if self.connections.ended.is_some() {
                break None;
            }
            proven = proven || self.directory.find(&path).is_some();
        };
        if let Some(fault) = fault {
            self.end_stream(path, StreamEnd::Framing(fault));
        }
        self.connections.finish(path, deframer, proven);
        self.connections.ended.take().map_or(Ok(()), Err)
    }

    /// A stream's connection has ended: its address is nobody's any more. A participant without another
    /// one has [`limits::CONSENT_TIMEOUT`] to come back.
    pub fn close_stream(&mut self, path: Path) {
        self.connections.remove(&path);
        if path.protocol == Protocol::Tcp {
            self.lose_path(path);
        }
    }

    /// Ends the streams that are overdue.
    pub(super) fn end_overdue_streams(&mut self, now: Instant) {
        while let Some((path, end)) = self.connections.pop_due(now) {
            self.end_stream(path, end);
        }
    }

    /// Ends a stream: the embedder is told, as the answer to its call or by an event.
    pub(super) fn end_stream(&mut self, path: Path, end: StreamEnd) {
        if !self.connections.remove(&path) {
            return;
        }
        self.count_end(path, Some(end));
        if self.connections.busy == Some(path) {
            self.connections.ended = Some(end);
        } else {
            self.emit(Event::StreamClosed { path, reason: end });
        }
        self.lose_path(path);
    }

    fn count_end(&mut self, path: Path, end: Option<StreamEnd>) {
        if let Some(reason) = end.and_then(StreamEnd::drop_reason) {
            self.count_drop(self.directory.find(&path), reason);
        }
    }

    /// A way that is no more. Its participant goes on over another proven one, or has to prove one
    /// while its consent lasts (RFC 7675, section 5.1).
    fn lose_path(&mut self, path: Path) {
        let Some(id) = self.directory.find(&path) else {
            return;
        };
        let now = self.now;
        if let Some(participant) = self.participants.get_mut(id) {
            participant.network.forget_path(now, &path);
            if participant.path == Some(path) && participant.network.selected().is_none() {
                participant.set_path(None);
                // Who is about to connect has the time for that, and no more with each connection.
                if participant.network.is_secured() {
                    participant.timers.set(Timer::Connect, Some(now + limits::CONSENT_TIMEOUT));
                }
            }
        }
        self.drain_network(now, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_grows_takes_no_buffer_of_the_others() {
        let mut streams = Streams::new(&mut Random::new([1; 32]));
        let (now, path) = (
            Instant::from_millis(7),
            Path {
                protocol: Protocol::Tcp,
                local: ([192, 0, 2, 1], 1).into(),
                remote: ([192, 0, 2, 2], 2).into(),
            },
        );
        let piece = |streams: &mut Streams, mut bytes: &[u8]| {
            let (mut deframer, proven) = streams.begin(now, path).unwrap();
            let whole = deframer.next(now, &mut bytes).unwrap().is_some();
            streams.finish(path, deframer, proven);
            whole
        };
        streams.spare.push(Vec::with_capacity(FRAME));
        // STUN by its first byte, one byte at a time.
        assert!(!piece(&mut streams, &[0]));
        assert_eq!(streams.spare.len(), 0, "it has the buffer");
        streams.spare.push(Vec::with_capacity(FRAME));
        for byte in [3, 0, 1] {
            assert!(!piece(&mut streams, &[byte]));
            assert_eq!(streams.spare.len(), 1);
        }
        assert!(piece(&mut streams, &[2]));
        assert_eq!(streams.spare.len(), 2, "its own is back");
    }
}
