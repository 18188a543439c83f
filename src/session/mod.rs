//! Floor 3: one protocol’s state machine each. The rooms do not know of each other.

pub mod dtls;
pub mod ice;
pub mod sctp;
pub mod sped;
pub mod srtp;
