//! One port for everything: RFC 7983 and RFC 5761, and the path a datagram travels.

use crate::wire::stun;
use std::net::SocketAddr;

/// What carries the datagrams of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Plain UDP.
    Udp,
    /// Frames of RFC 4571 over TCP, the peer having opened the connection (RFC 6544).
    Tcp,
}

/// The way between two endpoints: a selected candidate pair as the socket sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// What carries the datagrams.
    pub protocol: Protocol,
    /// Our address, as bound (not as seen from outside a NAT).
    pub local: SocketAddr,
    /// The peer's address as seen here.
    pub remote: SocketAddr,
}

/// The two ECN bits of the IP header (RFC 3168, section 5).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ecn {
    /// `00`: not ECN-capable.
    #[default]
    NotEct,
    /// `01`: ECN-capable, L4S (RFC 9331).
    Ect1,
    /// `10`: ECN-capable, classic.
    Ect0,
    /// `11`: congestion experienced.
    Ce,
}

impl Ecn {
    /// The mark that the lower two bits are.
    pub const fn from_bits(bits: u8) -> Ecn {
        match bits & 3 {
            0 => Ecn::NotEct,
            1 => Ecn::Ect1,
            2 => Ecn::Ect0,
            _ => Ecn::Ce,
        }
    }

    /// The two bits.
    pub const fn bits(self) -> u8 {
        match self {
            Ecn::NotEct => 0,
            Ecn::Ect1 => 1,
            Ecn::Ect0 => 2,
            Ecn::Ce => 3,
        }
    }
}

/// The protocol of a datagram on a shared port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// First byte 0 to 3.
    Stun,
    /// First byte 20 to 63.
    Dtls,
    /// First byte 128 to 191, packet type outside 192 to 223 (RFC 5761, section 4).
    Rtp,
    /// First byte 128 to 191, packet type 192 to 223.
    Rtcp,
}

/// Tells the protocol by the first two bytes (RFC 7983, section 7; RFC 5761, section 4).
///
/// ZRTP (16 to 19) and TURN channels (64 to 79) are `None`: there is neither here.
#[inline]
pub fn kind_of(datagram: &[u8]) -> Option<Kind> {
    match *datagram {
        [0..=3, ..] => Some(Kind::Stun),
        [20..=63, ..] => Some(Kind::Dtls),
        [128..=191, 192..=223, ..] => Some(Kind::Rtcp),
        [128..=191, _, ..] => Some(Kind::Rtp),
        _ => None,
    }
}

/// The engine that a Binding request is for: the four lower-case hexadecimal digits that its
/// engine put in front of the user fragment it handed out.
///
/// For embedders that run several engines behind one port: a request of an address that no engine
/// owns yet goes to this one, and the address pair decides from then on. The digits are not
/// authenticated; the engine is. `None` for all but well-formed Binding requests with such a
/// fragment.
pub fn engine_of(datagram: &[u8]) -> Option<u16> {
    let message = stun::Message::parse(datagram).ok()?;
    if (message.class(), message.method()) != (stun::Class::Request, stun::BINDING) {
        return None;
    }
    let digits = message.username()?.as_bytes().first_chunk::<4>()?;
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u16::from(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_is_read_from_a_binding_request_only() {
        let message = |class, username: &str| {
            let mut buf = [0; 100];
            let mut writer =
                stun::Writer::new(&mut buf, class, stun::BINDING, stun::TransactionId([7; 12])).unwrap();
            writer.attribute(stun::attribute::USERNAME, username.as_bytes()).unwrap();
            let len = writer.finish().unwrap();
            buf[..len].to_vec()
        };
        let request = message(stun::Class::Request, "00fabcdefgh:peer");
        assert_eq!(engine_of(&request), Some(0x00fa));
        assert_eq!(engine_of(&request[..request.len() - 1]), None);
        assert_eq!(engine_of(&message(stun::Class::Indication, "00fa:peer")), None);
        for username in ["", "00f", "+0fa:peer", "00FA:peer", "00f:peer", "00\u{e9}:peer"] {
            assert_eq!(engine_of(&message(stun::Class::Request, username)), None, "{username}");
        }
    }

    #[test]
    fn s_mux_02_only_the_ranges_of_rfc_7983_are_known() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => Some(Kind::Stun),
                20..=63 => Some(Kind::Dtls),
                128..=191 => Some(Kind::Rtp),
                _ => None,
            };
            assert_eq!(kind_of(&[first, 0, 0, 0]), expected, "first byte {first}");
        }
        assert_eq!(kind_of(&[]), None);
    }

    #[test]
    fn rfc_7983_7_and_rfc_5761_4_decide_for_all_first_two_bytes() {
        // The RFC's own figure, as bounds: what begins at which first byte.
        let ranges: [(u8, Option<Kind>); 9] = [
            (0, Some(Kind::Stun)),
            (4, None),
            (16, None), // ZRTP
            (20, Some(Kind::Dtls)),
            (64, None), // TURN channels
            (80, None),
            (128, Some(Kind::Rtp)),
            (192, None),
            (255, None),
        ];
        for first in 0..=255u8 {
            let range = ranges.iter().rfind(|(begin, _)| *begin <= first).map(|(_, kind)| *kind);
            for second in 0..=255u8 {
                // Payload types 64 to 95 with the marker bit are RTCP's packet types.
                let rtcp = second >> 7 == 1 && (64..96).contains(&(second & 0x7f));
                let expected = match range.flatten() {
                    Some(Kind::Rtp) if rtcp => Some(Kind::Rtcp),
                    other => other,
                };
                assert_eq!(kind_of(&[first, second]), expected, "{first} {second}");
                assert_eq!(kind_of(&[first, second, 0xff, 0xff, 0xff]), expected, "{first} {second}");
            }
            // One byte says nothing of RTP and RTCP, and no datagram of either has one.
            if (128..192).contains(&first) {
                assert_eq!(kind_of(&[first]), None);
            }
        }
        assert_eq!(kind_of(&[]), None);
    }

    #[test]
    fn s_mux_03_rtcp_is_told_by_its_packet_type() {
        for second in 0..=255u8 {
            let expected = if (192..=223).contains(&second) { Kind::Rtcp } else { Kind::Rtp };
            assert_eq!(kind_of(&[0x80, second]), Some(expected));
        }
    }
}
