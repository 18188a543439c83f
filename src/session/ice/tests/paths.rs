//! What addresses may get: checks, proofs, consent and room in the table (S-STUN, S-MUX).

use super::*;

#[test]
fn s_stun_10_candidates_are_bounded_and_checks_paced() {
    let (mut server, peer) = Server::new();
    let candidate = Candidate::host(Protocol::Udp, address(HOME), 1);
    for _ in 0..limits::CANDIDATES {
        assert_eq!(server.agent.add_remote_candidate(candidate.clone()), Ok(()));
    }
    assert_eq!(server.agent.add_remote_candidate(candidate.clone()), Err(LimitReached));
    assert_eq!(server.drain(), [], "a lite agent checks no candidate");
    server.agent.restart(credentials(3));
    assert_eq!(server.agent.add_remote_candidate(candidate), Ok(()));

    let (mut server, _) = Server::new();
    for port in 1..=5 {
        server.receive(&format!("192.0.2.1:{port}"), &peer.plain()).unwrap();
    }
    let at_once = server.drain().iter().filter(|(_, datagram)| is_check(datagram)).count();
    assert_eq!(at_once, 1);
    let times = server.pass(limits::CHECK_PACING * 4);
    let times = times.iter().map(|(at, ..)| *at).collect::<Vec<_>>();
    assert_eq!(times.len(), 4);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == limits::CHECK_PACING));
}

