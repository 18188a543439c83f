//! Candidates: transport addresses that an agent says it may be reached at.

use crate::wire::mux::{Path, Protocol};
use crate::wire::sdp;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Where a candidate's address comes from (RFC 8445, section 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An interface's own address.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the peer saw.
    PeerReflexive,
    /// A relay's address.
    Relayed,
}

impl CandidateKind {
    /// The token of RFC 8839, section 5.1.
    pub const fn token(self) -> &'static str {
        match self {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        }
    }

    /// The recommended preference (RFC 8445, section 5.1.2.2).
    const fn preference(self) -> u32 {
        match self {
            CandidateKind::Host => 126,
            CandidateKind::PeerReflexive => 110,
            CandidateKind::ServerReflexive => 100,
            CandidateKind::Relayed => 0,
        }
    }
}

/// One candidate (RFC 8445, section 5.1; RFC 8839, section 5.1). `Display` writes it as the value
/// of an `a=candidate` line, `candidate:` included.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Equal for candidates of one kind, base address and protocol: 1 to 32 letters or digits.
    pub foundation: String,
    /// 1; there is no other component under RTP/RTCP multiplexing.
    pub component: u16,
    /// What carries the datagrams. Over TCP this side waits for connections (RFC 6544).
    pub protocol: Protocol,
    /// Higher is better.
    pub priority: u32,
    /// The address itself.
    pub address: SocketAddr,
    /// Where it comes from.
    pub kind: CandidateKind,
}

impl Candidate {
    /// A candidate at a public or interface address. Of several the one with the higher
    /// `preference` is tried first; UDP goes before TCP (RFC 6544, section 4.2).
    pub fn host(protocol: Protocol, address: SocketAddr, preference: u16) -> Self {
        Candidate::new(protocol, CandidateKind::Host, address, address, preference)
    }

    fn new(
        protocol: Protocol,
        kind: CandidateKind,
        address: SocketAddr,
        base: SocketAddr,
        preference: u16,
    ) -> Self {
        let mut hash = crc32fast::Hasher::new();
        match base.ip().to_canonical() {
            IpAddr::V4(ip) => hash.update(&ip.octets()),
            IpAddr::V6(ip) => hash.update(&ip.octets()),
        }
        hash.update(&[u8::from(protocol == Protocol::Tcp), kind as u8]);
        Candidate {
            foundation: hash.finalize().to_string(),
            component: 1,
            protocol,
            priority: match protocol {
                Protocol::Udp => priority(kind, preference),
                Protocol::Tcp => tcp_priority(preference),
            },
            address: canonical(address),
            kind,
        }
    }

    /// A number that tells foundations apart; it can be mistaken, which delays a check.
    pub(super) fn foundation_hash(&self) -> u32 {
        crc32fast::hash(self.foundation.as_bytes())
    }
}

/// A candidate of our own: what is announced, and the socket behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LocalCandidate {
    /// What the peer is told.
    pub candidate: Candidate,
    /// The address as bound, which is what [`Path::local`](crate::Path::local) of its datagrams says.
    pub base: SocketAddr,
}

impl LocalCandidate {
    /// A host candidate. `announced` differs from `base` where a translator in front of a server maps
    /// a public address to it one to one, and where a socket is bound to any address.
    pub fn host(protocol: Protocol, base: SocketAddr, announced: SocketAddr, preference: u16) -> Self {
        LocalCandidate { candidate: Candidate::host(protocol, announced, preference), base }
    }

    /// What a STUN server saw of a UDP socket (RFC 8445, section 5.1.1.2).
    pub fn server_reflexive(base: SocketAddr, mapped: SocketAddr, preference: u16) -> Self {
        let kind = CandidateKind::ServerReflexive;
        LocalCandidate { candidate: Candidate::new(Protocol::Udp, kind, mapped, base, preference), base }
    }

    /// Host candidates for a server's sockets, each as base and announced address, in order of
    /// preference, but such that the families take turns, IPv6 first: a family that leads nowhere
    /// holds up the other for one check only (RFC 8421, section 4).
    pub fn hosts(protocol: Protocol, sockets: &[(SocketAddr, SocketAddr)]) -> Vec<Self> {
        let six = |socket: &&(SocketAddr, SocketAddr)| canonical(socket.1).is_ipv6();
        let (mut sixes, mut fours): (Vec<_>, Vec<_>) = sockets.iter().partition(six);
        sixes.reverse();
        fours.reverse();
        let mut hosts = Vec::with_capacity(sockets.len());
        let mut preference = u16::MAX;
        while let Some(&(base, announced)) = {
            let next = if hosts.len() % 2 == 0 { sixes.pop() } else { fours.pop() };
            next.or_else(|| sixes.pop()).or_else(|| fours.pop())
        } {
            hosts.push(LocalCandidate::host(protocol, base, announced, preference));
            preference = preference.saturating_sub(1);
        }
        hosts
    }

