//! One media section on our side: what is kept of it between descriptions, and how an offered or
//! answered one is matched with what the engine can do.

use super::codec::{is_redundancy_of, redundancy_of};
use super::session::{DataSection, ExtensionMap, Negotiated, Payloads, SendSlot};
use super::{Codec, Config, Line, MediaKind, NegotiationError, publication};
use crate::wire::rtp::ExtensionKind;
use crate::wire::sctp::Init;
use crate::wire::sdp::{self, Direction, Feedback, Kind, Media, Mid};

/// A media section, accepted or not.
#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) mid: Option<Mid>,
    pub(super) kind: Kind,
    /// As offered: answers repeat it.
    pub(super) protocol: String,
    pub(super) format: String,
    /// `None` if rejected by either side.
    pub(super) line: Option<Line>,
    /// Data channels, on a section that was accepted for them.
    pub(super) data: Option<DataSection>,
    /// The slot in the last description that both sides know.
    pub(super) announced: Option<u64>,
}

impl Section {
    /// The section without its line.
    pub(super) fn rejected(media: &Media) -> Section {
        Section {
            mid: media.mid.clone(),
            kind: media.kind.clone(),
            protocol: media.protocol.clone(),
            format: media.format.clone(),
            line: None,
            data: None,
            announced: None,
        }
    }

    /// A section of our own for data channels.
    pub(super) fn of_data(mid: Mid, index: usize) -> Section {
        Section {
            mid: Some(mid),
            kind: Kind::Application,
            protocol: "UDP/DTLS/SCTP".to_owned(),
            format: "webrtc-datachannel".to_owned(),
            line: None,
            data: Some(DataSection::new(index)),
            announced: None,
        }
    }

    /// Whether neither side rejects it.
    pub(super) fn is_accepted(&self) -> bool {
        self.line.is_some() || self.data.is_some()
    }

    pub(super) fn of_line(line: Line) -> Section {
        let kind = match line.kind {
            MediaKind::Audio => Kind::Audio,
            MediaKind::Video => Kind::Video,
        };
        Section {
            mid: Some(line.mid.clone()),
            kind,
            protocol: "UDP/TLS/RTP/SAVPF".to_owned(),
            format: "0".to_owned(),
            line: Some(line),
            data: None,
            announced: None,
        }
    }

    pub(super) fn slot(&self) -> Option<&SendSlot> {
        self.line.as_ref()?.sends.as_deref()
    }

    pub(super) fn slot_id(&self) -> Option<u64> {
        self.slot().map(|slot| slot.id)
    }
}

/// The line of an offered section; `None` where it has to be rejected (RFC 8827, section 6.5;
/// RFC 8834, section 4.5; RFC 8829, section 5.3.1).
pub(super) fn of_offer(config: &Config, index: usize, media: &Media) -> Option<Line> {
    let kind = match media.kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
        Kind::Application | Kind::Other(_) => return None,
    };
    let secured = matches!(
        media.protocol.as_str(),
        "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP" | "TCP/DTLS/RTP/SAVPF" | "TCP/DTLS/RTP/SAVP"
    );
    if media.rejected() || !secured || media.crypto || !media.rtcp_mux {
        return None;
    }
    let mid = media.mid.clone()?;
    let publishes = config.publish && media.direction.sends();
    let extensions = extensions(config, media, publishes && kind == MediaKind::Video);
    let payloads = payloads(config, kind, media, &extensions);
    if payloads.is_empty() {
        return None;
    }
    let publishes = publishes.then(|| Box::new(publication::offered(media, &payloads, &extensions)));
    Some(Line {
        index,
        mid,
        kind,
        publishes,
        receives: media.direction.receives(),
        sends: None,
        feedback: feedback(&payloads),
        payloads,
        extensions,
        rtcp_rsize: media.rtcp_rsize,
    })
}

