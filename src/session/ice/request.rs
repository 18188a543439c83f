//! The peer's checks: authenticated, answered, and the source addresses learned from them.

use super::agent::Agent;
use super::candidate;
use super::nomination::Conflict;
use super::{Attach, Drop, Outcome, Role};
use crate::base::limits;
use crate::base::time::Instant;
use crate::crypto::mac::HmacSha1;
use crate::wire::mux::Path;
use crate::wire::stun::{self, Class, Message, NoSpace, TransactionId, Writer};
use std::net::SocketAddr;

/// Unknown attributes that an answer names; there is room for few, and one is reason enough.
const NAMED: usize = 4;
/// Reasons of the error responses, short so that no answer outgrows its request.
const ROLE_CONFLICT: &str = "Role Conflict";
const UNKNOWN_ATTRIBUTE: &str = "Unknown Attribute";

/// An answer that waits for a poll: what it takes to write it, not its bytes.
#[derive(Debug)]
pub(super) struct Reply {
    /// Where it goes to, if that is still in the table.
    pair: u64,
    id: TransactionId,
    answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Success,
    RoleConflict,
    UnknownAttributes { kinds: [[u8; 2]; NAMED], count: u8 },
}

/// A request that is believed: of which generation, and what it gets.
struct Admitted {
    epoch: u32,
    conflict: Conflict,
    answer: Answer,
}

impl Agent {
    /// A Binding request: one HMAC to believe it, no more unless it is believed.
    pub(super) fn handle_request(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
    ) -> Result<Outcome, Drop> {
        let Admitted { epoch, conflict, answer } = self.admit(path, message)?;
        if conflict == Conflict::Switch && answer == Answer::Success {
            self.yield_to_request(now);
        }
        // Only the controlling side nominates (RFC 8445, section 7.1.2).
        let nominates = self.role == Role::Controlled
            && answer == Answer::Success
            && message.use_candidate()
            && message.ice_controlling().is_some();
        let ours = self.priority_of(path);
        let pair = self.pairs.enter(path, epoch).ok_or(Drop::Busy)?;
        let (serial, proven) = (pair.serial, pair.is_proven(now));
        pair.hear(now);
        if std::mem::take(&mut pair.gone) {
            // A connection between the same ports: it is selected still, if there is consent.
            pair.check.schedule(now);
            self.selected = true;
        }
        if !pair.named {
            pair.local_priority = if proven { pair.local_priority } else { ours };
            pair.remote_priority = message.priority().unwrap_or(pair.remote_priority);
        }
        if answer == Answer::Success {
            pair.eager |= nominates && !pair.requested;
            pair.requested = true;
        }
        if !proven {
            // Polled before the reply: the peer learns of our check first.
            pair.check.trigger(now);
        }
        if nominates {
            self.note_nomination(now, serial);
        }
        self.pairs.on_received(path, message.len());
        // One at a time is the rule.
        self.replies.reserve_exact(1);
        self.replies.push_back(Reply { pair: serial, id: message.transaction_id(), answer });
        if nominates && proven {
            self.prefer(now, serial);
        }
        Ok(Outcome::Request)
    }

    /// Whether a request is believed and can be answered; nothing is changed yet.
    fn admit(&self, path: Path, message: &Message<'_>) -> Result<Admitted, Drop> {
        let username = message.username().ok_or(Drop::Username)?;
        let (ufrag, _) = username.split_once(':').ok_or(Drop::Username)?;
        let generation = self.generations.by_ufrag(ufrag).ok_or(Drop::UnknownUsername)?;
        if !candidate::is_sendable(path.remote) || path.remote == path.local {
            return Err(Drop::Address);
        }
        if !message.verify_integrity(|pieces| generation.local.key.tag(pieces)) {
            return Err(Drop::Integrity);
        }
        if generation.lost {
            return Err(Drop::ConsentLost);
        }
        let conflict = self.conflict(message);
        let answer = Answer::to(message, conflict);
        if answer.len(path.remote) > message.len() {
            return Err(Drop::ReplyTooLong);
        }
        if self.replies.len() >= limits::STUN_REPLIES {
            return Err(Drop::Busy);
        }
        Ok(Admitted { epoch: generation.epoch, conflict, answer })
    }

    /// Writes the oldest answer. One whose address or generation is gone, or that an unproven
    /// address has not earned, is left out: its sender asks again.
    pub(super) fn poll_reply(&mut self, buf: &mut [u8], attach: &mut Attach<'_>) -> Option<(Path, usize)> {
        while let Some(reply) = self.replies.pop_front() {
            let Some(pair) = self.pairs.get(reply.pair).filter(|pair| !pair.gone) else {
                continue;
            };
            let Some(generation) = self.generations.get(pair.epoch) else {
                continue;
            };
            let path = pair.path;
            let len = reply.answer.len(path.remote);
            let allowance = self.pairs.allowance(path);
            if allowance.is_some_and(|credit| credit < len) {
                continue;
            }
            let room = Room::within(allowance);
            if let Ok(len) = reply.write(path.remote, &generation.local.key, buf, room, attach) {
                self.pairs.on_sent(path, len);
                return Some((path, len));
            }
        }
        None
    }
}

