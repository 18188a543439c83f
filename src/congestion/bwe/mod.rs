//! How much a path to a receiver carries, from what its feedback says of the packets sent over it.

use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// A packet that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// When.
    pub at: Instant,
    /// Its transport-wide number: each is one more than the one before.
    pub number: u64,
    /// Bytes on the wire, IP and UDP included.
    pub size: usize,
}

/// What feedback says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its transport-wide number.
    pub number: u64,
    /// When it arrived, by the receiver's clock; `None` if it did not so far.
    pub at: Option<Instant>,
    /// Whether it was marked as having met congestion (RFC 3168); only RFC 8888 says it.
    pub ce: bool,
}

/// What would be sent if it could, sound, repair and headers included.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The rate worth proving: with the next layer.
    pub next: Bitrate,
    /// The most that is of use.
    pub most: Bitrate,
}

/// Bounds of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Before anything is known.
    pub initial: Bitrate,
    /// Never below.
    pub min: Bitrate,
    /// Never above.
    pub max: Bitrate,
}

/// Why an estimate is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Nothing is known yet.
    Start,
    /// A probe came through.
    Probe,
    /// Nothing stands against more.
    Rise,
    /// Packets waited.
    Delay,
    /// Packets were lost by the rate.
    Loss,
    /// Packets were marked.
    Marks,
    /// Feedback stayed away.
    Silence,
    /// The receiver said so (REMB).
    Receiver,
}

/// What an estimate stands on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Basis {
    /// The estimate.
    pub target: Bitrate,
    /// Why it changed last.
    pub cause: Cause,
    /// What arrived in the last moments.
    pub delivered: Bitrate,
    /// What packets wait above the least delay of late.
    pub queue: std::time::Duration,
    /// The share of packets lost of late.
    pub loss: f32,
}

mod delay;
mod history;
mod probe;
mod rounds;

use delay::Delay;
use history::History;
use probe::Prober;
use rounds::{Rounds, Window};
use std::time::Duration;

/// What an estimate does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// Nothing stands against more.
    Rise,
    /// A queue is let run empty.
    Drain(Drain),
    /// A queue is there that is not ours.
    Contest(Contest),
}

/// A queue is let run empty.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Drain {
    /// What comes through while it is full.
    reference: f64,
    queue: f64,
    /// By how much it should have become shorter, in microseconds.
    drained: f64,
    /// Since when is reported what left after the cut.
    answered: Option<Instant>,
    covered: u64,
    mild: bool,
    /// The estimate to go back to if the queue is still another's.
    check: Option<f64>,
    before: f64,
    least: f64,
    most: f64,
    since: Instant,
}

/// A queue is there that is not ours.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Contest {
    entered: Instant,
    since: Instant,
    least: f64,
    most: f64,
    /// The last loss that was answered.
    event: Instant,
    /// Since when nothing waits.
    short: Option<Instant>,
}

/// The estimate of one transport.
#[derive(Debug, Clone)]
pub struct Estimator {
    config: Config,
    demand: Demand,
    target: f64,
    cause: Cause,
    mode: Mode,
    history: History,
    rounds: Rounds,
    delay: Delay,
    prober: Prober,
    /// What the path was seen to carry when it was full, in bits a second.
    capacity: Option<(f64, Instant)>,
    /// The share of packets that is lost at any rate.
    floor: f64,
    trial: Option<Trial>,
    /// Marked packets' share, smoothed.
    alpha: f64,
    marked_at: Instant,
    /// From a departure to its report.
    response: Duration,
    reported: u64,
    fed: Option<Instant>,
    rounded: Option<Instant>,
    /// A probe's own queue is on its way.
    excused: Instant,
    now: Instant,
    series: u32,
    silent: Option<Instant>,
    held: f64,
    /// The share of what a failed probe saw delivered that is believed in.
    trust: f64,
    raised: Instant,
    /// What a series of probes has proven so far, if it is to be taken over as a whole.
    proven: f64,
    /// The most that was delivered of late.
    wide: f64,
    /// Until then whoever else fills the queue is remembered.
    rival: Instant,
    /// What was sent before the capacity fell far: it may come back soon.
    fade: Option<f64>,
    risen: Instant,
    /// One past the last number that was lost.
    lost_end: u64,
    policed: Option<(f64, Instant)>,
    pace: f64,
    ceiling: Option<(f64, Instant)>,
    /// The queue that a probe makes at most, in microseconds.
    allowed: f64,
}

