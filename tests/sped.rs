//! Faster joins, in virtual time: a caller whose handshake rides on its checks (SPED), with and without loss, one that does
//! not ask for that, and data channels that begin without a handshake (SNAP).

use estafette::dtls::{self, Association, Certificate};
use estafette::ice::{self, Agent, Credentials, LocalCandidate, Mode, Role};
use estafette::random::Random;
use estafette::sped::Embedding;
use estafette::{
    ChannelConfig, Datagram, DropReason, Engine, EngineConfig, Event, HostCandidate, Instant,
    ParticipantConfig, Path, Protocol, RoomConfig, limits, sctp, sctp_packet, sdp, stun,
};
use std::net::SocketAddr;
use std::time::Duration;

/// One way.
const DELAY: Duration = Duration::from_millis(100);
const SERVER: &str = "192.0.2.1:3478";
const CALLER: &str = "198.51.100.1:50000";

/// What is under way: when it arrives, whether at the engine, and what it is.
type Wire = Vec<(Instant, bool, Vec<u8>)>;

/// A full, controlling agent and a DTLS client.
struct Caller {
    agent: Agent,
    association: Association,
    embedding: Option<Embedding>,
    /// Ours and the engine's, where both said so.
    inits: Option<(sctp_packet::Init, sctp_packet::Init)>,
    sctp: Option<sctp::Association>,
    secured: Option<Instant>,
    opened: Option<Instant>,
}

struct Call {
    engine: Engine,
    caller: Caller,
    wire: Wire,
    now: Instant,
    random: Random,
    /// One in so many datagrams is lost; 0 for none.
    lost: u64,
    /// Datagrams of DTLS by themselves that reached the engine, and messages of STUN with some.
    plain: usize,
    embedded: usize,
    connected: Option<Instant>,
    answer: String,
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn path(local: &str, remote: &str) -> Path {
    Path { protocol: Protocol::Udp, local: address(local), remote: address(remote) }
}

/// A line of the answer.
fn line<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
}

