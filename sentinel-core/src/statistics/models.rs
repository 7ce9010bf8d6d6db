//! Interleavings of the counters: `RUSTFLAGS="--cfg loom" cargo test --release --lib statistics::models`.

use std::time::Duration;

use loom::{
    sync::{Arc, Mutex},
    thread,
};

use super::{Node, Outcome};
use crate::sync::threads::{NONE, set_number};

const SECOND: u64 = 1_000_000_000;

/// All interleavings with at most so many preemptions.
fn model(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

/// A thread with this number, which enters and leaves once.
fn caller(node: &Arc<Node>, number: usize, enter: u64, exit: u64, response_time: u64) -> thread::JoinHandle<()> {
    let node = Arc::clone(node);
    thread::spawn(move || {
        set_number(number);
        node.enter(enter, 1);
        node.exit(exit, 1, response_time, Outcome::Error);
    })
}

/// Whatever happened: it happened once, and within the minute.
fn assert_all_counted(node: &Node, now: u64, calls: u64) {
    let statistics = node.snapshot(now);
    let totals = statistics.totals;
    assert_eq!((totals.pass, totals.complete, totals.error), (calls, calls, calls));
    assert_eq!((statistics.minute.pass, statistics.minute.complete), (calls, calls));
    assert_eq!(node.seconds(now).iter().map(|second| second.pass).sum::<u64>(), calls);
    assert_eq!(statistics.in_flight, 0);
}

/// What a reader may see at any moment.
fn assert_in_order(node: &Node) {
    let totals = node.totals();
    assert!(totals.error <= totals.complete && totals.complete <= totals.pass, "{totals:?}");
}

#[test]
fn nothing_is_lost_when_owners_count_while_the_bucket_turns() {
    model(2, || {
        let node = Arc::new(Node::prepared(1, 2));
        node.enter(0, 1);
        node.exit(0, 1, 0, Outcome::Error);
        let callers = [caller(&node, 0, SECOND, SECOND, 5), caller(&node, 1, SECOND - 1, SECOND, 9)];
        for caller in callers {
            caller.join().expect("a caller does not panic");
        }
        assert_all_counted(&node, SECOND, 3);
    });
}

#[test]
fn nothing_is_lost_when_all_share_a_stripe_while_the_bucket_turns() {
    model(2, || {
        let node = Arc::new(Node::prepared(1, 0));
        node.enter(0, 1);
        node.exit(0, 1, 7, Outcome::Error);
        let callers = [caller(&node, NONE, SECOND, SECOND, 5), caller(&node, NONE, SECOND - 1, SECOND - 1, 9)];
        for caller in callers {
            caller.join().expect("a caller does not panic");
        }
        assert_all_counted(&node, SECOND, 3);
        let times = node.snapshot(SECOND).minute.response_times;
        assert_eq!((times.min, times.max), (Duration::from_nanos(5), Duration::from_nanos(9)));
    });
}

#[test]
fn the_extremes_of_a_bucket_survive_its_end() {
    model(3, || {
        let node = Arc::new(Node::prepared(1, 2));
        node.enter(0, 3);
        let late = {
            let node = Arc::clone(&node);
            thread::spawn(move || {
                set_number(0);
                node.exit(SECOND - 1, 1, 5, Outcome::Ok);
            })
        };
        set_number(1);
        node.exit(SECOND, 1, 9, Outcome::Ok);
        node.exit(SECOND, 1, 7, Outcome::Ok);
        late.join().expect("the late caller does not panic");
        let statistics = node.snapshot(SECOND);
        let times = statistics.minute.response_times;
        assert_eq!((times.min, times.max), (Duration::from_nanos(5), Duration::from_nanos(9)));
        assert_eq!(times.sum, Duration::from_nanos(21));
    });
}

#[test]
fn the_first_calls_count_in_the_first_bucket() {
    model(3, || {
        let node = Arc::new(Node::prepared(1, 0));
        let callers = [caller(&node, NONE, SECOND, SECOND, 1), caller(&node, NONE, SECOND, SECOND, 1)];
        for caller in callers {
            caller.join().expect("a caller does not panic");
        }
        assert_eq!(node.passed_last_second(SECOND), 2);
        assert_all_counted(&node, SECOND, 2);
    });
}

#[test]
fn after_a_pause_nobody_counts_before_it() {
    model(3, || {
        let node = Arc::new(Node::prepared(1, 2));
        node.enter(0, 1);
        node.exit(0, 1, 0, Outcome::Error);
        let callers = [caller(&node, 0, 9 * SECOND, 9 * SECOND, 1), caller(&node, 1, 9 * SECOND, 9 * SECOND, 1)];
        for caller in callers {
            caller.join().expect("a caller does not panic");
        }
        assert_eq!(node.passed_last_second(9 * SECOND), 2);
        assert_all_counted(&node, 9 * SECOND, 3);
    });
}

#[test]
fn an_entry_that_ends_on_another_thread_is_never_seen_to_end_before_it_began() {
    model(3, || {
        let node = Arc::new(Node::prepared(1, 2));
        node.enter(0, 1);
        let entry = Arc::new(Mutex::new(false));
        let begin = {
            let (node, entry) = (Arc::clone(&node), Arc::clone(&entry));
            thread::spawn(move || {
                set_number(0);
                node.enter(0, 1);
                *entry.lock().expect("not poisoned") = true;
            })
        };
        let end = {
            let (node, entry) = (Arc::clone(&node), Arc::clone(&entry));
            thread::spawn(move || {
                set_number(1);
                if *entry.lock().expect("not poisoned") {
                    node.exit(0, 2, 1, Outcome::Error);
                }
            })
        };
        assert_in_order(&node);
        begin.join().expect("the beginning does not panic");
        end.join().expect("the end does not panic");
    });
}

#[test]
fn a_thread_that_takes_over_a_number_goes_on_from_its_totals() {
    model(3, || {
        let node = Arc::new(Node::prepared(1, 1));
        node.enter(0, 1);
        // Stands for the pool of numbers.
        let free = Arc::new(Mutex::new(false));
        let first = {
            let (node, free) = (Arc::clone(&node), Arc::clone(&free));
            thread::spawn(move || {
                set_number(0);
                node.enter(0, 1);
                *free.lock().expect("not poisoned") = true;
            })
        };
        set_number(if *free.lock().expect("not poisoned") { 0 } else { NONE });
        node.enter(0, 1);
        first.join().expect("the first owner does not panic");
        assert_eq!(node.totals().pass, 3);
    });
}