/// A cut that shows whether loss depends on the rate.
#[derive(Debug, Clone, Copy)]
struct Trial {
    before: f64,
    loss: f64,
    sent: f64,
    delivered: f64,
    number: u64,
    since: Instant,
}

const AUDIBLE: f64 = 1.1;

impl Estimator {
    /// An estimate that begins at `config.initial`.
    pub fn new(config: Config) -> Self {
        Estimator {
            config,
            demand: Demand::default(),
            target: config.initial.as_bps() as f64,
            cause: Cause::Start,
            mode: Mode::Rise,
            history: History::default(),
            rounds: Rounds::default(),
            delay: Delay::default(),
            prober: Prober::default(),
            capacity: None,
            floor: 0.1,
            trial: None,
            alpha: 0.0,
            marked_at: Instant::ZERO,
            response: Duration::from_millis(100),
            reported: 0,
            fed: None,
            rounded: None,
            excused: Instant::ZERO,
            now: Instant::ZERO,
            series: 0,
            silent: None,
            held: 0.0,
            trust: 0.93,
            raised: Instant::ZERO,
            proven: 0.0,
            wide: 0.0,
            rival: Instant::ZERO,
            fade: None,
            risen: Instant::ZERO,
            lost_end: 0,
            policed: None,
            pace: 0.0,
            ceiling: None,
            allowed: 0.0,
        }
    }

    /// A packet leaves.
    pub fn on_sent(&mut self, sent: Sent) {
        self.history.push(sent);
        self.prober.finish(sent.at, self.history.end());
        self.silent.get_or_insert(sent.at);
    }

    /// Feedback came, of packets in any order.
    pub fn on_feedback(&mut self, now: Instant, arrivals: &[Arrival]) {
        self.now = now;
        self.silent = Some(now);
        if self.held > 0.0 {
            // Feedback is back.
            self.prober.hurry(now);
            self.held = 0.0;
        }
        let mut newest = None;
        for arrival in arrivals {
            let Some(departed) = self.history.take(arrival.number, arrival.at.is_some()) else { continue };
            let sent = departed.at.as_micros() as i64;
            let arrived = arrival.at.map(|at| at.as_micros() as i64);
            self.prober.on_report(arrival.number, sent, arrived, departed.size, arrival.ce);
            self.reported = self.reported.max(arrival.number + 1);
            match arrived {
                Some(arrived) => {
                    self.rounds.on_arrival(sent, arrived, departed.size, arrival.ce, departed.lost);
                    newest = newest.max(Some(departed.at));
                }
                None => {
                    let run = arrival.number != self.lost_end;
                    self.lost_end = arrival.number + 1;
                    self.rounds.on_loss(sent, departed.size, run);
                }
            }
        }
        if let Some(newest) = newest {
            let response = now - newest;
            self.response =
                if response < self.response { response } else { (self.response * 7 + response) / 8 };
        }
        if let Some(round) = self.rounds.close() {
            let hold = matches!(self.mode, Mode::Contest(_));
            self.delay.on_round(round.arrived, round.delay, round.arrivals, hold);
            self.delay.on_jitter(round.mean - round.delay as f64, round.arrivals);
            let elapsed = self.rounded.map_or(Duration::ZERO, |at| now - at).min(Duration::from_millis(300));
            self.rounded = Some(now);
            self.on_round(now, elapsed.as_secs_f64());
        }
        self.take_proof(now);
        self.start_probe(now);
    }

    fn on_round(&mut self, now: Instant, elapsed: f64) {
        let Some(short) = self.rounds.window(Duration::from_millis(150)) else { return };
        if short.packets > 8.0 && matches!(self.mode, Mode::Rise) {
            self.wide = self.wide.max(short.delivered);
        }
        self.learn_loss(now);
        self.on_marks(now, &short);
        match self.mode {
            Mode::Rise => self.rise(now, elapsed, &short),
            Mode::Drain(_) => self.drain(now, elapsed, &short),
            Mode::Contest(_) => self.contest(now, elapsed, &short),
        }
    }

