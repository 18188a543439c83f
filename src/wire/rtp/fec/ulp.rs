//! Uneven level protection (RFC 5109).

use super::{Fault, Mask, ParseError, Recovery, put};
use crate::base::limits;
use crate::wire::malformed::Malformed;
use crate::wire::rtp::{NoSpace, WireSeq};

/// Bytes of the header in front of the levels.
const HEADER: usize = 10;
/// Set if masks have 48 bits instead of 16.
const LONG: u8 = 0x40;

/// A FEC payload of RFC 5109 whose levels were checked.
#[derive(Debug, Clone, Copy)]
pub struct Ulp<'a> {
    recovery: Recovery,
    base: WireSeq,
    long: bool,
    levels: &'a [u8],
}

/// One level: which packets, and the exclusive or of their next so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UlpLevel<'a> {
    /// The packets that the level protects.
    pub mask: Mask,
    /// The bytes that recover theirs: those behind the fixed header, from where the level before ends.
    pub payload: &'a [u8],
}

impl<'a> Ulp<'a> {
    /// Checks the header and each level against the payload's length. The levels are told by the
    /// payload's end; the bit reserved for extensions is not looked at (section 7.3).
    ///
    /// # Errors
    /// [`Fault::Header`], [`Fault::Level`], [`Fault::Protection`], [`Fault::Mask`] for a level of no
    /// packet, [`Fault::Count`] for more than [`limits::FEC_LEVELS`].
    pub fn parse(payload: &'a [u8]) -> Result<Ulp<'a>, ParseError> {
        let short = || Malformed::at(0, Fault::Header);
        let (header, levels) = payload.split_first_chunk::<HEADER>().ok_or_else(short)?;
        let &[first, second, s0, s1, t0, t1, t2, t3, l0, l1] = header;
        let (recovery, long) = (Recovery::read(first, second, [l0, l1], [t0, t1, t2, t3]), first & LONG != 0);
        let (mut rest, mut count) = (levels, 0);
        while count == 0 || !rest.is_empty() {
            let at = HEADER + levels.len() - rest.len();
            count += 1;
            if count > limits::FEC_LEVELS {
                return Err(Malformed::at(at, Fault::Count));
            }
            let (level, behind) = read_level(rest, long).map_err(|fault| Malformed::at(at, fault))?;
            if level.mask.is_empty() {
                return Err(Malformed::at(at + 2, Fault::Mask));
            }
            rest = behind;
        }
        Ok(Ulp { recovery, base: WireSeq(u16::from_be_bytes([s0, s1])), long, levels })
    }

    /// Writes the header and its levels (RFC 5109, sections 7.3 and 7.4) to the start of `buf`; returns
    /// their length. The masks count from `base` and are all 16 or all 48 wide.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is too short, and for what is not to be read: no level or more than
    /// [`limits::FEC_LEVELS`], a mask of another width or of no packet, more than 65,535 bytes of a
    /// level, a count of more than 15 sources.
    pub fn write(
        recovery: &Recovery,
        base: WireSeq,
        levels: &[UlpLevel<'_>],
        buf: &mut [u8],
    ) -> Result<usize, NoSpace> {
        let long = levels.first().is_some_and(|level| level.mask.width() == 48);
        if !(1..=limits::FEC_LEVELS).contains(&levels.len()) {
            return Err(NoSpace);
        }
        let room = buf.len();
        let mut rest = put(buf, &recovery.to_head(if long { LONG } else { 0 })?)?;
        rest = put(rest, &base.0.to_be_bytes())?;
        rest = put(rest, &recovery.timestamp.to_be_bytes())?;
        rest = put(rest, &recovery.len.to_be_bytes())?;
        for UlpLevel { mask, payload } in levels {
            if mask.is_empty() || mask.width() != if long { 48 } else { 16 } {
                return Err(NoSpace);
            }
            let len = u16::try_from(payload.len()).map_err(|_| NoSpace)?;
            rest = put(rest, &len.to_be_bytes())?;
            // Sixteen bits of them.
            rest = put(rest, &(mask.part(0, 16) as u16).to_be_bytes())?;
            if long {
                // And 32.
                rest = put(rest, &(mask.part(16, 32) as u32).to_be_bytes())?;
            }
            rest = put(rest, payload)?;
        }
        Ok(room - rest.len())
    }

    /// What is known of the protected packets' headers.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// The number that the masks count from.
    pub fn base(&self) -> WireSeq {
        self.base
    }

    /// The levels, the most important bytes first; at least one.
    pub fn levels(&self) -> impl Iterator<Item = UlpLevel<'a>> + use<'a> {
        let (mut rest, long) = (self.levels, self.long);
        std::iter::from_fn(move || {
            let (level, behind) = read_level(rest, long).ok()?;
            rest = behind;
            Some(level)
        })
    }
}

/// A level at the start of `bytes`, and what is behind it.
fn read_level(bytes: &[u8], long: bool) -> Result<(UlpLevel<'_>, &[u8]), Fault> {
    let (&[high, low, m0, m1], mut rest) = bytes.split_first_chunk().ok_or(Fault::Level)?;
    let mut mask = Mask::EMPTY.push(u64::from(u16::from_be_bytes([m0, m1])), 16);
    if long {
        let (more, behind) = rest.split_first_chunk().ok_or(Fault::Level)?;
        mask = mask.push(u64::from(u32::from_be_bytes(*more)), 32);
        rest = behind;
    }
    let len = usize::from(u16::from_be_bytes([high, low]));
    let (payload, rest) = rest.split_at_checked(len).ok_or(Fault::Protection)?;
    Ok((UlpLevel { mask, payload }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A payload that protects from number 8 on, with levels of (mask, payload).
    fn payload(long: bool, levels: &[(u64, &[u8])]) -> Vec<u8> {
        let first = if long { 0x40 | 0x32 } else { 0x32 };
        let mut bytes = vec![first, 0x80 | 11, 0, 8, 0, 0, 0, 5, 1, 0x74];
        for (mask, payload) in levels {
            bytes.extend((payload.len() as u16).to_be_bytes());
            bytes.extend(&mask.to_be_bytes()[if long { 2 } else { 6 }..]);
            bytes.extend(*payload);
        }
        bytes
    }

    fn fault(bytes: &[u8]) -> Option<(Fault, u16)> {
        Ulp::parse(bytes).err().map(|error| (error.fault, error.offset))
    }

    #[test]
    fn rfc_5109_7_3_header_fields_are_where_they_are_drawn() {
        let bytes = payload(false, &[(0xf000, &[1, 2, 3])]);
        let fec = Ulp::parse(&bytes).expect("well formed");
        let recovery = fec.recovery();
        assert!(recovery.padding && recovery.extension && recovery.marker);
        assert_eq!((recovery.csrc_count, recovery.payload_type.get()), (2, 11));
        assert_eq!((recovery.timestamp, recovery.len), (5, 372));
        let levels: Vec<_> = fec.levels().collect();
        let [level] = levels[..] else { panic!("{levels:?}") };
        assert!(level.mask.numbers(fec.base()).eq((8..12).map(WireSeq)));
        assert_eq!(level.payload, &[1, 2, 3]);
    }

    #[test]
    fn rfc_5109_7_4_each_level_has_its_own_mask_and_length() {
        for (long, width, last) in [(false, 16, 15), (true, 48, 47)] {
            let bytes = payload(long, &[(1, &[1, 2]), (3, &[]), (1, &[9])]);
            let fec = Ulp::parse(&bytes).expect("well formed");
            let levels: Vec<_> = fec.levels().map(|level| (level.mask.width(), level.payload)).collect();
            assert_eq!(levels, [(width, &[1, 2][..]), (width, &[]), (width, &[9])]);
            assert!(fec.levels().next().is_some_and(|level| level.mask.offsets().eq([last])));
        }
    }

    #[test]
    fn s_rtp_09_fec_is_checked_against_the_length_up_front() {
        for long in [false, true] {
            let (bytes, head) = (payload(long, &[(1, &[1, 2]), (1, &[3])]), if long { 8 } else { 4 });
            for len in 0..bytes.len() {
                let second = 10 + head + 2;
                let (kind, at) = match len {
                    0..10 => (Fault::Header, 0),
                    _ if len < 10 + head => (Fault::Level, 10),
                    _ if len < second => (Fault::Protection, 10),
                    _ if len == second => continue,
                    _ if len < second + head => (Fault::Level, second),
                    _ => (Fault::Protection, second),
                };
                assert_eq!(fault(&bytes[..len]), Some((kind, at as u16)), "cut to {len}");
            }
        }
    }

    #[test]
    fn s_rtp_09_fec_of_nothing_and_of_endless_levels_is_refused() {
        assert_eq!(fault(&payload(false, &[(0, &[1])])), Some((Fault::Mask, 12)));
        let level = (1, &[][..]);
        assert_eq!(fault(&payload(false, &[level; limits::FEC_LEVELS])), None);
        let at = 10 + 4 * limits::FEC_LEVELS as u16;
        assert_eq!(fault(&payload(false, &[level; 300])), Some((Fault::Count, at)));
    }

    #[test]
    fn what_is_not_to_be_read_is_not_written() {
        let bytes = payload(false, &[(1, &[])]);
        let recovery = Ulp::parse(&bytes).expect("well formed").recovery();
        let level = |width, offset: Option<u8>| UlpLevel {
            mask: Mask::new(width, offset).expect("within"),
            payload: &[],
        };
        let (short, long) = (level(16, Some(3)), level(48, Some(3)));
        let mut buf = vec![0; 70_000];
        let mut write =
            |recovery: &Recovery, levels: &[UlpLevel<'_>]| Ulp::write(recovery, WireSeq(8), levels, &mut buf);
        assert_eq!(write(&recovery, &[short, short]), Ok(18));
        assert_eq!(write(&recovery, &[long]), Ok(18));
        assert_eq!(write(&recovery, &[]), Err(NoSpace));
        assert_eq!(write(&recovery, &[short; limits::FEC_LEVELS + 1]), Err(NoSpace));
        assert_eq!(write(&recovery, &[short, long]), Err(NoSpace));
        assert_eq!(write(&recovery, &[level(15, Some(3))]), Err(NoSpace));
        assert_eq!(write(&recovery, &[level(16, None)]), Err(NoSpace));
        assert_eq!(write(&recovery, &[UlpLevel { payload: &[0; 65_536], ..short }]), Err(NoSpace));
        assert_eq!(write(&Recovery { csrc_count: 16, ..recovery }, &[short]), Err(NoSpace));
    }

    proptest! {
        #[test]
        fn levels_survive_the_wire(long: bool, levels in vec((1u64..1 << 16, vec(any::<u8>(), 0..30)), 1..8)) {
            let parts: Vec<_> = levels.iter().map(|(mask, payload)| (*mask, &payload[..])).collect();
            let bytes = payload(long, &parts);
            let fec = Ulp::parse(&bytes).expect("well formed");
            prop_assert!(fec.levels().map(|level| level.payload).eq(parts.iter().map(|part| part.1)));
            prop_assert!(fec.levels().map(|level| level.mask.count()).eq(parts.iter().map(|part| part.0.count_ones())));
            let read: Vec<_> = fec.levels().collect();
            let mut written = vec![0; bytes.len()];
            prop_assert_eq!(Ulp::write(&fec.recovery(), fec.base(), &read, &mut written), Ok(bytes.len()));
            prop_assert_eq!(&written, &bytes);
            let last = bytes.len() - 1;
            prop_assert_eq!(Ulp::write(&fec.recovery(), fec.base(), &read, &mut written[..last]), Err(NoSpace));
        }

        #[test]
        fn s_rtp_09_arbitrary_bytes_are_refused_or_add_up(bytes in vec(any::<u8>(), 0..120)) {
            if let Ok(fec) = Ulp::parse(&bytes) {
                let head = if bytes[0] & LONG == 0 { 4 } else { 8 };
                let levels: usize = fec.levels().map(|level| head + level.payload.len()).sum();
                prop_assert_eq!(HEADER + levels, bytes.len());
            }
        }
    }
}
