//! SRTP beside what it cannot beat, the bare ciphers on the same bytes, and beside another
//! implementation. Read the ratios of one run.
//!
//! `cipher` is the floor: the libraries' own calls with prepared keys and a nonce for each packet,
//! behind the copy without which nothing gets from one place into another. RustCrypto's HMAC type
//! is part of it, though ours is faster.

#[path = "support/ciphers.rs"]
mod ciphers;

use std::hint::black_box;

use ciphers::{Floor, HEADER, KEY, Packets, SSRC, header, master};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use estafette::rtp::{SeqNo, WireSeq};
use estafette::srtp::{Opener, Profile, Sealer};
use srtp::context::Context;
use srtp::protection_profile::ProtectionProfile;

/// Three extensions as Chromium sends them: 12 bytes of elements behind four of profile and length.
const EXTENSION: [u8; 16] = [0xbe, 0xde, 0, 3, 0x22, 1, 2, 3, 0x31, 0, 9, 0x40, b'0', 0, 0, 0];

fn rival(profile: Profile) -> Context {
    let theirs = match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Profile::Aes128CmHmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let provider = srtp::crypto::default_provider().unwrap();
    let (key, salt) = (&KEY[..profile.key_len()], &KEY[..profile.salt_len()]);
    Context::new(key, salt, theirs, None, None, provider.crypto()).unwrap()
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
            let packets = || Packets::new(HEADER + len + profile.rtp_overhead());
            let mut out = vec![0; len];
            let floor = Floor::new(profile);
            let bare = |packet: &mut [u8], seq| floor.seal(packet, &vec![0x5a; len], seq);
            let mut bare_packets = packets();
            group.bench_function(BenchmarkId::new("cipher", len), |b| {
                b.iter_custom(|n| {
                    bare_packets
                        .time(n, bare, |packet, seq| assert!(floor.open(packet, seq, black_box(&mut out))))
                });
            });
            let sealer = Sealer::new(&master(profile));
            let sealed = |packet: &mut [u8], seq| {
                let (header, payload) = (header(seq), vec![0x5a; len]);
                sealer.seal_rtp(&header, &[], &payload, SeqNo(seq), SSRC, packet).unwrap();
            };
            let mut opener = Opener::new(&master(profile));
            let mut our_packets = packets();
            group.bench_function(BenchmarkId::new("estafette", len), |b| {
                b.iter_custom(|n| {
                    our_packets.time(n, sealed, |packet, seq| {
                        let (seq, out) = (WireSeq(seq as u16), black_box(&mut out));
                        opener.open_rtp(packet, HEADER, SSRC, seq, out).unwrap();
                    })
                });
            });
            let mut rival = rival(profile);
            let mut their_packets = packets();
            group.bench_function(BenchmarkId::new("rtc-srtp", len), |b| {
                b.iter_custom(|n| {
                    their_packets.time(n, sealed, |packet, _| drop(rival.decrypt_rtp(packet).unwrap()))
                });
            });
        }
    }
}

/// Packets with three extensions, whole, with the extensions in clear and encrypted (RFC 9335).
fn cryptex(c: &mut Criterion) {
    for profile in Profile::ALL {
        let mut group = c.benchmark_group(format!("extensions/{profile:?}"));
        for len in [160, 1_200] {
            group.throughput(Throughput::Bytes(len as u64));
            let payload = vec![0x5a; len];
            let header = |seq| {
                let mut whole = [0; HEADER + EXTENSION.len()];
                whole[..HEADER].copy_from_slice(&header(seq));
                whole[HEADER..].copy_from_slice(&EXTENSION);
                whole[0] |= 0x10;
                whole
            };
            let whole_len = HEADER + EXTENSION.len() + len + profile.rtp_overhead();
            let mut out = vec![0; whole_len];
            for (name, cryptex) in [("clear", false), ("encrypted", true)] {
                let (mut sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
                sealer.use_cryptex(cryptex);
                opener.accept_cryptex(cryptex);
                let mut seq = 0;
                group.bench_function(BenchmarkId::new(format!("seal/{name}"), len), |b| {
                    b.iter(|| {
                        seq += 1;
                        let (header, payload) = (header(seq), black_box(&payload));
                        sealer.seal_rtp(&header, &[], payload, SeqNo(seq), SSRC, black_box(&mut out))
                    });
                });
                let sealed = |packet: &mut [u8], seq| {
                    sealer.seal_rtp(&header(seq), &[], &payload, SeqNo(seq), SSRC, packet).unwrap();
                };
                let mut packets = Packets::new(whole_len);
                group.bench_function(BenchmarkId::new(format!("open/{name}"), len), |b| {
                    b.iter_custom(|n| {
                        packets.time(n, sealed, |packet, _| {
                            opener.open_packet(packet, black_box(&mut out)).unwrap();
                        })
                    });
                });
            }
        }
    }
}

criterion_group!(benches, seal, open, cryptex);
criterion_main!(benches);
