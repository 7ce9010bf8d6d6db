//! A moment that moves on.

use super::primitive::{AtomicU64, Ordering};

/// A moment in nanoseconds: a clock that is moved by hand, or the end of something.
///
/// # Why this is correct
///
/// The moment is one word, and moving it on is one read-modify-write, so no step is lost. Storing is a release and
/// reading an acquire: who sees a moment sees what was done before it came.
#[derive(Debug, Default)]
pub(crate) struct Moment(AtomicU64);

impl Moment {
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, moment: u64) {
        self.0.store(moment, Ordering::Release);
    }

    /// Whether `now` is before the moment.
    #[inline]
    pub(crate) fn is_ahead(&self, now: u64) -> bool {
        now < self.get()
    }

    /// Moves on by a step, at most to the end of time.
    pub(crate) fn advance(&self, by: u64) {
        // The closure never declines, so there is no error to see.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| Some(now.saturating_add(by)));
    }

    /// Moves on to a later moment; an earlier one changes nothing.
    pub(crate) fn advance_to(&self, moment: u64) {
        self.0.fetch_max(moment, Ordering::AcqRel);
    }
}
