//! The way out: header, rewritten head and shared payload go to their final place in the caller's
//! buffer and are sealed there.

use crate::base::limits;
use crate::base::slots::Slots;
use crate::base::time::Instant;
use crate::base::units::Bitrate;
use crate::conference::congestion::{self, Congestion, FeedbackKind, Left};
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::event::LeaveReason;
use crate::conference::ids::{ParticipantId, SourceId, StreamId, SubscriptionId};
use crate::conference::negotiation::Codec;
use crate::conference::participant::{Egress, SendEntry, Timer};
use crate::conference::redundancy::{Redundancy, Share};
use crate::conference::source::{Source, Stream};
use crate::conference::subscription::{EgressExtensions, Subscription, UNNEGOTIATED};
use crate::congestion::pacing::Class;
use crate::forwarding::history::Pages;
use crate::forwarding::rewrite::Shift;
use crate::session::srtp::Sealer;
use crate::transport::framing;
use crate::wire::mux::{Ecn, Path, Protocol};
use crate::wire::payload::{Format, dependency, vp8, vp9};
use crate::wire::rtp::{self, ExtensionKind, HeaderWriter, PayloadType, RtpTime, SeqNo, red};
use std::num::NonZeroU16;

/// What was written at the start of the caller's buffer.
pub(super) struct Written {
    pub(super) path: Path,
    pub(super) ecn: Ecn,
    pub(super) len: usize,
    pub(super) segment_size: Option<NonZeroU16>,
}

/// What became of the entry at the head of a queue.
pub(super) enum Sealed {
    /// A datagram stands in the buffer.
    Datagram(Left),
    /// It does not fit behind the datagrams already there: the next transmit takes it.
    NextTime,
    Dropped(DropReason),
    Exhausted,
}

impl Engine {
    /// Writes the next transmit to a participant, `name`: first what keeps the path alive, then reports and feedback,
    /// then a burst of media, sound before data channels and those before video.
    pub(super) fn write_next(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: u64,
        buf: &mut [u8],
    ) -> Option<Written> {
        if self.participants.get(id)?.egress.control {
            let written = self.write_control(now, id, buf);
            if written.is_some() {
                return written;
            }
            self.participants.get_mut(id)?.egress.control = false;
        }
        let egress = &self.participants.get(id)?.egress;
        if egress.data && egress.audio.is_empty() {
            let written = self.write_data(now, id, buf);
            if written.is_some() {
                return written;
            }
        }
        self.write_media(now, id, name, buf)
    }

    /// The next datagram of data channels. It does not wait, as SCTP has a window of its own, but video does for it.
    fn write_data(&mut self, now: Instant, id: ParticipantId, buf: &mut [u8]) -> Option<Written> {
        let participant = self.participants.get_mut(id)?;
        while let Some(path) = participant.path
            && let Some(len) = participant.network.transmit_channels(now, buf)
        {
            // What finds no room for its frame is lost like any datagram.
            let Some(written) = enclose(path, buf, len) else { continue };
            if let Some(congestion) = &mut participant.egress.congestion {
                congestion.on_data(now, len + congestion::overhead(&path));
            }
            self.sent(id, len);
            return Some(written);
        }
        participant.egress.data = false;
        // What was sent has to be acknowledged by some time.
        let at = participant.network.poll_timeout();
        participant.timers.set(Timer::Network, at);
        self.requeue(id);
        None
    }

    /// The next datagram that is not media.
    fn write_control(&mut self, now: Instant, id: ParticipantId, buf: &mut [u8]) -> Option<Written> {
        let participant = self.participants.get_mut(id)?;
        while let Some((path, len)) = participant.network.poll_transmit(now, buf) {
            if participant.network.is_full() {
                self.directory.on_transmit(id, buf.get(..len).unwrap_or_default());
            }
            // What finds no room for its frame is lost like any datagram.
            if let Some(written) = enclose(path, buf, len) {
                self.sent(id, len);
                return Some(written);
            }
        }
        // A flight's timer starts when the flight has left.
        let at = participant.network.poll_timeout();
        participant.timers.set(Timer::Network, at);
        let path = participant.path;
        self.requeue(id);
        let path = path?;
        let len = self.write_rtcp(now, id, buf)?;
        let written = enclose(path, buf, len)?;
        self.sent(id, len);
        Some(written)
    }

    fn sent(&mut self, id: ParticipantId, bytes: usize) {
        self.traffic.on_sent(bytes, 1);
        if let Some(participant) = self.participants.get_mut(id) {
            participant.traffic.on_sent(bytes, 1);
        }
    }

