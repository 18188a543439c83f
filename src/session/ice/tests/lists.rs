//! The lists of a full agent: their limits, order and pace; TCP; and peers that nominate all.

use super::ends::{Ends, local};
use super::*;

const CONTROLLING: Config =
    Config { mode: Mode::Full, role: Role::Controlling, private_candidates: true, attach_to_named: false };

fn full() -> Agent {
    let mut agent = Agent::new(CONTROLLING, credentials(1), Random::new([1; 32]));
    agent.set_remote_credentials(credentials(2));
    agent
}

fn host(text: &str, preference: u16) -> Candidate {
    Candidate::host(Protocol::Udp, address(text), preference)
}

/// Everything that leaves within a time, in order.
fn sent(agent: &mut Agent, duration: Duration) -> Vec<(Instant, Path)> {
    let (mut now, mut sent, mut buf) = (Instant::from_millis(1), Vec::new(), [0; limits::MTU]);
    let end = now + duration;
    loop {
        agent.handle_timeout(now);
        while let Some((path, _)) = agent.poll_transmit(now, &mut buf) {
            sent.push((now, path));
        }
        match agent.poll_timeout().filter(|at| *at <= end) {
            Some(at) => now = at,
            None => return sent,
        }
    }
}

#[test]
fn s_stun_10_candidates_of_both_sides_are_bounded() {
    let mut agent = full();
    for n in 0..limits::CANDIDATES {
        agent.add_local_candidate(local(&format!("192.0.2.{n}:5"), 1)).unwrap();
        agent.add_remote_candidate(host(&format!("198.51.100.{n}:5"), 1)).unwrap();
    }
    assert_eq!(agent.add_local_candidate(local("192.0.2.200:5", 1)), Err(LimitReached));
    assert_eq!(agent.add_local_candidate(local("192.0.2.1:5", 1)), Ok(()), "known already");
    assert_eq!(agent.add_remote_candidate(host("198.51.100.200:5", 1)), Err(LimitReached));
    assert_eq!(agent.local_candidates().count(), limits::CANDIDATES);
    agent.restart(credentials(3));
    assert_eq!(agent.add_remote_candidate(host("198.51.100.200:5", 1)), Ok(()));
    assert_eq!(agent.local_candidates().count(), limits::CANDIDATES);
}

#[test]
fn what_a_full_agent_ignores_takes_no_room_however_often_it_is_named() {
    let config = Config { private_candidates: false, ..CONTROLLING };
    let mut agent = Agent::new(config, credentials(1), Random::new([1; 32]));
    agent.set_remote_credentials(credentials(2));
    agent.add_local_candidate(local("192.0.2.1:5", 1)).unwrap();
    let other = Candidate { component: 2, ..host("198.51.100.9:5", 1) };
    let tcp = Candidate::host(Protocol::Tcp, address("198.51.100.9:9"), 1);
    for _ in 0..=limits::CANDIDATES {
        for ignored in [host("10.0.0.1:5", 1), host("224.0.0.1:5", 1), other.clone(), tcp.clone()] {
            assert_eq!(agent.add_remote_candidate(ignored), Ok(()));
        }
    }
    assert_eq!(sent(&mut agent, seconds(60)), []);
    for n in 0..limits::CANDIDATES {
        assert_eq!(agent.add_remote_candidate(host(&format!("198.51.100.{n}:5"), 1)), Ok(()));
    }
    assert_eq!(agent.add_remote_candidate(host("198.51.100.200:5", 1)), Err(LimitReached));
    // A lite agent counts, but not what is of no component of ours.
    let (mut server, _) = Server::new();
    for _ in 0..=limits::CANDIDATES {
        assert_eq!(server.agent.add_remote_candidate(other.clone()), Ok(()));
    }
}

