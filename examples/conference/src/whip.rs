//! WebRTC clients that are no pages: WHIP (RFC 9725) at `/whip/{room}` publishes into a room, WHEP
//! (draft-ietf-wish-whep) at `/whep/{room}` receives what is published there. A POST with an offer
//! makes a session and is answered with all our candidates; the session is a resource of its own,
//! `/session/{id}`, that takes candidates and ICE restarts (PATCH) and ends with DELETE, with its
//! media, or with the server.
//!
//! A session is one offer and one answer: each line of a viewer's offer carries one source, that is
//! there or comes later; when that ends, the viewer has to come again for another. A wrong code and a
//! full room look alike, as they do to pages.

mod fragment;
mod session;
#[cfg(test)]
mod tests;

pub use session::Sessions;

use crate::lobby::{Door, Keys, REFUSAL};
use crate::media::{Call, Command, Part, Refusal};
use crate::message::{Options, Outbox, Plan, Shown};
use crate::web::{House, Source};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use estafette::limits;
use estafette::sdp::Description;
use fragment::Fragment;
use session::{Agreed, Session};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// How long a client may take to send its body.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 10 });

/// Bytes of a PATCH: credentials and as many candidates as an agent takes, and room to spare.
const FRAGMENT: usize = 16 * 1024;

/// When to try again, in seconds: a call may have ended by then.
const LATER: (HeaderName, &str) = (header::RETRY_AFTER, "5");

const SDP: &str = "application/sdp";
const SDPFRAG: &str = "application/trickle-ice-sdpfrag";

const ACCEPT_POST: (HeaderName, &str) = (HeaderName::from_static("accept-post"), SDP);
const ACCEPT_PATCH: (HeaderName, &str) = (HeaderName::from_static("accept-patch"), SDPFRAG);

/// The routes of WHIP and WHEP, and the one that makes rooms for scripts.
pub fn routes() -> Router<House> {
    let whip = |state, source, room, request| open(state, source, room, request, Part::Publisher);
    let whep = |state, source, room, request| open(state, source, room, request, Part::Viewer);
    let endpoint = || get(nothing).options(|| async { (StatusCode::NO_CONTENT, [ACCEPT_POST]) });
    Router::new()
        .route("/whip/{room}", endpoint().post(whip))
        .route("/whep/{room}", endpoint().post(whep))
        .route("/session/{id}", get(there).patch(change).delete(end).options(described))
        .layer(map_response(open_to_pages))
        .route("/rooms", post(create))
}