    /// The next transmit of media: sound, then video as it comes, or at the pace of the path.
    fn write_media(&mut self, now: Instant, id: ParticipantId, name: u64, buf: &mut [u8]) -> Option<Written> {
        loop {
            let participant = self.participants.get_mut(id)?;
            if participant.egress.fitted {
                return self.write_fitted(now, id, name, buf);
            }
            let path = participant.path?;
            participant.network.keys()?;
            let turn = participant.egress.turn(now)?;
            // A queue of which nothing was left to be sent is empty now.
            let written = self.write_burst(now, id, name, (turn, path), buf);
            if written.is_some() {
                return written;
            }
        }
    }

    /// The same where a path is known: what waits leaves when it may, and then what proves the path.
    fn write_fitted(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: u64,
        buf: &mut [u8],
    ) -> Option<Written> {
        let (written, in_vain) = loop {
            let participant = self.participants.get_mut(id)?;
            // Without a way to send nothing is due, and nothing waits for its time.
            (participant.egress.due, participant.egress.held) = (false, false);
            let path = participant.path?;
            participant.network.keys()?;
            if !self.begin_fitting(now, id) {
                break (None, true);
            }
            match self.participants.get_mut(id)?.egress.turn(now) {
                None => break (None, false),
                Some((Queue::Padding, _)) => {
                    let written = self.write_probe(now, id, name, buf);
                    let in_vain = written.is_none();
                    break (written, in_vain);
                }
                Some(turn) => {
                    let written = self.write_burst(now, id, name, (turn, path), buf);
                    if written.is_some() {
                        break (written, false);
                    }
                }
            }
        };
        self.schedule(now, id, in_vain);
        written
    }

    /// Sees to what is known of a participant's path before media is sent. False if no media is, as nothing is
    /// heard of who receives it: what waits is dropped (RFC 8083, section 4.3).
    fn begin_fitting(&mut self, now: Instant, id: ParticipantId) -> bool {
        self.fit(now, id);
        let Some(participant) = self.participants.get_mut(id) else { return false };
        let egress = &mut participant.egress;
        let Some(congestion) = &egress.congestion else { return true };
        if !congestion.is_unheard(now) {
            return true;
        }
        let dropped = egress.len();
        egress.clear();
        self.traffic.queued_dropped += dropped as u64;
        (0..dropped).for_each(|_| self.count_drop(Some(id), DropReason::Unheard));
        false
    }

    /// As many datagrams of one size as fit and may leave, the last one possibly shorter.
    fn write_burst(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: u64,
        ((queue, bytes), path): ((Queue, usize), Path),
        buf: &mut [u8],
    ) -> Option<Written> {
        let participant = self.participants.get_mut(id)?;
        let keys = participant.network.keys()?;
        let egress = &mut participant.egress;
        let mut desk = Desk {
            subscriptions: &mut self.subscriptions,
            sources: &self.sources,
            streams: &self.streams,
            pages: &self.pages,
            sealer: &keys.sealer,
            codecs: &self.config.codecs,
            redundancy: self.redundancy,
            abs_send_time: rtp::AbsSendTime::at(now).to_bytes(),
        };
        let name = self.departures.is_some().then_some(name);
        let ecn = egress.ecn(self.config.ecn, path.protocol);
        let overhead = if egress.fitted { congestion::overhead(&path) } else { 0 };
        let mut burst = Burst::new(self.config.mtu, path.protocol);
        let mut exhausted = false;
        while burst.count < limits::TRANSMIT_BURST && burst.paced < bytes && !exhausted {
            let Some(entry) = egress.front(queue) else { break };
            let (room, most) = burst.room(buf);
            let outcome = desk.seal(&entry, egress.transport_seq, room, most, burst.count > 0);
            if matches!(outcome, Sealed::NextTime) {
                break;
            }
            egress.pop(queue);
            match outcome {
                Sealed::Datagram(left) => {
                    let retransmission = entry.retransmission;
                    participant.traffic.retransmitted += u64::from(retransmission);
                    if retransmission {
                        burst.repaired += left.len + overhead;
                    } else {
                        burst.newest = Some(entry.subscription);
                    }
                    if egress.on_left(now, left, left.len + overhead, name, retransmission) {
                        desk.leave_out(entry.subscription);
                    }
                    if burst.add(buf, left.len, overhead) {
                        break;
                    }
                }
                Sealed::Dropped(reason) => {
                    self.traffic.queued_dropped += 1;
                    self.drops.add(reason.index());
                    participant.drops.add(reason.index());
                }
                Sealed::Exhausted | Sealed::NextTime => exhausted = true,
            }
        }
        egress.on_burst(now, queue, &burst, ecn);
        let (len, count) = (burst.plain_len(), burst.count);
        participant.traffic.on_sent(len, count);
        self.traffic.on_sent(len, count);
        participant.traffic.forwarded += count as u64;
        self.traffic.forwarded += count as u64;
        if exhausted {
            self.traffic.queued_dropped += 1;
            self.drops.add(DropReason::Unsubscribed.index());
            self.remove(id, LeaveReason::KeyExhausted);
        }
        burst.written(path, ecn)
    }
}

