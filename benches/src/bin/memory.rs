//! Counts what resources hold and what calls allocate; prints a name and a number a line.
//!
//! A binary of its own, since its allocator counts, which costs time. All happens on one thread, whose allocations are
//! the ones counted.

use std::{hint::black_box, time::Duration};

use allocation_counter::measure;
use sentinel_benches::{
    Error,
    families::{self, Kind},
    ours::{self, Limit, RESOURCE},
};
use sentinel_core::{
    Breaker, BreakerParams, Call, Decision, Direction, FlowRule, Format, IsolationRule, ManualClock, Rules, Sentinel,
    TscClock,
};

fn main() -> Result<(), Error> {
    // What a thread keeps for itself, and what the process sets up once, belongs to no resource.
    drop(ours::sentinel(TscClock::new(), Limit::PLENTY)?.resource(RESOURCE).enter());
    allocations()?;
    allocations_of_families()?;
    for threshold in [10.0, 1e6] {
        for resources in [100, 10_000, 100_000] {
            idle(resources, threshold)?;
        }
    }
    hot()?;
    families_at_rest()?;
    values()?;
    waiters()?;
    breakers()?;
    reloads()
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

/// Allocations of calls under rules of each kind, and of all families.
fn allocations_of_families() -> Result<(), Error> {
    let one = Kind::ALL.map(|kind| (kind.name(), vec![kind], kind.direction()));
    let all = [("all families, in", Direction::Inbound), ("all families, out", Direction::Outbound)]
        .map(|(name, direction)| (name, Kind::EACH.to_vec(), direction));
    for (name, kinds, direction) in one.into_iter().chain(all) {
        let clock = ManualClock::new();
        let sentinel = families::sentinel(clock.clone(), &kinds)?;
        let call = families::by_handle(sentinel.clone(), RESOURCE, direction);
        let call = || {
            families::read_signals(&sentinel);
            call()
        };
        minute(&clock, &call);
        let count = measure(|| minute(&clock, &call)).count_total;
        println!("{name}, admitted: allocations of {} calls\t{count}", BURST + SPREAD);
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

/// Resources with a rule of each family, each called once.
fn families_at_rest() -> Result<(), Error> {
    const RESOURCES: usize = 1_000;
    let names: Vec<String> = (0..RESOURCES).map(|number| format!("GET /resources/{number}")).collect();
    let one = Kind::ALL.map(|kind| (kind.name(), vec![kind], kind.direction()));
    let others = [("no rule", vec![]), ("a rule of each family", Kind::EACH.to_vec())];
    let others = others.map(|(name, kinds)| (name, kinds, Direction::Inbound));
    for (name, kinds, direction) in one.into_iter().chain(others) {
        let mut made = Ok(None);
        let held = measure(|| made = under(&names, &kinds, direction).map(Some)).bytes_current;
        drop(made?);
        println!("{RESOURCES} resources, {name} on each, called once\t{}", held as f64 / RESOURCES as f64);
    }
    Ok(())
}

fn under(names: &[String], kinds: &[Kind], direction: Direction) -> Result<Sentinel, Error> {
    let sentinel = families::under(TscClock::new(), families::admitting(kinds, names))?;
    for name in names {
        families::by_handle(sentinel.clone(), name, direction)();
    }
    Ok(sentinel)
}

/// What a hotspot rule keeps for each value that it knows.
fn values() -> Result<(), Error> {
    const VALUES: usize = 10_000;
    let sentinel = families::sentinel(TscClock::new(), &[Kind::Hotspot])?;
    let resource = families::resource(&sentinel, RESOURCE, Direction::Inbound);
    drop(resource.enter());
    let values: Vec<String> = (0..VALUES).map(|number| format!("customer-{number:04}")).collect();
    let known = measure(|| {
        for value in &values {
            drop(resource.enter_with(&Call::new().args(&[value.as_str().into()])));
        }
    });
    println!("hotspot: a known value, of {VALUES}\t{}", known.bytes_current as f64 / VALUES as f64);
    Ok(())
}

/// What a call in the queue of an isolation rule takes.
fn waiters() -> Result<(), Error> {
    const WAITERS: u32 = 1_000;
    let rule = IsolationRule::new(RESOURCE, 1).queue(WAITERS, Duration::from_secs(3_600));
    let sentinel = families::under(TscClock::new(), Rules::new().isolation([rule]))?;
    let resource = sentinel.resource(RESOURCE);
    let _inside = resource.enter().immediately()?;
    let mut waiting = Vec::with_capacity(WAITERS as usize);
    let queue = measure(|| {
        waiting.extend((0..WAITERS).filter_map(|_| match resource.enter() {
            Decision::Wait(reservation) => Some(reservation),
            Decision::Admit(_) | Decision::Block(_) => None,
        }));
    });
    if waiting.len() != WAITERS as usize {
        return Err("every call was to wait".into());
    }
    println!("isolation: a call in the queue, of {WAITERS}\t{}", queue.bytes_current as f64 / f64::from(WAITERS));
    Ok(())
}

/// What a breaker takes that is used alone.
fn breakers() -> Result<(), Error> {
    let params = BreakerParams::error_ratio(0.5);
    for (name, params) in [("the last second", params), ("the last 100 calls", params.window_calls(100))] {
        let mut made = None;
        let held = measure(|| made = Some(Breaker::new(params).map(Box::new))).bytes_current;
        made.transpose()?;
        println!("a breaker alone, {name}\t{held}");
    }
    Ok(())
}

/// What is left of payloads of many rules that were put in force one after the other, each with another rule changed.
fn reloads() -> Result<(), Error> {
    const RULES: usize = 10_000;
    const RELOADS: usize = 300;
    let names: Vec<String> = (0..RULES).map(|number| format!("GET /resources/{number}")).collect();
    let payload = |change: usize| {
        let rule = |(number, name): (usize, &String)| {
            let threshold = if number == change { 200 } else { 100 };
            format!(r#"{{"resource":"{name}","threshold":{threshold}}}"#)
        };
        let rules: Vec<String> = names.iter().enumerate().map(rule).collect();
        format!(r#"{{"flow":[{}]}}"#, rules.join(","))
    };
    // Time stands still, since statistics of another second are no matter of reloads.
    let sentinel = Sentinel::builder().clock(ManualClock::new()).build()?;
    let reload = |change: usize| -> Result<(), Error> {
        let rules = Rules::parse(payload(change).as_bytes(), Format::Json)?.rules;
        sentinel.rules().replace("bench", rules)?;
        // Calls keep plans for a while, the old and the new.
        drop(sentinel.enter(&names[change]).immediately()?);
        Ok(())
    };
    let all = || (1..RELOADS).chain([0]).try_for_each(reload);
    // What a resource comes to hold when it is called.
    all()?;
    let mut result = Ok(());
    let left = measure(|| result = all()).bytes_current;
    result?;
    println!("{RULES} rules, one of them changed {RELOADS} times: more after these reloads\t{left}");
    Ok(())
}