#[test]
fn s_stun_10_pairs_are_bounded_and_the_best_ones_stay() {
    let named = limits::PAIRS - limits::ADDRESSES_PER_PARTICIPANT;
    let mut agent = full();
    for n in 0..4 {
        agent.add_local_candidate(local(&format!("192.0.2.{n}:5"), 1)).unwrap();
    }
    for n in 0..23 {
        agent.add_remote_candidate(host(&format!("198.51.100.{n}:5"), 100 + n)).unwrap();
    }
    assert_eq!((4 * 23, agent.pairs_refused()), (named, 0));
    // A lesser one finds no room, a better one does.
    agent.add_remote_candidate(host("198.51.100.100:5", 1)).unwrap();
    assert_eq!(agent.pairs_refused(), 4);
    agent.add_remote_candidate(host("198.51.100.101:5", 1_000)).unwrap();
    assert_eq!(agent.pairs_refused(), 4);
    // Addresses that requests show have room of their own, and not more.
    let peer = Peer { ours: credentials(2), servers: credentials(1) };
    let request = Request { controlling: false, controlled: true, ..peer.request() };
    for port in 1..40 {
        let path = Path {
            protocol: Protocol::Udp,
            local: address("192.0.2.1:5"),
            remote: SocketAddr::new([203, 0, 113, 1].into(), port),
        };
        let request = request.write();
        agent.handle_datagram(Instant::ZERO, path, &Message::parse(&request).unwrap()).unwrap();
        let mut buf = [0; limits::MTU];
        while agent.poll_transmit(Instant::ZERO, &mut buf).is_some() {}
    }
    let sent = sent(&mut agent, seconds(10));
    let paths: std::collections::BTreeSet<_> = sent.iter().map(|(_, path)| *path).collect();
    assert!(paths.len() <= limits::PAIRS, "{}", paths.len());
    assert_eq!(paths.iter().filter(|path| path.remote.ip() == address("198.51.100.101:5").ip()).count(), 4);
    assert!(!paths.iter().any(|path| path.remote == address("198.51.100.100:5")));
    assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= limits::CHECK_PACING), "paced");
}

#[test]
fn checks_go_by_priority_and_one_of_each_foundation_goes_first() {
    let mut agent = full();
    agent.add_local_candidate(local("192.0.2.1:5", 9)).unwrap();
    for (text, preference) in [("198.51.100.1:1", 7), ("198.51.100.1:2", 8), ("198.51.100.2:1", 5)] {
        agent.add_remote_candidate(host(text, preference)).unwrap();
    }
    let first = sent(&mut agent, Duration::from_millis(120));
    let first: Vec<_> = first.iter().map(|(_, path)| path.remote).collect();
    assert_eq!(first, [address("198.51.100.1:1"), address("198.51.100.2:1")]);
    // The other is thawed by an answer to the one, or by its failure.
    let all = sent(&mut agent, seconds(60));
    let late = all.iter().find(|(_, path)| path.remote == address("198.51.100.1:2")).unwrap();
    assert!(late.0 >= Instant::from_millis(38_000), "{:?}", late.0);
}

#[test]
fn a_check_names_the_reflexive_priority_of_its_base() {
    let mut agent = full();
    agent.add_local_candidate(local(HOME, 77)).unwrap();
    agent.add_remote_candidate(host(SERVER, 1)).unwrap();
    let mut buf = [0; limits::MTU];
    let (_, len) = agent.poll_transmit(Instant::ZERO, &mut buf).unwrap();
    let check = Message::parse(&buf[..len]).unwrap();
    assert_eq!(check.priority(), Some(110 << 24 | 77 << 8 | 255));
    assert!(!check.use_candidate() && check.ice_controlling().is_some());
}

#[test]
fn a_request_is_answered_by_a_check_before_all_others() {
    let mut agent = full();
    agent.add_local_candidate(local(SERVER, 9)).unwrap();
    for n in 1..20 {
        agent.add_remote_candidate(host(&format!("203.0.113.{n}:5"), 9)).unwrap();
    }
    let peer = Peer { ours: credentials(2), servers: credentials(1) };
    let request = Request { controlling: false, controlled: true, nominate: false, ..peer.request() };
    let request = request.write();
    agent.handle_datagram(Instant::ZERO, path(HOME), &Message::parse(&request).unwrap()).unwrap();
    let first = sent(&mut agent, Duration::from_millis(10));
    assert_eq!(first.first().map(|(_, path)| path.remote), Some(address(HOME)));
}

fn tcp(remote: &str) -> Path {
    Path { protocol: Protocol::Tcp, ..path(remote) }
}

