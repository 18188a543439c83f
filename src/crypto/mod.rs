//! Floor 2: one seam to the cryptographic providers, which know nothing of packets.
//!
//! Four operations from a source slice to a destination slice: seal and open (`aead`), keystream
//! (`stream`), mac (`mac`). One file per operation, its provider chosen by bench.
//!
//! A handshake's: key exchange (`exchange`), signatures (`signing`), hashes and derivation (`keying`),
//! records (`record`), all of one provider.

pub(crate) mod aead;
pub(crate) mod digest;
pub(crate) mod exchange;
pub(crate) mod keying;
pub(crate) mod mac;
pub(crate) mod record;
pub(crate) mod secret;
pub(crate) mod signing;
pub(crate) mod stream;
#[cfg(test)]
pub(crate) mod vectors;
pub(crate) mod work;
