//! One participant: ICE, DTLS and SRTP towards the server, its microphone and camera, and what it receives.
//! It has no clock: whoever owns it says what time it is, what came, and when its time has come.

use crate::arrivals::Arrivals;
use crate::camera::{Camera, Kept, Stream};
use crate::description::{self, Local, Unusable};
use crate::figures::Traffic;
use crate::hello::Wish;
use crate::link::Link;
use crate::plan::Member;
use crate::receiver::{Announced, Receiver, Track};
use crate::stamp::Stamp;
use crate::voice::{Sound, TOC, Voice};
use estafette::dtls::{self, Association};
use estafette::mux::{Kind, kind_of};
use estafette::random::Random;
use estafette::rtcp::{self, NtpTime, ReportBlock, SenderInfo};
use estafette::rtp::{self, HeaderWriter, NoSpace, PayloadType, RtpTime, SeqNo, Ssrc};
use estafette::{Instant, Path, Protocol, Secret, ice, srtp, stun};
use std::time::Duration;

const REPORTS: Duration = Duration::from_secs(1);
/// Bytes of a datagram at most.
const MTU: usize = 1_400;
/// Bytes of a burst at most: what one UDP datagram may be long.
const BURST: usize = 65_000;
/// Report blocks in one report.
const BLOCKS: usize = 31;

/// What all participants of a thread use in turn.
pub struct Scratch {
    pub traffic: Traffic,
    out: Vec<u8>,
    plain: Vec<u8>,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch { traffic: Traffic::default(), out: vec![0; BURST], plain: vec![0; BURST] }
    }
}

struct Keys {
    opener: srtp::Opener,
    sealer: srtp::Sealer,
}

/// Microphone and camera, from when the keys are there until the call ends.
struct Media {
    voice: Voice,
    camera: Option<Camera>,
    packets: u32,
    octets: u32,
    /// The timestamp of the latest packet of sound, and when it was due.
    latest: (u32, Instant),
    next_report: Instant,
}

/// Moments of a participant's life.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    pub hello: Instant,
    pub connected: Option<Instant>,
    pub first_media: Option<Instant>,
}

pub struct Client {
    pub member: Member,
    pub times: Times,
    /// The name of its streams in the others' descriptions.
    pub id: String,
    pub link: Option<Link>,
    /// Why its call failed.
    pub failure: Option<String>,
    local: Local,
    ice: ice::Agent,
    dtls: Option<Association>,
    /// When the two have something to do: they are asked when something happened to them, not at each packet.
    ice_at: Option<Instant>,
    dtls_at: Option<Instant>,
    expected: Option<dtls::Fingerprint>,
    context: dtls::Context,
    keys: Option<Keys>,
    media: Option<Media>,
    /// The encodings that the server takes.
    rids: Vec<String>,
    receiver: Receiver,
    /// Videos that nobody has asked for yet.
    videos: Vec<String>,
    arrivals: Arrivals,
    transport_number: u16,
    muted: bool,
    random: Random,
}

impl Client {
    pub fn new(member: Member, hello: Instant, context: dtls::Context, mut random: Random) -> Client {
        let credentials = ice::Credentials::random(&mut random, "");
        let audio_ssrc = Ssrc(random.next_u32());
        let local = Local::new(&credentials, &context.fingerprint(), audio_ssrc, member.camera);
        let config = ice::Config {
            mode: ice::Mode::Full,
            role: ice::Role::Controlling,
            private_candidates: true,
            attach_to_named: false,
        };
        Client {
            member,
            times: Times { hello, ..Times::default() },
            id: String::new(),
            link: None,
            failure: None,
            local,
            ice: ice::Agent::new(config, credentials, random.fork(0)),
            dtls: None,
            ice_at: None,
            dtls_at: None,
            expected: None,
            context,
            keys: None,
            media: None,
            rids: Vec::new(),
            receiver: Receiver::default(),
            videos: Vec::new(),
            arrivals: Arrivals::default(),
            transport_number: 0,
            muted: false,
            random,
        }
    }

