//! What can be wrong with a payload or with an extension that describes it.

use crate::wire::malformed::Malformed;

/// Which field is wrong, and where it begins in the payload (or in the extension's value).
pub type ParseError = Malformed<Fault>;

/// The field that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No payload at all.
    #[error("the payload is empty")]
    Empty,
    /// The octet of extension bits is missing (RFC 7741, section 4.2).
    #[error("the VP8 descriptor ends before its extension bits")]
    Vp8Extension,
    /// The picture id is cut.
    #[error("the VP8 descriptor ends inside the picture id")]
    Vp8PictureId,
    /// The index of base layer pictures is cut.
    #[error("the VP8 descriptor ends before TL0PICIDX")]
    Vp8Tl0PicIdx,
    /// The octet of temporal layer and key index is cut.
    #[error("the VP8 descriptor ends before TID and KEYIDX")]
    Vp8Layer,
    /// The frame header is cut or a key frame's start code is wrong (RFC 6386, section 9.1).
    #[error("the VP8 frame header is cut or has no start code")]
    Vp8Frame,
    /// The picture id is cut (RFC 9628, section 4.2).
    #[error("the VP9 descriptor ends inside the picture id")]
    Vp9PictureId,
    /// The octet of layer indices is cut.
    #[error("the VP9 descriptor ends before the layer indices")]
    Vp9Layers,
    /// The index of base layer pictures is cut.
    #[error("the VP9 descriptor ends before TL0PICIDX")]
    Vp9Tl0PicIdx,
    /// The reference indices are cut, or more than three.
    #[error("the VP9 descriptor's reference indices are cut or more than three")]
    Vp9References,
    /// The scalability structure is cut.
    #[error("the VP9 scalability structure ends after the payload")]
    Vp9Structure,
    /// The length of an OBU element is cut or above 32 bits (AV1 RTP specification, section 4.5).
    #[error("the length of an AV1 OBU element is cut or too large")]
    Av1Length,
    /// An OBU element is empty or runs past the end.
    #[error("an AV1 OBU element is empty or ends after the payload")]
    Av1Element,
    /// A new coded video sequence that begins with a fragment's rest (section 4.4).
    #[error("an AV1 coded video sequence begins inside an OBU")]
    Av1Aggregation,
    /// The forbidden bit is set or the OBU header is cut (AV1 specification, section 5.3).
    #[error("an AV1 OBU header is cut or has the forbidden bit")]
    Av1Header,
    /// The sequence header is cut (section 5.5).
    #[error("the AV1 sequence header is cut")]
    Av1Sequence,
    /// The forbidden bit is set or the type is 0, 30 or 31 (RFC 6184, section 5.2).
    #[error("an H.264 NAL unit has the forbidden bit or no known type")]
    H264Header,
    /// An aggregated NAL unit is empty or runs past the end (section 5.7.1).
    #[error("an aggregated H.264 NAL unit is empty or ends after the payload")]
    H264Length,
    /// A packet type inside of another (sections 5.7 and 5.8).
    #[error("an H.264 aggregate or fragment contains another")]
    H264Nested,
    /// A fragment that is cut or start and end at once (section 5.8).
    #[error("an H.264 fragment is cut or start and end at once")]
    H264Fragment,
    /// The forbidden bit is set or the temporal id missing (RFC 7798, section 1.1.4).
    #[error("an H.265 NAL unit has the forbidden bit or no temporal id")]
    H265Header,
    /// An aggregated NAL unit is empty or runs past the end, or fewer than two (section 4.4.2).
    #[error("aggregated H.265 NAL units are empty, cut or fewer than two")]
    H265Length,
    /// A packet type inside of another (sections 4.4.2 and 4.4.3).
    #[error("an H.265 aggregate or fragment contains another")]
    H265Nested,
    /// A fragment that is cut, empty, or start and end at once (section 4.4.3).
    #[error("an H.265 fragment is cut or start and end at once")]
    H265Fragment,
    /// The octet of the frame count is cut, or the count 0 (RFC 6716, section 3.2.5).
    #[error("the Opus frame count is cut or zero")]
    OpusCount,
    /// More than 120 ms (section 3.2.5).
    #[error("the Opus packet is longer than 120 ms")]
    OpusDuration,
    /// A frame's length or the padding runs past the end, or is above 1,275 bytes (section 3.4).
    #[error("the Opus frames or the padding do not fit the packet")]
    OpusLength,
    /// Shorter than the mandatory fields (AV1 RTP specification, section A.8.2).
    #[error("the dependency descriptor is shorter than three bytes")]
    DependencyHeader,
    /// The extended fields are cut.
    #[error("the dependency descriptor ends inside its flags or decode target mask")]
    DependencyFlags,
    /// More templates or higher layers than there can be.
    #[error("the dependency structure has too many templates or layers")]
    DependencyTemplates,
    /// The template structure is cut, or not the one that is known.
    #[error("the dependency structure is cut or not the one in effect")]
    DependencyStructure,
    /// Frame differences cut, or more than [`crate::limits::FRAME_REFERENCES`].
    #[error("the frame differences are cut or too many")]
    DependencyReferences,
    /// A template that the structure in effect does not have.
    #[error("the dependency descriptor names an unknown template")]
    DependencyTemplate,
    /// The frame's own indications or chains are cut.
    #[error("the dependency descriptor ends inside its own indications or chains")]
    DependencyFrame,
    /// The layers are cut, or the stream is none of them.
    #[error("the layers allocation ends inside its layers or names no stream of its own")]
    AllocationLayers,
    /// A bit rate is cut or above 32 bits.
    #[error("a bit rate of the layers allocation is cut or too large")]
    AllocationBitrate,
    /// Neither no resolutions nor one for each layer.
    #[error("the resolutions of the layers allocation do not fit its layers")]
    AllocationResolution,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 37] = [
        Self::Empty,
        Self::Vp8Extension,
        Self::Vp8PictureId,
        Self::Vp8Tl0PicIdx,
        Self::Vp8Layer,
        Self::Vp8Frame,
        Self::Vp9PictureId,
        Self::Vp9Layers,
        Self::Vp9Tl0PicIdx,
        Self::Vp9References,
        Self::Vp9Structure,
        Self::Av1Length,
        Self::Av1Element,
        Self::Av1Aggregation,
        Self::Av1Header,
        Self::Av1Sequence,
        Self::H264Header,
        Self::H264Length,
        Self::H264Nested,
        Self::H264Fragment,
        Self::H265Header,
        Self::H265Length,
        Self::H265Nested,
        Self::H265Fragment,
        Self::OpusCount,
        Self::OpusDuration,
        Self::OpusLength,
        Self::DependencyHeader,
        Self::DependencyFlags,
        Self::DependencyTemplates,
        Self::DependencyStructure,
        Self::DependencyReferences,
        Self::DependencyTemplate,
        Self::DependencyFrame,
        Self::AllocationLayers,
        Self::AllocationBitrate,
        Self::AllocationResolution,
    ];

    /// The fault as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "payload.empty",
            Self::Vp8Extension => "payload.vp8.extension",
            Self::Vp8PictureId => "payload.vp8.picture_id",
            Self::Vp8Tl0PicIdx => "payload.vp8.tl0_pic_idx",
            Self::Vp8Layer => "payload.vp8.layer",
            Self::Vp8Frame => "payload.vp8.frame",
            Self::Vp9PictureId => "payload.vp9.picture_id",
            Self::Vp9Layers => "payload.vp9.layers",
            Self::Vp9Tl0PicIdx => "payload.vp9.tl0_pic_idx",
            Self::Vp9References => "payload.vp9.references",
            Self::Vp9Structure => "payload.vp9.structure",
            Self::Av1Length => "payload.av1.length",
            Self::Av1Element => "payload.av1.element",
            Self::Av1Aggregation => "payload.av1.aggregation",
            Self::Av1Header => "payload.av1.header",
            Self::Av1Sequence => "payload.av1.sequence",
            Self::H264Header => "payload.h264.header",
            Self::H264Length => "payload.h264.length",
            Self::H264Nested => "payload.h264.nested",
            Self::H264Fragment => "payload.h264.fragment",
            Self::H265Header => "payload.h265.header",
            Self::H265Length => "payload.h265.length",
            Self::H265Nested => "payload.h265.nested",
            Self::H265Fragment => "payload.h265.fragment",
            Self::OpusCount => "payload.opus.count",
            Self::OpusDuration => "payload.opus.duration",
            Self::OpusLength => "payload.opus.length",
            Self::DependencyHeader => "payload.dependency.header",
            Self::DependencyFlags => "payload.dependency.flags",
            Self::DependencyTemplates => "payload.dependency.templates",
            Self::DependencyStructure => "payload.dependency.structure",
            Self::DependencyReferences => "payload.dependency.references",
            Self::DependencyTemplate => "payload.dependency.template",
            Self::DependencyFrame => "payload.dependency.frame",
            Self::AllocationLayers => "payload.allocation.layers",
            Self::AllocationBitrate => "payload.allocation.bitrate",
            Self::AllocationResolution => "payload.allocation.resolution",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_its_own_name_and_place() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
            assert_eq!(Fault::ALL.iter().filter(|other| other.name() == fault.name()).count(), 1);
        }
    }
}
