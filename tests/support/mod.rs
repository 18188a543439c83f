//! What the tests share: a network in virtual time, clients made of the crate's own lower floors, a
//! harness that checks the invariants after every step, handshakes that repeat byte for byte.

// Each test file compiles this tree for itself and uses a part of it.
#![allow(dead_code, unreachable_pub, unused_imports)]

pub mod captures;
pub mod client;
pub mod harness;
pub mod hostility;
pub mod invariants;
pub mod judge;
pub mod media;
pub mod net;
pub mod provocation;
pub mod recording;
pub mod replay;
pub mod seeded_dtls;
pub mod stream;

pub use client::Client;
pub use harness::{Conference, Endpoint, Options};
pub use net::{Link, Network, Packet, Stage};