    pub fn offer(&mut self) -> String {
        self.local.offer()
    }

    /// Takes the server's answer, the first of its descriptions: now it is known where the server is.
    pub fn accept_answer(&mut self, text: &str) -> Result<(), String> {
        let taken = self.local.take(text).map_err(|error| error.to_string())?;
        let candidate = *taken.remote.candidates.first().ok_or("the server takes no UDP")?;
        let link = Link::to(candidate).map_err(|error| format!("no socket: {error}"))?;
        self.ice.set_remote_credentials(taken.remote.credentials);
        self.ice.set_remote_lite();
        let own = ice::LocalCandidate::host(Protocol::Udp, link.local, link.local, u16::MAX);
        let theirs = ice::Candidate::host(Protocol::Udp, candidate, u16::MAX);
        let paired = self.ice.add_local_candidate(own).and_then(|()| self.ice.add_remote_candidate(theirs));
        paired.map_err(|error| error.to_string())?;
        self.expected = Some(taken.remote.fingerprint);
        self.rids = taken.rids;
        self.announce(taken.announced);
        self.link = Some(link);
        self.ice_at = self.ice.poll_timeout();
        Ok(())
    }

    /// Takes an offer of the server's: somebody came or went.
    pub fn accept_offer(&mut self, text: &str) -> Result<String, Unusable> {
        let taken = self.local.take(text)?;
        self.announce(taken.announced);
        Ok(self.local.answer())
    }

    fn announce(&mut self, announced: Vec<Announced>) {
        let videos = self.receiver.announce(announced).into_iter().filter(|one| one.video);
        self.videos.extend(videos.map(|one| format!("{}/{}", one.publisher, one.track)));
    }

    /// What it wishes of videos that are new to it.
    pub fn wishes(&mut self, max_height: u16) -> Vec<Wish> {
        self.videos.drain(..).map(|track| Wish { track, max_height }).collect()
    }

    /// Sends no more media; what is missing is still asked for.
    pub fn mute(&mut self) {
        self.muted = true;
    }

