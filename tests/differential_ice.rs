//! Our agent against two others of different lineage, `is` and `rtc-ice`, over a simulated network in
//! virtual time: connecting, loss, reordering, role conflicts, restarts. All must agree on the pair.

use estafette::ice::{
    Agent, Candidate, CandidateKind, Config, Credentials, Event, LocalCandidate, Mode, Role,
};
use estafette::random::Random;
use estafette::{Instant, Path, Protocol, limits, stun};
use sansio::Protocol as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const OURS: [&str; 2] = ["192.0.2.1:1000", "192.0.2.2:1000"];
const THEIRS: [&str; 2] = ["198.51.100.1:2000", "198.51.100.2:2000"];

/// A datagram with its source and destination.
type Flight = (SocketAddr, SocketAddr, Vec<u8>);
/// User fragment and password.
type Secrets = (String, String);

/// One side, whoever wrote it.
trait Side {
    fn secrets(&self) -> Secrets;
    /// The values of `a=candidate` lines.
    fn candidates(&self) -> Vec<String>;
    /// Learns of the other side, at first or after a restart.
    fn meet(&mut self, now: Instant, peer: &Secrets, candidates: &[String], peer_is_lite: bool);
    fn restart(&mut self, now: Instant);
    fn receive(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]);
    fn send(&mut self, now: Instant) -> Vec<Flight>;
    fn wake(&mut self) -> Option<Instant>;
    /// Our address and the other's.
    fn selected(&self) -> Option<(SocketAddr, SocketAddr)>;
    fn controlling(&self) -> bool;
    /// Whether media of this pair is taken.
    fn knows(&self, _local: SocketAddr, _remote: SocketAddr) -> bool {
        true
    }
}

fn addresses(texts: [&str; 2]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Ours, as bound and as announced.
fn sockets() -> Vec<(SocketAddr, SocketAddr)> {
    addresses(OURS).into_iter().map(|at| (at, at)).collect()
}

/// What a side is to be, as far as its author lets it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum As {
    Controlling,
    Controlled,
    Lite,
}

struct Ours {
    agent: Agent,
    random: Random,
    disconnected: bool,
}

impl Ours {
    fn new(seed: u8, part: As) -> Box<Ours> {
        let mut random = Random::new([seed; 32]);
        let (mode, role) = match part {
            As::Lite => (Mode::Lite, Role::Controlled),
            As::Controlling => (Mode::Full, Role::Controlling),
            As::Controlled => (Mode::Full, Role::Controlled),
        };
        let config = Config { mode, role, ..Config::default() };
        let credentials = Credentials::random(&mut random, "00fa");
        let mut agent = Agent::new(config, credentials, random.fork(0));
        for local in LocalCandidate::hosts(Protocol::Udp, &sockets()) {
            agent.add_local_candidate(local).unwrap();
        }
        Box::new(Ours { agent, random, disconnected: false })
    }
}

impl Side for Ours {
    fn secrets(&self) -> Secrets {
        let own = self.agent.local_credentials();
        (own.ufrag().to_owned(), own.pwd().to_owned())
    }

    fn candidates(&self) -> Vec<String> {
        // A lite agent keeps none.
        LocalCandidate::hosts(Protocol::Udp, &sockets()).iter().map(|l| l.candidate.to_string()).collect()
    }

    fn meet(&mut self, _: Instant, peer: &Secrets, candidates: &[String], peer_is_lite: bool) {
        self.agent.set_remote_credentials(Credentials::new(&peer.0, &peer.1).unwrap());
        if peer_is_lite {
            self.agent.set_remote_lite();
        }
        for line in candidates {
            let words: Vec<_> = line.split(' ').collect();
            let [foundation, "1", "udp", priority, ip, port, "typ", "host", ..] = words[..] else {
                panic!("{line}");
            };
            let candidate = Candidate {
                foundation: foundation.trim_start_matches("candidate:").to_owned(),
                component: 1,
                protocol: Protocol::Udp,
                priority: priority.parse().unwrap(),
                address: SocketAddr::new(ip.parse().unwrap(), port.parse().unwrap()),
                kind: CandidateKind::Host,
            };
            self.agent.add_remote_candidate(candidate).unwrap();
        }
        self.agent.end_of_candidates();
    }

    fn restart(&mut self, _: Instant) {
        let fresh = Credentials::random(&mut self.random, "00fa");
        self.agent.restart(fresh);
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let path = Path { protocol: Protocol::Udp, local: to, remote: from };
        let message = stun::Message::parse(datagram).expect("their messages are well-formed");
        let _ = self.agent.handle_datagram(now, path, &message);
    }

