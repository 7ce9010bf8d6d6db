//! Models of permits that lie partly with threads.

use std::sync::Arc;

use loom::{
    model::Builder,
    sync::atomic::{AtomicU32 as Count, Ordering::SeqCst},
    thread,
};

use super::*;
use crate::sync::threads::set_number;

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// A gauge with two cells, of which the first thread's holds this many.
fn gauge(limit: u32, kept: u32) -> Arc<SpreadGauge> {
    let gauge = SpreadGauge::with(limit, 1, 1);
    gauge.cells.get_or_init(|| (0..2).map(|_| Cell::default()).collect());
    set_number(0);
    for _ in 0..kept {
        gauge.word.fetch_sub(permits(1), Ordering::SeqCst);
        gauge.keep(&gauge.cells()[0], 1);
    }
    Arc::new(gauge)
}

fn spawn<T: 'static>(
    gauge: &Arc<SpreadGauge>,
    number: usize,
    work: impl FnOnce(&SpreadGauge) -> T + 'static,
) -> thread::JoinHandle<T> {
    let gauge = Arc::clone(gauge);
    thread::spawn(move || {
        set_number(number);
        work(&gauge)
    })
}

/// Everything is free, and no more than that.
fn assert_rest(gauge: &SpreadGauge) {
    assert_eq!(gauge.in_flight(), 0);
    let limit = gauge.limit();
    assert!(gauge.acquire(limit, 0) && !gauge.acquire(1, 0));
}

#[test]
fn never_more_are_in_flight_than_the_limit() {
    model(3, || {
        let gauge = gauge(2, 1);
        let inside = Arc::new(Count::new(0));
        let call = |inside: Arc<Count>| {
            move |gauge: &SpreadGauge| {
                if gauge.acquire(1, 0) {
                    assert!(inside.fetch_add(1, SeqCst) < 2);
                    inside.fetch_sub(1, SeqCst);
                    gauge.release(1);
                }
            }
        };
        let others = [spawn(&gauge, 0, call(Arc::clone(&inside))), spawn(&gauge, 1, call(Arc::clone(&inside)))];
        for other in others {
            other.join().expect("it does not panic");
        }
        assert_rest(&gauge);
    });
}

#[test]
fn a_limit_that_was_lowered_holds_for_whoever_asks_then() {
    model(3, || {
        let (gauge, is_lowered) = (gauge(3, 0), Arc::new(Count::new(0)));
        assert!(gauge.acquire(1, 0) && gauge.acquire(1, 0), "one of them stays");
        let lowered = Arc::clone(&is_lowered);
        let other = spawn(&gauge, 0, move |gauge| {
            gauge.release(1);
            let was_lowered = lowered.load(SeqCst) == 1;
            let again = gauge.acquire(1, 0);
            assert!(!(was_lowered && again));
            again
        });
        set_number(1);
        gauge.set_limit(1);
        is_lowered.store(1, SeqCst);
        gauge.release(1 + u32::from(other.join().expect("it does not panic")));
        assert_rest(&gauge);
    });
}

#[test]
fn what_lies_in_a_cell_is_found() {
    model(3, || {
        let gauge = gauge(3, 1);
        assert!(gauge.acquire(1, 0));
        let other = spawn(&gauge, 0, |gauge| gauge.release(1));
        set_number(1);
        let found = gauge.acquire(3, 0);
        other.join().expect("it does not panic");
        assert!(found || gauge.acquire(3, 0));
        gauge.release(3);
        assert_rest(&gauge);
    });
}

#[test]
fn nobody_is_refused_what_is_being_collected() {
    model(3, || {
        let gauge = gauge(2, 2);
        let other = spawn(&gauge, 1, |gauge| gauge.set_limit(2));
        set_number(threads::NONE);
        assert!(gauge.acquire(1, 1));
        other.join().expect("it does not panic");
        gauge.release(1);
        assert_rest(&gauge);
    });
}

#[test]
fn two_that_collect_find_everything_between_them() {
    model(3, || {
        let gauge = gauge(2, 2);
        let other = spawn(&gauge, 1, |gauge| gauge.acquire(1, 1));
        set_number(threads::NONE);
        let found = gauge.acquire(1, 1);
        assert!(found ^ other.join().expect("it does not panic"));
        gauge.release(1);
        assert_rest(&gauge);
    });
}
