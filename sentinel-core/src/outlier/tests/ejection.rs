//! Who is ejected.

use super::{
    super::judge::{floor, most_out},
    *,
};

/// Only the error ratio and the success rate are looked at.
fn shares() -> OutlierConfig {
    OutlierConfig::default().no_consecutive_errors()
}

#[test]
fn the_floor_is_so_many_deviations_below_the_mean() {
    let rule = SuccessRate { factor: 1.9, ..SuccessRate::default() };
    assert!((floor(&rule, &[0.5, 1.0, 1.0, 1.0, 1.0]) - 0.52).abs() < 1e-12);
    assert_eq!(floor(&rule, &[0.5, 1.0, 1.0, 1.0]), f64::NEG_INFINITY, "four are too few");
}

#[test]
fn the_greatest_share_is_at_least_one_of_two_or_more_and_never_all() {
    let most = |share| [0, 1, 2, 4, 5, 9, 10, 19, 20, 100].map(|backends| most_out(share, backends));
    assert_eq!(most(0.0), [0; 10]);
    assert_eq!(most(0.1), [0, 0, 1, 1, 1, 1, 1, 1, 2, 10]);
    assert_eq!(most(0.29), [0, 0, 1, 1, 1, 2, 2, 5, 5, 29]);
    assert_eq!(most(0.5), [0, 0, 1, 2, 2, 4, 5, 9, 10, 50]);
    assert_eq!(most(1.0), [0, 0, 1, 3, 4, 8, 9, 18, 19, 99]);
}

#[test]
fn errors_in_a_row_eject_and_a_success_breaks_the_row() {
    let (_, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 3);
    for _ in 0..10 {
        report(&all[0], 5, 4);
    }
    assert!(ejected(&all).is_empty());
    report(&all[0], 5, 5);
    assert_eq!(ejected(&all), ["10.0.0.0"]);
}

#[test]
fn calls_that_are_ignored_neither_count_nor_break_a_row() {
    let (_, detector) = detector(OutlierConfig::default());
    let all = backends(&detector, 2);
    report(&all[0], 4, 4);
    all[0].record(Outcome::Ignored);
    drop(all[0].begin());
    all[0].begin().ignore();
    assert_eq!(detector.snapshot()[0].calls, 4);
    all[0].begin().fail();
    assert_eq!(ejected(&all), ["10.0.0.0"]);
}

#[test]
fn of_four_backends_that_may_be_ejected_by_half_two_of_three_bad_ones_are() {
    for (share, expected) in [(0.5, 2), (0.0, 0)] {
        let (_, detector) = detector(OutlierConfig::default().max_ejected_share(share));
        let all = backends(&detector, 4);
        all[..3].iter().for_each(|backend| report(backend, 100, 100));
        assert_eq!(ejected(&all).len(), expected);
    }
}

#[test]
fn a_single_backend_is_never_ejected_and_of_two_one_may_be() {
    let (_, detector) = detector(OutlierConfig::default());
    let first = detector.backend("a");
    report(&first, 100, 100);
    assert!(!first.is_ejected());
    let second = detector.backend("b");
    report(&first, 5, 5);
    report(&second, 100, 100);
    assert!(first.is_ejected() && !second.is_ejected());
}

#[test]
fn a_success_rate_far_below_the_others_ejects_when_the_interval_is_over() {
    let (clock, detector) = detector(shares());
    let all = backends(&detector, 5);
    all.iter().for_each(|backend| report(backend, 100, 0));
    report(&all[2], 100, 50);
    clock.advance(SECOND * 10 - Duration::from_nanos(1));
    detector.snapshot();
    assert!(ejected(&all).is_empty());
    clock.advance(Duration::from_nanos(1));
    detector.snapshot();
    assert_eq!(ejected(&all), ["10.0.0.2"], "one of five is more than the tenth that may be ejected, but it is one");
}

#[test]
fn too_few_calls_or_backends_say_nothing() {
    for (count, calls, expected) in [(5, 99, false), (4, 100, false), (5, 100, true)] {
        let (clock, detector) = detector(shares());
        let all = backends(&detector, count);
        report(&all[0], calls, calls / 2);
        all[1..].iter().for_each(|backend| report(backend, calls, 0));
        clock.advance(SECOND * 10);
        detector.snapshot();
        assert_eq!(all[0].is_ejected(), expected, "{count} {calls}");
    }
}

#[test]
fn a_single_error_where_all_others_are_perfect_is_no_outlier() {
    let (clock, detector) = detector(shares());
    let all = backends(&detector, 5);
    all.iter().for_each(|backend| report(backend, 1_000, 0));
    all[0].begin().fail();
    clock.advance(SECOND * 10);
    detector.snapshot();
    assert!(ejected(&all).is_empty());
}

#[test]
fn backends_that_are_all_as_bad_are_no_outliers() {
    let without_gap = SuccessRate { min_gap: 0.0, ..SuccessRate::default() };
    for errors in 0..=100 {
        let (clock, detector) = detector(OutlierConfig { success_rate: Some(without_gap), ..shares() });
        let all = backends(&detector, 7);
        all.iter().for_each(|backend| report(backend, 100, errors));
        clock.advance(SECOND * 10);
        detector.snapshot();
        assert!(ejected(&all).is_empty(), "{errors}");
    }
}

#[test]
fn an_error_ratio_ejects_from_its_threshold_and_its_number_of_calls_on() {
    for (calls, errors, expected) in [(100, 85, true), (100, 84, false), (49, 49, false), (50, 43, true)] {
        let (clock, detector) = detector(shares().no_success_rate().error_ratio(0.85, 50));
        let all = backends(&detector, 2);
        report(&all[1], calls, errors);
        clock.advance(SECOND * 10);
        detector.snapshot();
        assert_eq!(all[1].is_ejected(), expected, "{errors} of {calls}");
    }
}

#[test]
fn the_worst_are_ejected_first() {
    let config = shares().no_success_rate().error_ratio(0.3, 10).max_ejected_share(0.4);
    let (clock, detector) = detector(config);
    let all = backends(&detector, 5);
    for (backend, errors) in all.iter().zip([3, 9, 5, 8, 0]) {
        report(backend, 10, errors);
    }
    let (_subscription, told) = listen(&detector);
    clock.advance(SECOND * 10);
    detector.snapshot();
    assert_eq!(*told.lock(), ["10.0.0.1 ErrorRatio 30s", "10.0.0.3 ErrorRatio 30s"]);
}

#[test]
fn counts_of_one_interval_do_not_join_those_of_the_next() {
    let (clock, detector) = detector(shares().no_success_rate().error_ratio(0.5, 10));
    let all = backends(&detector, 2);
    for _ in 0..5 {
        report(&all[0], 9, 9);
        clock.advance(SECOND * 10);
        detector.snapshot();
    }
    assert!(ejected(&all).is_empty());
}

#[test]
fn what_was_counted_more_than_an_interval_ago_says_nothing() {
    for (seconds, expected) in [(19, true), (20, false), (3_600, false)] {
        let (clock, detector) = detector(shares().no_success_rate().error_ratio(0.5, 10));
        let all = backends(&detector, 2);
        report(&all[0], 10, 10);
        clock.advance(SECOND * seconds);
        report(&all[0], 1, 0);
        assert_eq!(all[0].is_ejected(), expected, "{seconds}");
    }
}
