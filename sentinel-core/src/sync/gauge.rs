//! Permits in flight under a limit, and a bounded queue for calls that find none.

#[cfg(all(test, loom))]
mod models;
mod queue;
#[cfg(all(test, shuttle))]
mod shuttled;
#[cfg(all(test, not(loom)))]
mod tests;

use std::{sync::Arc, task::Waker};

use smallvec::SmallVec;

use self::queue::Queue;
use super::{
    primitive::{AtomicU32, AtomicU64, Mutex, Ordering},
    waiter::{Fate, Waiter},
};
use crate::event::shielded;

/// Bits of the word that count who waits; the others are the free permits, with a sign.
const WAITING_BITS: u32 = 30;
const WAITING_MOST: u64 = (1 << WAITING_BITS) - 1;
/// Waiters that are settled under one hold of the lock.
const BATCH: usize = 16;

/// Who may wait for permits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    /// How many at a time, less than 2^30, and one guest; with 0, nobody waits.
    pub(crate) room: u32,
    /// Nanoseconds for which one waits at most.
    pub(crate) max_wait: u64,
    /// Under overload, who came last is served first.
    pub(crate) newest_first: bool,
}

/// What becomes of a call that asks for permits.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It has them.
    Granted,
    /// It is in the queue, and has to leave that, if it does not want to wait on.
    Queued(Arc<Waiter>),
    /// It has none.
    Refused,
}

/// Counts permits in flight: never more than the limit allows, which may change at any time.
///
/// Who finds too few permits free may wait. Nobody overtakes those who wait: while somebody does, who comes queues up
/// behind them. Permits go to the first in the queue as they come back; a batch waits there until all of its permits are
/// free at once, and the others wait behind it. Who has waited for too long is passed over, and so is a batch that a
/// lowered limit has no room for.
///
/// *Newest first.* The queue counts as overloaded when it has not been empty for 100 ms. Then whoever came last is served
/// first, as he is the likeliest still to be there when the answer comes, and where the queue is full the oldest makes
/// room for the newest. Once it has been empty, it is first come, first served again. (The adaptive LIFO of "Fail at
/// Scale", ACM Queue 13(8), 2015.) Whoever joins a full queue is its guest until he is known to [wait](Gauge::stay), and
/// nobody goes for a guest but another guest: so calls that do not mean to wait throw nobody out.
///
/// # Why this is correct
///
/// ```text
/// word     bits 30..64  permits free: limit less permits in flight; below 0 after the limit was lowered
///          bits  0..30  how many wait
/// ```
///
/// *Never above the limit.* Permits are taken by one compare-exchange of a word that has so many free. A change of the
/// limit adds the difference to that same word, so who takes permits has seen every change before it.
///
/// *No permit is lost.* Joining raises the number of those who wait, then serves the queue; giving back adds permits,
/// then serves the queue if somebody waits. Both are read-modify-writes of one word, so one comes first: either who
/// joins finds the permits free, or who gives back finds somebody waiting. The number and the queue change under the
/// lock, and the queue is served there until the next in it has to wait on: until then, nobody outside the queue takes
/// permits.
///
/// *Exactly once.* A waiter is in the queue until it is granted, refused or leaves, each under the lock. Who leaves and
/// is not in the queue any more knows what was decided; if he was granted permits, he gives them back like any other.
///
/// *Orderings.* Giving back releases and taking acquires, and whatever lies between them in the order of the word is a
/// read-modify-write: who has a permit sees what was done under it before. Who sees somebody waiting finds him in the
/// queue, since he takes the lock. `limit` is written under the lock; outside of it, it is only for show.
///
/// Models: all in `gauge/models.rs`.
#[derive(Debug)]
pub(crate) struct Gauge {
    word: AtomicU64,
    limit: AtomicU32,
    queue: Mutex<Queue>,
}

