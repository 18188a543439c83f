//! The data channel establishment protocol (RFC 8832): two messages, sent on the channel that they open.

use crate::base::limits;
use crate::wire::malformed::Malformed;

/// The payload protocol identifiers of what goes over a data channel (RFC 8831, section 8).
pub mod ppid {
    /// The messages of this module.
    pub const DCEP: u32 = 50;
    /// Text in UTF-8.
    pub const STRING: u32 = 51;
    /// Bytes.
    pub const BINARY: u32 = 53;
    /// No text at all: one byte stands for it.
    pub const STRING_EMPTY: u32 = 56;
    /// No bytes at all, likewise.
    pub const BINARY_EMPTY: u32 = 57;
}

/// The field of a message that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The message ends before what its header announces, or behind it.
    #[error("the data channel message has another length than it says")]
    Length,
    /// No type of message that is known.
    #[error("the data channel message is of an unknown type")]
    Type,
    /// No type of channel that is known (RFC 8832, section 5.1).
    #[error("the data channel is of an unknown type")]
    Channel,
    /// A label or protocol above [`limits::CHANNEL_LABEL`].
    #[error("the label or protocol of the data channel is too long")]
    TooLong,
    /// A label or protocol that is no UTF-8.
    #[error("the label or protocol of the data channel is not text")]
    Text,
}

impl Fault {
    /// Each of them, in the order of their discriminants.
    pub const ALL: [Fault; 5] = [Self::Length, Self::Type, Self::Channel, Self::TooLong, Self::Text];

    /// The reason as a metric's label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Length => "dcep.length",
            Self::Type => "dcep.type",
            Self::Channel => "dcep.channel",
            Self::TooLong => "dcep.too_long",
            Self::Text => "dcep.text",
        }
    }
}

/// Why bytes are no message of this protocol.
pub type ParseError = Malformed<Fault>;

/// How far the delivery of a channel's messages is tried (RFC 8831, section 6.1).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// Until they arrive.
    #[default]
    Reliable,
    /// They are sent again so many times at most.
    Retransmissions(u32),
    /// For so many milliseconds at most.
    Lifetime(u32),
}

/// How a channel carries its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// In the order in which they were sent.
    pub ordered: bool,
    /// How far it is tried.
    pub reliability: Reliability,
}

impl Default for Delivery {
    /// In order, until they arrive.
    fn default() -> Self {
        Delivery { ordered: true, reliability: Reliability::Reliable }
    }
}

/// DATA_CHANNEL_OPEN (RFC 8832, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open<'a> {
    /// How messages are carried.
    pub delivery: Delivery,
    /// Which channel is served first (RFC 8831, section 6.4); 256 is usual.
    pub priority: u16,
    /// Its name, at most [`limits::CHANNEL_LABEL`] bytes.
    pub label: &'a str,
    /// What is spoken on it, likewise; empty for nothing in particular.
    pub protocol: &'a str,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A channel is opened, by both ends' parity of streams on this stream (RFC 8832, section 6).
    Open(Open<'a>),
    /// It was (DATA_CHANNEL_ACK, section 5.2).
    Ack,
}

const OPEN: u8 = 0x03;
const ACK: u8 = 0x02;
/// Bytes of DATA_CHANNEL_OPEN in front of label and protocol.
const HEADER: usize = 12;
/// In the type of a channel: not in order.
const UNORDERED: u8 = 0x80;
const RETRANSMISSIONS: u8 = 0x01;
const LIFETIME: u8 = 0x02;

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// The field that is wrong, and where it begins: nothing behind the protocol is let through either.
    pub fn parse(data: &'a [u8]) -> Result<Message<'a>, ParseError> {
        match data {
            [ACK] => Ok(Message::Ack),
            [ACK, ..] | [] => Err(Malformed::at(data.len().min(1), Fault::Length)),
            [OPEN, ..] => open(data).map(Message::Open),
            _ => Err(Malformed::at(0, Fault::Type)),
        }
    }

    /// Appends the message to `out`.
    ///
    /// # Errors
    /// [`Fault::TooLong`] for a label or a protocol above [`limits::CHANNEL_LABEL`]; nothing is written.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Message::Open(Open { delivery, priority, label, protocol }) = self else {
            out.push(ACK);
            return Ok(());
        };
        let (kind, parameter) = match delivery.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::Retransmissions(most) => (RETRANSMISSIONS, most),
            Reliability::Lifetime(millis) => (LIFETIME, millis),
        };
        let kind = if delivery.ordered { kind } else { kind | UNORDERED };
        let [label_len, protocol_len] = [label, protocol].map(|text| length(text));
        let (label_len, protocol_len) = (label_len?, protocol_len?);
        out.extend([OPEN, kind]);
        out.extend(priority.to_be_bytes());
        out.extend(parameter.to_be_bytes());
        out.extend(label_len);
        out.extend(protocol_len);
        out.extend(label.as_bytes());
        out.extend(protocol.as_bytes());
        Ok(())
    }
}

fn length(text: &str) -> Result<[u8; 2], Fault> {
    let len = u16::try_from(text.len()).ok().filter(|len| usize::from(*len) <= limits::CHANNEL_LABEL);
    len.map(u16::to_be_bytes).ok_or(Fault::TooLong)
}

