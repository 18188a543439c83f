//! The transforms of RFC 3711: AES in counter mode, then HMAC-SHA1 over the ciphertext.

use super::cipher::{RTCP_HEADER, nonce, rtcp_trailer};
use super::cryptex;
use super::error::{OpenError, SealError};
use crate::crypto::mac::HmacSha1;
use crate::crypto::secret::equal;
use crate::crypto::stream::CmKey;
use crate::wire::rtp::Ssrc;
use zeroize::Zeroizing;

/// Bytes of the HMAC's tag that are sent (RFC 3711, section 4.2.1); on RTCP always.
const TAG: usize = 10;
/// Those of the profile with short tags.
const SHORT_TAG: usize = 4;

/// The two keys and the salt, 112 bits.
pub(super) struct Cm {
    key: CmKey,
    mac: HmacSha1,
    salt: Zeroizing<u128>,
    short: bool,
}

impl Cm {
    /// With `short` tags on RTP or the usual ones.
    pub(super) fn new(key: &[u8; 16], authentication: &[u8], salt: Zeroizing<u128>, short: bool) -> Cm {
        Cm { key: CmKey::new(key), mac: HmacSha1::new(authentication), salt, short }
    }

    #[inline]
    pub(super) fn seal_rtp(
        &self,
        ssrc: Ssrc,
        index: u64,
        header_len: usize,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        let (message, tag) = self.split_tag_mut(packet).ok_or(SealError::NoSpace)?;
        let text = message.get_mut(header_len..).ok_or(SealError::NoSpace)?;
        if !self.key.apply(self.counter(ssrc, index), text) {
            return Err(SealError::TooLong);
        }
        self.write_tag(message, index, tag);
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
        let (message, tag) = self.split_tag(packet).ok_or(OpenError::TooShort)?;
        let text = message.get(header_len..).ok_or(OpenError::TooShort)?;
        let plain = out.get_mut(..text.len()).ok_or(OpenError::NoSpace)?;
        let authentic =
            self.is_tag(message, index, tag) && self.key.apply_into(self.counter(ssrc, index), text, plain);
        authentic.then_some(text.len()).ok_or(OpenError::Authentication)
    }

    /// Encrypts the contributing sources and all behind the extension's header; the tag covers the
    /// packet as it is sent (RFC 9335, sections 6.1 and 6.2).
    pub(super) fn seal_cryptex(
        &self,
        ssrc: Ssrc,
        index: u64,
        csrc_len: usize,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        let (message, tag) = self.split_tag_mut(packet).ok_or(SealError::NoSpace)?;
        cryptex::gather(message, csrc_len).ok_or(SealError::Extension)?;
        let text = message.get_mut(cryptex::CLEAR..).ok_or(SealError::NoSpace)?;
        if !self.key.apply(self.counter(ssrc, index), text) {
            return Err(SealError::TooLong);
        }
        cryptex::scatter(message, csrc_len).ok_or(SealError::Extension)?;
        self.write_tag(message, index, tag);
        Ok(())
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
        let (message, tag) = self.split_tag(packet).ok_or(OpenError::TooShort)?;
        let whole = out.get_mut(..message.len()).ok_or(OpenError::NoSpace)?;
        if !self.is_tag(message, index, tag) {
            return Err(OpenError::Authentication);
        }
        whole.copy_from_slice(message);
        cryptex::gather(whole, csrc_len).ok_or(OpenError::TooShort)?;
        let text = whole.get_mut(cryptex::CLEAR..).ok_or(OpenError::TooShort)?;
        if !self.key.apply(self.counter(ssrc, index), text) {
            return Err(OpenError::Authentication);
        }
        cryptex::scatter(whole, csrc_len).ok_or(OpenError::TooShort)?;
        Ok(message.len())
    }

    /// Header | text | trailer | tag.
    pub(super) fn seal_rtcp(&self, ssrc: Ssrc, index: u32, packet: &mut [u8]) -> Result<(), SealError> {
        let (covered, tag) = packet.split_last_chunk_mut().ok_or(SealError::NoSpace)?;
        let (message, trailer) = covered.split_last_chunk_mut().ok_or(SealError::NoSpace)?;
        let text = message.get_mut(RTCP_HEADER..).ok_or(SealError::TooShort)?;
        if !self.key.apply(self.counter(ssrc, index.into()), text) {
            return Err(SealError::TooLong);
        }
        *trailer = rtcp_trailer(index);
        *tag = self.tag(&[covered]);
        Ok(())
    }

    pub(super) fn open_rtcp(
        &self,
        ssrc: Ssrc,
        index: u32,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<usize, OpenError> {
        let (covered, tag) = packet.split_last_chunk::<TAG>().ok_or(OpenError::TooShort)?;
        let (message, _) = covered.split_last_chunk::<4>().ok_or(OpenError::TooShort)?;
        let (header, text) = message.split_first_chunk::<RTCP_HEADER>().ok_or(OpenError::TooShort)?;
        let plain = out.get_mut(..message.len()).ok_or(OpenError::NoSpace)?;
        let (start, plain) = plain.split_first_chunk_mut().ok_or(OpenError::NoSpace)?;
        *start = *header;
        let authentic = equal(&self.tag(&[covered]), tag)
            && self.key.apply_into(self.counter(ssrc, index.into()), text, plain);
        authentic.then_some(message.len()).ok_or(OpenError::Authentication)
    }

    /// The encryption flag and the index stand before the tag.
    pub(super) fn rtcp_trailer(packet: &[u8]) -> Option<&[u8; 4]> {
        packet.split_last_chunk::<TAG>()?.0.last_chunk()
    }

    #[inline]
    fn counter(&self, ssrc: Ssrc, index: u64) -> [u8; 16] {
        (nonce(*self.salt, ssrc, index) << 16).to_be_bytes()
    }

    #[inline]
    fn tag(&self, pieces: &[&[u8]]) -> [u8; TAG] {
        let [tag @ .., _, _, _, _, _, _, _, _, _, _] = self.mac.tag(pieces);
        tag
    }

    /// An RTP packet's tag over the packet and what of its index is not in it.
    #[inline]
    fn write_tag(&self, message: &[u8], index: u64, to: &mut [u8]) {
        let tag = self.tag(&[message, &roll_over_count(index)]);
        to.iter_mut().zip(tag).for_each(|(to, byte)| *to = byte);
    }

    #[inline]
    fn is_tag(&self, message: &[u8], index: u64, tag: &[u8]) -> bool {
        let ours = self.tag(&[message, &roll_over_count(index)]);
        ours.get(..tag.len()).is_some_and(|ours| equal(ours, tag))
    }

    /// An RTP packet and its tag.
    #[inline]
    fn split_tag<'p>(&self, packet: &'p [u8]) -> Option<(&'p [u8], &'p [u8])> {
        packet.split_at_checked(packet.len().checked_sub(self.tag_len())?)
    }

    #[inline]
    fn split_tag_mut<'p>(&self, packet: &'p mut [u8]) -> Option<(&'p mut [u8], &'p mut [u8])> {
        packet.split_at_mut_checked(packet.len().checked_sub(self.tag_len())?)
    }

    #[inline]
    fn tag_len(&self) -> usize {
        if self.short { SHORT_TAG } else { TAG }
    }
}

/// The part of the index that is not in the packet, but under its tag (RFC 3711, section 4.2).
#[inline]
fn roll_over_count(index: u64) -> [u8; 4] {
    // Indices end below 2^48: nothing is cut off.
    ((index >> 16) as u32).to_be_bytes()
}
