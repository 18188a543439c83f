//! SRTP out: from plaintext to datagrams.

use super::cipher::{Cipher, Kind};
use super::cryptex::{self, Shape};
use super::error::SealError;
use super::opener::rtcp_sender;
use super::profile::MasterKey;
use super::sources::INDEX_END;
use crate::wire::rtp::{SeqNo, Ssrc};
use std::hash::{Hash as _, Hasher};

/// The first index of SRTCP that does not exist (RFC 3711, section 3.4).
const RTCP_INDEX_END: u32 = 1 << 31;

/// Seals what we send to one peer under our key.
///
/// RTP needs no state: the extended number comes from the caller, who must never give the same
/// number with the same SSRC and other bytes (RFC 7714, section 8.1). Control packets are numbered
/// here, from 1: RFC 3711, section 3.4, begins at 0, which some receivers take for "none yet". So
/// there are 2^31 - 1 of them.
#[repr(C, align(64))]
pub struct Sealer {
    // First what each packet of media needs.
    rtp_overhead: usize,
    cryptex: bool,
    rtcp_index: u32,
    rtp: Cipher,
    rtcp: Cipher,
    rtcp_overhead: usize,
}

impl Sealer {
    /// Derives the session keys of both kinds of packets and prepares them.
    pub fn new(key: &MasterKey) -> Sealer {
        let profile = key.profile();
        Sealer {
            rtp: Cipher::derive(key, Kind::Rtp),
            rtcp: Cipher::derive(key, Kind::Rtcp),
            rtp_overhead: profile.rtp_overhead(),
            rtcp_overhead: profile.rtcp_overhead(),
            // As libsrtp does, so that no receiver meets a zero that it takes for "none yet".
            rtcp_index: 1,
            cryptex: false,
        }
    }

