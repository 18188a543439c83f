//! When to probe, at which rate, and what is believed of what a probe showed.
//!
//! Media that does not fill the estimate proves nothing beyond itself: sound alone would hold the estimate at
//! nothing, and a layer that is not sent cannot show that there is room for it. So while the queue is empty and a
//! higher rate would be of use, a short cluster is sent at it. What a cluster shows is taken over at once; as long
//! as each shows much more than the one before, the next follows at once (a *series*). A ladder's rate does not move
//! until a series is over, else each of its layers would be forwarded in turn. Where the capacity has just fallen
//! far, it may come back as suddenly (a *fade*, as of radio), and the first probe asks for half of what it was.

use std::time::Duration;

use super::cluster::{Cluster, Proof};
use super::measured::{Capacity, Report};
use super::{Demand, Probed};
use crate::base::time::Instant;
use crate::base::units::Bitrate;

/// A cluster lasts so long, and longer by three times the jitter of up to [`JITTER_MOST`]: the slope of delays has
/// to stand out from it. In microseconds.
const LENGTH: f64 = 40_000.0;
const JITTER_MOST: f64 = 20_000.0;
/// Probed beyond what is wanted by this factor, as no proof is believed in whole.
const BEYOND: f64 = 1.1;
/// Times the estimate that the first probe of all asks for, and the following ones of its series.
const FIRST: (f64, f64) = (5.0, 3.0);
/// The same once the capacity was met.
const LATER: (f64, f64) = (1.5, 2.0);
/// Below this share of what the path carried lately the factor is that of a search.
const REGAIN: f64 = 0.25;
/// The same after a fade, or this share of what was sent before it.
const FADED: (f64, f64) = (2.0, 0.5);
/// More than this much more than before is reason for another probe at once.
const GAIN: f64 = 1.15;
/// From one probe to the next if it was not; and after one of which nothing came back.
const PAUSE: Duration = Duration::from_secs(2);
/// That time doubles with each that is not answered, so often.
const UNANSWERED: u32 = 4;
/// The queue that a probe left is its own for so long after its packets are reported, or after it failed.
const AFTERMATH: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(300));
/// A slope of the delay that is taken for none: the probe was carried.
const LEVEL: f64 = 0.06;
/// What the error of the slope may add to it.
const LEVEL_ERROR: f64 = 0.2;
/// Packets lost beyond what is lost at any rate that a probe is forgiven, and beyond which it has failed.
const LOST: (f64, f64) = (0.05, 0.1);
/// So much of what is lost at any rate is taken for that; the rest may be a policer's.
const LOST_ANYWAY: f64 = 0.15;
/// What is believed of a rate that was carried.
const CARRIED: f64 = 0.95;
/// What is believed of a rate that follows from a slope, at most, and how it moves: down by the first when the queue
/// grows soon after, up by the second with each probe.
const TRUST: f64 = 0.93;
const TRUST_LEAST: f64 = 0.5;
const TRUST_STEPS: (f64, f64) = (0.1, 0.01);
/// So soon after a probe raised the estimate, a queue is that probe's fault.
const SOON: Duration = Duration::from_millis(1_500);
/// An estimate between these shares of a capacity met just now needs no probe: it is known what lies above.
const NEAR: (f64, f64) = (0.85, 1.03);
/// What was met is just now for so long, or so long if less than the estimate is sent.
const FRESH: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));

/// What probes are planned by. Rates in bits a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) target: f64,
    pub(super) demand: Demand,
    /// The most that may be sent.
    pub(super) max: f64,
    /// The capacity, if it was met.
    pub(super) capacity: Option<Capacity>,
    /// The most that was delivered of late.
    pub(super) widest: f64,
    /// Whether clearly less than the estimate is sent.
    pub(super) limited: bool,
}

