//! The way out: header, rewritten head and shared payload go to their final place in the caller's
//! buffer and are sealed there.

use crate::base::limits;
use crate::base::slots::Slots;
use crate::base::time::Instant;
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
use crate::wire::mux::{Path, Protocol};
use crate::wire::payload::{Format, dependency, vp8, vp9};
use crate::wire::rtp::{self, ExtensionKind, HeaderWriter, PayloadType, RtpTime, SeqNo, red};
use std::num::NonZeroU16;

/// What was written at the start of the caller's buffer.
pub(super) struct Written {
    pub(super) path: Path,
    pub(super) len: usize,
    pub(super) segment_size: Option<NonZeroU16>,
}

/// What became of the entry at the head of a queue.
enum Sealed {
    /// A datagram of this length stands in the buffer.
    Datagram(usize),
    /// It does not fit behind the datagrams already there: the next transmit takes it.
    NextTime,
    Dropped(DropReason),
    Exhausted,
}

impl Engine {
    /// Writes the next transmit to a participant: first what keeps the path alive, then reports and
    /// feedback, then a burst of media.
    pub(super) fn write_next(&mut self, now: Instant, id: ParticipantId, buf: &mut [u8]) -> Option<Written> {
        if self.participants.get(id)?.egress.control {
            let written = self.write_control(now, id, buf);
            if written.is_some() {
                return written;
            }
            self.participants.get_mut(id)?.egress.control = false;
        }
        self.write_media(now, id, buf)
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

    /// As many datagrams of one size as fit, the last one possibly shorter.
    fn write_media(&mut self, now: Instant, id: ParticipantId, buf: &mut [u8]) -> Option<Written> {
        let participant = self.participants.get_mut(id)?;
        let path = participant.path?;
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
        let (mut len, mut segment, mut count) = (0, 0, 0);
        // In a stream each datagram has its length in front, and the sizes may differ.
        let framed = path.protocol == Protocol::Tcp;
        let front = if framed { framing::PREFIX } else { 0 };
        let mut exhausted = false;
        while count < limits::TRANSMIT_BURST && !exhausted {
            let Some(entry) = egress.queue.front() else { break };
            // The first datagram sets the size; none after it may be longer.
            let room = buf.get_mut(len + front..).unwrap_or_default();
            let longest = if framed || count == 0 { self.config.mtu } else { segment };
            let most = room.len().min(longest);
            let outcome = desk.seal(entry, egress.transport_seq, room, most, count > 0);
            if matches!(outcome, Sealed::NextTime) {
                break;
            }
            let retransmission = entry.retransmission;
            egress.queue.pop_front();
            match outcome {
                Sealed::Datagram(written) => {
                    participant.traffic.retransmitted += u64::from(retransmission);
                    egress.transport_seq = egress.transport_seq.wrapping_add(1);
                    segment = if count == 0 { written } else { segment };
                    let prefix = framing::prefix(written).filter(|_| framed);
                    if let (Some(prefix), Some(place)) = (prefix, buf.get_mut(len..len + front)) {
                        place.copy_from_slice(&prefix);
                    }
                    len += front + written;
                    count += 1;
                    if written < segment && !framed {
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
        if egress.queue.is_empty() {
            // Begins at the front again: the same few cache lines for every packet.
            egress.queue.clear();
        }
        participant.traffic.on_sent(len - count * front, count);
        self.traffic.on_sent(len - count * front, count);
        participant.traffic.forwarded += count as u64;
        self.traffic.forwarded += count as u64;
        if exhausted {
            self.traffic.queued_dropped += 1;
            self.drops.add(DropReason::Unsubscribed.index());
            self.remove(id, LeaveReason::KeyExhausted);
        }
        let several = u16::try_from(segment).ok().filter(|_| count > 1 && !framed);
        (count > 0).then_some(Written { path, len, segment_size: several.and_then(NonZeroU16::new) })
    }
}

/// A datagram at the start of `buf` as it goes its way: behind its length in a stream.
fn enclose(path: Path, buf: &mut [u8], len: usize) -> Option<Written> {
    let written = Written { path, len, segment_size: None };
    if path.protocol != Protocol::Tcp {
        return Some(written);
    }
    let frame = buf.get_mut(..framing::PREFIX + len)?;
    frame.copy_within(..len, framing::PREFIX);
    *frame.first_chunk_mut()? = framing::prefix(len)?;
    Some(Written { len: framing::PREFIX + len, ..written })
}

/// What the packets of one transmit are made from.
struct Desk<'e> {
    subscriptions: &'e mut Slots<SubscriptionId, Subscription>,
    sources: &'e Slots<SourceId, Source>,
    streams: &'e Slots<StreamId, Stream>,
    pages: &'e Pages,
    sealer: &'e Sealer,
    codecs: &'e [Codec],
    redundancy: Option<Redundancy>,
    abs_send_time: [u8; 3],
}

impl Desk<'_> {
    /// Writes and seals one entry at the start of `room`, if it takes at most `most` bytes.
    #[inline]
    fn seal(
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
        Sealed::Datagram(len)
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
