//! H.264: NAL units, aggregates and fragments (RFC 6184, section 5).
//!
//! Read are single NAL units, STAP-A and FU-A, which is all that the packetization modes 0 and 1 of
//! WebRTC have. STAP-B, MTAP and FU-B belong to the interleaved mode: they are recognised and not read
//! into. The last packet of an access unit has the RTP marker bit; no packet tells that it is the first.

use super::cursor::Cursor;
use super::{Fault, ParseError, Resolution, sps};
use crate::wire::malformed::Malformed;
use crate::wire::rtp::NoSpace;

/// NAL unit type of a slice of any but an IDR picture.
pub const SLICE: u8 = 1;
/// NAL unit type of a slice of an IDR picture.
pub const IDR_SLICE: u8 = 5;
/// NAL unit type of a sequence parameter set.
pub const SEQUENCE_PARAMETERS: u8 = 7;
/// NAL unit type of a picture parameter set.
pub const PICTURE_PARAMETERS: u8 = 8;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_B: u8 = 29;

/// The first octet of a NAL unit (RFC 6184, section 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NalHeader {
    /// nal_ref_idc, 0 to 3: 0 if no other picture depends on it.
    pub ref_idc: u8,
    /// nal_unit_type: 1 to 23 of NAL units, 24 to 29 of packets.
    pub kind: u8,
}

impl NalHeader {
    #[inline]
    fn parse(byte: u8, at: usize) -> Result<NalHeader, ParseError> {
        let kind = byte & 0x1f;
        if byte & 0x80 != 0 || !matches!(kind, 1..=FU_B) {
            return Err(Malformed::at(at, Fault::H264Header));
        }
        Ok(NalHeader { ref_idc: byte >> 5, kind })
    }

    #[inline]
    fn to_byte(self) -> u8 {
        (self.ref_idc & 3) << 5 | self.kind & 0x1f
    }

    /// Whether a decoder may begin with this NAL unit, of which `body` is what follows the header.
    ///
    /// That is the first slice of an IDR picture, or a sequence parameter set: senders put the
    /// parameters in front of the IDR picture, often in a packet of their own, and without them the
    /// picture cannot be decoded.
    #[inline]
    fn begins_key_frame(self, body: &[u8]) -> bool {
        // first_mb_in_slice is the first field of a slice, and 0 is a single set bit.
        let first_slice = body.first().is_some_and(|byte| byte & 0x80 != 0);
        self.kind == SEQUENCE_PARAMETERS || self.kind == IDR_SLICE && first_slice
    }
}

/// A whole NAL unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nal<'a> {
    /// Its header.
    pub header: NalHeader,
    /// The unit, header included.
    pub data: &'a [u8],
}

/// A part of a NAL unit (section 5.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// S: the first part.
    pub starts: bool,
    /// E: the last part.
    pub ends: bool,
    /// The header of the fragmented unit.
    pub header: NalHeader,
    /// The part, without any header; at least one byte.
    pub data: &'a [u8],
}

/// A payload whose lengths were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// One NAL unit.
    Single(Nal<'a>),
    /// Several NAL units (STAP-A).
    Aggregate(Aggregate<'a>),
    /// A part of one (FU-A).
    Fragment(Fragment<'a>),
    /// STAP-B, MTAP16, MTAP24 or FU-B: types 25 to 27 and 29, of the interleaved mode.
    Interleaved(NalHeader),
}

impl<'a> Payload<'a> {
    /// Reads a payload; of an aggregate every unit is checked to be there.
    ///
    /// # Errors
    /// [`Fault::Empty`], [`Fault::H264Header`], [`Fault::H264Length`], [`Fault::H264Nested`] and
    /// [`Fault::H264Fragment`].
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Payload<'a>, ParseError> {
        let mut cursor = Cursor::new(payload);
        let header = NalHeader::parse(cursor.byte(Fault::Empty)?, 0)?;
        match header.kind {
            STAP_A => {
                let units = cursor.rest;
                loop {
                    next_unit(&mut cursor)?;
                    if cursor.rest.is_empty() {
                        return Ok(Payload::Aggregate(Aggregate { units }));
                    }
                }
            }
            FU_A => Ok(Payload::Fragment(Fragment::parse(header, &mut cursor)?)),
            25..=FU_B => Ok(Payload::Interleaved(header)),
            _ => Ok(Payload::Single(Nal { header, data: payload })),
        }
    }

    /// Whether a key frame begins here: the first slice of an IDR picture or a sequence parameter set,
    /// which may be said of two packets of one access unit.
    #[inline]
    pub fn begins_key_frame(&self) -> bool {
        let begins = |nal: Nal<'_>| nal.header.begins_key_frame(nal.data.get(1..).unwrap_or_default());
        match *self {
            Payload::Single(nal) => begins(nal),
            Payload::Aggregate(aggregate) => aggregate.units().any(begins),
            Payload::Fragment(fragment) => fragment.starts && fragment.header.begins_key_frame(fragment.data),
            Payload::Interleaved(_) => false,
        }
    }

    /// The size of the pictures that follow, cropped, if a sequence parameter set tells it here (ITU-T H.264,
    /// section 7.3.2.1.1). A set that is cut, or in fragments, does not.
    pub fn resolution(&self) -> Option<Resolution> {
        let told = |nal: Nal<'_>| {
            let parameters = nal.header.kind == SEQUENCE_PARAMETERS;
            if parameters { sps::h264(nal.data) } else { None }
        };
        match *self {
            Payload::Single(nal) => told(nal),
            Payload::Aggregate(aggregate) => aggregate.units().find_map(told),
            Payload::Fragment(_) | Payload::Interleaved(_) => None,
        }
    }

    /// Whether the payload is of slices that no other picture depends on, and nothing else.
    #[inline]
    pub fn is_discardable(&self) -> bool {
        let discardable = |header: NalHeader| header.ref_idc == 0 && matches!(header.kind, 1..=4);
        match *self {
            Payload::Single(nal) => discardable(nal.header),
            Payload::Aggregate(aggregate) => aggregate.units().all(|nal| discardable(nal.header)),
            Payload::Fragment(fragment) => discardable(fragment.header),
            Payload::Interleaved(_) => false,
        }
    }
}

