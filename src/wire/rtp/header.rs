//! Writes the header of a packet that is sent.

use super::extensions::{ONE_BYTE, TWO_BYTE};
use super::{Extensions, PayloadType, RtpTime, Ssrc, WireSeq};

/// What was to be written does not fit: the buffer is full, or a field too narrow for the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not enough space")]
pub struct NoSpace;

/// Bytes of the fixed header.
const FIXED: usize = 12;
/// Bytes of the extension's own header: profile and length.
const PREFIX: usize = 4;
/// Contributing sources of one packet: the count has four bits.
const MOST_CSRCS: u8 = 15;

/// Which form the elements take (RFC 8285, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
    /// One byte until an element needs two.
    Mixed,
}

/// Writes fixed header, contributing sources and extension elements to the start of a buffer.
///
/// What is refused leaves what was written as it was, and nothing is written past the buffer. Without
/// any element there is no extension at all.
#[derive(Debug)]
pub struct HeaderWriter<'b> {
    buf: &'b mut [u8],
    /// Where the elements begin.
    start: usize,
    /// End of the elements; `start` while there are none.
    end: usize,
    form: Form,
}

impl<'b> HeaderWriter<'b> {
    /// Begins a header whose extensions take the one-byte form (RFC 8285, section 4.2).
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter than 12 bytes.
    #[inline]
    pub fn new(
        buf: &'b mut [u8],
        marker: bool,
        payload_type: PayloadType,
        seq: WireSeq,
        timestamp: RtpTime,
        ssrc: Ssrc,
    ) -> Result<HeaderWriter<'b>, NoSpace> {
        let [s0, s1] = seq.0.to_be_bytes();
        let [t0, t1, t2, t3] = timestamp.0.to_be_bytes();
        let [r0, r1, r2, r3] = ssrc.0.to_be_bytes();
        let second = payload_type.get() | u8::from(marker) << 7;
        *buf.first_chunk_mut::<FIXED>().ok_or(NoSpace)? =
            [0x80, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
        Ok(HeaderWriter { buf, start: FIXED + PREFIX, end: FIXED + PREFIX, form: Form::OneByte })
    }

