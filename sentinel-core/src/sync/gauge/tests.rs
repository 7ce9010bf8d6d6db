mod sequences;
mod threads;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::*;

const MILLI: u64 = 1_000_000;
const NOBODY: QueueLimits = QueueLimits { room: 0, max_wait: 0, newest_first: false };
const QUEUE: QueueLimits = QueueLimits { room: 10, max_wait: 50 * MILLI, newest_first: false };

/// Takes permits at once, or not at all.
fn take(gauge: &Gauge, permits: u32) -> bool {
    match gauge.acquire(permits, 0, &NOBODY) {
        Asked::Granted => true,
        Asked::Refused => false,
        Asked::Queued(_) => panic!("there is no queue"),
    }
}

fn queue_up(gauge: &Gauge, permits: u32, now: u64, limits: &QueueLimits) -> Arc<Waiter> {
    match gauge.acquire(permits, now, limits) {
        Asked::Queued(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

fn set_limit(gauge: &Gauge, limit: u32, now: u64) {
    gauge.set_limit(limit);
    gauge.serve(now);
}

/// What was decided about all of them.
fn fates<const N: usize>(waiters: [&Waiter; N]) -> [Option<Fate>; N] {
    waiters.map(Waiter::fate)
}

const GRANTED: Option<Fate> = Some(Fate::Granted);
const REFUSED: Option<Fate> = Some(Fate::Refused);

#[test]
fn three_of_three_pass_a_fourth_does_not_and_one_given_back_is_one() {
    let gauge = Gauge::new(3);
    assert!((0..3).all(|_| take(&gauge, 1)));
    assert!(!take(&gauge, 1));
    assert_eq!((gauge.in_flight(), gauge.limit()), (3, 3));
    gauge.release(1, 0);
    assert!(take(&gauge, 1));
    assert!(!take(&gauge, 1));
}

#[test]
fn a_batch_gets_all_or_nothing_and_none_at_all_always_passes() {
    let gauge = Gauge::new(3);
    assert!(!take(&gauge, 4));
    assert!(take(&gauge, 2) && !take(&gauge, 2) && take(&gauge, 1));
    assert!(take(&gauge, 0));
    assert!(take(&Gauge::new(0), 0));
    assert!(!take(&Gauge::new(0), 1));
    assert_eq!(gauge.in_flight(), 3);
}

#[test]
fn the_largest_numbers_fit() {
    let gauge = Gauge::new(u32::MAX);
    assert!(take(&gauge, u32::MAX) && !take(&gauge, 1));
    set_limit(&gauge, 0, 0);
    assert_eq!((gauge.in_flight(), gauge.limit()), (u32::MAX, 0));
    gauge.release(u32::MAX - 1, 0);
    assert!(!take(&gauge, 1));
    set_limit(&gauge, u32::MAX, 0);
    assert!(take(&gauge, u32::MAX - 1) && !take(&gauge, 1));
}

#[test]
fn a_lowered_limit_takes_nothing_away_and_a_raised_one_holds_at_once() {
    let gauge = Gauge::new(5);
    assert!(take(&gauge, 5));
    set_limit(&gauge, 2, 0);
    assert_eq!(gauge.in_flight(), 5);
    gauge.release(3, 0);
    assert!(!take(&gauge, 1));
    gauge.release(1, 0);
    assert!(take(&gauge, 1) && !take(&gauge, 1));
    set_limit(&gauge, 4, 0);
    assert!(take(&gauge, 2) && !take(&gauge, 1));
}

#[test]
fn who_waits_is_served_in_the_order_of_coming() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let [a, b, c] = [0; 3].map(|now| queue_up(&gauge, 1, now, &QUEUE));
    for (served, expected) in [(1, [GRANTED, None, None]), (2, [GRANTED, GRANTED, None]), (3, [GRANTED; 3])] {
        assert!(!take(&gauge, 1), "nobody overtakes {served}");
        gauge.release(1, 0);
        assert_eq!(fates([&a, &b, &c]), expected);
    }
    assert_eq!((gauge.in_flight(), gauge.waiting()), (1, 0));
}

#[test]
fn a_batch_waits_until_it_fits_and_holds_up_who_is_behind_it() {
    let gauge = Gauge::new(3);
    assert!(take(&gauge, 3));
    let (batch, single) = (queue_up(&gauge, 2, 0, &QUEUE), queue_up(&gauge, 1, 0, &QUEUE));
    gauge.release(1, 0);
    assert_eq!(fates([&batch, &single]), [None, None]);
    gauge.release(1, 0);
    assert_eq!(fates([&batch, &single]), [GRANTED, None]);
    gauge.release(1, 0);
    assert_eq!(single.fate(), GRANTED);
}

#[test]
fn who_comes_to_a_full_queue_is_refused() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let limits = QueueLimits { room: 2, ..QUEUE };
    let _waiting = [0; 2].map(|now| queue_up(&gauge, 1, now, &limits));
    assert!(matches!(gauge.acquire(1, 0, &limits), Asked::Refused));
    assert_eq!(gauge.waiting(), 2);
}

#[test]
fn what_can_never_be_granted_does_not_wait() {
    let gauge = Gauge::new(2);
    assert!(matches!(gauge.acquire(3, 0, &QUEUE), Asked::Refused));
    assert!(take(&gauge, 2));
    let (batch, single) = (queue_up(&gauge, 2, 0, &QUEUE), queue_up(&gauge, 1, 0, &QUEUE));
    set_limit(&gauge, 1, 0);
    assert_eq!(fates([&batch, &single]), [REFUSED, None]);
    gauge.release(2, 0);
    assert_eq!(single.fate(), GRANTED);
}

#[test]
fn who_has_waited_for_too_long_is_passed_over() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let (early, late) = (queue_up(&gauge, 1, 0, &QUEUE), queue_up(&gauge, 1, MILLI, &QUEUE));
    assert_eq!(early.until(), 50 * MILLI);
    gauge.release(1, 50 * MILLI + 1);
    assert_eq!(fates([&early, &late]), [REFUSED, GRANTED]);
}

