mod documents;
mod flood;
mod threads;
mod traces;
mod vectors;

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    Arg, Blocked, Decision, Entry, ManualClock, Rule, Rules, Sentinel,
    families::laws::{Lawful, laws},
};

impl Lawful for Hotspot {
    fn any_rule() -> BoxedStrategy<Rule<Self>> {
        let parameter = prop_oneof![
            4 => (-2..2_i32).prop_map(Parameter::Index),
            2 => prop::sample::select(vec!["key", "other", ""]).prop_map(Parameter::from),
        ];
        let interval = prop::sample::select(vec![0, 1, 100, 1_000, 60_000, 3_600_000]);
        let refill = prop::sample::select(vec![Refill::Continuous, Refill::Interval]);
        let metric = prop_oneof![
            3 => (0..4_u32, refill).prop_map(|(burst, refill)| HotspotMetric::Bucket { burst, refill }),
            2 => (0..2_000_u64).prop_map(|wait| HotspotMetric::Throttle { max_queueing_time: Duration::from_millis(wait) }),
            2 => Just(HotspotMetric::Concurrency),
        ];
        let value = prop_oneof![
            3 => prop::sample::select(vec!["a", "b", "c"]).prop_map(ItemValue::from),
            1 => prop::sample::select(vec![1.0, -0.0, 0.5, f64::NAN]).prop_map(ItemValue::Float),
            1 => any::<bool>().prop_map(ItemValue::Bool),
            1 => any::<i64>().prop_map(ItemValue::Integer),
        ];
        let items = prop::collection::vec((value, 0..8_u32), 0..3);
        let capacity = prop::sample::select(vec![0, 1, 2, 300, 10_000, 2_000_000]);
        let cache = prop::sample::select(vec![ValueCache::Lru, ValueCache::Lru, ValueCache::Frequency]);
        (parameter, 0..8_u32, interval, metric, items, capacity, cache)
            .prop_map(|(parameter, threshold, interval, metric, items, capacity, cache)| {
                let mut rule = HotspotRule::new("r", parameter, threshold).capacity(capacity).cache(cache);
                if metric != HotspotMetric::Concurrency {
                    // It means nothing there, and documents do not keep it.
                    rule.params.interval = Duration::from_millis(interval);
                }
                rule.params.metric = metric;
                rule.params.items =
                    items.into_iter().map(|(value, threshold)| HotspotItem { value, threshold }).collect();
                rule
            })
            .boxed()
    }

    fn document(rule: Rule<Self>) -> Rules {
        Rules::new().hotspot([rule])
    }
}

laws!(Hotspot);

/// The caches that there are.
const CACHES: &[ValueCache] = &[
    ValueCache::Lru,
    #[cfg(feature = "frequency-cache")]
    ValueCache::Frequency,
];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An instance an hour after its clock's start, with hotspot rules on it.
fn under(rules: impl IntoIterator<Item = HotspotRule>) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(3_600));
    let sentinel = Sentinel::builder().clock(clock.clone()).seed(7).build().expect("the defaults are valid");
    replace(&sentinel, rules);
    (clock, sentinel)
}

fn replace(sentinel: &Sentinel, rules: impl IntoIterator<Item = HotspotRule>) {
    sentinel.rules().replace("test", Rules::new().hotspot(rules)).expect("the rules are valid");
}

/// Moves the clock to a time since the hour.
fn at(clock: &ManualClock, millis: u64) {
    clock.advance_to(Duration::from_secs(3_600) + ms(millis));
}

fn ask(sentinel: &Sentinel, args: &[Arg<'_>]) -> Decision {
    sentinel.enter_with("r", &Call::new().args(args))
}

fn enter<'a>(sentinel: &Sentinel, value: impl Into<Arg<'a>>) -> Result<Entry, Blocked> {
    ask(sentinel, &[value.into()]).immediately()
}

/// How many of so many calls with a value are admitted and end at once.
fn passed<'a>(sentinel: &Sentinel, value: impl Into<Arg<'a>>, tries: u32) -> u32 {
    let value = value.into();
    (0..tries).map(|_| u32::from(enter(sentinel, value).is_ok())).sum()
}

