//! Chunks, and the fields of those that an association reads itself.

use super::fault::{Fault, ParseError};
use crate::wire::malformed::Malformed;

/// Types of chunks.
pub mod kind {
    #![allow(missing_docs)]
    pub const DATA: u8 = 0;
    pub const INIT: u8 = 1;
    pub const INIT_ACK: u8 = 2;
    pub const SACK: u8 = 3;
    pub const HEARTBEAT: u8 = 4;
    pub const HEARTBEAT_ACK: u8 = 5;
    pub const ABORT: u8 = 6;
    pub const SHUTDOWN: u8 = 7;
    pub const SHUTDOWN_ACK: u8 = 8;
    pub const ERROR: u8 = 9;
    pub const COOKIE_ECHO: u8 = 10;
    pub const COOKIE_ACK: u8 = 11;
    pub const SHUTDOWN_COMPLETE: u8 = 14;
    /// RFC 6525.
    pub const RE_CONFIG: u8 = 130;
    /// RFC 3758.
    pub const FORWARD_TSN: u8 = 192;
}

/// Bytes in front of a chunk's value.
pub(super) const HEADER: usize = 4;

/// The length with the padding that follows (RFC 9260, section 3.2).
pub(super) const fn padded(len: usize) -> usize {
    len.next_multiple_of(4)
}

/// A chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Its type, one of [`kind`] or another.
    pub kind: u8,
    /// Its flags, of a meaning that depends on the type.
    pub flags: u8,
    /// What follows its header, without padding.
    pub value: &'a [u8],
}

/// What to do with a chunk whose type is not known (RFC 9260, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrecognized {
    /// What follows it is not read either.
    Stop,
    /// What follows it is.
    Skip,
}

impl Chunk<'_> {
    /// What its type asks for where it is not known.
    pub fn if_unrecognized(&self) -> Unrecognized {
        if self.kind & 0x80 == 0 { Unrecognized::Stop } else { Unrecognized::Skip }
    }
}

/// The chunks of a packet, in order.
#[derive(Debug, Clone)]
pub struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Chunks(bytes)
    }

    /// Whether nothing is left that is no chunk.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (&[kind, flags, l1, l0], _) = self.0.split_first_chunk::<HEADER>()?;
        let len = usize::from(u16::from_be_bytes([l1, l0]));
        let value = self.0.get(HEADER..len)?;
        // The last one's padding may be missing.
        self.0 = self.0.get(padded(len)..).unwrap_or_default();
        Some(Chunk { kind, flags, value })
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// INIT and INIT ACK: what an association begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// The tag of packets to its sender; not zero.
    pub tag: u32,
    /// Bytes that its sender has room for.
    pub window: u32,
    /// Streams that its sender will use at most; not zero.
    pub outbound_streams: u16,
    /// Streams that it allows; not zero.
    pub inbound_streams: u16,
    /// The number of its first DATA chunk.
    pub tsn: u32,
    /// Whether it knows FORWARD TSN (RFC 3758).
    pub forward_tsn: bool,
    /// Whether it knows RE-CONFIG (RFC 6525).
    pub re_config: bool,
    /// What an INIT ACK wants to be told again.
    pub cookie: Vec<u8>,
}

mod parameter {
    pub(super) const COOKIE: u16 = 7;
    /// RFC 5061, section 4.2.7: types of chunks.
    pub(super) const SUPPORTED_EXTENSIONS: u16 = 0x8008;
    pub(super) const FORWARD_TSN: u16 = 0xc000;
}

impl Init {
    /// Bytes of the fields that are always there.
    const FIXED: usize = 16;

    /// Reads the value of an INIT or INIT ACK. Parameters that are not known are passed over.
    ///
    /// # Errors
    /// [`Fault::Init`] or [`Fault::Parameter`], from the beginning of the value.
    pub fn parse(value: &[u8]) -> Result<Init, ParseError> {
        let fault = Malformed::at(0, Fault::Init);
        let mut init = Init {
            tag: word(value, 0).ok_or(fault)?,
            window: word(value, 4).ok_or(fault)?,
            outbound_streams: half(value, 8).ok_or(fault)?,
            inbound_streams: half(value, 10).ok_or(fault)?,
            tsn: word(value, 12).ok_or(fault)?,
            forward_tsn: false,
            re_config: false,
            cookie: Vec::new(),
        };
        // A window below 1,500 is not allowed (section 3.3.2).
        if init.tag == 0 || init.outbound_streams == 0 || init.inbound_streams == 0 || init.window < 1_500 {
            return Err(fault);
        }
        let mut at = Self::FIXED;
        while let Some(kind) = half(value, at) {
            let len = usize::from(half(value, at + 2).ok_or(Malformed::at(at, Fault::Parameter))?);
            let body = value.get(at + HEADER..at + len).ok_or(Malformed::at(at, Fault::Parameter))?;
            match kind {
                parameter::COOKIE => init.cookie = body.to_vec(),
                parameter::FORWARD_TSN => init.forward_tsn = true,
                parameter::SUPPORTED_EXTENSIONS => {
                    init.forward_tsn |= body.contains(&super::kind::FORWARD_TSN);
                    init.re_config |= body.contains(&super::kind::RE_CONFIG);
                }
                _ => {}
            }
            at += padded(len);
        }
        Ok(init)
    }

