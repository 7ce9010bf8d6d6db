//! Calls and their answers.

use std::{
    future::{pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;
use crate::statistics::Totals;

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no route to host")]
struct NoRoute;

/// An instance that admits so many calls a second.
fn sentinel(threshold: f64) -> Sentinel {
    let sentinel = Sentinel::builder().clock(ManualClock::new()).build().unwrap();
    sentinel.rules().replace("test", Rules::new().flow([FlowRule::new("r", threshold)])).unwrap();
    sentinel
}

fn totals(sentinel: &Sentinel) -> Totals {
    sentinel.snapshot_of("r").unwrap().statistics.totals
}

fn enter(sentinel: &Sentinel) -> Result<Entry, Blocked> {
    sentinel.enter("r").immediately()
}

fn poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn of_calls_at_the_same_time_the_one_that_ended_last_is_kept() {
    let (sentinel, (_clock, fallback)) = (sentinel(9.0), fallback(FallbackConfig::default()));
    let store = |value, meanwhile: &dyn Fn()| {
        let work = || {
            meanwhile();
            Ok::<u32, NoRoute>(value)
        };
        assert!(matches!(fallback.call("a".into(), enter(&sentinel), work), Ok(Answer::Fresh(_))));
    };
    store(1, &|| store(2, &|| {}));
    assert_eq!(fallback.get("a").map(|kept| *kept.value), Some(1));
}

#[test]
fn a_good_call_has_a_fresh_answer_which_is_the_stale_one_of_a_bad_call() {
    let (sentinel, (clock, fallback)) = (sentinel(2.0), fallback(FallbackConfig::default()));
    let call = |result: Result<u32, NoRoute>| fallback.call("a".into(), enter(&sentinel), || result);
    assert!(matches!(call(Ok(1)), Ok(Answer::Fresh(value)) if *value == 1));
    clock.advance(SECOND);
    let Ok(Answer::Stale { value, age, trouble: Trouble::Failed(NoRoute) }) = call(Err(NoRoute)) else { panic!() };
    assert_eq!((*value, age), (1, SECOND));
    let refused = call(Ok(2)).unwrap();
    assert!(matches!(&refused, Answer::Stale { trouble: Trouble::Blocked(blocked), .. } if blocked.family() == "flow"));
    assert_eq!((refused.age(), *refused.into_value()), (Some(SECOND), 1));
    let totals = totals(&sentinel);
    assert_eq!((totals.pass, totals.complete, totals.error), (2, 2, 1));
}

#[test]
fn without_a_last_good_value_the_trouble_is_the_result() {
    let (sentinel, (_, fallback)) = (sentinel(1.0), fallback::<u32>(FallbackConfig::default()));
    let call = || fallback.call("a".into(), enter(&sentinel), || Err(NoRoute)).unwrap_err();
    assert_eq!(call().to_string(), "no route to host");
    assert!(matches!(call(), Trouble::Blocked(blocked) if blocked.resource() == "r"));
}

#[test]
fn a_call_that_is_refused_does_not_run() {
    let (sentinel, (_, fallback)) = (sentinel(0.0), fallback::<u32>(FallbackConfig::default()));
    let work = || -> Result<u32, NoRoute> { panic!("it was refused") };
    assert!(fallback.call("a".into(), enter(&sentinel), work).is_err());
    assert!(poll(fallback.run("a".into(), enter(&sentinel), async move { work() })).is_ready());
}

#[test]
fn a_call_that_panics_has_failed_and_stores_nothing() {
    let (sentinel, (_, fallback)) = (sentinel(9.0), fallback::<u32>(FallbackConfig::default()));
    let work = || -> Result<u32, NoRoute> { panic!("out of luck") };
    assert!(catch_unwind(AssertUnwindSafe(|| fallback.call("a".into(), enter(&sentinel), work))).is_err());
    let run = || poll(fallback.run("a".into(), enter(&sentinel), async move { work() }));
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    assert!(fallback.is_empty());
    let totals = totals(&sentinel);
    assert_eq!((totals.complete, totals.error), (2, 2));
    fallback.store("a".into(), 1);
    assert_eq!(value(&fallback, "a"), Some(1));
}

#[test]
fn async_calls_are_answered_as_others() {
    let (sentinel, (_, fallback)) = (sentinel(2.0), fallback(FallbackConfig::default()));
    let run = |result: Result<u32, NoRoute>| poll(fallback.run("a".into(), enter(&sentinel), ready(result)));
    assert!(matches!(run(Ok(1)), Poll::Ready(Ok(Answer::Fresh(value))) if *value == 1));
    assert!(matches!(run(Err(NoRoute)), Poll::Ready(Ok(Answer::Stale { trouble: Trouble::Failed(NoRoute), .. }))));
    assert!(matches!(run(Ok(2)), Poll::Ready(Ok(Answer::Stale { trouble: Trouble::Blocked(_), .. }))));
}

#[test]
fn a_future_that_is_dropped_ends_the_call_as_ignored_and_stores_nothing() {
    let (sentinel, (_, fallback)) = (sentinel(9.0), fallback::<u32>(FallbackConfig::default()));
    let run = || fallback.run("a".into(), enter(&sentinel), pending::<Result<u32, NoRoute>>());
    assert!(poll(run()).is_pending());
    assert_eq!((totals(&sentinel).complete, totals(&sentinel).ignored), (1, 1));
    drop(run());
    assert_eq!((totals(&sentinel).complete, totals(&sentinel).ignored), (2, 2), "never polled");
    assert!(fallback.is_empty());
}

#[test]
fn futures_can_be_sent_to_other_threads() {
    fn sent<T: Send>(value: T) -> T {
        value
    }
    let (sentinel, (_, fallback)) = (sentinel(9.0), fallback(FallbackConfig::default()));
    assert!(poll(sent(fallback.run("a".into(), enter(&sentinel), ready(Ok::<u32, NoRoute>(1))))).is_ready());
}
