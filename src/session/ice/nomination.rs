//! Which pair is selected: nominated by the controlling side, and proven.

use super::agent::Agent;
use super::pair::Pair;
use super::{Mode, Role};
use crate::base::limits;
use crate::base::time::Instant;
use crate::wire::stun::Message;

/// Unanswered consent checks after which a proven address takes over that nobody nominated.
const SILENT: u8 = 2;
/// Transmissions within which a better pair is waited for before another is nominated.
const HOPEFUL: u8 = 2;

/// What a request means for our role (RFC 8445, section 7.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflict {
    None,
    /// The peer has to switch: 487.
    Refused,
    /// We have to.
    Switch,
}

impl Agent {
    /// Compares the peer's role with ours. The larger number gets the role it wants.
    pub(super) fn conflict(&self, message: &Message<'_>) -> Conflict {
        let theirs = match self.role {
            Role::Controlling => message.ice_controlling(),
            Role::Controlled => message.ice_controlled(),
        };
        let Some(theirs) = theirs else { return Conflict::None };
        let we_control = self.tie_breaker >= theirs;
        // Who has the larger number controls, so it switches if it does not yet.
        if we_control != (self.role == Role::Controlling) && self.may_switch() {
            Conflict::Switch
        } else {
            Conflict::Refused
        }
    }

    /// One switch for each generation, and none where one side is lite (RFC 8445, section 6.1.1).
    pub(super) fn may_switch(&self) -> bool {
        self.full.as_ref().is_some_and(|full| !full.fixed && !full.peer_is_lite)
    }

    /// Takes the other role. What was nominated under the old one counts only if it is selected.
    pub(super) fn switch(&mut self, now: Instant) {
        self.role = match self.role {
            Role::Controlling => Role::Controlled,
            Role::Controlled => Role::Controlling,
        };
        let selected = self.pairs.selected().map(|pair| pair.serial);
        for pair in self.pairs.iter_mut().filter(|pair| Some(pair.serial) != selected) {
            pair.nominated = None;
        }
        if let Some(full) = &mut self.full {
            full.fixed = true;
            full.nominate_at = None;
        }
        self.consider(now);
    }

    /// Nominates, if that is for us to do and not done: at once when the best pair is valid, else
    /// when the better ones have had their time (RFC 8445, section 8.1.1).
    pub(super) fn consider(&mut self, now: Instant) {
        let epoch = self.generations.current.epoch;
        let current = || self.pairs.iter().filter(|pair| pair.epoch == epoch);
        let done = current().any(|pair| pair.nominated.is_some());
        let Some(full) = self.full.as_ref().filter(|_| self.role == Role::Controlling && !done) else {
            return;
        };
        let valid = current().filter(|pair| pair.is_proven(now) && !pair.gone);
        let Some(best) = valid.max_by_key(|pair| pair.priority(self.role)) else { return };
        let better = current().any(|pair| {
            pair.proof.is_none()
                && pair.check.is_active()
                && pair.check.unanswered <= HOPEFUL
                && pair.priority(self.role) > best.priority(self.role)
        });
        let due = full.nominate_at.is_some_and(|at| at <= now);
        if !better || due {
            self.nominate(now, best.serial);
        } else if let Some(full) = &mut self.full {
            full.nominate_at.get_or_insert(now + limits::NOMINATION_DELAY);
        }
    }

    /// A second check says which pair it is, and its answer selects it.
    fn nominate(&mut self, now: Instant, serial: u64) {
        if let Some(full) = &mut self.full {
            full.nominate_at = None;
        }
        if let Some(pair) = self.pairs.get_mut(serial) {
            pair.nominated = Some(now);
            pair.check.start_urgent(now);
        }
    }

    /// Selects a proven, nominated pair unless the selected one is to be preferred.
    pub(super) fn prefer(&mut self, now: Instant, serial: u64) {
        let Some(new) = self.pairs.get(serial) else {
            return;
        };
        if !self.pairs.selected().is_some_and(|old| self.stays(now, old, new)) {
            self.select(now, serial);
        }
    }

