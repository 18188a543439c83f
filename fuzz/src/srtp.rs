//! SRTP sessions, driven by scripts: any packets in any order, with and without encrypted headers.

use super::Script;
use estafette::rtp::{Packet, SeqNo, Ssrc};
use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
use std::collections::HashSet;

/// What was sealed opens once, whatever comes between; what was changed does not.
pub fn srtp(data: &[u8]) {
    let mut script = Script(data);
    let kind = script.byte().unwrap_or(0);
    let profile = match kind & 0x0f {
        15 => Profile::Aes128CmHmacSha1_32,
        kind => Profile::ALL[usize::from(kind % 3)],
    };
    let key = MasterKey::new(profile, &vec![3; profile.key_len()], &vec![5; profile.salt_len()])
        .expect("its lengths");
    let (mut sealer, mut opener) = (Sealer::new(&key), Opener::new(&key));
    sealer.use_cryptex(kind & 0x10 != 0);
    opener.accept_cryptex(kind & 0x30 != 0);
    let mut next = [0u64; 4];
    let mut opened = HashSet::new();
    let (mut sealed, mut out) = ([0; 1_400], [0; 1_400]);
    while let Some(operation) = script.byte() {
        let source = usize::from(operation >> 4 & 3);
        match operation & 7 {
            0..=3 => {
                next[source] += u64::from(script.byte().unwrap_or(1)).pow(2);
                let shape = if operation & 0x80 != 0 { script.byte().unwrap_or(0) } else { 0 };
                let plain = packet(source, next[source], shape, script.chunk());
                let Some(len) = seal(&sealer, next[source], &plain, &mut sealed) else { continue };
                if operation & 0x40 != 0 {
                    let place = usize::from(script.byte().unwrap_or(0)) * 2 % len;
                    sealed[place] ^= 1 << (operation & 3);
                    if let Ok(forged) = opener.open_packet(&sealed[..len], &mut out) {
                        panic!("forged: {forged:?}");
                    }
                    sealed[place] ^= 1 << (operation & 3);
                }
                if let Ok(packet) = opener.open_packet(&sealed[..len], &mut out) {
                    same(&plain, &out[..packet.len]);
                    assert!(opened.insert((source, packet.seq)), "nothing opens twice");
                    assert!(opener.open_packet(&sealed[..len], &mut out).is_err(), "a replay");
                }
            }
            4 => next[source] = next[source].saturating_sub(u64::from(script.byte().unwrap_or(0))),
            5 if operation & 0x80 != 0 => {
                sealer.use_cryptex(operation & 0x10 != 0);
                opener.accept_cryptex(operation & 0x20 != 0);
            }
            5 => {
                if let Some(context) = opener.find(Ssrc(source as u32)) {
                    opener.forget(context);
                }
            }
            6 => {
                let bytes = script.chunk();
                assert!(opener.open_packet(bytes, &mut out).is_err(), "bytes of nobody");
                assert!(opener.open_rtcp(bytes, &mut out).is_err(), "bytes of nobody");
                if let Ok(packet) = Packet::parse(bytes) {
                    let (ssrc, seq) = (packet.ssrc(), packet.sequence_number());
                    let opened = opener.open_rtp(bytes, packet.header_len(), ssrc, seq, &mut out);
                    assert!(opened.is_err(), "bytes of nobody");
                }
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

/// A plain packet: the high bits of `shape` tell its form and its words of extension, the low ones
/// its contributing sources.
fn packet(source: usize, seq: u64, shape: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (seq as u16).to_be_bytes();
    let mut packet = vec![0x80 | (shape & 0x0f), 96, high, low, 0, 0, 0, 0, 0, 0, 0, source as u8];
    packet.extend((0..shape & 0x0f).flat_map(|csrc| [csrc, 1, 2, 3]));
    let form =
        [None, Some([0xbe, 0xde]), Some([0x10, 0x00]), Some([0x12, 0x34])][usize::from(shape >> 4 & 3)];
    if let Some([a, b]) = form {
        let words = shape >> 6;
        packet[0] |= 0x10;
        packet.extend([a, b, 0, words]);
        packet.extend((0..words).flat_map(|word| [0x12, word, 1, 2]));
    }
    packet.extend(payload);
    packet
}

/// The length of the sealed packet; nothing if its extension cannot be encrypted.
fn seal(sealer: &Sealer, seq: u64, plain: &[u8], out: &mut [u8]) -> Option<usize> {
    let packet = Packet::parse(plain).expect("ours");
    let (ssrc, header) = (packet.ssrc(), &plain[..packet.header_len()]);
    sealer.seal_rtp(header, &[], packet.payload(), SeqNo(seq), ssrc, out).ok()
}

/// Contributing sources alone may have got an empty extension on the way (RFC 9335, section 5.1).
fn same(before: &[u8], after: &[u8]) {
    let (before, after) = (Packet::parse(before).expect("ours"), Packet::parse(after).expect("authentic"));
    assert!(before.csrcs().eq(after.csrcs()) && before.extensions().eq(after.extensions()));
    assert_eq!(before.payload(), after.payload());
    assert_eq!(before.marker(), after.marker());
}
