//! Fingerprints of certificates, as in SDP's `a=fingerprint` (RFC 8122).

use std::fmt;
use std::str::FromStr;

use crate::crypto::{digest, secret};

/// A hash of a fingerprint. MD5 and SHA-1 are refused (RFC 8122, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashAlgorithm {
    /// 32 bytes; what browsers send and what we send.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl HashAlgorithm {
    const ALL: [HashAlgorithm; 3] = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];

    /// Its name in SDP: `sha-256`.
    pub const fn name(self) -> &'static str {
        match self {
            HashAlgorithm::Sha256 => "sha-256",
            HashAlgorithm::Sha384 => "sha-384",
            HashAlgorithm::Sha512 => "sha-512",
        }
    }

    /// Bytes of its output.
    pub const fn output_len(self) -> usize {
        match self {
            HashAlgorithm::Sha256 => 32,
            HashAlgorithm::Sha384 => 48,
            HashAlgorithm::Sha512 => 64,
        }
    }
}

/// The hash of a certificate in DER.
#[derive(Clone, Copy)]
pub struct Fingerprint {
    algorithm: HashAlgorithm,
    /// Zero behind the hash's own length.
    bytes: [u8; 64],
}

impl Fingerprint {
    /// Hashes a certificate in DER.
    pub fn of(algorithm: HashAlgorithm, der: &[u8]) -> Self {
        let bytes = match algorithm {
            HashAlgorithm::Sha256 => digest::sha256(der),
            HashAlgorithm::Sha384 => digest::sha384(der),
            HashAlgorithm::Sha512 => digest::sha512(der),
        };
        Fingerprint { algorithm, bytes }
    }

    /// The value of `a=fingerprint`: `sha-256 AB:CD:…`, in any case (RFC 8122, section 5).
    ///
    /// # Errors
    /// [`FingerprintError`]: a hash that is not taken, or hexadecimal that is not its length.
    pub fn parse(text: &str) -> Result<Self, FingerprintError> {
        let (name, hex) = text.trim().split_once(' ').ok_or(FingerprintError::Malformed)?;
        let algorithm = HashAlgorithm::ALL
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.name()))
            .ok_or(FingerprintError::Unsupported)?;
        let mut bytes = [0; 64];
        let mut pairs = hex.trim().split(':');
        for to in bytes.iter_mut().take(algorithm.output_len()) {
            *to = pairs.next().and_then(hex_pair).ok_or(FingerprintError::Malformed)?;
        }
        match pairs.next() {
            None => Ok(Fingerprint { algorithm, bytes }),
            Some(_) => Err(FingerprintError::Malformed),
        }
    }

    /// The hash it was made with.
    pub const fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The hash's output.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.algorithm.output_len()).unwrap_or(&self.bytes)
    }

    /// Whether the certificate has one of the `expected` fingerprints: of those with the strongest
    /// hash only (RFC 8122, section 6.2), every one compared in constant time. None expected: no.
    pub(super) fn any_matches(expected: &[Fingerprint], der: &[u8]) -> bool {
        let Some(strongest) = expected.iter().map(Fingerprint::algorithm).max() else { return false };
        let actual = Fingerprint::of(strongest, der);
        // `|` and not `||`: which of several matched must not show in the time taken.
        expected.iter().fold(false, |found, candidate| found | (*candidate == actual))
    }
}

fn hex_pair(text: &str) -> Option<u8> {
    // `from_str_radix` alone would take a sign.
    let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        secret::equal(&self.bytes, &other.bytes) & (self.algorithm == other.algorithm)
    }
}

impl Eq for Fingerprint {}

impl FromStr for Fingerprint {
    type Err = FingerprintError;
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        Fingerprint::parse(text)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        for (i, byte) in self.bytes().iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Why a text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// A hash that is unknown or too weak (MD5, SHA-1).
    #[error("the fingerprint's hash is not supported")]
    Unsupported,
    /// Not a hash's name and its bytes in hexadecimal pairs separated by colons.
    #[error("the fingerprint is malformed")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [HashAlgorithm; 3] = HashAlgorithm::ALL;

    #[test]
    fn s_dtls_11_writing_and_parsing_in_any_case_are_inverse() {
        for algorithm in ALL {
            let original = Fingerprint::of(algorithm, b"certificate");
            let text = original.to_string();
            assert_eq!(text.len(), 8 + 3 * algorithm.output_len() - 1);
            for text in [text.to_lowercase(), text.to_uppercase(), format!(" {text}\r\n")] {
                assert_eq!(Fingerprint::parse(&text), Ok(original), "{text}");
            }
        }
    }

    #[test]
    fn s_dtls_11_what_is_no_fingerprint_is_refused() {
        let good = Fingerprint::of(HashAlgorithm::Sha256, b"x").to_string();
        let cases = [
            ("", FingerprintError::Malformed),
            ("sha-256", FingerprintError::Malformed),
            ("sha-1 00:11", FingerprintError::Unsupported),
            ("md5 00:11", FingerprintError::Unsupported),
            ("sha-256 00:11", FingerprintError::Malformed),
            (&good[..good.len() - 1], FingerprintError::Malformed),
            (&format!("{good}:00"), FingerprintError::Malformed),
            (&good.replacen("sha-256 ", "sha-256 +", 1), FingerprintError::Malformed),
            (&good.replace(':', "-"), FingerprintError::Malformed),
        ];
        for (text, error) in cases {
            assert_eq!(Fingerprint::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn s_dtls_11_the_strongest_hash_decides() {
        let der = b"certificate";
        let of = |algorithm| Fingerprint::of(algorithm, der);
        let wrong = |algorithm| Fingerprint::of(algorithm, b"another");
        let matches = |expected: &[Fingerprint]| Fingerprint::any_matches(expected, der);
        assert!(!matches(&[]));
        for algorithm in ALL {
            assert!(matches(&[of(algorithm)]));
            assert!(!matches(&[wrong(algorithm)]));
            assert!(matches(&[wrong(algorithm), of(algorithm), wrong(algorithm)]));
        }
        assert!(!matches(&[of(HashAlgorithm::Sha256), wrong(HashAlgorithm::Sha512)]));
        assert!(matches(&[wrong(HashAlgorithm::Sha256), of(HashAlgorithm::Sha512)]));
    }

    #[test]
    fn every_bit_counts() {
        let good = Fingerprint::of(HashAlgorithm::Sha384, b"x");
        for bit in 0..384 {
            let mut bad = good;
            bad.bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(bad, good);
        }
    }
}
