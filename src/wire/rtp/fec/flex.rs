//! FlexFEC, the draft of browsers and RFC 8627.

use super::{Fault, Mask, ParseError, Recovery, put};
use crate::base::limits;
use crate::wire::malformed::Malformed;
use crate::wire::rtp::{self, NoSpace, Packet, Ssrc, WireSeq};

/// The kind of packet, in the two bits that are the version elsewhere.
const RETRANSMISSION: u8 = 0x80;
const FIXED: u8 = 0x40;
/// Bytes of the header that both dialects begin with.
const HEADER: usize = 8;
/// Bytes by which the draft counts streams.
const COUNT: usize = 4;

/// The payload of a FlexFEC packet whose header was checked.
#[derive(Debug, Clone, Copy)]
pub enum Flex<'a> {
    /// Protects several packets.
    Repair(FlexRepair<'a>),
    /// Is one packet again: the two bits of the kind are the version of RTP.
    Retransmission(Packet<'a>),
}

/// Whose header it is.
#[derive(Debug, Clone, Copy)]
enum Sources<'a> {
    /// Each stream is named where its packets are (draft 03).
    Inline,
    /// The streams are the contributing sources of the packet (RFC 8627).
    Contributing(Packet<'a>),
}

/// The exclusive or of several packets.
#[derive(Debug, Clone, Copy)]
pub struct FlexRepair<'a> {
    recovery: Recovery,
    sources: Sources<'a>,
    fixed: bool,
    /// From the first stream's part to the end.
    streams: &'a [u8],
    count: usize,
    payload: &'a [u8],
}

/// One stream of those a packet protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlexStream {
    /// The stream.
    pub ssrc: Ssrc,
    /// The number that its coverage counts from.
    pub base: WireSeq,
    /// Which of its packets.
    pub coverage: Coverage,
}

/// Which packets of a stream are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// Those of a mask, 15, 46 or 109 (draft) or 110 (RFC) packets wide.
    Mask(Mask),
    /// A row or a column of a block of packets (RFC 8627, section 4.2.2.2).
    Grid {
        /// Packets of a row, at least one.
        columns: u8,
        /// 0 and 1: the row that begins at the base, without or with columns that follow. More: the
        /// column of so many packets, a row apart.
        rows: u8,
    },
}

impl<'a> Flex<'a> {
    /// Checks a payload as browsers send it (draft-ietf-payload-flexible-fec-scheme-03, section 4.2).
    ///
    /// # Errors
    /// [`Fault::Header`], [`Fault::Reserved`], [`Fault::Packet`], [`Fault::Count`], [`Fault::Stream`],
    /// [`Fault::Mask`] if nothing is protected.
    pub fn parse_03(payload: &'a [u8]) -> Result<Flex<'a>, ParseError> {
        Self::read(payload, |behind| {
            let short = || Malformed::at(HEADER, Fault::Header);
            let (&[count, ..], streams) = behind.split_first_chunk::<COUNT>().ok_or_else(short)?;
            Ok((Sources::Inline, usize::from(count), streams))
        })
    }

    /// Checks the payload of a packet of RFC 8627 (section 4.2), whose contributing sources name the
    /// streams. The payload is the packet's, decrypted and without padding.
    ///
    /// # Errors
    /// The same.
    pub fn parse(packet: &Packet<'a>, payload: &'a [u8]) -> Result<Flex<'a>, ParseError> {
        Self::read(payload, |behind| Ok((Sources::Contributing(*packet), packet.csrcs().len(), behind)))
    }

    fn read(
        payload: &'a [u8],
        sources: impl FnOnce(&'a [u8]) -> Result<(Sources<'a>, usize, &'a [u8]), ParseError>,
    ) -> Result<Flex<'a>, ParseError> {
        let short = || Malformed::at(0, Fault::Header);
        let (header, behind) = payload.split_first_chunk::<HEADER>().ok_or_else(short)?;
        let &[first, second, l0, l1, t0, t1, t2, t3] = header;
        match first & (RETRANSMISSION | FIXED) {
            RETRANSMISSION => {
                let wrong = |error: rtp::ParseError| Malformed { fault: Fault::Packet, offset: error.offset };
                return Packet::parse(payload).map(Flex::Retransmission).map_err(wrong);
            }
            0 | FIXED => {}
            _ => return Err(Malformed::at(0, Fault::Reserved)),
        }
        let (sources, count, streams) = sources(behind)?;
        if !(1..=limits::FEC_STREAMS).contains(&count) {
            return Err(Malformed::at(HEADER, Fault::Count));
        }
        let recovery = Recovery::read(first, second, [l0, l1], [t0, t1, t2, t3]);
        let fixed = first & FIXED != 0;
        let mut repair = FlexRepair { recovery, sources, fixed, streams, count, payload: streams };
        let begin = payload.len() - streams.len();
        let mut protects = false;
        for _ in 0..count {
            let at = begin + streams.len() - repair.payload.len();
            let (part, rest) =
                sources.stream(fixed, repair.payload).map_err(|fault| Malformed::at(at, fault))?;
            protects |= !part.coverage.is_empty();
            repair.payload = rest;
        }
        if !protects {
            return Err(Malformed::at(begin, Fault::Mask));
        }
        Ok(Flex::Repair(repair))
    }
}

