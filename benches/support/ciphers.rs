//! The bare ciphers that SRTP cannot beat, and packets for whoever opens each one once.
#![allow(dead_code)]
// The measuring clock is a bench's own.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes::Aes128Enc;
use aes::cipher::inout::InOutBuf;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use ctr::{CtrCore, flavors::Ctr32BE};
use estafette::rtp::Ssrc;
use estafette::srtp::{MasterKey, Profile};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

pub(crate) const KEY: [u8; 32] = [0x2b; 32];
pub(crate) const SSRC: Ssrc = Ssrc(0xcafe_babe);
/// Bytes of a header without extension.
pub(crate) const HEADER: usize = 12;

pub(crate) fn header(seq: u64) -> [u8; HEADER] {
    let mut header = [0x80, 96, 0, 0, 0, 0, 0, 0, 0xca, 0xfe, 0xba, 0xbe];
    header[2..4].copy_from_slice(&(seq as u16).to_be_bytes());
    header
}

pub(crate) fn master(profile: Profile) -> MasterKey {
    MasterKey::new(profile, &KEY[..profile.key_len()], &KEY[..profile.salt_len()]).unwrap()
}

/// The bare libraries with prepared keys.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Floor {
    Gcm(LessSafeKey),
    /// With the length of the tag.
    Cm(Aes128Enc, Hmac<Sha1>, usize),
}

impl Floor {
    pub(crate) fn new(profile: Profile) -> Floor {
        let gcm = |algorithm, key| Floor::Gcm(LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap()));
        match profile {
            Profile::AeadAes128Gcm => gcm(&AES_128_GCM, &KEY[..16]),
            Profile::AeadAes256Gcm => gcm(&AES_256_GCM, &KEY),
            _ => Floor::Cm(
                Aes128Enc::new_from_slice(&KEY[..16]).unwrap(),
                Hmac::new_from_slice(&KEY[..20]).unwrap(),
                profile.rtp_overhead(),
            ),
        }
    }

    fn nonce(seq: u64) -> Nonce {
        let mut nonce = [1; 12];
        nonce[4..].copy_from_slice(&seq.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn keystream(key: &Aes128Enc, seq: u64, text: InOutBuf<'_, '_, u8>) {
        let iv = (u128::from(seq) << 16).to_be_bytes();
        let counter = CtrCore::<&Aes128Enc, Ctr32BE>::inner_iv_init(key, &iv.into());
        counter.apply_keystream_partial(text);
    }

    fn tag(mac: &Hmac<Sha1>, message: &[u8]) -> [u8; 20] {
        let mut mac = mac.clone();
        mac.update(message);
        mac.update(&[0; 4]);
        mac.finalize().into_bytes().into()
    }

    pub(crate) fn seal(&self, packet: &mut [u8], payload: &[u8], seq: u64) {
        let header = header(seq);
        let len = HEADER + payload.len();
        packet[..HEADER].copy_from_slice(&header);
        packet[HEADER..len].copy_from_slice(payload);
        match self {
            Floor::Gcm(key) => {
                let (text, tag) = packet[HEADER..].split_at_mut(payload.len());
                let (nonce, aad) = (Self::nonce(seq), Aad::from(&header));
                let sealed = key.seal_in_place_separate_tag(nonce, aad, text).unwrap();
                tag.copy_from_slice(sealed.as_ref());
            }
            Floor::Cm(key, mac, tag_len) => {
                Self::keystream(key, seq, (&mut packet[HEADER..len]).into());
                let tag = Self::tag(mac, &packet[..len]);
                packet[len..].copy_from_slice(&tag[..*tag_len]);
            }
        }
    }

    pub(crate) fn open(&self, packet: &[u8], seq: u64, out: &mut [u8]) -> bool {
        match self {
            Floor::Gcm(key) => {
                let (message, tag) = packet.split_last_chunk::<16>().unwrap();
                let (head, text) = message.split_at(HEADER);
                let out = &mut out[..text.len()];
                out.copy_from_slice(text);
                let (nonce, aad, tag) = (Self::nonce(seq), Aad::from(head), (*tag).into());
                key.open_in_place_separate_tag(nonce, aad, tag, out, 0..).is_ok()
            }
            Floor::Cm(key, mac, tag_len) => {
                let (message, tag) = packet.split_at(packet.len() - tag_len);
                let same = Self::tag(mac, message)[..*tag_len] == *tag;
                let text = &message[HEADER..];
                let out = &mut out[..text.len()];
                Self::keystream(key, seq, InOutBuf::new(text, out).unwrap());
                same
            }
        }
    }
}

/// An opener takes no packet twice: few at a time, so that they stay in the nearest cache, are
/// sealed outside the measurement. The same for all, whether they mind replays or not.
pub(crate) struct Packets {
    buffers: Vec<Vec<u8>>,
    seq: u64,
}

impl Packets {
    /// For packets of `len` bytes, header and tag included.
    pub(crate) fn new(len: usize) -> Packets {
        Packets { buffers: vec![vec![0; len]; 16], seq: 0 }
    }

    pub(crate) fn time(
        &mut self,
        count: u64,
        seal: impl Fn(&mut [u8], u64),
        mut open: impl FnMut(&[u8], u64),
    ) -> Duration {
        let mut sum = Duration::ZERO;
        for _ in 0..count.div_ceil(self.buffers.len() as u64) {
            let first = self.seq;
            for (packet, seq) in self.buffers.iter_mut().zip(first..) {
                seal(packet, seq);
            }
            let start = Instant::now();
            for (packet, seq) in self.buffers.iter().zip(first..) {
                open(black_box(packet), seq);
            }
            sum += start.elapsed();
            self.seq += self.buffers.len() as u64;
        }
        sum.mul_f64(count as f64 / count.next_multiple_of(self.buffers.len() as u64) as f64)
    }
}
