//! What a client receives: gaps asked for, repetitions put in their place, frames put together.

use crate::support::media::Content;
use crate::support::recording::DEPENDENCY_DESCRIPTOR;
use estafette::Instant;
use estafette::rtcp::ReportBlock;
use estafette::rtp::{self, SeqNo, Ssrc, WireSeq};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A gap may be mere reordering for so long.
const PATIENCE: Duration = Duration::from_millis(10);
/// Between two requests for the same packet.
const RETRY: Duration = Duration::from_millis(70);
const TRIES: u32 = 12;

/// A stream of the server's as its description tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub ssrc: Ssrc,
    pub rtx_ssrc: Option<Ssrc>,
    /// The stream identifier: `p` and the publisher's label.
    pub stream: String,
    pub video: bool,
    pub payload_type: u8,
    pub rtx_payload_type: Option<u8>,
    /// Header extensions of its section, by identifier.
    pub extensions: Vec<(u8, String)>,
}

/// A packet as it came, a repetition in the place of the original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    pub at: Instant,
    pub seq: SeqNo,
    pub timestamp: u32,
    pub marker: bool,
    /// Without padding.
    pub payload: Vec<u8>,
    /// The dependency descriptor, if it has one.
    pub descriptor: Option<Vec<u8>>,
}

/// A packet of any stream as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    pub ssrc: Ssrc,
    pub payload_type: u8,
    pub seq: SeqNo,
    pub timestamp: u32,
    /// With its padding.
    pub payload: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Ask {
    at: Instant,
    tries: u32,
}

#[derive(Debug, Default)]
struct Frame {
    parts: u16,
    have: BTreeSet<u16>,
    keyframe: bool,
    height: u16,
}

/// One received stream.
#[derive(Debug)]
pub struct Track {
    pub announced: Announced,
    pub highest: Option<u64>,
    first: Option<u64>,
    /// The frame of the packet that came first.
    start: Option<u32>,
    missing: BTreeMap<u64, Ask>,
    frames: BTreeMap<u32, Frame>,
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    pub repaired: u64,
    /// Packets that came twice; a repetition of what was not lost is one.
    pub doubled: u64,
    pub asked: u64,
    /// Requests in which they were.
    pub nacks: u64,
    sender_report: Option<(u32, Instant)>,
    pub last_arrival: Option<Instant>,
    /// When the first packet after the longest silence came, and how long that silence was.
    pub longest_silence: Duration,
    /// Packets by who published them: on a line that sources share there are several.
    pub from: BTreeMap<u32, u64>,
    /// The height of the latest picture.
    pub height: Option<u16>,
    publisher: Option<u32>,
    /// The latest timestamp by number, and when it came.
    latest: Option<(u32, Instant)>,
    /// By how much more, or less, time passed by the timestamps than by the arrivals, at most.
    pub drift: Duration,
    /// What came, where it is taped.
    pub tape: Vec<Arrived>,
}

impl Track {
    fn new(announced: Announced) -> Self {
        Track {
            announced,
            highest: None,
            first: None,
            start: None,
            missing: BTreeMap::new(),
            frames: BTreeMap::new(),
            packets: 0,
            bytes: 0,
            repaired: 0,
            doubled: 0,
            asked: 0,
            nacks: 0,
            sender_report: None,
            last_arrival: None,
            longest_silence: Duration::ZERO,
            from: BTreeMap::new(),
            height: None,
            publisher: None,
            latest: None,
            drift: Duration::ZERO,
            tape: Vec::new(),
        }
    }

    /// Numbers between the first and the highest that did not come.
    pub fn lost(&self) -> u64 {
        let span = self.highest.zip(self.first).map_or(0, |(highest, first)| highest - first + 1);
        span.saturating_sub(self.packets - self.doubled)
    }

    /// The label of the publisher.
    pub fn publisher(&self) -> &str {
        self.announced.stream.strip_prefix('p').unwrap_or(&self.announced.stream)
    }

