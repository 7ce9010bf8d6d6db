//! The life of an entry: however a call ends, everything is given back once and counted once.

use std::{
    collections::VecDeque,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use sentinel_core::{Arg, Call, Decision, FlowRule, HotspotRule, IsolationRule, ManualClock, Rules, Sentinel, Target};

fn under(rules: impl IntoIterator<Item = FlowRule>) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(60));
    let sentinel = Sentinel::builder().clock(clock.clone()).build().expect("the defaults are valid");
    sentinel.rules().replace("test", Rules::new().flow(rules)).expect("the rules are valid");
    (clock, sentinel)
}

/// (pass, block, complete, error, in flight) of `r`.
fn counts(sentinel: &Sentinel) -> (u64, u64, u64, u64, u64) {
    let statistics = sentinel.snapshot_of("r").expect("it was entered").statistics;
    let second = statistics.second;
    (second.pass, second.block, second.complete, second.error, statistics.in_flight)
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_entry_ends_when_it_is_dropped() {
    let (clock, sentinel) = under([]);
    let entry = sentinel.enter("r").immediately().expect("no rule");
    assert_eq!(counts(&sentinel), (1, 0, 0, 0, 1));
    clock.advance(Duration::from_millis(20));
    drop(entry);
    assert_eq!(counts(&sentinel), (1, 0, 1, 0, 0));
    let second = sentinel.snapshot_of("r").expect("it was entered").statistics.second;
    assert_eq!(second.response_times.min, Duration::from_millis(20));
    assert_eq!(second.response_times.max, Duration::from_millis(20));
}

#[test]
fn a_failed_call_counts_as_error_and_an_ignored_one_does_not() {
    let (_clock, sentinel) = under([]);
    sentinel.enter("r").immediately().expect("no rule").fail();
    sentinel.enter("r").immediately().expect("no rule").ignore();
    let failed: Result<(), &str> = sentinel.enter("r").immediately().expect("no rule").call(|| Err("no"));
    assert_eq!(failed, Err("no"));
    assert_eq!(counts(&sentinel), (3, 0, 3, 2, 0));
}

#[test]
fn a_panic_in_user_code_ends_the_entry_as_failed() {
    let (_clock, sentinel) = under([]);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _entry = sentinel.enter("r").immediately().expect("no rule");
        panic!("in user code");
    }));
    assert!(result.is_err());
    assert_eq!(counts(&sentinel), (1, 0, 1, 1, 0));
}

#[test]
fn a_call_of_a_destructor_that_runs_while_the_thread_unwinds_ends_as_it_says() {
    struct Cleanup<'a>(&'a Sentinel);
    impl Drop for Cleanup<'_> {
        fn drop(&mut self) {
            drop(self.0.enter("r").immediately().expect("no rule"));
            let work = || Ok::<_, ()>("cleaned");
            assert_eq!(self.0.enter("r").immediately().expect("no rule").call(work), Ok("cleaned"));
            self.0.enter("r").immediately().expect("no rule").fail();
        }
    }
    let (_clock, sentinel) = under([]);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _cleanup = Cleanup(&sentinel);
        std::panic::resume_unwind(Box::new("the work panics"));
    }));
    assert!(result.is_err());
    assert_eq!(counts(&sentinel), (3, 0, 3, 1, 0));
}

#[test]
fn an_entry_may_end_on_another_thread() {
    let (_clock, sentinel) = under([]);
    let entry = sentinel.enter("r").immediately().expect("no rule");
    std::thread::scope(|scope| {
        scope.spawn(move || drop(entry));
    });
    assert_eq!(counts(&sentinel), (1, 0, 1, 0, 0));
}

#[test]
fn a_run_that_is_never_polled_is_a_cancelled_call() {
    let sentinel = Sentinel::default();
    drop(sentinel.enter("r").immediately().expect("free").run(std::future::ready(Ok::<(), ()>(()))));
    let totals = sentinel.snapshot_of("r").expect("entered").statistics.totals;
    assert_eq!((totals.complete, totals.ignored), (1, 1));
}

#[test]
fn a_future_that_is_dropped_halfway_is_ignored() {
    let (_clock, sentinel) = under([]);
    let entry = sentinel.enter("r").immediately().expect("no rule");
    {
        let mut run = pin!(entry.run(std::future::pending::<Result<(), ()>>()));
        assert!(poll_once(run.as_mut()).is_pending());
        assert_eq!(counts(&sentinel), (1, 0, 0, 0, 1));
    }
    assert_eq!(counts(&sentinel), (1, 0, 1, 0, 0));
}

