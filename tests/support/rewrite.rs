//! RTCP packets that were read, written again.

use estafette::Instant;
use estafette::rtcp::{ExtendedBlock, Packet, StreamMetrics, StreamReport, TransportFeedback, Writer};
use estafette::rtp::{NoSpace, WireSeq};

/// The times of feedback's statuses on the receiver's clock, a wrap up so that none is before its
/// start.
pub fn arrivals(feedback: &TransportFeedback<'_>) -> Vec<Option<Instant>> {
    let mut at = (i64::from(feedback.reference_time) + (1 << 24)) * 64_000;
    let arrival = |(_, delta): (WireSeq, Option<i16>)| {
        at += 250 * i64::from(delta?);
        Some(Instant::from_micros(at.cast_unsigned()))
    };
    feedback.statuses().map(arrival).collect()
}

/// The same packet again; `None` if it holds what is not written by the crate.
pub fn rewrite(packet: &Packet<'_>, writer: &mut Writer<'_>) -> Option<Result<(), NoSpace>> {
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
        Packet::Bye(bye) => {
            writer.bye(&bye.ssrcs().collect::<Vec<_>>(), bye.reason().unwrap_or_default())
        }
        Packet::Application(packet) => writer.application(packet),
        Packet::ExtendedReport(report) => {
            let (mut time, mut delays) = (None, Vec::new());
            for block in report.blocks() {
                match block {
                    ExtendedBlock::ReferenceTime(ntp) => time = Some(ntp),
                    ExtendedBlock::ReportDelays(block) => delays.extend(block.entries()),
                    _ => return None,
                }
            }
            writer.extended_report(report.ssrc, time, &delays)
        }
        Packet::Nack(nack) => writer.nack(nack.sender, nack.media, nack.numbers()),
        Packet::Pli(pli) => writer.pli(pli.sender, pli.media),
        Packet::Fir(fir) => writer.fir(fir.sender, &fir.entries().collect::<Vec<_>>()),
        Packet::TransportFeedback(feedback) => {
            let TransportFeedback { sender, media, feedback_count, base_seq, .. } = *feedback;
            let arrivals = arrivals(feedback);
            writer.transport_feedback(sender, media, feedback_count, base_seq, arrivals).map(|_| ())
        }
        Packet::Remb(remb) => {
            writer.remb(remb.sender, remb.bitrate, &remb.ssrcs().collect::<Vec<_>>())
        }
        Packet::CongestionFeedback(feedback) => {
            let streams: Vec<_> = feedback.streams().collect();
            let metrics = |stream: &StreamMetrics<'_>| stream.metrics().map(|(_, metric)| metric).collect();
            let metrics: Vec<Vec<_>> = streams.iter().map(metrics).collect();
            let report = |(stream, metrics): (&StreamMetrics<'_>, _)| StreamReport {
                ssrc: stream.ssrc,
                begin_seq: stream.begin_seq,
                metrics,
            };
            let reports: Vec<_> =
                streams.iter().zip(metrics.iter().map(Vec::as_slice)).map(report).collect();
            writer.congestion_feedback(feedback.sender, feedback.timestamp, &reports)
        }
        _ => return None,
    })
}
