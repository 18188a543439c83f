//! Protection of records: one key and one epoch of one direction (RFC 5246, section 6.2.3.3; RFC 5288; RFC 7905;
//! RFC 9147, section 4.2).
//!
//! A nonce is the record's number, never random (S-DTLS-20), and a number is used once: what cannot be numbered any
//! more is not sealed. What is received moves the window of replays only after it was authenticated.

use super::config::Version;
use super::outcome::Drop;
use super::record::{self, LONG_HEADER, Record, SHORT_HEADER};
use crate::base::limits;
use crate::crypto::record::{Cipher, NumberKey, RecordKey, SAMPLE, TAG};
use crate::crypto::secret::Secret;

/// Bytes of the part of a nonce that 1.2 sends with AES-GCM (RFC 5288, section 3).
const EXPLICIT: usize = 8;

/// What protects the records of one epoch in one direction.
#[derive(Debug, Clone)]
pub(super) struct TrafficKeys {
    pub(super) cipher: Cipher,
    /// Of [`Cipher::key_len`] bytes.
    pub(super) key: Secret,
    /// 12 bytes; under 1.2 with AES-GCM 4.
    pub(super) iv: Secret,
    /// Of the encryption of numbers, as long as `key`: under 1.3.
    pub(super) number: Option<Secret>,
}

/// Keys that are ready for use.
struct Keyed {
    cipher: Cipher,
    key: RecordKey,
    iv: [u8; 12],
    /// Under 1.3.
    number: Option<NumberKey>,
}

impl Keyed {
    fn new(keys: &TrafficKeys) -> Option<Self> {
        let mut iv = [0; 12];
        iv.get_mut(..keys.iv.expose().len())?.copy_from_slice(keys.iv.expose());
        let key = RecordKey::new(keys.cipher, keys.key.expose())?;
        let number = match &keys.number {
            Some(number) => Some(NumberKey::new(keys.cipher, number)?),
            None => None,
        };
        Some(Keyed { cipher: keys.cipher, key, iv, number })
    }

    fn version(&self) -> Version {
        if self.number.is_some() { Version::V13 } else { Version::V12 }
    }

    /// Whether a part of the nonce is sent: under 1.2 with AES-GCM.
    fn is_explicit(&self) -> bool {
        self.number.is_none() && self.cipher != Cipher::ChaCha20Poly1305
    }

    /// The nonce of a record; `tail` is what of it differs: the number, under 1.2 behind its epoch, or what was sent.
    fn nonce(&self, tail: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        let explicit = self.is_explicit();
        for (to, from) in nonce.iter_mut().skip(4).zip(tail.to_be_bytes()) {
            *to = if explicit { from } else { *to ^ from };
        }
        nonce
    }

    /// The mask of a record's number; `None` of a record shorter than what it is made of.
    fn mask(&self, sealed: &[u8]) -> Option<[u8; 2]> {
        self.number.as_ref()?.mask(sealed.first_chunk::<SAMPLE>()?)
    }
}

/// The number of a record of 1.2 behind its epoch: what its nonce and its additional data have (RFC 6347, section 4.1.2.1).
fn numbered(epoch: u16, number: u64) -> u64 {
    (u64::from(epoch) << 48) | number
}

/// The additional data of 1.2 (RFC 5246, section 6.2.3.3); `len` is the text's.
fn additional(kind: u8, numbered: u64, len: usize) -> [u8; LONG_HEADER] {
    let [n0, n1, n2, n3, n4, n5, n6, n7] = numbered.to_be_bytes();
    let ([v0, v1], [.., l0, l1]) = (record::VERSION_12, len.to_be_bytes());
    [n0, n1, n2, n3, n4, n5, n6, n7, kind, v0, v1, l0, l1]
}

/// Seals what we send in one epoch.
pub(super) struct Sealer {
    epoch: u16,
    keyed: Keyed,
    /// The number of the next record.
    next: u64,
}

impl Sealer {
    /// `None` if the keys do not have the cipher's lengths.
    pub(super) fn new(epoch: u16, keys: &TrafficKeys) -> Option<Self> {
        Some(Sealer { epoch, keyed: Keyed::new(keys)?, next: 0 })
    }

    pub(super) fn epoch(&self) -> u16 {
        self.epoch
    }

    /// Records sealed so far.
    pub(super) fn sealed(&self) -> u64 {
        self.next
    }

