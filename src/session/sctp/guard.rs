//! What the library is shown of a packet, and what it is not.
//!
//! It ends an association at a chunk that it does not know, reads numbers however far ahead, and keeps pieces by
//! their bytes alone, though each takes some hundred more. So what it would take badly is left out here, and what it
//! holds is counted: as many pieces as it was shown, without those that were read as messages, and none at a moment
//! when it told the peer that its whole window is free.

use super::outcome::{Drop, EndReason, Refusal};
use crate::base::limits;
use crate::wire::sctp::{Chunk, Data, ForwardTsn, Packet, PacketWriter, Sack, Unrecognized, kind};

/// What is known of what the library holds.
#[derive(Debug)]
pub(super) struct Guard {
    /// The last number that the peer was told has come, with all before it.
    acknowledged: u32,
    /// Pieces held, at most.
    pieces: usize,
    /// Chunks shown that are answered each, since answers were last fetched.
    unpolled: usize,
    /// Streams whose reset has begun and was not told of yet, at most.
    resets: usize,
    /// The last request to reset.
    request: Option<u32>,
    /// Whether the peer wants to end it in good order.
    shutdown: bool,
}

/// The owner's side of what a packet may do.
pub(super) struct House<'a> {
    /// Whether messages wait to be fetched.
    pub(super) behind: bool,
    /// Whether as many resets wait as are kept.
    pub(super) full: bool,
    /// Whether the library has a stream, or room for another.
    pub(super) has_room: &'a dyn Fn(u16) -> bool,
    pub(super) has_stream: &'a dyn Fn(u16) -> bool,
}

/// What is left of a packet: one packet for its data, one for all else, so that what is kept of the data does not keep
/// the rest.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) packets: [Option<Vec<u8>>; 2],
    /// The last reason for which something was left out.
    pub(super) refused: Option<Refusal>,
    /// The association has to end.
    pub(super) end: Option<EndReason>,
}

impl Guard {
    /// Of an association whose peer begins with `tsn`.
    pub(super) fn new(tsn: u32) -> Guard {
        Guard {
            acknowledged: tsn.wrapping_sub(1),
            pieces: 0,
            unpolled: 0,
            resets: 0,
            request: None,
            shutdown: false,
        }
    }

    /// Decides what is shown of a packet whose tag is right, but for its first chunks, which served the handshake.
    pub(super) fn show(&mut self, packet: &Packet<'_>, shaken: usize, house: &House<'_>) -> Shown {
        let mut shown = Shown::default();
        let new = || PacketWriter::new(packet.ports(), packet.verification_tag());
        let (mut data, mut other) = (new(), new());
        for chunk in packet.chunks().skip(shaken) {
            match self.admit(&chunk, house) {
                Ok(()) if chunk.kind == kind::DATA => data.copy(&chunk),
                Ok(()) => other.copy(&chunk),
                Err(Unfit::Refused(reason)) => shown.refused = Some(reason),
                Err(Unfit::Stop) => {
                    shown.refused = Some(Refusal::Dropped(Drop::Chunk));
                    break;
                }
                Err(Unfit::End(reason)) => {
                    shown.end = Some(reason);
                    break;
                }
            }
        }
        // Acknowledgements first: they make room.
        shown.packets = [other, data].map(|part| (!part.is_empty()).then(|| part.finish()));
        shown
    }

    fn admit(&mut self, chunk: &Chunk<'_>, house: &House<'_>) -> Result<(), Unfit> {
        let dropped = |reason| Unfit::Refused(Refusal::Dropped(reason));
        match chunk.kind {
            kind::DATA => self.admit_data(chunk, house),
            kind::SACK => {
                let sack = Sack::parse(chunk.value).map_err(malformed)?;
                if sack.gaps > limits::SCTP_GAPS { Err(dropped(Drop::Gaps)) } else { Ok(()) }
            }
            kind::FORWARD_TSN => ForwardTsn::parse(chunk.value).map(|_| ()).map_err(malformed),
            kind::RE_CONFIG | kind::HEARTBEAT if self.unpolled >= limits::SCTP_UNPOLLED => {
                Err(dropped(Drop::Unpolled))
            }
            kind::RE_CONFIG => {
                self.unpolled += 1;
                self.admit_reset(chunk, house)
            }
            kind::HEARTBEAT => {
                self.unpolled += 1;
                Ok(())
            }
            kind::SHUTDOWN | kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE => {
                self.shutdown = true;
                Ok(())
            }
            kind::ABORT => Err(Unfit::End(EndReason::Aborted)),
            // Answers to what is not asked, or belated; an error that is one comes with an ABORT.
            kind::INIT_ACK | kind::COOKIE_ECHO | kind::COOKIE_ACK | kind::ERROR | kind::HEARTBEAT_ACK => {
                Err(dropped(Drop::Chunk))
            }
            _ => match chunk.if_unrecognized() {
                Unrecognized::Stop => Err(Unfit::Stop),
                Unrecognized::Skip => Err(dropped(Drop::Chunk)),
            },
        }
    }

