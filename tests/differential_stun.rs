//! STUN beside two other implementations of different lineages: what each reads out of the same message.
//! Where they differ from the crate the difference has a name, and an RFC's sentence decides.

#[path = "support/captures.rs"]
mod captures;

use aws_lc_rs::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, Key};
use estafette::random::Random;
use estafette::stun::attribute::*;
use estafette::stun::{BINDING, Class, Fault, Message, NoSpace, PasswordAlgorithm, TransactionId, Writer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::catch_unwind;
use stun_types::attribute::Attribute as _;
use stun_types::message::{IntegrityAlgorithm, MessageIntegrityCredentials, ShortTermCredentials};

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// What comparisons came to.
#[derive(Debug, Default)]
struct Tally {
    messages: usize,
    /// How often a difference occurred, by its name.
    differences: BTreeMap<&'static str, usize>,
    /// How often each of the others read or refused, and judged an integrity of a message that we took.
    verdicts: BTreeMap<&'static str, usize>,
    taken: usize,
}

impl Tally {
    /// Which differences there were.
    fn names(&self) -> Vec<&'static str> {
        self.differences.keys().copied().collect()
    }

    /// An oracle that is silent proves nothing.
    fn assert_verdicts(&self) {
        let given = |who| self.verdicts.get(who).copied().unwrap_or_default();
        for (who, all) in [("pion", self.messages), ("ystreet", self.messages), ("integrity", self.taken)] {
            assert!(all > 0 && given(who) * 10 > all * 9, "{who}: {} of {all}", given(who));
        }
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    kind: u16,
    id: [u8; 12],
    /// Type and value of what may be read: nothing behind an integrity.
    attributes: Vec<(u16, Vec<u8>)>,
    mapped: Option<SocketAddr>,
    fingerprint: bool,
}

fn mac<const N: usize>(key: &Key, pieces: &[&[u8]]) -> [u8; N] {
    let mut context = Context::with_key(key);
    pieces.iter().for_each(|piece| context.update(piece));
    context.sign().as_ref().try_into().expect("the hash's length")
}

fn sha1(pieces: &[&[u8]]) -> [u8; 20] {
    mac(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, PASSWORD.as_bytes()), pieces)
}

fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    mac(&Key::new(HMAC_SHA256, PASSWORD.as_bytes()), pieces)
}

fn ours(datagram: &[u8]) -> Result<Said, Fault> {
    let message = Message::parse(datagram).map_err(|error| error.fault)?;
    Ok(Said {
        kind: u16::from_be_bytes([datagram[0], datagram[1]]),
        id: message.transaction_id().0,
        attributes: message.attributes().map(|(kind, value)| (kind, value.to_vec())).collect(),
        mapped: message.xor_mapped_address(),
        fingerprint: message.has_fingerprint(),
    })
}

/// Whether this attribute ends what may be read.
fn ends(kind: u16) -> bool {
    matches!(kind, MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256 | FINGERPRINT)
}

/// The implementation that came from Go's pion; `None` if it refuses.
fn pion(datagram: &[u8]) -> Option<Said> {
    use ::stun::message::Getter as _;
    let mut message = ::stun::message::Message::new();
    message.unmarshal_binary(datagram).ok()?;
    let attributes =
        message.attributes.0.iter().map(|attribute| (attribute.typ.value(), attribute.value.clone()));
    let has_fingerprint = message.contains(::stun::attributes::ATTR_FINGERPRINT);
    if has_fingerprint {
        ::stun::fingerprint::FINGERPRINT.check(&message).ok()?;
    }
    let attributes: Vec<_> = attributes.take_while(|(kind, _)| !ends(*kind)).collect();
    let mut mapped = ::stun::xoraddr::XorMappedAddress::default();
    let read = mapped.get_from(&message).is_ok();
    let readable = attributes.iter().any(|(kind, _)| *kind == XOR_MAPPED_ADDRESS);
    Some(Said {
        kind: message.typ.value(),
        id: message.transaction_id.0,
        attributes,
        mapped: (read && readable).then(|| SocketAddr::new(mapped.ip, mapped.port)),
        fingerprint: has_fingerprint,
    })
}

