//! The text that a room writes together: the server's copy of a Yjs document.
//!
//! Pages' changes are made to this copy first, and what is passed on is what then changed in it, in its own words: a
//! page's bytes never reach another page.

use super::update::{Malformed, Shape, TEXT, check, check_vector};
use yrs::block::ClientID;
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, OffsetKind, Options, ReadTxn, StateVector, Transact, Update, WriteTxn};

/// Bytes of the whole document as an update, deleted text included: it then fits into what waits on one data channel
/// at a time, so that whoever comes gets it at once.
pub const DOCUMENT: usize = 384 * 1_024;

/// Clients that have ever written in it: a page is one for as long as it is open.
pub const CLIENTS: usize = 1_000;

/// Pieces that it consists of, some hundred bytes of memory each.
pub const PIECES: usize = 30_000;

/// What a change that only deletes may go beyond these limits by, as a share of them: it makes room in the end, but may
/// part pieces first.
const SPARE: usize = 8;

/// Pieces, and bytes of the document, that a piece of a change adds at most beside its own: it parts another, or two.
const PARTS: usize = 2;
const PARTED: usize = 64;

/// Why a change is not made, or not all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The document has become as large as it may be.
    Full,
    /// It is no change of a plain text, or one of a state that the document never had.
    Malformed,
    /// Yjs failed, and the document is empty again.
    Broken,
}

impl From<Malformed> for Refusal {
    fn from(Malformed: Malformed) -> Refusal {
        Refusal::Malformed
    }
}

/// A document with one text.
pub struct Text {
    doc: Doc,
    /// At least what the document has: counted again before anything is refused for it.
    bytes: usize,
    pieces: usize,
}

impl Default for Text {
    fn default() -> Text {
        // It writes nothing itself, so its own id is no matter. Pages count in UTF-16.
        let offset_kind = OffsetKind::Utf16;
        let doc = Doc::with_options(Options { offset_kind, ..Options::with_client_id(ClientID::new(0)) });
        doc.transact_mut().get_or_insert_text(TEXT);
        Text { doc, bytes: 0, pieces: 0 }
    }
}

impl Text {
    /// Makes a change. First what others are to make of it: all, nothing if it was known, or what could be made.
    pub fn apply(&mut self, update: &[u8]) -> (Option<Vec<u8>>, Result<(), Refusal>) {
        let Ok(shape) = check(update) else {
            return (None, Err(Refusal::Malformed));
        };
        if !self.has_room(update.len(), &shape) {
            self.count_again();
            if !self.has_room(update.len(), &shape) && !self.shrinks_by(update, &shape) {
                return (None, Err(Refusal::Full));
            }
        }
        let (changed, complete) = self.change(update);
        if changed.is_some() {
            self.bytes += update.len() + PARTED * shape.pieces;
            self.pieces += (1 + PARTS) * shape.pieces;
        }
        (changed, if complete { Ok(()) } else { Err(Refusal::Malformed) })
    }

    /// What changed, and whether that was all. What would have to wait for another change is forgotten: pages send
    /// theirs in order, so that nothing is ever missing.
    fn change(&mut self, update: &[u8]) -> (Option<Vec<u8>>, bool) {
        let Ok(update) = Update::decode_v1(update) else {
            return (None, false);
        };
        let mut change = self.doc.transact_mut();
        let applied = change.apply_update(update).is_ok();
        let complete = change.prune_pending().is_none();
        let changed = change.has_changes().then(|| change.encode_update_v1());
        (changed, applied && complete)
    }

    fn has_room(&self, bytes: usize, shape: &Shape) -> bool {
        let known = self.doc.transact().state_vector();
        let new = shape.clients.iter().filter(|client| !known.contains_client(&ClientID::new(**client)));
        let most = |limit: usize| limit + if shape.clients.is_empty() { limit / SPARE } else { 0 };
        self.bytes + bytes <= most(DOCUMENT)
            && self.pieces + shape.pieces <= most(PIECES)
            && known.len() + new.count() <= CLIENTS
    }

    /// Whether a change that only deletes leaves no more than there is, so that even what is spare being used up does
    /// not keep a text from being emptied.
    fn shrinks_by(&self, update: &[u8], shape: &Shape) -> bool {
        if !shape.clients.is_empty() {
            return false;
        }
        let mut trial = Text::default();
        trial.change(&self.whole());
        trial.change(update);
        trial.count_again();
        trial.bytes <= self.bytes && trial.pieces <= self.pieces
    }

    /// Neighbouring pieces become one, and deleted text is forgotten, so the document is smaller than all its changes.
    fn count_again(&mut self) {
        let whole = self.whole();
        self.bytes = whole.len();
        self.pieces = check(&whole).map_or(PIECES, |shape| shape.pieces);
    }

    /// The document as an update.
    fn whole(&self) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    /// All that somebody lacks who knows the document up to this state vector.
    pub fn missing_in(&self, vector: &[u8]) -> Result<Vec<u8>, Refusal> {
        check_vector(vector)?;
        let vector = StateVector::decode_v1(vector).map_err(|_| Refusal::Malformed)?;
        Ok(self.doc.transact().encode_state_as_update_v1(&vector))
    }

    /// How far the document is known.
    pub fn vector(&self) -> Vec<u8> {
        self.doc.transact().state_vector().encode_v1()
    }
}
