//! Who is behind a source, and sources that end (RFC 3550, sections 6.5 and 6.6).

use super::{ParseError, split_words};
use crate::wire::rtp::Ssrc;

/// The item that names an endpoint.
pub(super) const CNAME: u8 = 1;
/// The last of the items that are text; behind it PRIV mixes bytes and text, and others are unknown.
const NOTE: u8 = 7;

/// Descriptions of sources. They name people and machines: nothing of them is passed on.
#[derive(Debug, Clone, Copy)]
pub struct SourceDescription<'a> {
    chunks: Chunks<'a>,
}

/// One item about one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceItem<'a> {
    /// The source.
    pub ssrc: Ssrc,
    /// The item's type: 1 is CNAME (RFC 3550, section 12.2).
    pub kind: u8,
    /// Up to 255 bytes; UTF-8 for the types 1 to 7.
    pub value: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let chunks = Chunks { body, rest: body, left: count, ssrc: None };
        let mut walk = chunks;
        while let Some(item) = walk.next_item()? {
            if matches!(item.kind, CNAME..=NOTE) && std::str::from_utf8(item.value).is_err() {
                return Err(ParseError::Text);
            }
        }
        Ok(SourceDescription { chunks })
    }

    /// The items of all sources.
    pub fn items(&self) -> impl Iterator<Item = SourceItem<'a>> + use<'a> {
        let mut walk = self.chunks;
        // Walked without an error when it was parsed.
        std::iter::from_fn(move || walk.next_item().ok().flatten())
    }

    /// The canonical name of a source: the same for the streams of one clock.
    pub fn cname(&self, ssrc: Ssrc) -> Option<&'a str> {
        let item = self.items().find(|item| item.ssrc == ssrc && item.kind == CNAME)?;
        std::str::from_utf8(item.value).ok()
    }
}

/// A walk over chunks and the items in them.
#[derive(Debug, Clone, Copy)]
struct Chunks<'a> {
    body: &'a [u8],
    rest: &'a [u8],
    left: u8,
    /// The source of the chunk that is open.
    ssrc: Option<Ssrc>,
}

impl<'a> Chunks<'a> {
    fn next_item(&mut self) -> Result<Option<SourceItem<'a>>, ParseError> {
        loop {
            let Some(ssrc) = self.ssrc else {
                if self.left == 0 {
                    return Ok(None);
                }
                let ([ssrc], rest) = split_words(self.rest).ok_or(ParseError::Count)?;
                self.left -= 1;
                (self.ssrc, self.rest) = (Some(Ssrc(ssrc)), rest);
                continue;
            };
            let (&kind, rest) = self.rest.split_first().ok_or(ParseError::Count)?;
            if kind == 0 {
                self.close_chunk(rest)?;
                continue;
            }
            let (&len, rest) = rest.split_first().ok_or(ParseError::Count)?;
            let (value, rest) = rest.split_at_checked(usize::from(len)).ok_or(ParseError::Count)?;
            self.rest = rest;
            return Ok(Some(SourceItem { ssrc, kind, value }));
        }
    }

    /// Skips to the next multiple of 32 bits: a chunk ends with one to four zeros.
    fn close_chunk(&mut self, rest: &'a [u8]) -> Result<(), ParseError> {
        // `rest` is a suffix of the body.
        let at = self.body.len() - rest.len();
        let padding = at.next_multiple_of(4) - at;
        self.rest = rest.get(padding..).ok_or(ParseError::Count)?;
        self.ssrc = None;
        Ok(())
    }
}

/// Sources that end. Whose they are is for the receiver to check.
#[derive(Debug, Clone, Copy)]
pub struct Bye<'a> {
    ssrcs: &'a [u8],
    reason: &'a [u8],
}

