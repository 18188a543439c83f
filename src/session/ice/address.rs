//! The peer's addresses: a small table whose selected entry is never evicted.

use super::check::Check;
use crate::base::limits;
use crate::base::time::Instant;
use crate::wire::mux::Path;

/// What is known of one path within one generation.
#[derive(Debug)]
pub(super) struct Address {
    /// Names the entry for as long as it lives; never used again.
    pub(super) serial: u64,
    pub(super) path: Path,
    pub(super) epoch: u32,
    /// Of the candidate there: PRIORITY of the peer's request, or what its description said.
    pub(super) priority: u32,
    /// When a message with the right password last came from here; `None` for a candidate that is
    /// only named.
    pub(super) heard: Option<Instant>,
    /// When a check of ours was last answered from here.
    pub(super) proof: Option<Instant>,
    /// When the controlling side last chose this path.
    pub(super) nominated: Option<Instant>,
    pub(super) check: Check,
    /// Bytes both ways, as long as there is no proof; they saturate.
    received: u32,
    sent: u32,
    /// The owner has been told of the path.
    announced: bool,
}

impl Address {
    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.proof.is_some_and(|at| now - at < limits::CONSENT_TIMEOUT)
    }

    /// When the proof is too old.
    pub(super) fn proof_ends(&self) -> Option<Instant> {
        self.proof.map(|at| at + limits::CONSENT_TIMEOUT)
    }

    /// Back to an address that is known and no more; the accounting begins anew.
    pub(super) fn unprove(&mut self) {
        self.proof = None;
        self.nominated = None;
        (self.received, self.sent) = (0, 0);
    }

    fn credit(&self) -> usize {
        let earned = (self.received as usize).saturating_mul(limits::AMPLIFICATION);
        earned.saturating_sub(self.sent as usize)
    }
}

/// The table. An agent has few entries, so each search is a walk.
#[derive(Debug)]
pub(super) struct Addresses {
    entries: Vec<Address>,
    capacity: usize,
    serial: u64,
    selected: Option<u64>,
    /// Paths that the owner still believes in: each was announced, so there are at most as many as
    /// there can be entries.
    forgotten: Vec<Path>,
}

impl Addresses {
    /// A table of at most `capacity` entries, two at least.
    pub(super) fn new(capacity: usize) -> Self {
        let (entries, forgotten) = (Vec::new(), Vec::new());
        Addresses { entries, capacity: capacity.max(2), serial: 0, selected: None, forgotten }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Address> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Address> {
        self.entries.iter_mut()
    }

    pub(super) fn get(&self, serial: u64) -> Option<&Address> {
        self.entries.iter().find(|entry| entry.serial == serial)
    }

    pub(super) fn get_mut(&mut self, serial: u64) -> Option<&mut Address> {
        self.entries.iter_mut().find(|entry| entry.serial == serial)
    }

    pub(super) fn selected(&self) -> Option<&Address> {
        self.get(self.selected?)
    }

    pub(super) fn selected_mut(&mut self) -> Option<&mut Address> {
        self.get_mut(self.selected?)
    }

    pub(super) fn is_selected(&self, serial: u64) -> bool {
        self.selected == Some(serial)
    }

    pub(super) fn set_selected(&mut self, serial: u64) {
        self.selected = Some(serial);
    }

    /// The entries of this path, one for each generation at most.
    pub(super) fn of_path(&self, path: Path) -> impl Iterator<Item = &Address> {
        self.entries.iter().filter(move |entry| entry.path == path)
    }

    /// The entry of a path, new if need be; then the one heard longest ago makes room, those without
    /// a proof before those with one.
    pub(super) fn enter(&mut self, path: Path, epoch: u32) -> &mut Address {
        let known = self.entries.iter().position(|e| e.path == path && e.epoch == epoch);
        let index = known.unwrap_or_else(|| {
            if self.entries.len() >= self.capacity {
                self.evict();
            }
            self.push(path, epoch)
        });
        // Found, or just pushed there.
        &mut self.entries[index]
    }

    /// Appends a new entry and returns its index.
    fn push(&mut self, path: Path, epoch: u32) -> usize {
        let mut announced = self.of_path(path).any(|entry| entry.announced);
        // The owner need not hear of what it never forgot.
        if let Some(at) = self.forgotten.iter().position(|gone| *gone == path) {
            self.forgotten.swap_remove(at);
            announced = true;
        }
        self.serial += 1;
        let serial = self.serial;
        // Most agents keep one entry: no room for four is made at once.
        self.entries.reserve_exact(1);
        self.entries.push(Address {
            serial,
            path,
            epoch,
            priority: 0,
            heard: None,
            proof: None,
            nominated: None,
            check: Check::default(),
            received: 0,
            sent: 0,
            announced,
        });
        self.entries.len() - 1
    }

    fn evict(&mut self) {
        let others = self.entries.iter().enumerate().filter(|(_, e)| !self.is_selected(e.serial));
        let oldest = others.min_by_key(|(_, entry)| (entry.proof.is_some(), entry.heard));
        if let Some((index, _)) = oldest {
            self.forget(index);
        }
    }

    /// Removes the entries of a generation, the selected one included.
    pub(super) fn forget_epoch(&mut self, epoch: u32) {
        while let Some(index) = self.entries.iter().position(|entry| entry.epoch == epoch) {
            self.forget(index);
        }
    }

    /// Removes the entries of a path, the selected one included.
    pub(super) fn forget_path(&mut self, path: Path) {
        while let Some(index) = self.entries.iter().position(|entry| entry.path == path) {
            self.forget(index);
        }
    }

    fn forget(&mut self, index: usize) {
        // Indices come from searches of the same vector.
        let gone = self.entries.remove(index);
        if self.is_selected(gone.serial) {
            self.selected = None;
        }
        if gone.announced && self.of_path(gone.path).next().is_none() {
            self.forgotten.push(gone.path);
        }
    }

    pub(super) fn poll_forgotten(&mut self) -> Option<Path> {
        self.forgotten.pop()
    }

    /// A path that the owner has not been told of.
    pub(super) fn poll_known(&mut self) -> Option<Path> {
        let path = self.entries.iter().find(|e| e.heard.is_some() && !e.announced)?.path;
        for entry in self.entries.iter_mut().filter(|entry| entry.path == path) {
            entry.announced = true;
        }
        Some(path)
    }

    /// Whether a message with the right password came from here.
    pub(super) fn knows(&self, path: Path) -> bool {
        self.of_path(path).any(|entry| entry.heard.is_some())
    }

    /// Bytes that may still be sent there; `None` is without limit.
    pub(super) fn allowance(&self, path: Path) -> Option<usize> {
        if self.of_path(path).any(|entry| entry.proof.is_some()) {
            return None;
        }
        Some(self.of_path(path).map(Address::credit).max().unwrap_or(0))
    }

    pub(super) fn on_received(&mut self, path: Path, len: usize) {
        self.account(path, |entry| entry.received = add(entry.received, len));
    }

    pub(super) fn on_sent(&mut self, path: Path, len: usize) {
        self.account(path, |entry| entry.sent = add(entry.sent, len));
    }

    fn account(&mut self, path: Path, mut count: impl FnMut(&mut Address)) {
        for entry in self.entries.iter_mut().filter(|e| e.path == path && e.proof.is_none()) {
            count(entry);
        }
    }
}

fn add(count: u32, len: usize) -> u32 {
    count.saturating_add(u32::try_from(len).unwrap_or(u32::MAX))
}
