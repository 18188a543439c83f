use super::*;
use crate::sim::{Content, Fate, FrameRecord, PacketRecord, TransferRecord};

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn kbps(kbps: u64) -> Bitrate {
    Bitrate::from_kbps(kbps)
}

/// Spans of seconds and kbit/s, alone on the path; `None` is a pause in which 24 kbit/s of sound are possible.
fn flow(spans: &[(u64, u64, Option<u64>)]) -> FlowRecord {
    let span = |&(from, to, rate): &(u64, u64, Option<u64>)| {
        let left = kbps(rate.unwrap_or(1_000));
        let possible = if rate.is_some() { left } else { kbps(24) };
        Span {
            from: ms(from * 1_000),
            to: ms(to * 1_000),
            left,
            share: left,
            possible,
            paused: rate.is_none(),
        }
    };
    FlowRecord { spans: spans.iter().map(span).collect(), demand: kbps(1_500), ..FlowRecord::default() }
}

/// A packet of 1,000 bytes that arrives 50 ms and its wait after it was sent.
fn packet(sent: u64, waited: u64) -> PacketRecord {
    PacketRecord {
        sent: ms(sent),
        size: 1_000,
        content: Content::Video(0),
        waited: Some(Duration::from_millis(waited)),
        fate: Some((ms(sent + waited + 50), Fate::Arrived { ce: false })),
        unique: true,
    }
}

/// A packet each `spacing` ms in a time.
fn send(flow: &mut FlowRecord, from: u64, to: u64, spacing: usize) {
    flow.packets.extend((from..to).step_by(spacing).map(|at| packet(at, 0)));
}

#[test]
fn utilisation_is_unique_media_over_what_was_possible() {
    // 10 s at 800 and 10 s at 400 kbit/s are 1.5 MB.
    let mut flow = flow(&[(0, 10, Some(800)), (10, 20, Some(400))]);
    send(&mut flow, 0, 18_000, 20);
    // What comes twice, what is padding and what was lost brings nothing.
    flow.packets.push(PacketRecord { unique: false, ..packet(5, 0) });
    flow.packets.push(PacketRecord { fate: Some((ms(5), Fate::Lost)), ..packet(5, 0) });
    assert!((utilisation(&flow) - 0.6).abs() < 1e-9);
    assert!((rate(&flow) - 360.0).abs() < 1e-9);
}

#[test]
fn quantiles_count_whoever_was_transmitted() {
    let mut flow = flow(&[(0, 10, Some(800))]);
    flow.packets = (1..=100).rev().map(|wait| packet(wait, wait)).collect();
    flow.packets[0].fate = Some((ms(1), Fate::Lost));
    flow.packets.push(PacketRecord { waited: None, fate: Some((ms(1), Fate::QueueFull)), ..packet(0, 0) });
    let waits = waits(&flow);
    let at = |share| quantile(&waits, share).as_millis();
    assert_eq!((at(0.5), at(0.95), at(1.0), waits.len()), (50, 95, 100, 100));
    assert_eq!(quantile(&[], 0.95), Duration::ZERO);
}

#[test]
fn drops_are_of_congestion_alone() {
    let mut flow = flow(&[(0, 10, Some(800))]);
    send(&mut flow, 0, 1_000, 10);
    let fates = [Fate::QueueFull, Fate::Managed, Fate::Policed, Fate::Lost, Fate::Lost];
    for (packet, fate) in flow.packets.iter_mut().zip(fates) {
        packet.fate = Some((packet.sent, fate));
    }
    assert!((drops(&flow) - 0.03).abs() < 1e-9);
}

#[test]
fn ramp_is_when_a_second_holds_four_fifths() {
    // 800 kbit/s are 100 packets a second: the 80th of those sent each 10 ms from 500 ms on arrives at 1,340 ms.
    let mut flow = flow(&[(0, 10, Some(800))]);
    send(&mut flow, 500, 5_000, 10);
    assert_eq!(ramp(&flow), 1.34);
    // At 79 packets a second it never is.
    flow.packets.clear();
    send(&mut flow, 0, 9_000, 13);
    assert_eq!(ramp(&flow), f64::INFINITY);
}

#[test]
fn ramp_begins_after_the_pause_that_covers_the_start_and_resume_after_later_ones() {
    let mut flow =
        flow(&[(0, 10, None), (10, 20, Some(800)), (20, 30, None), (30, 40, Some(800)), (40, 50, None)]);
    send(&mut flow, 10_000, 20_000, 10);
    send(&mut flow, 32_000, 40_000, 10);
    assert_eq!((ramp(&flow), resume(&flow)), (0.84, Some(2.84)));
    flow.spans.truncate(2);
    assert_eq!(resume(&flow), None);
}

#[test]
fn react_and_recover_are_the_longest_of_their_kind() {
    let mut flow =
        flow(&[(0, 10, Some(1_000)), (10, 20, Some(600)), (20, 30, Some(2_500)), (30, 40, Some(500))]);
    let steps = [
        (0, 900),
        (10_300, 700),
        (10_400, 600),
        (24_000, 1_349),
        (25_000, 1_350),
        (30_200, 500),
        (30_300, 800),
    ];
    flow.estimates = steps.map(|(at, rate)| (ms(at), kbps(rate))).to_vec();
    assert_eq!(react(&flow), Some(0.4));
    // Demand is 1,500: 90 % of it.
    assert_eq!(recover(&flow), Some(5.0));
    flow.estimates.retain(|(at, _)| *at != ms(25_000));
    assert_eq!(recover(&flow), Some(f64::INFINITY));
    flow.spans.truncate(1);
    assert_eq!((react(&flow), recover(&flow), drain(&flow)), (None, None, None));
}

