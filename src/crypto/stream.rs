//! AES in counter mode: the keystream of SRTP's AES-CM and of its key derivation.
//!
//! RustCrypto: the expanded key is borrowed by a counter of each packet, which costs a third less
//! than cloning it and half of expanding it.

use aes::cipher::inout::InOutBuf;
use aes::cipher::typenum::U16;
use aes::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit as _, KeyInit, StreamCipherCore as _};
use aes::{Aes128Enc, Aes256Enc};
use ctr::{CtrCore, flavors::Ctr32BE};

/// Bytes of keystream under one initial counter: its last 16 bits count blocks (RFC 3711, section
/// 4.1.1); going on would repeat another packet's keystream.
const LONGEST: usize = 1 << 20;

/// An expanded AES-128 key, which wipes itself.
pub(crate) struct CmKey(Aes128Enc);

impl CmKey {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        CmKey(Aes128Enc::new(key.into()))
    }

    /// Applies the keystream that starts at the counter `iv`, whose last 16 bits are zero, to
    /// `text` where it lies. Refuses what is longer than the counter reaches, 1 MiB.
    #[inline]
    #[must_use]
    pub(crate) fn apply(&self, iv: [u8; 16], text: &mut [u8]) -> bool {
        self.run(iv, text.into())
    }

    /// The same from `source` to `target`, which must have the same length.
    #[inline]
    #[must_use]
    pub(crate) fn apply_into(&self, iv: [u8; 16], source: &[u8], target: &mut [u8]) -> bool {
        InOutBuf::new(source, target).is_ok_and(|buf| self.run(iv, buf))
    }

    #[inline]
    fn run(&self, iv: [u8; 16], buf: InOutBuf<'_, '_, u8>) -> bool {
        let counter = CtrCore::<&Aes128Enc, Ctr32BE>::inner_iv_init(&self.0, &iv.into());
        buf.len() <= LONGEST && counter.try_apply_keystream_partial(buf).is_ok()
    }
}

/// Fills `out` with the keystream of `key` (16 or 32 bytes) from the counter `iv` on; `false` for
/// other keys. For derivations: the key is expanded and forgotten.
#[must_use]
pub(crate) fn keystream(key: &[u8], iv: [u8; 16], out: &mut [u8]) -> bool {
    match key.len() {
        16 => keystream_of::<Aes128Enc>(key, iv, out),
        32 => keystream_of::<Aes256Enc>(key, iv, out),
        _ => false,
    }
}

/// The same with a cipher of one's own.
#[must_use]
pub(crate) fn keystream_of<C>(key: &[u8], iv: [u8; 16], out: &mut [u8]) -> bool
where
    C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    out.fill(0);
    C::new_from_slice(key).is_ok_and(|key| {
        let counter = CtrCore::<C, Ctr32BE>::inner_iv_init(key, &iv.into());
        counter.try_apply_keystream_partial(out.into()).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captures::{hex, vectors};

    fn blocks(case: &serde_json::Value, keystream: &[u8]) {
        for block in case["blocks"].as_array().unwrap() {
            let at = block["counter"].as_u64().unwrap() as usize * 16;
            assert_eq!(keystream[at..at + 16], hex(&block["keystream"]));
        }
    }

    #[test]
    fn rfc_3711_b_2_keystream_up_to_the_last_blocks() {
        let case = &vectors("rfc3711")["B.2 aes_cm_keystream"];
        let key = CmKey::new(&hex(&case["session_key"]).try_into().unwrap());
        let iv = hex(&case["session_salt_shifted"]).try_into().unwrap();
        let mut text = vec![0; LONGEST];
        assert!(key.apply(iv, &mut text));
        blocks(case, &text);
        let mut copy = vec![0; LONGEST];
        assert!(key.apply_into(iv, &text, &mut copy));
        assert!(copy.iter().all(|byte| *byte == 0));
    }

    fn rfc_6188_keystream<C>(at: usize, section: &str)
    where
        C: KeyInit + BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
    {
        let case = &vectors("rfc6188")["keystream"][at];
        assert!(case["section"].as_str().unwrap().starts_with(section));
        let iv = hex(&case["session_salt_shifted"]).try_into().unwrap();
        let mut text = vec![0; LONGEST];
        assert!(keystream_of::<C>(&hex(&case["session_key"]), iv, &mut text));
        blocks(case, &text);
    }

    #[test]
    fn rfc_6188_7_1_keystream_of_256_bits() {
        rfc_6188_keystream::<Aes256Enc>(0, "RFC 6188 7.1");
    }

    /// No profile here has such keys: the counter is what is tested.
    #[test]
    fn rfc_6188_7_3_keystream_of_192_bits() {
        rfc_6188_keystream::<aes::Aes192Enc>(1, "RFC 6188 7.3");
    }

    #[test]
    fn a_counter_never_runs_into_the_next_packet() {
        let key = CmKey::new(&[1; 16]);
        assert!(!key.apply([0; 16], &mut vec![0; LONGEST + 1]));
        assert!(!key.apply_into([0; 16], &[0; 4], &mut [0; 5]));
        assert!(!keystream(&[0; 24], [0; 16], &mut [0; 4]));
    }
}
