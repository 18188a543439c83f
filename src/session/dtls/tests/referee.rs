//! DTLS 1.2 against an implementation of another lineage, as client and as server.

use std::net::SocketAddr;
use std::sync::Arc;

use ::dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use ::dtls::crypto::Certificate as TheirCertificate;
use ::dtls::endpoint::{Endpoint, EndpointEvent};
use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile as Profile;

use super::*;
use crate::base::time::clock;

const THEM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const US: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

struct Referee {
    endpoint: Endpoint,
    ours: Association,
    our_role: Role,
    now: Instant,
    completed: bool,
    theirs: Vec<Vec<u8>>,
    errors: Vec<String>,
    events: Vec<Event>,
}

impl Referee {
    fn new(our_role: Role, profiles: &[Profile]) -> Self {
        let provider = ::dtls::crypto_provider::default_provider().unwrap();
        let certificate =
            TheirCertificate::generate_self_signed(vec!["them".to_owned()], provider.crypto()).unwrap();
        Referee::with(our_role, profiles, Some(certificate))
    }

    /// They show this certificate, or none, and announced it, or something else.
    fn with(our_role: Role, profiles: &[Profile], certificate: Option<TheirCertificate>) -> Self {
        let provider = ::dtls::crypto_provider::default_provider().unwrap();
        let der = certificate.as_ref().map_or(&b"announced"[..], |certificate| &certificate.certificate[0]);
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, der);
        let config: Arc<HandshakeConfig> = Arc::new(
            ConfigBuilder::default()
                .with_crypto_provider(provider)
                .with_certificates(certificate.into_iter().collect())
                .with_srtp_protection_profiles(profiles.to_vec())
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true)
                .build(our_role == Role::Server, Some(US))
                .unwrap(),
        );
        let now = Instant::from_millis(1_000);
        let ours = Association::new(our_role, &context(Versions::V12), &[fingerprint], 0, now);
        let protocol = Default::default();
        let server = (our_role == Role::Client).then(|| config.clone());
        let mut endpoint = Endpoint::new(THEM, protocol, server);
        if our_role == Role::Server {
            endpoint.connect(clock().to_std(now), US, config, None).unwrap();
        }
        Referee {
            endpoint,
            ours,
            our_role,
            now,
            completed: false,
            theirs: Vec::new(),
            errors: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Runs until both sides are silent.
    fn run(&mut self) {
        for _ in 0..50 {
            self.now += Duration::from_millis(1);
            while let Some(transmit) = self.endpoint.poll_transmit() {
                let _ = self.ours.handle_datagram(self.now, &transmit.message);
            }
            for datagram in transmits(&mut self.ours) {
                let at = clock().to_std(self.now);
                let read = self.endpoint.read(at, US, None, bytes::BytesMut::from(&datagram[..]));
                let events = read.inspect_err(|error| self.errors.push(error.to_string()));
                for event in events.unwrap_or_default() {
                    match event {
                        EndpointEvent::HandshakeComplete => self.completed = true,
                        EndpointEvent::ApplicationData(data) => self.theirs.push(data.to_vec()),
                        _ => {}
                    }
                }
            }
            self.events.extend(std::iter::from_fn(|| self.ours.poll_event()));
        }
    }
}

#[test]
fn both_lineages_export_the_same_keys_in_both_roles_for_every_profile() {
    let profiles = [
        (Profile::Srtp_Aes128_Cm_Hmac_Sha1_80, 1, 60),
        (Profile::Srtp_Aead_Aes_128_Gcm, 7, 56),
        (Profile::Srtp_Aead_Aes_256_Gcm, 8, 88),
    ];
    for our_role in [Role::Server, Role::Client] {
        for (theirs, number, len) in profiles {
            let mut referee = Referee::new(our_role, &[theirs]);
            referee.run();
            assert!(referee.completed, "{our_role:?} {number}");
            let [Event::Connected { profile, keying }] = &referee.events[..] else {
                panic!("{our_role:?} {number}: {:?}", referee.events);
            };
            assert_eq!(*profile, number);
            let state = referee.endpoint.get_connection_state(US).unwrap();
            let exported = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], len).unwrap();
            let (client, server) = match referee.our_role {
                Role::Client => {
                    ((&keying.local_key, &keying.local_salt), (&keying.remote_key, &keying.remote_salt))
                }
                Role::Server => {
                    ((&keying.remote_key, &keying.remote_salt), (&keying.local_key, &keying.local_salt))
                }
            };
            let ours = [client.0, server.0, client.1, server.1].map(|s| s.expose().to_vec()).concat();
            assert_eq!(ours, exported.as_ref());
        }
    }
}

