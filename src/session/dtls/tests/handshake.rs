//! Handshakes that end well, and those that do not by the fault of nobody hostile.

use super::*;
use crate::base::limits;

const ALL: [Versions; 3] = [Versions::V12, Versions::V13, Versions::Auto];

#[test]
fn every_pair_of_versions_with_one_in_common_connects() {
    use Version::{V12, V13};
    let cases = [
        (Versions::V12, Versions::V12, V12),
        (Versions::V13, Versions::V13, V13),
        (Versions::Auto, Versions::Auto, V13),
        (Versions::Auto, Versions::V12, V12),
        (Versions::Auto, Versions::V13, V13),
        (Versions::V12, Versions::Auto, V12),
        (Versions::V13, Versions::Auto, V13),
    ];
    for (client, server, expected) in cases {
        let mut pair = Pair::new(&context(client), &context(server), 0, Network::default());
        pair.run();
        let (profile, keying, _) = pair.keys();
        assert_eq!((profile, keying.local_key.expose().len(), keying.local_salt.expose().len()), (7, 16, 12));
        assert_eq!(pair.client.version(), Some(expected), "{client:?} {server:?}");
        assert_eq!(pair.server.version(), Some(expected));
        assert_eq!((pair.client_events.len(), pair.server_events.len()), (1, 1));
        assert!(pair.now.as_micros() < 1_200_000, "no repetition was needed");
    }
}

#[test]
fn after_the_handshake_nothing_is_pending() {
    for versions in ALL {
        let mut pair = Pair::connected(versions);
        // But for the last flight, which is kept for whoever has not heard it.
        let sent = pair.sent;
        pair.run_for(limits::DTLS_LINGER);
        assert_eq!((pair.client.poll_timeout(), pair.server.poll_timeout()), (None, None), "{versions:?}");
        assert_eq!(pair.sent, sent, "{versions:?}");
        assert!(transmits(&mut pair.client).is_empty() && transmits(&mut pair.server).is_empty());
    }
}

#[test]
fn s_dtls_15_lossy_doubling_reordering_networks_end_in_keys() {
    for versions in ALL {
        let (client, server) = (context(versions), context(versions));
        for seed in 0..40 {
            let network = Network { loss: 150, double: 150, jitter: Duration::from_millis(60) };
            let mut pair = Pair::new(&client, &server, seed, network);
            pair.run();
            let ends = (pair.client_events.first(), pair.server_events.first());
            let (Some(Event::Connected { .. }), Some(Event::Connected { .. })) = ends else {
                panic!("{versions:?}, seed {seed}: {ends:?}");
            };
            pair.keys();
        }
    }
}

#[test]
fn s_dtls_10_a_handshake_that_stalls_anywhere_ends_after_thirty_seconds() {
    for versions in ALL {
        let (client, server) = (context(versions), context(versions));
        // The network dies after so many datagrams.
        for alive in 0..5 {
            let mut pair = Pair::new(&client, &server, 0, Network::default());
            while pair.sent < alive && pair.client_events.is_empty() {
                pair.run_for(Duration::from_millis(20));
            }
            if !pair.client_events.is_empty() {
                break;
            }
            pair.network.loss = 1_000;
            pair.flying.clear();
            let started = pair.now;
            pair.run();
            assert!(pair.sent < 100, "{versions:?}: {} datagrams into the void", pair.sent);
            assert_eq!(pair.client_events, [Event::Failed(FailReason::Timeout)], "{versions:?}, {alive}");
            assert!(pair.now - started <= limits_handshake(), "{versions:?}, {alive}");
            // A server that heard nothing waits for its owner; one that did has ended or finished.
            match &pair.server_events[..] {
                [] => assert_eq!(pair.server.poll_timeout(), None),
                [Event::Failed(FailReason::Timeout) | Event::Connected { .. }] => {}
                other => panic!("{versions:?}, {alive}: {other:?}"),
            }
        }
    }
}

fn limits_handshake() -> Duration {
    crate::base::limits::DTLS_HANDSHAKE
}

#[test]
fn s_dtls_19_a_lost_last_flight_is_sent_again() {
    let cases = ALL.into_iter().flat_map(|versions| [3, 15].map(|seconds| (versions, seconds)));
    for (versions, lost_for) in cases {
        let mut pair = Pair::new(&context(versions), &context(versions), 0, Network::default());
        // Under 1.2 the server's is the last flight, under 1.3 the client's.
        while pair.client_events.is_empty() && pair.server_events.is_empty() {
            pair.run_for(Duration::from_millis(1));
        }
        // All that is in the air is lost, and for so long what is said after it: nobody has given up yet.
        pair.network.loss = 1_000;
        pair.flying.clear();
        pair.run_for(Duration::from_secs(lost_for));
        pair.network.loss = 0;
        pair.run();
        pair.keys();
    }
}

