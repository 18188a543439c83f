//! A recording played through a client in virtual time: the encoder's payloads, marks and extensions on
//! SSRCs and identifiers of this call.
//!
//! It plays once. A request for a key frame is counted and cannot be met: the next one comes when the
//! recording has it. Packets are repeated when they are asked for.

use super::client::describe::Describe;
use super::client::publish::{ABS_SEND_TIME, Plain, TRANSPORT_CC, VP8, VP8_RTX};
use super::recording::{Encoding, Recorded, Recording};
use estafette::rtcp::{NtpTime, SenderInfo};
use estafette::rtp::{self, ExtensionKind, HeaderWriter, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};
use estafette::{Instant, random::Random};
use std::fmt::Write as _;

/// Which encodings of a recording are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// One alone, as an ordinary stream.
    One(usize),
    /// All by their rids; only the first where the answer wants no simulcast. A recording with a single
    /// encoding has none to choose from.
    All,
}

/// One encoding on its way.
pub struct Playing {
    pub encoding: usize,
    pub ssrc: Ssrc,
    pub rtx_ssrc: Ssrc,
    /// The next packet, by its place in the recording.
    next: usize,
    next_rtx: u64,
    /// The server reported on it: it knows which line and encoding this is.
    known: bool,
    /// Whether the server wants it.
    pub wanted: bool,
    /// It is not sent any more.
    pub ended: bool,
    /// Key frames were asked for so often, packets too, and so many were repeated.
    pub requests: u32,
    pub asked: u64,
    pub repeated: u64,
    packets: u32,
    octets: u32,
}

impl Playing {
    fn is_sent(&self) -> bool {
        self.wanted && !self.ended
    }
}

pub struct Replay {
    pub recording: &'static Recording,
    pub choice: Choice,
    pub streams: Vec<Playing>,
    /// Of each recorded extension, its identifier in this call.
    extensions: Vec<(u8, Option<u8>)>,
    mid: Option<(u8, String)>,
    rids: Option<(u8, u8)>,
    started: Option<Instant>,
}

impl Replay {
    pub fn new(recording: &'static Recording, choice: Choice, random: &mut Random) -> Self {
        let playing = |encoding| Playing {
            encoding,
            ssrc: Ssrc(random.next_u32() | 1),
            rtx_ssrc: Ssrc(random.next_u32() & !1),
            next: 0,
            next_rtx: random.below(30_000),
            known: false,
            wanted: false,
            ended: false,
            requests: 0,
            asked: 0,
            repeated: 0,
            packets: 0,
            octets: 0,
        };
        let streams = match choice {
            Choice::One(encoding) => [encoding].map(playing).into(),
            Choice::All => (0..recording.encodings.len()).map(playing).collect(),
        };
        Replay { recording, choice, streams, extensions: Vec::new(), mid: None, rids: None, started: None }
    }

    /// The rids that are offered.
    pub fn rids(&self) -> Vec<&str> {
        let encodings = self.recording.encodings.iter();
        let rids = encodings.filter_map(|encoding| encoding.rid.as_deref());
        if self.choice == Choice::All && self.streams.len() > 1 { rids.collect() } else { Vec::new() }
    }

    /// What an offer (or an answer after simulcast was agreed on) says of the streams.
    pub fn describe(&self, sdp: &mut String, simulcast: bool) {
        let rids = self.rids();
        if !rids.is_empty() {
            if simulcast {
                rids.iter().for_each(|rid| _ = write!(sdp, "a=rid:{rid} send\r\n"));
                let _ = write!(sdp, "a=simulcast:send {}\r\n", rids.join(";"));
            }
            return;
        }
        let (ssrc, rtx) = (self.streams[0].ssrc.0, self.streams[0].rtx_ssrc.0);
        let _ = write!(sdp, "a=ssrc-group:FID {ssrc} {rtx}\r\na=ssrc:{ssrc} cname:secret-cname\r\n");
        let _ = write!(sdp, "a=ssrc:{rtx} cname:secret-cname\r\n");
    }

