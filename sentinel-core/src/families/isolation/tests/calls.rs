//! Calls under rules without a queue.

use std::{
    future::Future as _,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::Waker,
    thread,
};

use super::*;

#[test]
fn three_of_three_pass_a_fourth_does_not_and_one_that_ends_makes_room_for_one() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 3)]);
    let mut inside: Vec<_> = (0..3).map(|_| enter(&sentinel).expect("there is room")).collect();
    assert!(enter(&sentinel).is_err());
    inside.pop();
    inside.push(enter(&sentinel).expect("one has ended"));
    assert!(enter(&sentinel).is_err());
    assert_eq!(counts(&sentinel), (4, 2, 3));
    drop(inside);
    assert_eq!((0..3).map(|_| enter(&sentinel)).filter(Result::is_ok).count(), 3, "and not more than before");
}

#[test]
fn a_refusal_says_what_is_in_flight_and_that_trying_again_may_help() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 3).id("three")]);
    let _inside = enter_as(&sentinel, &Call::new().count(2)).expect("there is room");
    let refused = enter_as(&sentinel, &Call::new().count(2)).expect_err("there is room for one");
    assert_eq!((refused.family(), refused.rule_id()), ("isolation", "three"));
    assert_eq!((refused.observed(), refused.threshold(), refused.interval()), (2.0, 3.0, None));
    assert_eq!(refused.retry_after(), Some(MILLI));
    assert_eq!(refused.to_string(), "isolation rule `three` blocks `r`: 2 of 3 in flight, try again in 1ms");
    let never = enter_as(&sentinel, &Call::new().count(4)).expect_err("more than there are");
    assert_eq!(never.retry_after(), None);
}

#[test]
fn a_threshold_of_nothing_admits_only_calls_without_permits() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 0)]);
    assert_eq!(enter(&sentinel).expect_err("nothing may").retry_after(), None);
    assert!(enter_as(&sentinel, &Call::new().count(0)).is_ok());
}

#[test]
fn a_panic_or_a_dropped_future_gives_the_permit_back() {
    let (_clock, sentinel) = under([IsolationRule::new("r", 1)]);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _entry = enter(&sentinel).expect("there is room");
        panic!("in user code");
    }));
    assert!(panicked.is_err());
    {
        let mut run = pin!(enter(&sentinel).expect("it is free").run(std::future::pending::<Result<(), ()>>()));
        assert!(run.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending());
        assert!(enter(&sentinel).is_err());
    }
    assert!(enter(&sentinel).is_ok());
}

#[test]
fn a_later_block_gives_back_and_an_earlier_one_takes_nothing() {
    let (_clock, sentinel) = under([]);
    let open = || Rules::new().isolation([IsolationRule::new("r", 1), IsolationRule::new("r", 0).id("closed")]);
    sentinel.rules().replace("test", open()).expect("valid");
    assert_eq!(enter(&sentinel).expect_err("closed").rule_id(), "closed");
    sentinel.rules().replace("test", open().flow([FlowRule::new("r", 0.0)])).expect("valid");
    assert_eq!(enter(&sentinel).expect_err("closed").family(), "flow");
    put(&sentinel, [IsolationRule::new("r", 1)]);
    assert!(enter(&sentinel).is_ok());
}

#[test]
fn a_call_that_waits_for_a_flow_rule_holds_no_permit_yet() {
    let (clock, sentinel) = under([]);
    let rules = Rules::new().isolation([IsolationRule::new("r", 1)]).flow([FlowRule::new("r", 10.0).throttle(SECOND)]);
    sentinel.rules().replace("test", rules).expect("valid");
    let inside = enter(&sentinel).expect("nobody is before it");
    let Decision::Wait(waiting) = sentinel.enter("r") else { panic!("it comes too early") };
    clock.advance(waiting.delay());
    let Decision::Block(refused) = waiting.resume() else { panic!("one is inside") };
    assert_eq!(refused.family(), "isolation");
    drop(inside);
    clock.advance(SECOND);
    assert!(enter(&sentinel).is_ok());
}

#[test]
fn a_dry_run_refuses_nobody_and_counts_whom_it_would_refuse() {
    for rule in [IsolationRule::new("r", 2), IsolationRule::new("r", 2).queue(1, SECOND)] {
        let (_clock, sentinel) = under([rule.dry_run()]);
        let inside: Vec<_> = (0..5).map(|_| enter(&sentinel).expect("a dry run")).collect();
        let snapshot = sentinel.snapshot_of("r").expect("it was entered");
        assert_eq!(snapshot.rules[0].would_block, 3, "whether it would have had to wait or to go");
        drop(inside);
        put(&sentinel, [IsolationRule::new("r", 2)]);
        let inside: Vec<_> = (0..5).map(|_| enter(&sentinel)).collect();
        assert_eq!(inside.iter().filter(|entered| entered.is_ok()).count(), 2);
    }
}