impl<'a> FlexRepair<'a> {
    /// What is known of the protected packets' headers.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The protected streams, at least one.
    pub fn streams(&self) -> impl Iterator<Item = FlexStream> + use<'a> {
        let (mut rest, sources, fixed) = (self.streams, self.sources, self.fixed);
        let mut contributing = match sources {
            Sources::Inline => None,
            Sources::Contributing(packet) => Some(packet.csrcs()),
        };
        (0..self.count).map_while(move |_| {
            let (part, behind) = sources.stream(fixed, rest).ok()?;
            rest = behind;
            let ssrc = part.ssrc.or_else(|| contributing.as_mut()?.next())?;
            Some(FlexStream { ssrc, base: part.base, coverage: part.coverage })
        })
    }

    /// The exclusive or of what the packets have behind their fixed headers.
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Writes a payload as browsers send it (draft-ietf-payload-flexible-fec-scheme-03, section 4.2) to
    /// the start of `buf`; returns its length. Masks are 15, 46 or 109 wide.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is too short, and for what is not to be read: no stream or more than
    /// [`limits::FEC_STREAMS`], masks beside grids, a mask of another width, no packet that is protected,
    /// a count of more than 15 sources.
    pub fn write_03(
        recovery: &Recovery,
        streams: &[FlexStream],
        payload: &[u8],
        buf: &mut [u8],
    ) -> Result<usize, NoSpace> {
        write(true, recovery, streams, payload, buf)
    }

    /// Writes the payload of a packet of RFC 8627 (section 4.2); its contributing sources have to be
    /// the SSRCs of `streams`, in their order. Masks are 15, 46 or 110 wide.
    ///
    /// # Errors
    /// The same.
    pub fn write(
        recovery: &Recovery,
        streams: &[FlexStream],
        payload: &[u8],
        buf: &mut [u8],
    ) -> Result<usize, NoSpace> {
        write(false, recovery, streams, payload, buf)
    }
}

fn write(
    draft: bool,
    recovery: &Recovery,
    streams: &[FlexStream],
    payload: &[u8],
    buf: &mut [u8],
) -> Result<usize, NoSpace> {
    let fixed = |stream: &FlexStream| matches!(stream.coverage, Coverage::Grid { .. });
    let kind = if streams.first().is_some_and(fixed) { FIXED } else { 0 };
    let counted = (1..=limits::FEC_STREAMS).contains(&streams.len());
    let alike = streams.iter().all(|stream| fixed(stream) == (kind == FIXED));
    if !counted || !alike || streams.iter().all(|stream| stream.coverage.is_empty()) {
        return Err(NoSpace);
    }
    let room = buf.len();
    let mut rest = put(buf, &recovery.to_head(kind)?)?;
    rest = put(rest, &recovery.len.to_be_bytes())?;
    rest = put(rest, &recovery.timestamp.to_be_bytes())?;
    if draft {
        let count = u8::try_from(streams.len()).map_err(|_| NoSpace)?;
        rest = put(rest, &[count, 0, 0, 0])?;
    }
    for stream in streams {
        if draft {
            rest = put(rest, &stream.ssrc.0.to_be_bytes())?;
        }
        rest = put(rest, &stream.base.0.to_be_bytes())?;
        rest = match stream.coverage {
            Coverage::Grid { columns, rows } => put(rest, &[columns, rows])?,
            Coverage::Mask(mask) => write_mask(draft, mask, rest)?,
        };
    }
    Ok(room - put(rest, payload)?.len())
}

