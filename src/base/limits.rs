//! Every limit of the engine, each with its reason. A limit is the largest value still allowed.

// --- datagrams ---------------------------------------------------------------------------------

/// Bytes of a received datagram. WebRTC stays below 1,500; twice the common jumbo-free MTU leaves
/// room for tunnels and refuses the rest before any parser runs.
pub const DATAGRAM: usize = 2_048;

/// Bytes of a datagram we send: safe through common tunnels and PPPoE with IPv6, and large enough
/// for what browsers packetise (at most 1,200 bytes of payload and header before our extensions).
pub const MTU: usize = 1_400;
