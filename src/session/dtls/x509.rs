//! Certificates: what is read of a peer's, its public key and nothing else, and what ours are made of.
//!
//! No chain, name, date or extension is judged: a certificate is trusted for its fingerprint alone
//! (RFC 8827, section 6.5). So the fields before the key are skipped by their lengths, whatever they hold,
//! and those after it are not looked at. Nothing here recurses.

use der::{AnyRef, Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use rcgen::{CertificateParams, DistinguishedName, DnType, PublicKeyData, SerialNumber, date_time_ymd};

use crate::base::limits;
use crate::crypto::keying::Hash;
use crate::crypto::secret::Secret;
use crate::crypto::signing::{KeyKind, PublicKey, PublicKeyError, Scheme, SigningKey};

/// The public key of a certificate in DER (RFC 5280, section 4.1).
///
/// # Errors
/// [`PublicKeyError`]; more than [`limits::DTLS_MESSAGE`] bytes are malformed.
pub(super) fn public_key(der: &[u8]) -> Result<PublicKey, PublicKeyError> {
    if der.len() > limits::DTLS_MESSAGE {
        return Err(PublicKeyError::Malformed);
    }
    PublicKey::from_spki(public_key_info(der).map_err(|_| PublicKeyError::Malformed)?)
}

/// The certificate's SubjectPublicKeyInfo.
fn public_key_info(der: &[u8]) -> der::Result<&[u8]> {
    let mut fields = sequence(sequence(der)?.tlv_bytes()?)?;
    if fields.peek_byte() == Some(VERSION) {
        fields.tlv_bytes()?;
    }
    // Serial number, signature, issuer, validity, subject.
    for _ in 0..5 {
        fields.tlv_bytes()?;
    }
    fields.tlv_bytes()
}

/// The tag of a version, which the first version leaves out.
const VERSION: u8 = 0xa0;

/// The contents of a SEQUENCE that is all of `der`.
fn sequence(der: &[u8]) -> der::Result<SliceReader<'_>> {
    let whole = AnyRef::from_der(der)?;
    whole.tag().assert_eq(Tag::Sequence)?;
    SliceReader::new(whole.value())
}

/// A fresh certificate of P-256 in DER, and its key in PKCS #8 DER. `None` if the system gave no key.
pub(super) fn generate() -> Option<(Vec<u8>, Secret)> {
    let (key, pkcs8) = SigningKey::generate()?;
    Some((self_signed(&key)?, pkcs8))
}

/// A certificate of Ed25519 that follows from the seed byte by byte, as its signatures do.
pub(super) fn from_seed(seed: &[u8; 32]) -> Option<(Vec<u8>, Secret)> {
    let (key, pkcs8) = SigningKey::from_seed(seed)?;
    Some((self_signed(&key)?, pkcs8))
}

/// A certificate that the key signed for itself. No clock is read for it: its dates are those of a century's
/// first half, which every reader knows (readers that count from 1970 refuse what was before). Its serial number is the
/// key's hash, for Firefox refuses a second certificate of one name and number.
fn self_signed(key: &SigningKey) -> Option<Vec<u8>> {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "WebRTC");
    let mut serial = Hash::Sha256.digest(key.public()).as_ref().first_chunk::<16>().copied()?;
    // Its first bit is a sign.
    serial[0] &= 0x7f;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = name;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    parameters.not_before = date_time_ymd(2000, 1, 1);
    parameters.not_after = date_time_ymd(2049, 12, 31);
    Some(parameters.self_signed(&Signer(key)).ok()?.der().to_vec())
}

