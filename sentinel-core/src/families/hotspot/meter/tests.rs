use proptest::{collection::vec, prelude::*};

use super::*;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;

/// One value under one limit.
#[derive(Clone, Copy, Debug)]
struct Metered {
    law: Law,
    limit: Limit,
    meter: Meter,
}

impl Metered {
    fn new(law: Law, threshold: u32, burst: u32) -> Self {
        Self { law, limit: Limit::new(threshold, burst), meter: Meter::default() }
    }

    fn bucket(threshold: u32, burst: u32, interval: u64) -> Self {
        Self::new(Law::Bucket { interval, refill: Refill::Continuous }, threshold, burst)
    }

    fn by_interval(threshold: u32, burst: u32, interval: u64) -> Self {
        Self::new(Law::Bucket { interval, refill: Refill::Interval }, threshold, burst)
    }

    fn queue(threshold: u32, interval: u64, max_wait: u64) -> Self {
        Self::new(Law::Queue { interval, max_wait }, threshold, 0)
    }

    fn take(&mut self, now: u64, permits: u64) -> Result<(Taken, u64), Refusal> {
        if permits > self.limit.capacity {
            return Err(self.limit.never());
        }
        self.meter.take(&self.law, self.limit, now, permits)
    }

    fn give_back(&mut self, now: u64, permits: u64, taken: Taken) {
        self.meter.give_back(&self.law, self.limit, now, permits, taken);
    }

    fn used(&self, now: u64) -> u128 {
        self.meter.drained(&self.law, self.limit.threshold, now).used
    }

    fn is_held(&self, now: u64) -> bool {
        self.meter.given_back_if_forgotten(&self.law, self.limit, now).is_none()
    }

    /// How many of so many single calls at once are admitted.
    fn admits(&mut self, now: u64, calls: u32) -> usize {
        (0..calls).filter(|_| self.take(now, 1).is_ok()).count()
    }

    /// The wait in milliseconds, if it is admitted.
    fn wait(&mut self, now: u64) -> Option<f64> {
        self.take(now, 1).ok().map(|(_, wait)| wait as f64 / MILLI as f64)
    }
}

#[test]
fn a_bucket_gives_back_one_permit_after_the_other() {
    let mut value = Metered::bucket(5, 0, SECOND);
    let admitted = [0, 100, 199, 200, 999, 1_000, 1_400, 2_003, 9_000].map(|at| value.admits(at * MILLI, 7));
    assert_eq!(admitted, [5, 0, 0, 1, 3, 1, 2, 3, 5]);
}

#[test]
fn no_more_comes_back_than_was_taken_whatever_threshold_came_meanwhile() {
    for refill in [Refill::Continuous, Refill::Interval] {
        let law = Law::Bucket { interval: 1_000 * SECOND, refill };
        for (before, after) in [(1_000, 2), (2, 1_000)] {
            let (mut value, limit) = (Metered::new(law, before, 0), Limit::new(before, 0));
            value.take(0, 1).expect("it is new");
            let (taken, _) = value.take(0, 1).expect("one is used");
            value.limit = Limit::new(after, 0);
            value.meter.give_back(&law, limit, 100 * SECOND, 1, taken);
            let left = value.used(100 * SECOND);
            assert!(left >= law.unit().saturating_sub(u128::from(100 * SECOND) * u128::from(after)), "{left}");
        }
        // What came back at the new threshold is not given back once more at the old one.
        let mut value = Metered::new(law, 2, 0);
        let (taken, _) = value.take(0, 1).expect("it is new");
        let limit = std::mem::replace(&mut value.limit, Limit::new(1_000, 0));
        value.take(1_001 * SECOND, 1).expect("there are a thousand");
        value.meter.give_back(&law, limit, 1_001 * SECOND, 1, taken);
        assert_eq!(value.used(1_001 * SECOND), law.unit());
    }
    let mut queue = Metered::queue(1_000, 1_000 * SECOND, SECOND);
    let (taken, _) = queue.take(0, 500).expect("it is new");
    let limit = std::mem::replace(&mut queue.limit, Limit::new(1, 0));
    queue.meter.give_back(&queue.law, limit, 100 * SECOND, 500, taken);
    assert_eq!(queue.used(0), 100 * 1_000 * u128::from(SECOND), "the place that has passed is gone");
}

