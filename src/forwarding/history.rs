//! The packets of a stream: at once the fan-out buffer, the send queue's store and the
//! retransmission cache.
//!
//! A history is a list of append-only pages from the engine's pool. A packet is opened straight into
//! the free end of the newest page ([`History::reserve`], open, [`History::commit`]) and named by its
//! extended sequence number from then on; whoever holds a number that is no longer there is answered
//! `None`. Pages leave when they are too old or too many; an idle stream holds none.

use crate::base::limits;
use crate::base::time::Instant;
use crate::wire::rtp::SeqNo;
use std::collections::VecDeque;

/// The engine's pages: allocated as needed up to a cap, then only reused.
pub(crate) struct Pages {
    pages: Vec<Box<[u8]>>,
    free: Vec<u32>,
    cap: usize,
}

impl Pages {
    pub(crate) fn new(cap: usize) -> Self {
        Pages { pages: Vec::new(), free: Vec::new(), cap }
    }

    fn take(&mut self) -> Option<u32> {
        if let Some(page) = self.free.pop() {
            return Some(page);
        }
        if self.pages.len() >= self.cap {
            return None;
        }
        self.pages.push(vec![0; limits::HISTORY_PAGE].into_boxed_slice());
        // The cap is far below 2^32.
        u32::try_from(self.pages.len() - 1).ok()
    }

    fn release(&mut self, page: u32) {
        self.free.push(page);
        // Idle pages at the end of the pool go back to the allocator once a good part of it is idle.
        let half = self.pages.len() / 2;
        let at_the_end = page as usize + 1 == self.pages.len() && self.free.len() > half;
        if self.free.len() > 64 && (at_the_end || self.free.len() == half + 1) {
            self.shrink();
        }
    }

    /// Gives the idle tail of the pool back.
    fn shrink(&mut self) {
        // Highest first: the lowest is taken next, so that the tail empties.
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        let len = self.pages.len();
        let tail = self.free.iter().enumerate().take_while(|(at, page)| **page as usize + at + 1 == len);
        let idle = tail.count();
        self.free.drain(..idle);
        self.pages.truncate(len - idle);
    }

    /// Gives everything back while no page is in use.
    pub(crate) fn give_back(&mut self) {
        if self.used() == 0 {
            (self.pages, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// Pages in use.
    pub(crate) fn used(&self) -> usize {
        self.pages.len() - self.free.len()
    }

    fn bytes(&self, page: u32) -> &[u8] {
        self.pages.get(page as usize).map_or(&[], |page| page)
    }

    fn bytes_mut(&mut self, page: u32) -> &mut [u8] {
        self.pages.get_mut(page as usize).map_or(&mut [], |page| page)
    }
}

/// A packet as the history keeps it: header extensions that are passed on, then the payload.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Stored {
    pub(crate) seq: SeqNo,
    pub(crate) timestamp: u32,
    /// Which page of the stream, counted from its first ever.
    page: u32,
    offset: u16,
    pub(crate) payload_len: u16,
    pub(crate) extensions_len: u8,
    /// The engine's codec, an index into its configured list.
    pub(crate) codec: u8,
    /// Where its frame stands, and whether it ends here.
    pub(crate) place: Place,
    pub(crate) marker: bool,
}

/// The layer of a packet's frame within its encoding, and whether the frame ends with it, in one byte.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place(u8);

impl Place {
    /// Spatial and temporal layers above 7 count as 7.
    pub(crate) fn new(spatial: u8, temporal: u8, ends_frame: bool) -> Place {
        Place(spatial.min(7) << 4 | temporal.min(7) << 1 | u8::from(ends_frame))
    }

    pub(crate) fn spatial(self) -> u8 {
        self.0 >> 4
    }

    pub(crate) fn temporal(self) -> u8 {
        self.0 >> 1 & 7
    }

    /// Whether a picture ends here for who gets no higher spatial layer than this one.
    pub(crate) fn ends_picture_of(self, top: u8) -> bool {
        self.0 & 1 != 0 && self.spatial() == top
    }
}

/// Bytes of one place in a history's index.
pub(crate) const INDEX_ENTRY: usize = size_of::<Option<Stored>>();

/// What [`History::commit`] is told of a packet that was opened into the reserved place.
pub(crate) struct Committed {
    pub(crate) seq: SeqNo,
    pub(crate) arrival: Instant,
    pub(crate) timestamp: u32,
    /// Bytes at the start of the place that are not kept: a header that was encrypted.
    pub(crate) skipped: u16,
    pub(crate) extensions_len: u8,
    pub(crate) payload_len: u16,
    pub(crate) codec: u8,
    pub(crate) place: Place,
    pub(crate) marker: bool,
}

#[derive(Hash)]
struct PageInUse {
    id: u32,
    filled: u16,
    newest: Instant,
}

/// One stream's packets.
#[derive(Hash)]
pub(crate) struct History {
    pages: VecDeque<PageInUse>,
    /// The number of `pages[0]` among all pages this stream ever had.
    first_page: u32,
    /// The packet with number `n` at `n % len`; a power of two long.
    index: Vec<Option<Stored>>,
}

impl History {
    pub(crate) fn new() -> Self {
        History { pages: VecDeque::new(), first_page: 0, index: Vec::new() }
    }

    /// A place of at least `len` bytes for the next packet, or `None` when the pool is exhausted.
    /// Nothing is kept until [`Self::commit`]: an unauthentic packet leaves no trace.
    pub(crate) fn reserve<'p>(
        &mut self,
        pool: &'p mut Pages,
        now: Instant,
        len: usize,
    ) -> Option<&'p mut [u8]> {
        let fits = |page: &PageInUse| limits::HISTORY_PAGE.saturating_sub(page.filled.into()) >= len;
        if !self.pages.back().is_some_and(fits) {
            let id = pool.take()?;
            self.pages.push_back(PageInUse { id, filled: 0, newest: now });
        }
        let page = self.pages.back()?;
        pool.bytes_mut(page.id).get_mut(usize::from(page.filled)..)
    }

