//! What a datagram leads to: records opened, their contents taken, messages read in order.

use super::{Association, CLOSE_NOTIFY, Event, FATAL, Pending, Stage};
use crate::base::limits;
use crate::session::dtls::common::{Env, Progress};
use crate::session::dtls::config::{Role, Version};
use crate::session::dtls::flight::RecordNumber;
use crate::session::dtls::inbox::Taken;
use crate::session::dtls::message;
use crate::session::dtls::outcome::{Drop, FailReason};
use crate::session::dtls::protection::Opener;
use crate::session::dtls::record::{
    ACK, ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Record, Records,
};
use crate::session::dtls::v13;
use bytes::Bytes;

impl Association {
    pub(super) fn take_records(&mut self, datagram: &[u8], text: &mut Vec<u8>) -> Result<(), Drop> {
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
    pub(super) fn take_early(&mut self, text: &mut Vec<u8>) {
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
}
