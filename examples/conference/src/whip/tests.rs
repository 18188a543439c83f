//! The whole server over real connections, with recorded offers: what works here, each refusal in
//! `refusals`.

mod refusals;
mod survey;

use super::*;
use crate::lobby::{Limits, Lobby};
use crate::media::{Engine, Sockets};
use crate::survey::Surveyor;
use crate::{admin, web};
use estafette::sdp::Direction;
use estafette::{EngineConfig, HostCandidate};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};

const CHROMIUM: &str = include_str!("../../../../tests/data/sdp/chromium-av-data.offer.sdp");
const AIORTC: &str = include_str!("../../../../tests/data/sdp/aiortc-av-data.offer.sdp");
const SIMULCAST: &str = include_str!("../../../../tests/data/sdp/chromium-simulcast-vp8.offer.sdp");

const ROOMY: Limits = Limits { room_size: 4, participants: 8, rooms: 4 };

struct Server {
    address: SocketAddr,
    lobby: Arc<Lobby>,
    engine: Engine,
    whip: Arc<Sessions>,
    pages: Arc<Semaphore>,
    stop: watch::Sender<bool>,
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

impl Server {
    async fn start(limits: Limits, token: Option<&str>, ice_servers: &[&str]) -> Server {
        Server::around(Server::engine(), limits, token, ice_servers).await
    }

    fn engine() -> Engine {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
        let candidates = vec![HostCandidate::udp(socket.local_addr().expect("address"))];
        let config = EngineConfig { candidates, ..EngineConfig::default() };
        let (engine, _thread) =
            Engine::start(config, Sockets { udp: socket, tcp: None }, None).expect("engine");
        engine
    }

    async fn around(engine: Engine, limits: Limits, token: Option<&str>, ice_servers: &[&str]) -> Server {
        let lobby = Lobby::new(limits, vec![engine.clone()]);
        let (stop, stopping) = watch::channel(false);
        let servers: Vec<String> = ice_servers.iter().map(|&uri| uri.to_owned()).collect();
        let whip = Sessions::new(token.map(|token| token.parse().expect("token")), &servers);
        let pages = Arc::new(Semaphore::new(limits.participants + 2));
        let house = House {
            lobby: lobby.clone(),
            whip: whip.clone(),
            pages: pages.clone(),
            behind_proxy: false,
            stopping,
        };
        let surveyor = Surveyor::new(lobby.clone(), pages.clone());
        let routes = web::routes(house).merge(admin::routes(
            Some("adm1n".parse().expect("token")),
            surveyor,
            lobby.clone(),
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let address = listener.local_addr().expect("address");
        tokio::spawn(web::accept(listener, None, routes));
        Server { address, lobby, engine, whip, pages, stop }
    }

    async fn plain() -> (Server, String) {
        let server = Server::start(ROOMY, None, &[]).await;
        let code = server.lobby.create(Options::default()).expect("room").code().to_string();
        (server, code)
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        Server::reply(self.begin(method, path, headers, body.len(), body.as_bytes()).await).await
    }

    /// Sends a request; of a body of `length` bytes maybe the beginning.
    async fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: usize,
        body: &[u8],
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connection");
        let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n"
        );
        // A body that is refused may not be read to its end.
        let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
        stream
    }

    async fn reply(mut stream: TcpStream) -> Reply {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("status");
        let fields = lines.filter_map(|line| line.split_once(": "));
        let fields = fields.map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value")));
        Reply {
            status: status.parse().expect("number"),
            headers: fields.collect::<Vec<(HeaderName, HeaderValue)>>().into_iter().collect(),
            body: body.to_owned(),
        }
    }

    async fn post(&self, path: &str, body: &str) -> Reply {
        self.ask("POST", path, &[("Content-Type", SDP)], body).await
    }

    async fn patch(&self, path: &str, tag: &str, body: &str) -> Reply {
        self.ask("PATCH", path, &[("Content-Type", SDPFRAG), ("If-Match", tag)], body).await
    }

    /// Waits until so many participants are in the house.
    async fn has(&self, count: usize) {
        for _ in 0..500 {
            if self.lobby.count() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} participants, not {count}", self.lobby.count());
    }
}

/// The offer as a client that only sends, or only receives, makes it.
fn one_way(offer: &str, direction: &str) -> String {
    let any = ["a=sendrecv", "a=sendonly", "a=recvonly"];
    let lines = offer.lines().map(|line| if any.contains(&line) { direction } else { line });
    lines.map(|line| format!("{line}\r\n")).collect()
}

#[tokio::test]
async fn rfc_9725_4_2_a_session_is_made_and_ended() {
    let (server, code) = Server::plain().await;
    let made = server.post(&format!("/whip/{code}"), &one_way(CHROMIUM, "a=sendonly")).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.header("content-type"), SDP);
    assert_eq!(made.header("accept-patch"), SDPFRAG);
    assert_eq!(made.header("access-control-allow-origin"), "*");
    assert!(made.header("access-control-expose-headers").contains("location"));
    assert!(!made.headers.contains_key("link"), "no servers by default");
    let answer = Description::parse(&made.body).expect("answer");
    let tagged = &answer.media[0];
    assert_eq!(made.header("etag"), format!("\"{}\"", tagged.transport.ufrag.as_deref().unwrap()));
    assert!(tagged.transport.end_of_candidates && tagged.transport.candidates.len() == 1);
    assert!(made.body.matches("a=recvonly").count() == 2, "{}", made.body);
    assert!(made.body.contains("a=setup:passive"));
    let session = made.header("location");
    assert_eq!(session.len(), "/session/".len() + 32);
    server.has(1).await;

