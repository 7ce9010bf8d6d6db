mod calls;
mod locks;
mod traces;

use super::*;
use crate::{
    clock::ManualClock,
    families::{Rules, flow::FlowRule},
    sentinel::Sentinel,
};

const SECOND: Duration = Duration::from_secs(1);

fn fallback<V>(config: FallbackConfig) -> (ManualClock, Fallback<String, V>) {
    let clock = ManualClock::new();
    let fallback = Fallback::with_clock(config, clock.clone()).unwrap();
    (clock, fallback)
}

fn value<V: Copy>(fallback: &Fallback<String, V>, key: &str) -> Option<V> {
    fallback.get(key).map(|stale| *stale.value)
}

#[test]
fn a_value_is_given_with_its_age_until_it_is_too_old() {
    let (clock, fallback) = fallback(FallbackConfig::default().time_to_live(SECOND * 10));
    fallback.store("a".into(), 1);
    clock.advance(SECOND * 10 - Duration::from_nanos(1));
    let stale = fallback.get("a").unwrap();
    assert_eq!(stale, Stale { value: Arc::new(1), age: SECOND * 10 - Duration::from_nanos(1) });
    clock.advance(Duration::from_nanos(1));
    assert_eq!(fallback.get("a"), None);
    assert!(fallback.is_empty(), "it is gone");
}

#[test]
fn a_newer_value_takes_the_place_of_the_last_one() {
    let (clock, fallback) = fallback(FallbackConfig::default().time_to_live(SECOND * 10));
    fallback.store("a".into(), 1);
    clock.advance(SECOND * 9);
    fallback.store("a".into(), 2);
    clock.advance(SECOND * 9);
    assert_eq!(fallback.get("a"), Some(Stale { value: Arc::new(2), age: SECOND * 9 }));
    assert_eq!(fallback.len(), 1);
}

#[test]
fn a_key_is_answered_from_the_past_for_no_longer_than_it_may_be() {
    let (clock, fallback) = fallback(FallbackConfig::default().stale_while(SECOND * 3));
    fallback.store("a".into(), 1);
    clock.advance(SECOND * 100);
    assert_eq!(value(&fallback, "a"), Some(1), "the time counts from the first answer");
    clock.advance(SECOND * 3 - Duration::from_nanos(1));
    assert_eq!(value(&fallback, "a"), Some(1));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(value(&fallback, "a"), None);
    fallback.store("a".into(), 2);
    clock.advance(SECOND * 3);
    assert_eq!(value(&fallback, "a"), Some(2));
}

#[test]
fn the_key_that_was_used_longest_ago_makes_room() {
    let (_, fallback) = fallback(FallbackConfig::default().max_keys(2));
    fallback.store("a".into(), 1);
    fallback.store("b".into(), 2);
    assert_eq!(value(&fallback, "a"), Some(1));
    fallback.store("c".into(), 3);
    assert_eq!(["a", "b", "c"].map(|key| value(&fallback, key)), [Some(1), None, Some(3)]);
}

#[test]
fn a_forgotten_value_is_not_given() {
    let (_, fallback) = fallback(FallbackConfig::default());
    fallback.store("a".into(), 1);
    fallback.forget("a");
    fallback.forget("b");
    assert_eq!(value(&fallback, "a"), None);
}

#[test]
fn values_that_are_too_old_go_as_others_come() {
    for max in [127, 10_000] {
        let (clock, fallback) = fallback(FallbackConfig::default().max_keys(max).time_to_live(SECOND));
        let store = |keys: std::ops::Range<u32>| keys.for_each(|key| fallback.store(key.to_string(), key));
        store(0..20);
        clock.advance(SECOND);
        store(20..120);
        let kept = fallback.len();
        assert!(kept == 100 || max > 127 && kept < 110, "{kept} of {max}");
    }
}

#[test]
fn there_are_never_more_keys_than_there_may_be() {
    for max in [1, 2, 63, 127, 128, 200, 1_000, 5_000] {
        let (_, fallback) = fallback(FallbackConfig::default().max_keys(max));
        for key in 0..max * 3 {
            fallback.store(key.to_string(), key);
        }
        let kept = fallback.len();
        assert!(kept <= max && kept * 10 >= max * 9, "{kept} of {max}");
    }
}

#[test]
fn a_setting_out_of_its_range_is_named_with_what_would_be_right() {
    let refused = |config| Fallback::<String, ()>::with_clock(config, ManualClock::new()).unwrap_err().to_string();
    let default = FallbackConfig::default;
    assert_eq!(refused(default().max_keys(0)), "fallback: max_keys is 0, but it is from 1 to 10,000,000");
    assert_eq!(
        refused(default().stale_while(SECOND * 301)),
        "fallback: stale_while is 301s, but it is from 1 ms to the time to live",
    );
    for (field, config) in [
        ("max_keys", default().max_keys(10_000_001)),
        ("time_to_live", default().time_to_live(Duration::ZERO)),
        ("time_to_live", default().time_to_live(Duration::MAX)),
        ("stale_while", default().stale_while(Duration::ZERO)),
    ] {
        assert!(refused(config).starts_with(&format!("fallback: {field} is ")), "{field}");
    }
}