impl Call {
    /// A caller joins; `options` are its ICE options, `snap` whether its description says how SCTP begins.
    fn new(options: &str, embeds: bool, snap: bool, config: EngineConfig, seed: u64) -> Call {
        let now = Instant::from_millis(1_000);
        let config = EngineConfig { candidates: vec![HostCandidate::udp(address(SERVER))], ..config };
        let mut engine = Engine::new(config, [seed as u8; 32], now).expect("a sound configuration");
        let room = engine.create_room(RoomConfig::default()).expect("room");
        let id = engine.room(room).expect("it is there").join(ParticipantConfig::default()).expect("room");
        let mut random = Random::new([seed as u8 ^ 0x55; 32]);
        let certificate = Certificate::generate().expect("a certificate");
        let context =
            dtls::Context::new(dtls::Config::default(), certificate).expect("a sound configuration");
        let credentials = Credentials::random(&mut random, "");
        let init = sctp::Association::init(random.next_u32(), random.next_u32());
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=ice-options:trickle {options}\r\na=fingerprint:{}\r\n\
             a=setup:actpass\r\na=sctp-port:5000\r\n",
            credentials.ufrag(),
            credentials.pwd(),
            context.fingerprint(),
        );
        let mut offer = sdp::Description::parse(&offer).expect("a description");
        offer.media[0].sctp_init = snap.then(|| init.to_chunk());
        let mut participant = engine.participant(id).expect("it joined");
        let answer = participant.accept_offer(&offer.write()).expect("a sound offer");
        participant.open_channel(ChannelConfig::new("news")).expect("a channel");
        let theirs = sdp::Description::parse(&answer).expect("a description").media[0].sctp_init.clone();
        let theirs = theirs.map(|chunk| sctp_packet::Init::parse_chunk(&chunk).expect("an INIT chunk"));
        let ice = ice::Config {
            mode: Mode::Full,
            role: Role::Controlling,
            attach_to_named: true,
            ..ice::Config::default()
        };
        let mut agent = Agent::new(ice, credentials, random.fork(1));
        let remote = Credentials::new(
            line(&answer, "ice-ufrag").expect("a user fragment"),
            line(&answer, "ice-pwd").expect("a password"),
        );
        agent.set_remote_lite();
        agent.set_remote_credentials(remote.expect("credentials"));
        let [local, remote] =
            [CALLER, SERVER].map(|at| LocalCandidate::host(Protocol::Udp, address(at), address(at), 1));
        agent.add_local_candidate(local).expect("the first");
        agent.add_remote_candidate(remote.candidate).expect("the first");
        let fingerprint = line(&answer, "fingerprint").expect("a fingerprint");
        let fingerprint = dtls::Fingerprint::parse(fingerprint).expect("a fingerprint");
        let association = Association::new(dtls::Role::Client, &context, &[fingerprint], seed, now);
        let caller = Caller {
            agent,
            association,
            embedding: embeds.then(|| Embedding::new(limits::MTU)),
            inits: theirs.map(|theirs| (init, theirs)),
            sctp: None,
            secured: None,
            opened: None,
        };
        let (wire, lost) = (Vec::new(), 0);
        let (plain, embedded, connected) = (0, 0, None);
        Call { engine, caller, wire, now, random, lost, plain, embedded, connected, answer }
    }

    fn send(&mut self, to_engine: bool, data: &[u8]) {
        if self.lost > 0 && self.random.below(self.lost) == 0 {
            return;
        }
        let has = |message: &stun::Message<'_>| {
            message.attribute(stun::attribute::DTLS_IN_STUN).is_some_and(|data| !data.is_empty())
        };
        if to_engine {
            match stun::Message::parse(data) {
                Ok(message) => self.embedded += usize::from(has(&message)),
                Err(_) => self.plain += 1,
            }
        }
        self.wire.push((self.now + DELAY, to_engine, data.to_vec()));
    }

    /// All that either side has to say now.
    fn speak(&mut self) {
        let mut buf = [0; 2_048];
        while let Some(transmit) = self.engine.poll_transmit(self.now, &mut buf) {
            self.send(false, &buf[..transmit.len]);
        }
        while let Some(event) = self.engine.poll_event() {
            if matches!(event, Event::Connected { .. }) {
                self.connected.get_or_insert(self.now);
            }
        }
        self.caller.listen(self.now);
        let mut said = Vec::new();
        while let Some(len) = self.caller.poll(self.now, &mut buf) {
            said.push(buf[..len].to_vec());
        }
        said.iter().for_each(|data| self.send(true, data));
    }

    /// Until this moment.
    fn run(&mut self, until: Duration) {
        let end = Instant::from_millis(1_000) + until;
        while self.now < end {
            self.speak();
            let timers = [self.engine.poll_timeout(), self.caller.poll_timeout()];
            let arrives = self.wire.iter().map(|(at, ..)| *at).min();
            let next = timers.into_iter().flatten().chain(arrives).min().unwrap_or(end);
            self.now = next.max(self.now + Duration::from_micros(100)).min(end);
            self.engine.handle_timeout(self.now);
            self.caller.handle_timeout(self.now);
            let due: Wire = self.wire.extract_if(.., |(at, ..)| *at <= self.now).collect();
            for (_, to_engine, data) in due {
                if to_engine {
                    let datagram =
                        Datagram { path: path(SERVER, CALLER), ecn: estafette::Ecn::NotEct, data: &data };
                    self.engine.handle_datagram(self.now, datagram);
                } else {
                    self.caller.hear(self.now, &data);
                }
            }
        }
    }

    /// Milliseconds until both sides are connected.
    fn took(&self) -> u64 {
        let both = self.connected.expect("the engine is").max(self.caller.secured.expect("the caller is"));
        (both - Instant::from_millis(1_000)).as_millis() as u64
    }
}

impl Caller {
    fn hear(&mut self, now: Instant, data: &[u8]) {
        match stun::Message::parse(data) {
            Ok(message) => {
                let accepted = self.agent.handle_datagram(now, path(CALLER, SERVER), &message).is_ok();
                let datagram =
                    self.embedding.as_mut().filter(|_| accepted).and_then(|it| it.handle(&message));
                if let Some(datagram) = datagram {
                    let _ = self.association.handle_datagram(now, datagram);
                }
            }
            Err(_) => {
                let _ = self.association.handle_datagram(now, data);
                if let Some(embedding) = &mut self.embedding {
                    embedding.note(data);
                }
            }
        }
    }

