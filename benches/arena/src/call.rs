//! A call of two `Rtc`s in virtual time, joined before the flow starts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use estafette::sim::FlowConfig;
use str0m::bwe::{Bitrate, BweKind};
use str0m::format::Codec;
use str0m::media::{MediaKind, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RawPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc};

pub const VIDEO: u32 = 1;
pub const REPAIR: u32 = 2;
pub const AUDIO: u32 = 3;

/// Before the flow starts; in it the two connect over a way without delay.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// What an end wants to be known.
pub enum Told {
    /// Leaves for the other end, from the receiver if it goes back.
    Datagram {
        back: bool,
        datagram: Vec<u8>,
    },
    /// Media came, by its stream and number.
    Received {
        ssrc: u32,
        number: u64,
    },
    /// A retransmission leaves: its number, and that of the packet within.
    Again(u16, u16),
    Estimate(u64),
}

/// One end of the call.
pub struct End {
    rtc: Rtc,
    address: SocketAddr,
    receives: bool,
    /// When it wants to be called.
    pub due: Instant,
}

impl End {
    fn new(address: &str, estimate: Option<u64>, now: Instant) -> End {
        let address = address.parse().expect("an address");
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .enable_raw_packets(estimate.is_some())
            .enable_bwe(estimate.map(|bps| Bitrate::bps(bps)))
            .build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
        End { rtc, address, receives: estimate.is_none(), due: now }
    }

    /// Polls until nothing is left.
    fn drain(&mut self, out: &mut Vec<Told>) {
        loop {
            match self.rtc.poll_output().expect("a living call") {
                Output::Timeout(due) => {
                    self.due = due;
                    return;
                }
                Output::Transmit(transmit) => {
                    out.push(Told::Datagram { back: self.receives, datagram: transmit.contents.to_vec() });
                }
                Output::Event(Event::RtpPacket(packet)) => {
                    out.push(Told::Received { ssrc: *packet.header.ssrc, number: *packet.seq_no });
                }
                Output::Event(Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. })) => {
                    out.push(Told::Estimate(estimate.as_u64()));
                }
                Output::Event(Event::RawPacket(packet)) => {
                    if let RawPacket::RtpTx(header, packet) = *packet
                        && header.ssrc == Ssrc::from(REPAIR)
                        && let Some(within) = within(&packet)
                    {
                        out.push(Told::Again(header.sequence_number, within));
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Told>) {
        self.rtc.handle_input(Input::Timeout(now)).expect("a living call");
        self.drain(out);
    }

    pub fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], out: &mut Vec<Told>) {
        let receive = Receive::new(Protocol::Udp, from, self.address, datagram).expect("a datagram");
        self.rtc.handle_input(Input::Receive(now, receive)).expect("a living call");
        self.drain(out);
    }

    fn pt(&self, codec: Codec) -> Pt {
        self.rtc.codec_config().find(|params| params.spec().codec == codec).expect("a codec").pt()
    }
}

/// Sender and receiver.
pub struct Call {
    pub sender: End,
    pub receiver: End,
    video: Pt,
    audio: Pt,
}

impl Call {
    /// A call that is connected when the flow starts, at `start`.
    pub fn new(config: &FlowConfig, start: Instant) -> Call {
        let mut now = start - HANDSHAKE;
        let mut sender = End::new("192.0.2.1:1000", Some(config.initial.as_bps()), now);
        let mut receiver = End::new("192.0.2.2:2000", None, now);
        introduce(&mut sender, &mut receiver);
        introduce(&mut receiver, &mut sender);
        sender.rtc.direct_api().set_ice_controlling(true);
        receiver.rtc.direct_api().set_ice_controlling(false);
        sender.rtc.direct_api().start_dtls(true).expect("a handshake");
        receiver.rtc.direct_api().start_dtls(false).expect("a handshake");
        let (video, audio) = (sender.pt(Codec::Vp8), sender.pt(Codec::Opus));
        let mut call = Call { sender, receiver, video, audio };
        while now < start {
            call.settle(now);
            now += Duration::from_millis(5);
        }
        assert!(call.sender.rtc.is_connected() && call.receiver.rtc.is_connected(), "a call by its start");
        call.declare();
        call
    }

