//! DTLS: a client and a server over a wire that loses, reorders, repeats, changes and forges; what a peer with keys
//! says; and the parsers alone. Both ends draw from seeds, so that the same bytes do the same each time.

use super::Script;
use estafette::Instant;
use estafette::dtls::{
    self, Association, Certificate, Config, Context, Event, Group, Keying, Role, Versions,
};
use estafette::limits;
use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::Duration;

/// Contexts test their primitives when they are made: once is enough.
fn contexts() -> &'static [Context; 3] {
    static CONTEXTS: OnceLock<[Context; 3]> = OnceLock::new();
    CONTEXTS.get_or_init(|| {
        [Versions::V12, Versions::V13, Versions::Auto].map(|versions| {
            let certificate = Certificate::from_seed(&[versions as u8; 32]).expect("a certificate");
            let groups = vec![Group::X25519, Group::P256];
            let config = Config { versions, groups, reproducible: true, ..Config::default() };
            Context::new(config, certificate).expect("a sound configuration")
        })
    })
}

/// The bytes as a record, a piece, a hello, extensions and a certificate.
pub fn dtls_messages(data: &[u8]) {
    dtls::parse_all(data);
}

/// A peer that has keys, or will have, says anything at any point of a handshake and behind it: queues stay within
/// their limits, answers too, deadlines move forward, keys agree, and nothing follows the end.
pub fn dtls_inner(data: &[u8]) {
    let mut script = Script(data);
    let choice = usize::from(script.byte().unwrap_or(0));
    let (client, server) = (&contexts()[choice % 3], &contexts()[choice / 3 % 3]);
    let mut pair = Pair::new(client, server);
    // After so many datagrams the peer is itself no more.
    let honest = usize::from(script.byte().unwrap_or(255));
    pair.exchange(honest);
    while let Some(operation) = script.byte() {
        let at = usize::from(operation >> 7);
        // Mostly epochs that exist.
        let epoch = [0, 1, 2, 3, 3, 4, 5, 6][usize::from(operation >> 4 & 7)];
        match operation & 15 {
            0..=4 => {
                let kind = script.byte().unwrap_or(0);
                let kind = if kind & 0x80 == 0 { 20 + kind % 7 } else { kind };
                pair.ends[at].say_record(epoch, kind, script.chunk());
            }
            5..=9 => {
                let kind = script.byte().unwrap_or(0) % 32;
                pair.ends[at].say_message(epoch, kind, script.chunk());
            }
            // KeyUpdate.
            10 => drop(pair.ends[at].say_message(epoch, 24, &[script.byte().unwrap_or(0) & 3])),
            11 => pair.pass(Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 20)),
            12 => drop(pair.ends[at].send(script.chunk())),
            13 => pair.exchange(usize::from(script.byte().unwrap_or(1))),
            14 if operation & 0x70 == 0 => pair.ends[at].close(),
            _ => pair.wires[at].clear(),
        }
        pair.drain();
        if operation & 15 < 13 {
            pair.exchange(64);
        }
    }
}

/// Two ends and what is under way between them, in order.
struct Pair {
    ends: [Association; 2],
    wires: [VecDeque<Vec<u8>>; 2],
    keys: [Option<(u16, Keying)>; 2],
    ended: [bool; 2],
    now: Instant,
}

impl Pair {
    fn new(client: &Context, server: &Context) -> Self {
        let now = Instant::from_millis(1_000);
        let ends = [
            Association::new(Role::Client, client, &[server.fingerprint()], 1, now),
            Association::new(Role::Server, server, &[client.fingerprint()], 2, now),
        ];
        let mut pair = Pair { ends, wires: Default::default(), keys: [None, None], ended: [false; 2], now };
        pair.drain();
        pair
    }

