//! TCP for those whose network lets no UDP through: connections that carry datagrams in frames, which
//! the engine reads and writes (RFC 6544).
//!
//! A small task for each connection waits for the kernel; reading and writing themselves happen in the
//! engine's own loop, straight between its buffers and the kernel's. What a slow peer does not take
//! waits in a bounded backlog; what does not fit there is lost, as on a full link.

use estafette::{Path, Protocol};
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Bytes that wait for one connection: half a second of 4 Mbit/s. What is older is better lost.
const BACKLOG: usize = 256 * 1_024;

/// Bytes taken from one connection in a row, so that it cannot hold up the others.
const TURN: usize = 4 * PIECE;

/// Bytes of the receive buffer.
const PIECE: usize = 64 * 1_024;

/// Notices that wait; who has one more waits.
const NOTICES: usize = 256;

/// After the system has refused a connection, for want of file descriptors for instance.
const BREATH: Duration = Duration::from_millis(100);

/// What a task has to tell.
#[derive(Debug)]
pub enum Notice {
    /// Somebody connected.
    Accepted(TcpStream),
    /// There may be something to read.
    Readable(Path, u64),
    /// There may be room to write.
    Writable(Path, u64),
}

/// One connection.
struct Connection {
    stream: Arc<TcpStream>,
    /// Tells its tasks from those of a connection of the same addresses before it.
    serial: u64,
    backlog: Vec<u8>,
    waiting: [Option<JoinHandle<()>>; 2],
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.waiting.iter().flatten().for_each(JoinHandle::abort);
    }
}

/// The connections of one engine.
pub struct Streams {
    connections: HashMap<Path, Connection>,
    notices: mpsc::Receiver<Notice>,
    notify: mpsc::Sender<Notice>,
    serial: u64,
    piece: Vec<u8>,
}

impl Streams {
    /// Accepts on a bound listener, if there is one. Must be called inside the runtime that runs it.
    pub fn new(listener: Option<std::net::TcpListener>) -> io::Result<Streams> {
        let (notify, notices) = mpsc::channel(NOTICES);
        if let Some(listener) = listener {
            listener.set_nonblocking(true)?;
            tokio::spawn(accept(TcpListener::from_std(listener)?, notify.clone()));
        }
        Ok(Streams { connections: HashMap::new(), notices, notify, serial: 0, piece: vec![0; PIECE] })
    }

    /// The next thing that happened.
    pub async fn notice(&mut self) -> Notice {
        match self.notices.recv().await {
            Some(notice) => notice,
            // There is always our own sender.
            None => std::future::pending().await,
        }
    }

    /// Takes in a connection that was accepted and tells its path; `None` if it has gone already.
    pub fn add(&mut self, stream: TcpStream) -> Option<Path> {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (local, remote) = (canonical(stream.local_addr().ok()?), canonical(stream.peer_addr().ok()?));
        let path = Path { protocol: Protocol::Tcp, local, remote };
        // Each datagram leaves when it is written.
        stream.set_nodelay(true).ok()?;
        self.serial += 1;
        let serial = self.serial;
        let (stream, waiting) = (Arc::new(stream), [None, None]);
        self.connections.insert(path, Connection { stream, serial, backlog: Vec::new(), waiting });
        self.await_readable(path);
        Some(path)
    }

    /// Forgets a connection, which closes it.
    pub fn close(&mut self, path: &Path) {
        self.connections.remove(path);
    }

