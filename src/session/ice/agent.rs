//! The agent: its commands, the five verbs, and which path is selected.

use super::address::Addresses;
use super::candidate::{self, Candidate};
use super::credentials::{Credentials, Generations};
use super::request::Reply;
use super::{Config, Drop, Event, LimitReached, Mode, Outcome};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::wire::mux::Path;
use crate::wire::stun::{self, Class, Message};
use std::collections::VecDeque;
use std::fmt;

/// The ICE of one participant; see the [module](super).
///
/// Inputs and polls may come in any order. Answers wait in a queue of
/// [`limits::STUN_REPLIES`], checks in the table of addresses; nothing is allocated for a
/// datagram.
pub struct Agent {
    pub(super) config: Config,
    pub(super) random: Random,
    /// Of role conflicts (RFC 8445, section 16.1); drawn once.
    pub(super) tie_breaker: u64,
    pub(super) generations: Generations,
    pub(super) addresses: Addresses,
    pub(super) replies: VecDeque<Reply>,
    /// Before this no check leaves, consent aside.
    pub(super) next_check: Instant,
    /// Remote candidates of this generation.
    candidates: usize,
    /// Events that wait; a disconnection takes back a selection that nobody saw.
    disconnected: bool,
    selected: bool,
}

impl Agent {
    /// An agent with credentials of its own and a generator that nobody else uses: transaction ids
    /// come from it and have to be unguessable.
    pub fn new(config: Config, local: Credentials, mut random: Random) -> Self {
        let named = match config.mode {
            Mode::Lite => 0,
            Mode::Controlling { .. } => limits::CANDIDATES,
        };
        Agent {
            config,
            tie_breaker: random.next_u64(),
            random,
            generations: Generations::new(local),
            addresses: Addresses::new(limits::ADDRESSES_PER_PARTICIPANT + named),
            replies: VecDeque::new(),
            next_check: Instant::ZERO,
            candidates: 0,
            disconnected: false,
            selected: false,
        }
    }

    /// Our credentials of the current generation, for a description.
    pub fn local_credentials(&self) -> &Credentials {
        &self.generations.current.local.credentials
    }

    /// Whether a Binding request for this fragment is ours: the current one, and during a restart
    /// the one before.
    pub fn answers_to(&self, ufrag: &str) -> bool {
        self.generations.by_ufrag(ufrag).is_some()
    }

    /// The peer's credentials as its description names them. Until then its checks are answered,
    /// but none of ours is sent.
    ///
    /// When the peer restarts, call [`restart`](Agent::restart) first. The same credentials again
    /// change nothing; others without a restart replace those of this generation.
    pub fn set_remote_credentials(&mut self, remote: Credentials) {
        let known = self.generations.current.remote.as_ref();
        if known.is_none_or(|known| known.credentials != remote) {
            self.generations.set_remote(remote);
        }
    }

    /// Begins a new generation (RFC 8445, section 9), whoever wanted the restart. The selected
    /// path serves on under the old credentials until one of the new generation is selected; then
    /// those are dead.
    ///
    /// The peer's credentials and candidates are to be given anew.
    pub fn restart(&mut self, local: Credentials) {
        let serves = self.addresses.selected().map(|entry| entry.epoch);
        let old = self.generations.restart(local);
        if serves == Some(old.epoch) {
            self.generations.previous = Some(Box::new(old));
        } else {
            // An even older one may serve still; this one never did, or no longer.
            self.addresses.forget_epoch(old.epoch);
        }
        self.candidates = 0;
    }

    /// A candidate of the peer's. A lite agent only counts them: it sends nothing to an address
    /// that it was not asked from.
    ///
    /// One that may not be sent to, or is of another family than we are, is ignored.
    ///
    /// # Errors
    /// [`LimitReached`] past [`limits::CANDIDATES`] in one generation; the candidate is ignored.
    pub fn add_remote_candidate(&mut self, candidate: Candidate) -> Result<(), LimitReached> {
        if self.candidates >= limits::CANDIDATES {
            return Err(LimitReached);
        }
        self.candidates += 1;
        let Mode::Controlling { local } = self.config.mode else {
            return Ok(());
        };
        let Candidate { protocol, address: remote, priority, .. } = candidate;
        let allowed = self.config.private_candidates || !candidate::is_private(remote);
        let reachable = remote.is_ipv4() == local.is_ipv4() && remote != local;
        if allowed && reachable && candidate::is_sendable(remote) {
            let path = Path { protocol, local, remote };
            let address = self.addresses.enter(path, self.generations.current.epoch);
            address.priority = priority;
            if address.check.is_idle() && address.proof.is_none() {
                address.check.start(Instant::ZERO);
            }
        }
        Ok(())
    }

    /// Forgets a path that is no more, of a TCP connection that has ended. If everything went there, the
    /// proven path that was heard last takes over; without one nothing is sent until the peer has
    /// another one checked.
    pub fn forget_path(&mut self, now: Instant, path: &Path) {
        let lost = self.addresses.selected().filter(|entry| entry.path == *path).map(|entry| entry.epoch);
        self.addresses.forget_path(*path);
        let Some(epoch) = lost else { return };
        let others = self.addresses.iter().filter(|entry| entry.epoch == epoch && entry.is_proven(now));
        if let Some(serial) = others.max_by_key(|entry| entry.heard).map(|entry| entry.serial) {
            self.select(now, serial);
        }
    }

