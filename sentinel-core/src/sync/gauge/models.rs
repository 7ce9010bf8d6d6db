//! Models of the gauge and its queue: loom runs each in every order of up to three preemptions, or two with three threads
//! and more.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{model::Builder, thread};

use super::*;
use crate::sync::primitive::AtomicBool;

const LIMITS: QueueLimits = QueueLimits { room: 4, max_wait: 1_000, newest_first: false };
const NOW: u64 = 100;

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

/// A gauge of which so many permits are taken.
fn gauge(limit: u32, taken: u32) -> Arc<Gauge> {
    let gauge = Arc::new(Gauge::new(limit));
    assert!(matches!(gauge.acquire(taken, NOW, &LIMITS), Asked::Granted));
    gauge
}

fn spawn<T: 'static>(gauge: &Arc<Gauge>, work: impl FnOnce(&Gauge) -> T + 'static) -> thread::JoinHandle<T> {
    let gauge = Arc::clone(gauge);
    thread::spawn(move || work(&gauge))
}

/// Takes a permit without waiting.
fn take(gauge: &Gauge) -> bool {
    matches!(gauge.acquire(1, NOW, &QueueLimits::default()), Asked::Granted)
}

fn queue_up(gauge: &Gauge, permits: u32) -> Arc<Waiter> {
    match gauge.acquire(permits, NOW, &LIMITS) {
        Asked::Queued(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

/// Whether a call that was ready to wait has its permit by now.
fn has_permit(asked: &Asked) -> bool {
    match asked {
        Asked::Granted => true,
        Asked::Queued(waiter) => waiter.fate() == Some(Fate::Granted),
        Asked::Refused => false,
    }
}

fn waits(asked: &Asked) -> u32 {
    u32::from(matches!(asked, Asked::Queued(waiter) if waiter.fate().is_none()))
}

#[test]
fn permits_in_flight_are_never_above_the_limit() {
    model(2, || {
        let gauge = gauge(2, 1);
        let inside = Arc::new(AtomicU32::new(1));
        let enter = |inside: &Arc<AtomicU32>| {
            let inside = Arc::clone(inside);
            move |gauge: &Gauge| {
                if take(gauge) {
                    assert!(inside.fetch_add(1, Ordering::Relaxed) < 2);
                    inside.fetch_sub(1, Ordering::Relaxed);
                    gauge.release(1, NOW);
                }
            }
        };
        let threads = [spawn(&gauge, enter(&inside)), spawn(&gauge, enter(&inside))];
        enter(&inside)(&gauge);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((gauge.in_flight(), gauge.waiting()), (1, 0));
    });
}

#[test]
fn who_has_a_permit_sees_what_was_done_under_it_before() {
    model(3, || {
        let gauge = gauge(1, 1);
        let done = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&done);
        let thread = spawn(&gauge, move |gauge| {
            done.store(true, Ordering::Relaxed);
            gauge.release(1, NOW);
        });
        let asked = gauge.acquire(1, NOW, &LIMITS);
        if has_permit(&asked) {
            assert!(seen.load(Ordering::Relaxed));
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_permit_that_is_given_back_reaches_who_joins_meanwhile() {
    model(3, || {
        let gauge = gauge(1, 1);
        let thread = spawn(&gauge, |gauge| gauge.release(1, NOW));
        let asked = gauge.acquire(1, NOW, &LIMITS);
        thread.join().unwrap();
        assert!(has_permit(&asked), "{asked:?}");
        assert_eq!((gauge.in_flight(), gauge.waiting()), (1, 0));
    });
}

#[test]
fn permits_that_are_given_back_at_once_reach_all_who_wait() {
    model(2, || {
        let gauge = gauge(2, 2);
        let first = queue_up(&gauge, 1);
        let threads = [spawn(&gauge, |gauge| gauge.release(1, NOW)), spawn(&gauge, |gauge| gauge.release(1, NOW))];
        let asked = gauge.acquire(1, NOW, &LIMITS);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(first.fate(), Some(Fate::Granted));
        assert!(has_permit(&asked), "{asked:?}");
        assert_eq!((gauge.in_flight(), gauge.waiting()), (2, 0));
    });
}

#[test]
fn a_batch_gets_permits_that_come_back_one_by_one() {
    model(2, || {
        let gauge = gauge(2, 2);
        let threads = [spawn(&gauge, |gauge| gauge.release(1, NOW)), spawn(&gauge, |gauge| gauge.release(1, NOW))];
        let asked = gauge.acquire(2, NOW, &LIMITS);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(has_permit(&asked), "{asked:?}");
        assert_eq!((gauge.in_flight(), gauge.waiting()), (2, 0));
    });
}

#[test]
fn nobody_overtakes_who_waits() {
    model(2, || {
        let gauge = gauge(1, 1);
        let first = queue_up(&gauge, 1);
        let releaser = spawn(&gauge, |gauge| gauge.release(1, NOW));
        let newcomer = spawn(&gauge, take);
        releaser.join().unwrap();
        assert!(!newcomer.join().unwrap());
        assert_eq!(first.fate(), Some(Fate::Granted));
    });
}

#[test]
fn a_permit_for_who_leaves_goes_to_the_next_and_to_nobody_else() {
    model(3, || {
        let gauge = gauge(1, 1);
        let (first, second) = (queue_up(&gauge, 1), queue_up(&gauge, 1));
        let thread = spawn(&gauge, |gauge| gauge.release(1, NOW));
        gauge.leave(&first, NOW);
        thread.join().unwrap();
        assert_eq!(second.fate(), Some(Fate::Granted));
        assert_eq!((gauge.in_flight(), gauge.waiting()), (1, 0));
        assert!(!take(&gauge));
        gauge.release(1, NOW);
        assert!(gauge.is_idle());
    });
}

#[test]
fn a_permit_that_is_too_little_for_who_leaves_goes_to_the_next() {
    model(3, || {
        let gauge = gauge(2, 2);
        let (batch, single) = (queue_up(&gauge, 2), queue_up(&gauge, 1));
        let thread = spawn(&gauge, |gauge| gauge.release(1, NOW));
        gauge.leave(&batch, NOW);
        thread.join().unwrap();
        assert_eq!(single.fate(), Some(Fate::Granted));
        assert_eq!((gauge.in_flight(), gauge.waiting()), (2, 0));
    });
}

#[test]
fn who_gives_up_when_he_is_granted_knows_it() {
    model(3, || {
        let gauge = gauge(1, 1);
        let waiter = queue_up(&gauge, 1);
        let thread = spawn(&gauge, |gauge| gauge.release(1, NOW));
        let fate = gauge.withdraw(&waiter, NOW);
        thread.join().unwrap();
        assert_eq!(waiter.fate(), Some(fate));
        assert_eq!(gauge.in_flight(), u32::from(fate == Fate::Granted));
    });
}

#[test]
fn a_raised_limit_reaches_who_joins_meanwhile() {
    model(3, || {
        let gauge = gauge(1, 1);
        let thread = spawn(&gauge, |gauge| {
            gauge.set_limit(2);
            gauge.serve(NOW);
        });
        let asked = gauge.acquire(1, NOW, &LIMITS);
        thread.join().unwrap();
        assert!(has_permit(&asked), "{asked:?}");
        assert_eq!((gauge.in_flight(), gauge.limit()), (2, 2));
    });
}

#[test]
fn nobody_takes_what_a_lowered_limit_no_longer_allows() {
    model(3, || {
        let gauge = gauge(2, 1);
        let thread = spawn(&gauge, |gauge| {
            gauge.set_limit(1);
            assert!(!take(gauge), "one is in flight");
        });
        let taken = take(&gauge);
        thread.join().unwrap();
        assert_eq!(gauge.in_flight(), 1 + u32::from(taken));
        gauge.release(1, NOW);
        assert_eq!(take(&gauge), !taken);
    });
}

#[test]
fn the_oldest_is_either_granted_or_makes_room() {
    model(3, || {
        let limits = QueueLimits { room: 1, max_wait: u64::MAX, newest_first: true };
        let later = NOW + 200_000_000;
        let gauge = gauge(1, 1);
        let Asked::Queued(oldest) = gauge.acquire(1, NOW, &limits) else { panic!("the permit is taken") };
        let thread = spawn(&gauge, move |gauge| gauge.release(1, later));
        let newest = gauge.acquire(1, later, &limits);
        if let Asked::Queued(newest) = &newest {
            gauge.stay(newest, later);
        }
        thread.join().unwrap();
        if has_permit(&newest) {
            // It was served before it had to wait, or else somebody went for it.
            assert_ne!(oldest.fate(), Some(Fate::Granted));
        } else {
            assert_eq!(oldest.fate(), Some(Fate::Granted));
        }
        assert_eq!((gauge.in_flight(), gauge.waiting()), (1, u32::from(oldest.fate().is_none()) + waits(&newest)));
    });
}

#[test]
fn for_a_guest_that_leaves_nobody_makes_room() {
    model(3, || {
        let limits = QueueLimits { room: 1, max_wait: u64::MAX, newest_first: true };
        let later = NOW + 200_000_000;
        let gauge = gauge(1, 1);
        let Asked::Queued(oldest) = gauge.acquire(1, NOW, &limits) else { panic!("the permit is taken") };
        let thread = spawn(&gauge, move |gauge| gauge.release(1, later));
        match gauge.acquire(1, later, &limits) {
            Asked::Queued(guest) => gauge.leave(&guest, later),
            Asked::Granted => gauge.release(1, later),
            Asked::Refused => panic!("there is room for a guest"),
        }
        thread.join().unwrap();
        assert_eq!(oldest.fate(), Some(Fate::Granted));
        assert_eq!((gauge.in_flight(), gauge.waiting()), (1, 0));
    });
}

#[test]
fn a_decision_is_seen_or_wakes() {
    struct Bell(AtomicBool);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    model(3, || {
        let gauge = gauge(1, 1);
        let waiter = queue_up(&gauge, 1);
        let thread = spawn(&gauge, |gauge| gauge.release(1, NOW));
        let [first, second] = [(); 2].map(|()| Arc::new(Bell(AtomicBool::new(false))));
        let poll = |bell: &Arc<Bell>| {
            let waker = Waker::from(Arc::clone(bell));
            waiter.poll(&mut Context::from_waker(&waker))
        };
        let ready = poll(&first) == Poll::Ready(()) || poll(&second) == Poll::Ready(());
        thread.join().unwrap();
        assert!(ready || second.0.load(Ordering::Relaxed), "the newest waker is woken");
    });
}
