use super::*;
use proptest::prelude::*;

const PORTS: Ports = Ports { source: 5_000, destination: 5_001 };

fn init() -> Init {
    Init {
        tag: 0x0102_0304,
        window: 1 << 17,
        outbound_streams: 65_535,
        inbound_streams: 1_024,
        tsn: 7,
        forward_tsn: true,
        re_config: true,
        cookie: Vec::new(),
    }
}

fn packet(chunks: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let mut writer = PacketWriter::new(PORTS, 9);
    chunks.iter().for_each(|(kind, flags, value)| writer.chunk(*kind, *flags, value));
    writer.finish()
}

/// The checksum made right again after a change.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[8..12].fill(0);
    let sum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn fault(bytes: &[u8]) -> Fault {
    Packet::parse(bytes).expect_err("refused").fault
}

#[test]
fn rfc_9260_appendix_a_the_checksum_stands_with_its_low_byte_first() {
    // CRC32c of 32 zero bytes is 0x8a9136aa (RFC 3720, appendix B.4).
    let bytes = resealed(&[0; 32]);
    assert_eq!(bytes[8..12], [0xaa, 0x36, 0x91, 0x8a]);
}

#[test]
fn what_is_written_is_read() {
    let bytes = packet(&[(kind::DATA, 3, &[0; 13]), (kind::COOKIE_ACK, 0, &[])]);
    assert_eq!(bytes.len(), 12 + 20 + 4);
    let packet = Packet::parse(&bytes).expect("well formed");
    assert_eq!((packet.ports(), packet.verification_tag()), (PORTS, 9));
    let chunks: Vec<_> = packet.chunks().map(|chunk| (chunk.kind, chunk.flags, chunk.value.len())).collect();
    assert_eq!(chunks, [(kind::DATA, 3, 13), (kind::COOKIE_ACK, 0, 0)]);
    assert_eq!(Init::parse(&init().to_value()), Ok(init()));
    let with_cookie = Init { cookie: vec![1, 2, 3], ..init() };
    assert_eq!(Init::parse(&with_cookie.to_value()), Ok(with_cookie));
}

#[test]
fn s_data_01_a_wrong_checksum_is_refused() {
    let good = packet(&[(kind::COOKIE_ACK, 0, &[])]);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(fault(&bytes), Fault::Checksum, "{at}");
    }
    // No checksum at all is not negotiated (RFC 9653).
    let mut none = good.clone();
    none[8..12].fill(0);
    assert_eq!(fault(&none), Fault::Checksum);
}

#[test]
fn s_data_02_chunks_end_within_their_packet() {
    let good = packet(&[(kind::DATA, 3, &[0; 13]), (kind::HEARTBEAT, 0, &[1, 2])]);
    for len in 0..=12 {
        assert_eq!(fault(&good[..len]), Fault::Length, "{len}");
    }
    for len in 0..4 {
        let mut bytes = good.clone();
        bytes[15] = len;
        assert_eq!(fault(&resealed(&bytes)), Fault::ChunkLength, "{len}");
    }
    let mut past = good.clone();
    past[14..16].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(fault(&resealed(&past)), Fault::ChunkLength);
    // The padding behind the last one may be missing, half a header may not follow.
    assert!(Packet::parse(&resealed(&good[..good.len() - 2])).is_ok());
    assert_eq!(fault(&resealed(&[&good[..], &[0, 0]].concat())), Fault::ChunkLength);
}

#[test]
fn s_data_02_an_init_stands_alone() {
    let value = init().to_value();
    assert!(Packet::parse(&packet(&[(kind::INIT, 0, &value)])).is_ok());
    for bundled in [kind::INIT, kind::INIT_ACK, kind::SHUTDOWN_COMPLETE] {
        for chunks in [
            [(bundled, 0, &value[..]), (kind::DATA, 3, &[0; 13])],
            [(kind::DATA, 3, &[0; 13]), (bundled, 0, &value)],
        ] {
            assert_eq!(fault(&packet(&chunks)), Fault::Bundled);
        }
    }
}

