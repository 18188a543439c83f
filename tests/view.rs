//! Who is seen: by rule, by places, by who speaks; on lines of their own, or on a few that are shared.

mod support;

use estafette::{
    Event, ParticipantConfig, ParticipantId, RoomConfig, SharedLines, SourceId, SubscribeError,
    SubscribeRule, View, Wish, negotiation::MediaKind, speakers,
};
use std::collections::{BTreeMap, BTreeSet};
use support::client::publish::Plan;
use support::harness::{Endpoint as _, Options, held, millis, seconds};
use support::net::Link;
use support::{Client, Conference};

/// A room whose participants have this view, three of them heard at a time.
fn options(view: View) -> Options {
    let room = RoomConfig { speakers: speakers::Config::default(), view, ..RoomConfig::default() };
    Options { room, ..Options::default() }
}

fn last_n(n: u16) -> View {
    View { last_n: Some(n), ..View::default() }
}

/// Everybody connected, all silent.
fn call(count: u32, options: Options) -> Conference<Client> {
    let mut conference = Conference::of(count, options);
    (0..count as usize).for_each(|seat| conference.endpoint(seat).publisher.audio.level = 127);
    conference.connect();
    conference.drive(seconds(2));
    conference
}

/// One speaks until it leads the talk; the others are silent.
fn speak(conference: &mut Conference<Client>, seat: usize) {
    let (room, speaker) = (conference.seats[seat].room, conference.participant(seat));
    let leads = |conference: &mut Conference<Client>| {
        conference.engine.room(room).unwrap().speakers().first() == Some(&speaker)
    };
    for _ in 0..20 {
        conference.endpoint(seat).publisher.audio.level = 25;
        conference.drive(millis(250));
        conference.endpoint(seat).publisher.audio.level = 127;
        conference.drive(millis(100));
        if leads(conference) {
            return;
        }
    }
    panic!("{seat} never leads the talk");
}

/// Video packets that a seat receives of each publisher in a second, whatever the line.
fn seen(conference: &mut Conference<Client>, receiver: usize) -> Vec<usize> {
    let before = received(conference, receiver, true);
    conference.drive(seconds(1));
    let after = received(conference, receiver, true);
    let new =
        |(seat, count): (&u32, &u64)| (count - before.get(seat).unwrap_or(&0) > 20).then_some(*seat as usize);
    after.iter().filter_map(new).collect()
}

fn received(conference: &Conference<Client>, receiver: usize, video: bool) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for track in conference.seats[receiver].endpoint.receiver.tracks.values() {
        for (publisher, count) in track.from.iter().filter(|_| track.announced.video == video) {
            *counts.entry(*publisher).or_default() += count;
        }
    }
    counts
}

fn set_view(conference: &mut Conference<Client>, seat: usize, view: View) {
    let id = conference.participant(seat);
    conference.engine.participant(id).unwrap().set_view(Some(view));
}

fn source_of(conference: &mut Conference<Client>, seat: usize, kind: MediaKind) -> SourceId {
    let id = conference.participant(seat);
    let participant = conference.engine.participant(id).unwrap();
    participant.sources().find(|source| source.kind == kind).expect("it publishes it").id
}

fn negotiations(conference: &Conference<Client>, whose: ParticipantId) -> usize {
    let asked = |event: &Event| matches!(event, Event::NegotiationNeeded(who) if *who == whose);
    conference.events.iter().filter(|(_, event)| asked(event)).count()
}