    fn rise(&mut self, now: Instant, elapsed: f64, short: &Window) {
        let queue = self.delay.queue();
        let excused = now < self.excused && queue < self.delay.threshold() + 1.5 * self.allowed;
        let limited =
            self.rounds.window(Duration::from_millis(500)).is_none_or(|long| long.sent < 0.8 * self.target);
        if self.delay.is_long(limited) && !excused {
            if self.prober.rate().is_some() {
                self.prober.stop(self.history.end());
            }
            if now < self.rival && queue > 3.0 * self.delay.threshold() {
                self.enter_contest(now, self.target);
                return;
            }
            self.cut(now, short);
            return;
        }
        let Some(long) = self.rounds.window(Duration::from_millis(500)) else { return };
        if limited || long.span > 3.0 || self.delay.queue() > self.delay.threshold() || self.trial.is_some() {
            return;
        }
        let below = self.capacity.filter(|(capacity, _)| self.target < 0.9 * capacity);
        let step = below.map_or((0.08 * self.target).min(50_000.0) + 0.008 * self.target, |(capacity, _)| {
            0.15 * capacity
        }) * elapsed;
        self.raise(self.target + step, Cause::Rise);
    }

    fn raise(&mut self, target: f64, cause: Cause) {
        let most = (AUDIBLE * self.demand.most.as_bps() as f64).min(self.config.max.as_bps() as f64);
        let ceiling =
            self.ceiling.filter(|(_, until)| self.now < *until).map_or(f64::INFINITY, |(ceiling, _)| ceiling);
        let target = target.min(most).min(ceiling);
        if target > self.target {
            self.target = target;
            self.cause = cause;
        }
    }

    fn set(&mut self, target: f64) {
        self.target = target.clamp(self.config.min.as_bps() as f64, self.config.max.as_bps() as f64);
    }

    fn lower(&mut self, target: f64, cause: Cause) {
        let target = target.max(self.config.min.as_bps() as f64);
        if target < self.target {
            self.target = target;
            self.cause = cause;
        }
    }

    fn cut(&mut self, now: Instant, short: &Window) {
        let mild = self.delay.queue() < 3.0 * self.delay.threshold();
        let long = self.rounds.window(Duration::from_millis(500)).filter(|_| mild);
        let reference = long.map_or(short.delivered, |long| long.delivered.max(short.delivered));
        let reference = (reference / (1.0 - self.floor.min(self.lost()))).min(self.target);
        self.capacity = Some((reference, now));
        if now - self.raised < Duration::from_millis(1_500) && self.raised > Instant::ZERO {
            self.trust = (self.trust - 0.1).max(0.5);
        }
        self.series = 0;
        self.proven = 0.0;
        self.prober.cancel();
        self.prober.wait_until(now + Duration::from_secs(2));
        self.wide = (0.9 * self.wide).max(reference);
        self.mode = Mode::Drain(Drain {
            reference,
            queue: self.delay.queue(),
            drained: 0.0,
            answered: None,
            covered: self.history.end(),
            mild,
            check: None,
            before: self.target,
            least: f64::MAX,
            most: 0.0,
            since: now,
        });
        self.pace = reference * pace_factor(self.delay.queue());
        self.lower(reference * drain_factor(self.delay.queue()), Cause::Delay);
    }

