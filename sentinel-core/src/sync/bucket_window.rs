//! A limit on buckets aligned to the clock.

use std::collections::VecDeque;

use super::primitive::Mutex;

/// No time is late enough.
const NEVER: u64 = u64::MAX;

/// The number of the bucket in which permits were counted: its begin divided by its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// Counts permits in buckets that begin at multiples of their length; the window is the bucket in progress and those
/// before it, as many as make up the interval.
///
/// This is the sliding window of the Sentinel family (`LeapArray`), with its numbers: a bucket leaves the window as a
/// whole, so with two buckets nearly twice the threshold can pass within an interval that is not aligned. Unlike
/// there, checking and counting are one step, and a clock reading from before the bucket in progress counts in it.
///
/// Buckets to come hold what was borrowed from them; when their time comes it counts like any other.
///
/// # Why this is correct
///
/// The state is a row of buckets, too much for a word, so it lies behind a lock that is held for a few steps. The
/// number of the bucket in progress never goes back, and each step of it drops the oldest bucket of the row and adds an
/// empty one at the far end, so a count is in the row from when it is made until its bucket has left the window.
#[derive(Debug)]
pub(crate) struct BucketWindow {
    /// Nanoseconds.
    length: u64,
    row: Mutex<Row>,
}

#[derive(Debug)]
struct Row {
    /// The number of the bucket in progress.
    current: u64,
    /// How many buckets a window has.
    buckets: usize,
    /// Permits by bucket: those of the window, the bucket in progress last, then as many to come.
    counts: VecDeque<u64>,
}

impl BucketWindow {
    /// A window over `interval` nanoseconds in `buckets` parts, at least one. An interval that cannot be divided is
    /// rounded up.
    pub(crate) fn new(interval: u64, buckets: u32) -> Self {
        let buckets = buckets.max(1);
        let counts: VecDeque<u64> = (0..buckets).flat_map(|_| [0, 0]).collect();
        let row = Row { current: 0, buckets: counts.len() / 2, counts };
        Self { length: interval.div_ceil(u64::from(buckets)).max(1), row: Mutex::new(row) }
    }

    /// Counts permits if no more than `threshold` are then in the window. None at all always pass.
    ///
    /// # Errors
    ///
    /// The moment from which they would pass, if nothing else came; `u64::MAX` when no time is late enough.
    pub(crate) fn acquire(&self, now: u64, count: u64, threshold: u64) -> Result<Stamp, u64> {
        let mut row = self.row.lock();
        row.advance(now / self.length);
        if count == 0 {
            return Ok(Stamp(row.current));
        }
        let Some(room) = threshold.checked_sub(count) else { return Err(NEVER) };
        if row.used() <= room {
            return Ok(row.add(0, count));
        }
        Err(row.begin_of_room(room).saturating_mul(self.length))
    }

    /// Counts permits in the bucket in progress.
    pub(crate) fn record(&self, now: u64, count: u64) -> Stamp {
        let mut row = self.row.lock();
        row.advance(now / self.length);
        row.add(0, count)
    }

    /// Takes permits out of the bucket in which they were counted, if it is still there.
    pub(crate) fn undo(&self, stamp: Stamp, count: u64) {
        let mut row = self.row.lock();
        if let Some(permits) = row.bucket(stamp) {
            *permits = permits.saturating_sub(count);
        }
    }

    /// Permits in the window.
    pub(crate) fn sum(&self, now: u64) -> u64 {
        let mut row = self.row.lock();
        row.advance(now / self.length);
        row.used()
    }

    /// Counts permits in the first bucket to come in whose window they have room, if it begins in less than
    /// `max_wait` nanoseconds; returns that wait too.
    ///
    /// At no time is more borrowed than the threshold.
    pub(crate) fn borrow(&self, now: u64, count: u64, threshold: u64, max_wait: u64) -> Option<(Stamp, u64)> {
        let mut row = self.row.lock();
        row.advance(now / self.length);
        let borrowed = row.borrowed();
        if borrowed >= threshold {
            return None;
        }
        // All that is borrowed counts against each bucket to come, though some of it may come due after it.
        let mut used = row.used().saturating_add(borrowed).saturating_add(count);
        for (step, &leaves) in (1..).zip(row.counts.iter().take(row.buckets)) {
            let wait = row.current.saturating_add(step).saturating_mul(self.length).saturating_sub(now);
            if wait >= max_wait {
                break;
            }
            used -= leaves;
            if used <= threshold {
                return Some((row.add(step, count), wait));
            }
        }
        None
    }
}

impl Row {
    /// Moves on to a later bucket, never back.
    fn advance(&mut self, bucket: u64) {
        let gap = bucket.saturating_sub(self.current);
        self.current += gap;
        for _ in (0..gap).zip(0..self.counts.len()) {
            self.counts.pop_front();
            self.counts.push_back(0);
        }
    }

    fn used(&self) -> u64 {
        self.counts.iter().take(self.buckets).fold(0, |sum, &permits| sum.saturating_add(permits))
    }

    fn borrowed(&self) -> u64 {
        self.counts.iter().skip(self.buckets).fold(0, |sum, &permits| sum.saturating_add(permits))
    }

    /// Counts permits in the bucket `step` after the one in progress.
    fn add(&mut self, step: u64, count: u64) -> Stamp {
        let stamp = Stamp(self.current.saturating_add(step));
        if let Some(permits) = self.bucket(stamp) {
            *permits = permits.saturating_add(count);
        }
        stamp
    }

    fn bucket(&mut self, stamp: Stamp) -> Option<&mut u64> {
        let place = stamp.0.saturating_add(self.buckets as u64 - 1).checked_sub(self.current)?;
        self.counts.get_mut(usize::try_from(place).ok()?)
    }

    /// The number of the first bucket to come in whose window no more than `room` permits are.
    fn begin_of_room(&self, room: u64) -> u64 {
        let mut used = self.used();
        // Behind the last bucket of the row nothing is counted.
        let comes = self.counts.iter().skip(self.buckets).chain(std::iter::repeat(&0));
        for ((step, &leaves), &comes) in (1..).zip(&self.counts).zip(comes) {
            used = used.saturating_sub(leaves).saturating_add(comes);
            if used <= room {
                return self.current.saturating_add(step);
            }
        }
        self.current.saturating_add(self.counts.len() as u64)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
