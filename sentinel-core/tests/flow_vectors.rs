//! The numbers of the Sentinel family for flow rules, as data: behaviour vectors on the manual clock.

use std::time::Duration;

use sentinel_core::{Call, Decision, FlowRule, ManualClock, MemoryAdaptive, Rules, Sentinel};

/// An instance an hour after its clock's start, which is a whole minute, with flow rules on it.
fn under(rules: impl IntoIterator<Item = FlowRule>) -> (ManualClock, Sentinel) {
    let clock = ManualClock::new();
    clock.advance(Duration::from_secs(3_600));
    let sentinel = Sentinel::builder().clock(clock.clone()).build().expect("the defaults are valid");
    sentinel.rules().replace("vectors", Rules::new().flow(rules)).expect("the rules are valid");
    (clock, sentinel)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Moves the clock to a time since the hour.
fn at(clock: &ManualClock, since: Duration) {
    clock.advance_to(Duration::from_secs(3_600) + since);
}

/// How many of `tries` calls are admitted.
fn passed(sentinel: &Sentinel, tries: u32, call: &Call<'_>) -> u32 {
    (0..tries).map(|_| u32::from(sentinel.enter_with("r", call).immediately().is_ok())).sum()
}

/// The waits of calls that all come at once and go on waiting; `None` is a refusal.
fn waits(sentinel: &Sentinel, call: &Call<'_>, calls: usize) -> Vec<Option<Duration>> {
    let mut kept = Vec::new();
    let wait = |_| match sentinel.enter_with("r", call) {
        Decision::Admit(_) => Some(Duration::ZERO),
        Decision::Wait(reservation) => {
            let delay = reservation.delay();
            kept.push(reservation);
            Some(delay)
        }
        Decision::Block(_) => None,
    };
    let waits = (0..calls).map(wait).collect();
    // A reservation that is dropped gives its place back, so they are kept to here.
    kept.into_iter().for_each(std::mem::forget);
    waits
}

#[test]
fn an_aligned_window_admits_what_the_family_admits() {
    let vectors: &[(f64, &[(u64, u32)])] = &[
        (5.0, &[(0, 5), (1, 0), (999, 0), (1_000, 5), (1_499, 0), (1_500, 0), (1_999, 0), (2_000, 5), (2_500, 0)]),
        (5.0, &[(999, 5), (1_499, 0), (1_500, 5)]),
        (2.5, &[(0, 2)]),
        (0.0, &[(0, 0), (5_000, 0)]),
    ];
    for (threshold, steps) in vectors {
        let (clock, sentinel) = under([FlowRule::new("r", *threshold).aligned()]);
        for (time, expected) in *steps {
            at(&clock, ms(*time));
            assert_eq!(passed(&sentinel, 7, &Call::new()), *expected, "{threshold} at {time}");
        }
    }
}

#[test]
fn a_sliding_window_admits_the_threshold_once_in_any_interval() {
    let (clock, sentinel) = under([FlowRule::new("r", 5.0)]);
    for (time, expected) in [(999, 5), (1_499, 0), (1_500, 0), (1_998, 0), (1_999, 5), (2_998, 0), (2_999, 5)] {
        at(&clock, ms(time));
        assert_eq!(passed(&sentinel, 7, &Call::new()), expected, "at {time}");
    }
}

#[test]
fn a_batch_is_admitted_whole_or_not_at_all() {
    for rule in [FlowRule::new("r", 5.0), FlowRule::new("r", 5.0).aligned()] {
        let (_clock, sentinel) = under([rule]);
        assert_eq!(passed(&sentinel, 3, &Call::new().count(6)), 0);
        assert_eq!(passed(&sentinel, 3, &Call::new().count(5)), 1);
        assert_eq!(passed(&sentinel, 3, &Call::new()), 0);
        assert_eq!(passed(&sentinel, 3, &Call::new().count(0)), 3);
    }
}

#[test]
fn each_origin_has_the_limit_that_names_it_and_the_others_one_each() {
    let rules = || {
        [
            FlowRule::new("r", 2.0).for_origin("appA"),
            FlowRule::new("r", 3.0).for_other_origins(),
            FlowRule::new("r", 10.0),
        ]
    };
    let (_clock, sentinel) = under(rules());
    for (origin, expected) in [("appA", 2), ("appB", 3), ("appC", 3), ("", 2)] {
        assert_eq!(passed(&sentinel, 6, &Call::new().origin(origin)), expected, "{origin:?}");
    }
}

#[test]
fn a_related_resource_that_has_its_threshold_blocks() {
    let (clock, sentinel) = under([FlowRule::new("r", 3.0).related_to("rd")]);
    assert_eq!(passed(&sentinel, 1, &Call::new()), 1);
    let use_related = || drop(sentinel.enter("rd").immediately().expect("no rule on it"));
    use_related();
    use_related();
    assert_eq!(passed(&sentinel, 1, &Call::new()), 1);
    use_related();
    assert_eq!(passed(&sentinel, 4, &Call::new()), 0);
    at(&clock, ms(1_100));
    assert_eq!(passed(&sentinel, 4, &Call::new()), 4);
}

#[test]
fn a_prioritised_call_borrows_from_the_next_aligned_window() {
    let call = Call::new().prioritized();
    let (clock, sentinel) = under([FlowRule::new("r", 10.0).aligned()]);
    at(&clock, ms(100));
    assert_eq!(passed(&sentinel, 10, &Call::new()), 10);
    for time in [200, 499, 500] {
        at(&clock, ms(time));
        assert_eq!(waits(&sentinel, &call, 1), [None], "at {time}");
    }
    at(&clock, ms(600));
    assert_eq!(waits(&sentinel, &call, 1), [Some(ms(400))]);
    at(&clock, ms(999));
    assert_eq!(waits(&sentinel, &call, 1), [Some(ms(1))]);
    at(&clock, ms(1_000));
    assert_eq!(passed(&sentinel, 12, &Call::new()), 8);
}

#[test]
fn no_more_than_the_threshold_is_borrowed() {
    for rule in [FlowRule::new("r", 10.0).aligned(), FlowRule::new("r", 10.0)] {
        let (clock, sentinel) = under([rule]);
        at(&clock, ms(100));
        assert_eq!(passed(&sentinel, 10, &Call::new()), 10);
        at(&clock, ms(600));
        let waits = waits(&sentinel, &Call::new().prioritized(), 12);
        assert_eq!(waits.iter().filter(|wait| wait.is_some()).count(), 10);
        assert!(waits.iter().flatten().all(|wait| (ms(400)..=ms(508)).contains(wait)), "{waits:?}");
        at(&clock, ms(1_000));
        assert_eq!(passed(&sentinel, 5, &Call::new()), 0);
    }
}

#[test]
fn throttled_calls_are_spaced_evenly() {
    let some = |waits: &[u64]| waits.iter().map(|wait| Some(ms(*wait))).collect::<Vec<_>>();
    // (rule, calls at once, waits)
    let ten = || FlowRule::new("r", 10.0);
    let fifty = || FlowRule::new("r", 50.0).per(Duration::from_secs(10));
    let vectors = [
        (ten().throttle(ms(500)), 1, [some(&[0, 100, 200, 300, 400, 500]), vec![None]].concat()),
        (ten().throttle(ms(0)), 1, [some(&[0]), vec![None; 5]].concat()),
        (
            FlowRule::new("r", 2_000.0).throttle(ms(1)),
            1,
            vec![Some(ms(0)), Some(Duration::from_micros(500)), Some(ms(1)), None],
        ),
        (fifty().throttle(ms(0)), 51, vec![None]),
        (
            fifty().throttle(ms(2_000)),
            1,
            [some(&[0, 200, 400, 600, 800, 1_000, 1_200, 1_400, 1_600, 1_800, 2_000]), vec![None]].concat(),
        ),
        (FlowRule::new("r", 0.0).throttle(ms(500)), 1, vec![None]),
        (FlowRule::new("r", 0.0).throttle(ms(500)), 0, vec![Some(ms(0))]),
        (
            FlowRule::new("r", 100_000.0).throttle(ms(1)),
            1,
            (0..100).map(|n| Some(Duration::from_micros(10 * n))).collect(),
        ),
    ];
    for (rule, count, expected) in vectors {
        let (_clock, sentinel) = under([rule.clone()]);
        assert_eq!(waits(&sentinel, &Call::new().count(count), expected.len()), expected, "{rule:?}");
    }
}

#[test]
fn a_throttle_without_a_queue_admits_when_the_spacing_is_over() {
    let (clock, sentinel) = under([FlowRule::new("r", 10.0).throttle(ms(0))]);
    for (time, expected) in [(0, 1), (99, 0), (100, 1), (199, 0), (3_600_000, 1)] {
        at(&clock, ms(time));
        assert_eq!(passed(&sentinel, 3, &Call::new()), expected, "at {time}");
    }
}

#[test]
fn a_throttled_batch_pays_for_all_its_permits_afterwards() {
    let (clock, sentinel) = under([FlowRule::new("r", 50.0).per(Duration::from_secs(10)).throttle(ms(0))]);
    assert_eq!(passed(&sentinel, 1, &Call::new().count(50)), 1);
    assert_eq!(passed(&sentinel, 10, &Call::new()), 0);
    at(&clock, ms(9_999));
    assert_eq!(passed(&sentinel, 1, &Call::new()), 0);
    at(&clock, ms(10_000));
    assert_eq!(passed(&sentinel, 2, &Call::new()), 1);
}

#[test]
fn idle_time_earns_a_throttle_no_burst() {
    let (clock, sentinel) = under([FlowRule::new("r", 10.0).throttle(ms(100))]);
    assert_eq!(passed(&sentinel, 1, &Call::new()), 1);
    at(&clock, Duration::from_secs(3_600));
    assert_eq!(waits(&sentinel, &Call::new(), 3), [Some(ms(0)), Some(ms(100)), None]);
}

#[test]
fn thresholds_below_one_per_interval_work() {
    for rule in [FlowRule::new("r", 0.2), FlowRule::new("r", 0.2).throttle(ms(0))] {
        let (clock, sentinel) = under([rule]);
        let admitted: Vec<u64> = (0..20_000)
            .filter(|time| {
                at(&clock, ms(*time));
                passed(&sentinel, 1, &Call::new()) == 1
            })
            .collect();
        assert_eq!(admitted, [0, 5_000, 10_000, 15_000]);
    }
}

/// Admitted calls per second under one try per millisecond.
fn curve(clock: &ManualClock, sentinel: &Sentinel, from: u64, seconds: u64) -> Vec<u32> {
    let second = |second: u64| {
        (0..1_000)
            .map(|milli| {
                at(clock, ms((from + second) * 1_000 + milli));
                passed(sentinel, 1, &Call::new())
            })
            .sum()
    };
    (0..seconds).map(second).collect()
}

#[test]
fn a_resource_warms_up_along_the_curve_and_cools_down_when_idle() {
    let vectors: &[(f64, &[u32])] = &[
        (100.0, &[33, 34, 36, 38, 41, 44, 47, 52, 58, 68, 83, 100, 100, 100, 100]),
        (1_000.0, &[333, 348, 366, 387, 412, 442, 479, 528, 594, 692, 856, 1_000]),
        (10.0, &[3, 3, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 10]),
    ];
    for (threshold, expected) in vectors {
        let (clock, sentinel) = under([FlowRule::new("r", *threshold).warm_up(Duration::from_secs(10))]);
        let seconds = expected.len() as u64;
        assert_eq!(curve(&clock, &sentinel, 0, seconds), *expected);
        assert_eq!(curve(&clock, &sentinel, seconds + 20, 3), expected[..3]);
    }
}

#[test]
fn a_threshold_below_the_cold_factor_warms_up_too() {
    let (clock, sentinel) = under([FlowRule::new("r", 2.0).warm_up(Duration::from_secs(10))]);
    let admitted = curve(&clock, &sentinel, 0, 60);
    assert!((5..=8).contains(&admitted[..9].iter().sum::<u32>()), "cold: 0.67 per second: {admitted:?}");
    assert_eq!(admitted[50..].iter().sum::<u32>(), 20, "warm: {admitted:?}");

    let (clock, sentinel) = under([FlowRule::new("r", 1.0).warm_up(Duration::from_secs(1))]);
    let admitted = curve(&clock, &sentinel, 0, 20);
    assert_eq!(admitted[10..].iter().sum::<u32>(), 10, "{admitted:?}");
}

#[test]
fn a_cold_throttle_spaces_wider() {
    let (_clock, sentinel) = under([FlowRule::new("r", 10.0).warm_up(Duration::from_secs(10)).throttle(ms(500))]);
    let waits = waits(&sentinel, &Call::new(), 3);
    assert_eq!(waits[0], Some(ms(0)));
    assert!(waits[1].is_some_and(|wait| wait.abs_diff(ms(300)) < Duration::from_micros(1)), "{waits:?}");
    assert_eq!(waits[2], None);
}

#[test]
fn the_threshold_follows_the_memory_in_use() {
    const GIB: u64 = 1 << 30;
    let bounds = MemoryAdaptive {
        low_memory_threshold: 100.0,
        high_memory_threshold: 10.0,
        low_water_mark: GIB,
        high_water_mark: 2 * GIB,
    };
    let (clock, sentinel) = under([FlowRule::new("r", 0.0).memory_adaptive(bounds)]);
    let vectors =
        [(None, 100), (Some(GIB / 2), 100), (Some(3 * GIB / 2), 55), (Some(2 * GIB), 10), (Some(9 * GIB), 10)];
    for (step, (used, expected)) in vectors.into_iter().enumerate() {
        match used {
            Some(bytes) => sentinel.signals().set_memory_used(bytes),
            None => sentinel.signals().clear_memory_used(),
        }
        at(&clock, Duration::from_secs(10 * (step as u64 + 1)));
        assert_eq!(passed(&sentinel, 200, &Call::new()), expected, "{used:?}");
    }
}
