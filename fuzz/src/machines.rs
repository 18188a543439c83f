//! State machines, driven by scripts of operations: any order, any bytes, any time.

use super::Script;
use super::support::handshake::{Keys, Ours};
use super::support::offer::Direction;
use super::support::peer::{Media, SSRCS};
use super::support::{World, path};
use estafette::Datagram;
use estafette::mux::Ecn;
use estafette::rtp::{HeaderWriter, Packet, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};
use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

/// SRTP: what was sealed opens once, whatever comes between; what was changed does not.
pub fn srtp(data: &[u8]) {
    let mut script = Script(data);
    let profile = match script.byte().unwrap_or(0) % 3 {
        0 => Profile::AeadAes128Gcm,
        1 => Profile::AeadAes256Gcm,
        _ => Profile::Aes128CmHmacSha1_80,
    };
    let key = MasterKey::new(profile, &vec![3; profile.key_len()], &vec![5; profile.salt_len()])
        .expect("its lengths");
    let (mut sealer, mut opener) = (Sealer::new(&key), Opener::new(&key));
    let mut next = [0u64; 4];
    let mut opened = HashSet::new();
    let (mut sealed, mut out) = ([0; 1_024], [0; 1_024]);
    while let Some(operation) = script.byte() {
        let source = usize::from(operation >> 4 & 3);
        match operation & 7 {
            0..=3 => {
                next[source] += u64::from(script.byte().unwrap_or(1)).pow(2);
                let (seq, ssrc, payload) = (SeqNo(next[source]), Ssrc(source as u32), script.chunk());
                let len = seal(&sealer, seq, ssrc, payload, &mut sealed);
                if operation & 0x40 != 0 {
                    let place = usize::from(script.byte().unwrap_or(0)) * 2 % len;
                    sealed[place] ^= 1 << (operation & 3);
                    if let Some(forged) = open(&mut opener, &sealed[..len], &mut out) {
                        panic!("forged: {forged:?}");
                    }
                    sealed[place] ^= 1 << (operation & 3);
                }
                if let Some((opened_seq, plain)) = open(&mut opener, &sealed[..len], &mut out) {
                    assert_eq!(plain, payload.len());
                    assert_eq!(out[..plain], *payload);
                    assert!(opened.insert((source, opened_seq)), "nothing opens twice");
                    assert!(open(&mut opener, &sealed[..len], &mut out).is_none(), "a replay");
                }
            }
            4 => next[source] = next[source].saturating_sub(u64::from(script.byte().unwrap_or(0))),
            5 => {
                if let Some(context) = opener.find(Ssrc(source as u32)) {
                    opener.forget(context);
                }
            }
            6 => {
                let bytes = script.chunk();
                assert!(open(&mut opener, bytes, &mut out).is_none(), "bytes of nobody");
                assert!(opener.open_rtcp(bytes, &mut out).is_err(), "bytes of nobody");
            }
            _ => {
                let plain = script.chunk();
                sealed[..plain.len()].copy_from_slice(plain);
                if let Ok(len) = sealer.seal_rtcp(&mut sealed, plain.len()) {
                    let opened = opener.open_rtcp(&sealed[..len], &mut out);
                    assert!(opened.is_err() || out[..opened.unwrap_or(0)] == *plain);
                }
            }
        }
    }
}

fn seal(sealer: &Sealer, seq: SeqNo, ssrc: Ssrc, payload: &[u8], out: &mut [u8]) -> usize {
    let mut header = [0; 12];
    let payload_type = PayloadType::new(96).expect("below 128");
    let writer = HeaderWriter::new(&mut header, false, payload_type, WireSeq(seq.0 as u16), RtpTime(0), ssrc);
    writer.and_then(HeaderWriter::finish).expect("room");
    sealer.seal_rtp(&header, &[], payload, seq, ssrc, out).expect("room")
}

/// The number and the length of the plaintext of a packet that is authentic and new.
fn open(opener: &mut Opener, datagram: &[u8], out: &mut [u8]) -> Option<(SeqNo, usize)> {
    let packet = Packet::parse(datagram).ok()?;
    let opened =
        opener.open_rtp(datagram, packet.header_len(), packet.ssrc(), packet.sequence_number(), out).ok()?;
    Some((opened.seq, opened.len))
}

