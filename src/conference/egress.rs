//! The way out: header, rewritten head and shared payload go to their final place in the caller's
//! buffer and are sealed there.

use crate::base::limits;
use crate::base::slots::Slots;
use crate::base::time::Instant;
use crate::conference::burst::{Burst, Fitting, Queue};
use crate::conference::congestion::{self, Congestion, Left};
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::event::LeaveReason;
use crate::conference::ids::{ParticipantId, SourceId, StreamId, SubscriptionId};
use crate::conference::negotiation::Codec;
use crate::conference::participant::{SendEntry, Timer};
use crate::conference::redundancy::{Redundancy, Share};
use crate::conference::source::{Source, Stream};
use crate::conference::subscription::{EgressExtensions, Subscription, UNNEGOTIATED};
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
    /// then a burst of media.
    pub(super) fn write_next(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: u64,
        buf: &mut [u8],
    ) -> Option<Written> {
        let egress = &self.participants.get(id)?.egress;
        let fitted = egress.fitted;
        if egress.control {
            let written = self.write_control(now, id, buf);
            if written.is_some() {
                return written;
            }
            self.participants.get_mut(id)?.egress.control = false;
        }
        if fitted {
            return self.write_fitted(now, id, name, buf);
        }
        // A queue of which nothing was left to be sent is empty now.
        while let Some(written) = self.write_burst::<false>(now, id, name, None, buf) {
            if written.is_some() {
                return written;
            }
        }
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

    /// The next transmit of media where a path is known: sound, then what waits when it may leave, and then what
    /// proves the path.
    fn write_fitted(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: u64,
        buf: &mut [u8],
    ) -> Option<Written> {
        self.participants.get_mut(id)?.egress.due = false;
        let (written, in_vain) = loop {
            if !self.begin_fitting(now, id) {
                break (None, true);
            }
            let turn = match self.participants.get_mut(id)?.egress.turn(now) {
                None => break (None, false),
                Some((Queue::Padding, _)) => {
                    let written = self.write_probe(now, id, name, buf);
                    let in_vain = written.is_none();
                    break (written, in_vain);
                }
                turn => turn,
            };
            if let written @ Some(_) = self.write_burst::<true>(now, id, name, turn, buf)? {
                break (written, false);
            }
        };
        self.schedule(now, id, in_vain);
        written
    }

    /// Begins to fit what is sent to a participant to its path, if that is wanted and was not begun.
    pub(super) fn fit(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let egress = &mut participant.egress;
        if egress.fitted && egress.congestion.is_none() {
            let random = participant.random.fork(CONGESTION);
            let known = (egress.transport_seq, participant.ceiling);
            let congestion = Congestion::new(now, egress.feedback, &self.config, known, random);
            egress.congestion = Some(Box::new(congestion));
            self.share(now, id);
        }
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

    /// As many datagrams of one size as fit, the last one possibly shorter: of the queue that has its turn and so many
    /// bytes if the participant's path is known. `None` if nothing can be sent, `Some(None)` if all of it was dropped.
    fn write_burst<const FITTED: bool>(
        &mut self,
        now: Instant,
        id: ParticipantId,
        name: u64,
        turn: Option<(Queue, usize)>,
        buf: &mut [u8],
    ) -> Option<Option<Written>> {
        let participant = self.participants.get_mut(id)?;
        let path = participant.path?;
        let keys = participant.network.keys()?;
        let egress = &mut participant.egress;
        let (queue, bytes) = turn.or_else(|| egress.first())?;
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
        let mut fitting = if FITTED {
            let name = self.departures.is_some().then_some(name);
            Fitting::new(name, congestion::overhead(&path), egress.ecn(self.config.ecn, path.protocol))
        } else {
            Fitting::default()
        };
        let mut burst = Burst::new(self.config.mtu, path.protocol);
        let mut exhausted = false;
        while burst.count < limits::TRANSMIT_BURST && !exhausted {
            let transport_seq = egress.transport_seq;
            let Some(entry) = egress.queue(queue).front() else { break };
            let (retransmission, subscription) = (entry.retransmission, entry.subscription);
            let (room, most) = burst.room(buf);
            let outcome = desk.seal(entry, transport_seq, room, most, burst.count > 0);
            if matches!(outcome, Sealed::NextTime) {
                break;
            }
            egress.pop(queue);
            match outcome {
                Sealed::Datagram(left) => {
                    participant.traffic.retransmitted += u64::from(retransmission);
                    if !FITTED {
                        egress.transport_seq = egress.transport_seq.wrapping_add(u64::from(left.numbered));
                    } else if fitting.on_left(now, egress, left, (subscription, retransmission)) {
                        desk.leave_out(subscription);
                    }
                    if burst.add(buf, left.len) || (FITTED && burst.paced(fitting.overhead) >= bytes) {
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
        if egress.queue(queue).is_empty() {
            // Begins at the front again: the same few cache lines for every packet.
            egress.queue(queue).clear();
        }
        if FITTED {
            fitting.on_burst(now, egress, queue, &burst);
        }
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
        Some(burst.written(path, fitting.ecn))
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
