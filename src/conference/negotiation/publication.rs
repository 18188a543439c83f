//! What a participant says of the source it sends: its names, and the encodings that are taken of it.

use super::session::{ExtensionMap, Payload, Payloads, Publication, PublishedEncoding};
use crate::base::limits;
use crate::wire::rtp::ExtensionKind;
use crate::wire::sdp::{Kind, Media, Rid, Stream};

/// The source of an offered section that is answered with these payloads and extensions.
pub(super) fn offered(media: &Media, payloads: &Payloads, extensions: &ExtensionMap) -> Publication {
    let encodings = match by_rid(media, payloads, extensions) {
        encodings if encodings.is_empty() => by_ssrc(media),
        encodings => encodings,
    };
    named(media, encodings)
}

/// The source of an answered section: encodings that our offer did not ask for are not taken (RFC 8853,
/// section 5.3.3).
pub(super) fn answered(
    asked: &Publication,
    media: &Media,
    payloads: &Payloads,
    extensions: &ExtensionMap,
) -> Publication {
    let known = |encoding: &PublishedEncoding| asked.encodings.iter().any(|a| a.rid == encoding.rid);
    let mut encodings = by_rid(media, payloads, extensions);
    encodings.retain(known);
    if encodings.is_empty() {
        encodings = by_ssrc(media);
        encodings.truncate(asked.encodings.iter().filter(|asked| asked.rid.is_none()).count().max(1));
    }
    named(media, encodings)
}

fn named(media: &Media, mut encodings: Vec<PublishedEncoding>) -> Publication {
    // Kept as long as the participant.
    encodings.shrink_to_fit();
    let msid_of_stream = || media.streams.iter().find_map(|stream| stream.msid.clone());
    Publication {
        msid: media.msid.clone().or_else(msid_of_stream),
        encodings,
        cname: media.streams.iter().find_map(|stream| stream.cname.clone()),
        screen: media.slides,
    }
}

/// The encodings of `a=simulcast`, for each the first alternative that can be taken. There are none
/// without the extensions by which their packets are told apart (RFC 8853, section 5.5; RFC 8852).
fn by_rid(media: &Media, payloads: &Payloads, extensions: &ExtensionMap) -> Vec<PublishedEncoding> {
    let told = extensions.receives(ExtensionKind::Mid) && extensions.receives(ExtensionKind::Rid);
    let mut found: Vec<PublishedEncoding> = Vec::new();
    let Some(simulcast) = media.simulcast.as_ref().filter(|_| told) else {
        return found;
    };
    for alternatives in &simulcast.send {
        let taken = alternatives.iter().find_map(|alternative| {
            let rid = media.rids.iter().find(|rid| rid.sends && rid.id == alternative.rid)?;
            let twice = found.iter().any(|known| known.rid.as_ref() == Some(&rid.id));
            Some(PublishedEncoding {
                rid: Some(rid.id.clone()),
                paused: alternative.paused,
                payload_types: common_types(rid, payloads).filter(|_| !twice)?,
                ..PublishedEncoding::default()
            })
        });
        found.extend(taken);
        if found.len() == limits::SDP_ENCODINGS {
            break;
        }
    }
    found
}

/// The payload types that an encoding is restricted to, as far as they are ours; `None` if it may have
/// none of ours.
fn common_types(rid: &Rid, payloads: &Payloads) -> Option<Vec<u8>> {
    let ours = |payload_type: &u8| matches!(payloads.lookup(*payload_type), Some(Payload::Media(_)));
    let common: Vec<u8> = rid.payload_types.iter().copied().filter(ours).collect();
    (rid.payload_types.is_empty() || !common.is_empty()).then_some(common)
}

/// The encodings of a `SIM` group, as Chromium understands it, or the one stream of the section.
fn by_ssrc(media: &Media) -> Vec<PublishedEncoding> {
    let pairs = repairs(media);
    let repairs = |ssrc: u32| pairs.iter().any(|(_, repair)| *repair == ssrc);
    let encoding = |ssrc: u32| PublishedEncoding {
        ssrc: Some(ssrc),
        rtx: pairs.iter().find(|(primary, _)| *primary == ssrc).map(|(_, repair)| *repair),
        ..PublishedEncoding::default()
    };
    let primaries = || media.streams.iter().map(|stream: &Stream| stream.ssrc).filter(|ssrc| !repairs(*ssrc));
    let mut groups = media.stream_groups.iter();
    let group = groups.find(|group| group.semantics == "SIM" && media.kind == Kind::Video);
    let mut found: Vec<PublishedEncoding> = Vec::new();
    for ssrc in group.into_iter().flat_map(|group| group.ssrcs.iter().copied()) {
        let twice = found.iter().any(|known| known.ssrc == Some(ssrc));
        // What a group alone names is not checked against the other sections.
        if !twice && primaries().any(|known| known == ssrc) && found.len() < limits::SDP_ENCODINGS {
            found.push(encoding(ssrc));
        }
    }
    if found.is_empty() {
        found.push(primaries().next().map(encoding).unwrap_or_default());
    }
    found
}

/// Each stream with that of its retransmissions; no stream repairs two.
fn repairs(media: &Media) -> Vec<(u32, u32)> {
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    for group in media.stream_groups.iter().filter(|group| group.semantics == "FID") {
        if let [primary, repair] = *group.ssrcs.as_slice()
            && primary != repair
            && pairs.iter().all(|pair| pair.1 != repair)
        {
            pairs.push((primary, repair));
        }
    }
    pairs
}
