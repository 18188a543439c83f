//! Which SSRC belongs where: found by its first packet, followed when it moves to another m-line
//! (RFC 9143, section 9.2).

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SourceId, StreamId};
use crate::conference::ingress::{Aside, Taken};
use crate::conference::negotiation::{MediaKind, Payload};
use crate::conference::participant::Role;
use crate::conference::source::{Counts, Source, Stream};
use crate::forwarding::history::History;
use crate::forwarding::ladder::Meter;
use crate::forwarding::reading::Reader;
use crate::forwarding::reception::Reception;
use crate::forwarding::repair::Missing;
use crate::forwarding::seen::Seen;
use crate::session::srtp;
use crate::wire::rtp::{self, SeqNo};

impl Engine {
    /// An authentic packet of an SSRC without a place: it gets one, and the packet is kept.
    pub(super) fn accept_first(
        &mut self,
        now: Instant,
        id: ParticipantId,
        packet: &rtp::Packet<'_>,
        payload: &[u8],
        opened: &srtp::Opened,
    ) -> Result<Taken, DropReason> {
        if !self.participants.get(id).is_some_and(|participant| participant.config.publish) {
            return Err(DropReason::NotPublishing);
        }
        let place = self.place_of(now, id, packet).ok_or(DropReason::Unnegotiated)?;
        self.bind(now, id, place, packet, payload, opened)
    }

    /// An authentic packet names another m-line than the one its SSRC belongs to: the SSRC follows it,
    /// within its participant's lines and at a bounded rate (S-RTP-06).
    pub(super) fn rebind(
        &mut self,
        now: Instant,
        id: ParticipantId,
        packet: &rtp::Packet<'_>,
        payload: &[u8],
        opened: &srtp::Opened,
    ) -> Result<Taken, DropReason> {
        let place = self.place_of(now, id, packet).ok_or(DropReason::Unnegotiated)?;
        let participant = self.participants.get_mut(id).ok_or(DropReason::UnknownAddress)?;
        if participant.rebound.is_some_and(|at| now - at < limits::REBINDING_INTERVAL) {
            return Err(DropReason::Rebinding);
        }
        participant.rebound = Some(now);
        self.unbind(id, opened);
        self.bind(now, id, place, packet, payload, opened)
    }

    /// Ends the stream that an SSRC had; what its source receives next goes on where it ended.
    fn unbind(&mut self, id: ParticipantId, opened: &srtp::Opened) {
        let Some(participant) = self.participants.get(id) else { return };
        let role = participant.contexts.get(opened.context.index()).copied();
        if let Some(Role::Media(key)) = role
            && let Some(mut stream) = self.streams.remove(key)
        {
            stream.history.clear(&mut self.pages);
            let source = self.sources.get_mut(stream.source);
            if let Some(encoding) = source.and_then(|source| source.encoding_mut(stream.encoding)) {
                (encoding.stream, encoding.left) = (None, stream.newest);
            }
            self.restart_listeners(stream.source, stream.encoding);
        }
        self.set_role(id, opened.context, Role::Open);
    }

    pub(super) fn names_another(&self, source: SourceId, encoding: u8, packet: &rtp::Packet<'_>) -> bool {
        self.sources.get(source).is_some_and(|source| source.names_another(encoding, packet))
    }

