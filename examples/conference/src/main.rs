//! Video conferences in the browser: a web page, its signalling, and the estafette engine.
//!
//! `web` serves the page, `signalling` its WebSocket, `whip` every other WebRTC client; `lobby` knows who
//! is in which room; `media` runs the engines, one on each core, around a UDP `socket` and TCP `streams`, `desk` has
//! what a room writes, and `decisions` writes what the engines decide to a file. `survey` looks at all of it for who
//! looks after the server: `admin` and `metrics` show it.
//! Start with `cargo run --release -p conference`; `--help` tells the rest.

mod admin;
mod code;
mod config;
mod decisions;
mod desk;
mod limits;
mod lobby;
mod log;
mod media;
mod message;
mod metrics;
mod process;
mod signalling;
mod socket;
mod spread;
mod streams;
mod survey;
mod web;
mod whip;

use clap::Parser;
use config::Config;
use decisions::DecisionLog;
use estafette::EngineConfig;
use lobby::{Limits, Lobby};
use media::Sockets;
use std::error::Error;
use std::net::UdpSocket;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use survey::Surveyor;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

fn main() -> ExitCode {
    let config = Config::parse();
    log::start(config.log_format);
    match start(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conference: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: &Config) -> Result<(), Box<dyn Error>> {
    // Media has threads of its own; two are plenty for pages and their messages.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let threads = runtime.block_on(run(config))?;
    // The last handles of the engines go with the runtime; each engine then says goodbye.
    runtime.shutdown_timeout(media::GOODBYE);
    let deadline = Instant::now() + media::GOODBYE;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Serves until a signal tells to stop.
async fn run(config: &Config) -> Result<Vec<JoinHandle<()>>, Box<dyn Error>> {
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(certificates), Some(key)) => Some(web::tls(certificates, key)?),
        _ => None,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        format!("cannot listen on {} (TCP): {error}; choose another with --listen", config.listen)
    })?;
    let log = config.decision_log.as_deref().map(|path| {
        DecisionLog::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))
    });
    let (log, writer) = log.transpose()?.unzip();
    let (engines, mut threads): (_, Vec<_>) = start_engines(config, log)?.into_iter().unzip();
    threads.extend(writer);
    let participants = usize::from(config.max_participants);
    let limits = Limits { room_size: config.room_size.into(), participants, rooms: config.max_rooms.into() };
    let lobby = Lobby::new(limits, engines);
    lobby.limit(config.media_limits());
    // Some pages are at the door, wait for a place, or are about to hear that there is none.
    let page_count = participants + 64;
    let pages = Arc::new(Semaphore::new(page_count));
    let (stop, stopping) = watch::channel(false);
    let whip = whip::Sessions::new(config.whip_token.clone(), &config.ice_server);
    let behind_proxy = config.behind_proxy;
    let house = web::House { lobby: lobby.clone(), whip, pages: pages.clone(), behind_proxy, stopping };
    let surveyor = Surveyor::new(lobby.clone(), pages.clone());
    let routes = web::routes(house).merge(admin::routes(config.admin_token.clone(), surveyor, lobby.clone()));

    println!("Open {} in a browser.", config.page_address(listener.local_addr()?));
    tokio::select! {
        () = web::accept(listener, tls, routes) => {}
        () = told_to_stop() => {}
    }
    tracing::info!(refusals = lobby.refusals(), "stopping");
    let _ = stop.send(true);
    let _ = timeout(media::GOODBYE, pages.acquire_many(page_count as u32)).await;
    Ok(threads)
}

/// An engine and the thread it runs on.
type Running = (media::Engine, JoinHandle<()>);

fn start_engines(config: &Config, log: Option<DecisionLog>) -> Result<Vec<Running>, Box<dyn Error>> {
    let start = |number| {
        let address = config.udp_address(number).ok_or("--udp leaves no port for the last engine")?;
        let socket = UdpSocket::bind(address).map_err(|error| {
            format!("cannot listen on {address} (UDP): {error}; choose another with --udp")
        })?;
        let udp = socket.local_addr()?;
        let listener = config.listen_for_media(number, udp)?;
        let tcp = listener.as_ref().map(std::net::TcpListener::local_addr).transpose()?;
        let candidates = config.announced(number, udp, tcp);
        tracing::info!(number, bound = %udp, ?candidates, "engine");
        let decisions = if log.is_some() { decisions::KEPT } else { 0 };
        let mut setup = EngineConfig { number, candidates, decisions, ..EngineConfig::default() };
        setup.dtls.versions = config.dtls.into();
        Ok(media::Engine::start(setup, Sockets { udp: socket, tcp: listener }, log.clone())?)
    };
    (0..config.engine_count()).map(start).collect()
}

/// Waits for Ctrl-C or a request to terminate.
async fn told_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
