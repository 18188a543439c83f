//! H.265: NAL units, aggregates and fragments (RFC 7798, section 4.4).
//!
//! Decoding order numbers are not read: they are there only where `sprop-max-don-diff` is above 0,
//! which is not negotiated for WebRTC. PACI packets are recognised and not read into. The last packet
//! of an access unit has the RTP marker bit; no packet tells that it is the first.

use super::cursor::Cursor;
use super::{Fault, ParseError, Resolution, sps};
use crate::wire::malformed::Malformed;
use crate::wire::rtp::NoSpace;

/// NAL unit type of a video parameter set.
pub const VIDEO_PARAMETERS: u8 = 32;
/// NAL unit type of a sequence parameter set.
pub const SEQUENCE_PARAMETERS: u8 = 33;
/// NAL unit type of a picture parameter set.
pub const PICTURE_PARAMETERS: u8 = 34;

const AGGREGATE: u8 = 48;
const FRAGMENT: u8 = 49;
const PACI: u8 = 50;

/// The two octets of a NAL unit's header (RFC 7798, section 1.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NalHeader {
    /// nal_unit_type: 0 to 47 of NAL units, 48 to 50 of packets, others are not specified.
    pub kind: u8,
    /// nuh_layer_id, 6 bits.
    pub layer_id: u8,
    /// The temporal layer, 0 to 6.
    pub temporal_id: u8,
}

impl NalHeader {
    #[inline]
    fn parse(bytes: [u8; 2], at: usize) -> Result<NalHeader, ParseError> {
        let [first, second] = bytes;
        match (second & 7).checked_sub(1) {
            Some(temporal_id) if first & 0x80 == 0 => {
                Ok(NalHeader { kind: first >> 1, layer_id: (first & 1) << 5 | second >> 3, temporal_id })
            }
            _ => Err(Malformed::at(at, Fault::H265Header)),
        }
    }

    /// The header's octets, each field cut to its width.
    #[inline]
    pub fn to_bytes(self) -> [u8; 2] {
        let (kind, layer_id) = (self.kind & 0x3f, self.layer_id & 0x3f);
        [kind << 1 | layer_id >> 5, layer_id << 3 | self.temporal_id.saturating_add(1) & 7]
    }

    /// Whether it is of a picture at which decoding can begin: IDR, BLA, CRA and reserved types 22, 23
    /// (intra random access points).
    #[inline]
    pub fn is_random_access(self) -> bool {
        matches!(self.kind, 16..=23)
    }

    /// Whether a receiver of lower temporal layers may begin with this picture's: TSA and STSA, types
    /// 2 to 5.
    #[inline]
    pub fn is_layer_access(self) -> bool {
        matches!(self.kind, 2..=5)
    }

    /// Whether later pictures of this temporal layer and all above depend on nothing of them in front
    /// of this picture: TSA, types 2 and 3.
    #[inline]
    pub fn is_switching_up(self) -> bool {
        matches!(self.kind, 2..=3)
    }

