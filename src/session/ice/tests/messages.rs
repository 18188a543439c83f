//! What messages may do: S-STUN of the threat list, as far as it concerns a lite agent.

use super::*;

#[test]
fn an_honest_request_is_checked_then_answered() {
    let (mut server, peer) = Server::new();
    assert_eq!(server.receive(HOME, &peer.nominating()), Ok(Outcome::Request));
    let sent = server.drain();
    let [(_, check), (_, answer)] = &sent[..] else { panic!("{sent:?}") };

    let check = Message::parse(check).unwrap();
    let username = format!("{}:{}", peer.ours.ufrag(), peer.servers.ufrag());
    assert_eq!((check.class(), check.username()), (Class::Request, Some(&username[..])));
    assert!(check.verify_integrity(mac(peer.ours.pwd().as_bytes())) && check.has_fingerprint());
    assert!(check.ice_controlled().is_some() && check.priority().is_some());
    assert!(!check.use_candidate());

    let answer = Message::parse(answer).unwrap();
    assert_eq!(answer.class(), Class::Success);
    assert_eq!(answer.transaction_id(), TransactionId([1; 12]));
    assert_eq!(answer.xor_mapped_address(), Some(address(HOME)));
    assert!(answer.verify_integrity(mac(peer.servers.pwd().as_bytes())));
    assert!(answer.has_fingerprint());

    // Known, so its DTLS may come in, but not selected before the check is answered.
    assert_eq!(server.events(), []);
    assert_eq!(server.paths, [path(HOME)]);
    assert_eq!(server.agent.selected(), None);
}

/// Sends a request that has to be dropped and looks for traces.
fn assert_dropped(server: &mut Server, request: &Request, reason: Drop) {
    let before = server.digest();
    assert_eq!(server.receive(MOVED, &request.write()), Err(reason));
    assert_eq!(server.digest(), before);
    assert_eq!(server.drain(), []);
    assert_eq!(server.agent.poll_event(), None);
}

#[test]
fn s_stun_03_a_missing_fingerprint_is_dropped() {
    let (mut server, peer) = Server::connected();
    let request = Request { fingerprint: false, ..peer.request() };
    assert_dropped(&mut server, &request, Drop::Fingerprint);
    let other = Request { method: 0x003, ..peer.request() };
    assert_dropped(&mut server, &other, Drop::Method);
}

#[test]
fn s_stun_04_missing_and_wrong_integrity_are_dropped_and_the_session_lives_on() {
    let (mut server, peer) = Server::connected();
    assert_dropped(&mut server, &Request { key: None, ..peer.request() }, Drop::Integrity);
    let peers_own = Some(peer.ours.pwd().as_bytes().to_vec());
    assert_dropped(&mut server, &Request { key: peers_own, ..peer.request() }, Drop::Integrity);
    // A tag of another length is no STUN message at all.
    let short = Request { key: None, extra: Some(attribute::MESSAGE_INTEGRITY), ..peer.request() };
    let fault = Message::parse(&short.write()).err().map(|error| error.fault);
    assert_eq!(fault, Some(stun::Fault::Integrity));
    assert_eq!(server.agent.selected(), Some(path(HOME)));
    server.connect(&peer, MOVED);
}

#[test]
fn s_stun_05_an_unknown_username_costs_no_hmac_and_gets_no_reply() {
    let (mut server, peer) = Server::connected();
    let username = Some(format!("00faSomebody:{}", peer.ours.ufrag()).into_bytes());
    let request = Request { username, ..peer.request() };
    // The reason comes before the integrity's, be that right or wrong.
    assert_dropped(&mut server, &request, Drop::UnknownUsername);
    assert_dropped(&mut server, &Request { key: None, ..request }, Drop::UnknownUsername);
}

#[test]
fn s_stun_06_odd_usernames_are_dropped() {
    let (mut server, peer) = Server::connected();
    let ufrag = peer.servers.ufrag();
    let not_utf_8 = [ufrag.as_bytes(), b":\xFF"].concat();
    for username in [None, Some(Vec::new()), Some(ufrag.into()), Some(not_utf_8)] {
        assert_dropped(&mut server, &Request { username, ..peer.request() }, Drop::Username);
    }
    let long = Some(vec![b':'; limits::STUN_USERNAME]);
    let longest = Request { username: long, ..peer.request() };
    assert_dropped(&mut server, &longest, Drop::UnknownUsername);
}