#[test]
fn data_passes_between_both_lineages() {
    for our_role in [Role::Server, Role::Client] {
        let mut referee = Referee::new(our_role, &[Profile::Srtp_Aead_Aes_128_Gcm]);
        referee.run();
        for len in [1, 500, 1_100] {
            referee.ours.send(&vec![len as u8; len]).unwrap();
            referee.endpoint.write(clock().to_std(referee.now), US, &vec![!len as u8; len]).unwrap();
            referee.run();
            assert_eq!(referee.theirs.last(), Some(&vec![len as u8; len]));
            assert_eq!(referee.events.last(), Some(&Event::Data(vec![!len as u8; len].into())));
        }
        referee.ours.close();
        referee.run();
        assert!(referee.endpoint.get_connection_state(US).is_none(), "they heard the goodbye");
    }
}

#[test]
fn s_dtls_13_a_client_without_use_srtp_is_refused() {
    let mut referee = Referee::new(Role::Server, &[]);
    referee.run();
    assert_eq!(referee.events, [Event::Failed(FailReason::NoSrtp)]);
}

#[test]
fn s_dtls_13_a_client_with_unknown_profiles_alone_is_refused() {
    let mut referee = Referee::new(Role::Server, &[Profile::Srtp_Aes128_Cm_Hmac_Sha1_32]);
    referee.run();
    referee.now += Duration::from_secs(30);
    referee.ours.handle_timeout(referee.now);
    referee.run();
    let [Event::Failed(reason)] = &referee.events[..] else { panic!("{:?}", referee.events) };
    // Theirs may go away, with a clear alert or without, before ours can refuse.
    assert!(matches!(reason, FailReason::NoSrtp | FailReason::Alert(_) | FailReason::Timeout), "{reason}");
}

/// RSA, which GStreamer uses.
#[test]
fn a_peer_with_an_rsa_certificate_is_as_good_as_any() {
    for our_role in [Role::Server, Role::Client] {
        let mut referee = Referee::with(our_role, &[Profile::Srtp_Aead_Aes_128_Gcm], Some(rsa()));
        referee.run();
        let [Event::Connected { profile: 7, .. }] = &referee.events[..] else {
            panic!("{our_role:?} {:?} {:?}", referee.events, referee.errors)
        };
        assert!(referee.completed);
    }
}

#[test]
fn s_dtls_11_a_client_that_announced_a_certificate_and_shows_none_is_refused_by_name() {
    let mut referee = Referee::with(Role::Server, &[Profile::Srtp_Aead_Aes_128_Gcm], None);
    referee.run();
    assert_eq!(referee.events, [Event::Failed(FailReason::UnsupportedCertificate)], "{:?}", referee.errors);
}

fn rsa() -> TheirCertificate {
    let pem = include_str!("../../../../tests/data/dtls/rsa.pem");
    let provider = ::dtls::crypto_provider::default_provider().unwrap();
    // Their spelling of the label.
    let pem = pem.replace("PRIVATE KEY", "PRIVATE_KEY");
    TheirCertificate::from_pem(&pem, provider.crypto()).unwrap()
}

/// The server's order decides. As the server ours is GCM with 128 bits, GCM with 256, then AES-CM with the long tag,
/// whatever the order of the offer; as the client we take what was chosen.
#[test]
fn s_dtls_13_the_profile_that_results_of_each_offer() {
    use Profile::{
        Srtp_Aead_Aes_128_Gcm as Gcm128, Srtp_Aead_Aes_256_Gcm as Gcm256,
        Srtp_Aes128_Cm_Hmac_Sha1_32 as Cm32, Srtp_Aes128_Cm_Hmac_Sha1_80 as Cm80,
    };
    let cases: [(&[Profile], u16); 9] = [
        // Chromium's order, Firefox's, aiortc's.
        (&[Cm80, Gcm256, Gcm128], 7),
        (&[Gcm128, Gcm256, Cm80, Cm32], 7),
        (&[Gcm256, Gcm128, Cm80], 7),
        (&[Cm80, Gcm256], 8),
        (&[Cm80, Gcm128], 7),
        (&[Gcm128, Cm80], 7),
        (&[Cm32, Cm80], 1),
        (&[Cm80, Cm32], 1),
        (&[Cm80], 1),
    ];
    for (offer, expected) in cases {
        let mut referee = Referee::new(Role::Server, offer);
        referee.run();
        let [Event::Connected { profile, .. }] = &referee.events[..] else {
            panic!("{offer:?}: {:?}", referee.events)
        };
        assert_eq!(*profile, expected, "{offer:?}");
        assert!(referee.completed);
    }
}
