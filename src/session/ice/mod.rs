//! ICE (RFC 8445) for one participant: which addresses are the peer's, and which one is in use.
//!
//! The agent is ICE-lite by default: it has public addresses, so it sends no checks to candidates
//! that a description names, answers the peer's, and lets the peer nominate. Two things go beyond
//! the RFC's lite agent. An authenticated request does not cover its source address, which an
//! on-path attacker may therefore forge; so each new address gets a check of ours, and only an
//! answer from there with the peer's password proves it. Until then the answer to
//! [`Agent::allowance`] bounds what may be sent there. And consent (RFC 7675) is kept by our own
//! checks on the selected path: 30 s without an answer end the connection.
//!
//! A change of address is thus: request with USE-CANDIDATE from the new one, our check, its
//! answer, [`Event::Selected`]. A peer whose NAT gave it a new address without its knowledge does
//! not nominate; there the agent moves once the old address left two consent checks unanswered
//! and the new one is proven. A restart is: [`Agent::restart`], then
//! [`Agent::set_remote_credentials`]; the old path serves until one of the new generation is
//! selected.
//!
//! [`Mode::Controlling`] is the other side, for clients of tests and examples: it checks the
//! candidates it is given, nominates the first that answers and keeps consent.
//!
//! Left out: gathering, TURN, STUN servers, several components, full ICE in the controlled role,
//! and the switch of roles: a lite agent is always controlled (section 6.1.1).

mod address;
mod agent;
mod candidate;
mod check;
mod credentials;
mod digest;
mod request;

#[cfg(test)]
mod tests;

pub use agent::Agent;
pub use candidate::{Candidate, CandidateKind};
pub use credentials::{Credentials, CredentialsError};

use crate::wire::mux::Path;
use std::net::SocketAddr;

/// What part the agent plays.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Public addresses, always controlled: an SFU.
    #[default]
    Lite,
    /// Checks the peer's candidates from one address of its own, nominates the first that answers.
    Controlling {
        /// Our address, as bound.
        local: SocketAddr,
    },
}

/// How an agent behaves. The times of checks and consent are the RFCs' and stand in
/// [`limits`](crate::limits).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What part the agent plays.
    pub mode: Mode,
    /// Whether candidates at loopback, link-local and private addresses are checked. Off, a peer
    /// cannot aim our checks into our own network.
    pub private_candidates: bool,
}

/// A fact for the agent's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message authenticated with our password came from here for the first time: datagrams of
    /// this path are this participant's. At most
    /// [`limits::ADDRESSES_PER_PARTICIPANT`](crate::limits::ADDRESSES_PER_PARTICIPANT) at once.
    AddressKnown(Path),
    /// Datagrams of this path are nobody's any more.
    AddressForgotten(Path),
    /// Everything is to be sent here from now on: nominated, and proven by an answer to our own
    /// check. Also after a restart, even if the path is the same.
    Selected(Path),
    /// Consent is lost or was revoked: nothing may be sent until a restart has selected a path.
    Disconnected,
}

/// What an accepted message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A request with our password; its answer waits for a poll.
    Request,
    /// The answer to a check of ours, with the peer's password.
    Response,
    /// A keep-alive: it proves nothing and changed nothing (RFC 8445, section 11).
    Indication,
}

/// Why a message was dropped. Nothing changed and nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Drop {
    /// Not the Binding method.
    Method,
    /// No FINGERPRINT (RFC 8445, section 7.3).
    Fingerprint,
    /// USERNAME is missing, not UTF-8, or has no colon.
    Username,
    /// USERNAME is for somebody else.
    UnknownUsername,
    /// MESSAGE-INTEGRITY is missing or was made with another password.
    Integrity,
    /// The source is an address that nothing is ever sent to.
    Address,
    /// The consent of this generation is lost.
    ConsentLost,
    /// The answer would be longer than the request.
    ReplyTooLong,
    /// Too many answers wait for a poll already.
    Busy,
    /// A response to no check of ours, or too late.
    UnknownTransaction,
    /// A response that came on another path than its request left on.
    Asymmetric,
    /// A response with attributes that we had to understand.
    UnknownAttribute,
}

impl Drop {
    /// All reasons, for tables of counters.
    pub const ALL: [Drop; 12] = [
        Drop::Method,
        Drop::Fingerprint,
        Drop::Username,
        Drop::UnknownUsername,
        Drop::Integrity,
        Drop::Address,
        Drop::ConsentLost,
        Drop::ReplyTooLong,
        Drop::Busy,
        Drop::UnknownTransaction,
        Drop::Asymmetric,
        Drop::UnknownAttribute,
    ];

    /// A stable name for counters.
    pub const fn name(self) -> &'static str {
        match self {
            Drop::Method => "ice.method",
            Drop::Fingerprint => "ice.fingerprint",
            Drop::Username => "ice.username",
            Drop::UnknownUsername => "ice.unknown_username",
            Drop::Integrity => "ice.integrity",
            Drop::Address => "ice.address",
            Drop::ConsentLost => "ice.consent_lost",
            Drop::ReplyTooLong => "ice.reply_too_long",
            Drop::Busy => "ice.busy",
            Drop::UnknownTransaction => "ice.unknown_transaction",
            Drop::Asymmetric => "ice.asymmetric",
            Drop::UnknownAttribute => "ice.unknown_attribute",
        }
    }

    /// The place in [`ALL`](Drop::ALL).
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// More remote candidates than [`limits::CANDIDATES`](crate::limits::CANDIDATES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many remote ICE candidates")]
pub struct LimitReached;
