//! What the embedder decides once, checked when it is handed over.

use crate::base::limits;
use crate::base::units::Bitrate;
use crate::conference::bounds::VideoLimits;
use crate::conference::candidate::HostCandidate;
use crate::conference::congestion;
use crate::conference::data::Route;
use crate::conference::negotiation::{Codec, FeedbackKind};
use crate::conference::sharing::Class;
use crate::conference::view::View;
use crate::congestion::{allocation, bwe};
use crate::forwarding::speakers;
use crate::session::{dtls, ice};
use std::net::SocketAddr;

/// The configuration of an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where this engine is reached, the preferred ones of each protocol first; participants prefer UDP.
    /// At most [`limits::CANDIDATES`].
    pub candidates: Vec<HostCandidate>,
    /// How much of ICE is done. [`Lite`](ice::Mode::Lite), the default, suits public addresses. With
    /// [`Full`](ice::Mode::Full) the candidates of participants are checked as well, which opens a NAT or
    /// a firewall in front of this engine. With a participant that is lite itself this side is full
    /// always (RFC 8445, section 6.1.1).
    pub ice: ice::Mode,
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
    /// Whether the DTLS handshake of participants who offer that rides on checks of ICE
    /// ([`sped`](crate::sped)): they are connected up to a round trip sooner.
    pub sped: bool,
    /// Whether data channels of participants who offer that begin without a handshake of SCTP
    /// (`a=sctp-init`, draft-hancke-tsvwg-snap-00): they are open up to two round trips sooner.
    pub snap: bool,
    /// What is believed of the path to a participant whose feedback tells of it, before it does, at least and at most.
    /// Video is paced by it, and what is worth knowing is probed. `None`: nothing is estimated.
    pub estimate: Option<bwe::Config>,
    /// How many decisions are kept for [`crate::Engine::poll_decision`], at most [`limits::DECISIONS`]; 0 keeps none.
    pub decisions: usize,
    /// What all participants are sent together at most, as [`RoomConfig::ceiling`] for a room.
    pub ceiling: Option<Bitrate>,
    /// What is sent of video at most, in each room; a room's own limits count as well ([`RoomConfig::video`]).
    pub video: VideoLimits,
    /// The pace of video to participants who give no such feedback; `None`: it leaves as it comes.
    pub blind_rate: Option<Bitrate>,
    /// Whether media leaves as ECN-capable, as L4S is (ECT(1), RFC 9331), to those who report marks (RFC 8888):
    /// [`Transmit::ecn`](crate::Transmit::ecn) says so then, and the embedder sets it on its socket.
    pub ecn: bool,
    /// The kinds of congestion control feedback that are negotiated, most preferred first: a participant
    /// gives and gets the first one that it knows.
    pub feedback: Vec<FeedbackKind>,
    /// Whether data channels are negotiated.
    pub data: bool,
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
            ice: ice::Mode::Lite,
            private_candidates: false,
            number: 0,
            certificate: None,
            dtls: dtls::Config::default(),
            codecs: Codec::defaults(),
            cryptex: true,
            sped: true,
            snap: true,
            estimate: Some(congestion::bwe_bounds()),
            decisions: 0,
            ceiling: None,
            video: VideoLimits::default(),
            blind_rate: None,
            ecn: false,
            feedback: FeedbackKind::ALL.to_vec(),
            data: true,
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
    /// A candidate's port is zero or its announced address is not one that can be sent to.
    #[error("a candidate is not an address that can be reached")]
    Candidate,
    /// No certificate could be made.
    #[error("no certificate could be generated")]
    Certificate,
    /// The bounds of the estimate are zero or not in order.
    #[error("the bounds of the estimate are not in order")]
    Estimate,
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
        let ordered = |bounds: bwe::Config| {
            Bitrate::ZERO < bounds.min && bounds.min <= bounds.initial && bounds.initial <= bounds.max
        };
        if !self.estimate.is_none_or(ordered) || self.blind_rate == Some(Bitrate::ZERO) {
            return Err(ConfigError::Estimate);
        }
        if self.decisions > limits::DECISIONS {
            return Err(ConfigError::OutOfRange("decisions"));
        }
        let unreachable = |address: &SocketAddr| {
            address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast()
        };
        if self.candidates.len() > limits::CANDIDATES {
            return Err(ConfigError::OutOfRange("candidates"));
        }
        let unusable =
            |candidate: &HostCandidate| unreachable(&candidate.announced) || candidate.base.port() == 0;
        if self.candidates.iter().any(unusable) {
            return Err(ConfigError::Candidate);
        }
        Ok(())
    }
}

