//! Models of the limiters: loom runs each in every order of up to three preemptions, or two with three threads and more.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib sync::models`

use loom::{model::Builder, sync::Arc, thread};

use super::{
    leaky_bucket::LeakyBucket,
    sliding_limiter::{Loan, SlidingLimiter, Stamp},
};

/// The interval of all models.
const INTERVAL: u64 = 10;

fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

fn limiter(threshold: u64, cells: u64) -> Arc<SlidingLimiter> {
    Arc::new(SlidingLimiter::with_cells(threshold, INTERVAL, cells))
}

fn take(limiter: &SlidingLimiter, now: u64) -> Option<u64> {
    limiter.acquire(now, 1).ok().map(|Stamp(at)| at)
}

fn at(loan: &Loan) -> u64 {
    loan.stamp().0
}

/// Takes what is left at `now`, so that a permit too many shows.
fn drain(limiter: &SlidingLimiter, now: u64, into: &mut Vec<u64>) {
    into.extend((0..4).filter_map(|_| take(limiter, now)));
}

/// No interval holds more than the threshold; `uses` are single permits.
fn check(mut uses: Vec<u64>, threshold: usize) {
    uses.sort_unstable();
    for from in &uses {
        let inside = uses.iter().filter(|at| (*from..from + INTERVAL).contains(at)).count();
        assert!(inside <= threshold, "{inside} of {threshold}: {uses:?}");
    }
}

/// Permits are taken one by one, then by threads at once (when, and how many), then whatever is left.
fn race(threshold: u64, cells: u64, before: &'static [u64], calls: &'static [(u64, u64)]) {
    model(if calls.len() > 2 { 2 } else { 3 }, move || {
        let limiter = limiter(threshold, cells);
        let mut uses: Vec<_> = before.iter().filter_map(|now| take(&limiter, *now)).collect();
        let threads: Vec<_> = calls
            .iter()
            .map(|&(now, count)| {
                let limiter = Arc::clone(&limiter);
                thread::spawn(move || {
                    limiter.acquire(now, count).into_iter().flat_map(move |at| (0..count).map(move |_| at.0))
                })
            })
            .collect();
        uses.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
        let latest = calls.iter().map(|call| call.0).max().unwrap();
        assert!(uses.iter().all(|at| *at <= latest), "{uses:?}");
        for later in [1, 4, 9] {
            drain(&limiter, latest + later, &mut uses);
        }
        check(uses, threshold as usize);
    });
}

#[test]
fn a_late_clock_cannot_spend_a_permit_that_came_back_after_it() {
    race(2, 10, &[109, 111], &[(115, 1), (119, 1)]);
}

#[test]
fn a_late_clock_cannot_spend_what_was_too_little_for_another() {
    race(3, 5, &[109, 111, 118], &[(115, 1), (119, 2)]);
}

#[test]
fn the_last_permit_is_taken_once() {
    race(2, 2, &[100], &[(101, 1), (101, 1)]);
}

#[test]
fn the_first_permit_is_taken_once() {
    race(1, 2, &[], &[(100, 1), (100, 1)]);
}

#[test]
fn one_permit_comes_back_once() {
    race(1, 2, &[100], &[(110, 1), (111, 1)]);
}

#[test]
fn a_group_is_closed_while_another_admits() {
    race(2, 2, &[104], &[(104, 1), (109, 1), (110, 1)]);
}

#[test]
fn a_group_is_gone_while_a_late_clock_admits() {
    race(2, 2, &[100, 100], &[(109, 1), (110, 1)]);
}

#[test]
fn a_group_goes_on_while_another_thread_rolls() {
    race(3, 2, &[100, 105], &[(110, 1), (112, 2)]);
}

#[test]
fn a_group_does_not_go_on_for_longer_than_its_stamps_can_tell() {
    const LATER: u64 = 105 + (1 << 39);
    race(3, 2, &[100], &[(LATER, 1), (LATER, 1)]);
}

#[test]
fn nobody_is_refused_while_a_permit_is_there() {
    model(3, || {
        let limiter = limiter(2, 2);
        assert!(take(&limiter, 100).is_some() && take(&limiter, 100).is_some());
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || take(&other, 110));
        assert!(take(&limiter, 110).is_some());
        assert!(thread.join().unwrap().is_some());
    });
}

#[test]
fn nobody_is_refused_while_another_thread_rolls() {
    model(3, || {
        let limiter = limiter(2, 2);
        assert!(take(&limiter, 100).is_some());
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || take(&other, 110));
        assert!(take(&limiter, 110).is_some());
        assert!(thread.join().unwrap().is_some());
    });
}

#[test]
fn an_undo_returns_what_was_taken_and_no_more() {
    model(3, || {
        let limiter = limiter(2, 2);
        let stamp = limiter.acquire(103, 1).unwrap();
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || other.undo(stamp, 1));
        let mut uses = vec![take(&limiter, 109).unwrap()];
        thread.join().unwrap();
        drain(&limiter, 110, &mut uses);
        assert_eq!(uses.len(), 2);
        check(uses, 2);
    });
}

#[test]
fn an_undo_after_the_interval_gives_nothing_back() {
    model(3, || {
        let limiter = limiter(2, 2);
        let stamp = limiter.acquire(100, 1).unwrap();
        assert!(take(&limiter, 100).is_some());
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || take(&other, 112));
        let mut uses = Vec::from_iter(take(&limiter, 117));
        limiter.undo(stamp, 1);
        uses.extend(thread.join().unwrap());
        drain(&limiter, 118, &mut uses);
        assert_eq!(uses.len(), 2);
    });
}