#[test]
fn a_change_of_neighbours_is_none_of_the_capacity() {
    let mut flow = flow(&[(0, 10, Some(1_000)), (10, 20, Some(600)), (20, 30, Some(600))]);
    flow.spans[2].share = kbps(300);
    flow.estimates = vec![(ms(0), kbps(900)), (ms(22_000), kbps(500))];
    assert_eq!(react(&flow), Some(12.0));
}

#[test]
fn drain_ends_before_a_calm_second() {
    let mut flow = flow(&[(0, 10, Some(1_000)), (10, 40, Some(600))]);
    // Late packets get their turn at 9.9 (before the fall), 10.5, 11.4, then 12.5 s: more than a second later.
    let late = [(9_800, 100), (10_400, 100), (11_300, 100), (12_400, 100)];
    flow.packets = late.map(|(sent, waited)| packet(sent, waited)).to_vec();
    flow.packets.insert(2, packet(11_000, 60));
    assert_eq!(drain(&flow), Some(1.4));
    flow.packets = (10_000..39_000).step_by(500).map(|sent| packet(sent, 200)).collect();
    assert_eq!(drain(&flow), Some(10.0));
}

#[test]
fn over_is_the_time_above_a_fifth_more_than_is_left() {
    let mut flow = flow(&[(0, 10, Some(1_000)), (10, 20, Some(500))]);
    flow.estimates = [(0, 1_200), (8_000, 1_201), (9_000, 1_000), (11_000, 600)]
        .map(|(at, rate)| (ms(at), kbps(rate)))
        .to_vec();
    // From 8 to 9 s and from 10 to 11 s.
    assert!((over(&flow) - 0.1).abs() < 1e-9);
    flow.estimates.clear();
    assert!(over(&flow) == 0.0 && over(&flow).is_sign_positive());
}

#[test]
fn filler_is_of_what_got_through() {
    let mut flow = flow(&[(0, 10, Some(800))]);
    flow.packets = (0..10).map(|at| packet(at, 0)).collect();
    flow.packets[0].content = Content::Padding;
    flow.packets[1].content = Content::Retransmission(0);
    flow.packets[2] =
        PacketRecord { content: Content::Padding, fate: Some((ms(1), Fate::Lost)), ..packet(2, 0) };
    assert!((filler(&flow) - 2.0 / 9.0).abs() < 1e-9);
}

fn frame(captured: u64, complete: Option<u64>) -> FrameRecord {
    FrameRecord { captured: ms(captured), complete: complete.map(ms) }
}

#[test]
fn frozen_is_gaps_between_frames_in_order_and_in_time() {
    let mut flow = flow(&[(0, 10, Some(800))]);
    flow.frames = (0..100).map(|i| frame(i * 100, Some(i * 100 + 50))).collect();
    assert_eq!(frozen(&flow), 0.0);
    // One frame 300 ms late holds two others up: from 2.95 to 3.35 s.
    flow.frames[30].complete = Some(ms(3_350));
    assert!((frozen(&flow) - 0.04).abs() < 1e-9);
    // One that never comes holds up for its second: from 5.95 to 7.00 s.
    flow.frames[60].complete = None;
    assert!((frozen(&flow) - 0.145).abs() < 1e-9);
    // From 8.95 s nothing more to the end.
    flow.frames.truncate(90);
    assert!((frozen(&flow) - 0.25).abs() < 1e-9);
    flow.frames.clear();
    assert_eq!(frozen(&flow), 1.0);
}

#[test]
fn a_pause_is_no_gap_and_no_switch() {
    let mut flow = flow(&[(0, 10, Some(800)), (10, 20, None), (20, 30, Some(800))]);
    let captured = (0..100).chain(200..300);
    flow.frames = captured.map(|i| frame(i * 100, Some(i * 100 + 50))).collect();
    flow.layers = vec![(ms(0), Some(0)), (ms(5_000), Some(2)), (ms(6_000), None), (ms(20_000), Some(1))];
    assert_eq!(frozen(&flow), 0.0);
    // Two in a third of a minute.
    assert!((switches(&flow) - 6.0).abs() < 1e-9);
}

#[test]
fn jain_compares_the_last_third() {
    let mut run = Run { end: ms(30_000), ..Run::default() };
    for spacing in [10, 30] {
        let mut flow = flow(&[(0, 30, Some(800))]);
        send(&mut flow, 0, 20_000 - 50, 10);
        send(&mut flow, 20_000, 29_900, spacing);
        run.flows.push(flow);
    }
    // 3 to 1: (3 + 1)^2 / (2 x (9 + 1)).
    assert!((jain(&run).expect("two flows") - 0.8).abs() < 1e-3);
    run.flows.truncate(1);
    assert_eq!(jain(&run), None);
}

#[test]
fn tcp_rate_is_that_of_the_slowest_endless_transfer() {
    let transfer =
        |endless, delivered| TransferRecord { endless, start: ms(5_000), stop: ms(15_000), delivered };
    let transfers = vec![transfer(true, 1_000_000), transfer(true, 875_000), transfer(false, 10)];
    assert_eq!(tcp_rate(&Run { transfers, ..Run::default() }), Some(700.0));
    assert_eq!(tcp_rate(&Run::default()), None);
}
