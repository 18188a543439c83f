//! Checks of our own: they prove an address, and while it is selected they keep consent.

use super::agent::Agent;
use super::candidate;
use super::credentials::Generation;
use super::pair::Pair;
use super::request::Room;
use super::{Attach, Drop, Outcome, Role};
use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::wire::mux::Path;
use crate::wire::stun::{self, Class, Message, NoSpace, TransactionId, Writer};

/// The longest wait between the checks of one pair of a full agent: half a minute of doubling would
/// outlast its peer's patience.
const PATIENCE: Duration = Duration::from_secs(2);
/// Errors that we have to understand: the peer withdraws its consent (RFC 7675, section 5.2), or
/// believes itself in our role.
const FORBIDDEN: u16 = 403;
const ROLE_CONFLICT: u16 = 487;

/// The checks of one pair: the transaction under way and when to send next.
#[derive(Debug, Default)]
pub(super) struct Check {
    id: TransactionId,
    /// Whether an answer to `id` counts.
    awaiting: bool,
    /// The role that the last request named.
    role: Role,
    /// Transmissions since the last answer.
    pub(super) unanswered: u8,
    /// Goes before others: triggered by the peer, or a nomination.
    urgent: bool,
    /// Waits for another pair of its foundation.
    pub(super) frozen: bool,
    sent: Instant,
    next: Option<Instant>,
}

impl Check {
    /// Begins a new transaction, due at once.
    pub(super) fn start(&mut self, now: Instant) {
        *self = Check { next: Some(now), ..Check::default() };
    }

    /// The same before all others.
    pub(super) fn start_urgent(&mut self, now: Instant) {
        *self = Check { next: Some(now), urgent: true, ..Check::default() };
    }

