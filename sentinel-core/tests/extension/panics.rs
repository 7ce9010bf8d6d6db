//! Panics of checks, of what is held, and of observers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Panics at what it is told to.
struct Panics(&'static str);

impl Observer for Panics {
    fn passed(&self, _: &Attempt<'_>) {
        assert!(self.0 != "passed", "passed");
    }

    fn blocked(&self, _: &Attempt<'_>, _: &Blocked) {
        assert!(self.0 != "blocked", "blocked");
    }

    fn ended(&self, _: &Ended<'_>) {
        assert!(self.0 != "ended", "ended");
    }
}

impl Held for Panics {
    fn end(self: Box<Self>, _: &Ended<'_>) {
        assert!(self.0 != "end", "end");
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        assert!(self.0 != "drop", "drop");
    }
}

/// The words of the panic.
fn panic_of<T>(work: impl FnOnce() -> T) -> &'static str {
    let panic = catch_unwind(AssertUnwindSafe(work)).map(drop).expect_err("it panics");
    panic.downcast_ref::<&str>().copied().unwrap_or("another panic")
}

/// One permit at a time for flow and isolation.
fn tight() -> Rules {
    Rules::new().flow([FlowRule::new("r", 1.0)]).isolation([IsolationRule::new("r", 1)])
}

/// A check that panics for the origin `bad`, and refuses the origin `refused`.
fn bad(name: &'static str) -> impl CustomCheck {
    ask(name, |attempt| {
        assert!(attempt.call.caller() != "bad", "check");
        if attempt.call.caller() == "refused" { Refusal::new().into() } else { CheckAnswer::Pass }
    })
}

#[test]
fn a_check_that_panics_leaves_nothing_taken_and_nothing_counted() {
    let log = Log::default();
    let builder = Sentinel::builder()
        .check(Position::First, log.check("a"))
        .check(Position::Last, bad("b"))
        .observer(log.clone());
    let (_clock, sentinel) = build(builder, tight());
    for _ in 0..3 {
        assert_eq!(panic_of(|| sentinel.enter_with("r", &Call::new().origin("bad"))), "check");
        assert_eq!(log.take(), ["a", "a dropped"]);
    }
    assert_eq!(counts(&sentinel), (0, 0, 0, 0, 0));
    assert!(sentinel.enter("r").immediately().is_ok(), "all of it came back");
}

#[test]
fn a_check_that_panics_after_a_wait_leaves_nothing_taken() {
    let log = Log::default();
    let builder = Sentinel::builder().check(Position::First, log.check("a")).check(Position::Last, bad("b"));
    let rules = Rules::new().flow([FlowRule::new("r", 10.0).throttle(Duration::from_secs(1))]);
    let (clock, sentinel) = build(builder, rules);
    drop(sentinel.enter("r").immediately().expect("nobody is before it"));
    drop(log.take());
    let Decision::Wait(waiting) = sentinel.enter_with("r", &Call::new().origin("bad")) else {
        panic!("it comes too early")
    };
    clock.advance(waiting.delay());
    assert_eq!(panic_of(|| waiting.resume()), "check");
    assert_eq!(log.take(), ["a", "a dropped"]);
    assert_eq!(counts(&sentinel), (1, 0, 1, 0, 0));
    assert!(sentinel.enter("r").immediately().is_ok(), "its place is free again");
}

#[test]
fn an_observer_that_panics_at_a_pass_keeps_nobody_from_anything() {
    let log = Log::default();
    let builder =
        Sentinel::builder().check(Position::First, log.check("a")).observer(Panics("passed")).observer(log.clone());
    let (_clock, sentinel) = build(builder, Rules::new().isolation([IsolationRule::new("r", 1)]));
    for n in 1..4 {
        drop(sentinel.enter("r").immediately().expect("the one before has ended"));
        let told = ["a", "passed r x1", "a ends Ok after 0ns", "a dropped", "ended r x1 Ok"];
        assert_eq!(log.take(), told, "the others are told all the same");
        assert_eq!(counts(&sentinel), (n, 0, n, 0, 0));
    }
}

#[test]
fn an_observer_that_panics_at_a_refusal_leaves_it_counted() {
    let log = Log::default();
    let builder = Sentinel::builder().check(Position::Last, bad("b")).observer(Panics("blocked")).observer(log.clone());
    let (_clock, sentinel) = build(builder, tight());
    for n in 1..4 {
        let refused = sentinel.enter_with("r", &Call::new().origin("refused")).immediately();
        assert_eq!(refused.expect_err("it refuses").family(), "b");
        assert_eq!(log.take(), ["blocked r by b"]);
        assert_eq!(counts(&sentinel), (0, n, 0, 0, 0));
    }
    assert!(sentinel.enter("r").immediately().is_ok());
}

#[test]
fn whatever_panics_at_the_end_of_a_call_it_has_ended() {
    for what in ["ended", "end", "drop"] {
        let log = Log::default();
        let builder = Sentinel::builder()
            .check(Position::First, log.check("a"))
            .check(Position::Last, ask("b", move |_| CheckAnswer::hold(Panics(what))))
            .observer(Panics(if what == "ended" { what } else { "" }))
            .observer(log.clone());
        let (_clock, sentinel) = build(builder, Rules::new().isolation([IsolationRule::new("r", 1)]));
        for n in 1..4 {
            let entry = sentinel.enter("r").immediately().expect("the one before has ended");
            drop(log.take());
            drop(entry);
            assert_eq!(log.take(), ["a ends Ok after 0ns", "a dropped", "ended r x1 Ok"]);
            assert_eq!(counts(&sentinel), (n, 0, n, 0, 0));
        }
    }
}

#[test]
fn a_panic_at_the_end_of_a_call_that_unwinds_ends_nothing_else() {
    for what in ["ended", "end", "drop"] {
        let log = Log::default();
        let builder = Sentinel::builder()
            .check(Position::Last, ask("b", move |_| CheckAnswer::hold(Panics(what))))
            .observer(Panics(if what == "ended" { what } else { "" }))
            .observer(log.clone());
        let (_clock, sentinel) = build(builder, Rules::new());
        let panic = panic_of(|| {
            let _entry = sentinel.enter("r").immediately().expect("no rule");
            panic!("in user code");
        });
        assert_eq!(panic, "in user code");
        assert_eq!(log.take(), ["passed r x1", "ended r x1 Error"]);
        assert_eq!(counts(&sentinel), (1, 0, 1, 1, 0));
    }
}

#[test]
fn what_panics_when_a_call_is_undone_keeps_nothing_else() {
    let log = Log::default();
    let builder = Sentinel::builder()
        .check(Position::First, log.check("a"))
        .check(
            Position::After("isolation"),
            ask("b", |attempt| CheckAnswer::hold(Panics(if attempt.call.caller() == "refused" { "drop" } else { "" }))),
        )
        .check(Position::Last, bad("c"));
    let (_clock, sentinel) = build(builder, tight());
    for n in 1..4 {
        let refused = sentinel.enter_with("r", &Call::new().origin("refused")).immediately();
        assert_eq!(refused.expect_err("it refuses").family(), "c");
        assert_eq!(log.take(), ["a", "a dropped"]);
        assert_eq!(counts(&sentinel), (0, n, 0, 0, 0));
    }
    assert!(sentinel.enter("r").immediately().is_ok());
}
