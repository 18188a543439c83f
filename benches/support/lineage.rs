//! DTLS 1.2 clients of another lineage that offer one SRTP profile, so that the engine must take it.

use crate::support::ENGINE;
use crate::support::handshake::{Dialect, Handshake, Keys};
use ::dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use ::dtls::crypto::Certificate;
use ::dtls::endpoint::Endpoint;
use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use bytes::BytesMut;
use estafette::dtls::{Fingerprint, HashAlgorithm};
use estafette::{Instant, srtp};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Lineage {
    profile: srtp::Profile,
    fingerprint: String,
    config: Arc<HandshakeConfig>,
    /// Their clock is the system's: ours is added to this moment.
    started: std::time::Instant,
}

impl Lineage {
    #[allow(dead_code)]
    pub(crate) fn offering(profile: srtp::Profile) -> Lineage {
        let theirs = match profile {
            srtp::Profile::AeadAes128Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            srtp::Profile::AeadAes256Gcm => SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
            _ => SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        };
        let provider = ::dtls::crypto_provider::default_provider().expect("a provider");
        let names = vec!["client".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto()).expect("a certificate");
        Lineage::showing(certificate, profile, theirs)
    }

    /// The same with a certificate and key as text.
    #[allow(dead_code)]
    pub(crate) fn with_certificate(pem: &str) -> Lineage {
        let provider = ::dtls::crypto_provider::default_provider().expect("a provider");
        // Their spelling of the label.
        let pem = pem.replace("PRIVATE KEY", "PRIVATE_KEY");
        let certificate = Certificate::from_pem(&pem, provider.crypto()).expect("a certificate");
        let theirs = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
        Lineage::showing(certificate, srtp::Profile::AeadAes128Gcm, theirs)
    }

    fn showing(certificate: Certificate, profile: srtp::Profile, theirs: SrtpProtectionProfile) -> Lineage {
        let provider = ::dtls::crypto_provider::default_provider().expect("a provider");
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, &certificate.certificate[0]).to_string();
        let config = ConfigBuilder::default()
            .with_crypto_provider(provider)
            .with_certificates(vec![certificate])
            .with_srtp_protection_profiles(vec![theirs])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            .with_insecure_skip_verify(true)
            .build(true, Some(ENGINE))
            .expect("a sound configuration");
        #[allow(clippy::disallowed_methods)]
        let started = std::time::Instant::now();
        Lineage { profile, fingerprint, config: Arc::new(config), started }
    }
}

impl Dialect for Lineage {
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn begin(&self, _expected: Fingerprint, now: Instant) -> Box<dyn Handshake> {
        let mut endpoint = Endpoint::new(([10, 0, 0, 1], 5_000).into(), Default::default(), None);
        let started = self.started - Duration::from_micros(now.as_micros());
        endpoint.connect(self.started, ENGINE, self.config.clone(), None).expect("a first flight");
        Box::new(TheirHandshake { endpoint, profile: self.profile, started, done: false })
    }
}

struct TheirHandshake {
    endpoint: Endpoint,
    profile: srtp::Profile,
    started: std::time::Instant,
    done: bool,
}

impl Handshake for TheirHandshake {
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        let at = self.started + Duration::from_micros(now.as_micros());
        let _ = self.endpoint.read(at, ENGINE, None, BytesMut::from(datagram));
        let _ = self.endpoint.handle_timeout(ENGINE, at);
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.endpoint.poll_transmit().map(|transmit| transmit.message.to_vec())
    }

    fn poll_keys(&mut self) -> Option<Keys> {
        let state = self.endpoint.get_connection_state(ENGINE).filter(|_| !self.done)?;
        let (key, salt) = (self.profile.key_len(), self.profile.salt_len());
        let exported = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 2 * (key + salt)).ok()?;
        let (keys, salts) = exported.as_ref().split_at(2 * key);
        self.done = true;
        Some(Keys::new(self.profile, [&keys[..key], &keys[key..]], [&salts[..salt], &salts[salt..]]))
    }
}