    /// The same with the two-byte form (RFC 8285, section 4.3), whatever the elements need.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter than 12 bytes.
    #[inline]
    pub fn two_byte(
        buf: &'b mut [u8],
        marker: bool,
        payload_type: PayloadType,
        seq: WireSeq,
        timestamp: RtpTime,
        ssrc: Ssrc,
    ) -> Result<HeaderWriter<'b>, NoSpace> {
        let writer = HeaderWriter::new(buf, marker, payload_type, seq, timestamp, ssrc)?;
        Ok(HeaderWriter { form: Form::TwoByte, ..writer })
    }

    /// The same for a receiver that takes either form (`a=extmap-allow-mixed`, RFC 8285, section 6):
    /// one-byte elements, unless one does not [fit](fits_one_byte), which makes all of them two-byte
    /// ones.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter than 12 bytes.
    #[inline]
    pub fn mixed(
        buf: &'b mut [u8],
        marker: bool,
        payload_type: PayloadType,
        seq: WireSeq,
        timestamp: RtpTime,
        ssrc: Ssrc,
    ) -> Result<HeaderWriter<'b>, NoSpace> {
        let writer = HeaderWriter::new(buf, marker, payload_type, seq, timestamp, ssrc)?;
        Ok(HeaderWriter { form: Form::Mixed, ..writer })
    }

    /// Sets the padding bit: the payload will end in padding whose last byte is its count
    /// ([`write_padding`]).
    #[inline]
    pub fn padding(&mut self) {
        if let Some(first) = self.buf.first_mut() {
            *first |= 0x20;
        }
    }

    /// Appends a contributing source (RFC 3550, section 5.1).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, behind 15 of them, and behind an element: sources come first.
    pub fn csrc(&mut self, ssrc: Ssrc) -> Result<(), NoSpace> {
        let at = self.start.saturating_sub(PREFIX);
        if self.end != self.start || self.buf.first().is_none_or(|first| first & 0x0f == MOST_CSRCS) {
            return Err(NoSpace);
        }
        *self.buf.get_mut(at..).and_then(<[u8]>::first_chunk_mut).ok_or(NoSpace)? = ssrc.0.to_be_bytes();
        if let Some(first) = self.buf.first_mut() {
            *first += 1;
        }
        self.start += 4;
        self.end = self.start;
        Ok(())
    }

    /// Appends an element.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends or the form has no such element: identifier 0 in all of them,
    /// more than 14 or a value of other than 1 to 16 bytes in the one-byte form, a value above 255
    /// bytes in the two-byte form.
    // Always, because the callers' identifiers and lengths are mostly constants: a third less time.
    #[inline(always)]
    pub fn extension(&mut self, id: u8, value: &[u8]) -> Result<(), NoSpace> {
        if self.form == Form::TwoByte {
            return self.two_byte_element(id, value);
        }
        if !fits_one_byte(id, value) {
            return self.wide_element(id, value);
        }
        let room = self.buf.get_mut(self.end..).ok_or(NoSpace)?;
        // One to sixteen bytes, as just checked.
        let head = id << 4 | (value.len() - 1) as u8;
        // The usual lengths are spelled out: a call of `memcpy` costs more than the rest.
        match *value {
            [a] => *room.first_chunk_mut().ok_or(NoSpace)? = [head, a],
            [a, b] => *room.first_chunk_mut().ok_or(NoSpace)? = [head, a, b],
            [a, b, c] => *room.first_chunk_mut().ok_or(NoSpace)? = [head, a, b, c],
            _ => {
                let (first, room) = room.split_first_mut().ok_or(NoSpace)?;
                room.get_mut(..value.len()).ok_or(NoSpace)?.copy_from_slice(value);
                *first = head;
            }
        }
        self.end += 1 + value.len();
        Ok(())
    }

    fn two_byte_element(&mut self, id: u8, value: &[u8]) -> Result<(), NoSpace> {
        let len = u8::try_from(value.len()).map_err(|_| NoSpace)?;
        if id == 0 {
            return Err(NoSpace);
        }
        let room = self.buf.get_mut(self.end..).ok_or(NoSpace)?;
        let (head, room) = room.split_first_chunk_mut().ok_or(NoSpace)?;
        room.get_mut(..value.len()).ok_or(NoSpace)?.copy_from_slice(value);
        *head = [id, len];
        self.end += 2 + value.len();
        Ok(())
    }

    /// An element that does not fit the one-byte form: where forms mix, those before it change theirs.
    #[cold]
    fn wide_element(&mut self, id: u8, value: &[u8]) -> Result<(), NoSpace> {
        if self.form != Form::Mixed || id == 0 || value.len() > 255 {
            return Err(NoSpace);
        }
        let elements = self.buf.get_mut(self.start..).unwrap_or_default();
        let len = self.end - self.start;
        let count = Extensions::new(Some(ONE_BYTE), elements.get(..len).unwrap_or_default()).count();
        if elements.len() < len + count + 2 + value.len() {
            return Err(NoSpace);
        }
        // Moved to their new end, then each back to its place: behind that there is always a byte left
        // for each head that is yet to grow.
        elements.copy_within(..len, count);
        let (mut from, mut to) = (count, 0);
        while let Some(head) = elements.get(from).copied().filter(|_| from < len + count) {
            let size = usize::from(head & 0x0f) + 1;
            elements.copy_within(from + 1..from + 1 + size, to + 2);
            if let Some(two) = elements.get_mut(to..).and_then(<[u8]>::first_chunk_mut) {
                *two = [head >> 4, size as u8];
            }
            (from, to) = (from + 1 + size, to + 2 + size);
        }
        self.end += count;
        self.form = Form::TwoByte;
        self.two_byte_element(id, value)
    }

    /// Bytes of the header as it stands: what [`HeaderWriter::finish`] returns, if the buffer has them.
    #[inline]
    pub fn header_len(&self) -> usize {
        if self.end == self.start { self.start - PREFIX } else { self.end.next_multiple_of(4) }
    }

    /// Pads the extension to 32 bits, completes its header and returns the length of the whole.
    ///
    /// # Errors
    /// [`NoSpace`] if the padding does not fit.
    #[inline]
    pub fn finish(self) -> Result<usize, NoSpace> {
        let len = self.header_len();
        if self.end == self.start {
            return Ok(len);
        }
        let words = u16::try_from((len - self.start) / 4).map_err(|_| NoSpace)?;
        // Spelled out for the same reason as above: there are at most three.
        match self.buf.get_mut(self.end..len).ok_or(NoSpace)? {
            [a] => *a = 0,
            [a, b] => [*a, *b] = [0; 2],
            [a, b, c] => [*a, *b, *c] = [0; 3],
            _ => {}
        }
        let [p0, p1] = if self.form == Form::TwoByte { TWO_BYTE } else { ONE_BYTE }.to_be_bytes();
        let [w0, w1] = words.to_be_bytes();
        let prefix = self.buf.get_mut(self.start - PREFIX..self.start).unwrap_or_default();
        if let Some(prefix) = prefix.first_chunk_mut::<PREFIX>() {
            *prefix = [p0, p1, w0, w1];
        }
        if let Some(first) = self.buf.first_mut() {
            *first |= 0x10;
        }
        Ok(len)
    }
}

