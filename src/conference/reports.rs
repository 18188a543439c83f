//! RTCP of our own: requests for what a participant publishes, reports on what it receives. Written
//! straight into the caller's buffer when the participant's turn comes; nothing is queued.

use crate::base::limits;
use crate::base::time::Instant;
use crate::conference::decisions::{Choice, KeyFrameReason};
use crate::conference::engine::Engine;
use crate::conference::ids::{ParticipantId, SourceId};
use crate::conference::negotiation::MediaKind;
use crate::conference::participant::{Round, Seldom, Timer};
use crate::conference::round_trip::reference_time;
use crate::conference::source::{SenderClock, Stream};
use crate::conference::subscription::Subscription;
use crate::wire::rtcp::{FirEntry, NtpTime, ReportBlock, SenderInfo, Writer};
use crate::wire::rtp::{RtpTime, Ssrc, WireSeq};
use smallvec::SmallVec;

/// Report blocks of one packet, and sources of a BYE (RFC 3550, sections 6.4.1 and 6.6: five bits of count).
const BLOCKS: usize = 31;

/// Room kept for SRTCP's index and tag.
pub(super) const TRAILER: usize = 32;

impl Engine {
    /// Asks an encoding for a key frame, now or when its spacing allows.
    pub(super) fn want_keyframe(
        &mut self,
        now: Instant,
        source: SourceId,
        encoding: u8,
        reason: KeyFrameReason,
    ) {
        let Some(source) = self.sources.get_mut(source) else {
            return;
        };
        if source.info.kind != MediaKind::Video || !source.ingress.pli && !source.ingress.fir {
            return;
        }
        let publisher = source.info.participant;
        let id = source.info.id;
        let Some(place) = source.encoding_mut(encoding) else { return };
        let since = place.keyframes.asked().map(|asked| now - asked);
        let news = place.keyframes.want();
        match place.keyframes.deadline() {
            Some(at) if at > now => self.arm(publisher, Timer::Keyframes, at),
            _ => {
                if let Some(participant) = self.participants.get_mut(publisher) {
                    participant.rtcp.keyframes = true;
                }
                self.make_ready(publisher);
            }
        }
        if news {
            self.decide(now, publisher, Choice::KeyFrame { source: id, encoding, reason, since });
        }
    }

    /// Reports are due an interval after the first reason for one.
    pub(super) fn arm_reports(&mut self, now: Instant, id: ParticipantId) {
        if self.participants.get(id).is_some_and(|participant| !participant.timers.is_armed(Timer::Reports)) {
            self.arm(id, Timer::Reports, now + limits::REPORT_INTERVAL);
        }
    }

    /// A round of reports begins; the next one follows while there is anything to report on.
    pub(super) fn begin_reports(&mut self, now: Instant, id: ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let receives = participant
            .sources
            .iter()
            .any(|source| self.sources.get(*source).is_some_and(|source| source.streams().next().is_some()));
        let sends = participant
            .subscriptions
            .iter()
            .any(|key| self.subscriptions.get(*key).is_some_and(|subscription| subscription.seat.is_some()));
        if !receives && !sends {
            return;
        }
        let left = participant.subscriptions.len();
        participant.rtcp.reports = Some(Round { next: participant.rtcp.first_report, left, datagrams: 0 });
        // Spread over 0.8 to 1.2 intervals, so that a room's reports do not fall together
        // (RFC 3550, section 6.3.1).
        let interval = limits::REPORT_INTERVAL / 1_000 * (800 + participant.random.below(401) as u32);
        self.arm(id, Timer::Reports, now + interval);
    }

    /// The next RTCP datagram that is due, sealed; `None` when nothing is.
    pub(super) fn write_rtcp(&mut self, now: Instant, id: ParticipantId, buf: &mut [u8]) -> Option<usize> {
        let participant = self.participants.get_mut(id)?;
        participant.network.keys()?;
        let room = buf.len().min(self.config.mtu).checked_sub(TRAILER)?;
        let due = &participant.rtcp;
        let ended = due.has_ended();
        if !due.feedback && !due.nacks && !due.keyframes && due.reports.is_none() && !ended {
            return None;
        }
        let mut writer = Writer::new(buf.get_mut(..room)?);
        if let Some(round) = participant.rtcp.reports {
            self.write_reports(now, id, round, &mut writer);
        } else if ended || !participant.reduced_size_rtcp {
            // A compound begins with a report (RFC 3550, section 6.1); of reduced size is feedback alone.
            writer.receiver_report(participant.ssrc, &[]).ok()?;
        }
        let prefix = writer.len();
        self.write_keyframe_requests(now, id, &mut writer);
        self.write_nacks(now, id, &mut writer);
        self.write_feedback(now, id, &mut writer);
        self.write_byes(id, &mut writer);
        let len = writer.len();
        let participant = self.participants.get_mut(id)?;
        // What was due turned out to be nothing.
        if len == 0 || (len == prefix && prefix == 8) {
            return None;
        }
        let keys = participant.network.keys()?;
        keys.sealer.seal_rtcp(buf, len).ok()
    }

