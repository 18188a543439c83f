//! What a client sends: audio and video in packets that prove themselves, repeated when asked for.

use super::describe::Describe;
use crate::support::media::Content;
use crate::support::replay::Replay;
use estafette::rtcp::{self, NtpTime, ReportBlock, SenderInfo};
use estafette::rtp::{
    self, AudioLevel, ExtensionKind, HeaderWriter, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq,
};
use estafette::{Instant, random::Random};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// Payload types and extension ids of every client's own lines.
pub const OPUS: u8 = 111;
pub const VP8: u8 = 96;
pub const VP8_RTX: u8 = 97;
pub const AUDIO_LEVEL: u8 = 1;
pub const ABS_SEND_TIME: u8 = 2;
pub const TRANSPORT_CC: u8 = 3;
pub const MID: u8 = 4;
pub const COLOR_SPACE: u8 = 5;

const AUDIO_INTERVAL: Duration = Duration::from_millis(20);
/// Packets kept for repair.
const HISTORY: u64 = 1_024;

/// What a client publishes.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub audio: bool,
    pub video: bool,
    pub frame_interval: Duration,
    /// Packets of a key frame and of any other.
    pub key_parts: u16,
    pub parts: u16,
    /// Where video's numbers begin: close to the wrap unless a test says otherwise.
    pub first_seq: u64,
    /// Encodings of video, each twice as high as the one before and a packet longer; one is no simulcast.
    pub encodings: usize,
    /// Whether each encoding has three times the packets of the one before instead.
    pub steep: bool,
}

/// The encodings of simulcast by their rids, with the heights of their pictures.
pub const ENCODINGS: [(&str, u16); 3] = [("q", 180), ("h", 360), ("f", 720)];

impl Default for Plan {
    fn default() -> Self {
        let frame_interval = Duration::from_millis(40);
        Plan {
            audio: true,
            video: true,
            frame_interval,
            key_parts: 8,
            parts: 3,
            first_seq: 65_400,
            encodings: 1,
            steep: false,
        }
    }
}

/// A packet to be sealed.
pub struct Plain {
    pub seq: SeqNo,
    pub ssrc: Ssrc,
    pub header: Vec<u8>,
    pub payload: Vec<u8>,
}

struct Kept {
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
}

/// One stream and the stream of its repetitions.
pub struct Outgoing {
    pub ssrc: Ssrc,
    pub rtx_ssrc: Ssrc,
    pub mid: &'static str,
    video: bool,
    next_seq: u64,
    next_rtx: u64,
    /// The next frame, from 0.
    pub frame: u32,
    first_timestamp: u32,
    timestamp: u32,
    next: Option<Instant>,
    history: BTreeMap<u64, Kept>,
    packets: u32,
    pub octets: u32,
    /// Key frames were asked for so often.
    pub requests: u32,
    keyframe_due: bool,
    pub keyframes: u32,
    /// Packets were asked for so often.
    pub asked: u64,
    pub repeated: u64,
    /// Numbers sent so far, whatever became of them.
    pub sent: u64,
    /// How loud it claims to be, in dB below full scale (RFC 6464).
    pub level: u8,
    /// Which of the encodings it is.
    pub encoding: usize,
    /// An encoding that is stopped sends nothing.
    pub stopped: bool,
    /// What its sender reports are off by.
    pub report_offset: u32,
    /// What it says of its layers, in [`ExtensionKind::VideoLayersAllocation`].
    pub allocation: Option<(u8, Vec<u8>)>,
}

impl Outgoing {
    fn new(random: &mut Random, video: bool, first_seq: u64, encoding: usize) -> Self {
        // The timestamps wrap after a few seconds.
        let first_timestamp = (encoding as u32 * 777_777).wrapping_sub(200_000);
        Outgoing {
            ssrc: Ssrc(random.next_u32() | 1),
            rtx_ssrc: Ssrc(random.next_u32() & !1),
            mid: if video { "1" } else { "0" },
            video,
            next_seq: first_seq,
            next_rtx: random.below(30_000),
            frame: 0,
            first_timestamp,
            timestamp: first_timestamp,
            next: None,
            history: BTreeMap::new(),
            packets: 0,
            octets: 0,
            requests: 0,
            keyframe_due: true,
            keyframes: 0,
            asked: 0,
            repeated: 0,
            sent: 0,
            level: 30,
            encoding,
            stopped: false,
            report_offset: 0,
            allocation: None,
        }
    }
}

