//! How the calls of one backend end.

#[cfg(all(test, loom))]
mod models;

use super::primitive::{AtomicU32, AtomicU64, Ordering};

/// One call, in the upper half of the word; errors are counted in the lower half.
const CALL: u64 = 1 << 32;
const ERROR: u64 = 1;

/// Errors in a row; and calls and errors since the counts were last taken, less than 2^32 of each.
///
/// # Why this is correct
///
/// Calls and errors share one word, which is added to and taken by read-modify-writes: a call is counted once, in the
/// counts that are taken next, and there are never more errors than calls.
///
/// Errors in a row are another word. Each error is one read-modify-write of it, so of many at once exactly one
/// completes a row, which starts anew with that. A success that finds no error writes nothing: it came before the next
/// one.
///
/// Nothing is ordered by either word.
///
/// Models: `one_of_many_errors_completes_a_row` and `every_call_is_taken_once`.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: AtomicU64,
    errors_in_a_row: AtomicU32,
}

impl Tally {
    #[inline]
    pub(crate) fn succeed(&self) {
        self.counts.fetch_add(CALL, Ordering::Relaxed);
        if self.errors_in_a_row.load(Ordering::Relaxed) != 0 {
            self.errors_in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// Counts an error, and says whether it is the last of so many in a row.
    pub(crate) fn fail(&self, row: u32) -> bool {
        self.counts.fetch_add(CALL | ERROR, Ordering::Relaxed);
        let longer = |errors: u32| errors.checked_add(1).filter(|errors| *errors < row);
        let after = |errors| Some(longer(errors).unwrap_or(0));
        let before = self.errors_in_a_row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        before.is_ok_and(|errors| longer(errors).is_none())
    }

    /// Calls, and errors among them.
    pub(crate) fn counts(&self) -> (u32, u32) {
        halves(self.counts.load(Ordering::Relaxed))
    }

    /// Starts to count anew, and says what was counted.
    pub(crate) fn take(&self) -> (u32, u32) {
        halves(self.counts.swap(0, Ordering::Relaxed))
    }

    pub(crate) fn errors_in_a_row(&self) -> u32 {
        self.errors_in_a_row.load(Ordering::Relaxed)
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) {
        self.counts.store(0, Ordering::Relaxed);
        self.errors_in_a_row.store(0, Ordering::Relaxed);
    }
}

fn halves(counts: u64) -> (u32, u32) {
    ((counts >> 32) as u32, counts as u32)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Tally;

    #[test]
    fn a_success_ends_a_row_and_a_whole_row_starts_the_next() {
        let tally = Tally::default();
        assert_eq!([0; 2].map(|_| tally.fail(3)), [false, false]);
        tally.succeed();
        assert_eq!([0; 7].map(|_| tally.fail(3)), [false, false, true, false, false, true, false]);
        assert_eq!((tally.errors_in_a_row(), tally.counts()), (1, (10, 9)));
    }

    #[test]
    fn a_row_that_is_already_longer_is_whole_with_the_next_error() {
        let tally = Tally::default();
        assert!(!(0..4).any(|_| tally.fail(u32::MAX)));
        assert!(tally.fail(2));
    }

    #[test]
    fn what_was_taken_is_not_counted_again() {
        let tally = Tally::default();
        tally.succeed();
        tally.fail(10);
        assert_eq!(tally.take(), (2, 1));
        tally.succeed();
        assert_eq!((tally.take(), tally.take()), ((1, 0), (0, 0)));
    }
}