    /// Frames (video) or packets (audio) that came whole.
    pub fn whole(&self) -> usize {
        self.frames.values().filter(|frame| frame.have.len() == usize::from(frame.parts)).count()
    }

    /// The numbers of frames that are not whole, from the one after the first packet's to `last`: what
    /// was sent before cannot be asked for, though a late repair may bring a part of it.
    pub fn broken_until(&self, last: u32) -> Vec<u32> {
        let Some(first) = self.start else { return (0..=last).collect() };
        let whole = |number: &u32| {
            self.frames.get(number).is_some_and(|frame| frame.have.len() == usize::from(frame.parts))
        };
        (first + 1..=last).filter(|number| !whole(number)).collect()
    }

    pub fn first_frame(&self) -> Option<u32> {
        self.frames.keys().next().copied()
    }

    pub fn last_frame(&self) -> Option<u32> {
        self.frames.keys().next_back().copied()
    }

    /// The first key frame that came whole.
    pub fn first_keyframe(&self) -> Option<u32> {
        let whole = |frame: &Frame| frame.keyframe && frame.have.len() == usize::from(frame.parts);
        self.frames.iter().find(|(_, frame)| whole(frame)).map(|(number, _)| *number)
    }

    /// A number came: what is missing before it is to be asked for.
    fn on_number(&mut self, now: Instant, seq: u64) {
        self.packets += 1;
        if let Some(before) = self.last_arrival {
            self.longest_silence = self.longest_silence.max(now - before);
        }
        self.last_arrival = Some(now);
        if self.announced.video {
            for lost in self.highest.map_or(seq, |highest| highest + 1)..seq {
                self.missing.insert(lost, Ask { at: now + PATIENCE, tries: 0 });
            }
        }
        self.missing.remove(&seq);
        self.highest = self.highest.max(Some(seq));
        self.first = self.first.or(Some(seq));
    }

    /// The packet with the highest number so far: timestamps never go back, whatever was switched (S-SIM-04).
    fn on_timestamp(&mut self, now: Instant, timestamp: u32) -> Result<(), String> {
        let rate = if self.announced.video { 90_000 } else { 48_000 };
        if let Some((before, at)) = self.latest {
            let ticks = timestamp.wrapping_sub(before).cast_signed();
            let Ok(ticks) = u64::try_from(ticks) else {
                return Err(format!("S-SIM-04: back by {} ticks in {:?}", -i64::from(ticks), self.announced));
            };
            let passed = Duration::from_micros(ticks * 1_000_000 / rate);
            self.drift = self.drift.max(passed.abs_diff(now - at));
        }
        self.latest = Some((timestamp, now));
        Ok(())
    }

    fn on_content(&mut self, content: Content) {
        *self.from.entry(content.publisher).or_default() += 1;
        if self.publisher.replace(content.publisher).is_some_and(|before| before != content.publisher) {
            // Another source on a shared line has frames of its own.
            self.frames.clear();
        }
        self.start = self.start.or(Some(content.frame));
        self.height = Some(content.height);
        let frame = self.frames.entry(content.frame).or_default();
        if frame.height != content.height {
            // The same moment in another encoding.
            *frame = Frame { height: content.height, ..Frame::default() };
        }
        frame.parts = content.parts;
        frame.keyframe = content.keyframe;
        if !frame.have.insert(content.part) {
            self.doubled += 1;
        }
    }
}

/// All streams that the server sends to a client.
#[derive(Default)]
pub struct Receiver {
    pub tracks: BTreeMap<u32, Track>,
    /// Streams that were announced once and ended.
    pub ended: Vec<Track>,
    /// Packets of streams that were never announced, or no longer are.
    pub unannounced: u64,
    pub violations: Vec<String>,
    /// Video is kept as it comes, whatever it is.
    pub taped: bool,
    /// Of these publishers' video nothing higher may come from a moment on, at height 0 nothing at all.
    pub limits: BTreeMap<u32, (Instant, u16)>,
    /// Everything is kept as it comes, and nothing is made of it.
    pub raw: Option<Vec<Raw>>,
    /// Publishers whose packets may hold anything.
    pub distrusted: Vec<String>,
    room: u32,
}

