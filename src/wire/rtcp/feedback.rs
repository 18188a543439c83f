//! Feedback about single packets and pictures: NACK, PLI and SLI (RFC 4585), FIR (RFC 5104).

use super::{Fault, ParseError, Writer, format, packet_type, ssrcs};
use crate::wire::rtp::{NoSpace, Ssrc, WireSeq};

/// Packets that a receiver misses (RFC 4585, section 6.2.1).
#[derive(Debug, Clone, Copy)]
pub struct Nack<'a> {
    /// Who misses them.
    pub sender: Ssrc,
    /// The stream they belong to.
    pub media: Ssrc,
    pairs: &'a [[u8; 4]],
}

impl<'a> Nack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ([sender, media], pairs) = ssrcs(body)?;
        Ok(Nack { sender, media, pairs: whole(pairs, Fault::Nack)? })
    }

    /// The missing numbers in the order they are named, at most 17 for each four bytes; they may
    /// repeat.
    pub fn numbers(&self) -> impl Iterator<Item = WireSeq> + use<'a> {
        self.pairs.iter().flat_map(|&[p0, p1, b0, b1]| {
            let first = WireSeq(u16::from_be_bytes([p0, p1]));
            let following = u16::from_be_bytes([b0, b1]);
            let missing = (0..16).filter(move |bit| following >> bit & 1 != 0);
            std::iter::once(first).chain(missing.map(move |bit| first.add(bit + 1)))
        })
    }
}

/// Packs numbers into pairs of a first one and a bit mask of the sixteen behind it. Returns the bytes
/// written, `None` when `room` ends. Numbers that do not ascend cost a pair each, nothing else.
pub(super) fn write_nack(room: &mut [u8], numbers: impl IntoIterator<Item = WireSeq>) -> Option<usize> {
    let mut pairs = room.as_chunks_mut::<4>().0.iter_mut();
    let mut written = 0;
    let mut open: Option<(WireSeq, &mut [u8; 4])> = None;
    for number in numbers {
        if let Some((first, [_, _, high, low])) = &mut open {
            match number.offset_from(*first) {
                0 => continue,
                ahead @ 1..=8 => {
                    *low |= 1 << (ahead - 1);
                    continue;
                }
                ahead @ 9..=16 => {
                    *high |= 1 << (ahead - 9);
                    continue;
                }
                _ => {}
            }
        }
        let pair = pairs.next()?;
        let [p0, p1] = number.0.to_be_bytes();
        *pair = [p0, p1, 0, 0];
        open = Some((number, pair));
        written += 4;
    }
    Some(written)
}

impl Writer<'_> {
    /// Names lost slices of a picture (RFC 4585, section 6.3.2). Nothing is written if there are none.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too short, or a field has more bits than its place.
    pub fn sli(&mut self, sender: Ssrc, media: Ssrc, losses: &[SliceLoss]) -> Result<(), NoSpace> {
        if losses.iter().any(|loss| loss.first >> 13 | loss.number >> 13 != 0 || loss.picture_id >> 6 != 0) {
            return Err(NoSpace);
        }
        if losses.is_empty() {
            return Ok(());
        }
        let word = |loss: &SliceLoss| {
            u32::from(loss.first) << 19 | u32::from(loss.number) << 6 | u32::from(loss.picture_id)
        };
        let words = [sender.0, media.0].into_iter().chain(losses.iter().map(word));
        self.words(format::SLI, packet_type::PAYLOAD_FEEDBACK, 2 + losses.len(), words)
    }
}

/// A picture that cannot be decoded (RFC 4585, section 6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pli {
    /// Who cannot decode it.
    pub sender: Ssrc,
    /// The stream it belongs to.
    pub media: Ssrc,
}

impl Pli {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let ([sender, media], rest) = ssrcs(body)?;
        if !rest.is_empty() {
            return Err(ParseError::at(8, Fault::PictureLoss));
        }
        Ok(Pli { sender, media })
    }
}

