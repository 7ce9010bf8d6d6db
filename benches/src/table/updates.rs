//! Rules that change all the time while threads make calls: what calls take, and whether anything is lost.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use sentinel_core::{Clock as _, Decision, Encoding, Format, ResourceSnapshot, Sentinel, TscClock};
use sentinel_datasource::{Connection, Content, Datasource, Document, Reading, Source, SourceError};
use tokio::sync::watch;

use super::report::{Report, Row};
use crate::{
    Error,
    audit::{self, Admitted},
    timing::median,
};

/// Rules in the payload.
const RULES: u64 = 10_000;
/// Threads that make calls.
const THREADS: u64 = 2;
/// From one change of the payload to the next.
const EVERY: Duration = Duration::from_millis(100);
/// How long calls are made without changes and with them, in turn.
const SLICE: Duration = Duration::from_secs(10);
const ROUNDS: usize = 3;
/// A limit that is reached, and stays as it is while all else changes.
const LIMITED: &str = "limited";
const LIMIT: u64 = 1_000;
/// One call in so many is of the limited resource.
const RARE: u64 = 64;

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let clock = TscClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).build()?;
    let (payload, told) = watch::channel(document(0));
    let watch = Datasource::new(Memory(told)).min_interval(EVERY / 2).start_on_thread(&sentinel)?;
    let mut quiet = Vec::new();
    let mut updated = Vec::new();
    let mut admitted = Vec::new();
    let mut made = 0;
    let mut change = 0;
    for _ in 0..ROUNDS {
        for (with_updates, slices) in [(false, &mut quiet), (true, &mut updated)] {
            let mut slice = Slice::run(&sentinel, &clock, || {
                if with_updates {
                    change += 1;
                    payload.send_replace(document(change));
                }
            });
            made += slice.made;
            admitted.append(&mut slice.admitted);
            slices.push(slice.times);
        }
    }
    let last = change;
    let in_force = || {
        let rules = sentinel.rules().get("memory")?;
        Some(rules.flow.get(last as usize % RULES as usize + 1)?.params.threshold)
    };
    let begin = Instant::now();
    while in_force() != Some(threshold(last, last % RULES) as f64) {
        if begin.elapsed() > SLICE {
            return Err("the last change is not in force".into());
        }
        thread::sleep(EVERY);
    }
    let status = watch.status();
    let p999 = |slices: &[Times]| median(slices.iter().map(|times| times.quantile(0.999)).collect());
    let seconds = SLICE.as_secs() * ROUNDS as u64;
    let name = format!("calls of {THREADS} threads while {RULES} rules change {change} times in {seconds} s");
    report.add(&Row::new(format!("{name}: p99.9"), p999(&updated), "ns"));
    report.add(&Row::new("the same without changes: p99.9", p999(&quiet), "ns"));
    report.add(&Row::new("p99.9 with changes to without", p999(&updated) / p999(&quiet), "x").at_most(2.0));
    // One that comes while another is being put in force is taken with the next.
    let applied = (status.applied - 1) as f64;
    report.add(
        &Row::new("changes put in force, the last one among them", applied, "changes").at_least(0.9 * change as f64),
    );
    let totals = |resource: &ResourceSnapshot| resource.statistics.totals.pass + resource.statistics.totals.block;
    let counted: u64 = sentinel.snapshot().resources.iter().map(totals).sum();
    report.add(
        &Row::new("calls made and not counted, or counted and not made", made.abs_diff(counted) as f64, "calls")
            .at_most(0.0),
    );
    let most = audit::most_inside(&mut admitted, 1_000_000_000);
    report.add(
        &Row::new(format!("most calls within a second of a limit of {LIMIT} across all changes"), most as f64, "calls")
            .at_most(LIMIT as f64),
    );
    watch.stop();
    Ok(())
}

/// What threads did for a while.
struct Slice {
    made: u64,
    times: Times,
    admitted: Vec<Admitted>,
}