pub struct Publisher {
    pub plan: Plan,
    room: u32,
    publisher: u32,
    pub audio: Outgoing,
    pub video: Outgoing,
    /// SSRCs that video had before.
    former: Vec<Ssrc>,
    /// The other encodings of simulcast.
    pub upper: Vec<Outgoing>,
    /// The identifiers of rid and repaired rid, and the encodings that the server wants.
    simulcast: Option<(u8, u8, Vec<String>)>,
    /// Plays a recording in place of video.
    pub replay: Option<Replay>,
    transport_seq: u16,
    /// Stops media while it is set, for tests that want silence.
    pub paused: bool,
    started: Option<Instant>,
}

impl Publisher {
    pub fn new(mut random: Random, plan: Plan, room: u32, publisher: u32) -> Self {
        Publisher {
            plan,
            room,
            publisher,
            audio: Outgoing::new(&mut random, false, 60_000, 0),
            video: Outgoing::new(&mut random, true, plan.first_seq, 0),
            upper: (1..plan.encodings.min(ENCODINGS.len()))
                .map(|encoding| Outgoing::new(&mut random, true, plan.first_seq, encoding))
                .collect(),
            former: Vec::new(),
            simulcast: None,
            replay: None,
            transport_seq: 65_000,
            paused: false,
            started: None,
        }
    }

