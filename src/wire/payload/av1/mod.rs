//! AV1: the aggregation header and the OBUs behind it (AV1 RTP specification, section 4).
//!
//! A payload is a list of OBU elements; the first may continue an OBU of the packet before, the last
//! may be continued by the packet behind. The last packet of a temporal unit should have the RTP marker
//! bit; whether it has or not, the next one has another timestamp. Layers and dependencies are told by
//! the [dependency descriptor](super::dependency).

mod sequence;

pub use sequence::SequenceHeader;

use super::cursor::{Cursor, write_leb128};
use super::{Fault, ParseError};
use crate::wire::malformed::Malformed;
use crate::wire::rtp::NoSpace;

/// OBU type of a sequence header (AV1 specification, section 6.2.2).
pub const SEQUENCE_HEADER: u8 = 1;
/// OBU type of a temporal delimiter, which senders should leave out (AV1 RTP specification, section 5).
pub const TEMPORAL_DELIMITER: u8 = 2;
/// OBU type of a frame header.
pub const FRAME_HEADER: u8 = 3;
/// OBU type of a tile group.
pub const TILE_GROUP: u8 = 4;
/// OBU type of metadata.
pub const METADATA: u8 = 5;
/// OBU type of a frame header with its tiles.
pub const FRAME: u8 = 6;

/// The aggregation header: the first byte (section 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aggregation {
    /// Z: the first element continues an OBU of the packet before.
    pub continues: bool,
    /// Y: the last element is continued by the next packet.
    pub continued: bool,
    /// W: how many elements there are, the last one without a length; 0 if each has a length.
    pub count: u8,
    /// N: the first packet of a coded video sequence, which begins with a key frame.
    pub begins_sequence: bool,
}

impl Aggregation {
    #[inline]
    fn from_byte(byte: u8) -> Aggregation {
        Aggregation {
            continues: byte & 0x80 != 0,
            continued: byte & 0x40 != 0,
            count: byte >> 4 & 3,
            begins_sequence: byte & 0x08 != 0,
        }
    }

    fn to_byte(self) -> u8 {
        u8::from(self.continues) << 7
            | u8::from(self.continued) << 6
            | (self.count & 3) << 4
            | u8::from(self.begins_sequence) << 3
    }
}

/// A payload whose elements were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    aggregation: Aggregation,
    elements: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Walks the elements once, so that each is there and none is empty.
    ///
    /// # Errors
    /// [`Fault::Empty`], [`Fault::Av1Aggregation`], [`Fault::Av1Length`] and [`Fault::Av1Element`],
    /// the last also for fewer elements than are announced or none.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Payload<'a>, ParseError> {
        let mut cursor = Cursor::new(payload);
        let aggregation = Aggregation::from_byte(cursor.byte(Fault::Empty)?);
        if aggregation.begins_sequence && aggregation.continues {
            return Err(Malformed::at(0, Fault::Av1Aggregation));
        }
        let elements = cursor.rest;
        let mut index = 0;
        loop {
            next_element(&mut cursor, aggregation.count, &mut index)?;
            let done =
                if aggregation.count == 0 { cursor.rest.is_empty() } else { index == aggregation.count };
            if done {
                return Ok(Payload { aggregation, elements });
            }
        }
    }

    /// The aggregation header.
    #[inline]
    pub fn aggregation(&self) -> Aggregation {
        self.aggregation
    }

    /// The elements: OBUs, or the parts of them that this packet has.
    #[inline]
    pub fn elements(&self) -> Elements<'a> {
        Elements { cursor: Cursor::new(self.elements), aggregation: self.aggregation, index: 0 }
    }

    /// Headers of the OBUs that begin in this packet; an OBU without a valid header is skipped.
    #[inline]
    pub fn headers(&self) -> impl Iterator<Item = ObuHeader> + use<'a> {
        let begun = self.elements().filter(|element| !element.continues);
        begun.filter_map(|element| Some(ObuHeader::parse(element.data).ok()?.0))
    }

    /// The sequence header, if a whole one is here: with each coded video sequence, and wherever the
    /// sender repeats it.
    pub fn sequence_header(&self) -> Option<SequenceHeader> {
        let whole = self.elements().filter(|element| !element.continues && !element.continued);
        whole.filter_map(|element| SequenceHeader::parse(element.data).ok()).next()
    }
}