#[test]
fn last_n_are_who_is_on_stage_then_pinned_then_who_spoke_last() {
    let mut conference = call(6, options(last_n(2)));
    // Nobody spoke: the first to join.
    assert_eq!(seen(&mut conference, 5), [0, 1]);
    assert_eq!(seen(&mut conference, 0), [1, 2]);
    speak(&mut conference, 3);
    assert_eq!(seen(&mut conference, 5), [0, 3]);
    assert_eq!(seen(&mut conference, 3), [0, 1], "nobody sees themselves");
    speak(&mut conference, 4);
    assert_eq!(seen(&mut conference, 5), [3, 4]);
    let [stage, pinned] = [2, 1].map(|seat| conference.participant(seat));
    let mut view = View { pinned: vec![pinned], ..last_n(2) };
    set_view(&mut conference, 5, view.clone());
    assert_eq!(seen(&mut conference, 5), [1, 4]);
    view.on_stage.push(stage);
    set_view(&mut conference, 5, view.clone());
    assert_eq!(seen(&mut conference, 5), [1, 2]);
    view.last_n = Some(1);
    set_view(&mut conference, 5, view.clone());
    assert_eq!(seen(&mut conference, 5), [2]);
    assert_eq!(seen(&mut conference, 0), [3, 4], "another view is another's");
    view.last_n = Some(0);
    set_view(&mut conference, 5, view);
    assert_eq!(seen(&mut conference, 5), Vec::<usize>::new());
    set_view(&mut conference, 5, View::default());
    assert_eq!(seen(&mut conference, 5), [0, 1, 2, 3, 4]);

    // What was told is what is.
    let viewer = conference.participant(5);
    let mut told: BTreeMap<SourceId, Vec<bool>> = BTreeMap::new();
    for (_, event) in &conference.events {
        if let Event::SeenChanged { participant, source, seen } = event
            && *participant == viewer
        {
            told.entry(*source).or_default().push(*seen);
        }
    }
    assert!(told.values().all(|told| told.windows(2).all(|two| two[0] != two[1])), "{told:?}");
    let track = conference.seats[5].endpoint.receiver.track("3", true).unwrap();
    assert_eq!((track.lost(), track.asked), (0, 0), "what comes back goes on without a gap");
}

#[test]
fn a_place_is_for_who_has_a_picture() {
    let mut conference = call(4, options(last_n(1)));
    assert_eq!(seen(&mut conference, 3), [0]);
    conference.endpoint(0).publisher.plan.video = false;
    conference.drive(seconds(4));
    assert_eq!(seen(&mut conference, 3), [1], "the camera of the first is covered");
    conference.endpoint(0).publisher.plan.video = true;
    assert_eq!(seen(&mut conference, 3), [1], "it came back just now, and may flap");
    conference.drive(millis(800));
    assert_eq!(seen(&mut conference, 3), [0]);
    conference.leave(0);
    assert_eq!(seen(&mut conference, 3), [1]);
}

#[test]
fn rules_are_all_none_or_a_list_and_hands_come_before_them() {
    let mut conference = call(4, options(SubscribeRule::None.into()));
    assert_eq!(seen(&mut conference, 0), Vec::<usize>::new());
    let (listed, by_hand) = (conference.participant(1), source_of(&mut conference, 3, MediaKind::Video));
    let id = conference.participant(0);
    conference.engine.participant(id).unwrap().subscribe(by_hand).unwrap();
    assert_eq!(seen(&mut conference, 0), [3]);
    set_view(&mut conference, 0, View { last_n: Some(1), ..SubscribeRule::Of(vec![listed]).into() });
    assert_eq!(seen(&mut conference, 0), [1, 3], "asked for by hand it takes no place");
    set_view(&mut conference, 0, View::default());
    assert_eq!(seen(&mut conference, 0), [1, 2, 3]);
    conference.engine.participant(id).unwrap().unsubscribe(by_hand);
    assert_eq!(seen(&mut conference, 0), [1, 2]);
    // Somebody joins; what was declined stays so.
    let room = conference.seats[0].room;
    conference.add(room, 4);
    conference.connect();
    conference.drive(millis(300));
    assert_eq!(seen(&mut conference, 0), [1, 2, 4]);
    conference.engine.participant(id).unwrap().subscribe(by_hand).unwrap();
    assert_eq!(seen(&mut conference, 0), [1, 2, 3, 4]);
    set_view(&mut conference, 0, SubscribeRule::None.into());
    assert_eq!(seen(&mut conference, 0), [3]);
}

/// What each of the shared lines of a seat carries by what was told, and what the engine says.
fn lines(conference: &mut Conference<Client>, seat: usize) -> BTreeMap<String, Option<SourceId>> {
    let id = conference.participant(seat);
    let mut told = BTreeMap::new();
    for (_, event) in &conference.events {
        if let Event::LineChanged { participant, mid, source } = event
            && *participant == id
        {
            told.insert(mid.clone(), *source);
        }
    }
    let participant = conference.engine.participant(id).unwrap();
    for (mid, source) in participant.lines() {
        assert_eq!(told.get(mid).copied().flatten(), source, "{mid}");
    }
    told
}

