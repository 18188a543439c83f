//! A small WebRTC client of the crate's own lower floors: sans-IO like everything here.

pub mod arrivals;
pub mod data;
pub mod describe;
pub mod ice;
pub mod publish;
pub mod receive;

use super::harness::Endpoint;
use super::net::Packet;
use super::recording::Recording;
use super::replay::{Choice, Replay};
use arrivals::Arrivals;
use data::Data;
use describe::{Describe, VideoCodec};
use estafette::dtls::{self, Association};
use estafette::mux::{Kind, kind_of};
use estafette::rtp::{SeqNo, Ssrc, WireSeq};
use estafette::{Bitrate, Instant, random::Random, rtcp, rtp, srtp};
use ice::{Ice, Outcome};
use publish::{Plain, Plan, Publisher};
use receive::Receiver;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

const REPORT_INTERVAL: Duration = Duration::from_millis(1_000);

struct Keys {
    opener: srtp::Opener,
    sealer: srtp::Sealer,
    profile: srtp::Profile,
}

/// Congestion control feedback as it came (RFC 8888).
pub struct Report {
    pub at: Instant,
    pub timestamp: u32,
    pub streams: Vec<(Ssrc, Metrics)>,
}

/// How packets of a stream arrived, if they did.
pub type Metrics = Vec<(WireSeq, Option<rtcp::Metric>)>;

/// How a client is made.
#[derive(Clone)]
pub struct Setup {
    /// Its number: the label of its participant, and what its packets say.
    pub index: u32,
    pub room: u32,
    pub address: SocketAddr,
    pub seed: u64,
    pub plan: Plan,
    pub dtls: dtls::Context,
}

pub struct Client {
    pub index: u32,
    pub address: SocketAddr,
    pub ice: Ice,
    pub describe: Describe,
    pub publisher: Publisher,
    pub receiver: Receiver,
    /// Feedback on arrivals from the server: transport-wide; by stream (RFC 8888); and the rates it said it
    /// could take, of which streams.
    pub feedbacks: u64,
    /// What it tells of arrivals itself.
    pub arrivals: Arrivals,
    pub reports: Vec<Report>,
    pub rates: Vec<(Instant, Bitrate, Vec<Ssrc>)>,
    /// CNAMEs that came.
    pub names: u64,
    /// Report blocks from the server on our streams.
    pub report_blocks: u64,
    /// Requests for packets from the server, each for one or more.
    pub nacks: u64,
    /// Streams of the server's that it said have ended.
    pub byes: Vec<Ssrc>,
    /// The server's last reference time (RFC 3611, section 4.4): whose, its middle, when it came; and whether
    /// reports answer it.
    pub reference_time: Option<(Ssrc, u32, Instant)>,
    pub answers_times: bool,
    /// The server's answers to ours, and when they came.
    pub delays: Vec<(Instant, rtcp::ReportDelay)>,
    /// A client that has stopped neither sends nor listens.
    pub stopped: bool,
    /// It sends no RTCP.
    pub mute: bool,
    /// Datagrams that could not be opened.
    pub unopened: u64,
    /// Packets that came with an encrypted header, and with extensions in a plain one.
    pub encrypted_headers: u64,
    pub plain_extensions: u64,
    pub closed: bool,
    /// What the server asks of it is of no interest: it provokes.
    pub lawless: bool,
    /// It checks, but says nothing of DTLS.
    pub never_secures: bool,
    /// Its data channels, if it has any ([`Client::offer_data`]).
    pub data: Option<Data>,
    setup: Setup,
    server: Option<SocketAddr>,
    dtls: Option<Association>,
    keys: Option<Keys>,
    /// The keys of the association before.
    old_keys: Option<Keys>,
    outbox: VecDeque<Packet>,
    next_report: Option<Instant>,
    /// What its feedback comes from.
    pub ssrc: Ssrc,
    random: Random,
}

