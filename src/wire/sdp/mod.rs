//! Session descriptions (RFC 8866) as WebRTC uses them (RFC 8829): text ↔ typed fields.
//!
//! [`Description::parse`] takes what browsers and other endpoints write and keeps the fields that a
//! negotiation looks at; [`Description::write`] makes text of such fields. The syntax of lines is
//! `sdp-types`' affair; caps, ranges, uniqueness and the meaning of attributes are checked here, so
//! that nothing in a parsed description can break the lines of one written from it.
//!
//! Session-level fingerprint, setup, ICE credentials, connection and direction are folded into the
//! media sections that have none of their own. Unknown attributes, candidates that cannot be used
//! (names, unknown transports), encodings that are malformed or named twice, feedback for payload types
//! outside the `m=` line and payload types without a name are left out.

mod fields;
mod media;
mod parse;
mod sections;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::net::{IpAddr, Ipv4Addr};

pub(crate) use fields::sanitized;
pub use fields::{Candidate, CandidateKind, Direction, Fingerprint, Mid, Msid, Password, Setup, TcpType};
pub use media::{Alternative, Codec, Extmap, Feedback, Restrictions, Rid, Simulcast, Stream, StreamGroup};

/// A session description: everything before the first `m=` line, and the media sections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// The session's number in `o=`; 0 if what stands there is no 64-bit number.
    pub session_id: u64,
    /// The description's version in `o=`.
    pub version: u64,
    /// The mids of the first `a=group:BUNDLE` (RFC 9143), in its order; empty without one.
    pub bundle: Vec<Mid>,
    /// `a=ice-lite` (RFC 8839, section 5.3).
    pub ice_lite: bool,
    /// `a=extmap-allow-mixed` (RFC 8285, section 6) for the whole session: one- and two-byte
    /// header extensions may alternate.
    pub extmap_allow_mixed: bool,
    /// `a=cryptex` (RFC 9335, section 4) for the whole session: its writer takes RTP packets whose
    /// header extensions and contributing sources are encrypted.
    pub cryptex: bool,
    /// The media sections in the order of their `m=` lines.
    pub media: Vec<Media>,
}

impl Description {
    /// Reads a description, in time linear in its length.
    ///
    /// # Errors
    /// Names the first line that is malformed, out of range, a duplicate, or over a limit
    /// ([`limits::SDP_TEXT`](crate::limits::SDP_TEXT) and its neighbours).
    pub fn parse(text: &str) -> Result<Description, ParseError> {
        parse::description(text)
    }

    /// The text of the description, with CRLF line ends. [`Description::parse`] gives the same
    /// description back, apart from [`Media::line`] and [`Media::crypto`], which is never written.
    pub fn write(&self) -> String {
        write::description(self)
    }
}

/// One media section: an `m=` line and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The number of the `m=` line in the text this was parsed from, 1 for the first line; 0 if it
    /// was not parsed.
    pub line: usize,
    /// What the section carries.
    pub kind: Kind,
    /// The port; 0 rejects the section unless [`Media::bundle_only`] is set (RFC 9143, section 6).
    pub port: u16,
    /// The transport protocol as written, such as `UDP/TLS/RTP/SAVPF`: tokens between slashes.
    pub protocol: String,
    /// The first format of the `m=` line: what a rejected section is answered with.
    pub format: String,
    /// The address of `c=`, unspecified if there is none.
    pub connection: IpAddr,
    /// `a=mid` (RFC 5888).
    pub mid: Option<Mid>,
    /// The writer's direction; `sendrecv` if it does not say.
    pub direction: Direction,
    /// How to reach and authenticate the writer.
    pub transport: Transport,
    /// The codecs in the order of the `m=` line's payload types.
    pub codecs: Vec<Codec>,
    /// `a=rtcp-fb:* ack ccfb`: congestion control feedback (RFC 8888, section 6), which is for all
    /// payload types or none.
    pub ccfb: bool,
    /// RTP header extensions (RFC 8285), ids unique.
    pub extmaps: Vec<Extmap>,
    /// `a=extmap-allow-mixed` for this section alone.
    pub extmap_allow_mixed: bool,
    /// `a=cryptex` for this section alone.
    pub cryptex: bool,
    /// The first `a=msid` (RFC 8830).
    pub msid: Option<Msid>,
    /// Whether `a=content` names slides: a screen (RFC 4796, section 5).
    pub slides: bool,
    /// The streams of `a=ssrc` lines (RFC 5576), in the order of their first mention.
    pub streams: Vec<Stream>,
    /// `a=ssrc-group` lines.
    pub stream_groups: Vec<StreamGroup>,
    /// `a=rid` lines (RFC 8851), those well-formed whose ids are unique.
    pub rids: Vec<Rid>,
    /// `a=simulcast` (RFC 8853).
    pub simulcast: Option<Simulcast>,
    /// `a=rtcp-mux` (RFC 5761).
    pub rtcp_mux: bool,
    /// `a=rtcp-rsize` (RFC 5506).
    pub rtcp_rsize: bool,
    /// `a=bundle-only` (RFC 9143, section 6).
    pub bundle_only: bool,
    /// Whether an `a=crypto` line is there: keys in the clear (RFC 4568).
    pub crypto: bool,
    /// `a=sctp-port` (RFC 8841, section 5).
    pub sctp_port: Option<u16>,
    /// `a=sctp-init` (draft-hancke-tsvwg-snap-00): an INIT chunk, as its bytes. What is no base64 or too long is not there.
    pub sctp_init: Option<Vec<u8>>,
    /// `a=max-message-size` (RFC 8841, section 6) in bytes; 0 means any size.
    pub max_message_size: Option<u64>,
}

