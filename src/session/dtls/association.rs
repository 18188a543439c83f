//! One handshake with one peer and the channel that follows.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::common::{Env, Established, Exporting, Traffic};
use super::config::{Config, Context, Role, Version};
use super::fingerprint::Fingerprint;
use super::handshake::Handshake;
use super::keying::Keying;
use super::outcome::{Drop, FailReason, SendError};
use super::protection::{Opener, Sealer};
use super::record::{ALERT, APPLICATION_DATA, HANDSHAKE, LONG_HEADER};
use super::talk::Talk;
use super::v13;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::crypto::exchange::Draws;
use crate::crypto::record::{Cipher, TAG};
use crate::crypto::secret::Secret;

/// A fact for the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The peer has proved that it owns the expected certificate; keys are agreed. Comes once,
    /// before any [`Event::Data`].
    Connected {
        /// The SRTP profile by its number in the IANA registry (RFC 5764, section 4.1.2): 1, 7 or 8.
        profile: u16,
        /// The SRTP keys of both directions.
        keying: Keying,
    },
    /// Application data of the peer, one record each.
    Data(Bytes),
    /// The peer closed the association. Nothing follows.
    Closed,
    /// The association failed. Nothing follows.
    Failed(FailReason),
}

/// One association. All of it is bounded; whatever it has to send or say waits in queues, so its
/// calls may come in any order.
pub struct Association {
    role: Role,
    context: Context,
    pub(super) talk: Talk,
    stage: Stage,
    events: VecDeque<Event>,
    /// Datagrams of a handshake with records whose keys are not there yet.
    early: Vec<Box<[u8]>>,
    /// Wakes that are not those of a flight.
    timers: Timers,
    /// The epoch of something in this datagram that was read before.
    repeated: Option<u16>,
    /// Spreads repetitions.
    random: Random,
    now: Instant,
    lost: u32,
}

/// What an association is at.
enum Stage {
    Handshake(Box<Pending>),
    Established(Box<Channel>),
    /// Nothing more is said or heard.
    Ended,
}

/// What is kept while a handshake lasts.
struct Pending {
    handshake: Handshake,
    expected: Box<[Fingerprint]>,
    draws: Draws,
    /// The peer's fatal alert in clear, which may be forged.
    alert: Option<u8>,
    /// How often the flight was said.
    said: u32,
}

/// What is left of it.
struct Channel {
    cipher: Cipher,
    exporting: Exporting,
    traffic: Option<Traffic>,
    /// A KeyUpdate of ours waits to be acknowledged.
    updating: bool,
    /// One is due, as soon as no other flight waits to be acknowledged.
    due: bool,
}

#[derive(Debug, Default, Hash)]
struct Timers {
    /// When a handshake that has not finished fails.
    deadline: Option<Instant>,
    /// When what came of the peer's flight is acknowledged.
    acknowledge: Option<Instant>,
    /// Until when a last flight is said again if the peer asks (RFC 9147, section 5.8.1).
    linger: Option<Instant>,
    /// No flight is said again before, whatever the peer repeats.
    again: Instant,
}

#[path = "digest.rs"]
mod digest;
#[path = "doors.rs"]
mod doors;
#[path = "hearing.rs"]
mod hearing;
#[path = "moving.rs"]
mod moving;
#[path = "renewal.rs"]
mod renewal;
#[path = "speaking.rs"]
mod speaking;

#[doc(hidden)]
pub use doors::parse_all;

/// `close_notify` and `fatal` (RFC 8446, section 6).
const CLOSE_NOTIFY: u8 = 0;
const WARNING: u8 = 1;
const FATAL: u8 = 2;

