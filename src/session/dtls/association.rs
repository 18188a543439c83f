//! One handshake with one peer and the channel that follows.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::config::{Config, Context, Version};
use super::fingerprint::Fingerprint;
use super::flight::RecordNumber;
use super::handshake::{Env, Established, Exporting, Handshake, Progress, Traffic};
use super::inbox::Taken;
use super::keying::Keying;
use super::message::{self, Message};
use super::outcome::{Drop, FailReason, SendError};
use super::protection::{Opener, Sealer};
use super::record::{
    ACK, ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, LONG_HEADER, Record, Records,
};
use super::talk::Talk;
use super::v13;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::crypto::exchange::Draws;
use crate::crypto::record::{Cipher, TAG};
use crate::crypto::secret::Secret;

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
#[path = "moving.rs"]
mod moving;

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

    /// Takes a datagram of the pair that ICE validated.
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

    fn take_records(&mut self, datagram: &[u8], text: &mut Vec<u8>) -> Result<(), Drop> {
        let mut outcome = Err(Drop::Empty);
        for record in Records(datagram) {
            if matches!(self.stage, Stage::Ended) {
                // By time, or by a record in front: nothing is kept any more.
                return outcome.map_err(|reason| if reason == Drop::Empty { Drop::Closed } else { reason });
            }
            let mut taken = record.and_then(|record| self.take_record(&record, text));
            if taken == Err(Drop::Early) {
                taken = self.keep_early(datagram);
            }
            outcome = match outcome {
                // The first reason stands, unless a part of the datagram was of use.
                Ok(()) => Ok(()),
                Err(Drop::Empty) => taken,
                Err(first) => taken.map_err(|_| first),
            };
        }
        outcome
    }

    /// Records overtake those that bring their keys: a few datagrams wait (RFC 9147, section 4.2.1).
    fn keep_early(&mut self, datagram: &[u8]) -> Result<(), Drop> {
        if self.early.iter().any(|kept| **kept == *datagram) {
            return Ok(());
        }
        if self.early.len() >= limits::DTLS_EARLY {
            return Err(Drop::Early);
        }
        self.early.push(datagram.into());
        Ok(())
    }

    /// There are other keys: what waited for them is taken.
    fn take_early(&mut self, text: &mut Vec<u8>) {
        for _ in 0..limits::DTLS_EARLY {
            let before = self.talk.opener().map(Opener::epoch);
            for datagram in std::mem::take(&mut self.early) {
                // Of what was of use before nothing is of use again.
                let _ = self.take_records(&datagram, text);
            }
            if self.talk.opener().map(Opener::epoch) == before {
                break;
            }
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

    /// Lowers what datagrams are filled to, because larger ones do not arrive; not below 256 bytes, nor above
    /// [`Config::mtu`].
    pub fn set_mtu(&mut self, mtu: usize) {
        self.talk.outgoing.set_mtu(mtu.clamp(LEAST_MTU, self.context.config().mtu));
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

    /// Our key is to be renewed, and nothing is in the way of it.
    fn is_renewal_due(&self) -> bool {
        matches!(&self.stage, Stage::Established(channel) if channel.due && self.talk.flight.is_empty())
    }

    /// Says the flight for the first time.
    fn say_flight(&mut self) {
        self.talk.flight.say(&mut self.talk.outgoing);
        let spread = self.random.next_u64();
        self.talk.flight.schedule(self.now, spread);
        self.timers.again = self.now + self.pause();
        if let Stage::Handshake(pending) = &mut self.stage {
            pending.said = 1;
        }
    }

    /// What was not heard is said again, in smaller datagrams after a while: the path may be narrower than was thought
    /// (RFC 9147, section 4.4).
    fn repeat_flight(&mut self) {
        if let Stage::Handshake(pending) = &mut self.stage {
            pending.said = pending.said.saturating_add(1);
            if pending.said > limits::DTLS_LARGE_FLIGHTS {
                let mtu = self.talk.outgoing.mtu().min(limits::DTLS_SMALL_MTU);
                self.talk.outgoing.set_mtu(mtu);
            }
        }
        self.talk.flight.say(&mut self.talk.outgoing);
        self.timers.again = self.now + self.pause();
    }

    /// The time between two answers to what a peer repeats.
    fn pause(&self) -> std::time::Duration {
        self.context.config().first_retransmission / 4
    }

    /// The peer repeats in `epoch` what was read already: it has not heard our answer.
    fn on_repetition(&mut self, epoch: u16) {
        if self.now < self.timers.again {
            return;
        }
        self.timers.again = self.now + self.pause();
        let established = matches!(self.stage, Stage::Established(_));
        // After a handshake of 1.3 an acknowledgement is the answer, but to the server's flight: that is the client's.
        let by_flight = self.role == Role::Client && epoch < v13::APPLICATION && !self.talk.flight.is_empty();
        if established && self.version() == Some(Version::V13) && !by_flight {
            self.acknowledge();
        } else if !self.talk.flight.is_empty() {
            self.talk.flight.say(&mut self.talk.outgoing);
        }
    }

    /// Tells which records of the peer's have arrived (RFC 9147, section 7).
    fn acknowledge(&mut self) {
        self.timers.acknowledge = None;
        let epoch = self.talk.outgoing.epoch();
        if self.talk.received.is_empty() || epoch == 0 {
            return;
        }
        let mut received = std::mem::take(&mut self.talk.received);
        // What was named before need not be again, so that it is the oldest that find no room.
        let room = self.talk.outgoing.room(epoch).saturating_sub(2) / 16;
        received.drain(..received.len().saturating_sub(room));
        let mut records = received.clone();
        records.sort_unstable();
        let mut body = Vec::with_capacity(2 + 16 * records.len());
        body.extend_from_slice(&((16 * records.len()) as u16).to_be_bytes());
        for record in &records {
            body.extend_from_slice(&record.epoch.to_be_bytes());
            body.extend_from_slice(&record.number.to_be_bytes());
        }
        self.talk.outgoing.record(epoch, ACK, &body);
        self.talk.outgoing.flush();
        if matches!(self.stage, Stage::Handshake(_)) {
            // They are named again until the flight is whole.
            self.talk.received = received;
        }
    }

    fn take_record(&mut self, record: &Record<'_>, text: &mut Vec<u8>) -> Result<(), Drop> {
        if let Record::Long { kind, epoch: 0, number, body } = *record {
            return self.take_clear(kind, number, body);
        }
        let (version, is_long) = (self.version(), matches!(record, Record::Long { .. }));
        match version {
            Some(Version::V12) if !is_long => return Err(Drop::ContentType),
            Some(Version::V13) if is_long => return Err(Drop::Epoch),
            _ => {}
        }
        let may_be_early = matches!(self.stage, Stage::Handshake(_));
        let mut reason = if may_be_early { Drop::Early } else { Drop::Epoch };
        let mut opened = None;
        for opener in self.talk.openers().filter(|opener| opener.is_for(record)) {
            match opener.open(record, text) {
                Ok(inside) => {
                    opened = Some((opener.epoch(), inside));
                    break;
                }
                Err(refused) => reason = refused,
            }
        }
        match opened {
            Some((epoch, inside)) => self.take_opened(epoch, inside.kind, inside.number, text),
            None => Err(reason),
        }
    }

    fn take_clear(&mut self, kind: u8, number: u64, body: &[u8]) -> Result<(), Drop> {
        let established = matches!(self.stage, Stage::Established(_));
        match kind {
            HANDSHAKE if established && self.version() == Some(Version::V13) => Err(Drop::ClearHandshake),
            HANDSHAKE => self.take_handshake(0, number, body),
            CHANGE_CIPHER_SPEC if !established => Ok(()),
            ALERT => Err(self.note_alert(body)),
            APPLICATION_DATA => Err(Drop::ClearData),
            ACK if self.version() == Some(Version::V12) => Err(Drop::ContentType),
            _ => Err(Drop::Ignored),
        }
    }

    /// A clear alert proves nothing; one during the handshake shortens the wait. A server of 1.3 that has said hello has
    /// keys for what it says (S-DTLS-08).
    fn note_alert(&mut self, body: &[u8]) -> Drop {
        if self.role == Role::Client && self.version() == Some(Version::V13) {
            return Drop::ClearAlert;
        }
        if let (Stage::Handshake(pending), [FATAL, description, ..]) = (&mut self.stage, body) {
            pending.alert.get_or_insert(*description);
            let soon = self.now + limits::DTLS_ALERT_GRACE;
            self.timers.deadline = self.timers.deadline.map(|deadline| deadline.min(soon));
        }
        Drop::ClearAlert
    }

    fn take_opened(&mut self, epoch: u16, kind: u8, number: u64, text: &[u8]) -> Result<(), Drop> {
        match (kind, &self.stage) {
            (HANDSHAKE, _) => self.take_handshake(epoch, number, text),
            (ALERT, _) => self.on_alert(text),
            (ACK, _) if self.version() == Some(Version::V13) => self.on_acknowledgement(text),
            (APPLICATION_DATA, Stage::Established(_)) => self.on_data(epoch, text),
            _ => Err(Drop::ContentType),
        }
    }

    fn on_data(&mut self, epoch: u16, text: &[u8]) -> Result<(), Drop> {
        if self.version() == Some(Version::V13) && epoch < v13::APPLICATION {
            return Err(Drop::Epoch);
        }
        // The first record of an epoch ends those before it, but for what lingers.
        if self.talk.opener().is_some_and(|opener| opener.epoch() == epoch) && epoch > v13::APPLICATION {
            self.talk.deafen_before(epoch);
        }
        if self.events.len() >= limits::DTLS_EVENTS {
            self.lost = self.lost.saturating_add(1);
            return Err(Drop::QueueFull);
        }
        self.events.push_back(Event::Data(Bytes::copy_from_slice(text)));
        Ok(())
    }

    fn on_alert(&mut self, text: &[u8]) -> Result<(), Drop> {
        match *text {
            [_, CLOSE_NOTIFY] => {
                self.events.push_back(Event::Closed);
                self.end();
                Ok(())
            }
            [FATAL, description] => {
                self.talk.outgoing.clear();
                self.events.push_back(Event::Failed(FailReason::Alert(description)));
                self.end();
                Ok(())
            }
            // user_canceled and what else is no end.
            [_, _] => Err(Drop::Ignored),
            _ => Err(Drop::Truncated),
        }
    }

    fn on_acknowledgement(&mut self, text: &[u8]) -> Result<(), Drop> {
        let Some((len, list)) = text.split_first_chunk() else { return Err(Drop::Truncated) };
        let (records, rest) = list.as_chunks::<16>();
        if usize::from(u16::from_be_bytes(*len)) != list.len() || !rest.is_empty() {
            return Err(Drop::Truncated);
        }
        let mut news = false;
        for record in records.iter().take(limits::DTLS_SENT) {
            let both = u128::from_be_bytes(*record);
            let record = RecordNumber { epoch: (both >> 64) as u64, number: both as u64 };
            news |= self.talk.flight.on_acknowledged(record);
        }
        if !news {
            return Err(Drop::Ignored);
        }
        if self.talk.flight.is_empty() {
            self.talk.flight.end();
            if matches!(self.stage, Stage::Established(_)) {
                // Nothing of the handshake is said again.
                let epoch = self.talk.outgoing.epoch();
                self.talk.outgoing.forget_before(epoch);
            }
            self.on_flight_acknowledged();
        }
        Ok(())
    }

    /// All that we said has arrived.
    fn on_flight_acknowledged(&mut self) {
        let Stage::Established(channel) = &mut self.stage else { return };
        if !std::mem::take(&mut channel.updating) {
            if channel.due {
                self.update_key(false);
            }
            return;
        }
        let Some(traffic) = &mut channel.traffic else { return };
        let epoch = self.talk.outgoing.epoch().saturating_add(1);
        let renewed = traffic.labels.next(&traffic.ours).and_then(|secret| {
            let keys = v13::keys(traffic.labels, &secret, traffic.cipher)?;
            Some((Sealer::new(epoch, &keys)?, secret))
        });
        match renewed {
            Some((sealer, secret)) => {
                traffic.ours = secret;
                self.talk.outgoing.protect(sealer);
                self.talk.outgoing.forget_before(epoch);
            }
            None => self.fail(FailReason::Provider),
        }
    }

    fn take_handshake(&mut self, epoch: u16, number: u64, body: &[u8]) -> Result<(), Drop> {
        let mut outcome = Ok(());
        let (mut repeated, mut is_new) = (false, false);
        for fragment in message::fragments(body)? {
            match self.talk.inbox.add(epoch, &fragment) {
                Ok(Taken::New) => is_new = true,
                Ok(Taken::Again) => repeated = true,
                Err(reason) => outcome = Err(reason),
            }
        }
        if is_new {
            self.start_deadline();
        }
        // What is in clear could be anybody's: under 1.2 that is all there is before Finished.
        // A record of which a part was dropped has not arrived.
        if self.version() != Some(Version::V12) && outcome.is_ok() && (is_new || repeated) {
            self.talk.note_received(RecordNumber { epoch: epoch.into(), number });
        }
        if is_new {
            self.read_messages();
        } else if repeated {
            self.repeated.get_or_insert(epoch);
            return outcome.and(Err(Drop::Ignored));
        }
        outcome
    }

    /// Reads all messages that are in order.
    fn read_messages(&mut self) {
        while let Some((epoch, message)) = self.talk.inbox.next() {
            let read = match &mut self.stage {
                Stage::Handshake(pending) => {
                    let Pending { handshake, expected, draws, .. } = &mut **pending;
                    let (config, certificate) = (self.context.config(), self.context.certificate());
                    let mut env = Env { config, certificate, expected, draws };
                    let before = self.talk.places().0;
                    let progress = handshake.on_message(epoch, &message, &mut self.talk, &mut env);
                    progress.map(|progress| (progress, self.talk.places().0 != before))
                }
                Stage::Established(_) => {
                    self.on_late_message(epoch, &message).map(|()| (Progress::More, false))
                }
                Stage::Ended => return,
            };
            match read {
                Ok((progress, spoke)) => {
                    if let Progress::Done(established) = progress {
                        self.establish(*established);
                    }
                    if spoke {
                        self.say_flight();
                        self.settle();
                    }
                }
                Err(reason) => return self.fail(reason),
            }
        }
        // A flight that is not whole is acknowledged in part, after a while (RFC 9147, section 7.1).
        let waits = matches!(self.stage, Stage::Handshake(_)) && self.version() == Some(Version::V13);
        if waits && !self.talk.received.is_empty() {
            let due = self.now + self.pause();
            self.timers.acknowledge.get_or_insert(due);
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

    /// A message after the handshake: under 1.3 KeyUpdate and tickets (RFC 8446, section 4.6), of which all but the first
    /// kind are of no use here.
    fn on_late_message(&mut self, epoch: u16, message: &Message) -> Result<(), FailReason> {
        if self.version() == Some(Version::V12) {
            // A renegotiation, or HelloRequest: refused without a word (RFC 5746, section 4.5).
            return Ok(());
        }
        match (message.kind, &message.body[..]) {
            (message::KEY_UPDATE, [asked @ (0 | 1)]) => self.on_key_update(epoch, *asked == 1)?,
            (message::NEW_SESSION_TICKET, _) => {}
            _ => return Err(FailReason::Protocol),
        }
        self.acknowledge();
        Ok(())
    }

    fn on_key_update(&mut self, epoch: u16, asked: bool) -> Result<(), FailReason> {
        let Stage::Established(channel) = &mut self.stage else { return Ok(()) };
        let (Some(traffic), updating) = (&mut channel.traffic, channel.updating) else {
            return Err(FailReason::Protocol);
        };
        if self.talk.opener().is_none_or(|opener| opener.epoch() != epoch) {
            return Err(FailReason::Protocol);
        }
        let next = epoch.checked_add(1).ok_or(FailReason::KeyExhausted)?;
        let renewed = traffic.labels.next(&traffic.theirs).and_then(|secret| {
            let keys = v13::keys(traffic.labels, &secret, traffic.cipher)?;
            Some((Opener::new(next, &keys)?, secret))
        });
        let (opener, secret) = renewed.ok_or(FailReason::Provider)?;
        traffic.theirs = secret;
        // What is under way in the epoch before is heard until something comes in this one.
        self.talk.deafen_before(epoch);
        self.talk.listen(opener);
        self.talk.inbox.require(epoch);
        if asked && !updating {
            self.update_key(false);
        }
        Ok(())
    }

    /// Renews our key, once the peer has heard of it (RFC 9147, section 8).
    fn update_key(&mut self, ask: bool) {
        let Stage::Established(channel) = &mut self.stage else { return };
        channel.due = !self.talk.flight.is_empty();
        if channel.due {
            return;
        }
        channel.updating = true;
        let received = std::mem::take(&mut self.talk.received);
        self.talk.begin_flight();
        self.talk.received = received;
        self.talk.say_aside(message::KEY_UPDATE, vec![u8::from(ask)]);
        self.say_flight();
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

/// No datagram is filled to less.
const LEAST_MTU: usize = 256;

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
