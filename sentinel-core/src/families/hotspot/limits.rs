//! The limits that one rule sets: one for every value, and those of the values that it names.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hasher as _},
};

use foldhash::{fast, quality};

use super::{
    meter::{Law, Limit},
    rule::{HotspotMetric, HotspotParams},
};
use crate::call::Arg;

#[derive(Debug)]
pub(super) struct Limits {
    pub(super) law: Law,
    pub(super) rule: Limit,
    /// Limits of single values, by key.
    named: HashMap<u64, Limit, fast::FixedState>,
}

impl Limits {
    /// The limits of a valid rule; `keys` gives values the keys that they have where their state is kept.
    pub(super) fn new(params: &HotspotParams, keys: &Keys) -> Self {
        let burst = match params.metric {
            HotspotMetric::Bucket { burst, .. } => burst,
            HotspotMetric::Throttle { .. } | HotspotMetric::Concurrency => 0,
        };
        let limit = |threshold| Limit::new(threshold, burst);
        let named = params.items.iter().map(|item| (keys.of(&item.value.as_arg()), limit(item.threshold))).collect();
        Self { law: Law::of(params), rule: limit(params.threshold), named }
    }

    /// The limit of one value.
    #[inline]
    pub(super) fn of(&self, key: u64) -> Limit {
        if self.named.is_empty() {
            return self.rule;
        }
        self.named.get(&key).copied().unwrap_or(self.rule)
    }

    /// Whether the rule names a value.
    pub(super) fn names(&self, key: u64) -> bool {
        self.named.contains_key(&key)
    }
}

/// By what values are known: 64 bits that nobody can foretell who does not know the seed.
///
/// Values of different types are different ones, also where they look alike. Zero is one number with either sign, and
/// what is not a number is one as well.
///
/// Two values of the same key would share a state. Among a million values the odds of that are one in 37 million.
#[derive(Clone, Debug)]
pub(super) struct Keys(quality::FixedState);

impl Keys {
    pub(super) fn new(seed: u64) -> Self {
        Self(quality::FixedState::with_seed(seed))
    }

    #[inline(always)]
    pub(super) fn of(&self, arg: &Arg<'_>) -> u64 {
        let mut hasher = self.0.build_hasher();
        match *arg {
            Arg::Integer(value) => {
                hasher.write_u8(0);
                hasher.write_i64(value);
            }
            Arg::Text(text) => {
                hasher.write_u8(1);
                hasher.write(text.as_bytes());
            }
            Arg::Bool(value) => {
                hasher.write_u8(2);
                hasher.write_u8(value.into());
            }
            Arg::Float(value) => {
                hasher.write_u8(3);
                let one = if value.is_nan() { f64::NAN } else { value + 0.0 };
                hasher.write_u64(one.to_bits());
            }
            Arg::Bytes(bytes) => {
                hasher.write_u8(4);
                hasher.write(bytes);
            }
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn values_that_look_alike_and_are_not_have_different_keys() {
        let values = [
            Arg::Integer(1),
            Arg::Text("1"),
            Arg::Bool(true),
            Arg::Float(1.0),
            Arg::Bytes(b"1"),
            Arg::Integer(0),
            Arg::Bool(false),
            Arg::Float(0.0),
            Arg::Text(""),
            Arg::Bytes(b""),
            Arg::Text("true"),
            Arg::Integer(i64::MIN),
            Arg::Float(f64::NAN),
        ];
        let keys = Keys::new(7);
        assert_eq!(values.iter().map(|value| keys.of(value)).collect::<HashSet<_>>().len(), values.len());
    }

    #[test]
    fn equal_numbers_have_one_key() {
        let keys = Keys::new(7);
        assert_eq!(keys.of(&Arg::Float(0.0)), keys.of(&Arg::Float(-0.0)));
        assert_eq!(keys.of(&Arg::Float(f64::NAN)), keys.of(&Arg::Float(-f64::NAN)));
    }

    #[test]
    fn another_seed_gives_other_keys() {
        let value = Arg::Text("alice");
        assert_ne!(Keys::new(1).of(&value), Keys::new(2).of(&value));
    }
}
