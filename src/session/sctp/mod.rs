//! SCTP over DTLS (RFC 8261, RFC 8831): the carrier of data channels.
//!
//! An [`Association`] has the five verbs. It makes the handshake of RFC 9260, section 5.1, itself, from the seed it
//! is given, and shows what follows to `sctp-proto`, which does the work of an established association: numbers,
//! acknowledgements, retransmission, congestion control, partial reliability (RFC 3758) and resets of streams
//! (RFC 6525). What that library takes badly, or without a bound, it is not shown (`guard`): each packet is parsed
//! here first, and what is left out is counted under a [`Drop`].
//!
//! Messages are read when [`Association::poll_event`] is called for them, so that an owner who is slow holds the peer
//! back by its window; what the peer is slow to take is bounded by
//! [`limits::SCTP_SEND_BUFFER`](crate::limits::SCTP_SEND_BUFFER). A message that is sent is shared, not copied.
//!
//! Left out: interleaving (RFC 8260) and packets without a checksum (RFC 9653), which the library does not have and
//! which are not offered; several addresses, which DTLS hides; a peer's restart without a new DTLS association.

mod association;
mod backlog;
mod guard;
mod handshake;
mod outcome;
mod outgoing;
#[cfg(test)]
mod tests;

pub use association::{Association, Config, Event, Role};
pub use outcome::{Drop, EndReason, Refusal, SendError};
