//! Counts that no window needs.

use super::primitive::{AtomicU64, Ordering};

/// A count.
///
/// # Why this is correct
///
/// One read-modify-write per event, and nothing is ordered by it.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, events: u64) {
        self.0.fetch_add(events, Ordering::Relaxed);
    }

    /// Takes events back; those that [`take`](Counter::take) has carried off are not missed.
    pub(crate) fn remove(&self, events: u64) {
        // The closure never declines, so there is no error to see.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| Some(count.saturating_sub(events)));
    }

    /// Starts anew, and says what was counted.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