    /// Folds everything but the keys into the digest of its owner's state (I-03).
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        self.rtcp_index.hash(state);
    }

    /// Whether contributing sources and header extensions are encrypted as well: once both sides
    /// said that they take that (RFC 9335, section 4). At first they are not.
    pub fn use_cryptex(&mut self, used: bool) {
        self.cryptex = used;
    }

    /// Bytes that sealing adds to an RTP packet; four more under Cryptex if it has contributing
    /// sources and no header extension.
    #[inline]
    pub fn rtp_overhead(&self) -> usize {
        self.rtp_overhead
    }

    /// Writes `header`, then `head` and `rest` as one payload, sealed, then the tag to the start of
    /// `out`; returns the length of the packet, which is that of the three plus
    /// [`Sealer::rtp_overhead`]. The low 16 bits of `seq` and `ssrc` must be those of the header.
    ///
    /// # Errors
    /// [`SealError::NoSpace`] if `out` is shorter than that, [`SealError::Exhausted`] from 2^48 on,
    /// [`SealError::TooLong`] for more than 1 MiB under AES-CM or 64 GB under AES-GCM,
    /// [`SealError::Extension`] under Cryptex for a header extension that is none of RFC 8285.
    #[inline]
    pub fn seal_rtp(
        &self,
        header: &[u8],
        head: &[u8],
        rest: &[u8],
        seq: SeqNo,
        ssrc: Ssrc,
        out: &mut [u8],
    ) -> Result<usize, SealError> {
        let mut place = &mut *out;
        for piece in [header, head, rest] {
            let (to, behind) = place.split_at_mut_checked(piece.len()).ok_or(SealError::NoSpace)?;
            to.copy_from_slice(piece);
            place = behind;
        }
        self.seal_rtp_in_place(seq, ssrc, header.len(), out, head.len() + rest.len())
    }

    /// The same for a packet whose header and payload are the first `header_len + plain_len` bytes
    /// of `buf` already. An RTP header is read for Cryptex alone.
    ///
    /// # Errors
    /// Those of [`Sealer::seal_rtp`].
    #[inline]
    pub fn seal_rtp_in_place(
        &self,
        seq: SeqNo,
        ssrc: Ssrc,
        header_len: usize,
        buf: &mut [u8],
        plain_len: usize,
    ) -> Result<usize, SealError> {
        if seq.0 >= INDEX_END {
            return Err(SealError::Exhausted);
        }
        // What overflows is longer than any buffer.
        let len = header_len.saturating_add(plain_len).saturating_add(self.rtp_overhead);
        if self.cryptex
            && let Some(shape) = Shape::of(buf).filter(|shape| shape.has_extension || shape.csrc_len > 0)
        {
            return self.seal_cryptex(seq, ssrc, shape, header_len, buf, len);
        }
        let packet = buf.get_mut(..len).ok_or(SealError::NoSpace)?;
        self.rtp.seal_rtp(ssrc, seq.0, header_len, packet)?;
        Ok(len)
    }

    /// Seals a packet of `len` bytes, tag included, and its header (RFC 9335, section 5.1).
    fn seal_cryptex(
        &self,
        seq: SeqNo,
        ssrc: Ssrc,
        mut shape: Shape,
        mut header_len: usize,
        buf: &mut [u8],
        mut len: usize,
    ) -> Result<usize, SealError> {
        if !shape.has_extension {
            let plain_len = len.saturating_sub(self.rtp_overhead);
            shape = cryptex::insert_extension(buf, shape, plain_len).ok_or(SealError::NoSpace)?;
            header_len += 4;
            len += 4;
        }
        let packet = buf.get_mut(..len).ok_or(SealError::NoSpace)?;
        let header = packet.get_mut(..header_len).ok_or(SealError::NoSpace)?;
        cryptex::mark(header, shape).ok_or(SealError::Extension)?;
        if shape.csrc_len == 0 {
            // Encrypted is then what stands behind the extension's header.
            self.rtp.seal_rtp(ssrc, seq.0, cryptex::CLEAR, packet)?;
        } else {
            self.rtp.seal_cryptex(ssrc, seq.0, shape.csrc_len, packet)?;
        }
        Ok(len)
    }

    /// Seals the compound packet in the first `len` bytes of `buf` where it lies; returns the
    /// length of the sealed one, longer by [`Profile::rtcp_overhead`](super::Profile::rtcp_overhead).
    ///
    /// # Errors
    /// [`SealError::TooShort`] for less than a header, [`SealError::NoSpace`] if `buf` is too
    /// short, [`SealError::TooLong`] as for RTP, [`SealError::Exhausted`] after 2^31 - 1 packets.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SealError> {
        let index = self.rtcp_index;
        if index >= RTCP_INDEX_END {
            return Err(SealError::Exhausted);
        }
        let plain = buf.get(..len).ok_or(SealError::NoSpace)?;
        let ssrc = rtcp_sender(plain).ok_or(SealError::TooShort)?;
        let len = len.saturating_add(self.rtcp_overhead);
        let packet = buf.get_mut(..len).ok_or(SealError::NoSpace)?;
        self.rtcp.seal_rtcp(ssrc, index, packet)?;
        self.rtcp_index += 1;
        Ok(len)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("rtcp_index", &self.rtcp_index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Profile;
    use super::*;

    #[test]
    fn s_srtp_07_a_used_up_key_seals_nothing_more() {
        for profile in Profile::ALL {
            let (key, salt) = (vec![1; profile.key_len()], vec![2; profile.salt_len()]);
            let mut sealer = Sealer::new(&MasterKey::new(profile, &key, &salt).unwrap());
            let mut buf = [0; 64];
            let mut seal = |seq| sealer.seal_rtp(&[0; 12], &[], &[1], SeqNo(seq), Ssrc(1), &mut buf);
            assert!(seal(INDEX_END - 1).is_ok());
            assert_eq!(seal(INDEX_END), Err(SealError::Exhausted));
            assert_eq!(seal(u64::MAX), Err(SealError::Exhausted));
            sealer.rtcp_index = RTCP_INDEX_END - 1;
            assert!(sealer.seal_rtcp(&mut buf, 8).is_ok());
            let before = buf;
            for _ in 0..3 {
                assert_eq!(sealer.seal_rtcp(&mut buf, 8), Err(SealError::Exhausted));
            }
            assert_eq!(buf, before);
        }
    }

    #[test]
    fn a_buffer_too_short_is_refused_and_no_index_lost() {
        for profile in Profile::ALL {
            let (key, salt) = (vec![1; profile.key_len()], vec![2; profile.salt_len()]);
            let mut sealer = Sealer::new(&MasterKey::new(profile, &key, &salt).unwrap());
            let len = 12 + 3 + 5 + profile.rtp_overhead();
            let mut buf = vec![0; len + 16];
            for short in 0..len {
                let out = &mut buf[..short];
                let sealed = sealer.seal_rtp(&[0; 12], &[1; 3], &[2; 5], SeqNo(1), Ssrc(1), out);
                assert_eq!(sealed, Err(SealError::NoSpace));
            }
            let out = &mut buf[..len];
            let sealed = sealer.seal_rtp(&[0; 12], &[1; 3], &[2; 5], SeqNo(1), Ssrc(1), out);
            assert_eq!(sealed, Ok(len));
            let place = sealer.seal_rtp_in_place(SeqNo(2), Ssrc(1), usize::MAX, &mut buf, 1);
            assert_eq!(place, Err(SealError::NoSpace));
            let len = 12 + profile.rtcp_overhead();
            assert_eq!(sealer.seal_rtcp(&mut buf[..len - 1], 12), Err(SealError::NoSpace));
            assert_eq!(sealer.seal_rtcp(&mut buf, 7), Err(SealError::TooShort));
            assert_eq!(sealer.seal_rtcp(&mut buf, 1_000), Err(SealError::NoSpace));
            assert_eq!(sealer.rtcp_index, 1);
            assert_eq!(sealer.seal_rtcp(&mut buf, 12), Ok(len));
        }
    }
}
