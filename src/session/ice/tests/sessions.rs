//! Whole sessions: our own client against our lite agent over a network that loses and rebinds.

use super::*;
use proptest::prelude::*;

const LOCAL: &str = "10.0.0.2:9";

/// Two agents and the way between them: the client sits behind a NAT, at `outside`.
struct Pair {
    server: Server,
    client: Agent,
    outside: SocketAddr,
    /// Chance of losing a datagram, in percent.
    loss: u64,
    network: Random,
    latency: Duration,
    /// In flight: arrival, whether to the server, the client's address outside, bytes.
    flying: Vec<(Instant, bool, SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
    client_events: Vec<Event>,
}

impl Pair {
    fn new(seed: u8) -> Pair {
        let (server, peer) = Server::new();
        let config = Config {
            mode: Mode::Full,
            role: Role::Controlling,
            private_candidates: true,
            attach_to_named: false,
        };
        let mut client = Agent::new(config, peer.ours.clone(), Random::new([seed; 32]));
        client.set_remote_credentials(peer.servers.clone());
        let local = LocalCandidate::host(Protocol::Udp, address(LOCAL), address(LOCAL), 1);
        client.add_local_candidate(local).unwrap();
        client.add_remote_candidate(Candidate::host(Protocol::Udp, address(SERVER), 9)).unwrap();
        Pair {
            server,
            client,
            outside: address(HOME),
            loss: 0,
            network: Random::new([seed; 32]),
            latency: Duration::from_millis(20),
            flying: Vec::new(),
            events: Vec::new(),
            client_events: Vec::new(),
        }
    }

    /// Both sides send what they have to.
    fn flush(&mut self) {
        let now = self.server.now;
        let mut out = Vec::new();
        out.extend(self.server.drain().into_iter().map(|(path, d)| (false, path.remote, d)));
        self.client.handle_timeout(now);
        let mut buf = [0; limits::MTU];
        while let Some((_, len)) = self.client.poll_transmit(now, &mut buf) {
            out.push((true, self.outside, buf[..len].to_vec()));
        }
        for (to_server, outside, datagram) in out {
            if self.network.below(100) >= self.loss {
                self.flying.push((now + self.latency, to_server, outside, datagram));
            }
        }
        self.events.extend(self.server.events());
        while let Some(event) = self.client.poll_event() {
            self.client_events.push(event);
        }
    }

    fn run(&mut self, duration: Duration) {
        let end = self.server.now + duration;
        loop {
            self.flush();
            let arrivals = self.flying.iter().map(|flight| flight.0);
            let timeouts = [self.server.agent.poll_timeout(), self.client.poll_timeout()].into_iter();
            let next = arrivals.chain(timeouts.flatten()).min();
            let Some(next) = next.filter(|at| *at <= end) else {
                break;
            };
            self.server.now = self.server.now.max(next);
            self.arrive();
        }
        self.server.now = end;
    }

    fn arrive(&mut self) {
        let now = self.server.now;
        let (due, later) = self.flying.drain(..).partition(|flight| flight.0 <= now);
        self.flying = later;
        let due: Vec<(Instant, bool, SocketAddr, Vec<u8>)> = due;
        for (_, to_server, outside, datagram) in due {
            if to_server {
                let _ = self.server.receive(&outside.to_string(), &datagram);
            } else if outside == self.outside {
                // The NAT knows no other binding any more.
                let (local, remote) = (address(LOCAL), address(SERVER));
                let path = Path { protocol: Protocol::Udp, local, remote };
                let message = Message::parse(&datagram).unwrap();
                let _ = self.client.handle_datagram(now, path, &message);
            }
        }
    }

