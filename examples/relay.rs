//! The simulator's links as a relay of UDP between browsers and a server, in real time: a narrow, slow or lossy
//! path on a machine whose kernel cannot emulate one.
//!
//! ```text
//! cargo run --release --features sim --example relay -- 127.0.0.1:41000 127.0.0.1:40000 --down 3000,20:300,40:3000
//! cargo run --release -p conference -- --udp 127.0.0.1:40000 --announce 127.0.0.1:41000 --engines 1 --carriers udp
//!
//!     LISTEN SERVER        where clients send to, and where it goes
//!     --scenario FILE      both directions as a scenario file says; what follows changes them
//!     --down STEPS         capacity to the clients in kbit/s: 3000, or 3000,20:300 for 300 from second 20 on
//!     --up STEPS           capacity to the server
//!     --delay MS           one way, both ways
//!     --jitter MS          standard deviation of what is added to it, both ways
//!     --queue MS           how long the queues are at the largest capacity
//!     --loss SHARE         lost at random, both ways: 0.01 is one in a hundred
//!     --seed N             of all draws
//! ```
//!
//! Time counts from the first datagram. All clients share the path; each has a socket of its own towards the server,
//! which tells them apart by it. A line a second says how each direction does. ECN is not carried over, and a
//! scenario's flows and neighbours are not run.
// The library has no clock, thread or socket. We do.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use estafette::random::Random;
use estafette::sim::{Capacity, Direction, Fate, Link, Packet, Scenario};
use estafette::{Bitrate, Instant};

/// IP and UDP, which count like all else.
const LOWER: usize = 28;
/// More are not served.
const CLIENTS: usize = 64;
/// Between lines.
const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn Error>> {
    let options = options(std::env::args().skip(1))?;
    let relay = Relay::new(&options)?;
    println!("{} -> {}", relay.listen.local_addr()?, options.server);
    relay.run(|line| println!("{line}"))?;
    Ok(())
}

/// What the command line says.
struct Options {
    listen: SocketAddr,
    server: SocketAddr,
    down: Direction,
    up: Direction,
    seed: u64,
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let (mut addresses, mut seed) = (Vec::<SocketAddr>::new(), 1);
    let mut ways = [Direction::default(), Direction::default()];
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            addresses.push(argument.parse().map_err(|_| format!("{argument} is no IP:PORT"))?);
            continue;
        }
        let value = arguments.next().ok_or(format!("{argument} wants a value"))?;
        match argument.as_str() {
            "--scenario" => {
                let scenario = Scenario::parse(&std::fs::read_to_string(value)?)?;
                ways = [scenario.forward, scenario.reverse];
            }
            "--down" => ways[0].capacity = Some(capacity(&value)?),
            "--up" => ways[1].capacity = Some(capacity(&value)?),
            "--delay" => set(&mut ways, millis(&value)?, |way, delay| way.delay = delay),
            "--jitter" => set(&mut ways, millis(&value)?, |way, sigma| way.jitter_sigma = sigma),
            "--queue" => set(&mut ways, Some(millis(&value)?), |way, queue| way.queue = queue),
            "--loss" => {
                let loss: f64 = value.parse()?;
                if !(0.0..=1.0).contains(&loss) {
                    return Err(format!("{value} is no share").into());
                }
                set(&mut ways, loss, |way, loss| way.loss = loss);
            }
            "--seed" => seed = value.parse()?,
            other => return Err(format!("{other} is no option").into()),
        }
    }
    let [listen, server] = addresses[..] else {
        return Err("two addresses are wanted: where to listen, and the server's".into());
    };
    let [down, up] = ways;
    Ok(Options { listen, server, down, up, seed })
}

fn set<T: Copy>(ways: &mut [Direction; 2], value: T, change: impl Fn(&mut Direction, T)) {
    ways.iter_mut().for_each(|way| change(way, value));
}

fn millis(text: &str) -> Result<Duration, Box<dyn Error>> {
    Ok(Duration::try_from_secs_f64(text.parse::<f64>()? / 1e3)?)
}