#[test]
fn rfc_6544_a_passive_pair_comes_with_the_connection_and_goes_with_it() {
    for mode in [Mode::Lite, Mode::Full] {
        let peer = Peer { ours: credentials(1), servers: credentials(2) };
        let config = Config { mode, ..Config::default() };
        let mut agent = Agent::new(config, peer.servers.clone(), Random::new([9; 32]));
        agent.set_remote_credentials(peer.ours.clone());
        let passive = LocalCandidate::host(Protocol::Tcp, address(SERVER), address(SERVER), 1);
        agent.add_local_candidate(passive).unwrap();
        agent.add_remote_candidate(Candidate::host(Protocol::Tcp, address("192.0.2.10:9"), 1)).unwrap();
        let mut server = Server { agent, now: Instant::from_millis(1_000), paths: Vec::new() };
        assert_eq!(server.pass(seconds(5)), [], "we open no connections");

        let connect = |server: &mut Server, remote: &str| {
            let receive = |server: &mut Server, datagram: &[u8]| {
                let message = Message::parse(datagram).unwrap();
                server.agent.handle_datagram(server.now, tcp(remote), &message).unwrap();
            };
            server.now += limits::CHECK_PACING;
            receive(server, &peer.nominating());
            let sent = server.drain();
            let (_, check) = sent.iter().find(|(to, d)| *to == tcp(remote) && is_check(d)).unwrap();
            receive(server, &peer.answer(check));
        };
        connect(&mut server, "192.0.2.10:50000");
        assert_eq!(server.events(), [Event::Selected(tcp("192.0.2.10:50000"))]);

        // Gone: nothing is sent there; the peer opens another.
        server.agent.forget_path(server.now, &tcp("192.0.2.10:50000"));
        assert_eq!((server.agent.selected(), server.events()), (None, vec![]));
        assert_eq!(server.paths, []);
        assert_eq!(server.agent.allowance(&tcp("192.0.2.10:50000")), Some(0));
        assert_eq!(server.pass(seconds(10)), []);
        connect(&mut server, "192.0.2.10:50001");
        assert_eq!(server.events(), [Event::Selected(tcp("192.0.2.10:50001"))]);
        assert_eq!(server.paths, [tcp("192.0.2.10:50001")]);

        // Even from the same port.
        server.agent.forget_path(server.now, &tcp("192.0.2.10:50001"));
        assert_eq!((server.agent.selected(), server.events()), (None, vec![]));
        connect(&mut server, "192.0.2.10:50001");
        assert_eq!(server.events(), [Event::Selected(tcp("192.0.2.10:50001"))]);
        assert_eq!(server.paths, [tcp("192.0.2.10:50001")]);

        // Or does not.
        server.agent.forget_path(server.now, &tcp("192.0.2.10:50001"));
        server.pass(seconds(29));
        assert_eq!(server.events(), []);
        server.pass(seconds(2));
        assert_eq!(server.events(), [Event::Disconnected]);
        assert_eq!(server.agent.poll_timeout(), None);
    }
}

#[test]
fn a_proven_path_takes_over_at_once_from_a_closed_connection() {
    let (mut server, peer) = Server::connected();
    server.now += limits::CHECK_PACING;
    server.receive(MOVED, &peer.plain()).unwrap();
    let sent = server.drain();
    server.receive(MOVED, &peer.answer(only_check(&sent, MOVED))).unwrap();
    assert_eq!(server.agent.selected(), Some(path(HOME)));
    server.agent.forget_path(server.now, &path(HOME));
    assert_eq!(server.events(), [Event::Selected(path(MOVED))]);
}

/// A full agent that is connected to [`HOME`] in its first generation, and is named this address in its second.
fn restarted(named: &str) -> (Server, Peer) {
    let old = Peer { ours: credentials(1), servers: credentials(2) };
    let config = Config { mode: Mode::Full, private_candidates: true, ..Config::default() };
    let mut agent = Agent::new(config, old.servers.clone(), Random::new([9; 32]));
    agent.set_remote_credentials(old.ours.clone());
    agent.add_local_candidate(local(SERVER, 1)).unwrap();
    let mut server = Server { agent, now: Instant::from_millis(1_000), paths: Vec::new() };
    server.connect(&old, HOME);
    server.agent.restart(credentials(3));
    server.agent.set_remote_credentials(credentials(4));
    server.agent.add_remote_candidate(host(named, 1)).unwrap();
    (server, old)
}

#[test]
fn s_stun_16_a_move_within_the_old_generation_leaves_the_checks_of_the_new_one_alone() {
    let named = "203.0.113.9:5";
    let (mut server, old) = restarted(named);
    assert!(server.pass(seconds(1)).iter().any(|(_, to, _)| *to == path(named)));
    server.connect(&old, MOVED);
    assert!(server.pass(seconds(3)).iter().any(|(_, to, _)| *to == path(named)));
}

/// A peer that nominates with each check, on two paths, in some order.
fn aggressive(first: (&str, u32), second: (&str, u32)) -> (Server, Peer) {
    let (mut server, peer) = Server::new();
    for (remote, priority) in [first, second] {
        server.now += limits::CHECK_PACING;
        server.receive(remote, &Request { priority, ..peer.request() }.write()).unwrap();
        let sent = server.drain();
        server.receive(remote, &peer.answer(only_check(&sent, remote))).unwrap();
    }
    (server, peer)
}