/// How a certificate is signed: its writer knows no keys.
struct Signer<'a>(&'a SigningKey);

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.0.kind() {
            KeyKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
            KeyKind::Rsa => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let scheme = match self.0.kind() {
            KeyKind::P256 => Scheme::EcdsaP256Sha256,
            KeyKind::P384 => Scheme::EcdsaP384Sha384,
            KeyKind::Ed25519 => Scheme::Ed25519,
            KeyKind::Rsa => Scheme::RsaPkcs1Sha256,
        };
        self.0.sign(scheme, message).ok_or(rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pem;
    use super::*;
    use crate::crypto::vectors;

    const P384: &str = include_str!("../../../tests/data/dtls/p384.pem");
    const RSA: &str = include_str!("../../../tests/data/dtls/rsa.pem");
    const RSA_1024: &str = include_str!("../../../tests/data/dtls/rsa1024.pem");
    const RSA_8192: &str = include_str!("../../../tests/data/dtls/rsa8192.pem");

    /// That of `captures/chromium-aiortc-av-data-cm.pcap`.
    const CHROMIUM: &str = concat!(
        "308201163081bda003020102020900cff323a3b4729db0300a06082a8648ce3d0403023011310f300d06035504030c06",
        "576562525443301e170d3236313132323232323230325a170d3236313232333232323230325a3011310f300d06035504",
        "030c065765625254433059301306072a8648ce3d020106082a8648ce3d03010703420004972b2d9558827f8356465a3b",
        "f9c64950d756ab139cdd9a3dcbb3eace66ff37fb7da2a9656952abb224cd36df5cd6306b9952e38b5b78d0ca100476ae",
        "7453a279300a06082a8648ce3d040302034800304502204df31c3caf7d8b8b346c1136fe0c83e8b65080d053bd82e01b",
        "d9897a950161940221009d9ca2d12087d5fa492d6ad2d274bf6185193e76ea436dc12aa20a50d8ec9be3",
    );

    fn read(text: &str) -> (Vec<u8>, Option<SigningKey>) {
        let key = pem::block(text, "PRIVATE KEY").unwrap();
        (pem::block(text, "CERTIFICATE").unwrap(), SigningKey::from_pkcs8(&key))
    }

    /// Of every kind: OpenSSL's of P-384 and RSA, ours of the other two.
    fn certificates() -> [(Vec<u8>, SigningKey); 4] {
        let ours = |(der, pkcs8): (_, Secret)| (der, SigningKey::from_pkcs8(pkcs8.expose()).unwrap());
        let openssl = |text| {
            let (der, key) = read(text);
            (der, key.unwrap())
        };
        [ours(generate().unwrap()), openssl(P384), ours(from_seed(&[1; 32]).unwrap()), openssl(RSA)]
    }

    #[test]
    fn the_key_of_a_certificate_of_every_kind_is_read() {
        let kinds = [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa];
        for ((der, key), kind) in certificates().into_iter().zip(kinds) {
            let public = public_key(&der).unwrap();
            assert_eq!(public.kind(), kind);
            assert!(key.is_pair_of(&public));
            let again = public_key(&self_signed(&key).unwrap()).unwrap();
            assert!(key.is_pair_of(&again));
        }
    }

    #[test]
    fn the_key_of_a_browser_is_read() {
        let public = public_key(&vectors::unhex(CHROMIUM)).unwrap();
        assert_eq!(public.kind(), KeyKind::P256);
    }

    /// The signature of a certificate is over its first field (RFC 5280, section 4.1.1.3).
    #[test]
    fn our_certificates_carry_signatures_of_their_keys() {
        for (der, key) in certificates() {
            let der = if key.kind() == KeyKind::P384 { self_signed(&key).unwrap() } else { der };
            let mut fields = sequence(&der).unwrap();
            let signed = fields.tlv_bytes().unwrap();
            fields.tlv_bytes().unwrap();
            let signature = fields.decode::<der::asn1::BitStringRef<'_>>().unwrap();
            let public = public_key(&der).unwrap();
            let verifies = |scheme: Scheme| public.verify(scheme, signed, signature.as_bytes().unwrap());
            assert!(Scheme::ALL.into_iter().any(verifies), "{:?}", key.kind());
        }
    }

    #[test]
    fn s_dtls_18_rsa_of_other_sizes_is_refused() {
        for text in [RSA_1024, RSA_8192] {
            let (der, key) = read(text);
            assert_eq!(public_key(&der), Err(PublicKeyError::Unsupported));
            assert!(key.is_none());
        }
    }

    #[test]
    fn s_dtls_18_no_cut_and_no_changed_byte_panics() {
        for (der, _) in certificates() {
            for at in 0..der.len() {
                assert_eq!(public_key(&der[..at]), Err(PublicKeyError::Malformed));
                for change in [1, 0x80, 0xff] {
                    let mut bad = der.clone();
                    bad[at] ^= change;
                    let _ = public_key(&bad);
                }
            }
            let more = [&der[..], &[0]].concat();
            assert_eq!(public_key(&more), Err(PublicKeyError::Malformed));
        }
    }

    /// An element of DER.
    fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        let head = match len {
            [0, low @ ..=0x7f] => vec![tag, low],
            [0, low] => vec![tag, 0x81, low],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [head, body].concat()
    }

    const SEQUENCE: u8 = 0x30;

    #[test]
    fn what_is_not_judged_may_be_anything() {
        let (der, key) = certificates().into_iter().next().unwrap();
        let info = public_key_info(&der).unwrap();
        let deep = (0..1_500).fold(vec![], |inner: Vec<u8>, _| element(SEQUENCE, &[&inner]));
        let [empty, broken] = [element(SEQUENCE, &[]), element(SEQUENCE, &[b"no date"])];
        let long_serial = element(2, &[&[0xff; 200]]);
        for odd in [&empty, &broken, &deep, &long_serial] {
            for version in [&[][..], &element(VERSION, &[&[2, 1, 9]])] {
                let fields =
                    element(SEQUENCE, &[version, odd, &empty, &empty, odd, &empty, info, b"extensions"]);
                let found = public_key(&element(SEQUENCE, &[&fields, b"no signature"]));
                assert!(key.is_pair_of(&found.unwrap()));
            }
        }
    }

    #[test]
    fn keys_of_other_kinds_are_unsupported_and_of_none_malformed() {
        let empty = element(SEQUENCE, &[]);
        let with = |info: &[u8]| {
            let fields = element(SEQUENCE, &[&empty, &empty, &empty, &empty, &empty, info]);
            public_key(&element(SEQUENCE, &[&fields]))
        };
        let info = |identifier: &[u8], parameters: &[u8], key: &[u8]| {
            let algorithm = element(SEQUENCE, &[&element(6, &[identifier]), parameters]);
            with(&element(SEQUENCE, &[&algorithm, &element(3, &[&[0], key])]))
        };
        let (malformed, unsupported) = (Err(PublicKeyError::Malformed), Err(PublicKeyError::Unsupported));
        let (ec, ed25519): (&[u8], &[u8]) = (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], &[0x2b, 0x65, 0x70]);
        let p256 = element(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]]);
        let p521 = element(6, &[&[0x2b, 0x81, 4, 0, 0x23]]);
        assert_eq!(info(&[0x2b, 0x65, 0x71], &[], &[1; 57]), unsupported, "Ed448");
        assert_eq!(info(ec, &p521, &[4; 133]), unsupported);
        assert_eq!(info(ec, &p256, &[2; 33]), unsupported, "a compressed point");
        assert_eq!(info(ec, &[], &[4; 65]), unsupported, "no curve");
        assert_eq!(info(ec, &p256, &[4; 65]), malformed, "not on the curve");
        assert_eq!(info(ec, &p256, &[4; 64]), malformed);
        assert_eq!(info(ec, &p256, &[]), unsupported);
        assert_eq!(info(ed25519, &[5, 0], &[1; 32]), malformed, "parameters where there are none");
        assert_eq!(info(ed25519, &[], &[1; 31]), malformed);
        assert_eq!(info(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0xd, 1, 1, 1], &[5, 0], &[1; 270]), malformed);
        assert_eq!(with(&[]), malformed);
        assert_eq!(with(&empty), malformed);
        assert_eq!(public_key(&[]), malformed);
        assert_eq!(public_key(&element(SEQUENCE, &[&[SEQUENCE; 60_000]])), malformed);
        assert_eq!(public_key(&vec![0; limits::DTLS_MESSAGE]), malformed);
    }

    #[test]
    fn a_seed_decides_every_byte() {
        let (one, same) = (from_seed(&[1; 32]).unwrap(), from_seed(&[1; 32]).unwrap());
        assert!(one == same);
        let other = from_seed(&[2; 32]).unwrap();
        assert!(one.0 != other.0 && one.1 != other.1);
        // The bytes themselves, so that a release that writes them otherwise is seen.
        let hash = format!("{:?}", Hash::Sha256.digest(&one.0));
        assert_eq!(&hash[..16], "ed089116c1e7e73c");
    }
}