    /// The path of checks to a candidate of the peer's, as our socket shows it; `None` unless both
    /// are of one family. A socket for both families shows IPv4 addresses in IPv6.
    pub(super) fn path_to(&self, remote: SocketAddr) -> Option<Path> {
        let remote = canonical(remote);
        let ip = match (self.base, remote.ip()) {
            (SocketAddr::V6(base), IpAddr::V4(ip)) if base.ip().to_ipv4_mapped().is_none() => {
                IpAddr::V6(ip.to_ipv6_mapped())
            }
            (_, ip) => ip,
        };
        let path = Path {
            protocol: self.candidate.protocol,
            local: self.base,
            remote: SocketAddr::new(ip, remote.port()),
        };
        let same = self.candidate.address.is_ipv4() == remote.is_ipv4();
        (same && canonical(self.base) != remote && self.candidate.address != remote).then_some(path)
    }
}

/// What is announced of a socket: enough to rank the pairs that the peer nominates as the peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rank {
    pub(super) base: SocketAddr,
    pub(super) protocol: Protocol,
    pub(super) priority: u32,
}

/// An IPv4 address as itself, not in IPv6.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl From<&sdp::Candidate> for Candidate {
    /// What a description says; who opens a TCP connection is left out, it is always the peer.
    fn from(described: &sdp::Candidate) -> Self {
        Candidate {
            foundation: described.foundation.clone(),
            component: described.component,
            protocol: described.protocol,
            priority: described.priority,
            address: described.address,
            kind: match described.kind {
                sdp::CandidateKind::Host => CandidateKind::Host,
                sdp::CandidateKind::ServerReflexive => CandidateKind::ServerReflexive,
                sdp::CandidateKind::PeerReflexive => CandidateKind::PeerReflexive,
                sdp::CandidateKind::Relayed => CandidateKind::Relayed,
            },
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Candidate { foundation, component, protocol, priority, address, kind } = self;
        let (transport, suffix) = match protocol {
            Protocol::Udp => ("udp", ""),
            Protocol::Tcp => ("tcp", " tcptype passive"),
        };
        let (ip, port, kind) = (address.ip(), address.port(), kind.token());
        write!(f, "candidate:{foundation} {component} {transport} {priority} {ip} {port} typ {kind}")?;
        f.write_str(suffix)
    }
}

/// The priority of a candidate of component 1 (RFC 8445, section 5.1.2.1).
pub(super) const fn priority(kind: CandidateKind, preference: u16) -> u32 {
    kind.preference() << 24 | (preference as u32) << 8 | 255
}

/// What a passive TCP candidate ranks below all of UDP but relays (RFC 6544, section 4.2).
const fn tcp_priority(preference: u16) -> u32 {
    const TYPE: u32 = 90;
    const PASSIVE: u32 = 4;
    TYPE << 24 | (PASSIVE << 13 | (preference >> 3) as u32) << 8 | 255
}

/// What an address of ours is worth that we have given no priority.
pub(super) const fn our_priority(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Udp => priority(CandidateKind::Host, u16::MAX),
        Protocol::Tcp => tcp_priority(u16::MAX),
    }
}

/// What a peer would rank the address at that our check may discover: as its base, but peer-reflexive
/// (RFC 8445, section 7.1.1).
pub(super) const fn reflexive_priority(base: u32) -> u32 {
    CandidateKind::PeerReflexive.preference() << 24 | base & 0x00FF_FFFF
}

/// The priority of a pair (RFC 8445, section 6.1.2.3). Priorities of the full 32 bits, which the
/// RFC does not have but a packet can, saturate.
pub(super) fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let (least, most) = (controlling.min(controlled), controlling.max(controlled));
    (u64::from(least) << 32)
        .saturating_add(2 * u64::from(most))
        .saturating_add(u64::from(controlling > controlled))
}

/// Whether anything may ever be sent there (S-STUN-11).
pub(super) fn is_sendable(address: SocketAddr) -> bool {
    let ip = match address.ip().to_canonical() {
        // 0.0.0.0/8 is "this network": only ever a source (RFC 1122, section 3.2.1.3).
        IpAddr::V4(ip) => !ip.is_broadcast() && ip.octets().first() != Some(&0),
        IpAddr::V6(ip) => !ip.is_unspecified(),
    };
    ip && !address.ip().to_canonical().is_multicast() && address.port() != 0
}

