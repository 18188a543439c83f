//! SRTP, RTP headers and STUN checks beside libsrtp and the webrtc-rs line. Read the ratios of one run.

#[path = "../../support/ciphers.rs"]
mod ciphers;

use std::hint::black_box;
use std::net::SocketAddr;

use bytes::Bytes;
use ciphers::{Floor, HEADER, KEY, Packets, SSRC, header, master};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use estafette::rtp::{self, HeaderWriter, PayloadType, RtpTime, SeqNo, Ssrc, WireSeq};
use estafette::srtp::{Opener, Profile, Sealer};
use estafette::stun::{Class, Message, TransactionId, Writer};
use estafette_peers::{LibSrtp, Way, webrtc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use webrtc_stun::message::Setter as _;
use webrtc_util::marshal::{Marshal as _, Unmarshal as _};

fn keys(profile: Profile) -> (&'static [u8], &'static [u8]) {
    (&KEY[..profile.key_len()], &KEY[..profile.salt_len()])
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
            let (key, salt) = keys(profile);
            let mut theirs = LibSrtp::new(profile, key, salt, Way::Out);
            let mut roomy = vec![0; HEADER + len + 16];
            let mut seq = 0;
            group.bench_function(BenchmarkId::new("libsrtp", len), |b| {
                b.iter(|| {
                    seq += 1;
                    roomy[..HEADER].copy_from_slice(&header(seq));
                    roomy[HEADER..HEADER + len].copy_from_slice(black_box(&payload));
                    theirs.protect(black_box(&mut roomy), HEADER + len).unwrap()
                });
            });
            let mut theirs = webrtc(profile, key, salt);
            let mut packet = [&header(0)[..], &payload].concat();
            let mut seq = 0;
            group.bench_function(BenchmarkId::new("webrtc-srtp", len), |b| {
                b.iter(|| {
                    seq += 1;
                    packet[..HEADER].copy_from_slice(&header(seq));
                    theirs.encrypt_rtp(black_box(&packet)).unwrap()
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
            let sealed_len = HEADER + len + profile.rtp_overhead();
            let mut out = vec![0; sealed_len];
            let floor = Floor::new(profile);
            let bare = |packet: &mut [u8], seq| floor.seal(packet, &vec![0x5a; len], seq);
            let mut packets = Packets::new(sealed_len);
            group.bench_function(BenchmarkId::new("cipher", len), |b| {
                b.iter_custom(|n| {
                    packets.time(n, bare, |packet, seq| assert!(floor.open(packet, seq, black_box(&mut out))))
                });
            });
            let sealer = Sealer::new(&master(profile));
            let sealed = |packet: &mut [u8], seq| {
                sealer.seal_rtp(&header(seq), &[], &vec![0x5a; len], SeqNo(seq), SSRC, packet).unwrap();
            };
            let mut opener = Opener::new(&master(profile));
            let mut packets = Packets::new(sealed_len);
            group.bench_function(BenchmarkId::new("estafette", len), |b| {
                b.iter_custom(|n| {
                    packets.time(n, sealed, |packet, seq| {
                        let (seq, out) = (WireSeq(seq as u16), black_box(&mut out));
                        opener.open_rtp(packet, HEADER, SSRC, seq, out).unwrap();
                    })
                });
            });
            let (key, salt) = keys(profile);
            let mut theirs = LibSrtp::new(profile, key, salt, Way::In);
            let mut packets = Packets::new(sealed_len);
            group.bench_function(BenchmarkId::new("libsrtp", len), |b| {
                b.iter_custom(|n| {
                    packets.time(n, sealed, |packet, _| {
                        // It works in place: what is received must be copied, as all others do.
                        out.copy_from_slice(packet);
                        theirs.unprotect(black_box(&mut out)).unwrap();
                    })
                });
            });
            let mut theirs = webrtc(profile, key, salt);
            let mut packets = Packets::new(sealed_len);
            group.bench_function(BenchmarkId::new("webrtc-srtp", len), |b| {
                b.iter_custom(|n| {
                    packets.time(n, sealed, |packet, _| drop(theirs.decrypt_rtp(packet).unwrap()))
                });
            });
        }
    }
}

const LEVEL: u8 = 1;
const ABS_SEND_TIME: u8 = 2;
const TRANSPORT: u8 = 3;
const MID: u8 = 4;

/// A datagram of 160 bytes of audio with the four extensions that are usual.
fn datagram() -> Vec<u8> {
    let mut buf = vec![0x5a; 256];
    let payload_type = PayloadType::new(111).unwrap();
    let mut writer =
        HeaderWriter::new(&mut buf, false, payload_type, WireSeq(4_711), RtpTime(960), Ssrc(0xcafe)).unwrap();
    for (id, value) in [(ABS_SEND_TIME, &[1, 2, 3][..]), (TRANSPORT, &[0, 9]), (MID, b"0"), (LEVEL, &[0x85])]
    {
        writer.extension(id, value).unwrap();
    }
    let len = writer.finish().unwrap();
    buf.truncate(len + 160);
    buf
}

/// Read, number anew, write with payload.
#[inline(never)]
fn rewrite(datagram: &[u8], out: &mut [u8]) -> Option<usize> {
    let packet = rtp::Packet::parse(datagram).ok()?;
    let (seq, timestamp) = (packet.sequence_number().add(17), packet.timestamp().add(1_000));
    let ssrc = Ssrc(packet.ssrc().0 ^ 1);
    let mut writer =
        HeaderWriter::new(out, packet.marker(), packet.payload_type(), seq, timestamp, ssrc).ok()?;
    for (id, value) in packet.extensions() {
        match id {
            TRANSPORT => writer.extension(id, &7u16.to_be_bytes()).ok()?,
            ABS_SEND_TIME => writer.extension(id, &[3, 2, 1]).ok()?,
            _ => writer.extension(id, value).ok()?,
        }
    }
    let header_len = writer.finish().ok()?;
    let payload = packet.payload();
    out.get_mut(header_len..header_len + payload.len())?.copy_from_slice(payload);
    Some(header_len + payload.len())
}

#[inline(never)]
fn rewrite_theirs(datagram: &Bytes, out: &mut [u8]) -> Option<usize> {
    let mut packet = webrtc_rtp::packet::Packet::unmarshal(&mut datagram.clone()).ok()?;
    let header = &mut packet.header;
    header.sequence_number = header.sequence_number.wrapping_add(17);
    header.timestamp = header.timestamp.wrapping_add(1_000);
    header.ssrc ^= 1;
    header.set_extension(TRANSPORT, Bytes::copy_from_slice(&7u16.to_be_bytes())).ok()?;
    header.set_extension(ABS_SEND_TIME, Bytes::copy_from_slice(&[3, 2, 1])).ok()?;
    packet.marshal_to(out).ok()
}

fn rtp_packet(c: &mut Criterion) {
    let datagram = datagram();
    let shared = Bytes::from(datagram.clone());
    let (mut out, mut other) = ([0; 256], [0; 256]);
    let len = rewrite(&datagram, &mut out);
    assert_eq!((len, rewrite_theirs(&shared, &mut other)), (Some(datagram.len()), len));
    assert_eq!(out, other);
    let mut group = c.benchmark_group("rtp: parse, rewrite, serialise");
    group.bench_function("estafette", |b| b.iter(|| rewrite(black_box(&datagram), black_box(&mut out))));
    group.bench_function("rtp", |b| b.iter(|| rewrite_theirs(black_box(&shared), black_box(&mut out))));
}

const PASSWORD: &str = "a password of ICE, 24 ch";

fn mac(key: &Hmac<Sha1>) -> impl Fn(&[&[u8]]) -> [u8; 20] + '_ {
    |pieces| {
        let mut mac = key.clone();
        pieces.iter().for_each(|piece| mac.update(piece));
        mac.finalize().into_bytes().into()
    }
}

fn address() -> SocketAddr {
    ([192, 0, 2, 7], 4_711).into()
}

/// A check as an agent receives it: read, authenticated, answered.
fn answer(key: &Hmac<Sha1>, request: &[u8], out: &mut [u8]) -> Option<usize> {
    let message = Message::parse(request).ok()?;
    if !message.has_fingerprint() || !message.verify_integrity(mac(key)) {
        return None;
    }
    let mut writer = Writer::new(out, Class::Success, message.method(), message.transaction_id()).ok()?;
    writer.xor_mapped_address(address()).ok()?;
    writer.finish_with_integrity(mac(key)).ok()
}

fn answer_theirs(
    key: &webrtc_stun::integrity::MessageIntegrity,
    request: &[u8],
) -> Option<webrtc_stun::message::Message> {
    use webrtc_stun::message::{BINDING_SUCCESS, Message};
    let mut message = Message::new();
    message.unmarshal_binary(request).ok()?;
    webrtc_stun::fingerprint::FINGERPRINT.check(&message).ok()?;
    key.check(&mut message).ok()?;
    let mapped = webrtc_stun::xoraddr::XorMappedAddress { ip: address().ip(), port: address().port() };
    let mut answer = Message::new();
    answer.transaction_id = message.transaction_id;
    answer.typ = BINDING_SUCCESS;
    answer.write_header();
    mapped.add_to(&mut answer).ok()?;
    key.add_to(&mut answer).ok()?;
    webrtc_stun::fingerprint::FINGERPRINT.add_to(&mut answer).ok()?;
    Some(answer)
}

fn stun_check(c: &mut Criterion) {
    let key = Hmac::<Sha1>::new_from_slice(PASSWORD.as_bytes()).unwrap();
    let theirs = webrtc_stun::integrity::MessageIntegrity::new_short_term_integrity(PASSWORD.to_owned());
    let mut request = [0; 128];
    let mut writer = Writer::new(&mut request, Class::Request, 1, TransactionId([7; 12])).unwrap();
    writer.username("local", "remote").unwrap();
    writer.priority(1 << 30).unwrap();
    writer.ice_controlling(4_711).unwrap();
    let len = writer.finish_with_integrity(mac(&key)).unwrap();
    let (request, mut out) = (&request[..len], [0; 128]);
    let len = answer(&key, request, &mut out).unwrap();
    assert_eq!(answer_theirs(&theirs, request).unwrap().raw, out[..len]);
    let mut group = c.benchmark_group("stun: check and answer");
    group.bench_function("estafette", |b| {
        b.iter(|| answer(black_box(&key), black_box(request), black_box(&mut out)));
    });
    group.bench_function("stun", |b| b.iter(|| answer_theirs(black_box(&theirs), black_box(request))));
}

criterion_group!(benches, seal, open, rtp_packet, stun_check);
criterion_main!(benches);
