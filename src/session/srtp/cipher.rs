//! The prepared session keys of one direction and one kind of packets.

use zeroize::Zeroizing;

use super::cm::Cm;
use super::error::{OpenError, SealError};
use super::gcm::Gcm;
use super::profile::{MasterKey, Profile};
use crate::crypto::stream::keystream;
use crate::wire::rtp::Ssrc;

/// The part of an RTCP packet that stays clear: the first header with the sender's SSRC.
pub(super) const RTCP_HEADER: usize = 8;

/// Whose keys: the two kinds of packets never share one. The values are the first of the three
/// labels of each, in the order of key, authentication key, salt (RFC 3711, section 4.3.2).
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Rtp = 0,
    Rtcp = 3,
}

/// One of the two transforms, which know bytes and numbers but keep no state.
// An indirection to the larger variant, the usual one, would cost a cache miss a packet.
#[allow(clippy::large_enum_variant)]
pub(super) enum Cipher {
    Gcm(Gcm),
    Cm(Cm),
}

impl Cipher {
    pub(super) fn derive(master: &MasterKey, kind: Kind) -> Cipher {
        // `MasterKey` exists only with its profile's lengths, and of those every step knows what
        // to make.
        #[allow(clippy::expect_used)]
        Cipher::try_derive(master, kind as u8).expect("a master key has its profile's lengths")
    }

    fn try_derive(master: &MasterKey, first_label: u8) -> Option<Cipher> {
        let mut salt = Zeroizing::new([0; 14]);
        let salt = salt.get_mut(..master.salt().len())?;
        derive(master, first_label + 2, salt)?;
        // As a number: both transforms add the SSRC and the index to it, exclusively.
        let salt = Zeroizing::new(salt.iter().fold(0, |number, byte| number << 8 | u128::from(*byte)));
        match master.profile() {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => {
                let mut key = Zeroizing::new([0; 32]);
                let key = key.get_mut(..master.key().len())?;
                derive(master, first_label, key)?;
                Some(Cipher::Gcm(Gcm::new(key, salt)?))
            }
            profile @ (Profile::Aes128CmHmacSha1_80 | Profile::Aes128CmHmacSha1_32) => {
                let mut key = Zeroizing::new([0; 16]);
                derive(master, first_label, &mut *key)?;
                let mut authentication = Zeroizing::new([0; 20]);
                derive(master, first_label + 1, &mut *authentication)?;
                let short = profile == Profile::Aes128CmHmacSha1_32;
                Some(Cipher::Cm(Cm::new(&key, &*authentication, salt, short)))
            }
        }
    }

    /// Seals header | plaintext | room for the tag, the exact packet.
    #[inline]
    pub(super) fn seal_rtp(
        &self,
        ssrc: Ssrc,
        index: u64,
        header_len: usize,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        match self {
            Cipher::Gcm(gcm) => gcm.seal_rtp(ssrc, index, header_len, packet),
            Cipher::Cm(cm) => cm.seal_rtp(ssrc, index, header_len, packet),
        }
    }