/// The next element; `index` counts them, which is only of use up to `count`.
#[inline]
fn next_element<'a>(cursor: &mut Cursor<'a>, count: u8, index: &mut u8) -> Result<&'a [u8], ParseError> {
    *index = index.saturating_add(1);
    let last = count != 0 && *index == count;
    let len = if last { cursor.rest.len() } else { cursor.leb128(Fault::Av1Length)? as usize };
    if len == 0 {
        return Err(cursor.fault(Fault::Av1Element));
    }
    cursor.take(len, Fault::Av1Element)
}

/// An OBU, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its bytes, at least one.
    pub data: &'a [u8],
    /// It continues an OBU of the packet before.
    pub continues: bool,
    /// It is continued in the next packet.
    pub continued: bool,
}

/// Iterates over the elements of a [`Payload`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    cursor: Cursor<'a>,
    aggregation: Aggregation,
    index: u8,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        if self.cursor.rest.is_empty() {
            return None;
        }
        let first = self.index == 0;
        // Walked without an error when it was parsed.
        let data = next_element(&mut self.cursor, self.aggregation.count, &mut self.index).ok()?;
        let last = self.cursor.rest.is_empty();
        Some(Element {
            data,
            continues: first && self.aggregation.continues,
            continued: last && self.aggregation.continued,
        })
    }
}

/// The header of an OBU (AV1 specification, section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObuHeader {
    /// The type, 0 to 15.
    pub kind: u8,
    /// Temporal and spatial layer, if it has the extension.
    pub layer: Option<ObuLayer>,
    /// Whether a length follows, which over RTP should not be (section 4.5 of the AV1 RTP
    /// specification).
    pub has_size: bool,
}

/// Where an OBU belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObuLayer {
    /// 0 to 7.
    pub temporal_id: u8,
    /// 0 to 3.
    pub spatial_id: u8,
}

impl ObuHeader {
    /// Reads one or two bytes of an OBU and returns what is behind them.
    ///
    /// # Errors
    /// [`Fault::Av1Header`] if the forbidden bit is set or the extension is cut.
    #[inline]
    pub fn parse(obu: &[u8]) -> Result<(ObuHeader, &[u8]), ParseError> {
        let mut cursor = Cursor::new(obu);
        let first = cursor.byte(Fault::Av1Header)?;
        if first & 0x80 != 0 {
            return Err(Malformed::at(0, Fault::Av1Header));
        }
        let layer = if first & 0x04 == 0 {
            None
        } else {
            let byte = cursor.byte(Fault::Av1Header)?;
            Some(ObuLayer { temporal_id: byte >> 5, spatial_id: byte >> 3 & 3 })
        };
        let header = ObuHeader { kind: first >> 3, layer, has_size: first & 0x02 != 0 };
        Ok((header, cursor.rest))
    }
}

/// Writes a payload: the aggregation header and elements, each with its length.
#[derive(Debug)]
pub struct Writer<'b> {
    buf: &'b mut [u8],
    aggregation: Aggregation,
    len: usize,
}

