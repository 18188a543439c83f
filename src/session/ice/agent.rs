//! The agent: its commands and the five verbs.

use super::candidate::{LocalCandidate, Rank};
use super::checklist::Full;
use super::credentials::{Credentials, Generations};
use super::pair::{Pair, Pairs};
use super::request::Reply;
use super::{Attach, Config, Drop, Event, Mode, Outcome, Role};
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::wire::mux::{Path, Protocol};
use crate::wire::stun::{self, Class, Message};
use std::collections::VecDeque;
use std::fmt;

/// The ICE of one participant; see the [module](super).
///
/// Inputs and polls may come in any order. Answers wait in a queue of
/// [`limits::STUN_REPLIES`](crate::limits::STUN_REPLIES), checks in the table of pairs; nothing is allocated for a
/// datagram.
pub struct Agent {
    pub(super) config: Config,
    pub(super) random: Random,
    pub(super) role: Role,
    /// Of role conflicts (RFC 8445, section 16.1).
    pub(super) tie_breaker: u64,
    pub(super) generations: Generations,
    pub(super) pairs: Pairs,
    pub(super) replies: VecDeque<Reply>,
    /// Before this no check leaves, consent aside.
    pub(super) next_check: Instant,
    /// Remote candidates of this generation.
    pub(super) candidates: usize,
    /// What a lite agent keeps of its own candidates.
    pub(super) ranks: Vec<Rank>,
    /// How often the peer came back to a nomination of before.
    pub(super) returns: u8,
    /// What only a full agent has.
    pub(super) full: Option<Box<Full>>,
    /// Events that wait; a disconnection takes back a selection that nobody saw.
    pub(super) disconnected: bool,
    pub(super) selected: bool,
    pub(super) failed: bool,
}

impl Agent {
    /// An agent with credentials of its own and a generator that nobody else uses: transaction ids
    /// come from it and have to be unguessable.
    pub fn new(config: Config, local: Credentials, mut random: Random) -> Self {
        let full = (config.mode == Mode::Full).then(Box::default);
        Agent {
            config,
            role: if full.is_some() { config.role } else { Role::Controlled },
            tie_breaker: random.next_u64(),
            random,
            generations: Generations::new(local),
            pairs: Pairs::default(),
            replies: VecDeque::new(),
            next_check: Instant::ZERO,
            candidates: 0,
            ranks: Vec::new(),
            returns: 0,
            full,
            disconnected: false,
            selected: false,
            failed: false,
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
        let serves = self.pairs.selected().map(|pair| pair.epoch);
        let old = self.generations.restart(local);
        if serves == Some(old.epoch) {
            self.pairs.retire(old.epoch);
            self.generations.previous = Some(Box::new(old));
        } else {
            // An even older one may serve still; this one never did, or no longer.
            self.pairs.forget_epoch(old.epoch);
        }
        self.candidates = 0;
        self.failed = false;
        self.returns = 0;
        if let Some(full) = &mut self.full {
            full.restart();
        }
    }

    /// Our role at present; a conflict may change it.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Our candidates, for a description; a lite agent keeps their priorities only, so it has none.
    pub fn local_candidates(&self) -> impl Iterator<Item = &LocalCandidate> {
        self.full.iter().flat_map(|full| &full.locals)
    }

    /// The connection behind a TCP path is closed. If that path is selected, nothing can be sent until
    /// another is: the proven one that was heard last, at once, or one that the peer opens within
    /// [`limits::CONSENT_TIMEOUT`](crate::limits::CONSENT_TIMEOUT); else [`Event::Disconnected`]
    /// follows.
    pub fn forget_path(&mut self, now: Instant, path: &Path) {
        self.pairs.forget_path(*path);
        self.fail_over(now);
    }

    /// How much of ICE this agent does: what it was configured for, or all of it with a lite peer.
    pub fn mode(&self) -> Mode {
        if self.full.is_some() { Mode::Full } else { Mode::Lite }
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
        if let Some(lost) = self.pairs.selected().filter(|pair| !pair.is_proven(now)) {
            self.disconnect(lost.epoch);
        }
        for pair in self.pairs.iter_mut() {
            if pair.proof.is_some() && !pair.is_proven(now) {
                pair.unprove();
            }
        }
        self.look_ahead(now);
    }

    /// What commands left to the next moment that is known: nominations, and the time of hope.
    fn look_ahead(&mut self, now: Instant) {
        if self.full.is_some() {
            self.consider(now);
            self.judge_at(now);
        }
    }

    /// Writes one datagram at the start of `buf`: checks that are due, then answers. Returns its
    /// path and length.
    ///
    /// A `buf` of [`limits::MTU`](crate::limits::MTU) always suffices; what does not fit a smaller one is lost as on
    /// the way.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<(Path, usize)> {
        self.poll_transmit_with(now, buf, &mut |_, _| {})
    }

