//! What an estimator costs for each packet: its departure, and its part of the feedback on 50 ms at 5 Mbit/s. Rivals'
//! estimators cannot be called alone.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use estafette::bwe::{Arrival, Config, Demand, Estimator, Sent};
use estafette::{Bitrate, Instant};

/// Packets of 1,200 bytes in 50 ms at 5 Mbit/s.
const PACKETS: u64 = 26;
const SECOND: u64 = 20 * PACKETS;

fn sent(number: u64) -> Sent {
    Sent { at: Instant::from_micros(number * 50_000 / PACKETS), number, size: 1_200 }
}

fn feedback(first: u64) -> (Instant, Vec<Arrival>) {
    let arrival = |number| Arrival {
        number,
        at: (number % 100 > 0).then(|| sent(number).at + Duration::from_micros(50_000 + number % 7 * 300)),
        ce: false,
    };
    (sent(first + 2 * PACKETS).at, (first..first + PACKETS).map(arrival).collect())
}

/// After ten seconds of it, two feedbacks' worth under way.
fn estimator() -> Estimator {
    let kbps = Bitrate::from_kbps;
    let mut estimator = Estimator::new(Config { initial: kbps(5_000), min: kbps(50), max: kbps(50_000) });
    estimator.set_demand(Instant::ZERO, Demand { next: kbps(5_000), most: kbps(5_000) });
    for number in 0..10 * SECOND {
        estimator.on_sent(sent(number));
        if number % PACKETS == 0 && number >= 2 * PACKETS {
            let (now, arrivals) = feedback(number - 2 * PACKETS);
            estimator.on_feedback(now, &arrivals);
        }
    }
    estimator
}

fn packets(criterion: &mut Criterion) {
    let ready = estimator();
    let first = 10 * SECOND;
    let (now, arrivals) = feedback(first - 2 * PACKETS);
    let mut group = criterion.benchmark_group("bwe");
    group.throughput(Throughput::Elements(PACKETS));
    group.bench_function("departure", |bench| {
        bench.iter_batched_ref(
            || ready.clone(),
            |estimator| {
                (first..first + PACKETS).for_each(|number| estimator.on_sent(black_box(sent(number))))
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("feedback", |bench| {
        bench.iter_batched_ref(
            || ready.clone(),
            |estimator| estimator.on_feedback(black_box(now), black_box(&arrivals)),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, packets);
criterion_main!(benches);
