//! Pairs in memory: two ends, a virtual clock and a network that loses and reorders by a seed.

mod bounds;
mod captured;
mod certificates;
mod cuts;
mod faults;
mod handshake;
mod hostile;
mod many;
mod moved;
mod negotiation;
mod other;
mod referee;
mod renewals;

use super::*;
use crate::base::random::Random;
use crate::base::time::{Duration, Instant};

/// A context with a fresh certificate.
pub(super) fn context(versions: Versions) -> Context {
    Context::new(Config { versions, ..Config::default() }, Certificate::generate().unwrap()).unwrap()
}

/// A certificate, for us and for the library that is the referee.
pub(super) fn identity() -> (Certificate, dimpl::DtlsCertificate) {
    let (der, key) = x509::generate().unwrap();
    let ours = Certificate::from_der(&der, key.expose()).unwrap();
    (ours, dimpl::DtlsCertificate { certificate: der, private_key: key.expose().to_vec() })
}

/// What a network does to a datagram; probabilities in thousandths.
#[derive(Clone, Copy, Default)]
pub(super) struct Network {
    pub(super) loss: u64,
    pub(super) double: u64,
    /// Up to this much more than the 20 ms of every datagram.
    pub(super) jitter: Duration,
}

struct Flying {
    at: Instant,
    number: u64,
    to: Role,
    bytes: Vec<u8>,
}

pub(super) struct Pair {
    pub(super) client: Association,
    pub(super) server: Association,
    pub(super) now: Instant,
    pub(super) network: Network,
    /// What each end said, in order.
    pub(super) client_events: Vec<Event>,
    pub(super) server_events: Vec<Event>,
    pub(super) sent: usize,
    random: Random,
    flying: Vec<Flying>,
}

impl Pair {
    pub(super) fn new(client: &Context, server: &Context, seed: u8, network: Network) -> Self {
        Pair::expecting(client, &[server.fingerprint()], server, &[client.fingerprint()], seed, network)
    }

    /// The fingerprints are those each end expects of the other.
    pub(super) fn expecting(
        client: &Context,
        of_server: &[Fingerprint],
        server: &Context,
        of_client: &[Fingerprint],
        seed: u8,
        network: Network,
    ) -> Self {
        let now = Instant::from_millis(1_000);
        Pair {
            client: Association::new(Role::Client, client, of_server, 1, now),
            server: Association::new(Role::Server, server, of_client, 2, now),
            now,
            network,
            client_events: Vec::new(),
            server_events: Vec::new(),
            sent: 0,
            random: Random::new([seed; 32]),
            flying: Vec::new(),
        }
    }

    /// A pair that has connected over a faultless network.
    pub(super) fn connected(versions: Versions) -> Self {
        let mut pair = Pair::new(&context(versions), &context(versions), 0, Network::default());
        pair.run();
        pair.keys();
        pair
    }

    pub(super) fn end(&mut self, role: Role) -> &mut Association {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// Lets `limit` pass.
    pub(super) fn run_for(&mut self, limit: Duration) {
        let end = self.now + limit;
        self.run_until(end);
        self.now = end;
    }

    /// Runs until nothing is pending any more, two minutes at most.
    pub(super) fn run(&mut self) {
        self.run_until(self.now + Duration::from_secs(120));
    }

    fn run_until(&mut self, end: Instant) {
        // What a command has made due.
        let now = self.now;
        self.client.handle_timeout(now);
        self.server.handle_timeout(now);
        loop {
            self.collect();
            let timeouts = [self.client.poll_timeout(), self.server.poll_timeout()];
            for timeout in timeouts.into_iter().flatten() {
                assert!(timeout > self.now, "a deadline that is due after all is drained spins");
            }
            let next = self.flying.iter().map(|f| f.at).chain(timeouts.into_iter().flatten()).min();
            match next {
                Some(at) if at <= end => self.now = at.max(self.now),
                _ => break,
            }
            self.deliver();
            let now = self.now;
            self.client.handle_timeout(now);
            self.server.handle_timeout(now);
        }
    }

    fn collect(&mut self) {
        for to in [Role::Server, Role::Client] {
            let from = if to == Role::Server { Role::Client } else { Role::Server };
            let mut buf = [0; 2_048];
            let now = self.now;
            while let Some(len) = self.end(from).poll_transmit(now, &mut buf) {
                self.sent += 1;
                self.send(to, &buf[..len]);
            }
            while let Some(event) = self.end(from).poll_event() {
                match from {
                    Role::Client => self.client_events.push(event),
                    Role::Server => self.server_events.push(event),
                }
            }
        }
    }

    /// Throws a datagram into the network.
    pub(super) fn send(&mut self, to: Role, bytes: &[u8]) {
        let copies = 1 + u64::from(self.random.below(1_000) < self.network.double);
        for _ in 0..copies {
            if self.random.below(1_000) < self.network.loss {
                continue;
            }
            let jitter = self.random.below(self.network.jitter.as_micros() as u64 + 1);
            let at = self.now + Duration::from_micros(20_000 + jitter);
            let number = self.random.next_u64() >> 32 << 32 | self.flying.len() as u64;
            self.flying.push(Flying { at, number, to, bytes: bytes.to_vec() });
        }
    }

    fn deliver(&mut self) {
        let now = self.now;
        let mut due: Vec<_> = self.flying.extract_if(.., |f| f.at <= now).collect();
        // Without jitter the network keeps the order.
        due.sort_by_key(|f| (f.at, if self.network.jitter.is_zero() { 0 } else { f.number }));
        for flying in due {
            let _ = self.end(flying.to).handle_datagram(now, &flying.bytes);
        }
    }

    /// The profile and the keys, client's first; they must fit together.
    pub(super) fn keys(&self) -> (u16, Keying, Keying) {
        let find = |events: &[Event]| match events {
            [Event::Connected { profile, keying }, ..] => (*profile, keying.clone()),
            other => panic!("not connected: {other:?}"),
        };
        let (client, server) = (find(&self.client_events), find(&self.server_events));
        assert_eq!(client.0, server.0);
        assert_eq!(client.1.local_key, server.1.remote_key);
        assert_eq!(client.1.remote_key, server.1.local_key);
        assert_eq!(client.1.local_salt, server.1.remote_salt);
        assert_eq!(client.1.remote_salt, server.1.local_salt);
        assert_ne!(client.1.local_key, client.1.remote_key);
        (client.0, client.1, server.1)
    }

    /// What both ends failed with.
    pub(super) fn failures(&self) -> (Option<FailReason>, Option<FailReason>) {
        let find = |events: &[Event]| match events {
            [Event::Failed(reason)] => Some(*reason),
            [] => None,
            other => panic!("not a failure: {other:?}"),
        };
        (find(&self.client_events), find(&self.server_events))
    }
}

/// Everything an association wants to send now.
pub(super) fn transmits(association: &mut Association) -> Vec<Vec<u8>> {
    let mut buf = [0; 2_048];
    let mut all = Vec::new();
    while let Some(len) = association.poll_transmit(Instant::ZERO, &mut buf) {
        all.push(buf[..len].to_vec());
    }
    all
}
