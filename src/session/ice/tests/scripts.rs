//! Full agents under any script of datagrams, commands and time.

use super::ends::local;
use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// A waiting datagram arrives at this end, perhaps from elsewhere or over TCP.
    Arrive {
        at: usize,
        index: usize,
        from: u8,
        tcp: bool,
    },
    Lose {
        at: usize,
        index: usize,
    },
    Forge {
        at: usize,
        place: usize,
        bits: u8,
    },
    Pass(u64),
    Local {
        at: usize,
        host: u8,
    },
    Remote {
        at: usize,
        host: u8,
        priority: u32,
    },
    Command {
        at: usize,
        what: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..2usize;
    prop_oneof![
        12 => (at(), 0..4usize, prop_oneof![4 => Just(0u8), 1 => 1..9u8], prop::bool::weighted(0.1))
            .prop_map(|(at, index, from, tcp)| Step::Arrive { at, index, from, tcp }),
        1 => (at(), 0..4usize).prop_map(|(at, index)| Step::Lose { at, index }),
        1 => (at(), 0..200usize, 1..=255u8).prop_map(|(at, place, bits)| Step::Forge { at, place, bits }),
        6 => prop_oneof![4 => 0..300u64, 1 => 0..9_000u64].prop_map(Step::Pass),
        1 => (at(), any::<u8>()).prop_map(|(at, host)| Step::Local { at, host }),
        2 => (at(), any::<u8>(), any::<u32>())
            .prop_map(|(at, host, priority)| Step::Remote { at, host, priority }),
        1 => (at(), any::<u8>()).prop_map(|(at, what)| Step::Command { at, what }),
    ]
}

/// Two agents, and what each has been sent.
struct Scripted {
    agents: [Agent; 2],
    waiting: [Vec<(Path, Vec<u8>)>; 2],
    known: [Vec<Path>; 2],
    now: Instant,
    generation: u8,
}

