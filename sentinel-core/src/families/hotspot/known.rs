//! The values that have a state of their own, in bounded memory.

use std::sync::Arc;

#[cfg(feature = "frequency-cache")]
use super::frequent::Frequent;
use super::{
    limits::Limits,
    meter::{Law, Limit},
    recent::Recent,
    rule::ValueCache,
    shard::Value,
};

/// The values that have a state of their own.
#[derive(Debug)]
pub(super) enum Known {
    Recent(Recent),
    #[cfg(feature = "frequency-cache")]
    Frequent(Box<Frequent>),
}

impl Known {
    #[cfg_attr(not(feature = "frequency-cache"), expect(unused_variables, reason = "the other cache looks at it"))]
    pub(super) fn new(cache: ValueCache, capacity: usize, law: Law) -> Self {
        match cache {
            #[cfg(feature = "frequency-cache")]
            ValueCache::Frequency => Self::Frequent(Box::new(Frequent::new(capacity, law))),
            // No rule that is valid asks for the other without the feature.
            _ => Self::Recent(Recent::new(capacity)),
        }
    }

    /// A value that is called under this limit.
    #[inline]
    #[cfg_attr(not(feature = "frequency-cache"), expect(unused_variables, reason = "the other cache looks at it"))]
    pub(super) fn with<T>(&mut self, key: u64, limit: Limit, act: impl FnOnce(&mut Value) -> T) -> Option<T> {
        match self {
            Self::Recent(recent) => recent.get_mut(key).map(act),
            #[cfg(feature = "frequency-cache")]
            Self::Frequent(frequent) => frequent.with(key, limit, act),
        }
    }

    /// A value that is not called just now.
    pub(super) fn peek(&mut self, key: u64, act: impl FnOnce(&mut Value)) {
        match self {
            Self::Recent(recent) => {
                if let Some(value) = recent.get_mut(key) {
                    act(value);
                }
            }
            #[cfg(feature = "frequency-cache")]
            Self::Frequent(frequent) => frequent.peek(key, act),
        }
    }

    /// Adds a value that is not there, if there is room, or one can be forgotten for it, or the rule names it.
    pub(super) fn insert(&mut self, value: Value, text: impl FnOnce() -> Arc<str>, limits: &Limits, now: u64) -> bool {
        match self {
            Self::Recent(recent) => recent.insert(value, text, limits, now),
            #[cfg(feature = "frequency-cache")]
            Self::Frequent(frequent) => frequent.insert(value, text(), limits, now),
        }
    }

    /// The values, and what is shown of them.
    pub(super) fn iter(&self) -> Box<dyn Iterator<Item = (&Value, &Arc<str>)> + '_> {
        match self {
            Self::Recent(recent) => Box::new(recent.iter()),
            #[cfg(feature = "frequency-cache")]
            Self::Frequent(frequent) => Box::new(frequent.iter()),
        }
    }
}
