//! DTLS 1.2 against an implementation of another lineage, as client and as server.

use std::net::SocketAddr;
use std::sync::Arc;

use ::dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use ::dtls::crypto::Certificate as TheirCertificate;
use ::dtls::endpoint::{Endpoint, EndpointEvent};
use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile as Profile;

use super::super::association::clock;
use super::*;

const THEM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const US: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

struct Referee {
    endpoint: Endpoint,
    ours: Association,
    our_role: Role,
    now: Instant,
    completed: bool,
    theirs: Vec<Vec<u8>>,
    events: Vec<Event>,
}

impl Referee {
    fn new(our_role: Role, profiles: &[Profile]) -> Self {
        let provider = ::dtls::crypto_provider::default_provider().unwrap();
        let certificate =
            TheirCertificate::generate_self_signed(vec!["them".to_owned()], provider.crypto()).unwrap();
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, &certificate.certificate[0]);
        let config: Arc<HandshakeConfig> = Arc::new(
            ConfigBuilder::default()
                .with_crypto_provider(provider)
                .with_certificates(vec![certificate])
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
        Referee { endpoint, ours, our_role, now, completed: false, theirs: Vec::new(), events: Vec::new() }
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
                let events = self.endpoint.read(at, US, None, bytes::BytesMut::from(&datagram[..]));
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