    /// Gives back a page that was taken for a packet that was not kept.
    pub(crate) fn cancel(&mut self, pool: &mut Pages) {
        if self.pages.back().is_some_and(|page| page.filled == 0)
            && let Some(page) = self.pages.pop_back()
        {
            pool.release(page.id);
        }
    }

    /// Keeps the packet that stands in the reserved place. Only now the oldest page leaves
    /// for a new one: what is not authentic pushes nothing out (I-03).
    pub(crate) fn commit(&mut self, pool: &mut Pages, packet: Committed) {
        while self.pages.len() > limits::HISTORY_PAGES_PER_STREAM {
            self.release_first(pool);
        }
        let Some(page) = self.pages.back_mut() else {
            return;
        };
        let offset = page.filled.saturating_add(packet.skipped);
        page.filled =
            offset.saturating_add(u16::from(packet.extensions_len)).saturating_add(packet.payload_len);
        page.newest = packet.arrival;
        // The number only tells pages of one stream apart while both are in use.
        let number = self.first_page.wrapping_add(self.pages.len() as u32 - 1);
        self.make_room(packet.seq);
        let stored = Stored {
            seq: packet.seq,
            timestamp: packet.timestamp,
            page: number,
            offset,
            payload_len: packet.payload_len,
            extensions_len: packet.extensions_len,
            codec: packet.codec,
            place: packet.place,
            marker: packet.marker,
        };
        let at = self.slot_of(packet.seq);
        if let Some(slot) = self.index.get_mut(at) {
            *slot = Some(stored);
        }
    }

