//! Two agents and a network between them: translators, losses, delays, dead addresses.

use super::*;

/// Whether a datagram, as sent on a path, is lost.
pub(super) type Filter = Box<dyn Fn(&Path, &[u8]) -> bool>;

pub(super) struct End {
    pub(super) agent: Agent,
    pub(super) credentials: Credentials,
    pub(super) locals: Vec<LocalCandidate>,
    pub(super) events: Vec<Event>,
    /// What was sent, and when.
    pub(super) sent: Vec<(Instant, Path, Vec<u8>)>,
}

pub(super) struct Ends {
    pub(super) ends: [End; 2],
    pub(super) now: Instant,
    pub(super) network: Random,
    /// Chances in percent.
    pub(super) loss: u64,
    pub(super) duplicates: u64,
    /// Every datagram takes 20 ms and up to so much more, so that they overtake each other.
    pub(super) jitter: u64,
    /// Inner addresses and what others see of them.
    pub(super) translated: Vec<(SocketAddr, SocketAddr)>,
    pub(super) dead: Vec<SocketAddr>,
    pub(super) filter: Filter,
    flying: Vec<(Instant, usize, Path, Vec<u8>)>,
}

pub(super) fn local(text: &str, preference: u16) -> LocalCandidate {
    LocalCandidate::host(Protocol::Udp, address(text), address(text), preference)
}

impl Ends {
    /// Two agents that know each other's credentials and have candidates of their own, but none of
    /// the other's.
    pub(super) fn new(seed: u8, configs: [(Mode, Role); 2], locals: [Vec<LocalCandidate>; 2]) -> Ends {
        let own = [credentials(seed), credentials(!seed)];
        let mut locals = locals.into_iter();
        let ends = [0, 1].map(|at| {
            let (mode, role) = configs[at];
            let config = Config { mode, role, private_candidates: true, attach_to_named: false };
            let random = Random::new([seed ^ at as u8; 32]);
            let mut agent = Agent::new(config, own[at].clone(), random);
            agent.set_remote_credentials(own[1 - at].clone());
            let locals = locals.next().unwrap();
            for local in &locals {
                agent.add_local_candidate(local.clone()).unwrap();
            }
            End { agent, credentials: own[at].clone(), locals, events: Vec::new(), sent: Vec::new() }
        });
        Ends {
            ends,
            now: Instant::from_millis(5_000),
            network: Random::new([seed ^ 0x55; 32]),
            loss: 0,
            duplicates: 0,
            jitter: 0,
            translated: Vec::new(),
            dead: Vec::new(),
            filter: Box::new(|_, _| false),
            flying: Vec::new(),
        }
    }

    /// Two full agents of one address each, the first of them controlling.
    pub(super) fn full(seed: u8) -> Ends {
        let locals = [vec![local(HOME, 9)], vec![local(SERVER, 9)]];
        Ends::new(seed, [(Mode::Full, Role::Controlling), (Mode::Full, Role::Controlled)], locals)
    }

    /// Tells each side the other's candidates.
    pub(super) fn signal(&mut self) {
        for at in [0, 1] {
            self.trickle(at);
        }
    }

    /// Tells one side the other's candidates.
    pub(super) fn trickle(&mut self, to: usize) {
        for local in self.ends[1 - to].locals.clone() {
            self.ends[to].agent.add_remote_candidate(local.candidate).unwrap();
        }
    }

    pub(super) fn connected(seed: u8) -> Ends {
        let mut ends = Ends::full(seed);
        ends.signal();
        ends.run(seconds(2));
        ends.assert_connected();
        ends
    }

