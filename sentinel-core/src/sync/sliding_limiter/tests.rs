mod loads;
mod sequences;
mod threads;

use super::{LEFT_MOST, Loan, NEVER, SlidingLimiter, Stamp};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// The most permits in any half-open interval; they are in order of time.
fn worst(admitted: &[(u64, u64)], interval: u64) -> u64 {
    let (mut oldest, mut sum, mut most) = (0, 0, 0);
    for &(at, count) in admitted {
        sum += count;
        while admitted[oldest].0 + interval <= at {
            sum -= admitted[oldest].1;
            oldest += 1;
        }
        most = most.max(sum);
    }
    most
}

fn admits(limiter: &SlidingLimiter, now: u64, calls: u64) -> u64 {
    (0..calls).filter(|_| limiter.acquire(now, 1).is_ok()).count() as u64
}

#[test]
fn a_burst_of_the_threshold_passes_again_exactly_one_interval_later() {
    for (threshold, interval) in [(1, SECOND), (10, SECOND), (1_000, MILLI), (1_000, 68 * SECOND)] {
        let limiter = SlidingLimiter::new(threshold, interval);
        for time in 1..6 {
            let now = time * interval + interval / 3;
            assert_eq!(admits(&limiter, now, threshold + 1), threshold, "{threshold} per {interval} ns");
            assert_eq!(admits(&limiter, now + interval - 1, 1), 0, "{threshold} per {interval} ns");
        }
    }
}

#[test]
fn with_coarse_ticks_a_burst_passes_again_two_ticks_late_at_most() {
    for (interval, tick) in [(HOUR, 64), (DAY, 2_048), (7 * DAY, 16_384)] {
        let limiter = SlidingLimiter::new(50, interval);
        for time in 1..6 {
            let now = time * (interval + 2 * tick);
            assert_eq!(admits(&limiter, now, 51), 50, "{interval} ns");
            assert_eq!(admits(&limiter, now + interval - 1, 51), 0, "{interval} ns");
        }
    }
}

#[test]
fn with_coarse_ticks_a_burst_on_a_tick_passes_again_exactly_one_interval_later() {
    for (interval, unit) in [(HOUR, MILLI), (HOUR, 64), (DAY, 60 * SECOND)] {
        let limiter = SlidingLimiter::new(3, interval);
        let start = 12_345 * unit;
        assert_eq!(admits(&limiter, start, 9), 3);
        assert_eq!(admits(&limiter, start + interval - 1, 9), 0, "{interval} from {start}");
        assert_eq!(admits(&limiter, start + interval, 9), 3, "{interval} from {start}");
    }
}

#[test]
fn long_after_a_burst_the_whole_threshold_passes() {
    for interval in [MILLI, SECOND, HOUR, 7 * DAY] {
        let limiter = SlidingLimiter::new(100, interval);
        let mut now = 0;
        // Twelve minutes, for one, is where stamps of 40 bits in nanoseconds would compare wrong.
        for gap in [0, 2 * interval, 9 * interval, 17 * interval, 12 * 60 * SECOND, 20 * 60 * SECOND, 30 * DAY] {
            now += gap.max(2 * interval);
            assert_eq!(admits(&limiter, now, 200), 100, "{interval} ns after {gap} ns");
            assert_eq!(admits(&limiter, now + interval / 2, 200), 0, "{interval} ns after {gap} ns");
        }
    }
}

#[test]
fn a_clock_reading_from_long_ago_does_not_keep_permits_for_long() {
    let limiter = SlidingLimiter::new(2, MILLI);
    let now = 20 * 60 * SECOND;
    for late in [0, 12 * 60 * SECOND] {
        assert_eq!(limiter.acquire(now - late, 1), Ok(Stamp(now)));
    }
    assert_eq!(admits(&limiter, now + MILLI, 3), 2);
}

#[test]
fn a_slow_trickle_over_hours_is_still_counted() {
    let limiter = SlidingLimiter::new(7, 10 * HOUR);
    let admitted = (0..100).filter(|hour| limiter.acquire(hour * (HOUR + MILLI), 1).is_ok()).collect::<Vec<_>>();
    let expected = (0..100).filter(|hour| hour % 10 < 7).collect::<Vec<u64>>();
    assert_eq!(admitted, expected);
}

#[test]
fn extreme_numbers_do_no_harm() {
    for threshold in [0, 1, LEFT_MOST, LEFT_MOST + 1, u64::from(u32::MAX), u64::MAX] {
        for interval in [0, 1, 2, 129, MILLI, u64::MAX / 2, u64::MAX] {
            let limiter = SlidingLimiter::new(threshold, interval);
            for now in [0, 1, interval, u64::MAX - 1, u64::MAX, 5] {
                for count in [0, 1, threshold, u64::MAX] {
                    match limiter.acquire(now, count) {
                        Ok(stamp) => limiter.undo(stamp, count.saturating_add(1)),
                        Err(not_before) => assert!(not_before > 0 && count > 0),
                    }
                    if let Ok(loan) = limiter.borrow(now, count, u64::MAX) {
                        limiter.give_back(loan);
                    }
                }
                limiter.set_threshold(threshold / 2);
                limiter.set_threshold(u64::MAX);
                limiter.set_threshold(threshold);
                limiter.used(now);
                limiter.is_idle(now);
            }
        }
    }
}