impl Engine {
    /// Begins to fit what is sent to a participant to its path, if that is wanted and was not begun.
    pub(super) fn fit(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let egress = &mut participant.egress;
        if egress.fitted && egress.congestion.is_none() {
            let random = participant.random.fork(CONGESTION);
            let least =
                self.rooms.get(participant.room).map_or(Bitrate::ZERO, |room| room.config.least_video);
            let (next, bounds) = (egress.transport_seq, (participant.ceiling, least));
            let congestion = Congestion::new(now, egress.feedback, &self.config, next, bounds, random);
            egress.congestion = Some(Box::new(congestion));
            self.share(now, id);
        }
    }
}

/// Which of a participant's queues has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Audio,
    Video,
    /// None: nothing waits, and the pace allows more.
    Padding,
}

impl Egress {
    /// Whose turn it is, and how many bytes may leave together.
    fn turn(&mut self, now: Instant) -> Option<(Queue, usize)> {
        if !self.audio.is_empty() {
            return Some((Queue::Audio, usize::MAX));
        }
        let Some(congestion) = &mut self.congestion else {
            return (!self.video.is_empty()).then_some((Queue::Video, usize::MAX));
        };
        let turn = congestion.turn(now, self.repairs.into(), self.video.len())?;
        let queue = if turn.class == Class::Padding { Queue::Padding } else { Queue::Video };
        Some((queue, turn.bytes))
    }

    /// The entry at the head of a queue.
    #[inline]
    fn front(&self, queue: Queue) -> Option<SendEntry> {
        match queue {
            Queue::Audio => self.audio.front().copied(),
            _ => self.video.front().copied(),
        }
    }

    #[inline]
    fn pop(&mut self, queue: Queue) {
        match queue {
            Queue::Audio => self.audio.pop_front(),
            _ => {
                self.repairs = self.repairs.saturating_sub(1);
                self.video.pop_front()
            }
        };
    }

    /// Drops what waits.
    fn clear(&mut self) {
        self.audio.clear();
        self.video.clear();
        self.repairs = 0;
    }

    /// The marks that media leaves with.
    pub(super) fn ecn(&self, enabled: bool, protocol: Protocol) -> Ecn {
        let reported = self.feedback == FeedbackKind::Streams && protocol == Protocol::Udp;
        if enabled && reported { Ecn::Ect1 } else { Ecn::NotEct }
    }

    /// A datagram was sealed. Says whether the next number of its own stream is to be left out.
    #[inline]
    pub(super) fn on_left(
        &mut self,
        now: Instant,
        left: Left,
        size: usize,
        name: Option<u64>,
        again: bool,
    ) -> bool {
        let Some(congestion) = &mut self.congestion else {
            self.transport_seq = self.transport_seq.wrapping_add(u64::from(left.numbered));
            return false;
        };
        let leaves_out = congestion.on_sent(now, left, size, name, again);
        self.transport_seq = congestion.departures.next();
        leaves_out
    }

    /// A burst is written.
    fn on_burst(&mut self, now: Instant, queue: Queue, burst: &Burst, ecn: Ecn) {
        let entries = if queue == Queue::Audio { &mut self.audio } else { &mut self.video };
        if entries.is_empty() {
            // Begins at the front again: the same few cache lines for every packet.
            entries.clear();
        }
        let Some(congestion) = &mut self.congestion else { return };
        if let Some(sharing) = &mut congestion.sharing {
            let audio = if queue == Queue::Audio { burst.paced } else { 0 };
            sharing.audio.add(audio);
            sharing.repair.add(burst.repaired);
        }
        if queue == Queue::Video && burst.count > 0 {
            congestion.on_paced(now, Class::Media, burst.count, burst.paced);
            congestion.newest = burst.newest.or(congestion.newest);
        }
        if ecn == Ecn::Ect1 {
            congestion.counts.ect1 += burst.count as u64;
        }
    }
}

