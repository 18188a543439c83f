//! What an engine's thread does, without the thread and its time.

use super::*;
use crate::limits::MediaLimits;
use crate::message::{Choice, Inbox, Post};
use estafette::VideoLimits;
use estafette::allocation::Reason;
use estafette::sdp::Candidate;
use estafette::{HostCandidate, dtls, ice, limits};
use tokio::sync::oneshot;

const OFFER: &str = include_str!("../../../../tests/data/sdp/chromium-av-data.offer.sdp");
const ROOM: u64 = 7;
const LABEL: Label = 1;

/// A thread with one participant, whose offer names no candidates.
fn thread() -> (Thread, ParticipantId, Inbox) {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
    let candidates = vec![HostCandidate::udp(udp.local_addr().expect("address"))];
    let config = EngineConfig { candidates, ..EngineConfig::default() };
    let rules = watch::Sender::default().subscribe();
    let mut thread = Thread::new(config, Sockets { udp, tcp: None }, None, rules).expect("thread");
    let (outbox, inbox) = Outbox::new();
    thread.command(Command::Join {
        room: ROOM,
        opaque: false,
        label: LABEL,
        name: String::new(),
        part: Part::Publisher,
        outbox,
    });
    let lines = OFFER.lines().filter(|line| !line.starts_with("a=candidate:"));
    let sdp = lines.map(|line| format!("{line}\r\n")).collect();
    let (answer, mut answered) = oneshot::channel();
    thread.command(Command::Call { label: LABEL, call: Call::Offer { sdp, answer } });
    answered.try_recv().expect("at once").expect("answer");
    let id = thread.ids[&LABEL];
    (thread, id, inbox)
}

/// An engine on the test's own thread.
pub struct Driven(Thread);

impl Driven {
    pub fn new() -> Driven {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
        let config = EngineConfig { candidates: Vec::new(), ..EngineConfig::default() };
        let rules = watch::Sender::default().subscribe();
        Driven(Thread::new(config, Sockets { udp, tcp: None }, None, rules).expect("thread"))
    }

    /// Carries out what is queued.
    pub fn drive(&mut self, commands: &mut mpsc::Receiver<Command>) {
        while let Ok(command) = commands.try_recv() {
            self.0.command(command);
            self.0.flush();
        }
    }
}

fn candidates(ports: std::ops::Range<usize>) -> Vec<Candidate> {
    let candidate =
        |port| Candidate::parse(&format!("1 1 udp 1 192.0.2.1 {port} typ host")).expect("candidate");
    ports.map(candidate).collect()
}

/// Whether the engine takes one more candidate.
fn takes_more(thread: &mut Thread, id: ParticipantId) -> bool {
    let one = candidates(9_000..9_001);
    thread.engine.participant(id).expect("participant").add_remote_candidate(&one[0]).is_ok()
}

#[tokio::test]
async fn candidates_that_trickle_reach_the_engine() {
    let (mut thread, id, _inbox) = thread();
    let trickle = |thread: &mut Thread, ports| {
        thread.command(Command::Call { label: LABEL, call: Call::Candidates(candidates(ports)) });
    };
    trickle(&mut thread, 1_000..1_000 + limits::CANDIDATES - 1);
    assert!(takes_more(&mut thread, id), "one is left");
    assert!(!takes_more(&mut thread, id));
    trickle(&mut thread, 2_000..2_001);
    assert!(thread.members.contains_key(&id), "one too many harms nobody");
}

#[tokio::test]
async fn candidates_of_a_restart_reach_the_engine() {
    let (mut thread, id, _inbox) = thread();
    let mut restart = |candidates, n: u8| {
        let remote =
            ice::Credentials::new(&format!("new{n}"), &n.to_string().repeat(22)).expect("credentials");
        let (answer, mut answered) = oneshot::channel();
        thread.command(Command::Call { label: LABEL, call: Call::Restart { remote, candidates, answer } });
        answered.try_recv().expect("at once").expect("answer");
        takes_more(&mut thread, id)
    };
    assert!(!restart(candidates(1_000..1_000 + limits::CANDIDATES), 1));
    assert!(restart(Vec::new(), 2), "a restart begins anew");
}