/// The next unit of an aggregate: two bytes of length, then the unit (section 5.7.1).
#[inline]
fn next_unit<'a>(cursor: &mut Cursor<'a>) -> Result<Nal<'a>, ParseError> {
    let fault = cursor.fault(Fault::H264Length);
    let len = usize::from(cursor.word(Fault::H264Length)?);
    let at = cursor.at();
    let data = cursor.take(len, Fault::H264Length).map_err(|_| fault)?;
    let header = NalHeader::parse(*data.first().ok_or(fault)?, at)?;
    if header.kind >= STAP_A {
        return Err(Malformed::at(at, Fault::H264Nested));
    }
    Ok(Nal { header, data })
}

impl<'a> Fragment<'a> {
    #[inline]
    fn parse(indicator: NalHeader, cursor: &mut Cursor<'a>) -> Result<Fragment<'a>, ParseError> {
        let fault = cursor.fault(Fault::H264Fragment);
        let byte = cursor.byte(Fault::H264Fragment)?;
        let (starts, ends, kind) = (byte & 0x80 != 0, byte & 0x40 != 0, byte & 0x1f);
        if starts && ends {
            return Err(fault);
        }
        if !matches!(kind, 1..STAP_A) {
            return Err(Malformed { fault: Fault::H264Nested, ..fault });
        }
        let header = NalHeader { ref_idc: indicator.ref_idc, kind };
        Ok(Fragment { starts, ends, header, data: cursor.rest })
    }

    /// The two octets in front of the part: FU indicator and FU header (section 5.8).
    pub fn prefix(&self) -> [u8; 2] {
        let indicator = NalHeader { kind: FU_A, ..self.header };
        [indicator.to_byte(), u8::from(self.starts) << 7 | u8::from(self.ends) << 6 | self.header.kind & 0x1f]
    }
}

/// Several NAL units in one payload (section 5.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregate<'a> {
    units: &'a [u8],
}