/// Whether an element can be written in the one-byte form: identifier 1 to 14, 1 to 16 bytes.
#[inline]
pub const fn fits_one_byte(id: u8, value: &[u8]) -> bool {
    matches!(id, 1..=14) && matches!(value.len(), 1..=16)
}

/// Writes `count` bytes of padding to the start of `buf`, behind a payload whose header
/// [says so](HeaderWriter::padding): zeros, and the count in the last (RFC 3550, section 5.1).
/// Returns `count`.
///
/// # Errors
/// [`NoSpace`] if `buf` is shorter, and for a count of zero, which no padding has.
pub fn write_padding(buf: &mut [u8], count: u8) -> Result<usize, NoSpace> {
    let padding = buf.get_mut(..usize::from(count)).ok_or(NoSpace)?;
    let (last, zeros) = padding.split_last_mut().ok_or(NoSpace)?;
    zeros.fill(0);
    *last = count;
    Ok(usize::from(count))
}

#[cfg(test)]
mod tests {
    use super::super::Packet;
    use super::*;
    use proptest::prelude::*;

    const PT: PayloadType = PayloadType::from_header(96);

    fn begin(buf: &mut [u8]) -> HeaderWriter<'_> {
        HeaderWriter::new(buf, true, PT, WireSeq(7), RtpTime(9), Ssrc(11)).expect("12 bytes")
    }

    fn begin_mixed(buf: &mut [u8]) -> HeaderWriter<'_> {
        HeaderWriter::mixed(buf, true, PT, WireSeq(7), RtpTime(9), Ssrc(11)).expect("12 bytes")
    }

    fn begin_two_byte(buf: &mut [u8]) -> HeaderWriter<'_> {
        HeaderWriter::two_byte(buf, true, PT, WireSeq(7), RtpTime(9), Ssrc(11)).expect("12 bytes")
    }

    #[test]
    fn without_elements_there_is_no_extension() {
        let mut buf = [0xee; 12];
        assert_eq!(begin(&mut buf).finish(), Ok(12));
        assert_eq!(buf, [0x80, 0xe0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 11]);
    }

    #[test]
    fn the_extension_is_padded_with_zeros_to_32_bits() {
        let mut buf = [0xee; 20];
        let mut writer = begin(&mut buf);
        writer.extension(3, &[0xaa, 0xbb]).expect("fits");
        writer.padding();
        assert_eq!(writer.finish(), Ok(20));
        assert_eq!(buf, [0xb0, 0xe0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 11, 0xbe, 0xde, 0, 1, 0x31, 0xaa, 0xbb, 0]);
    }

    #[test]
    fn elements_outside_the_one_byte_form_are_refused_and_fit_the_other() {
        for (id, len) in [(15, 1), (255, 4), (1, 0), (1, 17)] {
            let (mut buf, value) = ([0; 64], vec![5; len]);
            assert!(!fits_one_byte(id, &value));
            assert_eq!(begin(&mut buf).extension(id, &value), Err(NoSpace));
            let mut writer = begin_two_byte(&mut buf);
            assert_eq!(writer.extension(id, &value), Ok(()));
            let len = writer.finish().expect("room");
            let packet = Packet::parse(&buf[..len]).expect("ours");
            assert_eq!(packet.extension(id), Some(&value[..]));
        }
    }

    #[test]
    fn identifier_0_and_values_above_255_bytes_are_always_refused() {
        let mut buf = [0; 600];
        assert_eq!(begin(&mut buf).extension(0, &[1]), Err(NoSpace));
        assert_eq!(begin_two_byte(&mut buf).extension(0, &[1]), Err(NoSpace));
        assert_eq!(begin_two_byte(&mut buf).extension(1, &[1; 256]), Err(NoSpace));
    }

    #[test]
    fn a_refused_element_leaves_the_others() {
        let mut buf = [0; 20];
        let mut writer = begin(&mut buf);
        writer.extension(1, &[1, 2]).expect("fits");
        assert_eq!(writer.extension(2, &[3]), Err(NoSpace));
        assert_eq!(writer.finish(), Ok(20));
        let packet = Packet::parse(&buf).expect("ours");
        assert!(packet.extensions().eq([(1, &[1, 2][..])]));
    }

    #[test]
    fn contributing_sources_stand_in_front_of_the_extension() {
        let mut buf = [0xee; 28];
        let mut writer = begin(&mut buf);
        writer.csrc(Ssrc(0x0102_0304)).expect("room");
        writer.csrc(Ssrc(5)).expect("room");
        assert_eq!(writer.header_len(), 20);
        writer.extension(1, &[0xaa]).expect("room");
        assert_eq!(writer.csrc(Ssrc(6)), Err(NoSpace), "behind an element");
        assert_eq!((writer.header_len(), writer.finish()), (28, Ok(28)));
        assert_eq!(buf[0], 0x92);
        assert_eq!(buf[12..], [1, 2, 3, 4, 0, 0, 0, 5, 0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0]);
    }

    #[test]
    fn a_sixteenth_contributing_source_is_refused() {
        let mut buf = [0; 100];
        let mut writer = begin(&mut buf);
        assert!((0..15).all(|n| writer.csrc(Ssrc(n)).is_ok()));
        assert_eq!(writer.csrc(Ssrc(15)), Err(NoSpace));
        assert_eq!(writer.finish(), Ok(72));
        assert!(Packet::parse(&buf).expect("ours").csrcs().eq((0..15).map(Ssrc)));
    }

    #[test]
    fn mixed_forms_stay_one_byte_while_each_element_fits() {
        let (mut one, mut mixed) = ([0; 32], [0; 32]);
        let mut writers = [begin(&mut one), begin_mixed(&mut mixed)];
        for writer in &mut writers {
            writer.extension(1, &[1, 2, 3]).expect("room");
            writer.extension(14, &[4; 5]).expect("room");
        }
        let [first, second] = writers.map(HeaderWriter::finish);
        assert_eq!((first, second), (Ok(28), Ok(28)));
        assert_eq!(one, mixed);
    }

    #[test]
    fn an_element_that_needs_two_bytes_changes_the_form_of_all() {
        let mut buf = [0xee; 64];
        let mut writer = begin_mixed(&mut buf);
        writer.extension(1, &[1, 2, 3]).expect("room");
        writer.extension(2, &[4]).expect("room");
        writer.extension(15, &[]).expect("room");
        writer.extension(3, &[5; 17]).expect("room");
        writer.extension(4, &[6]).expect("room");
        let len = writer.finish().expect("room");
        assert_eq!(buf[12..26], [0x10, 0, 0, 8, 1, 3, 1, 2, 3, 2, 1, 4, 15, 0]);
        let packet = Packet::parse(&buf[..len]).expect("ours");
        let expected = [(1, &[1, 2, 3][..]), (2, &[4]), (15, &[]), (3, &[5; 17]), (4, &[6])];
        assert!(packet.extensions().eq(expected));
    }

    #[test]
    fn a_change_of_form_without_room_changes_nothing() {
        // 16 + 4 + 2 bytes stand; two heads grow by one, and the new one needs 2 and 1.
        for (room, fits) in [(26, false), (27, false), (28, true)] {
            let mut buf = vec![0; room];
            let mut writer = begin_mixed(&mut buf);
            writer.extension(1, &[1, 2, 3]).expect("room");
            writer.extension(2, &[4]).expect("room");
            let before = writer.header_len();
            assert_eq!(writer.extension(15, &[9]).is_ok(), room > 26);
            if room == 26 {
                assert_eq!(writer.header_len(), before);
            }
            assert_eq!(writer.finish().is_ok(), fits || room == 26);
        }
    }

    #[test]
    fn padding_ends_in_its_count() {
        let mut buf = [0xee; 6];
        assert_eq!(write_padding(&mut buf, 4), Ok(4));
        assert_eq!(buf, [0, 0, 0, 4, 0xee, 0xee]);
        assert_eq!(write_padding(&mut buf, 1), Ok(1));
        assert_eq!(buf[..2], [1, 0]);
        assert_eq!(write_padding(&mut buf, 0), Err(NoSpace));
        assert_eq!(write_padding(&mut buf, 7), Err(NoSpace));
    }

    proptest! {
        #[test]
        fn s_rtp_10_writing_never_passes_the_end_of_the_buffer(
            len in 0usize..96,
            form in 0usize..3,
            csrcs in proptest::collection::vec(any::<u32>(), 0..18),
            elements in proptest::collection::vec((0u8..20, proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
        ) {
            let mut buf = vec![0; len];
            let begin = [HeaderWriter::new, HeaderWriter::two_byte, HeaderWriter::mixed][form];
            let Ok(mut writer) = begin(&mut buf, false, PT, WireSeq(1), RtpTime(2), Ssrc(3)) else {
                prop_assert!(len < 12);
                return Ok(());
            };
            let sources: Vec<_> = csrcs.into_iter().map(Ssrc).filter(|ssrc| writer.csrc(*ssrc).is_ok()).collect();
            let taken: Vec<_> =
                elements.iter().filter(|(id, value)| writer.extension(*id, value).is_ok()).collect();
            let announced = writer.header_len();
            if let Ok(written) = writer.finish() {
                prop_assert!(written <= len);
                prop_assert_eq!(written, announced);
                let packet = Packet::parse(&buf[..written]).expect("ours");
                prop_assert_eq!(packet.header_len(), written);
                prop_assert!(packet.csrcs().eq(sources));
                prop_assert!(packet.extensions().eq(taken.iter().map(|(id, value)| (*id, &value[..]))));
                let wide = taken.iter().any(|(id, value)| !fits_one_byte(*id, value));
                if form == 2 && !taken.is_empty() {
                    prop_assert_eq!(packet.extension_profile(), Some(if wide { 0x1000 } else { 0xbede }));
                }
            } else {
                prop_assert!(announced > len);
            }
        }
    }
}
