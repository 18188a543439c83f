//! Wrong certificates, forged and malformed datagrams.

use super::*;
use crate::base::limits;

const ALL: [Versions; 3] = [Versions::V12, Versions::V13, Versions::Auto];

fn wrong() -> Fingerprint {
    Fingerprint::of(HashAlgorithm::Sha256, b"somebody else")
}

/// No event of `events` gives keys or data away.
fn no_keys(events: &[Event]) -> bool {
    !events.iter().any(|event| matches!(event, Event::Connected { .. } | Event::Data(_)))
}

#[test]
fn s_dtls_11_a_client_with_a_wrong_certificate_gets_no_keys() {
    for versions in ALL {
        for expected in [&[][..], &[wrong()], &[wrong(), wrong()]] {
            let (client, server) = (context(versions), context(versions));
            let mut pair =
                Pair::expecting(&client, &[server.fingerprint()], &server, expected, 0, Network::default());
            pair.run();
            assert_eq!(pair.server_events, [Event::Failed(FailReason::Fingerprint)], "{versions:?}");
            // The client learns it in clear under 1.2; under 1.3 it believes to be connected, as
            // any client of 1.3 does when its last flight is refused.
            if versions == Versions::V12 {
                assert_eq!(pair.failures().0, Some(FailReason::Alert(42)));
            }
        }
    }
}

#[test]
fn s_dtls_11_a_server_with_a_wrong_certificate_gets_no_keys() {
    for versions in ALL {
        let (client, server) = (context(versions), context(versions));
        let of_client = [client.fingerprint()];
        let mut pair = Pair::expecting(&client, &[wrong()], &server, &of_client, 0, Network::default());
        pair.run();
        assert_eq!(pair.client_events, [Event::Failed(FailReason::Fingerprint)], "{versions:?}");
        assert!(no_keys(&pair.server_events));
    }
}

#[test]
fn s_dtls_11_one_match_among_several_is_enough() {
    let (client, server) = (context(Versions::V12), context(Versions::V12));
    let expected = [wrong(), server.fingerprint(), wrong()];
    let of_client = [client.fingerprint()];
    let mut pair = Pair::expecting(&client, &expected, &server, &of_client, 0, Network::default());
    pair.run();
    pair.keys();
}

#[test]
fn s_dtls_08_a_clear_alert_shortens_the_wait_and_no_more() {
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for versions in ALL {
        // Forged: the handshake goes on and finishes.
        let mut pair = Pair::new(&context(versions), &context(versions), 0, Network::default());
        pair.run_for(Duration::from_millis(30));
        for role in [Role::Client, Role::Server] {
            let now = pair.now;
            assert_eq!(pair.end(role).handle_datagram(now, &alert), Err(Drop::ClearAlert));
        }
        pair.run();
        pair.keys();
        // And afterwards it does not even shorten anything.
        assert_eq!(pair.client.handle_datagram(pair.now, &alert), Err(Drop::ClearAlert));
        assert!(pair.client.poll_timeout().is_none_or(|due| due > pair.now + limits::DTLS_ALERT_GRACE));
        assert_eq!(pair.client.poll_event(), None);
        // True: nothing else comes.
        let mut pair = Pair::new(&context(versions), &context(versions), 0, Network::default());
        pair.network.loss = 1_000;
        let started = pair.now;
        assert_eq!(pair.client.handle_datagram(pair.now, &alert), Err(Drop::ClearAlert));
        pair.run();
        assert_eq!(pair.failures().0, Some(FailReason::Alert(40)));
        assert_eq!(pair.now - started, limits::DTLS_ALERT_GRACE);
    }
}

#[test]
fn s_dtls_08_a_client_of_1_3_with_keys_does_not_even_wait_less_for_a_clear_alert() {
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let (ours, theirs) = (context(Versions::V13), context(Versions::V13));
    let now = Instant::from_millis(1_000);
    let mut client = Association::new(Role::Client, &ours, &[theirs.fingerprint()], 1, now);
    let mut server = Association::new(Role::Server, &theirs, &[ours.fingerprint()], 2, now);
    for hello in transmits(&mut client) {
        let _ = server.handle_datagram(now, &hello);
    }
    let mut flight = transmits(&mut server).into_iter();
    while client.version().is_none() {
        let _ = client.handle_datagram(now, &flight.next().expect("the ServerHello is in it"));
    }
    assert_eq!(client.handle_datagram(now, &alert), Err(Drop::ClearAlert));
    let later = now + limits::DTLS_ALERT_GRACE + Duration::from_secs(1);
    client.handle_timeout(later);
    assert_eq!(client.poll_event(), None);
    for datagram in flight {
        let _ = client.handle_datagram(later, &datagram);
    }
    assert!(matches!(client.poll_event(), Some(Event::Connected { .. })));
}