    pub fn tracks(&self) -> &[Track] {
        &self.receiver.tracks
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Instant, data: &[u8], scratch: &mut Scratch) {
        scratch.traffic.received += 1;
        scratch.traffic.received_bytes += data.len() as u64;
        let read = match kind_of(data) {
            Some(Kind::Rtp) => self.on_rtp(now, data, scratch),
            Some(Kind::Rtcp) => self.on_rtcp(now, data, scratch),
            Some(Kind::Stun) => self.on_stun(now, data, scratch),
            Some(Kind::Dtls) => {
                if let Some(dtls) = &mut self.dtls {
                    // Repeated flights are dropped, which is no fault.
                    let _ = dtls.handle_datagram(now, data);
                }
                self.drain_dtls(now, scratch);
                Some(())
            }
            None => None,
        };
        scratch.traffic.unread += u64::from(read.is_none());
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, scratch: &mut Scratch) {
        if self.ice_at.is_some_and(|at| at <= now) {
            self.ice.handle_timeout(now);
            self.drain_ice(now, scratch);
        }
        if let Some(dtls) = self.dtls.as_mut().filter(|_| self.dtls_at.is_some_and(|at| at <= now)) {
            dtls.handle_timeout(now);
            self.drain_dtls(now, scratch);
        }
        if let Some(mut media) = self.media.take() {
            if !self.muted {
                self.send_media(now, &mut media, scratch);
            }
            self.send_requests(now, scratch);
            if media.next_report <= now {
                media.next_report = now + REPORTS;
                self.send_reports(now, &media, scratch);
            }
            self.media = Some(media);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        // Without a socket there is nothing to do.
        self.link.as_ref()?;
        let media = self.media.as_ref().map(|media| {
            let camera = media.camera.as_ref().map(Camera::poll_timeout);
            let next = camera.map_or(media.voice.poll_timeout(), |at| at.min(media.voice.poll_timeout()));
            if self.muted { media.next_report } else { next.min(media.next_report) }
        });
        let repair = [self.receiver.poll_timeout(), self.arrivals.poll_timeout()];
        let repair = repair.into_iter().flatten().min().filter(|_| media.is_some());
        [media, self.ice_at, self.dtls_at, repair].into_iter().flatten().min()
    }

    fn on_stun(&mut self, now: Instant, data: &[u8], scratch: &mut Scratch) -> Option<()> {
        let link = self.link.as_ref()?;
        let path = Path { protocol: Protocol::Udp, local: link.local, remote: link.remote };
        let message = stun::Message::parse(data).ok()?;
        // A late answer is dropped, which is no fault.
        let _ = self.ice.handle_datagram(now, path, &message);
        self.drain_ice(now, scratch);
        Some(())
    }

    fn drain_ice(&mut self, now: Instant, scratch: &mut Scratch) {
        while let Some((_, len)) = self.ice.poll_transmit(now, &mut scratch.out) {
            self.send(len, len, scratch);
        }
        while let Some(event) = self.ice.poll_event() {
            match event {
                ice::Event::Selected(_) if self.dtls.is_none() => self.begin_dtls(now, scratch),
                ice::Event::Disconnected => self.fail("the path to the server is lost"),
                _ => {}
            }
        }
        self.ice_at = self.ice.poll_timeout();
    }

    fn begin_dtls(&mut self, now: Instant, scratch: &mut Scratch) {
        let expected: Vec<_> = self.expected.take().into_iter().collect();
        let seed = self.random.next_u64();
        self.dtls = Some(Association::new(dtls::Role::Client, &self.context, &expected, seed, now));
        self.drain_dtls(now, scratch);
    }

    fn drain_dtls(&mut self, now: Instant, scratch: &mut Scratch) {
        while let Some(len) =
            self.dtls.as_mut().and_then(|dtls| dtls.poll_transmit(now, &mut scratch.out[..MTU]))
        {
            self.send(len, len, scratch);
        }
        while let Some(event) = self.dtls.as_mut().and_then(Association::poll_event) {
            match event {
                dtls::Event::Connected { profile, keying } => self.begin_media(now, profile, &keying),
                dtls::Event::Closed => self.fail("the server closed the association"),
                dtls::Event::Failed(reason) => self.fail(&format!("DTLS failed: {reason:?}")),
                dtls::Event::Data(_) => {}
            }
        }
        self.dtls_at = self.dtls.as_ref().and_then(Association::poll_timeout);
    }

    fn begin_media(&mut self, now: Instant, profile: u16, keying: &dtls::Keying) {
        let Some((remote, local)) = master_keys(profile, keying) else {
            return self.fail("an SRTP profile that nobody offered");
        };
        self.keys = Some(Keys { opener: srtp::Opener::new(&remote), sealer: srtp::Sealer::new(&local) });
        self.times.connected = Some(now);
        let mut camera = self.member.camera.then(|| Camera::new(now, self.random.fork(1)));
        if let Some(camera) = &mut camera {
            camera.want(&self.rids);
        }
        self.media = Some(Media {
            voice: Voice::new(now, self.member.room_size, self.random.fork(2)),
            camera,
            packets: 0,
            octets: 0,
            latest: (0, now),
            next_report: now + Duration::from_micros(self.random.below(REPORTS.as_micros() as u64)),
        });
    }

    /// Ends the call: nothing is sent or received any more.
    pub fn fail(&mut self, why: &str) {
        self.failure.get_or_insert_with(|| why.to_owned());
        self.link = None;
    }

    fn on_rtp(&mut self, now: Instant, data: &[u8], scratch: &mut Scratch) -> Option<()> {
        let keys = self.keys.as_mut()?;
        let opened = match keys.opener.open_packet(data, &mut scratch.plain) {
            Ok(opened) => opened,
            Err(srtp::OpenError::Replayed) => {
                scratch.traffic.replayed += 1;
                return Some(());
            }
            Err(_) => return None,
        };
        let packet = rtp::Packet::parse(&scratch.plain[..opened.len]).ok()?;
        if let Some(&[high, low]) = packet.extension(description::TRANSPORT_NUMBER) {
            self.arrivals.on_packet(now, u16::from_be_bytes([high, low]));
        }
        if let Some(heard) = self.receiver.on_packet(now, &packet, opened.seq) {
            self.times.first_media.get_or_insert(now);
            scratch.traffic.hear(now, &heard);
        }
        Some(())
    }

    fn on_rtcp(&mut self, now: Instant, data: &[u8], scratch: &mut Scratch) -> Option<()> {
        let keys = self.keys.as_mut()?;
        let mut plain = [0; MTU];
        let len = keys.opener.open_rtcp(data, &mut plain).ok()?;
        let compound = rtcp::Compound::parse(&plain[..len]).ok()?;
        for packet in compound.packets() {
            match packet {
                rtcp::Packet::SenderReport(report) => {
                    self.receiver.on_sender_report(now, report.info.ssrc, report.info.ntp.middle());
                }
                rtcp::Packet::Nack(nack) => self.repeat(&nack, scratch),
                rtcp::Packet::Pli(pli) => self.on_key_frame_request(pli.media, scratch),
                rtcp::Packet::Fir(fir) => {
                    fir.entries().for_each(|entry| self.on_key_frame_request(entry.ssrc, scratch));
                }
                _ => {}
            }
        }
        Some(())
    }

    fn stream(&mut self, ssrc: Ssrc) -> Option<&mut Stream> {
        self.media.as_mut()?.camera.as_mut()?.stream(ssrc)
    }

    fn on_key_frame_request(&mut self, media: Ssrc, scratch: &mut Scratch) {
        if let Some(stream) = self.stream(media) {
            stream.request_key_frame();
            scratch.traffic.key_frames += 1;
        }
    }

    /// Sends again what the server misses (RFC 4588).
    fn repeat(&mut self, nack: &rtcp::Nack<'_>, scratch: &mut Scratch) {
        for wire in nack.numbers() {
            scratch.traffic.asked += 1;
            let Some(stream) = self.stream(nack.media) else { return };
            let Some((seq, kept)) = stream.repeat(wire) else { continue };
            let repetition = Repetition { seq, ssrc: stream.rtx_ssrc };
            let rid = stream.encoding.rid;
            let ssrc = stream.ssrc;
            if let Ok(len) = self.write_video(&kept, (ssrc, rid), Some(repetition), &mut scratch.out) {
                self.send(len, len, scratch);
                scratch.traffic.repeated += 1;
            }
        }
    }

    fn send_media(&mut self, now: Instant, media: &mut Media, scratch: &mut Scratch) {
        while let Some(sound) = media.voice.due(now) {
            scratch.traffic.late.record(now - sound.due);
            media.packets = media.packets.wrapping_add(1);
            media.octets = media.octets.wrapping_add(sound.len as u32);
            media.latest = (sound.timestamp, sound.due);
            if let Ok(len) = self.write_audio(now, &sound, &mut scratch.out) {
                self.send(len, len, scratch);
            }
        }
        let Some(camera) = &mut media.camera else { return };
        while let Some(due) = camera.due(now) {
            scratch.traffic.late.record(now - due);
            for encoding in 0..camera.streams.len() {
                let names = (camera.streams[encoding].ssrc, camera.streams[encoding].encoding.rid);
                self.send_frame(camera.frame(now, encoding), names, scratch);
            }
        }
    }

    /// Sends a frame in as few bursts as the system takes.
    fn send_frame<'a>(
        &mut self,
        packets: impl Iterator<Item = &'a Kept>,
        names: (Ssrc, &str),
        scratch: &mut Scratch,
    ) {
        let most = self.link.as_ref().map_or(1, Link::segments);
        let (mut len, mut count, mut segment) = (0, 0, 0);
        for kept in packets {
            if count == most || len + MTU > BURST {
                self.send(len, segment, scratch);
                (len, count) = (0, 0);
            }
            let Ok(written) = self.write_video(kept, names, None, &mut scratch.out[len..]) else { continue };
            if count == 0 {
                segment = written;
            }
            (len, count) = (len + written, count + 1);
        }
        if len > 0 {
            self.send(len, segment, scratch);
        }
    }