    /// Sender reports on the round's subscriptions that sent anything since the last (RFC 3550,
    /// section 6.4), receiver report blocks on published streams, and the CNAMEs that tie streams together.
    fn write_reports(&mut self, now: Instant, id: ParticipantId, mut round: Round, writer: &mut Writer<'_>) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let mut named: SmallVec<[(Ssrc, ParticipantId); 32]> = SmallVec::new();
        let (first, count) = (round.datagrams == 0, participant.subscriptions.len());
        // 28 bytes of report and 28 of description each, after the blocks.
        let reserve = if first { 400 } else { 40 };
        while round.left > 0 && writer.room() > reserve + 28 * (named.len() + 2) {
            let key = participant.subscriptions.get(round.next.checked_rem(count).unwrap_or(0));
            (round.next, round.left) = (round.next + 1, round.left - 1);
            let Some(key) = key else {
                continue;
            };
            let Some(subscription) = self.subscriptions.get_mut(*key) else {
                continue;
            };
            let Some(source) = self.sources.get(subscription.source) else {
                continue;
            };
            let Some(listener) = subscription.seat.and_then(|seat| source.audience.get(seat)) else {
                continue;
            };
            // The clock of what is sent now: its numbers are what the timestamps are moved from.
            let sent_now = listener.rewriter.encoding().filter(|(_, same)| *same);
            let encoding = sent_now.and_then(|(encoding, _)| source.encoding(encoding));
            let stream = encoding.and_then(|encoding| self.streams.get(encoding.stream?));
            let Some((clock, rate)) =
                stream.and_then(|stream| Some((stream.sender_report?, stream.clock_rate)))
            else {
                continue;
            };
            let (ntp, rtp) = clock.at(now, rate);
            let sent = &subscription.sent;
            if sent.packets == subscription.reported_packets {
                continue;
            }
            let info = SenderInfo {
                ssrc: subscription.ssrc,
                ntp: NtpTime(ntp),
                rtp_time: RtpTime(rtp.wrapping_add(listener.rewriter.timestamp_delta())),
                packet_count: sent.packets as u32,
                octet_count: sent.payload_bytes as u32,
            };
            if writer.sender_report(&info, &[]).is_ok() {
                subscription.reported = Some((NtpTime(ntp).middle(), now));
                subscription.reported_packets = subscription.sent.packets;
                named.push((subscription.ssrc, subscription.named_after));
            }
        }
        // A buffer too small for one report ends the round; the next one begins with what did not fit.
        participant.rtcp.reports = round.another().filter(|_| !named.is_empty());
        participant.rtcp.first_report = round.next.checked_rem(count).unwrap_or(0);
        let mut blocks: SmallVec<[ReportBlock; 4]> = SmallVec::new();
        if first {
            let sources = participant.sources.iter().filter_map(|source| self.sources.get(*source));
            for key in sources.flat_map(|source| source.streams()).take(BLOCKS) {
                // Of what has ended nothing is expected any more.
                let stream = self.streams.get_mut(key).filter(|stream| !stream.has_ended());
                blocks.extend(stream.map(|stream| stream.block(now)));
            }
        }
        let ssrc = participant.ssrc;
        // A compound begins with a report, be it an empty one.
        if !blocks.is_empty() || named.is_empty() {
            let _ = writer.receiver_report(ssrc, &blocks);
        }
        // Without a sender report of ours its answers tell no round trip.
        let asks = first && named.is_empty() && !blocks.is_empty();
        let seldom = participant.rtcp.seldom.is_some();
        if asks || first && seldom {
            let Seldom { times, .. } = participant.rtcp.seldom();
            let time = asks.then(|| reference_time(now));
            let written = writer.extended_report(ssrc, time, &times.take_answers(now));
            if asks && written.is_ok() {
                times.on_sent(now);
            }
        }
        for (ssrc, named_after) in named {
            let Some(participant) = self.participants.get(named_after) else { continue };
            // A line that sources share has a name of its own.
            let own = (named_after == id).then(|| participant.line_cname(ssrc));
            let _ = writer.sdes_cname(ssrc, own.as_deref().unwrap_or(&participant.cname));
        }
    }

    /// Streams to a participant that have ended (RFC 3550, sections 6.3.7 and 6.6).
    pub(super) fn say_bye(&mut self, subscription: &Subscription) {
        let Some(subscriber) = self.participants.get_mut(subscription.subscriber) else {
            return;
        };
        let Subscription { sent, resent, .. } = subscription;
        for (ssrc, sent) in [(subscription.ssrc, sent), (subscription.rtx_ssrc, resent)] {
            // What was never heard needs no end.
            if sent.packets > 0 && subscriber.rtcp.seldom().ended.len() < limits::BYES {
                subscriber.rtcp.seldom().ended.push(ssrc);
            }
        }
        if subscriber.rtcp.has_ended() {
            self.make_ready(subscription.subscriber);
        }
    }

