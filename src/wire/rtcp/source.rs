//! Who is behind a source, and sources that end (RFC 3550, sections 6.5 and 6.6).

use super::writer::count_of;
use super::{Fault, ParseError, Writer, packet_type, split_words};
use crate::wire::rtp::{NoSpace, Ssrc};

/// Types of source description items (RFC 3550, section 12.2).
pub mod item {
    /// CNAME: names an endpoint, the same for the streams of one clock.
    pub const CNAME: u8 = 1;
    /// NAME: the user's.
    pub const NAME: u8 = 2;
    /// EMAIL.
    pub const EMAIL: u8 = 3;
    /// PHONE: in international form.
    pub const PHONE: u8 = 4;
    /// LOC: where the user is.
    pub const LOC: u8 = 5;
    /// TOOL: the application.
    pub const TOOL: u8 = 6;
    /// NOTE: a passing state. The last of those that are text.
    pub const NOTE: u8 = 7;
    /// PRIV: a prefix that says what the value is, and the value.
    pub const PRIV: u8 = 8;
}
use item::{CNAME, NOTE, PRIV};

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
    /// The item's type, one of [`item`] (RFC 3550, section 12.2); never zero.
    pub kind: u8,
    /// Up to 255 bytes; UTF-8 for the types 1 to 7.
    pub value: &'a [u8],
}

impl<'a> SourceItem<'a> {
    /// The value of an item that is text (RFC 3550, sections 6.5.1 to 6.5.7).
    pub fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok().filter(|_| matches!(self.kind, CNAME..=NOTE))
    }

    /// Prefix and value of a PRIV item (RFC 3550, section 6.5.8); `None` for other items, a prefix
    /// that is longer than the item and text that is not UTF-8.
    pub fn private(&self) -> Option<(&'a str, &'a str)> {
        let (len, rest) = self.value.split_first().filter(|_| self.kind == PRIV)?;
        let (prefix, value) = rest.split_at_checked(usize::from(*len))?;
        Some((std::str::from_utf8(prefix).ok()?, std::str::from_utf8(value).ok()?))
    }
}

