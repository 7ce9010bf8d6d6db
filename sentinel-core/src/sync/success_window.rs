//! How many calls were asked for lately, and how many of them went well.

use std::collections::VecDeque;

use super::primitive::{AtomicU64, Mutex, Ordering};

/// What was asked for and what of it went well, within a window of buckets that begin at multiples of their length.
///
/// The window is the bucket in progress and those before it, as many as make up the interval. Counts are totals that only
/// grow; what left the window is a pair of marks that is taken off.
///
/// # Why this is correct
///
/// Each event is one read-modify-write on a total, so none is lost. Marks are set by whoever first sees a new bucket,
/// under the lock; who meets somebody else at it goes on with the marks of before, and sees a window that is one bucket
/// longer. The four words are not read as one: a reader may miss events of the moment, which a share that is decided by
/// chance does not feel. Where it reads a total before and its mark after a turn, the difference is negative: that is
/// none.
///
/// The end of the bucket is stored after the marks, with a release that its readers acquire.
#[derive(Debug)]
pub(crate) struct SuccessWindow {
    /// Nanoseconds of one bucket.
    length: u64,
    /// The end of the bucket in progress.
    until: AtomicU64,
    /// Those that did not go well, so that a call adds to one total only.
    other: AtomicU64,
    /// The totals when the window began.
    good_before: AtomicU64,
    other_before: AtomicU64,
    good: Apart,
    row: Mutex<Row>,
}

/// A total that most calls add to, away from what all of them read.
#[derive(Debug)]
#[repr(align(128))]
struct Apart(AtomicU64);

#[derive(Debug)]
struct Row {
    /// The number of the bucket in progress.
    current: u64,
    /// The totals when each bucket of the window began, the one in progress last.
    marks: VecDeque<(u64, u64)>,
}

impl SuccessWindow {
    /// A window over `interval` nanoseconds in `buckets` parts, at least one. An interval that cannot be divided is
    /// rounded up.
    pub(crate) fn new(interval: u64, buckets: u32) -> Self {
        let buckets = buckets.max(1);
        Self {
            length: interval.div_ceil(u64::from(buckets)).max(1),
            until: AtomicU64::new(0),
            other: AtomicU64::new(0),
            good_before: AtomicU64::new(0),
            other_before: AtomicU64::new(0),
            good: Apart(AtomicU64::new(0)),
            row: Mutex::new(Row { current: 0, marks: (0..buckets).map(|_| (0, 0)).collect() }),
        }
    }

    /// The nanoseconds of one bucket.
    pub(crate) fn bucket(&self) -> u64 {
        self.length
    }

    /// What was asked and what was good within the window.
    ///
    /// # Cost
    ///
    /// Five loads; whoever comes first in each bucket takes a lock, for which nobody waits.
    pub(crate) fn read(&self, now: u64) -> (u64, u64) {
        let other = self.failures(now);
        let good = since(&self.good.0, &self.good_before);
        (good.saturating_add(other), good)
    }

    /// What of that did not go well.
    ///
    /// # Cost
    ///
    /// Three loads of words that are written by calls that do not go well, and where a bucket ends.
    #[inline]
    pub(crate) fn failures(&self, now: u64) -> u64 {
        self.look(now);
        since(&self.other, &self.other_before)
    }

    /// Counts what was asked for and went well, in the bucket of `now`.
    #[inline]
    pub(crate) fn succeed(&self, now: u64, count: u64) {
        self.look(now);
        self.good.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts what was asked for and did not go well, in the bucket of `now`.
    #[inline]
    pub(crate) fn fail(&self, now: u64, count: u64) {
        self.look(now);
        self.other.fetch_add(count, Ordering::Relaxed);
    }

    #[inline]
    fn look(&self, now: u64) {
        if now >= self.until.load(Ordering::Acquire) {
            self.turn_to(now);
        }
    }

    #[cold]
    #[inline(never)]
    fn turn_to(&self, now: u64) {
        let Some(mut row) = self.row.try_lock() else { return };
        let bucket = now / self.length;
        let gap = bucket.saturating_sub(row.current);
        row.current += gap;
        let totals = (self.good.0.load(Ordering::Relaxed), self.other.load(Ordering::Relaxed));
        for _ in (0..gap).zip(0..row.marks.len()) {
            row.marks.pop_front();
            row.marks.push_back(totals);
        }
        if let Some((good, other)) = row.marks.front() {
            self.good_before.store(*good, Ordering::Relaxed);
            self.other_before.store(*other, Ordering::Relaxed);
        }
        self.until.store(row.current.saturating_add(1).saturating_mul(self.length), Ordering::Release);
    }
}

/// What a total has grown by since its mark.
#[inline]
fn since(total: &AtomicU64, mark: &AtomicU64) -> u64 {
    let difference = total.load(Ordering::Relaxed).wrapping_sub(mark.load(Ordering::Relaxed));
    difference.cast_signed().max(0).cast_unsigned()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::SuccessWindow;

    fn advance() -> impl Strategy<Value = u64> {
        prop_oneof![3 => Just(0_u64), 3 => 1..30_u64, 1 => 30..400_u64]
    }

    proptest! {
        #[test]
        fn it_is_the_sum_of_what_happened_in_its_buckets(
            buckets in 1..6_u32,
            acts in vec((advance(), any::<bool>(), 1..4_u64, any::<bool>()), 1..120),
        ) {
            let window = SuccessWindow::new(u64::from(buckets) * 10, buckets);
            let mut log: Vec<(u64, bool, u64)> = Vec::new();
            let mut now = 0;
            for (advance, is_good, count, is_looked_at) in acts {
                now += advance;
                let begin = (now / 10 + 1).saturating_sub(buckets.into()) * 10;
                let within = || log.iter().filter(|(at, ..)| *at >= begin);
                let asked: u64 = within().map(|(_, _, count)| count).sum();
                let good: u64 = within().filter(|(_, is_good, _)| *is_good).map(|(_, _, count)| count).sum();
                if is_looked_at {
                    prop_assert_eq!(window.read(now), (asked, good));
                }
                if is_good { window.succeed(now, count) } else { window.fail(now, count) }
                log.push((now, is_good, count));
            }
        }
    }
}