impl Gauge {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            word: AtomicU64::new(u64::from(limit) << WAITING_BITS),
            limit: AtomicU32::new(limit),
            queue: Mutex::new(Queue::default()),
        }
    }

    /// Takes permits, all or none, or joins the queue. None at all are always granted.
    ///
    /// # Cost
    ///
    /// One compare-exchange if they are free and nobody waits. A refusal is two loads, and a short lock where newest come
    /// first. Waiting takes a short lock and an allocation.
    #[inline]
    pub(crate) fn acquire(&self, permits: u32, now: u64, limits: &QueueLimits) -> Asked {
        if permits == 0 || self.take(permits, 0, false) {
            return Asked::Granted;
        }
        if limits.room == 0 || (!limits.newest_first && self.waiting() >= limits.room) {
            return Asked::Refused;
        }
        self.join(permits, now, limits)
    }

    /// Takes permits, all or none, if that leaves so many free; does not wait. None at all are always granted.
    ///
    /// # Cost
    ///
    /// One compare-exchange if they are free and nobody waits.
    #[inline]
    pub(crate) fn acquire_leaving(&self, permits: u32, left: u32) -> bool {
        permits == 0 || self.take(permits, left, false)
    }

    /// Gives permits back; they go to those who wait.
    ///
    /// # Cost
    ///
    /// One read-modify-write; a short lock if somebody waits.
    #[inline]
    pub(crate) fn release(&self, permits: u32, now: u64) {
        let before = self.word.fetch_add(u64::from(permits) << WAITING_BITS, Ordering::Release);
        if waiting(before) > 0 {
            self.serve(now);
        }
    }

    /// A call waits on. If it joined beyond the room of the queue, the oldest makes room for it now.
    pub(crate) fn stay(&self, waiter: &Waiter, now: u64) {
        let Some(room) = waiter.beyond() else { return };
        let mut settled = Settled::default();
        let mut queue = self.queue.lock();
        if let Some(oldest) = queue.seat(waiter.place, room) {
            self.refuse(&oldest, &mut settled);
            self.settle(&mut queue, now, &mut settled);
        }
        drop(queue);
        self.wake(settled, now);
    }

    /// Takes a waiter out of the queue, and says what was decided about it before.
    pub(crate) fn withdraw(&self, waiter: &Waiter, now: u64) -> Fate {
        let mut queue = self.queue.lock();
        if !queue.remove(waiter.place) {
            return waiter.fate().unwrap_or(Fate::Refused);
        }
        self.word.fetch_sub(1, Ordering::Relaxed);
        let waker = waiter.settle(Fate::Refused);
        drop(queue);
        shielded(|| drop(waker));
        self.serve(now);
        Fate::Refused
    }

    /// Ends the wait of a call that gives up: what it was granted meanwhile goes on to the next.
    pub(crate) fn leave(&self, waiter: &Waiter, now: u64) {
        if self.withdraw(waiter, now) == Fate::Granted {
            self.release(waiter.permits(), now);
        }
    }

    /// Changes the limit. Lowering it takes no permits away; what raising it frees goes to those who wait when they are
    /// [served](Gauge::serve).
    pub(crate) fn set_limit(&self, limit: u32) {
        let _queue = self.queue.lock();
        let change = i64::from(limit) - i64::from(self.limit.load(Ordering::Relaxed));
        self.limit.store(limit, Ordering::Relaxed);
        self.word.fetch_add((change << WAITING_BITS) as u64, Ordering::Relaxed);
    }

    /// Serves the queue. Wakes those who wait, which is foreign code: for callers that hold no lock.
    #[cold]
    pub(crate) fn serve(&self, now: u64) {
        let mut settled = Settled::default();
        self.settle(&mut self.queue.lock(), now, &mut settled);
        self.wake(settled, now);
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Permits in flight. While the limit changes, this may be off by the difference.
    pub(crate) fn in_flight(&self) -> u32 {
        let in_flight = i64::from(self.limit()) - free(self.word.load(Ordering::Relaxed));
        u32::try_from(in_flight).unwrap_or_default()
    }

    /// Calls that wait.
    pub(crate) fn waiting(&self) -> u32 {
        waiting(self.word.load(Ordering::Relaxed))
    }

    /// Whether nothing is in flight and nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        let _unchanged = self.queue.lock();
        self.in_flight() == 0 && self.waiting() == 0
    }

    /// Takes permits if so many are free and `left` more: for one in the queue, who leaves it with that, or else only
    /// while nobody waits.
    #[inline]
    fn take(&self, permits: u32, left: u32, in_queue: bool) -> bool {
        let needed = i64::from(permits) + i64::from(left);
        let step = (u64::from(permits) << WAITING_BITS) + u64::from(in_queue);
        let mut word = self.word.load(Ordering::Relaxed);
        while free(word) >= needed && (in_queue || waiting(word) == 0) {
            let after = word.wrapping_sub(step);
            match self.word.compare_exchange_weak(word, after, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    #[cold]
    fn join(&self, permits: u32, now: u64, limits: &QueueLimits) -> Asked {
        let mut settled = Settled::default();
        let mut queue = self.queue.lock();
        let joined = self.join_locked(&mut queue, permits, now, limits, &mut settled);
        drop(queue);
        self.wake(settled, now);
        match joined {
            None => Asked::Refused,
            Some(waiter) => match waiter.fate() {
                None => Asked::Queued(waiter),
                Some(Fate::Granted) => Asked::Granted,
                Some(Fate::Refused) => Asked::Refused,
            },
        }
    }

    fn join_locked(
        &self,
        queue: &mut Queue,
        permits: u32,
        now: u64,
        limits: &QueueLimits,
        settled: &mut Settled,
    ) -> Option<Arc<Waiter>> {
        if permits > self.limit() {
            return None;
        }
        queue.set_newest_first(limits.newest_first);
        self.settle(queue, now, settled);
        let is_full = self.waiting() >= limits.room;
        if is_full && !queue.serves_newest(now) {
            return None;
        }
        if self.waiting() > limits.room
            && let Some(guest) = queue.take_guest()
        {
            self.refuse(&guest, settled);
        }
        let beyond = is_full.then_some(limits.room);
        let waiter = queue.push(permits, now, now.saturating_add(limits.max_wait), beyond);
        self.word.fetch_add(1, Ordering::Relaxed);
        self.settle(queue, now, settled);
        Some(waiter)
    }

    /// Wakes those who were settled; no lock is held. Serves on if there may be more. A waker that panics keeps nobody
    /// else from being woken, and the call that gives back from nothing.
    fn wake(&self, mut settled: Settled, now: u64) {
        loop {
            let more = settled.len() >= BATCH;
            settled.drain(..).flatten().for_each(|waker| shielded(|| waker.wake()));
            if !more {
                return;
            }
            self.settle(&mut self.queue.lock(), now, &mut settled);
        }
    }

    /// Grants permits to those who are next, until one has to wait on or enough are settled.
    fn settle(&self, queue: &mut Queue, now: u64, settled: &mut Settled) {
        while settled.len() < BATCH {
            if let Some(late) = queue.pop_late(now) {
                self.refuse(&late, settled);
                continue;
            }
            let Some(next) = queue.next(now) else { return };
            if next.permits() > self.limit() {
                self.refuse(&next, settled);
            } else if self.take(next.permits(), 0, true) {
                settled.push(next.settle(Fate::Granted));
            } else {
                return;
            }
            queue.remove(next.place);
        }
    }

    /// Refuses one who is leaving the queue.
    fn refuse(&self, waiter: &Waiter, settled: &mut Settled) {
        self.word.fetch_sub(1, Ordering::Relaxed);
        settled.push(waiter.settle(Fate::Refused));
    }
}

/// The wakers of those who were settled, if they have left one.
type Settled = SmallVec<[Option<Waker>; BATCH]>;

#[inline]
fn waiting(word: u64) -> u32 {
    (word & WAITING_MOST) as u32
}

#[inline]
fn free(word: u64) -> i64 {
    (word as i64) >> WAITING_BITS
}