    /// Takes what both sides agreed on.
    pub fn agree(&mut self, describe: &Describe) {
        let Some((mid, extensions)) = describe.published_video() else { return };
        let id_of = |uri: &str| extensions.iter().find(|(_, known)| known == uri).map(|(id, _)| *id);
        let id_of_kind = |kind: ExtensionKind| id_of(kind.uri());
        // What depends on the call is written anew.
        let own = [
            ExtensionKind::AbsSendTime,
            ExtensionKind::TransportSequenceNumber,
            ExtensionKind::Mid,
            ExtensionKind::Rid,
            ExtensionKind::RepairedRid,
        ];
        let kept = |uri: &str| id_of(uri).filter(|_| own.iter().all(|kind| kind.uri() != uri));
        self.extensions = self.recording.extensions.iter().map(|(id, uri)| (*id, kept(uri))).collect();
        self.mid = id_of_kind(ExtensionKind::Mid).map(|id| (id, mid.to_owned()));
        self.rids = id_of_kind(ExtensionKind::Rid).zip(id_of_kind(ExtensionKind::RepairedRid));
        let alone = self.rids().is_empty();
        for (at, playing) in self.streams.iter_mut().enumerate() {
            let rid = self.recording.encodings[playing.encoding].rid.as_ref();
            playing.wanted = match &describe.simulcast {
                _ if alone => true,
                None => at == 0,
                Some(wanted) => rid.is_some_and(|rid| wanted.contains(rid)),
            };
        }
    }

    /// The recording begins.
    pub fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    pub fn finished(&self) -> bool {
        self.streams.iter().all(|playing| {
            !playing.is_sent() || playing.next == self.recording.encodings[playing.encoding].packets.len()
        })
    }

    pub fn stream(&mut self, ssrc: Ssrc) -> Option<&mut Playing> {
        self.streams.iter_mut().find(|playing| playing.ssrc == ssrc && playing.wanted)
    }

    /// The number that a stream sent last.
    pub fn newest(&self, ssrc: Ssrc) -> Option<WireSeq> {
        let playing = self.streams.iter().find(|playing| playing.ssrc == ssrc)?;
        let sent = &self.encoding(playing).packets[..playing.next];
        sent.last().map(|packet| packet.seq.wire())
    }

    pub fn plays(&self, ssrc: Ssrc) -> bool {
        self.streams.iter().any(|playing| playing.ssrc == ssrc)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let started = self.started?;
        let next = self.streams.iter().filter(|playing| playing.is_sent()).filter_map(|playing| {
            Some(started + self.recording.encodings[playing.encoding].packets.get(playing.next)?.at)
        });
        next.min()
    }

    /// The packets that are due, of all encodings in the order of their moments.
    pub fn due(&mut self, now: Instant, transport_seq: &mut u16) -> Vec<Plain> {
        let Some(started) = self.started else { return Vec::new() };
        let mut due = Vec::new();
        for (at, playing) in self.streams.iter().enumerate().filter(|(_, playing)| playing.is_sent()) {
            let packets = self.recording.encodings[playing.encoding].packets.iter();
            let packets = packets.enumerate().skip(playing.next);
            let packets = packets.take_while(|(_, packet)| started + packet.at <= now);
            due.extend(packets.map(|(place, packet)| (packet.at, at, place)));
        }
        due.sort();
        let recording = self.recording;
        let send = |(_, at, place): (_, usize, usize)| {
            let playing = &mut self.streams[at];
            let packet = &recording.encodings[playing.encoding].packets[place];
            playing.next = place + 1;
            playing.packets += 1;
            playing.octets += packet.payload.len() as u32;
            let header = self.header(now, at, packet, None, transport_seq);
            Plain { seq: packet.seq, ssrc: self.streams[at].ssrc, header, payload: packet.payload.clone() }
        };
        due.into_iter().map(send).collect()
    }

