//! Writes the header of a packet that is sent.

use super::extensions::{ONE_BYTE, TWO_BYTE};
use super::{PayloadType, RtpTime, Ssrc, WireSeq};

/// What was to be written does not fit: the buffer is full, or a field too narrow for the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not enough space")]
pub struct NoSpace;

/// Where the extension's elements begin: fixed header, then profile and length.
const ELEMENTS: usize = 16;

/// Writes fixed header and extension elements to the start of a buffer, no contributing sources.
///
/// An element that is refused leaves what was written as it was. Without any element there is no
/// extension at all.
#[derive(Debug)]
pub struct HeaderWriter<'b> {
    buf: &'b mut [u8],
    /// End of the elements; [`ELEMENTS`] while there are none.
    end: usize,
    two_byte: bool,
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
        *buf.first_chunk_mut::<12>().ok_or(NoSpace)? = [0x80, second, s0, s1, t0, t1, t2, t3, r0, r1, r2, r3];
        Ok(HeaderWriter { buf, end: ELEMENTS, two_byte: false })
    }

    /// The same with the two-byte form (RFC 8285, section 4.3): needed as soon as one element does
    /// not [fit](fits_one_byte) the other, allowed where the receiver takes mixed forms.
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
        Ok(HeaderWriter { two_byte: true, ..writer })
    }

    /// Sets the padding bit: the payload will end in padding whose last byte is its count.
    #[inline]
    pub fn padding(&mut self) {
        if let Some(first) = self.buf.first_mut() {
            *first |= 0x20;
        }
    }

    /// Appends an element.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends or the form has no such element: identifier 0 in both, more
    /// than 14 or a value of other than 1 to 16 bytes in the one-byte form, a value above 255 bytes
    /// in the two-byte form.
    // Always, because the callers' identifiers and lengths are mostly constants: a third less time.
    #[inline(always)]
    pub fn extension(&mut self, id: u8, value: &[u8]) -> Result<(), NoSpace> {
        if self.two_byte {
            return self.two_byte_element(id, value);
        }
        if !fits_one_byte(id, value) {
            return Err(NoSpace);
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

    /// Pads the extension to 32 bits, completes its header and returns the length of the whole.
    ///
    /// # Errors
    /// [`NoSpace`] if the padding does not fit.
    #[inline]
    pub fn finish(self) -> Result<usize, NoSpace> {
        if self.end == ELEMENTS {
            return Ok(12);
        }
        let len = self.end.next_multiple_of(4);
        let words = u16::try_from((len - ELEMENTS) / 4).map_err(|_| NoSpace)?;
        // Spelled out for the same reason as above: there are at most three.
        match self.buf.get_mut(self.end..len).ok_or(NoSpace)? {
            [a] => *a = 0,
            [a, b] => [*a, *b] = [0; 2],
            [a, b, c] => [*a, *b, *c] = [0; 3],
            _ => {}
        }
        let [p0, p1] = if self.two_byte { TWO_BYTE } else { ONE_BYTE }.to_be_bytes();
        let [w0, w1] = words.to_be_bytes();
        if let Some([first, .., a, b, c, d]) = self.buf.first_chunk_mut::<ELEMENTS>() {
            *first |= 0x10;
            [*a, *b, *c, *d] = [p0, p1, w0, w1];
        }
        Ok(len)
    }
}

/// Whether an element can be written in the one-byte form: identifier 1 to 14, 1 to 16 bytes.
#[inline]
pub const fn fits_one_byte(id: u8, value: &[u8]) -> bool {
    matches!(id, 1..=14) && matches!(value.len(), 1..=16)
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

    proptest! {
        #[test]
        fn s_rtp_10_writing_never_passes_the_end_of_the_buffer(
            len in 0usize..64,
            two_byte: bool,
            elements in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
        ) {
            let mut buf = vec![0; len];
            let begin = if two_byte { HeaderWriter::two_byte } else { HeaderWriter::new };
            let Ok(mut writer) = begin(&mut buf, false, PT, WireSeq(1), RtpTime(2), Ssrc(3)) else {
                prop_assert!(len < 12);
                return Ok(());
            };
            let taken: Vec<_> =
                elements.iter().filter(|(id, value)| writer.extension(*id, value).is_ok()).collect();
            if let Ok(written) = writer.finish() {
                prop_assert!(written <= len);
                let packet = Packet::parse(&buf[..written]).expect("ours");
                prop_assert_eq!(packet.header_len(), written);
                prop_assert!(packet.extensions().eq(taken.iter().map(|(id, value)| (*id, &value[..]))));
            }
        }
    }
}