#[test]
fn values_have_limits_of_their_own() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 2)]);
    assert_eq!(["a", "b", "a"].map(|value| passed(&sentinel, value, 3)), [2, 2, 0]);
}

#[test]
fn a_call_without_the_argument_is_not_meant() {
    let (_, sentinel) =
        under([HotspotRule::new("r", 1, 0), HotspotRule::new("r", -3, 0), HotspotRule::new("r", "k", 0)]);
    assert!(sentinel.enter("r").immediately().is_ok());
    assert!(enter(&sentinel, "a").is_ok());
    assert!(ask(&sentinel, &["a".into(), "b".into()]).immediately().is_err());
    let named = |name| sentinel.enter_with("r", &Call::new().named_args(&[(name, Arg::from(1))])).immediately();
    assert!(named("other").is_ok() && named("k").is_err());
}

#[test]
fn positions_count_from_either_end_of_each_call() {
    let (_, sentinel) = under([HotspotRule::new("r", -1, 1)]);
    let enter = |args: &[&'static str]| {
        let args: Vec<Arg<'_>> = args.iter().copied().map(Arg::from).collect();
        ask(&sentinel, &args).immediately().is_ok()
    };
    assert!(enter(&["x", "y", "last"]));
    assert!(!enter(&["x", "last"]) && !enter(&["last"]) && enter(&["last", "x"]));
}

#[test]
fn a_call_for_nothing_passes_and_a_batch_counts_whole() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 5).value("closed", 0)]);
    let batch = |value: &'static str, permits| {
        sentinel.enter_with("r", &Call::new().args(&[value.into()]).count(permits)).immediately()
    };
    assert!(batch("closed", 0).is_ok());
    assert!(batch("a", 3).is_ok() && batch("a", 2).is_ok() && batch("a", 0).is_ok());
    let never = batch("b", 6).expect_err("more than there ever is");
    assert_eq!((never.retry_after(), never.observed(), never.threshold()), (None, 0.0, 5.0));
    assert!(batch("b", 5).is_ok());
}

#[test]
fn a_value_with_a_threshold_of_its_own_is_one_of_its_type() {
    let rule = HotspotRule::new("r", 0, 2).value(1, 3).value("1", 4).value(true, 5).value(1.0, 6).value("closed", 0);
    let (_, sentinel) = under([rule.value(0.1_f32, 7)]);
    let values = [Arg::from(1), Arg::from("1"), Arg::from(true), Arg::from(1.0), Arg::from(false), Arg::from("closed")];
    assert_eq!(values.map(|value| passed(&sentinel, value, 9)), [3, 4, 5, 6, 2, 0]);
    let others = [Arg::from(0.1_f32), Arg::from(0.1), Arg::from(1_f32), Arg::Bytes(b"closed")];
    assert_eq!(others.map(|value| passed(&sentinel, value, 9)), [7, 2, 0, 2], "0.1 of 32 bits is not 0.1, but 1 is 1");
    assert_eq!(enter(&sentinel, "closed").expect_err("closed").retry_after(), None);
}

#[test]
fn a_refusal_says_what_was_in_use_and_when_to_come_again() {
    let (clock, sentinel) = under([HotspotRule::new("r", "user", 4).burst(2).value("b", 1).id("per-user")]);
    let enter = |user| sentinel.enter_with("r", &Call::new().named_args(&[("user", Arg::from(user))])).immediately();
    assert_eq!((0..6).filter(|_| enter("a").is_ok()).count(), 6);
    let refused = enter("a").expect_err("used up");
    assert_eq!((refused.observed(), refused.threshold()), (6.0, 4.0));
    assert_eq!((refused.retry_after(), refused.interval()), (Some(ms(250)), Some(ms(1_000))));
    assert_eq!(
        refused.to_string(),
        "hotspot rule `per-user` blocks `r`: 6 of 4 for this value of the argument `user`, try again in 250ms",
    );
    clock.advance(ms(250) - Duration::from_nanos(1));
    assert!(enter("a").is_err());
    clock.advance(Duration::from_nanos(1));
    assert!(enter("a").is_ok());
}

