//! One call, from asking to enter to the end of the entry.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use sentinel_benches::{
    Error, floor,
    ours::{self, Limit, RESOURCE},
    used_up,
};
use sentinel_core::{Clock, ManualClock, TscClock};

fn calls(criterion: &mut Criterion) {
    let mut run = || {
        on_clock(criterion, "tsc", TscClock::new)?;
        on_clock(criterion, "manual", ManualClock::new)
    };
    run().expect("the rules of the benches are valid");
}

fn on_clock<C: Clock>(criterion: &mut Criterion, name: &str, clock: impl Fn() -> C) -> Result<(), Error> {
    let mut group = criterion.benchmark_group(name);
    let limited = ours::sentinel(clock(), Limit::PLENTY)?;
    let mut bench = |what: &str, call: &dyn Fn() -> bool| {
        group.bench_function(what, |bencher| bencher.iter(|| black_box(call())));
    };
    bench("floor", &floor::call(clock()));
    bench("no rule", &ours::by_handle(ours::sentinel(clock(), Limit::None)?.resource(RESOURCE)));
    bench("one rule", &ours::by_handle(limited.resource(RESOURCE)));
    bench("one rule, by name", &ours::by_name(limited));
    bench("one rule, refused", &used_up(ours::by_handle(ours::sentinel(clock(), Limit::ONE)?.resource(RESOURCE))));
    bench("one rule, inbound", &ours::inbound(&ours::sentinel(clock(), Limit::PLENTY)?));
    group.finish();
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = calls
}
criterion_main!(benches);
