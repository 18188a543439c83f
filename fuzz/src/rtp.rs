//! What RTP carries in front of media and instead of it: extension values, repair, redundancy, FEC.

use estafette::rtp::{self, HeaderWriter, Packet, PayloadType, RtpTime, Ssrc, WireSeq, fec, red, rtx};

/// Extensions: elements in either form are written again as they are read, values of any kind too.
pub fn extensions(data: &[u8]) {
    let Some((form, elements)) = data.split_first() else { return };
    values(elements);
    let profile: u16 = if form & 1 == 0 { 0xbede } else { 0x1000 | u16::from(form >> 4) };
    let words = elements.len() / 4;
    let mut datagram = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    datagram.extend(profile.to_be_bytes());
    datagram.extend((words as u16).to_be_bytes());
    datagram.extend(&elements[..words * 4]);
    let packet = Packet::parse(&datagram).expect("its length fits");
    let mut copy = vec![0; datagram.len() * 2 + 64];
    let payload_type = PayloadType::new(96).expect("below 128");
    let writer = HeaderWriter::mixed(&mut copy, false, payload_type, WireSeq(1), RtpTime(2), Ssrc(3));
    let mut writer = writer.expect("room");
    for (id, value) in packet.extensions() {
        assert!(value.len() <= elements.len());
        writer.extension(id, value).expect("room");
        values(value);
    }
    let announced = writer.header_len();
    let len = writer.finish().expect("room");
    assert_eq!(len, announced);
    let again = Packet::parse(&copy[..len]).expect("what is written can be read");
    assert!(again.extensions().eq(packet.extensions()));
}

/// What a value says is the same once it was written and read again.
fn values(value: &[u8]) {
    let mut buf = [0; 32];
    let valid = rtp::ExtensionKind::ALL.into_iter().filter(|kind| kind.is_valid(value)).count();
    assert!(valid == 0 || !value.is_empty());
    if let Some(name) = rtp::mid(value) {
        assert_eq!(name.as_bytes(), value);
        assert!(rtp::rid(value).is_none_or(|rid| rid == name));
    }
    if let Some(level) = rtp::AudioLevel::parse(value) {
        assert_eq!([level.to_byte()], value);
    }
    if let Some(levels) = rtp::CsrcAudioLevels::parse(value) {
        let levels: Vec<u8> = levels.iter().collect();
        assert_eq!(rtp::CsrcAudioLevels::write(&levels, &mut buf), Ok(value.len()));
        assert!(buf.iter().zip(value).all(|(written, read)| *written == read & 0x7f));
    }
    if let Some(time) = rtp::AbsSendTime::parse(value) {
        assert_eq!(time.to_bytes(), value);
    }
    if let Some(offset) = rtp::TransmissionOffset::parse(value) {
        assert_eq!(offset.to_bytes(), value);
    }
    if let Some(delay) = rtp::PlayoutDelay::parse(value) {
        assert_eq!(delay.to_bytes(), value);
    }
    if let Some(orientation) = rtp::VideoOrientation::parse(value) {
        assert_eq!(rtp::VideoOrientation::parse(&[orientation.to_byte()]), Some(orientation));
    }
    if let Some(content) = rtp::VideoContentType::parse(value) {
        assert_eq!([content.to_byte()], value);
    }
    if let Some(sequence) = rtp::TransportSequence::parse(value) {
        let len = sequence.write(&mut buf).expect("room");
        assert_eq!(buf[..len], *value);
    }
    if let Some(time) = rtp::AbsCaptureTime::parse(value) {
        let len = time.write(&mut buf).expect("room");
        assert_eq!(buf[..len], *value);
    }
    if let Some(timing) = rtp::VideoTiming::parse(value) {
        let len = timing.write(&mut buf).expect("room");
        assert_eq!(buf[..len], *value);
    }
    if let Some(space) = rtp::ColorSpace::parse(value) {
        let len = space.write(&mut buf).expect("room");
        assert_eq!(rtp::ColorSpace::parse(&buf[..len]), Some(space));
        assert_eq!(len, value.len());
    }
    if let Some(marking) = rtp::FrameMarking::parse(value) {
        let len = marking.write(&mut buf).expect("room");
        assert_eq!(buf[..len], *value);
    }
}