    /// Hands over what can be read; false when the connection is to be closed, or has ended.
    pub fn read(&mut self, path: Path, serial: u64, mut take: impl FnMut(&[u8]) -> bool) -> bool {
        let Some(connection) = self.connections.get(&path).filter(|known| known.serial == serial) else {
            return true;
        };
        let mut taken = 0;
        while taken < TURN {
            match connection.stream.try_read(&mut self.piece) {
                Ok(0) => return false,
                Ok(len) => {
                    taken += len;
                    if !take(&self.piece[..len]) {
                        return false;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
        }
        self.await_readable(path);
        true
    }

    /// Writes whole frames, or lets them wait if there is room for all of them.
    pub fn write(&mut self, path: &Path, frames: &[u8]) {
        let Some(connection) = self.connections.get_mut(path) else {
            return;
        };
        if !connection.backlog.is_empty() {
            if connection.backlog.len() + frames.len() <= BACKLOG {
                connection.backlog.extend_from_slice(frames);
            }
            return;
        }
        // A connection that has failed is noticed where it is read.
        let written = connection.stream.try_write(frames).unwrap_or(0);
        if written < frames.len() {
            connection.backlog.extend_from_slice(&frames[written..]);
            self.await_writable(*path);
        }
    }

    /// Writes what waits.
    pub fn resume(&mut self, path: Path, serial: u64) {
        let Some(connection) = self.connections.get_mut(&path).filter(|known| known.serial == serial) else {
            return;
        };
        match connection.stream.try_write(&connection.backlog) {
            Ok(written) => drop(connection.backlog.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // A connection that has failed is noticed where it is read.
            Err(_) => connection.backlog.clear(),
        }
        if connection.backlog.is_empty() {
            connection.backlog = Vec::new();
        } else {
            self.await_writable(path);
        }
    }

    fn await_readable(&mut self, path: Path) {
        let notify = self.notify.clone();
        if let Some(connection) = self.connections.get_mut(&path) {
            let (stream, serial) = (connection.stream.clone(), connection.serial);
            connection.waiting[0] = Some(tokio::spawn(async move {
                // An error shows itself to the read.
                let _ = stream.readable().await;
                let _ = notify.send(Notice::Readable(path, serial)).await;
            }));
        }
    }

    fn await_writable(&mut self, path: Path) {
        let notify = self.notify.clone();
        if let Some(connection) = self.connections.get_mut(&path) {
            let (stream, serial) = (connection.stream.clone(), connection.serial);
            connection.waiting[1] = Some(tokio::spawn(async move {
                let _ = stream.writable().await;
                let _ = notify.send(Notice::Writable(path, serial)).await;
            }));
        }
    }
}

async fn accept(listener: TcpListener, notify: mpsc::Sender<Notice>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if notify.send(Notice::Accepted(stream)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(%error, "accept");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const PATIENCE: Duration = Duration::from_secs(10);

    fn listening(ip: &str) -> (Streams, SocketAddr) {
        let listener = std::net::TcpListener::bind((ip, 0)).expect("bind");
        let address = listener.local_addr().expect("an address");
        (Streams::new(Some(listener)).expect("streams"), address)
    }

    async fn accepted(streams: &mut Streams) -> Path {
        loop {
            match tokio::time::timeout(PATIENCE, streams.notice()).await.expect("in time") {
                Notice::Accepted(stream) => return streams.add(stream).expect("it is there"),
                other => nothing_to_read(streams, other),
            }
        }
    }

    /// "There may be something to read" is also said of a connection that is new or has ended.
    fn nothing_to_read(streams: &mut Streams, notice: Notice) {
        let Notice::Readable(path, serial) = notice else { panic!("{notice:?}") };
        let _ = streams.read(path, serial, |piece| panic!("{piece:?}"));
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_the_end_is_noticed() {
        let (mut streams, address) = listening("127.0.0.1");
        let mut client = TcpStream::connect(address).await.expect("connect");
        let path = accepted(&mut streams).await;
        assert_eq!((path.protocol, path.local), (Protocol::Tcp, address));
        assert_eq!(path.remote, client.local_addr().expect("an address"));
        client.write_all(b"\0\x03abc").await.expect("write");
        let mut got = Vec::new();
        while got.len() < 5 {
            let Notice::Readable(path, serial) = streams.notice().await else { panic!("nothing else") };
            assert!(streams.read(path, serial, |piece| {
                got.extend_from_slice(piece);
                true
            }));
        }
        assert_eq!(got, b"\0\x03abc");
        streams.write(&path, b"\0\x02de");
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.expect("read");
        assert_eq!(&answer, b"\0\x02de");
        drop(client);
        loop {
            match tokio::time::timeout(PATIENCE, streams.notice()).await.expect("in time") {
                Notice::Readable(path, serial) if !streams.read(path, serial, |_| true) => break,
                _ => {}
            }
        }
        streams.close(&path);
        assert!(streams.connections.is_empty());
    }

    #[tokio::test]
    async fn a_slow_reader_loses_whole_frames_and_its_backlog_is_bounded() {
        let (mut streams, address) = listening("127.0.0.1");
        let mut client = TcpStream::connect(address).await.expect("connect");
        let path = accepted(&mut streams).await;
        // Each frame of 1,000 bytes tells its number; far more than the kernel takes is written.
        let frame = |number: u32| [&998u16.to_be_bytes()[..], &number.to_be_bytes(), &[7; 994]].concat();
        let count = 20_000;
        for number in 0..count {
            streams.write(&path, &frame(number));
            assert!(streams.connections[&path].backlog.len() <= BACKLOG);
        }
        assert!(!streams.connections[&path].backlog.is_empty(), "the kernel took them all");
        // A reader that wakes up gets whole frames in order, some left out, then the last one.
        let reader = tokio::spawn(async move {
            let (mut numbers, mut frame) = (Vec::new(), [0; 1_000]);
            while numbers.last() != Some(&count) {
                client.read_exact(&mut frame).await.expect("a whole frame");
                assert_eq!(frame[..2], 998u16.to_be_bytes());
                numbers.push(u32::from_be_bytes([frame[2], frame[3], frame[4], frame[5]]));
            }
            numbers
        });
        while !streams.connections[&path].backlog.is_empty() {
            match tokio::time::timeout(PATIENCE, streams.notice()).await.expect("in time") {
                Notice::Writable(path, serial) => streams.resume(path, serial),
                other => nothing_to_read(&mut streams, other),
            }
        }
        assert_eq!(streams.connections[&path].backlog.capacity(), 0, "and goes back");
        streams.write(&path, &frame(count));
        let numbers = tokio::time::timeout(PATIENCE, reader).await.expect("in time").expect("read");
        assert!(numbers.is_sorted() && numbers.len() < count as usize, "{} arrived", numbers.len());
    }

    #[tokio::test]
    async fn a_notice_for_a_connection_that_is_gone_does_nothing() {
        let (mut streams, address) = listening("127.0.0.1");
        let client = TcpStream::connect(address).await.expect("connect");
        let path = accepted(&mut streams).await;
        let serial = streams.connections[&path].serial;
        streams.close(&path);
        assert!(streams.read(path, serial, |_| panic!("nothing is there")));
        streams.write(&path, b"lost");
        streams.resume(path, serial);
        drop(client);
    }

    #[tokio::test]
    async fn one_listener_serves_both_families() {
        let Ok(listener) = std::net::TcpListener::bind("[::]:0") else { return };
        let port = listener.local_addr().expect("an address").port();
        let mut streams = Streams::new(Some(listener)).expect("streams");
        for ip in ["127.0.0.1", "::1"] {
            let Ok(client) = TcpStream::connect((ip, port)).await else { continue };
            let path = accepted(&mut streams).await;
            assert_eq!(path.remote, client.local_addr().expect("an address"));
            assert_eq!(path.local.ip().to_string(), ip, "as the candidate names it");
        }
    }
}