    /// Opens header | ciphertext | tag; `out` gets the plaintext, whose length is returned.
    #[inline]
    pub(super) fn open_rtp(
        &self,
        ssrc: Ssrc,
        index: u64,
        header_len: usize,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, OpenError> {
        match self {
            Cipher::Gcm(gcm) => gcm.open_rtp(ssrc, index, header_len, packet, out),
            Cipher::Cm(cm) => cm.open_rtp(ssrc, index, header_len, packet, out),
        }
    }

    /// Seals the same under Cryptex, with `csrc_len` bytes of contributing sources and a header
    /// extension whose profile tells so already.
    pub(super) fn seal_cryptex(
        &self,
        ssrc: Ssrc,
        index: u64,
        csrc_len: usize,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        match self {
            Cipher::Gcm(gcm) => gcm.seal_cryptex(ssrc, index, csrc_len, packet),
            Cipher::Cm(cm) => cm.seal_cryptex(ssrc, index, csrc_len, packet),
        }
    }

    /// Opens a Cryptex packet; `out` gets all of it but the tag, whose length is returned.
    pub(super) fn open_cryptex(
        &self,
        ssrc: Ssrc,
        index: u64,
        csrc_len: usize,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, OpenError> {
        match self {
            Cipher::Gcm(gcm) => gcm.open_cryptex(ssrc, index, csrc_len, packet, out),
            Cipher::Cm(cm) => cm.open_cryptex(ssrc, index, csrc_len, packet, out),
        }
    }

    /// Seals header | plaintext | room for tag and trailer, the exact packet.
    pub(super) fn seal_rtcp(&self, ssrc: Ssrc, index: u32, packet: &mut [u8]) -> Result<(), SealError> {
        match self {
            Cipher::Gcm(gcm) => gcm.seal_rtcp(ssrc, index, packet),
            Cipher::Cm(cm) => cm.seal_rtcp(ssrc, index, packet),
        }
    }

    /// Opens a control packet; `out` gets header and plaintext, whose length is returned.
    pub(super) fn open_rtcp(
        &self,
        ssrc: Ssrc,
        index: u32,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, OpenError> {
        match self {
            Cipher::Gcm(gcm) => gcm.open_rtcp(ssrc, index, packet, out),
            Cipher::Cm(cm) => cm.open_rtcp(ssrc, index, packet, out),
        }
    }

    /// The index that a control packet claims, before anything is proved.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, OpenError> {
        let trailer = match self {
            Cipher::Gcm(_) => Gcm::rtcp_trailer(packet),
            Cipher::Cm(_) => Cm::rtcp_trailer(packet),
        };
        let trailer = u32::from_be_bytes(*trailer.ok_or(OpenError::TooShort)?);
        let index = trailer & !ENCRYPTED;
        if trailer == index { Err(OpenError::Unencrypted) } else { Ok(index) }
    }
}

/// The bit of a control packet's trailer that tells that it is encrypted (RFC 3711, section 3.4).
const ENCRYPTED: u32 = 1 << 31;

/// The trailer of an encrypted control packet.
pub(super) fn rtcp_trailer(index: u32) -> [u8; 4] {
    (ENCRYPTED | index).to_be_bytes()
}

/// What makes a packet's keystream its own: SSRC and index over the salt (RFC 3711, section 4.1.1;
/// RFC 7714, sections 8.1 and 9.1, where the octets are in the same places).
#[inline]
pub(super) fn nonce(salt: u128, ssrc: Ssrc, index: u64) -> u128 {
    salt ^ u128::from(ssrc.0) << 48 ^ u128::from(index)
}

/// RFC 3711, section 4.3.1, with a derivation rate of zero; a salt of twelve bytes gets two zeros
/// behind it (RFC 7714, section 11).
fn derive(master: &MasterKey, label: u8, out: &mut [u8]) -> Option<()> {
    keystream(master.key(), derivation_counter(master.salt(), label)?, out).then_some(())
}

fn derivation_counter(master_salt: &[u8], label: u8) -> Option<[u8; 16]> {
    let mut salt = [0; 16];
    salt.get_mut(..master_salt.len())?.copy_from_slice(master_salt);
    Some((u128::from_be_bytes(salt) ^ u128::from(label) << 64).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::captures::{hex, vectors};

    fn derived(master: &MasterKey, label: &Value, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        derive(master, label.as_u64().unwrap() as u8, &mut out).unwrap();
        out
    }

    #[test]
    fn rfc_3711_b_3_key_derivation() {
        let case = &vectors("rfc3711")["B.3 key_derivation"];
        let (key, salt) = (hex(&case["master_key"]), hex(&case["master_salt"]));
        let master = MasterKey::new(Profile::Aes128CmHmacSha1_80, &key, &salt).unwrap();
        let lists = ["derived", "further_labels_not_printed"];
        for one in lists.iter().flat_map(|list| case[list].as_array().unwrap()) {
            let value = hex(&one["value"]);
            assert_eq!(derived(&master, &one["label"], value.len()), value, "{}", one["name"]);
        }
    }

    /// No profile here has such master keys with a salt of 14 bytes: the seam is asked.
    fn rfc_6188(at: usize, section: &str, stream: fn(&[u8], [u8; 16], &mut [u8]) -> bool) {
        let case = &vectors("rfc6188")["key_derivation"][at];
        assert!(case["section"].as_str().unwrap().starts_with(section));
        let (key, salt) = (hex(&case["master_key"]), hex(&case["master_salt"]));
        for one in case["derived"].as_array().unwrap() {
            let value = hex(&one["value"]);
            let mut out = vec![0; value.len()];
            let counter = derivation_counter(&salt, one["label"].as_u64().unwrap() as u8).unwrap();
            assert!(stream(&key, counter, &mut out));
            assert_eq!(out, value, "label {}", one["label"]);
        }
    }

    #[test]
    fn rfc_6188_7_2_key_derivation_of_256_bits() {
        rfc_6188(0, "RFC 6188 7.2", keystream);
    }

    #[test]
    fn rfc_6188_7_4_key_derivation_of_192_bits() {
        rfc_6188(1, "RFC 6188 7.4", crate::crypto::stream::keystream_of::<aes::Aes192Enc>);
    }

    #[test]
    fn rfc_7714_session_keys() {
        for case in vectors("rfc7714")["sessions"].as_array().unwrap() {
            let (key, salt) = (hex(&case["master_key"]), hex(&case["master_salt"]));
            let profile = match key.len() {
                16 => Profile::AeadAes128Gcm,
                _ => Profile::AeadAes256Gcm,
            };
            let master = MasterKey::new(profile, &key, &salt).unwrap();
            let names = [(0, "srtp_key"), (2, "srtp_salt"), (3, "srtcp_key"), (5, "srtcp_salt")];
            for (label, name) in names {
                let value = hex(&case["session_keys"][name]);
                assert_eq!(derived(&master, &label.into(), value.len()), value, "{name}");
            }
        }
    }
}
