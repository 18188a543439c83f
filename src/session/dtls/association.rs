//! One handshake with one peer and the channel that follows.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use dimpl::{Dtls, ProtocolVersion};

use super::assembly::Assembly;
use super::config::{Context, Version, Versions};
use super::fingerprint::Fingerprint;
use super::keying::Keying;
use super::outcome::{Drop, FailReason, SendError, Verdict, judge};
use super::record::{Refused, Run, Runs, Stage, fragments};
use crate::base::limits;
use crate::base::time::{Instant, clock};

/// Who speaks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// `a=setup:passive`: waits for the ClientHello, and chooses the SRTP profile.
    Server,
    /// `a=setup:active`: sends the ClientHello.
    Client,
}

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
///
/// The inner engine is boxed, and gone after the end.
pub struct Association {
    /// `None` after the end: nothing more is said or heard.
    engine: Option<Box<Dtls>>,
    role: Role,
    phase: Phase,
    /// Empty once the peer has been judged.
    expected: Box<[Fingerprint]>,
    assembly: Assembly,
    outgoing: VecDeque<Box<[u8]>>,
    events: VecDeque<Event>,
    engine_timeout: Option<Instant>,
    /// When a handshake that has not finished fails.
    deadline: Option<Instant>,
    /// The peer's fatal alert in clear, which may be forged.
    alert: Option<u8>,
    now: Instant,
    max_data: u16,
    lost: u32,
    /// Records of application data sent.
    pub(super) records: u32,
    /// Datagrams of which the established association's key opened nothing.
    pub(super) forged: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Handshake,
    /// The peer's certificate is the expected one.
    Matched,
    Established,
}

#[path = "digest.rs"]
mod digest;
#[path = "drain.rs"]
mod drain;

use drain::Came;

impl Association {
    /// Starts an association; a client's first flight is ready to be polled.
    ///
    /// `expected` are the fingerprints that came with the signalling; without any no certificate
    /// matches. `seed` is ignored unless the context has a test's provider.
    pub fn new(role: Role, context: &Context, expected: &[Fingerprint], seed: u64, now: Instant) -> Self {
        let config = context.config();
        let (settings, certificate) = (context.engine(seed), context.certificate().to_engine());
        let std_now = clock().to_std(now);
        let mut engine = Box::new(match config.versions {
            Versions::V12 => Dtls::new_12(settings, certificate, std_now),
            Versions::V13 => Dtls::new_13(settings, certificate, std_now),
            Versions::Auto => Dtls::new_auto(settings, certificate, std_now),
        });
        engine.set_active(role == Role::Client);
        let max_data = config.mtu.saturating_sub(RECORD_OVERHEAD);
        let mut association = Association {
            engine: Some(engine),
            role,
            phase: Phase::Handshake,
            expected: expected.iter().take(limits::DTLS_FINGERPRINTS).copied().collect(),
            assembly: Assembly::default(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            engine_timeout: None,
            deadline: (role == Role::Client).then(|| now + limits::DTLS_HANDSHAKE),
            alert: None,
            now,
            max_data: u16::try_from(max_data).unwrap_or(u16::MAX),
            lost: 0,
            records: 0,
            forged: 0,
        };
        // Readies a server, makes a client speak.
        association.advance(now);
        association
    }

    /// Takes a datagram of the pair that ICE validated.
    ///
    /// # Errors
    /// [`Drop`]: nothing in it was of use; the association is as it was, unless this was the last of
    /// [`limits::DTLS_FORGERIES`].
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) -> Result<(), Drop> {
        let stage = match &self.engine {
            None => return Err(Drop::Closed),
            Some(_) if datagram.len() > limits::DATAGRAM => return Err(Drop::TooLong),
            Some(_) => Stage { version: self.version(), established: self.phase == Phase::Established },
        };
        self.advance(now);
        let (mut outcome, mut forged) = (Err(Drop::Empty), false);
        for run in Runs::new(datagram, stage) {
            let taken = match run {
                Run::Records(records) => self.feed(records),
                Run::Fragments(record) => self.assemble(record),
                Run::Refused(refused) => Err(self.note(refused)),
            };
            forged = forged || matches!(taken, Err(Drop::Ignored | Drop::Authentication));
            outcome = match outcome {
                // The first reason stands, unless a part of the datagram was of use.
                Ok(()) => Ok(()),
                Err(Drop::Empty) => taken,
                Err(first) => taken.map_err(|_| first),
            };
        }
        // A record in clear in front of it hides no attempt.
        if forged && outcome.is_err() {
            self.count_forgery();
        }
        outcome
    }

