//! Our certificate, and what must be known of a peer's before it is trusted with anything.

use std::fmt;
use std::sync::Arc;

use dimpl::crypto::{Buf, SignatureAlgorithm, aws_lc_rs};
use zeroize::Zeroizing;

use super::fingerprint::{Fingerprint, HashAlgorithm};
use super::outcome::{CertificateError, FailReason};
use super::pem;
use crate::base::limits;
use crate::crypto::secret::Secret;

/// A certificate with its private key; clones share both, and the key is wiped with the last one.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Box<[u8]>,
    key: Secret,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// A fresh self-signed P-256 certificate (about 50 µs). Its key, serial number and dates come
    /// from the operating system: it is not reproducible.
    ///
    /// # Errors
    /// [`CertificateError::Generation`] if the system gave no key.
    pub fn generate() -> Result<Self, CertificateError> {
        let made = dimpl::certificate::generate_self_signed_certificate()
            .map_err(|_| CertificateError::Generation)?;
        Ok(Certificate::assemble(&made.certificate, &made.private_key))
    }

    /// A certificate in DER and its key in PKCS #8 DER: ECDSA over P-256 or P-384, and the two must
    /// belong together.
    ///
    /// # Errors
    /// [`CertificateError`] says which of the two is unusable, or that they do not fit.
    pub fn from_der(der: &[u8], pkcs8: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > limits::DTLS_MESSAGE || PublicKey::of(der) != Some(PublicKey::EllipticCurve) {
            return Err(CertificateError::Certificate);
        }
        // The engine would also take PEM and other containers, with quirks of their own.
        if !matches!(pkcs8, [SEQUENCE, ..]) {
            return Err(CertificateError::Key);
        }
        let provider = aws_lc_rs::default_provider();
        let mut key = provider.key_provider.load_private_key(pkcs8).map_err(|_| CertificateError::Key)?;
        let (hash, probe, mut signature) = (key.hash_algorithm(), b"probe", Buf::new());
        key.sign(probe, hash, &mut signature).map_err(|_| CertificateError::Key)?;
        provider
            .signature_verification
            .verify_signature(der, probe, &signature, hash, SignatureAlgorithm::ECDSA)
            .map_err(|_| CertificateError::Mismatch)?;
        Ok(Certificate::assemble(der, pkcs8))
    }

    /// A certificate and its key as PEM (RFC 7468): the first `CERTIFICATE` and the first `PRIVATE KEY`
    /// of the text, in any order, the rest of a chain ignored.
    ///
    /// # Errors
    /// As [`from_der`](Self::from_der); a block that is missing is malformed.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let der = pem::block(text, "CERTIFICATE").ok_or(CertificateError::Certificate)?;
        let key = Zeroizing::new(pem::block(text, "PRIVATE KEY").ok_or(CertificateError::Key)?);
        Certificate::from_der(&der, &key)
    }

    fn assemble(der: &[u8], key: &[u8]) -> Self {
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, der);
        Certificate(Arc::new(Parts { der: der.into(), key: Secret::new(key), fingerprint }))
    }

    /// Its SHA-256 fingerprint, for `a=fingerprint`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The certificate itself in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    pub(super) fn to_engine(&self) -> dimpl::DtlsCertificate {
        dimpl::DtlsCertificate { certificate: self.0.der.to_vec(), private_key: self.0.key.expose().to_vec() }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.0.fingerprint)
    }
}

