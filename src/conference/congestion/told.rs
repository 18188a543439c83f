//! Feedback about what was sent: transport-wide, of each stream (RFC 8888), a rate (REMB), reports. What it says is
//! checked against what left, and handed to the estimator as plain numbers.

use super::{Congestion, FeedbackKind};
use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::conference::engine::Engine;
use crate::conference::ids::ParticipantId;
use crate::conference::participant::Timer;
use crate::congestion::bwe::Arrival;
use crate::congestion::departures::Told;
use crate::wire::mux::Ecn;
use crate::wire::rtcp;
use crate::wire::rtp::WireSeq;
use std::ops::Range;

/// Microseconds of a delta's unit in transport-wide feedback.
const TICK: i64 = 250;
/// What is due again at once is due then.
const SOON: Duration = Duration::from_millis(1);
/// How far behind the beginning of a block packets of its stream may have left before those in it.
const REORDERED: u16 = 256;

/// Loss as the reports of one datagram tell it, over all their streams.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::conference) struct Losses {
    /// Packets that were expected, and 256 times those that were lost.
    pub(in crate::conference) expected: u64,
    pub(in crate::conference) lost: u64,
    pub(in crate::conference) round_trip: Option<Duration>,
}

impl Engine {
    /// Something authentic came from a participant by RTCP.
    pub(in crate::conference) fn on_heard(&mut self, id: ParticipantId) {
        let participant = self.participants.get_mut(id);
        if let Some(congestion) = participant.and_then(|participant| participant.egress.congestion.as_mut()) {
            congestion.on_heard();
        }
    }

    pub(in crate::conference) fn on_transport_feedback(
        &mut self,
        now: Instant,
        id: ParticipantId,
        feedback: &rtcp::TransportFeedback<'_>,
    ) {
        self.on_told(now, id, FeedbackKind::Transport, |congestion, arrivals| {
            congestion.read_transport(now, feedback, arrivals)
        });
    }

    pub(in crate::conference) fn on_congestion_feedback(
        &mut self,
        now: Instant,
        id: ParticipantId,
        feedback: &rtcp::CongestionFeedback<'_>,
    ) {
        self.on_told(now, id, FeedbackKind::Streams, |congestion, arrivals| {
            congestion.read_streams(now, feedback, arrivals)
        });
    }

    /// Feedback of the kind that was agreed on and within what is looked up in a second; other is not read. `read`
    /// says how many numbers it looked up.
    fn on_told(
        &mut self,
        now: Instant,
        id: ParticipantId,
        kind: FeedbackKind,
        read: impl FnOnce(&mut Congestion, &mut Vec<Arrival>) -> usize,
    ) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        participant.traffic.feedback_received += 1;
        let Some(congestion) = participant.egress.congestion.as_deref_mut() else { return };
        if congestion.kind != kind || !participant.rtcp_budget.is_told() {
            congestion.counts.refused += 1;
            return;
        }
        self.arrivals.clear();
        congestion.begin_feedback();
        let looked_up = read(congestion, &mut self.arrivals);
        participant.rtcp_budget.take_told(looked_up);
        self.arrivals.sort_unstable_by_key(|arrival| arrival.number);
        if let Some(proving) = &mut congestion.proving {
            proving.on_arrivals(&self.arrivals);
        }
        congestion.estimator.on_feedback(now, &self.arrivals);
        self.refit(now, id);
    }

    /// The participant's own estimate.
    pub(in crate::conference) fn on_receiver_estimate(
        &mut self,
        now: Instant,
        id: ParticipantId,
        rate: Bitrate,
    ) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let Some(congestion) = participant.egress.congestion.as_deref_mut() else { return };
        congestion.begin_feedback();
        congestion.estimator.on_receiver_estimate(now, rate);
        self.refit(now, id);
    }

    /// What the reports of a datagram say of loss: for those who say nothing else of it.
    pub(in crate::conference) fn on_losses(&mut self, now: Instant, id: ParticipantId, losses: Losses) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let round_trip = losses.round_trip.unwrap_or(participant.round_trip());
        let Some(congestion) = participant.egress.congestion.as_deref_mut() else { return };
        if congestion.kind != FeedbackKind::Remb {
            return;
        }
        congestion.begin_feedback();
        if losses.expected == 0 {
            return congestion.estimator.on_heard(now);
        }
        let share = losses.lost as f32 / (256 * losses.expected) as f32;
        congestion.estimator.on_receiver_report(now, share.min(1.0), round_trip);
        self.refit(now, id);
    }

    /// Takes over what is believed of a participant's path, or what it could be sent: whenever either has changed.
    /// Everything that follows from an estimate follows from here.
    pub(in crate::conference) fn refit(&mut self, now: Instant, id: ParticipantId) {
        self.tell_decisions(now, id);
        self.share(now, id);
        let Some(participant) = self.participants.get_mut(id) else { return };
        let Some(congestion) = participant.egress.congestion.as_deref_mut() else { return };
        congestion.pace();
        self.schedule(now, id, false);
    }

    /// Notes what is new of a participant's estimate and probes.
    pub(in crate::conference) fn tell_decisions(&mut self, now: Instant, id: ParticipantId) {
        let congestion = |engine: &mut Self| {
            engine.participants.get_mut(id)?.egress.congestion.as_deref_mut()?.poll_choice(now)
        };
        while let Some(choice) = congestion(self) {
            self.decide(now, id, choice);
        }
    }

    /// Makes the participant's turn to send come when what waits may leave, or a probe is due; `in_vain` if nothing
    /// came of the last one that was.
    pub(in crate::conference) fn schedule(&mut self, now: Instant, id: ParticipantId, in_vain: bool) {
        let Some(participant) = self.participants.get_mut(id) else { return };
        let egress = &mut participant.egress;
        let Some(congestion) = egress.congestion.as_deref_mut() else { return };
        let waiting = (egress.repairs.into(), egress.video.len());
        let at = congestion.poll_timeout(now, waiting, in_vain);
        let due = at.is_some_and(|at| at <= now);
        (egress.due, egress.held) = (due, !due && !egress.video.is_empty());
        // Shares are made when the timer has come, and not while something is written.
        let shares = congestion.sharing.as_ref().and_then(|sharing| {
            if sharing.is_stale() { Some(now) } else { sharing.poll_timeout().map(|at| at.max(now + SOON)) }
        });
        let at = [at.filter(|_| !due), shares].into_iter().flatten().min();
        if due && !egress.ready {
            egress.ready = true;
            self.ready.push_back(id);
        }
        if participant.timers.at(Timer::Pace) != at {
            participant.timers.set(Timer::Pace, at);
            self.requeue(id);
        }
    }
}

