//! No call allocates, once warm.
//!
//! Warm is a thread after its first call, and a resource after a minute with traffic: its counters per thread come when
//! it is hot (256 permits within 25 ms), its windows as time goes on.

use std::time::Duration;

use sentinel_benches::{
    families::{self, Kind},
    ours::{self, Limit, RESOURCE},
};
use sentinel_core::{
    Algorithm, BreakerRule, Direction, FlowRule, HotspotRule, IsolationRule, ManualClock, Rules, Sentinel, SystemRule,
};

/// Allocations of 11,000 calls over 70 s, after as many to warm up; and how many of those counted were admitted.
fn counted(clock: &ManualClock, call: impl Fn() -> bool) -> (u64, u32) {
    let calls = || {
        let at_once = (0..1_000).map(|_| u32::from(call())).sum::<u32>();
        let spread = (0..10_000).map(|_| {
            clock.advance(Duration::from_millis(7));
            u32::from(call())
        });
        at_once + spread.sum::<u32>()
    };
    calls();
    let mut admitted = 0;
    let counted = allocation_counter::measure(|| admitted = calls());
    (counted.count_total, admitted)
}

fn allocations<F: Fn() -> bool>(limit: Limit, call: impl Fn(Sentinel) -> F) -> (u64, u32) {
    let clock = ManualClock::new();
    let sentinel = ours::sentinel(clock.clone(), limit).expect("the rule is valid");
    counted(&clock, call(sentinel))
}

/// The same under other rules, by handle and by name, with an origin and an argument.
fn allocations_under(rules: &Rules, direction: Direction) -> [(u64, u32); 2] {
    let clock = ManualClock::new();
    let sentinel = families::under(clock.clone(), rules.clone()).expect("the rules are valid");
    let by_handle = families::by_handle(sentinel.clone(), RESOURCE, direction);
    let by_name = families::by_name(sentinel.clone(), direction);
    let reading = |call: &dyn Fn() -> bool| {
        families::read_signals(&sentinel);
        call()
    };
    [counted(&clock, || reading(&by_handle)), counted(&clock, || reading(&by_name))]
}

#[test]
fn an_admitted_call_allocates_nothing() {
    assert_eq!(allocations(Limit::PLENTY, |sentinel| ours::by_handle(sentinel.resource(RESOURCE))), (0, 11_000));
}

#[test]
fn a_refused_call_allocates_nothing() {
    assert_eq!(allocations(Limit::ONE, |sentinel| ours::by_handle(sentinel.resource(RESOURCE))), (0, 0));
}

#[test]
fn a_call_by_name_allocates_nothing() {
    assert_eq!(allocations(Limit::PLENTY, ours::by_name), (0, 11_000));
}

#[test]
fn an_inbound_call_allocates_nothing() {
    assert_eq!(allocations(Limit::PLENTY, |sentinel| ours::inbound(&sentinel)), (0, 11_000));
}

#[test]
fn a_call_that_a_rule_of_any_family_admits_allocates_nothing() {
    for kind in Kind::ALL {
        let rules = families::admitting(&[kind], &[RESOURCE]);
        assert_eq!(allocations_under(&rules, kind.direction()), [(0, 11_000); 2], "{kind:?}");
    }
}

#[test]
fn a_call_that_rules_of_all_families_admit_allocates_nothing() {
    let rules = families::admitting(&Kind::EACH, &[RESOURCE]);
    for direction in [Direction::Inbound, Direction::Outbound] {
        assert_eq!(allocations_under(&rules, direction), [(0, 11_000); 2]);
    }
}

#[test]
fn a_call_that_a_rule_of_any_family_refuses_allocates_nothing() {
    for kind in Kind::ALL {
        let clock = ManualClock::new();
        if let Some(call) = families::refused(clock.clone(), kind).expect("the rule is valid") {
            assert_eq!(counted(&clock, call), (0, 0), "{kind:?}");
        }
    }
}

#[test]
fn a_call_under_limits_of_its_origin_allocates_nothing() {
    let rules = Rules::new()
        .flow([FlowRule::new(RESOURCE, 1e9).for_other_origins(), FlowRule::new(RESOURCE, 1e9).for_origin("mobile")])
        .isolation([IsolationRule::new(RESOURCE, 10).for_other_origins()]);
    assert_eq!(allocations_under(&rules, Direction::Inbound), [(0, 11_000); 2]);
}

#[test]
fn a_call_under_limits_that_find_themselves_allocates_nothing() {
    let algorithms = [Algorithm::Vegas, Algorithm::gradient2(), Algorithm::aimd(Duration::from_millis(100))];
    let rules = Rules::new().isolation(algorithms.map(|algorithm| IsolationRule::adaptive(RESOURCE, algorithm)));
    assert_eq!(allocations_under(&rules, Direction::Inbound), [(0, 11_000); 2]);
}

#[test]
fn a_call_under_many_rules_of_a_family_allocates_nothing() {
    let rules = Rules::new()
        .flow((0..5).map(|_| FlowRule::new(RESOURCE, 1e9)))
        .isolation((0..5).map(|_| IsolationRule::new(RESOURCE, 10)));
    assert_eq!(allocations_under(&rules, Direction::Inbound), [(0, 11_000); 2]);
}

#[test]
fn a_call_that_finds_no_queue_allocates_nothing() {
    let rules = Rules::new().isolation([IsolationRule::new(RESOURCE, 10).queue(100, Duration::from_secs(1))]);
    assert_eq!(allocations_under(&rules, Direction::Inbound), [(0, 11_000); 2]);
}

#[test]
fn a_call_under_other_measures_allocates_nothing() {
    let rules = Rules::new()
        .system([SystemRule::inbound_qps(1e9), SystemRule::avg_response_time(Duration::from_secs(1))])
        .hotspot([HotspotRule::new(RESOURCE, 0, 10).concurrency(), HotspotRule::new(RESOURCE, -1, 1_000_000_000)])
        .circuit_breaker([
            BreakerRule::slow_ratio(RESOURCE, Duration::from_secs(1), 0.5),
            BreakerRule::error_count(RESOURCE, 1).window_calls(100),
        ]);
    assert_eq!(allocations_under(&rules, Direction::Inbound), [(0, 11_000); 2]);
}

#[test]
fn the_counter_sees_an_allocation() {
    assert_eq!(allocations(Limit::None, |_| || *std::hint::black_box(Box::new(true))), (11_000, 11_000));
}
