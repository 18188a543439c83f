//! str0m doing the same work: one `Rtc` receives, N send, and what the first one reads is written to the
//! others as a forwarding unit on str0m does (RTP mode, direct API, RTX cache on, default extensions).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use str0m::config::DtlsVersion;
use str0m::format::Codec;
use str0m::media::{MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};

const MEDIA_SSRC: u32 = 4_242;
const RTX_SSRC: u32 = 4_243;

/// One end of a call and what waits to be carried to the other.
struct End {
    rtc: Rtc,
    address: SocketAddr,
    out: Vec<Vec<u8>>,
}

impl End {
    fn new(versions: DtlsVersion, address: SocketAddr, now: Instant) -> End {
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .set_dtls_version(versions)
            .build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
        End { rtc, address, out: Vec::new() }
    }

    /// Polls until nothing is left; gives the packet that was received, if one was.
    #[inline]
    fn drain(&mut self) -> (usize, Option<RtpPacket>) {
        let (mut media, mut received) = (0, None);
        loop {
            match self.rtc.poll_output().expect("a living call") {
                Output::Timeout(_) => return (media, received),
                // SRTP and SRTCP by their first byte; RTCP by its type (RFC 7983, RFC 5761).
                Output::Transmit(transmit)
                    if transmit.contents[0] >= 128 && !matches!(transmit.contents[1], 192..=223) =>
                {
                    media += 1;
                    std::hint::black_box(transmit);
                }
                Output::Transmit(transmit) => self.out.push(transmit.contents.to_vec()),
                Output::Event(Event::RtpPacket(packet)) => received = Some(packet),
                Output::Event(_) => {}
            }
        }
    }

    #[inline]
    fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        let receive = Receive::new(Protocol::Udp, source, self.address, datagram).expect("a datagram");
        self.rtc.handle_input(Input::Receive(now, receive)).expect("a living call");
    }
}

/// Tells one end what signalling tells of the other.
fn introduce(own: &mut End, other: &mut End) {
    let api = other.rtc.direct_api();
    let (fingerprint, credentials) = (api.local_dtls_fingerprint().clone(), api.local_ice_credentials());
    own.rtc.direct_api().set_remote_fingerprint(fingerprint);
    own.rtc.direct_api().set_remote_ice_credentials(credentials);
}

/// The engine's side and the client's side of one call.
struct Call {
    server: End,
    client: End,
}

impl Call {
    fn new(versions: DtlsVersion, number: u16, now: Instant) -> Call {
        let [high, low] = number.to_be_bytes();
        let mut server = End::new(versions, SocketAddr::from(([192, 0, high, low], 3_478)), now);
        let mut client = End::new(versions, SocketAddr::from(([10, 0, high, low], 5_000)), now);
        server.rtc.add_remote_candidate(Candidate::host(client.address, "udp").expect("a candidate"));
        client.rtc.add_remote_candidate(Candidate::host(server.address, "udp").expect("a candidate"));
        introduce(&mut client, &mut server);
        introduce(&mut server, &mut client);
        client.rtc.direct_api().set_ice_controlling(true);
        server.rtc.direct_api().set_ice_controlling(false);
        client.rtc.direct_api().start_dtls(true).expect("a handshake");
        server.rtc.direct_api().start_dtls(false).expect("a handshake");
        Call { server, client }
    }

    /// Carries what waits, both ways, until nothing does.
    fn settle(&mut self, now: Instant) {
        for end in [&mut self.client, &mut self.server] {
            end.rtc.handle_input(Input::Timeout(now)).expect("a living call");
            end.drain();
        }
        while !self.client.out.is_empty() || !self.server.out.is_empty() {
            for datagram in std::mem::take(&mut self.client.out) {
                self.server.receive(now, self.client.address, &datagram);
                self.server.drain();
            }
            for datagram in std::mem::take(&mut self.server.out) {
                self.client.receive(now, self.server.address, &datagram);
                self.client.drain();
            }
        }
    }