    /// Goes on from another engine's `number`.
    pub(super) fn resume(mut self, number: u64) -> Self {
        self.next = number;
        self
    }

    /// By how much a record is longer than its text.
    pub(super) fn overhead(&self) -> usize {
        match self.keyed.version() {
            // The last byte of the text is its type.
            Version::V13 => SHORT_HEADER + 1 + TAG,
            Version::V12 if self.keyed.is_explicit() => LONG_HEADER + EXPLICIT + TAG,
            Version::V12 => LONG_HEADER + TAG,
        }
    }

    /// Appends a record with `text` to `out`; its number. `None`, and nothing is appended, after the last number that
    /// the cipher allows.
    pub(super) fn seal(&mut self, kind: u8, text: &[u8], out: &mut Vec<u8>) -> Option<u64> {
        let (number, start) = (self.next, out.len());
        if number >= limits::DTLS_SEALED {
            return None;
        }
        let sealed = match self.keyed.version() {
            Version::V12 => self.seal_12(kind, text, out),
            Version::V13 => self.seal_13(kind, text, out),
        };
        if sealed.is_none() {
            out.truncate(start);
            return None;
        }
        self.next = number + 1;
        Some(number)
    }

    fn seal_12(&self, kind: u8, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let numbered = numbered(self.epoch, self.next);
        let len = text.len() + self.overhead() - LONG_HEADER;
        out.extend_from_slice(&record::long_header(kind, self.epoch, self.next, len));
        if self.keyed.is_explicit() {
            out.extend_from_slice(&numbered.to_be_bytes());
        }
        let start = out.len();
        out.extend_from_slice(text);
        let additional = additional(kind, numbered, text.len());
        let tag = self.keyed.key.seal(self.keyed.nonce(numbered), &additional, out.get_mut(start..)?)?;
        out.extend_from_slice(&tag);
        Some(())
    }

    fn seal_13(&self, kind: u8, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        let header = record::short_header(self.epoch, self.next, text.len() + 1 + TAG);
        out.extend_from_slice(&header);
        out.extend_from_slice(text);
        out.push(kind);
        let inner = out.get_mut(start + SHORT_HEADER..)?;
        let tag = self.keyed.key.seal(self.keyed.nonce(self.next), &header, inner)?;
        out.extend_from_slice(&tag);
        // The number is encrypted last, by what it helped to encrypt (RFC 9147, section 4.2.3).
        let (header, sealed) = out.get_mut(start..)?.split_first_chunk_mut::<SHORT_HEADER>()?;
        let [_, n0, n1, _, _] = header;
        let [m0, m1] = self.keyed.mask(sealed)?;
        (*n0, *n1) = (*n0 ^ m0, *n1 ^ m1);
        Some(())
    }
}

/// What was in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) kind: u8,
    pub(super) number: u64,
}

/// Opens what we receive in one epoch.
pub(super) struct Opener {
    epoch: u16,
    keyed: Keyed,
    window: Window,
    /// Records that failed authentication.
    forged: u64,
}

impl Opener {
    /// `None` if the keys do not have the cipher's lengths.
    pub(super) fn new(epoch: u16, keys: &TrafficKeys) -> Option<Self> {
        Some(Opener { epoch, keyed: Keyed::new(keys)?, window: Window::default(), forged: 0 })
    }

    pub(super) fn epoch(&self) -> u16 {
        self.epoch
    }

    pub(super) fn forged(&self) -> u64 {
        self.forged
    }

    /// As if so many records had failed authentication.
    #[cfg(test)]
    pub(super) fn forge(&mut self, records: u64) {
        self.forged = records;
    }

    /// What was received so far.
    pub(super) fn window(&self) -> Window {
        self.window
    }

