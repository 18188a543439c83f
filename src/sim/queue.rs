//! The queue before a bottleneck: first in, first out, bounded in bytes, managed or not.

use std::collections::VecDeque;

use serde::Deserialize;

use super::Packet;
use super::codel::Codel;

/// What looks after the queue besides its end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aqm {
    /// Nothing: packets that do not fit are dropped.
    #[default]
    None,
    /// ECN-capable packets that waited more than 1 ms are marked.
    Step,
    /// CoDel (RFC 8289) with 5 ms and 100 ms; it drops, whether a packet is ECN-capable or not.
    Codel,
}

/// From here on `Aqm::Step` marks, in nanoseconds.
const STEP: u64 = 1_000_000;

/// A packet in the queue, since a moment in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) packet: Packet,
    pub(super) since: u64,
}

/// Packets in order, with their bytes.
#[derive(Debug, Default, Clone)]
pub(super) struct Fifo {
    packets: VecDeque<Waiting>,
    bytes: usize,
}

impl Fifo {
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.bytes += waiting.packet.size;
        self.packets.push_back(waiting);
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        let next = self.packets.pop_front()?;
        self.bytes -= next.packet.size;
        Some(next)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The head of a queue on its way into service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) packet: Packet,
    /// Nanoseconds.
    pub(super) waited: u64,
    pub(super) marked: bool,
}

/// A bounded queue.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    fifo: Fifo,
    limit: usize,
    /// Bytes in service, which are still held.
    serving: usize,
    marks: bool,
    codel: Option<Codel>,
}

impl Queue {
    /// Holds at most `limit` bytes, or one packet if that is more.
    pub(super) fn new(limit: usize, aqm: Aqm) -> Self {
        let codel = (aqm == Aqm::Codel).then(Codel::default);
        Queue { fifo: Fifo::default(), limit, serving: 0, marks: aqm == Aqm::Step, codel }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fifo.packets.is_empty()
    }

    /// Takes a packet at the end, or does not.
    pub(super) fn push(&mut self, now: u64, packet: Packet) -> bool {
        let held = self.fifo.bytes + self.serving;
        let fits = held == 0 || held + packet.size <= self.limit;
        if fits {
            self.fifo.push(Waiting { packet, since: now });
        }
        fits
    }

    /// The packet in service is through.
    pub(super) fn release(&mut self) {
        self.serving = 0;
    }

    /// The next packet to be served; what management drops goes to `dropped`.
    pub(super) fn pop(&mut self, now: u64, mut dropped: impl FnMut(Packet)) -> Option<Served> {
        let next = match &mut self.codel {
            Some(codel) => codel.dequeue(now, &mut self.fifo, |waiting| dropped(waiting.packet)),
            None => self.fifo.pop(),
        }?;
        self.serving = next.packet.size;
        let waited = now - next.since;
        let marked = self.marks && next.packet.ect && waited > STEP;
        Some(Served { packet: next.packet, waited, marked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(id: u64, size: usize) -> Packet {
        Packet { id, lane: 0, size, ect: true }
    }

    #[test]
    fn a_queue_holds_its_bytes_and_no_more() {
        let mut queue = Queue::new(3_000, Aqm::None);
        assert!(queue.push(0, packet(1, 1_200)) && queue.push(0, packet(2, 1_200)));
        assert!(!queue.push(0, packet(3, 601)));
        assert!(queue.push(0, packet(4, 600)));
        assert_eq!(queue.pop(7, |_| ()).map(|next| (next.packet.id, next.waited)), Some((1, 7)));
        // What is in service takes its room until it is through.
        assert!(!queue.push(8, packet(5, 1_200)));
        queue.release();
        assert!(queue.push(9, packet(5, 1_200)));
    }

    #[test]
    fn an_empty_queue_takes_a_packet_whatever_its_limit() {
        let mut queue = Queue::new(100, Aqm::None);
        assert!(queue.push(0, packet(1, 1_200)) && !queue.push(0, packet(2, 50)));
        queue.pop(0, |_| ());
        assert!(!queue.push(1, packet(2, 50)));
        queue.release();
        assert!(queue.push(2, packet(2, 50)));
    }

    #[test]
    fn step_marks_what_is_capable_and_waited_more_than_a_millisecond() {
        let mut queue = Queue::new(10_000, Aqm::Step);
        queue.push(0, packet(1, 100));
        queue.push(0, packet(2, 100));
        queue.push(0, Packet { ect: false, ..packet(3, 100) });
        let marked = |queue: &mut Queue, now| queue.pop(now, |_| ()).map(|next| next.marked);
        assert_eq!(marked(&mut queue, 1_000_000), Some(false));
        assert_eq!(marked(&mut queue, 1_000_001), Some(true));
        assert_eq!(marked(&mut queue, 9_000_000), Some(false));
    }
}
