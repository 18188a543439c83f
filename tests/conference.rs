//! Whole conferences in virtual time: who joins and leaves, who hears and sees whom.

mod support;

use estafette::negotiation::MediaKind;
use estafette::{
    DropReason, EngineConfig, Event, HostCandidate, Instant, JoinError, LeaveReason, LimitReached,
};
use estafette::{ParticipantConfig, RoomConfig, SubscribeError, SubscribeRule, dtls, limits, srtp};
use support::client::publish::Plan;
use support::harness::{Options, held, home, live, millis, seconds, server};
use support::{Client, Conference};

#[test]
fn five_participants_hear_and_see_each_other() {
    let mut conference = live(5, Options::default());
    conference.drive(seconds(2));
    conference.assert_all_seen(60);
    let stats = conference.engine.stats();
    assert_eq!((stats.participants, stats.sources, stats.subscriptions), (5, 10, 40));
    assert_eq!(stats.dropped_in_all(), 0, "{stats:?}");
    for seat in 0..5 {
        let client = conference.endpoint(seat);
        assert!(client.feedbacks > 10 && client.report_blocks >= 2, "publishers get their feedback");
        assert_eq!((client.receiver.unannounced, client.unopened), (0, 0));
        assert_eq!(client.receiver.tracks.len(), 8);
    }
    let added = conference.events.iter().filter(|(_, event)| matches!(event, Event::SourceAdded(_))).count();
    let connected =
        conference.events.iter().filter(|(_, event)| matches!(event, Event::Connected { .. })).count();
    assert_eq!((added, connected), (10, 5));
}

#[test]
fn a_call_works_under_each_version_of_dtls() {
    for versions in [dtls::Versions::V12, dtls::Versions::V13, dtls::Versions::Auto] {
        let mut conference = Conference::of(2, Options { versions, ..Options::default() });
        conference.connect();
        conference.drive(seconds(1));
        conference.assert_all_seen(20);
        let profile = conference.seats[0].endpoint.profile();
        assert_eq!(profile, Some(srtp::Profile::AeadAes128Gcm), "{versions:?}");
    }
}

#[test]
fn layers_are_measured_again_after_a_silence() {
    let mut conference = live(2, Options::default());
    conference.drive(seconds(1));
    let published = |(_, event): &(Instant, Event)| match event {
        Event::SourceAdded(source) if source.kind == MediaKind::Video => {
            Some((source.participant, source.id))
        }
        _ => None,
    };
    let publisher = conference.participant(0);
    let mut published = conference.events.iter().filter_map(published);
    let (_, source) = published.find(|(participant, _)| *participant == publisher).unwrap();
    let rate = |conference: &Conference<Client>| match conference.engine.layers(source) {
        [rung] => rung.bitrate.as_bps(),
        rungs => panic!("one layer is sent: {rungs:?}"),
    };
    let before = rate(&conference);
    assert!(before > 300_000, "{before}");
    conference.endpoint(0).publisher.paused = true;
    conference.drive(seconds(5));
    conference.endpoint(0).publisher.paused = false;
    conference.endpoint(0).publisher.plan.parts = 9;
    conference.drive(seconds(2));
    assert!(rate(&conference) > 2 * before, "{before} before, then {}", rate(&conference));
}

#[test]
fn a_source_comes_and_goes_with_its_section() {
    let mut conference = live(3, Options::default());
    conference.endpoint(0).publisher.plan.video = false;
    conference.renegotiate(0);
    conference.drive(seconds(1));
    assert_eq!(conference.engine.stats().sources, 5);
    for receiver in 1..3 {
        let streams = &conference.seats[receiver].endpoint.receiver;
        assert!(streams.track("0", true).is_none() && streams.track("0", false).is_some());
    }
    conference.endpoint(0).publisher.plan.video = true;
    conference.renegotiate(0);
    conference.drive(seconds(2));
    assert_eq!(conference.engine.stats().sources, 6);
    conference.assert_all_seen(30);
}

