//! Throughput of threads: they spin until all are there, work for a fixed time, and are counted.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::timing::repeat;

/// Calls between two looks at the clock's hand.
const CHUNK: u64 = 500;

/// What threads did together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throughput {
    pub(crate) calls_per_second: f64,
    /// Calls of the thread that got least, to those of the one that got most.
    pub(crate) slowest_to_fastest: f64,
    /// Of all calls.
    pub(crate) share_admitted: f64,
}

/// Lets threads call for a while; `call_of` gives each its call.
pub(crate) fn throughput<F: Fn() -> bool + Send>(
    threads: usize,
    time: Duration,
    call_of: impl Fn(usize) -> F + Sync,
) -> Throughput {
    let more_than_cores = thread::available_parallelism().is_ok_and(|cores| threads > cores.get());
    let (ready, go, stop) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let made: Box<[AtomicU64]> = (0..threads).map(|_| AtomicU64::new(0)).collect();
    let admitted = AtomicU64::new(0);
    let (elapsed, counts) = thread::scope(|scope| {
        for (number, made) in made.iter().enumerate() {
            let (ready, go, stop, admitted, call_of) = (&ready, &go, &stop, &admitted, &call_of);
            scope.spawn(move || {
                let call = call_of(number);
                repeat(&call, 1_000);
                ready.fetch_add(1, Ordering::AcqRel);
                while !go.load(Ordering::Acquire) {
                    if more_than_cores { thread::yield_now() } else { std::hint::spin_loop() }
                }
                let (mut calls, mut passed) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    passed += repeat(&call, CHUNK);
                    calls += CHUNK;
                    made.store(calls, Ordering::Relaxed);
                }
                admitted.fetch_add(passed, Ordering::Relaxed);
            });
        }
        while ready.load(Ordering::Acquire) < threads {
            thread::yield_now();
        }
        let start = Instant::now();
        go.store(true, Ordering::Release);
        thread::sleep(time);
        let counts: Vec<u64> = made.iter().map(|calls| calls.load(Ordering::Relaxed)).collect();
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        (elapsed, counts)
    });
    let all: u64 = made.iter().map(|calls| calls.load(Ordering::Relaxed)).sum();
    let (least, most) = (counts.iter().min(), counts.iter().max());
    Throughput {
        calls_per_second: counts.iter().sum::<u64>() as f64 / elapsed.as_secs_f64(),
        slowest_to_fastest: least.zip(most).map_or(0.0, |(least, most)| *least as f64 / (*most).max(1) as f64),
        share_admitted: admitted.load(Ordering::Relaxed) as f64 / all.max(1) as f64,
    }
}