impl Client {
    pub fn new(setup: Setup) -> Self {
        let mut seed = [0xc1; 32];
        seed[..8].copy_from_slice(&setup.seed.to_be_bytes());
        seed[8..12].copy_from_slice(&setup.index.to_be_bytes());
        let random = Random::new(seed);
        let publisher = Publisher::new(random.fork(1), setup.plan, setup.room, setup.index);
        let mut describe = Describe::new(setup.dtls.fingerprint().to_string());
        if setup.plan.encodings > 1 {
            let rids = [rtp::ExtensionKind::Rid, rtp::ExtensionKind::RepairedRid];
            describe.offer_extensions(rids.map(rtp::ExtensionKind::uri));
        }
        Client {
            index: setup.index,
            address: setup.address,
            ice: Ice::new(random.fork(0)),
            describe,
            ssrc: publisher.audio.ssrc,
            publisher,
            receiver: Receiver::new(setup.room),
            feedbacks: 0,
            arrivals: Arrivals::default(),
            reports: Vec::new(),
            rates: Vec::new(),
            names: 0,
            report_blocks: 0,
            nacks: 0,
            byes: Vec::new(),
            reference_time: None,
            answers_times: true,
            delays: Vec::new(),
            stopped: false,
            mute: false,
            unopened: 0,
            encrypted_headers: 0,
            plain_extensions: 0,
            closed: false,
            lawless: false,
            never_secures: false,
            data: None,
            setup,
            server: None,
            dtls: None,
            keys: None,
            old_keys: None,
            outbox: VecDeque::new(),
            next_report: None,
            random,
        }
    }

    /// Has data channels; the next offer tells of them.
    pub fn offer_data(&mut self) {
        self.describe.offer_data();
        self.data = Some(Data::new());
    }

    /// Takes video as it comes, in the codec of a recording, to be judged ([`receive::Track::tape`]).
    pub fn tape(&mut self, recording: &Recording) {
        self.describe.codec = VideoCodec { name: recording.format.name(), fmtp: recording.fmtp.clone() };
        self.receiver.taped = true;
    }

    /// Publishes a recording in place of its own video, from [`Replay::start`] on.
    pub fn play(&mut self, recording: &'static Recording, choice: Choice) {
        self.play_with(recording, choice, |_| true);
    }

    /// The same with some of the recorded header extensions, by their URIs.
    pub fn play_with(
        &mut self,
        recording: &'static Recording,
        choice: Choice,
        offered: impl Fn(&str) -> bool,
    ) {
        self.tape(recording);
        let replay = Replay::new(recording, choice, &mut self.random);
        let recorded = recording.extensions.iter().map(|(_, uri)| uri.as_str()).filter(|uri| offered(uri));
        let rids = [rtp::ExtensionKind::Rid.uri(), rtp::ExtensionKind::RepairedRid.uri()];
        let rids = rids.into_iter().filter(|_| !replay.rids().is_empty());
        self.describe.offer_extensions(recorded.chain(rids));
        self.publisher.replay = Some(replay);
    }

    /// What it plays.
    pub fn replay(&mut self) -> &mut Replay {
        self.publisher.replay.as_mut().expect("it plays a recording")
    }

    pub fn connected(&self) -> bool {
        self.keys.is_some()
    }

    pub fn profile(&self) -> Option<srtp::Profile> {
        self.keys.as_ref().map(|keys| keys.profile)
    }

    /// Goes on from another address, as after a change of network; checks begin at once or not at all.
    pub fn move_to(&mut self, now: Instant, address: SocketAddr, checks: bool) {
        self.address = address;
        if checks {
            self.ice.begin(now);
        }
    }

    /// Ends the association as a closed page does.
    pub fn close(&mut self, now: Instant) {
        if let Some(dtls) = &mut self.dtls {
            dtls.close();
            self.drain_dtls(now);
        }
    }

    /// Begins anew with another certificate; the next offer tells of it.
    pub fn renew(&mut self, dtls: dtls::Context) {
        self.ice.restart();
        self.describe.fingerprint = dtls.fingerprint().to_string();
        self.setup.dtls = dtls;
        self.dtls = None;
        self.old_keys = self.keys.take();
    }