/// Whether a peer's certificate is the expected one, with a key that we can verify.
pub(super) fn check_peer(der: &[u8], expected: &[Fingerprint]) -> Result<(), FailReason> {
    if der.len() > limits::DTLS_MESSAGE {
        return Err(FailReason::UnsupportedCertificate);
    }
    if !Fingerprint::any_matches(expected, der) {
        return Err(FailReason::Fingerprint);
    }
    match PublicKey::of(der) {
        Some(PublicKey::EllipticCurve) => Ok(()),
        Some(PublicKey::Rsa | PublicKey::Other) | None => Err(FailReason::UnsupportedCertificate),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PublicKey {
    EllipticCurve,
    Rsa,
    Other,
}

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// 1.2.840.10045.2.1 (RFC 5480, section 2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.113549.1.1.1 (RFC 8017, appendix A.1).
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

impl PublicKey {
    /// Walks to the key's algorithm (RFC 5280, section 4.1); no recursion, each byte seen once.
    fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if let Some((_, after)) = element(rest, VERSION) {
            rest = after;
        }
        // Serial number, signature, issuer, validity, subject.
        for _ in 0..5 {
            let tag = *rest.first()?;
            (_, rest) = element(rest, tag)?;
        }
        let (key, _) = element(rest, SEQUENCE)?;
        let (algorithm, _) = element(key, SEQUENCE)?;
        let (identifier, _) = element(algorithm, OBJECT_IDENTIFIER)?;
        Some(match identifier {
            EC_PUBLIC_KEY => PublicKey::EllipticCurve,
            RSA_ENCRYPTION => PublicKey::Rsa,
            _ => PublicKey::Other,
        })
    }
}

/// The contents of the DER element of `tag` that starts here, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (len, body) = match *bytes {
        [first, len @ 0..=0x7f, ref body @ ..] if first == tag => (usize::from(len), body),
        [first, 0x81, len, ref body @ ..] if first == tag => (usize::from(len), body),
        [first, 0x82, high, low, ref body @ ..] if first == tag => {
            (usize::from(u16::from_be_bytes([high, low])), body)
        }
        // Longer ones are beyond the limit of a certificate.
        _ => return None,
    };
    body.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a certificate around a key algorithm.
    fn with_algorithm(identifier: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, parts: &[&[u8]]| {
            let body = parts.concat();
            [&[tag, body.len() as u8][..], &body].concat()
        };
        let key = wrap(SEQUENCE, &[&wrap(SEQUENCE, &[&wrap(OBJECT_IDENTIFIER, &[identifier])])]);
        let (serial, empty) = (wrap(2, &[&[1]]), wrap(SEQUENCE, &[]));
        wrap(SEQUENCE, &[&wrap(SEQUENCE, &[&serial, &empty, &empty, &empty, &empty, &key])])
    }

    #[test]
    fn s_dtls_18_the_kind_of_key_is_found_or_nothing() {
        let ours = Certificate::generate().unwrap();
        assert_eq!(PublicKey::of(ours.der()), Some(PublicKey::EllipticCurve));
        assert_eq!(PublicKey::of(&with_algorithm(RSA_ENCRYPTION)), Some(PublicKey::Rsa));
        assert_eq!(PublicKey::of(&with_algorithm(&[1, 2])), Some(PublicKey::Other));
        let deep = [SEQUENCE, 0x80].repeat(4_000);
        assert_eq!(PublicKey::of(&deep), None);
    }

    #[test]
    fn s_dtls_18_no_cut_and_no_changed_byte_panics() {
        let ours = Certificate::generate().unwrap();
        for len in 0..ours.der().len() {
            let _ = PublicKey::of(&ours.der()[..len]);
            let mut bad = ours.der().to_vec();
            bad[len] ^= 0xff;
            let _ = PublicKey::of(&bad);
        }
    }

    #[test]
    fn s_dtls_18_a_peer_is_refused_by_reason() {
        let check = |der: &[u8]| check_peer(der, &[Fingerprint::of(HashAlgorithm::Sha256, der)]);
        assert_eq!(check(Certificate::generate().unwrap().der()), Ok(()));
        assert_eq!(check(&with_algorithm(RSA_ENCRYPTION)), Err(FailReason::UnsupportedCertificate));
        assert_eq!(check(&with_algorithm(&[1])), Err(FailReason::UnsupportedCertificate));
        assert_eq!(check(&[0; 20]), Err(FailReason::UnsupportedCertificate));
        assert_eq!(check(&vec![0; limits::DTLS_MESSAGE + 1]), Err(FailReason::UnsupportedCertificate));
        assert_eq!(check_peer(&with_algorithm(RSA_ENCRYPTION), &[]), Err(FailReason::Fingerprint));
    }

    #[test]
    fn a_key_must_belong_to_its_certificate() {
        let (a, b) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
        let again = Certificate::from_der(a.der(), a.0.key.expose()).unwrap();
        assert_eq!(again.fingerprint(), a.fingerprint());
        let error = |der: &[u8], key: &[u8]| Certificate::from_der(der, key).map(|_| ()).unwrap_err();
        assert_eq!(error(a.der(), b.0.key.expose()), CertificateError::Mismatch);
        assert_eq!(error(a.der(), b"-----BEGIN"), CertificateError::Key);
        assert_eq!(error(a.der(), &[SEQUENCE, 0]), CertificateError::Key);
        assert_eq!(error(&with_algorithm(RSA_ENCRYPTION), a.0.key.expose()), CertificateError::Certificate);
        assert_eq!(error(&[], a.0.key.expose()), CertificateError::Certificate);
    }

    #[test]
    fn i_09_debug_shows_the_fingerprint_alone() {
        let ours = Certificate::generate().unwrap();
        assert_eq!(format!("{ours:?}"), format!("Certificate({})", ours.fingerprint()));
    }
}
