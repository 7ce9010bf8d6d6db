//! A limit that holds in every sliding interval, with one word on the hot path.

mod ledger;
mod roll;

use self::ledger::Ledger;
use super::primitive::{AtomicU64, Mutex, Ordering};

/// Bits of the word that count the permits left; the others are the stamp.
const LEFT_BITS: u32 = 24;
const LEFT_MOST: u64 = (1 << LEFT_BITS) - 1;
/// An interval has at most two to this power ticks, so that stamps a few intervals apart compare right.
const INTERVAL_BITS: u32 = 36;
/// Parts of an interval, *cells*: a group lasts one, or up to two while another thread is about to end it, so permits
/// come back at most that much later than they could.
const CELLS: u64 = 128;
/// Larger thresholds are the same as this one.
const THRESHOLD_MOST: u64 = 1 << 62;
/// No time is late enough.
const NEVER: u64 = u64::MAX;

/// When a permit was taken, as the limiter sees it: in its own ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(super) u64);

/// Permits that were taken in advance. Dropping it keeps them taken.
#[derive(Debug)]
pub(crate) struct Loan {
    stamp: Stamp,
    due: u64,
    count: u64,
}

impl Loan {
    /// From when the permits may be used, in nanoseconds of the clock.
    pub(crate) fn due(&self) -> u64 {
        self.due
    }

    #[cfg(all(test, loom))]
    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }
}

/// Admits at most `threshold` permits in every half-open interval `[x, x + interval)`, wherever it begins.
///
/// A burst of the whole threshold passes after idleness, and again one interval after it. Under any other load at least
/// 99 % of what an exact log of all times would admit passes.
///
/// # How it works
///
/// Permits taken within about an interval / 128 form a *group*. The group in progress, the *open* one, is a word: the
/// *stamp* of the last permit taken from it, and how many permits are left to take. When its time is over, whoever comes
/// next *rolls*: under a lock the group is filed with the number of permits taken and its last stamp as its end, a new
/// one is opened, and of the filed groups those that ended one interval ago give their permits back. So permits come
/// back together, one interval after the last of them was taken. At most 130 groups are filed at a time, 12 bytes each,
/// allocated when the first one is.
///
/// ```text
/// word     bits 24..64  stamp, the low 40 bits of its tick
///          bits  0..24  permits left in the open group; further ones wait in the ledger
/// until    the open group's time is over
/// floor    the open group began: no stamp of it is earlier
/// expiry   before this nothing can come back
/// ```
///
/// Moments are in ticks: one nanosecond for intervals of up to 68 s, and for longer ones the power of two of them that
/// makes an interval 2^35 to 2^36 ticks. A permit is stamped with the tick that has not begun before it is taken, and
/// comes back with a tick that has begun: with ticks of several nanoseconds up to two of them late, never early. A
/// word's stamp is read as the first such tick at or after the open group's begin. Nobody takes from a group that is
/// over for a cell, so its stamps lie within 2^37 ticks of its begin, and comparing them modulo 2^40 is right. A clock
/// reading that is older than the group counts as its begin.
///
/// # Why this is correct
///
/// Think of the threshold as that many tokens, each of which has one user at a time. Claim: *two uses of one token have
/// stamps at least one interval apart*. Then an interval holds each token at most once, so at most `threshold` permits.
/// Three sentences carry it:
///
/// 1. *Whoever gives back raises the stamp.* A roll at `t` takes back only groups that ended at `t - interval` or
///    earlier, and the word that it writes carries a stamp of at least `t`. This holds even when all that came back was
///    swallowed as debt, because a token may leave the debt again when a loan is given back.
/// 2. *A stamp never goes back.* Whoever takes a permit writes the later of his clock and the stamp that is there, and
///    that is the permit's stamp. An open group's end is the stamp in its word, so no permit in it has a later one.
/// 3. *Undoing finds its own group or does nothing.* Groups do not overlap: one is closed only when the time has passed
///    its end, and the next begins at that time. So the first group whose end is not before the stamp is its own. What
///    left the interval is known by the end of the last group that did, and is not given back twice.
///
/// Now take a token's use at `s`, in a group with end `e >= s`, and the next use at `s'`. Between them a roll at
/// `t >= e + interval` took the token back, or the first use was undone and never happened. By 1 and 2,
/// `s' >= t >= s + interval`. No token comes from nowhere: `left + reserve + taken + lent = threshold + debt` is kept
/// by each step under the lock, and taking moves one from `left` to `taken`, as `taken` of the open group is what was
/// granted to it less what is left. A lowered threshold removes free tokens at once and others when they come back (the debt).
///
/// *Loans.* A loan is the promise of tokens for its due moment. It is made only when the filed groups that ended at
/// `due - interval` or earlier hold all that is owed already and the loan as well; from then on it is owed too. What
/// comes back pays debts before anything else. Take them as paid in the order in which they were made: then each loan
/// is paid with tokens that were last used at `due - interval` or earlier, whatever is owed later stands behind it, and
/// an undo lowers the debt as much as it lowers the groups. Every roll first rolls to the due moments that it passes,
/// one by one. It finds the loan paid there, and takes it like any other permit, with the due moment as its stamp. So
/// the claim holds for loans as well, and giving one back finds its group. Two permits with one stamp are the same to
/// everyone, so it does not matter if giving back confuses them.
///
/// *Orderings.* A roll stores `floor`, then the word, then `until` and `expiry`; each store and the word's
/// read-modify-writes release, each load acquires. Who sees a roll's word thus sees its floor or a later one. Who sees a
/// later `until` than belongs to the word he read fails to exchange the word, since it has changed. Who sees no permits
/// in the word, and then an `expiry` in his future, looks at the word again: were that expiry from a later roll, the
/// word would have changed. `threshold` is written under the lock, and read without ordering: it only tells apart "not
/// now" from "never".
///
/// Models: all in `models.rs` whose names do not speak of a leaky bucket.
#[derive(Debug)]
pub(crate) struct SlidingLimiter {
    word: AtomicU64,
    until: AtomicU64,
    floor: AtomicU64,
    expiry: AtomicU64,
    threshold: AtomicU64,
    /// Ticks.
    interval: u64,
    /// Ticks that a group lasts.
    cell: u64,
    /// A tick is two to this power nanoseconds.
    tick_bits: u32,
    /// One nanosecond less than a tick.
    tick_mask: u64,
    ledger: Mutex<Ledger>,
}