    fn flush(&mut self) {
        let mut buf = [0; limits::MTU];
        for at in [0, 1] {
            let end = &mut self.ends[at];
            end.agent.handle_timeout(self.now);
            let mut out = Vec::new();
            while let Some((path, len)) = end.agent.poll_transmit(self.now, &mut buf) {
                out.push((path, buf[..len].to_vec()));
            }
            let wake = end.agent.poll_timeout();
            assert!(wake.is_none_or(|at| at > self.now), "the owner would spin: {:?}", end.agent);
            while let Some(event) = end.agent.poll_event() {
                if !matches!(event, Event::AddressKnown(_) | Event::AddressForgotten(_)) {
                    end.events.push(event);
                }
            }
            for (path, datagram) in out {
                self.ends[at].sent.push((self.now, path, datagram.clone()));
                self.send(path, &datagram);
            }
        }
    }

    fn send(&mut self, path: Path, datagram: &[u8]) {
        let outer = |inner| self.translated.iter().find(|(at, _)| *at == inner).map(|(_, outer)| *outer);
        let source = outer(path.local).unwrap_or(path.local);
        let inner = self.translated.iter().find(|(_, outer)| *outer == path.remote).map(|(at, _)| *at);
        let target = match inner {
            Some(inner) => inner,
            // Nobody reaches what is behind a translator by its inner address.
            None if outer(path.remote).is_some() => return,
            None => path.remote,
        };
        let at = |end: &End| end.locals.iter().any(|local| local.base == target);
        let Some(receiver) = self.ends.iter().position(at) else { return };
        if self.dead.contains(&target) || self.dead.contains(&path.local) || (self.filter)(&path, datagram) {
            return;
        }
        let copies = 1 + u64::from(self.network.below(100) < self.duplicates);
        for _ in 0..copies {
            if self.network.below(100) >= self.loss {
                let delay = Duration::from_millis(20 + self.network.below(self.jitter + 1));
                let path = Path { local: target, remote: source, ..path };
                self.flying.push((self.now + delay, receiver, path, datagram.to_vec()));
            }
        }
    }

    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.flush();
            let arrivals = self.flying.iter().map(|flight| flight.0);
            let timeouts = self.ends.iter().filter_map(|end| end.agent.poll_timeout());
            let Some(next) = arrivals.chain(timeouts).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            let (due, later): (Vec<_>, Vec<_>) =
                self.flying.drain(..).partition(|flight| flight.0 <= self.now);
            self.flying = later;
            for (_, to, path, datagram) in due {
                let message = Message::parse(&datagram).unwrap();
                let _ = self.ends[to].agent.handle_datagram(self.now, path, &message);
            }
        }
        self.now = end;
    }

    /// Both have selected the same pair.
    pub(super) fn is_connected(&self) -> bool {
        let outer = |inner: SocketAddr| {
            self.translated.iter().find(|(at, _)| *at == inner).map_or(inner, |(_, outer)| *outer)
        };
        let [a, b] = [0, 1].map(|at| self.ends[at].agent.selected());
        let (Some(a), Some(b)) = (a, b) else { return false };
        outer(a.local) == b.remote && outer(b.local) == a.remote
    }

    pub(super) fn assert_connected(&self) {
        let [a, b] = [0, 1].map(|at| &self.ends[at].agent);
        assert!(self.is_connected(), "{:?} and {:?}\n{a:?}\n{b:?}", a.selected(), b.selected());
    }

    pub(super) fn remotes(&self) -> [SocketAddr; 2] {
        [0, 1].map(|at| self.ends[at].agent.selected().expect("a path").remote)
    }

    /// Both sides begin a new generation and tell each other of it.
    pub(super) fn restart(&mut self, seed: u8) {
        for at in [0, 1] {
            self.ends[at].credentials = credentials(seed ^ (at as u8 * 0xFF));
            let own = self.ends[at].credentials.clone();
            self.ends[at].agent.restart(own);
        }
        for at in [0, 1] {
            let theirs = self.ends[1 - at].credentials.clone();
            self.ends[at].agent.set_remote_credentials(theirs);
        }
        self.signal();
    }

    pub(super) fn roles(&self) -> [Role; 2] {
        [0, 1].map(|at| self.ends[at].agent.role())
    }
}