#[test]
fn who_receives_what_follows_the_embedders_calls() {
    let mut conference = Conference::<Client>::new(Options::default());
    let config = RoomConfig { view: SubscribeRule::None.into(), ..RoomConfig::default() };
    let room = conference.engine.create_room(config).unwrap();
    (0..3).for_each(|index| _ = conference.add(room, index));
    conference.connect();
    conference.drive(seconds(1));
    assert_eq!(conference.engine.stats().subscriptions, 0);
    let publisher = conference.participant(0);
    let sources: Vec<_> =
        conference.engine.participant(publisher).unwrap().sources().map(|info| info.id).collect();
    let subscriber = conference.participant(1);
    for source in &sources {
        conference.engine.participant(subscriber).unwrap().subscribe(*source).unwrap();
        conference.engine.participant(subscriber).unwrap().subscribe(*source).unwrap();
    }
    conference.drive(seconds(1));
    assert_eq!(conference.engine.stats().subscriptions, 2);
    let seen = conference.seen(1, 0);
    assert!(seen.video > 15 && seen.audio > 30 && seen.broken.is_empty(), "{seen:?}");
    assert_eq!(conference.seen(2, 0).audio, 0);
    sources.iter().for_each(|source| conference.engine.participant(subscriber).unwrap().unsubscribe(*source));
    conference.drive(millis(100));
    assert_eq!(conference.engine.stats().subscriptions, 0);
    let packets = conference.engine.stats().packets_queued;
    conference.drive(seconds(1));
    assert_eq!(conference.engine.stats().packets_queued, packets, "nothing is forwarded any more");
}

#[test]
fn s_room_04_nothing_is_forwarded_of_who_may_not_publish() {
    let mut conference = live(2, Options::default());
    let room = conference.seats[0].room;
    let (muted, deaf) = (conference.client(2, Plan::default(), 0), conference.client(3, Plan::default(), 0));
    conference.join_as(room, muted, ParticipantConfig { publish: false, ..ParticipantConfig::default() });
    conference.join_as(room, deaf, ParticipantConfig { receive: false, ..ParticipantConfig::default() });
    conference.connect();
    conference.drive(seconds(2));
    assert_eq!(conference.engine.stats().sources, 6);
    for receiver in 0..2 {
        assert_eq!(conference.seen(receiver, 2).audio, 0);
        assert!(conference.seen(receiver, 3).video > 20);
    }
    assert!(conference.seen(2, 0).video > 20);
    assert_eq!(conference.seats[3].endpoint.receiver.tracks.len(), 0);
    let source = conference.engine.room(room).unwrap().sources().next().unwrap().id;
    let deaf = conference.participant(3);
    assert_eq!(
        conference.engine.participant(deaf).unwrap().subscribe(source),
        Err(SubscribeError::NotReceiving)
    );
}

#[test]
fn one_that_takes_no_offers_gets_sources_that_come_later_on_lines_it_offered() {
    let mut conference = Conference::new(Options::default());
    let room = conference.room();
    let viewer = conference.client(0, Plan::default(), 0);
    let config = ParticipantConfig { publish: false, renegotiates: false, ..ParticipantConfig::default() };
    let viewer = conference.join_as(room, viewer, config.clone());
    let late = conference.client(3, Plan::default(), 0);
    assert_eq!(conference.seats[viewer].endpoint.describe.last.matches("a=sendonly").count(), 2);
    conference.connect();
    conference.drive(seconds(1));
    let first = conference.add(room, 1);
    conference.connect();
    conference.drive(seconds(2));
    let whole = |conference: &Conference, seat: usize, publisher: &str| {
        let track = |video| conference.seats[seat].endpoint.receiver.track(publisher, video);
        [false, true].map(|video| track(video).map_or(0, |track| track.whole()))
    };
    let [audio, video] = whole(&conference, viewer, "room");
    assert!(audio > 80 && video > 40, "{audio} packets, {video} frames");
    // The client compares them with its description.
    assert!(conference.seats[viewer].endpoint.names > 0, "its streams are named");

    // Both lines are taken, so a second publisher is not seen before the first left.
    conference.add(room, 2);
    conference.connect();
    conference.drive(seconds(1));
    let from = |conference: &Conference, seat: usize| -> Vec<Vec<u32>> {
        let tracks = conference.seats[seat].endpoint.receiver.tracks.values();
        tracks.map(|track| track.from.keys().copied().collect()).collect()
    };
    assert_eq!(from(&conference, viewer), [[1], [1]]);
    conference.leave(first);
    conference.drive(seconds(1));
    assert_eq!(from(&conference, viewer), [[1, 2], [1, 2]]);
    let gone: u64 =
        conference.seats[viewer].endpoint.receiver.tracks.values().map(|track| track.lost()).sum();
    assert_eq!(gone, 0, "one stream goes on");
    let id = conference.participant(viewer);
    let asked = |event: &Event| matches!(event, Event::NegotiationNeeded(who) if *who == id);
    assert!(!conference.events.iter().any(|(_, event)| asked(event)), "it is never asked for an answer");
    // Who comes now sees what there is.
    let late = conference.join_as(room, late, config);
    conference.connect();
    conference.drive(seconds(2));
    let [audio, video] = whole(&conference, late, "room");
    assert!(audio > 80 && video > 40, "{audio} packets, {video} frames");
}

