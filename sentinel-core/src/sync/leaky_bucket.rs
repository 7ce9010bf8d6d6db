//! Calls at even spacing.

use std::collections::BTreeMap;

use super::primitive::{AtomicU64, Mutex, Ordering};

/// Gaps that are remembered; what is given back beyond that is lost.
const MAX_GAPS: usize = 4_096;

/// A queue of slots, one after the other: the leaky bucket as a queue, which is the generic cell rate algorithm (ITU-T
/// I.371) without a burst.
///
/// A call takes a free slot and pays for it afterwards: the slot behind it begins `cost` nanoseconds later. So a call
/// after idleness passes at once, whatever it costs, and who comes behind it waits. Idleness saves nothing up.
///
/// Who gives a slot back while others wait behind it leaves a *gap*, since they have been told when to go. The next who
/// comes takes it: the first gap in which there is room, or else a slot at the end of the queue.
///
/// # Why this is correct
///
/// Claim: *no moment is in two slots*. Time from `next_free` on is free; before it, what is free is in the gaps, which do
/// not overlap and end before `next_free`, or lies in the past.
///
/// A slot at the end is taken by one compare-exchange from the exact word that was read: whoever wrote that value
/// meanwhile, time from there on is free. All else happens under the lock. A slot in a gap is cut out of it. A slot that
/// is given back is the last one, if `next_free` is its end: then one compare-exchange frees it, and the gap that ends
/// where it began, if there is one, in the same way. Otherwise, or when somebody takes a slot behind it meanwhile, it
/// becomes a gap. `gaps` may be read too early or too late without harm: a gap is missed, or a lock taken for nothing.
///
/// Nothing else is ordered by the words.
///
/// Models: `bookings_get_distinct_slots`, `a_booking_given_back_opens_no_slot_twice`, `a_gap_is_filled_once`.
///
/// # Memory
///
/// 35 bytes for each gap that lies ahead, at most 4,096 of them; adjacent ones are one.
#[derive(Debug, Default)]
pub(crate) struct LeakyBucket {
    next_free: AtomicU64,
    /// How many gaps there are.
    gaps: AtomicU64,
    /// Begin and end of each.
    free: Mutex<BTreeMap<u64, u64>>,
}

/// A slot that was taken. Dropping it keeps the slot taken.
#[derive(Debug)]
pub(crate) struct Booking {
    /// Nanoseconds until the slot begins.
    pub(crate) wait: u64,
    /// What was free from, before.
    before: u64,
    start: u64,
    after: u64,
}

impl LeakyBucket {
    /// Takes the first free slot, which lasts `cost` nanoseconds.
    ///
    /// # Errors
    ///
    /// The wait in nanoseconds when it is longer than `max_wait`; nothing is taken then.
    ///
    /// # Cost
    ///
    /// One compare-exchange when uncontended, two loads when refused; a short lock while there are gaps.
    #[inline]
    pub(crate) fn book(&self, now: u64, cost: u64, max_wait: u64) -> Result<Booking, u64> {
        if self.gaps.load(Ordering::Relaxed) > 0
            && let Some(in_gap) = self.book_in_gap(now, cost, max_wait)
        {
            return in_gap;
        }
        let mut before = self.next_free.load(Ordering::Relaxed);
        loop {
            let start = before.max(now);
            let wait = start - now;
            if wait > max_wait {
                return Err(wait);
            }
            let after = start.saturating_add(cost);
            match self.next_free.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(Booking { wait, before, start, after }),
                Err(seen) => before = seen,
            }
        }
    }

    /// Takes a slot in the first gap that has room for it, if there is one.
    #[cold]
    fn book_in_gap(&self, now: u64, cost: u64, max_wait: u64) -> Option<Result<Booking, u64>> {
        let mut free = self.free.lock();
        while let Some(gap) = free.first_entry().filter(|gap| *gap.get() <= now) {
            gap.remove();
        }
        let fits = |(&begin, &end): (&u64, &u64)| {
            let start = begin.max(now);
            (end - start >= cost).then_some((begin, start, end))
        };
        let booked = free.iter().find_map(fits).map(|(begin, start, end)| {
            let wait = start - now;
            if wait > max_wait {
                return Err(wait);
            }
            let after = start + cost;
            free.remove(&begin);
            if after < end {
                free.insert(after, end);
            }
            Ok(Booking { wait, before: start, start, after })
        });
        self.gaps.store(free.len() as u64, Ordering::Relaxed);
        booked
    }

    /// Gives a slot back.
    ///
    /// # Cost
    ///
    /// A short lock.
    #[expect(clippy::needless_pass_by_value, reason = "a slot is given back once")]
    pub(crate) fn give_back(&self, booking: Booking) {
        let Booking { before, start, after, .. } = booking;
        let mut free = self.free.lock();
        if self.shorten(after, before) {
            if let Some((&begin, _)) = free.range(..before).next_back().filter(|(_, end)| **end == before)
                && self.shorten(before, begin)
            {
                free.remove(&begin);
            }
        } else {
            add(&mut free, start, after);
        }
        self.gaps.store(free.len() as u64, Ordering::Relaxed);
    }

    /// Frees the end of the queue from `to` on, if that is still what ends at `end`.
    fn shorten(&self, end: u64, to: u64) -> bool {
        self.next_free.compare_exchange(end, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether a call at `now` would not wait.
    pub(crate) fn is_idle(&self, now: u64) -> bool {
        self.next_free.load(Ordering::Relaxed) <= now
    }
}

/// Adds a gap, as one with those that it touches.
fn add(free: &mut BTreeMap<u64, u64>, mut begin: u64, mut end: u64) {
    if let Some((&earlier, _)) = free.range(..begin).next_back().filter(|(_, end)| **end == begin) {
        free.remove(&earlier);
        begin = earlier;
    }
    if let Some(later) = free.remove(&end) {
        end = later;
    }
    if begin < end && free.len() < MAX_GAPS {
        free.insert(begin, end);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
