//! DTLS 1.2 with GnuTLS 3.7, the newest that it speaks, as its client and as its server: the same keying material on
//! both sides, and application data there and back. Of SRTP's profiles GnuTLS knows those of AES-CM and of no cipher,
//! and none of AES-GCM; of the former we have one. Where there is no GnuTLS nothing is tested, and CI has it.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a real peer has sockets, a process and a clock"
)]

#[path = "support/peer.rs"]
mod peer;

use estafette::dtls::{Certificate, Config, Context, Event, FailReason, Group, Role};
use peer::{Identity, LABEL, Losses, Meeting};
use std::process::Command;

const SHA1_80: &str = "SRTP_AES128_CM_HMAC_SHA1_80";
const SHA1_32: &str = "SRTP_AES128_CM_HMAC_SHA1_32";
const NULL_80: &str = "SRTP_NULL_HMAC_SHA1_80";
const NULL_32: &str = "SRTP_NULL_SHA1_32";

/// Two master keys of 16 bytes with salts of 14.
const MATERIAL: usize = 60;

fn is_there() -> bool {
    peer::are_there(&["openssl", "gnutls-cli", "gnutls-serv"])
}

/// What a meeting is like; the rest of it is as usual.
struct Case<'a> {
    role: Role,
    theirs: &'a Identity,
    config: Config,
    profiles: &'a str,
    cipher: &'a str,
    options: &'a [&'a str],
}

