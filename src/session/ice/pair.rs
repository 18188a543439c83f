//! Pairs of an address of ours and one of the peer's: a bounded table whose selected entry is never
//! evicted.

use super::Role;
use super::candidate::pair_priority;
use super::check::Check;
use crate::base::limits;
use crate::base::time::Instant;
use crate::wire::mux::Path;

/// Pairs that come from candidates, of [`limits::PAIRS`] in all; the rest is for the addresses that
/// the peer's checks show.
const NAMED: usize = limits::PAIRS - limits::ADDRESSES_PER_PARTICIPANT;

/// What is known of one path within one generation.
#[derive(Debug)]
pub(super) struct Pair {
    /// Names the entry for as long as it lives; never used again.
    pub(super) serial: u64,
    pub(super) path: Path,
    pub(super) epoch: u32,
    /// Of our candidate, as far as it is known.
    pub(super) local_priority: u32,
    /// Of the peer's: what its description said, or PRIORITY of its request.
    pub(super) remote_priority: u32,
    /// Equal for pairs that probably work or fail together; zero for none.
    pub(super) foundation: u64,
    /// It was made of two candidates, not by a request.
    pub(super) named: bool,
    /// When a message with the right password last came from here; `None` for a candidate that is
    /// only named.
    pub(super) heard: Option<Instant>,
    /// When the first one did.
    pub(super) since: Option<Instant>,
    /// The peer has sent a request here.
    pub(super) requested: bool,
    /// The first of them nominated already: what an aggressive peer does with each pair (RFC 5245,
    /// section 8.1.1.2).
    pub(super) eager: bool,
    /// When a check of ours was last answered from here.
    pub(super) proof: Option<Instant>,
    /// When the controlling side last chose this path.
    pub(super) nominated: Option<Instant>,
    /// Its connection is gone; kept only because it is selected.
    pub(super) gone: bool,
    pub(super) check: Check,
    /// Bytes both ways, as long as there is no proof; they saturate.
    received: u32,
    sent: u32,
}

impl Pair {
    /// Heard, and there is a way back.
    fn is_known(&self) -> bool {
        self.heard.is_some() && !self.gone
    }

    pub(super) fn is_proven(&self, now: Instant) -> bool {
        self.proof.is_some_and(|at| now - at < limits::CONSENT_TIMEOUT)
    }

    /// A message with the right password came from here.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = Some(now);
        self.since.get_or_insert(now);
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

    /// The pair's priority when this is our role (RFC 8445, section 6.1.2.3).
    pub(super) fn priority(&self, role: Role) -> u64 {
        match role {
            Role::Controlling => pair_priority(self.local_priority, self.remote_priority),
            Role::Controlled => pair_priority(self.remote_priority, self.local_priority),
        }
    }

    fn credit(&self) -> usize {
        let earned = (self.received as usize).saturating_mul(limits::AMPLIFICATION);
        earned.saturating_sub(self.sent as usize)
    }
}

/// The table. An agent has few entries, so each search is a walk.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    entries: Vec<Pair>,
    serial: u64,
    selected: Option<u64>,
    /// Paths that the owner has been told of. What is not known any more leaves before another joins,
    /// so there are at most as many as there can be entries.
    told: Vec<Path>,
}

impl Pairs {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Pair> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Pair> {
        self.entries.iter_mut()
    }

    pub(super) fn get(&self, serial: u64) -> Option<&Pair> {
        self.entries.iter().find(|pair| pair.serial == serial)
    }

    pub(super) fn get_mut(&mut self, serial: u64) -> Option<&mut Pair> {
        self.entries.iter_mut().find(|pair| pair.serial == serial)
    }

    pub(super) fn find(&self, path: Path, epoch: u32) -> Option<&Pair> {
        self.of_path(path).find(|pair| pair.epoch == epoch)
    }

    /// The selected pair, its connection gone or not.
    pub(super) fn selected(&self) -> Option<&Pair> {
        self.get(self.selected?)
    }

    pub(super) fn is_selected(&self, serial: u64) -> bool {
        self.selected == Some(serial)
    }

    pub(super) fn set_selected(&mut self, serial: u64) {
        self.selected = Some(serial);
        // One that was kept for its consent alone is of no use any more.
        self.remove_where(|pair| pair.gone && pair.serial != serial);
    }

    /// The entries of this path, one for each generation at most.
    fn of_path(&self, path: Path) -> impl Iterator<Item = &Pair> {
        self.entries.iter().filter(move |pair| pair.path == path)
    }

    /// The entry of a path that an authenticated request came on, new if need be; then the one of
    /// its kind heard longest ago makes room, those without a proof before those with one.
    pub(super) fn enter(&mut self, path: Path, epoch: u32) -> Option<&mut Pair> {
        let known = self.find(path, epoch).map(|pair| pair.serial);
        let serial = known.unwrap_or_else(|| {
            if self.entries.iter().filter(|p| !p.named).count() >= limits::ADDRESSES_PER_PARTICIPANT {
                let others = self.entries.iter().filter(|p| !p.named && !self.is_selected(p.serial));
                let oldest = others.min_by_key(|pair| (pair.proof.is_some(), pair.heard));
                if let Some(serial) = oldest.map(|pair| pair.serial) {
                    self.remove(serial);
                }
            }
            self.push(path, epoch)
        });
        self.get_mut(serial)
    }

