//! One call through other libraries.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use sentinel_benches::{Error, peers, used_up};

const PLENTY: u32 = 1_000_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

fn admitted(criterion: &mut Criterion) {
    let mut run = || {
        let mut group = criterion.benchmark_group("admitted");
        let mut bench = |what: &str, call: &dyn Fn() -> bool| {
            group.bench_function(what, |bencher| bencher.iter(|| black_box(call())));
        };
        bench("governor", &peers::governor(PLENTY));
        bench("governor, by key", &peers::governor_keyed(PLENTY));
        bench("governor, counters, gauge, clock", &peers::assembled(PLENTY));
        bench("sentinel-core 0.1.3", &peers::sentinel_published("admitted", 1e15)?);
        bench("limitador", &peers::limitador(u64::from(PLENTY), Duration::from_secs(1)));
        Ok::<_, Error>(())
    };
    run().expect("the settings of the peers are valid");
}

fn refused(criterion: &mut Criterion) {
    let mut run = || {
        let mut group = criterion.benchmark_group("refused");
        let mut bench = |what: &str, call: &dyn Fn() -> bool| {
            group.bench_function(what, |bencher| bencher.iter(|| black_box(call())));
        };
        bench("governor", &used_up(peers::governor_hourly()));
        bench("sentinel-core 0.1.3", &peers::sentinel_published("refused", 0.0)?);
        bench("tower-resilience", &used_up(peers::tower_resilience(1, HOUR)?));
        bench("limitador", &used_up(peers::limitador(1, HOUR)));
        Ok::<_, Error>(())
    };
    run().expect("the settings of the peers are valid");
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = admitted, refused
}
criterion_main!(benches);
