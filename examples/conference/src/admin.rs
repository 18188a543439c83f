//! For who looks after the server, by a token: the page at `/admin`, what it shows at `/admin/state`, and `/metrics`
//! for Prometheus. The page itself has no secret in it; the token stands in its requests' headers only. Without a
//! token nothing of this is there.

use crate::config::Token;
use crate::lobby::REFUSAL;
use crate::media::Census;
use crate::metrics;
use crate::spread::Spread;
use crate::survey::{Survey, Surveyor};
use crate::web::{HEADERS, HTML, SCRIPT};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The routes, if there is a token.
pub fn routes(token: Option<Token>, surveyor: Surveyor) -> Router {
    let Some(token) = token else { return Router::new() };
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { (HEADERS, [(header::CONTENT_TYPE, kind)], text) })
    };
    let guarded = Router::new()
        .route("/admin/state", get(state))
        .route("/metrics", get(scrape))
        .with_state(Arc::new(surveyor))
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

/// A survey as the page takes it. Counters grow; what is between two of them makes a rate.
fn shown(survey: &Survey) -> Value {
    json!({
        "at": survey.at.as_millis() as u64,
        "pages": survey.pages,
        "refusals": survey.refusals,
        "cpuSeconds": survey.usage.map(|usage| usage.cpu_seconds),
        "memory": survey.usage.map(|usage| usage.resident_bytes),
        "engineCount": survey.engine_count,
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
