//! Limits that find themselves.

use super::*;
use crate::Criticality;

const AIMD: Algorithm = Algorithm::aimd(SECOND);

fn adaptive(max: u32) -> IsolationRule {
    IsolationRule::adaptive("r", AIMD).between(1, max).id("limit")
}

fn limit(sentinel: &Sentinel) -> f64 {
    sentinel.snapshot_of("r").expect("it was entered").rules[0].threshold
}

/// So many calls at once, one after the other as failures that take this long.
fn fail(clock: &ManualClock, sentinel: &Sentinel, calls: u32, after: Duration) {
    for _ in 0..calls {
        let mut entry = enter(sentinel).expect("it is the only one");
        clock.advance(after);
        entry.fail();
    }
}

#[test]
fn a_limit_that_is_used_grows_to_its_bound() {
    let (clock, sentinel) = under([adaptive(22)]);
    for expected in [21.0, 22.0, 22.0] {
        let inside: Vec<_> = (0..20).map(|_| enter(&sentinel).expect("there is room")).collect();
        clock.advance(200 * MILLI);
        let mut inside = inside.into_iter();
        // The window begins with the first call that ends, and is over after 100 ms.
        drop(inside.next());
        clock.advance(100 * MILLI);
        drop(inside);
        assert_eq!(limit(&sentinel), expected);
    }
}

#[test]
fn calls_of_a_limit_that_found_itself_leave_the_one_that_is_in_force_alone() {
    let fixed = IsolationRule::new("r", 5).id("limit");
    for (rule, expected) in [(fixed, 5.0), (adaptive(4), 4.0), (adaptive(1_000).shares(1.0, 0.5), 20.0)] {
        let (clock, sentinel) = under([adaptive(1_000)]);
        let mut inside: Vec<_> = (0..20).map(|_| enter(&sentinel).expect("there is room")).collect();
        clock.advance(200 * MILLI);
        inside.truncate(11);
        put(&sentinel, [rule]);
        clock.advance(200 * MILLI);
        inside.clear();
        assert_eq!(limit(&sentinel), expected, "the calls of before have ended a window");
    }
}

#[test]
fn a_limit_that_finds_itself_goes_on_over_a_reload_that_leaves_it_alone() {
    let (clock, sentinel) = under([adaptive(1_000)]);
    let mut inside: Vec<_> = (0..20).map(|_| enter(&sentinel).expect("there is room")).collect();
    clock.advance(200 * MILLI);
    inside.truncate(11);
    put(&sentinel, [adaptive(1_000), IsolationRule::new("s", 1)]);
    clock.advance(200 * MILLI);
    inside.clear();
    assert_eq!(limit(&sentinel), 21.0);
}

#[test]
fn failures_count_however_fast_they_are() {
    for algorithm in [AIMD, Algorithm::Vegas, Algorithm::gradient2()] {
        let (clock, sentinel) = under([IsolationRule::adaptive("r", algorithm)]);
        fail(&clock, &sentinel, 10_000, Duration::from_micros(50));
        assert!(limit(&sentinel) < 20.0, "{algorithm:?}");
    }
}

#[test]
fn the_time_of_a_fast_failure_says_nothing() {
    let (clock, sentinel) = under([IsolationRule::adaptive("r", Algorithm::aimd(MILLI))]);
    for window in 0..3 {
        // Too slow on average, but for a failure that takes no time.
        fail(&clock, &sentinel, 1, Duration::ZERO);
        for _ in 0..60 {
            let _entry = enter(&sentinel).expect("it is the only one");
            clock.advance(Duration::from_micros(1_010));
        }
        clock.advance(100 * MILLI);
        drop(enter(&sentinel));
        assert!(window == 0 || limit(&sentinel) < 20.0, "{}", limit(&sentinel));
    }
}

#[test]
fn a_limit_with_shares_does_not_fall_below_a_permit_for_each_class() {
    let shed = Call::new().criticality(Criticality::Sheddable);
    for (shares, least) in [((1.0, 1.0), 1), ((1.0, 0.5), 2), ((0.9, 0.5), 3)] {
        let rule = IsolationRule::adaptive("r", AIMD).shares(shares.0, shares.1);
        let (clock, sentinel) = under([rule]);
        fail(&clock, &sentinel, 100_000, Duration::from_micros(50));
        assert_eq!(limit(&sentinel), f64::from(least));
        let _shed: Vec<_> = (0..9).map_while(|_| enter_as(&sentinel, &shed).ok()).collect();
        let _default: Vec<_> = (1..least.min(2)).map(|_| enter(&sentinel).expect("kept for it")).collect();
    }
}

#[cfg(feature = "json")]
#[test]
fn documents_may_leave_the_first_limit_out_whatever_its_bounds() {
    use crate::Format;
    for (fields, threshold) in
        [("", 20), (r#", "maxThreshold": 10"#, 10), (r#", "minThreshold": 30"#, 30), (r#", "threshold": 5"#, 5)]
    {
        let text = format!(r#"{{"isolation": [{{"resource": "r", "adaptive": "vegas"{fields}}}]}}"#);
        let rules = Rules::parse(text.as_bytes(), Format::Json).expect("it is valid").rules;
        assert_eq!(rules.isolation[0].params.threshold, threshold);
        Sentinel::default().rules().replace("test", rules).expect("it is valid");
    }
}

#[test]
fn a_limit_that_finds_itself_is_for_all_origins_and_the_error_names_what_is_written() {
    let rule = IsolationRule::adaptive("r", Algorithm::Vegas).for_origin("web");
    let error = Sentinel::default().rules().replace("test", Rules::new().isolation([rule])).expect_err("of one origin");
    assert!(error.to_string().contains("adaptive is vegas, but a limit finds itself only for all"), "{error}");
}
