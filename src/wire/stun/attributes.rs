//! The attributes of a message: their bounds, their lengths, and which of them are known.

use super::Fault;
use super::attribute::*;
use crate::base::limits;

/// Type, length, value, padding to four bytes; ends at the first that does not fit.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a> {
    pub(super) rest: &'a [u8],
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

/// Checks an attribute's value; of unknown ones anything will do.
#[inline]
pub(super) fn check(kind: u16, value: &[u8]) -> Result<(), Fault> {
    let len = value.len();
    let (right, fault) = match kind {
        USERNAME => (len <= limits::STUN_USERNAME, Fault::Username),
        MESSAGE_INTEGRITY => (len == 20, Fault::Integrity),
        MESSAGE_INTEGRITY_SHA256 => {
            ((16..=32).contains(&len) && len.is_multiple_of(4), Fault::IntegritySha256)
        }
        MAPPED_ADDRESS | XOR_MAPPED_ADDRESS | ALTERNATE_SERVER => (len == 8 || len == 20, Fault::Address),
        ERROR_CODE => ((4..=4 + limits::STUN_TEXT).contains(&len), Fault::ErrorCode),
        UNKNOWN_ATTRIBUTES => (len.is_multiple_of(2), Fault::UnknownAttributes),
        REALM | NONCE | SOFTWARE => (len <= limits::STUN_TEXT, Fault::Text),
        // Of a domain name's wire format (RFC 1035, section 2.3.4).
        ALTERNATE_DOMAIN => (len <= 255, Fault::Text),
        USERHASH => (len == 32, Fault::Userhash),
        PASSWORD_ALGORITHM => {
            let one = PasswordAlgorithm::split_first(value).is_some_and(|(_, rest)| rest.is_empty());
            (one, Fault::PasswordAlgorithm)
        }
        PASSWORD_ALGORITHMS => (PasswordAlgorithm::are_whole(value), Fault::PasswordAlgorithm),
        PRIORITY => (len == 4, Fault::Priority),
        FINGERPRINT => (len == 4, Fault::Fingerprint),
        USE_CANDIDATE => (len == 0, Fault::UseCandidate),
        ICE_CONTROLLED | ICE_CONTROLLING => (len == 8, Fault::TieBreaker),
        _ => return Ok(()),
    };
    if right { Ok(()) } else { Err(fault) }
}

/// Whether an attribute that must be understood is.
pub(super) fn is_known(kind: u16) -> bool {
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

/// How a password becomes a key (RFC 8489, sections 14.11 and 14.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordAlgorithm<'a> {
    /// 1 is MD5, 2 is SHA-256 (RFC 8489, section 18.5).
    pub number: u16,
    /// The algorithm's own; both known ones have none.
    pub parameters: &'a [u8],
}

impl<'a> PasswordAlgorithm<'a> {
    /// The first of a list; each begins at a multiple of four, and the last one's padding may be the
    /// attribute's.
    pub(super) fn split_first(list: &'a [u8]) -> Option<(PasswordAlgorithm<'a>, &'a [u8])> {
        let (&[n0, n1, l0, l1], rest) = list.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let parameters = rest.get(..len)?;
        let rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((PasswordAlgorithm { number: u16::from_be_bytes([n0, n1]), parameters }, rest))
    }

    fn are_whole(mut list: &'a [u8]) -> bool {
        while let Some((_, rest)) = PasswordAlgorithm::split_first(list) {
            list = rest;
        }
        list.is_empty()
    }
}
