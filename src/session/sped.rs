//! DTLS in STUN (SPED, draft-hancke-webrtc-sped-00): the handshake rides on ICE's checks and their answers, so that it is
//! over a round trip sooner, and what is lost of it is sent again as often as checks are.
//!
//! An [`Embedding`] stands between an [`ice::Agent`](crate::ice::Agent) and a
//! [`dtls::Association`](crate::dtls::Association) until the handshake is done, and knows neither. It keeps the
//! datagrams of our last flight until the peer has acknowledged them by their CRC-32; each message of STUN takes along the
//! next of them and what was received:
//!
//! - [`begin`](Embedding::begin) and [`push`](Embedding::push): the association says something.
//! - [`attach`](Embedding::attach): a message of STUN is being written
//!   ([`Agent::poll_transmit_with`](crate::ice::Agent::poll_transmit_with)).
//! - [`poll`](Embedding::poll): what no message took along may leave by itself, where there is a way.
//! - [`handle`](Embedding::handle): a message of STUN that the agent has accepted, and with that authenticated;
//!   [`note`](Embedding::note): what the association could use of it, or of datagrams by themselves.
//! - [`connected`](Embedding::connected): the handshake is done. The end is when the peer has ceased as well, or has shown
//!   that it never began ([`is_over`](Embedding::is_over)).
//!
//! Both sides have to know it: in descriptions by [`OPTIONS`] among the ICE options.

use crate::base::limits;
use crate::wire::stun::{Message, Writer, attribute};
use smallvec::SmallVec;

/// The ICE options that stand for it (`a=ice-options`): the draft's, and the one of Chromium's trials.
pub const OPTIONS: [&str; 2] = ["sped", "googspedv1"];

/// Datagrams that are acknowledged in one message, the latest.
const ACKNOWLEDGED: usize = 4;

/// A datagram of DTLS begins with one of these bytes (RFC 9443, section 3).
const DTLS: std::ops::RangeInclusive<u8> = 20..=63;

/// A datagram of ours that the peer has not acknowledged.
#[derive(Debug)]
struct Pending {
    bytes: Box<[u8]>,
    crc: u32,
    /// It has left, by itself or in a message.
    left: bool,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The peer has not shown yet that it takes part.
    Tentative,
    Confirmed,
    /// The handshake is done; what is left is to acknowledge and to be acknowledged.
    Done,
    Over,
}

/// One handshake's; see the [module](self).
#[derive(Debug)]
pub struct Embedding {
    phase: Phase,
    /// Bytes of the largest message of STUN.
    mtu: usize,
    pending: Vec<Pending>,
    /// What has left is sent until it is acknowledged.
    keeps: bool,
    /// Whose turn it is.
    next: usize,
    received: SmallVec<[u32; ACKNOWLEDGED]>,
}

impl Embedding {
    /// Nothing was said yet; no message of STUN becomes longer than `mtu` bytes.
    pub fn new(mtu: usize) -> Self {
        Embedding {
            phase: Phase::Tentative,
            mtu,
            pending: Vec::new(),
            keeps: true,
            next: 0,
            received: SmallVec::new(),
        }
    }

    /// What is pushed from now on is another flight, or the last one once more: what was pushed before is not waited for.
    pub fn begin(&mut self) {
        self.pending.clear();
        self.next = 0;
    }

    /// Keeps a datagram of the present flight; beyond [`limits::DTLS_OUTGOING`] it is lost, as on the way.
    pub fn push(&mut self, datagram: &[u8]) {
        if self.pending.len() < limits::DTLS_OUTGOING {
            let crc = crc32fast::hash(datagram);
            self.pending.push(Pending { bytes: datagram.into(), crc, left: false });
        }
    }

