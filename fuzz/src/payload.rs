//! Payload formats and the extensions that describe them: what is taken lies inside the bytes, and
//! written again is read the same.

use estafette::payload::dependency::{self, Descriptor, Structure};
use estafette::payload::{
    Body, Facts, Format, allocation, av1 as obus, h264 as nals, h265 as units, opus as audio, vp8 as eight,
    vp9 as nine,
};

use super::Script;

/// Room for anything that is written here.
const ROOM: usize = 64 * 1_024;

/// Facts are told or a fault inside the payload; what is opaque is read no further than its descriptor.
fn facts(format: Format, data: &[u8]) {
    for read in [Facts::read, Facts::read_opaque] {
        if let Err(error) = read(format, data, None) {
            assert!(usize::from(error.offset) <= data.len());
        }
    }
}

/// A size that is told is one.
fn size(format: Format, data: &[u8]) {
    let told = Body::Clear(data).resolution(format, 0);
    assert!(told.is_none_or(|size| size.width > 0 && size.height > 0));
}

pub fn vp8(data: &[u8]) {
    facts(Format::Vp8, data);
    let Ok((descriptor, rest)) = eight::Descriptor::parse(data) else { return };
    let mut buf = [0; 8];
    descriptor.write(&mut buf).expect("six bytes at most");
    let (again, _) = eight::Descriptor::parse(&buf).expect("what is written can be read");
    assert_eq!(again, descriptor);
    if let Ok(header) = eight::FrameHeader::parse(rest) {
        assert!(header.first_partition < 1 << 19);
    }
    let mut patched = data.to_vec();
    eight::patch(&mut patched, Some(4_711), Some(42)).expect("it was whole before");
    let (patched, behind) = eight::Descriptor::parse(&patched).expect("it still is");
    assert_eq!((patched.layer, patched.key_index, behind), (descriptor.layer, descriptor.key_index, rest));
}

pub fn vp9(data: &[u8]) {
    facts(Format::Vp9, data);
    let Ok((descriptor, rest)) = nine::Descriptor::parse(data) else { return };
    if let Some(structure) = descriptor.structure {
        assert!(structure.resolutions().len() <= 8 && structure.pictures().count() <= 255);
    }
    let mut buf = vec![0; data.len() + 8];
    let len = descriptor.write(&mut buf).expect("no longer than it was");
    assert_eq!(nine::Descriptor::parse(&buf[..len]), Ok((descriptor, &[][..])));
    let mut patched = data.to_vec();
    nine::patch(&mut patched, Some(4_711), Some(42)).expect("it was whole before");
    let (patched, behind) = nine::Descriptor::parse(&patched).expect("it still is");
    assert_eq!((patched.layers, patched.structure), (descriptor.layers, descriptor.structure));
    assert_eq!(behind, rest);
}

pub fn av1(data: &[u8]) {
    facts(Format::Av1, data);
    let Ok(payload) = obus::Payload::parse(data) else { return };
    let elements: Vec<&[u8]> = payload.elements().map(|element| element.data).collect();
    assert!(!elements.is_empty() && payload.headers().count() <= elements.len());
    let mut buf = vec![0; data.len() + 8];
    let writer = obus::Writer::new(&mut buf, payload.aggregation()).expect("room");
    let len = writer.finish(&elements).expect("no longer than it was");
    let again = obus::Payload::parse(&buf[..len]).expect("what is written can be read");
    assert!(again.elements().eq(payload.elements()));
}

pub fn h264(data: &[u8]) {
    facts(Format::H264, data);
    size(Format::H264, data);
    match nals::Payload::parse(data) {
        Ok(nals::Payload::Aggregate(aggregate)) => {
            let all: Vec<&[u8]> = aggregate.units().map(|nal| nal.data).collect();
            let mut buf = vec![0; data.len()];
            let len = nals::Aggregate::write(&mut buf, &all).expect("as long as it was");
            assert_eq!((len, &buf[1..]), (data.len(), &data[1..]));
        }
        Ok(nals::Payload::Fragment(fragment)) => {
            let again = [&fragment.prefix()[..], fragment.data].concat();
            assert_eq!(nals::Payload::parse(&again), Ok(nals::Payload::Fragment(fragment)));
        }
        _ => {}
    }
}

pub fn h265(data: &[u8]) {
    facts(Format::H265, data);
    size(Format::H265, data);
    match units::Payload::parse(data) {
        Ok(units::Payload::Aggregate(_, aggregate)) => {
            let all: Vec<&[u8]> = aggregate.units().map(|nal| nal.data).collect();
            let mut buf = vec![0; data.len()];
            let len = units::Aggregate::write(&mut buf, &all).expect("as long as it was");
            assert_eq!((len, &buf[2..]), (data.len(), &data[2..]));
        }
        Ok(units::Payload::Fragment(fragment)) => {
            let again = [&fragment.prefix()[..], fragment.data].concat();
            assert_eq!(units::Payload::parse(&again), Ok(units::Payload::Fragment(fragment)));
        }
        _ => {}
    }
}

pub fn opus(data: &[u8]) {
    facts(Format::Opus, data);
    let Ok(packet) = audio::Packet::parse(data) else { return };
    assert!((1..=48).contains(&packet.frames()) && packet.ticks() <= 5_760);
    assert_eq!(packet.ticks(), packet.frame_ticks() * u32::from(packet.frames()));
}

/// A stream's descriptors, each behind its length; structures take effect as they come.
pub fn dependency_descriptor(data: &[u8]) {
    let mut script = Script(data);
    let mut known: Option<Box<Structure>> = None;
    while let Some(len) = script.byte() {
        let value = script.bytes(usize::from(len));
        let Ok(descriptor) = Descriptor::parse(value) else { continue };
        match descriptor.structure() {
            Ok(Some(structure)) => known = Some(Box::new(structure)),
            Ok(None) => {}
            Err(error) => assert!(usize::from(error.offset) <= value.len()),
        }
        let Some(structure) = &known else { continue };
        assert!(structure.templates().len() <= 64 && structure.targets().len() <= 32);
        let Ok(frame) = descriptor.frame(structure) else { continue };
        assert!(frame.spatial_id() < 4 && frame.temporal_id() < 8 && frame.differences().count() <= 8);
        assert!((0..32).all(|chain| frame.chain_difference(chain).is_some() == (chain < structure.chains())));
        let mut buf = vec![0; ROOM];
        let attach = descriptor.has_structure();
        let len =
            dependency::write(&mut buf, descriptor.head(), structure, attach, frame.custom()).expect("room");
        let again = Descriptor::parse(&buf[..len]).expect("what is written can be read");
        assert_eq!(again.head(), descriptor.head());
        assert_eq!(again.frame(structure).expect("as before").custom(), frame.custom());
        for format in Format::ALL {
            let told = Facts::read(format, &[0x90, 0, 0, 0], Some(&frame));
            assert!(told.is_ok_and(|facts| facts.frame_number == Some(descriptor.head().frame_number)));
        }
    }
}

pub fn layers_allocation(data: &[u8]) {
    let Ok(read) = allocation::Allocation::parse(data) else { return };
    let layers: Vec<_> = read.layers().collect();
    assert_eq!(layers.len(), read.layer_count());
    let mut buf = vec![0; data.len() + 8];
    let len =
        allocation::write(&mut buf, read.stream(), read.streams(), &layers).expect("no longer than it was");
    let again = allocation::Allocation::parse(&buf[..len]).expect("what is written can be read");
    assert!(again.layers().eq(layers));
}
