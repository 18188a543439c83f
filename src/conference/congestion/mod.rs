//! How what is sent to a participant is fitted to its path: what left, what its feedback says of that, what is
//! believed of the path by it, and the pace that follows.
//!
//! The state is there from the first media on, if the participant gives feedback of some kind. What is believed is
//! taken over in one place ([`Engine::refit`]).

use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::base::units::Bitrate;
use crate::conference::config::EngineConfig;
use crate::conference::decisions::{Choice, Probe};
use crate::conference::ids::SubscriptionId;
use crate::conference::negotiation::{self, Session};
use crate::conference::sharing::Sharing;
use crate::congestion::allocation;
use crate::congestion::bwe::{self, Config, Demand, Estimator, Sent};
use crate::congestion::departures::{self, Departures};
use crate::congestion::pacing::{self, Class, Pacer, Turn, Waiting};
use crate::congestion::receiver_clock::ReceiverClock;
use crate::wire::mux::{Path, Protocol};
use crate::wire::rtp::{ExtensionKind, SeqNo};

mod probing;
mod proving;
#[cfg(test)]
mod tests;
mod told;

use proving::Proving;
pub(super) use told::Losses;

/// What a participant tells of what it receives, beside reports.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FeedbackKind {
    /// Nothing.
    #[default]
    None,
    /// A rate that it believes in.
    Remb,
    /// When each packet of the transport arrived.
    Transport,
    /// When each packet of each stream arrived, and how marked (RFC 8888).
    Streams,
}

impl FeedbackKind {
    /// What was agreed on; feedback by the numbers of the transport says nothing where they are not sent.
    pub(super) fn of(session: &Session) -> Self {
        let numbered = ExtensionKind::TransportSequenceNumber;
        let mut sent = session.lines.iter().filter(|line| line.sends.is_some());
        match session.feedback {
            Some(negotiation::FeedbackKind::Ccfb) => FeedbackKind::Streams,
            Some(negotiation::FeedbackKind::TransportWide)
                if sent.any(|line| line.extensions.id_of(numbered).is_some()) =>
            {
                FeedbackKind::Transport
            }
            Some(negotiation::FeedbackKind::Remb) => FeedbackKind::Remb,
            _ => FeedbackKind::None,
        }
    }
}

/// A datagram of media as it left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// Bytes of the datagram.
    pub(super) len: usize,
    pub(super) ssrc: u32,
    pub(super) seq: u16,
    /// Whether it shows its transport-wide number.
    pub(super) numbered: bool,
}

/// What is counted of it.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) probes: u64,
    pub(super) probe_bytes: u64,
    pub(super) padding_bytes: u64,
    pub(super) ect1: u64,
    /// Packets that are said to have come with a mark of congestion.
    pub(super) ce: u64,
    /// Feedback that was not read: of another kind than was agreed on, or too much.
    pub(super) refused: u64,
    /// Numbers in feedback that nothing could be made of.
    pub(super) ignored: u64,
    /// Numbers that were left out and are said to have arrived.
    pub(super) lies: u64,
}

/// Where the packets that probes repeat are looked for: down from the newest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) highest: SeqNo,
    pub(super) next: SeqNo,
}

/// One participant's.
#[derive(Debug)]
pub(super) struct Congestion {
    pub(super) kind: FeedbackKind,
    pub(super) estimator: Estimator,
    pub(super) pacer: Pacer,
    pub(super) departures: Departures,
    pub(super) clock: ReceiverClock,
    bounds: Config,
    /// Of what it is believed to carry: nothing is shared where nothing is believed.
    pub(super) sharing: Option<Sharing>,
    demand: Demand,
    /// What was told of the estimate last.
    told: (Bitrate, bwe::Cause),
    /// What probes show, if decisions are wanted.
    proving: Option<Proving>,
    /// Bytes of a datagram of video with its headers, on average.
    mean: usize,
    /// Since when media is sent without anything being heard of it.
    unheard: Option<Instant>,
    /// The number from which on one is left out.
    skip_at: u64,
    /// Departures of the latest transmits, whose moment the embedder may know better.
    untold: Vec<(u64, Sent)>,
    latest: Instant,
    /// The video that was sent last: what probes repeat.
    pub(super) newest: Option<SubscriptionId>,
    pub(super) cursor: Option<Cursor>,
    pub(super) counts: Counts,
    random: Random,
    /// What probes want in place of the estimator, in tests.
    #[cfg(test)]
    pub(super) wanted: Vec<usize>,
}

