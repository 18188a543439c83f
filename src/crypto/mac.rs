//! HMAC-SHA1 (RFC 2104): SRTP's tag of the AES-CM profile and STUN's MESSAGE-INTEGRITY.
//!
//! RustCrypto's compression function, the fastest of the three measured, over two prepared states.
//! Its own HMAC type gives the same tags in 128 bytes instead of 40 and takes 30 % longer for a
//! packet of audio.

use sha1::block_api::compress;
use zeroize::ZeroizeOnDrop;

/// Bytes of a tag.
pub(crate) const TAG: usize = 20;

/// Bytes that SHA-1 compresses at once.
const BLOCK: usize = 64;

/// The state of SHA-1 before its first block (FIPS 180-4, section 5.3.1).
const START: [u32; 5] = [
    0x6745_2301,
    0xefcd_ab89,
    0x98ba_dcfe,
    0x1032_5476,
    0xc3d2_e1f0,
];

/// A key as the two states behind its padded blocks; wipes itself.
#[derive(Clone, ZeroizeOnDrop)]
pub(crate) struct HmacSha1 {
    inner: [u32; 5],
    outer: [u32; 5],
}

impl HmacSha1 {
    /// Any length of key is legal (RFC 2104, section 3).
    pub(crate) fn new(key: &[u8]) -> Self {
        let mut padded = zeroize::Zeroizing::new([0; BLOCK]);
        if let Some(place) = padded.get_mut(..key.len()) {
            place.copy_from_slice(key);
        } else {
            let mut sha1 = Sha1::new(START, 0);
            sha1.update(key);
            // A digest is shorter than a block: `zip` meets the end of the digest.
            padded
                .iter_mut()
                .zip(sha1.finish())
                .for_each(|(to, byte)| *to = byte);
        }
        let state = |pad: u8| {
            let mut state = START;
            compress(&mut state, &[padded.map(|byte| byte ^ pad)]);
            state
        };
        HmacSha1 {
            inner: state(0x36),
            outer: state(0x5c),
        }
    }

    /// The full tag over the pieces in their order.
    #[inline]
    pub(crate) fn tag(&self, pieces: &[&[u8]]) -> [u8; TAG] {
        let mut inner = Sha1::new(self.inner, BLOCK);
        for piece in pieces {
            inner.update(piece);
        }
        let mut outer = Sha1::new(self.outer, BLOCK);
        outer.update(&inner.finish());
        outer.finish()
    }
}

/// SHA-1 from a given state on.
struct Sha1 {
    state: [u32; 5],
    /// The bytes not yet compressed: the first `total % BLOCK` of it.
    block: [u8; BLOCK],
    total: usize,
}

impl Sha1 {
    /// `total` bytes, a multiple of a block, went into `state`.
    #[inline]
    fn new(state: [u32; 5], total: usize) -> Self {
        Sha1 {
            state,
            block: [0; BLOCK],
            total,
        }
    }

    #[inline]
    fn update(&mut self, mut bytes: &[u8]) {
        let filled = self.total % BLOCK;
        self.total = self.total.wrapping_add(bytes.len());
        if filled > 0 {
            let (_, free) = self.block.split_at_mut(filled);
            let Some((head, rest)) = bytes.split_at_checked(free.len()) else {
                free.iter_mut()
                    .zip(bytes)
                    .for_each(|(to, byte)| *to = *byte);
                return;
            };
            free.copy_from_slice(head);
            compress(&mut self.state, &[self.block]);
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks();
        compress(&mut self.state, blocks);
        // `rest` is shorter than a block.
        self.block.split_at_mut(rest.len()).0.copy_from_slice(rest);
    }

    /// Pads (FIPS 180-4, section 5.1.1) and returns the digest.
    #[inline]
    fn finish(mut self) -> [u8; TAG] {
        let (_, free) = self.block.split_at_mut(self.total % BLOCK);
        free.fill(0);
        if let Some(end) = free.first_mut() {
            *end = 0x80;
        }
        if free.len() < 9 {
            compress(&mut self.state, &[self.block]);
            self.block = [0; BLOCK];
        }
        let bits = (self.total as u64).wrapping_mul(8);
        if let Some(length) = self.block.last_chunk_mut() {
            *length = bits.to_be_bytes();
        }
        compress(&mut self.state, &[self.block]);
        let mut digest = [0; TAG];
        for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(self.state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc_2202_case_2_in_pieces() {
        let tag = HmacSha1::new(b"Jefe").tag(&[b"what do ya want ", b"for nothing?"]);
        let whole = crate::crypto::tests::bytes("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(tag[..], whole);
    }

    proptest! {
        #[test]
        fn tags_are_those_of_the_reference(
            key in proptest::collection::vec(any::<u8>(), 0..200),
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5),
        ) {
            let mut reference = Hmac::<sha1::Sha1>::new_from_slice(&key).unwrap();
            pieces.iter().for_each(|piece| reference.update(piece));
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(
                HmacSha1::new(&key).tag(&pieces),
                <[u8; TAG]>::from(reference.finalize().into_bytes())
            );
        }
    }
}
