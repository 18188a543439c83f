//! The smallest server around the engine: one room, one UDP socket, one loop.
//!
//! `cargo run --release --example minimal`, then open <http://localhost:8000> in two or more tabs.
//! What a real server does besides (rooms with codes, batches of datagrams, a core for each engine,
//! offers from the server's side when somebody comes) is in `examples/conference`.
// The engine has no clock, thread or socket. We do.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use estafette::{
    Datagram, Ecn, Engine, EngineConfig, HostCandidate, Instant, ParticipantConfig, ParticipantId, Path,
    Protocol, RoomConfig, RoomId,
};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// A page's offer, the number of its participant if it has one already, and where the answer goes.
type Offer = (Option<usize>, String, Sender<String>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The world outside: a socket, a clock, and the web page with its offers on a thread of its own.
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let local = socket.local_addr()?;
    let clock = std::time::Instant::now();
    let now = || Instant::ZERO + clock.elapsed();
    let (sender, offers) = channel::<Offer>();
    let listener = TcpListener::bind("127.0.0.1:8000")?;
    std::thread::spawn(move || {
        for page in listener.incoming().flatten() {
            let _ = serve(page, &sender);
        }
    });
    println!("Open http://localhost:8000 in two tabs.");

    // The engine: addresses to announce, 32 secret random bytes, and the time.
    let config = EngineConfig { candidates: vec![HostCandidate::udp(local)], ..EngineConfig::default() };
    let mut engine = Engine::new(config, seed()?, now())?;
    let room = engine.create_room(RoomConfig::default())?;
    let mut participants: Vec<ParticipantId> = Vec::new();

    // The loop: calls, datagrams and time go in; datagrams, events and the next deadline come out.
    let mut buf = [0; 2048];
    loop {
        while let Ok((number, sdp, reply)) = offers.try_recv() {
            let answer = negotiate(&mut engine, room, &mut participants, number, &sdp);
            let _ = reply.send(answer.unwrap_or_else(|error| format!("error: {error}")));
        }
        while let Some(transmit) = engine.poll_transmit(now(), &mut buf) {
            // Several datagrams may stand in the buffer. A failed send is a loss like any other.
            let size = transmit.segment_size.map_or(transmit.len, |size| usize::from(size.get()));
            for datagram in buf[..transmit.len].chunks(size.max(1)) {
                let _ = socket.send_to(datagram, transmit.path.remote);
            }
        }
        while let Some(event) = engine.poll_event() {
            println!("{event:?}");
        }
        // Sleep until the next deadline or datagram, but look for offers every 10 ms.
        let pause = engine.poll_timeout().map_or(Duration::MAX, |at| at - now());
        let pause = pause.clamp(Duration::from_millis(1), Duration::from_millis(10));
        socket.set_read_timeout(Some(pause))?;
        match socket.recv_from(&mut buf) {
            Ok((len, remote)) => {
                let (protocol, ecn, data) = (Protocol::Udp, Ecn::NotEct, &buf[..len]);
                let path = Path { protocol, local, remote };
                engine.handle_datagram(now(), Datagram { path, ecn, data });
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => eprintln!("receive: {error}"),
        }
        engine.handle_timeout(now());
    }
}

/// Answers an offer: of a new participant, or of one that offers again to learn who has come since.
fn negotiate(
    engine: &mut Engine,
    room: RoomId,
    participants: &mut Vec<ParticipantId>,
    number: Option<usize>,
    sdp: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let number = number.unwrap_or(participants.len());
    if number == participants.len() {
        // The label names its media to the others: their stream id is "p" and the label.
        let config = ParticipantConfig { label: number.to_string(), ..ParticipantConfig::default() };
        let mut room = engine.room(room).ok_or("the room is closed")?;
        participants.push(room.join(config)?);
    }
    let id = *participants.get(number).ok_or("no such participant")?;
    let mut participant = engine.participant(id).ok_or("the participant has left")?;
    Ok(format!("{number}\n{}", participant.accept_offer(sdp)?))
}

/// 32 bytes that nobody else knows: ICE passwords and much else follow from them.
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}

/// One HTTP request: the page, or an offer posted to `/` or `/<participant>` and answered.
fn serve(mut page: TcpStream, offers: &Sender<Offer>) -> io::Result<()> {
    page.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut lines = BufReader::new(page.try_clone()?.take(256 * 1024));
    let mut head = String::new();
    while lines.read_line(&mut head)? > 2 {}
    let body = if head.starts_with("POST /") {
        let head = head.to_ascii_lowercase();
        let length = |line: &str| line.strip_prefix("content-length:")?.trim().parse().ok();
        let length = head.lines().find_map(length).unwrap_or(0);
        let number = head.split([' ', '/']).nth(2);
        let number = number.and_then(|number| number.parse().ok());
        let mut sdp = String::new();
        lines.take(length).read_to_string(&mut sdp)?;
        let (reply, answer) = channel();
        let _ = offers.send((number, sdp, reply));
        answer.recv().map_err(io::Error::other)?
    } else {
        include_str!("minimal.html").to_owned()
    };
    let length = body.len();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n";
    write!(page, "{head}content-length: {length}\r\n\r\n{body}")
}
