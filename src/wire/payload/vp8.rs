//! VP8: the payload descriptor and the frame header behind it (RFC 7741, sections 4.2 and 4.3).
//!
//! Each packet begins with a [`Descriptor`] of one to six bytes; the first packet of a frame goes on
//! with the [`FrameHeader`], which alone tells a key frame. The last packet of a frame has the RTP
//! marker bit.

use super::cursor::Cursor;
use super::{Fault, ParseError, PictureId, Resolution};
use crate::wire::rtp::NoSpace;

/// The payload descriptor (RFC 7741, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// N: no other frame depends on this one.
    pub non_reference: bool,
    /// S: the payload begins a partition.
    pub begins_partition: bool,
    /// PID: the partition, 0 to 7.
    pub partition: u8,
    /// The frame's number, which grows by one and wraps in its width.
    pub picture_id: Option<PictureId>,
    /// Counts frames of the base layer, wraps at 255; the base layer's own value, or in higher layers
    /// that of the base layer frame they depend on.
    pub tl0_pic_idx: Option<u8>,
    /// The temporal layer.
    pub layer: Option<Layer>,
    /// KEYIDX: counts key frames, 5 bits.
    pub key_index: Option<u8>,
}

/// A temporal layer, and whether a receiver may begin with it here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// TID, 0 to 3.
    pub temporal_id: u8,
    /// Y: the frame depends on the base layer alone.
    pub sync: bool,
}

const EXTENDED: u8 = 0x80;
const NON_REFERENCE: u8 = 0x20;
const PARTITION_START: u8 = 0x10;
/// Bits of the extension octet: I, L, T, K.
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0_PIC_IDX: u8 = 0x40;
const HAS_LAYER: u8 = 0x20;
const HAS_KEY_INDEX: u8 = 0x10;
/// The first bit of a picture id that has 15 bits.
const LONG: u8 = 0x80;

impl Descriptor {
    /// Reads the descriptor and returns the bytes behind it, which may be none. Reserved bits are
    /// ignored.
    ///
    /// # Errors
    /// [`Fault::Empty`], [`Fault::Vp8Extension`], [`Fault::Vp8PictureId`], [`Fault::Vp8Tl0PicIdx`] and
    /// [`Fault::Vp8Layer`] for a payload that ends before the named field.
    #[inline]
    pub fn parse(payload: &[u8]) -> Result<(Descriptor, &[u8]), ParseError> {
        let mut cursor = Cursor::new(payload);
        let first = cursor.byte(Fault::Empty)?;
        let mut descriptor = Descriptor {
            non_reference: first & NON_REFERENCE != 0,
            begins_partition: first & PARTITION_START != 0,
            partition: first & 0x07,
            ..Descriptor::default()
        };
        if first & EXTENDED == 0 {
            return Ok((descriptor, cursor.rest));
        }
        let present = cursor.byte(Fault::Vp8Extension)?;
        if present & HAS_PICTURE_ID != 0 {
            descriptor.picture_id = Some(picture_id(&mut cursor, Fault::Vp8PictureId)?);
        }
        if present & HAS_TL0_PIC_IDX != 0 {
            descriptor.tl0_pic_idx = Some(cursor.byte(Fault::Vp8Tl0PicIdx)?);
        }
        if present & (HAS_LAYER | HAS_KEY_INDEX) != 0 {
            let byte = cursor.byte(Fault::Vp8Layer)?;
            let layer = Layer { temporal_id: byte >> 6, sync: byte & 0x20 != 0 };
            descriptor.layer = (present & HAS_LAYER != 0).then_some(layer);
            descriptor.key_index = (present & HAS_KEY_INDEX != 0).then_some(byte & 0x1f);
        }
        Ok((descriptor, cursor.rest))
    }

    /// Whether the payload is the first of its frame, so that a [`FrameHeader`] follows.
    #[inline]
    pub fn begins_frame(&self) -> bool {
        self.begins_partition && self.partition == 0
    }