    /// The same; `attach` may add so many bytes of attributes to a check and to the answer of one, such as those
    /// of [`sped`](crate::sped). They are authenticated with the rest. Where an address has not been proven, the whole message
    /// stays within half of its [`allowance`](Agent::allowance), so that an answer always finds its place.
    pub fn poll_transmit_with(
        &mut self,
        now: Instant,
        buf: &mut [u8],
        attach: &mut Attach<'_>,
    ) -> Option<(Path, usize)> {
        self.look_ahead(now);
        match self.poll_check(now, buf, attach) {
            None => self.poll_reply(buf, attach),
            check => check,
        }
    }

    /// The next fact. Those that wait are bounded however long nobody polls: what is superseded
    /// falls out.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(path) = self.pairs.poll_forgotten() {
            return Some(Event::AddressForgotten(path));
        }
        if let Some(path) = self.pairs.poll_known() {
            return Some(Event::AddressKnown(path));
        }
        if std::mem::take(&mut self.disconnected) {
            return Some(Event::Disconnected);
        }
        if std::mem::take(&mut self.selected)
            && let Some(path) = self.selected()
        {
            return Some(Event::Selected(path));
        }
        std::mem::take(&mut self.failed).then_some(Event::Failed)
    }

    /// When to call [`handle_timeout`](Agent::handle_timeout) and poll again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let turns = self.pairs.iter().filter_map(|pair| self.turn_of(pair));
        let ends = self.pairs.iter().filter_map(|pair| pair.proof_ends());
        let full = self.full.iter().flat_map(|full| [full.nominate_at, full.hope_ends()]).flatten();
        turns.chain(ends).chain(full).min()
    }

    /// Whether a message with the right password came from this path, so that datagrams from there
    /// are this participant's.
    pub fn knows(&self, path: &Path) -> bool {
        self.pairs.knows(*path)
    }

    /// The path that everything is to be sent on; `None` also while its TCP connection is gone.
    pub fn selected(&self) -> Option<Path> {
        self.pairs.selected().filter(|pair| !pair.gone).map(|pair| pair.path)
    }

    /// The path that things may be sent on before one is selected (RFC 8445, section 12.1): the best proven one of UDP
    /// that the peer has checked. `None` once one was selected, and where this side controls.
    pub fn valid(&self, now: Instant) -> Option<Path> {
        if self.role == Role::Controlling || self.pairs.selected().is_some() {
            return None;
        }
        let valid = self.pairs.iter().filter(|pair| self.is_usable(now, pair));
        valid.max_by_key(|pair| pair.priority(self.role)).map(|pair| pair.path)
    }

    /// Whether a path is one of those that [`valid`](Agent::valid) chooses from.
    pub fn is_valid(&self, now: Instant, path: &Path) -> bool {
        self.pairs.iter().any(|pair| pair.path == *path && self.is_usable(now, pair))
    }

    fn is_usable(&self, now: Instant, pair: &Pair) -> bool {
        let current = pair.epoch == self.generations.current.epoch && !pair.gone;
        current && pair.requested && pair.is_proven(now) && pair.path.protocol == Protocol::Udp
    }

    /// Bytes that may still be sent on a path: three times what came from there until a check of
    /// ours has been answered (`None`: no limit), nothing where no authenticated request came from.
    pub fn allowance(&self, path: &Path) -> Option<usize> {
        self.pairs.allowance(*path)
    }

    /// Counts bytes that arrived on a path, STUN aside: the agent counts what it was given.
    pub fn on_received(&mut self, path: &Path, len: usize) {
        self.pairs.on_received(*path, len);
    }

    /// Counts bytes that were sent on a path, the agent's own aside.
    pub fn on_sent(&mut self, path: &Path, len: usize) {
        self.pairs.on_sent(*path, len);
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
            .field("role", &self.role)
            .field("tie_breaker", &self.tie_breaker)
            .field("pairs", &self.pairs)
            .field("returns", &self.returns)
            .field("full", &self.full)
            .field("replies", &self.replies)
            .field("next_check", &self.next_check)
            .field("candidates", &self.candidates)
            .field("ranks", &self.ranks)
            .finish_non_exhaustive()
    }
}
