//! What can be wrong with a packet.

use crate::wire::malformed::Malformed;

/// The field of a packet that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Shorter than a header and a chunk.
    #[error("the packet is too short")]
    Length,
    /// Not the checksum of these bytes (RFC 9260, section 6.8).
    #[error("the checksum is wrong")]
    Checksum,
    /// A chunk's length below four, or past the packet's end (section 3.2).
    #[error("a chunk has a wrong length")]
    ChunkLength,
    /// INIT, INIT ACK or SHUTDOWN COMPLETE beside other chunks (section 6.10).
    #[error("a chunk that stands alone is bundled with others")]
    Bundled,
    /// An INIT or INIT ACK that is too short, or with a tag, a number of streams or a window that is not allowed
    /// (section 3.3.2).
    #[error("the INIT is not valid")]
    Init,
    /// A parameter past the end of its chunk (section 3.2.1).
    #[error("a parameter has a wrong length")]
    Parameter,
    /// A DATA chunk without data (section 3.3.1).
    #[error("the DATA chunk is not valid")]
    Data,
    /// A SACK whose blocks are not all there, or not in order (section 3.3.4).
    #[error("the SACK is not valid")]
    Sack,
    /// A FORWARD TSN whose streams are not all there (RFC 3758, section 3.2).
    #[error("the FORWARD TSN is not valid")]
    ForwardTsn,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 9] = [
        Self::Length,
        Self::Checksum,
        Self::ChunkLength,
        Self::Bundled,
        Self::Init,
        Self::Parameter,
        Self::Data,
        Self::Sack,
        Self::ForwardTsn,
    ];

    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "sctp.length",
            Self::Checksum => "sctp.checksum",
            Self::ChunkLength => "sctp.chunk_length",
            Self::Bundled => "sctp.bundled",
            Self::Init => "sctp.init",
            Self::Parameter => "sctp.parameter",
            Self::Data => "sctp.data",
            Self::Sack => "sctp.sack",
            Self::ForwardTsn => "sctp.forward_tsn",
        }
    }
}

/// Why bytes are no packet, or a chunk is none of its kind.
pub type ParseError = Malformed<Fault>;
