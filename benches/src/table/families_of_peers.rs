//! What rules of each family cost beside other libraries, in one run.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sentinel_core::TscClock;

use super::report::{Report, Row};
use crate::{
    Error, breakers,
    families::{self, Kind},
    keys::Keys,
    ours::{self, RESOURCE},
    peers, stack,
    threads::throughput,
    timing::{Loop, Timings, median},
};

const ROUNDS: usize = 61;
const THREAD_ROUNDS: usize = 11;
const TIME: Duration = Duration::from_millis(60);
/// More calls at a time, and per second, than any bench makes.
const PLENTY: u32 = 1_000_000_000;

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    sentinel(report)?;
    keys(report)?;
    breakers(report)?;
    stack(report)
}

/// Each family alone, beside sentinel-core 0.1.3 with the same rule.
fn sentinel(report: &mut Report) -> Result<(), Error> {
    let mut loops = Vec::new();
    for kind in Kind::ALL {
        let Some(theirs) = peers::sentinel_published_under(kind, kind.name(), PLENTY)? else { continue };
        let ours = families::by_handle(families::sentinel(TscClock::new(), &[kind])?, RESOURCE, kind.direction());
        loops.push(Loop::admitted(kind.name(), ours));
        loops.push(Loop::admitted(theirs_of(kind), theirs));
    }
    let timings = Timings::take(&loops, ROUNDS)?;
    for kind in Kind::ALL {
        let name = format!("{}: sentinel-core 0.1.3 to ours", kind.name());
        let theirs = theirs_of(kind);
        if loops.iter().all(|each| each.name() != theirs) {
            report.add(&Row::missing(name, "it has none"));
            continue;
        }
        let nanos = format!("ours {:.1} ns, theirs {:.0} ns", timings.nanos(kind.name()), timings.nanos(&theirs));
        let times = if kind == Kind::Hotspot { 8.0 } else { 15.0 };
        report.add(&Row::new(name, timings.ratio(&theirs, kind.name()), "x").at_least(times).note(nanos));
    }
    Ok(())
}

fn theirs_of(kind: Kind) -> String {
    format!("{}, theirs", kind.name())
}

/// What a hotspot rule adds to an entry, beside governor's check by key with the same keys in the same order.
fn keys(report: &mut Report) -> Result<(), Error> {
    for (what, keys) in [("10000 values", Keys::zipf(10_000)), ("one value", Keys::one())] {
        let ours = |kinds: &[Kind]| {
            let sentinel = families::sentinel(TscClock::new(), kinds)?;
            Ok::<_, Error>(keys.clone().by_handle(sentinel))
        };
        let timings = Timings::take(
            &[
                Loop::admitted("no rule", ours(&[])?),
                Loop::admitted("hotspot", ours(&[Kind::Hotspot])?),
                Loop::admitted("governor", keys.clone().governor(PLENTY)),
            ],
            ROUNDS,
        )?;
        report.add(&Row::new(format!("{what}: an entry without rules"), timings.nanos("no rule"), "ns"));
        report.add(&Row::new(format!("{what}: an entry with a hotspot rule"), timings.nanos("hotspot"), "ns"));
        report.add(&Row::new(format!("{what}: governor's check by key"), timings.nanos("governor"), "ns"));
        let added = timings.ratio_of_difference("hotspot", "no rule", "governor");
        report.add(&Row::new(format!("{what}: what the rule adds to governor's check"), added, "x").at_most(1.5));
    }
    Ok(())
}

/// A closed breaker alone, and a call that goes well.
fn breakers(report: &mut Report) -> Result<(), Error> {
    let of_calls = breakers::of_calls(TscClock::new())?;
    let of_a_second = breakers::of_a_second(TscClock::new())?;
    let (recloser, failsafe) = (breakers::recloser(), breakers::failsafe());
    let timings = Timings::take(
        &[
            Loop::admitted("of calls", move || of_calls(true)),
            Loop::admitted("recloser", move || recloser(true)),
            Loop::admitted("of a second", move || of_a_second(true)),
            Loop::admitted("failsafe", move || failsafe(true)),
        ],
        ROUNDS,
    )?;
    let mut nanos = |what: &str, name: &str| report.add(&Row::new(what, timings.nanos(name), "ns"));
    nanos("breaker alone, the last 100 calls: ours", "of calls");
    nanos("breaker alone, the last 100 calls: recloser", "recloser");
    nanos("breaker alone, the last second: ours", "of a second");
    nanos("breaker alone, the last second: failsafe", "failsafe");
    let ratio = |what: &str, name: &str, to: &str| Row::new(what, timings.ratio(name, to), "x");
    report.add(&ratio("breaker alone: ours to recloser", "of calls", "recloser").at_most(1.5));
    report.add(&ratio("breaker alone, the last second: ours to recloser", "of a second", "recloser").at_most(1.5));
    report.add(&ratio("breaker alone: ours to failsafe", "of a second", "failsafe"));
    Ok(())
}

/// Breaker, bulkhead and rate limiter, on one and on two threads.
fn stack(report: &mut Report) -> Result<(), Error> {
    let sentinel = stack::sentinel(TscClock::new())?;
    let entry = ours::by_handle(sentinel.resource(RESOURCE));
    let (layer, theirs) = (stack::layer(TscClock::new())?, stack::tower_resilience()?);
    let timings = Timings::take(
        &[
            Loop::admitted("entry", entry),
            Loop::admitted("layer", stack::caller(layer.clone())),
            Loop::admitted("theirs", stack::caller(theirs.clone())),
        ],
        ROUNDS,
    )?;
    let what = "breaker, bulkhead and rate";
    let mut nanos = |by: &str, name: &str| report.add(&Row::new(format!("{what}: {by}"), timings.nanos(name), "ns"));
    nanos("ours, on one entry", "entry");
    nanos("ours, as a tower layer", "layer");
    nanos("tower-resilience 0.13", "theirs");
    let third = 1.0 / 3.0;
    let entry = timings.ratio("entry", "theirs");
    report.add(&Row::new(format!("{what}: an entry to tower-resilience, 1 thread"), entry, "x").at_most(third));
    let layer = timings.ratio("layer", "theirs");
    report.add(&Row::new(format!("{what}: our layer to tower-resilience, 1 thread"), layer, "x"));

    let theirs = Mutex::new(theirs);
    let mut ratios = Vec::with_capacity(THREAD_ROUNDS);
    for _ in 0..THREAD_ROUNDS {
        let ours = throughput(2, TIME, |_| ours::by_handle(sentinel.resource(RESOURCE)));
        let theirs =
            throughput(2, TIME, |_| stack::caller(theirs.lock().unwrap_or_else(PoisonError::into_inner).clone()));
        for (name, run) in [("ours", &ours), ("theirs", &theirs)] {
            if run.share_admitted != 1.0 {
                return Err(format!("{what}: {name} admitted a share of {}", run.share_admitted).into());
            }
        }
        ratios.push(theirs.calls_per_second / ours.calls_per_second);
    }
    let name = format!("{what}: an entry to tower-resilience, 2 threads");
    report.add(&Row::new(name, median(ratios), "x").at_most(third));
    Ok(())
}
