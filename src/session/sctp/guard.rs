//! What the library is shown of a packet, and what it is not.
//!
//! It ends an association at a chunk that it does not know, takes the length of some by what it finds in them, reads
//! numbers however far ahead, and keeps pieces by their bytes alone, though each takes some hundred more. So what it
//! would take badly is left out here, what is shown is written anew in the one form that it reads right, each control
//! chunk in a packet of its own, and what it holds is counted: as many pieces as it was shown, without those that were
//! read as messages, and no more than the bytes that are missing from the window it tells the peer of.

use super::outcome::{Drop, EndReason, Refusal};
use crate::base::limits;
use crate::wire::sctp::{
    Chunk, Data, Fault, ForwardTsn, Init, Packet, PacketWriter, Sack, Unrecognized, kind,
};
use smallvec::SmallVec;

/// What is known of what the library holds.
#[derive(Debug)]
pub(super) struct Guard {
    /// Whether the peer said that it knows FORWARD TSN.
    forwards: bool,
    /// The last number that the peer was told has come, with all before it, or that it waits for no longer.
    acknowledged: u32,
    /// The last number of ours that was sent, and the last that the peer said has come with all before it.
    sent: u32,
    heard: u32,
    /// Pieces held, at most.
    pieces: usize,
    /// Bytes read since the peer was last told of the window.
    freed: usize,
    /// Requests shown since answers were last fetched: each is answered.
    unpolled: usize,
    /// Streams whose reset was shown and has not come to its end, with the last number that is before it.
    resetting: Vec<(u16, u32)>,
    /// Resets that the library owes the end of, at most.
    resets: usize,
    /// The last request to reset.
    request: Option<u32>,
    /// Whether the peer wants to end it in good order.
    shutdown: bool,
}

/// The owner's side of what a packet may do.
pub(super) struct House<'a> {
    /// The streams with messages to fetch.
    pub(super) readable: &'a [u16],
    /// Whether as many resets wait as are kept.
    pub(super) full: bool,
    /// The streams that the library has.
    pub(super) streams: &'a [u16],
    /// Those of them that are closed, and whose peer may not know yet.
    pub(super) closed: &'a [u16],
}

/// What is left of a packet.
#[derive(Default)]
pub(super) struct Shown {
    /// Its control chunks, one each, and at last its data, so that what is kept of the data keeps nothing else.
    pub(super) packets: SmallVec<[Vec<u8>; 2]>,
    /// What heartbeats want to have back.
    pub(super) heartbeats: SmallVec<[Vec<u8>; 1]>,
    /// Streams that are reset by it.
    pub(super) reset: SmallVec<[u16; 4]>,
    /// The last reason for which something was left out.
    pub(super) refused: Option<Refusal>,
    /// The association has to end.
    pub(super) end: Option<EndReason>,
}

impl Guard {
    /// Of an association whose ends begin with the numbers in these.
    pub(super) fn new(ours: &Init, peer: &Init) -> Guard {
        let (sent, acknowledged) = (ours.tsn.wrapping_sub(1), peer.tsn.wrapping_sub(1));
        Guard {
            forwards: peer.forward_tsn,
            acknowledged,
            sent,
            heard: sent,
            pieces: 0,
            freed: 0,
            unpolled: 0,
            resetting: Vec::new(),
            resets: 0,
            request: None,
            shutdown: false,
        }
    }