/// How many departures wait at most for a truer moment.
const UNTOLD: usize = 256;

/// Bytes that it holds at most.
pub(super) const BOUND: usize = size_of::<Congestion>()
    + departures::BOUND
    + 2 * UNTOLD * size_of::<(u64, Sent)>()
    + bwe::BOUND
    + allocation::bound::<SubscriptionId>();

impl Congestion {
    pub(super) fn new(
        now: Instant,
        kind: FeedbackKind,
        config: &EngineConfig,
        next: u64,
        (ceiling, least_video): (Option<Bitrate>, Bitrate),
        random: Random,
    ) -> Self {
        let bounds = match (kind, config.estimate, config.blind_rate) {
            // What is decided is known.
            (FeedbackKind::None, _, Some(rate)) => Config { initial: rate, min: rate, max: rate },
            (_, Some(bounds), _) => bounds,
            (_, None, _) => bwe_bounds(),
        };
        let clock = match kind {
            FeedbackKind::Streams => ReceiverClock::of_congestion_feedback(),
            _ => ReceiverClock::of_transport_feedback(),
        };
        let mut estimator = Estimator::new(bounds);
        if kind == FeedbackKind::Remb {
            estimator.expect_reports();
        }
        let mut congestion = Congestion {
            kind,
            pacer: Pacer::new(pacing::Config::default(), estimator.pacing_rate()),
            estimator,
            departures: Departures::new(next),
            clock,
            bounds,
            sharing: (kind != FeedbackKind::None).then(|| Sharing::new(ceiling, least_video)),
            demand: Demand::default(),
            told: (Bitrate::ZERO, bwe::Cause::Start),
            proving: (config.decisions > 0).then(Proving::default),
            mean: 1_000,
            unheard: None,
            skip_at: next,
            untold: Vec::new(),
            latest: now,
            newest: None,
            cursor: None,
            counts: Counts::default(),
            random,
            #[cfg(test)]
            wanted: Vec::new(),
        };
        congestion.pace();
        congestion.choose_skip();
        congestion
    }

    /// Everything together is to stay at or below this. Who lies about what arrived gets the least (S-BWE-03).
    pub(super) fn target(&self) -> Bitrate {
        if self.counts.lies > 0 { self.bounds.min } else { self.estimator.target() }
    }

    /// Whether nothing has shown yet what the path carries.
    pub(super) fn is_guess(&self) -> bool {
        self.counts.lies == 0 && self.estimator.is_guess()
    }

    /// What is believed, if anything told.
    pub(super) fn available(&self) -> Option<Bitrate> {
        (self.kind != FeedbackKind::None).then(|| self.target())
    }

    /// Bytes of a datagram of video with all headers, on average.
    pub(super) fn mean(&self) -> usize {
        self.mean
    }

    /// Asks for the rate that is worth proving.
    pub(super) fn set_demand(&mut self, now: Instant) {
        let Some(sharing) = &self.sharing else { return };
        let demand = sharing.demand(now);
        if self.demand != demand {
            self.demand = demand;
            self.tell_departures();
            self.estimator.set_demand(now, demand);
        }
    }

    /// What is believed, if that is another rate by a hundredth than was told last, or has another cause.
    fn take_news(&mut self) -> Option<Choice> {
        let (reserve, video) = self.sharing.as_ref()?.taken();
        let basis = bwe::Basis { target: self.target(), ..self.estimator.basis() };
        let (rate, told) = (basis.target.as_bps(), self.told.0.as_bps());
        let news = rate.abs_diff(told) > told / 100 || basis.cause != self.told.1;
        news.then(|| {
            self.told = (basis.target, basis.cause);
            Choice::Estimate { basis, reserve, video }
        })
    }

    /// What is to be told of the estimate and of probes, one after the other.
    fn poll_choice(&mut self, now: Instant) -> Option<Choice> {
        let target = self.target();
        let proving = self.proving.as_mut()?;
        proving.poll(now, target).or_else(|| self.take_news())
    }

