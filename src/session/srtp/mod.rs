//! SRTP: media and its control traffic, encrypted and authenticated (RFC 3711, RFC 7714).
//!
//! DTLS hands over two [`MasterKey`]s, one per direction (RFC 5764). From the peer's an [`Opener`]
//! is made, from ours a [`Sealer`]; they share nothing. Each derives its session keys once and
//! prepares every state that the keys alone determine, so that a packet costs the cipher and a
//! copy; nothing is allocated for a packet, but for the first one of a stream.
//!
//! The opener extends each sequence number by the roll-over count that RFC 3711, appendix A,
//! expects, refuses replays in and behind a window, and changes nothing before the packet has
//! proved authentic: [`Opened`] is that proof. The sealer takes extended numbers and never meets
//! one twice: who rewrites numbers owns that promise, because a number used twice under AES-GCM
//! gives the key away.
//!
//! ```
//! use estafette::rtp::{SeqNo, Ssrc, WireSeq};
//! use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
//!
//! let key = MasterKey::new(Profile::AeadAes128Gcm, &[1; 16], &[2; 12])?;
//! let (header, payload) = ([0x80, 96, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9], b"twenty milliseconds");
//!
//! let mut datagram = [0; 1_200];
//! let sealer = Sealer::new(&key);
//! let len = sealer.seal_rtp(&header, &[], payload, SeqNo(7), Ssrc(9), &mut datagram)?;
//!
//! let mut plain = [0; 1_200];
//! let mut opener = Opener::new(&key);
//! let opened = opener.open_rtp(&datagram[..len], header.len(), Ssrc(9), WireSeq(7), &mut plain)?;
//! assert_eq!(&plain[..opened.len], payload);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Cryptex (RFC 9335) encrypts contributing sources and header extensions too, once both sides said
//! that they take it: [`Sealer::use_cryptex`], [`Opener::accept_cryptex`]. What it encrypted is opened
//! by [`Opener::open_packet`], which gives back whole packets; without the negotiation it is refused.
//!
//! A key serves 2^48 RTP packets of each source and 2^31 RTCP packets (RFC 3711, section 9.2; RFC
//! 7714, section 13.1); then sealer and opener refuse, and a new handshake has to make new keys. No
//! sender comes near the same bound for all sources together: a million packets a second take nine
//! years.
//!
//! Left out: key derivation rates, master key identifiers, unencrypted SRTCP (refused), header
//! extensions encrypted one by one (RFC 6904). Keys and salts are wiped when their owner is dropped,
//! but for the expanded keys of AES-GCM: ring does not wipe its own.

mod cipher;
mod cm;
mod cryptex;
mod error;
mod gcm;
mod opener;
mod profile;
mod replay;
mod sealer;
mod sources;
#[cfg(test)]
mod tests;

pub use cryptex::is_cryptex;
pub use error::{KeyError, OpenError, SealError};
pub use opener::{Opened, Opener};
pub use profile::{MasterKey, Profile};
pub use sealer::Sealer;
pub use sources::ContextId;