#[test]
fn a_future_that_ends_says_how() {
    let (_clock, sentinel) = under([]);
    for (result, errors) in [(Ok(()), 0), (Err(()), 1)] {
        let entry = sentinel.enter("r").immediately().expect("no rule");
        let mut run = pin!(entry.run(std::future::ready(result)));
        assert_eq!(poll_once(run.as_mut()), Poll::Ready(result));
        assert_eq!(counts(&sentinel).3, errors);
    }
}

#[test]
fn calls_that_give_up_waiting_leave_their_places_in_whatever_order() {
    for oldest_first in [true, false] {
        let (_clock, sentinel) = under([FlowRule::new("r", 2.0).throttle(Duration::from_secs(3))]);
        let _inside = sentinel.enter("r").immediately().expect("nobody is before it");
        let mut waiting: VecDeque<_> = (0..6).map(|_| sentinel.enter("r")).collect();
        while !waiting.is_empty() {
            drop(if oldest_first { waiting.pop_front() } else { waiting.pop_back() });
        }
        let Decision::Wait(next) = sentinel.enter("r") else { panic!("it comes too early") };
        assert_eq!(next.delay(), Duration::from_millis(500));
    }
}

#[test]
fn a_call_that_gives_up_waiting_leaves_its_place() {
    let (clock, sentinel) = under([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    drop(sentinel.enter("r").immediately().expect("the first passes"));
    {
        let mut waiting = pin!(sentinel.enter("r").admitted(|_| std::future::pending::<()>()));
        assert!(poll_once(waiting.as_mut()).is_pending());
    }
    assert_eq!(counts(&sentinel), (1, 0, 1, 0, 0), "it counts neither as passed nor as blocked");
    let Decision::Wait(next) = sentinel.enter("r") else { panic!("the spacing is not over") };
    assert_eq!(next.delay(), Duration::from_millis(100));
    clock.advance(Duration::from_millis(100));
    assert!(next.resume().immediately().is_ok());
}

#[test]
fn waiting_uses_the_sleep_of_the_caller() {
    let (clock, sentinel) = under([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    let begin = clock.elapsed();
    for _ in 0..5 {
        let mut admitted = pin!(sentinel.enter("r").admitted(|delay| clock.sleep(delay)));
        assert!(matches!(poll_once(admitted.as_mut()), Poll::Ready(Ok(_))));
    }
    assert_eq!(clock.elapsed() - begin, Duration::from_millis(400));
    assert_eq!(counts(&sentinel), (5, 0, 5, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn waiting_works_with_tokio() {
    let sentinel = Sentinel::builder().clock(TokioClock(tokio::time::Instant::now())).build().expect("valid");
    let rules = Rules::new().flow([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    sentinel.rules().replace("test", rules).expect("valid");
    let begin = tokio::time::Instant::now();
    for _ in 0..5 {
        let entry = sentinel.enter("r").admitted(tokio::time::sleep).await.expect("there is room to wait");
        entry.run(async { Ok::<(), ()>(()) }).await.expect("it does not fail");
    }
    assert_eq!(begin.elapsed().as_millis(), 400);
}

#[derive(Debug)]
struct TokioClock(tokio::time::Instant);

impl sentinel_core::Clock for TokioClock {
    fn nanos(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[test]
fn a_reservation_that_is_resumed_too_early_waits_on() {
    let (clock, sentinel) = under([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    drop(sentinel.enter("r").immediately());
    let Decision::Wait(reservation) = sentinel.enter("r") else { panic!("the spacing is not over") };
    clock.advance(Duration::from_millis(60));
    let Decision::Wait(reservation) = reservation.resume() else { panic!("40 ms are missing") };
    assert_eq!(reservation.delay(), Duration::from_millis(40));
}

#[test]
fn a_later_rule_is_asked_when_the_wait_is_over() {
    let (clock, sentinel) = under([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1)), FlowRule::new("r", 1.0)]);
    drop(sentinel.enter("r").immediately().expect("the first passes both"));
    let Decision::Wait(reservation) = sentinel.enter("r") else { panic!("the spacing is not over") };
    clock.advance(reservation.delay());
    let Decision::Block(blocked) = reservation.resume() else { panic!("one per second has passed already") };
    assert_eq!(blocked.rule_id(), "flow:r#1");
    assert_eq!(counts(&sentinel), (1, 1, 1, 0, 0));
}

#[test]
fn who_does_not_wait_is_blocked_with_the_wait_as_retry_after() {
    let (_clock, sentinel) = under([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1)).id("pace")]);
    drop(sentinel.enter("r").immediately());
    let blocked = sentinel.enter("r").immediately().expect_err("the spacing is not over");
    assert_eq!((blocked.family(), blocked.rule_id(), blocked.resource()), ("flow", "pace", "r"));
    assert_eq!(blocked.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!(blocked.interval(), Some(Duration::from_secs(1)));
    assert_eq!(counts(&sentinel), (1, 1, 1, 0, 0));
}

#[test]
fn who_does_not_wait_is_told_what_was_seen_and_the_threshold_in_force_for_him() {
    let (_clock, sentinel) = under([]);
    let refusal = |rules, args: &[Arg<'_>], calls: &[u32]| {
        sentinel.rules().replace("test", rules).expect("the rules are valid");
        let enter = |count: &u32| sentinel.enter_with("r", &Call::new().args(args).count(*count)).immediately();
        let (last, before) = calls.split_last().expect("one at least");
        let _inside: Vec<_> = before.iter().map(|count| enter(count).expect("there is room")).collect();
        let refused = enter(last).expect_err("it would have to wait");
        (refused.observed(), refused.threshold(), refused.to_string())
    };
    let second = Duration::from_secs(1);
    let queue = Rules::new().isolation([IsolationRule::new("r", 3).queue(2, second).id("queue")]);
    let (observed, threshold, text) = refusal(queue, &[], &[1, 3]);
    assert_eq!((observed, threshold), (1.0, 3.0));
    assert!(text.contains("1 of 3 in flight"), "{text}");
    let hot = HotspotRule::new("r", 0, 1_000).throttle(second).value("x", 2).id("hot");
    let (observed, threshold, text) = refusal(Rules::new().hotspot([hot]), &["x".into()], &[1, 1]);
    assert_eq!((observed, threshold), (2.0, 2.0));
    assert!(text.contains("2 of 2 for this value"), "{text}");
}

#[test]
fn a_prioritised_call_that_does_not_borrow_is_told_what_is_used() {
    let (_clock, sentinel) = under([FlowRule::new("r", 5.0)]);
    drop(sentinel.enter_with("r", &Call::new().count(4)).immediately().expect("five are free"));
    let mut decision = sentinel.enter_with("r", &Call::new().count(2).prioritized());
    for _ in 0..9 {
        match decision {
            Decision::Wait(_) => break,
            _ => decision = sentinel.enter_with("r", &Call::new().count(2).prioritized()),
        }
    }
    let refused = decision.immediately().expect_err("four are used");
    assert_eq!((refused.observed(), refused.threshold()), (4.0, 5.0));
}

#[test]
fn a_refusal_says_what_was_seen_and_when_to_come_again() {
    let (clock, sentinel) = under([FlowRule::new("r", 2.0).id("two")]);
    drop(sentinel.enter("r").immediately());
    clock.advance(Duration::from_millis(300));
    drop(sentinel.enter("r").immediately());
    let blocked = sentinel.enter("r").immediately().expect_err("both are used up");
    assert_eq!((blocked.observed(), blocked.threshold()), (2.0, 2.0));
    let retry_after = blocked.retry_after().expect("permits come back");
    assert!(retry_after <= Duration::from_millis(700), "never later than it would pass: {retry_after:?}");
    clock.advance(Duration::from_millis(700));
    assert!(sentinel.enter("r").immediately().is_ok());
    assert!(blocked.to_string().starts_with("flow rule `two` blocks `r`: 2 of 2, try again in"), "{blocked}");

    let never = sentinel.enter_with("r", &Call::new().count(3)).immediately().expect_err("more than the threshold");
    assert_eq!(never.retry_after(), None);
}

#[test]
fn all_inbound_traffic_is_counted_together() {
    let (_clock, sentinel) = under([FlowRule::new("b", 0.0)]);
    let inbound = |name| sentinel.enter(Target::new(name).inbound()).immediately();
    drop(inbound("a"));
    let kept = inbound("c");
    assert!(inbound("b").is_err());
    drop(sentinel.enter("out").immediately());
    let together = sentinel.snapshot().inbound;
    assert_eq!((together.second.pass, together.second.block, together.second.complete), (2, 1, 1));
    assert_eq!(together.in_flight, 1);
    drop(kept);
    assert_eq!(sentinel.snapshot().inbound.in_flight, 0);
}

#[test]
fn permits_of_a_batch_are_counted_each() {
    let (_clock, sentinel) = under([]);
    let entry = sentinel.enter_with("r", &Call::new().count(7)).immediately().expect("no rule");
    assert_eq!((entry.permits(), entry.resource()), (7, "r"));
    assert_eq!(counts(&sentinel), (7, 0, 0, 0, 7));
    drop(entry);
    assert_eq!(counts(&sentinel), (7, 0, 7, 0, 0));
}

#[test]
fn entries_decisions_and_refusals_can_be_sent() {
    fn sent<T: Send + 'static>() {}
    sent::<sentinel_core::Entry>();
    sent::<Decision>();
    sent::<sentinel_core::Blocked>();
    sent::<sentinel_core::Reservation>();
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Sentinel>();
    shared::<sentinel_core::Resource>();
    shared::<sentinel_core::Blocked>();
}
