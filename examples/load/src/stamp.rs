//! When a packet was sent, and what it is: the last bytes of every payload. The server does not read payloads
//! behind their descriptors, so what it forwards or sends again says itself how long it was under way.

use estafette::Instant;

/// Bytes of a stamp.
pub const LEN: usize = 8;

/// What a payload says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub sent: Instant,
    /// Which of the camera's encodings it is; 0 for sound.
    pub encoding: usize,
}

impl Stamp {
    /// Writes it to the end of a payload, which has room for it.
    pub fn write(self, payload: &mut [u8]) {
        let word = self.sent.as_micros() << 2 | self.encoding as u64;
        if let Some(end) = payload.last_chunk_mut() {
            *end = word.to_be_bytes();
        }
    }

    /// Reads the end of a payload.
    pub fn read(payload: &[u8]) -> Option<Stamp> {
        let word = u64::from_be_bytes(*payload.last_chunk::<LEN>()?);
        Some(Stamp { sent: Instant::from_micros(word >> 2), encoding: (word & 3) as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_as_it_was() {
        let mut payload = [0xff; 20];
        let stamp = Stamp { sent: Instant::from_micros(123_456_789), encoding: 2 };
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[..12], [0xff; 12]);
        assert_eq!(Stamp::read(&payload[..LEN - 1]), None);
    }
}
