//! What all associations of an engine share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::certificate::Certificate;
use super::fingerprint::Fingerprint;
use super::outcome::ConfigError;
use crate::base::limits;

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
    /// DTLS 1.2 alone. The default: its server picks the SRTP profile by its own order, which
    /// yields AEAD_AES_256_GCM from Chromium and from Firefox. Under 1.3 the engine takes the
    /// client's first, and Chromium's first is AES-CM with HMAC-SHA1, four times the work per
    /// packet. Every browser still speaks 1.2.
    #[default]
    V12,
    /// DTLS 1.3 alone.
    V13,
    /// The higher one that the peer speaks.
    Auto,
}

/// Settings of [`Context::new`].
#[derive(Debug, Clone)]
pub struct Config {
    /// The versions spoken.
    pub versions: Versions,
    /// Bytes of the largest datagram sent, 256 to 2,048; 1,200 passes everywhere.
    pub mtu: usize,
    /// When an unanswered flight is first sent again; the time doubles with each repetition, a
    /// quarter of it is random either way. 10 ms to 10 s.
    pub first_retransmission: Duration,
    /// Another source of primitives, for tests that need the same bytes twice.
    #[doc(hidden)]
    pub provider: Option<Provider>,
}

impl Default for Config {
    fn default() -> Self {
        // RFC 9147, section 5.8.2 starts at one second unless the round trip is known; calls are
        // set up while somebody waits, and ICE has just shown that the path answers.
        let first_retransmission = Duration::from_millis(300);
        Config { versions: Versions::V12, mtu: 1_200, first_retransmission, provider: None }
    }
}

/// A replacement of the engine's primitives. For tests alone: its type is no part of the API.
#[doc(hidden)]
#[derive(Clone)]
pub struct Provider(dimpl::crypto::CryptoProvider);

impl Provider {
    /// Wraps the engine's own type.
    #[doc(hidden)]
    pub fn new(provider: dimpl::crypto::CryptoProvider) -> Self {
        Provider(provider)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider(..)")
    }
}

/// A checked configuration and a certificate; clones share both. One serves all associations.
#[derive(Clone)]
pub struct Context(Arc<Shared>);

struct Shared {
    config: Config,
    certificate: Certificate,
    engine: Arc<dimpl::Config>,
}

impl Context {
    /// Checks the configuration and tests the primitives against known answers (milliseconds).
    ///
    /// # Errors
    /// [`ConfigError`]: a value out of its range, or primitives that fail their test.
    pub fn new(config: Config, certificate: Certificate) -> Result<Self, ConfigError> {
        if !(256..=limits::DATAGRAM).contains(&config.mtu) {
            return Err(ConfigError::Mtu);
        }
        let first = config.first_retransmission;
        if first < Duration::from_millis(10) || first > Duration::from_secs(10) {
            return Err(ConfigError::Retransmission);
        }
        let engine = Arc::new(engine_config(&config, None)?);
        Ok(Context(Arc::new(Shared { config, certificate, engine })))
    }

    /// The same configuration with another certificate, for associations to come; those that exist
    /// keep the one they began with.
    pub fn with_certificate(&self, certificate: Certificate) -> Self {
        let Shared { config, engine, .. } = &*self.0;
        Context(Arc::new(Shared { config: config.clone(), certificate, engine: engine.clone() }))
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

    /// The engine's configuration; `seed` counts only with a provider of tests, because 64 bits
    /// that follow from a seed are no replacement for the system's randomness.
    pub(super) fn engine(&self, seed: u64) -> Arc<dimpl::Config> {
        match self.0.config.provider {
            Some(_) => {
                engine_config(&self.0.config, Some(seed)).map_or_else(|_| self.0.engine.clone(), Arc::new)
            }
            None => self.0.engine.clone(),
        }
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

/// Enough repetitions that our own limit of time ends a handshake, not the engine's count, which
/// forged duplicates could spend.
const RETRIES: usize = 16;

fn engine_config(config: &Config, seed: Option<u64>) -> Result<dimpl::Config, ConfigError> {
    let mut builder = dimpl::Config::builder()
        .mtu(config.mtu)
        .max_queue_rx(limits::DTLS_AHEAD)
        .flight_start_rto(config.first_retransmission)
        .flight_retries(RETRIES)
        .handshake_timeout(2 * limits::DTLS_HANDSHAKE)
        // ICE has proved the address already (RFC 9147, section 5.1).
        .use_server_cookie(false)
        .require_client_certificate(true);
    if let Some(Provider(provider)) = &config.provider {
        builder = builder.with_crypto_provider(provider.clone());
    } else {
        builder = builder.with_crypto_provider(dimpl::crypto::aws_lc_rs::default_provider());
    }
    if let Some(seed) = seed {
        builder = builder.dangerously_set_rng_seed(seed);
    }
    builder.build().map_err(|_| ConfigError::Provider)
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
