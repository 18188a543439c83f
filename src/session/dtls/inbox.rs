//! The peer's handshake messages, whole and in order, out of pieces in any order.
//!
//! Pieces in clear may be anybody's: they may overlap, repeat and contradict each other. The latest wins, a whole
//! message never waits for its pieces, and what is kept has a bound that a flood does not move (S-DTLS-03, 04, 05).

use super::message::{Fragment, Message};
use super::outcome::Drop;
use crate::base::limits;

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is kept, or it completed something.
    New,
    /// Its message was read before: the peer says it again.
    Again,
}

/// The messages of one handshake that are not read yet.
#[derive(Debug, Default, Hash)]
pub(super) struct Inbox {
    /// The number of the message that is read next.
    next: u16,
    /// The lowest epoch that it may come in.
    least: u16,
    /// Whole ones that are not read yet, with the epoch that they came in.
    whole: Vec<(u16, Message)>,
    parts: Vec<Partial>,
    /// Bytes of fragmented messages put together so far.
    spent: usize,
}

#[derive(Debug, Hash)]
struct Partial {
    epoch: u16,
    kind: u8,
    number: u16,
    total: usize,
    /// In the order of arrival.
    pieces: Vec<Piece>,
}

#[derive(Debug, Hash)]
struct Piece {
    offset: usize,
    body: Box<[u8]>,
}

impl Inbox {
    /// Takes a piece that lies inside its message and came in `epoch`.
    ///
    /// # Errors
    /// [`Drop::OutOfOrder`] of a message too far ahead, [`Drop::ClearHandshake`] in an epoch that is over,
    /// [`Drop::Fragment`] where too much was put together already, or waits.
    pub(super) fn add(&mut self, epoch: u16, fragment: &Fragment<'_>) -> Result<Taken, Drop> {
        let Some(ahead) = fragment.number.checked_sub(self.next) else { return Ok(Taken::Again) };
        if epoch < self.least {
            return Err(Drop::ClearHandshake);
        }
        if usize::from(ahead) >= limits::DTLS_AHEAD {
            return Err(Drop::OutOfOrder);
        }
        let known = self.whole.iter().find(|(_, message)| message.number == fragment.number);
        if known.is_some_and(|(known, _)| *known >= epoch) && epoch > 0 {
            return Ok(Taken::Again);
        }
        if let Some(message) = self.complete(epoch, fragment)? {
            self.whole.retain(|(_, known)| known.number != message.number);
            self.whole.push((epoch, message));
        }
        Ok(Taken::New)
    }

    /// From now on nothing counts that comes in an epoch before this one.
    pub(super) fn require(&mut self, epoch: u16) {
        self.least = epoch;
        self.whole.retain(|(came, _)| *came >= epoch);
        self.parts.retain(|partial| partial.epoch >= epoch);
    }

    /// The next message in order and the epoch that it came in.
    pub(super) fn next(&mut self) -> Option<(u16, Message)> {
        let at = self.whole.iter().position(|(_, message)| message.number == self.next)?;
        // Beyond the last number nothing is ever next.
        self.next = self.next.checked_add(1)?;
        Some(self.whole.swap_remove(at))
    }

    /// The number of the message that is read next.
    pub(super) fn next_number(&self) -> u16 {
        self.next
    }

    /// One that reads on from a message.
    pub(super) fn reading_from(next: u16) -> Self {
        Inbox { next, ..Inbox::default() }
    }

