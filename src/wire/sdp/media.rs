//! What a media section lists: codecs, header extensions, streams, encodings.

use super::{Direction, Msid};
use std::str::FromStr;

/// A payload type and what it stands for (`a=rtpmap`, `a=fmtp`, `a=rtcp-fb`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codec {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The encoding's name as written, a token; compare with [`Codec::is`].
    pub name: String,
    /// The RTP clock in Hz.
    pub clock_rate: u32,
    /// The number of channels, if given.
    pub channels: Option<u8>,
    /// Parameters between semicolons, as written; empty if there are none.
    pub fmtp: String,
    /// The feedback it is offered with, that for all payload types included.
    pub feedback: Feedback,
}

impl Codec {
    /// Whether the encoding is `name`, in either case (RFC 8866, section 6.6).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value of a parameter, its name in either case; the first one counts.
    pub fn parameter(&self, key: &str) -> Option<&str> {
        self.fmtp.split(';').filter_map(|pair| pair.split_once('=')).find_map(|(name, value)| {
            let found = name.trim().eq_ignore_ascii_case(key);
            found.then_some(value.trim())
        })
    }

    /// The payload type that this one retransmits (RFC 4588, section 8.1), if it is RTX.
    pub fn repairs(&self) -> Option<u8> {
        self.parameter("apt").filter(|_| self.is("rtx"))?.parse().ok()
    }
}

/// The RTCP feedback of a payload type (RFC 4585, section 4) that this engine has a name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Feedback {
    /// `nack`: generic NACK.
    pub nack: bool,
    /// `nack pli`: picture loss indication.
    pub pli: bool,
    /// `ccm fir`: full intra request (RFC 5104).
    pub fir: bool,
    /// `transport-cc`: transport-wide congestion control feedback.
    pub transport_cc: bool,
    /// `goog-remb`: receiver estimated maximum bitrate.
    pub remb: bool,
}

/// The value of `a=rtcp-fb` for congestion control feedback (RFC 8888, section 6).
pub(super) const CCFB: &str = "ack ccfb";

/// What a section shows (RFC 4796, section 5).
pub(super) const SLIDES: &str = "slides";

impl Feedback {
    /// The names of `a=rtcp-fb`, in the order of the fields.
    const NAMES: [&'static str; 5] = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb"];

    fn flags(&mut self) -> [&mut bool; 5] {
        [&mut self.nack, &mut self.pli, &mut self.fir, &mut self.transport_cc, &mut self.remb]
    }

    /// Sets the flag of an attribute's value; unknown ones set nothing.
    pub(super) fn insert(&mut self, value: &str) {
        for (flag, name) in self.flags().into_iter().zip(Self::NAMES) {
            *flag |= value.trim_end() == name;
        }
    }

    /// The attributes' values of the flags that are set.
    pub(super) fn names(mut self) -> impl Iterator<Item = &'static str> {
        let flags = self.flags().map(|flag| *flag);
        flags.into_iter().zip(Self::NAMES).filter_map(|(flag, name)| flag.then_some(name))
    }

    /// What both have.
    pub fn intersection(mut self, mut other: Feedback) -> Feedback {
        for (flag, also) in self.flags().into_iter().zip(other.flags()) {
            *flag &= *also;
        }
        self
    }

    /// What either has.
    pub fn union(mut self, mut other: Feedback) -> Feedback {
        for (flag, also) in self.flags().into_iter().zip(other.flags()) {
            *flag |= *also;
        }
        self
    }
}

/// A header extension (RFC 8285, section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extmap {
    /// The id on the wire, 1 to 255.
    pub id: u8,
    /// The writer's direction for it, if it differs from the section's.
    pub direction: Option<Direction>,
    /// What it is: printable characters without spaces.
    pub uri: String,
}

/// An RTP stream announced by `a=ssrc` (RFC 5576).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its SSRC.
    pub ssrc: u32,
    /// `cname`: the endpoint's name in RTCP, made a token.
    pub cname: Option<String>,
    /// `msid`, as older endpoints write it.
    pub msid: Option<Msid>,
}

/// Streams that belong together (RFC 5576, section 4.2), such as `FID`: media and repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamGroup {
    /// How they belong together, a token.
    pub semantics: String,
    /// The SSRCs, in the order that gives them their roles.
    pub ssrcs: Vec<u32>,
}

