//! Tells what an engine decided: a log of decisions (JSON, one a line, as [`estafette::Json`] writes it) as a story in
//! plain sentences, and as a chart.
//!
//! ```text
//! cargo run --example explain -- LOG
//!     --participant ID   of one alone, by the id that the log has
//!     --svg FILE         a chart of it as well; without --participant of who has most lines
//! ```

#[path = "explain/mod.rs"]
mod explain;

use explain::chart;
use explain::log::Log;
use explain::story::story;
use explain::words::wrapped;
use std::error::Error;
use std::path::PathBuf;

/// Letters in a line.
const WIDTH: usize = 100;

struct Options {
    log: PathBuf,
    participant: Option<String>,
    svg: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let text = std::fs::read_to_string(&options.log)
        .map_err(|error| format!("cannot read {}: {error}", options.log.display()))?;
    let log = Log::read(&text);
    if log.unread > 0 {
        eprintln!("{} lines could not be read", log.unread);
    }
    let everybody = log.everybody();
    let told: Vec<&str> = match &options.participant {
        Some(who) => vec![who],
        None => everybody.into_iter().collect(),
    };
    for (at, who) in told.iter().enumerate() {
        let story = story(&log, who);
        if story.is_empty() {
            return Err(format!("nothing was decided of participant {who}").into());
        }
        if at > 0 {
            println!();
        }
        story.iter().for_each(|line| println!("{}", wrapped(line, WIDTH)));
    }
    if let Some(file) = options.svg {
        let most = told.into_iter().max_by_key(|who| log.of(who).count());
        let picture = most.and_then(|who| chart::svg(&log, who)).ok_or("there is nothing to draw")?;
        std::fs::write(&file, picture)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (mut log, mut participant, mut svg) = (None, None, None);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} takes a value"));
        match arg.as_str() {
            "--participant" => participant = Some(value()?),
            "--svg" => svg = Some(value()?.into()),
            _ if arg.starts_with('-') => return Err(format!("unknown option {arg}").into()),
            _ => log = Some(arg.into()),
        }
    }
    let log = log.ok_or("usage: explain LOG [--participant ID] [--svg FILE]")?;
    Ok(Options { log, participant, svg })
}