impl SlidingLimiter {
    /// A limiter of `threshold` permits per `interval` nanoseconds.
    pub(crate) fn new(threshold: u64, interval: u64) -> Self {
        Self::with_cells(threshold, interval, CELLS)
    }

    /// Takes one group per `interval / cells`; models need few.
    pub(super) fn with_cells(threshold: u64, interval: u64, cells: u64) -> Self {
        let threshold = threshold.min(THRESHOLD_MOST);
        let granted = threshold.min(LEFT_MOST);
        let tick_bits = (u64::BITS - interval.leading_zeros()).saturating_sub(INTERVAL_BITS);
        let interval = interval.div_ceil(1 << tick_bits).max(1);
        let cell = interval.div_ceil(cells);
        Self {
            word: AtomicU64::new(granted),
            until: AtomicU64::new(cell),
            floor: AtomicU64::new(0),
            expiry: AtomicU64::new(if threshold > granted { 0 } else { interval }),
            threshold: AtomicU64::new(threshold),
            interval,
            cell,
            tick_bits,
            tick_mask: (1 << tick_bits) - 1,
            ledger: Mutex::new(Ledger::new(threshold, granted)),
        }
    }

    /// Takes permits: all of them or none.
    ///
    /// None at all always pass; more than the threshold never do.
    ///
    /// # Errors
    ///
    /// The moment before which it is of no use to try again: exact for a single permit, up to a group's length early
    /// while the oldest group is still open, early for several permits. `u64::MAX` when no time is late enough.
    ///
    /// # Cost
    ///
    /// One compare-exchange, or none and three loads when refused; about 128 times per interval also a short lock. One
    /// allocation in the limiter's life, another when the threshold is raised.
    #[inline(always)]
    pub(crate) fn acquire(&self, now: u64, count: u64) -> Result<Stamp, u64> {
        let up = self.up(now);
        let word = self.word.load(Ordering::Acquire);
        // One comparison for `0 < count && count <= left`.
        if count.wrapping_sub(1) < left(word) {
            if up < self.until.load(Ordering::Acquire)
                && let Some(stamp) = self.take(word, up, count)
            {
                return Ok(stamp);
            }
        } else if count.wrapping_sub(1) < self.threshold.load(Ordering::Relaxed) {
            let expiry = self.expiry.load(Ordering::Acquire);
            if self.down(now) < expiry && self.word.load(Ordering::Acquire) == word {
                return Err(self.nanos(expiry));
            }
        }
        self.acquire_slow(now, count)
    }

    /// Gives back what [`acquire`](Self::acquire) took; once it is back by itself this does nothing.
    pub(crate) fn undo(&self, stamp: Stamp, count: u64) {
        let mut ledger = self.ledger.lock();
        self.undo_locked(&mut ledger, stamp, count);
    }

    /// Takes permits now, or else in advance such as come back within `max_wait` nanoseconds.
    ///
    /// The permits may be used from the loan's due moment on, which is their stamp: seen so, no interval holds more than
    /// the threshold. What is lent is covered by what is taken, so it is never more than the threshold either.
    ///
    /// # Errors
    ///
    /// The moment at which the permits would be back, as far as it is known, or else as [`acquire`](Self::acquire).
    ///
    /// # Cost
    ///
    /// A short lock; an allocation the first time.
    pub(crate) fn borrow(&self, now: u64, count: u64, max_wait: u64) -> Result<Loan, u64> {
        let mut ledger = self.ledger.lock();
        if count > self.threshold() {
            return Err(NEVER);
        }
        let not_before = match self.roll(&mut ledger, now, count) {
            Ok(stamp) => return Ok(Loan { stamp, due: now, count }),
            Err(not_before) => not_before,
        };
        let Ok(permits) = u32::try_from(count) else { return Err(not_before) };
        let Some(tick) = ledger.due(count, self.interval) else { return Err(not_before) };
        let due = self.nanos(tick);
        if due.saturating_sub(now) > max_wait {
            return Err(due);
        }
        ledger.lend(tick, permits, self.places());
        Ok(Loan { stamp: Stamp(tick), due, count })
    }