/// What a proof is judged by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judgement {
    pub(super) target: f64,
    pub(super) demand: Demand,
    /// The share of packets that is lost at any rate.
    pub(super) floor: f64,
    /// Whether hardly anything waits.
    pub(super) clear: bool,
    /// From a departure to its report.
    pub(super) response: Duration,
}

/// What follows from a proof. Rates in bits a second.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    /// What the path carries, if the probe met it.
    pub(super) capacity: Option<f64>,
    /// What the estimate may rise to.
    pub(super) raise: Option<f64>,
}

/// The probes of a transport.
#[derive(Debug, Clone)]
pub(super) struct Prober {
    /// What is being sent, or awaited.
    cluster: Option<Cluster>,
    /// What the last one showed.
    last: Option<Proof>,
    /// How many in a row nothing came back of.
    unanswered: u32,
    /// None before.
    next: Option<Instant>,
    /// Probes of the series that goes on.
    series: u32,
    /// What they have proven so far.
    proven: f64,
    /// The share of a rate that follows from a slope which is believed.
    trust: f64,
    /// When such a rate raised the estimate.
    raised: Option<Instant>,
    /// What was sent before the capacity fell far.
    fade: Option<f64>,
    /// Until then a queue of up to so many microseconds is a probe's own.
    excused: Instant,
    allowed: f64,
}

impl Default for Prober {
    fn default() -> Self {
        Prober {
            cluster: None,
            last: None,
            unanswered: 0,
            next: None,
            series: 0,
            proven: 0.0,
            trust: TRUST,
            raised: None,
            fade: None,
            excused: Instant::ZERO,
            allowed: 0.0,
        }
    }
}

impl Prober {
    /// Whether a probe is due that would be of use.
    pub(super) fn is_due(&self, now: Instant, target: f64, demand: Demand) -> bool {
        let due = self.next.is_none_or(|next| next <= now);
        due && self.cluster.is_none() && self.is_of_use(target, demand)
    }

    /// Whether a series goes on.
    pub(super) fn is_in_series(&self) -> bool {
        self.series > 0
    }

    /// The rate to probe at now, in bits a second; `None` where it is known what lies above the estimate.
    pub(super) fn choose(&mut self, now: Instant, plan: &Plan) -> Option<f64> {
        let fade = self.fade.take();
        let fresh = if plan.limited { FRESH.1 } else { FRESH.0 };
        let near = plan.capacity.is_some_and(|capacity| {
            let (least, most) = (NEAR.0 * capacity.rate, NEAR.1 * capacity.rate);
            least < plan.target && plan.target < most && now - capacity.at < fresh
        });
        if near && !self.is_in_series() && fade.is_none() {
            return None;
        }
        let from = plan.target.max(self.proven);
        let factor = match (plan.capacity, self.is_in_series()) {
            (None, false) => FIRST.0,
            (None, true) => FIRST.1,
            (Some(_), false) if fade.is_some() => FADED.0,
            (Some(_), _) if from < REGAIN * plan.widest => FIRST.1,
            (Some(_), false) => LATER.0,
            (Some(_), true) => LATER.1,
        };
        let searching = self.is_in_series() || plan.capacity.is_none();
        let goal = if searching { plan.demand.most } else { plan.demand.next }.as_bps() as f64;
        let rate = (factor * from).max(FADED.1 * fade.unwrap_or(0.0));
        Some((goal * BEYOND).min(rate).min(plan.max))
    }

    /// Sends a cluster at `rate` bits a second from number `first` on. `room` is by how much it exceeds what the
    /// path carries at most, as a share of that.
    pub(super) fn start(
        &mut self,
        now: Instant,
        rate: f64,
        room: f64,
        jitter: f64,
        response: Duration,
        first: u64,
    ) {
        let length = Duration::from_micros((LENGTH + 3.0 * jitter.min(JITTER_MOST)) as u64);
        self.cluster = Some(Cluster::new(now, rate, length, first));
        self.allowed = room.max(0.0) * length.as_micros() as f64;
        self.excused = now + length + response + AFTERMATH.0;
    }

