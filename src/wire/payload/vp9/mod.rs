//! VP9: the payload descriptor (RFC 9628, section 4.2).
//!
//! The descriptor tells layers, dependencies and frame boundaries in each packet, so nothing behind
//! it has to be read. A frame is one spatial layer of a picture; the last packet of a picture has the
//! RTP marker bit.

mod structure;

pub use structure::{GroupPicture, Structure};

use super::cursor::Cursor;
use super::vp8::picture_id;
use super::{Fault, ParseError, PictureId};
use crate::wire::rtp::NoSpace;

/// Reference indices of one picture (RFC 9628, section 4.2).
const REFERENCES: usize = 3;

const INTER_PREDICTED: u8 = 0x40;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const BEGINS_FRAME: u8 = 0x08;
const ENDS_FRAME: u8 = 0x04;
const HAS_STRUCTURE: u8 = 0x02;
const NOT_FOR_UPPER: u8 = 0x01;

/// The payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor<'a> {
    /// The picture's number; all layers of a picture have the same.
    pub picture_id: Option<PictureId>,
    /// P: the frame depends on earlier pictures.
    pub inter_predicted: bool,
    /// F: which earlier pictures is told by each packet, not by the structure.
    pub flexible: bool,
    /// B: the first packet of a frame.
    pub begins_frame: bool,
    /// E: the last packet of a frame.
    pub ends_frame: bool,
    /// Z: no frame of a higher spatial layer of this picture depends on this one.
    pub not_for_upper_layers: bool,
    /// The layers the frame belongs to.
    pub layers: Option<Layers>,
    /// Counts pictures of the lowest temporal layer; wraps at 255. Only together with layers and not in
    /// flexible mode: a writer leaves it out otherwise.
    pub tl0_pic_idx: Option<u8>,
    /// How far back the referenced pictures lie; only in flexible mode and if inter-predicted.
    pub references: References,
    /// The scalability structure, with key frames.
    pub structure: Option<Structure<'a>>,
}

/// Layer indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// TID, 0 to 7.
    pub temporal_id: u8,
    /// U: later pictures of higher temporal layers depend on nothing of those layers before this
    /// picture.
    pub switching_up: bool,
    /// SID, 0 to 7.
    pub spatial_id: u8,
    /// D: the frame depends on the next lower spatial layer of its own picture.
    pub inter_layer: bool,
}

/// Up to three distances to referenced pictures, in picture ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct References {
    distances: [u8; REFERENCES],
    len: u8,
}

impl References {
    /// Of a list.
    ///
    /// # Errors
    /// [`NoSpace`] for more than three, or a distance above 7 bits where a descriptor is written.
    pub fn new(distances: &[u8]) -> Result<References, NoSpace> {
        let mut references = References::default();
        distances.iter().try_for_each(|distance| references.push(*distance))?;
        Ok(references)
    }

    fn push(&mut self, distance: u8) -> Result<(), NoSpace> {
        *self.distances.get_mut(usize::from(self.len)).ok_or(NoSpace)? = distance;
        self.len += 1;
        Ok(())
    }

