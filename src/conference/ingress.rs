//! The way in of a datagram: told apart, its participant found by one look-up, authenticated, kept.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::decisions::KeyFrameReason;
use crate::conference::drops::DropReason;
use crate::conference::engine::{Datagram, Engine};
use crate::conference::fanout::Kept;
use crate::conference::ids::{ParticipantId, SourceId, StreamId};
use crate::conference::negotiation::Codec;
use crate::conference::participant::{Role, Timer};
use crate::conference::reading::{Noted, Unsettled, passed_on, payload_len, without_padding};
use crate::conference::source::{Newest, Stream};
use crate::forwarding::history::{Committed, Pages, Place, Stored};
use crate::forwarding::reading::{Reading, Unread};
use crate::forwarding::repair::{Arrival, Missing};
use crate::session::srtp;
use crate::wire::mux::{self, Kind, Path};
use crate::wire::payload::{self, Body, Format, Opaque};
use crate::wire::rtp::{self, AudioLevel, ExtensionKind, SeqNo, rtx};
use crate::wire::stun;

/// A packet that was opened aside: it came before its stream, or inside another.
pub(super) struct Aside<'p> {
    pub(super) seq: SeqNo,
    pub(super) codec: u8,
    pub(super) payload: &'p [u8],
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
        let participant = self.directory.find(&datagram.path);
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
            Kind::Rtp => self.receive_rtp(now, id, &datagram),
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
        let message = stun::Message::parse(datagram.data).map_err(|error| DropReason::Stun(error.fault))?;
        let by_path = *owner;
        let id = self.directory.find_stun(&datagram.path, &message).ok_or_else(|| match message.class() {
            stun::Class::Request if message.username().is_some() => DropReason::UnknownUsername,
            _ => DropReason::UnknownAddress,
        })?;
        if by_path.is_some_and(|other| other != id && self.uses(other, &datagram.path)) {
            return Err(DropReason::AddressTaken);
        }
        *owner = Some(id);
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownUsername)?;
        participant.network.handle_stun(now, datagram.path, &message)?;
        if message.class() == stun::Class::Indication {
            // It keeps a NAT's door open and proves nothing, so there is nothing to see to (I-03).
            return Ok(Taken::Consumed);
        }
        // Whoever spoke last with its own password has an address that nobody else uses.
        if by_path != Some(id) && participant.network.knows(&datagram.path) {
            self.directory.add_path(id, datagram.path);
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
        datagram: &Datagram<'_>,
    ) -> Result<Taken, DropReason> {
        let data = datagram.data;
        let packet = rtp::Packet::parse(data).map_err(|error| DropReason::Rtp(error.fault))?;
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        if !participant.network.knows(&datagram.path) {
            return Err(DropReason::UnknownAddress);
        }
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        if !participant.budget.allows(now, data.len()) {
            return Err(DropReason::PublishRate);
        }
        let context = keys.opener.find(packet.ssrc());
        let role = context.and_then(|context| participant.contexts.get(context.index()).copied());
        match role {
            Some(Role::Media(stream)) if packet.extension_profile().is_some_and(srtp::is_cryptex) => {
                self.receive_cryptex(now, id, stream, &packet, datagram)
            }
            Some(Role::Media(stream)) => self.receive_media(now, id, stream, &packet, datagram),
            Some(Role::Retired(source, encoding)) if self.speaks(now, source, encoding) => {
                Err(DropReason::Unnegotiated)
            }
            role => self.receive_aside(now, id, role, datagram),
        }
    }

    fn receive_media(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: StreamId,
        packet: &rtp::Packet<'_>,
        datagram: &Datagram<'_>,
    ) -> Result<Taken, DropReason> {
        let data = datagram.data;
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        let stream = self.streams.get_mut(key).ok_or(DropReason::Unnegotiated)?;
        let source = self.sources.get(stream.source).ok_or(DropReason::Unnegotiated)?;
        let Some(codec) = source.ingress.codec(packet.payload_type()) else {
            // A payload type of the line that it moves to, perhaps.
            return if source.names_another(stream.encoding, packet) {
                self.receive_aside(now, id, Some(Role::Media(key)), datagram)
            } else {
                Err(DropReason::Unnegotiated)
            };
        };
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        let place =
            stream.history.reserve(&mut self.pages, now, data.len()).ok_or(DropReason::HistoryFull)?;
        let header = packet.header_len().min(place.len());
        let noted = source.note(stream.encoding, packet, place.get_mut(..header).unwrap_or_default());
        if noted.moved {
            stream.history.cancel(&mut self.pages);
            return self.receive_aside(now, id, Some(Role::Media(key)), datagram);
        }
        let out = place.get_mut(noted.extensions_len..).unwrap_or_default();
        let opened = keys
            .opener
            .open_rtp(data, packet.header_len(), packet.ssrc(), packet.sequence_number(), out)
            .map_err(DropReason::Srtp)
            .and_then(|opened| {
                participant.budget.take(now, data.len());
                let payload = out.get(..opened.len).unwrap_or_default();
                Ok((opened, payload_len(packet, payload)?))
            });
        let (opened, payload_len) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                stream.history.cancel(&mut self.pages);
                return Err(reason);
            }
        };
        stream.learn_sizes(&noted);
        let arrived = noted.arrived(packet, stream.clock_rate, (data.len(), datagram.ecn));
        self.note_arrival(now, id, &arrived);
        let kept = noted.committed(now, packet, opened.seq, codec, payload_len);
        self.accept(now, id, key, kept, false)
    }

    /// The same for a packet whose header extensions are encrypted (Cryptex, RFC 9335): it is opened
    /// whole into the history, where its header makes room for what is passed on of it.
    fn receive_cryptex(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: StreamId,
        packet: &rtp::Packet<'_>,
        datagram: &Datagram<'_>,
    ) -> Result<Taken, DropReason> {
        let data = datagram.data;
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        let stream = self.streams.get_mut(key).ok_or(DropReason::Unnegotiated)?;
        let source = self.sources.get(stream.source).ok_or(DropReason::Unnegotiated)?;
        let Some(codec) = source.ingress.codec(packet.payload_type()) else {
            // A payload type of the line that it moves to, perhaps: its mid cannot be read yet.
            return self.receive_aside(now, id, Some(Role::Media(key)), datagram);
        };
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        let place =
            stream.history.reserve(&mut self.pages, now, data.len()).ok_or(DropReason::HistoryFull)?;
        let opened = match keys.opener.open_packet(data, place) {
            Ok(opened) => opened,
            Err(reason) => {
                stream.history.cancel(&mut self.pages);
                return Err(DropReason::Srtp(reason));
            }
        };
        participant.budget.take(now, data.len());
        match source.ingress.settle(now, opened, codec, (&source.info.mid, stream.encoding), place) {
            Ok((kept, noted)) => {
                stream.learn_sizes(&noted);
                let arrived = noted.arrived(packet, stream.clock_rate, (data.len(), datagram.ecn));
                self.note_arrival(now, id, &arrived);
                self.accept(now, id, key, kept, false)
            }
            Err(Unsettled::Dropped(reason)) => {
                stream.history.cancel(&mut self.pages);
                Err(reason)
            }
            Err(Unsettled::Moved) => {
                let mut scratch = std::mem::take(&mut self.scratch);
                for (to, from) in scratch.iter_mut().zip(place.iter()) {
                    *to = *from;
                }
                stream.history.cancel(&mut self.pages);
                let role = Some(Role::Media(key));
                let taken = self.accept_aside(now, id, role, (&opened, &scratch), datagram);
                self.scratch = scratch;
                taken
            }
        }
    }

    /// A packet that is not simply the next of its stream is opened aside: its SSRC has no role yet, or
    /// it names another m-line than the one that its SSRC belongs to, or it is a retransmission
    /// (RFC 4588), whose payload begins with the number it repairs.
    fn receive_aside(
        &mut self,
        now: Instant,
        id: ParticipantId,
        role: Option<Role>,
        datagram: &Datagram<'_>,
    ) -> Result<Taken, DropReason> {
        let data = datagram.data;
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        let keys = participant.network.keys().ok_or(DropReason::NoKeys)?;
        // Read from there: the engine's other parts are free meanwhile.
        let mut scratch = std::mem::take(&mut self.scratch);
        let taken = match keys.opener.open_packet(data, &mut scratch) {
            Ok(opened) => {
                participant.budget.take(now, data.len());
                self.accept_aside(now, id, role, (&opened, &scratch), datagram)
            }
            Err(reason) => Err(DropReason::Srtp(reason)),
        };
        self.scratch = scratch;
        taken
    }

    /// Finds the place of a plain packet at the start of `scratch`.
    fn accept_aside(
        &mut self,
        now: Instant,
        id: ParticipantId,
        role: Option<Role>,
        (opened, scratch): (&srtp::Opened, &[u8]),
        datagram: &Datagram<'_>,
    ) -> Result<Taken, DropReason> {
        let plain = scratch.get(..opened.len).unwrap_or_default();
        let packet = rtp::Packet::parse(plain).map_err(|error| DropReason::Rtp(error.fault))?;
        // Also what finds no place has come.
        self.note_aside(now, id, &packet, (datagram.data.len(), datagram.ecn));
        let payload = without_padding(&packet)?;
        match role {
            Some(Role::Repair(source, encoding)) if !self.names_another(source, encoding, &packet) => {
                self.accept_repair(now, id, (source, encoding), &packet, payload)
            }
            // It stays where it is, and its payload type is none of that line's.
            Some(Role::Media(key))
                if !self
                    .streams
                    .get(key)
                    .is_some_and(|stream| self.names_another(stream.source, stream.encoding, &packet)) =>
            {
                Err(DropReason::Unnegotiated)
            }
            Some(Role::Repair(..) | Role::Media(_)) => self.rebind(now, id, &packet, payload, opened),
            _ => self.accept_first(now, id, &packet, payload, opened),
        }
    }

    /// Keeps the original packet that a retransmission carries.
    pub(super) fn accept_repair(
        &mut self,
        now: Instant,
        id: ParticipantId,
        (source_id, encoding): (SourceId, u8),
        packet: &rtp::Packet<'_>,
        payload: &[u8],
    ) -> Result<Taken, DropReason> {
        let source = self.sources.get(source_id).ok_or(DropReason::Unnegotiated)?;
        let codec = source.ingress.repaired_codec(packet.payload_type()).ok_or(DropReason::Unnegotiated)?;
        let key = source.encoding(encoding).and_then(|encoding| encoding.stream);
        // Probes are padding on the retransmission stream: they served their purpose by arriving.
        if payload.is_empty() {
            return Ok(Taken::Media);
        }
        let key = key.ok_or(DropReason::Retransmission)?;
        let stream = self.streams.get(key).ok_or(DropReason::Retransmission)?;
        let repair = rtx::Payload::parse(payload).map_err(|_| DropReason::Retransmission)?;
        let highest = stream.reception.highest();
        let seq = SeqNo::extend(highest, repair.original());
        // What is ahead of the stream was never missing.
        if seq > highest {
            return Err(DropReason::Retransmission);
        }
        let aside = Aside { seq, codec, payload: repair.repeated() };
        self.keep_aside(now, id, key, packet, aside, true)
    }

    /// Copies a packet that was opened aside to its stream's history.
    pub(super) fn keep_aside(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: StreamId,
        packet: &rtp::Packet<'_>,
        aside: Aside<'_>,
        repaired: bool,
    ) -> Result<Taken, DropReason> {
        let stream = self.streams.get_mut(key).ok_or(DropReason::Unnegotiated)?;
        let source = self.sources.get(stream.source).ok_or(DropReason::Unnegotiated)?;
        let payload = aside.payload;
        let len = packet.header_len() + payload.len();
        let place = stream.history.reserve(&mut self.pages, now, len).ok_or(DropReason::HistoryFull)?;
        let header = packet.header_len().min(place.len());
        let noted = source.note(stream.encoding, packet, place.get_mut(..header).unwrap_or_default());
        let Some(out) = place.get_mut(noted.extensions_len..noted.extensions_len + payload.len()) else {
            stream.history.cancel(&mut self.pages);
            return Err(DropReason::HistoryFull);
        };
        out.copy_from_slice(payload);
        stream.learn_sizes(&noted);
        // A datagram is far below 65,536 bytes.
        let kept = noted.committed(now, packet, aside.seq, aside.codec, payload.len() as u16);
        self.accept(now, id, key, kept, repaired)
    }

    /// A packet stands in the reserved place of its stream: unless it came before, it is kept and
    /// forwarded.
    fn accept(
        &mut self,
        now: Instant,
        id: ParticipantId,
        key: StreamId,
        mut packet: Committed,
        repaired: bool,
    ) -> Result<Taken, DropReason> {
        let stream = self.streams.get_mut(key).ok_or(DropReason::Unnegotiated)?;
        let Committed { seq, timestamp, payload_len, .. } = packet;
        if !stream.seen.insert(seq) {
            stream.counts.discarded += 1;
            stream.history.cancel(&mut self.pages);
            return Err(DropReason::Duplicate);
        }
        let missing = stream.missing.len();
        let highest = stream.reception.highest();
        let continuity = stream.missing.on_packet(now, seq, highest);
        stream.reception.on_packet(now, seq, timestamp, payload_len, repaired);
        if stream.newest.is_none_or(|newest| seq > newest.seq) {
            stream.newest = Some(Newest { seq, timestamp, at: now, codec: packet.codec, ended: false });
        }
        if !stream.nack || stream.has_ended() {
            stream.missing = Missing::default();
        }
        let asks = (stream.missing.len() > missing).then(|| now + limits::NACK_REORDERING);
        let (source, encoding) = (stream.source, stream.encoding);
        let format = self.config.codecs.get(usize::from(packet.codec)).and_then(|codec| codec.format());
        let audio = stream.meter.is_none();
        let level = stream.level(&self.pages, &packet).filter(|_| audio);
        let read = match self.redundancy.filter(|redundancy| redundancy.is_red(packet.codec)) {
            Some(redundancy) => {
                let from = self.sources.get(source).map(|source| &source.ingress);
                stream.read_redundant(&self.pages, &mut packet, redundancy, from)
            }
            None => stream.read(&self.pages, &mut packet, format, now).ok(),
        };
        stream.history.commit(&mut self.pages, packet);
        if let Some(at) = asks {
            self.arm(id, Timer::Repair, at);
        }
        self.arm_prune(now, id);
        if !audio {
            self.arm_ladder(now, id);
        }
        if continuity == Arrival::Broken {
            self.want_keyframe(now, source, encoding, KeyFrameReason::Broken);
        }
        // What cannot be read has its number all the same: it is left out like padding.
        let readable = read.is_some();
        if audio && readable && !self.is_heard(now, id, level) {
            return Ok(Taken::Media);
        }
        let (empty, reading) = (payload_len == 0 || !readable, read.unwrap_or(Reading::of(encoding)));
        self.fan_out(now, source, &Kept { stream: key, seq, timestamp, reading, empty });
        if readable { Ok(Taken::Media) } else { Err(DropReason::Payload) }
    }

    fn arm_prune(&mut self, now: Instant, id: ParticipantId) {
        if self.participants.get(id).is_some_and(|participant| !participant.timers.is_armed(Timer::Prune)) {
            self.arm(id, Timer::Prune, now + limits::HISTORY_AGE);
        }
    }

    /// Layers are measured while anything comes: again after a silence, too.
    fn arm_ladder(&mut self, now: Instant, id: ParticipantId) {
        if self.participants.get(id).is_some_and(|participant| !participant.timers.is_armed(Timer::Ladder)) {
            self.arm(id, Timer::Ladder, now + limits::LADDER_INTERVAL);
        }
    }

    /// Releases what is too old of a participant's streams.
    pub(super) fn prune(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let mut any = false;
        for source in participant.sources.iter().filter_map(|source| self.sources.get(*source)) {
            for key in source.streams() {
                let Some(stream) = self.streams.get_mut(key) else { continue };
                stream.history.expire(&mut self.pages, now);
                any |= !stream.history.is_empty();
            }
        }
        if any {
            self.arm(id, Timer::Prune, now + limits::HISTORY_AGE);
        }
    }
}