    fn listen(&mut self, now: Instant) {
        self.keep(now);
        while let Some(event) = self.association.poll_event() {
            match event {
                dtls::Event::Connected { .. } => {
                    self.keep(now);
                    self.secured = Some(now);
                    if let Some(embedding) = &mut self.embedding {
                        embedding.connected(true);
                    }
                    let config = sctp::Config::default();
                    let random = Random::new([9; 32]);
                    self.sctp = Some(match self.inits.take() {
                        Some((ours, peer)) => sctp::Association::with_inits(config, ours, peer, now),
                        None => sctp::Association::new(config, sctp::Role::Active, random, now),
                    });
                }
                dtls::Event::Data(packet) => {
                    let sctp = self.sctp.as_mut().expect("it is connected");
                    let _ = sctp.handle_packet(now, &packet);
                }
                dtls::Event::Failed(reason) => panic!("{reason:?}"),
                _ => {}
            }
        }
        let Some(sctp) = &mut self.sctp else { return };
        sctp.handle_timeout(now);
        while let Some(event) = sctp.poll_event() {
            // The engine opens a channel.
            if matches!(event, sctp::Event::Message { .. }) {
                self.opened.get_or_insert(now);
            }
        }
        let mut buf = [0; 2_048];
        while let Some(len) = sctp.poll_transmit(now, &mut buf) {
            self.association.send(&buf[..len]).expect("room for a packet");
        }
    }

    /// What the association says rides on checks from now on.
    fn keep(&mut self, now: Instant) {
        let mut buf = [0; 2_048];
        let Some(embedding) = self.embedding.as_mut().filter(|_| self.secured.is_none()) else { return };
        let mut more = self.association.poll_transmit(now, &mut buf);
        if more.is_some() {
            embedding.begin();
        }
        while let Some(len) = more {
            embedding.push(&buf[..len]);
            more = self.association.poll_transmit(now, &mut buf);
        }
    }

    fn poll(&mut self, now: Instant, buf: &mut [u8]) -> Option<usize> {
        let embedding = &mut self.embedding;
        let check = self.agent.poll_transmit_with(now, buf, &mut |writer, room| {
            if let Some(embedding) = embedding {
                embedding.attach(writer, room);
            }
        });
        if let Some((_, len)) = check {
            return Some(len);
        }
        while self.agent.poll_event().is_some() {}
        self.agent.selected()?;
        let kept = self.embedding.as_mut().and_then(|embedding| embedding.poll(buf));
        kept.or_else(|| self.association.poll_transmit(now, buf))
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.association.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let sctp = self.sctp.as_ref().and_then(sctp::Association::poll_timeout);
        [self.agent.poll_timeout(), self.association.poll_timeout(), sctp].into_iter().flatten().min()
    }
}

const OPTIONS: &str = "sped googspedv1";

/// How long a caller takes, and what of its handshake came by itself and in checks.
fn took(embeds: bool, lost: u64, seed: u64) -> (u64, usize, usize) {
    let options = if embeds { OPTIONS } else { "" };
    let mut call = Call::new(options, embeds, false, EngineConfig::default(), seed);
    call.lost = lost;
    call.run(Duration::from_secs(40));
    (call.took(), call.plain, call.embedded)
}

#[test]
fn a_handshake_that_rides_on_checks_is_over_a_round_trip_sooner() {
    let (usual, _, none) = took(false, 0, 1);
    let (faster, _, embedded) = took(true, 0, 1);
    println!("{usual} ms, and {faster} ms where the handshake rides on checks");
    assert_eq!(none, 0);
    assert!(embedded > 0);
    // Of the check, the handshake and the last way of it one round trip is gone.
    assert!(usual <= 700 && faster + 200 <= usual, "{usual} {faster}");
}

#[test]
fn what_is_lost_is_sent_again_with_checks() {
    let (mut usual, mut faster) = (0, 0);
    for seed in 0..40 {
        usual += took(false, 4, seed).0;
        faster += took(true, 4, seed).0;
    }
    println!("of a quarter lost: {} ms on average, {} ms with checks", usual / 40, faster / 40);
    assert!(faster < usual, "{faster} of {usual}");
}

#[test]
fn both_sides_cease() {
    let mut call = Call::new(OPTIONS, true, false, EngineConfig::default(), 3);
    call.run(Duration::from_secs(20));
    assert!(call.connected.is_some() && call.caller.embedding.as_ref().is_some_and(Embedding::is_over));
    let before = call.embedded;
    let mut buf = [0; 2_048];
    // A check of the engine's, for consent, has nothing of it any more.
    call.now += Duration::from_secs(5);
    call.engine.handle_timeout(call.now);
    let transmit = call.engine.poll_transmit(call.now, &mut buf).expect("a check");
    let message = stun::Message::parse(&buf[..transmit.len]).expect("a message of STUN");
    assert_eq!(message.attribute(stun::attribute::DTLS_IN_STUN), None);
    assert_eq!(message.attribute(stun::attribute::DTLS_IN_STUN_ACKNOWLEDGEMENT), None);
    assert_eq!(call.embedded, before);
}

