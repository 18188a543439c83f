//! A meeting's decisions as lines of JSON, and the story that they tell.

#[path = "../examples/explain/mod.rs"]
mod explain;
mod support;

use estafette::{EngineConfig, Instant, RoomConfig, Wish, speakers};
use explain::chart::svg;
use explain::log::Log;
use explain::story::story;
use explain::words::wrapped;
use std::fmt::Write as _;
use std::time::Duration;
use support::Conference;
use support::client::publish::Plan;
use support::harness::{Options, home, millis, seconds, server};
use support::net::{Bottleneck, Link};

/// Everybody but the first publishes sound and three sizes of a picture: about 140, 420 and 1,270 kbit/s.
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

/// What a meeting of four decided in 80 s: the path to the first carries 4,000 kbit/s, 1,500 from 20 to 35 s, and from
/// 68 to 72 s it does not want to see one of the others.
fn log() -> (String, String) {
    let options = Options::default();
    let engine = EngineConfig {
        estimate: EngineConfig::default().estimate,
        decisions: 4_096,
        ..options.engine.clone()
    };
    let room = RoomConfig {
        speakers: speakers::Config { top_n: 3, ..speakers::Config::default() },
        ..RoomConfig::default()
    };
    let mut conference = Conference::new(Options { engine, room, ..options });
    let start = conference.now;
    let room = conference.room();
    let down = (server(), home(0));
    let mut path = Bottleneck::new(4_000, millis(300));
    path.steps.extend([(start + seconds(20), 1_500), (start + seconds(35), 4_000)]);
    conference.net.bottlenecks.insert(down, path);
    conference.net.set_link(down.0, down.1, Link::delay(millis(30)));
    for index in 0..4 {
        let plan = if index == 0 { Plan { video: false, ..PLAN } } else { PLAN };
        conference.add_with(room, index, plan);
    }
    conference.connect();
    let mut lines = String::new();
    let mut until = |conference: &mut Conference, end: Instant| {
        while conference.now < end {
            conference.drive(millis(100));
            while let Some(decision) = conference.engine.poll_decision() {
                writeln!(lines, "{}", decision.json()).expect("text");
            }
        }
    };
    let id = conference.participant(0);
    until(&mut conference, start + seconds(68));
    let first = conference.engine.participant(id).and_then(|one| one.allocation().next()).expect("a video");
    let wish = |conference: &mut Conference, paused| {
        let mut participant = conference.engine.participant(id).expect("it is there");
        participant.set_wish(first.source, Wish { paused, ..Wish::default() }).expect("it is subscribed");
    };
    wish(&mut conference, true);
    until(&mut conference, start + seconds(72));
    wish(&mut conference, false);
    until(&mut conference, start + seconds(80));
    (id.to_string(), lines)
}

#[test]
fn a_log_becomes_a_story() {
    let (who, text) = log();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/meeting.jsonl"), &text).expect("written");
    let log = Log::read(&text);
    assert_eq!((log.unread, log.lines.len() > 100), (0, true), "{} lines", log.lines.len());

    let told = story(&log, &who);
    let all = told.iter().map(|line| wrapped(line, 100)).collect::<Vec<_>>().join("\n");
    println!("{all}");
    let has = |at: f64, parts: &[&str]| {
        let near = |line: &&String| (at..at + 4.0).contains(&start_of(line));
        let fits = |line: &String| parts.iter().all(|part| line.contains(part));
        assert!(told[1..].iter().filter(near).any(fits), "at {at} s nothing of {parts:?}:\n{all}");
    };
    // The clock of the test begins at ten seconds.
    has(10.0, &["for a start", " kbit/s"]);
    assert!(told.iter().any(|line| line.contains(" lines (sent ")), "{all}");
    has(30.0, &["the path carries ", "(was ", "packets waited ", " ms"]);
    let lost = |line: &String| {
        (30.0..34.0).contains(&start_of(line))
            && (line.contains("from 720 to ") || line.contains("(was 720 lines)"))
    };
    let lost = told.iter().find(|line| lost(line)).unwrap_or_else(|| panic!("no layer is lost:\n{all}"));
    assert!(lost.contains(" more would be needed") || lost.contains("nothing is left for it"), "{lost}");
    let won = |line: &String| {
        start_of(line) > 45.0 && line.contains("to 720 lines") && line.contains("all that there is")
    };
    assert!(told.iter().any(won), "no layer is won again:\n{all}");
    has(78.0, &["stops (was ", "not wished for"]);
    has(82.0, &["begins at "]);

    assert!(all.lines().count() <= 50, "a minute fits a screen: {} lines", all.lines().count());
    assert!(all.lines().all(|line| line.chars().count() <= 100));
    let units = ["kbit/s", "lines", " ms", "packets", "layer ", "key frame"];
    for line in &told[1..] {
        assert!(units.iter().any(|unit| line.contains(unit)), "no number in {line}");
    }
    // Whoever publishes is asked for key frames, and nothing else is decided of it.
    let publisher =
        log.everybody().into_iter().find(|one| *one != who).expect("somebody publishes").to_owned();
    let asked = story(&log, &publisher).join("\n");
    assert!(asked.contains("to give somebody another layer"), "{asked}");
}