    /// The bytes of a packet of padding, while a cluster is being sent.
    pub(super) fn poll(&mut self, now: Instant, next: u64) -> Option<usize> {
        self.finish(now, next);
        self.cluster.and_then(|cluster| cluster.padding())
    }

    /// The rate of what is being sent as a probe, in bits a second.
    pub(super) fn rate(&self) -> Option<f64> {
        self.cluster.and_then(|cluster| cluster.rate())
    }

    /// A cluster is over when its time is.
    pub(super) fn finish(&mut self, now: Instant, next: u64) {
        if let Some(cluster) = &mut self.cluster {
            cluster.finish(now, next);
        }
    }

    /// No more of it is sent: the delay rises.
    pub(super) fn stop(&mut self, next: u64) {
        if let Some(cluster) = &mut self.cluster {
            cluster.stop(next);
        }
    }

    /// Nothing that was probed counts any more; not before `next` again.
    pub(super) fn give_up(&mut self, next: Instant) {
        (self.cluster, self.series, self.proven) = (None, 0, 0.0);
        self.next = Some(next);
    }

    /// A queue is there: if a probe has just raised the estimate, the next one is believed less.
    pub(super) fn on_queue(&mut self, now: Instant) {
        if self.raised.is_some_and(|raised| now - raised < SOON) {
            self.trust = (self.trust - TRUST_STEPS.0).max(TRUST_LEAST);
        }
    }

    /// The capacity fell far from `before`, or it did not.
    pub(super) fn on_fade(&mut self, before: Option<f64>) {
        self.fade = before;
    }

    /// Takes the report on a packet.
    pub(super) fn on_report(&mut self, number: u64, report: &Report, marked: bool) {
        if let Some(cluster) = &mut self.cluster {
            cluster.on_report(number, report, marked);
        }
    }

    /// What the cluster showed, once it is known.
    pub(super) fn take_proof(
        &mut self,
        now: Instant,
        reported: u64,
        jitter: f64,
        response: Duration,
    ) -> Option<Proof> {
        let cluster = self.cluster.take_if(|cluster| cluster.is_known(now, reported, patience(response)))?;
        let proof = cluster.proof(jitter);
        match proof {
            Some(proof) => (self.last, self.unanswered) = (Some(proof), 0),
            None => {
                self.next = Some(now + PAUSE * (1 << self.unanswered));
                self.unanswered = (self.unanswered + 1).min(UNANSWERED);
            }
        }
        proof
    }

    /// When a cluster is given up of which nothing is told.
    pub(super) fn given_up_at(&self, response: Duration) -> Option<Instant> {
        self.cluster.map(|cluster| cluster.ends() + patience(response))
    }

    /// What the last cluster showed.
    pub(super) fn probed(&self) -> Option<Probed> {
        let probed = |proof: Proof| Probed {
            rate: Bitrate::from_bps(proof.rate as u64),
            slope: proof.slope as f32,
            loss: proof.loss as f32,
        };
        self.last.map(probed)
    }

    /// What follows from a proof.
    pub(super) fn judge(&mut self, now: Instant, proof: &Proof, by: &Judgement) -> Verdict {
        let level = LEVEL + proof.error.min(LEVEL_ERROR);
        let passed = proof.slope < level && proof.marked < 0.5 && proof.loss < by.floor + LOST.1;
        let excess = (proof.loss - by.floor.min(LOST_ANYWAY) - LOST.0).max(0.0);
        let slope = if passed { proof.slope - proof.error - LEVEL / 2.0 } else { proof.slope };
        let rate = proof.rate / (1.0 + slope.max(0.0)) * (1.0 - excess);
        let believed = if passed { CARRIED } else { self.trust } * rate;
        let gain = believed / by.target.max(self.proven);
        // A faster one that met the capacity tells it truer than a slower one that seemed to be carried.
        let before = if passed { self.proven } else { self.proven.min(rate) };
        self.proven = before.max(believed);
        let mut verdict = Verdict::default();
        if !passed {
            verdict.capacity = Some(rate);
            self.on_failure(now, believed > by.target, by.response);
        }
        let (next, most) = (by.demand.next.as_bps() as f64, by.demand.most.as_bps() as f64);
        let convincing = passed || (excess == 0.0 && by.clear);
        if convincing && gain > GAIN && self.proven < most {
            self.series += 1;
            self.next = Some(now);
            // An encoder follows each step; a ladder waits for the end of the series.
            verdict.raise = (next >= most).then_some(self.proven);
        } else {
            verdict.raise = Some(self.proven);
            self.give_up(now + PAUSE);
        }
        verdict
    }