impl Media {
    /// A section of `kind` with nothing in it: port 9, `sendrecv`.
    pub fn new(kind: Kind, protocol: &str) -> Media {
        Media {
            line: 0,
            kind,
            port: 9,
            protocol: protocol.to_owned(),
            format: "0".to_owned(),
            connection: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            mid: None,
            direction: Direction::SendRecv,
            transport: Transport::default(),
            codecs: Vec::new(),
            ccfb: false,
            extmaps: Vec::new(),
            extmap_allow_mixed: false,
            cryptex: false,
            msid: None,
            slides: false,
            streams: Vec::new(),
            stream_groups: Vec::new(),
            rids: Vec::new(),
            simulcast: None,
            rtcp_mux: false,
            rtcp_rsize: false,
            bundle_only: false,
            crypto: false,
            sctp_port: None,
            sctp_init: None,
            max_message_size: None,
        }
    }

    /// Whether the section is refused or closed: port 0 that `bundle-only` does not explain.
    pub fn rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }
}

/// What a media section carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `m=audio`.
    Audio,
    /// `m=video`.
    Video,
    /// `m=application`: data channels, if the protocol says so.
    Application,
    /// Anything else, a token.
    Other(String),
}

impl Kind {
    /// The word of the `m=` line.
    pub fn as_str(&self) -> &str {
        match self {
            Kind::Audio => "audio",
            Kind::Video => "video",
            Kind::Application => "application",
            Kind::Other(name) => name,
        }
    }
}

/// The attributes of a transport: ICE (RFC 8839) and DTLS (RFC 8842, RFC 8122).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transport {
    /// `a=ice-ufrag`.
    pub ufrag: Option<String>,
    /// `a=ice-pwd`.
    pub pwd: Option<Password>,
    /// `a=ice-options`, the first eight.
    pub ice_options: Vec<String>,
    /// `a=fingerprint` lines, those well-formed.
    pub fingerprints: Vec<Fingerprint>,
    /// `a=setup`.
    pub setup: Option<Setup>,
    /// `a=candidate` lines with an address and a known transport, at most
    /// [`limits::SDP_CANDIDATES`](crate::limits::SDP_CANDIDATES).
    pub candidates: Vec<Candidate>,
    /// `a=end-of-candidates` (RFC 8840, section 8.1).
    pub end_of_candidates: bool,
}

/// Why a text is no session description for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the session description {reason}")]
pub struct ParseError {
    /// The line, 1 for the first.
    pub line: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// [`limits::SDP_TEXT`](crate::limits::SDP_TEXT) ends within it.
    #[error("is where the text grows too long")]
    TooLong,
    /// One more than [`limits::SDP_LINES`](crate::limits::SDP_LINES).
    #[error("is one line too many")]
    TooManyLines,
    /// One more than [`limits::SDP_ATTRIBUTES`](crate::limits::SDP_ATTRIBUTES) in its section.
    #[error("is one attribute too many for its section")]
    TooManyAttributes,
    /// One more than [`limits::SDP_MEDIA`](crate::limits::SDP_MEDIA).
    #[error("is one media section too many")]
    TooManyMedia,
    /// One more SSRC, group or encoding than a section may have.
    #[error("announces more streams or encodings than a section may have")]
    TooManyStreams,
    /// Not of the form `x=value`, or a line of its letter is not formed or placed like this.
    #[error("breaks the syntax")]
    Syntax,
    /// A number out of range, a missing field, or a word that is none of the known ones.
    #[error("has a value that is malformed or out of range")]
    Value,
    /// An identifier (payload type, header extension, mid) that was used before.
    #[error("uses an identifier a second time")]
    Duplicate,
}