    /// Adds what there is to a message of STUN that is being written and may get so many bytes more.
    pub fn attach(&mut self, writer: &mut Writer<'_>, room: usize) {
        if self.phase == Phase::Over {
            return;
        }
        let mut room = room.min(self.mtu.saturating_sub(writer.len_with_integrity()));
        let size = |value: usize| 4 + value.next_multiple_of(4);
        if size(4 * self.received.len()) > room {
            return;
        }
        room -= size(4 * self.received.len());
        let crcs: SmallVec<[[u8; 4]; ACKNOWLEDGED]> =
            self.received.iter().map(|crc| crc.to_be_bytes()).collect();
        // There is room for both.
        let _ = writer.attribute(attribute::DTLS_IN_STUN_ACKNOWLEDGEMENT, crcs.as_flattened());
        // Nothing to say, and not done: the peer is to know that it goes on.
        let goes_on = self.phase != Phase::Done && self.pending.is_empty();
        match self.turn(|bytes| size(bytes) <= room) {
            Some(pending) => {
                pending.left = true;
                let _ = writer.attribute(attribute::DTLS_IN_STUN, &pending.bytes);
            }
            None if goes_on && room >= size(0) => {
                let _ = writer.attribute(attribute::DTLS_IN_STUN, &[]);
            }
            None => {}
        }
        self.drop_left();
    }

    /// The next that fits, those first that have not left: each has its turn.
    fn turn(&mut self, fits: impl Fn(usize) -> bool) -> Option<&mut Pending> {
        let count = self.pending.len();
        let order = |at: usize| (self.next + at) % count;
        let fitting =
            (0..count).map(order).filter(|at| self.pending.get(*at).is_some_and(|one| fits(one.bytes.len())));
        let at = fitting.min_by_key(|at| self.pending.get(*at).is_some_and(|one| one.left))?;
        self.next = (at + 1) % count;
        self.pending.get_mut(at)
    }

    /// The next datagram that has not left at all, written to the start of `buf`; what does not fit is lost.
    pub fn poll(&mut self, buf: &mut [u8]) -> Option<usize> {
        let pending = self.pending.iter_mut().find(|pending| !pending.left)?;
        pending.left = true;
        let len = pending.bytes.len();
        let written = buf.get_mut(..len).map(|room| room.copy_from_slice(&pending.bytes));
        self.drop_left();
        written.map(|()| len)
    }

    /// What has left is not waited for any more, where that is so.
    fn drop_left(&mut self) {
        if !self.keeps {
            self.pending.retain(|pending| !pending.left);
        }
    }