#[test]
fn a_threshold_beyond_the_word_is_admitted_whole_and_no_more() {
    let threshold = u64::from(u32::MAX);
    let limiter = SlidingLimiter::new(threshold, SECOND);
    for now in [5, 5 + SECOND, 7 * SECOND] {
        let mut admitted = 0;
        while limiter.acquire(now, LEFT_MOST / 2).is_ok() {
            admitted += LEFT_MOST / 2;
        }
        assert_eq!(limiter.acquire(now, threshold - admitted).map_err(|_| "refused"), Ok(Stamp(now)));
        assert!(limiter.acquire(now, 1).is_err());
        assert!(limiter.acquire(now + SECOND - 1, 1).is_err());
        assert_eq!(limiter.used(now), threshold);
    }
}

#[test]
fn a_batch_beyond_the_word_passes_when_there_is_room() {
    let limiter = SlidingLimiter::new(3 * LEFT_MOST, SECOND);
    let stamp = limiter.acquire(10, 2 * LEFT_MOST).expect("all is free");
    assert!(limiter.acquire(11, 2 * LEFT_MOST).is_err());
    limiter.undo(stamp, 2 * LEFT_MOST);
    assert_eq!(limiter.acquire(12, 3 * LEFT_MOST), Ok(Stamp(12)));
    assert_eq!(limiter.acquire(12, 3 * LEFT_MOST + 1), Err(NEVER));
}

#[test]
fn more_permits_than_a_group_can_file_come_back_later_but_all_of_them() {
    let threshold = 5 * (1 << 32);
    let limiter = SlidingLimiter::new(threshold, SECOND);
    assert!(limiter.acquire(10, threshold).is_ok());
    assert!(limiter.acquire(10 + SECOND / 2, 1).is_err());
    // Six rolls an interval apart take back at most 32 bits each.
    let mut now = 10 + SECOND;
    while limiter.acquire(now, threshold).is_err() {
        now += SECOND / 2;
        assert!(now < 20 * SECOND, "they come back");
    }
    assert!(limiter.acquire(now, 1).is_err());
}

#[test]
fn nothing_is_taken_for_no_permits_and_never_more_than_the_threshold_at_once() {
    let limiter = SlidingLimiter::new(3, SECOND);
    assert!(limiter.acquire(1, 0).is_ok());
    assert_eq!(limiter.acquire(1, 4), Err(NEVER));
    assert!(limiter.acquire(1, 3).is_ok());
    assert!(limiter.acquire(1, 0).is_ok());
    let closed = SlidingLimiter::new(0, SECOND);
    assert!(closed.acquire(1, 0).is_ok());
    assert_eq!(closed.acquire(1, 1), Err(NEVER));
    assert!(closed.is_idle(1));
}

#[test]
fn a_refusal_names_the_moment_from_which_a_permit_passes() {
    let limiter = SlidingLimiter::new(2, SECOND);
    for now in [3 * MILLI, 400 * MILLI] {
        limiter.acquire(now, 1).expect("two are free");
    }
    let not_before = limiter.acquire(500 * MILLI, 1).expect_err("both are taken");
    assert_eq!(not_before, 3 * MILLI + SECOND);
    assert_eq!(limiter.acquire(not_before - 1, 1), Err(not_before));
    assert_eq!(limiter.acquire(not_before, 1), Ok(Stamp(not_before)));
}

#[test]
fn an_idle_limiter_is_small_and_a_busy_one_allocates_once() {
    let limiter = SlidingLimiter::new(1_000, SECOND);
    assert!(size_of::<SlidingLimiter>() <= 192);
    limiter.acquire(1, 1).expect("all is free");
    assert_eq!(limiter.ledger.lock().heap_bytes(), 0);
    limiter.acquire(SECOND / 2, 1).expect("there is room");
    assert_eq!(limiter.ledger.lock().heap_bytes(), 130 * 12);
    for step in 0..10_000 {
        let _ = limiter.acquire(SECOND / 2 + step * SECOND / 777, 1 + step % 3);
    }
    assert_eq!(limiter.ledger.lock().heap_bytes(), 130 * 12);
    let small = SlidingLimiter::new(10, SECOND);
    for step in 0..1_000 {
        let _ = small.acquire(step * SECOND / 50, 1);
    }
    assert_eq!(small.ledger.lock().heap_bytes(), 10 * 12);
}

