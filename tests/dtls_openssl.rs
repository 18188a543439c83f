//! DTLS 1.2 with OpenSSL, as its client and as its server, with certificates of every kind and every SRTP profile: the
//! same keying material on both sides. Where there is no `openssl` nothing is tested, and CI has it.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a real peer has sockets, a process and a clock"
)]

#[path = "support/peer.rs"]
mod peer;

use estafette::dtls::{Certificate, Config, Context, Role};
use peer::{Identity, LABEL, Meeting};
use std::process::Command;

/// OpenSSL in the role that is not ours.
fn openssl(role: Role, port: u16, identity: &Identity, profiles: &str, len: usize) -> Command {
    let mut command = Command::new("openssl");
    match role {
        Role::Client => command.args(["s_server", "-Verify", "1", "-port", &port.to_string()]),
        Role::Server => command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]),
    };
    command
        .args(["-dtls1_2", "-use_srtp", profiles, "-keymatexport", LABEL])
        .args(["-keymatexportlen", &len.to_string()])
        .arg("-key")
        .arg(&identity.key)
        .arg("-cert")
        .arg(&identity.certificate);
    command
}

/// A handshake of ours in `role` with OpenSSL in the other.
fn meet(role: Role, theirs: &Identity, ours: &Certificate, profiles: &str, expected: (u16, usize)) {
    let context = Context::new(Config::default(), ours.clone()).expect("a sound configuration");
    let command = |port| openssl(role, port, theirs, profiles, expected.1);
    let mut meeting = Meeting::new(role, &context, theirs.fingerprint, command, "ACCEPT");
    assert_eq!(meeting.connect().0, expected.0);
    let material = meeting.until("keying material", |meeting| meeting.peer.after("Keying material: "));
    assert_eq!(material.to_lowercase(), meeting.exported(expected.1), "{role:?} {profiles}");
}

#[test]
fn openssl_and_we_export_the_same_in_both_roles_with_every_certificate_and_profile() {
    if !peer::are_there(&["openssl"]) {
        return;
    }
    let identities = Identity::of_every_kind();
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