/// The implementation that GStreamer uses; `None` if it refuses.
fn ystreet(datagram: &[u8]) -> Option<Said> {
    use stun_types::attribute::XorMappedAddress;
    let message = stun_types::message::Message::from_bytes(datagram).ok()?;
    let attributes = message.iter_attributes().map(|(_, raw)| (raw.get_type().value(), raw.value.to_vec()));
    let all: Vec<_> = attributes.collect();
    let attributes: Vec<_> = all.iter().take_while(|(kind, _)| !ends(*kind)).cloned().collect();
    let mapped = message.attribute::<XorMappedAddress>().ok();
    let readable = attributes.iter().any(|(kind, _)| *kind == XOR_MAPPED_ADDRESS);
    Some(Said {
        kind: u16::from_be_bytes([datagram[0], datagram[1]]),
        id: u128::from(message.transaction_id()).to_be_bytes()[4..].try_into().expect("96 bits"),
        attributes,
        mapped: mapped.filter(|_| readable).map(|mapped| mapped.addr(message.transaction_id())),
        fingerprint: all.iter().any(|(kind, _)| *kind == FINGERPRINT),
    })
}

/// Whether the integrity that the other looks at, the stronger one, is right; `None` if there is none.
fn integrity_by_ystreet(datagram: &[u8]) -> Option<(IntegrityAlgorithm, bool)> {
    let message = stun_types::message::Message::from_bytes(datagram).ok()?;
    let credentials: MessageIntegrityCredentials = ShortTermCredentials::new(PASSWORD.into()).into();
    let stronger =
        message.iter_attributes().any(|(_, raw)| raw.get_type().value() == MESSAGE_INTEGRITY_SHA256);
    let any = message.iter_attributes().any(|(_, raw)| raw.get_type().value() == MESSAGE_INTEGRITY);
    let algorithm = if stronger { IntegrityAlgorithm::Sha256 } else { IntegrityAlgorithm::Sha1 };
    (stronger || any).then(|| (algorithm, message.validate_integrity(&credentials).is_ok()))
}

fn compare(datagram: &[u8], tally: &mut Tally) {
    let own = ours(datagram);
    tally.messages += 1;
    for (who, read) in [("pion", pion as fn(&[u8]) -> _), ("ystreet", ystreet)] {
        // A panic is no verdict.
        let Ok(theirs) = catch_unwind(|| read(datagram)) else { continue };
        *tally.verdicts.entry(who).or_default() += 1;
        if own.clone().ok() == theirs {
            continue;
        }
        let name = name_of(who, &own, theirs.as_ref())
            .unwrap_or_else(|| panic!("{who} {datagram:02x?}\nours {own:?}\ntheirs {theirs:?}"));
        *tally.differences.entry(name).or_default() += 1;
    }
    let Ok(message) = Message::parse(datagram) else { return };
    tally.taken += 1;
    let verdict = catch_unwind(|| integrity_by_ystreet(datagram));
    *tally.verdicts.entry("integrity").or_default() += usize::from(verdict.is_ok());
    match verdict {
        Ok(Some((IntegrityAlgorithm::Sha1, right))) => {
            assert_eq!(message.verify_integrity(sha1), right, "{datagram:02x?}");
        }
        Ok(Some((_, right))) => {
            assert_eq!(message.verify_integrity_sha256(sha256), right, "{datagram:02x?}");
        }
        Ok(None) => assert!(!message.has_integrity() && !message.has_integrity_sha256(), "{datagram:02x?}"),
        Err(_) => {}
    }
}

