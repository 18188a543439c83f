//! A payload, open or sealed end to end.

use super::dependency::Frame;
use super::{Facts, Format, ParseError, Resolution, av1, h264, h265, vp8, vp9};

/// A payload that is encrypted end to end (RFC 9605, for instance). There is no way to look at its bytes
/// but [`Facts`], which are taken from the clear descriptor in front of them (S-DESC-05).
#[derive(Debug, Clone, Copy)]
pub struct Opaque<'a>(&'a [u8]);

impl<'a> Opaque<'a> {
    /// From here on nobody looks inside.
    pub const fn new(payload: &'a [u8]) -> Opaque<'a> {
        Opaque(payload)
    }

    /// What the clear descriptor of VP8 or VP9 and the dependency descriptor tell.
    ///
    /// # Errors
    /// [`ParseError`] if the descriptor is malformed.
    #[inline]
    pub fn facts(self, format: Format, dependency: Option<&Frame<'_>>) -> Result<Facts, ParseError> {
        Facts::read_opaque(format, self.0, dependency)
    }
}

/// The payload of a packet, without RTP padding.
#[derive(Debug, Clone, Copy)]
pub enum Body<'a> {
    /// In clear.
    Clear(&'a [u8]),
    /// Encrypted end to end.
    Opaque(Opaque<'a>),
}

impl Body<'_> {
    /// What the packet means to a forwarder.
    ///
    /// # Errors
    /// [`ParseError`] if the payload, or the descriptor in front of an opaque one, is not of its format.
    #[inline]
    pub fn facts(self, format: Format, dependency: Option<&Frame<'_>>) -> Result<Facts, ParseError> {
        match self {
            Body::Clear(payload) => Facts::read(format, payload, dependency),
            Body::Opaque(payload) => payload.facts(format, dependency),
        }
    }

    /// The size of a spatial layer's pictures, where the first packet of a key frame in clear tells it. Of H.264
    /// and H.265 that is the one with the sequence parameter set.
    pub fn resolution(self, format: Format, spatial: u8) -> Option<Resolution> {
        let Body::Clear(payload) = self else { return None };
        match format {
            Format::Vp8 => {
                let (_, frame) = vp8::Descriptor::parse(payload).ok()?;
                Some(vp8::FrameHeader::parse(frame).ok()?.key_frame?.resolution)
            }
            Format::Vp9 => {
                let (descriptor, _) = vp9::Descriptor::parse(payload).ok()?;
                descriptor.structure?.resolutions().nth(usize::from(spatial))
            }
            Format::Av1 => Some(av1::Payload::parse(payload).ok()?.sequence_header()?.max_resolution),
            Format::H264 => h264::Payload::parse(payload).ok()?.resolution(),
            Format::H265 => h265::Payload::parse(payload).ok()?.resolution(),
            Format::Opus => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Behind the clear descriptor any bytes give the same facts.
        #[test]
        fn s_desc_05_facts_of_an_opaque_payload_do_not_depend_on_what_is_sealed(
            picture in 0u16..0x8000,
            temporal_id in 0u8..4,
            begins_partition: bool,
            sealed in proptest::collection::vec(any::<u8>(), 0..40),
            other in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let descriptor = vp8::Descriptor {
                begins_partition,
                picture_id: Some(crate::wire::payload::PictureId::Long(picture)),
                tl0_pic_idx: Some(7),
                layer: Some(vp8::Layer { temporal_id, sync: false }),
                ..vp8::Descriptor::default()
            };
            let mut buf = [0; 6];
            let len = descriptor.write(&mut buf).expect("it fits");
            let facts = |sealed: &[u8]| {
                let payload = [&buf[..len], sealed].concat();
                Opaque::new(&payload).facts(Format::Vp8, None).expect("the descriptor is whole")
            };
            prop_assert_eq!(facts(&sealed), facts(&other));
            for format in [Format::Av1, Format::H264, Format::H265, Format::Opus] {
                let facts = |sealed: &[u8]| Opaque::new(sealed).facts(format, None).expect("nothing is read");
                prop_assert_eq!(facts(&sealed), facts(&other));
            }
        }
    }
}
