use super::attribute::*;
use super::*;
use crate::base::limits;
use aws_lc_rs::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key};
use proptest::prelude::*;
use std::net::SocketAddr;

const ID: TransactionId = TransactionId(*b"twelve bytes");

fn mac(key: &[u8]) -> impl Fn(&[&[u8]]) -> [u8; 20] {
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    move |pieces| {
        let mut context = Context::with_key(&key);
        pieces.iter().for_each(|piece| context.update(piece));
        context.sign().as_ref().try_into().unwrap()
    }
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
fn s_stun_01_header_is_checked_first() {
    let good = fingerprinted(raw(&[(PRIORITY, &[1, 2, 3, 4])]));
    assert!(Message::parse(&good).is_ok());
    for len in 0..HEADER {
        assert_eq!(parse_error(&good[..len]), Some(ParseError::at(0, Fault::Header)));
    }
    for bit in [0x80, 0x40] {
        let mut message = good.clone();
        message[0] |= bit;
        assert_eq!(parse_error(&message), Some(ParseError::at(0, Fault::Type)));
    }
    for at in 4..8 {
        let mut message = good.clone();
        message[at] ^= 1;
        assert_eq!(parse_error(&message), Some(ParseError::at(4, Fault::Cookie)));
    }
    for length in [0, 4, 17, 19, 20, 24, 0xFFFF_u16] {
        let mut message = good.clone();
        if usize::from(length) == good.len() - HEADER {
            continue;
        }
        message[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parse_error(&message), Some(ParseError::at(2, Fault::Length)), "{length}");
    }
    // Right for the datagram, but no multiple of four.
    let mut odd = raw(&[]);
    odd.extend([0, 0]);
    set_length(&mut odd);
    assert_eq!(parse_error(&odd), Some(ParseError::at(2, Fault::Length)));
}

#[test]
fn s_stun_02_attributes_stay_inside_and_keep_their_lengths() {
    let mut past_the_end = raw(&[(PRIORITY, &[0; 4]), (SOFTWARE, b"abcd")]);
    past_the_end[HEADER + 8 + 3] = 5;
    assert_eq!(parse_error(&past_the_end), Some(ParseError::at(28, Fault::Attribute)));
    past_the_end[HEADER + 8 + 2] = 0xFF;
    assert_eq!(parse_error(&past_the_end), Some(ParseError::at(28, Fault::Attribute)));

    let even: Vec<usize> = (0..36).step_by(2).collect();
    let lengths: [(u16, &[usize], Fault); 12] = [
        (MESSAGE_INTEGRITY, &[20], Fault::Integrity),
        (MESSAGE_INTEGRITY_SHA256, &[16, 20, 24, 28, 32], Fault::IntegritySha256),
        (PRIORITY, &[4], Fault::Priority),
        (USE_CANDIDATE, &[0], Fault::UseCandidate),
        (ICE_CONTROLLED, &[8], Fault::TieBreaker),
        (ICE_CONTROLLING, &[8], Fault::TieBreaker),
        (MAPPED_ADDRESS, &[8, 20], Fault::Address),
        (XOR_MAPPED_ADDRESS, &[8, 20], Fault::Address),
        (ALTERNATE_SERVER, &[8, 20], Fault::Address),
        (USERHASH, &[32], Fault::Userhash),
        (PASSWORD_ALGORITHM, &[4], Fault::PasswordAlgorithm),
        (UNKNOWN_ATTRIBUTES, &even, Fault::UnknownAttributes),
    ];
    for (kind, legal, fault) in lengths {
        for len in 0..36 {
            let message = raw(&[(USERNAME, b"a:b"), (kind, &[0; 36][..len])]);
            let expected = (!legal.contains(&len)).then_some(ParseError::at(28, fault));
            assert_eq!(parse_error(&message), expected, "{kind:#x} {len}");
        }
    }
    let long = [b'a'; 768];
    for (kind, most, fault) in [
        (REALM, 763, Fault::Text),
        (NONCE, 763, Fault::Text),
        (SOFTWARE, 763, Fault::Text),
        (ALTERNATE_DOMAIN, 255, Fault::Text),
        (ERROR_CODE, 767, Fault::ErrorCode),
    ] {
        assert_eq!(parse_error(&raw(&[(kind, &long[..most])])), None, "{kind:#x}");
        let above = raw(&[(kind, &long[..most + 1])]);
        assert_eq!(parse_error(&above), Some(ParseError::at(20, fault)), "{kind:#x}");
    }
    assert_eq!(parse_error(&raw(&[(ERROR_CODE, &[0; 3])])), Some(ParseError::at(20, Fault::ErrorCode)));

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
fn s_stun_03_sha256_integrity_ends_what_is_read_and_follows_the_other() {
    let (tag, long) = ([7; 20], [9; 32]);
    let both = raw(&[
        (USERNAME, b"a:b"),
        (MESSAGE_INTEGRITY, &tag),
        (PRIORITY, &[0; 4]),
        (MESSAGE_INTEGRITY_SHA256, &long),
        (MESSAGE_INTEGRITY_SHA256, &[8; 32]),
        (USE_CANDIDATE, &[]),
    ]);
    let message = Message::parse(&both).unwrap();
    assert!(message.has_integrity() && message.has_integrity_sha256());
    assert_eq!(message.attributes().count(), 1);
    assert!(message.verify_integrity(|_| tag) && message.verify_integrity_sha256(|_| long));

    // The older one is not read behind its successor (RFC 8489, section 14.6).
    let turned = fingerprinted(raw(&[
        (MESSAGE_INTEGRITY_SHA256, &long),
        (PRIORITY, &[1; 4]),
        (MESSAGE_INTEGRITY, &tag),
    ]));
    let message = Message::parse(&turned).unwrap();
    assert!(!message.has_integrity() && !message.verify_integrity(|_| tag));
    assert!(message.has_integrity_sha256() && message.has_fingerprint());
    assert_eq!(message.priority(), None);
}

#[test]
fn rfc_8489_14_6_a_cut_sha256_integrity_is_compared_as_far_as_it_goes() {
    let whole: [u8; 32] = std::array::from_fn(|at| at as u8);
    for len in [16, 20, 24, 28, 32] {
        let bytes = raw(&[(USERNAME, b"a:b"), (MESSAGE_INTEGRITY_SHA256, &whole[..len])]);
        let message = Message::parse(&bytes).unwrap();
        let mut covered = Vec::new();
        let right = |pieces: &[&[u8]]| {
            covered = pieces.concat();
            whole
        };
        assert!(message.verify_integrity_sha256(right), "{len}");
        // As if the message ended behind it: here it does.
        assert_eq!(covered, bytes[..28]);
        for at in 0..32 {
            let mut wrong = whole;
            wrong[at] ^= 1;
            assert_eq!(message.verify_integrity_sha256(|_| wrong), at >= len, "{len} {at}");
        }
    }
    let none = raw(&[(USERNAME, b"a:b")]);
    assert!(!Message::parse(&none).unwrap().verify_integrity_sha256(|_| unreachable!()));
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
    let at = good.len() - FINGERPRINT_ATTRIBUTE;
    let mut followed = good.clone();
    followed.extend([0x80, 0x22, 0, 0]);
    set_length(&mut followed);
    assert_eq!(parse_error(&followed), Some(ParseError::at(at, Fault::Fingerprint)));
    assert!(!Message::parse(&raw(&[])).unwrap().has_fingerprint());
}

#[test]
fn s_stun_06_usernames_are_bounded_and_utf_8() {
    let long = [b'a'; limits::STUN_USERNAME + 1];
    let longest = raw(&[(USERNAME, &long[..limits::STUN_USERNAME])]);
    assert_eq!(Message::parse(&longest).unwrap().username().map(str::len), Some(513));
    assert_eq!(parse_error(&raw(&[(USERNAME, &long)])), Some(ParseError::at(20, Fault::Username)));
    assert_eq!(parse_error(&raw(&[(USERNAME, &[b'a'; 764])])), Some(ParseError::at(20, Fault::Username)));
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
fn rfc_8489_14_11_password_algorithms_are_read_and_written() {
    let sha256 = PasswordAlgorithm { number: 2, parameters: &[] };
    let own = PasswordAlgorithm { number: 9, parameters: b"salty" };
    let mut buf = [0xAA; 100];
    let mut writer = Writer::new(&mut buf, Class::Error, BINDING, ID).unwrap();
    writer.password_algorithms(&[own, sha256]).unwrap();
    writer.password_algorithm(own).unwrap();
    let len = writer.finish().unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    assert!(message.password_algorithms().eq([own, sha256]));
    assert_eq!(message.password_algorithm(), Some(own));

    // The padding of the last one may be counted or not.
    for value in [&b"\0\x09\0\x05salty"[..], b"\0\x09\0\x05salty\0\0\0"] {
        let bytes = raw(&[(PASSWORD_ALGORITHMS, value)]);
        assert!(Message::parse(&bytes).unwrap().password_algorithms().eq([own]));
    }
    for cut in [&[0, 2, 0][..], &[0, 2, 0, 1], &[0, 2, 0, 0, 0], &[0, 2, 0, 0, 0, 2, 0, 5, 1]] {
        for kind in [PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS] {
            let error = parse_error(&raw(&[(kind, cut)]));
            assert_eq!(error, Some(ParseError::at(20, Fault::PasswordAlgorithm)), "{cut:?}");
        }
    }
    assert_eq!(Message::parse(&raw(&[(PASSWORD_ALGORITHMS, &[])])).unwrap().password_algorithms().count(), 0);
}

#[test]
fn each_attribute_of_rfc_8489_has_its_getter() {
    let v4: SocketAddr = "192.0.2.1:32853".parse().unwrap();
    let v6: SocketAddr = "[2001:db8::7]:5004".parse().unwrap();
    let mut buf = [0; 400];
    let mut writer = Writer::new(&mut buf, Class::Error, 3, ID).unwrap();
    writer.address(MAPPED_ADDRESS, v4).unwrap();
    writer.address(ALTERNATE_SERVER, v6).unwrap();
    writer.xor_mapped_address(v6).unwrap();
    writer.attribute(REALM, b"realm").unwrap();
    writer.attribute(NONCE, b"nonce").unwrap();
    writer.attribute(SOFTWARE, b"software").unwrap();
    writer.attribute(ALTERNATE_DOMAIN, b"example.org").unwrap();
    writer.attribute(USERHASH, &[5; 32]).unwrap();
    writer.unknown_attributes(&[[0x7F, 0xFF], [0, 2]]).unwrap();
    let len = writer.finish().unwrap();
    let message = Message::parse(&buf[..len]).unwrap();
    assert_eq!(message.mapped_address(), Some(v4));
    assert_eq!(message.alternate_server(), Some(v6));
    assert_eq!(message.xor_mapped_address(), Some(v6));
    assert_eq!((message.realm(), message.nonce()), (Some("realm"), Some("nonce")));
    assert_eq!((message.software(), message.alternate_domain()), (Some("software"), Some("example.org")));
    assert_eq!(message.userhash(), Some(&[5; 32]));
    assert!(message.unknown_attributes().eq([0x7FFF, 2]));
    assert_eq!(message.unknown_required().next(), None);

    let nothing = raw(&[]);
    let message = Message::parse(&nothing).unwrap();
    assert_eq!((message.mapped_address(), message.alternate_server()), (None, None));
    assert_eq!((message.realm(), message.userhash(), message.password_algorithm()), (None, None, None));
    assert_eq!(message.unknown_attributes().len(), 0);
    // Eight bytes of an address of 16, and a family of neither.
    for family in [0, 2, 3] {
        let odd = raw(&[(MAPPED_ADDRESS, &[0, family, 1, 2, 3, 4, 5, 6])]);
        assert_eq!(Message::parse(&odd).unwrap().mapped_address(), None, "{family}");
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