#[test]
fn of_what_an_aggressive_peer_nominates_the_best_is_selected_and_stays() {
    let (mut server, peer) = aggressive((HOME, 2_000), (MOVED, 1_000));
    assert_eq!(server.events(), [Event::Selected(path(HOME))]);
    let (better, _) = aggressive((MOVED, 1_000), (HOME, 2_000));
    assert_eq!(better.agent.selected(), Some(path(HOME)));
    for _ in 0..20 {
        // It goes on like that.
        for (remote, priority) in [(MOVED, 1_000), (HOME, 2_000)] {
            server.receive(remote, &Request { priority, ..peer.request() }.write()).unwrap();
            server.drain();
        }
        let sent = server.pass(seconds(1));
        for (_, to, check) in sent.iter().filter(|(_, _, datagram)| is_check(datagram)) {
            server.receive(&to.remote.to_string(), &peer.answer(check)).unwrap();
        }
        assert_eq!(server.agent.selected(), Some(path(HOME)));
    }
    assert_eq!(server.events(), []);
    // Until the better one is silent.
    for _ in 0..4 {
        server.receive(MOVED, &Request { priority: 1_000, ..peer.request() }.write()).unwrap();
        server.drain();
        server.now += seconds(1);
    }
    assert_eq!(server.events(), [Event::Selected(path(MOVED))]);
}

#[test]
fn a_lesser_path_that_is_nominated_on_second_thought_is_selected_at_once() {
    let (mut server, peer) = Server::connected();
    let plain = Request { priority: 500, nominate: false, ..peer.request() };
    server.now += limits::CHECK_PACING;
    server.receive(MOVED, &plain.write()).unwrap();
    let sent = server.drain();
    server.receive(MOVED, &peer.answer(only_check(&sent, MOVED))).unwrap();
    assert_eq!(server.agent.selected(), Some(path(HOME)));
    server.receive(MOVED, &Request { nominate: true, ..plain }.write()).unwrap();
    assert_eq!(server.agent.selected(), Some(path(MOVED)));
}

#[test]
fn rfc_8445_8_1_1_of_two_addresses_of_ours_nominated_for_good_the_one_announced_as_better_is_selected() {
    const OTHER: &str = "198.51.100.2:3478";
    let to = |local| Path { local: address(local), ..path(HOME) };
    for (best, other) in [(SERVER, OTHER), (OTHER, SERVER)] {
        let (mut server, peer) = Server::new();
        for (at, preference) in [(OTHER, u16::from(best == OTHER)), (SERVER, u16::from(best == SERVER))] {
            server.agent.add_local_candidate(local(at, preference)).unwrap();
        }
        assert_eq!(server.agent.local_candidates().count(), 0);
        // Neither nominated by its first request, then both again and again, the lesser one first and last.
        for (round, at) in [other, best].into_iter().cycle().take(13).enumerate() {
            server.now += seconds(1);
            let request = Request { nominate: round >= 2, ..peer.request() }.write();
            let request = Message::parse(&request).unwrap();
            server.agent.handle_datagram(server.now, to(at), &request).unwrap();
            for (path, check) in server.drain().iter().filter(|(_, datagram)| is_check(datagram)) {
                let answer = peer.answer(check);
                server.agent.handle_datagram(server.now, *path, &Message::parse(&answer).unwrap()).unwrap();
            }
        }
        assert_eq!(server.agent.selected(), Some(to(best)));
    }
}

#[test]
fn a_full_controlled_agent_follows_an_aggressive_peer_to_its_best_pair() {
    let configs = [(Mode::Full, Role::Controlled), (Mode::Full, Role::Controlling)];
    let mut ends = Ends::new(3, configs, [vec![local(SERVER, 9)], vec![local(HOME, 9), local(MOVED, 5)]]);
    ends.trickle(0);
    let peer = Peer { ours: ends.ends[1].credentials.clone(), servers: ends.ends[0].credentials.clone() };
    let agent = &mut ends.ends[0].agent;
    let mut buf = [0; limits::MTU];
    for remote in [MOVED, HOME] {
        ends.now += limits::CHECK_PACING;
        let request = peer.nominating();
        agent.handle_datagram(ends.now, path(remote), &Message::parse(&request).unwrap()).unwrap();
        while let Some((to, len)) = agent.poll_transmit(ends.now, &mut buf) {
            if is_check(&buf[..len]) {
                let answer = peer.answer(&buf[..len]);
                let answer = Message::parse(&answer).unwrap();
                agent.handle_datagram(ends.now, to, &answer).unwrap();
            }
        }
        assert_eq!(agent.selected(), Some(path(remote)));
    }
}

#[test]
fn a_path_that_is_only_named_again_is_forgotten_with_the_generation_it_was_heard_in() {
    let (mut server, _) = restarted(HOME);
    assert_eq!(server.events(), [Event::Selected(path(HOME))]);
    server.pass(limits::CONSENT_TIMEOUT + seconds(1));
    assert_eq!(server.events(), [Event::Disconnected]);
    assert_eq!((server.paths.len(), server.agent.knows(&path(HOME))), (0, false));
}