#[test]
fn shared_lines_carry_one_source_after_the_other_without_a_description() {
    let shared_lines = Some(SharedLines { audio: 3, video: 2 });
    let mut conference = call(7, options(View::default()));
    let room = conference.seats[0].room;
    let viewer = conference.client(7, Default::default(), 0);
    let config = ParticipantConfig { publish: false, shared_lines, ..ParticipantConfig::default() };
    let viewer = conference.join_as(room, viewer, config);
    conference.connect();
    conference.drive(seconds(1));
    assert_eq!(seen(&mut conference, viewer), [0, 1]);
    let id = conference.participant(viewer);
    let asked = negotiations(&conference, id);
    assert!(asked <= 2, "for the lines alone: {asked}");

    for round in 0..3 {
        for speaker in [2, 5, 4, 6, 3] {
            speak(&mut conference, speaker);
            let seen = seen(&mut conference, viewer);
            assert!(seen.len() == 2 && seen.contains(&speaker), "round {round}: {seen:?}");
            let source = source_of(&mut conference, speaker, MediaKind::Video);
            assert!(lines(&mut conference, viewer).values().any(|carried| *carried == Some(source)));
        }
        // Somebody leaves, another comes.
        let gone = if round == 0 { 0 } else { conference.seats.len() - 1 };
        conference.leave(gone);
        conference.add(room, 8 + round);
        conference.connect();
        let last = conference.seats.len() - 1;
        conference.endpoint(last).publisher.audio.level = 127;
    }
    assert_eq!(negotiations(&conference, id), asked, "its description is what it was");
    assert_eq!(lines(&mut conference, viewer).len(), 5);
    let tracks = &conference.seats[viewer].endpoint.receiver.tracks;
    assert_eq!((tracks.len(), conference.seats[viewer].endpoint.receiver.ended.len()), (5, 0));
    let heard = received(&conference, viewer, false);
    for speaker in 2..7 {
        assert!(heard.get(&speaker).is_some_and(|packets| *packets > 20), "{speaker} is heard: {heard:?}");
    }
    for track in tracks.values() {
        let (lost, drift) = (track.lost(), track.drift);
        assert_eq!(lost, 0, "one stream without gaps: {:?}", track.announced);
        assert!(drift < millis(100), "time goes on as it does: {drift:?}, {:?}", track.announced);
    }
    // What is asked for by hand takes the places of what is only in view; there is none where all were asked for.
    let [one, two, three] = [2, 3, 4].map(|seat| source_of(&mut conference, seat, MediaKind::Video));
    let mut participant = conference.engine.participant(id).unwrap();
    assert_eq!([one, two].map(|source| participant.subscribe(source)), [Ok(()), Ok(())]);
    assert!([one, two].iter().all(|source| participant.seen().any(|seen| seen == *source)));
    assert_eq!(participant.subscribe(three), Err(SubscribeError::LimitReached));
    participant.unsubscribe(one);
    assert_eq!(participant.subscribe(three), Ok(()));
    assert_eq!(seen(&mut conference, viewer), [3, 4]);
    conference.engine.room(room).unwrap().close();
    assert_eq!(held(&conference.engine.stats()), [0; 5]);
}

#[test]
fn repair_goes_on_over_a_change_of_source_and_never_into_the_one_before() {
    let shared_lines = Some(SharedLines { audio: 1, video: 1 });
    let mut options = options(View::default());
    options.link = Link::lossy(0.03);
    let mut conference = call(4, options);
    let room = conference.seats[0].room;
    let viewer = conference.client(7, Default::default(), 0);
    let config = ParticipantConfig { publish: false, shared_lines, ..ParticipantConfig::default() };
    let viewer = conference.join_as(room, viewer, config);
    conference.connect();
    for speaker in [1, 2, 3, 0, 2] {
        speak(&mut conference, speaker);
        conference.drive(seconds(2));
    }
    let receiver = &conference.seats[viewer].endpoint.receiver;
    let track = receiver.tracks.values().find(|track| track.announced.video).unwrap();
    assert!(track.from.len() >= 4, "{:?}", track.from);
    assert!(track.repaired > 5, "{} repaired", track.repaired);
    // What was asked for across a change is the one thing that is not repeated.
    assert!(track.lost() < 20, "{} of {} lost", track.lost(), track.packets);
}

