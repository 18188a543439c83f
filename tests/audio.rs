//! Who is heard: the loudest few, by what packets claim (RFC 6464); silence and mutes cost nothing.

mod support;

use estafette::{Event, ParticipantId, RoomConfig, speakers};
use support::harness::{Options, millis, seconds};
use support::{Client, Conference};

/// Everybody connected, three heard at a time, these levels.
fn call(levels: &[u8]) -> Conference<Client> {
    let room = RoomConfig { speakers: speakers::Config::default(), ..RoomConfig::default() };
    assert_eq!(room.speakers.top_n, 3);
    let mut conference = Conference::of(levels.len() as u32, Options { room, ..Options::default() });
    for (seat, level) in levels.iter().enumerate() {
        conference.endpoint(seat).publisher.audio.level = *level;
    }
    conference.connect();
    conference.drive(seconds(2));
    conference
}

/// Audio packets of others that a seat receives in a second, by publisher.
fn heard(conference: &mut Conference<Client>, receiver: usize) -> Vec<usize> {
    let count = |conference: &Conference<Client>| -> Vec<usize> {
        (0..conference.seats.len()).map(|publisher| conference.seen(receiver, publisher).audio).collect()
    };
    let before = count(conference);
    conference.drive(seconds(1));
    count(conference).iter().zip(before).map(|(after, before)| after - before).collect()
}

fn in_room(conference: &mut Conference<Client>) -> Vec<ParticipantId> {
    let room = conference.seats[0].room;
    conference.engine.room(room).unwrap().heard().collect()
}

fn changes(conference: &Conference<Client>, participant: ParticipantId) -> Vec<bool> {
    let of = |event: &Event| match event {
        Event::HeardChanged { participant: whose, heard, .. } if *whose == participant => Some(*heard),
        _ => None,
    };
    conference.events.iter().filter_map(|(_, event)| of(event)).collect()
}

#[test]
fn the_loudest_three_are_heard_and_nothing_is_sent_of_the_silent() {
    let mut conference = call(&[20, 28, 36, 44, 100, 127]);
    let received = heard(&mut conference, 5);
    assert!(received[..3].iter().all(|packets| *packets >= 45), "{received:?}");
    assert_eq!(received[3..], [0, 0, 0]);
    assert_eq!(in_room(&mut conference).len(), 3);
    // Pictures are another matter.
    assert!(conference.seen(5, 4).video > 20);
    // Somebody stops, and the next one is let in at once.
    conference.endpoint(0).publisher.audio.level = 127;
    conference.drive(millis(900));
    let received = heard(&mut conference, 5);
    assert!(received[0] == 0 && received[3] >= 45, "{received:?}");
}

#[test]
fn what_is_heard_again_goes_on_without_a_gap() {
    let mut conference = call(&[30, 127]);
    for _ in 0..3 {
        conference.endpoint(0).publisher.audio.level = 127;
        conference.drive(seconds(2));
        assert_eq!(heard(&mut conference, 1)[0], 0);
        conference.endpoint(0).publisher.audio.level = 30;
        assert!(heard(&mut conference, 1)[0] >= 45, "from the first packet on");
    }
    let track = conference.seats[1].endpoint.receiver.track("0", false).unwrap();
    assert_eq!((track.lost(), track.asked), (0, 0), "no number is missing");
    let talker = conference.participant(0);
    assert_eq!(changes(&conference, talker), [true, false, true, false, true, false, true]);
}

#[test]
fn s_rtp_12_a_liar_has_one_slot_and_a_mute_wins() {
    // One claims full scale all the time; three others talk.
    let mut conference = call(&[0, 30, 30, 30]);
    let received = heard(&mut conference, 3);
    assert!(received[0] >= 45, "{received:?}");
    assert_eq!(in_room(&mut conference).len(), 3);
    let liar = conference.participant(0);
    conference.engine.participant(liar).unwrap().set_muted(true);
    conference.drive(millis(300));
    let received = heard(&mut conference, 3);
    assert_eq!(received[0], 0, "muted, whatever it claims");
    assert!(received[1] >= 45 && received[2] >= 45, "{received:?}");
    assert!(!in_room(&mut conference).contains(&liar));
    conference.engine.participant(liar).unwrap().set_muted(false);
    conference.drive(millis(300));
    assert!(heard(&mut conference, 3)[0] >= 45);
}

#[test]
fn the_dominant_speaker_is_told_and_follows_the_talk() {
    let mut conference = call(&[70, 70, 70]);
    let room = conference.seats[0].room;
    for turn in [0usize, 2, 1] {
        // Words of a quarter of a second with pauses in between.
        for _ in 0..16 {
            conference.endpoint(turn).publisher.audio.level = 25;
            conference.drive(millis(250));
            conference.endpoint(turn).publisher.audio.level = 70;
            conference.drive(millis(100));
        }
        let speaker = conference.participant(turn);
        assert_eq!(
            conference.engine.room(room).unwrap().speakers().first(),
            Some(&speaker),
            "turn of {turn}"
        );
        let last = conference.events.iter().rev().find_map(|(_, event)| match event {
            Event::DominantSpeakerChanged { participant, .. } => Some(*participant),
            _ => None,
        });
        assert_eq!(last, Some(Some(speaker)));
    }
    conference.leave(1);
    conference.drive(millis(100));
    assert!(conference.engine.room(room).unwrap().speakers().len() <= 2);
}
