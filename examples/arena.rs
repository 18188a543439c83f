//! Runs the scenarios of `tests/data/bwe` and prints how a controller of rates does in each.
//!
//! ```text
//! cargo run --release --features sim --example arena
//!     estafette | constant | aimd   who is judged (estafette: the crate's own estimator)
//!     --seeds N            medians over so many seeds (5)
//!     --rfc8888            feedback of RFC 8888 throughout, not only where ECN is used
//!     --wild               the scenarios of `tests/data/bwe/wild` instead: other kinds of path, without goals
//!     --random N           N networks drawn at random instead
//!     --only TEXT          the scenarios whose file name has it
//!     --svg FOLDER         a picture of each scenario's first run, and an index.html
//! ```

#[path = "../tests/support/controlled.rs"]
mod controlled;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use controlled::Controlled;
use estafette::Bitrate;
use estafette::sim::table::{self, Row};
use estafette::sim::{
    Aimd, ConstantRate, Controller, FeedbackFormat, Figures, FlowConfig, Goals, Run, Scenario, Settings,
    random_scenario, run, svg,
};

type Maker = fn(&FlowConfig) -> Box<dyn Controller>;

/// Who can be judged, by name.
const CONTROLLERS: &[(&str, Maker)] = &[
    ("estafette", |flow| Box::new(Controlled::new(flow))),
    ("constant", |_| Box::new(ConstantRate(Bitrate::from_kbps(1_000)))),
    ("aimd", |flow| Box::new(Aimd::new(flow.initial))),
];

struct Options {
    controller: Maker,
    seeds: u64,
    format: FeedbackFormat,
    which: Which,
    only: String,
    svg: Option<PathBuf>,
}

/// Which scenarios.
enum Which {
    Folder(&'static str),
    Random(u64),
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let mut rows = Vec::new();
    let mut pictures = String::new();
    println!("{}", table::HEADER);
    for (file, scenario) in scenarios(&options)? {
        let (row, without_ecn, first) = judge(file, &scenario, &options);
        println!("{}", table::line(&row));
        if let Some(row) = without_ecn {
            println!("{}", table::line(&row));
        }
        if let Some(folder) = &options.svg {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join(format!("{}.svg", row.name)), svg(&first))?;
            let name = &row.name;
            writeln!(pictures, "<h2 id='{name}'>{name}</h2><p>{}</p><img src='{name}.svg'>", scenario.about)?;
        }
        rows.push(row);
    }
    if let Some(folder) = &options.svg {
        std::fs::write(folder.join("index.html"), page(&rows, &pictures)?)?;
    }
    println!("\n{}", table::summary(&rows));
    Ok(())
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options {
        controller: CONTROLLERS[0].1,
        seeds: 5,
        format: FeedbackFormat::TransportWide,
        which: Which::Folder("tests/data/bwe"),
        only: String::new(),
        svg: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match argument.as_str() {
            "--seeds" => options.seeds = value()?.parse::<u64>()?.max(1),
            "--rfc8888" => options.format = FeedbackFormat::Rfc8888,
            "--wild" => options.which = Which::Folder("tests/data/bwe/wild"),
            "--random" => options.which = Which::Random(value()?.parse()?),
            "--only" => options.only = value()?,
            "--svg" => options.svg = Some(value()?.into()),
            name => {
                let known = CONTROLLERS.iter().find(|controller| controller.0 == name);
                options.controller = known.ok_or(format!("{name} is nobody"))?.1;
            }
        }
    }
    Ok(options)
}

/// The scenarios by file name, in its order.
fn scenarios(options: &Options) -> Result<Vec<(String, Scenario)>, Box<dyn Error>> {
    let folder = match options.which {
        Which::Folder(folder) => Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
        Which::Random(count) => {
            return Ok((1..=count).map(|seed| (seed.to_string(), random_scenario(seed))).collect());
        }
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "toml") && name.contains(&options.only) {
            let text = std::fs::read_to_string(&path)?;
            let scenario = Scenario::parse(&text).map_err(|error| format!("{name}: {error}"))?;
            found.push((name, scenario));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Medians over the seeds, and the first run for its picture. Where the goals name runs without ECN the others have
/// it, with the feedback that can tell it.
fn judge(name: String, scenario: &Scenario, options: &Options) -> (Row, Option<Row>, Run) {
    let goals = &scenario.goals;
    let ecn = goals.utilisation_min_without_ecn.or(goals.queue_p95_ms_max_without_ecn).is_some();
    let medians = |ecn: bool| {
        let format = if ecn { FeedbackFormat::Rfc8888 } else { options.format };
        let one = |seed| run(scenario, Settings { seed, ecn, format }, options.controller);
        let first = one(1);
        let mut figures = vec![Figures::of(&first)];
        figures.extend((2..=options.seeds).map(|seed| Figures::of(&one(seed))));
        (Figures::medians(&figures).unwrap_or(figures[0]), first)
    };
    let (figures, first) = medians(ecn);
    let without_ecn = ecn.then(|| medians(false).0);
    let missed = goals.missed(&figures, without_ecn.as_ref());
    let row = Row { name, figures, missed: (*goals != Goals::default()).then_some(missed) };
    let without_ecn =
        without_ecn.map(|figures| Row { name: "  without ECN".to_owned(), figures, missed: None });
    (row, without_ecn, first)
}

/// The index: what each scenario came to, then the pictures.
fn page(rows: &[Row], pictures: &str) -> Result<String, std::fmt::Error> {
    let mut page = String::from(
        "<!doctype html><meta charset='utf-8'><title>arena</title><style>\
         body { font: 15px sans-serif; max-width: 960px; margin: 2em auto; color: #222 }\
         table { border-collapse: collapse } td, th { padding: 2px 10px; text-align: right }\
         td:first-child, td:last-child, th:first-child, th:last-child { text-align: left }\
         td:first-child { white-space: nowrap } tr:nth-child(even) { background: #f4f4f4 }\
         h2 { font-size: 18px; margin: 2em 0 0 } img { max-width: 100% }</style>\n<h1>Arena</h1>\n",
    );
    write!(page, "<p>{}</p>\n<table><tr><th>Scenario", table::summary(rows).replace('\n', "; "))?;
    writeln!(page, "<th>score<th>use %<th>p95 ms<th>drop %<th>missed")?;
    for row in rows {
        let (name, figures) = (&row.name, &row.figures);
        let (share, drops) = (figures.utilisation * 100.0, figures.drops * 100.0);
        write!(page, "<tr><td><a href='#{name}'>{name}</a><td>{:.3}<td>{share:.1}", figures.score())?;
        let missed: Vec<_> = row.missed.iter().flatten().map(|miss| miss.goal).collect();
        writeln!(page, "<td>{:.0}<td>{drops:.2}<td>{}", figures.queue_p95, missed.join(" "))?;
    }
    writeln!(page, "</table>\n{pictures}")?;
    Ok(page)
}
