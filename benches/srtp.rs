//! SRTP beside what it cannot beat, the bare ciphers on the same bytes, and beside another
//! implementation. Read the ratios of one run.
//!
//! `cipher` is the floor: the libraries' own calls with prepared keys and a nonce for each packet,
//! behind the copy without which nothing gets from one place into another. RustCrypto's HMAC type
//! is part of it, though ours is faster.

// The measuring clock is a bench's own.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes::Aes128Enc;
use aes::cipher::inout::InOutBuf;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ctr::{CtrCore, flavors::Ctr32BE};
use estafette::rtp::{SeqNo, Ssrc, WireSeq};
use estafette::srtp::{MasterKey, Opener, Profile, Sealer};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use srtp::context::Context;
use srtp::protection_profile::ProtectionProfile;

const KEY: [u8; 32] = [0x2b; 32];
const SSRC: Ssrc = Ssrc(0xcafe_babe);
const HEADER: usize = 12;

fn header(seq: u64) -> [u8; HEADER] {
    let mut header = [0x80, 96, 0, 0, 0, 0, 0, 0, 0xca, 0xfe, 0xba, 0xbe];
    header[2..4].copy_from_slice(&(seq as u16).to_be_bytes());
    header
}

fn master(profile: Profile) -> MasterKey {
    MasterKey::new(profile, &KEY[..profile.key_len()], &KEY[..profile.salt_len()]).unwrap()
}

fn rival(profile: Profile) -> Context {
    let theirs = match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let provider = srtp::crypto::default_provider().unwrap();
    let (key, salt) = (&KEY[..profile.key_len()], &KEY[..profile.salt_len()]);
    Context::new(key, salt, theirs, None, None, provider.crypto()).unwrap()
}

/// The bare libraries with prepared keys.
#[allow(clippy::large_enum_variant)]
enum Floor {
    Gcm(LessSafeKey),
    Cm(Aes128Enc, Hmac<Sha1>),
}