impl Receiver {
    pub fn new(room: u32) -> Self {
        Receiver { room, ..Receiver::default() }
    }

    /// Takes what a description announces.
    pub fn announce(&mut self, announced: Vec<Announced>) {
        let gone: Vec<u32> = self
            .tracks
            .keys()
            .copied()
            .filter(|ssrc| !announced.iter().any(|one| one.ssrc.0 == *ssrc))
            .collect();
        self.ended.extend(gone.iter().filter_map(|ssrc| self.tracks.remove(ssrc)));
        for one in announced {
            match self.tracks.get_mut(&one.ssrc.0) {
                Some(track) => track.announced = one,
                None => {
                    self.tracks.insert(one.ssrc.0, Track::new(one));
                }
            }
        }
    }

    /// The stream of a publisher, by its label.
    pub fn track(&self, publisher: &str, video: bool) -> Option<&Track> {
        self.tracks.values().find(|track| track.announced.video == video && track.publisher() == publisher)
    }

    /// Takes an opened packet: media, or a repetition of it.
    pub fn on_packet(&mut self, now: Instant, packet: &rtp::Packet<'_>, seq: SeqNo) {
        let (ssrc, payload_type) = (packet.ssrc(), packet.payload_type().get());
        if let Some(raw) = &mut self.raw {
            let (timestamp, payload) = (packet.timestamp().0, packet.payload().to_vec());
            raw.push(Raw { ssrc, payload_type, seq, timestamp, payload });
            return;
        }
        let padding = if packet.has_padding() { rtp::padding_len(packet.payload()) } else { Ok(0) };
        let payload = packet.payload();
        let payload = &payload[..payload.len() - padding.expect("padding that fits")];
        let distrusted = |track: &Track| self.distrusted.iter().any(|label| label == track.publisher());
        let of = |track: &Track| track.announced.ssrc == ssrc || track.announced.rtx_ssrc == Some(ssrc);
        if self.tracks.values().any(|track| of(track) && distrusted(track)) {
            return;
        }
        if let Some(track) = self.tracks.get_mut(&ssrc.0) {
            if payload_type != track.announced.payload_type {
                self.violations.push(format!("payload type {payload_type} on {:?}", track.announced));
            }
            return Self::on_media(
                track,
                now,
                self.room,
                (self.taped, &self.limits),
                (packet, seq, payload),
                &mut self.violations,
            );
        }
        let repaired = self.tracks.values_mut().find(|track| track.announced.rtx_ssrc == Some(ssrc));
        let Some(track) = repaired else {
            self.unannounced += 1;
            return;
        };
        if Some(payload_type) != track.announced.rtx_payload_type {
            self.violations.push(format!("payload type {payload_type} repairs {:?}", track.announced));
        }
        // Padding on the stream of repetitions probes the path.
        if payload.is_empty() && packet.has_padding() {
            return;
        }
        let ([high, low, original @ ..], Some(highest)) = (payload, track.highest) else {
            self.violations.push("a repetition of nothing".into());
            return;
        };
        let seq = SeqNo::extend(SeqNo(highest), WireSeq(u16::from_be_bytes([*high, *low])));
        track.repaired += 1;
        let how = (self.taped, &self.limits);
        Self::on_media(track, now, self.room, how, (packet, seq, original), &mut self.violations);
    }

