mod adaptive;
mod calls;
mod origins;
mod queue;
mod reload;
mod traces;

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    Blocked, Call, Decision, Entry, FlowRule, ManualClock, Reservation, Rule, Rules, Sentinel,
    families::laws::{Lawful, laws},
};

impl Lawful for Isolation {
    fn any_rule() -> BoxedStrategy<Rule<Self>> {
        let threshold = prop_oneof![8 => 0..8_u32, 1 => Just(u32::MAX)];
        let origin = prop_oneof![
            3 => Just(OriginSelector::Any),
            1 => prop::sample::select(vec!["web", "other", " "]).prop_map(|name| OriginSelector::Named(name.into())),
            1 => Just(OriginSelector::Other),
        ];
        let queue = prop::option::of((0..5_u32, 0..2_000_u64, any::<bool>()));
        let algorithm = prop_oneof![
            Just(Algorithm::aimd(Duration::from_millis(5))),
            Just(Algorithm::Vegas),
            (0.5..3.0, 0..6_u32, 0.0..1.2).prop_map(|(tolerance, headroom, smoothing)| Algorithm::Gradient2 {
                tolerance,
                headroom,
                smoothing,
            }),
        ];
        let adaptive = prop_oneof![2 => Just(None), 1 => (algorithm, 0..4_u32, 0..30_u32).prop_map(Some)];
        let shares = prop_oneof![2 => Just((1.0, 1.0)), 1 => (0.1..1.1, 0.0..1.0)];
        (threshold, origin, queue, adaptive, shares)
            .prop_map(|(threshold, origin, queue, adaptive, (default, sheddable))| {
                let mut rule = IsolationRule::new("r", threshold).shares(default, sheddable);
                rule.params.origin = origin;
                if let Some((algorithm, min, max)) = adaptive {
                    let window = Duration::from_millis(100);
                    rule.params.adaptive = Some(Adaptive { algorithm, min, max, window });
                }
                if let Some((max_waiting, millis, newest_first)) = queue {
                    rule = rule.queue(max_waiting, Duration::from_millis(millis));
                    rule = if newest_first { rule.newest_first() } else { rule };
                }
                rule
            })
            .boxed()
    }

    fn document(rule: Rule<Self>) -> Rules {
        Rules::new().isolation([rule])
    }
}

laws!(Isolation);

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn under(rules: impl IntoIterator<Item = IsolationRule>) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(60 * SECOND);
    let sentinel = Sentinel::builder().clock(clock.clone()).build().expect("the defaults are valid");
    put(&sentinel, rules);
    (clock, sentinel)
}

fn put(sentinel: &Sentinel, rules: impl IntoIterator<Item = IsolationRule>) {
    sentinel.rules().replace("test", Rules::new().isolation(rules)).expect("the rules are valid");
}

/// Enters `r`, without waiting.
fn enter(sentinel: &Sentinel) -> Result<Entry, Blocked> {
    enter_as(sentinel, &Call::new())
}

fn enter_as(sentinel: &Sentinel, call: &Call<'_>) -> Result<Entry, Blocked> {
    sentinel.enter_with("r", call).immediately()
}

/// Queues up for `r`.
fn queue_up(sentinel: &Sentinel, permits: u32) -> Reservation {
    match sentinel.enter_with("r", &Call::new().count(permits)) {
        Decision::Wait(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

fn admitted(decision: Decision) -> Entry {
    match decision {
        Decision::Admit(entry) => entry,
        other => panic!("{other:?}"),
    }
}

fn still_waiting(decision: Decision) -> Reservation {
    match decision {
        Decision::Wait(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

/// (pass, block) of `r` in the last second, and its permits in flight.
fn counts(sentinel: &Sentinel) -> (u64, u64, u64) {
    let statistics = sentinel.snapshot_of("r").expect("it was entered").statistics;
    (statistics.second.pass, statistics.second.block, statistics.in_flight)
}