#[test]
fn s_stun_10_an_unanswered_check_backs_off_and_gives_up() {
    let (mut server, peer) = Server::new();
    server.receive(HOME, &peer.nominating()).unwrap();
    let begun = server.now;
    server.drain();
    // More arrives all the time, so that the accounting is not what ends it.
    server.agent.on_received(&path(HOME), 10_000);
    let sent = server.pass(seconds(120));
    let after = sent.iter().map(|(at, ..)| (*at - begun).as_millis()).collect::<Vec<_>>();
    assert_eq!(after, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(server.agent.poll_timeout(), None);
    // The next request of the peer's begins anew.
    server.connect(&peer, HOME);
}

#[test]
fn s_stun_11_sources_that_are_never_sent_to_are_dropped() {
    let (mut server, peer) = Server::connected();
    let before = server.digest();
    let bad = ["192.0.2.1:0", "0.0.0.0:9", "224.0.0.1:9", "255.255.255.255:9", SERVER];
    for remote in bad {
        assert_eq!(server.receive(remote, &peer.nominating()), Err(Drop::Address), "{remote}");
    }
    assert_eq!((server.digest(), server.drain()), (before, vec![]));
}

#[test]
fn s_stun_11_candidates_are_filtered_before_they_are_checked() {
    let local = address("192.0.2.10:5000");
    let checked = |private_candidates, remote: &str| {
        let config = Config { mode: Mode::Full, private_candidates, ..Config::default() };
        let mut agent = Agent::new(config, credentials(1), Random::new([1; 32]));
        agent.set_remote_credentials(credentials(2));
        agent.add_local_candidate(LocalCandidate::host(Protocol::Udp, local, local, 1)).unwrap();
        agent.add_remote_candidate(Candidate::host(Protocol::Udp, address(remote), 1)).unwrap();
        agent.poll_transmit(Instant::ZERO, &mut [0; limits::MTU]).is_some()
    };
    assert!(checked(false, SERVER));
    for bad in ["198.51.100.1:0", "224.0.0.1:9", "192.0.2.10:5000", "[2001:db8::1]:9"] {
        assert!(!checked(true, bad), "{bad}");
    }
    for private in ["127.0.0.1:9", "10.0.0.1:9"] {
        assert!(checked(true, private) && !checked(false, private), "{private}");
    }
}

#[test]
fn s_stun_12_extreme_priorities_are_ordered_not_overflowed() {
    let (mut server, peer) = Server::new();
    for (port, priority) in [(1, 0), (2, u32::MAX), (3, 1)] {
        let request = Request { priority, nominate: false, ..peer.request() };
        server.receive(&format!("192.0.2.1:{port}"), &request.write()).unwrap();
    }
    let mut sent = server.drain();
    sent.extend(server.pass(limits::CHECK_PACING * 2).into_iter().map(|(_, p, d)| (p, d)));
    let checks = sent.iter().filter(|(_, datagram)| is_check(datagram));
    let ports = checks.map(|(path, _)| path.remote.port()).collect::<Vec<_>>();
    assert_eq!(ports, [2, 3, 1]);
}

#[test]
fn s_stun_14_a_replayed_request_moves_no_media_to_its_source() {
    let (mut server, peer) = Server::connected();
    let victim = "203.0.113.5:53";
    let request = peer.nominating();
    let (mut received, mut sent) = (0, 0);
    for _ in 0..40 {
        // The attacker replays now and then, the victim never answers.
        server.receive(victim, &request).unwrap();
        received += request.len();
        for (to, datagram) in server.drain() {
            assert_eq!(to, path(victim));
            sent += datagram.len();
        }
        for (_, to, datagram) in server.pass(Duration::from_millis(100)) {
            sent += if to == path(victim) { datagram.len() } else { 0 };
        }
        assert!(sent <= limits::AMPLIFICATION * received, "{sent} for {received}");
        let credit = server.agent.allowance(&path(victim));
        assert_eq!(credit, Some(limits::AMPLIFICATION * received - sent));
        assert_eq!(server.agent.selected(), Some(path(HOME)));
    }
    assert_eq!(server.agent.allowance(&path(HOME)), None);
    assert_eq!(server.agent.allowance(&path(MOVED)), Some(0));
    // What others send there counts as well, and can use it all up.
    server.agent.on_sent(&path(victim), limits::AMPLIFICATION * received);
    assert_eq!(server.agent.allowance(&path(victim)), Some(0));
    server.agent.on_received(&path(victim), 100);
    assert!(server.agent.allowance(&path(victim)).unwrap() <= 300);
    assert_eq!(server.events(), []);
}

#[test]
fn s_stun_14_checks_and_answers_wait_for_bytes_that_were_not_earned() {
    let (mut server, peer) = Server::new();
    server.receive(HOME, &peer.nominating()).unwrap();
    server.agent.on_sent(&path(HOME), 100_000);
    assert_eq!(server.drain(), []);
    assert_eq!(server.pass(seconds(60)), []);
    server.agent.on_received(&path(HOME), 100_000);
    server.connect(&peer, HOME);
}

#[test]
fn s_stun_15_consent_is_asked_for_every_4_to_6_seconds_and_lost_after_30() {
    let (mut server, peer) = Server::connected();
    let mut last = server.now;
    for _ in 0..100 {
        let at = server.agent.poll_timeout().unwrap();
        let sent = server.pass(at - server.now);
        let [(at, to, check)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(*to, path(HOME));
        let interval = (*at - last).as_millis();
        assert!((4_000..=6_000).contains(&interval), "{interval}");
        last = *at;
        server.receive(HOME, &peer.answer(check)).unwrap();
    }
    let proven = server.now;
    // The peer's own requests do not renew it.
    while server.now - proven < seconds(29) {
        server.receive(HOME, &peer.nominating()).unwrap();
        server.drain();
        server.pass(Duration::from_millis(500));
    }
    assert_eq!(server.events(), []);
    server.pass(seconds(2));
    assert_eq!(server.events(), [Event::Disconnected]);
    assert_eq!((server.agent.selected(), server.agent.allowance(&path(HOME))), (None, Some(0)));
    assert!(!server.agent.knows(&path(HOME)));
    assert_eq!(server.agent.poll_timeout(), None, "not one packet more");

    // Regained with new credentials only.
    assert_eq!(server.receive(HOME, &peer.nominating()), Err(Drop::ConsentLost));
    assert_eq!(server.receive(MOVED, &peer.nominating()), Err(Drop::ConsentLost));
    let next = Peer { ours: credentials(3), servers: credentials(4) };
    server.agent.restart(next.servers.clone());
    server.agent.set_remote_credentials(next.ours.clone());
    server.connect(&next, HOME);
    assert_eq!(server.events(), [Event::Selected(path(HOME))]);
}

#[test]
fn s_stun_15_an_authenticated_403_ends_consent_at_once() {
    let (mut server, peer) = Server::connected();
    let sent = server.pass(seconds(6));
    let check = &sent.first().unwrap().2;
    assert_eq!(server.receive(HOME, &peer.respond(check, Some(403), None)), Err(Drop::Integrity));
    assert_eq!(server.agent.selected(), Some(path(HOME)));
    server.receive(HOME, &peer.respond(check, Some(403), Some(peer.ours.pwd()))).unwrap();
    assert_eq!(server.events(), [Event::Disconnected]);
    assert_eq!(server.agent.poll_timeout(), None);
}

#[test]
fn s_stun_16_a_restart_serves_on_the_old_pair_until_the_new_one_is_selected() {
    let (mut server, old) = Server::connected();
    let new = Peer { ours: credentials(3), servers: credentials(4) };
    server.agent.restart(new.servers.clone());
    assert_eq!(server.agent.local_credentials(), &new.servers);
    assert!(server.agent.answers_to(old.servers.ufrag()));

    // Before the peer's new password is known its checks are answered, ours wait.
    server.receive(HOME, &new.plain()).unwrap();
    let sent = server.drain();
    assert!(sent.len() == 1 && !is_check(&sent[0].1));
    server.agent.set_remote_credentials(new.ours.clone());
    let sent = server.pass(limits::CHECK_PACING);
    let [(_, _, check)] = &sent[..] else { panic!("{sent:?}") };
    assert!(Message::parse(check).unwrap().verify_integrity(mac(new.ours.pwd().as_bytes())));

    // Consent goes on under the old password, and old requests are answered.
    let sent = server.pass(seconds(6));
    let is_old = |check: &[u8]| {
        let check = Message::parse(check).unwrap();
        check.verify_integrity(mac(old.ours.pwd().as_bytes()))
    };
    let (.., consent) = sent.iter().find(|(.., check)| is_old(check)).unwrap();
    assert_eq!(server.receive(HOME, &old.answer(consent)), Ok(Outcome::Response));
    assert_eq!(server.receive(HOME, &old.nominating()), Ok(Outcome::Request));
    assert_eq!(server.agent.selected(), Some(path(HOME)));
    server.drain();

    server.connect(&new, MOVED);
    assert_eq!(server.events(), [Event::Selected(path(MOVED))]);
    assert!(!server.agent.answers_to(old.servers.ufrag()));
    assert_eq!(server.receive(HOME, &old.nominating()), Err(Drop::UnknownUsername));
}

#[test]
fn s_mux_05_a_million_source_ports_evict_each_other_and_not_the_selected_one() {
    let (mut server, peer) = Server::connected();
    server.connect(&peer, MOVED);
    server.events();
    let request = peer.plain();
    for n in 0..200_000u32 {
        let remote = SocketAddr::new([203, 0, (n >> 16) as u8, 1].into(), n as u16 | 1);
        server.now += Duration::from_micros(20);
        // The owner drains late at first, then promptly.
        let busy = server.receive(&remote.to_string(), &request) == Err(Drop::Busy);
        assert!(!busy || n % 64 >= 8);
        if n % 64 == 63 || n > 100_000 {
            server.drain();
        }
        if n % 1_000 == 999 {
            assert_eq!(server.events(), []);
            assert_eq!(server.paths.len(), limits::ADDRESSES_PER_PARTICIPANT);
        }
    }
    assert_eq!(server.agent.selected(), Some(path(MOVED)));
    // An address once proven outlives those that are not.
    assert!(server.agent.knows(&path(HOME)) && server.agent.knows(&path(MOVED)));
    assert_eq!(server.agent.allowance(&path(MOVED)), None);
}

#[test]
fn s_mux_05_the_selected_address_stays_even_when_it_was_heard_longest_ago() {
    let (mut server, peer) = Server::connected();
    for port in 1..40 {
        // A participant that proves each of its addresses, and nominates none.
        server.now += limits::CHECK_PACING;
        let remote = format!("192.0.2.1:{port}");
        server.receive(&remote, &peer.plain()).unwrap();
        let sent = server.drain();
        let answer = peer.answer(only_check(&sent, &remote));
        server.receive(&remote, &answer).unwrap();
        server.events();
        let known = limits::ADDRESSES_PER_PARTICIPANT.min(port + 1);
        assert_eq!(server.paths.len(), known);
    }
    assert_eq!(server.agent.selected(), Some(path(HOME)));
    assert_eq!(server.agent.allowance(&path(HOME)), None);
}

#[test]
fn rfc_8445_12_1_a_valid_pair_may_be_used_before_one_is_selected() {
    let prove = |server: &mut Server, peer: &Peer| {
        server.receive(HOME, &peer.plain()).unwrap();
        assert_eq!(server.agent.valid(server.now), None, "it is known and no more");
        let sent = server.drain();
        let (_, check) = sent.iter().find(|(_, datagram)| is_check(datagram)).expect("a check");
        server.receive(HOME, &peer.answer(check)).unwrap();
        assert_eq!(server.agent.valid(server.now), Some(path(HOME)));
        assert!(
            server.agent.is_valid(server.now, &path(HOME))
                && !server.agent.is_valid(server.now, &path(MOVED))
        );
        assert_eq!(server.agent.selected(), None);
    };
    let (mut server, peer) = Server::new();
    prove(&mut server, &peer);
    server.receive(HOME, &peer.nominating()).unwrap();
    assert_eq!((server.agent.valid(server.now), server.agent.selected()), (None, Some(path(HOME))));
    // Without a nomination, for as long as the proof counts.
    let (mut server, peer) = Server::new();
    prove(&mut server, &peer);
    server.pass(limits::CONSENT_TIMEOUT - seconds(1));
    assert!(server.agent.valid(server.now).is_some());
    server.pass(seconds(2));
    assert_eq!(server.agent.valid(server.now), None);
}

#[test]
fn s_stun_14_what_is_attached_is_within_what_an_address_has_earned() {
    // As much as there is room for, and what is left leaves the peer's answer its place.
    let all = |writer: &mut Writer<'_>, room: usize| {
        if room >= 4 {
            writer.attribute(attribute::DTLS_IN_STUN, &vec![22; (room - 4) / 4 * 4]).unwrap();
        }
    };
    let (mut server, peer) = Server::new();
    let request = peer.plain();
    server.receive(HOME, &request).unwrap();
    let mut buf = [0; limits::MTU];
    let (mut sent, mut answered) = (0, false);
    while let Some((_, len)) =
        server.agent.poll_transmit_with(server.now, &mut buf, &mut |writer, room| all(writer, room))
    {
        let message = Message::parse(&buf[..len]).unwrap();
        assert!(message.attribute(attribute::DTLS_IN_STUN).is_some());
        answered |= message.class() == Class::Success;
        sent += len;
    }
    assert!(answered);
    assert!(sent <= limits::AMPLIFICATION * request.len() && sent > 2 * request.len(), "{sent}");
    // No more than a mark goes with a check to an address that was only named, unless its owner trusts the description.
    for attach_to_named in [false, true] {
        let config =
            Config { mode: Mode::Full, role: Role::Controlling, private_candidates: true, attach_to_named };
        let mut agent = Agent::new(config, credentials(1), Random::new([1; 32]));
        agent.set_remote_credentials(credentials(2));
        agent
            .add_local_candidate(LocalCandidate::host(Protocol::Udp, address(SERVER), address(SERVER), 1))
            .unwrap();
        agent.add_remote_candidate(Candidate::host(Protocol::Udp, address(HOME), 1)).unwrap();
        let now = Instant::from_millis(1);
        let (_, len) =
            agent.poll_transmit_with(now, &mut buf, &mut |writer, room| all(writer, room)).expect("a check");
        let message = Message::parse(&buf[..len]).unwrap();
        assert_eq!(
            message.attribute(attribute::DTLS_IN_STUN).is_some_and(|value| value.len() > 4),
            attach_to_named
        );
        if attach_to_named {
            continue;
        }
        // What is attached to the checks of a full agent counts, however often they are repeated.
        let request = Request { nominate: false, controlling: false, controlled: true, ..peer.request() };
        let username = format!("{}:{}", credentials(1).ufrag(), credentials(2).ufrag());
        let key = credentials(1).pwd().as_bytes().to_vec();
        let request = Request { username: Some(username.into_bytes()), key: Some(key), ..request }.write();
        agent.handle_datagram(now, path(HOME), &Message::parse(&request).unwrap()).ok();
        let (mut now, mut attached) = (now, 0);
        for _ in 0..100 {
            now += seconds(1);
            agent.handle_timeout(now);
            while let Some((_, len)) =
                agent.poll_transmit_with(now, &mut buf, &mut |writer, room| all(writer, room))
            {
                let message = Message::parse(&buf[..len]).unwrap();
                attached += message.attribute(attribute::DTLS_IN_STUN).map_or(0, |value| value.len() + 4);
            }
        }
        assert!(attached <= limits::AMPLIFICATION * request.len(), "{attached}");
    }
}
