//! More values than the capacity.

use super::*;

/// A sentinel under a rule, and what a hot value was admitted under it.
struct Attacked {
    clock: ManualClock,
    sentinel: Sentinel,
    admitted: u32,
    flood: i64,
}

impl Attacked {
    fn new(rule: HotspotRule) -> Self {
        let (clock, sentinel) = under([rule]);
        Self { clock, sentinel, admitted: 0, flood: 0 }
    }

    /// Calls the hot value `rate` times a second, and between two of its calls so many others, each value `times` times.
    fn attack(&mut self, seconds: u64, rate: u64, others: i64, times: u32, values: i64) {
        for _ in 0..seconds * rate {
            self.admitted += passed(&self.sentinel, "hot", 1);
            for _ in 0..others {
                self.flood = (self.flood + 1) % values;
                let _ = passed(&self.sentinel, self.flood, times);
            }
            self.clock.advance(Duration::from_secs(1) / rate as u32);
        }
    }
}

/// The values of a rule of so many a second.
fn store(cache: ValueCache, capacity: u32, threshold: u32) -> (Store, Limits) {
    let params = HotspotParams::new(0, threshold);
    let store = Store::new(cache, capacity, Law::of(&params), Keys::new(7));
    let limits = Limits::new(&params, store.keys());
    (store, limits)
}

/// By the definition of a token bucket: what a value that is called all the time gets.
fn most(threshold: u32, seconds: u64) -> u32 {
    threshold + threshold * seconds as u32
}

#[test]
fn a_hot_value_stays_limited_while_a_hundred_times_as_many_values_as_the_capacity_come() {
    for &cache in CACHES {
        let rule = || HotspotRule::new("r", 0, 100).capacity(1_000).cache(cache);
        // Some 40,000 calls of others in 2 seconds, for rates from half of the threshold to fifty times as much.
        for (rate, others) in [(50, 400), (100, 200), (150, 133), (500, 40), (5_000, 4)] {
            let (mut alone, mut flooded) = (Attacked::new(rule()), Attacked::new(rule()));
            alone.attack(2, rate, 0, 0, 1);
            flooded.attack(2, rate, others, 1, 100_000);
            assert_eq!(flooded.admitted, alone.admitted, "{cache:?} at {rate} a second");
            assert!(flooded.admitted <= most(100, 2));
        }
    }
}

#[test]
fn a_hot_value_stays_limited_in_a_flood_of_a_million_values() {
    for &cache in CACHES {
        let (store, limits) = store(cache, 10_000, 100);
        let mut admitted = 0;
        for value in 0..1_000_000_u64 {
            // 500,000 a second, and 2,500 of the hot value.
            let now = value * 2_000;
            let _ = store.take(Arg::from(value as i64), &limits, now, 1);
            if value % 200 == 0 {
                admitted += u32::from(store.take(Arg::from("hot"), &limits, now, 1).is_ok());
            }
        }
        assert!((most(100, 2) - 1..=most(100, 2)).contains(&admitted), "{cache:?}: {admitted}");
    }
}

/// What a value gets that is called `hot` times a millisecond for a second, after a third of a second of flood: so many
/// new values a millisecond, each called `times` times for so many permits.
fn admitted_in_a_flood(cache: ValueCache, capacity: u32, cost: u32, times: u32, flood: i64, hot: f64) -> u32 {
    let (store, limits) = store(cache, capacity, 100);
    let (mut value, mut admitted, mut due) = (0, 0, 0.0);
    for millis in 0..1_300_u64 {
        let now = (60_000 + millis) * 1_000_000;
        for _ in 0..flood {
            value = (value + 1) % 1_000_000;
            for _ in 0..times {
                let _ = store.take(Arg::from(value), &limits, now, cost);
            }
        }
        due += if millis >= 300 { hot } else { 0.0 };
        while due >= 1.0 {
            due -= 1.0;
            admitted += u32::from(store.take(Arg::from("hot"), &limits, now, 1).is_ok());
        }
    }
    admitted
}

#[test]
fn a_hot_value_stays_limited_whatever_the_calls_of_a_flood_cost() {
    for &cache in CACHES {
        for cost in [1, 50, 99, 100] {
            let admitted = admitted_in_a_flood(cache, 10_000, cost, 1, 100, 3.0);
            assert!((most(100, 1) - 1..=most(100, 1)).contains(&admitted), "{cache:?}, cost {cost}: {admitted}");
        }
    }
}

#[test]
fn a_hot_value_stays_limited_if_it_gets_one_of_as_many_calls_as_an_eighth_of_the_capacity() {
    for &cache in CACHES {
        for (cost, times, flood, hot) in [(50, 1, 500, 0.5), (33, 3, 100, 0.3), (1, 1, 100, 0.15), (9, 11, 10, 0.15)] {
            assert!(hot * 1_250.0 >= f64::from(times) * flood as f64);
            let admitted = admitted_in_a_flood(cache, 10_000, cost, times, flood, hot);
            assert!(admitted <= most(100, 1), "{cache:?}, {times} times {cost}, {flood} a millisecond: {admitted}");
        }
    }
}

#[test]
fn a_hot_value_stays_limited_while_others_come_again_and_again() {
    for &cache in CACHES {
        let rule = HotspotRule::new("r", 0, 20).capacity(500).cache(cache);
        let mut flooded = Attacked::new(rule);
        flooded.attack(4, 100, 50, 5, 2_000);
        assert!((most(20, 4) - 2..=most(20, 4)).contains(&flooded.admitted), "{cache:?}: {}", flooded.admitted);
    }
}