    /// Bytes of messages that are not read yet.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let pieces = self.parts.iter().flat_map(|partial| &partial.pieces).map(|piece| piece.body.len());
        pieces.chain(self.whole.iter().map(|(_, message)| message.body.len())).sum()
    }

    fn complete(&mut self, epoch: u16, fragment: &Fragment<'_>) -> Result<Option<Message>, Drop> {
        let Fragment { kind, number, total, body, .. } = *fragment;
        if body.len() == total {
            self.parts.retain(|partial| partial.number != number);
            return Ok(Some(Message { kind, number, body: body.into() }));
        }
        if self.spent.saturating_add(total) > limits::DTLS_ASSEMBLED {
            return Err(Drop::Fragment);
        }
        self.make_room(body.len())?;
        let at = self.place(epoch, fragment);
        // `place` returns the index of an element.
        let Some(partial) = self.parts.get_mut(at) else { return Ok(None) };
        partial.insert(fragment);
        if !partial.is_complete() {
            return Ok(None);
        }
        let partial = self.parts.swap_remove(at);
        self.spent = self.spent.saturating_add(partial.total);
        Ok(Some(Message { kind, number, body: partial.join() }))
    }

    /// Where there is none for a piece of so many bytes, those in clear go, which may be anybody's; what is authenticated
    /// stays, for it may be acknowledged already.
    fn make_room(&mut self, len: usize) -> Result<(), Drop> {
        if self.is_full(len) {
            self.parts.retain(|partial| partial.epoch > 0);
        }
        if self.is_full(len) { Err(Drop::Fragment) } else { Ok(()) }
    }

    fn is_full(&self, len: usize) -> bool {
        let pieces = self.parts.iter().flat_map(|partial| &partial.pieces);
        let (count, bytes) = pieces.fold((0_usize, len), |(count, bytes), piece| {
            (count.saturating_add(1), bytes.saturating_add(piece.body.len()))
        });
        bytes > limits::DTLS_FRAGMENT_BYTES || count >= limits::DTLS_FRAGMENTS
    }

    /// The index of the piece's message, as new if it contradicts what was known of it.
    fn place(&mut self, epoch: u16, fragment: &Fragment<'_>) -> usize {
        let Fragment { kind, number, total, .. } = *fragment;
        let at = self.parts.iter().position(|partial| partial.number == number);
        let at = at.unwrap_or(self.parts.len());
        match self.parts.get_mut(at) {
            Some(known) if (known.epoch, known.kind, known.total) == (epoch, kind, total) => {}
            Some(known) => *known = Partial { epoch, kind, number, total, pieces: Vec::new() },
            None => self.parts.push(Partial { epoch, kind, number, total, pieces: Vec::new() }),
        }
        at
    }
}

impl Partial {
    fn insert(&mut self, fragment: &Fragment<'_>) {
        let same = |piece: &Piece| piece.offset == fragment.offset && piece.body.len() == fragment.body.len();
        self.pieces.retain(|piece| !same(piece));
        self.pieces.push(Piece { offset: fragment.offset, body: fragment.body.into() });
    }

    /// Each round moves the covered part on, or ends: a number of pieces that has a limit, squared.
    fn is_complete(&self) -> bool {
        let mut covered = 0;
        while covered < self.total {
            let reachable = self.pieces.iter().filter(|piece| piece.offset <= covered);
            match reachable.map(Piece::end).max() {
                Some(end) if end > covered => covered = end,
                _ => return false,
            }
        }
        true
    }

    fn join(&self) -> Box<[u8]> {
        let mut whole = vec![0; self.total];
        for piece in &self.pieces {
            if let Some(to) = whole.get_mut(piece.offset..piece.end()) {
                to.copy_from_slice(&piece.body);
            }
        }
        whole.into()
    }
}

