//! Full agents: connecting, roles, translators, trickle, restarts, families.

use super::ends::{Ends, local};
use super::*;

const FULL: [(Mode, Role); 2] = [(Mode::Full, Role::Controlling), (Mode::Full, Role::Controlled)];
const INNER: &str = "10.0.0.2:9";

#[test]
fn two_full_agents_select_the_same_pair_and_keep_it_for_an_hour() {
    let mut ends = Ends::connected(1);
    assert_eq!(ends.roles(), [Role::Controlling, Role::Controlled]);
    ends.run(seconds(3_600));
    for (at, remote) in [(0, SERVER), (1, HOME)] {
        let selected = ends.ends[at].agent.selected().unwrap();
        assert_eq!(selected.remote, address(remote));
        assert_eq!(ends.ends[at].events, [Event::Selected(selected)]);
    }
}

#[test]
fn a_full_agent_controls_a_lite_one_whatever_it_was_configured_as() {
    for mode in [Mode::Full, Mode::Lite] {
        let configs = [(mode, Role::Controlled), (Mode::Lite, Role::Controlling)];
        let mut ends = Ends::new(2, configs, [vec![local(HOME, 9)], vec![local(SERVER, 9)]]);
        ends.ends[0].agent.set_remote_lite();
        ends.ends[0].agent.set_role(Role::Controlled);
        ends.ends[0].agent.add_local_candidate(local(HOME, 9)).unwrap();
        ends.signal();
        ends.run(seconds(1));
        ends.assert_connected();
        assert_eq!(ends.roles(), [Role::Controlling, Role::Controlled]);
    }
}

#[test]
fn an_agent_is_what_it_was_configured_as_once_its_peer_is_not_lite_any_more() {
    for mode in [Mode::Full, Mode::Lite] {
        let config =
            Config { mode, role: Role::Controlled, private_candidates: true, attach_to_named: false };
        let mut agent = Agent::new(config, credentials(1), Random::new([1; 32]));
        agent.set_remote_full();
        assert_eq!((agent.mode(), agent.role()), (mode, Role::Controlled), "nothing new");
        agent.set_remote_lite();
        agent.add_local_candidate(local(HOME, 9)).unwrap();
        agent.restart(credentials(2));
        assert_eq!((agent.mode(), agent.role()), (Mode::Full, Role::Controlling), "a restart alone");
        agent.set_remote_full();
        let locals = agent.local_candidates().count();
        match mode {
            Mode::Full => {
                assert_eq!((agent.mode(), agent.role(), locals), (mode, Role::Controlling, 1));
                agent.set_role(Role::Controlled);
            }
            Mode::Lite => assert_eq!((agent.mode(), locals), (mode, 0)),
        }
        assert_eq!(agent.role(), Role::Controlled);
    }
}

#[test]
fn s_stun_09_a_role_conflict_is_settled_with_one_switch() {
    for seed in 0..40 {
        for role in [Role::Controlling, Role::Controlled] {
            let configs = [(Mode::Full, role), (Mode::Full, role)];
            let mut ends = Ends::new(seed, configs, [vec![local(HOME, 9)], vec![local(SERVER, 9)]]);
            // One speaks first, or the other, or both at once.
            if seed % 3 != 0 {
                ends.trickle(usize::from(seed % 3 == 1));
                ends.run(Duration::from_millis(100));
            }
            ends.signal();
            ends.loss = if seed < 20 { 0 } else { 30 };
            ends.run(seconds(20));
            ends.loss = 0;
            ends.run(seconds(7));
            ends.assert_connected();
            let [a, b] = ends.roles();
            assert_ne!(a, b);
            let conflicts = [0, 1].map(|at| {
                let code = |(_, _, datagram): &(Instant, Path, Vec<u8>)| {
                    Message::parse(datagram).unwrap().error_code().map(|(code, _)| code)
                };
                ends.ends[at].sent.iter().filter(|sent| code(sent) == Some(487)).count()
            });
            assert!(conflicts.iter().all(|count| *count <= 20), "no ping-pong: {conflicts:?}");
        }
    }
}

