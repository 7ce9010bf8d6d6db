//! Counts what resources hold and what calls allocate; prints a name and a number a line.
//!
//! A binary of its own, since its allocator counts, which costs time. All happens on one thread, whose allocations are
//! the ones counted.

use std::{hint::black_box, time::Duration};

use allocation_counter::measure;
use sentinel_benches::{
    Error,
    ours::{self, Limit, RESOURCE},
};
use sentinel_core::{FlowRule, ManualClock, Rules, Sentinel, TscClock};

fn main() -> Result<(), Error> {
    // What a thread keeps for itself, and what the process sets up once, belongs to no resource.
    drop(ours::sentinel(TscClock::new(), Limit::PLENTY)?.resource(RESOURCE).enter());
    allocations()?;
    for threshold in [10.0, 1e6] {
        for resources in [100, 10_000, 100_000] {
            idle(resources, threshold)?;
        }
    }
    hot()
}

/// Allocations of calls, once warm: after a minute with traffic, hot at first.
fn allocations() -> Result<(), Error> {
    for (name, limit) in [("admitted", Limit::PLENTY), ("refused", Limit::ONE), ("no rule", Limit::None)] {
        let clock = ManualClock::new();
        let sentinel = ours::sentinel(clock.clone(), limit)?;
        let by_handle = ours::by_handle(sentinel.resource(RESOURCE));
        let by_name = ours::by_name(sentinel);
        minute(&clock, &by_handle);
        minute(&clock, &by_name);
        let calls = BURST + SPREAD;
        let count = measure(|| minute(&clock, &by_handle)).count_total;
        println!("{name}: allocations of {calls} calls\t{count}");
        let count = measure(|| minute(&clock, &by_name)).count_total;
        println!("{name}, by name: allocations of {calls} calls\t{count}");
    }
    Ok(())
}

/// Calls at once, which make a resource hot.
const BURST: u32 = 1_000;
/// Calls spread over a minute, closer than a limit of one second looks.
const SPREAD: u32 = 10_000;

/// A minute with traffic.
fn minute(clock: &ManualClock, call: &impl Fn() -> bool) {
    for _ in 0..BURST {
        black_box(call());
    }
    for _ in 0..SPREAD {
        clock.advance(Duration::from_millis(7));
        black_box(call());
    }
}

/// Resources with a rule each, each called once.
fn idle(resources: usize, threshold: f64) -> Result<(), Error> {
    let names: Vec<String> = (0..resources).map(|number| format!("GET /resources/{number}")).collect();
    let mut result = Ok(());
    let mut held = 0;
    let left = measure(|| {
        let mut sentinel = None;
        held = measure(|| match instance(&names, threshold) {
            Ok(made) => sentinel = Some(made),
            Err(error) => result = Err(error),
        })
        .bytes_current;
        drop(sentinel);
    });
    println!("{resources} resources, a rule of {threshold} each, called once\t{}", held as f64 / resources as f64);
    println!("{resources} resources, a rule of {threshold} each: left when dropped\t{}", left.bytes_current);
    result
}

fn instance(names: &[String], threshold: f64) -> Result<Sentinel, Error> {
    let sentinel = Sentinel::builder().clock(TscClock::new()).max_resources(names.len()).build()?;
    let rules = names.iter().map(|name| FlowRule::new(name, threshold));
    sentinel.rules().replace("bench", Rules::new().flow(rules))?;
    for name in names {
        drop(sentinel.enter(name).immediately()?);
    }
    Ok(sentinel)
}

/// What traffic adds to a resource.
fn hot() -> Result<(), Error> {
    for threshold in [10.0, ours::PLENTY] {
        let clock = ManualClock::new();
        let limit = Limit::Exact(threshold, Duration::from_secs(1));
        let call = ours::by_handle(ours::sentinel(clock.clone(), limit)?.resource(RESOURCE));
        call();
        let burst = measure(|| {
            for _ in 0..BURST {
                call();
            }
        });
        println!("a rule of {threshold}: more after {BURST} calls at once\t{}", burst.bytes_current);
        let first = measure(|| minute(&clock, &call)).bytes_current;
        println!("a rule of {threshold}: more after a minute with traffic\t{first}");
        let second = measure(|| minute(&clock, &call)).bytes_current;
        println!("a rule of {threshold}: more after a second minute\t{second}");
    }
    Ok(())
}