/// The name of a difference, and the sentence that decides it.
fn name_of(who: &str, ours: &Result<Said, Fault>, theirs: Option<&Said>) -> Option<&'static str> {
    let said = match ours {
        Err(fault) => return refused_here(*fault),
        Ok(said) => said,
    };
    let Some(theirs) = theirs else {
        // RFC 8489, section 14.5: agents "MUST ignore all other attributes that follow" the integrity.
        return Some("attributes behind the integrity are not judged");
    };
    let rest = Said { attributes: theirs.attributes.clone(), mapped: theirs.mapped, ..said.clone() };
    if who == "pion" && rest == *theirs {
        // 0x8020 was XOR-MAPPED-ADDRESS in a draft before RFC 5389; RFC 8489 knows no such attribute.
        return Some("a draft's number of XOR-MAPPED-ADDRESS, or an address of another family");
    }
    let unseen = Said { fingerprint: false, ..said.clone() };
    if who == "ystreet" && unseen == *theirs {
        // RFC 8489, section 14.5: all is ignored behind the integrity but its successor and FINGERPRINT,
        // whatever stands between them.
        return Some("a fingerprint behind what is ignored");
    }
    None
}

/// What only we refuse.
fn refused_here(fault: Fault) -> Option<&'static str> {
    Some(match fault {
        // RFC 8489, section 5: "The most significant 2 bits of every STUN message MUST be zeroes".
        Fault::Type => "top bits",
        // RFC 8489, sections 5 and 6.3: the length "MUST contain the size of the message", and over UDP
        // a message is a datagram.
        Fault::Length => "another length than the datagram's",
        // RFC 8489, section 14.7: FINGERPRINT "MUST be the last attribute in the message", four bytes.
        Fault::Fingerprint => "a fingerprint that is not last",
        // RFC 8489, section 14: an attribute's padding is within the message.
        Fault::Attribute => "an attribute that runs past the end",
        // RFC 8489, sections 14.1 to 14.16, and RFC 8445, section 16.1: lengths of the values.
        Fault::Address
        | Fault::Username
        | Fault::Userhash
        | Fault::Integrity
        | Fault::IntegritySha256
        | Fault::ErrorCode
        | Fault::UnknownAttributes
        | Fault::Text
        | Fault::PasswordAlgorithm
        | Fault::Priority
        | Fault::UseCandidate
        | Fault::TieBreaker => "a value of another length than its type's",
        _ => return None,
    })
}

/// The STUN messages that browsers and others sent, and the samples of RFC 5769 and RFC 8489.
fn recorded() -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for (_, pcap) in captures::files("captures/stun", ".pcap") {
        messages.extend(captures::datagrams(&pcap).iter().map(|(_, datagram)| datagram.to_vec()));
    }
    for name in ["rfc5769", "rfc8489"] {
        for vector in captures::vectors(name)["messages"].as_array().expect("a list") {
            messages.push(captures::hex(&vector["message"]));
        }
    }
    assert_eq!(messages.len(), 197 + 5);
    messages
}

/// A message of whatever attributes, with this integrity or that.
fn generated(random: &mut Random) -> Vec<u8> {
    let mut buf = [0; 1_024];
    let len = write(random, &mut buf).expect("room");
    buf[..len].to_vec()
}

fn write(random: &mut Random, buf: &mut [u8]) -> Result<usize, NoSpace> {
    let class = [Class::Request, Class::Indication, Class::Success, Class::Error][random.below(4) as usize];
    let method = if random.below(4) == 0 { random.below(0x1000) as u16 } else { BINDING };
    let mut id = [0; 12];
    id[..8].copy_from_slice(&random.next_u64().to_be_bytes());
    let mut writer = Writer::new(buf, class, method, TransactionId(id))?;
    for _ in 0..random.below(7) {
        let address: SocketAddr = if random.below(2) == 0 {
            ([192, 0, 2, random.below(256) as u8], random.next_u32() as u16).into()
        } else {
            ([0x2001, 0xdb8, 0, 0, 0, 0, 0, random.next_u32() as u16], random.next_u32() as u16).into()
        };
        match random.below(14) {
            0 => writer.username("receiver", "sender"),
            1 => writer.priority(random.next_u32()),
            2 => writer.use_candidate(),
            3 => writer.ice_controlling(random.next_u64()),
            4 => writer.ice_controlled(random.next_u64()),
            5 | 6 => writer.xor_mapped_address(address),
            7 => writer.address([MAPPED_ADDRESS, ALTERNATE_SERVER][random.below(2) as usize], address),
            8 => writer.error_code(300 + random.below(400) as u16, "because"),
            9 => writer.unknown_attributes(&[[0x7f, 0xff], [0, 9]]),
            10 => writer.attribute([REALM, NONCE, SOFTWARE][random.below(3) as usize], b"some text"),
            11 => writer.attribute(USERHASH, &[7; 32]),
            12 => writer.password_algorithm(PasswordAlgorithm { number: 2, parameters: &[] }),
            // GOOG-NETWORK-INFO and others that need not be understood.
            _ => writer.attribute(0xC057 + random.below(3) as u16, &[0; 5][..random.below(6) as usize]),
        }?;
    }
    let integrity = random.below(4);
    if integrity & 1 != 0 {
        writer.integrity(sha1)?;
    }
    if integrity & 2 != 0 {
        writer.integrity_sha256(sha256)?;
    }
    if random.below(3) == 0 { writer.finish_without_fingerprint() } else { writer.finish() }
}

