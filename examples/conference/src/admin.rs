//! For who looks after the server, by a token: the page at `/admin`, what it shows at `/admin/state`, what is allowed of
//! media to be put at `/admin/limits` and `/admin/rooms/{number}/limits`, and `/metrics` for Prometheus. The page itself
//! has no secret in it; the token stands in its requests' headers only. Without a token nothing of this is there.

use crate::config::Token;
use crate::limits::{MediaLimits, OutOfRange};
use crate::lobby::{Lobby, REFUSAL};
use crate::media::{Census, Policy, room_config};
use crate::metrics;
use crate::spread::Spread;
use crate::survey::{Survey, Surveyor};
use crate::web::{HEADERS, HTML, SCRIPT};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The routes, if there is a token.
pub fn routes(token: Option<Token>, surveyor: Surveyor, lobby: Arc<Lobby>) -> Router {
    let Some(token) = token else { return Router::new() };
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { (HEADERS, [(header::CONTENT_TYPE, kind)], text) })
    };
    let limits = Router::new()
        .route("/admin/limits", put(limit))
        .route("/admin/rooms/{number}/limits", put(limit_room));
    let guarded = Router::new()
        .route("/admin/state", get(state))
        .route("/metrics", get(scrape))
        .with_state(Arc::new(surveyor))
        .merge(limits.with_state(lobby))
        .layer(from_fn_with_state(Arc::new(token), guard));
    Router::new()
        .route("/admin", file(HTML, include_str!("../page/admin.html")))
        .route("/admin.js", file(SCRIPT, include_str!("../page/admin.js")))
        .merge(guarded)
}

/// Lets those pass who have the token. Others wait for their answer, so that guessing is slow.
async fn guard(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    if token.is_in(request.headers()) {
        return next.run(request).await;
    }
    tokio::time::sleep(REFUSAL).await;
    (StatusCode::UNAUTHORIZED, HEADERS, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

async fn scrape(State(surveyor): State<Arc<Surveyor>>) -> Response {
    match metrics::text(surveyor.survey().await) {
        Ok(text) => (HEADERS, [(header::CONTENT_TYPE, metrics::TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn state(State(surveyor): State<Arc<Surveyor>>) -> Response {
    let survey = surveyor.survey().await;
    let state = shown(&survey).to_string();
    (HEADERS, [(header::CONTENT_TYPE, "application/json")], state).into_response()
}

async fn limit(State(lobby): State<Arc<Lobby>>, body: Bytes) -> Response {
    match limits(&body) {
        Ok(limits) => {
            lobby.limit(limits);
            tracing::info!(?limits, "limits of the server");
            StatusCode::NO_CONTENT.into_response()
        }
        Err(wrong) => refuse(&wrong),
    }
}

async fn limit_room(State(lobby): State<Arc<Lobby>>, Path(room): Path<u64>, body: Bytes) -> Response {
    match limits(&body) {
        Ok(limits) if lobby.limit_room(room, limits) => {
            tracing::info!(room, ?limits, "limits of a room");
            StatusCode::NO_CONTENT.into_response()
        }
        Ok(_) => StatusCode::NOT_FOUND.into_response(),
        Err(wrong) => refuse(&wrong),
    }
}

/// Limits as they are put; if they are none, the name of the one that is out of range, or null.
fn limits(body: &[u8]) -> Result<MediaLimits, Value> {
    let limits: MediaLimits = serde_json::from_slice(body).map_err(|_| Value::Null)?;
    limits.check().map_err(|OutOfRange(name)| Value::from(name))?;
    Ok(limits)
}

/// The answer to what is none.
fn refuse(wrong: &Value) -> Response {
    let body = json!({ "wrong": wrong }).to_string();
    (StatusCode::BAD_REQUEST, HEADERS, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A survey as the page takes it. Counters grow; what is between two of them makes a rate.
fn shown(survey: &Survey) -> Value {
    json!({
        "at": survey.at.as_millis() as u64,
        "pages": survey.pages,
        "refusals": survey.refusals,
        "cpuSeconds": survey.usage.map(|usage| usage.cpu_seconds),
        "memory": survey.usage.map(|usage| usage.resident_bytes),
        "engineCount": survey.engine_count,
        "limits": survey.limits,
        "policy": Policy::of(&room_config(false)),
        "rooms": survey.rooms,
        "engines": survey.engines.iter().map(engine).collect::<Vec<_>>(),
    })
}

fn engine(census: &Census) -> Value {
    let stats = &census.stats;
    json!({
        "number": census.number,
        "rooms": stats.rooms,
        "participants": stats.participants,
        "packetsIn": stats.datagrams_received,
        "bytesIn": stats.bytes_received,
        "packetsOut": stats.datagrams_sent,
        "bytesOut": stats.bytes_sent,
        "drops": census.drops().collect::<BTreeMap<_, _>>(),
        "estimates": spread(&census.estimates),
        "heights": spread(&census.heights),
        "dark": census.dark,
        "reasons": census.reasons,
        "carriers": census.carriers,
    })
}

/// Pairs of a bound and a count; the last one has none.
fn spread(spread: &Spread) -> Vec<(Option<f64>, u64)> {
    let bound = |bound: f64| (bound != f64::MAX).then_some(bound);
    spread.buckets().into_iter().map(|(upper, count)| (bound(upper), count)).collect()
}
