//! Redundant data (RFC 2198): one payload made of several, older ones in front of the newest.
//!
//! Each older block has a header of four bytes with its payload type, its age and its length; the
//! newest, the primary, has one byte and takes the rest. Video uses the same frame to carry FEC beside
//! media (RFC 5109, section 14).

use super::{NoSpace, PayloadType, RtpTime};
use crate::base::limits;
use crate::wire::malformed::Malformed;

/// The field of a redundant payload that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The payload ends before the header of the primary.
    #[error("the redundant payload ends inside its headers")]
    Header,
    /// A block is longer than what is left.
    #[error("a redundant block ends after the payload")]
    Block,
    /// More blocks than [`limits::RED_BLOCKS`].
    #[error("the redundant payload has too many blocks")]
    TooMany,
    /// A block that is redundant data itself.
    #[error("a redundant block holds redundant blocks")]
    Nested,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 4] = [Self::Header, Self::Block, Self::TooMany, Self::Nested];

    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "red.header",
            Self::Block => "red.block",
            Self::TooMany => "red.too_many",
            Self::Nested => "red.nested",
        }
    }
}

/// Why bytes are not redundant data.
pub type ParseError = Malformed<Fault>;

/// Bytes of the header of a block that is not the primary.
const HEADER: usize = 4;
/// Says that another header follows.
const FOLLOWS: u8 = 0x80;
/// Ages and lengths have 14 and 10 bits.
const MOST_AGE: u16 = (1 << 14) - 1;
const MOST_LEN: usize = (1 << 10) - 1;

/// A payload of an earlier packet, sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its payload type.
    pub payload_type: PayloadType,
    /// How much older than the primary it is, in units of the payload's clock, at most 16,383.
    pub age: u16,
    /// Its bytes, at most 1,023.
    pub data: &'a [u8],
}

impl Block<'_> {
    /// Its timestamp, by that of the packet it came in.
    pub fn timestamp(&self, packet: RtpTime) -> RtpTime {
        RtpTime(packet.0.wrapping_sub(u32::from(self.age)))
    }
}

/// A redundant payload whose headers were checked, without its padding.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    headers: &'a [[u8; HEADER]],
    blocks: &'a [u8],
    primary_type: PayloadType,
    primary: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Checks the headers against the payload's length. `own` is the payload type that the packet
    /// itself has, which no block may have again.
    ///
    /// # Errors
    /// Any [`Fault`]; the offset is that of the block's header.
    pub fn parse(own: PayloadType, payload: &'a [u8]) -> Result<Payload<'a>, ParseError> {
        let mut at = 0;
        let mut blocks_len = 0;
        let primary = loop {
            let first = *payload.get(at).ok_or_else(|| Malformed::at(at, Fault::Header))?;
            if PayloadType::from_header(first) == own {
                return Err(Malformed::at(at, Fault::Nested));
            }
            if first & FOLLOWS == 0 {
                break first;
            }
            // The primary counts as well.
            if at / HEADER + 1 >= limits::RED_BLOCKS {
                return Err(Malformed::at(at, Fault::TooMany));
            }
            let header = payload.get(at..).and_then(<[u8]>::first_chunk);
            blocks_len += data_len(header.ok_or_else(|| Malformed::at(at, Fault::Header))?);
            at += HEADER;
        };
        let (headers, rest) = payload.split_at_checked(at).unwrap_or_default();
        let (headers, _) = headers.as_chunks();
        let rest = rest.get(1..).unwrap_or_default();
        let (blocks, primary_data) = rest.split_at_checked(blocks_len).ok_or_else(|| past(headers, rest))?;
        Ok(Payload {
            headers,
            blocks,
            primary_type: PayloadType::from_header(primary),
            primary: primary_data,
        })
    }

    /// The older blocks, in the order of the packet: the oldest first.
    pub fn redundant(&self) -> impl ExactSizeIterator<Item = Block<'a>> + use<'a> {
        let mut rest = self.blocks;
        self.headers.iter().map(move |header| {
            // Together they are as long as the headers say.
            let (data, behind) = rest.split_at_checked(data_len(header)).unwrap_or_default();
            rest = behind;
            let [first, age_high, age_low, _] = *header;
            let age = u16::from_be_bytes([age_high, age_low]) >> 2;
            Block { payload_type: PayloadType::from_header(first), age, data }
        })
    }

    /// The payload types of all blocks in the order of the packet, the primary's last.
    pub fn payload_types(&self) -> impl Iterator<Item = PayloadType> + use<'a> {
        let older = self.headers.iter().map(|[first, ..]| PayloadType::from_header(*first));
        older.chain(std::iter::once(self.primary_type))
    }

    /// The payload type of the primary, the block of the packet's own time.
    pub fn primary_type(&self) -> PayloadType {
        self.primary_type
    }

    /// The bytes of the primary, possibly none.
    pub fn primary(&self) -> &'a [u8] {
        self.primary
    }
}

