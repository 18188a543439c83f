//! What administrators and moderators allow of media: who may, who hears of it, what the engines are told.

use super::*;
use serde_json::json;

fn height(lines: u32) -> MediaLimits {
    MediaLimits { max_height: Some(lines), ..MediaLimits::default() }
}

fn ceiling(kbps: u32) -> MediaLimits {
    MediaLimits { ceiling: Some(kbps), ..MediaLimits::default() }
}

#[test]
fn limits_of_server_meeting_and_moderators_are_told_apart_and_the_strictest_counts() {
    let house = House::new(ROOMY);
    house.lobby.limit(height(720));
    let (mut ada, code, _) = house.made(Options::default());
    let mut bob = house.come(code, "Bob").expect("a place");
    let told = bob.last("limits");
    assert_eq!((&told["server"]["maxHeight"], &told["moderators"]["maxHeight"]), (&json!(720), &Value::Null));
    ada.act(Act::Limits(MediaLimits { audio_only: true, ..height(1_080) }));
    assert!(house.lobby.limit_room(ada.seat.room(), height(360)));
    for guest in [&mut ada, &mut bob] {
        let told = guest.last("limits");
        let heights = ["server", "meeting", "moderators"].map(|who| told[who]["maxHeight"].clone());
        assert_eq!(heights, [json!(720), json!(360), json!(1_080)]);
    }
    let engine = house.lobby.engines()[0].clone();
    let rules = engine.rules();
    assert_eq!(rules.server, height(720));
    assert_eq!(rules.rooms[&ada.seat.room()], MediaLimits { audio_only: true, ..height(360) });
    // The same again is no news.
    ada.act(Act::Limits(MediaLimits { audio_only: true, ..height(1_080) }));
    assert_eq!(bob.hears(), [] as [Value; 0]);
    house.lobby.limit(MediaLimits::default());
    house.lobby.limit_room(ada.seat.room(), MediaLimits::default());
    ada.act(Act::Limits(MediaLimits::default()));
    assert_eq!(engine.rules(), Rules::default(), "all of it is lifted");
    assert_eq!(bob.last("limits")["moderators"]["audioOnly"], false);
}

#[test]
fn limits_out_of_range_of_others_and_of_no_room_change_nothing() {
    let house = House::new(ROOMY);
    let (ada, code, _) = house.made(Options::default());
    let mut bob = house.come(code, "Bob").expect("a place");
    bob.hears();
    assert_eq!(bob.seat.act(Act::Limits(height(180))), Err(Denied::Moderators));
    assert_eq!(ada.seat.act(Act::Limits(height(10))), Err(Denied::Range));
    assert!(!house.lobby.limit_room(99, height(180)));
    assert_eq!(bob.last("limits"), Value::Null);
    assert_eq!(house.lobby.engines()[0].rules(), Rules::default());
}

#[test]
fn the_server_s_ceiling_is_divided_among_engines_by_how_many_they_serve() {
    let house = House::new(ROOMY);
    let parts =
        || house.lobby.engines().iter().map(|engine| engine.rules().server.ceiling).collect::<Vec<_>>();
    house.lobby.limit(ceiling(9_000));
    assert_eq!(parts(), [Some(4_500); 2], "nobody is there");
    let (_ada, code, _) = house.made(Options::default());
    assert_eq!(parts(), [Some(9_000), Some(0)]);
    let (_eve, ..) = house.made(Options::default());
    let bob = house.come(code, "Bob").expect("a place");
    assert_eq!(parts(), [Some(6_000), Some(3_000)]);
    drop(bob);
    assert_eq!(parts(), [Some(4_500); 2]);
    house.lobby.limit(MediaLimits::default());
    assert_eq!(parts(), [None; 2]);
}

#[test]
fn a_meeting_that_is_made_again_has_its_moderators_limits_and_not_impossible_ones() {
    for (limits, kept) in [(height(360), Some(360)), (height(1), None)] {
        let house = House::new(ROOMY);
        let secret = random();
        let plan = Plan { limits, ..Plan::default() };
        let keys = Keys { secret: Some(secret), ..keys(secret.code()) };
        let mut ada = house.enter(Door::Existing(keys, plan), "Ada").expect("made again");
        let told = ada.last("limits");
        assert_eq!(told["moderators"]["maxHeight"].as_u64(), kept);
        let rules = house.lobby.engines()[0].rules();
        assert_eq!(rules.rooms.get(&ada.seat.room()).copied(), kept.map(|_| limits));
    }
}

#[test]
fn a_meeting_that_ends_leaves_no_limits_behind() {
    let house = House::new(ROOMY);
    let (ada, ..) = house.made(Options::default());
    ada.act(Act::Limits(height(360)));
    assert_eq!(house.lobby.engines()[0].rules().rooms.len(), 1);
    ada.act(Act::End);
    assert_eq!(house.lobby.engines()[0].rules(), Rules::default());
}