impl Answer {
    /// What an authenticated request deserves (RFC 8489, section 6.3.1; RFC 8445, section 7.3.1.1).
    fn to(message: &Message<'_>, conflict: Conflict) -> Answer {
        let mut kinds = [[0; 2]; NAMED];
        let mut count = 0;
        for (slot, kind) in kinds.iter_mut().zip(message.unknown_required()) {
            *slot = kind.to_be_bytes();
            count += 1;
        }
        if count > 0 {
            return Answer::UnknownAttributes { kinds, count };
        }
        if conflict == Conflict::Refused { Answer::RoleConflict } else { Answer::Success }
    }

    /// Bytes of the whole message.
    fn len(&self, to: SocketAddr) -> usize {
        // Header, MESSAGE-INTEGRITY, FINGERPRINT.
        const FRAME: usize = 20 + 24 + 8;
        let error = |reason: &str| 8 + reason.len().next_multiple_of(4);
        FRAME
            + match self {
                Answer::Success if to.ip().to_canonical().is_ipv4() => 12,
                Answer::Success => 24,
                Answer::RoleConflict => error(ROLE_CONFLICT),
                Answer::UnknownAttributes { count, .. } => {
                    error(UNKNOWN_ATTRIBUTE) + 4 + (2 * usize::from(*count)).next_multiple_of(4)
                }
            }
    }
}

impl Reply {
    fn write(
        &self,
        to: SocketAddr,
        key: &HmacSha1,
        buf: &mut [u8],
        room: Room,
        attach: &mut Attach<'_>,
    ) -> Result<usize, NoSpace> {
        let most = buf.len();
        let class = if self.answer == Answer::Success { Class::Success } else { Class::Error };
        let mut writer = Writer::new(buf, class, stun::BINDING, self.id)?;
        match self.answer {
            // A dual-stack socket shows IPv4 addresses in IPv6; the peer wants to see its own.
            Answer::Success => {
                writer.xor_mapped_address(SocketAddr::new(to.ip().to_canonical(), to.port()))?;
                room.attach(&mut writer, most, attach);
            }
            Answer::RoleConflict => writer.error_code(487, ROLE_CONFLICT)?,
            Answer::UnknownAttributes { kinds, count } => {
                writer.error_code(420, UNKNOWN_ATTRIBUTE)?;
                writer.unknown_attributes(kinds.get(..usize::from(count)).unwrap_or_default())?;
            }
        }
        writer.finish_with_integrity(|pieces| key.tag(pieces))
    }
}

/// How much of a message may be attached.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Bytes of the whole message, and of what is attached.
    whole: usize,
    attached: usize,
}

impl Room {
    /// As much as fits.
    pub(super) const ALL: Room = Room { whole: usize::MAX, attached: usize::MAX };
    /// Two attributes without a value: they show who knows them, and nothing that an address which was only named could be
    /// flooded with.
    pub(super) const MARK: Room = Room { whole: usize::MAX, attached: 8 };

    /// Half of what an address has earned, so that what is attached never takes the place of an answer; any message to
    /// a proven one.
    pub(super) fn within(allowance: Option<usize>) -> Room {
        Room { whole: allowance.map_or(usize::MAX, |credit| credit / 2), attached: usize::MAX }
    }

    /// Lets something be added to a message for which there are `most` bytes; how much it was.
    pub(super) fn attach(self, writer: &mut Writer<'_>, most: usize, attach: &mut Attach<'_>) -> usize {
        let before = writer.len_with_integrity();
        attach(writer, self.whole.min(most).saturating_sub(before).min(self.attached));
        writer.len_with_integrity() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_lengths_are_the_written_ones() {
        let key = HmacSha1::new(b"key");
        let mut answers = vec![Answer::Success, Answer::RoleConflict];
        for count in 1..=NAMED as u8 {
            answers.push(Answer::UnknownAttributes { kinds: [[0x7F, 0xFF]; NAMED], count });
        }
        for to in ["192.0.2.1:1", "[::ffff:192.0.2.1]:1", "[2001:db8::1]:1"] {
            let to: SocketAddr = to.parse().unwrap();
            for answer in &answers {
                let reply = Reply { pair: 0, id: TransactionId::default(), answer: *answer };
                let mut buf = [0; 200];
                let len = reply.write(to, &key, &mut buf, Room::ALL, &mut |_, _| {}).unwrap();
                assert_eq!(len, answer.len(to), "{answer:?}");
                let message = Message::parse(&buf[..len]).unwrap();
                let plain = SocketAddr::new(to.ip().to_canonical(), 1);
                let mapped = (*answer == Answer::Success).then_some(plain);
                assert_eq!(message.xor_mapped_address(), mapped);
            }
        }
    }
}
