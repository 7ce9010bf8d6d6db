//! Throughput of two threads, and of many more than there are cores, against one.

use std::{sync::Arc, time::Duration};

use sentinel_core::{Clock as _, Direction, Sentinel, TscClock};

use super::report::{Report, Row};
use crate::{
    Error,
    families::{self, Kind},
    floor,
    ours::{self, Limit, OTHER, RESOURCE},
    peers,
    threads::{Throughput, throughput},
    timing::median,
    used_up,
};

const ROUNDS: usize = 11;
const TIME: Duration = Duration::from_millis(60);
/// Longer, so that each of many threads gets its turns.
const LONG: Duration = Duration::from_millis(200);
const MANY: usize = 64;

struct Subject {
    name: &'static str,
    share: Option<f64>,
    two: Option<f64>,
    many: Option<f64>,
    run: Box<dyn Fn(usize, Duration) -> Throughput>,
}

impl Subject {
    /// Threads that make the same call.
    fn one(name: &'static str, share: f64, call: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let call = Arc::new(call);
        let each = move |_| {
            let call = Arc::clone(&call);
            move || call()
        };
        Self::each(name, share, each)
    }

    /// Threads that make a call each.
    fn each<F>(name: &'static str, share: f64, call_of: impl Fn(usize) -> F + Sync + 'static) -> Self
    where
        F: Fn() -> bool + Send + 'static,
    {
        let run = Box::new(move |threads, time| throughput(threads, time, &call_of));
        Self { name, share: Some(share), two: None, many: None, run }
    }

    /// For a loop of which some turns may fail.
    fn any_share(mut self) -> Self {
        self.share = None;
        self
    }

    fn at_least(mut self, two: f64, many: f64) -> Self {
        (self.two, self.many) = (Some(two), Some(many));
        self
    }

    fn measure(&self, threads: usize, time: Duration) -> Result<Throughput, Error> {
        let throughput = (self.run)(threads, time);
        match self.share {
            Some(share) if share != throughput.share_admitted => {
                Err(format!("{}: a share of {} was admitted", self.name, throughput.share_admitted).into())
            }
            _ => Ok(throughput),
        }
    }
}

pub(crate) fn measure(report: &mut Report) -> Result<(), Error> {
    let none = ours::sentinel(TscClock::new(), Limit::None)?;
    let apart = ours::sentinel(TscClock::new(), Limit::PLENTY)?;
    let hot = ours::sentinel(TscClock::new(), Limit::PLENTY)?;
    let one = ours::sentinel(TscClock::new(), Limit::ONE)?;
    let clock = TscClock::new();
    let together = families::sentinel(TscClock::new(), &Kind::EACH)?;
    let all_apart = families::sentinel(TscClock::new(), &Kind::EACH)?;
    let going_out = families::sentinel(TscClock::new(), &Kind::EACH)?;
    let own = move |thread| ours::by_handle(apart.resource(if thread % 2 == 0 { RESOURCE } else { OTHER }));
    let subjects = [
        Subject::one("clock alone", 1.0, move || clock.nanos() > 0),
        Subject::one("no rule, one resource", 1.0, ours::by_handle(none.resource(RESOURCE))).at_least(1.8, 0.4),
        Subject::each("one rule, a resource each", 1.0, own).at_least(1.8, 0.4),
        Subject::one("refused, one resource", 0.0, used_up(ours::by_handle(one.resource(RESOURCE)))).at_least(1.8, 0.4),
        Subject::one("one rule, one hot resource", 1.0, ours::by_handle(hot.resource(RESOURCE))).at_least(0.8, 0.4),
        Subject::each("all families, in, one resource", 1.0, move |_| under_all(&together, 0, Direction::Inbound))
            .at_least(0.7, 0.4),
        Subject::each("all families, out, a resource each", 1.0, move |thread| {
            under_all(&going_out, thread, Direction::Outbound)
        })
        .at_least(1.8, 0.4),
        Subject::each("all families, in, a resource each", 1.0, move |thread| {
            under_all(&all_apart, thread, Direction::Inbound)
        })
        .at_least(1.8, 0.4),
        Subject::one("floor, with its one shared word", 1.0, floor::call(TscClock::new())).any_share(),
        Subject::one("governor, one limiter", 1.0, peers::governor(1_000_000_000)),
    ];
    let mut taken: Vec<[Vec<Throughput>; 3]> = subjects.iter().map(|_| Default::default()).collect();
    for _ in 0..ROUNDS {
        for (subject, taken) in subjects.iter().zip(&mut taken) {
            for ((threads, time), taken) in [(1, TIME), (2, TIME), (MANY, LONG)].into_iter().zip(taken) {
                taken.push(subject.measure(threads, time)?);
            }
        }
    }
    for (subject, [one, two, many]) in subjects.iter().zip(&taken) {
        let nanos = median(one.iter().map(|one| 1e9 / one.calls_per_second).collect());
        report.add(&Row::new(format!("{}: 1 thread", subject.name), nanos, "ns per call"));
        let even = two.iter().map(|two| two.slowest_to_fastest).fold(1.0, f64::min);
        report.add(
            &gate(format!("{}: 2 threads to 1", subject.name), ratio(two, one), subject.two)
                .note(format!("slowest thread to fastest at least {even:.2}")),
        );
        report.add(&gate(format!("{}: {MANY} threads to 1", subject.name), ratio(many, one), subject.many));
    }
    Ok(())
}

/// The call of a thread under rules of all families; each of two threads has a resource of its own.
fn under_all(sentinel: &Sentinel, thread: usize, direction: Direction) -> impl Fn() -> bool + Send + use<> {
    families::read_signals(sentinel);
    families::by_handle(sentinel.clone(), if thread.is_multiple_of(2) { RESOURCE } else { OTHER }, direction)
}

fn ratio(of: &[Throughput], to: &[Throughput]) -> f64 {
    median(of.iter().zip(to).map(|(of, to)| of.calls_per_second / to.calls_per_second).collect())
}

fn gate(name: String, value: f64, target: Option<f64>) -> Row {
    let row = Row::new(name, value, "x");
    match target {
        Some(target) => row.at_least(target),
        None => row,
    }
}
