//! What a handshake is spoken through, whatever its version: records both ways, the flight that waits for its answer,
//! and the transcript of all that both have said.

use super::config::Version;
use super::flight::{Flight, RecordNumber};
use super::inbox::Inbox;
use super::message::Message;
use super::outgoing::Outgoing;
use super::protection::Opener;
use crate::base::limits;
use crate::crypto::keying::{Digest, Hash, Transcript};
use smallvec::SmallVec;
use std::time::Duration;

/// One association's.
pub(super) struct Talk {
    pub(super) outgoing: Outgoing,
    pub(super) inbox: Inbox,
    pub(super) flight: Flight,
    pub(super) script: Script,
    /// By epoch, the newest last.
    openers: SmallVec<[Box<Opener>; 2]>,
    /// The number of our next message.
    next: u16,
    /// The first wait of a flight.
    wait: Duration,
    /// Records of the peer's flight that are not acknowledged yet (RFC 9147, section 7).
    pub(super) received: SmallVec<[RecordNumber; 8]>,
}

impl Talk {
    pub(super) fn new(mtu: usize, wait: Duration) -> Self {
        Talk {
            outgoing: Outgoing::new(mtu),
            inbox: Inbox::default(),
            flight: Flight::default(),
            script: Script::Hellos(Vec::new()),
            openers: SmallVec::new(),
            next: 0,
            wait,
            received: SmallVec::new(),
        }
    }

    /// What is said next answers what was heard.
    pub(super) fn begin_flight(&mut self) {
        self.flight.begin(self.wait);
        self.received.clear();
    }

    /// Adds a message to the flight, in the newest epoch, and to the transcript.
    pub(super) fn say(&mut self, kind: u8, body: Vec<u8>) {
        let message = self.message(kind, body);
        self.script.add(&message);
        self.flight.add(self.outgoing.epoch(), message);
    }

    /// The same beside the transcript: what comes after the handshake, and hellos that do not count.
    pub(super) fn say_aside(&mut self, kind: u8, body: Vec<u8>) {
        let message = self.message(kind, body);
        self.flight.add(self.outgoing.epoch(), message);
    }

    fn message(&mut self, kind: u8, body: Vec<u8>) -> Message {
        let number = self.next;
        self.count_message();
        Message { kind, number, body: body.into() }
    }

    /// The number of our next message is taken.
    pub(super) fn count_message(&mut self) {
        self.next = self.next.saturating_add(1);
    }

    pub(super) fn listen(&mut self, opener: Opener) {
        self.openers.push(Box::new(opener));
    }

    /// Nothing is heard any more in protected epochs before this one.
    pub(super) fn deafen_before(&mut self, epoch: u16) {
        self.openers.retain(|opener| opener.epoch() >= epoch);
    }

    /// Those whose epoch a record may have, the newest first.
    pub(super) fn openers(&mut self) -> impl Iterator<Item = &mut Opener> {
        self.openers.iter_mut().rev().map(|opener| &mut **opener)
    }

    /// The newest one.
    pub(super) fn opener(&self) -> Option<&Opener> {
        self.openers.last().map(|opener| &**opener)
    }

    /// Whether another epoch from `first` on is heard than the newest.
    pub(super) fn hears_older(&self, first: u16) -> bool {
        let newest = self.opener().map_or(0, Opener::epoch);
        self.openers.iter().any(|opener| (first..newest).contains(&opener.epoch()))
    }

    pub(super) fn forged(&self) -> u64 {
        self.openers.iter().map(|opener| opener.forged()).sum()
    }

    /// As if so many records had failed authentication in the newest epoch.
    #[cfg(test)]
    pub(super) fn forge(&mut self, records: u64) {
        self.openers.last_mut().unwrap().forge(records);
    }

    /// As if so many records had come in the newest epoch.
    #[cfg(test)]
    pub(super) fn expect_from(&mut self, number: u64) {
        let opener = self.openers.pop().unwrap();
        let window = super::protection::Window { next: number, seen: 0 };
        self.openers.push(Box::new(opener.resume(window)));
    }

    /// A record with a part of the peer's flight came.
    pub(super) fn note_received(&mut self, record: RecordNumber) {
        if self.received.contains(&record) {
            return;
        }
        if self.received.len() >= limits::DTLS_ACKNOWLEDGED {
            self.received.remove(0);
        }
        self.received.push(record);
    }

    /// Numbers of messages both ways, of an association that moves.
    pub(super) fn places(&self) -> (u16, u16) {
        (self.next, self.inbox.next_number())
    }

    /// Goes on from another engine's.
    pub(super) fn resume(&mut self, (ours, theirs): (u16, u16)) {
        self.next = ours;
        self.inbox = Inbox::reading_from(theirs);
    }

    /// All that is needed for a handshake alone goes.
    pub(super) fn forget_script(&mut self) {
        self.script = Script::Hellos(Vec::new());
    }

    /// Forgets everything that could say or hear more.
    pub(super) fn end(&mut self) {
        self.outgoing.end();
        self.openers = SmallVec::new();
        self.flight.end();
        self.inbox = Inbox::default();
        self.received = SmallVec::new();
        self.forget_script();
    }
}

/// The messages of both sides, as the version wants them.
pub(super) enum Script {
    /// The version is not settled.
    Hellos(Vec<Message>),
    /// The running hash (RFC 8446, section 4.4.1).
    Running(Transcript),
    /// The messages themselves: signatures of 1.2 may want any hash of them (RFC 5246, section 7.4.8).
    Whole(Vec<u8>),
}

impl Script {
    pub(super) fn add(&mut self, message: &Message) {
        match self {
            Script::Hellos(hellos) => hellos.push(message.clone()),
            Script::Running(transcript) => {
                transcript.update(&Message::head_13(message.kind, message.body.len()));
                transcript.update(&message.body);
            }
            Script::Whole(all) => {
                all.extend_from_slice(&message.head_12());
                all.extend_from_slice(&message.body);
            }
        }
    }

    /// The version is settled; `hash` is the suite's.
    pub(super) fn settle(&mut self, version: Version, hash: Hash) {
        let Script::Hellos(hellos) = self else { return };
        let hellos = std::mem::take(hellos);
        *self = match version {
            Version::V13 => Script::Running(Transcript::new(hash)),
            Version::V12 => Script::Whole(Vec::with_capacity(4_096)),
        };
        hellos.iter().for_each(|hello| self.add(hello));
    }

    /// Begins anew without what was said.
    pub(super) fn restart(&mut self) {
        *self = Script::Hellos(Vec::new());
    }

    /// The hash of all so far; `None` before the version is settled.
    pub(super) fn digest(&self, hash: Hash) -> Option<Digest> {
        match self {
            Script::Hellos(_) => None,
            Script::Running(transcript) => Some(transcript.finish()),
            Script::Whole(all) => Some(hash.digest(all)),
        }
    }

    /// The hellos, before the version is settled.
    pub(super) fn hellos(&self) -> &[Message] {
        match self {
            Script::Hellos(hellos) => hellos,
            Script::Running(_) | Script::Whole(_) => &[],
        }
    }

    /// All of it, under 1.2.
    pub(super) fn whole(&self) -> &[u8] {
        match self {
            Script::Whole(all) => all,
            Script::Hellos(_) | Script::Running(_) => &[],
        }
    }
}