    fn send(&mut self, now: Instant) -> Vec<Flight> {
        self.agent.handle_timeout(now);
        let mut buf = [0; limits::MTU];
        let mut sent = Vec::new();
        while let Some((path, len)) = self.agent.poll_transmit(now, &mut buf) {
            sent.push((path.local, path.remote, buf[..len].to_vec()));
        }
        while let Some(event) = self.agent.poll_event() {
            self.disconnected |= matches!(event, Event::Disconnected | Event::Failed);
        }
        sent
    }

    fn wake(&mut self) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    fn selected(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.agent.selected().filter(|_| !self.disconnected).map(|path| (path.local, path.remote))
    }

    fn controlling(&self) -> bool {
        self.agent.role() == Role::Controlling
    }

    fn knows(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.agent.knows(&Path { protocol: Protocol::Udp, local, remote })
    }
}

/// The clock that both others ask for, at an arbitrary origin.
struct Clock(std::time::Instant);

impl Clock {
    fn new() -> Clock {
        #[allow(clippy::disallowed_methods)]
        Clock(std::time::Instant::now())
    }

    fn to_std(&self, at: Instant) -> std::time::Instant {
        self.0 + Duration::from_micros(at.as_micros())
    }

    fn of_std(&self, at: std::time::Instant) -> Instant {
        let nanos = at.saturating_duration_since(self.0).as_nanos();
        Instant::from_micros(nanos.div_ceil(1_000) as u64)
    }
}

/// `is`, the agent of str0m.
struct Is {
    agent: is::IceAgent,
    clock: Clock,
    selected: Option<(SocketAddr, SocketAddr)>,
}

impl Is {
    fn new(part: As) -> Box<Is> {
        let mut agent = is::IceAgent::new(is::IceCreds::new());
        agent.set_controlling(part == As::Controlling);
        agent.set_ice_lite(part == As::Lite);
        for address in addresses(THEIRS) {
            agent.add_local_candidate(is::Candidate::host(address, "udp").unwrap());
        }
        Box::new(Is { agent, clock: Clock::new(), selected: None })
    }
}

impl Side for Is {
    fn secrets(&self) -> Secrets {
        let own = self.agent.local_credentials();
        (own.ufrag.clone(), own.pass.clone())
    }

    fn candidates(&self) -> Vec<String> {
        self.agent.local_candidates().map(|candidate| candidate.to_sdp_string()).collect()
    }

    fn meet(&mut self, _: Instant, peer: &Secrets, candidates: &[String], _: bool) {
        self.agent.set_remote_credentials(is::IceCreds { ufrag: peer.0.clone(), pass: peer.1.clone() });
        for line in candidates {
            self.agent.add_remote_candidate(is::Candidate::from_sdp_string(line).unwrap());
        }
    }

    fn restart(&mut self, _: Instant) {
        self.agent.ice_restart(is::IceCreds::new(), true);
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let packet = is::stun::StunPacket {
            proto: is::Protocol::Udp,
            source: from,
            destination: to,
            message: is::stun::StunMessage::parse(datagram).expect("our messages are well-formed"),
        };
        self.agent.handle_packet(self.clock.to_std(now), packet);
    }

    fn send(&mut self, now: Instant) -> Vec<Flight> {
        self.agent.handle_timeout(self.clock.to_std(now));
        while let Some(event) = self.agent.poll_event() {
            if let is::IceAgentEvent::NominatedSend { source, destination, .. } = event {
                self.selected = Some((source, destination));
            }
        }
        std::iter::from_fn(|| self.agent.poll_transmit())
            .map(|transmit| (transmit.source, transmit.destination, transmit.contents.to_vec()))
            .collect()
    }

    fn wake(&mut self) -> Option<Instant> {
        self.agent.poll_timeout().map(|at| self.clock.of_std(at))
    }

    fn selected(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.selected.filter(|_| self.agent.state().is_connected())
    }

    fn controlling(&self) -> bool {
        self.agent.controlling()
    }
}

/// `rtc-ice`, of the lineage of pion.
struct Rtc {
    agent: rtc_ice::Agent,
    clock: Clock,
    part: As,
    started: bool,
}

fn rtc_candidate(address: SocketAddr) -> rtc_ice::candidate::Candidate {
    let base_config = rtc_ice::candidate::CandidateConfig {
        network: "udp".to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
        component: 1,
        ..Default::default()
    };
    let config =
        rtc_ice::candidate::candidate_host::CandidateHostConfig { base_config, ..Default::default() };
    config.new_candidate_host().unwrap()
}

impl Rtc {
    fn new(part: As) -> Box<Rtc> {
        let config = rtc_ice::agent::agent_config::AgentConfig {
            is_controlling: part == As::Controlling,
            lite: part == As::Lite,
            candidate_types: vec![rtc_ice::candidate::CandidateType::Host],
            ..Default::default()
        };
        let clock = Clock::new();
        let crypto = rtc_ice::crypto::default_provider().unwrap();
        let mut agent = rtc_ice::Agent::new(clock.to_std(Instant::ZERO), Arc::new(config), crypto).unwrap();
        for address in addresses(THEIRS) {
            agent.add_local_candidate(rtc_candidate(address)).unwrap();
        }
        Box::new(Rtc { agent, clock, part, started: false })
    }
}

