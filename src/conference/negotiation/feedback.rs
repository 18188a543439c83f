//! How each side tells the other what arrived, for congestion control: one kind for a whole session.

use super::section::{Section, feedback};
use super::{Config, MediaKind, Session, check};
use crate::wire::rtp::ExtensionKind;
use crate::wire::sdp::{Description, Feedback};

/// A kind of congestion control feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeedbackKind {
    /// Packets of each stream with their marks, `ack ccfb` (RFC 8888). Needs no header extension.
    Ccfb,
    /// Packets by their transport-wide numbers, `transport-cc`
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportWide,
    /// The rate that the receiver believes it can take, `goog-remb`
    /// (draft-alvestrand-rmcat-remb-03): for who knows nothing else.
    Remb,
}

impl FeedbackKind {
    /// All of them, the one that tells most first.
    pub const ALL: [FeedbackKind; 3] = [FeedbackKind::Ccfb, FeedbackKind::TransportWide, FeedbackKind::Remb];
}

/// The kind that a description of the participant and our sections agree on, the first of ours. What
/// belongs to the others is taken off the sections.
pub(super) fn settle(
    config: &Config,
    described: &Description,
    sections: &mut [Section],
    ccfb: bool,
) -> Option<FeedbackKind> {
    let ccfb = ccfb && check::takes_ccfb(described, sections);
    let agreed = agreed(config, sections, ccfb);
    for line in sections.iter_mut().filter_map(|section| section.line.as_mut()) {
        for negotiated in &mut line.payloads.0 {
            negotiated.feedback.transport_cc &= agreed == Some(FeedbackKind::TransportWide);
            negotiated.feedback.remb &= agreed == Some(FeedbackKind::Remb);
        }
        line.feedback = feedback(&line.payloads);
        if agreed == Some(FeedbackKind::Ccfb) {
            // Packets have numbers enough.
            line.extensions.remove(ExtensionKind::TransportSequenceNumber);
            line.extensions.remove(ExtensionKind::TransportSequenceNumber02);
        }
    }
    agreed
}

fn agreed(config: &Config, sections: &[Section], ccfb: bool) -> Option<FeedbackKind> {
    let lines = || sections.iter().filter_map(|section| section.line.as_ref());
    // Sound is hardly ever too much: pictures decide where there are any.
    let video = lines().any(|line| line.kind == MediaKind::Video);
    let telling = || lines().filter(|line| !video || line.kind == MediaKind::Video);
    config.feedback.iter().copied().find(|kind| match kind {
        FeedbackKind::Ccfb => ccfb,
        FeedbackKind::TransportWide => telling().any(|line| line.feedback.transport_cc),
        FeedbackKind::Remb => telling().any(|line| line.feedback.remb),
    })
}

/// Whether an offer of ours may name a kind: the one that is in use, or each that would be taken.
pub(super) fn offers(config: &Config, session: &Session, kind: FeedbackKind) -> bool {
    let fits = match (session.remote.is_some(), session.feedback) {
        (false, _) => true,
        (true, Some(used)) => used == kind,
        // The sections that are there do without, and all have it or none.
        (true, None) => kind != FeedbackKind::Ccfb,
    };
    fits && config.feedback.contains(&kind)
}

/// The feedback to offer on a new line.
pub(super) fn offered(config: &Config, session: &Session, kind: MediaKind) -> Feedback {
    let video = kind == MediaKind::Video;
    let numbered = config.extensions.contains(&ExtensionKind::TransportSequenceNumber);
    Feedback {
        nack: video,
        pli: video,
        fir: video,
        transport_cc: numbered && offers(config, session, FeedbackKind::TransportWide),
        remb: video && offers(config, session, FeedbackKind::Remb),
    }
}
