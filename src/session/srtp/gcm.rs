//! The transform of RFC 7714: one pass encrypts and authenticates.

use super::cipher::{RTCP_HEADER, nonce, rtcp_trailer};
use super::cryptex;
use super::error::{OpenError, SealError};
use crate::crypto::aead::{GcmKey, TAG};
use crate::wire::rtp::Ssrc;
use zeroize::Zeroizing;

/// An expanded key and its salt, 96 bits. The salt stands where the key begins, in its cache line.
#[repr(C)]
pub(super) struct Gcm {
    salt: Zeroizing<u128>,
    key: GcmKey,
}

impl Gcm {
    pub(super) fn new(key: &[u8], salt: Zeroizing<u128>) -> Option<Gcm> {
        Some(Gcm { key: GcmKey::new(key)?, salt })
    }

    #[inline]
    pub(super) fn seal_rtp(
        &self,
        ssrc: Ssrc,
        index: u64,
        header_len: usize,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        let (message, tag) = packet.split_last_chunk_mut().ok_or(SealError::NoSpace)?;
        let (header, text) = message.split_at_mut_checked(header_len).ok_or(SealError::NoSpace)?;
        let nonce = self.nonce(ssrc, index);
        *tag = self.key.seal(nonce, header, text).ok_or(SealError::TooLong)?;
        Ok(())
    }

