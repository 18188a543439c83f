//! Pages over real connections, most of them badly behaved.

use super::*;
use crate::config::LogFormat;
use crate::lobby::Limits;
use crate::log::subscriber;
use crate::log::tests::Kept;
use crate::media::Engine;
use crate::media::tests::Driven;
use crate::message::{Options, Plan, Shown};
use crate::{web, whip};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Error};

/// Connections that may be open at once.
const PAGES: usize = 40;

struct Server {
    address: SocketAddr,
    lobby: Arc<Lobby>,
    pages: Arc<Semaphore>,
    commands: mpsc::Receiver<Command>,
    _stop: watch::Sender<bool>,
}

type Socket = WebSocketStream<TcpStream>;

impl Server {
    async fn start() -> Server {
        Server::behind(false).await
    }

    async fn behind(behind_proxy: bool) -> Server {
        let (engine, commands) = Engine::channel();
        let lobby = Lobby::new(Limits { room_size: 4, participants: 100, rooms: 10 }, vec![engine]);
        let (stop, stopping) = watch::channel(false);
        let pages = Arc::new(Semaphore::new(PAGES));
        let house = web::House {
            lobby: lobby.clone(),
            whip: whip::Sessions::new(None, &[]),
            pages: pages.clone(),
            behind_proxy,
            stopping,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let address = listener.local_addr().expect("address");
        tokio::spawn(web::accept(listener, None, web::routes(house)));
        Server { address, lobby, pages, commands, _stop: stop }
    }

    async fn connect(&self) -> Result<Socket, Error> {
        let stream = TcpStream::connect(self.address).await.expect("connection");
        Ok(tokio_tungstenite::client_async(format!("ws://{}/ws", self.address), stream).await?.0)
    }

    /// A connection that has said this.
    async fn greeted(&self, hello: Value) -> Socket {
        let mut socket = self.connect().await.expect("a page");
        say(&mut socket, hello).await;
        socket
    }

    /// The kinds of commands the engine was given.
    fn told(&mut self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.commands.try_recv().ok());
        told.map(|command| format!("{command:?}").split(' ').next().unwrap_or("").to_owned()).collect()
    }
}

async fn say(socket: &mut Socket, message: Value) {
    socket.send(tungstenite::Message::text(message.to_string())).await.expect("sent");
}

/// The next message of a type.
async fn hear(socket: &mut Socket, kind: &str) -> Value {
    let next = async {
        loop {
            match socket.next().await {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    let message: Value = serde_json::from_str(&text).expect("a message");
                    if message["type"] == kind {
                        return message;
                    }
                }
                Some(Ok(tungstenite::Message::Ping(_))) => {}
                other => panic!("{other:?} in place of {kind}"),
            }
        }
    };
    timeout(Duration::from_secs(10), next).await.expect("in time")
}