#[test]
fn the_chart_shows_what_was_decided() {
    let log = Log::read(&text(&[
        r#""at":1000000,"choice":"estimate","target":1000000,"cause":"start","reserve":100000,"video":400000"#,
        r#""at":1500000,"choice":"sent","source":"7.0","layer":"1.0.0","layer_height":360,"reason":"all""#,
        r#""at":2000000,"choice":"probed","rate":800000,"packets":9,"arrived":9,"delivered":790000,"queue_ms":0.0"#,
        r#""at":3000000,"choice":"estimate","target":500000,"cause":"delay","reserve":100000,"video":400000"#,
        r#""at":11000000,"choice":"key_frame","source":"7.0","encoding":1,"reason":"asked""#,
    ]));
    let picture = svg(&log, "0.0").expect("a chart");
    // From 1 to 11 s, 80.6 pixels each; 1,000 of 1,200 kbit/s on 190 pixels, half of that from 3 s on.
    let estimate = picture.lines().find(|line| line.contains("class='e' d='M70.0")).expect("an estimate");
    let points: Vec<&str> = estimate.split(['H', 'V', '\'']).collect();
    assert_eq!(points[3..], ["M70.0,95.7", "231.2", "174.8", "876.0", "/>"], "{estimate}");
    for part in
        ["camera 7.0", ">360</text>", "1 s", "800 kbit/s sent, 790 arrived", "encoding 1 is asked for"]
    {
        assert!(picture.contains(part), "{part} is missing in {picture}");
    }
    assert!(picture.contains("prefers-color-scheme:dark") && picture.ends_with("</svg>\n"));
    assert_eq!(svg(&log, "9.0"), None);
}

#[test]
fn small_changes_are_one_and_causes_have_their_numbers() {
    let mut lines: Vec<String> = (0..200)
        .map(|at| {
            let (at, target) = (1_000_000 + 50_000 * at, 1_000_000 + 15_000 * at);
            format!(r#""at":{at},"choice":"estimate","target":{target},"cause":"rise","delivered":{target}"#)
        })
        .collect();
    let fall = |at: u32, cause: &str, more: &str| {
        format!(r#""at":{at},"choice":"estimate","target":900000,"cause":"{cause}",{more}"#)
    };
    lines.push(fall(20_000_000, "loss", r#""loss":0.125"#));
    let log = Log::read(&text(&lines.iter().map(String::as_str).collect::<Vec<_>>()));
    let told = story(&log, "0.0");
    assert_eq!(told.len(), 4, "{told:#?}");
    assert!(told[2].contains("the estimate rises from 1,000 to "), "{}", told[2]);
    assert_eq!(
        told[3],
        "20.0 s: the path carries 900 kbit/s now (was 3,990): 12 % of the packets were lost."
    );
}

#[test]
fn what_is_not_known_does_not_end_a_story() {
    let log = Log::read(&text(&[
        r#""at":1000000,"choice":"estimate","target":1000000,"cause":"start""#,
        r#""at":2000000,"choice":"something_new","number":3"#,
        r#""at":3000000,"choice":"estimate","target":400000,"cause":"solar_wind","delivered":390000"#,
        r#""at":4000000,"choice":"granted","source":"1.0","before":null,"after":"0.0.0","reason":"threshold""#,
        r#""at":5000000,"cho"#,
    ]));
    assert_eq!(log.unread, 1);
    let told = story(&log, "0.0").join("\n");
    assert!(told.contains("(was 1,000): solar wind while 390 kbit/s arrived"), "{told}");
    assert!(
        told.contains("Camera 1.0 begins at layer 0.0.0")
            || told.contains("camera 1.0 begins at layer 0.0.0")
    );
}

/// When a line of a story begins.
fn start_of(line: &str) -> f64 {
    line.split([' ', ':']).next().and_then(|at| at.parse().ok()).unwrap_or(-1.0)
}

/// Lines of one participant.
fn text(fields: &[&str]) -> String {
    fields
        .iter()
        .map(|fields| format!("{{\"participant\":\"0.0\",{fields}}}\n").replace("\"cho}", "\"cho"))
        .collect()
}
