//! The estimator allocates nothing once it has room for what is under way, and is small.

use std::alloc::System;
use std::time::Duration;

use estafette::bwe::{Arrival, Config, Demand, Estimator, Sent};
use estafette::{Bitrate, Instant};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Seconds at 5 Mbit/s and 50 packets of sound a second over 150 ms each way, every third feedback lost: what leaves
/// in a tick of 2 ms, and each 50 ms what had come.
fn drive(estimator: &mut Estimator, from: u64, seconds: u64, arrivals: &mut Vec<Arrival>) {
    let sent_at = |number: u64| Instant::from_millis(2 * number);
    for number in from * 500..(from + seconds) * 500 {
        let now = sent_at(number);
        estimator.handle_timeout(now);
        let size = if number % 10 == 0 { 120 } else { estimator.poll_probe(now).map_or(1_200, |size| size) };
        estimator.on_sent(Sent { at: now, number, size });
        let Some(newest) = number.checked_sub(150).filter(|newest| newest % 25 == 0) else { continue };
        let arrival = |number| Arrival {
            number,
            at: (number % 50 > 0).then(|| sent_at(number) + Duration::from_millis(150 + number % 3)),
            ce: false,
        };
        arrivals.clear();
        arrivals.extend((newest.saturating_sub(25)..newest).map(arrival));
        if newest % 75 > 0 {
            estimator.on_feedback(now, arrivals);
        }
    }
}

#[test]
fn nothing_is_allocated_in_the_steady_state_and_16_kb_are_enough() {
    let kbps = Bitrate::from_kbps;
    let mut arrivals = Vec::with_capacity(64);
    let region = Region::new(GLOBAL);
    let mut estimator = Estimator::new(Config { initial: kbps(300), min: kbps(50), max: kbps(100_000) });
    estimator.set_demand(Instant::ZERO, Demand { next: kbps(5_000), most: kbps(8_000) });
    drive(&mut estimator, 0, 20, &mut arrivals);
    let grown = region.change();
    let held = grown.bytes_allocated - grown.bytes_deallocated + size_of::<Estimator>();
    println!("{held} bytes, {} of them inside", size_of::<Estimator>());
    assert!(held <= 16 * 1_024, "{held}");
    let region = Region::new(GLOBAL);
    drive(&mut estimator, 20, 120, &mut arrivals);
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    assert!(estimator.target() > kbps(3_000), "{:?}", estimator.basis());
}