    fn write_audio(&mut self, now: Instant, sound: &Sound, out: &mut [u8]) -> Result<usize, NoSpace> {
        let (seq, ssrc) = (SeqNo(sound.seq), self.local.audio_ssrc);
        let timestamp = RtpTime(sound.timestamp);
        let payload_type = PayloadType::new(description::OPUS).ok_or(NoSpace)?;
        let mut header = HeaderWriter::new(out, sound.marker, payload_type, seq.wire(), timestamp, ssrc)?;
        header.extension(description::AUDIO_LEVEL, &[sound.level.to_byte()])?;
        header.extension(description::TRANSPORT_NUMBER, &self.next_transport_number())?;
        header.extension(description::MID, description::AUDIO_MID.as_bytes())?;
        let header_len = header.finish()?;
        let payload = out.get_mut(header_len..header_len + sound.len).ok_or(NoSpace)?;
        payload[0] = TOC;
        Stamp { sent: now, encoding: 0 }.write(payload);
        self.seal(seq, ssrc, header_len, sound.len, out)
    }

    /// Writes a packet of video, or a repetition of it.
    fn write_video(
        &mut self,
        kept: &Kept,
        (ssrc, rid): (Ssrc, &str),
        repetition: Option<Repetition>,
        out: &mut [u8],
    ) -> Result<usize, NoSpace> {
        let (payload_type, rid_id, seq, ssrc) = match repetition {
            None => (description::VP8, description::RID, kept.seq, ssrc),
            Some(it) => (description::VP8_RTX, description::REPAIRED_RID, it.seq, it.ssrc),
        };
        let payload_type = PayloadType::new(payload_type).ok_or(NoSpace)?;
        let timestamp = RtpTime(kept.timestamp);
        let mut header = HeaderWriter::new(out, kept.marker, payload_type, seq.wire(), timestamp, ssrc)?;
        header.extension(description::TRANSPORT_NUMBER, &self.next_transport_number())?;
        header.extension(description::MID, description::VIDEO_MID.as_bytes())?;
        header.extension(rid_id, rid.as_bytes())?;
        let header_len = header.finish()?;
        let mut payload = out.get_mut(header_len..).ok_or(NoSpace)?;
        let mut len = kept.len;
        if repetition.is_some() {
            let (original, rest) = payload.split_first_chunk_mut().ok_or(NoSpace)?;
            *original = kept.seq.wire().0.to_be_bytes();
            (payload, len) = (rest, len + 2);
        }
        kept.write(payload.get_mut(..kept.len).ok_or(NoSpace)?);
        self.seal(seq, ssrc, header_len, len, out)
    }