    /// Carries up to so many datagrams.
    fn exchange(&mut self, datagrams: usize) {
        for turn in 0..datagrams.saturating_mul(2) {
            let at = turn % 2;
            let Some(datagram) = self.wires[at].pop_front() else {
                if self.wires[1 - at].is_empty() {
                    return;
                }
                continue;
            };
            let before = self.wires[1 - at].len();
            let _ = self.ends[at].handle_datagram(self.now, &datagram);
            self.drain();
            let said = self.wires[1 - at].len().saturating_sub(before);
            assert!(said <= 8, "{said} datagrams for one");
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
        let now = self.now;
        self.ends.iter_mut().for_each(|end| end.handle_timeout(now));
        self.drain();
        for end in &self.ends {
            assert!(end.poll_timeout().is_none_or(|due| due > now), "a deadline that stays due");
        }
    }

    fn drain(&mut self) {
        let mut buf = [0; limits::DATAGRAM];
        for at in 0..2 {
            let mut said = 0;
            while let Some(len) = self.ends[at].poll_transmit(self.now, &mut buf) {
                said += 1;
                assert!(len > 0 && len <= 1_200, "the MTU: {len}");
                self.wires[1 - at].push_back(buf[..len].to_vec());
            }
            assert!(said <= limits::DTLS_OUTGOING, "{said} datagrams at once");
            self.wires[1 - at].truncate(64);
            let events: Vec<Event> = std::iter::from_fn(|| self.ends[at].poll_event()).collect();
            assert!(events.len() <= limits::DTLS_EVENTS + 2);
            for event in events {
                assert!(!self.ended[at], "nothing follows the end: {event:?}");
                match event {
                    Event::Connected { profile, keying } => {
                        assert!(self.keys[at].is_none(), "it connects once");
                        self.keys[at] = Some((profile, keying));
                    }
                    Event::Data(_) => assert!(self.keys[at].is_some(), "data before keys"),
                    Event::Closed | Event::Failed(_) => self.ended[at] = true,
                }
            }
        }
        if let [Some((one, a)), Some((two, b))] = &self.keys {
            assert!(one == two && a.local_key == b.remote_key && a.remote_key == b.local_key);
            assert!(a.local_salt == b.remote_salt && a.remote_salt == b.local_salt);
        }
    }
}

/// Whatever happens on the wire: queues stay within their limits, deadlines move forward, and two ends
/// that both connected have the same keys.
pub fn dtls(data: &[u8]) {
    let mut script = Script(data);
    let choice = usize::from(script.byte().unwrap_or(0));
    let (client, server) = (&contexts()[choice % 3], &contexts()[choice / 3 % 3]);
    let mut now = Instant::from_millis(1_000);
    let mut ends = [
        Association::new(Role::Client, client, &[server.fingerprint()], 1, now),
        Association::new(Role::Server, server, &[client.fingerprint()], 2, now),
    ];
    // What is under way to each end.
    let mut wires: [VecDeque<Vec<u8>>; 2] = Default::default();
    let mut keys: [Option<(u16, Keying)>; 2] = [None, None];
    let mut ended = [false; 2];
    let mut buf = [0; limits::DATAGRAM];
    while let Some(operation) = script.byte() {
        let at = usize::from(operation >> 7);
        match operation & 15 {
            // To the end as it is, several at once: most of a handshake needs no luck.
            0..=3 => {
                for _ in 0..=operation >> 4 & 3 {
                    let Some(datagram) = wires[at].pop_front() else { break };
                    let _ = ends[at].handle_datagram(now, &datagram);
                }
            }
            4 => drop(wires[at].pop_front()),
            5 => {
                if let Some(datagram) = wires[at].front().cloned() {
                    wires[at].push_back(datagram);
                }
            }
            6 => wires[at].rotate_left(usize::from(!wires[at].is_empty())),
            7 | 8 => {
                // A changed copy beside the original.
                if let Some(mut datagram) = wires[at].front().cloned() {
                    let place = usize::from(script.byte().unwrap_or(0)) * 4 % datagram.len();
                    let place = (place + usize::from(operation >> 4 & 7)) % datagram.len();
                    datagram[place] ^= script.byte().unwrap_or(1);
                    let _ = ends[at].handle_datagram(now, &datagram);
                }
            }
            9 => {
                if let Some(mut datagram) = wires[at].front().cloned() {
                    datagram.truncate(usize::from(script.byte().unwrap_or(0)) * 4);
                    datagram.extend_from_slice(script.chunk());
                    let _ = ends[at].handle_datagram(now, &datagram);
                }
            }
            10 => {
                let _ = ends[at].handle_datagram(now, script.chunk());
            }
            11 => {
                // A record that is well framed, in clear.
                let (kind, body) = (20 + script.byte().unwrap_or(0) % 8, script.chunk());
                let mut datagram = vec![kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, operation];
                datagram.extend((body.len() as u16).to_be_bytes());
                datagram.extend_from_slice(body);
                let _ = ends[at].handle_datagram(now, &datagram);
            }
            12 => {
                now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 20);
                ends.iter_mut().for_each(|end| end.handle_timeout(now));
            }
            13 => {
                let sent = ends[at].send(script.chunk());
                assert!(sent.is_err() || keys[at].is_some(), "data before keys");
            }
            14 if operation & 0x70 == 0 => ends[at].close(),
            _ => ends[at].handle_timeout(now),
        }
        for at in 0..2 {
            let mut said = 0;
            while let Some(len) = ends[at].poll_transmit(now, &mut buf) {
                said += 1;
                assert!(len > 0 && len <= 1_200, "the MTU");
                wires[1 - at].push_back(buf[..len].to_vec());
            }
            assert!(said <= limits::DTLS_OUTGOING, "{said} datagrams at once");
            wires[1 - at].truncate(64);
            let events: Vec<Event> = std::iter::from_fn(|| ends[at].poll_event()).collect();
            // Two facts of its own may come on top of data.
            assert!(events.len() <= limits::DTLS_EVENTS + 2);
            for event in events {
                assert!(!ended[at], "nothing follows the end: {event:?}");
                match event {
                    Event::Connected { profile, keying } => {
                        assert!(keys[at].is_none(), "it connects once");
                        keys[at] = Some((profile, keying));
                    }
                    Event::Data(_) => assert!(keys[at].is_some(), "data before keys"),
                    Event::Closed | Event::Failed(_) => ended[at] = true,
                }
            }
            let due = ends[at].poll_timeout();
            assert!(due.is_none_or(|due| due > now) || operation & 15 != 12, "{due:?} at {now:?}");
        }
        if let [Some((one, a)), Some((two, b))] = &keys {
            assert!(one == two && a.local_key == b.remote_key && a.remote_key == b.local_key);
            assert!(a.local_salt == b.remote_salt && a.remote_salt == b.local_salt);
        }
    }
}
