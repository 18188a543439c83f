//! What hostile strangers, participants and embedders do, as strategies.

use super::harness::home;
use proptest::prelude::*;
use std::net::SocketAddr;

/// Participants whose call has to go on.
pub const HONEST: usize = 3;

/// Where a datagram claims to come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    Stranger(u16),
    /// The address of a participant.
    Participant(usize),
    /// An address that a participant checked, or somebody who repeated its check, and that is not selected.
    Known,
}

impl Origin {
    pub fn address(self) -> SocketAddr {
        match self {
            Origin::Stranger(port) => ([198, 51, 100, 7], port).into(),
            Origin::Participant(index) => home(index as u32),
            Origin::Known => ([198, 51, 100, 8], 8_000).into(),
        }
    }
}

#[derive(Debug, Clone)]
pub enum Mutation {
    Flip(u16),
    Cut(u16),
    Grow(Vec<u8>),
    Overwrite(u16, Vec<u8>),
    Length(u16),
}

impl Mutation {
    pub fn apply(&self, data: &mut Vec<u8>) {
        let len = data.len();
        match self {
            Mutation::Flip(bit) => data[usize::from(*bit) / 8 % len] ^= 1 << (bit % 8),
            Mutation::Cut(at) => data.truncate(usize::from(*at) % len),
            Mutation::Grow(tail) => data.extend(tail),
            Mutation::Overwrite(at, bytes) => {
                let at = usize::from(*at) % len;
                let end = len.min(at + bytes.len());
                data[at..end].copy_from_slice(&bytes[..end - at]);
            }
            // Where STUN and RTCP have their length.
            Mutation::Length(value) if len >= 4 => data[2..4].copy_from_slice(&value.to_be_bytes()),
            Mutation::Length(_) => {}
        }
    }
}

/// One thing that somebody does.
#[derive(Debug, Clone)]
pub enum Op {
    Noise(Origin, Vec<u8>),
    /// A datagram of this call or of a recorded one, changed.
    Changed(Origin, usize, Vec<Mutation>),
    /// A datagram of this call again.
    Again(Origin, usize),
    /// A participant with keys seals whatever it likes.
    SealedRtp(u32, u16, Vec<u8>, Vec<u8>),
    SealedRtcp(Vec<u8>),
    /// Well-formed RTCP about streams that exist, with numbers at will.
    SealedLies(Vec<Lie>),
    /// Calls of the embedder's, on a room of its own and on ids of all times.
    Call(Call, usize, usize),
    /// The clock as the engine sees it goes back so much.
    Back(u32),
    /// A poll into a buffer of this size.
    Poll(u16),
    Pass(u8),
}

/// Which kind of report or feedback, about which stream, with which numbers.
pub type Lie = (u8, u8, [u32; 4]);

#[derive(Debug, Clone, Copy)]
pub enum Call {
    CreateRoom,
    CloseRoom,
    Join,
    Leave,
    Subscribe,
    Unsubscribe,
    View,
    Wish,
    Offer,
    Answer,
    CreateOffer,
    Sources,
}

pub fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        any::<u16>().prop_map(|port| Origin::Stranger(port.max(1))),
        (0..HONEST).prop_map(Origin::Participant)
    ]
}

pub fn noise() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![0u8..4, 20u8..64, 128u8..192, any::<u8>()];
    (first, prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

pub fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        any::<u16>().prop_map(Mutation::Flip),
        any::<u16>().prop_map(Mutation::Cut),
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Mutation::Grow),
        (any::<u16>(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Mutation::Overwrite(at, bytes)),
        any::<u16>().prop_map(Mutation::Length),
    ]
}

