use super::*;
use aws_lc_rs::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key};
use proptest::prelude::*;
use serde_json::Value;

const ID: TransactionId = TransactionId(*b"twelve bytes");

fn mac(key: &[u8]) -> impl Fn(&[&[u8]]) -> [u8; 20] {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    move |pieces| {
        let mut context = Context::with_key(&key);
        pieces.iter().for_each(|piece| context.update(piece));
        context.sign().as_ref().try_into().unwrap()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// A message of raw attributes, integrity and fingerprint included only if given.
fn raw(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0];
    message.extend(COOKIE.to_be_bytes());
    message.extend(ID.0);
    for (kind, value) in attributes {
        message.extend(kind.to_be_bytes());
        message.extend((value.len() as u16).to_be_bytes());
        message.extend(*value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    set_length(&mut message);
    message
}

fn set_length(message: &mut [u8]) {
    let length = (message.len() - HEADER) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// Adds a right FINGERPRINT.
fn fingerprinted(mut message: Vec<u8>) -> Vec<u8> {
    message.extend([0x80, 0x28, 0, 4, 0, 0, 0, 0]);
    set_length(&mut message);
    let at = message.len() - FINGERPRINT_ATTRIBUTE;
    let crc = crc32fast::hash(&message[..at]) ^ FINGERPRINT_XOR;
    message[at + 4..].copy_from_slice(&crc.to_be_bytes());
    message
}

fn parse_error(message: &[u8]) -> Option<ParseError> {
    Message::parse(message).err()
}

#[test]
fn rfc_5769_section_2_vectors() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/data/vectors/rfc5769.json")).unwrap();
    let messages = vectors["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 4);
    for vector in messages {
        let text = |name: &str| vector[name].as_str();
        let bytes = unhex(text("message").unwrap());
        let message = Message::parse(&bytes).unwrap();
        assert!(message.verify_integrity(mac(&unhex(text("integrity_key").unwrap()))));
        assert!(!message.verify_integrity(mac(b"another password of 22")));
        assert_eq!(message.has_fingerprint(), vector["fingerprint"].as_bool().unwrap());
        assert_eq!(message.username(), text("username"));
        assert_eq!(message.attribute(0x8022), text("software").map(str::as_bytes));
        assert_eq!(message.priority().map(u64::from), vector["priority"].as_u64());
        let controlled = text("ice_controlled").map(|n| u64::from_str_radix(n, 16).unwrap());
        assert_eq!(message.ice_controlled(), controlled);
        let address = text("xor_mapped_address")
            .map(|ip| SocketAddr::new(ip.parse().unwrap(), vector["port"].as_u64().unwrap() as u16));
        assert_eq!(message.xor_mapped_address(), address);
        assert_eq!(message.class() == Class::Success, address.is_some());
        assert_eq!(message.method(), BINDING);
    }
}

#[test]
fn s_stun_01_header_is_checked_first() {
    let good = fingerprinted(raw(&[(PRIORITY, &[1, 2, 3, 4])]));
    assert!(Message::parse(&good).is_ok());
    for len in 0..HEADER {
        assert_eq!(parse_error(&good[..len]), Some(ParseError::TooShort));
    }
    for bit in [0x80, 0x40] {
        let mut message = good.clone();
        message[0] |= bit;
        assert_eq!(parse_error(&message), Some(ParseError::NotStun));
    }
    for at in 4..8 {
        let mut message = good.clone();
        message[at] ^= 1;
        assert_eq!(parse_error(&message), Some(ParseError::NotStun));
    }
    for length in [0, 4, 17, 19, 20, 24, 0xFFFF_u16] {
        let mut message = good.clone();
        if usize::from(length) == good.len() - HEADER {
            continue;
        }
        message[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parse_error(&message), Some(ParseError::Length), "{length}");
    }
    // Right for the datagram, but no multiple of four.
    let mut odd = raw(&[]);
    odd.extend([0, 0]);
    set_length(&mut odd);
    assert_eq!(parse_error(&odd), Some(ParseError::Length));
}

#[test]
fn s_stun_02_attributes_stay_inside_and_keep_their_lengths() {
    let mut past_the_end = raw(&[(0x8022, b"abcd")]);
    past_the_end[HEADER + 3] = 5;
    assert_eq!(parse_error(&past_the_end), Some(ParseError::Attribute));
    past_the_end[HEADER + 2] = 0xFF;
    assert_eq!(parse_error(&past_the_end), Some(ParseError::Attribute));

    let lengths: [(u16, &[usize]); 8] = [
        (MESSAGE_INTEGRITY, &[20]),
        (MESSAGE_INTEGRITY_SHA256, &[16, 20, 24, 28, 32]),
        (PRIORITY, &[4]),
        (USE_CANDIDATE, &[0]),
        (ICE_CONTROLLED, &[8]),
        (ICE_CONTROLLING, &[8]),
        (XOR_MAPPED_ADDRESS, &[8, 20]),
        (UNKNOWN_ATTRIBUTES, &[0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34]),
    ];
    for (kind, legal) in lengths {
        for len in 0..36 {
            let message = raw(&[(kind, &[0; 36][..len])]);
            assert_eq!(Message::parse(&message).is_ok(), legal.contains(&len), "{kind:#x} {len}");
        }
    }

    let twice = raw(&[(PRIORITY, &[0, 0, 0, 1]), (PRIORITY, &[0, 0, 0, 2])]);
    assert_eq!(Message::parse(&twice).unwrap().priority(), Some(1));
    // Padding may hold anything (RFC 8489, section 14).
    let mut padded = raw(&[(USERNAME, b"a:b")]);
    *padded.last_mut().unwrap() = 0xFF;
    assert_eq!(Message::parse(&padded).unwrap().username(), Some("a:b"));
}

#[test]
fn s_stun_03_attributes_after_integrity_are_not_read() {
    let tag = [7; 20];
    let message = fingerprinted(raw(&[
        (USERNAME, b"a:b"),
        (MESSAGE_INTEGRITY, &tag),
        (USE_CANDIDATE, &[]),
        (0x7FFF, &[]),
        (PRIORITY, b"wrong length"),
        (MESSAGE_INTEGRITY, &[8; 20]),
    ]));
    let message = Message::parse(&message).unwrap();
    assert!(message.has_fingerprint() && message.has_integrity());
    assert!(!message.use_candidate());
    assert_eq!(message.priority(), None);
    assert_eq!(message.unknown_required().next(), None);
    assert_eq!(message.attributes().count(), 1);
    // The first integrity is the one that counts.
    assert!(message.verify_integrity(|_| tag));
    assert!(!message.verify_integrity(|_| [8; 20]));
}

#[test]
fn s_stun_03_fingerprint_is_right_and_last() {
    let good = fingerprinted(raw(&[(USERNAME, b"a:b")]));
    for at in 0..good.len() {
        let mut message = good.clone();
        message[at] ^= 0x01;
        // Where its own type is hit there is no fingerprint any more, which ICE refuses as well.
        let accepted = Message::parse(&message).is_ok_and(|message| message.has_fingerprint());
        assert!(!accepted, "byte {at}");
    }
    let mut followed = good.clone();
    followed.extend([0x80, 0x22, 0, 0]);
    set_length(&mut followed);
    assert_eq!(parse_error(&followed), Some(ParseError::Fingerprint));
    assert!(!Message::parse(&raw(&[])).unwrap().has_fingerprint());
}

#[test]
fn s_stun_06_usernames_are_bounded_and_utf_8() {
    let long = [b'a'; limits::STUN_USERNAME + 1];
    let longest = raw(&[(USERNAME, &long[..limits::STUN_USERNAME])]);
    assert_eq!(Message::parse(&longest).unwrap().username().map(str::len), Some(513));
    assert_eq!(parse_error(&raw(&[(USERNAME, &long)])), Some(ParseError::Attribute));
    assert_eq!(parse_error(&raw(&[(USERNAME, &[b'a'; 764])])), Some(ParseError::Attribute));
    assert_eq!(Message::parse(&raw(&[(USERNAME, b"a:\xFF")])).unwrap().username(), None);
}

#[test]
fn types_round_trip_and_unknown_required_ones_are_named() {
    let mut buf = [0; 64];
    for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
        for method in [0, BINDING, 0x00F, 0x080, 0xABC, 0xFFF] {
            let len = Writer::new(&mut buf, class, method, ID).unwrap().finish().unwrap();
            let message = Message::parse(&buf[..len]).unwrap();
            assert_eq!((message.class(), message.method()), (class, method));
            assert_eq!(message.transaction_id(), ID);
        }
    }
    let message = raw(&[(0x0002, &[]), (USERNAME, b"a:b"), (0xC057, &[]), (0x7FFF, &[])]);
    let unknown = Message::parse(&message).unwrap().unknown_required().collect::<Vec<_>>();
    assert_eq!(unknown, [0x0002, 0x7FFF]);
}

#[test]
fn error_codes_round_trip_and_odd_ones_are_none() {
    let mut buf = [0; 64];
    for code in [300, 487, 699] {
        let mut writer = Writer::new(&mut buf, Class::Error, BINDING, ID).unwrap();
        writer.error_code(code, "Because").unwrap();
        let len = writer.finish().unwrap();
        assert_eq!(Message::parse(&buf[..len]).unwrap().error_code(), Some((code, "Because")));
    }
    for value in [[0, 0, 2, 99], [0, 0, 7, 0], [0, 0, 4, 100]] {
        assert_eq!(Message::parse(&raw(&[(ERROR_CODE, &value)])).unwrap().error_code(), None);
    }
}

#[test]
fn a_referee_reads_what_is_written_and_writes_what_is_read() {
    use ::stun::{attributes as theirs, fingerprint, message, xoraddr};

    for address in ["192.0.2.1:32853", "[2001:db8::7]:5004"] {
        let address: SocketAddr = address.parse().unwrap();
        let mut buf = [0; 200];
        let mut writer = Writer::new(&mut buf, Class::Success, BINDING, ID).unwrap();
        writer.xor_mapped_address(address).unwrap();
        writer.username("abcd", "efgh").unwrap();
        let len = writer.finish_with_integrity(mac(b"password")).unwrap();

        let mut referee = message::Message::new();
        referee.unmarshal_binary(&buf[..len]).unwrap();
        fingerprint::FINGERPRINT.check(&referee).unwrap();
        assert_eq!(referee.typ, message::BINDING_SUCCESS);
        assert_eq!(referee.get(theirs::ATTR_USERNAME).unwrap(), b"abcd:efgh");
        let mut mapped = xoraddr::XorMappedAddress::default();
        mapped.get_from_as(&referee, theirs::ATTR_XORMAPPED_ADDRESS).unwrap();
        assert_eq!(SocketAddr::new(mapped.ip, mapped.port), address);

        let mut referee = message::Message::new();
        let mapped = xoraddr::XorMappedAddress { ip: address.ip(), port: address.port() };
        referee
            .build(&[
                Box::new(message::TransactionId(ID.0)),
                Box::new(message::BINDING_SUCCESS),
                Box::new(mapped),
                Box::new(fingerprint::FINGERPRINT),
            ])
            .unwrap();
        let ours = Message::parse(&referee.raw).unwrap();
        assert_eq!(ours.xor_mapped_address(), Some(address));
        assert!(ours.has_fingerprint());
    }
}

proptest! {
    #[test]
    fn any_bytes_parse_without_panic_and_the_referee_agrees(
        body in proptest::collection::vec(any::<u8>(), 0..96),
        kind in any::<[u8; 2]>(),
    ) {
        let mut datagram = vec![kind[0] & 0x3F, kind[1], 0, body.len() as u8];
        datagram.extend(COOKIE.to_be_bytes());
        datagram.extend(ID.0);
        datagram.extend(&body);
        let Ok(message) = Message::parse(&datagram) else { return Ok(()) };
        let mut referee = ::stun::message::Message::new();
        prop_assert!(referee.unmarshal_binary(&datagram).is_ok());
        for (ours, theirs) in message.attributes().zip(&referee.attributes.0) {
            prop_assert_eq!(ours, (theirs.typ.value(), &theirs.value[..]));
        }
        let _ = (message.username(), message.error_code(), message.xor_mapped_address());
        let _ = message.verify_integrity(|_| [0; 20]);
    }

    #[test]
    fn what_is_written_is_read(
        kinds in proptest::collection::vec(0x8100..0x9000u16, 0..6),
        value in proptest::collection::vec(any::<u8>(), 0..40),
        room in 0..400usize,
    ) {
        let mut buf = vec![0xAA; room];
        let written = (|| {
            let mut writer = Writer::new(&mut buf, Class::Request, BINDING, ID)?;
            for kind in &kinds {
                writer.attribute(*kind, &value)?;
            }
            writer.finish_with_integrity(mac(b"key"))
        })();
        let attribute = 4 + value.len().next_multiple_of(4);
        let need = HEADER + kinds.len() * attribute + INTEGRITY_ATTRIBUTE + FINGERPRINT_ATTRIBUTE;
        prop_assert_eq!(written, if room < need { Err(NoSpace) } else { Ok(need) });
        if let Ok(len) = written {
            let message = Message::parse(&buf[..len]).unwrap();
            prop_assert!(message.verify_integrity(mac(b"key")));
            let read = message.attributes().map(|(kind, _)| kind).collect::<Vec<_>>();
            prop_assert_eq!(read, kinds);
            prop_assert!(message.attributes().all(|(_, read)| read == value));
            // Not a byte beyond what was announced.
            prop_assert!(buf[len..].iter().all(|byte| *byte == 0xAA));
        }
    }
}
