//! Another implementation reads what is written here, and arbitrary bytes add up.

use ::rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};

use super::*;

fn ssrc() -> impl Strategy<Value = Ssrc> {
    any::<u32>().prop_map(Ssrc)
}

prop_compose! {
    fn block()(
        ssrc in ssrc(),
        fraction_lost: u8,
        // The other implementation takes it for a number without sign.
        cumulative_lost in 0..0x80_0000i32,
        highest_seq: u32,
        jitter: u32,
        last_sr: u32,
        delay_since_last_sr: u32,
    ) -> ReportBlock {
        ReportBlock { ssrc, fraction_lost, cumulative_lost, highest_seq, jitter, last_sr, delay_since_last_sr }
    }
}

prop_compose! {
    fn info()(ssrc in ssrc(), ntp: u64, rtp_time: u32, packet_count: u32, octet_count: u32) -> SenderInfo {
        SenderInfo { ssrc, ntp: NtpTime(ntp), rtp_time: RtpTime(rtp_time), packet_count, octet_count }
    }
}

/// Arrivals with losses, reordering, and gaps that take each kind of delta and sometimes none.
fn arrival_times() -> impl Strategy<Value = Vec<Option<Instant>>> {
    let step = prop_oneof![
        4 => Just(None),
        8 => (0i64..60_000).prop_map(Some),
        1 => (-100_000i64..400_000).prop_map(Some),
        1 => (-9_000_000i64..9_000_000).prop_map(Some),
    ];
    let runs = vec((step, prop_oneof![4 => 1usize..4, 1 => 1usize..60]), 1..20);
    (10_000_000_000u64..1 << 44, runs).prop_map(|(start, runs)| {
        let mut at = start;
        let steps = runs.into_iter().flat_map(|(step, len)| std::iter::repeat_n(step, len));
        let arrival = |step: Option<i64>| {
            at = at.saturating_add_signed(step?);
            Some(Instant::from_micros(at))
        };
        steps.map(arrival).collect()
    })
}

/// What the other implementation reads, written by itself.
fn echo(bytes: &[u8]) -> Vec<u8> {
    let theirs = ::rtcp::packet::unmarshal(&mut &bytes[..]).expect("readable");
    ::rtcp::packet::marshal(&theirs).expect("writable").to_vec()
}

/// The one packet in `bytes` as the other implementation reads it.
fn theirs<T: Clone + 'static>(bytes: &[u8]) -> T {
    let packets = ::rtcp::packet::unmarshal(&mut &bytes[..]).expect("readable");
    let [packet] = &packets[..] else { panic!("one packet") };
    packet.as_any().downcast_ref::<T>().expect("of that type").clone()
}

