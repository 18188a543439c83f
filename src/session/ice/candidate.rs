//! Candidates: transport addresses that an agent says it may be reached at.

use crate::wire::mux::Protocol;
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
    /// A candidate of our own at a public or interface address. Of several the one with the higher
    /// `preference` is tried first.
    pub fn host(protocol: Protocol, address: SocketAddr, preference: u16) -> Self {
        let ip = address.ip().to_canonical();
        let mut hash = crc32fast::Hasher::new();
        match ip {
            IpAddr::V4(ip) => hash.update(&ip.octets()),
            IpAddr::V6(ip) => hash.update(&ip.octets()),
        }
        hash.update(&[u8::from(protocol == Protocol::Tcp)]);
        Candidate {
            foundation: hash.finalize().to_string(),
            component: 1,
            protocol,
            priority: priority(CandidateKind::Host, preference),
            address: SocketAddr::new(ip, address.port()),
            kind: CandidateKind::Host,
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
