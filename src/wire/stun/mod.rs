//! STUN messages (RFC 8489) with the attributes of ICE (RFC 8445, section 16.1).
//!
//! [`Message::parse`] looks at the whole datagram once: header, the bounds of each attribute, the
//! lengths of those it knows, FINGERPRINT. What it returns cannot fail any more. [`Writer`] puts a
//! message into borrowed bytes. Neither holds a key: whoever does passes its HMAC in.
//!
//! All attributes of RFC 8489 and RFC 8445 can be read and written. Left out: shortened
//! MESSAGE-INTEGRITY-SHA256 (RFC 8489, section 14.6), which is read but written in full length only, the
//! procedures that ICE does not use (the long-term credential mechanism's nonces, hashes of user names
//! and choice of algorithm), and the messages of RFC 3489.

mod attributes;
mod fault;
mod message;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use attributes::PasswordAlgorithm;
pub use fault::{Fault, ParseError};
pub use message::Message;
pub use writer::{NoSpace, Writer};

/// The only method of ICE (RFC 8489, section 18.2).
pub const BINDING: u16 = 0x001;

const HEADER: usize = 20;
const COOKIE: u32 = 0x2112_A442;
const FINGERPRINT_XOR: u32 = 0x5354_554E;
/// The bytes of MESSAGE-INTEGRITY, of the SHA-256 one and of FINGERPRINT, their headers included.
const INTEGRITY_ATTRIBUTE: usize = 24;
const SHA256_ATTRIBUTE: usize = 36;
const FINGERPRINT_ATTRIBUTE: usize = 8;

/// Attribute types (RFC 8489, section 18.3; RFC 8445, section 20.1).
pub mod attribute {
    /// MAPPED-ADDRESS.
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    /// USERNAME: in ICE the receiver's fragment, a colon, the sender's.
    pub const USERNAME: u16 = 0x0006;
    /// MESSAGE-INTEGRITY: HMAC-SHA1 over all that precedes it.
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    /// ERROR-CODE.
    pub const ERROR_CODE: u16 = 0x0009;
    /// UNKNOWN-ATTRIBUTES.
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000A;
    /// REALM.
    pub const REALM: u16 = 0x0014;
    /// NONCE.
    pub const NONCE: u16 = 0x0015;
    /// MESSAGE-INTEGRITY-SHA256: HMAC-SHA256 over all that precedes it, or the first bytes of that.
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
    /// PASSWORD-ALGORITHM that a client chose.
    pub const PASSWORD_ALGORITHM: u16 = 0x001D;
    /// USERHASH: SHA-256 of user name and realm.
    pub const USERHASH: u16 = 0x001E;
    /// XOR-MAPPED-ADDRESS.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// PRIORITY of the candidate that a check would discover.
    pub const PRIORITY: u16 = 0x0024;
    /// USE-CANDIDATE: the controlling agent nominates this pair.
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// PASSWORD-ALGORITHMS that a server offers.
    pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
    /// ALTERNATE-DOMAIN: the name that an alternate server's certificate has.
    pub const ALTERNATE_DOMAIN: u16 = 0x8003;
    /// SOFTWARE: names the sender; never sent by ours.
    pub const SOFTWARE: u16 = 0x8022;
    /// ALTERNATE-SERVER to ask instead.
    pub const ALTERNATE_SERVER: u16 = 0x8023;
    /// FINGERPRINT: CRC-32 over all that precedes it.
    pub const FINGERPRINT: u16 = 0x8028;
    /// ICE-CONTROLLED with the sender's tie-breaker.
    pub const ICE_CONTROLLED: u16 = 0x8029;
    /// ICE-CONTROLLING with the sender's tie-breaker.
    pub const ICE_CONTROLLING: u16 = 0x802A;
    /// META-DTLS-IN-STUN: a datagram of DTLS (draft-hancke-webrtc-sped-00, section 4.2).
    pub const DTLS_IN_STUN: u16 = 0xC070;
    /// META-DTLS-IN-STUN-ACKNOWLEDGEMENT: CRC-32 of the datagrams that came (section 4.3).
    pub const DTLS_IN_STUN_ACKNOWLEDGEMENT: u16 = 0xC071;
}

/// The 96 bits that tie a response to its request. They are drawn by a cryptographic generator:
/// who cannot see the request cannot answer it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionId(pub [u8; 12]);

/// What a message is to its receiver (RFC 8489, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Wants a response.
    Request,
    /// Wants none.
    Indication,
    /// The response of a request that succeeded.
    Success,
    /// The response of a request that failed.
    Error,
}

/// What a port is combined with: the upper half of the cookie.
const fn port_mask() -> u16 {
    (COOKIE >> 16) as u16
}

/// What an IPv6 address is combined with: the cookie and the transaction.
fn ipv6_mask(TransactionId(id): TransactionId) -> u128 {
    let id = id.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
    u128::from(COOKIE) << 96 | id
}
