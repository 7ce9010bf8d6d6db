//! Limits by key: keys as they come, a few often and most seldom, and the calls that are made with them.

use std::{cell::Cell, sync::Arc};

use governor::{DefaultKeyedRateLimiter, RateLimiter};
use sentinel_core::{Direction, Sentinel};

use crate::{families, ours::RESOURCE, peers::per_second};

/// Calls until the same keys come again.
const CALLS: usize = 1 << 16;

/// Keys in the order in which calls come with them.
#[derive(Clone, Debug)]
pub struct Keys {
    names: Arc<[String]>,
    order: Arc<[u16]>,
}

impl Keys {
    /// So many keys, of which each comes as often as its rank is low (Zipf's law); the same ones every time.
    pub fn zipf(keys: u16) -> Self {
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=keys)
            .map(|rank| {
                sum += 1.0 / f64::from(rank);
                sum
            })
            .collect();
        let mut state = 1_u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = (state >> 11) as f64 / (1_u64 << 53) as f64;
            sums.partition_point(|up_to| *up_to <= share * sum) as u16
        };
        Self {
            names: (0..keys).map(|rank| format!("customer-{rank:04}")).collect(),
            order: (0..CALLS).map(|_| draw()).collect(),
        }
    }

    /// The same key with every call.
    pub fn one() -> Self {
        Self::zipf(1)
    }

    /// Makes a call with the next key at each call, after one round with all.
    fn each(self, call: impl Fn(&String) -> bool) -> impl Fn() -> bool {
        let next = Cell::new(0);
        let call = move || {
            let at = next.get();
            next.set((at + 1) % CALLS);
            call(&self.names[usize::from(self.order[at])])
        };
        for _ in 0..CALLS {
            call();
        }
        call
    }

    /// Calls by handle with the key as their argument.
    pub fn by_handle(self, sentinel: Sentinel) -> impl Fn() -> bool {
        let resource = families::resource(&sentinel, RESOURCE, Direction::Inbound);
        self.each(move |key| {
            // Threads keep nothing of an instance that was given up.
            let _kept = &sentinel;
            families::enter_with(&resource, key)
        })
    }

    /// governor's check by key, which keeps its limiters in a concurrent map.
    pub fn governor(self, threshold: u32) -> impl Fn() -> bool {
        let limiter: DefaultKeyedRateLimiter<String> = RateLimiter::keyed(per_second(threshold));
        self.each(move |key| limiter.check_key(key).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_as_often_as_its_rank_is_low() {
        let keys = Keys::zipf(10_000);
        let comes = |rank: u16| keys.order.iter().filter(|at| **at == rank).count() as f64;
        assert!((0.08..0.12).contains(&(comes(0) / CALLS as f64)), "{}", comes(0));
        assert!((1.7..2.3).contains(&(comes(0) / comes(1))));
        assert!((8.0..12.0).contains(&(comes(0) / comes(9))));
        assert!(keys.order.iter().all(|at| *at < 10_000));
    }
}
