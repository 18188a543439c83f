//! What the embedder decides once, checked when it is handed over.

use crate::base::limits;
use crate::conference::negotiation::Codec;
use crate::session::dtls;
use std::net::SocketAddr;

/// The configuration of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Addresses announced to participants as host candidates, the preferred ones first: where this
    /// engine's UDP socket is reached from outside. Behind NAT the public address stands here, while
    /// [`Path::local`](crate::Path::local) is the one that is bound.
    pub candidates: Vec<SocketAddr>,
    /// The same of TCP, where connections are accepted (RFC 6544, passive): what comes over them goes to
    /// [`Engine::handle_stream`](crate::Engine::handle_stream). Participants prefer UDP.
    pub tcp_candidates: Vec<SocketAddr>,
    /// This engine's number among those that share a port; it begins every ICE user fragment, where
    /// [`crate::mux::engine_of`] finds it.
    pub number: u16,
    /// The DTLS certificate, or one of the engine's own making.
    pub certificate: Option<dtls::Certificate>,
    /// DTLS versions and limits.
    pub dtls: dtls::Config,
    /// What is negotiated with participants, in order of preference.
    pub codecs: Vec<Codec>,
    /// Largest datagram sent, in bytes, at most [`limits::MTU`].
    pub mtu: usize,
    /// Rooms at once, at most [`limits::ROOMS`].
    pub max_rooms: usize,
    /// Participants at once, at most [`limits::PARTICIPANTS`].
    pub max_participants: usize,
    /// History pages of [`limits::HISTORY_PAGE`] bytes at once, at most [`limits::HISTORY_PAGES`].
    pub max_history_pages: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            candidates: Vec::new(),
            tcp_candidates: Vec::new(),
            number: 0,
            certificate: None,
            dtls: dtls::Config::default(),
            codecs: Codec::defaults(),
            mtu: 1_300,
            max_rooms: limits::ROOMS,
            max_participants: limits::PARTICIPANTS,
            max_history_pages: limits::HISTORY_PAGES,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A limit is zero or above its constant in [`limits`].
    #[error("{0} is zero or above its limit")]
    OutOfRange(&'static str),
    /// The list of codecs is empty or longer than [`limits::CODECS`].
    #[error("the list of codecs is empty or too long")]
    Codecs,
    /// A candidate's port is zero or its address is not one that can be sent to.
    #[error("a candidate is not an address that can be reached")]
    Candidate,
    /// No certificate could be made.
    #[error("no certificate could be generated")]
    Certificate,
    /// The DTLS settings are out of range.
    #[error("{0}")]
    Dtls(dtls::ConfigError),
}

impl EngineConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("mtu", self.mtu, limits::MTU),
            ("max_rooms", self.max_rooms, limits::ROOMS),
            ("max_participants", self.max_participants, limits::PARTICIPANTS),
            ("max_history_pages", self.max_history_pages, limits::HISTORY_PAGES),
        ];
        for (name, value, limit) in ranges {
            if value == 0 || value > limit {
                return Err(ConfigError::OutOfRange(name));
            }
        }
        if self.mtu < limits::MIN_MTU {
            return Err(ConfigError::OutOfRange("mtu"));
        }
        if self.codecs.is_empty() || self.codecs.len() > limits::CODECS {
            return Err(ConfigError::Codecs);
        }
        let unreachable = |address: &SocketAddr| {
            address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast()
        };
        let mut candidates = self.candidates.iter().chain(&self.tcp_candidates);
        if candidates.clone().count() > limits::CANDIDATES {
            return Err(ConfigError::OutOfRange("candidates"));
        }
        if candidates.any(unreachable) {
            return Err(ConfigError::Candidate);
        }
        Ok(())
    }
}

/// Which sources the participants of a room receive without asking.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeRule {
    /// Every source of every other participant, up to
    /// [`crate::limits::SUBSCRIPTIONS_PER_PARTICIPANT`]; what came later has to be asked for
    /// ([`crate::Participant::subscribe`]) when there is room again.
    #[default]
    All,
    /// None: [`crate::Participant::subscribe`] decides.
    None,
}

/// The configuration of a room.
#[derive(Debug, Clone)]
pub struct RoomConfig {
    /// What everybody receives without asking.
    pub subscribe: SubscribeRule,
    /// Participants at once, at most [`limits::PARTICIPANTS_PER_ROOM`].
    pub max_participants: usize,
}

impl Default for RoomConfig {
    fn default() -> Self {
        RoomConfig { subscribe: SubscribeRule::All, max_participants: limits::PARTICIPANTS_PER_ROOM }
    }
}

/// The configuration of a participant.
#[derive(Debug, Clone)]
pub struct ParticipantConfig {
    /// Names the participant to the others: the stream identifier (msid) of its sources in their SDP is
    /// `p` and this label. Letters, digits, `-` and `_`, at most [`limits::LABEL`] bytes.
    pub label: String,
    /// Whether its sources are forwarded.
    pub publish: bool,
    /// Whether it receives the sources of others.
    pub receive: bool,
    /// Whether it takes offers of ours. One that does not (WHEP is such a protocol) is never asked for
    /// one; instead each line on which its offer takes media is answered as sending, and one that
    /// carries no source yet carries the first of its kind that comes, until that ends.
    pub renegotiates: bool,
}

impl Default for ParticipantConfig {
    fn default() -> Self {
        ParticipantConfig { label: String::new(), publish: true, receive: true, renegotiates: true }
    }
}

impl ParticipantConfig {
    pub(super) fn label_is_token(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        self.label.len() <= limits::LABEL && self.label.bytes().all(allowed)
    }
}
