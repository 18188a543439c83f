//! What probes show, counted for whoever reads the decisions. What follows from them is the estimator's to say.

use crate::base::limits;
use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::conference::decisions::{Choice, Probe, Proof};
use crate::congestion::bwe::{Arrival, Sent};

/// The probes of one participant, one after the other.
#[derive(Debug, Default)]
pub(super) struct Proving {
    open: Option<Open>,
    /// What is still to be told.
    began: Option<Probe>,
    ended: Option<Open>,
}

/// A probe under way.
#[derive(Debug, Clone, Copy)]
struct Open {
    probe: Probe,
    /// A packet of its own has left: it was more than a wish.
    real: bool,
    /// All of it has left.
    over: bool,
    /// The first of its numbers.
    first: u64,
    packets: u32,
    /// Bytes of all but the first: between its first and its last packet so many left.
    bytes: u64,
    left: (Instant, Instant),
    reported: u32,
    arrived: u32,
    came: Option<(Instant, Instant)>,
}

impl Proving {
    /// A packet is wanted for a probe.
    pub(super) fn begin(&mut self, now: Instant, probe: Probe) {
        if self.open.is_some_and(|open| !open.over) {
            return;
        }
        self.ended = self.open.take().filter(|open| open.real);
        self.open = Some(Open {
            probe,
            real: false,
            over: false,
            first: 0,
            packets: 0,
            bytes: 0,
            left: (now, now),
            reported: 0,
            arrived: 0,
            came: None,
        });
    }

    /// None is wanted any more.
    pub(super) fn end(&mut self) {
        if let Some(open) = &mut self.open {
            open.over = true;
        }
    }

    /// A packet of a probe has left.
    pub(super) fn on_probe(&mut self) {
        if let Some(open) = &mut self.open
            && !std::mem::replace(&mut open.real, true)
        {
            self.began = Some(open.probe);
        }
    }

    /// Any packet leaves, at the `pace` of the moment: while a probe is sent that is the probe's.
    pub(super) fn on_sent(&mut self, sent: Sent, pace: impl FnOnce() -> Bitrate) {
        let Some(open) = self.open.as_mut().filter(|open| !open.over) else { return };
        if pace() != open.probe.rate {
            open.over = true;
            return;
        }
        if open.packets == 0 {
            (open.first, open.left.0) = (sent.number, sent.at);
        } else {
            open.bytes += sent.size as u64;
        }
        open.left.1 = sent.at;
        open.packets += 1;
    }

    /// Feedback came.
    pub(super) fn on_arrivals(&mut self, arrivals: &[Arrival]) {
        let Some(open) = &mut self.open else { return };
        for arrival in arrivals {
            let place = arrival.number.checked_sub(open.first);
            if place.is_none_or(|place| place >= u64::from(open.packets)) {
                continue;
            }
            open.reported += 1;
            if let Some(at) = arrival.at {
                open.arrived += 1;
                let (first, last) = open.came.unwrap_or((at, at));
                open.came = Some((first.min(at), last.max(at)));
            }
        }
    }

    /// What is to be told of it, one after the other; `target` is the estimate.
    pub(super) fn poll(&mut self, now: Instant, target: Bitrate) -> Option<Choice> {
        if let Some(open) = self.ended.take() {
            return Some(Choice::Probed(open.proof(target)));
        }
        if let Some(probe) = self.began.take() {
            return Some(Choice::Probe(probe));
        }
        let open = self.open.filter(|open| open.is_known(now))?;
        self.open = None;
        open.real.then(|| Choice::Probed(open.proof(target)))
    }
}

impl Open {
    /// Whether all of it is reported, or no more is waited for.
    fn is_known(&self, now: Instant) -> bool {
        let late = now - self.left.1 >= limits::PROBE_PATIENCE;
        late || (self.over && self.reported >= self.packets)
    }

    fn proof(&self, target: Bitrate) -> Proof {
        let (first, last) = self.came.unwrap_or_default();
        let took = last - first;
        let Probe { rate, target: before, .. } = self.probe;
        let (packets, arrived) = (self.packets, self.arrived);
        Proof {
            rate,
            packets,
            arrived,
            delivered: self.delivered(took),
            queue: took.saturating_sub(self.left.1 - self.left.0),
            before,
            target,
        }
    }

