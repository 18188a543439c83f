//! The choice of layers for a subscriber of 50 streams with nine layers each: what one changed input costs, and all
//! of it anew, beside a plain greedy choice on each stream's outline, which is not exact and has no memory.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use estafette::allocation::{Allocator, Config, Layer, Picture, Reason, Stream, utility};
use estafette::random::Random;
use estafette::{Bitrate, Instant};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Ladder = [Layer; 9];

/// Three sizes with three frame rates each, larger and smaller by up to 40 %: one speaks, one shares a screen, three
/// are pinned.
fn ladders() -> Vec<Ladder> {
    let mut random = Random::new([9; 32]);
    (0..50)
        .map(|_| {
            let scale = 60 + random.below(81);
            std::array::from_fn(|at| {
                let (kbps, pixels) = [(150, 320 * 180), (500, 640 * 360), (1_700, 1_280 * 720)][at / 3];
                let (percent, frame_rate) = [(50, 7), (70, 15), (100, 30)][at % 3];
                let rate = Bitrate::from_bps(kbps * percent * scale * (970 + random.below(61)) / 10_000);
                Layer { rate, utility: utility(rate, Some(Picture { pixels, frame_rate }), 30) }
            })
        })
        .collect()
}

fn set(allocator: &mut Allocator<u64>, key: u64, layers: &Ladder) {
    let class = [0, 1, 2, 2, 2].get(key as usize).copied().unwrap_or(3);
    let forwarded = allocator.grant(key).and_then(|grant| grant.layer);
    let stream = Stream { class, weight: 4, layers, forwarded, most: Reason::All };
    assert!(allocator.set_stream(key, stream));
}

fn fresh(ladders: &[Ladder]) -> Allocator<u64> {
    let mut allocator = Allocator::new(Config::default());
    (0..).zip(ladders).for_each(|(key, layers)| set(&mut allocator, key, layers));
    allocator
}

/// Steps along each stream's outline, the most utility for a bit first, until one does not fit.
fn greedy(
    ladders: &[Ladder],
    budget: u64,
    steps: &mut Vec<(f64, usize, usize)>,
    chosen: &mut [usize],
) -> u64 {
    steps.clear();
    for (stream, ladder) in ladders.iter().enumerate() {
        let level = |level: usize| {
            level
                .checked_sub(1)
                .map_or((0.0, 0.0), |at| (ladder[at].rate.as_bps() as f64, f64::from(ladder[at].utility)))
        };
        let mut at = 0;
        while let Some((slope, next)) = (at + 1..=9)
            .map(|next| ((level(next).1 - level(at).1) / (level(next).0 - level(at).0), next))
            .filter(|(slope, _)| *slope > 0.0 && slope.is_finite())
            .max_by(|a, b| a.0.total_cmp(&b.0))
        {
            if level(next).0 < level(at).0 {
                break;
            }
            steps.push((slope, stream, next));
            at = next;
        }
    }
    steps.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    chosen.fill(0);
    let mut taken = 0;
    for (_, stream, next) in steps.iter() {
        let rate = |level: usize| level.checked_sub(1).map_or(0, |at| ladders[*stream][at].rate.as_bps());
        let more = rate(*next).saturating_sub(rate(chosen[*stream]));
        if taken + more > budget {
            break;
        }
        taken += more;
        chosen[*stream] = *next;
    }
    taken
}

fn allocation(criterion: &mut Criterion) {
    let ladders = ladders();
    // Between a screen of thumbnails and half of all that there is.
    let budget = |round: u64| Bitrate::from_kbps(12_000 + round * 7_919 % 20_000);
    let now = |round: u64| Instant::from_millis(round * 250);
    let mut group = criterion.benchmark_group("layers of 50 streams of 9");

    let (mut steps, mut chosen, mut round) = (Vec::with_capacity(450), [0; 50], 0);
    group.bench_function("plain greedy, from scratch", |bench| {
        bench.iter(|| {
            round += 1;
            greedy(black_box(&ladders), budget(round).as_bps(), &mut steps, &mut chosen)
        });
    });

    let (mut allocator, mut round) = (fresh(&ladders), 0);
    let mut next = |allocator: &mut Allocator<u64>, spread: u64| {
        round += 1;
        let budget = budget(round).as_bps() % spread + 20_000_000;
        allocator.set_budget(now(round), Bitrate::from_bps(budget));
        allocator.allocate(now(round));
        allocator.changes().count()
    };
    (0..100).for_each(|_| _ = next(&mut allocator, 2_000_000));
    let region = Region::new(GLOBAL);
    (0..100).for_each(|_| _ = next(&mut allocator, 2_000_000));
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));
    group.bench_function("budget changed, within 10 %", |bench| {
        bench.iter(|| next(&mut allocator, 2_000_000))
    });
    group.bench_function("budget changed, by up to twice", |bench| {
        bench.iter(|| next(&mut allocator, 20_000_000))
    });

    let (mut allocator, mut round) = (fresh(&ladders), 0);
    allocator.set_budget(now(0), budget(1));
    group.bench_function("one stream changed", |bench| {
        bench.iter(|| {
            round += 1;
            let mut layers = ladders[round as usize % 50];
            for layer in &mut layers {
                layer.rate = Bitrate::from_bps(layer.rate.as_bps() / 100 * (95 + round * 13 % 11));
            }
            set(&mut allocator, round % 50, &layers);
            allocator.allocate(now(round));
            allocator.changes().count()
        });
    });

    let mut round = 0;
    group.bench_function("from scratch", |bench| {
        bench.iter_batched_ref(
            || {
                round += 1;
                let mut allocator = fresh(&ladders);
                allocator.set_budget(now(0), budget(round));
                allocator
            },
            |allocator| {
                allocator.allocate(now(0));
                allocator.video()
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("demand", |bench| bench.iter(|| black_box(&allocator).demand()));
    group.finish();
}

criterion_group!(benches, allocation);
criterion_main!(benches);