    /// Gives back what [`borrow`](Self::borrow) took.
    #[expect(clippy::needless_pass_by_value, reason = "a loan is given back once")]
    pub(crate) fn give_back(&self, loan: Loan) {
        let Loan { stamp, count, .. } = loan;
        let mut ledger = self.ledger.lock();
        let cancelled = ledger.cancel(stamp.0, count);
        ledger.free(cancelled);
        self.undo_locked(&mut ledger, stamp, count - cancelled);
    }

    /// Changes the threshold; what is taken stays taken.
    ///
    /// When it is lowered below what is taken, nothing passes until enough has come back.
    pub(crate) fn set_threshold(&self, threshold: u64) {
        let threshold = threshold.min(THRESHOLD_MOST);
        let mut ledger = self.ledger.lock();
        let before = self.threshold.load(Ordering::Relaxed);
        self.threshold.store(threshold, Ordering::Relaxed);
        ledger.free(threshold.saturating_sub(before));
        self.withdraw(&mut ledger, before.saturating_sub(threshold));
        self.refill(&mut ledger);
    }

    pub(crate) fn threshold(&self) -> u64 {
        self.threshold.load(Ordering::Relaxed)
    }

    /// Permits left to take at the moment, as far as they fit the word.
    pub(crate) fn left(&self) -> u64 {
        left(self.word.load(Ordering::Relaxed))
    }

    /// Permits out at `now`.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn used(&self, now: u64) -> u64 {
        let now = self.down(now);
        let ledger = self.ledger.lock();
        ledger.out(now, self.interval) + self.taken_from_open(&ledger, now)
    }

    /// Whether at `now` every permit is back and none is lent, so that a new limiter would be as good as this one.
    pub(crate) fn is_idle(&self, now: u64) -> bool {
        let now = self.down(now);
        let ledger = self.ledger.lock();
        ledger.is_settled(now, self.interval) && self.taken_from_open(&ledger, now) == 0
    }

    /// Takes permits from the word, unless it has changed.
    #[inline]
    fn take(&self, word: u64, up: u64, count: u64) -> Option<Stamp> {
        let at = up.max(self.floor.load(Ordering::Acquire));
        let mark = at << LEFT_BITS;
        // The permits left make this less than the distance of the stamps, but not by a whole stamp.
        let ahead = mark.wrapping_sub(word).cast_signed();
        let (base, stamp) = if ahead > 0 {
            (mark | left(word), at)
        } else {
            (word, at.wrapping_add(ahead.unsigned_abs() >> LEFT_BITS))
        };
        self.word
            .compare_exchange_weak(word, base - count, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
            .then_some(Stamp(stamp))
    }

    #[cold]
    #[inline(never)]
    fn acquire_slow(&self, now: u64, count: u64) -> Result<Stamp, u64> {
        if count == 0 {
            return Ok(Stamp(self.up(now)));
        }
        if count > self.threshold.load(Ordering::Relaxed) {
            return Err(NEVER);
        }
        let (up, down) = (self.up(now), self.down(now));
        loop {
            let word = self.word.load(Ordering::Acquire);
            let until = self.until.load(Ordering::Acquire);
            if left(word) < count {
                let expiry = self.expiry.load(Ordering::Acquire);
                if down >= expiry {
                    return self.roll(&mut self.ledger.lock(), now, count);
                }
                if self.word.load(Ordering::Acquire) == word {
                    return Err(self.nanos(expiry));
                }
                continue;
            }
            if up >= until {
                // While somebody else rolls, the group may go on: its end is its last stamp, whenever that is. But not
                // for long, since all that was taken from it before stays out until an interval after its end.
                let ledger = match self.ledger.try_lock() {
                    None if up - until >= self.cell => Some(self.ledger.lock()),
                    ledger => ledger,
                };
                if let Some(mut ledger) = ledger {
                    return self.roll(&mut ledger, now, count);
                }
            }
            if let Some(stamp) = self.take(word, up, count) {
                return Ok(stamp);
            }
        }
    }

    /// The first tick that has not begun before `now`.
    #[inline]
    fn up(&self, now: u64) -> u64 {
        now.saturating_add(self.tick_mask) >> self.tick_bits
    }

    /// The last tick that has begun at `now`.
    #[inline]
    fn down(&self, now: u64) -> u64 {
        now >> self.tick_bits
    }

    fn nanos(&self, tick: u64) -> u64 {
        tick.checked_mul(1 << self.tick_bits).unwrap_or(NEVER)
    }
}

fn left(word: u64) -> u64 {
    word & LEFT_MOST
}

#[cfg(all(test, not(loom)))]
mod tests;