#[test]
fn a_bucket_by_interval_gives_back_all_together() {
    let mut value = Metered::by_interval(5, 0, SECOND);
    let admitted = [0, 100, 999, 1_000, 1_001, 1_500, 2_003].map(|at| value.admits(at * MILLI, 7));
    assert_eq!(admitted, [5, 0, 0, 0, 5, 0, 5]);

    let mut with_burst = Metered::by_interval(4, 2, 2 * SECOND);
    assert_eq!([0, 2_001, 5_002].map(|at| with_burst.admits(at * MILLI, 20)), [6, 4, 6]);
}

#[test]
fn a_batch_beyond_the_bucket_never_passes() {
    let mut value = Metered::bucket(100, 10, SECOND);
    assert_eq!(value.take(0, 130).map(|_| ()), Err(Refusal { observed: 0, threshold: 100, retry_after: NEVER }));
    assert!(value.take(0, 20).is_ok() && value.take(0, 90).is_ok() && value.take(0, 1).is_err());
}

#[test]
fn the_vectors_of_the_generic_cell_rate_algorithm_hold() {
    // A bucket of 16, one permit in 2 s.
    let mut value = Metered::bucket(1, 15, 2 * SECOND);
    assert!(value.take(0, 1).is_ok());
    assert_eq!(value.used(0), 2 * SECOND as u128);
    assert!(value.take(0, 15).is_ok());
    assert_eq!(value.take(0, 1).map_err(|refusal| refusal.retry_after).err(), Some(2 * SECOND));
    assert_eq!(value.take(SECOND, 1).map_err(|refusal| refusal.retry_after).err(), Some(SECOND));
    assert!(value.take(2 * SECOND, 1).is_ok());
    assert_eq!(value.take(2 * SECOND, 17).map_err(|refusal| refusal.retry_after).err(), Some(NEVER));

    // A bucket of 3, one permit a second.
    let mut value = Metered::bucket(1, 2, SECOND);
    assert!([0, 100, 200].into_iter().all(|at| value.take(at * MILLI, 1).is_ok()));
    assert_eq!(value.take(300 * MILLI, 1).map_err(|refusal| refusal.retry_after).err(), Some(700 * MILLI));
    assert!(value.take(1_300 * MILLI, 1).is_ok());
}

#[test]
fn nothing_is_rounded_however_long_it_runs() {
    // A third of a second is no whole number of nanoseconds.
    let mut value = Metered::bucket(3, 0, SECOND);
    let (mut now, mut admitted) = (0, 0_u64);
    while now <= 100_000 * SECOND {
        match value.take(now, 1) {
            Ok(_) => admitted += 1,
            Err(refusal) => now += refusal.retry_after,
        }
    }
    assert_eq!(admitted, 3 + 3 * 100_000);

    let mut queue = Metered::queue(7, SECOND, NEVER);
    let last = (0..=7 * 100_000).filter_map(|_| queue.take(0, 1).ok()).map(|(_, wait)| wait).last();
    assert_eq!(last, Some(100_000 * SECOND));
}

#[test]
fn a_queue_spaces_calls_until_the_wait_is_too_long() {
    let mut value = Metered::queue(10, SECOND, 250 * MILLI);
    let waits = [0; 5].map(|_| value.wait(0));
    assert_eq!(waits, [Some(0.0), Some(100.0), Some(200.0), None, None]);
    assert_eq!(value.take(0, 1).map_err(|refusal| refusal.retry_after).err(), Some(50 * MILLI));
    let mut fast = Metered::queue(2_001, SECOND, MILLI);
    assert_eq!((0..100).filter(|_| fast.wait(0).is_some()).count(), 3);
}

#[test]
fn of_a_queue_only_the_last_place_is_given_back() {
    let mut value = Metered::queue(10, SECOND, SECOND);
    let [first, _, third] = [0; 3].map(|_| value.take(0, 1).expect("there is room").0);
    value.give_back(0, 1, first);
    assert_eq!(value.wait(0), Some(300.0), "the others have been told when to go");
    let mut value = Metered::queue(10, SECOND, SECOND);
    let [first, second, _] = [0; 3].map(|_| value.take(0, 1).expect("there is room").0);
    value.give_back(0, 1, third);
    value.give_back(0, 1, second);
    value.give_back(0, 1, first);
    assert_eq!(value.wait(0), Some(0.0), "all have left, the last first");
}

