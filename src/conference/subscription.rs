//! One source forwarded to one participant.

use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::Instant;
use crate::conference::ids::{ParticipantId, SourceId};
use crate::conference::source::Moment;
use crate::conference::stats::RemoteInboundStats;
use crate::congestion::allocation::Reason;
use crate::forwarding::ladder::Wish;
use crate::forwarding::layers::Layer;
use crate::forwarding::rewrite::{Rewriter, Spans};
use crate::wire::rtp::{SeqNo, Ssrc};
use smallvec::SmallVec;

/// No payload type or extension was negotiated.
pub(super) const UNNEGOTIATED: u8 = 0;

/// Which header extensions a datagram of this subscription carries, and under which id.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct EgressExtensions {
    /// Whether a packet's elements may take the two-byte form where one needs it (RFC 8285, section 6).
    pub(super) mixed: bool,
    pub(super) transport_sequence_number: u8,
    pub(super) abs_send_time: u8,
    /// The ids of extensions that are passed on, by [`crate::rtp::ExtensionKind::index`].
    pub(super) forwarded: [u8; crate::wire::rtp::ExtensionKind::COUNT],
}

/// A subscription: first what each datagram needs, in two cache lines, then what reports and repair need.
#[repr(C)]
pub(super) struct Subscription {
    pub(super) ssrc: Ssrc,
    pub(super) rtx_ssrc: Ssrc,
    pub(super) sent: Sent,
    pub(super) rtx_next: SeqNo,
    pub(super) extensions: EgressExtensions,
    /// Payload types by the engine's codec, plain and as retransmission; payload type 0 is never
    /// negotiated for what the engine forwards.
    pub(super) payload_types: [u8; limits::CODECS],
    pub(super) rtx_payload_types: [u8; limits::CODECS],

    pub(super) subscriber: ParticipantId,
    pub(super) source: SourceId,
    pub(super) resent: Sent,
    /// Whose CNAME its SSRC was announced under (RFC 5576, section 6.1): the publisher's, or the
    /// subscriber's if its line was there before the source.
    pub(super) named_after: ParticipantId,
    /// Its name among the slots of the negotiation: its own, or that of the shared line which it has.
    pub(super) slot: u64,
    /// Asked for by hand: no view ends it.
    pub(super) by_hand: bool,
    /// Out of its subscriber's view: nothing is sent for the time being.
    pub(super) hidden: bool,
    /// Whether the embedder was told that it is seen.
    pub(super) told: bool,
    /// Where it stands in the source's audience while it receives.
    pub(super) seat: Option<usize>,
    /// Whether the subscriber's session has a line for it.
    pub(super) negotiated: bool,
    pub(super) retransmissions: Retransmissions,
    pub(super) requests: Requests,
    /// How its receiver says that it arrives, if it said so.
    pub(super) arrives: Option<RemoteInboundStats>,
    /// Middle bits of the last sender report's wall time, and when it was sent: for the round trip.
    pub(super) reported: Option<(u32, Instant)>,
    /// Packets that the last sender report told of.
    pub(super) reported_packets: u64,
    /// What its subscriber wants at most.
    pub(super) wish: Wish,
    /// Its share of what the path carries, and why it is not more.
    pub(super) granted: Option<Layer>,
    pub(super) reason: Reason,
    /// What was sent before under other numbers, for late packets and NACKs.
    pub(super) spans: Spans,
    /// The last of another source that its line carried before, in the line's own time.
    pub(super) left: Option<Moment>,
    /// Its numbers while it does not receive; while it does they stand in the source's audience.
    pub(super) rewriter: Rewriter,
}

/// What two SSRCs, of media and of retransmissions, have used up: it outlives the source that is sent.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    rewriter: Rewriter,
    rtx_next: SeqNo,
    sent: Sent,
    reported_packets: u64,
    retransmissions: Retransmissions,
    resent: Sent,
    requests: Requests,
    arrives: Option<RemoteInboundStats>,
    /// What was wished for where it is shown: it holds until something else is.
    wish: Wish,
    left: Option<Moment>,
}

impl Numbers {
    /// Nothing was sent so far.
    pub(super) fn new(random: &mut Random) -> Self {
        // Our streams start below 32,768 so that loss around the first packets cannot be taken for a
        // wrap (S-SRTP-04).
        let mut start = || SeqNo(1 + random.below(32_000));
        let (first_seq, rtx_next) = (start(), start());
        Numbers {
            rewriter: Rewriter::new(first_seq, random.next_u32()),
            rtx_next,
            sent: Sent::default(),
            reported_packets: 0,
            retransmissions: Retransmissions::default(),
            resent: Sent::default(),
            requests: Requests::default(),
            arrives: None,
            wish: Wish::default(),
            left: None,
        }
    }
}

// Behind the generation of its slot.
const _: () = assert!(8 + std::mem::offset_of!(Subscription, subscriber) <= 128);