impl Congestion {
    /// Each number of the transport with when it arrived.
    fn read_transport(
        &mut self,
        now: Instant,
        feedback: &rtcp::TransportFeedback<'_>,
        arrivals: &mut Vec<Arrival>,
    ) -> usize {
        let base = self.departures.extend(feedback.base_seq.0);
        let mut at = self.clock.read(now, feedback.reference_time).as_micros().cast_signed();
        let mut next = base;
        for (seq, delta) in feedback.received() {
            at = at.saturating_add(i64::from(delta) * TICK);
            let number = base + i64::from(seq.0.wrapping_sub(feedback.base_seq.0));
            self.on_missing(next..number, arrivals);
            let came = Instant::from_micros(u64::try_from(at).unwrap_or(0));
            self.on_arrival(number, Some((came, false)), arrivals);
            next = number + 1;
        }
        self.on_missing(next..base + i64::from(feedback.status_count), arrivals);
        usize::from(feedback.status_count).min(self.departures.len())
    }

    /// Numbers that did not arrive so far. Those that are not remembered are counted and no more.
    fn on_missing(&mut self, numbers: Range<i64>, arrivals: &mut Vec<Arrival>) {
        let window = self.departures.window();
        let start = numbers.start.max(window.start.cast_signed());
        let end = numbers.end.min(window.end.cast_signed());
        let strange = (numbers.end - numbers.start) - (end - start).max(0);
        self.counts.ignored += strange.max(0).unsigned_abs();
        for number in start..end {
            self.on_arrival(number, None, arrivals);
        }
    }

    /// A number arrived, then and marked or not, or did not so far.
    fn on_arrival(&mut self, number: i64, came: Option<(Instant, bool)>, arrivals: &mut Vec<Arrival>) {
        match self.departures.tell(number, came.is_some()) {
            Told::News(nth) => {
                let (at, ce) = came.map_or((None, false), |(at, ce)| (Some(at), ce));
                arrivals.push(Arrival { number: nth, at, ce });
            }
            Told::Lie => self.counts.lies += 1,
            // That it is still missing is no news, and no mistake.
            Told::Known if came.is_none() => {}
            Told::Known | Told::Strange => self.counts.ignored += 1,
        }
    }

    /// Each stream's numbers with when they arrived and how marked. All streams together have as many packets as are
    /// remembered: no more steps are taken, whatever the blocks say.
    fn read_streams(
        &mut self,
        now: Instant,
        feedback: &rtcp::CongestionFeedback<'_>,
        arrivals: &mut Vec<Arrival>,
    ) -> usize {
        let report = self.clock.read(now, feedback.timestamp);
        let most = self.departures.len();
        let mut steps = most;
        let marked = self.counts.ce;
        for stream in feedback.streams() {
            let mut next = self.departures.last_of(stream.ssrc.0);
            let received = stream.metrics().filter(|(_, metric)| metric.is_some()).count();
            let mut found = 0;
            while let Some((number, (seq, before))) =
                next.and_then(|number| Some((number, self.departures.step_back(number)?)))
            {
                let behind = stream.begin_seq.0.wrapping_sub(seq);
                if steps == 0 || (REORDERED..u16::MAX / 2).contains(&behind) {
                    break;
                }
                (steps, next) = (steps - 1, before);
                if let Some(metric) = stream.get(WireSeq(seq)) {
                    found += usize::from(metric.is_some());
                    self.on_metric(number.cast_signed(), report, metric, arrivals);
                }
            }
            self.counts.ignored += received.saturating_sub(found) as u64;
        }
        if self.counts.ce > marked {
            self.pacer.on_marks(now);
        }
        most - steps
    }

    fn on_metric(
        &mut self,
        number: i64,
        report: Instant,
        metric: Option<rtcp::Metric>,
        arrivals: &mut Vec<Arrival>,
    ) {
        let Some(metric) = metric else { return self.on_arrival(number, None, arrivals) };
        // Of what came at an unknown time nothing can be made.
        let Some(age) = metric.arrival.age() else { return self.counts.ignored += 1 };
        let before = arrivals.len();
        let ce = metric.ecn == Ecn::Ce;
        self.on_arrival(number, Some((report - age, ce)), arrivals);
        // Reports overlap: each packet's mark counts once.
        self.counts.ce += u64::from(ce && arrivals.len() > before);
    }
}
