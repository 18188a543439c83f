//! Every limit of the engine, each with its reason. A limit is the largest value still allowed.

use crate::base::time::Duration;

// --- datagrams ---------------------------------------------------------------------------------

/// Bytes of a received datagram. WebRTC stays below 1,500; twice the common jumbo-free MTU leaves
/// room for tunnels and refuses the rest before any parser runs.
pub const DATAGRAM: usize = 2_048;

/// Bytes of a datagram we send: safe through common tunnels and PPPoE with IPv6, and large enough
/// for what browsers packetise (at most 1,200 bytes of payload and header before our extensions).
pub const MTU: usize = 1_400;

// --- DTLS --------------------------------------------------------------------------------------

/// A handshake from its first datagram to its end; who needs longer has gone (browsers give up at
/// about the same age).
pub const DTLS_HANDSHAKE: Duration = Duration::from_secs(30);

/// What is left to a handshake once the peer reported a fatal alert in clear: anybody can forge
/// one, so it only shortens the wait, and a handshake that is alive finishes within this.
pub const DTLS_ALERT_GRACE: Duration = Duration::from_secs(2);

/// Datagrams of a handshake kept because an earlier one is missing; no flight seen has more than
/// four.
pub const DTLS_AHEAD: usize = 16;

/// Bytes of fragments of clear handshake messages kept: two messages of the largest size.
pub const DTLS_FRAGMENT_BYTES: usize = 32 * 1_024;

/// Fragments kept: the largest message in pieces of 256 bytes.
pub const DTLS_FRAGMENTS: usize = 64;

/// Bytes of fragmented messages put together in one handshake: a post-quantum ClientHello is
/// repeated some eight times at most, 16 kB.
pub const DTLS_ASSEMBLED: usize = 64 * 1_024;

/// Bytes of one handshake message, and of a peer's certificate; browsers' have 300 to 1,500.
pub const DTLS_MESSAGE: usize = 16 * 1_024;

/// Handshake message number: both sides send at most eight messages, a restart by cookie included.
pub const DTLS_MESSAGE_NUMBER: u16 = 15;

/// Fingerprints expected of one peer: a description rarely has more than one per section.
pub const DTLS_FINGERPRINTS: usize = 16;

/// Datagrams waiting to be sent; a full flight has at most four. What comes on top is dropped and
/// counted: the handshake repeats it, data channels do too.
pub const DTLS_OUTGOING: usize = 32;

/// Events waiting to be polled, application data included; data on top is dropped and counted.
pub const DTLS_EVENTS: usize = 32;
