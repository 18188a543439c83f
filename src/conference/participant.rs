//! One joined endpoint: its transport, what it sends, what it receives.

use crate::base::digest::debug;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{Duration, Instant};
use crate::base::units::Bitrate;
use crate::conference::budget::PublishBudget;
use crate::conference::config::{EngineConfig, ParticipantConfig};
use crate::conference::congestion::{Congestion, FeedbackKind};
use crate::conference::data::Messages;
use crate::conference::drops::DropTally;
use crate::conference::ids::{RoomId, SourceId, StreamId, SubscriptionId};
use crate::conference::lines::SharedLine;
use crate::conference::negotiation::Negotiation;
use crate::conference::receiving::Receiving;
use crate::conference::round_trip::ReferenceTimes;
use crate::conference::stats::ParticipantTraffic;
use crate::conference::view::Viewing;
use crate::forwarding::ladder::Wish;
use crate::forwarding::rewrite::Shift;
use crate::transport::network::Network;
use crate::wire::mux::Path;
use crate::wire::rtp::{SeqNo, Ssrc};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

/// What a participant's SSRC turned out to be, by the context that its first packet opened.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Role {
    /// Not settled: the next packet may tell, after another negotiation for instance.
    Open,
    Media(StreamId),
    /// Replaced by another SSRC of its source's encoding.
    Retired(SourceId, u8),
    /// Retransmissions of whatever stream the source's encoding has.
    Repair(SourceId, u8),
}

/// One datagram of media that waits to be sealed: names, not bytes.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct SendEntry {
    pub(super) subscription: SubscriptionId,
    pub(super) stream: StreamId,
    /// The source's number: where the history has it.
    pub(super) seq: SeqNo,
    /// The subscription's number.
    pub(super) out: SeqNo,
    pub(super) timestamp: u32,
    /// What is added to the numbers inside.
    pub(super) shift: Shift,
    /// The highest spatial layer sent: a picture ends with it.
    pub(super) top: u8,
    /// Without its payload: the number alone is needed.
    pub(super) emptied: bool,
    pub(super) retransmission: bool,
}

/// What waits to leave for one participant: first what fan-out touches, in the cache line of the slot's generation.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Egress {
    /// Video, and what is sent again, which goes first.
    pub(super) video: VecDeque<SendEntry>,
    /// The next transport-wide sequence number; the wire shows its low 16 bits.
    pub(super) transport_seq: u64,
    /// How many entries at the head of `video` are sent again.
    pub(super) repairs: u16,
    /// Whether the participant stands in the engine's line of those with something to send.
    pub(super) ready: bool,
    /// Whether there may be more to send than the queues: checks, a handshake, RTCP.
    pub(super) control: bool,
    /// Whether video waits for its time.
    pub(super) held: bool,
    /// Whether the time of video or of a probe has come.
    pub(super) due: bool,
    /// Whether what is sent is fitted to the path.
    pub(super) fitted: bool,
    /// Whether data channels may have something to send.
    pub(super) data: bool,
    pub(super) feedback: FeedbackKind,
    /// Sound: it waits for nothing but its turn.
    pub(super) audio: VecDeque<SendEntry>,
    /// There from the first media on.
    pub(super) congestion: Option<Box<Congestion>>,
}

impl Egress {
    /// Whether a participant that was written to has to be asked again.
    pub(super) fn has_more(&self) -> bool {
        self.control
            || self.data
            || !self.audio.is_empty()
            || self.due
            || (!self.held && !self.video.is_empty())
    }

    /// How many packets wait.
    pub(super) fn len(&self) -> usize {
        self.audio.len() + self.video.len()
    }

    /// Queues a packet that is sent again, behind those before it and before what is new.
    pub(super) fn push_repair(&mut self, entry: SendEntry) {
        self.video.insert(self.repairs.into(), entry);
        // The queue is shorter than 65,536.
        self.repairs = self.repairs.saturating_add(1);
    }

    /// What is agreed on for feedback; what is known by another kind is known no more.
    pub(super) fn agree(&mut self, feedback: FeedbackKind, config: &EngineConfig) {
        let told = feedback != FeedbackKind::None && config.estimate.is_some();
        let (feedback, fitted) =
            if told { (feedback, true) } else { (FeedbackKind::None, config.blind_rate.is_some()) };
        if (self.feedback, self.fitted) != (feedback, fitted) {
            (self.feedback, self.fitted, self.congestion) = (feedback, fitted, None);
            (self.held, self.due) = (false, false);
        }
    }

