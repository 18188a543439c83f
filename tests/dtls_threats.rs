//! DTLS threats to a live engine, each named by its identifier, and certificates that are replaced.

mod support;

use estafette::{DropReason, Event, LeaveReason, ParticipantConfig, dtls, limits};
use std::net::SocketAddr;
use support::client::publish::Plan;
use support::harness::{Endpoint as _, Options, live, seconds};
use support::{Client, Conference};

#[test]
fn s_dtls_09_flights_to_an_address_that_proved_nothing_stay_below_three_times_what_came() {
    for versions in [dtls::Versions::V12, dtls::Versions::V13] {
        let mut conference = Conference::<Client>::new(Options { versions, ..Options::default() });
        let room = conference.room();
        conference.add(room, 0);
        // It checks and shakes hands, but answers no check of the engine's: its address may be forged.
        conference.endpoint(0).ice.answers = false;
        let id = conference.participant(0);
        for _ in 0..100 {
            // The watch asserts the same of every single datagram.
            conference.drive(seconds(1) / 10);
            let stats = conference.engine.participant(id).expect("it is there").stats();
            assert!(stats.bytes_sent <= 3 * stats.bytes_received, "{versions:?}: {stats:?}");
        }
        let flights = conference.engine.participant(id).expect("it is there").stats().datagrams_sent;
        assert!(flights > 3, "{versions:?}: something was said");
        // What was held back is said once the address is proven.
        conference.endpoint(0).ice.answers = true;
        conference.connect();
    }
}

#[test]
fn s_dtls_01_a_hello_from_an_address_that_a_replayed_check_made_known_is_dropped() {
    let mut conference = live(2, Options::default());
    let check = conference.endpoint(0).ice.check(false);
    let stranger: SocketAddr = ([198, 51, 100, 1], 4_000).into();
    conference.inject(stranger, &check);
    conference.drive(seconds(1) / 10);
    // A handshake of the participant's is expected; who has read its description may come first.
    conference.endpoint(0).never_secures = true;
    conference.renew(0);
    let hello = {
        let certificate = dtls::Certificate::generate().unwrap();
        let context = dtls::Context::new(dtls::Config::default(), certificate).unwrap();
        let expected = context.fingerprint();
        let mut client = dtls::Association::new(dtls::Role::Client, &context, &[expected], 1, conference.now);
        let mut buf = [0; 2_048];
        let len = client.poll_transmit(conference.now, &mut buf).unwrap();
        buf[..len].to_vec()
    };
    let dropped = |conference: &Conference| conference.engine.stats().dropped(DropReason::UnknownAddress);
    let (before, events) = (dropped(&conference), conference.events.len());
    conference.inject(stranger, &hello);
    conference.drive(seconds(1) / 10);
    assert_eq!(dropped(&conference), before + 1);
    assert_eq!(conference.events.len(), events);
    conference.endpoint(0).never_secures = false;
    conference.connect();
    conference.drive(seconds(2));
    // Under new keys a stream begins anew, with the next key frame.
    let seen = conference.seen(1, 0);
    assert!(seen.audio >= 30 && seen.video >= 30 && seen.broken.len() <= 1, "{seen:?}");
}

#[test]
fn a_handshake_that_new_fingerprints_asked_for_has_to_end_in_time() {
    let mut conference = live(2, Options::default());
    conference.endpoint(0).never_secures = true;
    conference.renew(0);
    let begun = conference.now;
    // ICE goes on, over the new generation's path too.
    assert!(conference.drive_until(seconds(40), |conference| conference.seats[0].participant.is_none()));
    assert_eq!(conference.seats[0].left, Some(LeaveReason::ConnectTimeout));
    let after = conference.now - begun;
    assert!((limits::CONNECT_TIMEOUT..limits::CONNECT_TIMEOUT + seconds(1)).contains(&after), "{after:?}");
    // One that does end has no deadline left.
    conference.renew(1);
    conference.drive(limits::CONNECT_TIMEOUT + seconds(5));
    assert!(conference.seats[1].participant.is_some());
    let gone = |event: &Event| matches!(event, Event::Left { .. });
    assert_eq!(conference.events.iter().filter(|(_, event)| gone(event)).count(), 1);
}

#[test]
fn s_dtls_12_a_hello_before_the_answer_is_dropped_and_the_handshake_goes_on_after_it() {
    let mut conference = live(2, Options::default());
    let room = conference.seats[0].room;
    let mut client = conference.client(2, Plan::default(), 0);
    let config = ParticipantConfig { label: "2".into(), ..ParticipantConfig::default() };
    let id = conference.engine.room(room).unwrap().join(config).unwrap();
    // We offer; the participant's answer takes longer than its checks and its ClientHello.
    let offer = conference.engine.participant(id).unwrap().create_offer().unwrap();
    let answer = client.accept_offer(conference.now, &offer);
    let seat = conference.seat(room, client, id);
    conference.drive(seconds(2));
    let stats = conference.engine.participant(id).unwrap().stats();
    assert!(stats.dropped(DropReason::NotNegotiated) > 0 && !stats.connected);
    assert!(!conference.endpoint(seat).connected());
    conference.engine.participant(id).unwrap().accept_answer(&answer).unwrap();
    conference.connect();
    conference.drive(seconds(2));
    // It was offered what the others send, and nothing to send on.
    for publisher in 0..2 {
        let seen = conference.seen(seat, publisher);
        assert!(seen.video > 30 && seen.audio > 30 && seen.broken.is_empty(), "{seen:?}");
    }
}

#[test]
fn a_replaced_certificate_is_shown_to_who_joins_afterwards() {
    let mut conference = live(2, Options::default());
    let room = conference.seats[0].room;
    let shown = |conference: &mut Conference, seat: usize| {
        conference.endpoint(seat).describe.server.clone().expect("described").fingerprint
    };
    let first = shown(&mut conference, 0);
    let certificate = dtls::Certificate::generate().unwrap();
    let second = certificate.fingerprint().to_string();
    conference.engine.set_certificate(certificate);
    let newcomer = conference.add(room, 2);
    conference.connect();
    assert_eq!(shown(&mut conference, newcomer), second);
    // Who was here keeps its association, and its descriptions agree with it.
    conference.renegotiate(0);
    conference.endpoint(1).ice.restart();
    conference.renegotiate(1);
    conference.drive(seconds(2));
    assert_eq!((shown(&mut conference, 0), shown(&mut conference, 1)), (first.clone(), first));
    conference.assert_all_seen(30);
    // An offer of the engine's tells the newcomer the same again.
    conference.add(room, 3);
    conference.connect();
    conference.drive(seconds(1));
    assert_eq!(shown(&mut conference, newcomer), second);
    assert_eq!(shown(&mut conference, 3), second);
}
