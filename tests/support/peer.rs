//! A process of another make that speaks DTLS over UDP, and an association of ours that meets it on loopback.
//!
//! Compiled by the tests that have such a peer, each of which takes a part of it and allows itself sockets and a clock.

#![allow(dead_code, unreachable_pub)]

use estafette::Instant;
use estafette::dtls::{Association, Certificate, Context, Event, Fingerprint, HashAlgorithm, Keying, Role};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The label of SRTP's keys (RFC 5764, section 4.2).
pub const LABEL: &str = "EXTRACTOR-dtls_srtp";

/// Whether these programs are there. Where one must be (in CI), its absence is a failure; elsewhere nothing is tested.
pub fn are_there(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let there = Command::new(program).arg("--version").output().is_ok();
        assert!(there || std::env::var_os("CI").is_none(), "CI has {program}");
        there
    })
}

/// A key and a certificate of OpenSSL's making, as files.
pub struct Identity {
    pub key: PathBuf,
    pub certificate: PathBuf,
    pub fingerprint: Fingerprint,
    pub ours: Certificate,
}

impl Identity {
    /// One of each kind of certificate that we take.
    pub fn of_every_kind() -> [Identity; 5] {
        [
            Identity::elliptic("p256", "P-256"),
            Identity::elliptic("p384", "P-384"),
            Identity::new("ed25519", &["-newkey", "ed25519"]),
            Identity::new("rsa2048", &["-newkey", "rsa:2048"]),
            Identity::new("rsa4096", &["-newkey", "rsa:4096"]),
        ]
    }

    /// Of a kind; `name` is no other's in the process.
    pub fn new(name: &str, algorithm: &[&str]) -> Identity {
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
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, ours.der());
        Identity { key, certificate, fingerprint, ours }
    }

    pub fn elliptic(name: &str, curve: &str) -> Identity {
        Identity::new(name, &["-newkey", "ec", "-pkeyopt", &format!("ec_paramgen_curve:{curve}")])
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.key);
        let _ = std::fs::remove_file(&self.certificate);
    }
}

/// A running process, which ends with its owner.
pub struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    told: Vec<String>,
}

impl Peer {
    pub fn start(command: &mut Command) -> Peer {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the peer runs");
        let (sender, lines) = mpsc::channel();
        read_lines(child.stdout.take(), sender.clone());
        read_lines(child.stderr.take(), sender);
        let stdin = child.stdin.take();
        Peer { child, stdin, lines, told: Vec::new() }
    }

    /// All its lines until now.
    pub fn told(&mut self) -> &[String] {
        self.told.extend(self.lines.try_iter());
        &self.told
    }

    /// What follows the first such beginning of a line.
    pub fn after(&mut self, beginning: &str) -> Option<String> {
        self.told().iter().find_map(|line| Some(line.trim().strip_prefix(beginning)?.to_owned()))
    }

    /// Writes a line to it.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("it was not closed");
        // In one piece, as it may say each piece for itself.
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    /// Ends its input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(from: Option<impl Read + Send + 'static>, to: mpsc::Sender<String>) {
    let from = from.expect("it is piped");
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
}

/// How many datagrams of the peer's and of ours pass before one is lost; with `None` all do, as after a loss.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Losses {
    pub theirs: Option<usize>,
    pub ours: Option<usize>,
}

/// Whether it is this one's turn.
fn is_lost(left: &mut Option<usize>) -> bool {
    let before = left.take();
    *left = before.and_then(|left| left.checked_sub(1));
    before == Some(0)
}

/// An association of ours on a socket, and the process in the other role.
pub struct Meeting {
    pub association: Association,
    pub peer: Peer,
    pub events: Vec<Event>,
    /// What came and was not lost.
    pub heard: Vec<Vec<u8>>,
    pub losses: Losses,
    socket: UdpSocket,
    to: Option<SocketAddr>,
    began: std::time::Instant,
}

impl Meeting {
    /// `command` is told the port of the server; a process that is the server has told `ready` before it is spoken to.
    pub fn new(
        role: Role,
        context: &Context,
        theirs: Fingerprint,
        command: impl FnOnce(u16) -> Command,
        ready: &str,
    ) -> Meeting {
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = |socket: &UdpSocket| socket.local_addr().expect("it is bound");
        let socket = bind();
        socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a timeout");
        let server = if role == Role::Server { address(&socket) } else { address(&bind()) };
        let mut peer = Peer::start(&mut command(server.port()));
        let began = std::time::Instant::now();
        while role == Role::Client && !peer.told().iter().any(|line| line.contains(ready)) {
            assert!(began.elapsed() < PATIENCE, "never ready: {:?}", peer.told());
            std::thread::sleep(Duration::from_millis(5));
        }
        let to = (role == Role::Client).then_some(server);
        let association = Association::new(role, context, &[theirs], 3, since(began));
        let (events, heard, losses) = (Vec::new(), Vec::new(), Losses::default());
        Meeting { association, peer, events, heard, losses, socket, to, began }
    }

    /// Goes on until there is something; what that is, is told if it never comes.
    pub fn until<T>(&mut self, what: &str, mut found: impl FnMut(&mut Meeting) -> Option<T>) -> T {
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            self.step();
            if let Some(found) = found(self) {
                return found;
            }
        }
        let (role, events, told) = (self.association.role(), &self.events, self.peer.told().join("\n"));
        panic!("{role:?}: no {what}; our events: {events:?}; the peer told:\n{told}");
    }

    /// Until both are connected; the profile and its keys.
    pub fn connect(&mut self) -> (u16, Keying) {
        self.until("connection", |meeting| {
            meeting.events.iter().find_map(|event| match event {
                Event::Connected { profile, keying } => Some((*profile, keying.clone())),
                _ => None,
            })
        })
    }

    /// Hex of the keying material that we export.
    pub fn exported(&self, len: usize) -> String {
        hex(self.association.export(LABEL, None, len).expect("it is connected").expose())
    }

    /// Until this application data has come, in one record.
    pub fn data(&mut self, expected: &[u8]) {
        self.until("application data", |meeting| {
            let is_it = |event: &Event| matches!(event, Event::Data(data) if data[..] == *expected);
            meeting.events.iter().any(is_it).then_some(())
        });
    }

    /// Sends what is to be sent, waits a little for what comes.
    fn step(&mut self) {
        let now = since(self.began);
        let mut buf = [0; 2_048];
        while let Some(len) = self.association.poll_transmit(now, &mut buf) {
            if !is_lost(&mut self.losses.ours) {
                self.socket.send_to(&buf[..len], self.to.expect("it has spoken")).expect("loopback");
            }
        }
        if let Ok((len, from)) = self.socket.recv_from(&mut buf) {
            self.to = Some(from);
            if !is_lost(&mut self.losses.theirs) {
                let _ = self.association.handle_datagram(since(self.began), &buf[..len]);
                self.heard.push(buf[..len].to_vec());
            }
        }
        self.association.handle_timeout(since(self.began));
        self.events.extend(std::iter::from_fn(|| self.association.poll_event()));
    }
}

/// How long anything may take; repetitions of a peer's start at a second and double.
const PATIENCE: Duration = Duration::from_secs(20);

fn since(began: std::time::Instant) -> Instant {
    Instant::from_micros(1_000_000 + u64::try_from(began.elapsed().as_micros()).expect("short"))
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
