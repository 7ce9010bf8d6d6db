//! Many threads at once, on a clock that one of them moves on.

use std::{
    hint,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use super::{HOUR, SECOND, SlidingLimiter, Stamp, worst};

/// Steps of the clock in an interval.
const STEPS: u64 = 40;
const INTERVALS: u64 = 5;

/// A call that was admitted: what the clock said before and after it.
struct Admitted {
    before: u64,
    after: u64,
    stamp: u64,
    count: u64,
}

/// Goes through `times` while threads call. Each makes so many calls around each of them, and one by a reading of the
/// clock that is up to eight of them old, like a thread that lost its processor after it had read the clock.
fn flood(limiter: &SlidingLimiter, threads: u64, times: &[u64], calls: u64) -> Vec<Admitted> {
    let clock = AtomicU64::new(0);
    let barrier = Barrier::new(threads as usize + 1);
    let call = |before, count| {
        let Stamp(stamp) = limiter.acquire(before, count).ok()?;
        Some(Admitted { before, after: clock.load(SeqCst), stamp, count })
    };
    let work = |number: u64| {
        let (mut admitted, mut late) = (Vec::new(), None);
        for round in 0..times.len() as u64 {
            barrier.wait();
            for time in 0..calls {
                admitted.extend(call(clock.load(SeqCst), 1 + (number + time) % 3));
                if time == (number + round) % calls {
                    admitted.extend(late.and_then(|reading| call(reading, 1)));
                    if round % (1 + number % 8) == 0 {
                        late = Some(clock.load(SeqCst));
                    }
                }
            }
        }
        admitted
    };
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || work(number))).collect();
        for now in times {
            // Others are still calling.
            clock.store(*now, SeqCst);
            barrier.wait();
        }
        threads.into_iter().flat_map(|thread| thread.join().expect("a caller does not panic")).collect()
    })
}

/// The most permits of calls wholly inside one interval.
fn worst_inside(admitted: &[Admitted], times: &[u64], interval: u64) -> u64 {
    let inside = |from: u64| {
        let is_inside = |call: &&Admitted| from <= call.before && call.after < from + interval;
        admitted.iter().filter(is_inside).map(|call| call.count).sum()
    };
    times.iter().map(|from| inside(*from)).max().unwrap_or_default()
}

#[test]
fn no_interval_holds_more_calls_than_the_threshold_however_many_threads_call() {
    let hammering: Vec<_> = (0..INTERVALS * STEPS).collect();
    let pulsed: Vec<_> = hammering.iter().copied().filter(|step| step % STEPS < STEPS * 45 / 100).collect();
    let bursts: Vec<_> = (0..3 * INTERVALS).map(|time| time * STEPS).collect();
    for (load, steps) in [("hammering", hammering), ("asleep for 55 %", pulsed), ("bursts", bursts)] {
        for (threshold, interval) in [(1, SECOND), (10, SECOND), (1_000, SECOND), (1_000, HOUR)] {
            for threads in [8, 64] {
                let case = format!("{threshold} per {interval} ns, {threads} threads, {load}");
                let limiter = SlidingLimiter::new(threshold, interval);
                let times: Vec<_> = steps.iter().map(|step| 3 * interval + step * interval / STEPS).collect();
                let admitted = flood(&limiter, threads, &times, (threshold / threads).max(8));

                let most = worst_inside(&admitted, &times, interval);
                assert!(most <= threshold, "{case}: {most} wholly inside");
                let is_inside =
                    |call: &Admitted| (limiter.up(call.before)..=limiter.up(call.after)).contains(&call.stamp);
                assert!(admitted.iter().all(is_inside), "{case}: each has its stamp while it lasts");
                let mut stamps: Vec<_> = admitted.iter().map(|call| (call.stamp, call.count)).collect();
                stamps.sort_unstable();
                let most = worst(&stamps, limiter.interval);
                assert!(most <= threshold, "{case}: {most} by stamp");

                // How much passes depends on when the threads run; what may pass at a time passes within two of them.
                let sum: u64 = stamps.iter().map(|stamp| stamp.1).sum();
                let intervals = (steps.last().unwrap_or(&0) / STEPS).max(1);
                assert!(2 * sum >= threshold * intervals, "{case}: only {sum} passed");
            }
        }
    }
}

#[test]
fn a_burst_passes_again_one_interval_later_when_two_threads_call_at_once() {
    const THREADS: u64 = 2;
    for (threshold, calls) in [(2, 1), (30, 13), (30, 15), (1_000, 400)] {
        let limiter = SlidingLimiter::new(threshold, SECOND);
        let arrived = AtomicU64::new(0);
        let work = || {
            let burst = |time: u64| {
                // Not a barrier, so that the threads set out together and not one after the other.
                arrived.fetch_add(1, SeqCst);
                let mut spins = 0_u64;
                while arrived.load(SeqCst) < time * THREADS {
                    spins += 1;
                    if spins.is_multiple_of(1_000) { thread::yield_now() } else { hint::spin_loop() }
                }
                (0..calls).filter(|_| limiter.acquire(time * SECOND, 1).is_err()).count()
            };
            (1..2_000).map(burst).sum::<usize>()
        };
        let refused: usize = thread::scope(|scope| {
            let threads = [scope.spawn(work), scope.spawn(work)];
            threads.into_iter().map(|thread| thread.join().expect("a caller does not panic")).sum()
        });
        assert_eq!(refused, 0, "{calls} calls of each thread, {threshold} allowed");
    }
}