#[test]
fn i_10_a_line_on_hold_forgets_the_stream_that_was_replaced_meanwhile() {
    for shared_lines in [None, Some(SharedLines { audio: 1, video: 1 })] {
        let mut conference = Conference::<Client>::new(options(View::default()));
        let room = conference.room();
        let publisher =
            conference.add_with(room, 0, Plan { first_seq: 1_000, audio: false, ..Plan::default() });
        let viewer = conference.client(1, Plan { audio: false, video: false, ..Plan::default() }, 0);
        let config = ParticipantConfig { shared_lines, ..ParticipantConfig::default() };
        let viewer = conference.join_as(room, viewer, config);
        conference.connect();
        conference.drive(seconds(10));
        let received = |conference: &Conference<Client>| {
            let receiver = &conference.seats[viewer].endpoint.receiver;
            let tracks = receiver.tracks.values().chain(&receiver.ended);
            tracks.map(|track| track.packets).sum::<u64>()
        };
        conference.endpoint(viewer).describe.hold = true;
        conference.renegotiate(viewer);
        conference.drive(millis(200));
        let before = received(&conference);
        // The numbers of the new stream are among those of the old one, and would be sealed twice.
        conference.endpoint(publisher).publisher.replace_video(estafette::rtp::Ssrc(0x5eed), 1_100);
        conference.drive(seconds(1));
        assert_eq!(received(&conference), before, "it is on hold");
        if shared_lines.is_some() {
            assert!(lines(&mut conference, viewer).values().all(Option::is_none), "its lines carry nothing");
        }
        conference.endpoint(viewer).describe.hold = false;
        conference.renegotiate(viewer);
        conference.drive(seconds(3));
        assert!(received(&conference) > before + 150, "{shared_lines:?}: it sees again");
    }
}

#[test]
fn a_wish_made_before_the_offer_holds_for_one_that_takes_no_offers() {
    let mut conference = Conference::<Client>::new(options(SubscribeRule::None.into()));
    let room = conference.room();
    for index in 0..3 {
        conference.add_with(room, index, Plan { encodings: 3, ..Plan::default() });
    }
    conference.connect();
    let wanted = source_of(&mut conference, 2, MediaKind::Video);
    let mut client = conference.client(7, Plan { audio: false, video: false, ..Plan::default() }, 0);
    let config = ParticipantConfig { renegotiates: false, label: "7".into(), ..ParticipantConfig::default() };
    let id = conference.engine.room(room).unwrap().join(config).unwrap();
    let mut participant = conference.engine.participant(id).unwrap();
    participant.subscribe(wanted).unwrap();
    let wish = Wish { max_height: Some(180), ..Wish::default() };
    participant.set_wish(wanted, wish).unwrap();
    // What cannot be read changes nothing.
    assert!(participant.accept_offer("nonsense").is_err());
    let offer = client.offer(conference.now);
    let answer = conference.engine.participant(id).unwrap().accept_offer(&offer).unwrap();
    client.accept_answer(conference.now, &answer);
    let viewer = conference.seat(room, client, id);
    conference.connect();
    conference.drive(seconds(4));
    assert_eq!(seen(&mut conference, viewer), [2]);
    let track =
        conference.seats[viewer].endpoint.receiver.tracks.values().find(|track| track.announced.video);
    assert_eq!(track.unwrap().height, Some(180));
}

#[test]
fn what_is_told_of_who_is_seen_is_what_is_seen() {
    let mut conference = call(5, options(last_n(2)));
    let viewer = conference.participant(4);
    let told = |conference: &Conference<Client>| {
        let mut told = BTreeSet::new();
        for (_, event) in &conference.events {
            match event {
                Event::SeenChanged { participant, source, seen } if *participant == viewer => {
                    assert_eq!(told.contains(source), !seen, "said once");
                    if *seen {
                        told.insert(*source)
                    } else {
                        told.remove(source)
                    };
                }
                Event::SourceRemoved { source, .. } => _ = told.remove(source),
                _ => {}
            }
        }
        told
    };
    let by_hand = source_of(&mut conference, 3, MediaKind::Video);
    let room = conference.seats[4].room;
    for (step, count) in [0, 4, 1, 2, 1, 0, 2, 2, 1].into_iter().enumerate() {
        let mut participant = conference.engine.participant(viewer).unwrap();
        match step {
            0 => participant.set_view(Some(last_n(0))),
            1 => participant.set_view(Some(View::default())),
            2 => participant.set_view(Some(last_n(1))),
            3 => participant.subscribe(by_hand).unwrap(),
            4 => participant.unsubscribe(by_hand),
            5 => participant.set_view(Some(SubscribeRule::None.into())),
            6 => participant.set_view(None),
            7 => conference.leave(0),
            _ => conference.engine.room(room).unwrap().set_view(last_n(1)),
        }
        conference.drive(millis(300));
        let sources = conference.engine.room(room).unwrap();
        let videos = sources.sources().filter(|source| source.kind == MediaKind::Video);
        let videos: Vec<SourceId> = videos.map(|source| source.id).collect();
        let participant = conference.engine.participant(viewer).unwrap();
        let seen: BTreeSet<_> = participant.seen().filter(|source| videos.contains(source)).collect();
        assert_eq!((seen.len(), told(&conference)), (count, seen), "step {step}");
    }
}
