//! A message as it came.

use super::attribute::*;
use super::attributes::{Attributes, check, is_known};
use super::{
    COOKIE, Class, FINGERPRINT_XOR, Fault, HEADER, ParseError, PasswordAlgorithm, TransactionId, ipv6_mask,
    port_mask,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use subtle::ConstantTimeEq as _;

/// A well-formed message, borrowed from its datagram.
///
/// Of several attributes of one type the first counts (RFC 8489, section 14). Attributes behind
/// MESSAGE-INTEGRITY or its SHA-256 successor are not there (sections 14.5 and 14.6).
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
    /// Where MESSAGE-INTEGRITY-SHA256 begins, and the bytes of its value, inside the datagram.
    sha256: Option<(usize, usize)>,
}

impl<'a> Message<'a> {
    /// Checks a datagram (RFC 8489, sections 5, 6.3 and 14): header, bounds of all attributes,
    /// lengths of the known ones, FINGERPRINT if there is one.
    ///
    /// One pass, and one CRC-32 over the datagram; MESSAGE-INTEGRITY is left to
    /// [`verify_integrity`](Message::verify_integrity).
    ///
    /// # Errors
    /// [`ParseError`] with the [`Fault`] that comes first.
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let (header, body) =
            datagram.split_first_chunk::<HEADER>().ok_or(ParseError::at(0, Fault::Header))?;
        let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
        if t0 & 0xC0 != 0 {
            return Err(ParseError::at(0, Fault::Type));
        }
        if u32::from_be_bytes([c0, c1, c2, c3]) != COOKIE {
            return Err(ParseError::at(4, Fault::Cookie));
        }
        if usize::from(u16::from_be_bytes([l0, l1])) != body.len() || !body.len().is_multiple_of(4) {
            return Err(ParseError::at(2, Fault::Length));
        }
        let mut message = Message {
            datagram,
            id: TransactionId(id),
            kind: u16::from_be_bytes([t0, t1]),
            fingerprint: false,
            end: datagram.len(),
            integrity: None,
            sha256: None,
        };
        message.scan(Attributes { rest: body })?;
        Ok(message)
    }

    /// Walks over all attributes once and notes where integrity and the readable ones end.
    fn scan(&mut self, mut attributes: Attributes<'a>) -> Result<(), ParseError> {
        loop {
            let at = self.datagram.len() - attributes.rest.len();
            let Some((kind, value)) = attributes.next() else {
                // The iterator stops early at an attribute that runs past the end.
                let whole = attributes.rest.is_empty();
                return if whole { Ok(()) } else { Err(ParseError::at(at, Fault::Attribute)) };
            };
            // Behind an integrity only its successor and FINGERPRINT are there (RFC 8489, sections
            // 14.5 and 14.6); the contents of what is not read cannot be wrong.
            let read = kind == FINGERPRINT
                || self.sha256.is_none() && (self.integrity.is_none() || kind == MESSAGE_INTEGRITY_SHA256);
            if !read {
                continue;
            }
            check(kind, value).map_err(|fault| ParseError::at(at, fault))?;
            match kind {
                FINGERPRINT => {
                    let covered = self.datagram.get(..at).unwrap_or_default();
                    let right = crc32fast::hash(covered) ^ FINGERPRINT_XOR;
                    if !attributes.rest.is_empty() || value != right.to_be_bytes() {
                        return Err(ParseError::at(at, Fault::Fingerprint));
                    }
                    self.fingerprint = true;
                }
                MESSAGE_INTEGRITY => self.integrity = Some(at),
                MESSAGE_INTEGRITY_SHA256 => self.sha256 = Some((at, value.len())),
                _ => continue,
            }
            self.end = self.end.min(at);
        }
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

    /// The method, without the bits of the class; ICE knows [`BINDING`](super::BINDING) only.
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
        self.text(USERNAME)
    }

    /// PRIORITY (RFC 8445, section 7.1.1).
    pub fn priority(&self) -> Option<u32> {
        self.number(PRIORITY).map(u32::from_be_bytes)
    }

    /// Whether the sender nominates this pair (RFC 8445, section 7.1.2).
    pub fn use_candidate(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
    }

    /// ICE-CONTROLLING: the tie-breaker of a sender in that role (RFC 8445, section 7.1.3).
    pub fn ice_controlling(&self) -> Option<u64> {
        self.number(ICE_CONTROLLING).map(u64::from_be_bytes)
    }

    /// ICE-CONTROLLED: the tie-breaker of a sender in that role (RFC 8445, section 7.1.3).
    pub fn ice_controlled(&self) -> Option<u64> {
        self.number(ICE_CONTROLLED).map(u64::from_be_bytes)
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489, section 14.2); `None` also for an unknown family.
    pub fn xor_mapped_address(&self) -> Option<SocketAddr> {
        self.masked_address(XOR_MAPPED_ADDRESS, port_mask(), ipv6_mask(self.id))
    }

    /// MAPPED-ADDRESS (RFC 8489, section 14.1), which translators on the way may have changed; `None`
    /// also for an unknown family.
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        self.masked_address(MAPPED_ADDRESS, 0, 0)
    }

    /// ALTERNATE-SERVER (RFC 8489, section 14.15); `None` also for an unknown family.
    pub fn alternate_server(&self) -> Option<SocketAddr> {
        self.masked_address(ALTERNATE_SERVER, 0, 0)
    }

    /// An address, combined with a mask of which IPv4 takes the upper 32 bits.
    fn masked_address(&self, kind: u16, port_mask: u16, mask: u128) -> Option<SocketAddr> {
        let (&[_, family, p0, p1], ip) = self.attribute(kind)?.split_first_chunk::<4>()?;
        let ip = match family {
            1 => {
                let ip = u32::from_be_bytes(ip.try_into().ok()?);
                // The upper 32 of 128 bits.
                IpAddr::V4(Ipv4Addr::from(ip ^ (mask >> 96) as u32))
            }
            2 => IpAddr::V6(Ipv6Addr::from(u128::from_be_bytes(ip.try_into().ok()?) ^ mask)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, u16::from_be_bytes([p0, p1]) ^ port_mask))
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

    /// The types of UNKNOWN-ATTRIBUTES (RFC 8489, section 14.13): what the answering side would have
    /// had to understand.
    pub fn unknown_attributes(&self) -> impl ExactSizeIterator<Item = u16> + use<'a> {
        let kinds = self.attribute(UNKNOWN_ATTRIBUTES).unwrap_or_default();
        kinds.as_chunks().0.iter().map(|kind| u16::from_be_bytes(*kind))
    }

    /// REALM, if there is one and it is UTF-8 (RFC 8489, section 14.9).
    pub fn realm(&self) -> Option<&'a str> {
        self.text(REALM)
    }

    /// NONCE, if there is one and it is UTF-8 (RFC 8489, section 14.10).
    pub fn nonce(&self) -> Option<&'a str> {
        self.text(NONCE)
    }

    /// SOFTWARE, if there is one and it is UTF-8 (RFC 8489, section 14.14).
    pub fn software(&self) -> Option<&'a str> {
        self.text(SOFTWARE)
    }

    /// ALTERNATE-DOMAIN, if there is one and it is UTF-8 (RFC 8489, section 14.16).
    pub fn alternate_domain(&self) -> Option<&'a str> {
        self.text(ALTERNATE_DOMAIN)
    }

    /// USERHASH in place of USERNAME (RFC 8489, section 14.4).
    pub fn userhash(&self) -> Option<&'a [u8; 32]> {
        self.attribute(USERHASH)?.try_into().ok()
    }

    /// PASSWORD-ALGORITHM (RFC 8489, section 14.12).
    pub fn password_algorithm(&self) -> Option<PasswordAlgorithm<'a>> {
        Some(PasswordAlgorithm::split_first(self.attribute(PASSWORD_ALGORITHM)?)?.0)
    }

    /// PASSWORD-ALGORITHMS, the server's favourite first (RFC 8489, section 14.11).
    pub fn password_algorithms(&self) -> impl Iterator<Item = PasswordAlgorithm<'a>> + use<'a> {
        let mut list = self.attribute(PASSWORD_ALGORITHMS).unwrap_or_default();
        std::iter::from_fn(move || {
            let (algorithm, rest) = PasswordAlgorithm::split_first(list)?;
            list = rest;
            Some(algorithm)
        })
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
        self.integrity.is_some_and(|at| self.verify(at, 20, mac))
    }

    /// Whether there is a MESSAGE-INTEGRITY-SHA256, right or wrong.
    pub fn has_integrity_sha256(&self) -> bool {
        self.sha256.is_some()
    }

    /// Whether MESSAGE-INTEGRITY-SHA256 is there and right (RFC 8489, section 14.6), compared in
    /// constant time; one that was cut to 16 bytes or more is compared as far as it goes.
    ///
    /// `mac` is HMAC-SHA256 under the key, over the pieces in their order; it is not called when there
    /// is nothing to compare with.
    pub fn verify_integrity_sha256(&self, mac: impl FnOnce(&[&[u8]]) -> [u8; 32]) -> bool {
        self.sha256.is_some_and(|(at, len)| self.verify(at, len, mac))
    }

    /// Compares the attribute at `at`, whose value has `len` bytes, with the start of a MAC.
    fn verify<const N: usize>(&self, at: usize, len: usize, mac: impl FnOnce(&[&[u8]]) -> [u8; N]) -> bool {
        let (Some(covered), Some(tag)) = (self.datagram.get(..at), self.datagram.get(at + 4..at + 4 + len))
        else {
            return false;
        };
        // The MAC is made with the length as if the message ended behind this attribute.
        let Some(([t0, t1, _, _], rest)) = covered.split_first_chunk::<4>() else {
            return false;
        };
        // A length of 16 bits was the whole body's; this one is not larger.
        let length = (at + 4 + len - HEADER) as u16;
        let right = mac(&[&[*t0, *t1], &length.to_be_bytes(), rest]);
        right.get(..len).is_some_and(|right| right.ct_eq(tag).into())
    }

    /// The attribute types that a receiver must understand and we do not (RFC 8489, section 14).
    pub fn unknown_required(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.attributes().map(|(kind, _)| kind).filter(|kind| *kind < 0x8000 && !is_known(*kind))
    }

    fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(kind)?).ok()
    }

    fn number<const N: usize>(&self, kind: u16) -> Option<[u8; N]> {
        self.attribute(kind)?.try_into().ok()
    }
}
