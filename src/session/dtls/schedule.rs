//! The key schedule of 1.3 (RFC 8446, section 7; RFC 9147, section 5.9), without pre-shared keys: each
//! stage is made from the one before, and what a stage gives is a method of it.
//!
//! `None` anywhere means that the provider failed: no length here is a peer's choice.

use zeroize::Zeroizing;

use crate::crypto::keying::{DTLS13, Digest, Hash, expand_label, extract, hmac};
use crate::crypto::record::Cipher;
use crate::crypto::secret::Secret;

/// How secrets are derived from one another: the hash of the cipher suite, and what labels start with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    hash: Hash,
    prefix: &'static str,
}

/// One thing of each side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sides<T> {
    /// The client's.
    pub(super) client: T,
    /// The server's.
    pub(super) server: T,
}

/// What protects the records of one direction and epoch.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct TrafficKeys {
    /// [`Cipher::key_len`] bytes.
    pub(super) key: Secret,
    /// What nonces are made with (RFC 8446, section 5.3).
    pub(super) iv: Zeroizing<[u8; 12]>,
    /// For record numbers (RFC 9147, section 4.2.3): [`Cipher::key_len`] bytes.
    pub(super) sn: Secret,
}

impl Labels {
    /// DTLS 1.3's.
    pub(super) const fn dtls(hash: Hash) -> Self {
        Labels { hash, prefix: DTLS13 }
    }

    /// The suite's hash.
    pub(super) const fn hash(self) -> Hash {
        self.hash
    }

    /// The first stage, from the early secret of no pre-shared key and the secret of the key exchange.
    pub(super) fn handshake(self, shared: &Secret) -> Option<HandshakeSecret> {
        let zeros = self.hash.zeros();
        let early = extract(self.hash, zeros, zeros);
        let salt = self.derived(&early)?;
        Some(HandshakeSecret { labels: self, secret: extract(self.hash, salt.expose(), shared.expose()) })
    }

    /// What a traffic secret gives (RFC 8446, section 7.3; RFC 9147, section 4.2.3).
    pub(super) fn traffic_keys(self, traffic: &Secret, cipher: Cipher) -> Option<TrafficKeys> {
        Some(TrafficKeys {
            key: self.expand(traffic, "key", &[], cipher.key_len())?,
            iv: Zeroizing::new(self.expand(traffic, "iv", &[], 12)?.expose().try_into().ok()?),
            sn: self.expand(traffic, "sn", &[], cipher.key_len())?,
        })
    }

    /// The verify_data of Finished (RFC 8446, section 4.4.4), from its sender's traffic secret of the
    /// handshake and the hash of all messages before it. Comparing it takes constant time.
    pub(super) fn finished(self, traffic: &Secret, transcript: &Digest) -> Option<Secret> {
        let key = self.expand(traffic, "finished", &[], self.hash.len())?;
        Some(hmac(self.hash, key.expose(), &[transcript.as_ref()]))
    }

    /// The traffic secret after this one (RFC 8446, section 7.2).
    pub(super) fn next(self, traffic: &Secret) -> Option<Secret> {
        self.expand(traffic, "traffic upd", &[], self.hash.len())
    }

    /// Derive-Secret (RFC 8446, section 7.1).
    fn derive(self, secret: &Secret, label: &str, transcript: &Digest) -> Option<Secret> {
        self.expand(secret, label, transcript.as_ref(), self.hash.len())
    }

    /// The salt of the stage after this secret's.
    fn derived(self, secret: &Secret) -> Option<Secret> {
        self.derive(secret, "derived", &self.hash.digest(&[]))
    }

    fn expand(self, secret: &Secret, label: &str, context: &[u8], len: usize) -> Option<Secret> {
        expand_label(self.hash, secret.expose(), self.prefix, label, context, len)
    }
}

/// The stage from ServerHello on.
#[derive(Debug)]
pub(super) struct HandshakeSecret {
    labels: Labels,
    secret: Secret,
}

impl HandshakeSecret {
    /// The traffic secrets of the handshake, from the hash of ClientHello to ServerHello.
    pub(super) fn traffic(&self, hellos: &Digest) -> Option<Sides<Secret>> {
        let side = |label| self.labels.derive(&self.secret, label, hellos);
        Some(Sides { client: side("c hs traffic")?, server: side("s hs traffic")? })
    }