    /// Whether a decoder may begin with this NAL unit, of which `body` is what follows the header: the
    /// first slice segment of a random access picture, or the parameter sets that precede it, often in
    /// a packet of their own.
    #[inline]
    fn begins_key_frame(self, body: &[u8]) -> bool {
        // first_slice_segment_in_pic_flag is the first bit of a slice segment.
        let first_segment = body.first().is_some_and(|byte| byte & 0x80 != 0);
        let parameters = matches!(self.kind, VIDEO_PARAMETERS | SEQUENCE_PARAMETERS);
        parameters || self.is_random_access() && first_segment
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

/// A part of a NAL unit (section 4.4.3).
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
    /// Several NAL units (AP), whose header tells their lowest layers.
    Aggregate(NalHeader, Aggregate<'a>),
    /// A part of one (FU).
    Fragment(Fragment<'a>),
    /// PACI, type 50.
    Paci(NalHeader),
}

impl<'a> Payload<'a> {
    /// Reads a payload; of an aggregate every unit is checked to be there.
    ///
    /// # Errors
    /// [`Fault::Empty`], [`Fault::H265Header`], [`Fault::H265Length`], [`Fault::H265Nested`] and
    /// [`Fault::H265Fragment`].
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Payload<'a>, ParseError> {
        let mut cursor = Cursor::new(payload);
        if payload.is_empty() {
            return Err(cursor.fault(Fault::Empty));
        }
        let header = cursor.word(Fault::H265Header)?;
        let header = NalHeader::parse(header.to_be_bytes(), 0)?;
        match header.kind {
            AGGREGATE => {
                let units = cursor.rest;
                next_unit(&mut cursor)?;
                loop {
                    next_unit(&mut cursor)?;
                    if cursor.rest.is_empty() {
                        return Ok(Payload::Aggregate(header, Aggregate { units }));
                    }
                }
            }
            FRAGMENT => Ok(Payload::Fragment(Fragment::parse(header, &mut cursor)?)),
            PACI => Ok(Payload::Paci(header)),
            _ => Ok(Payload::Single(Nal { header, data: payload })),
        }
    }

    /// The header: of the unit, of the unit that this is part of, or of the packet. Its temporal layer
    /// is the payload's.
    #[inline]
    pub fn header(&self) -> NalHeader {
        match *self {
            Payload::Single(nal) => nal.header,
            Payload::Fragment(fragment) => fragment.header,
            Payload::Aggregate(header, _) | Payload::Paci(header) => header,
        }
    }

    /// Whether a key frame begins here: the first slice segment of a random access picture, or
    /// parameter sets, which may be said of two packets of one access unit.
    #[inline]
    pub fn begins_key_frame(&self) -> bool {
        let begins = |nal: Nal<'_>| nal.header.begins_key_frame(nal.data.get(2..).unwrap_or_default());
        match *self {
            Payload::Single(nal) => begins(nal),
            Payload::Aggregate(_, aggregate) => aggregate.units().any(begins),
            Payload::Fragment(fragment) => fragment.starts && fragment.header.begins_key_frame(fragment.data),
            Payload::Paci(_) => false,
        }
    }

    /// The size of the pictures that follow, cropped, if the base layer's sequence parameter set tells it here
    /// (ITU-T H.265, section 7.3.2.2.1). A set that is cut, or in fragments, does not.
    pub fn resolution(&self) -> Option<Resolution> {
        let told = |nal: Nal<'_>| {
            let parameters = nal.header.kind == SEQUENCE_PARAMETERS && nal.header.layer_id == 0;
            if parameters { sps::h265(nal.data) } else { None }
        };
        match *self {
            Payload::Single(nal) => told(nal),
            Payload::Aggregate(_, aggregate) => aggregate.units().find_map(told),
            Payload::Fragment(_) | Payload::Paci(_) => None,
        }
    }

    /// Whether any unit of the payload has that property.
    #[inline]
    pub fn any(&self, property: fn(NalHeader) -> bool) -> bool {
        match *self {
            Payload::Aggregate(_, aggregate) => aggregate.units().any(|nal| property(nal.header)),
            _ => property(self.header()),
        }
    }
}

/// The next unit of an aggregate: two bytes of length, then the unit (section 4.4.2).
#[inline]
fn next_unit<'a>(cursor: &mut Cursor<'a>) -> Result<Nal<'a>, ParseError> {
    let fault = cursor.fault(Fault::H265Length);
    let len = usize::from(cursor.word(Fault::H265Length)?);
    let at = cursor.at();
    let data = cursor.take(len, Fault::H265Length).map_err(|_| fault)?;
    let header = NalHeader::parse(*data.first_chunk().ok_or(fault)?, at)?;
    if matches!(header.kind, AGGREGATE..=PACI) {
        return Err(Malformed::at(at, Fault::H265Nested));
    }
    Ok(Nal { header, data })
}

impl<'a> Fragment<'a> {
    #[inline]
    fn parse(header: NalHeader, cursor: &mut Cursor<'a>) -> Result<Fragment<'a>, ParseError> {
        let fault = cursor.fault(Fault::H265Fragment);
        let byte = cursor.byte(Fault::H265Fragment)?;
        let (starts, ends, kind) = (byte & 0x80 != 0, byte & 0x40 != 0, byte & 0x3f);
        if starts && ends {
            return Err(fault);
        }
        if matches!(kind, AGGREGATE..=PACI) {
            return Err(Malformed { fault: Fault::H265Nested, ..fault });
        }
        if cursor.rest.is_empty() {
            return Err(cursor.fault(Fault::H265Fragment));
        }
        Ok(Fragment { starts, ends, header: NalHeader { kind, ..header }, data: cursor.rest })
    }

    /// The three octets in front of the part: payload header and FU header (section 4.4.3).
    pub fn prefix(&self) -> [u8; 3] {
        let [first, second] = NalHeader { kind: FRAGMENT, ..self.header }.to_bytes();
        [first, second, u8::from(self.starts) << 7 | u8::from(self.ends) << 6 | self.header.kind & 0x3f]
    }
}

/// Several NAL units in one payload (section 4.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregate<'a> {
    units: &'a [u8],
}