/// Pages of any origin may use what has no secrets but those they bring.
async fn open_to_pages(mut response: Response) -> Response {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PATCH, DELETE, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, if-match"),
        (
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "location, etag, link, accept-post, accept-patch, retry-after",
        ),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The resources have no representation, and GET succeeds (RFC 9725, section 4.1).
async fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `POST /rooms`: an empty room, for scripts; pages make their own. `?lobby=true` and `?locked=true` as pages have
/// them. Who opens the page at `moderator` is the moderator.
async fn create(
    State(house): State<House>,
    options: Result<Query<Options>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    house.whip.authorise(&headers)?;
    if foreign(&headers) {
        // Browsers send such a request without asking first, from whatever page somebody looks at.
        return Err(refused(StatusCode::FORBIDDEN, "pages of other origins make no rooms"));
    }
    let Query(options) =
        options.map_err(|_| refused(StatusCode::BAD_REQUEST, "lobby and locked are true or false"))?;
    let secret = house.lobby.create(options).map_err(|_| full())?;
    let code = secret.code().to_string();
    let page = format!("/r/{code}");
    let room = serde_json::json!({
        // A fragment is not sent to any server.
        "code": code, "page": page, "moderator": format!("{page}#moderator={secret}"), "whip": format!("/whip/{code}"), "whep": format!("/whep/{code}"),
    });
    let kind = HeaderValue::from_static("application/json");
    let headers = [(header::CONTENT_TYPE, kind), (header::LOCATION, value(&page)?)];
    Ok((StatusCode::CREATED, headers, room.to_string()).into_response())
}

/// `POST /whip/{room}` and `POST /whep/{room}`.
async fn open(
    State(house): State<House>,
    Source(source): Source,
    Path(room): Path<String>,
    request: Request,
    part: Part,
) -> Result<Response, Refused> {
    let asked = Instant::now();
    house.whip.authorise(request.headers())?;
    if !is(request.headers(), SDP) {
        let why = "an offer of type application/sdp is expected";
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why).with(ACCEPT_POST));
    }
    if !takes(request.headers(), SDP) {
        return Err(refused(StatusCode::NOT_ACCEPTABLE, "the answer is of type application/sdp"));
    }
    if !house.lobby.has_place() {
        return Err(full());
    }
    // Only who knows a room may take memory and time for a body.
    let code = room.parse();
    let knocked = match code {
        Ok(code) => house.lobby.knock(code, source),
        Err(_) => {
            house.lobby.note_nonsense(source);
            Err(crate::lobby::Refused)
        }
    };
    let (Ok(code), Ok(())) = (code, knocked) else {
        return Err(unknown(asked).await);
    };
    let (text, reading) = body(&house, request, limits::SDP_TEXT).await?;
    let offer = Description::parse(&text).map_err(|error| refused(StatusCode::BAD_REQUEST, error))?;
    if offer.ice_lite {
        // RFC 9725 asks for that; and we are not to send checks to whatever addresses an offer names.
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "a client has to be a full ICE agent"));
    }

    let permit = house.pages.clone().try_acquire_owned().map_err(|_| full())?;
    if !house.lobby.has_place() {
        return Err(full());
    }
    let name = if part == Part::Viewer { "WHEP guest" } else { "WHIP guest" };
    let (outbox, inbox) = Outbox::new();
    let door = Door::Existing(Keys::at_once(code), Plan::default());
    let Ok(seat) = house.lobby.enter(door, source, name.to_owned(), &outbox) else {
        return Err(unknown(asked).await);
    };

    let (engine, label) = (seat.engine().clone(), seat.label());
    let (room, opaque, name) = (seat.room(), seat.encrypted(), name.to_owned());
    engine.send(Command::Join { room, opaque, label, name, part, outbox }).await;
    let (answer, answered) = oneshot::channel();
    engine.send(Command::Call { label, call: Call::Offer { sdp: text, answer } }).await;
    let sdp = answered.await.unwrap_or(Err(Refusal::Gone)).map_err(no_answer)?;
    drop(reading);
    // Whoever is refused from here on gives its seat back.
    let agreed = Agreed::of(&offer, &sdp).ok_or_else(|| {
        refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "audio or video of the offer has no codec in common with us",
        )
    })?;
    if part == Part::Publisher && !agreed.receives() {
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "the offer sends nothing"));
    }
    if part == Part::Viewer && !agreed.sends() {
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "the offer takes nothing"));
    }
    seat.show(Shown { audio: agreed.audio, video: agreed.video, screen: false });

    let etag = value(&quoted(&agreed.etag))?;
    let id = Session::begin(&house, agreed, seat, inbox, permit).ok_or_else(full)?;
    let mut response = (StatusCode::CREATED, [ACCEPT_PATCH], sdp).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(header::LOCATION, value(&format!("/session/{id}"))?);
    headers.insert(header::ETAG, etag);
    for link in house.whip.links() {
        headers.append(header::LINK, link.clone());
    }
    Ok(response)
}

/// `PATCH /session/{id}`: candidates, or an ICE restart if the credentials are new ones.
async fn change(
    State(house): State<House>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let session = find(&house, request.headers(), &id)?;
    if !is(request.headers(), SDPFRAG) {
        let why = "a fragment of type application/trickle-ice-sdpfrag is expected";
        return Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why).with(ACCEPT_PATCH));
    }
    let tags = tags(request.headers());
    if tags.is_empty() {
        let sentence = "If-Match with the session's entity tag is missing, or with * to restart ICE";
        return Err(refused(StatusCode::PRECONDITION_REQUIRED, sentence));
    }
    let (text, reading) = body(&house, request, FRAGMENT).await?;
    // A task of its own, because a client that goes away takes its request with it: what the engine has
    // changed has to be known here whoever waits for it.
    let changed = tokio::spawn(async move {
        let changed = apply(&session, &tags, &text).await;
        drop(reading);
        changed
    });
    let broken = |_| refused(StatusCode::INTERNAL_SERVER_ERROR, "the change was not finished");
    changed.await.map_err(broken)?
}

/// Applies a fragment to the session, if one of the entity tags is its own.
async fn apply(session: &Session, tags: &[String], text: &str) -> Result<Response, Refused> {
    // Held until the engine has answered, so that tag and credentials change together.
    let mut ice = session.ice.lock().await;
    if !tags.iter().any(|tag| tag == "*" || *tag == quoted(&ice.etag)) {
        return Err(refused(StatusCode::PRECONDITION_FAILED, "the ICE session is another one by now"));
    }
    let fragment = Fragment::parse(text)
        .map_err(|_| refused(StatusCode::BAD_REQUEST, "the fragment cannot be understood"))?;
    let candidates = fragment.candidates;
    let fresh = fragment.credentials.filter(|theirs| *theirs != ice.remote);
    let Some(remote) = fresh else {
        session.call(Call::Candidates(candidates)).await;
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    // The engine refuses a restart that changes one of the two alone.
    let (answer, answered) = oneshot::channel();
    session.call(Call::Restart { remote: remote.clone(), candidates, answer }).await;
    let ours = answered.await.unwrap_or(Err(Refusal::Gone)).map_err(|refusal| match refusal {
        // It ended meanwhile, and is about to leave the table.
        Refusal::Gone => no_session(),
        refusal => no_answer(refusal),
    })?;
    (ice.remote, ice.etag) = (remote, ours.ufrag().to_owned());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SDPFRAG)),
        (header::ETAG, value(&quoted(&ice.etag))?),
    ];
    let text = fragment::write(&ours, &session.section, &session.candidates);
    Ok((StatusCode::OK, headers, text).into_response())
}

