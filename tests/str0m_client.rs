//! A foreign client: str0m in its sample mode publishes and receives through the engine, in virtual
//! time, while one datagram in twenty is lost either way; under both versions of DTLS and in both roles.

mod support;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::DtlsVersion;
use str0m::format::Codec;
use str0m::media::{Direction, Frequency, MediaData, MediaKind, MediaTime, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};
use support::harness::{Endpoint, Options, home};
use support::{Conference, Link, Packet, Stage};

use estafette::{EngineConfig, Instant, dtls, ice};

/// The standard library's clock is read once; only differences from it are used.
#[derive(Clone, Copy)]
struct Clock(std::time::Instant);

impl Clock {
    fn start() -> Self {
        #[allow(clippy::disallowed_methods)]
        Clock(std::time::Instant::now())
    }

    fn to_std(self, at: Instant) -> std::time::Instant {
        self.0 + Duration::from_micros(at.as_micros())
    }

    /// The moment on the engine's clock that is not before `at`; `None` for its "not happening".
    fn to_ours(self, at: std::time::Instant) -> Option<Instant> {
        let since = at.saturating_duration_since(self.0);
        let day = Duration::from_secs(86_400);
        (since < day).then(|| Instant::from_micros(since.as_nanos().div_ceil(1_000) as u64))
    }
}

/// A frame that proves itself: who, which, how long, under a checksum.
fn frame(publisher: u32, number: u32, keyframe: bool, len: usize) -> Vec<u8> {
    // The lowest bit of a VP8 frame is clear in key frames (RFC 6386, section 9.1).
    let mut data = vec![if keyframe { 0x10 } else { 0x11 }, 0x02, 0x00, 0x9d, 0x01, 0x2a];
    data.extend(publisher.to_be_bytes());
    data.extend(number.to_be_bytes());
    let mut word = number.wrapping_mul(0x9e37_79b9) ^ publisher;
    while data.len() < len - 4 {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        data.push((word >> 24) as u8);
    }
    data.extend(crc32fast::hash(&data).to_be_bytes());
    data
}

fn read(data: &[u8]) -> Option<(u32, u32)> {
    let (body, trailer) = data.split_last_chunk::<4>()?;
    let intact = crc32fast::hash(body).to_be_bytes() == *trailer;
    let word = |at: usize| Some(u32::from_be_bytes(*body.get(at..)?.first_chunk()?));
    intact.then_some(())?;
    Some((word(6)?, word(10)?))
}

/// How a client shakes hands.
#[derive(Clone, Copy)]
struct Manner {
    version: DtlsVersion,
    /// Whether it waits for the engine to begin (`a=setup:passive`).
    passive: bool,
    /// Whether it is ICE-lite, as another server would be.
    lite: bool,
}

const USUAL: Manner = Manner { version: DtlsVersion::Dtls12, passive: false, lite: false };

struct Foreign {
    index: u32,
    manner: Manner,
    address: SocketAddr,
    clock: Clock,
    rtc: Rtc,
    audio: Mid,
    video: Mid,
    pending: Option<SdpPendingOffer>,
    timeout: Option<Instant>,
    outbox: VecDeque<Packet>,
    connected: bool,
    next_audio: Option<Instant>,
    next_video: Option<Instant>,
    frames: u32,
    sounds: u32,
    keyframe_due: bool,
    requests: u32,
    keyframes: u32,
    paused: bool,
    /// Whole frames by publisher, and packets of audio.
    seen: BTreeMap<u32, BTreeSet<u32>>,
    heard: BTreeMap<u32, BTreeSet<u32>>,
    violations: Vec<String>,
    offers: u32,
    /// A firewall in front of the engine lets nothing in from where nothing went out to.
    walled: bool,
}

impl Foreign {
    fn new(index: u32, manner: Manner, clock: Clock, now: Instant) -> Self {
        let mut rtc = Rtc::builder()
            .set_dtls_version(manner.version)
            .set_ice_lite(manner.lite)
            .build(clock.to_std(now));
        let address = home(index);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a host candidate"));
        Foreign {
            index,
            manner,
            address,
            clock,
            rtc,
            audio: Mid::from("none"),
            video: Mid::from("none"),
            pending: None,
            timeout: None,
            outbox: VecDeque::new(),
            connected: false,
            next_audio: None,
            next_video: None,
            frames: 0,
            sounds: 0,
            keyframe_due: true,
            requests: 0,
            keyframes: 0,
            paused: false,
            seen: BTreeMap::new(),
            heard: BTreeMap::new(),
            violations: Vec::new(),
            offers: 0,
            walled: false,
        }
    }