/// `3000,20:300`: 3,000 kbit/s, and 300 from second 20 on.
fn capacity(text: &str) -> Result<Capacity, Box<dyn Error>> {
    let mut steps = Vec::new();
    for step in text.split(',') {
        let (at, kbps) = step.split_once(':').unwrap_or(("0", step));
        steps.push((
            Instant::ZERO + Duration::try_from_secs_f64(at.parse()?)?,
            Bitrate::from_kbps(kbps.parse()?),
        ));
    }
    Capacity::steps(steps).ok_or("steps begin at 0 s and ascend".into())
}

/// One direction: its link, and what is on it.
struct Crossing {
    name: &'static str,
    direction: Direction,
    link: Link,
    under_way: HashMap<u64, Vec<u8>>,
    sent: u64,
    second: Second,
}

/// What a line tells of the second before.
#[derive(Default)]
struct Second {
    bytes: usize,
    longest: Duration,
    drops: u64,
    lost: u64,
}

impl Crossing {
    fn new(name: &'static str, direction: &Direction, random: Random) -> Self {
        Crossing {
            name,
            direction: direction.clone(),
            link: Link::new(direction, random),
            under_way: HashMap::new(),
            sent: 0,
            second: Second::default(),
        }
    }

    fn handle_datagram(&mut self, now: Instant, lane: usize, datagram: Vec<u8>) {
        let packet = Packet { id: self.sent, lane, size: datagram.len() + LOWER, ect: false };
        self.sent += 1;
        self.under_way.insert(packet.id, datagram);
        self.link.handle_packet(now, packet);
    }

    /// The next datagram that arrives by now, with its lane.
    fn poll_datagram(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        self.link.handle_timeout(now);
        while let Some(outcome) = self.link.poll_outcome() {
            let datagram = self.under_way.remove(&outcome.packet.id);
            self.second.longest = self.second.longest.max(outcome.waited.unwrap_or_default());
            match outcome.fate {
                Fate::Arrived { .. } => {
                    self.second.bytes += outcome.packet.size;
                    return Some((outcome.packet.lane, datagram?));
                }
                Fate::Lost => self.second.lost += 1,
                _ => self.second.drops += 1,
            }
        }
        None
    }

    /// Tells of the second that ends now, and begins the next.
    fn line(&mut self, now: Instant) -> String {
        let Second { bytes, longest, drops, lost } = std::mem::take(&mut self.second);
        let of =
            self.direction.served(now).map_or(String::new(), |rate| format!(" of {}", rate.as_bps() / 1_000));
        let (name, kbps, wait) = (self.name, bytes * 8 / 1_000, longest.as_millis());
        format!("{name} {kbps}{of} kbit/s, wait {wait} ms, {drops} dropped, {lost} lost")
    }
}

/// A datagram that came in.
enum Arrival {
    Client(SocketAddr, Vec<u8>),
    Server(usize, Vec<u8>),
}

/// A client, and the socket by which the server knows it; its lane on either link is its index.
struct Client {
    address: SocketAddr,
    upstream: UdpSocket,
}

struct Relay {
    listen: UdpSocket,
    server: SocketAddr,
    clients: Vec<Client>,
    down: Crossing,
    up: Crossing,
    arrivals: Receiver<Arrival>,
    sender: Sender<Arrival>,
}

