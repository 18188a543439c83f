//! Hellos of real browsers, too large for one datagram because of their post-quantum key share.

use super::*;
use crate::captures::packets;

const CHROMIUM: &str = include_str!("../../../../tests/data/dtls/chromium-156-client-hello.hex");
const FIREFOX: &str = include_str!("../../../../tests/data/dtls/firefox-153-client-hello.hex");

fn datagrams(hex: &str) -> [Vec<u8>; 2] {
    packets(hex).try_into().unwrap()
}

/// The type of the first handshake message of a datagram.
fn message(datagram: &[u8]) -> u8 {
    assert_eq!(datagram[0], 22);
    datagram[13]
}

const SERVER_HELLO: u8 = 2;

#[test]
fn s_dtls_15_a_browsers_hello_of_two_datagrams_is_answered() {
    for (browser, hex) in [("Chromium", CHROMIUM), ("Firefox", FIREFOX)] {
        let [a, b] = datagrams(hex);
        let scripts: [&[&Vec<u8>]; 5] =
            [&[&a, &b], &[&b, &a], &[&a, &a, &b], &[&b, &b, &a, &a], &[&a, &b, &a, &b]];
        for versions in [Versions::V12, Versions::V13, Versions::Auto] {
            let context = context(versions);
            for script in scripts {
                let now = Instant::from_millis(7);
                let mut server = Association::new(Role::Server, &context, &[], 0, now);
                for datagram in script {
                    let _ = server.handle_datagram(now, datagram);
                }
                let answer = transmits(&mut server);
                assert!(!answer.is_empty(), "{browser} {versions:?}");
                assert_eq!(message(&answer[0]), SERVER_HELLO, "{browser} {versions:?}");
                let version = if versions == Versions::V12 { Version::V12 } else { Version::V13 };
                assert_eq!(server.version(), Some(version), "{browser}");
                assert_eq!(server.poll_event(), None);
            }
        }
    }
}

#[test]
fn s_dtls_15_half_a_hello_is_not_answered_and_ends_in_time() {
    for half in datagrams(CHROMIUM) {
        let mut server = Association::new(Role::Server, &context(Versions::V12), &[], 0, Instant::ZERO);
        assert_eq!(server.handle_datagram(Instant::ZERO, &half), Ok(()));
        assert!(transmits(&mut server).is_empty());
        let due = server.poll_timeout().unwrap();
        assert!(due <= Instant::ZERO + crate::base::limits::DTLS_HANDSHAKE);
        server.handle_timeout(Instant::from_millis(30_000));
        assert_eq!(server.poll_event(), Some(Event::Failed(FailReason::Timeout)));
    }
}

/// The extension of a ServerHello that names the SRTP profile (RFC 5764, section 4.1.1).
fn profile(datagram: &[u8]) -> Option<u16> {
    let at = datagram.windows(6).position(|w| w == [0, 14, 0, 5, 0, 2])?;
    Some(u16::from_be_bytes([datagram[at + 6], datagram[at + 7]]))
}

#[test]
fn both_browsers_get_aead_aes_128_gcm_under_1_2() {
    for hex in [CHROMIUM, FIREFOX] {
        let mut server = Association::new(Role::Server, &context(Versions::V12), &[], 0, Instant::ZERO);
        for datagram in datagrams(hex) {
            let _ = server.handle_datagram(Instant::ZERO, &datagram);
        }
        assert_eq!(profile(&transmits(&mut server)[0]), Some(7));
    }
}

/// The group of the key share in a ServerHello of 1.3 (RFC 8446, section 4.2.8).
fn key_share(datagram: &[u8]) -> Option<u16> {
    let at = datagram.windows(2).position(|w| w == [0, 51])?;
    Some(u16::from_be_bytes([datagram[at + 4], datagram[at + 5]]))
}

/// The curve of a ServerKeyExchange of 1.2 (RFC 8422, section 5.4).
fn curve(flight: &[Vec<u8>]) -> Option<u16> {
    const NAMED_CURVE: u8 = 3;
    let records = flight.concat();
    let at = records.windows(13).position(|w| w[..3] == [22, 0xfe, 0xfd])?;
    assert_eq!(at, 0);
    // The message's header ends with its length, which is that of the fragment when it is whole.
    let message = records.windows(12).position(|w| w[0] == 12 && w[1] == 0 && w[1..4] == w[9..12])?;
    let body = &records[message + 12..];
    (body[0] == NAMED_CURVE).then(|| u16::from_be_bytes([body[1], body[2]]))
}

#[test]
fn a_hello_that_prefers_x25519mlkem768_is_answered_with_it_and_under_1_2_with_x25519() {
    const X25519MLKEM768: u16 = 0x11ec;
    const X25519: u16 = 29;
    for (browser, hex) in [("Chromium", CHROMIUM), ("Firefox", FIREFOX)] {
        let hello = datagrams(hex);
        assert!(hello.concat().windows(2).any(|w| w == X25519MLKEM768.to_be_bytes()), "{browser} offers it");
        for versions in [Versions::V12, Versions::V13] {
            let mut server = Association::new(Role::Server, &context(versions), &[], 0, Instant::ZERO);
            for datagram in &hello {
                let _ = server.handle_datagram(Instant::ZERO, datagram);
            }
            let flight = transmits(&mut server);
            let group = if versions == Versions::V12 { curve(&flight) } else { key_share(&flight[0]) };
            let expected = if versions == Versions::V12 { X25519 } else { X25519MLKEM768 };
            assert_eq!(group, Some(expected), "{browser} {versions:?}");
        }
    }
}

/// Where the cipher suites of a ClientHello stand in its first datagram (RFC 6347, section 4.2.1): behind
/// both headers, the version, the random, the session id and the cookie.
fn suites(datagram: &[u8]) -> std::ops::Range<usize> {
    let session_id = 13 + 12 + 2 + 32;
    let cookie = session_id + 1 + usize::from(datagram[session_id]);
    let list = cookie + 1 + usize::from(datagram[cookie]);
    let len = usize::from(u16::from_be_bytes([datagram[list], datagram[list + 1]]));
    list + 2..list + 2 + len
}

#[test]
fn s_dtls_14_suites_without_forward_secrecy_and_dtls_1_0_are_refused() {
    // TLS_RSA_WITH_AES_128_GCM_SHA256.
    const WITHOUT_FORWARD_SECRECY: [u8; 2] = [0x00, 0x9c];
    for hex in [CHROMIUM, FIREFOX] {
        let [first, second] = datagrams(hex);
        let mut suites_changed = first.clone();
        let suites = suites(&first);
        suites_changed[suites]
            .chunks_exact_mut(2)
            .for_each(|suite| suite.copy_from_slice(&WITHOUT_FORWARD_SECRECY));
        let mut old = first.clone();
        old[25..27].copy_from_slice(&[0xfe, 0xff]);
        for (changed, versions) in
            [(&suites_changed, Versions::V12), (&suites_changed, Versions::V13), (&old, Versions::V12)]
        {
            let mut server = Association::new(Role::Server, &context(versions), &[], 0, Instant::ZERO);
            for datagram in [changed, &second] {
                let _ = server.handle_datagram(Instant::ZERO, datagram);
            }
            server.handle_timeout(Instant::ZERO + crate::base::limits::DTLS_HANDSHAKE);
            let answers = transmits(&mut server);
            assert!(answers.iter().all(|answer| answer[0] == 21), "an alert at most: {versions:?}");
            let events: Vec<Event> = std::iter::from_fn(|| server.poll_event()).collect();
            assert!(matches!(events[..], [Event::Failed(_)]), "{versions:?}: {events:?}");
        }
    }
}
