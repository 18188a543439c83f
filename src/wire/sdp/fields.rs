//! Values that stand alone: identifiers, addresses, fingerprints, roles.

use crate::base::limits;
use crate::wire::mux::Protocol;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Whether `text` is a token (RFC 8866, section 9): safe to write anywhere.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte)
}

/// `text` made a token: other characters become `_`, the length at most
/// [`limits::SDP_TOKEN`]; empty stays empty.
pub(crate) fn sanitized(text: &str) -> String {
    let keep = |c: char| match u8::try_from(c) {
        Ok(byte) if is_token_byte(byte) => c,
        _ => '_',
    };
    text.chars().take(limits::SDP_TOKEN).map(keep).collect()
}

/// The name of a media section (RFC 5888), a token of at most
/// [`limits::SDP_MID`](crate::limits::SDP_MID) bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mid(String);

impl Mid {
    /// Makes a mid of a token that is short enough.
    pub fn new(text: &str) -> Option<Mid> {
        (is_token(text) && text.len() <= limits::SDP_MID).then(|| Mid(text.to_owned()))
    }

    /// The mid as it stands in text and in header extensions.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Mid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An ICE password; not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Wraps a password; its form is not looked at.
    pub fn new(text: impl Into<String>) -> Password {
        Password(text.into())
    }

    /// The secret itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Who sends, from the writer's point of view (RFC 8866, section 6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both.
    #[default]
    SendRecv,
    /// The writer alone.
    SendOnly,
    /// The reader alone.
    RecvOnly,
    /// Nobody.
    Inactive,
}

impl Direction {
    /// The direction of a writer who sends, receives, both or neither.
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// Whether the writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Whether the writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same from the reader's point of view.
    pub fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    pub(super) fn parse(text: &str) -> Option<Direction> {
        Some(match text {
            "sendrecv" => Direction::SendRecv,
            "sendonly" => Direction::SendOnly,
            "recvonly" => Direction::RecvOnly,
            "inactive" => Direction::Inactive,
            _ => return None,
        })
    }

    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

/// Who opens the DTLS association (RFC 4145, section 4; RFC 8842).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// The writer is the DTLS client.
    Active,
    /// The writer is the DTLS server.
    Passive,
    /// The reader chooses: offers only.
    ActPass,
    /// Not now.
    HoldConn,
}

impl Setup {
    pub(super) fn parse(text: &str) -> Option<Setup> {
        Some(match text {
            "active" => Setup::Active,
            "passive" => Setup::Passive,
            "actpass" => Setup::ActPass,
            "holdconn" => Setup::HoldConn,
            _ => return None,
        })
    }

    /// The attribute's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
            Setup::HoldConn => "holdconn",
        }
    }
}

/// The hash of a certificate (RFC 8122, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// The hash function in lower case, such as `sha-256`: a token.
    pub algorithm: String,
    /// The digest, at most 64 bytes.
    pub bytes: Vec<u8>,
}

impl Fingerprint {
    /// Reads `sha-256 AB:CD:...` in either case.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let (algorithm, digest) = text.split_once(' ')?;
        // 64 pairs of digits and the colons between them: SHA-512.
        if !is_token(algorithm) || algorithm.len() > limits::SDP_TOKEN || digest.len() > 191 {
            return None;
        }
        let byte = |pair: &str| {
            let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(pair, 16).ok().filter(|_| digits)
        };
        Some(Fingerprint {
            algorithm: algorithm.to_ascii_lowercase(),
            bytes: digest.split(':').map(byte).collect::<Option<_>>()?,
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.algorithm)?;
        for (i, byte) in self.bytes.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

/// An ICE candidate (RFC 8839, section 5.1) that has an address and a transport we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Candidates of one base, kind and server share it: ICE characters, at most 32.
    pub foundation: String,
    /// 1 for RTP and everything multiplexed with it, 2 for RTCP alone.
    pub component: u16,
    /// The transport.
    pub protocol: Protocol,
    /// The priority among the candidates of the same endpoint (RFC 8445, section 5.1.2).
    pub priority: u32,
    /// Where it is reached; the port of an active TCP candidate means nothing.
    pub address: SocketAddr,
    /// How the address came about.
    pub kind: CandidateKind,
    /// Who opens the connection (RFC 6544, section 4.5); only for TCP.
    pub tcp_type: Option<TcpType>,
}

/// How a candidate's address came about (RFC 8445, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// An address of the host.
    Host,
    /// Seen by a STUN server.
    ServerReflexive,
    /// Seen by the peer.
    PeerReflexive,
    /// On a TURN server.
    Relayed,
}