impl Relay {
    fn new(options: &Options) -> io::Result<Relay> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&options.seed.to_le_bytes());
        let random = Random::new(seed);
        let listen = UdpSocket::bind(options.listen)?;
        let (sender, arrivals) = channel();
        let (from_clients, socket) = (sender.clone(), listen.try_clone()?);
        thread::spawn(move || {
            read(&socket, |address, datagram| from_clients.send(Arrival::Client(address, datagram)).is_ok());
        });
        Ok(Relay {
            listen,
            server: options.server,
            clients: Vec::new(),
            down: Crossing::new("down", &options.down, random.fork(0)),
            up: Crossing::new("up", &options.up, random.fork(1)),
            arrivals,
            sender,
        })
    }

    /// Relays, and gives a line a second to `tell`.
    fn run(mut self, mut tell: impl FnMut(String)) -> io::Result<()> {
        let first = self.arrivals.recv().ok();
        let clock = std::time::Instant::now();
        let now = || Instant::ZERO + clock.elapsed();
        first.into_iter().try_for_each(|arrival| self.take(now(), arrival))?;
        let mut line = Instant::ZERO + SECOND;
        loop {
            self.deliver(now());
            if line <= now() {
                tell(format!(
                    "{:>3} s: {}; {}",
                    line.as_micros() / 1_000_000,
                    self.down.line(line),
                    self.up.line(line)
                ));
                line += SECOND;
            }
            let due = [self.down.link.poll_timeout(), self.up.link.poll_timeout()].into_iter().flatten();
            let wait = due.fold(line, Instant::min).saturating_since(now());
            match self.arrivals.recv_timeout(wait) {
                Ok(arrival) => self.take(now(), arrival)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn take(&mut self, now: Instant, arrival: Arrival) -> io::Result<()> {
        match arrival {
            Arrival::Server(client, datagram) => self.down.handle_datagram(now, client, datagram),
            Arrival::Client(address, datagram) => {
                if let Some(client) = self.client(address)? {
                    self.up.handle_datagram(now, client, datagram);
                }
            }
        }
        Ok(())
    }

    /// Hands over what has arrived. A failed send is a loss like any other.
    fn deliver(&mut self, now: Instant) {
        while let Some((client, datagram)) = self.down.poll_datagram(now) {
            let _ = self.listen.send_to(&datagram, self.clients[client].address);
        }
        while let Some((client, datagram)) = self.up.poll_datagram(now) {
            let _ = self.clients[client].upstream.send_to(&datagram, self.server);
        }
    }

    /// The client at an address, a new one if there is room.
    fn client(&mut self, address: SocketAddr) -> io::Result<Option<usize>> {
        let known = self.clients.iter().position(|client| client.address == address);
        if known.is_some() || self.clients.len() == CLIENTS {
            return Ok(known);
        }
        let any: IpAddr =
            if self.server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let upstream = UdpSocket::bind((any, 0))?;
        let (index, server) = (self.clients.len(), self.server);
        let (sender, socket) = (self.sender.clone(), upstream.try_clone()?);
        thread::spawn(move || {
            // Only the server is let through.
            read(&socket, |from, datagram| {
                from != server || sender.send(Arrival::Server(index, datagram)).is_ok()
            });
        });
        self.clients.push(Client { address, upstream });
        self.down.link.add_lane(None);
        self.up.link.add_lane(None);
        Ok(Some(index))
    }
}

/// Reads datagrams until `take` has enough. Errors of earlier sends, which some systems report here, are passed over.
fn read(socket: &UdpSocket, mut take: impl FnMut(SocketAddr, Vec<u8>) -> bool) {
    let mut buf = [0; 65_536];
    loop {
        if let Ok((len, from)) = socket.recv_from(&mut buf)
            && !take(from, buf[..len].to_vec())
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each datagram with the same and the port it saw, and a relay before it.
    fn start(more: &str) -> (SocketAddr, Receiver<String>) {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let text = format!("127.0.0.1:0 {} {more}", server.local_addr().expect("an address"));
        thread::spawn(move || {
            read(&server.try_clone().expect("a socket"), |from, mut datagram| {
                datagram.extend(from.port().to_be_bytes());
                server.send_to(&datagram, from).is_ok()
            });
        });
        let relay = Relay::new(&parse(&text).expect("options")).expect("sockets");
        let address = relay.listen.local_addr().expect("an address");
        let (lines, told) = channel();
        thread::spawn(move || relay.run(|line| drop(lines.send(line))));
        (address, told)
    }

    fn parse(text: &str) -> Result<Options, Box<dyn Error>> {
        options(text.split_whitespace().map(str::to_owned))
    }

    fn client() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        socket
    }

    fn receive(client: &UdpSocket) -> Vec<u8> {
        let mut buf = [0; 2_048];
        let len = client.recv(&mut buf).expect("an answer");
        buf[..len].to_vec()
    }

    #[test]
    fn datagrams_cross_late_whole_and_to_their_own_client() {
        let (relay, _told) = start("--delay 30");
        let (one, other) = (client(), client());
        let clock = std::time::Instant::now();
        one.send_to(b"one", relay).expect("sent");
        other.send_to(b"other", relay).expect("sent");
        let (first, second) = (receive(&one), receive(&other));
        assert!(clock.elapsed() >= Duration::from_millis(60));
        assert_eq!((&first[..3], &second[..5]), (&b"one"[..], &b"other"[..]));
        // The server told them apart.
        assert_ne!(first[3..], second[5..]);
        // The same client is the same client.
        one.send_to(b"one", relay).expect("sent");
        assert_eq!(receive(&one), first);
    }

    #[test]
    fn a_narrow_way_holds_datagrams_up_and_a_line_a_second_tells() {
        let (relay, told) = start("--down 400 --queue 2000");
        let client = client();
        let clock = std::time::Instant::now();
        for _ in 0..8 {
            client.send_to(&[7; 1_170], relay).expect("sent");
        }
        assert!((0..8).all(|_| receive(&client).len() == 1_172));
        // 8 x 9,600 bits at 400 kbit/s.
        assert!(clock.elapsed() >= Duration::from_millis(190));
        let line = told.recv_timeout(Duration::from_secs(10)).expect("a line");
        assert!(line.starts_with("  1 s: down ") && line.contains(" of 400 kbit/s, wait "), "{line}");
    }

    #[test]
    fn a_full_queue_drops_and_a_line_counts() {
        let options = parse("1.2.3.4:5 1.2.3.4:6 --down 400 --queue 200").expect("fine");
        let mut crossing = Crossing::new("down", &options.down, Random::new([1; 32]));
        crossing.link.add_lane(None);
        // 200 ms are 10,000 bytes: eight of 1,200.
        (0..20).for_each(|_| crossing.handle_datagram(Instant::ZERO, 0, vec![7; 1_172]));
        let end = Instant::from_millis(1_000);
        let arrived =
            std::iter::from_fn(|| crossing.poll_datagram(end)).filter(|(_, data)| data.len() == 1_172);
        assert_eq!(arrived.count(), 8);
        assert_eq!(crossing.line(end), "down 76 of 400 kbit/s, wait 168 ms, 12 dropped, 0 lost");
        assert_eq!(crossing.line(end), "down 0 of 400 kbit/s, wait 0 ms, 0 dropped, 0 lost");
        assert!(crossing.under_way.is_empty());
    }

    #[test]
    fn the_command_line_says_what_the_path_is_like() {
        let options = parse("1.2.3.4:5 [::1]:6 --down 3000,20:300 --up 500 --loss 0.02 --jitter 3 --seed 9")
            .expect("fine");
        let at =
            |seconds: u64| options.down.served(Instant::from_millis(seconds * 1_000)).map(Bitrate::as_bps);
        assert_eq!((at(0), at(20), options.seed), (Some(3_000_000), Some(300_000), 9));
        assert_eq!((options.down.loss, options.up.jitter_sigma), (0.02, Duration::from_millis(3)));
        for wrong in
            ["1.2.3.4:5", "1.2.3.4:5 x", "1.2.3.4:5 1.2.3.4:6 --loss 2", "1.2.3.4:5 1.2.3.4:6 --down 5:3"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bwe/09-simulcast-steps.toml");
        let options = parse(&format!("1.2.3.4:5 1.2.3.4:6 --scenario {file} --delay 5")).expect("fine");
        assert_eq!(options.down.delay, Duration::from_millis(5));
        assert_eq!(options.down.served(Instant::from_millis(30_000)), Some(Bitrate::from_kbps(800)));
    }
}
