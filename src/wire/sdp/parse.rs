//! Text to fields: caps first, then the syntax of lines, then one attribute after the other.

use super::sections::{Section, SessionSection};
use super::{Description, Media, ParseError, Reason};
use crate::base::limits;

pub(super) fn description(text: &str) -> Result<Description, ParseError> {
    let numbers = Numbers::scan(text)?;
    let syntax = sdp_types::Session::parse(text.as_bytes())
        .map_err(|error| ParseError { line: line_of(&error), reason: Reason::Syntax })?;
    // Attributes keep their order, so the scan's numbers go with them one by one.
    let mut lines = numbers.attributes.into_iter();
    let mut session = SessionSection::open(&syntax);
    each(&syntax.attributes, &mut lines, |name, value| session.attribute(name, value))?;
    let mut media = Vec::with_capacity(syntax.medias.len());
    for (section, line) in syntax.medias.iter().zip(numbers.media) {
        let mut builder = Section::open(section, line)?;
        each(&section.attributes, &mut lines, |name, value| builder.attribute(name, value))?;
        media.push(builder.close(&session, section));
    }
    unique_mids(&media)?;
    Ok(Description {
        session_id: syntax.origin.sess_id.parse().unwrap_or(0),
        version: syntax.origin.sess_version,
        bundle: session.bundle.unwrap_or_default(),
        ice_lite: session.ice_lite,
        extmap_allow_mixed: session.extmap_allow_mixed,
        cryptex: session.cryptex,
        media,
    })
}

/// Hands each attribute over and names the line of the first that is refused.
fn each(
    attributes: &[sdp_types::Attribute],
    lines: &mut impl Iterator<Item = usize>,
    mut take: impl FnMut(&str, &str) -> Result<(), Reason>,
) -> Result<(), ParseError> {
    for (attribute, line) in attributes.iter().zip(lines) {
        let value = attribute.value.as_deref().unwrap_or("");
        take(&attribute.attribute, value).map_err(|reason| ParseError { line, reason })?;
    }
    Ok(())
}

fn unique_mids(media: &[Media]) -> Result<(), ParseError> {
    for (i, section) in media.iter().enumerate() {
        let again = |earlier: &Media| section.mid.is_some() && earlier.mid == section.mid;
        if media.iter().take(i).any(again) {
            return Err(ParseError { line: section.line, reason: Reason::Duplicate });
        }
    }
    Ok(())
}

/// The numbers of the lines that errors are reported for.
struct Numbers {
    attributes: Vec<usize>,
    media: Vec<usize>,
}

impl Numbers {
    /// Checks every cap before anything is allocated in proportion to the text.
    fn scan(text: &str) -> Result<Numbers, ParseError> {
        let mut numbers = Numbers { attributes: Vec::new(), media: Vec::new() };
        let (mut end, mut in_section) = (0, 0);
        for (index, text) in text.split('\n').enumerate() {
            let line = index + 1;
            let error = |reason| Err(ParseError { line, reason });
            end += text.len();
            if end > limits::SDP_TEXT {
                return error(Reason::TooLong);
            }
            end += 1;
            if index >= limits::SDP_LINES && !text.is_empty() {
                return error(Reason::TooManyLines);
            }
            if text.starts_with("m=") {
                numbers.media.push(line);
                in_section = 0;
                if numbers.media.len() > limits::SDP_MEDIA {
                    return error(Reason::TooManyMedia);
                }
            } else if text.starts_with("a=") {
                numbers.attributes.push(line);
                in_section += 1;
                if in_section > limits::SDP_ATTRIBUTES {
                    return error(Reason::TooManyAttributes);
                }
            }
        }
        Ok(numbers)
    }
}

/// The line a syntax error is about; the first for a text without a version line.
fn line_of(error: &sdp_types::ParserError) -> usize {
    use sdp_types::ParserError as E;
    #[allow(deprecated)]
    match *error {
        E::NoVersion | E::NoOrigin | E::NoSessionName => 1,
        E::UnexpectedLine(line, _)
        | E::InvalidLineFormat(line, _)
        | E::InvalidFieldEncoding(line, _)
        | E::InvalidFieldFormat(line, _)
        | E::MissingField(line, _)
        | E::FieldTrailingData(line, _)
        | E::InvalidVersion(line, _)
        | E::MultipleVersions(line)
        | E::MultipleOrigins(line)
        | E::MultipleSessionNames(line)
        | E::MultipleSessionDescription(line)
        | E::MultipleUris(line)
        | E::MultipleConnections(line)
        | E::MultipleTimeZones(line)
        | E::MultipleMediaTitles(line)
        | E::MultipleKeys(line)
        | E::RepeatWithoutTime(line) => line,
    }
}
