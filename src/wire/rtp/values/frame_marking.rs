//! Where frames begin and end, in front of a payload that may be encrypted.

use super::super::NoSpace;
use super::put;

/// What a packet is to its frame (RFC 9626): one byte for streams without layers, two or three for
/// those with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameMarking {
    /// The first packet of a frame.
    pub start: bool,
    /// The last packet of a frame.
    pub end: bool,
    /// The frame needs no other in time.
    pub independent: bool,
    /// No other frame needs this one.
    pub discardable: bool,
    /// The frame needs none but its base layer's; of layered streams alone.
    pub base_layer_sync: bool,
    /// The temporal layer, 0 to 7; 0 in streams without layers.
    pub temporal: u8,
    /// What the longer forms add.
    pub layer: Option<MarkedLayer>,
}

/// Which spatial or quality layer a packet is of.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MarkedLayer {
    /// The layer as the codec's own mapping numbers it (RFC 9626, on the mappings of layers).
    pub id: u8,
    /// The running number of base layer frames, if it is told.
    pub tl0_picture_index: Option<u8>,
}

impl FrameMarking {
    /// Bytes of the longest form.
    pub const MAX_LEN: usize = 3;

    /// Reads the value; `None` if it is not one, two or three bytes.
    pub const fn parse(value: &[u8]) -> Option<FrameMarking> {
        let (flags, layer) = match *value {
            [flags] => (flags, None),
            [flags, id] => (flags, Some(MarkedLayer { id, tl0_picture_index: None })),
            [flags, id, index] => (flags, Some(MarkedLayer { id, tl0_picture_index: Some(index) })),
            _ => return None,
        };
        Some(FrameMarking {
            start: flags & 0x80 != 0,
            end: flags & 0x40 != 0,
            independent: flags & 0x20 != 0,
            discardable: flags & 0x10 != 0,
            base_layer_sync: flags & 0x08 != 0,
            temporal: flags & 0x07,
            layer,
        })
    }

    /// Writes the value to the start of `buf` and returns its length, 1 to 3.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        let bit = |set: bool, place: u8| u8::from(set) << place;
        let flags = bit(self.start, 7) | bit(self.end, 6) | bit(self.independent, 5);
        let flags = flags | bit(self.discardable, 4) | bit(self.base_layer_sync, 3) | self.temporal & 7;
        match self.layer {
            None => put(buf, &[flags]),
            Some(MarkedLayer { id, tl0_picture_index: None }) => put(buf, &[flags, id]),
            Some(MarkedLayer { id, tl0_picture_index: Some(index) }) => put(buf, &[flags, id, index]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_layers_has_one_byte() {
        let marking = FrameMarking { start: true, independent: true, ..FrameMarking::default() };
        assert_eq!(FrameMarking::parse(&[0xa0]), Some(marking));
    }

    #[test]
    fn a_stream_with_layers_has_two_or_three() {
        let layer = MarkedLayer { id: 5, tl0_picture_index: None };
        let flags = FrameMarking {
            end: true,
            discardable: true,
            base_layer_sync: true,
            temporal: 3,
            ..FrameMarking::default()
        };
        assert_eq!(FrameMarking::parse(&[0x5b, 5]), Some(FrameMarking { layer: Some(layer), ..flags }));
        let layer = MarkedLayer { tl0_picture_index: Some(200), ..layer };
        assert_eq!(FrameMarking::parse(&[0x5b, 5, 200]), Some(FrameMarking { layer: Some(layer), ..flags }));
        assert_eq!(FrameMarking::parse(&[]), None);
        assert_eq!(FrameMarking::parse(&[0; 4]), None);
    }

    #[test]
    fn markings_survive_the_wire() {
        for flags in 0..=255u8 {
            for value in [&[flags][..], &[flags, 9], &[flags, 9, 17]] {
                let (marking, mut buf) = (FrameMarking::parse(value).expect("a length of it"), [0; 3]);
                assert_eq!(marking.write(&mut buf), Ok(value.len()));
                assert_eq!(buf[..value.len()], *value);
                assert_eq!(marking.write(&mut buf[..value.len() - 1]), Err(NoSpace));
            }
        }
    }
}
