//! Counters and gauges to be read; nothing here is ever sent or logged.

use crate::base::time::Duration;
use crate::conference::drops::{DropCounters, DropReason, DropTally};
use crate::wire::mux::Ecn;
use crate::wire::rtcp::ReportBlock;

/// Datagrams and what became of them, both ways.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) datagrams_sent: u64,
    pub(super) bytes_sent: u64,
    /// Of what was queued: sealed and handed out.
    pub(super) forwarded: u64,
    /// Of what was forwarded: retransmissions.
    pub(super) retransmitted: u64,
    pub(super) datagrams_received: u64,
    pub(super) bytes_received: u64,
    /// Of what was received: STUN, DTLS and RTCP that were taken.
    pub(super) consumed: u64,
    /// Of what was received: packets kept in a history.
    pub(super) media_received: u64,
    /// Of what was received: dropped.
    pub(super) received_dropped: u64,
    /// Entries put into send queues.
    pub(super) queued: u64,
    /// Of what was queued: dropped afterwards.
    pub(super) queued_dropped: u64,
    pub(super) ecn_ce_received: u64,
    /// Messages of data channels: read, and queued for somebody.
    pub(super) messages_received: u64,
    pub(super) messages_sent: u64,
    /// Packets of theirs that were dropped, in whole or in part, and messages.
    pub(super) messages_dropped: u64,
}

impl Traffic {
    pub(super) fn on_sent(&mut self, bytes: usize, datagrams: usize) {
        self.datagrams_sent += datagrams as u64;
        self.bytes_sent += bytes as u64;
    }
}

/// The same of one participant, as far as it is told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct ParticipantTraffic {
    // First what each datagram that leaves counts.
    pub(super) datagrams_sent: u64,
    pub(super) bytes_sent: u64,
    pub(super) forwarded: u64,
    /// Of what was forwarded: retransmissions.
    pub(super) retransmitted: u64,
    pub(super) datagrams_received: u64,
    pub(super) bytes_received: u64,
    pub(super) media_received: u64,
    pub(super) feedback_received: u64,
    /// Reports on streams to it (RFC 8888).
    pub(super) ccfb_sent: u64,
    /// RTP packets that came marked.
    pub(super) with_ect1: u64,
    pub(super) with_ce: u64,
    /// Requests about streams that it does not receive.
    pub(super) requests_refused: u32,
    /// How often its datagrams took another way.
    pub(super) path_changes: u32,
}

impl ParticipantTraffic {
    /// An RTP packet came with this mark.
    #[inline]
    pub(super) fn on_mark(&mut self, ecn: Ecn) {
        self.with_ect1 += u64::from(ecn == Ecn::Ect1);
        self.with_ce += u64::from(ecn == Ecn::Ce);
    }

    pub(super) fn on_sent(&mut self, bytes: usize, datagrams: usize) {
        self.datagrams_sent += datagrams as u64;
        self.bytes_sent += bytes as u64;
    }
}

/// What an engine did so far, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// Rooms now.
    pub rooms: usize,
    /// Participants now.
    pub participants: usize,
    /// Sources now.
    pub sources: usize,
    /// Subscriptions now.
    pub subscriptions: usize,
    /// TCP streams now.
    pub streams: usize,
    /// Of those: nobody authenticated on them yet.
    pub streams_unproven: usize,
    /// Pages of history in use now, [`crate::limits::HISTORY_PAGE`] bytes each.
    pub history_pages: usize,
    /// Datagrams handed in.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Datagrams handed out.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// STUN, DTLS and RTCP datagrams that were taken.
    pub datagrams_consumed: u64,
    /// Messages of data channels that were read.
    pub messages_received: u64,
    /// The same that were queued for a participant, once for each.
    pub messages_sent: u64,
    /// Packets of data channels that were dropped, in whole or in part, though their datagrams were taken; and messages
    /// that were dropped, once for each receiver.
    pub messages_dropped: u64,
    /// RTP packets that were authenticated and kept for forwarding or absorbed.
    pub media_received: u64,
    /// Datagrams that were dropped on the way in.
    pub datagrams_dropped: u64,
    /// Packets put into the queues of receivers.
    pub packets_queued: u64,
    /// Queued packets that were sealed and handed out.
    pub packets_forwarded: u64,
    /// Queued packets that were dropped: expired, unsubscribed, too long, their receiver gone.
    pub packets_dropped: u64,
    /// Datagrams received with congestion experienced (RFC 3168).
    pub ecn_ce_received: u64,
    pub(super) drops: DropCounters,
}

