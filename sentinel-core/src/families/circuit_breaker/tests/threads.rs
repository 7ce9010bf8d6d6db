//! Many threads at once.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{Breaker, BreakerParams, BreakerState, ManualClock};

const THREADS: usize = 1_000;

fn opened(params: BreakerParams) -> (ManualClock, Breaker) {
    let clock = ManualClock::new();
    let params = params.min_request_amount(1);
    let breaker = Breaker::builder(params).clock(clock.clone()).build().expect("valid");
    breaker.try_acquire().expect("closed").fail();
    (clock, breaker)
}

#[test]
fn at_the_retry_time_one_of_a_thousand_threads_is_the_probe() {
    for probes in [1, 3] {
        let (clock, breaker) = opened(BreakerParams::error_ratio(0.5).probes(probes));
        clock.advance(Duration::from_secs(10));
        let (barrier, admitted) = (Barrier::new(THREADS), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    barrier.wait();
                    let ticket = breaker.try_acquire();
                    admitted.fetch_add(ticket.is_ok().into(), Ordering::Relaxed);
                    barrier.wait();
                    drop(ticket);
                });
            }
        });
        assert_eq!(admitted.into_inner(), probes as usize);
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "probes that were dropped decide nothing");
        for _ in 0..probes {
            breaker.try_acquire().expect("their places are free").success();
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}

#[test]
fn no_result_is_lost_between_threads() {
    let clock = ManualClock::new();
    let params = BreakerParams::error_count(4_001).min_request_amount(1).interval(Duration::from_secs(60));
    let breaker = Breaker::builder(params).clock(clock).build().expect("valid");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    breaker.try_acquire().expect("closed").fail();
                    breaker.try_acquire().expect("closed").success();
                }
            });
        }
    });
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.results, snapshot.bad, snapshot.state), (8_000, 4_000, BreakerState::Closed));
    breaker.try_acquire().expect("closed").fail();
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn threads_that_fail_and_recover_leave_no_probe_behind() {
    let (clock, breaker) = opened(BreakerParams::error_ratio(0.5).probes(2).retry_timeout(Duration::from_millis(1)));
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (clock, breaker) = (&clock, &breaker);
            scope.spawn(move || {
                for call in 0..2_000_u32 {
                    clock.advance(Duration::from_micros(100));
                    match (breaker.try_acquire(), (thread + call) % 5) {
                        (Ok(ticket), 0) => ticket.fail(),
                        (Ok(ticket), 1) => drop(ticket),
                        (Ok(ticket), _) => ticket.success(),
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    clock.advance(Duration::from_millis(1));
    for _ in 0..2 {
        breaker.try_acquire().expect("nothing is under way").success();
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}
