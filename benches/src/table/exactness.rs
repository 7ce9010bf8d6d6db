//! Whether limits are kept on the real clock with many threads, and how much of what they allow is admitted.
//!
//! All goes through the public interface; every admitted call is logged, and the log is audited afterwards.

use std::{
    sync::{Barrier, OnceLock},
    thread,
    time::Duration,
};

use sentinel_core::{Clock as _, TscClock};

use super::report::{Report, Row};
use crate::{
    Error,
    audit::{self, Admitted},
    ours::{self, Limit, RESOURCE},
    peers,
};

const SECOND: u64 = 1_000_000_000;
/// How long calls come in pulses, and from one pulse to the next.
const PULSE: u64 = 450_000_000;
const EVERY: u64 = SECOND;

/// When calls are offered.
#[derive(Clone, Copy, Debug)]
enum Load {
    /// All the time.
    Hammer,
    /// For 450 ms of each second.
    Pulses,
    /// The threshold at once, again one interval after the last of these calls has ended.
    Bursts,
    /// The threshold at once, each interval by the clock: some calls come less than an interval after the ones before.
    Beat,
}

/// What became of a load.
struct Outcome {
    most: u64,
    /// Of what an exact log admits.
    share: f64,
}

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let rules = [(1, SECOND), (10, SECOND), (1_000, SECOND), (100_000, SECOND), (1_000, SECOND / 10)];
    for (threshold, interval) in rules {
        for threads in [8, 64] {
            let name = format!("{threshold} per {} ms, {threads} threads", interval / 1_000_000);
            let outcome = |load| {
                let limit = Limit::Exact(threshold as f64, Duration::from_nanos(interval));
                Ok::<_, Error>(run(load, threads, threshold, interval, &our_call(limit)?))
            };
            let gated = [outcome(Load::Hammer)?, outcome(Load::Pulses)?, outcome(Load::Bursts)?];
            let beat = outcome(Load::Beat)?;
            let most = gated.iter().chain([&beat]).map(|outcome| outcome.most).max().unwrap_or(0);
            let [hammer, pulses, bursts] = gated.map(|outcome| outcome.share);
            let least = hammer.min(pulses).min(bursts);
            report
                .add(&Row::new(format!("{name}: most in an interval"), most as f64, "calls").at_most(threshold as f64));
            report.add(
                &Row::new(format!("{name}: least share of an exact log"), least, "share")
                    .at_least(0.99)
                    .note(format!("hammer {hammer:.4}, pulses {pulses:.4}, bursts {bursts:.4}")),
            );
            report.add(&Row::new(format!("{name}: share of an exact log, on the beat"), beat.share, "share"));
        }
    }
    Ok(())
}

pub(crate) fn measure_peers(report: &mut Report) -> Result<(), Error> {
    const THRESHOLD: u64 = 1_000;
    let mut peer = |name: &str, outcome: &dyn Fn(Load) -> Result<Outcome, Error>| {
        for load in [Load::Hammer, Load::Pulses] {
            let name = format!("{name}, {load:?}: most of 1000 in 1 s").to_lowercase();
            report.add(&Row::new(name, outcome(load)?.most as f64, "calls"));
        }
        Ok::<_, Error>(())
    };
    let second = Duration::from_secs(1);
    peer("ours", &|load| Ok(by_eight(load, &our_call(Limit::Exact(THRESHOLD as f64, second))?)))?;
    peer("sentinel-core 0.1.3", &|load| {
        let resource = if matches!(load, Load::Hammer) { "hammered" } else { "pulsed" };
        Ok(by_eight(load, &peers::sentinel_published(resource, THRESHOLD as f64)?))
    })?;
    peer("governor with burst", &|load| Ok(by_eight(load, &peers::governor(THRESHOLD as u32))))?;
    peer("limitador", &|load| Ok(by_eight(load, &peers::limitador(THRESHOLD, second))))?;
    return peer("tower-resilience, sliding log", &|load| {
        Ok(by_eight(load, &peers::tower_resilience(THRESHOLD as usize, second)?))
    });

    fn by_eight(load: Load, call: &(impl Fn() -> bool + Sync)) -> Outcome {
        run(load, 8, THRESHOLD, SECOND, call)
    }
}