/// The parts of a mask, each but the RFC's third behind its bit, and what is behind them.
fn write_mask(draft: bool, mask: Mask, buf: &mut [u8]) -> Result<&mut [u8], NoSpace> {
    let parts = match (mask.width(), draft) {
        (15, _) => 1,
        (46, _) => 2,
        (109, true) | (110, false) => 3,
        _ => return Err(NoSpace),
    };
    let flag = |part| u64::from((part == parts) == draft);
    // Fifteen bits and the flag.
    let mut rest = put(buf, &((flag(1) << 15 | mask.part(0, 15)) as u16).to_be_bytes())?;
    if parts > 1 {
        // One bit more than 31.
        rest = put(rest, &((flag(2) << 31 | mask.part(15, 31)) as u32).to_be_bytes())?;
    }
    if parts > 2 {
        let last = if draft { 1 << 63 | mask.part(46, 63) } else { mask.part(46, 64) };
        rest = put(rest, &last.to_be_bytes())?;
    }
    Ok(rest)
}

/// What the header says of one stream, its name only if it stands there.
struct Part {
    ssrc: Option<Ssrc>,
    base: WireSeq,
    coverage: Coverage,
}

impl Sources<'_> {
    /// One stream's part at the start of `bytes`, and what is behind it.
    fn stream(self, fixed: bool, mut bytes: &[u8]) -> Result<(Part, &[u8]), Fault> {
        let mut ssrc = None;
        if matches!(self, Sources::Inline) {
            let (name, behind) = bytes.split_first_chunk().ok_or(Fault::Stream)?;
            (ssrc, bytes) = (Some(Ssrc(u32::from_be_bytes(*name))), behind);
        }
        let (base, behind) = bytes.split_first_chunk().ok_or(Fault::Stream)?;
        let (coverage, rest) = if fixed {
            let (&[columns, rows], rest) = behind.split_first_chunk().ok_or(Fault::Stream)?;
            (Coverage::Grid { columns, rows }, rest)
        } else {
            let (mask, rest) = self.mask(behind)?;
            (Coverage::Mask(mask), rest)
        };
        Ok((Part { ssrc, base: WireSeq(u16::from_be_bytes(*base)), coverage }, rest))
    }

    /// A mask of one to three parts. A bit in front of each says in the draft that it is the last one,
    /// in the RFC that another follows, and the RFC's third has none.
    fn mask(self, bytes: &[u8]) -> Result<(Mask, &[u8]), Fault> {
        let draft = matches!(self, Sources::Inline);
        let (part, rest) = bytes.split_first_chunk().ok_or(Fault::Stream)?;
        let part = u16::from_be_bytes(*part);
        let mask = Mask::EMPTY.push(u64::from(part & 0x7fff), 15);
        if (part >> 15 != 0) == draft {
            return Ok((mask, rest));
        }
        let (part, rest) = rest.split_first_chunk().ok_or(Fault::Stream)?;
        let part = u32::from_be_bytes(*part);
        let mask = mask.push(u64::from(part & 0x7fff_ffff), 31);
        if (part >> 31 != 0) == draft {
            return Ok((mask, rest));
        }
        let (part, rest) = rest.split_first_chunk().ok_or(Fault::Stream)?;
        let part = u64::from_be_bytes(*part);
        match (draft, part >> 63 != 0) {
            (true, true) => Ok((mask.push(part & (u64::MAX >> 1), 63), rest)),
            (true, false) => Err(Fault::Mask),
            (false, _) => Ok((mask.push(part, 64), rest)),
        }
    }
}

impl Coverage {
    /// Whether no packet is protected.
    fn is_empty(self) -> bool {
        match self {
            Coverage::Mask(mask) => mask.is_empty(),
            Coverage::Grid { columns, .. } => columns == 0,
        }
    }

    /// The numbers of the protected packets, at most 255, if `base` is the first.
    pub fn numbers(self, base: WireSeq) -> impl Iterator<Item = WireSeq> {
        let (mask, (count, step)) = match self {
            Coverage::Mask(mask) => (mask, (0, 0)),
            Coverage::Grid { columns, rows: 0 | 1 } => (Mask::EMPTY, (columns, 1)),
            // A block without columns protects nothing.
            Coverage::Grid { columns, rows } => {
                (Mask::EMPTY, (if columns == 0 { 0 } else { rows }, u16::from(columns)))
            }
        };
        // At most 254 times 255.
        let grid = (0..count).map(move |at| base.add(u16::from(at) * step));
        mask.numbers(base).chain(grid)
    }
}

#[cfg(test)]
mod tests;
