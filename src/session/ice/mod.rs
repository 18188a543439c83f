//! ICE (RFC 8445) for one participant: which addresses are the peer's, and which one is in use.
//!
//! Two agents that find each other; the network between them is two buffers:
//!
//! ```
//! use estafette::ice::{Agent, Config, Credentials, LocalCandidate, Mode, Role};
//! use estafette::{Instant, Path, Protocol, limits, random::Random, stun};
//!
//! let mut random = Random::new([7; 32] /* 32 secret random bytes */);
//! let addresses = ["192.0.2.1:1000".parse()?, "198.51.100.1:2000".parse()?];
//! let secrets = [Credentials::random(&mut random, ""), Credentials::random(&mut random, "")];
//! let mut agents = [Role::Controlling, Role::Controlled].map(|role| {
//!     let (own, other) = if role == Role::Controlling { (0, 1) } else { (1, 0) };
//!     let config = Config { mode: Mode::Full, role, ..Config::default() };
//!     let mut agent = Agent::new(config, secrets[own].clone(), random.fork(own as u64));
//!     let [local, remote] = [own, other]
//!         .map(|at| LocalCandidate::host(Protocol::Udp, addresses[at], addresses[at], 1));
//!     agent.add_local_candidate(local).expect("the first");
//!     // What the peer's description says.
//!     agent.set_remote_credentials(secrets[other].clone());
//!     agent.add_remote_candidate(remote.candidate).expect("the first");
//!     agent
//! });
//! let (mut now, mut buf) = (Instant::from_millis(1), [0; limits::MTU]);
//! while agents.iter().any(|agent| agent.selected().is_none()) {
//!     for at in [0, 1] {
//!         agents[at].handle_timeout(now);
//!         while let Some((Path { protocol, local, remote }, len)) = agents[at].poll_transmit(now, &mut buf) {
//!             let seen = Path { protocol, local: remote, remote: local };
//!             agents[1 - at].handle_datagram(now, seen, &stun::Message::parse(&buf[..len])?).ok();
//!         }
//!     }
//!     now = agents.iter().filter_map(|agent| agent.poll_timeout()).min().expect("something is to come");
//! }
//! assert_eq!(agents[0].selected().expect("selected").remote, addresses[1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Lite** is the default: an SFU has public addresses, so it sends no checks to candidates
//! that a description names, answers the peer's, and lets the peer nominate. Two things go beyond
//! the RFC's lite agent. An authenticated request does not cover its source address, which an
//! on-path attacker may therefore forge; so each new address gets a check of ours, and only an
//! answer from there with the peer's password proves it. Until then the answer to
//! [`Agent::allowance`] bounds what may be sent there. And consent (RFC 7675) is kept by our own
//! checks on the selected path: 30 s without an answer end the connection.
//!
//! **Full** makes pairs of both sides' candidates, whenever they come (RFC 8838), and checks the best
//! first, one every 50 ms. The controlling side nominates the best valid pair once: at once, or when
//! better ones had a fifth of a second more. A role conflict switches us at most once by
//! a request's number and once by a 487 in a generation. With a lite
//! peer call [`Agent::set_remote_lite`]: then this side does the work, until a restart with one that is
//! not ([`Agent::set_remote_full`]).
//!
//! A peer that controls may nominate one pair, or (RFC 5245) every pair it checks: then the best of
//! them is selected while it lives. What is nominated on second thought is followed at once. For the
//! best to be the same on both sides, give a lite agent of several addresses its candidates, too.
//!
//! A change of address is a request with USE-CANDIDATE from the new one, our check, its
//! answer, [`Event::Selected`]. A peer whose NAT gave it a new address without its knowledge does
//! not nominate; there the agent moves once the old address left two consent checks unanswered
//! and the new one is proven. A restart is: [`Agent::restart`], then
//! [`Agent::set_remote_credentials`]; the old path serves until one of the new generation is
//! selected.
//!
//! Over TCP (RFC 6544) the peer opens the connections: their paths appear with its first check, and go
//! with [`Agent::forget_path`]. Of many agents behind one socket the [`Directory`] finds the right one.
//!
//! Left out: gathering, TURN, STUN servers, name resolution (the owner adds what it knows), relayed
//! candidates of our own, and several components.

mod agent;
mod candidate;
mod check;
mod checklist;
mod credentials;
mod digest;
mod directory;
mod nomination;
mod pair;
mod request;

#[cfg(test)]
mod tests;

pub use agent::Agent;
pub use candidate::{Candidate, CandidateKind, LocalCandidate};
pub use credentials::{Credentials, CredentialsError};
pub use directory::Directory;

use crate::wire::mux::Path;
use crate::wire::stun;

/// How much of ICE an agent does (RFC 8445, section 2.5).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Public addresses, always controlled, answers only: an SFU.
    #[default]
    Lite,
    /// Makes pairs of both sides' candidates and checks them.
    Full,
}

/// Which side nominates (RFC 8445, section 6.1.1).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This side: it made the first offer, or its peer is lite.
    Controlling,
    /// The peer.
    #[default]
    Controlled,
}

/// How an agent behaves. The times of checks and consent are the RFCs' and stand in
/// [`limits`](crate::limits).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How much of ICE the agent does.
    pub mode: Mode,
    /// Which side it is to begin with; a lite agent is controlled, whatever stands here.
    pub role: Role,
    /// Whether candidates at loopback, link-local and private addresses are checked. Off, a peer
    /// cannot aim our checks into our own network.
    pub private_candidates: bool,
    /// Whether something may be attached to checks that go to addresses which a description only names
    /// ([`Agent::poll_transmit_with`]): for a client, who knows its server. Off, nobody can have long datagrams sent to
    /// somebody else's address.
    pub attach_to_named: bool,
}

/// Adds attributes to a message that is being written: at most so many bytes, what fills them up included.
pub type Attach<'a> = dyn FnMut(&mut stun::Writer<'_>, usize) + 'a;

/// A fact for the agent's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message authenticated with our password came from here for the first time: datagrams of
    /// this path are this participant's. At most
    /// [`limits::ADDRESSES_PER_PARTICIPANT`](crate::limits::ADDRESSES_PER_PARTICIPANT) at once of a
    /// lite agent, [`limits::PAIRS`](crate::limits::PAIRS) of a full one.
    AddressKnown(Path),
    /// Datagrams of this path are nobody's any more.
    AddressForgotten(Path),
    /// Everything is to be sent here from now on: nominated, and proven by an answer to our own
    /// check. Also after a restart, even if the path is the same.
    Selected(Path),
    /// Consent is lost or was revoked: nothing may be sent until a restart has selected a path.
    Disconnected,
    /// Each pair of this generation failed and the peer has named all its candidates
    /// ([`Agent::end_of_candidates`]): unless a check of the peer's still comes, only a restart
    /// leads to a path. Not before [`limits::ICE_PATIENCE`](crate::limits::ICE_PATIENCE).
    Failed,
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

/// More candidates of one side than [`limits::CANDIDATES`](crate::limits::CANDIDATES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many ICE candidates")]
pub struct LimitReached;
