//! A connected association that is given away goes on elsewhere, and nowhere else.

use super::*;

const KEY: [u8; 32] = [7; 32];

fn moved(association: &mut Association, context: &Context, now: Instant) -> Association {
    let sealed = association.release(&KEY).expect("it is connected and nothing waits");
    assert_eq!(association.handle_datagram(now, &[23]), Err(Drop::Closed), "it is here no more");
    assert!(transmits(association).is_empty() && association.poll_event().is_none(), "without a word");
    Association::adopt(context, &sealed, &KEY, 9, now).expect("it is whole")
}

#[test]
fn an_association_goes_on_in_another_engine_with_its_keys_numbers_and_window() {
    for versions in [Versions::V12, Versions::V13] {
        for role in [Role::Client, Role::Server] {
            let mut pair = Pair::connected(versions);
            // Both sides have sent, keys of 1.3 were renewed, and one record is known.
            for at in 0..5_u8 {
                pair.client.send(&[at]).unwrap();
                pair.server.send(&[at]).unwrap();
            }
            if versions == Versions::V13 {
                pair.client.talk.outgoing.skip_to(crate::base::limits::DTLS_RECORDS / 2);
                pair.server.talk.expect_from(crate::base::limits::DTLS_RECORDS / 2);
                pair.client.send(b"renews").unwrap();
            }
            pair.run_for(Duration::from_secs(1));
            pair.client_events.clear();
            pair.server_events.clear();
            pair.client.send(b"replay").unwrap();
            pair.server.send(b"replay").unwrap();
            let [of_client, of_server] =
                [&mut pair.client, &mut pair.server].map(|end| transmits(end).remove(0));
            assert_eq!(pair.server.handle_datagram(pair.now, &of_client), Ok(()));
            assert_eq!(pair.client.handle_datagram(pair.now, &of_server), Ok(()));
            pair.run_for(Duration::from_millis(1));
            let exported = pair.client.export("EXPORTER-test", Some(b"context"), 40).expect("connected");
            assert!(pair.server.export("EXPORTER-test", Some(b"context"), 40) == Some(exported.clone()));
            pair.client_events.clear();
            pair.server_events.clear();

            let (elsewhere, now) = (context(versions), pair.now);
            let other = moved(pair.end(role), &elsewhere, now);
            *pair.end(role) = other;
            assert_eq!(
                pair.end(role).version(),
                Some(if versions == Versions::V12 { Version::V12 } else { Version::V13 })
            );
            assert!(pair.end(role).export("EXPORTER-test", Some(b"context"), 40) == Some(exported));
            let replay = if role == Role::Client { of_server } else { of_client };
            let now = pair.now;
            assert_eq!(pair.end(role).handle_datagram(now, &replay), Err(Drop::Replayed));
            for at in 0..50_u8 {
                pair.client.send(&[at]).unwrap();
                pair.server.send(&[at]).unwrap();
                pair.run_for(Duration::from_millis(5));
            }
            pair.run_for(Duration::from_millis(100));
            let all: Vec<_> = (0..50_u8).map(|at| Event::Data(vec![at].into())).collect();
            assert_eq!((&pair.client_events, &pair.server_events), (&all, &all), "{versions:?} {role:?}");
            // And keys are renewed there too.
            if versions == Versions::V13 {
                let (ours, theirs) = if role == Role::Client {
                    (&mut pair.client, &mut pair.server)
                } else {
                    (&mut pair.server, &mut pair.client)
                };
                let number = crate::base::limits::DTLS_RECORDS / 2;
                ours.talk.outgoing.skip_to(number);
                theirs.talk.expect_from(number);
                let epoch = ours.talk.outgoing.epoch();
                ours.send(b"once more").unwrap();
                pair.run_for(Duration::from_secs(1));
                assert_eq!(pair.end(role).talk.outgoing.epoch(), epoch + 1);
            }
            pair.client.close();
            pair.run();
            assert_eq!(pair.server_events.last(), Some(&Event::Closed));
        }
    }
}

#[test]
fn what_was_changed_cut_or_sealed_with_another_key_is_refused() {
    let mut pair = Pair::connected(Versions::V13);
    pair.run_for(Duration::from_secs(1));
    let sealed = pair.client.release(&KEY).unwrap();
    let context = context(Versions::V13);
    let adopt = |sealed: &[u8], key| Association::adopt(&context, sealed, key, 0, pair.now).map(|_| ());
    for at in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        let expected = if at == 0 { AdoptError::Form } else { AdoptError::Authentication };
        assert_eq!(adopt(&bad, &KEY), Err(expected));
        assert!(adopt(&sealed[..at], &KEY).is_err());
    }
    assert_eq!(adopt(&sealed, &[8; 32]), Err(AdoptError::Authentication));
    assert_eq!(adopt(&sealed, &KEY), Ok(()));
}

#[test]
fn what_is_not_connected_or_has_something_to_say_stays() {
    let mut pair = Pair::new(&context(Versions::V13), &context(Versions::V13), 0, Network::default());
    assert!(pair.client.release(&KEY).is_none() && pair.server.release(&KEY).is_none());
    pair.run();
    pair.client.send(b"waits").unwrap();
    assert!(pair.client.release(&KEY).is_none());
    pair.run();
    assert!(pair.client.release(&KEY).is_some());
    assert!(pair.client.release(&KEY).is_none(), "once");
}

#[test]
fn what_the_peer_may_not_have_heard_keeps_an_association_where_it_is() {
    let mut pair = Pair::new(&context(Versions::V13), &context(Versions::V13), 0, Network::default());
    while pair.client_events.is_empty() {
        pair.run_for(Duration::from_millis(1));
    }
    // Finished is lost.
    pair.collect();
    pair.flying.clear();
    assert!(pair.client.release(&KEY).is_none(), "nobody else could say it again");
    pair.run_for(Duration::from_secs(1));
    pair.keys();
    // The server renews its key; that the client knows is lost on the way.
    pair.server.talk.outgoing.skip_to(crate::base::limits::DTLS_RECORDS / 2);
    pair.client.talk.expect_from(crate::base::limits::DTLS_RECORDS / 2);
    pair.server.send(b"renews").unwrap();
    pair.server.handle_timeout(pair.now);
    for datagram in transmits(&mut pair.server) {
        pair.client.handle_datagram(pair.now, &datagram).unwrap();
    }
    transmits(&mut pair.client);
    pair.client.poll_event().unwrap();
    assert!(pair.client.release(&KEY).is_none(), "the old key would be heard nowhere");
    pair.run_for(Duration::from_secs(1));
    pair.server.send(b"with the new key").unwrap();
    pair.run_for(Duration::from_secs(1));
    assert!(pair.client.release(&KEY).is_some());
}