#[test]
fn s_dtls_02_a_second_client_hello_leaves_the_association_in_use() {
    for versions in ALL {
        let mut pair = Pair::connected(versions);
        let (before, context) = (pair.sent, context(versions));
        for second in 0..20 {
            let mut other =
                Association::new(Role::Client, &context, &[wrong()], second, Instant::from_millis(5_000));
            for hello in transmits(&mut other) {
                let _ = pair.server.handle_datagram(pair.now, &hello);
            }
        }
        pair.run();
        assert!(pair.sent - before <= 2, "{versions:?}: at most one repeated flight");
        pair.client.send(b"still here").unwrap();
        pair.run();
        assert_eq!(pair.server_events.last(), Some(&Event::Data(b"still here"[..].into())), "{versions:?}");
        assert_eq!(pair.server_events.len(), 2);
    }
}

#[test]
fn s_dtls_06_forged_records_neither_end_nor_change_a_connected_association() {
    for versions in ALL {
        let mut pair = Pair::connected(versions);
        pair.client.send(b"genuine").unwrap();
        let genuine = transmits(&mut pair.client).remove(0);
        for position in 0..genuine.len() {
            for bit in [0x01, 0x80] {
                let mut forged = genuine.clone();
                forged[position] ^= bit;
                let outcome = pair.server.handle_datagram(pair.now, &forged);
                // Where DTLS 1.2 authenticates nothing, a byte may differ: the record's version.
                let version_byte = versions == Versions::V12 && position == 2;
                assert!(outcome.is_err() || version_byte, "{versions:?}: byte {position}");
                assert_eq!(pair.server.poll_event(), None);
                assert!(transmits(&mut pair.server).is_empty());
            }
        }
        assert_eq!(pair.server.handle_datagram(pair.now, &genuine), Ok(()));
        assert_eq!(pair.server.poll_event(), Some(Event::Data(b"genuine"[..].into())));
        assert_eq!(pair.server.handle_datagram(pair.now, &genuine), Err(Drop::Replayed), "a replay");
    }
}

#[test]
fn s_dtls_07_a_forged_finished_does_not_end_the_handshake() {
    let (client, server) = (context(Versions::V12), context(Versions::V12));
    let mut pair = Pair::new(&client, &server, 0, Network::default());
    for hello in transmits(&mut pair.client) {
        pair.server.handle_datagram(pair.now, &hello).unwrap();
    }
    for flight in transmits(&mut pair.server) {
        pair.client.handle_datagram(pair.now, &flight).unwrap();
    }
    // The protected Finished is the last record of the client's answer.
    let flight = transmits(&mut pair.client);
    let (last, before) = flight.split_last().unwrap();
    let at = last.windows(5).rposition(|w| w == [22, 0xfe, 0xfd, 0, 1]).unwrap();
    for datagram in before.iter().map(Vec::as_slice).chain([&last[..at]]) {
        pair.server.handle_datagram(pair.now, datagram).unwrap();
    }
    for position in 13..last.len() - at {
        let mut forged = last[at..].to_vec();
        forged[position] ^= 1;
        assert_eq!(pair.server.handle_datagram(pair.now, &forged), Err(Drop::Authentication));
    }
    assert_eq!(pair.server.handle_datagram(pair.now, &last[at..]), Ok(()));
    assert!(matches!(pair.server.poll_event(), Some(Event::Connected { .. })));
}

#[test]
fn s_dtls_06_data_next_to_a_bad_record_is_read() {
    let mut pair = Pair::connected(Versions::V12);
    let clear = [&[23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3][..], b"bad"].concat();
    assert_eq!(pair.server.handle_datagram(pair.now, &clear), Err(Drop::ClearData));
    pair.client.send(b"good").unwrap();
    let good = transmits(&mut pair.client).remove(0);
    let both = [&clear[..], &good].concat();
    assert_eq!(pair.server.handle_datagram(pair.now, &both), Ok(()));
    assert_eq!(pair.server.poll_event(), Some(Event::Data(b"good"[..].into())));
    assert_eq!(pair.server.poll_event(), None);
}

#[test]
fn s_dtls_06_the_longest_datagram_is_the_limit() {
    let mut pair = Pair::connected(Versions::V13);
    let long = vec![0x28; limits::DATAGRAM + 1];
    assert_eq!(pair.server.handle_datagram(pair.now, &long[..limits::DATAGRAM]), Err(Drop::Epoch));
    assert_eq!(pair.server.handle_datagram(pair.now, &long), Err(Drop::TooLong));
    assert_eq!(pair.server.handle_datagram(pair.now, &[]), Err(Drop::Empty));
}

/// A clear handshake fragment of a ClientHello, as a datagram.
fn fragment(total: u32, number: u16, offset: u32, body: &[u8], record: u8) -> Vec<u8> {
    let mut bytes = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, record];
    bytes.extend(((12 + body.len()) as u16).to_be_bytes());
    bytes.push(1);
    bytes.extend(&total.to_be_bytes()[1..]);
    bytes.extend(number.to_be_bytes());
    bytes.extend(&offset.to_be_bytes()[1..]);
    bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend(body);
    bytes
}