#[test]
fn s_stun_09_a_second_487_in_one_generation_switches_nothing() {
    let configs = [(Mode::Full, Role::Controlling), (Mode::Lite, Role::Controlled)];
    let mut ends = Ends::new(4, configs, [vec![local(HOME, 9)], vec![local(SERVER, 9)]]);
    ends.trickle(0);
    let mut buf = [0; limits::MTU];
    let peer = Peer { ours: ends.ends[1].credentials.clone(), servers: ends.ends[0].credentials.clone() };
    let mut roles = Vec::new();
    for _ in 0..4 {
        ends.now += seconds(3);
        let agent = &mut ends.ends[0].agent;
        let (path, len) = agent.poll_transmit(ends.now, &mut buf).expect("a check");
        let check = Message::parse(&buf[..len]).unwrap();
        roles.push(check.ice_controlling().or(check.ice_controlled()).map(|tie| (agent.role(), tie)));
        // Not before it is authentic.
        for (pwd, accepted) in [(None, false), (Some(peer.ours.pwd()), true)] {
            let answer = peer.respond(&buf[..len], Some(487), pwd);
            let answer = Message::parse(&answer).unwrap();
            assert_eq!(agent.handle_datagram(ends.now, path, &answer).is_ok(), accepted);
        }
    }
    let [first, second, third, last] = roles.try_into().unwrap();
    assert_eq!(first.map(|(role, _)| role), Some(Role::Controlling));
    assert_eq!(second.map(|(role, _)| role), Some(Role::Controlled));
    assert_ne!(first.map(|(_, tie)| tie), second.map(|(_, tie)| tie), "RFC 8445, section 16.1");
    assert_eq!((third, last), (second, second));
}

#[test]
fn f_01_loss_reordering_and_duplicates_delay_the_connection_and_no_more() {
    for seed in 0..40 {
        let mut ends = Ends::full(seed);
        (ends.loss, ends.jitter, ends.duplicates) = (40, 300, 20);
        ends.signal();
        ends.run(seconds(25));
        ends.loss = 0;
        ends.run(seconds(8));
        ends.assert_connected();
    }
}

#[test]
fn behind_a_translator_the_reflexive_address_is_named_or_found() {
    // Named by the inner side, only found by the other, and translators on both sides.
    for (named, both) in [(true, false), (false, false), (true, true)] {
        let mut inner = vec![local(INNER, 9)];
        if named {
            inner.push(LocalCandidate::server_reflexive(address(INNER), address(HOME), 9));
        }
        let base = if both { "10.9.9.9:9" } else { SERVER };
        let mut outer = vec![local(base, 9)];
        if both {
            outer.push(LocalCandidate::server_reflexive(address(base), address(SERVER), 9));
        }
        for configs in [FULL, [FULL[1], FULL[0]]] {
            let mut ends = Ends::new(5, configs, [inner.clone(), outer.clone()]);
            ends.translated.push((address(INNER), address(HOME)));
            if both {
                ends.translated.push((address(base), address(SERVER)));
            }
            ends.signal();
            ends.run(seconds(5));
            ends.assert_connected();
            assert_eq!(ends.remotes(), [address(SERVER), address(HOME)]);
        }
    }
}

#[test]
fn reflexive_candidates_make_no_pairs_of_their_own() {
    let mapped = LocalCandidate::server_reflexive(address(INNER), address(HOME), 9);
    let mut ends = Ends::new(6, FULL, [vec![mapped, local(INNER, 9)], vec![local(SERVER, 9)]]);
    ends.dead.push(address(SERVER));
    ends.signal();
    ends.run(seconds(5));
    let first = ends.ends[0].sent.first().unwrap().2.clone();
    let first = Message::parse(&first).unwrap();
    for (_, path, datagram) in &ends.ends[0].sent {
        assert_eq!((path.local, path.remote), (address(INNER), address(SERVER)));
        assert_eq!(Message::parse(datagram).unwrap().transaction_id(), first.transaction_id());
    }
}

