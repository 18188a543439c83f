//! One decision a line (<https://jsonlines.org>).

use super::{Choice, Decision, KeyFrameReason};
use crate::base::time::Duration;
use crate::base::units::Bitrate;
use crate::conference::sharing::Class;
use crate::congestion::bwe::{Basis, Cause, Mode};
use crate::forwarding::ladder::Rung;
use std::fmt::{Display, Formatter, Result};

/// A decision as an object of JSON, on one line without its end.
///
/// Each has `at` (microseconds since the clock's origin), `participant` and `choice`, and by that `estimate`, `probe`,
/// `probed`, `granted`, `sent` or `key_frame` the fields of the [`Choice`] under their names: rates in bits in a second,
/// times in milliseconds (`…_ms`), ids as text. A layer is text too, `encoding.spatial.temporal`, with `…_height`,
/// `…_fps` and `…_rate` as far as they are known. What is not there is `null`. Fields may be added, none is renamed.
#[derive(Debug, Clone, Copy)]
pub struct Json<'d>(&'d Decision);

impl Decision {
    /// Displays it as an object of JSON, without a line's end.
    pub fn json(&self) -> Json<'_> {
        Json(self)
    }
}

impl Display for Json<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Decision { at, participant, choice } = self.0;
        let mut object = Object { f, result: Ok(()), empty: true };
        object.value("at", at.as_micros()).text("participant", participant).text("choice", name_of(choice));
        object.choice(choice);
        object.end()
    }
}

/// An object as it is written.
struct Object<'f, 'o> {
    f: &'f mut Formatter<'o>,
    result: Result,
    empty: bool,
}

impl Object<'_, '_> {
    fn choice(&mut self, choice: &Choice) {
        match choice {
            Choice::Estimate { basis, reserve, video } => {
                self.estimate(basis).rate("reserve", *reserve).rate("video", *video)
            }
            Choice::Probe(probe) => self
                .rate("rate", probe.rate)
                .rate("target", probe.target)
                .rate("next", probe.demand.next)
                .rate("most", probe.demand.most),
            Choice::Probed(proof) => self
                .rate("rate", proof.rate)
                .value("packets", proof.packets)
                .value("arrived", proof.arrived)
                .rate("delivered", proof.delivered)
                .millis("queue_ms", Some(proof.queue))
                .rate("before", proof.before)
                .rate("target", proof.target),
            Choice::Granted { source, class, before, after, reason, basis } => {
                self.text("source", source)
                    .name("class", class.map(name_of_class))
                    .layer("before", *before)
                    .layer("after", *after)
                    .text("reason", reason.name());
                if let Some(basis) = basis {
                    self.rate("budget", basis.budget)
                        .rate("reserve", basis.reserve)
                        .rate("video", basis.video)
                        .rate("rate", basis.rate)
                        .rate("missing", basis.missing);
                }
                self
            }
            Choice::Sent { source, layer, reason } => {
                self.text("source", source).layer("layer", *layer).text("reason", reason.name())
            }
            Choice::KeyFrame { source, encoding, reason, since } => self
                .text("source", source)
                .value("encoding", encoding)
                .text("reason", name_of_need(*reason))
                .millis("since_ms", *since),
        };
    }

    /// One line for each field of the basis.
    fn estimate(&mut self, basis: &Basis) -> &mut Self {
        self.rate("target", basis.target)
            .text("cause", name_of_cause(basis.cause))
            .text("mode", name_of_mode(basis.mode))
            .rate("delivered", basis.delivered)
            .millis("queue_ms", Some(basis.queue))
            .millis("threshold_ms", Some(basis.threshold))
            .millis("jitter_ms", Some(basis.jitter))
            .share("loss", Some(basis.loss))
            .share("floor", Some(basis.floor))
            .rate("capacity", basis.capacity)
            .rate("ceiling", basis.ceiling)
            .rate("probed_rate", basis.probed.map(|probed| probed.rate))
            .share("probed_slope", basis.probed.map(|probed| probed.slope))
            .share("probed_loss", basis.probed.map(|probed| probed.loss))
    }

    fn value(&mut self, name: impl Display, value: impl Display) -> &mut Self {
        let before = if std::mem::take(&mut self.empty) { '{' } else { ',' };
        self.result = self.result.and_then(|()| write!(self.f, "{before}\"{name}\":{value}"));
        self
    }

    /// Text in which nothing has to be escaped: ids and names of ours.
    fn text(&mut self, name: &str, text: impl Display) -> &mut Self {
        self.value(name, format_args!("\"{text}\""))
    }