    /// How many of a subscription's latest numbers, up to `highest`, wait in the queues.
    pub(super) fn unsent(&self, subscription: SubscriptionId, highest: SeqNo) -> u64 {
        let entries = self.audio.iter().rev().chain(self.video.iter().rev());
        let media = entries.filter(|entry| entry.subscription == subscription && !entry.retransmission);
        let outs = media.zip(0u64..).take_while(|(entry, at)| entry.out.0.wrapping_add(*at) == highest.0);
        outs.count() as u64
    }

    /// Folds it into the digest of the engine's state (I-03).
    pub(super) fn digest(&self, state: &mut impl Hasher) {
        (&self.video, &self.audio, self.transport_seq, self.repairs).hash(state);
        (self.ready, self.control, self.held, self.due, self.fitted, self.data, self.feedback).hash(state);
        debug(&self.congestion, state);
    }
}

/// What a participant is owed by a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// ICE and DTLS.
    Network,
    /// Feedback on what it publishes.
    Feedback,
    /// Requests for missing packets.
    Repair,
    /// Key frame requests held back by their spacing.
    Keyframes,
    /// Sender and receiver reports.
    Reports,
    /// Old packets of its streams.
    Prune,
    /// The layers of what it publishes are measured.
    Ladder,
    /// It has to be connected by then.
    Connect,
    /// Video or a probe may leave, or the estimate falls.
    Pace,
    /// Messages that were held back may be read.
    Messages,
}

impl Timer {
    pub(super) const ALL: [Timer; 10] = [
        Timer::Network,
        Timer::Feedback,
        Timer::Repair,
        Timer::Keyframes,
        Timer::Reports,
        Timer::Prune,
        Timer::Ladder,
        Timer::Connect,
        Timer::Pace,
        Timer::Messages,
    ];
}

/// The deadlines of one participant and the one that stands in the engine's queue for it.
#[derive(Debug, Default, Hash)]
pub(super) struct Timers {
    at: [Option<Instant>; Timer::ALL.len()],
    pub(super) queued: Option<Instant>,
}

impl Timers {
    /// Sets `timer` unless it is due earlier already.
    pub(super) fn arm(&mut self, timer: Timer, at: Instant) {
        if let Some(slot) = self.at.get_mut(timer as usize) {
            *slot = Some(slot.map_or(at, |before| before.min(at)));
        }
    }

    pub(super) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        if let Some(slot) = self.at.get_mut(timer as usize) {
            *slot = at;
        }
    }

    pub(super) fn is_armed(&self, timer: Timer) -> bool {
        self.at(timer).is_some()
    }

    /// When `timer` is due.
    pub(super) fn at(&self, timer: Timer) -> Option<Instant> {
        self.at.get(timer as usize).copied().flatten()
    }

    /// True once if `timer` is due.
    pub(super) fn take_due(&mut self, timer: Timer, now: Instant) -> bool {
        match self.at.get_mut(timer as usize) {
            Some(slot) if slot.is_some_and(|at| at <= now) => {
                *slot = None;
                true
            }
            _ => false,
        }
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.at.iter().flatten().min().copied()
    }
}

/// RTCP that is due to a participant; written when its turn to send comes.
#[derive(Debug, Default, Hash)]
pub(super) struct RtcpDue {
    pub(super) feedback: bool,
    pub(super) nacks: bool,
    pub(super) keyframes: bool,
    /// A round of reports that is under way.
    pub(super) reports: Option<Round>,
    /// The subscription that the next round begins with.
    pub(super) first_report: usize,
    pub(super) pace: FeedbackPace,
    /// Most participants have none of it.
    pub(super) seldom: Option<Box<Seldom>>,
}

/// What goes with reports now and then.
#[derive(Debug, Default, Hash)]
pub(super) struct Seldom {
    pub(super) times: ReferenceTimes,
    /// SSRCs of ours that ended: it is told so (RFC 3550, section 6.6).
    pub(super) ended: Vec<Ssrc>,
}

impl RtcpDue {
    pub(super) fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    /// Whether streams have ended and their receiver does not know yet.
    pub(super) fn has_ended(&self) -> bool {
        self.seldom.as_ref().is_some_and(|seldom| !seldom.ended.is_empty())
    }
}

/// A round of reports: once over the subscriptions, in a few datagrams.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Round {
    /// The next subscription; counts on beyond their number.
    pub(super) next: usize,
    /// How many are still to come.
    pub(super) left: usize,
    pub(super) datagrams: u8,
}

impl Round {
    /// What is left behind a datagram, unless it was the last that the round may take.
    pub(super) fn another(self) -> Option<Round> {
        let datagrams = self.datagrams + 1;
        (self.left > 0 && datagrams < limits::REPORT_DATAGRAMS).then_some(Round { datagrams, ..self })
    }
}

/// How often a publisher gets feedback: seldom, if it sends little (S-RTCP-09).
#[derive(Debug, Default, Hash)]
pub(super) struct FeedbackPace {
    /// When the last one was sent, and what authentic media had come until then.
    last: Option<(Instant, u64)>,
    interval: Duration,
    /// Of the present one: what was written of it.
    written: u32,
    datagrams: u8,
}

