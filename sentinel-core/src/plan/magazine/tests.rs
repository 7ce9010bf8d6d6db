#![expect(clippy::disallowed_methods, reason = "tests of threads have threads")]

use std::{cell::RefCell, sync::Weak, thread};

use super::*;
use crate::{Resource, Sentinel};

/// A resource, and a look at its plan.
fn resource() -> (Sentinel, Weak<Plan>) {
    let sentinel = Sentinel::default();
    let plan = Arc::downgrade(&sentinel.resource("r").0.plan());
    (sentinel, plan)
}

#[test]
fn a_thread_that_has_ended_keeps_nothing() {
    let (sentinel, plan) = resource();
    let other = sentinel.clone();
    thread::spawn(move || drop(other.enter("r"))).join().expect("the call does not panic");
    drop(sentinel);
    assert!(plan.upgrade().is_none());
}

#[test]
fn nor_does_one_that_calls_while_it_ends() {
    struct CallsLate(Resource);
    impl Drop for CallsLate {
        fn drop(&mut self) {
            assert!(self.0.enter().immediately().is_ok());
            assert!(self.0.enter().immediately().is_ok());
        }
    }
    thread_local!(static LATE: RefCell<Option<CallsLate>> = const { RefCell::new(None) });

    // Destructors run in the reverse order of the first uses, or in another: both come about.
    for calls_first in [false, true] {
        let (sentinel, plan) = resource();
        let late = CallsLate(sentinel.resource("r"));
        let call = move || {
            if calls_first {
                drop(late.0.enter());
            }
            LATE.set(Some(late));
            LATE.with_borrow(|late| late.iter().for_each(|late| drop(late.0.enter())));
        };
        thread::spawn(call).join().expect("the call does not panic");
        assert_eq!(sentinel.resource("r").snapshot().statistics.totals.pass, if calls_first { 4 } else { 3 });
        drop(sentinel);
        assert!(plan.upgrade().is_none());
    }
}

#[test]
fn more_calls_than_fit_may_be_open() {
    let (sentinel, plan) = resource();
    let open: Vec<_> = (0..3 * DEPTH).map(|_| sentinel.enter("r")).collect();
    drop(open);
    drop(sentinel);
    assert!(plan.upgrade().is_none());
}