    fn name(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(name, text),
            None => self.value(name, "null"),
        }
    }

    fn rate(&mut self, name: &str, rate: impl Into<Option<Bitrate>>) -> &mut Self {
        match rate.into() {
            Some(rate) => self.value(name, rate.as_bps()),
            None => self.value(name, "null"),
        }
    }

    fn millis(&mut self, name: &str, time: Option<Duration>) -> &mut Self {
        match time {
            Some(time) => self.value(name, format_args!("{:.1}", time.as_secs_f64() * 1e3)),
            None => self.value(name, "null"),
        }
    }

    fn share(&mut self, name: &str, share: Option<f32>) -> &mut Self {
        match share.filter(|share| share.is_finite()) {
            Some(share) => self.value(name, format_args!("{share:.4}")),
            None => self.value(name, "null"),
        }
    }

    fn layer(&mut self, name: &str, rung: Option<Rung>) -> &mut Self {
        let Some(Rung { layer, bitrate, frame_rate, resolution }) = rung else {
            return self.value(name, "null");
        };
        self.text(name, format_args!("{}.{}.{}", layer.encoding, layer.spatial, layer.temporal));
        if let Some(size) = resolution {
            self.value(format_args!("{name}_height"), size.height);
        }
        // What was not measured so far is not known.
        if frame_rate > 0 {
            self.value(format_args!("{name}_fps"), frame_rate);
        }
        if bitrate > Bitrate::ZERO {
            self.value(format_args!("{name}_rate"), bitrate.as_bps());
        }
        self
    }

    fn end(&mut self) -> Result {
        self.result.and_then(|()| self.f.write_str("}"))
    }
}

fn name_of(choice: &Choice) -> &'static str {
    match choice {
        Choice::Estimate { .. } => "estimate",
        Choice::Probe(_) => "probe",
        Choice::Probed(_) => "probed",
        Choice::Granted { .. } => "granted",
        Choice::Sent { .. } => "sent",
        Choice::KeyFrame { .. } => "key_frame",
    }
}

fn name_of_cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Start => "start",
        Cause::Probe => "probe",
        Cause::Rise => "rise",
        Cause::Delay => "delay",
        Cause::Loss => "loss",
        Cause::Marks => "marks",
        Cause::Silence => "silence",
        Cause::Receiver => "receiver",
        Cause::Contest => "contest",
        Cause::Route => "route",
        Cause::Ceiling => "ceiling",
    }
}

fn name_of_mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Rise => "rise",
        Mode::Drain => "drain",
        Mode::Trial => "trial",
        Mode::Contest => "contest",
        Mode::Check => "check",
    }
}

fn name_of_class(class: Class) -> &'static str {
    match class {
        Class::Speaker => "speaker",
        Class::Screen => "screen",
        Class::Pinned => "pinned",
        Class::Other => "other",
    }
}

