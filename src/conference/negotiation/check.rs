//! What must hold of a whole description before any of it is taken.

use super::{NegotiationError, Section};
use crate::wire::sdp::{Codec, Description, Media};

/// Whether an offer continues the session: every section that lives stands where it stood, under
/// its name (RFC 3264, section 8; RFC 8829, section 5.2.2). Rejected places may be used anew.
pub(super) fn continues(sections: &[Section], offer: &Description) -> Result<(), NegotiationError> {
    for (index, section) in sections.iter().enumerate() {
        let media = nth(offer, index)?;
        let same = media.mid == section.mid && media.kind == section.kind;
        if section.is_accepted() && !same {
            let what = "another section stood in its place";
            return Err(NegotiationError::Mismatch { line: media.line, what });
        }
    }
    Ok(())
}

/// Whether an answer has the offer's sections (RFC 3264, section 6).
pub(super) fn answers(planned: &[Section], answer: &Description) -> Result<(), NegotiationError> {
    for (index, section) in planned.iter().enumerate() {
        let media = nth(answer, index)?;
        if media.kind != section.kind {
            let what = "the offer had another kind of media there";
            return Err(NegotiationError::Mismatch { line: media.line, what });
        }
    }
    match answer.media.get(planned.len()) {
        Some(media) => {
            let what = "it was not offered";
            Err(NegotiationError::Mismatch { line: media.line, what })
        }
        None => Ok(()),
    }
}

fn nth(description: &Description, index: usize) -> Result<&Media, NegotiationError> {
    description.media.get(index).ok_or_else(|| NegotiationError::Mismatch {
        line: description.media.last().map_or(1, |media| media.line),
        what: "a section after it is missing",
    })
}

/// Whether numbers mean the same in all sections of the bundle (RFC 9143, sections 9.1 and 9.2):
/// a packet's header is read before its section is known.
pub(super) fn bundle(description: &Description) -> Result<(), NegotiationError> {
    let mut codecs: [Option<&Codec>; 128] = [None; 128];
    let mut extensions: [Option<&str>; 256] = [None; 256];
    let mut ssrcs: Vec<(u32, usize)> = Vec::new();
    for media in description.media.iter().filter(|media| !media.rejected()) {
        let line = media.line;
        let conflict = |what| Err(NegotiationError::Conflict { line, what });
        for codec in &media.codecs {
            let slot = codecs.get_mut(usize::from(codec.payload_type));
            let known = slot.and_then(|slot| slot.replace(codec));
            if known.is_some_and(|known| !alike(known, codec)) {
                return conflict("payload type");
            }
        }
        for extmap in &media.extmaps {
            let slot = extensions.get_mut(usize::from(extmap.id));
            let known = slot.and_then(|slot| slot.replace(&extmap.uri));
            if known.is_some_and(|known| known != extmap.uri) {
                return conflict("header extension id");
            }
        }
        ssrcs.extend(media.streams.iter().map(|stream| (stream.ssrc, line)));
    }
    ssrcs.sort_unstable();
    let twice = ssrcs.windows(2).find_map(|pair| match *pair {
        [(a, _), (b, line)] if a == b => Some(line),
        _ => None,
    });
    match twice {
        Some(line) => Err(NegotiationError::Conflict { line, what: "SSRC" }),
        None => Ok(()),
    }
}

fn alike(a: &Codec, b: &Codec) -> bool {
    a.is(&b.name) && a.clock_rate == b.clock_rate && a.channels.unwrap_or(1) == b.channels.unwrap_or(1)
}

/// Whether one- and two-byte header extensions may alternate in all accepted sections.
pub(super) fn allows_mixed(description: &Description, sections: &[Section]) -> bool {
    description.extmap_allow_mixed || all_accepted(description, sections, |media| media.extmap_allow_mixed)
}

/// Whether encrypted headers are taken in all accepted sections: which section a packet belongs to
/// may stand in what is encrypted (RFC 9335, section 4).
pub(super) fn takes_cryptex(description: &Description, sections: &[Section]) -> bool {
    description.cryptex || all_accepted(description, sections, |media| media.cryptex)
}

/// Whether congestion control feedback is taken in all accepted sections (RFC 8888, section 6).
pub(super) fn takes_ccfb(description: &Description, sections: &[Section]) -> bool {
    all_accepted(description, sections, |media| media.ccfb)
}

fn all_accepted(description: &Description, sections: &[Section], holds: impl Fn(&Media) -> bool) -> bool {
    let accepted = description.media.iter().zip(sections).filter(|(_, s)| s.line.is_some());
    let mut media = accepted.map(|(media, _)| media).peekable();
    media.peek().is_some() && media.all(holds)
}
