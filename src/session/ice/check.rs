//! Checks of our own: they prove an address, and while it is selected they keep consent.

use super::agent::Agent;
use super::candidate::{self, CandidateKind};
use super::credentials::Generation;
use super::{Drop, Mode, Outcome};
use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::wire::mux::Path;
use crate::wire::stun::{self, Class, Message, NoSpace, TransactionId, Writer};

/// What a peer would rank the address at that our check may discover (RFC 8445, section 7.1.1).
pub(super) const OUR_PRIORITY: u32 = candidate::priority(CandidateKind::PeerReflexive, u16::MAX);
/// Unanswered consent checks after which a proven address takes over that nobody nominated.
const SILENT: u8 = 2;
/// The longest wait between the checks of a controlling agent.
const PATIENCE: Duration = Duration::from_secs(2);
/// The peer withdraws its consent (RFC 7675, section 5.2).
const FORBIDDEN: u16 = 403;

/// The checks of one address: the transaction under way and when to send next.
#[derive(Debug, Default)]
pub(super) struct Check {
    id: TransactionId,
    /// Whether an answer to `id` counts.
    awaiting: bool,
    /// Transmissions since the last answer.
    unanswered: u8,
    sent: Instant,
    next: Option<Instant>,
}

impl Check {
    /// Begins a new transaction, due at once.
    pub(super) fn start(&mut self, now: Instant) {
        *self = Check { next: Some(now), ..Check::default() };
    }

    /// A request came from the address, so an answer is likely: begins, or cuts a back-off short
    /// (RFC 8445, section 7.3.1.4).
    pub(super) fn trigger(&mut self, now: Instant) {
        match self.next {
            None => self.start(now),
            Some(next) => self.next = Some(next.min(now.max(self.sent + limits::CHECK_RTO))),
        }
    }

    /// Ends all; an answer that still comes is too late.
    pub(super) fn stop(&mut self) {
        *self = Check::default();
    }

    /// Waits until `at` for the next check of consent.
    pub(super) fn schedule(&mut self, at: Instant) {
        *self = Check { next: Some(at), ..Check::default() };
    }

    /// Whether nothing more is going to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.next.is_none()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Uses up a turn: the next comes `interval` later, without one after a back-off.
    fn take_turn(&mut self, now: Instant, mode: Mode, interval: Option<Duration>) {
        self.sent = now;
        self.unanswered = self.unanswered.saturating_add(1);
        let wait = interval.or_else(|| back_off(self.unanswered, mode));
        self.next = wait.map(|wait| now + wait);
    }

    fn answered(&mut self, consent: bool) {
        self.awaiting = false;
        self.unanswered = 0;
        self.next = self.next.filter(|_| consent);
    }
}

/// The wait behind so many transmissions. A lite agent gives up (RFC 8489, section 6.2.1), since the
/// peer's next request begins anew; the controlling one goes on until it has selected a path.
fn back_off(sent: u8, mode: Mode) -> Option<Duration> {
    let wait = limits::CHECK_RTO * (1 << (sent.clamp(1, 8) - 1));
    match mode {
        Mode::Lite => (sent < limits::CHECK_TRANSMISSIONS).then_some(wait),
        Mode::Controlling { .. } => Some(wait.min(PATIENCE)),
    }
}