    /// Goes on from another engine's.
    pub(super) fn resume(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    /// Whether the record's header says this epoch, as far as it says one.
    pub(super) fn is_for(&self, record: &Record<'_>) -> bool {
        match (record, self.keyed.version()) {
            (Record::Long { epoch, .. }, Version::V12) => *epoch == self.epoch,
            (Record::Short { epoch, .. }, Version::V13) => u16::from(*epoch) == self.epoch & 3,
            _ => false,
        }
    }

    /// Opens a record into `text`.
    ///
    /// # Errors
    /// [`Drop::Authentication`], [`Drop::Replayed`], [`Drop::Truncated`], [`Drop::TooLong`] and, without a type inside,
    /// [`Drop::ContentType`]; `text` is of no use then.
    pub(super) fn open(&mut self, record: &Record<'_>, text: &mut Vec<u8>) -> Result<Opened, Drop> {
        text.clear();
        let opened = match *record {
            Record::Long { kind, number, body, .. } => self.open_12(kind, number, body, text),
            Record::Short { head, number_len, body, .. } => self.open_13(head, number_len, body, text),
        };
        match opened {
            Ok(opened) => self.window.take(opened.number),
            Err(Drop::Authentication) => self.forged = self.forged.saturating_add(1),
            Err(_) => {}
        }
        opened
    }

    fn open_12(&self, kind: u8, number: u64, body: &[u8], text: &mut Vec<u8>) -> Result<Opened, Drop> {
        self.window.check(number)?;
        let numbered = numbered(self.epoch, number);
        let (nonce, sealed) = if self.keyed.is_explicit() {
            let (explicit, sealed) = body.split_first_chunk::<EXPLICIT>().ok_or(Drop::Truncated)?;
            (self.keyed.nonce(u64::from_be_bytes(*explicit)), sealed)
        } else {
            (self.keyed.nonce(numbered), body)
        };
        let len = sealed.len().checked_sub(TAG).ok_or(Drop::Truncated)?;
        self.decrypt(nonce, &additional(kind, numbered, len), sealed, text)?;
        Ok(Opened { kind, number })
    }

    fn open_13(
        &self,
        head: &[u8],
        number_len: usize,
        sealed: &[u8],
        text: &mut Vec<u8>,
    ) -> Result<Opened, Drop> {
        let mask = self.keyed.mask(sealed).ok_or(Drop::Truncated)?;
        // The flags, up to two bytes of the number, up to two of the length.
        let mut clear = [0; SHORT_HEADER];
        let clear = clear.get_mut(..head.len()).ok_or(Drop::Truncated)?;
        clear.copy_from_slice(head);
        let mut seen = 0;
        for (byte, mask) in clear.iter_mut().skip(1).take(number_len).zip(mask) {
            *byte ^= mask;
            seen = (seen << 8) | u64::from(*byte);
        }
        let number = self.window.nearest(seen, if number_len == 1 { 8 } else { 16 });
        self.window.check(number)?;
        self.decrypt(self.keyed.nonce(number), clear, sealed, text)?;
        // Zeros behind the type are padding (RFC 8446, section 5.4).
        let end = text.iter().rposition(|byte| *byte != 0).ok_or(Drop::ContentType)?;
        let kind = text.get(end).copied().ok_or(Drop::ContentType)?;
        text.truncate(end);
        Ok(Opened { kind, number })
    }

    fn decrypt(
        &self,
        nonce: [u8; 12],
        additional: &[u8],
        sealed: &[u8],
        text: &mut Vec<u8>,
    ) -> Result<(), Drop> {
        let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or(Drop::Truncated)?;
        text.extend_from_slice(body);
        if self.keyed.key.open(nonce, additional, text, tag) { Ok(()) } else { Err(Drop::Authentication) }
    }
}

/// Which numbers were received: a window of 64 below the highest (RFC 6347, section 4.1.2.6).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// One past the highest.
    pub(super) next: u64,
    /// Bit n: `next - 1 - n`.
    pub(super) seen: u64,
}

impl Window {
    fn check(&self, number: u64) -> Result<(), Drop> {
        match self.next.checked_sub(number) {
            None | Some(0) => Ok(()),
            Some(age @ 1..=64) if (self.seen >> (age - 1)) & 1 == 0 => Ok(()),
            Some(_) => Err(Drop::Replayed),
        }
    }

    fn take(&mut self, number: u64) {
        match number.checked_sub(self.next) {
            Some(ahead) => {
                let shift = u32::try_from(ahead + 1).unwrap_or(u32::MAX);
                self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
                self.next = number + 1;
            }
            None => {
                let age = self.next - number - 1;
                self.seen |= u32::try_from(age).ok().and_then(|age| 1_u64.checked_shl(age)).unwrap_or(0);
            }
        }
    }

