//! STUN messages (RFC 8489) with the attributes of ICE (RFC 8445, section 16.1).
//!
//! [`Message::parse`] looks at the whole datagram once: header, the bounds of each attribute, the
//! lengths of those it knows, FINGERPRINT. What it returns cannot fail any more. [`Writer`] puts a
//! message into borrowed bytes. Neither holds a key: whoever does passes its HMAC-SHA1 in.
//!
//! Left out: the long-term credential mechanism, MESSAGE-INTEGRITY-SHA256 (ICE uses neither) and
//! the messages of RFC 3489.

mod writer;

#[cfg(test)]
mod tests;

pub use writer::{NoSpace, Writer};

use crate::base::limits;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use subtle::ConstantTimeEq as _;

/// The only method of ICE (RFC 8489, section 18.2).
pub const BINDING: u16 = 0x001;

const HEADER: usize = 20;
const COOKIE: u32 = 0x2112_A442;
const FINGERPRINT_XOR: u32 = 0x5354_554E;
/// The bytes of MESSAGE-INTEGRITY and of FINGERPRINT, their headers included.
const INTEGRITY_ATTRIBUTE: usize = 24;
const FINGERPRINT_ATTRIBUTE: usize = 8;

/// Attribute types (RFC 8489, section 18.3; RFC 8445, section 21.2).
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
    /// MESSAGE-INTEGRITY-SHA256.
    pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;
    /// PASSWORD-ALGORITHM.
    pub const PASSWORD_ALGORITHM: u16 = 0x001D;
    /// USERHASH.
    pub const USERHASH: u16 = 0x001E;
    /// XOR-MAPPED-ADDRESS.
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    /// PRIORITY of the candidate that a check would discover.
    pub const PRIORITY: u16 = 0x0024;
    /// USE-CANDIDATE: the controlling agent nominates this pair.
    pub const USE_CANDIDATE: u16 = 0x0025;
    /// FINGERPRINT: CRC-32 over all that precedes it.
    pub const FINGERPRINT: u16 = 0x8028;
    /// ICE-CONTROLLED with the sender's tie-breaker.
    pub const ICE_CONTROLLED: u16 = 0x8029;
    /// ICE-CONTROLLING with the sender's tie-breaker.
    pub const ICE_CONTROLLING: u16 = 0x802A;
}
use attribute::*;

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

/// Why a datagram is no STUN message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Fewer than the 20 bytes of a header.
    #[error("shorter than a STUN header")]
    TooShort,
    /// A top bit set or another magic cookie.
    #[error("not a STUN message")]
    NotStun,
    /// The length is not the datagram's, or no multiple of four.
    #[error("wrong STUN message length")]
    Length,
    /// An attribute runs past the end or has a length that its type forbids.
    #[error("malformed STUN attribute")]
    Attribute,
    /// FINGERPRINT does not match, or is not the last attribute.
    #[error("wrong STUN fingerprint")]
    Fingerprint,
}

impl ParseError {
    /// Every reason, in the order of the counters.
    pub const ALL: [ParseError; 5] = [
        ParseError::TooShort,
        ParseError::NotStun,
        ParseError::Length,
        ParseError::Attribute,
        ParseError::Fingerprint,
    ];

    /// A stable name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            ParseError::TooShort => "stun.too_short",
            ParseError::NotStun => "stun.not_stun",
            ParseError::Length => "stun.length",
            ParseError::Attribute => "stun.attribute",
            ParseError::Fingerprint => "stun.fingerprint",
        }
    }
}

/// A well-formed message, borrowed from its datagram.
///
/// Of several attributes of one type the first counts (RFC 8489, section 14). Attributes behind
/// MESSAGE-INTEGRITY are not there (section 14.5).
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    datagram: &'a [u8],
    id: TransactionId,
    kind: u16,
    fingerprint: bool,
    /// Where the attributes that may be read end; at most the datagram's length.
    end: usize,
    /// Where MESSAGE-INTEGRITY begins; its 24 bytes lie inside the datagram.
    integrity: Option<usize>,
}