    /// A key that somebody guesses at so often is given up (RFC 9147, section 4.5.3). Duplicates count
    /// too: the engine does not tell them apart.
    fn count_forgery(&mut self) {
        if self.phase == Phase::Established && self.engine.is_some() {
            self.forged = self.forged.saturating_add(1);
            if self.forged >= limits::DTLS_FORGERIES {
                self.exhaust();
            }
        }
    }

    /// Says goodbye and ends because a key must not be used any longer.
    fn exhaust(&mut self) {
        if let Some(engine) = &mut self.engine {
            // An error leaves nothing to say.
            let _ = engine.close();
            self.drain_or_fail();
        }
        if self.engine.is_some() {
            self.events.push_back(Event::Failed(FailReason::KeyExhausted));
            self.end();
        }
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
        let len = self.outgoing.front()?.len();
        let to = buf.get_mut(..len)?;
        to.copy_from_slice(&self.outgoing.pop_front()?);
        release(&mut self.outgoing);
        Some(len)
    }

    /// The next fact.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front()?;
        release(&mut self.events);
        Some(event)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while nothing is pending, which
    /// is the rule after the handshake.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.engine_timeout, self.deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Queues application data as one record in one datagram.
    ///
    /// # Errors
    /// [`SendError`]; nothing is queued. After [`limits::DTLS_RECORDS`] under 1.2 the association
    /// ends with [`FailReason::KeyExhausted`]; under 1.3 keys are renewed before that.
    pub fn send(&mut self, data: &[u8]) -> Result<(), SendError> {
        if self.phase != Phase::Established {
            return Err(SendError::NotConnected);
        }
        if data.len() > self.max_data() {
            return Err(SendError::TooLong);
        }
        if self.outgoing.len() >= limits::DTLS_OUTGOING {
            return Err(SendError::QueueFull);
        }
        if self.records >= limits::DTLS_RECORDS && self.version() == Some(Version::V12) {
            self.exhaust();
            return Err(SendError::NotConnected);
        }
        self.records = self.records.saturating_add(1);
        let engine = self.engine.as_mut().ok_or(SendError::NotConnected)?;
        // The engine's own queue is empty: it was drained into ours.
        match engine.send_application_data(data) {
            Ok(_) => self.drain_or_fail(),
            Err(error) => {
                let _ = self.settle(&error);
                return Err(SendError::NotConnected);
            }
        }
        Ok(())
    }

    /// Says goodbye if there is a channel to say it on, and ends. No event follows.
    pub fn close(&mut self) {
        if let Some(engine) = &mut self.engine {
            // An error leaves nothing to say.
            let _ = engine.close();
            self.drain_or_fail();
            self.end();
        }
    }

    /// The largest application data that [`send`](Self::send) takes, in bytes.
    pub fn max_data(&self) -> usize {
        usize::from(self.max_data)
    }

    /// The role given at the start.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The version spoken, once settled; `None` before and after the end.
    pub fn version(&self) -> Option<Version> {
        match self.engine.as_ref()?.protocol_version()? {
            ProtocolVersion::DTLS1_2 => Some(Version::V12),
            ProtocolVersion::DTLS1_3 => Some(Version::V13),
            _ => None,
        }
    }