    fn drain(&mut self, now: Instant, elapsed: f64, short: &Window) {
        let Mode::Drain(mut drain) = self.mode else { return };
        let queue = self.delay.queue();
        if self.delay.is_short() {
            if drain.check.is_some() {
                self.rival = self.rival.min(now + Duration::from_secs_f64(3.0));
            }
            let fade = drain.reference < 0.7 * drain.before && drain.check.is_none();
            self.mode = Mode::Rise;
            self.capacity = Some((drain.reference, now));
            self.set(
                drain
                    .check
                    .map_or(if drain.mild { 0.96 } else { 0.95 } * drain.reference, |before| 0.9 * before),
            );
            self.fade = Some(drain.before).filter(|_| fade);
            self.prober.wait_until(now + Duration::from_millis(if fade { 300 } else { 2_000 }));
            return;
        }
        if now < self.rival && queue > 3.0 * self.delay.threshold() && drain.check.is_none() {
            self.enter_contest(now, drain.before);
            return;
        }
        if self.reported < drain.covered {
            if queue > drain.queue {
                // It still grows: what comes through is all that the path carries.
                drain.reference = drain.reference.min(short.delivered);
                drain.queue = queue;
            }
        } else {
            let answered = *drain.answered.get_or_insert(now);
            let since =
                self.rounds.window((now - answered).min(Duration::from_millis(200))).unwrap_or(*short);
            let overload = since.sent * (1.0 - self.floor) > 1.05 * since.delivered && since.packets >= 6.0;
            if now - answered > Duration::from_millis(80)
                && overload
                && drain.check.is_none()
                && queue > 0.8 * drain.queue
            {
                // More leaves than comes through, still.
                drain.reference = since.delivered.min(drain.reference);
                if drain.reference < 0.08 * self.wide {
                    // So little cannot be what fills it.
                    self.enter_contest(now, 0.15 * self.wide);
                    return;
                }
                (drain.queue, drain.drained) = (queue, 0.0);
                drain.covered = self.history.end();
                drain.answered = None;
            } else {
                let wide = self.wide.max(drain.reference);
                drain.drained += elapsed * ((drain.reference - since.sent) / wide).clamp(0.0, 1.0) * 1e6;
                let fallen = drain.queue - queue;
                drain.least = drain.least.min(queue);
                drain.most = drain.most.max(queue);
                let flat = drain.most - drain.least < self.delay.threshold();
                if flat
                    && now - answered > Duration::from_millis(600) + self.response
                    && drain.drained > 3.0 * self.delay.threshold()
                    && queue > drain.queue - self.delay.threshold()
                {
                    // Whatever is sent it takes as long: the path is another one.
                    self.delay.rebase();
                    self.target = drain.before;
                    self.mode = Mode::Rise;
                    return;
                }
                if let Some(before) = drain.check {
                    if now - answered > Duration::from_millis(500) {
                        let late = now - answered > Duration::from_millis(2_500);
                        if fallen < 0.4 * drain.drained || late {
                            self.enter_contest(now, before);
                            return;
                        }
                    }
                }
                let patience = Duration::from_millis(1_500) + 2 * self.response;
                if now - answered > patience
                    && drain.drained > 60_000.0 + 0.5 * drain.queue
                    && fallen < 0.3 * drain.queue
                {
                    if self.trace() {
                        eprintln!("   contest {drain:?} {since:?} {}", self.wide);
                    }
                    self.enter_contest(now, 0.9 * drain.reference);
                    return;
                }
            }
        }
        let young = now - drain.since < Duration::from_millis(600);
        let factor = if drain.check.is_some() {
            0.7
        } else if young {
            drain_factor(queue)
        } else {
            pace_factor(queue)
        };
        self.target = (drain.reference * factor).max(self.config.min.as_bps() as f64);
        self.pace = drain.reference * if drain.check.is_some() { 0.7 } else { pace_factor(queue) };
        self.mode = Mode::Drain(drain);
    }

    fn enter_contest(&mut self, now: Instant, target: f64) {
        let queue = self.delay.queue();
        self.rival = now + Duration::from_secs(15);
        self.mode = Mode::Contest(Contest {
            entered: now,
            since: now,
            least: queue,
            most: queue,
            event: now,
            short: None,
        });
        self.set(target);
    }

    fn contest(&mut self, now: Instant, elapsed: f64, short: &Window) {
        let Mode::Contest(mut contest) = self.mode else { return };
        let queue = self.delay.queue();
        if self.delay.is_short() {
            let since = *contest.short.get_or_insert(now);
            if now - since > Duration::from_secs(4) {
                self.mode = Mode::Rise;
                self.prober.wait_until(now);
                return;
            }
        } else if queue > self.delay.threshold() {
            contest.short = None;
        }
        let half = self.rounds.window(Duration::from_millis(500)).unwrap_or(*short);
        let age = now - contest.event;
        if half.loss > 0.2 && age > Duration::from_millis(500) {
            self.lower(half.delivered, Cause::Loss);
            contest.event = now;
        } else if short.loss > self.floor.min(0.02) && age > self.response + Duration::from_millis(100) {
            self.lower(self.target * (1.0 - (0.03 * age.as_secs_f64()).min(0.2)), Cause::Loss);
            contest.event = now;
        } else if contest.short.is_none()
            && now - contest.entered > Duration::from_secs(2)
            && half.sent > 0.8 * self.target
        {
            self.raise(self.target + (60_000.0 + 0.02 * self.wide) * elapsed, Cause::Rise);
        }
        contest.least = contest.least.min(queue);
        contest.most = contest.most.max(queue);
        if now - contest.since > Duration::from_secs(8) {
            if contest.most - contest.least < 3.0 * self.delay.threshold() {
                self.delay.rebase();
                self.mode = Mode::Rise;
                return;
            }
            (contest.since, contest.least, contest.most) = (now, queue, queue);
        }
        if now - contest.entered > Duration::from_secs_f64(5.0) && contest.short.is_none() {
            // Is it still another's?
            let drain = Drain {
                reference: half.delivered.min(self.target),
                queue,
                drained: 0.0,
                answered: None,
                covered: self.history.end(),
                mild: false,
                check: Some(self.target),
                before: self.target,
                least: f64::MAX,
                most: 0.0,
                since: now,
            };
            self.target = 0.7 * drain.reference;
            self.mode = Mode::Drain(drain);
            return;
        }
        self.mode = Mode::Contest(contest);
    }

