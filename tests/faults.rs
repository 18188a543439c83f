//! Faults of the network and an embedder that does not listen: the call recovers by itself.

mod support;

use estafette::{LeaveReason, limits};
use std::net::SocketAddr;
use support::client::publish::Plan;
use support::harness::{Options, held, home, live, millis, seconds};
use support::{Client, Conference, Endpoint, Link, Stage};

#[test]
fn f_07_who_vanishes_in_the_handshake_is_gone_in_time() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    // One never sends a datagram, one stops after ICE, one stops within the handshake.
    for (index, lifetime) in [(0, 0), (1, 45), (2, 85)] {
        let seat = conference.add(room, index);
        conference.drive(millis(lifetime));
        assert!(!conference.endpoint(seat).connected());
        conference.endpoint(seat).stopped = true;
    }
    let began = conference.now;
    assert!(conference.drive_until(seconds(40), |conference| conference.participants().is_empty()));
    assert!(conference.now - began <= limits::CONNECT_TIMEOUT + seconds(1));
    for seat in &conference.seats {
        let reason = seat.left.expect("it is gone");
        let timely = matches!(reason, LeaveReason::ConnectTimeout | LeaveReason::Handshake(_));
        assert!(timely || reason == LeaveReason::ConsentExpired, "{reason:?}");
    }
    assert_eq!(held(&conference.engine.stats()), [1, 0, 0, 0, 0]);
}

#[test]
fn f_08_all_vanish_and_return_in_the_same_second() {
    let mut conference = live(4, Options::default());
    let room = conference.seats[0].room;
    (0..4).for_each(|seat| conference.endpoint(seat).stopped = true);
    for index in 0..4 {
        let address = SocketAddr::new(home(index).ip(), 55_000);
        let mut client = conference.client(10 + index, Plan::default(), 0);
        client.address = address;
        conference.join(room, client);
    }
    let back = |conference: &mut Conference| (4..8).all(|seat| conference.seats[seat].endpoint.connected());
    assert!(conference.drive_until(seconds(5), back));
    assert!(conference.drive_until(seconds(40), |conference| conference.participants().len() == 4));
    conference.drive(seconds(1));
    conference.assert_all_seen(100);
}

#[test]
fn f_01_five_percent_loss_both_ways_breaks_no_frame() {
    let mut conference = live(4, Options { seed: 7, link: Link::lossy(0.05), ..Options::default() });
    conference.drive(seconds(6));
    // The last repairs.
    (0..4).for_each(|seat| conference.endpoint(seat).publisher.paused = true);
    conference.drive(millis(800));
    conference.assert_all_seen(100);
    let stats = conference.engine.stats();
    assert!(stats.media_received > 1_000);
    for seat in 0..4 {
        let client = &conference.seats[seat].endpoint;
        let (up, down) =
            (client.publisher.video.repeated, client.receiver.tracks.values().map(|track| track.repaired));
        assert!(up > 5, "repaired towards the server: {up}");
        assert!(down.sum::<u64>() > 20, "repaired from the server");
        assert_eq!(client.receiver.unannounced, 0);
    }
}

#[test]
fn f_02_reordering_and_duplicates_break_no_frame_and_pass_nothing_twice() {
    let link = Link::delay(millis(15))
        .with(Stage::Jitter(millis(5)))
        .with(Stage::Reorder(0.05, millis(60)))
        .with(Stage::Duplicate(0.1));
    let mut conference = live(3, Options { seed: 3, link, ..Options::default() });
    conference.drive(seconds(3));
    conference.assert_all_seen(70);
    let stats = conference.engine.stats();
    assert!(stats.dropped_in_all() > 20, "doubles are dropped and counted");
}

#[test]
fn f_03_flipped_bits_hurt_nobody() {
    // From when they are connected on: a handshake in clear has nothing that would show the damage.
    let mut conference = live(3, Options { seed: 5, ..Options::default() });
    conference.net.set_default(Link::delay(millis(20)).with(Stage::Flip(0.02)));
    conference.drive(seconds(3));
    conference.net.set_default(Link::delay(millis(20)));
    conference.drive(seconds(1));
    conference.assert_all_seen(100);
    assert!(conference.engine.stats().dropped_in_all() > 20);
}

#[test]
fn s_api_03_outputs_that_are_not_drained_are_bounded_and_recovered_from() {
    let mut conference = live(3, Options::default());
    // Media comes in, nothing is polled; the clients go on.
    let from = conference.now;
    let mut longest = 0;
    while conference.now < from + seconds(20) {
        conference.now += millis(20);
        while let Some(packet) = conference.net.receive(conference.now) {
            conference.deliver(&packet);
        }
        for seat in 0..3 {
            let now = conference.now;
            conference.endpoint(seat).handle_timeout(now);
            while let Some(packet) = conference.endpoint(seat).poll_transmit(now) {
                if packet.data[0] >= 128 {
                    conference.net.send(now, packet);
                }
            }
        }
        let waiting = |id| conference.engine.participant(id).unwrap().stats().packets_queued;
        longest =
            longest.max([0, 1, 2].map(|seat| conference.seats[seat].participant.unwrap()).map(waiting)[0]);
    }
    assert!(longest <= limits::SEND_QUEUE);
    let participants = conference.participants();
    let waiting =
        participants.iter().map(|id| conference.engine.participant(*id).unwrap().stats().packets_queued);
    let waiting = waiting.collect::<Vec<_>>().iter().sum::<usize>();
    conference.watch.balanced(&conference.engine, waiting as u64);
    let stats = conference.engine.stats();
    assert!(stats.history_pages <= 6 * limits::HISTORY_PAGES_PER_STREAM, "{}", stats.history_pages);
    // And then everything at once.
    conference.step();
    let before: Vec<_> = (1..3).map(|seat| conference.seen(seat, 0)).collect();
    conference.drive(seconds(3));
    for (seat, before) in (1..3).zip(before) {
        let seen = conference.seen(seat, 0);
        assert!(
            seen.video > before.video + 50 && seen.audio > before.audio + 100,
            "{seen:?} after {before:?}"
        );
    }
}

#[test]
fn s_api_03_a_buffer_without_room_loses_no_balance() {
    let mut conference = live(2, Options::default());
    conference.drive(millis(5));
    let mut tiny = [0; 30];
    for _ in 0..100 {
        conference.now += millis(5);
        while let Some(packet) = conference.net.receive(conference.now) {
            conference.deliver(&packet);
        }
        for seat in 0..2 {
            let now = conference.now;
            conference.endpoint(seat).handle_timeout(now);
            while let Some(packet) = conference.endpoint(seat).poll_transmit(now) {
                conference.net.send(now, packet);
            }
        }
        for _ in 0..10 {
            if conference.engine.poll_transmit(conference.now, &mut tiny).is_none() {
                break;
            }
        }
    }
    conference.drive(seconds(2));
    conference.drive(seconds(1));
    assert!(conference.seen(0, 1).video > 50);
}
