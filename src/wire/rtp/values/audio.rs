//! How loud a packet is, and how loud each of those mixed into it.

use super::super::NoSpace;

/// Loudness of an audio packet, client to mixer (RFC 6464, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioLevel {
    /// Whether the sender believes that this is speech.
    pub voice: bool,
    /// In dB below the loudest: 0 is full scale, 127 is silence (-dBov).
    pub level: u8,
}

impl AudioLevel {
    /// Reads the value; `None` if it is not one byte, which it is in either form: what the RFC draws
    /// behind it in the two-byte form is padding between elements.
    #[inline]
    pub const fn parse(value: &[u8]) -> Option<AudioLevel> {
        match *value {
            [byte] => Some(AudioLevel { voice: byte & 0x80 != 0, level: byte & 0x7f }),
            _ => None,
        }
    }

    /// The value as it travels; a level above 127 is 127.
    #[inline]
    pub const fn to_byte(self) -> u8 {
        let level = if self.level > 127 { 127 } else { self.level };
        level | (self.voice as u8) << 7
    }
}

/// Most contributing sources of a packet, so most levels.
const MOST: usize = 15;

/// Loudness of each contributing source, mixer to client (RFC 6465, section 3): as many levels as the
/// packet has sources, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsrcAudioLevels<'a>(&'a [u8]);

impl<'a> CsrcAudioLevels<'a> {
    /// Reads the value; `None` if it is empty or longer than a packet's 15 sources.
    pub fn parse(value: &'a [u8]) -> Option<CsrcAudioLevels<'a>> {
        (1..=MOST).contains(&value.len()).then_some(CsrcAudioLevels(value))
    }

    /// The levels in -dBov, 0 to 127.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u8> + use<'a> {
        self.0.iter().map(|byte| byte & 0x7f)
    }

    /// Writes levels to the start of `buf` and returns the length of the value; levels above 127 are
    /// 127.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter, or for none or more than 15 levels.
    pub fn write(levels: &[u8], buf: &mut [u8]) -> Result<usize, NoSpace> {
        if !(1..=MOST).contains(&levels.len()) {
            return Err(NoSpace);
        }
        let value = buf.get_mut(..levels.len()).ok_or(NoSpace)?;
        value.iter_mut().zip(levels).for_each(|(byte, level)| *byte = (*level).min(127));
        Ok(levels.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{HeaderWriter, Packet, PayloadType, RtpTime, Ssrc, WireSeq};
    use super::*;

    #[test]
    fn rfc_6464_3_one_bit_of_voice_and_seven_of_level() {
        for byte in 0..=255u8 {
            let level = AudioLevel::parse(&[byte]).expect("one byte");
            assert_eq!((level.voice, level.level), (byte >= 128, byte % 128));
            assert_eq!(level.to_byte(), byte);
        }
        assert_eq!(AudioLevel::parse(&[]), None);
        assert_eq!(AudioLevel::parse(&[1, 2]), None);
        assert_eq!(AudioLevel { voice: true, level: 200 }.to_byte(), 0xff);
    }

    #[test]
    fn rfc_6464_3_the_two_byte_form_is_padded_behind_the_value() {
        // Figure 2: identifier, length 1, the value, one byte of padding.
        let mut bytes = vec![0x90, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0, 0, 1, 5, 1, 0x85, 0];
        let level = |bytes: &[u8]| Packet::parse(bytes).ok()?.extension(5).and_then(AudioLevel::parse);
        assert_eq!(level(&bytes), Some(AudioLevel { voice: true, level: 5 }));
        bytes.splice(12.., [0xbe, 0xde, 0, 1, 0x50, 0x85, 0, 0]);
        assert_eq!(level(&bytes), Some(AudioLevel { voice: true, level: 5 }), "figure 1");
    }

    #[test]
    fn rfc_6465_3_one_level_for_each_contributing_source() {
        let (mut value, mut buf) = ([0; 15], [0; 64]);
        let len = CsrcAudioLevels::write(&[0, 127, 200], &mut value).expect("room");
        let payload_type = PayloadType::new(96).expect("below 128");
        let writer = HeaderWriter::new(&mut buf, false, payload_type, WireSeq(1), RtpTime(2), Ssrc(3));
        let mut writer = writer.expect("room");
        (7..10).for_each(|source| writer.csrc(Ssrc(source)).expect("room"));
        writer.extension(2, &value[..len]).expect("room");
        let len = writer.finish().expect("room");
        let packet = Packet::parse(&buf[..len]).expect("ours");
        let levels = packet.extension(2).and_then(CsrcAudioLevels::parse).expect("three levels");
        let expected = [(Ssrc(7), 0), (Ssrc(8), 127), (Ssrc(9), 127)];
        assert!(packet.csrcs().zip(levels.iter()).eq(expected));
    }

    #[test]
    fn levels_of_no_source_and_of_sixteen_are_none() {
        assert_eq!(CsrcAudioLevels::parse(&[]), None);
        assert_eq!(CsrcAudioLevels::parse(&[0; 16]), None);
        assert_eq!(CsrcAudioLevels::parse(&[0xff; 15]).map(|levels| levels.iter().len()), Some(15));
        assert_eq!(CsrcAudioLevels::write(&[], &mut [0; 4]), Err(NoSpace));
        assert_eq!(CsrcAudioLevels::write(&[1; 16], &mut [0; 20]), Err(NoSpace));
        assert_eq!(CsrcAudioLevels::write(&[1, 2], &mut [0; 1]), Err(NoSpace));
    }
}
