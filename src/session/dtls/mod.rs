//! DTLS 1.2 and 1.3 for SRTP keys and data channels (RFC 6347, 9147, 5764, 8122, 8827).
//!
//! An [`Association`] is one handshake with one peer and the channel that follows. It proves that
//! the peer owns the certificate whose fingerprint came with the signalling, yields the SRTP keys
//! of both directions, and carries application data (SCTP). It knows no addresses: its owner hands
//! it datagrams from the pair that ICE validated and from nowhere else, which is why the server
//! asks for no cookie.
//!
//! - **Versions.** The default is [`Versions::V12`]; the type says why.
//! - **Identity.** Self-signed certificates on both sides, ECDSA over P-256 or P-384; a
//!   certificate is judged by its fingerprint alone, in constant time, before
//!   [`Event::Connected`] is given. No chain is built. A client with an RSA certificate fails at once
//!   with [`FailReason::UnsupportedCertificate`]; a server with one refuses our ClientHello with an
//!   alert, [`FailReason::Alert`]. [`Context::with_certificate`] replaces ours for those to come.
//! - **SRTP.** Profiles AEAD_AES_256_GCM, AEAD_AES_128_GCM and AES128_CM_HMAC_SHA1_80, no MKI; a
//!   peer that offers none of them is refused. The tag of 32 bits is never chosen. Under 1.2 a server
//!   of ours takes the first of that order that is offered, under 1.3 the first of the client's order.
//! - **Key exchange.** X25519, P-256, P-384. No hybrid post-quantum group: a ClientHello that prefers
//!   X25519MLKEM768 (two datagrams) is answered with X25519.
//! - **Bounds.** Every queue has a limit in [`limits`](crate::limits); a handshake ends after 30
//!   seconds; a datagram that is dropped says why ([`Drop`]).
//! - **Keys' ends.** An association of 1.2 ends after [`limits::DTLS_RECORDS`](crate::limits::DTLS_RECORDS)
//!   records, one of 1.3 renews its keys before; both end after
//!   [`limits::DTLS_FORGERIES`](crate::limits::DTLS_FORGERIES) datagrams that they cannot open.
//! - **Forgery.** Nothing that is not authenticated ends an association in use sooner. Who can send from
//!   the validated pair while the handshake lasts can spoil that handshake: its first messages are
//!   in clear, and a false one is found out only at the end.
//! - **Randomness.** Key shares, signatures and nonces come from the operating system: a
//!   handshake's bytes are the one output of this crate that a seed does not decide.
//!
//! The engine inside is the `dimpl` crate. Nothing of it shows, so it can be replaced. What it
//! does not do: it does not tell failed authentications from duplicates, drops malformed messages
//! without a word, does not wipe its copies of keys, and under 1.2 draws the explicit half of record
//! nonces at random.

mod association;
mod certificate;
mod codec;
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
pub use association::{Association, Event, Role};
pub use certificate::Certificate;
pub use config::{Config, Context, Version, Versions};
pub use fingerprint::{Fingerprint, FingerprintError, HashAlgorithm};
pub use keying::Keying;
pub use outcome::{AdoptError, CertificateError, ConfigError, Drop, FailReason, SendError};
