//! The contexts of a peer's sources: whose packets have proved authentic, and up to which index.

use super::error::OpenError;
use super::replay::Window;
use crate::base::limits;
use crate::wire::rtp::{Ssrc, WireSeq};

/// The first index that does not exist: 32 bits of roll-over count, 16 of sequence number.
pub(super) const INDEX_END: u64 = 1 << 48;

const RTP_WORDS: usize = limits::SRTP_REPLAY_WINDOW / 64 + 1;
const RTCP_WORDS: usize = limits::SRTCP_REPLAY_WINDOW / 64 + 1;

// One bit of `RtpSources::live` for each.
const _: () = assert!(limits::SSRCS_PER_SESSION <= 64);

/// The place of a source among its peer's: dense from zero, below
/// [`limits::SSRCS_PER_SESSION`], the same until the source is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextId(u8);

impl ContextId {
    /// As an index into a table of one's own.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The sources of RTP. Nothing hashes: strangers choose SSRCs, and the usual few are compared in
/// two or three nanoseconds, 64 in twenty.
#[derive(Debug, Default, Hash)]
pub(super) struct RtpSources {
    ssrcs: Vec<Ssrc>,
    contexts: Vec<Window<RTP_WORDS>>,
    /// The places in use, one bit each.
    live: u64,
    /// Where the forgotten ones stopped: a source that returns goes on behind its newest index.
    forgotten: Vec<(Ssrc, u64)>,
}

/// An SSRC without context and the indices that its packet may have.
pub(super) struct Newcomer {
    place: usize,
    /// The place among the forgotten, if the source was here before.
    returned: Option<usize>,
    pub(super) candidates: [Option<u64>; 2],
}

impl RtpSources {
    /// The context of `ssrc`, if one of its packets was authentic.
    #[inline]
    pub(super) fn find(&self, ssrc: Ssrc) -> Option<ContextId> {
        let at = |(place, one): (usize, &Ssrc)| *one == ssrc && self.live >> place & 1 == 1;
        // At most 64 places: nothing is cut off.
        self.ssrcs.iter().enumerate().position(at).map(|place| ContextId(place as u8))
    }

    /// The index that the next packet of a context has if its sequence number is `seq`.
    #[inline]
    pub(super) fn expect(&self, id: ContextId, seq: WireSeq) -> Result<u64, OpenError> {
        let window = self.contexts.get(id.index()).ok_or(OpenError::TooManySources)?;
        let index = estimate(window.newest(), seq);
        match window.is_fresh(index) {
            _ if index >= INDEX_END => Err(OpenError::Exhausted),
            true => Ok(index),
            false => Err(OpenError::Replayed),
        }
    }

    /// Remembers the index of a packet that was authentic.
    #[inline]
    pub(super) fn accept(&mut self, id: ContextId, index: u64) {
        if let Some(window) = self.contexts.get_mut(id.index()) {
            window.mark(index);
        }
    }

    /// Finds a place for an SSRC that has none, without giving it away.
    pub(super) fn newcomer(&self, ssrc: Ssrc, seq: WireSeq) -> Result<Newcomer, OpenError> {
        let place = self.live.trailing_ones() as usize;
        if place >= limits::SSRCS_PER_SESSION {
            return Err(OpenError::TooManySources);
        }
        let returned = self.forgotten.iter().position(|(one, _)| *one == ssrc);
        let Some((_, newest)) = returned.and_then(|at| self.forgotten.get(at)) else {
            let known = self.live.count_ones() as usize + self.forgotten.len();
            if known >= limits::SSRCS_PER_KEY {
                return Err(OpenError::TooManySources);
            }
            // A sender starts with a roll-over count of zero. If it started next to the wrap and
            // the first packets were lost, its count is one by now.
            let index = u64::from(seq.0);
            let wrapped = (seq.0 < 0x8000).then_some(index + 0x1_0000);
            return Ok(Newcomer { place, returned, candidates: [Some(index), wrapped] });
        };
        let index = estimate(*newest, seq);
        match index > *newest {
            _ if index >= INDEX_END => Err(OpenError::Exhausted),
            true => Ok(Newcomer { place, returned, candidates: [Some(index), None] }),
            false => Err(OpenError::Replayed),
        }
    }

    /// Gives a newcomer its context, now that its first packet was authentic.
    pub(super) fn admit(&mut self, newcomer: &Newcomer, ssrc: Ssrc, index: u64) -> ContextId {
        if let Some(at) = newcomer.returned.filter(|at| *at < self.forgotten.len()) {
            self.forgotten.swap_remove(at);
        }
        let window = match newcomer.returned {
            Some(_) => Window::closed_at(index),
            None => Window::starting_at(index),
        };
        match (self.ssrcs.get_mut(newcomer.place), self.contexts.get_mut(newcomer.place)) {
            (Some(one), Some(context)) => (*one, *context) = (ssrc, window),
            // Places are taken from the lowest on: the next one is at the end.
            _ => {
                self.ssrcs.push(ssrc);
                self.contexts.push(window);
            }
        }
        self.live |= 1 << newcomer.place;
        ContextId(newcomer.place as u8)
    }

    /// Every place there ever was a context at.
    pub(super) fn contexts(&self) -> impl Iterator<Item = ContextId> + use<> {
        // At most 64.
        (0..self.ssrcs.len() as u8).map(ContextId)
    }

