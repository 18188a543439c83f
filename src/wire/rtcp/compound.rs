//! A datagram of RTCP packets (RFC 3550, section 6.1) and the packets in it.

use super::{
    Bye, Fir, Nack, Pli, ReceiverReport, Remb, SenderReport, SourceDescription, TransportFeedback, format,
    packet_type,
};
use crate::base::limits;

/// Why bytes are not RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than a packet's header.
    #[error("the datagram ends inside an RTCP header")]
    TooShort,
    /// The version is not 2.
    #[error("the RTCP version is not 2")]
    Version,
    /// The packet's length runs past the end of the datagram.
    #[error("an RTCP packet ends after the datagram")]
    Length,
    /// Padding in another packet than the last, or a count of it that does not fit.
    #[error("RTCP padding is misplaced or does not fit")]
    Padding,
    /// The packet is too short for the entries it counts, or for its fixed fields.
    #[error("an RTCP packet is shorter than its fields")]
    Count,
    /// A source description that is not UTF-8.
    #[error("an RTCP source description is not UTF-8")]
    Text,
    /// Transport-wide feedback whose chunks, count and deltas contradict each other.
    #[error("transport-wide feedback contradicts itself")]
    Feedback,
    /// More packets than [`limits::RTCP_PER_DATAGRAM`].
    #[error("too many RTCP packets in a datagram")]
    TooMany,
}

impl ParseError {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [ParseError; 8] = [
        Self::TooShort,
        Self::Version,
        Self::Length,
        Self::Padding,
        Self::Count,
        Self::Text,
        Self::Feedback,
        Self::TooMany,
    ];

    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "rtcp.too_short",
            Self::Version => "rtcp.version",
            Self::Length => "rtcp.length",
            Self::Padding => "rtcp.padding",
            Self::Count => "rtcp.count",
            Self::Text => "rtcp.text",
            Self::Feedback => "rtcp.feedback",
            Self::TooMany => "rtcp.too_many",
        }
    }
}

/// The well-formed packets at the start of a datagram: mostly all of them.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a> {
    packets: &'a [u8],
    dropped: Option<ParseError>,
}

impl<'a> Compound<'a> {
    /// Checks each packet, up to the first malformed one: it and what follows is dropped, see
    /// [`Compound::dropped`]. Work is linear in the datagram's length.
    ///
    /// # Errors
    /// What is wrong with the first packet, if nothing is left.
    pub fn parse(datagram: &'a [u8]) -> Result<Compound<'a>, ParseError> {
        let (mut rest, mut count) = (datagram, 0);
        let dropped = loop {
            if rest.is_empty() && count > 0 {
                break None;
            }
            if count == limits::RTCP_PER_DATAGRAM {
                break Some(ParseError::TooMany);
            }
            match Packet::split_first(rest) {
                Ok((_, tail)) => rest = tail,
                Err(error) if count == 0 => return Err(error),
                Err(error) => break Some(error),
            }
            count += 1;
        };
        // `rest` is a suffix of the datagram.
        let packets = datagram.get(..datagram.len() - rest.len()).unwrap_or_default();
        Ok(Compound { packets, dropped })
    }

    /// Why the end of the datagram was dropped, if it was.
    pub fn dropped(&self) -> Option<ParseError> {
        self.dropped
    }

    /// Whether it does not begin with a report: allowed only where reduced size was negotiated
    /// (RFC 5506, section 3.4.1).
    pub fn is_reduced_size(&self) -> bool {
        !matches!(self.packets, [_, packet_type::SENDER_REPORT | packet_type::RECEIVER_REPORT, ..])
    }

    /// The packets in order.
    pub fn packets(&self) -> Packets<'a> {
        Packets { rest: self.packets }
    }
}

impl<'a> IntoIterator for Compound<'a> {
    type Item = Packet<'a>;
    type IntoIter = Packets<'a>;

    fn into_iter(self) -> Packets<'a> {
        self.packets()
    }
}

/// Iterates over the packets of a [`Compound`].
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        // Nothing but packets that were accepted once are left in there, so an error is the end.
        let (packet, rest) = Packet::split_first(self.rest).ok()?;
        self.rest = rest;
        Some(packet)
    }
}

