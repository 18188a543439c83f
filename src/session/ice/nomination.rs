//! Which pair is selected: nominated by the controlling side, and proven.

use super::agent::Agent;
use super::pair::Pair;
use super::{Mode, Role};
use crate::base::limits;
use crate::base::time::Instant;
use crate::wire::mux::Path;
use crate::wire::stun::Message;
use std::cmp::Ordering;

/// Unanswered consent checks after which a proven address takes over that nobody nominated.
const SILENT: u8 = 2;
/// The same for one that was there before: chance lets two checks in a row go missing, hardly five.
const LOST: u8 = 5;
/// Returns to an older nomination that show a peer which nominates several pairs for good.
const ALTERNATING: u8 = 2;
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

/// What we would nominate.
struct Wish {
    serial: u64,
    /// A better pair may still become valid.
    better: bool,
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
        let full = self.full.as_ref().filter(|full| !full.peer_is_lite && !full.switched_by_request);
        if we_control != (self.role == Role::Controlling) && full.is_some() {
            Conflict::Switch
        } else {
            Conflict::Refused
        }
    }

    /// The peer believes in another role than ours, and its request says so with the number that wins.
    pub(super) fn yield_to_request(&mut self, now: Instant) {
        if let Some(full) = &mut self.full {
            full.switched_by_request = true;
            self.switch(now);
        }
    }

    /// The peer refused a request in our role: true, and the role is the other one, unless that was
    /// done in this generation already (S-STUN-09) or the peer is lite.
    pub(super) fn yield_to_error(&mut self, now: Instant) -> bool {
        let Some(full) = self.full.as_mut().filter(|full| !full.peer_is_lite && !full.switched_by_error)
        else {
            return false;
        };
        full.switched_by_error = true;
        // Numbers that lost are not used again (RFC 8445, section 16.1).
        self.tie_breaker = self.random.next_u64();
        self.switch(now);
        true
    }

    /// Takes the other role. What was nominated under the old one counts only if it is selected.
    fn switch(&mut self, now: Instant) {
        self.role = match self.role {
            Role::Controlling => Role::Controlled,
            Role::Controlled => Role::Controlling,
        };
        self.forget_nominations();
        self.consider(now);
    }

    fn forget_nominations(&mut self) {
        let selected = self.pairs.selected().map(|pair| pair.serial);
        for pair in self.pairs.iter_mut().filter(|pair| Some(pair.serial) != selected) {
            pair.nominated = None;
        }
    }

    /// Nominates, if that is for us to do and not done: at once when the best pair is valid, else
    /// when the better ones have had their time (RFC 8445, section 8.1.1).
    pub(super) fn consider(&mut self, now: Instant) {
        let wish = self.wish(now);
        let Some(full) = &mut self.full else { return };
        match wish {
            None => full.nominate_at = None,
            Some(Wish { better: true, .. }) if full.nominate_at.is_none_or(|at| at > now) => {
                full.nominate_at.get_or_insert(now + limits::NOMINATION_DELAY);
            }
            Some(Wish { serial, .. }) => self.nominate(now, serial),
        }
    }

    /// The best valid pair, if one is to be nominated.
    fn wish(&self, now: Instant) -> Option<Wish> {
        let epoch = self.generations.current.epoch;
        let current = || self.pairs.iter().filter(|pair| pair.epoch == epoch);
        let done = current().any(|pair| pair.nominated.is_some());
        if self.role == Role::Controlled || done {
            return None;
        }
        let valid = current().filter(|pair| pair.is_proven(now) && !pair.gone);
        let best = valid.max_by_key(|pair| pair.priority(self.role))?;
        let better = current().any(|pair| {
            pair.proof.is_none()
                && pair.check.is_active()
                && pair.check.unanswered <= HOPEFUL
                && pair.priority(self.role) > best.priority(self.role)
        });
        Some(Wish { serial: best.serial, better })
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
        if self.role == Role::Controlling {
            return old.nominated > new.nominated;
        }
        let (was, is) = (old.priority(self.role), new.priority(self.role));
        let alternates = self.returns >= ALTERNATING;
        if old.nominated > new.nominated {
            // The older nomination, whose proof came late.
            return !(alternates || old.eager && new.eager) || was >= is;
        }
        // Who nominates each pair that it checks wants the best of them (RFC 5245, section 8.1.1.2), as
        // long as that one lives, or is nominated still.
        let recent = |at: Option<Instant>| at.is_some_and(|at| now - at < limits::NOMINATION_HOLD);
        let meant = recent(old.nominated) || (new.eager && recent(old.heard));
        match was.cmp(&is) {
            Ordering::Less => false,
            Ordering::Equal => alternates && meant,
            Ordering::Greater => (alternates || new.eager) && meant,
        }
    }

    /// Notes that the peer nominates this pair. One that comes back to older nominations right after
    /// newer ones means all of them.
    pub(super) fn note_nomination(&mut self, now: Instant, serial: u64) {
        let selected = self.pairs.selected().filter(|pair| pair.serial != serial);
        let newer = selected.and_then(|pair| pair.nominated.map(|at| (at, pair.epoch)));
        let Some(pair) = self.pairs.get_mut(serial) else { return };
        if let (Some((newer, epoch)), Some(older)) = (newer, pair.nominated)
            && epoch == pair.epoch
            && newer > older
            && now - newer < limits::NOMINATION_HOLD
        {
            self.returns = self.returns.saturating_add(1);
        }
        pair.nominated = Some(now);
    }

    /// Moves to this pair. Consent is asked for one interval after its proof.
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
        new.check.schedule(new.proof.unwrap_or(now) + limits::CONSENT_INTERVAL);
        let (epoch, priority) = (new.epoch, new.priority(role));
        self.pairs.set_selected(serial);
        if self.full.is_some() {
            // The others are of no use any more, but those that an aggressive peer may like better
            // and that are under way already (RFC 8445, section 8.1.2).
            let others = self.pairs.iter_mut().filter(|p| p.serial != serial && p.epoch == epoch);
            for other in others {
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

    /// Selects a valid path that is in use though nobody has nominated it, so that it serves on through a restart; of
    /// no effect if it is not valid ([`valid`](Agent::valid)).
    pub fn settle(&mut self, path: &Path) {
        let of = |pair: &&Pair| pair.path == *path && pair.requested && !pair.gone;
        let current = self.generations.current.epoch;
        let found = self.pairs.iter().find(|pair| of(pair) && pair.epoch == current);
        if let Some((serial, proof)) = found.and_then(|pair| Some((pair.serial, pair.proof?)))
            && self.role == Role::Controlled
            && self.pairs.selected().is_none()
        {
            self.select(proof, serial);
        }
    }

    /// Moves to a proven pair that nobody nominated once the selected one is silent or its connection
    /// gone: a NAT gave the peer a new address and the peer does not know.
    pub(super) fn fail_over(&mut self, now: Instant) {
        let Some(serial) = self.successor(now) else { return };
        match self.role {
            Role::Controlled => self.select(now, serial),
            // The peer has to be told.
            Role::Controlling => self.nominate(now, serial),
        }
    }

    /// The pair to move to, if there is reason: one that appeared when the selected one fell silent;
    /// or just before consent ends any other, but that is not for us to choose while we control (RFC
    /// 8445, section 8.1.1).
    fn successor(&self, now: Instant) -> Option<u64> {
        let old = self.pairs.selected().filter(|old| old.gone || old.check.unanswered >= SILENT)?;
        let last_resort = self.role == Role::Controlled && old.check.unanswered >= LOST;
        let others = self.pairs.iter().filter(|new| {
            let newer = old.gone || new.since >= old.heard || (last_resort && new.heard > old.heard);
            // One that we have nominated is about to be selected. And no second one is nominated because
            // of chance (RFC 8445, section 8.1.1): a peer that has moved speaks from there still.
            let alive = old.gone || new.heard >= Some(old.check.sent());
            let ours = self.role == Role::Controlled || (alive && new.nominated <= old.nominated);
            new.serial != old.serial && new.epoch == old.epoch && new.is_proven(now) && newer && ours
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
        self.full.get_or_insert_default();
        self.set_role(Role::Controlling);
        self.full.get_or_insert_default().peer_is_lite = true;
    }

    /// The peer is not ice-lite, which is what an agent begins with. If it was before the restart that
    /// has just begun, this agent is again what it was configured as; a lite one is controlled and has
    /// no candidates any more. A full one keeps its role until [`set_role`](Agent::set_role) or a
    /// conflict changes it.
    pub fn set_remote_full(&mut self) {
        let Some(full) = self.full.as_mut().filter(|full| full.peer_is_lite) else { return };
        full.peer_is_lite = false;
        if self.config.mode == Mode::Lite {
            self.set_role(Role::Controlled);
            self.full = None;
        }
    }

    /// Decides the role anew, as a description does (RFC 8445, section 6.1.1): the side that offered
    /// first controls. Ignored by a lite agent and with a lite peer.
    pub fn set_role(&mut self, role: Role) {
        let Some(full) = self.full.as_mut().filter(|full| !full.peer_is_lite) else { return };
        if self.role != role {
            self.role = role;
            // If there is something to nominate, it is due.
            full.nominate_at = Some(Instant::ZERO);
            self.forget_nominations();
        }
    }
}
