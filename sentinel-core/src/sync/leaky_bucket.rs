//! Calls at even spacing.

use super::primitive::{AtomicU64, Ordering};

/// A queue of slots, one after the other: the leaky bucket as a queue, which is the generic cell rate algorithm (ITU-T
/// I.371) without a burst.
///
/// A call takes the next free slot and pays for it afterwards: the slot behind it begins `cost` nanoseconds later. So a
/// call after idleness passes at once, whatever it costs, and who comes behind it waits. Idleness saves nothing up.
///
/// # Why this is correct
///
/// The state is one word, the moment at which the next slot begins, and taking a slot is one compare-exchange from the
/// exact word that was read: between two slots there is always the cost of the first. Giving back is one
/// compare-exchange from the end of one's own slot, so it succeeds only for the newest slot, and then leaves what
/// was there before. Were an end to come up twice, the first slot that had it must have been given back.
///
/// Nothing else is ordered by the word.
///
/// Models: `bookings_get_distinct_slots`, `a_booking_given_back_opens_no_slot_twice`.
#[derive(Debug, Default)]
pub(crate) struct LeakyBucket {
    next_free: AtomicU64,
}

/// A slot that was taken. Dropping it keeps the slot taken.
#[derive(Debug)]
pub(crate) struct Booking {
    /// Nanoseconds until the slot begins.
    pub(crate) wait: u64,
    before: u64,
    after: u64,
}

impl LeakyBucket {
    /// Takes the next free slot, which lasts `cost` nanoseconds.
    ///
    /// # Errors
    ///
    /// The wait in nanoseconds when it is longer than `max_wait`; nothing is taken then.
    ///
    /// # Cost
    ///
    /// One compare-exchange when uncontended; a load when refused.
    #[inline]
    pub(crate) fn book(&self, now: u64, cost: u64, max_wait: u64) -> Result<Booking, u64> {
        let mut before = self.next_free.load(Ordering::Relaxed);
        loop {
            let start = before.max(now);
            let wait = start - now;
            if wait > max_wait {
                return Err(wait);
            }
            let after = start.saturating_add(cost);
            match self.next_free.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(Booking { wait, before, after }),
                Err(seen) => before = seen,
            }
        }
    }

    /// Gives a slot back. It is lost when another one was taken behind it.
    #[expect(clippy::needless_pass_by_value, reason = "a slot is given back once")]
    pub(crate) fn give_back(&self, booking: Booking) {
        let Booking { before, after, .. } = booking;
        // Fails when the slot is not the newest any more, which is no error.
        let _ = self.next_free.compare_exchange(after, before, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether a call at `now` would not wait.
    pub(crate) fn is_idle(&self, now: u64) -> bool {
        self.next_free.load(Ordering::Relaxed) <= now
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