    /// Takes an authenticated message; returns the datagram of DTLS in it.
    pub fn handle<'a>(&mut self, message: &Message<'a>) -> Option<&'a [u8]> {
        let data = message.attribute(attribute::DTLS_IN_STUN);
        let acknowledged = message.attribute(attribute::DTLS_IN_STUN_ACKNOWLEDGEMENT);
        let takes_part = data.is_some() || acknowledged.is_some();
        match self.phase {
            Phase::Over => return None,
            Phase::Tentative if takes_part => self.phase = Phase::Confirmed,
            Phase::Tentative => {
                // It does not know what rode on messages: that leaves by itself.
                self.pending.iter_mut().for_each(|pending| pending.left = false);
                self.end();
            }
            // It has ceased.
            Phase::Confirmed | Phase::Done if !takes_part => self.end(),
            Phase::Confirmed | Phase::Done => {}
        }
        let (crcs, _) = acknowledged.unwrap_or_default().as_chunks::<4>();
        for crc in crcs.iter().take(ACKNOWLEDGED) {
            self.pending.retain(|pending| pending.crc != u32::from_be_bytes(*crc));
        }
        let datagram = data.filter(|data| data.first().is_some_and(|first| DTLS.contains(first)));
        if datagram.is_none() && self.phase == Phase::Done && self.pending.is_empty() {
            // It has nothing more to say, and neither have we.
            self.end();
        }
        datagram
    }

    /// Notes a datagram of DTLS that came, by itself or in a message, and was of use, now or before: it is acknowledged.
    pub fn note(&mut self, datagram: &[u8]) {
        let crc = crc32fast::hash(datagram);
        if self.received.contains(&crc) {
            return;
        }
        if self.received.len() == ACKNOWLEDGED {
            self.received.remove(0);
        }
        self.received.push(crc);
    }

    /// The handshake is done. Of the last flight only what the peer still `needs` is waited for: a server's under 1.2, a
    /// client's under 1.3.
    pub fn connected(&mut self, needs: bool) {
        if self.phase == Phase::Over {
            return;
        }
        (self.phase, self.keeps) = (Phase::Done, needs);
        self.drop_left();
    }

    /// Whether neither side embeds anything any more, and nothing waits to leave.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over && self.pending.is_empty()
    }

    /// What has left once is the association's to repeat.
    fn end(&mut self) {
        (self.phase, self.keeps) = (Phase::Over, false);
        self.drop_left();
    }

    /// Folds all into a digest.
    pub(crate) fn digest(&self, state: &mut impl std::hash::Hasher) {
        use std::hash::Hash as _;
        (self.phase as u8, self.next, &self.received).hash(state);
        self.pending.iter().for_each(|pending| (pending.crc, pending.left).hash(state));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stun::{BINDING, Class, TransactionId};

    const MTU: usize = 1_200;

    /// A message with what there is to attach, within so much room.
    fn said(embedding: &mut Embedding, room: usize) -> Vec<u8> {
        let mut buf = vec![0; 2_048];
        let mut writer = Writer::new(&mut buf, Class::Request, BINDING, TransactionId::default()).unwrap();
        embedding.attach(&mut writer, room);
        let len = writer.finish().unwrap();
        buf.truncate(len);
        buf
    }

    /// A message with these attributes.
    fn told(data: Option<&[u8]>, acknowledged: Option<&[u8]>) -> Vec<u8> {
        let mut buf = vec![0; 2_048];
        let mut writer = Writer::new(&mut buf, Class::Success, BINDING, TransactionId::default()).unwrap();
        let kinds = [attribute::DTLS_IN_STUN, attribute::DTLS_IN_STUN_ACKNOWLEDGEMENT];
        for (kind, value) in kinds.into_iter().zip([data, acknowledged]) {
            value.into_iter().for_each(|value| writer.attribute(kind, value).unwrap());
        }
        let len = writer.finish().unwrap();
        buf.truncate(len);
        buf
    }

    fn hear(embedding: &mut Embedding, data: Option<&[u8]>, acknowledged: Option<&[u8]>) -> Option<Vec<u8>> {
        let bytes = told(data, acknowledged);
        let datagram = embedding.handle(&Message::parse(&bytes).unwrap());
        datagram.into_iter().for_each(|datagram| embedding.note(datagram));
        datagram.map(<[u8]>::to_vec)
    }

    /// Data and acknowledgements of a message.
    fn parts(bytes: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let message = Message::parse(bytes).unwrap();
        let of = |kind| message.attribute(kind).map(<[u8]>::to_vec);
        (of(attribute::DTLS_IN_STUN), of(attribute::DTLS_IN_STUN_ACKNOWLEDGEMENT))
    }

    fn flight(datagrams: &[&[u8]]) -> Embedding {
        let mut embedding = Embedding::new(MTU);
        embedding.begin();
        datagrams.iter().for_each(|datagram| embedding.push(datagram));
        embedding
    }

    #[test]
    fn each_datagram_has_its_turn_until_it_is_acknowledged() {
        let mut embedding = flight(&[&[22, 1], &[22, 2], &[22, 3]]);
        let turns: Vec<_> = (0..4).map(|_| parts(&said(&mut embedding, MTU)).0.unwrap()[1]).collect();
        assert_eq!(turns, [1, 2, 3, 1]);
        let second = crc32fast::hash(&[22, 2]).to_be_bytes();
        assert_eq!(hear(&mut embedding, Some(&[]), Some(&second)), None);
        let turns: Vec<_> = (0..3).map(|_| parts(&said(&mut embedding, MTU)).0.unwrap()[1]).collect();
        assert!(!turns.contains(&2), "{turns:?}");
        // Another flight takes the place of this one.
        embedding.begin();
        embedding.push(&[22, 9]);
        assert_eq!(parts(&said(&mut embedding, MTU)).0, Some(vec![22, 9]));
    }

    #[test]
    fn what_has_not_left_goes_first_and_leaves_by_itself_once() {
        let mut embedding = flight(&[&[22, 1], &[22, 2]]);
        let mut buf = [0; 16];
        assert_eq!(embedding.poll(&mut buf), Some(2));
        assert_eq!(buf[..2], [22, 1]);
        assert_eq!(parts(&said(&mut embedding, MTU)).0, Some(vec![22, 2]));
        assert_eq!(embedding.poll(&mut buf), None);
    }

    #[test]
    fn what_finds_no_room_is_left_out() {
        let mut embedding = flight(&[&[22; 600], &[22; 20]]);
        embedding.note(&[22]);
        for room in 0..700 {
            let bytes = said(&mut embedding, room);
            // The header and FINGERPRINT.
            assert!(bytes.len() <= 28 + room, "{} in {room}", bytes.len());
            let (data, acknowledged) = parts(&bytes);
            assert_eq!(acknowledged.is_some(), room >= 8);
            assert_eq!(data.is_some(), room >= 8 + 24);
        }
        let mut small = Embedding::new(100);
        small.push(&[22; 200]);
        assert!(said(&mut small, MTU).len() <= 100);
        assert_eq!(small.poll(&mut [0; 200]), Some(200));
    }

    #[test]
    fn the_latest_four_are_acknowledged_each_once() {
        let mut embedding = Embedding::new(MTU);
        for number in [1, 2, 3, 3, 4, 5] {
            assert_eq!(hear(&mut embedding, Some(&[22, number]), Some(&[])), Some(vec![22, number]));
        }
        let crcs: Vec<u8> = (2..6).flat_map(|number| crc32fast::hash(&[22, number]).to_be_bytes()).collect();
        assert_eq!(parts(&said(&mut embedding, MTU)), (Some(Vec::new()), Some(crcs)));
    }

    #[test]
    fn s_dtls_06_what_is_no_dtls_is_not_handed_out_and_nothing_grows() {
        let mut embedding = flight(&[&[22, 1]]);
        for data in [&[0u8, 1][..], &[19], &[64, 2, 3], &[128]] {
            assert_eq!(hear(&mut embedding, Some(data), Some(&[1, 2, 3])), None);
        }
        assert!(embedding.received.is_empty() && embedding.pending.len() == 1);
        (0..100).for_each(|_| embedding.push(&[22; 100]));
        assert_eq!(embedding.pending.len(), limits::DTLS_OUTGOING);
        let many = [7; 4 * 300];
        hear(&mut embedding, Some(&[]), Some(&many));
    }

    #[test]
    fn who_never_began_ends_it_and_all_leaves_by_itself() {
        let mut embedding = flight(&[&[22, 1], &[22, 2]]);
        said(&mut embedding, MTU);
        assert_eq!(hear(&mut embedding, None, None), None);
        assert!(!embedding.is_over());
        assert_eq!(parts(&said(&mut embedding, MTU)), (None, None));
        assert_eq!([(); 3].map(|()| embedding.poll(&mut [0; 16])), [Some(2), Some(2), None]);
        assert_eq!(hear(&mut embedding, Some(&[22, 1]), Some(&[])), None);
        embedding.begin();
        assert!(embedding.is_over());
    }

    #[test]
    fn once_done_it_goes_on_until_all_is_acknowledged_on_both_sides() {
        let mut embedding = flight(&[&[22, 1]]);
        said(&mut embedding, MTU);
        hear(&mut embedding, Some(&[22, 7]), Some(&[]));
        embedding.connected(true);
        assert_eq!(parts(&said(&mut embedding, MTU)).0, Some(vec![22, 1]));
        // The peer has nothing more to say, but not what we said last.
        hear(&mut embedding, None, Some(&[]));
        assert!(!embedding.is_over());
        hear(&mut embedding, Some(&[22, 8]), Some(&crc32fast::hash(&[22, 1]).to_be_bytes()));
        let (data, acknowledged) = parts(&said(&mut embedding, MTU));
        assert_eq!((data, acknowledged.map(|crcs| crcs.len())), (None, Some(8)));
        hear(&mut embedding, None, None);
        assert!(embedding.is_over());
        // A peer may cease once it has what it needs, without a word of what we said last.
        let mut embedding = flight(&[&[22, 1]]);
        hear(&mut embedding, Some(&[22, 7]), Some(&[]));
        said(&mut embedding, MTU);
        embedding.connected(true);
        hear(&mut embedding, None, None);
        assert!(embedding.is_over());
        // A server of 1.3 knows by the handshake's end that its flight came; what it acknowledges leaves once.
        let mut embedding = flight(&[&[22, 1], &[22, 2]]);
        hear(&mut embedding, Some(&[22, 7]), Some(&[]));
        embedding.connected(false);
        assert_eq!([(); 3].map(|()| embedding.poll(&mut [0; 16])), [Some(2), Some(2), None]);
        assert_eq!(parts(&said(&mut embedding, MTU)).0, None);
        // Nor does it wait for its flight to be acknowledged.
        let mut embedding = flight(&[&[22, 1]]);
        said(&mut embedding, MTU);
        embedding.connected(false);
        hear(&mut embedding, None, Some(&[]));
        assert!(embedding.is_over());
    }
}