/// The data channels of a section: one of their kind, not rejected (RFC 8841, section 4).
pub(super) fn data(config: &Config, index: usize, media: &Media) -> Option<DataSection> {
    let carried = matches!(media.protocol.as_str(), "UDP/DTLS/SCTP" | "TCP/DTLS/SCTP");
    let usable = media.kind == Kind::Application && carried && !media.rejected() && media.mid.is_some();
    usable.then(|| DataSection {
        index,
        sctp_port: media.sctp_port.unwrap_or(DataSection::PORT),
        // RFC 8841, section 6.1.
        max_message_size: media.max_message_size.unwrap_or(65_536),
        init: media.sctp_init.as_deref().filter(|_| config.snap).and_then(Init::parse_chunk),
    })
}

/// What is left of `planned`, a line of our offer, after the participant's answer; `None` if it was
/// rejected.
pub(super) fn of_answer(
    config: &Config,
    planned: &Line,
    media: &Media,
) -> Result<Option<Line>, NegotiationError> {
    let error = |what| NegotiationError::Mismatch { line: media.line, what };
    if media.mid.as_ref() != Some(&planned.mid) {
        return Err(error("mid"));
    }
    if media.rejected() {
        return Ok(None);
    }
    if media.crypto || !media.rtcp_mux {
        return Err(error("transport: RTCP is not multiplexed or keys are in the clear"));
    }
    let mut line = planned.clone();
    line.extensions = answered_extensions(&planned.extensions, media);
    line.payloads.0.retain_mut(|ours| retain_answered(ours, media));
    let opus = opus_among(config, &line.payloads.0);
    line.payloads.0.retain(|ours| {
        let theirs = media.codecs.iter().find(|codec| codec.payload_type == ours.payload_type);
        let carries = theirs.zip(opus).is_some_and(|(theirs, opus)| is_redundancy_of(theirs, opus));
        config.codec(ours.codec) != Some(Codec::Red) || carries
    });
    if line.payloads.is_empty() {
        return Err(error("codecs"));
    }
    line.feedback = feedback(&line.payloads);
    line.rtcp_rsize = media.rtcp_rsize;
    // Directions that were not offered are not taken from an answer (RFC 3264, section 6.1).
    let asked = planned.publishes.as_ref().filter(|_| media.direction.sends());
    line.publishes =
        asked.map(|asked| Box::new(publication::answered(asked, media, &line.payloads, &line.extensions)));
    if planned.sends.is_some() {
        line.receives = media.direction.receives();
        line.sends = line.sends.filter(|_| line.receives);
    }
    Ok(Some(line))
}

/// Whether an offered codec is in the answer, with what of its retransmissions and feedback.
fn retain_answered(ours: &mut Negotiated, media: &Media) -> bool {
    let by_type = |wanted: u8| media.codecs.iter().find(|c| c.payload_type == wanted);
    let Some(theirs) = by_type(ours.payload_type) else {
        return false;
    };
    let repair = ours.rtx.and_then(by_type);
    ours.rtx = repair.filter(|rtx| rtx.repairs() == Some(ours.payload_type)).map(|rtx| rtx.payload_type);
    ours.feedback = ours.feedback.intersection(theirs.feedback);
    // The number was ours to give; what else it could mean is not in this session.
    !theirs.is("rtx")
}

fn answered_extensions(planned: &ExtensionMap, media: &Media) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for kind in ExtensionKind::ALL {
        let same = |e: &&sdp::Extmap| planned.any(kind) == Some(e.id) && e.uri == kind.uri();
        if let Some(theirs) = media.extmaps.iter().find(same) {
            let direction = theirs.direction.unwrap_or_default();
            let sent = direction.receives() && planned.id_of(kind).is_some();
            let received = direction.sends() && planned.receives(kind);
            map.insert(kind, theirs.id, sent, received);
        }
    }
    map
}