    /// Decides what is shown of a packet whose tag is right, but for its first chunks, which served the handshake.
    pub(super) fn show(&mut self, packet: &Packet<'_>, shaken: usize, house: &House<'_>) -> Shown {
        let mut shown = Shown::default();
        let new = || PacketWriter::new(packet.ports(), packet.verification_tag());
        let mut data = new();
        let mut opened: SmallVec<[u16; 4]> = SmallVec::new();
        for chunk in packet.chunks().skip(shaken) {
            let admitted = match chunk.kind {
                kind::DATA => self.admit_data(&chunk, house, &mut opened).map(|()| None),
                _ => self.admit_control(&chunk, house, &mut shown),
            };
            match admitted {
                Ok(None) if chunk.kind == kind::DATA => data.copy(&cut(&chunk, house.closed)),
                Ok(None) => {}
                Ok(Some(value)) => {
                    let mut control = new();
                    control.chunk(chunk.kind, chunk.flags, &value);
                    shown.packets.push(control.finish());
                }
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
        // Acknowledgements came first: they make room.
        if !data.is_empty() {
            shown.packets.push(data.finish());
        }
        shown
    }

    /// The value that is shown of a chunk that is no data; `None` if it is answered here.
    fn admit_control(
        &mut self,
        chunk: &Chunk<'_>,
        house: &House<'_>,
        shown: &mut Shown,
    ) -> Result<Option<Vec<u8>>, Unfit> {
        let value = chunk.value;
        match chunk.kind {
            kind::SACK => {
                let sack = Sack::parse(value).map_err(malformed)?;
                if sack.gaps > limits::SCTP_GAPS {
                    return Err(dropped(Drop::Gaps));
                }
                // One of what was not sent ends the association.
                if sack.cumulative.wrapping_sub(self.heard) <= self.under_way() {
                    self.heard = sack.cumulative;
                }
                Ok(Some(value.to_vec()))
            }
            kind::FORWARD_TSN => self.admit_forward(value, house),
            kind::RE_CONFIG => self.admit_reset(value, house, shown),
            kind::HEARTBEAT if shown.heartbeats.is_empty() => {
                shown.heartbeats.push(value.to_vec());
                Ok(None)
            }
            kind::SHUTDOWN | kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE => {
                if value.len() != if chunk.kind == kind::SHUTDOWN { 4 } else { 0 } {
                    return Err(Unfit::Refused(Refusal::Malformed(Fault::ChunkLength)));
                }
                self.shutdown = true;
                Ok(Some(value.to_vec()))
            }
            kind::ABORT => Err(Unfit::End(EndReason::Aborted)),
            // Answers to what is not asked, or belated; an error that is one comes with an ABORT.
            kind::INIT | kind::INIT_ACK | kind::COOKIE_ECHO | kind::COOKIE_ACK | kind::ERROR => {
                Err(dropped(Drop::Chunk))
            }
            kind::HEARTBEAT | kind::HEARTBEAT_ACK => Err(dropped(Drop::Chunk)),
            _ => match chunk.if_unrecognized() {
                Unrecognized::Stop => Err(Unfit::Stop),
                Unrecognized::Skip => Err(dropped(Drop::Chunk)),
            },
        }
    }

    /// How far a number is ahead of what is acknowledged; `None` if it is not.
    fn ahead(&self, tsn: u32) -> Option<u32> {
        let ahead = tsn.wrapping_sub(self.acknowledged);
        (1..=u32::MAX / 2).contains(&ahead).then_some(ahead)
    }

    fn admit_data(
        &mut self,
        chunk: &Chunk<'_>,
        house: &House<'_>,
        opened: &mut SmallVec<[u16; 4]>,
    ) -> Result<(), Unfit> {
        let data = Data::parse(chunk).map_err(malformed)?;
        // What is known is acknowledged again, and not kept.
        let Some(ahead) = self.ahead(data.tsn) else { return Ok(()) };
        let stream = data.stream;
        let known = house.streams.contains(&stream) || opened.contains(&stream);
        let has_room =
            stream != u16::MAX && (known || house.streams.len() + opened.len() < limits::SCTP_STREAMS);
        let behind_reset = |(id, last): &(u16, u32)| {
            let past = data.tsn.wrapping_sub(*last);
            *id == stream && (1..=u32::MAX / 2).contains(&past)
        };
        if ahead > limits::SCTP_AHEAD {
            Err(dropped(Drop::Ahead))
        } else if !has_room {
            Err(dropped(Drop::Streams))
        } else if self.resetting.iter().any(behind_reset) {
            // The library would keep it aside for the stream's next life, and look through all of that each time.
            Err(dropped(Drop::Resets))
        } else if self.pieces < limits::SCTP_PIECES {
            self.pieces += 1;
            if !known {
                opened.push(stream);
            }
            Ok(())
        } else if !house.readable.is_empty() {
            Err(dropped(Drop::Behind))
        } else {
            Err(Unfit::End(EndReason::Resources))
        }
    }

    /// Numbers that are not waited for any longer. It is sent again if it is not taken now.
    fn admit_forward(&mut self, value: &[u8], house: &House<'_>) -> Result<Option<Vec<u8>>, Unfit> {
        let forward = ForwardTsn::parse(value).map_err(malformed)?;
        let Some(ahead) = self.ahead(forward.cumulative) else { return Ok(Some(value.to_vec())) };
        // Those of streams that are not there have nothing to skip.
        let entries = value.get(4..).unwrap_or_default().chunks_exact(4);
        let mut there: Vec<&[u8]> =
            entries.filter(|entry| house.streams.contains(&stream_id(entry))).collect();
        there.sort_unstable();
        if there.windows(2).any(|pair| matches!(pair, [a, b] if stream_id(a) == stream_id(b))) {
            return Err(Unfit::Refused(Refusal::Malformed(Fault::ForwardTsn)));
        }
        let resets = |entry: &&[u8]| self.resetting.iter().any(|(id, _)| *id == stream_id(entry));
        if !self.forwards || ahead > limits::SCTP_FORWARD {
            return Err(dropped(Drop::Ahead));
        }
        if !house.readable.is_empty() || there.iter().any(resets) {
            return Err(dropped(Drop::Behind));
        }
        self.acknowledged = forward.cumulative;
        Ok(Some([&forward.cumulative.to_be_bytes()[..], &there.concat()].concat()))
    }

    /// Requests to reset streams wait for those that the owner has not heard of, and for what is to be fetched of
    /// theirs.
    fn admit_reset(
        &mut self,
        value: &[u8],
        house: &House<'_>,
        shown: &mut Shown,
    ) -> Result<Option<Vec<u8>>, Unfit> {
        let ReConfig { request, response } =
            ReConfig::parse(value).ok_or(Unfit::Refused(Refusal::Malformed(Fault::Parameter)))?;
        let mut written = Vec::new();
        if let Some(request) = &request {
            if self.unpolled >= limits::SCTP_UNPOLLED {
                return Err(dropped(Drop::Unpolled));
            }
            let named = |id: &u16| request.streams.is_empty() || request.streams.contains(id);
            if house.full || house.readable.iter().any(named) {
                return Err(dropped(Drop::Resets));
            }
            self.unpolled += 1;
            if self.request != Some(request.number) {
                self.request = Some(request.number);
                let there = house.streams.iter().copied().filter(named);
                for id in there {
                    self.resetting.push((id, request.last_tsn));
                    shown.reset.push(id);
                    self.resets += 1;
                }
            }
            if self.resets > limits::SCTP_EVENTS {
                return Err(Unfit::End(EndReason::Resources));
            }
        }
        // The library reads the two in this order alone (RFC 6525, section 3.1).
        if let Some(response) = response {
            written.extend([0, 16, 0, 12]);
            written.extend(response);
        }
        if let Some(request) = &request {
            request.write(&mut written);
        }
        Ok(Some(written).filter(|written| !written.is_empty()))
    }

    /// Numbers of ours that were sent and that the peer did not say have come.
    pub(super) fn under_way(&self) -> u32 {
        self.sent.wrapping_sub(self.heard)
    }

    /// Whether the peer wants to end it in good order.
    pub(super) fn is_shutdown(&self) -> bool {
        self.shutdown
    }

    /// A message of so many pieces and bytes was read.
    pub(super) fn on_read(&mut self, pieces: usize, bytes: usize) {
        self.pieces = self.pieces.saturating_sub(pieces);
        self.freed += bytes;
    }

    /// Whether the peer should be told that there is room again: it knows of none, or of little.
    pub(super) fn has_news(&self) -> bool {
        self.freed >= limits::SCTP_WINDOW as usize / 2
    }

    /// The last number that has come with all before it, as the peer knows.
    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged
    }

    /// A stream has ended its life: the next one begins.
    pub(super) fn on_closed(&mut self, stream: u16) {
        if let Some(at) = self.resetting.iter().position(|(id, _)| *id == stream) {
            self.resetting.remove(at);
        }
    }

    /// A stream's reset is over.
    pub(super) fn on_reset(&mut self) {
        self.resets = self.resets.saturating_sub(1);
    }

    /// Answers are fetched.
    pub(super) fn on_polled(&mut self) {
        self.unpolled = 0;
    }

    /// Data was sent, for the first time or again.
    pub(super) fn on_sent(&mut self, tsn: u32) {
        let past = tsn.wrapping_sub(self.sent);
        if (1..=u32::MAX / 2).contains(&past) {
            self.sent = tsn;
        }
    }

    /// The peer is told what has come.
    pub(super) fn on_acknowledged(&mut self, sack: &Sack) {
        if self.ahead(sack.cumulative).is_some() {
            self.acknowledged = sack.cumulative;
        }
        self.freed = 0;
        // Each piece has a byte at least.
        let held = limits::SCTP_WINDOW.saturating_sub(sack.window) as usize;
        self.pieces = self.pieces.min(held);
    }
}

enum Unfit {
    Refused(Refusal),
    /// What follows is not read.
    Stop,
    End(EndReason),
}

/// Data as it is shown. That of a stream that is closed is of no use and not read, so that it would fill the window;
/// its number has to be acknowledged all the same.
fn cut<'a>(chunk: &Chunk<'a>, closed: &[u16]) -> Chunk<'a> {
    let of_closed = Data::parse(chunk).is_ok_and(|data| closed.contains(&data.stream));
    match chunk.value.get(..13).filter(|_| of_closed) {
        Some(value) => Chunk { value, ..*chunk },
        None => *chunk,
    }
}