    /// Writes the descriptor to the start of a buffer and returns its bytes, at most six.
    ///
    /// # Errors
    /// [`NoSpace`] if it does not fit, or a field is too narrow for its value.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        let narrow = self.partition > 7
            || self.layer.is_some_and(|layer| layer.temporal_id > 3)
            || self.key_index.is_some_and(|index| index > 0x1f);
        if narrow {
            return Err(NoSpace);
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let present = flag(self.picture_id.is_some(), HAS_PICTURE_ID)
            | flag(self.tl0_pic_idx.is_some(), HAS_TL0_PIC_IDX)
            | flag(self.layer.is_some(), HAS_LAYER)
            | flag(self.key_index.is_some(), HAS_KEY_INDEX);
        let mut out = [0u8; 6];
        let mut len = 0;
        let mut put = |byte: u8| {
            if let Some(place) = out.get_mut(len) {
                *place = byte;
                len += 1;
            }
        };
        put(flag(present != 0, EXTENDED)
            | flag(self.non_reference, NON_REFERENCE)
            | flag(self.begins_partition, PARTITION_START)
            | self.partition);
        if present != 0 {
            put(present);
        }
        let mut id = [0; 2];
        let id_len = self.picture_id.and_then(|picture| picture.write(&mut id)).unwrap_or(0);
        id.iter().take(id_len).for_each(|byte| put(*byte));
        if let Some(index) = self.tl0_pic_idx {
            put(index);
        }
        if self.layer.is_some() || self.key_index.is_some() {
            let layer = self.layer.map_or(0, |layer| layer.temporal_id << 6 | flag(layer.sync, 0x20));
            put(layer | self.key_index.unwrap_or(0));
        }
        let written = out.get(..len).ok_or(NoSpace)?;
        buf.get_mut(..len).ok_or(NoSpace)?.copy_from_slice(written);
        Ok(len)
    }
}

/// A picture id of VP8 or VP9.
#[inline]
pub(super) fn picture_id(cursor: &mut Cursor<'_>, fault: Fault) -> Result<PictureId, ParseError> {
    let cut = cursor.fault(fault);
    let first = cursor.byte(fault)?;
    if first & LONG == 0 {
        return Ok(PictureId::Short(first));
    }
    let second = cursor.byte(fault).map_err(|_| cut)?;
    Ok(PictureId::Long(u16::from_be_bytes([first & !LONG, second])))
}

/// Changes the picture id and the index of base layer pictures where they stand.
///
/// A number that the descriptor does not carry is not added; one that is too large for the field's
/// width wraps. Nothing moves, so this can be done to a packet on its way out.
///
/// # Errors
/// As [`Descriptor::parse`], the payload then being unchanged.
#[inline]
pub fn patch(payload: &mut [u8], picture_id: Option<u16>, tl0_pic_idx: Option<u8>) -> Result<(), ParseError> {
    let (descriptor, _) = Descriptor::parse(payload)?;
    // The extension octet precedes both, so neither begins before the third byte.
    let mut at = 2;
    if let Some(old) = descriptor.picture_id {
        let place = payload.get_mut(at..).unwrap_or_default();
        let new = picture_id.map_or(old, |value| old.with_value(value));
        at += new.write(place).unwrap_or(0);
    }
    if let (Some(_), Some(new), Some(place)) = (descriptor.tl0_pic_idx, tl0_pic_idx, payload.get_mut(at)) {
        *place = new;
    }
    Ok(())
}

/// Adds to the picture id and to the index of base layer pictures where they stand, each modulo its width;
/// what the descriptor does not carry is not added.
///
/// # Errors
/// As [`Descriptor::parse`], the payload then being unchanged.
#[inline]
pub fn shift(payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) -> Result<(), ParseError> {
    let (descriptor, _) = Descriptor::parse(payload)?;
    let picture = descriptor.picture_id.map(|id| id.value().wrapping_add(picture_id));
    let base = descriptor.tl0_pic_idx.map(|index| index.wrapping_add(tl0_pic_idx));
    patch(payload, picture, base)
}

/// The frame header at the start of a frame's first payload (RFC 7741, section 4.3; RFC 6386,
/// section 9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The bitstream's version, 0 to 7.
    pub version: u8,
    /// Whether the frame is meant to be shown.
    pub shown: bool,
    /// Bytes of the first partition, 19 bits.
    pub first_partition: u32,
    /// What a key frame adds; `None` for the others.
    pub key_frame: Option<KeyFrame>,
}

/// What a key frame's header adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFrame {
    /// The coded size, 14 bits each.
    pub resolution: Resolution,
    /// How the picture is to be enlarged across: 0 not, 1 by 5/4, 2 by 5/3, 3 by 2.
    pub horizontal_scale: u8,
    /// The same down.
    pub vertical_scale: u8,
}

