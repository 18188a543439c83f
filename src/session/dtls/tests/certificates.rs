//! Certificates of our own choice, and what becomes of peers with others.

use super::*;

const P384: &str = include_str!("../../../../tests/data/dtls/p384.pem");
const RSA: &str = include_str!("../../../../tests/data/dtls/rsa.pem");

fn context_of(certificate: Certificate) -> Context {
    Context::new(Config { versions: Versions::Auto, ..Config::default() }, certificate).unwrap()
}

#[test]
fn a_certificate_of_the_embedders_is_read_from_text_and_used() {
    let given = Certificate::from_pem(P384).unwrap();
    for versions in [Versions::V12, Versions::V13] {
        let config = Config { versions, ..Config::default() };
        let ours = Context::new(config, given.clone()).unwrap();
        let mut pair = Pair::new(&ours, &context(versions), 0, Network::default());
        pair.run();
        pair.keys();
        let mut pair = Pair::new(&context(versions), &ours, 0, Network::default());
        pair.run();
        pair.keys();
    }
}

#[test]
fn unusable_text_is_refused_by_its_part() {
    let error = |text: &str| Certificate::from_pem(text).map(|_| ()).unwrap_err();
    assert_eq!(error(""), CertificateError::Certificate);
    assert_eq!(error(&P384.replace("PRIVATE KEY", "EC PRIVATE KEY")), CertificateError::Key);
    let (_, key_of_rsa) = RSA.split_once("-----BEGIN PRIVATE").unwrap();
    let (certificate, _) = P384.split_once("-----BEGIN PRIVATE").unwrap();
    let mixed = format!("{certificate}-----BEGIN PRIVATE{key_of_rsa}");
    assert!(matches!(error(&mixed), CertificateError::Key | CertificateError::Mismatch));
}

#[test]
fn a_replaced_certificate_is_for_associations_to_come() {
    let (first, second) = (context(Versions::V12), Certificate::generate().unwrap());
    let client = context(Versions::V12);
    let mut before = Pair::new(&client, &first, 0, Network::default());
    let replaced = first.with_certificate(second.clone());
    assert_eq!(replaced.fingerprint(), second.fingerprint());
    assert_ne!(first.fingerprint(), second.fingerprint());
    before.run();
    before.keys();
    let mut after = Pair::new(&client, &replaced, 0, Network::default());
    after.run();
    after.keys();
    let of_first = [first.fingerprint()];
    let of_client = [client.fingerprint()];
    let mut stale = Pair::expecting(&client, &of_first, &replaced, &of_client, 0, Network::default());
    stale.run();
    assert_eq!(stale.client_events, [Event::Failed(FailReason::Fingerprint)]);
}

#[test]
fn s_dtls_11_fingerprints_of_every_hash_are_proof() {
    let (ours, theirs) = (Certificate::generate().unwrap(), Certificate::generate().unwrap());
    let (client, server) = (context_of(ours.clone()), context_of(theirs.clone()));
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
        let (of_server, of_client) =
            (Fingerprint::of(algorithm, theirs.der()), Fingerprint::of(algorithm, ours.der()));
        let mut pair = Pair::expecting(&client, &[of_server], &server, &[of_client], 0, Network::default());
        pair.run();
        pair.keys();
        // Another certificate under the same hash.
        let wrong = [Fingerprint::of(algorithm, b"somebody else")];
        let mut pair = Pair::expecting(&client, &wrong, &server, &[of_client], 0, Network::default());
        pair.run();
        assert_eq!(pair.client_events, [Event::Failed(FailReason::Fingerprint)], "{algorithm:?}");
    }
}

/// What the owner does before it knows the answer (RFC 8842, section 5.2): it has no association, so
/// nothing is held that would need a bound; and one that expects no fingerprint proves nothing.
#[test]
fn s_dtls_12_without_a_fingerprint_neither_keys_nor_data_come_out() {
    for versions in [Versions::V12, Versions::V13] {
        for role in [Role::Server, Role::Client] {
            let (client, server) = (context(versions), context(versions));
            let (of_server, of_client) = ([server.fingerprint()], [client.fingerprint()]);
            let (of_server, of_client) = match role {
                Role::Server => (&of_server[..], &[][..]),
                Role::Client => (&[][..], &of_client[..]),
            };
            let mut pair = Pair::expecting(&client, of_server, &server, of_client, 0, Network::default());
            pair.run_for(Duration::from_millis(60));
            // The peer may believe to be connected already, and speak.
            let other = if role == Role::Server { Role::Client } else { Role::Server };
            let _ = pair.end(other).send(b"too early");
            pair.run();
            let events = if role == Role::Server { &pair.server_events } else { &pair.client_events };
            assert_eq!(*events, [Event::Failed(FailReason::Fingerprint)], "{versions:?} {role:?}");
        }
    }
}