impl EngineStats {
    /// How often something was dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason.index())
    }

    /// All drops, whatever the reason.
    pub fn dropped_in_all(&self) -> u64 {
        self.drops.total()
    }
}

/// What one participant sent and received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParticipantStats {
    /// Whether its handshake is done.
    pub connected: bool,
    /// Round-trip time by its last report, or [`crate::limits::DEFAULT_RTT`] while none told it.
    pub round_trip_time: Duration,
    /// Datagrams from it.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Datagrams to it.
    pub datagrams_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// RTP packets of its sources that were taken.
    pub packets_received: u64,
    /// RTP packets forwarded to it, retransmissions included.
    pub packets_forwarded: u64,
    /// Of those, retransmissions.
    pub retransmitted_packets_sent: u64,
    /// Congestion feedback packets from it, transport-wide and of streams (RFC 8888).
    pub feedback_received: u64,
    /// Its requests (NACK, PLI, FIR) about streams that it does not receive: nothing was done.
    pub requests_refused: u64,
    /// Packets of its sources missing now and asked for.
    pub packets_missing: usize,
    /// Packets waiting to be sent to it now.
    pub packets_queued: usize,
    pub(super) drops: DropTally,
}

impl ParticipantStats {
    /// How often something of or for it was dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason.index())
    }
}

impl ParticipantStats {
    /// Those of somebody who left.
    pub(super) fn nobody() -> Self {
        ParticipantStats {
            connected: false,
            round_trip_time: Duration::ZERO,
            datagrams_received: 0,
            bytes_received: 0,
            datagrams_sent: 0,
            bytes_sent: 0,
            packets_received: 0,
            packets_forwarded: 0,
            retransmitted_packets_sent: 0,
            feedback_received: 0,
            requests_refused: 0,
            packets_missing: 0,
            packets_queued: 0,
            drops: DropTally::new(),
        }
    }
}

/// How a stream arrives, as its receiver reports it (RTCRemoteInboundRtpStreamStats; RFC 3550, section 6.4.1).
/// Nobody checks what it says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RemoteInboundStats {
    /// Packets that never came there, less those that came twice.
    pub packets_lost: i32,
    /// The share of packets lost between its last two reports, from 0 to 1.
    pub fraction_lost: f64,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// The round trip by the last report that answered one of ours.
    pub round_trip_time: Option<Duration>,
    /// The highest number that had come.
    highest: u32,
}

impl RemoteInboundStats {
    pub(super) fn new(block: &ReportBlock, clock_rate: u32, round_trip_time: Option<Duration>) -> Self {
        let micros = u64::from(block.jitter) * 1_000_000;
        RemoteInboundStats {
            packets_lost: block.cumulative_lost,
            fraction_lost: f64::from(block.fraction_lost) / 256.0,
            jitter: Duration::from_micros(micros.checked_div(clock_rate.into()).unwrap_or(0)),
            round_trip_time,
            highest: block.highest_seq,
        }
    }

    /// Packets that were expected since a report before, as far as can be.
    pub(super) fn packets_since(&self, before: &RemoteInboundStats) -> u32 {
        let since = self.highest.wrapping_sub(before.highest);
        if since > 1 << 16 { 0 } else { since }
    }
}
