//! Floor 2: one seam to the cryptographic providers, which know nothing of packets.
//!
//! Four operations from a source slice to a destination slice: seal and open (`aead`), keystream
//! (`stream`), mac (`mac`). One file per operation, its provider chosen by bench.

pub(crate) mod aead;
pub(crate) mod digest;
pub(crate) mod mac;
pub(crate) mod secret;
pub(crate) mod stream;
pub(crate) mod work;