/// RED: blocks and headers are the payload, and written again they are the same.
pub fn red(data: &[u8]) {
    let own = PayloadType::new(63).expect("below 128");
    let Ok(payload) = red::Payload::parse(own, data) else { return };
    let blocks: Vec<_> = payload.redundant().collect();
    let (primary_type, primary) = (payload.primary_type(), payload.primary());
    let len = red::written_len(&blocks, primary);
    assert_eq!(len, data.len());
    let mut copy = vec![0; len];
    assert_eq!(red::write(&blocks, primary_type, primary, &mut copy), Ok(len));
    assert_eq!(copy, data);
    let other = PayloadType::new(5).expect("below 128");
    red::renumber(&mut copy, other).expect("its headers are whole");
    let again = red::Payload::parse(own, &copy).expect("its lengths are the same");
    assert!(again.payload_types().all(|payload_type| payload_type == other) && again.primary() == primary);
}

/// FEC: levels are the payload; streams and their packets are bounded; written again they are the same,
/// but for bits that are reserved. The first byte tells the kind
/// and, for RFC 8627, how many contributing sources its packet has.
pub fn fec(data: &[u8]) {
    let Some((kind, payload)) = data.split_first() else { return };
    if let Ok(ulp) = fec::Ulp::parse(payload) {
        let head = if payload[0] & 0x40 == 0 { 4 } else { 8 };
        let levels: usize = ulp.levels().map(|level| head + level.payload.len()).sum();
        assert_eq!(10 + levels, payload.len());
        for level in ulp.levels() {
            let numbers = level.mask.numbers(ulp.base()).count();
            assert!((1..=48).contains(&numbers) && numbers as u32 == level.mask.count());
        }
        let (mut copy, levels) = (vec![0; payload.len()], ulp.levels().collect::<Vec<_>>());
        let len = fec::Ulp::write(&ulp.recovery(), ulp.base(), &levels, &mut copy);
        assert_eq!(len, Ok(payload.len()));
        assert!(copy[0] == payload[0] & 0x7f && copy[1..] == payload[1..]);
    }
    let mut header = vec![0x80 | kind & 15, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    header.extend(vec![7; usize::from(kind & 15) * 4]);
    let packet = Packet::parse(&header).expect("its sources fit");
    for (draft, parsed) in [(true, fec::Flex::parse_03(payload)), (false, fec::Flex::parse(&packet, payload))]
    {
        match parsed {
            Ok(fec::Flex::Repair(repair)) => {
                let streams: Vec<_> = repair.streams().collect();
                assert!((1..=estafette::limits::FEC_STREAMS).contains(&streams.len()));
                let count = |stream: &fec::FlexStream| stream.coverage.numbers(stream.base).count();
                assert!(streams.iter().all(|stream| count(stream) <= 255));
                assert!(streams.iter().any(|stream| count(stream) > 0));
                assert!(repair.payload().len() + 12 <= payload.len());
                let mut copy = vec![0; payload.len()];
                let write = if draft { fec::FlexRepair::write_03 } else { fec::FlexRepair::write };
                let len = write(&repair.recovery(), &streams, repair.payload(), &mut copy);
                assert_eq!(len, Ok(payload.len()));
                if draft {
                    // Behind the count three bytes are reserved.
                    copy[9..12].copy_from_slice(&payload[9..12]);
                }
                assert_eq!(copy, payload);
            }
            Ok(fec::Flex::Retransmission(packet)) => {
                assert_eq!(packet.header_len() + packet.payload().len(), payload.len());
            }
            Err(error) => assert!(usize::from(error.offset) <= payload.len()),
        }
    }
}

/// RTX: number and rest are the payload.
pub fn rtx(data: &[u8]) {
    let Ok(payload) = rtx::Payload::parse(data) else {
        assert!(data.len() < rtx::HEAD);
        return;
    };
    let mut copy = vec![0; data.len()];
    let len = rtx::write(payload.original(), payload.repeated(), &mut copy).expect("room");
    assert_eq!(copy[..len], *data);
}
