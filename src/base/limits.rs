//! Every limit of the engine, each with its reason. A limit is the largest value still allowed.

// --- datagrams ---------------------------------------------------------------------------------

/// Bytes of a received datagram. WebRTC stays below 1,500; twice the common jumbo-free MTU leaves
/// room for tunnels and refuses the rest before any parser runs.
pub const DATAGRAM: usize = 2_048;

/// Bytes of a datagram we send: safe through common tunnels and PPPoE with IPv6, and large enough
/// for what browsers packetise (at most 1,200 bytes of payload and header before our extensions).
pub const MTU: usize = 1_400;

// --- srtp --------------------------------------------------------------------------------------

/// Streams, each an SSRC, that one participant may send at a time. A camera and a screen of three
/// encodings each, their retransmissions and a microphone make thirteen; a context costs 150 bytes.
pub const SSRCS_PER_SESSION: usize = 64;

/// SSRCs that one participant may use under one key, the forgotten ones included, for RTP and for
/// RTCP each. What was forgotten keeps sixteen bytes, or else its old packets could be replayed.
pub const SSRCS_PER_KEY: usize = 256;

/// Packets behind the newest one of a stream that are still told from replays (at least 64 by
/// RFC 3711, section 3.3.2): half a second of the fastest video, more than a NACK takes.
pub const SRTP_REPLAY_WINDOW: usize = 1_024;

/// The same for RTCP, of which a source sends tens a second: the least that RFC 3711 allows.
pub const SRTCP_REPLAY_WINDOW: usize = 64;
