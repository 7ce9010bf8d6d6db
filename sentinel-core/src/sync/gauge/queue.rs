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
    /// Who joined last beyond the room, as long as he may not mean to wait.
    guest: Option<u64>,
}

impl Queue {
    /// Whether the newest comes first under overload. The latest to join says so for all: it is he who knows the rule
    /// as it is now.
    pub(super) fn set_newest_first(&mut self, newest_first: bool) {
        self.newest_first = newest_first;
    }

    /// Adds one, who is a guest if that is beyond some room.
    pub(super) fn push(&mut self, permits: u32, now: u64, until: u64, beyond: Option<u32>) -> Arc<Waiter> {
        if self.waiting.is_empty() {
            self.busy_since = now;
        }
        if beyond.is_some() {
            self.guest = Some(self.next_place);
        }
        let waiter = Arc::new(Waiter::new(self.next_place, permits, until, beyond));
        self.waiting.insert(self.next_place, Arc::clone(&waiter));
        self.next_place += 1;
        waiter
    }

    /// Takes out the oldest, if it has waited for too long.
    pub(super) fn pop_late(&mut self, now: u64) -> Option<Arc<Waiter>> {
        let oldest = self.waiting.first_entry().filter(|oldest| oldest.get().until() < now)?;
        Some(oldest.remove())
    }

    /// Takes out the guest, if he is still there and still is one.
    pub(super) fn take_guest(&mut self) -> Option<Arc<Waiter>> {
        self.waiting.remove(&self.guest.take()?)
    }

    /// The guest of this place, if he is still there and still is one, stays. Takes out the oldest where that is one
    /// too many.
    pub(super) fn seat(&mut self, place: u64, room: u32) -> Option<Arc<Waiter>> {
        self.guest.take_if(|guest| *guest == place)?;
        if !self.waiting.contains_key(&place) || self.waiting.len() <= room as usize {
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

    pub(super) fn serves_newest(&self, now: u64) -> bool {
        self.newest_first && now.saturating_sub(self.busy_since) > OVERLOAD
    }
}
