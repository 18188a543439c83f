//! The way in of a datagram: told apart, its participant found by one look-up, authenticated, kept.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::drops::DropReason;
use crate::conference::engine::{Datagram, Engine};
use crate::conference::ids::{ParticipantId, SourceId, StreamId};
use crate::conference::participant::{Role, Timer};
use crate::forwarding::history::Committed;
use crate::forwarding::repair::{Arrival, Missing};
use crate::session::srtp;
use crate::wire::mux::{self, Kind, Path};
use crate::wire::rtp::{self, ExtensionKind, SeqNo, rtx};
use crate::wire::stun;
use std::ops::Range;

/// What was read of an RTP header before its packet was authenticated; used only afterwards.
#[derive(Debug, Default, Clone, Copy)]
struct Noted {
    /// Bytes of extensions that are passed on, written in front of the payload.
    extensions_len: usize,
    transport_seq: Option<u16>,
    /// The packet names another m-line than that of its stream.
    moved: bool,
}

impl Noted {
    /// What the history is told of the packet behind these extensions.
    fn committed(
        &self,
        now: Instant,
        packet: &rtp::Packet<'_>,
        seq: SeqNo,
        codec: u8,
        payload_len: u16,
    ) -> Committed {
        Committed {
            seq,
            arrival: now,
            timestamp: packet.timestamp().0,
            // At most 144, by `note`.
            extensions_len: self.extensions_len as u8,
            payload_len,
            codec,
            marker: packet.marker(),
        }
    }
}

/// A packet whose payload stands in the scratch buffer: it came before its stream, or inside another.
pub(super) struct Aside {
    pub(super) seq: SeqNo,
    pub(super) codec: u8,
    pub(super) payload: Range<usize>,
}

/// What became of a datagram.
pub(super) enum Taken {
    /// STUN, DTLS, RTCP: its purpose is served.
    Consumed,
    /// Kept in a history, or padding that was absorbed.
    Media,
}

impl Engine {
    pub(super) fn receive(&mut self, now: Instant, datagram: Datagram<'_>) {
        let participant = self.by_path.get(&datagram.path).copied();
        let mut owner = participant;
        let taken = self.route(now, datagram, &mut owner);
        if let Some(state) = owner.and_then(|id| self.participants.get_mut(id)) {
            state.traffic.datagrams_received += 1;
            state.traffic.bytes_received += datagram.data.len() as u64;
            state.traffic.media_received += u64::from(matches!(taken, Ok(Taken::Media)));
        }
        match taken {
            Ok(Taken::Consumed) => self.traffic.consumed += 1,
            Ok(Taken::Media) => self.traffic.media_received += 1,
            Err(reason) => {
                self.traffic.received_dropped += 1;
                self.count_drop(owner, reason);
            }
        }
    }

    fn route(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        owner: &mut Option<ParticipantId>,
    ) -> Result<Taken, DropReason> {
        if datagram.data.len() > limits::DATAGRAM {
            return Err(DropReason::TooLong);
        }
        let kind = mux::kind_of(datagram.data).ok_or(DropReason::UnknownProtocol)?;
        if kind == Kind::Stun {
            return self.receive_stun(now, datagram, owner);
        }
        let id = owner.ok_or(DropReason::UnknownAddress)?;
        match kind {
            Kind::Rtp => self.receive_rtp(now, id, datagram.path, datagram.data),
            Kind::Rtcp => self.receive_rtcp(now, id, datagram.path, datagram.data),
            _ => self.receive_dtls(now, id, datagram),
        }
    }