impl<'a> Message<'a> {
    /// Checks a datagram (RFC 8489, sections 5, 6.3 and 14): header, bounds of all attributes,
    /// lengths of the known ones, FINGERPRINT if there is one.
    ///
    /// One pass, and one CRC-32 over the datagram; MESSAGE-INTEGRITY is left to
    /// [`verify_integrity`](Message::verify_integrity).
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let (header, body) = datagram.split_first_chunk::<HEADER>().ok_or(ParseError::TooShort)?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
        if t0 & 0xC0 != 0 || u32::from_be_bytes([c0, c1, c2, c3]) != COOKIE {
            return Err(ParseError::NotStun);
        }
        if usize::from(u16::from_be_bytes([l0, l1])) != body.len() || !body.len().is_multiple_of(4) {
            return Err(ParseError::Length);
        }
        let mut message = Message {
            datagram,
            id: TransactionId(id),
            kind: u16::from_be_bytes([t0, t1]),
            fingerprint: false,
            end: datagram.len(),
            integrity: None,
        };
        message.scan(Attributes { rest: body })?;
        Ok(message)
    }

    /// Walks over all attributes once and notes where integrity and the readable ones end.
    fn scan(&mut self, mut attributes: Attributes<'a>) -> Result<(), ParseError> {
        let mut sha256 = None;
        loop {
            let at = self.datagram.len() - attributes.rest.len();
            let Some((kind, value)) = attributes.next() else {
                break;
            };
            // What follows the integrity is not read, so its contents cannot be wrong.
            if (self.integrity.is_none() || kind == FINGERPRINT) && !fits(kind, value.len()) {
                return Err(ParseError::Attribute);
            }
            match kind {
                FINGERPRINT => {
                    let covered = self.datagram.get(..at).unwrap_or_default();
                    let right = crc32fast::hash(covered) ^ FINGERPRINT_XOR;
                    if !attributes.rest.is_empty() || value != right.to_be_bytes() {
                        return Err(ParseError::Fingerprint);
                    }
                    self.fingerprint = true;
                    self.end = at;
                }
                MESSAGE_INTEGRITY => self.integrity = self.integrity.or(Some(at)),
                MESSAGE_INTEGRITY_SHA256 => sha256 = sha256.or(Some(at)),
                _ => {}
            }
        }
        // The iterator stops early at an attribute that runs past the end.
        if !attributes.rest.is_empty() {
            return Err(ParseError::Attribute);
        }
        self.end = self.integrity.or(sha256).unwrap_or(self.end);
        Ok(())
    }

    /// Request, indication or one of the responses.
    pub fn class(&self) -> Class {
        match self.kind & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::Success,
            _ => Class::Error,
        }
    }

    /// The method, without the bits of the class; ICE knows [`BINDING`] only.
    pub fn method(&self) -> u16 {
        (self.kind & 0x000F) | (self.kind & 0x00E0) >> 1 | (self.kind & 0x3E00) >> 2
    }

    /// The transaction that this message begins or ends.
    pub fn transaction_id(&self) -> TransactionId {
        self.id
    }

    /// Bytes of the whole message.
    #[allow(clippy::len_without_is_empty)] // never empty: there is a header
    pub fn len(&self) -> usize {
        self.datagram.len()
    }

    /// Type and value of each attribute in front of the integrity and FINGERPRINT, unknown ones
    /// included.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        Attributes { rest: self.datagram.get(HEADER..self.end).unwrap_or_default() }
    }

    /// The value of the first attribute of this type.
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(candidate, _)| *candidate == kind).map(|(_, value)| value)
    }

    /// USERNAME, if there is one and it is UTF-8 (RFC 8489, section 14.3).
    pub fn username(&self) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(USERNAME)?).ok()
    }

    /// PRIORITY (RFC 8445, section 7.1.1).
    pub fn priority(&self) -> Option<u32> {
        self.number(PRIORITY).map(u32::from_be_bytes)
    }

    /// Whether the sender nominates this pair (RFC 8445, section 7.1.2).
    pub fn use_candidate(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
    }

    /// The tie-breaker of a sender in the controlling role.
    pub fn ice_controlling(&self) -> Option<u64> {
        self.number(ICE_CONTROLLING).map(u64::from_be_bytes)
    }

    /// The tie-breaker of a sender in the controlled role.
    pub fn ice_controlled(&self) -> Option<u64> {
        self.number(ICE_CONTROLLED).map(u64::from_be_bytes)
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489, section 14.2); `None` also for an unknown family.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        let (&[_, family, p0, p1], ip) = self.attribute(XOR_MAPPED_ADDRESS)?.split_first_chunk::<4>()?;
        let port = u16::from_be_bytes([p0, p1]) ^ port_mask();
        let ip = match family {
            1 => IpAddr::V4(Ipv4Addr::from(u32::from_be_bytes(ip.try_into().ok()?) ^ COOKIE)),
            2 => IpAddr::V6(Ipv6Addr::from(u128::from_be_bytes(ip.try_into().ok()?) ^ ipv6_mask(self.id))),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }

    /// Code (300 to 699) and reason of ERROR-CODE (RFC 8489, section 14.8); a reason that is not
    /// UTF-8 reads as empty.
    pub fn error_code(&self) -> Option<(u16, &'a str)> {
        let (&[_, _, class, number], reason) = self.attribute(ERROR_CODE)?.split_first_chunk::<4>()?;
        let class = u16::from(class & 7);
        if !(3..=6).contains(&class) || number > 99 {
            return None;
        }
        Some((class * 100 + u16::from(number), std::str::from_utf8(reason).unwrap_or_default()))
    }

    /// Whether there is a FINGERPRINT; if so, it is right.
    pub fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    /// Whether there is a MESSAGE-INTEGRITY, right or wrong.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether MESSAGE-INTEGRITY is there and right (RFC 8489, section 14.5), compared in constant
    /// time.
    ///
    /// `mac` is HMAC-SHA1 under the password, over the pieces in their order; it is not called when
    /// there is no integrity to compare with.
    pub fn verify_integrity(&self, mac: impl FnOnce(&[&[u8]]) -> [u8; 20]) -> bool {
        let Some((covered, tag)) = self.integrity.and_then(|at| {
            let tag = self.datagram.get(at + 4..at + INTEGRITY_ATTRIBUTE)?;
            Some((self.datagram.get(..at)?, tag))
        }) else {
            return false;
        };
        // The HMAC is made with the length as if the message ended behind the integrity.
        let Some(([t0, t1, _, _], rest)) = covered.split_first_chunk::<4>() else {
            return false;
        };
        // A length of 16 bits was the whole body's; this one is smaller.
        let length = (covered.len() + INTEGRITY_ATTRIBUTE - HEADER) as u16;
        mac(&[&[*t0, *t1], &length.to_be_bytes(), rest]).ct_eq(tag).into()
    }

    /// The attribute types that a receiver must understand and we do not (RFC 8489, section 14).
    pub fn unknown_required(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.attributes().map(|(kind, _)| kind).filter(|kind| *kind < 0x8000 && !is_known(*kind))
    }

    fn number<const N: usize>(&self, kind: u16) -> Option<[u8; N]> {
        self.attribute(kind)?.try_into().ok()
    }
}

