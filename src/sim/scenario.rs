//! Scenario files: a path, its media flows, their neighbours, and goals.

use std::time::Duration;

use serde::Deserialize;

use super::direction::Direction;
use super::reading;
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// One scenario, as its TOML file says it. Fields that are not known are refused.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A short name.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// When it ends.
    #[serde(rename = "duration_s", deserialize_with = "reading::moment")]
    pub end: Instant,
    /// From the senders to the receivers.
    pub forward: Direction,
    /// Back, for feedback and acknowledgements.
    pub reverse: Direction,
    /// Media, each by a controller of its own.
    #[serde(rename = "flow", default)]
    pub flows: Vec<FlowConfig>,
    /// TCP beside it.
    #[serde(rename = "tcp", default)]
    pub transfers: Vec<TransferConfig>,
    /// Traffic that does not yield.
    #[serde(rename = "cbr", default)]
    pub constants: Vec<ConstantConfig>,
    /// What a good sender reaches.
    #[serde(default)]
    pub goals: Goals,
}

/// A media flow. Rates are wire rates: with IP, UDP, RTP, extensions and SRTP.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// When it starts; at once unless it is said.
    #[serde(rename = "start_s", default, deserialize_with = "reading::moment")]
    pub start: Instant,
    /// Sent over the reverse direction, with feedback over the forward one.
    #[serde(default)]
    pub backward: bool,
    /// In place of both directions' delays.
    #[serde(rename = "delay_ms", default, deserialize_with = "reading::some_millis")]
    pub delay: Option<Duration>,
    /// Where its estimate starts; 300 kbit/s unless it is said.
    #[serde(rename = "initial_kbps", default = "initial", deserialize_with = "reading::kbps")]
    pub initial: Bitrate,
    /// Sound, which never pauses; none unless it is said.
    #[serde(rename = "audio_kbps", default, deserialize_with = "reading::kbps")]
    pub audio: Bitrate,
    /// From, to: sound alone.
    #[serde(default, deserialize_with = "reading::spans")]
    pub pauses: Vec<(Instant, Instant)>,
    /// Between its receiver's feedback; 50 ms unless it is said.
    #[serde(rename = "feedback_ms", default = "feedback", deserialize_with = "reading::millis")]
    pub feedback: Duration,
    /// By how much its receiver's clock is ahead of the sender's at the start of the run.
    #[serde(rename = "clock_ahead_ms", default, deserialize_with = "reading::millis")]
    pub clock_ahead: Duration,
    /// By how many millionths its receiver's clock is fast, or slow where negative.
    #[serde(rename = "clock_drift_ppm", default, deserialize_with = "reading::drift")]
    pub clock_drift: f64,
    /// Where its picture comes from.
    pub source: SourceConfig,
}

fn feedback() -> Duration {
    Duration::from_millis(50)
}

fn initial() -> Bitrate {
    Bitrate::from_kbps(300)
}

/// Where a flow's picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SourceConfig {
    /// An encoder that follows the estimate.
    Encoder {
        /// It sends no less.
        #[serde(rename = "min_kbps", deserialize_with = "reading::kbps")]
        min: Bitrate,
        /// It sends no more.
        #[serde(rename = "max_kbps", deserialize_with = "reading::kbps")]
        max: Bitrate,
    },
    /// Simulcast of which one layer is forwarded.
    Ladder {
        /// Each layer's rate, ascending.
        #[serde(rename = "layers_kbps", deserialize_with = "reading::list_of_kbps")]
        layers: Vec<Bitrate>,
    },
}

/// TCP with CUBIC: endless, or in transfers with pauses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferConfig {
    /// How many of them.
    #[serde(default = "one")]
    pub count: usize,
    /// Over the reverse direction, with acknowledgements over the forward one.
    #[serde(default)]
    pub backward: bool,
    /// When they start.
    #[serde(rename = "start_s", default, deserialize_with = "reading::moment")]
    pub start: Instant,
    /// When they stop; at the end unless it is said.
    #[serde(rename = "stop_s", default, deserialize_with = "reading::some_moment")]
    pub stop: Option<Instant>,
    /// Least and greatest size of a transfer in bytes, drawn evenly; endless unless it is said.
    #[serde(rename = "size_kb", default, deserialize_with = "reading::some_kilobytes")]
    pub size: Option<(u64, u64)>,
    /// The mean of the exponential pauses before each transfer.
    #[serde(rename = "pause_s", default, deserialize_with = "reading::some_seconds")]
    pub pause: Option<Duration>,
}

fn one() -> usize {
    1
}

