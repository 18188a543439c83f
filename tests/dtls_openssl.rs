//! DTLS 1.2 with OpenSSL, as its client and as its server, with certificates of every kind and every SRTP profile: the
//! same keying material on both sides. Where there is no `openssl` nothing is tested, and CI has it.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a real peer has sockets, a process and a clock"
)]

use estafette::Instant;
use estafette::dtls::{
    Association, Certificate, Config, Context, Event, Fingerprint, HashAlgorithm, Role, Versions,
};
use std::io::{BufRead as _, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// A key and a certificate of OpenSSL's making, as files.
struct Identity {
    key: PathBuf,
    certificate: PathBuf,
    fingerprint: Fingerprint,
    ours: Certificate,
}

fn identity(name: &str, algorithm: &[&str]) -> Identity {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let at = |end: &str| folder.join(format!("{name}-{}.{end}", std::process::id()));
    let (key, certificate) = (at("key"), at("pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-subj", "/CN=peer", "-days", "7"])
        .args(algorithm)
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success(), "{name}");
    let read = |path: &Path| std::fs::read_to_string(path).expect("it was written");
    let ours =
        Certificate::from_pem(&(read(&certificate) + &read(&key))).expect("a certificate that is taken");
    Identity { key, certificate, fingerprint: Fingerprint::of(HashAlgorithm::Sha256, ours.der()), ours }
}

/// Starts OpenSSL in a role; its lines come one by one.
fn start(
    role: Role,
    port: u16,
    identity: &Identity,
    profiles: &str,
    len: usize,
) -> (Child, mpsc::Receiver<String>) {
    let mut command = Command::new("openssl");
    match role {
        Role::Server => command.args(["s_server", "-Verify", "1", "-port", &port.to_string()]),
        Role::Client => command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]),
    };
    let mut child = command
        .args([
            "-dtls1_2",
            "-use_srtp",
            profiles,
            "-keymatexport",
            LABEL,
            "-keymatexportlen",
            &len.to_string(),
        ])
        .arg("-key")
        .arg(&identity.key)
        .arg("-cert")
        .arg(&identity.certificate)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl runs");
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    (child, lines)
}

/// A handshake of ours in `role` with OpenSSL in the other.
fn meet(role: Role, theirs: &Identity, ours: &Certificate, profiles: &str, expected: (u16, usize)) {
    let context = Context::new(Config { versions: Versions::Auto, ..Config::default() }, ours.clone());
    let context = context.expect("a sound configuration");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let own = socket.local_addr().expect("it is bound").port();
    let (their_role, port) = match role {
        Role::Server => (Role::Client, own),
        Role::Client => {
            let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
            (Role::Server, free.local_addr().expect("it is bound").port())
        }
    };
    let (mut child, lines) = start(their_role, port, theirs, profiles, expected.1);
    socket.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
    let mut peer = (role == Role::Client).then(|| ([127, 0, 0, 1], port).into());
    if peer.is_some() {
        let listens = lines.recv_timeout(Duration::from_secs(10));
        assert!(listens.is_ok(), "the server listens");
    }
    let began = std::time::Instant::now();
    let now = || Instant::from_micros(1_000_000 + u64::try_from(began.elapsed().as_micros()).expect("short"));
    let mut association = Association::new(role, &context, &[theirs.fingerprint], 3, now());
    let (mut keying, mut material) = (None, None::<String>);
    while began.elapsed() < Duration::from_secs(20) && (keying.is_none() || material.is_none()) {
        let mut buf = [0; 2_048];
        while let Some(len) = association.poll_transmit(now(), &mut buf) {
            let to: std::net::SocketAddr = peer.expect("it has spoken");
            socket.send_to(&buf[..len], to).expect("loopback");
        }
        if let Ok((len, from)) = socket.recv_from(&mut buf) {
            peer = Some(from);
            let _ = association.handle_datagram(now(), &buf[..len]);
        }
        association.handle_timeout(now());
        while let Some(event) = association.poll_event() {
            match event {
                Event::Connected { profile, .. } => {
                    assert_eq!(profile, expected.0);
                    keying = association.export(LABEL, None, expected.1);
                }
                other => panic!("{role:?} {profiles}: {other:?}"),
            }
        }
        let told =
            lines.try_iter().find_map(|line| Some(line.trim().strip_prefix("Keying material: ")?.to_owned()));
        material = material.or(told);
    }
    let _ = child.kill();
    let _ = child.wait();
    let keying = keying.unwrap_or_else(|| panic!("{role:?} {profiles}: no keys of ours"));
    let hex: String = keying.expose().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(material.as_deref(), Some(&hex[..]), "{role:?} {profiles}");
}

#[test]
fn openssl_and_we_export_the_same_in_both_roles_with_every_certificate_and_profile() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI has openssl");
        return;
    }
    let ec = |curve: &'static str| ["-newkey", "ec", "-pkeyopt", curve];
    let identities = [
        identity("p256", &ec("ec_paramgen_curve:P-256")),
        identity("p384", &ec("ec_paramgen_curve:P-384")),
        identity("ed25519", &["-newkey", "ed25519"]),
        identity("rsa2048", &["-newkey", "rsa:2048"]),
        identity("rsa4096", &["-newkey", "rsa:4096"]),
    ];
    let ours = Certificate::generate().expect("a certificate");
    for role in [Role::Server, Role::Client] {
        for (at, theirs) in identities.iter().enumerate() {
            // As a server of DTLS OpenSSL 3.0 has no suite for Ed25519.
            if (role, at) == (Role::Client, 2) {
                continue;
            }
            meet(role, theirs, &ours, "SRTP_AEAD_AES_128_GCM", (7, 56));
        }
        // Ours of every kind, of which those of OpenSSL's making are.
        for own in &identities {
            meet(role, &identities[0], &own.ours, "SRTP_AEAD_AES_256_GCM", (8, 88));
        }
        meet(role, &identities[0], &ours, "SRTP_AES128_CM_SHA1_80", (1, 60));
    }
    // As the server we choose.
    let both = "SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM";
    meet(Role::Server, &identities[0], &ours, both, (7, 56));
}