/// Slices of a picture that are lost (RFC 4585, section 6.3.2). Nobody sends it any more and nothing
/// is made of it here.
#[derive(Debug, Clone, Copy)]
pub struct Sli<'a> {
    /// Who lost them.
    pub sender: Ssrc,
    /// The stream they belong to.
    pub media: Ssrc,
    entries: &'a [[u8; 4]],
}

/// A run of lost macroblocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceLoss {
    /// The first macroblock in scan order: 13 bits.
    pub first: u16,
    /// How many are lost: 13 bits.
    pub number: u16,
    /// The lowest six bits of the picture's number.
    pub picture_id: u8,
}

impl<'a> Sli<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ([sender, media], entries) = ssrcs(body)?;
        Ok(Sli { sender, media, entries: whole(entries, Fault::SliceLoss)? })
    }

    /// The losses, one for each four bytes.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = SliceLoss> + use<'a> {
        self.entries.iter().map(|entry| {
            let word = u32::from_be_bytes(*entry);
            // 13, 13 and 6 bits.
            SliceLoss {
                first: (word >> 19) as u16,
                number: (word >> 6 & 0x1fff) as u16,
                picture_id: (word & 0x3f) as u8,
            }
        })
    }
}

/// Requests for key frames (RFC 5104, section 4.3.1). The media source in its header means nothing.
#[derive(Debug, Clone, Copy)]
pub struct Fir<'a> {
    /// Who asks.
    pub sender: Ssrc,
    entries: &'a [[u8; 8]],
}

/// One request of a [`Fir`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirEntry {
    /// The stream that shall send a key frame.
    pub ssrc: Ssrc,
    /// Counts requests: the same number again is the same request again.
    pub sequence_number: u8,
}

impl<'a> Fir<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        let ([sender, _], entries) = ssrcs(body)?;
        Ok(Fir { sender, entries: whole(entries, Fault::IntraRequest)? })
    }

    /// The requests, one for each eight bytes.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = FirEntry> + use<'a> {
        self.entries.iter().map(|&[a, b, c, d, sequence_number, ..]| FirEntry {
            ssrc: Ssrc(u32::from_be_bytes([a, b, c, d])),
            sequence_number,
        })
    }
}