    /// The rate at which what arrived did, in the mean size.
    fn delivered(&self, took: Duration) -> Bitrate {
        let (gaps, filled) = (u64::from(self.packets.max(2)) - 1, u64::from(self.arrived.saturating_sub(1)));
        let micros = took.as_micros().max(1);
        let bits = u128::from(self.bytes) * 8_000_000 * u128::from(filled) / u128::from(gaps);
        Bitrate::from_bps(u64::try_from(bits / micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::bwe::Demand;

    const RATE: Bitrate = Bitrate::from_kbps(2_400);
    const TARGET: Bitrate = Bitrate::from_kbps(800);

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn probe() -> Probe {
        Probe { rate: RATE, target: TARGET, demand: Demand::default() }
    }

    /// Eleven packets of 1,200 bytes, the numbers 40 to 50, 4 ms apart: 2,400 kbit/s.
    fn sent() -> Proving {
        let mut proving = Proving::default();
        proving.begin(ms(0), probe());
        for place in 0..11 {
            proving.begin(ms(0), probe());
            proving.on_sent(Sent { at: ms(4 * place), number: 40 + place, size: 1_200 }, || RATE);
            proving.on_probe();
        }
        proving.end();
        proving.on_sent(Sent { at: ms(60), number: 51, size: 1_200 }, || RATE);
        assert_eq!(proving.poll(ms(60), TARGET), Some(Choice::Probe(probe())));
        assert_eq!(proving.poll(ms(60), TARGET), None, "nothing is known yet");
        proving
    }

    fn arrivals(spacing: u64, lost: &[u64]) -> Vec<Arrival> {
        let at = |number: u64| (!lost.contains(&number)).then(|| ms(130 + spacing * (number - 40)));
        (38..54).map(|number| Arrival { number, at: at(number.max(40)), ce: false }).collect()
    }

    #[test]
    fn what_comes_as_it_left_shows_its_rate_and_no_queue() {
        let mut proving = sent();
        proving.on_arrivals(&arrivals(4, &[])[..6]);
        assert_eq!(proving.poll(ms(180), TARGET), None, "a part is not reported");
        proving.on_arrivals(&arrivals(4, &[])[6..]);
        let proof = Proof {
            rate: RATE,
            packets: 11,
            arrived: 11,
            delivered: RATE,
            queue: Duration::ZERO,
            before: TARGET,
            target: RATE,
        };
        assert_eq!(proving.poll(ms(200), RATE), Some(Choice::Probed(proof)));
        assert_eq!(proving.poll(ms(9_000), RATE), None, "told once");
    }

    #[test]
    fn what_comes_slower_and_in_part_shows_what_the_path_carries() {
        let mut proving = sent();
        proving.on_arrivals(&arrivals(8, &[45]));
        let Some(Choice::Probed(proof)) = proving.poll(ms(300), TARGET) else { panic!("all is reported") };
        assert_eq!((proof.packets, proof.arrived), (11, 10));
        // Nine of ten gaps' bytes in twice the time.
        assert_eq!(proof.delivered, Bitrate::from_kbps(1_080));
        assert_eq!(proof.queue, Duration::from_millis(40));
    }

    #[test]
    fn what_nobody_reports_is_told_of_in_the_end() {
        let mut proving = sent();
        let late = ms(40) + limits::PROBE_PATIENCE;
        assert_eq!(proving.poll(late - Duration::from_millis(1), TARGET), None);
        let Some(Choice::Probed(proof)) = proving.poll(late, TARGET) else { panic!("it is late") };
        assert_eq!((proof.arrived, proof.delivered, proof.queue), (0, Bitrate::ZERO, Duration::ZERO));
    }

    #[test]
    fn a_probe_that_follows_before_the_last_is_known_ends_it() {
        let mut proving = sent();
        proving.begin(ms(70), probe());
        proving.on_sent(Sent { at: ms(70), number: 52, size: 1_200 }, || RATE);
        proving.on_probe();
        assert!(matches!(proving.poll(ms(71), TARGET), Some(Choice::Probed(proof)) if proof.packets == 11));
        assert_eq!(proving.poll(ms(71), TARGET), Some(Choice::Probe(probe())));
    }

    #[test]
    fn of_what_could_not_be_sent_nothing_is_told() {
        let mut proving = Proving::default();
        proving.begin(ms(0), probe());
        proving.end();
        assert_eq!(proving.poll(ms(0) + limits::PROBE_PATIENCE, TARGET), None);
    }

    #[test]
    fn a_probe_is_over_when_the_pace_is_another() {
        let mut proving = Proving::default();
        proving.begin(ms(0), probe());
        proving.on_probe();
        for (number, pace) in [(40, RATE), (41, TARGET), (42, RATE)] {
            proving.on_sent(Sent { at: ms(number), number, size: 1_200 }, || pace);
        }
        proving.on_arrivals(&arrivals(4, &[]));
        assert!(matches!(proving.poll(ms(200), TARGET), Some(Choice::Probe(_))));
        assert!(matches!(proving.poll(ms(200), TARGET), Some(Choice::Probed(proof)) if proof.packets == 1));
    }
}