#[test]
fn at_the_last_moment_it_is_not_too_late() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let waiter = queue_up(&gauge, 1, 0, &QUEUE);
    gauge.release(1, 50 * MILLI);
    assert_eq!(waiter.fate(), GRANTED);
}

#[test]
fn who_leaves_makes_room_and_lets_others_pass() {
    let gauge = Gauge::new(2);
    assert!(take(&gauge, 1));
    let limits = QueueLimits { room: 2, ..QUEUE };
    let (batch, single) = (queue_up(&gauge, 2, 0, &limits), queue_up(&gauge, 1, 0, &limits));
    gauge.leave(&batch, 0);
    assert_eq!(fates([&batch, &single]), [REFUSED, GRANTED]);
    assert_eq!((gauge.in_flight(), gauge.waiting()), (2, 0));
}

#[test]
fn what_was_granted_to_who_leaves_goes_on_to_the_next() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let (first, second) = (queue_up(&gauge, 1, 0, &QUEUE), queue_up(&gauge, 1, 0, &QUEUE));
    gauge.release(1, 0);
    assert_eq!(fates([&first, &second]), [GRANTED, None]);
    gauge.leave(&first, 0);
    assert_eq!(second.fate(), GRANTED);
    assert_eq!(gauge.withdraw(&second, 0), Fate::Granted, "it keeps what it has");
    gauge.leave(&second, 0);
    assert!(gauge.is_idle());
}

#[test]
fn a_raised_limit_serves_who_waits() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let waiters: Vec<_> = (0..10).map(|_| queue_up(&gauge, 1, 0, &QUEUE)).collect();
    set_limit(&gauge, 9, 0);
    assert_eq!(waiters.iter().filter(|waiter| waiter.fate() == GRANTED).count(), 8);
    assert_eq!((gauge.in_flight(), gauge.waiting()), (9, 2));
}

#[test]
fn more_than_one_hold_of_the_lock_settles_are_all_served() {
    let gauge = Gauge::new(u32::MAX);
    assert!(take(&gauge, u32::MAX));
    let limits = QueueLimits { room: 1_000, ..QUEUE };
    let waiters: Vec<_> = (0..1_000).map(|now| queue_up(&gauge, 1, now, &limits)).collect();
    gauge.release(500, 0);
    assert!(waiters.iter().enumerate().all(|(index, waiter)| waiter.fate() == (index < 500).then_some(Fate::Granted)));
    gauge.release(1, 51 * MILLI);
    assert!(waiters.iter().skip(500).all(|waiter| waiter.fate() == REFUSED));
    assert_eq!(gauge.waiting(), 0);
}

#[test]
fn a_queue_that_is_overloaded_serves_the_newest_first_until_it_has_been_empty() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let limits = QueueLimits { room: 10, max_wait: u64::MAX, newest_first: true };
    let join = |ms: u64| queue_up(&gauge, 1, ms * MILLI, &limits);
    let [a, b, c, d] = [1, 2, 50, 60].map(join);
    gauge.release(1, 101 * MILLI);
    assert_eq!(fates([&a, &b, &c, &d]), [GRANTED, None, None, None], "100 ms are not longer than 100 ms");
    gauge.release(1, 102 * MILLI);
    assert_eq!(fates([&b, &c, &d]), [None, None, GRANTED]);
    gauge.release(1, 103 * MILLI);
    gauge.release(1, 104 * MILLI);
    assert_eq!(fates([&b, &c]), [GRANTED, GRANTED]);
    let [e, f] = [105, 106].map(join);
    gauge.release(1, 107 * MILLI);
    assert_eq!(fates([&e, &f]), [GRANTED, None], "it has been empty");
}