/// The start of an RTP header with its flags and lengths at will, extension included.
pub fn rtp_header() -> impl Strategy<Value = Vec<u8>> {
    let extension = prop::collection::vec(any::<u8>(), 0..24);
    (any::<u8>(), any::<u8>(), any::<u16>(), prop::bool::ANY, extension).prop_map(
        |(first, second, profile, sound, mut body)| {
            let mut header = vec![0x80 | first & 0x3f, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            if sound {
                // Well formed as far as its length goes: one-byte elements at will.
                header[0] = 0x90;
                body.resize(body.len().next_multiple_of(4), 0);
                let profile = if profile & 1 == 0 { 0xbede_u16 } else { 0x1000 };
                header.extend(profile.to_be_bytes());
                header.extend((body.len() as u16 / 4).to_be_bytes());
            }
            header.extend(body);
            header
        },
    )
}

/// Plain RTCP: packets of known types and lengths that fit more often than not.
pub fn rtcp() -> impl Strategy<Value = Vec<u8>> {
    let packet =
        (any::<u8>(), 192u8..=213, prop::collection::vec(any::<u8>(), 0..60), prop::bool::weighted(0.8));
    prop::collection::vec(packet, 1..5).prop_map(|packets| {
        let mut compound = Vec::new();
        for (first, kind, mut body, fits) in packets {
            body.resize(body.len().next_multiple_of(4), 0);
            let words = if fits { (body.len() / 4) as u16 } else { u16::from(first) };
            compound.extend([0x80 | first & 0x1f, kind]);
            compound.extend(words.to_be_bytes());
            compound.extend(body);
        }
        compound.resize(compound.len().max(8), 0);
        compound
    })
}

/// A packet of `kind` about `media`, as its RFC has it.
pub fn lie(kind: u8, sender: u32, media: u32, [a, b, c, d]: [u32; 4]) -> Vec<u8> {
    let packet = |first: u8, kind: u8, words: &[u32]| {
        let mut packet = vec![0x80 | first & 0x1f, kind];
        packet.extend((words.len() as u16).to_be_bytes());
        words.iter().for_each(|word| packet.extend(word.to_be_bytes()));
        packet
    };
    match kind % 8 {
        // Sender and receiver reports with one block (RFC 3550, section 6.4).
        0 => packet(1, 200, &[sender, a, b, c, d, a, media, b, c, d, a, b, c]),
        1 => packet(1, 201, &[sender, media, a, b, c, d, a]),
        // Requests for packets and pictures (RFC 4585, RFC 5104).
        2 => packet(1, 205, &[sender, media, a, b, c, d]),
        3 => packet(1, 206, &[sender, media]),
        4 => packet(4, 206, &[sender, 0, media, a << 24, media, b << 24]),
        // Transport-wide feedback: runs of 8,191 packets, lost or, with deltas that are not there, received.
        5 => {
            let (runs, status) = (1 + a % 8, (b % 4).min(2));
            let chunk = status << 13 | 0x1fff;
            let mut words = vec![sender, media, c << 16 | (8_191 * runs).min(65_535), d];
            words.extend((0..runs.div_ceil(2)).map(|_| chunk << 16 | chunk));
            packet(15, 205, &words)
        }
        // REMB with any mantissa and exponent; goodbyes for others.
        6 => packet(15, 206, &[sender, 0, 0x5245_4d42, 1 << 24 | a & 0x00ff_ffff, media]),
        _ => packet(2, 203, &[media, a, 0xff00_0000 | b]),
    }
}

pub fn call() -> impl Strategy<Value = Call> {
    prop::sample::select(vec![
        Call::CreateRoom,
        Call::CloseRoom,
        Call::Join,
        Call::Leave,
        Call::Subscribe,
        Call::Unsubscribe,
        Call::View,
        Call::Wish,
        Call::Offer,
        Call::Answer,
        Call::CreateOffer,
        Call::Sources,
    ])
}

pub fn op() -> impl Strategy<Value = Op> {
    let changed = (origin(), any::<usize>(), prop::collection::vec(mutation(), 1..4));
    prop_oneof![
        3 => (origin(), noise()).prop_map(|(origin, data)| Op::Noise(origin, data)),
        6 => changed.prop_map(|(origin, at, mutations)| Op::Changed(origin, at, mutations)),
        2 => (origin(), any::<usize>()).prop_map(|(origin, at)| Op::Again(origin, at)),
        4 => (any::<u32>(), any::<u16>(), rtp_header(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(ssrc, seq, header, payload)| Op::SealedRtp(ssrc, seq, header, payload)),
        4 => rtcp().prop_map(Op::SealedRtcp),
        4 => prop::collection::vec((any::<u8>(), any::<u8>(), any::<[u32; 4]>()), 1..6).prop_map(Op::SealedLies),
        4 => (call(), any::<usize>(), any::<usize>()).prop_map(|(call, a, b)| Op::Call(call, a, b)),
        1 => any::<u32>().prop_map(Op::Back),
        1 => any::<u16>().prop_map(|size| Op::Poll(size % 3_000)),
        3 => (1u8..40).prop_map(Op::Pass),
    ]
}
