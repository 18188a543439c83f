//! What can be wrong with a STUN message, one fault for each field.

use crate::wire::malformed::Malformed;

/// Why a datagram is no STUN message, and where; of an attribute the place is that of its header.
pub type ParseError = Malformed<Fault>;

/// The field that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Fewer than the 20 bytes of a header.
    #[error("shorter than a STUN header")]
    Header,
    /// One of the two bits in front of the type is set.
    #[error("not a STUN message: a top bit is set")]
    Type,
    /// Another magic cookie.
    #[error("not a STUN message: another magic cookie")]
    Cookie,
    /// The length is not the datagram's, or no multiple of four.
    #[error("wrong STUN message length")]
    Length,
    /// An attribute runs past the end.
    #[error("a STUN attribute ends after its message")]
    Attribute,
    /// MAPPED-ADDRESS, XOR-MAPPED-ADDRESS or ALTERNATE-SERVER of no address' length.
    #[error("a STUN address of wrong length")]
    Address,
    /// USERNAME longer than [`limits::STUN_USERNAME`](crate::limits::STUN_USERNAME).
    #[error("a STUN USERNAME too long")]
    Username,
    /// USERHASH of another length than 32.
    #[error("a STUN USERHASH of wrong length")]
    Userhash,
    /// MESSAGE-INTEGRITY of another length than 20.
    #[error("a STUN MESSAGE-INTEGRITY of wrong length")]
    Integrity,
    /// MESSAGE-INTEGRITY-SHA256 of another length than 16, 20, 24, 28 or 32.
    #[error("a STUN MESSAGE-INTEGRITY-SHA256 of wrong length")]
    IntegritySha256,
    /// ERROR-CODE without a code, or with too long a reason.
    #[error("a STUN ERROR-CODE of wrong length")]
    ErrorCode,
    /// UNKNOWN-ATTRIBUTES that are no list of 16 bits each.
    #[error("a STUN UNKNOWN-ATTRIBUTES of odd length")]
    UnknownAttributes,
    /// REALM, NONCE or SOFTWARE longer than [`limits::STUN_TEXT`](crate::limits::STUN_TEXT), or
    /// ALTERNATE-DOMAIN longer than a name.
    #[error("a STUN text too long")]
    Text,
    /// PASSWORD-ALGORITHM or PASSWORD-ALGORITHMS whose lengths contradict each other.
    #[error("a STUN password algorithm is cut")]
    PasswordAlgorithm,
    /// PRIORITY of another length than four.
    #[error("a STUN PRIORITY of wrong length")]
    Priority,
    /// USE-CANDIDATE with a value.
    #[error("a STUN USE-CANDIDATE with a value")]
    UseCandidate,
    /// ICE-CONTROLLED or ICE-CONTROLLING of another length than eight.
    #[error("a STUN tie-breaker of wrong length")]
    TieBreaker,
    /// FINGERPRINT does not match, is not the last attribute, or has another length than four.
    #[error("wrong STUN fingerprint")]
    Fingerprint,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 18] = [
        Self::Header,
        Self::Type,
        Self::Cookie,
        Self::Length,
        Self::Attribute,
        Self::Address,
        Self::Username,
        Self::Userhash,
        Self::Integrity,
        Self::IntegritySha256,
        Self::ErrorCode,
        Self::UnknownAttributes,
        Self::Text,
        Self::PasswordAlgorithm,
        Self::Priority,
        Self::UseCandidate,
        Self::TieBreaker,
        Self::Fingerprint,
    ];

    /// The fault as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "stun.header",
            Self::Type => "stun.type",
            Self::Cookie => "stun.cookie",
            Self::Length => "stun.length",
            Self::Attribute => "stun.attribute",
            Self::Address => "stun.address",
            Self::Username => "stun.username",
            Self::Userhash => "stun.userhash",
            Self::Integrity => "stun.integrity",
            Self::IntegritySha256 => "stun.integrity_sha256",
            Self::ErrorCode => "stun.error_code",
            Self::UnknownAttributes => "stun.unknown_attributes",
            Self::Text => "stun.text",
            Self::PasswordAlgorithm => "stun.password_algorithm",
            Self::Priority => "stun.priority",
            Self::UseCandidate => "stun.use_candidate",
            Self::TieBreaker => "stun.tie_breaker",
            Self::Fingerprint => "stun.fingerprint",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_own_name_and_place() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
            assert_eq!(Fault::ALL.iter().filter(|other| other.name() == fault.name()).count(), 1);
        }
    }
}
