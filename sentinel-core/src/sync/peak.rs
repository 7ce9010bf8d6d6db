//! The greatest of late.

use super::primitive::{AtomicU64, Ordering};

/// The greatest number since somebody last asked.
///
/// # Why this is correct
///
/// One word, raised and taken by read-modify-writes, so a number is seen by the one who asks next. Nothing is ordered by
/// it.
#[derive(Debug, Default)]
pub(crate) struct Peak(AtomicU64);

impl Peak {
    /// # Cost
    ///
    /// A load, unless the number is the greatest so far.
    #[inline]
    pub(crate) fn raise(&self, number: u64) {
        if number > self.0.load(Ordering::Relaxed) {
            self.0.fetch_max(number, Ordering::Relaxed);
        }
    }

    /// Starts anew from a number, and says the greatest until then.
    pub(crate) fn take(&self, from: u64) -> u64 {
        self.0.swap(from, Ordering::Relaxed)
    }
}
