//! A packet over a simulated link allocates nothing once its queues have their size.

use std::alloc::System;
use std::time::Duration;

use estafette::random::Random;
use estafette::sim::{Aqm, BurstLoss, Capacity, Direction, Fate, Gaps, Link, Packet, PolicerConfig, Reorder};
use estafette::{Bitrate, Instant};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A path that does all that one can do to a packet.
fn direction() -> Direction {
    let millis = Duration::from_millis;
    Direction {
        capacity: Some(Capacity::constant(Bitrate::from_kbps(3_000))),
        gaps: Some(Gaps { every: (millis(30), millis(60)), lasts: (millis(2), millis(10)) }),
        queue: Some(millis(120)),
        aqm: Aqm::Codel,
        policer: Some(PolicerConfig { rate: Bitrate::from_kbps(3_200), burst: 20_000 }),
        delay: millis(40),
        delay_steps: vec![(Instant::from_millis(5_000), millis(90))],
        jitter_sigma: millis(5),
        loss: 0.01,
        burst_loss: Some(BurstLoss { share: 0.01, packets: 4.0 }),
        reorder: Some(Reorder { share: 0.02, by: millis(20) }),
        ..Direction::default()
    }
}

/// Sends for `seconds` from `from` on, a third more than the path serves; answers how many arrived and did not.
fn drive(link: &mut Link, from: u64, seconds: u64) -> [u64; 2] {
    let mut counts = [0; 2];
    for id in from * 400..(from + seconds) * 400 {
        let now = Instant::from_micros(id * 2_500);
        while let Some(due) = link.poll_timeout().filter(|due| *due < now) {
            link.handle_timeout(due);
            while let Some(outcome) = link.poll_outcome() {
                counts[usize::from(!matches!(outcome.fate, Fate::Arrived { .. }))] += 1;
            }
        }
        link.handle_packet(now, Packet { id, lane: (id % 3) as usize, size: 1_250, ect: true });
    }
    counts
}

#[test]
fn a_packet_over_a_link_allocates_nothing() {
    let mut link = Link::new(&direction(), Random::new([7; 32]));
    for _ in 0..3 {
        link.add_lane(None);
    }
    drive(&mut link, 0, 60);
    let region = Region::new(GLOBAL);
    let [arrived, not] = drive(&mut link, 60, 60);
    let change = region.change();
    assert!(arrived > 10_000 && not > 4_000, "{arrived} arrived, {not} did not");
    assert_eq!((change.allocations, change.reallocations), (0, 0));
}
