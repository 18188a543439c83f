//! The page's files and the way in for its WebSocket, over HTTP or HTTPS.

use crate::lobby::Lobby;
use crate::message::MESSAGE;
use crate::signalling;
use crate::whip;
use axum::extract::{FromRequestParts, State, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// TCP connections at once; further ones wait in the system's queue.
const CONNECTIONS: usize = 8_192;

/// How long a client may take for its TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a page may do: load its own files, talk to its own server, nothing else. Room codes stay
/// out of referrers.
pub const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
         media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-cache"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self)",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The types of files.
pub const HTML: &str = "text/html; charset=utf-8";
/// As [`HTML`].
pub const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// What the page loads, in the order of the alphabet.
const FILES: &[(&str, &str, &str)] = &[
    ("/app.js", SCRIPT, include_str!("../page/app.js")),
    ("/bytes.js", SCRIPT, include_str!("../page/bytes.js")),
    ("/call.js", SCRIPT, include_str!("../page/call.js")),
    ("/camera.js", SCRIPT, include_str!("../page/camera.js")),
    ("/changes.js", SCRIPT, include_str!("../page/changes.js")),
    ("/channels.js", SCRIPT, include_str!("../page/channels.js")),
    ("/chart.js", SCRIPT, include_str!("../page/chart.js")),
    ("/chat.js", SCRIPT, include_str!("../page/chat.js")),
    ("/connection.js", SCRIPT, include_str!("../page/connection.js")),
    ("/devices.js", SCRIPT, include_str!("../page/devices.js")),
    ("/dialogs.js", SCRIPT, include_str!("../page/dialogs.js")),
    ("/dom.js", SCRIPT, include_str!("../page/dom.js")),
    ("/door.js", SCRIPT, include_str!("../page/door.js")),
    ("/encryption.js", SCRIPT, include_str!("../page/encryption.js")),
    ("/frames.js", SCRIPT, include_str!("../page/frames.js")),
    ("/i18n.js", SCRIPT, include_str!("../page/i18n.js")),
    ("/keys.js", SCRIPT, include_str!("../page/keys.js")),
    ("/limitfields.js", SCRIPT, include_str!("../page/limitfields.js")),
    ("/limits.js", SCRIPT, include_str!("../page/limits.js")),
    ("/meeting.js", SCRIPT, include_str!("../page/meeting.js")),
    ("/memory.js", SCRIPT, include_str!("../page/memory.js")),
    ("/notes.js", SCRIPT, include_str!("../page/notes.js")),
    ("/notices.js", SCRIPT, include_str!("../page/notices.js")),
    ("/panel.js", SCRIPT, include_str!("../page/panel.js")),
    ("/people.js", SCRIPT, include_str!("../page/people.js")),
    ("/room.js", SCRIPT, include_str!("../page/room.js")),
    ("/save.js", SCRIPT, include_str!("../page/save.js")),
    ("/secret.js", SCRIPT, include_str!("../page/secret.js")),
    ("/sframe.js", SCRIPT, include_str!("../page/sframe.js")),
    ("/talk.js", SCRIPT, include_str!("../page/talk.js")),
    ("/tiles.js", SCRIPT, include_str!("../page/tiles.js")),
    ("/units.js", SCRIPT, include_str!("../page/units.js")),
    ("/vendor/yjs.js", SCRIPT, include_str!("../page/vendor/yjs.js")),
    ("/wishes.js", SCRIPT, include_str!("../page/wishes.js")),
    ("/style.css", STYLE, include_str!("../page/style.css")),
];

/// What the routes share.
#[derive(Clone)]
pub struct House {
    /// The rooms.
    pub lobby: Arc<Lobby>,
    /// The WHIP and WHEP sessions.
    pub whip: Arc<whip::Sessions>,
    /// A permit per page or session; all of them back means that everybody has left.
    pub pages: Arc<Semaphore>,
    /// Whether connections are a proxy's.
    pub behind_proxy: bool,
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// Where a request comes from: the other end of its connection, or whom the proxy names that stands there.
#[derive(Debug, Clone, Copy)]
pub struct Source(pub IpAddr);

impl FromRequestParts<House> for Source {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, house: &House) -> Result<Source, StatusCode> {
        // Each connection brings its peer.
        let peer = parts.extensions.get::<Peer>().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        // What stands before the last address is what the client says, who may say anything.
        let named = parts.headers.get_all("x-forwarded-for").iter().next_back();
        let named = named.and_then(|list| list.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        Ok(Source(named.filter(|_| house.behind_proxy).unwrap_or(peer.0)))
    }
}

/// The routes of the server.
pub fn routes(house: House) -> Router {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move { (HEADERS, [(header::CONTENT_TYPE, kind)], text) })
    };
    let page = file(HTML, include_str!("../page/index.html"));
    let mut routes = Router::new().route("/", page.clone()).route("/r/{code}", page);
    for &(path, kind, text) in FILES {
        routes = routes.route(path, file(kind, text));
    }
    routes.route("/ws", get(socket)).merge(whip::routes()).with_state(house)
}

async fn socket(State(house): State<House>, Source(source): Source, upgrade: WebSocketUpgrade) -> Response {
    let Ok(permit) = house.pages.try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    upgrade.max_message_size(MESSAGE).max_frame_size(MESSAGE).on_upgrade(move |socket| async move {
        signalling::serve(socket, source, house.lobby, house.stopping).await;
        drop(permit);
    })
}

/// Reads a certificate chain and its key from PEM files.
pub fn tls(certificates: &Path, key: &Path) -> Result<TlsAcceptor, Box<dyn std::error::Error>> {
    let in_file = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect);
    let chain = chain.map_err(|error| in_file(certificates, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, &error))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Accepts connections for ever, each served by a task of its own.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, routes: Router) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others must close before more can come.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (tls, routes) = (tls.clone(), routes.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, from, routes).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = timeout(PATIENCE, tls.accept(stream)).await {
                        serve(stream, from, routes).await;
                    }
                }
            }
            drop(permit);
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: SocketAddr,
    routes: Router,
) {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let service = TowerToHyperService::new(routes.layer(Extension(Peer(from.ip()))));
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection");
    }
}