fn written(write: impl FnOnce(&mut Writer<'_>) -> Result<(), NoSpace>) -> Vec<u8> {
    let mut buf = vec![0xee; 4_096];
    let mut writer = Writer::new(&mut buf);
    write(&mut writer).expect("room");
    let len = writer.len();
    buf.truncate(len);
    buf
}

proptest! {
    #[test]
    fn another_implementation_echoes_our_reports(
        info in info(),
        blocks in vec(block(), 0..32),
        cname in "[a-zA-Z0-9{}-]{1,40}",
        ended in vec(ssrc(), 1..32),
    ) {
        let reports = written(|writer| {
            writer.sender_report(&info, &blocks)?;
            writer.receiver_report(info.ssrc, &blocks)
        });
        prop_assert_eq!(echo(&reports), &reports[..]);
        // Theirs writes counts of padding into these two where there is none: only read them.
        let description = written(|writer| writer.sdes_cname(info.ssrc, &cname));
        let goodbye = written(|writer| writer.bye(&ended, ""));
        let named: ::rtcp::source_description::SourceDescription = theirs(&description);
        prop_assert_eq!(named.chunks[0].source, info.ssrc.0);
        prop_assert_eq!(&named.chunks[0].items[0].text, cname.as_bytes());
        let gone: ::rtcp::goodbye::Goodbye = theirs(&goodbye);
        prop_assert!(gone.sources.into_iter().eq(ended.iter().map(|ssrc| ssrc.0)));

        let bytes = [reports, description, goodbye].concat();
        let packets: Vec<_> = Compound::parse(&bytes).expect("ours").packets().collect();
        let [
            Packet::SenderReport(sent),
            Packet::ReceiverReport(received),
            Packet::SourceDescription(description),
            Packet::Bye(bye),
        ] = packets[..] else { panic!("{packets:?}") };
        prop_assert_eq!(sent.info, info);
        prop_assert!(sent.reports().eq(blocks.iter().copied()));
        prop_assert!(received.ssrc == info.ssrc && received.reports().eq(blocks));
        prop_assert_eq!(description.cname(info.ssrc), Some(&cname[..]));
        prop_assert!(bye.ssrcs().eq(ended));
    }

    #[test]
    fn another_implementation_reads_our_requests(
        [sender, media] in [ssrc(), ssrc()],
        start: u16,
        gaps in vec(1u16..40, 0..40),
        entries in vec((ssrc(), any::<u8>()), 1..20),
    ) {
        let numbers: Vec<_> = std::iter::once(start)
            .chain(gaps.iter().scan(start, |at, gap| { *at = at.wrapping_add(*gap); Some(*at) }))
            .collect();
        let entries: Vec<_> = entries
            .into_iter()
            .map(|(ssrc, sequence_number)| FirEntry { ssrc, sequence_number })
            .collect();
        let nack = written(|writer| writer.nack(sender, media, numbers.iter().copied().map(WireSeq)));
        let pli = written(|writer| writer.pli(sender, media));
        let fir = written(|writer| writer.fir(sender, &entries));

        use ::rtcp::payload_feedbacks::{full_intra_request, picture_loss_indication};
        use ::rtcp::transport_feedbacks::transport_layer_nack;
        let theirs_nack: transport_layer_nack::TransportLayerNack = theirs(&nack);
        let named: Vec<_> = theirs_nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
        prop_assert_eq!((theirs_nack.sender_ssrc, theirs_nack.media_ssrc), (sender.0, media.0));
        prop_assert_eq!(named, numbers);
        let theirs_pli: picture_loss_indication::PictureLossIndication = theirs(&pli);
        prop_assert_eq!((theirs_pli.sender_ssrc, theirs_pli.media_ssrc), (sender.0, media.0));
        let theirs_fir: full_intra_request::FullIntraRequest = theirs(&fir);
        let asked = theirs_fir.fir.iter().map(|entry| (entry.ssrc, entry.sequence_number));
        prop_assert!(asked.eq(entries.iter().map(|entry| (entry.ssrc.0, entry.sequence_number))));

        let bytes = [nack, pli, fir].concat();
        prop_assert_eq!(echo(&bytes), &bytes[..]);
        let mut again = vec![0; bytes.len()];
        let mut writer = Writer::new(&mut again);
        for packet in Compound::parse(&bytes).expect("ours") {
            prop_assert_eq!(rewrite(&packet, &mut writer), Some(Ok(())));
        }
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn another_implementation_reads_our_estimates(
        sender in ssrc(),
        bps in 0u64..1 << 40,
        ssrcs in vec(ssrc(), 1..20),
    ) {
        use ::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate as remb;
        let bytes = written(|writer| writer.remb(sender, Bitrate::from_bps(bps), &ssrcs));
        let theirs: remb::ReceiverEstimatedMaximumBitrate = theirs(&bytes);
        prop_assert_eq!(theirs.sender_ssrc, sender.0);
        prop_assert!(theirs.ssrcs.into_iter().eq(ssrcs.iter().map(|ssrc| ssrc.0)));
        let Some(Packet::Remb(ours)) = Compound::parse(&bytes).expect("ours").packets().next() else {
            panic!("not an estimate");
        };
        // 18 significant bits: exact in their type.
        prop_assert_eq!(theirs.bitrate as u64, ours.bitrate.as_bps());
        prop_assert!(ours.bitrate.as_bps() <= bps && ours.ssrcs().eq(ssrcs));
    }

    #[test]
    fn another_implementation_reads_our_transport_wide_feedback(
        [sender, media] in [ssrc(), ssrc()],
        feedback_count: u8,
        base: u16,
        arrivals in arrival_times(),
        room in 40usize..700,
    ) {
        let mut buf = vec![0xee; room];
        let mut writer = Writer::new(&mut buf);
        let told = writer.transport_feedback(sender, media, feedback_count, WireSeq(base), arrivals.iter().copied());
        let len = writer.len();
        let Ok(told @ 1..) = told else {
            let first = arrivals.iter().position(Option::is_some);
            prop_assert!(len == 0 && first.is_none_or(|first| told.is_err() && first > 14));
            return Ok(());
        };

        let theirs: TransportLayerCc = theirs(&buf[..len]);
        prop_assert_eq!((theirs.sender_ssrc, theirs.media_ssrc), (sender.0, media.0));
        prop_assert_eq!((theirs.base_sequence_number, theirs.fb_pkt_count), (base, feedback_count));
        prop_assert_eq!(usize::from(theirs.packet_status_count), told);
        let mut symbols = symbols(&theirs.packet_chunks);
        symbols.truncate(told);
        let mut deltas = theirs.recv_deltas.iter();
        // Their times wrap with 24 bits of 64 ms; so shall ours.
        let wrap = (1 << 24) * 64_000;
        let mut at = i64::from(theirs.reference_time) * 64_000;
        for (symbol, arrival) in symbols.iter().zip(&arrivals) {
            prop_assert_eq!(*symbol == SymbolTypeTcc::PacketNotReceived, arrival.is_none());
            if let Some(arrival) = arrival {
                at += deltas.next().expect("one for each").delta;
                let truth = (arrival.as_micros() / 250 * 250 % wrap) as i64;
                prop_assert_eq!((truth - at).rem_euclid(wrap as i64), 0);
            }
        }
        prop_assert_eq!(deltas.next(), None);
        prop_assert_eq!(echo(&buf[..len]), &buf[..len]);
        prop_assert!(told == arrivals.len() || ends_rightly(&arrivals, told, room - len));
    }

    #[test]
    fn s_rtcp_01_damaged_compounds_are_refused_or_add_up(
        at in any::<prop::sample::Index>(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let captured = captured();
        let mut bytes = at.get(&captured).clone();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        check_all(&bytes)?;
    }

    #[test]
    fn s_rtcp_01_arbitrary_bytes_are_refused_or_add_up(
        packets in vec((0u8..=255, 198u8..210, vec(any::<u8>(), 0..60)), 0..6),
        rest in vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = Vec::new();
        for (first, packet_type, mut body) in packets {
            body.truncate(body.len() / 4 * 4);
            let words = u8::try_from(body.len() / 4).expect("short");
            bytes.extend_from_slice(&[first & 0x3f | 0x80, packet_type, 0, words]);
            bytes.extend_from_slice(&body);
        }
        bytes.extend_from_slice(&rest);
        check_all(&bytes)?;
    }
}

/// Walks everything in arbitrary bytes; no count may promise more than the bytes hold.
fn check_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(compound) = Compound::parse(bytes) else {
        return Ok(());
    };
    let mut framed = 0;
    for packet in compound {
        framed += 4;
        let len = bytes.len();
        match packet {
            Packet::SenderReport(report) => prop_assert!(report.reports().count() * 24 <= len),
            Packet::ReceiverReport(report) => prop_assert!(report.reports().count() * 24 <= len),
            Packet::SourceDescription(description) => {
                let items = description.items().map(|item| item.value.len() + 2);
                prop_assert!(items.sum::<usize>() <= len);
            }
            Packet::Bye(bye) => {
                prop_assert!(bye.ssrcs().len() * 4 + bye.reason().map_or(0, str::len) <= len);
            }
            Packet::Application(packet) => prop_assert!(8 + packet.data.len() * 4 <= len),
            Packet::ExtendedReport(report) => {
                let blocks = report.blocks().map(|block| match block {
                    ExtendedBlock::ReferenceTime(_) => 12,
                    ExtendedBlock::ReportDelays(delays) => 4 + 12 * delays.entries().count(),
                    ExtendedBlock::Other { body, .. } => 4 + body.len(),
                });
                prop_assert!(blocks.sum::<usize>() <= len);
            }
            Packet::Sli(sli) => prop_assert!(sli.entries().len() * 4 <= len),
            Packet::Tmmbr(request) => prop_assert!(request.entries().len() * 8 <= len),
            Packet::Tmmbn(limits) => prop_assert!(limits.entries().len() * 8 <= len),
            Packet::CongestionFeedback(feedback) => {
                let metrics = feedback.streams().map(|stream| 8 + 2 * stream.metrics().count());
                prop_assert!(metrics.sum::<usize>() <= len);
            }
            Packet::Nack(nack) => prop_assert!(nack.numbers().count() <= len / 4 * 17),
            Packet::Pli(_) => {}
            Packet::Fir(fir) => prop_assert!(fir.entries().count() * 8 <= len),
            Packet::TransportFeedback(feedback) => {
                let statuses = feedback.statuses();
                prop_assert_eq!(statuses.clone().count(), usize::from(feedback.status_count));
                let received = statuses.filter_map(|(seq, delta)| Some((seq, delta?)));
                prop_assert!(feedback.received().eq(received));
                prop_assert!(feedback.received().count() <= len);
            }
            Packet::Remb(remb) => prop_assert!(remb.ssrcs().len() * 4 <= len),
            Packet::Other(other) => framed += other.body.len(),
        }
    }
    prop_assert!(framed > 0 && framed <= bytes.len());
    Ok(())
}

fn symbols(chunks: &[PacketStatusChunk]) -> Vec<SymbolTypeTcc> {
    let symbols = |chunk: &PacketStatusChunk| match chunk {
        PacketStatusChunk::RunLengthChunk(run) => {
            vec![run.packet_status_symbol; usize::from(run.run_length)]
        }
        PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
    };
    chunks.iter().flat_map(symbols).collect()
}

/// Whether feedback about the first `told` of `arrivals` had a reason to end there.
fn ends_rightly(arrivals: &[Option<Instant>], told: usize, space_left: usize) -> bool {
    let tick = |at: &Option<Instant>| at.map(|at| (at.as_micros() / 250).cast_signed());
    let (before, behind) = arrivals.split_at(told);
    let last = before.iter().rev().find_map(tick);
    let delta = last.zip(behind.first().and_then(tick)).map(|(last, next)| next - last);
    // A status takes at most a chunk and a delta of two bytes each, then padding.
    delta.is_some_and(|delta| i16::try_from(delta).is_err()) || space_left < 8
}