    /// The next stage.
    pub(super) fn master(self) -> Option<MasterSecret> {
        let Labels { hash, .. } = self.labels;
        let salt = self.labels.derived(&self.secret)?;
        Some(MasterSecret { labels: self.labels, secret: extract(hash, salt.expose(), hash.zeros()) })
    }
}

/// The stage from the server's Finished on.
#[derive(Debug)]
pub(super) struct MasterSecret {
    labels: Labels,
    secret: Secret,
}

impl MasterSecret {
    /// The first traffic secrets of application data, from the hash of ClientHello to the server's
    /// Finished.
    pub(super) fn traffic(&self, transcript: &Digest) -> Option<Sides<Secret>> {
        let side = |label| self.labels.derive(&self.secret, label, transcript);
        Some(Sides { client: side("c ap traffic")?, server: side("s ap traffic")? })
    }

    /// What exports keying material, from the same hash.
    pub(super) fn exporter(&self, transcript: &Digest) -> Option<Exporter> {
        let secret = self.labels.derive(&self.secret, "exp master", transcript)?;
        Some(Exporter { labels: self.labels, secret })
    }
}

/// The exporter_master_secret.
#[derive(Debug)]
pub(super) struct Exporter {
    labels: Labels,
    secret: Secret,
}

impl Exporter {
    /// One that was given away elsewhere.
    pub(super) fn from_parts(labels: Labels, secret: Secret) -> Self {
        Exporter { labels, secret }
    }

