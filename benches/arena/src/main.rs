//! str0m's rate control on the paths of `tests/data/bwe`: a pair of its `Rtc` for each flow, with their own
//! estimator, pacer, probes, feedback and retransmissions, joined by the simulator's links in virtual time.
//!
//! ```text
//! cargo run --release --manifest-path benches/arena/Cargo.toml
//!     --seeds N            medians over so many seeds (5)
//!     --grain MICROS       its timers fire at most so often (2000)
//!     --wild               the scenarios of `tests/data/bwe/wild` instead
//!     --only TEXT          the scenarios whose file name has it
//!     --svg FOLDER         a picture of each scenario's first run
//! ```
//!
//! Its detector sees bursts, so how often its timers are served matters: served at once it gives way to nobody and
//! loses more, served each 5 ms it yields to TCP and to itself. The published figures lie between the two.
//!
//! Its receivers have their own interval of feedback and no clock that drifts, whatever a scenario says. Its keys are
//! not seeded, so runs differ a little.

mod call;
mod flow;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use estafette::sim::table::{self, Row};
use estafette::sim::{Figures, Goals, Run, Scenario, Settings, run_ends, svg};

use flow::Flow;

fn main() -> Result<(), Box<dyn Error>> {
    str0m::crypto::from_feature_flags().install_process_default();
    let (mut seeds, mut grain, mut folder) = (5, Duration::from_millis(2), "tests/data/bwe");
    let (mut only, mut pictures) = (String::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match argument.as_str() {
            "--seeds" => seeds = value()?.parse::<u64>()?.max(1),
            "--grain" => grain = Duration::from_micros(value()?.parse()?),
            "--wild" => folder = "tests/data/bwe/wild",
            "--only" => only = value()?,
            "--svg" => pictures = Some(PathBuf::from(value()?)),
            other => return Err(format!("{other} is no option").into()),
        }
    }
    println!("{}", table::HEADER);
    let mut rows = Vec::new();
    for (name, scenario) in scenarios(folder, &only)? {
        let one = |seed| one(&scenario, seed, grain);
        let first = one(1);
        let mut figures = vec![Figures::of(&first)];
        figures.extend((2..=seeds).map(|seed| Figures::of(&one(seed))));
        let figures = Figures::medians(&figures).ok_or("no run")?;
        if let Some(folder) = &pictures {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(format!("{name}.svg")), svg(&first))?;
        }
        let missed = (scenario.goals != Goals::default()).then(|| scenario.goals.missed(&figures, None));
        rows.push(Row { name, figures, missed });
        println!("{}", rows.last().map(table::line).unwrap_or_default());
    }
    println!("\n{}", table::summary(&rows));
    Ok(())
}

fn one(scenario: &Scenario, seed: u64, grain: Duration) -> Run {
    let settings = Settings { seed, ..Settings::default() };
    run_ends(scenario, settings, |config, source, record| Box::new(Flow::new(config, source, record, grain)))
}

/// The scenarios by file name, in its order.
fn scenarios(folder: &str, only: &str) -> Result<Vec<(String, Scenario)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "toml") && name.contains(only) {
            let scenario = Scenario::parse(&std::fs::read_to_string(&path)?)?;
            found.push((name, scenario));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}