    #[inline]
    pub(super) fn open_rtp(
        &self,
        ssrc: Ssrc,
        index: u64,
        header_len: usize,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, OpenError> {
        let (message, tag) = packet.split_last_chunk().ok_or(OpenError::TooShort)?;
        let (header, text) = message.split_at_checked(header_len).ok_or(OpenError::TooShort)?;
        let plain = out.get_mut(..text.len()).ok_or(OpenError::NoSpace)?;
        let authentic = self.key.open(self.nonce(ssrc, index), header, text, tag, plain);
        authentic.then_some(text.len()).ok_or(OpenError::Authentication)
    }

    /// Encrypts the contributing sources and all behind the extension's header, as if that stood in
    /// front of the sources (RFC 9335, section 6.2).
    pub(super) fn seal_cryptex(
        &self,
        ssrc: Ssrc,
        index: u64,
        csrc_len: usize,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        cryptex::gather(packet, csrc_len).ok_or(SealError::Extension)?;
        self.seal_rtp(ssrc, index, cryptex::CLEAR, packet)?;
        cryptex::scatter(packet, csrc_len).ok_or(SealError::Extension)
    }

    /// Opens such a packet; `out` gets it whole but for its tag, whose length is returned.
    pub(super) fn open_cryptex(
        &self,
        ssrc: Ssrc,
        index: u64,
        csrc_len: usize,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, OpenError> {
        let (message, tag) = packet.split_last_chunk().ok_or(OpenError::TooShort)?;
        let whole = out.get_mut(..message.len()).ok_or(OpenError::NoSpace)?;
        whole.copy_from_slice(message);
        cryptex::gather(whole, csrc_len).ok_or(OpenError::TooShort)?;
        let (clear, text) = whole.split_at_mut_checked(cryptex::CLEAR).ok_or(OpenError::TooShort)?;
        if !self.key.open_in_place(self.nonce(ssrc, index), clear, text, tag) {
            return Err(OpenError::Authentication);
        }
        cryptex::scatter(whole, csrc_len).ok_or(OpenError::TooShort)?;
        Ok(message.len())
    }

    /// Header | text | tag | trailer, where header and trailer are authenticated as one.
    pub(super) fn seal_rtcp(&self, ssrc: Ssrc, index: u32, packet: &mut [u8]) -> Result<(), SealError> {
        let (message, trailer) = packet.split_last_chunk_mut().ok_or(SealError::NoSpace)?;
        let (message, tag) = message.split_last_chunk_mut::<TAG>().ok_or(SealError::NoSpace)?;
        let (header, text) = message.split_first_chunk_mut().ok_or(SealError::TooShort)?;
        *trailer = rtcp_trailer(index);
        let nonce = self.nonce(ssrc, index.into());
        let clear = rtcp_clear(header, trailer);
        *tag = self.key.seal(nonce, &clear, text).ok_or(SealError::TooLong)?;
        Ok(())
    }

    pub(super) fn open_rtcp(
        &self,
        ssrc: Ssrc,
        index: u32,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, OpenError> {
        let (message, trailer) = packet.split_last_chunk().ok_or(OpenError::TooShort)?;
        let (message, tag) = message.split_last_chunk().ok_or(OpenError::TooShort)?;
        let (header, text) = message.split_first_chunk().ok_or(OpenError::TooShort)?;
        let plain = out.get_mut(..message.len()).ok_or(OpenError::NoSpace)?;
        let (start, plain) = plain.split_first_chunk_mut().ok_or(OpenError::NoSpace)?;
        *start = *header;
        let nonce = self.nonce(ssrc, index.into());
        let authentic = self.key.open(nonce, &rtcp_clear(header, trailer), text, tag, plain);
        authentic.then_some(message.len()).ok_or(OpenError::Authentication)
    }

    /// The encryption flag and the index are a packet's last bytes.
    pub(super) fn rtcp_trailer(packet: &[u8]) -> Option<&[u8; 4]> {
        packet.last_chunk()
    }

    #[inline]
    fn nonce(&self, ssrc: Ssrc, index: u64) -> [u8; 12] {
        let [_, _, _, _, nonce @ ..] = nonce(*self.salt, ssrc, index).to_be_bytes();
        nonce
    }
}

/// The associated data of a control packet (RFC 7714, section 9.2).
fn rtcp_clear(header: &[u8; RTCP_HEADER], trailer: &[u8; 4]) -> [u8; RTCP_HEADER + 4] {
    let mut clear = [0; RTCP_HEADER + 4];
    let pieces = header.iter().chain(trailer);
    clear.iter_mut().zip(pieces).for_each(|(to, byte)| *to = *byte);
    clear
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captures::{hex, vectors};

    fn number(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The case of a section, with the session keys that it prints.
    fn case(section: &str) -> (Gcm, serde_json::Value) {
        let vectors = vectors("rfc7714");
        let cases = vectors["cases"].as_array().unwrap();
        let case = cases.iter().find(|case| case["section"] == format!("RFC 7714 {section}"));
        let case = case.expect("the section").clone();
        let salt = hex(&case["session_salt"]).iter().fold(0, |n, byte| n << 8 | u128::from(*byte));
        (Gcm::new(&hex(&case["session_key"]), Zeroizing::new(salt)).unwrap(), case)
    }

    fn rtp_both_ways(section: &str) {
        let (gcm, case) = case(section);
        let (plain, sealed) = (hex(&case["plain"]), hex(&case["protected"]));
        let (ssrc, index) = (Ssrc(number(&plain[8..12]) as u32), number(&plain[2..4]));
        assert_eq!(gcm.nonce(ssrc, index)[..], hex(&case["iv"]));
        let mut packet = plain.clone();
        packet.resize(sealed.len(), 0);
        gcm.seal_rtp(ssrc, index, 12, &mut packet).unwrap();
        assert_eq!(packet, sealed);
        let mut opened = vec![0; sealed.len()];
        let len = gcm.open_rtp(ssrc, index, 12, &sealed, &mut opened).unwrap();
        assert_eq!(opened[..len], plain[12..]);
    }

    fn rtcp_both_ways(section: &str) {
        let (gcm, case) = case(section);
        let (plain, sealed) = (hex(&case["plain"]), hex(&case["protected"]));
        let ssrc = Ssrc(number(&plain[4..8]) as u32);
        let index = case["srtcp_index"].as_u64().unwrap() as u32;
        assert_eq!(gcm.nonce(ssrc, index.into())[..], hex(&case["iv"]));
        let mut packet = plain.clone();
        packet.resize(sealed.len(), 0);
        gcm.seal_rtcp(ssrc, index, &mut packet).unwrap();
        assert_eq!(packet, sealed);
        let mut opened = vec![0; sealed.len()];
        let len = gcm.open_rtcp(ssrc, index, &sealed, &mut opened).unwrap();
        assert_eq!(opened[..len], plain);
    }

    /// Authentication alone, which is never negotiated here: the provider makes the tag that the RFC
    /// prints, the transform refuses the packet.
    fn authentication_alone(section: &str) {
        let (gcm, case) = case(section);
        let (plain, sealed) = (hex(&case["plain"]), hex(&case["protected"]));
        let iv = hex(&case["iv"]).try_into().unwrap();
        let mut out = vec![0; sealed.len()];
        if case["kind"] == "srtp" {
            let (message, tag) = sealed.split_last_chunk::<TAG>().unwrap();
            assert_eq!(message, plain);
            assert_eq!(gcm.key.seal(iv, message, &mut []), Some(*tag));
            let (ssrc, index) = (Ssrc(number(&plain[8..12]) as u32), number(&plain[2..4]));
            let opened = gcm.open_rtp(ssrc, index, 12, &sealed, &mut out);
            assert_eq!(opened, Err(OpenError::Authentication));
        } else {
            let (message, trailer) = sealed.split_last_chunk::<4>().unwrap();
            let (message, tag) = message.split_last_chunk::<TAG>().unwrap();
            assert_eq!((message, trailer[0] >> 7), (&plain[..], 0));
            assert_eq!(gcm.key.seal(iv, &[message, trailer].concat(), &mut []), Some(*tag));
            let (ssrc, index) = (Ssrc(number(&plain[4..8]) as u32), number(trailer) as u32);
            let opened = gcm.open_rtcp(ssrc, index, &sealed, &mut out);
            assert_eq!(opened, Err(OpenError::Authentication));
        }
    }

    #[test]
    fn rfc_7714_16_1_1_and_16_1_2_rtp_with_128_bits() {
        rtp_both_ways("16.1.1, 16.1.2");
    }

    #[test]
    fn rfc_7714_16_1_3_and_16_1_4_rtp_with_128_bits_authenticated_alone() {
        authentication_alone("16.1.3, 16.1.4");
    }

    #[test]
    fn rfc_7714_16_2_1_and_16_2_2_rtp_with_256_bits() {
        rtp_both_ways("16.2.1, 16.2.2");
    }

    #[test]
    fn rfc_7714_16_2_3_and_16_2_4_rtp_with_256_bits_authenticated_alone() {
        authentication_alone("16.2.3, 16.2.4");
    }

    #[test]
    fn rfc_7714_17_1_rtcp_with_128_bits() {
        rtcp_both_ways("17.1");
    }

    #[test]
    fn rfc_7714_17_2_rtcp_with_256_bits() {
        rtcp_both_ways("17.2");
    }

    #[test]
    fn rfc_7714_17_3_rtcp_with_128_bits_authenticated_alone() {
        authentication_alone("17.3");
    }

    #[test]
    fn rfc_7714_17_4_rtcp_with_256_bits_authenticated_alone() {
        authentication_alone("17.4");
    }
}
