//! What is written is read: a property for each kind of packet.

use super::*;

fn ssrc() -> impl Strategy<Value = Ssrc> {
    any::<u32>().prop_map(Ssrc)
}

/// Writes a packet behind another one and returns it alone; the bytes behind it are untouched.
fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>) -> Vec<u8> {
    let mut buf = vec![0xee; 66_000];
    let mut writer = Writer::new(&mut buf);
    writer.pli(Ssrc(1), Ssrc(2)).expect("room");
    write(&mut writer).expect("room");
    let len = writer.len();
    assert!(buf[len..].iter().all(|byte| *byte == 0xee));
    buf[12..len].to_vec()
}

/// The one packet in `bytes`, and the same bytes when it is written once more.
fn one(bytes: &[u8]) -> Packet<'_> {
    let compound = Compound::parse(bytes).expect("ours");
    assert_eq!(compound.dropped(), None);
    let packets: Vec<_> = compound.packets().collect();
    let [packet] = packets[..] else { panic!("{packets:?}") };
    let mut again = vec![0; bytes.len()];
    let mut writer = Writer::new(&mut again);
    assert_eq!(rewrite(&packet, &mut writer), Some(Ok(())));
    assert_eq!(again, bytes);
    packet
}

prop_compose! {
    fn block()(
        ssrc in ssrc(),
        fraction_lost: u8,
        cumulative_lost in -0x80_0000..0x80_0000i32,
        [highest_seq, jitter, last_sr, delay_since_last_sr]: [u32; 4],
    ) -> ReportBlock {
        ReportBlock { ssrc, fraction_lost, cumulative_lost, highest_seq, jitter, last_sr, delay_since_last_sr }
    }
}

fn metric() -> impl Strategy<Value = Option<Metric>> {
    let ecn = prop_oneof![Just(Ecn::NotEct), Just(Ecn::Ect1), Just(Ecn::Ect0), Just(Ecn::Ce)];
    let arrival = prop_oneof![
        8 => (0u16..0x1ffe).prop_map(Arrival::Before),
        1 => Just(Arrival::OverRange),
        1 => Just(Arrival::Unavailable),
    ];
    proptest::option::of((ecn, arrival).prop_map(|(ecn, arrival)| Metric { ecn, arrival }))
}

