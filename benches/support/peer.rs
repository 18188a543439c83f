//! One client: as much of ICE, DTLS and SRTP as a call needs, from the crate's own lower levels.

use super::handshake::{Dialect, Handshake, Keys};
use super::offer::{self, ABS_SEND_TIME, AUDIO_LEVEL, Direction, MID, Offer, TRANSPORT_SEQUENCE_NUMBER};
use estafette::rtp::{HeaderWriter, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};
use estafette::{Instant, dtls, mux, stun};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use std::collections::VecDeque;
use std::net::SocketAddr;

const BINDING: u16 = 1;
/// The SSRCs of a publisher: audio, video, retransmissions of video.
/// The first sequence number of audio and of video.
const FIRST: [u64; 2] = [1_000, 2_000];
/// Of so many packets of video each is a key frame: the descriptor, then the frame header of 320 by 180.
const KEY_FRAMES: u64 = 4;
/// The temporal layer of each of four pictures, where they have layers.
pub(crate) const LAYERS: [u8; 4] = [0, 2, 1, 2];
const KEY_FRAME: [u8; 11] = [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00];
pub(crate) const SSRCS: [u32; 3] = [0x1111_0001, 0x1111_0002, 0x1111_0003];

/// What a packet is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Audio,
    /// Audio with an older packet in front of each.
    Red,
    Video,
}

/// The engine's side, as its answer describes it.
struct Remote {
    ufrag: String,
    pwd: String,
}