    /// Carries what waits, both ways, until nothing does.
    fn settle(&mut self, now: Instant) {
        let (mut there, mut back) = (Vec::new(), Vec::new());
        self.sender.handle_timeout(now, &mut there);
        self.receiver.handle_timeout(now, &mut back);
        while !there.is_empty() || !back.is_empty() {
            for out in std::mem::take(&mut there) {
                if let Told::Datagram { datagram, .. } = out {
                    self.receiver.receive(now, self.sender.address, &datagram, &mut back);
                }
            }
            for out in std::mem::take(&mut back) {
                if let Told::Datagram { datagram, .. } = out {
                    self.sender.receive(now, self.receiver.address, &datagram, &mut there);
                }
            }
        }
    }

    fn declare(&mut self) {
        let streams =
            [("vid", MediaKind::Video, VIDEO, Some(REPAIR)), ("aud", MediaKind::Audio, AUDIO, None)];
        for (mid, kind, ssrc, repair) in streams {
            let repair = repair.map(Ssrc::from);
            self.sender.rtc.direct_api().declare_media(mid.into(), kind);
            self.sender.rtc.direct_api().declare_stream_tx(ssrc.into(), repair, mid.into(), None);
            self.receiver.rtc.direct_api().declare_media(mid.into(), kind);
            self.receiver.rtc.direct_api().expect_stream_rx(ssrc.into(), repair, mid.into(), None);
        }
        self.receiver.rtc.direct_api().enable_twcc_feedback();
    }

    /// When one of them wants to be called.
    pub fn due(&self) -> Instant {
        self.sender.due.min(self.receiver.due)
    }

    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Told>) {
        self.sender.handle_timeout(now, out);
        self.receiver.handle_timeout(now, out);
    }

    /// Takes a datagram at the receiver.
    pub fn receive(&mut self, now: Instant, datagram: &[u8], out: &mut Vec<Told>) {
        self.receiver.receive(now, self.sender.address, datagram, out);
    }

    /// Takes feedback at the sender.
    pub fn feed_back(&mut self, now: Instant, datagram: &[u8], out: &mut Vec<Told>) {
        self.sender.receive(now, self.receiver.address, datagram, out);
    }

    /// Hands a packet over to the sender, which sends it when it sees fit.
    pub fn write(
        &mut self,
        now: Instant,
        video: bool,
        number: u64,
        time: u32,
        size: usize,
        out: &mut Vec<Told>,
    ) {
        let (ssrc, pt) = if video { (VIDEO, self.video) } else { (AUDIO, self.audio) };
        let packet = RtpWrite::new(pt, number.into(), time, now, vec![0; size]).nackable(video);
        self.sender.rtc.direct_api().stream_tx(&ssrc.into()).expect("a stream").write_rtp(packet);
        self.sender.handle_timeout(now, out);
    }

    /// Tells the rate worth sustaining and the most that is of use.
    pub fn set_demand(&mut self, least: u64, most: u64) {
        self.sender.rtc.bwe().set_bitrate(Bitrate::bps(least), Bitrate::bps(most));
    }
}

/// The number of the packet that a retransmission carries; `None` of mere padding.
fn within(packet: &[u8]) -> Option<u16> {
    let word = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    let extension = if packet[0] & 0x10 > 0 { 4 + 4 * usize::from(word(14)?) } else { 0 };
    if packet[0] & 0x20 > 0 { None } else { word(12 + extension) }
}

/// Tells one end what signalling tells of the other.
fn introduce(own: &mut End, other: &mut End) {
    own.rtc.add_remote_candidate(Candidate::host(other.address, "udp").expect("a candidate"));
    let api = other.rtc.direct_api();
    let (fingerprint, credentials) = (api.local_dtls_fingerprint().clone(), api.local_ice_credentials());
    own.rtc.direct_api().set_remote_fingerprint(fingerprint);
    own.rtc.direct_api().set_remote_ice_credentials(credentials);
}
