//! A scenario, run: two links, the flows over them, their feedback and their neighbours.

use super::constant::{self, Constant};
use super::controller::Controller;
use super::draws::Draws;
use super::ends::{Ends, Pair, Way};
use super::link::{Fate, Link, Outcome, Packet};
use super::receiver::{FeedbackFormat, Receiver};
use super::record::{FlowRecord, Run};
use super::scenario::{FlowConfig, Scenario};
use super::sender::Sender;
use super::share;
use super::source::Source;
use super::transfer::{ACK, SEGMENT, Transfer};
use crate::base::random::Random;
use crate::base::time::Instant;

/// What a run may vary besides its scenario.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// All draws follow from it.
    pub seed: u64,
    /// Whether media is sent as ECN-capable.
    pub ecn: bool,
    /// What receivers send back.
    pub format: FeedbackFormat,
}

/// Runs a scenario to its end, each flow by a controller of its own that `controller` makes from the flow.
pub fn run(
    scenario: &Scenario,
    settings: Settings,
    mut controller: impl FnMut(&FlowConfig) -> Box<dyn Controller>,
) -> Run {
    run_ends(scenario, settings, |flow, source, record| {
        let sender = Sender::new(flow, controller(flow), source, record);
        Box::new(Pair::new(sender, Receiver::new(settings.format, flow)))
    })
}

/// Runs a scenario to its end, with ends for each flow that `ends` makes: from the flow, its source of pictures, and
/// the record that it has to fill.
pub fn run_ends<'a>(
    scenario: &Scenario,
    settings: Settings,
    mut ends: impl FnMut(&FlowConfig, Source, FlowRecord) -> Box<dyn Ends + 'a>,
) -> Run {
    let mut network = Network::new(scenario, settings, &mut ends);
    while let Some(now) = network.poll_timeout().filter(|now| *now <= scenario.end) {
        network.handle_timeout(now);
    }
    network.into_run()
}

/// Purposes of draws, each a fork of the seed.
mod purpose {
    pub(super) const LINK: u64 = 0;
    pub(super) const SOURCE: u64 = 1;
    pub(super) const TRANSFER: u64 = 2;
}

/// Whose packets a lane carries.
#[derive(Debug, Clone, Copy)]
enum Cargo {
    Flow(usize, Way),
    Segments(usize),
    Acks(usize),
    /// Of constant traffic, in which nobody is interested.
    Constant,
}

/// A lane of a link.
#[derive(Debug, Clone, Copy)]
struct Lane {
    link: usize,
    lane: usize,
}

struct Flow<'a> {
    ends: Box<dyn Ends + 'a>,
    media: Lane,
    back: Lane,
}

/// What makes a flow's ends.
type Maker<'m, 'a> = &'m mut dyn FnMut(&FlowConfig, Source, FlowRecord) -> Box<dyn Ends + 'a>;

struct Neighbour<T> {
    traffic: T,
    out: Lane,
    back: Lane,
}

struct Network<'a> {
    end: Instant,
    ecn: bool,
    /// Forward and reverse.
    links: [Link; 2],
    /// By link and lane.
    cargo: [Vec<Cargo>; 2],
    flows: Vec<Flow<'a>>,
    transfers: Vec<Neighbour<Transfer>>,
    constants: Vec<(Constant, Lane)>,
}

impl<'a> Network<'a> {
    fn new(scenario: &Scenario, settings: Settings, ends: Maker<'_, 'a>) -> Self {
        let random = random(settings.seed);
        let link = |direction, index| Link::new(direction, random.fork(purpose::LINK).fork(index));
        let mut network = Network {
            end: scenario.end,
            ecn: settings.ecn,
            links: [link(&scenario.forward, 0), link(&scenario.reverse, 1)],
            cargo: [Vec::new(), Vec::new()],
            flows: Vec::new(),
            transfers: Vec::new(),
            constants: Vec::new(),
        };
        for (index, config) in scenario.flows.iter().enumerate() {
            let source = Source::new(&config.source, random.fork(purpose::SOURCE).fork(index as u64));
            let record = FlowRecord {
                spans: share::spans(scenario, index),
                demand: config.demand(),
                ..FlowRecord::default()
            };
            network.add_flow(config, ends(config, source, record));
        }
        let transfers =
            scenario.transfers.iter().flat_map(|config| std::iter::repeat_n(config, config.count));
        for (index, config) in transfers.enumerate() {
            let draws = Draws::new(random.fork(purpose::TRANSFER).fork(index as u64));
            let link = usize::from(config.backward);
            let out = network.lane(link, Cargo::Segments(index), None);
            let back = network.lane(1 - link, Cargo::Acks(index), None);
            let traffic = Transfer::new(config, scenario.end, draws);
            network.transfers.push(Neighbour { traffic, out, back });
        }
        for config in &scenario.constants {
            let out = network.lane(usize::from(config.backward), Cargo::Constant, None);
            network.constants.push((Constant::new(config), out));
        }
        network
    }

