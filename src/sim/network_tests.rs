use super::*;
use crate::base::units::Bitrate;
use crate::sim::{Aimd, ConstantRate, Content, Figures, metrics};

const ENCODER: &str = "source = { kind = 'encoder', min_kbps = 50, max_kbps = 5000 }";

fn scenario(rest: &str) -> Scenario {
    Scenario::parse(&format!("name = 'a'\nabout = 'b'\nduration_s = 30\n{rest}")).expect("a scenario")
}

fn constant(kbps: u64) -> impl FnMut(&FlowConfig) -> Box<dyn Controller> {
    move |_| Box::new(ConstantRate(Bitrate::from_kbps(kbps)))
}

fn aimd(flow: &FlowConfig) -> Box<dyn Controller> {
    Box::new(Aimd::new(flow.initial))
}

fn alone(forward: &str, reverse: &str) -> Scenario {
    scenario(&format!("[forward]\n{forward}\n[reverse]\n{reverse}\n[[flow]]\n{ENCODER}"))
}

#[test]
fn a_sender_below_capacity_gets_all_through_at_once() {
    let scenario = alone("capacity = [[0, 2000]]\ndelay_ms = 50", "delay_ms = 50");
    let figures = Figures::of(&run(&scenario, Settings::default(), constant(1_000)));
    assert!((figures.utilisation - 0.5).abs() < 0.02, "{figures:?}");
    assert_eq!((figures.drops, figures.filler, figures.frozen), (0.0, 0.0, 0.0));
    assert!(figures.queue_max < 5.0, "{figures:?}");
}

#[test]
fn a_sender_above_capacity_fills_the_queue_and_loses_the_excess() {
    let scenario = alone("capacity = [[0, 1000]]\nqueue_ms = 200\ndelay_ms = 50", "delay_ms = 50");
    let run = run(&scenario, Settings::default(), constant(1_500));
    let figures = Figures::of(&run);
    assert!((185.0..=200.0).contains(&figures.queue_p95), "{figures:?}");
    assert!((0.25..0.36).contains(&figures.drops), "{figures:?}");
    // What arrives is what the path serves, to its last packets.
    let arrived: usize = run.flows[0].packets.iter().filter(|p| p.arrived().is_some()).map(|p| p.size).sum();
    assert!((3_600_000..=3_750_000).contains(&arrived), "{arrived}");
}

#[test]
fn random_loss_is_repaired_by_retransmissions() {
    let scenario = alone("capacity = [[0, 3000]]\ndelay_ms = 50\nloss = 0.1", "delay_ms = 50");
    let run = run(&scenario, Settings::default(), constant(1_000));
    let (figures, flow) = (Figures::of(&run), &run.flows[0]);
    assert_eq!(figures.drops, 0.0);
    assert!((0.08..0.12).contains(&figures.filler), "{figures:?}");
    // Four losses of four leave one frame in a thousand.
    let complete = flow.frames.iter().filter(|frame| frame.complete.is_some()).count();
    assert!(complete as f64 > flow.frames.len() as f64 * 0.97, "{complete} of {}", flow.frames.len());
    // No part counts twice.
    let mut parts: Vec<_> =
        flow.packets.iter().filter(|p| p.unique).filter_map(|p| p.content.part()).collect();
    let count = parts.len();
    parts.sort_unstable();
    parts.dedup();
    assert_eq!(parts.len(), count);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let scenario =
        alone("capacity = [[0, 1000]]\njitter_sigma_ms = 5\nloss = 0.02", "loss = 0.02\ndelay_ms = 20");
    let run = |seed| run(&scenario, Settings { seed, ..Settings::default() }, aimd);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn feedback_takes_its_own_way_and_queue() {
    // Feedback of 70 bytes or so each 50 ms is 11 kbit/s: too much for a way back of 5.
    let narrow = alone("delay_ms = 20", "capacity = [[0, 5]]\nqueue_ms = 1000");
    let wide = alone("delay_ms = 20", "delay_ms = 20");
    let estimates = |scenario| run(scenario, Settings::default(), aimd).flows[0].estimates.len();
    let (wide, narrow) = (estimates(&wide), estimates(&narrow));
    assert!(wide > 400 && narrow * 3 < wide * 2, "{wide} {narrow}");
}

#[test]
fn tcp_alone_fills_its_path_and_yields_to_no_more_than_half() {
    let rest =
        "[forward]\ncapacity = [[0, 2000]]\nqueue_ms = 300\ndelay_ms = 50\n[reverse]\ndelay_ms = 50\n[[tcp]]";
    let tcp = run(&scenario(rest), Settings::default(), aimd);
    let rate = metrics::tcp_rate(&tcp).expect("an endless transfer");
    assert!((1_850.0..=2_000.0).contains(&rate), "{rate}");
    let beside = format!("{rest}\n[[flow]]\n{ENCODER}");
    let both = run(&scenario(&beside), Settings::default(), constant(1_000));
    let rate = metrics::tcp_rate(&both).expect("an endless transfer");
    assert!((700.0..1_050.0).contains(&rate), "{rate}");
}

#[test]
fn constant_traffic_takes_what_it_takes() {
    let rest = "[forward]\ncapacity = [[0, 2000]]\nqueue_ms = 100\n[reverse]\n[[cbr]]\nkbps = 1500\nstart_s = 10\nstop_s = 20";
    let scenario = scenario(&format!("{rest}\n[[flow]]\n{ENCODER}"));
    let run = run(&scenario, Settings::default(), constant(1_000));
    let dropped = |from, to| {
        let (from, to) = (Instant::from_millis(from), Instant::from_millis(to));
        let packets = run.flows[0].packets.iter().filter(|p| from <= p.sent && p.sent < to);
        packets.filter(|p| p.fate.is_some_and(|(_, fate)| fate.is_drop())).count()
    };
    assert_eq!((dropped(0, 10_000), dropped(20_200, 30_000)), (0, 0));
    assert!(dropped(10_000, 20_000) > 50);
}

#[test]
fn ecn_tells_congestion_where_feedback_can_say_it() {
    let scenario =
        alone("capacity = [[0, 1000]]\nqueue_ms = 250\naqm = 'step'\ndelay_ms = 20", "delay_ms = 20");
    let p95 = |ecn, format| Figures::of(&run(&scenario, Settings { ecn, format, seed: 1 }, aimd)).queue_p95;
    let marked = p95(true, FeedbackFormat::Rfc8888);
    assert!(marked < 60.0 && marked * 2.0 < p95(false, FeedbackFormat::Rfc8888), "{marked}");
    assert!(p95(true, FeedbackFormat::TransportWide) > 2.0 * marked);
}

#[test]
fn backward_flows_use_the_other_link() {
    let rest = "[forward]\ncapacity = [[0, 300]]\nqueue_ms = 100\n[reverse]\ncapacity = [[0, 2000]]";
    let scenario = scenario(&format!("{rest}\n[[flow]]\nbackward = true\n{ENCODER}"));
    let run = run(&scenario, Settings::default(), constant(1_000));
    assert_eq!(metrics::drops(&run.flows[0]), 0.0);
    assert_eq!(run.flows[0].spans[0].possible, Bitrate::from_kbps(2_000));
    assert!(run.flows[0].packets.iter().all(|packet| matches!(packet.content, Content::Video(_))));
}