    /// Repeats a packet (RFC 4588) that was sent.
    pub fn repeat(
        &mut self,
        now: Instant,
        media: Ssrc,
        wire: WireSeq,
        transport_seq: &mut u16,
    ) -> Option<Plain> {
        let at = self.streams.iter().position(|playing| playing.ssrc == media)?;
        let playing = &mut self.streams[at];
        playing.asked += 1;
        let recording = self.recording;
        let sent = &recording.encodings[playing.encoding].packets[..playing.next];
        let original = SeqNo::extend(sent.last()?.seq, wire);
        let packet = &sent[sent.binary_search_by_key(&original, |packet| packet.seq).ok()?];
        let seq = SeqNo(playing.next_rtx);
        playing.next_rtx += 1;
        playing.repeated += 1;
        let ssrc = playing.rtx_ssrc;
        let mut payload = wire.0.to_be_bytes().to_vec();
        payload.extend(&packet.payload);
        let header = self.header(now, at, packet, Some(seq), transport_seq);
        Some(Plain { seq, ssrc, header, payload })
    }

    /// Sender reports, all on one clock.
    pub fn reports(&self, now: Instant, ntp: NtpTime) -> Vec<SenderInfo> {
        let Some(started) = self.started else { return Vec::new() };
        let ticks = ((now - started).as_micros() * 9 / 100) as u32;
        let sent = self.streams.iter().filter(|playing| playing.packets > 0 && !playing.ended);
        let info = |playing: &Playing| SenderInfo {
            ssrc: playing.ssrc,
            ntp,
            rtp_time: RtpTime(self.encoding(playing).start.wrapping_add(ticks)),
            packet_count: playing.packets,
            octet_count: playing.octets,
        };
        sent.map(info).collect()
    }

    /// The server reported on a stream: from now on it is told by its SSRC.
    pub fn reported(&mut self, ssrc: Ssrc) {
        if let Some(playing) = self.stream(ssrc) {
            playing.known = true;
        }
    }

    fn encoding(&self, playing: &Playing) -> &Encoding {
        &self.recording.encodings[playing.encoding]
    }

    /// The header of a packet, or of its repetition as number `rtx`.
    fn header(
        &self,
        now: Instant,
        at: usize,
        packet: &Recorded,
        rtx: Option<SeqNo>,
        transport_seq: &mut u16,
    ) -> Vec<u8> {
        let playing = &self.streams[at];
        let mut buf = vec![0; 512];
        let (payload_type, ssrc) =
            if rtx.is_some() { (VP8_RTX, playing.rtx_ssrc) } else { (VP8, playing.ssrc) };
        let payload_type = PayloadType::new(payload_type).expect("below 128");
        let (seq, timestamp) = (rtx.unwrap_or(packet.seq).wire(), RtpTime(packet.timestamp));
        let mut writer =
            HeaderWriter::mixed(&mut buf, packet.marker, payload_type, seq, timestamp, ssrc).unwrap();
        writer.extension(ABS_SEND_TIME, &rtp::AbsSendTime::at(now).to_bytes()).unwrap();
        writer.extension(TRANSPORT_CC, &transport_seq.to_be_bytes()).unwrap();
        *transport_seq = transport_seq.wrapping_add(1);
        // Of repetitions nobody reports that they came, so they go on to say whose they are.
        if rtx.is_some() || !playing.known {
            if let Some((id, mid)) = &self.mid {
                writer.extension(*id, mid.as_bytes()).unwrap();
            }
            let rid = self.encoding(playing).rid.as_ref().filter(|_| !self.rids().is_empty());
            if let Some(((rid_id, repaired_id), rid)) = self.rids.zip(rid) {
                let id = if rtx.is_some() { repaired_id } else { rid_id };
                writer.extension(id, rid.as_bytes()).unwrap();
            }
        }
        for (id, value) in &packet.extensions {
            let negotiated = self.extensions.iter().find(|(recorded, _)| recorded == id);
            if let Some((_, Some(id))) = negotiated {
                writer.extension(*id, value).unwrap();
            }
        }
        let len = writer.finish().unwrap();
        buf.truncate(len);
        buf
    }
}
