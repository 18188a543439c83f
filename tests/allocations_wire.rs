//! Reading and writing RTP allocates nothing, whatever the packet carries.

use estafette::rtp::{
    self, AbsCaptureTime, AbsSendTime, AudioLevel, ColorSpace, CsrcAudioLevels, FrameMarking, HeaderWriter,
    Packet, PayloadType, RtpTime, Ssrc, TransportSequence, VideoTiming, WireSeq, fec, red, rtx,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OPUS: PayloadType = PayloadType::new(111).expect("below 128");
const RED: PayloadType = PayloadType::new(63).expect("below 128");

/// A header with all that there is, written and read again, in the form that grows on its way.
fn header(buf: &mut [u8]) -> usize {
    let mut value = [0; 28];
    let mut writer = HeaderWriter::mixed(buf, true, OPUS, WireSeq(1), RtpTime(2), Ssrc(3)).expect("room");
    (0..15).for_each(|source| writer.csrc(Ssrc(source)).expect("room"));
    writer.extension(1, &[AudioLevel { voice: true, level: 9 }.to_byte()]).expect("room");
    writer.extension(2, &AbsSendTime::at(estafette::Instant::from_millis(9)).to_bytes()).expect("room");
    writer.extension(3, b"mid").expect("room");
    let len = CsrcAudioLevels::write(&[1, 2, 3], &mut value).expect("room");
    writer.extension(4, &value[..len]).expect("room");
    let space = ColorSpace::parse(&[1; 28]).expect("28 bytes");
    let len = space.write(&mut value).expect("room");
    writer.extension(5, &value[..len]).expect("room");
    writer.padding();
    let len = writer.finish().expect("room");
    let padding = rtp::write_padding(&mut buf[len..], 4).expect("room");
    let packet = Packet::parse(&buf[..len + padding]).expect("ours");
    assert_eq!((packet.csrcs().count(), packet.extensions().count()), (15, 5));
    assert_eq!(rtp::padding_len(packet.payload()), Ok(4));
    for (_, value) in packet.extensions() {
        let read = (
            rtp::mid(value).is_some() || rtp::rid(value).is_some(),
            AbsCaptureTime::parse(value),
            TransportSequence::parse(value),
            FrameMarking::parse(value),
            VideoTiming::parse(value),
        );
        black_box(read);
    }
    len
}

/// Retransmission, redundant data and FEC, written where that is possible and read.
fn payloads(buf: &mut [u8]) -> usize {
    let len = rtx::write(WireSeq(7), &[1; 100], buf).expect("room");
    let mut read = rtx::Payload::parse(&buf[..len]).expect("ours").repeated().len();
    let blocks = [red::Block { payload_type: OPUS, age: 960, data: &[2; 50] }; 3];
    let len = red::write(&blocks, OPUS, &[3; 60], buf).expect("room");
    let payload = red::Payload::parse(RED, &buf[..len]).expect("ours");
    read += payload.redundant().map(|block| block.data.len()).sum::<usize>() + payload.primary().len();
    let ulp = [0, 11, 0, 8, 0, 0, 0, 5, 1, 0x74, 0, 2, 0xf0, 0, 1, 2];
    let ulp = fec::Ulp::parse(&ulp).expect("well formed");
    read += ulp.levels().map(|level| level.mask.numbers(ulp.base()).count()).sum::<usize>();
    let flex = [2, 96, 1, 2, 0, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 7, 0, 100, 0xc0, 1, 9];
    if let Ok(fec::Flex::Repair(repair)) = fec::Flex::parse_03(&flex) {
        let numbers = |stream: fec::FlexStream| stream.coverage.numbers(stream.base).count();
        read += repair.streams().map(numbers).sum::<usize>();
    }
    read
}

// One test alone: the allocator counts for the whole process.
#[test]
fn reading_and_writing_rtp_allocates_nothing() {
    let mut buf = [0; 512];
    let region = Region::new(GLOBAL);
    for _ in 0..1_000 {
        assert_eq!(black_box(header(black_box(&mut buf))), 12 + 15 * 4 + 4 + 48);
        assert_eq!(black_box(payloads(black_box(&mut buf))), 100 + 210 + 4 + 2);
        // What is wrong costs nothing either.
        assert!(Packet::parse(black_box(&[0x80; 11])).is_err());
        assert!(red::Payload::parse(RED, black_box(&[0xef, 0, 9, 9, 1])).is_err());
    }
    let change = region.change();
    assert_eq!(change.allocations + change.reallocations, 0);
}
