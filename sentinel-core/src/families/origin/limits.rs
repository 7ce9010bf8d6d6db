//! A limit of its own for each origin that no rule names.

use std::{fmt, sync::Arc};

use lru::LruCache;
use parking_lot::Mutex;

/// Origins with a limit of their own.
const MAX_ORIGINS: usize = 1_000;
/// Origins that are looked at for one to forget.
const LOOKED_AT: usize = 8;

/// A limit that each origin has for itself.
pub(crate) trait OriginLimit: Sized {
    /// What the limits of all origins are made of.
    type Terms: fmt::Debug;

    /// A limit of which nothing is used.
    fn new(terms: &Self::Terms) -> Self;

    /// Follows other terms.
    fn set_terms(&self, terms: &Self::Terms);

    /// Whether forgetting it at `now` would lose nothing.
    fn is_idle(&self, now: u64) -> bool;
}

/// Limits by origin, in bounded memory.
///
/// An origin that has used nothing of its limit can be forgotten without a loss: these make room. Where the eight
/// origins that were used longest ago have all used some, a new one shares a limit with all others that find no room,
/// and the next new one looks at the eight after them. So a flood of invented origins shares one limit, and no known
/// origin gets its permits back early.
///
/// What an origin has taken from the shared limit does not count towards one of its own that it gets later: until that
/// comes back, it may use both.
#[derive(Debug)]
pub(crate) struct Origins<L: OriginLimit> {
    limits: Mutex<Known<L>>,
}

#[derive(Debug)]
struct Known<L: OriginLimit> {
    terms: L::Terms,
    by_origin: LruCache<Box<str>, Arc<L>>,
    beyond: Arc<L>,
}

impl<L: OriginLimit> Origins<L> {
    pub(crate) fn new(terms: L::Terms) -> Self {
        let beyond = Arc::new(L::new(&terms));
        Self { limits: Mutex::new(Known { terms, by_origin: LruCache::unbounded(), beyond }) }
    }

    /// Lets all limits follow other terms.
    pub(crate) fn set_terms(&self, terms: L::Terms) {
        let mut known = self.limits.lock();
        known.terms = terms;
        known.all().for_each(|limit| limit.set_terms(&known.terms));
    }

    /// The limit of an origin, made if it is new. Nobody else gets it while it is kept.
    ///
    /// # Cost
    ///
    /// A short lock; for a new origin a few allocations.
    pub(crate) fn of(&self, origin: &str, now: u64) -> Arc<L> {
        let mut known = self.limits.lock();
        if let Some(limit) = known.by_origin.get(origin) {
            return Arc::clone(limit);
        }
        if !known.has_room(now) {
            return Arc::clone(&known.beyond);
        }
        let limit = Arc::new(L::new(&known.terms));
        known.by_origin.put(origin.into(), Arc::clone(&limit));
        limit
    }

    /// The limit of an origin that is known, else the one that origins beyond the bound share.
    pub(crate) fn known(&self, origin: &str) -> Arc<L> {
        let known = self.limits.lock();
        Arc::clone(known.by_origin.peek(origin).unwrap_or(&known.beyond))
    }

    /// The limit that origins beyond the bound share: it says what all have in common.
    pub(crate) fn beyond(&self) -> Arc<L> {
        Arc::clone(&self.limits.lock().beyond)
    }

    /// All limits that there are.
    pub(crate) fn all(&self) -> Vec<Arc<L>> {
        self.limits.lock().all().map(Arc::clone).collect()
    }

    pub(crate) fn is_idle(&self, now: u64) -> bool {
        self.limits.lock().all().all(|limit| limit.is_idle(now))
    }
}

impl<L: OriginLimit> Known<L> {
    /// Whether there is room for one more, which there is where one can be forgotten.
    fn has_room(&mut self, now: u64) -> bool {
        if self.by_origin.len() < MAX_ORIGINS {
            return true;
        }
        for _ in 0..LOOKED_AT {
            let Some((origin, limit)) = self.by_origin.pop_lru() else { return true };
            // Somebody may be about to use what is idle yet.
            if Arc::strong_count(&limit) == 1 && limit.is_idle(now) {
                return true;
            }
            // As good as just used, so that the next look is at others.
            self.by_origin.put(origin, limit);
        }
        false
    }

    fn all(&self) -> impl Iterator<Item = &Arc<L>> {
        [&self.beyond].into_iter().chain(self.by_origin.iter().map(|(_, limit)| limit))
    }
}