    fn is_connected(&self) -> bool {
        let outside = Path { remote: self.outside, ..path(HOME) };
        self.server.agent.selected() == Some(outside) && self.client.selected().is_some()
    }
}

#[test]
fn two_agents_connect_in_two_round_trips_and_stay_so_for_a_day() {
    let mut pair = Pair::new(1);
    pair.run(Duration::from_millis(200));
    assert!(pair.is_connected());
    let first = Event::Selected(path(HOME));
    assert_eq!(pair.events, [first]);
    pair.run(seconds(24 * 3_600));
    assert_eq!(pair.events, [first]);
    assert!(pair.is_connected());
    assert!(pair.client_events.iter().all(|event| *event != Event::Disconnected));
}

#[test]
fn f_01_half_of_the_datagrams_lost_delay_the_connection_and_no_more() {
    for seed in 0..20 {
        let mut pair = Pair::new(seed);
        pair.loss = 50;
        pair.run(seconds(20));
        pair.loss = 0;
        // A client that has selected speaks again within 1.2 intervals of consent.
        pair.run(seconds(7));
        assert!(pair.is_connected(), "seed {seed}");
    }
}

#[test]
fn f_06_a_new_address_is_moved_to_after_its_proof() {
    let mut pair = Pair::new(3);
    pair.run(seconds(1));
    pair.outside = address(MOVED);
    // The client's next consent check nominates from there.
    pair.run(seconds(7));
    assert!(pair.is_connected());
    assert_eq!(pair.events, [Event::Selected(path(HOME)), Event::Selected(path(MOVED))]);
    pair.run(seconds(60));
    assert!(pair.is_connected(), "and consent is kept there");
}

#[test]
fn f_06_an_address_that_nobody_nominated_takes_over_from_a_silent_one() {
    let (mut server, peer) = Server::connected();
    let begun = server.now;
    while server.agent.selected() == Some(path(HOME)) && server.now - begun < seconds(20) {
        // Firefox repeats no USE-CANDIDATE; it does not know that its NAT forgot it.
        server.receive(MOVED, &peer.plain()).unwrap();
        let mut sent = server.drain();
        sent.extend(server.pass(seconds(2)).into_iter().map(|(_, path, datagram)| (path, datagram)));
        for (_, check) in sent.iter().filter(|(to, d)| *to == path(MOVED) && is_check(d)) {
            // Of a check sent twice one answer counts.
            let _ = server.receive(MOVED, &peer.answer(check));
        }
    }
    assert_eq!(server.events(), [Event::Selected(path(MOVED))]);
    assert!(server.now - begun >= seconds(8), "two checks had to stay unanswered");
}

#[test]
fn an_older_nomination_does_not_win_when_its_proof_comes_late() {
    let (mut server, peer) = Server::new();
    server.receive(HOME, &peer.nominating()).unwrap();
    let sent = server.drain();
    let late = peer.answer(only_check(&sent, HOME));
    server.now += limits::CHECK_PACING;
    server.connect(&peer, MOVED);
    server.receive(HOME, &late).unwrap();
    assert_eq!(server.agent.selected(), Some(path(MOVED)));
    assert_eq!(server.agent.allowance(&path(HOME)), None, "proven all the same");
    server.now += seconds(1);
    server.receive(HOME, &peer.nominating()).unwrap();
    assert_eq!(server.agent.selected(), Some(path(HOME)), "a newer nomination moves at once");
}

#[test]
fn a_proof_of_long_ago_is_no_consent_to_move_there() {
    let (mut server, peer) = Server::connected();
    server.connect(&peer, MOVED);
    for _ in 0..7 {
        for (_, to, check) in server.pass(seconds(5)) {
            server.receive(&to.remote.to_string(), &peer.answer(&check)).unwrap();
        }
    }
    assert_eq!(server.agent.allowance(&path(HOME)), Some(0));
    server.receive(HOME, &peer.nominating()).unwrap();
    assert_eq!(server.agent.selected(), Some(path(MOVED)));
    let sent = server.drain();
    server.receive(HOME, &peer.answer(only_check(&sent, HOME))).unwrap();
    assert_eq!(server.agent.selected(), Some(path(HOME)));
}

#[test]
fn f_07_a_peer_that_vanishes_is_gone_after_consent_has_expired() {
    let mut pair = Pair::new(5);
    pair.run(seconds(10));
    pair.loss = 100;
    pair.run(seconds(31));
    assert_eq!(pair.events, [Event::Selected(path(HOME)), Event::Disconnected]);
    assert_eq!(pair.client_events.last(), Some(&Event::Disconnected));
    assert_eq!((pair.server.agent.poll_timeout(), pair.client.poll_timeout()), (None, None));
    assert_eq!(pair.server.paths, []);
}

#[test]
fn s_stun_16_two_agents_restart_without_a_gap() {
    let mut pair = Pair::new(6);
    pair.run(seconds(3));
    for round in 10..13 {
        let (ours, servers) = (credentials(round), credentials(round + 100));
        pair.client.restart(ours.clone());
        pair.run(seconds(1));
        assert!(pair.is_connected(), "the old pair serves");
        pair.server.agent.restart(servers.clone());
        pair.server.agent.set_remote_credentials(ours);
        pair.client.set_remote_credentials(servers);
        let candidate = Candidate::host(Protocol::Udp, address(SERVER), 9);
        pair.client.add_remote_candidate(candidate).unwrap();
        pair.run(seconds(1));
        assert!(pair.is_connected());
    }
    assert_eq!(pair.events, [Event::Selected(path(HOME)); 4]);
    assert_eq!(pair.server.paths, [path(HOME)]);
    pair.run(seconds(60));
    assert_eq!(pair.events.len(), 4);
}

#[test]
fn a_disconnection_supersedes_a_selection_that_nobody_saw() {
    let (mut server, peer) = Server::new();
    server.connect(&peer, HOME);
    server.now += seconds(40);
    server.drain();
    assert_eq!(server.events(), [Event::Disconnected]);
}

#[test]
fn i_08_the_same_seed_gives_the_same_bytes() {
    let run = || {
        let (mut server, peer) = Server::connected();
        server.receive(MOVED, &peer.plain()).unwrap();
        (server.drain(), server.pass(seconds(20)), server.digest())
    };
    assert_eq!(run(), run());
}

#[derive(Debug, Clone)]
enum Step {
    Request { port: u16, nominate: bool, old: bool },
    Answer { index: usize, wrong_path: bool },
    Foreign { port: u16, received: bool },
    Pass(u64),
    Drain,
    Events,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let port = || 1..14u16;
    prop_oneof![
        6 => (port(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(port, nominate, old)| Step::Request { port, nominate, old }),
        6 => (0..6usize, prop::bool::weighted(0.1))
            .prop_map(|(index, wrong_path)| Step::Answer { index, wrong_path }),
        2 => (port(), any::<bool>()).prop_map(|(port, received)| Step::Foreign { port, received }),
        4 => (0..9_000u64).prop_map(Step::Pass),
        4 => Just(Step::Drain),
        2 => Just(Step::Events),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    /// Whatever happens in whatever order: the owner never spins and is never out of step, nothing
    /// exceeds its bounds, and nothing is selected without a proof.
    #[test]
    fn any_script_keeps_the_invariants(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut server, mut peer) = Server::new();
        let mut old = Peer { ours: peer.ours.clone(), servers: peer.servers.clone() };
        let mut checks: Datagrams = Vec::new();
        let remote = |port: u16| format!("192.0.2.1:{port}");
        let mut restarts = 0;
        for step in steps {
            match step {
                Step::Request { port, nominate, old: true } => {
                    let request = Request { nominate, ..old.request() };
                    let _ = server.receive(&remote(port), &request.write());
                }
                Step::Request { port, nominate, old: false } => {
                    let request = Request { nominate, ..peer.request() };
                    let _ = server.receive(&remote(port), &request.write());
                }
                Step::Answer { index, wrong_path } => {
                    let Some((to, check)) = checks.iter().rev().nth(index).cloned() else {
                        continue;
                    };
                    let port = to.remote.port() ^ u16::from(wrong_path);
                    let _ = server.receive(&remote(port), &peer.answer(&check));
                    let _ = server.receive(&remote(port), &old.answer(&check));
                }
                Step::Foreign { port, received: true } => {
                    server.agent.on_received(&path(&remote(port)), 50);
                }
                Step::Foreign { port, received: false } => {
                    let path = path(&remote(port));
                    let len = server.agent.allowance(&path).unwrap_or(1_200).min(1_200);
                    server.agent.on_sent(&path, len);
                }
                Step::Pass(millis) => {
                    let sent = server.pass(Duration::from_millis(millis));
                    let sent = sent.into_iter().map(|(_, path, datagram)| (path, datagram));
                    checks.extend(sent.filter(|(_, datagram)| is_check(datagram)));
                }
                Step::Drain => {
                    let sent = server.drain().into_iter();
                    checks.extend(sent.filter(|(_, datagram)| is_check(datagram)));
                }
                Step::Events => {
                    server.events();
                }
                Step::Restart => {
                    restarts += 1;
                    let new = Peer { ours: credentials(restarts), servers: credentials(!restarts) };
                    server.agent.restart(new.servers.clone());
                    server.agent.set_remote_credentials(new.ours.clone());
                    old = std::mem::replace(&mut peer, new);
                }
            }
            if let Some(selected) = server.agent.selected() {
                prop_assert_eq!(server.agent.allowance(&selected), None);
                prop_assert!(server.agent.knows(&selected));
            }
            let known = (1..16).filter(|port| server.agent.knows(&path(&remote(*port)))).count();
            prop_assert!(known <= limits::ADDRESSES_PER_PARTICIPANT);
            prop_assert!(server.paths.len() <= limits::ADDRESSES_PER_PARTICIPANT);
        }
        server.events();
        for port in 1..16 {
            let path = path(&remote(port));
            prop_assert_eq!(server.agent.knows(&path), server.paths.contains(&path));
        }
    }
}