    fn next_transport_number(&mut self) -> [u8; 2] {
        self.transport_number = self.transport_number.wrapping_add(1);
        self.transport_number.to_be_bytes()
    }

    fn seal(
        &self,
        seq: SeqNo,
        ssrc: Ssrc,
        header_len: usize,
        len: usize,
        out: &mut [u8],
    ) -> Result<usize, NoSpace> {
        let keys = self.keys.as_ref().ok_or(NoSpace)?;
        keys.sealer.seal_rtp_in_place(seq, ssrc, header_len, out, len).map_err(|_| NoSpace)
    }

    /// Asks for what is missing and tells of what came.
    fn send_requests(&mut self, now: Instant, scratch: &mut Scratch) {
        let sender = self.local.audio_ssrc;
        let requests = self.receiver.due(now);
        let tells = self.arrivals.poll_timeout().is_some_and(|at| at <= now);
        if requests.is_empty() && !tells {
            return;
        }
        let mut writer = rtcp::Writer::new(&mut scratch.out[..MTU]);
        for request in requests {
            // What does not fit is asked for at the next turn.
            let _ = writer.nack(sender, request.media, request.lost);
            if request.key_frame {
                let _ = writer.pli(sender, request.media);
            }
        }
        let media = self.receiver.tracks.first().map_or(sender, |track| track.announced.ssrc);
        self.arrivals.write(now, sender, media, &mut writer);
        let len = writer.len();
        self.send_rtcp(len, scratch);
    }