#[test]
fn data_flows_both_ways_in_any_order_of_calls() {
    for versions in ALL {
        let mut pair = Pair::connected(versions);
        // Commands before any poll, polls interleaved as they come.
        for n in 0..10u8 {
            pair.client.send(&[n; 100]).unwrap();
            pair.server.send(&[n, n]).unwrap();
        }
        pair.run();
        let data = |events: &[Event]| -> Vec<Vec<u8>> {
            let payload = |event: &Event| match event {
                Event::Data(data) => Some(data.to_vec()),
                _ => None,
            };
            events.iter().filter_map(payload).collect()
        };
        assert_eq!(data(&pair.server_events), (0..10).map(|n| vec![n; 100]).collect::<Vec<_>>());
        assert_eq!(data(&pair.client_events), (0..10).map(|n| vec![n, n]).collect::<Vec<_>>());
    }
}

#[test]
fn s_dtls_17_data_of_every_size_up_to_the_limit_arrives() {
    for versions in [Versions::V12, Versions::V13] {
        for mtu in [256, 1_200, 2_048] {
            let config = Config { versions, mtu, ..Config::default() };
            let context = Context::new(config, Certificate::generate().unwrap()).unwrap();
            let mut pair = Pair::new(&context, &context, 0, Network::default());
            pair.run();
            let max = pair.client.max_data();
            assert_eq!(pair.client.send(&vec![0; max + 1]), Err(SendError::TooLong));
            for len in [0, 1, max - 1, max] {
                pair.client.send(&vec![7; len]).unwrap();
                let datagrams = transmits(&mut pair.client);
                assert!(datagrams.len() == 1 && datagrams[0].len() <= mtu, "{len} bytes, MTU {mtu}");
                assert_eq!(pair.server.handle_datagram(pair.now, &datagrams[0]), Ok(()));
                assert_eq!(pair.server.poll_event(), Some(Event::Data(vec![7; len].into())));
            }
        }
    }
}

#[test]
fn s_api_03_undrained_queues_are_bounded_and_recover() {
    let mut pair = Pair::connected(Versions::V12);
    let sent = (0..1_000).filter(|n| pair.client.send(&[*n as u8]).is_ok()).count();
    assert_eq!(sent, crate::base::limits::DTLS_OUTGOING);
    assert_eq!(pair.client.send(&[0]), Err(SendError::QueueFull));
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        for datagram in transmits(&mut pair.client) {
            outcomes.push(pair.server.handle_datagram(pair.now, &datagram));
        }
        pair.client.send(b"more").unwrap();
    }
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), crate::base::limits::DTLS_EVENTS);
    assert_eq!(outcomes.last(), Some(&Err(Drop::QueueFull)));
    assert_eq!(pair.server.lost(), 1);
    pair.run();
    assert_eq!(pair.server_events.last(), Some(&Event::Data(b"more"[..].into())));
}

#[test]
fn a_close_is_heard_once_and_both_ends_go_quiet() {
    for versions in ALL {
        let mut pair = Pair::connected(versions);
        pair.client.send(b"last words").unwrap();
        pair.client.close();
        pair.client.close();
        assert_eq!(pair.client.send(b"more"), Err(SendError::NotConnected));
        pair.run();
        let heard = [Event::Data(b"last words"[..].into()), Event::Closed];
        assert_eq!(pair.server_events[1..], heard, "{versions:?}");
        assert_eq!(pair.client_events.len(), 1, "its own close is no news");
        for role in [Role::Client, Role::Server] {
            let end = pair.end(role);
            assert_eq!(end.handle_datagram(Instant::ZERO, &[22; 20]), Err(Drop::Closed));
            assert_eq!((end.poll_timeout(), end.poll_event()), (None, None));
            assert_eq!(end.send(b"more"), Err(SendError::NotConnected));
        }
    }
}

#[test]
fn a_close_before_the_end_of_the_handshake_is_silent() {
    let mut pair = Pair::new(&context(Versions::V12), &context(Versions::V12), 0, Network::default());
    pair.run_for(Duration::from_millis(30));
    pair.server.close();
    assert!(transmits(&mut pair.server).is_empty());
    assert_eq!((pair.server.poll_event(), pair.server.poll_timeout()), (None, None));
}

#[test]
fn early_calls_and_time_that_goes_back_do_nothing() {
    let mut pair = Pair::new(&context(Versions::V12), &context(Versions::V12), 0, Network::default());
    assert_eq!(transmits(&mut pair.client).len(), 1);
    let due = pair.client.poll_timeout().unwrap();
    pair.client.handle_timeout(Instant::ZERO);
    pair.client.handle_timeout(due - Duration::from_micros(1));
    assert_eq!((pair.client.poll_timeout(), transmits(&mut pair.client).len()), (Some(due), 0));
    pair.client.handle_timeout(due);
    assert_eq!(transmits(&mut pair.client).len(), 1);
}

#[test]
fn a_short_buffer_gets_nothing_and_loses_nothing() {
    let mut pair = Pair::new(&context(Versions::V12), &context(Versions::V12), 0, Network::default());
    assert_eq!(pair.client.poll_transmit(pair.now, &mut [0; 20]), None);
    assert_eq!(transmits(&mut pair.client).len(), 1);
}

#[test]
fn associations_may_move_between_threads() {
    fn send<T: Send>() {}
    send::<Association>();
    send::<Context>();
}
