//! ICE: two agents, lite or full, over a wire that loses, reorders, forges and waits, while their
//! owners say whatever owners can say.

use super::Script;
use estafette::ice::{Agent, Candidate, Config, Credentials, Directory, LocalCandidate, Mode, Role};
use estafette::random::Random;
use estafette::{Instant, Path, Protocol, limits, stun};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

struct World {
    agents: [Agent; 2],
    wires: [VecDeque<(Protocol, Vec<u8>)>; 2],
    directory: Directory<usize>,
    random: Random,
    now: Instant,
}

fn address(at: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + at as u8], 7))
}

fn local(at: usize, variant: u8) -> LocalCandidate {
    match variant & 3 {
        0 => LocalCandidate::host(Protocol::Udp, address(at), address(at), u16::from(variant)),
        1 => LocalCandidate::host(Protocol::Tcp, address(at), address(at), 1),
        2 => LocalCandidate::server_reflexive(address(at), ([203, 0, 113, variant & 7], 9).into(), 5),
        _ => {
            let six = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(variant)], 9));
            LocalCandidate::host(Protocol::Udp, ([0; 8], 9).into(), six, 8)
        }
    }
}

/// The first byte says what the agents are, then each byte is an operation.
pub fn ice(data: &[u8]) {
    let mut script = Script(data);
    let parts = script.byte().unwrap_or(0);
    let mut random = Random::new([1; 32]);
    let credentials = [Credentials::random(&mut random, "0001"), Credentials::random(&mut random, "0002")];
    let mut directory = Directory::new(&mut random);
    let agents = [0, 1].map(|at| {
        let lite = parts >> at & 1 == at as u8;
        let controlling = parts >> (at + 2) & 1 != at as u8;
        let config = Config {
            mode: if lite { Mode::Lite } else { Mode::Full },
            role: if controlling { Role::Controlling } else { Role::Controlled },
            private_candidates: parts & 0x10 != 0,
            attach_to_named: parts & 0x20 != 0,
        };
        let mut agent = Agent::new(config, credentials[at].clone(), random.fork(at as u64));
        agent.set_remote_credentials(credentials[1 - at].clone());
        agent.add_local_candidate(local(at, 0)).expect("the first one");
        agent.add_remote_candidate(local(1 - at, 0).candidate).expect("the first one");
        assert!(directory.add_ufrag(credentials[at].ufrag(), at));
        agent
    });
    let mut world =
        World { agents, wires: Default::default(), directory, random, now: Instant::from_millis(1) };
    while let Some(operation) = script.byte() {
        world.step(operation, &mut script);
        world.check();
    }
}

