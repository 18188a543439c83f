//! What one packet means to a forwarder, whatever its format.

use super::dependency::Frame;
use super::{ParseError, PictureId, av1, h264, h265, opus, vp8, vp9};

/// A payload format that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// RFC 7741.
    Vp8,
    /// RFC 9628.
    Vp9,
    /// The AV1 RTP specification.
    Av1,
    /// RFC 6184.
    H264,
    /// RFC 7798.
    H265,
    /// RFC 7587.
    Opus,
}

impl Format {
    /// Each of them.
    pub const ALL: [Format; 6] =
        [Format::Vp8, Format::Vp9, Format::Av1, Format::H264, Format::H265, Format::Opus];

    /// The encoding name of `a=rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Vp8 => "VP8",
            Format::Vp9 => "VP9",
            Format::Av1 => "AV1",
            Format::H264 => "H264",
            Format::H265 => "H265",
            Format::Opus => "opus",
        }
    }

    /// The format of an encoding name, in any case (RFC 4855, section 3).
    pub fn from_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(name))
    }
}

/// What an SFU has to know of a packet.
///
/// With a dependency descriptor all but the picture's numbers is taken from there, because it is there for
/// this and in clear. Without one, what a format does not tell is `None`, 0 or false: a frame of
/// H.264, H.265 or AV1 then begins with a new timestamp and ends with the RTP marker bit, as does the
/// end of a VP8 frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// A frame begins here that depends on no other (of its spatial layer: there may be several to a
    /// picture). Of H.264 and H.265 parameter sets count, so it may be said of two packets of one frame.
    /// `None` of their packets that are not opened: those of H.264's interleaved mode and PACI.
    pub begins_key_frame: Option<bool>,
    /// The first packet of a frame; of layered video a frame is one spatial layer of a picture.
    pub begins_frame: Option<bool>,
    /// The last packet of a frame.
    pub ends_frame: Option<bool>,
    /// The spatial layer.
    pub spatial_id: u8,
    /// The temporal layer.
    pub temporal_id: u8,
    /// A receiver of the layers below may begin with this layer here.
    pub layer_access: bool,
    /// A receiver of this layer may go on with higher temporal layers after this frame.
    pub switching_up: bool,
    /// No other frame depends on this one.
    pub discardable: bool,
    /// The picture's number in the payload descriptor, which has to be rewritten if layers are left
    /// out.
    pub picture_id: Option<PictureId>,
    /// The index of base layer pictures in the payload descriptor, to be rewritten likewise.
    pub tl0_pic_idx: Option<u8>,
    /// The frame's number in the dependency descriptor.
    pub frame_number: Option<u16>,
}

impl Facts {
    /// Reads a payload in clear, without RTP padding: a packet of nothing else has no payload and no
    /// facts.
    ///
    /// A key frame flag that lies makes the fact a lie: whoever decodes it freezes until the next. It
    /// is no fault here, and nothing but these facts may be concluded from it.
    ///
    /// # Errors
    /// [`ParseError`] if the payload is not of its format. With a dependency descriptor only VP8's and
    /// VP9's descriptor is read, and otherwise no payload.
    #[inline]
    pub fn read(format: Format, payload: &[u8], dependency: Option<&Frame<'_>>) -> Result<Facts, ParseError> {
        if dependency.is_some() {
            return Facts::read_opaque(format, payload, dependency);
        }
        match format {
            Format::Vp8 => {
                let (descriptor, rest) = vp8::Descriptor::parse(payload)?;
                let key = descriptor.begins_frame() && begins_vp8_key_frame(rest);
                Ok(Facts {
                    begins_key_frame: Some(key),
                    layer_access: key || descriptor.layer.is_some_and(|layer| layer.sync),
                    switching_up: key,
                    ..Facts::of_vp8(&descriptor)
                })
            }
            Format::Vp9 => Facts::read_opaque(format, payload, None),
            Format::Av1 => Ok(Facts::of_av1(&av1::Payload::parse(payload)?)),
            Format::H264 => Ok(Facts::of_h264(&h264::Payload::parse(payload)?)),
            Format::H265 => Ok(Facts::of_h265(&h265::Payload::parse(payload)?)),
            Format::Opus => {
                opus::Packet::parse(payload)?;
                let yes = Some(true);
                Ok(Facts { begins_key_frame: yes, begins_frame: yes, ends_frame: yes, ..Facts::default() })
            }
        }
    }

    /// Reads a payload that is encrypted end to end: of VP8 and VP9 the payload descriptor, which is
    /// in clear, of others nothing. Without a dependency descriptor little is known then; only of
    /// VP9 everything.
    ///
    /// # Errors
    /// [`ParseError`] if the descriptor is malformed.
    #[inline]
    pub fn read_opaque(
        format: Format,
        payload: &[u8],
        dependency: Option<&Frame<'_>>,
    ) -> Result<Facts, ParseError> {
        let facts = match format {
            Format::Vp8 => Facts::of_vp8(&vp8::Descriptor::parse(payload)?.0),
            Format::Vp9 => Facts::of_vp9(&vp9::Descriptor::parse(payload)?.0),
            Format::Av1 | Format::H264 | Format::H265 | Format::Opus => Facts::default(),
        };
        Ok(dependency.map_or(facts, |frame| {
            let Facts { picture_id, tl0_pic_idx, .. } = facts;
            Facts { picture_id, tl0_pic_idx, ..Facts::of_frame(frame) }
        }))
    }