    /// A request names its participant by our user fragment; a response comes from an address asked.
    fn receive_stun(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        owner: &mut Option<ParticipantId>,
    ) -> Result<Taken, DropReason> {
        let message = stun::Message::parse(datagram.data).map_err(DropReason::Stun)?;
        let by_path = *owner;
        let named = match message.username() {
            Some(username) if message.class() == stun::Class::Request => {
                // An unknown name is found out without any HMAC (S-STUN-05).
                let ufrag = username.split_once(':').map_or(username, |(ours, _)| ours);
                Some(*self.by_ufrag.get(ufrag).ok_or(DropReason::UnknownUsername)?)
            }
            // Checks of ours go to addresses in the table, so their answers come from there.
            _ => by_path,
        };
        let id = named.ok_or(DropReason::UnknownAddress)?;
        if by_path.is_some_and(|other| other != id && self.uses(other, &datagram.path)) {
            return Err(DropReason::AddressTaken);
        }
        *owner = Some(id);
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownUsername)?;
        participant.network.handle_stun(now, datagram.path, &message)?;
        // Whoever spoke last with its own password has an address that nobody else uses.
        if by_path != Some(id) && participant.network.knows(&datagram.path) {
            self.learn_path(id, datagram.path);
        }
        self.drain_network(now, id);
        Ok(Taken::Consumed)
    }

    /// Whether a participant's media goes to this address.
    fn uses(&self, id: ParticipantId, path: &Path) -> bool {
        self.participants.get(id).is_some_and(|participant| participant.path == Some(*path))
    }

    fn receive_dtls(
        &mut self,
        now: Instant,
        id: ParticipantId,
        datagram: Datagram<'_>,
    ) -> Result<Taken, DropReason> {
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        participant.network.handle_dtls(now, datagram.path, datagram.data)?;
        self.drain_network(now, id);
        Ok(Taken::Consumed)
    }

    /// The path of media: parsed once, its stream found by SSRC, opened straight into the history.
    fn receive_rtp(
        &mut self,
        now: Instant,
        id: ParticipantId,
        path: Path,
        data: &[u8],
    ) -> Result<Taken, DropReason> {
        let packet = rtp::Packet::parse(data).map_err(|error| DropReason::Rtp(error.fault))?;
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        if !participant.network.knows(&path) {
            return Err(DropReason::UnknownAddress);
        }
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        if !participant.budget.allows(now, data.len()) {
            return Err(DropReason::PublishRate);
        }
        let context = keys.opener.find(packet.ssrc());
        let role = context.and_then(|context| participant.contexts.get(context.index()).copied());
        match role {
            Some(Role::Media(stream)) => self.receive_media(now, id, stream, &packet, data),
            Some(Role::Repair(source)) => self.receive_repair(now, id, source, &packet, data),
            Some(Role::Retired(source)) if self.speaks(now, source) => Err(DropReason::Unnegotiated),
            Some(Role::Open | Role::Retired(_)) | None => self.receive_first(now, id, &packet, data),
        }
    }

    fn receive_media(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: StreamId,
        packet: &rtp::Packet<'_>,
        data: &[u8],
    ) -> Result<Taken, DropReason> {
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        let stream = self.streams.get_mut(key).ok_or(DropReason::Unnegotiated)?;
        let source = self.sources.get(stream.source).ok_or(DropReason::Unnegotiated)?;
        let Some(codec) = source.ingress.codec(packet.payload_type()) else {
            // A payload type of the line that it moves to, perhaps.
            let moved = source.names_another(packet);
            return if moved {
                self.receive_moved(now, id, packet, data)
            } else {
                Err(DropReason::Unnegotiated)
            };
        };
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        let place =
            stream.history.reserve(&mut self.pages, now, data.len()).ok_or(DropReason::HistoryFull)?;
        let noted = source.ingress.note(packet, &source.info.mid, place);
        if noted.moved {
            stream.history.cancel(&mut self.pages);
            return self.receive_moved(now, id, packet, data);
        }
        let out = place.get_mut(noted.extensions_len..).unwrap_or_default();
        let opened = keys
            .opener
            .open_rtp(data, packet.header_len(), packet.ssrc(), packet.sequence_number(), out)
            .map_err(DropReason::Srtp)
            .and_then(|opened| {
                participant.budget.take(now, data.len());
                Ok((opened, without_padding(packet, out, &opened)?))
            });
        let (opened, payload_len) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                stream.history.cancel(&mut self.pages);
                return Err(reason);
            }
        };
        self.note_arrival(now, id, noted.transport_seq);
        let kept = noted.committed(now, packet, opened.seq, codec, payload_len);
        self.accept(now, id, key, kept, false)
    }

    /// A packet of an SSRC without a role: authenticated first, then given its place.
    fn receive_first(
        &mut self,
        now: Instant,
        id: ParticipantId,
        packet: &rtp::Packet<'_>,
        data: &[u8],
    ) -> Result<Taken, DropReason> {
        let (opened, payload_len) = self.open_aside(now, id, packet, data)?;
        if !self.participants.get(id).is_some_and(|participant| participant.config.publish) {
            return Err(DropReason::NotPublishing);
        }
        let place = self.place_of(now, id, packet).ok_or(DropReason::Unnegotiated)?;
        self.bind(now, id, place, packet, &opened, payload_len)
    }

    /// Opens a packet into the scratch buffer; the length is that of its payload without padding.
    pub(super) fn open_aside(
        &mut self,
        now: Instant,
        id: ParticipantId,
        packet: &rtp::Packet<'_>,
        data: &[u8],
    ) -> Result<(srtp::Opened, u16), DropReason> {
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        let scratch = &mut *self.scratch;
        let opened = keys
            .opener
            .open_rtp(data, packet.header_len(), packet.ssrc(), packet.sequence_number(), scratch)
            .map_err(DropReason::Srtp)?;
        participant.budget.take(now, data.len());
        let payload_len = without_padding(packet, scratch, &opened)?;
        Ok((opened, payload_len))
    }

    /// A retransmission (RFC 4588): opened aside, since its payload begins with the number it repairs.
    fn receive_repair(
        &mut self,
        now: Instant,
        id: ParticipantId,
        source: SourceId,
        packet: &rtp::Packet<'_>,
        data: &[u8],
    ) -> Result<Taken, DropReason> {
        if self.sources.get(source).is_some_and(|source| source.names_another(packet)) {
            return self.receive_moved(now, id, packet, data);
        }
        let (_, payload_len) = self.open_aside(now, id, packet, data)?;
        self.accept_repair(now, id, source, packet, payload_len)
    }

    /// Keeps the original packet that a retransmission in the scratch buffer carries.
    pub(super) fn accept_repair(
        &mut self,
        now: Instant,
        id: ParticipantId,
        source_id: SourceId,
        packet: &rtp::Packet<'_>,
        payload_len: u16,
    ) -> Result<Taken, DropReason> {
        let source = self.sources.get(source_id).ok_or(DropReason::Unnegotiated)?;
        let codec = source.ingress.repaired_codec(packet.payload_type()).ok_or(DropReason::Unnegotiated)?;
        let (key, transport_seq) = (source.stream, source.ingress.transport_seq(packet));
        self.note_arrival(now, id, transport_seq);
        // Probes are padding on the retransmission stream: they served their purpose by arriving.
        if payload_len == 0 {
            return Ok(Taken::Media);
        }
        let key = key.ok_or(DropReason::Retransmission)?;
        let stream = self.streams.get(key).ok_or(DropReason::Retransmission)?;
        let payload = self.scratch.get(..usize::from(payload_len)).unwrap_or_default();
        let original = rtx::Payload::parse(payload).map_err(|_| DropReason::Retransmission)?.original();
        let highest = stream.reception.highest();
        let seq = SeqNo::extend(highest, original);
        // What is ahead of the stream was never missing.
        if seq > highest {
            return Err(DropReason::Retransmission);
        }
        let aside = Aside { seq, codec, payload: rtx::HEAD..usize::from(payload_len) };
        self.accept_aside(now, id, key, packet, aside, true)
    }

    /// Copies a packet that was opened into the scratch buffer to its stream's history.
    pub(super) fn accept_aside(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: StreamId,
        packet: &rtp::Packet<'_>,
        aside: Aside,
        repaired: bool,
    ) -> Result<Taken, DropReason> {
        let stream = self.streams.get_mut(key).ok_or(DropReason::Unnegotiated)?;
        let source = self.sources.get(stream.source).ok_or(DropReason::Unnegotiated)?;
        let payload = self.scratch.get(aside.payload).unwrap_or_default();
        let len = packet.header_len() + payload.len();
        let place = stream.history.reserve(&mut self.pages, now, len).ok_or(DropReason::HistoryFull)?;
        let noted = source.ingress.note(packet, &source.info.mid, place);
        if let Some(out) = place.get_mut(noted.extensions_len..noted.extensions_len + payload.len()) {
            out.copy_from_slice(payload);
        }
        // A datagram is far below 65,536 bytes.
        let kept = noted.committed(now, packet, aside.seq, aside.codec, payload.len() as u16);
        self.accept(now, id, key, kept, repaired)
    }

    /// Notes an authentic packet for the transport's feedback, which is due an interval after the first
    /// arrival.
    pub(super) fn note_arrival(&mut self, now: Instant, id: ParticipantId, transport_seq: Option<u16>) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let Some(wire) = transport_seq else { return };
        participant.arrivals.on_packet(now, wire);
        if !participant.timers.is_armed(Timer::Feedback)
            && !participant.rtcp.feedback
            && participant.arrivals.pending()
        {
            self.arm(id, Timer::Feedback, now + limits::FEEDBACK_INTERVAL);
        }
    }

    /// A packet stands in the reserved place of its stream: unless it came before, it is kept and
    /// forwarded.
    fn accept(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: StreamId,
        packet: Committed,
        repaired: bool,
    ) -> Result<Taken, DropReason> {
        let stream = self.streams.get_mut(key).ok_or(DropReason::Unnegotiated)?;
        let (seq, timestamp) = (packet.seq, packet.timestamp);
        if !stream.seen.insert(seq) {
            stream.history.cancel(&mut self.pages);
            return Err(DropReason::Duplicate);
        }
        let missing = stream.missing.len();
        let highest = stream.reception.highest();
        let continuity = stream.missing.on_packet(now, seq, highest);
        stream.reception.on_packet(now, seq, timestamp, repaired);
        if stream.newest.is_none_or(|(newest, ..)| seq > newest) {
            stream.newest = Some((seq, timestamp, now));
        }
        if !stream.nack {
            stream.missing = Missing::default();
        }
        let asks = (stream.missing.len() > missing).then(|| now + limits::NACK_REORDERING);
        let source = stream.source;
        let padding_only = packet.payload_len == 0;
        stream.history.commit(&mut self.pages, packet);
        if let Some(at) = asks {
            self.arm(id, Timer::Repair, at);
        }
        self.arm_prune(now, id);
        if continuity == Arrival::Broken {
            self.want_keyframe(now, source);
        }
        self.fan_out(source, key, seq, timestamp, padding_only);
        Ok(Taken::Media)
    }

    fn arm_prune(&mut self, now: Instant, id: ParticipantId) {
        if self.participants.get(id).is_some_and(|participant| !participant.timers.is_armed(Timer::Prune)) {
            self.arm(id, Timer::Prune, now + limits::HISTORY_AGE);
        }
    }

    /// Releases what is too old of a participant's streams.
    pub(super) fn prune(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let mut any = false;
        for source in participant.sources.iter().filter_map(|source| self.sources.get(*source)) {
            if let Some(stream) = source.stream.and_then(|key| self.streams.get_mut(key)) {
                stream.history.expire(&mut self.pages, now);
                any |= !stream.history.is_empty();
            }
        }
        if any {
            self.arm(id, Timer::Prune, now + limits::HISTORY_AGE);
        }
    }
}

