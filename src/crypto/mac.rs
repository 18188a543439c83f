//! HMAC-SHA1: SRTP's tag of the AES-CM profiles and STUN's MESSAGE-INTEGRITY.
//!
//! RustCrypto: with the keyed states prepared once it is the fastest of the three measured.

use super::work;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// A key with both padded blocks already hashed; a tag costs a clone of two states.
#[derive(Clone)]
pub(crate) struct HmacSha1(Hmac<Sha1>);

impl HmacSha1 {
    /// Any length of key is legal (RFC 2104, section 3).
    pub(crate) fn new(key: &[u8]) -> Self {
        // `new_from_slice` fails for fixed-length keys only; HMAC hashes what is too long.
        HmacSha1(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The full tag over the pieces in their order.
    pub(crate) fn tag(&self, pieces: &[&[u8]]) -> [u8; 20] {
        work::pay();
        let mut mac = self.0.clone();
        for piece in pieces {
            mac.update(piece);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_2202_case_2_in_pieces() {
        let tag = HmacSha1::new(b"Jefe").tag(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(tag[..4], [0xef, 0xfc, 0xdf, 0x6a]);
    }
}
