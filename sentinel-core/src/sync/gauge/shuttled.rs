//! Gauges under many threads, in orders that are drawn at random.

use shuttle::{
    check_random,
    rand::{Rng as _, thread_rng},
    sync::atomic::{AtomicU32 as Count, Ordering::SeqCst},
    thread,
};

use super::*;
use crate::sync::spread_gauge::SpreadGauge;

const ORDERS: usize = 20_000;
const THREADS: u32 = 5;
const CALLS: u32 = 6;
const NOW: u64 = 100;

/// Runs the same on each of several threads.
fn on_threads(work: impl Fn() + Send + Sync + 'static) {
    let work = Arc::new(work);
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let work = Arc::clone(&work);
            thread::spawn(move || work())
        })
        .collect();
    for thread in threads {
        thread.join().expect("it does not panic");
    }
}

/// Holds permits for a moment, of which there are never more than so many.
fn hold(inside: &Count, permits: u32, limit: u32) {
    assert!(inside.fetch_add(permits, SeqCst) + permits <= limit);
    thread::yield_now();
    inside.fetch_sub(permits, SeqCst);
}

#[test]
fn whoever_waits_or_gives_up_no_permit_is_lost_or_doubled() {
    const LIMIT: u32 = 3;
    check_random(
        || {
            let (gauge, inside) = (Arc::new(Gauge::new(LIMIT)), Arc::new(Count::new(0)));
            let limits = QueueLimits { room: 3, max_wait: 1_000, newest_first: thread_rng().gen_bool(0.3) };
            let shared = Arc::clone(&gauge);
            on_threads(move || {
                for _ in 0..CALLS {
                    let permits = thread_rng().gen_range(1..=2);
                    match shared.acquire(permits, NOW, &limits) {
                        Asked::Granted => {}
                        Asked::Refused => continue,
                        Asked::Queued(waiter) => {
                            let patience = thread_rng().gen_range(0..40);
                            shared.stay(&waiter, NOW);
                            for _ in 0..patience {
                                if waiter.fate().is_some() {
                                    break;
                                }
                                thread::yield_now();
                            }
                            if waiter.fate() != Some(Fate::Granted) {
                                shared.leave(&waiter, NOW);
                                continue;
                            }
                        }
                    }
                    hold(&inside, permits, LIMIT);
                    shared.release(permits, NOW);
                }
            });
            assert!(gauge.is_idle() && gauge.in_flight() == 0 && gauge.waiting() == 0);
            assert!(matches!(gauge.acquire(LIMIT, NOW, &QueueLimits::default()), Asked::Granted));
        },
        ORDERS,
    );
}

#[test]
fn permits_that_lie_with_threads_are_never_too_many_and_come_back() {
    check_random(
        || {
            // So many that some are kept, and so few that they are collected.
            let limit = thread_rng().gen_range(60..90);
            let (gauge, inside) = (Arc::new(SpreadGauge::new(limit)), Arc::new(Count::new(0)));
            let shared = Arc::clone(&gauge);
            on_threads(move || {
                for _ in 0..CALLS {
                    let permits = thread_rng().gen_range(1..=40);
                    if shared.acquire(permits, 0) {
                        hold(&inside, permits, limit);
                        shared.release(permits);
                    }
                    if thread_rng().gen_bool(0.1) {
                        shared.set_limit(limit);
                    }
                }
            });
            assert_eq!(gauge.in_flight(), 0);
            assert!(gauge.acquire(limit, 0) && !gauge.acquire(1, 0));
        },
        ORDERS,
    );
}
