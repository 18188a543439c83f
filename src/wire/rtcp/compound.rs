//! A datagram of RTCP packets (RFC 3550, section 6.1) and the packets in it.

use super::{
    Application, Bye, CongestionFeedback, ExtendedReport, Fault, Fir, Nack, ParseError, Pli, ReceiverReport,
    Remb, SenderReport, Sli, SourceDescription, Tmmbn, Tmmbr, TransportFeedback, format, packet_type,
};
use crate::base::limits;

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
            // `rest` is a suffix of the datagram.
            let at = datagram.len() - rest.len();
            if rest.is_empty() && count > 0 {
                break None;
            }
            if count == limits::RTCP_PER_DATAGRAM {
                break Some(ParseError::at(at, Fault::TooMany));
            }
            match Packet::split_first(rest).map_err(|error| error.within(at)) {
                Ok((_, tail)) => rest = tail,
                Err(error) if count == 0 => return Err(error),
                Err(error) => break Some(error),
            }
            count += 1;
        };
        let packets = datagram.get(..datagram.len() - rest.len()).unwrap_or_default();
        Ok(Compound { packets, dropped })
    }

    /// The same where reduced size was not negotiated: what does not begin with a report is refused
    /// (RFC 3550, section 6.1).
    ///
    /// # Errors
    /// As [`Compound::parse`], and [`Fault::NoReport`].
    pub fn parse_full_size(datagram: &'a [u8]) -> Result<Compound<'a>, ParseError> {
        let compound = Compound::parse(datagram)?;
        if compound.is_reduced_size() {
            return Err(ParseError::at(0, Fault::NoReport));
        }
        Ok(compound)
    }

    /// What is wrong with the first packet that was dropped, if the end of the datagram was.
    pub fn dropped(&self) -> Option<ParseError> {
        self.dropped
    }

    /// Whether it does not begin with a report: allowed only where reduced size was negotiated
    /// (RFC 5506, sections 4.1 and 5).
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
    /// What an application defines.
    Application(Application<'a>),
    /// Measurements beyond those of reports.
    ExtendedReport(ExtendedReport<'a>),
    /// Packets that are missed.
    Nack(Nack<'a>),
    /// A picture that cannot be decoded.
    Pli(Pli),
    /// Slices of a picture that are lost.
    Sli(Sli<'a>),
    /// Requests for key frames.
    Fir(Fir<'a>),
    /// Requests to keep streams below a bit rate.
    Tmmbr(Tmmbr<'a>),
    /// The limits that a sender obeys.
    Tmmbn(Tmmbn<'a>),
    /// Arrival times of a transport's packets.
    TransportFeedback(TransportFeedback<'a>),
    /// Arrival times and marks of streams' packets.
    CongestionFeedback(CongestionFeedback<'a>),
    /// The rate that a receiver believes it can take.
    Remb(Remb<'a>),
    /// Anything else: well framed, not looked into.
    Other(Other<'a>),
}

/// A packet of another type or format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other<'a> {
    /// Its type, such as 206 for feedback on a payload.
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
        // What a packet's parser counts from is the end of its header.
        Ok((Packet::parse(raw).map_err(|error| error.within(4))?, rest))
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
            (packet_type::APPLICATION, _) => Packet::Application(Application::parse(count, body)?),
            (packet_type::EXTENDED_REPORT, _) => Packet::ExtendedReport(ExtendedReport::parse(body)?),
            (packet_type::TRANSPORT_FEEDBACK, format::BITRATE_REQUEST) => Packet::Tmmbr(Tmmbr::parse(body)?),
            (packet_type::TRANSPORT_FEEDBACK, format::BITRATE_NOTIFICATION) => {
                Packet::Tmmbn(Tmmbn::parse(body)?)
            }
            (packet_type::TRANSPORT_FEEDBACK, format::CONGESTION) => {
                Packet::CongestionFeedback(CongestionFeedback::parse(body)?)
            }
            (packet_type::TRANSPORT_FEEDBACK, format::NACK) => Packet::Nack(Nack::parse(body)?),
            (packet_type::TRANSPORT_FEEDBACK, format::TRANSPORT_WIDE) => {
                Packet::TransportFeedback(TransportFeedback::parse(body)?)
            }
            (packet_type::PAYLOAD_FEEDBACK, format::PLI) => Packet::Pli(Pli::parse(body)?),
            (packet_type::PAYLOAD_FEEDBACK, format::SLI) => Packet::Sli(Sli::parse(body)?),
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
            datagram.split_first_chunk::<4>().ok_or(ParseError::at(0, Fault::Header))?;
        if first >> 6 != 2 {
            return Err(ParseError::at(0, Fault::Version));
        }
        let len = usize::from(u16::from_be_bytes([l0, l1])) * 4;
        let (mut body, rest) = rest.split_at_checked(len).ok_or(ParseError::at(2, Fault::Length))?;
        if first & 0x20 != 0 {
            // The count is the packet's last byte.
            let wrong = ParseError::at(3 + len, Fault::Padding);
            let padding = body.last().map_or(0, |last| usize::from(*last));
            if padding == 0 || !rest.is_empty() {
                return Err(wrong);
            }
            body = len.checked_sub(padding).and_then(|len| body.get(..len)).ok_or(wrong)?;
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
        let at = |offset, fault| Some(ParseError::at(offset, fault));
        assert_eq!(refused(&[]), at(0, Fault::Header));
        assert_eq!(refused(&PLI[..3]), at(0, Fault::Header));
        assert_eq!(refused(&PLI[..8]), at(2, Fault::Length));
        assert_eq!(refused(&[0x41, 206, 0, 0]), at(0, Fault::Version));
        assert_eq!(refused(&[0x80, 201, 0, 0]), at(4, Fault::Ssrc), "length zero");
        assert_eq!(refused(&[0x81, 201, 0, 1, 0, 0, 0, 1]), at(8, Fault::ReportBlock));
    }

    #[test]
    fn s_rtcp_01_the_rest_behind_a_malformed_packet_is_dropped() {
        let bad = [0x81, 206, 0, 1, 0, 0, 0, 1];
        let bytes = [&RR[..], &PLI, &bad, &PLI].concat();
        let compound = Compound::parse(&bytes).expect("it begins well");
        assert_eq!(compound.dropped(), Some(ParseError::at(28, Fault::Ssrc)));
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
        let padding = |offset| Some(ParseError::at(offset, Fault::Padding));
        assert_eq!(refused(&padded(0)), padding(15));
        assert_eq!(refused(&padded(13)), padding(15));
        assert_eq!(refused(&padded(12)), Some(ParseError::at(4, Fault::Ssrc)), "nothing is left");
        assert_eq!(refused(&[padded(4), PLI.to_vec()].concat()), padding(15));
        assert_eq!(refused(&[0xa0, 203, 0, 0]), padding(3), "no room for a count");
    }

    #[test]
    fn s_rtcp_01_reduced_size_is_told() {
        let reduced = |bytes: &[u8]| Compound::parse(bytes).expect("well formed").is_reduced_size();
        assert!(reduced(&PLI));
        assert!(!reduced(&[&RR[..], &PLI].concat()));
        assert_eq!(Compound::parse_full_size(&PLI).err(), Some(ParseError::at(0, Fault::NoReport)));
        assert!(Compound::parse_full_size(&[&RR[..], &PLI].concat()).is_ok());
    }

    #[test]
    fn s_rtcp_02_packets_above_the_limit_are_not_read() {
        let at_limit = RR.repeat(limits::RTCP_PER_DATAGRAM);
        let compound = Compound::parse(&at_limit).expect("well formed");
        assert_eq!((compound.packets().count(), compound.dropped()), (64, None));

        let above = RR.repeat(limits::RTCP_PER_DATAGRAM + 1);
        let compound = Compound::parse(&above).expect("well formed");
        let dropped = Some(ParseError::at(8 * 64, Fault::TooMany));
        assert_eq!((compound.packets().count(), compound.dropped()), (64, dropped));
    }

    #[test]
    fn s_rtcp_08_unknown_types_and_formats_are_skipped_by_length() {
        let unknown: [&[u8]; 5] = [
            &[0x80, 192, 0, 2, 0, 0, 0, 1, 4, 0, 0xff, 0xff],
            &[0x9f, 208, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'],
            &[0x82, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2],
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
}