    /// Sender reports on what was sent, the first with blocks on what came.
    fn send_reports(&mut self, now: Instant, media: &Media, scratch: &mut Scratch) {
        let mut blocks = self.receiver.blocks(now);
        blocks.truncate(BLOCKS);
        let mut writer = rtcp::Writer::new(&mut scratch.out[..MTU]);
        let written = self.write_reports(now, media, &blocks, &mut writer);
        let len = writer.len();
        if written.is_ok() {
            self.send_rtcp(len, scratch);
        }
    }

    fn write_reports(
        &self,
        now: Instant,
        media: &Media,
        blocks: &[ReportBlock],
        writer: &mut rtcp::Writer<'_>,
    ) -> Result<(), NoSpace> {
        let ssrc = self.local.audio_ssrc;
        let ntp = NtpTime::from_unix(now - Instant::ZERO);
        let (timestamp, at) = media.latest;
        let ticks = (now - at).as_micros() as u32 * 6 / 125;
        let rtp_time = RtpTime(timestamp.wrapping_add(ticks));
        let (packet_count, octet_count) = (media.packets, media.octets);
        writer.sender_report(&SenderInfo { ssrc, ntp, rtp_time, packet_count, octet_count }, blocks)?;
        if let Some(camera) = &media.camera {
            let rtp_time = RtpTime(camera.timestamp_at(now));
            for stream in camera.streams.iter().filter(|stream| stream.packets > 0) {
                let (ssrc, packet_count, octet_count) = (stream.ssrc, stream.packets, stream.octets);
                writer.sender_report(&SenderInfo { ssrc, ntp, rtp_time, packet_count, octet_count }, &[])?;
            }
        }
        writer.sdes_cname(ssrc, "load")
    }

    /// Seals and sends the first bytes of the buffer.
    fn send_rtcp(&mut self, len: usize, scratch: &mut Scratch) {
        let Some(keys) = self.keys.as_mut().filter(|_| len > 0) else { return };
        if let Ok(len) = keys.sealer.seal_rtcp(&mut scratch.out, len) {
            self.send(len, len, scratch);
        }
    }

    fn send(&self, len: usize, segment: usize, scratch: &mut Scratch) {
        let Some(link) = &self.link else { return };
        let count = len.div_ceil(segment) as u64;
        if link.send(&scratch.out[..len], segment) {
            scratch.traffic.sent += count;
            scratch.traffic.sent_bytes += len as u64;
        } else {
            scratch.traffic.unsent += count;
        }
    }
}

/// As what a packet is sent again.
#[derive(Clone, Copy)]
struct Repetition {
    seq: SeqNo,
    ssrc: Ssrc,
}

/// The peer's master key and ours.
fn master_keys(profile: u16, keying: &dtls::Keying) -> Option<(srtp::MasterKey, srtp::MasterKey)> {
    let profile = srtp::Profile::from_dtls_id(profile)?;
    let key = |key: &Secret, salt: &Secret| srtp::MasterKey::new(profile, key.expose(), salt.expose()).ok();
    Some((key(&keying.remote_key, &keying.remote_salt)?, key(&keying.local_key, &keying.local_salt)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan;

    #[test]
    fn a_call_that_failed_sends_nothing_any_more() {
        let certificate = dtls::Certificate::generate().expect("a certificate");
        let context = dtls::Context::new(dtls::Config::default(), certificate).expect("a context");
        let (start, member) = (Instant::from_millis(1_000), plan::members(1, 1, 1)[0]);
        let mut client = Client::new(member, start, context, Random::new([5; 32]));
        client.link = Some(Link::to(([127, 0, 0, 1], 9).into()).expect("a socket"));
        client.ice_at = Some(start);
        assert_eq!(client.poll_timeout(), Some(start));
        client.fail("the first reason");
        client.fail("what follows from it");
        assert_eq!((client.failure.as_deref(), client.poll_timeout()), (Some("the first reason"), None));
        assert!(client.link.is_none());
    }
}
