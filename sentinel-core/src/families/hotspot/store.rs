//! What is known of the values of one rule on one resource.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{
    limits::{Keys, Limits},
    meter::{Law, Refusal},
    rule::ValueCache,
    shard::{Ask, Shard, Token},
    traffic::Rates,
};
use crate::{call::Arg, snapshot::HotValue};

/// Values that are in a snapshot.
const HOTTEST: usize = 10;
/// Shards where there are values enough for them, and how many that is for each.
const SHARDS: usize = 8;
const FEW: usize = 32;
/// Values of a shard from which on there are more shards.
const MANY: usize = 512;
const MAX_SHARDS: usize = 1_024;
/// How the state is shown that values share which find no room.
const OTHERS: &str = "__other__";

/// The values of one rule on one resource, each in one of several shards by its key.
///
/// Each shard is behind a lock that is held for a few steps.
#[derive(Debug)]
pub(super) struct Store {
    keys: Keys,
    /// A power of two.
    shards: Box<[Mutex<Shard>]>,
}

impl Store {
    pub(super) fn new(cache: ValueCache, capacity: u32, law: Law, keys: Keys) -> Self {
        let capacity = capacity as usize;
        let shards = (capacity / FEW).min(SHARDS).max(capacity / MANY).clamp(1, MAX_SHARDS);
        let shards = 1 << shards.ilog2();
        // So much above its part that hardly ever more of `capacity` values fall into one.
        let part = capacity.div_ceil(shards);
        let part = if shards == 1 { part } else { part + 4 * part.isqrt() };
        let shard = |_| Mutex::new(Shard::new(cache, part, law));
        Self { keys, shards: (0..shards).map(shard).collect() }
    }

    /// By what values are known here.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Takes permits of a value. Returns the nanoseconds until the call may go on as well.
    #[inline]
    pub(super) fn take(&self, arg: Arg<'_>, limits: &Limits, now: u64, permits: u32) -> Result<(Token, u64), Refusal> {
        let key = self.keys.of(&arg);
        let limit = limits.of(key);
        self.shard(key).lock().take(&Ask { key, arg, limit, permits, now }, limits)
    }

    /// Takes back what a call took.
    pub(super) fn give_back(&self, token: &Token, limits: &Limits, now: u64) {
        self.shard(token.key).lock().give_back(token, limits, now);
    }

    /// Whether forgetting everything at `now` would lose nothing.
    pub(super) fn is_idle(&self, law: &Law, now: u64) -> bool {
        self.shards.iter().all(|shard| shard.lock().is_idle(law, now))
    }

    /// The values that were called most in the last second, the hottest first. Those that share a state are one.
    pub(super) fn hottest(&self, now: u64) -> Vec<HotValue> {
        let mut hottest: Vec<HotValue> = Vec::new();
        let mut others = Rates::default();
        for shard in &self.shards {
            let shard = shard.lock();
            others.add(shard.others().traffic.rates(now));
            for (value, text) in shard.values() {
                let rates = value.traffic.rates(now);
                let least = hottest.get(HOTTEST - 1).map_or(0.0, calls);
                if rates.pass + rates.block > least {
                    add(&mut hottest, text, rates);
                }
            }
        }
        if others.pass + others.block > 0.0 {
            add(&mut hottest, &OTHERS.into(), others);
        }
        hottest
    }

    /// How many values have a state of their own.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().values().count()).sum()
    }

    #[inline]
    fn shard(&self, key: u64) -> &Mutex<Shard> {
        // The caches in the shards go by other bits.
        let index = (key >> 32) as usize & (self.shards.len() - 1);
        &self.shards[index]
    }
}

/// Adds a value in its place, if it is among the hottest.
fn add(hottest: &mut Vec<HotValue>, text: &Arc<str>, rates: Rates) {
    let Rates { pass, block } = rates;
    let value = HotValue { value: Arc::clone(text), pass_per_second: pass, block_per_second: block };
    let place = hottest.partition_point(|hotter| calls(hotter) >= calls(&value));
    hottest.insert(place, value);
    hottest.truncate(HOTTEST);
}

fn calls(value: &HotValue) -> f64 {
    value.pass_per_second + value.block_per_second
}
