//! What 1.2 derives with its PRF (RFC 5246): master secret, keys, Finished and exported material.
//!
//! `None` anywhere means that the provider failed: no length here is a peer's choice.

use zeroize::Zeroizing;

use super::schedule::Sides;
use crate::crypto::keying::{Digest, Hash, prf};
use crate::crypto::record::Cipher;
use crate::crypto::secret::Secret;

/// Bytes of a master secret.
const MASTER: usize = 48;
/// Bytes of verify_data (RFC 5246, section 7.4.9).
pub(super) const VERIFY_DATA: usize = 12;

/// The master secret of a handshake, with what both sides put into their hellos.
#[derive(Debug)]
pub(super) struct Master {
    hash: Hash,
    secret: Secret,
    randoms: Sides<[u8; 32]>,
}

/// What protects the records of one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WriteKeys {
    /// [`Cipher::key_len`] bytes.
    pub(super) key: Secret,
    /// [`iv_len`] bytes.
    pub(super) iv: Secret,
}

/// Bytes of a nonce that the key block gives: the implicit part of AES-GCM's (RFC 5288, section 3), all
/// of ChaCha20-Poly1305's (RFC 7905, section 2).
pub(super) const fn iv_len(cipher: Cipher) -> usize {
    match cipher {
        Cipher::Aes128Gcm | Cipher::Aes256Gcm => 4,
        Cipher::ChaCha20Poly1305 => 12,
    }
}

impl Master {
    /// The extended master secret (RFC 7627, section 4), from the secret of the key exchange and the hash of
    /// ClientHello to ClientKeyExchange, both whole.
    pub(super) fn extended(
        hash: Hash,
        shared: &Secret,
        session: &Digest,
        randoms: Sides<[u8; 32]>,
    ) -> Option<Self> {
        let secret = prf(hash, shared.expose(), "extended master secret", &[session.as_ref()], MASTER)?;
        Some(Master { hash, secret, randoms })
    }

    /// One that was given away elsewhere.
    pub(super) fn from_parts(hash: Hash, secret: Secret, randoms: Sides<[u8; 32]>) -> Self {
        Master { hash, secret, randoms }
    }

    /// The suite's hash.
    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    /// The secret itself.
    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What both sides put into their hellos.
    pub(super) fn randoms(&self) -> &Sides<[u8; 32]> {
        &self.randoms
    }

    /// The keys of both directions (RFC 5246, section 6.3): AEAD has none for MACs.
    pub(super) fn write_keys(&self, cipher: Cipher) -> Option<Sides<WriteKeys>> {
        let (key, iv) = (cipher.key_len(), iv_len(cipher));
        let Sides { client, server } = &self.randoms;
        let block = self.prf("key expansion", &[server, client], 2 * (key + iv))?;
        let (client_key, rest) = block.expose().split_at_checked(key)?;
        let (server_key, rest) = rest.split_at_checked(key)?;
        let (client_iv, server_iv) = rest.split_at_checked(iv)?;
        let keys = |key, iv| WriteKeys { key: Secret::new(key), iv: Secret::new(iv) };
        Some(Sides { client: keys(client_key, client_iv), server: keys(server_key, server_iv) })
    }

    /// The verify_data of each side's Finished (RFC 5246, section 7.4.9), each over the hash of all messages
    /// before it.
    pub(super) fn client_finished(&self, transcript: &Digest) -> Option<Zeroizing<[u8; VERIFY_DATA]>> {
        self.finished("client finished", transcript)
    }

    /// The server's.
    pub(super) fn server_finished(&self, transcript: &Digest) -> Option<Zeroizing<[u8; VERIFY_DATA]>> {
        self.finished("server finished", transcript)
    }

    fn finished(&self, label: &str, transcript: &Digest) -> Option<Zeroizing<[u8; VERIFY_DATA]>> {
        let verify_data = self.prf(label, &[transcript.as_ref()], VERIFY_DATA)?;
        Some(Zeroizing::new(verify_data.expose().try_into().ok()?))
    }

    /// `len` bytes of keying material (RFC 5705, section 4). No context is not an empty one. `None` also if
    /// the context has more than 65,535 bytes or `len` is 0.
    pub(super) fn export(&self, label: &str, context: Option<&[u8]>, len: usize) -> Option<Secret> {
        let Sides { client, server } = &self.randoms;
        match context {
            None => self.prf(label, &[client, server], len),
            Some(context) => {
                let told = u16::try_from(context.len()).ok()?.to_be_bytes();
                self.prf(label, &[client, server, &told, context], len)
            }
        }
    }

    fn prf(&self, label: &str, seeds: &[&[u8]], len: usize) -> Option<Secret> {
        prf(self.hash, self.secret.expose(), label, seeds, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::vectors;

    const TLS12: &str = include_str!("../../../tests/data/vectors/tls12.json");

    fn master() -> (Master, Vec<u8>) {
        let case = &vectors::parse(TLS12)["key_expansion"];
        let field = |name: &str| vectors::bytes(&case[name]);
        let randoms = Sides {
            client: field("client_random").try_into().unwrap(),
            server: field("server_random").try_into().unwrap(),
        };
        let master = Master { hash: Hash::Sha256, secret: Secret::new(&field("master")), randoms };
        (master, field("key_block"))
    }

    /// NIST's key block has no MAC keys in it of ours: it is cut in another way.
    #[test]
    fn nist_key_expansion_cut_for_every_cipher() {
        let (master, block) = master();
        for cipher in [Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
            let Sides { client, server } = master.write_keys(cipher).unwrap();
            let whole = [&client.key, &server.key, &client.iv, &server.iv].map(Secret::expose).concat();
            assert_eq!(whole, block[..whole.len()]);
            for keys in [client, server] {
                assert_eq!(keys.key.expose().len(), cipher.key_len());
                assert_eq!(keys.iv.expose().len(), iv_len(cipher));
            }
        }
    }

    /// Seeds as the RFCs write them, byte by byte.
    #[test]
    fn every_seed_has_the_order_of_its_rfc() {
        let (master, _) = master();
        let (client, server) = (&master.randoms.client[..], &master.randoms.server[..]);
        let expected =
            |label, seed: &[u8], len| prf(Hash::Sha256, master.secret.expose(), label, &[seed], len).unwrap();
        let transcript = Hash::Sha256.digest(b"messages");

        let finished = master.client_finished(&transcript).unwrap();
        assert_eq!(finished[..], *expected("client finished", transcript.as_ref(), 12).expose());
        let finished = master.server_finished(&transcript).unwrap();
        assert_eq!(finished[..], *expected("server finished", transcript.as_ref(), 12).expose());

        let exported = master.export("EXTRACTOR-dtls_srtp", None, 56).unwrap();
        assert!(exported == expected("EXTRACTOR-dtls_srtp", &[client, server].concat(), 56));
        let exported = master.export("label", Some(b"abc"), 20).unwrap();
        assert!(exported == expected("label", &[client, server, &[0, 3], b"abc"].concat(), 20));
        assert!(master.export("label", Some(&[]), 20) != master.export("label", None, 20));
        assert!(master.export("label", Some(&[0; 65_536]), 20).is_none());

        let shared = Secret::new(&[5; 32]);
        let randoms = master.randoms.clone();
        let extended = Master::extended(Hash::Sha384, &shared, &transcript, randoms).unwrap();
        let seed = [transcript.as_ref()];
        let expected = prf(Hash::Sha384, &[5; 32], "extended master secret", &seed, 48).unwrap();
        assert!(extended.secret == expected);
    }
}