    /// Takes a STUN message that arrived on `path`.
    ///
    /// Without the right password it changes nothing and costs one HMAC at most.
    ///
    /// # Errors
    /// The reason for which it was dropped.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
    ) -> Result<Outcome, Drop> {
        if message.method() != stun::BINDING {
            return Err(Drop::Method);
        }
        if !message.has_fingerprint() {
            return Err(Drop::Fingerprint);
        }
        match message.class() {
            Class::Request => self.handle_request(now, path, message),
            Class::Success | Class::Error => self.handle_response(now, path, message),
            Class::Indication => Ok(Outcome::Indication),
        }
    }

    /// Ends what is too old: proofs of addresses, and with the selected one's the connection.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.fail_over(now);
        if let Some(lost) = self.addresses.selected().filter(|entry| !entry.is_proven(now)) {
            self.disconnect(lost.epoch);
        }
        for entry in self.addresses.iter_mut() {
            if entry.proof.is_some() && !entry.is_proven(now) {
                entry.unprove();
            }
        }
    }

    /// Writes one datagram at the start of `buf`: checks that are due, then answers. Returns its
    /// path and length.
    ///
    /// A `buf` of [`limits::MTU`] always suffices; what does not fit a smaller one is lost as on
    /// the way.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<(Path, usize)> {
        self.poll_check(now, buf).or_else(|| self.poll_reply(buf))
    }

    /// The next fact. Those that wait are bounded however long nobody polls: what is superseded
    /// falls out.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(path) = self.addresses.poll_forgotten() {
            return Some(Event::AddressForgotten(path));
        }
        if let Some(path) = self.addresses.poll_known() {
            return Some(Event::AddressKnown(path));
        }
        if std::mem::take(&mut self.disconnected) {
            return Some(Event::Disconnected);
        }
        if std::mem::take(&mut self.selected) {
            return self.selected().map(Event::Selected);
        }
        None
    }

    /// When to call [`handle_timeout`](Agent::handle_timeout) and poll again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let turns = self.addresses.iter().filter_map(|entry| self.turn_of(entry));
        let ends = self.addresses.iter().filter_map(|entry| entry.proof_ends());
        turns.chain(ends).min()
    }

    /// Whether a message with the right password came from this path, so that datagrams from there
    /// are this participant's.
    pub fn knows(&self, path: &Path) -> bool {
        self.addresses.knows(*path)
    }

    /// The path that everything is to be sent on.
    pub fn selected(&self) -> Option<Path> {
        self.addresses.selected().map(|entry| entry.path)
    }

    /// Bytes that may still be sent on a path: three times what came from there until a check of
    /// ours has been answered (`None`: no limit), nothing where no authenticated request came from.
    pub fn allowance(&self, path: &Path) -> Option<usize> {
        self.addresses.allowance(*path)
    }

    /// Counts bytes that arrived on a path, STUN aside: the agent counts what it was given.
    pub fn on_received(&mut self, path: &Path, len: usize) {
        self.addresses.on_received(*path, len);
    }

    /// Counts bytes that were sent on a path, the agent's own aside.
    pub fn on_sent(&mut self, path: &Path, len: usize) {
        self.addresses.on_sent(*path, len);
    }

    /// Selects a proven, nominated address unless the selected one was nominated later.
    pub(super) fn prefer(&mut self, now: Instant, serial: u64) {
        let Some(new) = self.addresses.get(serial) else {
            return;
        };
        // Generations compare by age: the current one wins over the one before.
        let is_current = |epoch| epoch == self.generations.current.epoch;
        let rank = (is_current(new.epoch), new.nominated);
        let stays = |old: &super::address::Address| (is_current(old.epoch), old.nominated) > rank;
        if !self.addresses.selected().is_some_and(stays) {
            self.select(now, serial);
        }
    }

    /// Moves to this address. Its proof is fresh, so consent is asked for one interval later.
    pub(super) fn select(&mut self, now: Instant, serial: u64) {
        if self.addresses.is_selected(serial) {
            return;
        }
        if let Some(old) = self.addresses.selected_mut() {
            old.check.stop();
        }
        let Some(new) = self.addresses.get_mut(serial) else {
            return;
        };
        new.nominated = new.nominated.or(Some(now));
        new.check.schedule(now + limits::CONSENT_INTERVAL);
        let epoch = new.epoch;
        self.addresses.set_selected(serial);
        if self.config.mode != Mode::Lite {
            // The candidates that did not answer first are of no use any more.
            let others = self.addresses.iter_mut().filter(|entry| entry.serial != serial);
            others.for_each(|other| other.check.stop());
        }
        let current = epoch == self.generations.current.epoch;
        if let Some(old) = self.generations.previous.take_if(|_| current) {
            self.addresses.forget_epoch(old.epoch);
        }
        self.selected = true;
    }

    /// Consent is gone: nothing is sent under these credentials any more.
    pub(super) fn disconnect(&mut self, epoch: u32) {
        self.addresses.forget_epoch(epoch);
        if self.generations.current.epoch == epoch {
            self.generations.current.lost = true;
        } else {
            self.generations.previous = None;
        }
        self.selected = false;
        self.disconnected = true;
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent")
            .field("config", &self.config)
            .field("local", self.local_credentials())
            .field("epoch", &self.generations.current.epoch)
            .field("lost", &self.generations.current.lost)
            .field("restarting", &self.generations.previous.is_some())
            .field("addresses", &self.addresses)
            .field("replies", &self.replies)
            .field("next_check", &self.next_check)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}
