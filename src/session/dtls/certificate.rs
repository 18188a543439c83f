//! Our certificate, and what must be known of a peer's before it is trusted with anything.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::fingerprint::{Fingerprint, HashAlgorithm};
use super::outcome::CertificateError;
use super::{pem, x509};
use crate::base::limits;
use crate::crypto::signing::{KeyKind, SigningKey};

/// A certificate with its private key; clones share both, and the key is wiped with the last one.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

struct Parts {
    der: Box<[u8]>,
    key: SigningKey,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// A fresh self-signed P-256 certificate. Its key comes from the operating system: it is not reproducible.
    ///
    /// # Errors
    /// [`CertificateError::Generation`] if the system gave no key.
    pub fn generate() -> Result<Self, CertificateError> {
        let (der, pkcs8) = x509::generate().ok_or(CertificateError::Generation)?;
        Certificate::from_der(&der, pkcs8.expose())
    }

    /// The same certificate for the same seed, of Ed25519, whose signatures are the same too: for tests.
    ///
    /// # Errors
    /// [`CertificateError::Generation`] if the provider fails.
    #[doc(hidden)]
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, CertificateError> {
        let (der, pkcs8) = x509::from_seed(seed).ok_or(CertificateError::Generation)?;
        Certificate::from_der(&der, pkcs8.expose())
    }

    /// A certificate in DER and its key in PKCS #8 DER: ECDSA over P-256 or P-384, Ed25519, or RSA of 2,048 to 4,096
    /// bits, and the two must belong together.
    ///
    /// # Errors
    /// [`CertificateError`] says which of the two is unusable, or that they do not fit.
    pub fn from_der(der: &[u8], pkcs8: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > limits::DTLS_MESSAGE {
            return Err(CertificateError::Certificate);
        }
        let public = x509::public_key(der).map_err(|_| CertificateError::Certificate)?;
        let key = SigningKey::from_pkcs8(pkcs8).ok_or(CertificateError::Key)?;
        if !key.is_pair_of(&public) {
            return Err(CertificateError::Mismatch);
        }
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, der);
        Ok(Certificate(Arc::new(Parts { der: der.into(), key, fingerprint })))
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

    /// Its SHA-256 fingerprint, for `a=fingerprint`.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// The certificate itself in DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The private key.
    pub(super) fn key(&self) -> &SigningKey {
        &self.0.key
    }

    /// The kind of its key.
    pub(super) fn kind(&self) -> KeyKind {
        self.0.key.kind()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.0.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_must_belong_to_its_certificate() {
        let ((a, a_key), (b, b_key)) = (x509::generate().unwrap(), x509::generate().unwrap());
        let again = Certificate::from_der(&a, a_key.expose()).unwrap();
        assert_eq!(again.fingerprint(), Certificate::from_der(&a, a_key.expose()).unwrap().fingerprint());
        let error = |der: &[u8], key: &[u8]| Certificate::from_der(der, key).map(|_| ()).unwrap_err();
        assert_eq!(error(&a, b_key.expose()), CertificateError::Mismatch);
        assert_eq!(error(&b, a_key.expose()), CertificateError::Mismatch);
        assert_eq!(error(&a, b"-----BEGIN"), CertificateError::Key);
        assert_eq!(error(&a, &[0x30, 0]), CertificateError::Key);
        assert_eq!(error(&[], a_key.expose()), CertificateError::Certificate);
        assert_eq!(error(&vec![0; limits::DTLS_MESSAGE + 1], a_key.expose()), CertificateError::Certificate);
    }

    #[test]
    fn a_seed_gives_the_same_certificate() {
        let made = |seed| Certificate::from_seed(&[seed; 32]).unwrap();
        assert_eq!(made(1).der(), made(1).der());
        assert_ne!(made(1).der(), made(2).der());
    }

    #[test]
    fn i_09_debug_shows_the_fingerprint_alone() {
        let ours = Certificate::generate().unwrap();
        assert_eq!(format!("{ours:?}"), format!("Certificate({})", ours.fingerprint()));
    }
}