    fn learn_loss(&mut self, now: Instant) {
        let Some(long) = self.rounds.window(Duration::from_millis(1_000)) else { return };
        if !matches!(self.mode, Mode::Rise) {
            self.risen = now;
        }
        let settled = now - self.risen > self.response + Duration::from_millis(1_000);
        if long.packets < 10.0 || !matches!(self.mode, Mode::Rise) || !settled {
            self.trial = None;
            return;
        }
        let error = 2.5 * (self.floor.max(0.01) * long.run / long.packets).sqrt();
        if let Some(trial) = self.trial {
            if self.reported < trial.number || now - trial.since < self.response + Duration::from_millis(600)
            {
                return;
            }
            self.trial = None;
            let Some(after) = self.rounds.window(Duration::from_millis(500)) else { return };
            let cut = 1.0 - after.sent / trial.sent;
            let fallen = 1.0 - after.delivered / trial.delivered;
            if after.loss < 0.25 && fallen > 0.5 * cut && after.loss > 0.5 * trial.loss {
                // Less was sent and less came: it is lost at any rate.
                self.floor = self.floor.max(after.loss);
                self.set(self.target.max(trial.before));
            } else if after.loss > self.floor + 0.1 {
                self.start_trial(now, &after);
            } else if after.loss < 0.3 * trial.loss {
                // It goes away with the rate. Twice at the same rate is no accident.
                let policed = trial.delivered;
                let again = self.policed.is_some_and(|(before, at)| {
                    now - at < Duration::from_secs(40) && (0.88..1.12).contains(&(policed / before))
                });
                self.policed = Some((policed, now));
                if again {
                    self.ceiling = Some((0.98 * policed, now + Duration::from_secs(20)));
                }
            }
            return;
        }
        let limited = long.sent < 0.6 * self.target;
        if long.loss > self.floor + 0.02 + error && !limited {
            let Some(short) = self.rounds.window(Duration::from_millis(500)) else { return };
            self.start_trial(now, &short);
        } else {
            let pace = if long.loss > self.floor { 64.0 } else { 24.0 };
            self.floor += (long.loss - self.floor) / pace;
        }
    }

    /// Sends less, to see whether less is lost then.
    fn start_trial(&mut self, now: Instant, window: &Window) {
        self.trial = Some(Trial {
            before: self.target,
            loss: window.loss,
            sent: window.sent,
            delivered: window.delivered,
            number: self.history.end(),
            since: now,
        });
        self.series = 0;
        self.proven = 0.0;
        self.prober.cancel();
        self.prober.wait_until(now + Duration::from_secs(3));
        self.capacity = Some((window.delivered, now));
        let least = if window.loss > 0.25 { 0.0 } else { 0.5 * self.target };
        self.lower((window.delivered / (1.0 - self.floor.min(0.15)) * 0.97).max(least), Cause::Loss);
    }

    fn on_marks(&mut self, now: Instant, short: &Window) {
        let Some(last) = self.rounds.window(Duration::ZERO) else { return };
        if now < self.excused {
            return;
        }
        self.alpha += (last.marked - self.alpha) / 16.0;
        if last.marked > 0.0 && now - self.marked_at > self.response {
            self.marked_at = now;
            self.capacity = Some((short.delivered, now));
            self.lower(self.target * (1.0 - self.alpha / 2.0), Cause::Marks);
        }
    }

