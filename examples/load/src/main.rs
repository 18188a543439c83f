//! Calls by the hundred for the conference server, and what they cost.
//!
//! `plan` says who is in which room; `signalling` lets them come as pages do, with what stands in `hello`; each
//! becomes a `client` on a `worker`'s thread: a `voice`, maybe a `camera`, a `receiver` of what the others send
//! and `arrivals` that it tells of, over a `link` of its own. `description` is its SDP. Every payload bears a
//! `stamp`, so what comes says how long it took; `figures` collect that, `watch` adds what the `server`'s
//! `process` takes, and `report` and `plot` show it. Start with `cargo run --release -p load`.

mod arrivals;
mod camera;
mod client;
mod clock;
mod description;
mod figures;
mod hello;
mod link;
mod options;
mod plan;
mod plot;
mod process;
mod receiver;
mod report;
mod server;
mod signalling;
mod stamp;
mod voice;
mod watch;
mod worker;

use clap::Parser;
use clock::Clock;
use estafette::dtls;
use estafette::random::Random;
use indicatif::{ProgressBar, ProgressStyle};
use options::Options;
use report::Report;
use server::Server;
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::time::Duration;
use watch::Watch;
use worker::{Command, Handle, Setting};

/// How long the last one to come may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long repairs may take when nothing new is sent any more.
const REPAIRS: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// True if all went well.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    options.check()?;
    let server = Server::of(options)?;
    let before = (process::load_average(), process::full_buffers());
    let clock = Clock::start();
    let (workers, mut watch) = start(options, &server, clock)?;
    let measured = watch_calls(options, &workers, &mut watch, clock);

    let mut report = Report::new(options, &watch, measured);
    report.load_average = [before.0, process::load_average()];
    report.full_buffers = process::full_buffers().zip(before.1).map(|(after, before)| after - before);
    print!("{report}");
    write(options.svg.as_deref(), || Ok(plot::svg(&report)))?;
    write(options.json.as_deref(), || Ok(serde_json::to_string_pretty(&report)? + "\n"))?;
    Ok(report.is_whole() && !(options.strict && report.lost > 0))
}

/// Starts threads and lets participants come.
fn start(options: &Options, server: &Server, clock: Clock) -> Result<(Vec<Handle>, Watch), Box<dyn Error>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = options.threads.unwrap_or(cores);
    let members = plan::members(options.rooms, options.participants, options.cameras);
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&options.seed.to_be_bytes());
    let setting = Setting {
        clock,
        context: dtls::Context::new(dtls::Config::default(), dtls::Certificate::generate()?)?,
        random: Random::new(seed),
        workers: threads,
        participants: options.participants,
        max_height: options.max_height,
    };
    let (notes, told) = channel();
    let workers: Result<Vec<Handle>, _> =
        (0..threads).map(|number| worker::start(number, setting.clone(), notes.clone())).collect();
    let workers = workers?;
    signalling::start(server.door.clone(), members, options.join_rate, clock, workers.clone())?;
    Ok((workers, Watch::new(clock, told, server.pid, threads)))
}

/// Watches the calls to their end; returns the seconds that count.
fn watch_calls(options: &Options, workers: &[Handle], watch: &mut Watch, clock: Clock) -> Range<u64> {
    let bar = ProgressBar::new(options.participants as u64);
    let style = ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));

    bar.set_message("joining");
    let coming = Duration::from_secs_f64(options.participants as f64 / options.join_rate);
    watch.until(clock.now() + coming + PATIENCE, |watch| {
        let settled = watch.connected + watch.failed;
        bar.set_position(settled as u64);
        settled == options.participants
    });

    bar.set_message("measuring");
    let start = watch.second() + 1 + options.warm_up;
    let measured = start..start + options.duration;
    bar.set_length(options.warm_up + options.duration);
    watch.until(estafette::Instant::from_millis(measured.end * 1_000), |watch| {
        bar.set_position((watch.second() + 1 + options.warm_up).saturating_sub(start));
        false
    });

    bar.set_message("finishing");
    workers.iter().for_each(|worker| worker.send(Command::Mute));
    watch.until(clock.now() + REPAIRS, |_| false);
    workers.iter().for_each(|worker| worker.send(Command::Finish));
    watch.finish(clock.now() + PATIENCE);
    bar.finish_and_clear();
    measured
}

fn write(
    path: Option<&Path>,
    contents: impl FnOnce() -> Result<String, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, contents()?)
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}
