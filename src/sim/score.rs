//! Figures of a run, their medians, the score and the goals.

use super::metrics;
use super::record::{FlowRecord, Run};
use super::scenario::Goals;

/// The figures of a run: over several flows means of shares, the worst of delays and times.
///
/// Times are in seconds and infinite where what is waited for never came; `None` where there was nothing to wait for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// [`metrics::utilisation`].
    pub utilisation: f64,
    /// Median wait at the bottleneck, in milliseconds.
    pub queue_p50: f64,
    /// Its 95th percentile.
    pub queue_p95: f64,
    /// Its maximum.
    pub queue_max: f64,
    /// [`metrics::drops`].
    pub drops: f64,
    /// [`metrics::ramp`].
    pub ramp: f64,
    /// [`metrics::resume`].
    pub resume: Option<f64>,
    /// [`metrics::react`].
    pub react: Option<f64>,
    /// [`metrics::drain`].
    pub drain: Option<f64>,
    /// [`metrics::recover`].
    pub recover: Option<f64>,
    /// [`metrics::over`].
    pub over: f64,
    /// [`metrics::filler`].
    pub filler: f64,
    /// [`metrics::frozen`].
    pub frozen: f64,
    /// [`metrics::switches`].
    pub switches: f64,
    /// [`metrics::jain`].
    pub jain: Option<f64>,
    /// [`metrics::rate`] of the slowest flow, in kbit/s.
    pub slowest: f64,
    /// [`metrics::tcp_rate`].
    pub tcp: Option<f64>,
}

impl Figures {
    /// Those of a run.
    pub fn of(run: &Run) -> Figures {
        let mean = |figure: fn(&FlowRecord) -> f64| {
            run.flows.iter().map(figure).fold(0.0, |sum, share| sum + share) / run.flows.len().max(1) as f64
        };
        let worst =
            |figure: fn(&FlowRecord) -> Option<f64>| run.flows.iter().filter_map(figure).reduce(f64::max);
        let waits: Vec<_> = run.flows.iter().map(metrics::waits).collect();
        let wait = |share| {
            let worst = waits.iter().map(|waits| metrics::quantile(waits, share)).max().unwrap_or_default();
            worst.as_secs_f64() * 1e3
        };
        Figures {
            utilisation: mean(metrics::utilisation),
            queue_p50: wait(0.5),
            queue_p95: wait(0.95),
            queue_max: wait(1.0),
            drops: mean(metrics::drops),
            ramp: run.flows.iter().map(metrics::ramp).fold(0.0, f64::max),
            resume: worst(metrics::resume),
            react: worst(metrics::react),
            drain: worst(metrics::drain),
            recover: worst(metrics::recover),
            over: mean(metrics::over),
            filler: mean(metrics::filler),
            frozen: mean(metrics::frozen),
            switches: run.flows.iter().map(metrics::switches).fold(0.0, f64::max),
            jain: metrics::jain(run),
            slowest: run.flows.iter().map(metrics::rate).reduce(f64::min).unwrap_or(0.0),
            tcp: metrics::tcp_rate(run),
        }
    }

    /// Each figure's median over runs of the same scenario; `None` without a run.
    pub fn medians(runs: &[Figures]) -> Option<Figures> {
        let of = |figure: fn(&Figures) -> f64| median(runs.iter().map(figure).collect());
        let some = |figure: fn(&Figures) -> Option<f64>| median(runs.iter().filter_map(figure).collect());
        Some(Figures {
            utilisation: of(|run| run.utilisation)?,
            queue_p50: of(|run| run.queue_p50)?,
            queue_p95: of(|run| run.queue_p95)?,
            queue_max: of(|run| run.queue_max)?,
            drops: of(|run| run.drops)?,
            ramp: of(|run| run.ramp)?,
            resume: some(|run| run.resume),
            react: some(|run| run.react),
            drain: some(|run| run.drain),
            recover: some(|run| run.recover),
            over: of(|run| run.over)?,
            filler: of(|run| run.filler)?,
            frozen: of(|run| run.frozen)?,
            switches: of(|run| run.switches)?,
            jain: some(|run| run.jain),
            slowest: of(|run| run.slowest)?,
            tcp: some(|run| run.tcp),
        })
    }

    /// Use / (1 + p95 / 100 ms) / (1 + 10 x drop).
    pub fn score(&self) -> f64 {
        self.utilisation / (1.0 + self.queue_p95 / 100.0) / (1.0 + 10.0 * self.drops)
    }
}

/// The geometric mean of scores; 0 of none.
pub fn overall(scores: &[f64]) -> f64 {
    let logs: f64 = scores.iter().map(|score| score.ln()).sum();
    if scores.is_empty() { 0.0 } else { (logs / scores.len() as f64).exp() }
}