    /// Reads a whole INIT chunk, as descriptions have it (`a=sctp-init`), but for a cookie; `None` if it is anything else.
    pub fn parse_chunk(chunk: &[u8]) -> Option<Init> {
        let value = chunk.strip_prefix(&[kind::INIT])?.split_first_chunk::<3>()?;
        let (&[_, high, low], value) = value;
        let len = usize::from(u16::from_be_bytes([high, low]));
        // The last parameter may be filled up.
        let value = value.get(..len.checked_sub(HEADER)?).filter(|_| chunk.len() <= padded(len))?;
        Some(Init { cookie: Vec::new(), ..Init::parse(value).ok()? })
    }

    /// A whole INIT chunk; without the cookie, which is for an INIT ACK.
    pub fn to_chunk(&self) -> Vec<u8> {
        let value = Init { cookie: Vec::new(), ..self.clone() }.to_value();
        // A few parameters of some bytes.
        let [high, low] = ((HEADER + value.len()) as u16).to_be_bytes();
        [&[kind::INIT, 0, high, low], &value[..]].concat()
    }

    /// The value of the chunk, with the extensions it says and, if it is not empty, the cookie.
    pub fn to_value(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::FIXED + 12 + HEADER + self.cookie.len());
        out.extend(self.tag.to_be_bytes());
        out.extend(self.window.to_be_bytes());
        out.extend(self.outbound_streams.to_be_bytes());
        out.extend(self.inbound_streams.to_be_bytes());
        out.extend(self.tsn.to_be_bytes());
        let known = [(self.re_config, kind::RE_CONFIG), (self.forward_tsn, kind::FORWARD_TSN)];
        let known: Vec<u8> = known.iter().filter_map(|(has, kind)| has.then_some(*kind)).collect();
        if self.forward_tsn {
            put(&mut out, parameter::FORWARD_TSN, &[]);
        }
        if !known.is_empty() {
            put(&mut out, parameter::SUPPORTED_EXTENSIONS, &known);
        }
        if !self.cookie.is_empty() {
            put(&mut out, parameter::COOKIE, &self.cookie);
        }
        out
    }
}

/// Adds a parameter behind others, which are padded; the last one is not (RFC 9260, section 3.2.1).
fn put(out: &mut Vec<u8>, kind: u16, body: &[u8]) {
    out.resize(padded(out.len()), 0);
    out.extend(kind.to_be_bytes());
    // Cookies are ours and short, or were read from a chunk.
    out.extend(((HEADER + body.len()) as u16).to_be_bytes());
    out.extend(body);
}

/// A part of a message, or all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<'a> {
    /// Its number.
    pub tsn: u32,
    /// The stream it belongs to.
    pub stream: u16,
    /// What the message is, to whoever reads it.
    pub ppid: u32,
    /// Whether a message begins with it.
    pub begins: bool,
    /// Whether a message ends with it.
    pub ends: bool,
    /// Not empty.
    pub payload: &'a [u8],
}

impl<'a> Data<'a> {
    /// Reads a DATA chunk.
    ///
    /// # Errors
    /// [`Fault::Data`].
    pub fn parse(chunk: &Chunk<'a>) -> Result<Data<'a>, ParseError> {
        let fault = Malformed::at(0, Fault::Data);
        let value = chunk.value;
        Ok(Data {
            tsn: word(value, 0).ok_or(fault)?,
            stream: half(value, 4).ok_or(fault)?,
            ppid: word(value, 8).ok_or(fault)?,
            begins: chunk.flags & 2 != 0,
            ends: chunk.flags & 1 != 0,
            payload: value.get(12..).filter(|payload| !payload.is_empty()).ok_or(fault)?,
        })
    }
}

/// What has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sack {
    /// All up to this number.
    pub cumulative: u32,
    /// Bytes there is room for.
    pub window: u32,
    /// How many numbers the blocks behind it name.
    pub gaps: u32,
    /// The last number that is named.
    pub highest: u32,
}

impl Sack {
    /// Reads a SACK.
    ///
    /// # Errors
    /// [`Fault::Sack`]: a block that is not there, that is empty, or that begins before the one in front of it has
    /// ended (RFC 9260, section 3.3.4).
    pub fn parse(value: &[u8]) -> Result<Sack, ParseError> {
        let fault = Malformed::at(0, Fault::Sack);
        let (cumulative, window) = (word(value, 0).ok_or(fault)?, word(value, 4).ok_or(fault)?);
        let blocks = usize::from(half(value, 8).ok_or(fault)?);
        let duplicates = usize::from(half(value, 10).ok_or(fault)?);
        if value.len() != 12 + 4 * (blocks + duplicates) {
            return Err(fault);
        }
        let (mut gaps, mut last) = (0, 0);
        for block in 0..blocks {
            let at = 12 + 4 * block;
            let (start, end) = (half(value, at).ok_or(fault)?, half(value, at + 2).ok_or(fault)?);
            if start <= last || end < start {
                return Err(Malformed::at(at, Fault::Sack));
            }
            gaps += u32::from(end - start) + 1;
            last = end;
        }
        Ok(Sack { cumulative, window, gaps, highest: cumulative.wrapping_add(last.into()) })
    }
}

/// Numbers that are not waited for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardTsn {
    /// Up to this one.
    pub cumulative: u32,
}

impl ForwardTsn {
    /// Reads a FORWARD TSN.
    ///
    /// # Errors
    /// [`Fault::ForwardTsn`].
    pub fn parse(value: &[u8]) -> Result<ForwardTsn, ParseError> {
        let cumulative = word(value, 0).filter(|_| value.len().is_multiple_of(4));
        cumulative.map(|cumulative| ForwardTsn { cumulative }).ok_or(Malformed::at(0, Fault::ForwardTsn))
    }
}