/// Changes a few bytes, or cuts, and mostly sets the lengths and the fingerprint right again.
fn mutate(random: &mut Random, message: &mut Vec<u8>) {
    if random.below(4) == 0 {
        message.truncate(random.below(message.len() as u64 + 1) as usize / 4 * 4);
    }
    for _ in 0..random.below(3) {
        if !message.is_empty() {
            let at = random.below(message.len() as u64) as usize;
            message[at] = match random.below(4) {
                0 => 0,
                1 => message[at] ^ 1 << random.below(8),
                2 => message[at].wrapping_add(4),
                _ => random.next_u32() as u8,
            };
        }
    }
    if message.len() >= 20 && random.below(8) > 0 {
        let len = message.len() as u16 - 20;
        message[2..4].copy_from_slice(&len.to_be_bytes());
        message[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
        let at = message.len() - 8;
        if at >= 20 && message[at..at + 4] == [0x80, 0x28, 0, 4] {
            let crc = crc32fast::hash(&message[..at]) ^ 0x5354_554e;
            message[at + 4..].copy_from_slice(&crc.to_be_bytes());
        }
    }
}

/// Panics of the others are caught and say nothing: neither do they print.
fn quiet() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|at| at.file().contains("stun-")) {
            hook(info);
        }
    }));
}

#[test]
fn others_read_what_was_recorded_as_we_do() {
    let mut tally = Tally::default();
    recorded().iter().for_each(|message| compare(message, &mut tally));
    assert_eq!(tally.names(), [""; 0]);
    tally.assert_verdicts();
}

#[test]
fn others_read_what_is_written_here_as_we_do() {
    let mut random = Random::new([1; 32]);
    let mut tally = Tally::default();
    for _ in 0..4_000 {
        let message = generated(&mut random);
        assert!(Message::parse(&message).is_ok(), "{message:02x?}");
        compare(&message, &mut tally);
    }
    assert_eq!(tally.names(), [""; 0]);
    tally.assert_verdicts();
}

#[test]
fn others_take_and_refuse_what_was_changed_as_we_do() {
    quiet();
    let recorded = recorded();
    let mut random = Random::new([2; 32]);
    let mut tally = Tally::default();
    let (rounds, mut taken) = (8_000, 0);
    for round in 0..rounds {
        let mut message = if round % 3 == 0 {
            recorded[random.below(recorded.len() as u64) as usize].clone()
        } else {
            generated(&mut random)
        };
        mutate(&mut random, &mut message);
        taken += usize::from(Message::parse(&message).is_ok());
        compare(&message, &mut tally);
    }
    let expected = [
        "a draft's number of XOR-MAPPED-ADDRESS, or an address of another family",
        "a fingerprint behind what is ignored",
        "a fingerprint that is not last",
        "a value of another length than its type's",
        "an attribute that runs past the end",
        "another length than the datagram's",
        "top bits",
    ];
    assert_eq!(tally.names(), expected);
    tally.assert_verdicts();
    assert!(taken > rounds / 5 && taken < rounds * 4 / 5, "{taken}");
}