#[test]
fn what_a_later_rule_refuses_takes_nothing() {
    let closing = || HotspotRule::new("r", 1, 5).value("closed", 0).id("closing");
    let kinds = [
        HotspotRule::new("r", 0, 1),
        HotspotRule::new("r", 0, 1).refill(Refill::Interval),
        HotspotRule::new("r", 0, 1).concurrency(),
        HotspotRule::new("r", 0, 1).throttle(Duration::ZERO),
    ];
    for rule in kinds {
        let (_, sentinel) = under([rule.id("first"), closing()]);
        for _ in 0..3 {
            let refused = ask(&sentinel, &["a".into(), "closed".into()]).immediately().expect_err("closed");
            assert_eq!(refused.rule_id(), "closing");
        }
        assert!(ask(&sentinel, &["a".into(), "open".into()]).immediately().is_ok());
    }
}

#[test]
fn a_wait_that_is_given_up_gives_the_last_place_back() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 10).throttle(ms(1_000))]);
    let wait = || match ask(&sentinel, &["a".into()]) {
        Decision::Wait(reservation) => reservation,
        other => panic!("{other:?}"),
    };
    assert!(enter(&sentinel, "a").is_ok());
    let (first, second) = (wait(), wait());
    assert_eq!((first.delay(), second.delay()), (ms(100), ms(200)));
    drop(second);
    let second = wait();
    assert_eq!(second.delay(), ms(200));
    drop(first);
    assert_eq!(wait().delay(), ms(300), "the second has been told when to go");
}

#[test]
fn a_call_that_waits_goes_on_when_its_time_has_come() {
    let (clock, sentinel) = under([HotspotRule::new("r", 0, 10).throttle(ms(100))]);
    assert!(enter(&sentinel, "a").is_ok());
    let waiting = ask(&sentinel, &["a".into()]);
    assert!(ask(&sentinel, &["a".into()]).immediately().is_err(), "the wait is too long");
    let sleep = |delay| clock.sleep(delay);
    let mut admitted = std::pin::pin!(waiting.admitted(sleep));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(admitted.as_mut().poll(&mut context).is_ready());
    assert_eq!(clock.elapsed(), Duration::from_secs(3_600) + ms(100));
}

#[test]
fn however_a_call_ends_it_is_no_longer_inside() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 1).concurrency()]);
    drop(enter(&sentinel, "a").expect("free"));
    let entry = enter(&sentinel, "a").expect("free again");
    let refused = enter(&sentinel, "a").expect_err("one is inside");
    assert_eq!((refused.observed(), refused.threshold(), refused.retry_after()), (1.0, 1.0, Some(ms(1))));
    assert_eq!(refused.interval(), None);
    drop(entry.run(std::future::pending::<Result<(), ()>>()));
    let entry = enter(&sentinel, "a").expect("the future was dropped");
    let panics = std::panic::AssertUnwindSafe(move || {
        let _entry = entry;
        std::panic::resume_unwind(Box::new(()));
    });
    let panicked: Result<(), _> = std::panic::catch_unwind(panics);
    assert!(panicked.is_err());
    assert!(enter(&sentinel, "a").is_ok());
}

#[test]
fn a_dry_run_counts_what_it_would_refuse() {
    let (_, sentinel) =
        under([HotspotRule::new("r", 0, 2).concurrency().dry_run(), HotspotRule::new("r", 0, 4).dry_run()]);
    let entries: Vec<_> = (0..5).map(|_| enter(&sentinel, "a").expect("only watched")).collect();
    let would_block = || {
        let rules = sentinel.snapshot_of("r").expect("entered").rules;
        rules.iter().map(|rule| rule.would_block).collect::<Vec<_>>()
    };
    assert_eq!(would_block(), [3, 1]);
    drop(entries);
    assert!(enter(&sentinel, "a").is_ok());
    assert_eq!(would_block(), [3, 2]);
}

