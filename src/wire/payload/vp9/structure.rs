//! The scalability structure of VP9 (RFC 9628, section 4.2.1).

use super::super::cursor::Cursor;
use super::super::{Fault, ParseError, Resolution};
use super::{Layers, References, checked};
use crate::wire::rtp::NoSpace;

const HAS_SIZES: u8 = 0x10;
const HAS_PICTURES: u8 = 0x08;

/// Which layers there are and, outside of flexible mode, how the pictures of a group depend on each
/// other.
///
/// A view: at most eight layers and 255 pictures, all of them checked to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure<'a> {
    bytes: &'a [u8],
    sizes: &'a [[u8; 4]],
    pictures: &'a [u8],
}

/// One picture of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupPicture {
    /// TID, 0 to 7.
    pub temporal_id: u8,
    /// U: see [`Layers::switching_up`].
    pub switching_up: bool,
    /// How far back the referenced pictures lie, 8 bits each.
    pub references: References,
}

impl<'a> Structure<'a> {
    /// Work is bounded by the bytes: each announced size and picture takes at least one.
    pub(super) fn parse(cursor: &mut Cursor<'a>) -> Result<Structure<'a>, ParseError> {
        let fault = Fault::Vp9Structure;
        let whole = *cursor;
        let head = cursor.byte(fault)?;
        let sizes =
            if head & HAS_SIZES == 0 { &[] } else { cursor.take((usize::from(head >> 5) + 1) * 4, fault)? };
        let mut pictures = &[][..];
        if head & HAS_PICTURES != 0 {
            let count = cursor.byte(fault)?;
            let begin = *cursor;
            for _ in 0..count {
                let picture = cursor.byte(fault)?;
                cursor.take(usize::from(picture >> 2 & 3), fault)?;
            }
            pictures = begin.rest.get(..cursor.at() - begin.at()).unwrap_or_default();
        }
        let bytes = whole.rest.get(..cursor.at() - whole.at()).unwrap_or_default();
        Ok(Structure { bytes, sizes: sizes.as_chunks().0, pictures })
    }

    /// Spatial layers, 1 to 8.
    #[inline]
    pub fn spatial_layers(&self) -> u8 {
        self.bytes.first().map_or(1, |head| (head >> 5) + 1)
    }

    /// The resolution of each spatial layer from the lowest up; none if they are not told.
    pub fn resolutions(&self) -> impl ExactSizeIterator<Item = Resolution> + use<'a> {
        self.sizes.iter().map(|&[w0, w1, h0, h1]| Resolution {
            width: u16::from_be_bytes([w0, w1]),
            height: u16::from_be_bytes([h0, h1]),
        })
    }

    /// The pictures of a group, in decoding order; none in flexible mode.
    pub fn pictures(&self) -> impl Iterator<Item = GroupPicture> + use<'a> {
        let mut rest = self.pictures;
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_first()?;
            let (references, behind) = behind.split_at_checked(usize::from(head >> 2 & 3))?;
            rest = behind;
            Some(GroupPicture {
                temporal_id: head >> 5,
                switching_up: head & 0x10 != 0,
                references: References::new(references).ok()?,
            })
        })
    }

    /// The structure as it stands in a payload.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Writes a structure to the start of a buffer. `resolutions` has one for each spatial layer or
    /// none; `pictures` is `None` for none at all, which is not the same as an empty group.
    ///
    /// # Errors
    /// [`NoSpace`] if it does not fit, or the layers are not 1 to 8, the resolutions another number,
    /// the pictures more than 255 or in a layer above 7.
    pub fn write(
        buf: &'a mut [u8],
        spatial_layers: u8,
        resolutions: &[Resolution],
        pictures: Option<&[GroupPicture]>,
    ) -> Result<Structure<'a>, NoSpace> {
        let layers = checked(spatial_layers.checked_sub(1).ok_or(NoSpace)?, 7)?;
        if !resolutions.is_empty() && resolutions.len() != usize::from(spatial_layers) {
            return Err(NoSpace);
        }
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            let place = buf.get_mut(len..).and_then(|rest| rest.get_mut(..bytes.len())).ok_or(NoSpace)?;
            place.copy_from_slice(bytes);
            len += bytes.len();
            Ok(())
        };
        let sizes = if resolutions.is_empty() { 0 } else { HAS_SIZES };
        put(&[layers << 5 | sizes | if pictures.is_some() { HAS_PICTURES } else { 0 }])?;
        for resolution in resolutions {
            put(&resolution.width.to_be_bytes())?;
            put(&resolution.height.to_be_bytes())?;
        }
        if let Some(pictures) = pictures {
            put(&[u8::try_from(pictures.len()).map_err(|_| NoSpace)?])?;
            for picture in pictures {
                let references = picture.references.as_slice();
                let layers = Layers {
                    temporal_id: picture.temporal_id,
                    switching_up: picture.switching_up,
                    // At most three references.
                    spatial_id: (references.len() << 1) as u8,
                    inter_layer: false,
                };
                put(&[layers.to_byte()?])?;
                put(references)?;
            }
        }
        let written: &'a [u8] = buf.get(..len).ok_or(NoSpace)?;
        Structure::parse(&mut Cursor::new(written)).map_err(|_| NoSpace)
    }
}