    /// What finds no room goes with the next datagram.
    pub(super) fn write_byes(&mut self, id: ParticipantId, writer: &mut Writer<'_>) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        let Some(Seldom { ended, .. }) = participant.rtcp.seldom.as_deref_mut() else {
            return;
        };
        while !ended.is_empty() {
            // Four bytes each, behind a header of four.
            let most = (writer.room() / 4).saturating_sub(1).min(BLOCKS);
            let count = ended.len().min(most);
            let told = ended.get(..count).unwrap_or_default();
            if count == 0 || writer.bye(told, "").is_err() {
                return;
            }
            ended.drain(..count);
        }
        // Streams end seldom.
        *ended = Vec::new();
    }

    fn write_keyframe_requests(&mut self, now: Instant, id: ParticipantId, writer: &mut Writer<'_>) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        if !std::mem::take(&mut participant.rtcp.keyframes) {
            return;
        }
        let mut later = None;
        for key in &participant.sources {
            let Some(source) = self.sources.get_mut(*key) else {
                continue;
            };
            for encoding in &mut source.encodings {
                let Some(stream) = encoding.stream.and_then(|stream| self.streams.get_mut(stream)) else {
                    continue;
                };
                if writer.room() < 20 {
                    participant.rtcp.keyframes = true;
                    break;
                }
                if encoding.keyframes.take_due(now) {
                    let _ = if source.ingress.pli {
                        stream.counts.plis += 1;
                        writer.pli(participant.ssrc, stream.ssrc)
                    } else {
                        stream.counts.firs += 1;
                        source.fir_seq = source.fir_seq.wrapping_add(1);
                        let entry = FirEntry { ssrc: stream.ssrc, sequence_number: source.fir_seq };
                        writer.fir(participant.ssrc, &[entry])
                    };
                } else if let Some(at) = encoding.keyframes.deadline() {
                    later = Some(later.map_or(at, |before: Instant| before.min(at)));
                }
            }
        }
        if let Some(at) = later {
            self.arm(id, Timer::Keyframes, at);
        }
    }

    fn write_nacks(&mut self, now: Instant, id: ParticipantId, writer: &mut Writer<'_>) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        if !std::mem::take(&mut participant.rtcp.nacks) {
            return;
        }
        let (mut next, rtt) = (None, participant.round_trip());
        let sources = participant.sources.iter().filter_map(|source| self.sources.get(*source));
        for key in sources.flat_map(|source| source.streams()) {
            let Some(stream) = self.streams.get_mut(key) else {
                continue;
            };
            // Four bytes per request of at least one number, behind a header of twelve.
            let most = writer.room().saturating_sub(12) / 4;
            let mut lost: SmallVec<[WireSeq; 32]> = SmallVec::new();
            stream.missing.take_due(now, rtt, |seq| {
                let fits = lost.len() < most;
                if fits {
                    lost.push(WireSeq(seq.0 as u16));
                }
                fits
            });
            if !lost.is_empty() {
                stream.counts.nacks += 1;
                let _ = writer.nack(participant.ssrc, stream.ssrc, lost.iter().copied());
            }
            next = [next, stream.missing.deadline()].into_iter().flatten().min();
        }
        if let Some(at) = next {
            // What did not fit goes with the next datagram.
            if at <= now {
                participant.rtcp.nacks = true;
            } else {
                self.arm(id, Timer::Repair, at);
            }
        }
    }
}

impl SenderClock {
    /// The publisher's wall time and timestamp at `now`: its own clock, moved on by the time passed
    /// since its report. Sound and picture of a publisher share that clock, so lips stay in sync.
    fn at(&self, now: Instant, clock_rate: u32) -> (u64, u32) {
        let passed = (now - self.arrival).as_micros();
        let ntp = self.ntp.wrapping_add(((passed << 32) / 1_000_000) as u64);
        let rtp = self.rtp.wrapping_add((passed * u128::from(clock_rate) / 1_000_000) as u32);
        (ntp, rtp)
    }

    /// The publisher's wall time of a timestamp of the same stream, which is not far from the report's.
    pub(super) fn wall(&self, timestamp: u32, clock_rate: u32) -> u64 {
        let ticks = i128::from(timestamp.wrapping_sub(self.rtp).cast_signed());
        let passed = (ticks << 32).checked_div(i128::from(clock_rate)).unwrap_or(0);
        self.ntp.wrapping_add_signed(passed as i64)
    }

    /// The stream's timestamp at a wall time of the publisher's.
    pub(super) fn timestamp_of(&self, wall: u64, clock_rate: u32) -> u32 {
        let passed = i128::from(wall.wrapping_sub(self.ntp).cast_signed());
        self.rtp.wrapping_add(((passed * i128::from(clock_rate)) >> 32) as u32)
    }
}

impl Stream {
    /// The report block on this stream (RFC 3550, section 6.4.1).
    fn block(&mut self, now: Instant) -> ReportBlock {
        let reported = self.reception.report();
        let (last_sr, delay) = self.sender_report.map_or((0, 0), |report| {
            (NtpTime(report.ntp).middle(), ReportBlock::delay(now - report.arrival))
        });
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: reported.fraction_lost,
            cumulative_lost: reported.cumulative_lost,
            highest_seq: reported.highest,
            jitter: reported.jitter,
            last_sr,
            delay_since_last_sr: delay,
        }
    }
}