#[test]
fn s_dtls_03_a_whole_message_works_after_bad_fragments_of_it() {
    for versions in ALL {
        let (client, server) = (context(versions), context(versions));
        let mut pair = Pair::new(&client, &server, 0, Network::default());
        let total = 300;
        let bad = [
            fragment(total, 0, 100, &[0; 20], 1),
            fragment(total, 0, 110, &[0; 20], 2),
            fragment(total, 0, 299, &[0; 1], 3),
            fragment(total + 7, 0, 50, &[0; 10], 4),
            fragment(0xff_ffff, 0, 0, &[0; 10], 5),
            fragment(total, 0, 0, &[], 6),
            fragment(total, 0, 290, &[0; 20], 7),
            fragment(total, 3, 0, &[0; 10], 8),
        ];
        for datagram in bad {
            let _ = pair.server.handle_datagram(pair.now, &datagram);
        }
        assert!(transmits(&mut pair.server).is_empty(), "nothing is answered");
        pair.run();
        pair.keys();
    }
}

#[test]
fn s_dtls_05_a_flood_ahead_of_order_is_bounded_and_ends_nothing() {
    for versions in ALL {
        let mut pair = Pair::new(&context(versions), &context(versions), 0, Network::default());
        for n in 0..10_000u32 {
            let datagram = match n % 3 {
                0 => fragment(8_000, 1 + (n % 10) as u16, 1 + n % 5_000, &[0; 1_000], n as u8),
                1 => fragment(900, 1 + (n % 15) as u16, 0, &[0; 900], n as u8),
                _ => vec![20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, (n >> 8) as u8, n as u8, 0, 1, 1],
            };
            let outcome = pair.server.handle_datagram(pair.now, &datagram);
            let refused = matches!(outcome, Err(Drop::OutOfOrder | Drop::Fragment));
            assert!(outcome == Ok(()) || refused, "{versions:?}: {outcome:?}");
        }
        assert!(transmits(&mut pair.server).is_empty(), "nothing is answered");
        pair.server.handle_timeout(pair.now + limits::DTLS_HANDSHAKE);
        assert_eq!(pair.server.poll_event(), Some(Event::Failed(FailReason::Timeout)));
    }
}

#[test]
fn s_dtls_14_no_version_in_common_is_refused() {
    for (client, server) in [(Versions::V12, Versions::V13), (Versions::V13, Versions::V12)] {
        let mut pair = Pair::new(&context(client), &context(server), 0, Network::default());
        pair.run();
        let (of_client, of_server) = pair.failures();
        assert!(of_client.is_some() && of_server.is_some(), "{of_client:?} {of_server:?}");
    }
}

#[test]
fn i_01_changed_and_cut_handshakes_end_without_panic_and_keys_that_come_agree() {
    let mut random = Random::new([9; 32]);
    for versions in ALL {
        let (client, server) = (context(versions), context(versions));
        for round in 0..150 {
            let mut pair = Pair::new(&client, &server, 0, Network::default());
            for _ in 0..6 {
                pair.collect();
                // Beside each datagram goes a changed copy, before or after it.
                let copies: Vec<_> = pair.flying.iter().map(|f| (f.to, f.bytes.clone())).collect();
                for (to, mut bytes) in copies {
                    for _ in 0..=random.below(3) {
                        let at = random.below(bytes.len() as u64) as usize;
                        match random.below(4) {
                            0 => bytes.truncate(at + 1),
                            1 => bytes[at] = random.next_u32() as u8,
                            2 => bytes[at] ^= 1 << random.below(8),
                            _ => bytes.extend_from_slice(&bytes.clone()[at..]),
                        }
                    }
                    let now = pair.now;
                    if random.below(2) == 0 {
                        let _ = pair.end(to).handle_datagram(now, &bytes);
                    } else {
                        pair.send(to, &bytes);
                    }
                }
                pair.run_for(Duration::from_millis(25));
            }
            pair.run();
            let ends = (&pair.client_events[..], &pair.server_events[..]);
            if let ([Event::Connected { .. }, ..], [Event::Connected { .. }, ..]) = ends {
                pair.keys();
            }
            assert!(!pair.client_events.is_empty(), "{versions:?}, round {round}: no end");
        }
    }
}

#[test]
fn i_01_noise_at_every_stage_is_survived() {
    let mut random = Random::new([4; 32]);
    for versions in ALL {
        let (client, server) = (context(versions), context(versions));
        for _ in 0..20 {
            let mut pair = Pair::new(&client, &server, 0, Network::default());
            for _ in 0..8 {
                for _ in 0..20 {
                    let mut noise = vec![0; random.below(400) as usize];
                    random.fill(&mut noise);
                    if let [first, rest @ ..] = &mut noise[..] {
                        *first = 20 + *first % 44;
                        // Half of them with the rest of a plausible header.
                        if random.below(2) == 0 && rest.len() > 12 {
                            rest[..4].copy_from_slice(&[0xfe, 0xfd, 0, random.below(2) as u8]);
                            let len = (rest.len() - 12) as u16;
                            rest[10..12].copy_from_slice(&len.to_be_bytes());
                        }
                    }
                    let to = if random.below(2) == 0 { Role::Client } else { Role::Server };
                    let now = pair.now;
                    let _ = pair.end(to).handle_datagram(now, &noise);
                }
                pair.run_for(Duration::from_millis(20));
            }
            pair.run();
            pair.keys();
        }
    }
}