    fn take_proof(&mut self, now: Instant) {
        let patience = 3 * self.response + Duration::from_millis(200);
        let Some(proof) = self.prober.take_proof(now, self.reported, self.delay.jitter(), patience) else {
            return;
        };
        let Ok(proof) = proof else {
            self.prober.wait_until(now + Duration::from_secs(2));
            return;
        };
        if self.trace() {
            eprintln!("   proof {proof:?}");
        }
        let passed =
            proof.slope < 0.1 + proof.error.min(0.2) && proof.marked < 0.5 && proof.loss < self.floor + 0.1;
        let excess = (proof.loss - self.floor.min(0.15) - 0.05).max(0.0);
        let slope = if passed { proof.slope - proof.error - 0.05 } else { proof.slope };
        let rate = proof.rate / (1.0 + slope.max(0.0)) * (1.0 - excess);
        let proven = if passed { 0.95 } else { self.trust } * rate;
        let gain = proven / self.target.max(self.proven);
        self.proven = self.proven.max(proven);
        let next = self.demand.next.as_bps() as f64;
        let most = self.demand.most.as_bps() as f64;
        let wait = Duration::from_millis(if gain > 1.15 { 0 } else { 2_000 });
        let on =
            passed || (excess == 0.0 && gain > 1.15 && self.delay.queue() < 3.0 * self.delay.threshold());
        if !passed {
            self.excused = now + self.response + Duration::from_millis(300);
            if proven > self.target {
                self.raised = now;
            }
            self.capacity = Some((rate, now));
            self.trust = (self.trust + 0.01).min(0.93);
        }
        if on && self.proven < most && gain > 1.15 {
            // A ladder's layers are not climbed one by one.
            self.series += 1;
            self.prober.wait_until(now);
            if next >= most {
                self.raise(self.proven, Cause::Probe);
            }
        } else {
            self.series = 0;
            self.raise(self.proven, Cause::Probe);
            self.proven = 0.0;
            self.prober.wait_until(now + Duration::from_secs(2));
        }
    }

    /// The share of packets lost of late.
    fn lost(&self) -> f64 {
        self.rounds.window(Duration::from_millis(1_000)).map_or(0.0, |long| long.loss.min(0.5))
    }

    fn trace(&self) -> bool {
        std::env::var("TRACE").is_ok()
    }

    fn start_probe(&mut self, now: Instant) {
        let goal = self.demand.next.as_bps() as f64;
        let due = self.prober.next().is_none_or(|next| next <= now);
        if !due
            || self.prober.is_busy()
            || (self.target >= goal && self.series == 0)
            || self.mode != Mode::Rise
            || self.trial.is_some()
        {
            return;
        }
        if self.fed_once() && self.series == 0 && !self.delay.is_short() {
            return;
        }
        if self.ceiling.is_some_and(|(_, until)| now < until) {
            return;
        }
        let limited =
            self.rounds.window(Duration::from_millis(500)).is_none_or(|long| long.sent < 0.8 * self.target);
        let near = self.capacity.is_some_and(|(capacity, at)| {
            let fresh = Duration::from_secs(if limited { 3 } else { 10 });
            0.85 * capacity < self.target && self.target < 1.03 * capacity && now - at < fresh
        });
        let fade = self.fade.take();
        if near && self.series == 0 && fade.is_none() {
            return;
        }
        let factor = match (self.capacity, self.series) {
            (None, 0) => 5.0,
            (None, _) => 3.0,
            (Some(_), 0) if fade.is_some() => 2.0,
            (Some(_), 0) => 1.5,
            (Some(_), _) => 2.0,
        };
        let from = self.target.max(self.proven);
        let goal =
            if self.series > 0 || self.capacity.is_none() { self.demand.most.as_bps() as f64 } else { goal };
        let rate = (goal * 1.1)
            .min((factor * from).max(0.5 * fade.unwrap_or(0.0)))
            .min(self.config.max.as_bps() as f64);
        let length = Duration::from_micros(40_000 + (3.0 * self.delay.jitter().min(20_000.0)) as u64);
        self.prober.start(now, rate, length, self.history.end());
        let base = self.wide.max(self.target);
        self.allowed = ((rate - self.target) / base).max(0.0) * length.as_micros() as f64;
        self.excused = now + length + self.response + Duration::from_millis(200);
    }