    /// Media begins.
    pub fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
        self.audio.next = Some(now).filter(|_| self.plan.audio);
        self.video.next = Some(now).filter(|_| self.plan.video && self.replay.is_none());
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let replay = self.replay.as_ref().and_then(Replay::poll_timeout);
        [self.audio.next, self.video.next, replay].into_iter().flatten().min()
    }

    /// The packets that are due.
    pub fn due(&mut self, now: Instant) -> Vec<Plain> {
        let mut packets = Vec::new();
        while let Some(at) = self.audio.next.filter(|at| *at <= now) {
            self.audio.next = Some(at + AUDIO_INTERVAL);
            if !self.paused && self.plan.audio {
                let content = Content::audio(self.room, self.publisher, self.audio.frame);
                self.audio.frame += 1;
                packets.push(self.packet(now, 0, content));
            }
            self.audio.timestamp = self.audio.timestamp.wrapping_add(960);
        }
        while let Some(at) = self.video.next.filter(|at| *at <= now) {
            self.video.next = Some(at + self.plan.frame_interval);
            if !self.paused && self.plan.video {
                for encoding in 0..=self.upper.len() {
                    packets.extend(self.frame(now, encoding));
                }
            }
            let ticks = self.plan.frame_interval.as_micros() as u32 / 100 * 9;
            for outgoing in [&mut self.video].into_iter().chain(&mut self.upper) {
                outgoing.frame += u32::from(!self.paused && self.plan.video);
                outgoing.timestamp = outgoing.timestamp.wrapping_add(ticks);
            }
        }
        if let Some(replay) = &mut self.replay {
            packets.extend(replay.due(now, &mut self.transport_seq));
        }
        packets
    }

    /// The next frame of an encoding, if the server wants it.
    fn frame(&mut self, now: Instant, encoding: usize) -> Vec<Plain> {
        let (rid, height) = ENCODINGS[encoding];
        let wanted = self.simulcast.as_ref().map(|(_, _, rids)| rids.iter().any(|wanted| wanted == rid));
        let (room, publisher, plan) = (self.room, self.publisher, self.plan);
        let Some(outgoing) = self.encoding(encoding) else { return Vec::new() };
        if outgoing.stopped || !wanted.unwrap_or(encoding == 0) {
            return Vec::new();
        }
        let keyframe = std::mem::take(&mut outgoing.keyframe_due);
        outgoing.keyframes += u32::from(keyframe);
        let parts = if keyframe { plan.key_parts } else { plan.parts };
        let parts = if plan.steep { parts * 3u16.pow(encoding as u32) } else { parts + encoding as u16 };
        let frame = outgoing.frame;
        let content = |part| Content { room, publisher, video: true, frame, part, parts, keyframe, height };
        (0..parts).map(|part| self.packet(now, encoding, content(part))).collect()
    }

    /// An encoding of video.
    pub fn encoding(&mut self, encoding: usize) -> Option<&mut Outgoing> {
        [&mut self.video].into_iter().chain(&mut self.upper).nth(encoding)
    }

    /// Takes what both sides agreed on.
    pub fn agree(&mut self, describe: &Describe) {
        if let Some(replay) = &mut self.replay {
            replay.agree(describe);
        }
        let id_of = |kind: ExtensionKind| {
            let (_, extensions) = describe.published_video()?;
            extensions.iter().find(|(_, uri)| uri == kind.uri()).map(|(id, _)| *id)
        };
        let (rid, repaired) = (id_of(ExtensionKind::Rid), id_of(ExtensionKind::RepairedRid));
        self.simulcast = rid.zip(repaired).zip(describe.simulcast.clone()).map(|((a, b), rids)| (a, b, rids));
    }

    /// What an offer, or an answer after simulcast was agreed on, says of the encodings.
    pub fn describe_simulcast(&self, sdp: &mut String) {
        let rids: Vec<&str> = ENCODINGS.iter().take(self.plan.encodings).map(|(rid, _)| *rid).collect();
        rids.iter().for_each(|rid| _ = write!(sdp, "a=rid:{rid} send\r\n"));
        let _ = write!(sdp, "a=simulcast:send {}\r\n", rids.join(";"));
    }

    /// Video goes on as another stream, whose numbers begin elsewhere.
    pub fn replace_video(&mut self, ssrc: Ssrc, next_seq: u64) {
        self.former.push(self.video.ssrc);
        (self.video.ssrc, self.video.next_seq, self.video.keyframe_due) = (ssrc, next_seq, true);
        self.video.history.clear();
    }

    /// Whether a stream is one that is sent.
    pub fn sends(&mut self, ssrc: Ssrc) -> bool {
        let replayed = self.replay.as_mut().is_some_and(|replay| replay.stream(ssrc).is_some());
        replayed || self.outgoing(ssrc).is_some() || self.former.contains(&ssrc)
    }

    fn packet(&mut self, now: Instant, encoding: usize, content: Content) -> Plain {
        let rid = self.simulcast.as_ref().map(|(rid, _, _)| (*rid, ENCODINGS[encoding].0));
        let outgoing = match (content.video, encoding) {
            (false, _) => &mut self.audio,
            (true, 0) => &mut self.video,
            (true, _) => &mut self.upper[encoding - 1],
        };
        let payload = content.payload();
        let kept = Kept { timestamp: outgoing.timestamp, marker: content.part + 1 == content.parts, payload };
        let seq = outgoing.next_seq;
        outgoing.next_seq += 1;
        outgoing.sent += 1;
        outgoing.packets += 1;
        outgoing.octets += kept.payload.len() as u32;
        let payload_type = if content.video { VP8 } else { OPUS };
        let rid = rid.filter(|_| content.video);
        let numbers = (payload_type, outgoing.ssrc, seq);
        let header = header(now, outgoing, numbers, rid, &kept, &mut self.transport_seq);
        let plain = Plain { seq: SeqNo(seq), ssrc: outgoing.ssrc, header, payload: kept.payload.clone() };
        outgoing.history.insert(seq, kept);
        outgoing.history.remove(&seq.wrapping_sub(HISTORY));
        plain
    }

    /// The stream that an SSRC names.
    pub fn outgoing(&mut self, ssrc: Ssrc) -> Option<&mut Outgoing> {
        let own = [&mut self.audio, &mut self.video].into_iter().chain(&mut self.upper);
        own.into_iter().find(|outgoing| outgoing.ssrc == ssrc)
    }

    /// The number that a stream sent last.
    pub fn newest(&mut self, ssrc: Ssrc) -> WireSeq {
        if let Some(newest) = self.replay.as_ref().and_then(|replay| replay.newest(ssrc)) {
            return newest;
        }
        let outgoing = self.outgoing(ssrc).expect("a stream that is sent");
        SeqNo(outgoing.next_seq - 1).wire()
    }

    /// Repeats a packet (RFC 4588), if it is still there.
    pub fn repeat(&mut self, now: Instant, media: Ssrc, wire: WireSeq) -> Option<Plain> {
        if let Some(replay) = self.replay.as_mut().filter(|replay| replay.plays(media)) {
            return replay.repeat(now, media, wire, &mut self.transport_seq);
        }
        let repaired = self.simulcast.as_ref().map(|(_, repaired, _)| *repaired);
        let mut own = [&mut self.audio, &mut self.video].into_iter().chain(&mut self.upper);
        let outgoing = own.find(|outgoing| outgoing.ssrc == media)?;
        outgoing.asked += 1;
        let original = SeqNo::extend(SeqNo(outgoing.next_seq), wire);
        let kept = outgoing.history.remove(&original.0)?;
        let seq = outgoing.next_rtx;
        outgoing.next_rtx += 1;
        outgoing.repeated += 1;
        let mut payload = original.wire().0.to_be_bytes().to_vec();
        payload.extend(&kept.payload);
        let rid = repaired.map(|id| (id, ENCODINGS[outgoing.encoding].0));
        let numbers = (VP8_RTX, outgoing.rtx_ssrc, seq);
        let header = header(now, outgoing, numbers, rid, &kept, &mut self.transport_seq);
        outgoing.history.insert(original.0, kept);
        Some(Plain { seq: SeqNo(seq), ssrc: outgoing.rtx_ssrc, header, payload })
    }

    /// A receiver wants a key frame of this stream.
    pub fn request_keyframe(&mut self, media: Ssrc) -> bool {
        if let Some(playing) = self.replay.as_mut().and_then(|replay| replay.stream(media)) {
            playing.requests += 1;
            return true;
        }
        let former = self.former.contains(&media);
        let Some(outgoing) = self.outgoing(media) else { return former };
        outgoing.requests += 1;
        outgoing.keyframe_due = true;
        true
    }

    /// Sender reports on what was sent; the first of them carries the report blocks.
    pub fn reports(&self, now: Instant, mut blocks: Vec<ReportBlock>, writer: &mut rtcp::Writer<'_>) {
        blocks.truncate(31);
        let started = self.started.unwrap_or(now);
        let ntp =
            NtpTime((3_900_000_000u64 << 32) + ((u128::from(now.as_micros()) << 32) / 1_000_000) as u64);
        for info in self.replay.iter().flat_map(|replay| replay.reports(now, ntp)) {
            let blocks = std::mem::take(&mut blocks);
            writer.sender_report(&info, &blocks).expect("a report fits a datagram");
        }
        let own = [&self.audio, &self.video].into_iter().chain(&self.upper);
        for outgoing in own.filter(|outgoing| outgoing.packets > 0) {
            let rate: u128 = if outgoing.video { 90_000 } else { 48_000 };
            let ticks = ((now - started).as_micros() * rate / 1_000_000) as u32;
            let ticks = ticks.wrapping_add(outgoing.report_offset);
            let rtp = RtpTime(outgoing.first_timestamp.wrapping_add(ticks));
            let blocks = std::mem::take(&mut blocks);
            let info = SenderInfo {
                ssrc: outgoing.ssrc,
                ntp,
                rtp_time: rtp,
                packet_count: outgoing.packets,
                octet_count: outgoing.octets,
            };
            writer.sender_report(&info, &blocks).expect("a report fits a datagram");
        }
        if !blocks.is_empty() || writer.is_empty() {
            writer.receiver_report(self.audio.ssrc, &blocks).expect("a report fits a datagram");
        }
        writer.sdes_cname(self.audio.ssrc, "secret-cname").expect("a name fits a datagram");
    }
}