impl<'b> Writer<'b> {
    /// Begins a payload. With a [count](Aggregation::count) of 1 to 3, exactly that many elements
    /// have to follow.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is empty, the count above 3 or a sequence begins inside an OBU.
    pub fn new(buf: &'b mut [u8], aggregation: Aggregation) -> Result<Writer<'b>, NoSpace> {
        if aggregation.count > 3 || aggregation.begins_sequence && aggregation.continues {
            return Err(NoSpace);
        }
        *buf.first_mut().ok_or(NoSpace)? = aggregation.to_byte();
        Ok(Writer { buf, aggregation, len: 1 })
    }

    /// Appends elements and returns the bytes of the payload.
    ///
    /// # Errors
    /// [`NoSpace`] if they do not fit, one is empty, there is none or another number than announced.
    pub fn finish(mut self, elements: &[&[u8]]) -> Result<usize, NoSpace> {
        let count = usize::from(self.aggregation.count);
        if elements.is_empty() || count != 0 && elements.len() != count {
            return Err(NoSpace);
        }
        for (index, element) in elements.iter().enumerate() {
            if element.is_empty() {
                return Err(NoSpace);
            }
            if count == 0 || index + 1 < count {
                let len = u32::try_from(element.len()).map_err(|_| NoSpace)?;
                let place = self.buf.get_mut(self.len..).ok_or(NoSpace)?;
                self.len += write_leb128(place, len).ok_or(NoSpace)?;
            }
            let place = self.buf.get_mut(self.len..).and_then(|rest| rest.get_mut(..element.len()));
            place.ok_or(NoSpace)?.copy_from_slice(element);
            self.len += element.len();
        }
        Ok(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_tell_which_obu_they_are_part_of() {
        let bytes = [0xe0, 2, 0xaa, 0xab, 0x32, 0xcc]; // Z, Y, W = 2
        let payload = Payload::parse(&bytes).expect("whole");
        let first = Element { data: &[0xaa, 0xab], continues: true, continued: false };
        let second = Element { data: &[0x32, 0xcc], continues: false, continued: true };
        assert!(payload.elements().eq([first, second]));
        let header = ObuHeader { kind: FRAME, layer: None, has_size: true };
        assert!(payload.headers().eq([header]), "the first has its header in an earlier packet");
        assert_eq!(payload.sequence_header(), None);
    }

    #[test]
    fn an_extended_obu_header_tells_the_layer() {
        let (header, rest) = ObuHeader::parse(&[0x34, 0x48, 9]).expect("whole");
        assert_eq!((header.kind, header.has_size, rest), (FRAME, false, &[9][..]));
        assert_eq!(header.layer, Some(ObuLayer { temporal_id: 2, spatial_id: 1 }));
        assert_eq!(ObuHeader::parse(&[0x34]).err(), Some(Malformed::at(1, Fault::Av1Header)));
        assert_eq!(ObuHeader::parse(&[0xb0, 0]).err(), Some(Malformed::at(0, Fault::Av1Header)));
    }

    #[test]
    fn s_desc_01_av1_lengths_of_zero_and_past_the_end_are_refused() {
        let error = |bytes: &[u8]| Payload::parse(bytes).map(|_| ()).map_err(|e| (e.offset, e.fault));
        assert_eq!(error(&[]), Err((0, Fault::Empty)));
        assert_eq!(error(&[0x00]), Err((1, Fault::Av1Length)), "no element at all");
        assert_eq!(error(&[0x10]), Err((1, Fault::Av1Element)), "one announced, none there");
        assert_eq!(error(&[0x00, 0]), Err((2, Fault::Av1Element)));
        assert_eq!(error(&[0x00, 2, 1]), Err((2, Fault::Av1Element)));
        assert_eq!(error(&[0x20, 1, 7]), Err((3, Fault::Av1Element)), "the second is missing");
        assert_eq!(error(&[0x00, 0x80]), Err((1, Fault::Av1Length)));
        assert_eq!(error(&[0x00, 1, 7, 0xff, 0xff, 0xff, 0xff, 0x7f]), Err((3, Fault::Av1Length)));
        assert_eq!(error(&[0x88, 1, 7]), Err((0, Fault::Av1Aggregation)), "N inside an OBU");
        assert_eq!(error(&[0x00, 0x81, 0x00, 7]), Ok(()), "a longer form of 1");
    }

    #[test]
    fn s_desc_01_av1_every_flag_combination_is_read_or_refused_whole() {
        for first in 0..=255u8 {
            for rest in [&[][..], &[1, 1, 1, 1], &[1, 1, 1, 1, 1], &[3, 1, 1, 1], &[0, 0], &[255; 9]] {
                let bytes = [&[first][..], rest].concat();
                let Ok(payload) = Payload::parse(&bytes) else { continue };
                let count = payload.elements().count();
                assert!(count > 0 && (first >> 4 & 3 == 0 || count == usize::from(first >> 4 & 3)));
                assert!(payload.elements().all(|element| !element.data.is_empty()));
                assert_eq!(payload.elements().next().map(|e| e.continues), Some(first & 0x80 != 0));
                assert_eq!(payload.elements().last().map(|e| e.continued), Some(first & 0x40 != 0));
            }
        }
    }

    proptest! {
        #[test]
        fn a_payload_is_read_as_written(
            flags: [bool; 3],
            told: bool,
            elements in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 1..5),
            room in 0usize..100,
        ) {
            let count = if told && elements.len() <= 3 { elements.len() as u8 } else { 0 };
            let [continues, continued, begins] = flags;
            let aggregation =
                Aggregation { continues, continued, count, begins_sequence: begins && !continues };
            let slices: Vec<&[u8]> = elements.iter().map(Vec::as_slice).collect();
            let mut buf = [0xff; 1_300];
            let len = Writer::new(&mut buf, aggregation).and_then(|writer| writer.finish(&slices)).expect("room");
            let payload = Payload::parse(&buf[..len]).expect("ours");
            prop_assert_eq!(payload.aggregation(), aggregation);
            prop_assert!(payload.elements().map(|element| element.data).eq(slices.iter().copied()));
            let fits = Writer::new(&mut buf[..room], aggregation).and_then(|writer| writer.finish(&slices));
            prop_assert_eq!(fits.is_ok(), room >= len);
        }
    }
}