    /// How long feedback may stay away.
    fn patience(&self) -> Duration {
        let least = if self.fed_once() { 500 } else { 1_500 };
        (4 * self.response).max(Duration::from_millis(least))
    }

    fn fed_once(&self) -> bool {
        self.rounded.is_some()
    }

    /// The receiver's own estimate (REMB): the fall-back where there is no other feedback, a ceiling elsewhere.
    pub fn on_receiver_estimate(&mut self, now: Instant, rate: Bitrate) {
        let _ = (now, rate);
    }

    /// The share of packets lost by a receiver report, and a round trip: for receivers that have no other feedback.
    pub fn on_receiver_report(&mut self, now: Instant, lost: f32, round_trip: std::time::Duration) {
        let _ = (now, lost, round_trip);
    }

    /// What would be sent changed.
    pub fn set_demand(&mut self, now: Instant, demand: Demand) {
        let more = demand.next > self.demand.next;
        self.demand = demand;
        self.now = now;
        if more && self.target < demand.next.as_bps() as f64 {
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
        let marked = self.marked_at > Instant::ZERO && self.now - self.marked_at < Duration::from_secs(10);
        let mut usual = if marked { 1.04 } else { 1.1 } * self.target;
        if matches!(self.mode, Mode::Drain(_)) {
            usual = self.pace.max(self.config.min.as_bps() as f64);
        } else if let Some((capacity, at)) = self.capacity
            && self.now - at < Duration::from_secs(2)
        {
            usual = usual.min(capacity.max(1.02 * self.target));
        }
        let rate = self.prober.rate().unwrap_or(usual);
        Bitrate::from_bps(rate as u64)
    }

    /// What the estimate stands on.
    pub fn basis(&self) -> Basis {
        let window = self.rounds.window(Duration::from_millis(500)).unwrap_or_default();
        Basis {
            target: self.target(),
            cause: self.cause,
            delivered: Bitrate::from_bps(window.delivered as u64),
            queue: Duration::from_micros(self.delay.queue().max(0.0) as u64),
            loss: window.loss as f32,
        }
    }

    pub fn debug(&self) -> String {
        format!(
            "{} T={:.1} jit={:.1} floor={:.3} cap={:.0} resp={} demand={}/{} trial={:?} alpha={:.2}",
            match self.mode {
                Mode::Rise => "rise".into(),
                m => format!("{m:?}"),
            },
            self.delay.threshold() / 1e3,
            self.delay.jitter() / 1e3,
            self.floor,
            self.capacity.map_or(0.0, |c| c.0 / 1e3),
            self.response.as_millis(),
            self.demand.next.as_bps() / 1000,
            self.demand.most.as_bps() / 1000,
            self.trial.map(|t| t.before),
            self.alpha
        )
    }

    /// The bytes of a packet that a probe wants now: asked when nothing else waits and the pace allows.
    pub fn poll_probe(&mut self, now: Instant) -> Option<usize> {
        self.prober.poll(now, self.history.end())
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.prober.finish(now, self.history.end());
        self.start_probe(now);
        let quiet = self.patience();
        if self.history.end() > self.reported
            && let Some(silent) = self.silent
            && now - silent > quiet
        {
            self.silent = Some(now - quiet + Duration::from_millis(200));
            self.held = self.held.max(self.target);
            self.lower(0.8 * self.target, Cause::Silence);
        }
    }

    /// When to call `handle_timeout` and `poll_probe` at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.prober.rate().is_some() {
            return Some(self.now);
        }
        let goal = self.demand.next.as_bps() as f64;
        let probe = self.prober.next().filter(|_| {
            !self.prober.is_busy() && (self.target < goal || self.series > 0) && self.mode == Mode::Rise
        });
        let probe = probe.map(|at| at.max(self.now + Duration::from_millis(20)));
        let quiet = self.patience();
        let silence = self
            .silent
            .filter(|_| self.history.end() > self.reported)
            .map(|at| at + quiet + Duration::from_millis(1));
        [probe, silence].into_iter().flatten().min()
    }
}

/// The share of what is delivered that is sent while packets wait so many microseconds.
fn drain_factor(queue: f64) -> f64 {
    (1.0 - queue / 600_000.0).clamp(0.6, 0.92)
}

fn pace_factor(queue: f64) -> f64 {
    (1.0 - queue / 200_000.0).clamp(0.4, 0.92)
}
