//! Many threads at once.

use std::{
    sync::Barrier,
    thread::{self, Thread},
};

use super::*;

/// Wakes a thread that parks.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until it is decided.
fn wait(waiter: &Waiter) -> Option<Fate> {
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    while waiter.poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::park();
    }
    waiter.fate()
}

/// Threads that enter and leave, each in its own way, on a clock that each call moves on; says the most permits inside at
/// a time, and how many calls were.
fn hammer(limit: u32, limits: &QueueLimits, batch: u32) -> (u32, u32) {
    const THREADS: u32 = 64;
    const CALLS: u32 = 200;
    let gauge = Gauge::new(limit);
    let (inside, most, entered) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
    let clock = AtomicU64::new(0);
    let barrier = Barrier::new(THREADS as usize);
    let work = |number: u32| {
        barrier.wait();
        for call in 0..CALLS {
            let permits = 1 + (number + call) % batch;
            let now = clock.fetch_add(MILLI, SeqCst);
            let granted = match gauge.acquire(permits, now, limits) {
                Asked::Granted => true,
                Asked::Refused => false,
                Asked::Queued(waiter) if (number + call).is_multiple_of(7) => {
                    thread::yield_now();
                    gauge.leave(&waiter, now);
                    false
                }
                Asked::Queued(waiter) => wait(&waiter) == GRANTED,
            };
            if granted {
                most.fetch_max(inside.fetch_add(permits, SeqCst) + permits, SeqCst);
                if call % 3 == 0 {
                    thread::yield_now();
                }
                inside.fetch_sub(permits, SeqCst);
                entered.fetch_add(1, SeqCst);
                gauge.release(permits, clock.load(SeqCst));
            }
        }
    };
    let work = &work;
    thread::scope(|scope| (0..THREADS).for_each(|number| drop(scope.spawn(move || work(number)))));
    assert!(gauge.is_idle());
    (most.into_inner(), entered.into_inner())
}

#[test]
fn never_one_too_many_is_inside_however_many_threads_call() {
    for limit in [1, 3, 10] {
        for batch in [1, limit] {
            let (most, entered) = hammer(limit, &NOBODY, batch);
            assert!(most <= limit && entered > 0, "{most} of {limit}");
        }
    }
}

#[test]
fn everybody_who_waits_is_served_and_no_permit_gets_lost() {
    for limit in [1, 3, 10] {
        for newest_first in [false, true] {
            let limits = QueueLimits { room: 64, max_wait: u64::MAX, newest_first };
            let (most, entered) = hammer(limit, &limits, limit);
            assert!(most <= limit, "{most} of {limit}");
            assert!(entered >= 64 * 200 * 6 / 7 - 64, "all but those who left entered: {entered}");
        }
    }
}
