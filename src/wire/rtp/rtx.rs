//! Retransmissions (RFC 4588, section 4): a payload that begins with the number of the packet it
//! repeats.
//!
//! The rest of the packet's identity is elsewhere: its payload type by the `apt` parameter of the
//! retransmission's, its stream by session description or name; timestamp and marker are the
//! retransmission's own. A payload of padding alone, which tests a path, is none of these.

use super::{NoSpace, WireSeq};
use crate::wire::malformed::Malformed;

/// Bytes in front of what is repeated.
pub const HEAD: usize = 2;

/// The field of a retransmission that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The payload ends inside the number of the original packet.
    #[error("the retransmission ends inside the original sequence number")]
    Original,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 1] = [Self::Original];

    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Original => "rtx.original",
        }
    }
}

/// Why bytes are not a retransmission.
pub type ParseError = Malformed<Fault>;

/// The payload of a retransmission, without its padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    original: WireSeq,
    repeated: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Takes the payload apart; what is repeated may be empty.
    ///
    /// # Errors
    /// [`Fault::Original`] for fewer than two bytes.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<Payload<'a>, ParseError> {
        let short = || Malformed::at(0, Fault::Original);
        let (original, repeated) = payload.split_first_chunk().ok_or_else(short)?;
        Ok(Payload { original: WireSeq(u16::from_be_bytes(*original)), repeated })
    }

    /// The number of the packet that is repeated, in the stream it belongs to.
    #[inline]
    pub fn original(&self) -> WireSeq {
        self.original
    }

    /// The payload of the packet that is repeated.
    #[inline]
    pub fn repeated(&self) -> &'a [u8] {
        self.repeated
    }
}

/// What stands in front of the payload that is repeated.
#[inline]
pub const fn head(original: WireSeq) -> [u8; HEAD] {
    original.0.to_be_bytes()
}

/// Writes the payload of a retransmission to the start of `buf` and returns its length.
///
/// # Errors
/// [`NoSpace`] if `buf` is shorter than both.
pub fn write(original: WireSeq, repeated: &[u8], buf: &mut [u8]) -> Result<usize, NoSpace> {
    let len = HEAD + repeated.len();
    let (first, rest) = buf.get_mut(..len).and_then(<[u8]>::split_first_chunk_mut).ok_or(NoSpace)?;
    *first = head(original);
    rest.copy_from_slice(repeated);
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn s_rtp_08_a_payload_shorter_than_its_number_is_refused() {
        let short = Err(Malformed { fault: Fault::Original, offset: 0 });
        assert_eq!(Payload::parse(&[]), short);
        assert_eq!(Payload::parse(&[1]), short);
        let empty = Payload::parse(&[1, 2]).expect("a number");
        assert_eq!((empty.original(), empty.repeated()), (WireSeq(0x0102), &[][..]));
    }

    #[test]
    fn nothing_is_written_past_the_room() {
        assert_eq!(write(WireSeq(1), &[2, 3], &mut [0; 3]), Err(NoSpace));
        assert_eq!(write(WireSeq(1), &[], &mut [0; 1]), Err(NoSpace));
    }

    #[test]
    fn every_fault_has_its_own_place() {
        assert!(Fault::ALL.into_iter().enumerate().all(|(at, fault)| fault as usize == at));
    }

    proptest! {
        #[test]
        fn rfc_4588_4_a_retransmission_survives_the_wire(original: u16, repeated: Vec<u8>) {
            let mut buf = vec![0xee; repeated.len() + 3];
            let len = write(WireSeq(original), &repeated, &mut buf).expect("room");
            prop_assert_eq!(buf[len], 0xee);
            let read = Payload::parse(&buf[..len]).expect("ours");
            prop_assert_eq!((read.original(), read.repeated()), (WireSeq(original), &repeated[..]));
        }
    }
}