impl World {
    fn step(&mut self, operation: u8, script: &mut Script<'_>) {
        let at = usize::from(operation >> 7);
        let variant = operation >> 3 & 15;
        match operation & 7 {
            0 => {
                self.poll(at);
            }
            1 => {
                if let Some((protocol, datagram)) = self.wires[at].pop_front() {
                    self.deliver(at, protocol, address(1 - at), &datagram);
                }
            }
            2 => {
                self.wires[at].pop_front();
            }
            3 => {
                if let Some((_, datagram)) = self.wires[at].front_mut() {
                    let place = usize::from(script.byte().unwrap_or(0)) % datagram.len();
                    datagram[place] ^= script.byte().unwrap_or(1);
                }
            }
            4 => {
                self.now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 40);
                for at in [0, 1] {
                    self.agents[at].handle_timeout(self.now);
                    while self.poll(at) {}
                    let wake = self.agents[at].poll_timeout();
                    assert!(wake.is_none_or(|at| at > self.now), "the owner would spin");
                }
            }
            5 => {
                // From somewhere else: as it is, or behind a translator; some of it over TCP.
                let from = SocketAddr::from(([203, 0, 113, variant & 7], 9));
                let protocol = if variant & 8 == 0 { Protocol::Udp } else { Protocol::Tcp };
                match self.wires[at].pop_front() {
                    Some((_, datagram)) => self.deliver(at, protocol, from, &datagram),
                    None => self.deliver(at, protocol, from, script.chunk()),
                }
            }
            6 => self.command(at, variant, script),
            _ => self.deliver(at, Protocol::Udp, address(1 - at), script.chunk()),
        }
    }

    fn command(&mut self, at: usize, variant: u8, script: &mut Script<'_>) {
        let agent = &mut self.agents[at];
        match variant {
            8 => drop(agent.add_local_candidate(local(at, script.byte().unwrap_or(0)))),
            9 => {
                let candidate = local(1 - at, script.byte().unwrap_or(0)).candidate;
                let _ = agent.add_remote_candidate(candidate);
            }
            10 => {
                let [a, b] = [script.byte().unwrap_or(10), script.byte().unwrap_or(0)];
                let anywhere = SocketAddr::from(([a, b, b, a], u16::from(b)));
                let mut candidate = Candidate::host(Protocol::Udp, anywhere, u16::from(a));
                candidate.priority = candidate.priority.wrapping_mul(u32::from(b));
                let _ = agent.add_remote_candidate(candidate);
            }
            11 => agent.end_of_candidates(),
            12 => agent.set_role(if script.byte().is_some() { Role::Controlling } else { Role::Controlled }),
            13 => agent.set_remote_lite(),
            14 => {
                if let Some(path) = agent.selected() {
                    agent.forget_path(self.now, &path);
                }
            }
            15 => {
                let remote = SocketAddr::from(([203, 0, 113, script.byte().unwrap_or(0) & 7], 9));
                agent.forget_path(self.now, &Path { protocol: Protocol::Tcp, local: address(at), remote });
            }
            _ => {
                let fresh = Credentials::random(&mut self.random, "0003");
                agent.restart(fresh.clone());
                self.directory.add_ufrag(fresh.ufrag(), at);
                self.agents[1 - at].set_remote_credentials(fresh);
            }
        }
    }

    fn poll(&mut self, at: usize) -> bool {
        let mut buf = [0; limits::MTU];
        let Some((path, len)) = self.agents[at].poll_transmit(self.now, &mut buf) else { return false };
        self.directory.on_transmit(at, &buf[..len]);
        self.wires[1 - at].push_back((path.protocol, buf[..len].to_vec()));
        self.wires[1 - at].truncate(16);
        true
    }

    fn deliver(&mut self, at: usize, protocol: Protocol, remote: SocketAddr, datagram: &[u8]) {
        let path = Path { protocol, local: address(at), remote };
        let Ok(message) = stun::Message::parse(datagram) else { return };
        let before = format!("{:?}", self.agents[at]);
        let taken = self.agents[at].handle_datagram(self.now, path, &message);
        assert!(
            taken.is_ok() || format!("{:?}", self.agents[at]) == before,
            "I-03: what is refused changes nothing: {taken:?}"
        );
        if taken.is_ok() && message.class() != stun::Class::Indication {
            let found = self.directory.find_stun(&path, &message);
            assert_eq!(found, Some(at), "what is taken would have been found");
        }
        self.agents[at].on_received(&path, datagram.len());
    }

    fn check(&mut self) {
        for (at, agent) in self.agents.iter_mut().enumerate() {
            let mut count = 0;
            while let Some(event) = agent.poll_event() {
                self.directory.on_event(at, event);
                count += 1;
                assert!(count <= 2 * limits::PAIRS, "events end");
            }
            let answered: &Agent = agent;
            self.directory.retain_ufrags(at, |ufrag| answered.answers_to(ufrag));
            assert!(agent.local_candidates().count() <= limits::CANDIDATES);
            if let Some(path) = agent.selected() {
                assert!(agent.knows(&path) && agent.allowance(&path).is_none(), "what is selected is proven");
            }
        }
    }
}