    /// A datagram under the keys before: media if `rtp` is true, or else a report.
    pub fn under_old_keys(&mut self, rtp: bool) -> Vec<u8> {
        let keys = self.old_keys.as_mut().expect("there was an association");
        let mut out = vec![0; 64];
        let ssrc = self.publisher.audio.ssrc;
        let header = [&[0x80, publish::OPUS, 0xff, 0xf0, 0, 0, 0, 1][..], &ssrc.0.to_be_bytes()].concat();
        let len = if rtp {
            keys.sealer.seal_rtp(&header, &[], b"late", SeqNo(0xfff0), ssrc, &mut out)
        } else {
            let mut writer = rtcp::Writer::new(&mut out);
            writer.receiver_report(ssrc, &[]).expect("it fits");
            let len = writer.len();
            keys.sealer.seal_rtcp(&mut out, len)
        };
        out.truncate(len.expect("it fits"));
        out
    }

    fn apply_cryptex(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.opener.accept_cryptex(self.describe.cryptex_agreed);
            keys.sealer.use_cryptex(self.describe.cryptex_agreed);
        }
    }

    /// Encrypts headers from now on, agreed or not.
    pub fn send_encrypted_headers(&mut self) {
        if let Some(keys) = &mut self.keys {
            keys.sealer.use_cryptex(true);
        }
    }

    /// Sends plain RTCP that `write` makes, sealed.
    pub fn send_rtcp(&mut self, write: impl FnOnce(&mut rtcp::Writer<'_>)) {
        let mut buf = vec![0; 1_400];
        let mut writer = rtcp::Writer::new(&mut buf);
        write(&mut writer);
        let len = writer.len();
        self.seal_rtcp(buf, len);
    }

    /// Seals and sends plain bytes that call themselves RTCP.
    pub fn send_plain_rtcp(&mut self, plain: &[u8]) {
        let mut buf = plain.to_vec();
        buf.resize(plain.len() + 32, 0);
        self.seal_rtcp(buf, plain.len());
    }

    /// Seals and sends what a test made up.
    pub fn send_rtp(&mut self, ssrc: Ssrc, seq: SeqNo, header: &[u8], payload: &[u8]) {
        self.send_plain(Plain { seq, ssrc, header: header.to_vec(), payload: payload.to_vec() });
    }

    /// A key frame request for everything that is received.
    pub fn request_keyframes(&mut self) {
        let sender = self.ssrc;
        let video = self.receiver.tracks.values().filter(|track| track.announced.video);
        let wanted: Vec<Ssrc> = video.map(|track| track.announced.ssrc).collect();
        self.send_rtcp(|writer| {
            writer.receiver_report(sender, &[]).unwrap();
            wanted.iter().for_each(|media| writer.pli(sender, *media).unwrap());
        });
    }

    /// A datagram to the server as it is.
    pub fn send_raw(&mut self, data: Vec<u8>) {
        if let Some(to) = self.server {
            self.outbox.push_back(Packet { from: self.address, to, data });
        }
    }

    fn seal_rtcp(&mut self, mut buf: Vec<u8>, len: usize) {
        let Some(keys) = self.keys.as_mut().filter(|_| !self.mute) else { return };
        let len = keys.sealer.seal_rtcp(&mut buf, len).expect("there is room for the tag");
        buf.truncate(len);
        self.send_raw(buf);
    }

    fn send_plain(&mut self, plain: Plain) {
        let Some(keys) = &self.keys else { return };
        let mut out = vec![0; plain.header.len() + plain.payload.len() + keys.profile.rtp_overhead()];
        let sealed =
            keys.sealer.seal_rtp(&plain.header, &[], &plain.payload, plain.seq, plain.ssrc, &mut out);
        assert_eq!(sealed, Ok(out.len()));
        self.send_raw(out);
    }

    /// Takes the server's side of the transport once a description told it.
    fn begin_transport(&mut self, now: Instant) {
        let Some(server) = self.describe.server.clone() else { return };
        self.server = server.candidate;
        self.ice.set_remote(now, server.credentials);
        if self.dtls.is_none() {
            let expected = dtls::Fingerprint::parse(&server.fingerprint).expect("a sha-256 fingerprint");
            let seed = self.random.next_u64();
            self.dtls = Some(Association::new(dtls::Role::Client, &self.setup.dtls, &[expected], seed, now));
        }
        self.receiver.announce(self.describe.announced.clone());
        self.publisher.agree(&self.describe);
        self.apply_cryptex();
    }

    fn drain_dtls(&mut self, now: Instant) {
        let speaks = self.ice.proven && !self.never_secures;
        if self.dtls.is_none() || !speaks {
            return;
        }
        self.take_dtls_events(now);
        self.apply_cryptex();
        let Some(dtls) = self.dtls.as_mut() else { return };
        let mut buf = vec![0; 2_048];
        let mut datagrams = Vec::new();
        let mut flush = |dtls: &mut Association| {
            while let Some(len) = dtls.poll_transmit(now, &mut buf) {
                datagrams.push(buf[..len].to_vec());
            }
        };
        flush(dtls);
        if let Some(data) = self.data.as_mut().filter(|_| self.keys.is_some()) {
            data.connect(now);
            while let Some(packet) = data.transmit() {
                dtls.send(&packet).expect("room for a packet");
                flush(dtls);
            }
        }
        datagrams.into_iter().for_each(|datagram| self.send_raw(datagram));
    }

    fn take_dtls_events(&mut self, now: Instant) {
        let Some(dtls) = self.dtls.as_mut() else { return };
        while let Some(event) = dtls.poll_event() {
            match event {
                dtls::Event::Connected { profile, keying } => {
                    let profile = srtp::Profile::from_dtls_id(profile).expect("a profile of ours");
                    let key = |key: &estafette::Secret, salt: &estafette::Secret| {
                        srtp::MasterKey::new(profile, key.expose(), salt.expose()).expect("lengths that fit")
                    };
                    self.keys = Some(Keys {
                        opener: srtp::Opener::new(&key(&keying.remote_key, &keying.remote_salt)),
                        sealer: srtp::Sealer::new(&key(&keying.local_key, &keying.local_salt)),
                        profile,
                    });
                    self.publisher.start(now);
                    self.next_report = Some(now + REPORT_INTERVAL);
                }
                dtls::Event::Closed => self.closed = true,
                dtls::Event::Failed(reason) => panic!("the handshake failed: {reason:?}"),
                dtls::Event::Data(packet) => {
                    if let Some(data) = &mut self.data {
                        data.handle(now, &packet);
                    }
                }
            }
        }
    }

    fn on_rtp(&mut self, now: Instant, data: &[u8]) {
        let Some(keys) = &mut self.keys else { return };
        // What the server sends is well formed, as the harness sees; on the way bits may flip.
        let Ok(packet) = rtp::Packet::parse(data) else {
            self.unopened += 1;
            return;
        };
        let mut out = vec![0; data.len()];
        match keys.opener.open_packet(data, &mut out) {
            Ok(opened) => {
                let encrypted = packet.extension_profile().is_some_and(srtp::is_cryptex);
                self.encrypted_headers += u64::from(encrypted);
                self.plain_extensions += u64::from(packet.extension_profile().is_some() && !encrypted);
                let plain = rtp::Packet::parse(&out[..opened.len]).expect("a header that was authentic");
                self.arrivals.on_packet(now, &plain, opened.seq, publish::TRANSPORT_CC);
                self.receiver.on_packet(now, &plain, opened.seq);
            }
            // A link may double.
            Err(srtp::OpenError::Replayed) => {}
            Err(_) => self.unopened += 1,
        }
    }

    fn on_rtcp(&mut self, now: Instant, data: &[u8]) {
        let Some(keys) = &mut self.keys else { return };
        let mut plain = vec![0; data.len()];
        let len = match keys.opener.open_rtcp(data, &mut plain) {
            Ok(len) => len,
            Err(srtp::OpenError::Replayed) => return,
            Err(_) => {
                self.unopened += 1;
                return;
            }
        };
        let compound = rtcp::Compound::parse(&plain[..len]).expect("the server's RTCP is well formed");
        assert_eq!(compound.dropped(), None, "the server's RTCP is well formed to its end");
        for packet in compound.packets() {
            self.on_rtcp_packet(now, &packet);
        }
    }

    fn on_rtcp_packet(&mut self, now: Instant, packet: &rtcp::Packet<'_>) {
        match packet {
            rtcp::Packet::SenderReport(report) => {
                let info = report.info;
                if !self.receiver.on_sender_report(now, info.ssrc, info.ntp.middle()) {
                    self.receiver.unannounced += 1;
                }
            }
            rtcp::Packet::ReceiverReport(report) => {
                for block in report.reports() {
                    self.report_blocks += 1;
                    if let Some(replay) = &mut self.publisher.replay {
                        replay.reported(block.ssrc);
                    }
                    if !self.publisher.sends(block.ssrc) {
                        self.violation(format!("a report on {:?}, which is not ours", block.ssrc));
                    }
                }
            }
            rtcp::Packet::Bye(bye) => self.byes.extend(bye.ssrcs()),
            rtcp::Packet::ExtendedReport(report) => {
                for block in report.blocks() {
                    match block {
                        rtcp::ExtendedBlock::ReferenceTime(time) => {
                            self.reference_time = Some((report.ssrc, time.middle(), now));
                        }
                        rtcp::ExtendedBlock::ReportDelays(delays) => {
                            self.delays.extend(delays.entries().map(|delay| (now, delay)));
                        }
                        _ => {}
                    }
                }
            }
            rtcp::Packet::Nack(nack) => {
                self.nacks += 1;
                if !self.publisher.sends(nack.media) {
                    self.violation(format!("a request for packets of {:?}, which is not ours", nack.media));
                }
                let repeated: Vec<Plain> =
                    nack.numbers().filter_map(|wire| self.publisher.repeat(now, nack.media, wire)).collect();
                repeated.into_iter().for_each(|plain| self.send_plain(plain));
            }
            rtcp::Packet::Pli(pli) => self.on_keyframe_request(pli.media),
            rtcp::Packet::Fir(fir) => fir.entries().for_each(|entry| self.on_keyframe_request(entry.ssrc)),
            rtcp::Packet::TransportFeedback(_) => self.feedbacks += 1,
            rtcp::Packet::CongestionFeedback(feedback) => {
                let streams = feedback.streams().map(|stream| (stream.ssrc, stream.metrics().collect()));
                self.reports.push(Report {
                    at: now,
                    timestamp: feedback.timestamp,
                    streams: streams.collect(),
                });
            }
            rtcp::Packet::Remb(remb) => self.rates.push((now, remb.bitrate, remb.ssrcs().collect())),
            rtcp::Packet::SourceDescription(description) => {
                for item in description.items() {
                    // What publishers call themselves stays here (S-RTP-13).
                    if item.value == b"secret-cname" {
                        self.violation("a publisher's CNAME came through".into());
                    }
                    // A stream's name is the one of its description (RFC 5576, section 6.1).
                    let told = format!("a=ssrc:{} cname:", item.ssrc.0);
                    let mut lines = self.describe.last.lines();
                    let told = lines.find_map(|line| line.strip_prefix(&told).map(str::to_owned));
                    if told.is_some_and(|told| told.as_bytes() != item.value) {
                        self.violation(format!("{:?} has another CNAME than announced", item.ssrc));
                    }
                    self.names += 1;
                }
            }
            _ => {}
        }
    }

    fn on_keyframe_request(&mut self, media: Ssrc) {
        if !self.publisher.request_keyframe(media) {
            self.violation(format!("a request for a key frame of {media:?}, which is not ours"));
        }
    }

    fn violation(&mut self, text: String) {
        self.receiver.violations.push(text);
    }

    fn report(&mut self, now: Instant) {
        let blocks = self.receiver.blocks(now);
        let mut buf = vec![0; 1_400];
        let mut writer = rtcp::Writer::new(&mut buf);
        self.publisher.reports(now, blocks, &mut writer);
        if let Some((ssrc, last_rr, at)) = self.reference_time.filter(|_| self.answers_times) {
            let delay_since_last_rr = rtcp::ReportBlock::delay(now - at);
            let delay = rtcp::ReportDelay { ssrc, last_rr, delay_since_last_rr };
            writer.extended_report(self.ssrc, None, &[delay]).expect("an answer fits a datagram");
        }
        let len = writer.len();
        self.seal_rtcp(buf, len);
    }
}

