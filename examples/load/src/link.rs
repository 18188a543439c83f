//! A participant's socket: bursts of datagrams to the server, and what comes back.

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

/// Bytes of the kernel's buffers: key frames of a full room, while others have their turn.
const KERNEL_BUFFER: usize = 1024 * 1024;
/// Buffers of one receive, each for as much as the kernel merges into one.
const BATCH: usize = 8;
const MERGED: usize = 65_536;

pub struct Link {
    pub io: UdpSocket,
    state: UdpSocketState,
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// Receive buffers, one set for all participants of a thread.
pub struct Batch {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH],
    len: usize,
}

impl Batch {
    pub fn new() -> Batch {
        Batch { bytes: vec![0; BATCH * MERGED], metas: [RecvMeta::default(); BATCH], len: 0 }
    }

    /// The datagrams that were received last.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let received = self.metas[..self.len].iter().zip(self.bytes.chunks_exact(MERGED));
        received.flat_map(|(meta, bytes)| bytes[..meta.len.min(MERGED)].chunks(meta.stride.max(1)))
    }
}

impl Link {
    /// A socket of its own, at the address from which the server is reached.
    pub fn to(remote: SocketAddr) -> io::Result<Link> {
        let any: SocketAddr = if remote.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
        let probe = std::net::UdpSocket::bind(any)?;
        probe.connect(remote)?;
        let io = UdpSocket::bind(SocketAddr::new(probe.local_addr()?.ip(), 0))?;
        let state = UdpSocketState::new((&io).into())?;
        // The system may grant less; then bursts are lost sooner, and counted.
        let _ = state.set_recv_buffer_size((&io).into(), KERNEL_BUFFER);
        let _ = state.set_send_buffer_size((&io).into(), KERNEL_BUFFER);
        let local = io.local_addr()?;
        Ok(Link { io, state, local, remote })
    }

    /// How many datagrams one send may carry.
    pub fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends datagrams of `segment` bytes, of which the last may be shorter; false if the system refuses.
    pub fn send(&self, contents: &[u8], segment: usize) -> bool {
        let (segment_size, destination) = (Some(segment), self.remote);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        self.state.try_send((&self.io).into(), &transmit).is_ok()
    }

    /// Receives what is there, up to a batch; true if there may be more.
    pub fn receive(&self, batch: &mut Batch) -> bool {
        let mut buffers = batch.bytes.chunks_exact_mut(MERGED).map(IoSliceMut::new);
        let mut slices: [IoSliceMut<'_>; BATCH] =
            std::array::from_fn(|_| buffers.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        let received = self.state.recv((&self.io).into(), &mut slices, &mut batch.metas);
        batch.len = received.unwrap_or(0);
        batch.len == BATCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn bursts_arrive_as_the_datagrams_they_are() {
        let first = Link::to(([127, 0, 0, 1], 9).into()).expect("a socket");
        let mut second = Link::to(first.local).expect("a socket");
        second.remote = first.local;
        let segments = second.segments().min(3);
        let contents: Vec<u8> = (0..segments * 100 - 1).map(|at| (at / 100) as u8).collect();
        assert!(second.send(&contents, 100));
        let (mut batch, mut got, begun) = (Batch::new(), Vec::new(), Instant::now());
        while got.len() < segments && begun.elapsed() < Duration::from_secs(10) {
            first.receive(&mut batch);
            got.extend(batch.datagrams().map(<[u8]>::to_vec));
        }
        assert_eq!(got, contents.chunks(100).map(<[u8]>::to_vec).collect::<Vec<_>>());
    }
}