/// Datagrams in a row at the start of a buffer.
struct Burst {
    len: usize,
    /// The size of all but the last.
    segment: usize,
    count: usize,
    /// Their bytes with all headers, and of these what is sent again.
    paced: usize,
    repaired: usize,
    /// What the last of new media belongs to.
    newest: Option<SubscriptionId>,
    mtu: usize,
    /// In a stream each datagram has its length in front, and the sizes may differ.
    framed: bool,
}

impl Burst {
    fn new(mtu: usize, protocol: Protocol) -> Self {
        Burst {
            len: 0,
            segment: 0,
            count: 0,
            paced: 0,
            repaired: 0,
            newest: None,
            mtu,
            framed: protocol == Protocol::Tcp,
        }
    }

    fn front(&self) -> usize {
        if self.framed { framing::PREFIX } else { 0 }
    }

    /// Where the next datagram goes, and how long it may be: the first sets the size, none after it is longer.
    #[inline]
    fn room<'b>(&self, buf: &'b mut [u8]) -> (&'b mut [u8], usize) {
        let room = buf.get_mut(self.len + self.front()..).unwrap_or_default();
        let longest = if self.framed || self.count == 0 { self.mtu } else { self.segment };
        let most = room.len().min(longest);
        (room, most)
    }

    /// A datagram stands there; true if it has to be the last.
    #[inline]
    fn add(&mut self, buf: &mut [u8], len: usize, overhead: usize) -> bool {
        self.segment = if self.count == 0 { len } else { self.segment };
        let (start, front) = (self.len, self.front());
        let prefix = framing::prefix(len).filter(|_| self.framed);
        if let (Some(prefix), Some(place)) = (prefix, buf.get_mut(start..start + front)) {
            place.copy_from_slice(&prefix);
        }
        self.len += front + len;
        self.paced += len + overhead;
        self.count += 1;
        len < self.segment && !self.framed
    }

    /// Bytes of the datagrams alone.
    fn plain_len(&self) -> usize {
        self.len - self.count * self.front()
    }

    fn written(&self, path: Path, ecn: Ecn) -> Option<Written> {
        let several = u16::try_from(self.segment).ok().filter(|_| self.count > 1 && !self.framed);
        let segment_size = several.and_then(NonZeroU16::new);
        (self.count > 0).then_some(Written { path, ecn, len: self.len, segment_size })
    }
}

/// A datagram at the start of `buf` as it goes its way: behind its length in a stream.
pub(super) fn enclose(path: Path, buf: &mut [u8], len: usize) -> Option<Written> {
    let written = Written { path, ecn: Ecn::NotEct, len, segment_size: None };
    if path.protocol != Protocol::Tcp {
        return Some(written);
    }
    let frame = buf.get_mut(..framing::PREFIX + len)?;
    frame.copy_within(..len, framing::PREFIX);
    *frame.first_chunk_mut()? = framing::prefix(len)?;
    Some(Written { len: framing::PREFIX + len, ..written })
}

/// What the packets of one transmit are made from.
pub(super) struct Desk<'e> {
    pub(super) subscriptions: &'e mut Slots<SubscriptionId, Subscription>,
    pub(super) sources: &'e Slots<SourceId, Source>,
    pub(super) streams: &'e Slots<StreamId, Stream>,
    pub(super) pages: &'e Pages,
    pub(super) sealer: &'e Sealer,
    pub(super) codecs: &'e [Codec],
    pub(super) redundancy: Option<Redundancy>,
    pub(super) abs_send_time: [u8; 3],
}

/// The label of the fork that draws for what is left out on purpose.
const CONGESTION: u64 = 2;

