use proptest::{collection::vec, prelude::*};

use super::{BucketWindow, NEVER};

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

/// How many of so many calls at a millisecond pass.
fn passes(window: &BucketWindow, at: u64, calls: u64, threshold: u64) -> u64 {
    (0..calls).filter(|_| window.acquire(at * MILLI, 1, threshold).is_ok()).count() as u64
}

/// The wait of a prioritised call in milliseconds.
fn borrows(window: &BucketWindow, at: u64, threshold: u64) -> Option<u64> {
    window.borrow(at * MILLI, 1, threshold, SECOND / 2).map(|(_, wait)| wait / MILLI)
}

#[test]
fn a_bucket_leaves_the_window_as_a_whole() {
    let window = BucketWindow::new(SECOND, 2);
    for at in [0, 499, 500] {
        window.record(at * MILLI, 1);
    }
    assert_eq!(window.sum(999 * MILLI), 3);
    assert_eq!(window.sum(1_000 * MILLI), 1);
}

#[test]
fn the_last_bucket_counts_until_the_next_but_one_begins() {
    let window = BucketWindow::new(SECOND, 2);
    window.record(999 * MILLI, 5);
    assert_eq!(window.sum(1_499 * MILLI), 5);
    assert_eq!(window.sum(1_500 * MILLI), 0);
}

#[test]
fn after_a_long_gap_the_window_is_empty() {
    let window = BucketWindow::new(SECOND, 2);
    window.record(0, 5);
    assert_eq!(window.sum(10_000 * MILLI), 0);
}

#[test]
fn a_clock_reading_from_an_earlier_bucket_counts_in_the_current_one() {
    let window = BucketWindow::new(SECOND, 2);
    window.record(1_500 * MILLI, 1);
    window.record(1_400 * MILLI, 1);
    assert_eq!(window.sum(2_499 * MILLI), 2);
    assert_eq!(window.sum(2_500 * MILLI), 0);
}

#[test]
fn one_bucket_is_a_fixed_window() {
    let window = BucketWindow::new(SECOND, 1);
    window.record(100 * MILLI, 1);
    window.record(900 * MILLI, 1);
    assert_eq!(window.sum(999 * MILLI), 2);
    assert_eq!(window.sum(1_000 * MILLI), 0);
}

#[test]
fn a_threshold_of_five_passes_as_in_the_sentinel_family() {
    let window = BucketWindow::new(SECOND, 2);
    let expected = [(0, 5), (1, 0), (999, 0), (1_000, 5), (1_499, 0), (1_500, 0), (1_999, 0), (2_000, 5), (2_500, 0)];
    for (at, passed) in expected {
        assert_eq!(passes(&window, at, 7, 5), passed, "at {at} ms");
    }
}

#[test]
fn ten_of_five_pass_around_a_boundary() {
    let window = BucketWindow::new(SECOND, 2);
    for (at, passed) in [(999, 5), (1_499, 0), (1_500, 5)] {
        assert_eq!(passes(&window, at, 7, 5), passed, "at {at} ms");
    }
}

#[test]
fn a_batch_larger_than_the_threshold_never_passes_and_none_at_all_always_do() {
    let window = BucketWindow::new(SECOND, 2);
    assert_eq!(window.acquire(0, 6, 5), Err(NEVER));
    assert!(window.acquire(0, 5, 5).is_ok());
    assert_eq!(window.acquire(0, 1, 5), Err(SECOND));
    assert!(window.acquire(0, 0, 5).is_ok());
    assert_eq!(passes(&BucketWindow::new(SECOND, 2), 0, 3, 0), 0);
}

#[test]
fn a_refusal_names_the_moment_from_which_the_call_passes() {
    let window = BucketWindow::new(SECOND, 4);
    for (at, count) in [(10, 2), (260, 1), (510, 2)] {
        assert!(window.acquire(at * MILLI, count, 5).is_ok());
    }
    assert_eq!(window.acquire(600 * MILLI, 2, 5), Err(1_000 * MILLI));
    assert_eq!(window.acquire(600 * MILLI, 3, 5), Err(1_250 * MILLI));
    assert!(window.acquire(1_249 * MILLI, 3, 5).is_err());
    assert!(window.acquire(1_250 * MILLI, 3, 5).is_ok());
}

