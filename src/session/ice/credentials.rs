//! User fragments and passwords, and the generations that restarts make of them.

use crate::base::random::Random;
use crate::crypto::mac::HmacSha1;
use crate::crypto::secret;
use zeroize::Zeroizing;

/// The characters of RFC 8839, section 5.4, six bits each.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Random characters of our own: 48 and 144 bits, where 24 and 128 are required (RFC 8445, section
/// 5.3).
const UFRAG_RANDOM: usize = 8;
const PWD_RANDOM: usize = 24;

/// Credentials that the grammar forbids (RFC 8839, section 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// Not 4 to 256 letters, digits, `+` or `/`.
    #[error("the ICE user fragment is not 4 to 256 letters, digits, + or /")]
    Ufrag,
    /// Not 22 to 256 letters, digits, `+` or `/`.
    #[error("the ICE password is not 22 to 256 letters, digits, + or /")]
    Pwd,
}

/// One side's user fragment and password (RFC 8445, section 5.3). The password is wiped on drop,
/// compared in constant time and not shown by `Debug`.
#[derive(Clone)]
pub struct Credentials {
    ufrag: Box<str>,
    pwd: Zeroizing<Box<str>>,
}

impl Credentials {
    /// The longest user fragment (RFC 8839, section 5.4).
    pub(super) const UFRAG_MAX: usize = 256;

    /// Credentials as a description names them.
    ///
    /// # Errors
    /// [`CredentialsError`] names the one that the grammar forbids.
    pub fn new(ufrag: &str, pwd: &str) -> Result<Self, CredentialsError> {
        if !(4..=Self::UFRAG_MAX).contains(&ufrag.len()) || !is_ice_chars(ufrag) {
            return Err(CredentialsError::Ufrag);
        }
        if !(22..=256).contains(&pwd.len()) || !is_ice_chars(pwd) {
            return Err(CredentialsError::Pwd);
        }
        Ok(Credentials { ufrag: ufrag.into(), pwd: Zeroizing::new(pwd.into()) })
    }

    /// Credentials of our own: 48 random bits behind `prefix` in the fragment, 144 in the password.
    ///
    /// The prefix tells engines on a shared port apart ([`mux::engine_of`](crate::mux::engine_of));
    /// it consists of letters and digits and is not secret.
    pub fn random(random: &mut Random, prefix: &str) -> Self {
        let mut ufrag = String::with_capacity(prefix.len() + UFRAG_RANDOM);
        ufrag.push_str(prefix);
        push_random(random, UFRAG_RANDOM, &mut ufrag);
        // Exactly as large as it gets, so that no copy is left behind unwiped.
        let mut pwd = String::with_capacity(PWD_RANDOM);
        push_random(random, PWD_RANDOM, &mut pwd);
        Credentials { ufrag: ufrag.into(), pwd: Zeroizing::new(pwd.into()) }
    }

    /// The user fragment.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// The password: for a description sent over a protected channel, and nothing else.
    pub fn pwd(&self) -> &str {
        &self.pwd
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.ufrag == other.ufrag && secret::equal(self.pwd.as_bytes(), other.pwd.as_bytes())
    }
}

impl Eq for Credentials {}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

fn is_ice_chars(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

fn push_random(random: &mut Random, count: usize, out: &mut String) {
    let mut drawn = Zeroizing::new([0; UFRAG_RANDOM + PWD_RANDOM]);
    random.fill(&mut *drawn);
    for byte in drawn.iter().take(count) {
        // 64 characters: no bias.
        let index = usize::from(*byte) % ICE_CHARS.len();
        out.push(ICE_CHARS.get(index).copied().unwrap_or(b'A').into());
    }
}

/// Credentials with the key that MESSAGE-INTEGRITY needs, prepared once.
pub(super) struct Party {
    pub(super) credentials: Credentials,
    pub(super) key: HmacSha1,
}

impl Party {
    fn new(credentials: Credentials) -> Self {
        let key = HmacSha1::new(credentials.pwd().as_bytes());
        Party { credentials, key }
    }
}

/// The credentials between two restarts.
pub(super) struct Generation {
    pub(super) epoch: u32,
    pub(super) local: Party,
    /// Unknown until the peer's description is.
    pub(super) remote: Option<Party>,
    /// Consent was lost: only the next generation may send again (RFC 7675, section 5.1).
    pub(super) lost: bool,
}

/// The current generation, and during a restart the one that still serves (RFC 8445, section 9).
pub(super) struct Generations {
    pub(super) current: Generation,
    pub(super) previous: Option<Box<Generation>>,
}

impl Generations {
    pub(super) fn new(local: Credentials) -> Self {
        let local = Party::new(local);
        let current = Generation { epoch: 0, local, remote: None, lost: false };
        Generations { current, previous: None }
    }

    pub(super) fn set_remote(&mut self, remote: Credentials) {
        self.current.remote = Some(Party::new(remote));
    }

    /// Begins the next generation and hands the one before back.
    pub(super) fn restart(&mut self, local: Credentials) -> Generation {
        let epoch = self.current.epoch.wrapping_add(1);
        let local = Party::new(local);
        let next = Generation { epoch, local, remote: None, lost: false };
        std::mem::replace(&mut self.current, next)
    }

    pub(super) fn get(&self, epoch: u32) -> Option<&Generation> {
        self.iter().find(|generation| generation.epoch == epoch)
    }

    /// The generation whose local fragment this is.
    pub(super) fn by_ufrag(&self, ufrag: &str) -> Option<&Generation> {
        self.iter().find(|generation| generation.local.credentials.ufrag() == ufrag)
    }

    fn iter(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.current).chain(self.previous.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_stun_16_our_own_credentials_are_random_enough_and_legal() {
        let mut random = Random::new([3; 32]);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let credentials = Credentials::random(&mut random, "00fa");
            let random_part = credentials.ufrag().strip_prefix("00fa").unwrap();
            assert!(random_part.len() * 6 >= 24 && credentials.pwd().len() * 6 >= 128);
            let parsed = Credentials::new(credentials.ufrag(), credentials.pwd());
            assert_eq!(parsed.as_ref(), Ok(&credentials));
            assert!(seen.insert(credentials.ufrag().to_owned()));
            assert!(seen.insert(credentials.pwd().to_owned()));
        }
    }

    #[test]
    fn s_sdp_03_short_long_and_odd_credentials_are_refused() {
        let ufrag = |len: usize| Credentials::new(&"u".repeat(len), &"p".repeat(22)).err();
        let pwd = |len: usize| Credentials::new("ufrag", &"p".repeat(len)).err();
        assert_eq!([ufrag(3), ufrag(4)], [Some(CredentialsError::Ufrag), None]);
        assert_eq!([ufrag(256), ufrag(257)], [None, Some(CredentialsError::Ufrag)]);
        assert_eq!([pwd(21), pwd(22)], [Some(CredentialsError::Pwd), None]);
        assert_eq!([pwd(256), pwd(257)], [None, Some(CredentialsError::Pwd)]);
        let colon = Credentials::new("a:bcd", &"p".repeat(22));
        assert_eq!(colon.err(), Some(CredentialsError::Ufrag));
    }

    #[test]
    fn i_09_debug_hides_the_password() {
        let credentials = Credentials::new("ufrag", "0123456789secret0123456789").unwrap();
        assert!(!format!("{credentials:?}").contains("secret"));
    }
}
