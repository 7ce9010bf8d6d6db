//! The values that are called often.

use std::{fmt, sync::Arc};

use foldhash::fast::FixedState;
use quick_cache::{Lifecycle, UnitWeighter, unsync::Cache};

use super::{limits::Limits, meter::Law, shard::Value};
use crate::sync::moment::Moment;

/// The values that are called often, by the Clock-PRO of `quick_cache`, which is close to S3-FIFO: one that was called
/// once goes soon, and pushes out none that is called again and again.
///
/// It decides among those that are as good as new. Where there is none, the one that has used least goes.
///
/// # Cost
///
/// A new value may have to look at all of the shard for one to forget.
pub(super) struct Frequent {
    now: Arc<Moment>,
    values: Cache<u64, (Value, Arc<str>), UnitWeighter, FixedState, AsGoodAsNew>,
}

/// Lets only values go that are as good as new.
struct AsGoodAsNew {
    law: Law,
    now: Arc<Moment>,
}

impl Lifecycle<u64, (Value, Arc<str>)> for AsGoodAsNew {
    type RequestState = ();

    fn is_pinned(&self, _key: &u64, (value, _): &(Value, Arc<str>)) -> bool {
        !value.meter.is_new(&self.law, self.now.get())
    }
}

impl Frequent {
    pub(super) fn new(capacity: usize, law: Law) -> Self {
        let now = Arc::new(Moment::default());
        let policy = AsGoodAsNew { law, now: Arc::clone(&now) };
        let values = Cache::with(capacity, capacity as u64, UnitWeighter, FixedState::default(), policy);
        Self { now, values }
    }

    #[inline]
    pub(super) fn with<T>(&mut self, key: u64, act: impl FnOnce(&mut Value) -> T) -> Option<T> {
        self.values.get_mut(&key).map(|mut known| act(&mut known.0))
    }

    pub(super) fn peek(&mut self, key: u64, act: impl FnOnce(&mut Value)) {
        if let Some(mut known) = self.values.peek_mut(&key) {
            act(&mut known.0);
        }
    }

    /// Adds a value that is not there, if there is room, or one can be forgotten for it, or the rule names it.
    pub(super) fn insert(&mut self, value: Value, text: Arc<str>, limits: &Limits, now: u64) -> bool {
        let key = value.key;
        self.now.set(now);
        self.values.insert(key, (value, text));
        if self.values.weight() <= self.values.capacity() {
            return true;
        }
        let others = self.values.iter().map(|(_, (value, _))| value).filter(|value| value.key != key);
        let least = others.filter_map(|value| Some((value.rank(limits, now)?, value.key))).min();
        if let Some((_, least)) = least {
            self.values.remove(&least);
        } else if !limits.names(key) {
            self.values.remove(&key);
            return false;
        }
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Value, &Arc<str>)> {
        self.values.iter().map(|(_, (value, text))| (value, text))
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
