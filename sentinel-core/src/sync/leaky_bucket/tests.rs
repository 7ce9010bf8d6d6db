use proptest::{collection::vec, prelude::*};

use super::LeakyBucket;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

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
fn only_the_newest_booking_can_be_given_back() {
    let bucket = LeakyBucket::default();
    let [first, second, third] = [0; 3].map(|_| bucket.book(0, 10, 100).expect("there is room"));
    bucket.give_back(first);
    assert_eq!(wait(&bucket, 0, 0, 100), Some(30), "others are behind it");
    bucket.give_back(third);
    bucket.give_back(second);
    assert_eq!(wait(&bucket, 0, 0, 100), Some(10));
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
    fn slots_never_overlap_and_none_is_refused_that_is_near_enough(
        calls in vec((0..300_u64, 0..200_u64, 0..400_u64, 0..4_u8), 1..200),
    ) {
        let bucket = LeakyBucket::default();
        // The reference: every slot with its end, in the order of booking.
        let mut slots: Vec<(u64, u64)> = Vec::new();
        let (mut now, mut newest) = (0, None);
        for (gap, cost, max_wait, kind) in calls {
            if let (0, Some(booking)) = (kind, newest.take()) {
                bucket.give_back(booking);
                slots.pop();
                continue;
            }
            now += gap;
            let start = slots.last().map_or(0, |slot| slot.1).max(now);
            match bucket.book(now, cost, max_wait) {
                Ok(booking) => {
                    prop_assert_eq!(now + booking.wait, start);
                    prop_assert!(booking.wait <= max_wait);
                    slots.push((start, start + cost));
                    newest = Some(booking);
                }
                Err(wait) => {
                    prop_assert_eq!(now + wait, start);
                    prop_assert!(wait > max_wait);
                }
            }
        }
    }
}