#[test]
fn s_data_02_parameters_end_within_their_chunk() {
    let value = Init { cookie: vec![1; 5], ..init() }.to_value();
    for len in 0..value.len() {
        match Init::parse(&value[..len]) {
            Err(error) => assert!(matches!(error.fault, Fault::Init | Fault::Parameter), "{len}"),
            // Cut between two parameters, or in padding.
            Ok(part) => assert!(part.cookie.len() <= 5),
        }
    }
    for wrong in [Init { tag: 0, ..init() }, Init { window: 1_499, ..init() }] {
        assert_eq!(Init::parse(&wrong.to_value()).expect_err("refused").fault, Fault::Init);
    }
    for wrong in [Init { outbound_streams: 0, ..init() }, Init { inbound_streams: 0, ..init() }] {
        assert_eq!(Init::parse(&wrong.to_value()).expect_err("refused").fault, Fault::Init);
    }
    // A length of zero does not stand still.
    let endless = [&init().to_value()[..], &[0x12, 0x34, 0, 0]].concat();
    assert_eq!(Init::parse(&endless).expect_err("refused").fault, Fault::Parameter);
}

#[test]
fn rfc_9260_3_3_4_blocks_of_a_sack_are_in_order() {
    let sack = |blocks: &[(u16, u16)], duplicates: u16| {
        let mut value = vec![0, 0, 0, 10, 0, 1, 0, 0];
        value.extend((blocks.len() as u16).to_be_bytes());
        value.extend(duplicates.to_be_bytes());
        blocks.iter().for_each(|(start, end)| {
            value.extend(start.to_be_bytes());
            value.extend(end.to_be_bytes());
        });
        value.extend(vec![0; 4 * usize::from(duplicates)]);
        value
    };
    let read = Sack::parse(&sack(&[(2, 3), (5, 5)], 1)).expect("well formed");
    assert_eq!(read, Sack { cumulative: 10, window: 1 << 16, gaps: 3, highest: 15 });
    for blocks in [&[(0, 1)][..], &[(3, 2)], &[(2, 3), (3, 4)]] {
        assert_eq!(Sack::parse(&sack(blocks, 0)).expect_err("refused").fault, Fault::Sack);
    }
    let good = sack(&[(2, 3)], 0);
    for len in 0..good.len() {
        assert!(Sack::parse(&good[..len]).is_err(), "{len}");
    }
}

#[test]
fn unknown_chunks_say_what_to_do_with_them() {
    let of = |kind| Chunk { kind, flags: 0, value: &[] }.if_unrecognized();
    assert_eq!([0x3f, 0x7f].map(of), [Unrecognized::Stop; 2]);
    assert_eq!([0xbf, 0xff].map(of), [Unrecognized::Skip; 2]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn s_data_02_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 12..200)) {
        if let Ok(packet) = Packet::parse(&resealed(&bytes)) {
            let mut writer = PacketWriter::new(packet.ports(), packet.verification_tag());
            for chunk in packet.chunks() {
                let _ = (Init::parse(chunk.value), Data::parse(&chunk), Sack::parse(chunk.value));
                let _ = ForwardTsn::parse(chunk.value);
                writer.copy(&chunk);
            }
            // What was read is written the same, but for padding.
            let written = writer.finish();
            let again = Packet::parse(&written).expect("well formed");
            prop_assert!(packet.chunks().eq(again.chunks()));
        }
    }
}

/// `a=sctp-init` of draft-hancke-tsvwg-snap-00, section 3.1, with its fields as they are told there.
#[test]
fn the_example_of_snap_is_read_and_written_as_it_is() {
    let chunk = crate::base::base64::decode("AQAAHols3R0AUAAA/////+B5ZR3AAAAEgAgABoLA").unwrap();
    let init = Init::parse_chunk(&chunk).unwrap();
    let fields = (init.tag, init.window, init.outbound_streams, init.inbound_streams, init.tsn);
    assert_eq!(fields, (0x896c_dd1d, 0x0050_0000, 65_535, 65_535, 0xe079_651d));
    assert!(init.forward_tsn && init.re_config && init.cookie.is_empty());
    assert_eq!(init.to_chunk(), chunk);
    for len in 0..chunk.len() {
        assert_eq!(Init::parse_chunk(&chunk[..len]), None, "cut at {len}");
    }
    // Filled up it is the same; behind that nothing may stand.
    let padded = [&chunk[..], &[0; 2]].concat();
    assert_eq!(Init::parse_chunk(&padded), Some(init));
    assert_eq!(Init::parse_chunk(&[&padded[..], &[0]].concat()), None);
}
