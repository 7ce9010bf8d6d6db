//! The breaker of one's own.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use crate::{Breaker, BreakerCallError, BreakerParams, BreakerState, Clock, ManualClock};

use BreakerState::{Closed, HalfOpen, Open};

/// Opens at the first error, for 10 s.
fn fragile() -> BreakerParams {
    BreakerParams::error_ratio(0.5).min_request_amount(1)
}

fn breaker(params: BreakerParams) -> (ManualClock, Breaker) {
    let clock = ManualClock::new();
    let breaker = Breaker::builder(params).clock(clock.clone()).build().expect("valid");
    (clock, breaker)
}

#[test]
fn how_a_ticket_is_told_to_end_counts() {
    let (_, breaker) = breaker(BreakerParams::error_ratio(1.0).min_request_amount(100));
    breaker.try_acquire().expect("closed").success();
    breaker.try_acquire().expect("closed").fail();
    breaker.try_acquire().expect("closed").ignore();
    drop(breaker.try_acquire().expect("closed"));
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.results, snapshot.bad), (2, 1));
}

#[test]
fn a_call_that_panics_has_failed() {
    let (_, breaker) = breaker(fragile());
    assert!(catch_unwind(AssertUnwindSafe(|| breaker.call(|| -> Result<(), ()> { panic!("halfway") }))).is_err());
    assert_eq!(breaker.state(), Open);
}

#[test]
fn a_ticket_that_is_dropped_within_a_destructor_while_the_thread_unwinds_is_a_cancelled_call() {
    struct Cleanup<'a>(&'a Breaker);
    impl Drop for Cleanup<'_> {
        fn drop(&mut self) {
            drop(self.0.try_acquire());
        }
    }
    let (_, breaker) = breaker(fragile());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _cleanup = Cleanup(&breaker);
        std::panic::resume_unwind(Box::new("the work panics"));
    }));
    assert!(panicked.is_err());
    assert_eq!(breaker.state(), Closed);
}

#[test]
fn a_future_says_how_it_ended_or_was_cancelled() {
    let (clock, breaker) = breaker(fragile());
    let mut context = Context::from_waker(Waker::noop());
    let mut ends = |result: Result<(), ()>| {
        let mut run = Box::pin(breaker.run(std::future::ready(result)));
        run.as_mut().poll(&mut context)
    };
    assert_eq!(ends(Ok(())), std::task::Poll::Ready(Ok(())));
    assert_eq!(ends(Err(())), std::task::Poll::Ready(Err(BreakerCallError::Failed(()))));
    assert!(matches!(ends(Ok(())), std::task::Poll::Ready(Err(BreakerCallError::Refused(_)))));
    clock.advance(Duration::from_secs(10));
    let mut probe = Box::pin(breaker.run(std::future::pending::<Result<(), ()>>()));
    assert!(probe.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(breaker.try_acquire().is_err());
    drop(probe);
    assert_eq!(breaker.state(), HalfOpen);
    assert!(breaker.try_acquire().is_ok());
}

#[test]
fn it_is_forced_and_reset() {
    let (_, breaker) = breaker(fragile());
    breaker.force_open();
    let refused = breaker.try_acquire().expect_err("forced open");
    assert_eq!((breaker.state(), refused.retry_after()), (Open, None));
    breaker.force_closed();
    for _ in 0..10 {
        breaker.try_acquire().expect("forced closed").fail();
    }
    assert_eq!(breaker.snapshot().results, 0);
    breaker.reset();
    breaker.try_acquire().expect("closed").fail();
    assert_eq!(breaker.state(), Open);
    breaker.reset();
    assert_eq!((breaker.state(), breaker.snapshot().observed), (Closed, 0.0));
}

#[test]
fn a_parameter_out_of_range_is_an_error_that_names_it() {
    let error = Breaker::new(BreakerParams::error_ratio(1.5).probes(0)).expect_err("two are wrong");
    let fields: Vec<&str> = error.errors().iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["threshold", "probes"]);
}

#[test]
fn changes_are_told_in_order_to_a_listener_that_asks_again_and_panics() {
    type Shared = Arc<(OnceLock<Breaker>, Mutex<Vec<(BreakerState, BreakerState)>>)>;
    let shared = Shared::default();
    let (clock, heard) = (ManualClock::new(), Arc::clone(&shared));
    let listener = move |change: &crate::BreakerChange| {
        let (breaker, told) = &*heard;
        told.lock().expect("no panic under it").push((change.from, change.to));
        if change.to == HalfOpen {
            breaker.get().expect("it is there").force_closed();
            panic!("and it cannot cope");
        }
    };
    let breaker = Breaker::builder(fragile()).clock(clock.clone()).on_change(listener).build().expect("valid");
    let breaker = shared.0.get_or_init(|| breaker);
    breaker.try_acquire().expect("closed").fail();
    clock.advance(Duration::from_secs(10));
    breaker.try_acquire().expect("the probe").fail();
    assert_eq!(*shared.1.lock().expect("no panic under it"), [(Closed, Open), (Open, HalfOpen), (HalfOpen, Closed)]);
}

#[test]
fn jitter_is_the_same_for_the_same_seed_and_another_for_another() {
    let times = |seed| {
        let clock = ManualClock::new();
        let params = fragile().retry_jitter(1.0).retry_timeout(Duration::from_secs(1));
        let breaker = Breaker::builder(params).clock(clock.clone()).seed(seed).build().expect("valid");
        let opens = || {
            breaker.try_acquire().expect("it is let through").fail();
            let wait = breaker.try_acquire().expect_err("open").retry_after().expect("not forced");
            clock.advance(wait);
            wait
        };
        [opens(), opens(), opens()]
    };
    assert_eq!(times(1), times(1));
    assert_ne!(times(1), times(2));
    let within = Duration::from_secs(1)..=Duration::from_secs(2);
    assert!((0..50).flat_map(times).all(|time| within.contains(&time)));
}

/// Counts how often it is read.
#[derive(Clone, Debug, Default)]
struct CountingClock(Arc<AtomicU64>);

impl Clock for CountingClock {
    fn nanos(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed);
        0
    }
}

#[test]
fn a_good_call_reads_the_clock_only_where_time_matters() {
    let slow = |ms| BreakerParams::slow_ratio(Duration::from_millis(ms), 0.5);
    for (params, readings) in
        [(fragile().window_calls(10), 0), (fragile(), 1), (slow(10), 2), (slow(10).window_calls(10), 2)]
    {
        let clock = CountingClock::default();
        let breaker = Breaker::builder(params).clock(clock.clone()).build().expect("valid");
        for _ in 0..20 {
            breaker.try_acquire().expect("closed").success();
        }
        assert_eq!(clock.0.load(Ordering::Relaxed), 20 * readings, "{params:?}");
    }
}

#[test]
fn it_may_be_shared_between_threads_and_kept_across_awaits() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    let (_, breaker) = breaker(fragile());
    is_send_and_sync(&breaker);
    is_send_and_sync(&breaker.try_acquire());
    fn is_send<T: Send>(_: &T) {}
    is_send(&breaker.run(std::future::ready(Ok::<(), ()>(()))));
}
