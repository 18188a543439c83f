//! Agents under test, a peer that says whatever a test wants, and time.

mod ends;
mod full;
mod lists;
mod messages;
mod paths;
mod scripts;
mod sessions;

use super::*;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::time::{Duration, Instant};
use crate::crypto::mac::HmacSha1;
use crate::wire::mux::Protocol;
use crate::wire::stun::{self, Class, Message, TransactionId, Writer, attribute};
use std::net::SocketAddr;

const SERVER: &str = "198.51.100.1:3478";
const HOME: &str = "192.0.2.10:5000";
const MOVED: &str = "192.0.2.77:6000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn path(remote: &str) -> Path {
    Path { protocol: Protocol::Udp, local: address(SERVER), remote: address(remote) }
}

fn credentials(seed: u8) -> Credentials {
    Credentials::random(&mut Random::new([seed; 32]), "00fa")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a request of the peer's looks like; the default is an honest one that nominates.
#[derive(Clone)]
struct Request {
    id: u8,
    class: Class,
    method: u16,
    username: Option<Vec<u8>>,
    controlling: bool,
    controlled: bool,
    nominate: bool,
    priority: u32,
    /// An attribute of this type, without a value.
    extra: Option<u16>,
    /// Key of the integrity; `None` leaves it out.
    key: Option<Vec<u8>>,
    fingerprint: bool,
}

/// The browser: knows both passwords.
struct Peer {
    ours: Credentials,
    servers: Credentials,
}

impl Peer {
    fn request(&self) -> Request {
        let username = format!("{}:{}", self.servers.ufrag(), self.ours.ufrag());
        Request {
            id: 1,
            class: Class::Request,
            method: stun::BINDING,
            username: Some(username.into_bytes()),
            controlling: true,
            controlled: false,
            nominate: true,
            priority: 1_000,
            extra: None,
            key: Some(self.servers.pwd().as_bytes().to_vec()),
            fingerprint: true,
        }
    }

    fn nominating(&self) -> Vec<u8> {
        self.request().write()
    }

    fn plain(&self) -> Vec<u8> {
        Request { nominate: false, ..self.request() }.write()
    }

    /// The honest answer to a check, seen to come from the server.
    fn answer(&self, check: &[u8]) -> Vec<u8> {
        self.respond(check, None, Some(self.ours.pwd()))
    }

    /// An answer or error, with a password or without any integrity.
    fn respond(&self, check: &[u8], error: Option<u16>, pwd: Option<&str>) -> Vec<u8> {
        let id = Message::parse(check).unwrap().transaction_id();
        let class = if error.is_some() { Class::Error } else { Class::Success };
        let mut buf = [0; 200];
        let mut writer = Writer::new(&mut buf, class, stun::BINDING, id).unwrap();
        match error {
            Some(code) => writer.error_code(code, "").unwrap(),
            None => writer.xor_mapped_address(address(SERVER)).unwrap(),
        }
        let len = match pwd {
            Some(pwd) => writer.finish_with_integrity(mac(pwd.as_bytes())),
            None => writer.finish(),
        };
        buf[..len.unwrap()].to_vec()
    }
}

impl Request {
    fn write(&self) -> Vec<u8> {
        let mut buf = [0; 1_000];
        let id = TransactionId([self.id; 12]);
        let mut writer = Writer::new(&mut buf, self.class, self.method, id).unwrap();
        if let Some(username) = &self.username {
            writer.attribute(attribute::USERNAME, username).unwrap();
        }
        writer.priority(self.priority).unwrap();
        if self.controlling {
            writer.ice_controlling(7).unwrap();
        }
        if self.controlled {
            writer.ice_controlled(7).unwrap();
        }
        if self.nominate {
            writer.use_candidate().unwrap();
        }
        if let Some(kind) = self.extra {
            writer.attribute(kind, &[]).unwrap();
        }
        let len = match &self.key {
            Some(key) => writer.finish_with_integrity(mac(key)).unwrap(),
            None => writer.finish().unwrap(),
        };
        let len = if self.fingerprint { len } else { len - 8 };
        // Without the fingerprint the header's length shrinks, which the integrity does not cover.
        buf[2..4].copy_from_slice(&((len - 20) as u16).to_be_bytes());
        buf[..len].to_vec()
    }
}

fn mac(key: &[u8]) -> impl Fn(&[&[u8]]) -> [u8; 20] {
    let key = HmacSha1::new(key);
    move |pieces| key.tag(pieces)
}

/// The lite agent with its clock, and its owner's view of the addresses.
struct Server {
    agent: Agent,
    now: Instant,
    /// What the agent's owner would have in its table of paths.
    paths: Vec<Path>,
}

type Datagrams = Vec<(Path, Vec<u8>)>;

impl Server {
    /// An agent and a peer that know each other's credentials; nothing was sent.
    fn new() -> (Server, Peer) {
        let peer = Peer { ours: credentials(1), servers: credentials(2) };
        let random = Random::new([9; 32]);
        let mut agent = Agent::new(Config::default(), peer.servers.clone(), random);
        agent.set_remote_credentials(peer.ours.clone());
        (Server { agent, now: Instant::from_millis(1_000), paths: Vec::new() }, peer)
    }

    /// The same with HOME selected and all queues empty.
    fn connected() -> (Server, Peer) {
        let (mut server, peer) = Server::new();
        server.connect(&peer, HOME);
        assert_eq!(server.events(), [Event::Selected(path(HOME))]);
        (server, peer)
    }

    /// Nominates and proves an address, once the pace allows a check.
    fn connect(&mut self, peer: &Peer, remote: &str) {
        self.now += limits::CHECK_PACING;
        self.receive(remote, &peer.nominating()).unwrap();
        let sent = self.drain();
        let check = only_check(&sent, remote);
        self.receive(remote, &peer.answer(check)).unwrap();
        assert_eq!(self.agent.selected(), Some(path(remote)));
    }

    fn receive(&mut self, remote: &str, datagram: &[u8]) -> Result<Outcome, Drop> {
        let message = Message::parse(datagram).unwrap();
        self.agent.handle_datagram(self.now, path(remote), &message)
    }

    /// Everything that is ready now; nothing may be left that is due.
    fn drain(&mut self) -> Datagrams {
        self.agent.handle_timeout(self.now);
        let mut sent = Vec::new();
        let mut buf = [0; limits::MTU];
        while let Some((path, len)) = self.agent.poll_transmit(self.now, &mut buf) {
            sent.push((path, buf[..len].to_vec()));
        }
        assert!(self.agent.poll_timeout().is_none_or(|at| at > self.now), "the owner would spin");
        sent
    }

    /// Lets time pass, waking whenever the agent asks for it; returns what was sent and when.
    fn pass(&mut self, duration: Duration) -> Vec<(Instant, Path, Vec<u8>)> {
        let end = self.now + duration;
        let mut all = Vec::new();
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let sent = self.drain();
            all.extend(sent.into_iter().map(|(path, datagram)| (self.now, path, datagram)));
        }
        self.now = end;
        all
    }

    /// The events but those about addresses, which keep `paths` in step.
    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.agent.poll_event() {
            match event {
                Event::AddressKnown(path) => {
                    assert!(!self.paths.contains(&path));
                    self.paths.push(path);
                }
                Event::AddressForgotten(path) => {
                    let at = self.paths.iter().position(|known| *known == path);
                    self.paths.swap_remove(at.expect("it was known"));
                }
                event => events.push(event),
            }
        }
        assert!(self.paths.iter().all(|path| self.agent.knows(path)));
        events
    }

    /// The state that a dropped datagram may not touch.
    fn digest(&self) -> String {
        format!("{:?}", self.agent)
    }
}

fn is_check(datagram: &[u8]) -> bool {
    Message::parse(datagram).unwrap().class() == Class::Request
}

/// The one check among what was sent to `remote`.
fn only_check<'a>(sent: &'a [(Path, Vec<u8>)], remote: &str) -> &'a [u8] {
    let mut checks = sent.iter().filter(|(to, datagram)| *to == path(remote) && is_check(datagram));
    let check = checks.next().expect("a check was sent");
    assert!(checks.next().is_none(), "one check only");
    &check.1
}