impl FrameHeader {
    /// Reads the three or, of a key frame, ten bytes behind the descriptor of a payload that
    /// [begins a frame](Descriptor::begins_frame).
    ///
    /// # Errors
    /// [`Fault::Vp8Frame`] if they are cut or a key frame's start code is not there.
    pub fn parse(bytes: &[u8]) -> Result<FrameHeader, ParseError> {
        let mut cursor = Cursor::new(bytes);
        let fault = cursor.fault(Fault::Vp8Frame);
        let (&[a, b, c], rest) = bytes.split_first_chunk().ok_or(fault)?;
        let tag = u32::from_le_bytes([a, b, c, 0]);
        let key_frame = if tag & 1 != 0 {
            None
        } else {
            cursor.take(3, Fault::Vp8Frame)?;
            let key = rest.first_chunk().ok_or(cursor.fault(Fault::Vp8Frame))?;
            let &[0x9d, 0x01, 0x2a, w0, w1, h0, h1] = key else {
                return Err(cursor.fault(Fault::Vp8Frame));
            };
            let (width, height) = (u16::from_le_bytes([w0, w1]), u16::from_le_bytes([h0, h1]));
            Some(KeyFrame {
                resolution: Resolution { width: width & 0x3fff, height: height & 0x3fff },
                horizontal_scale: (width >> 14) as u8,
                vertical_scale: (height >> 14) as u8,
            })
        };
        Ok(FrameHeader {
            version: (tag >> 1 & 7) as u8,
            shown: tag & 0x10 != 0,
            first_partition: tag >> 5,
            key_frame,
        })
    }