impl Scripted {
    fn new(roles: [Role; 2]) -> Scripted {
        let own = [credentials(1), credentials(2)];
        let agents = [0, 1].map(|at| {
            let config = Config {
                mode: Mode::Full,
                role: roles[at],
                private_candidates: true,
                attach_to_named: false,
            };
            let mut agent = Agent::new(config, own[at].clone(), Random::new([at as u8; 32]));
            agent.set_remote_credentials(own[1 - at].clone());
            agent.add_local_candidate(local([HOME, SERVER][at], 9)).unwrap();
            agent.add_remote_candidate(local([SERVER, HOME][at], 9).candidate).unwrap();
            agent
        });
        let (waiting, known) = Default::default();
        Scripted { agents, waiting, known, now: Instant::from_millis(1), generation: 2 }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Arrive { at, index, from, tcp } => {
                let count = self.waiting[at].len();
                if count == 0 {
                    return;
                }
                let (mut path, datagram) = self.waiting[at].remove(index % count);
                if from > 0 {
                    path.remote = SocketAddr::new([203, 0, 113, from].into(), 9);
                }
                path.protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
                if let Ok(message) = Message::parse(&datagram) {
                    let before = format!("{:?}", self.agents[at]);
                    let taken = self.agents[at].handle_datagram(self.now, path, &message);
                    let same = before == format!("{:?}", self.agents[at]);
                    assert!(taken.is_ok() || same, "what is dropped changes nothing");
                }
            }
            Step::Lose { at, index } => {
                let count = self.waiting[at].len().max(1);
                let kept = self.waiting[at].drain(..).enumerate().filter(|(i, _)| *i != index % count);
                self.waiting[at] = kept.map(|(_, datagram)| datagram).collect();
            }
            Step::Forge { at, place, bits } => {
                if let Some((_, datagram)) = self.waiting[at].first_mut() {
                    let place = place % datagram.len();
                    datagram[place] ^= bits;
                }
            }
            Step::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Step::Local { at, host } => {
                let _ = self.agents[at].add_local_candidate(local(&format!("10.0.{at}.{host}:5"), 3));
            }
            Step::Remote { at, host, priority } => {
                let mut candidate = local(&format!("10.0.{}.{host}:5", 1 - at), 3).candidate;
                candidate.priority = priority;
                let _ = self.agents[at].add_remote_candidate(candidate);
            }
            Step::Command { at, what } => self.command(at, what),
        }
    }

    fn command(&mut self, at: usize, what: u8) {
        let agent = &mut self.agents[at];
        match what % 6 {
            0 => agent.end_of_candidates(),
            1 => agent.set_role(if what < 128 { Role::Controlling } else { Role::Controlled }),
            2 => {
                if let Some(path) = agent.selected() {
                    agent.forget_path(self.now, &path);
                }
            }
            3 if what < 40 => agent.set_remote_lite(),
            _ => {
                self.generation = self.generation.wrapping_add(1);
                agent.restart(credentials(self.generation));
                self.agents[1 - at].set_remote_credentials(credentials(self.generation));
            }
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let mut wakes = [None; 2];
            for at in [0, 1] {
                let agent = &mut self.agents[at];
                agent.handle_timeout(self.now);
                let mut buf = [0; limits::MTU];
                while let Some((path, len)) = agent.poll_transmit(self.now, &mut buf) {
                    let seen = Path { local: path.remote, remote: path.local, ..path };
                    self.waiting[1 - at].push((seen, buf[..len].to_vec()));
                }
                let count = self.waiting[1 - at].len();
                self.waiting[1 - at].drain(..count.saturating_sub(12));
                wakes[at] = agent.poll_timeout();
                assert!(wakes[at].is_none_or(|wake| wake > self.now), "the owner would spin: {agent:?}");
            }
            match wakes.into_iter().flatten().min().filter(|wake| *wake <= end) {
                Some(wake) => self.now = wake,
                None => break,
            }
        }
        self.now = end;
    }

    fn assert_invariants(&mut self) {
        for at in [0, 1] {
            let agent = &mut self.agents[at];
            while let Some(event) = agent.poll_event() {
                match event {
                    Event::AddressKnown(path) => self.known[at].push(path),
                    Event::AddressForgotten(path) => {
                        let index = self.known[at].iter().position(|known| *known == path);
                        self.known[at].remove(index.expect("it was known"));
                    }
                    _ => {}
                }
            }
            assert!(self.known[at].len() <= limits::PAIRS && agent.pairs.iter().count() <= limits::PAIRS);
            assert!(self.known[at].iter().all(|path| agent.knows(path)));
            if let Some(path) = agent.selected() {
                assert!(agent.knows(&path) && agent.allowance(&path).is_none(), "proven");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_script_keeps_the_invariants_of_full_agents(
        steps in proptest::collection::vec(step(), 1..150),
        controlling in any::<[bool; 2]>(),
    ) {
        let role = |controls| if controls { Role::Controlling } else { Role::Controlled };
        let mut scripted = Scripted::new(controlling.map(role));
        for step in steps {
            scripted.take(step);
            scripted.assert_invariants();
        }
    }

    /// Whatever happened before: when all arrives again, a new generation connects.
    #[test]
    fn after_any_script_a_restart_connects(steps in proptest::collection::vec(step(), 1..60)) {
        let mut scripted = Scripted::new([Role::Controlling, Role::Controlled]);
        let lite = |step: &Step| matches!(step, Step::Command { what, .. } if what % 6 == 3);
        for step in steps.into_iter().filter(|step| !lite(step)) {
            scripted.take(step);
        }
        for at in [0, 1] {
            scripted.agents[at].restart(credentials(at as u8 + 201));
        }
        for at in [0, 1] {
            scripted.agents[at].set_remote_credentials(credentials(202 - at as u8));
            let theirs = local([SERVER, HOME][at], 9).candidate;
            scripted.agents[at].add_remote_candidate(theirs).unwrap();
        }
        scripted.waiting = Default::default();
        for _ in 0..200 {
            scripted.pass(Duration::from_millis(60));
            for at in [0, 1] {
                while !scripted.waiting[at].is_empty() {
                    scripted.take(Step::Arrive { at, index: 0, from: 0, tcp: false });
                }
            }
        }
        let [a, b] = [0, 1].map(|at| scripted.agents[at].selected().expect("connected"));
        prop_assert_eq!((a.local, a.remote), (b.remote, b.local));
    }
}
