//! What the engine has to say: datagrams, the peer's certificate, the keys, the peer's data.

use bytes::Bytes;
use dimpl::{Dtls, Output, SrtpProfile};

use super::{Association, Event, Phase};
use crate::base::limits;
use crate::base::time::{Duration, Instant, clock};
use crate::session::dtls::assembly::Assembly;
use crate::session::dtls::certificate::check_peer;
use crate::session::dtls::keying::Keying;
use crate::session::dtls::outcome::FailReason;

/// What came out of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Nothing,
    Something,
    Data { lost: bool },
    End,
}

impl Association {
    /// Empties the engine into our queues, as it wants after every call.
    pub(super) fn drain(&mut self) -> Result<Came, FailReason> {
        let Some(mut engine) = self.engine.take() else { return Ok(Came::Nothing) };
        let result = if self.phase == Phase::Established {
            // Nothing leaves the engine that is larger than what came in or may go out.
            self.drain_with(&mut engine, &mut [0; limits::DATAGRAM])
        } else {
            // The engine panics if a peer's certificate does not fit. Under 1.2 it has at most
            // `limits::DTLS_MESSAGE` bytes, under 1.3 what the engine keeps of datagrams.
            self.drain_with(&mut engine, &mut vec![0; limits::DTLS_AHEAD * limits::DATAGRAM])
        };
        let closed = matches!(result, Ok(Came::End));
        self.engine = Some(engine);
        if closed {
            self.end();
        }
        result
    }

    fn drain_with(&mut self, engine: &mut Dtls, buf: &mut [u8]) -> Result<Came, FailReason> {
        let mut came = Came::Nothing;
        let (mut finished, mut closed) = (false, false);
        loop {
            match engine.poll_output(buf) {
                Output::Timeout(at) => {
                    self.engine_timeout = self.near(at);
                    break;
                }
                Output::Packet(datagram) => self.queue(datagram),
                Output::PeerCert(der) => {
                    check_peer(der, &self.expected)?;
                    self.phase = Phase::Matched;
                    self.expected = Box::default();
                }
                Output::Connected => finished = true,
                // Without a certificate judged there are no keys, whatever the engine says.
                Output::KeyingMaterial(exported, profile) if finished && self.phase == Phase::Matched => {
                    self.establish(&exported, profile)?;
                }
                Output::ApplicationData(data) => {
                    let lost = !self.deliver(data);
                    came = Came::Data { lost };
                    continue;
                }
                Output::CloseNotify => closed = true,
                Output::BufferTooSmall { .. } => return Err(FailReason::Protocol),
                _ => {}
            }
            if came == Came::Nothing {
                came = Came::Something;
            }
        }
        if finished && self.phase != Phase::Established {
            return Err(FailReason::NoSrtp);
        }
        if closed {
            self.events.push_back(Event::Closed);
            return Ok(Came::End);
        }
        Ok(came)
    }

    fn establish(&mut self, exported: &[u8], profile: SrtpProfile) -> Result<(), FailReason> {
        let (profile, key_len, salt_len) = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => (1, 16, 14),
            SrtpProfile::AEAD_AES_128_GCM => (7, 16, 12),
            SrtpProfile::AEAD_AES_256_GCM => (8, 32, 12),
            _ => return Err(FailReason::NoSrtp),
        };
        let keying = Keying::split(self.role, key_len, salt_len, exported).ok_or(FailReason::NoSrtp)?;
        self.phase = Phase::Established;
        self.deadline = None;
        self.alert = None;
        self.assembly = Assembly::default();
        // Of these events there are at most two: no limit applies.
        self.events.push_back(Event::Connected { profile, keying });
        Ok(())
    }

    /// Whether there was room.
    fn deliver(&mut self, data: &[u8]) -> bool {
        if self.phase != Phase::Established || self.events.len() >= limits::DTLS_EVENTS {
            self.lost = self.lost.saturating_add(1);
            return false;
        }
        self.events.push_back(Event::Data(Bytes::copy_from_slice(data)));
        true
    }

    /// The engine says "nothing pending" with a date in ten years, and while something is missing
    /// under 1.3 "at once", again and again: an acknowledgement each time.
    fn near(&self, at: std::time::Instant) -> Option<Instant> {
        const FAR: Duration = Duration::from_secs(24 * 3_600);
        const SOON: Duration = Duration::from_millis(50);
        let at = clock().instant_of(at);
        let in_reach = at.saturating_since(self.now) < FAR;
        in_reach.then(|| if at <= self.now { self.now + SOON } else { at })
    }
}
