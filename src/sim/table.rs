//! The table in which scenarios and their figures are shown.

use super::score::{Figures, Miss, median, overall};

/// What one scenario came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Medians over the runs.
    pub figures: Figures,
    /// The goals that were missed; `None` if it has none.
    pub missed: Option<Vec<Miss>>,
}

/// The table's head, in Markdown.
pub const HEADER: &str = "\
| Scenario                       | use % | p50 | p95 | max ms | drop % | ramp | resume | react | drain | recover s | over % | filler % | frozen % | sw/min | Jain | kbit/s | TCP | score | missed |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// A row as a line of it.
pub fn line(row: &Row) -> String {
    let f = &row.figures;
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let cells = [
        format!("{:<30}", row.name),
        format!("{:>5}", percent(f.utilisation)),
        format!("{:>3.0}", f.queue_p50),
        format!("{:>3.0}", f.queue_p95),
        format!("{:>6.0}", f.queue_max),
        format!("{:>6.2}", f.drops * 100.0),
        format!("{:>4}", seconds(Some(f.ramp))),
        format!("{:>6}", seconds(f.resume)),
        format!("{:>5}", seconds(f.react)),
        format!("{:>5}", seconds(f.drain)),
        format!("{:>9}", seconds(f.recover)),
        format!("{:>6}", percent(f.over)),
        format!("{:>8}", percent(f.filler)),
        format!("{:>8}", percent(f.frozen)),
        format!("{:>6.1}", f.switches),
        f.jain.map_or("   -".to_owned(), |jain| format!("{jain:.2}")),
        format!("{:>6.0}", f.slowest),
        f.tcp.map_or("  -".to_owned(), |tcp| format!("{tcp:>3.0}")),
        format!("{:.3}", f.score()),
        row.missed.iter().flatten().map(|miss| miss.goal).collect::<Vec<_>>().join(" "),
    ];
    format!("| {} |", cells.join(" | "))
}

/// What all rows come to, in a line or two.
pub fn summary(rows: &[Row]) -> String {
    let count = rows.len().max(1) as f64;
    let mean = |figure: fn(&Figures) -> f64| rows.iter().map(|row| figure(&row.figures)).sum::<f64>() / count;
    let scores: Vec<f64> = rows.iter().map(|row| row.figures.score()).collect();
    let p95 = median(rows.iter().map(|row| row.figures.queue_p95).collect()).unwrap_or_default();
    let mut text = format!(
        "score {:.3}, mean use {:.1} %, median p95 {p95:.0} ms, drops {:.2} %",
        overall(&scores),
        mean(|figures| figures.utilisation) * 100.0,
        mean(|figures| figures.drops) * 100.0,
    );
    let judged = rows.iter().filter_map(|row| row.missed.as_ref());
    let (met, all) =
        judged.fold((0, 0), |(met, all), missed| (met + usize::from(missed.is_empty()), all + 1));
    if all > 0 {
        text.push_str(&format!("\nall goals met in {met} of {all}"));
    }
    text
}

fn seconds(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(never) if never.is_infinite() => "never".to_owned(),
        Some(seconds) => format!("{seconds:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Goals, Run};

    fn row(utilisation: f64, goals: Option<Goals>) -> Row {
        let figures =
            Figures { utilisation, queue_p95: 100.0, ramp: f64::INFINITY, ..Figures::of(&Run::default()) };
        Row { name: "a".to_owned(), figures, missed: goals.map(|goals| goals.missed(&figures, None)) }
    }

    #[test]
    fn a_line_has_a_cell_for_each_column() {
        let goals = Goals { utilisation_min: Some(0.9), ramp_s_max: Some(2.0), ..Goals::default() };
        let line = line(&row(0.8, Some(goals)));
        let columns = |line: &str| line.matches('|').count();
        assert!(HEADER.lines().all(|header| columns(header) == columns(&line)), "{line}");
        assert!(line.contains("|  80.0 |") && line.contains("| never |"), "{line}");
        assert!(line.ends_with("| 0.400 | ramp_s_max utilisation_min |"), "{line}");
    }

    #[test]
    fn the_summary_counts_goals_where_there_are_some() {
        let goals = Goals { utilisation_min: Some(0.5), ..Goals::default() };
        let rows = [row(0.8, Some(goals.clone())), row(0.2, Some(goals)), row(0.8, None)];
        let text = "score 0.252, mean use 60.0 %, median p95 100 ms, drops 0.00 %\nall goals met in 1 of 2";
        assert_eq!(summary(&rows), text);
        assert!(!summary(&rows[2..]).contains("goals"));
    }
}
