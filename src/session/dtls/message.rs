//! Handshake messages: their header, and the pieces that they come in (RFC 6347, section 4.2.2; RFC 9147, section 5.2).

use super::codec::{Reader, Write as _};
use super::outcome::Drop;
use crate::base::limits;

pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const SERVER_HELLO: u8 = 2;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;
pub(super) const NEW_SESSION_TICKET: u8 = 4;
pub(super) const ENCRYPTED_EXTENSIONS: u8 = 8;
pub(super) const CERTIFICATE: u8 = 11;
pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
pub(super) const CERTIFICATE_REQUEST: u8 = 13;
pub(super) const SERVER_HELLO_DONE: u8 = 14;
pub(super) const CERTIFICATE_VERIFY: u8 = 15;
pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
pub(super) const FINISHED: u8 = 20;
pub(super) const KEY_UPDATE: u8 = 24;
/// Stands for the first ClientHello after a HelloRetryRequest (RFC 8446, section 4.4.1).
pub(super) const MESSAGE_HASH: u8 = 254;

/// Bytes in front of a piece.
pub(super) const HEADER: usize = 12;

/// A piece of a handshake message, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    /// The message's type.
    pub(super) kind: u8,
    /// The message's place among its sender's.
    pub(super) number: u16,
    /// Bytes of the whole message, below 2^24.
    pub(super) total: usize,
    /// Where this piece starts, below 2^24.
    pub(super) offset: usize,
    /// The piece.
    pub(super) body: &'a [u8],
}

impl<'a> Fragment<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let (kind, total, number) = (reader.u8()?, reader.u24()?, reader.u16()?);
        let (offset, len) = (reader.u24()?, reader.u24()?);
        Some(Fragment { kind, number, total, offset, body: reader.bytes(len)? })
    }

    /// Inside its message, not without contents, and within the limits.
    fn is_sound(&self) -> bool {
        let inside = self.offset.saturating_add(self.body.len()) <= self.total;
        let progress = !self.body.is_empty() || self.total == 0;
        inside && progress && self.total <= limits::DTLS_MESSAGE
    }

    /// Appends it as it goes into a record.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.u8(self.kind);
        out.u24(self.total);
        out.u16(self.number);
        out.u24(self.offset);
        out.vec24(|out| out.raw(self.body));
    }
}

/// The pieces in a record.
///
/// # Errors
/// [`Drop::Fragment`] if one of them runs past the record or its message, has no contents or is too large: then none
/// counts; and if there is none.
pub(super) fn fragments(body: &[u8]) -> Result<impl Iterator<Item = Fragment<'_>>, Drop> {
    if body.is_empty() {
        return Err(Drop::Fragment);
    }
    let mut rest = Reader(body);
    while !rest.0.is_empty() {
        let sound = Fragment::read(&mut rest).is_some_and(|fragment| fragment.is_sound());
        sound.then_some(()).ok_or(Drop::Fragment)?;
    }
    let mut rest = Reader(body);
    Ok(std::iter::from_fn(move || Fragment::read(&mut rest)))
}

/// A whole message, of the peer's or ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) number: u16,
    pub(super) body: Box<[u8]>,
}

impl Message {
    /// All of it in one piece.
    pub(super) fn whole(&self) -> Fragment<'_> {
        Fragment { kind: self.kind, number: self.number, total: self.body.len(), offset: 0, body: &self.body }
    }

    /// Its first bytes as a transcript of 1.3 has them: without what DTLS adds (RFC 9147, section 5.2).
    pub(super) fn head_13(kind: u8, len: usize) -> [u8; 4] {
        let [.., a, b, c] = len.to_be_bytes();
        [kind, a, b, c]
    }

    /// The same of 1.2, as of a message in one piece (RFC 6347, section 4.2.6).
    pub(super) fn head_12(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(HEADER);
        Fragment { body: &[], ..self.whole() }.write(&mut head);
        head.truncate(HEADER - 3);
        head.u24(self.body.len());
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fragment: Fragment<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        fragment.write(&mut out);
        out
    }

    #[test]
    fn s_dtls_03_pieces_of_a_record_are_read_and_one_bad_piece_spoils_it() {
        let one = Fragment { kind: 1, number: 2, total: 9, offset: 3, body: b"abc" };
        let two = Fragment { kind: 14, number: 3, total: 0, offset: 0, body: b"" };
        let good = [written(one), written(two)].concat();
        assert!(fragments(&good).unwrap().eq([one, two]));
        assert!(fragments(&[]).is_err());
        let bad = [
            Fragment { offset: 7, ..one },
            Fragment { body: b"", ..one },
            Fragment { total: 1 << 14 | 1, ..one },
            Fragment { offset: 1, ..two },
        ];
        for bad in bad {
            assert!(fragments(&[good.clone(), written(bad)].concat()).is_err(), "{bad:?}");
        }
        for len in 1..good.len() {
            let cut = fragments(&good[..len]);
            assert_eq!(cut.is_err(), len != written(one).len(), "{len} bytes");
        }
    }

    #[test]
    fn a_transcript_has_messages_in_one_piece() {
        let message = Message { kind: 11, number: 0x0102, body: b"body"[..].into() };
        assert_eq!([&message.head_12()[..], &message.body].concat(), written(message.whole()));
        assert_eq!(Message::head_13(11, 4), [11, 0, 0, 4]);
    }
}