    fn add_flow(&mut self, config: &FlowConfig, ends: Box<dyn Ends + 'a>) {
        let index = self.flows.len();
        let link = usize::from(config.backward);
        let media = self.lane(link, Cargo::Flow(index, Way::Media), config.delay);
        let back = self.lane(1 - link, Cargo::Flow(index, Way::Back), config.delay);
        self.flows.push(Flow { ends, media, back });
    }

    fn lane(&mut self, link: usize, cargo: Cargo, delay: Option<std::time::Duration>) -> Lane {
        self.cargo[link].push(cargo);
        Lane { link, lane: self.links[link].add_lane(delay) }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(Link::poll_timeout);
        let flows = self.flows.iter().filter_map(|flow| flow.ends.poll_timeout());
        let transfers = self.transfers.iter().filter_map(|transfer| transfer.traffic.poll_timeout());
        let constants = self.constants.iter().filter_map(|constant| constant.0.poll_timeout());
        links.chain(flows).chain(transfers).chain(constants).min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        for link in 0..self.links.len() {
            self.links[link].handle_timeout(now);
            while let Some(outcome) = self.links[link].poll_outcome() {
                self.deliver(now, self.cargo[link][outcome.packet.lane], &outcome);
            }
        }
        for flow in &mut self.flows {
            flow.ends.handle_timeout(now);
            while let Some((way, id, size)) = flow.ends.poll_transmit(now) {
                match way {
                    Way::Media => send(&mut self.links, now, flow.media, id, size, self.ecn),
                    Way::Back => send(&mut self.links, now, flow.back, id, size, false),
                }
            }
        }
        for transfer in &mut self.transfers {
            transfer.traffic.handle_timeout(now);
            while let Some(id) = transfer.traffic.poll_transmit(now) {
                send(&mut self.links, now, transfer.out, id, SEGMENT, false);
            }
        }
        for (constant, out) in &mut self.constants {
            while let Some(id) = constant.poll_transmit(now) {
                send(&mut self.links, now, *out, id, constant::PACKET, false);
            }
        }
    }

    fn deliver(&mut self, now: Instant, cargo: Cargo, outcome: &Outcome) {
        let id = outcome.packet.id;
        let arrived = matches!(outcome.fate, Fate::Arrived { .. });
        match cargo {
            Cargo::Flow(index, way) => self.flows[index].ends.handle_outcome(way, outcome),
            Cargo::Segments(index) if arrived => {
                let transfer = &mut self.transfers[index];
                transfer.traffic.on_arrival(now);
                send(&mut self.links, now, transfer.back, id, ACK, false);
            }
            Cargo::Acks(index) if arrived => self.transfers[index].traffic.handle_ack(now, id),
            Cargo::Segments(_) | Cargo::Acks(_) | Cargo::Constant => {}
        }
    }

    fn into_run(self) -> Run {
        Run {
            end: self.end,
            flows: self.flows.into_iter().map(|flow| flow.ends.into_record()).collect(),
            transfers: self.transfers.iter().map(|transfer| transfer.traffic.record()).collect(),
        }
    }
}

fn send(links: &mut [Link; 2], now: Instant, lane: Lane, id: u64, size: usize, ect: bool) {
    links[lane.link].handle_packet(now, Packet { id, lane: lane.lane, size, ect });
}

fn random(seed: u64) -> Random {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Random::new(bytes)
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