fn header(
    now: Instant,
    outgoing: &Outgoing,
    (payload_type, ssrc, seq): (u8, Ssrc, u64),
    rid: Option<(u8, &str)>,
    kept: &Kept,
    transport_seq: &mut u16,
) -> Vec<u8> {
    let mut buf = vec![0; 256];
    let payload_type = PayloadType::new(payload_type).expect("below 128");
    let (seq, timestamp) = (WireSeq(seq as u16), RtpTime(kept.timestamp));
    let long = outgoing.allocation.is_some();
    let writer = if long { HeaderWriter::mixed } else { HeaderWriter::new };
    let mut writer = writer(&mut buf, kept.marker, payload_type, seq, timestamp, ssrc).unwrap();
    if !outgoing.video {
        let level = AudioLevel { voice: outgoing.level < 60, level: outgoing.level };
        writer.extension(AUDIO_LEVEL, &[level.to_byte()]).unwrap();
    }
    writer.extension(ABS_SEND_TIME, &rtp::AbsSendTime::at(now).to_bytes()).unwrap();
    writer.extension(TRANSPORT_CC, &transport_seq.to_be_bytes()).unwrap();
    writer.extension(MID, outgoing.mid.as_bytes()).unwrap();
    if let Some((id, rid)) = rid {
        writer.extension(id, rid.as_bytes()).unwrap();
    }
    if let Some((id, value)) = &outgoing.allocation {
        writer.extension(*id, value).unwrap();
    }
    *transport_seq = transport_seq.wrapping_add(1);
    let len = writer.finish().unwrap();
    buf.truncate(len);
    buf
}