    fn admit_data(&mut self, chunk: &Chunk<'_>, house: &House<'_>) -> Result<(), Unfit> {
        let data = Data::parse(chunk).map_err(malformed)?;
        let ahead = data.tsn.wrapping_sub(self.acknowledged);
        let known = ahead == 0 || ahead > u32::MAX / 2;
        let refused = if known {
            // It is acknowledged again, and not kept.
            return Ok(());
        } else if ahead > limits::SCTP_AHEAD {
            Drop::Ahead
        } else if !(house.has_room)(data.stream) {
            Drop::Streams
        } else if self.pieces < limits::SCTP_PIECES {
            self.pieces += 1;
            return Ok(());
        } else if house.behind {
            Drop::Behind
        } else {
            return Err(Unfit::End(EndReason::Resources));
        };
        Err(Unfit::Refused(Refusal::Dropped(refused)))
    }

    /// Requests to reset streams wait for those that the owner has not heard of.
    fn admit_reset(&mut self, chunk: &Chunk<'_>, house: &House<'_>) -> Result<(), Unfit> {
        let Some((number, streams)) = reset_request(chunk.value) else { return Ok(()) };
        if house.full || house.behind {
            return Err(Unfit::Refused(Refusal::Dropped(Drop::Resets)));
        }
        if self.request != Some(number) {
            self.request = Some(number);
            self.resets += match streams {
                [] => limits::SCTP_STREAMS,
                named => named.chunks_exact(2).filter(|id| (house.has_stream)(stream_id(id))).count(),
            };
        }
        if self.resets > limits::SCTP_EVENTS { Err(Unfit::End(EndReason::Resources)) } else { Ok(()) }
    }

    /// Whether the peer wants to end it in good order.
    pub(super) fn is_shutdown(&self) -> bool {
        self.shutdown
    }

    /// A message of so many pieces was read.
    pub(super) fn on_read(&mut self, pieces: usize) {
        self.pieces = self.pieces.saturating_sub(pieces);
    }

    /// A stream's reset is over.
    pub(super) fn on_reset(&mut self) {
        self.resets = self.resets.saturating_sub(1);
    }

    /// Packets are fetched.
    pub(super) fn on_polled(&mut self) {
        self.unpolled = 0;
    }

    /// A packet leaves: it may tell the peer what has come.
    pub(super) fn on_sent(&mut self, chunks: impl Iterator<Item = (u8, Option<Sack>)>) {
        for (_, sack) in chunks.filter(|(kind, _)| *kind == kind::SACK) {
            let Some(sack) = sack else { continue };
            self.acknowledged = sack.cumulative;
            if sack.window >= limits::SCTP_WINDOW && sack.gaps == 0 {
                self.pieces = 0;
                self.resets = self.resets.min(limits::SCTP_STREAMS);
            }
        }
    }
}

enum Unfit {
    Refused(Refusal),
    /// What follows is not read.
    Stop,
    End(EndReason),
}

fn malformed(error: crate::wire::sctp::ParseError) -> Unfit {
    Unfit::Refused(Refusal::Malformed(error.fault))
}

/// The number of a request to reset outgoing streams (RFC 6525, section 4.1), and the streams that it names.
fn reset_request(value: &[u8]) -> Option<(u32, &[u8])> {
    const OUTGOING: [u8; 2] = [0, 13];
    let mut rest = value;
    loop {
        let (&[k1, k0, l1, l0], _) = rest.split_first_chunk::<4>()?;
        let len = usize::from(u16::from_be_bytes([l1, l0]));
        let body = rest.get(4..len)?;
        if [k1, k0] == OUTGOING {
            let number = body.first_chunk().copied().map(u32::from_be_bytes)?;
            return Some((number, body.get(12..).unwrap_or_default()));
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

fn stream_id(bytes: &[u8]) -> u16 {
    bytes.first_chunk().copied().map_or(0, u16::from_be_bytes)
}