/// The configuration of a room.
#[derive(Debug, Clone)]
pub struct RoomConfig {
    /// What everybody receives who has no view of their own ([`crate::Participant::set_view`]).
    pub view: View,
    /// How many of its participants are heard at a time, the loudest, and how firmly they keep their places
    /// (RFC 6464). With [`speakers::Config::top_n`] 0 everybody is.
    pub speakers: speakers::Config,
    /// In which order it counts why a video matters to who receives it, the most important first.
    pub classes: [Class; 4],
    /// What all of its participants are sent together at most, by datagrams with their headers; sound is sent in any
    /// case. It is divided in equal parts, but for what somebody has no use for.
    pub ceiling: Option<Bitrate>,
    /// With less than this left for video by somebody's path, they get sound alone.
    pub least_video: Bitrate,
    /// What is sent of video at most, whatever anybody wishes.
    pub video: VideoLimits,
    /// Whether payloads are encrypted end to end: then nothing is read of them but the clear descriptors of VP8
    /// and VP9, and layers are selected by those and by the dependency descriptor.
    pub opaque: bool,
    /// Where messages on data channels go, unless it is said of the channel ([`crate::Participant::route`]) or of its name.
    pub route: Route,
    /// Where those on channels of these names go, from the first one on.
    pub routes: Vec<(String, Route)>,
    /// Whether a message that is relayed begins with its sender's label, behind a byte that is the label's length: so
    /// who sent it is the engine's word. Otherwise it is passed on as it came. Together they have
    /// [`limits::CHANNEL_MESSAGE`] bytes at most.
    pub stamps: bool,
    /// Participants at once, at most [`limits::PARTICIPANTS_PER_ROOM`].
    pub max_participants: usize,
}

impl Default for RoomConfig {
    fn default() -> Self {
        RoomConfig {
            view: View::default(),
            speakers: speakers::Config::default(),
            classes: Class::ORDER,
            ceiling: None,
            least_video: allocation::Config::default().least_video,
            video: VideoLimits::default(),
            opaque: false,
            route: Route::default(),
            routes: Vec::new(),
            stamps: false,
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
    /// Whether it may have data channels.
    pub data: bool,
    /// Packets of RTP taken from it in a second, at most [`limits::PUBLISH_PACKETS`]; those above are
    /// dropped, and a larger value counts as that.
    pub max_publish_packets: u32,
    /// Its RTP in bits per second, headers included, at most [`limits::PUBLISH_BITRATE`]; likewise.
    pub max_publish_bitrate: Bitrate,
    /// Lines that the sources it receives share, instead of a line for each: who is seen and heard changes on
    /// them without a description, as [`Event::LineChanged`](crate::Event::LineChanged) tells. Its description
    /// then never grows, whoever joins; but sound and picture of one publisher have no common name (msid), so
    /// that lips are in sync as far as they arrive together.
    pub shared_lines: Option<SharedLines>,
    /// Whether it takes offers of ours. One that does not (WHEP is such a protocol) is never asked for
    /// one: the lines on which its own offer takes media are the ones that are shared.
    pub renegotiates: bool,
}

/// How many lines are shared, at most [`limits::SHARED_LINES`] of each kind; a larger number counts as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedLines {
    /// Of audio: as many as are heard at a time ([`RoomConfig::speakers`]) are enough.
    pub audio: u16,
    /// Of video.
    pub video: u16,
}

impl Default for ParticipantConfig {
    fn default() -> Self {
        ParticipantConfig {
            label: String::new(),
            publish: true,
            receive: true,
            data: true,
            shared_lines: None,
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
    fn a_candidate_can_be_sent_to_and_is_bound_to_a_port() {
        let candidate = |text: &str| HostCandidate::udp(text.parse().expect("an address"));
        let check =
            |candidate| EngineConfig { candidates: vec![candidate], ..EngineConfig::default() }.check();
        let public = candidate("192.0.2.1:9");
        // A socket may be bound to any address, but nobody can be told to send there.
        let any = "[::]:9".parse().expect("an address");
        assert_eq!(check(public.bound_to(any)), Ok(()));
        let portless = public.bound_to("10.0.0.1:0".parse().expect("an address"));
        for wrong in [HostCandidate::tcp(any), candidate("192.0.2.1:0"), candidate("224.0.0.1:9"), portless] {
            assert_eq!(check(wrong), Err(ConfigError::Candidate), "{wrong:?}");
        }
        let candidates = vec![public; limits::CANDIDATES + 1];
        let config = EngineConfig { candidates, ..EngineConfig::default() };
        assert_eq!(config.check(), Err(ConfigError::OutOfRange("candidates")));
    }
}
