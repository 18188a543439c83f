//! The estimator on the paths of `tests/data/bwe`, with fixed seeds: the goals of each file, and what is missed by
//! how much. `cargo run --release --features sim --example arena` prints the table.
#![cfg(feature = "sim")]

#[path = "support/controlled.rs"]
mod controlled;

use std::path::Path;

use controlled::Controlled;
use estafette::sim::{FeedbackFormat, Figures, Scenario, Settings, median, overall, run};

/// Goals that are not reached: the file, the goal, and how far it may be from it. Nothing that was tried reaches them:
/// what is frozen beside TCP and under random loss are frames whose repair was lost in its turn.
const MISSED: &[(&str, &str, f64)] = &[
    ("06-long-tcp", "frozen_max", 0.25),
    ("07-short-tcp", "frozen_max", 0.62),
    ("09-simulcast-steps", "switches_per_min_max", 5.5),
    ("13-light-random-loss", "frozen_max", 0.075),
];

/// What each of the other paths has to reach: some six sevenths of what it does.
const WILD: &[(&str, f64)] = &[
    ("01-radio-walk", 0.46),
    ("02-radio-fades", 0.13),
    ("03-radio-slow", 0.33),
    ("04-wifi-gaps", 0.71),
    ("05-wifi-busy", 0.58),
    ("06-wifi-long-gaps", 0.47),
    ("07-policer-small", 0.68),
    ("08-policer-large", 0.51),
    ("09-shallow", 0.63),
    ("10-bufferbloat", 0.64),
    ("11-bufferbloat-tcp", 0.02),
    ("12-codel", 0.66),
    ("13-codel-tcp", 0.70),
    ("14-burst-loss", 0.54),
    ("15-reordering", 0.64),
    ("16-clock-drift", 0.66),
    ("17-route-changes", 0.54),
    ("18-feedback-lost", 0.53),
    ("19-feedback-slow", 0.66),
    ("20-upload-beside", 0.84),
    ("21-cross-on-off", 0.54),
    ("22-low-rate", 0.55),
    ("23-high-rate", 0.77),
    ("24-long-way", 0.45),
    ("25-train", 0.15),
];

/// Figures are medians over so many runs.
const SEEDS: u64 = 5;

fn scenarios(folder: &str) -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("readable");
            (name, Scenario::parse(&text).expect("a scenario"))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn figures(scenario: &Scenario, ecn: bool, format: FeedbackFormat) -> Figures {
    let one = |seed| {
        let settings = Settings { seed, ecn, format };
        Figures::of(&run(scenario, settings, |flow| Box::new(Controlled::new(flow))))
    };
    let runs: Vec<_> = (1..=SEEDS).map(one).collect();
    Figures::medians(&runs).expect("runs")
}

/// The figures of all files, and the goals that are missed but not in [`MISSED`], or by more than is said there.
fn judged(format: FeedbackFormat) -> (Vec<Figures>, Vec<String>) {
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for (name, scenario) in scenarios("tests/data/bwe") {
        let goals = &scenario.goals;
        let ecn = goals.utilisation_min_without_ecn.is_some();
        let with = figures(&scenario, ecn, if ecn { FeedbackFormat::Rfc8888 } else { format });
        let without = ecn.then(|| figures(&scenario, false, format));
        for miss in goals.missed(&with, without.as_ref()) {
            let known = MISSED.iter().find(|(file, goal, _)| *file == name && *goal == miss.goal);
            let value = miss.value.unwrap_or(f64::INFINITY);
            if known.is_none_or(|(_, _, worst)| value > *worst) {
                wrong.push(format!("{name}: {} {value} of {}", miss.goal, miss.limit));
            }
        }
        all.push(with);
    }
    (all, wrong)
}

fn score(figures: &[Figures]) -> f64 {
    overall(&figures.iter().map(Figures::score).collect::<Vec<_>>())
}

#[test]
fn the_goals_of_all_files_are_met_but_for_those_that_are_named() {
    let (figures, wrong) = judged(FeedbackFormat::TransportWide);
    let mean = |figure: fn(&Figures) -> f64| figures.iter().map(figure).sum::<f64>() / figures.len() as f64;
    let p95 = median(figures.iter().map(|figures| figures.queue_p95).collect()).expect("files");
    let (score, used, dropped) =
        (score(&figures), mean(|figures| figures.utilisation), mean(|figures| figures.drops));
    println!("score {score:.3}, use {used:.3}, p95 {p95:.0} ms, drops {dropped:.4}");
    assert_eq!(figures.len(), 17);
    assert!(score > 0.62 && used > 0.915 && p95 < 30.0 && dropped < 0.005);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rfc_8888_serves_as_well() {
    let (figures, wrong) = judged(FeedbackFormat::Rfc8888);
    println!("score {:.3}", score(&figures));
    // Within 3 % of what transport-wide feedback reaches.
    let (other, _) = judged(FeedbackFormat::TransportWide);
    assert!(score(&figures) > 0.97 * score(&other), "{} and {}", score(&figures), score(&other));
    assert!(wrong.len() <= 2, "{wrong:#?}");
}

#[test]
fn other_kinds_of_path_are_no_trap() {
    let mut scores = Vec::new();
    for (name, scenario) in scenarios("tests/data/bwe/wild") {
        let figures = figures(&scenario, false, FeedbackFormat::TransportWide);
        let known = WILD.iter().find(|(file, _)| *file == name);
        let (_, least) = known.unwrap_or_else(|| panic!("{name} has no floor"));
        println!("(\"{name}\", {:.2}),", figures.score());
        assert!(figures.score() >= *least, "{name}: {} of {least}", figures.score());
        scores.push(figures.score());
    }
    assert!(scores.is_empty() || overall(&scores) > 0.5, "{}", overall(&scores));
}
