//! Datagrams that leave together: whose turn it is, how they stand in a row, what is noted of them.

use crate::base::time::Instant;
use crate::conference::congestion::{FeedbackKind, Left};
use crate::conference::egress::Written;
use crate::conference::ids::SubscriptionId;
use crate::conference::participant::{Egress, SendEntry};
use crate::congestion::pacing::Class;
use crate::transport::framing;
use crate::wire::mux::{Ecn, Path, Protocol};
use std::collections::VecDeque;
use std::num::NonZeroU16;

/// Which of a participant's queues has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Audio,
    Video,
    /// None: nothing waits, and the pace allows more.
    Padding,
}

impl Egress {
    /// Whose turn it is where no path is known: sound goes first.
    #[inline]
    pub(super) fn first(&self) -> Option<(Queue, usize)> {
        let queue = if self.audio.is_empty() { Queue::Video } else { Queue::Audio };
        (queue == Queue::Audio || !self.video.is_empty()).then_some((queue, usize::MAX))
    }

    /// Whose turn it is, and how many bytes may leave together.
    pub(super) fn turn(&mut self, now: Instant) -> Option<(Queue, usize)> {
        if !self.audio.is_empty() {
            return Some((Queue::Audio, usize::MAX));
        }
        let congestion = self.congestion.as_mut()?;
        let turn = congestion.turn(now, self.repairs.into(), self.video.len())?;
        let queue = if turn.class == Class::Padding { Queue::Padding } else { Queue::Video };
        Some((queue, turn.bytes))
    }

    #[inline]
    pub(super) fn queue(&mut self, queue: Queue) -> &mut VecDeque<SendEntry> {
        if queue == Queue::Audio { &mut self.audio } else { &mut self.video }
    }

    #[inline]
    pub(super) fn pop(&mut self, queue: Queue) {
        if queue != Queue::Audio {
            self.repairs = self.repairs.saturating_sub(1);
        }
        self.queue(queue).pop_front();
    }

    /// Drops what waits.
    pub(super) fn clear(&mut self) {
        self.audio.clear();
        self.video.clear();
        self.repairs = 0;
    }

    /// The marks that media leaves with.
    pub(super) fn ecn(&self, enabled: bool, protocol: Protocol) -> Ecn {
        let reported = self.feedback == FeedbackKind::Streams && protocol == Protocol::Udp;
        if enabled && reported { Ecn::Ect1 } else { Ecn::NotEct }
    }

    /// A datagram was sealed. Says whether the next number of its own stream is to be left out.
    pub(super) fn on_left(
        &mut self,
        now: Instant,
        left: Left,
        size: usize,
        name: Option<u64>,
        again: bool,
    ) -> bool {
        let Some(congestion) = &mut self.congestion else { return false };
        let leaves_out = congestion.on_sent(now, left, size, name, again);
        self.transport_seq = congestion.departures.next();
        leaves_out
    }
}

/// What is noted of a burst where a path is known.
#[derive(Default)]
pub(super) struct Fitting {
    name: Option<u64>,
    /// Bytes of headers in front of each datagram.
    pub(super) overhead: usize,
    pub(super) ecn: Ecn,
    /// What the last of new media belongs to.
    newest: Option<SubscriptionId>,
    /// Bytes of what is sent again, with all headers.
    repaired: usize,
}

impl Fitting {
    pub(super) fn new(name: Option<u64>, overhead: usize, ecn: Ecn) -> Self {
        Fitting { name, overhead, ecn, newest: None, repaired: 0 }
    }

    /// A datagram was sealed. Says whether the next number of its own stream is to be left out.
    pub(super) fn on_left(
        &mut self,
        now: Instant,
        egress: &mut Egress,
        left: Left,
        (subscription, again): (SubscriptionId, bool),
    ) -> bool {
        let size = left.len + self.overhead;
        if again {
            self.repaired += size;
        } else {
            self.newest = Some(subscription);
        }
        egress.on_left(now, left, size, self.name, again)
    }

    /// All of it is written.
    pub(super) fn on_burst(&self, now: Instant, egress: &mut Egress, queue: Queue, burst: &Burst) {
        let Some(congestion) = &mut egress.congestion else { return };
        if let Some(sharing) = &mut congestion.sharing {
            let audio = if queue == Queue::Audio { burst.paced(self.overhead) } else { 0 };
            sharing.audio.add(audio);
            sharing.repair.add(self.repaired);
        }
        if queue == Queue::Video && burst.count > 0 {
            congestion.on_paced(now, Class::Media, burst.count, burst.paced(self.overhead));
            congestion.newest = self.newest.or(congestion.newest);
        }
        if self.ecn == Ecn::Ect1 {
            congestion.counts.ect1 += burst.count as u64;
        }
    }
}

/// Datagrams in a row at the start of a buffer.
pub(super) struct Burst {
    len: usize,
    /// The size of all but the last.
    segment: usize,
    pub(super) count: usize,
    mtu: usize,
    /// In a stream each datagram has its length in front, and the sizes may differ.
    framed: bool,
}

impl Burst {
    pub(super) fn new(mtu: usize, protocol: Protocol) -> Self {
        Burst { len: 0, segment: 0, count: 0, mtu, framed: protocol == Protocol::Tcp }
    }

    #[inline]
    pub(super) fn front(&self) -> usize {
        if self.framed { framing::PREFIX } else { 0 }
    }

    /// Where the next datagram goes, and how long it may be: the first sets the size, none after it is longer.
    #[inline]
    pub(super) fn room<'b>(&self, buf: &'b mut [u8]) -> (&'b mut [u8], usize) {
        let room = buf.get_mut(self.len + self.front()..).unwrap_or_default();
        let longest = if self.framed || self.count == 0 { self.mtu } else { self.segment };
        let most = room.len().min(longest);
        (room, most)
    }

    /// A datagram stands there; true if it has to be the last.
    #[inline]
    pub(super) fn add(&mut self, buf: &mut [u8], len: usize) -> bool {
        self.segment = if self.count == 0 { len } else { self.segment };
        let (start, front) = (self.len, self.front());
        let prefix = framing::prefix(len).filter(|_| self.framed);
        if let (Some(prefix), Some(place)) = (prefix, buf.get_mut(start..start + front)) {
            place.copy_from_slice(&prefix);
        }
        self.len += front + len;
        self.count += 1;
        len < self.segment && !self.framed
    }

    /// Their bytes with all headers.
    pub(super) fn paced(&self, overhead: usize) -> usize {
        self.plain_len() + self.count * overhead
    }

    /// Bytes of the datagrams alone.
    #[inline]
    pub(super) fn plain_len(&self) -> usize {
        self.len - self.count * self.front()
    }

    #[inline]
    pub(super) fn written(&self, path: Path, ecn: Ecn) -> Option<Written> {
        let several = u16::try_from(self.segment).ok().filter(|_| self.count > 1 && !self.framed);
        let segment_size = several.and_then(NonZeroU16::new);
        (self.count > 0).then_some(Written { path, ecn, len: self.len, segment_size })
    }
}