fn dropped(reason: Drop) -> Unfit {
    Unfit::Refused(Refusal::Dropped(reason))
}

fn malformed(error: crate::wire::sctp::ParseError) -> Unfit {
    Unfit::Refused(Refusal::Malformed(error.fault))
}

/// A request to reset outgoing streams (RFC 6525, section 4.1).
struct Reset {
    number: u32,
    /// Which of the receiver's own it answers.
    answers: u32,
    last_tsn: u32,
    /// Empty for all.
    streams: Vec<u16>,
}

impl Reset {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend([0, 13]);
        // A request that was read from a chunk fits one.
        out.extend(((16 + 2 * self.streams.len()) as u16).to_be_bytes());
        for word in [self.number, self.answers, self.last_tsn] {
            out.extend(word.to_be_bytes());
        }
        self.streams.iter().for_each(|id| out.extend(id.to_be_bytes()));
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

/// The parameters of a RE-CONFIG that are of use: a request, and the number and result of a response.
struct ReConfig {
    request: Option<Reset>,
    response: Option<[u8; 8]>,
}

impl ReConfig {
    fn parse(value: &[u8]) -> Option<ReConfig> {
        let mut found = ReConfig { request: None, response: None };
        let mut rest = value;
        while !rest.is_empty() {
            let (&[k1, k0, l1, l0], _) = rest.split_first_chunk::<4>()?;
            let len = usize::from(u16::from_be_bytes([l1, l0]));
            let body = rest.get(4..len)?;
            match u16::from_be_bytes([k1, k0]) {
                13 if found.request.is_none() => {
                    let word = |at: usize| body.get(at..)?.first_chunk().copied().map(u32::from_be_bytes);
                    let streams = body.get(12..).filter(|ids| ids.len().is_multiple_of(2))?;
                    found.request = Some(Reset {
                        number: word(0)?,
                        answers: word(4)?,
                        last_tsn: word(8)?,
                        streams: streams.chunks_exact(2).map(stream_id).collect(),
                    });
                }
                16 if found.response.is_none() => found.response = Some(*body.first_chunk()?),
                // Resets of the other direction and more streams are not asked for by anybody.
                _ => return None,
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(found)
    }
}

fn stream_id(bytes: &[u8]) -> u16 {
    bytes.first_chunk().copied().map_or(0, u16::from_be_bytes)
}