    /// A request came from the address, so an answer is likely: begins, or cuts a back-off short
    /// (RFC 8445, section 7.3.1.4).
    pub(super) fn trigger(&mut self, now: Instant) {
        match self.next {
            None => self.start_urgent(now),
            Some(_) if self.unanswered == 0 => self.start_urgent(now),
            Some(next) => {
                self.next = Some(next.min(now.max(self.sent + limits::CHECK_RTO)));
                self.urgent = true;
            }
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

    /// Whether something is still going to be sent.
    pub(super) fn is_active(&self) -> bool {
        self.next.is_some()
    }

    /// When the last request left.
    pub(super) fn sent(&self) -> Instant {
        self.sent
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    fn answered(&mut self, consent: bool) {
        self.awaiting = false;
        self.unanswered = 0;
        self.urgent = false;
        self.next = self.next.filter(|_| consent);
    }
}

impl Agent {
    /// Writes the most wanted check that is due.
    pub(super) fn poll_check(
        &mut self,
        now: Instant,
        buf: &mut [u8],
        attach: &mut Attach<'_>,
    ) -> Option<(Path, usize)> {
        // Each turn moves its check past `now` or ends it, so this ends.
        while let Some(serial) = self.next_due(now) {
            let transmit = self.take_turn(now, serial, buf, attach);
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }

    /// When the next check of this pair may leave: consent on time, others in their pace and
    /// not before the peer's password is known.
    pub(super) fn turn_of(&self, pair: &Pair) -> Option<Instant> {
        let next = pair.check.next().filter(|_| !pair.check.frozen)?;
        self.generations.get(pair.epoch)?.remote.as_ref()?;
        let consent = self.pairs.is_selected(pair.serial);
        Some(if consent { next } else { next.max(self.next_check) })
    }

    fn next_due(&self, now: Instant) -> Option<u64> {
        let due = self.pairs.iter().filter(|pair| self.turn_of(pair).is_some_and(|at| at <= now));
        due.max_by_key(|pair| (pair.check.urgent, pair.priority(self.role))).map(|pair| pair.serial)
    }

    /// Sends a check, or lets the turn pass if the address has not earned the bytes.
    fn take_turn(
        &mut self,
        now: Instant,
        serial: u64,
        buf: &mut [u8],
        attach: &mut Attach<'_>,
    ) -> Option<(Path, usize)> {
        // Drawn at once: it is a good part of what an idle participant costs.
        let (id, jitter) = self.fresh();
        // Consent checks go on for ever and are never repeated (RFC 7675, section 5.1).
        let consent = self.pairs.is_selected(serial).then_some(jitter);
        if consent.is_none() && self.has_run_out(now, serial) {
            return None;
        }
        let (lite, role, wait) = (self.full.is_none(), self.role, self.back_off(serial));
        let allowance = self.pairs.get(serial).and_then(|pair| self.pairs.allowance(pair.path));
        let pair = self.pairs.get_mut(serial)?;
        let check = &mut pair.check;
        if consent.is_some() || !check.awaiting || check.role != role {
            (check.id, check.awaiting, check.role) = (id, true, role);
        }
        check.sent = now;
        check.urgent = false;
        check.unanswered = check.unanswered.saturating_add(1);
        check.next = consent.or(wait).map(|wait| now + wait);
        let nominate = role == Role::Controlling && pair.nominated.is_some();
        let request = Request {
            id: check.id,
            role,
            nominate,
            tie_breaker: self.tie_breaker,
            priority: candidate::reflexive_priority(pair.local_priority),
        };
        let (path, generation) = (pair.path, self.generations.get(pair.epoch)?);
        let heard = pair.requested || pair.proof.is_some();
        let room = match self.config.attach_to_named {
            true if !lite => Room::ALL,
            _ if heard => Room::within(allowance),
            _ => Room::MARK,
        };
        let (len, attached) = request.write(generation, buf, room, attach).ok()?;
        // A full agent's checks go to addresses that were only named; pace and number bound them.
        if lite && allowance.is_some_and(|credit| credit < len) {
            return None;
        }
        if consent.is_none() {
            self.next_check = now + limits::CHECK_PACING;
        }
        // What is attached is paid for in any case.
        let counted = if lite || consent.is_some() { len } else { attached };
        self.pairs.on_sent(path, counted);
        Some((path, len))
    }

    /// The wait behind a pair's next transmission, twice the one before. A lite agent gives up (RFC
    /// 8489, section 6.2.1), since the peer's next request begins anew.
    fn back_off(&self, serial: u64) -> Option<Duration> {
        let pair = self.pairs.get(serial)?;
        let sent = pair.check.unanswered.saturating_add(1);
        let doubled = |rto: Duration| rto * (1 << (sent.clamp(1, 8) - 1));
        if self.full.is_none() {
            return (sent < limits::CHECK_TRANSMISSIONS).then_some(doubled(limits::CHECK_RTO));
        }
        // One pair only, and media waits for it.
        if self.role == Role::Controlling && pair.nominated.is_some() {
            return Some(limits::CHECK_RTO);
        }
        // All pairs get their turn before one has its second (RFC 8445, section 14.3).
        let active = self.pairs.iter().filter(|pair| pair.check.is_active() && !pair.check.frozen).count();
        let turn = limits::CHECK_PACING * u32::try_from(active).unwrap_or(u32::MAX);
        Some(doubled(limits::CHECK_RTO).min(PATIENCE).max(turn))
    }

    /// Whether a full agent's pair has used up its transmissions; then it has failed.
    fn has_run_out(&mut self, now: Instant, serial: u64) -> bool {
        if self.full.is_none() {
            return false;
        }
        let Some(pair) = self.pairs.get_mut(serial) else { return true };
        let sent = pair.check.unanswered;
        // A valid pair that does not answer its nomination is valid no more; the next one gets it
        // (RFC 8445, section 8.1.1).
        if self.role == Role::Controlling
            && pair.nominated.is_some()
            && sent >= limits::NOMINATION_TRANSMISSIONS
        {
            pair.unprove();
            self.consider(now);
            return false;
        }
        let failed = sent >= limits::FULL_CHECK_TRANSMISSIONS;
        if failed {
            pair.check.stop();
            let (foundation, epoch) = (pair.foundation, pair.epoch);
            self.pairs.thaw_next(foundation, epoch);
            self.judge();
        }
        failed
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
        let pair = self
            .pairs
            .iter_mut()
            .find(|pair| pair.check.awaiting && pair.check.id == id)
            .ok_or(Drop::UnknownTransaction)?;
        let remote = self.generations.get(pair.epoch).and_then(|g| g.remote.as_ref());
        let remote = remote.ok_or(Drop::UnknownTransaction)?;
        if !message.verify_integrity(|pieces| remote.key.tag(pieces)) {
            return Err(Drop::Integrity);
        }
        if pair.path != path {
            return Err(Drop::Asymmetric);
        }
        if message.unknown_required().next().is_some() {
            return Err(Drop::UnknownAttribute);
        }
        pair.hear(now);
        let serial = pair.serial;
        self.pairs.on_received(path, message.len());
        if message.class() == Class::Success {
            if let (Some(full), Some(mapped)) = (&self.full, message.xor_mapped_address())
                && let Some(pair) = self.pairs.get_mut(serial)
            {
                pair.local_priority = full.seen_as(path, mapped, pair.local_priority);
            }
            self.prove(now, serial);
        } else {
            self.refuse(now, serial, message.error_code().map(|(code, _)| code));
        }
        Ok(Outcome::Response)
    }

    fn prove(&mut self, now: Instant, serial: u64) {
        let consent = self.pairs.is_selected(serial);
        let Some(pair) = self.pairs.get_mut(serial) else {
            return;
        };
        pair.proof = Some(now);
        pair.check.answered(consent);
        let (nominated, foundation, epoch) = (pair.nominated.is_some(), pair.foundation, pair.epoch);
        self.pairs.thaw_all(foundation, epoch);
        if nominated {
            self.prefer(now, serial);
        }
        self.consider(now);
        self.fail_over(now);
    }

    /// An error with the peer's password. 403 takes consent back, 487 may switch our role; after any
    /// other the next turn begins a new transaction.
    fn refuse(&mut self, now: Instant, serial: u64, code: Option<u16>) {
        let consent = self.pairs.is_selected(serial);
        let Some(pair) = self.pairs.get_mut(serial) else {
            return;
        };
        pair.check.awaiting = false;
        let (epoch, role) = (pair.epoch, pair.check.role);
        match code {
            Some(FORBIDDEN) => {
                pair.unprove();
                pair.check.stop();
                if consent {
                    self.disconnect(epoch);
                }
            }
            // Unless we have switched since (RFC 8445, section 7.2.5.1).
            Some(ROLE_CONFLICT) if role == self.role && self.yield_to_error(now) => {
                if let Some(pair) = self.pairs.get_mut(serial).filter(|_| !consent) {
                    pair.check.start_urgent(now);
                }
            }
            _ => {}
        }
    }
}

/// What a check says.
struct Request {
    id: TransactionId,
    role: Role,
    nominate: bool,
    tie_breaker: u64,
    priority: u32,
}

impl Request {
    /// A Binding request of RFC 8445, section 7.2.2; its bytes, and how many of them were attached.
    fn write(
        &self,
        generation: &Generation,
        buf: &mut [u8],
        room: Room,
        attach: &mut Attach<'_>,
    ) -> Result<(usize, usize), NoSpace> {
        let most = buf.len();
        let remote = generation.remote.as_ref().ok_or(NoSpace)?;
        let mut writer = Writer::new(buf, Class::Request, stun::BINDING, self.id)?;
        writer.username(remote.credentials.ufrag(), generation.local.credentials.ufrag())?;
        writer.priority(self.priority)?;
        match self.role {
            Role::Controlled => writer.ice_controlled(self.tie_breaker)?,
            Role::Controlling => writer.ice_controlling(self.tie_breaker)?,
        }
        if self.nominate {
            writer.use_candidate()?;
        }
        let attached = room.attach(&mut writer, most, attach);
        let len = writer.finish_with_integrity(|pieces| remote.key.tag(pieces))?;
        Ok((len, attached))
    }
}
