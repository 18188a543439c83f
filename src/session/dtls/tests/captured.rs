//! Hellos of real browsers, too large for one datagram because of their post-quantum key share.

use super::*;

const CHROMIUM: &str = include_str!("../../../../tests/data/dtls/chromium-156-client-hello.hex");
const FIREFOX: &str = include_str!("../../../../tests/data/dtls/firefox-153-client-hello.hex");

fn datagrams(hex: &str) -> [Vec<u8>; 2] {
    let line = |line: &str| -> Vec<u8> {
        let pairs = line.as_bytes().chunks_exact(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    };
    let all: Vec<_> = hex.lines().map(line).collect();
    all.try_into().unwrap()
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
fn the_default_version_yields_aead_aes_256_gcm_from_both_browsers() {
    for hex in [CHROMIUM, FIREFOX] {
        let mut server = Association::new(Role::Server, &context(Versions::default()), &[], 0, Instant::ZERO);
        for datagram in datagrams(hex) {
            let _ = server.handle_datagram(Instant::ZERO, &datagram);
        }
        assert_eq!(profile(&transmits(&mut server)[0]), Some(8));
    }
}
