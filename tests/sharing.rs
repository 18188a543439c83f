//! What a participant's path carries, shared among what it is sent: sound first, then the videos that matter.

mod support;

use estafette::allocation::Reason;
use estafette::{
    Allocation, Bitrate, Choice, EngineConfig, Event, Instant, RoomConfig, View, Wish, limits, speakers,
};
use std::time::Duration;
use support::Conference;
use support::client::publish::Plan;
use support::harness::{Options, home, millis, seconds, server};
use support::net::{Bottleneck, Link, Stage};

/// Everybody publishes sound and three sizes of a picture at 15 frames a second: about 140, 420 and 1,270 kbit/s.
const PLAN: Plan = Plan {
    audio: true,
    video: true,
    frame_interval: Duration::from_millis(66),
    key_parts: 3,
    parts: 1,
    first_seq: 65_400,
    encodings: 3,
    steep: true,
};

fn options() -> Options {
    let options = Options::default();
    Options {
        engine: EngineConfig {
            estimate: EngineConfig::default().estimate,
            decisions: 4_096,
            ..options.engine.clone()
        },
        room: RoomConfig {
            speakers: speakers::Config { top_n: 3, ..speakers::Config::default() },
            ..RoomConfig::default()
        },
        ..options
    }
}

/// So many in one room; the way to seat 0 has so many kbit/s before it, and loses this share.
fn meeting(count: u32, kbps: u64, loss: f64, options: Options) -> Conference {
    let mut conference = Conference::new(options);
    let room = conference.room();
    let down = (server(), home(0));
    conference.net.bottlenecks.insert(down, Bottleneck::new(kbps, millis(300)));
    conference.net.set_link(down.0, down.1, Link::delay(millis(30)).with(Stage::Loss(loss)));
    for index in 0..count {
        let plan = if index == 0 { Plan { video: false, ..PLAN } } else { PLAN };
        conference.add_with(room, index, plan);
    }
    conference.connect();
    conference
}

fn shares(conference: &mut Conference) -> Vec<Allocation> {
    let id = conference.participant(0);
    conference.engine.participant(id).expect("it is there").allocation().collect()
}

fn bottleneck(conference: &mut Conference) -> &mut Bottleneck {
    conference.net.bottlenecks.get_mut(&(server(), home(0))).expect("it is there")
}

/// Changes of layers to seat 0 since `from`.
fn switches(conference: &Conference, from: Instant) -> usize {
    let id = conference.participant(0);
    let later = conference.events.iter().filter(|(at, _)| *at >= from);
    later
        .filter(|(_, event)| matches!(event, Event::LayerChanged { participant, .. } if *participant == id))
        .count()
}

/// The longest time without a packet of sound that was heard, and of a picture that was seen.
fn silences(conference: &mut Conference, video: bool) -> Duration {
    let tracks = conference.endpoint(0).receiver.tracks.values();
    let live = tracks.filter(|track| track.announced.video == video && track.packets > 200);
    live.map(|track| track.longest_silence).max().unwrap_or_default()
}

fn forget_silences(conference: &mut Conference) {
    for track in conference.endpoint(0).receiver.tracks.values_mut() {
        (track.longest_silence, track.packets) = (Duration::ZERO, 0);
    }
}

#[test]
fn a_meeting_of_ten_on_a_narrow_lossy_line_has_its_sound_and_no_freeze() {
    let mut conference = meeting(10, 1_500, 0.01, options());
    conference.drive(seconds(10));
    forget_silences(&mut conference);
    let from = conference.now;
    bottleneck(&mut conference).waited = Duration::ZERO;
    conference.drive(seconds(30));
    let narrow = bottleneck(&mut conference).clone();
    let shares = shares(&mut conference);
    for share in &shares {
        eprintln!("{share:?}");
    }
    let seen = shares.iter().filter(|share| share.layer.is_some()).count();
    let (sound, picture) = (silences(&mut conference, false), silences(&mut conference, true));
    let switches = switches(&conference, from);
    eprintln!(
        "seen {seen}, sound {sound:?}, picture {picture:?}, switches {switches}, waited {:?}, dropped {} of {}",
        narrow.waited, narrow.dropped, narrow.passed
    );
    while let Some(decision) = conference.engine.poll_decision() {
        if decision.participant == conference.participant(0) {
            eprintln!("{:?} {:?}", decision.at, decision.choice);
        }
    }
    assert!(sound < millis(100), "{sound:?}");
    assert!(picture < millis(500), "{picture:?}");
}
