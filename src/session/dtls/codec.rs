//! Reading and writing the presentation language of TLS: numbers in network order, vectors behind their lengths
//! (RFC 8446, section 3).

/// What is left of a message that is being read. Every step is `None` past its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| *byte)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(super) fn u24(&mut self) -> Option<usize> {
        self.array().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]) as usize)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A vector of at most 2^8 - 1 bytes.
    pub(super) fn vec8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.bytes(len.into())
    }

    /// A vector of at most 2^16 - 1 bytes.
    pub(super) fn vec16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.bytes(len.into())
    }

    /// A vector of at most 2^24 - 1 bytes.
    pub(super) fn vec24(&mut self) -> Option<&'a [u8]> {
        let len = self.u24()?;
        self.bytes(len)
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// A list of numbers of 16 bits, as of suites and groups; `None` if half of one is left.
pub(super) fn u16s(list: &[u8]) -> Option<impl Iterator<Item = u16> + Clone> {
    let (pairs, rest) = list.as_chunks();
    rest.is_empty().then(|| pairs.iter().map(|pair| u16::from_be_bytes(*pair)))
}

/// A message that is being written. What is longer than its length can say is cut off: nothing of ours is.
pub(super) trait Write {
    fn u8(&mut self, value: u8);
    fn u16(&mut self, value: u16);
    fn u24(&mut self, value: usize);
    fn u64(&mut self, value: u64);
    fn raw(&mut self, bytes: &[u8]);
    fn vec8(&mut self, write: impl FnOnce(&mut Vec<u8>));
    fn vec16(&mut self, write: impl FnOnce(&mut Vec<u8>));
    fn vec24(&mut self, write: impl FnOnce(&mut Vec<u8>));
}

impl Write for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn u24(&mut self, value: usize) {
        let [.., a, b, c] = value.to_be_bytes();
        self.extend_from_slice(&[a, b, c]);
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn vec8(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        vector::<1>(self, write);
    }

    fn vec16(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        vector::<2>(self, write);
    }

    fn vec24(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        vector::<3>(self, write);
    }
}

/// Writes a vector behind its length, which has `N` bytes.
fn vector<const N: usize>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; N]);
    write(out);
    let len = out.len().saturating_sub(at + N).to_be_bytes();
    let from = len.len().saturating_sub(N);
    if let (Some(to), Some(len)) = (out.get_mut(at..at + N), len.get(from..)) {
        to.copy_from_slice(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_not_a_byte_more() {
        let mut out = Vec::new();
        out.vec8(|out| out.raw(b"abc"));
        out.vec16(|out| out.vec24(|out| out.u16(0x0102)));
        out.u24(0x01_0203);
        out.u64(7);
        let mut reader = Reader(&out);
        assert_eq!(reader.vec8(), Some(&b"abc"[..]));
        let mut inner = Reader(reader.vec16().unwrap());
        assert_eq!((inner.vec24(), inner.end()), (Some(&[1, 2][..]), Some(())));
        assert_eq!((reader.u24(), reader.u64(), reader.u8()), (Some(0x01_0203), Some(7), None));
        assert_eq!(reader.end(), Some(()));
        for len in 0..out.len() {
            let mut reader = Reader(&out[..len]);
            let all = (|| Some((reader.vec8()?, reader.vec16()?, reader.u24()?, reader.u64()?)))();
            assert_eq!(all, None);
        }
        assert!(u16s(&[1, 2, 3]).is_none() && u16s(&[1, 2]).unwrap().eq([0x0102]));
    }
}