#[test]
fn an_undo_while_its_group_leaves_the_interval_returns_one_permit_once() {
    model(3, || {
        let limiter = limiter(2, 2);
        let stamp = limiter.acquire(100, 1).unwrap();
        let mut uses = vec![take(&limiter, 107).unwrap()];
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || other.undo(stamp, 1));
        uses.extend(take(&limiter, 110));
        thread.join().unwrap();
        drain(&limiter, 111, &mut uses);
        assert_eq!(uses.len(), 2);
        check(uses, 2);
    });
}

#[test]
fn a_lowered_threshold_is_never_exceeded_afterwards() {
    model(3, || {
        let limiter = limiter(3, 2);
        assert!(take(&limiter, 100).is_some());
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || other.set_threshold(1));
        let late = take(&limiter, 106);
        thread.join().unwrap();
        assert!(take(&limiter, 107).is_none());
        let mut uses = Vec::from_iter(late);
        drain(&limiter, 112, &mut uses);
        drain(&limiter, 117, &mut uses);
        check(uses, 1);
    });
}

/// Two permits were used, at 100 and 105. One is lent for 110, while another thread at `now` makes the limiter roll.
fn borrow_race(now: u64) {
    model(3, move || {
        let limiter = limiter(2, 4);
        let mut uses: Vec<_> = [100, 105].iter().filter_map(|now| take(&limiter, *now)).collect();
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || take(&other, now));
        let loan = limiter.borrow(108, 1, INTERVAL);
        uses.extend(thread.join().unwrap());
        uses.extend(loan.iter().map(at));
        for now in [110, 114, 115, 119, 120] {
            drain(&limiter, now, &mut uses);
        }
        assert!(uses.len() >= 5, "no permit is lost: {uses:?}");
        check(uses, 2);
    });
}

#[test]
fn a_loan_is_made_while_the_permit_comes_back() {
    borrow_race(110);
}

#[test]
fn a_loan_is_made_while_a_group_is_closed() {
    borrow_race(109);
}

#[test]
fn a_loan_falls_due_while_a_late_clock_admits() {
    model(3, || {
        let limiter = limiter(2, 4);
        let mut uses: Vec<_> = [100, 104].iter().filter_map(|now| take(&limiter, *now)).collect();
        let loan = limiter.borrow(108, 1, INTERVAL).unwrap();
        uses.push(at(&loan));
        let [first, second] = [110, 114].map(|now| {
            let limiter = Arc::clone(&limiter);
            thread::spawn(move || take(&limiter, now))
        });
        uses.extend(first.join().unwrap());
        uses.extend(second.join().unwrap());
        for now in [115, 119, 120] {
            drain(&limiter, now, &mut uses);
        }
        check(uses, 2);
    });
}

#[test]
fn a_loan_given_back_while_it_falls_due_is_one_permit() {
    model(3, || {
        let limiter = limiter(2, 4);
        let mut uses: Vec<_> = [100, 105].iter().filter_map(|now| take(&limiter, *now)).collect();
        let loan = limiter.borrow(108, 1, INTERVAL).unwrap();
        let other = Arc::clone(&limiter);
        let thread = thread::spawn(move || other.give_back(loan));
        uses.extend(take(&limiter, 110));
        thread.join().unwrap();
        drain(&limiter, 111, &mut uses);
        assert_eq!(uses.len(), 3, "{uses:?}");
        drain(&limiter, 115, &mut uses);
        assert_eq!(uses.len(), 4, "{uses:?}");
        check(uses, 2);
    });
}

#[test]
fn bookings_get_distinct_slots() {
    model(3, || {
        let bucket = Arc::new(LeakyBucket::default());
        let threads = [100, 103].map(|now| {
            let bucket = Arc::clone(&bucket);
            thread::spawn(move || now + bucket.book(now, 10, 100).unwrap().wait)
        });
        let mut slots = vec![101 + bucket.book(101, 10, 100).unwrap().wait];
        slots.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
        slots.sort_unstable();
        assert!(slots.windows(2).all(|pair| pair[0] + 10 <= pair[1]), "{slots:?}");
    });
}

#[test]
fn a_booking_given_back_opens_no_slot_twice() {
    model(3, || {
        let bucket = Arc::new(LeakyBucket::default());
        let booking = bucket.book(100, 10, 100).unwrap();
        let giver = Arc::clone(&bucket);
        let giver = thread::spawn(move || giver.give_back(booking));
        let booker = Arc::clone(&bucket);
        let booker = thread::spawn(move || 100 + booker.book(100, 10, 100).unwrap().wait);
        let mut slots = vec![100 + bucket.book(100, 10, 100).unwrap().wait];
        slots.push(booker.join().unwrap());
        giver.join().unwrap();
        slots.push(100 + bucket.book(100, 10, 100).unwrap().wait);
        slots.sort_unstable();
        assert!(slots.windows(2).all(|pair| pair[0] + 10 <= pair[1]), "{slots:?}");
    });
}

#[test]
fn a_gap_is_filled_once() {
    model(3, || {
        let bucket = Arc::new(LeakyBucket::default());
        let first = bucket.book(100, 10, 100).unwrap();
        let mut slots = vec![100 + bucket.book(100, 10, 100).unwrap().wait];
        let giver = Arc::clone(&bucket);
        let giver = thread::spawn(move || giver.give_back(first));
        let booker = Arc::clone(&bucket);
        let booker = thread::spawn(move || 100 + booker.book(100, 10, 100).unwrap().wait);
        slots.push(100 + bucket.book(100, 10, 100).unwrap().wait);
        slots.push(booker.join().unwrap());
        giver.join().unwrap();
        slots.push(100 + bucket.book(100, 10, 100).unwrap().wait);
        slots.sort_unstable();
        assert!(slots.windows(2).all(|pair| pair[0] + 10 <= pair[1]), "{slots:?}");
        assert_eq!(slots[0], 100, "what was given back is taken again");
    });
}