impl Floor {
    fn new(profile: Profile) -> Floor {
        let gcm = |algorithm, key| Floor::Gcm(LessSafeKey::new(UnboundKey::new(algorithm, key).unwrap()));
        match profile {
            Profile::AeadAes128Gcm => gcm(&AES_128_GCM, &KEY[..16]),
            Profile::AeadAes256Gcm => gcm(&AES_256_GCM, &KEY),
            Profile::Aes128CmHmacSha1_80 => Floor::Cm(
                Aes128Enc::new_from_slice(&KEY[..16]).unwrap(),
                Hmac::new_from_slice(&KEY[..20]).unwrap(),
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

    fn tag(mac: &Hmac<Sha1>, message: &[u8]) -> [u8; 10] {
        let mut mac = mac.clone();
        mac.update(message);
        mac.update(&[0; 4]);
        *mac.finalize().as_bytes().first_chunk().unwrap()
    }

    fn seal(&self, packet: &mut [u8], payload: &[u8], seq: u64) {
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
            Floor::Cm(key, mac) => {
                Self::keystream(key, seq, (&mut packet[HEADER..len]).into());
                let tag = Self::tag(mac, &packet[..len]);
                packet[len..].copy_from_slice(&tag);
            }
        }
    }

    fn open(&self, packet: &[u8], seq: u64, out: &mut [u8]) -> bool {
        match self {
            Floor::Gcm(key) => {
                let (message, tag) = packet.split_last_chunk::<16>().unwrap();
                let (head, text) = message.split_at(HEADER);
                let out = &mut out[..text.len()];
                out.copy_from_slice(text);
                let (nonce, aad, tag) = (Self::nonce(seq), Aad::from(head), (*tag).into());
                key.open_in_place_separate_tag(nonce, aad, tag, out, 0..).is_ok()
            }
            Floor::Cm(key, mac) => {
                let (message, tag) = packet.split_last_chunk::<10>().unwrap();
                let same = Self::tag(mac, message) == *tag;
                let text = &message[HEADER..];
                let out = &mut out[..text.len()];
                Self::keystream(key, seq, InOutBuf::new(text, out).unwrap());
                same
            }
        }
    }
}

fn seal(c: &mut Criterion) {
    for profile in Profile::ALL {
        let mut group = c.benchmark_group(format!("seal/{profile:?}"));
        for len in [160, 1_200] {
            group.throughput(Throughput::Bytes(len as u64));
            let payload = vec![0x5a; len];
            let mut out = vec![0; HEADER + len + profile.rtp_overhead()];
            let floor = Floor::new(profile);
            let mut seq = 0;
            group.bench_function(BenchmarkId::new("cipher", len), |b| {
                b.iter(|| {
                    seq += 1;
                    floor.seal(black_box(&mut out), black_box(&payload), seq);
                });
            });
            let sealer = Sealer::new(&master(profile));
            let mut seq = 0;
            group.bench_function(BenchmarkId::new("estafette", len), |b| {
                b.iter(|| {
                    seq += 1;
                    let (header, payload) = (header(seq), black_box(&payload));
                    sealer.seal_rtp(&header, &[], payload, SeqNo(seq), SSRC, black_box(&mut out))
                });
            });
            let mut rival = rival(profile);
            let mut packet = [&header(0)[..], &payload].concat();
            let mut seq = 0;
            group.bench_function(BenchmarkId::new("rtc-srtp", len), |b| {
                b.iter(|| {
                    seq += 1;
                    packet[..HEADER].copy_from_slice(&header(seq));
                    rival.encrypt_rtp(black_box(&packet)).unwrap()
                });
            });
        }
    }
}

fn open(c: &mut Criterion) {
    for profile in Profile::ALL {
        let mut group = c.benchmark_group(format!("open/{profile:?}"));
        for len in [160, 1_200] {
            group.throughput(Throughput::Bytes(len as u64));
            let mut out = vec![0; len];
            let floor = Floor::new(profile);
            let bare = |packet: &mut [u8], seq| floor.seal(packet, &vec![0x5a; len], seq);
            let mut packets = Packets::new(profile, len);
            group.bench_function(BenchmarkId::new("cipher", len), |b| {
                b.iter_custom(|n| {
                    packets.time(n, bare, |packet, seq| assert!(floor.open(packet, seq, black_box(&mut out))))
                });
            });
            let sealer = Sealer::new(&master(profile));
            let sealed = |packet: &mut [u8], seq| {
                let (header, payload) = (header(seq), vec![0x5a; len]);
                sealer.seal_rtp(&header, &[], &payload, SeqNo(seq), SSRC, packet).unwrap();
            };
            let mut opener = Opener::new(&master(profile));
            let mut packets = Packets::new(profile, len);
            group.bench_function(BenchmarkId::new("estafette", len), |b| {
                b.iter_custom(|n| {
                    packets.time(n, sealed, |packet, seq| {
                        let (seq, out) = (WireSeq(seq as u16), black_box(&mut out));
                        opener.open_rtp(packet, HEADER, SSRC, seq, out).unwrap();
                    })
                });
            });
            let mut rival = rival(profile);
            let mut packets = Packets::new(profile, len);
            group.bench_function(BenchmarkId::new("rtc-srtp", len), |b| {
                b.iter_custom(|n| {
                    packets.time(n, sealed, |packet, _| drop(rival.decrypt_rtp(packet).unwrap()))
                });
            });
        }
    }
}

/// An opener takes no packet twice: few at a time, so that they stay in the nearest cache, are
/// sealed outside the measurement. The same for all three, whether they mind replays or not.
struct Packets {
    buffers: Vec<Vec<u8>>,
    seq: u64,
}

impl Packets {
    fn new(profile: Profile, len: usize) -> Packets {
        Packets { buffers: vec![vec![0; HEADER + len + profile.rtp_overhead()]; 16], seq: 0 }
    }

    fn time(
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

criterion_group!(benches, seal, open);
criterion_main!(benches);
