//! What a media section lists: codecs, header extensions, streams, encodings.

use super::{Direction, Msid};

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
    /// `ack ccfb`: congestion control feedback (RFC 8888).
    pub ccfb: bool,
}

impl Feedback {
    /// The names of `a=rtcp-fb`, in the order of the fields.
    const NAMES: [&'static str; 6] = ["nack", "nack pli", "ccm fir", "transport-cc", "goog-remb", "ack ccfb"];

    fn flags(&mut self) -> [&mut bool; 6] {
        [&mut self.nack, &mut self.pli, &mut self.fir, &mut self.transport_cc, &mut self.remb, &mut self.ccfb]
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
    /// Its id: letters, digits, `-` and `_`, at most 16.
    pub id: String,
    /// Whether the writer sends it (`send`) or wants it (`recv`).
    pub sends: bool,
}

/// The encodings a source is sent in (RFC 8853): the first alternative of each, paused or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// The rids that the writer sends.
    pub send: Vec<String>,
    /// The rids that the writer wants.
    pub receive: Vec<String>,
}
