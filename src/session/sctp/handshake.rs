//! INIT, INIT ACK, COOKIE ECHO, COOKIE ACK (RFC 9260, section 5.1).
//!
//! The cookie needs no signature: DTLS has proved the peer, and there is one association of each. It is random, so
//! that an echo shows that the answer has arrived.

use super::outcome::{Drop, Refusal};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{Duration, Instant};
use crate::wire::sctp::{Chunk, Fault, Init, PacketWriter, Ports, kind};

/// Where the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was sent: the peer begins.
    Waiting,
    InitSent,
    EchoSent,
}

/// A handshake that has not finished.
#[derive(Debug)]
pub(super) struct Handshake {
    /// What this end says of itself, with the cookie that it hands out.
    ours: Init,
    /// What the peer says of itself, with the cookie that it wants back.
    peer: Option<Init>,
    stage: Stage,
    due: Option<Instant>,
    wait: Duration,
    tries: u8,
}

/// What this end says of itself.
pub(super) fn init(tag: u32, tsn: u32) -> Init {
    Init {
        tag: tag.max(1),
        window: limits::SCTP_WINDOW,
        outbound_streams: u16::MAX,
        inbound_streams: u16::MAX,
        tsn: tsn.max(1),
        forward_tsn: true,
        re_config: true,
        cookie: Vec::new(),
    }
}

/// What a chunk brought.
pub(super) enum Step {
    /// Something to send, or nothing.
    Goes(Option<Reply>),
    /// It is done; something to send first, perhaps.
    Done(Option<Reply>),
    Refused(Refusal),
}

/// A chunk to send, to whoever has this tag.
pub(super) struct Reply {
    tag: u32,
    kind: u8,
    value: Vec<u8>,
}

impl Reply {
    pub(super) fn write(&self, ports: Ports) -> Vec<u8> {
        let mut writer = PacketWriter::new(ports, self.tag);
        writer.chunk(self.kind, 0, &self.value);
        writer.finish()
    }
}

impl Handshake {
    /// Begins at once, or once the peer has had its time.
    pub(super) fn new(at_once: bool, random: &mut Random, now: Instant) -> Handshake {
        let mut cookie = [0; 16];
        random.fill(&mut cookie);
        let ours = Init { cookie: cookie.to_vec(), ..init(random.next_u32(), random.next_u32()) };
        let due = if at_once { now } else { now + limits::SCTP_PATIENCE };
        Handshake { ours, peer: None, stage: Stage::Waiting, due: Some(due), wait: RTO, tries: 0 }
    }

    /// The tag of packets to this end.
    pub(super) fn tag(&self) -> u32 {
        self.ours.tag
    }

    /// What both ends said, once there is a peer.
    pub(super) fn into_ends(self) -> Option<(Init, Init)> {
        Some((self.ours, self.peer?))
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sends what is due, or gives up: `Err` when nothing more is tried.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<Option<Reply>, ()> {
        if self.due.is_none_or(|due| due > now) {
            return Ok(None);
        }
        if self.tries >= limits::SCTP_TRIES {
            return Err(());
        }
        self.tries += 1;
        if self.stage == Stage::Waiting {
            self.stage = Stage::InitSent;
        }
        self.due = Some(now + self.wait);
        self.wait = (self.wait * 2).min(RTO_MAX);
        Ok(Some(match (self.stage, &self.peer) {
            (Stage::EchoSent, Some(peer)) => echo(peer),
            _ => self.init(),
        }))
    }

    fn init(&self) -> Reply {
        // The cookie is for the answer to the peer's own.
        let ours = Init { cookie: Vec::new(), ..self.ours.clone() };
        Reply { tag: 0, kind: kind::INIT, value: ours.to_value() }
    }

    /// The answer to an INIT: the same tag and number as in an INIT of ours, should both have begun (section 5.2.1).
    pub(super) fn init_ack(ours: &Init, peer: &Init) -> Reply {
        Reply { tag: peer.tag, kind: kind::INIT_ACK, value: ours.to_value() }
    }

    pub(super) fn handle(&mut self, now: Instant, chunk: &Chunk<'_>) -> Step {
        match (chunk.kind, self.stage) {
            (kind::INIT, _) => match Init::parse(chunk.value) {
                Ok(peer) => {
                    let reply = Self::init_ack(&self.ours, &peer);
                    // The cookie of an INIT ACK that came before stays.
                    let cookie = self.peer.take().map(|known| known.cookie).unwrap_or_default();
                    self.peer = Some(Init { cookie, ..peer });
                    Step::Goes(Some(reply))
                }
                Err(error) => Step::Refused(Refusal::Malformed(error.fault)),
            },
            (kind::INIT_ACK, Stage::InitSent) => match Init::parse(chunk.value) {
                Ok(peer) if !peer.cookie.is_empty() => {
                    let reply = echo(&peer);
                    (self.peer, self.stage) = (Some(peer), Stage::EchoSent);
                    (self.wait, self.tries) = (RTO, 0);
                    self.due = Some(now + self.wait);
                    Step::Goes(Some(reply))
                }
                Ok(_) => Step::Refused(Refusal::Malformed(Fault::Init)),
                Err(error) => Step::Refused(Refusal::Malformed(error.fault)),
            },
            (kind::COOKIE_ECHO, _) if chunk.value == self.ours.cookie => match &self.peer {
                Some(peer) => Step::Done(Some(cookie_ack(peer.tag))),
                None => Step::Refused(Refusal::Dropped(Drop::Handshake)),
            },
            (kind::COOKIE_ACK, Stage::EchoSent) => Step::Done(None),
            _ => Step::Refused(Refusal::Dropped(Drop::Handshake)),
        }
    }
}

fn echo(peer: &Init) -> Reply {
    Reply { tag: peer.tag, kind: kind::COOKIE_ECHO, value: peer.cookie.clone() }
}

pub(super) fn cookie_ack(tag: u32) -> Reply {
    Reply { tag, kind: kind::COOKIE_ACK, value: Vec::new() }
}

/// The first wait for an answer (RFC 9260, section 16), and the longest: people wait.
const RTO: Duration = Duration::from_secs(1);
const RTO_MAX: Duration = Duration::from_secs(3);