    /// str0m wants to be drained after every change.
    fn pump(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output().expect("str0m goes on") {
                Output::Timeout(at) => {
                    self.timeout = self.clock.to_ours(at).map(|at| at.max(now + Duration::from_micros(1)));
                    return;
                }
                Output::Transmit(transmit) => self.outbox.push_back(Packet {
                    from: transmit.source,
                    to: transmit.destination,
                    data: transmit.contents.to_vec(),
                }),
                Output::Event(event) => self.on_event(now, event),
            }
        }
    }

    fn on_event(&mut self, now: Instant, event: str0m::Event) {
        match event {
            str0m::Event::Connected => {
                self.connected = true;
                (self.next_audio, self.next_video) = (Some(now), Some(now));
            }
            str0m::Event::KeyframeRequest(request) => {
                self.requests += 1;
                self.keyframe_due = true;
                if request.mid != self.video {
                    self.violations.push(format!("{request:?} is not for what is published"));
                }
            }
            str0m::Event::MediaData(data) => self.on_media(&data),
            _ => {}
        }
    }

    fn on_media(&mut self, data: &MediaData) {
        let Some((publisher, number)) = read(&data.data) else {
            self.violations.push(format!(
                "a frame that is not intact: {:?} {} bytes",
                data.mid,
                data.data.len()
            ));
            return;
        };
        if publisher == self.index {
            self.violations.push("its own media".into());
        }
        let video = data.params.spec().codec == Codec::Vp8;
        let to = if video { &mut self.seen } else { &mut self.heard };
        if !to.entry(publisher).or_default().insert(number) {
            self.violations.push(format!("frame {number} of {publisher} twice"));
        }
    }

    fn payload_type(&mut self, mid: Mid, codec: Codec) -> Option<Pt> {
        let writer = self.rtc.writer(mid)?;
        let params = writer.payload_params().find(|params| params.spec().codec == codec)?;
        Some(params.pt())
    }

    fn write_audio(&mut self, now: Instant) {
        let Some(pt) = self.payload_type(self.audio, Codec::Opus) else { return };
        let time = MediaTime::new(u64::from(self.sounds) * 960, Frequency::FORTY_EIGHT_KHZ);
        let data = frame(self.index, self.sounds, false, 160);
        let writer = self.rtc.writer(self.audio).expect("it has a section");
        writer.audio_level(-30, true).write(pt, self.clock.to_std(now), time, data).expect("it can be sent");
        self.sounds += 1;
    }

    fn write_video(&mut self, now: Instant) {
        let Some(pt) = self.payload_type(self.video, Codec::Vp8) else { return };
        let keyframe = std::mem::take(&mut self.keyframe_due);
        self.keyframes += u32::from(keyframe);
        let len = if keyframe { 9_000 } else { 2_500 + (self.frames as usize * 37) % 1_500 };
        let data = frame(self.index, self.frames, keyframe, len);
        let time = MediaTime::new(u64::from(self.frames) * 3_000, Frequency::NINETY_KHZ);
        let writer = self.rtc.writer(self.video).expect("it has a section");
        writer.write(pt, self.clock.to_std(now), time, data).expect("it can be sent");
        self.frames += 1;
    }
}

impl Endpoint for Foreign {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn label(&self) -> String {
        self.index.to_string()
    }

    fn offer(&mut self, now: Instant) -> String {
        let mut changes = self.rtc.sdp_api();
        self.audio = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        self.video = changes.add_media(MediaKind::Video, Direction::SendRecv, None, None, None);
        let (offer, pending) = changes.apply().expect("there are changes");
        self.pending = Some(pending);
        self.pump(now);
        let offer = offer.to_sdp_string();
        if self.manner.passive { offer.replace("a=setup:actpass", "a=setup:passive") } else { offer }
    }

    fn accept_answer(&mut self, now: Instant, sdp: &str) {
        let answer = SdpAnswer::from_sdp_string(sdp).unwrap_or_else(|error| panic!("{error}\n{sdp}"));
        let pending = self.pending.take().expect("an offer was made");
        let accepted = self.rtc.sdp_api().accept_answer(pending, answer);
        accepted.unwrap_or_else(|error| panic!("{error}\n{sdp}"));
        self.pump(now);
    }

