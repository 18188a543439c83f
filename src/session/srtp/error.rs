//! What can go wrong, as data.

/// Key and salt do not have the lengths that the profile demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key or the salt has the wrong length for this SRTP profile")]
pub struct KeyError;

/// Why a datagram was not opened. Nothing but the output buffer has changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The datagram ends before its header, tag or index does.
    #[error("the packet is too short")]
    TooShort,
    /// The output buffer cannot take the plaintext: a mistake of the caller, not of the network.
    #[error("the plaintext does not fit the output buffer")]
    NoSpace,
    /// This index was opened before, or lies behind the window in which that is remembered.
    #[error("the packet was seen before or is too old to tell")]
    Replayed,
    /// The tag is not the one that the peer's key gives.
    #[error("the packet is not authentic")]
    Authentication,
    /// The peer uses as many SSRCs as it may.
    #[error("the peer uses too many sources")]
    TooManySources,
    /// The index of this stream came to its end and needs a new key (RFC 3711, section 9.2).
    #[error("the key is used up")]
    Exhausted,
    /// RTCP without its encryption flag, where encryption was negotiated.
    #[error("the control packet is not encrypted")]
    Unencrypted,
    /// A header that Cryptex encrypted, where that was not negotiated (RFC 9335, section 4).
    #[error("the header is encrypted, which was not negotiated")]
    Cryptex,
}

impl OpenError {
    /// Every reason, in the order of [`OpenError::index`].
    pub const ALL: [OpenError; 8] = [
        OpenError::TooShort,
        OpenError::NoSpace,
        OpenError::Replayed,
        OpenError::Authentication,
        OpenError::TooManySources,
        OpenError::Exhausted,
        OpenError::Unencrypted,
        OpenError::Cryptex,
    ];

    /// The reason's place among [`OpenError::ALL`], for a table of counters.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The reason's name among the reasons of drops.
    pub const fn name(self) -> &'static str {
        match self {
            OpenError::TooShort => "srtp.short",
            OpenError::NoSpace => "srtp.space",
            OpenError::Replayed => "srtp.replay",
            OpenError::Authentication => "srtp.authentication",
            OpenError::TooManySources => "srtp.sources",
            OpenError::Exhausted => "srtp.exhausted",
            OpenError::Unencrypted => "srtp.unencrypted",
            OpenError::Cryptex => "srtp.cryptex",
        }
    }
}

/// Why a packet was not sealed. The buffer then holds nothing to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The packet with its tag does not fit the buffer.
    #[error("the sealed packet does not fit the buffer")]
    NoSpace,
    /// Control traffic ends before its header of eight bytes does.
    #[error("the packet is too short")]
    TooShort,
    /// The payload is longer than one nonce can encrypt: 1 MiB with AES-CM (RFC 3711, section 4.1.1),
    /// 64 GB with AES-GCM (RFC 5116, section 5.1).
    #[error("the payload is too long")]
    TooLong,
    /// Cryptex is in use and the header extension is none of RFC 8285, or not in the header as told.
    #[error("the header extension cannot be encrypted")]
    Extension,
    /// The index reached its end, 2^48 packets of a stream or 2^31 - 1 control packets: the key must not be
    /// used any more (RFC 3711, section 9.2).
    #[error("the key is used up")]
    Exhausted,
}
