//! DTLS whose bytes follow from a seed: keys drawn from each association's own, and a certificate of Ed25519, whose
//! signatures need no randomness (RFC 8032). X25519MLKEM768 is not among the groups: nobody may choose what ML-KEM draws.
//!
//! For tests alone. Production draws all of it from the operating system.

use estafette::dtls::{self, Group};

/// The certificate and its key, the same in every run.
pub fn certificate() -> dtls::Certificate {
    dtls::Certificate::from_seed(&[0x5e; 32]).expect("the provider works")
}

/// Another one, of P-256, for peers that take no Ed25519: what it signs is another signature each time.
pub fn elliptic() -> dtls::Certificate {
    let der = include_bytes!("../data/dtls/certificate.der");
    let key = include_bytes!("../data/dtls/key.p8");
    dtls::Certificate::from_der(der, key).expect("the stored certificate is good")
}

/// A configuration under which the seed of an association decides its bytes.
pub fn config(versions: dtls::Versions) -> dtls::Config {
    let groups = vec![Group::X25519, Group::P256];
    dtls::Config { versions, groups, reproducible: true, ..dtls::Config::default() }
}