#[test]
fn a_value_that_has_used_all_is_remembered_for_as_long_as_it_takes() {
    for &cache in CACHES {
        let rule = HotspotRule::new("r", 0, 5).per(Duration::from_secs(3_600)).capacity(300).cache(cache);
        let flooded = Attacked::new(rule);
        assert_eq!(passed(&flooded.sentinel, "hot", 9), 5);
        for _ in 0..11 {
            // It does not come, and is the coldest of all.
            for value in 0..2_000_i64 {
                let _ = passed(&flooded.sentinel, value, 1);
            }
            flooded.clock.advance(Duration::from_secs(60));
            assert_eq!(passed(&flooded.sentinel, "hot", 9), 0, "{cache:?}");
        }
        flooded.clock.advance(Duration::from_secs(60));
        assert_eq!(passed(&flooded.sentinel, "hot", 9), 1, "{cache:?}");
    }
}

#[test]
fn where_every_value_is_held_new_ones_share_one_limit() {
    for &cache in CACHES {
        let rule = HotspotRule::new("r", 0, 1).per(Duration::from_secs(60)).capacity(60).cache(cache);
        let (clock, sentinel) = under([rule.value("named", 3)]);
        let all = |from: i64, to: i64| (from..to).map(|value| passed(&sentinel, value, 2)).sum::<u32>();
        assert_eq!(all(0, 60), 60);
        assert_eq!(all(100, 160), 1, "{cache:?}");
        assert_eq!(all(0, 60), 0, "{cache:?}");
        assert_eq!(passed(&sentinel, "named", 9), 3, "a value that the rule names finds room");
        assert_eq!(passed(&sentinel, "named", 9), 0, "and keeps it");
        clock.advance(Duration::from_secs(60));
        // One may not find those that can be forgotten at the first look.
        assert!((58..=61).contains(&all(100, 160)), "{cache:?}");
    }
}

#[test]
fn a_value_with_calls_inside_is_not_forgotten() {
    for &cache in CACHES {
        let (_, sentinel) = under([HotspotRule::new("r", 0, 1).concurrency().capacity(50).cache(cache)]);
        let inside: Vec<_> = (0..50_i64).map(|value| enter(&sentinel, value).expect("there is room")).collect();
        let other = enter(&sentinel, 50).expect("they share a state");
        for value in 0..1_000_i64 {
            assert!(enter(&sentinel, value).is_err(), "{cache:?}: {value}");
        }
        drop(other);
        let other = enter(&sentinel, 51).expect("free again");
        drop(inside);
        drop(enter(&sentinel, 7).expect("free again"));
        drop(other);
        for value in 0..1_000_i64 {
            assert!(enter(&sentinel, value).is_ok(), "{cache:?}: {value}");
        }
    }
}

#[test]
fn of_values_that_were_called_as_often_the_one_that_has_used_least_is_forgotten() {
    let call = |sentinel: &Sentinel, value: i64, permits| {
        drop(sentinel.enter_with("r", &Call::new().args(&[value.into()]).count(permits)).immediately());
    };
    let (_, sentinel) = under([HotspotRule::new("r", 0, 10).per(Duration::from_secs(3_600)).capacity(50)]);
    call(&sentinel, -1, 6);
    (0..10_000).for_each(|value| call(&sentinel, value, 5));
    assert_eq!(passed(&sentinel, -1, 99), 4);
}

#[test]
fn a_value_is_not_forgotten_for_those_that_were_called_less_often() {
    // Everybody uses five of ten in an hour and never comes again.
    let (_, sentinel) = under([HotspotRule::new("r", 0, 10).per(Duration::from_secs(3_600)).capacity(100)]);
    let _ = passed(&sentinel, "hot", 6);
    for value in 0..10_000_i64 {
        let _ = passed(&sentinel, value, 5);
    }
    assert_eq!(passed(&sentinel, "hot", 99), 4);
}

#[test]
fn memory_is_bounded() {
    for &cache in CACHES {
        let (store, limits) = store(cache, 10_000, 5);
        for value in 0..50_000 {
            let _ = store.take(Arg::from(value), &limits, 0, 1);
        }
        let known = store.len();
        assert!((10_000..=11_600).contains(&known), "{cache:?}: {known}");
    }
}

#[test]
fn at_most_three_quarters_more_values_than_the_capacity_are_kept() {
    // 281 is the worst.
    for capacity in [1, 2, 63, 64, 71, 72, 141, 255, 281, 282, 512, 1_000, 10_000] {
        let (store, limits) = store(ValueCache::Lru, capacity, 1);
        for value in 0..20 * i64::from(capacity) {
            let _ = store.take(Arg::from(value), &limits, 0, 1);
        }
        let most = if capacity < 64 { capacity } else { capacity + capacity * 3 / 4 };
        assert!((capacity as usize..=most as usize).contains(&store.len()), "{capacity}: {}", store.len());
    }
}

#[test]
fn as_many_values_as_the_capacity_find_room() {
    for &cache in CACHES {
        for capacity in [1, 2, 100, 255, 256, 1_000, 10_000] {
            let (store, limits) = store(cache, capacity, 5);
            for value in 0..capacity {
                let _ = store.take(Arg::from(value), &limits, 0, 1);
            }
            assert_eq!(store.len(), capacity as usize, "{cache:?}");
        }
    }
}

#[test]
fn everything_may_be_forgotten_once_nothing_is_used() {
    for &cache in CACHES {
        let (store, limits) = store(cache, 2, 1);
        assert!(store.is_idle(&limits.law, 0));
        for value in 0..3 {
            let _ = store.take(Arg::from(value), &limits, 0, 1);
        }
        assert!(!store.is_idle(&limits.law, 999_999_999));
        assert!(store.is_idle(&limits.law, 1_000_000_000));
    }
}