#[test]
fn a_reload_that_changes_thresholds_keeps_what_is_used() {
    let rule = |threshold| HotspotRule::new("r", 0, threshold);
    let (_, sentinel) = under([rule(10)]);
    assert_eq!(passed(&sentinel, "a", 8), 8);
    replace(&sentinel, [rule(20).burst(5).value("b", 3)]);
    assert_eq!(["a", "b"].map(|value| passed(&sentinel, value, 99)), [17, 8]);
    replace(&sentinel, [rule(10)]);
    assert_eq!(["a", "b", "c"].map(|value| passed(&sentinel, value, 99)), [0, 2, 10]);
    replace(&sentinel, [rule(10).per(ms(2_000))]);
    assert_eq!(passed(&sentinel, "a", 99), 10, "another interval is another limit");
    for other in [rule(10).throttle(ms(0)), rule(10).concurrency(), rule(10).capacity(7), HotspotRule::new("r", -1, 10)]
    {
        replace(&sentinel, [other]);
        assert!(enter(&sentinel, "a").is_ok());
    }
}

#[test]
fn calls_inside_and_waiting_stay_counted_over_a_reload() {
    let inside = |threshold| HotspotRule::new("r", 0, threshold).concurrency();
    let (_, sentinel) = under([inside(3)]);
    let entries: Vec<_> = (0..3).map(|_| enter(&sentinel, "a").expect("free")).collect();
    replace(&sentinel, [inside(2)]);
    assert!(enter(&sentinel, "a").is_err());
    drop(entries);
    let entries: Vec<_> = (0..2).map(|_| enter(&sentinel, "a").expect("free again")).collect();
    assert!(enter(&sentinel, "a").is_err());
    replace(&sentinel, [inside(3)]);
    assert!(enter(&sentinel, "a").is_ok());
    drop(entries);

    let (clock, sentinel) = under([HotspotRule::new("r", 0, 10).throttle(ms(500))]);
    assert!(enter(&sentinel, "a").is_ok());
    let Decision::Wait(waiting) = ask(&sentinel, &["a".into()]) else { panic!("it is early") };
    replace(&sentinel, [HotspotRule::new("r", 0, 10).throttle(ms(250))]);
    let Decision::Wait(next) = ask(&sentinel, &["a".into()]) else { panic!("it is early") };
    assert_eq!((waiting.delay(), next.delay()), (ms(100), ms(200)));
    clock.advance(ms(100));
    assert!(matches!(waiting.resume(), Decision::Admit(_)));
}

#[test]
fn the_snapshot_shows_the_hottest_values() {
    let (clock, sentinel) = under([HotspotRule::new("r", 0, 50).capacity(1)]);
    let _ = passed(&sentinel, "hot", 60);
    // There is one place, and who is in it has used all.
    for value in 0..3 {
        let _ = passed(&sentinel, value, 20);
    }
    let hot = |sentinel: &Sentinel| {
        let mut rules = sentinel.snapshot_of("r").expect("entered").rules;
        let values = rules.remove(0).hot_values.into_iter();
        values.map(|hot| (hot.value.to_string(), hot.pass_per_second, hot.block_per_second)).collect::<Vec<_>>()
    };
    assert_eq!(hot(&sentinel), [("hot".to_owned(), 50.0, 10.0), ("__other__".to_owned(), 50.0, 10.0)]);
    clock.advance(ms(2_000));
    assert_eq!(hot(&sentinel), []);

    let (_, sentinel) = under([HotspotRule::new("r", 0, 50).value("closed", 0)]);
    let too_many = |value: &str| sentinel.enter_with("r", &Call::new().args(&[value.into()]).count(60)).immediately();
    assert_eq!(passed(&sentinel, "closed", 70), 0);
    assert!(too_many("batch").is_err());
    assert_eq!(hot(&sentinel), [("closed".to_owned(), 0.0, 70.0), ("batch".to_owned(), 0.0, 60.0)]);

    let (_, sentinel) = under([HotspotRule::new("r", 0, 50)]);
    for value in 0..100 {
        let _ = passed(&sentinel, value, value as u32 + 1);
    }
    let names: Vec<_> = hot(&sentinel).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, (90..100).rev().map(|value| value.to_string()).collect::<Vec<_>>());
}
