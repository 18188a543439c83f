//! The estimator: what the parts say, put together, in the order of a packet's life.

use std::time::Duration;

use super::contest::{Contest, Doubt, Share};
use super::drain::{self, Drain, Emptied};
use super::loss::{Answer, Loss};
use super::marks::Marks;
use super::measured::{Capacity, FAR, Measured, Situation};
use super::probe::{Judgement, Plan, Prober};
use super::receiver::Receiver;
use super::rise;
use super::rounds::Window;
use super::silence::{self, Silence};
use super::{Arrival, Basis, Cause, Config, Demand, Mode, Sent};
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// What is of use is exceeded by this much, so that sources of uneven rate find room.
const ROOM: f64 = 1.1;
/// Packets leave by this much faster than the estimate, so that frames do not queue up behind each other; and by this
/// much where the path marks what comes in bursts.
const PACE: f64 = 1.1;
const PACE_MARKED: f64 = 1.04;
/// But not faster than a capacity met so lately, nor slower than this times the estimate.
const PACE_CAPPED: Duration = Duration::from_secs(2);
const PACE_LEAST: f64 = 1.02;
/// After a queue, after one beyond which the capacity fell far, and after loss: until the next probe.
const PROBE_AFTER_QUEUE: Duration = Duration::from_secs(2);
const PROBE_AFTER_FADE: Duration = Duration::from_millis(300);
const PROBE_AFTER_LOSS: Duration = Duration::from_secs(3);
/// Nothing is probed this close below a ceiling.
const BELOW_CEILING: f64 = 0.8;
/// A rival is remembered for so long, and for so long once it was looked for in vain.
const RIVAL: Duration = Duration::from_secs(15);
const RIVAL_GONE: Duration = Duration::from_secs(3);
/// The widest that was delivered is forgotten by this factor at each cut.
const WIDEST: f64 = 0.9;
/// From so many packets on a rate is believed to be one.
const WIDEST_PACKETS: f64 = 8.0;
/// No estimate is below: from nothing nothing grows.
const LEAST: Bitrate = Bitrate::from_kbps(1);
/// Nothing rises beyond so many times what was really sent and acknowledged lately (S-BWE-03).
const PROVEN: f64 = 1.5;

/// What an estimate does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Rise,
    Drain(Drain),
    Contest(Contest),
}

/// The estimate of one transport: see the [module](super).
#[derive(Debug, Clone)]
pub struct Estimator {
    config: Config,
    demand: Demand,
    /// The estimate, in bits a second.
    target: f64,
    cause: Cause,
    state: State,
    measured: Measured,
    loss: Loss,
    marks: Marks,
    prober: Prober,
    silence: Silence,
    receiver: Receiver,
    capacity: Option<Capacity>,
    /// The most that was delivered of late, in bits a second.
    widest: f64,
    /// Until then whoever else fills the queue is remembered.
    rival: Instant,
    /// How fast packets leave while a queue is let run empty, in bits a second.
    pace: f64,
    /// Nothing has shown yet what the path carries.
    guess: bool,
    now: Instant,
}

impl Estimator {
    /// An estimate that begins at `config.initial`.
    pub fn new(config: Config) -> Self {
        let min = config.min.max(LEAST);
        let max = config.max.max(min);
        let config = Config { initial: config.initial.clamp(min, max), min, max };
        Estimator {
            config,
            demand: Demand::default(),
            target: config.initial.as_bps() as f64,
            cause: Cause::Start,
            state: State::Rise,
            measured: Measured::default(),
            loss: Loss::default(),
            marks: Marks::default(),
            prober: Prober::default(),
            silence: Silence::default(),
            receiver: Receiver::default(),
            capacity: None,
            widest: 0.0,
            rival: Instant::ZERO,
            pace: 0.0,
            guess: true,
            now: Instant::ZERO,
        }
    }

    /// Nothing will be told of packets: a rate of the receiver's and reports are all that comes.
    pub fn expect_reports(&mut self) {
        self.silence.expect_reports();
    }

    /// Something came from the receiver that tells nothing of what it receives: at least it is there.
    pub fn on_heard(&mut self, now: Instant) {
        let now = self.advance(now);
        if !self.measured.is_fed() {
            self.silence.on_heard(now);
        }
    }