    assert_eq!(server.ask("GET", session, &[], "").await.status, 204);
    // An entity tag means nothing here (section 4.3.1).
    assert_eq!(server.ask("DELETE", session, &[("If-Match", "\"other\"")], "").await.status, 200);
    server.has(0).await;
    assert_eq!(server.ask("DELETE", session, &[], "").await.status, 404);
    assert_eq!(server.patch(session, "*", "a=end-of-candidates\r\n").await.status, 404);
}

#[tokio::test]
async fn rfc_9725_4_3_2_candidates_trickle_under_the_right_tag() {
    let (server, code) = Server::plain().await;
    let made = server.post(&format!("/whip/{code}"), AIORTC).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let (session, tag) = (made.header("location"), made.header("etag"));
    let trickle = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n";

    let taken = server.patch(session, tag, trickle).await;
    assert_eq!((taken.status, taken.body.as_str(), taken.header("etag")), (204, "", ""));
    let several = server.patch(session, &format!("\"other\", {tag}"), trickle).await;
    assert_eq!(several.status, 204);
    assert_eq!(server.patch(session, "\"other\"", trickle).await.status, 412);
    assert_eq!(
        server.patch(session, &format!("W/{tag}"), trickle).await.status,
        412,
        "weak tags never match"
    );
    let without = server.ask("PATCH", session, &[("Content-Type", SDPFRAG)], trickle).await;
    assert_eq!(without.status, 428);
    let other = server.ask("PATCH", session, &[("Content-Type", SDP), ("If-Match", tag)], trickle).await;
    assert_eq!((other.status, other.header("accept-patch")), (415, SDPFRAG));
    assert_eq!(server.patch(session, tag, "nonsense").await.status, 400);
    assert_eq!(server.patch(session, tag, &"a".repeat(FRAGMENT + 1)).await.status, 413);
    server.has(1).await;
}

#[tokio::test]
async fn rfc_9725_4_3_3_new_credentials_restart_ice() {
    let (server, code) = Server::plain().await;
    let made = server.post(&format!("/whip/{code}"), &one_way(CHROMIUM, "a=sendonly")).await;
    let (session, tag) = (made.header("location"), made.header("etag"));
    let fresh = |n: u8| format!("a=ice-ufrag:ysX{n}\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5{n}\r\n");

    let restarted = server.patch(session, "*", &fresh(1)).await;
    assert_eq!((restarted.status, restarted.header("content-type")), (200, SDPFRAG));
    let next = restarted.header("etag");
    assert_ne!(next, tag);
    let ours = Fragment::parse(&restarted.body).expect("fragment");
    let ufrag = ours.credentials.map(|credentials| credentials.ufrag().to_owned());
    assert_eq!(next, format!("\"{}\"", ufrag.expect("credentials")));
    assert_eq!(ours.candidates.len(), 1);
    assert!(restarted.body.contains("a=ice-lite\r\n") && restarted.body.contains("a=mid:0\r\n"));

    // The session before is gone, so candidates for it come too late.
    let candidate = "a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n";
    assert_eq!(server.patch(session, tag, candidate).await.status, 412);
    assert_eq!(server.patch(session, next, &format!("{}{candidate}", fresh(1))).await.status, 204);
    // As the RFC's examples have it, and with a tag that is known.
    let quoted = server.patch(session, "\"*\"", &fresh(2)).await;
    assert_eq!(quoted.status, 200);
    assert_eq!(server.patch(session, quoted.header("etag"), &fresh(3)).await.status, 200);
    // One that cannot be satisfied leaves the session as it is (section 4.3.3).
    for half in [("ysX9", "vw5LmwG4y/e6dPP/zAP9Gp53"), ("ysX3", "vw5LmwG4y/e6dPP/zAP9Gp59")] {
        let half = format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", half.0, half.1);
        assert_eq!(server.patch(session, "*", &half).await.status, 422, "{half}");
    }
    assert_eq!(server.ask("GET", session, &[], "").await.status, 204);
}