/// The middle of an unordered list, or the mean of the two in the middle; `None` of an empty one.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(if lower == upper { upper } else { lower.midpoint(upper) })
}

/// A goal that was not reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Miss {
    /// The goal's name in the scenario file.
    pub goal: &'static str,
    /// What it asks for.
    pub limit: f64,
    /// What was measured; `None` if nothing was.
    pub value: Option<f64>,
}

impl Goals {
    /// The goals that `figures` miss, and those that a run without ECN misses. What was not measured is missed.
    pub fn missed(&self, figures: &Figures, without_ecn: Option<&Figures>) -> Vec<Miss> {
        let milli = |figures: &Figures| figures.queue_p95;
        let most = [
            ("queue_p95_ms_max", self.queue_p95_ms_max, Some(figures.queue_p95)),
            ("drop_max", self.drop_max, Some(figures.drops)),
            ("ramp_s_max", self.ramp_s_max, Some(figures.ramp)),
            ("resume_s_max", self.resume_s_max, figures.resume),
            ("react_s_max", self.react_s_max, figures.react),
            ("drain_s_max", self.drain_s_max, figures.drain),
            ("recover_s_max", self.recover_s_max, figures.recover),
            ("overestimate_max", self.overestimate_max, Some(figures.over)),
            ("filler_max", self.filler_max, Some(figures.filler)),
            ("frozen_max", self.frozen_max, Some(figures.frozen)),
            ("switches_per_min_max", self.switches_per_min_max, Some(figures.switches)),
            ("queue_p95_ms_max_without_ecn", self.queue_p95_ms_max_without_ecn, without_ecn.map(milli)),
        ];
        let use_without = without_ecn.map(|figures| figures.utilisation);
        let least = [
            ("utilisation_min", self.utilisation_min, Some(figures.utilisation)),
            ("jain_min", self.jain_min, figures.jain),
            ("each_flow_kbps_min", self.each_flow_kbps_min, Some(figures.slowest)),
            ("tcp_kbps_min", self.tcp_kbps_min, figures.tcp),
            ("utilisation_min_without_ecn", self.utilisation_min_without_ecn, use_without),
        ];
        let miss = |(goal, limit, value): (&'static str, Option<f64>, Option<f64>),
                    met: fn(f64, f64) -> bool| {
            let limit = limit?;
            (!value.is_some_and(|value| met(value, limit))).then_some(Miss { goal, limit, value })
        };
        let most = most.into_iter().filter_map(|goal| miss(goal, |value, limit| value <= limit));
        let least = least.into_iter().filter_map(|goal| miss(goal, |value, limit| value >= limit));
        most.chain(least).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures::of(&Run::default())
    }

    #[test]
    fn score_weighs_use_delay_and_drops() {
        let good = Figures { utilisation: 0.96, queue_p95: 322.0, drops: 0.008, ..figures() };
        assert!((good.score() - 0.96 / 4.22 / 1.08).abs() < 1e-12);
        assert!((overall(&[0.2, 0.8]) - 0.4).abs() < 1e-12);
        assert_eq!(overall(&[]), 0.0);
    }

    #[test]
    fn medians_are_figure_by_figure_and_know_never() {
        let run = |utilisation, ramp, react| Figures { utilisation, ramp, react, ..figures() };
        let never = f64::INFINITY;
        let runs = [run(0.9, 1.0, None), run(0.7, never, Some(2.0)), run(0.8, never, Some(4.0))];
        let medians = Figures::medians(&runs).expect("runs");
        assert_eq!((medians.utilisation, medians.ramp, medians.react), (0.8, never, Some(3.0)));
        assert_eq!(Figures::medians(&[]), None);
    }

    #[test]
    fn goals_bound_from_their_side_and_what_was_not_measured_is_missed() {
        let goals = Goals {
            utilisation_min: Some(0.9),
            queue_p95_ms_max: Some(60.0),
            jain_min: Some(0.9),
            utilisation_min_without_ecn: Some(0.8),
            ..Goals::default()
        };
        let met = Figures { utilisation: 0.9, queue_p95: 60.0, jain: Some(0.95), ..figures() };
        assert!(goals.missed(&met, Some(&met)).is_empty());
        let short = Figures { utilisation: 0.89, queue_p95: 61.0, jain: None, ..met };
        let missed: Vec<_> = goals.missed(&short, None).iter().map(|miss| (miss.goal, miss.value)).collect();
        let expected = [
            ("queue_p95_ms_max", Some(61.0)),
            ("utilisation_min", Some(0.89)),
            ("jain_min", None),
            ("utilisation_min_without_ecn", None),
        ];
        assert_eq!(missed, expected);
    }
}