impl<'a> SourceDescription<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let chunks = Chunks { body, rest: body, left: count, ssrc: None };
        let mut walk = chunks;
        while let Some(item) = walk.next_item()? {
            if matches!(item.kind, CNAME..=NOTE) && item.text().is_none() {
                // What was read ends with the value.
                let at = walk.at() - item.value.len();
                return Err(ParseError::at(at, Fault::DescriptionText));
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
        self.items().find(|item| item.ssrc == ssrc && item.kind == CNAME)?.text()
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
    /// Bytes in front of what is left.
    fn at(&self) -> usize {
        // `rest` is a suffix of the body.
        self.body.len() - self.rest.len()
    }

    fn next_item(&mut self) -> Result<Option<SourceItem<'a>>, ParseError> {
        loop {
            let Some(ssrc) = self.ssrc else {
                if self.left == 0 {
                    return Ok(None);
                }
                let missing = ParseError::at(self.at(), Fault::DescriptionSource);
                let ([ssrc], rest) = split_words(self.rest).ok_or(missing)?;
                self.left -= 1;
                (self.ssrc, self.rest) = (Some(Ssrc(ssrc)), rest);
                continue;
            };
            let cut = ParseError::at(self.at(), Fault::DescriptionItem);
            let (&kind, rest) = self.rest.split_first().ok_or(cut)?;
            if kind == 0 {
                self.close_chunk(rest).ok_or(cut)?;
                continue;
            }
            let (&len, rest) = rest.split_first().ok_or(cut)?;
            let (value, rest) = rest.split_at_checked(usize::from(len)).ok_or(cut)?;
            self.rest = rest;
            return Ok(Some(SourceItem { ssrc, kind, value }));
        }
    }

    /// Skips to the next multiple of 32 bits: a chunk ends with one to four zeros.
    fn close_chunk(&mut self, rest: &'a [u8]) -> Option<()> {
        // `rest` is a suffix of the body.
        let at = self.body.len() - rest.len();
        let padding = at.next_multiple_of(4) - at;
        self.rest = rest.get(padding..)?;
        self.ssrc = None;
        Some(())
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
        let missing = ParseError::at(body.len() / 4 * 4, Fault::ByeSource);
        let (ssrcs, rest) = body.split_at_checked(usize::from(count) * 4).ok_or(missing)?;
        let cut = ParseError::at(ssrcs.len(), Fault::ByeReason);
        let reason = match rest.split_first() {
            Some((len, text)) => text.get(..usize::from(*len)).ok_or(cut)?,
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

impl Writer<'_> {
    /// Describes up to 31 sources (RFC 3550, section 6.5): neighbours of one source share a chunk.
    ///
    /// # Errors
    /// [`NoSpace`] also for a value of more than 255 bytes and for an item of type zero.
    pub fn source_description(&mut self, items: &[SourceItem<'_>]) -> Result<(), NoSpace> {
        let chunks = || items.chunk_by(|a, b| a.ssrc == b.ssrc);
        let mut len = 0;
        for chunk in chunks() {
            // The source, the items, and at least one zero that ends the chunk.
            len += (5 + chunk.iter().map(|item| 2 + item.value.len()).sum::<usize>()).next_multiple_of(4);
        }
        if items.iter().any(|item| item.kind == 0 || item.value.len() > usize::from(u8::MAX)) {
            return Err(NoSpace);
        }
        let mut body = self.packet(count_of(chunks().count())?, packet_type::SOURCE_DESCRIPTION, len)?;
        for chunk in chunks() {
            let chunk_start = body.len();
            for (at, item) in chunk.iter().enumerate() {
                if at == 0 {
                    body = put(body, &item.ssrc.0.to_be_bytes())?;
                }
                // At most 255, as was just checked.
                body = put(body, &[item.kind, item.value.len() as u8])?;
                body = put(body, item.value)?;
            }
            let written = chunk_start - body.len();
            let zeros = (written + 1).next_multiple_of(4) - written;
            body = put(body, [0; 4].get(..zeros).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Names the endpoint behind a source, in at most 255 bytes (RFC 3550, section 6.5.1).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or the name is longer.
    pub fn sdes_cname(&mut self, ssrc: Ssrc, cname: &str) -> Result<(), NoSpace> {
        self.source_description(&[SourceItem { ssrc, kind: CNAME, value: cname.as_bytes() }])
    }

    /// Says something of an application's own about a source, prefix and value at most 254 bytes
    /// together (PRIV; RFC 3550, section 6.5.8).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or the two are longer.
    pub fn sdes_private(&mut self, ssrc: Ssrc, prefix: &str, value: &str) -> Result<(), NoSpace> {
        let mut text = [0; 255];
        let text = text.get_mut(..1 + prefix.len() + value.len()).ok_or(NoSpace)?;
        // Shorter than the 255 bytes that it fits into.
        let rest = put(text, &[prefix.len() as u8])?;
        put(put(rest, prefix.as_bytes())?, value.as_bytes())?;
        self.source_description(&[SourceItem { ssrc, kind: PRIV, value: text }])
    }

    /// Ends up to 31 sources; an empty reason is left out, as is one in most packets (RFC 3550,
    /// section 6.6).
    ///
    /// # Errors
    /// [`NoSpace`] also for a reason of more than 255 bytes.
    pub fn bye(&mut self, ssrcs: &[Ssrc], reason: &str) -> Result<(), NoSpace> {
        let count = count_of(ssrcs.len())?;
        let reason_len = u8::try_from(reason.len()).map_err(|_| NoSpace)?;
        let text_len = if reason.is_empty() { 0 } else { (1 + reason.len()).next_multiple_of(4) };
        let mut body = self.packet(count, packet_type::BYE, 4 * ssrcs.len() + text_len)?;
        for ssrc in ssrcs {
            body = put(body, &ssrc.0.to_be_bytes())?;
        }
        if text_len > 0 {
            body = put(put(body, &[reason_len])?, reason.as_bytes())?;
            body.fill(0);
        }
        Ok(())
    }
}

/// Writes `bytes` at the start of `room`, returns what is behind them.
fn put<'r>(room: &'r mut [u8], bytes: &[u8]) -> Result<&'r mut [u8], NoSpace> {
    let (place, rest) = room.split_at_mut_checked(bytes.len()).ok_or(NoSpace)?;
    place.copy_from_slice(bytes);
    Ok(rest)
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
        let item = |offset| Err(ParseError::at(offset, Fault::DescriptionItem));
        assert_eq!(describe(1, &no_end), item(8));
        assert_eq!(describe(1, &[0, 0, 0, 7, 1, 3, b'a', b'b']), item(4));
        assert_eq!(describe(1, &[0, 0, 0, 7, 1]), item(4));
        let source = Err(ParseError::at(8, Fault::DescriptionSource));
        assert_eq!(describe(2, &[0, 0, 0, 7, 0, 0, 0, 0]), source);
        assert_eq!(describe(1, &[0, 0, 0, 7, 0, 0]), item(4), "cut in the padding");
    }

    #[test]
    fn s_rtcp_06_items_of_255_bytes_are_whole_or_refused() {
        let mut body = vec![0, 0, 0, 7, 1, 255];
        body.extend_from_slice(&[b'x'; 255]);
        assert_eq!(describe(1, &body), Err(ParseError::at(261, Fault::DescriptionItem)), "no end");
        body.extend_from_slice(&[0; 3]);
        assert_eq!(describe(1, &body), Ok(vec![(7, 1, vec![b'x'; 255])]));
    }

    #[test]
    fn s_rtcp_06_text_that_is_not_utf_8_is_refused() {
        let item = |kind| [0, 0, 0, 7, kind, 1, 0xff, 0];
        assert_eq!(describe(1, &item(1)), Err(ParseError::at(6, Fault::DescriptionText)));
        assert_eq!(describe(1, &item(8)), Ok(vec![(7, 8, vec![0xff])]), "PRIV is not all text");
    }

    #[test]
    fn s_rtcp_06_a_goodbyes_reason_is_inside_the_packet() {
        let body = [0, 0, 0, 7, 0, 0, 0, 8, 2, b'o', b'k', 0];
        let bye = Bye::parse(2, &body).expect("well formed");
        assert!(bye.ssrcs().eq([Ssrc(7), Ssrc(8)]));
        assert_eq!(bye.reason(), Some("ok"));
        assert_eq!(Bye::parse(0, &[]).expect("useless but legal").reason(), None);
        let reason = ParseError::at(4, Fault::ByeReason);
        assert_eq!(Bye::parse(1, &[0, 0, 0, 7, 4, 1, 2, 3]).err(), Some(reason));
        let source = ParseError::at(8, Fault::ByeSource);
        assert_eq!(Bye::parse(3, &body[..8]).err(), Some(source));
        let odd = Bye::parse(1, &[0, 0, 0, 7, 1, 0xff, 0, 0]).expect("well formed");
        assert_eq!(odd.reason(), None, "not UTF-8");
    }

    #[test]
    fn rfc_3550_6_5_items_of_a_source_share_its_chunk() {
        let item = |ssrc, kind, value| SourceItem { ssrc: Ssrc(ssrc), kind, value };
        let items =
            [item(7, CNAME, b"a@b"), item(7, item::TOOL, b""), item(8, NOTE, b"away"), item(7, 99, b"?")];
        let mut buf = [0xee; 64];
        let mut writer = Writer::new(&mut buf);
        writer.source_description(&items).expect("room");
        let len = writer.len();
        #[rustfmt::skip]
        let expected = [
            0x83, 202, 0, 8,
            0, 0, 0, 7, 1, 3, b'a', b'@', b'b', 6, 0, 0,
            0, 0, 0, 8, 7, 4, b'a', b'w', b'a', b'y', 0, 0,
            0, 0, 0, 7, 99, 1, b'?', 0,
        ];
        assert_eq!(buf[..len], expected);
        let read = SourceDescription::parse(3, &buf[4..len]).expect("ours");
        assert!(read.items().eq(items));
        assert_eq!(read.items().nth(2).and_then(|item| item.text()), Some("away"));
        assert_eq!(read.items().nth(3).and_then(|item| item.text()), None, "not known to be text");
    }

    #[test]
    fn rfc_3550_6_5_8_private_items_have_a_prefix_and_a_value() {
        let mut buf = [0xee; 300];
        let mut writer = Writer::new(&mut buf);
        writer.sdes_private(Ssrc(7), "seat", "12").expect("room");
        let len = writer.len();
        let read = SourceDescription::parse(1, &buf[4..len]).expect("ours");
        assert_eq!(read.items().next().and_then(|item| item.private()), Some(("seat", "12")));
        let private = |kind, value| SourceItem { ssrc: Ssrc(7), kind, value }.private();
        assert_eq!(private(PRIV, &[2, b'a']), None, "the prefix is longer than the item");
        assert_eq!(private(PRIV, &[]), None);
        assert_eq!(private(CNAME, &[0, b'a']), None);
        assert_eq!(private(PRIV, &[0, 0xff]), None);
        let mut writer = Writer::new(&mut buf);
        assert_eq!(writer.sdes_private(Ssrc(7), &"p".repeat(100), &"v".repeat(155)), Err(NoSpace));
        assert_eq!(writer.sdes_private(Ssrc(7), &"p".repeat(100), &"v".repeat(154)), Ok(()));
    }

    #[test]
    fn rfc_3550_6_6_a_reason_fills_its_words_with_zeros() {
        for (reason, len) in [("", 8), ("abc", 12), ("abcd", 16), ("abcdefg", 16)] {
            let mut buf = [0xee; 16];
            let mut writer = Writer::new(&mut buf);
            writer.bye(&[Ssrc(7)], reason).expect("room");
            assert_eq!(writer.len(), len, "{reason}");
            let bye = Bye::parse(1, &buf[4..len]).expect("ours");
            assert_eq!(bye.reason().unwrap_or_default(), reason);
            assert!(buf[(8 + 1 + reason.len()).min(len)..len].iter().all(|byte| *byte == 0));
        }
    }
}
