//! The way out: header, rewritten head and shared payload go to their final place in the caller's
//! buffer and are sealed there.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::drops::DropReason;
use crate::conference::engine::Engine;
use crate::conference::event::LeaveReason;
use crate::conference::participant::{ParticipantId, SendEntry, Timer};
use crate::conference::subscription::{Subscription, UNNEGOTIATED};
use crate::wire::mux::Path;
use crate::wire::rtp::{self, HeaderWriter, PayloadType, RtpTime, SeqNo};
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
        let participant = self.participants.get_mut(id)?;
        if let Some((path, len)) = participant.network.poll_transmit(now, buf) {
            self.sent(id, len, 1);
            return Some(Written { path, len, segment_size: None });
        }
        // A flight's timer starts when the flight has left.
        let at = participant.network.poll_timeout();
        participant.timers.set(Timer::Network, at);
        self.requeue(id);
        let path = self.participants.get(id)?.path?;
        if let Some(len) = self.write_rtcp(now, id, buf) {
            self.sent(id, len, 1);
            return Some(Written { path, len, segment_size: None });
        }
        self.write_media(now, id, path, buf)
    }

    fn sent(&mut self, id: ParticipantId, bytes: usize, datagrams: u64) {
        self.traffic.datagrams_sent += datagrams;
        self.traffic.bytes_sent += bytes as u64;
        if let Some(participant) = self.participants.get_mut(id) {
            participant.traffic.datagrams_sent += datagrams;
            participant.traffic.bytes_sent += bytes as u64;
        }
    }

    /// As many datagrams of one size as fit, the last one possibly shorter.
    fn write_media(
        &mut self,
        now: Instant,
        id: ParticipantId,
        path: Path,
        buf: &mut [u8],
    ) -> Option<Written> {
        let (mut len, mut segment, mut count) = (0, 0, 0);
        while count < limits::TRANSMIT_BURST {
            let Some(entry) = self.participants.get(id)?.egress.queue.front().copied() else {
                break;
            };
            // The first datagram sets the size; none after it may be longer.
            let room = buf.get_mut(len..).unwrap_or_default();
            let most = if count == 0 { room.len().min(self.config.mtu) } else { segment.min(room.len()) };
            let outcome = self.seal(now, id, &entry, room, most, count > 0);
            if !matches!(outcome, Sealed::NextTime)
                && let Some(participant) = self.participants.get_mut(id)
            {
                participant.egress.queue.pop_front();
            }
            match outcome {
                Sealed::Datagram(written) => {
                    segment = if count == 0 { written } else { segment };
                    len += written;
                    count += 1;
                    if written < segment {
                        break;
                    }
                }
                Sealed::NextTime => break,
                Sealed::Dropped(reason) => {
                    self.traffic.queued_dropped += 1;
                    self.count_drop(Some(id), reason);
                }
                Sealed::Exhausted => {
                    self.traffic.queued_dropped += 1;
                    self.remove(id, LeaveReason::KeyExhausted);
                    break;
                }
            }
        }
        if count == 0 {
            return None;
        }
        self.traffic.forwarded += count as u64;
        self.sent(id, len, count as u64);
        let segment_size =
            if count > 1 { u16::try_from(segment).ok().and_then(NonZeroU16::new) } else { None };
        Some(Written { path, len, segment_size })
    }

    /// Writes and seals one entry at the start of `room`, if it takes at most `most` bytes.
    fn seal(
        &mut self,
        now: Instant,
        id: ParticipantId,
        entry: &SendEntry,
        room: &mut [u8],
        most: usize,
        may_wait: bool,
    ) -> Sealed {
        let Some(subscription) = self.subscriptions.get_mut(entry.subscription) else {
            return Sealed::Dropped(DropReason::Unsubscribed);
        };
        let Some(stream) = self.streams.get(entry.stream) else {
            return Sealed::Dropped(DropReason::Expired);
        };
        let Some(packet) = stream.history.get(entry.seq) else {
            return Sealed::Dropped(DropReason::Expired);
        };
        let Some((extensions, payload)) = stream.history.bytes(&self.pages, packet) else {
            return Sealed::Dropped(DropReason::Expired);
        };
        let Some(participant) = self.participants.get_mut(id) else {
            return Sealed::Dropped(DropReason::Unsubscribed);
        };
        let transport_seq = participant.egress.transport_seq;
        let Some(keys) = participant.network.keys() else {
            return Sealed::Dropped(DropReason::NoKeys);
        };

        let head = if entry.retransmission { Some((entry.out.0 as u16).to_be_bytes()) } else { None };
        let header = subscription.header(now, entry, packet.codec, packet.marker);
        let Some(header) = header else {
            return Sealed::Dropped(DropReason::Unnegotiated);
        };
        let Some(header_len) = header.write(room, subscription, extensions, transport_seq, now) else {
            return if may_wait { Sealed::NextTime } else { Sealed::Dropped(DropReason::AboveMtu) };
        };
        let head = head.as_ref().map_or(&[][..], |head| &head[..]);
        let plain_len = head.len() + payload.len();
        if header_len + plain_len + keys.sealer.rtp_overhead() > most {
            return if may_wait { Sealed::NextTime } else { Sealed::Dropped(DropReason::AboveMtu) };
        }
        let Some(body) = room.get_mut(header_len..header_len + plain_len) else {
            return Sealed::Dropped(DropReason::AboveMtu);
        };
        let (body_head, body_rest) = body.split_at_mut(head.len());
        body_head.copy_from_slice(head);
        body_rest.copy_from_slice(payload);
        let Ok(len) = keys.sealer.seal_rtp_in_place(header.seq, header.ssrc, header_len, room, plain_len)
        else {
            return Sealed::Exhausted;
        };
        participant.egress.transport_seq = transport_seq.wrapping_add(1);
        subscription.on_sent(entry.retransmission, payload.len());
        Sealed::Datagram(len)
    }
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
    fn header(&mut self, _now: Instant, entry: &SendEntry, codec: u8, marker: bool) -> Option<Header> {
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
            self.sent.retransmitted_packets += 1;
            self.sent.retransmitted_bytes += payload_len as u64;
        } else {
            self.sent.packets += 1;
            self.sent.payload_bytes += payload_len as u64;
        }
    }
}

impl Header {
    /// Writes the header with the subscription's own extensions and those that are passed on.
    #[inline]
    fn write(
        &self,
        room: &mut [u8],
        subscription: &Subscription,
        passed: &[u8],
        transport_seq: u64,
        now: Instant,
    ) -> Option<usize> {
        let ids = &subscription.extensions;
        let mut writer = HeaderWriter::new(
            room,
            self.marker,
            self.payload_type,
            rtp::WireSeq(self.seq.0 as u16),
            RtpTime(self.timestamp),
            self.ssrc,
        )
        .ok()?;
        if ids.transport_sequence_number != UNNEGOTIATED {
            writer.extension(ids.transport_sequence_number, &(transport_seq as u16).to_be_bytes()).ok()?;
        }
        if ids.abs_send_time != UNNEGOTIATED {
            writer.extension(ids.abs_send_time, &rtp::abs_send_time(now)).ok()?;
        }
        let mut rest = passed;
        while let [kind, len, tail @ ..] = rest {
            let (value, tail) = tail.split_at_checked(usize::from(*len))?;
            let id = ids.forwarded.get(usize::from(*kind)).copied().unwrap_or(UNNEGOTIATED);
            if id != UNNEGOTIATED {
                writer.extension(id, value).ok()?;
            }
            rest = tail;
        }
        writer.finish().ok()
    }
}