#[test]
fn s_room_05_rooms_and_participants_over_the_limit_are_refused() {
    let engine = EngineConfig {
        max_rooms: 2,
        max_participants: 3,
        candidates: vec![HostCandidate::udp(server())],
        ..EngineConfig::default()
    };
    let mut conference = Conference::<Client>::new(Options { engine, ..Options::default() });
    let (full, other) = (RoomConfig { max_participants: 2, ..RoomConfig::default() }, conference.room());
    let full = conference.engine.create_room(full).unwrap();
    assert_eq!(conference.engine.create_room(RoomConfig::default()), Err(LimitReached));
    let mut join = |room| conference.engine.room(room).unwrap().join(ParticipantConfig::default());
    assert!(join(full).is_ok() && join(full).is_ok());
    assert_eq!(join(full), Err(JoinError::Full), "two of the room");
    assert!(join(other).is_ok());
    assert_eq!(join(other), Err(JoinError::Full), "three of the engine");
    conference.engine.room(full).unwrap().close();
    assert!(conference.engine.room(other).unwrap().join(ParticipantConfig::default()).is_ok());
    for label in ["with space", "a/b", "\u{e9}", &"x".repeat(limits::LABEL + 1), "\r\na=evil"] {
        let config = ParticipantConfig { label: label.into(), ..ParticipantConfig::default() };
        assert_eq!(conference.engine.room(other).unwrap().join(config), Err(JoinError::Label));
    }
}

#[test]
fn a_small_buffer_gives_the_same_media_one_datagram_at_a_time() {
    let mut conference = live(3, Options { arena: 1_300, ..Options::default() });
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
}

#[test]
fn who_joins_late_sees_from_a_key_frame_on() {
    let mut conference = live(2, Options::default());
    let room = conference.seats[0].room;
    let late = conference.add(room, 2);
    conference.connect();
    conference.drive(seconds(2));
    conference.assert_all_seen(30);
    for publisher in ["0", "1"] {
        let track = conference.seats[late].endpoint.receiver.track(publisher, true).unwrap();
        let waited = track.first_keyframe().unwrap() - track.first_frame().unwrap();
        assert!(waited <= 5, "the key frame came after {waited} frames");
    }
}

#[test]
fn i_02_leaving_gives_everything_back_and_rejoining_works() {
    let mut conference = Conference::<Client>::new(Options::default());
    let room = conference.room();
    let empty = held(&conference.engine.stats());
    (0..3).for_each(|index| _ = conference.add(room, index));
    conference.connect();
    conference.drive(seconds(1));
    let three = held(&conference.engine.stats());
    conference.add(room, 3);
    conference.connect();
    conference.drive(seconds(1));

    conference.leave(3);
    assert_eq!(held(&conference.engine.stats())[..4], three[..4], "at once, not in time");
    conference.drive(seconds(1));
    let removed =
        conference.events.iter().filter(|(_, event)| matches!(event, Event::SourceRemoved { .. })).count();
    assert_eq!(removed, 2);
    for seat in 0..3 {
        assert_eq!(conference.seats[seat].endpoint.receiver.tracks.len(), 4, "its sections were taken back");
    }
    let again = conference.add(room, 3);
    conference.connect();
    conference.drive(seconds(2));
    conference.assert_all_seen(40);
    assert_ne!(conference.seats[3].endpoint.ice.remote, conference.seats[again].endpoint.ice.remote);

    for seat in [0, 1, 2, again] {
        conference.leave(seat);
    }
    assert_eq!(held(&conference.engine.stats()), empty);
    conference.drive(seconds(2));
    assert_eq!(held(&conference.engine.stats()), empty, "no late datagram brings anybody back");
    assert_eq!(conference.engine.poll_timeout(), None, "nothing is pending");
}

#[test]
fn a_closed_room_is_empty_at_once() {
    let mut conference = live(3, Options::default());
    let room = conference.seats[0].room;
    conference.engine.room(room).unwrap().close();
    assert!(conference.engine.room(room).is_none());
    assert_eq!(held(&conference.engine.stats()), [0; 5]);
    conference.drive(millis(100));
    let left = |seat: &support::harness::Seat<Client>| seat.left == Some(LeaveReason::Removed);
    assert!(conference.seats.iter().all(left));
}

#[test]
fn a_closed_association_is_a_departure() {
    let mut conference = live(3, Options::default());
    let now = conference.now;
    conference.endpoint(2).close(now);
    conference.drive(millis(500));
    assert_eq!(conference.seats[2].left, Some(LeaveReason::Closed));
    conference.drive(seconds(1));
    conference.assert_all_seen(40);
}