// The four faults of the first form of this limiter.

#[test]
fn a_clock_reading_older_than_a_return_cannot_spend_what_came_back() {
    let limiter = SlidingLimiter::with_cells(3, 10, 5);
    for now in [109, 111, 118] {
        assert_eq!(limiter.acquire(now, 1), Ok(Stamp(now)));
    }
    assert!(limiter.acquire(119, 2).is_err(), "only the one of 109 is back");
    assert_eq!(limiter.acquire(115, 1), Ok(Stamp(119)), "not used before it came back");
    assert!(limiter.acquire(120, 1).is_err());
}

#[test]
fn undoing_after_the_interval_gives_nothing_back() {
    let limiter = SlidingLimiter::with_cells(2, 10, 2);
    let old = limiter.acquire(100, 1).expect("free");
    limiter.acquire(100, 1).expect("free");
    limiter.acquire(112, 1).expect("the group of 100 has left the interval");
    limiter.acquire(117, 1).expect("and held two");
    limiter.undo(old, 1);
    assert!(limiter.acquire(118, 1).is_err());
}

#[test]
fn a_group_that_goes_on_beyond_its_time_keeps_its_latest_stamp() {
    let limiter = SlidingLimiter::with_cells(4, 10, 2);
    limiter.acquire(100, 1).expect("free");
    let rolling = limiter.ledger.lock();
    // Somebody else holds the lock, so the group of 100 goes on.
    assert_eq!(limiter.acquire(108, 1), Ok(Stamp(108)));
    assert_eq!(limiter.acquire(106, 1), Ok(Stamp(108)), "stamps never go back");
    drop(rolling);
    assert!(limiter.borrow(107, 0, 0).is_ok(), "rolls, and takes nothing");
    limiter.undo(Stamp(108), 1);
    assert_eq!(limiter.left(), 2, "the permit was found");
    assert_eq!(limiter.acquire(107, 1), Ok(Stamp(108)));
    assert_eq!(admits(&limiter, 110, 9), 1, "the one of 100 is in a group that ended at 108");
    assert_eq!(admits(&limiter, 117, 9), 0);
    assert_eq!(admits(&limiter, 118, 9), 3);
}

#[test]
fn the_same_word_after_an_undo_is_no_licence() {
    let limiter = SlidingLimiter::with_cells(2, 10, 2);
    let stamp = limiter.acquire(100, 1).expect("free");
    let word = limiter.word.load(super::Ordering::Relaxed);
    limiter.undo(stamp, 1);
    assert_eq!(limiter.acquire(100, 1), Ok(stamp));
    assert_eq!(limiter.word.load(super::Ordering::Relaxed), word, "the word is the same again");
    // Whoever read it before takes what is there, under the stamp that is there.
    assert_eq!(limiter.take(word, 95, 1), Some(stamp));
    assert!(limiter.acquire(109, 1).is_err());
    assert_eq!(admits(&limiter, 110, 3), 2);
}

#[test]
fn undoing_at_once_is_as_if_nothing_had_happened() {
    let limiter = SlidingLimiter::new(3, SECOND);
    for now in [0, 1, 9 * MILLI, SECOND / 2, 3 * SECOND] {
        let before = limiter.used(now);
        for _ in 0..10 {
            let stamp = limiter.acquire(now, 3 - before).expect("there is room");
            limiter.undo(stamp, 3 - before);
        }
        assert_eq!(limiter.used(now), before);
        if before < 2 {
            limiter.acquire(now, 1).expect("there is room");
        }
    }
}

#[test]
fn a_permit_undone_after_its_group_was_filed_is_free_at_once() {
    let limiter = SlidingLimiter::new(2, SECOND);
    let first = limiter.acquire(10, 1).expect("free");
    let second = limiter.acquire(SECOND / 2, 1).expect("free");
    assert!(limiter.acquire(SECOND / 2 + 1, 1).is_err());
    limiter.undo(first, 1);
    assert!(limiter.acquire(SECOND / 2 + 2, 1).is_ok());
    limiter.undo(second, 1);
    assert!(limiter.acquire(SECOND / 2 + 3, 1).is_ok());
    assert!(limiter.acquire(SECOND + 10, 1).is_err(), "the first was not given back twice");
}

#[test]
fn a_raised_threshold_gives_more_at_once_and_a_lowered_one_waits_for_returns() {
    let limiter = SlidingLimiter::new(4, SECOND);
    assert_eq!(admits(&limiter, 10, 9), 4);
    limiter.set_threshold(6);
    assert_eq!(admits(&limiter, 11, 9), 2);
    limiter.set_threshold(1);
    assert_eq!(limiter.threshold(), 1);
    assert_eq!(admits(&limiter, SECOND, 9), 0);
    assert_eq!(admits(&limiter, SECOND + 11, 9), 1);
    limiter.set_threshold(0);
    assert_eq!(limiter.acquire(3 * SECOND, 1), Err(NEVER));
    limiter.set_threshold(2);
    assert_eq!(admits(&limiter, 4 * SECOND, 9), 2);
}