/// The length that a block's header tells.
fn data_len(&[_, _, high, low]: &[u8; HEADER]) -> usize {
    usize::from(u16::from_be_bytes([high & 0x03, low]))
}

/// The first block that ends after the payload.
fn past(headers: &[[u8; HEADER]], blocks: &[u8]) -> ParseError {
    let mut end = 0;
    let fits = |header: &&[u8; HEADER]| {
        end += data_len(header);
        end <= blocks.len()
    };
    Malformed::at(headers.iter().take_while(fits).count() * HEADER, Fault::Block)
}

/// Gives all blocks of a redundant payload another payload type where they stand. Lengths are not looked at.
///
/// # Errors
/// [`Fault::Header`] or [`Fault::TooMany`]; the headers in front of the fault are changed all the same.
pub fn renumber(payload: &mut [u8], to: PayloadType) -> Result<(), ParseError> {
    for at in (0..limits::RED_BLOCKS).map(|block| block * HEADER) {
        let first = payload.get_mut(at).ok_or_else(|| Malformed::at(at, Fault::Header))?;
        let follows = *first & FOLLOWS;
        *first = follows | to.get();
        if follows == 0 {
            return Ok(());
        }
    }
    Err(Malformed::at(limits::RED_BLOCKS * HEADER, Fault::TooMany))
}