/// For each of the engine's codecs at most one payload type: the first in the offer that matches.
/// Redundant audio is of use with the line's Opus alone.
fn payloads(config: &Config, kind: MediaKind, media: &Media, map: &ExtensionMap) -> Payloads {
    let mut found: Vec<Negotiated> = Vec::new();
    for (id, codec) in config.codecs_of(kind) {
        let opus = opus_among(config, &found);
        let carries = |offered: &sdp::Codec| opus.is_some_and(|opus| is_redundancy_of(offered, opus));
        let mut usable = media.codecs.iter().filter(|c| usable_type(c.payload_type));
        let fits = |c: &&sdp::Codec| codec.matches(c) && (codec != Codec::Red || carries(c));
        let Some(offered) = usable.find(fits) else {
            continue;
        };
        let taken = |n: &Negotiated| n.payload_type == offered.payload_type;
        if found.iter().any(taken) {
            continue;
        }
        let rtx = media.codecs.iter().find(|c| {
            c.repairs() == Some(offered.payload_type)
                && usable_type(c.payload_type)
                && c.clock_rate == offered.clock_rate
        });
        found.push(Negotiated {
            codec: id,
            payload_type: offered.payload_type,
            rtx: rtx.map(|rtx| rtx.payload_type),
            feedback: answered_feedback(offered.feedback, map),
            fmtp: opus
                .filter(|_| codec == Codec::Red)
                .map_or_else(|| codec.fmtp(Some(offered)), redundancy_of),
        });
    }
    in_order(found)
}

/// The payload type of Opus, if it is among these.
fn opus_among(config: &Config, found: &[Negotiated]) -> Option<u8> {
    let opus = found.iter().find(|negotiated| config.codec(negotiated.codec) == Some(Codec::Opus));
    opus.map(|negotiated| negotiated.payload_type)
}

/// The most preferred first.
fn in_order(mut found: Vec<Negotiated>) -> Payloads {
    found.sort_by_key(|negotiated| negotiated.codec);
    found.shrink_to_fit();
    Payloads(found)
}

/// Payload types that RTCP packet types would be mistaken for are refused (RFC 5761, section 4).
fn usable_type(payload_type: u8) -> bool {
    !(64..=95).contains(&payload_type)
}

/// What we do of the offered feedback, before one kind is agreed on: transport-wide feedback needs the
/// numbers it is about.
fn answered_feedback(offered: Feedback, map: &ExtensionMap) -> Feedback {
    let numbered = map.any(ExtensionKind::TransportSequenceNumber).is_some();
    Feedback { transport_cc: offered.transport_cc && numbered, ..offered }
}

pub(super) fn feedback(payloads: &Payloads) -> Feedback {
    let all = payloads.iter().map(|negotiated| negotiated.feedback);
    all.fold(Feedback::default(), Feedback::union)
}

/// The offered extensions that the engine takes, ids 1 to 14 alone: others need the two-byte form
/// on every packet.
fn extensions(config: &Config, media: &Media, encodes: bool) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for theirs in media.extmaps.iter().filter(|e| (1..=14).contains(&e.id)) {
        let kind = ExtensionKind::from_uri(&theirs.uri);
        let Some(kind) = kind.filter(|kind| config.extensions.contains(kind)) else {
            continue;
        };
        if map.any(kind).is_none() {
            let direction = theirs.direction.unwrap_or_default();
            let sent = direction.receives() && !of_publisher(kind);
            let received = direction.sends() && (encodes || !of_publisher(kind));
            map.insert(kind, theirs.id, sent, received);
        }
    }
    map
}

/// The direction to write for an extension, if it is not that of the section.
pub(super) fn extension_direction(map: &ExtensionMap, kind: ExtensionKind) -> Option<Direction> {
    let (sent, received) = (map.id_of(kind).is_some(), map.receives(kind));
    (sent != received).then(|| Direction::new(sent, received))
}

/// Numbers for lines that we add: those the participant's lines use already, and fresh ones that no
/// description of the participant has used for anything.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    payload_types: u128,
    extension_ids: u16,
}

impl Taken {
    /// Takes what a description of the participant uses.
    pub(super) fn learn(&mut self, media: &[Media]) {
        for section in media {
            for codec in &section.codecs {
                self.payload_types |= 1 << (codec.payload_type & 127);
            }
            for extmap in section.extmaps.iter().filter(|e| e.id < 16) {
                self.extension_ids |= 1 << extmap.id;
            }
        }
    }

    /// A dynamic payload type: 96 to 127, then 35 to 63 (RFC 3551, section 6; RFC 5761).
    fn payload_type(&mut self) -> Option<u8> {
        let mut candidates = (96..=127).chain(35..=63);
        let free = candidates.find(|pt: &u8| self.payload_types & (1 << pt) == 0)?;
        self.payload_types |= 1 << free;
        Some(free)
    }