impl Slice {
    /// Makes calls, and does something now and then meanwhile.
    fn run(sentinel: &Sentinel, clock: &TscClock, mut now_and_then: impl FnMut()) -> Self {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let over = &over;
            let threads: Vec<_> =
                (0..THREADS).map(|number| scope.spawn(move || calls(sentinel, clock, number, over))).collect();
            let begin = Instant::now();
            for tick in 1_u32.. {
                thread::sleep((EVERY * tick).saturating_sub(begin.elapsed()));
                if begin.elapsed() >= SLICE {
                    break;
                }
                now_and_then();
            }
            over.store(true, Ordering::Relaxed);
            let mut slices = threads.into_iter().filter_map(|thread| thread.join().ok());
            let first = slices.next().unwrap_or_else(Self::empty);
            slices.fold(first, |mut all, slice| {
                all.made += slice.made;
                all.times.add(&slice.times);
                all.admitted.extend(slice.admitted);
                all
            })
        })
    }

    fn empty() -> Self {
        Self { made: 0, times: Times::default(), admitted: Vec::new() }
    }
}

/// The calls of one thread: of a resource after the other, and now and then of the limited one.
fn calls(sentinel: &Sentinel, clock: &TscClock, number: u64, over: &AtomicBool) -> Slice {
    let resources: Vec<_> = (0..RULES).map(|rule| sentinel.resource(&name(rule))).collect();
    let limited = sentinel.resource(LIMITED);
    let mut slice = Slice::empty();
    // Any other one than the other thread's, in an order that no processor foresees.
    let mut state = number + 1;
    while !over.load(Ordering::Relaxed) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = state >> 33;
        let is_limited = drawn.is_multiple_of(RARE);
        let resource = if is_limited { &limited } else { &resources[(drawn % RULES) as usize] };
        let before = clock.nanos();
        let decision = resource.enter();
        let after = clock.nanos();
        let is_admitted = matches!(decision, Decision::Admit(_));
        drop(decision);
        let end = clock.nanos();
        slice.made += 1;
        slice.times.record(end - before);
        if is_limited && is_admitted {
            slice.admitted.push(Admitted { before, after });
        }
    }
    slice
}

/// How long calls took: counts in buckets of an eighth of a power of two.
#[derive(Clone)]
struct Times([u64; 8 * 64]);

impl Default for Times {
    fn default() -> Self {
        Self([0; 8 * 64])
    }
}

impl Times {
    fn record(&mut self, nanos: u64) {
        let nanos = nanos.max(8);
        let power = nanos.ilog2();
        let eighth = (nanos >> (power - 3)) & 7;
        self.0[(power * 8) as usize + eighth as usize] += 1;
    }

    fn add(&mut self, other: &Self) {
        for (one, more) in self.0.iter_mut().zip(&other.0) {
            *one += more;
        }
    }

    /// The upper end of the bucket of the call that is slower than this share.
    fn quantile(&self, share: f64) -> f64 {
        let rank = (self.0.iter().sum::<u64>() as f64 * share) as u64;
        let mut below = 0;
        let bucket = self.0.iter().position(|count| {
            below += count;
            below > rank
        });
        bucket.map_or(f64::NAN, |bucket| 2.0_f64.powi((bucket / 8) as i32) * (1.0 + (bucket % 8 + 1) as f64 / 8.0))
    }
}

/// A source in memory.
struct Memory(watch::Receiver<String>);

struct Listening(watch::Receiver<String>);

impl Source for Memory {
    type Connection = Listening;

    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn connect(&mut self) -> Result<Listening, SourceError> {
        Ok(Listening(self.0.clone()))
    }
}

impl Connection for Listening {
    async fn read(&mut self) -> Result<Reading, SourceError> {
        let text = self.0.borrow_and_update().clone();
        Ok(Content::new([Document::new("rules", text, Encoding::native(Format::Json))]).into())
    }

    async fn changed(&mut self) -> Result<(), SourceError> {
        self.0.changed().await.map_err(|_| SourceError::Ended)
    }
}

/// The payload after so many changes, each of another rule.
fn document(change: u64) -> String {
    let rule = |rule: u64| format!(r#"{{"resource":"{}","threshold":{}}}"#, name(rule), threshold(change, rule));
    let rules: Vec<String> = (0..RULES).map(rule).collect();
    format!(r#"{{"flow":[{{"resource":"{LIMITED}","threshold":{LIMIT}}},{}]}}"#, rules.join(","))
}

/// Its threshold after so many changes.
fn threshold(change: u64, rule: u64) -> u64 {
    if change % RULES == rule { 1_000_000 + change } else { 1_000_000 }
}

fn name(rule: u64) -> String {
    format!("GET /resources/{rule}")
}