    /// Frees the place, but remembers where the source stopped.
    pub(super) fn forget(&mut self, id: ContextId) {
        let bit = 1 << id.0;
        if let (Some(ssrc), Some(window)) = (self.ssrcs.get(id.index()), self.contexts.get(id.index()))
            && self.live & bit != 0
        {
            self.forgotten.push((*ssrc, window.newest()));
            self.live &= !bit;
        }
    }
}

/// The sources of RTCP: few packets, no roll-over, nothing to forget.
#[derive(Debug, Default, Hash)]
pub(super) struct RtcpSources(Vec<(Ssrc, Window<RTCP_WORDS>)>);

impl RtcpSources {
    /// Where `ssrc` is or would be, unless `index` was seen or there is no place for it.
    pub(super) fn check(&self, ssrc: Ssrc, index: u32) -> Result<usize, OpenError> {
        match self.0.iter().position(|(one, _)| *one == ssrc) {
            None if self.0.len() >= limits::SSRCS_PER_KEY => Err(OpenError::TooManySources),
            None => Ok(self.0.len()),
            Some(at) => match self.0.get(at) {
                Some((_, window)) if window.is_fresh(index.into()) => Ok(at),
                _ => Err(OpenError::Replayed),
            },
        }
    }

    /// Remembers the index of a packet that was authentic at the place that `check` told.
    pub(super) fn accept(&mut self, at: usize, ssrc: Ssrc, index: u32) {
        match self.0.get_mut(at) {
            Some((_, window)) => window.mark(index.into()),
            None => self.0.push((ssrc, Window::starting_at(index.into()))),
        }
    }
}

/// The index nearest to `newest` whose low bits are `seq` (RFC 3711, appendix A). There is none
/// below zero; what the limit of 2^48 would cut off is for the caller to refuse.
#[inline]
fn estimate(newest: u64, seq: WireSeq) -> u64 {
    let (count, last) = (newest >> 16, newest & 0xffff);
    let seq = u64::from(seq.0);
    let count = if last < 0x8000 && seq > last + 0x8000 {
        count.saturating_sub(1)
    } else if last >= 0x8000 && seq < last - 0x8000 {
        count + 1
    } else {
        count
    };
    count << 16 | seq
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn s_srtp_04_estimate_is_the_true_index_within_half_the_space(
            newest in prop_oneof![0..300_000u64, INDEX_END - 300_000..INDEX_END],
            step in -0x7fff..=0x7fffi64,
        ) {
            if let Some(index) = newest.checked_add_signed(step) {
                prop_assert_eq!(estimate(newest, WireSeq(index as u16)), index);
            }
        }
    }

    #[test]
    fn s_srtp_07_indices_end_at_2_to_48_and_do_not_come_round() {
        let mut sources = RtpSources::default();
        let last = INDEX_END - 1;
        let newcomer = sources.newcomer(Ssrc(1), WireSeq(0xfffe)).unwrap();
        let id = sources.admit(&newcomer, Ssrc(1), last - 1);
        assert_eq!(sources.expect(id, WireSeq(0)), Err(OpenError::Exhausted));
        assert_eq!(sources.expect(id, WireSeq(0xffff)), Ok(last));
        sources.accept(id, last);
        assert_eq!(sources.expect(id, WireSeq(0)), Err(OpenError::Exhausted));
        assert_eq!(sources.expect(id, WireSeq(0xffff)), Err(OpenError::Replayed));
        sources.forget(id);
        let again = sources.newcomer(Ssrc(1), WireSeq(0));
        assert_eq!(again.map(|_| ()), Err(OpenError::Exhausted));
    }

    #[test]
    fn nothing_lies_before_the_first_cycle() {
        assert_eq!(estimate(3, WireSeq(65_000)), 65_000);
        assert_eq!(estimate(0x1_0003, WireSeq(65_000)), 65_000);
        assert_eq!(estimate(0x2_0003, WireSeq(65_000)), 0x1_0000 + 65_000);
    }

    #[test]
    fn places_are_dense_and_found_among_many() {
        let mut sources = RtpSources::default();
        let admit = |sources: &mut RtpSources, ssrc: u32| {
            let newcomer = sources.newcomer(Ssrc(ssrc), WireSeq(9)).unwrap();
            sources.admit(&newcomer, Ssrc(ssrc), 9)
        };
        for ssrc in 0..64 {
            assert_eq!(sources.find(Ssrc(ssrc)), None);
            assert_eq!(admit(&mut sources, ssrc).index(), ssrc as usize);
        }
        for ssrc in 0..64 {
            assert_eq!(sources.find(Ssrc(ssrc)), Some(ContextId(ssrc as u8)));
        }
        for ssrc in [63, 8, 0] {
            sources.forget(ContextId(ssrc));
            sources.forget(ContextId(ssrc));
            assert_eq!(sources.find(Ssrc(ssrc.into())), None);
        }
        assert_eq!(admit(&mut sources, 1_000).index(), 0);
        assert_eq!(admit(&mut sources, 1_008).index(), 8);
        assert_eq!((sources.ssrcs.len(), sources.forgotten.len()), (64, 3));
    }
}