impl Agent {
    /// Writes the most wanted check that is due.
    pub(super) fn poll_check(&mut self, now: Instant, buf: &mut [u8]) -> Option<(Path, usize)> {
        // Each turn moves its check past `now`, so this ends.
        while let Some(serial) = self.next_due(now) {
            let transmit = self.take_turn(now, serial, buf);
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }

    /// When the next check of this address may leave: consent on time, others in their pace and
    /// not before the peer's password is known.
    pub(super) fn turn_of(&self, address: &super::address::Address) -> Option<Instant> {
        let next = address.check.next()?;
        self.generations.get(address.epoch)?.remote.as_ref()?;
        let consent = self.addresses.is_selected(address.serial);
        Some(if consent { next } else { next.max(self.next_check) })
    }

    fn next_due(&self, now: Instant) -> Option<u64> {
        let due = self.addresses.iter().filter(|entry| self.turn_of(entry).is_some_and(|at| at <= now));
        due.max_by_key(|entry| match self.config.mode {
            Mode::Lite => candidate::pair_priority(entry.priority, OUR_PRIORITY),
            Mode::Controlling { .. } => candidate::pair_priority(OUR_PRIORITY, entry.priority),
        })
        .map(|entry| entry.serial)
    }

    /// Sends a check, or lets the turn pass if the address has not earned the bytes.
    fn take_turn(&mut self, now: Instant, serial: u64, buf: &mut [u8]) -> Option<(Path, usize)> {
        // Drawn at once: it is a good part of what an idle participant costs.
        let (id, jitter) = self.fresh();
        // Consent checks go on for ever and are never repeated (RFC 7675, section 5.1).
        let consent = self.addresses.is_selected(serial).then_some(jitter);
        let lite = self.config.mode == Mode::Lite;
        let allowance = self.addresses.get(serial).and_then(|e| self.addresses.allowance(e.path));
        let address = self.addresses.get_mut(serial)?;
        address.check.take_turn(now, self.config.mode, consent);
        if consent.is_some() || !address.check.awaiting {
            address.check.id = id;
            address.check.awaiting = true;
        }
        let (path, id) = (address.path, address.check.id);
        let nominate = !lite && address.nominated.is_some();
        let generation = self.generations.get(address.epoch)?;
        let role = if lite { Role::Controlled } else { Role::Controlling { nominate } };
        let len = write_check(buf, id, generation, role, self.tie_breaker).ok()?;
        // A full agent's checks go to addresses that were only named; pace and number bound them.
        if lite && allowance.is_some_and(|credit| credit < len) {
            return None;
        }
        if consent.is_none() {
            self.next_check = now + limits::CHECK_PACING;
        }
        self.addresses.on_sent(path, len);
        Some((path, len))
    }

    /// A transaction, and the wait for the next check of consent: 0.8 to 1.2 of the mean, so that peers
    /// do not fall into step.
    fn fresh(&mut self) -> (TransactionId, Duration) {
        let mut drawn = [0; 16];
        self.random.fill(&mut drawn);
        let [j0, j1, j2, j3, id @ ..] = drawn;
        let mean = limits::CONSENT_INTERVAL.as_micros() as u64;
        // A fraction of 2^32, so the product is at most two fifths of the mean.
        let share = (u64::from(u32::from_le_bytes([j0, j1, j2, j3])) * (mean * 2 / 5 + 1)) >> 32;
        (TransactionId(id), Duration::from_micros(mean * 4 / 5 + share))
    }

    /// An answer counts with our transaction, the peer's password and on the path of the request
    /// (RFC 8445, section 7.2.5.2.1).
    pub(super) fn handle_response(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
    ) -> Result<Outcome, Drop> {
        let id = message.transaction_id();
        let address = self
            .addresses
            .iter_mut()
            .find(|entry| entry.check.awaiting && entry.check.id == id)
            .ok_or(Drop::UnknownTransaction)?;
        let remote = self.generations.get(address.epoch).and_then(|g| g.remote.as_ref());
        let remote = remote.ok_or(Drop::UnknownTransaction)?;
        if !message.verify_integrity(|pieces| remote.key.tag(pieces)) {
            return Err(Drop::Integrity);
        }
        if address.path != path {
            return Err(Drop::Asymmetric);
        }
        if message.unknown_required().next().is_some() {
            return Err(Drop::UnknownAttribute);
        }
        address.heard = Some(now);
        let serial = address.serial;
        self.addresses.on_received(path, message.len());
        if message.class() == Class::Success {
            self.prove(now, serial);
        } else {
            self.refuse(serial, message.error_code().map(|(code, _)| code));
        }
        Ok(Outcome::Response)
    }

    fn prove(&mut self, now: Instant, serial: u64) {
        let consent = self.addresses.is_selected(serial);
        let first = self.config.mode != Mode::Lite && !self.has_nominated(serial);
        let Some(address) = self.addresses.get_mut(serial) else {
            return;
        };
        address.proof = Some(now);
        address.check.answered(consent);
        if first {
            // Regular nomination: a second check says so, and its answer selects (RFC 8445,
            // section 8.1.1).
            address.nominated = Some(now);
            address.check.start(now);
        } else if address.nominated.is_some() {
            self.prefer(now, serial);
        }
        self.fail_over(now);
    }

    /// Whether the generation of this address has a nominated one already.
    fn has_nominated(&self, serial: u64) -> bool {
        let epoch = self.addresses.get(serial).map(|entry| entry.epoch);
        self.addresses.iter().any(|e| Some(e.epoch) == epoch && e.nominated.is_some())
    }

    /// An error with the peer's password. 403 takes consent back; after any other, 487 included,
    /// the next turn begins a new transaction: the roles of a lite agent and its peer are fixed.
    fn refuse(&mut self, serial: u64, code: Option<u16>) {
        let consent = self.addresses.is_selected(serial);
        let Some(address) = self.addresses.get_mut(serial) else {
            return;
        };
        address.check.awaiting = false;
        if code != Some(FORBIDDEN) {
            return;
        }
        address.unprove();
        address.check.stop();
        let epoch = address.epoch;
        if consent {
            self.disconnect(epoch);
        }
    }

    /// Moves to a proven address that nobody nominated once the selected one is silent: a NAT gave
    /// the peer a new address and the peer does not know.
    pub(super) fn fail_over(&mut self, now: Instant) {
        let Some(old) = self.addresses.selected().filter(|old| old.check.unanswered >= SILENT) else {
            return;
        };
        let others = self
            .addresses
            .iter()
            .filter(|new| new.epoch == old.epoch && new.is_proven(now) && new.heard > old.heard);
        if let Some(serial) = others.max_by_key(|new| new.heard).map(|new| new.serial) {
            self.select(now, serial);
        }
    }
}

/// The attributes that our role adds to a check.
#[derive(Clone, Copy)]
enum Role {
    Controlled,
    Controlling { nominate: bool },
}

/// A Binding request of RFC 8445, section 7.2.2.
fn write_check(
    buf: &mut [u8],
    id: TransactionId,
    generation: &Generation,
    role: Role,
    tie_breaker: u64,
) -> Result<usize, NoSpace> {
    let remote = generation.remote.as_ref().ok_or(NoSpace)?;
    let mut writer = Writer::new(buf, Class::Request, stun::BINDING, id)?;
    writer.username(remote.credentials.ufrag(), generation.local.credentials.ufrag())?;
    writer.priority(OUR_PRIORITY)?;
    match role {
        Role::Controlled => writer.ice_controlled(tie_breaker)?,
        Role::Controlling { nominate } => {
            writer.ice_controlling(tie_breaker)?;
            if nominate {
                writer.use_candidate()?;
            }
        }
    }
    writer.finish_with_integrity(|pieces| remote.key.tag(pieces))
}
