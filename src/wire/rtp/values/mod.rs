//! Values of header extensions: each reads what a packet carries and writes it again.
//!
//! A value that is not of its form is `None`, and the packet is as if it had none: an element means
//! nothing to those who do not understand it (RFC 8285, section 4). Bits that are reserved are not
//! looked at and written as zeros. Values of one length are written by `to_bytes`, those of several by
//! `write`.

mod audio;
mod color;
mod frame_marking;
mod names;
mod time;
mod transport;
mod video;

pub use audio::{AudioLevel, CsrcAudioLevels};
pub use color::{Chromaticity, ColorSpace, HdrMetadata};
pub use frame_marking::{FrameMarking, MarkedLayer};
pub use names::{mid, rid};
pub use time::{AbsCaptureTime, AbsSendTime, TransmissionOffset};
pub use transport::{FeedbackRequest, TransportSequence, transport_sequence_number};
pub use video::{PlayoutDelay, VideoContentType, VideoOrientation, VideoTiming};

use super::{ExtensionKind, NoSpace};

impl ExtensionKind {
    /// Whether a value is one of this kind: of its form, and saying what can be. Of opaque kinds, and of those that
    /// `payload` reads (dependency descriptor, layers allocation), the length alone is judged.
    pub fn is_valid(self, value: &[u8]) -> bool {
        match self {
            Self::AudioLevel => AudioLevel::parse(value).is_some(),
            Self::CsrcAudioLevel => CsrcAudioLevels::parse(value).is_some(),
            Self::AbsSendTime => AbsSendTime::parse(value).is_some(),
            Self::TransportSequenceNumber => transport_sequence_number(value).is_some(),
            Self::TransportSequenceNumber02 => TransportSequence::parse(value).is_some(),
            Self::Mid => mid(value).is_some(),
            Self::Rid | Self::RepairedRid => rid(value).is_some(),
            Self::VideoOrientation => VideoOrientation::parse(value).is_some(),
            Self::PlayoutDelay => PlayoutDelay::parse(value).is_some(),
            Self::VideoContentType => VideoContentType::parse(value).is_some(),
            Self::VideoTiming => VideoTiming::parse(value).is_some(),
            Self::ColorSpace => ColorSpace::parse(value).is_some_and(|space| space.is_credible()),
            Self::TransmissionOffset => TransmissionOffset::parse(value).is_some(),
            Self::AbsCaptureTime => AbsCaptureTime::parse(value).is_some(),
            // What these say is the affair of `payload`.
            Self::DependencyDescriptor => value.len() >= 3,
            Self::VideoLayersAllocation => !value.is_empty(),
            Self::FrameMarking => FrameMarking::parse(value).is_some(),
            Self::GenericFrameDescriptor00 => !value.is_empty(),
            // A number and, perhaps, a filter, thresholds and up to thirteen samples.
            Self::CorruptionDetection => (1..=16).contains(&value.len()),
        }
    }
}

/// Copies a value to the start of `buf` and returns its length.
fn put(buf: &mut [u8], value: &[u8]) -> Result<usize, NoSpace> {
    buf.get_mut(..value.len()).ok_or(NoSpace)?.copy_from_slice(value);
    Ok(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The lengths that values of a kind may have.
    fn lengths(kind: ExtensionKind) -> Vec<usize> {
        match kind {
            ExtensionKind::AudioLevel | ExtensionKind::VideoOrientation | ExtensionKind::VideoContentType => {
                vec![1]
            }
            ExtensionKind::TransportSequenceNumber => vec![2],
            ExtensionKind::TransportSequenceNumber02 => vec![2, 4],
            ExtensionKind::AbsSendTime | ExtensionKind::TransmissionOffset | ExtensionKind::PlayoutDelay => {
                vec![3]
            }
            ExtensionKind::VideoTiming => vec![12, 13],
            ExtensionKind::ColorSpace => vec![4, 28],
            ExtensionKind::AbsCaptureTime => vec![8, 16],
            ExtensionKind::FrameMarking => vec![1, 2, 3],
            ExtensionKind::CsrcAudioLevel => (1..16).collect(),
            ExtensionKind::CorruptionDetection => (1..17).collect(),
            ExtensionKind::DependencyDescriptor => (3..40).collect(),
            ExtensionKind::VideoLayersAllocation => (1..40).collect(),
            _ => (1..40).collect(),
        }
    }

    #[test]
    fn s_desc_04_values_of_another_length_are_none_of_a_kind() {
        for kind in ExtensionKind::ALL {
            // Digits for names, zeros for numbers; of a colour space zeros are reserved, of an allocation they are no
            // layers, with or without a byte that says of which.
            let byte = match kind {
                ExtensionKind::Mid | ExtensionKind::Rid | ExtensionKind::RepairedRid => b'0',
                ExtensionKind::ColorSpace => 1,
                _ => 0,
            };
            let valid: Vec<usize> = (0..40).filter(|len| kind.is_valid(&vec![byte; *len])).collect();
            assert_eq!(valid, lengths(kind), "{kind:?}");
        }
    }

    #[test]
    fn s_desc_04_values_that_cannot_be_are_none_of_a_kind() {
        assert!(ExtensionKind::PlayoutDelay.is_valid(&[0, 0x10, 0x01]));
        assert!(!ExtensionKind::PlayoutDelay.is_valid(&[0, 0x20, 0x01]), "least above greatest");
        assert!(!ExtensionKind::Mid.is_valid(b"a b") && !ExtensionKind::Rid.is_valid(b"a-b"));
    }

    proptest! {
        #[test]
        fn s_desc_04_any_value_is_judged(value in proptest::collection::vec(any::<u8>(), 0..256)) {
            for kind in ExtensionKind::ALL {
                let valid = kind.is_valid(&value);
                prop_assert!(!valid || !value.is_empty(), "{kind:?} is never empty");
            }
        }
    }
}
