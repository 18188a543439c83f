//! Reading payload descriptors, beside another implementation in the same run.
//!
//! The other one hands out the payload too, which for H.264 and AV1 means that it copies it; what a
//! forwarder needs to know is found without.

use std::hint::black_box;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use estafette::payload::dependency::{Descriptor, Structure};
use estafette::payload::{Facts, Format, allocation, vp8, vp9};
use rtp::codec::av1::Av1Depacketizer;
use rtp::codec::h264::H264Packet;
use rtp::codec::h265::H265Packet;
use rtp::codec::opus::OpusPacket;
use rtp::codec::vp8::Vp8Packet;
use rtp::codec::vp9::Vp9Packet;
use rtp::packetizer::Depacketizer;

/// A payload of 1,100 bytes that begins with those.
fn payload(head: &[u8]) -> Vec<u8> {
    let mut payload = head.to_vec();
    payload.resize(1_100, 0x5a);
    payload
}

/// Facts of a payload, beside what the other makes of it.
fn format<D: Depacketizer + Default>(group: &mut BenchmarkGroup<'_, WallTime>, format: Format, head: &[u8]) {
    let payload = payload(head);
    let shared = Bytes::from(payload.clone());
    group.bench_function(format!("{}: facts", format.name()), |bench| {
        bench.iter(|| Facts::read(format, black_box(&payload), None));
    });
    group.bench_function(format!("{}: rtc-rtp", format.name()), |bench| {
        bench.iter(|| D::default().depacketize(black_box(&shared)).map(|out| out.len()));
    });
}

fn payloads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("payload");
    // An interframe with picture id, TL0PICIDX and temporal layer.
    format::<Vp8Packet>(&mut group, Format::Vp8, &[0x90, 0xe0, 0x92, 0x34, 0x56, 0x60, 0xb1, 0x13, 0x00]);
    // A frame of a higher layer in flexible mode with one reference.
    format::<Vp9Packet>(&mut group, Format::Vp9, &[0xfc, 0xf3, 0x4e, 0x53, 0x02]);
    // Two OBUs, the second without a length.
    format::<Av1Depacketizer>(&mut group, Format::Av1, &[0x20, 3, 0x28, 1, 2, 0x30]);
    format::<H264Packet>(&mut group, Format::H264, &[0x61, 0x9a, 0x02]);
    format::<H265Packet>(&mut group, Format::H265, &[0x02, 0x01, 0xd0]);
    // Twenty milliseconds in one frame.
    format::<OpusPacket>(&mut group, Format::Opus, &[0x78, 1, 2, 3]);
    group.finish();
}

fn patches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("payload, patched in place");
    let mut payload = payload(&[0x90, 0xe0, 0x92, 0x34, 0x56, 0x60, 0xb1, 0x13, 0x00]);
    group.bench_function("VP8", |bench| {
        bench.iter(|| vp8::patch(black_box(&mut payload), black_box(Some(77)), black_box(Some(7))));
    });
    payload[..5].copy_from_slice(&[0xac, 0xf3, 0x4e, 0x53, 0x02]);
    group.bench_function("VP9", |bench| {
        bench.iter(|| vp9::patch(black_box(&mut payload), black_box(Some(77)), black_box(Some(7))));
    });
    group.finish();
}

/// The first packet of Chromium's AV1 in three spatial and three temporal layers.
const STRUCTURE: &str = "c10001c0081485214eafffaaaa863cf0430c10c302afc0aaa0063c00430010c002a000a80006000040001d95492\
                         6e082b04a0941b820ac1282503157f974000ca864330e222222eca8655304224230eca87753013f00b3027f0167\
                         04ff02cf1f80";

fn extensions(criterion: &mut Criterion) {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex"))
            .collect()
    };
    let frame = |value: &[u8], structure: &Structure| {
        let frame = Descriptor::parse(value).and_then(|descriptor| descriptor.frame(structure)).ok()?;
        Facts::read(Format::Av1, &[], Some(&frame)).ok()
    };
    let attached = hex(STRUCTURE);
    let structure = Descriptor::parse(&attached).expect("whole").structure().expect("whole").expect("there");
    let mut group = criterion.benchmark_group("dependency descriptor");
    for (name, value) in [("template alone", "c60002"), ("own references and chains", "c300031a20100800")] {
        let value = hex(value);
        group.bench_function(name, |bench| bench.iter(|| frame(black_box(&value), black_box(&structure))));
    }
    group.bench_function("structure of nine targets", |bench| {
        bench.iter(|| Descriptor::parse(black_box(&attached)).expect("whole").structure());
    });
    group.finish();
    let value = hex("03a0364764628001b601013f00b33c027f01673c");
    criterion.bench_function("layers allocation", |bench| {
        bench.iter(|| allocation::Allocation::parse(black_box(&value)).map(|read| read.layers().count()));
    });
}

criterion_group!(benches, payloads, patches, extensions);
criterion_main!(benches);