#[test]
fn s_room_02_rooms_with_equal_labels_and_ssrcs_share_nothing() {
    let mut conference = Conference::<Client>::new(Options::default());
    let rooms = [conference.room(), conference.room()];
    // The same seeds: equal user fragments, mids, SSRCs and labels in both rooms. The packets differ
    // by the room's number, and a packet of the other room is a violation that the harness finds.
    for (number, room) in rooms.into_iter().enumerate() {
        for index in 0..2 {
            let mut client = conference.client(index, Plan::default(), number as u32);
            client.address.set_port(50_000 + number as u16);
            conference.join(room, client);
        }
    }
    conference.connect();
    conference.drive(seconds(2));
    for pair in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        let seen = conference.seen(pair.0, pair.1);
        assert!(seen.video > 40 && seen.broken.is_empty(), "{pair:?} {seen:?}");
        assert_eq!(conference.seats[pair.0].endpoint.receiver.tracks.len(), 2);
    }
    let requests = |conference: &Conference| conference.seats[2].endpoint.publisher.video.requests;
    let before = requests(&conference);
    conference.endpoint(0).request_keyframes();
    conference.endpoint(1).request_keyframes();
    conference.drive(seconds(1));
    assert_eq!(requests(&conference), before, "what is asked in one room is not asked in the other");
}

#[test]
fn s_room_02_what_happens_in_one_room_does_not_move_a_byte_in_another() {
    let transcript = |busy: bool| {
        let options = Options { record: true, ..Options::default() };
        let mut conference = Conference::<Client>::new(options);
        let rooms = [conference.room(), conference.room()];
        conference.add(rooms[0], 0);
        if busy {
            conference.add(rooms[1], 8);
        }
        let id = conference.participant(0);
        conference.engine.participant(id).unwrap().stats();
        conference.seats[0].endpoint.describe.last.clone()
    };
    let text = |sdp: String| {
        sdp.lines().filter(|line| !line.starts_with("a=fingerprint")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(text(transcript(false)), text(transcript(true)));
}

#[test]
fn s_room_03_not_one_packet_to_or_from_who_was_removed() {
    let mut conference = live(3, Options::default());
    conference.leave(2);
    // No poll in between: what was queued before the call does not leave after it.
    conference.tap = true;
    let heard = conference.seen(0, 2);
    conference.drive(seconds(2));
    assert!(conference.outgoing.iter().all(|packet| packet.to != home(2)));
    assert_eq!(conference.seen(0, 2).video, 0, "its section is gone");
    let ended =
        conference.seats[0].endpoint.receiver.ended.iter().find(|track| track.publisher() == "2").unwrap();
    assert!(ended.packets as usize <= heard.audio + 9 * heard.video, "what was on the way at most");
    // Its datagrams are nobody's: media, and checks under credentials that are dead.
    let stats = conference.engine.stats();
    assert!(stats.dropped(DropReason::UnknownAddress) > 100);
    assert!(stats.dropped(DropReason::UnknownUsername) > 0 || conference.now < Instant::from_millis(1));
    let check = conference.endpoint(2).ice.check(true);
    let before = conference.engine.stats().dropped(DropReason::UnknownUsername);
    conference.inject(home(2), &check);
    assert_eq!(conference.engine.stats().dropped(DropReason::UnknownUsername), before + 1);
    conference.drive(seconds(1));
    conference.assert_all_seen(60);
}

#[test]
fn an_offer_whose_answer_was_lost_can_be_given_up() {
    let mut conference = live(2, Options::default());
    let id = conference.participant(0);
    let mut participant = conference.engine.participant(id).unwrap();
    participant.create_offer().unwrap();
    assert!(participant.create_offer().is_err(), "one at a time");
    assert!(participant.rollback());
    assert!(!participant.rollback());
    assert!(participant.create_offer().is_ok());
}

#[test]
fn two_participants_of_one_room_never_share_a_label() {
    let mut conference: Conference = Conference::new(Options::default());
    let room = conference.room();
    let mut room = conference.engine.room(room).unwrap();
    let labelled = |label: &str| ParticipantConfig { label: label.into(), ..ParticipantConfig::default() };
    room.join(labelled("1")).unwrap();
    assert_eq!(room.join(labelled("1")), Err(JoinError::LabelTaken));
    room.join(labelled("")).unwrap();
    room.join(labelled("")).unwrap();
    assert_eq!(room.join(labelled("3")), Err(JoinError::LabelTaken), "the engine's own names count");
}