/// Writes a redundant payload to the start of `buf`, older blocks in the given order in front of the
/// primary, and returns its length ([`written_len`]).
///
/// # Errors
/// [`NoSpace`] if `buf` is shorter, for more than [`limits::RED_BLOCKS`] blocks with the primary, and
/// for a block that is too old or too long for its header.
pub fn write(
    redundant: &[Block<'_>],
    primary_type: PayloadType,
    primary: &[u8],
    buf: &mut [u8],
) -> Result<usize, NoSpace> {
    if redundant.len() >= limits::RED_BLOCKS {
        return Err(NoSpace);
    }
    let len = written_len(redundant, primary);
    let buf = buf.get_mut(..len).ok_or(NoSpace)?;
    let (headers, rest) = buf.split_at_mut_checked(redundant.len() * HEADER).ok_or(NoSpace)?;
    let (first, mut rest) = rest.split_first_mut().ok_or(NoSpace)?;
    let (headers, _) = headers.as_chunks_mut();
    for (header, block) in headers.iter_mut().zip(redundant) {
        if block.age > MOST_AGE || block.data.len() > MOST_LEN {
            return Err(NoSpace);
        }
        // Ten bits, as just checked.
        let [_, a, b, c] = (u32::from(block.age) << 10 | block.data.len() as u32).to_be_bytes();
        *header = [FOLLOWS | block.payload_type.get(), a, b, c];
        let (data, behind) = rest.split_at_mut_checked(block.data.len()).ok_or(NoSpace)?;
        data.copy_from_slice(block.data);
        rest = behind;
    }
    *first = primary_type.get();
    rest.copy_from_slice(primary);
    Ok(len)
}

/// Bytes of what [`write()`] makes of these.
pub fn written_len(redundant: &[Block<'_>], primary: &[u8]) -> usize {
    redundant.iter().map(|block| HEADER + block.data.len()).sum::<usize>() + 1 + primary.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const OPUS: PayloadType = PayloadType::from_header(111);
    const RED: PayloadType = PayloadType::from_header(63);

    fn fault(payload: &[u8]) -> Option<(Fault, u16)> {
        Payload::parse(RED, payload).err().map(|error| (error.fault, error.offset))
    }

    #[test]
    fn rfc_2198_3_headers_come_first_and_the_primary_takes_the_rest() {
        // Two blocks, 1,920 and 960 ticks old, of 2 and 1 bytes.
        let payload = [0xef, 0x1e, 0x00, 2, 0xef, 0x0f, 0x00, 1, 0x6f, 1, 2, 3, 4, 5];
        let red = Payload::parse(RED, &payload).expect("well formed");
        let blocks = [
            Block { payload_type: OPUS, age: 1_920, data: &[1, 2] },
            Block { payload_type: OPUS, age: 960, data: &[3] },
        ];
        assert!(red.redundant().eq(blocks));
        assert!(red.payload_types().eq([OPUS; 3]));
        assert_eq!((red.primary_type(), red.primary()), (OPUS, &[4, 5][..]));
        assert_eq!(blocks[0].timestamp(RtpTime(1_000)), RtpTime(1_000u32.wrapping_sub(1_920)));
        let mut buf = [0; 14];
        assert_eq!(write(&blocks, OPUS, &[4, 5], &mut buf), Ok(14));
        assert_eq!(buf, payload);
    }

    #[test]
    fn a_primary_alone_has_one_byte_of_header() {
        let red = Payload::parse(RED, &[0x6f, 9]).expect("well formed");
        assert_eq!((red.redundant().len(), red.primary()), (0, &[9][..]));
        assert!(Payload::parse(RED, &[0x6f]).is_ok_and(|red| red.primary().is_empty()));
    }

    #[test]
    fn blocks_are_renumbered_where_they_stand() {
        let mut payload = [0xef, 0x1e, 0x00, 2, 0xef, 0x0f, 0x00, 1, 0x6f, 1, 2, 3, 4, 5];
        assert_eq!(renumber(&mut payload, PayloadType::from_header(96)), Ok(()));
        assert_eq!(payload, [0xe0, 0x1e, 0x00, 2, 0xe0, 0x0f, 0x00, 1, 0x60, 1, 2, 3, 4, 5]);
        assert_eq!(renumber(&mut [0xef, 0, 0, 0], OPUS), Err(Malformed::at(4, Fault::Header)));
        let endless = &mut [0xef; 4 * (limits::RED_BLOCKS + 1)];
        let end = limits::RED_BLOCKS * HEADER;
        assert_eq!(renumber(endless, OPUS), Err(Malformed::at(end, Fault::TooMany)));
    }

    #[test]
    fn s_rtp_09_red_that_ends_inside_its_headers_is_refused() {
        assert_eq!(fault(&[]), Some((Fault::Header, 0)));
        let headers = [0xef, 0, 0, 0, 0xef, 0, 0, 0, 0x6f];
        for len in 1..headers.len() {
            let at = (len / 4 * 4) as u16;
            assert_eq!(fault(&headers[..len]), Some((Fault::Header, at)), "cut to {len}");
        }
        assert_eq!(fault(&headers), None);
    }

    #[test]
    fn s_rtp_09_red_lengths_past_the_end_are_refused() {
        assert_eq!(fault(&[0xef, 0, 0, 2, 0xef, 0, 0, 1, 0x6f, 1, 2]), Some((Fault::Block, 4)));
        assert_eq!(fault(&[0xef, 0, 0, 3, 0xef, 0, 0, 1, 0x6f, 1, 2]), Some((Fault::Block, 0)));
        assert_eq!(fault(&[0xef, 0, 3, 0xff, 0x6f]), Some((Fault::Block, 0)));
    }

    #[test]
    fn s_rtp_09_red_within_red_is_refused() {
        assert_eq!(fault(&[0xef, 0, 0, 0, 0x3f, 1]), Some((Fault::Nested, 4)), "the primary");
        assert_eq!(fault(&[0xbf, 0, 0, 0, 0x6f, 1]), Some((Fault::Nested, 0)), "an older one");
    }

    #[test]
    fn s_rtp_09_red_of_endless_headers_is_bounded() {
        let most = [[0xef, 0, 0, 0]; limits::RED_BLOCKS - 1].concat();
        assert_eq!(fault(&[&most[..], &[0x6f]].concat()), None);
        let at = (limits::RED_BLOCKS - 1) * 4;
        assert_eq!(fault(&[[0xef, 0, 0, 0]; 300].concat()), Some((Fault::TooMany, at as u16)));
    }

    #[test]
    fn blocks_beyond_their_header_are_not_written() {
        let mut buf = [0; 2_048];
        let block = Block { payload_type: OPUS, age: 0, data: &[] };
        assert_eq!(write(&[Block { age: 1 << 14, ..block }], OPUS, &[], &mut buf), Err(NoSpace));
        assert_eq!(write(&[Block { data: &[0; 1 << 10], ..block }], OPUS, &[], &mut buf), Err(NoSpace));
        assert_eq!(write(&[block; limits::RED_BLOCKS], OPUS, &[], &mut buf), Err(NoSpace));
        assert!(write(&[block; limits::RED_BLOCKS - 1], OPUS, &[], &mut buf).is_ok());
    }

    #[test]
    fn every_fault_has_its_own_name_and_place() {
        for (at, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, at);
            assert_eq!(Fault::ALL.iter().filter(|other| other.name() == fault.name()).count(), 1);
        }
    }

    proptest! {
        #[test]
        fn redundant_payloads_survive_the_wire(
            blocks in vec((64u8..128, 0u16..1 << 14, vec(any::<u8>(), 0..40)), 0..6),
            primary in vec(any::<u8>(), 0..40),
            cut in 0usize..8,
        ) {
            let of = |(number, age, data): &'_ (u8, u16, Vec<u8>)| (PayloadType::from_header(*number), *age, data.clone());
            let owned: Vec<_> = blocks.iter().map(of).collect();
            let redundant: Vec<_> =
                owned.iter().map(|(payload_type, age, data)| Block { payload_type: *payload_type, age: *age, data }).collect();
            let len = written_len(&redundant, &primary);
            let mut buf = vec![0xee; len];
            prop_assert_eq!(write(&redundant, OPUS, &primary, &mut buf), Ok(len));
            let red = Payload::parse(RED, &buf).expect("ours");
            prop_assert!(red.redundant().eq(redundant.iter().copied()));
            prop_assert_eq!((red.primary_type(), red.primary()), (OPUS, &primary[..]));
            let types = owned.iter().map(|(payload_type, ..)| *payload_type).chain([OPUS]);
            prop_assert!(red.payload_types().eq(types));
            let to = PayloadType::from_header(35);
            let renumbered: Vec<_> = redundant.iter().map(|block| Block { payload_type: to, ..*block }).collect();
            let mut other = vec![0; len];
            prop_assert_eq!(write(&renumbered, to, &primary, &mut other), Ok(len));
            prop_assert_eq!(renumber(&mut buf, to), Ok(()));
            prop_assert_eq!(&buf, &other);
            if let Some(room) = len.checked_sub(cut + 1) {
                prop_assert_eq!(write(&redundant, OPUS, &primary, &mut buf[..room]), Err(NoSpace));
            }
        }

        #[test]
        fn s_rtp_09_arbitrary_bytes_are_refused_or_add_up(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok(red) = Payload::parse(RED, &bytes) {
                let blocks: usize = red.redundant().map(|block| block.data.len() + 4).sum();
                prop_assert_eq!(blocks + 1 + red.primary().len(), bytes.len());
            }
        }
    }
}