impl<'a> Bye<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let (ssrcs, rest) = body.split_at_checked(usize::from(count) * 4).ok_or(ParseError::Count)?;
        let reason = match rest.split_first() {
            Some((len, text)) => text.get(..usize::from(*len)).ok_or(ParseError::Count)?,
            None => &[],
        };
        Ok(Bye { ssrcs, reason })
    }

    /// The sources, at most 31.
    pub fn ssrcs(&self) -> impl ExactSizeIterator<Item = Ssrc> + use<'a> {
        self.ssrcs.as_chunks::<4>().0.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }

    /// Why, if it was told in UTF-8.
    pub fn reason(&self) -> Option<&'a str> {
        std::str::from_utf8(self.reason).ok().filter(|reason| !reason.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(count: u8, body: &[u8]) -> Result<Vec<(u32, u8, Vec<u8>)>, ParseError> {
        let description = SourceDescription::parse(count, body)?;
        let items = description.items();
        Ok(items.map(|item| (item.ssrc.0, item.kind, item.value.to_vec())).collect())
    }

    #[test]
    fn chunks_end_on_32_bits_and_may_be_empty() {
        let body =
            [0, 0, 0, 7, 1, 2, b'a', b'b', 6, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 9, 1, 1, b'c', 0];
        let expected = [(7, 1, b"ab".to_vec()), (7, 6, vec![]), (9, 1, b"c".to_vec())];
        assert_eq!(describe(3, &body), Ok(expected.to_vec()));
        let description = SourceDescription::parse(3, &body).expect("well formed");
        assert_eq!(description.cname(Ssrc(9)), Some("c"));
        assert_eq!(description.cname(Ssrc(8)), None);
    }

    #[test]
    fn s_rtcp_06_descriptions_without_end_are_refused() {
        let no_end = [0, 0, 0, 7, 1, 2, b'a', b'b'];
        assert_eq!(describe(1, &no_end), Err(ParseError::Count));
        assert_eq!(describe(1, &[0, 0, 0, 7, 1, 3, b'a', b'b']), Err(ParseError::Count));
        assert_eq!(describe(1, &[0, 0, 0, 7, 1]), Err(ParseError::Count));
        assert_eq!(describe(2, &[0, 0, 0, 7, 0, 0, 0, 0]), Err(ParseError::Count));
        assert_eq!(describe(1, &[0, 0, 0, 7, 0, 0]), Err(ParseError::Count), "cut in the padding");
    }

    #[test]
    fn s_rtcp_06_items_of_255_bytes_are_whole_or_refused() {
        let mut body = vec![0, 0, 0, 7, 1, 255];
        body.extend_from_slice(&[b'x'; 255]);
        assert_eq!(describe(1, &body), Err(ParseError::Count), "no end");
        body.extend_from_slice(&[0; 3]);
        assert_eq!(describe(1, &body), Ok(vec![(7, 1, vec![b'x'; 255])]));
    }

    #[test]
    fn s_rtcp_06_text_that_is_not_utf_8_is_refused() {
        let item = |kind| [0, 0, 0, 7, kind, 1, 0xff, 0];
        assert_eq!(describe(1, &item(1)), Err(ParseError::Text));
        assert_eq!(describe(1, &item(8)), Ok(vec![(7, 8, vec![0xff])]), "PRIV is not all text");
    }

    #[test]
    fn s_rtcp_06_a_goodbyes_reason_is_inside_the_packet() {
        let body = [0, 0, 0, 7, 0, 0, 0, 8, 2, b'o', b'k', 0];
        let bye = Bye::parse(2, &body).expect("well formed");
        assert!(bye.ssrcs().eq([Ssrc(7), Ssrc(8)]));
        assert_eq!(bye.reason(), Some("ok"));
        assert_eq!(Bye::parse(0, &[]).expect("useless but legal").reason(), None);
        assert_eq!(Bye::parse(1, &[0, 0, 0, 7, 4, 1, 2, 3]).err(), Some(ParseError::Count));
        assert_eq!(Bye::parse(3, &body[..8]).err(), Some(ParseError::Count));
        let odd = Bye::parse(1, &[0, 0, 0, 7, 1, 0xff, 0, 0]).expect("well formed");
        assert_eq!(odd.reason(), None, "not UTF-8");
    }
}
