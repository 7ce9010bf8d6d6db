//! Who is inside of something, counted there and not by what limits it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// A place that counts; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    now: AtomicU64,
    most: AtomicU64,
    all: AtomicU64,
}

impl Room {
    /// Goes in, and out when the guard is dropped.
    pub(super) fn enter(&self) -> Inside {
        let Counts { now, most, all } = &*self.0;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        all.fetch_add(1, Ordering::SeqCst);
        Inside(self.clone())
    }

    /// How many are inside.
    pub(super) fn now(&self) -> u64 {
        self.0.now.load(Ordering::SeqCst)
    }

    /// How many were inside at most.
    pub(super) fn most(&self) -> u64 {
        self.0.most.load(Ordering::SeqCst)
    }

    /// How many have ever gone in.
    pub(super) fn all(&self) -> u64 {
        self.0.all.load(Ordering::SeqCst)
    }
}

/// Somebody inside.
#[derive(Debug)]
pub(super) struct Inside(Room);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_knows_who_is_inside_and_who_was() {
        let room = Room::default();
        let (first, second) = (room.enter(), room.clone().enter());
        drop(first);
        assert_eq!((room.now(), room.most(), room.all()), (1, 2, 2));
        drop((second, room.enter()));
        assert_eq!((room.now(), room.most(), room.all()), (0, 2, 3));
    }
}
