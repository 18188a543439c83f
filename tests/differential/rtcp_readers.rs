//! One packet as each implementation reads it, in words that can be compared.

use crate::rewrite::said;
use estafette::Bitrate;
use estafette::rtcp::{Compound, item};
use rtcp_types::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Everything it says.
    Said(String),
    Refused,
    /// A kind that the implementation does not know.
    Unread,
    /// A panic is no verdict.
    Panicked,
}
use Reading::{Panicked, Refused, Said, Unread};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text, where it is text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn guarded(read: impl FnOnce() -> Reading) -> Reading {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Panicked)
}

pub(crate) fn ours(bytes: &[u8]) -> Reading {
    let Ok(compound) = Compound::parse(bytes) else { return Refused };
    let mut packets = compound.packets();
    let (Some(packet), None, None) = (packets.next(), packets.next(), compound.dropped()) else {
        return Refused;
    };
    Said(said(&packet))
}

/// The implementation that came from Go's pion.
pub(crate) fn pion(bytes: &[u8]) -> Reading {
    guarded(|| {
        let Ok(packets) = ::rtcp::packet::unmarshal(&mut &bytes[..]) else { return Refused };
        let [packet] = &packets[..] else { return Refused };
        said_by_pion(packet.as_ref())
    })
}

fn said_by_pion(packet: &dyn ::rtcp::Packet) -> Reading {
    use ::rtcp::extended_report::{DLRRReportBlock, ExtendedReport, ReceiverReferenceTimeReportBlock};
    use ::rtcp::payload_feedbacks::{
        full_intra_request, picture_loss_indication, receiver_estimated_maximum_bitrate,
        slice_loss_indication,
    };
    use ::rtcp::transport_feedbacks::{cc_feedback_report, transport_layer_cc, transport_layer_nack};
    use ::rtcp::{goodbye, receiver_report, reception_report, sender_report, source_description};

    let block = |block: &reception_report::ReceptionReport| {
        let numbers = [block.last_sequence_number, block.jitter, block.last_sender_report, block.delay];
        format!("{} {} {} {numbers:?}", block.ssrc, block.fraction_lost, block.total_lost)
    };
    let any = packet.as_any();
    Said(if let Some(report) = any.downcast_ref::<sender_report::SenderReport>() {
        let counts = (report.packet_count, report.octet_count);
        let head = format!("SR {} {} {} {counts:?}", report.ssrc, report.ntp_time, report.rtp_time);
        format!("{head} {:?}", report.reports.iter().map(block).collect::<Vec<_>>())
    } else if let Some(report) = any.downcast_ref::<receiver_report::ReceiverReport>() {
        format!("RR {} {:?}", report.ssrc, report.reports.iter().map(block).collect::<Vec<_>>())
    } else if let Some(description) = any.downcast_ref::<source_description::SourceDescription>() {
        let items: Vec<_> = description
            .chunks
            .iter()
            .flat_map(|chunk| chunk.items.iter().map(move |item| (chunk.source, item)))
            .map(|(source, item)| format!("{source} {} {}", item.sdes_type as u8, hex(&item.text)))
            .collect();
        format!("SDES {items:?}")
    } else if let Some(bye) = any.downcast_ref::<goodbye::Goodbye>() {
        format!("BYE {:?} {}", bye.sources, text(&bye.reason))
    } else if let Some(report) = any.downcast_ref::<ExtendedReport>() {
        let blocks: Vec<_> = report
            .reports
            .iter()
            .map(|block| {
                let any = block.as_any();
                if let Some(time) = any.downcast_ref::<ReceiverReferenceTimeReportBlock>() {
                    format!("RRTR {}", time.ntp_timestamp)
                } else if let Some(delays) = any.downcast_ref::<DLRRReportBlock>() {
                    let entries = delays.reports.iter().map(|delay| (delay.ssrc, delay.last_rr, delay.dlrr));
                    format!("DLRR {:?}", entries.collect::<Vec<_>>())
                } else {
                    "other".into()
                }
            })
            .collect();
        format!("XR {} {blocks:?}", report.sender_ssrc)
    } else if let Some(nack) = any.downcast_ref::<transport_layer_nack::TransportLayerNack>() {
        let numbers: Vec<_> = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
        format!("NACK {} {} {numbers:?}", nack.sender_ssrc, nack.media_ssrc)
    } else if let Some(pli) = any.downcast_ref::<picture_loss_indication::PictureLossIndication>() {
        format!("PLI {} {}", pli.sender_ssrc, pli.media_ssrc)
    } else if let Some(sli) = any.downcast_ref::<slice_loss_indication::SliceLossIndication>() {
        let entries: Vec<_> =
            sli.sli_entries.iter().map(|entry| (entry.first, entry.number, entry.picture)).collect();
        format!("SLI {} {} {entries:?}", sli.sender_ssrc, sli.media_ssrc)
    } else if let Some(fir) = any.downcast_ref::<full_intra_request::FullIntraRequest>() {
        let entries: Vec<_> = fir.fir.iter().map(|entry| (entry.ssrc, entry.sequence_number)).collect();
        format!("FIR {} {entries:?}", fir.sender_ssrc)
    } else if let Some(remb) =
        any.downcast_ref::<receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate>()
    {
        // Ours saturates at 64 bits.
        let bitrate = Bitrate::from_bps(remb.bitrate as u64).as_bps() as f32;
        format!("REMB {} {bitrate} {:?}", remb.sender_ssrc, remb.ssrcs)
    } else if let Some(feedback) = any.downcast_ref::<transport_layer_cc::TransportLayerCc>() {
        use transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc};
        let symbols = feedback.packet_chunks.iter().flat_map(|chunk| match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                vec![run.packet_status_symbol; usize::from(run.run_length)]
            }
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
        });
        let mut deltas = feedback.recv_deltas.iter();
        let mut seq = feedback.base_sequence_number;
        let statuses: Vec<_> = symbols
            .take(usize::from(feedback.packet_status_count))
            .map(|symbol| {
                let arrived = symbol != SymbolTypeTcc::PacketNotReceived;
                let delta = if arrived { deltas.next() } else { None };
                let told = (seq, delta.map(|delta| (delta.delta / 250) as i16));
                seq = seq.wrapping_add(1);
                told
            })
            .collect();
        let head =
            (feedback.sender_ssrc, feedback.media_ssrc, feedback.reference_time, feedback.fb_pkt_count);
        format!("TWCC {head:?} {statuses:?}")
    } else if let Some(feedback) = any.downcast_ref::<cc_feedback_report::CcFeedbackReport>() {
        let streams: Vec<_> = feedback
            .report_blocks
            .iter()
            .map(|stream| {
                let metric = |metric: &cc_feedback_report::CcFeedbackMetricBlock| {
                    metric.received.then_some((metric.ecn as u8, metric.arrival_time_offset))
                };
                let metrics: Vec<_> = stream.metric_blocks.iter().map(metric).collect();
                (stream.media_ssrc, stream.begin_sequence, metrics)
            })
            .collect();
        format!("CCFB {} {} {streams:?}", feedback.sender_ssrc, feedback.report_timestamp)
    } else {
        return Unread;
    })
}