fn name_of_need(reason: KeyFrameReason) -> &'static str {
    match reason {
        KeyFrameReason::Switch => "switch",
        KeyFrameReason::Asked => "asked",
        KeyFrameReason::Broken => "broken",
        KeyFrameReason::QueueFull => "queue_full",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Probe, Proof};
    use super::*;
    use crate::base::slots::Key;
    use crate::base::time::Instant;
    use crate::conference::ids::{ParticipantId, SourceId};
    use crate::congestion::allocation::{self, Reason};
    use crate::congestion::bwe::{Demand, Probed};
    use crate::forwarding::layers::Layer;
    use crate::wire::payload::Resolution;
    use serde_json::{Value, json};

    fn parsed(choice: Choice) -> Value {
        let participant = ParticipantId::from_parts(3, 1);
        let line = Decision { at: Instant::from_micros(12_400_000), participant, choice }.json().to_string();
        assert!(!line.contains('\n'));
        let mut value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let object = value.as_object_mut().expect("an object");
        assert_eq!(
            (object.remove("at"), object.remove("participant")),
            (Some(json!(12_400_000)), Some(json!("3.1")))
        );
        value
    }

    fn source() -> SourceId {
        SourceId::from_parts(7, 2)
    }

    fn rung(encoding: u8, height: u16) -> Rung {
        let resolution = Some(Resolution { width: height / 9 * 16, height });
        let layer = Layer { encoding, spatial: 0, temporal: 1 };
        Rung { layer, bitrate: Bitrate::from_kbps(600), frame_rate: 30, resolution }
    }

    fn basis(cause: Cause) -> Basis {
        let probed = Probed { rate: Bitrate::from_kbps(1_500), slope: 0.75, loss: 0.0 };
        Basis {
            target: Bitrate::from_kbps(780),
            cause,
            mode: Mode::Drain,
            delivered: Bitrate::from_kbps(800),
            queue: Duration::from_micros(48_250),
            threshold: Duration::from_millis(12),
            jitter: Duration::from_micros(2_500),
            loss: 0.0125,
            floor: 0.01,
            capacity: Some(Bitrate::from_kbps(810)),
            ceiling: None,
            probed: Some(probed),
        }
    }

    fn estimate(basis: Basis) -> Value {
        parsed(Choice::Estimate { basis, reserve: Bitrate::from_kbps(60), video: Bitrate::from_kbps(420) })
    }

    #[test]
    fn an_estimate_has_what_it_stands_on() {
        let expected = json!({
            "choice": "estimate", "target": 780_000, "cause": "delay", "mode": "drain", "delivered": 800_000,
            "queue_ms": 48.2, "threshold_ms": 12.0, "jitter_ms": 2.5, "loss": 0.0125, "floor": 0.01,
            "capacity": 810_000, "ceiling": null, "probed_rate": 1_500_000, "probed_slope": 0.75,
            "probed_loss": 0.0, "reserve": 60_000, "video": 420_000,
        });
        assert_eq!(estimate(basis(Cause::Delay)), expected);
    }

    #[test]
    fn what_is_no_number_is_null() {
        assert_eq!(estimate(Basis { loss: f32::NAN, ..basis(Cause::Loss) })["loss"], Value::Null);
    }

    #[test]
    fn a_probe_and_what_it_showed() {
        let [rate, target] = [2_400, 780].map(Bitrate::from_kbps);
        let demand = Demand { next: Bitrate::from_kbps(1_500), most: Bitrate::from_kbps(4_000) };
        let began = parsed(Choice::Probe(Probe { rate, target, demand }));
        let expected = json!({
            "choice": "probe", "rate": 2_400_000, "target": 780_000, "next": 1_500_000, "most": 4_000_000,
        });
        assert_eq!(began, expected);
        let (delivered, queue) = (Bitrate::from_kbps(2_000), Duration::from_micros(7_900));
        let proof =
            Proof { rate, packets: 12, arrived: 11, delivered, queue, before: target, target: delivered };
        let expected = json!({
            "choice": "probed", "rate": 2_400_000, "packets": 12, "arrived": 11, "delivered": 2_000_000,
            "queue_ms": 7.9, "before": 780_000, "target": 2_000_000,
        });
        assert_eq!(parsed(Choice::Probed(proof)), expected);
    }

    #[test]
    fn a_grant_has_both_layers_and_the_budget() {
        let [budget, reserve, video, rate, missing] = [780, 60, 420, 140, 1_240].map(Bitrate::from_kbps);
        let basis = Some(allocation::Basis { budget, reserve, video, rate, missing });
        let (before, after) = (Some(rung(2, 720)), Some(rung(0, 180)));
        let class = Some(Class::Speaker);
        let choice =
            Choice::Granted { source: source(), class, before, after, reason: Reason::Budget, basis };
        let expected = json!({
            "choice": "granted", "source": "7.2", "class": "speaker", "before": "2.0.1", "before_height": 720,
            "before_fps": 30, "before_rate": 600_000, "after": "0.0.1", "after_height": 180, "after_fps": 30,
            "after_rate": 600_000, "reason": "budget", "budget": 780_000, "reserve": 60_000, "video": 420_000,
            "rate": 140_000, "missing": 1_240_000,
        });
        assert_eq!(parsed(choice), expected);
    }

    #[test]
    fn a_pause_has_no_layer_and_what_is_not_known_is_left_out() {
        let (before, reason) = (
            Some(Rung { bitrate: Bitrate::ZERO, frame_rate: 0, resolution: None, ..rung(1, 9) }),
            Reason::Wish,
        );
        let choice =
            Choice::Granted { source: source(), class: None, before, after: None, reason, basis: None };
        let expected = json!({
            "choice": "granted", "source": "7.2", "class": null, "before": "1.0.1", "after": null, "reason": "wish",
        });
        assert_eq!(parsed(choice), expected);
        let choice = Choice::Sent { source: source(), layer: None, reason: Reason::Threshold };
        let expected = json!({ "choice": "sent", "source": "7.2", "layer": null, "reason": "threshold" });
        assert_eq!(parsed(choice), expected);
    }

    #[test]
    fn a_key_frame_has_its_reason() {
        let wanted =
            |reason, since| parsed(Choice::KeyFrame { source: source(), encoding: 2, reason, since });
        let expected = json!({ "choice": "key_frame", "source": "7.2", "encoding": 2, "reason": "switch", "since_ms": null });
        assert_eq!(wanted(KeyFrameReason::Switch, None), expected);
        let since = Some(Duration::from_millis(1_250));
        assert_eq!(wanted(KeyFrameReason::QueueFull, since)["since_ms"], 1_250.0);
    }

    #[test]
    fn names_are_snake_case_and_each_its_own() {
        let causes = [
            Cause::Start,
            Cause::Probe,
            Cause::Rise,
            Cause::Delay,
            Cause::Loss,
            Cause::Marks,
            Cause::Silence,
            Cause::Receiver,
            Cause::Contest,
            Cause::Route,
            Cause::Ceiling,
        ]
        .map(name_of_cause);
        let modes = [Mode::Rise, Mode::Drain, Mode::Trial, Mode::Contest, Mode::Check].map(name_of_mode);
        let reasons = [
            Reason::All,
            Reason::Wish,
            Reason::Limit,
            Reason::Senders,
            Reason::Budget,
            Reason::Ceiling,
            Reason::Threshold,
            Reason::Waiting,
        ]
        .map(Reason::name);
        let classes = Class::ORDER.map(name_of_class);
        let needs = [
            KeyFrameReason::Switch,
            KeyFrameReason::Asked,
            KeyFrameReason::Broken,
            KeyFrameReason::QueueFull,
        ]
        .map(name_of_need);
        for names in [&causes[..], &modes, &reasons, &classes, &needs] {
            let snake = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(names.iter().all(snake), "{names:?}");
            assert!((1..names.len()).all(|at| !names[..at].contains(&names[at])), "{names:?}");
        }
    }
}
