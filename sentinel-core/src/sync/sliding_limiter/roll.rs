//! The limiter's steps under its lock.
//!
//! # Why this is correct
//!
//! The argument is that of [`SlidingLimiter`] as a whole: each step here keeps one of its sentences.

use super::{LEFT_BITS, LEFT_MOST, Ledger, Ordering, SlidingLimiter, Stamp, left};

/// The bits of a tick that a word's stamp has.
const STAMP_MASK: u64 = u64::MAX >> LEFT_BITS;

impl SlidingLimiter {
    /// Brings the ledger up to `now`, and takes permits if enough are free.
    pub(super) fn roll(&self, ledger: &mut Ledger, now: u64, count: u64) -> Result<Stamp, u64> {
        let (up, down) = (self.up(now), self.down(now));
        while let Some((due, lent)) = ledger.mature(down) {
            self.roll_to(ledger, due, due, lent, 0);
        }
        self.roll_to(ledger, up, down, 0, count).ok_or_else(|| self.nanos(ledger.next_return(down, self.interval)))
    }

    /// Rolls to one moment, and takes permits there: lent ones, which were set aside, and free ones if there are enough.
    ///
    /// What is taken is stamped `now`; what comes back has been out for an interval at `begun`.
    fn roll_to(&self, ledger: &mut Ledger, now: u64, begun: u64, lent: u64, count: u64) -> Option<Stamp> {
        let back = ledger.expire(begun, self.interval);
        ledger.free(back);
        let until = self.until.load(Ordering::Relaxed);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let taken = ledger.granted - left(word);
            let end = last_stamp(word, ledger.began);
            let is_gone = taken > 0 && end.saturating_add(self.interval) <= begun;
            let opens = is_gone || (now >= until && now > end);
            let returned = if is_gone { taken } else { 0 };
            let swallowed = returned.min(ledger.debt);
            let free = left(word) + ledger.reserve + returned - swallowed;
            let now_taken = if count <= free { count } else { 0 };
            let granted = (free - now_taken).min(LEFT_MOST);
            let stamp = if opens || back + lent + now_taken > 0 { now.max(end) } else { end };
            if opens {
                self.floor.store(now, Ordering::Release);
            }
            let next = stamp << LEFT_BITS | granted;
            if let Err(seen) = self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire) {
                word = seen;
                continue;
            }
            let stays = if is_gone {
                ledger.forget(end);
                0
            } else if opens {
                ledger.finish(end, taken, self.places())
            } else {
                taken
            };
            ledger.debt -= swallowed;
            ledger.reserve = free - now_taken - granted;
            ledger.granted = stays + lent + now_taken + granted;
            if opens {
                ledger.began = now;
                self.until.store(now.saturating_add(self.cell), Ordering::Release);
            }
            let expiry = if ledger.reserve > 0 { 0 } else { ledger.next_return(begun, self.interval) };
            self.expiry.store(expiry, Ordering::Release);
            return (now_taken == count).then_some(Stamp(stamp));
        }
    }

    /// Gives permits back to the group they were taken from, if it is still there, and makes them free.
    pub(super) fn undo_locked(&self, ledger: &mut Ledger, stamp: Stamp, count: u64) {
        let back = if ledger.is_gone(stamp.0) {
            0
        } else if stamp.0 < ledger.began {
            ledger.take_back(stamp.0, count)
        } else {
            // Others can only take more meanwhile.
            let back = count.min(ledger.granted - self.left());
            ledger.granted -= back;
            back
        };
        ledger.free(back);
        self.refill(ledger);
    }

    /// Moves free permits from the reserve into the word.
    pub(super) fn refill(&self, ledger: &mut Ledger) {
        // Others can only take from the word meanwhile, so there is room for this much.
        let permits = ledger.reserve.min(LEFT_MOST - self.left());
        if permits > 0 {
            self.word.fetch_add(permits, Ordering::AcqRel);
            ledger.reserve -= permits;
            ledger.granted += permits;
        }
        if ledger.reserve > 0 {
            self.expiry.store(0, Ordering::Release);
        }
    }

    /// Takes permits out of circulation: free ones now, the rest when they come back.
    pub(super) fn withdraw(&self, ledger: &mut Ledger, permits: u64) {
        let from_reserve = permits.min(ledger.reserve);
        ledger.reserve -= from_reserve;
        let permits = permits - from_reserve;
        let mut word = self.word.load(Ordering::Acquire);
        let from_word = loop {
            let from_word = permits.min(left(word));
            match self.word.compare_exchange(word, word - from_word, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break from_word,
                Err(seen) => word = seen,
            }
        };
        ledger.granted -= from_word;
        ledger.debt += permits - from_word;
    }

    /// Permits of the open group that have not come back at `now`.
    pub(super) fn taken_from_open(&self, ledger: &Ledger, now: u64) -> u64 {
        let word = self.word.load(Ordering::Acquire);
        let is_out = last_stamp(word, ledger.began).saturating_add(self.interval) > now;
        if is_out { ledger.granted - left(word) } else { 0 }
    }

    /// How many groups there can be: all begin in different cells but one, and all hold a permit.
    pub(super) fn places(&self) -> usize {
        let most = (self.interval.div_ceil(self.cell) + 2).min(self.threshold.load(Ordering::Relaxed));
        usize::try_from(most).unwrap_or(usize::MAX)
    }
}

/// The word's stamp in full: the first tick at or after the group's begin that has its bits.
fn last_stamp(word: u64, began: u64) -> u64 {
    began.saturating_add((word >> LEFT_BITS).wrapping_sub(began) & STAMP_MASK)
}