#[test]
fn never_one_too_many_is_inside_however_many_threads_call() {
    const THREADS: u32 = 16;
    for limit in [1, 3, 10] {
        let sentinel = Sentinel::default();
        let rule = IsolationRule::new("r", limit);
        put(&sentinel, [rule.clone()]);
        let (inside, most) = (AtomicU32::new(0), AtomicU32::new(0));
        let barrier = Barrier::new(THREADS as usize);
        let work = |number: u32| {
            barrier.wait();
            for call in 0..200 {
                if number == 0 && call % 20 == 0 {
                    // The same limit under another generation of rules.
                    put(&sentinel, [if call % 40 == 0 { rule.clone().queue(1, SECOND) } else { rule.clone() }]);
                }
                if let Ok(entry) = enter(&sentinel) {
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    thread::yield_now();
                    inside.fetch_sub(1, SeqCst);
                    drop(entry);
                }
            }
        };
        let work = &work;
        thread::scope(|scope| (0..THREADS).for_each(|number| drop(scope.spawn(move || work(number)))));
        assert!((1..=limit).contains(&most.into_inner()));
        assert_eq!(sentinel.resource("r").in_flight(), 0);
        assert!((0..limit).map(|_| enter(&sentinel)).collect::<Result<Vec<_>, _>>().is_ok(), "no permit got lost");
    }
}

#[test]
fn a_resource_by_pattern_that_has_calls_inside_is_not_given_up() {
    let clock = ManualClock::new();
    let sentinel = Sentinel::builder().clock(clock.clone()).max_resources(1).build().expect("valid");
    put(&sentinel, [IsolationRule::new("*", 1)]);
    let inside = enter(&sentinel).expect("there is room");
    clock.advance(3_600 * SECOND);
    drop(sentinel.enter("s").immediately());
    assert!(enter(&sentinel).is_err());
    drop(inside);
    clock.advance(3_600 * SECOND);
    drop(sentinel.enter("s").immediately());
    assert!(sentinel.snapshot_of("r").is_none());
}

#[cfg(feature = "json")]
#[test]
fn documents_say_it_all_and_name_what_is_wrong() {
    use crate::Format;
    let parse = |fields: &str| {
        Rules::parse(format!(r#"{{"isolation": [{{"resource": "r", {fields}}}]}}"#).as_bytes(), Format::Json)
    };
    let read = |fields: &str| parse(fields).expect("it is valid").rules.isolation;
    assert_eq!(read(r#""threshold": 5"#), [IsolationRule::new("r", 5)]);
    let full = r#""threshold": 5, "origin": "other", "maxQueueSize": 9, "maxQueueingTimeMs": 2.5, "queueOrder": "newestFirst""#;
    let rule = IsolationRule::new("r", 5).for_other_origins().newest_first().queue(9, Duration::from_micros(2_500));
    assert_eq!(read(full), [rule]);
    assert_eq!(read(r#""threshold": 5, "maxQueueSize": 9"#), [IsolationRule::new("r", 5).queue(9, SECOND / 2)]);
    assert_eq!(read(r#""threshold": 5, "maxQueueSize": 0"#), [IsolationRule::new("r", 5)]);

    for (fields, expected) in [
        (r#""origin": "web""#, "threshold is missing, but it has to be there"),
        (r#""threshold": 0.5"#, "threshold is 0.5, but it is a whole number from 0 to 4294967295"),
        (r#""threshold": -1"#, "threshold is -1, but it is a whole number"),
        (
            r#""threshold": 1, "maxQueueSize": 1000001"#,
            "maxQueueSize is 1000001, but a queue has room for 1 to 1,000,000",
        ),
        (
            r#""threshold": 1, "maxQueueSize": 1, "maxQueueingTimeMs": 0"#,
            "maxQueueingTimeMs is 0, but a call waits for",
        ),
        (r#""threshold": 1, "maxQueueSize": 1, "maxQueueingTimeMs": 3600001"#, "and an hour at most"),
        (r#""threshold": 1, "maxQueueSize": 1, "queueOrder": "newestfirst""#, "did you mean `newestFirst`?"),
        (r#""threshold": 1, "origin": " ""#, r#"origin is " ", but an origin has 1 to 512 bytes"#),
    ] {
        let error = parse(fields).expect_err("it is wrong").to_string();
        assert!(error.contains(expected), "{error}");
    }
    let odd =
        parse(r#""threshold": 1, "maxQueueingTimeMs": 5, "queueOrder": "fifo", "count": 3"#).expect("odd, but valid");
    let warnings: Vec<_> = odd.warnings.iter().map(ToString::to_string).collect();
    let unused = |field| format!("isolation rule 1 for `r`: `{field}` means nothing without maxQueueSize");
    let unknown = "isolation rule 1 for `r`: unknown field `count`".to_owned();
    assert_eq!(warnings, [unused("maxQueueingTimeMs"), unused("queueOrder"), unknown]);
}

#[test]
fn newest_first_without_a_queue_is_an_error() {
    let sentinel = Sentinel::default();
    let rules = Rules::new().isolation([IsolationRule::new("r", 1).newest_first()]);
    let error = sentinel.rules().replace("test", rules).expect_err("there is no queue").to_string();
    assert!(error.contains("maxQueueSize is 0, but a queue has room"), "{error}");
}
