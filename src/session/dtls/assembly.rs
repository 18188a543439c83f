//! Clear handshake messages put together from their fragments (RFC 6347, section 4.2.3; RFC 9147,
//! section 5.5).
//!
//! The engine could do this, but one forged fragment that overlaps would keep it from ever seeing
//! the message. Fragments here may overlap, repeat and contradict each other: the latest wins, a
//! whole message never waits, and a flood costs no more than the fragments kept so far.

use super::outcome::Drop;
use super::record::Fragment;
use crate::base::limits;

/// The fragments of one handshake.
#[derive(Debug, Default, Hash)]
pub(super) struct Assembly {
    messages: Vec<Message>,
    /// Bytes of fragmented messages handed out so far.
    spent: usize,
}

#[derive(Debug, Hash)]
struct Message {
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

impl Assembly {
    /// Adds a fragment that lies inside its message; gives the message, with its header, once
    /// nothing of it is missing.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>) -> Result<Option<Vec<u8>>, Drop> {
        if fragment.body.len() == fragment.total {
            return Ok(Some(with_header(fragment, fragment.body)));
        }
        if self.spent.saturating_add(fragment.total) > limits::DTLS_ASSEMBLED {
            return Err(Drop::Fragment);
        }
        self.make_room(fragment.body.len());
        let at = self.place(fragment);
        // `place` returns the index of an element.
        let Some(message) = self.messages.get_mut(at) else { return Ok(None) };
        message.insert(fragment);
        if !message.is_complete() {
            return Ok(None);
        }
        let message = self.messages.swap_remove(at);
        self.spent = self.spent.saturating_add(message.total);
        Ok(Some(with_header(fragment, &message.join())))
    }

    fn make_room(&mut self, len: usize) {
        let pieces = self.messages.iter().flat_map(|message| &message.pieces);
        let (count, bytes) = pieces.fold((0usize, len), |(count, bytes), piece| {
            (count.saturating_add(1), bytes.saturating_add(piece.body.len()))
        });
        if bytes > limits::DTLS_FRAGMENT_BYTES || count >= limits::DTLS_FRAGMENTS {
            self.messages = Vec::new();
        }
    }

    /// The index of the fragment's message, as new if it contradicts what was known of it.
    fn place(&mut self, fragment: &Fragment<'_>) -> usize {
        let Fragment { kind, number, total, .. } = *fragment;
        let fresh = Message { kind, number, total, pieces: Vec::new() };
        match self.messages.iter_mut().position(|message| message.number == number) {
            Some(at) => {
                if let Some(known) = self.messages.get_mut(at)
                    && (known.kind, known.total) != (kind, total)
                {
                    *known = fresh;
                }
                at
            }
            None => {
                self.messages.push(fresh);
                self.messages.len().saturating_sub(1)
            }
        }
    }
}

impl Message {
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

    fn join(&self) -> Vec<u8> {
        let mut whole = vec![0; self.total];
        for piece in &self.pieces {
            if let Some(to) = whole.get_mut(piece.offset..piece.end()) {
                to.copy_from_slice(&piece.body);
            }
        }
        whole
    }
}

impl Piece {
    fn end(&self) -> usize {
        self.offset.saturating_add(self.body.len())
    }
}

