//! The values that are called often.

use std::{fmt, sync::Arc};

use foldhash::fast::FixedState;
use quick_cache::{Lifecycle, UnitWeighter, unsync::Cache};

use super::{
    limits::Limits,
    meter::{Law, Limit},
    shard::Value,
};
use crate::sync::moment::Moment;

/// Fewer the cache does not divide in those called often and the others.
const FEWEST: usize = 2;

/// The values that are called often, by the Clock-PRO of `quick_cache`, which is close to S3-FIFO: one that was called
/// once goes soon, and pushes out none that is called again and again.
///
/// It decides among those that are not held.
///
/// # Cost
///
/// A new value may have to look at all of the shard for one to forget.
pub(super) struct Frequent {
    now: Arc<Moment>,
    values: Cache<u64, Shown, UnitWeighter, FixedState, NotHeld>,
}

/// A value, and what is shown of it.
struct Shown {
    value: Value,
    text: Arc<str>,
    /// The limit that it last was called under.
    limit: Limit,
}

/// Lets only values go that are not held.
struct NotHeld {
    law: Law,
    now: Arc<Moment>,
}

impl Lifecycle<u64, Shown> for NotHeld {
    type RequestState = ();

    fn is_pinned(&self, _key: &u64, Shown { value, limit, .. }: &Shown) -> bool {
        value.meter.given_back_if_forgotten(&self.law, *limit, self.now.get()).is_none()
    }
}

impl Frequent {
    pub(super) fn new(capacity: usize, law: Law) -> Self {
        let now = Arc::new(Moment::default());
        let policy = NotHeld { law, now: Arc::clone(&now) };
        let capacity = capacity.max(FEWEST);
        let values = Cache::with(capacity, capacity as u64, UnitWeighter, FixedState::default(), policy);
        Self { now, values }
    }

    #[inline]
    pub(super) fn with<T>(&mut self, key: u64, limit: Limit, act: impl FnOnce(&mut Value) -> T) -> Option<T> {
        self.values.get_mut(&key).map(|mut known| {
            known.limit = limit;
            act(&mut known.value)
        })
    }

    pub(super) fn peek(&mut self, key: u64, act: impl FnOnce(&mut Value)) {
        if let Some(mut known) = self.values.peek_mut(&key) {
            act(&mut known.value);
        }
    }

    /// Adds a value that is not there, if there is room, or one can be forgotten for it, or the rule names it.
    pub(super) fn insert(&mut self, value: Value, text: Arc<str>, limits: &Limits, now: u64) -> bool {
        let key = value.key;
        self.now.set(now);
        self.values.insert(key, Shown { value, text, limit: limits.of(key) });
        let fits = self.values.weight() <= self.values.capacity() || limits.names(key);
        if !fits {
            self.values.remove(&key);
        }
        fits
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Value, &Arc<str>)> {
        self.values.iter().map(|(_, known)| (&known.value, &known.text))
    }
}

impl fmt::Debug for Frequent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frequent")
            .field("len", &self.values.len())
            .field("capacity", &self.values.capacity())
            .finish_non_exhaustive()
    }
}
