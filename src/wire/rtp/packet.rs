//! A view of one RTP packet (RFC 3550, section 5.1).

use super::{Extensions, PayloadType, RtpTime, Ssrc, WireSeq};
use crate::wire::malformed::Malformed;

/// The field of an RTP packet that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Shorter than the fixed header of 12 bytes.
    #[error("the datagram ends inside the fixed RTP header")]
    TooShort,
    /// The version is not 2.
    #[error("the RTP version is not 2")]
    Version,
    /// The list of contributing sources runs past the end.
    #[error("the contributing sources end after the datagram")]
    Csrc,
    /// The header extension runs past the end.
    #[error("the RTP header extension ends after the datagram")]
    Extension,
    /// A padding count of zero, above the payload, or on an empty payload.
    #[error("the padding does not fit the payload")]
    Padding,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 5] = [Self::TooShort, Self::Version, Self::Csrc, Self::Extension, Self::Padding];

    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "rtp.too_short",
            Self::Version => "rtp.version",
            Self::Csrc => "rtp.csrc",
            Self::Extension => "rtp.extension",
            Self::Padding => "rtp.padding",
        }
    }
}

/// Why bytes are not an RTP packet.
pub type ParseError = Malformed<Fault>;

/// An RTP packet whose header was checked; of an SRTP datagram everything but the payload.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    fixed: &'a [u8; 12],
    csrcs: &'a [u8],
    profile: Option<u16>,
    elements: &'a [u8],
    payload: &'a [u8],
    header_len: usize,
}

impl<'a> Packet<'a> {
    /// Checks the header against the datagram's length: fixed part, contributing sources, extension.
    ///
    /// The payload may be empty. Neither padding nor the extension's elements are looked at here: the
    /// former is encrypted as yet, the latter stop where they stop making sense ([`Extensions`]).
    ///
    /// # Errors
    /// Any [`Fault`] but [`Fault::Padding`]; the offset is where that field begins in `datagram`.
    #[inline]
    pub fn parse(datagram: &'a [u8]) -> Result<Packet<'a>, ParseError> {
        let short = || Malformed::at(0, Fault::TooShort);
        let (fixed, rest) = datagram.split_first_chunk::<12>().ok_or_else(short)?;
        let [first, ..] = *fixed;
        if first >> 6 != 2 {
            return Err(Malformed::at(0, Fault::Version));
        }
        let csrcs_len = usize::from(first & 0x0f) * 4;
        let (csrcs, rest) = rest.split_at_checked(csrcs_len).ok_or_else(|| Malformed::at(12, Fault::Csrc))?;
        let (profile, elements, payload) = if first & 0x10 == 0 {
            (None, Default::default(), rest)
        } else {
            let past_end = || Malformed::at(12 + csrcs_len, Fault::Extension);
            let (&[p0, p1, w0, w1], rest) = rest.split_first_chunk::<4>().ok_or_else(past_end)?;
            let len = usize::from(u16::from_be_bytes([w0, w1])) * 4;
            let (elements, payload) = rest.split_at_checked(len).ok_or_else(past_end)?;
            (Some(u16::from_be_bytes([p0, p1])), elements, payload)
        };
        // The payload is a suffix of the datagram.
        let header_len = datagram.len() - payload.len();
        Ok(Packet { fixed, csrcs, profile, elements, payload, header_len })
    }

    /// Whether the payload ends in padding; see [`padding_len`].
    #[inline]
    pub fn has_padding(&self) -> bool {
        let [first, ..] = *self.fixed;
        first & 0x20 != 0
    }

    /// The marker bit; what it means is the payload format's affair, mostly the end of a frame.
    #[inline]
    pub fn marker(&self) -> bool {
        let [_, second, ..] = *self.fixed;
        second & 0x80 != 0
    }

    /// The payload type.
    #[inline]
    pub fn payload_type(&self) -> PayloadType {
        let [_, second, ..] = *self.fixed;
        PayloadType::from_header(second)
    }

    /// The sequence number.
    #[inline]
    pub fn sequence_number(&self) -> WireSeq {
        let [_, _, a, b, ..] = *self.fixed;
        WireSeq(u16::from_be_bytes([a, b]))
    }

    /// The media timestamp.
    #[inline]
    pub fn timestamp(&self) -> RtpTime {
        let [_, _, _, _, a, b, c, d, ..] = *self.fixed;
        RtpTime(u32::from_be_bytes([a, b, c, d]))
    }

    /// The stream.
    #[inline]
    pub fn ssrc(&self) -> Ssrc {
        let [.., a, b, c, d] = *self.fixed;
        Ssrc(u32::from_be_bytes([a, b, c, d]))
    }

    /// The contributing sources, at most 15.
    #[inline]
    pub fn csrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + use<'a> {
        let (csrcs, _) = self.csrcs.as_chunks::<4>();
        csrcs.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }

    /// The 16 bits that name the form of the header extension, if there is one: `0xBEDE` and
    /// `0x1000` to `0x100F` are RFC 8285, `0xC0DE` and `0xC2DE` Cryptex (RFC 9335).
    #[inline]
    pub fn extension_profile(&self) -> Option<u16> {
        self.profile
    }

    /// The elements of the header extension, in the order of the packet.
    #[inline]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions::new(self.profile, self.elements)
    }

    /// The first element with that local identifier.
    #[inline]
    pub fn extension(&self, id: u8) -> Option<&'a [u8]> {
        self.extensions().find(|(at, _)| *at == id).map(|(_, value)| value)
    }

    /// Bytes of the whole header: contributing sources and extension included.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.header_len
    }

    /// The bytes behind the header, padding included.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Bytes of padding at the end of a decrypted payload whose header [has the bit](Packet::has_padding).
///
/// The count covers itself; one equal to the payload's length makes a packet of nothing but padding.
///
/// # Errors
/// [`Fault::Padding`] for a count of zero or above the payload, and for an empty payload (RFC 3550,
/// section 5.1); the offset is that of the count in `payload`.
#[inline]
pub fn padding_len(payload: &[u8]) -> Result<usize, ParseError> {
    let count = payload.last().map_or(0, |last| usize::from(*last));
    if count == 0 || count > payload.len() {
        return Err(Malformed::at(payload.len().saturating_sub(1), Fault::Padding));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXED: [u8; 12] = [0x80, 0xe0, 0x12, 0x34, 0, 1, 2, 3, 0xca, 0xfe, 0xba, 0xbe];

    fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = FIXED.to_vec();
        bytes[0] = first;
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn fields_are_read_where_rfc_3550_puts_them() {
        let bytes = packet(0xb1, &[0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0, 1, 2, 2]);
        let packet = Packet::parse(&bytes).expect("well formed");
        assert!(packet.has_padding() && packet.marker());
        assert_eq!(packet.payload_type().get(), 96);
        assert_eq!(packet.sequence_number(), WireSeq(0x1234));
        assert_eq!(packet.timestamp(), RtpTime(0x0001_0203));
        assert_eq!(packet.ssrc(), Ssrc(0xcafe_babe));
        assert!(packet.csrcs().eq([Ssrc(7)]));
        assert_eq!(packet.extension_profile(), Some(0xbede));
        assert_eq!(packet.extension(1), Some(&[0xaa][..]));
        assert_eq!(packet.extension(2), None);
        assert_eq!((packet.header_len(), packet.payload()), (24, &[1, 2, 2][..]));
        assert_eq!(padding_len(packet.payload()), Ok(2));
    }

    #[test]
    fn s_rtp_01_header_is_checked_against_the_length_up_front() {
        let whole = packet(0x92, &[0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8]);
        for len in 0..whole.len() {
            let (fault, offset) = match len {
                0..12 => (Fault::TooShort, 0),
                12..20 => (Fault::Csrc, 12),
                _ => (Fault::Extension, 20),
            };
            assert_eq!(Packet::parse(&whole[..len]).err(), Some(Malformed { fault, offset }), "cut to {len}");
        }
        let packet = Packet::parse(&whole).expect("an empty payload is a packet");
        assert!(packet.payload().is_empty());
    }

    #[test]
    fn s_rtp_01_only_version_2_is_rtp() {
        for first in 0..=255u8 {
            let verdict = Packet::parse(&packet(first, &[0; 64])).err();
            assert_eq!(
                verdict == Some(Malformed { fault: Fault::Version, offset: 0 }),
                first >> 6 != 2,
                "first byte {first:#x}"
            );
        }
    }

    #[test]
    fn s_rtp_02_padding_count_must_fit() {
        let wrong = |offset| Err(Malformed { fault: Fault::Padding, offset });
        assert_eq!(padding_len(&[]), wrong(0));
        assert_eq!(padding_len(&[9, 0]), wrong(1));
        assert_eq!(padding_len(&[9, 3]), wrong(1));
        assert_eq!(padding_len(&[9, 1]), Ok(1));
        assert_eq!(padding_len(&[0; 255].map(|_| 255)), Ok(255), "nothing but padding");
    }

    #[test]
    fn every_fault_has_its_own_name_and_place() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
            assert_eq!(Fault::ALL.iter().filter(|other| other.name() == fault.name()).count(), 1);
        }
    }
}
