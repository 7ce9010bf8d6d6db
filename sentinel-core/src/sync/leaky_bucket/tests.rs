use proptest::{collection::vec, prelude::*};

use super::{LeakyBucket, MAX_GAPS};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

impl LeakyBucket {
    fn gaps(&self) -> usize {
        self.free.lock().len()
    }
}

/// The wait in nanoseconds, or nothing when it is too long.
fn wait(bucket: &LeakyBucket, now: u64, cost: u64, max_wait: u64) -> Option<u64> {
    bucket.book(now, cost, max_wait).ok().map(|booking| booking.wait)
}

#[test]
fn calls_at_the_same_time_are_spaced_until_the_wait_is_too_long() {
    let bucket = LeakyBucket::default();
    for expected in [0, 100, 200, 300, 400, 500] {
        assert_eq!(wait(&bucket, 0, 100 * MILLI, 500 * MILLI), Some(expected * MILLI));
    }
    assert_eq!(bucket.book(0, 100 * MILLI, 500 * MILLI).map(|_| ()), Err(600 * MILLI));
}

#[test]
fn without_a_queue_there_is_only_spacing() {
    let bucket = LeakyBucket::default();
    assert_eq!(wait(&bucket, 0, 100 * MILLI, 0), Some(0));
    assert_eq!(wait(&bucket, 0, 100 * MILLI, 0), None);
    assert_eq!(wait(&bucket, 99 * MILLI, 100 * MILLI, 0), None);
    assert_eq!(wait(&bucket, 100 * MILLI, 100 * MILLI, 0), Some(0));
    assert_eq!((0..512).filter_map(|_| wait(&bucket, SECOND, 100 * MILLI, 0)).count(), 1);
}

#[test]
fn spacing_below_a_millisecond_is_kept() {
    let bucket = LeakyBucket::default();
    let waits: Vec<_> = (0..4).map(|_| wait(&bucket, 0, MILLI / 2, MILLI)).collect();
    assert_eq!(waits, [Some(0), Some(MILLI / 2), Some(MILLI), None]);
}

#[test]
fn one_call_in_five_seconds_works() {
    let bucket = LeakyBucket::default();
    let admitted: Vec<u64> = (0..21).filter(|at| wait(&bucket, at * SECOND, 5 * SECOND, 0).is_some()).collect();
    assert_eq!(admitted, [0, 5, 10, 15, 20]);
}

#[test]
fn idleness_saves_nothing_up() {
    let bucket = LeakyBucket::default();
    assert_eq!(wait(&bucket, 0, 100 * MILLI, 0), Some(0));
    let now = 3_600 * SECOND;
    assert!(bucket.is_idle(now));
    let waits: Vec<_> = (0..3).map(|_| wait(&bucket, now, 100 * MILLI, 100 * MILLI)).collect();
    assert_eq!(waits, [Some(0), Some(100 * MILLI), None]);
    assert!(!bucket.is_idle(now));
}

#[test]
fn a_batch_passes_at_once_and_who_comes_next_waits_for_it() {
    let bucket = LeakyBucket::default();
    assert_eq!(wait(&bucket, 0, 50 * 200 * MILLI, 0), Some(0));
    assert_eq!(wait(&bucket, 9_999 * MILLI, 200 * MILLI, 0), None);
    assert_eq!(wait(&bucket, 10_000 * MILLI, 200 * MILLI, 0), Some(0));
}

#[test]
fn what_is_given_back_goes_to_the_next_who_comes() {
    let bucket = LeakyBucket::default();
    let [first, second, third] = [0; 3].map(|_| bucket.book(0, 10, 100).expect("there is room"));
    bucket.give_back(first);
    assert_eq!(wait(&bucket, 0, 10, 100), Some(0), "others are behind it");
    bucket.give_back(third);
    bucket.give_back(second);
    assert_eq!(wait(&bucket, 0, 10, 100), Some(10), "nobody is behind them");
    assert_eq!(bucket.gaps(), 0);
}