#[test]
fn candidates_that_trickle_in_late_are_used() {
    for order in [[0, 1], [1, 0]] {
        let mut ends = Ends::full(7);
        ends.run(seconds(3));
        assert!(ends.ends.iter().all(|end| end.sent.is_empty()));
        ends.trickle(order[0]);
        ends.run(seconds(3));
        // One side's are enough: the other sees where the checks come from.
        ends.assert_connected();
        ends.trickle(order[1]);
        ends.run(seconds(30));
        ends.assert_connected();
        assert!(ends.ends.iter().all(|end| end.events.len() == 1));
    }
    // A local candidate may be late as well.
    let mut ends = Ends::new(8, FULL, [vec![], vec![local(SERVER, 9)]]);
    ends.signal();
    ends.run(seconds(10));
    ends.ends[0].locals.push(local(HOME, 9));
    ends.ends[0].agent.add_local_candidate(local(HOME, 9)).unwrap();
    ends.run(seconds(1));
    ends.assert_connected();
}

#[test]
fn s_stun_16_a_restart_serves_on_until_the_new_generation_is_selected() {
    let mut ends = Ends::connected(9);
    for round in 20..25 {
        ends.restart(round);
        ends.assert_connected();
        ends.run(seconds(2));
        ends.assert_connected();
        assert_eq!(ends.roles(), [Role::Controlling, Role::Controlled], "roles stay");
    }
    assert!(ends.ends.iter().all(|end| end.events.len() == 6));
    ends.run(seconds(60));
    assert!(ends.ends.iter().all(|end| end.events.len() == 6));
}

#[test]
fn f_06_either_side_follows_a_translator_that_forgot() {
    for configs in [FULL, [FULL[1], FULL[0]]] {
        let mut ends = Ends::new(10, configs, [vec![local(INNER, 9)], vec![local(SERVER, 9)]]);
        ends.translated.push((address(INNER), address(HOME)));
        ends.signal();
        ends.run(seconds(2));
        ends.assert_connected();
        ends.translated[0].1 = address(MOVED);
        ends.run(seconds(20));
        ends.assert_connected();
        assert_eq!(ends.remotes()[1], address(MOVED));
        ends.run(seconds(60));
        ends.assert_connected();
    }
}

#[test]
fn the_better_family_is_selected_and_the_other_if_it_is_dead() {
    let both = |six: &str, four: &str| {
        let sockets = [four, six].map(|text| (address(text), address(text)));
        LocalCandidate::hosts(Protocol::Udp, &sockets)
    };
    for dead in [false, true] {
        let locals = [both("[2001:db8::2]:5", HOME), both("[2001:db8::1]:5", SERVER)];
        let mut ends = Ends::new(11, FULL, locals);
        if dead {
            ends.dead.push(address("[2001:db8::1]:5"));
        }
        ends.signal();
        ends.run(seconds(3));
        ends.assert_connected();
        assert_eq!(ends.remotes()[0].is_ipv6(), !dead);
        let mixed = |path: &Path| path.local.is_ipv4() != path.remote.is_ipv4();
        assert!(!ends.ends.iter().any(|end| end.sent.iter().any(|(_, path, _)| mixed(path))));
    }
}

#[test]
fn the_best_pair_is_nominated_even_if_another_answers_first() {
    let mut ends = Ends::new(12, FULL, [vec![local(HOME, 9)], vec![local(SERVER, 9), local(MOVED, 5)]]);
    // The better one's first check is lost.
    let lost = std::cell::Cell::new(false);
    ends.filter = Box::new(move |path, _| path.remote == address(SERVER) && !lost.replace(true));
    ends.trickle(0);
    ends.run(Duration::from_millis(1_500));
    ends.assert_connected();
    let (first, _, _) = ends.ends[0].sent[0];
    assert_eq!(ends.remotes()[0], address(MOVED), "a long wait is not worth it");
    assert!(ends.now - first < seconds(2));

    let mut ends = Ends::new(12, FULL, [vec![local(HOME, 9)], vec![local(SERVER, 5), local(MOVED, 9)]]);
    ends.trickle(0);
    ends.run(seconds(1));
    ends.assert_connected();
    assert_eq!(ends.remotes()[0], address(MOVED));
}