impl Desk<'_> {
    /// Writes and seals one entry at the start of `room`, if it takes at most `most` bytes.
    #[inline]
    pub(super) fn seal(
        &mut self,
        entry: &SendEntry,
        transport_seq: u64,
        room: &mut [u8],
        most: usize,
        may_wait: bool,
    ) -> Sealed {
        let Some(subscription) = self.subscriptions.get_mut(entry.subscription) else {
            return Sealed::Dropped(DropReason::Unsubscribed);
        };
        let history = self.streams.get(entry.stream).map(|stream| &stream.history);
        let held = history.and_then(|history| {
            let packet = history.get(entry.seq)?;
            Some((packet, history.bytes(self.pages, packet)?))
        });
        let Some((packet, (extensions, payload))) = held else {
            return Sealed::Dropped(DropReason::Expired);
        };
        // For who gets no higher layer a picture ends with the last packet of this one.
        let marker = packet.marker || packet.place.ends_picture_of(entry.top);
        let payload = if entry.emptied { &[] } else { payload };
        let Some(header) = subscription.header(entry, packet.codec, marker) else {
            return Sealed::Dropped(DropReason::Unnegotiated);
        };
        let redundancy = self.redundancy.filter(|redundancy| redundancy.is_red(packet.codec));
        let share = redundancy.map_or(Ok(Share::whole(payload)), |redundancy| {
            let source = self.sources.get(subscription.source).ok_or(DropReason::Unsubscribed)?;
            let opaque = self.streams.get(entry.stream).is_some_and(|stream| stream.opaque);
            redundancy.share(payload, (&source.ingress, opaque), subscription)
        });
        let Share { payload, renumbered } = match share {
            Ok(share) => share,
            Err(reason) => return Sealed::Dropped(reason),
        };
        let too_long = if may_wait { Sealed::NextTime } else { Sealed::Dropped(DropReason::AboveMtu) };
        let ids = &subscription.extensions;
        let own = Own { transport_seq, abs_send_time: self.abs_send_time, frame_shift: entry.shift.frame };
        let Some(header_len) = header.write(room, ids, extensions, &own) else {
            return too_long;
        };
        // A retransmission's payload begins with the number it repairs (RFC 4588, section 4).
        let repaired = rtp::rtx::head(entry.out.wire());
        let head = if entry.retransmission { &repaired[..] } else { &[] };
        let plain_len = head.len() + payload.len();
        if header_len + plain_len + self.sealer.rtp_overhead() > most {
            return too_long;
        }
        let Some(body) = room.get_mut(header_len..header_len + plain_len) else {
            return too_long;
        };
        let (body_head, body_rest) = body.split_at_mut(head.len());
        body_head.copy_from_slice(head);
        body_rest.copy_from_slice(payload);
        if entry.shift != Shift::default() {
            let format = self.codecs.get(usize::from(packet.codec)).and_then(|codec| codec.format());
            shift_payload(format, body_rest, entry.shift);
        }
        if let Some(payload_type) = renumbered {
            // It was read when it came.
            let _ = red::renumber(body_rest, payload_type);
        }
        let Ok(len) = self.sealer.seal_rtp_in_place(header.seq, header.ssrc, header_len, room, plain_len)
        else {
            return Sealed::Exhausted;
        };
        subscription.on_sent(entry.retransmission, payload.len());
        let numbered = subscription.extensions.transport_sequence_number != UNNEGOTIATED;
        Sealed::Datagram(Left { len, ssrc: header.ssrc.0, seq: header.seq.0 as u16, numbered })
    }

    /// The next number of a subscription's retransmissions is used for nothing.
    pub(super) fn leave_out(&mut self, key: SubscriptionId) {
        if let Some(subscription) = self.subscriptions.get_mut(key) {
            subscription.rtx_next = SeqNo(subscription.rtx_next.0 + 1);
        }
    }

    /// Writes and seals padding alone, on a subscription's stream of retransmissions (RFC 4588), at the start of `room`.
    pub(super) fn pad(
        &mut self,
        key: SubscriptionId,
        timestamp: u32,
        transport_seq: u64,
        room: &mut [u8],
        count: u8,
    ) -> Option<Left> {
        let subscription = self.subscriptions.get_mut(key)?;
        let types = subscription.rtx_payload_types.iter().copied();
        let payload_type =
            types.filter(|payload_type| *payload_type != UNNEGOTIATED).find_map(PayloadType::new)?;
        let (seq, ssrc) = (subscription.rtx_next, subscription.rtx_ssrc);
        let header = Header { seq, ssrc, payload_type, marker: false, timestamp, padding: true };
        let ids = &subscription.extensions;
        let own = Own { transport_seq, abs_send_time: self.abs_send_time, frame_shift: 0 };
        let header_len = header.write(room, ids, &[], &own)?;
        rtp::write_padding(room.get_mut(header_len..)?, count).ok()?;
        let len = self.sealer.seal_rtp_in_place(seq, ssrc, header_len, room, count.into()).ok()?;
        subscription.rtx_next = SeqNo(seq.0 + 1);
        let numbered = ids.transport_sequence_number != UNNEGOTIATED;
        Some(Left { len, ssrc: ssrc.0, seq: seq.0 as u16, numbered })
    }
}