#[test]
fn inside_there_are_never_more_than_the_threshold() {
    let mut value = Metered::new(Law::Inside, 3, 0);
    assert!(value.take(0, 4).is_err());
    let two = value.take(0, 2).expect("there is room").0;
    let one = value.take(0, 1).expect("there is room").0;
    let refused = Refusal { observed: 3, threshold: 3, retry_after: SOON };
    assert_eq!(value.take(9 * SECOND, 1).map(|_| ()), Err(refused));
    assert!(value.is_held(NEVER - 1));
    value.give_back(9 * SECOND, 1, one);
    value.give_back(5 * SECOND, 2, two);
    assert!(!value.is_held(0));
    assert_eq!(value.used(0), 0);
}

#[test]
fn what_has_nothing_left_or_lets_calls_wait_is_held() {
    let mut bucket = Metered::bucket(2, 0, SECOND);
    let _ = bucket.take(0, 1);
    assert!(!bucket.is_held(0));
    let _ = bucket.take(0, 1);
    assert_eq!([0, 499, 500].map(|at| bucket.is_held(at * MILLI)), [true, true, false]);

    let mut by_interval = Metered::by_interval(1, 0, SECOND);
    let _ = by_interval.take(0, 1);
    assert_eq!([0, SECOND, SECOND + 1].map(|at| by_interval.is_held(at)), [true, true, false]);

    let mut queue = Metered::queue(10, SECOND, SECOND);
    let _ = (queue.take(0, 1), queue.take(0, 1));
    assert_eq!([0, 199, 200].map(|at| queue.is_held(at * MILLI)), [true, true, false]);
}

#[test]
fn a_threshold_that_changes_leaves_what_is_used_as_it_is() {
    let mut value = Metered::bucket(10, 0, SECOND);
    assert_eq!(value.admits(0, 8), 8);
    value.limit = Limit::new(100, 0);
    assert_eq!(value.admits(0, 200), 92);
    value.limit = Limit::new(20, 0);
    assert_eq!(value.admits(0, 200), 0);
    assert_eq!([4_000, 4_050].map(|at| value.admits(at * MILLI, 200)), [0, 1], "100 less 80, and one more");
}

#[test]
fn the_largest_limits_and_the_end_of_time_are_no_panic() {
    let week = 7 * 24 * 60 * 60 * SECOND;
    let most = u32::MAX;
    for mut value in [
        Metered::bucket(most, most, week),
        Metered::bucket(1, most, week),
        Metered::by_interval(most, most, week),
        Metered::by_interval(1, most, week),
        Metered::queue(most, week, NEVER),
        Metered::queue(1, week, NEVER),
        Metered::new(Law::Inside, most, 0),
    ] {
        for now in [NEVER, 0, NEVER - 1, week, NEVER] {
            let permits = value.limit.capacity.min(most.into());
            for permits in [1, permits] {
                if let Ok((taken, _)) = value.take(now, permits) {
                    value.give_back(NEVER - now, permits, taken);
                }
                let _ = value.take(now, permits);
            }
            let _ = (value.used(now), value.is_held(now));
        }
    }
}

/// Times that rise, with batches.
fn calls() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let gap = prop_oneof![2 => Just(0), 3 => 0..300_u64, 1 => 0..5_000_u64];
    vec((gap, 1..4_u64), 1..120).prop_map(|calls| {
        let later = |now: &mut u64, (gap, permits)| {
            *now += gap;
            Some((*now, permits))
        };
        calls.into_iter().scan(0, later).collect()
    })
}

