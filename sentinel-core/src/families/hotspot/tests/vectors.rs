//! The numbers of the Sentinel family, and ours where they differ.

use super::*;

#[test]
fn a_bucket_fills_all_the_time_or_by_interval() {
    let (clock, sentinel) = under([HotspotRule::new("r", 0, 5).refill(Refill::Interval)]);
    let steps = [(0, 5), (100, 0), (999, 0), (1_000, 0), (1_001, 5), (1_500, 0), (2_003, 5)];
    for (time, expected) in steps {
        at(&clock, time);
        assert_eq!(passed(&sentinel, "a", 7), expected, "at {time}");
    }
    let (clock, sentinel) = under([HotspotRule::new("r", 0, 5)]);
    for (time, expected) in [(0, 5), (199, 0), (200, 1), (1_000, 4), (3_000, 5)] {
        at(&clock, time);
        assert_eq!(passed(&sentinel, "a", 7), expected, "at {time}");
    }
}

#[test]
fn a_burst_and_a_threshold_of_its_own_add_up() {
    let rule = HotspotRule::new("r", 0, 4).burst(2).per(ms(2_000)).value("vip", 10).refill(Refill::Interval);
    let (clock, sentinel) = under([rule]);
    assert_eq!(["a", "vip"].map(|value| passed(&sentinel, value, 20)), [6, 12]);
    at(&clock, 2_001);
    assert_eq!(passed(&sentinel, "a", 20), 4);
    at(&clock, 2_001 + 3_001);
    assert_eq!(passed(&sentinel, "a", 20), 6);
}

#[test]
fn of_a_call_that_is_refused_for_one_value_nothing_is_taken_from_another() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 1), HotspotRule::new("r", 1, 1)]);
    let both = |first: &'static str, second: &'static str| ask(&sentinel, &[first.into(), second.into()]).immediately();
    assert!(both("a", "b").is_ok());
    assert!(both("c", "b").is_err());
    assert!(enter(&sentinel, "c").is_ok());
}

#[test]
fn no_batch_is_larger_than_threshold_and_burst() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 100).burst(10)]);
    let batch = |permits| sentinel.enter_with("r", &Call::new().args(&["a".into()]).count(permits)).immediately();
    assert!(batch(130).is_err() && batch(20).is_ok() && batch(91).is_err() && batch(90).is_ok());
}

#[test]
fn calls_of_a_value_are_spaced() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 10).throttle(ms(250))]);
    let mut kept = Vec::new();
    let mut waits = |value: &'static str| match ask(&sentinel, &[value.into()]) {
        Decision::Admit(_) => Some(Duration::ZERO),
        Decision::Wait(reservation) => {
            kept.push(reservation);
            kept.last().map(crate::Reservation::delay)
        }
        Decision::Block(_) => None,
    };
    assert_eq!([(); 5].map(|()| waits("a")), [Some(ms(0)), Some(ms(100)), Some(ms(200)), None, None]);
    assert_eq!(waits("b"), Some(ms(0)));

    let (_, sentinel) = under([HotspotRule::new("r", 0, 2_001).throttle(ms(0))]);
    assert_eq!(passed(&sentinel, "a", 100), 1, "a spacing below a millisecond is one");
}

#[test]
fn calls_inside_count_by_value() {
    let (_, sentinel) = under([HotspotRule::new("r", 0, 2).concurrency()]);
    let mut inside = Vec::new();
    let mut enters = |value: bool| enter(&sentinel, value).map(|entry| inside.push(entry)).is_ok();
    let answers = [true, true, false, true, false, false].map(&mut enters);
    assert_eq!(answers, [true, true, true, false, true, false]);
    let (_, sentinel) = under([HotspotRule::new("r", 0, 0).concurrency()]);
    assert!(enter(&sentinel, true).is_err(), "the first one as well");
}