    fn accept_offer(&mut self, now: Instant, sdp: &str) -> String {
        self.offers += 1;
        let offer = SdpOffer::from_sdp_string(sdp).unwrap_or_else(|error| panic!("{error}\n{sdp}"));
        let answer = self.rtc.sdp_api().accept_offer(offer).unwrap_or_else(|error| panic!("{error}\n{sdp}"));
        self.pump(now);
        answer.to_sdp_string()
    }

    fn handle_datagram(&mut self, now: Instant, packet: &Packet) {
        self.walled = false;
        let received =
            Receive::new(Protocol::Udp, packet.from, packet.to, &packet.data).expect("a known protocol");
        let input = Input::Receive(self.clock.to_std(now), received);
        self.rtc.handle_input(input).expect("str0m goes on");
        self.pump(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.timeout.is_some_and(|at| at <= now) {
            self.rtc.handle_input(Input::Timeout(self.clock.to_std(now))).expect("str0m goes on");
            self.pump(now);
        }
        if let Some(at) = self.next_audio.filter(|at| *at <= now) {
            self.next_audio = Some(at + Duration::from_millis(20));
            if !self.paused {
                self.write_audio(now);
                self.pump(now);
            }
        }
        if let Some(at) = self.next_video.filter(|at| *at <= now) {
            self.next_video = Some(at + Duration::from_micros(33_333));
            if !self.paused {
                self.write_video(now);
                self.pump(now);
            }
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Packet> {
        if self.walled {
            self.outbox.clear();
        }
        self.outbox.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.timeout, self.next_audio, self.next_video].into_iter().flatten().min()
    }

    fn violations(&self) -> &[String] {
        &self.violations
    }
}

fn call(count: u32, seed: u64, link: Link) -> Conference<Foreign> {
    call_of(&vec![USUAL; count as usize], Options { seed, link, ..Options::default() })
}

/// str0m takes no certificate of Ed25519.
fn elliptic(mut options: Options) -> Options {
    options.engine.certificate = Some(support::seeded_dtls::elliptic());
    options
}

fn call_of(manners: &[Manner], options: Options) -> Conference<Foreign> {
    let mut conference = Conference::<Foreign>::new(elliptic(options));
    let room = conference.room();
    let clock = Clock::start();
    for (index, manner) in manners.iter().enumerate() {
        let foreign = Foreign::new(index as u32, *manner, clock, conference.now);
        conference.join(room, foreign);
    }
    let connected =
        |conference: &mut Conference<Foreign>| conference.seats.iter().all(|seat| seat.endpoint.connected);
    assert!(conference.drive_until(Duration::from_secs(10), connected), "not everybody connected");
    conference
}

/// Asserts that everybody has every frame of everybody else, from the first it saw to the last sent
/// before the end, less `tail`.
fn assert_whole(conference: &Conference<Foreign>, at_least: usize, tail: u32) {
    for receiver in &conference.seats {
        for publisher in conference.seats.iter().filter(|seat| seat.endpoint.index != receiver.endpoint.index)
        {
            let (to, from) = (&receiver.endpoint, &publisher.endpoint);
            let seen = to.seen.get(&from.index).unwrap_or_else(|| panic!("{} sees {}", to.index, from.index));
            let first = *seen.first().expect("a frame");
            let broken: Vec<u32> =
                (first..from.frames - tail).filter(|number| !seen.contains(number)).collect();
            assert!(
                broken.is_empty() && seen.len() >= at_least,
                "{} to {}: {} of {} from {first}, without {broken:?}",
                from.index,
                to.index,
                seen.len(),
                from.frames
            );
            let heard = to.heard.get(&from.index).map_or(0, BTreeSet::len);
            assert!(heard >= at_least, "{} hears {heard} of {}", to.index, from.index);
        }
    }
}

#[test]
fn str0m_clients_hear_and_see_each_other() {
    let mut conference = call(3, 1, Link::delay(Duration::from_millis(20)));
    conference.drive(Duration::from_secs(3));
    assert_whole(&conference, 70, 12);
    for seat in &conference.seats {
        assert!(seat.endpoint.offers > 0, "the engine asked for sections");
        // At most one request for each of the two that joined, and none where they came before the first key
        // frame; merged where they came together.
        assert!(seat.endpoint.requests <= 8, "{} requests", seat.endpoint.requests);
    }
    assert_eq!(conference.engine.stats().packets_dropped, 0);
}

#[test]
fn f_01_every_frame_of_str0m_arrives_whole_under_five_percent_loss() {
    for seed in [11, 12, 13] {
        let mut conference = call(3, seed, Link::lossy(0.05));
        conference.drive(Duration::from_secs(5));
        conference.seats.iter_mut().for_each(|seat| seat.endpoint.paused = true);
        conference.drive(Duration::from_secs(1));
        assert_whole(&conference, 100, 20);
        let present = conference.participants();
        let repaired = present.into_iter().map(|id| {
            conference.engine.participant(id).expect("it is there").stats().retransmitted_packets_sent
        });
        assert!(repaired.sum::<u64>() > 50, "the loss was real");
    }
}

#[test]
fn f_02_reordering_and_duplicates_leave_str0m_undisturbed() {
    let link = Link::delay(Duration::from_millis(15))
        .with(Stage::Reorder(0.05, Duration::from_millis(40)))
        .with(Stage::Duplicate(0.05));
    let mut conference = call(2, 4, link);
    conference.drive(Duration::from_secs(3));
    assert_whole(&conference, 70, 15);
}

#[test]
fn str0m_meets_the_engine_under_both_versions_and_in_both_roles() {
    let of = |version, passive| Manner { version, passive, lite: false };
    let (old, new) = (DtlsVersion::Dtls12, DtlsVersion::Dtls13);
    let manners = [of(old, false), of(old, true), of(new, false), of(new, true)];
    let options = Options { versions: dtls::Versions::Auto, seed: 5, ..Options::default() };
    let mut conference = call_of(&manners, options);
    conference.drive(Duration::from_secs(3));
    assert_whole(&conference, 60, 15);
    for (seat, manner) in conference.seats.iter_mut().zip(&manners) {
        let spoken = seat.endpoint.rtc.direct_api().dtls_protocol_version();
        let expected = if manner.version == new { "DTLS1_3" } else { "DTLS1_2" };
        assert_eq!(format!("{:?}", spoken.expect("it is connected")), expected);
    }
}

#[test]
fn str0m_under_dtls_1_3_alone_and_with_loss() {
    let manner = Manner { version: DtlsVersion::Dtls13, passive: false, lite: false };
    let (versions, link) = (dtls::Versions::V13, Link::lossy(0.05));
    let mut conference = call_of(&[manner; 2], Options { versions, link, seed: 6, ..Options::default() });
    conference.drive(Duration::from_secs(3));
    conference.seats.iter_mut().for_each(|seat| seat.endpoint.paused = true);
    conference.drive(Duration::from_secs(1));
    assert_whole(&conference, 50, 20);
}

/// Two clients, both behind the firewall or both lite, and an engine that does this much of ICE.
fn full(ice: ice::Mode, lite: bool, walled: bool) -> (Conference<Foreign>, bool) {
    let options = Options::default();
    let engine = EngineConfig { ice, private_candidates: true, ..options.engine.clone() };
    let mut conference = Conference::<Foreign>::new(elliptic(Options { engine, ..options }));
    conference.watch.full_ice = ice == ice::Mode::Full || lite;
    let room = conference.room();
    let clock = Clock::start();
    for index in 0..2 {
        let mut foreign = Foreign::new(index, Manner { lite, ..USUAL }, clock, conference.now);
        foreign.walled = walled;
        conference.join(room, foreign);
    }
    let connected =
        |conference: &mut Conference<Foreign>| conference.seats.iter().all(|seat| seat.endpoint.connected);
    let connected = conference.drive_until(Duration::from_secs(10), connected);
    (conference, connected)
}

#[test]
fn rfc_8445_6_1_1_a_lite_participant_makes_the_engine_full() {
    for mode in [ice::Mode::Lite, ice::Mode::Full] {
        let (mut conference, connected) = full(mode, true, false);
        assert!(connected, "{mode:?}");
        conference.drive(Duration::from_secs(3));
        assert_whole(&conference, 70, 12);
    }
}

#[test]
fn a_full_engine_opens_its_own_firewall_and_a_lite_one_does_not() {
    let (mut conference, connected) = full(ice::Mode::Full, false, true);
    assert!(connected);
    conference.drive(Duration::from_secs(3));
    assert_whole(&conference, 70, 12);
    assert!(!full(ice::Mode::Lite, false, true).1);
}
