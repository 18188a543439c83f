//! Records on the wire: cut out of datagrams, and the headers of ours (RFC 6347, section 4.1; RFC 9147, section 4).

use super::outcome::Drop;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
pub(super) const ACK: u8 = 26;

/// Bytes of the header of 1.2, which records in clear of 1.3 have as well.
pub(super) const LONG_HEADER: usize = 13;
/// Bytes of the header that we write under 1.3: flags, two of the number, two of the length.
pub(super) const SHORT_HEADER: usize = 5;

/// What a record's header says of its version: 1.2 in both, but 1.0 in a first flight (RFC 9147, section 5.3).
pub(super) const VERSION_12: [u8; 2] = [0xfe, 0xfd];
const VERSION_10: [u8; 2] = [0xfe, 0xff];

/// The flags of a short header (RFC 9147, section 4): `001CSLEE`.
const FIXED: u8 = 0b0010_0000;
const CONNECTION_ID: u8 = 0b0001_0000;
const LONG_NUMBER: u8 = 0b0000_1000;
const LENGTH: u8 = 0b0000_0100;
const EPOCH: u8 = 0b0000_0011;

/// A record as it lies in a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// With the header of 1.2: all of that version, and those in clear of 1.3.
    Long {
        kind: u8,
        epoch: u16,
        /// Of 48 bits.
        number: u64,
        body: &'a [u8],
    },
    /// With the header of 1.3, whose number is encrypted.
    Short {
        head: &'a [u8],
        /// Of the number: one or two bytes from the second one of `head` on.
        number_len: usize,
        /// The lowest two bits of the epoch.
        epoch: u8,
        body: &'a [u8],
    },
}

/// The records of a datagram in order. After one whose end is unknown nothing follows.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, Drop>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let split = Record::split(self.0);
        self.0 = split.map_or(&[], |(_, rest)| rest);
        let record = split.and_then(|(record, _)| record.admit());
        Some(record)
    }
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes` and what follows it.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Drop> {
        match *bytes {
            [kind @ 20..=31, major, minor, e0, e1, n0, n1, n2, n3, n4, n5, l0, l1, ref rest @ ..] => {
                let len = usize::from(u16::from_be_bytes([l0, l1]));
                let (body, rest) = rest.split_at_checked(len).ok_or(Drop::Truncated)?;
                let number = u64::from_be_bytes([0, 0, n0, n1, n2, n3, n4, n5]);
                let kind = if matches!([major, minor], VERSION_10 | VERSION_12) { kind } else { 0 };
                Ok((Record::Long { kind, epoch: u16::from_be_bytes([e0, e1]), number, body }, rest))
            }
            [20..=31, ..] => Err(Drop::Truncated),
            [flags @ 32..=63, ..] => Record::split_short(flags, bytes),
            _ => Err(Drop::ContentType),
        }
    }

    fn split_short(flags: u8, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Drop> {
        if flags & CONNECTION_ID != 0 {
            return Err(Drop::ConnectionId);
        }
        let number_len = if flags & LONG_NUMBER == 0 { 1 } else { 2 };
        let has_length = flags & LENGTH != 0;
        let head_len = 1 + number_len + if has_length { 2 } else { 0 };
        let (head, rest) = bytes.split_at_checked(head_len).ok_or(Drop::Truncated)?;
        let (body, rest) = match *head {
            [.., l0, l1] if has_length => {
                let len = usize::from(u16::from_be_bytes([l0, l1]));
                rest.split_at_checked(len).ok_or(Drop::Truncated)?
            }
            _ => (rest, &[][..]),
        };
        Ok((Record::Short { head, number_len, epoch: flags & EPOCH, body }, rest))
    }

    fn admit(self) -> Result<Self, Drop> {
        match self {
            Record::Long { kind: 0, .. } => Err(Drop::Version),
            Record::Long { body: [], .. } => Err(Drop::EmptyRecord),
            Record::Long { kind: CHANGE_CIPHER_SPEC..=APPLICATION_DATA | ACK, .. } | Record::Short { .. } => {
                Ok(self)
            }
            Record::Long { .. } => Err(Drop::ContentType),
        }
    }
}

/// The header of 1.2; `number` has 48 bits.
pub(super) fn long_header(kind: u8, epoch: u16, number: u64, len: usize) -> [u8; LONG_HEADER] {
    let [e0, e1] = epoch.to_be_bytes();
    let [_, _, n0, n1, n2, n3, n4, n5] = number.to_be_bytes();
    let [.., l0, l1] = len.to_be_bytes();
    let [v0, v1] = VERSION_12;
    [kind, v0, v1, e0, e1, n0, n1, n2, n3, n4, n5, l0, l1]
}

/// The header that we write under 1.3, its number in clear still.
pub(super) fn short_header(epoch: u16, number: u64, len: usize) -> [u8; SHORT_HEADER] {
    let [.., n0, n1] = number.to_be_bytes();
    let [.., l0, l1] = len.to_be_bytes();
    let [.., epoch] = epoch.to_be_bytes();
    [FIXED | LONG_NUMBER | LENGTH | (epoch & EPOCH), n0, n1, l0, l1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(kind: u8, body: &[u8]) -> Vec<u8> {
        [&long_header(kind, 3, 0x0102_0304_0506, body.len())[..], body].concat()
    }

    fn all(datagram: &[u8]) -> Vec<Result<Record<'_>, Drop>> {
        Records(datagram).collect()
    }

    #[test]
    fn s_dtls_06_many_records_in_a_datagram_are_read_and_a_bad_one_hides_no_other() {
        let mut datagram = long(HANDSHAKE, b"one");
        datagram.extend(long(25, b"no such type"));
        datagram.extend(long(APPLICATION_DATA, b""));
        let mut old = long(HANDSHAKE, b"old");
        old[2] = 0xfc;
        datagram.extend(old);
        datagram.extend(short_header(6, 0x0708, 3));
        datagram.extend(b"two");
        datagram.extend([FIXED | 1, 9]);
        datagram.extend(b"to the end");
        let records = all(&datagram);
        assert_eq!(
            records[0],
            Ok(Record::Long { kind: HANDSHAKE, epoch: 3, number: 0x0102_0304_0506, body: b"one" })
        );
        assert_eq!(records[1..3], [Err(Drop::ContentType), Err(Drop::EmptyRecord)]);
        assert_eq!(records[3], Err(Drop::Version));
        let head = &short_header(6, 0x0708, 3)[..];
        assert_eq!(records[4], Ok(Record::Short { head, number_len: 2, epoch: 2, body: b"two" }));
        let head = &[FIXED | 1, 9][..];
        assert_eq!(records[5], Ok(Record::Short { head, number_len: 1, epoch: 1, body: b"to the end" }));
        assert_eq!(records.len(), 6);
    }

    #[test]
    fn s_dtls_06_what_runs_past_the_datagram_ends_it() {
        for whole in [long(HANDSHAKE, b"abc"), [&short_header(2, 1, 3)[..], b"abc"].concat()] {
            for len in 1..whole.len() {
                assert_eq!(all(&whole[..len]), [Err(Drop::Truncated)], "{len} bytes");
            }
        }
        assert_eq!(all(&[FIXED | CONNECTION_ID, 1, 2]), [Err(Drop::ConnectionId)]);
        assert_eq!(all(&[0, 1, 2]), [Err(Drop::ContentType)]);
        assert_eq!(all(&[64]), [Err(Drop::ContentType)]);
        assert_eq!(all(&[]), []);
    }
}
