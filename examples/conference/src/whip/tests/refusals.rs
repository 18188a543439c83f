//! Who gets no session, and how it is told.

use super::*;
use crate::whip::session::BODIES;

#[tokio::test]
async fn what_is_no_usable_offer_is_refused_and_leaves_nobody() {
    let (server, code) = Server::plain().await;
    let path = format!("/whip/{code}");
    let sendonly = one_way(CHROMIUM, "a=sendonly");
    let plain = server.ask("POST", &path, &[("Content-Type", "text/plain")], &sendonly).await;
    assert_eq!((plain.status, plain.header("accept-post")), (415, SDP));
    assert_eq!(server.ask("POST", &path, &[], &sendonly).await.status, 415);
    let with = |accept| [("Content-Type", "application/sdp; charset=utf-8"), ("Accept", accept)];
    assert_eq!(server.ask("POST", &path, &with("text/html, image/*"), &sendonly).await.status, 406);
    assert_eq!(server.post(&path, "v=0\r\nnonsense").await.status, 400);
    assert_eq!(server.post(&path, &"a=x\r\n".repeat(limits::SDP_TEXT / 5 + 1)).await.status, 413);
    let no_fingerprint: String = sendonly
        .lines()
        .filter(|line| !line.starts_with("a=fingerprint"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    assert_eq!(server.post(&path, &no_fingerprint).await.status, 422);
    assert_eq!(server.post(&path, &one_way(CHROMIUM, "a=recvonly")).await.status, 422, "it sends nothing");
    let lite = sendonly.replacen("t=0 0\r\n", "t=0 0\r\na=ice-lite\r\n", 1);
    assert_ne!(lite, sendonly);
    assert_eq!(server.post(&path, &lite).await.status, 422, "clients are full agents");
    let no_text = b"v=0\r\ns=\xff\r\n";
    let begun = server.begin("POST", &path, &[("Content-Type", SDP)], no_text.len(), no_text).await;
    assert_eq!(Server::reply(begun).await.status, 400, "not UTF-8");
    let unknown_codecs = sendonly.replace("opus/48000", "lyra/16000");
    assert_eq!(server.post(&path, &unknown_codecs).await.status, 422, "no partial sessions");
    server.has(0).await;
    let welcome = server.ask("POST", &path, &with("text/html, application/*;q=0.1"), &sendonly).await;
    assert_eq!(welcome.status, 201);
}

#[tokio::test]
async fn s_room_01_unknown_and_full_rooms_look_alike_to_sessions() {
    let server = Server::start(Limits { room_size: 1, ..ROOMY }, None, &[]).await;
    let code = server.lobby.create(Options::default()).expect("room").code().to_string();
    let offer = one_way(CHROMIUM, "a=sendonly");
    assert_eq!(server.post(&format!("/whip/{code}"), &offer).await.status, 201);
    let full = server.post(&format!("/whip/{code}"), &offer).await;
    let unknown = server.post("/whip/0000-0000-0000-0000", &offer).await;
    let no_code = server.post("/whip/guess", &offer).await;
    for reply in [&full, &unknown, &no_code] {
        assert_eq!((reply.status, &reply.body), (404, &full.body));
    }
    for session in ["/session/guess", "/session/00000000000000000000000000000000"] {
        assert_eq!(server.ask("GET", session, &[], "").await.status, 404);
    }
}

#[tokio::test]
async fn s_room_01_a_lobby_and_a_lock_look_to_sessions_like_a_wrong_code() {
    let server = Server::start(ROOMY, None, &[]).await;
    let offer = one_way(CHROMIUM, "a=sendonly");
    let start = std::time::Instant::now();
    let unknown = server.post("/whip/0000-0000-0000-0000", &offer).await;
    assert!(start.elapsed() >= REFUSAL);
    for asked in ["/rooms?lobby=true", "/rooms?locked=true"] {
        let room = server.ask("POST", asked, &[], "").await;
        let room: serde_json::Value = serde_json::from_str(&room.body).expect("json");
        let (page, moderator) =
            (room["page"].as_str().expect("path"), room["moderator"].as_str().expect("path"));
        assert!(moderator.starts_with(&format!("{page}#moderator=")));
        let start = std::time::Instant::now();
        let refused = server.post(room["whip"].as_str().expect("path"), &offer).await;
        assert_eq!((refused.status, refused.body), (404, unknown.body.clone()), "{asked}");
        assert!(start.elapsed() >= REFUSAL);
    }
    assert_eq!(server.ask("POST", "/rooms?lobby=maybe", &[], "").await.status, 400);
}

#[tokio::test]
async fn a_full_house_says_when_to_try_again() {
    let server = Server::start(Limits { participants: 1, ..ROOMY }, None, &[]).await;
    let code = server.lobby.create(Options::default()).expect("room").code().to_string();
    let offer = one_way(CHROMIUM, "a=sendonly");
    let first = server.post(&format!("/whip/{code}"), &offer).await;
    assert_eq!(first.status, 201);
    let full = server.post(&format!("/whip/{code}"), &offer).await;
    assert_eq!((full.status, full.header("retry-after")), (503, "5"));
    assert_eq!(server.ask("DELETE", first.header("location"), &[], "").await.status, 200);
    server.has(0).await;
    assert_eq!(server.post(&format!("/whip/{code}"), &offer).await.status, 201);
}

#[tokio::test]
async fn a_token_is_asked_for_everywhere_or_nowhere() {
    let servers = ["stun:stun.example.net", "stuns:stun.example.net:5349"];
    let server = Server::start(ROOMY, Some("s3cret"), &servers).await;
    let unknown = server.ask("POST", "/rooms", &[], "").await;
    assert_eq!((unknown.status, unknown.header("www-authenticate")), (401, "Bearer"));
    let bearer = ("Authorization", "bearer s3cret");
    let room = server.ask("POST", "/rooms", &[bearer], "").await;
    assert_eq!(room.status, 201);
    let room: serde_json::Value = serde_json::from_str(&room.body).expect("json");
    let path = room["whip"].as_str().expect("path");

    let offer = one_way(CHROMIUM, "a=sendonly");
    assert_eq!(server.post(path, &offer).await.status, 401);
    for wrong in ["Bearer s3cres", "Bearer s3cret1", "Bearer ", "s3cret", "Basic s3cret"] {
        let headers = [("Content-Type", SDP), ("Authorization", wrong)];
        assert_eq!(server.ask("POST", path, &headers, &offer).await.status, 401, "{wrong}");
    }
    let made = server.ask("POST", path, &[("Content-Type", SDP), bearer], &offer).await;
    assert_eq!(made.status, 201);
    let links: Vec<_> = made.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert_eq!(links, servers.map(|uri| format!("<{uri}>; rel=\"ice-server\"")));
    let session = made.header("location");
    for method in ["GET", "DELETE", "PATCH"] {
        assert_eq!(server.ask(method, session, &[], "").await.status, 401, "{method}");
    }
    assert_eq!(server.ask("DELETE", session, &[bearer], "").await.status, 200);
}

#[tokio::test]
async fn a_body_is_waited_for_where_the_room_is_known_and_not_for_long() {
    let (server, code) = Server::plain().await;
    let headers = [("Content-Type", SDP)];
    let unknown = server.begin("POST", "/whip/0000-0000-0000-0000", &headers, 9, b"").await;
    assert_eq!(Server::reply(unknown).await.status, 404);
    let known = server.begin("POST", &format!("/whip/{code}"), &headers, 9, b"v=0").await;
    assert_eq!(Server::reply(known).await.status, 408);
}

#[tokio::test]
async fn so_many_bodies_are_read_at_once() {
    let (server, code) = Server::plain().await;
    let (path, offer) = (format!("/whip/{code}"), one_way(CHROMIUM, "a=sendonly"));
    let mut begun = Vec::new();
    for _ in 0..BODIES {
        begun.push(server.begin("POST", &path, &[("Content-Type", SDP)], 9, b"v=0").await);
    }
    let permits = async |count| {
        while server.whip.bodies.available_permits() != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, permits(0)).await.expect("all are being read");
    let one_more = server.post(&path, &offer).await;
    assert_eq!((one_more.status, one_more.header("retry-after")), (503, "5"));
    drop(begun);
    timeout(PATIENCE, permits(BODIES)).await.expect("none is read any more");
    assert_eq!(server.post(&path, &offer).await.status, 201);
}

#[tokio::test]
async fn pages_and_sessions_share_their_permits() {
    let (server, code) = Server::plain().await;
    let (path, offer) = (format!("/whip/{code}"), one_way(CHROMIUM, "a=sendonly"));
    let all = server.pages.available_permits() as u32;
    let taken = server.pages.clone().acquire_many_owned(all).await.expect("permits");
    let refused = server.post(&path, &offer).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    server.has(0).await;
    drop(taken);
    assert_eq!(server.post(&path, &offer).await.status, 201);
}

#[tokio::test]
async fn rooms_are_made_by_scripts_and_not_at_the_cost_of_others() {
    let (server, code) = Server::plain().await;
    for origin in ["http://a.test", "http://localhost:81", "https://localhost.a.test", "null", "localhost"] {
        let made = server.ask("POST", "/rooms", &[("Origin", origin)], "").await;
        assert_eq!(made.status, 403, "{origin}");
        assert!(!made.headers.contains_key("access-control-allow-origin"));
    }
    // Our own page, behind a proxy that adds TLS.
    assert_eq!(server.ask("POST", "/rooms", &[("Origin", "https://localhost")], "").await.status, 201);
    for _ in 2..ROOMY.rooms {
        assert_eq!(server.ask("POST", "/rooms", &[], "").await.status, 201);
    }
    let refused = server.ask("POST", "/rooms", &[], "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    let first = server.post(&format!("/whip/{code}"), &one_way(CHROMIUM, "a=sendonly")).await;
    assert_eq!(first.status, 201, "it has not given way");
}
