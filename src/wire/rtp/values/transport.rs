//! The numbers that transport-wide feedback is about.

use super::super::{NoSpace, WireSeq};
use super::put;

/// Reads a transport-wide sequence number (draft-holmer-rmcat-transport-wide-cc-extensions-01,
/// section 2); `None` if it is not two bytes.
#[inline]
pub const fn transport_sequence_number(value: &[u8]) -> Option<WireSeq> {
    match *value {
        [a, b] => Some(WireSeq(u16::from_be_bytes([a, b]))),
        _ => None,
    }
}

/// A transport-wide sequence number that may ask for feedback
/// (<http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransportSequence {
    /// The packet's number on its transport.
    pub number: WireSeq,
    /// What feedback is wanted now, if the value says.
    pub request: Option<FeedbackRequest>,
}

/// Asks for feedback on a packet and those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedbackRequest {
    /// Whether the feedback is to tell when packets arrived, not only whether.
    pub timestamps: bool,
    /// How many packets, this one the last of them: 15 bits, and 0 asks for nothing.
    pub count: u16,
}

/// Says that arrival times are wanted.
const TIMESTAMPS: u16 = 0x8000;

impl TransportSequence {
    /// Bytes of the longer form.
    pub const MAX_LEN: usize = 4;

    /// Reads the value; `None` if it is not two or four bytes.
    pub const fn parse(value: &[u8]) -> Option<TransportSequence> {
        let (number, request) = match *value {
            [a, b] => ([a, b], None),
            [a, b, c, d] => {
                let bits = u16::from_be_bytes([c, d]);
                let timestamps = bits & TIMESTAMPS != 0;
                ([a, b], Some(FeedbackRequest { timestamps, count: bits & !TIMESTAMPS }))
            }
            _ => return None,
        };
        Some(TransportSequence { number: WireSeq(u16::from_be_bytes(number)), request })
    }

    /// Writes the value to the start of `buf` and returns its length, 2 or 4; a count above 15 bits is
    /// the largest of them.
    ///
    /// # Errors
    /// [`NoSpace`] if `buf` is shorter.
    pub fn write(&self, buf: &mut [u8]) -> Result<usize, NoSpace> {
        let [a, b] = self.number.0.to_be_bytes();
        let Some(request) = self.request else {
            return put(buf, &[a, b]);
        };
        let bits = request.count.min(!TIMESTAMPS) | if request.timestamps { TIMESTAMPS } else { 0 };
        let [c, d] = bits.to_be_bytes();
        put(buf, &[a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn transport_numbers_have_two_bytes() {
        assert_eq!(transport_sequence_number(&[1, 2]), Some(WireSeq(0x0102)));
        assert_eq!(transport_sequence_number(&[1, 2, 3, 4]), None);
    }

    #[test]
    fn a_request_is_a_bit_for_times_and_a_count() {
        let request = Some(FeedbackRequest { timestamps: true, count: 0x0203 });
        let sequence = TransportSequence { number: WireSeq(0x0102), request };
        assert_eq!(TransportSequence::parse(&[1, 2, 0x82, 3]), Some(sequence));
        let plain = TransportSequence { request: None, ..sequence };
        assert_eq!(TransportSequence::parse(&[1, 2]), Some(plain));
        for len in [0, 1, 3, 5] {
            assert_eq!(TransportSequence::parse(&[0; 5][..len]), None);
        }
    }

    #[test]
    fn a_count_too_large_is_the_largest() {
        let request = Some(FeedbackRequest { timestamps: false, count: u16::MAX });
        let mut buf = [0; 4];
        assert_eq!(TransportSequence { number: WireSeq(0), request }.write(&mut buf), Ok(4));
        assert_eq!(buf, [0, 0, 0x7f, 0xff]);
        assert_eq!(TransportSequence { number: WireSeq(0), request }.write(&mut buf[..3]), Err(NoSpace));
    }

    proptest! {
        #[test]
        fn transport_numbers_survive_the_wire(value: [u8; 4], long: bool) {
            let (value, mut buf) = (&value[..if long { 4 } else { 2 }], [0; TransportSequence::MAX_LEN]);
            let len = TransportSequence::parse(value).expect("a length of it").write(&mut buf).expect("room");
            prop_assert_eq!(&buf[..len], value);
        }
    }
}