#[test]
fn s_stun_07_no_reply_to_responses_and_none_longer_than_its_request() {
    let (mut server, peer) = Server::new();
    for class in [Class::Success, Class::Error] {
        let request = Request { class, ..peer.request() };
        assert_dropped(&mut server, &request, Drop::UnknownTransaction);
    }
    let conflict = Request { controlling: false, controlled: true, ..peer.request() };
    let unknown = Request { extra: Some(0x7FFF), ..peer.request() };
    for request in [peer.request(), conflict, unknown] {
        let request = request.write();
        for remote in [HOME, "[2001:db8::7]:9"] {
            server.now += limits::CHECK_PACING;
            server.receive(remote, &request).unwrap();
            for (_, datagram) in server.drain() {
                assert!(is_check(&datagram) || datagram.len() <= request.len());
                assert_eq!(Message::parse(&datagram).unwrap().attribute(0x8022), None);
            }
        }
    }
    server.events();
    // The shortest request there can be leaves no room for an error.
    let username = Some(format!("{}:", peer.servers.ufrag()).into_bytes());
    let short = Request { username, controlling: false, nominate: false, ..peer.request() };
    let short = Request { extra: Some(0x7FFF), ..short };
    assert_dropped(&mut server, &short, Drop::ReplyTooLong);
}

#[test]
fn an_unknown_attribute_that_must_be_understood_is_answered_420() {
    let (mut server, peer) = Server::new();
    server.receive(HOME, &Request { extra: Some(0x7FFF), ..peer.request() }.write()).unwrap();
    let sent = server.drain();
    let (_, answer) = sent.iter().find(|(_, datagram)| !is_check(datagram)).unwrap();
    let answer = Message::parse(answer).unwrap();
    assert_eq!(answer.error_code().map(|(code, _)| code), Some(420));
    assert_eq!(answer.attribute(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x7F, 0xFF][..]));
    assert!(answer.verify_integrity(mac(peer.servers.pwd().as_bytes())));
}

#[test]
fn s_stun_08_forged_late_and_asymmetric_responses_prove_nothing() {
    let (mut server, peer) = Server::new();
    server.receive(HOME, &peer.nominating()).unwrap();
    let sent = server.drain();
    let check = only_check(&sent, HOME);
    let before = server.digest();

    let mut other_id = peer.request();
    other_id.class = Class::Success;
    other_id.key = Some(peer.ours.pwd().as_bytes().to_vec());
    assert_eq!(server.receive(HOME, &other_id.write()), Err(Drop::UnknownTransaction));
    let forged = peer.respond(check, None, None);
    assert_eq!(server.receive(HOME, &forged), Err(Drop::Integrity));
    let forged = peer.respond(check, None, Some(peer.servers.pwd()));
    assert_eq!(server.receive(HOME, &forged), Err(Drop::Integrity));
    assert_eq!(server.receive(MOVED, &peer.answer(check)), Err(Drop::Asymmetric));
    assert_eq!((server.digest(), server.agent.selected()), (before, None));

    assert_eq!(server.receive(HOME, &peer.answer(check)), Ok(Outcome::Response));
    assert_eq!(server.agent.selected(), Some(path(HOME)));
    assert_eq!(server.receive(HOME, &peer.answer(check)), Err(Drop::UnknownTransaction));
}