/// How the server closes the connection.
async fn ending(socket: &mut Socket) -> String {
    let end = async {
        loop {
            match socket.next().await {
                Some(Ok(tungstenite::Message::Close(Some(frame)))) => return frame.reason.to_string(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(Duration::from_secs(10), end).await.expect("in time")
}

#[tokio::test]
async fn s_room_01_refusals_are_equally_slow_and_hold_nobody_up() {
    let server = Server::start().await;
    let secret = server.lobby.create(Options { locked: true, ..Options::default() }).expect("a room");
    let locked = secret.code().to_string();
    let mut took = Vec::new();
    for code in [locked.as_str(), "0000-0000-0000-0000", "no code", &"x".repeat(10_000)] {
        let start = Instant::now();
        let mut socket = server.greeted(json!({ "type": "join", "code": code, "name": "Eve" })).await;
        let maker = Instant::now();
        let mut other = server.greeted(json!({ "type": "create", "name": "Ada" })).await;
        hear(&mut other, "joined").await;
        assert!(maker.elapsed() < REFUSAL, "meanwhile others are served");
        assert_eq!(hear(&mut socket, "refused").await, json!({ "type": "refused" }));
        took.push(start.elapsed());
    }
    assert!(took.iter().all(|took| *took >= REFUSAL && *took < 3 * REFUSAL), "{took:?}");
    assert_eq!(server.lobby.refusals(), 4);
}

#[tokio::test]
async fn what_is_no_secret_and_no_seat_counts_as_none() {
    let server = Server::start().await;
    let code = server.lobby.create(Options::default()).expect("a room").code().to_string();
    let join = json!({ "type": "join", "code": code, "name": "Bob", "secret": "none", "seat": "none" });
    let mut socket = server.greeted(join).await;
    assert_eq!(hear(&mut socket, "participants").await["list"][0]["moderator"], false);
}

#[tokio::test]
async fn s_room_01_a_proxy_s_clients_are_told_apart_and_cannot_choose_who_they_are() {
    let server = Server::behind(true).await;
    let secret = server.lobby.create(Options::default()).expect("a room");
    // What a session of WHIP is told first, without an offer: the code is right, or it is not.
    let status = async |forwarded: &str| {
        let mut stream = TcpStream::connect(server.address).await.expect("connection");
        let path = format!("/whip/{}", secret.code());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\
             Content-Type: application/sdp\r\nX-Forwarded-For: {forwarded}\r\n\r\n"
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.expect("an answer");
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    let guesser = [198, 51, 100, 7].into();
    (0..100).for_each(|_| server.lobby.note_nonsense(guesser));
    assert_eq!(status("192.0.2.1, 198.51.100.7").await, "404", "guesses too much");
    assert_eq!(status("198.51.100.7, 192.0.2.1").await, "400", "an empty offer to a room that is there");
    assert_eq!(status("nobody").await, "400", "the proxy itself");
}

#[tokio::test]
async fn s_room_04_a_waiting_page_s_media_never_reaches_the_engine() {
    let mut server = Server::start().await;
    let mut ada = server.greeted(json!({ "type": "create", "name": "Ada", "lobby": true })).await;
    let code = hear(&mut ada, "joined").await["code"].clone();
    assert_eq!(server.told(), ["Join"]);
    let join = json!({ "type": "join", "code": code, "name": "Eve" });
    let mut eve = server.greeted(join.clone()).await;
    hear(&mut eve, "waits").await;
    say(&mut eve, json!({ "type": "offer", "sdp": "v=0" })).await;
    assert_eq!(ending(&mut eve).await, "not admitted yet");
    assert_eq!(server.told(), ["Leave"], "of somebody the engine never heard of");

    let mut eve = server.greeted(join).await;
    // Nobody, Eve, nobody again, and now her.
    let mut waiting = Value::Null;
    for count in [0, 1, 0, 1] {
        waiting = hear(&mut ada, "waiting").await["list"].clone();
        assert_eq!(waiting.as_array().map(Vec::len), Some(count));
    }
    hear(&mut eve, "waits").await;
    say(&mut ada, json!({ "type": "act", "act": "admit", "id": waiting[0]["id"] })).await;
    hear(&mut eve, "joined").await;
    assert_eq!(server.told(), ["Join"], "before the page knows");
    say(&mut eve, json!({ "type": "act", "act": "end" })).await;
    assert_eq!(
        hear(&mut eve, "denied").await,
        json!({ "type": "denied", "act": "end", "why": "moderators" })
    );
}

#[tokio::test]
async fn s_room_03_a_removed_page_is_out_of_the_engine_and_disconnected() {
    let mut server = Server::start().await;
    let mut ada = server.greeted(json!({ "type": "create", "name": "Ada" })).await;
    let code = hear(&mut ada, "joined").await["code"].clone();
    let mut eve = server.greeted(json!({ "type": "join", "code": code, "name": "Eve" })).await;
    let id = hear(&mut eve, "joined").await["id"].clone();
    server.told();
    say(&mut ada, json!({ "type": "act", "act": "remove", "id": id })).await;
    assert_eq!(hear(&mut eve, "closed").await["why"], "removed");
    assert!(server.told().contains(&"Leave".to_owned()));
    assert_eq!(ending(&mut eve).await, "");
}

#[tokio::test]
async fn s_room_05_connections_that_say_nothing_are_bounded_and_let_go() {
    let server = Server::start().await;
    let (mut open, mut turned_away) = (Vec::new(), 0);
    for _ in 0..2_000 {
        match server.connect().await {
            Ok(socket) => open.push(socket),
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), 503);
                turned_away += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(open.len() >= PAGES && turned_away > 0, "{} of 2,000", open.len());
    assert_eq!(ending(&mut open[0]).await, "no room was asked for");
    drop(open);
    let all = server.pages.acquire_many(PAGES as u32);
    let _all = timeout(2 * HELLO + 2 * GOODBYE, all).await.expect("all are let go").expect("open");
}

#[tokio::test]
async fn s_room_05_a_page_that_never_reads_is_let_go_and_others_go_on() {
    let server = Server::start().await;
    let mut ada = server.greeted(json!({ "type": "create", "name": "Ada" })).await;
    let code = hear(&mut ada, "joined").await["code"].clone();
    let join = json!({ "type": "join", "code": code, "name": "Eve" });
    let small = tokio::net::TcpSocket::new_v4().expect("socket");
    small.set_recv_buffer_size(4_096).expect("a small buffer");
    let stream = small.connect(server.address).await.expect("connection");
    let address = format!("ws://{}/ws", server.address);
    let (mut deaf, _) = tokio_tungstenite::client_async(address, stream).await.expect("a page");
    say(&mut deaf, join).await;
    // Somebody in the room by whom there is much to tell, for pages' own messages are paced.
    let (outbox, _inbox) = Outbox::new();
    let door =
        Door::Existing(Keys::at_once(code.as_str().expect("text").parse().expect("a code")), Plan::default());
    let seat = server.lobby.enter(door, [127, 0, 0, 2].into(), "Bob".to_owned(), &outbox).expect("a place");
    let (mut most, mut now) = (0, 0);
    for round in 0..100_000 {
        seat.show(Shown { audio: round % 2 == 0, ..Shown::default() });
        now = hear(&mut ada, "participants").await["list"].as_array().map_or(0, Vec::len);
        most = most.max(now);
        if most == 3 && now == 2 {
            break;
        }
    }
    assert_eq!((most, now, server.lobby.count()), (3, 2, 2));
    say(&mut ada, json!({ "type": "act", "act": "rename", "name": "Grace" })).await;
    while hear(&mut ada, "participants").await["list"][0]["name"] != "Grace" {}
}

#[tokio::test]
async fn a_connection_is_told_of_only_while_it_is_watched() {
    let mut server = Server::start().await;
    let mut ada = server.greeted(json!({ "type": "create", "name": "Ada" })).await;
    let code = hear(&mut ada, "joined").await["code"].clone();
    let mut bob = server.greeted(json!({ "type": "join", "code": code, "name": "Bob" })).await;
    hear(&mut bob, "joined").await;
    server.told();
    let watches = |commands: &mut mpsc::Receiver<Command>| -> Vec<(u32, bool)> {
        let told = std::iter::from_fn(|| commands.try_recv().ok());
        told.filter_map(|command| match command {
            Command::Watch { label, moderator } => Some((label, moderator)),
            _ => None,
        })
        .collect()
    };
    tokio::time::sleep(WATCH + WATCH / 2).await;
    assert_eq!(watches(&mut server.commands), []);
    say(&mut ada, json!({ "type": "watch", "on": true })).await;
    say(&mut bob, json!({ "type": "watch", "on": true })).await;
    let asked = Instant::now();
    let mut told = Vec::new();
    while told.len() < 6 && asked.elapsed() < 10 * WATCH {
        tokio::time::sleep(WATCH / 20).await;
        told.extend(watches(&mut server.commands));
    }
    // At once, and once a second after that.
    assert!(asked.elapsed() >= WATCH, "{told:?}");
    for page in [(1, true), (2, false)] {
        assert!(told.iter().filter(|told| **told == page).count() >= 2, "{told:?}");
    }
    assert!(
        told.iter().all(|(label, moderator)| *moderator == (*label == 1)),
        "only a moderator hears of others"
    );
    say(&mut ada, json!({ "type": "watch", "on": false })).await;
    say(&mut bob, json!({ "type": "watch", "on": false })).await;
    tokio::time::sleep(WATCH).await;
    watches(&mut server.commands);
    tokio::time::sleep(WATCH + WATCH / 2).await;
    assert_eq!(watches(&mut server.commands), []);
}

#[tokio::test]
async fn i_12_names_codes_and_passwords_stay_out_of_the_log() {
    let kept = Kept::default();
    let everything = tracing_subscriber::EnvFilter::new("conference=trace");
    let _guard = tracing::subscriber::set_default(subscriber(LogFormat::Json, everything, kept.clone()));
    let (mut server, mut engine) = (Server::start().await, Driven::new());
    let mut ada = server.greeted(json!({ "type": "create", "name": "Nanette" })).await;
    let secret = hear(&mut ada, "secret").await["secret"].clone();
    let joined = hear(&mut ada, "joined").await;
    hear(&mut ada, "invitations").await;
    say(&mut ada, json!({ "type": "act", "act": "invite", "minutes": 5, "uses": null })).await;
    let invitation = hear(&mut ada, "invitations").await;
    let mut eve = server.greeted(json!({ "type": "join", "code": joined["code"], "name": "Egbert" })).await;
    let id = hear(&mut eve, "joined").await["id"].clone();
    say(&mut eve, json!({ "type": "offer", "sdp": "v=0\r\na=ice-pwd:passwordpassword\r\nm=password" })).await;
    // Its description is of no use, so that it has to come again.
    let failed = async {
        while !kept.text().contains("negotiation failed") {
            engine.drive(&mut server.commands);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), failed).await.unwrap_or_else(|_| panic!("not read: {}", kept.text()));
    hear(&mut eve, "ended").await;
    let mut eve = server.greeted(json!({ "type": "join", "code": joined["code"], "name": "Egbert" })).await;
    assert_ne!(hear(&mut eve, "joined").await["id"], id);
    say(&mut ada, json!({ "type": "act", "act": "remove", "id": "p3" })).await;
    hear(&mut eve, "closed").await;
    let mut lost = server.greeted(json!({ "type": "join", "code": "9999-wrong", "name": "Egbert" })).await;
    hear(&mut lost, "refused").await;
    engine.drive(&mut server.commands);
    let log = kept.text();
    for said in ["room opened", "joined", "removed", "negotiation failed", "page left"] {
        assert!(log.contains(&format!("\"message\":\"{said}\"")), "{said}: {log}");
    }
    let codes = [&secret, &joined["code"], &joined["seat"], &invitation["list"][0]["code"]];
    let codes = codes.map(|code| code.as_str().expect("a code"));
    for word in codes.into_iter().chain(["Nanette", "Egbert", "password", "9999-wrong"]) {
        assert!(!log.contains(word), "{word}: {log}");
    }
}
