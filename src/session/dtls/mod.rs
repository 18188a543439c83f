//! DTLS 1.2 and 1.3 for SRTP keys and data channels (RFC 6347, 9147, 5764, 8122, 8827).
//!
//! An [`Association`] is one handshake with one peer and the channel that follows. It proves that
//! the peer owns the certificate whose fingerprint came with the signalling, yields the SRTP keys
//! of both directions, and carries application data (SCTP). It knows no addresses: its owner hands
//! it datagrams from the pair that ICE validated, or what rode on checks that ICE has authenticated
//! ([`sped`](crate::sped)), and from nowhere else, which is why the server
//! asks for no cookie.
//!
//! - **Versions.** 1.3 with who speaks it, 1.2 with the others, unless [`Config::versions`] says one alone; lowering
//!   it on the way is found out ([`FailReason::Downgrade`]).
//! - **Identity.** Self-signed certificates on both sides, of P-256, P-384, Ed25519, or RSA of 2,048 to 4,096 bits; a
//!   certificate is judged by its fingerprint alone, in constant time, before
//!   [`Event::Connected`] is given. No chain is built. [`Context::with_certificate`] replaces ours for those to come.
//! - **SRTP.** Profiles AEAD_AES_128_GCM, AEAD_AES_256_GCM and AES128_CM_HMAC_SHA1_80, no MKI; a
//!   peer that offers none of them is refused. The tag of 32 bits is never chosen. A server of ours takes the first of
//!   [`Config::profiles`] that is offered.
//! - **Key exchange.** X25519MLKEM768, X25519, P-256, P-384, in the order of [`Config::groups`]. A client that supports
//!   the first and has sent no share of it is asked for one.
//! - **Ciphers.** AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305; under 1.2 with ECDHE and an extended master secret.
//! - **Bounds.** Every queue has a limit in [`limits`](crate::limits); a handshake ends after 30
//!   seconds; a datagram that is dropped says why ([`Drop`]).
//! - **Keys' ends.** An association of 1.2 ends after [`limits::DTLS_RECORDS`](crate::limits::DTLS_RECORDS)
//!   records, one of 1.3 renews its keys before; both end after
//!   [`limits::DTLS_FORGERIES`](crate::limits::DTLS_FORGERIES) records that they cannot open.
//! - **Forgery.** Nothing that is not authenticated ends an association in use sooner. Who can send from
//!   the validated pair while the handshake lasts can spoil that handshake: its first messages are
//!   in clear, and a false one is found out only at the end.
//! - **Randomness.** Key shares, signatures and random numbers come from the operating system: a
//!   handshake's bytes are the one output of this crate that a seed does not decide.
//! - **Moving.** [`Association::release`] and [`Association::adopt`] take a connected one to another engine.

mod association;
mod certificate;
mod codec;
mod common;
mod config;
mod fingerprint;
mod flight;
mod handshake;
mod hello;
mod inbox;
mod keying;
mod message;
mod outcome;
mod outgoing;
mod pem;
mod protection;
mod record;
mod schedule;
mod schedule12;
mod talk;
#[cfg(test)]
mod tests;
mod v12;
mod v13;
mod x509;

pub use crate::crypto::exchange::Group;
#[doc(hidden)]
pub use association::parse_all;
pub use association::{Association, Event};
pub use certificate::Certificate;
pub use config::{Config, Context, Role, Version, Versions};
pub use fingerprint::{Fingerprint, FingerprintError, HashAlgorithm};
pub use keying::Keying;
pub use outcome::{AdoptError, CertificateError, ConfigError, Drop, FailReason, SendError};
