//! What comes after a handshake of 1.3: keys that are renewed (RFC 8446, section 4.6.3; RFC 9147, section 8).

use super::{Association, Stage};
use crate::session::dtls::config::Version;
use crate::session::dtls::message::{self, Message};
use crate::session::dtls::outcome::FailReason;
use crate::session::dtls::protection::{Opener, Sealer};
use crate::session::dtls::v13;

impl Association {
    /// Our key is to be renewed, and nothing is in the way of it.
    pub(super) fn is_renewal_due(&self) -> bool {
        matches!(&self.stage, Stage::Established(channel) if channel.due && self.talk.flight.is_empty())
    }

    /// A message after the handshake: under 1.3 KeyUpdate and tickets (RFC 8446, section 4.6), of which all but the first
    /// kind are of no use here.
    pub(super) fn on_late_message(&mut self, epoch: u16, message: &Message) -> Result<(), FailReason> {
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
    pub(super) fn update_key(&mut self, ask: bool) {
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

    /// All that we said has arrived.
    pub(super) fn on_flight_acknowledged(&mut self) {
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
}