    fn declare(&mut self, kind: MediaKind, mid: Mid, to_server: bool) {
        let (sender, receiver) = if to_server {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        };
        let (ssrc, rtx): (Ssrc, Ssrc) = (MEDIA_SSRC.into(), RTX_SSRC.into());
        let rtx = (kind == MediaKind::Video).then_some(rtx);
        sender.rtc.direct_api().declare_media(mid, kind);
        sender.rtc.direct_api().declare_stream_tx(ssrc, rtx, mid, None);
        receiver.rtc.direct_api().declare_media(mid, kind);
        receiver.rtc.direct_api().expect_stream_rx(ssrc, rtx, mid, None);
    }
}

/// One publisher and N listeners, each a call of its own.
pub(crate) struct Rival {
    publisher: Call,
    listeners: Vec<Call>,
    now: Instant,
    pt: Pt,
    next: u64,
}

impl Rival {
    /// `started` is any moment: from there on time is virtual.
    pub(crate) fn connected(
        versions: DtlsVersion,
        kind: MediaKind,
        listeners: usize,
        started: Instant,
    ) -> Rival {
        let mut now = started;
        let mut calls: Vec<Call> =
            (0..=listeners).map(|number| Call::new(versions, number as u16, now)).collect();
        let mid = Mid::from("m");
        for (number, call) in calls.iter_mut().enumerate() {
            let mut tries = 0;
            while !call.server.rtc.is_connected() || !call.client.rtc.is_connected() {
                call.settle(now);
                now += Duration::from_millis(10);
                tries += 1;
                assert!(tries < 1_000, "the rival connects");
            }
            call.declare(kind, mid, number == 0);
        }
        let codec = if kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 };
        let publisher = calls.remove(0);
        let pt = publisher
            .client
            .rtc
            .codec_config()
            .find(|params| params.spec().codec == codec)
            .expect("a codec")
            .pt();
        let mut rival = Rival { publisher, listeners: calls, now, pt, next: 1_000 };
        rival.settle();
        rival
    }

    /// Lets everybody answer, untimed.
    pub(crate) fn settle(&mut self) {
        self.publisher.settle(self.now);
        self.listeners.iter_mut().for_each(|call| call.settle(self.now));
    }

    /// The next `count` datagrams of the publisher, written by its client.
    pub(crate) fn packets(&mut self, count: usize, payload_len: usize) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::with_capacity(count);
        let client = &mut self.publisher.client;
        for _ in 0..count {
            let seq = self.next;
            self.next += 1;
            let write =
                RtpWrite::new(self.pt, seq.into(), seq as u32 * 90, self.now, vec![0x5a; payload_len]);
            client.rtc.direct_api().stream_tx(&MEDIA_SSRC.into()).expect("declared").write_rtp(write);
            client.rtc.handle_input(Input::Timeout(self.now)).expect("a living call");
            loop {
                match client.rtc.poll_output().expect("a living call") {
                    Output::Timeout(_) => break,
                    Output::Transmit(transmit) if transmit.contents.len() > payload_len => {
                        datagrams.push(transmit.contents.to_vec())
                    }
                    Output::Transmit(transmit) => client.out.push(transmit.contents.to_vec()),
                    Output::Event(_) => {}
                }
            }
        }
        assert_eq!(datagrams.len(), count);
        datagrams
    }

    /// The work that is timed. Returns how many packets left.
    #[inline(never)]
    pub(crate) fn forward(&mut self, packets: &[Vec<u8>]) -> usize {
        let mut sent = 0;
        let ssrc: Ssrc = MEDIA_SSRC.into();
        for datagram in packets {
            self.now += Duration::from_millis(1);
            self.publisher.server.receive(self.now, self.publisher.client.address, datagram);
            let (_, packet) = self.publisher.server.drain();
            let Some(packet) = packet else { continue };
            for Call { server, .. } in &mut self.listeners {
                let write = RtpWrite::new(
                    packet.header.payload_type,
                    packet.seq_no,
                    packet.header.timestamp,
                    self.now,
                    packet.payload.clone(),
                )
                .marker(packet.header.marker)
                .ext_vals(packet.header.ext_vals.clone())
                .nackable(true);
                server.rtc.direct_api().stream_tx(&ssrc).expect("declared").write_rtp(write);
                server.rtc.handle_input(Input::Timeout(self.now)).expect("a living call");
                sent += server.drain().0;
            }
        }
        sent
    }
}
