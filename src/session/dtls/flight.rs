//! What we said last, until it is known to have arrived: repeated on a clock that slows down (RFC 6347, section 4.2.4;
//! RFC 9147, section 5.8), and under 1.3 only what was not acknowledged (section 7).

use std::time::Duration;

use super::message::{Fragment, HEADER, Message};
use super::outgoing::Outgoing;
use super::record::{CHANGE_CIPHER_SPEC, HANDSHAKE};
use crate::base::limits;
use crate::base::time::Instant;
use smallvec::SmallVec;

/// Where a record was sent, and what an acknowledgement calls it (RFC 9147, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RecordNumber {
    pub(super) epoch: u64,
    pub(super) number: u64,
}

/// A part of a flight.
#[derive(Debug, Hash)]
struct Part {
    epoch: u16,
    /// A ChangeCipherSpec of 1.2 has none.
    message: Option<Message>,
    /// Bytes that are not acknowledged, from and to; a message without contents has them from 0 to 0.
    open: SmallVec<[(usize, usize); 2]>,
}

/// Which bytes of which part a record had.
#[derive(Debug, Clone, Copy, Hash)]
struct Sent {
    record: RecordNumber,
    part: usize,
    from: usize,
    to: usize,
}

/// The messages that wait for their answer.
#[derive(Debug, Default, Hash)]
pub(super) struct Flight {
    parts: Vec<Part>,
    sent: Vec<Sent>,
    /// When it is said again.
    due: Option<Instant>,
    wait: Duration,
}

impl Flight {
    /// What follows is a new flight, repeated after `wait` for the first time.
    pub(super) fn begin(&mut self, wait: Duration) {
        *self = Flight { wait, ..Flight::default() };
    }

    pub(super) fn add(&mut self, epoch: u16, message: Message) {
        let open = SmallVec::from_iter([(0, message.body.len())]);
        self.parts.push(Part { epoch, message: Some(message), open });
    }

    pub(super) fn add_change_cipher_spec(&mut self) {
        self.parts.push(Part { epoch: 0, message: None, open: SmallVec::from_iter([(0, 0)]) });
    }

    /// Nothing waits for an answer any more.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.open.is_empty())
    }

    /// Its messages and their epochs.
    #[cfg(test)]
    pub(super) fn messages(&self) -> impl Iterator<Item = (u16, &Message)> {
        self.parts.iter().filter_map(|part| Some((part.epoch, part.message.as_ref()?)))
    }

    /// Answered: it is not said again.
    pub(super) fn end(&mut self) {
        *self = Flight::default();
    }

    /// It is said again only if the peer asks (a last flight).
    pub(super) fn rest(&mut self) {
        self.due = None;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is to be said again; `spread` is a random number.
    pub(super) fn is_due(&mut self, now: Instant, spread: u64) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.wait = (self.wait * 2).min(limits::DTLS_RETRANSMISSION);
        self.schedule(now, spread);
        true
    }

    /// From now on the wait runs, a quarter of it at random either way.
    pub(super) fn schedule(&mut self, now: Instant, spread: u64) {
        let quarter = u64::try_from(self.wait.as_micros() / 4).unwrap_or(u64::MAX).max(1);
        let random = Duration::from_micros(spread % (2 * quarter));
        self.due = (!self.is_empty()).then(|| now + self.wait - Duration::from_micros(quarter) + random);
    }

    /// Says what is not acknowledged.
    pub(super) fn say(&mut self, outgoing: &mut Outgoing) {
        let mut record = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let Some(message) = &part.message else {
                if !part.open.is_empty() {
                    outgoing.record(part.epoch, CHANGE_CIPHER_SPEC, &[1]);
                }
                continue;
            };
            for (from, to) in part.open.iter().copied() {
                let mut from = from;
                loop {
                    let room = outgoing.room(part.epoch).saturating_sub(HEADER).max(1);
                    let end = to.min(from.saturating_add(room));
                    let body = message.body.get(from..end).unwrap_or_default();
                    record.clear();
                    Fragment { offset: from, body, ..message.whole() }.write(&mut record);
                    if let Some(number) = outgoing.record(part.epoch, HANDSHAKE, &record) {
                        if self.sent.len() >= limits::DTLS_SENT {
                            // Of the oldest an acknowledgement is the least likely.
                            self.sent.remove(0);
                        }
                        let record = RecordNumber { epoch: part.epoch.into(), number };
                        self.sent.push(Sent { record, part: at, from, to: end });
                    }
                    from = end;
                    if from >= to {
                        break;
                    }
                }
            }
        }
        outgoing.flush();
    }

    /// A record of ours arrived; whether that was news.
    pub(super) fn on_acknowledged(&mut self, record: RecordNumber) -> bool {
        let mut news = false;
        for sent in self.sent.iter().filter(|sent| sent.record == record) {
            let Some(part) = self.parts.get_mut(sent.part) else { continue };
            let before = part.open.clone();
            part.open.clear();
            // What is left on either side of it; of a message without contents nothing.
            for (from, to) in before.iter().copied() {
                let left = [(from, to.min(sent.from)), (from.max(sent.to), to)];
                part.open.extend(left.into_iter().filter(|(from, to)| from < to));
            }
            news |= part.open != before;
        }
        news
    }
}
