//! DTLS whose bytes follow from a seed: the engine's primitives with key shares drawn from a seeded
//! generator and signatures that need no randomness (RFC 6979), and a fixed certificate.
//!
//! For tests alone. Production draws all of it from the operating system.

use aws_lc_rs::agreement::{self, Algorithm, ECDH_P256, PrivateKey, UnparsedPublicKey, X25519};
use dimpl::crypto::{ActiveKeyExchange, Buf, CryptoProvider, NamedGroup, SupportedKxGroup};
use dimpl::crypto::{aws_lc_rs as fast, rust_crypto as repeatable};
use dimpl::{CryptoError, CryptoOperation};
use estafette::dtls;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The certificate and its P-256 key (PKCS #8), the same in every run.
pub fn certificate() -> dtls::Certificate {
    let der = include_bytes!("../data/dtls/certificate.der");
    let key = include_bytes!("../data/dtls/key.p8");
    dtls::Certificate::from_der(der, key).expect("the stored certificate is good")
}

/// A provider whose key shares follow from `seed`, in the order in which associations ask.
pub fn provider(seed: [u8; 32]) -> dtls::Provider {
    let fast = fast::default_provider();
    dtls::Provider::new(CryptoProvider {
        kx_groups: groups(seed),
        key_provider: repeatable::default_provider().key_provider,
        ..fast
    })
}

/// A configuration with that provider.
pub fn config(versions: dtls::Versions, seed: [u8; 32]) -> dtls::Config {
    dtls::Config { versions, provider: Some(provider(seed)), ..dtls::Config::default() }
}

#[expect(clippy::disallowed_types, reason = "the engine wants groups that threads could share")]
type Shared = std::sync::Mutex<ChaCha20Rng>;

/// Leaked, a few hundred bytes per provider: the engine keeps groups for ever.
fn groups(seed: [u8; 32]) -> &'static [&'static dyn SupportedKxGroup] {
    let random: &'static Shared = Box::leak(Box::new(Shared::new(ChaCha20Rng::from_seed(seed))));
    let group = |name, algorithm| -> &'static dyn SupportedKxGroup {
        Box::leak(Box::new(Group { name, algorithm, random }))
    };
    Box::leak(Box::new([group(NamedGroup::X25519, &X25519), group(NamedGroup::Secp256r1, &ECDH_P256)]))
}

struct Group {
    name: NamedGroup,
    algorithm: &'static Algorithm,
    random: &'static Shared,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group({:?})", self.name)
    }
}

impl SupportedKxGroup for Group {
    fn name(&self) -> NamedGroup {
        self.name
    }

    fn start_exchange(&self, mut public: Buf) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        let failed = CryptoError::OperationFailed(CryptoOperation::GenerateEphemeralKey);
        let mut secret = [0; 32];
        self.random.lock().expect("no test panics while drawing").fill_bytes(&mut secret);
        let private = PrivateKey::from_private_key(self.algorithm, &secret).map_err(|_| failed.clone())?;
        public.clear();
        public.extend_from_slice(private.compute_public_key().map_err(|_| failed)?.as_ref());
        Ok(Box::new(Exchange { group: self.name, private, public }))
    }
}

struct Exchange {
    group: NamedGroup,
    private: PrivateKey,
    public: Buf,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({:?})", self.group)
    }
}

impl ActiveKeyExchange for Exchange {
    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer: &[u8], out: &mut Buf) -> Result<(), CryptoError> {
        let peer = UnparsedPublicKey::new(self.private.algorithm(), peer);
        agreement::agree(&self.private, peer, CryptoError::InvalidPublicKey(self.group), |shared| {
            out.clear();
            out.extend_from_slice(shared);
            Ok(())
        })
    }

    fn group(&self) -> NamedGroup {
        self.group
    }
}