/// At least one entry of `N` bytes and nothing over, behind the two sources.
fn whole<const N: usize>(entries: &[u8], fault: Fault) -> Result<&[[u8; N]], ParseError> {
    match entries.as_chunks() {
        (entries @ [_, ..], []) => Ok(entries),
        (entries, _) => Err(ParseError::at(8 + N * entries.len(), fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn s_rtcp_01_feedback_without_whole_entries_is_refused() {
        let at = |offset, fault| Some(ParseError::at(offset, fault));
        for (len, offset) in [(8, 8), (9, 8), (11, 8), (13, 12), (18, 16)] {
            assert_eq!(Nack::parse(&vec![0; len]).err(), at(offset, Fault::Nack), "{len} bytes");
            assert_eq!(Sli::parse(&vec![0; len]).err(), at(offset, Fault::SliceLoss), "{len} bytes");
        }
        for (len, offset) in [(8, 8), (12, 8), (20, 16)] {
            assert_eq!(Fir::parse(&vec![0; len]).err(), at(offset, Fault::IntraRequest), "{len} bytes");
        }
        for (len, offset) in [(0, 0), (3, 0), (4, 4), (7, 4)] {
            assert_eq!(Pli::parse(&vec![0; len]).err(), at(offset, Fault::Ssrc), "{len} bytes");
            assert_eq!(Pli::parse(&vec![0; 9 + len]).err(), at(8, Fault::PictureLoss), "{len} bytes");
            assert_eq!(Nack::parse(&vec![0; len]).err(), at(offset, Fault::Ssrc), "{len} bytes");
        }
    }

    #[test]
    fn rfc_4585_6_3_2_slices_have_13_13_and_6_bits() {
        let body = [0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xf8, 0x00, 0x7f];
        let sli = Sli::parse(&body).expect("well formed");
        assert_eq!((sli.sender, sli.media), (Ssrc(1), Ssrc(2)));
        assert!(sli.entries().eq([SliceLoss { first: 0x1fff, number: 1, picture_id: 0x3f }]));
    }

    #[test]
    fn a_pair_names_its_first_number_and_the_sixteen_behind_it() {
        let body = [0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0x80, 0x05];
        let nack = Nack::parse(&body).expect("well formed");
        assert_eq!((nack.sender, nack.media), (Ssrc(1), Ssrc(2)));
        let numbers: Vec<_> = nack.numbers().map(|number| number.0).collect();
        assert_eq!(numbers, [0xfffe, 0xffff, 1, 14]);
    }

    #[test]
    fn sixteen_neighbours_share_a_pair() {
        let mut room = [0xee; 8];
        let numbers = [65_530, 65_531, 10, 11].map(WireSeq);
        assert_eq!(write_nack(&mut room, numbers), Some(8));
        assert_eq!(room, [0xff, 0xfa, 0x80, 0x01, 0, 11, 0, 0]);
        assert_eq!(write_nack(&mut room[..7], numbers), None);
    }

    #[test]
    fn slices_whose_fields_do_not_fit_are_refused() {
        let fits = SliceLoss { first: 0x1fff, number: 0x1fff, picture_id: 0x3f };
        let mut buf = [0; 16];
        let mut writer = Writer::new(&mut buf);
        for wide in [
            SliceLoss { first: 0x2000, ..fits },
            SliceLoss { number: 0x2000, ..fits },
            SliceLoss { picture_id: 0x40, ..fits },
        ] {
            assert_eq!(writer.sli(Ssrc(1), Ssrc(2), &[wide]), Err(NoSpace));
        }
        assert_eq!(writer.sli(Ssrc(1), Ssrc(2), &[fits; 2]), Err(NoSpace));
        assert_eq!(writer.sli(Ssrc(1), Ssrc(2), &[]), Ok(()));
        assert!(writer.is_empty());
        assert_eq!(writer.sli(Ssrc(1), Ssrc(2), &[fits]), Ok(()));
    }

    proptest! {
        #[test]
        fn slices_survive_the_wire(
            losses in proptest::collection::vec((0u16..1 << 13, 0u16..1 << 13, 0u8..1 << 6), 1..20),
        ) {
            let loss = |(first, number, picture_id)| SliceLoss { first, number, picture_id };
            let losses: Vec<_> = losses.into_iter().map(loss).collect();
            let mut buf = [0; 100];
            let mut writer = Writer::new(&mut buf);
            writer.sli(Ssrc(1), Ssrc(2), &losses).expect("room");
            let len = writer.len();
            let sli = Sli::parse(&buf[4..len]).expect("what is written can be read");
            prop_assert!(sli.entries().eq(losses));
            prop_assert_eq!((sli.sender, sli.media), (Ssrc(1), Ssrc(2)));
            prop_assert_eq!(&buf[..2], &[0x82, 206]);
        }

        #[test]
        fn what_is_packed_is_read_back(start: u16, gaps in proptest::collection::vec(1u16..40, 0..60)) {
            let numbers: Vec<_> = gaps
                .iter()
                .scan(WireSeq(start), |at, gap| { *at = at.add(*gap); Some(*at) })
                .collect();
            let mut body = vec![0; 8 + 4 * 60];
            let written = write_nack(&mut body[8..], numbers.iter().copied()).expect("room");
            body.truncate(8 + written);
            match Nack::parse(&body) {
                Ok(nack) => prop_assert!(nack.numbers().eq(numbers)),
                Err(_) => prop_assert!(numbers.is_empty()),
            }
        }
    }
}
