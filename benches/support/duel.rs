//! Clients and servers of DTLS of three makes, each against its own kind.

use ::dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use ::dtls::crypto::Certificate as RtcCertificate;
use ::dtls::endpoint::{Endpoint, EndpointEvent};
use ::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use bytes::BytesMut;
use dimpl::{Dtls, Output};
use estafette::Instant;
use estafette::dtls::{Association, Certificate, Config, Context, Event, Group, Role, Versions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// One make, with what all of its handshakes share.
pub(crate) enum Contender {
    Estafette { client: Context, server: Context },
    Dimpl { config: Arc<dimpl::Config>, certificate: dimpl::DtlsCertificate, is_13: bool },
    Rtc { client: Arc<HandshakeConfig>, server: Arc<HandshakeConfig> },
}

impl Contender {
    /// Ours under 1.3; the client sends a share of the group alone, or of X25519 too.
    pub(crate) fn estafette_13(group: Group) -> Self {
        Contender::estafette(Versions::V13, group)
    }

    pub(crate) fn estafette_12() -> Self {
        Contender::estafette(Versions::V12, Group::X25519)
    }

    fn estafette(versions: Versions, group: Group) -> Self {
        let context = || {
            let groups =
                if group == Group::X25519MlKem768 { vec![group, Group::X25519] } else { vec![group] };
            let config = Config { versions, groups, ..Config::default() };
            Context::new(config, Certificate::generate().expect("a certificate"))
                .expect("a sound configuration")
        };
        Contender::Estafette { client: context(), server: context() }
    }

    pub(crate) fn dimpl_13() -> Self {
        Contender::dimpl(true)
    }

    pub(crate) fn dimpl_12() -> Self {
        Contender::dimpl(false)
    }

    fn dimpl(is_13: bool) -> Self {
        let config = dimpl::Config::builder()
            .with_crypto_provider(dimpl::crypto::aws_lc_rs::default_provider())
            .use_server_cookie(false)
            .require_client_certificate(true)
            .build()
            .expect("a sound configuration");
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
        Contender::Dimpl { config: Arc::new(config), certificate, is_13 }
    }

    pub(crate) fn rtc_12() -> Self {
        let config = |is_client| {
            let provider = ::dtls::crypto_provider::default_provider().expect("a provider");
            let certificate =
                RtcCertificate::generate_self_signed(vec!["peer".to_owned()], provider.crypto());
            let config = ConfigBuilder::default()
                .with_crypto_provider(provider)
                .with_certificates(vec![certificate.expect("a certificate")])
                .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                .with_insecure_skip_verify(true)
                .build(is_client, Some(PEER));
            Arc::new(config.expect("a sound configuration"))
        };
        Contender::Rtc { client: config(true), server: config(false) }
    }

    fn end(&self, role: Role) -> End {
        match self {
            Contender::Estafette { client, server } => {
                let (own, other) = if role == Role::Client { (client, server) } else { (server, client) };
                let now = Instant::from_millis(1);
                End::Estafette(Box::new(Association::new(role, own, &[other.fingerprint()], 1, now)))
            }
            Contender::Dimpl { config, certificate, is_13 } => {
                let (config, certificate) = (config.clone(), certificate.clone());
                let mut dtls = if *is_13 {
                    Dtls::new_13(config, certificate, now())
                } else {
                    Dtls::new_12(config, certificate, now())
                };
                dtls.set_active(role == Role::Client);
                dtls.handle_timeout(now()).expect("it begins");
                End::Dimpl(Box::new(dtls))
            }
            Contender::Rtc { client, server } => {
                let server = (role == Role::Server).then(|| server.clone());
                let mut endpoint = Endpoint::new(PEER, Default::default(), server);
                if role == Role::Client {
                    endpoint.connect(now(), PEER, client.clone(), None).expect("it begins");
                }
                End::Rtc(Box::new(endpoint))
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what is measured is time")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

enum End {
    Estafette(Box<Association>),
    Dimpl(Box<Dtls>),
    Rtc(Box<Endpoint>),
}

impl End {
    /// Takes datagrams; what is answered, and whether there are keys.
    fn take(&mut self, datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, bool) {
        let (mut answers, mut done) = (Vec::new(), false);
        match self {
            End::Estafette(association) => {
                let (now, mut buf) = (Instant::from_millis(2), [0; 2_048]);
                for datagram in datagrams {
                    let _ = association.handle_datagram(now, datagram);
                }
                while let Some(len) = association.poll_transmit(now, &mut buf) {
                    answers.push(buf[..len].to_vec());
                }
                while let Some(event) = association.poll_event() {
                    done |= matches!(event, Event::Connected { .. });
                }
            }
            End::Dimpl(dtls) => {
                let mut buf = [0; 4_096];
                for datagram in datagrams {
                    let _ = dtls.handle_packet(datagram);
                }
                loop {
                    match dtls.poll_output(&mut buf) {
                        Output::Packet(packet) => answers.push(packet.to_vec()),
                        Output::KeyingMaterial(..) => done = true,
                        Output::Timeout(_) => break,
                        _ => {}
                    }
                }
            }
            End::Rtc(endpoint) => {
                for datagram in datagrams {
                    let read = endpoint.read(now(), PEER, None, BytesMut::from(&datagram[..]));
                    for event in read.unwrap_or_default() {
                        done |= matches!(event, EndpointEvent::HandshakeComplete);
                    }
                }
                while let Some(transmit) = endpoint.poll_transmit() {
                    answers.push(transmit.message.to_vec());
                }
            }
        }
        (answers, done)
    }
}

/// One handshake; the time that the server's calls took.
pub(crate) fn serve(contender: &Contender) -> Duration {
    let (mut client, mut spent) = (contender.end(Role::Client), Duration::ZERO);
    let began = now();
    let mut server = contender.end(Role::Server);
    spent += now() - began;
    let (mut to_server, _) = client.take(&[]);
    let mut connected = (false, false);
    for _ in 0..20 {
        let began = now();
        let (answers, done) = server.take(&to_server);
        spent += now() - began;
        connected.1 |= done;
        let done;
        (to_server, done) = client.take(&answers);
        connected.0 |= done;
        if connected == (true, true) && to_server.is_empty() {
            return spent;
        }
    }
    panic!("no keys: {connected:?}");
}

/// Bytes for each of `count` servers that are connected, four minutes later.
pub(crate) fn held(contender: &Contender, count: usize) -> usize {
    // What the allocators have kept of what came before is of use to what comes.
    let connected = || {
        let (mut client, mut server) = (contender.end(Role::Client), contender.end(Role::Server));
        let mut to_server = client.take(&[]).0;
        for _ in 0..6 {
            let answers = server.take(&to_server).0;
            to_server = client.take(&answers).0;
        }
        if let End::Estafette(association) = &mut server {
            association.handle_timeout(Instant::from_millis(600_000));
        }
        server
    };
    let warm: Vec<_> = (0..50).map(|_| connected()).collect();
    drop(warm);
    let mut servers = Vec::with_capacity(count);
    let before = resident();
    servers.extend((0..count).map(|_| connected()));
    let after = resident();
    // Kept for good, so that who is measured next has pages of its own.
    std::mem::forget(servers);
    (after - before) / count
}

/// Bytes of the process's memory that are there (proc(5)).
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4_096
}
