//! The room as a whole: packets of browsers, then the round trips and another implementation.

mod referee;
#[path = "../../../../tests/support/rewrite.rs"]
mod rewrite;
mod round_trip;

use proptest::collection::vec;
use proptest::prelude::*;
use rewrite::rewrite;
use serde_json::Value;

use super::*;
use crate::base::time::Instant;
use crate::base::units::Bitrate;
use crate::captures::{bytes, hex, packets, vectors};
use crate::wire::mux::Ecn;
use crate::wire::rtp::{NoSpace, RtpTime, Ssrc, WireSeq};

const SIMULCAST: &str = include_str!("../../../../tests/data/captures/chromium-simulcast-vp8.plain.txt");
const GSTREAMER: &str = include_str!("../../../../tests/data/captures/gstreamer-chromium-av.plain.txt");

/// The RTCP datagrams of a capture.
fn captured() -> Vec<Vec<u8>> {
    let packets = [SIMULCAST, GSTREAMER].into_iter().flat_map(packets);
    packets.filter(|packet| matches!(packet[1], 192..=223)).collect()
}

#[test]
fn compounds_of_browsers_are_read_and_written_again() {
    let mut kinds = [0; 7];
    for bytes in captured() {
        let compound = Compound::parse(&bytes).expect("a browser's compound");
        assert_eq!(compound.dropped(), None);
        let mut buf = [0xee; 512];
        let mut writer = Writer::new(&mut buf);
        let mut whole = true;
        for packet in compound {
            kinds[match packet {
                Packet::SenderReport(_) => 0,
                Packet::ReceiverReport(_) => 1,
                Packet::SourceDescription(_) => 2,
                Packet::Pli(_) => 3,
                Packet::TransportFeedback(_) => 4,
                Packet::ExtendedReport(_) => 5,
                _ => 6,
            }] += 1;
            match rewrite(&packet, &mut writer) {
                // What comes before extended reports is compared all the same.
                None => {
                    whole = false;
                    break;
                }
                Some(written) => assert_eq!(written, Ok(())),
            }
        }
        let len = writer.len();
        assert!(!whole || len == bytes.len());
        if bytes[..2] == [0x8f, 205] {
            // One peer fills up with zeros, as the draft has it; so do we in front of another packet.
            writer.pli(Ssrc(0), Ssrc(0)).expect("room");
        }
        assert_eq!(buf[..len], bytes[..len]);
    }
    assert_eq!(kinds, [8, 3, 8, 2, 30, 6, 0]);
}

#[test]
fn sender_reports_of_a_browser_tell_what_they_told() {
    // From the capture, read by hand.
    let bytes = bytes(
        "80c800063446a95feeaf3a855919bd4057646ec00000000a0000225381ca00063446a95f0110683270673369\
         31364c3545627547592b0000",
    );
    let packets: Vec<_> = Compound::parse(&bytes).expect("a browser's compound").packets().collect();
    let [Packet::SenderReport(report), Packet::SourceDescription(description)] = packets[..] else {
        panic!("{packets:?}");
    };
    let expected = SenderInfo {
        ssrc: Ssrc(0x3446_a95f),
        ntp: NtpTime(0xeeaf_3a85_5919_bd40),
        rtp_time: RtpTime(0x5764_6ec0),
        packet_count: 10,
        octet_count: 0x2253,
    };
    assert_eq!(report.info, expected);
    assert_eq!(report.reports().count(), 0);
    assert_eq!(description.cname(Ssrc(0x3446_a95f)), Some("h2pg3i16L5EbuGY+"));
}