impl Piece {
    fn end(&self) -> usize {
        self.offset.saturating_add(self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7) as u8).collect()
    }

    fn piece(all: &[u8], number: u16, from: usize, to: usize) -> Fragment<'_> {
        Fragment { kind: 11, number, total: all.len(), offset: from, body: &all[from..to] }
    }

    fn add(inbox: &mut Inbox, epoch: u16, fragment: Fragment<'_>) -> Vec<Vec<u8>> {
        inbox.add(epoch, &fragment).unwrap();
        std::iter::from_fn(|| inbox.next()).map(|(_, message)| message.body.into()).collect()
    }

    #[test]
    fn s_dtls_03_pieces_in_any_order_overlapping_and_doubled_make_the_message() {
        let all = whole(100);
        let mut inbox = Inbox::default();
        for (from, to) in [(50, 90), (0, 20), (0, 20), (80, 100), (19, 30)] {
            assert_eq!(add(&mut inbox, 0, piece(&all, 0, from, to)), Vec::<Vec<u8>>::new());
        }
        assert_eq!(add(&mut inbox, 0, piece(&all, 0, 25, 55)), std::slice::from_ref(&all));
        assert_eq!(inbox.add(0, &piece(&all, 0, 0, 20)), Ok(Taken::Again));
    }

    #[test]
    fn s_dtls_05_messages_ahead_wait_for_what_is_missing_and_no_more_than_a_few() {
        let (first, second) = (whole(10), whole(20));
        let mut inbox = Inbox::default();
        assert!(add(&mut inbox, 2, piece(&second, 1, 0, 20)).is_empty());
        assert_eq!(add(&mut inbox, 0, piece(&first, 0, 0, 10)), [first.clone(), second]);
        let far = 2 + limits::DTLS_AHEAD as u16;
        assert_eq!(inbox.add(0, &piece(&first, far, 0, 10)), Err(Drop::OutOfOrder));
        assert_eq!(inbox.add(0, &piece(&first, far - 1, 0, 10)), Ok(Taken::New));
        assert_eq!(inbox.add(0, &piece(&first, u16::MAX, 0, 10)), Err(Drop::OutOfOrder));
    }

    #[test]
    fn s_dtls_04_a_forged_piece_keeps_no_true_message_out() {
        let (all, other) = (whole(100), whole(60));
        let mut inbox = Inbox::default();
        add(&mut inbox, 0, piece(&other, 0, 0, 30));
        add(&mut inbox, 0, piece(&all, 0, 0, 50));
        add(&mut inbox, 0, piece(&other, 0, 30, 60)); // of another length: begins anew
        add(&mut inbox, 0, piece(&all, 0, 50, 100));
        assert_eq!(add(&mut inbox, 0, piece(&all, 0, 0, 50)), std::slice::from_ref(&all));
        // What is authenticated takes the place of what is not, and not the other way round.
        let mut inbox = Inbox::default();
        assert_eq!(inbox.add(0, &piece(&other, 1, 0, 60)), Ok(Taken::New));
        assert_eq!(inbox.add(2, &piece(&all, 1, 0, 100)), Ok(Taken::New));
        assert_eq!(inbox.add(2, &piece(&other, 1, 0, 60)), Ok(Taken::Again));
        inbox.add(0, &piece(&all, 0, 0, 100)).unwrap();
        assert_eq!(inbox.next().map(|(epoch, _)| epoch), Some(0));
        assert_eq!(inbox.next().map(|(epoch, message)| (epoch, message.body.len())), Some((2, 100)));
    }

    #[test]
    fn s_dtls_03_a_flood_of_pieces_is_bounded_and_a_whole_message_still_works() {
        let large = whole(limits::DTLS_MESSAGE);
        let mut inbox = Inbox::default();
        for round in 0..10_000_usize {
            let from = (round * 13) % (large.len() - 200);
            let _ = inbox.add(0, &piece(&large, (round % 7) as u16, from, from + 200));
            let bytes: usize =
                inbox.parts.iter().flat_map(|part| &part.pieces).map(|piece| piece.body.len()).sum();
            assert!(bytes <= limits::DTLS_FRAGMENT_BYTES && inbox.parts.len() <= limits::DTLS_FRAGMENTS);
        }
        let all = whole(100);
        assert!(add(&mut inbox, 0, piece(&all, 0, 0, 100)).contains(&all));
    }

    #[test]
    fn s_dtls_03_a_full_store_keeps_what_is_authenticated_and_gives_up_what_is_in_clear() {
        let large = whole(limits::DTLS_MESSAGE);
        let mut inbox = Inbox::default();
        let fill = |inbox: &mut Inbox, epoch: u16, number: u16| {
            let taken = (0..limits::DTLS_FRAGMENTS).map(|at| {
                let from = at * 160;
                inbox.add(epoch, &piece(&large, number, from, from + 160)).is_ok()
            });
            taken.filter(|taken| *taken).count()
        };
        assert_eq!(fill(&mut inbox, 0, 0), limits::DTLS_FRAGMENTS);
        assert_eq!(fill(&mut inbox, 2, 1), limits::DTLS_FRAGMENTS, "they take the place of those in clear");
        assert_eq!(
            inbox.add(2, &piece(&large, 2, 0, 200)),
            Err(Drop::Fragment),
            "not acknowledged, and said again"
        );
        assert_eq!(inbox.add(0, &piece(&large, 0, 0, 200)), Err(Drop::Fragment));
        // What is kept is still of use.
        let rest = limits::DTLS_FRAGMENTS * 160;
        assert_eq!(inbox.parts.len(), 1);
        assert_eq!(inbox.parts[0].pieces.iter().map(|piece| piece.body.len()).sum::<usize>(), rest);
    }
}
