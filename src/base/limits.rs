//! Every limit of the engine, each with its reason. A limit is the largest value still allowed.

use std::time::Duration;

// --- datagrams ---------------------------------------------------------------------------------

/// Bytes of a received datagram. WebRTC stays below 1,500; twice the common jumbo-free MTU leaves
/// room for tunnels and refuses the rest before any parser runs.
pub const DATAGRAM: usize = 2_048;

/// Bytes of a datagram we send: safe through common tunnels and PPPoE with IPv6, and large enough
/// for what browsers packetise (at most 1,200 bytes of payload and header before our extensions).
pub const MTU: usize = 1_400;

// --- one stream --------------------------------------------------------------------------------

/// Bytes of one page of a history. An audio stream fills one in about two seconds, a video stream of
/// 1 Mbit/s eight in one; the last packet that does not fit wastes at most a datagram.
pub const HISTORY_PAGE: usize = 16 * 1_024;

/// Pages of one stream's history: 512 KiB hold a second of 4 Mbit/s.
pub const HISTORY_PAGES_PER_STREAM: usize = 32;

/// How long a packet waits in the history: a retransmission later than that is of no use to a decoder.
pub const HISTORY_AGE: Duration = Duration::from_millis(1_000);

/// Packets that one stream's history can name at once; a power of two.
pub const HISTORY_PACKETS: usize = 2_048;

/// Missing packets of one stream that are asked for at once; more is a gap that only a key frame mends
/// (S-RTP-07).
pub const MISSING_PACKETS: usize = 256;

/// How often one missing packet is asked for (S-RTP-07).
pub const NACK_TRIES: u8 = 10;

/// How long a gap may be mere reordering before it is asked for.
pub const NACK_REORDERING: Duration = Duration::from_millis(10);

/// The round trip assumed until one was measured.
pub const DEFAULT_RTT: Duration = Duration::from_millis(100);

/// Between two key frame requests to one source, whatever its subscribers ask (S-RTCP-04).
pub const KEYFRAME_INTERVAL: Duration = Duration::from_millis(500);

/// Share of a subscription's sent bytes that may be spent on answers to its NACKs, in percent
/// (S-RTCP-03).
pub const RETRANSMISSION_PERCENT: u64 = 25;

/// Bytes that may be retransmitted before that share is reached: a key frame's worth.
pub const RETRANSMISSION_BURST: u64 = 128 * 1_024;

/// Retransmissions of one subscription remembered so that each is answered once per round trip.
pub const RETRANSMISSIONS_REMEMBERED: usize = 64;

// --- one participant ---------------------------------------------------------------------------

/// Packets waiting to be sent to one participant; further ones are dropped and counted. Half a second
/// of a large room's media.
pub const SEND_QUEUE: usize = 4_096;

/// Datagrams of media in one transmit: more would let one participant hold up the others.
pub const TRANSMIT_BURST: usize = 32;

/// Sources that one participant may publish.
pub const SOURCES_PER_PARTICIPANT: usize = 16;

/// Subscriptions of one participant: one m-line each, so less than the m-lines of a session.
pub const SUBSCRIPTIONS_PER_PARTICIPANT: usize = 112;

/// Packet arrivals remembered for transport-wide feedback; a power of two, two seconds of 4 Mbit/s.
pub const ARRIVALS: usize = 1_024;

/// Between two transport-wide feedbacks: libwebrtc's default, at most 5 % of an audio call's rate.
pub const FEEDBACK_INTERVAL: Duration = Duration::from_millis(100);

/// Between two reports of one participant (RFC 3550, section 6.2, for sessions above 72 kbit/s).
pub const REPORT_INTERVAL: Duration = Duration::from_millis(1_000);

/// RTCP datagrams taken from one participant per second (S-RTCP-02).
pub const RTCP_PER_SECOND: u32 = 200;

/// From joining (or the last offer) to the end of the handshake, else the participant has failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a participant's label: it is written into SDP and kept per source.
pub const LABEL: usize = 64;

// --- one room, one engine ----------------------------------------------------------------------

/// Rooms of one engine.
pub const ROOMS: usize = 4_096;

/// Participants of one engine.
pub const PARTICIPANTS: usize = 16_384;

/// Participants of one room.
pub const PARTICIPANTS_PER_ROOM: usize = 1_024;

/// Events waiting for the embedder; when it does not fetch them the oldest are lost and counted.
pub const EVENTS: usize = 16_384;

/// Pages of all histories of one engine: 1 GiB.
pub const HISTORY_PAGES: usize = 65_536;

/// Bounds of a measured round trip: below is the clock's grain, above is a lie (S-RTCP-07).
pub const MIN_RTT: Duration = Duration::from_millis(5);

/// See [`MIN_RTT`].
pub const MAX_RTT: Duration = Duration::from_secs(60);

/// Least MTU that an engine can be configured with: IPv6's minimum less its headers, enough for every
/// datagram of a handshake.
pub const MIN_MTU: usize = 1_200;