/// A constant rate in packets of 1,200 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstantConfig {
    /// Over the reverse direction.
    #[serde(default)]
    pub backward: bool,
    /// When it starts.
    #[serde(rename = "start_s", default, deserialize_with = "reading::moment")]
    pub start: Instant,
    /// When it stops; at the end unless it is said.
    #[serde(rename = "stop_s", default, deserialize_with = "reading::some_moment")]
    pub stop: Option<Instant>,
    /// The rate.
    #[serde(rename = "kbps", deserialize_with = "reading::kbps")]
    pub rate: Bitrate,
}

/// What a good sender reaches; see [`Goals::missed`] for what is compared with what.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // Each is a figure's name with its unit and direction.
pub struct Goals {
    pub utilisation_min: Option<f64>,
    pub queue_p95_ms_max: Option<f64>,
    pub drop_max: Option<f64>,
    pub ramp_s_max: Option<f64>,
    pub resume_s_max: Option<f64>,
    pub react_s_max: Option<f64>,
    pub drain_s_max: Option<f64>,
    pub recover_s_max: Option<f64>,
    pub overestimate_max: Option<f64>,
    pub filler_max: Option<f64>,
    pub frozen_max: Option<f64>,
    pub switches_per_min_max: Option<f64>,
    pub jain_min: Option<f64>,
    pub each_flow_kbps_min: Option<f64>,
    pub tcp_kbps_min: Option<f64>,
    pub utilisation_min_without_ecn: Option<f64>,
    pub queue_p95_ms_max_without_ecn: Option<f64>,
}

/// Why a scenario was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScenarioError(String);

impl Scenario {
    /// Reads a scenario file.
    ///
    /// # Errors
    ///
    /// What is not TOML, fields that are missing, unknown or out of range, and what cannot be simulated.
    pub fn parse(toml: &str) -> Result<Scenario, ScenarioError> {
        let scenario: Scenario = toml::from_str(toml).map_err(|error| ScenarioError(error.to_string()))?;
        scenario.fault().map_or(Ok(scenario), |fault| Err(ScenarioError(fault.to_owned())))
    }

    /// The direction that carries a flow's media.
    pub fn direction(&self, backward: bool) -> &Direction {
        if backward { &self.reverse } else { &self.forward }
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        let directions = [&self.forward, &self.reverse];
        let fault = directions.into_iter().find_map(Direction::fault);
        fault
            .or_else(|| self.flows.iter().find_map(FlowConfig::fault))
            .or_else(|| self.transfers.iter().find_map(TransferConfig::fault))
    }
}

impl FlowConfig {
    /// What it sends when nothing limits it.
    pub fn demand(&self) -> Bitrate {
        let picture = match &self.source {
            SourceConfig::Encoder { max, .. } => *max,
            SourceConfig::Ladder { layers } => layers.last().copied().unwrap_or_default(),
        };
        Bitrate::from_bps(self.audio.as_bps() + picture.as_bps())
    }

    /// The most it can deliver within a share.
    pub fn possible(&self, share: Bitrate) -> Bitrate {
        match &self.source {
            SourceConfig::Encoder { .. } => share.min(self.demand()),
            SourceConfig::Ladder { layers } => {
                let fits = |layer: &&Bitrate| self.audio.as_bps() + layer.as_bps() <= share.as_bps();
                let layer = layers.iter().rev().find(fits).copied().unwrap_or_default();
                share.min(Bitrate::from_bps(self.audio.as_bps() + layer.as_bps()))
            }
        }
    }

    /// Whether it sends sound alone.
    pub fn is_paused(&self, at: Instant) -> bool {
        self.pauses.iter().any(|&(from, to)| from <= at && at < to)
    }

    fn fault(&self) -> Option<&'static str> {
        let ordered = self.pauses.iter().all(|pause| pause.0 < pause.1)
            && self.pauses.windows(2).all(|pair| pair[0].1 < pair[1].0);
        if !ordered {
            return Some("pauses begin before they end, and one after the other");
        }
        match &self.source {
            _ if self.feedback.is_zero() => Some("feedback_ms is above zero"),
            SourceConfig::Encoder { min, max } if min > max => Some("min_kbps is above max_kbps"),
            SourceConfig::Ladder { layers } if layers.is_empty() => Some("a ladder has layers"),
            SourceConfig::Ladder { layers } if !layers.is_sorted() => Some("layers_kbps ascends"),
            _ => None,
        }
    }
}

