//! Both versions against `dimpl`, an implementation of another lineage, in both roles.

use std::sync::Arc;

use dimpl::{Config as TheirConfig, Dtls, Output};

use super::*;
use crate::base::time::clock;

/// Whether `dimpl` as a server asks for a cookie, as it does by default.
const COOKIES: bool = true;

/// `dimpl` as a peer over a network that loses.
struct Other {
    engine: Dtls,
    outgoing: Vec<Vec<u8>>,
    data: Vec<Vec<u8>>,
    exported: Option<Vec<u8>>,
    due: Option<Instant>,
}

impl Other {
    fn new(role: Role, version: Version, certificate: dimpl::DtlsCertificate, now: Instant) -> Self {
        let config = TheirConfig::builder()
            .with_crypto_provider(dimpl::crypto::aws_lc_rs::default_provider())
            .flight_start_rto(Duration::from_millis(300))
            .flight_retries(16)
            .handshake_timeout(Duration::from_secs(200))
            .use_server_cookie(COOKIES)
            .require_client_certificate(true)
            .build()
            .unwrap();
        let (config, now) = (Arc::new(config), clock().to_std(now));
        let mut engine = match version {
            Version::V12 => Dtls::new_12(config, certificate, now),
            Version::V13 => Dtls::new_13(config, certificate, now),
        };
        engine.set_active(role == Role::Client);
        let mut other = Other { engine, outgoing: Vec::new(), data: Vec::new(), exported: None, due: None };
        other.engine.handle_timeout(now).unwrap();
        other.drain();
        other
    }

    fn handle(&mut self, datagram: &[u8]) {
        let _ = self.engine.handle_packet(datagram);
        self.drain();
    }

    fn drain(&mut self) {
        let mut buf = [0; 4_096];
        loop {
            match self.engine.poll_output(&mut buf) {
                Output::Packet(packet) => self.outgoing.push(packet.to_vec()),
                Output::ApplicationData(data) => self.data.push(data.to_vec()),
                Output::KeyingMaterial(exported, _) => self.exported = Some(exported.to_vec()),
                Output::Timeout(at) => {
                    self.due = Some(clock().instant_of(at));
                    return;
                }
                _ => {}
            }
        }
    }
}

/// Runs both until each has keys: theirs repeats itself ever more slowly.
fn meet(our_role: Role, version: Version, loss: u64, seed: u8, ours: Versions) {
    let mut random = Random::new([seed; 32]);
    let (their_certificate, theirs) = identity();
    let config = Config { versions: ours, ..Config::default() };
    let context = Context::new(config, Certificate::generate().unwrap()).unwrap();
    let mut now = Instant::from_millis(1_000);
    let their_role = if our_role == Role::Client { Role::Server } else { Role::Client };
    let mut other = Other::new(their_role, version, theirs, now);
    let mut ours = Association::new(our_role, &context, &[their_certificate.fingerprint()], seed.into(), now);
    let (mut connected, mut said) = (None, false);
    let end = now + Duration::from_secs(150);
    while now < end {
        now += Duration::from_millis(5);
        for datagram in std::mem::take(&mut other.outgoing) {
            if random.below(1_000) >= loss {
                let _ = ours.handle_datagram(now, &datagram);
            }
        }
        ours.handle_timeout(now);
        for datagram in transmits(&mut ours) {
            if random.below(1_000) >= loss {
                other.handle(&datagram);
            }
        }
        if other.due.is_some_and(|due| due <= now) {
            other.engine.handle_timeout(clock().to_std(now)).unwrap();
            other.drain();
        }
        while let Some(event) = ours.poll_event() {
            match event {
                Event::Connected { keying, .. } => connected = Some(keying),
                Event::Data(data) => assert_eq!(&data[..], b"theirs"),
                other => panic!("{our_role:?} {version:?}, seed {seed}: {other:?}"),
            }
        }
        if let (Some(keying), Some(exported), false) = (&connected, &other.exported, said) {
            let client = (&keying.local_key, &keying.local_salt);
            let server = (&keying.remote_key, &keying.remote_salt);
            let (client, server) = if our_role == Role::Client { (client, server) } else { (server, client) };
            let ours = [client.0, server.0, client.1, server.1].map(|s| s.expose().to_vec()).concat();
            assert_eq!(ours, *exported, "{our_role:?} {version:?}");
            said = true;
        }
        if said && other.data.is_empty() {
            let _ = ours.send(b"ours");
        }
        if said && !other.data.is_empty() {
            assert_eq!(other.data[0], b"ours");
            return;
        }
    }
    panic!(
        "{our_role:?} {version:?}, loss {loss}, seed {seed}: {} {}",
        connected.is_some(),
        other.exported.is_some()
    );
}

#[test]
fn every_version_and_role_connects_with_another_lineage() {
    for our_role in [Role::Server, Role::Client] {
        for version in [Version::V12, Version::V13] {
            meet(our_role, version, 0, 0, Versions::Auto);
        }
        meet(our_role, Version::V12, 0, 1, Versions::V12);
        meet(our_role, Version::V13, 0, 1, Versions::V13);
    }
}

#[test]
fn the_same_over_a_path_that_loses_three_of_ten() {
    for our_role in [Role::Server, Role::Client] {
        for version in [Version::V12, Version::V13] {
            // Of others a few lose each of their seven tries.
            for seed in 7..19 {
                // Its 1.2 does not put pieces of different sizes together (RFC 6347, section 4.2.3, wants it): so no hello
                // that has several.
                let ours = if version == Version::V12 { Versions::V12 } else { Versions::Auto };
                meet(our_role, version, 300, seed, ours);
            }
        }
    }
}
