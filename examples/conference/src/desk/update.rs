//! A Yjs update (format 1), read before Yjs gets it: only what a page's editor makes of plain text passes.
//!
//! An update lists by client what was inserted, then what was deleted. All else that Yjs knows (nested types, other
//! documents, formats, values in values) has no use here, and would cost a reader depth, memory, or its place in the
//! text.

use std::collections::HashSet;

/// The name of the document's only text.
pub const TEXT: &str = "notes";

/// Bits of a piece's first byte: what follows it, and below them what it holds.
const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const HAS_KEY: u8 = 0x20;
const DELETED: u8 = 1;
const STRING: u8 = 4;

/// Client ids are whole numbers in JavaScript.
const CLIENT: u64 = 1 << 53;

/// Yjs counts in 31 bits here and there.
const CLOCK: u64 = 1 << 30;

/// What an update holds.
#[derive(Debug, Default)]
pub struct Shape {
    /// Clients that inserted something.
    pub clients: HashSet<u64>,
    /// Pieces inserted, and ranges deleted.
    pub pieces: usize,
}

/// It is no update of plain text.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads an update to its last byte.
pub fn check(update: &[u8]) -> Result<Shape, Malformed> {
    let mut reader = Reader(update);
    let mut shape = Shape::default();
    for _ in 0..reader.number(u64::MAX)? {
        let pieces = reader.number(u64::MAX)?;
        let client = reader.number(CLIENT)?;
        let mut clock = reader.number(CLOCK)?;
        if pieces == 0 || !shape.clients.insert(client) {
            return Err(Malformed);
        }
        for _ in 0..pieces {
            clock += reader.piece(client, clock)?;
            if clock > CLOCK {
                return Err(Malformed);
            }
            shape.pieces += 1;
        }
    }
    for _ in 0..reader.number(u64::MAX)? {
        reader.number(CLIENT)?;
        for _ in 0..reader.number(u64::MAX)? {
            let (clock, len) = (reader.number(CLOCK)?, reader.number(CLOCK)?);
            if len == 0 || clock + len > CLOCK {
                return Err(Malformed);
            }
            shape.pieces += 1;
        }
    }
    reader.0.is_empty().then_some(shape).ok_or(Malformed)
}

/// Reads a state vector, which says by client how much of an update is known already.
pub fn check_vector(vector: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader(vector);
    for _ in 0..reader.number(u64::MAX)? {
        reader.number(CLIENT)?;
        reader.number(CLOCK)?;
    }
    reader.0.is_empty().then_some(()).ok_or(Malformed)
}

/// What is left to read. Each claim of a number of things is met by bytes, so that it costs no more than those.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    /// A number of seven bits a byte, the lowest first, at most `most`.
    fn number(&mut self, most: u64) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..56).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if number <= most { Ok(number) } else { Err(Malformed) };
            }
        }
        Err(Malformed)
    }

    fn string(&mut self) -> Result<&str, Malformed> {
        let len = usize::try_from(self.number(u64::MAX)?).map_err(|_| Malformed)?;
        let (string, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        std::str::from_utf8(string).map_err(|_| Malformed)
    }

    /// One piece of text or of what was text; its length in UTF-16.
    fn piece(&mut self, client: u64, clock: u64) -> Result<u64, Malformed> {
        let info = self.byte()?;
        for neighbour in [HAS_ORIGIN, HAS_RIGHT_ORIGIN] {
            if info & neighbour != 0 {
                let (of, at) = (self.number(CLIENT)?, self.number(CLOCK)?);
                // Nothing stands beside what is not there yet.
                if of == client && at >= clock {
                    return Err(Malformed);
                }
            }
        }
        let alone = info & (HAS_ORIGIN | HAS_RIGHT_ORIGIN) == 0;
        if info & HAS_KEY != 0 || (alone && (self.number(u64::MAX)? != 1 || self.string()? != TEXT)) {
            return Err(Malformed);
        }
        let len = match info & 0x1f {
            DELETED => self.number(CLOCK)?,
            STRING => self.string()?.encode_utf16().count() as u64,
            _ => 0,
        };
        if len == 0 { Err(Malformed) } else { Ok(len) }
    }
}
