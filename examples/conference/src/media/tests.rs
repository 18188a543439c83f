//! What an engine's thread does, without the thread and its time.

use super::*;
use crate::message::{Inbox, Post};
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
    let mut thread = Thread::new(config, Sockets { udp, tcp: None }, None).expect("thread");
    let (outbox, inbox) = Outbox::new();
    thread.command(Command::Join {
        room: ROOM,
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
        Driven(Thread::new(config, Sockets { udp, tcp: None }, None).expect("thread"))
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
    thread.command(Command::Join { room: ROOM, label: 2, name: String::new(), part: Part::Page, outbox });
    let (outbox, mut elsewhere) = Outbox::new();
    thread.command(Command::Join { room: ROOM + 1, label: 3, name: String::new(), part: Part::Page, outbox });
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
