//! SCTP packets (RFC 9260) as they travel in DTLS (RFC 8261): a common header of twelve bytes, then chunks.
//!
//! A [`Packet`] is checked once, checksum included; its chunks are then told apart by [`Chunk::kind`], and those
//! that an association has to understand before it hands them on have views of their own: [`Init`] (3.3.2, 3.3.3),
//! [`Data`] (3.3.1), [`Sack`] (3.3.4), [`ForwardTsn`] (RFC 3758, section 3.2). [`PacketWriter`] writes.

mod chunk;
mod fault;
mod packet;
#[cfg(test)]
mod tests;

pub use chunk::{Chunk, Chunks, Data, ForwardTsn, Init, Sack, Unrecognized, kind};
pub use fault::{Fault, ParseError};
pub use packet::{Packet, PacketWriter, Ports};