fn open(data: &[u8]) -> Result<Open<'_>, ParseError> {
    let Some((header, rest)) = data.split_first_chunk::<HEADER>() else {
        return Err(Malformed::at(data.len(), Fault::Length));
    };
    let [_, kind, p1, p0, r3, r2, r1, r0, l1, l0, q1, q0] = *header;
    let parameter = u32::from_be_bytes([r3, r2, r1, r0]);
    let reliability = match kind & !UNORDERED {
        // What the parameter says then is ignored.
        0 => Reliability::Reliable,
        RETRANSMISSIONS => Reliability::Retransmissions(parameter),
        LIFETIME => Reliability::Lifetime(parameter),
        _ => return Err(Malformed::at(1, Fault::Channel)),
    };
    let [label, protocol] = [[l1, l0], [q1, q0]].map(|len| usize::from(u16::from_be_bytes(len)));
    for (offset, len) in [(8, label), (10, protocol)] {
        if len > limits::CHANNEL_LABEL {
            return Err(Malformed::at(offset, Fault::TooLong));
        }
    }
    if rest.len() != label + protocol {
        return Err(Malformed::at(8, Fault::Length));
    }
    let (label, protocol) = rest.split_at_checked(label).unwrap_or_default();
    let text = |offset, bytes| std::str::from_utf8(bytes).map_err(|_| Malformed::at(offset, Fault::Text));
    Ok(Open {
        delivery: Delivery { ordered: kind & UNORDERED == 0, reliability },
        priority: u16::from_be_bytes([p1, p0]),
        label: text(HEADER, label)?,
        protocol: text(HEADER + label.len(), protocol)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(message: &Message<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        message.write(&mut out).expect("short names");
        out
    }

    fn chat(delivery: Delivery) -> Open<'static> {
        Open { delivery, priority: 256, label: "chat", protocol: "text" }
    }

    #[test]
    fn rfc_8832_5_1_the_fields_stand_where_they_belong() {
        let delivery = Delivery { ordered: false, reliability: Reliability::Lifetime(3_000) };
        let bytes = written(&Message::Open(chat(delivery)));
        let expected = [3, 0x82, 1, 0, 0, 0, 0x0b, 0xb8, 0, 4, 0, 4];
        assert_eq!(bytes[..12], expected);
        assert_eq!(&bytes[12..], b"chattext");
        assert_eq!(Message::parse(&bytes), Ok(Message::Open(chat(delivery))));
        assert_eq!(written(&Message::Ack), [2]);
        assert_eq!(Message::parse(&[2]), Ok(Message::Ack));
    }

    #[test]
    fn s_data_06_lengths_that_do_not_agree_and_unknown_types_are_refused() {
        let good = written(&Message::Open(chat(Delivery::default())));
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            Message::parse(&bytes).map(|_| ()).map_err(|error| (error.fault, error.offset))
        };
        assert_eq!(with(0, 1), Err((Fault::Type, 0)));
        assert_eq!(with(1, 3), Err((Fault::Channel, 1)));
        assert_eq!(with(1, 0x7f), Err((Fault::Channel, 1)));
        assert_eq!(with(8, 0xff), Err((Fault::TooLong, 8)));
        assert_eq!(with(10, 0xff), Err((Fault::TooLong, 10)));
        assert_eq!(with(9, 5), Err((Fault::Length, 8)));
        assert_eq!(with(12, 0xff), Err((Fault::Text, 12)));
        assert_eq!(with(16, 0xff), Err((Fault::Text, 16)));
        for len in 0..good.len() {
            let error = Message::parse(&good[..len]).expect_err("a part").fault;
            assert_eq!(error, Fault::Length, "{len}");
        }
        let longer = [&good[..], &[0]].concat();
        assert_eq!(Message::parse(&longer).expect_err("longer").fault, Fault::Length);
        assert_eq!(Message::parse(&[2, 0]).expect_err("longer").fault, Fault::Length);
    }

    #[test]
    fn names_that_are_too_long_are_not_written() {
        let label = "x".repeat(limits::CHANNEL_LABEL + 1);
        let open = Open { label: &label, ..chat(Delivery::default()) };
        let mut out = Vec::new();
        assert_eq!((Message::Open(open).write(&mut out), out.len()), (Err(Fault::TooLong), 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(
            ordered: bool, kind in 0..3u8, parameter: u32, priority: u16, label in ".{0,40}", protocol in ".{0,20}",
        ) {
            let reliability = match kind {
                0 => Reliability::Reliable,
                1 => Reliability::Retransmissions(parameter),
                _ => Reliability::Lifetime(parameter),
            };
            let delivery = Delivery { ordered, reliability };
            let message =
                Message::Open(Open { delivery, priority, label: &label, protocol: &protocol });
            let bytes = written(&message);
            prop_assert_eq!(Message::parse(&bytes), Ok(message));
        }

        #[test]
        fn s_data_06_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(message) = Message::parse(&bytes) {
                // What a reliable channel says of times does not come back.
                let again = written(&message);
                prop_assert_eq!(Message::parse(&again), Ok(message));
            }
        }
    }
}