    /// Takes what is, or repeats, the packet `seq` of a track.
    fn on_media(
        track: &mut Track,
        now: Instant,
        room: u32,
        (taped, limits): (bool, &BTreeMap<u32, (Instant, u16)>),
        (packet, seq, payload): (&rtp::Packet<'_>, SeqNo, &[u8]),
        violations: &mut Vec<String>,
    ) {
        track.bytes += payload.len() as u64;
        if taped && track.announced.video {
            let descriptor = packet.extensions().find(|(id, _)| {
                track
                    .announced
                    .extensions
                    .iter()
                    .any(|(known, uri)| known == id && uri == DEPENDENCY_DESCRIPTOR)
            });
            track.on_number(now, seq.0);
            track.tape.push(Arrived {
                at: now,
                seq,
                timestamp: packet.timestamp().0,
                marker: packet.marker(),
                payload: payload.to_vec(),
                descriptor: descriptor.map(|(_, value)| value.to_vec()),
            });
            return;
        }
        let seq = seq.0;
        if payload.is_empty() {
            // A number that had to be filled: it came too late, or repairs what is not sent any more.
            return track.on_number(now, seq);
        }
        let content = match Content::parse(payload) {
            Ok(content) => content,
            Err(error) => return violations.push(format!("{error} in {:?} of {seq}", track.announced)),
        };
        // A line that was answered before its source came names no publisher.
        let (label, named) = (content.publisher.to_string(), track.announced.stream.starts_with('p'));
        let misled = named && track.publisher() != label;
        if content.room != room || misled || content.video != track.announced.video {
            return violations.push(format!("{content:?} on {:?} in room {room}", track.announced));
        }
        let limit = limits.get(&content.publisher).filter(|(since, _)| content.video && *since <= now);
        if limit.is_some_and(|(_, most)| *most < content.height) {
            violations.push(format!("{content:?} above {limit:?} at {now:?} on {:?}", track.announced));
        }
        if track.highest.is_none_or(|highest| highest < seq) {
            violations.extend(track.on_timestamp(now, packet.timestamp().0).err());
        }
        track.on_number(now, seq);
        track.on_content(content);
    }

    /// Whether the server reports on a stream that it sends; its clock for our report blocks.
    pub fn on_sender_report(&mut self, now: Instant, ssrc: Ssrc, middle: u32) -> bool {
        let track = self.tracks.get_mut(&ssrc.0);
        track.map(|track| track.sender_report = Some((middle, now))).is_some()
    }

    /// When a missing packet is next to be asked for.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.tracks.values().flat_map(|track| track.missing.values()).map(|ask| ask.at).min()
    }

    /// The numbers to ask for now, by stream.
    pub fn due(&mut self, now: Instant) -> Vec<(Ssrc, Vec<WireSeq>)> {
        let mut due = Vec::new();
        for track in self.tracks.values_mut() {
            track.missing.retain(|_, ask| ask.tries < TRIES);
            let asks = track.missing.iter_mut().filter(|(_, ask)| ask.at <= now).take(100);
            let lost: Vec<WireSeq> = asks
                .map(|(seq, ask)| {
                    (ask.at, ask.tries) = (now + RETRY, ask.tries + 1);
                    WireSeq(*seq as u16)
                })
                .collect();
            track.asked += lost.len() as u64;
            track.nacks += u64::from(!lost.is_empty());
            if !lost.is_empty() {
                due.push((track.announced.ssrc, lost));
            }
        }
        due
    }

    /// Report blocks on everything that came.
    pub fn blocks(&self, now: Instant) -> Vec<ReportBlock> {
        let arrived = self.tracks.values().filter_map(|track| Some((track, track.highest?, track.first?)));
        arrived
            .map(|(track, highest, first)| ReportBlock {
                ssrc: track.announced.ssrc,
                fraction_lost: 0,
                cumulative_lost: ((highest - first + 1) as i64 - track.packets as i64) as i32,
                highest_seq: highest as u32,
                jitter: 0,
                last_sr: track.sender_report.map_or(0, |(middle, _)| middle),
                delay_since_last_sr: track
                    .sender_report
                    .map_or(0, |(_, at)| ((now - at).as_micros() * 65_536 / 1_000_000) as u32),
            })
            .collect()
    }
}