impl FeedbackPace {
    /// Between an arrival and the feedback on it.
    pub(super) fn interval(&self) -> Duration {
        self.interval.clamp(limits::FEEDBACK_INTERVAL, limits::FEEDBACK_INTERVAL_MAX)
    }

    /// A datagram of `len` bytes was written of it. Whether there may be another one.
    pub(super) fn takes_another(&mut self, len: usize) -> bool {
        // Datagrams are short and few.
        self.written = self.written.saturating_add(len as u32);
        self.datagrams = self.datagrams.saturating_add(1);
        self.datagrams < limits::FEEDBACK_DATAGRAMS
    }

    /// It was written to who sent `received` authentic bytes so far: the next interval is such that as long a one
    /// has its share of as much media.
    pub(super) fn on_feedback(&mut self, now: Instant, received: u64) {
        let len = std::mem::take(&mut self.written);
        self.datagrams = 0;
        if let Some((at, before)) = self.last.replace((now, received)) {
            let share = (received.saturating_sub(before) * limits::FEEDBACK_PERCENT / 100).max(1);
            let micros = (now - at).as_micros() * u128::from(len) / u128::from(share);
            self.interval = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        }
    }
}

/// RTCP datagrams taken in the current second (S-RTCP-02), numbers of NACKs looked up (S-RTCP-03), and numbers of
/// congestion feedback (S-BWE-01).
#[derive(Debug, Default, Hash)]
pub(super) struct RtcpBudget {
    second: u64,
    taken: u32,
    numbers: u32,
    told: u32,
}

impl RtcpBudget {
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let second = now.as_micros() / 1_000_000;
        if second != self.second {
            *self = RtcpBudget { second, ..RtcpBudget::default() };
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= limits::RTCP_PER_SECOND
    }

    /// How many of so many numbers are looked up, of a datagram that was taken.
    pub(super) fn take_numbers(&mut self, asked: usize) -> usize {
        let left = limits::NACKED_PER_SECOND - self.numbers;
        let taken = left.min(u32::try_from(asked).unwrap_or(u32::MAX));
        self.numbers += taken;
        taken as usize
    }

    /// Whether more congestion feedback of this second is read, of a datagram that was taken.
    pub(super) fn is_told(&self) -> bool {
        self.told < limits::TOLD_PER_SECOND
    }

    /// So many numbers of it were looked up.
    pub(super) fn take_told(&mut self, numbers: usize) {
        self.told = self.told.saturating_add(u32::try_from(numbers).unwrap_or(u32::MAX));
    }
}

/// A participant as the engine holds it. What each datagram that leaves touches comes first, in three cache lines.
#[repr(C)]
pub(super) struct ParticipantState {
    pub(super) egress: Egress,
    pub(super) network: Network,
    pub(super) room: RoomId,
    pub(super) path: Option<Path>,
    pub(super) traffic: ParticipantTraffic,
    pub(super) contexts: Vec<Role>,
    pub(super) budget: PublishBudget,
    pub(super) receiving: Receiving,
    pub(super) timers: Timers,
    pub(super) rtcp: RtcpDue,

    pub(super) config: ParticipantConfig,
    pub(super) negotiation: Negotiation,
    /// Said [`crate::Event::NegotiationNeeded`] since the last offer.
    pub(super) negotiation_announced: bool,
    pub(super) connected: bool,
    /// [`crate::Event::Connected`] was said.
    pub(super) announced: bool,
    pub(super) sources: SmallVec<[SourceId; 2]>,
    /// Sources it ever published: the number of the next one.
    pub(super) sources_published: u32,
    pub(super) subscriptions: Vec<SubscriptionId>,
    /// Lines that its sources share, if they have none of their own.
    pub(super) lines: Vec<SharedLine>,
    /// What its view is, if it is not the room's.
    pub(super) viewing: Option<Box<Viewing>>,
    /// Ours towards it: the sender of reports and feedback.
    pub(super) ssrc: Ssrc,
    /// Binds its sources' streams together for their receivers (RFC 3550, section 6.5.1); random, so it
    /// tells nothing of the publisher (S-RTP-13).
    pub(super) cname: String,
    /// Where the sequence of SSRCs of what is sent to it stands.
    pub(super) ssrcs: u32,
    pub(super) reduced_size_rtcp: bool,
    /// What it is sent at most, by the embedder.
    pub(super) ceiling: Option<Bitrate>,
    /// What it wants of each video at most.
    pub(super) video_wish: Wish,
    /// The last round trip that was measured.
    pub(super) rtt: Option<Duration>,
    pub(super) rtcp_budget: RtcpBudget,
    /// When one of its SSRCs last changed its m-line (S-RTP-06).
    pub(super) rebound: Option<Instant>,
    pub(super) messages: Messages,
    pub(super) drops: DropTally,
    pub(super) random: Random,
}

