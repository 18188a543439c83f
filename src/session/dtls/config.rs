//! What all associations of an engine share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::certificate::Certificate;
use super::fingerprint::Fingerprint;
use super::outcome::ConfigError;
use crate::base::limits;
use crate::crypto::exchange::{Draws, Group};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// Who speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `a=setup:passive`: waits for the ClientHello, and chooses the SRTP profile.
    Server,
    /// `a=setup:active`: sends the ClientHello.
    Client,
}

/// A protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// DTLS 1.2 (RFC 6347).
    V12,
    /// DTLS 1.3 (RFC 9147).
    V13,
}

/// The versions an association speaks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Versions {
    /// DTLS 1.2 alone.
    V12,
    /// DTLS 1.3 alone.
    V13,
    /// The higher one that the peer speaks.
    #[default]
    Auto,
}

/// Settings of [`Context::new`].
#[derive(Debug, Clone)]
pub struct Config {
    /// The versions spoken.
    pub versions: Versions,
    /// The SRTP profiles, by their numbers in the IANA registry (RFC 5764, section 4.1.2), the best first: as a server
    /// the first that is offered is taken. 7 is AEAD_AES_128_GCM, 8 AEAD_AES_256_GCM, 1 AES128_CM_HMAC_SHA1_80.
    pub profiles: Vec<u16>,
    /// The groups of the key exchange, the best first: as a server the first that is offered is taken. The first is the
    /// one that a client sends a share of, with another one if it is X25519MLKEM768.
    pub groups: Vec<Group>,
    /// Bytes of the largest datagram sent, 256 to 2,048; 1,200 passes everywhere.
    pub mtu: usize,
    /// When an unanswered flight is first sent again; the time doubles with each repetition, a
    /// quarter of it is random either way. 10 ms to 10 s.
    pub first_retransmission: Duration,
    /// Keys and random numbers follow from the association's seed, for tests that need the same bytes twice: neither
    /// secret nor safe.
    #[doc(hidden)]
    pub reproducible: bool,
}

impl Default for Config {
    fn default() -> Self {
        // RFC 9147, section 5.8.2 starts at one second unless the round trip is known; calls are
        // set up while somebody waits, and ICE has just shown that the path answers.
        let first_retransmission = Duration::from_millis(300);
        Config {
            versions: Versions::Auto,
            profiles: PROFILES.to_vec(),
            groups: Group::ALL.to_vec(),
            mtu: 1_200,
            first_retransmission,
            reproducible: false,
        }
    }
}

/// The profiles that we have, the best first.
const PROFILES: [u16; 3] = [7, 8, 1];

/// A checked configuration and a certificate; clones share both. One serves all associations.
#[derive(Clone)]
pub struct Context(Arc<Shared>);

struct Shared {
    config: Config,
    certificate: Certificate,
}

impl Context {
    /// Checks the configuration.
    ///
    /// # Errors
    /// [`ConfigError`]: a value out of its range, or a list with nothing in it or something unknown.
    pub fn new(config: Config, certificate: Certificate) -> Result<Self, ConfigError> {
        if !(256..=limits::DATAGRAM).contains(&config.mtu) {
            return Err(ConfigError::Mtu);
        }
        let first = config.first_retransmission;
        if first < Duration::from_millis(10) || first > Duration::from_secs(10) {
            return Err(ConfigError::Retransmission);
        }
        let known = |profile| PROFILES.contains(profile);
        if config.profiles.is_empty() || !config.profiles.iter().all(known) {
            return Err(ConfigError::Profiles);
        }
        let has_old = config.groups.iter().any(|group| !group.is_for_13());
        if config.groups.is_empty() || (config.versions != Versions::V13 && !has_old) {
            return Err(ConfigError::Groups);
        }
        Ok(Context(Arc::new(Shared { config, certificate })))
    }

    /// The same configuration with another certificate, for associations to come; those that exist
    /// keep the one they began with.
    pub fn with_certificate(&self, certificate: Certificate) -> Self {
        Context(Arc::new(Shared { config: self.0.config.clone(), certificate }))
    }

    /// The fingerprint of our certificate, for `a=fingerprint` (RFC 8122, section 5).
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.certificate.fingerprint()
    }

    pub(super) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.0.certificate
    }

    /// Where an association's secrets come from.
    pub(super) fn draws(&self, seed: u64) -> Draws {
        if !self.0.config.reproducible {
            return Draws::System;
        }
        Draws::Seeded(Box::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("config", &self.0.config)
            .field("certificate", &self.0.certificate)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_api_04_contradictions_are_refused_when_built() {
        let certificate = Certificate::generate().unwrap();
        let error = |config| Context::new(config, certificate.clone()).map(|_| ()).err();
        let with_mtu = |mtu| Config { mtu, ..Config::default() };
        let with_first =
            |millis| Config { first_retransmission: Duration::from_millis(millis), ..Config::default() };
        for (mtu, expected) in
            [(255, Some(ConfigError::Mtu)), (256, None), (2_048, None), (2_049, Some(ConfigError::Mtu))]
        {
            assert_eq!(error(with_mtu(mtu)), expected);
        }
        for (millis, expected) in [(9, true), (10, false), (10_000, false), (10_001, true)] {
            assert_eq!(error(with_first(millis)), expected.then_some(ConfigError::Retransmission));
        }
    }
}
