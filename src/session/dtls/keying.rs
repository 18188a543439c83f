//! The SRTP master keys of an association (RFC 5764, section 4.2).

use super::config::Role;
use crate::crypto::secret::Secret;

/// The master keys and salts of both directions; wiped on drop, never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keying {
    /// The key of what we send: 16 or 32 bytes.
    pub local_key: Secret,
    /// The salt of what we send: 12 or 14 bytes.
    pub local_salt: Secret,
    /// The key of what the peer sends.
    pub remote_key: Secret,
    /// The salt of what the peer sends.
    pub remote_salt: Secret,
}

impl Keying {
    /// Splits exported bytes: client key, server key, client salt, server salt. `None` if the
    /// lengths do not fit.
    pub(super) fn split(role: Role, key_len: usize, salt_len: usize, exported: &[u8]) -> Option<Self> {
        let (client_key, rest) = exported.split_at_checked(key_len)?;
        let (server_key, rest) = rest.split_at_checked(key_len)?;
        let (client_salt, server_salt) = rest.split_at_checked(salt_len)?;
        if server_salt.len() != salt_len {
            return None;
        }
        let client = (Secret::new(client_key), Secret::new(client_salt));
        let server = (Secret::new(server_key), Secret::new(server_salt));
        let (local, remote) = match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        };
        Some(Keying { local_key: local.0, local_salt: local.1, remote_key: remote.0, remote_salt: remote.1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_5764_section_4_2_order_of_keys_and_salts() {
        let exported: Vec<u8> = (0..60).collect();
        let server = Keying::split(Role::Server, 16, 14, &exported).unwrap();
        assert_eq!(server.remote_key.expose(), &exported[..16]);
        assert_eq!(server.local_key.expose(), &exported[16..32]);
        assert_eq!(server.remote_salt.expose(), &exported[32..46]);
        assert_eq!(server.local_salt.expose(), &exported[46..]);
        let client = Keying::split(Role::Client, 16, 14, &exported).unwrap();
        assert_eq!((client.local_key, client.local_salt), (server.remote_key, server.remote_salt));
        for len in [0, 59] {
            assert_eq!(Keying::split(Role::Client, 16, 14, &exported[..len]), None);
        }
        assert_eq!(Keying::split(Role::Client, 16, 12, &exported), None);
    }
}