    /// The secret itself.
    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// `len` bytes of keying material (RFC 8446, section 7.5); no context is an empty one. `None` also if
    /// `len` is more than 255 hashes or `label` has more than 249 bytes.
    pub(super) fn export(&self, label: &str, context: &[u8], len: usize) -> Option<Secret> {
        let Labels { hash, .. } = self.labels;
        let secret = self.labels.derive(&self.secret, label, &hash.digest(&[]))?;
        self.labels.expand(&secret, "exporter", hash.digest(context).as_ref(), len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::exchange::{Draws, Group, KeyPair};
    use crate::crypto::keying::{TLS13, Transcript};
    use crate::crypto::record::RecordKey;
    use crate::crypto::vectors;

    const RFC_8448: &str = include_str!("../../../tests/data/vectors/rfc8448.json");
    const TLS: Labels = Labels { hash: Hash::Sha256, prefix: TLS13 };

    struct Trace(serde_json::Value);

    impl Trace {
        fn bytes(&self, name: &str) -> Vec<u8> {
            vectors::bytes(&self.0[name])
        }

        fn assert(&self, name: &str, secret: &Secret) {
            assert_eq!(secret.expose(), self.bytes(name), "{name}");
        }

        fn assert_keys(&self, name: &str, traffic: &Secret) {
            let keys = TLS.traffic_keys(traffic, Cipher::Aes128Gcm).unwrap();
            self.assert(&format!("{name}_key"), &keys.key);
            assert_eq!(keys.iv[..], self.bytes(&format!("{name}_iv")), "{name}");
        }
    }

    /// RFC 8448, section 3: every secret, key and Finished, from the secret of the key exchange on.
    #[test]
    fn rfc_8448_simple_1_rtt_handshake() {
        let trace = Trace(vectors::parse(RFC_8448));
        let mut transcript = Transcript::new(Hash::Sha256);
        transcript.update(&trace.bytes("client_hello"));
        transcript.update(&trace.bytes("server_hello"));
        let hellos = transcript.finish();
        assert_eq!(hellos.as_ref(), trace.bytes("hash_to_server_hello"));
        trace.assert("early_secret", &extract(TLS.hash, TLS.hash.zeros(), TLS.hash.zeros()));

        let handshake = TLS.handshake(&Secret::new(&trace.bytes("shared_secret"))).unwrap();
        trace.assert("handshake_secret", &handshake.secret);
        let during = handshake.traffic(&hellos).unwrap();
        trace.assert("client_handshake_traffic_secret", &during.client);
        trace.assert("server_handshake_traffic_secret", &during.server);
        trace.assert_keys("client_handshake", &during.client);
        trace.assert_keys("server_handshake", &during.server);

        let flight = trace.bytes("server_flight");
        // Finished is its last message, with a head of four bytes.
        let (before, finished) = flight.split_at(flight.len() - 36);
        transcript.update(before);
        let verify_data = TLS.finished(&during.server, &transcript.finish()).unwrap();
        trace.assert("server_finished", &verify_data);
        assert_eq!(verify_data.expose(), &finished[4..]);
        transcript.update(finished);
        let whole = transcript.finish();
        assert_eq!(whole.as_ref(), trace.bytes("hash_to_server_finished"));
        trace.assert("client_finished", &TLS.finished(&during.client, &whole).unwrap());

        let master = handshake.master().unwrap();
        trace.assert("master_secret", &master.secret);
        let after = master.traffic(&whole).unwrap();
        trace.assert("client_application_traffic_secret", &after.client);
        trace.assert("server_application_traffic_secret", &after.server);
        trace.assert_keys("client_application", &after.client);
        trace.assert_keys("server_application", &after.server);
        trace.assert("exporter_master_secret", &master.exporter(&whole).unwrap().secret);
    }

    /// RFC 8448, section 3: the record of the client's Finished opens with the keys derived.
    #[test]
    fn rfc_8448_a_record_opens() {
        let trace = Trace(vectors::parse(RFC_8448));
        let secret = Secret::new(&trace.bytes("client_handshake_traffic_secret"));
        let keys = TLS.traffic_keys(&secret, Cipher::Aes128Gcm).unwrap();
        let key = RecordKey::new(Cipher::Aes128Gcm, keys.key.expose()).unwrap();
        let record = trace.bytes("client_finished_record");
        let (head, rest) = record.split_at(5);
        let (text, tag) = rest.split_at(rest.len() - 16);
        let mut text = text.to_vec();
        assert!(key.open(*keys.iv, head, &mut text, tag.try_into().unwrap()));
        assert_eq!(text, [&[20, 0, 0, 32], &trace.bytes("client_finished")[..], &[22]].concat());
    }

    #[test]
    fn both_sides_of_an_exchange_come_to_the_same_secrets() {
        let client = KeyPair::generate(Group::X25519MlKem768, &mut Draws::System).unwrap();
        let (share, theirs) =
            crate::crypto::exchange::answer(client.group(), client.share(), &mut Draws::System).unwrap();
        let ours = client.agree(&share).unwrap();
        for hash in [Hash::Sha256, Hash::Sha384] {
            let traffic = |shared| {
                let handshake = Labels::dtls(hash).handshake(shared).unwrap();
                (handshake.traffic(&hash.digest(b"a")).unwrap(), handshake.master().unwrap().secret)
            };
            assert!(traffic(&ours) == traffic(&theirs));
            assert_eq!(traffic(&ours).0.client.expose().len(), hash.len());
        }
    }

    #[test]
    fn every_name_gives_another_secret() {
        let labels = Labels::dtls(Hash::Sha384);
        let transcript = Hash::Sha384.digest(b"messages");
        let handshake = labels.handshake(&Secret::new(&[1; 32])).unwrap();
        let during = handshake.traffic(&transcript).unwrap();
        let master = handshake.master().unwrap();
        let after = master.traffic(&transcript).unwrap();
        let exporter = master.exporter(&transcript).unwrap();
        let keys = labels.traffic_keys(&after.client, Cipher::Aes256Gcm).unwrap();
        let all = [
            labels.finished(&during.client, &transcript).unwrap(),
            labels.next(&after.client).unwrap(),
            labels.next(&labels.next(&after.client).unwrap()).unwrap(),
            exporter.export("EXTRACTOR-dtls_srtp", &[], 48).unwrap(),
            exporter.export("EXTRACTOR-dtls_srtp", &[0], 48).unwrap(),
            exporter.export("another", &[], 48).unwrap(),
            keys.key,
            keys.sn,
            master.secret,
            exporter.secret,
            during.client,
            during.server,
            after.client,
            after.server,
        ];
        for (at, secret) in all.iter().enumerate() {
            assert!(!all.iter().skip(at + 1).any(|other| other == secret));
        }
    }

    #[test]
    fn keys_have_the_length_of_their_cipher() {
        for (cipher, len) in
            [(Cipher::Aes128Gcm, 16), (Cipher::Aes256Gcm, 32), (Cipher::ChaCha20Poly1305, 32)]
        {
            let labels = Labels::dtls(Hash::Sha256);
            let keys = labels.traffic_keys(&Secret::new(&[1; 32]), cipher).unwrap();
            assert_eq!((keys.key.expose().len(), keys.sn.expose().len()), (len, len));
        }
    }
}
