//! Protection profiles and the master keys that belong to them.

use super::error::KeyError;
use crate::crypto::secret::Secret;

/// What DTLS-SRTP negotiates: cipher, tag and the lengths of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AES-128 in GCM with tags of 16 bytes (RFC 7714): the fastest, a quarter of AES-CM's cost.
    AeadAes128Gcm,
    /// AES-256 in GCM with tags of 16 bytes (RFC 7714), 5 % dearer.
    AeadAes256Gcm,
    /// AES-128 in counter mode, HMAC-SHA1 tags of 10 bytes (RFC 3711): what everyone must support.
    Aes128CmHmacSha1_80,
    /// The same with tags of 4 bytes on RTP and of 10 on RTCP (RFC 5764, section 4.1.2). One forged
    /// packet in 2^32 passes: for audio where nothing else is offered, never for video.
    Aes128CmHmacSha1_32,
}

impl Profile {
    /// Every profile, the one to prefer first.
    pub const ALL: [Profile; 4] = [
        Profile::AeadAes128Gcm,
        Profile::AeadAes256Gcm,
        Profile::Aes128CmHmacSha1_80,
        Profile::Aes128CmHmacSha1_32,
    ];

    /// The profile of a DTLS-SRTP identifier (IANA registry of RFC 5764, section 4.1.2).
    pub fn from_dtls_id(id: u16) -> Option<Profile> {
        Profile::ALL.into_iter().find(|profile| profile.dtls_id() == id)
    }

    /// Its identifier in the `use_srtp` extension of DTLS.
    pub const fn dtls_id(self) -> u16 {
        match self {
            Profile::Aes128CmHmacSha1_80 => 0x0001,
            Profile::Aes128CmHmacSha1_32 => 0x0002,
            Profile::AeadAes128Gcm => 0x0007,
            Profile::AeadAes256Gcm => 0x0008,
        }
    }

    /// Bytes of a master key.
    pub const fn key_len(self) -> usize {
        match self {
            Profile::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of a master salt.
    pub const fn salt_len(self) -> usize {
        match self {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 12,
            Profile::Aes128CmHmacSha1_80 | Profile::Aes128CmHmacSha1_32 => 14,
        }
    }

    /// Bytes that sealing adds to an RTP packet: the tag.
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 16,
            Profile::Aes128CmHmacSha1_80 => 10,
            Profile::Aes128CmHmacSha1_32 => 4,
        }
    }

    /// Bytes that sealing adds to an RTCP packet: the tag, never shortened, and the index.
    pub const fn rtcp_overhead(self) -> usize {
        match self {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => 20,
            Profile::Aes128CmHmacSha1_80 | Profile::Aes128CmHmacSha1_32 => 14,
        }
    }
}

/// One direction's master key and salt under their profile; wiped on drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKey {
    profile: Profile,
    key: Secret,
    salt: Secret,
}

impl MasterKey {
    /// Copies key and salt, whose lengths must be the profile's.
    ///
    /// # Errors
    /// [`KeyError`] if they are not.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<MasterKey, KeyError> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(KeyError);
        }
        Ok(MasterKey { profile, key: Secret::new(key), salt: Secret::new(salt) })
    }

    /// The profile for which the key was negotiated.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn key(&self) -> &[u8] {
        self.key.expose()
    }

    pub(super) fn salt(&self) -> &[u8] {
        self.salt.expose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_srtp_12_control_traffic_keeps_80_bits_and_aead_has_16_bytes() {
        // The profiles without encryption do not exist here.
        let known: Vec<u16> = (0..=u16::MAX).filter(|id| Profile::from_dtls_id(*id).is_some()).collect();
        assert_eq!(known, [0x0001, 0x0002, 0x0007, 0x0008]);
        let overhead = Profile::ALL.map(|profile| (profile.rtp_overhead(), profile.rtcp_overhead()));
        assert_eq!(overhead, [(16, 20), (16, 20), (10, 14), (4, 14)]);
    }

    #[test]
    fn keys_of_wrong_length_are_refused_and_none_is_shown() {
        for profile in Profile::ALL {
            let (key, salt) = (vec![0x5a; profile.key_len()], vec![0x5a; profile.salt_len()]);
            assert!(MasterKey::new(profile, &key[1..], &salt).is_err());
            assert!(MasterKey::new(profile, &key, &salt[1..]).is_err());
            let shown = format!("{:?}", MasterKey::new(profile, &key, &salt).unwrap());
            assert!(!shown.contains("90") && !shown.contains("5a"), "{shown}");
        }
    }
}