/// The implementation that GStreamer uses.
pub(crate) fn ystreet(bytes: &[u8]) -> Reading {
    guarded(|| {
        let Ok(mut compound) = rtcp_types::Compound::parse(bytes) else { return Refused };
        let Some(Ok(packet)) = compound.next() else { return Refused };
        if compound.next().is_some() {
            return Refused;
        }
        said_by_ystreet(&packet).unwrap_or(Refused)
    })
}

fn said_by_ystreet(packet: &rtcp_types::Packet<'_>) -> Result<Reading, rtcp_types::RtcpParseError> {
    use rtcp_types::{DelaySinceLastReceiverReport, Packet, ReceiverReferenceTime, TwccPacketStatus};
    let block = |block: rtcp_types::ReportBlock<'_>| {
        let numbers = [
            block.extended_sequence_number(),
            block.interarrival_jitter(),
            block.last_sender_report_timestamp(),
            block.delay_since_last_sender_report_timestamp(),
        ];
        format!("{} {} {} {numbers:?}", block.ssrc(), block.fraction_lost(), block.cumulative_lost())
    };
    Ok(Said(match packet {
        Packet::Sr(report) => {
            let counts = (report.packet_count(), report.octet_count());
            let times = (report.ntp_timestamp(), report.rtp_timestamp());
            let head = format!("SR {} {} {} {counts:?}", report.ssrc(), times.0, times.1);
            format!("{head} {:?}", report.report_blocks().map(block).collect::<Vec<_>>())
        }
        Packet::Rr(report) => {
            format!("RR {} {:?}", report.ssrc(), report.report_blocks().map(block).collect::<Vec<_>>())
        }
        Packet::Sdes(description) => {
            let mut items = Vec::new();
            for chunk in description.chunks() {
                for told in chunk.items() {
                    let value = if told.type_() == item::PRIV {
                        [&[told.priv_prefix_len()], told.priv_prefix(), told.value()].concat()
                    } else {
                        told.value().to_vec()
                    };
                    items.push(format!("{} {} {}", chunk.ssrc(), told.type_(), hex(&value)));
                }
            }
            format!("SDES {items:?}")
        }
        Packet::Bye(bye) => {
            let ssrcs: Vec<_> = bye.ssrcs().collect();
            format!("BYE {ssrcs:?} {}", text(bye.reason().unwrap_or_default()))
        }
        Packet::App(app) => format!("APP {} {} {}", app.ssrc(), hex(&app.name()), hex(app.data())),
        Packet::Xr(report) => {
            let mut blocks = Vec::new();
            for block in report.block_iter() {
                blocks.push(match block.block_type() {
                    4 => format!("RRTR {}", block.parse_into::<ReceiverReferenceTime>()?.ntp_timestamp()),
                    5 => {
                        let delays = block.parse_into::<DelaySinceLastReceiverReport>()?;
                        let entries = delays.block_iter().map(|delay| {
                            let answer = delay.delay_since_last_receiver_report_timestamp();
                            (delay.ssrc(), delay.last_receiver_report(), answer)
                        });
                        format!("DLRR {:?}", entries.collect::<Vec<_>>())
                    }
                    _ => "other".into(),
                });
            }
            format!("XR {} {blocks:?}", report.sender_ssrc())
        }
        Packet::TransportFeedback(feedback) => {
            let (sender, media) = (feedback.sender_ssrc(), feedback.media_ssrc());
            match feedback.count() {
                1 => {
                    let nack = feedback.parse_fci::<rtcp_types::Nack>()?;
                    format!("NACK {sender} {media} {:?}", nack.entries().collect::<Vec<_>>())
                }
                15 => {
                    let twcc = feedback.parse_fci::<rtcp_types::Twcc>()?;
                    let mut statuses = Vec::new();
                    for status in twcc.packets() {
                        let (seq, status) = status?;
                        let delta = match status {
                            TwccPacketStatus::NotReceived => None,
                            TwccPacketStatus::Received { delta } => Some(delta),
                        };
                        statuses.push((seq, delta));
                    }
                    let head = (sender, media, twcc.reference_time(), twcc.feedback_packet_count());
                    format!("TWCC {head:?} {statuses:?}")
                }
                _ => return Ok(Unread),
            }
        }
        Packet::PayloadFeedback(feedback) => {
            let (sender, media) = (feedback.sender_ssrc(), feedback.media_ssrc());
            match feedback.count() {
                1 => {
                    feedback.parse_fci::<rtcp_types::Pli>()?;
                    format!("PLI {sender} {media}")
                }
                4 => {
                    let fir = feedback.parse_fci::<rtcp_types::Fir>()?;
                    let entries: Vec<_> =
                        fir.entries().map(|entry| (entry.ssrc(), entry.sequence())).collect();
                    format!("FIR {sender} {entries:?}")
                }
                _ => return Ok(Unread),
            }
        }
        Packet::Unknown(_) => return Ok(Unread),
    }))
}
