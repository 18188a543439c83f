//! estafette is the media-forwarding core of a conference server: a selective forwarding middlebox
//! (RFC 7667, section 3.7) without a socket, thread, clock, lock or async runtime.
//!
//! Datagrams, time and calls go in; datagrams, events and the next deadline come out. The same inputs
//! and the same seed give the same outputs, byte for byte (what is secret in a DTLS handshake, which is drawn from the
//! system, is the stated exception).
//!
//! # The loop
//!
//! ```
//! # use estafette::{Datagram, Ecn, Engine, EngineConfig, HostCandidate, Instant, Path, Protocol};
//! # struct Socket; impl Socket {
//! #   fn receive(&self) -> Option<(std::net::SocketAddr, Vec<u8>)> { None }
//! #   fn send(&self, _: std::net::SocketAddr, _: &[u8], _: Option<std::num::NonZeroU16>) {}
//! #   fn local(&self) -> std::net::SocketAddr { ([127, 0, 0, 1], 3478).into() } }
//! # fn wait(_: Option<Instant>) -> bool { false } fn now() -> Instant { Instant::ZERO }
//! # let socket = Socket;
//! let candidates = vec![HostCandidate::udp(socket.local())];
//! let config = EngineConfig { candidates, ..EngineConfig::default() };
//! let mut engine = Engine::new(config, [7; 32] /* 32 secret random bytes */, now())?;
//! let mut buf = vec![0; 64 * 1024];
//! loop {
//!     while let Some((remote, data)) = socket.receive() {
//!         let path = Path { protocol: Protocol::Udp, local: socket.local(), remote };
//!         engine.handle_datagram(now(), Datagram { path, ecn: Ecn::NotEct, data: &data });
//!     }
//!     engine.handle_timeout(now());
//!     while let Some(transmit) = engine.poll_transmit(now(), &mut buf) {
//!         socket.send(transmit.path.remote, &buf[..transmit.len], transmit.segment_size);
//!     }
//!     while let Some(event) = engine.poll_event() {
//!         println!("{event:?}"); // signalling: Event::NegotiationNeeded asks for an offer
//!     }
//!     if !wait(engine.poll_timeout()) { break } // until a datagram comes or the deadline passes
//! }
//! # Ok::<(), estafette::ConfigError>(())
//! ```
//!
//! A room is made with [`Engine::create_room`], a participant with [`Room::join`]; its browser's offer
//! goes to [`Participant::accept_offer`], whose answer goes back. From then on every source of every
//! other participant is forwarded to it; when that changes, [`Event::NegotiationNeeded`] asks the
//! embedder to carry an offer of [`Participant::create_offer`] to it.
//!
//! # Map
//!
//! | Module | What it is | Alone it serves |
//! |---|---|---|
//! | [`stun`], [`rtp`], [`rtcp`], [`sdp`], [`mux`] | views over borrowed bytes and writers into them | any RTP or WebRTC program |
//! | [`srtp`] | [`srtp::Opener`] and [`srtp::Sealer`], one for each direction | encrypting RTP |
//! | [`dtls`] | [`dtls::Association`], a DTLS-SRTP handshake | keys for SRTP |
//! | [`ice`] | [`ice::Agent`], one participant's connectivity | many agents behind one socket |
//! | [`sctp`], [`dcep`], [`sctp_packet`] | [`sctp::Association`], messages on streams over DTLS, the protocol of data channels, packets of SCTP | data channels of any program |
//! | [`framing`] | datagrams over a stream (RFC 4571) | ICE over TCP |
//! | [`layers`] | [`layers::Selector`], which layers of a source a subscription gets | forwarding scalable video |
//! | [`bwe`] | [`bwe::Estimator`], what a path carries, by what is told of it | any sender of media |
//! | [`pacing`] | [`pacing::Pacer`], when packets leave and in which order | any sender of media |
//! | [`speakers`] | [`speakers::Speakers`], whose sound is forwarded and who leads | audio conferences |
//! | [`allocation`] | [`allocation::Allocator`], which layer of each video a budget is spent on | an SFU's or a client's choice |
//! | [`negotiation`] | offers and answers (JSEP) as values | an SFU's signalling |
//! | [`Engine`] | rooms, participants, sources, subscriptions | a conference server |
//! | [`limits`] | every bound there is, with its reason | sizing a machine |
//!
//! # Limits
//!
//! Whatever a peer sends, memory is bounded by [`limits`]; what cannot be used is dropped under a
//! [`DropReason`] that is counted for its participant and for the engine. Nothing panics.
#![forbid(unsafe_code)]

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

// The tests of the engine's effort use what the benches use, which know this crate by its name.
#[cfg(test)]
extern crate self as estafette;
#[cfg(test)]
#[path = "../tests/support/captures.rs"]
mod captures;

mod base;
mod conference;
mod congestion;
mod crypto;
mod forwarding;
mod session;
#[cfg(feature = "sim")]
pub mod sim;
mod transport;
mod wire;

pub use base::time::Instant;
pub use base::units::Bitrate;
pub use base::{limits, random};
#[cfg(feature = "json")]
pub use conference::Json;
pub use conference::{
    Allocation, Choice, Class, ConfigError, Datagram, Decision, DropReason, DtlsState, Engine, EngineConfig,
    EngineStats, Event, HostCandidate, InboundStreamStats, JoinError, KeyFrameReason, LeaveReason,
    LimitReached, Message, OutboundStreamStats, Participant, ParticipantConfig, ParticipantId,
    ParticipantStats, Probe, Proof, RemoteInboundStats, Room, RoomConfig, RoomId, Route, SharedLines,
    SourceId, SourceInfo, StreamEnd, SubscribeError, SubscribeRule, Transmit, TransmitId, TransportStats,
    UnknownChannel, VideoLimits, View, negotiation, participant_memory_bound,
};
pub use congestion::{allocation, bwe, pacing};
pub use crypto::secret::Secret;
pub use forwarding::ladder::{Rung, Wish};
pub use forwarding::layers;
pub use forwarding::speakers;
pub use session::{dtls, ice, sctp, sped, srtp};
pub use transport::channels::{ChannelConfig, ChannelId, CloseReason, OpenError, SendError};
pub use transport::framing;
pub use wire::malformed::Malformed;
pub use wire::mux::{Ecn, Path, Protocol};
/// The packets that [`sctp`] exchanges.
pub use wire::sctp as sctp_packet;
pub use wire::{dcep, mux, payload, rtcp, rtp, sdp, stun};
