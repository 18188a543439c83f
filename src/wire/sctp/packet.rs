//! The whole packet: header, checksum, chunks in a row.

use super::chunk::{Chunk, Chunks, HEADER as CHUNK_HEADER, kind, padded};
use super::fault::{Fault, ParseError};
use crate::wire::malformed::Malformed;
use crc::{CRC_32_ISCSI, Crc, Table};

/// Bytes in front of the chunks.
const HEADER: usize = 12;
/// Where the checksum stands.
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// CRC32c (RFC 9260, appendix A).
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The ports of a packet. Inside DTLS they name nothing but are checked (RFC 8831, section 5: 5000 by `a=sctp-port`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ports {
    /// The sender's.
    pub source: u16,
    /// The receiver's.
    pub destination: u16,
}

/// A packet whose checksum is right and whose chunks all end within it.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    header: &'a [u8; HEADER],
}

impl<'a> Packet<'a> {
    /// Checks a packet.
    ///
    /// # Errors
    /// [`Fault::Length`], [`Fault::Checksum`], [`Fault::ChunkLength`], or [`Fault::Bundled`] for a chunk that has to
    /// stand alone and does not.
    pub fn parse(bytes: &'a [u8]) -> Result<Packet<'a>, ParseError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>().filter(|(_, rest)| !rest.is_empty())
        else {
            return Err(Malformed::at(bytes.len(), Fault::Length));
        };
        let packet = Packet { bytes, header };
        if checksum(header, rest) != packet.word(8).swap_bytes() {
            return Err(Malformed::at(CHECKSUM.start, Fault::Checksum));
        }
        let (mut at, mut count, mut alone) = (HEADER, 0, false);
        let mut chunks = packet.chunks();
        for chunk in &mut chunks {
            count += 1;
            alone |= matches!(chunk.kind, kind::INIT | kind::INIT_ACK | kind::SHUTDOWN_COMPLETE);
            at += padded(CHUNK_HEADER + chunk.value.len());
        }
        if !chunks.is_at_end() {
            return Err(Malformed::at(at, Fault::ChunkLength));
        }
        if alone && count > 1 {
            return Err(Malformed::at(HEADER, Fault::Bundled));
        }
        Ok(packet)
    }

    /// Its ports.
    pub fn ports(&self) -> Ports {
        let [s1, s0, d1, d0, ..] = *self.header;
        Ports { source: u16::from_be_bytes([s1, s0]), destination: u16::from_be_bytes([d1, d0]) }
    }

    /// The tag by which the receiver tells its association from others (section 8.5); zero with an INIT.
    pub fn verification_tag(&self) -> u32 {
        self.word(4)
    }

    /// The chunks, of which there is at least one.
    pub fn chunks(&self) -> Chunks<'a> {
        Chunks::new(self.bytes.get(HEADER..).unwrap_or_default())
    }

    /// The bytes it was read from.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn word(&self, at: usize) -> u32 {
        let word = self.header.get(at..).and_then(<[u8]>::first_chunk);
        word.copied().map_or(0, u32::from_be_bytes)
    }
}

/// The checksum of a packet, its own field taken as zero.
fn checksum(header: &[u8; HEADER], chunks: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    let [ports_and_tag @ .., _, _, _, _] = header;
    digest.update(ports_and_tag);
    digest.update(&[0; 4]);
    digest.update(chunks);
    digest.finalize()
}

/// Writes one packet, chunk by chunk.
#[derive(Debug)]
pub struct PacketWriter {
    bytes: Vec<u8>,
}

impl PacketWriter {
    /// A packet without chunks yet.
    pub fn new(ports: Ports, verification_tag: u32) -> PacketWriter {
        let mut bytes = Vec::with_capacity(HEADER + 64);
        bytes.extend(ports.source.to_be_bytes());
        bytes.extend(ports.destination.to_be_bytes());
        bytes.extend(verification_tag.to_be_bytes());
        bytes.extend([0; 4]);
        PacketWriter { bytes }
    }

    /// Whether no chunk was added.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// Adds a chunk of at most 65,531 bytes; a longer value is cut.
    pub fn chunk(&mut self, kind: u8, flags: u8, value: &[u8]) {
        let value = value.get(..usize::from(u16::MAX) - CHUNK_HEADER).unwrap_or(value);
        self.bytes.extend([kind, flags]);
        // Fits: the value was cut.
        self.bytes.extend(((CHUNK_HEADER + value.len()) as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(padded(self.bytes.len()), 0);
    }

    /// Bytes of the packet if a chunk is added to it.
    pub fn len_with(&self, chunk: &Chunk<'_>) -> usize {
        self.bytes.len() + padded(CHUNK_HEADER + chunk.value.len())
    }

    /// Adds a chunk as it was read.
    pub fn copy(&mut self, chunk: &Chunk<'_>) {
        self.chunk(chunk.kind, chunk.flags, chunk.value);
    }

    /// The packet with its checksum.
    pub fn finish(mut self) -> Vec<u8> {
        let sum = match self.bytes.split_first_chunk::<HEADER>() {
            Some((header, chunks)) => checksum(header, chunks),
            None => 0,
        };
        if let Some(field) = self.bytes.get_mut(CHECKSUM) {
            field.copy_from_slice(&sum.to_le_bytes());
        }
        self.bytes
    }
}