#[test]
fn a_gap_is_taken_as_far_as_it_lies_ahead_and_has_room() {
    let bucket = LeakyBucket::default();
    let [_, second, third, _] = [0; 4].map(|_| bucket.book(0, 10, 100).expect("there is room"));
    bucket.give_back(third);
    bucket.give_back(second);
    assert_eq!(bucket.gaps(), 1, "from 10 to 30");
    assert_eq!(wait(&bucket, 0, 21, 100), Some(40), "too long for it");
    assert_eq!(wait(&bucket, 0, 10, 9), None, "too far away");
    assert_eq!(wait(&bucket, 15, 5, 0), Some(0), "from 15 on");
    assert_eq!(wait(&bucket, 25, 5, 0), Some(0), "the rest of it");
    assert_eq!(bucket.gaps(), 0);
}

#[test]
fn a_queue_whose_callers_all_give_up_goes_on_serving_those_who_come() {
    let bucket = LeakyBucket::default();
    let mut waiting = std::collections::VecDeque::new();
    let mut served = 0;
    // Twenty come a second, ten may go, and nobody waits for more than a second of the two that they are told.
    for now in (0..60 * SECOND).step_by(50 * MILLI as usize) {
        while waiting.front().is_some_and(|&(given_up, _)| given_up <= now) {
            bucket.give_back(waiting.pop_front().expect("there is one").1);
        }
        if let Ok(booking) = bucket.book(now, 100 * MILLI, 2 * SECOND) {
            if booking.wait <= SECOND {
                served += 1;
            } else {
                waiting.push_back((now + SECOND, booking));
            }
        }
    }
    assert!(served > 590, "{served} of 600");
}

#[test]
fn gaps_are_bounded() {
    let bucket = LeakyBucket::default();
    let bookings: Vec<_> = (0..4 * MAX_GAPS).map(|_| bucket.book(0, 10, SECOND).expect("there is room")).collect();
    for (index, booking) in bookings.into_iter().enumerate() {
        if index % 2 == 0 {
            bucket.give_back(booking);
        }
    }
    assert_eq!(bucket.gaps(), MAX_GAPS);
    assert_eq!(wait(&bucket, SECOND, 10, 0), Some(0));
    assert_eq!(bucket.gaps(), 0, "all have passed");
}

#[test]
fn the_end_of_time_is_no_panic() {
    let bucket = LeakyBucket::default();
    for now in [0, u64::MAX, 0] {
        for cost in [0, 1, u64::MAX] {
            if let Ok(booking) = bucket.book(now, cost, u64::MAX) {
                bucket.give_back(booking);
            }
            assert!(bucket.book(now, cost, u64::MAX).is_ok());
        }
    }
    assert!(bucket.book(0, 1, SECOND).is_err());
}

proptest! {
    #[test]
    fn slots_never_overlap_and_the_first_free_one_is_taken(
        calls in vec((0..300_u64, 1..200_u64, 0..400_u64, 0..3_u8, any::<prop::sample::Index>()), 1..200),
    ) {
        let bucket = LeakyBucket::default();
        let mut open = Vec::new();
        // The reference: every slot that is taken, with its end.
        let mut slots: Vec<(u64, u64)> = Vec::new();
        let mut now = 0;
        for (gap, cost, max_wait, kind, which) in calls {
            if kind == 0 && !open.is_empty() {
                let (slot, booking) = open.swap_remove(which.index(open.len()));
                bucket.give_back(booking);
                slots.retain(|taken| *taken != slot);
                continue;
            }
            now += gap;
            let is_free = |start: u64| slots.iter().all(|&(begin, end)| end <= start || start + cost <= begin);
            let ends = slots.iter().map(|slot| slot.1).filter(|&end| end > now);
            let start = ends.chain([now]).filter(|&start| is_free(start)).min().expect("the last end is free");
            match bucket.book(now, cost, max_wait) {
                Ok(booking) => {
                    prop_assert_eq!(now + booking.wait, start);
                    prop_assert!(booking.wait <= max_wait);
                    let slot = (start, start + cost);
                    slots.push(slot);
                    open.push((slot, booking));
                }
                Err(wait) => {
                    prop_assert_eq!(now + wait, start);
                    prop_assert!(wait > max_wait);
                }
            }
        }
    }
}
