//! The samples of RFC 5769 and RFC 8489: read, checked, and written again byte for byte.

use super::attribute::*;
use super::*;
use crate::captures::{hex, vectors};
use aws_lc_rs::hmac::{Context, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, Key};
use serde_json::Value;
use std::net::SocketAddr;

fn mac<const N: usize>(key: &Key, pieces: &[&[u8]]) -> [u8; N] {
    let mut context = Context::with_key(key);
    pieces.iter().for_each(|piece| context.update(piece));
    context.sign().as_ref().try_into().unwrap()
}

/// A sample by the end of its section's name.
fn vector(file: &str, section: &str) -> Value {
    let vectors = vectors(file);
    let messages = vectors["messages"].as_array().unwrap();
    let named = |vector: &&Value| vector["section"].as_str().unwrap().starts_with(section);
    messages.iter().find(named).unwrap().clone()
}

/// Checks a sample of RFC 5769 and writes it again with this padding.
fn check_5769(section: &str, padding: u8) {
    let vector = vector("rfc5769", section);
    let text = |name: &str| vector[name].as_str();
    let bytes = hex(&vector["message"]);
    let message = Message::parse(&bytes).unwrap();
    let key = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &hex(&vector["integrity_key"]));
    assert!(message.verify_integrity(|pieces| mac(&key, pieces)));
    let another = Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"another password of 22");
    assert!(!message.verify_integrity(|pieces| mac(&another, pieces)));
    assert_eq!(message.has_fingerprint(), vector["fingerprint"].as_bool().unwrap());
    assert_eq!(message.username(), text("username"));
    assert_eq!(message.software(), text("software"));
    assert_eq!(message.realm(), text("realm"));
    assert_eq!(message.nonce(), text("nonce"));
    assert_eq!(message.priority().map(u64::from), vector["priority"].as_u64());
    let controlled = text("ice_controlled").map(|n| u64::from_str_radix(n, 16).unwrap());
    assert_eq!(message.ice_controlled(), controlled);
    let address = text("xor_mapped_address")
        .map(|ip| SocketAddr::new(ip.parse().unwrap(), vector["port"].as_u64().unwrap() as u16));
    assert_eq!(message.xor_mapped_address(), address);
    assert_eq!(message.class() == Class::Success, address.is_some());
    assert_eq!(message.method(), BINDING);

    let mut buf = [0xAA; 200];
    let mut writer = Writer::new(&mut buf, message.class(), BINDING, message.transaction_id()).unwrap();
    writer.set_padding(padding);
    for (kind, value) in message.attributes() {
        match kind {
            USERNAME if address.is_none() && message.has_fingerprint() => {
                let (receiver, sender) = message.username().unwrap().split_once(':').unwrap();
                writer.username(receiver, sender).unwrap();
            }
            PRIORITY => writer.priority(message.priority().unwrap()).unwrap(),
            ICE_CONTROLLED => writer.ice_controlled(controlled.unwrap()).unwrap(),
            XOR_MAPPED_ADDRESS => writer.xor_mapped_address(address.unwrap()).unwrap(),
            _ => writer.attribute(kind, value).unwrap(),
        }
    }
    let len = if message.has_fingerprint() {
        writer.finish_with_integrity(|pieces| mac(&key, pieces)).unwrap()
    } else {
        writer.integrity(|pieces| mac(&key, pieces)).unwrap();
        writer.finish_without_fingerprint().unwrap()
    };
    assert_eq!(buf[..len], bytes);
    assert!(buf[len..].iter().all(|byte| *byte == 0xAA));
}

#[test]
fn rfc_5769_2_1_request() {
    check_5769("RFC 5769 2.1", b' ');
}

#[test]
fn rfc_5769_2_2_ipv4_response() {
    check_5769("RFC 5769 2.2", b' ');
}

#[test]
fn rfc_5769_2_3_ipv6_response() {
    check_5769("RFC 5769 2.3", b' ');
}

#[test]
fn rfc_5769_2_4_request_with_long_term_authentication() {
    check_5769("RFC 5769 2.4", 0);
}

#[test]
fn rfc_8489_b_1_request_with_sha256_and_userhash() {
    let vector = vector("rfc8489", "RFC 8489 appendix B.1");
    let text = |name: &str| vector[name].as_str().unwrap();
    let bytes = hex(&vector["message"]);
    let message = Message::parse(&bytes).unwrap();
    let key = Key::new(HMAC_SHA256, &hex(&vector["integrity_key"]));
    assert!(message.verify_integrity_sha256(|pieces| mac(&key, pieces)));
    let another = Key::new(HMAC_SHA256, text("password").as_bytes());
    assert!(!message.verify_integrity_sha256(|pieces| mac(&another, pieces)));
    assert!(!message.has_integrity() && !message.has_fingerprint());
    assert_eq!(message.username(), None);
    assert_eq!(message.userhash().unwrap()[..], hex(&vector["userhash"]));
    assert_eq!(message.realm(), Some(text("realm")));
    assert_eq!(message.nonce(), Some(text("nonce")));
    assert_eq!(message.password_algorithm(), Some(PasswordAlgorithm { number: 2, parameters: &[] }));
    let tag = hex(&vector["message_integrity_sha256"]);
    assert_eq!(bytes[bytes.len() - 32..], tag);

    let mut buf = [0xAA; 200];
    let mut writer = Writer::new(&mut buf, Class::Request, BINDING, message.transaction_id()).unwrap();
    writer.attribute(USERHASH, message.userhash().unwrap()).unwrap();
    writer.attribute(NONCE, text("nonce").as_bytes()).unwrap();
    writer.attribute(REALM, text("realm").as_bytes()).unwrap();
    writer.password_algorithm(message.password_algorithm().unwrap()).unwrap();
    writer.integrity_sha256(|pieces| mac(&key, pieces)).unwrap();
    let len = writer.finish_without_fingerprint().unwrap();
    assert_eq!(buf[..len], bytes);
}