impl Side for Rtc {
    fn secrets(&self) -> Secrets {
        let own = self.agent.get_local_credentials();
        (own.ufrag.clone(), own.pwd.clone())
    }

    fn candidates(&self) -> Vec<String> {
        let lines = self.agent.get_local_candidates().iter();
        lines.map(|candidate| format!("candidate:{}", candidate.marshal())).collect()
    }

    fn meet(&mut self, now: Instant, peer: &Secrets, candidates: &[String], _: bool) {
        let (ufrag, pwd) = peer.clone();
        if self.started {
            self.agent.set_remote_credentials(ufrag, pwd).unwrap();
        } else {
            let now = self.clock.to_std(now);
            self.agent.start_connectivity_checks(now, self.part == As::Controlling, ufrag, pwd).unwrap();
        }
        self.started = true;
        for line in candidates {
            let line = line.trim_start_matches("candidate:");
            let candidate = rtc_ice::candidate::unmarshal_candidate(line).unwrap();
            self.agent.add_remote_candidate(candidate).unwrap();
        }
    }

    fn restart(&mut self, now: Instant) {
        self.agent.restart(self.clock.to_std(now), String::new(), String::new(), true).unwrap();
    }

    fn receive(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let transport = rtc_shared::TransportContext {
            local_addr: to,
            peer_addr: from,
            transport_protocol: rtc_shared::TransportProtocol::UDP,
            ecn: None,
        };
        let now = self.clock.to_std(now);
        let _ =
            self.agent.handle_read(rtc_shared::TaggedBytesMut { now, transport, message: datagram.into() });
    }

    fn send(&mut self, now: Instant) -> Vec<Flight> {
        let _ = self.agent.handle_timeout(self.clock.to_std(now));
        while self.agent.poll_event().is_some() {}
        std::iter::from_fn(|| self.agent.poll_write())
            .map(|out| (out.transport.local_addr, out.transport.peer_addr, out.message.to_vec()))
            .collect()
    }

    fn wake(&mut self) -> Option<Instant> {
        self.agent.poll_timeout().map(|at| self.clock.of_std(at))
    }

    fn selected(&self) -> Option<(SocketAddr, SocketAddr)> {
        let (local, remote) = self.agent.get_selected_candidate_pair()?;
        Some((local.addr(), remote.addr()))
    }

    fn controlling(&self) -> bool {
        self.agent.role()
    }
}

struct Pair {
    sides: [Box<dyn Side>; 2],
    lite: [bool; 2],
    now: Instant,
    network: Random,
    /// Chances in percent, and the most by which a datagram is late, in milliseconds.
    loss: u64,
    duplicates: u64,
    jitter: u64,
    flying: Vec<(Instant, Flight)>,
}

impl Pair {
    fn new(seed: u8, ours: As, peer: Peer, theirs: As) -> Pair {
        let other: Box<dyn Side> = match peer {
            Peer::Is => Is::new(theirs),
            Peer::Rtc => Rtc::new(theirs),
        };
        Pair {
            sides: [Ours::new(seed, ours), other],
            lite: [ours == As::Lite, theirs == As::Lite],
            now: Instant::from_millis(1_000),
            network: Random::new([!seed; 32]),
            loss: 0,
            duplicates: 0,
            jitter: 0,
            flying: Vec::new(),
        }
    }