impl Stream {
    /// Takes what an authentic packet tells of its layers' sizes.
    fn learn_sizes(&mut self, noted: &Noted) {
        let Some(meter) = &mut self.meter else { return };
        for (spatial, size) in (0..).zip(noted.sizes) {
            if let Some(size) = size {
                meter.on_resolution(spatial, size);
            }
        }
    }

    /// The audio level that the packet in the reserved place claims (RFC 6464).
    fn level(&self, pages: &Pages, packet: &Committed) -> Option<AudioLevel> {
        let (extensions, _) = self.history.reserved(pages, packet)?;
        AudioLevel::parse(passed_on(extensions, ExtensionKind::AudioLevel)?)
    }

    /// Reads what stands in the reserved place, once in a packet's life, and counts it.
    fn read(
        &mut self,
        pages: &Pages,
        packet: &mut Committed,
        format: Option<Format>,
        now: Instant,
    ) -> Result<Reading, payload::ParseError> {
        let ended = self.has_ended();
        let Some(meter) = &mut self.meter else { return Ok(Reading::of_audio()) };
        let (extensions, payload) = self.history.reserved(pages, packet).unwrap_or_default();
        if payload.is_empty() {
            return Ok(Reading::of(self.encoding));
        }
        let unread = unread((extensions, payload), self.opaque, packet.timestamp, packet.marker, format);
        let reading = self.reader.read(self.encoding, &unread)?;
        let facts = &reading.facts;
        self.counts.frames += u64::from(facts.ends_picture);
        let key = facts.begins_key_frame == Some(true) && facts.layer.spatial == 0;
        self.counts.key_frames += u64::from(key);
        // What was late when the stream ended does not bring its layers back.
        if !ended {
            meter.on_packet(now, facts.layer, packet.payload_len, facts.begins_frame);
        }
        if let Some(resolution) = reading.resolution {
            meter.on_resolution(facts.layer.spatial, resolution);
        }
        packet.place = Place::new(facts.layer.spatial, facts.layer.temporal, facts.ends_frame);
        Ok(reading)
    }

    /// Reads what stands in the history; `None` for what cannot be read or is empty.
    pub(super) fn read_again(&mut self, pages: &Pages, stored: &Stored, codecs: &[Codec]) -> Option<Reading> {
        let bytes = self.history.bytes(pages, stored).filter(|(_, payload)| !payload.is_empty())?;
        if self.meter.is_none() {
            return Some(Reading::of_audio());
        }
        let format = codecs.get(usize::from(stored.codec)).and_then(|codec| codec.format());
        let unread = unread(bytes, self.opaque, stored.timestamp, stored.marker, format);
        self.reader.read(self.encoding, &unread).ok()
    }
}

fn unread<'p>(
    (extensions, payload): (&'p [u8], &'p [u8]),
    opaque: bool,
    timestamp: u32,
    marker: bool,
    format: Option<Format>,
) -> Unread<'p> {
    Unread {
        timestamp,
        marker,
        format,
        body: if opaque { Body::Opaque(Opaque::new(payload)) } else { Body::Clear(payload) },
        dependency: passed_on(extensions, ExtensionKind::DependencyDescriptor),
    }
}