fn our_call(limit: Limit) -> Result<impl Fn() -> bool + Send + Sync, Error> {
    Ok(ours::by_handle(ours::sentinel(TscClock::new(), limit)?.resource(RESOURCE)))
}

/// Puts a load on something that admits `threshold` calls in `interval`, and audits what it admits.
fn run(load: Load, threads: usize, threshold: u64, interval: u64, call: &(impl Fn() -> bool + Sync)) -> Outcome {
    let clock = TscClock::new();
    let mut log = match load {
        Load::Hammer | Load::Pulses => stream(load, threads, threshold, interval, &clock, call),
        Load::Bursts | Load::Beat => bursts(load, threads, threshold, interval, &clock, call),
    };
    Outcome {
        share: log.admitted.len() as f64 / log.exact as f64,
        most: audit::most_inside(&mut log.admitted, interval),
    }
}

struct Log {
    admitted: Vec<Admitted>,
    /// What an exact log admits of the same load.
    exact: u64,
}

/// Calls as fast as they go.
fn stream(
    load: Load,
    threads: usize,
    threshold: u64,
    interval: u64,
    clock: &TscClock,
    call: &(impl Fn() -> bool + Sync),
) -> Log {
    // An exact log under more than it can admit lets the threshold pass at the begin and again each interval. The end
    // leaves time for the last of them.
    let (end, intervals) = match load {
        Load::Pulses => (2 * EVERY + PULSE, 3 * ((PULSE - 1) / interval + 1)),
        _ => (2 * SECOND + interval / 2, 2 * SECOND / interval + 1),
    };
    let (barrier, start) = (Barrier::new(threads), OnceLock::new());
    let each = |_| {
        let mut log = Vec::with_capacity((threshold * intervals) as usize);
        barrier.wait();
        let start = *start.get_or_init(|| clock.nanos());
        loop {
            let before = clock.nanos();
            let passed = before.saturating_sub(start);
            if passed > end {
                return log;
            }
            if matches!(load, Load::Pulses) && passed % EVERY >= PULSE {
                thread::sleep(Duration::from_nanos(EVERY - passed % EVERY));
            } else if call() {
                log.push(Admitted { before, after: clock.nanos() });
            }
        }
    };
    Log { admitted: in_threads(threads, each), exact: threshold * intervals }
}

/// The threshold at once, again and again.
fn bursts(
    load: Load,
    threads: usize,
    threshold: u64,
    interval: u64,
    clock: &TscClock,
    call: &(impl Fn() -> bool + Sync),
) -> Log {
    let rounds = if interval < SECOND { 15 } else { 4 };
    let barrier = Barrier::new(threads);
    let each = |number: u64| {
        let share = threshold / threads as u64 + u64::from(number < threshold % threads as u64);
        let mut log = Vec::with_capacity((share * rounds) as usize);
        barrier.wait();
        let mut next = clock.nanos();
        for _ in 0..rounds {
            sleep_until(next, clock);
            for _ in 0..share {
                let before = clock.nanos();
                let admitted = call();
                log.push((Admitted { before, after: clock.nanos() }, admitted));
            }
            if matches!(load, Load::Bursts) {
                barrier.wait();
                next = clock.nanos();
            }
            next += interval;
        }
        log
    };
    let offered = in_threads(threads, each);
    let mut times: Vec<u64> = offered.iter().map(|(offered, _)| offered.before).collect();
    times.sort_unstable();
    Log {
        exact: audit::exact_log(times, threshold as usize, interval),
        admitted: offered.into_iter().filter_map(|(offered, admitted)| admitted.then_some(offered)).collect(),
    }
}

fn sleep_until(time: u64, clock: &TscClock) {
    loop {
        match time.saturating_sub(clock.nanos()) {
            0 => return,
            left => thread::sleep(Duration::from_nanos(left)),
        }
    }
}

/// What all threads logged; each is given its number.
fn in_threads<T: Send>(threads: usize, each: impl Fn(u64) -> Vec<T> + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let each = &each;
        let running: Vec<_> = (0..threads as u64).map(|number| scope.spawn(move || each(number))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}