    /// Both hear of each other.
    fn signal(&mut self) {
        let secrets = [self.sides[0].secrets(), self.sides[1].secrets()];
        let candidates = [self.sides[0].candidates(), self.sides[1].candidates()];
        self.sides[0].meet(self.now, &secrets[1], &candidates[1], self.lite[1]);
        self.sides[1].meet(self.now, &secrets[0], &candidates[0], self.lite[0]);
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            for side in &mut self.sides {
                for flight in side.send(self.now) {
                    let copies = 1 + u64::from(self.network.below(100) < self.duplicates);
                    for _ in 0..copies {
                        if self.network.below(100) >= self.loss {
                            let late = Duration::from_millis(15 + self.network.below(self.jitter + 1));
                            self.flying.push((self.now + late, flight.clone()));
                        }
                    }
                }
            }
            let wakes = [self.sides[0].wake(), self.sides[1].wake()].into_iter().flatten();
            let arrivals = self.flying.iter().map(|flight| flight.0);
            let next = wakes.chain(arrivals).min().unwrap_or(end);
            // The others may ask to be called at once, again and again.
            self.now = next.max(self.now + Duration::from_millis(1)).min(end);
            let now = self.now;
            let (due, later): (Vec<_>, Vec<_>) = self.flying.drain(..).partition(|flight| flight.0 <= now);
            self.flying = later;
            for (_, (from, to, datagram)) in due {
                let at = usize::from(addresses(THEIRS).contains(&to));
                self.sides[at].receive(now, from, to, &datagram);
            }
        }
    }

    fn agree(&self) -> bool {
        let [ours, theirs] = [self.sides[0].selected(), self.sides[1].selected()];
        ours.is_some() && ours == theirs.map(|(local, remote)| (remote, local))
    }

    /// Each has selected a pair that the other knows, in different roles: all that is to be had where
    /// `is` begins as controlled too. There it answers 487 when its number is the larger one and
    /// switches when it is the smaller; "if the agent's tiebreaker value is larger than or equal to the
    /// contents of the ICE-CONTROLLED attribute, the agent switches to the controlling role" (RFC 8445,
    /// section 7.3.1.1). What it nominated meanwhile stays nominated though it was refused.
    fn assert_both_select(&mut self, within: Duration, case: &str) {
        self.run(within);
        for _ in 0..2 {
            let selected = [self.sides[0].selected(), self.sides[1].selected()];
            let [Some(_), Some((local, remote))] = selected else { panic!("{case}: {selected:?}") };
            assert!(self.sides[0].knows(remote, local), "{case}: {selected:?}");
            assert_ne!(self.sides[0].controlling(), self.sides[1].controlling(), "{case}");
            self.run(Duration::from_secs(60));
        }
    }

    /// They agree by then, and still a minute later.
    fn assert_connects(&mut self, within: Duration, case: &str) {
        self.run(within);
        let selected = [self.sides[0].selected(), self.sides[1].selected()];
        assert!(self.agree(), "{case}: {selected:?}");
        assert_ne!(self.sides[0].controlling(), self.sides[1].controlling(), "{case}");
        self.run(Duration::from_secs(60));
        assert!(self.agree(), "{case}, a minute later");
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Peer {
    Is,
    Rtc,
}

const PEERS: [Peer; 2] = [Peer::Is, Peer::Rtc];

/// Ours and theirs.
const PARTS: [(As, As); 4] = [
    (As::Controlling, As::Controlled),
    (As::Controlled, As::Controlling),
    (As::Lite, As::Controlling),
    (As::Controlling, As::Lite),
];

#[test]
fn both_others_connect_with_each_of_our_parts() {
    for peer in PEERS {
        for (ours, theirs) in PARTS {
            let mut pair = Pair::new(1, ours, peer, theirs);
            pair.signal();
            pair.assert_connects(Duration::from_secs(4), &format!("{peer:?}, {ours:?}, {theirs:?}"));
        }
    }
}

#[test]
fn loss_reordering_and_duplicates_are_survived() {
    for peer in PEERS {
        for (ours, theirs) in PARTS {
            for seed in 0..24 {
                let mut pair = Pair::new(seed, ours, peer, theirs);
                (pair.loss, pair.jitter, pair.duplicates) = (20, 120, 10);
                pair.signal();
                pair.run(Duration::from_secs(25));
                pair.loss = 0;
                let case = format!("{peer:?}, {ours:?}, {theirs:?}, seed {seed}");
                pair.assert_connects(Duration::from_secs(10), &case);
            }
        }
    }
}

#[test]
fn role_conflicts_are_settled() {
    for peer in PEERS {
        for part in [As::Controlling, As::Controlled] {
            for seed in 0..24 {
                let mut pair = Pair::new(seed, part, peer, part);
                pair.loss = if seed < 8 { 0 } else { 20 };
                pair.signal();
                pair.run(Duration::from_secs(20));
                pair.loss = 0;
                let case = format!("{peer:?}, {part:?}, seed {seed}");
                if (peer, part) == (Peer::Is, As::Controlled) {
                    pair.assert_both_select(Duration::from_secs(10), &case);
                } else {
                    pair.assert_connects(Duration::from_secs(10), &case);
                }
            }
        }
    }
}

#[test]
fn restarts_lead_to_the_new_generation() {
    for peer in PEERS {
        for (ours, theirs) in PARTS {
            let mut pair = Pair::new(3, ours, peer, theirs);
            pair.signal();
            let case = format!("{peer:?}, {ours:?}, {theirs:?}");
            pair.assert_connects(Duration::from_secs(4), &case);
            for _ in 0..2 {
                let before = pair.sides[0].secrets();
                let now = pair.now;
                pair.sides.iter_mut().for_each(|side| side.restart(now));
                assert_ne!(before, pair.sides[0].secrets());
                pair.signal();
                pair.assert_connects(Duration::from_secs(6), &format!("{case}, restarted"));
            }
        }
    }
}
