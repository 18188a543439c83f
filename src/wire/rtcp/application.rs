//! Packets whose meaning an application defines (RFC 3550, section 6.7).

use super::{Fault, ParseError, Writer, packet_type, ssrcs};
use crate::wire::rtp::{NoSpace, Ssrc};

/// A packet that only the application of its name understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Application<'a> {
    /// Who sent it.
    pub ssrc: Ssrc,
    /// Tells packets of one name apart: five bits.
    pub subtype: u8,
    /// Four ASCII characters, by convention.
    pub name: [u8; 4],
    /// The application's own, in units of 32 bits.
    pub data: &'a [[u8; 4]],
}

impl<'a> Application<'a> {
    pub(super) fn parse(subtype: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let ([ssrc], rest) = ssrcs(body)?;
        let (name, rest) = rest.split_first_chunk().ok_or(ParseError::at(4, Fault::ApplicationName))?;
        match rest.as_chunks() {
            (data, []) => Ok(Application { ssrc, subtype, name: *name, data }),
            _ => Err(ParseError::at(8, Fault::ApplicationData)),
        }
    }
}

impl Writer<'_> {
    /// Writes a packet of an application (RFC 3550, section 6.7).
    ///
    /// # Errors
    /// [`NoSpace`] also if the subtype has more than five bits.
    pub fn application(&mut self, packet: &Application<'_>) -> Result<(), NoSpace> {
        let subtype = super::writer::count_of(usize::from(packet.subtype))?;
        let words = [packet.ssrc.0, u32::from_be_bytes(packet.name)];
        let words = words.into_iter().chain(packet.data.iter().map(|word| u32::from_be_bytes(*word)));
        self.words(subtype, packet_type::APPLICATION, 2 + packet.data.len(), words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3550_6_7_name_and_data_follow_the_ssrc() {
        let body = [0, 0, 0, 7, b'n', b'a', b'm', b'e', 1, 2, 3, 4];
        let packet = Application::parse(3, &body).expect("well formed");
        let expected = Application { ssrc: Ssrc(7), subtype: 3, name: *b"name", data: &[[1, 2, 3, 4]] };
        assert_eq!(packet, expected);
        assert_eq!(Application::parse(3, &body[..8]).expect("no data").data.len(), 0);
    }

    #[test]
    fn s_rtcp_08_a_cut_application_packet_is_refused_where_it_is_cut() {
        let body = [0; 16];
        for (len, at, fault) in
            [(3, 0, Fault::Ssrc), (7, 4, Fault::ApplicationName), (9, 8, Fault::ApplicationData)]
        {
            assert_eq!(Application::parse(0, &body[..len]), Err(ParseError::at(at, fault)), "{len} bytes");
        }
    }
}