impl<'a> Case<'a> {
    fn new(role: Role, theirs: &'a Identity) -> Case<'a> {
        let (profiles, cipher, options) = (SHA1_80, "AES-128-GCM", &[][..]);
        Case { role, theirs, config: Config::default(), profiles, cipher, options }
    }

    /// GnuTLS in the role that is not ours. Each side demands the other's certificate, whoever signed it.
    fn command(&self, port: u16) -> Command {
        let mut command = match self.role {
            Role::Client => Command::new("gnutls-serv"),
            Role::Server => Command::new("gnutls-cli"),
        };
        match self.role {
            // The secrets of a server over UDP are told to who debugs it, and to nobody else.
            Role::Client => command.args(["--require-client-cert", "--debug=9"]),
            Role::Server => command
                .args(["--insecure", "--keymatexport", LABEL])
                .arg(format!("--keymatexportsize={MATERIAL}"))
                .arg("127.0.0.1"),
        };
        command
            .args(["--udp", &format!("--port={port}"), "--srtp-profiles", self.profiles])
            .arg(format!("--priority=NORMAL:-CIPHER-ALL:+{}", self.cipher))
            .args(self.options)
            .arg("--x509keyfile")
            .arg(&self.theirs.key)
            .arg("--x509certfile")
            .arg(&self.theirs.certificate);
        command
    }

    fn meet(&self, ours: &Certificate) -> Meeting {
        let context = Context::new(self.config.clone(), ours.clone()).expect("a sound configuration");
        Meeting::new(self.role, &context, self.theirs.fingerprint, |port| self.command(port), "on IPv4")
    }

    /// A handshake, the same keys, data both ways.
    fn agree(&self, ours: &Certificate) -> Meeting {
        let mut meeting = self.meet(ours);
        self.agree_in(&mut meeting);
        meeting
    }

    fn agree_in(&self, meeting: &mut Meeting) {
        assert_eq!(meeting.connect().0, 1);
        let material = match self.role {
            Role::Server => {
                meeting.until("keying material", |meeting| meeting.peer.after("- Key material: "))
            }
            Role::Client => self.derive(meeting),
        };
        assert_eq!(material, meeting.exported(MATERIAL), "{:?} {}", self.role, self.cipher);
        meeting.association.send(b"from us\n").expect("it is connected");
        if self.role == Role::Client {
            // The server says what it hears.
            return meeting.data(b"from us\n");
        }
        meeting.until("line of ours", |meeting| meeting.peer.after("from us"));
        meeting.peer.tell("from them");
        meeting.data(b"from them\n");
    }

    /// The material by what the server tells of the handshake (RFC 5705, section 4), as OpenSSL derives it.
    fn derive(&self, meeting: &mut Meeting) -> String {
        let mut secret = |name: &str| {
            let beginning = format!("|<9>| INT: {name}: ");
            meeting.until(name, |meeting| meeting.peer.after(&beginning))
        };
        let (client, server) = (secret("CLIENT RANDOM[32]"), secret("SERVER RANDOM[32]"));
        let digest = if self.cipher == "AES-256-GCM" { "SHA384" } else { "SHA256" };
        let derived = Command::new("openssl")
            .args(["kdf", "-keylen", &MATERIAL.to_string(), "-kdfopt", &format!("digest:{digest}")])
            .args(["-kdfopt", &format!("hexsecret:{}", secret("MASTER SECRET[48]"))])
            .args(["-kdfopt", &format!("hexseed:{}{client}{server}", peer::hex(LABEL.as_bytes()))])
            .arg("TLS1-PRF")
            .output()
            .expect("openssl runs");
        let text = String::from_utf8(derived.stdout).expect("hex");
        text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase()
    }
}

/// Whether the server asked for its cookie.
fn was_asked_for_a_cookie(meeting: &Meeting) -> bool {
    // A HelloVerifyRequest behind the header of a record (RFC 6347, section 4.2.1).
    meeting.heard.iter().any(|datagram| datagram[0] == 22 && datagram[13] == 3)
}

fn certificate() -> Certificate {
    Certificate::generate().expect("a certificate")
}

const ROLES: [Role; 2] = [Role::Server, Role::Client];

#[test]
fn gnutls_and_we_agree_and_talk_with_every_certificate() {
    if !is_there() {
        return;
    }
    let identities = Identity::of_every_kind();
    for role in ROLES {
        for one in &identities {
            Case::new(role, one).agree(&certificate());
            // Ours of every kind, of which those of OpenSSL's making are.
            Case::new(role, &identities[0]).agree(&one.ours);
        }
    }
}

#[test]
fn gnutls_and_we_agree_under_every_cipher_and_group() {
    if !is_there() {
        return;
    }
    let theirs = Identity::elliptic("ciphers", "P-256");
    for role in ROLES {
        for cipher in ["AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"] {
            Case { cipher, ..Case::new(role, &theirs) }.agree(&certificate());
        }
        for group in [Group::X25519, Group::P256, Group::P384] {
            let config = Config { groups: vec![group], ..Config::default() };
            Case { config, ..Case::new(role, &theirs) }.agree(&certificate());
        }
    }
}

#[test]
fn a_server_of_gnutls_gets_the_cookie_that_it_asks_for() {
    if !is_there() {
        return;
    }
    let theirs = Identity::elliptic("cookie", "P-256");
    for (options, is_asked) in [(&[][..], true), (&["--nocookie"], false)] {
        let meeting = Case { options, ..Case::new(Role::Client, &theirs) }.agree(&certificate());
        assert_eq!(was_asked_for_a_cookie(&meeting), is_asked);
    }
}

#[test]
fn of_the_profiles_of_gnutls_one_is_taken_wherever_it_stands() {
    if !is_there() {
        return;
    }
    let theirs = Identity::elliptic("profiles", "P-256");
    for role in ROLES {
        for others in [SHA1_32, NULL_80, NULL_32] {
            for profiles in [&format!("{others}:{SHA1_80}"), &format!("{SHA1_80}:{others}")] {
                Case { profiles, ..Case::new(role, &theirs) }.agree(&certificate());
            }
            let mut meeting = Case { profiles: others, ..Case::new(role, &theirs) }.meet(&certificate());
            meeting.until("refusal", |meeting| {
                (meeting.events == [Event::Failed(FailReason::NoSrtp)]).then_some(())
            });
        }
    }
}

#[test]
fn gnutls_with_another_certificate_than_expected_is_refused_and_told() {
    if !is_there() {
        return;
    }
    let (theirs, other) = (Identity::elliptic("theirs", "P-256"), Identity::elliptic("other", "P-256"));
    for role in ROLES {
        let case = Case::new(role, &theirs);
        let context = Context::new(Config::default(), certificate()).expect("a sound configuration");
        let command = |port| case.command(port);
        let mut meeting = Meeting::new(role, &context, other.fingerprint, command, "on IPv4");
        meeting.until("alert", |meeting| {
            meeting.peer.told().iter().any(|line| line.contains("ertificate is bad")).then_some(())
        });
        assert_eq!(meeting.events, [Event::Failed(FailReason::Fingerprint)]);
    }
}

#[test]
fn large_certificates_pass_in_pieces_of_the_smallest_size() {
    if !is_there() {
        return;
    }
    let theirs = Identity::new("pieces", &["-newkey", "rsa:4096"]);
    for role in ROLES {
        let config = Config { mtu: 256, ..Config::default() };
        let meeting =
            Case { config, options: &["--mtu=300"], ..Case::new(role, &theirs) }.agree(&theirs.ours);
        assert!(meeting.heard.iter().all(|datagram| datagram.len() <= 300));
    }
}

#[test]
fn what_is_lost_is_said_again_by_either() {
    if !is_there() {
        return;
    }
    let theirs = Identity::elliptic("loss", "P-256");
    let (theirs, ours) = (&theirs, &certificate());
    // So many datagrams has a handshake each way, with the cookie.
    let lengths = [(Role::Server, 2, 2), (Role::Client, 9, 5)];
    std::thread::scope(|scope| {
        for (role, of_theirs, of_ours) in lengths {
            let theirs_lost = (0..of_theirs).map(|at| Losses { theirs: Some(at), ours: None });
            let ours_lost = (0..of_ours).map(|at| Losses { theirs: None, ours: Some(at) });
            for losses in theirs_lost.chain(ours_lost) {
                scope.spawn(move || {
                    let case = Case::new(role, theirs);
                    let mut meeting = case.meet(ours);
                    meeting.losses = losses;
                    case.agree_in(&mut meeting);
                    assert_eq!(meeting.losses, Losses::default(), "{losses:?} took place");
                });
            }
        }
    });
}

#[test]
fn a_goodbye_is_heard_on_either_side() {
    if !is_there() {
        return;
    }
    let theirs = Identity::elliptic("goodbye", "P-256");
    let mut meeting = Case::new(Role::Server, &theirs).agree(&certificate());
    meeting.peer.close_input();
    meeting
        .until("goodbye of theirs", |meeting| (meeting.events.last() == Some(&Event::Closed)).then_some(()));
    let mut meeting = Case::new(Role::Server, &theirs).agree(&certificate());
    meeting.association.close();
    meeting.until("goodbye of ours", |meeting| meeting.peer.after("- Peer has closed the GnuTLS connection"));
}
