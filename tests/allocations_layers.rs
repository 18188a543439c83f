//! An allocator of layers allocates for new streams and never again, counted by the allocator of memory.

use std::alloc::System;

use estafette::allocation::{Allocator, Config, Layer, Reason, Stream};
use estafette::{Bitrate, Instant};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

// One test alone: the allocator counts for the whole process.
#[test]
fn layers_are_chosen_without_an_allocation() {
    let ladder = |key: u64, wobble: u64| {
        std::array::from_fn::<_, 9, _>(|at| {
            let rate = Bitrate::from_bps((40_000 + 1_000 * key) * (at as u64 + 1).pow(2) + 97 * wobble);
            Layer { rate, utility: [9, 18, 20, 12, 26, 28, 15, 33, 36][at] }
        })
    };
    let mut allocator = Allocator::new(Config::default());
    let set = |allocator: &mut Allocator<u64>, key: u64, wobble: u64| {
        let layers = ladder(key, wobble);
        let forwarded = allocator.grant(key).and_then(|grant| grant.layer);
        let class = (key + wobble / 10 % 2).min(3) as u8;
        let stream = Stream { class, weight: 4, layers: &layers, forwarded, most: Reason::All };
        assert!(allocator.set_stream(key, stream));
    };
    (0..50).for_each(|key| set(&mut allocator, key, 0));
    let mut changes = 0;
    let mut pass = |rounds: std::ops::Range<u64>| {
        for round in rounds {
            let now = Instant::from_millis(round * 250);
            set(&mut allocator, round % 50, round);
            if round % 7 == 0 {
                allocator.remove_stream(round % 50);
                set(&mut allocator, round % 50, round);
            }
            allocator.set_budget(now, Bitrate::from_kbps(1_000 + round * 7_919 % 60_000));
            allocator.allocate(now);
            changes += allocator.changes().count();
            assert!(
                allocator.demand().next <= allocator.demand().most && allocator.poll_timeout() > Some(now)
            );
        }
    };
    pass(0..100);
    // The least of a few passes: the test's own harness allocates while the first one runs.
    let least = [100, 1_100, 2_100].map(|start| {
        let region = Region::new(GLOBAL);
        pass(start..start + 1_000);
        let change = region.change();
        change.allocations + change.reallocations
    });
    assert_eq!(least.into_iter().min(), Some(0));
    assert!(changes > 3_000, "{changes}");
}