#[test]
fn used_counts_what_is_out_and_an_idle_limiter_has_nothing_out() {
    let limiter = SlidingLimiter::new(5, SECOND);
    assert!(limiter.is_idle(0));
    limiter.acquire(10, 2).expect("free");
    limiter.acquire(SECOND / 2, 1).expect("free");
    assert_eq!([limiter.used(SECOND / 2), limiter.left()], [3, 2]);
    assert_eq!(limiter.used(SECOND + 10), 1);
    assert!(!limiter.is_idle(SECOND + 10));
    assert!(limiter.is_idle(SECOND / 2 + SECOND));
}

#[test]
fn a_prioritised_call_takes_in_advance_what_comes_back_soon() {
    let limiter = SlidingLimiter::new(10, SECOND);
    assert_eq!(admits(&limiter, 100 * MILLI, 12), 10);
    let soon = |now: u64| limiter.borrow(now * MILLI, 1, SECOND / 2);
    assert_eq!(soon(200).map(|loan| loan.due()), Err(1_100 * MILLI));
    let loan = soon(600).expect("it is back in half an interval");
    assert_eq!(loan.due(), 1_100 * MILLI);
    assert_eq!(limiter.used(1_099 * MILLI), 10);
    assert_eq!(admits(&limiter, 1_100 * MILLI, 12), 9, "one is the borrower's");
    assert_eq!(limiter.used(1_100 * MILLI), 10);
    assert_eq!(admits(&limiter, 2_099 * MILLI, 12), 0);
    assert_eq!(admits(&limiter, 2_100 * MILLI, 12), 10);
}

#[test]
fn no_more_is_lent_than_the_threshold() {
    let limiter = SlidingLimiter::new(10, SECOND);
    assert_eq!(admits(&limiter, 100 * MILLI, 12), 10);
    let loans: Vec<Loan> = (0..12).filter_map(|_| limiter.borrow(600 * MILLI, 1, SECOND / 2).ok()).collect();
    assert_eq!(loans.len(), 10);
    assert!(!limiter.is_idle(2_000 * MILLI), "they are out until one interval after they were due");
    assert_eq!(admits(&limiter, 1_100 * MILLI, 12), 0);
    assert_eq!(admits(&limiter, 2_099 * MILLI, 12), 0);
    assert!(limiter.is_idle(2_100 * MILLI));
    assert_eq!(admits(&limiter, 2_100 * MILLI, 12), 10);
}

#[test]
fn a_loan_given_back_is_free_for_others_before_and_after_it_is_due() {
    let limiter = SlidingLimiter::new(2, SECOND);
    assert_eq!(admits(&limiter, 0, 3), 2);
    let early = limiter.borrow(600 * MILLI, 1, SECOND).expect("due soon");
    let late = limiter.borrow(600 * MILLI, 1, SECOND).expect("due soon");
    limiter.give_back(early);
    assert_eq!(admits(&limiter, SECOND, 3), 1);
    limiter.give_back(late);
    assert_eq!(admits(&limiter, SECOND + 1, 3), 1);
    assert_eq!(admits(&limiter, 2 * SECOND - 1, 3), 0);
}

#[test]
fn a_loan_that_was_paid_early_is_out_for_an_interval_from_its_due_moment() {
    let limiter = SlidingLimiter::with_cells(2, 10, 2);
    let stamp = limiter.acquire(100, 1).expect("free");
    limiter.acquire(106, 1).expect("free");
    let loan = limiter.borrow(108, 1, 5).expect("the one of 100 comes back");
    assert_eq!(loan.due(), 110);
    limiter.undo(stamp, 1);
    assert_eq!(admits(&limiter, 109, 3), 0, "the one undone is the borrower's now");
    limiter.set_threshold(3);
    assert_eq!(admits(&limiter, 109, 3), 1);
    assert!(limiter.borrow(110, 0, 0).is_ok(), "rolls, and takes nothing");
    assert_eq!(admits(&limiter, 119, 3), 0);
    assert_eq!(admits(&limiter, 120, 4), 3);
}

#[test]
fn a_loan_when_permits_are_free_is_due_at_once() {
    let limiter = SlidingLimiter::new(2, SECOND);
    let loan = limiter.borrow(77, 2, 0).expect("both are free");
    assert_eq!(loan.due(), 77);
    assert!(limiter.acquire(78, 1).is_err());
    limiter.give_back(loan);
    assert!(limiter.acquire(79, 2).is_ok());
    assert!(matches!(limiter.borrow(80, 3, NEVER), Err(NEVER)));
}
