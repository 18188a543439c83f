//! Messages into borrowed bytes.

use super::attribute::*;
use super::{
    COOKIE, Class, FINGERPRINT_ATTRIBUTE, FINGERPRINT_XOR, HEADER, INTEGRITY_ATTRIBUTE, PasswordAlgorithm,
    SHA256_ATTRIBUTE, TransactionId, ipv6_mask, port_mask,
};
use std::net::{IpAddr, SocketAddr};

/// The buffer is too small for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the buffer is too small for the STUN message")]
pub struct NoSpace;

/// Writes one message at the start of a buffer: header, then attributes in the order of the calls,
/// then [`finish`](Writer::finish).
///
/// After an error the buffer holds nothing of use.
#[derive(Debug)]
pub struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
    id: TransactionId,
    padding: u8,
}

impl<'b> Writer<'b> {
    /// Writes the header (RFC 8489, section 5); its length is right once the message is finished. Bits of
    /// `method` above the twelfth are ignored.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` does not even take the header.
    pub fn new(buf: &'b mut [u8], class: Class, method: u16, id: TransactionId) -> Result<Self, NoSpace> {
        let (kind, rest) = buf.split_first_chunk_mut::<4>().ok_or(NoSpace)?;
        let (cookie, rest) = rest.split_first_chunk_mut::<4>().ok_or(NoSpace)?;
        let (transaction, _) = rest.split_first_chunk_mut::<12>().ok_or(NoSpace)?;
        let [t0, t1] = message_type(class, method).to_be_bytes();
        *kind = [t0, t1, 0, 0];
        *cookie = COOKIE.to_be_bytes();
        *transaction = id.0;
        Ok(Writer { buf, len: HEADER, id, padding: 0 })
    }

    /// Fills up the attributes that follow with this byte instead of zero, which RFC 8489, section 14,
    /// asks for: messages of others, and the samples of RFC 5769, have other bytes there.
    pub fn set_padding(&mut self, padding: u8) {
        self.padding = padding;
    }

    /// Bytes of the message with MESSAGE-INTEGRITY and FINGERPRINT behind what is written so far.
    pub fn len_with_integrity(&self) -> usize {
        self.len + INTEGRITY_ATTRIBUTE + FINGERPRINT_ATTRIBUTE
    }