impl Endpoint for Client {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn label(&self) -> String {
        self.index.to_string()
    }

    fn offer(&mut self, _now: Instant) -> String {
        self.describe.offer(&self.ice.local, &self.publisher)
    }

    fn accept_answer(&mut self, now: Instant, sdp: &str) {
        self.describe.accept_answer(sdp);
        self.begin_transport(now);
    }

    fn accept_offer(&mut self, now: Instant, sdp: &str) -> String {
        let answer = self.describe.accept_offer(sdp, &self.ice.local, &self.publisher);
        self.begin_transport(now);
        answer
    }

    fn handle_datagram(&mut self, now: Instant, packet: &Packet) {
        // What is sent to an address that was left behind finds nobody.
        if self.stopped || packet.to != self.address {
            return;
        }
        match kind_of(&packet.data) {
            Some(Kind::Stun) => match self.ice.handle(now, packet.from, &packet.data) {
                Ok(Outcome::Reply(reply)) => self.send_raw(reply),
                Ok(Outcome::Proven) => self.drain_dtls(now),
                Ok(Outcome::Nothing) => {}
                Err(violation) => self.violation(violation.into()),
            },
            Some(Kind::Dtls) => {
                if let Some(dtls) = &mut self.dtls {
                    // Repeated flights are dropped with a reason that is none of this test's.
                    let _ = dtls.handle_datagram(now, &packet.data);
                    self.drain_dtls(now);
                }
            }
            Some(Kind::Rtp) => self.on_rtp(now, &packet.data),
            Some(Kind::Rtcp) => self.on_rtcp(now, &packet.data),
            None => self.unopened += 1,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.stopped {
            return;
        }
        if let Some(check) = self.ice.handle_timeout(now) {
            self.send_raw(check);
        }
        if let Some(dtls) = self.dtls.as_mut().filter(|_| self.ice.proven) {
            dtls.handle_timeout(now);
            if let Some(data) = self.data.as_mut().filter(|data| data.due().is_some_and(|due| due <= now)) {
                data.advance(now);
            }
            self.drain_dtls(now);
        }
        if self.keys.is_none() {
            return;
        }
        for plain in self.publisher.due(now) {
            self.send_plain(plain);
        }
        let due = self.receiver.due(now);
        if !due.is_empty() {
            let sender = self.ssrc;
            self.send_rtcp(|writer| {
                for (media, lost) in &due {
                    writer.nack(sender, *media, lost.iter().copied()).expect("requests fit a datagram");
                }
            });
        }
        if let Some(told) = self.arrivals.due(now) {
            let sender = self.ssrc;
            self.send_rtcp(|writer| told.write(sender, writer));
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT_INTERVAL);
            self.report(now);
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Packet> {
        self.outbox.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.stopped {
            return None;
        }
        let dtls = self.dtls.as_ref().filter(|_| self.ice.proven).and_then(Association::poll_timeout);
        let arrivals = self.arrivals.poll_timeout();
        let media = [self.publisher.poll_timeout(), self.receiver.poll_timeout(), self.next_report, arrivals];
        let media = media.into_iter().flatten().min().filter(|_| self.keys.is_some());
        let data = self.data.as_ref().and_then(Data::due);
        [self.ice.poll_timeout(), dtls, media, data].into_iter().flatten().min()
    }

    fn violations(&self) -> &[String] {
        if self.lawless { &[] } else { &self.receiver.violations }
    }
}