/// The message as one fragment.
fn with_header(fragment: &Fragment<'_>, body: &[u8]) -> Vec<u8> {
    // Both numbers are below 2^24 and 2^16: nothing is cut.
    let [_, .., t0, t1, t2] = fragment.total.to_be_bytes();
    let [n0, n1] = fragment.number.to_be_bytes();
    let mut message = Vec::with_capacity(body.len().saturating_add(12));
    message.extend_from_slice(&[fragment.kind, t0, t1, t2, n0, n1, 0, 0, 0, t0, t1, t2]);
    message.extend_from_slice(body);
    message
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

    fn bodies(assembly: &mut Assembly, fragments: &[Fragment<'_>]) -> Vec<Vec<u8>> {
        let added = fragments.iter().filter_map(|fragment| assembly.add(fragment).unwrap());
        added.map(|message| message[12..].to_vec()).collect()
    }

    #[test]
    fn s_dtls_03_pieces_in_any_order_overlapping_and_doubled_make_the_message() {
        let all = whole(100);
        let p = |from, to| piece(&all, 2, from, to);
        let scripts: [&[Fragment<'_>]; 5] = [
            &[p(0, 50), p(50, 100)],
            &[p(50, 100), p(50, 100), p(0, 50)],
            &[p(60, 100), p(10, 70), p(0, 20)],
            &[p(20, 30), p(0, 30), p(0, 25), p(30, 100)],
            &[p(3, 4), p(0, 100)],
        ];
        for script in scripts {
            assert_eq!(bodies(&mut Assembly::default(), script), std::slice::from_ref(&all));
        }
        let header = Assembly::default().add(&p(0, 100)).unwrap().unwrap()[..12].to_vec();
        assert_eq!(header, [11, 0, 0, 100, 0, 2, 0, 0, 0, 0, 0, 100]);
    }

    #[test]
    fn s_dtls_03_a_gap_waits() {
        let all = whole(100);
        let mut assembly = Assembly::default();
        let (a, b) = (piece(&all, 0, 0, 40), piece(&all, 0, 41, 100));
        assert!(bodies(&mut assembly, &[a, b, a, b]).is_empty());
        assert_eq!(bodies(&mut assembly, &[piece(&all, 0, 40, 41)]), std::slice::from_ref(&all));
    }

    #[test]
    fn s_dtls_04_messages_do_not_mix_and_bad_pieces_do_not_stick() {
        let (a, b, forged) = (whole(100), whole(80), vec![9; 120]);
        let mut assembly = Assembly::default();
        let script = [
            piece(&a, 1, 0, 60),
            piece(&b, 2, 0, 40),
            // Another length for the same message, then the right one from the start.
            piece(&forged, 1, 60, 100),
            piece(&b, 2, 40, 80),
            piece(&a, 1, 60, 100),
            piece(&a, 1, 0, 60),
        ];
        assert_eq!(bodies(&mut assembly, &script), [b, a.clone()]);
        // The same place with other bytes: the latest wins.
        let wrong = vec![0xee; 100];
        let script = [piece(&wrong, 3, 0, 60), piece(&a, 3, 0, 60), piece(&a, 3, 60, 100)];
        assert_eq!(bodies(&mut assembly, &script), [a]);
    }

    #[test]
    fn s_dtls_03_floods_are_bounded_and_a_message_after_them_is_whole() {
        let (junk, all) = (whole(limits::DTLS_MESSAGE), whole(3_000));
        let mut assembly = Assembly::default();
        for n in 0..5_000 {
            let from = 1 + (n * 13) % 10_000;
            assembly.add(&piece(&junk, (n % 9) as u16, from, from + 1 + n % 1_500)).unwrap();
            let held: usize = assembly.messages.iter().flat_map(|m| &m.pieces).map(|p| p.body.len()).sum();
            assert!(held <= limits::DTLS_FRAGMENT_BYTES);
            assert!(
                assembly.messages.iter().map(|m| m.pieces.len()).sum::<usize>() <= limits::DTLS_FRAGMENTS
            );
        }
        let (a, b) = (piece(&all, 12, 0, 1_500), piece(&all, 12, 1_500, 3_000));
        // At the worst the first half fell to the flood's last piece.
        assert_eq!(bodies(&mut assembly, &[a, b, a])[0], all);
    }

    #[test]
    fn s_dtls_03_what_is_put_together_in_one_handshake_has_a_limit() {
        let all = whole(limits::DTLS_MESSAGE);
        let mut assembly = Assembly::default();
        let (a, b) = (piece(&all, 0, 0, 9_000), piece(&all, 0, 9_000, all.len()));
        let times = limits::DTLS_ASSEMBLED / limits::DTLS_MESSAGE;
        for _ in 0..times {
            assert_eq!(bodies(&mut assembly, &[a, b]).len(), 1);
        }
        assert_eq!(assembly.add(&a), Err(Drop::Fragment));
    }
}