proptest! {
    #[test]
    fn reports_are_read_as_written(
        ssrc in ssrc(),
        ntp: u64,
        [rtp_time, packet_count, octet_count]: [u32; 3],
        blocks in vec(block(), 0..32),
    ) {
        let info = SenderInfo { ssrc, ntp: NtpTime(ntp), rtp_time: RtpTime(rtp_time), packet_count, octet_count };
        let bytes = written(|writer| writer.sender_report(&info, &blocks));
        let Packet::SenderReport(read) = one(&bytes) else { panic!("not a sender report") };
        prop_assert!(read.info == info && read.reports().eq(blocks.iter().copied()));

        let bytes = written(|writer| writer.receiver_report(ssrc, &blocks));
        let Packet::ReceiverReport(read) = one(&bytes) else { panic!("not a receiver report") };
        prop_assert!(read.ssrc == ssrc && read.reports().eq(blocks));
    }

    #[test]
    fn descriptions_are_read_as_written(
        sources in vec((any::<u32>(), vec((1u8.., "[a-z\u{e9}]{0,80}"), 1..5)), 0..31),
    ) {
        let mut items = Vec::new();
        for (at, (ssrc, of)) in sources.iter().enumerate() {
            // Neighbours differ, else they would share a chunk.
            let ssrc = Ssrc(ssrc & !1 | at as u32 & 1);
            let item = |(kind, text): &'_ (u8, String)| (ssrc, *kind, text.clone());
            items.extend(of.iter().map(item));
        }
        let items: Vec<_> = items
            .iter()
            .map(|(ssrc, kind, text)| SourceItem { ssrc: *ssrc, kind: *kind, value: text.as_bytes() })
            .collect();
        let bytes = written(|writer| writer.source_description(&items));
        let Packet::SourceDescription(read) = one(&bytes) else { panic!("not a description") };
        prop_assert!(read.items().eq(items));
    }

    #[test]
    fn private_items_are_read_as_written(ssrc in ssrc(), prefix in "[a-z\u{e9}]{0,60}", value in "[a-z\u{e9}]{0,60}") {
        let bytes = written(|writer| writer.sdes_private(ssrc, &prefix, &value));
        let Packet::SourceDescription(read) = one(&bytes) else { panic!("not a description") };
        let item = read.items().next().expect("one");
        prop_assert_eq!(item.private(), Some((&prefix[..], &value[..])));
    }

    #[test]
    fn goodbyes_are_read_as_written(ssrcs in vec(ssrc(), 0..32), reason in "[a-z\u{e9}]{0,120}") {
        let bytes = written(|writer| writer.bye(&ssrcs, &reason));
        let Packet::Bye(read) = one(&bytes) else { panic!("not a goodbye") };
        prop_assert!(read.ssrcs().eq(ssrcs));
        prop_assert_eq!(read.reason().unwrap_or_default(), reason);
    }

    #[test]
    fn application_packets_are_read_as_written(ssrc in ssrc(), subtype in 0u8..32, name: [u8; 4], data in vec(any::<[u8; 4]>(), 0..40)) {
        let packet = Application { ssrc, subtype, name, data: &data };
        let bytes = written(|writer| writer.application(&packet));
        let Packet::Application(read) = one(&bytes) else { panic!("not an application's") };
        prop_assert_eq!(read, packet);
    }

    #[test]
    fn extended_reports_are_read_as_written(
        ssrc in ssrc(),
        time in proptest::option::of(any::<u64>().prop_map(NtpTime)),
        delays in vec((ssrc(), any::<[u32; 2]>()), 0..40),
    ) {
        let delays: Vec<_> = delays
            .into_iter()
            .map(|(ssrc, [last_rr, delay_since_last_rr])| ReportDelay { ssrc, last_rr, delay_since_last_rr })
            .collect();
        let bytes = written(|writer| writer.extended_report(ssrc, time, &delays));
        if time.is_none() && delays.is_empty() {
            prop_assert!(bytes.is_empty());
            return Ok(());
        }
        let Packet::ExtendedReport(read) = one(&bytes) else { panic!("not an extended report") };
        let (mut times, mut told) = (Vec::new(), Vec::new());
        for block in read.blocks() {
            match block {
                ExtendedBlock::ReferenceTime(ntp) => times.push(ntp),
                ExtendedBlock::ReportDelays(delays) => told.extend(delays.entries()),
                ExtendedBlock::Other { .. } => panic!("not written"),
            }
        }
        prop_assert_eq!((read.ssrc, told), (ssrc, delays));
        prop_assert!(times.into_iter().eq(time));
    }

    #[test]
    fn requests_are_read_as_written(
        [sender, media] in [ssrc(), ssrc()],
        start: u16,
        gaps in vec(1u16..40, 0..40),
        entries in vec((ssrc(), any::<u8>()), 1..40),
    ) {
        let numbers: Vec<_> = std::iter::once(start)
            .chain(gaps.iter().scan(start, |at, gap| { *at = at.wrapping_add(*gap); Some(*at) }))
            .map(WireSeq)
            .collect();
        let bytes = written(|writer| writer.nack(sender, media, numbers.iter().copied()));
        let Packet::Nack(read) = one(&bytes) else { panic!("not a NACK") };
        prop_assert!((read.sender, read.media) == (sender, media) && read.numbers().eq(numbers));

        let bytes = written(|writer| writer.pli(sender, media));
        let Packet::Pli(read) = one(&bytes) else { panic!("not an indication") };
        prop_assert_eq!(read, Pli { sender, media });

        let entries: Vec<_> = entries
            .into_iter()
            .map(|(ssrc, sequence_number)| FirEntry { ssrc, sequence_number })
            .collect();
        let bytes = written(|writer| writer.fir(sender, &entries));
        let Packet::Fir(read) = one(&bytes) else { panic!("not a request") };
        prop_assert!(read.sender == sender && read.entries().eq(entries));
    }

    #[test]
    fn estimates_are_read_as_written(sender in ssrc(), mantissa in 0u64..1 << 18, exponent in 0u32..46, ssrcs in vec(ssrc(), 0..256)) {
        let bitrate = Bitrate::from_bps(mantissa << exponent);
        let bytes = written(|writer| writer.remb(sender, bitrate, &ssrcs));
        let Packet::Remb(read) = one(&bytes) else { panic!("not an estimate") };
        prop_assert_eq!((read.sender, read.bitrate), (sender, bitrate));
        prop_assert!(read.ssrcs().eq(ssrcs));
    }

    #[test]
    fn transport_wide_feedback_is_read_as_written(
        [sender, media] in [ssrc(), ssrc()],
        feedback_count: u8,
        base: u16,
        start in 1u64 << 32..1 << 40,
        steps in vec(proptest::option::weighted(0.8, -2_000i64..40_000), 1..200),
    ) {
        let mut at = start.cast_signed() * 250;
        let arrivals: Vec<_> = steps
            .iter()
            .map(|step| { at += 250 * (*step)?; Some(Instant::from_micros(at.cast_unsigned())) })
            .collect();
        let mut told = 0;
        let bytes = written(|writer| {
            told = writer.transport_feedback(sender, media, feedback_count, WireSeq(base), arrivals.iter().copied())?;
            Ok(())
        });
        if told == 0 {
            prop_assert!(arrivals.iter().all(Option::is_none) && bytes.is_empty());
            return Ok(());
        }
        let packet = Compound::parse(&bytes).expect("ours").packets().next();
        let Some(Packet::TransportFeedback(read)) = packet else { panic!("not feedback") };
        prop_assert_eq!((read.sender, read.media, read.feedback_count), (sender, media, feedback_count));
        prop_assert_eq!((read.base_seq, usize::from(read.status_count)), (WireSeq(base), told));
        // Relative to the first, for the time wraps.
        let mut at = 0;
        let read: Vec<_> = read.statuses().map(|(_, delta)| { at += i64::from(delta?); Some(at) }).collect();
        let first = arrivals.iter().flatten().next().expect("told");
        let ticks = |at: &Instant| (at.as_micros() / 250).cast_signed();
        let offset = read.iter().flatten().next().expect("told") - ticks(first);
        let expected = arrivals[..told].iter().map(|at| Some(ticks(&(*at)?) + offset));
        prop_assert!(read.into_iter().eq(expected));
    }

    #[test]
    fn congestion_feedback_is_read_as_written(
        sender in ssrc(),
        timestamp: u32,
        streams in vec((ssrc(), any::<u16>(), vec(metric(), 0..40)), 1..20),
    ) {
        let reports: Vec<_> = streams
            .iter()
            .map(|(ssrc, begin, metrics)| StreamReport { ssrc: *ssrc, begin_seq: WireSeq(*begin), metrics })
            .collect();
        let bytes = written(|writer| writer.congestion_feedback(sender, timestamp, &reports));
        let Packet::CongestionFeedback(read) = one(&bytes) else { panic!("not feedback") };
        prop_assert_eq!((read.sender, read.timestamp), (sender, timestamp));
        let read: Vec<_> = read
            .streams()
            .map(|stream| {
                let seqs = stream.metrics().map(|(seq, _)| seq);
                assert!(seqs.eq((0..).map(|at| stream.begin_seq.add(at)).take(stream.metrics().len())));
                let metrics = stream.metrics().map(|(_, metric)| metric).collect::<Vec<_>>();
                (stream.ssrc, stream.begin_seq.0, metrics)
            })
            .collect();
        prop_assert_eq!(read, streams);
    }
}