proptest! {
    /// By the definition of a token bucket: from any admitted call on, no more is admitted than it holds and gets.
    #[test]
    fn a_bucket_admits_what_its_definition_allows(
        calls in calls(), threshold in 1..9_u32, burst in 0..5_u32, interval in 1..999_u64,
    ) {
        let mut value = Metered::bucket(threshold, burst, interval);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (now, permits) in calls {
            let room = |now: u64| {
                let mut sum = permits;
                permits <= value.limit.capacity && admitted.iter().rev().all(|&(from, more)| {
                    sum += more;
                    (sum - value.limit.capacity.min(sum)) * interval <= (now - from) * u64::from(threshold)
                })
            };
            let expected = room(now);
            let earliest = (now..).take(1 << 14).find(|&later| room(later));
            match value.take(now, permits) {
                Ok(_) => {
                    prop_assert!(expected);
                    admitted.push((now, permits));
                }
                Err(refusal) => {
                    prop_assert!(!expected);
                    prop_assert_eq!(earliest.map_or(NEVER, |earliest| earliest - now), refusal.retry_after);
                }
            }
        }
    }

    /// As the Java edition of Sentinel has it, in nanoseconds.
    #[test]
    fn a_bucket_by_interval_is_the_one_of_the_family(
        calls in calls(), threshold in 1..9_u64, burst in 0..5_u64, interval in 1..999_u64,
    ) {
        let mut value = Metered::by_interval(threshold as u32, burst as u32, interval);
        let most = threshold + burst;
        let mut model: Option<(u64, u64)> = None;
        for (now, permits) in calls {
            let next = |now: u64| match model {
                _ if permits > most => None,
                None => Some((now, most - permits)),
                Some((last, rest)) if now - last > interval => {
                    let rest = most.min(rest + (now - last) * threshold / interval);
                    rest.checked_sub(permits).map(|rest| (now, rest))
                }
                Some((last, rest)) => rest.checked_sub(permits).map(|rest| (last, rest)),
            };
            match value.take(now, permits) {
                Ok(_) => {
                    prop_assert!(next(now).is_some());
                    model = next(now);
                }
                Err(refusal) => {
                    prop_assert_eq!(next(now), None);
                    let earliest = (now..).take(1 << 14).find(|&later| next(later).is_some());
                    prop_assert_eq!(earliest.map_or(NEVER, |earliest| earliest - now), refusal.retry_after);
                }
            }
        }
    }

    #[test]
    fn a_queue_gives_each_call_the_next_free_place(
        calls in calls(), threshold in 1..9_u32, interval in 1..999_u64, max_wait in 0..2_000_u64,
    ) {
        let mut value = Metered::queue(threshold, interval, max_wait);
        // In parts of a nanosecond, of which there are as many as the threshold.
        let parts = u64::from(threshold);
        let mut free = 0;
        for (now, permits) in calls {
            let start = free.max(now * parts);
            let wait = (start - now * parts).div_ceil(parts);
            let expected = (permits <= parts && wait <= max_wait).then_some(wait);
            if expected.is_some() {
                free = start + permits * interval;
            }
            prop_assert_eq!(value.take(now, permits).ok().map(|(_, wait)| wait), expected);
        }
    }

    #[test]
    fn what_is_given_back_at_once_was_never_asked(
        calls in calls(), law in 0..4_u8, threshold in 1..9_u32, burst in 0..5_u32, interval in 1..999_u64,
    ) {
        let mut value = match law {
            0 => Metered::bucket(threshold, burst, interval),
            1 => Metered::by_interval(threshold, burst, interval),
            2 => Metered::queue(threshold, interval, interval),
            _ => Metered::new(Law::Inside, threshold, 0),
        };
        for (now, permits) in calls {
            let before = value.used(now);
            if let Ok((taken, _)) = value.take(now, permits) {
                value.give_back(now, permits, taken);
            }
            prop_assert_eq!(value.used(now), before);
            let _ = value.take(now, 1);
        }
    }

    /// However calls give up, those that went on are no more than without them.
    #[test]
    fn what_is_given_back_lets_no_more_go_on_than_the_bucket_allows(
        calls in vec((0..200_u64, 1..4_u64, any::<bool>(), any::<prop::sample::Index>()), 1..120),
        threshold in 1..9_u32, burst in 0..5_u32, interval in 1..999_u64, by_interval in any::<bool>(),
    ) {
        let mut value = if by_interval {
            Metered::by_interval(threshold, burst, interval)
        } else {
            Metered::bucket(threshold, burst, interval)
        };
        let (mut now, mut waiting, mut gone) = (0, Vec::new(), Vec::new());
        for (gap, permits, goes_on, which) in calls {
            now += gap;
            if let Ok((taken, _)) = value.take(now, permits) {
                if goes_on { gone.push((now, permits)) } else { waiting.push((permits, taken)) }
            }
            if gap % 3 == 0 && !waiting.is_empty() {
                let (permits, taken) = waiting.swap_remove(which.index(waiting.len()));
                value.give_back(now, permits, taken);
            }
        }
        // What comes back by interval comes for all the time since the last.
        let slack = if by_interval { u64::from(threshold) } else { 0 };
        for (first, &(from, _)) in gone.iter().enumerate() {
            let mut sum = 0;
            for &(at, permits) in gone.iter().skip(first) {
                sum += permits;
                let most = value.limit.capacity + slack;
                prop_assert!(sum.saturating_sub(most) * interval <= (at - from) * u64::from(threshold), "{:?}", gone);
            }
        }
    }
}