/// `DELETE /session/{id}`. An entity tag is ignored (RFC 9725, section 4.3.1).
async fn end(
    State(house): State<House>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refused> {
    find(&house, &headers, &id)?.end(&house);
    Ok(StatusCode::OK)
}

/// `GET /session/{id}`.
async fn there(
    State(house): State<House>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refused> {
    find(&house, &headers, &id).map(|_| StatusCode::NO_CONTENT)
}

/// `OPTIONS /session/{id}`: the same for all, there or not.
async fn described() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [ACCEPT_PATCH])
}

/// Whether a page of another origin asks. The scheme is not compared: a proxy may add TLS.
fn foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let ours = |(_, authority): (&str, &str)| {
        text(header::HOST).is_some_and(|host| authority.eq_ignore_ascii_case(host))
    };
    headers.contains_key(header::ORIGIN)
        && !text(header::ORIGIN).and_then(|origin| origin.split_once("://")).is_some_and(ours)
}

fn find(house: &House, headers: &HeaderMap, id: &str) -> Result<Arc<Session>, Refused> {
    house.whip.authorise(headers)?;
    house.whip.find(id).ok_or_else(no_session)
}

/// The answer to a wrong code, and to whatever has to look like one: with a lobby or a lock, nobody comes in who
/// cannot wait.
async fn unknown(asked: Instant) -> Refused {
    sleep_until(asked + REFUSAL).await;
    refused(StatusCode::NOT_FOUND, "there is no such room, or no place in it")
}

fn no_session() -> Refused {
    refused(StatusCode::NOT_FOUND, "there is no such session")
}

/// The body as text of at most `limit` bytes, and the permit for which it may be kept.
async fn body(
    house: &House,
    mut request: Request,
    limit: usize,
) -> Result<(String, OwnedSemaphorePermit), Refused> {
    let reading = house.whip.bodies.clone().try_acquire_owned().map_err(|_| full())?;
    DefaultBodyLimit::max(limit).apply(&mut request);
    let bytes = timeout(PATIENCE, Bytes::from_request(request, &())).await;
    let bytes = bytes.map_err(|_| refused(StatusCode::REQUEST_TIMEOUT, "the body did not come"))?;
    let bytes = bytes.map_err(|rejection| refused(rejection.status(), "the body is too large or broken"))?;
    let text = String::from_utf8(bytes.into());
    let text = text.map_err(|_| refused(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
    Ok((text, reading))
}

/// Whether the body has this type, whatever its parameters.
fn is(headers: &HeaderMap, kind: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split(';').next());
    given.is_some_and(|given| given.trim().eq_ignore_ascii_case(kind))
}

/// Whether an answer of this type is welcome (RFC 9110, section 12.5.1; weights are not looked at).
fn takes(headers: &HeaderMap, kind: &str) -> bool {
    let mut accept = headers.get_all(header::ACCEPT).iter().peekable();
    if accept.peek().is_none() {
        return true;
    }
    let ranges = accept.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut ranges = ranges.map(|range| range.split(';').next().unwrap_or("").trim());
    ranges
        .any(|range| [kind, "*/*", "application/*"].iter().any(|welcome| range.eq_ignore_ascii_case(welcome)))
}

/// The entity tags of `If-Match`, quotes included; `*` also as the quoted one of RFC 9725's examples.
fn tags(headers: &HeaderMap) -> Vec<String> {
    let lists = headers.get_all(header::IF_MATCH).iter().filter_map(|value| value.to_str().ok());
    let tags = lists.flat_map(|list| list.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    tags.map(|tag| if tag == "\"*\"" { "*" } else { tag }.to_owned()).collect()
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

fn value(text: &str) -> Result<HeaderValue, Refused> {
    let ours = "a header of ours has no form";
    HeaderValue::from_str(text).map_err(|_| refused(StatusCode::INTERNAL_SERVER_ERROR, ours))
}

/// Why a request is refused: its status, a sentence for people, and what may help.
#[derive(Debug)]
struct Refused {
    status: StatusCode,
    why: String,
    help: Option<(HeaderName, &'static str)>,
}

fn refused(status: StatusCode, why: impl ToString) -> Refused {
    Refused { status, why: why.to_string(), help: None }
}

impl Refused {
    fn with(self, help: (HeaderName, &'static str)) -> Refused {
        Refused { help: Some(help), ..self }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.why)).into_response();
        if let Some((name, value)) = self.help {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn full() -> Refused {
    refused(StatusCode::SERVICE_UNAVAILABLE, "everything is taken now").with(LATER)
}

fn no_answer(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Gone => full(),
        Refusal::Unusable(why) => refused(StatusCode::UNPROCESSABLE_ENTITY, why),
    }
}
