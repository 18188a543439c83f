//! What those see of sessions who look after the server, and who does not.

use super::*;
use crate::limits::{Imposed, MediaLimits};
use std::collections::BTreeMap;

const TOKEN: (&str, &str) = ("Authorization", "Bearer adm1n");

/// The samples of a text of metrics by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

async fn scrape(server: &Server) -> BTreeMap<String, f64> {
    // Not the survey of a scrape before.
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    let reply = server.ask("GET", "/metrics", &[TOKEN], "").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, crate::metrics::TYPE));
    samples(&reply.body)
}

#[tokio::test]
async fn metrics_tell_what_happened() {
    let (server, code) = Server::plain().await;
    let before = scrape(&server).await;
    assert_eq!((before["conference_rooms"], before["conference_participants"]), (1.0, 0.0));
    assert_eq!(before["estafette_participants{engine=\"0\"}"], 0.0);
    assert_eq!(before["conference_refusals_total"], 0.0);

    let made = server.post(&format!("/whip/{code}"), &one_way(CHROMIUM, "a=sendonly")).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(server.post("/whip/0000-0000-0000-0000", &one_way(CHROMIUM, "a=sendonly")).await.status, 404);
    let noise = std::net::UdpSocket::bind("127.0.0.1:0").expect("socket");
    let answer = Description::parse(&made.body).expect("answer");
    let port =
        made.body.split(" typ host").next().and_then(|line| line.rsplit(' ').next()).expect("a candidate");
    assert!(!answer.media.is_empty());
    // Something that is not for anybody: dropped, counted and told by its reason.
    noise.send_to(&[0x80; 40], format!("127.0.0.1:{port}")).expect("sent");

    let after = scrape(&server).await;
    assert_eq!(after["conference_participants"], 1.0);
    assert_eq!(after["estafette_participants{engine=\"0\"}"], 1.0);
    assert_eq!(after["conference_pages"], 1.0);
    assert_eq!(after["conference_refusals_total"], 1.0);
    assert_eq!(after["estafette_received_datagrams_total{engine=\"0\"}"], 1.0);
    assert_eq!(after["estafette_received_bytes_total{engine=\"0\"}"], 40.0);
    assert_eq!(after["estafette_drops_total{engine=\"0\",reason=\"unknown_address\"}"], 1.0);
    assert!(!before.keys().any(|name| name.starts_with("estafette_drops_total")), "none that never were");
    assert_eq!(after["conference_join_seconds_bucket{le=\"+Inf\",engine=\"0\"}"], 0.0, "not connected");
    let growing = |name: &&String| name.contains("_total");
    for name in before.keys().filter(growing) {
        assert!(after[name] >= before[name], "{name}");
    }
}

#[tokio::test]
async fn a_survey_is_made_once_a_second_however_many_ask() {
    let (server, _) = Server::plain().await;
    let uptime = async || {
        let reply = server.ask("GET", "/metrics", &[TOKEN], "").await;
        samples(&reply.body)["conference_uptime_seconds"]
    };
    let first = uptime().await;
    assert_eq!(uptime().await, first);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert!(uptime().await > first);
}

#[tokio::test]
async fn the_server_is_shown_to_who_has_the_token() {
    let (server, code) = Server::plain().await;
    for path in ["/metrics", "/admin/state"] {
        for headers in [&[][..], &[("Authorization", "Bearer adm1")], &[("Authorization", "Basic adm1n")]] {
            let asked = Instant::now();
            let reply = server.ask("GET", path, headers, "").await;
            assert_eq!(
                (reply.status, reply.header("www-authenticate")),
                (401, "Bearer"),
                "{path} {headers:?}"
            );
            assert!(asked.elapsed() >= REFUSAL, "guessing is slow");
        }
    }
    let reply = server.ask("GET", "/admin/state", &[TOKEN], "").await;
    let state: serde_json::Value = serde_json::from_str(&reply.body).expect("an object");
    assert_eq!((&state["rooms"][0]["people"], &state["engines"][0]["number"]), (&0.into(), &0.into()));
    assert!(!reply.body.contains(&code), "codes open rooms");
    let page = server.ask("GET", "/admin", &[], "").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
}