    /// The entry of two candidates, new if need be. When there are too many, the one of least
    /// priority that nobody was heard on goes; `None` if that is this one (RFC 8445, section
    /// 6.1.2.5).
    pub(super) fn name(&mut self, path: Path, epoch: u32, priority: u64, role: Role) -> Option<&mut Pair> {
        if let Some(serial) = self.find(path, epoch).map(|pair| pair.serial) {
            return self.get_mut(serial);
        }
        if self.entries.iter().filter(|pair| pair.named).count() >= NAMED {
            let idle = self.entries.iter().filter(|p| p.named && p.heard.is_none());
            let least = idle.min_by_key(|p| (p.epoch == epoch, p.priority(role)))?;
            if least.epoch == epoch && least.priority(role) >= priority {
                return None;
            }
            self.remove(least.serial);
        }
        let serial = self.push(path, epoch);
        let pair = self.get_mut(serial)?;
        pair.named = true;
        Some(pair)
    }

    /// Appends a new entry and returns its serial.
    fn push(&mut self, path: Path, epoch: u32) -> u64 {
        self.serial += 1;
        // Most agents keep one entry: no room for four is made at once.
        self.entries.reserve_exact(1);
        self.entries.push(Pair {
            serial: self.serial,
            path,
            epoch,
            local_priority: super::candidate::our_priority(path.protocol),
            remote_priority: 0,
            foundation: 0,
            named: false,
            heard: None,
            since: None,
            requested: false,
            eager: false,
            proof: None,
            nominated: None,
            gone: false,
            check: Check::default(),
            received: 0,
            sent: 0,
        });
        self.serial
    }

    /// Removes the entries of a generation, the selected one included.
    pub(super) fn forget_epoch(&mut self, epoch: u32) {
        self.remove_where(|pair| pair.epoch == epoch);
    }

    /// Ends the checks of a generation that nothing is to be selected from any more; what was only
    /// named is removed.
    pub(super) fn retire(&mut self, epoch: u32) {
        self.remove_where(|pair| pair.epoch == epoch && pair.heard.is_none());
        let selected = self.selected;
        let others = |pair: &&mut Pair| pair.epoch == epoch && Some(pair.serial) != selected;
        self.entries.iter_mut().filter(others).for_each(|pair| pair.check.stop());
    }

    /// The connection of this path is gone. The selected pair stays without it, as long as there is
    /// consent.
    pub(super) fn forget_path(&mut self, path: Path) {
        let selected = self.selected;
        self.remove_where(|pair| pair.path == path && Some(pair.serial) != selected);
        if let Some(pair) = self.entries.iter_mut().find(|pair| pair.path == path) {
            pair.gone = true;
            pair.check.stop();
        }
    }

    fn remove_where(&mut self, gone: impl Fn(&Pair) -> bool) {
        while let Some(serial) = self.entries.iter().find(|pair| gone(pair)).map(|pair| pair.serial) {
            self.remove(serial);
        }
    }

    fn remove(&mut self, serial: u64) {
        let Some(index) = self.entries.iter().position(|pair| pair.serial == serial) else { return };
        let gone = self.entries.remove(index);
        if self.is_selected(serial) {
            self.selected = None;
        }
        if gone.check.is_active() {
            self.thaw_next(gone.foundation, gone.epoch);
        }
    }

    /// A pair of this foundation works, so the others probably do (RFC 8445, section 7.2.5.3.3).
    pub(super) fn thaw_all(&mut self, foundation: u64, epoch: u32) {
        let alike = |pair: &&mut Pair| pair.foundation == foundation && pair.epoch == epoch;
        self.entries.iter_mut().filter(alike).for_each(|pair| pair.check.frozen = false);
    }

    /// The best frozen pair of a foundation is checked next (RFC 8445, section 6.1.4.2).
    pub(super) fn thaw_next(&mut self, foundation: u64, epoch: u32) {
        let alike = |pair: &&mut Pair| pair.foundation == foundation && pair.epoch == epoch;
        let frozen = self.entries.iter_mut().filter(alike).filter(|pair| pair.check.frozen);
        if let Some(next) = frozen.max_by_key(|pair| pair.priority(Role::Controlling)) {
            next.check.frozen = false;
        }
    }

    /// A path that the owner believes in and that is not known any more. One that was forgotten and came back
    /// before this was asked is nothing new.
    pub(super) fn poll_forgotten(&mut self) -> Option<Path> {
        let at = self.told.iter().position(|path| !self.knows(*path))?;
        Some(self.told.swap_remove(at))
    }

    /// A path that is known and that the owner has not been told of.
    pub(super) fn poll_known(&mut self) -> Option<Path> {
        let known = self.entries.iter().filter(|pair| pair.is_known());
        let path = known.map(|pair| pair.path).find(|path| !self.told.contains(path))?;
        self.told.reserve_exact(1);
        self.told.push(path);
        Some(path)
    }

    /// Whether a message with the right password came from here.
    pub(super) fn knows(&self, path: Path) -> bool {
        self.of_path(path).any(Pair::is_known)
    }

    /// Bytes that may still be sent there; `None` is without limit.
    pub(super) fn allowance(&self, path: Path) -> Option<usize> {
        let there = || self.of_path(path).filter(|pair| !pair.gone);
        if there().any(|pair| pair.proof.is_some()) {
            return None;
        }
        Some(there().map(Pair::credit).max().unwrap_or(0))
    }

    pub(super) fn on_received(&mut self, path: Path, len: usize) {
        self.account(path, |pair| pair.received = add(pair.received, len));
    }

    pub(super) fn on_sent(&mut self, path: Path, len: usize) {
        self.account(path, |pair| pair.sent = add(pair.sent, len));
    }

    fn account(&mut self, path: Path, mut count: impl FnMut(&mut Pair)) {
        for pair in self.entries.iter_mut().filter(|p| p.path == path && p.proof.is_none()) {
            count(pair);
        }
    }
}

fn add(count: u32, len: usize) -> u32 {
    count.saturating_add(u32::try_from(len).unwrap_or(u32::MAX))
}