    /// The number nearest to the next one of which `seen` are the lowest `bits` (RFC 9147, section 4.2.2).
    fn nearest(&self, seen: u64, bits: u32) -> u64 {
        let (span, half) = (1_u64 << bits, 1_u64 << (bits - 1));
        let base = self.next & !(span - 1) | seen;
        if base + half < self.next + 1 {
            base + span
        } else if base > self.next + half && base >= span {
            base - span
        } else {
            base
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::dtls::record::{APPLICATION_DATA, HANDSHAKE, Records};

    fn keys(cipher: Cipher, version: Version) -> TrafficKeys {
        let (key, explicit) = (Secret::new(&vec![7; cipher.key_len()]), cipher != Cipher::ChaCha20Poly1305);
        let iv = if version == Version::V12 && explicit { 4 } else { 12 };
        let number = (version == Version::V13).then(|| Secret::new(&vec![9; cipher.key_len()]));
        TrafficKeys { cipher, key, iv: Secret::new(&vec![5; iv]), number }
    }

    fn all() -> impl Iterator<Item = TrafficKeys> {
        let ciphers = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
        ciphers
            .into_iter()
            .flat_map(|cipher| [Version::V12, Version::V13].map(|version| keys(cipher, version)))
    }

    fn open(opener: &mut Opener, bytes: &[u8]) -> Result<(Opened, Vec<u8>), Drop> {
        let record = Records(bytes).next().unwrap()?;
        assert!(opener.is_for(&record));
        let mut text = vec![1, 2, 3];
        opener.open(&record, &mut text).map(|opened| (opened, text))
    }

    #[test]
    fn s_dtls_07_what_was_sealed_is_opened_once_in_any_order_and_nothing_else_is() {
        for keys in all() {
            let mut sealer = Sealer::new(3, &keys).unwrap();
            let mut opener = Opener::new(3, &keys).unwrap();
            let records: Vec<_> = (0..70_u8)
                .map(|n| {
                    let mut out = Vec::new();
                    let number = sealer.seal(HANDSHAKE, &[n; 40], &mut out);
                    assert_eq!((number, out.len()), (Some(n.into()), 40 + sealer.overhead()));
                    out
                })
                .collect();
            for at in [3_u8, 0, 69, 68, 7] {
                let bytes = &records[usize::from(at)];
                for place in 0..bytes.len() {
                    let mut forged = bytes.clone();
                    forged[place] ^= 1;
                    let Some(Ok(record)) = Records(&forged).next() else { continue };
                    if opener.is_for(&record) {
                        assert!(opener.open(&record, &mut Vec::new()).is_err(), "byte {place}");
                    }
                }
                let expected = Opened { kind: HANDSHAKE, number: at.into() };
                assert_eq!(open(&mut opener, bytes), Ok((expected, vec![at; 40])));
                assert_eq!(open(&mut opener, bytes), Err(Drop::Replayed));
            }
            assert_eq!(open(&mut opener, &records[5]), Err(Drop::Replayed), "older than the window");
            assert!(opener.forged() > 0);
        }
    }

    #[test]
    fn s_dtls_20_no_number_is_used_beyond_the_limit() {
        for keys in all() {
            let mut sealer = Sealer::new(1, &keys).unwrap().resume(limits::DTLS_SEALED - 1);
            let mut out = Vec::new();
            assert_eq!(sealer.seal(APPLICATION_DATA, b"last", &mut out), Some(limits::DTLS_SEALED - 1));
            let len = out.len();
            assert_eq!((sealer.seal(APPLICATION_DATA, b"more", &mut out), out.len()), (None, len));
        }
    }

    #[test]
    fn numbers_of_8_and_16_bits_are_the_nearest_to_the_next() {
        let nearest = |next: u64, seen, bits| Window { next, seen: 0 }.nearest(seen, bits);
        for next in [0_u64, 1, 100, 127, 128, 200, 255, 256, 300, 65_535, 65_536, 1 << 40] {
            for number in next.saturating_sub(120)..next + 120 {
                assert_eq!(nearest(next, number & 0xff, 8), number, "next {next}");
                assert_eq!(nearest(next, number & 0xffff, 16), number, "next {next}");
            }
        }
    }

    #[test]
    fn keys_of_other_lengths_are_refused() {
        let good = keys(Cipher::Aes128Gcm, Version::V13);
        for bad in [
            TrafficKeys { key: Secret::new(&[1; 15]), ..good.clone() },
            TrafficKeys { iv: Secret::new(&[1; 13]), ..good.clone() },
            TrafficKeys { number: Some(Secret::new(&[1; 17])), ..good.clone() },
        ] {
            assert!(Sealer::new(1, &bad).is_none() && Opener::new(1, &bad).is_none());
        }
    }
}
