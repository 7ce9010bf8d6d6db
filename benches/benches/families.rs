//! One call under a rule of each family, and of all; breakers alone, and limits by key.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use sentinel_benches::{
    Error, breakers,
    families::{self, Kind},
    keys::Keys,
    ours::RESOURCE,
    stack,
};
use sentinel_core::{Direction, TscClock};

const PLENTY: u32 = 1_000_000_000;
const DIRECTIONS: [Direction; 2] = [Direction::Inbound, Direction::Outbound];

fn families(criterion: &mut Criterion) {
    let mut run = || {
        let mut group = criterion.benchmark_group("families");
        let mut bench = |what: &str, call: &dyn Fn() -> bool| {
            group.bench_function(what, |bencher| bencher.iter(|| black_box(call())));
        };
        let under = |kinds: &[Kind], direction| {
            Ok::<_, Error>(families::by_handle(families::sentinel(TscClock::new(), kinds)?, RESOURCE, direction))
        };
        for direction in DIRECTIONS {
            bench(&format!("no rule, {direction:?}"), &under(&[], direction)?);
        }
        for kind in Kind::ALL {
            bench(kind.name(), &under(&[kind], kind.direction())?);
            if let Some(call) = families::refused(TscClock::new(), kind)? {
                bench(&format!("{}, refused", kind.name()), &call);
            }
        }
        for direction in DIRECTIONS {
            bench(&format!("all families, {direction:?}"), &under(&Kind::EACH, direction)?);
        }
        Ok::<_, Error>(())
    };
    run().expect("the rules of the benches are valid");
}

fn alone(criterion: &mut Criterion) {
    let mut run = || {
        let mut group = criterion.benchmark_group("alone");
        let mut bench = |what: &str, call: &dyn Fn() -> bool| {
            group.bench_function(what, |bencher| bencher.iter(|| black_box(call())));
        };
        let (calls, second) = (breakers::of_calls(TscClock::new())?, breakers::of_a_second(TscClock::new())?);
        bench("breaker, the last 100 calls", &|| calls(true));
        bench("breaker, the last second", &|| second(true));
        let (recloser, failsafe) = (breakers::recloser(), breakers::failsafe());
        bench("recloser", &|| recloser(true));
        bench("failsafe", &|| failsafe(true));
        bench(
            "hotspot, 10000 values",
            &Keys::zipf(10_000).by_handle(families::sentinel(TscClock::new(), &[Kind::Hotspot])?),
        );
        bench("governor, 10000 keys", &Keys::zipf(10_000).governor(PLENTY));
        bench("breaker, bulkhead and rate: our layer", &stack::caller(stack::layer(TscClock::new())?));
        bench("breaker, bulkhead and rate: tower-resilience", &stack::caller(stack::tower_resilience()?));
        Ok::<_, Error>(())
    };
    run().expect("the rules of the benches are valid");
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = families, alone
}
criterion_main!(benches);