#[tokio::test]
async fn limits_are_put_by_who_has_the_token_and_refused_by_name() {
    let (server, _) = Server::plain().await;
    let room = server.lobby.rooms()[0].number;
    let meeting = format!("/admin/rooms/{room}/limits");
    let put = async |path: &str, headers: &[(&str, &str)], body: &str| {
        let reply = server.ask("PUT", path, headers, body).await;
        (reply.status, reply.body)
    };
    for path in ["/admin/limits", &meeting] {
        assert_eq!(put(path, &[], r#"{"maxHeight":180}"#).await.0, 401, "{path}");
        for (body, wrong) in [
            (r#"{"maxHeight":1}"#, r#"{"wrong":"maxHeight"}"#),
            (r#"{"maxSenders":51}"#, r#"{"wrong":"maxSenders"}"#),
            (r#"{"ceiling":1}"#, r#"{"wrong":"ceiling"}"#),
            (r#"{"maxheight":180}"#, r#"{"wrong":null}"#),
            (r#"{"maxHeight":-180}"#, r#"{"wrong":null}"#),
            ("180", r#"{"wrong":null}"#),
            ("", r#"{"wrong":null}"#),
        ] {
            assert_eq!(put(path, &[TOKEN], body).await, (400, wrong.to_owned()), "{path} {body}");
        }
    }
    assert_eq!(put("/admin/rooms/99/limits", &[TOKEN], "{}").await.0, 404);
    assert_eq!(put("/admin/rooms/x/limits", &[TOKEN], "{}").await.0, 400);
    assert_eq!(server.lobby.limits(), MediaLimits::default());
    assert_eq!(server.lobby.rooms()[0].limits, Imposed::default(), "nothing has changed");

    assert_eq!(put("/admin/limits", &[TOKEN], r#"{"maxHeight":720,"audioOnly":true}"#).await.0, 204);
    assert_eq!(put(&meeting, &[TOKEN], r#"{"maxSenders":2,"ceiling":null}"#).await.0, 204);
    let reply = server.ask("GET", "/admin/state", &[TOKEN], "").await;
    let state: serde_json::Value = serde_json::from_str(&reply.body).expect("an object");
    assert_eq!((&state["limits"]["maxHeight"], &state["limits"]["audioOnly"]), (&720.into(), &true.into()));
    assert_eq!(state["rooms"][0]["limits"]["meeting"]["maxSenders"], 2);
    assert_eq!(put("/admin/limits", &[TOKEN], "{}").await.0, 204);
    assert_eq!(server.lobby.limits(), MediaLimits::default(), "lifted");
}

#[tokio::test]
async fn the_order_that_is_kept_is_told_with_its_numbers() {
    let (server, _) = Server::plain().await;
    let reply = server.ask("GET", "/admin/state", &[TOKEN], "").await;
    let state: serde_json::Value = serde_json::from_str(&reply.body).expect("an object");
    let policy = &state["policy"];
    let names: Vec<_> = policy["classes"].as_array().expect("a list").iter().map(|class| &class[0]).collect();
    assert_eq!(names, ["speaker", "screen", "pinned", "other"]);
    let points: Vec<_> =
        policy["classes"].as_array().expect("a list").iter().filter_map(|class| class[1].as_u64()).collect();
    assert!(points.len() == 4 && points.is_sorted_by(|one, next| one > next), "{points:?}");
    assert_eq!((&policy["topN"], &policy["leastVideo"]), (&3.into(), &30_000.into()));
}

#[tokio::test]
async fn without_a_token_there_is_nothing_to_see() {
    let lobby = Lobby::new(ROOMY, vec![Server::engine()]);
    let surveyor = Surveyor::new(lobby.clone(), Arc::new(Semaphore::new(1)));
    let routes = admin::routes(None, surveyor, lobby);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
    let address = listener.local_addr().expect("address");
    tokio::spawn(web::accept(listener, None, routes));
    for path in ["/admin", "/admin.js", "/admin/state", "/metrics"] {
        let mut stream = TcpStream::connect(address).await.expect("connection");
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        assert_eq!(Server::reply(stream).await.status, 404, "{path}");
    }
}