    /// Writes the three or, of a key frame, ten bytes to the start of a buffer and returns their number.
    ///
    /// # Errors
    /// [`NoSpace`] if they do not fit, or a field is too narrow for its value.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        if self.version > 7 || self.first_partition >= 1 << 19 {
            return Err(NoSpace);
        }
        let tag = u32::from(self.key_frame.is_none())
            | u32::from(self.version) << 1
            | u32::from(self.shown) << 4
            | self.first_partition << 5;
        let [a, b, c, _] = tag.to_le_bytes();
        let Some(key) = self.key_frame else {
            *buf.first_chunk_mut().ok_or(NoSpace)? = [a, b, c];
            return Ok(3);
        };
        let Resolution { width, height } = key.resolution;
        let narrow = width > 0x3fff || height > 0x3fff || key.horizontal_scale > 3 || key.vertical_scale > 3;
        if narrow {
            return Err(NoSpace);
        }
        let [w0, w1] = (width | u16::from(key.horizontal_scale) << 14).to_le_bytes();
        let [h0, h1] = (height | u16::from(key.vertical_scale) << 14).to_le_bytes();
        *buf.first_chunk_mut().ok_or(NoSpace)? = [a, b, c, 0x9d, 0x01, 0x2a, w0, w1, h0, h1];
        Ok(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::malformed::Malformed;
    use proptest::prelude::*;

    /// Every field: first octet, extension bits, 15-bit picture id, TL0PICIDX, TID with Y and KEYIDX.
    const FULL: [u8; 6] = [0xb3, 0xf0, 0x92, 0x34, 0x56, 0xa7];

    #[test]
    fn rfc_7741_4_2_fields_are_read_where_the_rfc_puts_them() {
        let (descriptor, rest) = Descriptor::parse(&FULL).expect("whole");
        assert_eq!(
            descriptor,
            Descriptor {
                non_reference: true,
                begins_partition: true,
                partition: 3,
                picture_id: Some(PictureId::Long(0x1234)),
                tl0_pic_idx: Some(0x56),
                layer: Some(Layer { temporal_id: 2, sync: true }),
                key_index: Some(7),
            }
        );
        assert!(rest.is_empty() && !descriptor.begins_frame());
    }

    #[test]
    fn s_desc_01_vp8_a_descriptor_cut_anywhere_names_the_field() {
        let faults = [
            (0, Fault::Empty),
            (1, Fault::Vp8Extension),
            (2, Fault::Vp8PictureId),
            (2, Fault::Vp8PictureId),
            (4, Fault::Vp8Tl0PicIdx),
            (5, Fault::Vp8Layer),
        ];
        for (len, (offset, fault)) in faults.into_iter().enumerate() {
            assert_eq!(Descriptor::parse(&FULL[..len]).err(), Some(Malformed::at(offset, fault)), "{len}");
        }
    }

    #[test]
    fn s_desc_01_vp8_every_flag_combination_takes_the_bytes_it_announces() {
        for first in 0..=255u8 {
            for present in 0..=255u8 {
                let payload = [first, present, 0x81, 0x82, 0x83, 0x84, 0x85];
                let (descriptor, rest) = Descriptor::parse(&payload).expect("long enough");
                let extended = first & 0x80 != 0;
                let has = |bits: u8| usize::from(extended && present & bits != 0);
                // The picture id begins with a set bit: two bytes.
                let expected = 1 + usize::from(extended) + 2 * has(0x80) + has(0x40) + has(0x30);
                assert_eq!(payload.len() - rest.len(), expected, "{first:#x} {present:#x}");
                assert_eq!(descriptor.picture_id.is_some(), extended && present & 0x80 != 0);
                assert_eq!(descriptor.layer.is_some(), extended && present & 0x20 != 0);
                assert_eq!(descriptor.key_index.is_some(), extended && present & 0x10 != 0);
            }
        }
    }

    #[test]
    fn rfc_7741_4_3_a_key_frame_tells_its_size() {
        let bytes = [0x90, 0x4e, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x81];
        let header = FrameHeader::parse(&bytes).expect("whole");
        let key = header.key_frame.expect("a key frame");
        assert_eq!(key.resolution, Resolution { width: 640, height: 360 });
        assert_eq!((key.horizontal_scale, key.vertical_scale), (1, 2));
        assert!(header.shown && header.version == 0);
        assert_eq!(header.first_partition, 0x4e90 >> 5);
        for len in 0..bytes.len() {
            let offset = if len < 3 { 0 } else { 3 };
            let error = FrameHeader::parse(&bytes[..len]).err();
            assert_eq!(error, Some(Malformed::at(offset, Fault::Vp8Frame)));
        }
        let mut wrong = bytes;
        wrong[4] = 2;
        assert_eq!(FrameHeader::parse(&wrong).err(), Some(Malformed::at(3, Fault::Vp8Frame)));
        let interframe = FrameHeader::parse(&[0x91, 0x4e, 0x00]).expect("three bytes are enough");
        assert_eq!(interframe.key_frame, None);
    }

    #[test]
    fn a_frame_header_is_written_as_it_is_read() {
        let key = [0x90, 0x4e, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0x68, 0x81];
        for bytes in [&key[..], &[0x91, 0x4e, 0x00]] {
            let header = FrameHeader::parse(bytes).expect("whole");
            let mut buf = [0; 10];
            assert_eq!(header.write(&mut buf), Ok(bytes.len()));
            assert_eq!(&buf[..bytes.len()], bytes);
            assert_eq!(header.write(&mut buf[..bytes.len() - 1]), Err(NoSpace));
        }
        let header = FrameHeader::parse(&key).expect("whole");
        let key_frame = header.key_frame.map(|key| KeyFrame { horizontal_scale: 4, ..key });
        for narrow in [
            FrameHeader { version: 8, ..header },
            FrameHeader { first_partition: 1 << 19, ..header },
            FrameHeader { key_frame, ..header },
        ] {
            assert_eq!(narrow.write(&mut [0; 10]), Err(NoSpace), "{narrow:?}");
        }
    }

    fn descriptor() -> impl Strategy<Value = Descriptor> {
        let picture_id =
            prop_oneof![(0u8..128).prop_map(PictureId::Short), (0u16..0x8000).prop_map(PictureId::Long)];
        let layer = (0u8..4, any::<bool>()).prop_map(|(temporal_id, sync)| Layer { temporal_id, sync });
        (
            (any::<bool>(), any::<bool>(), 0u8..8),
            proptest::option::of(picture_id),
            any::<Option<u8>>(),
            proptest::option::of(layer),
            proptest::option::of(0u8..32),
        )
            .prop_map(|((n, s, partition), picture_id, tl0_pic_idx, layer, key_index)| Descriptor {
                non_reference: n,
                begins_partition: s,
                partition,
                picture_id,
                tl0_pic_idx,
                layer,
                key_index,
            })
    }

    proptest! {
        #[test]
        fn a_descriptor_is_read_as_written(descriptor in descriptor(), room in 0usize..8) {
            let mut buf = [0xff; 8];
            let len = descriptor.write(&mut buf).expect("at most six bytes");
            prop_assert_eq!(Descriptor::parse(&buf).expect("ours"), (descriptor, &buf[len..]));
            prop_assert_eq!(descriptor.write(&mut buf[..room]).is_ok(), room >= len);
        }

        #[test]
        fn patching_is_writing_the_changed_descriptor(
            old in descriptor(), picture_id: Option<u16>, tl0_pic_idx: Option<u8>,
        ) {
            let (mut patched, mut written) = ([7; 8], [7; 8]);
            old.write(&mut patched).expect("room");
            patch(&mut patched, picture_id, tl0_pic_idx).expect("whole");
            let new = Descriptor {
                picture_id: old.picture_id.map(|id| picture_id.map_or(id, |value| id.with_value(value))),
                tl0_pic_idx: old.tl0_pic_idx.map(|index| tl0_pic_idx.unwrap_or(index)),
                ..old
            };
            new.write(&mut written).expect("room");
            prop_assert_eq!(patched, written);
        }
    }
}
