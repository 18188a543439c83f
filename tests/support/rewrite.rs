//! RTCP packets that were read: in words, and written again.

#![allow(dead_code)] // each user needs a part

use estafette::rtcp::{
    Arrival, ExtendedBlock, Metric, Packet, ReportBlock, ReportDelay, StreamMetrics, StreamReport,
    TransportFeedback, Writer,
};
use estafette::rtp::{NoSpace, WireSeq};
use estafette::{Ecn, Instant};

/// The times of feedback's statuses on the receiver's clock, a wrap up so that none is before its
/// start.
pub(crate) fn arrivals(feedback: &TransportFeedback<'_>) -> Vec<Option<Instant>> {
    let mut at = (i64::from(feedback.reference_time) + (1 << 24)) * 64_000;
    let arrival = |(_, delta): (WireSeq, Option<i16>)| {
        at += 250 * i64::from(delta?);
        Some(Instant::from_micros(at.cast_unsigned()))
    };
    feedback.statuses().map(arrival).collect()
}

/// The same packet again; `None` if it holds what is not written by the crate.
pub(crate) fn rewrite(packet: &Packet<'_>, writer: &mut Writer<'_>) -> Option<Result<(), NoSpace>> {
    Some(match packet {
        Packet::SenderReport(report) => {
            writer.sender_report(&report.info, &report.reports().collect::<Vec<_>>())
        }
        Packet::ReceiverReport(report) => {
            writer.receiver_report(report.ssrc, &report.reports().collect::<Vec<_>>())
        }
        Packet::SourceDescription(description) => {
            writer.source_description(&description.items().collect::<Vec<_>>())
        }
        Packet::Bye(bye) => writer.bye(&bye.ssrcs().collect::<Vec<_>>(), bye.reason().unwrap_or_default()),
        Packet::Application(packet) => writer.application(packet),
        Packet::ExtendedReport(report) => {
            // One block of each at most, in this order, is what the writer writes.
            let (mut time, mut delays) = (None, Vec::new());
            for block in report.blocks() {
                match block {
                    ExtendedBlock::ReferenceTime(ntp) if time.is_none() && delays.is_empty() => {
                        time = Some(ntp);
                    }
                    // A block without entries says nothing and is not written.
                    ExtendedBlock::ReportDelays(block)
                        if delays.is_empty() && block.entries().next().is_some() =>
                    {
                        delays.extend(block.entries());
                    }
                    _ => return None,
                }
            }
            writer.extended_report(report.ssrc, time, &delays)
        }
        Packet::Nack(nack) => writer.nack(nack.sender, nack.media, nack.numbers()),
        Packet::Pli(pli) => writer.pli(pli.sender, pli.media),
        Packet::Sli(sli) => writer.sli(sli.sender, sli.media, &sli.entries().collect::<Vec<_>>()),
        Packet::Tmmbr(request) => writer.tmmbr(request.sender, &request.entries().collect::<Vec<_>>()),
        Packet::Tmmbn(limits) => writer.tmmbn(limits.sender, &limits.entries().collect::<Vec<_>>()),
        Packet::Fir(fir) => writer.fir(fir.sender, &fir.entries().collect::<Vec<_>>()),
        Packet::TransportFeedback(feedback) => {
            let TransportFeedback { sender, media, feedback_count, base_seq, .. } = *feedback;
            let arrivals = arrivals(feedback);
            writer.transport_feedback(sender, media, feedback_count, base_seq, arrivals).map(|_| ())
        }
        Packet::Remb(remb) => writer.remb(remb.sender, remb.bitrate, &remb.ssrcs().collect::<Vec<_>>()),
        Packet::CongestionFeedback(feedback) => {
            let streams: Vec<_> = feedback.streams().collect();
            let metrics = |stream: &StreamMetrics<'_>| stream.metrics().map(|(_, metric)| metric).collect();
            let metrics: Vec<Vec<_>> = streams.iter().map(metrics).collect();
            let report = |(stream, metrics): (&StreamMetrics<'_>, _)| StreamReport {
                ssrc: stream.ssrc,
                begin_seq: stream.begin_seq,
                metrics,
            };
            let reports: Vec<_> = streams.iter().zip(metrics.iter().map(Vec::as_slice)).map(report).collect();
            writer.congestion_feedback(feedback.sender, feedback.timestamp, &reports)
        }
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything that a packet says.
pub(crate) fn said(packet: &Packet<'_>) -> String {
    let blocks = |blocks: &mut dyn Iterator<Item = ReportBlock>| {
        let block = |block: ReportBlock| {
            let lost = block.cumulative_lost & 0xff_ffff;
            let numbers = [block.highest_seq, block.jitter, block.last_sr, block.delay_since_last_sr];
            format!("{} {} {lost} {numbers:?}", block.ssrc.0, block.fraction_lost)
        };
        blocks.map(block).collect::<Vec<_>>()
    };
    match packet {
        Packet::SenderReport(report) => {
            let info = report.info;
            let counts = (info.packet_count, info.octet_count);
            let head = format!("SR {} {} {} {counts:?}", info.ssrc.0, info.ntp.0, info.rtp_time.0);
            format!("{head} {:?}", blocks(&mut report.reports()))
        }
        Packet::ReceiverReport(report) => format!("RR {} {:?}", report.ssrc.0, blocks(&mut report.reports())),
        Packet::SourceDescription(description) => {
            let items: Vec<_> = description
                .items()
                .map(|item| format!("{} {} {}", item.ssrc.0, item.kind, hex(item.value)))
                .collect();
            format!("SDES {items:?}")
        }
        Packet::Bye(bye) => {
            let ssrcs: Vec<_> = bye.ssrcs().map(|ssrc| ssrc.0).collect();
            format!("BYE {ssrcs:?} {}", bye.reason().unwrap_or_default())
        }
        Packet::Application(app) => {
            format!("APP {} {} {}", app.ssrc.0, hex(&app.name), hex(app.data.as_flattened()))
        }
        Packet::ExtendedReport(report) => {
            let blocks: Vec<_> = report
                .blocks()
                .map(|block| match block {
                    ExtendedBlock::ReferenceTime(ntp) => format!("RRTR {}", ntp.0),
                    ExtendedBlock::ReportDelays(delays) => {
                        let entry =
                            |delay: ReportDelay| (delay.ssrc.0, delay.last_rr, delay.delay_since_last_rr);
                        format!("DLRR {:?}", delays.entries().map(entry).collect::<Vec<_>>())
                    }
                    _ => "other".into(),
                })
                .collect();
            format!("XR {} {blocks:?}", report.ssrc.0)
        }
        Packet::Nack(nack) => {
            let numbers: Vec<_> = nack.numbers().map(|seq| seq.0).collect();
            format!("NACK {} {} {numbers:?}", nack.sender.0, nack.media.0)
        }
        Packet::Pli(pli) => format!("PLI {} {}", pli.sender.0, pli.media.0),
        Packet::Sli(sli) => {
            let entries: Vec<_> =
                sli.entries().map(|entry| (entry.first, entry.number, entry.picture_id)).collect();
            format!("SLI {} {} {entries:?}", sli.sender.0, sli.media.0)
        }
        Packet::Fir(fir) => {
            let entries: Vec<_> = fir.entries().map(|entry| (entry.ssrc.0, entry.sequence_number)).collect();
            format!("FIR {} {entries:?}", fir.sender.0)
        }
        Packet::Remb(remb) => {
            let ssrcs: Vec<_> = remb.ssrcs().map(|ssrc| ssrc.0).collect();
            format!("REMB {} {} {ssrcs:?}", remb.sender.0, remb.bitrate.as_bps() as f32)
        }
        Packet::TransportFeedback(feedback) => {
            let statuses: Vec<_> = feedback.statuses().map(|(seq, delta)| (seq.0, delta)).collect();
            let head =
                (feedback.sender.0, feedback.media.0, feedback.reference_time, feedback.feedback_count);
            format!("TWCC {head:?} {statuses:?}")
        }
        Packet::CongestionFeedback(feedback) => {
            let streams: Vec<_> = feedback
                .streams()
                .map(|stream| {
                    let metric = |(_, metric): (_, Option<Metric>)| {
                        metric.map(|metric| {
                            let ecn = match metric.ecn {
                                Ecn::NotEct => 0,
                                Ecn::Ect1 => 1,
                                Ecn::Ect0 => 2,
                                Ecn::Ce => 3,
                            };
                            let offset = match metric.arrival {
                                Arrival::Before(units) => units,
                                Arrival::OverRange => 0x1ffe,
                                Arrival::Unavailable => 0x1fff,
                            };
                            (ecn, offset)
                        })
                    };
                    let metrics: Vec<_> = stream.metrics().map(metric).collect();
                    (stream.ssrc.0, stream.begin_seq.0, metrics)
                })
                .collect();
            format!("CCFB {} {} {streams:?}", feedback.sender.0, feedback.timestamp)
        }
        _ => "other".into(),
    }
}
