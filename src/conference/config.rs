//! What the embedder decides once, checked when it is handed over.

use crate::base::limits;
use crate::base::units::Bitrate;
use crate::conference::negotiation::Codec;
use crate::session::{dtls, ice};
use crate::wire::mux::Protocol;
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
    /// How much of ICE is done. [`Lite`](ice::Mode::Lite), the default, suits public addresses. With
    /// [`Full`](ice::Mode::Full) the candidates of participants are checked as well, which opens a NAT or
    /// a firewall in front of this engine. With a participant that is lite itself this side is full
    /// always (RFC 8445, section 6.1.1).
    pub ice: ice::Mode,
    /// The address as bound of each of `candidates`, which is what [`Path::local`](crate::Path::local)
    /// says; empty if they are the same. Only full ICE asks for it, which a participant that is lite makes
    /// of lite as well.
    pub candidate_bases: Vec<SocketAddr>,
    /// Whether full ICE also checks candidates at loopback, link-local and private addresses: off, no
    /// participant can aim checks into the engine's own network (S-STUN-11).
    pub private_candidates: bool,
    /// This engine's number among those that share a port; it begins every ICE user fragment, where
    /// [`crate::mux::engine_of`] finds it.
    pub number: u16,
    /// The DTLS certificate, or one of the engine's own making;
    /// [`Engine::set_certificate`](crate::Engine::set_certificate) replaces it.
    pub certificate: Option<dtls::Certificate>,
    /// DTLS versions and limits.
    pub dtls: dtls::Config,
    /// What is negotiated with participants, in order of preference.
    pub codecs: Vec<Codec>,
    /// Whether participants who ask for it with `a=cryptex` get RTP with encrypted header extensions
    /// (Cryptex, RFC 9335), both ways.
    pub cryptex: bool,
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
            ice: ice::Mode::Lite,
            candidate_bases: Vec::new(),
            private_candidates: false,
            number: 0,
            certificate: None,
            dtls: dtls::Config::default(),
            codecs: Codec::defaults(),
            cryptex: true,
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
        if !self.candidate_bases.is_empty() && self.candidate_bases.len() != self.candidates.len() {
            return Err(ConfigError::OutOfRange("candidate_bases"));
        }
        Ok(())
    }

    /// Our UDP candidates, as the descriptions rank them.
    pub(super) fn local_candidates(&self) -> impl Iterator<Item = ice::LocalCandidate> {
        // The descriptions begin at the largest preference, for each protocol.
        let preferences = || (1..=u16::MAX).rev();
        let udp = self.candidates.iter().enumerate().zip(preferences());
        let udp = udp.map(|((index, announced), preference)| {
            let base = self.candidate_bases.get(index).unwrap_or(announced);
            ice::LocalCandidate::host(Protocol::Udp, *base, *announced, preference)
        });
        // Nothing is sent to open a connection; but checks that come over one count by its priority, in
        // which three bits less are left for the preference (RFC 6544, section 4.2).
        let tcp = self.tcp_candidates.iter().zip(preferences().step_by(8)).map(|(announced, preference)| {
            ice::LocalCandidate::host(Protocol::Tcp, *announced, *announced, preference)
        });
        udp.chain(tcp)
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
    /// Whether payloads are encrypted end to end: then nothing is read of them but the clear descriptors of VP8
    /// and VP9, and layers are selected by those and by the dependency descriptor.
    pub opaque: bool,
    /// Participants at once, at most [`limits::PARTICIPANTS_PER_ROOM`].
    pub max_participants: usize,
}

impl Default for RoomConfig {
    fn default() -> Self {
        RoomConfig {
            subscribe: SubscribeRule::All,
            opaque: false,
            max_participants: limits::PARTICIPANTS_PER_ROOM,
        }
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
    /// Packets of RTP taken from it in a second, at most [`limits::PUBLISH_PACKETS`]; those above are
    /// dropped, and a larger value counts as that.
    pub max_publish_packets: u32,
    /// Its RTP in bits per second, headers included, at most [`limits::PUBLISH_BITRATE`]; likewise.
    pub max_publish_bitrate: Bitrate,
    /// Whether it takes offers of ours. One that does not (WHEP is such a protocol) is never asked for
    /// one; instead each line on which its offer takes media is answered as sending, and one that
    /// carries no source yet carries the first of its kind that comes, until that ends.
    pub renegotiates: bool,
}

impl Default for ParticipantConfig {
    fn default() -> Self {
        ParticipantConfig {
            label: String::new(),
            publish: true,
            receive: true,
            renegotiates: true,
            max_publish_packets: limits::PUBLISH_PACKETS,
            max_publish_bitrate: limits::PUBLISH_BITRATE,
        }
    }
}

impl ParticipantConfig {
    pub(super) fn label_is_token(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        self.label.len() <= limits::LABEL && self.label.bytes().all(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_candidate_has_a_base_of_its_own_or_none_has() {
        let [public, other, bound] =
            ["192.0.2.1:9", "[2001:db8::1]:9", "10.0.0.1:9"].map(|text| text.parse().unwrap());
        let config = |candidate_bases| EngineConfig {
            candidates: vec![public, other],
            candidate_bases,
            ..EngineConfig::default()
        };
        assert_eq!(config(vec![bound]).check(), Err(ConfigError::OutOfRange("candidate_bases")));
        for (bases, expected) in [(vec![], [public, other]), (vec![bound, other], [bound, other])] {
            let config = config(bases);
            assert_eq!(config.check(), Ok(()));
            let locals: Vec<_> = config.local_candidates().collect();
            assert_eq!([locals[0].base, locals[1].base], expected);
            assert_eq!([locals[0].candidate.address, locals[1].candidate.address], [public, other]);
            // As the descriptions say.
            assert_eq!([0, 1].map(|at| locals[at].candidate.priority), [2_130_706_431, 2_130_706_175]);
        }
    }
    #[test]
    fn rfc_6544_4_2_candidates_of_tcp_are_known_and_below_those_of_udp() {
        let addresses: [SocketAddr; 2] = ["192.0.2.1:9", "[2001:db8::1]:9"].map(|text| text.parse().unwrap());
        let config = EngineConfig {
            candidates: addresses.to_vec(),
            tcp_candidates: addresses.to_vec(),
            ..EngineConfig::default()
        };
        let locals: Vec<_> = config.local_candidates().map(|local| local.candidate).collect();
        let of = |protocol| locals.iter().filter(move |local| local.protocol == protocol);
        assert_eq!((of(Protocol::Udp).count(), of(Protocol::Tcp).count()), (2, 2));
        // As the descriptions say.
        let tcp: Vec<_> = of(Protocol::Tcp).map(|local| local.priority).collect();
        let described = |index: u32| 90 << 24 | (4 << 13 | (8_191 - index)) << 8 | 255;
        assert_eq!(tcp, [0, 1].map(described));
        assert!(locals.windows(2).all(|pair| pair[0].priority > pair[1].priority), "{locals:?}");
    }
}