    /// A packet leaves.
    pub fn on_sent(&mut self, sent: Sent) {
        self.measured.on_sent(sent);
        self.prober.finish(sent.at, self.measured.history.end());
        self.silence.on_sent(sent.at);
    }

    /// Feedback came, of packets in any order.
    pub fn on_feedback(&mut self, now: Instant, arrivals: &[Arrival]) {
        let now = self.advance(now);
        let mut newest = None;
        for arrival in arrivals {
            let Some(report) = self.measured.on_arrival(arrival) else { continue };
            if report.clock_set {
                self.prober.give_up(now + PROBE_AFTER_QUEUE);
            }
            self.prober.on_report(arrival.number, &report, arrival.ce);
            if report.arrived.is_some() {
                newest = newest.max(Some(report.sent));
            }
        }
        if let Some(newest) = newest {
            self.measured.on_response(now, Instant::from_micros(newest.unsigned_abs()));
        }
        let hold = matches!(self.state, State::Contest(_));
        if let Some(elapsed) = self.measured.close_round(now, hold) {
            // Feedback without arrivals, or by a clock that stands, tells nothing.
            if self.silence.on_heard(now) {
                self.prober.hurry(now);
            }
            self.on_round(now, elapsed);
        }
        self.take_proof(now);
        self.start_probe(now);
    }

    /// A round has ended, `elapsed` seconds after the one before.
    fn on_round(&mut self, now: Instant, elapsed: f64) {
        let Some(short) = self.measured.rounds.window(Duration::from_millis(150)) else { return };
        if short.packets > WIDEST_PACKETS && self.state == State::Rise {
            self.widest = self.widest.max(short.delivered);
        }
        self.measured.delay.set_rate(self.widest.max(self.target));
        self.answer_loss(now, elapsed, short);
        self.answer_marks(now, &short);
        match self.state {
            State::Rise => self.rise(now, elapsed, short),
            State::Drain(drain) => self.drain(drain, now, elapsed, short),
            State::Contest(contest) => self.contest(contest, now, elapsed, short),
        }
    }