impl<'a> Aggregate<'a> {
    /// The units, at least one.
    #[inline]
    pub fn units(&self) -> impl Iterator<Item = Nal<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.units);
        // Walked without an error when it was parsed.
        std::iter::from_fn(move || next_unit(&mut cursor).ok())
    }

    /// Writes units, each with its header, as one payload and returns its bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if they do not fit, there is none, or one is empty or longer than 65,535 bytes.
    pub fn write(buf: &mut [u8], units: &[&[u8]]) -> Result<usize, NoSpace> {
        let mut len = 1;
        let mut ref_idc = 0;
        for unit in units {
            // The header tells the greatest importance of its units.
            ref_idc = ref_idc.max(unit.first().ok_or(NoSpace)? >> 5 & 3);
            let unit_len = u16::try_from(unit.len()).map_err(|_| NoSpace)?.to_be_bytes();
            for bytes in [&unit_len[..], unit] {
                let place = buf.get_mut(len..).and_then(|rest| rest.get_mut(..bytes.len()));
                place.ok_or(NoSpace)?.copy_from_slice(bytes);
                len += bytes.len();
            }
        }
        if units.is_empty() {
            return Err(NoSpace);
        }
        *buf.first_mut().ok_or(NoSpace)? = NalHeader { ref_idc, kind: STAP_A }.to_byte();
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(bytes: &[u8]) -> Option<(u16, Fault)> {
        Payload::parse(bytes).err().map(|error| (error.offset, error.fault))
    }

    #[test]
    fn rfc_6184_5_7_1_an_aggregate_is_read_unit_by_unit() {
        let bytes = [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3];
        let Ok(Payload::Aggregate(aggregate)) = Payload::parse(&bytes) else { panic!("a STAP-A") };
        let units: Vec<_> =
            aggregate.units().map(|nal| (nal.header.kind, nal.header.ref_idc, nal.data)).collect();
        assert_eq!(units, [(7, 3, &bytes[3..6]), (8, 3, &bytes[8..])]);
        assert!(Payload::Aggregate(aggregate).begins_key_frame(), "it has an SPS");
    }

    #[test]
    fn rfc_6184_5_8_a_fragment_tells_the_unit_it_is_of() {
        let Ok(Payload::Fragment(fragment)) = Payload::parse(&[0x7c, 0x85, 0x88, 1]) else {
            panic!("an FU-A")
        };
        let header = NalHeader { ref_idc: 3, kind: IDR_SLICE };
        assert_eq!(fragment, Fragment { starts: true, ends: false, header, data: &[0x88, 1] });
        assert!(Payload::Fragment(fragment).begins_key_frame());
        let key = |bytes: &[u8]| Payload::parse(bytes).expect("whole").begins_key_frame();
        assert!(!key(&[0x7c, 0x05, 0x88]), "not its start");
        assert!(!key(&[0x7c, 0x85, 0x48]), "a later slice");
        assert!(key(&[0x65, 0x88]) && key(&[0x67, 0]) && !key(&[0x68, 0]) && !key(&[0x41, 0x88]));
    }

    #[test]
    fn rfc_6184_5_2_other_types_are_recognised_or_refused() {
        for first in 0..=255u8 {
            let bytes = [first, 0x41, 0x80, 1];
            let read = Payload::parse(&bytes);
            let kind = first & 0x1f;
            if first & 0x80 != 0 || matches!(kind, 0 | 30 | 31) {
                assert_eq!(read, Err(Malformed::at(0, Fault::H264Header)), "{first:#x}");
            } else {
                match kind {
                    24 => assert_eq!(read, Err(Malformed::at(1, Fault::H264Length))),
                    25..=27 | 29 => assert!(matches!(read, Ok(Payload::Interleaved(_)))),
                    28 => assert!(matches!(read, Ok(Payload::Fragment(_)))),
                    _ => assert!(matches!(read, Ok(Payload::Single(_)))),
                }
            }
        }
    }

    #[test]
    fn only_slices_of_no_importance_are_discardable() {
        let discardable = |bytes: &[u8]| Payload::parse(bytes).expect("whole").is_discardable();
        assert!(discardable(&[0x01, 0x88]) && discardable(&[0x1c, 0x81, 0x88]));
        assert!(!discardable(&[0x21, 0x88]) && !discardable(&[0x06, 1]), "SEI");
        assert!(!discardable(&[0x18, 0, 1, 0x01, 0, 1, 0x06]) && discardable(&[0x18, 0, 1, 0x01]));
    }

    #[test]
    fn s_desc_01_h264_cut_and_nested_packets_are_refused_where_they_go_wrong() {
        let whole = [0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 3];
        for len in 0..whole.len() {
            let expected = match len {
                0 => Some((0, Fault::Empty)),
                1..5 => Some((1, Fault::H264Length)),
                5 => None,
                _ => Some((5, Fault::H264Length)),
            };
            assert_eq!(error(&whole[..len]), expected, "{len}");
        }
        assert_eq!(error(&[0x78, 0, 0, 0, 1, 0x41]), Some((1, Fault::H264Length)), "an empty unit");
        for kind in 24..=29 {
            assert_eq!(error(&[0x78, 0, 1, kind]), Some((3, Fault::H264Nested)));
            assert_eq!(error(&[0x7c, 0x80 | kind, 1]), Some((1, Fault::H264Nested)));
        }
        assert_eq!(error(&[0x78, 0, 1, 0x80]), Some((3, Fault::H264Header)));
        assert_eq!(error(&[0x7c]), Some((1, Fault::H264Fragment)));
        assert_eq!(error(&[0x7c, 0x85]), None, "section 5.8: a fragment may be empty");
        assert_eq!(error(&[0x7c, 0xc5, 1]), Some((1, Fault::H264Fragment)), "start and end");
    }

    proptest! {
        #[test]
        fn an_aggregate_is_read_as_written(
            units in proptest::collection::vec((1u8..24, 0u8..4, proptest::collection::vec(any::<u8>(), 0..40)), 1..6),
            room in 0usize..60,
        ) {
            let units: Vec<Vec<u8>> =
                units.into_iter().map(|(kind, ref_idc, body)| [&[ref_idc << 5 | kind][..], &body].concat()).collect();
            let slices: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
            let mut buf = [0xff; 300];
            let len = Aggregate::write(&mut buf, &slices).expect("room");
            let Ok(Payload::Aggregate(aggregate)) = Payload::parse(&buf[..len]) else { panic!("a STAP-A") };
            prop_assert!(aggregate.units().map(|nal| nal.data).eq(slices.iter().copied()));
            prop_assert_eq!(Aggregate::write(&mut buf[..room], &slices).is_ok(), room >= len);
        }

        #[test]
        fn a_fragment_is_read_as_written(
            ends in 0u8..3, kind in 1u8..24, ref_idc in 0u8..4, data in proptest::collection::vec(any::<u8>(), 1..20),
        ) {
            let header = NalHeader { ref_idc, kind };
            let fragment = Fragment { starts: ends == 1, ends: ends == 2, header, data: &data };
            let bytes = [&fragment.prefix()[..], &data].concat();
            prop_assert_eq!(Payload::parse(&bytes), Ok(Payload::Fragment(fragment)));
        }
    }
}
