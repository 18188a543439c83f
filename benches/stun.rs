//! A connectivity check read, proven and answered, beside other implementations and beside the two
//! HMACs that no implementation can leave out, in the same run.

#[path = "support/check.rs"]
mod check;

use check::{Keys, answer, answer_by_pion, answer_by_ystreet, macs_alone, request};
use criterion::{Criterion, criterion_group, criterion_main};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn check_and_answer(criterion: &mut Criterion) {
    let keys = Keys::default();
    let request = request(&keys);
    let provider = ::stun::crypto::default_provider().expect("a provider");
    let crypto = provider.crypto();
    let mut out = [0; 256];

    // They agree to the byte, and ours allocates nothing.
    let len = answer(&keys, &request, &mut out).expect("a good check");
    let ours = out[..len].to_vec();
    assert_eq!(answer_by_pion(crypto, &request).as_deref(), Some(&ours[..]));
    let len = answer_by_ystreet(&keys, &request, &mut out).expect("a good check");
    assert_eq!(out[..len], ours);
    let region = Region::new(GLOBAL);
    assert!(answer(&keys, &request, &mut out).is_some());
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0));

    let mut group = criterion.benchmark_group("stun check and answer");
    group.bench_function("two hmacs alone", |bench| {
        bench.iter(|| macs_alone(black_box(&keys), black_box(&request), black_box(&mut out)));
    });
    group.bench_function("estafette", |bench| {
        bench.iter(|| answer(black_box(&keys), black_box(&request), black_box(&mut out)));
    });
    group.bench_function("stun-types", |bench| {
        bench.iter(|| answer_by_ystreet(black_box(&keys), black_box(&request), black_box(&mut out)));
    });
    group.bench_function("rtc-stun", |bench| {
        bench.iter(|| answer_by_pion(black_box(crypto), black_box(&request)));
    });
    group.finish();
}

criterion_group!(benches, check_and_answer);
criterion_main!(benches);