    /// Whether a nomination leaves the selected pair where it is.
    fn stays(&self, now: Instant, old: &Pair, new: &Pair) -> bool {
        // Generations compare by age: the current one wins over the one before.
        let current = self.generations.current.epoch;
        if old.epoch != new.epoch {
            return old.epoch == current;
        }
        if old.gone {
            return false;
        }
        let (was, is) = (old.priority(self.role), new.priority(self.role));
        if self.role == Role::Controlling || !new.eager {
            return old.nominated > new.nominated;
        }
        // Who nominates each pair with its first check wants the best of them (RFC 5245, section
        // 8.1.1.2), as long as that one lives.
        let silent = old.heard.is_none_or(|at| now - at >= limits::NOMINATION_HOLD);
        if old.nominated > new.nominated { !old.eager || was >= is } else { was > is && !silent }
    }

    /// Moves to this pair. Its proof is fresh, so consent is asked for one interval later.
    pub(super) fn select(&mut self, now: Instant, serial: u64) {
        if self.pairs.is_selected(serial) {
            return;
        }
        if let Some(old) = self.pairs.selected().map(|old| old.serial)
            && let Some(old) = self.pairs.get_mut(old)
        {
            old.check.stop();
        }
        let role = self.role;
        let Some(new) = self.pairs.get_mut(serial) else {
            return;
        };
        new.nominated = new.nominated.or(Some(now));
        new.check.schedule(now + limits::CONSENT_INTERVAL);
        let (epoch, priority) = (new.epoch, new.priority(role));
        self.pairs.set_selected(serial);
        if self.full.is_some() {
            // The others are of no use any more, but those that an aggressive peer may like better
            // and that are under way already (RFC 8445, section 8.1.2).
            for other in self.pairs.iter_mut().filter(|pair| pair.serial != serial) {
                let pending = role == Role::Controlled && other.priority(role) > priority;
                if !pending || other.check.unanswered == 0 {
                    other.check.stop();
                }
            }
        }
        let current = epoch == self.generations.current.epoch;
        if let Some(old) = self.generations.previous.take_if(|_| current) {
            self.pairs.forget_epoch(old.epoch);
        }
        self.selected = true;
    }

    /// Moves to a proven pair that nobody nominated once the selected one is silent or its connection
    /// gone: a NAT gave the peer a new address and the peer does not know.
    pub(super) fn fail_over(&mut self, now: Instant) {
        let Some(serial) = self.successor(|pair| pair.is_proven(now)) else { return };
        match self.role {
            Role::Controlled => self.select(now, serial),
            // The peer has to be told.
            Role::Controlling => self.nominate(now, serial),
        }
    }

    /// The pair to move to, if the selected one is silent or gone.
    pub(super) fn successor(&self, is_proven: impl Fn(&Pair) -> bool) -> Option<u64> {
        let old = self.pairs.selected().filter(|old| old.gone || old.check.unanswered >= SILENT)?;
        let others = self.pairs.iter().filter(|new| {
            let newer = old.gone || new.heard > old.heard;
            // One that we have nominated is about to be selected.
            let under_way = self.role == Role::Controlling && new.nominated > old.nominated;
            new.serial != old.serial && new.epoch == old.epoch && is_proven(new) && newer && !under_way
        });
        others.max_by_key(|new| new.heard).map(|new| new.serial)
    }

    /// Consent is gone: nothing is sent under these credentials any more.
    pub(super) fn disconnect(&mut self, epoch: u32) {
        self.pairs.forget_epoch(epoch);
        if self.generations.current.epoch == epoch {
            self.generations.current.lost = true;
        } else {
            self.generations.previous = None;
        }
        self.selected = false;
        self.disconnected = true;
    }

    /// The peer said that it is ice-lite: whatever this agent was configured as, it is the full and
    /// controlling side from now on (RFC 8445, section 6.1.1). To be called before the peer's
    /// candidates are added; give ours with [`add_local_candidate`](Agent::add_local_candidate).
    pub fn set_remote_lite(&mut self) {
        self.config.mode = Mode::Full;
        self.role = Role::Controlling;
        self.full.get_or_insert_default().peer_is_lite = true;
    }

    /// Decides the role anew, as a description does (RFC 8445, section 6.1.1): the side that offered
    /// first controls. Ignored by a lite agent, with a lite peer, and once the roles of this
    /// generation were settled by a conflict.
    pub fn set_role(&mut self, role: Role) {
        if self.may_switch() {
            self.role = role;
        }
    }
}