impl Association {
    /// Starts an association; a client's first flight is ready to be polled.
    ///
    /// `expected` are the fingerprints that came with the signalling; without any no certificate
    /// matches. `seed` spreads repetitions; all that is secret comes from the operating system, unless the context is a
    /// test's.
    pub fn new(role: Role, context: &Context, expected: &[Fingerprint], seed: u64, now: Instant) -> Self {
        let Config { mtu, first_retransmission, .. } = *context.config();
        let mut talk = Talk::new(mtu, first_retransmission);
        let mut draws = context.draws(seed);
        let expected: Box<[_]> = expected.iter().take(limits::DTLS_FINGERPRINTS).copied().collect();
        let mut env = Env {
            config: context.config(),
            certificate: context.certificate(),
            expected: &expected,
            draws: &mut draws,
        };
        let handshake = match role {
            Role::Server => Ok(Handshake::server()),
            Role::Client => Handshake::client(&mut talk, &mut env),
        };
        let mut association = Association {
            role,
            context: context.clone(),
            talk,
            stage: Stage::Ended,
            events: VecDeque::new(),
            early: Vec::new(),
            timers: Timers::default(),
            repeated: None,
            random: spread_by(seed),
            now,
            lost: 0,
        };
        match handshake {
            Ok(handshake) => {
                let pending = Pending { handshake, expected, draws, alert: None, said: 0 };
                association.stage = Stage::Handshake(Box::new(pending));
                if role == Role::Client {
                    association.start_deadline();
                    association.say_flight();
                }
            }
            Err(reason) => association.events.push_back(Event::Failed(reason)),
        }
        association
    }

    /// Takes a datagram of the pair that ICE validated, or one that rode on an authenticated message of ICE.
    ///
    /// # Errors
    /// [`Drop`]: nothing in it was of use; the association is as it was, unless this was the last of
    /// [`limits::DTLS_FORGERIES`].
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Drop> {
        if matches!(self.stage, Stage::Ended) {
            return Err(Drop::Closed);
        }
        if datagram.len() > limits::DATAGRAM {
            return Err(Drop::TooLong);
        }
        self.advance(now);
        let mut text = Vec::new();
        let before = self.talk.opener().map(Opener::epoch);
        let outcome = self.take_records(datagram, &mut text);
        if self.talk.opener().map(Opener::epoch) != before {
            self.take_early(&mut text);
        }
        if matches!(self.stage, Stage::Established(_)) {
            // What no key of the handshake has opened no key opens.
            self.early = Vec::new();
        }
        if let Some(epoch) = self.repeated.take() {
            self.on_repetition(epoch);
        }
        if self.talk.forged() >= limits::DTLS_FORGERIES {
            self.exhaust();
        }
        outcome
    }