/// The payload's length without its padding (RFC 3550, section 5.1; S-RTP-02).
fn without_padding(packet: &rtp::Packet<'_>, out: &[u8], opened: &srtp::Opened) -> Result<u16, DropReason> {
    let payload = out.get(..opened.len).unwrap_or_default();
    let padding =
        if packet.has_padding() { rtp::padding_len(payload).map_err(|_| DropReason::Padding)? } else { 0 };
    // A datagram is far below 65,536 bytes.
    Ok((opened.len - padding) as u16)
}

impl crate::conference::source::Ingress {
    /// Reads the extensions once: what is passed on is written to `place` as (kind, length, bytes), the
    /// rest that matters is returned. Extensions that were not negotiated are invisible (S-RTP-03).
    fn note(&self, packet: &rtp::Packet<'_>, mid: &str, place: &mut [u8]) -> Noted {
        let mut noted = Noted::default();
        for (id, value) in packet.extensions() {
            match self.kind_of(id) {
                Some(ExtensionKind::TransportSequenceNumber) => {
                    noted.transport_seq = value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
                }
                Some(ExtensionKind::Mid) => noted.moved = value != mid.as_bytes(),
                Some(kind) if kind.forwarded() && value.len() <= 16 => {
                    let at = noted.extensions_len;
                    let end = at + 2 + value.len();
                    // Eight kinds of at most 18 bytes stay below 256; a kind twice is cut off there.
                    let Some(element) = place.get_mut(at..end).filter(|_| end <= 144) else {
                        continue;
                    };
                    element[0] = kind.index() as u8;
                    element[1] = value.len() as u8;
                    element[2..].copy_from_slice(value);
                    noted.extensions_len = end;
                }
                _ => {}
            }
        }
        noted
    }

    pub(super) fn transport_seq(&self, packet: &rtp::Packet<'_>) -> Option<u16> {
        let value = packet.extension(self.id_of(ExtensionKind::TransportSequenceNumber)?)?;
        value.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
    }
}