    /// Datagrams and application data lost because a queue was full.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Moves the engine's clock, which may end the handshake or repeat a flight.
    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let Some(engine) = &mut self.engine else { return };
        if self.deadline.is_some_and(|deadline| deadline <= self.now) {
            return self.fail(self.alert.map_or(FailReason::Timeout, FailReason::Alert));
        }
        match engine.handle_timeout(clock().to_std(self.now)) {
            Ok(()) => self.drain_or_fail(),
            // There is no datagram to drop.
            Err(error) => drop(self.settle(&error)),
        }
    }

    /// Takes a clear record of which a message is not whole.
    fn assemble(&mut self, record: &[u8]) -> Result<(), Drop> {
        let (header, body) = record.split_at_checked(RECORD_HEADER).ok_or(Drop::Truncated)?;
        self.start_deadline();
        // Type, version, epoch and number stay those of the last fragment; the length is new.
        let (head, _) = header.split_at_checked(RECORD_HEADER - 2).ok_or(Drop::Truncated)?;
        for fragment in fragments(body).flatten() {
            let Some(message) = self.assembly.add(&fragment)? else { continue };
            let len = u16::try_from(message.len()).map_err(|_| Drop::Fragment)?;
            self.feed(&[head, &len.to_be_bytes(), &message].concat())?;
        }
        Ok(())
    }

    fn start_deadline(&mut self) {
        if self.phase != Phase::Established && self.deadline.is_none() {
            self.deadline = Some(self.now + limits::DTLS_HANDSHAKE);
        }
    }

    fn feed(&mut self, records: &[u8]) -> Result<(), Drop> {
        let Some(engine) = &mut self.engine else { return Err(Drop::Closed) };
        let established = self.phase == Phase::Established;
        if let Err(error) = engine.handle_packet(records) {
            return self.settle(&error);
        }
        self.start_deadline();
        match self.drain() {
            Ok(Came::Data { lost: true }) => Err(Drop::QueueFull),
            // Parts of a handshake are silent by nature.
            Ok(Came::Nothing) if established => Err(Drop::Ignored),
            Ok(_) => Ok(()),
            Err(reason) => {
                self.fail(reason);
                Ok(())
            }
        }
    }

    /// A clear alert proves nothing; one during the handshake shortens the wait.
    fn note(&mut self, refused: Refused) -> Drop {
        if let (Some(alert), Some(deadline)) = (refused.alert, self.deadline) {
            self.alert.get_or_insert(alert);
            self.deadline = Some(deadline.min(self.now + limits::DTLS_ALERT_GRACE));
        }
        refused.reason
    }

    fn settle(&mut self, error: &dimpl::Error) -> Result<(), Drop> {
        match judge(error) {
            Verdict::Drop(reason) => {
                self.drain_or_fail();
                Err(reason)
            }
            Verdict::Fail(reason) => {
                self.fail(reason);
                Ok(())
            }
        }
    }

    fn drain_or_fail(&mut self) {
        if let Err(reason) = self.drain() {
            self.fail(reason);
        }
    }

    fn queue(&mut self, datagram: &[u8]) {
        if self.outgoing.len() < limits::DTLS_OUTGOING {
            self.outgoing.push_back(datagram.into());
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Fails, telling a peer that may not have keys yet. Under 1.3 only the engine could: its
    /// alerts are protected from the ServerHello on.
    fn fail(&mut self, reason: FailReason) {
        let told = self.phase != Phase::Established && self.version() != Some(Version::V13);
        if self.engine.is_none() {
            return;
        }
        let reason = match reason {
            // It has one, of a kind that it was not asked for.
            FailReason::NoCertificate if !self.expected.is_empty() => FailReason::UnsupportedCertificate,
            other => other,
        };
        self.outgoing.clear();
        if let (true, Some(alert)) = (told, reason.alert()) {
            self.queue(&clear_alert(alert));
        }
        self.events.push_back(Event::Failed(reason));
        self.end();
    }

    /// Frees everything but what is still to be polled.
    fn end(&mut self) {
        self.engine = None;
        self.engine_timeout = None;
        self.deadline = None;
        self.expected = Box::default();
        self.assembly = Assembly::default();
    }
}

impl fmt::Debug for Association {
    /// Neither payload nor keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Association")
            .field("role", &self.role)
            .field("phase", &self.engine.as_ref().map(|_| self.phase))
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// Of a record of 1.2, and of a clear one of 1.3.
const RECORD_HEADER: usize = 13;

/// The header, the explicit nonce and the tag of a record of 1.2; 1.3 needs less.
const RECORD_OVERHEAD: usize = RECORD_HEADER + 8 + 16;

/// A fatal alert in clear. Its record number is far above those of a handshake, so that no replay
/// window takes it for an old one.
const fn clear_alert(description: u8) -> [u8; 15] {
    [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 2, description]
}

/// Gives back what a burst left behind: an idle association holds no queue.
fn release<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
}