    /// Gives the SSRC of an authentic packet its role, and keeps the packet.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        id: ParticipantId,
        (source, encoding, format): (SourceId, u8, Payload),
        packet: &rtp::Packet<'_>,
        payload: &[u8],
        opened: &srtp::Opened,
    ) -> Result<Taken, DropReason> {
        match format {
            Payload::Rtx(_) => {
                self.set_role(id, opened.context, Role::Repair(source, encoding));
                self.accept_repair(now, id, (source, encoding), packet, payload)
            }
            Payload::Media(codec) => {
                let key = self.begin_stream(now, id, (source, encoding), packet, opened.seq);
                let key = key.ok_or(DropReason::Unnegotiated)?;
                self.set_role(id, opened.context, Role::Media(key));
                // The one copy in a stream's life: its first packet came before its history.
                let aside = Aside { seq: opened.seq, codec: codec.0, payload };
                self.keep_aside(now, id, key, packet, aside, false)
            }
        }
    }

    /// Which source a packet belongs to: by its mid, by an SSRC that was signalled, by a payload type
    /// that only one line has (RFC 9143, section 9.2); and which of its encodings.
    fn place_of(
        &self,
        now: Instant,
        id: ParticipantId,
        packet: &rtp::Packet<'_>,
    ) -> Option<(SourceId, u8, Payload)> {
        let participant = self.participants.get(id)?;
        let sources = || participant.sources.iter().filter_map(|key| Some((*key, self.sources.get(*key)?)));
        let payload_of = |source: &Source| source.ingress.payload(packet.payload_type());
        let mid_at = |source: &Source| source.mid_of(packet);
        let by_mid = sources().find(|(_, source)| mid_at(source) == Some(source.info.mid.as_bytes()));
        // A mid that names none of them is of a line that is gone (S-RTP-04).
        if by_mid.is_none() && sources().any(|(_, source)| mid_at(source).is_some()) {
            return None;
        }
        let by_ssrc = || sources().find(|(_, source)| source.ingress.signalled(packet.ssrc()).is_some());
        let by_payload = || {
            let mut fitting = sources().filter(|(_, source)| payload_of(source).is_some());
            let (key, source) = fitting.next().filter(|_| fitting.next().is_none())?;
            // A guess takes no live stream's place: late packets of a line that ended look like this.
            let media = matches!(payload_of(source), Some(Payload::Media(_)));
            (!media || !self.speaks(now, key, 0)).then_some((key, source))
        };
        let (key, source) = by_mid.or_else(by_ssrc).or_else(by_payload)?;
        Some((key, source.ingress.encoding_of(packet)?, payload_of(source)?))
    }

    /// Gives an encoding its (new) stream; its subscriptions go on without a gap.
    fn begin_stream(
        &mut self,
        now: Instant,
        id: ParticipantId,
        (source_id, encoding): (SourceId, u8),
        packet: &rtp::Packet<'_>,
        seq: SeqNo,
    ) -> Option<StreamId> {
        let source = self.sources.get_mut(source_id)?;
        let clock_rate = source.ingress.clock_rate(packet.payload_type())?;
        let video = source.info.kind == MediaKind::Video;
        let opaque = self.rooms.get(source.info.room).is_some_and(|room| room.config.opaque);
        let nack = source.ingress.nack;
        let place = source.encoding_mut(encoding)?;
        let key = self.streams.insert_with(|_| Stream {
            source: source_id,
            encoding,
            ssrc: packet.ssrc(),
            clock_rate,
            history: History::new(),
            reader: Reader::default(),
            opaque,
            meter: video.then(|| Box::new(Meter::new(now))),
            reception: Reception::new(clock_rate, seq),
            counts: Counts::default(),
            missing: Missing::default(),
            seen: Seen::new(seq),
            newest: None,
            sender_report: None,
            nack,
        });
        let before = place.stream.replace(key);
        if let Some(mut ended) = before.and_then(|before| self.streams.remove(before)) {
            place.left = ended.newest.or(place.left);
            ended.history.clear(&mut self.pages);
            self.restart_listeners(source_id, encoding);
            self.retire(id, before, (source_id, encoding));
        }
        self.arm_reports(now, id);
        self.note_live(source_id);
        Some(key)
    }

    /// Video begins to come: it may be in view now.
    fn note_live(&mut self, id: SourceId) {
        let Some(source) = self.sources.get_mut(id) else { return };
        // One that fell silent once is to be steady first (S-SIM-03).
        if source.info.kind == MediaKind::Video && !source.live && !source.lapsed {
            source.live = true;
            let room = source.info.room;
            self.review_room(room);
        }
    }

    /// An encoding has another stream: what its listeners had of the one before means nothing any more.
    pub(super) fn restart_listeners(&mut self, source: SourceId, encoding: u8) {
        let Some(source) = self.sources.get_mut(source) else { return };
        for listener in &mut source.audience {
            if let Some(subscription) = self.subscriptions.get_mut(listener.subscription) {
                listener.rewriter.restart(&mut subscription.spans, encoding);
            }
        }
        // Who does not receive at the moment has its numbers with it: they mean nothing any more either (I-10).
        for key in &source.subscriptions {
            if let Some(subscription) = self.subscriptions.get_mut(*key).filter(|one| one.seat.is_none()) {
                subscription.rewriter.restart(&mut subscription.spans, encoding);
            }
        }
    }

    /// Whether an encoding's stream is alive: then no SSRC that it replaced takes its place back
    /// (S-SIM-02).
    pub(super) fn speaks(&self, now: Instant, source: SourceId, encoding: u8) -> bool {
        let encoding = self.sources.get(source).and_then(|source| source.encoding(encoding));
        let stream = encoding.and_then(|encoding| self.streams.get(encoding.stream?));
        let newest = stream.and_then(|stream| stream.newest).filter(|newest| !newest.ended);
        newest.is_some_and(|newest| now - newest.at < limits::STREAM_SILENCE)
    }

    /// The SSRC of a stream that was replaced waits for its successor to fall silent.
    fn retire(&mut self, id: ParticipantId, ended: Option<StreamId>, (source, encoding): (SourceId, u8)) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        for role in &mut participant.contexts {
            if matches!(role, Role::Media(stream) if Some(*stream) == ended) {
                *role = Role::Retired(source, encoding);
            }
        }
    }

    pub(super) fn set_role(&mut self, id: ParticipantId, context: srtp::ContextId, role: Role) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let at = context.index();
        if participant.contexts.len() <= at {
            participant.contexts.resize(at + 1, Role::Open);
        }
        if let Some(slot) = participant.contexts.get_mut(at) {
            *slot = role;
        }
    }
}
