//! Records of ours, numbered, sealed and packed into datagrams.

use std::collections::VecDeque;

use super::protection::Sealer;
use super::record::{LONG_HEADER, long_header};
use crate::base::limits;
use smallvec::SmallVec;

/// A datagram with less room than this for a piece of a message is full.
const LEAST_ROOM: usize = 64;

/// What waits to be polled, and what is needed to say more.
pub(super) struct Outgoing {
    datagrams: VecDeque<Box<[u8]>>,
    /// The datagram that is being filled.
    filling: Vec<u8>,
    mtu: usize,
    /// The number of the next record in clear.
    clear: u64,
    /// By epoch, the newest last.
    sealers: SmallVec<[Box<Sealer>; 2]>,
    /// Datagrams that found no room.
    lost: u32,
}

impl Outgoing {
    pub(super) fn new(mtu: usize) -> Self {
        Outgoing {
            datagrams: VecDeque::new(),
            filling: Vec::new(),
            mtu,
            clear: 0,
            sealers: SmallVec::new(),
            lost: 0,
        }
    }

    /// From now on there is an epoch more.
    pub(super) fn protect(&mut self, sealer: Sealer) {
        self.sealers.push(Box::new(sealer));
    }

    /// Nothing is said any more in epochs before this one.
    pub(super) fn forget_before(&mut self, epoch: u16) {
        self.sealers.retain(|sealer| sealer.epoch() >= epoch);
    }

    /// The newest epoch; 0 is in clear.
    pub(super) fn epoch(&self) -> u16 {
        self.sealers.last().map_or(0, |sealer| sealer.epoch())
    }

    /// The newest sealer.
    pub(super) fn sealer(&self) -> Option<&Sealer> {
        self.sealers.last().map(|sealer| &**sealer)
    }

    pub(super) fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
    }

    pub(super) fn mtu(&self) -> usize {
        self.mtu
    }

    /// By how much a record of an epoch is longer than its text.
    fn overhead(&self, epoch: u16) -> usize {
        let sealer = self.sealers.iter().find(|sealer| sealer.epoch() == epoch);
        sealer.map_or(LONG_HEADER, |sealer| sealer.overhead())
    }

    /// The bytes of text of the largest record that the datagram has room for that is being filled, or a new one if that
    /// is nearly full.
    pub(super) fn room(&mut self, epoch: u16) -> usize {
        let overhead = self.overhead(epoch);
        let left = self.mtu.saturating_sub(self.filling.len()).saturating_sub(overhead);
        if left >= LEAST_ROOM {
            return left;
        }
        self.flush();
        self.mtu.saturating_sub(overhead)
    }

    /// Adds a record; its number. `None` if there are no keys of the epoch or no number is left.
    pub(super) fn record(&mut self, epoch: u16, kind: u8, text: &[u8]) -> Option<u64> {
        if self.filling.len() + self.overhead(epoch) + text.len() > self.mtu {
            self.flush();
        }
        if epoch == 0 {
            let number = self.clear;
            self.clear = number + 1;
            self.filling.extend_from_slice(&long_header(kind, epoch, number, text.len()));
            self.filling.extend_from_slice(text);
            return Some(number);
        }
        let sealer = self.sealers.iter_mut().find(|sealer| sealer.epoch() == epoch)?;
        sealer.seal(kind, text, &mut self.filling)
    }

    /// The datagram that is being filled is whole.
    pub(super) fn flush(&mut self) {
        if self.filling.is_empty() {
            return;
        }
        let datagram = std::mem::take(&mut self.filling);
        if self.datagrams.len() < limits::DTLS_OUTGOING {
            self.datagrams.push_back(datagram.into());
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// As if so many records had been sealed in the newest epoch.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, number: u64) {
        let sealer = self.sealers.pop().unwrap();
        self.sealers.push(Box::new(sealer.resume(number)));
    }

    /// Forgets what waits.
    pub(super) fn clear(&mut self) {
        self.filling = Vec::new();
        self.datagrams = VecDeque::new();
    }

    /// Forgets the keys.
    pub(super) fn end(&mut self) {
        self.flush();
        self.sealers = SmallVec::new();
    }

    pub(super) fn is_full(&self) -> bool {
        self.datagrams.len() >= limits::DTLS_OUTGOING
    }

    pub(super) fn lost(&self) -> u32 {
        self.lost
    }

    /// What waits, the oldest first.
    pub(super) fn datagrams(&self) -> &VecDeque<Box<[u8]>> {
        &self.datagrams
    }

    /// Writes the oldest datagram to the start of `buf`; `None` if there is none or no room for it.
    pub(super) fn poll(&mut self, buf: &mut [u8]) -> Option<usize> {
        let datagram = self.datagrams.front()?;
        let len = datagram.len();
        buf.get_mut(..len)?.copy_from_slice(datagram);
        self.datagrams.pop_front();
        if self.datagrams.is_empty() {
            self.datagrams = VecDeque::new();
        }
        Some(len)
    }
}