    fn situation(&self, now: Instant, elapsed: f64, short: Window) -> Situation<'_> {
        let (floor, rival) = (self.loss.floor(), now < self.rival);
        Situation { now, elapsed, short, measured: &self.measured, floor, widest: self.widest, rival }
    }

    fn answer_loss(&mut self, now: Instant, elapsed: f64, short: Window) {
        let rising = self.state == State::Rise;
        let mut loss = self.loss;
        let answer = loss.on_round(&self.situation(now, elapsed, short), self.target, rising);
        self.loss = loss;
        match answer {
            Answer::None => {}
            Answer::Cut { target, delivered } => {
                self.prober.give_up(now + PROBE_AFTER_LOSS);
                self.capacity = Some(Capacity { rate: delivered, at: now });
                self.lower(target, Cause::Loss);
            }
            Answer::Restore(target) => self.set(target, Cause::Loss),
        }
    }

    fn answer_marks(&mut self, now: Instant, short: &Window) {
        if now < self.prober.excused() {
            return;
        }
        if let Some(factor) = self.marks.on_round(now, &self.measured) {
            self.capacity = Some(Capacity { rate: short.delivered, at: now });
            self.lower(self.target * factor, Cause::Marks);
        }
    }

    fn rise(&mut self, now: Instant, elapsed: f64, short: Window) {
        let excused = (now < self.prober.excused()).then(|| self.prober.allowed());
        let situation = self.situation(now, elapsed, short);
        let step = rise::on_round(&situation, self.target, self.capacity, excused, self.loss.is_on_trial());
        match step {
            rise::Step::Stay => {}
            rise::Step::Raise(target) => self.raise(target, Cause::Rise),
            rise::Step::Cut => self.cut(now, elapsed, short),
            rise::Step::Contest => {
                self.prober.stop(self.measured.history.end());
                self.enter_contest(now, self.target);
            }
        }
    }

    /// Packets wait: what comes through is what the path carries.
    fn cut(&mut self, now: Instant, elapsed: f64, short: Window) {
        let situation = self.situation(now, elapsed, short);
        let queue = situation.queue();
        // A short queue is no hurry: the mean of a longer time errs less.
        let long = self.measured.half_second().filter(|_| !situation.is_far_over());
        let delivered = long.map_or(short.delivered, |long| long.delivered.max(short.delivered));
        let lost = self.measured.second().map_or(0.0, |second| second.loss.min(0.5));
        let reference = (delivered / (1.0 - self.loss.floor().min(lost))).min(self.target);
        let drain = Drain::new(&situation, reference, self.target, false);
        self.state = State::Drain(drain);
        self.capacity = Some(Capacity { rate: reference, at: now });
        self.widest = (WIDEST * self.widest).max(reference);
        self.prober.on_queue(now);
        self.prober.give_up(now + PROBE_AFTER_QUEUE);
        self.pace = reference * drain::pace_factor(queue);
        self.lower(reference * drain::target_factor(queue), Cause::Delay);
    }

    fn drain(&mut self, mut drain: Drain, now: Instant, elapsed: f64, short: Window) {
        match drain.on_round(&self.situation(now, elapsed, short)) {
            drain::Step::Stay { target, pace } => {
                self.state = State::Drain(drain);
                self.pace = pace;
                self.set(target, Cause::Delay);
            }
            drain::Step::Emptied(emptied) => self.on_emptied(now, &emptied),
            drain::Step::Contest(target) => self.enter_contest(now, target),
            drain::Step::OtherRoute { before } => {
                self.on_other_route();
                self.set(before, Cause::Route);
            }
        }
    }

    fn on_emptied(&mut self, now: Instant, emptied: &Emptied) {
        if emptied.rival_gone {
            self.rival = self.rival.min(now + RIVAL_GONE);
        }
        self.state = State::Rise;
        self.capacity = Some(Capacity { rate: emptied.reference, at: now });
        self.set(emptied.target, Cause::Delay);
        self.prober.on_fade(emptied.fade);
        let pause = if emptied.fade.is_some() { PROBE_AFTER_FADE } else { PROBE_AFTER_QUEUE };
        self.prober.wait_until(now + pause);
    }

    fn enter_contest(&mut self, now: Instant, target: f64) {
        self.rival = now + RIVAL;
        self.state = State::Contest(Contest::new(now, self.measured.delay.queue()));
        self.set(target, Cause::Contest);
    }

    fn contest(&mut self, mut contest: Contest, now: Instant, elapsed: f64, short: Window) {
        if contest.is_over(&self.situation(now, elapsed, short)) {
            self.state = State::Rise;
            self.prober.wait_until(now);
            return;
        }
        match contest.share(&self.situation(now, elapsed, short), self.target) {
            Share::Keep => {}
            Share::Less(target) => self.lower(target, Cause::Loss),
            Share::More(target) => self.raise(target, Cause::Contest),
        }
        match contest.doubt(&self.situation(now, elapsed, short), self.target) {
            Doubt::None => self.state = State::Contest(contest),
            Doubt::OtherRoute => self.on_other_route(),
            Doubt::Check(reference) => {
                let situation = self.situation(now, elapsed, short);
                self.state = State::Drain(Drain::new(&situation, reference, self.target, true));
                self.pace = drain::CHECK * reference;
                self.set(self.pace, Cause::Contest);
            }
        }
    }

    fn on_other_route(&mut self) {
        self.measured.delay.rebase();
        self.state = State::Rise;
    }

    fn take_proof(&mut self, now: Instant) {
        let response = self.measured.response;
        let jitter = self.measured.delay.jitter();
        let Some(proof) = self.prober.take_proof(now, self.measured.history.reported(), jitter, response)
        else {
            return;
        };
        let delay = &self.measured.delay;
        let judgement = Judgement {
            target: self.target,
            demand: self.demand,
            floor: self.loss.floor(),
            clear: delay.queue() < FAR * delay.threshold(),
            response,
        };
        self.measured.acknowledged.on_rate(now, proof.acknowledged);
        let verdict = self.prober.judge(now, &proof, &judgement);
        if let Some(rate) = verdict.capacity {
            self.capacity = Some(Capacity { rate, at: now });
        }
        if let Some(target) = verdict.raise {
            self.raise(target, Cause::Probe);
        }
        self.guess &= self.prober.is_in_series();
    }

    fn start_probe(&mut self, now: Instant) {
        let measured = &self.measured;
        let waits = measured.is_fed() && !self.prober.is_in_series() && !measured.delay.is_short();
        let is_free = self.state == State::Rise && !self.loss.is_on_trial() && !waits;
        let most = self.ceiling().unwrap_or(f64::INFINITY).min(self.config.max.as_bps() as f64);
        let is_held = self.target > BELOW_CEILING * most || self.silence.is_silent();
        if !is_free || is_held || !self.prober.is_due(now, self.target, self.demand) {
            return;
        }
        let plan = Plan {
            target: self.target,
            demand: self.demand,
            max: most,
            capacity: self.capacity,
            widest: self.widest,
            limited: measured.is_limited(self.target),
        };
        if let Some(rate) = self.prober.choose(now, &plan) {
            let room = (rate - self.target) / self.widest.max(self.target);
            let (jitter, first) = (measured.delay.jitter(), measured.history.end());
            self.prober.start(now, rate, room, jitter, measured.response, first);
        }
    }

    /// The receiver's own estimate (REMB, draft-alvestrand-rmcat-remb-03): taken over where there is no feedback on
    /// packets, within 1.5 times what was really sent lately; a ceiling for ten seconds elsewhere.
    pub fn on_receiver_estimate(&mut self, now: Instant, rate: Bitrate) {
        let now = self.advance(now);
        let rate = rate.as_bps() as f64;
        let may_raise = self.receiver.on_estimate(now, rate);
        if self.measured.is_fed() {
            self.lower(rate, Cause::Ceiling);
            return;
        }
        self.silence.on_heard(now);
        self.lower(rate, Cause::Receiver);
        if may_raise {
            self.raise(rate, Cause::Receiver);
        }
    }

    /// The share of packets lost by a receiver report (RFC 3550, section 6.4.1), from 0 to 1, and a round trip: the
    /// estimate moves by it where there is no feedback on packets, and by nothing elsewhere.
    pub fn on_receiver_report(&mut self, now: Instant, lost: f32, round_trip: Duration) {
        let now = self.advance(now);
        if self.measured.is_fed() || !lost.is_finite() {
            return;
        }
        self.silence.on_heard(now);
        let target = self.target * self.receiver.on_report(now, f64::from(lost), round_trip);
        self.lower(target, Cause::Receiver);
        self.raise(target, Cause::Receiver);
    }

    /// What would be sent changed.
    pub fn set_demand(&mut self, now: Instant, demand: Demand) {
        let now = self.advance(now);
        let more = demand.next > self.demand.next;
        self.demand = Demand { most: demand.most.max(demand.next), ..demand };
        // What the last probe has asked for is answered.
        let tried = self.prober.probed().is_some_and(|probed| probed.rate >= demand.next);
        if more && !tried && self.target < demand.next.as_bps() as f64 {
            self.prober.hurry(now);
            self.start_probe(now);
        }
    }

    /// Everything together stays at or below this.
    pub fn target(&self) -> Bitrate {
        Bitrate::from_bps(self.target as u64)
    }

    /// How fast what is queued leaves, sound apart.
    pub fn pacing_rate(&self) -> Bitrate {
        let rate = self.prober.rate().unwrap_or_else(|| self.usual_pace());
        Bitrate::from_bps(rate as u64)
    }

    fn usual_pace(&self) -> f64 {
        if matches!(self.state, State::Drain(_)) {
            return self.pace.max(self.config.min.as_bps() as f64);
        }
        let usual = if self.marks.is_late(self.now) { PACE_MARKED } else { PACE } * self.target;
        let met = self.capacity.filter(|capacity| self.now - capacity.at < PACE_CAPPED);
        met.map_or(usual, |capacity| usual.min(capacity.rate.max(PACE_LEAST * self.target)))
    }

    /// What the estimate stands on.
    pub fn basis(&self) -> Basis {
        let window = self.measured.half_second().unwrap_or_default();
        let delay = &self.measured.delay;
        let bitrate = |rate: f64| Bitrate::from_bps(rate as u64);
        let micros = |micros: f64| Duration::from_micros(micros.max(0.0) as u64);
        Basis {
            target: self.target(),
            cause: self.cause,
            mode: self.mode(),
            delivered: bitrate(window.delivered),
            queue: micros(delay.queue()),
            threshold: micros(delay.threshold()),
            jitter: micros(delay.jitter()),
            loss: window.loss as f32,
            floor: self.loss.floor() as f32,
            capacity: self.capacity.map(|capacity| bitrate(capacity.rate)),
            ceiling: self.ceiling().map(bitrate),
            probed: self.prober.probed(),
        }
    }

    /// Whether the target is the initial one still, or has risen from it by use alone: nothing has lowered it, and the
    /// first probes, which come in a series, have not ended. Where no more is allowed it is no guess.
    pub fn is_guess(&self) -> bool {
        self.guess && self.target() < self.config.max
    }

    fn mode(&self) -> Mode {
        match self.state {
            State::Rise if self.loss.is_on_trial() => Mode::Trial,
            State::Rise => Mode::Rise,
            State::Drain(drain) if drain.is_check() => Mode::Check,
            State::Drain(_) => Mode::Drain,
            State::Contest(_) => Mode::Contest,
        }
    }

    /// Whether what was told last stands against more until something else is told.
    fn is_stuck(&self) -> bool {
        let waits = self.measured.is_fed() && !self.measured.delay.is_short();
        self.state != State::Rise || self.loss.is_on_trial() || waits
    }

    /// When a probe of which nobody will tell is given up.
    fn given_up_at(&self) -> Option<Instant> {
        if self.measured.is_fed() { None } else { self.prober.given_up_at(self.measured.response) }
    }

    /// The bytes of a packet that a probe wants now, or one that asks how the path is where nothing else leaves: called
    /// when nothing else waits and the pace allows.
    pub fn poll_probe(&mut self, now: Instant) -> Option<usize> {
        let now = self.advance(now);
        let probe = self.prober.poll(now, self.measured.history.end());
        let stuck = self.is_stuck();
        probe.or_else(|| self.silence.asks(now, stuck).then_some(silence::ASKING_SIZE))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        self.prober.finish(now, self.measured.history.end());
        if self.given_up_at().is_some_and(|at| at <= now) {
            self.take_proof(now);
        }
        self.start_probe(now);
        if self.silence.handle_timeout(now, &self.measured) {
            self.lower(silence::FACTOR * self.target, Cause::Silence);
        }
    }

    /// When to call `handle_timeout` and then `poll_probe` at the latest: later than the last call of both, unless a probe
    /// is being sent, which is polled for as often as the pace allows.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.prober.rate().is_some() {
            return Some(self.now);
        }
        // One that is due but has to wait for something else is looked at again with the next feedback.
        let probe = self.prober.poll_timeout(self.target, self.demand);
        let probe = probe.filter(|at| *at > self.now && self.state == State::Rise);
        let silence = self.silence.poll_timeout(&self.measured);
        let asks = self.silence.asks_at(self.is_stuck());
        [probe, silence, asks, self.given_up_at()].into_iter().flatten().min()
    }

    fn set(&mut self, target: f64, cause: Cause) {
        self.target = target.clamp(self.config.min.as_bps() as f64, self.config.max.as_bps() as f64);
        self.cause = cause;
    }

    fn lower(&mut self, target: f64, cause: Cause) {
        if target < self.target {
            self.guess = false;
            self.set(target, cause);
        }
    }

    /// No further than is of use, than what was sent shows, or than a ceiling.
    fn raise(&mut self, target: f64, cause: Cause) {
        let useful = ROOM * self.demand.most.as_bps() as f64;
        let measured = &self.measured;
        let meter = if measured.is_fed() { &measured.acknowledged } else { &measured.sent };
        let ceiling = self.ceiling().unwrap_or(f64::INFINITY);
        let target = target.min(useful).min(PROVEN * meter.highest());
        let cause = if target > ceiling { Cause::Ceiling } else { cause };
        let target = target.min(ceiling);
        if target > self.target {
            self.set(target, cause);
        }
    }

    /// What is not to be passed for now.
    fn ceiling(&self) -> Option<f64> {
        let ceilings = [self.loss.ceiling(self.now), self.receiver.ceiling(self.now)];
        ceilings.into_iter().flatten().reduce(f64::min)
    }

    /// Time does not go back.
    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }
}