impl TransferConfig {
    fn fault(&self) -> Option<&'static str> {
        match (self.size, self.pause) {
            (Some((low, high)), _) if low == 0 || low > high => Some("size_kb is from, to, above zero"),
            (None, Some(_)) => Some("pause_s without size_kb"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "name = 'a'\nabout = 'b'\nduration_s = 10\n[forward]\n[reverse]\n";

    /// The kept scenarios of a folder with their file names.
    fn kept(folder: &str) -> Vec<(String, String)> {
        let folder = format!("{}/tests/data/bwe{folder}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(folder).expect("the folder of scenarios");
        let files = entries.map(|entry| entry.expect("an entry").path());
        files
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .map(|path| (path.display().to_string(), std::fs::read_to_string(path).expect("text")))
            .collect()
    }

    #[test]
    fn every_kept_scenario_is_read() {
        let (kept, wild) = (kept(""), kept("/wild"));
        assert_eq!((kept.len(), wild.len()), (17, 25));
        for (file, text) in kept.iter().chain(&wild) {
            let scenario = Scenario::parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(!scenario.flows.is_empty() && !scenario.about.is_empty(), "{file}");
        }
        assert!(kept.iter().all(|(_, text)| text.contains("[goals]")));
    }

    #[test]
    fn fields_have_their_units() {
        let text = format!(
            "{LEAST}[[flow]]\nstart_s = 1.5\ndelay_ms = 10\naudio_kbps = 24.0\npauses = [[2, 3]]\n\
             source = {{ kind = 'ladder', layers_kbps = [150.0, 500] }}\n\
             [[tcp]]\nsize_kb = [100, 1000]\npause_s = 10\n[[cbr]]\nkbps = 2500\nstop_s = 4"
        );
        let scenario = Scenario::parse(&text).expect("a scenario");
        let flow = &scenario.flows[0];
        assert_eq!((flow.start, flow.delay), (Instant::from_millis(1_500), Some(Duration::from_millis(10))));
        assert_eq!((flow.initial, flow.demand()), (Bitrate::from_kbps(300), Bitrate::from_kbps(524)));
        assert!(flow.is_paused(Instant::from_millis(2_000)) && !flow.is_paused(Instant::from_millis(3_000)));
        assert_eq!(scenario.transfers[0].size, Some((100_000, 1_000_000)));
        assert_eq!(scenario.constants[0].stop, Some(Instant::from_millis(4_000)));
        let feedback = Duration::from_millis(50);
        assert_eq!((flow.feedback, flow.clock_ahead, flow.clock_drift), (feedback, Duration::ZERO, 0.0));
    }

    #[test]
    fn the_highest_layer_that_fits_is_what_is_possible() {
        let layers = [150, 500, 1_500].map(Bitrate::from_kbps).to_vec();
        let source = SourceConfig::Ladder { layers };
        let toml = format!("{LEAST}[[flow]]\nsource = {{ kind = 'encoder', min_kbps = 1, max_kbps = 2 }}");
        let mut flow = Scenario::parse(&toml).expect("a scenario").flows.remove(0);
        (flow.audio, flow.source) = (Bitrate::from_kbps(40), source);
        let possible = |kbps| flow.possible(Bitrate::from_kbps(kbps)).as_bps() / 1_000;
        assert_eq!(
            (possible(5_000), possible(1_539), possible(190), possible(189), possible(30)),
            (1_540, 540, 190, 40, 30)
        );
    }

    #[test]
    fn what_is_unknown_or_cannot_be_is_refused() {
        let flow = |rest: &str| format!("{LEAST}[[flow]]\n{rest}");
        let encoder = "source = { kind = 'encoder', min_kbps = 1, max_kbps = 2 }";
        assert!(Scenario::parse(&flow(encoder)).is_ok());
        for wrong in [
            LEAST.replace("[forward]", "[forward]\ncolour = 1"),
            LEAST.replace("[forward]", "[forward]\nloss = 1.5"),
            LEAST.replace("[forward]", "[forward]\naqm = 'red'"),
            LEAST.replace("[forward]", "[forward]\ncapacity = [[1.0, 5.0]]"),
            LEAST.replace("[forward]", "[forward]\ngaps = { every_ms = [20, 30], lasts_ms = [1, 2] }"),
            LEAST.replace("[forward]", "[forward]\ndelay_steps_ms = [[2, 10], [1, 20]]"),
            LEAST.replace("duration_s = 10", "duration_s = -1"),
            format!("{LEAST}[goals]\nspeed = 1"),
            format!("{LEAST}[[tcp]]\npause_s = 1"),
            format!("{LEAST}[[tcp]]\nsize_kb = [2, 1]"),
            format!("{LEAST}[[cbr]]\nstart_s = 1"),
            flow("source = { kind = 'encoder', min_kbps = 3, max_kbps = 2 }"),
            flow("source = { kind = 'encoder', min_kbps = 1, max_kbps = 2, colour = 3 }"),
            flow("source = { kind = 'ladder', layers_kbps = [] }"),
            flow("source = { kind = 'ladder', layers_kbps = [2, 1] }"),
            flow(&format!("{encoder}\npauses = [[3, 2]]")),
            flow(&format!("{encoder}\nfeedback_ms = 0")),
            flow(&format!("{encoder}\nclock_drift_ppm = nan")),
            flow(&format!("{encoder}\npauses = [[0, 2], [1, 3]]")),
        ] {
            assert!(Scenario::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