    /// The distances, in the order of the packet.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        self.distances.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<'a> Descriptor<'a> {
    /// Reads the descriptor and returns the bytes behind it, which may be none.
    ///
    /// # Errors
    /// [`Fault::Empty`], [`Fault::Vp9PictureId`], [`Fault::Vp9Layers`], [`Fault::Vp9Tl0PicIdx`],
    /// [`Fault::Vp9References`] and [`Fault::Vp9Structure`] for a payload that ends before or inside the
    /// named field, the fifth also for a fourth reference.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<(Descriptor<'a>, &'a [u8]), ParseError> {
        let mut cursor = Cursor::new(payload);
        let first = cursor.byte(Fault::Empty)?;
        let has = |bit: u8| first & bit != 0;
        let mut descriptor = Descriptor {
            inter_predicted: has(INTER_PREDICTED),
            flexible: has(FLEXIBLE),
            begins_frame: has(BEGINS_FRAME),
            ends_frame: has(ENDS_FRAME),
            not_for_upper_layers: has(NOT_FOR_UPPER),
            ..Descriptor::default()
        };
        if has(HAS_PICTURE_ID) {
            descriptor.picture_id = Some(picture_id(&mut cursor, Fault::Vp9PictureId)?);
        }
        if has(HAS_LAYERS) {
            descriptor.layers = Some(Layers::from_byte(cursor.byte(Fault::Vp9Layers)?));
            if !has(FLEXIBLE) {
                descriptor.tl0_pic_idx = Some(cursor.byte(Fault::Vp9Tl0PicIdx)?);
            }
        }
        if has(FLEXIBLE) && has(INTER_PREDICTED) {
            descriptor.references = parse_references(&mut cursor)?;
        }
        if has(HAS_STRUCTURE) {
            descriptor.structure = Some(Structure::parse(&mut cursor)?);
        }
        Ok((descriptor, cursor.rest))
    }

    /// The spatial layer, 0 where none is told.
    #[inline]
    pub fn spatial_id(&self) -> u8 {
        self.layers.map_or(0, |layers| layers.spatial_id)
    }

    /// Whether the frame depends on no other: neither on an earlier picture nor on a lower spatial
    /// layer of its own (RFC 9628, section 3, has such a frame at the bottom of each key picture).
    #[inline]
    pub fn is_key_frame(&self) -> bool {
        !self.inter_predicted && !self.layers.is_some_and(|layers| layers.inter_layer)
    }

    /// Writes the descriptor to the start of a buffer and returns its bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if it does not fit, a field is too narrow for its value, or TL0PICIDX or references
    /// are there although the form has no place for them, or missing although it has.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        let has_index = self.layers.is_some() && !self.flexible;
        let has_references = self.flexible && self.inter_predicted;
        let references = self.references.as_slice();
        if has_index != self.tl0_pic_idx.is_some() || has_references == references.is_empty() {
            return Err(NoSpace);
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let first = flag(self.picture_id.is_some(), HAS_PICTURE_ID)
            | flag(self.inter_predicted, INTER_PREDICTED)
            | flag(self.layers.is_some(), HAS_LAYERS)
            | flag(self.flexible, FLEXIBLE)
            | flag(self.begins_frame, BEGINS_FRAME)
            | flag(self.ends_frame, ENDS_FRAME)
            | flag(self.structure.is_some(), HAS_STRUCTURE)
            | flag(self.not_for_upper_layers, NOT_FOR_UPPER);
        let mut len = 0;
        let mut put = |buf: &mut [u8], byte: u8| {
            *buf.get_mut(len).ok_or(NoSpace)? = byte;
            len += 1;
            Ok(len)
        };
        put(buf, first)?;
        if let Some(id) = self.picture_id {
            let mut bytes = [0; 2];
            let id_len = id.write(&mut bytes).unwrap_or(0);
            bytes.iter().take(id_len).try_for_each(|byte| put(buf, *byte).map(drop))?;
        }
        if let Some(layers) = self.layers {
            put(buf, layers.to_byte()?)?;
        }
        if let Some(index) = self.tl0_pic_idx {
            put(buf, index)?;
        }
        for (at, distance) in references.iter().enumerate() {
            let more = u8::from(at + 1 < references.len());
            put(buf, checked(*distance, 0x7f)? << 1 | more)?;
        }
        let structure = self.structure.map_or(&[][..], |structure| structure.bytes());
        buf.get_mut(len..)
            .and_then(|rest| rest.get_mut(..structure.len()))
            .ok_or(NoSpace)?
            .copy_from_slice(structure);
        Ok(len + structure.len())
    }
}

impl Layers {
    #[inline]
    fn from_byte(byte: u8) -> Layers {
        Layers {
            temporal_id: byte >> 5,
            switching_up: byte & 0x10 != 0,
            spatial_id: byte >> 1 & 7,
            inter_layer: byte & 1 != 0,
        }
    }

    fn to_byte(self) -> Result<u8, NoSpace> {
        let (temporal, spatial) = (checked(self.temporal_id, 7)?, checked(self.spatial_id, 7)?);
        Ok(temporal << 5 | u8::from(self.switching_up) << 4 | spatial << 1 | u8::from(self.inter_layer))
    }
}

/// The value, if it is not above the largest that its field holds.
fn checked(value: u8, largest: u8) -> Result<u8, NoSpace> {
    if value > largest { Err(NoSpace) } else { Ok(value) }
}

/// One to three distances, each with a bit that announces another (RFC 9628, section 4.2).
#[inline]
fn parse_references(cursor: &mut Cursor<'_>) -> Result<References, ParseError> {
    let mut references = References::default();
    loop {
        let fault = cursor.fault(Fault::Vp9References);
        let byte = cursor.byte(Fault::Vp9References)?;
        references.push(byte >> 1).map_err(|NoSpace| fault)?;
        if byte & 1 == 0 {
            return Ok(references);
        }
    }
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
    let (old_id, has_index) = (descriptor.picture_id, descriptor.tl0_pic_idx.is_some());
    let mut at = 1;
    if let Some(old) = old_id {
        let place = payload.get_mut(at..).unwrap_or_default();
        let new = picture_id.map_or(old, |value| old.with_value(value));
        at += new.write(place).unwrap_or(0);
    }
    // The layer indices stand between.
    if let (true, Some(new), Some(place)) = (has_index, tl0_pic_idx, payload.get_mut(at + 1)) {
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

#[cfg(test)]
mod tests;