impl Subscription {
    pub(super) fn new(
        subscriber: ParticipantId,
        (source, publisher): (SourceId, ParticipantId),
        (ssrc, rtx_ssrc): (Ssrc, Ssrc),
        slot: u64,
        numbers: Numbers,
    ) -> Self {
        Subscription {
            subscriber,
            source,
            ssrc,
            rtx_ssrc,
            payload_types: [UNNEGOTIATED; limits::CODECS],
            rtx_payload_types: [UNNEGOTIATED; limits::CODECS],
            extensions: EgressExtensions::default(),
            sent: numbers.sent,
            rtx_next: numbers.rtx_next,
            resent: numbers.resent,
            named_after: publisher,
            slot,
            by_hand: false,
            hidden: false,
            told: false,
            seat: None,
            negotiated: false,
            retransmissions: numbers.retransmissions,
            requests: numbers.requests,
            arrives: numbers.arrives,
            reported: None,
            reported_packets: numbers.reported_packets,
            wish: numbers.wish,
            granted: None,
            reason: Reason::All,
            spans: Spans::default(),
            left: numbers.left,
            rewriter: numbers.rewriter,
        }
    }

    /// What goes on under its SSRCs without it; `left` is the last that it sent, in its own time, and so many
    /// packets with the last numbers are `unsent`.
    pub(super) fn into_numbers(mut self, left: Option<Moment>, unsent: u64) -> Numbers {
        self.rewriter.hand_over(unsent);
        Numbers {
            rewriter: self.rewriter,
            rtx_next: self.rtx_next,
            sent: self.sent,
            reported_packets: self.reported_packets,
            retransmissions: self.retransmissions,
            resent: self.resent,
            requests: self.requests,
            arrives: self.arrives,
            wish: self.wish,
            left,
        }
    }
}

/// What was sent, for sender reports (RFC 3550, section 6.4.1) and the share of retransmissions.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Sent {
    pub(super) packets: u64,
    pub(super) payload_bytes: u64,
}

impl Sent {
    pub(super) fn add(&mut self, payload_len: usize) {
        self.packets += 1;
        self.payload_bytes += payload_len as u64;
    }
}

/// What the subscriber asked for.
#[derive(Debug, Default, Clone, Copy, Hash)]
pub(super) struct Requests {
    pub(super) nacks: u32,
    pub(super) plis: u32,
    pub(super) firs: u32,
    /// Numbers that were asked for and not sent again.
    pub(super) retransmissions_refused: u64,
    /// Requests for key frames that nothing came of.
    pub(super) keyframes_refused: u32,
    /// Who sent the last FIR, and its number.
    last_fir: Option<(Ssrc, u8)>,
}

impl Requests {
    /// Counts a request for a key frame: a PLI, or a FIR by its sender and number. False for a FIR that
    /// repeats the one before under its number (RFC 5104, section 4.3.1.1): it is the same request.
    pub(super) fn take_keyframe(&mut self, fir: Option<(Ssrc, u8)>) -> bool {
        if fir.is_none() {
            self.plis = self.plis.saturating_add(1);
        } else if fir == self.last_fir {
            return false;
        } else {
            self.firs = self.firs.saturating_add(1);
            self.last_fir = fir;
        }
        true
    }
}

/// Which packets were retransmitted lately, and how much in all (S-RTCP-03).
#[derive(Debug, Default, Clone)]
pub(super) struct Retransmissions {
    recent: SmallVec<[(SeqNo, Instant); 4]>,
    bytes: u64,
}

impl Retransmissions {
    /// Whether `seq` may be sent again: once a round trip, and at most a share of what was sent.
    pub(super) fn allow(
        &mut self,
        now: Instant,
        rtt: std::time::Duration,
        seq: SeqNo,
        len: u64,
        sent: &Sent,
    ) -> bool {
        self.recent.retain(|(_, at)| now - *at < rtt);
        let budget = sent.payload_bytes / 100 * limits::RETRANSMISSION_PERCENT + limits::RETRANSMISSION_BURST;
        let known = self.recent.iter().any(|(recent, _)| *recent == seq);
        if known || self.recent.len() >= limits::RETRANSMISSIONS_REMEMBERED || self.bytes + len > budget {
            return false;
        }
        self.recent.push((seq, now));
        self.bytes += len;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn s_rtcp_04_a_fir_that_is_repeated_is_one_request() {
        let mut requests = Requests::default();
        let fir = |sender, number| Some((Ssrc(sender), number));
        assert!(requests.take_keyframe(fir(1, 255)));
        assert!(!requests.take_keyframe(fir(1, 255)));
        assert!(requests.take_keyframe(None), "a PLI has no number");
        assert!(!requests.take_keyframe(fir(1, 255)));
        assert!(requests.take_keyframe(fir(1, 0)));
        assert!(requests.take_keyframe(fir(2, 0)), "numbers are each sender's own");
        assert_eq!((requests.plis, requests.firs), (1, 3));
    }

    #[test]
    fn s_rtcp_03_each_number_once_a_round_trip_and_a_share_of_the_bytes() {
        let mut retransmissions = Retransmissions::default();
        let sent = Sent { payload_bytes: 1_000_000, ..Sent::default() };
        let rtt = Duration::from_millis(100);
        let mut allow = |at: u64, seq: u64, len: u64| {
            retransmissions.allow(Instant::from_millis(at), rtt, SeqNo(seq), len, &sent)
        };
        assert!(allow(0, 1, 1_000));
        assert!(!allow(99, 1, 1_000), "answered within this round trip");
        assert!(allow(100, 1, 1_000));
        let mut bytes = 2_000;
        for n in 2..10_000 {
            bytes += if allow(100 + 2 * n, n, 1_000) { 1_000 } else { 0 };
        }
        assert!(bytes <= 250_000 + limits::RETRANSMISSION_BURST);
        assert!(bytes > 250_000);
    }
}