#[test]
fn a_permit_undone_is_free_in_its_own_bucket_only() {
    let window = BucketWindow::new(SECOND, 2);
    let old = window.record(0, 3);
    let new = window.record(500 * MILLI, 2);
    window.undo(old, 1);
    assert_eq!(window.sum(500 * MILLI), 4);
    window.record(1_000 * MILLI, 1);
    window.undo(old, 2);
    assert_eq!(window.sum(1_000 * MILLI), 3);
    window.undo(new, 2);
    assert_eq!(window.sum(1_000 * MILLI), 1);
}

#[test]
fn a_prioritised_call_waits_less_than_a_bucket_for_the_next_one() {
    let window = BucketWindow::new(SECOND, 2);
    assert_eq!(passes(&window, 100, 12, 10), 10);
    for at in [200, 499, 500] {
        assert_eq!(borrows(&window, at, 10), None, "at {at} ms");
    }
    assert_eq!(borrows(&window, 600, 10), Some(400));
    assert_eq!(borrows(&window, 999, 10), Some(1));
    assert_eq!(passes(&window, 1_000, 12, 10), 8);
}

#[test]
fn no_more_is_borrowed_than_the_threshold() {
    let window = BucketWindow::new(SECOND, 2);
    assert_eq!(passes(&window, 100, 12, 10), 10);
    let waits: Vec<_> = (0..12).map(|_| borrows(&window, 600, 10)).collect();
    assert_eq!(waits[..10], [Some(400); 10]);
    assert_eq!(waits[10..], [None; 2]);
    assert_eq!(passes(&window, 1_000, 12, 10), 0);
}

#[test]
fn below_what_is_borrowed_nothing_more_is() {
    let window = BucketWindow::new(SECOND, 2);
    assert_eq!(passes(&window, 100, 12, 10), 10);
    for _ in 0..5 {
        assert_eq!(borrows(&window, 600, 10), Some(400));
    }
    assert_eq!(borrows(&window, 600, 5), None);
}

#[test]
fn what_was_borrowed_can_be_given_back() {
    let window = BucketWindow::new(SECOND, 2);
    assert_eq!(passes(&window, 100, 10, 10), 10);
    let (early, _) = window.borrow(600 * MILLI, 1, 10, SECOND / 2).expect("there is room");
    let (late, _) = window.borrow(600 * MILLI, 1, 10, SECOND / 2).expect("there is room");
    window.undo(early, 1);
    assert_eq!(passes(&window, 1_000, 12, 10), 9);
    window.undo(late, 1);
    assert_eq!(passes(&window, 1_001, 12, 10), 1);
}

#[test]
fn extreme_numbers_do_no_harm() {
    for interval in [0, 1, 3, u64::MAX] {
        for buckets in [0, 1, 2, 7] {
            let window = BucketWindow::new(interval, buckets);
            for now in [0, 1, u64::MAX - 1, u64::MAX, 0] {
                for count in [0, 1, u64::MAX] {
                    for threshold in [0, 1, u64::MAX] {
                        if let Ok(stamp) = window.acquire(now, count, threshold) {
                            window.undo(stamp, count);
                        }
                        if let Some((stamp, _)) = window.borrow(now, count, threshold, u64::MAX) {
                            window.undo(stamp, 1);
                        }
                        window.record(now, count);
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_window_admits_what_a_log_of_buckets_would(
        buckets in 1..6_u32,
        calls in vec((0..700_u64, 0..300_u64, 0..4_u64, any::<bool>()), 1..200),
    ) {
        const LENGTH: u64 = 250;
        let (window, span) = (BucketWindow::new(LENGTH * u64::from(buckets), buckets), u64::from(buckets));
        // The reference: the bucket and the count of each admission.
        let mut log: Vec<(u64, u64)> = Vec::new();
        let (mut now, mut current) = (0, 0);
        for (gap, late, count, undo) in calls {
            now += gap;
            let reading = now.saturating_sub(late);
            current = current.max(reading / LENGTH);
            let used = |from: u64| -> u64 {
                log.iter().filter(|(bucket, _)| bucket + span > from && *bucket <= from).map(|entry| entry.1).sum()
            };
            prop_assert_eq!(window.sum(reading), used(current));
            match window.acquire(reading, count, 5) {
                Ok(stamp) if undo => window.undo(stamp, count),
                Ok(_) => {
                    prop_assert!(count == 0 || used(current) + count <= 5);
                    log.push((current, count));
                }
                Err(not_before) => {
                    prop_assert!(used(current) + count > 5);
                    let bucket = not_before / LENGTH;
                    prop_assert!(used(bucket) + count <= 5 && used(bucket - 1) + count > 5);
                }
            }
        }
    }
}