#[test]
fn rfc_8445_8_1_1_no_second_pair_is_nominated_when_checks_of_consent_are_lost() {
    let configs = [(Mode::Full, Role::Controlling), (Mode::Lite, Role::Controlled)];
    for seed in 0..24 {
        let servers = vec![local(SERVER, 9), local("198.51.100.2:3478", 8)];
        let mut ends = Ends::new(seed, configs, [vec![local(HOME, 9)], servers]);
        ends.jitter = 120;
        ends.signal();
        // The other pair may be proven just after this one was last heard on.
        while ends.ends[0].events.is_empty() {
            ends.run(Duration::from_millis(1));
        }
        let selected = ends.ends[0].agent.selected().unwrap();
        ends.filter = Box::new(move |path, _| [path.local, path.remote].contains(&selected.remote));
        ends.run(seconds(14));
        ends.filter = Box::new(|_, _| false);
        ends.run(seconds(14));
        ends.assert_connected();
        assert_eq!(ends.ends[0].events, [Event::Selected(selected)], "seed {seed}");
    }
}

#[test]
fn a_nomination_without_an_answer_goes_to_the_next_pair() {
    let mut ends = Ends::new(13, FULL, [vec![local(HOME, 9)], vec![local(SERVER, 9), local(MOVED, 5)]]);
    ends.filter = Box::new(|path, datagram| {
        path.remote == address(SERVER) && Message::parse(datagram).unwrap().use_candidate()
    });
    ends.signal();
    ends.run(seconds(10));
    ends.assert_connected();
    assert_eq!(ends.remotes()[0], address(MOVED));
}

#[test]
fn hope_ends_with_the_last_pair_and_not_before_its_time() {
    for (named, ended) in [(true, true), (false, true), (true, false)] {
        let mut ends = Ends::full(14);
        ends.dead.push(address(SERVER));
        if named {
            ends.signal();
        }
        let began = ends.now;
        ends.run(seconds(1));
        if ended {
            ends.ends.iter_mut().for_each(|end| end.agent.end_of_candidates());
        }
        ends.run(seconds(38));
        assert!(ends.ends.iter().all(|end| end.events.is_empty()));
        ends.run(seconds(20));
        let expected: &[Event] = if ended { &[Event::Failed] } else { &[] };
        assert!(ends.ends.iter().all(|end| end.events == expected), "{:?}", ends.now - began);
        assert!(ends.ends.iter().all(|end| end.agent.poll_timeout().is_none()));
        // Only a restart leads on.
        ends.dead.clear();
        ends.restart(99);
        ends.run(seconds(2));
        ends.assert_connected();
    }
}

#[test]
fn s_stun_14_a_full_agent_sends_no_answers_beyond_three_times_what_came() {
    let mut ends = Ends::full(15);
    let victim = Path { protocol: Protocol::Udp, local: address(SERVER), remote: address(MOVED) };
    let peer = Peer { ours: ends.ends[0].credentials.clone(), servers: ends.ends[1].credentials.clone() };
    let request = peer.plain();
    let message = Message::parse(&request).unwrap();
    let agent = &mut ends.ends[1].agent;
    agent.handle_datagram(ends.now, victim, &message).unwrap();
    assert_eq!(agent.allowance(&victim), Some(limits::AMPLIFICATION * request.len()));
    agent.on_sent(&victim, limits::AMPLIFICATION * request.len());
    ends.run(seconds(1));
    let answers = ends.ends[1].sent.iter().filter(|(_, _, datagram)| !is_check(datagram)).count();
    assert_eq!((answers, ends.ends[1].agent.selected()), (0, None));
}
