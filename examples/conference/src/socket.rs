//! A UDP socket with all the system offers: segmentation offload both ways, ECN, and the address
//! each datagram was sent to.

use estafette::{Ecn, Path, Protocol};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Bytes of the kernel's buffers: a burst of key frames of a full room.
const KERNEL_BUFFER: usize = 4 * 1024 * 1024;

/// Bytes of one receive buffer: as much as the kernel merges into one.
const MERGED: usize = 65_536;

/// A bound socket.
#[derive(Debug)]
pub struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

/// Receive buffers for one batch.
pub struct Batch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    len: usize,
}

impl Batch {
    /// Buffers for as many datagrams as one system call yields.
    pub fn new() -> Batch {
        Batch { bytes: vec![0; BATCH_SIZE * MERGED], metas: [RecvMeta::default(); BATCH_SIZE], len: 0 }
    }
}

impl Socket {
    /// Takes over a bound socket. Must be called inside the runtime that will wait for it.
    pub fn new(socket: std::net::UdpSocket) -> io::Result<Socket> {
        let state = UdpSocketState::new((&socket).into())?;
        // The system may grant less; then bursts are lost sooner, which is no error.
        let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BUFFER);
        let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BUFFER);
        let local = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        Ok(Socket { io: UdpSocket::from_std(socket)?, state, local })
    }

    /// How many datagrams one send may carry.
    pub fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Waits until something can be received.
    pub async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Receives what is there, up to a batch. `WouldBlock` when nothing is.
    pub fn receive(&self, batch: &mut Batch) -> io::Result<()> {
        let mut buffers = batch.bytes.chunks_exact_mut(MERGED).map(IoSliceMut::new);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| buffers.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        batch.len = 0;
        batch.len = self.io.try_io(Interest::READABLE, || {
            self.state.recv((&self.io).into(), &mut slices, &mut batch.metas)
        })?;
        Ok(())
    }

    /// The datagrams of a batch, one by one.
    pub fn datagrams<'b>(&self, batch: &'b Batch) -> impl Iterator<Item = (Path, Ecn, &'b [u8])> {
        let local = self.local;
        let received = batch.metas[..batch.len].iter().zip(batch.bytes.chunks_exact(MERGED));
        received.flat_map(move |(meta, bytes)| {
            let path = Path {
                protocol: Protocol::Udp,
                local: SocketAddr::new(meta.dst_ip.unwrap_or(local.ip()).to_canonical(), local.port()),
                remote: SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port()),
            };
            let ecn = match meta.ecn {
                None => Ecn::NotEct,
                Some(EcnCodepoint::Ect0) => Ecn::Ect0,
                Some(EcnCodepoint::Ect1) => Ecn::Ect1,
                Some(EcnCodepoint::Ce) => Ecn::Ce,
            };
            let bytes = &bytes[..meta.len.min(bytes.len())];
            bytes.chunks(meta.stride.max(1)).map(move |datagram| (path, ecn, datagram))
        })
    }

    /// Sends one datagram, or several of `segment_size` bytes. What the kernel refuses is a loss
    /// like any other: repair and congestion control see to it.
    pub fn send(&self, path: &Path, ecn: Ecn, segment_size: Option<usize>, contents: &[u8]) {
        let mapped = self.local.is_ipv6() && path.remote.is_ipv4();
        let destination = match path.remote.ip() {
            IpAddr::V4(ip) if mapped => SocketAddr::new(ip.to_ipv6_mapped().into(), path.remote.port()),
            _ => path.remote,
        };
        let ecn = match ecn {
            Ecn::NotEct => None,
            Ecn::Ect0 => Some(EcnCodepoint::Ect0),
            Ecn::Ect1 => Some(EcnCodepoint::Ect1),
            Ecn::Ce => Some(EcnCodepoint::Ce),
        };
        let src_ip = (!mapped && !path.local.ip().is_unspecified()).then(|| path.local.ip());
        let transmit = quinn_udp::Transmit { destination, ecn, contents, segment_size, src_ip };
        let sent = self.state.try_send((&self.io).into(), &transmit);
        if let Err(error) = sent {
            tracing::trace!(%error, to = %destination, "not sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn receive_all(socket: &Socket, count: usize) -> Vec<(Path, Vec<u8>)> {
        let mut batch = Batch::new();
        let mut got = Vec::new();
        while got.len() < count {
            socket.readable().await.expect("readable");
            match socket.receive(&mut batch) {
                Ok(()) => got.extend(socket.datagrams(&batch).map(|(path, _, bytes)| (path, bytes.to_vec()))),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        got
    }

    #[tokio::test]
    async fn segments_arrive_as_the_datagrams_they_are() {
        let bind = |ip: &str| Socket::new(std::net::UdpSocket::bind((ip, 0)).expect("bind")).expect("socket");
        let (a, b) = (bind("127.0.0.1"), bind("0.0.0.0"));
        let to = SocketAddr::new("127.0.0.1".parse().unwrap(), b.local.port());
        let path = Path { protocol: Protocol::Udp, local: a.local, remote: to };
        let segments = a.segments().min(3);
        let contents: Vec<u8> = (0..segments * 100 - 1).map(|index| (index / 100) as u8).collect();
        a.send(&path, Ecn::NotEct, Some(100), &contents);
        let patience = std::time::Duration::from_secs(10);
        let got = tokio::time::timeout(patience, receive_all(&b, segments)).await.expect("arrived");
        let expected: Vec<&[u8]> = contents.chunks(100).collect();
        assert_eq!(got.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(), expected);
        // The wildcard socket knows which address was meant, so that answers come from there.
        assert_eq!((got[0].0.local, got[0].0.remote), (to, a.local));
    }
}