/// One RTCP packet.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// What a stream's sender tells of it, and what it receives.
    SenderReport(SenderReport<'a>),
    /// What somebody receives.
    ReceiverReport(ReceiverReport<'a>),
    /// Who is behind a source.
    SourceDescription(SourceDescription<'a>),
    /// Sources that end.
    Bye(Bye<'a>),
    /// Packets that are missed.
    Nack(Nack<'a>),
    /// A picture that cannot be decoded.
    Pli(Pli),
    /// Requests for key frames.
    Fir(Fir<'a>),
    /// Arrival times of a transport's packets.
    TransportFeedback(TransportFeedback<'a>),
    /// The rate that a receiver believes it can take.
    Remb(Remb<'a>),
    /// Anything else: well framed, not looked into.
    Other(Other<'a>),
}

/// A packet of another type or format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other<'a> {
    /// Its type, such as 207 for extended reports.
    pub packet_type: u8,
    /// The five bits that count entries or name a feedback's format.
    pub count: u8,
    /// What follows the header of four bytes, without padding.
    pub body: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Takes one packet off the start of a datagram.
    fn split_first(datagram: &'a [u8]) -> Result<(Packet<'a>, &'a [u8]), ParseError> {
        let (raw, rest) = Other::split_first(datagram)?;
        Ok((Packet::parse(raw)?, rest))
    }

    fn parse(raw: Other<'a>) -> Result<Packet<'a>, ParseError> {
        let Other { packet_type, count, body } = raw;
        Ok(match (packet_type, count) {
            (packet_type::SENDER_REPORT, _) => Packet::SenderReport(SenderReport::parse(count, body)?),
            (packet_type::RECEIVER_REPORT, _) => Packet::ReceiverReport(ReceiverReport::parse(count, body)?),
            (packet_type::SOURCE_DESCRIPTION, _) => {
                Packet::SourceDescription(SourceDescription::parse(count, body)?)
            }
            (packet_type::BYE, _) => Packet::Bye(Bye::parse(count, body)?),
            (packet_type::TRANSPORT_FEEDBACK, format::NACK) => Packet::Nack(Nack::parse(body)?),
            (packet_type::TRANSPORT_FEEDBACK, format::TRANSPORT_WIDE) => {
                Packet::TransportFeedback(TransportFeedback::parse(body)?)
            }
            (packet_type::PAYLOAD_FEEDBACK, format::PLI) => Packet::Pli(Pli::parse(body)?),
            (packet_type::PAYLOAD_FEEDBACK, format::FIR) => Packet::Fir(Fir::parse(body)?),
            (packet_type::PAYLOAD_FEEDBACK, format::APPLICATION) if Remb::is_one(body) => {
                Packet::Remb(Remb::parse(body)?)
            }
            _ => Packet::Other(raw),
        })
    }
}

impl<'a> Other<'a> {
    /// The header's check of RFC 3550, appendix A.2, and padding (section 6.4.1) taken off.
    ///
    /// Padding need not be a multiple of four: browsers fill transport-wide feedback up with one to
    /// three bytes and count just those.
    fn split_first(datagram: &'a [u8]) -> Result<(Other<'a>, &'a [u8]), ParseError> {
        let (&[first, packet_type, l0, l1], rest) =
            datagram.split_first_chunk::<4>().ok_or(ParseError::TooShort)?;
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let len = usize::from(u16::from_be_bytes([l0, l1])) * 4;
        let (mut body, rest) = rest.split_at_checked(len).ok_or(ParseError::Length)?;
        if first & 0x20 != 0 {
            let padding = body.last().map_or(0, |last| usize::from(*last));
            if padding == 0 || !rest.is_empty() {
                return Err(ParseError::Padding);
            }
            let len = len.checked_sub(padding).ok_or(ParseError::Padding)?;
            body = body.get(..len).unwrap_or_default();
        }
        Ok((Other { packet_type, count: first & 0x1f, body }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLI: [u8; 12] = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    const RR: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 1];

    fn refused(bytes: &[u8]) -> Option<ParseError> {
        Compound::parse(bytes).err()
    }

    #[test]
    fn s_rtcp_01_framing_is_checked_for_each_packet() {
        assert_eq!(refused(&[]), Some(ParseError::TooShort));
        assert_eq!(refused(&PLI[..3]), Some(ParseError::TooShort));
        assert_eq!(refused(&PLI[..8]), Some(ParseError::Length));
        assert_eq!(refused(&[0x41, 206, 0, 0]), Some(ParseError::Version));
        assert_eq!(refused(&[0x80, 201, 0, 0]), Some(ParseError::Count), "length zero");
        assert_eq!(refused(&[0x81, 201, 0, 1, 0, 0, 0, 1]), Some(ParseError::Count));
    }

    #[test]
    fn s_rtcp_01_the_rest_behind_a_malformed_packet_is_dropped() {
        let bad = [0x81, 206, 0, 1, 0, 0, 0, 1];
        let bytes = [&RR[..], &PLI, &bad, &PLI].concat();
        let compound = Compound::parse(&bytes).expect("it begins well");
        assert_eq!(compound.dropped(), Some(ParseError::Count));
        assert_eq!(compound.packets().count(), 2);

        let compound = Compound::parse(&bytes[..20]).expect("whole");
        assert_eq!((compound.dropped(), compound.packets().count()), (None, 2));
    }

    #[test]
    fn s_rtcp_01_padding_only_at_the_end_and_only_as_much_as_there_is() {
        let padded = |count| {
            let mut bytes = PLI.to_vec();
            bytes[0] |= 0x20;
            bytes[3] += 1;
            bytes.extend_from_slice(&[0, 0, 0, count]);
            bytes
        };
        assert!(matches!(
            Compound::parse(&padded(4)).expect("well formed").packets().next(),
            Some(Packet::Pli(_))
        ));
        assert_eq!(refused(&padded(0)), Some(ParseError::Padding));
        assert_eq!(refused(&padded(13)), Some(ParseError::Padding));
        assert_eq!(refused(&padded(12)), Some(ParseError::Count), "nothing is left");
        assert_eq!(refused(&[padded(4), PLI.to_vec()].concat()), Some(ParseError::Padding));
        assert_eq!(refused(&[0xa0, 203, 0, 0]), Some(ParseError::Padding), "no room for a count");
    }

    #[test]
    fn s_rtcp_01_reduced_size_is_told() {
        let reduced = |bytes: &[u8]| Compound::parse(bytes).expect("well formed").is_reduced_size();
        assert!(reduced(&PLI));
        assert!(!reduced(&[&RR[..], &PLI].concat()));
    }

    #[test]
    fn s_rtcp_02_packets_above_the_limit_are_not_read() {
        let at_limit = RR.repeat(limits::RTCP_PER_DATAGRAM);
        let compound = Compound::parse(&at_limit).expect("well formed");
        assert_eq!((compound.packets().count(), compound.dropped()), (64, None));

        let above = RR.repeat(limits::RTCP_PER_DATAGRAM + 1);
        let compound = Compound::parse(&above).expect("well formed");
        let dropped = Some(ParseError::TooMany);
        assert_eq!((compound.packets().count(), compound.dropped()), (64, dropped));
    }

    #[test]
    fn s_rtcp_08_unknown_types_and_formats_are_skipped_by_length() {
        let unknown: [&[u8]; 5] = [
            &[0x80, 207, 0, 2, 0, 0, 0, 1, 4, 0, 0xff, 0xff],
            &[0x9f, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'],
            &[0x83, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
            &[0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, b'A', b'F', b'B', 0],
            &[0x80, 223, 0, 0],
        ];
        for packet in unknown {
            let bytes = [packet, &PLI].concat();
            let packets: Vec<_> = Compound::parse(&bytes).expect("well framed").packets().collect();
            let [Packet::Other(other), Packet::Pli(_)] = packets[..] else {
                panic!("{packets:?}");
            };
            assert_eq!((other.packet_type, other.count), (packet[1], packet[0] & 31));
            assert_eq!(other.body, &packet[4..]);
        }
    }

    #[test]
    fn every_error_has_its_own_name_and_place() {
        for (at, error) in ParseError::ALL.into_iter().enumerate() {
            assert_eq!(error as usize, at);
            assert_eq!(ParseError::ALL.iter().filter(|other| other.name() == error.name()).count(), 1);
        }
    }
}