#[test]
fn bandwidth_estimates_and_goodbyes_of_a_browser_are_read() {
    let datagram = bytes("8fce00064dd8a9fa0000000052454d42020215780d2fe621927631f8");
    let compound = Compound::parse(&datagram).expect("a browser's");
    let Some(Packet::Remb(remb)) = compound.packets().next() else { panic!("not an estimate") };
    assert_eq!(remb.bitrate, Bitrate::from_bps(136_568));
    assert!(remb.ssrcs().eq([Ssrc(0x0d2f_e621), Ssrc(0x9276_31f8)]));

    let datagram = bytes("81cb0001e1a8f192");
    let compound = Compound::parse(&datagram).expect("a browser's");
    let Some(Packet::Bye(bye)) = compound.packets().next() else { panic!("not a goodbye") };
    assert!(bye.ssrcs().eq([Ssrc(0xe1a8_f192)]));
}

#[test]
fn transport_wide_feedback_of_a_browser_is_read_and_written_again() {
    let vectors = vectors("twcc-captured");
    let packets = vectors["packets"].as_array().expect("a list");
    assert_eq!(packets.len(), 40);
    for vector in packets {
        let bytes = hex(&vector["rtcp"]);
        let compound = Compound::parse(&bytes).expect("a browser's");
        let Some(Packet::TransportFeedback(feedback)) = compound.packets().next() else {
            panic!("not feedback");
        };
        assert_eq!(u64::from(feedback.base_seq.0), vector["base_sequence"]);
        assert_eq!(u64::from(feedback.status_count), vector["status_count"]);
        assert_eq!(u64::from(feedback.reference_time), vector["reference_time_64ms"]);
        assert_eq!(u64::from(feedback.feedback_count), vector["feedback_count"]);
        let received: Vec<_> =
            feedback.received().map(|(seq, delta)| serde_json::json!([seq.0, delta])).collect();
        assert_eq!(Value::from(received), vector["received"]);

        let mut buf = [0xee; 512];
        let mut writer = Writer::new(&mut buf);
        let written = rewrite(&Packet::TransportFeedback(feedback), &mut writer);
        assert_eq!(written, Some(Ok(())));
        let len = writer.len();
        assert_eq!(buf[..len], bytes);
    }
}

#[test]
fn rfc_8888_3_1_congestion_feedback_of_a_browser_is_read_and_written_again() {
    let vectors = vectors("rfc8888-captured");
    let packets = vectors["packets"].as_array().expect("a list");
    assert_eq!(packets.len(), 40);
    for vector in packets {
        let bytes = hex(&vector["rtcp"]);
        let compound = Compound::parse(&bytes).expect("a browser's");
        assert_eq!(compound.dropped(), None);
        let Some(Packet::CongestionFeedback(feedback)) = compound.packets().next() else {
            panic!("not feedback");
        };
        assert_eq!(u64::from(feedback.sender.0), vector["sender_ssrc"]);
        assert_eq!(u64::from(feedback.timestamp), vector["report_timestamp"]);
        let metric = |metric: Option<Metric>| match metric {
            None => serde_json::json!([0, 0, 0]),
            Some(Metric { ecn, arrival }) => {
                let ecn = match ecn {
                    Ecn::NotEct => 0,
                    Ecn::Ect1 => 1,
                    Ecn::Ect0 => 2,
                    Ecn::Ce => 3,
                };
                let arrival = match arrival {
                    Arrival::Before(units) => units,
                    Arrival::OverRange => 0x1ffe,
                    Arrival::Unavailable => 0x1fff,
                };
                serde_json::json!([1, ecn, arrival])
            }
        };
        let streams = feedback.streams().map(|stream| {
            serde_json::json!({
                "ssrc": stream.ssrc.0,
                "begin_sequence": stream.begin_seq.0,
                "num_reports": stream.metrics().len(),
                "metrics": stream.metrics().map(|(_, told)| metric(told)).collect::<Vec<_>>(),
            })
        });
        assert_eq!(Value::from(streams.collect::<Vec<_>>()), vector["streams"]);

        let mut buf = [0xee; 1_500];
        let mut writer = Writer::new(&mut buf);
        assert_eq!(rewrite(&Packet::CongestionFeedback(feedback), &mut writer), Some(Ok(())));
        let len = writer.len();
        assert_eq!(buf[..len], bytes);
    }
}