#[test]
fn where_it_was_not_agreed_on_nothing_of_it_is_taken_or_sent() {
    let refusing = || EngineConfig { sped: false, snap: false, ..EngineConfig::default() };
    for (options, config) in [("", EngineConfig::default()), (OPTIONS, refusing())] {
        let mut call = Call::new(options, true, true, config.clone(), 4);
        assert_eq!(line(&call.answer, "ice-options"), Some("ice2"), "{}", call.answer);
        assert_eq!(line(&call.answer, "sctp-init").is_some(), config.snap);
        call.run(Duration::from_secs(5));
        // The caller has tried, sees that nothing comes of it, and goes on by itself.
        let (embedded, plain, took) = (call.embedded, call.plain, call.took());
        assert!(embedded > 0 && plain > 0 && took <= 700, "{embedded} {plain} {took}");
        assert!(call.caller.embedding.as_ref().is_some_and(Embedding::is_over));
    }
    let call = Call::new(OPTIONS, true, true, EngineConfig::default(), 4);
    assert_eq!(line(&call.answer, "ice-options"), Some("ice2 sped googspedv1"));
}

#[test]
fn channels_are_open_a_round_trip_sooner_where_descriptions_say_how_sctp_begins() {
    let opened = |snap: bool| {
        let mut call = Call::new(OPTIONS, true, snap, EngineConfig::default(), 5);
        call.run(Duration::from_secs(10));
        (call.caller.opened.expect("a channel") - Instant::from_millis(1_000)).as_millis()
    };
    let (usual, sooner) = (opened(false), opened(true));
    println!("a channel is open after {usual} ms, and after {sooner} ms without a handshake");
    assert!(sooner + 150 <= usual, "{sooner} {usual}");
}

#[test]
fn a_description_that_says_nothing_of_use_gets_a_handshake() {
    for chunk in [&b""[..], b"\x01\0\0\x04", b"\x02\0\0\x14aaaabbbbccccdddd", &[0xff; 300]] {
        let mut offer = String::from(
            "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
             c=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n\
             a=setup:actpass\r\na=sctp-port:5000\r\na=fingerprint:sha-256 ",
        );
        offer += &["AB"; 32].join(":");
        offer += "\r\n";
        let mut offer = sdp::Description::parse(&offer).expect("a description");
        offer.media[0].sctp_init = Some(chunk.to_vec());
        let mut engine =
            Engine::new(EngineConfig::default(), [1; 32], Instant::ZERO).expect("a configuration");
        let room = engine.create_room(RoomConfig::default()).expect("room");
        let id = engine.room(room).expect("it is there").join(ParticipantConfig::default()).expect("room");
        let answer = engine.participant(id).expect("it joined").accept_offer(&offer.write());
        assert_eq!(line(&answer.expect("an answer"), "sctp-init"), None, "{chunk:?}");
    }
}

#[test]
fn s_dtls_01_a_check_that_somebody_repeats_or_changes_moves_nothing() {
    let mut call = Call::new(OPTIONS, true, false, EngineConfig::default(), 6);
    call.run(Duration::from_millis(50));
    let (_, _, check) = call.wire.iter().find(|(_, to_engine, _)| *to_engine).expect("a check").clone();
    let message = stun::Message::parse(&check).expect("a message of STUN");
    assert!(message.attribute(stun::attribute::DTLS_IN_STUN).is_some_and(|data| data.len() > 500));
    // A byte of what rides on it is another one.
    let mut changed = check.clone();
    changed[700] ^= 1;
    let end = changed.len() - 8;
    let crc = crc32fast::hash(&changed[..end]) ^ 0x5354_554e;
    changed[end + 4..].copy_from_slice(&crc.to_be_bytes());
    let attacker = "203.0.113.66:6666";
    let before = call.engine.stats().dropped(DropReason::Ice(ice::Drop::Integrity));
    for data in [&changed, &check, &check, &check] {
        let datagram = Datagram { path: path(SERVER, attacker), ecn: estafette::Ecn::NotEct, data };
        call.engine.handle_datagram(call.now, datagram);
    }
    assert_eq!(call.engine.stats().dropped(DropReason::Ice(ice::Drop::Integrity)), before + 1);
    let mut buf = [0; 2_048];
    let mut sent = 0;
    while let Some(transmit) = call.engine.poll_transmit(call.now, &mut buf) {
        if transmit.path.remote == address(attacker) {
            sent += transmit.len;
        }
    }
    assert!(sent > 0 && sent <= 3 * 3 * check.len(), "{sent} bytes for {}", 3 * check.len());
    // The caller is connected all the same, and nothing but STUN goes elsewhere.
    call.run(Duration::from_secs(5));
    assert!(call.took() <= 700, "{}", call.took());
}
