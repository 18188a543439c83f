//! Where the engine is reached: its sockets, as participants are told of them.

use crate::session::ice;
use crate::wire::mux::Protocol;
use std::net::SocketAddr;

/// A socket of the engine's, announced to participants as a host candidate.
///
/// ```
/// use estafette::HostCandidate;
///
/// // A public address that a NAT in front of the engine maps to the bound one.
/// let (public, bound) = ("203.0.113.1:3478".parse()?, "10.0.0.1:3478".parse()?);
/// let candidate = HostCandidate::udp(public).bound_to(bound);
/// assert_eq!((candidate.announced, candidate.base), (public, bound));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostCandidate {
    /// What carries the datagrams. Over TCP the participant opens the connection (RFC 6544, passive).
    pub protocol: Protocol,
    /// The address that participants are told: where the socket is reached from outside.
    pub announced: SocketAddr,
    /// The address as bound, which is what [`Path::local`](crate::Path::local) says. Only full ICE asks
    /// for it, which a participant that is lite makes of lite as well.
    pub base: SocketAddr,
}

impl HostCandidate {
    /// A UDP socket that is reached at the address it is bound to.
    pub const fn udp(address: SocketAddr) -> Self {
        HostCandidate { protocol: Protocol::Udp, announced: address, base: address }
    }

    /// The same of TCP, where connections are accepted: what comes over them goes to
    /// [`Engine::handle_stream`](crate::Engine::handle_stream). Participants prefer UDP.
    pub const fn tcp(address: SocketAddr) -> Self {
        HostCandidate { protocol: Protocol::Tcp, announced: address, base: address }
    }

    /// The same candidate of a socket bound to another address than the one announced: behind a NAT, or
    /// bound to any.
    pub const fn bound_to(self, base: SocketAddr) -> Self {
        HostCandidate { base, ..self }
    }
}

/// The candidates from the best to the last, as ICE and the descriptions rank them: UDP before TCP, and
/// of one protocol in the order given.
pub(super) fn ranked(candidates: &[HostCandidate]) -> impl Iterator<Item = ice::LocalCandidate> {
    let of = move |protocol: Protocol, step: usize| {
        let same = candidates.iter().filter(move |candidate| candidate.protocol == protocol);
        same.zip((0..=u16::MAX).rev().step_by(step)).map(|(candidate, preference)| {
            ice::LocalCandidate::host(candidate.protocol, candidate.base, candidate.announced, preference)
        })
    };
    // TCP has three bits less for the preference (RFC 6544, section 4.2).
    of(Protocol::Udp, 1).chain(of(Protocol::Tcp, 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6544_4_2_udp_ranks_before_tcp_and_each_in_the_order_given() {
        let [first, second]: [SocketAddr; 2] =
            ["192.0.2.1:9", "[2001:db8::1]:9"].map(|text| text.parse().expect("an address"));
        // Mixed, as the order among protocols does not count.
        let mixed = [HostCandidate::tcp(first), HostCandidate::udp(first)];
        let mixed = [mixed, [HostCandidate::tcp(second), HostCandidate::udp(second)]].concat();
        let locals: Vec<_> = ranked(&mixed).map(|local| local.candidate).collect();
        let seen: Vec<_> = locals.iter().map(|local| (local.protocol, local.address)).collect();
        let (udp, tcp) = (Protocol::Udp, Protocol::Tcp);
        assert_eq!(seen, [(udp, first), (udp, second), (tcp, first), (tcp, second)]);
        let priorities: Vec<_> = locals.iter().map(|local| local.priority).collect();
        let passive = |index: u32| 90 << 24 | (4 << 13 | (8_191 - index)) << 8 | 255;
        assert_eq!(priorities, [2_130_706_431, 2_130_706_175, passive(0), passive(1)]);
    }

    #[test]
    fn checks_leave_from_the_address_as_bound() {
        let [public, bound] = ["192.0.2.1:9", "10.0.0.1:9"].map(|text| text.parse().expect("an address"));
        let locals: Vec<_> = ranked(&[HostCandidate::udp(public).bound_to(bound)]).collect();
        assert_eq!((locals[0].candidate.address, locals[0].base), (public, bound));
    }
}