    /// Takes over how fast things leave.
    pub(super) fn pace(&mut self) {
        let rate = match self.kind {
            FeedbackKind::None => self.bounds.initial,
            _ if self.counts.lies > 0 => self.bounds.min,
            _ => self.estimator.pacing_rate(),
        };
        self.pacer.set_rate(rate);
    }

    /// Whose turn it is of what waits to leave.
    pub(super) fn turn(&mut self, now: Instant, repairs: usize, waiting: usize) -> Option<Turn> {
        self.wait(repairs, waiting);
        self.pacer.poll(now)
    }

    /// Whether as much waits to be sent again as leaves in time: more would be late, and at the cost of what is new.
    pub(super) fn repairs_enough(&self, repairs: usize) -> bool {
        let bits = (repairs * self.mean * 8) as u64;
        let millis = limits::REPAIR_QUEUE.as_millis() as u64;
        bits.saturating_mul(1_000) >= self.estimator.pacing_rate().as_bps().saturating_mul(millis)
    }

    fn wait(&mut self, repairs: usize, waiting: usize) {
        let (repair, media) = (repairs * self.mean, waiting.saturating_sub(repairs) * self.mean);
        self.pacer.set_waiting(Waiting { urgent: 0, repair, media });
    }

    /// When there is something to be done for what waits; a moment that has come means at once.
    pub(super) fn poll_timeout(
        &mut self,
        now: Instant,
        (repairs, waiting): (usize, usize),
        in_vain: bool,
    ) -> Option<Instant> {
        self.wait(repairs, waiting);
        let free = if self.pacer.poll(now).is_some() { now } else { self.pacer.free_at() };
        let media = (waiting > 0).then_some(free);
        let own = self.due(now).map(|at| {
            if at > now {
                at
            } else if in_vain || waiting > 0 {
                // It was asked, and wants what cannot be had, or not yet.
                now + limits::PROBE_RETRY
            } else {
                free
            }
        });
        [media, own].into_iter().flatten().min()
    }

    /// When the estimator wants to be asked.
    fn due(&self, now: Instant) -> Option<Instant> {
        #[cfg(test)]
        if !self.wanted.is_empty() {
            return Some(now);
        }
        let _ = now;
        self.estimator.poll_timeout()
    }

    /// The bytes of a packet that a probe wants now.
    pub(super) fn poll_probe(&mut self, now: Instant) -> Option<usize> {
        #[cfg(test)]
        if let Some(bytes) = self.wanted.pop() {
            return Some(bytes);
        }
        self.tell_departures();
        // Nobody is probed of whom nothing is heard (S-BWE-05), or who lies.
        let willing = self.counts.lies == 0 && self.kind != FeedbackKind::None;
        let heard = self.unheard.is_none_or(|since| now - since < limits::PROBE_PATIENCE);
        let wanted = self.estimator.poll_probe(now).filter(|_| willing && heard);
        self.note_probe(now, wanted.is_some());
        wanted
    }

