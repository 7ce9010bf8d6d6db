//! Many threads at once, on a time that they move on themselves.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use super::{
    super::{Node, Outcome},
    MS, SECOND,
};

/// Calls of all threads together in one run.
const CALLS: u64 = 128_000;

/// What one thread did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Done {
    pass: u64,
    block: u64,
    error: u64,
    ignored: u64,
    response_time: u64,
}

fn sum(done: impl IntoIterator<Item = Done>) -> Done {
    done.into_iter().fold(Done::default(), |a, b| Done {
        pass: a.pass + b.pass,
        block: a.block + b.block,
        error: a.error + b.error,
        ignored: a.ignored + b.ignored,
        response_time: a.response_time + b.response_time,
    })
}

/// Calls of one thread: batches, errors, refusals, and every eighth entry ends on another thread.
fn work(node: &Node, time: &AtomicU64, step: u64, calls: u64, elsewhere: &mpsc::SyncSender<(u64, u32, u64)>) -> Done {
    let mut done = Done::default();
    for call in 0..calls {
        let now = time.fetch_add(step, Relaxed);
        let count = 1 + (call % 3) as u32;
        let permits = u64::from(count);
        if call % 5 == 0 {
            node.block(now, count);
            done.block += permits;
            continue;
        }
        node.enter(now, count);
        done.pass += permits;
        let response_time = 999 + call % 100;
        if call % 8 == 1 {
            elsewhere.send((now, count, response_time)).expect("the other thread listens");
            done.response_time += response_time * permits;
            continue;
        }
        let outcome = match call % 7 {
            0 => Outcome::Error,
            1 => Outcome::Ignored,
            _ => Outcome::Ok,
        };
        node.exit(now + step, count, response_time, outcome);
        match outcome {
            Outcome::Error => done.error += permits,
            Outcome::Ignored => {
                done.ignored += permits;
                continue;
            }
            Outcome::Ok => {}
        }
        done.response_time += response_time * permits;
    }
    done
}

#[test]
fn nothing_is_lost_or_doubled_when_many_threads_cross_hundreds_of_buckets() {
    for threads in [2, 8, 64] {
        let node = Node::new(10);
        // 50 seconds in all, so that the last minute holds everything.
        let time = AtomicU64::new(7 * SECOND);
        let step = 50 * SECOND / CALLS;
        let (sender, receiver) = mpsc::sync_channel(64);
        let is_over = AtomicBool::new(false);
        let done = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    let sender = sender.clone();
                    let (node, time) = (&node, &time);
                    scope.spawn(move || work(node, time, step, CALLS / threads, &sender))
                })
                .collect();
            drop(sender);
            let ends = scope.spawn(|| {
                for (now, count, response_time) in receiver {
                    node.exit(now, count, response_time, Outcome::Ok);
                }
            });
            let watch = scope.spawn(|| {
                let mut last = node.totals();
                while !is_over.load(Relaxed) {
                    let statistics = node.snapshot(time.load(Relaxed));
                    let totals = statistics.totals;
                    assert!(totals.error + totals.ignored <= totals.complete && totals.complete <= totals.pass);
                    assert!(last.pass <= totals.pass && last.complete <= totals.complete && last.block <= totals.block);
                    assert!(statistics.second.pass <= totals.pass && statistics.minute.pass <= totals.pass);
                    last = totals;
                }
            });
            let done = sum(workers.into_iter().map(|worker| worker.join().expect("a worker does not panic")));
            ends.join().expect("ending entries does not panic");
            is_over.store(true, Relaxed);
            watch.join().expect("the totals are in order");
            done
        });

        let statistics = node.snapshot(time.load(Relaxed));
        let totals = statistics.totals;
        let counted = Done {
            pass: totals.pass,
            block: totals.block,
            error: totals.error,
            ignored: totals.ignored,
            response_time: totals.response_time.as_nanos() as u64,
        };
        assert_eq!(counted, done, "{threads} threads");
        assert_eq!((totals.complete, statistics.in_flight), (done.pass, 0));

        let minute = statistics.minute;
        assert_eq!((minute.pass, minute.complete, minute.block), (totals.pass, totals.complete, totals.block));
        assert_eq!((minute.error, minute.ignored), (totals.error, totals.ignored));
        assert_eq!(minute.response_times.sum, totals.response_time);
        assert_eq!(minute.response_times.min, Duration::from_nanos(1_000));
        assert_eq!(minute.response_times.max, Duration::from_nanos(1_098));
        let rows = node.seconds(time.load(Relaxed));
        assert_eq!(rows.iter().map(|row| row.pass).sum::<u64>(), totals.pass);
        assert_eq!(rows.iter().map(|row| row.complete).sum::<u64>(), totals.complete);
    }
}

#[test]
fn all_that_comes_at_once_after_a_pause_counts_after_the_pause() {
    const THREADS: u64 = 8;
    for is_hot in [false, true] {
        let node = Node::new(10);
        let barrier = Barrier::new(THREADS as usize + 1);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for round in 0..100 {
                        barrier.wait();
                        for _ in 0..if is_hot { 100 } else { 1 } {
                            node.enter(round * 3 * SECOND, 1);
                        }
                        barrier.wait();
                    }
                });
            }
            for round in 0..100 {
                barrier.wait();
                barrier.wait();
                let expected = THREADS * if is_hot { 100 } else { 1 };
                assert_eq!(node.passed_last_second(round * 3 * SECOND + 900 * MS), expected, "round {round}");
            }
        });
    }
}

#[test]
fn sixty_four_threads_that_move_time_on_lose_nothing_between_two_buckets() {
    let node = Node::new(2);
    let adds = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    // A millisecond for every thousand.
                    node.enter(adds.fetch_add(1, Relaxed) / 1_000 * MS, 1);
                }
            });
        }
    });
    assert_eq!(node.passed_last_second(999 * MS), 640_000);
    let in_second_bucket = node.passed_last_second(1_000 * MS);
    // Calls count in the first bucket while a thread that is off the processor turns it; each thread may be late once.
    assert!((1..=140_000 + 64).contains(&in_second_bucket), "{in_second_bucket}");
    assert_eq!(node.passed_last_second(1_500 * MS), 0);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test may have threads")]
fn a_destructor_that_runs_late_in_a_threads_life_still_counts() {
    use std::{cell::RefCell, sync::Arc};
    struct CountsOnDrop(Arc<Node>);
    impl Drop for CountsOnDrop {
        fn drop(&mut self) {
            self.0.exit(2 * SECOND, 1, MS, Outcome::Ok);
        }
    }
    thread_local!(static HELD: RefCell<Option<CountsOnDrop>> = const { RefCell::new(None) });

    let node = Arc::new(super::hot(10, 0));
    for _ in 0..20 {
        let node = Arc::clone(&node);
        let thread = thread::spawn(move || {
            HELD.set(Some(CountsOnDrop(Arc::clone(&node))));
            node.enter(SECOND, 1);
        });
        thread.join().expect("the thread does not panic");
    }
    // Joining does not wait for destructors of thread-locals on every platform; the drop of the last handle does.
    while Arc::strong_count(&node) > 1 {
        thread::yield_now();
    }
    assert_eq!((node.totals().complete, node.in_flight()), (768 + 20, 0));
}