    fn extension_id(&mut self) -> Option<u8> {
        let free = (1..=14).find(|id: &u8| self.extension_ids & (1 << id) == 0)?;
        self.extension_ids |= 1 << free;
        Some(free)
    }

    /// The codecs to offer on a new line.
    pub(super) fn payloads(
        &mut self,
        config: &Config,
        sections: &[Section],
        kind: MediaKind,
        feedback: Feedback,
    ) -> Payloads {
        let video = kind == MediaKind::Video;
        let mut found: Vec<Negotiated> = Vec::new();
        for (id, codec) in config.codecs_of(kind) {
            let fmtp = match (codec, opus_among(config, &found)) {
                (Codec::Red, None) => continue,
                (Codec::Red, Some(opus)) => redundancy_of(opus),
                _ => codec.fmtp(None),
            };
            let lines = sections.iter().filter_map(|section| section.line.as_ref());
            // A number of RED means the Opus that it was negotiated with, in the whole bundle.
            let same = |known: &&Negotiated| codec != Codec::Red || known.fmtp == fmtp;
            let known = lines.filter_map(|line| line.payloads.get(id)).find(same).cloned();
            let Some(payload_type) =
                known.as_ref().map(|known| known.payload_type).or_else(|| self.payload_type())
            else {
                continue;
            };
            let rtx = if video && known.is_none() { self.payload_type() } else { None };
            found.push(known.unwrap_or(Negotiated { codec: id, payload_type, rtx, feedback, fmtp }));
        }
        in_order(found)
    }

    /// The header extensions to offer on a new line: whether forms may be mixed, and packets numbered.
    pub(super) fn extensions(
        &mut self,
        config: &Config,
        sections: &[Section],
        kind: MediaKind,
        (mixed, numbered): (bool, bool),
    ) -> ExtensionMap {
        let mut map = ExtensionMap::default();
        let useful = |e: &ExtensionKind| {
            let numbers = *e == ExtensionKind::TransportSequenceNumber;
            suits(*e, kind) && !of_publisher(*e) && (mixed || !needs_mixed(*e)) && (numbered || !numbers)
        };
        for extension in config.extensions.iter().copied().filter(useful) {
            let mut lines = sections.iter().filter_map(|section| section.line.as_ref());
            let known = lines.find_map(|line| line.extensions.any(extension));
            if let Some(id) = known.or_else(|| self.extension_id()) {
                map.insert(extension, id, true, true);
            }
        }
        map
    }
}

/// Whether an extension names or describes what only who publishes a video has, several encodings: we
/// send one.
fn of_publisher(extension: ExtensionKind) -> bool {
    matches!(
        extension,
        ExtensionKind::Rid | ExtensionKind::RepairedRid | ExtensionKind::VideoLayersAllocation
    )
}

/// Whether values of an extension can be longer than the 16 bytes of a one-byte element, while others
/// of the stream keep to that form (RFC 8285, section 4.1.2).
fn needs_mixed(extension: ExtensionKind) -> bool {
    extension == ExtensionKind::DependencyDescriptor
}

/// Takes off the lines what cannot be had without mixed forms of header extensions.
pub(super) fn forbid_mixed(sections: &mut [Section]) {
    for line in sections.iter_mut().filter_map(|section| section.line.as_mut()) {
        for kind in ExtensionKind::ALL.into_iter().filter(|kind| needs_mixed(*kind)) {
            line.extensions.remove(kind);
        }
    }
}

/// Whether an extension says anything about media of this kind.
fn suits(extension: ExtensionKind, kind: MediaKind) -> bool {
    match extension {
        ExtensionKind::AudioLevel | ExtensionKind::CsrcAudioLevel => kind == MediaKind::Audio,
        ExtensionKind::AbsSendTime
        | ExtensionKind::TransportSequenceNumber
        | ExtensionKind::TransportSequenceNumber02
        | ExtensionKind::Mid
        | ExtensionKind::AbsCaptureTime => true,
        _ => kind == MediaKind::Video,
    }
}