#[tokio::test]
async fn a_restart_is_finished_for_a_client_that_went_away() {
    // The first restart waits before the engine until the client is gone.
    let (front, mut commands) = Engine::channel();
    let (arrived, gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (engine, held) = (Server::engine(), (arrived.clone(), gone.clone()));
    tokio::spawn(async move {
        let mut first = true;
        while let Some(command) = commands.recv().await {
            if first && matches!(command, Command::Call { call: Call::Restart { .. }, .. }) {
                first = false;
                held.0.notify_one();
                held.1.notified().await;
            }
            engine.send(command).await;
        }
    });
    let server = Server::around(front, ROOMY, None, &[]).await;
    let code = server.lobby.create(Options::default()).expect("room").code().to_string();
    let made = server.post(&format!("/whip/{code}"), &one_way(CHROMIUM, "a=sendonly")).await;
    let (session, tag) = (made.header("location"), made.header("etag"));

    let fresh = "a=ice-ufrag:ysX1\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp51\r\n";
    let headers = [("Content-Type", SDPFRAG), ("If-Match", tag)];
    let stream = server.begin("PATCH", session, &headers, fresh.len(), fresh.as_bytes()).await;
    arrived.notified().await;
    drop(stream);
    tokio::time::sleep(Duration::from_millis(200)).await;
    gone.notify_one();
    // What it asked for has been done: the tag is another one, and the credentials are known.
    assert_eq!(server.patch(session, "*", fresh).await.status, 204);
    assert_eq!(server.patch(session, tag, fresh).await.status, 412);
    let next = fresh.replace("51", "52").replace("X1", "X2");
    assert_eq!(server.patch(session, "*", &next).await.status, 200);
}

#[tokio::test]
async fn rfc_9725_4_1_other_methods_and_preflights() {
    let (server, code) = Server::plain().await;
    for endpoint in [format!("/whip/{code}"), format!("/whep/{code}")] {
        let preflight = [("Origin", "http://a.test"), ("Access-Control-Request-Method", "POST")];
        let options = server.ask("OPTIONS", &endpoint, &preflight, "").await;
        assert_eq!((options.status, options.header("accept-post")), (204, SDP));
        assert_eq!(options.header("access-control-allow-origin"), "*");
        assert!(options.header("access-control-allow-headers").contains("authorization"));
        let got = server.ask("GET", &endpoint, &[], "").await;
        assert_eq!((got.status, got.body.as_str()), (204, ""));
        for method in ["PUT", "PATCH", "DELETE"] {
            assert_eq!(server.ask(method, &endpoint, &[], "").await.status, 405, "{method}");
        }
    }
    let session = server.ask("OPTIONS", "/session/0", &[], "").await;
    assert_eq!((session.status, session.header("accept-patch")), (204, SDPFRAG));
    assert_eq!(server.ask("POST", "/session/0", &[], "").await.status, 405);
}

#[tokio::test]
async fn each_line_of_a_viewer_is_answered_as_sending_whoever_comes_first() {
    let (server, code) = Server::plain().await;
    let (whip, whep) = (format!("/whip/{code}"), format!("/whep/{code}"));
    let watching = one_way(AIORTC, "a=recvonly");
    let assert_sending = |reply: &Reply| {
        assert_eq!(reply.status, 201, "{}", reply.body);
        let answer = Description::parse(&reply.body).expect("answer");
        let lines: Vec<_> = answer.media.iter().filter(|media| !media.rejected()).collect();
        assert_eq!(lines.len(), 2);
        for line in lines {
            assert!(line.direction == Direction::SendOnly && line.msid.is_some() && !line.streams.is_empty());
        }
    };
    assert_sending(&server.post(&whep, &watching).await);
    // All encodings of a simulcast offer are taken.
    let publisher = server.post(&whip, &one_way(SIMULCAST, "a=sendonly")).await;
    assert_eq!(publisher.status, 201, "{}", publisher.body);
    assert!(publisher.body.contains("a=simulcast:recv "), "{}", publisher.body);
    assert_sending(&server.post(&whep, &watching).await);
    assert_eq!(server.post(&whep, &one_way(AIORTC, "a=sendonly")).await.status, 422, "it takes nothing");
    server.has(3).await;
}

#[tokio::test]
async fn sessions_go_one_way_whatever_is_offered() {
    let (server, code) = Server::plain().await;
    let offer = one_way(CHROMIUM, "a=sendrecv");
    for (endpoint, direction) in [("whip", "a=recvonly"), ("whep", "a=sendonly")] {
        let made = server.post(&format!("/{endpoint}/{code}"), &offer).await;
        assert_eq!(made.status, 201, "{}", made.body);
        assert_eq!(made.body.matches(direction).count(), 2, "{endpoint}: {}", made.body);
        assert!(!made.body.contains("a=sendrecv"), "{endpoint}: {}", made.body);
    }
}

#[tokio::test]
async fn a_session_ends_with_its_participant() {
    let (server, code) = Server::plain().await;
    let made = server.post(&format!("/whip/{code}"), &one_way(CHROMIUM, "a=sendonly")).await;
    server.has(1).await;
    // As when its media ends: the engine has the participant no longer.
    server.engine.send(Command::Leave { label: 1 }).await;
    server.has(0).await;
    assert_eq!(server.ask("GET", made.header("location"), &[], "").await.status, 404);
}

#[tokio::test]
async fn sessions_end_with_the_server() {
    let (server, code) = Server::plain().await;
    let made = server.post(&format!("/whip/{code}"), &one_way(CHROMIUM, "a=sendonly")).await;
    server.has(1).await;
    server.stop.send(true).expect("sessions listen");
    server.has(0).await;
    assert_eq!(server.ask("GET", made.header("location"), &[], "").await.status, 404);
}