/// A client in the controlling role with one address.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The payload types of Opus and, if it takes it, of redundant audio.
    pub(crate) audio: (u8, Option<u8>),
    ufrag: String,
    pwd: String,
    remote: Option<Remote>,
    handshake: Option<Box<dyn Handshake>>,
    pub(crate) keys: Option<Keys>,
    outgoing: VecDeque<Vec<u8>>,
    checks: u64,
    /// The next sequence number of audio and of video, and the next transport-wide one.
    next: [u64; 2],
    transport_seq: u16,
    /// Whether its video has three temporal layers.
    pub(crate) layered: bool,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, name: usize) -> Peer {
        Peer {
            address,
            audio: (offer::OPUS, None),
            ufrag: format!("peer{name:04}"),
            pwd: format!("passwordofpeer{name:010}"),
            remote: None,
            handshake: None,
            keys: None,
            outgoing: VecDeque::new(),
            checks: 0,
            next: FIRST,
            transport_seq: 0,
            layered: false,
        }
    }

    pub(crate) fn offer(&self, dialect: &dyn Dialect, direction: Direction, pairs: usize) -> String {
        let fingerprint = dialect.fingerprint();
        let Peer { ufrag, pwd, audio, .. } = self;
        Offer { ufrag, pwd, fingerprint: &fingerprint, direction, ssrcs: SSRCS, audio: *audio, pairs }.text()
    }

    /// Takes the engine's answer and sends the first check.
    pub(crate) fn accept_answer(&mut self, dialect: &dyn Dialect, answer: &str, now: Instant) {
        let of = |name| offer::attribute(answer, name).expect("the answer has it").to_owned();
        let fingerprint = dtls::Fingerprint::parse(&of("fingerprint")).expect("a fingerprint");
        self.remote = Some(Remote { ufrag: of("ice-ufrag"), pwd: of("ice-pwd") });
        self.handshake = Some(dialect.begin(fingerprint, now));
        self.check();
    }

    pub(crate) fn connected(&self) -> bool {
        self.keys.is_some()
    }

    /// The next datagram to the engine.
    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    /// Takes a datagram of the engine's; media and RTCP are let pass.
    pub(crate) fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        match mux::kind_of(datagram) {
            Some(mux::Kind::Stun) => self.handle_stun(datagram),
            Some(mux::Kind::Dtls) => {
                let Some(handshake) = &mut self.handshake else { return };
                handshake.handle_datagram(now, datagram);
                self.drive_dtls();
            }
            _ => {}
        }
    }

    fn handle_stun(&mut self, datagram: &[u8]) {
        let message = stun::Message::parse(datagram).expect("the engine writes STUN");
        match message.class() {
            stun::Class::Success => self.drive_dtls(),
            stun::Class::Request => {
                let mut buf = [0; 256];
                let mut writer =
                    stun::Writer::new(&mut buf, stun::Class::Success, BINDING, message.transaction_id())
                        .expect("room");
                writer.xor_mapped_address(super::ENGINE).expect("room");
                let len = writer.finish_with_integrity(|pieces| mac(&self.pwd, pieces)).expect("room");
                self.outgoing.push_back(buf[..len].to_vec());
            }
            class => panic!("an unexpected {class:?}"),
        }
    }

    /// A check that nominates the one pair there is.
    pub(crate) fn check(&mut self) {
        let Some(remote) = &self.remote else { return };
        self.checks += 1;
        let mut id = [0; 12];
        id[..8].copy_from_slice(&self.checks.to_be_bytes());
        let mut buf = [0; 256];
        let mut writer = stun::Writer::new(&mut buf, stun::Class::Request, BINDING, stun::TransactionId(id))
            .expect("room");
        writer.username(&remote.ufrag, &self.ufrag).expect("room");
        writer.ice_controlling(7).expect("room");
        writer.priority(1).expect("room");
        writer.use_candidate().expect("room");
        let len = writer.finish_with_integrity(|pieces| mac(&remote.pwd, pieces)).expect("room");
        self.outgoing.push_back(buf[..len].to_vec());
    }

    fn drive_dtls(&mut self) {
        let Some(handshake) = &mut self.handshake else { return };
        while let Some(datagram) = handshake.poll_transmit() {
            self.outgoing.push_back(datagram);
        }
        if let Some(keys) = handshake.poll_keys() {
            self.keys = Some(keys);
        }
    }

    /// The next packet of a stream with `payload_len` bytes and a browser's extensions.
    pub(crate) fn packet(&mut self, media: Media, payload_len: usize) -> Vec<u8> {
        let at = usize::from(media == Media::Video);
        let seq = self.next[at];
        self.next[at] += 1;
        self.transport_seq = self.transport_seq.wrapping_add(1);
        let (payload_type, clock, mid) = match media {
            Media::Audio => (offer::OPUS, 960, b"0"),
            Media::Red => (offer::RED, 960, b"0"),
            Media::Video => (offer::VP8, 90, b"1"),
        };
        let mut buf = vec![0; payload_len + 128];
        let payload_type = PayloadType::new(payload_type).expect("below 128");
        let (ssrc, timestamp) = (Ssrc(SSRCS[at]), RtpTime((seq as u32).wrapping_mul(clock)));
        let mut header =
            HeaderWriter::new(&mut buf, false, payload_type, WireSeq(seq as u16), timestamp, ssrc)
                .expect("room");
        header.extension(ABS_SEND_TIME, &[1, 2, 3]).expect("room");
        header.extension(TRANSPORT_SEQUENCE_NUMBER, &self.transport_seq.to_be_bytes()).expect("room");
        header.extension(MID, mid).expect("room");
        if media != Media::Video {
            header.extension(AUDIO_LEVEL, &[0x80 | 20]).expect("room");
        }
        let header_len = header.finish().expect("room");
        if media == Media::Video {
            // A frame of VP8 in each packet; the first ones are key frames, with which receivers begin.
            let frame: &[u8] = if seq < FIRST[at] + KEY_FRAMES { &KEY_FRAME } else { &[0x10, 1] };
            buf[header_len..header_len + frame.len()].copy_from_slice(frame);
            if self.layered && seq >= FIRST[at] + KEY_FRAMES {
                buf[header_len..header_len + 7].copy_from_slice(&layered(seq));
            }
        }
        if media == Media::Red {
            // A packet earlier, as long as what is left for the primary.
            let older = u8::try_from((payload_len - 5) / 2).expect("a short packet");
            let front = [0x80 | offer::OPUS, 0x0f, 0, older, offer::OPUS];
            buf[header_len..header_len + front.len()].copy_from_slice(&front);
        }
        let sealer = &self.keys.as_ref().expect("connected").sealer;
        let len =
            sealer.seal_rtp_in_place(SeqNo(seq), ssrc, header_len, &mut buf, payload_len).expect("sealed");
        buf.truncate(len);
        buf
    }
}

/// A picture of one of three temporal layers: descriptor with picture id, index and layer (RFC 7741, section
/// 4.2), and an interframe's first byte.
fn layered(seq: u64) -> [u8; 7] {
    let [high, low] = (seq as u16 | 0x8000).to_be_bytes();
    let layer = LAYERS[(seq % 4) as usize];
    // Pictures above the lowest layer need no other above it.
    let sync = u8::from(layer > 0) << 5;
    [0x90, 0xe0, high, low, (seq / 4) as u8, layer << 6 | sync, 1]
}

fn mac(pwd: &str, pieces: &[&[u8]]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(pwd.as_bytes()).expect("any length");
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}
