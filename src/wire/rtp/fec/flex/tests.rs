//! Both dialects: fields, masks, lengths, arbitrary bytes.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// The header that both begin with: padding, two sources, payload type 96, length 0x0102, time 5.
fn header(kind: u8) -> Vec<u8> {
    vec![kind | 0x22, 96, 1, 2, 0, 0, 0, 5]
}

/// A payload of the draft with these streams' parts behind their SSRCs, which count from 7.
fn draft(kind: u8, streams: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind);
    bytes.extend([streams.len() as u8, 0, 0, 0]);
    for (ssrc, stream) in (7u32..).zip(streams) {
        bytes.extend(ssrc.to_be_bytes());
        bytes.extend(*stream);
    }
    bytes.extend(payload);
    bytes
}

/// A payload of the RFC.
fn rfc(kind: u8, streams: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    [&header(kind)[..], &streams.concat(), payload].concat()
}

/// The header of a packet with `count` contributing sources, from 7 on.
fn packet(count: u8) -> Vec<u8> {
    let mut bytes = vec![0x80 | count, 97, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    (7..7 + u32::from(count)).for_each(|ssrc| bytes.extend(ssrc.to_be_bytes()));
    bytes
}

fn repair(flex: Flex<'_>) -> FlexRepair<'_> {
    match flex {
        Flex::Repair(repair) => repair,
        Flex::Retransmission(packet) => panic!("{packet:?}"),
    }
}

fn numbers(stream: FlexStream) -> Vec<u16> {
    stream.coverage.numbers(stream.base).map(|number| number.0).collect()
}

fn fault<T>(parsed: Result<T, ParseError>) -> Option<(Fault, u16)> {
    parsed.err().map(|error| (error.fault, error.offset))
}

#[test]
fn draft_03_4_2_streams_are_named_and_the_last_part_of_a_mask_says_so() {
    // One part; two parts; three parts.
    let short = [0, 100, 0xc0, 0x01];
    let middle = [0, 200, 0x40, 0x00, 0xc0, 0, 0, 1];
    let long = [1, 0, 0, 1, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 1];
    let bytes = draft(0, &[&short, &middle, &long], &[9, 9]);
    let repair = repair(Flex::parse_03(&bytes).expect("well formed"));
    let recovery = repair.recovery();
    assert!(recovery.padding && !recovery.extension && !recovery.marker);
    assert_eq!((recovery.csrc_count, recovery.payload_type.get()), (2, 96));
    assert_eq!((recovery.len, recovery.timestamp), (0x0102, 5));
    let streams: Vec<_> = repair.streams().map(|stream| (stream.ssrc.0, numbers(stream))).collect();
    let expected = [(7, vec![100, 114]), (8, vec![200, 215, 245]), (9, vec![270, 302, 364])];
    assert_eq!(streams, expected);
    assert_eq!(repair.payload(), &[9, 9]);
}

#[test]
fn rfc_8627_4_2_2_1_streams_are_contributing_sources_and_a_bit_says_what_follows() {
    let short = [0, 100, 0x40, 0x01];
    let middle = [0, 200, 0xc0, 0x00, 0x40, 0, 0, 1];
    let long = [1, 0, 0x80, 1, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 1];
    let (bytes, header) = (rfc(0, &[&short, &middle, &long], &[9]), packet(3));
    let header = Packet::parse(&header).expect("a packet");
    let repair = repair(Flex::parse(&header, &bytes).expect("well formed"));
    let streams: Vec<_> = repair.streams().map(|stream| (stream.ssrc.0, numbers(stream))).collect();
    assert_eq!(streams, [(7, vec![100, 114]), (8, vec![200, 215, 245]), (9, vec![270, 302, 365])]);
    assert_eq!(repair.payload(), &[9]);
}

#[test]
fn rfc_8627_4_2_2_2_rows_and_columns_of_a_block() {
    let header = packet(1);
    let header = Packet::parse(&header).expect("a packet");
    for (columns, rows, expected) in
        [(3, 0, vec![10, 11, 12]), (3, 1, vec![10, 11, 12]), (3, 4, vec![10, 13, 16, 19])]
    {
        let part = [0, 10, columns, rows];
        let (of_rfc, of_draft) = (rfc(FIXED, &[&part], &[]), draft(FIXED, &[&part], &[]));
        for parsed in [Flex::parse(&header, &of_rfc), Flex::parse_03(&of_draft)] {
            let repair = repair(parsed.expect("well formed"));
            let stream = repair.streams().next().expect("a stream");
            assert_eq!((stream.ssrc, numbers(stream)), (Ssrc(7), expected.clone()));
        }
    }
    let largest = Coverage::Grid { columns: 255, rows: 255 };
    assert_eq!(largest.numbers(WireSeq(0)).last(), Some(WireSeq(254 * 255)));
}

#[test]
fn rfc_8627_4_2_2_3_a_retransmission_is_the_packet_as_it_was() {
    let header = packet(1);
    let outer = Packet::parse(&header).expect("a packet");
    let mut payload = [0x90, 0xe0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0xbe, 0xde, 0, 0, 1, 2];
    for parsed in [Flex::parse(&outer, &payload), Flex::parse_03(&payload)] {
        let Ok(Flex::Retransmission(packet)) = parsed else { panic!("{parsed:?}") };
        assert_eq!((packet.sequence_number(), packet.ssrc()), (WireSeq(9), Ssrc(7)));
        assert_eq!(packet.payload(), &[1, 2]);
    }
    assert_eq!(fault(Flex::parse(&outer, &payload[..11])), Some((Fault::Packet, 0)));
    assert_eq!(fault(Flex::parse_03(&payload[..15])), Some((Fault::Packet, 12)), "checked like any other");
    payload[0] |= FIXED;
    assert_eq!(fault(Flex::parse(&outer, &payload)), Some((Fault::Reserved, 0)));
    assert_eq!(fault(Flex::parse_03(&payload)), Some((Fault::Reserved, 0)));
}

#[test]
fn s_rtp_09_flexfec_is_checked_against_the_length_up_front() {
    let part = [0, 1, 0, 1, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let bytes = draft(0, &[&part, &[0, 1, 0x80, 1]], &[]);
    for len in 0..bytes.len() {
        let expected = match len {
            0..8 => (Fault::Header, 0),
            8..12 => (Fault::Header, 8),
            12..32 => (Fault::Stream, 12),
            _ => (Fault::Stream, 32),
        };
        assert_eq!(fault(Flex::parse_03(&bytes[..len])), Some(expected), "cut to {len}");
    }
    assert!(Flex::parse_03(&bytes).is_ok());
    let header = packet(1);
    let header = Packet::parse(&header).expect("a packet");
    let bytes = rfc(0, &[&[0, 1, 0x80, 1, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]], &[]);
    for len in 0..bytes.len() {
        let expected = if len < 8 { (Fault::Header, 0) } else { (Fault::Stream, 8) };
        assert_eq!(fault(Flex::parse(&header, &bytes[..len])), Some(expected), "cut to {len}");
    }
    assert!(Flex::parse(&header, &bytes).is_ok());
}

#[test]
fn s_rtp_09_flexfec_masks_end_and_protect_something() {
    let endless = [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(fault(Flex::parse_03(&draft(0, &[&endless], &[]))), Some((Fault::Mask, 12)));
    let (empty, some) = ([0, 1, 0x80, 0], [0, 1, 0x80, 1]);
    assert_eq!(fault(Flex::parse_03(&draft(0, &[&empty], &[]))), Some((Fault::Mask, 12)));
    assert_eq!(fault(Flex::parse_03(&draft(0, &[&empty, &some], &[]))), None, "one of them does");
    assert_eq!(fault(Flex::parse_03(&draft(FIXED, &[&[0, 1, 0, 9]], &[]))), Some((Fault::Mask, 12)));
}

#[test]
fn s_rtp_09_flexfec_of_no_stream_or_too_many_is_refused() {
    assert_eq!(fault(Flex::parse_03(&draft(0, &[], &[]))), Some((Fault::Count, 8)));
    let part = [0, 1, 0x80, 1];
    let streams = vec![&part[..]; 255];
    assert_eq!(fault(Flex::parse_03(&draft(0, &streams, &[]))), Some((Fault::Count, 8)));
    assert_eq!(fault(Flex::parse_03(&draft(0, &streams[..limits::FEC_STREAMS], &[]))), None);
    let header = packet(0);
    let header = Packet::parse(&header).expect("a packet");
    assert_eq!(fault(Flex::parse(&header, &rfc(0, &[&part], &[]))), Some((Fault::Count, 8)));
}

#[test]
fn what_is_not_to_be_read_is_not_written() {
    let bytes = draft(0, &[&[0, 1, 0x80, 1]], &[]);
    let recovery = repair(Flex::parse_03(&bytes).expect("well formed")).recovery();
    let stream = |coverage| FlexStream { ssrc: Ssrc(7), base: WireSeq(1), coverage };
    let mask = |width| stream(Coverage::Mask(Mask::new(width, [14]).expect("within")));
    let grid = |columns| stream(Coverage::Grid { columns, rows: 3 });
    let mut buf = vec![0; 2_000];
    let mut write = |streams: &[FlexStream]| {
        [FlexRepair::write_03, FlexRepair::write].map(|write| write(&recovery, streams, &[], &mut buf))
    };
    assert_eq!(write(&[mask(15)]), [Ok(20), Ok(12)]);
    assert_eq!(write(&[grid(2), grid(0)]), [Ok(28), Ok(16)]);
    assert_eq!(write(&[mask(109)]), [Ok(32), Err(NoSpace)]);
    assert_eq!(write(&[mask(110)]), [Err(NoSpace), Ok(24)]);
    for refused in [&[][..], &[mask(16)], &[mask(15), grid(2)], &[grid(2), mask(15)], &[grid(0)]] {
        assert_eq!(write(refused), [Err(NoSpace); 2], "{refused:?}");
    }
    assert_eq!(write(&vec![mask(15); limits::FEC_STREAMS + 1]), [Err(NoSpace); 2]);
    let count = Recovery { csrc_count: 16, ..recovery };
    assert_eq!(FlexRepair::write(&count, &[mask(15)], &[], &mut [0; 40]), Err(NoSpace));
}

proptest! {
    #[test]
    fn s_rtp_09_arbitrary_bytes_are_refused_or_add_up(mut bytes in vec(any::<u8>(), 0..160), sources in 0u8..16) {
        if let Some(count) = bytes.get_mut(8) {
            *count &= 3;
        }
        let header = packet(sources);
        let header = Packet::parse(&header).expect("a packet");
        for (parsed, most) in [(Flex::parse_03(&bytes), 109), (Flex::parse(&header, &bytes), 110)] {
            let Ok(Flex::Repair(repair)) = parsed else { continue };
            prop_assert_eq!(repair.streams().count(), repair.count);
            prop_assert!(repair.payload().len() + 8 + 4 * repair.count <= bytes.len());
            for stream in repair.streams() {
                let numbers = stream.coverage.numbers(stream.base).count();
                let bound = if matches!(stream.coverage, Coverage::Mask(_)) { most } else { 255 };
                prop_assert!(numbers <= bound);
            }
        }
    }

    #[test]
    fn masks_survive_the_wire(protected in proptest::collection::btree_set(0u16..109, 1..40), base: u16) {
        // The longest masks of both, bit by bit.
        let mut bits = [false; 110];
        protected.iter().for_each(|at| bits[usize::from(*at)] = true);
        let part = |range: std::ops::Range<usize>| {
            range.fold(0u64, |part, at| part << 1 | u64::from(bits[at]))
        };
        let write = |first: u64, second: u64, third: u64| {
            let parts = [&(first as u16).to_be_bytes()[..], &(second as u32).to_be_bytes(), &third.to_be_bytes()];
            [&base.to_be_bytes()[..], &parts.concat()].concat()
        };
        let of_draft = write(part(0..15), part(15..46), 1 << 63 | part(46..109));
        let of_rfc = write(1 << 15 | part(0..15), 1 << 31 | part(15..46), part(46..110));
        let header = packet(1);
        let header = Packet::parse(&header).expect("a packet");
        let (of_draft, of_rfc) = (draft(0, &[&of_draft], &[]), rfc(0, &[&of_rfc], &[]));
        for parsed in [Flex::parse_03(&of_draft), Flex::parse(&header, &of_rfc)] {
            let stream = repair(parsed.expect("well formed")).streams().next().expect("a stream");
            let expected: Vec<_> = protected.iter().map(|at| base.wrapping_add(*at)).collect();
            prop_assert_eq!(numbers(stream), expected);
        }
    }

    #[test]
    fn what_is_written_is_read_the_same(
        fields in (any::<[bool; 3]>(), 0u8..16, 0u8..128, any::<u16>(), any::<u32>()),
        streams in vec((any::<u32>(), any::<u16>(), 0usize..3, vec(any::<u8>(), 0..20), any::<[u8; 2]>()), 1..8),
        fixed: bool,
        draft: bool,
        payload in vec(any::<u8>(), 0..30),
    ) {
        let ([padding, extension, marker], csrc_count, payload_type, len, timestamp) = fields;
        let payload_type = rtp::PayloadType::new(payload_type).expect("below 128");
        let recovery = Recovery { padding, extension, csrc_count, marker, payload_type, len, timestamp };
        let widths = [15, 46, if draft { 109 } else { 110 }];
        let streams: Vec<_> = streams.into_iter().map(|(ssrc, base, width, offsets, [columns, rows])| {
            let offsets = offsets.into_iter().map(|offset| offset % widths[width]);
            let mask = Mask::new(widths[width], offsets).expect("within");
            let coverage = if fixed { Coverage::Grid { columns, rows } } else { Coverage::Mask(mask) };
            FlexStream { ssrc: Ssrc(ssrc), base: WireSeq(base), coverage }
        }).collect();
        let mut buf = vec![0; 300];
        let write = if draft { FlexRepair::write_03 } else { FlexRepair::write };
        let written = write(&recovery, &streams, &payload, &mut buf);
        if streams.iter().all(|stream| numbers(*stream).is_empty()) {
            prop_assert_eq!(written, Err(NoSpace));
            return Ok(());
        }
        let written = written.expect("room");
        let mut header = packet(0);
        header[0] |= streams.len() as u8;
        streams.iter().for_each(|stream| header.extend(stream.ssrc.0.to_be_bytes()));
        let header = Packet::parse(&header).expect("a packet");
        let bytes = &buf[..written];
        let parsed = if draft { Flex::parse_03(bytes) } else { Flex::parse(&header, bytes) };
        let read = repair(parsed.expect("what is written can be read"));
        prop_assert_eq!(read.recovery(), recovery);
        prop_assert!(read.streams().eq(streams.iter().copied()));
        prop_assert_eq!(read.payload(), &payload[..]);
        prop_assert_eq!(write(&recovery, &streams, &payload, &mut vec![0; written - 1]), Err(NoSpace));
    }
}