// Behind the generation of its slot: what fan-out of video touches in one cache line, the rest of the queues and the
// keys in another, the path and what is counted in two.
const _: () = {
    assert!(8 + std::mem::offset_of!(Egress, audio) <= 64);
    assert!(8 + std::mem::offset_of!(ParticipantState, network) + size_of::<usize>() <= 128);
    let path = 8 + std::mem::offset_of!(ParticipantState, path);
    assert!(path % 64 + size_of::<Option<Path>>() + 4 * size_of::<u64>() <= 128);
};

impl ParticipantState {
    /// The round trip that requests and their answers are paced by.
    pub(super) fn round_trip(&self) -> Duration {
        self.rtt.unwrap_or(limits::DEFAULT_RTT)
    }

    /// Takes a round trip as it was measured. The last one counts: reports come seconds apart, and a mean
    /// over several would tell of another path than this one (S-RTCP-07 bounds what it can be).
    pub(super) fn set_round_trip(&mut self, measured: Duration) {
        self.rtt = Some(measured.clamp(limits::MIN_RTT, limits::MAX_RTT));
    }

    /// Its datagrams go this way from now on; returns the way before.
    pub(super) fn set_path(&mut self, path: Option<Path>) -> Option<Path> {
        let before = std::mem::replace(&mut self.path, path);
        self.traffic.path_changes = self.traffic.path_changes.saturating_add(u32::from(before != path));
        before
    }

    /// An SSRC that was not used towards this participant before. An odd step visits each of the 2^32
    /// values once, so that none comes twice under a key (I-10).
    pub(super) fn fresh_ssrc(&mut self) -> Ssrc {
        loop {
            self.ssrcs = self.ssrcs.wrapping_add(0x9e37_79b1);
            let ssrc = Ssrc(self.ssrcs);
            if ssrc.0 != 0 && ssrc != self.ssrc {
                return ssrc;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_rtcp_03_so_many_numbers_are_looked_up_in_a_second() {
        let mut budget = RtcpBudget::default();
        let mut looked_up = |millis: u64, asked| {
            assert!(budget.take(Instant::from_millis(millis)));
            budget.take_numbers(asked)
        };
        assert_eq!(looked_up(1_000, 10_000), 10_000);
        assert_eq!(looked_up(1_500, 10_000), limits::NACKED_PER_SECOND as usize - 10_000);
        assert_eq!(looked_up(1_999, 1), 0);
        assert_eq!(looked_up(2_000, 1), 1);
    }

    #[test]
    fn s_rtcp_09_a_round_ends_with_its_fourth_datagram() {
        let mut round = Some(Round { next: 0, left: 200, datagrams: 0 });
        let mut datagrams = 0;
        while let Some(mut under_way) = round {
            datagrams += 1;
            (under_way.next, under_way.left) = (under_way.next + 20, under_way.left - 20);
            round = under_way.another();
        }
        assert_eq!(datagrams, limits::REPORT_DATAGRAMS);
        assert!(Round { next: 9, left: 0, datagrams: 0 }.another().is_none());
    }

    #[test]
    fn s_rtcp_09_feedback_is_seldom_where_little_is_sent() {
        let second = |n: u64| Instant::from_millis(1_000 * n);
        let mut pace = FeedbackPace::default();
        assert_eq!(pace.interval(), limits::FEEDBACK_INTERVAL);
        let mut after = |at, received| {
            assert!(pace.takes_another(50) && pace.takes_another(30));
            pace.on_feedback(at, received);
            pace.interval()
        };
        assert_eq!(after(second(1), 1_000), limits::FEEDBACK_INTERVAL, "nothing to go by yet");
        // 80 bytes are 3 % of what comes in 267 ms.
        assert_eq!(after(second(2), 11_000).as_millis(), 266);
        assert_eq!(after(second(3), 1_000_000), limits::FEEDBACK_INTERVAL);
        assert_eq!(after(second(4), 1_000_000), limits::FEEDBACK_INTERVAL_MAX, "nothing was sent");
    }

    #[test]
    fn s_rtcp_09_feedback_ends_with_its_fourth_datagram() {
        let mut pace = FeedbackPace::default();
        for _ in 0..2 {
            let datagrams =
                std::iter::repeat_with(|| pace.takes_another(1_000)).take_while(|more| *more).count();
            assert_eq!(datagrams + 1, usize::from(limits::FEEDBACK_DATAGRAMS));
            pace.on_feedback(Instant::from_millis(1), 1);
        }
    }
}