/// Whether an address means something inside some network only: loopback, link-local, private,
/// carrier-grade NAT and unique local ranges.
pub(super) fn is_private(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, _, _] = ip.octets();
            let carrier = a == 100 && b & 0xC0 == 64;
            ip.is_private() || ip.is_loopback() || ip.is_link_local() || carrier
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_candidate_is_written_as_in_rfc_8839() {
        let udp = Candidate::host(Protocol::Udp, address("[::ffff:192.0.2.7]:443"), 65_535);
        assert_eq!(udp.priority, 2_130_706_431);
        let line = format!("candidate:{} 1 udp 2130706431 192.0.2.7 443 typ host", udp.foundation);
        assert_eq!(udp.to_string(), line);
        let tcp = Candidate::host(Protocol::Tcp, address("[2001:db8::1]:443"), 0);
        assert!(tcp.to_string().ends_with(" 2001:db8::1 443 typ host tcptype passive"));
        assert_ne!(udp.foundation, tcp.foundation);
    }

    #[test]
    fn families_take_turns_and_udp_goes_first() {
        let socket = |text: &str| (address("[::]:9"), address(text));
        let sockets =
            ["192.0.2.1:9", "192.0.2.2:9", "192.0.2.3:9", "[2001:db8::1]:9", "[2001:db8::2]:9"].map(socket);
        let hosts = LocalCandidate::hosts(Protocol::Udp, &sockets);
        let order: Vec<_> = hosts.iter().map(|host| host.candidate.address).collect();
        assert_eq!(order, [3, 0, 4, 1, 2].map(|at| sockets[at].1));
        assert!(hosts.is_sorted_by(|a, b| a.candidate.priority > b.candidate.priority));
        let tcp = LocalCandidate::hosts(Protocol::Tcp, &sockets);
        let mapped = LocalCandidate::server_reflexive(sockets[0].0, sockets[1].1, 0);
        let best_tcp = tcp.iter().map(|tcp| tcp.candidate.priority).max().unwrap();
        assert!(
            best_tcp < mapped.candidate.priority
                && mapped.candidate.priority < order.len() as u32 + (101 << 24)
        );
        assert!(mapped.candidate.to_string().contains(" typ srflx"));
    }

    #[test]
    fn a_path_is_what_the_socket_shows() {
        let local =
            |base, announced| LocalCandidate::host(Protocol::Udp, address(base), address(announced), 1);
        let both = local("[::]:9", "192.0.2.1:9");
        let path = both.path_to(address("203.0.113.1:5")).unwrap();
        assert_eq!((path.local, path.remote), (address("[::]:9"), address("[::ffff:203.0.113.1]:5")));
        assert_eq!(both.path_to(address("[2001:db8::5]:5")), None, "another family");
        assert_eq!(both.path_to(address("192.0.2.1:9")), None, "ourselves");
        let plain = local("10.0.0.1:9", "192.0.2.1:9");
        let path = plain.path_to(address("[::ffff:203.0.113.1]:5")).unwrap();
        assert_eq!(path.remote, address("203.0.113.1:5"));
        assert_eq!(plain.path_to(address("10.0.0.1:9")), None, "ourselves");
    }

    #[test]
    fn what_a_description_says_is_written_the_same_and_host_names_are_no_candidates() {
        let line = "candidate:4 1 udp 1677729535 192.0.2.9 50000 typ srflx";
        let described = sdp::Candidate::parse(line).unwrap();
        assert_eq!(Candidate::from(&described).to_string(), line);
        let hidden = "candidate:4 1 udp 2113937151 1d3a4a4b-9c0e-4f1a-8a36-2f1f0f2c6f10.local 50000 typ host";
        assert_eq!(sdp::Candidate::parse(hidden), None);
    }

    #[test]
    fn s_stun_11_some_addresses_are_never_sent_to() {
        for bad in [
            "192.0.2.1:0",
            "0.0.0.0:9",
            "0.1.2.3:9",
            "224.0.0.1:9",
            "255.255.255.255:9",
            "[::]:9",
            "[ff02::1]:9",
            "[::ffff:224.0.0.1]:9",
            "[2001:db8::1]:0",
        ] {
            assert!(!is_sendable(address(bad)), "{bad}");
        }
        for good in ["192.0.2.1:1", "10.0.0.1:9", "[2001:db8::1]:65535"] {
            assert!(is_sendable(address(good)), "{good}");
        }
        for private in ["10.1.1.1:9", "127.0.0.1:9", "100.64.0.1:9", "169.254.1.1:9", "[::1]:9"] {
            assert!(is_private(address(private)), "{private}");
        }
        for private in ["[fe80::1]:9", "[fd00::1]:9", "[::ffff:192.168.1.1]:9"] {
            assert!(is_private(address(private)), "{private}");
        }
        assert!(!is_private(address("100.128.0.1:9")) && !is_private(address("[2001:db8::1]:9")));
    }

    #[test]
    fn s_stun_12_pair_priorities_do_not_overflow() {
        assert_eq!(pair_priority(0, 0), 0);
        assert_eq!(pair_priority(u32::MAX, u32::MAX), u64::MAX);
        assert_eq!(pair_priority(0, u32::MAX), 2 * u64::from(u32::MAX));
        assert_eq!(pair_priority(u32::MAX, 0), 2 * u64::from(u32::MAX) + 1);
        assert_eq!(pair_priority(3, 2), (2 << 32) + 7);
        assert!(pair_priority(2, 3) < pair_priority(3, 3));
    }
}