    /// Of the descriptor alone; what the frame header adds is left open.
    #[inline]
    fn of_vp8(descriptor: &vp8::Descriptor) -> Facts {
        let begins_frame = descriptor.begins_frame();
        Facts {
            begins_key_frame: (!begins_frame).then_some(false),
            begins_frame: Some(begins_frame),
            temporal_id: descriptor.layer.map_or(0, |layer| layer.temporal_id),
            layer_access: descriptor.layer.is_some_and(|layer| layer.sync),
            discardable: descriptor.non_reference,
            picture_id: descriptor.picture_id,
            tl0_pic_idx: descriptor.tl0_pic_idx,
            ..Facts::default()
        }
    }

    #[inline]
    fn of_vp9(descriptor: &vp9::Descriptor<'_>) -> Facts {
        let key = descriptor.is_key_frame();
        Facts {
            begins_key_frame: Some(descriptor.begins_frame && key),
            begins_frame: Some(descriptor.begins_frame),
            ends_frame: Some(descriptor.ends_frame),
            spatial_id: descriptor.spatial_id(),
            temporal_id: descriptor.layers.map_or(0, |layers| layers.temporal_id),
            layer_access: !descriptor.inter_predicted,
            switching_up: key || descriptor.layers.is_some_and(|layers| layers.switching_up),
            picture_id: descriptor.picture_id,
            tl0_pic_idx: descriptor.tl0_pic_idx,
            ..Facts::default()
        }
    }

    fn of_av1(payload: &av1::Payload<'_>) -> Facts {
        let aggregation = payload.aggregation();
        let layer = payload.headers().find_map(|header| header.layer);
        // Neither a coded video sequence nor the rest of an OBU leave room for doubt.
        let begins_frame =
            if aggregation.begins_sequence { Some(true) } else { aggregation.continues.then_some(false) };
        Facts {
            begins_key_frame: Some(aggregation.begins_sequence),
            begins_frame,
            ends_frame: aggregation.continued.then_some(false),
            spatial_id: layer.map_or(0, |layer| layer.spatial_id),
            temporal_id: layer.map_or(0, |layer| layer.temporal_id),
            layer_access: aggregation.begins_sequence,
            switching_up: aggregation.begins_sequence,
            ..Facts::default()
        }
    }

    fn of_h264(payload: &h264::Payload<'_>) -> Facts {
        let key = payload.begins_key_frame();
        let (continues, continued) = match payload {
            h264::Payload::Fragment(fragment) => (!fragment.starts, !fragment.ends),
            _ => (false, false),
        };
        // Packets of the interleaved mode are not opened: what they begin is not known.
        let known = !matches!(payload, h264::Payload::Interleaved(_));
        Facts {
            begins_key_frame: known.then_some(key),
            begins_frame: continues.then_some(false),
            ends_frame: continued.then_some(false),
            layer_access: key,
            switching_up: key,
            discardable: payload.is_discardable(),
            ..Facts::default()
        }
    }

    fn of_h265(payload: &h265::Payload<'_>) -> Facts {
        let key = payload.begins_key_frame();
        let (continues, continued) = match payload {
            h265::Payload::Fragment(fragment) => (!fragment.starts, !fragment.ends),
            _ => (false, false),
        };
        // The payload inside of a PACI packet is not opened: what it begins is not known.
        let known = !matches!(payload, h265::Payload::Paci(_));
        Facts {
            begins_key_frame: known.then_some(key),
            begins_frame: continues.then_some(false),
            ends_frame: continued.then_some(false),
            temporal_id: payload.header().temporal_id,
            layer_access: key || payload.any(h265::NalHeader::is_layer_access),
            switching_up: key || payload.any(h265::NalHeader::is_switching_up),
            ..Facts::default()
        }
    }

    #[inline]
    fn of_frame(frame: &Frame<'_>) -> Facts {
        let head = frame.head();
        let independent = frame.is_independent();
        Facts {
            begins_key_frame: Some(head.begins_frame && independent),
            begins_frame: Some(head.begins_frame),
            ends_frame: Some(head.ends_frame),
            spatial_id: frame.spatial_id(),
            temporal_id: frame.temporal_id(),
            layer_access: independent || frame.is_layer_access(),
            switching_up: independent || frame.is_switching_up(),
            discardable: frame.is_discardable(),
            picture_id: None,
            tl0_pic_idx: None,
            frame_number: Some(head.frame_number),
        }
    }
}

/// Whether a frame header is that of a key frame, its start code and size included: a flag alone
/// would be a lie that costs a subscriber its picture.
#[inline]
fn begins_vp8_key_frame(frame: &[u8]) -> bool {
    // The first bit tells most packets apart without reading on.
    frame.first().is_some_and(|byte| byte & 1 == 0)
        && vp8::FrameHeader::parse(frame).is_ok_and(|header| header.key_frame.is_some())
}