    /// Any attribute by its type.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or `value` has more than 65,535 bytes.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> Result<(), NoSpace> {
        self.put(kind, &[value])
    }

    /// USERNAME of a check: the receiver's fragment first (RFC 8445, section 7.2.2).
    ///
    /// # Errors
    /// [`NoSpace`] as for [`attribute`](Writer::attribute).
    pub fn username(&mut self, receiver: &str, sender: &str) -> Result<(), NoSpace> {
        self.put(USERNAME, &[receiver.as_bytes(), b":", sender.as_bytes()])
    }

    /// PRIORITY (RFC 8445, section 7.1.1).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn priority(&mut self, priority: u32) -> Result<(), NoSpace> {
        self.put(PRIORITY, &[&priority.to_be_bytes()])
    }

    /// USE-CANDIDATE (RFC 8445, section 7.1.2).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn use_candidate(&mut self) -> Result<(), NoSpace> {
        self.put(USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING with our tie-breaker (RFC 8445, section 7.1.3).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn ice_controlling(&mut self, tie_breaker: u64) -> Result<(), NoSpace> {
        self.put(ICE_CONTROLLING, &[&tie_breaker.to_be_bytes()])
    }

    /// ICE-CONTROLLED with our tie-breaker (RFC 8445, section 7.1.3).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn ice_controlled(&mut self, tie_breaker: u64) -> Result<(), NoSpace> {
        self.put(ICE_CONTROLLED, &[&tie_breaker.to_be_bytes()])
    }

    /// XOR-MAPPED-ADDRESS (RFC 8489, section 14.2).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn xor_mapped_address(&mut self, address: SocketAddr) -> Result<(), NoSpace> {
        self.masked_address(XOR_MAPPED_ADDRESS, address, port_mask(), ipv6_mask(self.id))
    }

    /// MAPPED-ADDRESS (RFC 8489, section 14.1) or ALTERNATE-SERVER (section 14.15), by its type: an
    /// address as it is.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends.
    pub fn address(&mut self, kind: u16, address: SocketAddr) -> Result<(), NoSpace> {
        self.masked_address(kind, address, 0, 0)
    }

    /// An address, combined with a mask of which IPv4 takes the upper 32 bits.
    fn masked_address(
        &mut self,
        kind: u16,
        address: SocketAddr,
        port_mask: u16,
        mask: u128,
    ) -> Result<(), NoSpace> {
        let [p0, p1] = (address.port() ^ port_mask).to_be_bytes();
        match address.ip() {
            IpAddr::V4(ip) => {
                let ip = (u32::from(ip) ^ (mask >> 96) as u32).to_be_bytes();
                self.put(kind, &[&[0, 1, p0, p1], &ip])
            }
            IpAddr::V6(ip) => self.put(kind, &[&[0, 2, p0, p1], &(u128::from(ip) ^ mask).to_be_bytes()]),
        }
    }

    /// PASSWORD-ALGORITHM (RFC 8489, section 14.12).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or the value has more than 65,535 bytes.
    pub fn password_algorithm(&mut self, algorithm: PasswordAlgorithm<'_>) -> Result<(), NoSpace> {
        let start = self.len;
        self.put(PASSWORD_ALGORITHM, &[])?;
        self.append_algorithm(algorithm)?;
        self.close(start)
    }

    /// PASSWORD-ALGORITHMS, the favourite first (RFC 8489, section 14.11).
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or the value has more than 65,535 bytes.
    pub fn password_algorithms(&mut self, algorithms: &[PasswordAlgorithm<'_>]) -> Result<(), NoSpace> {
        let start = self.len;
        self.put(PASSWORD_ALGORITHMS, &[])?;
        for algorithm in algorithms {
            self.append_algorithm(*algorithm)?;
        }
        self.close(start)
    }

    /// One element of a list: it looks like an attribute.
    fn append_algorithm(&mut self, algorithm: PasswordAlgorithm<'_>) -> Result<(), NoSpace> {
        self.put(algorithm.number, &[algorithm.parameters])
    }

    /// Sets the length of the attribute at `start`, whose value was appended piece by piece.
    fn close(&mut self, start: usize) -> Result<(), NoSpace> {
        let length = u16::try_from(self.len - start - 4).map_err(|_| NoSpace)?;
        let field = self.buf.get_mut(start + 2..start + 4).ok_or(NoSpace)?;
        field.copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// ERROR-CODE: a code of 300 to 699 and its reason in words (RFC 8489, section 14.8).
    ///
    /// # Errors
    /// [`NoSpace`] as for [`attribute`](Writer::attribute).
    pub fn error_code(&mut self, code: u16, reason: &str) -> Result<(), NoSpace> {
        // Three bits of class, a number below 100: both fit a byte.
        let head = [0, 0, ((code / 100) & 7) as u8, (code % 100) as u8];
        self.put(ERROR_CODE, &[&head, reason.as_bytes()])
    }

    /// UNKNOWN-ATTRIBUTES: the types that a request should not have had, as big-endian pairs (RFC 8489,
    /// section 14.13).
    ///
    /// # Errors
    /// [`NoSpace`] as for [`attribute`](Writer::attribute).
    pub fn unknown_attributes(&mut self, kinds: &[[u8; 2]]) -> Result<(), NoSpace> {
        self.put(UNKNOWN_ATTRIBUTES, &[kinds.as_flattened()])
    }

    /// Adds MESSAGE-INTEGRITY and FINGERPRINT; returns the bytes of the message.
    ///
    /// `mac` is HMAC-SHA1 under the password, over the pieces in their order.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer ends, or the message has more than 65,535 bytes behind its header.
    pub fn finish_with_integrity(mut self, mac: impl FnOnce(&[&[u8]]) -> [u8; 20]) -> Result<usize, NoSpace> {
        self.integrity(mac)?;
        self.finish()
    }

    /// Adds MESSAGE-INTEGRITY (RFC 8489, section 14.5); what may follow is its SHA-256 successor.
    ///
    /// `mac` is as in [`finish_with_integrity`](Writer::finish_with_integrity).
    ///
    /// # Errors
    /// [`NoSpace`] as for [`finish_with_integrity`](Writer::finish_with_integrity).
    pub fn integrity(&mut self, mac: impl FnOnce(&[&[u8]]) -> [u8; 20]) -> Result<(), NoSpace> {
        self.set_length(self.len + INTEGRITY_ATTRIBUTE)?;
        let tag = mac(&[self.written()]);
        self.put(MESSAGE_INTEGRITY, &[&tag])
    }

    /// Adds MESSAGE-INTEGRITY-SHA256 in full length (RFC 8489, section 14.6); nothing but FINGERPRINT
    /// may follow.
    ///
    /// `mac` is HMAC-SHA256 under the key, over the pieces in their order.
    ///
    /// # Errors
    /// [`NoSpace`] as for [`finish_with_integrity`](Writer::finish_with_integrity).
    pub fn integrity_sha256(&mut self, mac: impl FnOnce(&[&[u8]]) -> [u8; 32]) -> Result<(), NoSpace> {
        self.set_length(self.len + SHA256_ATTRIBUTE)?;
        let tag = mac(&[self.written()]);
        self.put(MESSAGE_INTEGRITY_SHA256, &[&tag])
    }

    /// Ends the message without a FINGERPRINT, as outside ICE; returns its bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the message has more than 65,535 bytes behind its header.
    pub fn finish_without_fingerprint(mut self) -> Result<usize, NoSpace> {
        self.set_length(self.len)?;
        Ok(self.len)
    }

    /// Adds FINGERPRINT (RFC 8489, section 14.7); returns the bytes of the message.
    ///
    /// # Errors
    /// [`NoSpace`] as for [`finish_with_integrity`](Writer::finish_with_integrity).
    pub fn finish(mut self) -> Result<usize, NoSpace> {
        self.set_length(self.len + FINGERPRINT_ATTRIBUTE)?;
        let crc = crc32fast::hash(self.written()) ^ FINGERPRINT_XOR;
        self.put(FINGERPRINT, &[&crc.to_be_bytes()])?;
        Ok(self.len)
    }

    fn put(&mut self, kind: u16, pieces: &[&[u8]]) -> Result<(), NoSpace> {
        let value_len: usize = pieces.iter().map(|piece| piece.len()).sum();
        let end = self.len + 4 + value_len.next_multiple_of(4);
        let [l0, l1] = u16::try_from(value_len).map_err(|_| NoSpace)?.to_be_bytes();
        let [k0, k1] = kind.to_be_bytes();
        let room = self.buf.get_mut(self.len..end).ok_or(NoSpace)?;
        let (head, mut value) = room.split_first_chunk_mut::<4>().ok_or(NoSpace)?;
        *head = [k0, k1, l0, l1];
        for piece in pieces {
            let (to, rest) = value.split_at_mut_checked(piece.len()).ok_or(NoSpace)?;
            to.copy_from_slice(piece);
            value = rest;
        }
        value.fill(self.padding);
        self.len = end;
        Ok(())
    }

    /// The header's length, which leaves out the header; 16 bits bound the message.
    fn set_length(&mut self, end: usize) -> Result<(), NoSpace> {
        let length = u16::try_from(end - HEADER).map_err(|_| NoSpace)?;
        let field = self.buf.get_mut(2..4).ok_or(NoSpace)?;
        field.copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn written(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }
}

/// Interleaves method and class (RFC 8489, section 5, figure 3).
fn message_type(class: Class, method: u16) -> u16 {
    let class = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    class | (method & 0x000F) | (method & 0x0070) << 1 | (method & 0x0F80) << 2
}