/// Type, length, value, padding to four bytes; ends at the first that does not fit.
#[derive(Clone)]
struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[k0, k1, l0, l1], body) = self.rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let value = body.get(..len)?;
        self.rest = body.get(len.next_multiple_of(4)..)?;
        Some((u16::from_be_bytes([k0, k1]), value))
    }
}

/// Whether an attribute may have this length; of unknown ones anything may.
fn fits(kind: u16, len: usize) -> bool {
    match kind {
        USERNAME => len <= limits::STUN_USERNAME,
        MESSAGE_INTEGRITY => len == 20,
        MESSAGE_INTEGRITY_SHA256 => (16..=32).contains(&len) && len.is_multiple_of(4),
        MAPPED_ADDRESS | XOR_MAPPED_ADDRESS => len == 8 || len == 20,
        ERROR_CODE => len >= 4,
        UNKNOWN_ATTRIBUTES => len.is_multiple_of(2),
        PRIORITY | FINGERPRINT => len == 4,
        USE_CANDIDATE => len == 0,
        ICE_CONTROLLED | ICE_CONTROLLING => len == 8,
        _ => true,
    }
}

/// Whether an attribute that must be understood is.
fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        MAPPED_ADDRESS
            | USERNAME
            | MESSAGE_INTEGRITY
            | ERROR_CODE
            | UNKNOWN_ATTRIBUTES
            | REALM
            | NONCE
            | MESSAGE_INTEGRITY_SHA256
            | PASSWORD_ALGORITHM
            | USERHASH
            | XOR_MAPPED_ADDRESS
            | PRIORITY
            | USE_CANDIDATE
    )
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
