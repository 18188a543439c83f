//! Cryptex (RFC 9335): contributing sources and header extension encrypted with the payload.
//!
//! Of the header the fixed part and the four bytes that begin the extension stay clear. To encrypt
//! the rest as one piece those four bytes change places with the contributing sources and back.

/// The forms of the header extension, in clear and encrypted (RFC 8285, sections 4.2 and 4.3; RFC
/// 9335, section 5.1).
const FORMS: [([u8; 2], [u8; 2]); 2] = [([0xbe, 0xde], [0xc0, 0xde]), ([0x10, 0x00], [0xc2, 0xde])];

/// Bytes of the fixed header.
const FIXED: usize = 12;
/// Bytes in front of the encrypted text once it is gathered: the extension's header is the last of
/// them.
pub(super) const CLEAR: usize = FIXED + EXTENSION_HEADER;
/// Profile and length of a header extension.
const EXTENSION_HEADER: usize = 4;

/// What an RTP header tells of itself in its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) csrc_len: usize,
    pub(super) has_extension: bool,
}

impl Shape {
    /// `None` without any header.
    #[inline]
    pub(super) fn of(packet: &[u8]) -> Option<Shape> {
        let first = packet.first()?;
        Some(Shape { csrc_len: usize::from(first & 0x0f) * 4, has_extension: first & 0x10 != 0 })
    }

    fn profile_mut(self, packet: &mut [u8]) -> Option<&mut [u8; 2]> {
        packet.get_mut(FIXED + self.csrc_len..)?.first_chunk_mut()
    }
}

/// Whether a header extension's profile tells that the header is encrypted (RFC 9335, section 5.1).
#[inline]
pub const fn is_cryptex(profile: u16) -> bool {
    matches!(profile, 0xc0de | 0xc2de)
}

/// Whether a packet's header is encrypted.
#[inline]
pub(super) fn is_encrypted(packet: &[u8]) -> bool {
    let profile = Shape::of(packet)
        .filter(|shape| shape.has_extension)
        .and_then(|shape| packet.get(FIXED + shape.csrc_len..)?.first_chunk());
    profile.is_some_and(|profile| is_cryptex(u16::from_be_bytes(*profile)))
}

/// Makes the profile of a header extension the encrypted one of its form; `None` for a form that
/// RFC 8285 does not have, and for a header that ends before it.
pub(super) fn mark(header: &mut [u8], shape: Shape) -> Option<()> {
    let profile = shape.profile_mut(header)?;
    *profile = FORMS.iter().find(|(clear, _)| clear == profile)?.1;
    Some(())
}

/// The reverse, once the packet is opened.
pub(super) fn unmark(header: &mut [u8], shape: Shape) -> Option<()> {
    let profile = shape.profile_mut(header)?;
    *profile = FORMS.iter().find(|(_, encrypted)| encrypted == profile)?.0;
    Some(())
}

/// Gives a packet of `len` bytes that has contributing sources alone an empty header extension, so
/// that its receiver is told of the encryption (RFC 9335, section 5.1): four bytes more. `None` if
/// there is no room.
pub(super) fn insert_extension(buf: &mut [u8], shape: Shape, len: usize) -> Option<Shape> {
    let at = FIXED + shape.csrc_len;
    let behind = buf.get_mut(..len.checked_add(EXTENSION_HEADER)?)?.get_mut(at..)?;
    behind.copy_within(..len.checked_sub(at)?, EXTENSION_HEADER);
    let [(clear, _), _] = FORMS;
    let [p0, p1] = clear;
    *behind.first_chunk_mut()? = [p0, p1, 0, 0];
    *buf.first_mut()? |= 0x10;
    Some(Shape { has_extension: true, ..shape })
}

/// Moves the extension's header in front of the contributing sources, so that these stand before
/// the rest of the text (RFC 9335, section 6.2). `None` if the packet ends before.
pub(super) fn gather(packet: &mut [u8], csrc_len: usize) -> Option<()> {
    packet.get_mut(FIXED..CLEAR + csrc_len).map(|moved| moved.rotate_right(EXTENSION_HEADER))
}

/// The reverse.
pub(super) fn scatter(packet: &mut [u8], csrc_len: usize) -> Option<()> {
    packet.get_mut(FIXED..CLEAR + csrc_len).map(|moved| moved.rotate_left(EXTENSION_HEADER))
}