/// The engine: a publisher and a listener that connected, then whatever the script says, much of it
/// under their keys. Datagrams are accounted for after each operation (I-06).
pub fn engine(data: &[u8]) {
    let mut script = Script(data);
    let mut world = World::connected(Box::new(Ours::new()), 1);
    let mut forwarded = 0;
    while let Some(operation) = script.byte() {
        // A publisher's bytes, or its listener's.
        let peer = usize::from(operation >> 7);
        match operation & 15 {
            0 => hand_in(&mut world, peer, script.chunk()),
            1 => {
                let from = SocketAddr::from(([203, 0, 113, operation >> 4], 7));
                let datagram = Datagram { path: path(from), ecn: Ecn::Ce, data: script.chunk() };
                world.engine.handle_datagram(world.now, datagram);
            }
            2..=4 => {
                let media = if operation & 0x10 == 0 { Media::Audio } else { Media::Video };
                let mut packets = world.packets(media, usize::from(operation >> 5) * 150, 1);
                if operation & 15 == 4 {
                    // One that never arrives: the next one shows the gap.
                    packets.clear();
                }
                forwarded += world.forward(&packets);
            }
            5 | 6 => authentic_rtp(&mut world, peer, &mut script),
            7..=9 => authentic_rtcp(&mut world, peer, &mut script),
            10 => world.run(Duration::from_millis(u64::from(script.byte().unwrap_or(0)) * 8)),
            11 => {
                world.now += Duration::from_millis(u64::from(script.byte().unwrap_or(0)));
                world.engine.handle_timeout(world.now);
            }
            12 => {
                let text = String::from_utf8_lossy(script.chunk()).into_owned();
                if let Some(mut participant) = world.engine.participant(world.participants[peer]) {
                    let _ = participant.accept_offer(&text);
                    let _ = participant.accept_answer(&text);
                    let _ = participant.create_offer();
                }
            }
            13 => {
                if let Some(participant) = world.engine.participant(world.participants[peer]) {
                    participant.leave();
                }
            }
            14 if world.peers.len() < 4 => {
                world.join(if peer == 0 { Direction::Receive } else { Direction::Send }, 1);
                world.settle();
            }
            _ => world.settle(),
        }
        let stats = world.engine.stats();
        assert_eq!(
            stats.datagrams_received,
            stats.datagrams_consumed + stats.media_received + stats.datagrams_dropped,
            "every datagram was consumed, kept or dropped"
        );
        assert!(stats.packets_forwarded + stats.packets_dropped <= stats.packets_queued);
        assert!(stats.packets_forwarded >= forwarded as u64);
    }
}

fn hand_in(world: &mut World, peer: usize, data: &[u8]) {
    let path = path(world.peers[peer].address);
    world.engine.handle_datagram(world.now, Datagram { path, ecn: Ecn::NotEct, data });
}

/// Any header and payload that parse, under a peer's key and, mostly, with an SSRC of its streams.
fn authentic_rtp(world: &mut World, peer: usize, script: &mut Script<'_>) {
    let select = script.byte().unwrap_or(0);
    let mut bytes = script.chunk().to_vec();
    let Some(first) = bytes.first_mut() else { return };
    *first = 0x80 | (*first & 0x3f);
    if let Some(ssrc) = SSRCS.get(usize::from(select & 3))
        && let Some(field) = bytes.get_mut(8..12)
    {
        field.copy_from_slice(&ssrc.to_be_bytes());
    }
    let Ok(packet) = Packet::parse(&bytes) else { return };
    let (header_len, seq, ssrc) = (packet.header_len(), packet.sequence_number(), packet.ssrc());
    let plain_len = bytes.len() - header_len;
    bytes.resize(bytes.len() + 64, 0);
    let Some(Keys { sealer, .. }) = &world.peers[peer].keys else { return };
    let seq = SeqNo(u64::from(seq.0) + u64::from(select >> 6) * 65_536);
    let Ok(len) = sealer.seal_rtp_in_place(seq, ssrc, header_len, &mut bytes, plain_len) else { return };
    hand_in(world, peer, &bytes[..len]);
}

/// Any RTCP under a peer's key: a header is put in front so that much of it is well framed.
fn authentic_rtcp(world: &mut World, peer: usize, script: &mut Script<'_>) {
    let (kind, count) = (script.byte().unwrap_or(0), script.byte().unwrap_or(0));
    let body = script.chunk();
    let mut bytes = vec![0x80 | (count & 31), 200 + kind % 8, 0, (body.len() / 4) as u8];
    bytes.extend_from_slice(&body[..body.len() / 4 * 4]);
    let len = bytes.len();
    bytes.resize(len + 64, 0);
    let Some(Keys { sealer, .. }) = &mut world.peers[peer].keys else { return };
    if let Ok(len) = sealer.seal_rtcp(&mut bytes, len) {
        hand_in(world, peer, &bytes[..len]);
    }
}
