//! How things end: dropped packets, refused messages, lost associations.

use crate::wire::sctp::Fault;

/// Writes [`Drop`], its order and its names from one list.
macro_rules! drops {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a packet, or a chunk of it, was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Drop {
            $($(#[$doc])* $variant,)*
        }

        impl Drop {
            /// Each of them, in the order of their discriminants.
            pub const ALL: [Drop; [$(Drop::$variant),*].len()] = [$(Drop::$variant),*];

            /// The reason as a metric's label.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Drop::$variant => $name,)*
                }
            }
        }
    };
}

drops! {
    /// The association has ended.
    Ended = "sctp.ended",
    /// Ports that were not agreed on.
    Ports = "sctp.ports",
    /// Another association's verification tag (RFC 9260, section 8.5).
    Tag = "sctp.tag",
    /// A chunk that the handshake has no use for at this moment.
    Handshake = "sctp.handshake",
    /// An INIT of a peer that begins anew.
    Restart = "sctp.restart",
    /// A chunk of a type that is not known, or of no use here: ERROR, HEARTBEAT ACK.
    Chunk = "sctp.unknown_chunk",
    /// Data too far ahead of what is acknowledged ([`crate::limits::SCTP_AHEAD`]), or numbers that are skipped
    /// ([`crate::limits::SCTP_FORWARD`]), or without having been agreed on.
    Ahead = "sctp.ahead",
    /// Data of one stream too many ([`crate::limits::SCTP_STREAMS`]).
    Streams = "sctp.streams",
    /// Data while the owner is behind and as many pieces as are kept wait already
    /// ([`crate::limits::SCTP_PIECES`]); or numbers that are skipped at such a time.
    Behind = "sctp.behind",
    /// More to answer than waits between two polls ([`crate::limits::SCTP_UNPOLLED`]).
    Unpolled = "sctp.unpolled",
    /// An acknowledgement whose blocks name too many numbers ([`crate::limits::SCTP_GAPS`]).
    Gaps = "sctp.gaps",
    /// A reset of streams while as many as are taken are not fetched yet ([`crate::limits::SCTP_EVENTS`]), or data
    /// for the next life of a stream whose reset is not over.
    Resets = "sctp.resets",
    /// A message of a kind that has no meaning on data channels.
    Protocol = "sctp.protocol",
    /// A message on a stream that this end has closed.
    Closed = "sctp.closed_stream",
}

/// Why a packet, or a part of it, was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It is not well formed.
    Malformed(Fault),
    /// It is of no use.
    Dropped(Drop),
}

/// Why a message was not taken. Nothing is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Not established, or at its end.
    #[error("the association is not established")]
    NotConnected,
    /// The stream is being closed.
    #[error("the stream is closed")]
    StreamClosed,
    /// Of a kind that has no meaning on data channels.
    #[error("the payload protocol identifier is no data channel's")]
    UnknownProtocol,
    /// Longer than the peer takes, or than [`limits::CHANNEL_MESSAGE`](crate::limits::CHANNEL_MESSAGE).
    #[error("the message is longer than the peer takes")]
    TooLong,
    /// It would not fit into [`limits::SCTP_SEND_BUFFER`](crate::limits::SCTP_SEND_BUFFER), of which a stream has no
    /// more than [`limits::CHANNEL_BUFFER`](crate::limits::CHANNEL_BUFFER); or the peer has not acknowledged
    /// [`limits::SCTP_UNDER_WAY`](crate::limits::SCTP_UNDER_WAY) pieces.
    /// [`Event::Drained`](super::Event::Drained) tells when it goes on.
    #[error("too much waits to be sent")]
    BufferFull,
}

/// Why an association is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EndReason {
    /// The peer did not answer.
    #[error("the peer did not answer")]
    Timeout,
    /// The peer gave it up.
    #[error("the peer aborted the association")]
    Aborted,
    /// The peer shut it down.
    #[error("the peer shut the association down")]
    Shutdown,
    /// The peer broke the protocol: it acknowledged what was not sent (RFC 9260, section 12.4), or sent a message
    /// above the size that it was told (RFC 8841, section 6).
    #[error("the peer broke the protocol")]
    Protocol,
    /// The peer made this end hold more unfinished pieces, or resets, than it does.
    #[error("the peer's unfinished messages or resets take too much")]
    Resources,
}

impl EndReason {
    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            EndReason::Timeout => "sctp.timeout",
            EndReason::Aborted => "sctp.aborted",
            EndReason::Shutdown => "sctp.shutdown",
            EndReason::Protocol => "sctp.protocol_violation",
            EndReason::Resources => "sctp.resources",
        }
    }
}
