//! Reading and writing headers and feedback, beside other implementations in the same run.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use estafette::Instant;
use estafette::rtcp::{self, Compound};
use estafette::rtp::{self, HeaderWriter, PayloadType, RtpTime, Ssrc, WireSeq};
use rtc_shared::marshal::{Marshal, Unmarshal};
use rtp_types::{RtpPacket, RtpPacketBuilder};

/// Identifiers of the four extensions of a usual audio packet.
const MID: u8 = 4;
const ABS_SEND_TIME: u8 = 2;
const TRANSPORT: u8 = 3;
const LEVEL: u8 = 1;

/// An SRTP datagram of 160 bytes of audio: header, four extensions, payload and tag.
fn datagram() -> Vec<u8> {
    let mut buf = vec![0x5a; 256];
    let payload_type = PayloadType::new(111).expect("below 128");
    let (seq, timestamp, ssrc) = (WireSeq(4_711), RtpTime(960), Ssrc(0xcafe));
    let mut writer = HeaderWriter::new(&mut buf, false, payload_type, seq, timestamp, ssrc).expect("room");
    for (id, value) in [(ABS_SEND_TIME, &[1, 2, 3][..]), (TRANSPORT, &[0, 9]), (MID, b"0"), (LEVEL, &[0x85])]
    {
        writer.extension(id, value).expect("room");
    }
    let len = writer.finish().expect("room");
    buf.truncate(len + 176);
    buf
}

/// What a forwarder does to a header: read it, find the extensions in one walk, write the numbers of
/// its own stream, two values of its own and two that are passed on.
#[inline(never)]
fn forward(datagram: &[u8], out: &mut [u8]) -> Option<usize> {
    let packet = rtp::Packet::parse(datagram).ok()?;
    let (mut mid, mut level, mut time, mut transport) = (None, None, None, None);
    for (id, value) in packet.extensions() {
        match id {
            MID => mid = Some(value),
            LEVEL => level = Some(value),
            ABS_SEND_TIME => time = Some(value),
            TRANSPORT => transport = Some(value),
            _ => {}
        }
    }
    let seq = packet.sequence_number().add(17);
    let timestamp = packet.timestamp().add(1_000);
    let ssrc = Ssrc(packet.ssrc().0 ^ 1);
    let mut writer =
        HeaderWriter::new(out, packet.marker(), packet.payload_type(), seq, timestamp, ssrc).ok()?;
    let number = rtp::transport_sequence_number(transport?)?.next();
    let [a, b, c] = time?.try_into().ok()?;
    writer.extension(TRANSPORT, &number.0.to_be_bytes()).ok()?;
    writer.extension(ABS_SEND_TIME, &[c, b, a]).ok()?;
    writer.extension(MID, mid?).ok()?;
    writer.extension(LEVEL, level?).ok()?;
    writer.finish().ok()
}

/// The same work through rtp-types, which leaves elements to its callers.
#[inline(never)]
fn forward_types(datagram: &[u8], out: &mut [u8]) -> Option<usize> {
    let packet = RtpPacket::parse(datagram).ok()?;
    let (profile, mut rest) = packet.extension()?;
    let (mut mid, mut level, mut time, mut transport) = (None, None, None, None);
    while let [first, tail @ ..] = rest {
        if *first == 0 {
            rest = tail;
            continue;
        }
        let (value, tail) = tail.split_at_checked(usize::from(first & 15) + 1)?;
        match first >> 4 {
            MID => mid = Some(value),
            LEVEL => level = Some(value),
            ABS_SEND_TIME => time = Some(value),
            TRANSPORT => transport = Some(value),
            _ => {}
        }
        rest = tail;
    }
    let [d, e] = u16::from_be_bytes(transport?.try_into().ok()?).wrapping_add(1).to_be_bytes();
    let ([a, b, c], [mid], [level]) = (time?, mid?, level?) else { return None };
    let (heads, mid, level) = ([TRANSPORT << 4 | 1, ABS_SEND_TIME << 4 | 2], *mid, *level);
    let elements = [heads[0], d, e, heads[1], *c, *b, *a, MID << 4, mid, LEVEL << 4, level, 0];
    RtpPacketBuilder::<&[u8], &[u8]>::new()
        .marker_bit(packet.marker_bit())
        .payload_type(packet.payload_type())
        .sequence_number(packet.sequence_number().wrapping_add(17))
        .timestamp(packet.timestamp().wrapping_add(1_000))
        .ssrc(packet.ssrc() ^ 1)
        .extension(profile, &elements)
        .write_into(out)
        .ok()
}