    fn on_failure(&mut self, now: Instant, raises: bool, response: Duration) {
        self.excused = now + response + AFTERMATH.1;
        if raises {
            self.raised = Some(now);
        }
        self.trust = (self.trust + TRUST_STEPS.1).min(TRUST);
    }

    /// Until when a queue may be a probe's own.
    pub(super) fn excused(&self) -> Instant {
        self.excused
    }

    /// How long such a queue is at most, in microseconds.
    pub(super) fn allowed(&self) -> f64 {
        self.allowed
    }

    /// The next one comes at `at`.
    pub(super) fn wait_until(&mut self, at: Instant) {
        self.next = Some(at);
    }

    /// The next one comes at `at` at the latest.
    pub(super) fn hurry(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    /// When the next one comes, if it is of use.
    pub(super) fn poll_timeout(&self, target: f64, demand: Demand) -> Option<Instant> {
        self.next.filter(|_| self.cluster.is_none() && self.is_of_use(target, demand))
    }

    fn is_of_use(&self, target: f64, demand: Demand) -> bool {
        self.is_in_series() || target < demand.next.as_bps() as f64
    }
}

/// How long the reports on a cluster may take.
fn patience(response: Duration) -> Duration {
    3 * response + Duration::from_millis(200)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESPONSE: Duration = Duration::from_millis(100);

    fn demand(next: u64, most: u64) -> Demand {
        Demand { next: Bitrate::from_kbps(next), most: Bitrate::from_kbps(most) }
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn plan(target: f64, capacity: Option<f64>) -> Plan {
        let capacity = capacity.map(|rate| Capacity { rate, at: at(0) });
        Plan { target, demand: demand(1_000, 4_000), max: 3e6, capacity, widest: 0.0, limited: false }
    }

    fn proof(rate: f64, slope: f64) -> Proof {
        Proof { rate, acknowledged: rate, slope, error: 0.05, loss: 0.0, marked: 0.0 }
    }

    fn judge(prober: &mut Prober, demand: Demand, target: f64, proof: Proof) -> Verdict {
        let by = Judgement { target, demand, floor: 0.0, clear: true, response: RESPONSE };
        prober.judge(at(1_000), &proof, &by)
    }

    #[test]
    fn it_is_probed_for_what_is_wanted_and_not_beyond_what_may_be_sent() {
        let mut prober = Prober::default();
        assert!(prober.is_due(at(0), 0.3e6, demand(1_000, 4_000)));
        assert!(!prober.is_due(at(0), 1.0e6, demand(1_000, 4_000)));
        // Before the capacity was met the top is sought, then the next layer.
        assert_eq!(prober.choose(at(0), &plan(0.3e6, None)), Some(1.5e6));
        assert_eq!(prober.choose(at(0), &plan(0.9e6, None)), Some(3e6));
        assert_eq!(prober.choose(at(0), &plan(0.3e6, Some(1e6))), Some(0.45e6));
        assert_eq!(prober.choose(at(0), &plan(0.9e6, Some(2e6))), Some(1.1e6));
    }

    #[test]
    fn what_lies_above_a_capacity_met_just_now_is_known_but_not_after_a_fade() {
        let mut prober = Prober::default();
        assert_eq!(prober.choose(at(9_999), &plan(0.95e6, Some(1e6))), None);
        assert!(prober.choose(at(10_000), &plan(0.95e6, Some(1e6))).is_some());
        assert_eq!(prober.choose(at(3_000), &Plan { limited: true, ..plan(0.95e6, Some(1e6)) }), Some(1.1e6));
        prober.on_fade(Some(2e6));
        assert_eq!(prober.choose(at(1), &plan(0.95e6, Some(1e6))), Some(1.1e6));
    }

    #[test]
    fn an_encoder_follows_each_probe_and_a_ladder_the_end_of_a_series() {
        let mut prober = Prober::default();
        let verdict = judge(&mut prober, demand(4_000, 4_000), 0.3e6, proof(1.5e6, 0.0));
        assert_eq!(verdict, Verdict { capacity: None, raise: Some(0.95 * 1.5e6) });
        assert!(prober.is_in_series());
        let mut prober = Prober::default();
        let verdict = judge(&mut prober, demand(1_000, 4_000), 0.3e6, proof(1.5e6, 0.0));
        assert_eq!(verdict, Verdict::default());
        // Then twice as much as the path carries.
        let verdict = judge(&mut prober, demand(1_000, 4_000), 0.3e6, proof(3e6, 1.0));
        assert_eq!(verdict, Verdict { capacity: Some(1.5e6), raise: Some(0.95 * 1.5e6) });
        assert!(
            !prober.is_in_series() && prober.poll_timeout(0.5e6, demand(1_000, 4_000)) == Some(at(3_000))
        );
    }

    #[test]
    fn what_seemed_to_be_carried_counts_no_more_when_the_next_probe_meets_less() {
        let mut prober = Prober::default();
        judge(&mut prober, demand(1_000, 4_000), 0.27e6, proof(0.45e6, 0.0));
        assert!(prober.is_in_series());
        let verdict = judge(&mut prober, demand(1_000, 4_000), 0.27e6, proof(0.72e6, 1.4));
        assert_eq!(verdict, Verdict { capacity: Some(0.3e6), raise: Some(0.3e6) });
    }

    #[test]
    fn a_slope_is_believed_less_after_a_queue_that_followed_it() {
        let mut prober = Prober::default();
        let before = judge(&mut prober, demand(4_000, 4_000), 1.3e6, proof(3e6, 1.0)).raise;
        prober.on_queue(at(1_500));
        prober.on_queue(at(2_500));
        let after = judge(&mut prober, demand(4_000, 4_000), 1.3e6, proof(3e6, 1.0)).raise;
        assert_eq!((before, after), (Some(0.93 * 1.5e6), Some((TRUST - 0.1) * 1.5e6)));
    }

    #[test]
    fn loss_beyond_the_floor_is_taken_off() {
        let lost = Proof { loss: 0.25, ..proof(2e6, 0.0) };
        let verdict = judge(&mut Prober::default(), demand(4_000, 4_000), 1e6, lost);
        assert_eq!(verdict.capacity.map(f64::round), Some(1.6e6));
    }

    #[test]
    fn what_is_not_answered_is_asked_less_and_less_often() {
        let mut prober = Prober::default();
        let mut waits = Vec::new();
        let mut now = at(0);
        for _ in 0..7 {
            prober.start(now, 1e6, 1.0, 4_000.0, RESPONSE, 0);
            assert_eq!(prober.poll(now, 0), Some(1_200));
            assert_eq!(prober.poll(now + Duration::from_millis(60), 9), None);
            now += Duration::from_secs(1);
            assert_eq!(prober.take_proof(now, 0, 4_000.0, RESPONSE), None);
            let next = prober.poll_timeout(0.0, demand(1_000, 1_000)).expect("of use");
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 32, 32]);
    }
}