    /// What stands in the reserved place of a packet that is not committed yet.
    pub(crate) fn reserved<'p>(&self, pool: &'p Pages, packet: &Committed) -> Option<(&'p [u8], &'p [u8])> {
        let page = self.pages.back()?;
        let start = usize::from(page.filled) + usize::from(packet.skipped);
        let middle = start + usize::from(packet.extensions_len);
        let bytes = pool.bytes(page.id).get(start..middle + usize::from(packet.payload_len))?;
        Some(bytes.split_at(middle - start))
    }

    /// Doubles the index while that saves a packet still held from being overwritten.
    fn make_room(&mut self, seq: SeqNo) {
        if self.index.is_empty() {
            self.index.resize(16, None);
        }
        while self.index.len() < limits::HISTORY_PACKETS {
            let occupant = self.index.get(self.slot_of(seq)).copied().flatten();
            if !occupant.is_some_and(|held| held.seq != seq && self.holds(&held)) {
                return;
            }
            let doubled = self.index.len() * 2;
            let old = std::mem::replace(&mut self.index, vec![None; doubled]);
            for held in old.into_iter().flatten() {
                let at = self.slot_of(held.seq);
                if let Some(slot) = self.index.get_mut(at) {
                    *slot = Some(held);
                }
            }
        }
    }

    fn slot_of(&self, seq: SeqNo) -> usize {
        (seq.0 as usize) & (self.index.len().wrapping_sub(1))
    }

    fn holds(&self, packet: &Stored) -> bool {
        (packet.page.wrapping_sub(self.first_page) as usize) < self.pages.len()
    }

    /// The packet with this number, if it is still held.
    #[inline]
    pub(crate) fn get(&self, seq: SeqNo) -> Option<&Stored> {
        let packet = self.index.get(self.slot_of(seq))?.as_ref()?;
        (packet.seq == seq && self.holds(packet)).then_some(packet)
    }

    /// A held packet's extensions and payload.
    #[inline]
    pub(crate) fn bytes<'p>(&self, pool: &'p Pages, packet: &Stored) -> Option<(&'p [u8], &'p [u8])> {
        let page = self.pages.get(packet.page.wrapping_sub(self.first_page) as usize)?;
        let start = usize::from(packet.offset);
        let middle = start + usize::from(packet.extensions_len);
        let end = middle + usize::from(packet.payload_len);
        let bytes = pool.bytes(page.id).get(start..end)?;
        Some(bytes.split_at(middle - start))
    }

    /// Releases pages whose newest packet is older than the limit.
    pub(crate) fn expire(&mut self, pool: &mut Pages, now: Instant) {
        while self.pages.front().is_some_and(|page| now - page.newest > limits::HISTORY_AGE) {
            self.release_first(pool);
        }
    }

    /// Releases everything.
    pub(crate) fn clear(&mut self, pool: &mut Pages) {
        while !self.pages.is_empty() {
            self.release_first(pool);
        }
        self.index = Vec::new();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    fn release_first(&mut self, pool: &mut Pages) {
        if let Some(page) = self.pages.pop_front() {
            self.first_page = self.first_page.wrapping_add(1);
            pool.release(page.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Duration;

    fn put(history: &mut History, pool: &mut Pages, at: Instant, seq: u64, payload: &[u8]) {
        let place = history.reserve(pool, at, payload.len()).expect("room");
        place[..payload.len()].copy_from_slice(payload);
        history.commit(
            pool,
            Committed {
                seq: SeqNo(seq),
                arrival: at,
                timestamp: 0,
                skipped: 0,
                extensions_len: 1,
                payload_len: payload.len() as u16 - 1,
                codec: 0,
                place: Place::default(),
                marker: false,
            },
        );
    }

    #[test]
    fn packets_are_found_by_number_until_their_page_leaves() {
        let (mut history, mut pool) = (History::new(), Pages::new(100));
        let start = Instant::from_millis(1);
        for seq in 0..1_000u64 {
            put(&mut history, &mut pool, start, seq, &[9, seq as u8, 1]);
        }
        for seq in 0..1_000u64 {
            let packet = *history.get(SeqNo(seq)).expect("held");
            let (extensions, payload) = history.bytes(&pool, &packet).expect("held");
            assert_eq!((extensions, payload), (&[9][..], &[seq as u8, 1][..]));
        }
        history.expire(&mut pool, start + limits::HISTORY_AGE + Duration::from_millis(1));
        assert!(history.get(SeqNo(999)).is_none());
        assert_eq!((pool.used(), history.is_empty()), (0, true));
    }

    #[test]
    fn what_was_not_committed_is_not_there() {
        let (mut history, mut pool) = (History::new(), Pages::new(100));
        history.reserve(&mut pool, Instant::ZERO, 100).expect("room")[0] = 7;
        assert!(history.get(SeqNo(0)).is_none());
        history.cancel(&mut pool);
        assert_eq!((pool.used(), history.is_empty()), (0, true));
        put(&mut history, &mut pool, Instant::ZERO, 1, &[0; 10]);
        history.reserve(&mut pool, Instant::ZERO, 100).expect("room");
        history.cancel(&mut pool);
        assert!(history.get(SeqNo(1)).is_some(), "what was kept stays");
    }

    #[test]
    fn i_02_a_stream_never_holds_more_than_its_pages() {
        let (mut history, mut pool) = (History::new(), Pages::new(1_000));
        for seq in 0..5_000u64 {
            put(&mut history, &mut pool, Instant::ZERO, seq, &[0; 1_200]);
        }
        assert_eq!(pool.used(), limits::HISTORY_PAGES_PER_STREAM);
        assert!(history.index.len() <= limits::HISTORY_PACKETS);
        assert!(history.get(SeqNo(4_999)).is_some());
        assert!(history.get(SeqNo(0)).is_none());
    }

    #[test]
    fn an_exhausted_pool_refuses_and_recovers() {
        let (mut a, mut b, mut pool) = (History::new(), History::new(), Pages::new(1));
        put(&mut a, &mut pool, Instant::ZERO, 1, &[0; 10]);
        assert!(b.reserve(&mut pool, Instant::ZERO, 10).is_none());
        a.clear(&mut pool);
        assert!(b.reserve(&mut pool, Instant::ZERO, 10).is_some());
    }
}
