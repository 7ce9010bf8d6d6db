use std::{sync::Arc, time::Duration};

use crate::blocked::Blocked;

/// The answer of a call that has a [`Fallback`](crate::Fallback).
#[derive(Debug)]
pub enum Answer<V, E> {
    /// The value that the call brought.
    Fresh(Arc<V>),
    /// The last good value of an earlier one.
    Stale {
        /// The value.
        value: Arc<V>,
        /// How long ago it was brought.
        age: Duration,
        /// Why there is no fresh one.
        trouble: Trouble<E>,
    },
}

impl<V, E> Answer<V, E> {
    /// The value, fresh or stale.
    pub fn value(&self) -> &V {
        match self {
            Self::Fresh(value) | Self::Stale { value, .. } => value,
        }
    }

    /// The value, fresh or stale, to keep.
    pub fn into_value(self) -> Arc<V> {
        match self {
            Self::Fresh(value) | Self::Stale { value, .. } => value,
        }
    }

    /// How old the value is, if it is stale.
    pub fn age(&self) -> Option<Duration> {
        match self {
            Self::Fresh(_) => None,
            Self::Stale { age, .. } => Some(*age),
        }
    }
}

/// A last good value.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stale<V> {
    /// The value.
    pub value: Arc<V>,
    /// How long ago it was stored.
    pub age: Duration,
}

/// Why a call has no fresh value.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Trouble<E> {
    /// A rule refused it.
    #[error(transparent)]
    Blocked(Blocked),
    /// It failed.
    #[error(transparent)]
    Failed(E),
}