/// One encoding of a source (RFC 8851).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rid {
    /// Its id: letters and digits (RFC 8852, section 3), at most 16.
    pub id: String,
    /// Whether the writer sends it (`send`) or wants it (`recv`).
    pub sends: bool,
    /// `pt`: the payload types of the `m=` line that it is restricted to, most preferred first; empty
    /// if it is not.
    pub payload_types: Vec<u8>,
    /// What else it is restricted to.
    pub restrictions: Restrictions,
}

impl Rid {
    /// An encoding without restrictions.
    pub fn new(id: impl Into<String>, sends: bool) -> Rid {
        Rid { id: id.into(), sends, payload_types: Vec::new(), restrictions: Restrictions::default() }
    }

    /// Reads `id send pt=96,97;max-width=640`. `None` also for an encoding that cannot be decoded alone
    /// (`depend`): it is a layer, no simulcast.
    pub(super) fn parse(text: &str) -> Option<Rid> {
        let mut words = text.split_ascii_whitespace();
        let id = words.next().filter(|id| is_rid(id))?;
        let sends = match words.next()? {
            "send" => true,
            "recv" => false,
            _ => return None,
        };
        let mut rid = Rid::new(id, sends);
        for parameter in words.flat_map(|word| word.split(';')) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match name {
                "pt" => rid.payload_types = payload_types(value)?,
                "depend" => return None,
                _ => rid.restrictions.insert(name, value),
            }
        }
        Some(rid)
    }

    /// Leaves payload types out that are none of these codecs'. Returns whether a restriction to some had
    /// one left (RFC 8851, section 6.2.2).
    pub(super) fn fit(&mut self, codecs: &[Codec]) -> bool {
        let known = |payload_type: &u8| codecs.iter().any(|codec| codec.payload_type == *payload_type);
        let restricted = !self.payload_types.is_empty();
        self.payload_types.retain(known);
        !(restricted && self.payload_types.is_empty())
    }
}

/// A list of payload types, each once.
fn payload_types(list: &str) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    for word in list.split(',') {
        let payload_type = decimal(word).filter(|payload_type| *payload_type < 128)?;
        if !found.contains(&payload_type) {
            found.push(payload_type);
        }
    }
    Some(found)
}

/// Letters and digits (RFC 8852, section 3), and no more than fit a one-byte header extension.
pub(super) fn is_rid(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Digits alone, no sign.
pub(super) fn decimal<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What an encoding keeps within (RFC 8851, section 5). Who receives it needs to understand none of
/// it, so values that are no numbers are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restrictions {
    /// `max-width` in pixels.
    pub max_width: Option<u32>,
    /// `max-height` in pixels.
    pub max_height: Option<u32>,
    /// `max-fps`: frames a second.
    pub max_fps: Option<u32>,
    /// `max-fs`: pixels of a frame.
    pub max_fs: Option<u32>,
    /// `max-br`: bits a second.
    pub max_br: Option<u32>,
    /// `max-pps`: pixels a second.
    pub max_pps: Option<u32>,
}

impl Restrictions {
    /// Their names, in the order of the fields.
    const NAMES: [&'static str; 6] = ["max-width", "max-height", "max-fps", "max-fs", "max-br", "max-pps"];

    fn values(&mut self) -> [&mut Option<u32>; 6] {
        [
            &mut self.max_width,
            &mut self.max_height,
            &mut self.max_fps,
            &mut self.max_fs,
            &mut self.max_br,
            &mut self.max_pps,
        ]
    }

    fn insert(&mut self, name: &str, value: &str) {
        for (slot, known) in self.values().into_iter().zip(Self::NAMES) {
            if name == known {
                *slot = decimal(value);
            }
        }
    }

    /// The names and values of those that are there.
    pub(super) fn parameters(mut self) -> impl Iterator<Item = (&'static str, u32)> {
        let values = self.values().map(|value| *value);
        Self::NAMES.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The encodings a source is sent in at the same time (RFC 8853, section 5.1), in the writer's order;
/// for each its alternatives, most preferred first, at least one. Rids that are malformed are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// What the writer sends.
    pub send: Vec<Vec<Alternative>>,
    /// What the writer wants.
    pub receive: Vec<Vec<Alternative>>,
}

/// One of the forms that an encoding may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// Which of the section's rids.
    pub rid: String,
    /// Whether it begins paused (`~`).
    pub paused: bool,
}