/// The last that a participant is told; it is disconnected after that.
async fn last_words(inbox: &mut Inbox) -> String {
    let closed = tokio::time::timeout(Duration::from_secs(5), inbox.closed.notified());
    closed.await.expect("disconnected");
    let Some(Post::Text(text)) = std::iter::from_fn(|| inbox.queue.try_recv().ok()).last() else {
        panic!("no words")
    };
    text.to_string()
}

#[tokio::test]
async fn whose_media_never_comes_is_told_so_and_let_go() {
    let (mut thread, _, mut inbox) = thread();
    thread.engine.handle_timeout(Instant::ZERO + limits::CONNECT_TIMEOUT + Duration::from_secs(1));
    thread.flush();
    assert_eq!(last_words(&mut inbox).await, r#"{"type":"ended","reason":"connect_timeout"}"#);
    assert!(thread.members.is_empty() && thread.ids.is_empty() && thread.rooms.is_empty());
}

#[tokio::test]
async fn reasons_are_told_by_the_names_of_metrics() {
    let (mut thread, participant, mut inbox) = thread();
    let reason = LeaveReason::Handshake(dtls::FailReason::UnsupportedCertificate);
    thread.event(Event::Left { room: thread.rooms[&ROOM], participant, reason });
    assert_eq!(last_words(&mut inbox).await, r#"{"type":"ended","reason":"dtls.unsupported_certificate"}"#);
}

#[test]
fn descriptions_stay_out_of_logs() {
    let sdp = || "a=ice-pwd:s3cret".to_owned();
    let (answer, _) = oneshot::channel();
    let commands = [
        Command::Offer { label: LABEL, sdp: sdp() },
        Command::Answer { label: LABEL, sdp: sdp() },
        Command::Call { label: LABEL, call: Call::Offer { sdp: sdp(), answer } },
    ];
    for command in commands {
        let shown = format!("{command:?}");
        assert!(shown.contains("label: 1") && !shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn who_watches_is_told_of_its_connection_and_a_moderator_of_the_others() {
    let (mut thread, _, mut publisher) = thread();
    let (outbox, mut page) = Outbox::new();
    thread.command(Command::Join {
        room: ROOM,
        opaque: false,
        label: 2,
        name: String::new(),
        part: Part::Page,
        outbox,
    });
    let (outbox, mut elsewhere) = Outbox::new();
    thread.command(Command::Join {
        room: ROOM + 1,
        opaque: false,
        label: 3,
        name: String::new(),
        part: Part::Page,
        outbox,
    });
    let mut told = |thread: &mut Thread, moderator| -> serde_json::Value {
        thread.command(Command::Watch { label: 2, moderator });
        let Ok(Post::Text(text)) = page.queue.try_recv() else { panic!("nothing") };
        serde_json::from_str(&text).expect("an object")
    };
    let line = told(&mut thread, false);
    assert_eq!((&line["type"], &line["own"]["id"]), (&"connection".into(), &"p2".into()));
    assert_eq!(line["others"], serde_json::json!([]));
    let video = &line["videos"][0];
    assert_eq!(
        (&video["track"], &video["sent"], &video["why"]),
        (&"p1/s2".into(), &false.into(), &"all".into())
    );
    thread.command(Command::Wishes {
        label: 2,
        list: vec![TrackWish {
            track: "p1/s2".to_owned().try_into().expect("a track"),
            max_height: None,
            paused: true,
        }],
    });
    let line = told(&mut thread, true);
    let video = &line["videos"][0];
    assert_eq!((&video["paused"], &video["why"]), (&true.into(), &"wish".into()));
    let others = line["others"].as_array().expect("a list");
    assert_eq!(others.iter().map(|other| &other["id"]).collect::<Vec<_>>(), ["p1"], "of its room alone");
    assert_eq!(others[0]["carrier"], serde_json::Value::Null, "not connected yet");
    assert!(
        publisher.queue.try_recv().is_err() && elsewhere.queue.try_recv().is_err(),
        "nobody else hears it"
    );
}

#[tokio::test]
async fn an_engine_keeps_to_rules_that_came_before_its_room_and_to_those_that_follow() {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
    let low = MediaLimits { max_height: Some(180), audio_only: true, ..MediaLimits::default() };
    let of_the_room = |limits| Rules { server: MediaLimits::default(), rooms: [(ROOM, limits)].into() };
    let (sender, rules) = watch::channel(of_the_room(low));
    let sockets = Sockets { udp, tcp: None };
    let mut thread = Thread::new(EngineConfig::default(), sockets, None, rules).expect("thread");
    for (label, part) in [(1, Part::Publisher), (2, Part::Page)] {
        let (outbox, _inbox) = Outbox::new();
        thread.command(Command::Join { room: ROOM, opaque: false, label, name: String::new(), part, outbox });
    }
    let lines = OFFER.lines().filter(|line| !line.starts_with("a=candidate:"));
    let sdp: String = lines.map(|line| format!("{line}\r\n")).collect();
    let (answer, _) = oneshot::channel();
    thread.command(Command::Call { label: 1, call: Call::Offer { sdp, answer } });
    let why = |thread: &mut Thread| {
        let page = thread.engine.participant(thread.ids[&2]).expect("it is there");
        page.allocation().next().expect("a picture").reason
    };
    assert_eq!(why(&mut thread), Reason::Limit);
    sender.send(Rules::default()).expect("heard");
    thread.keep_rules();
    assert_eq!(why(&mut thread), Reason::All);
    thread.command(Command::Choose { label: 2, choice: Choice::Audio });
    assert_eq!(why(&mut thread), Reason::Wish);
    thread.command(Command::Choose { label: 2, choice: Choice::All });
    let server = MediaLimits { max_senders: Some(0), ..MediaLimits::default() };
    sender.send(Rules { server, ..Rules::default() }).expect("heard");
    thread.keep_rules();
    assert_eq!(why(&mut thread), Reason::Senders);
}

#[tokio::test]
async fn a_publisher_whose_camera_is_held_back_is_told_once() {
    let (mut thread, _, mut inbox) = thread();
    let mut told = |thread: &mut Thread| {
        thread.tell_withheld();
        let texts = std::iter::from_fn(|| inbox.queue.try_recv().ok());
        let texts = texts.filter_map(|post| if let Post::Text(text) = post { Some(text) } else { None });
        texts.map(|text| text.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(&mut thread), [] as [String; 0]);
    thread.engine.set_video_limits(VideoLimits { max_senders: Some(0), ..VideoLimits::default() });
    assert_eq!(told(&mut thread), [r#"{"type":"withheld","pictures":[],"own":true}"#]);
    assert_eq!(told(&mut thread), [] as [String; 0]);
    thread.engine.set_video_limits(VideoLimits::default());
    assert_eq!(told(&mut thread), [r#"{"type":"withheld","pictures":[],"own":false}"#]);
}

#[tokio::test]
async fn a_census_counts_who_is_there_and_how_long_they_took() {
    let (mut thread, participant, _inbox) = thread();
    let path = estafette::Path {
        protocol: Protocol::Udp,
        local: "127.0.0.1:1".parse().expect("address"),
        remote: "127.0.0.1:2".parse().expect("address"),
    };
    assert_eq!((thread.census().stats.participants, thread.census().join_times.count()), (1, 0));
    thread.event(Event::Connected { participant, path });
    let (answer, mut answered) = oneshot::channel();
    thread.command(Command::Census { answer });
    let census = answered.try_recv().expect("at once");
    assert_eq!((census.join_times.count(), census.stats.rooms, census.number), (1, 1, 0));
    assert_eq!(census.drops().count(), 0);
}

#[tokio::test]
async fn a_room_that_is_encrypted_end_to_end_has_no_desk() {
    for opaque in [false, true] {
        let (mut thread, ..) = thread();
        let (outbox, _inbox) = Outbox::new();
        thread.command(Command::Join {
            room: ROOM + 1,
            opaque,
            label: 2,
            name: String::new(),
            part: Part::Page,
            outbox,
        });
        let config = room_config(opaque);
        assert_eq!((config.opaque, config.routes.is_empty(), config.stamps), (opaque, opaque, true));
        assert_eq!(config.route, Route::Room { copied: false });
        let id = thread.ids[&2];
        let mut page = thread.engine.participant(id).expect("participant");
        let channel = page.open_channel(estafette::ChannelConfig::new("chat")).expect("a channel");
        thread.channel_opened(id, channel, "chat");
        assert_eq!(thread.members[&id].channels.is_empty(), opaque, "the desk greets nobody");
    }
}
