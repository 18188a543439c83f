//! What is said again and what is acknowledged (RFC 6347, section 4.2.4; RFC 9147, sections 5.8 and 7).

use super::{Association, Stage};
use crate::base::limits;
use crate::session::dtls::config::{Role, Version};
use crate::session::dtls::flight::RecordNumber;
use crate::session::dtls::outcome::Drop;
use crate::session::dtls::record::ACK;
use crate::session::dtls::v13;

impl Association {
    /// Says the flight for the first time.
    pub(super) fn say_flight(&mut self) {
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
    pub(super) fn repeat_flight(&mut self) {
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
    pub(super) fn pause(&self) -> std::time::Duration {
        self.context.config().first_retransmission / 4
    }

    /// The peer repeats in `epoch` what was read already: it has not heard our answer.
    pub(super) fn on_repetition(&mut self, epoch: u16) {
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
    pub(super) fn acknowledge(&mut self) {
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

    pub(super) fn on_acknowledgement(&mut self, text: &[u8]) -> Result<(), Drop> {
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
}
