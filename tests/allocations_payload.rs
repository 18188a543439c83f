//! Reading, changing and writing payload descriptors takes nothing from the heap.

#[path = "support/captures.rs"]
mod captures;

use captures::packets;
use estafette::payload::dependency::{self, Descriptor};
use estafette::payload::{Facts, Format, allocation, vp8, vp9};
use estafette::rtp::Packet;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

// The only test here: another one's allocations would be counted too.
#[test]
fn descriptors_are_read_changed_and_written_without_the_heap() {
    let mut excerpts = [
        (Format::Vp8, 14, 12, packets(include_str!("data/captures/chromium-simulcast-vp8-payload.txt"))),
        (Format::Vp9, 13, 14, packets(include_str!("data/captures/chromium-svc-vp9-l3t3key-payload.txt"))),
        (Format::H264, 12, 9, packets(include_str!("data/captures/chromium-h264-payload.txt"))),
        (Format::Av1, 0, 0, packets(include_str!("data/captures/firefox-chromium-av1-payload.txt"))),
        (Format::Opus, 0, 0, packets(include_str!("data/captures/chromium-opus-payload.txt"))),
    ];
    let (mut read, mut frames, mut buf) = (0, 0, [0; 256]);
    let region = Region::new(ALLOCATOR);
    for (format, dependency, layers, packets) in &mut excerpts {
        for bytes in packets {
            let packet = Packet::parse(bytes).expect("RTP");
            let header_len = packet.header_len();
            read += usize::from(Facts::read(*format, packet.payload(), None).is_ok());
            if let Some(value) = packet.extension(*layers) {
                read += allocation::Allocation::parse(value).map_or(0, |all| all.layers().count());
            }
            if let Some(value) = packet.extension(*dependency) {
                let descriptor = Descriptor::parse(value).expect("whole");
                if let Some(structure) = descriptor.structure().expect("whole") {
                    let frame = descriptor.frame(&structure).expect("its own");
                    let head = descriptor.head();
                    dependency::write(&mut buf, head, &structure, true, frame.custom()).expect("room");
                    frames += 1;
                }
            }
            let payload = &mut bytes[header_len..];
            match format {
                Format::Vp8 => vp8::patch(payload, Some(7), Some(8)).expect("whole"),
                Format::Vp9 => vp9::patch(payload, Some(7), Some(8)).expect("whole"),
                _ => {}
            }
        }
    }
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    assert!(read > 700 && frames > 3, "{read} {frames}");
}
