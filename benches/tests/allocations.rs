//! No call allocates, once warm.
//!
//! Warm is a thread after its first call, and a resource after a minute with traffic: its counters per thread come when it
//! is hot (256 permits within 25 ms), its windows as time goes on.

use std::time::Duration;

use sentinel_benches::ours::{self, Limit, RESOURCE};
use sentinel_core::{ManualClock, Sentinel};

/// Allocations of 11,000 calls over 70 s, after as many to warm up; and how many of those counted were admitted.
fn allocations<F: Fn() -> bool>(limit: Limit, call: impl Fn(Sentinel) -> F) -> (u64, u32) {
    let clock = ManualClock::new();
    let call = call(ours::sentinel(clock.clone(), limit).expect("the rule is valid"));
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
fn the_counter_sees_an_allocation() {
    assert_eq!(allocations(Limit::None, |_| || *std::hint::black_box(Box::new(true))), (11_000, 11_000));
}