/// The same work through rtc-rtp.
#[inline(never)]
fn forward_theirs(datagram: &Bytes, out: &mut [u8]) -> Option<usize> {
    let mut header = ::rtp::Header::unmarshal(&mut datagram.clone()).ok()?;
    let number = header.get_extension(TRANSPORT)?;
    let time = header.get_extension(ABS_SEND_TIME)?;
    let (_, _) = (header.get_extension(MID)?, header.get_extension(LEVEL)?);
    header.sequence_number = header.sequence_number.wrapping_add(17);
    header.timestamp = header.timestamp.wrapping_add(1_000);
    header.ssrc ^= 1;
    let number = u16::from_be_bytes(number[..].try_into().ok()?).wrapping_add(1);
    header.set_extension(TRANSPORT, Bytes::copy_from_slice(&number.to_be_bytes())).ok()?;
    let [a, b, c] = time[..].try_into().ok()?;
    header.set_extension(ABS_SEND_TIME, Bytes::copy_from_slice(&[c, b, a])).ok()?;
    header.marshal_to(out).ok()
}

fn rtp_header(criterion: &mut Criterion) {
    let datagram = datagram();
    let shared = Bytes::from(datagram.clone());
    let mut out = [0; 128];
    let mut other = [0; 128];
    // All do the same work.
    let len = forward(&datagram, &mut out).expect("four extensions");
    assert_eq!(forward_types(&datagram, &mut other), Some(len));
    assert_eq!(out[..len], other[..len]);
    let mut group = criterion.benchmark_group("rtp header, 4 extensions");
    group.bench_function("parse", |bench| {
        bench.iter(|| rtp::Packet::parse(black_box(&datagram)).map(|packet| packet.header_len()));
    });
    group.bench_function("parse, walk", |bench| {
        bench.iter(|| {
            let packet = rtp::Packet::parse(black_box(&datagram)).ok()?;
            Some(packet.extensions().fold(0, |sum, (id, value)| sum + usize::from(id) + value.len()))
        });
    });
    group.bench_function("parse: rtp-types", |bench| {
        bench.iter(|| RtpPacket::parse(black_box(&datagram)).map(|packet| packet.payload_offset()));
    });
    group.bench_function("parse: rtc-rtp", |bench| {
        bench.iter(|| ::rtp::Header::unmarshal(&mut black_box(&shared).clone()).map(|header| header.ssrc));
    });
    group.bench_function("parse, find, write", |bench| {
        bench.iter(|| forward(black_box(&datagram), black_box(&mut out)));
    });
    group.bench_function("parse, find, write: rtp-types", |bench| {
        bench.iter(|| forward_types(black_box(&datagram), black_box(&mut out)));
    });
    group.bench_function("parse, find, write: rtc-rtp", |bench| {
        bench.iter(|| forward_theirs(black_box(&shared), black_box(&mut out)));
    });
    group.finish();
}

/// Arrivals of `count` packets, every 20th lost, a burst every 16.
fn arrivals(count: u64) -> Vec<Option<Instant>> {
    let arrival = |at: u64| Instant::from_micros(5_000_000 + at / 16 * 20_000 + at % 16 * 300);
    (0..count).map(|at| (at % 20 != 7).then(|| arrival(at))).collect()
}

fn transport_feedback(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transport-wide feedback");
    for count in [20, 200] {
        let arrivals = arrivals(count);
        let mut buf = [0; 1_200];
        let mut write = |arrivals: &[Option<Instant>]| {
            let mut writer = rtcp::Writer::new(&mut buf);
            let (sender, media, base) = (Ssrc(1), Ssrc(2), WireSeq(65_500));
            let told = writer.transport_feedback(sender, media, 3, base, arrivals.iter().copied());
            assert_eq!(told, Ok(arrivals.len()));
            writer.len()
        };
        let len = write(&arrivals);
        group.bench_function(BenchmarkId::new("write", count), |bench| {
            bench.iter(|| write(black_box(&arrivals)));
        });
        let datagram = buf[..len].to_vec();
        group.bench_function(BenchmarkId::new("parse, walk", count), |bench| {
            bench.iter(|| walk(black_box(&datagram)));
        });
        group.bench_function(BenchmarkId::new("parse: rtc-rtcp", count), |bench| {
            bench.iter(|| ::rtcp::packet::unmarshal(&mut black_box(&datagram[..])).map(|all| all.len()));
        });
        let theirs = ::rtcp::packet::unmarshal(&mut &datagram[..]).expect("readable");
        group.bench_function(BenchmarkId::new("write: rtc-rtcp", count), |bench| {
            bench.iter(|| ::rtcp::packet::marshal(black_box(&theirs)).map(|bytes| bytes.len()));
        });
    }
    group.finish();
}

fn walk(datagram: &[u8]) -> i64 {
    let Ok(compound) = Compound::parse(datagram) else {
        return 0;
    };
    let sum = |packet| match packet {
        rtcp::Packet::TransportFeedback(feedback) => {
            feedback.received().map(|(_, delta)| i64::from(delta)).sum()
        }
        _ => 0,
    };
    compound.into_iter().map(sum).sum()
}

criterion_group!(benches, rtp_header, transport_feedback);
criterion_main!(benches);