/// Who opens the TCP connection of a candidate (RFC 6544).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpType {
    /// The candidate's owner.
    Active,
    /// The other side.
    Passive,
    /// Both at once.
    SimultaneousOpen,
}

impl Candidate {
    /// Reads a candidate, with or without `a=` and `candidate:` before it. Extensions other than
    /// `tcptype`, and related addresses, are left out. `None` also for host names, whose
    /// resolution is not ours (mDNS candidates among them).
    pub fn parse(text: &str) -> Option<Candidate> {
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix("candidate:").unwrap_or(text);
        let mut words = text.split_ascii_whitespace();
        let foundation =
            words.next().filter(|f| f.len() <= 32 && f.bytes().all(|b| is_token_byte(b) || b == b'/'))?;
        let component = words.next()?.parse().ok().filter(|c| (1..=256).contains(c))?;
        let protocol = match words.next()? {
            udp if udp.eq_ignore_ascii_case("udp") => Protocol::Udp,
            tcp if tcp.eq_ignore_ascii_case("tcp") => Protocol::Tcp,
            _ => return None,
        };
        let priority = words.next()?.parse().ok()?;
        let ip: IpAddr = words.next()?.parse().ok()?;
        let port = words.next()?.parse().ok()?;
        let kind = words.next().filter(|typ| *typ == "typ").and(words.next())?;
        let mut tcp_type = None;
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            if key == "tcptype" {
                tcp_type = Some(TcpType::parse(value)?);
            }
        }
        Some(Candidate {
            foundation: foundation.to_owned(),
            component,
            protocol,
            priority,
            address: SocketAddr::new(ip, port),
            kind: CandidateKind::parse(kind)?,
            tcp_type,
        })
    }
}

impl fmt::Display for Candidate {
    /// The value of `a=candidate:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        };
        write!(
            f,
            "{} {} {protocol} {} {} {} typ {}",
            self.foundation,
            self.component,
            self.priority,
            self.address.ip(),
            self.address.port(),
            self.kind.as_str(),
        )?;
        match self.tcp_type {
            Some(tcp_type) => write!(f, " tcptype {}", tcp_type.as_str()),
            None => Ok(()),
        }
    }
}

impl CandidateKind {
    fn parse(text: &str) -> Option<CandidateKind> {
        Some(match text {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relayed,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        }
    }
}

impl TcpType {
    fn parse(text: &str) -> Option<TcpType> {
        Some(match text {
            "active" => TcpType::Active,
            "passive" => TcpType::Passive,
            "so" => TcpType::SimultaneousOpen,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            TcpType::Active => "active",
            TcpType::Passive => "passive",
            TcpType::SimultaneousOpen => "so",
        }
    }
}

/// The stream (a group of sources played together) and the track of a source (RFC 8830). Made
/// tokens when parsed: what is no token character became `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Msid {
    /// The stream; `-` if the source is in none.
    pub stream: String,
    /// The track; empty if not given.
    pub track: String,
}

impl Msid {
    /// Reads `stream track`.
    pub(super) fn parse(text: &str) -> Option<Msid> {
        let mut words = text.split_ascii_whitespace();
        Some(Msid {
            stream: sanitized(words.next()?),
            track: words.next().map(sanitized).unwrap_or_default(),
        })
    }
}

impl fmt::Display for Msid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.track.is_empty() { "" } else { " " };
        write!(f, "{}{gap}{}", self.stream, self.track)
    }
}