/// Moves the numbers of a payload descriptor where they stand.
#[cold]
fn shift_payload(format: Option<Format>, payload: &mut [u8], shift: Shift) {
    // What has no descriptor that can be read has no numbers.
    let _ = match format {
        Some(Format::Vp8) => vp8::shift(payload, shift.picture, shift.base_picture),
        Some(Format::Vp9) => vp9::shift(payload, shift.picture, shift.base_picture),
        _ => Ok(()),
    };
}

/// What each datagram has of its own among the header extensions.
struct Own {
    transport_seq: u64,
    abs_send_time: [u8; 3],
    /// What is added to the dependency descriptor's frame number.
    frame_shift: u16,
}

/// The numbers of one datagram's header.
struct Header {
    seq: SeqNo,
    ssrc: rtp::Ssrc,
    payload_type: PayloadType,
    marker: bool,
    timestamp: u32,
    /// Whether the payload ends in padding.
    padding: bool,
}

impl Subscription {
    /// The header of an entry; a retransmission draws the next number of its own stream (RFC 4588).
    fn header(&self, entry: &SendEntry, codec: u8, marker: bool) -> Option<Header> {
        let (table, ssrc, seq) = if entry.retransmission {
            (&self.rtx_payload_types, self.rtx_ssrc, self.rtx_next)
        } else {
            (&self.payload_types, self.ssrc, entry.out)
        };
        let payload_type = table.get(usize::from(codec)).copied().filter(|pt| *pt != UNNEGOTIATED)?;
        Some(Header {
            seq,
            ssrc,
            payload_type: PayloadType::new(payload_type)?,
            marker,
            timestamp: entry.timestamp,
            padding: false,
        })
    }

    fn on_sent(&mut self, retransmission: bool, payload_len: usize) {
        if retransmission {
            self.rtx_next = SeqNo(self.rtx_next.0 + 1);
            self.resent.add(payload_len);
        } else {
            self.sent.add(payload_len);
        }
    }
}

impl Header {
    /// Writes the header with the subscription's own extensions and those that are passed on.
    #[inline]
    fn write(&self, room: &mut [u8], ids: &EgressExtensions, passed: &[u8], own: &Own) -> Option<usize> {
        let &Header { marker, payload_type, ssrc, .. } = self;
        let (seq, timestamp) = (rtp::WireSeq(self.seq.0 as u16), RtpTime(self.timestamp));
        let mut writer = if ids.mixed {
            HeaderWriter::mixed(room, marker, payload_type, seq, timestamp, ssrc)
        } else {
            HeaderWriter::new(room, marker, payload_type, seq, timestamp, ssrc)
        }
        .ok()?;
        if self.padding {
            writer.padding();
        }
        if ids.transport_sequence_number != UNNEGOTIATED {
            writer
                .extension(ids.transport_sequence_number, &(own.transport_seq as u16).to_be_bytes())
                .ok()?;
        }
        if ids.abs_send_time != UNNEGOTIATED {
            writer.extension(ids.abs_send_time, &own.abs_send_time).ok()?;
        }
        let mut rest = passed;
        while let [kind, len, tail @ ..] = rest {
            let (value, tail) = tail.split_at_checked(usize::from(*len))?;
            let id = ids.forwarded.get(usize::from(*kind)).copied().unwrap_or(UNNEGOTIATED);
            // Without the two-byte form there is no way to write a long value: it is left out.
            if id != UNNEGOTIATED && (ids.mixed || rtp::fits_one_byte(id, value)) {
                if usize::from(*kind) == ExtensionKind::DependencyDescriptor.index() && own.frame_shift != 0 {
                    write_shifted(&mut writer, id, value, own.frame_shift)?;
                } else {
                    writer.extension(id, value).ok()?;
                }
            }
            rest = tail;
        }
        writer.finish().ok()
    }
}

/// A dependency descriptor whose frame number is moved.
#[cold]
fn write_shifted(writer: &mut HeaderWriter<'_>, id: u8, value: &[u8], shift: u16) -> Option<()> {
    let mut moved = [0; u8::MAX as usize];
    let moved = moved.get_mut(..value.len())?;
    moved.copy_from_slice(value);
    let number = dependency::Descriptor::parse(value).ok()?.head().frame_number;
    dependency::set_frame_number(moved, number.wrapping_add(shift)).ok()?;
    writer.extension(id, moved).ok()
}