    /// Notes whether a probe is being sent.
    fn note_probe(&mut self, now: Instant, wanted: bool) {
        let Some(proving) = &mut self.proving else { return };
        if wanted {
            let (rate, target) = (self.estimator.pacing_rate(), self.estimator.target());
            proving.begin(now, Probe { rate, target, demand: self.demand });
        } else {
            proving.end();
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.tell_departures();
        self.estimator.handle_timeout(now);
    }

    /// A datagram left in a transmit, which has a name if its departure may be told again; `again` if what is in it
    /// left before. Says whether the next number of its own stream is left out as well.
    pub(super) fn on_sent(
        &mut self,
        now: Instant,
        left: Left,
        size: usize,
        transmit: Option<u64>,
        again: bool,
    ) -> bool {
        self.unheard.get_or_insert(now);
        let by_stream = self.kind == FeedbackKind::Streams;
        if !left.numbered && self.kind == FeedbackKind::Transport {
            return false;
        }
        let stream = by_stream.then_some((left.ssrc, left.seq));
        let sent = Sent { at: now, number: self.departures.on_sent(stream), size };
        if let Some(proving) = &mut self.proving {
            proving.on_sent(sent, || self.estimator.pacing_rate());
        }
        match transmit {
            Some(transmit) => {
                if self.untold.len() >= UNTOLD {
                    self.tell_departures();
                }
                self.untold.push((transmit, sent));
            }
            None => self.tell(sent),
        }
        self.leave_out(left, again)
    }

    /// Now and then a number is left out, of the transport or of a stream of repetitions, where a gap means nothing.
    fn leave_out(&mut self, left: Left, again: bool) -> bool {
        if self.departures.next() < self.skip_at {
            return false;
        }
        match self.kind {
            FeedbackKind::Transport => self.departures.skip(None),
            FeedbackKind::Streams if again => {
                self.departures.skip(Some((left.ssrc, left.seq.wrapping_add(1))));
            }
            _ => return false,
        }
        self.choose_skip();
        self.kind == FeedbackKind::Streams
    }

    fn choose_skip(&mut self) {
        let distance = limits::SKIP_DISTANCE + self.random.below(limits::SKIP_DISTANCE);
        self.skip_at = self.departures.next() + distance;
    }

    /// What left of a queue that is paced.
    pub(super) fn on_paced(&mut self, now: Instant, class: Class, count: usize, bytes: usize) {
        self.pacer.on_sent(now, class, bytes);
        if let Some(mean) = bytes.checked_div(count) {
            self.mean = (7 * self.mean + mean) / 8;
        }
    }

    /// So many bytes of messages left. They have a window of their own and do not wait here; video does for them.
    pub(super) fn on_data(&mut self, now: Instant, bytes: usize) {
        self.pacer.on_sent(now, Class::Repair, bytes);
        if let Some(sharing) = &mut self.sharing {
            sharing.data.add(bytes);
        }
    }

    /// A transmit truly left at `at`, those before it when they were fetched.
    pub(super) fn on_departure(&mut self, at: Instant, transmit: u64) {
        let until = self.untold.partition_point(|(id, _)| *id <= transmit);
        for index in 0..until {
            let Some(&(id, sent)) = self.untold.get(index) else { break };
            let at = if id == transmit { at.max(sent.at) } else { sent.at };
            self.tell(Sent { at, ..sent });
        }
        self.untold.drain(..until);
    }

    /// Departures of which nothing truer will be told in time.
    fn tell_departures(&mut self) {
        self.on_departure(Instant::ZERO, u64::MAX);
    }

    fn tell(&mut self, sent: Sent) {
        self.latest = self.latest.max(sent.at);
        self.estimator.on_sent(Sent { at: self.latest, ..sent });
    }

    /// Something authentic came back.
    pub(super) fn on_heard(&mut self) {
        self.unheard = None;
    }

    /// Whether media was sent for so long without anything having been heard that it ends (RFC 8083, section 4.3).
    #[inline]
    pub(super) fn is_unheard(&self, now: Instant) -> bool {
        self.unheard.is_some_and(|since| now - since > limits::MEDIA_TIMEOUT)
    }

    /// Feedback is about to be read.
    pub(super) fn begin_feedback(&mut self) {
        self.tell_departures();
    }
}

/// What is believed where nothing was said of it.
pub(super) fn bwe_bounds() -> Config {
    Config { initial: limits::INITIAL_BITRATE, min: limits::MIN_BITRATE, max: limits::MAX_BITRATE }
}

/// Bytes of the headers in front of a datagram on its way: IP and UDP, or TCP with a frame's length.
pub(super) fn overhead(path: &Path) -> usize {
    let ip = if path.remote.ip().to_canonical().is_ipv4() { 20 } else { 40 };
    ip + match path.protocol {
        Protocol::Tcp => 22,
        _ => 8,
    }
}

/// Which transmits were whose, so that their departures find their way.
#[derive(Debug)]
pub(super) struct Transmits<K>(Box<[Option<(u64, K)>]>);

impl<K: Copy> Transmits<K> {
    pub(super) fn new() -> Self {
        Transmits(vec![None; limits::TRANSMITS].into_boxed_slice())
    }

    pub(super) fn add(&mut self, transmit: u64, owner: K) {
        let at = (transmit % limits::TRANSMITS as u64) as usize;
        if let Some(place) = self.0.get_mut(at) {
            *place = Some((transmit, owner));
        }
    }

    pub(super) fn owner(&self, transmit: u64) -> Option<K> {
        let at = (transmit % limits::TRANSMITS as u64) as usize;
        self.0.get(at)?.filter(|(id, _)| *id == transmit).map(|(_, owner)| owner)
    }
}
