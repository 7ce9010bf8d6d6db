//! Who waits, and who is next.

use std::{collections::BTreeMap, sync::Arc};

use crate::sync::waiter::Waiter;

/// A queue that has not been empty for longer than this is overloaded, in nanoseconds.
const OVERLOAD: u64 = 100_000_000;

/// Waiters by place, which is the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: BTreeMap<u64, Arc<Waiter>>,
    next_place: u64,
    /// Since when there was always somebody.
    busy_since: u64,
    newest_first: bool,
}

impl Queue {
    /// Whether the newest comes first under overload. The latest to join says so for all: it is he who knows the rule as it
    /// is now.
    pub(super) fn set_newest_first(&mut self, newest_first: bool) {
        self.newest_first = newest_first;
    }

    pub(super) fn push(&mut self, permits: u32, now: u64, until: u64) -> Arc<Waiter> {
        if self.waiting.is_empty() {
            self.busy_since = now;
        }
        let waiter = Arc::new(Waiter::new(self.next_place, permits, until));
        self.waiting.insert(self.next_place, Arc::clone(&waiter));
        self.next_place += 1;
        waiter
    }

    /// Takes out the oldest, if it has waited for too long.
    pub(super) fn pop_late(&mut self, now: u64) -> Option<Arc<Waiter>> {
        let oldest = self.waiting.first_entry().filter(|oldest| oldest.get().until() < now)?;
        Some(oldest.remove())
    }

    /// Takes out the oldest, if it has to make room for a newer one.
    pub(super) fn make_room(&mut self, now: u64) -> Option<Arc<Waiter>> {
        if !self.serves_newest(now) {
            return None;
        }
        self.waiting.pop_first().map(|(_, oldest)| oldest)
    }

    /// Who is to be served next.
    pub(super) fn next(&self, now: u64) -> Option<Arc<Waiter>> {
        let next = if self.serves_newest(now) { self.waiting.last_key_value() } else { self.waiting.first_key_value() };
        next.map(|(_, waiter)| Arc::clone(waiter))
    }

    /// Takes one out, and says whether it was there.
    pub(super) fn remove(&mut self, place: u64) -> bool {
        self.waiting.remove(&place).is_some()
    }

    fn serves_newest(&self, now: u64) -> bool {
        self.newest_first && now.saturating_sub(self.busy_since) > OVERLOAD
    }
}
