//! SRTP in: from the peer's datagrams to plaintext that has proved where it comes from.

use super::cipher::{Cipher, Kind, RTCP_HEADER};
use super::error::OpenError;
use super::profile::MasterKey;
use super::sources::{ContextId, RtcpSources, RtpSources};
use crate::wire::rtp::{SeqNo, Ssrc, WireSeq};
use std::hash::{Hash as _, Hasher};

/// Opens what one peer sent under its key.
///
/// The state of a source comes into being with its first authentic packet and counts against
/// [`limits::SSRCS_PER_SESSION`](crate::limits::SSRCS_PER_SESSION); a datagram that fails leaves
/// everything but the output buffer as it was.
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtp_sources: RtpSources,
    rtcp_sources: RtcpSources,
}

/// The proof that an RTP packet came from the owner of the key, and what only its opening tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The source's place among its peer's.
    pub context: ContextId,
    /// The sequence number, extended by the roll-over count; no two packets of a source share one.
    pub seq: SeqNo,
    /// Bytes of plaintext at the start of the output buffer.
    pub len: usize,
    /// Whether this packet made the context: the first of its source, or the first since
    /// [`Opener::forget`].
    pub new: bool,
    _proof: Proof,
}

/// Private, so that nobody else makes an [`Opened`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Proof;

impl Opener {
    /// Derives the session keys of both kinds of packets and prepares them.
    pub fn new(key: &MasterKey) -> Opener {
        Opener {
            rtp: Cipher::derive(key, Kind::Rtp),
            rtcp: Cipher::derive(key, Kind::Rtcp),
            rtp_sources: RtpSources::default(),
            rtcp_sources: RtcpSources::default(),
        }
    }

    /// Folds everything but the keys into the digest of its owner's state (I-03).
    pub(crate) fn digest(&self, state: &mut impl Hasher) {
        self.rtp_sources.hash(state);
        self.rtcp_sources.hash(state);
    }

    /// The context of a source, if one of its RTP packets was authentic.
    #[inline]
    pub fn find(&self, ssrc: Ssrc) -> Option<ContextId> {
        self.rtp_sources.find(ssrc)
    }

    /// Opens an RTP packet (RFC 3711, section 3.3): `header_len` bytes of header with CSRCs and
    /// extension, which hold `ssrc` and `seq`. The plaintext of the payload, padding included, goes
    /// to the start of `out`, which must be as long as the datagram less header and tag.
    ///
    /// # Errors
    /// See [`OpenError`]; `out` may then be overwritten, but not with plaintext.
    #[inline]
    pub fn open_rtp(
        &mut self,
        datagram: &[u8],
        header_len: usize,
        ssrc: Ssrc,
        seq: WireSeq,
        out: &mut [u8],
    ) -> Result<Opened, OpenError> {
        let Some(context) = self.rtp_sources.find(ssrc) else {
            return self.open_first_rtp(datagram, header_len, ssrc, seq, out);
        };
        let index = self.rtp_sources.expect(context, seq)?;
        let len = self.rtp.open_rtp(ssrc, index, header_len, datagram, out)?;
        self.rtp_sources.accept(context, index);
        Ok(Opened { context, seq: SeqNo(index), len, new: false, _proof: Proof })
    }

    #[cold]
    fn open_first_rtp(
        &mut self,
        datagram: &[u8],
        header_len: usize,
        ssrc: Ssrc,
        seq: WireSeq,
        out: &mut [u8],
    ) -> Result<Opened, OpenError> {
        let newcomer = self.rtp_sources.newcomer(ssrc, seq)?;
        let mut failure = OpenError::Authentication;
        for index in newcomer.candidates.into_iter().flatten() {
            match self.rtp.open_rtp(ssrc, index, header_len, datagram, out) {
                Ok(len) => {
                    let context = self.rtp_sources.admit(&newcomer, ssrc, index);
                    return Ok(Opened { context, seq: SeqNo(index), len, new: true, _proof: Proof });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Opens a compound RTCP packet (RFC 3711, section 3.4) and writes it whole, header included,
    /// to the start of `out`, which must be as long as the datagram less
    /// [`Profile::rtcp_overhead`](super::Profile::rtcp_overhead). Returns its length.
    ///
    /// # Errors
    /// See [`OpenError`]; `out` may then be overwritten, but not with plaintext.
    pub fn open_rtcp(&mut self, datagram: &[u8], out: &mut [u8]) -> Result<usize, OpenError> {
        let ssrc = rtcp_sender(datagram).ok_or(OpenError::TooShort)?;
        let index = self.rtcp.rtcp_index(datagram)?;
        let place = self.rtcp_sources.check(ssrc, index)?;
        let len = self.rtcp.open_rtcp(ssrc, index, datagram, out)?;
        self.rtcp_sources.accept(place, ssrc, index);
        Ok(len)
    }

    /// Frees the contexts that `idle` names, see [`Opener::forget`].
    pub(crate) fn forget_where(&mut self, mut idle: impl FnMut(ContextId) -> bool) {
        for context in self.rtp_sources.contexts() {
            if idle(context) {
                self.rtp_sources.forget(context);
            }
        }
    }

    /// Frees a context for another source. Should the source send on, it gets a new one, and what
    /// it had sent before stays a replay.
    pub fn forget(&mut self, context: ContextId) {
        self.rtp_sources.forget(context);
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sources = (&self.rtp_sources, &self.rtcp_sources);
        f.debug_struct("Opener").field("sources", &sources).finish_non_exhaustive()
    }
}

/// The SSRC of the sender of a control packet, which stays clear.
pub(super) fn rtcp_sender(packet: &[u8]) -> Option<Ssrc> {
    let header = packet.first_chunk::<RTCP_HEADER>()?;
    header.last_chunk().map(|ssrc| Ssrc(u32::from_be_bytes(*ssrc)))
}
