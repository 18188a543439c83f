//! The header extensions that are known here, by name.

use ExtensionKind::*;

/// What a header extension means; `a=extmap` binds its URI to a local identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ExtensionKind {
    /// Loudness of an audio packet, client to mixer (RFC 6464).
    AudioLevel,
    /// Loudness per contributing source, mixer to client (RFC 6465).
    CsrcAudioLevel,
    /// Departure time, 24 bits of 6.18 fixed-point seconds.
    AbsSendTime,
    /// Number of the packet on its transport, for feedback
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportSequenceNumber,
    /// The m-line that the stream belongs to (RFC 9143, section 15).
    Mid,
    /// The simulcast encoding (RFC 8852).
    Rid,
    /// The encoding that a repair stream repairs (RFC 8852).
    RepairedRid,
    /// How to turn the picture (3GPP TS 26.114, coordination of video orientation).
    VideoOrientation,
    /// Least and greatest delay the sender wants at the renderer.
    PlayoutDelay,
    /// Camera or screen.
    VideoContentType,
    /// When a frame passed the sender's stages.
    VideoTiming,
    /// Colour primaries, transfer and HDR metadata.
    ColorSpace,
    /// Distance of the departure from the timestamp (RFC 5450).
    TransmissionOffset,
    /// Capture time on the sender's clock.
    AbsCaptureTime,
    /// Frame dependencies of layered video (AV1 RTP specification, appendix A).
    DependencyDescriptor,
    /// The layers that a sender really produces, and their rates.
    VideoLayersAllocation,
    /// The same number as [`TransportSequenceNumber`], where feedback is sent when it asks
    /// (transport-wide-cc-02).
    TransportSequenceNumber02,
    /// Where frames begin and end, and their layers (RFC 9626).
    FrameMarking,
    /// What the dependency descriptor replaced; opaque here.
    GenericFrameDescriptor00,
    /// Samples of the encoder's picture for the decoder to compare with; opaque here.
    CorruptionDetection,
}

impl ExtensionKind {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Each of them, in the order of [`ExtensionKind::index`].
    pub const ALL: [ExtensionKind; 20] = [
        AudioLevel,
        CsrcAudioLevel,
        AbsSendTime,
        TransportSequenceNumber,
        Mid,
        Rid,
        RepairedRid,
        VideoOrientation,
        PlayoutDelay,
        VideoContentType,
        VideoTiming,
        ColorSpace,
        TransmissionOffset,
        AbsCaptureTime,
        DependencyDescriptor,
        VideoLayersAllocation,
        TransportSequenceNumber02,
        FrameMarking,
        GenericFrameDescriptor00,
        CorruptionDetection,
    ];

    /// The name in `a=extmap`.
    pub const fn uri(self) -> &'static str {
        match self {
            AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            CsrcAudioLevel => "urn:ietf:params:rtp-hdrext:csrc-audio-level",
            AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            TransportSequenceNumber => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            VideoOrientation => "urn:3gpp:video-orientation",
            PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            VideoContentType => "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
            VideoTiming => "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
            ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
            TransmissionOffset => "urn:ietf:params:rtp-hdrext:toffset",
            AbsCaptureTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
            DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            VideoLayersAllocation => "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
            TransportSequenceNumber02 => "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02",
            FrameMarking => "urn:ietf:params:rtp-hdrext:framemarking",
            GenericFrameDescriptor00 => {
                "http://www.webrtc.org/experiments/rtp-hdrext/generic-frame-descriptor-00"
            }
            CorruptionDetection => "http://www.webrtc.org/experiments/rtp-hdrext/corruption-detection",
        }
    }

    /// The kind of that URI; compared as it stands, as RFC 8285 compares URIs.
    pub fn from_uri(uri: &str) -> Option<ExtensionKind> {
        Self::ALL.into_iter().find(|kind| kind.uri() == uri)
    }

    /// Its place in a table of [`ExtensionKind::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether an SFU passes the value on: it describes the media, not the transport, the m-line or the
    /// encoding, which are other ones on the way out. Of a dependency descriptor the frame number may be
    /// another one.
    #[inline]
    pub const fn forwarded(self) -> bool {
        matches!(
            self,
            AudioLevel
                | VideoOrientation
                | PlayoutDelay
                | VideoContentType
                | VideoTiming
                | ColorSpace
                | AbsCaptureTime
                | CorruptionDetection
                | DependencyDescriptor
                | FrameMarking
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_uris_and_places_correspond() {
        for (at, kind) in ExtensionKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), at);
            assert_eq!(ExtensionKind::from_uri(kind.uri()), Some(kind));
        }
        assert_eq!(ExtensionKind::from_uri("urn:ietf:params:rtp-hdrext:encrypt"), None);
    }

    #[test]
    fn transport_numbers_and_names_of_m_lines_are_not_passed_on() {
        let transport = [AbsSendTime, TransportSequenceNumber, TransportSequenceNumber02, TransmissionOffset];
        let lines_and_layers = [Mid, Rid, RepairedRid, CsrcAudioLevel, VideoLayersAllocation];
        for kind in transport.into_iter().chain(lines_and_layers) {
            assert!(!kind.forwarded());
        }
        assert_eq!(ExtensionKind::ALL.into_iter().filter(|kind| kind.forwarded()).count(), 10);
    }
}