impl<'a> Aggregate<'a> {
    /// The units, at least two.
    #[inline]
    pub fn units(&self) -> impl Iterator<Item = Nal<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.units);
        // Walked without an error when it was parsed.
        std::iter::from_fn(move || next_unit(&mut cursor).ok())
    }

    /// Writes units, each with its header, as one payload and returns its bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if they do not fit, there are fewer than two, or one has no valid header or more than
    /// 65,535 bytes.
    pub fn write(buf: &mut [u8], units: &[&[u8]]) -> Result<usize, NoSpace> {
        // The header tells the lowest layers of its units.
        let mut header = NalHeader { kind: AGGREGATE, layer_id: u8::MAX, temporal_id: u8::MAX };
        let mut len = 2;
        for unit in units {
            let own = NalHeader::parse(*unit.first_chunk().ok_or(NoSpace)?, 0).map_err(|_| NoSpace)?;
            header.layer_id = header.layer_id.min(own.layer_id);
            header.temporal_id = header.temporal_id.min(own.temporal_id);
            let unit_len = u16::try_from(unit.len()).map_err(|_| NoSpace)?.to_be_bytes();
            for bytes in [&unit_len[..], unit] {
                let place = buf.get_mut(len..).and_then(|rest| rest.get_mut(..bytes.len()));
                place.ok_or(NoSpace)?.copy_from_slice(bytes);
                len += bytes.len();
            }
        }
        if units.len() < 2 {
            return Err(NoSpace);
        }
        *buf.first_chunk_mut().ok_or(NoSpace)? = header.to_bytes();
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
    fn rfc_7798_1_1_4_the_header_is_read_where_the_rfc_puts_it() {
        let header = NalHeader::parse([0x43, 0x0b], 0).expect("valid");
        assert_eq!(header, NalHeader { kind: 33, layer_id: 33, temporal_id: 2 });
        assert_eq!(header.to_bytes(), [0x43, 0x0b]);
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let refused = NalHeader::parse([first, second], 0).is_err();
                assert_eq!(refused, first & 0x80 != 0 || second & 7 == 0);
            }
        }
    }

    #[test]
    fn rfc_7798_4_4_2_an_aggregate_is_read_unit_by_unit() {
        let bytes = [0x60, 0x01, 0, 3, 0x40, 1, 9, 0, 2, 0x42, 1];
        let Ok(Payload::Aggregate(header, aggregate)) = Payload::parse(&bytes) else { panic!("an AP") };
        let units: Vec<_> = aggregate.units().map(|nal| (nal.header.kind, nal.data)).collect();
        assert_eq!(units, [(VIDEO_PARAMETERS, &bytes[4..7]), (SEQUENCE_PARAMETERS, &bytes[9..])]);
        assert_eq!(header.temporal_id, 0);
        assert!(Payload::parse(&bytes).expect("whole").begins_key_frame());
    }

    #[test]
    fn rfc_7798_4_4_3_a_fragment_tells_the_unit_it_is_of() {
        let bytes = [0x62, 0x02, 0x93, 0x80, 7];
        let Ok(Payload::Fragment(fragment)) = Payload::parse(&bytes) else { panic!("an FU") };
        let header = NalHeader { kind: 19, layer_id: 0, temporal_id: 1 };
        assert_eq!(fragment, Fragment { starts: true, ends: false, header, data: &[0x80, 7] });
        let key = |bytes: &[u8]| Payload::parse(bytes).expect("whole").begins_key_frame();
        assert!(key(&bytes) && !key(&[0x62, 0x02, 0x13, 0x80]), "only its start");
        assert!(!key(&[0x62, 0x02, 0x93, 0x40]), "a later segment");
        assert!(key(&[0x26, 1, 0x80]) && key(&[0x2a, 1, 0x80]) && !key(&[0x02, 1, 0x80]));
    }

    #[test]
    fn every_type_is_recognised() {
        for kind in 0..64u8 {
            let [first, second] = NalHeader { kind, layer_id: 0, temporal_id: 3 }.to_bytes();
            let bytes = [first, second, 0x81, 7];
            let read = Payload::parse(&bytes);
            match kind {
                48 => assert_eq!(read, Err(Malformed::at(2, Fault::H265Length))),
                49 => assert!(matches!(read, Ok(Payload::Fragment(_)))),
                50 => assert!(matches!(read, Ok(Payload::Paci(_)))),
                _ => assert!(matches!(read, Ok(Payload::Single(_)))),
            }
            let header = NalHeader { kind, layer_id: 0, temporal_id: 0 };
            assert_eq!(header.is_random_access(), (16..24).contains(&kind));
            assert_eq!(header.is_layer_access(), (2..6).contains(&kind));
        }
    }

    #[test]
    fn s_desc_01_h265_cut_and_nested_packets_are_refused_where_they_go_wrong() {
        let whole = [0x60, 0x01, 0, 3, 0x40, 1, 9, 0, 2, 0x42, 1];
        for len in 0..whole.len() {
            let expected = match len {
                0 => (0, Fault::Empty),
                1 => (0, Fault::H265Header),
                2..7 => (2, Fault::H265Length),
                _ => (7, Fault::H265Length),
            };
            assert_eq!(error(&whole[..len]), Some(expected), "{len}");
        }
        assert_eq!(
            error(&[0x60, 1, 0, 1, 0x40, 0, 2, 0x42, 1]),
            Some((2, Fault::H265Length)),
            "half a header"
        );
        assert_eq!(error(&[0x60, 1, 0, 0, 0, 2, 0x42, 1]), Some((2, Fault::H265Length)));
        for kind in 48..=50u8 {
            assert_eq!(error(&[0x60, 1, 0, 2, kind << 1, 1, 0, 2, 0x42, 1]), Some((4, Fault::H265Nested)));
            assert_eq!(error(&[0x62, 1, 0x80 | kind, 1]), Some((2, Fault::H265Nested)));
        }
        assert_eq!(error(&[0x62, 1]), Some((2, Fault::H265Fragment)));
        assert_eq!(error(&[0x62, 1, 0x93]), Some((3, Fault::H265Fragment)), "nothing of the unit");
        assert_eq!(error(&[0x62, 1, 0xd3, 1]), Some((2, Fault::H265Fragment)), "start and end");
    }

    proptest! {
        #[test]
        fn an_aggregate_is_read_as_written(
            units in proptest::collection::vec((0u8..48, 0u8..64, 0u8..7, proptest::collection::vec(any::<u8>(), 0..40)), 2..6),
            room in 0usize..60,
        ) {
            let lowest = units.iter().map(|unit| unit.2).min();
            let units: Vec<Vec<u8>> = units.into_iter().map(|(kind, layer_id, temporal_id, body)| {
                [&NalHeader { kind, layer_id, temporal_id }.to_bytes()[..], &body].concat()
            }).collect();
            let slices: Vec<&[u8]> = units.iter().map(Vec::as_slice).collect();
            let mut buf = [0xff; 300];
            let len = Aggregate::write(&mut buf, &slices).expect("room");
            let Ok(Payload::Aggregate(header, aggregate)) = Payload::parse(&buf[..len]) else { panic!("an AP") };
            prop_assert!(aggregate.units().map(|nal| nal.data).eq(slices.iter().copied()));
            prop_assert_eq!(Some(header.temporal_id), lowest);
            prop_assert_eq!(Aggregate::write(&mut buf[..room], &slices).is_ok(), room >= len);
        }

        #[test]
        fn a_fragment_is_read_as_written(
            ends in 0u8..3, kind in 0u8..48, layer_id in 0u8..64, temporal_id in 0u8..7,
            data in proptest::collection::vec(any::<u8>(), 1..20),
        ) {
            let header = NalHeader { kind, layer_id, temporal_id };
            let fragment = Fragment { starts: ends == 1, ends: ends == 2, header, data: &data };
            let bytes = [&fragment.prefix()[..], &data].concat();
            prop_assert_eq!(Payload::parse(&bytes), Ok(Payload::Fragment(fragment)));
        }
    }
}