#[test]
fn the_oldest_makes_room_for_the_newest_under_overload_only() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let limits = QueueLimits { room: 2, max_wait: u64::MAX, newest_first: true };
    let [a, b] = [0, 1].map(|now| queue_up(&gauge, 1, now, &limits));
    assert!(matches!(gauge.acquire(1, 100 * MILLI, &limits), Asked::Refused));
    let c = queue_up(&gauge, 1, 100 * MILLI + 1, &limits);
    gauge.stay(&c, 101 * MILLI);
    assert_eq!(fates([&a, &b, &c]), [REFUSED, None, None]);
    gauge.stay(&c, 101 * MILLI);
    assert_eq!((fates([&b, &c]), gauge.waiting()), ([None, None], 2), "once");
}

#[test]
fn a_guest_of_a_full_queue_throws_nobody_out_until_it_waits() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let limits = QueueLimits { room: 2, max_wait: u64::MAX, newest_first: true };
    let [a, b] = [0, 1].map(|now| queue_up(&gauge, 1, now, &limits));
    let join = || queue_up(&gauge, 1, 101 * MILLI, &limits);
    for _ in 0..3 {
        gauge.leave(&join(), 101 * MILLI);
    }
    let [c, d] = [join(), join()];
    assert_eq!(fates([&a, &b, &c, &d]), [None, None, REFUSED, None], "one guest at a time");
    gauge.stay(&c, 101 * MILLI);
    assert_eq!(gauge.waiting(), 3);
    gauge.release(1, 101 * MILLI);
    assert_eq!(fates([&a, &b, &d]), [None, None, GRANTED], "a guest is served like any other");
    gauge.stay(&d, 101 * MILLI);
    let e = join();
    gauge.leave(&a, 101 * MILLI);
    let f = join();
    assert_eq!(fates([&b, &e, &f]), [None, None, None], "for a guest that room was made for, nobody has to go");
    gauge.stay(&e, 101 * MILLI);
    assert_eq!(gauge.waiting(), 3);
    gauge.stay(&f, 101 * MILLI);
    assert_eq!(fates([&b, &e, &f]), [REFUSED, None, None]);
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let gauge = Gauge::new(2);
    assert!(take(&gauge, 2));
    let waiters = [0; 2].map(|now| queue_up(&gauge, 1, now, &QUEUE));
    let bell = Arc::new(Bell::default());
    let wakers = [Waker::from(Arc::new(Panics)), Waker::from(Arc::clone(&bell))];
    for (waiter, waker) in waiters.iter().zip(&wakers) {
        assert!(waiter.poll(&mut Context::from_waker(waker)).is_pending());
    }
    gauge.release(2, 0);
    assert_eq!(bell.0.load(SeqCst), 1);
    assert_eq!(fates([&waiters[0], &waiters[1]]), [GRANTED, GRANTED]);
}

#[test]
fn under_overload_who_comes_takes_what_is_too_little_for_a_batch() {
    let gauge = Gauge::new(2);
    assert!(take(&gauge, 1));
    let limits = QueueLimits { room: 2, max_wait: u64::MAX, newest_first: true };
    let batch = queue_up(&gauge, 2, 0, &limits);
    assert!(matches!(gauge.acquire(1, 101 * MILLI, &limits), Asked::Granted));
    gauge.release(2, 101 * MILLI);
    assert_eq!(batch.fate(), GRANTED);
}

#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_newest_waker_is_woken_once_and_then_the_waiter_is_ready() {
    let gauge = Gauge::new(1);
    assert!(take(&gauge, 1));
    let waiter = queue_up(&gauge, 1, 0, &QUEUE);
    let [old, new] = [(); 2].map(|()| Arc::new(Bell::default()));
    let poll = |bell: &Arc<Bell>| waiter.poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell))));
    assert_eq!([poll(&old), poll(&old), poll(&new)], [Poll::Pending; 3]);
    gauge.release(1, 0);
    assert_eq!([old.0.load(SeqCst), new.0.load(SeqCst)], [0, 1]);
    assert_eq!(poll(&old), Poll::Ready(()));
    assert_eq!([Arc::strong_count(&old), Arc::strong_count(&new)], [1, 1], "no waker is kept");
}

#[test]
fn who_is_woken_may_use_the_gauge() {
    struct Release(Arc<Gauge>);

    impl Wake for Release {
        fn wake(self: Arc<Self>) {
            self.0.release(1, 0);
        }
    }

    let gauge = Arc::new(Gauge::new(1));
    assert!(take(&gauge, 1));
    let waiters = [0; 5].map(|now| queue_up(&gauge, 1, now, &QUEUE));
    let waker = Waker::from(Arc::new(Release(Arc::clone(&gauge))));
    for waiter in &waiters {
        assert!(waiter.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    gauge.release(1, 0);
    assert!(waiters.iter().all(|waiter| waiter.fate() == GRANTED));
    assert!(gauge.is_idle());
}