    /// Repeats a flight or ends a handshake that takes too long; early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.advance(now);
        }
    }

    /// Writes the next datagram to the start of `buf`, which must hold the configured MTU: a
    /// shorter one may get nothing.
    pub fn poll_transmit(&mut self, _now: Instant, buf: &mut [u8]) -> Option<usize> {
        self.talk.outgoing.poll(buf)
    }

    /// The next fact.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
        Some(event)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while nothing is pending, which
    /// is the rule some minutes after the handshake.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let Timers { deadline, acknowledge, linger, .. } = self.timers;
        let renewal = self.is_renewal_due().then_some(self.now);
        [self.talk.flight.poll_timeout(), deadline, acknowledge, linger, renewal].into_iter().flatten().min()
    }

    /// Queues application data as one record in one datagram.
    ///
    /// # Errors
    /// [`SendError`]; nothing is queued. After [`limits::DTLS_RECORDS`] under 1.2 the association
    /// ends with [`FailReason::KeyExhausted`]; under 1.3 keys are renewed before that.
    pub fn send(&mut self, data: &[u8]) -> Result<(), SendError> {
        if !matches!(self.stage, Stage::Established(_)) {
            return Err(SendError::NotConnected);
        }
        if data.len() > self.max_data() {
            return Err(SendError::TooLong);
        }
        if self.talk.outgoing.is_full() {
            return Err(SendError::QueueFull);
        }
        let sealed = self.talk.outgoing.sealer().map_or(0, Sealer::sealed);
        if let Stage::Established(channel) = &mut self.stage
            && sealed >= limits::DTLS_RECORDS / 2
            && channel.traffic.is_some()
            && !channel.updating
        {
            // Said when it is known what time it is: its repetitions follow from that.
            channel.due = true;
        }
        let epoch = self.talk.outgoing.epoch();
        if sealed >= limits::DTLS_RECORDS
            || self.talk.outgoing.record(epoch, APPLICATION_DATA, data).is_none()
        {
            self.exhaust();
            return Err(SendError::NotConnected);
        }
        self.talk.outgoing.flush();
        Ok(())
    }

    /// Says goodbye if there is a channel to say it on, and ends. No event follows.
    pub fn close(&mut self) {
        if !matches!(self.stage, Stage::Ended) {
            self.say_alert(WARNING, CLOSE_NOTIFY);
            self.end();
        }
    }

    /// `len` bytes of keying material under a label (RFC 5705; RFC 8446, section 7.5). Under 1.3 no context is an empty
    /// one. `None` before [`Event::Connected`], after the end, and if a length is out of range.
    pub fn export(&self, label: &str, context: Option<&[u8]>, len: usize) -> Option<Secret> {
        let Stage::Established(channel) = &self.stage else { return None };
        channel.exporting.export(label, context, len)
    }

    /// The largest application data that [`send`](Self::send) takes, in bytes.
    pub fn max_data(&self) -> usize {
        self.context.config().mtu.saturating_sub(RECORD_OVERHEAD)
    }

    /// The role given at the start.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The version spoken, once settled; `None` before and after the end.
    pub fn version(&self) -> Option<Version> {
        match &self.stage {
            Stage::Handshake(pending) => pending.handshake.version(),
            Stage::Established(channel) => Some(channel.exporting.version()),
            Stage::Ended => None,
        }
    }

    /// What waits for something: early datagrams, bytes of messages not read, messages of a flight, records to
    /// acknowledge, bytes of the transcript.
    #[cfg(test)]
    pub(super) fn held(&self) -> [usize; 5] {
        let talk = &self.talk;
        let script = talk.script.whole().len() + talk.script.hellos().len();
        let flight = talk.flight.messages().count();
        [self.early.len(), talk.inbox.held(), flight, talk.received.len(), script]
    }

    /// Datagrams and application data lost because a queue was full.
    pub fn lost(&self) -> u32 {
        self.lost.saturating_add(self.talk.outgoing.lost())
    }

    /// Does what is due.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let is_due = |timer: Option<Instant>| timer.is_some_and(|due| due <= self.now);
        if is_due(self.timers.deadline) {
            let alert = match &self.stage {
                Stage::Handshake(pending) => pending.alert,
                Stage::Established(_) | Stage::Ended => None,
            };
            return self.fail(alert.map_or(FailReason::Timeout, FailReason::Alert));
        }
        if is_due(self.timers.linger) {
            self.timers.linger = None;
            self.talk.received.clear();
            // Keys that are renewed at that moment have nothing to do with it: what is said and heard of them stays.
            if !matches!(&self.stage, Stage::Established(channel) if channel.updating) {
                self.talk.flight.end();
            }
            if self.version() == Some(Version::V13) {
                self.talk.deafen_before(v13::APPLICATION);
                self.talk.outgoing.forget_before(v13::APPLICATION);
            }
        }
        if is_due(self.timers.acknowledge) {
            self.acknowledge();
        }
        let spread = self.random.next_u64();
        if self.talk.flight.is_due(self.now, spread) {
            self.repeat_flight();
        }
        if self.is_renewal_due() {
            self.update_key(false);
        }
    }

    /// After our last flight was said.
    fn settle(&mut self) {
        if let (Stage::Established(_), Role::Server) = (&self.stage, self.role) {
            // The peer says when it has not heard it.
            self.talk.flight.rest();
        }
    }

    fn start_deadline(&mut self) {
        if matches!(self.stage, Stage::Handshake(_)) && self.timers.deadline.is_none() {
            self.timers.deadline = Some(self.now + limits::DTLS_HANDSHAKE);
        }
    }

    fn establish(&mut self, established: Established) {
        let Established { profile, cipher, exporting, traffic } = established;
        let keying = match profile {
            1 => Some((16, 14)),
            7 => Some((16, 12)),
            8 => Some((32, 12)),
            _ => None,
        };
        let keying = keying.and_then(|(key_len, salt_len)| {
            let exported = exporting.export("EXTRACTOR-dtls_srtp", None, 2 * (key_len + salt_len))?;
            Keying::split(self.role, key_len, salt_len, exported.expose())
        });
        let Some(keying) = keying else { return self.fail(FailReason::NoSrtp) };
        let version = exporting.version();
        self.stage =
            Stage::Established(Box::new(Channel { cipher, exporting, traffic, updating: false, due: false }));
        self.talk.forget_script();
        self.timers = Timers { linger: Some(self.now + limits::DTLS_LINGER), ..self.timers_again() };
        // Of these events there are at most two: no limit applies.
        self.events.push_back(Event::Connected { profile, keying });
        if version == Version::V13 && self.role == Role::Server {
            self.acknowledge();
        }
        // Of the peer's flight there is nothing left to name.
        self.talk.received.clear();
    }

    fn timers_again(&self) -> Timers {
        Timers { again: self.timers.again, ..Timers::default() }
    }

    /// A key that must not be used any longer ends the association.
    fn exhaust(&mut self) {
        if matches!(self.stage, Stage::Established(_)) {
            self.say_alert(WARNING, CLOSE_NOTIFY);
            self.events.push_back(Event::Failed(FailReason::KeyExhausted));
            self.end();
        }
    }

    /// Says an alert in the newest epoch that the peer can read.
    fn say_alert(&mut self, level: u8, description: u8) {
        let epoch = match (&self.stage, self.version()) {
            // Before Finished 1.2 has keys that the peer may not have.
            (Stage::Handshake(_), Some(Version::V12)) => 0,
            _ => self.talk.outgoing.epoch(),
        };
        if epoch == 0 && level == WARNING {
            return; // nobody believes it
        }
        self.talk.outgoing.record(epoch, ALERT, &[level, description]);
        self.talk.outgoing.flush();
    }

    fn fail(&mut self, reason: FailReason) {
        if matches!(self.stage, Stage::Ended) {
            return;
        }
        self.talk.outgoing.clear();
        if let Some(alert) = reason.alert() {
            self.say_alert(FATAL, alert);
        }
        self.events.push_back(Event::Failed(reason));
        self.end();
    }

    /// Frees everything but what is still to be polled.
    fn end(&mut self) {
        self.stage = Stage::Ended;
        self.talk.end();
        self.early = Vec::new();
        self.timers = Timers::default();
    }
}

/// The most by which a record is longer than its text: of 1.2 with AES-GCM.
const RECORD_OVERHEAD: usize = LONG_HEADER + 8 + TAG;

/// A generator of what nobody needs to guess.
fn spread_by(seed: u64) -> Random {
    let mut whole = [0; 32];
    if let Some(start) = whole.first_chunk_mut() {
        *start = seed.to_le_bytes();
    }
    Random::new(whole)
}

impl fmt::Debug for Association {
    /// Neither payload nor keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Handshake(_) => "handshake",
            Stage::Established(_) => "established",
            Stage::Ended => "ended",
        };
        f.debug_struct("Association")
            .field("role", &self.role)
            .field("stage", &stage)
            .field("version", &self.version())
            .field("outgoing", &self.talk.outgoing.datagrams().len())
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}
