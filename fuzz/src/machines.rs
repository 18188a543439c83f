//! State machines, driven by scripts of operations: any order, any bytes, any time.

use super::Script;
use estafette::ice::{Agent, Candidate, Config, Credentials, LocalCandidate, Mode, Role};
use estafette::mux::{Path, Protocol};
use estafette::random::Random;
use estafette::{Instant, stun};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// ICE: a lite agent and a controlling one over a wire that loses, reorders, forges and waits.
pub fn ice(data: &[u8]) {
    let mut script = Script(data);
    let addresses = [SocketAddr::from(([192, 0, 2, 1], 1)), SocketAddr::from(([198, 51, 100, 2], 2))];
    let mut random = Random::new([1; 32]);
    let credentials = [Credentials::random(&mut random, "0001"), Credentials::random(&mut random, "0002")];
    let modes = [Mode::Lite, Mode::Full];
    let mut agents = [0, 1].map(|at| {
        let config = Config { mode: modes[at], role: Role::Controlling, ..Config::default() };
        let mut agent = Agent::new(config, credentials[at].clone(), random.fork(at as u64));
        agent.set_remote_credentials(credentials[1 - at].clone());
        agent
    });
    let local = LocalCandidate::host(Protocol::Udp, addresses[1], addresses[1], 1);
    agents[1].add_local_candidate(local).expect("the first one");
    agents[1].add_remote_candidate(Candidate::host(Protocol::Udp, addresses[0], 1)).expect("the first one");
    let (mut now, mut buf) = (Instant::from_millis(1), [0; 1_400]);
    let mut wires: [VecDeque<Vec<u8>>; 2] = Default::default();
    while let Some(operation) = script.byte() {
        let at = usize::from(operation >> 7);
        let agent = &mut agents[at];
        match operation & 7 {
            0 => {
                if let Some((_, len)) = agent.poll_transmit(now, &mut buf) {
                    assert!(len <= buf.len());
                    wires[1 - at].push_back(buf[..len].to_vec());
                    wires[1 - at].truncate(16);
                }
            }
            1 => {
                if let Some(datagram) = wires[at].pop_front() {
                    deliver(agent, now, addresses[at], addresses[1 - at], &datagram);
                }
            }
            2 => {
                wires[at].pop_front();
            }
            3 => {
                if let Some(datagram) = wires[at].front_mut() {
                    let place = usize::from(script.byte().unwrap_or(0)) % datagram.len();
                    datagram[place] ^= script.byte().unwrap_or(1);
                }
            }
            4 => {
                now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 40);
                agents.iter_mut().for_each(|agent| agent.handle_timeout(now));
            }
            5 => {
                // From somewhere else: as it is, or behind a translator.
                let from = SocketAddr::from(([203, 0, 113, operation >> 3 & 7], 9));
                match wires[at].pop_front() {
                    Some(datagram) => deliver(agent, now, addresses[at], from, &datagram),
                    None => deliver(agent, now, addresses[at], from, script.chunk()),
                }
            }
            6 => {
                let fresh = Credentials::random(&mut random, "0003");
                agent.restart(fresh.clone());
                agents[1 - at].set_remote_credentials(fresh);
            }
            _ => deliver(agent, now, addresses[at], addresses[1 - at], script.chunk()),
        }
        for agent in &mut agents {
            let events = std::iter::from_fn(|| agent.poll_event()).take(65).count();
            assert!(events < 65, "events end");
            assert!(agent.selected().is_none_or(|path| agent.knows(&path)), "what is selected is known");
        }
    }
}

fn deliver(agent: &mut Agent, now: Instant, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
    let path = Path { protocol: Protocol::Udp, local, remote };
    if let Ok(message) = stun::Message::parse(datagram) {
        let _ = agent.handle_datagram(now, path, &message);
        agent.on_received(&path, datagram.len());
    }
}