#[test]
fn s_stun_09_errors_without_integrity_change_nothing_and_487_switches_no_role() {
    let (mut server, peer) = Server::new();
    server.receive(HOME, &peer.nominating()).unwrap();
    let sent = server.drain();
    let check = only_check(&sent, HOME);
    let before = server.digest();
    for code in [400, 403, 487] {
        let forged = peer.respond(check, Some(code), None);
        assert_eq!(server.receive(HOME, &forged), Err(Drop::Integrity));
    }
    assert_eq!(server.digest(), before);

    let conflict = peer.respond(check, Some(487), Some(peer.ours.pwd()));
    assert_eq!(server.receive(HOME, &conflict), Ok(Outcome::Response));
    assert_eq!(server.drain(), [], "no ping-pong: the next check waits for its turn");
    let later = server.pass(limits::CHECK_RTO);
    let [(_, _, again)] = &later[..] else { panic!("{later:?}") };
    let (first, again) = (Message::parse(check).unwrap(), Message::parse(again).unwrap());
    assert_ne!(first.transaction_id(), again.transaction_id());
    assert_eq!(first.ice_controlled(), again.ice_controlled());
    assert!(again.ice_controlling().is_none());
}

#[test]
fn s_stun_13_only_an_authenticated_controlling_peer_nominates() {
    let (mut server, peer) = Server::new();
    let conflict = Request { controlling: false, controlled: true, ..peer.request() };
    server.receive(HOME, &conflict.write()).unwrap();
    let sent = server.drain();
    let (_, answer) = sent.iter().find(|(_, datagram)| !is_check(datagram)).unwrap();
    let code = Message::parse(answer).unwrap().error_code();
    assert_eq!(code.map(|(code, _)| code), Some(487));
    server.receive(HOME, &peer.answer(only_check(&sent, HOME))).unwrap();
    assert_eq!(server.agent.selected(), None, "proven, not nominated");

    let no_role = Request { controlling: false, ..peer.request() };
    server.receive(HOME, &no_role.write()).unwrap();
    assert_eq!(server.agent.selected(), None);
    let unauthenticated = Request { key: None, ..peer.request() };
    assert_eq!(server.receive(HOME, &unauthenticated.write()), Err(Drop::Integrity));
    assert_eq!(server.agent.selected(), None);
    server.receive(HOME, &peer.nominating()).unwrap();
    assert_eq!(server.agent.selected(), Some(path(HOME)));
}

#[test]
fn s_stun_17_wrong_passwords_in_masses_disturb_nobody() {
    let (mut server, peer) = Server::connected();
    let wrong = Request { key: Some(b"wrong".to_vec()), ..peer.request() }.write();
    let before = server.digest();
    for port in 1..50_000 {
        let remote = format!("192.0.2.10:{port}");
        assert_eq!(server.receive(&remote, &wrong), Err(Drop::Integrity));
    }
    assert_eq!(server.digest(), before);
    assert_eq!((server.drain(), server.agent.poll_event()), (vec![], None));
    assert_eq!(server.receive(HOME, &peer.nominating()), Ok(Outcome::Request));
}

#[test]
fn s_stun_18_indications_prove_nothing() {
    let (mut server, peer) = Server::connected();
    let proven = server.now;
    for authenticated in [true, false] {
        let mut indication = Request { class: Class::Indication, ..peer.request() };
        indication.key = indication.key.filter(|_| authenticated);
        while server.now - proven < seconds(if authenticated { 10 } else { 31 }) {
            let before = server.digest();
            assert_eq!(server.receive(HOME, &indication.write()), Ok(Outcome::Indication));
            assert_eq!(server.receive(MOVED, &indication.write()), Ok(Outcome::Indication));
            assert_eq!(server.digest(), before);
            server.pass(seconds(1));
        }
    }
    assert_eq!(server.events(), [Event::Disconnected]);
}

#[test]
fn s_api_03_answers_that_nobody_polls_are_bounded() {
    let (mut server, peer) = Server::connected();
    for _ in 0..limits::STUN_REPLIES {
        assert_eq!(server.receive(HOME, &peer.nominating()), Ok(Outcome::Request));
    }
    assert_eq!(server.receive(HOME, &peer.nominating()), Err(Drop::Busy));
    assert_eq!(server.drain().len(), limits::STUN_REPLIES);
    assert_eq!(server.receive(HOME, &peer.nominating()), Ok(Outcome::Request));
}

#[test]
fn i_02_an_agent_is_small() {
    let size = std::mem::size_of::<Agent>();
    assert!(size <= 1_024, "{size}");
    for (index, reason) in Drop::ALL.into_iter().enumerate() {
        assert_eq!(reason.index(), index);
        assert!(reason.name().starts_with("ice."));
    }
}
