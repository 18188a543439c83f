//! What a server spends on a handshake, beside `dimpl` and `rtc-dtls` in the same run: the calls of the server alone
//! are timed, from the first datagram of a client of the same make to the keys. And what an association that is
//! connected holds.

#[path = "support/duel.rs"]
mod duel;

use criterion::{Criterion, criterion_group, criterion_main};
use duel::{Contender, serve};
use estafette::dtls::Group;
fn handshakes(criterion: &mut Criterion) {
    let contenders = [
        ("1.3 X25519MLKEM768", Contender::estafette_13(Group::X25519MlKem768)),
        ("1.3 X25519", Contender::estafette_13(Group::X25519)),
        ("1.3 X25519, dimpl", Contender::dimpl_13()),
        ("1.2 X25519", Contender::estafette_12()),
        ("1.2 X25519, dimpl", Contender::dimpl_12()),
        ("1.2 X25519, rtc-dtls", Contender::rtc_12()),
    ];
    let mut group = criterion.benchmark_group("dtls server");
    for (name, contender) in contenders {
        group.bench_function(name, |bench| {
            bench.iter_custom(|rounds| (0..rounds).map(|_| serve(&contender)).sum());
        });
    }
    group.finish();
}

/// What a connected association holds, a server's after four minutes: by the system's count of pages, since
/// half of it are keys that AWS-LC allocates.
fn memory(_: &mut Criterion) {
    for (name, contender) in
        [("1.3", Contender::estafette_13(Group::X25519MlKem768)), ("1.2", Contender::estafette_12())]
    {
        let held = duel::held(&contender, 8_000);
        println!("dtls {name}: {held} bytes for each connected association");
        // Two keys of records take 1,200 of them.
        assert!(held <= 3_000, "{name}: {held} bytes");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = handshakes, memory
}
criterion_main!(benches);
